//! Conversations in raw bytes, and the records they must give.

mod datagrams;
mod disturbed;
mod mse;
mod near_misses;
mod others;
mod proxies;
mod waiting;
mod web_seeds;

use std::io::Write;

use super::*;
use crate::Reason;
use crate::record::Protocol;
use bittrace_protocol::Timestamp;

/// What happens on one connection from 10.0.0.3:40000 to 10.0.0.2:6881.
enum Step {
    Says(Direction, Vec<u8>),
    Loses(Direction, u64),
    Closes,
}

use Direction::{FromInitiator as A, FromResponder as B};
use Step::{Closes, Loses, Says};

const STREAM: StreamId = StreamId(7);

fn flow() -> Flow {
    Flow { initiator: "10.0.0.3:40000".parse().unwrap(), responder: "10.0.0.2:6881".parse().unwrap() }
}

fn moment(frame: u64) -> Moment {
    Moment { at: Timestamp::from_nanos(frame as i64 * 1_000_000), frame }
}

fn play(dissector: &mut Dissector, opening: StreamOpening, steps: &[Step], cut: usize) -> Vec<Record> {
    let mut records = Vec::new();
    let mut out = |dissected| {
        if let Dissected::Record(record) = dissected {
            records.push(record);
        }
    };
    let mut frame = 1;
    let opened = StreamEvent::Opened { stream: STREAM, flow: flow(), opening };
    dissector.handle(moment(frame), opened, &mut out);
    for step in steps {
        frame += 1;
        match step {
            Says(direction, bytes) => {
                for part in bytes.chunks(cut) {
                    let burst = StreamEvent::Burst { stream: STREAM, direction: *direction, bytes: part };
                    dissector.handle(moment(frame), burst, &mut out);
                }
            }
            Loses(direction, length) => {
                let gap = StreamEvent::Gap { stream: STREAM, direction: *direction, length: *length };
                dissector.handle(moment(frame), gap, &mut out);
            }
            Closes => {
                let closed = StreamEvent::Closed { stream: STREAM, closing: StreamClosing::Finished };
                dissector.handle(moment(frame), closed, &mut out);
            }
        }
    }
    records
}

/// The records of a conversation: direction, message name, length. They must be the same however the bytes are
/// cut, and cover all that was said.
fn records(opening: StreamOpening, steps: &[Step]) -> Vec<(Direction, &'static str, u64)> {
    let mut seen = None;
    for cut in [usize::MAX, 1, 2, 3, 7, 19, 68, 1448] {
        let records = play(&mut Dissector::new(), opening, steps, cut);
        for direction in [A, B] {
            let said: Vec<u8> = steps
                .iter()
                .filter_map(|step| match step {
                    Says(by, bytes) if *by == direction => Some(bytes.clone()),
                    _ => None,
                })
                .flatten()
                .collect();
            let shown: Vec<u8> = records
                .iter()
                .filter(|record| record.direction == direction)
                .flat_map(|record| record.bytes.to_vec())
                .collect();
            assert!(shown.is_empty() && records.is_empty() || shown == said, "cut at {cut}: bytes were lost");
        }
        let names: Vec<_> =
            records.iter().map(|record| (record.direction, record.body.message(), record.length())).collect();
        match &seen {
            None => seen = Some(names),
            Some(seen) => {
                for direction in [A, B] {
                    let way = |names: &[(Direction, &'static str, u64)]| -> Vec<_> {
                        names.iter().copied().filter(|name| name.0 == direction).collect()
                    };
                    assert_eq!(way(&names), way(seen), "cut at {cut}");
                }
            }
        }
    }
    seen.unwrap_or_default()
}

/// Captures with a snap length have the beginning of each packet alone. An announce that came as far as the hash of its
/// torrent is a row; of another site's request nothing is shown.
#[test]
fn an_announce_of_which_the_rest_was_not_captured_is_a_row() {
    let whole =
        b"GET /x/announce?info_hash=%01%02%03%04aaaaaaaaaaaaaaaa&peer_id=-TR3000-bbbbbbbbbbbb&port=1 \
        HTTP/1.1\r\nHost: t\r\n\r\n";
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\nd8:intervali60e5:peers0:e";
    let steps = |asked: &[u8]| {
        [Says(A, asked.to_vec()), Loses(A, 200), Says(B, answer[..50].to_vec()), Loses(B, 17), Closes]
    };
    let named = whole.len() - b"\r\n\r\n".len();
    for end in [30, 60, 104, named - 9, named - 7, named - 3, named, named + 2] {
        let found = records(StreamOpening::Syn, &steps(&whole[..end]));
        let expected = [(A, "opaque", end as u64), (A, "gap", 200), (B, "opaque", 50), (B, "gap", 17)];
        assert_eq!(found, expected, "{}", whole[..end].escape_ascii());
        for record in play(&mut Dissector::new(), StreamOpening::Syn, &steps(&whole[..end]), usize::MAX) {
            if record.body.message() == "opaque" {
                let cut = matches!(record.body, Body::Unreadable(_, Unreadable::Opaque(Reason::Cut(None))));
                assert!(cut, "{:?}", record.body);
            }
        }
    }
    for other in [&whole[..20], b"GET /?info_hash=x", b"GET /announce?q=1 HTTP/1.1\r\nHos", b"POST /x"] {
        assert_eq!(records(StreamOpening::Syn, &steps(other)), [], "{}", other.escape_ascii());
    }
}

fn handshake(peer: &[u8; 20]) -> Vec<u8> {
    let mut bytes = b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x04".to_vec();
    bytes.extend([0xaa; 20]);
    bytes.extend(peer);
    bytes
}

fn piece(index: u8, begin: u16, length: u16, fill: u8) -> Vec<u8> {
    let mut bytes = (u32::from(length) + 9).to_be_bytes().to_vec();
    bytes.extend([7, 0, 0, 0, index, 0, 0]);
    bytes.extend(begin.to_be_bytes());
    bytes.extend(vec![fill; usize::from(length)]);
    bytes
}

fn request(index: u8, begin: u16) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 13, 6, 0, 0, 0, index, 0, 0];
    bytes.extend(begin.to_be_bytes());
    bytes.extend([0, 0, 0x40, 0]);
    bytes
}

/// Bytes that look random, the same every time.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn reads_a_conversation() {
    let steps = [
        Says(A, handshake(b"-TR3000-aaaaaaaaaaaa")),
        Says(B, [handshake(b"A2-1-36-0-bbbbbbbbbb"), vec![0, 0, 0, 2, 5, 0xc0]].concat()),
        Says(A, vec![0, 0, 0, 1, 2]),
        Says(B, vec![0, 0, 0, 1, 1]),
        Says(A, [request(0, 0), request(0, 0x4000)].concat()),
        Says(B, piece(0, 0, 0x4000, 1)),
        Closes,
    ];
    assert_eq!(
        records(StreamOpening::Syn, &steps),
        [
            (A, "handshake", 68),
            (B, "handshake", 68),
            (B, "bitfield", 6),
            (A, "interested", 5),
            (B, "unchoke", 5),
            (A, "request", 17),
            (A, "request", 17),
            (B, "piece", 0x4000 + 13),
        ]
    );
}

#[test]
fn names_extensions_by_the_receivers_handshake() {
    let extended = |payload: &[u8]| {
        let mut bytes = (payload.len() as u32 + 1).to_be_bytes().to_vec();
        bytes.push(20);
        bytes.extend(payload);
        bytes
    };
    let steps = [
        Says(
            A,
            [handshake(b"-TR3000-aaaaaaaaaaaa"), extended(b"\0d1:md11:ut_metadatai9e6:ut_pexi1eee")].concat(),
        ),
        Says(
            B,
            [handshake(b"-lt0D80-bbbbbbbbbbbb"), extended(b"\0d1:md11:ut_metadatai2e6:ut_pexi9eee")].concat(),
        ),
        // A uses B's number for it, and B uses A's.
        Says(A, extended(b"\x02d8:msg_typei0e5:piecei0ee")),
        Says(B, extended(b"\x09d8:msg_typei2e5:piecei0ee")),
        Says(B, extended(b"\x05de")),
    ];
    let names: Vec<String> = play(&mut Dissector::new(), StreamOpening::Syn, &steps, usize::MAX)
        .iter()
        .filter_map(|record| match &record.body {
            Body::PeerWire(PeerWireBody::Extended(_, extension)) => Some(extension.name().to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(names, ["handshake", "handshake", "ut_metadata", "ut_metadata", "unannounced"]);
}

#[test]
fn goes_on_behind_a_loss_within_a_message() {
    let whole = piece(3, 0, 0x4000, 9);
    let steps = [
        Says(B, handshake(b"-TR3000-aaaaaaaaaaaa")),
        Says(B, whole[..5000].to_vec()),
        Loses(B, 1448),
        Says(B, whole[6448..].to_vec()),
        Says(B, vec![0, 0, 0, 5, 4, 0, 0, 0, 1]),
        Closes,
    ];
    let seen = records(StreamOpening::Syn, &steps);
    assert_eq!(
        seen,
        [
            (B, "handshake", 68),
            (B, "opaque", 5000),
            (B, "gap", 1448),
            (B, "opaque", 0x4000 + 13 - 6448),
            (B, "have", 9),
        ]
    );
    let records = play(&mut Dissector::new(), StreamOpening::Syn, &steps, 1448);
    let Body::Unreadable(_, Unreadable::Opaque(Reason::Fragment(fragment))) = records[3].body else {
        panic!("must be a fragment")
    };
    assert_eq!((fragment.from, fragment.total), (6448, 0x4000 + 13));
    // The block counts once, by its head: its rest was sent.
    let cut: Vec<_> = records.iter().filter_map(Record::cut_block).collect();
    assert_eq!(cut, [(bittrace_protocol::PieceIndex(3), 0, 0x4000)]);
    // Where the stream ends within a block, the block was not sent.
    let ends = [Says(B, handshake(b"-TR3000-aaaaaaaaaaaa")), Says(B, whole[..5000].to_vec()), Closes];
    let ended = play(&mut Dissector::new(), StreamOpening::Syn, &ends, 1448);
    assert_eq!((ended.len(), ended.iter().find_map(Record::cut_block)), (2, None));
    assert_eq!(fragment.block.map(|(index, begin)| (index.0, begin)), Some((3, 0)));
    assert_eq!(records[4].offset, 68 + 0x4000 + 13);
}

#[test]
fn finds_the_next_message_behind_a_loss_of_unknown_ones() {
    let steps = [
        Says(A, handshake(b"-TR3000-aaaaaaaaaaaa")),
        Loses(A, 50),
        Says(A, request(1, 0)[9..].to_vec()),
        Says(A, [request(1, 0x4000), request(2, 0), request(2, 0x4000)].concat()),
    ];
    let seen = records(StreamOpening::Syn, &steps);
    assert_eq!(seen[..3], [(A, "handshake", 68), (A, "gap", 50), (A, "opaque", 8)]);
    assert_eq!(seen[3..], [(A, "request", 17); 3]);
}

#[test]
fn joins_a_stream_in_the_middle() {
    let mut said = vec![0; 4000];
    for number in 0..6u16 {
        said.extend(piece(number as u8 / 2, number % 2 * 0x4000, 0x4000, 0));
    }
    let steps = [Says(A, said), Says(B, vec![0, 0, 0, 5, 4, 0, 0, 0, 1]), Closes];
    let seen = records(StreamOpening::MidStream, &steps);
    assert_eq!(seen[0], (A, "opaque", 4000));
    assert_eq!(seen[1..7], [(A, "piece", 0x4000 + 13); 6]);
    assert_eq!(seen[7..], [(B, "have", 9)]);
}

#[test]
fn finds_the_handshake_behind_a_key_exchange() {
    let steps = [
        Says(A, noise(1, 300)),
        Says(B, noise(2, 250)),
        Says(A, [noise(3, 56), handshake(b"-TR3000-aaaaaaaaaaaa")].concat()),
        Says(B, [noise(4, 14), handshake(b"-TR3000-bbbbbbbbbbbb"), vec![0, 0, 0, 1, 14]].concat()),
        Closes,
    ];
    let seen = records(StreamOpening::Syn, &steps);
    let way =
        |direction| seen.iter().filter(|seen| seen.0 == direction).map(|seen| (seen.1, seen.2)).collect();
    let initiator: Vec<_> = way(A);
    let responder: Vec<_> = way(B);
    assert_eq!(initiator, [("key-exchange", 96), ("encrypted", 260), ("handshake", 68)]);
    assert_eq!(responder, [("key-exchange", 96), ("encrypted", 168), ("handshake", 68), ("have-all", 5)]);
}

/// The key is told when it was said, not when the handshake after it came.
#[test]
fn the_keys_of_a_plaintext_connection_come_first() {
    let steps = [
        Says(A, noise(1, 300)),
        Says(B, [noise(4, 214), handshake(b"-TR3000-bbbbbbbbbbbb"), vec![0, 0, 0, 1, 14]].concat()),
        Says(A, [noise(3, 56), handshake(b"-TR3000-aaaaaaaaaaaa")].concat()),
    ];
    let all: Vec<_> = records(StreamOpening::Syn, &steps).into_iter().map(|seen| (seen.0, seen.1)).collect();
    let expected = [
        (A, "key-exchange"),
        (B, "key-exchange"),
        (B, "encrypted"),
        (B, "handshake"),
        (B, "have-all"),
        (A, "encrypted"),
        (A, "handshake"),
    ];
    assert_eq!(all, expected);
}

#[test]
fn random_bytes_are_a_peers_only_by_the_word_of_a_tracker() {
    let encrypted = [Says(A, noise(1, 9000)), Says(B, noise(2, 30_000)), Closes];
    assert_eq!(records(StreamOpening::Syn, &encrypted), []);

    let mut dissector = Dissector::new();
    dissector.recognised.peers.insert(flow().responder);
    let names: Vec<_> = play(&mut dissector, StreamOpening::Syn, &encrypted, 1448)
        .iter()
        .map(|record| (record.direction, record.body.message(), record.bytes.len()))
        .collect();
    assert_eq!(
        names,
        [
            (A, "key-exchange", 96),
            (B, "key-exchange", 96),
            (B, "encrypted", 16384),
            (A, "encrypted", 8904),
            (B, "encrypted", 30_000 - 96 - 16384),
        ]
    );
}

/// What begins with public keys is counted though bytes of it are lost before it was known what it is.
#[test]
fn an_encrypted_connection_that_lost_bytes_at_once_is_counted() {
    let steps =
        [Says(A, noise(1, 300)), Loses(A, 700), Says(B, noise(2, 400)), Says(A, noise(3, 5000)), Closes];
    let mut dissector = Dissector::new();
    dissector.recognised.peers.insert(flow().responder);
    let names: Vec<_> = play(&mut dissector, StreamOpening::Syn, &steps, 1448)
        .iter()
        .map(|record| (record.direction, record.body.message(), record.offset, record.bytes.len()))
        .collect();
    let expected = [(B, "key-exchange", 0, 96), (A, "encrypted", 1000, 5000), (B, "encrypted", 96, 304)];
    assert_eq!(names, expected);
    assert_eq!(records(StreamOpening::Syn, &steps), [], "nobody says that it is a peer's");
}

#[test]
fn reads_several_announces_on_one_connection() {
    let ask = |event: &str| {
        format!(
            "GET /announce?info_hash=%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa\
             &peer_id=-TR3000-aaaaaaaaaaaa&port=6881&left=0&event={event} HTTP/1.1\r\nHost: t\r\n\r\n"
        )
        .into_bytes()
    };
    let body = b"d8:intervali1800e5:peers6:\x0a\0\0\x02\x1a\xe1e";
    let mut reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    reply.extend(body);
    let steps =
        [Says(A, ask("started")), Says(B, reply.clone()), Says(A, ask("stopped")), Says(B, reply), Closes];
    let seen: Vec<_> = records(StreamOpening::Syn, &steps).into_iter().map(|seen| (seen.0, seen.1)).collect();
    assert_eq!(
        seen,
        [
            (A, "announce-request"),
            (B, "announce-response"),
            (A, "announce-request"),
            (B, "announce-response"),
        ]
    );
}

#[test]
fn an_answer_captured_before_its_request_is_read() {
    let ask = b"GET /announce?info_hash=%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa\
        &peer_id=-TR3000-aaaaaaaaaaaa&port=6881&left=0 HTTP/1.1\r\nHost: t\r\n\r\n"
        .to_vec();
    let body = b"d8:intervali1800e5:peers6:\x0a\0\0\x02\x1a\xe1e";
    let mut reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    reply.extend(body);
    let both = [(A, "announce-request"), (B, "announce-response")];
    for opening in [StreamOpening::Syn, StreamOpening::MidStream] {
        let steps = [Says(B, reply.clone()), Says(A, ask.clone()), Closes];
        let seen: Vec<_> = records(opening, &steps).into_iter().map(|seen| (seen.0, seen.1)).collect();
        assert_eq!(seen, both);
    }
}

#[test]
fn answers_of_a_tracker_alone_are_known_by_what_they_say() {
    let answer =
        |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes();
    let seen = |opening, answers: &[Vec<u8>]| -> Vec<_> {
        let steps = [Says(B, answers.concat()), Closes];
        records(opening, &steps).into_iter().map(|(_, name, _)| name).collect()
    };
    let peers = answer("d8:intervali1800e5:peers0:e");
    let scrape = answer("d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei1eeee");
    for opening in [StreamOpening::Syn, StreamOpening::MidStream] {
        assert_eq!(seen(opening, &[peers.clone(), scrape.clone()]), ["announce-response", "scrape-response"]);
        assert_eq!(seen(opening, &[answer("d14:failure reason2:noe")]), ["error"]);
        assert_eq!(seen(opening, &[peers.clone(), answer("hello")]), ["announce-response", "opaque"]);
        for other in ["hello", "d5:peers0:e", "d8:intervali1800ee", "d5:filesdee", "d3:agei7ee", ""] {
            assert_eq!(seen(opening, &[answer(other), peers.clone()]), [""; 0], "{other}");
        }
        assert_eq!(
            seen(opening, &[b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), b"d8:intervali9e5:peers0:e".to_vec()]),
            ["announce-response"]
        );
    }
}

/// Unpacked anew for each of the segments that follow, it would be 300 GiB.
#[test]
fn an_answer_that_is_no_trackers_is_read_once() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(&vec![0; 4_000_000]).unwrap();
    let packed = packer.finish().unwrap();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", packed.len());
    let answer = [head.into_bytes(), packed].concat();
    assert!(answer.len() < 10_000);
    let steps = [Says(B, answer), Says(B, vec![b'x'; 88_000]), Closes];
    assert!(play(&mut Dissector::new(), StreamOpening::MidStream, &steps, 1).is_empty());
}

#[test]
fn damage_is_kept_and_decoding_resumes() {
    let steps = [
        Says(A, handshake(b"-TR3000-aaaaaaaaaaaa")),
        Says(A, noise(9, 500).into_iter().map(|byte| byte | 0x80).collect()),
        Says(A, [request(1, 0), request(1, 0x4000)].concat()),
    ];
    let seen = records(StreamOpening::Syn, &steps);
    assert_eq!(seen, [(A, "handshake", 68), (A, "opaque", 500), (A, "request", 17), (A, "request", 17)]);
    let records = play(&mut Dissector::new(), StreamOpening::Syn, &steps, usize::MAX);
    assert!(matches!(
        records[1].body,
        Body::Unreadable(Protocol::PeerWire, Unreadable::Opaque(Reason::Damaged))
    ));
}

#[test]
fn text_before_a_handshake_is_no_key_exchange() {
    let steps = [
        Says(
            A,
            [b"220 mail.example ready, and so on and on ".repeat(3), handshake(b"-TR3000-aaaaaaaaaaaa")]
                .concat(),
        ),
        Closes,
    ];
    assert_eq!(records(StreamOpening::Syn, &steps), []);
}

#[test]
fn messages_far_behind_the_first_bytes_are_not_found() {
    let far = [vec![0x55; 99_000], request(1, 0), request(1, 0x4000), request(2, 0)].concat();
    assert_eq!(records(StreamOpening::MidStream, &[Says(A, far), Closes]), []);
}

#[test]
fn haves_of_impossible_pieces_prove_nothing_and_cost_nothing() {
    let haves = [0, 0, 0, 5, 4, 0xff, 0xff, 0xff, 0xff].repeat(100_000);
    let steps =
        [Says(A, handshake(b"-TR3000-aaaaaaaaaaaa")), Says(B, [vec![0xff; 4], haves].concat()), Closes];
    let play = |cut| play(&mut Dissector::new(), StreamOpening::Syn, &steps, cut);
    assert_eq!(play(1).len(), play(usize::MAX).len());
}

#[test]
fn what_follows_a_loss_on_a_trackers_connection_does_not_wait_for_its_end() {
    let announce = b"GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&port=1 HTTP/1.1\r\n\r\n".to_vec();
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n".to_vec();
    let steps = [Says(A, announce), Says(B, answer), Loses(B, 100), Says(B, vec![b'x'; 40_000]), Closes];
    let seen = records(StreamOpening::Syn, &steps);
    let lengths: Vec<u64> =
        seen.iter().filter(|seen| seen.1 != "announce-request").map(|seen| seen.2).collect();
    assert_eq!(lengths, [44, 100, 16_384, 16_384, 7_232]);
    let unfinished = play(&mut Dissector::new(), StreamOpening::Syn, &steps[..4], 1000);
    assert_eq!(unfinished.len(), 5, "what is whole is shown at once");
}

#[test]
fn a_handshake_of_very_many_extensions_is_read() {
    let names: String = (0..100_000).map(|number| format!("7:{number:07}i{}e", 1 + number % 2)).collect();
    let payload = [b"\0d1:md", names.as_bytes(), b"ee"].concat();
    let mut message = (payload.len() as u32 + 1).to_be_bytes().to_vec();
    message.push(20);
    message.extend(payload);
    let said = [handshake(b"-TR3000-aaaaaaaaaaaa"), message].concat();
    let used = [handshake(b"-TR3000-bbbbbbbbbbbb"), vec![0, 0, 0, 2, 20, 2]].concat();
    let steps = [Says(A, said), Says(B, used)];
    let records = play(&mut Dissector::new(), StreamOpening::Syn, &steps, usize::MAX);
    let Some(Body::PeerWire(PeerWireBody::Extended(_, extension))) =
        records.last().map(|record| &record.body)
    else {
        panic!()
    };
    assert_eq!(extension.name(), "0000001");
}
