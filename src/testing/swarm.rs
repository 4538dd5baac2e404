//! Captures of any size, made from raw bytes: one host downloads from many peers at once, and what is in the capture is
//! known from making it.

use std::sync::Arc;

use bittrace_protocol::{Metainfo, Timestamp};
use bittrace_trace::{Direction, Flow, Recorder, StreamId, StreamOpening};

use crate::sequence::SeededSequence;
use crate::torrent::SeededTorrent;

/// A capture of a download, and what is in it.
#[derive(Debug, Clone)]
pub struct Swarm {
    /// The capture file.
    pub capture: Vec<u8>,
    /// The torrent.
    pub torrent: Arc<Metainfo>,
    /// How many messages there are.
    pub messages: u64,
    /// How many requests.
    pub requests: u64,
    /// How many blocks.
    pub blocks: u64,
    /// How many haves.
    pub haves: u64,
    /// How many of the blocks came a second time for nothing.
    pub repeated: u64,
    /// How many pieces came whole and wrong.
    pub wrong: u64,
    /// How many came whole and right.
    pub right: u64,
    /// How many connections there are.
    pub connections: u64,
}

/// How many peers there are, and how many blocks a piece has, of how many bytes.
const PEERS: usize = 24;
const BLOCKS: usize = 4;
const BLOCK: usize = 64;
/// Of so many pieces, one comes with wrong bytes first.
const WRONG_EVERY: usize = 101;
/// Of so many, one block is requested and sent again from another peer.
const REPEATED_EVERY: usize = 37;

impl Swarm {
    /// A download of at least so many messages: pieces in a random order, each from one of 24 peers, some wrong at first;
    /// with haves, chokes and peers that connect again. Blocks have 64 bytes, so that the capture stays small.
    ///
    /// # Panics
    /// When memory does not take it.
    pub fn of(messages: usize) -> Self {
        let pieces = (messages / (2 * BLOCKS + 1)).max(2);
        let seed = SeededTorrent::single("", pieces * BLOCKS * BLOCK, BLOCKS * BLOCK);
        let recorder = Recorder::new(Vec::new(), "a generated download").expect("memory takes all");
        let sequence = SeededSequence::fixed(messages as u64);
        let at = 1_790_000_000_000_000_000;
        let mut making = Making { recorder, sequence, at, swarm: Self::empty(&seed), streams: Vec::new() };
        for peer in 0..PEERS {
            making.connect(peer);
        }
        let mut order: Vec<usize> = (0..pieces).collect();
        for last in (1..pieces).rev() {
            order.swap(last, making.sequence.below(last + 1));
        }
        for (at, piece) in order.into_iter().enumerate() {
            let peer = making.sequence.below(PEERS);
            if at % WRONG_EVERY == 1 {
                making.piece(peer, piece, &seed, true);
            }
            making.piece(peer, piece, &seed, false);
            let other = making.sequence.below(PEERS);
            if at % REPEATED_EVERY == 3 {
                making.block(other, piece, 2, &seed);
                making.swarm.repeated += 1;
            }
            making.say(other, Direction::FromResponder, &message(4, &[piece as u32], &[]));
            making.swarm.haves += 1;
            match making.sequence.below(200) {
                0 => making.connect(peer),
                1..4 => {
                    making.say(peer, Direction::FromResponder, &message(0, &[], &[]));
                    making.say(peer, Direction::FromResponder, &message(1, &[], &[]));
                }
                _ => {}
            }
        }
        making.swarm.capture = making.recorder.finish().expect("memory takes all");
        making.swarm
    }

    fn empty(seed: &SeededTorrent) -> Self {
        Self {
            capture: Vec::new(),
            torrent: Arc::clone(&seed.metainfo),
            messages: 0,
            requests: 0,
            blocks: 0,
            haves: 0,
            repeated: 0,
            wrong: 0,
            right: 0,
            connections: 0,
        }
    }
}

/// A swarm that is being made.
struct Making {
    recorder: Recorder<Vec<u8>>,
    sequence: SeededSequence,
    /// Nanoseconds since 1970.
    at: i64,
    swarm: Swarm,
    /// The connection of each peer.
    streams: Vec<StreamId>,
}

impl Making {
    /// Opens a connection to a peer, again where there is one.
    fn connect(&mut self, peer: usize) {
        let stream = StreamId(self.swarm.connections as u32);
        self.swarm.connections += 1;
        let flow = Flow {
            initiator: format!("10.0.0.1:{}", 20_000 + stream.0 % 40_000).parse().expect("an address"),
            responder: format!("10.0.1.{}:6881", peer + 1).parse().expect("an address"),
        };
        let at = self.later();
        self.recorder.opened(at, stream, flow, StreamOpening::Syn).expect("memory takes all");
        match self.streams.get_mut(peer) {
            Some(known) => *known = stream,
            None => self.streams.push(stream),
        }
        let handshake = |id: String| {
            let mut bytes = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".to_vec();
            bytes.extend(self.swarm.torrent.info_hash.0);
            bytes.extend(id.as_bytes());
            bytes
        };
        let (own, far) =
            (handshake("-LT2080-abcdefghijkl".to_owned()), handshake(format!("-TR3000-{peer:012}")));
        self.say(peer, Direction::FromInitiator, &own);
        self.say(peer, Direction::FromResponder, &far);
        self.say(peer, Direction::FromInitiator, &message(2, &[], &[]));
        self.say(peer, Direction::FromResponder, &message(1, &[], &[]));
    }

    /// Requests a piece, and gives it.
    fn piece(&mut self, peer: usize, piece: usize, seed: &SeededTorrent, is_wrong: bool) {
        for block in 0..BLOCKS {
            let request = message(6, &[piece as u32, (block * BLOCK) as u32, BLOCK as u32], &[]);
            self.say(peer, Direction::FromInitiator, &request);
        }
        for block in 0..BLOCKS {
            let begin = (piece * BLOCKS + block) * BLOCK;
            let mut bytes = seed.bytes[begin..begin + BLOCK].to_vec();
            if is_wrong && block == 1 {
                bytes[7] ^= 1;
            }
            let answer = message(7, &[piece as u32, (block * BLOCK) as u32], &bytes);
            self.say(peer, Direction::FromResponder, &answer);
        }
        self.swarm.requests += BLOCKS as u64;
        self.swarm.blocks += BLOCKS as u64;
        *(if is_wrong { &mut self.swarm.wrong } else { &mut self.swarm.right }) += 1;
    }

    /// Requests a block, and gives it.
    fn block(&mut self, peer: usize, piece: usize, block: usize, seed: &SeededTorrent) {
        let (begin, start) = ((block * BLOCK) as u32, (piece * BLOCKS + block) * BLOCK);
        self.say(peer, Direction::FromInitiator, &message(6, &[piece as u32, begin, BLOCK as u32], &[]));
        let bytes = &seed.bytes[start..start + BLOCK];
        self.say(peer, Direction::FromResponder, &message(7, &[piece as u32, begin], bytes));
        self.swarm.requests += 1;
        self.swarm.blocks += 1;
    }

    fn say(&mut self, peer: usize, direction: Direction, bytes: &[u8]) {
        let at = self.later();
        self.recorder.burst(at, self.streams[peer], direction, bytes).expect("memory takes all");
        self.swarm.messages += 1;
    }

    fn later(&mut self) -> Timestamp {
        self.at += 1_000 * (1 + self.sequence.below(400) as i64);
        Timestamp::from_nanos(self.at)
    }
}

/// A message of the peer wire (BEP 3, "peer messages"): its id, these 32-bit numbers, and what follows them.
fn message(id: u8, numbers: &[u32], rest: &[u8]) -> Vec<u8> {
    let length = 1 + 4 * numbers.len() + rest.len();
    let mut bytes = (length as u32).to_be_bytes().to_vec();
    bytes.push(id);
    numbers.iter().for_each(|number| bytes.extend(number.to_be_bytes()));
    bytes.extend(rest);
    bytes
}
