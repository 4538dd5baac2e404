//! The examples of BEP 5 and its additions, bytes that are no message, and any bytes at all.

use proptest::prelude::*;

use super::decode::FAULTS;
use super::*;
use crate::Value;
use crate::bencode::{self, dictionary};
use crate::field::untiled;

const ID: &[u8] = b"abcdefghij0123456789";
const TARGET: &[u8] = b"mnopqrstuvwxyz123456";

fn decode(bytes: &[u8]) -> Message {
    assert_eq!(untiled(&fields(bytes), 0..bytes.len()), None);
    let message = Message::decode(bytes).unwrap();
    assert_eq!(Message::decode_incomplete(bytes).as_ref(), Ok(&message));
    if bencode::scan(bytes).unwrap().is_regular() {
        assert_eq!(message.encode().escape_ascii().to_string(), bytes.escape_ascii().to_string());
    }
    message
}

fn query(bytes: &[u8]) -> Query {
    let message = decode(bytes);
    assert_eq!((message.transaction.as_slice(), &message.faults[..]), (b"aa".as_slice(), &[][..]));
    let Kind::Query(query) = message.kind else { panic!("no query: {message:?}") };
    assert_eq!(query.id.unwrap().0, ID);
    query
}

fn response(bytes: &[u8]) -> Response {
    let message = decode(bytes);
    assert_eq!(message.faults, []);
    let Kind::Response(response) = message.kind else { panic!("no response: {message:?}") };
    response
}

/// The value of a field that stands once.
fn value(bytes: &[u8], name: &str) -> Value {
    let fields = fields(bytes);
    let found: Vec<_> = fields.iter().filter(|field| field.name == name).collect();
    assert_eq!(found.len(), 1, "{name} in {fields:?}");
    found[0].value.clone()
}

const MESSAGES: &[&[u8]] = &[
    b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe",
    b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe",
    b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe",
    b"d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:porti6881e\
        5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe",
    b"d1:ad2:id20:abcdefghij01234567893:seqi4e6:target20:mnopqrstuvwxyz123456e1:q3:get1:t2:aa1:y1:qe",
    b"d1:ad3:casi1e2:id20:abcdefghij01234567891:k32:kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk4:salt3:nuk3:seqi4e\
        3:sig64:ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss5:token2:xy1:v5:helloe\
        1:q3:put1:t2:aa1:y1:qe",
    b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz1234564:wantl2:n42:n6ee\
        1:q17:sample_infohashes2:roi1e1:t2:aa1:v4:LT\x01\x021:y1:qe",
    b"d1:rd2:id20:0123456789abcdefghij5:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re",
    b"d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee",
];

#[test]
fn reads_the_queries_of_bep_5() {
    assert_eq!(query(MESSAGES[0]).method, Method::Ping);
    let find_node = query(MESSAGES[1]);
    assert_eq!((find_node.method, find_node.target.unwrap().as_slice()), (Method::FindNode, TARGET));
    assert_eq!(decode(MESSAGES[2]).torrent().unwrap().0, TARGET);
    assert_eq!(decode(MESSAGES[1]).torrent(), None);
    let announce = query(MESSAGES[3]);
    assert_eq!((announce.port, announce.implied_port), (Some(6881), Some(true)));
    assert_eq!(
        (&announce.method, announce.listen_port()),
        (&Method::AnnouncePeer, None),
        "the port is implied"
    );
    assert_eq!(announce.token.as_deref(), Some(b"aoeusnth".as_slice()));
    let explicit = b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti6881e\
        5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe";
    assert_eq!(query(explicit).listen_port(), Some(6881));
}

#[test]
fn reads_items_and_samples() {
    assert_eq!(query(MESSAGES[4]).method, Method::Get);
    assert_eq!(query(MESSAGES[5]).method, Method::Put);
    for (name, said) in [("seq", Value::Unsigned(4)), ("v", Value::Text("hello".into()))] {
        assert_eq!(value(MESSAGES[5], name), said);
    }
    assert_eq!(value(MESSAGES[5], "salt"), Value::Bytes(b"nuk".to_vec()));
    let sample = decode(MESSAGES[6]);
    assert_eq!((sample.read_only, sample.version.as_deref()), (Some(true), Some(b"LT\x01\x02".as_slice())));
    let samples = b"d1:rd2:id20:abcdefghij01234567898:intervali60e5:nodes0:3:numi7e7:samples40:\
        mnopqrstuvwxyz123456mnopqrstuvwxyz123457e1:t2:aa1:y1:re";
    let samples = response(samples);
    assert_eq!((samples.stored, samples.interval), (Some(7), Some(60)));
    assert_eq!(samples.samples.as_ref().map(Vec::len), Some(2));
    assert_eq!(samples.answers(), Some(Method::SampleInfohashes));
}

#[test]
fn reads_peers_and_nodes_of_both_families() {
    let peers = response(MESSAGES[7]);
    let wanted: Vec<SocketAddr> =
        ["97.120.106.101:11893", "105.100.104.116:28269"].map(|peer| peer.parse().unwrap()).into();
    assert_eq!(peers.peers.as_ref(), Some(&wanted));
    assert_eq!(value(MESSAGES[7], "values"), Value::Endpoints(wanted));
    assert_eq!(peers.answers(), Some(Method::GetPeers));

    let mut bytes = b"d2:ip6:\x0a\x4d\0\x03\x1a\xe51:rd2:id20:abcdefghij01234567895:nodes26:".to_vec();
    bytes.extend(TARGET);
    bytes.extend([10, 0, 0, 2, 0x1a, 0xe1]);
    bytes.extend(b"6:nodes638:");
    bytes.extend(TARGET);
    bytes.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x1a, 0xe2]);
    bytes.extend(b"e1:t1:a1:y1:re");
    let found = response(&bytes);
    let addresses: Vec<_> = found.all_nodes().map(|node| node.address.to_string()).collect();
    assert_eq!(addresses, ["10.0.0.2:6881", "[fd00::1]:6882"]);
    assert!(found.all_nodes().all(|node| node.id.0 == TARGET));
    assert_eq!(found.answers(), Some(Method::FindNode));
    assert_eq!(decode(&bytes).your_address, Some("10.77.0.3:6885".parse().unwrap()));
    assert_eq!(value(&bytes, "ip"), Value::Text("10.77.0.3:6885".into()));
    assert_eq!(value(&bytes, "nodes6"), Value::List);
}

#[test]
fn reads_errors() {
    assert_eq!(decode(MESSAGES[8]).kind, Kind::Error(201, b"A Generic Error Ocurred".to_vec()));
    assert_eq!(decode(b"d1:eli203ee1:t0:1:y1:ee").kind, Kind::Error(203, Vec::new()));
    assert_eq!(value(MESSAGES[8], "code"), Value::Unsigned(201));
}

#[test]
fn a_response_with_an_id_alone_does_not_tell_what_it_answers() {
    let pong = response(b"d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re");
    assert_eq!(pong.answers(), None);
}

#[test]
fn keeps_unknown_methods_and_keys() {
    let bytes = b"d1:ad2:id20:abcdefghij01234567895:wordsl1:aee1:q4:vote1:t2:aa1:xi1e1:y1:qe";
    assert_eq!(query(bytes).method, Method::Other("vote".into()));
    assert_eq!(value(bytes, "method"), Value::Text("vote".into()));
    assert_eq!(value(bytes, "x"), Value::Unsigned(1));
    let message = decode(bytes);
    assert_eq!(message.others.get(b"x"), Some(b"i1e".as_slice()));
    assert_eq!(query(bytes).others.get(b"words"), Some(b"l1:ae".as_slice()));
}

/// The keys that the fields of a message do not give back, of its dictionaries from the outermost inwards.
fn other_keys(bytes: &[u8]) -> Vec<String> {
    let message = decode(bytes);
    let inner = match &message.kind {
        Kind::Query(query) => query.others.clone(),
        Kind::Response(response) => response.others.clone(),
        Kind::Error(..) => OtherEntries::default(),
    };
    message.others.iter().chain(&inner).map(|(key, _)| key.escape_ascii().to_string()).collect()
}

#[test]
fn every_key_of_the_documents_has_a_field() {
    for bytes in MESSAGES {
        assert_eq!(other_keys(bytes), [""; 0], "{}", bytes.escape_ascii());
    }
    let scrape =
        b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234566:noseedi0e6:scrapei1e4:seedi1e\
        4:wantl2:n4ee1:q9:get_peers2:roi0e1:t2:aa1:y1:qe";
    assert_eq!(other_keys(scrape), [""; 0]);
    let asked = query(scrape);
    assert_eq!((asked.scrape, asked.no_seed), (Some(true), Some(false)));
    assert_eq!(asked.want, Some(NodeFamilies { ipv4: true, ipv6: false }));
    let filter = [b'x'; BLOOM_FILTER];
    let found = dictionary(|out| {
        out.bytes("ip", [10, 0, 0, 2, 0x1a, 0xe1]);
        out.dictionary("r", |values| {
            values.bytes("BFpe", filter);
            values.bytes("BFsd", filter);
            values.bytes("id", ID);
            values.bytes("k", [b'k'; 32]);
            values.bytes("nodes", "");
            values.bytes("nodes6", "");
            values.integer("seq", -1);
            values.bytes("sig", [b's'; 64]);
            values.bytes("token", "");
            values.dictionary("v", |item| item.integer("a", 1));
            values.list("values", |_| {});
        });
        out.bytes("t", "aa");
        out.bytes("v", "LT");
        out.bytes("y", "r");
    });
    assert_eq!(other_keys(&found), [""; 0]);
    let item = response(&found).item.unwrap();
    assert_eq!((item.value.as_deref(), item.sequence), (Some(b"d1:ai1ee".as_slice()), Some(-1)));
}

#[test]
fn keeps_what_a_field_cannot_hold() {
    for (bytes, keys) in [
        // A flag of 2, a family that nobody knows, families in another order.
        (b"d1:ad2:id20:abcdefghij01234567896:scrapei2ee1:q4:ping1:t2:aa1:y1:qe".as_slice(), ["scrape"]),
        (b"d1:ad2:id20:abcdefghij01234567894:wantl2:n5ee1:q4:ping1:t2:aa1:y1:qe", ["want"]),
        (b"d1:ad2:id20:abcdefghij01234567894:wantl2:n62:n4ee1:q4:ping1:t2:aa1:y1:qe", ["want"]),
        // A target that ping does not have, a negative port, an address without a port.
        (
            b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q4:ping1:t2:aa1:y1:qe",
            ["target"],
        ),
        (b"d1:ad2:id20:abcdefghij01234567894:porti-1ee1:q4:ping1:t2:aa1:y1:qe", ["port"]),
        (b"d2:ip4:\x0a\0\0\x021:rd2:id20:abcdefghij0123456789e1:t2:aa1:y1:re", ["ip"]),
        // A method that is no text, arguments in a response, an error of three items and of one.
        (b"d1:ad2:id20:abcdefghij0123456789e1:q1:\xff1:t2:aa1:y1:qe", ["q"]),
        (b"d1:ade1:rd2:id20:abcdefghij0123456789e1:t2:aa1:y1:re", ["a"]),
        (b"d1:eli203e1:xi1ee1:t2:aa1:y1:ee", ["e"]),
        (b"d1:eli203ee1:t2:aa1:y1:ee", ["e"]),
        // One peer and something else; nodes of which the last is cut.
        (b"d1:rd2:id20:abcdefghij01234567896:valuesl6:axje.u1:xee1:t2:aa1:y1:re", ["values"]),
        (b"d1:rd2:id20:abcdefghij01234567895:nodes3:abce1:t2:aa1:y1:re", ["nodes"]),
    ] {
        assert_eq!(other_keys(bytes), keys, "{}", bytes.escape_ascii());
    }
}

#[test]
fn of_two_entries_under_one_key_the_first_counts() {
    let once = b"d1:ad2:id20:abcdefghij01234567896:scrapei1e4:wantl2:n4ee1:q4:ping1:t2:aa1:y1:qe";
    let twice = b"d1:ad2:id20:abcdefghij01234567896:scrapei1e4:wantl2:n4e2:id20:bbbbbbbbbbbbbbbbbbbb\
        6:scrapei2e4:wantle1:xi1e1:xi2ee1:q4:ping1:t2:aa1:y1:q1:q4:vote1:t1:b1:y1:re";
    let message = decode(twice);
    assert_eq!(message.others, OtherEntries::default());
    assert_eq!(query(twice).others.get(b"x"), Some(b"i1e".as_slice()));
    let written = message.encode();
    assert_eq!(
        written.escape_ascii().to_string(),
        once.escape_ascii().to_string().replace("ee1:q", "e1:xi1ee1:q")
    );
}

#[test]
fn a_message_without_an_essential_part_is_read_where_it_is_known_to_be_one() {
    for (bytes, wanted) in [
        (
            b"d1:ad6:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe".as_slice(),
            "an id of 20 bytes",
        ),
        (b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:y1:qe", "a string under t, the transaction"),
        (b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aae", "q, r or e under y, the type"),
        (b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:yi1ee", "q, r or e under y, the type"),
        (b"d1:ad2:id20:abcdefghij0123456789e1:t2:aa1:y1:qe", "a string under q, the method"),
        (b"d1:q4:ping1:t2:aa1:y1:qe", "a dictionary under the letter of its type, a or r"),
        (b"d1:rle1:t2:aa1:y1:re", "a dictionary under the letter of its type, a or r"),
        (b"d1:rd2:id3:abce1:t2:aa1:y1:re", "an id of 20 bytes"),
        (b"d1:el5:errore1:t2:aa1:y1:ee", "a list with a number under e, the error"),
        (b"d1:ei201e1:t2:aa1:y1:ee", "a list with a number under e, the error"),
    ] {
        let text = bytes.escape_ascii().to_string();
        assert_eq!(Message::decode(bytes).expect_err(&text).wanted, wanted, "{text}");
        let message = Message::decode_incomplete(bytes).expect(&text);
        assert_eq!(message.faults[0].wanted, wanted, "{text}");
        assert_eq!(message.encode().escape_ascii().to_string(), text);
    }
    let rubbish = b"d1:rd2:id20:0123456789abcdefghije1:t2:aa1:y1:reaa1:y1:re";
    assert_eq!(untiled(&fields(rubbish), 0..rubbish.len()), None);
    let message = Message::decode_incomplete(rubbish).unwrap();
    assert_eq!(message.faults, [DecodeError::new(47, "the end of the message")]);
    assert_eq!(message.encode(), rubbish[..47]);
    for bytes in
        [b"".as_slice(), b"de", b"d1:t2:aae", b"d1:ad2:id20:abcdefghij0123456789e1:t2:aa1:y1:xe", b"le"]
    {
        Message::decode_incomplete(bytes).expect_err(&bytes.escape_ascii().to_string());
    }
}

#[test]
fn what_is_missing_is_a_fault_and_no_reason_to_drop_the_message() {
    let faults = |bytes: &[u8]| -> Vec<_> { decode(bytes).faults.iter().map(|fault| fault.wanted).collect() };
    let no_hash = b"d1:ad2:id20:abcdefghij0123456789e1:q9:get_peers1:t2:aa1:y1:qe";
    assert_eq!(faults(no_hash), ["an info_hash of 20 bytes"]);
    let no_token = b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti68810ee\
        1:q13:announce_peer1:t2:aa1:y1:qe";
    assert_eq!(faults(no_token), ["a token", "a port of 16 bits"]);
    let half_a_node = b"d1:rd2:id20:abcdefghij01234567895:nodes3:abc6:valuesl1:xee1:t2:aa1:y1:re";
    assert_eq!(faults(half_a_node).len(), 2);
    let many =
        [b"d1:rd2:id20:abcdefghij01234567896:valuesl".as_slice(), &b"1:x".repeat(500), b"ee1:t0:1:y1:re"];
    assert_eq!(faults(&many.concat()).len(), FAULTS);
}

#[test]
fn rejects_what_is_not_of_the_dht() {
    for bytes in [
        b"".as_slice(),
        b"de",
        b"d1:y1:qe",
        // A tracker's answer, an extended handshake.
        b"d8:intervali1800e5:peers6:\x0a\0\0\x02\x1a\xe1e",
        b"d1:md11:ut_metadatai3ee1:v5:x 1.0e",
        // No transaction; a type that does not exist; one that is a number.
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:y1:qe",
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:xe",
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:yi1ee",
        // No id; an id of 19 bytes; no arguments; arguments that are a list.
        b"d1:ade1:q4:ping1:t2:aa1:y1:qe",
        b"d1:ad2:id19:abcdefghij012345678e1:q4:ping1:t2:aa1:y1:qe",
        b"d1:q4:ping1:t2:aa1:y1:qe",
        b"d1:ale1:q4:ping1:t2:aa1:y1:qe",
        b"d1:rd1:x20:abcdefghij0123456789e1:t2:aa1:y1:re",
        // An error without a number.
        b"d1:el5:errore1:t2:aa1:y1:ee",
        b"d1:t2:aa1:y1:ee",
        // Something after the dictionary.
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qee",
    ] {
        assert!(Message::decode(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn rejects_every_cut() {
    for message in MESSAGES {
        for end in 0..message.len() {
            assert!(Message::decode(&message[..end]).is_err());
        }
    }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = format!("{}:", bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        transaction in prop::collection::vec(any::<u8>(), 0..9),
        hash in any::<[u8; 20]>(),
        peers in prop::collection::vec((any::<[u8; 4]>(), any::<u16>()), 0..9),
        version in prop::option::of(any::<[u8; 4]>()),
    ) {
        let mut bytes = b"d1:rd2:id20:".to_vec();
        bytes.extend(hash);
        bytes.extend(b"6:valuesl");
        for (ip, port) in &peers {
            bytes.extend(string(&[ip.as_slice(), &port.to_be_bytes()].concat()));
        }
        bytes.extend([b"ee1:t".as_slice(), &string(&transaction)].concat());
        if let Some(version) = &version {
            bytes.extend([b"1:v4:".as_slice(), version].concat());
        }
        bytes.extend(b"1:y1:re");
        let message = decode(&bytes);
        prop_assert_eq!(&message.transaction, &transaction);
        prop_assert_eq!(message.version, version.map(|version| version.to_vec()));
        let Kind::Response(response) = message.kind else { panic!("no response") };
        prop_assert_eq!(response.id, Some(NodeId(hash)));
        let peers: Vec<SocketAddr> = peers.iter().map(|&peer| peer.into()).collect();
        prop_assert_eq!(response.peers, Some(peers));
    }

    #[test]
    fn changed_bytes_are_read_or_rejected(
        which in 0..MESSAGES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = MESSAGES[which].to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        prop_assert_eq!(untiled(&fields(&bytes), 0..bytes.len()), None);
        if let Err(error) = Message::decode(&bytes) {
            prop_assert!(error.offset <= bytes.len());
        }
    }
}
