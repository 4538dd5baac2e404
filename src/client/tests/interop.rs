//! Real clients on loopback, as seeders and as leechers.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};

use bittrace_client::{Download, Notice, Outcome};
use bittrace_protocol::session::{Config, SeedGoal};
use bittrace_testing::clients::*;
use bittrace_testing::programs::*;
use bittrace_testing::torrent::SeededTorrent;
use bittrace_testing::tracker::ScriptedTracker;
use support::{options, patient, run};

const PIECE: usize = 64 * 1024;

fn seed_of(announce: &str) -> SeededTorrent {
    SeededTorrent::folder(
        announce,
        &[("a.bin", 3_000_000), ("sub/b.bin", 1_500_000), ("c.bin", 700_001)],
        PIECE,
    )
}

fn gives(host: IpAddr, program: &str, client: fn(&ClientJob<'_>) -> RunningClient) {
    if !is_there(program) || (host.is_ipv6() && !has_ipv6()) {
        return;
    }
    let (tracker, named) = ScriptedTracker::naming_later_at(host);
    let seed = seed_of(&tracker.url());
    let folder = tempfile::tempdir().unwrap();
    let (content, work, output) =
        (folder.path().join("content"), folder.path().join("work"), folder.path().join("out"));
    seed.write_files(&content);
    std::fs::create_dir(&work).unwrap();
    let torrent = folder.path().join("it.torrent");
    std::fs::write(&torrent, &*seed.torrent).unwrap();
    let address = SocketAddr::new(host, free_port());
    let job = ClientJob { torrent: &torrent, content: &content, work: &work, address, over_udp: false };
    let _client = client(&job);
    wait_until("listening", &work.join("log"), || TcpStream::connect(address).is_ok());
    // It announces itself once its content is verified.
    wait_until("announcing", &work.join("log"), || !tracker.requests().is_empty());
    named.lock().unwrap().push(address);
    let options = bittrace_client::DownloadOptions { listen: vec![host], ..options(&output, patient()) };
    let (result, notices) = run(&seed, options);
    assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
    seed.assert_whole(&output);
}

fn takes(host: IpAddr, program: &str, client: fn(&ClientJob<'_>) -> RunningClient) {
    if !is_there(program) || (host.is_ipv6() && !has_ipv6()) {
        return;
    }
    let (tracker, named) = ScriptedTracker::naming_later_at(host);
    let seed = seed_of(&tracker.url());
    let folder = tempfile::tempdir().unwrap();
    let (content, work, output) =
        (folder.path().join("content"), folder.path().join("work"), folder.path().join("out"));
    seed.write_files(&content);
    std::fs::create_dir(&work).unwrap();
    std::fs::create_dir(&output).unwrap();
    let torrent = folder.path().join("it.torrent");
    std::fs::write(&torrent, &*seed.torrent).unwrap();
    let config = Config { seeding: Some(SeedGoal::default()), ..patient() };
    let options = bittrace_client::DownloadOptions { listen: vec![host], ..options(&content, config) };
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
    let address = SocketAddr::new(host, port.recv().unwrap());
    named.lock().unwrap().push(address);
    let address = SocketAddr::new(host, free_port());
    let job = ClientJob { torrent: &torrent, content: &output, work: &work, address, over_udp: false };
    let _client = client(&job);
    wait_until("downloading", &work.join("log"), || {
        seed.files
            .iter()
            .all(|(path, bytes)| std::fs::read(output.join(path)).is_ok_and(|found| found == *bytes))
    });
    stop.stop();
    let report = seeder.join().unwrap().unwrap();
    assert!(report.status.unwrap().uploaded >= seed.bytes.len() as u64);
}

const IPV4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const IPV6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

macro_rules! interop {
    ($($host:ident $client:ident: $program:literal, $gives:ident, $takes:ident;)*) => {$(
        #[test]
        fn $gives() {
            gives($host, $program, $client);
        }

        #[test]
        fn $takes() {
            takes($host, $program, $client);
        }
    )*};
}

interop! {
    IPV4 aria2: "aria2c", aria2_gives, aria2_takes;
    IPV4 qbittorrent: "qbittorrent-nox", qbittorrent_gives, qbittorrent_takes;
    IPV4 rtorrent: "rtorrent", rtorrent_gives, rtorrent_takes;
    IPV4 libtorrent: "libtorrent", libtorrent_gives, libtorrent_takes;
    IPV6 aria2: "aria2c", aria2_gives_over_ipv6, aria2_takes_over_ipv6;
    IPV6 qbittorrent: "qbittorrent-nox", qbittorrent_gives_over_ipv6, qbittorrent_takes_over_ipv6;
    IPV6 libtorrent: "libtorrent", libtorrent_gives_over_ipv6, libtorrent_takes_over_ipv6;
}

#[test]
fn transmission_gives() {
    gives(IPV4, "transmission-daemon", transmission);
}

/// It takes none of the loopback network from a tracker.
#[test]
fn transmission_takes() {
    if is_there("transmission-daemon") && is_there("unshare") && is_there("ip") {
        in_a_namespace("transmission_takes_elsewhere");
    }
}

#[test]
#[ignore = "another test runs it, in a network namespace"]
fn transmission_takes_elsewhere() {
    takes(IN_NAMESPACE, "transmission-daemon", transmission);
}
