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
