//! The mistakes of clients that are being written, from either side: one row that says what was sent, and the rest of the
//! connection read where it proves itself.

use bittrace_protocol::InfoHash;

use super::*;
use crate::Rule;
use crate::expert::rules::note_near_miss;

const TORRENT: [u8; 20] =
    *b"\xe2\xe1\xa8\x9b\xf6\x17\xa7\xb0\xc6\x69\x7a\x92\x26\x8f\x8d\xab\x34\x57\x03\x62";
const DIGITS: &[u8] = b"e2e1a89bf617a7b0c6697a92268f8dab34570362";
const RESERVED: &[u8] = b"\0\0\0\0\0\x10\0\x05";
const INTERESTED: [u8; 5] = [0, 0, 0, 1, 2];

fn right(peer: &[u8; 20]) -> Vec<u8> {
    [b"\x13BitTorrent protocol", RESERVED, &TORRENT, peer].concat()
}

/// Handshakes that are nearly right, and the offset of the first wrong byte.
fn handshakes() -> Vec<(Vec<u8>, usize)> {
    let named = |start: &[u8]| [start, RESERVED, &TORRENT, b"-XX0100-abcdefghijkl"].concat();
    let name = b"\x13BitTorrent protocol";
    vec![
        (named(b"\x19BitTorrent protocol"), 0),
        (named(b"\x13BitTorrent Protocol"), 12),
        (named(b"19BitTorrent protocol"), 0),
        (named(b"BitTorrent protocol"), 0),
        ([&name[..], &TORRENT, b"-XX0100-abcdefghijkl"].concat(), 20),
        ([&name[..], &TORRENT, b"abcdefghijklmnopqrst"].concat(), 20),
        ([&name[..], RESERVED, DIGITS, b"-XX0100-abcdefghijkl"].concat(), 28),
    ]
}

/// The near misses among the records: direction, rule, and the note on each.
fn near_misses(records: &[Record]) -> Vec<(Direction, &'static Rule, String)> {
    let note = |record: &Record| match record.body {
        Body::Unreadable(Protocol::PeerWire, Unreadable::Opaque(Reason::NearMiss(near_miss))) => {
            let note = note_near_miss(near_miss, &record.bytes);
            Some((record.direction, note.rule, note.text.into_owned()))
        }
        _ => None,
    };
    records.iter().filter_map(note).collect()
}

fn whole(steps: &[Step]) -> Vec<Record> {
    play(&mut Dissector::new(), StreamOpening::Syn, steps, usize::MAX)
}

/// The names of the records, by direction.
fn names(steps: &[Step], direction: Direction) -> Vec<(&'static str, u64)> {
    let seen = records(StreamOpening::Syn, steps);
    assert_eq!(
        records(StreamOpening::MidStream, steps).len(),
        seen.len(),
        "the capture begins after the first packet"
    );
    seen.into_iter().filter(|seen| seen.0 == direction).map(|seen| (seen.1, seen.2)).collect()
}

#[test]
fn a_handshake_that_is_nearly_right_is_told_whoever_sends_it_and_whatever_follows() {
    for (bytes, wrong) in handshakes() {
        let what = bytes.escape_ascii();
        let length = bytes.len() as u64;
        for (near, far) in [(A, B), (B, A)] {
            let answered = Says(far, right(b"-YY0200-mnopqrstuvwx"));
            let refused = vec![Says(near, bytes.clone()), Closes];
            let answered_later = vec![Says(near, bytes.clone()), answered, Closes];
            let answer = Says(far, right(b"-YY0200-mnopqrstuvwx"));
            let answered_before = vec![answer, Says(near, bytes.clone()), Closes];
            for steps in [refused, answered_later, answered_before] {
                assert_eq!(names(&steps, near), [("opaque", length)], "{what}");
                let seen = near_misses(&whole(&steps));
                assert_eq!(seen.len(), 1, "{what}");
                let (direction, rule, text) = &seen[0];
                assert_eq!((*direction, rule.id), (near, "bep3.handshake-malformed"), "{what}");
                assert!(text.starts_with(&format!("byte {wrong} ")), "{what}: {text}");
                assert!(text.ends_with("(BEP 3, \"peer protocol\")"), "{what}: {text}");
            }
        }
    }
}

#[test]
fn messages_behind_a_handshake_that_is_nearly_right_are_read() {
    for (bytes, _) in handshakes() {
        let what = bytes.escape_ascii();
        let steps = [
            Says(A, [&bytes[..], &INTERESTED].concat()),
            Says(B, [right(b"-YY0200-mnopqrstuvwx"), vec![0, 0, 0, 1, 1]].concat()),
            Says(A, request(0, 0)),
            Closes,
        ];
        let mine = [("opaque", bytes.len() as u64), ("interested", 5), ("request", 17)];
        assert_eq!(names(&steps, A), mine, "{what}");
        assert_eq!(names(&steps, B), [("handshake", 68), ("unchoke", 5)], "{what}");
        let records = whole(&steps);
        assert_eq!(records.last().and_then(|record| record.torrent), Some(InfoHash(TORRENT)), "{what}");
    }
}

#[test]
fn what_cannot_be_read_behind_a_near_miss_is_not_damage() {
    let mut bytes = handshakes().remove(0).0;
    bytes.extend([0xff; 30]);
    let steps = [Says(A, bytes), Closes];
    assert_eq!(names(&steps, A), [("opaque", 68), ("opaque", 30)]);
    let behind = &whole(&steps)[1];
    assert!(matches!(behind.body, Body::Unreadable(_, Unreadable::Opaque(Reason::AfterNearMiss))));
}

#[test]
fn a_near_miss_that_is_cut_is_one_as_far_as_it_goes() {
    let bytes = handshakes().remove(0).0;
    for (steps, rest) in [
        (vec![Says(A, bytes[..40].to_vec()), Closes], vec![]),
        (
            vec![Says(A, bytes[..40].to_vec()), Loses(A, 28), Says(A, INTERESTED.to_vec()), Closes],
            vec![("gap", 28), ("opaque", 5)],
        ),
    ] {
        assert_eq!(names(&steps, A), [vec![("opaque", 40)], rest].concat());
        assert_eq!(near_misses(&whole(&steps)).len(), 1);
    }
}

#[test]
fn lengths_in_little_endian_are_told_once() {
    let request = [13, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0];
    let bitfield = [2, 0, 0, 0, 5, 0xe0];
    for first in [&[1, 0, 0, 0, 2][..], &request, &bitfield] {
        for (near, far) in [(A, B), (B, A)] {
            let steps = [
                Says(far, right(b"-YY0200-mnopqrstuvwx")),
                Says(near, right(b"-XX0100-abcdefghijkl")),
                Says(near, first.to_vec()),
                Says(far, vec![0, 0, 0, 1, 1]),
                Says(near, request.repeat(3)),
                Says(near, vec![1, 0, 0, 0, 2]),
                Closes,
            ];
            let rest = ("opaque", 3 * 17 + 5);
            assert_eq!(names(&steps, near), [("handshake", 68), ("opaque", first.len() as u64), rest]);
            let seen = near_misses(&whole(&steps));
            assert_eq!(seen.len(), 1);
            assert_eq!((seen[0].0, seen[0].1.id), (near, "bep3.little-endian"));
        }
    }
    let alone = [Says(A, [right(b"-XX0100-abcdefghijkl"), vec![1, 0, 0, 0, 2]].concat()), Closes];
    assert_eq!(names(&alone, A), [("handshake", 68), ("opaque", 5)]);
    let text = &near_misses(&whole(&alone))[0].2;
    assert!(text.starts_with("byte 0 of the length 01 00 00 00 is 1 (0x01), expected 00 00 00 01"), "{text}");
}

#[test]
fn big_endian_goes_on_behind_little_endian_where_it_proves_itself() {
    let steps = [
        Says(A, right(b"-XX0100-abcdefghijkl")),
        Says(A, vec![1, 0, 0, 0, 2]),
        Says(A, [request(0, 0), request(0, 0x4000)].concat()),
        Closes,
    ];
    assert_eq!(names(&steps, A), [("handshake", 68), ("opaque", 5), ("request", 17), ("request", 17)]);
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: 10.0.0.2:6881\r\n\r\n";
const ANNOUNCE: &[u8] = b"GET /announce?info_hash=%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa&peer_id=-TR3000-aaaaaaaaaaaa&port=6881&left=0 HTTP/1.1\r\nHost: t\r\n\r\n";

#[test]
fn an_http_request_that_a_handshake_answers_went_to_a_peer() {
    let answer = right(b"-YY0200-mnopqrstuvwx");
    for before in [false, true] {
        let (ask, say) = (Says(A, GET.to_vec()), Says(B, answer.clone()));
        let steps = if before { [say, ask, Closes] } else { [ask, say, Closes] };
        assert_eq!(names(&steps, A), [("opaque", GET.len() as u64)]);
        assert_eq!(names(&steps, B), [("handshake", 68)]);
        let seen = near_misses(&whole(&steps));
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].0, seen[0].1.id), (A, "bep3.http-to-peer"));
        assert!(seen[0].2.starts_with("byte 0 is \"G\" (0x47), "), "{}", seen[0].2);
    }
}

#[test]
fn an_announce_that_a_handshake_answers_went_to_a_peer() {
    let steps = [Says(A, ANNOUNCE.to_vec()), Says(B, right(b"-YY0200-mnopqrstuvwx")), Closes];
    assert_eq!(
        records(StreamOpening::Syn, &steps),
        [(A, "announce-request", ANNOUNCE.len() as u64), (B, "handshake", 68)]
    );
    let notes: Vec<_> = whole(&steps)[1].notes.iter().map(|note| note.rule.id).collect();
    assert_eq!(notes, ["bep3.http-to-peer"]);
}

/// The records of a connection to a peer whose address an announce to the local network has told.
fn to_a_known_peer(steps: &[Step], cut: usize) -> Vec<Record> {
    let mut dissector = Dissector::new();
    let announce = b"BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\nInfohash: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n\r\n";
    let (from, group) = ("10.0.0.2:6771".parse().unwrap(), "239.192.152.143:6771".parse().unwrap());
    let mut announced = 0;
    dissector.datagram(moment(1), from, group, announce, &mut |_| announced += 1);
    assert_eq!(announced, 1);
    play(&mut dissector, StreamOpening::Syn, steps, cut)
}

#[test]
fn an_http_request_to_a_known_peer_is_told_unless_http_answers() {
    for request in [GET, ANNOUNCE, b"GET / HTTP/1.0\r\nHost"] {
        for cut in [1, 7, usize::MAX] {
            let seen = to_a_known_peer(&[Says(A, request.to_vec()), Closes], cut);
            assert_eq!(near_misses(&seen).len(), 1, "{}", request.escape_ascii());
            assert_eq!(seen.len(), 1);
        }
    }
    let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
    let other = [Says(A, GET.to_vec()), Says(B, answer.clone()), Closes];
    assert_eq!(to_a_known_peer(&other, 1).len(), 0);
    let tracker = [Says(A, ANNOUNCE.to_vec()), Says(B, answer), Closes];
    assert_eq!(near_misses(&to_a_known_peer(&tracker, 1)), []);
    assert_eq!(
        records(StreamOpening::Syn, &[Says(A, GET.to_vec()), Closes]),
        [],
        "to an address that nobody named"
    );
}
