//! What a download costs at the least: one thread receives over one connection, another hashes and writes. With a second file, a
//! third thread writes all that was received once more, as a recording does.
//!
//!     bare TORRENT PORT FILE [SECOND]
//!
//! It asks for all blocks in order of a peer on this machine that answers in that order, such as the `seed` example, so that
//! it knows before it reads where each message ends. The pieces of the torrent are whole, and of a multiple of 16 KiB.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a measurement ends at its first fault")]

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};

use bittrace_protocol::{Metainfo, PieceIndex};
use rustix::io::pwritev;
use sha1::{Digest, Sha1};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [torrent, port, file, second @ ..] = args.as_slice() else {
        eprintln!("usage: bare TORRENT PORT FILE [SECOND]");
        std::process::exit(2);
    };
    let torrent = Metainfo::decode(&std::fs::read(torrent).unwrap()).unwrap();
    let file = File::create(file).unwrap();
    let second = second.first().map(|second| File::create(second).unwrap());
    let (spent, empty) = channel();
    let (hashed, to_record) = sync_channel::<Vec<u8>>(AHEAD);
    let (full, received) = sync_channel(AHEAD);
    let port = port.parse().unwrap();
    std::thread::scope(|scope| {
        let torrent = &torrent;
        scope.spawn(move || receive(torrent, port, &empty, &full));
        scope.spawn(move || {
            for frames in to_record {
                if let Some(mut second) = second.as_ref() {
                    second.write_all(&frames).unwrap();
                }
                // Nobody takes the last ones.
                let _ = spent.send(frames);
            }
        });
        for (piece, frames) in received {
            let mut hash = Sha1::new();
            let mut parts = Vec::new();
            for frame in frames.chunks(FRAME) {
                hash.update(&frame[HEAD..]);
                parts.push(IoSlice::new(&frame[HEAD..]));
            }
            assert_eq!(torrent.piece_hash(PieceIndex(piece)), Some(hash.finalize().into()));
            let mut at = u64::from(piece) * u64::from(torrent.piece_length);
            for parts in parts.chunks(MAX_SLICES) {
                let written = pwritev(&file, parts, at).unwrap();
                assert_eq!(written, parts.len() * BLOCK as usize, "a write in full");
                at += written as u64;
            }
            hashed.send(frames).unwrap();
        }
        drop(hashed);
    });
}

fn receive(torrent: &Metainfo, port: u16, empty: &Receiver<Vec<u8>>, full: &SyncSender<(u32, Vec<u8>)>) {
    let pieces = torrent.geometry.as_ref().unwrap().piece_count();
    let blocks = torrent.piece_length / BLOCK;
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    socket.set_nodelay(true).unwrap();
    let mut hello = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".to_vec();
    hello.extend_from_slice(&torrent.info_hash.0);
    hello.extend_from_slice(b"-XX0002-000000000000\0\0\0\x01\x02");
    socket.write_all(&hello).unwrap();
    // Handshake, bitfield, unchoke.
    socket.read_exact(&mut vec![0; 68 + 5 + pieces.div_ceil(8) as usize + 5]).unwrap();

    let mut asked = 0;
    for piece in 0..pieces {
        let mut requests = Vec::new();
        // As many as a client of some speed has under way.
        while asked < pieces * blocks && asked < piece * blocks + ASKED.max(blocks) {
            requests.extend_from_slice(&[0, 0, 0, 13, 6]);
            for number in [asked / blocks, asked % blocks * BLOCK, BLOCK] {
                requests.extend_from_slice(&number.to_be_bytes());
            }
            asked += 1;
        }
        socket.write_all(&requests).unwrap();
        let mut frames = empty.try_recv().unwrap_or_default();
        frames.resize(blocks as usize * FRAME, 0);
        socket.read_exact(&mut frames).unwrap();
        full.send((piece, frames)).unwrap();
    }
}

const BLOCK: u32 = 16 * 1024;
/// The bytes of a piece message before its block.
const HEAD: usize = 13;
const FRAME: usize = HEAD + BLOCK as usize;
/// How many blocks are asked for ahead.
const ASKED: u32 = 500;
/// How many pieces may wait to be hashed.
const AHEAD: usize = 2;
const MAX_SLICES: usize = 512;
