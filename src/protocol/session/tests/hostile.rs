//! Peers that break the rules, and what they get for it.

use super::support::*;
use crate::lines;
use crate::session::{Input, PieceOrder, SeedGoal, SessionStreamId, Violation};

/// Peer A, whose handshake offers this much, has everything and is unchoked; blocks are asked for.
fn open(reserved: [u8; 8]) -> Stage {
    let mut config = config();
    config.profile.piece_order = PieceOrder::InOrder;
    config.profile.random_pieces = 0;
    let mut stage = Stage::small(config);
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    stage.receive(2, &stage.handshake(reserved, A_ID));
    stage.receive(2, &[0, 0, 0, 2, 5, 0xc0]);
    let requests = [about(6, 0, 0, 16_384), about(6, 0, 16_384, 16_384), about(6, 1, 0, 7_232)].concat();
    assert_said(stage.receive(2, &UNCHOKE), lines![sent(2, &requests)]);
    stage
}

#[track_caller]
fn assert_parted(said: Vec<String>, violation: &Violation) {
    let gone = said.iter().any(|line| line.starts_with(&format!("gone 2 Violated({violation:?})")));
    assert!(gone && said.contains(&format!("close 2 {violation:?}")), "{said:#?}");
}

#[test]
fn lengths_that_lie_end_the_conversation() {
    for (bytes, wanted) in [
        (&[0x80, 0, 0, 0][..], "a message of at most 16 MiB"),
        (&[0, 0, 0, 2, 5, 0xff], "a bitfield without bits beyond the last piece"),
        (&[0, 0, 0, 3, 5, 0xc0, 0], "a bitfield with a bit for each piece"),
        (&[0, 0, 0, 4, 4, 0, 0, 0], "a message of the length its id has"),
        (&[0, 0, 0, 14, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0], "a message of the length its id has"),
        (&[0, 0, 0, 5, 7, 0, 0, 0, 0], "a message of the length its id has"),
    ] {
        assert_parted(open(PLAIN).receive(2, bytes), &Violation::Malformed(wanted));
    }
}

#[test]
fn what_lies_beyond_the_torrent_ends_the_conversation() {
    for bytes in [
        [&[0, 0, 0, 5, 4][..], &numbers(&[2])].concat(),
        [&[0, 0, 0, 5, 13][..], &numbers(&[2])].concat(),
        [&[0, 0, 0, 5, 17][..], &numbers(&[u32::MAX])].concat(),
        about(6, 1, 0, 7_233),
        about(6, 0, u32::MAX, 16_384),
        about(6, 0, 0, 0),
        about(8, 9, 0, 16_384),
        about(16, 0, 32_768, 1),
        [numbers(&[9 + 16_384]), vec![7], numbers(&[1, 0])].concat(),
        [numbers(&[9]), vec![7], numbers(&[0, 0])].concat(),
        [numbers(&[9 + 16_384]), vec![7], numbers(&[0, 0xffff_f000])].concat(),
    ] {
        assert_parted(open(FAST).receive(2, &bytes), &Violation::OutOfRange);
    }
}

#[test]
fn blocks_that_nobody_asked_for_are_wasted_and_not_borne_for_long() {
    let mut stage = open(PLAIN);
    // Right bytes, another cut than that of the request.
    let odd = stage.block(0, 100, 16_384);
    assert_said(stage.receive(2, &odd), &[]);
    assert_eq!(stage.session.status(stage.now).wasted, 16_384);
    assert!(stage.disk.is_empty());
    let mut said = Vec::new();
    for _ in 0..70 {
        said = stage.receive(2, &odd);
        if !said.is_empty() {
            break;
        }
    }
    assert_parted(said, &Violation::Flood("blocks that were not requested"));
    assert!(stage.disk.is_empty());
}

#[test]
fn the_same_block_again_is_wasted() {
    let mut stage = open(PLAIN);
    stage.receive(2, &stage.block(0, 0, 16_384));
    stage.receive(2, &stage.block(0, 0, 16_384));
    assert_eq!(stage.session.status(stage.now).wasted, 16_384);
}

#[test]
fn a_flood_of_haves_is_not_listened_to_for_ever() {
    let mut stage = open(PLAIN);
    let haves = [0, 0, 0, 5, 4, 0, 0, 0, 1].repeat(10_000);
    assert_said(stage.receive(2, &haves), &[]);
    let said = stage.receive(2, &[0, 0, 0, 5, 4, 0, 0, 0, 1]);
    assert_parted(said, &Violation::Flood("messages that change nothing"));
}

#[test]
fn messages_of_the_fast_extension_need_its_bit() {
    let violation = Violation::Malformed("messages of the fast extension only where both offer it");
    let mut stage = Stage::small(config());
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    stage.receive(2, &stage.handshake(PLAIN, A_ID));
    assert_parted(stage.receive(2, &HAVE_ALL), &violation);
}

#[test]
fn a_flood_of_requests_is_bounded() {
    let mut config = config();
    config.seeding = Some(SeedGoal::default());
    let torrent = torrent(40_000, 32_768, &[&["http://t.test/announce"]], "");
    let mut stage = Stage::new(config, torrent, &[0, 1]);
    stage.announced(&[]);
    let id = SessionStreamId(1);
    stage.hear(Input::Accepted(id, "10.0.0.1:5000".parse().unwrap()));
    stage.receive(1, &stage.handshake(PLAIN, A_ID));
    assert_said(stage.receive(1, &INTERESTED), lines![sent(1, &UNCHOKE)]);
    let mut flood = Vec::new();
    for begin in 0..5_000 {
        flood.extend(about(6, 0, begin, 1_000));
    }
    let said = stage.receive(1, &flood);
    let fault = Violation::Flood("requests that cannot be answered");
    assert!(said.contains(&format!("close 1 {fault:?}")), "{:?}", said.last());
}

#[test]
fn garbage_after_the_handshake_is_malformed() {
    let said = open(PLAIN).receive(2, b"\r\n\r\n<html><body>no such page</body></html>");
    assert!(said[0].starts_with("close 2 Malformed"), "{said:?}");
}

#[test]
fn a_message_of_nobody_is_skipped_without_being_kept() {
    let mut stage = open(PLAIN);
    let mut unknown = numbers(&[1_000_000]);
    unknown.push(200);
    stage.receive(2, &unknown);
    for _ in 0..10 {
        stage.receive(2, &[0; 99_999]);
    }
    stage.receive(2, &[0; 9]);
    // The next message is understood.
    assert_said(stage.receive(2, &stage.block(0, 0, 16_384)), &[]);
    assert_eq!(stage.session.status(stage.now).downloaded, 16_384);
}

#[test]
fn who_tries_to_encrypt_first_may_call_again_in_clear() {
    let mut stage = Stage::small(config());
    stage.announced(&[]);
    let call = |stage: &mut Stage, stream| {
        let address = format!("10.0.0.1:{}", 5_000 + stream).parse().unwrap();
        stage.hear(Input::Accepted(SessionStreamId(stream), address))
    };
    call(&mut stage, 1);
    // The beginning of a public key.
    let said = stage.receive(1, &[0x8f; 96]);
    assert_eq!(said[0], "close 1 Malformed(\"a handshake\")");
    assert_said(call(&mut stage, 3), &[]);
    let said = stage.receive(3, &stage.handshake(PLAIN, A_ID));
    assert_eq!(said[0], "connected 3");
    // One that breaks the rules in a conversation does not come back.
    stage.receive(3, &[0x80, 0, 0, 0]);
    assert_said(call(&mut stage, 5), lines!["close 5"]);
}
