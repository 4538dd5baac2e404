//! Several peers at once: what they share, and what happens at the end.

use super::support::*;
use crate::PieceIndex;
use crate::lines;
use crate::session::{CloseReason, Event, Input, Output, PieceOrder, SessionStreamId};

/// Peers A and B, both with everything, on the streams 2 and 4 as they were dialled. Whoever unchokes first is asked first.
fn stage() -> Stage {
    let mut config = config();
    config.profile.piece_order = PieceOrder::InOrder;
    config.profile.random_pieces = 0;
    config.profile.initial_pipeline = 2;
    let mut stage = Stage::small(config);
    stage.announced(&[PEER_A, PEER_B]);
    for (stream, id) in [(2, A_ID), (4, B_ID)] {
        stage.opened(stream, "10.0.0.1:6881");
        stage.receive(stream, &stage.handshake(FAST, id));
        assert_said(stage.receive(stream, &HAVE_ALL), lines![sent(stream, &INTERESTED)]);
    }
    stage
}

#[test]
fn the_last_blocks_are_asked_of_both_and_cancelled() {
    let mut stage = stage();
    let first = [about(6, 0, 0, 16_384), about(6, 0, 16_384, 16_384)].concat();
    assert_said(stage.receive(2, &UNCHOKE), lines![sent(2, &first)]);
    // B gets what is left, and then the end game begins. While B has a block of its own to send, it is asked for no other.
    assert_said(stage.receive(4, &UNCHOKE), lines![sent(4, &about(6, 1, 0, 7_232))]);
    let said = stage.receive(4, &stage.block(1, 0, 7_232));
    assert!(said.contains(&sent(4, &about(6, 0, 0, 16_384))), "{said:#?}");
    let said = stage.receive(2, &stage.block(0, 0, 16_384));
    assert!(
        said.contains(&sent(4, &[about(8, 0, 0, 16_384), about(6, 0, 16_384, 16_384)].concat())),
        "{said:#?}"
    );
    // It crossed with the cancel: wasted, and no crime.
    stage.receive(4, &stage.block(0, 0, 16_384));
    assert_eq!(stage.session.status(stage.now).wasted, 16_384);
    stage.receive(2, &stage.block(0, 16_384, 16_384));
    assert!(stage.session.is_complete());
}

/// The end game: A was asked for the last blocks and sends nothing.
#[test]
fn a_peer_that_stalls_at_the_end_does_not_hold_up_the_run() {
    let mut config = config();
    config.profile.piece_order = PieceOrder::InOrder;
    config.profile.random_pieces = 0;
    config.profile.initial_pipeline = 16;
    let torrent = torrent(16 * 32_768, 32_768, &[&["http://t.test/announce"]], "");
    let mut stage = Stage::new(config, torrent, &[]);
    stage.announced(&[PEER_A, PEER_B]);
    for (stream, id) in [(2, A_ID), (4, B_ID)] {
        stage.opened(stream, "10.0.0.1:6881");
        stage.receive(stream, &[&stage.handshake(FAST, id)[..], &HAVE_ALL].concat());
    }
    let first = stage.receive(2, &UNCHOKE);
    assert_eq!(first.iter().flat_map(|line| requests(line)).count(), 16);
    // B sends its own sixteen blocks and then those of A, without a pause.
    let lines = stage.receive(4, &UNCHOKE);
    let all = stage.give(lines, None);
    assert!(stage.session.is_complete(), "{all:#?}");
    assert_eq!(stage.session.status(stage.now).wasted, 0);
    // Never was B asked for more than one block of A's at once.
    let doubles = all.iter().skip_while(|line| !requests(line).contains(&(4, 0, 0, 16_384)));
    assert!(doubles.map(|line| requests(line).len()).all(|count| count <= 1), "{all:#?}");
}

#[test]
fn a_block_that_comes_late_is_taken_unless_another_peer_sent_it() {
    let mut stage = stage();
    stage.receive(2, &UNCHOKE);
    stage.receive(4, &UNCHOKE);
    // A chokes, rejects nothing, and is not waited for any longer: B is asked for its blocks.
    stage.receive(2, &CHOKE);
    let said = stage.wait(12.0);
    let said = [said, stage.receive(4, &stage.block(1, 0, 7_232))].concat();
    let asked = said.iter().flat_map(|line| requests(line)).filter(|(_, piece, ..)| *piece == 0);
    assert_eq!(asked.collect::<Vec<_>>(), [(4, 0, 0, 16_384), (4, 0, 16_384, 16_384)]);
    // The blocks of A come nevertheless: one in vain, as B was sooner, and one of use.
    stage.receive(4, &stage.block(0, 16_384, 16_384));
    stage.receive(2, &stage.block(0, 16_384, 16_384));
    assert_eq!(stage.session.status(stage.now).wasted, 16_384);
    stage.receive(2, &stage.block(0, 0, 16_384));
    assert!(stage.session.is_complete());
    assert_eq!(stage.session.status(stage.now).wasted, 16_384);
}

/// One that is not waited for sends what nobody asked for: another length, or from within a block on.
#[test]
fn late_bytes_that_are_no_block_are_not_taken() {
    for (begin, length) in [(0, 32_768), (0, 0), (0, 100), (100, 16_384), (16_384, 100)] {
        let mut stage = stage();
        stage.receive(2, &UNCHOKE);
        stage.receive(4, &UNCHOKE);
        stage.receive(2, &CHOKE);
        stage.wait(12.0);
        let late = stage.block(0, begin, length);
        stage.receive(2, &late);
        let status = stage.session.status(stage.now);
        assert_eq!(status.wasted, u64::from(length), "{begin} {length}");
        stage.receive(4, &stage.block(1, 0, 7_232));
        stage.receive(4, &stage.block(0, 0, 16_384));
        stage.receive(4, &stage.block(0, 16_384, 16_384));
        assert!(stage.session.is_complete(), "{begin} {length}");
    }
}

#[test]
fn others_are_told_of_a_piece_they_lack() {
    let mut stage = stage();
    stage.receive(2, &UNCHOKE);
    // B has lost piece 0 of its own accord: lt_donthave was not agreed on, so a third peer lacks it.
    stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.3:5000".parse().unwrap()));
    stage.receive(1, &stage.handshake(FAST, b"-XX1000-cccccccccccc"));
    stage.receive(2, &stage.block(0, 0, 16_384));
    let said = stage.receive(2, &stage.block(0, 16_384, 16_384));
    let have = sent(1, &[&[0, 0, 0, 5, 4][..], &numbers(&[0])].concat());
    assert!(said.contains(&have), "{said:#?}");
    assert!(!said.iter().any(|line| line.starts_with("send 4")), "B has it: {said:#?}");
}

/// A peer that tells of one piece at a time, as a super-seeding peer does (BEP 16), is told of each piece that it gave. What
/// other peers gave it is not told.
#[test]
fn whoever_gave_a_piece_and_did_not_tell_all_at_once_is_told_of_it() {
    let mut config = config();
    config.profile.piece_order = PieceOrder::InOrder;
    let torrent = torrent(200_000, 32_768, &[&["http://t.test/announce"]], "");
    let mut stage = Stage::new(config, torrent, &[]);
    stage.announced(&[PEER_A, PEER_B]);
    let have = |piece: u32| [&[0, 0, 0, 5, 4][..], &numbers(&[piece])].concat();
    for (stream, id) in [(2, A_ID), (4, B_ID)] {
        stage.opened(stream, "10.0.0.1:6881");
        stage.receive(stream, &[&stage.handshake(FAST, id)[..], &HAVE_NONE].concat());
    }
    stage.receive(2, &UNCHOKE);
    for piece in 0..6 {
        stage.receive(4, &have(piece));
        let lines = stage.receive(2, &have(piece));
        assert!(lines.iter().all(|line| !line.starts_with("send 4")), "{lines:#?}");
        let said = stage.give(lines, Some(piece));
        let told = |stream| {
            let have = have(piece).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
            let prefix = format!("send {stream} ");
            said.iter().any(|line| line.starts_with(&prefix) && line.contains(&have))
        };
        assert!(told(2) && !told(4), "{piece}: {said:#?}");
    }
}

#[test]
fn a_second_connection_to_the_same_peer_is_closed() {
    let mut stage = Stage::small(config());
    stage.announced(&[PEER_A, PEER_B]);
    stage.opened(2, "10.0.0.1:6881");
    stage.opened(4, "10.0.0.2:6881");
    stage.receive(2, &stage.handshake(PLAIN, A_ID));
    let said = stage.receive(4, &stage.handshake(PLAIN, A_ID));
    assert_said(said, lines!["close 4 Duplicate", "gone 4 Violated(Duplicate) gave 0"]);
}

#[test]
fn when_both_dialled_the_one_with_the_greater_id_keeps_its_call() {
    // A's id is greater than ours: its call stays.
    let mut stage = Stage::small(config());
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    stage.receive(2, &stage.handshake(PLAIN, A_ID));
    stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.1:5000".parse().unwrap()));
    let said = stage.receive(1, &stage.handshake(PLAIN, A_ID));
    assert_eq!(said[..2], ["close 2 Duplicate", "gone 2 Violated(Duplicate) gave 0"]);
    // With a smaller one it is ours.
    let mut stage = Stage::small(config());
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    let small = b"-AA0000-aaaaaaaaaaaa";
    stage.receive(2, &stage.handshake(PLAIN, small));
    stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.1:5000".parse().unwrap()));
    let said = stage.receive(1, &stage.handshake(PLAIN, small));
    assert_said(said, lines!["close 1 Duplicate", "gone 1 Violated(Duplicate) gave 0"]);
}

/// A and B each send a block of piece 0, B's is wrong; A then sends the whole piece again.
#[test]
fn of_two_peers_the_one_that_sent_the_corrupt_block_is_banned() {
    let mut config = config();
    config.profile.piece_order = PieceOrder::InOrder;
    config.profile.random_pieces = 0;
    config.profile.initial_pipeline = 1;
    let torrent = torrent(400_000, 32_768, &[&["http://t.test/announce"]], "");
    let mut stage = Stage::new(config, torrent, &[]);
    stage.announced(&[PEER_A, PEER_B]);
    // The order in which peers are dialled is drawn.
    let dialled: Vec<_> = stage.session.peers(stage.now).map(|peer| (peer.stream.0, peer.address)).collect();
    for (stream, id) in [(2, A_ID), (4, B_ID)] {
        let address = dialled.iter().find(|(number, _)| *number == stream).unwrap().1.to_string();
        stage.opened(stream, &address);
        stage.receive(stream, &stage.handshake(FAST, id));
        stage.receive(stream, &HAVE_ALL);
    }
    assert_said(stage.receive(2, &UNCHOKE), lines![sent(2, &about(6, 0, 0, 16_384))]);
    assert_said(stage.receive(4, &UNCHOKE), lines![sent(4, &about(6, 0, 16_384, 16_384))]);
    let mut wrong = stage.block(0, 16_384, 16_384);
    wrong[5_000] ^= 0x10;
    stage.receive(4, &wrong);
    let said = stage.receive(2, &stage.block(0, 0, 16_384));
    assert!(said.iter().any(|line| line.starts_with("piece 0 corrupt, from [10.")), "{said:#?}");
    assert!(said.contains(&"discard 0".to_owned()) && !said.iter().any(|line| line.starts_with("close")));
    // Only one of them is asked for the piece now, and it gives all of it.
    let said = stage.give(said, Some(0));
    let again = said.iter().flat_map(|line| requests(line)).filter(|(_, index, ..)| *index == 0);
    let streams: std::collections::BTreeSet<_> = again.map(|(stream, ..)| stream).collect();
    assert_eq!(streams.len(), 1, "{said:#?}");
    assert!(said.contains(&"close 4 CorruptPiece(PieceIndex(0))".to_owned()), "{said:#?}");
    assert!(!said.contains(&"close 2 CorruptPiece(PieceIndex(0))".to_owned()));
}

#[test]
fn a_peer_that_pauses_lends_its_blocks_and_then_loses_them() {
    let mut stage = stage();
    stage.receive(2, &UNCHOKE);
    stage.receive(4, &UNCHOKE);
    stage.receive(4, &stage.block(1, 0, 7_232));
    // Ten seconds: B is asked for A's blocks too; a minute: A is asked no more.
    stage.wait(10.0);
    let lines = stage.wait(55.0);
    let cancels = [about(8, 0, 0, 16_384), about(8, 0, 16_384, 16_384)].concat();
    assert!(lines.iter().any(|line| line.starts_with(&sent(2, &cancels))), "{lines:#?}");
    // Each is asked for one block now, until it gives again.
    let asked: Vec<_> = stage.session.peers(stage.now).map(|peer| peer.outstanding).collect();
    assert!(asked.iter().all(|&requests| requests <= 1), "{asked:?}");
    stage.give(lines, None);
    assert!(stage.session.is_complete());
}

#[test]
fn what_a_choking_peer_was_asked_for_is_asked_of_the_other() {
    let mut stage = stage();
    stage.receive(2, &UNCHOKE);
    stage.receive(4, &UNCHOKE);
    let said =
        stage.receive(2, &[&CHOKE[..], &about(16, 0, 0, 16_384), &about(16, 0, 16_384, 16_384)].concat());
    assert_said(said, lines![sent(4, &about(6, 0, 0, 16_384))]);
    // B has as many requests as it takes; each block makes room for the next.
    let said = stage.receive(4, &stage.block(1, 0, 7_232));
    let said = [said, stage.receive(4, &stage.block(0, 0, 16_384))].concat();
    stage.give(said, None);
    assert!(stage.session.is_complete());
}

#[test]
fn pieces_allowed_fast_are_asked_for_while_choked() {
    let mut stage = stage();
    let allowed = [&[0, 0, 0, 5, 17][..], &numbers(&[1])].concat();
    assert_said(stage.receive(2, &allowed), lines![sent(2, &about(6, 1, 0, 7_232))]);
    stage.receive(2, &stage.block(1, 0, 7_232));
    assert_eq!(stage.kept, [1]);
}

#[test]
fn nothing_is_asked_for_while_what_came_waits_to_be_stored() {
    let mut config = config();
    config.max_unstored = 16_000;
    config.profile.initial_pipeline = 1;
    config.profile.piece_order = PieceOrder::InOrder;
    let mut stage = Stage::small(config);
    stage.disk_works = false;
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    stage.receive(2, &stage.handshake(PLAIN, A_ID));
    stage.receive(2, &[0, 0, 0, 2, 5, 0xc0]);
    stage.receive(2, &UNCHOKE);
    assert_said(stage.receive(2, &stage.block(0, 0, 16_384)), &[]);
    let said = stage.hear(Input::Stored(PieceIndex(0), 16_384));
    assert_said(said, lines![sent(2, &[about(6, 0, 16_384, 16_384), about(6, 1, 0, 7_232)].concat())]);
}

#[test]
fn five_thousand_peers_do_not_all_become_state() {
    let mut stage = Stage::small(config());
    let peers: Vec<u8> = (0..5_000_u32).flat_map(|n| [11, (n >> 8) as u8, n as u8, 7, 0x1a, 0xe1]).collect();
    stage.said();
    stage.opened(0, "10.0.0.9:80");
    let said = stage.receive(0, &answer(&peers));
    assert_eq!(said.iter().filter(|line| line.starts_with("open")).count(), 10);
    assert_eq!(stage.session.status(stage.now).peers_known, 2_000);
}

#[test]
fn a_peer_that_is_lost_is_dialled_again_after_a_while() {
    let mut stage = Stage::small(config());
    stage.announced(&[PEER_A]);
    stage.closed(2, CloseReason::Refused);
    assert_said(stage.wait(29.0), &[]);
    assert_said(stage.wait(2.0), lines!["open 4 10.0.0.1:6881"]);
    stage.closed(4, CloseReason::Refused);
    assert_said(stage.wait(59.0), &[]);
    assert_said(stage.wait(2.0), lines!["open 6 10.0.0.1:6881"]);
}

#[test]
fn a_peer_that_gave_something_and_is_lost_is_dialled_again_soon() {
    let mut stage = stage();
    stage.receive(2, &UNCHOKE);
    stage.receive(2, &stage.block(0, 0, 16_384));
    stage.closed(2, CloseReason::Reset);
    let said = stage.wait(6.0);
    assert!(said.contains(&"open 6 10.0.0.2:6881".to_owned()), "{said:?}");
}

#[test]
fn events_name_the_peer_that_gave() {
    let mut stage = stage();
    stage.receive(2, &UNCHOKE);
    stage.session.handle(stage.now, Input::Received(SessionStreamId(2), stage.block(0, 0, 16_384).into()));
    while !matches!(stage.session.poll(), Output::Wait(_)) {}
    stage.session.handle(stage.now, Input::Closed(SessionStreamId(2), CloseReason::Reset));
    let mut given = None;
    loop {
        match stage.session.poll() {
            Output::Event(Event::Disconnected { downloaded: bytes, .. }) => given = Some(bytes),
            Output::Wait(_) => break,
            _ => {}
        }
    }
    assert_eq!(given, Some(16_384));
}
