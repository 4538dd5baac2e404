//! How fast a session takes a torrent from one peer, serves one to a peer, and takes small messages. There is no socket, disk
//! or hash, only `handle` and `poll`.
//!
//! `cargo bench -p bittrace-protocol` prints a line for each case: the median of the runs. With `-- haves`, or another first
//! word of a line, only that case is run. Each chunk of blocks is 256 KiB, as a driver reads them; only the time within the
//! session counts.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::print_stdout, missing_docs)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bittrace_protocol::session::{
    Config, Endpoint, Identity, Input, Output, Profile, SeedGoal, Session, SessionStreamId,
};
use bittrace_protocol::{Metainfo, PeerId, PieceIndex, Timestamp};
use bytes::Bytes;

const TOTAL: u64 = 2 << 30;
const BLOCK: usize = 16 * 1024;
const CHUNK: usize = 256 * 1024;

/// How many haves a peer sends, and how many requests it keeps outstanding.
const HAVES: u64 = 1 << 17;
const DEPTH: u32 = 200;

/// How often each case is run.
const RUNS: usize = 5;

fn main() {
    let case = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let runs = |name: &str| case.as_deref().is_none_or(|case| case == name);
    let blocks = TOTAL / BLOCK as u64;
    for piece_length in [64 << 10, 1 << 20, 16 << 20].into_iter().filter(|_| runs("pieces")) {
        let spent = median(|| download(piece_length));
        let rate = TOTAL as f64 / f64::from(1 << 20) / spent.as_secs_f64();
        let block = spent.as_nanos() as u64 / blocks;
        println!("pieces of {:>5} KiB: {rate:>8.0} MiB/s, {block} ns a block", piece_length >> 10);
    }
    if runs("served") {
        println!("served: {} ns a block", median(serve).as_nanos() as u64 / blocks);
    }
    if runs("haves") {
        println!("haves: {} ns a message", median(haves).as_nanos() as u64 / HAVES);
    }
}

fn median(run: impl Fn() -> Duration) -> Duration {
    let mut times = [(); RUNS].map(|()| run());
    times.sort_unstable();
    times[RUNS / 2]
}

/// The time in which a session serves the torrent to one peer that keeps many requests outstanding.
fn serve() -> Duration {
    let torrent = Arc::new(torrent(1 << 20));
    let mut now = Timestamp::from_secs_nanos(1_000_000, 0);
    let mut config = config();
    config.seeding = Some(SeedGoal::default());
    let pieces = (0..torrent.piece_count() as u32).map(PieceIndex);
    let mut session = Session::new(config, torrent.clone(), identity(), pieces, now);
    let stream = SessionStreamId(1);
    let mut inputs =
        VecDeque::from([Input::Accepted(stream, address()), Input::Received(stream, leecher(&torrent))]);
    let block = Bytes::from(vec![0x55; BLOCK]);
    let (mut next, mut outstanding, mut served) = (0_u64, 0, 0);
    let mut spent = Duration::ZERO;
    while served < TOTAL / BLOCK as u64 {
        let input = inputs.pop_front().unwrap_or_else(|| {
            let mut bytes = Vec::new();
            while outstanding < DEPTH && next < TOTAL / BLOCK as u64 {
                let place = next * BLOCK as u64;
                let (piece, begin) = (place >> 20, place % (1 << 20));
                bytes.extend_from_slice(b"\0\0\0\x0d\x06");
                for number in [piece as u32, begin as u32, BLOCK as u32] {
                    bytes.extend_from_slice(&number.to_be_bytes());
                }
                (next, outstanding) = (next + 1, outstanding + 1);
            }
            assert!(!bytes.is_empty(), "the session serves nothing");
            Input::Received(stream, bytes.into())
        });
        now = now + Duration::from_micros(250);
        let outputs = step(&mut session, now, input, &mut spent);
        for output in outputs {
            match output {
                Output::Load(_, place) => {
                    inputs.push_back(Input::Loaded(stream, place, Some(block.clone())));
                }
                Output::Send(_, bytes) => {
                    inputs.push_back(Input::Sent(stream, bytes.len()));
                    if bytes.len() == BLOCK {
                        (outstanding, served) = (outstanding - 1, served + 1);
                    }
                }
                _ => {}
            }
        }
    }
    spent
}

/// The time in which a session takes a have message for each of many pieces.
fn haves() -> Duration {
    let torrent = Arc::new(torrent((TOTAL / HAVES) as u32));
    let now = Timestamp::from_secs_nanos(1_000_000, 0);
    let mut session = Session::new(config(), torrent.clone(), identity(), [], now);
    let stream = SessionStreamId(1);
    let mut spent = Duration::ZERO;
    step(&mut session, now, Input::Accepted(stream, address()), &mut spent);
    step(&mut session, now, Input::Received(stream, leecher(&torrent)), &mut spent);
    spent = Duration::ZERO;
    let numbers: Vec<u32> = (0..HAVES as u32).collect();
    for some in numbers.chunks(100) {
        let bytes: Vec<u8> =
            some.iter().flat_map(|piece| [&b"\0\0\0\x05\x04"[..], &piece.to_be_bytes()].concat()).collect();
        step(&mut session, now, Input::Received(stream, bytes.into()), &mut spent);
    }
    let pieces: Vec<u32> = session.peers(now).map(|peer| peer.pieces).collect();
    assert_eq!(pieces, [HAVES as u32]);
    spent
}

/// Passes one input, and lets the session do all that follows from it.
fn step(session: &mut Session, now: Timestamp, input: Input, spent: &mut Duration) -> Vec<Output> {
    let began = Instant::now();
    session.handle(now, input);
    let mut outputs = Vec::with_capacity(64);
    loop {
        match session.poll() {
            Output::Wait(Some(at)) if at <= now => session.handle(now, Input::Tick),
            Output::Wait(_) | Output::Done => break,
            output => outputs.push(output),
        }
    }
    *spent += began.elapsed();
    outputs
}

fn identity() -> Identity {
    Identity::new(PeerId(*b"-BT0001-benchbenchxx"), 1, 1)
}

fn config() -> Config {
    let mut config = Config::new(Profile::own("bench"));
    config.port = 1;
    config
}

fn address() -> std::net::SocketAddr {
    "10.0.0.1:1".parse().expect("an address")
}

/// The time the session itself takes.
fn download(piece_length: u32) -> Duration {
    let torrent = Arc::new(torrent(piece_length));
    let mut now = Timestamp::from_secs_nanos(1_000_000, 0);
    let mut session = Session::new(config(), torrent.clone(), identity(), [], now);
    let (mut peer, mut asked, mut stored) = (None, VecDeque::new(), vec![0_u32; torrent.piece_count()]);
    let stream = SessionStreamId(1);
    let mut inputs =
        VecDeque::from([Input::Accepted(stream, address()), Input::Received(stream, opening(&torrent))]);
    let mut spare = Bytes::from(vec![0x55; CHUNK + CHUNK / BLOCK * 13]);
    let mut spent = Duration::ZERO;
    while !session.is_complete() {
        let Some(input) = inputs.pop_front().or_else(|| blocks(&mut spare, &mut asked)) else {
            panic!("the session asks for nothing");
        };
        // As much time passes as at a gibibyte a second.
        now = now + Duration::from_micros(250);
        for output in step(&mut session, now, input, &mut spent) {
            match output {
                Output::Open(stream, Endpoint::Peer(_)) => peer = Some(stream),
                Output::Send(SessionStreamId(1), bytes) => hear(&bytes, &mut asked),
                Output::Store(piece, _, bytes) => {
                    let count = bytes.len() as u32;
                    inputs.push_back(Input::Stored(piece, count));
                    let there = &mut stored[piece.0 as usize];
                    *there += count;
                    if *there == piece_length {
                        inputs.push_back(Input::Hashed(piece, [0; 20].into()));
                    }
                }
                _ => {}
            }
        }
    }
    assert_eq!(peer, None);
    spent
}

/// A torrent whose pieces all have the hash zero.
fn torrent(piece_length: u32) -> Metainfo {
    let pieces = TOTAL / u64::from(piece_length);
    let mut file =
        format!("d4:infod6:lengthi{TOTAL}e4:name1:t12:piece lengthi{piece_length}e6:pieces{}:", pieces * 20)
            .into_bytes();
    file.resize(file.len() + pieces as usize * 20, 0);
    file.extend_from_slice(b"ee");
    Metainfo::decode(&file).expect("a torrent")
}

/// Handshake with the fast extension and the extension protocol, an extended handshake, have-all, unchoke.
fn opening(torrent: &Metainfo) -> Bytes {
    let rest = b"\0\0\0\x01\x0e\0\0\0\x14\x14\0d1:mde4:reqqi500ee\0\0\0\x01\x01";
    [&handshake(torrent)[..], rest].concat().into()
}

/// The same handshake, have-none, interested.
fn leecher(torrent: &Metainfo) -> Bytes {
    [&handshake(torrent)[..], b"\0\0\0\x01\x0f\0\0\0\x01\x02"].concat().into()
}

fn handshake(torrent: &Metainfo) -> Vec<u8> {
    let head = b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x04";
    [&head[..], &torrent.info_hash.0, b"-XX0001-peerpeerpeer"].concat()
}

/// Notes the requests among messages; the handshake is one that names none.
fn hear(bytes: &[u8], asked: &mut VecDeque<[u8; 8]>) {
    let mut rest = if bytes.starts_with(b"\x13") { &bytes[68..] } else { bytes };
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (message, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        if let [6, place @ ..] = message {
            asked.push_back(*place.first_chunk().expect("a request"));
        }
        rest = after;
    }
}

/// A chunk with the next blocks asked for, in memory that is used again when nobody holds it.
fn blocks(spare: &mut Bytes, asked: &mut VecDeque<[u8; 8]>) -> Option<Input> {
    let count = asked.len().min(CHUNK / BLOCK);
    if count == 0 {
        return None;
    }
    let mut chunk = match std::mem::take(spare).try_into_mut() {
        Ok(chunk) if chunk.len() == CHUNK + CHUNK / BLOCK * 13 => chunk,
        _ => bytes::BytesMut::zeroed(CHUNK + CHUNK / BLOCK * 13),
    };
    for (place, head) in asked.drain(..count).zip(chunk.chunks_exact_mut(13 + BLOCK)) {
        head[..4].copy_from_slice(&(9 + BLOCK as u32).to_be_bytes());
        head[4] = 7;
        head[5..13].copy_from_slice(&place);
    }
    *spare = chunk.freeze();
    Some(Input::Received(SessionStreamId(1), spare.slice(..count * (13 + BLOCK))))
}
