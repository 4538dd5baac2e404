//! Conversations in raw bytes, and the rules by which notes are given on them.

use std::sync::Arc;

use bittrace_protocol::Metainfo;
use sha1::{Digest, Sha1};

use super::*;
use crate::Direction::{self, FromInitiator as A, FromResponder as B};
use crate::record::Severity;
use crate::statistics::PiecesSeen;
use crate::{Dissector, Flow, Moment, StreamEvent, StreamOpening};

mod choke;
mod first_announce;
mod http_seeds;
mod trees;

const LAST_BYTE: usize = 27;

/// A handshake of `peer` that offers the extension protocol and, where `last` has them, fast (4) and DHT (1).
fn handshake(peer: u8, last: u8) -> Vec<u8> {
    let mut bytes = b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\0".to_vec();
    bytes[LAST_BYTE] = last;
    bytes.extend(torrent().info_hash.0);
    bytes.extend([peer; 20]);
    bytes
}

/// A torrent of two pieces: 32 KiB, and 20,000 bytes, all zero.
fn torrent() -> Metainfo {
    let mut info = b"d6:lengthi52768e4:name1:x12:piece lengthi32768e6:pieces40:".to_vec();
    info.extend(Sha1::digest(vec![0; 32_768]));
    info.extend(Sha1::digest(vec![0; 20_000]));
    info.push(b'e');
    Metainfo::decode_info(&info).unwrap()
}

fn message(id: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32 + 1).to_be_bytes().to_vec();
    bytes.push(id);
    bytes.extend_from_slice(payload);
    bytes
}

fn numbers(id: u8, numbers: &[u32]) -> Vec<u8> {
    message(id, &numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>())
}

const CHOKE: u8 = 0;
const UNCHOKE: u8 = 1;
const INTERESTED: u8 = 2;
const CANCEL: u8 = 8;
const REJECT: u8 = 16;
const ALLOWED_FAST: u8 = 17;

/// The first block of a piece.
fn request(piece: u32) -> Vec<u8> {
    numbers(6, &[piece, 0, 16])
}

fn block(piece: u32) -> Vec<u8> {
    let mut payload = [piece, 0].iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>();
    payload.extend([0; 16]);
    message(7, &payload)
}

fn extended(id: u8, payload: &[u8]) -> Vec<u8> {
    message(20, &[&[id], payload].concat())
}

struct Conversation {
    dissector: Dissector,
    annotator: Annotator,
    frame: u64,
    notes: Vec<(&'static str, Severity)>,
    pieces: PiecesSeen,
}

impl Conversation {
    fn new() -> Self {
        Self::knowing(vec![Arc::new(torrent())])
    }

    fn knowing(torrents: Vec<Arc<Metainfo>>) -> Self {
        let pieces = PiecesSeen::new(&torrents);
        let annotator = Annotator::new(TraceOptions { torrents, ..TraceOptions::default() });
        Self { dissector: Dissector::new(), annotator, frame: 0, notes: Vec::new(), pieces }
    }

    fn handle(&mut self, seconds: f64, event: StreamEvent<'_>) {
        self.frame += 1;
        let moment = Moment { at: Timestamp::from_nanos((seconds * 1e9) as i64), frame: self.frame };
        let Self { annotator, notes, pieces, .. } = self;
        self.dissector.handle(moment, event, &mut |dissected| {
            let mut dissected = dissected;
            annotator.annotate(&mut dissected);
            pieces.add(&dissected);
            if let Dissected::Record(record) = dissected {
                notes.extend(record.notes.iter().map(|note| (note.rule.id, note.rule.severity)));
            }
        });
    }

    fn open(&mut self, stream: u32) {
        let flow = Flow {
            initiator: format!("10.0.0.3:{}", 40_000 + stream).parse().unwrap(),
            responder: "10.0.0.2:6881".parse().unwrap(),
        };
        self.open_between(stream, flow);
    }

    fn open_between(&mut self, stream: u32, flow: Flow) {
        let stream = StreamId(stream);
        self.handle(0.0, StreamEvent::Opened { stream, flow, opening: StreamOpening::Syn });
    }

    fn say(&mut self, stream: u32, seconds: f64, direction: Direction, bytes: &[u8]) {
        self.handle(seconds, StreamEvent::Burst { stream: StreamId(stream), direction, bytes });
    }
}

/// The rules, but for the mere state of things, of a conversation between peers that offer what `last` says. Steps are
/// seconds, who speaks, and what.
fn judged(last: u8, steps: &[(f64, Direction, Vec<u8>)]) -> Vec<&'static str> {
    judged_from(&[(0.0, A, handshake(1, last)), (0.0, B, handshake(2, last))], steps)
}

fn judged_from(
    opening: &[(f64, Direction, Vec<u8>)],
    steps: &[(f64, Direction, Vec<u8>)],
) -> Vec<&'static str> {
    told(Conversation::new(), opening, steps)
}

fn told(
    mut conversation: Conversation,
    opening: &[(f64, Direction, Vec<u8>)],
    steps: &[(f64, Direction, Vec<u8>)],
) -> Vec<&'static str> {
    conversation.open(0);
    for (seconds, direction, bytes) in opening.iter().chain(steps) {
        conversation.say(0, *seconds, *direction, bytes);
    }
    for (rule, severity) in &conversation.notes {
        assert_eq!(rules::rule(rule).map(|rule| rule.severity), Some(*severity), "{rule}");
    }
    let rules = conversation.notes.iter().map(|(rule, _)| *rule);
    rules.filter(|rule| *rule != "state.changed").collect()
}

const FAST: u8 = 4;

/// A is interested and unchoked by B.
fn begun() -> Vec<(f64, Direction, Vec<u8>)> {
    vec![(1.0, A, message(INTERESTED, &[])), (1.0, B, message(UNCHOKE, &[]))]
}

fn then(steps: &[(f64, Direction, Vec<u8>)]) -> Vec<(f64, Direction, Vec<u8>)> {
    [begun(), steps.to_vec()].concat()
}

#[test]
fn a_conversation_by_the_rules_has_no_findings() {
    let steps = [
        (2.0, A, request(0)),
        (2.1, B, block(0)),
        (2.2, A, request(1)),
        (2.2, A, numbers(CANCEL, &[1, 0, 16])),
        (3.0, B, message(CHOKE, &[])),
        // On its way when the choke came.
        (3.5, A, request(0)),
    ];
    assert_eq!(judged(0, &then(&steps)), [] as [&str; 0]);
}

#[test]
fn requests_while_choked_are_noted_unless_allowed_fast() {
    let interested = (1.0, A, message(INTERESTED, &[]));
    assert_eq!(judged(0, &[interested.clone(), (2.0, A, request(0))]), ["bep3.request-while-choked"]);
    let allowed = [interested, (1.0, B, numbers(ALLOWED_FAST, &[1])), (2.0, A, request(1))];
    assert_eq!(judged(FAST, &allowed), [] as [&str; 0]);
    let later = [(3.0, B, message(CHOKE, &[])), (6.0, A, request(0))];
    assert_eq!(judged(0, &then(&later)), ["bep3.request-while-choked"]);
}

/// Over uTP it is not known how many bytes a lost packet had, and the next one may begin with a message.
#[test]
fn nobody_is_judged_once_packets_are_lost() {
    let after = |lost: Option<Direction>| {
        let mut conversation = Conversation::new();
        conversation.open(0);
        for (direction, bytes) in [(A, handshake(1, 0)), (B, handshake(2, 0)), (B, message(UNCHOKE, &[]))] {
            conversation.say(0, 0.0, direction, &bytes);
        }
        if let Some(direction) = lost {
            conversation.handle(0.5, StreamEvent::Lost { stream: StreamId(0), direction, packets: 1 });
        }
        conversation.say(0, 1.0, A, &[message(INTERESTED, &[]), request(1)].concat());
        conversation.say(0, 2.0, B, &[block(1), block(0)].concat());
        let rules: Vec<_> = conversation.notes.iter().map(|(rule, _)| *rule).collect();
        rules.into_iter().filter(|rule| rule.starts_with("bep3.")).collect::<Vec<_>>()
    };
    assert_eq!(after(None), ["bep3.block-unsolicited"]);
    assert_eq!((after(Some(A)), after(Some(B))), (Vec::new(), Vec::new()));
}

#[test]
fn requests_without_interest_are_noted_once() {
    let steps = [(1.0, B, message(UNCHOKE, &[])), (2.0, A, request(0)), (2.0, A, request(1))];
    assert_eq!(judged(0, &steps), ["bep3.request-without-interest"]);
}

#[test]
fn bitfields_come_first_once_and_in_the_right_length() {
    let bitfield = |bits: &[u8]| message(5, bits);
    assert_eq!(judged(0, &[(1.0, B, bitfield(&[0xc0]))]), [] as [&str; 0]);
    assert_eq!(judged(0, &[(1.0, B, bitfield(&[0xc0, 0]))]), ["bep3.bitfield-length"]);
    assert_eq!(judged(0, &[(1.0, B, bitfield(&[0xe0]))]), ["bep3.bitfield-length"]);
    let again = [(1.0, B, bitfield(&[0x80])), (2.0, B, bitfield(&[0xc0]))];
    assert_eq!(judged(0, &again), ["bep3.bitfield-late"]);
    assert_eq!(
        judged(FAST, &[(1.0, B, numbers(4, &[0])), (2.0, B, message(14, &[]))]),
        ["bep6.holding-late"]
    );
}

#[test]
fn what_the_torrent_has_not_is_out_of_range() {
    for (bytes, wrong) in [
        (numbers(4, &[1]), false),
        (numbers(4, &[2]), true),
        (numbers(6, &[1, 16_384, 3_616]), false),
        (numbers(6, &[1, 16_384, 3_617]), true),
        (numbers(6, &[0, 0, 0]), true),
        (numbers(CANCEL, &[7, 0, 16]), true),
    ] {
        let judged = judged(0, &then(&[(2.0, A, bytes.clone())]));
        assert_eq!(judged.contains(&"bep3.out-of-range"), wrong, "{bytes:?}: {judged:?}");
    }
}

#[test]
fn blocks_are_asked_for_and_come_once() {
    assert_eq!(judged(0, &then(&[(2.0, B, block(0))])), ["bep3.block-unsolicited"]);
    let again = [(2.0, A, request(0)), (3.0, B, block(0)), (4.0, B, block(0))];
    assert_eq!(judged(0, &then(&again)), ["bep3.block-again"]);
    let twice = [(2.0, A, request(0)), (2.0, A, request(0)), (3.0, B, block(0)), (4.0, B, block(0))];
    assert_eq!(judged(0, &then(&twice)), [] as [&str; 0]);
    let cancelled = [(2.0, A, request(0)), (2.0, A, numbers(CANCEL, &[0, 0, 16])), (2.1, B, block(0))];
    assert_eq!(judged(0, &then(&cancelled)), ["bep3.block-after-cancel"]);
    assert_eq!(judged(FAST, &then(&cancelled)), ["bep3.block-after-cancel"]);
    let choked = [(2.0, A, request(0)), (2.1, B, message(CHOKE, &[])), (2.2, B, block(0))];
    assert_eq!(judged(0, &then(&choked)), ["bep3.block-while-choking"]);
    assert_eq!(judged(FAST, &then(&choked)), [] as [&str; 0]);
}

#[test]
fn rejects_answer_one_request_each() {
    let reject = |at| (at, B, numbers(REJECT, &[0, 0, 16]));
    assert_eq!(judged(FAST, &then(&[reject(2.0)])), ["bep6.reject-unrequested"]);
    assert_eq!(judged(FAST, &then(&[(2.0, A, request(0)), reject(3.0)])), [] as [&str; 0]);
    let both = [(2.0, A, request(0)), (2.5, B, block(0)), reject(3.0)];
    assert_eq!(judged(FAST, &then(&both)), ["bep6.answered-twice"]);
    let other_way = [(2.0, A, request(0)), reject(2.5), (3.0, B, block(0))];
    assert_eq!(judged(FAST, &then(&other_way)), ["bep6.answered-twice"]);
    let cancelled = [(2.0, A, request(0)), (2.0, A, numbers(CANCEL, &[0, 0, 16])), reject(2.5), reject(2.6)];
    assert_eq!(judged(FAST, &then(&cancelled)), ["bep6.answered-twice"]);
    assert_eq!(judged(FAST, &then(&[(2.0, A, numbers(CANCEL, &[0, 0, 16]))])), ["bep3.cancel-unrequested"]);
    let never =
        |seconds: f64| [cancelled[..2].to_vec(), vec![(seconds, B, vec![0; 4]), (seconds, B, vec![0; 4])]];
    assert_eq!(judged(FAST, &then(&never(50.0).concat())), [] as [&str; 0]);
    let judged = judged(FAST, &then(&never(70.0).concat()));
    assert_eq!(judged, ["bep6.cancel-unanswered", "bep3.snubbed"]);
}

#[test]
fn what_was_not_offered_is_not_to_be_sent() {
    assert_eq!(judged(0, &[(1.0, B, message(14, &[]))]), ["bep6.not-offered"]);
    assert_eq!(judged(0, &[(1.0, B, message(9, &[0x1a, 0xe1]))]), ["bep5.port-not-offered"]);
    assert_eq!(judged(1, &[(1.0, B, message(9, &[0x1a, 0xe1]))]), [] as [&str; 0]);
}

#[test]
fn more_requests_than_the_receiver_keeps_are_noted_once() {
    let keeps = (1.0, B, extended(0, b"d1:mde4:reqqi1ee"));
    let steps = [keeps, (2.0, A, request(0)), (2.0, A, request(1)), (2.0, A, numbers(6, &[0, 16, 16]))];
    assert_eq!(judged(0, &then(&steps)), ["bep10.reqq-exceeded"]);
}

#[test]
fn silence_and_waiting_have_their_limits() {
    let keep_alive = || vec![0; 4];
    assert_eq!(judged(0, &[(100.0, B, keep_alive()), (220.0, B, keep_alive())]), [] as [&str; 0]);
    assert_eq!(judged(0, &[(200.0, B, keep_alive())]), ["bep3.idle"]);
    let waits =
        [(2.0, A, request(0)), (50.0, B, keep_alive()), (70.0, B, keep_alive()), (90.0, B, keep_alive())];
    assert_eq!(judged(0, &then(&waits)), ["bep3.snubbed"]);
}

#[test]
fn handshakes_must_fit_together() {
    let steps = |other: Vec<u8>| judged_from(&[(0.0, A, handshake(1, 0)), (0.0, B, other)], &[]);
    assert_eq!(steps(handshake(2, 0)), [] as [&str; 0]);
    assert_eq!(steps(handshake(1, 0)), ["bep3.self-connection"]);
    let mut other = handshake(2, 0);
    other[28] ^= 1;
    assert_eq!(steps(other.clone()), ["bep3.info-hash-mismatch"]);
    // Who calls offers version 2 (BEP 52), but the torrent is none of that version.
    let offers = [(0.0, A, handshake(1, 0x10)), (0.0, B, other)];
    assert_eq!(judged_from(&offers, &[]), ["bep3.info-hash-mismatch"]);
    assert_eq!(told(Conversation::knowing(Vec::new()), &offers, &[]), ["bep52.upgraded"]);
}

#[test]
fn a_second_connection_is_noted_while_the_first_is_open() {
    let rules = |ends: bool| {
        let mut conversation = Conversation::new();
        for stream in 0..2 {
            conversation.open(stream);
            conversation.say(stream, 1.0, A, &handshake(1, 0));
            conversation.say(stream, 1.0, B, &handshake(2, 0));
            if ends {
                let closing = crate::StreamClosing::Finished;
                conversation.handle(2.0, StreamEvent::Closed { stream: StreamId(stream), closing });
            }
        }
        conversation.notes
    };
    assert_eq!(rules(false), [("bep3.duplicate-connection", Severity::Note)]);
    assert_eq!(rules(true), []);
}

#[test]
fn a_connection_seen_on_both_sides_of_a_router_is_one() {
    let rules = |source: &str, later: f64, answers_first: bool| {
        let mut conversation = Conversation::new();
        for (stream, source, at) in [(0, "192.168.1.31:4001", 1.0), (1, source, 1.0 + later)] {
            let ends =
                Flow { initiator: source.parse().unwrap(), responder: "10.0.0.2:6881".parse().unwrap() };
            conversation.open_between(stream, ends);
            let mut handshakes = [(A, handshake(1, 0)), (B, handshake(2, 0))];
            if answers_first && stream == 1 {
                handshakes.reverse();
            }
            for (direction, bytes) in handshakes {
                conversation.say(stream, at, direction, &bytes);
            }
        }
        conversation.notes
    };
    let [nat, twice] = ["capture.other-side-of-nat", "bep3.duplicate-connection"];
    for (source, later, answers_first, rule) in [
        ("203.0.113.1:62001", 0.000_01, false, nat),
        ("203.0.113.1:4001", 0.01, false, nat),
        ("203.0.113.1:62001", 0.2, false, twice),
        ("203.0.113.1:62001", 0.000_01, true, twice),
        ("192.168.1.31:4002", 0.000_01, false, twice),
        ("[2001:db8::31]:4002", 0.000_01, false, twice),
    ] {
        assert_eq!(
            rules(source, later, answers_first),
            [(rule, Severity::Note)],
            "{source}, {later} s later"
        );
    }
}

#[test]
fn peers_are_exchanged_once_a_minute_and_fifty_at_a_time() {
    let announced = (0.0, A, extended(0, b"d1:md6:ut_pexi1eee"));
    let pex = |at, peers: usize| {
        let mut payload = format!("d5:added{}:", peers * 6).into_bytes();
        payload.extend((0..peers).flat_map(|number| [10, 1, 0, number as u8, 0x1a, 0xe1]));
        payload.push(b'e');
        (at, B, extended(1, &payload))
    };
    assert_eq!(judged(0, &[announced.clone(), pex(1.0, 80), pex(61.0, 50)]), [] as [&str; 0]);
    assert_eq!(judged(0, &[announced.clone(), pex(1.0, 1), pex(31.0, 1)]), ["bep11.too-often"]);
    assert_eq!(judged(0, &[announced, pex(1.0, 1), pex(61.0, 51)]), ["bep11.too-many"]);
}

#[test]
fn metadata_has_its_size_and_hash() {
    let announces = |total: usize| {
        let payload = format!("d1:md11:ut_metadatai1ee13:metadata_sizei{total}ee");
        [(0.0, A, extended(0, payload.as_bytes())), (0.0, B, extended(0, payload.as_bytes()))]
    };
    let data = |total: usize, bytes: &[u8]| {
        let mut payload = format!("d8:msg_typei1e5:piecei0e10:total_sizei{total}ee").into_bytes();
        payload.extend_from_slice(bytes);
        (1.0, B, extended(1, &payload))
    };
    let info = torrent().info_bytes().to_vec();
    let length = info.len();
    let judge = |total, step| judged(0, &[&announces(total)[..], &[step]].concat());
    assert_eq!(judge(length, data(length, &info)), [] as [&str; 0]);
    assert_eq!(judge(length + 1, data(length, &info)), ["bep9.wrong-size"]);
    assert_eq!(judge(length, data(length, &info[1..])), ["bep9.wrong-size"]);
    let mut altered = info;
    altered[20] ^= 1;
    assert_eq!(judge(length, data(length, &altered)), ["bep9.wrong-hash"]);
}

#[test]
fn a_wrong_piece_names_who_sent_which_bytes() {
    let mut payload = [1, 0].iter().flat_map(|number: &u32| number.to_be_bytes()).collect::<Vec<_>>();
    payload.extend([7; 20_000]);
    let steps = then(&[(2.0, A, numbers(6, &[1, 0, 20_000])), (3.0, B, message(7, &payload))]);
    assert_eq!(judged(0, &steps), ["bep3.request-too-long", "bep3.piece-corrupt"]);
}

#[test]
fn requests_ask_for_16_kib_at_most() {
    assert_eq!(judged(0, &then(&[(2.0, A, numbers(6, &[0, 0, 16_384]))])), [] as [&str; 0]);
    assert_eq!(judged(0, &then(&[(2.0, A, numbers(6, &[0, 0, 16_385]))])), ["bep3.request-too-long"]);
}

#[test]
fn announces_keep_the_interval_and_count_down() {
    let announce = |at: f64, query: &str| {
        let hash: String = torrent().info_hash.0.iter().map(|byte| format!("%{byte:02x}")).collect();
        let peer = "-xx0000-abcdefghijkl";
        let request = format!(
            "GET /announce?info_hash={hash}&peer_id={peer}&port=1&{query} HTTP/1.1\r\nHost: t\r\n\r\n"
        );
        (at, A, request.into_bytes())
    };
    let answer = |at: f64, body: &str| {
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        (at, B, response.into_bytes())
    };
    let every = "d8:intervali1800e5:peers0:e";
    let least = "d8:intervali1800e12:min intervali60e5:peers0:e";
    let judge = |steps: &[(f64, Direction, Vec<u8>)]| judged_from(&[], steps);
    let first = announce(0.0, "event=started&left=100");
    assert_eq!(judge(&[first.clone(), answer(0.1, every), announce(1801.0, "left=50")]), [] as [&str; 0]);
    assert_eq!(
        judge(&[first.clone(), answer(0.1, every), announce(900.0, "left=50")]),
        ["bep3.announce-early"]
    );
    assert_eq!(judge(&[first.clone(), answer(0.1, least), announce(61.0, "left=50")]), [] as [&str; 0]);
    let stopped = announce(9.0, "event=stopped&left=50");
    assert_eq!(judge(&[first.clone(), answer(0.1, every), stopped]), [] as [&str; 0]);
    assert_eq!(judge(&[first.clone(), answer(0.1, every), announce(1801.0, "left=101")]), ["bep3.left-grew"]);
    assert_eq!(judge(&[first, announce(5.0, "event=completed&left=1")]), ["bep3.completed-with-bytes-left"]);
}

const IRREGULAR: &str = "bep3.irregular-bencoding";

#[test]
fn bencoding_that_breaks_its_rules_is_noted() {
    let said = |id, payload: &[u8]| {
        judged(
            0,
            &[(1.0, A, extended(0, b"d1:md6:ut_pexi1e11:ut_metadatai2eee")), (2.0, B, extended(id, payload))],
        )
    };
    assert_eq!(
        said(0, b"d1:md11:ut_metadatai3e6:ut_pexi1ee1:pi6881e4:reqqi250e1:v1:xe"),
        [IRREGULAR],
        "A's is"
    );
    for irregular in [
        &b"d4:reqqi250e1:md6:ut_pexi1eee"[..],
        b"d1:mde1:mdee",
        b"d1:mde4:reqqi0250ee",
        b"d1:mde1:pi-0ee",
        b"d1:mde1:v01:xe",
        b"d1:mdeexyz",
    ] {
        assert_eq!(said(0, irregular), [IRREGULAR; 2], "{}", String::from_utf8_lossy(irregular));
    }
    for wrong in [&b"d1:m1:xe"[..], b"d1:md6:ut_pex1:1ee", b"d1:mde4:reqq3:250e", b"d1:mde1:vi1ee"] {
        assert_eq!(said(0, wrong), [IRREGULAR, "bep10.wrong-type"], "{}", String::from_utf8_lossy(wrong));
    }
    assert_eq!(said(1, b"d5:added0:7:added.fi1ee"), [IRREGULAR, "bep10.wrong-type"]);
    assert_eq!(said(1, b"d7:added.f0:5:added0:e"), [IRREGULAR; 2]);
    assert_eq!(said(2, b"d5:piecei0e8:msg_typei0ee"), [IRREGULAR; 2]);
}

#[test]
fn bencoding_of_trackers_and_nodes_is_held_to_the_rules_too() {
    let answered = |body: &str| -> Vec<&'static str> {
        let mut conversation = Conversation::new();
        conversation.open(0);
        let ask = b"GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&port=1 HTTP/1.1\r\n\r\n";
        conversation.say(0, 0.0, A, ask);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        conversation.say(0, 1.0, B, answer.as_bytes());
        conversation.notes.iter().map(|(rule, _)| *rule).collect()
    };
    assert_eq!(answered("d8:intervali1800e5:peers0:e"), [""; 0]);
    for body in [
        "d5:peers0:8:intervali1800ee",
        "d8:intervali01e5:peers0:e",
        "d5:filesd20:bbbbbbbbbbbbbbbbbbbbde20:aaaaaaaaaaaaaaaaaaaadeee",
        "d8:intervali1800e5:peers0:e\n",
        "\nd8:intervali1800e5:peers0:e",
        "<b>Warning</b>: mysql_connect()<br />\nd8:intervali1800e5:peers0:e",
    ] {
        assert_eq!(answered(body), [IRREGULAR], "{body}");
    }
    assert_eq!(answered("d8:interval1:x5:peers0:e"), ["bep3.malformed-answer"]);

    let node = |bytes: &str| -> Vec<&'static str> {
        let (mut dissector, mut annotator) = (Dissector::new(), Annotator::new(TraceOptions::default()));
        let mut notes = Vec::new();
        let ends = ("10.0.0.3:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap());
        let moment = Moment { at: Timestamp::from_nanos(0), frame: 1 };
        dissector.datagram(moment, ends.0, ends.1, bytes.as_bytes(), &mut |mut dissected| {
            annotator.annotate(&mut dissected);
            let Dissected::Record(record) = dissected else { return };
            notes.extend(record.notes.iter().map(|note| note.rule.id));
        });
        notes
    };
    assert_eq!(node("d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:x11:y1:qe"), [""; 0]);
    assert_eq!(node("d1:t2:x11:y1:q1:q4:ping1:ad2:id20:aaaaaaaaaaaaaaaaaaaaee"), [IRREGULAR]);
    assert_eq!(node("d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:x11:vi1e1:y1:qe"), ["bep5.malformed"]);
}

/// The torrent's second piece comes, and after some seconds an announce.
#[test]
fn bytes_that_came_are_not_left() {
    let judged = |after: f64, program: u8, query: &str| {
        let mut conversation = Conversation::new();
        for (stream, direction, at, bytes) in [
            (0, A, 0.0, handshake(1, 0)),
            (0, B, 0.0, handshake(2, 0)),
            (0, A, 0.5, message(INTERESTED, &[])),
            (0, B, 0.5, message(UNCHOKE, &[])),
            (0, A, 1.0, [numbers(6, &[1, 0, 16_384]), numbers(6, &[1, 16_384, 3_616])].concat()),
            (0, B, 1.0, message(7, &[&[0, 0, 0, 1, 0, 0, 0, 0][..], &[0; 16_384]].concat())),
            (0, B, 1.0, message(7, &[&[0, 0, 0, 1, 0, 0, 64, 0][..], &[0; 3_616]].concat())),
            (1, A, 1.0 + after, announce(program, query)),
            // That HTTP answers shows that the address is a tracker's as well as a peer's.
            (
                1,
                B,
                1.1 + after,
                b"HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\nd8:intervali1800e5:peers0:e".to_vec(),
            ),
        ] {
            if direction == A && (at == 0.0 || stream == 1) {
                conversation.open(stream);
            }
            conversation.say(stream, at, direction, &bytes);
        }
        let rules = conversation.notes.iter().map(|(rule, _)| *rule);
        rules.filter(|rule| *rule != "state.changed" && *rule != "bep3.piece-verified").collect::<Vec<_>>()
    };
    let wrong = ["bep3.left-too-much"];
    // Two pieces of 32 KiB at most, without the 20,000 bytes.
    assert_eq!(judged(6.0, 1, "left=45536"), [] as [&str; 0]);
    assert_eq!(judged(6.0, 1, "left=45537"), wrong);
    assert_eq!(judged(4.0, 1, "left=52768"), [] as [&str; 0], "it may not have looked at it");
    assert_eq!(judged(6.0, 3, "left=52768"), [] as [&str; 0], "another client of the host");
    assert_eq!(judged(6.0, 1, "event=started&left=52768"), [] as [&str; 0], "it begins anew");
    assert_eq!(judged(6.0, 1, "event=started&left=65537"), wrong, "the torrent is not so long");
    for unknown in [i64::MAX as u64, u64::MAX] {
        assert_eq!(judged(6.0, 1, &format!("left={unknown}")), [] as [&str; 0], "it does not know");
    }
}

fn announce(peer: u8, query: &str) -> Vec<u8> {
    let escaped = |bytes: [u8; 20]| bytes.iter().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let (hash, peer) = (escaped(torrent().info_hash.0), escaped([peer; 20]));
    format!("GET /announce?info_hash={hash}&peer_id={peer}&port=1&{query} HTTP/1.1\r\nHost: t\r\n\r\n")
        .into_bytes()
}
