//! What a node says: to others that ask, to nobody who floods it, and in a network of its like.

use super::families::Family;
use super::simulation::{Simulation, settings};
use super::*;

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000_000_000);
const THEM: NodeId = NodeId([0x33; 20]);

fn torrent(number: u8) -> InfoHash {
    InfoHash([number; 20])
}

fn them() -> SocketAddr {
    ([11, 0, 0, 1], 7000).into()
}

fn node() -> DhtNode {
    DhtNode::new(settings(1), NOW)
}

/// What a node sends on raw bytes.
fn hears(node: &mut DhtNode, now: Timestamp, from: SocketAddr, bytes: &[u8]) -> Vec<Message> {
    node.handle(now, DhtInput::Datagram(from, Bytes::copy_from_slice(bytes)));
    sent(node).into_iter().filter(|(to, _)| *to == from).map(|(_, message)| message).collect()
}

fn sent(node: &mut DhtNode) -> Vec<(SocketAddr, Message)> {
    let outputs = std::iter::from_fn(|| node.poll());
    let datagrams = outputs.filter_map(|output| match output {
        DhtOutput::Datagram(to, bytes) => Some((to, bytes)),
        _ => None,
    });
    datagrams.map(|(to, bytes)| (to, Message::decode(&bytes).expect("a message of ours"))).collect()
}

fn answer(node: &mut DhtNode, bytes: &[u8]) -> Kind {
    hears(node, NOW, them(), bytes).swap_remove(0).kind
}

fn response(kind: Kind) -> Response {
    match kind {
        Kind::Response(response) => response,
        other => panic!("{other:?}"),
    }
}

const PING: &[u8] = b"d1:ad2:id20:33333333333333333333e1:q4:ping1:t2:aa1:y1:qe";
const GET_PEERS: &[u8] =
    b"d1:ad2:id20:333333333333333333339:info_hash20:\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05e1:q9:get_peers1:t2:ab1:y1:qe";

/// An announce with what stands between its info hash and its token.
fn announce(torrent: InfoHash, ports: &str, token: &[u8]) -> Vec<u8> {
    let (implied, port) = ports.split_once('|').expect("implied_port, then port");
    let mut bytes = b"d1:ad2:id20:33333333333333333333".to_vec();
    bytes.extend(implied.bytes());
    bytes.extend(b"9:info_hash20:");
    bytes.extend(torrent.0);
    bytes.extend(port.bytes());
    bytes.extend(format!("5:token{}:", token.len()).bytes());
    bytes.extend(token);
    bytes.extend(b"e1:q13:announce_peer1:t2:ac1:y1:qe");
    bytes
}

/// The family that a node has.
fn family(node: &mut DhtNode, ipv6: bool) -> &mut Family {
    node.families.get_mut(ipv6).expect("it has the family")
}

#[test]
fn a_ping_is_answered_with_our_id_and_the_askers_address() {
    let answers = hears(&mut node(), NOW, them(), PING);
    let answer = &answers[0];
    assert_eq!((&answer.transaction[..], answer.your_address), (&b"aa"[..], Some(them())));
    assert_eq!(answer.version.as_deref(), Some(&b"BT\x00\x01"[..]));
    assert!(matches!(&answer.kind, Kind::Response(response) if response.id.is_some()));
    // The node that asks is asked whether it is there itself.
    assert!(matches!(&answers[1].kind, Kind::Query(query) if query.method == Method::Ping));
}

#[test]
fn who_announced_is_named_and_the_implied_port_wins() {
    for (ports, expected) in [
        ("12:implied_porti1e|4:porti9e", 7000),
        ("12:implied_porti1e|", 7000),
        ("|4:porti9999e", 9999),
        ("12:implied_porti0e|4:porti9999e", 9999),
    ] {
        let mut node = node();
        let first = response(answer(&mut node, GET_PEERS));
        assert_eq!(first.peers, None);
        let token = first.token.expect("a token");
        response(answer(&mut node, &announce(torrent(5), ports, &token)));
        let peers = response(answer(&mut node, GET_PEERS)).peers.expect("peers");
        assert_eq!(peers, [SocketAddr::new(them().ip(), expected)], "{ports}");
    }
}

#[test]
fn a_token_is_needed_and_is_for_one_torrent() {
    let mut node = node();
    let token = response(answer(&mut node, GET_PEERS)).token.expect("a token");
    for bytes in [
        announce(torrent(5), "|4:porti9999e", b"12345678"),
        announce(torrent(5), "|4:porti9999e", b""),
        announce(torrent(6), "|4:porti9999e", &token),
        announce(torrent(5), "|4:porti0e", &token),
        announce(torrent(5), "|", &token),
    ] {
        assert!(matches!(answer(&mut node, &bytes), Kind::Error(203, _)));
    }
    assert_eq!(response(answer(&mut node, GET_PEERS)).peers, None);
}

#[test]
fn what_is_malformed_or_unknown_is_answered_with_an_error() {
    let mut node = node();
    for (code, bytes) in [
        (203, &b"d1:ade1:q4:ping1:t2:aa1:y1:qe"[..]),
        (203, b"d1:q4:ping1:t2:aa1:y1:qe"),
        (203, b"d1:ad2:id20:33333333333333333333e1:q9:find_node1:t2:aa1:y1:qe"),
        (203, b"d1:ad2:id20:33333333333333333333e1:q9:get_peers1:t2:aa1:y1:qe"),
        (204, b"d1:ad2:id20:33333333333333333333e1:q4:vote1:t2:aa1:y1:qe"),
        (204, b"d1:ad2:id20:33333333333333333333e1:q3:put1:t2:aa1:y1:qe"),
    ] {
        assert!(matches!(answer(&mut node, bytes), Kind::Error(number, _) if number == code), "{bytes:?}");
    }
    for bytes in
        [&b""[..], b"d", b"de", b"d1:ad2:id20:33333333333333333333e1:q4:ping1:t0:1:y1:qe", b"dddddddd"]
    {
        assert!(hears(&mut node, NOW, them(), bytes).is_empty(), "{bytes:?}");
    }
    let long = [&b"d1:ad2:id20:33333333333333333333e1:q4:ping1:t33:"[..], &[b't'; 33], b"1:y1:qe"].concat();
    assert!(hears(&mut node, NOW, them(), &long).is_empty());
}

#[test]
fn answers_stay_below_the_least_packet_of_ipv6() {
    let settings = DhtSettings { ipv6: true, ..settings(1) };
    let mut node = DhtNode::new(settings, NOW);
    for number in 0..400_u16 {
        let host: IpAddr = [0x2001, 0xdb8, number, 0, 0, 0, 0, 1].into();
        node.store.keep(NOW, THEM, torrent(5), (host, 6881).into());
        let id = |first: u8| NodeId(std::array::from_fn(|at| if at == 0 { first } else { number as u8 }));
        family(&mut node, true)
            .table
            .answered(NOW, Node { id: id(number as u8), address: (host, 6881).into() });
        let [high, low] = number.to_be_bytes();
        let address = ([11, high, low, 9], 6881).into();
        family(&mut node, false).table.answered(NOW, Node { id: id(number as u8), address });
    }
    let from: SocketAddr = "[2001:db8:ffff::1]:7000".parse().expect("an address");
    let wants_both = b"d1:ad2:id20:333333333333333333339:info_hash20:\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x054:wantl2:n42:n6ee1:q9:get_peers1:t2:ab1:y1:qe";
    node.handle(NOW, DhtInput::Datagram(from, Bytes::from_static(wants_both)));
    let length = std::iter::from_fn(|| node.poll()).find_map(|output| match output {
        DhtOutput::Datagram(to, bytes) if to == from => Some(bytes),
        _ => None,
    });
    let bytes = length.expect("an answer");
    assert!(bytes.len() <= 1_280 - 48, "{} bytes", bytes.len());
    let found = response(Message::decode(&bytes).expect("a message").kind);
    let counts = [found.nodes.map(|nodes| nodes.len()), found.nodes6.map(|nodes| nodes.len())];
    assert_eq!(counts, [Some(8), Some(8)]);
    assert!(found.peers.is_some_and(|peers| peers.len() > 20));
    // Who does not say gets nodes of its own family.
    let own = hears(&mut node, NOW, from, GET_PEERS).swap_remove(0);
    assert!(matches!(response(own.kind), Response { nodes: None, nodes6: Some(_), .. }));
}

#[test]
fn a_flood_of_queries_gets_few_bytes_and_no_memory() {
    let mut node = node();
    let mut bytes = 0;
    for number in 0..50_000_u32 {
        let now = NOW + Duration::from_micros(u64::from(number) * 100);
        let from = SocketAddr::from((std::net::Ipv4Addr::from(0x0b00_0000 + number), 6881));
        node.handle(now, DhtInput::Datagram(from, Bytes::from_static(GET_PEERS)));
        while let Some(output) = node.poll() {
            if let DhtOutput::Datagram(_, sent) = output {
                bytes += sent.len();
            }
        }
    }
    // Five seconds and what was saved up, and the few that were asked whether they are there.
    assert!(bytes <= 6 * 8_000 + 200 * 100, "{bytes}");
    assert!(node.transactions.len() <= MAX_BEFORE_PINGS);
}

#[test]
fn who_cannot_be_reached_says_so_and_does_not_answer() {
    let mut node = DhtNode::new(DhtSettings { read_only: true, ..settings(1) }, NOW);
    assert!(hears(&mut node, NOW, them(), PING).is_empty());
    node.handle(NOW, DhtInput::Contact(them()));
    let asked = sent(&mut node);
    assert!(!asked.is_empty() && asked.iter().all(|(_, message)| message.read_only == Some(true)));
}

#[test]
fn a_node_that_is_read_only_is_not_asked() {
    let bytes = b"d1:ad2:id20:33333333333333333333e1:q4:ping2:roi1e1:t2:aa1:y1:qe";
    assert_eq!(hears(&mut node(), NOW, them(), bytes).len(), 1);
}

#[test]
fn nodes_of_the_other_family_are_wanted_only_where_there_are_two() {
    for (ipv6, wanted) in [(false, None), (true, Some(NodeFamilies { ipv4: true, ipv6: true }))] {
        let mut node = DhtNode::new(DhtSettings { ipv6, ..settings(1) }, NOW);
        node.handle(NOW, DhtInput::Contact(them()));
        let asked = sent(&mut node);
        let wants = asked.iter().map(|(_, message)| match &message.kind {
            Kind::Query(query) => query.want,
            _ => None,
        });
        assert!(wants.into_iter().all(|want| want == wanted), "{ipv6}");
        assert!(!asked.is_empty());
    }
}

#[test]
fn well_known_nodes_are_asked_only_where_no_other_is_there() {
    let router = HostPort { host: "router.test".to_owned(), port: 6881 };
    let contact = HostPort { host: "friend.test".to_owned(), port: 6881 };
    let names = |node: &mut DhtNode| {
        let outputs = std::iter::from_fn(|| node.poll());
        let names = outputs.filter_map(|output| match output {
            DhtOutput::Resolve(name) => Some(name.host),
            _ => None,
        });
        names.collect::<Vec<_>>()
    };
    let with_router = DhtSettings { routers: vec![router.clone()], ..settings(1) };
    let mut alone = DhtNode::new(with_router.clone(), NOW);
    alone.handle(NOW, DhtInput::Tick);
    assert_eq!(names(&mut alone), ["router.test"]);

    let mut node = DhtNode::new(DhtSettings { contacts: vec![contact.clone()], ..with_router }, NOW);
    node.handle(NOW, DhtInput::Tick);
    assert_eq!(names(&mut node), ["friend.test"]);
    node.handle(NOW, DhtInput::Resolved(contact, Ok(vec![them()])));
    let (to, query) = sent(&mut node).swap_remove(0);
    assert_eq!(to, them());
    let answer = Message::new(query.transaction, Kind::Response(Response::new(THEM)));
    node.handle(NOW, DhtInput::Datagram(them(), answer.encode().into()));
    node.handle(NOW + Duration::from_secs(30), DhtInput::Tick);
    assert!(names(&mut node).is_empty());
    assert_eq!(node.good_nodes(NOW), 1);
}

/// Another node names us as one of the nearest: we do not ask ourselves, and do not answer where we are asked in our name.
#[test]
fn a_node_does_not_speak_with_itself() {
    let mut node = node();
    let own = family(&mut node, false).table.own();
    let us = SocketAddr::from(([80, 1, 2, 3], 6881));
    node.handle(NOW, DhtInput::Follow(torrent(5)));
    node.handle(NOW, DhtInput::Contact(them()));
    let asked = sent(&mut node);
    assert!(!asked.is_empty());
    for (to, message) in asked {
        let nodes = Some(vec![Node { id: own, address: us }]);
        let response = Response { nodes, token: Some(b"tok".to_vec()), ..Response::new(THEM) };
        let answer = Message::new(message.transaction, Kind::Response(response));
        node.handle(NOW, DhtInput::Datagram(to, answer.encode().into()));
    }
    node.handle(NOW + Duration::from_secs(20), DhtInput::Tick);
    assert!(sent(&mut node).iter().all(|(to, _)| *to == them()));
    let ping = Message::new(*b"aa", Kind::Query(Query::new(Method::Ping, own)));
    assert!(hears(&mut node, NOW, us, &ping.encode()).is_empty());
}

#[test]
fn an_answer_that_nobody_asked_for_changes_nothing() {
    let mut node = node();
    let answer = Message::new(*b"aa", Kind::Response(Response::new(THEM)));
    assert!(hears(&mut node, NOW, them(), &answer.encode()).is_empty());
    assert_eq!(node.good_nodes(NOW), 0);
}

#[test]
fn our_id_follows_the_address_that_others_see() {
    let mut node = node();
    let us = SocketAddr::from(([80, 1, 2, 3], 6881));
    for net in 1..=4 {
        let from = SocketAddr::from(([net, 7, 0, 1], 7000));
        node.handle(NOW, DhtInput::Contact(from));
        let asked = sent(&mut node).into_iter().find(|(to, _)| *to == from);
        let (_, query) = asked.expect("a query");
        let mut answer = Message::new(query.transaction, Kind::Response(Response::new(NodeId([net; 20]))));
        answer.your_address = Some(us);
        node.handle(NOW, DhtInput::Datagram(from, answer.encode().into()));
        let external = std::iter::from_fn(|| node.poll())
            .any(|output| matches!(output, DhtOutput::ExternalAddress(address) if address == us.ip()));
        assert_eq!(external, net == 3, "{net}");
        assert_eq!(family(&mut node, false).table.own().suits(us.ip()), net >= 3);
    }
    assert_eq!(node.good_nodes(NOW), 4);
    // The next run begins with the id.
    let saved = node.saved(NOW);
    assert!(saved.id(false).expect("an id").suits(us.ip()));
}

#[test]
fn an_announce_says_the_true_port_and_that_it_is_implied() {
    let mut node = node();
    node.handle(NOW, DhtInput::Follow(torrent(5)));
    node.handle(NOW, DhtInput::Completed(torrent(5)));
    node.handle(NOW, DhtInput::Contact(them()));
    let mut told = None;
    for _ in 0..4 {
        for (to, message) in sent(&mut node) {
            let Kind::Query(query) = message.kind else { continue };
            if query.method == Method::AnnouncePeer {
                told = Some(query);
                continue;
            }
            let mut response = Response::new(NodeId::drawn_for(them().ip(), [9; 20]));
            response.token = (query.method == Method::GetPeers).then(|| b"tok".to_vec());
            let answer = Message::new(message.transaction, Kind::Response(response));
            node.handle(NOW, DhtInput::Datagram(to, answer.encode().into()));
        }
    }
    let told = told.expect("an announce");
    assert_eq!((told.port, told.implied_port, told.seed), (Some(6881), Some(true), Some(true)));
    assert_eq!((told.target, told.token.as_deref()), (Some(torrent(5).0), Some(&b"tok"[..])));
}

#[test]
fn good_nodes_are_kept_every_ten_minutes() {
    let mut node = node();
    let mut at = NOW;
    while at < NOW + Duration::from_secs(601) {
        at = node.wakes_at().max(at + Duration::from_millis(1));
        node.handle(at, DhtInput::Tick);
    }
    let saves = std::iter::from_fn(|| node.poll()).filter(|output| matches!(output, DhtOutput::Save(_)));
    assert_eq!(saves.count(), 1);
}

#[test]
fn peers_are_found_in_a_network_of_a_thousand_within_a_second_and_a_half() {
    let mut network = Simulation::network(1_000, Duration::from_millis(50));
    let (mut times, mut queries) = (Vec::new(), Vec::new());
    for number in 0..21_u8 {
        let seed = 40 + usize::from(number) * 40;
        network.tell(seed, DhtInput::Follow(torrent(number)));
        network.run(Duration::from_secs(30), |_| false);
        // A node that is new, and knows one other.
        let new = network.add();
        network.watch(new);
        network.tell(new, DhtInput::Follow(torrent(number)));
        let (begun, contact) = (network.now, network.address(usize::from(number) * 31 + 3));
        network.tell(new, DhtInput::Contact(contact));
        network.run(Duration::from_secs(20), |network| !network.peers.is_empty());
        let (at, peer) = network.peers.first().copied().expect("a peer");
        assert_eq!(peer, network.address(seed), "torrent {number}");
        times.push(at - begun);
        queries.push(network.queries);
    }
    times.sort();
    queries.sort_unstable();
    assert!(times[times.len() / 2] <= Duration::from_millis(1_500), "{times:?}");
    assert!(queries[queries.len() / 2] <= 60, "{queries:?}");
}

#[test]
fn a_search_of_a_network_tells_eight_nodes_and_comes_again() {
    let mut network = Simulation::network(100, Duration::from_millis(50));
    network.watch(20);
    network.tell(20, DhtInput::Follow(torrent(1)));
    network.run(Duration::from_secs(4), |_| false);
    let first = network.results.first().copied().expect("a result");
    assert_eq!((first.told, first.peers), (8, 0));
    assert!(first.answers >= 8 && first.nodes >= 8 && first.queries <= 60, "{first:?}");
    // Nobody else has it: it looks again after 5 s, 10 s, and so on, to a quarter of an hour.
    network.run(Duration::from_secs(596), |_| false);
    assert_eq!(network.results.len(), 7);
    assert!(network.results.iter().all(|result| result.peers == 0), "it found itself");
}

/// A node behind a NAT finds out, and others who can be reached do not think that they cannot.
#[test]
fn a_node_that_no_stranger_reaches_says_so_after_a_quarter_of_an_hour() {
    for hidden in [true, false] {
        let mut network = Simulation::network(200, Duration::from_millis(50));
        let number = network.add();
        if hidden {
            network.hide(number);
        }
        let contact = network.address(5);
        network.tell(number, DhtInput::Contact(contact));
        network.tell(number, DhtInput::Follow(torrent(1)));
        // Others look for peers as well.
        for other in 0..50 {
            network.tell(other, DhtInput::Follow(torrent(other as u8)));
        }
        network.watch(number);
        network.run(Duration::from_secs(14 * 60), |_| false);
        assert_eq!(network.read_only, 0);
        network.run(Duration::from_secs(2 * 60), |_| false);
        network.watch(number);
        network.run(Duration::from_secs(30 * 60), |_| false);
        assert!(network.queries > 0);
        assert_eq!(network.read_only, if hidden { network.queries } else { 0 });
    }
}
