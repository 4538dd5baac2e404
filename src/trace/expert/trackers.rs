//! Which request a tracker answers, for whom, and about which torrent.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bittrace_protocol::peer_id::client_name;
use bittrace_protocol::tracker::http::{self, RequestKind};
use bittrace_protocol::tracker::udp::{AnnounceResponse, Packet};
use bittrace_protocol::{InfoHash, PeerId, Timestamp};

use super::latency;
use crate::expert::rules;
use crate::record::units::{counted, wanted_at};
use crate::record::{Answer, Body, HttpTrackerBody, Note, Record, WebSeedBody};

/// The requests that a tracker has not answered yet, on a TCP connection or a flow of UDP datagrams.
#[derive(Debug, Default)]
pub(super) struct TrackerRequests {
    waiting: VecDeque<TrackerRequest>,
}

#[derive(Debug)]
struct TrackerRequest {
    number: u64,
    at: Timestamp,
    /// Only with UDP.
    transaction: Option<u32>,
    torrent: Option<InfoHash>,
}

/// How many requests may wait on one stream.
const WAITING: usize = 1000;

impl TrackerRequests {
    pub(super) fn annotate(&mut self, record: &mut Record) {
        match &record.body {
            Body::HttpTracker(HttpTrackerBody::Request(_, kind)) => {
                let mut malformed = None;
                let (torrent, client) = match &**kind {
                    RequestKind::Announce(announce) => {
                        (Some(announce.info_hash), announce.peer_id.and_then(client))
                    }
                    RequestKind::Scrape(scrape) => (scrape.info_hashes.first().copied(), None),
                    RequestKind::NoTorrent(fault) => {
                        let text = wanted_at(fault.offset, fault.wanted);
                        malformed = Some(rules::BEP3_ANNOUNCE_MALFORMED.note(text));
                        (None, None)
                    }
                    RequestKind::Other => (None, None),
                };
                record.notes.extend(malformed);
                record.torrent = torrent;
                record.client = client;
                self.ask(record, None);
            }
            Body::HttpTracker(HttpTrackerBody::Response(response, reply)) => {
                if response.status < 200 {
                    return;
                }
                let fault = reply_note(response, reply);
                let asked = self.waiting.pop_front();
                answer(record, asked);
                record.notes.extend(fault);
            }
            Body::WebSeed(WebSeedBody::FileRequest(_, part)) => {
                record.torrent = Some(part.torrent);
                self.ask(record, None);
            }
            Body::WebSeed(WebSeedBody::PieceRequest(_, piece)) => {
                record.torrent = Some(piece.info_hash);
                self.ask(record, None);
            }
            Body::WebSeed(WebSeedBody::FileResponse(..) | WebSeedBody::PieceResponse(..)) => {
                let asked = self.waiting.pop_front();
                answer(record, asked);
            }
            Body::WebSeed(WebSeedBody::FileData(part)) => record.torrent = Some(part.torrent),
            Body::WebSeed(WebSeedBody::PieceData(piece)) => record.torrent = Some(piece.info_hash),
            Body::UdpTracker(packet) => {
                let packet = Arc::clone(packet);
                let transaction = Some(packet.transaction_id());
                match &*packet {
                    Packet::AnnounceRequest(announce) => {
                        record.torrent = Some(announce.info_hash);
                        record.client = client(announce.peer_id);
                        self.ask(record, transaction);
                    }
                    Packet::ScrapeRequest { info_hashes, .. } => {
                        record.torrent = info_hashes.first().copied();
                        self.ask(record, transaction);
                    }
                    Packet::ConnectRequest { .. } => self.ask(record, transaction),
                    Packet::ConnectResponse { .. }
                    | Packet::AnnounceResponse(_)
                    | Packet::ScrapeResponse { .. }
                    | Packet::Error { .. } => {
                        let at = self.waiting.iter().position(|asked| asked.transaction == transaction);
                        let asked = at.and_then(|at| self.waiting.remove(at));
                        answer(record, asked);
                        if let Packet::AnnounceResponse(AnnounceResponse { extra, .. })
                        | Packet::ScrapeResponse { extra, .. } = &*packet
                            && !extra.is_empty()
                        {
                            let left = counted(extra.len() as u64, "byte");
                            let text = format!("{left} after the last entry, less than one entry");
                            record.notes.push(rules::BEP15_EXTRA.note(text));
                        }
                        if let Packet::Error { message, .. } = &*packet {
                            let text = format!(
                                "the tracker returned an error: {}",
                                String::from_utf8_lossy(message)
                            );
                            record.notes.push(rules::BEP15_ERROR.note(text));
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn ask(&mut self, record: &Record, transaction: Option<u32>) {
        if self.waiting.len() == WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(TrackerRequest {
            number: record.number,
            at: record.at,
            transaction,
            torrent: record.torrent,
        });
    }
}

/// The peers that an answer hands out.
pub(super) fn handed_out(record: &Record) -> Vec<SocketAddr> {
    match &record.body {
        Body::HttpTracker(HttpTrackerBody::Response(_, reply)) => match &**reply {
            http::Reply::Announce(reply) => reply.peers.iter().filter_map(http::PeerEntry::address).collect(),
            _ => Vec::new(),
        },
        Body::UdpTracker(packet) => match &**packet {
            Packet::AnnounceResponse(reply) => reply.peers.clone(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn answer(record: &mut Record, asked: Option<TrackerRequest>) {
    let Some(asked) = asked else { return };
    record.answers = Some(Answer { number: asked.number, latency: latency(asked.at, record.at) });
    record.torrent = asked.torrent;
}

fn client(peer_id: PeerId) -> Option<Arc<str>> {
    client_name(&peer_id).map(|name| name.to_string().into())
}

/// What is wrong with an answer, or with what it says.
fn reply_note(response: &http::Response, reply: &http::Reply) -> Option<Note> {
    Some(match reply {
        http::Reply::Failure { reason, .. } => {
            rules::BEP3_FAILURE_REASON.note(format!("failure reason: {reason}"))
        }
        http::Reply::NotBencoded(_) if response.status != 200 => rules::HTTP_STATUS
            .note(format!("the tracker responded with {} {}", response.status, response.reason)),
        http::Reply::NotBencoded(error) => {
            rules::BEP3_NOT_BENCODED.note(format!("the response is not a bencoded dictionary: {error}"))
        }
        http::Reply::Announce(reply) => match (&reply.warning, reply.faults.first()) {
            (_, Some(fault)) => rules::BEP3_MALFORMED_ANSWER.note(format!("in the response's body: {fault}")),
            (Some(warning), None) => rules::BEP3_WARNING_MESSAGE.note(format!("warning message: {warning}")),
            (None, None) => return None,
        },
        http::Reply::Scrape(_) => return None,
    })
}
