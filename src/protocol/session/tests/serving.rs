//! What others get from us: blocks, metadata, other peers.

use bytes::Bytes;

use super::support::*;
use crate::lines;
use crate::session::{Config, Input, SeedGoal, SessionStreamId};
use crate::{Block, PieceIndex};

/// A seed that A has called on stream 1, with handshakes exchanged.
fn seed(config: Config, reserved: [u8; 8], more: &str) -> Stage {
    let torrent = torrent(40_000, 32_768, &[&["http://t.test/announce"]], more);
    let mut stage = Stage::new(config, torrent, &[0, 1]);
    stage.announced(&[]);
    stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.1:5000".parse().unwrap()));
    stage.receive(1, &stage.handshake(reserved, A_ID));
    stage
}

fn seeding() -> Config {
    Config { seeding: Some(SeedGoal::default()), ..config() }
}

fn loaded(stage: &mut Stage, index: u32, begin: u32, length: u32) -> Vec<String> {
    let block = Block { index: PieceIndex(index), begin, length };
    let bytes = stage.block(index, begin, length).split_off(13);
    stage.hear(Input::Loaded(SessionStreamId(1), block, Some(Bytes::from(bytes))))
}

#[test]
fn a_caller_hears_our_handshake_after_its_own() {
    let torrent = torrent(40_000, 32_768, &[], "");
    let mut stage = Stage::new(seeding(), torrent, &[0, 1]);
    assert_said(stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.1:5000".parse().unwrap())), &[]);
    let mut wanted = stage.handshake([0, 0, 0, 0, 0, 0x10, 0, 4], OUR_ID);
    wanted.extend(HAVE_ALL);
    assert_said(stage.receive(1, &stage.handshake(FAST, A_ID)), lines!["connected 1", sent(1, &wanted)]);
}

#[test]
fn a_caller_over_utp_hears_our_handshake_before_a_pause() {
    let torrent = torrent(40_000, 32_768, &[], "");
    let mut stage = Stage::new(seeding(), torrent, &[0, 1]);
    stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.1:5000".parse().unwrap()));
    stage.hear(Input::OverUtp(SessionStreamId(1)));
    let ours = stage.handshake([0, 0, 0, 0, 0, 0x10, 0, 4], OUR_ID);
    let wanted = lines![sent(1, &ours), "pause 1", "connected 1", sent(1, &HAVE_ALL)];
    assert_said(stage.receive(1, &stage.handshake(FAST, A_ID)), wanted);
}

#[test]
fn a_request_is_read_and_answered() {
    let mut stage = seed(seeding(), FAST, "");
    assert_said(stage.receive(1, &INTERESTED), lines![sent(1, &UNCHOKE)]);
    assert_said(stage.receive(1, &about(6, 1, 100, 1_000)), lines!["load 1 1 100 1000"]);
    let block = stage.block(1, 100, 1_000);
    assert_said(loaded(&mut stage, 1, 100, 1_000), lines![sent(1, &block[..13]), sent(1, &block[13..])]);
    assert_eq!(stage.session.status(stage.now).uploaded, 1_000);
}

#[test]
fn what_cannot_be_served_is_rejected() {
    let mut stage = seed(seeding(), FAST, "");
    // While choked.
    assert_said(stage.receive(1, &about(6, 0, 0, 16_384)), lines![sent(1, &about(16, 0, 0, 16_384))]);
    stage.receive(1, &INTERESTED);
    // What cannot be read.
    stage.receive(1, &about(6, 0, 0, 16_384));
    let block = Block { index: PieceIndex(0), begin: 0, length: 16_384 };
    let said = stage.hear(Input::Loaded(SessionStreamId(1), block, None));
    assert_said(said, lines!["piece 0 lost", sent(1, &about(16, 0, 0, 16_384))]);
}

#[test]
fn without_the_fast_extension_a_request_while_choked_is_not_answered() {
    let mut stage = seed(seeding(), PLAIN, "");
    assert_said(stage.receive(1, &about(6, 0, 0, 16_384)), &[]);
}

#[test]
fn a_cancelled_block_does_not_leave() {
    let mut stage = seed(seeding(), FAST, "");
    stage.receive(1, &INTERESTED);
    stage.receive(1, &about(6, 0, 0, 16_384));
    assert_said(stage.receive(1, &about(8, 0, 0, 16_384)), lines![sent(1, &about(16, 0, 0, 16_384))]);
    assert_said(loaded(&mut stage, 0, 0, 16_384), &[]);
}

/// A peer that asks for 192 blocks at once.
fn asked_for_much(stage: &mut Stage) -> Vec<String> {
    stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.1:5000".parse().unwrap()));
    stage.receive(1, &stage.handshake(FAST, A_ID));
    stage.receive(1, &INTERESTED);
    let requests: Vec<u8> =
        (0..3).flat_map(|piece| (0..64).flat_map(move |n| about(6, piece, n * 16_384, 16_384))).collect();
    stage.receive(1, &requests)
}

fn large_seed() -> Stage {
    let mut config = seeding();
    config.profile.reqq = 1000;
    Stage::new(config, torrent(4_000_000, 1 << 20, &[], ""), &[0, 1, 2, 3])
}

#[test]
fn no_more_is_read_than_leaves_within_a_second() {
    let mut stage = large_seed();
    let mut lines = asked_for_much(&mut stage);
    assert_said(lines.clone(), lines!["load 1 0 0 16384"]);
    // Each block leaves within a tenth of a second: 160 kB/s.
    for n in 0..30 {
        let begin = n * 16_384;
        assert!(lines.contains(&format!("load 1 0 {begin} 16384")), "{n}: {lines:?}");
        lines.extend(loaded(&mut stage, 0, begin, 16_384));
        stage.now = stage.now + std::time::Duration::from_millis(100);
        lines.extend(stage.hear(Input::Sent(SessionStreamId(1), 16_384 + 13)));
    }
    let ahead = lines.iter().filter(|line| line.starts_with("load")).count() - 30;
    assert!((8..=12).contains(&ahead), "{ahead} blocks wait");
    // When nothing leaves any longer, nothing more is read.
    for n in 30..30 + ahead as u32 {
        let said = loaded(&mut stage, 0, n * 16_384, 16_384);
        assert!(!said.iter().any(|line| line.starts_with("load")), "{said:?}");
    }
}

#[test]
fn who_takes_blocks_fast_is_read_twice_as_many_of_each_time() {
    let mut stage = large_seed();
    let mut lines = asked_for_much(&mut stage);
    let mut reads = Vec::new();
    // What was read leaves within a millisecond, all of it before the next is read.
    while reads.iter().sum::<usize>() < 127 {
        let asked: Vec<Vec<u32>> = lines
            .iter()
            .filter_map(|line| line.strip_prefix("load 1 "))
            .map(|block| block.split(' ').map(|number| number.parse().unwrap()).collect())
            .collect();
        reads.push(asked.len());
        stage.now = stage.now + std::time::Duration::from_millis(1);
        lines = Vec::new();
        for block in &asked {
            lines.extend(loaded(&mut stage, block[0], block[1], block[2]));
        }
        let left = asked.len() * (16_384 + 13);
        lines.extend(stage.hear(Input::Sent(SessionStreamId(1), left)));
    }
    // The first one says nothing yet: it is not known since when nothing left.
    assert_eq!(reads[..2], [1, 1]);
    assert!(reads[1..].windows(2).all(|two| two[1] >= 2 * two[0] || two[1] == 64), "{reads:?}");
}

#[test]
fn a_slow_peer_that_is_choked_is_sent_no_more_than_the_block_that_leaves() {
    let mut stage = large_seed();
    asked_for_much(&mut stage);
    loaded(&mut stage, 0, 0, 16_384);
    // Not interested any longer, and so choked: all but the block on its way is rejected.
    let said = stage.receive(1, &[0, 0, 0, 1, 3]);
    let rejects: Vec<u8> = (0..3)
        .flat_map(|piece| (0..64).flat_map(move |n| about(16, piece, n * 16_384, 16_384)))
        .skip(17)
        .collect();
    assert_said(said, lines![sent(1, &[&CHOKE[..], &rejects].concat())]);
    assert_said(stage.hear(Input::Sent(SessionStreamId(1), 16_384 + 13)), &[]);
}

#[test]
fn the_upload_limit_is_kept() {
    let config = Config { upload_limit: Some(16_384), ..seeding() };
    let mut stage = seed(config, FAST, "");
    stage.receive(1, &INTERESTED);
    let requests = [about(6, 0, 0, 16_384), about(6, 0, 16_384, 16_384), about(6, 1, 0, 7_232)].concat();
    assert_said(stage.receive(1, &requests), lines!["load 1 0 0 16384"]);
    loaded(&mut stage, 0, 0, 16_384);
    stage.hear(Input::Sent(SessionStreamId(1), 13 + 16_384));
    assert_said(stage.wait(0.1), lines!["load 1 0 16384 16384"]);
    loaded(&mut stage, 0, 16_384, 16_384);
    stage.hear(Input::Sent(SessionStreamId(1), 13 + 16_384));
    // It went into debt: the next one a second later.
    assert_said(stage.wait(0.8), &[]);
    assert_said(stage.wait(0.2), lines!["load 1 1 0 7232"]);
}

#[test]
fn metadata_is_served_in_pieces_and_beyond_rejected() {
    let mut stage = seed(seeding(), EXTENDED, "6:source6:course");
    let mut hello = [&[0, 0, 0, 0, 20, 0][..], b"d1:md11:ut_metadatai9eee"].concat();
    hello[3] = (hello.len() - 4) as u8;
    stage.receive(1, &hello);
    let request = [&[0, 0, 0, 27, 20, 2][..], b"d8:msg_typei0e5:piecei0ee"].concat();
    let info = stage.torrent.info_bytes().clone();
    let mut wanted = format!("d8:msg_typei1e5:piecei0e10:total_sizei{}ee", info.len()).into_bytes();
    wanted.extend_from_slice(&info);
    let mut message = numbers(&[2 + wanted.len() as u32]);
    message.extend([20, 9]);
    message.extend(wanted);
    assert_said(stage.receive(1, &request), lines![sent(1, &message)]);
    let request = [&[0, 0, 0, 27, 20, 2][..], b"d8:msg_typei0e5:piecei1ee"].concat();
    let reject = [&[0, 0, 0, 27, 20, 9][..], b"d8:msg_typei2e5:piecei1ee"].concat();
    assert_said(stage.receive(1, &request), lines![sent(1, &reject)]);
}

#[test]
fn who_has_nothing_gets_a_few_pieces_while_choked_and_each_once() {
    let config = Config { unchoke_slots: 1, ..seeding() };
    let mut stage = seed(config, FAST, "");
    assert_said(stage.receive(1, &INTERESTED), lines![sent(1, &UNCHOKE)]);
    // There is no place left for these: one that has nothing, and one that has something but no fast extension.
    let allowed = [[0, 0, 0, 5, 17, 0, 0, 0, 0], [0, 0, 0, 5, 17, 0, 0, 0, 1]];
    for (stream, reserved, id) in [(3, FAST, B_ID), (5, PLAIN, b"-XX1000-cccccccccccc")] {
        let address = format!("10.0.0.{stream}:5000").parse().unwrap();
        stage.hear(Input::Accepted(SessionStreamId(stream), address));
        stage.receive(stream, &stage.handshake(reserved, id));
    }
    let said = stage.receive(3, &INTERESTED);
    let either = [allowed.concat(), [allowed[1], allowed[0]].concat()].map(|bytes| sent(3, &bytes));
    assert!(said.len() == 1 && either.contains(&said[0]), "{said:?}");
    assert_said(stage.receive(5, &INTERESTED), &[]);
    // Each block of the piece can be had, but not twice.
    assert_said(stage.receive(3, &about(6, 1, 0, 7_000)), lines!["load 3 1 0 7000"]);
    assert_said(stage.receive(3, &about(6, 1, 7_000, 232)), lines!["load 3 1 7000 232"]);
    assert_said(stage.receive(3, &about(6, 1, 0, 1)), lines![sent(3, &about(16, 1, 0, 1))]);
    let block = Block { index: PieceIndex(1), begin: 7_000, length: 232 };
    let bytes = Bytes::from(stage.block(1, 7_000, 232).split_off(13));
    let said = stage.hear(Input::Loaded(SessionStreamId(3), block, Some(bytes)));
    let message = stage.block(1, 7_000, 232);
    assert_said(said, lines![sent(3, &message[..13]), sent(3, &message[13..])]);
    assert_said(stage.receive(5, &about(6, 0, 0, 16_384)), &[]);
}

#[test]
fn who_has_pieces_to_trade_with_gets_none_while_choked() {
    let mut config = Config { unchoke_slots: 1, ..seeding() };
    config.profile.allowed_fast = 1;
    let torrent = torrent(40_000, 8_192, &[&["http://t.test/announce"]], "");
    let mut stage = Stage::new(config, torrent, &[0, 1, 2, 3, 4]);
    stage.announced(&[]);
    for (stream, id) in [(1, A_ID), (3, B_ID)] {
        stage
            .hear(Input::Accepted(SessionStreamId(stream), format!("10.0.0.{stream}:5000").parse().unwrap()));
        stage.receive(stream, &stage.handshake(FAST, id));
    }
    // Pieces 0 and 1 of five.
    stage.receive(3, &[0, 0, 0, 2, 5, 0xc0]);
    assert_said(stage.receive(1, &INTERESTED), lines![sent(1, &UNCHOKE)]);
    assert_said(stage.receive(3, &INTERESTED), &[]);
}

#[test]
fn slots_are_for_the_eager_and_one_more_for_a_try() {
    let config = Config { unchoke_slots: 2, ..seeding() };
    let mut stage = seed(config, FAST, "");
    for stream in [3, 5, 7] {
        let address = format!("10.0.0.{stream}:5000").parse().unwrap();
        stage.hear(Input::Accepted(SessionStreamId(stream), address));
        let mut id = *B_ID;
        id[19] = stream as u8;
        stage.receive(stream, &stage.handshake(FAST, &id));
    }
    let unchoked = |stage: &Stage| stage.session.peers(stage.now).filter(|peer| !peer.am_choking).count();
    for stream in [1, 3, 5, 7] {
        stage.receive(stream, &INTERESTED);
    }
    assert_eq!(unchoked(&stage), 2);
    let mut tried = std::collections::BTreeSet::new();
    for _ in 0..40 {
        stage.wait(30.0);
        for stream in [1, 3, 5, 7] {
            stage.receive(stream, &[0; 4]);
        }
        assert_eq!(unchoked(&stage), 2);
        tried.extend(stage.session.peers(stage.now).filter(|peer| !peer.am_choking).map(|peer| peer.stream));
    }
    assert_eq!(tried.len(), 4, "everybody gets a try");
}

#[test]
fn nobody_is_served_without_slots() {
    let config = Config { unchoke_slots: 0, ..seeding() };
    let mut stage = seed(config, FAST, "");
    stage.receive(1, &INTERESTED);
    for _ in 0..4 {
        stage.wait(10.0);
        stage.receive(1, &[0; 4]);
        assert!(stage.session.peers(stage.now).all(|peer| peer.am_choking));
    }
}

#[test]
fn peers_of_a_private_torrent_are_not_passed_on() {
    let stage = seed(seeding(), EXTENDED, "7:privatei1e");
    assert!(stage.torrent.private);
    let mut stage = Stage::new(config(), stage.torrent.as_ref().clone(), &[]);
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    let said = stage.receive(2, &stage.handshake(EXTENDED, A_ID));
    let name: String = b"ut_pex".iter().map(|byte| format!(" {byte:02x}")).collect();
    assert!(!said[1].contains(&name), "{said:?}");
    let pex = [&[0, 0, 0, 17, 20, 1][..], b"d5:added6:\x0a\0\0\x02\x1a\xe1e"].concat();
    let mut pex = pex;
    pex[3] = (pex.len() - 4) as u8;
    assert_said(stage.receive(2, &pex), &[]);
}

#[test]
fn peers_are_learned_from_peers_and_passed_on() {
    let mut stage = Stage::small(config());
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    stage.receive(2, &stage.handshake(EXTENDED, A_ID));
    let mut pex = [&[0, 0, 0, 0, 20, 1][..], b"d5:added6:\x0a\0\0\x02\x1a\xe1e"].concat();
    pex[3] = (pex.len() - 4) as u8;
    assert_said(stage.receive(2, &pex), lines!["open 4 10.0.0.2:6881"]);
    stage.opened(4, "10.0.0.2:6881");
    stage.receive(4, &stage.handshake(EXTENDED, B_ID));
    let mut hello = [&[0, 0, 0, 0, 20, 0][..], b"d1:md6:ut_pexi7eee"].concat();
    hello[3] = (hello.len() - 4) as u8;
    let said = stage.receive(4, &hello);
    let mut told = [&[0, 0, 0, 0, 20, 7][..], b"d5:added6:\x0a\0\0\x01\x1a\xe17:added.f1:\x10"].concat();
    told.extend(b"6:added60:8:added6.f0:7:dropped0:8:dropped60:e");
    told[3] = (told.len() - 4) as u8;
    assert_said(said, lines![sent(4, &told)]);
    assert_said(stage.wait(50.0), &[]);
}

#[test]
fn seeding_ends_with_its_time() {
    let goal = SeedGoal { time: Some(std::time::Duration::from_secs(100)), ratio: None };
    let mut stage = seed(Config { seeding: Some(goal), ..config() }, FAST, "");
    let said = stage.wait(110.0);
    assert_eq!(said.last().map(String::as_str), Some("done"), "{said:?}");
}

/// Not all clients tell of a piece that the other side has: a peer may have everything unheard.
#[test]
fn a_seed_leaves_a_peer_that_was_interested_and_wants_nothing_more() {
    let mut stage = seed(seeding(), FAST, "");
    stage.receive(1, &[HAVE_NONE, INTERESTED].concat());
    stage.wait(60.0);
    stage.receive(1, &NOT_INTERESTED);
    let said = stage.wait(9.0);
    assert!(!said.iter().any(|line| line.starts_with("close")), "{said:?}");
    assert_said(stage.wait(2.0), lines!["close 1", "gone 1 Finished gave 0"]);
    // A peer may not know yet what it wants, or want something again.
    for again in [&HAVE_NONE[..], &[HAVE_NONE, INTERESTED, NOT_INTERESTED, INTERESTED].concat()] {
        let mut stage = seed(seeding(), FAST, "");
        stage.receive(1, again);
        let said = stage.wait(60.0);
        assert!(!said.iter().any(|line| line.starts_with("close")), "{said:?}");
    }
}
