//! What a node does with datagrams, and what it leaves to its session.

use std::sync::Arc;

use super::*;
use crate::session::{Config, Identity, Profile};
use crate::{Metainfo, PeerId};

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000_000_000);

fn torrent() -> Arc<Metainfo> {
    let file = b"d8:announce22:http://t.test/announce4:infod6:lengthi4e4:name4:data12:piece lengthi16384e\
        6:pieces20:....................ee";
    Arc::new(Metainfo::decode(file).expect("a torrent"))
}

fn node() -> Node {
    let identity = Identity::new(PeerId(*b"-BT0000-example00000"), 0, 1);
    Node::new(Session::new(Config::new(Profile::own("test")), torrent(), identity, [], NOW))
}

#[test]
fn a_node_wants_what_its_session_wants() {
    let mut node = node();
    node.handle(NOW, session::Input::Tick.into());
    assert!(matches!(
        node.poll(),
        Output::Session(session::Output::Open(_, session::Endpoint::HttpTracker(host, 80))) if host == "t.test"
    ));
}

#[test]
fn datagrams_that_are_nobodys_are_dropped_and_counted() {
    let mut node = node();
    let from = SocketAddr::from(([10, 0, 0, 1], 6881));
    for (count, bytes) in [&b""[..], b"x", b"\x51\x00", b"BT-SEARCH * HTTP/1.1\r\n"].into_iter().enumerate() {
        node.handle(NOW, Input::Datagram(from, Bytes::from_static(bytes)));
        assert_eq!(node.dropped_datagrams(), count as u64 + 1);
    }
}

/// A node on a network announces its torrent, and dials a peer that announces the torrent there.
#[test]
fn peers_of_the_local_network_are_dialled() {
    let info_hash = torrent().info_hash;
    let mut node = node().with_lsd(Beacon::new(6881, vec![info_hash], &[7; 32]));
    let interface = Interface { id: InterfaceId(3), address: [10, 0, 0, 2].into(), prefix: 24 };
    node.handle(NOW, session::Input::Tick.into());
    node.handle(NOW, Input::Interfaces(vec![interface]));
    let mut outputs = Vec::new();
    let mut drain = |node: &mut Node| loop {
        match node.poll() {
            Output::Session(session::Output::Wait(at)) => break at,
            output => outputs.push(output),
        }
    };
    let wait = drain(&mut node);
    assert!(wait.is_some_and(|at| at <= NOW + std::time::Duration::from_secs(300)), "{wait:?}");
    let says = format!("BT-SEARCH * HTTP/1.1\r\nHost: x\r\nPort: 6889\r\nInfohash: {info_hash}\r\n\r\n\r\n");
    let from = SocketAddr::from(([10, 0, 0, 9], 6771));
    node.handle(NOW, Input::Multicast(InterfaceId(3), from, Bytes::from(says.into_bytes())));
    drain(&mut node);
    let announced = outputs.iter().any(|output| {
        matches!(output, Output::Multicast(InterfaceId(3), group, bytes)
            if group.to_string() == "239.192.152.143:6771" && bytes.starts_with(crate::lsd::START))
    });
    assert!(announced, "{outputs:?}");
    let dialled = outputs.iter().any(|output| {
        matches!(output, Output::Session(session::Output::Open(_, session::Endpoint::Peer(peer)))
            if peer.to_string() == "10.0.0.9:6889")
    });
    assert!(dialled, "{outputs:?}");
}
