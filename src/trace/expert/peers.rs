//! How things stand between two peers: who they are, who chokes whom, which requests wait for an answer.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use bittrace_protocol::peer_id::client_name;
use bittrace_protocol::wire::{Content, Extension, HashRange, Message, MetadataKind};
use bittrace_protocol::{Block, InfoHash, PeerId, Timestamp};
use foldhash::fast::RandomState;

use super::latency;
use crate::Direction;
use crate::record::{
    Answer, Body, Fragment, Note, PIECE_HEADER, PeerWireBody, Reason, Record, Severity, Unreadable,
};

/// One connection between peers.
#[derive(Debug, Default)]
pub(super) struct Peers {
    ways: [Way; 2],
}

/// One end of the connection: what it said, and what it waits for.
#[derive(Debug)]
struct Way {
    peer_id: Option<PeerId>,
    client: Option<Arc<str>>,
    torrent: Option<InfoHash>,
    /// Whether the connection's beginning was seen, so that the two states below are known.
    from_start: bool,
    chokes: bool,
    interested: bool,
    handshake: Option<Asked>,
    /// The keys are the far end's, so the hash is one that nobody can choose them to collide in.
    requests: HashMap<Block, Asked, RandomState>,
    metadata: HashMap<u32, Asked>,
    hashes: HashMap<HashRange, Asked>,
}

/// Connections start out choked and not interested (BEP 3, "peer protocol").
impl Default for Way {
    fn default() -> Self {
        Self {
            peer_id: None,
            client: None,
            torrent: None,
            from_start: false,
            chokes: true,
            interested: false,
            handshake: None,
            requests: HashMap::default(),
            metadata: HashMap::default(),
            hashes: HashMap::default(),
        }
    }
}

/// Two peers and the torrent they speak about, the lesser peer id first.
pub(super) type Pair = (InfoHash, PeerId, PeerId);

/// A message that waits for its answer.
#[derive(Debug, Clone, Copy)]
struct Asked {
    number: u64,
    at: Timestamp,
}

/// How many requests of a kind may wait at one end.
const WAITING: usize = 20_000;

impl Peers {
    /// The peer id of the record's receiver, once it has said so.
    pub(super) fn receiver(&self, record: &Record) -> Option<PeerId> {
        self.ways[record.direction.reverse() as usize].peer_id
    }

    /// The torrent and the two peers, the lesser id first, once both have said so.
    pub(super) fn pair(&self) -> Option<Pair> {
        let [initiator, responder] = &self.ways;
        let (one, other) = (initiator.peer_id?, responder.peer_id?);
        Some((initiator.torrent?, one.min(other), one.max(other)))
    }

    pub(super) fn annotate(&mut self, record: &mut Record) {
        let asked = Asked { number: record.number, at: record.at };
        let body = record.body.clone();
        match &body {
            Body::PeerWire(PeerWireBody::Handshake(handshake)) => {
                let way = &mut self.ways[record.direction as usize];
                way.peer_id = Some(handshake.peer_id);
                way.client = client_name(&handshake.peer_id).map(|name| name.to_string().into());
                way.torrent = Some(handshake.info_hash);
                way.from_start = true;
                way.handshake = Some(asked);
                if record.direction == Direction::FromResponder {
                    let called = self.ways[Direction::FromInitiator as usize].handshake;
                    record.answers = called.map(|called| called.answered(record.at));
                }
            }
            Body::PeerWire(PeerWireBody::Message(message)) => self.message(record, message, asked),
            // Of a block whose first part was captured it is still known which request it answers.
            Body::Unreadable(
                _,
                Unreadable::Opaque(Reason::Fragment(Fragment {
                    block: Some((index, begin)),
                    from: 0,
                    total,
                    ..
                })),
            ) => {
                let length = total.saturating_sub(PIECE_HEADER) as u32;
                let block = Block { index: *index, begin: *begin, length };
                let requests = &mut self.ways[record.direction.reverse() as usize].requests;
                record.answers = requests.remove(&block).map(|request| request.answered(record.at));
            }
            Body::PeerWire(PeerWireBody::Extended(Message::Extended { payload, .. }, extension)) => {
                self.extended(record, extension, payload, asked);
            }
            _ => {}
        }
        let (speaker, receiver) = self.ends(record.direction);
        record.client.clone_from(&speaker.client);
        record.torrent = speaker.torrent.or(receiver.torrent);
    }

    fn message(&mut self, record: &mut Record, message: &Message, asked: Asked) {
        let (speaker, receiver) = self.ends(record.direction);
        match message {
            Message::Choke => {
                let was = std::mem::replace(&mut speaker.chokes, true);
                let text = format!("{} may not request from now on", record.destination);
                record.notes.push(state(was && speaker.from_start, text, "it was choked already"));
            }
            Message::Unchoke => {
                let was = std::mem::replace(&mut speaker.chokes, false);
                let interest = if receiver.interested { "interested" } else { "not interested" };
                let text = format!("{} may request from now on; it is {interest}", record.destination);
                record.notes.push(state(!was && speaker.from_start, text, "it was unchoked already"));
            }
            Message::Interested => {
                let was = std::mem::replace(&mut speaker.interested, true);
                let choked = if receiver.chokes { "choked" } else { "unchoked" };
                let text = format!("{} wants pieces of the other end; it is {choked}", record.source);
                record.notes.push(state(was && speaker.from_start, text, "it was interested already"));
            }
            Message::NotInterested => {
                let was = std::mem::replace(&mut speaker.interested, false);
                let text = format!("{} wants nothing of the other end", record.source);
                record.notes.push(state(!was && speaker.from_start, text, "it was not interested before"));
            }
            Message::Request(block) => ask(&mut speaker.requests, *block, asked),
            Message::Piece { index, begin, block } => {
                let block = Block { index: *index, begin: *begin, length: block.len() as u32 };
                record.answers = receiver.requests.remove(&block).map(|request| request.answered(record.at));
            }
            Message::RejectRequest(block) => {
                record.answers = receiver.requests.remove(block).map(|request| request.answered(record.at));
            }
            Message::HashRequest(range) => ask(&mut speaker.hashes, *range, asked),
            Message::Hashes(range, _) | Message::HashReject(range) => {
                record.answers = receiver.hashes.remove(range).map(|request| request.answered(record.at));
            }
            _ => {}
        }
    }

    fn extended(&mut self, record: &mut Record, extension: &Extension, payload: &[u8], asked: Asked) {
        let content = match extension.decode(payload) {
            Ok(content) => content,
            Err(error) => {
                let text = format!("the {} message is broken: payload, {error}", extension.name());
                record.notes.push(Note::new(Severity::Error, "bep10.malformed", text));
                return;
            }
        };
        let (speaker, receiver) = self.ends(record.direction);
        match content {
            Content::Handshake(handshake) => {
                // What a client calls itself here is more exact than its peer id (BEP 10).
                if let Some(client) = handshake.client.filter(|client| !client.trim().is_empty()) {
                    speaker.client = Some(client.trim().into());
                }
            }
            Content::Metadata(metadata) => match metadata.kind {
                MetadataKind::Request => ask(&mut speaker.metadata, metadata.piece, asked),
                MetadataKind::Data | MetadataKind::Reject => {
                    let request = receiver.metadata.remove(&metadata.piece);
                    record.answers = request.map(|request| request.answered(record.at));
                }
                MetadataKind::Unknown(_) => {}
            },
            Content::Other if *extension == Extension::Unannounced => {
                let text = "no handshake of the receiver announced this extension id";
                record.notes.push(Note::new(Severity::Note, "bep10.unannounced", text));
            }
            _ => {}
        }
    }

    /// The speaker's end and the receiver's.
    fn ends(&mut self, direction: Direction) -> (&mut Way, &mut Way) {
        let [initiator, responder] = &mut self.ways;
        match direction {
            Direction::FromInitiator => (initiator, responder),
            Direction::FromResponder => (responder, initiator),
        }
    }
}

impl Asked {
    fn answered(self, at: Timestamp) -> Answer {
        Answer { number: self.number, latency: latency(self.at, at) }
    }
}

/// Remembers a request. One that is asked again counts from the first time.
fn ask<K: Eq + Hash, S: BuildHasher>(waiting: &mut HashMap<K, Asked, S>, what: K, asked: Asked) {
    if waiting.len() < WAITING {
        waiting.entry(what).or_insert(asked);
    }
}

/// A change of state, or the remark that nothing changed.
fn state(unchanged: bool, text: String, remark: &'static str) -> Note {
    if unchanged {
        return Note::new(Severity::Note, "state.unchanged", remark);
    }
    Note::new(Severity::Chat, "state.changed", text)
}
