//! One peer at a time: each way a peer can fail is named, and the next one is tried.

use super::support::*;
use crate::lines;
use crate::session::{CloseReason, Input, PieceOrder, SessionStreamId, Violation};

fn stage() -> Stage {
    let mut config = single();
    config.profile.piece_order = PieceOrder::InOrder;
    let mut stage = Stage::small(config);
    stage.announced(&[PEER_A, PEER_B]);
    stage
}

/// Peer A has shaken hands and has everything.
fn open() -> Stage {
    let mut stage = stage();
    stage.opened(2, "10.0.0.1:6881");
    stage.receive(2, &stage.handshake(PLAIN, A_ID));
    assert_said(stage.receive(2, &[0, 0, 0, 2, 5, 0xc0]), lines![sent(2, &INTERESTED)]);
    stage
}

const NEXT: &str = "open 4 10.0.0.2:6881";

#[test]
fn a_refused_connection_leads_to_the_next_peer() {
    for closing in [CloseReason::Refused, CloseReason::TimedOut, CloseReason::Failed("no route".into())] {
        let gone = format!("gone 2 Closed({closing:?}) gave 0");
        assert_said(stage().closed(2, closing), lines![gone, NEXT]);
    }
}

#[test]
fn a_connection_that_never_opens_is_given_up() {
    let mut stage = stage();
    assert_said(stage.wait(9.0), &[]);
    assert_said(stage.wait(1.0), lines!["close 2", "gone 2 Closed(TimedOut) gave 0", NEXT]);
}

#[test]
fn a_reset_leads_to_the_next_peer() {
    let mut stage = open();
    assert_said(stage.closed(2, CloseReason::Reset), lines!["gone 2 Closed(Reset) gave 0", NEXT]);
}

#[test]
fn another_torrent_is_not_talked_about() {
    let mut stage = stage();
    stage.opened(2, "10.0.0.1:6881");
    let other = handshake(PLAIN, &[9; 20], A_ID);
    let fault = Violation::WrongInfoHash(crate::InfoHash([9; 20]));
    assert_said(
        stage.receive(2, &other),
        lines![format!("close 2 {fault:?}"), format!("gone 2 Violated({fault:?}) gave 0"), NEXT],
    );
}

#[test]
fn we_do_not_talk_to_ourselves() {
    let mut stage = stage();
    stage.opened(2, "10.0.0.1:6881");
    assert_said(
        stage.receive(2, &stage.handshake(PLAIN, OUR_ID)),
        lines!["close 2 SelfConnection", "gone 2 Violated(SelfConnection) gave 0", NEXT],
    );
}

#[test]
fn a_peer_that_says_no_handshake_is_left() {
    let mut stage = stage();
    stage.opened(2, "10.0.0.1:6881");
    let said = stage.wait(15.0);
    assert_said(said, lines!["close 2 Silent(15s)", "gone 2 Violated(Silent(15s)) gave 0", NEXT]);
}

#[test]
fn what_speaks_another_protocol_is_left() {
    let mut stage = stage();
    stage.opened(2, "10.0.0.1:6881");
    assert_said(
        stage.receive(2, b"HTTP/1.1 400 Bad Request\r\n"),
        lines![
            "close 2 Malformed(\"a handshake\")",
            "gone 2 Violated(Malformed(\"a handshake\")) gave 0",
            NEXT
        ],
    );
}

#[test]
fn pauses_in_which_nothing_comes_do_not_make_a_choking_peer_useful() {
    let mut stage = open();
    let mut gone = Vec::new();
    for _ in 0..12 {
        assert!(stage.session.peers(stage.now).any(|peer| peer.stream == SessionStreamId(2)));
        stage.receive(2, &UNCHOKE);
        stage.wait(5.0);
        stage.receive(2, &CHOKE);
        gone = stage.wait(5.0);
    }
    assert_said(
        gone,
        lines!["close 2 ChokedTooLong(120s)", "gone 2 Violated(ChokedTooLong(120s)) gave 0", NEXT],
    );
    // One that gives a block in between is worth waiting for.
    let mut stage = open();
    for block in [(0, 0, 16_384), (0, 16_384, 16_384), (1, 0, 7_232)] {
        stage.receive(2, &UNCHOKE);
        stage.receive(2, &stage.block(block.0, block.1, block.2));
        stage.receive(2, &CHOKE);
        stage.wait(100.0);
        stage.receive(2, &[0; 4]);
    }
    assert!(stage.session.is_complete());
}

#[test]
fn choked_for_ever_is_no_way_to_download() {
    let mut stage = open();
    assert_said(stage.wait(119.0), lines![sent(2, &[0; 4])]);
    assert_said(
        stage.wait(1.0),
        lines!["close 2 ChokedTooLong(120s)", "gone 2 Violated(ChokedTooLong(120s)) gave 0", NEXT],
    );
}

#[test]
fn silence_after_requests_is_not_waited_out() {
    let mut stage = open();
    stage.receive(2, &UNCHOKE);
    stage.receive(2, &stage.block(0, 0, 16_384));
    // After 4, 8, 16 and 32 seconds the peer is asked again, for one block each time.
    let again = [about(6, 0, 16_384, 16_384), about(6, 1, 0, 7_232)];
    let again = [again.clone(), again].concat();
    let again: Vec<_> = again.iter().map(|request| sent(2, request)).collect();
    assert_said(stage.wait(59.0), &again);
    assert_said(
        stage.wait(1.0),
        lines!["close 2 Silent(60s)", "gone 2 Violated(Silent(60s)) gave 16384", NEXT],
    );
}

#[test]
fn a_slow_drip_within_a_block_counts_as_talking() {
    let mut stage = open();
    stage.receive(2, &UNCHOKE);
    let block = stage.block(0, 0, 16_384);
    stage.receive(2, &block[..13]);
    for drip in block[13..33].chunks(1) {
        stage.receive(2, drip);
        assert_said(stage.wait(4.0), &[]);
    }
}

#[test]
fn a_corrupt_piece_ends_the_conversation_and_verified_pieces_stay() {
    let mut stage = open();
    stage.receive(2, &UNCHOKE);
    let mut wrong = stage.block(0, 0, 16_384);
    wrong[100] ^= 1;
    stage.receive(2, &stage.block(1, 0, 7_232));
    stage.receive(2, &wrong);
    assert_said(
        stage.receive(2, &stage.block(0, 16_384, 16_384)),
        lines![
            "piece 0 corrupt, from [10.0.0.1:6881]",
            "discard 0",
            "close 2 CorruptPiece(PieceIndex(0))",
            "gone 2 Violated(CorruptPiece(PieceIndex(0))) gave 40000",
            NEXT
        ],
    );
    assert_eq!(stage.kept, [1]);
    stage.opened(4, "10.0.0.2:6881");
    stage.receive(4, &stage.handshake(PLAIN, B_ID));
    stage.receive(4, &[0, 0, 0, 2, 5, 0xc0]);
    // Only what is missing is asked for.
    let requests = [about(6, 0, 0, 16_384), about(6, 0, 16_384, 16_384)].concat();
    assert_said(stage.receive(4, &UNCHOKE), lines![sent(4, &requests)]);
}

#[test]
fn half_a_block_from_one_peer_is_gone_on_with_by_the_next() {
    let mut stage = open();
    stage.receive(2, &UNCHOKE);
    stage.receive(2, &stage.block(0, 0, 16_384)[..5_000]);
    stage.closed(2, CloseReason::ByRemote);
    stage.opened(4, "10.0.0.2:6881");
    stage.receive(4, &stage.handshake(PLAIN, B_ID));
    stage.receive(4, &[0, 0, 0, 2, 5, 0xc0]);
    stage.receive(4, &UNCHOKE);
    let blocks = [stage.block(0, 0, 16_384), stage.block(0, 16_384, 16_384), stage.block(1, 0, 7_232)];
    stage.receive(4, &blocks.concat());
    assert!(stage.session.is_complete());
    // What came twice was stored once, and counted.
    assert_eq!(stage.session.status(stage.now).wasted, 5_000 - 13);
}

#[test]
fn a_peer_that_has_nothing_is_left_after_a_while() {
    let mut stage = stage();
    stage.opened(2, "10.0.0.1:6881");
    stage.receive(2, &stage.handshake(PLAIN, A_ID));
    let said = stage.wait(60.0);
    assert_said(said, lines!["close 2 Useless", "gone 2 Violated(Useless) gave 0", NEXT]);
}

#[test]
fn when_all_have_failed_the_tracker_is_asked_again_after_its_interval() {
    let mut stage = stage();
    stage.closed(2, CloseReason::Refused);
    assert_said(stage.closed(4, CloseReason::Refused), lines!["gone 4 Closed(Refused) gave 0"]);
    assert_said(stage.wait(1799.0), &[]);
    assert_said(stage.wait(1.0), lines!["open 6 http t.test 80"]);
    stage.opened(6, "10.0.0.9:80");
    // The same peer again: perhaps it is there now.
    assert_said(
        stage.receive(6, &answer(&PEER_A)),
        lines!["close 6", "announced, 1 peers", "open 8 10.0.0.1:6881"],
    );
}

#[test]
fn when_all_have_failed_and_one_round_was_wanted_it_ends_incomplete() {
    let mut config = single();
    config.rounds = Some(1);
    let mut stage = Stage::small(config);
    stage.announced(&[PEER_A]);
    assert_said(
        stage.closed(2, CloseReason::Refused),
        lines!["gone 2 Closed(Refused) gave 0", "open 4 http t.test 80"],
    );
    stage.opened(4, "10.0.0.9:80");
    let said = stage.receive(4, &answer(b""));
    assert_said(said, lines!["close 4", "announced, 0 peers", "done"]);
    assert!(!stage.session.is_complete());
}

#[test]
fn a_tracker_that_fails_where_the_run_ends_is_not_asked_again() {
    for (rounds, again) in [(1, "again None"), (2, "again Some(30s)")] {
        let mut config = single();
        config.rounds = Some(rounds);
        let mut stage = Stage::small(config);
        stage.said();
        let said = stage.closed(0, CloseReason::Refused);
        let failed = format!("tracker failed: the connection was refused; {again}");
        assert_eq!(said.first(), Some(&failed), "{said:?}");
        assert_eq!(said.contains(&"done".to_owned()), rounds == 1, "{said:?}");
    }
}

#[test]
fn without_a_tracker_and_a_listener_there_is_nothing_to_wait_for() {
    let mut config = single();
    config.port = 0;
    let mut stage = Stage::new(config, torrent(40_000, 32_768, &[], ""), &[]);
    assert_said(stage.said(), lines!["done"]);
}

#[test]
fn who_calls_is_not_let_in() {
    let mut stage = open();
    let said = stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.3:5000".parse().unwrap()));
    assert_said(said, lines!["close 1 TooManyConnections"]);
}
