#![no_main]
//! A session that meets any inputs in any order: nothing is stored outside the torrent or twice, only verified pieces are
//! kept and served, and what one input leads to stays bounded.

use std::sync::Arc;
use std::time::Duration;

use bittrace_fuzz::session::{CONTENT, InputKind, InputStep, PIECE, content, metainfo, steps};
use bittrace_protocol::session::{
    CloseReason, Config, Identity, Input, MemoryDisk, Output, Profile, SeedGoal, Session, SessionStreamId,
};
use bittrace_protocol::{Block, InfoHash, Metainfo, PeerId, PieceIndex, Timestamp};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

/// One input costs the session a few outputs for each peer, and there are at most [`MOST_STEPS`] peers here.
const MOST_OUTPUTS: usize = 4_000;

/// More steps teach the fuzzer nothing new.
const MOST_STEPS: usize = 300;

/// A step brings at most 64 KiB, and a request of 17 bytes is answered with a block of 16 KiB after it was loaded. Both
/// pieces to each of a few hundred peers is the most.
const MOST_SENT: usize = MOST_STEPS * CONTENT;

fuzz_target!(|input: &[u8]| {
    let Some((&options, rest)) = input.split_first() else { return };
    let mut world = World::new(options);
    world.act(Input::Tick);
    for step in steps(rest).take(MOST_STEPS) {
        let input = world.input(&step);
        world.act(input);
    }
});

struct World {
    session: Session,
    info_hash: InfoHash,
    now: Timestamp,
    content: Vec<u8>,
    disk: MemoryDisk,
    /// Which bytes of each piece are stored.
    stored: [Vec<bool>; 2],
    committed: [bool; 2],
    /// The streams that exist or existed: opened by the session, or accepted.
    streams: Vec<SessionStreamId>,
    accepted: u32,
}

impl World {
    fn new(options: u8) -> Self {
        let torrent = Arc::new(Metainfo::decode(&metainfo()).expect("a torrent"));
        let mut config = Config::new(Profile::own("bittrace/0"));
        config.port = 6881;
        config.single_peer = options & 1 != 0;
        config.seeding = (options & 2 != 0).then(SeedGoal::default);
        let now = Timestamp::from_secs_nanos(1_000_000, 0);
        let identity = Identity::new(PeerId(*b"-BT0001-ourselvesxyz"), 1, 7);
        let disk = MemoryDisk::new(torrent.clone());
        Self {
            info_hash: torrent.info_hash,
            session: Session::new(config, torrent, identity, [], now),
            now,
            content: content(),
            disk,
            stored: [vec![false; PIECE], vec![false; CONTENT - PIECE]],
            committed: [false; 2],
            streams: Vec::new(),
            accepted: 0,
        }
    }

    /// The stream that a step is about. The highest numbers are streams that need not exist.
    fn stream(&self, number: u8) -> SessionStreamId {
        match self.streams.get(usize::from(number)) {
            Some(stream) => *stream,
            None => SessionStreamId(u32::from(number)),
        }
    }

    fn input(&mut self, step: &InputStep<'_>) -> Input {
        let stream = self.stream(step.stream);
        let [low, high] = step.value;
        let value = u16::from_be_bytes([high, low]);
        let address = ([10, 0, 0, step.stream], 6881).into();
        match step.kind {
            InputKind::Accepted => {
                let stream = SessionStreamId(2 * self.accepted + 1);
                self.accepted += 1;
                self.streams.push(stream);
                Input::Accepted(stream, address)
            }
            InputKind::Opened => Input::Opened(stream, address),
            InputKind::Received => Input::Received(stream, step.bytes.to_vec().into()),
            InputKind::Message => Input::Received(stream, message(low, step.bytes)),
            InputKind::Handshake => Input::Received(stream, self.handshake(low, high)),
            InputKind::Block => Input::Received(stream, self.block(low)),
            InputKind::Closed => Input::Closed(stream, CloseReason::Reset),
            InputKind::Sent => Input::Sent(stream, value.into()),
            InputKind::Stored => Input::Stored(PieceIndex(low.into()), high.into()),
            InputKind::Hashed => Input::Hashed(PieceIndex(low.into()), [9; 20].into()),
            InputKind::BlockHashes => Input::BlockHashes(PieceIndex(low.into()), vec![[9; 32]; high.into()]),
            InputKind::Loaded => {
                let block =
                    Block { index: PieceIndex(low.into()), begin: u32::from(high) << 10, length: 16_384 };
                Input::Loaded(stream, block, (high & 1 == 0).then(|| Bytes::from(vec![0; 16_384])))
            }
            InputKind::Wait => {
                self.now = self.now + Duration::from_millis(u64::from(value) * 100);
                Input::Tick
            }
            InputKind::Stop => Input::Stop,
        }
    }

    fn handshake(&self, bits: u8, id: u8) -> Bytes {
        let mut bytes = b"\x13BitTorrent protocol".to_vec();
        bytes.extend([0, 0, 0, 0, 0, bits & 0x10, 0, bits & 0x05]);
        bytes.extend(self.info_hash.0);
        bytes.extend(b"-XX1000-aaaaaaaaaaa");
        bytes.push(id);
        bytes.into()
    }

    /// A piece message: bits 0 and 1 choose the block, bit 2 spoils the first byte.
    fn block(&self, choice: u8) -> Bytes {
        let (piece, begin, length) =
            [(0, 0, 16_384), (0, 16_384, 16_384), (1, 0, 7_232), (1, 0, 7_232)][usize::from(choice & 3)];
        let start = piece as usize * PIECE + begin as usize;
        let mut payload = [u32::to_be_bytes(piece), u32::to_be_bytes(begin)].concat();
        payload.extend(&self.content[start..start + length]);
        payload[8] ^= choice & 4;
        message(7, &payload)
    }

    /// Passes one input and does all that follows.
    fn act(&mut self, input: Input) {
        let mut sent = 0;
        self.session.handle(self.now, input);
        for _ in 0..MOST_OUTPUTS {
            let output = self.session.poll();
            self.check(&output);
            for answer in self.disk.handle(&output).unwrap_or_default() {
                self.session.handle(self.now, answer);
            }
            match output {
                Output::Wait(Some(at)) if at <= self.now => self.session.handle(self.now, Input::Tick),
                Output::Wait(_) | Output::Done => return self.check_status(),
                Output::Open(stream, _) => self.streams.push(stream),
                Output::Send(_, bytes) => {
                    sent += bytes.len();
                    assert!(sent <= MOST_SENT, "one input makes the session send {sent} bytes");
                }
                _ => {}
            }
        }
        panic!("one input has more than {MOST_OUTPUTS} outputs");
    }

    /// What may be asked of the disk now.
    fn check(&mut self, output: &Output) {
        match output {
            Output::Store(piece, offset, bytes) => {
                let place = *offset as usize..*offset as usize + bytes.len();
                assert!(!self.committed[piece.0 as usize], "piece {piece} is stored after it was verified");
                for stored in &mut self.stored[piece.0 as usize][place] {
                    assert!(!std::mem::replace(stored, true), "a byte of piece {piece} is stored twice");
                }
            }
            Output::Discard(piece) => {
                assert!(!self.committed[piece.0 as usize], "piece {piece} is verified and discarded");
                self.stored[piece.0 as usize].fill(false);
            }
            Output::Commit(piece) => {
                let wanted =
                    self.content.chunks(PIECE).nth(piece.0 as usize).expect("a piece of the torrent");
                assert!(self.disk.piece(*piece) == wanted, "piece {piece} is wrong and kept");
                assert!(
                    self.stored[piece.0 as usize].iter().all(|stored| *stored),
                    "piece {piece} has a hole"
                );
                let before = std::mem::replace(&mut self.committed[piece.0 as usize], true);
                assert!(!before, "piece {piece} is kept twice");
            }
            Output::Load(_, block) => {
                let piece = block.index.0 as usize;
                assert!(self.committed[piece], "piece {piece} is served and was not verified");
                assert!(block.begin as usize + block.length as usize <= self.stored[piece].len());
            }
            _ => {}
        }
    }

    fn check_status(&self) {
        let status = self.session.status(self.now);
        let committed = self.committed.iter().filter(|committed| **committed).count();
        assert_eq!(status.pieces_done as usize, committed);
        assert!(status.peers_known <= 2_000, "{} peers are known", status.peers_known);
        assert!(self.session.peers(self.now).all(|peer| peer.outstanding <= 1_000));
    }
}

fn message(id: u8, payload: &[u8]) -> Bytes {
    let length = (1 + payload.len() as u32).to_be_bytes();
    [&length[..], &[id], payload].concat().into()
}
