//! The clients of a capture: who spoke.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use bittrace_protocol::PeerId;
use bittrace_protocol::tracker::{http, udp};
use bittrace_protocol::wire::{Content, Extension, Message};
use foldhash::fast::RandomState;
use rustc_hash::FxHashMap;

use super::KEPT;
use crate::record::{Body, HttpTrackerBody, PeerWireBody, Record, Side};
use crate::{Direction, StreamId};

/// The clients of a capture. One is known by its address and the beginning of its peer id, which names its
/// program: many draw a new id for each torrent.
#[derive(Debug, Default)]
pub struct Clients {
    rows: Vec<Client>,
    by_name: HashMap<(IpAddr, [u8; 8]), usize, RandomState>,
    by_way: FxHashMap<(StreamId, Direction), usize>,
    more: u64,
}

/// A program that spoke BitTorrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Where it ran.
    pub address: IpAddr,
    /// Whether that is the host the capture is about.
    pub local: bool,
    /// The first peer id it showed.
    pub peer_id: PeerId,
    /// What that id says of the program; `None` when it says nothing.
    pub name: Option<Arc<str>>,
    /// What it calls itself in extended handshakes (BEP 10).
    pub says: Option<String>,
    /// The port on which it says it listens.
    pub port: Option<u16>,
    /// On how many connections it shook hands.
    pub handshakes: u64,
}

impl Clients {
    /// The clients in the order in which they first spoke.
    pub fn rows(&self) -> &[Client] {
        &self.rows
    }

    /// How many sightings there were of clients that are not kept.
    pub const fn more(&self) -> u64 {
        self.more
    }

    pub(super) fn add(&mut self, record: &Record) {
        match &record.body {
            Body::PeerWire(PeerWireBody::Handshake(handshake)) => {
                let Some(at) = self.place(record, handshake.peer_id) else { return };
                self.rows[at].handshakes += 1;
                if self.by_way.len() >= 2 * KEPT {
                    self.by_way.clear();
                }
                self.by_way.insert((record.stream, record.direction), at);
            }
            Body::PeerWire(PeerWireBody::Extended(
                Message::Extended { payload, .. },
                extension @ Extension::Handshake,
            )) => {
                let Some(&at) = self.by_way.get(&(record.stream, record.direction)) else { return };
                if let Ok(Content::Handshake(handshake)) = extension.decode(payload) {
                    let client = &mut self.rows[at];
                    client.says = handshake.client.or(client.says.take());
                    client.port = handshake.port.or(client.port);
                }
            }
            Body::HttpTracker(HttpTrackerBody::Request(_, kind)) => {
                if let http::RequestKind::Announce(announce) = &**kind
                    && let Some(peer_id) = announce.peer_id
                    && let Some(at) = self.place(record, peer_id)
                {
                    self.rows[at].port = announce.port.or(self.rows[at].port);
                }
            }
            Body::UdpTracker(packet) => {
                if let udp::Packet::AnnounceRequest(announce) = &**packet
                    && let Some(at) = self.place(record, announce.peer_id)
                {
                    self.rows[at].port = Some(announce.port);
                }
            }
            _ => {}
        }
    }

    fn place(&mut self, record: &Record, peer_id: PeerId) -> Option<usize> {
        let address = record.source.ip();
        let mut program = [0; 8];
        program.copy_from_slice(&peer_id.0[..8]);
        let at = match self.by_name.get(&(address, program)) {
            Some(at) => *at,
            None if self.rows.len() >= KEPT => {
                self.more += 1;
                return None;
            }
            None => {
                self.by_name.insert((address, program), self.rows.len());
                self.rows.push(Client {
                    address,
                    local: false,
                    peer_id,
                    name: None,
                    says: None,
                    port: None,
                    handshakes: 0,
                });
                self.rows.len() - 1
            }
        };
        let client = &mut self.rows[at];
        client.local |= record.side == Side::Local;
        if client.name.is_none() {
            client.name.clone_from(&record.client);
        }
        Some(at)
    }
}
