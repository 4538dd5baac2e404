//! Real clients on loopback, as seeders and as leechers.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use bittrace_client::{Download, Notice, Outcome};
use bittrace_protocol::session::{Config, SeedGoal};
use support::clients::*;
use support::tracker::{Tracker, announce_reply, ok};
use support::{Seed, options, run};

const PIECE: usize = 64 * 1024;

fn seed_of(announce: &str) -> Seed {
    Seed::folder(announce, &[("a.bin", 3_000_000), ("sub/b.bin", 1_500_000), ("c.bin", 700_001)], PIECE)
}

fn named_by() -> (Arc<Mutex<Vec<SocketAddr>>>, Tracker) {
    let named = Arc::new(Mutex::new(Vec::new()));
    let naming = named.clone();
    (named, Tracker::start(move |_| ok(&announce_reply(&naming.lock().unwrap()))))
}

fn gives(program: &str, client: fn(&Job<'_>) -> Client) {
    if !is_there(program) {
        return;
    }
    let (named, tracker) = named_by();
    let seed = seed_of(&tracker.url());
    let folder = tempfile::tempdir().unwrap();
    let (content, work, output) =
        (folder.path().join("content"), folder.path().join("work"), folder.path().join("out"));
    write_content(&seed, &content);
    std::fs::create_dir(&work).unwrap();
    let torrent = folder.path().join("it.torrent");
    std::fs::write(&torrent, &*seed.torrent).unwrap();
    let port = free_port();
    let address: SocketAddr = ([127, 0, 0, 1], port).into();
    let _client = client(&Job { torrent: &torrent, content: &content, work: &work, port });
    wait_until("listening", &work.join("log"), || TcpStream::connect(address).is_ok());
    // It announces itself once its content is verified.
    wait_until("announcing", &work.join("log"), || !tracker.requests().is_empty());
    named.lock().unwrap().push(address);
    let (result, notices) = run(&seed, options(&output, patient()));
    assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
    seed.assert_whole(&output);
}

fn takes(program: &str, client: fn(&Job<'_>) -> Client) {
    if !is_there(program) {
        return;
    }
    let (named, tracker) = named_by();
    let seed = seed_of(&tracker.url());
    let folder = tempfile::tempdir().unwrap();
    let (content, work, output) =
        (folder.path().join("content"), folder.path().join("work"), folder.path().join("out"));
    write_content(&seed, &content);
    std::fs::create_dir(&work).unwrap();
    std::fs::create_dir(&output).unwrap();
    let torrent = folder.path().join("it.torrent");
    std::fs::write(&torrent, &*seed.torrent).unwrap();
    let config = Config { seeding: Some(SeedGoal::default()), ..patient() };
    let options = bittrace_client::Options { listen: vec![host()], ..options(&content, config) };
    let download = Download::new(seed.metainfo.clone(), options).unwrap();
    let stop = download.stop();
    let (listening, port) = std::sync::mpsc::channel();
    let seeder = std::thread::spawn(move || {
        download.run_blocking(|notice| {
            if let Notice::Listening { port } = notice {
                listening.send(port).unwrap();
            }
        })
    });
    let address = SocketAddr::new(host(), port.recv().unwrap());
    named.lock().unwrap().push(address);
    let _client = client(&Job { torrent: &torrent, content: &output, work: &work, port: free_port() });
    wait_until("downloading", &work.join("log"), || {
        seed.files
            .iter()
            .all(|(path, bytes)| std::fs::read(output.join(path)).is_ok_and(|found| found == *bytes))
    });
    stop.stop();
    let report = seeder.join().unwrap().unwrap();
    assert!(report.status.unwrap().uploaded >= seed.bytes.len() as u64);
}

macro_rules! interop {
    ($($client:ident: $program:literal, $gives:ident, $takes:ident;)*) => {$(
        #[test]
        fn $gives() {
            gives($program, $client);
        }

        #[test]
        fn $takes() {
            takes($program, $client);
        }
    )*};
}

interop! {
    aria2: "aria2c", aria2_gives, aria2_takes;
    qbittorrent: "qbittorrent-nox", qbittorrent_gives, qbittorrent_takes;
    rtorrent: "rtorrent", rtorrent_gives, rtorrent_takes;
    libtorrent: "python3", libtorrent_gives, libtorrent_takes;
}

#[test]
fn transmission_gives() {
    gives("transmission-daemon", transmission);
}

#[test]
fn transmission_takes() {
    if is_there("transmission-daemon") && is_there("unshare") && is_there("ip") {
        in_a_namespace("transmission_takes_elsewhere");
    }
}

#[test]
#[ignore = "another test runs it, in a network namespace"]
fn transmission_takes_elsewhere() {
    takes("transmission-daemon", transmission);
}
