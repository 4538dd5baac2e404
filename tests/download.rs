//! `bittrace download` as a user runs it, against a tracker and a peer that are a few raw bytes on loopback.

#[path = "download/https.rs"]
mod https;
#[path = "download/memory.rs"]
mod memory;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use sha1::{Digest, Sha1};

const PIECE: usize = 32 * 1024;

fn content() -> Vec<u8> {
    (0..70_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// The info dictionary of a single file `file.bin`.
fn info() -> Vec<u8> {
    let content = content();
    let hashes: Vec<u8> = content.chunks(PIECE).flat_map(|piece| Sha1::digest(piece).to_vec()).collect();
    let mut info = format!(
        "d6:lengthi{}e4:name8:file.bin12:piece lengthi{PIECE}e6:pieces{}:",
        content.len(),
        hashes.len()
    )
    .into_bytes();
    info.extend(hashes);
    info.push(b'e');
    info
}

fn torrent(announce: &str) -> Vec<u8> {
    let mut torrent = format!("d8:announce{}:{announce}4:info", announce.len()).into_bytes();
    torrent.extend(info());
    torrent.push(b'e');
    torrent
}

fn write_torrent(folder: &Path, tracker: SocketAddr) -> String {
    let path = folder.join("file.torrent");
    std::fs::write(&path, torrent(&format!("http://{tracker}/announce"))).expect("a torrent can be written");
    path.to_string_lossy().into_owned()
}

/// What a tracker answers that knows these peers.
fn answer(peers: &[SocketAddr]) -> Vec<u8> {
    let mut body = b"d8:completei1e10:incompletei1e8:intervali1800e5:peers".to_vec();
    body.extend(format!("{}:", peers.len() * 6).bytes());
    for peer in peers {
        let IpAddr::V4(ip) = peer.ip() else { panic!("{peer} does not fit") };
        body.extend(ip.octets());
        body.extend(peer.port().to_be_bytes());
    }
    body.push(b'e');
    body
}

/// A tracker that hands out these peers, in this order, to whoever asks.
fn tracker(peers: Vec<SocketAddr>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let address = listener.local_addr().expect("it has an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                request.push(byte[0]);
            }
            let body = answer(&peers);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    address
}

/// A peer that has everything and gives it; what it gives of piece 1 is wrong when `corrupt`.
fn seeder(corrupt: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let address = listener.local_addr().expect("it has an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream, corrupt));
        }
    });
    address
}

fn serve(mut stream: TcpStream, corrupt: bool) -> Option<()> {
    let mut theirs = [0; 68];
    stream.read_exact(&mut theirs).ok()?;
    let mut ours = theirs;
    // Nothing offered, a peer id of its own; then a bitfield of three pieces, and an unchoke.
    ours[20..28].fill(0);
    ours[48..].copy_from_slice(b"-XX0000-abcdefghijkl");
    stream.write_all(&ours).ok()?;
    stream.write_all(&[0, 0, 0, 2, 5, 0xe0, 0, 0, 0, 1, 1]).ok()?;
    let mut content = content();
    if corrupt {
        content[PIECE + 5] ^= 1;
    }
    loop {
        let mut prefix = [0; 4];
        stream.read_exact(&mut prefix).ok()?;
        let mut message = vec![0; u32::from_be_bytes(prefix) as usize];
        stream.read_exact(&mut message).ok()?;
        if message.first() != Some(&6) {
            continue;
        }
        let number =
            |at: usize| u32::from_be_bytes([message[at], message[at + 1], message[at + 2], message[at + 3]]);
        let start = number(1) as usize * PIECE + number(5) as usize;
        let block = &content[start..start + number(9) as usize];
        let mut piece = (block.len() as u32 + 9).to_be_bytes().to_vec();
        piece.push(7);
        piece.extend(&message[1..9]);
        piece.extend(block);
        stream.write_all(&piece).ok()?;
    }
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    listener.local_addr().expect("it has an address")
}

fn bittrace(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bittrace"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("bittrace starts")
}

fn download(torrent: &str, folder: &Path, more: &[&str]) -> (Output, String) {
    let folder = folder.to_string_lossy().into_owned();
    let arguments =
        [&["download", torrent, "-o", &folder, "--port", "0", "--listen", "127.0.0.1"][..], more].concat();
    let output = bittrace(&arguments);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, told)
}

#[test]
fn goes_through_the_peers_until_one_has_given_all() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (dead, good) = (nobody(), seeder(false));
    let torrent = write_torrent(folder.path(), tracker(vec![dead, good]));
    let record = folder.path().join("live.pcapng").to_string_lossy().into_owned();
    let out = folder.path().join("out");
    let (output, told) = download(&torrent, &out, &["--single-peer", "--record", &record]);
    assert_eq!(output.status.code(), Some(0), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read(out.join("file.bin")).expect("the file is there"), content());
    for says in [
        "file.bin",
        "3 of 32 KiB",
        "event       started",
        &format!("Peer 1: {dead}: connection refused"),
        &format!("Peer 2: {good}: connected"),
        "event       completed",
        "event       stopped",
        "complete: every piece is verified",
        "peers tried    2",
    ] {
        assert!(told.contains(says), "{says:?} is not told in\n{told}");
    }
    let analysis = bittrace(&["analyze", &record, "--torrent", &torrent, "--view", "summary"]);
    let analysis = String::from_utf8_lossy(&analysis.stdout).into_owned();
    assert!(analysis.contains("3 verified") && !analysis.contains("corrupt"), "{analysis}");
    assert!(analysis.contains("refused"), "{analysis}");
}

#[test]
fn leaves_a_peer_that_gives_corrupt_data() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (bad, good) = (seeder(true), seeder(false));
    let torrent = write_torrent(folder.path(), tracker(vec![bad, good]));
    let out = folder.path().join("out");
    let (output, told) = download(&torrent, &out, &["--single-peer"]);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert_eq!(std::fs::read(out.join("file.bin")).expect("the file is there"), content());
    assert!(told.contains(&format!("{bad}: it sent corrupt data in piece 1")), "{told}");
}

#[test]
fn says_that_nobody_had_the_pieces() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let torrent = write_torrent(folder.path(), tracker(vec![nobody()]));
    let out = folder.path().join("out");
    let (output, told) = download(&torrent, &out, &["--single-peer", "--rounds", "1"]);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("incomplete"), "{told}");
    assert!(!out.join("file.bin").exists());
}

#[test]
fn a_second_run_finds_the_file_whole() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let torrent = write_torrent(folder.path(), tracker(vec![seeder(false)]));
    let out = folder.path().join("out");
    assert_eq!(download(&torrent, &out, &["-q"]).0.status.code(), Some(0));
    let (output, told) = download(&torrent, &out, &[]);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("3 pieces verified"), "{told}");
}

#[test]
fn a_file_in_the_way_is_not_overwritten() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let torrent = write_torrent(folder.path(), tracker(vec![seeder(false)]));
    let out = folder.path().join("out");
    std::fs::create_dir(&out).expect("a folder can be made");
    std::fs::write(out.join("file.bin"), "another file").expect("a file can be written");
    let (output, _) = download(&torrent, &out, &[]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("file.bin"), "{errors}");
    assert_eq!(std::fs::read(out.join("file.bin")).expect("still there"), b"another file");
}

#[test]
fn a_torrent_that_cannot_be_read_is_code_2() {
    for (torrent, says) in [("no-such.torrent", "no-such.torrent"), (".", "."), ("Cargo.toml", "Cargo.toml")]
    {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (output, _) = download(torrent, folder.path(), &[]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.starts_with("bittrace: ") && errors.contains(says), "{errors}");
    }
}

#[test]
fn a_url_of_another_kind_is_refused_with_those_that_work() {
    for url in ["ftp://example.test/file.torrent", "file:///file.torrent", "magnet:?xt=urn:btih:00"] {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (output, _) = download(url, folder.path(), &[]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(url) && errors.contains("http:// or https://"), "{errors}");
    }
}

#[test]
fn the_torrent_is_not_recorded_over() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let torrent = write_torrent(folder.path(), tracker(vec![nobody()]));
    let before = std::fs::read(&torrent).expect("the torrent is there");
    let (link, symlink) = (folder.path().join("hard"), folder.path().join("soft"));
    std::fs::hard_link(&torrent, &link).expect("a link can be made");
    std::os::unix::fs::symlink(&torrent, &symlink).expect("a link can be made");
    for record in [Path::new(&torrent), &link, &symlink] {
        let record = record.to_string_lossy();
        let (output, _) = download(&torrent, &folder.path().join("out"), &["--record", &record]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains("--record") && errors.contains("the torrent file"), "{errors}");
        assert_eq!(std::fs::read(&torrent).expect("the torrent is there"), before);
    }
}
