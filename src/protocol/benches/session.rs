//! How fast a session takes a torrent from one peer, by itself: no socket, disk or hash, only `handle` and `poll`.
//!
//! `cargo bench -p bittrace-protocol` prints a line for each piece length. Each chunk is 256 KiB, as a driver reads them;
//! only the time within the session counts.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::print_stdout, missing_docs)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bittrace_protocol::session::{
    Config, Endpoint, Identity, Input, Output, Profile, Session, SessionStreamId,
};
use bittrace_protocol::{Metainfo, PeerId, Timestamp};
use bytes::Bytes;

const TOTAL: u64 = 2 << 30;
const BLOCK: usize = 16 * 1024;
const CHUNK: usize = 256 * 1024;

fn main() {
    for piece_length in [64 << 10, 1 << 20, 16 << 20] {
        let spent = (0..3).map(|_| download(piece_length)).min().unwrap_or_default();
        let rate = TOTAL as f64 / f64::from(1 << 20) / spent.as_secs_f64();
        let block = spent.as_nanos() as u64 / (TOTAL / BLOCK as u64);
        println!("pieces of {:>5} KiB: {rate:>8.0} MiB/s, {block} ns a block", piece_length >> 10);
    }
}

/// The time the session itself takes.
fn download(piece_length: u32) -> Duration {
    let torrent = Arc::new(torrent(piece_length));
    let identity = Identity::new(PeerId(*b"-BT0001-benchbenchxx"), 1, 1);
    let mut now = Timestamp::from_secs_nanos(1_000_000, 0);
    let mut config = Config::new(Profile::own("bench"));
    config.port = 1;
    let mut session = Session::new(config, torrent.clone(), identity, [], now);
    let (mut peer, mut asked, mut stored) = (None, VecDeque::new(), vec![0_u32; torrent.piece_count()]);
    let mut inputs =
        VecDeque::from([Input::Accepted(SessionStreamId(1), "10.0.0.1:1".parse().expect("an address"))]);
    inputs.push_back(Input::Received(SessionStreamId(1), opening(&torrent)));
    let mut spare = Bytes::from(vec![0x55; CHUNK + CHUNK / BLOCK * 13]);
    let mut spent = Duration::ZERO;
    while !session.is_complete() {
        let Some(input) = inputs.pop_front().or_else(|| blocks(&mut spare, &mut asked)) else {
            panic!("the session asks for nothing");
        };
        // As much time passes as at a gibibyte a second.
        now = now + Duration::from_micros(250);
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
        spent += began.elapsed();
        for output in outputs {
            match output {
                Output::Open(stream, Endpoint::Peer(_)) => peer = Some(stream),
                Output::Send(SessionStreamId(1), bytes) => hear(&bytes, &mut asked),
                Output::Store(piece, _, bytes) => {
                    let count = bytes.len() as u32;
                    inputs.push_back(Input::Stored(piece, count));
                    let there = &mut stored[piece.0 as usize];
                    *there += count;
                    if *there == piece_length {
                        inputs.push_back(Input::Hashed(piece, [0; 20]));
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
    let mut bytes = b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x04".to_vec();
    bytes.extend_from_slice(&torrent.info_hash.0);
    bytes.extend_from_slice(b"-XX0001-peerpeerpeer");
    bytes.extend_from_slice(b"\0\0\0\x01\x0e\0\0\0\x14\x14\0d1:mde4:reqqi500ee\0\0\0\x01\x01");
    bytes.into()
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
