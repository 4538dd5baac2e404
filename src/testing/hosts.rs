//! Addresses of a network namespace, one for each client of a test, and nodes of the DHT that are asked from there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use bittrace_protocol::InfoHash;
use bittrace_protocol::dht::{Kind, Message, Method, NodeId, Query};

/// An address of the namespace; 1 is our own.
pub const fn host(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 77, 0, last))
}

/// An address of the namespace in the /24 of this number; those of [`host`] are in that of 0.
pub const fn host_of(network: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 77, network, 1))
}

/// Gives the namespace these addresses. What is sent to them leaves from ours, as it would from another machine.
///
/// # Panics
/// When the namespace does not take them.
pub fn add_hosts(addresses: impl Iterator<Item = IpAddr>) {
    for address in addresses {
        let commands = format!(
            "ip address replace {address}/32 dev lo &&
             ip route replace local {address} dev lo table local scope host src {}",
            host(1)
        );
        let status = Command::new("sh").args(["-c", &commands]).status().expect("sh starts");
        assert!(status.success(), "{address}");
    }
}

/// Whether a node of the DHT names peers of a torrent. It is asked by one that says that it answers nobody (BEP 43), and so does
/// not become a node of the network; and twice a second, as libtorrent blocks a host that asks more than five times.
///
/// # Panics
/// When the node answers with what is not a message of the DHT.
pub fn names_peers(node: SocketAddr, torrent: InfoHash) -> bool {
    let from = if node.ip().is_loopback() { node.ip() } else { host(5) };
    let socket = UdpSocket::bind((from, 0)).expect("a port is free");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a time can be set");
    let query = Query { target: Some(torrent.0), ..Query::new(Method::GetPeers, NodeId([1; 20])) };
    let message = Message { read_only: Some(true), ..Message::new(*b"it", Kind::Query(query)) };
    socket.send_to(&message.encode(), node).expect("a datagram leaves");
    let mut answer = [0; 1_500];
    let Ok(length) = socket.recv(&mut answer) else { return false };
    let answer = Message::decode(&answer[..length]).expect("a message of the DHT");
    let names = match answer.kind {
        Kind::Response(response) => response.peers.is_some_and(|peers| !peers.is_empty()),
        _ => false,
    };
    if !names {
        std::thread::sleep(Duration::from_millis(500));
    }
    names
}
