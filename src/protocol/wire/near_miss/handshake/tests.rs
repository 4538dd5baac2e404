//! Each near miss in raw bytes: what it is, its first wrong byte, and what was meant. Each cut of it must lead there.

use super::*;
use crate::field::untiled;

const RESERVED_BYTES: &[u8] = b"\0\0\0\0\0\x10\0\x05";
const TORRENT: &[u8; 20] =
    b"\xe2\xe1\xa8\x9b\xf6\x17\xa7\xb0\xc6\x69\x7a\x92\x26\x8f\x8d\xab\x34\x57\x03\x62";
const DIGITS_OF_IT: &[u8] = b"e2e1a89bf617a7b0c6697a92268f8dab34570362";
const PEER: &[u8] = b"-XX0100-abcdefghijkl";
/// A peer id that follows no convention.
const PLAIN_PEER: &[u8] = b"abcdefghijklmnopqrst";

/// Near misses, with the offset of the first wrong byte.
fn near_misses() -> Vec<(&'static str, Vec<u8>, usize)> {
    let behind = [RESERVED_BYTES, TORRENT, PEER].concat();
    let named = |start: &[u8]| [start, &behind].concat();
    vec![
        ("a length of 25", named(b"\x19BitTorrent protocol"), 0),
        ("a length of 68", named(b"DBitTorrent protocol"), 0),
        ("a capital P", named(b"\x13BitTorrent Protocol"), 12),
        ("a small t", named(b"\x13Bittorrent protocol"), 4),
        ("another word", named(b"\x13BitTorrent protocal"), 18),
        ("a short word", named(b"\x12BitTorrent protoco"), 0),
        ("the length as digits", named(b"19BitTorrent protocol"), 0),
        ("the length as hexadecimal digits", named(b"13BitTorrent protocol"), 0),
        ("an escape", named(b"\\x13BitTorrent protocol"), 0),
        ("no length", named(b"BitTorrent protocol"), 0),
        ("four bytes of length", named(b"\0\0\0\x13BitTorrent protocol"), 0),
        ("no reserved bytes", [&b"\x13BitTorrent protocol"[..], TORRENT, PEER].concat(), 20),
        ("hexadecimal digits", [PROTOCOL, RESERVED_BYTES, DIGITS_OF_IT, PEER].concat(), 28),
        ("digits, no reserved bytes", [PROTOCOL, DIGITS_OF_IT, PLAIN_PEER].concat(), 20),
        (
            "digits, a length of 25",
            [b"\x19BitTorrent protocol", RESERVED_BYTES, DIGITS_OF_IT, PEER].concat(),
            0,
        ),
        ("a length of 25, no reserved bytes", [&b"\x19BitTorrent protocol"[..], TORRENT, PEER].concat(), 0),
    ]
}

fn near(bytes: &[u8], last: bool) -> Option<HandshakeLayout> {
    match judge_handshake(bytes, None, last) {
        HandshakeVerdict::NearMiss(layout) => Some(layout),
        _ => None,
    }
}

#[test]
fn each_near_miss_names_its_first_wrong_byte_and_what_was_meant() {
    for (what, bytes, wrong) in near_misses() {
        // A message follows, as from a client that does not wait.
        let followed = [&bytes[..], &[0, 0, 0, 1, 2]].concat();
        let layout = near(&followed, false).unwrap_or_else(|| panic!("{what} is none"));
        assert_eq!(layout.length(), bytes.len(), "{what}");
        assert_eq!(layout.fault(&bytes).offset, wrong, "{what}");
        assert_eq!(
            layout.handshake(&bytes).map(|handshake| handshake.info_hash),
            Some(InfoHash(*TORRENT)),
            "{what}"
        );
        assert_eq!(untiled(&layout.fields(&bytes), 0..bytes.len()), None, "{what}");
        assert_eq!(layout.handshake(&bytes[..bytes.len() - 1]), None, "{what}");
    }
}

#[test]
fn a_verdict_on_a_whole_near_miss_does_not_depend_on_what_follows() {
    for (what, bytes, _) in near_misses() {
        let whole = near(&bytes, false);
        assert!(whole.is_some(), "{what}");
        for length in 0..20 {
            assert_eq!(
                near(&[&bytes[..], &vec![0xa5; length]].concat(), false),
                whole,
                "{what}, {length} after"
            );
        }
        for end in 0..bytes.len() {
            let verdict = judge_handshake(&bytes[..end], None, false);
            assert_ne!(verdict, HandshakeVerdict::Right, "{what}, {end} bytes");
            assert_ne!(verdict, HandshakeVerdict::No, "{what}, {end} bytes");
        }
    }
}

#[test]
fn what_ends_within_the_info_hash_is_still_a_near_miss_of_the_name() {
    let bytes = [&b"\x19BitTorrent protocol"[..], RESERVED_BYTES, &TORRENT[..5]].concat();
    let layout = near(&bytes, true).unwrap();
    assert_eq!(untiled(&layout.fields(&bytes), 0..bytes.len()), None);
    assert_eq!(layout.handshake(&bytes), None);
}

#[test]
fn missing_reserved_bytes_are_proved_by_the_end_or_by_what_is_behind_or_opposite() {
    let bytes = [PROTOCOL, &TORRENT[..], PLAIN_PEER].concat();
    assert_eq!(judge_handshake(&bytes, None, false), HandshakeVerdict::Open);
    let layout = near(&bytes, true).unwrap();
    assert_eq!((layout.length(), layout.has_reserved()), (60, false));
    let interested = [&bytes[..], &[0, 0, 0, 1, 2], &[0; 4]].concat();
    assert_eq!(near(&interested, false), Some(layout));
    let opposite = judge_handshake(&bytes, Some(InfoHash(*TORRENT)), false);
    assert_eq!(opposite, HandshakeVerdict::NearMiss(layout));
    assert_eq!(judge_handshake(&bytes, Some(InfoHash([7; 20])), false), HandshakeVerdict::Open);
}

#[test]
fn a_right_handshake_is_right_whatever_its_bits() {
    for reserved in [*b"\0\0\0\0\0\x10\0\x05", [0; 8], *b"ex\0\0\0\0\0\0", [0xff; 8], *b"00000000"] {
        for peer in [PEER, PLAIN_PEER] {
            let bytes = [PROTOCOL, &reserved[..], TORRENT, peer, &[0, 0, 0, 1, 2]].concat();
            for other in [None, Some(InfoHash(*TORRENT)), Some(InfoHash([7; 20]))] {
                assert_eq!(judge_handshake(&bytes, other, true), HandshakeVerdict::Right, "{reserved:?}");
                assert_eq!(
                    judge_handshake(&bytes[..67], other, false),
                    HandshakeVerdict::Open,
                    "{reserved:?}"
                );
            }
        }
    }
    let repeated = [PROTOCOL, &[0; 8][..], &[b'a'; 40]].concat();
    assert_eq!(judge_handshake(&repeated, None, true), HandshakeVerdict::Right);
}

#[test]
fn other_streams_are_none() {
    let text: &[u8] =
        b"BitTorrent protocol is what peers speak, and this is a text on it, as long as a handshake is";
    for bytes in [
        text,
        b"The BitTorrent Protocol Specification, of which this is the beginning, and it goes on and on for long",
        b"\x13BitTorrent protocal00000000aaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbb",
        b"\x19BitTorrents and other files that are no handshake, however long this goes on and on and on and on",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03____________",
    ] {
        assert_eq!(near(bytes, true), None, "{}", bytes.escape_ascii());
        for end in 0..bytes.len() {
            assert_eq!(near(&bytes[..end], false), None, "{}", bytes[..end].escape_ascii());
        }
    }
}
