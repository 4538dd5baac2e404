//! What a node does with datagrams, and what it leaves to its session.

mod holepunch;

use std::sync::Arc;

use super::*;
use crate::dht::DhtNode;
use crate::lsd::Beacon;
use crate::session::{Config, Identity, Profile, SessionStreamId};
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

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9)), 6881);

/// A node that has just been told of a peer.
fn dialling(policy: UtpPolicy) -> Node {
    let mut node = node().with_utp(policy, [1; 32], NOW);
    node.handle(NOW, session::Input::Tick.into());
    node.handle(NOW, session::Input::PeersFound(session::PeerSource::Dht, vec![PEER]).into());
    node
}

/// What a node wants now of the peer: opening and closing over TCP, and packets of uTP by their kind.
fn wants(node: &mut Node) -> Vec<String> {
    let mut wants = Vec::new();
    loop {
        match node.poll() {
            Output::Session(session::Output::Open(stream, session::Endpoint::Peer(address))) => {
                assert_eq!(address, PEER);
                wants.push(format!("open {}", stream.0));
            }
            Output::Session(session::Output::Close(stream, _)) => wants.push(format!("close {}", stream.0)),
            Output::Session(session::Output::Send(stream, _)) => wants.push(format!("send {}", stream.0)),
            Output::Datagram(to, bytes, _) => {
                assert_eq!(to, PEER);
                wants.push(format!("{:?}", crate::utp::Header::decode(&bytes).expect("a packet").kind));
            }
            Output::Session(session::Output::Wait(Some(at))) if at <= node.now => {
                node.handle(node.now, session::Input::Tick.into());
            }
            Output::Session(session::Output::Wait(_) | session::Output::Done) => return wants,
            _ => {}
        }
    }
}

const fn after(millis: i64) -> Timestamp {
    Timestamp::from_nanos(NOW.as_nanos() + millis * 1_000_000)
}

fn tick(node: &mut Node, millis: i64) -> Vec<String> {
    node.handle(after(millis), session::Input::Tick.into());
    wants(node)
}

/// The number of the stream in an opening.
fn stream_of(wants: &[String]) -> SessionStreamId {
    let number = wants.iter().find_map(|want| want.strip_prefix("open ")).expect("an opening");
    SessionStreamId(number.parse().expect("a number"))
}

#[test]
fn tcp_comes_first_and_utp_after_a_second_of_silence() {
    let mut node = dialling(UtpPolicy::Allow);
    let opening = wants(&mut node);
    let stream = stream_of(&opening);
    assert_eq!(opening.len(), 1);
    assert_eq!(tick(&mut node, 999), [""; 0]);
    assert_eq!(tick(&mut node, 1_000), ["Syn"]);
    // TCP answers after all: uTP says nothing more, and the handshake leaves over TCP.
    node.handle(after(1_100), session::Input::Opened(stream, PEER).into());
    assert_eq!(wants(&mut node), [format!("send {}", stream.0)]);
    assert!(node.peers(after(1_100)).all(|peer| peer.transport == session::Transport::Tcp));
    assert_eq!(tick(&mut node, 9_000), [""; 0]);
}

/// The answer to the SYN of a node.
fn answer(node: &mut Node, now: Timestamp, syn: &[u8]) {
    let mut state = vec![0x21, 0, syn[2], syn[3]];
    state.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 16, 0, 0, 2, 0, syn[16], syn[17]]);
    node.handle(now, Input::Datagram(PEER, state.into()));
}

fn syn_of(node: &mut Node) -> Vec<u8> {
    loop {
        match node.poll() {
            Output::Datagram(_, bytes, _) => return bytes.to_vec(),
            Output::Session(session::Output::Wait(_)) => panic!("no SYN"),
            _ => {}
        }
    }
}

#[test]
fn utp_wins_where_it_answers_first_and_tcp_is_closed_before_it_says_anything() {
    let mut node = dialling(UtpPolicy::Allow);
    let stream = stream_of(&wants(&mut node));
    node.handle(after(1_000), session::Input::Tick.into());
    let syn = syn_of(&mut node);
    answer(&mut node, after(1_050), &syn);
    assert_eq!(wants(&mut node), [format!("close {}", stream.0), "Data".to_owned()]);
    assert!(node.peers(after(1_050)).all(|peer| peer.transport == session::Transport::Utp));
}

#[test]
fn a_failure_of_one_way_is_none_of_the_peer() {
    let mut node = dialling(UtpPolicy::Allow);
    let stream = stream_of(&wants(&mut node));
    assert_eq!(tick(&mut node, 1_000), ["Syn"]);
    let failed = session::Input::Closed(stream, session::CloseReason::TimedOut);
    node.handle(after(2_000), failed.into());
    wants(&mut node);
    assert_eq!(node.session().peers(after(2_000)).count(), 1);
    // SYN twice more, after three and six seconds.
    assert_eq!(tick(&mut node, 4_000), ["Syn"]);
    assert_eq!(tick(&mut node, 7_000), ["Syn"]);
    tick(&mut node, 10_000);
    assert_eq!(node.session().peers(after(10_000)).count(), 0);
}

#[test]
fn a_peer_that_refuses_tcp_at_once_is_not_called_over_utp() {
    let mut node = dialling(UtpPolicy::Allow);
    let stream = stream_of(&wants(&mut node));
    node.handle(after(5), session::Input::Closed(stream, session::CloseReason::Refused).into());
    wants(&mut node);
    assert_eq!(node.session().peers(after(5)).count(), 0);
    assert!(!tick(&mut node, 1_000).contains(&"Syn".to_owned()));
}

#[test]
fn who_prefers_utp_dials_tcp_after_a_second_and_who_requires_utp_never() {
    let mut node = dialling(UtpPolicy::Prefer);
    assert_eq!(wants(&mut node), ["Syn"]);
    assert_eq!(tick(&mut node, 1_000).iter().filter(|want| want.starts_with("open")).count(), 1);
    let mut node = dialling(UtpPolicy::Require);
    assert_eq!(wants(&mut node), ["Syn"]);
    for second in 1..20 {
        assert!(!tick(&mut node, second * 1_000).iter().any(|want| want.starts_with("open")));
    }
    // Whoever calls over TCP is refused.
    node.handle(after(20_000), session::Input::Accepted(SessionStreamId(1), PEER).into());
    assert!(wants(&mut node).contains(&"close 1".to_owned()));
}

/// A node of the DHT that begins with these nodes.
fn dht(port: u16, contacts: Vec<crate::HostPort>) -> DhtNode {
    let settings = crate::dht::DhtSettings {
        port,
        ipv4: true,
        ipv6: false,
        read_only: false,
        version: *b"bt\x01\x00",
        secret: [3; 32],
        saved: SavedNodes::default(),
        contacts,
        routers: Vec::new(),
    };
    DhtNode::new(settings, NOW)
}

fn with_dht(more: &str) -> Node {
    let file = format!(
        "d4:infod6:lengthi4e4:name4:data12:piece lengthi16384e6:pieces20:....................{more}ee"
    );
    let torrent = Arc::new(Metainfo::decode(file.as_bytes()).expect("a torrent"));
    let identity = Identity::new(PeerId(*b"-BT0000-example00000"), 0, 1);
    let config = Config { port: 6881, dht_port: Some(6881), ..Config::new(Profile::own("test")) };
    Node::new(Session::new(config, torrent, identity, [], NOW)).with_dht(dht(6881, named_node()), NOW)
}

fn named_node() -> Vec<crate::HostPort> {
    vec![crate::HostPort { host: "node.test".to_owned(), port: 7000 }]
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
        let Output::Datagram(to, bytes, _) = output else { continue };
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
    let session = Session::new(config, torrent, identity, [], NOW);
    let mut node = Node::new(session).with_dht(dht(0, Vec::new()), NOW);
    node.handle(NOW, session::Input::Tick.into());
    assert!(matches!(node.poll(), Output::Session(session::Output::Done)));
}

/// When a node that lets others in, has no tracker and knows no node of the DHT, gives up; at `heard_at` a peer says where a
/// node is.
fn gives_up_after(heard_at: Option<i64>) -> i64 {
    let file = b"d4:infod6:lengthi4e4:name4:data12:piece lengthi16384e6:pieces20:....................ee";
    let torrent = Arc::new(Metainfo::decode(file).expect("a torrent"));
    let identity = Identity::new(PeerId(*b"-BT0000-example00000"), 0, 1);
    let config = Config { port: 6881, rounds: Some(1), ..Config::new(Profile::own("test")) };
    let session = Session::new(config, torrent, identity, [], NOW);
    let mut node = Node::new(session).with_dht(dht(6881, Vec::new()), NOW);
    for millis in (0..600_000).step_by(100) {
        if heard_at == Some(millis) {
            node.now = after(millis);
            node.dht_contact(([10, 0, 0, 9], 7000).into());
        }
        node.handle(after(millis), session::Input::Tick.into());
        loop {
            match node.poll() {
                Output::Session(session::Output::Done) => return millis,
                Output::Session(session::Output::Wait(_)) => break,
                _ => {}
            }
        }
    }
    panic!("it waits for ever");
}

#[test]
fn a_node_that_has_nobody_to_ask_gives_up_after_a_grace() {
    assert_eq!(gives_up_after(None), 10_000);
    // A node that never answers is asked for its ten seconds.
    assert_eq!(gives_up_after(Some(9_000)), 19_000);
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

/// A link of one hash to a torrent that turns out to be a hybrid one.
#[test]
fn the_dht_and_the_local_network_hear_of_both_hashes_as_soon_as_they_are_known() {
    let info =
        b"d9:file treed4:datad0:d6:lengthi4e11:pieces root32:rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrreee6:lengthi4e\
        12:meta versioni2e4:name4:data12:piece lengthi16384e6:pieces20:....................e";
    let torrent = Arc::new(Metainfo::decode_info(info).expect("a torrent"));
    let (v1, v2) = (torrent.info_hash, torrent.truncated_v2().expect("a hybrid torrent"));
    let link = format!("magnet:?xt=urn:btmh:1220{}", crate::Hex(&torrent.info_hash_v2.expect("a hash")));
    let identity = Identity::new(PeerId(*b"-BT0000-example00000"), 0, 1);
    let config = Config { port: 6881, dht_port: Some(6881), ..Config::new(Profile::own("test")) };
    let session = Session::of_magnet(config, &link.parse().expect("a link"), identity, NOW);
    let beacon = Beacon::new(6881, session.info_hashes(), &[1; 32]);
    let mut node = Node::new(session).with_dht(dht(6881, named_node()), NOW).with_lsd(beacon);
    node.handle(NOW, session::Input::Tick.into());
    let resolve = outputs(&mut node).into_iter().find_map(|output| match output {
        Output::Session(session::Output::Resolve(name)) => Some(name),
        _ => None,
    });
    let host = SocketAddr::from(([10, 0, 0, 9], 7000));
    node.handle(NOW, session::Input::Described(torrent, Vec::new()).into());
    node.handle(NOW, session::Input::Resolved(resolve.expect("a name"), Ok(vec![host])).into());
    let interface = crate::lsd::Interface { id: InterfaceId(1), address: [10, 0, 0, 1].into(), prefix: 8 };
    node.handle(NOW, Input::Interfaces(vec![interface]));
    let wanted = outputs(&mut node);
    let is_in = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    for hash in [v1, v2] {
        let asked = wanted
            .iter()
            .any(|output| matches!(output, Output::Datagram(_, bytes, _) if is_in(bytes, &hash.0)));
        let text = hash.to_string().into_bytes();
        let told = wanted.iter().any(
            |output| matches!(output, Output::Multicast(_, _, bytes) if is_in(&bytes.to_ascii_lowercase(), &text)),
        );
        assert!(asked && told, "{hash}: {wanted:?}");
    }
}
