//! A peer that has everything and does as little as possible: whole frames go from the page cache to the socket.
//!
//!     seed TORRENT FRAMES PORT
//!
//! FRAMES holds, for each block of 16 KiB in order, the piece message that answers a request for it; requests that follow
//! each other are answered with one call. `benches/download.py` makes it. Its end is that of its standard input.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a measurement ends at its first fault")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;

use bittrace_protocol::Metainfo;
use rustix::fs::sendfile;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [torrent, frames, port] = args.as_slice() else {
        eprintln!("usage: seed TORRENT FRAMES PORT");
        std::process::exit(2);
    };
    let torrent = Arc::new(Metainfo::decode(&std::fs::read(torrent).unwrap()).unwrap());
    let frames = Arc::new(File::open(frames).unwrap());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse().unwrap())).unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let (torrent, frames) = (torrent.clone(), frames.clone());
            // One that leaves while it is served is no fault.
            std::thread::spawn(move || serve(socket, &torrent, &frames));
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink()).unwrap();
}

fn serve(mut socket: TcpStream, torrent: &Metainfo, frames: &File) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut handshake = [0; 68];
    socket.read_exact(&mut handshake)?;
    if !handshake.starts_with(b"\x13BitTorrent protocol") {
        // Some try encryption first.
        return Ok(());
    }
    socket.write_all(&hello(torrent))?;
    let (mut heard, mut filled) = (vec![0; 64 * 1024], 0);
    loop {
        let count = socket.read(&mut heard[filled..])?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let mut at = 0;
        let mut run = 0..0;
        while let Some(length) = heard[at..filled].first_chunk().copied().map(u32::from_be_bytes) {
            let end = at + 4 + length as usize;
            if end > filled {
                break;
            }
            if let Some(frame) = requested(torrent, &heard[at + 4..end]) {
                if run.end == frame.start {
                    run.end = frame.end;
                } else {
                    send(&socket, frames, std::mem::replace(&mut run, frame))?;
                }
            }
            at = end;
        }
        send(&socket, frames, run)?;
        heard.copy_within(at..filled, 0);
        filled -= at;
    }
}

/// Handshake, a full bitfield, unchoke.
fn hello(torrent: &Metainfo) -> Vec<u8> {
    let mut hello = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".to_vec();
    hello.extend_from_slice(&torrent.info_hash.0);
    hello.extend_from_slice(b"-XX0001-000000000000");
    let pieces = torrent.geometry.as_ref().unwrap().piece_count() as usize;
    let mut bits = vec![0xff; pieces.div_ceil(8)];
    *bits.last_mut().unwrap() <<= (8 - pieces % 8) % 8;
    hello.extend_from_slice(&(bits.len() as u32 + 1).to_be_bytes());
    hello.push(5);
    hello.extend_from_slice(&bits);
    hello.extend_from_slice(&[0, 0, 0, 1, 1]);
    hello
}

/// Where the answer to a message stands, when it is a request.
fn requested(torrent: &Metainfo, message: &[u8]) -> Option<Range<u64>> {
    let (6, body) = message.split_first().map(|(&id, body)| (id, body))? else { return None };
    let number = |at: usize| u64::from(u32::from_be_bytes(body[at..at + 4].try_into().unwrap()));
    let (piece, begin, length) = (number(0), number(4), number(8));
    assert_eq!((begin % BLOCK, length), (0, BLOCK), "a request for a whole block");
    let block = (piece * u64::from(torrent.piece_length) + begin) / BLOCK;
    Some(block * (BLOCK + 13)..(block + 1) * (BLOCK + 13))
}

fn send(socket: &TcpStream, frames: &File, run: Range<u64>) -> io::Result<()> {
    let mut at = run.start;
    while at < run.end {
        let left = (run.end - at) as usize;
        // It moves `at` on.
        sendfile(socket, frames, Some(&mut at), left)?;
    }
    Ok(())
}

const BLOCK: u64 = 16 * 1024;
