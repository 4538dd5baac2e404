//! How much memory a download takes, whatever its size and however many peers there are.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::thread;

use bittrace_testing::command::bittrace;
use sha1::{Digest, Sha1};

use super::tracker;

const SIZE: usize = 2 << 30;
const PIECE: usize = 1 << 20;
const COUNT: usize = SIZE / PIECE;

/// The info dictionary of 2 GiB of zeros.
fn info() -> Vec<u8> {
    let hash = Sha1::digest(vec![0; PIECE]);
    let info = format!("d6:lengthi{SIZE}e4:name4:zero12:piece lengthi{PIECE}e6:pieces{}:", COUNT * 20);
    let mut info = info.into_bytes();
    info.extend(hash.repeat(COUNT));
    info.push(b'e');
    info
}

/// A peer that has all of it.
fn zeros() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let address = listener.local_addr().expect("it has an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // It ends when the other end does.
            thread::spawn(move || give(stream));
        }
    });
    address
}

fn give(mut stream: TcpStream) -> Option<()> {
    let mut hearing = BufReader::new(stream.try_clone().ok()?);
    let mut hello = [0; 68];
    hearing.read_exact(&mut hello).ok()?;
    // Nothing offered, a peer id of its own; then a bitfield, and an unchoke.
    hello[20..28].fill(0);
    hello[48..].copy_from_slice(b"-XX0000-abcdefghijkl");
    stream.write_all(&hello).ok()?;
    let bits = vec![0xff; COUNT / 8];
    stream.write_all(&(bits.len() as u32 + 1).to_be_bytes()).ok()?;
    stream.write_all(&[&[5][..], &bits, &[0, 0, 0, 1, 1]].concat()).ok()?;
    let mut saying = Vec::new();
    loop {
        let mut prefix = [0; 4];
        hearing.read_exact(&mut prefix).ok()?;
        let mut message = vec![0; u32::from_be_bytes(prefix) as usize];
        hearing.read_exact(&mut message).ok()?;
        if message.first() == Some(&6) {
            let length = u32::from_be_bytes([message[9], message[10], message[11], message[12]]);
            saying.extend((length + 9).to_be_bytes());
            saying.push(7);
            saying.extend(&message[1..9]);
            saying.resize(saying.len() + length as usize, 0);
        }
        if saying.len() > 256 * 1024 || hearing.buffer().is_empty() {
            stream.write_all(&saying).ok()?;
            saying.clear();
        }
    }
}

/// The most memory that a download of 2 GiB from one of these peers had, in MiB.
fn peak(peers: Vec<SocketAddr>) -> u64 {
    let folder = bittrace_testing::command::scratch_folder();
    let announce = format!("http://{}/announce", tracker(peers));
    let torrent =
        [format!("d8:announce{}:{announce}4:info", announce.len()).as_bytes(), &info(), b"e"].concat();
    let path = folder.path().join("zero.torrent");
    std::fs::write(&path, torrent).expect("a torrent can be written");
    // It goes on after the last piece, so that it can be asked.
    peak_until(folder.path(), &["zero.torrent", "--seed"], "Every piece is verified")
}

/// The most memory, in MiB, that a download with these arguments had when it wrote a line with this text; then it is ended.
fn peak_until(folder: &Path, arguments: &[&str], text: &str) -> u64 {
    let all = [&["download", "--port", "0", "--listen", "127.0.0.1", "-o", "out"], arguments].concat();
    let mut child = bittrace(env!("CARGO_BIN_EXE_bittrace"), folder, &all)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("bittrace starts");
    let told = BufReader::new(child.stdout.take().expect("it is piped"));
    let is_told = told.lines().map_while(Result::ok).any(|line| line.contains(text));
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    child.kill().and_then(|()| child.wait()).expect("it can be ended");
    assert!(is_told, "it ended before");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
    kib / 1024
}

/// Files that nobody has, in 300 folders.
#[cfg(target_os = "linux")]
#[test]
fn a_torrent_of_100_000_files_takes_less_than_64_mib() {
    let folder = bittrace_testing::command::scratch_folder();
    let files: Vec<_> = (0..100_000)
        .map(|number| {
            let (within, name) = (format!("d{:03}", number % 300), format!("file{number:06}.txt"));
            format!("d6:lengthi20e4:pathl{}:{within}{}:{name}ee", within.len(), name.len())
        })
        .collect();
    let hashes = "a".repeat(20 * (100_000 * 20_usize).div_ceil(65_536));
    let info = format!(
        "5:filesl{}e4:name4:many12:piece lengthi65536e6:pieces{}:{hashes}",
        files.concat(),
        hashes.len()
    );
    let path = folder.path().join("many.torrent");
    std::fs::write(&path, format!("d4:infod{info}ee")).expect("a torrent can be written");
    let peak = peak_until(folder.path(), &["many.torrent"], "Listening");
    assert!(peak < 64, "{peak} MiB");
}

#[test]
#[ignore = "it writes 2 GiB; .ci/run runs it"]
fn a_download_of_2_gib_takes_less_than_100_mib() {
    if !bittrace_testing::programs::has_path("/proc/self/status") {
        return;
    }
    let peak = peak(vec![zeros()]);
    assert!(peak < 100, "{peak} MiB");
}

/// Nobody listens at the others.
#[test]
#[ignore = "it writes 2 GiB; .ci/run runs it"]
fn so_it_does_with_5000_peers() {
    if !bittrace_testing::programs::has_path("/proc/self/status") {
        return;
    }
    let peer = zeros();
    let nobody = (0..5_000_u16).map(|number| {
        let [high, low] = number.to_be_bytes();
        SocketAddr::from(([127, 1, high, low], 9))
    });
    // Named again and again: not all of so many are remembered.
    let peers = nobody.enumerate().flat_map(|(at, other)| [(at % 5 == 0).then_some(peer), Some(other)]);
    let peak = peak(peers.flatten().collect());
    assert!(peak < 100, "{peak} MiB");
}
