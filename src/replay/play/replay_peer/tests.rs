//! A recorded peer against clients that keep its order and clients that do not. The client's words are raw bytes.

use std::path::PathBuf;

use bittrace_protocol::Metainfo;
use bittrace_trace::TraceOptions;

use super::*;

/// The peer that aria2 downloaded from: handshake, then extended handshake and have-all, unchoke behind interested, blocks
/// of pieces 2, 7, 5, 4, ...
fn far() -> (ReplayPeer, RecordedPieces) {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../captures"].iter().collect();
    let reference =
        crate::Transcript::open(&folder.join("download-aria2.pcap"), TraceOptions::default()).unwrap();
    let torrent = std::fs::read(folder.join("download-aria2.torrent")).unwrap();
    let contents = RecordedPieces::of(&reference, &Metainfo::decode(&torrent).unwrap());
    let conversation = reference.peers().next().unwrap();
    (ReplayPeer::of(reference.torrent.unwrap(), conversation), contents)
}

/// The ids of what it says now: 19 for a handshake.
fn ids(peer: &mut ReplayPeer, contents: &RecordedPieces) -> Vec<u8> {
    let said = peer.speak(contents).map(|(messages, _)| messages).unwrap_or_default();
    said.iter().map(|message| if message[0] == 19 { 19 } else { message[4] }).collect()
}

/// A handshake that offers both extensions, for the capture's torrent.
fn handshake() -> Vec<u8> {
    offering(4)
}

/// A handshake with this last reserved byte, in which 4 offers the fast extension.
fn offering(last: u8) -> Vec<u8> {
    let reserved = [0, 0, 0, 0, 0, 0x10, 0, last];
    [&b"\x13BitTorrent protocol"[..], &reserved, TORRENT, b"-XX0000-abcdefghijkl"].concat()
}

fn request(piece: u8, begin: u16, length: u16) -> Vec<u8> {
    let [b0, b1] = begin.to_be_bytes();
    let [l0, l1] = length.to_be_bytes();
    vec![0, 0, 0, 13, 6, 0, 0, 0, piece, 0, 0, b0, b1, 0, 0, l0, l1]
}

/// 758c3826a6e5ddb4385453ad93c60e5d5dc88b06.
const TORRENT: &[u8] = b"u\x8c8&\xa6\xe5\xdd\xb48TS\xad\x93\xc6\x0e]]\xc8\x8b\x06";
const HAVE_NONE: [u8; 5] = [0, 0, 0, 1, 15];
const INTERESTED: [u8; 5] = [0, 0, 0, 1, 2];
/// An extended handshake that receives ut_metadata as 1: `d1:md11:ut_metadatai1eee`.
const EXTENDED: &[u8] = b"\0\0\0\x1a\x14\0d1:md11:ut_metadatai1eee";

#[test]
fn each_message_waits_for_what_came_before_it() {
    let (mut peer, contents) = far();
    assert_eq!(ids(&mut peer, &contents), [19], "it opened the connection");
    peer.hear(&handshake());
    assert_eq!(ids(&mut peer, &contents), [], "its next words follow the extended handshake and have-none");
    peer.hear(EXTENDED);
    assert_eq!(ids(&mut peer, &contents), []);
    peer.hear(&HAVE_NONE);
    assert_eq!(ids(&mut peer, &contents), [20, 14]);
    assert_eq!(ids(&mut peer, &contents), []);
    peer.hear(&INTERESTED);
    assert_eq!(ids(&mut peer, &contents), [1]);
}

/// Brought to where the client may ask for blocks.
fn unchoking() -> (ReplayPeer, RecordedPieces) {
    let (mut peer, contents) = far();
    peer.hear(&[&handshake()[..], EXTENDED, &HAVE_NONE, &INTERESTED].concat());
    assert_eq!(ids(&mut peer, &contents), [19, 20, 14, 1]);
    (peer, contents)
}

#[test]
fn blocks_wait_for_as_many_requests_as_there_were() {
    let (mut peer, contents) = unchoking();
    for (piece, begin, length) in
        [(2, 0, 16384), (2, 16384, 16384), (7, 0, 16384), (7, 16384, 17), (5, 0, 16384)]
    {
        peer.hear(&request(piece, begin, length));
        assert_eq!(ids(&mut peer, &contents), [], "six were asked for before the first came");
    }
    peer.hear(&request(5, 16384, 16384));
    assert_eq!(ids(&mut peer, &contents), [7; 5], "the sixth came after more requests");
}

#[test]
fn a_client_that_asks_for_less_is_answered_once_the_cue_is_waived() {
    let (mut peer, contents) = unchoking();
    peer.hear(&request(4, 16384, 16384));
    assert_eq!(ids(&mut peer, &contents), []);
    assert!(peer.waive());
    let (messages, _) = peer.speak(&contents).unwrap();
    assert_eq!((messages.len(), &messages[0][4..13]), (1, &[7, 0, 0, 0, 4, 0, 0, 0x40, 0][..]));
    // From now on each request is answered at once, in other sizes too.
    peer.hear(&request(3, 1, 100));
    let (messages, _) = peer.speak(&contents).unwrap();
    assert_eq!((messages.len(), messages[0].len()), (1, 113));
    assert!(matches!(peer.finish()[0], Missed::Cue { cue: Precondition::Request, lacking: 5, .. }));
}

#[test]
fn interest_is_waited_for_whatever_else_is_waived() {
    let (mut peer, contents) = far();
    peer.hear(&[&handshake()[..], EXTENDED, &HAVE_NONE].concat());
    assert_eq!(ids(&mut peer, &contents), [19, 20, 14]);
    assert!(peer.waive());
    assert!(!peer.waive() && !peer.waive());
    assert_eq!(ids(&mut peer, &contents), []);
    peer.hear(&INTERESTED);
    assert_eq!(ids(&mut peer, &contents), [1]);
}

#[test]
fn a_block_that_nobody_has_is_refused_and_told() {
    let (mut peer, contents) = unchoking();
    peer.waive();
    peer.hear(&request(200, 0, 16384));
    assert_eq!(ids(&mut peer, &contents), [16]);
    let refusals = peer.refusals();
    let [refusal] = &refusals[..] else { panic!("{refusals:?}") };
    assert_eq!((refusal.message, refusal.nth, refusal.did), ("request", 1, RefusalAct::Rejected));
    assert!(refusal.why.contains("there is no piece 200"), "{}", refusal.why);
}

#[test]
fn what_is_cancelled_is_not_sent() {
    let (mut peer, contents) = unchoking();
    peer.hear(&request(2, 0, 16384));
    let mut cancel = request(2, 0, 16384);
    cancel[4] = 8;
    peer.hear(&cancel);
    peer.waive();
    assert_eq!(ids(&mut peer, &contents), []);
}

#[test]
fn a_choke_ends_requests_unless_both_sides_speak_the_fast_extension() {
    for (last, answered) in [(0, vec![]), (4, vec![7])] {
        let (mut peer, contents) = far();
        peer.hear(&[&offering(last)[..], EXTENDED, &HAVE_NONE, &INTERESTED].concat());
        assert_eq!(ids(&mut peer, &contents), [19, 20, 14, 1]);
        peer.hear(&request(4, 16384, 16384));
        for (id, message) in [(0, Message::Choke), (1, Message::Unchoke)] {
            peer.lines.insert(
                peer.next,
                ScriptedMessage {
                    at: Timestamp::EPOCH,
                    number: 0,
                    bytes: vec![0, 0, 0, 1, id].into(),
                    says: ScriptedKind::Message(message),
                    wants: PreconditionCounts::default(),
                    said: false,
                },
            );
            assert_eq!(ids(&mut peer, &contents), [id]);
        }
        assert!(peer.waive());
        assert_eq!(ids(&mut peer, &contents), answered, "reserved byte {last}");
        // A request after the unchoke is answered in any case.
        peer.hear(&request(4, 0, 16384));
        assert_eq!(ids(&mut peer, &contents), [7]);
    }
}

#[test]
fn a_block_that_nobody_has_is_missed_once_where_it_cannot_be_refused() {
    let (mut peer, contents) = far();
    peer.hear(&[&offering(0)[..], EXTENDED, &HAVE_NONE, &INTERESTED].concat());
    assert_eq!(ids(&mut peer, &contents), [19, 20, 14, 1]);
    peer.waive();
    for _ in 0..2 {
        peer.hear(&request(200, 0, 16384));
    }
    assert_eq!([(); 3].map(|()| ids(&mut peer, &contents).len()), [0; 3]);
    let acts: Vec<RefusalAct> = peer.refusals().iter().map(|refusal| refusal.did).collect();
    assert_eq!(acts, [RefusalAct::LeftUnanswered]);
}

#[test]
fn bytes_that_are_no_bittorrent_end_the_listening() {
    let (mut peer, _) = far();
    peer.hear(b"GET / HTTP/1.1\r\n");
    assert!(peer.garbled.is_some());
    let (mut peer, _) = far();
    peer.hear(&[&handshake()[..], &INTERESTED, &[0xff; 8]].concat());
    assert!(peer.garbled.is_some());
    let refusals = peer.refusals();
    let [refusal] = &refusals[..] else { panic!("{refusals:?}") };
    // The handshake is the first message, interested the second.
    assert_eq!((refusal.message, refusal.nth, refusal.did), ("message", 3, RefusalAct::Closed));
}

#[test]
fn a_handshake_for_another_torrent_is_refused_by_its_info_hash() {
    let (mut peer, _) = far();
    let mut other = handshake();
    other[28] ^= 0xff;
    peer.hear(&other);
    let refusals = peer.refusals();
    let [refusal] = &refusals[..] else { panic!("{refusals:?}") };
    assert_eq!((refusal.message, refusal.did), ("handshake", RefusalAct::Closed));
    assert!(refusal.why.starts_with("the handshake has another info_hash, 8a8c"), "{}", refusal.why);
}

#[test]
fn requests_while_the_peer_chokes_are_told_at_the_end() {
    let (mut peer, contents) = far();
    peer.hear(&[&offering(0)[..], EXTENDED, &HAVE_NONE].concat());
    assert_eq!(ids(&mut peer, &contents), [19, 20, 14]);
    peer.hear(&[request(2, 0, 16384), request(2, 16384, 16384)].concat());
    assert_eq!(ids(&mut peer, &contents), []);
    let refusals = peer.refusals();
    let told: Vec<_> = refusals.iter().map(|refusal| (refusal.nth, refusal.did)).collect();
    assert_eq!(told, [(1, RefusalAct::LeftUnanswered), (2, RefusalAct::LeftUnanswered)]);
    assert_eq!(refusals[0].why, "the replayed peer was choking the client");
}

#[test]
fn what_is_nearly_right_is_told_by_its_first_wrong_byte() {
    let behind = [&[0, 0, 0, 0, 0, 0x10, 0, 4], TORRENT, b"-XX0000-abcdefghijkl"].concat();
    let name = b"\x13BitTorrent protocol";
    let digits = b"758c3826a6e5ddb4385453ad93c60e5d5dc88b06";
    for (said, why) in [
        ([&b"\x19BitTorrent protocol"[..], &behind].concat(), "byte 0 is 25 (0x19), expected 19 (0x13)"),
        ([&b"\x13BitTorrent Protocol"[..], &behind].concat(), "byte 12 is \"P\" (0x50), expected \"p\""),
        ([&b"19BitTorrent protocol"[..], &behind].concat(), "byte 0 is \"1\" (0x31), expected 19 (0x13)"),
        ([&name[..], TORRENT, b"-XX0000-abcdefghijkl"].concat(), "byte 20 begins the info hash"),
        ([&name[..], TORRENT, b"abcdefghijklmnopqrst"].concat(), "byte 20 begins the info hash"),
        (
            [&name[..], &behind[..8], digits, &behind[28..]].concat(),
            "byte 28 is \"7\" (0x37), the first of 40",
        ),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "byte 0 is \"G\" (0x47)"),
        ([&handshake()[..], &[1, 0, 0, 0, 2]].concat(), "byte 0 of the length 01 00 00 00 is 1 (0x01)"),
        ([&handshake()[..], &[2, 0, 0, 0, 5, 0xe0]].concat(), "byte 0 of the length 02 00 00 00 is 2 (0x02)"),
    ] {
        for size in [1, 7, 200] {
            let (mut peer, _) = far();
            said.chunks(size).for_each(|cut| peer.hear(cut));
            let garbled = peer.garbled.unwrap_or_else(|| panic!("{} is not told", said.escape_ascii()));
            assert!(garbled.starts_with(why), "{garbled}");
            assert!(garbled.contains("(BEP 3, \"peer protocol\") [bep3."), "{garbled}");
        }
    }
}

#[test]
fn what_is_nearly_right_and_goes_on_no_further_is_told_at_the_end() {
    let (mut peer, _) = far();
    peer.hear(b"\x19BitTorrent protocol\0\0\0\0\0\0\0\0");
    assert_eq!(peer.garbled, None);
    peer.hear_silence();
    assert!(peer.garbled.is_some_and(|why| why.starts_with("byte 0 is 25")));
    // A handshake that is right so far is not.
    let (mut peer, _) = far();
    peer.hear(&handshake()[..60]);
    peer.hear_silence();
    assert_eq!(peer.garbled, None);
}

#[test]
fn any_cut_of_what_the_client_says_is_heard_the_same() {
    let said = [&handshake()[..], EXTENDED, &HAVE_NONE, &INTERESTED, &request(2, 0, 16384)].concat();
    for size in [1, 2, 3, 7, 68, 70] {
        let (mut peer, contents) = far();
        said.chunks(size).for_each(|cut| peer.hear(cut));
        assert_eq!(ids(&mut peer, &contents), [19, 20, 14, 1], "in cuts of {size}");
    }
}
