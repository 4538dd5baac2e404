//! Measures a download over loopback from a peer that does as little as possible, in another process.
//!
//!     cargo run --release -p bittrace-client --example loopback -- MIB PIECE_KIB FOLDER [RECORDING]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement ends at its first fault"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use bittrace_client::{Download, Options, random_identity};
use bittrace_protocol::Metainfo;
use bittrace_protocol::session::{Config, Profile};
use sha1::{Digest, Sha1};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("seed") => seed(args[1].parse().unwrap(), args[2].parse().unwrap()),
        Some(_) if args.len() >= 3 => measure(&args),
        _ => eprintln!("usage: loopback MIB PIECE_KIB FOLDER [RECORDING]"),
    }
}

fn measure(args: &[String]) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["seed", &args[0], &args[1]])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut torrent = Vec::new();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut length = String::new();
    said.read_line(&mut length).unwrap();
    said.take(length.trim().parse().unwrap()).read_to_end(&mut torrent).unwrap();
    let metainfo = Arc::new(Metainfo::decode(&torrent).unwrap());

    let identity = random_identity(b"-bt0000-").unwrap();
    let config = Config { rounds: Some(1), ..Config::new(Profile::own("bittrace loopback")) };
    let mut options = Options::new(&args[2], config, identity);
    options.listen = vec![Ipv4Addr::LOCALHOST.into()];
    options.record = args.get(3).map(Into::into);
    let started = Instant::now();
    let report = Download::new(metainfo, options).unwrap().run_blocking(|_| {}).unwrap();
    let seconds = started.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    let mib: f64 = args[0].parse().unwrap();
    println!(
        "{:?}: {:.0} MiB/s, {:.2} CPU seconds a GiB, {}",
        report.outcome,
        mib / seconds,
        cpu_seconds() / mib * 1024.0,
        peak.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// A tracker and a peer that has everything: the same MiB over and over.
fn seed(mib: usize, piece_kib: usize) {
    let mut state = 1_u64;
    let pattern: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(2 << 20)
    .collect();
    let piece = piece_kib * 1024;
    let distinct = ((1 << 20) / piece).max(1);
    let digests: Vec<_> = (0..distinct)
        .map(|number| {
            let bytes: Vec<u8> = (0..piece).map(|at| pattern[(number * piece + at) % (1 << 20)]).collect();
            Sha1::digest(&bytes)
        })
        .collect();
    let count = mib * 1024 / piece_kib;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tracker = TcpListener::bind("127.0.0.1:0").unwrap();
    let announce = format!("http://{}/announce", tracker.local_addr().unwrap());
    let mut torrent = format!(
        "d8:announce{}:{announce}4:infod6:lengthi{}e4:name4:data12:piece lengthi{piece}e6:pieces{}:",
        announce.len(),
        mib << 20,
        count * 20
    )
    .into_bytes();
    for number in 0..count {
        torrent.extend_from_slice(&digests[number % distinct]);
    }
    torrent.extend_from_slice(b"ee");
    let hash = Metainfo::decode(&torrent).unwrap().info_hash.0;
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut socket in tracker.incoming().flatten() {
            let _ = socket.read(&mut [0; 4096]);
            let mut answer =
                b"HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\nd8:intervali1800e5:peers6:\x7f\0\0\x01"
                    .to_vec();
            answer.extend_from_slice(&port.to_be_bytes());
            answer.push(b'e');
            let _ = socket.write_all(&answer);
        }
    });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", torrent.len()).unwrap();
    out.write_all(&torrent).unwrap();
    out.flush().unwrap();
    for socket in listener.incoming().flatten() {
        let pattern = pattern.clone();
        std::thread::spawn(move || serve(socket, &pattern, hash, piece, count));
    }
}

fn serve(
    mut socket: TcpStream,
    pattern: &[u8],
    hash: [u8; 20],
    piece: usize,
    count: usize,
) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut hearing = BufReader::with_capacity(64 * 1024, socket.try_clone()?);
    hearing.read_exact(&mut [0; 68])?;
    socket.write_all(
        &[b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0", &hash[..], b"-XX0001-000000000000"].concat(),
    )?;
    let mut bits = vec![0xff_u8; count.div_ceil(8)];
    if !count.is_multiple_of(8) {
        *bits.last_mut().unwrap() = 0xff << (8 - count % 8);
    }
    socket
        .write_all(&[&(bits.len() as u32 + 1).to_be_bytes()[..], &[5], &bits, &[0, 0, 0, 1, 1]].concat())?;
    let mut body = Vec::new();
    let mut out: Vec<u8> = Vec::new();
    loop {
        let mut length = [0; 4];
        hearing.read_exact(&mut length)?;
        body.resize(u32::from_be_bytes(length) as usize, 0);
        hearing.read_exact(&mut body)?;
        if body.first() == Some(&6) {
            let number = |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().unwrap());
            let (index, begin, length) = (number(1), number(5), number(9));
            let start = (index as usize * piece + begin as usize) % (1 << 20);
            out.extend_from_slice(&(length + 9).to_be_bytes());
            out.push(7);
            out.extend_from_slice(&body[1..9]);
            out.extend_from_slice(&pattern[start..][..length as usize]);
        }
        if out.len() > 256 * 1024 || (hearing.buffer().is_empty() && !out.is_empty()) {
            socket.write_all(&out)?;
            out.clear();
        }
    }
}
