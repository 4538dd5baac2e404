#![no_main]
//! A session that meets any inputs in any order: nothing is stored outside the torrent or twice, no wrong piece is kept,
//! and what the session wants done stays bounded.

use std::sync::Arc;
use std::time::Duration;

use arbitrary::Arbitrary;
use bittrace_protocol::session::{
    CloseReason, Config, Identity, Input, Output, Profile, SeedGoal, Session, SessionStreamId,
};
use bittrace_protocol::{Block, Metainfo, PeerId, PieceIndex, Timestamp};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sha1::{Digest, Sha1};

/// Two pieces: two blocks of 16,384 bytes, then one block of 7,232.
const LENGTH: usize = 40_000;
const PIECE: usize = 32_768;

/// One input costs the session a few outputs a peer, and there are at most 256 streams here.
const MOST_OUTPUTS: usize = 20_000;

#[derive(Arbitrary, Debug)]
struct Run {
    single_peer: bool,
    seeds: bool,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Opened(u8),
    Accepted(u8),
    Random(u8, Vec<u8>),
    Message(u8, u8, Vec<u8>),
    Block(u8, bool, bool, bool),
    Handshake(u8, u8, u8),
    Closed(u8),
    Sent(u8, u32),
    Stored(u8, u32),
    Hashed(u8),
    Loaded(u8, u8, u32, bool),
    Fetched(u8),
    Answer(u8),
    Wait(u16),
    Stop,
}

fuzz_target!(|run: Run| {
    let mut world = World::new(run.single_peer, run.seeds);
    world.act(Input::Tick);
    for step in run.steps.into_iter().take(300) {
        let input = world.input(step);
        world.act(input);
    }
});

struct World {
    session: Session,
    now: Timestamp,
    info_hash: [u8; 20],
    content: Vec<u8>,
    /// What is stored of each piece, by byte.
    disk: [Vec<Option<u8>>; 2],
}

impl World {
    fn new(single_peer: bool, seeds: bool) -> Self {
        let content: Vec<u8> = (0..LENGTH).map(|at| (at * 31 + at / 251) as u8).collect();
        let hashes: Vec<u8> = content.chunks(PIECE).flat_map(|piece| Sha1::digest(piece).to_vec()).collect();
        let mut file =
            b"d8:announce15:http://t.test/a4:infod6:lengthi40000e4:name1:t12:piece lengthi32768e".to_vec();
        file.extend(b"6:pieces40:");
        file.extend(hashes);
        file.extend(b"ee");
        let torrent = Arc::new(Metainfo::decode(&file).expect("a torrent"));
        let info_hash = torrent.info_hash.0;
        let mut config = Config::new(Profile::own("bittrace/0"));
        config.port = 6881;
        config.single_peer = single_peer;
        config.seeding = seeds.then(SeedGoal::default);
        let now = Timestamp::from_secs_nanos(1_000_000, 0);
        let identity = Identity::new(PeerId(*b"-BT0001-ourselvesxyz"), 1, 7);
        let session = Session::new(config, torrent, identity, [], now);
        Self { session, now, info_hash, content, disk: [vec![None; PIECE], vec![None; LENGTH - PIECE]] }
    }

    fn input(&mut self, step: Step) -> Input {
        let stream = |number: u8| SessionStreamId(u32::from(number));
        let end = |number: u8| ([10, 0, 0, number], 6881).into();
        match step {
            Step::Opened(s) => Input::Opened(stream(s), end(s)),
            Step::Accepted(s) => Input::Accepted(stream(s | 1), end(s)),
            Step::Random(s, bytes) => Input::Received(stream(s), bytes.into()),
            Step::Message(s, id, payload) => Input::Received(stream(s), message(id, &payload)),
            Step::Block(s, last, second, right) => {
                let (piece, begin, length) = match (last, second) {
                    (true, _) => (1_u32, 0_u32, 7_232),
                    (false, second) => (0, u32::from(second) * 16_384, 16_384),
                };
                let start = piece as usize * PIECE + begin as usize;
                let mut payload = [piece.to_be_bytes(), begin.to_be_bytes()].concat();
                payload.extend(&self.content[start..start + length]);
                payload[8] ^= u8::from(!right);
                Input::Received(stream(s), message(7, &payload))
            }
            Step::Handshake(s, bits, id) => {
                let reserved = [0, 0, 0, 0, 0, bits & 0x10, 0, bits & 0x05];
                let mut bytes = b"\x13BitTorrent protocol".to_vec();
                bytes.extend(reserved);
                bytes.extend(self.info_hash);
                bytes.extend(b"-XX1000-aaaaaaaaaaa");
                bytes.push(id);
                Input::Received(stream(s), bytes.into())
            }
            Step::Closed(s) => Input::Closed(stream(s), CloseReason::Reset),
            Step::Sent(s, count) => Input::Sent(stream(s), count as usize),
            Step::Stored(piece, count) => Input::Stored(PieceIndex(piece.into()), count),
            Step::Hashed(piece) => Input::Hashed(PieceIndex(piece.into()), [9; 20]),
            Step::Loaded(s, piece, begin, right) => {
                let block = Block { index: PieceIndex(piece.into()), begin, length: 16_384 };
                Input::Loaded(stream(s), block, right.then(|| Bytes::from(vec![0; 16_384])))
            }
            Step::Fetched(s) => Input::Fetched(stream(s), Err("no".into())),
            Step::Answer(s) => {
                let peers = b"\x0a\0\0\x01\x1a\xe1\x0a\0\0\x02\x1a\xe1";
                let mut bytes =
                    b"HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\nd8:intervali1800e5:peers12:".to_vec();
                bytes.extend(peers);
                bytes.push(b'e');
                Input::Received(stream(s), bytes.into())
            }
            Step::Wait(tenths) => {
                self.now = self.now + Duration::from_millis(u64::from(tenths) * 100);
                Input::Tick
            }
            Step::Stop => Input::Stop,
        }
    }

    /// Passes one input and does all that follows.
    fn act(&mut self, input: Input) {
        self.session.handle(self.now, input);
        for _ in 0..MOST_OUTPUTS {
            match self.session.poll() {
                Output::Wait(Some(at)) if at <= self.now => self.session.handle(self.now, Input::Tick),
                Output::Wait(_) | Output::Done => return self.check(),
                Output::Store(piece, offset, bytes) => self.store(piece, offset, &bytes),
                Output::Discard(piece) => self.disk[piece.0 as usize].fill(None),
                Output::Commit(piece) => {
                    let piece = piece.0 as usize;
                    let stored = self.disk[piece].iter().copied();
                    let wanted = self.content.chunks(PIECE).nth(piece).expect("a piece of the torrent");
                    assert!(stored.eq(wanted.iter().copied().map(Some)), "piece {piece} is wrong and kept");
                }
                _ => {}
            }
        }
        panic!("one input has more than {MOST_OUTPUTS} outputs");
    }

    fn store(&mut self, piece: PieceIndex, offset: u32, bytes: &[u8]) {
        let disk = &mut self.disk[piece.0 as usize];
        let offset = offset as usize;
        for (slot, byte) in disk[offset..offset + bytes.len()].iter_mut().zip(bytes) {
            assert_eq!(slot.replace(*byte), None, "piece {piece}: a byte is stored twice");
        }
        let whole: Option<Vec<u8>> = disk.iter().copied().collect();
        self.session.handle(self.now, Input::Stored(piece, bytes.len() as u32));
        if let Some(whole) = whole {
            self.session.handle(self.now, Input::Hashed(piece, Sha1::digest(whole).into()));
        }
    }

    fn check(&self) {
        let status = self.session.status(self.now);
        assert!(status.pieces_done <= 2 && status.peers_known <= 2_000);
        assert!(self.session.peers(self.now).all(|peer| peer.outstanding <= 1_000));
    }
}

fn message(id: u8, payload: &[u8]) -> Bytes {
    let length = (1 + payload.len() as u32).to_be_bytes();
    [&length[..], &[id], payload].concat().into()
}
