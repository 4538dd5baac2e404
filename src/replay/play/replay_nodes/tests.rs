//! Recorded nodes against queries that the reference has and queries that it has not. Queries are raw bytes.

use std::path::PathBuf;

use bittrace_trace::{Recorder, Trace, TraceOptions};

use super::*;

/// The torrent of the capture.
const TORRENT: [u8; 20] = [
    0x22, 0xfa, 0xd2, 0x12, 0x60, 0xbb, 0x8a, 0xdf, 0x42, 0x5e, 0x1e, 0x50, 0xea, 0x70, 0x95, 0x3c, 0x00,
    0x06, 0x02, 0xd7,
];

fn reference() -> Transcript {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../captures"].iter().collect();
    Transcript::open(&folder.join("dht-get-peers.pcap"), TraceOptions::default()).unwrap()
}

/// A query: the arguments after the id, and the method.
fn query(arguments: &[u8], method: &str) -> Vec<u8> {
    let method = format!("{}:{method}", method.len());
    [&b"d1:ad2:id20:abcdefghij0123456789"[..], arguments, b"e1:q", method.as_bytes(), b"1:t3:xyz1:y1:qe"]
        .concat()
}

fn get_peers(torrent: &[u8; 20]) -> Vec<u8> {
    query(&[&b"9:info_hash20:"[..], &torrent[..]].concat(), "get_peers")
}

fn response(answer: NodeAnswer) -> Response {
    let NodeAnswer::Message(message, _) = answer else { panic!("{answer:?}") };
    assert_eq!(message.transaction, b"xyz");
    let Kind::Response(response) = message.kind else { panic!("{:?}", message.kind) };
    response
}

#[test]
fn a_node_answers_by_method_and_target_under_the_transaction_of_the_query() {
    let mut nodes = ReplayNodes::of(&reference());
    let addresses: Vec<String> = nodes.nodes.iter().map(|node| node.far.to_string()).collect();
    assert_eq!(addresses, ["10.77.0.1:6885", "10.77.0.4:6891", "10.77.0.2:6885"]);
    assert!(nodes.peers().contains(&"10.77.0.2:6885".parse().unwrap()));
    let node = &mut nodes.nodes[0];
    let recorded = response(node.answer(&get_peers(&TORRENT)));
    assert_eq!(recorded.peers, Some(vec!["10.77.0.2:6885".parse().unwrap()]));
    let id = recorded.id;
    // The token is the recorded one, and is to be repeated.
    let token = recorded.token.unwrap();
    let announce = |token: &[u8]| {
        let length = format!("5:token{}:", token.len());
        let arguments =
            [&b"9:info_hash20:"[..], &TORRENT[..], b"4:porti6999e", length.as_bytes(), token].concat();
        query(&arguments, "announce_peer")
    };
    assert_eq!(response(node.answer(&announce(&token))).id, id);
    let NodeAnswer::Refused(error, why) = node.answer(&announce(b"other")) else { panic!("not refused") };
    assert!(
        matches!(error.kind, Kind::Error(203, _)) && why.contains("its token 6f74686572 is not"),
        "{why}"
    );
    let long = node.answer(&announce(&[0xab; 60_000]));
    let NodeAnswer::Refused(_, why) = long else { panic!("not refused") };
    let first = "ab".repeat(20);
    assert_eq!(why, format!("its token {first}... of 60,000 bytes is not one that the node gave"));
}

/// A reference in which `count` nodes answer the client, each with itself.
fn with_nodes(count: u16) -> Transcript {
    let client = SocketAddr::from(([10, 0, 0, 1], 6881));
    let mut recorder = Recorder::new(Vec::new(), "").unwrap();
    for number in 0..count {
        let [high, low] = number.to_be_bytes();
        let node = SocketAddr::from(([10, 1, high, low], 6881));
        let at = Timestamp::from_secs_nanos(i64::from(number) + 1, 0);
        // The last node is the first that the client asks: the others ask the client before.
        let asks = b"d1:ad2:id20:ABCDEFGHIJ0123456789e1:q4:ping1:t1:a1:y1:qe";
        if number + 1 < count {
            recorder.datagram(at, node, client, asks).unwrap();
        } else {
            recorder.datagram(at, client, node, &get_peers(&TORRENT)).unwrap();
        }
    }
    let options = TraceOptions { local: Some(client.ip()).into(), ..TraceOptions::default() };
    let capture = std::io::Cursor::new(recorder.finish().unwrap());
    Transcript::read(Trace::from_reader("nodes".to_owned(), capture, options).unwrap()).unwrap()
}

#[test]
fn so_many_nodes_are_played_and_the_one_that_is_asked_first() {
    let most = MOST_NODES as u16;
    let nodes = ReplayNodes::of(&with_nodes(most));
    assert_eq!((nodes.nodes.len(), nodes.left_out()), (MOST_NODES, None));
    let reference = with_nodes(most + 3);
    let nodes = ReplayNodes::of(&reference);
    let first = ClientNode::of(&reference).first.unwrap();
    assert!(nodes.find(first) == Some(MOST_NODES) && nodes.nodes.len() == MOST_NODES + 1);
    let said = "of 131 recorded nodes of the DHT, 129 were played: 2 were left out";
    assert_eq!(nodes.left_out().as_deref(), Some(said));
}

#[test]
fn what_the_reference_does_not_have_is_answered_out_of_what_the_node_said() {
    let mut nodes = ReplayNodes::of(&reference());
    let node = &mut nodes.nodes[0];
    let id = response(node.answer(&query(b"", "ping"))).id;
    assert!(id.is_some());
    let named = response(node.answer(&query(b"6:target20:abcdefghij0123456789", "find_node")));
    assert!(named.id == id && named.nodes.is_some_and(|nodes| !nodes.is_empty()));
    let other = response(node.answer(&get_peers(&[7; 20])));
    assert!(other.id == id && other.peers.is_none() && other.token.is_some(), "{other:?}");
    let refused = node.answer(&query(b"", "dance"));
    assert!(
        matches!(&refused, NodeAnswer::Refused(Message { kind: Kind::Error(204, _), .. }, _)),
        "{refused:?}"
    );
    assert!(matches!(node.answer(b"hello"), NodeAnswer::NotAMessage(_)));
    let answer = b"d1:rd2:id20:abcdefghij0123456789e1:t1:a1:y1:re";
    assert!(matches!(node.answer(answer), NodeAnswer::Heard));
    // Nothing of it is known.
    let mut mute = ReplayNode::new("10.0.0.9:6881".parse().unwrap(), "10.0.0.1:6881".parse().unwrap());
    assert!(matches!(mute.answer(&query(b"", "ping")), NodeAnswer::Silent));
}

#[test]
fn addresses_are_where_everybody_is_now() {
    let mut nodes = ReplayNodes::of(&reference());
    let NodeAnswer::Message(answer, _) = nodes.nodes[0].answer(&get_peers(&TORRENT)) else {
        panic!("silent")
    };
    let client = "127.0.0.1:7000".parse().unwrap();
    let peer = |recorded: SocketAddr| (recorded.port() == 6885).then(|| "127.0.0.3:5000".parse().unwrap());
    let here = recast_message(answer, client, &peer, &|_| None);
    let Kind::Response(response) = here.kind else { panic!("no response") };
    assert_eq!(response.peers, Some(vec!["127.0.0.3:5000".parse().unwrap()]));
    assert!(response.nodes.is_none_or(|nodes| nodes.is_empty()));
    assert_eq!(here.your_address, Some(client));
}

/// The node of the reference is in `nodes6`, and is played over IPv4.
#[test]
fn nodes_are_in_the_list_of_the_family_in_which_they_are_played() {
    let far: [SocketAddr; 2] = ["[2001:db8::1]:6881".parse().unwrap(), "10.0.0.1:6881".parse().unwrap()];
    let here: [SocketAddr; 2] = ["127.0.0.3:5000".parse().unwrap(), "[::1]:5000".parse().unwrap()];
    let id = NodeId(*b"abcdefghij0123456789");
    let of = |address| Node { id, address };
    let named =
        Response { nodes: Some(vec![of(far[1])]), nodes6: Some(vec![of(far[0])]), ..Response::new(id) };
    let answer = Message::new(b"xyz".to_vec(), Kind::Response(named));
    let node = |recorded| Some(here[far.iter().position(|one| *one == recorded)?]);
    for (client, wanted) in
        [("127.0.0.1:7000", (Some(vec![of(here[0])]), None)), ("[::1]:7000", (None, Some(vec![of(here[1])])))]
    {
        let recast = recast_message(answer.clone(), client.parse().unwrap(), &|_| None, &node);
        assert_eq!(Message::decode(&recast.encode()).as_ref(), Ok(&recast), "{client}");
        let Kind::Response(response) = recast.kind else { panic!("no response") };
        assert_eq!((response.nodes, response.nodes6), wanted, "{client}");
    }
}

#[test]
fn the_client_is_a_node_as_in_the_reference() {
    let client = ClientNode::of(&reference());
    assert_eq!(client.first, Some("10.77.0.1:6885".parse().unwrap()));
    assert!(client.ids[0].is_some() && client.ids[1].is_none() && !client.read_only);
    assert!(client.version.is_some_and(|version| version.starts_with(b"LT")));
}

/// aria2's node asks the client for peers, and announces itself with the token that the client gave.
#[test]
fn a_node_announces_itself_with_the_token_that_the_client_gives_here() {
    let mut nodes = ReplayNodes::of(&reference());
    let node = &mut nodes.nodes[1];
    let token = |message: &Message| match &message.kind {
        Kind::Query(query) => query.token.clone(),
        _ => None,
    };
    let response = b"d1:rd2:id20:abcdefghij01234567895:token4:heree1:t1:a1:y1:re";
    assert!(matches!(node.answer(response), NodeAnswer::Heard));
    let asked: Vec<Message> = std::iter::from_fn(|| node.ask()).collect();
    let tokens: BTreeSet<_> = asked.iter().filter_map(token).collect();
    assert_eq!(tokens, BTreeSet::from([b"here".to_vec()]));
}
