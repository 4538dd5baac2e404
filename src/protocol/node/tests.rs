//! What a node does with datagrams, and what it leaves to its session.

use std::sync::Arc;

use super::*;
use crate::session::{Config, Identity, Profile};
use crate::{Metainfo, PeerId};

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000_000_000);

fn node() -> Node {
    let file = b"d8:announce22:http://t.test/announce4:infod6:lengthi4e4:name4:data12:piece lengthi16384e\
        6:pieces20:....................ee";
    let torrent = Arc::new(Metainfo::decode(file).expect("a torrent"));
    let identity = Identity::new(PeerId(*b"-BT0000-example00000"), 0, 1);
    Node::new(Session::new(Config::new(Profile::own("test")), torrent, identity, [], NOW))
}

#[test]
fn a_node_wants_what_its_session_wants() {
    let mut node = node();
    node.handle(NOW, session::Input::Tick.into());
    assert!(matches!(
        node.poll(),
        Output::Session(session::Output::Open(_, session::Endpoint::HttpTracker(remote))) if remote.host == "t.test" && remote.port == 80
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

fn with_dht(more: &str) -> Node {
    let file = format!(
        "d4:infod6:lengthi4e4:name4:data12:piece lengthi16384e6:pieces20:....................{more}ee"
    );
    let torrent = Arc::new(Metainfo::decode(file.as_bytes()).expect("a torrent"));
    let identity = Identity::new(PeerId(*b"-BT0000-example00000"), 0, 1);
    let config = Config { port: 6881, dht_port: Some(6881), ..Config::new(Profile::own("test")) };
    let settings = crate::dht::DhtSettings {
        port: 6881,
        ipv4: true,
        ipv6: false,
        read_only: false,
        version: *b"bt\x01\x00",
        secret: [3; 32],
        saved: SavedNodes::default(),
        contacts: vec![session::HostPort { host: "node.test".to_owned(), port: 7000 }],
        routers: Vec::new(),
    };
    Node::new(Session::new(config, torrent, identity, [], NOW)).with_dht(DhtNode::new(settings, NOW), NOW)
}

fn outputs(node: &mut Node) -> Vec<Output> {
    let mut outputs = Vec::new();
    loop {
        match node.poll() {
            Output::Session(session::Output::Wait(_) | session::Output::Done) => return outputs,
            output => outputs.push(output),
        }
    }
}

#[test]
fn peers_that_nodes_name_are_dialled_and_nodes_are_kept_at_the_end() {
    let mut node = with_dht("");
    node.handle(NOW, session::Input::Tick.into());
    let wanted = outputs(&mut node);
    let [Output::Session(session::Output::Resolve(name))] = &wanted[..] else { panic!("{wanted:?}") };
    let from = SocketAddr::from(([10, 0, 0, 9], 7000));
    node.handle(NOW, session::Input::Resolved(name.clone(), Ok(vec![from])).into());
    let asked = outputs(&mut node);
    let mut dialled = Vec::new();
    for output in asked {
        let Output::Datagram(to, bytes) = output else { continue };
        assert_eq!(to, from);
        let transaction = bytes.windows(4).position(|part| part == b"1:t2").expect("a transaction");
        let mut answer = b"d1:rd2:id20:qqqqqqqqqqqqqqqqqqqq5:token1:k6:valuesl6:\x0a\0\0\x02\x1a\xe16:\x0a\0\0\x03\0\x16ee".to_vec();
        answer.extend(&bytes[transaction..transaction + 7]);
        answer.extend(b"1:y1:re");
        node.handle(NOW, Input::Datagram(from, answer.into()));
        dialled.extend(outputs(&mut node).into_iter().filter_map(|output| match output {
            Output::Session(session::Output::Open(_, endpoint)) => Some(endpoint),
            _ => None,
        }));
    }
    assert_eq!(dialled, [session::Endpoint::Peer(([10, 0, 0, 2], 6881).into())]);
    assert_eq!(node.dht_nodes(NOW), Some(1));
    node.handle(NOW, session::Input::Stop.into());
    let saved = outputs(&mut node).into_iter().filter(|output| matches!(output, Output::Save(_)));
    assert_eq!(saved.count(), 1);
}

#[test]
fn the_dht_never_hears_of_a_private_torrent() {
    let mut node = with_dht("7:privatei1e");
    node.handle(NOW, session::Input::Tick.into());
    assert!(
        outputs(&mut node).iter().all(|output| matches!(output, Output::Session(session::Output::Event(_))))
    );
    assert_eq!(node.dht_nodes(NOW), None);
    node.handle(NOW, Input::Datagram(([10, 0, 0, 9], 7000).into(), Bytes::from_static(b"d1:ad2:id")));
    assert_eq!(node.dropped_datagrams(), 1);
}

#[test]
fn a_node_that_knows_no_other_does_not_hold_up_the_end() {
    let file = b"d4:infod6:lengthi4e4:name4:data12:piece lengthi16384e6:pieces20:....................ee";
    let torrent = Arc::new(Metainfo::decode(file).expect("a torrent"));
    let identity = Identity::new(PeerId(*b"-BT0000-example00000"), 0, 1);
    let config = Config { single_peer: true, ..Config::new(Profile::own("test")) };
    let settings = crate::dht::DhtSettings {
        port: 0,
        ipv4: true,
        ipv6: false,
        read_only: false,
        version: *b"bt\x01\x00",
        secret: [3; 32],
        saved: SavedNodes::default(),
        contacts: Vec::new(),
        routers: Vec::new(),
    };
    let session = Session::new(config, torrent, identity, [], NOW);
    let mut node = Node::new(session).with_dht(DhtNode::new(settings, NOW), NOW);
    node.handle(NOW, session::Input::Tick.into());
    assert!(matches!(node.poll(), Output::Session(session::Output::Done)));
}
