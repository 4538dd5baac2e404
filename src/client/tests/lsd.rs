//! Local service discovery (BEP 14) with real clients, in a network namespace: the torrent has no tracker that answers, so that
//! peers find each other by multicast alone.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bittrace_client::{Download, DownloadOptions, Notice, Outcome};
use bittrace_protocol::session::{Config, SeedGoal};
use bittrace_testing::clients::*;
use bittrace_testing::programs::*;
use bittrace_testing::torrent::SeededTorrent;
use bittrace_trace::record::Body;
use socket2::{Domain, Socket, Type};
use support::{options, patient, read_all, run};

const OURS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 4);
const THEIRS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);

/// Gives the namespace an interface with both addresses, which takes multicasts.
fn make_local_network() {
    for command in [
        "ip link add v0 type veth peer name v1",
        "ip address add 10.77.0.3/24 dev v0",
        "ip address add 10.77.0.4/24 dev v0",
        "ip link set v0 up",
        "ip link set v1 up",
        "ip route add 239.0.0.0/8 dev v0",
    ] {
        let mut words = command.split(' ');
        let status = Command::new(words.next().unwrap()).args(words).status().unwrap();
        assert!(status.success(), "{command}");
    }
}

/// Starts a client that looks for peers in the local network.
fn start_at(client: StartClient, torrent: &Path, content: &Path, work: &Path, port: u16) -> RunningClient {
    let address = SocketAddr::from((THEIRS, port));
    client(&ClientJob { lsd: true, ..ClientJob::new(torrent, content, work, address) })
}

/// rTorrent does not speak the protocol; Transmission 3.00 is not heard in this network.
const CLIENTS: [(&str, StartClient); 3] =
    [("libtorrent", libtorrent), ("qbittorrent-nox", qbittorrent), ("aria2c", aria2)];

/// A socket that hears what others of the network say to the group.
fn group() -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 6771));
    socket.bind(&address.into()).unwrap();
    let socket = UdpSocket::from(socket);
    socket.join_multicast_v4(&Ipv4Addr::new(239, 192, 152, 143), &OURS).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    socket
}

/// Whether a program of this namespace has bound the port of the group.
fn hears_the_group() -> bool {
    let sockets = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
    // 6771 in hexadecimal.
    sockets.contains(":1A73 ")
}

/// How many announces of the local network a recording has: sent by us, and received.
fn announces(recording: &Path) -> (usize, usize) {
    let (mut sent, mut received) = (0, 0);
    read_all(recording, |record| {
        if let Body::Lsd(_) = record.body {
            *(if record.source.ip() == OURS { &mut sent } else { &mut received }) += 1;
            assert_eq!(record.destination, "239.192.152.143:6771".parse().unwrap());
        }
    });
    (sent, received)
}

fn seed() -> SeededTorrent {
    SeededTorrent::single("http://127.0.0.1:1/announce", 8 << 20, 64 * 1024)
}

fn local(output: &Path, config: Config, recording: &Path) -> DownloadOptions {
    DownloadOptions {
        listen: vec![IpAddr::V4(OURS)],
        lsd: true,
        record: Some(recording.to_owned()),
        ..options(output, config)
    }
}

fn gives(client: StartClient) {
    let (seed, folder) = (seed(), tempfile::tempdir().unwrap());
    let [content, work, output] = ["content", "work", "out"].map(|name| folder.path().join(name));
    seed.write_files(&content);
    std::fs::create_dir(&work).unwrap();
    let torrent = folder.path().join("it.torrent");
    std::fs::write(&torrent, &*seed.torrent).unwrap();
    let _client = start_at(client, &torrent, &content, &work, free_port());
    let recording = folder.path().join("run.pcapng");
    let config = Config { rounds: None, ..patient() };
    let (result, notices) = run(&seed, local(&output, config, &recording));
    assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
    seed.assert_whole(&output);
    let (sent, _) = announces(&recording);
    assert!(sent >= 1, "our announce is in the recording");
}

fn takes(client: StartClient) {
    let (seed, folder) = (seed(), tempfile::tempdir().unwrap());
    let [content, work, output] = ["content", "work", "out"].map(|name| folder.path().join(name));
    seed.write_files(&content);
    std::fs::create_dir(&work).unwrap();
    std::fs::create_dir(&output).unwrap();
    let torrent = folder.path().join("it.torrent");
    std::fs::write(&torrent, &*seed.torrent).unwrap();
    let recording = folder.path().join("run.pcapng");
    let config = Config { seeding: Some(SeedGoal::default()), rounds: None, ..patient() };
    let download = Download::new(seed.metainfo.clone(), local(&content, config, &recording)).unwrap();
    let stop = download.stop();
    let (listening, port) = std::sync::mpsc::channel();
    // We have everything and call nobody: the client has to know its torrent when we announce, as it does once it has announced.
    let theirs = free_port();
    let group = group();
    let _client = start_at(client, &torrent, &output, &work, theirs);
    wait_until("listening", &work.join("log"), || TcpStream::connect((THEIRS, theirs)).is_ok());
    group.recv(&mut [0; 1500]).unwrap();
    drop(group);
    let seeder = std::thread::spawn(move || {
        download.run_blocking(|notice| {
            if let Notice::Listening { port } = notice {
                listening.send(port).unwrap();
            }
        })
    });
    port.recv().unwrap();
    wait_until("downloading", &work.join("log"), || seed.is_whole(&output));
    stop.stop();
    seeder.join().unwrap().unwrap();
    let (sent, _) = announces(&recording);
    assert!(sent >= 1, "our announce is in the recording");
}

#[test]
fn clients_of_the_local_network_give() {
    if can_make_namespaces() {
        in_a_namespace("clients_give_elsewhere");
    }
}

#[test]
#[ignore = "another test runs it, in a network namespace"]
fn clients_give_elsewhere() {
    make_local_network();
    CLIENTS.into_iter().filter(|(program, _)| is_there(program)).for_each(|(_, client)| gives(client));
}

#[test]
fn clients_of_the_local_network_take() {
    if can_make_namespaces() {
        in_a_namespace("clients_take_elsewhere");
    }
}

#[test]
#[ignore = "another test runs it, in a network namespace"]
fn clients_take_elsewhere() {
    make_local_network();
    CLIENTS.into_iter().filter(|(program, _)| is_there(program)).for_each(|(_, client)| takes(client));
}

/// Two runs of ours on one network, and a private torrent, which is not announced.
#[test]
fn two_of_us_find_each_other_and_a_private_torrent_is_not_announced() {
    if can_make_namespaces() {
        in_a_namespace("two_of_us_elsewhere");
    }
}

#[test]
#[ignore = "another test runs it, in a network namespace"]
fn two_of_us_elsewhere() {
    make_local_network();
    let (seed, folder) = (seed(), tempfile::tempdir().unwrap());
    let [content, output] = ["content", "out"].map(|name| folder.path().join(name));
    seed.write_files(&content);
    let [theirs, ours] = ["theirs.pcapng", "ours.pcapng"].map(|name| folder.path().join(name));
    let config = Config { seeding: Some(SeedGoal::default()), rounds: None, ..patient() };
    let mut seeding = local(&content, config, &theirs);
    seeding.listen = vec![IpAddr::V4(THEIRS)];
    seeding.identity.secret = [9; 32];
    seeding.identity.peer_id = bittrace_protocol::PeerId(*b"-bt0000-theotherside");
    let download = Download::new(seed.metainfo.clone(), seeding).unwrap();
    let stop = download.stop();
    // Who has everything calls nobody: the announce of the seeder has to reach the other, who listens already.
    let seeder = std::thread::spawn(move || {
        wait_until("hearing the group", Path::new("no log"), hears_the_group);
        download.run_blocking(|_| {})
    });
    let (result, notices) = run(&seed, local(&output, Config { rounds: None, ..patient() }, &ours));
    assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
    stop.stop();
    seeder.join().unwrap().unwrap();
    assert!(announces(&ours).0 >= 1);

    let private = {
        let mut file = seed.torrent.to_vec();
        // Keys stand in order: "private" comes after "pieces", at the end of the info dictionary.
        file.truncate(file.len() - 2);
        file.extend(b"7:privatei1eee");
        bittrace_protocol::Metainfo::decode(&file).unwrap()
    };
    assert!(private.private);
    let recording = folder.path().join("private.pcapng");
    let options = local(&folder.path().join("private"), Config { rounds: Some(1), ..patient() }, &recording);
    let download = Download::new(private.into(), options).unwrap();
    download.run_blocking(|_| {}).unwrap();
    assert_eq!(announces(&recording), (0, 0));
}
