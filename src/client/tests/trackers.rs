//! What trackers do, and downloads make of it.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use bittrace_client::Outcome;
use bittrace_testing::peer::{HostilePeer, Misconduct};
use bittrace_testing::torrent::SeededTorrent;
use bittrace_testing::tracker::{ScriptedTracker, announce_reply, ok};
use support::{config, options, run};

type Named = Arc<Mutex<Vec<SocketAddr>>>;

/// Downloads 100 kB through a tracker that answers so, given the peers it should name.
fn download(
    mut answer: impl FnMut(&str, &[SocketAddr]) -> Vec<u8> + Send + 'static,
) -> (Outcome, Vec<String>) {
    let named = Named::default();
    let naming = named.clone();
    let tracker = ScriptedTracker::start(move |request| answer(request, &naming.lock().unwrap()));
    let seed = SeededTorrent::single(&tracker.url(), 100_000, 32 * 1024);
    let peer = HostilePeer::start(&seed, Misconduct::None);
    named.lock().unwrap().push(peer.address);
    let output = tempfile::tempdir().unwrap();
    let mut config = config();
    config.single_peer = true;
    let (result, notices) = run(&seed, options(output.path(), config));
    let outcome = result.unwrap().outcome;
    if outcome == Outcome::Complete {
        seed.assert_whole(output.path());
    }
    (outcome, notices)
}

#[track_caller]
fn assert_fails(answer: Vec<u8>, reason: &str) {
    let (outcome, notices) = download(move |_, _| answer.clone());
    assert_eq!(outcome, Outcome::Incomplete);
    let failed = notices.iter().find(|notice| notice.contains("TrackerFailed"));
    assert!(failed.is_some_and(|failed| failed.contains(reason)), "{notices:#?}");
}

#[test]
fn failures_are_told_in_the_trackers_words() {
    assert_fails(ok(b"d14:failure reason12:not allowed!e"), "not allowed!");
    assert_fails(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(), "404");
    assert_fails(ok(b"<html>nonsense</html>"), "");
    assert_fails(b"\x00\x01\x02nonsense\r\n\r\n".to_vec(), "");
    assert_fails(ok(b""), "");
}

#[test]
fn silence_ends() {
    assert_fails(Vec::new(), "");
}

#[test]
fn answers_may_be_chunked_compressed_or_elsewhere() {
    let chunked = |peers: &[SocketAddr]| {
        let body = announce_reply(peers);
        let (first, second) = body.split_at(10);
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for part in [first, second] {
            answer.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
            answer.extend_from_slice(part);
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(b"0\r\n\r\n");
        answer
    };
    assert_eq!(download(move |_, peers| chunked(peers)).0, Outcome::Complete);

    let compressed = |peers: &[SocketAddr]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&announce_reply(peers)).unwrap();
        let body = encoder.finish().unwrap();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), &body].concat()
    };
    assert_eq!(download(move |_, peers| compressed(peers)).0, Outcome::Complete);

    let elsewhere = |request: &str, peers: &[SocketAddr]| {
        if request.starts_with("GET /moved") {
            return ok(&announce_reply(peers));
        }
        let target = request.split(' ').nth(1).unwrap_or_default().replace("/announce", "/moved");
        format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    };
    assert_eq!(download(elsewhere).0, Outcome::Complete);
}

#[test]
fn peers_may_be_named_by_name() {
    let named = |_: &str, peers: &[SocketAddr]| {
        let port = peers[0].port();
        ok(format!("d8:intervali1800e5:peersld2:ip9:localhost4:porti{port}eeee").as_bytes())
    };
    let (outcome, notices) = download(named);
    assert_eq!(outcome, Outcome::Complete, "{notices:#?}");
}

/// A UDP tracker that names this peer.
fn udp_tracker(socket: UdpSocket, named: Named) {
    let mut buffer = [0; 2048];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let (action, transaction) = (&buffer[8..12], buffer[12..16].to_vec());
        let answer = match (length, action) {
            (16, [0, 0, 0, 0]) => [&[0; 4][..], &transaction, b"connect!"].concat(),
            (98.., [0, 0, 0, 1]) => {
                assert_eq!(&buffer[..8], b"connect!");
                // Interval, leechers, seeders.
                let mut answer =
                    [&[0, 0, 0, 1][..], &transaction, &[0, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 1]].concat();
                for peer in &*named.lock().unwrap() {
                    match peer.ip() {
                        std::net::IpAddr::V4(ip) => answer.extend_from_slice(&ip.octets()),
                        std::net::IpAddr::V6(ip) => answer.extend_from_slice(&ip.octets()),
                    }
                    answer.extend_from_slice(&peer.port().to_be_bytes());
                }
                answer
            }
            _ => [&[0, 0, 0, 3][..], &transaction, b"what?"].concat(),
        };
        let _ = socket.send_to(&answer, from);
    }
}

#[test]
fn datagrams_carry_announces_over_both_families() {
    for host in ["127.0.0.1", "[::1]"] {
        let Ok(socket) = UdpSocket::bind(format!("{host}:0")) else { continue };
        let named = Named::default();
        let seed = SeededTorrent::single(
            &format!("udp://{}/announce", socket.local_addr().unwrap()),
            100_000,
            32 * 1024,
        );
        let naming = named.clone();
        std::thread::spawn(move || udp_tracker(socket, naming));
        let peer = HostilePeer::start_at(&seed, Misconduct::None, &format!("{host}:0"));
        named.lock().unwrap().push(peer.address);
        let output = tempfile::tempdir().unwrap();
        let path = output.path().join("live.pcapng");
        let mut options = options(&output.path().join("out"), config());
        options.record = Some(path.clone());
        let (result, notices) = run(&seed, options);
        assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
        seed.assert_whole(&output.path().join("out"));
        let mut trace = bittrace_trace::Trace::open(&path, bittrace_trace::TraceOptions::default()).unwrap();
        while trace.next().unwrap().is_some() {}
        // Connecting, started, completed and stopped, each answered.
        assert!(trace.counts().udp >= 8, "{:?}", trace.counts());
    }
}

#[test]
fn a_tracker_that_redirects_to_itself_fails() {
    let round = |request: &str, _: &[SocketAddr]| {
        let target = request.split(' ').nth(1).unwrap_or_default();
        format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    };
    assert_eq!(download(round).0, Outcome::Incomplete);
}

#[test]
fn five_thousand_peers_are_borne() {
    let many = |_: &str, peers: &[SocketAddr]| {
        // Ports of one address of the loopback network, where nobody listens.
        let mut all: Vec<SocketAddr> = (1..5000).map(|port| ([127, 0, 0, 1], port).into()).collect();
        all.retain(|address| !peers.contains(address) && ![22, 25, 53, 80, 111].contains(&address.port()));
        all.splice(60..60, peers.iter().copied());
        ok(&announce_reply(&all))
    };
    let (outcome, notices) = download(many);
    assert_eq!(outcome, Outcome::Complete, "{notices:#?}");
}
