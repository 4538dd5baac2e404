//! A download without a socket: the session, a pretend tracker and a pretend peer, under a clock that never waits.
//!
//!     cargo run --example session
#![allow(clippy::print_stdout, reason = "an example prints what it finds")]

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bittrace_protocol::session::{
    CloseReason, Config, Endpoint, Event, Identity, Input, Output, Profile, Session, SessionStreamId,
};
use bittrace_protocol::tracker::http::encode_response;
use bittrace_protocol::wire::{Frame, HANDSHAKE_LENGTH, Handshake, Message, frame};
use bittrace_protocol::{Block, DecodeError, Metainfo, PeerId, PieceIndex, Timestamp};
use bytes::Bytes;
use sha1::{Digest, Sha1};

const PIECE: usize = 32 * 1024;

fn main() -> Result<(), DecodeError> {
    let content: Vec<u8> = (0..100_000_u32).map(|number| (number % 251) as u8).collect();
    let torrent = Arc::new(Metainfo::decode(&torrent_file(&content))?);
    let identity = Identity::new(PeerId(*b"-BT0000-example00000"), 0, 1);
    let mut now = Timestamp::from_secs_nanos(1_000_000, 0);
    let mut session = Session::new(Config::new(Profile::own("example")), torrent.clone(), identity, [], now);
    let mut world = World {
        file: vec![0; content.len()],
        stored: BTreeMap::new(),
        far_ends: BTreeMap::new(),
        happened: VecDeque::new(),
        torrent,
        content,
    };
    loop {
        while let Some(input) = world.happened.pop_front() {
            session.handle(now, input);
        }
        match session.poll() {
            // Nothing will happen before that time, so the clock goes there.
            Output::Wait(Some(at)) => {
                now = now.max(at);
                session.handle(now, Input::Tick);
            }
            Output::Wait(None) | Output::Done => break,
            output => world.act(output),
        }
    }
    println!("the file is {}", if world.file == world.content { "right" } else { "wrong" });
    Ok(())
}

/// A .torrent with one tracker, around one file.
fn torrent_file(content: &[u8]) -> Vec<u8> {
    let hashes: Vec<u8> = content.chunks(PIECE).flat_map(|piece| Sha1::digest(piece).to_vec()).collect();
    let mut file = b"d8:announce22:http://t.test/announce4:infod".to_vec();
    file.extend(format!("6:lengthi{}e4:name4:data12:piece lengthi{PIECE}e", content.len()).bytes());
    file.extend(format!("6:pieces{}:", hashes.len()).bytes());
    file.extend(hashes);
    file.extend(b"ee");
    file
}

/// What a driver has: streams, a disk, and news for the session.
struct World {
    torrent: Arc<Metainfo>,
    content: Vec<u8>,
    /// What was downloaded.
    file: Vec<u8>,
    /// How many bytes of each piece are stored.
    stored: BTreeMap<PieceIndex, u32>,
    far_ends: BTreeMap<SessionStreamId, FarEnd>,
    happened: VecDeque<Input>,
}

enum FarEnd {
    Tracker,
    /// A peer, and what it has received and not yet read.
    Peer {
        received: Vec<u8>,
        greeted: bool,
    },
}

impl World {
    /// Does what the session wants.
    fn act(&mut self, output: Output) {
        match output {
            Output::Open(stream, Endpoint::HttpTracker(remote)) => {
                println!("open {}:{}", remote.host, remote.port);
                self.far_ends.insert(stream, FarEnd::Tracker);
                let address = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 9), remote.port));
                self.happened.push_back(Input::Opened(stream, address));
            }
            Output::Open(stream, Endpoint::Peer(address)) => {
                println!("open {address}");
                self.far_ends.insert(stream, FarEnd::Peer { received: Vec::new(), greeted: false });
                self.happened.push_back(Input::Opened(stream, address));
            }
            Output::Open(stream, _) => {
                self.happened.push_back(Input::Closed(stream, CloseReason::Refused));
            }
            Output::Send(stream, bytes) => {
                self.happened.push_back(Input::Sent(stream, bytes.len()));
                let answer = self.answer(stream, &bytes);
                if !answer.is_empty() {
                    self.happened.push_back(Input::Received(stream, answer.into()));
                }
            }
            Output::Close(stream, _) => {
                self.far_ends.remove(&stream);
            }
            Output::Store(piece, begin, bytes) => self.store(piece, begin, &bytes),
            Output::Discard(piece) => {
                self.stored.remove(&piece);
            }
            Output::Event(Event::PieceDone { index, .. }) => println!("piece {index} is verified"),
            Output::Event(Event::Complete) => println!("complete"),
            // Nobody asks this session for blocks, and one peer sends every piece.
            _ => {}
        }
    }

    /// What the other end of a stream sends back.
    fn answer(&mut self, stream: SessionStreamId, bytes: &[u8]) -> Vec<u8> {
        match self.far_ends.get_mut(&stream) {
            None => Vec::new(),
            // One peer, 10.0.0.1:6881, in compact form (BEP 23).
            Some(FarEnd::Tracker) => {
                encode_response(200, "OK", &[], b"d8:intervali1800e5:peers6:\x0a\0\0\x01\x1a\xe1e")
            }
            Some(FarEnd::Peer { received, greeted }) => {
                received.extend_from_slice(bytes);
                let mut answer = Vec::new();
                if !*greeted && received.len() >= HANDSHAKE_LENGTH {
                    *greeted = true;
                    received.drain(..HANDSHAKE_LENGTH);
                    let peer_id = PeerId(*b"-XX0000-pretend-peer");
                    let info_hash = self.torrent.info_hash;
                    answer.extend(Handshake { reserved: [0; 8], info_hash, peer_id }.encode());
                    Message::Bitfield(every_piece(&self.content)).encode(&mut answer);
                    Message::Unchoke.encode(&mut answer);
                }
                while let Frame::Message(length) = frame(received)
                    && *greeted
                    && received.len() >= length
                {
                    let message: Bytes = received.drain(..length).collect();
                    if let Ok(Message::Request(block)) = Message::decode(&message) {
                        piece_message(&self.content, block).encode(&mut answer);
                    }
                }
                answer
            }
        }
    }

    fn store(&mut self, piece: PieceIndex, begin: u32, bytes: &[u8]) {
        let start = piece.0 as usize * PIECE;
        self.file[start + begin as usize..][..bytes.len()].copy_from_slice(bytes);
        let stored = self.stored.entry(piece).or_default();
        *stored += bytes.len() as u32;
        self.happened.push_back(Input::Stored(piece, bytes.len() as u32));
        let end = self.file.len().min(start + PIECE);
        if *stored as usize == end - start {
            let digest: [u8; 20] = Sha1::digest(&self.file[start..end]).into();
            self.happened.push_back(Input::Hashed(piece, digest.into()));
        }
    }
}

/// A bit for each piece, all set; spare bits are zero (BEP 3).
fn every_piece(content: &[u8]) -> Bytes {
    let count = content.len().div_ceil(PIECE);
    let mut bits = vec![0_u8; count.div_ceil(8)];
    (0..count).for_each(|piece| bits[piece / 8] |= 0x80 >> (piece % 8));
    bits.into()
}

/// The answer to a request.
fn piece_message(content: &[u8], block: Block) -> Message {
    let start = block.index.0 as usize * PIECE + block.begin as usize;
    let bytes = Bytes::copy_from_slice(&content[start..][..block.length as usize]);
    Message::Piece { index: block.index, begin: block.begin, block: bytes }
}
