//! Datagrams in raw bytes: the DHT, local announces, uTP, and what is none of them.

use super::*;

/// What is said of datagrams, one a millisecond, sent by A or B of `flow()`.
fn play_datagrams(datagrams: &[(Direction, Vec<u8>)]) -> Vec<Record> {
    let mut dissector = Dissector::new();
    let mut records = Vec::new();
    let mut out = |dissected| {
        if let Dissected::Record(record) = dissected {
            records.push(record);
        }
    };
    for (frame, (direction, bytes)) in (1..).zip(datagrams) {
        let (source, destination) = flow().ends(*direction);
        dissector.datagram(moment(frame), source, destination, bytes, &mut out);
    }
    dissector.finish(&mut out);
    records
}

/// Direction, name and length of each record.
pub(super) fn said(datagrams: &[(Direction, Vec<u8>)]) -> Vec<(Direction, &'static str, u64)> {
    let records = play_datagrams(datagrams);
    records.iter().map(|record| (record.direction, record.body.message(), record.length())).collect()
}

fn names(datagrams: &[(Direction, &str)]) -> Vec<&'static str> {
    let datagrams: Vec<_> = datagrams.iter().map(|(way, text)| (*way, text.as_bytes().to_vec())).collect();
    said(&datagrams).into_iter().map(|(_, name, _)| name).collect()
}

const PING: &str = "d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:x11:y1:qe";
const PONG: &str = "d1:rd2:id20:bbbbbbbbbbbbbbbbbbbbe1:t2:x11:y1:re";

#[test]
fn a_response_is_named_by_the_query_it_answers() {
    let find = "d1:ad2:id20:aaaaaaaaaaaaaaaaaaaa6:target20:tttttttttttttttttttte1:q9:find_node1:t2:x21:y1:qe";
    let same_of_b = PING.replace("aaaa", "bbbb");
    let said = names(&[
        (A, PING),
        (A, find),
        // B asks under the number of a query of A's; each is answered on its own.
        (B, &same_of_b),
        (B, PONG),
        (A, PONG),
        (B, &PONG.replace("x1", "x2")),
        (B, &PONG.replace("x1", "x2")),
        (B, "d1:eli201e1:xe1:t2:x91:y1:ee"),
    ]);
    let expected = [
        "ping-query",
        "find_node-query",
        "ping-query",
        "ping-response",
        "ping-response",
        "find_node-response",
        "response",
        "error",
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_response_alone_is_named_by_what_it_holds() {
    let peers = "d1:rd2:id20:bbbbbbbbbbbbbbbbbbbb5:token1:x6:valuesl6:aaaabbee1:t2:x11:y1:re";
    let other = "d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:vote1:t2:x31:y1:qe";
    assert_eq!(names(&[(B, PONG), (B, peers), (A, other)]), ["response", "get_peers-response", "query"]);
}

#[test]
fn a_response_that_comes_too_late_answers_nothing() {
    let mut dissector = Dissector::new();
    let mut said = Vec::new();
    let mut out = |dissected| {
        if let Dissected::Record(record) = dissected {
            said.push(record.body.message());
        }
    };
    let (here, there) = flow().ends(A);
    dissector.datagram(moment(0), here, there, PING.as_bytes(), &mut out);
    dissector.datagram(moment(61_000), there, here, PONG.as_bytes(), &mut out);
    assert_eq!(said, ["ping-query", "response"]);
}

#[test]
fn announces_to_the_local_network_make_peers() {
    let announce = "BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\n\
        Infohash: 37d97d0c430cb5ad5624aa9733e473414d63e923\r\n\r\n\r\n";
    assert_eq!(names(&[(A, announce), (A, &announce[1..]), (B, announce)]), ["announce", "announce"]);
    let mut dissector = Dissector::new();
    let group = "239.192.152.143:6771".parse().unwrap();
    dissector.datagram(moment(1), flow().responder, group, announce.as_bytes(), &mut |_| {});
    assert!(dissector.recognised.is_peer(flow().responder));
}

/// What is said of datagrams, with the reason of what is no message, and the first fault of what lacks something.
fn faults(datagrams: &[(Direction, Vec<u8>)]) -> Vec<String> {
    let fault = |record: &Record| match &record.body {
        Body::Unreadable(protocol, Unreadable::Opaque(reason)) => match reason {
            Reason::Malformed(fault) => format!("{}: {fault}", protocol.name()),
            other => format!("{}: {}", protocol.name(), other.name()),
        },
        Body::Dht(message, _) => match message.faults.first() {
            Some(fault) => format!("{}: {fault}", record.body.message()),
            None => record.body.message().to_owned(),
        },
        other => other.message().to_owned(),
    };
    play_datagrams(datagrams).iter().map(fault).collect()
}

#[test]
fn nothing_that_nodes_say_to_each_other_is_lost() {
    let ping = PING.as_bytes();
    let datagrams = [
        // Before the two are known to be nodes, what proves nothing is not theirs.
        (B, b"d1:ad5:token1:x1:v1:ae1:q3:put1:t2:pp1:y1:qe".to_vec()),
        (A, ping.to_vec()),
        (B, b"d1:ad5:token1:x1:v1:ae1:q3:put1:t2:pp1:y1:qe".to_vec()),
        (B, b"d1:e\0\0\0".to_vec()),
        (B, ping[..ping.len() - 3].to_vec()),
        (A, [ping, b"1:qe"].concat()),
        (A, b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:y1:qe".to_vec()),
        (A, b"\0\0\0\0rubbish".to_vec()),
        // A datagram of uTP between the same ends is no message of the DHT.
        (A, [&[0x01, 0, 0, 9][..], &[7; 40]].concat()),
    ];
    let wanted = [
        "ping-query",
        "put-query: at byte 4: expected an id of 20 bytes",
        "dht: at byte 4: expected a bencoded value: i, l, d or a digit",
        "dht: at byte 53: expected a digit or the colon after a string's length",
        "ping-query: at byte 56: expected the end of the message",
        "ping-query: at byte 0: expected a string under t, the transaction",
        "dht: at byte 0: expected a bencoded dictionary",
    ];
    assert_eq!(faults(&datagrams), wanted);
}

#[test]
fn an_announce_to_the_local_network_that_is_none_is_a_row() {
    let announce = |headers: &str| {
        let bytes = format!("BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\n{headers}\r\n\r\n");
        vec![(A, bytes.into_bytes())]
    };
    let hash = "Infohash: 37d97d0c430cb5ad5624aa9733e473414d63e9";
    let whole = announce(&format!("Port: 6881\r\n{hash}23\r\n")).remove(0);
    let short = announce(&format!("Port: 6881\r\n{hash}\r\n")).remove(0);
    let none = announce("Port: 6881\r\n").remove(0);
    assert_eq!(faults(&[short.clone(), none.clone()]), [""; 0], "nobody is known to announce");
    let said = faults(&[whole, short, none]);
    assert_eq!((said.len(), said[0].as_str()), (3, "announce"));
    assert!(said[1].starts_with("lsd: ") && said[1].ends_with("an info hash in 40 hex digits"), "{said:?}");
    assert_eq!(said[2], "lsd: at byte 22: expected a header with an info hash");
}

#[test]
fn what_a_udp_tracker_says_to_no_request_is_malformed() {
    let connect = [&0x417_2710_1980_u64.to_be_bytes()[..], &[0; 4], &[9; 4]].concat();
    let answer = |transaction: u8| [&[0; 4][..], &[transaction; 4], &[7; 8]].concat();
    let said = faults(&[(A, connect), (B, answer(8)), (B, answer(9)[..12].to_vec()), (B, answer(9))]);
    let wanted = [
        "connect-request",
        "udp-tracker: at byte 4: expected the transaction id of a request",
        "udp-tracker: at byte 8: expected 8 bytes of a connection id",
        "connect-response",
    ];
    assert_eq!(said, wanted);
}

#[test]
fn the_beginning_of_a_datagram_is_a_row_where_its_protocol_is_known() {
    let mut dissector = Dissector::new();
    let mut said = Vec::new();
    let mut out = |dissected| {
        if let Dissected::Record(record) = dissected {
            let Body::Unreadable(protocol, Unreadable::Opaque(Reason::Cut(Some(total)))) = record.body else {
                panic!("not cut: {:?}", record.body)
            };
            said.push((protocol.name(), record.bytes.len(), total));
        }
    };
    let ends = flow().ends(A);
    // The first and third prove nothing by themselves; after the second, the nodes are known.
    for cut in ["d1:ad6:target", &PING[..20], "d1:ad6:target", "BT-SEARCH * HTTP/1.1\r\nHo", "\x01\0xxxxxxxx"]
    {
        dissector.cut_datagram(moment(1), ends, (cut.as_bytes(), 100), &mut out);
    }
    assert_eq!(said, [("dht", 20, 100), ("dht", 13, 100), ("lsd", 24, 100)]);
}

#[test]
fn what_is_none_of_them_makes_no_row() {
    // DNS, STUN, WireGuard, RTP, bencode of another kind, a query without an id.
    let stun = [&[1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42][..], &[7; 24]].concat();
    let wireguard = [&[1, 0, 0, 0][..], &[0x5a; 144]].concat();
    let datagrams = [
        (A, b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\0\0\x01\0\x01".to_vec()),
        (B, stun),
        (A, wireguard),
        (A, [&[0x80, 0x60][..], &[9; 170]].concat()),
        (A, b"d3:agei7e4:name3:joee".to_vec()),
        (A, b"d1:ade1:q4:ping1:t1:x1:y1:qe".to_vec()),
    ];
    assert_eq!(said(&datagrams), []);
}

/// How many bytes each end of a uTP connection takes: 64 KiB.
const WINDOW: [u8; 4] = [0, 1, 0, 0];

/// A uTP packet without extensions, of A (which called with id 5) or B.
pub(super) fn packet(
    direction: Direction,
    kind: u8,
    sequence: u16,
    acknowledged: u16,
    payload: &[u8],
) -> (Direction, Vec<u8>) {
    let id: u16 = if direction == A && kind != 4 { 6 } else { 5 };
    let mut bytes = vec![kind << 4 | 1, 0];
    bytes.extend(id.to_be_bytes());
    bytes.extend([&[0; 8][..], &WINDOW].concat());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(acknowledged.to_be_bytes());
    bytes.extend(payload);
    (direction, bytes)
}

pub(super) fn opened() -> Vec<(Direction, Vec<u8>)> {
    vec![packet(A, 4, 1, 0, &[]), packet(B, 2, 100, 1, &[])]
}

#[test]
fn a_connection_over_utp_is_read_like_one_over_tcp() {
    let (ours, theirs) = (handshake(b"-LT2080-aaaaaaaaaaaa"), handshake(b"-LT2080-bbbbbbbbbbbb"));
    let mut datagrams = opened();
    datagrams.extend([
        packet(A, 0, 2, 99, &ours[..30]),
        packet(A, 0, 3, 99, &ours[30..]),
        packet(B, 0, 101, 3, &[0, 0, 0, 1, 1, 0, 0, 0, 1, 0]),
        packet(B, 0, 100, 3, &theirs),
        packet(B, 2, 102, 3, &[]),
        packet(A, 1, 4, 101, &[]),
    ]);
    let expected = [(A, "handshake", 68), (B, "handshake", 68), (B, "unchoke", 5), (B, "choke", 5)];
    assert_eq!(said(&datagrams), expected);
    let records = play_datagrams(&datagrams);
    assert!(records.iter().all(|record| record.transport == Transport::Utp));
    assert_eq!((records[0].frames.as_slice(), records[3].offset), (&[3, 4][..], 73));
}

#[test]
fn packets_that_left_the_host_as_one_datagram_are_read_one_by_one() {
    let (ours, theirs) = (handshake(b"-LT2080-aaaaaaaaaaaa"), handshake(b"-LT2080-bbbbbbbbbbbb"));
    let piece = [&[0, 0, 0x40, 9, 7, 0, 0, 0, 1, 0, 0, 0, 0][..], &[0x55; 0x4000]].concat();
    let burst = (101..).zip(piece.chunks(1_400)).flat_map(|(number, part)| packet(B, 0, number, 2, part).1);
    let mut datagrams = opened();
    datagrams.extend([
        packet(A, 0, 2, 99, &ours),
        packet(B, 0, 100, 2, &theirs),
        (B, burst.collect()),
        packet(A, 2, 3, 112, &[]),
        packet(B, 0, 113, 2, &[0, 0, 0, 1, 1]),
    ]);
    let expected = [(A, "handshake", 68), (B, "handshake", 68), (B, "piece", 13 + 0x4000), (B, "unchoke", 5)];
    assert_eq!(said(&datagrams), expected);
    assert_eq!(play_datagrams(&datagrams)[2].frames.as_slice(), [5]);
}

#[test]
fn packets_that_the_capture_lost_cost_what_they_carried_alone() {
    let (ours, theirs) = (handshake(b"-LT2080-aaaaaaaaaaaa"), handshake(b"-LT2080-bbbbbbbbbbbb"));
    let piece = [&[0, 0, 0x40, 9, 7, 0, 0, 0, 1, 0, 0, 0, 0][..], &[0x55; 0x4000]].concat();
    let haves: Vec<u8> = (0..3).flat_map(|index| [0, 0, 0, 5, 4, 0, 0, 0, index]).collect();
    let mut datagrams = opened();
    datagrams.extend([
        packet(A, 0, 2, 99, &ours),
        packet(B, 0, 100, 2, &theirs),
        packet(B, 0, 101, 2, &piece[..1000]),
        // 102 is lost, with bytes of which nobody knows how many they were.
        packet(B, 0, 103, 2, &piece[2000..]),
        packet(B, 0, 104, 2, &haves),
        packet(A, 2, 3, 104, &[]),
    ]);
    let said = said(&datagrams);
    let expected = [
        (A, "handshake", 68),
        (B, "handshake", 68),
        (B, "opaque", 1000),
        (B, "gap", 0),
        (B, "opaque", 13 + 0x4000 - 2000),
        (B, "have", 9),
        (B, "have", 9),
        (B, "have", 9),
    ];
    assert_eq!(said, expected);
    let gap = play_datagrams(&datagrams)[3].clone();
    assert!(matches!(gap.body, Body::Unreadable(Protocol::PeerWire, Unreadable::LostPackets(1))));
}

#[test]
fn a_connection_over_utp_that_carries_nothing_known_is_shown_by_its_datagrams() {
    let mut datagrams = opened();
    datagrams.extend([packet(A, 0, 2, 99, b"GET / HTTP/1.1\r\n\r\n"), packet(B, 2, 100, 2, &[])]);
    let expected = [(A, "opaque", 20), (B, "opaque", 20), (A, "opaque", 38), (B, "opaque", 20)];
    assert_eq!(said(&datagrams), expected);
    assert!(
        play_datagrams(&datagrams)
            .iter()
            .all(|record| matches!(record.body, Body::Unreadable(Protocol::Utp, Unreadable::Datagram)))
    );
    assert_eq!(said(&opened()).len(), 2, "opened, and nothing said");
    assert_eq!(said(&datagrams[..1]), [], "a SYN that nobody answered may be anything");
    // Joined in the middle, it may be anything as well.
    assert_eq!(said(&datagrams[2..]), []);
}

#[test]
fn random_bytes_over_utp_are_an_encrypted_connection() {
    let noise: Vec<u8> = (0..2000u32).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 13) as u8).collect();
    let mut datagrams = opened();
    datagrams.extend([packet(A, 0, 2, 99, &noise[..1000]), packet(B, 0, 100, 2, &noise[1000..])]);
    let expected =
        [(A, "key-exchange", 96), (B, "key-exchange", 96), (A, "encrypted", 904), (B, "encrypted", 904)];
    assert_eq!(said(&datagrams), expected);
}

#[test]
fn a_stream_over_utp_joined_in_the_middle_is_found_by_its_messages() {
    let requests = |index| [&[0, 0, 0, 13, 6][..], &[0, 0, 0, index, 0, 0, 0, 0, 0, 0, 0x40, 0]].concat();
    let datagrams = [
        packet(A, 0, 500, 99, &requests(1)),
        packet(B, 2, 99, 500, &[]),
        packet(A, 0, 501, 99, &requests(2)),
    ];
    assert_eq!(said(&datagrams), [(A, "request", 17), (A, "request", 17)]);
}

#[test]
fn many_flows_and_openings_take_bounded_time_and_memory() {
    let mut dissector = Dissector::new();
    let mut records = 0;
    let mut says = |number: u32, bytes: &[u8]| {
        let source = (std::net::Ipv4Addr::from(number), 1).into();
        dissector.datagram(moment(1), source, flow().responder, bytes, &mut |_| records += 1);
    };
    let connect = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4];
    (0..120_000).for_each(|number| says(number, &connect));
    (0..120_000).for_each(|number| says(number, PING.as_bytes()));
    let (_, syn) = packet(A, 4, 1, 0, &[]);
    (200_000..250_000).for_each(|number| says(number, &syn));
    assert_eq!(records, 240_000);
}
