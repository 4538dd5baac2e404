//! How things stand between two peers: who they are, and what is to be said of what their messages do.

use std::net::IpAddr;

use bittrace_protocol::Timestamp;
use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::peer::{PeerChange, PeerFault};
use bittrace_protocol::wire::{Content, MetadataKind};
use bittrace_protocol::{InfoHash, PeerId};

use super::metadata::{MetadataHash, metadata_message};
use crate::expert::rules;
use crate::record::{Body, Note, PeerWireBody, Record};
use crate::{Direction, StreamId};

/// The ends of one connection between peers.
#[derive(Debug, Default)]
pub(super) struct PeerPair {
    /// The info hash and the peer id of each handshake.
    handshakes: [Option<(InfoHash, PeerId)>; 2],
    /// The metadata that each end is sending.
    metadata: [Option<Box<MetadataHash>>; 2],
}

/// Two peers and the torrent they speak about, the lesser peer id first.
pub(super) type Pair = (InfoHash, PeerId, PeerId);

/// A connection between two peers, as its second handshake showed it.
#[derive(Debug, Clone, Copy)]
pub(super) struct MetOn {
    pub(super) stream: StreamId,
    at: Timestamp,
    /// Which end's handshake was the second.
    direction: Direction,
    /// The addresses of who called and who was called.
    ends: [IpAddr; 2],
}

/// How much later than on one side a handshake is seen on the other side of a router, in seconds at the most.
const ROUTING: f64 = 0.05;

impl MetOn {
    pub(super) fn of(record: &Record) -> Self {
        let mut ends = [record.source.ip(), record.destination.ip()];
        if record.direction == Direction::FromResponder {
            ends.reverse();
        }
        Self { stream: record.stream, at: record.at, direction: record.direction, ends }
    }

    /// Whether both are one connection, captured on both sides of a router that translates addresses (RFC 3022): the same
    /// two peers finish their handshakes at one time and in one order, but an address differs. A client that calls by
    /// IPv4 and IPv6 at once does make two connections.
    pub(super) fn is_other_side_of(&self, first: &Self) -> bool {
        let later = self.at.seconds_since(first.at);
        let ends = || self.ends.iter().zip(&first.ends);
        self.direction == first.direction
            && (0.0..ROUTING).contains(&later)
            && ends().all(|(one, other)| one.is_ipv4() == other.is_ipv4())
            && ends().any(|(one, other)| one != other)
    }
}

impl PeerPair {
    /// The peer id of the record's sender, once its handshake has come.
    pub(super) fn sender(&self, record: &Record) -> Option<PeerId> {
        self.handshakes[record.direction as usize].map(|(_, peer_id)| peer_id)
    }

    /// The peer id of the record's receiver, once it has said so.
    pub(super) fn receiver(&self, record: &Record) -> Option<PeerId> {
        self.handshakes[record.direction.reverse() as usize].map(|(_, peer_id)| peer_id)
    }

    /// The torrent and the two peers, the lesser id first, once both have said so.
    pub(super) fn pair(&self) -> Option<Pair> {
        let [(torrent, one), (_, other)] = [self.handshakes[0]?, self.handshakes[1]?];
        Some((torrent, one.min(other), one.max(other)))
    }

    /// Takes in who a handshake is from.
    pub(super) fn meet(&mut self, record: &Record) {
        if let Body::PeerWire(PeerWireBody::Handshake(handshake)) = &record.body {
            self.handshakes[record.direction as usize] = Some((handshake.info_hash, handshake.peer_id));
        }
    }

    /// Says of metadata that came whole whether it is that of the torrent (BEP 9). Pieces must come in order.
    pub(super) fn check_metadata(&mut self, record: &mut Record) {
        let Some((extension, payload)) = metadata_message(record) else { return };
        let Ok(Content::Metadata(metadata)) = extension.decode(payload) else { return };
        let Some(info_hash) = record.torrent.filter(|_| metadata.kind == MetadataKind::Data) else { return };
        let sender = &mut self.metadata[record.direction as usize];
        if metadata.piece == 0 {
            *sender = Some(Box::new(MetadataHash::new(metadata.total_size.unwrap_or(0))));
        }
        let whole = sender.as_mut().and_then(|hash| hash.push(metadata.piece, &metadata.data));
        if whole.is_some_and(|hashes| !hashes.contains(&info_hash)) {
            let text = format!("the metadata is complete, but its hash is not {info_hash}");
            record.notes.push(rules::BEP9_WRONG_HASH.note(text));
        }
    }
}

/// What a message says of choking or interest.
pub(super) fn note_change(record: &mut Record) {
    let Some(change) = record.effect.change else { return };
    let (source, destination) = (record.source, record.destination);
    let (text, already) = match change {
        PeerChange::Choke => (format!("{destination} is now choked"), "already choked"),
        PeerChange::Unchoke { interested } => {
            let interest = if interested { "interested" } else { "not interested" };
            (format!("{destination} is now unchoked ({interest})"), "already unchoked")
        }
        PeerChange::Interested { choked } => {
            let choked = if choked { "still choked" } else { "not choked" };
            (format!("{source} is now interested ({choked})"), "already interested")
        }
        PeerChange::NotInterested => (format!("{source} is no longer interested"), "not interested before"),
    };
    record.notes.push(match record.effect.repeated {
        true => rules::STATE_UNCHANGED.note(already),
        false => rules::STATE_CHANGED.note(text),
    });
}

/// What a message broke. `torrent` is what it is about, where known.
pub(super) fn note_faults(record: &mut Record, torrent: Option<&Metainfo>) {
    let out_of_range = match (&record.body, torrent.and_then(Metainfo::placement)) {
        (
            Body::PeerWire(PeerWireBody::Message(message) | PeerWireBody::Azureus(_, Some(message))),
            Some(geometry),
        ) => PeerFault::of_range(message, geometry),
        _ => None,
    };
    if out_of_range.is_none() && record.effect.faults.is_empty() {
        return;
    }
    let notes: Vec<Note> = record
        .effect
        .faults
        .iter()
        .chain(&out_of_range)
        .map(|fault| rules::note_fault(fault, record, torrent))
        .collect();
    record.notes.extend(notes);
}
