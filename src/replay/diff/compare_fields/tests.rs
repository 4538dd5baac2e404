//! Pairs of messages as raw bytes, and the fields in which they differ.

use std::sync::Arc;

use bittrace_protocol::wire::{Extension, Handshake, Message};
use bytes::Bytes;

use super::*;
use crate::diff::mask::Mask;

fn read(number: u64, bytes: &[u8], body: Body) -> ReadMessage {
    ReadMessage { number, bytes: Bytes::copy_from_slice(bytes), body }
}

fn message(bytes: &[u8]) -> ReadMessage {
    let message = Message::decode(&Bytes::copy_from_slice(bytes)).unwrap();
    read(1, bytes, Body::PeerWire(PeerWireBody::Message(message)))
}

/// A request of the first 16 KiB of a piece.
fn request(piece: u32) -> ReadMessage {
    let [a, b, c, d] = piece.to_be_bytes();
    message(&[0, 0, 0, 13, 6, a, b, c, d, 0, 0, 0, 0, 0, 0, 0x40, 0])
}

/// A piece message with this block.
fn piece(block: &[u8]) -> ReadMessage {
    let length = (9 + block.len() as u32).to_be_bytes();
    message(&[&length[..], &[7, 0, 0, 0, 0, 0, 0, 0, 0], block].concat())
}

/// A message of an extension under this id.
fn extension(id: u8, extension: Extension, payload: &str) -> ReadMessage {
    let length = (2 + payload.len() as u32).to_be_bytes();
    let bytes = Bytes::from([&length[..], &[20, id], payload.as_bytes()].concat());
    let message = Message::decode(&bytes).unwrap();
    read(1, &bytes, Body::PeerWire(PeerWireBody::Extended(message, extension)))
}

/// An extended handshake with this dictionary.
fn extended(dictionary: &str) -> ReadMessage {
    extension(0, Extension::Handshake, dictionary)
}

fn handshake(number: u64, peer_id: &[u8; 20]) -> ReadMessage {
    let bytes = [b"\x13BitTorrent protocol", &[0; 8][..], &[b'a'; 20], peer_id].concat();
    read(number, &bytes, Body::PeerWire(PeerWireBody::Handshake(Handshake::decode(&bytes).unwrap())))
}

/// An HTTP request with this query and these lines of headers.
fn announce(query: &str, headers: &str) -> ReadMessage {
    let text = format!("GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&{query} HTTP/1.1\r\n{headers}\r\n");
    let request = Request::decode(text.as_bytes()).unwrap();
    let kind = request.kind();
    let body = HttpTrackerBody::Request(Arc::new(request), Arc::new(kind));
    read(1, text.as_bytes(), Body::HttpTracker(body))
}

/// A difference on a line: the field, the rule (with `!` where it fails), the note.
fn line(difference: &Difference) -> String {
    let fails = if difference.fails { "!" } else { "" };
    let note = difference.note().map_or(String::new(), |note| format!(": {note}"));
    format!("{} {}{fails}{note}", difference.name, difference.rule.name())
}

/// How two messages of the local host compare under some masks.
fn compared_with(masks: &mut Masks, reference: &ReadMessage, candidate: &ReadMessage) -> Vec<String> {
    let mut paths = Paths::default();
    let differences = compare(reference, candidate, Side::Local, masks, &mut paths, MaskCounts::Yes);
    differences.iter().map(line).collect()
}

/// How two messages compare without masks.
fn exactly(reference: &ReadMessage, candidate: &ReadMessage) -> Vec<String> {
    compared_with(&mut Masks::none(), reference, candidate)
}

/// How two messages compare under the table.
fn by_table(reference: &ReadMessage, candidate: &ReadMessage) -> Vec<String> {
    compared_with(&mut Masks::new(&[]), reference, candidate)
}

const ONE_ID: &[u8; 20] = b"-TR3000-aaaaaaaaaaaa";
const OTHER_ID: &[u8; 20] = b"-TR3000-bbbbbbbbbbbb";
const THIRD_ID: &[u8; 20] = b"-TR3000-cccccccccccc";

#[test]
fn equal_messages_have_no_differences() {
    for message in [
        request(1),
        piece(b"block"),
        extended("d1:v3:onee"),
        handshake(1, ONE_ID),
        announce("port=1&key=12345678", "Host: t\r\n"),
    ] {
        assert_eq!(exactly(&message, &message), [""; 0]);
        assert_eq!(by_table(&message, &message), [""; 0]);
    }
}

#[test]
fn names_each_field_with_a_differing_byte() {
    assert_eq!(exactly(&request(1), &request(2)), ["index exact!"]);
    let cancel = message(&[0, 0, 0, 13, 8, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0x40, 0]);
    assert_eq!(exactly(&request(1), &cancel), ["id exact!", "begin exact!"]);
}

#[test]
fn up_to_four_differing_bytes_are_told_by_their_place() {
    let one = extended("d1:v8:aaaaaaaae");
    // The key is another one, and the field `v` is gone; by its bytes the field that differs is still `v`.
    assert_eq!(exactly(&one, &extended("d1:w8:aaaaaaaae")), ["v exact!"]);
    assert_eq!(exactly(&one, &extended("d1:w8:bbbaaaaae")), ["v exact!"]);
    // A fifth byte, and the fields are told by their names.
    assert_eq!(exactly(&one, &extended("d1:w8:bbbbaaaae")), ["v exact!", "w exact!"]);
}

#[test]
fn a_field_that_a_changed_byte_took_away_is_shown_by_its_bytes() {
    let (one, other) = (extended("d1:v1:ae"), extended("d1:w1:ae"));
    let mut paths = Paths::default();
    let found = compare(&one, &other, Side::Local, &mut Masks::none(), &mut paths, MaskCounts::Yes);
    let [difference] = &found[..] else { panic!("{found:?}") };
    let (reference, candidate) = (difference.reference.unwrap(), difference.candidate.unwrap());
    assert_eq!(candidate, FieldSide::new(reference.span(), TextForm::Bytes));
}

#[test]
fn fields_of_one_side_alone_are_absences_without_their_delimiters() {
    let (one, other) = (announce("port=1&numwant=50&left=5", ""), announce("port=1&left=5", ""));
    assert_eq!(exactly(&one, &other), ["numwant exact!"]);
    assert_eq!(exactly(&other, &one), ["numwant exact!"]);
    let mut paths = Paths::default();
    let sides = |one, other, paths: &mut Paths| {
        let found = compare(one, other, Side::Local, &mut Masks::none(), paths, MaskCounts::Yes);
        (found[0].reference.is_some(), found[0].candidate.is_some())
    };
    assert_eq!(sides(&one, &other, &mut paths), (true, false));
    assert_eq!(sides(&other, &one, &mut paths), (false, true));
}

#[test]
fn fields_at_another_place_are_told_by_their_neighbours() {
    let one = announce("port=1&uploaded=2&left=3", "");
    let moved = |query: &str| exactly(&one, &announce(query, ""));
    assert_eq!(moved("uploaded=2&left=3&port=1"), ["port exact!: after left (reference: after info_hash)"]);
    assert_eq!(
        moved("left=3&port=1&uploaded=2"),
        ["left exact!: after info_hash (reference: after uploaded)"]
    );
    // Two fields that move together: the second still follows the first.
    let one = announce("a=1&b=2&c=3&d=4&e=5", "");
    assert_eq!(
        exactly(&one, &announce("c=3&d=4&e=5&a=1&b=2", "")),
        ["a exact!: after e (reference: after info_hash)", "b exact!: moved along with a"]
    );
}

#[test]
fn a_field_may_be_first_of_its_siblings() {
    let headers = |lines: &[&str]| {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        announce("port=1", &lines)
    };
    let (host, agent, accept) = ("Host: t", "User-Agent: x", "Accept: y");
    assert_eq!(
        exactly(&headers(&[host, agent, accept]), &headers(&[agent, accept, host])),
        ["headers.Host exact!: after Accept (reference: first)"]
    );
    assert_eq!(
        exactly(&headers(&[agent, accept, host]), &headers(&[host, agent, accept])),
        ["headers.Host exact!: first (reference: after Accept)"]
    );
}

#[test]
fn a_field_that_moves_with_all_that_it_stands_in_is_told_by_that() {
    let extended = |entries: [&str; 3]| extended(&format!("d{}e", entries.concat()));
    let (p, v) = ("1:pi1e", "1:v1:a");
    for (m, wanted) in [
        ("1:md6:ut_pexi1ee", &["m.ut_pex exact!: moved along with m"][..]),
        // An empty dictionary is a field itself.
        ("1:mde", &["m exact!: after v (reference: first)"]),
    ] {
        assert_eq!(exactly(&extended([m, p, v]), &extended([p, v, m])), wanted);
    }
}

#[test]
fn a_mask_that_ignores_a_field_ignores_its_place() {
    let (one, other) = (announce("port=1&left=3", ""), announce("left=3&port=1", ""));
    let masks = |rule: &str| {
        Masks::new(
            &["port", "left"].map(|field| Mask::parse(&format!("announce-request.{field}={rule}")).unwrap()),
        )
    };
    assert_eq!(compared_with(&mut masks("ignore"), &one, &other), ["port ignore"]);
    assert_eq!(
        compared_with(&mut masks("bind"), &one, &other),
        ["port exact!: after left (reference: after info_hash)"]
    );
}

#[test]
fn a_length_follows_only_from_another_difference() {
    assert_eq!(
        exactly(&extended("d1:v3:onee"), &extended("d1:v5:threee")),
        ["length_prefix follows: follows from other fields", "v exact!"]
    );
    let header = |lines: &str| announce("port=1", lines);
    assert_eq!(
        exactly(&header("Content-Length: 5\r\n"), &header("Content-Length: 05\r\n")),
        ["headers.Content-Length exact!"]
    );
    // Two lengths are no reason for each other.
    assert_eq!(
        exactly(
            &header("Content-Length: 5\r\nContent-Length: 5\r\n"),
            &header("Content-Length: 05\r\nContent-Length: 05\r\n")
        ),
        ["headers.Content-Length exact!", "headers.Content-Length exact!"]
    );
    // The messages are as long as each other: nothing follows.
    assert_eq!(
        exactly(&header("A: 1\r\nContent-Length: 5\r\n"), &header("A: 2\r\nContent-Length: 6\r\n")),
        ["headers.A exact!", "headers.Content-Length exact!"]
    );
}

#[test]
fn a_value_that_is_written_otherwise_is_said_to_be_the_same() {
    let (one, other) = (announce("port=1&key=abcd", ""), announce("port=1&key=%61bcd", ""));
    assert_eq!(exactly(&one, &other), ["key exact!: the same value, written differently"]);
}

#[test]
fn where_long_values_first_differ_is_said() {
    let (one, other) = (piece(b"abcdefgh"), piece(b"abXdefYh"));
    assert_eq!(exactly(&one, &other), ["block exact!: first differs at byte 2 of the field, in 2 of 8"]);
    let version = |value: &str| extended(&format!("d1:v{}:{value}e", value.len()));
    assert_eq!(exactly(&version("abc"), &version("abd")), ["v exact!"]);
}

#[test]
fn a_bound_value_stands_for_one_value_only() {
    let mut masks = Masks::new(&[]);
    let one = handshake(1, ONE_ID);
    assert_eq!(compared_with(&mut masks, &one, &handshake(2, OTHER_ID)), ["peer_id bind"]);
    assert_eq!(compared_with(&mut masks, &one, &handshake(3, OTHER_ID)), ["peer_id bind"]);
    assert_eq!(
        compared_with(&mut masks, &one, &handshake(4, THIRD_ID)),
        [format!(
            "peer_id bind!: changed: it was {} in message 2 of the candidate (message 1 of the reference)",
            shown(OTHER_ID)
        )]
    );
    assert_eq!(
        compared_with(&mut masks, &handshake(5, THIRD_ID), &handshake(6, OTHER_ID)),
        [format!("peer_id bind!: the candidate used this value for {} before", shown(ONE_ID))]
    );
}

#[test]
fn equal_values_may_not_agree_with_what_was_bound() {
    let mut masks = Masks::new(&[]);
    assert_eq!(compared_with(&mut masks, &handshake(1, ONE_ID), &handshake(1, OTHER_ID)), ["peer_id bind"]);
    assert_eq!(
        compared_with(&mut masks, &handshake(2, ONE_ID), &handshake(2, ONE_ID)),
        [format!(
            "peer_id bind!: changed: it was {} in message 1 of the candidate (message 1 of the reference)",
            shown(OTHER_ID)
        )]
    );
}

#[test]
fn another_client_or_kind_of_value_is_never_bound() {
    assert_eq!(
        by_table(&handshake(1, ONE_ID), &handshake(1, b"-TR4060-aaaaaaaaaaaa")),
        ["peer_id exact!: another client"]
    );
    assert_eq!(
        by_table(&extended("d1:pi6881ee"), &extended("d1:p4:6881e")),
        ["p bind!: a value of another type"]
    );
}

#[test]
fn a_bound_value_is_spelled_and_escaped_as_before() {
    let key = |parameter: &str| announce(&format!("port=1&{parameter}"), "");
    assert_eq!(by_table(&key("key=%ab%cd"), &key("key=%ef%01")), ["key bind"]);
    assert_eq!(by_table(&key("key=%ab%cd"), &key("key=%AB%CE")), ["key exact!: escaped differently"]);
    assert_eq!(by_table(&key("key=abcd"), &key("k%65y=abce")), ["key exact!: spelled differently"]);
    let host = |line: &str| announce("port=1", line);
    assert_eq!(by_table(&host("Host: a\r\n"), &host("Host: bc\r\n")), ["headers.Host bind"]);
    assert_eq!(
        by_table(&host("Host: a\r\n"), &host("Host:  b\r\n")),
        ["headers.Host exact!: spelled differently"]
    );
}

#[test]
fn a_value_that_is_escaped_in_two_ways_is_the_same_as_itself() {
    let one = announce("port=1&key=%ab%CD~%7e", "");
    assert_eq!(by_table(&one, &one), [""; 0]);
}

#[test]
fn an_extension_may_have_another_number_but_be_no_other() {
    let (pex, metadata) = (Extension::Pex, Extension::Metadata);
    let message = |id, kind: &Extension| extension(id, kind.clone(), "d5:added0:e");
    assert_eq!(by_table(&message(1, &pex), &message(2, &pex)), ["extension.extended_id context"]);
    let found = by_table(&message(1, &pex), &message(2, &metadata));
    assert!(found.contains(&"extension.extended_id exact!".to_owned()), "{found:?}");
}

#[test]
fn only_what_counts_is_counted_as_a_use_of_a_mask() {
    let uses = |counts, by_hand: &str| {
        let mut masks = Masks::new(&[Mask::parse(by_hand).unwrap()]);
        let mut paths = Paths::default();
        compare(&request(1), &request(2), Side::Local, &mut masks, &mut paths, counts);
        masks.uses().next().unwrap().1
    };
    assert_eq!(uses(MaskCounts::Yes, "request.index=ignore"), 1);
    assert_eq!(uses(MaskCounts::No, "request.index=ignore"), 0);
    assert_eq!(uses(MaskCounts::Yes, "request.index=exact"), 0, "it let nothing pass");
    assert_eq!(uses(MaskCounts::Yes, "request.begin=ignore"), 0, "it is about another field");
}

/// The kind of each difference that counts.
fn kinds(masks: &mut Masks, reference: &ReadMessage, candidate: &ReadMessage) -> Vec<(String, ReportKind)> {
    let mut paths = Paths::default();
    let differences = compare(reference, candidate, Side::Local, masks, &mut paths, MaskCounts::Yes);
    let failing = differences.iter().filter(|difference| difference.fails);
    failing.map(|difference| (difference.name.to_string(), difference.kind)).collect()
}

#[test]
fn what_any_two_clients_differ_in_is_identity() {
    let of = |reference: &ReadMessage, candidate: &ReadMessage| {
        let found = kinds(&mut Masks::new(&[]), reference, candidate);
        let content: Vec<String> = found
            .into_iter()
            .filter(|(_, kind)| *kind == ReportKind::Phrasing)
            .map(|(name, _)| name)
            .collect();
        content
    };
    let reference = announce("port=1&left=9&event=started&key=ab", "Host: t\r\nUser-Agent: one\r\n");
    let order = announce("left=9&port=1&event=started&key=ab", "Host: t\r\nUser-Agent: another\r\n");
    assert_eq!(of(&reference, &order), [""; 0]);
    let content = announce("port=1&left=0&key=ab", "Host: t\r\nUser-Agent: one\r\n");
    assert_eq!(of(&reference, &content), ["left", "event"]);
    // The numbers of extensions are a client's own, but 0 says that it does not have the extension (BEP 10).
    let extensions = |number: u8| extended(&format!("d1:md6:ut_pexi{number}eee"));
    assert_eq!(of(&extensions(1), &extensions(2)), [""; 0]);
    assert_eq!(of(&extensions(1), &extensions(0)), ["m.ut_pex"]);
    // Another client has another peer id, but the peer id of a client must not change.
    assert_eq!(of(&handshake(1, ONE_ID), &handshake(1, b"-AB1234-aaaaaaaaaaaa")), [""; 0]);
    let mut masks = Masks::new(&[]);
    kinds(&mut masks, &handshake(1, ONE_ID), &handshake(1, OTHER_ID));
    let changed = kinds(&mut masks, &handshake(2, ONE_ID), &handshake(2, THIRD_ID));
    assert_eq!(changed, [("peer_id".to_owned(), ReportKind::Phrasing)]);
}
