//! Messages and changes of state that are repeated without end: each is borne for a while, and then the peer is left. What
//! well-behaved peers do in hours is borne.

use super::support::*;
use crate::session::{Input, SeedGoal, SessionStreamId};

/// A caller with which handshakes are exchanged, to a session that has these of the two pieces.
fn stage(have: &[u32]) -> Stage {
    let mut config = config();
    config.seeding = Some(SeedGoal::default());
    let torrent = torrent(40_000, 32_768, &[&["http://t.test/announce"]], "");
    let mut stage = Stage::new(config, torrent, have);
    stage.announced(&[]);
    stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.1:5000".parse().unwrap()));
    stage.receive(1, &stage.handshake(EXTENDED, A_ID));
    stage
}

fn number(id: u8, number: u32) -> Vec<u8> {
    [numbers(&[5]), vec![id], numbers(&[number])].concat()
}

fn extended(id: u8, body: &[u8]) -> Vec<u8> {
    [numbers(&[2 + body.len() as u32]), vec![20, id], body.to_vec()].concat()
}

/// Sends a part of a conversation until the connection is closed; how often, and with what words.
fn flood(stage: &mut Stage, part: &[u8]) -> (usize, String) {
    for times in 1..=20_000 {
        let said = stage.receive(1, part);
        if let Some(close) = said.iter().find_map(|line| line.strip_prefix("close 1 Flood(")) {
            return (times, close.trim_end_matches(')').trim_matches('"').to_owned());
        }
        assert!(!said.iter().any(|line| line.starts_with("close")), "{said:?}");
        // All that is sent leaves.
        stage.hear(Input::Sent(SessionStreamId(1), usize::MAX));
    }
    panic!("20,000 times {part:?} are borne");
}

/// A part of a conversation that goes in circles: which pieces we have, what begins it, what is repeated, the most times that
/// this is borne, and what the user is told.
type Circle = (&'static [u32], Vec<u8>, Vec<u8>, usize, &'static str);

fn circles() -> Vec<Circle> {
    let not_interested = [0, 0, 0, 1, 3];
    let request = about(6, 0, 0, 16_384);
    let cancel = about(8, 0, 0, 16_384);
    let names: String = (1..100).map(|id| format!("3:x{id:02}i{id}e")).collect();
    let many = extended(0, format!("d1:md{names}ee").as_bytes());
    let passed = [numbers(&[101]), vec![99; 101]].concat();
    let nothing = "messages that change nothing";
    let pieces = "changes of the pieces it has";
    vec![
        (&[], vec![], [CHOKE, UNCHOKE].concat(), 501, "chokes and unchokes"),
        (&[], HAVE_ALL.to_vec(), [UNCHOKE, CHOKE].concat(), 501, "chokes and unchokes"),
        (&[], vec![], [HAVE_ALL, HAVE_NONE].concat(), 51, pieces),
        (&[], vec![], [[0, 0, 0, 2, 5, 0xc0], [0, 0, 0, 2, 5, 0]].concat(), 51, pieces),
        (&[], vec![], [number(4, 0), extended(4, &numbers(&[0]))].concat(), 10_001, pieces),
        (&[0], vec![], [INTERESTED, not_interested].concat(), 5_001, "changes of its interest"),
        (&[0], INTERESTED.to_vec(), [&request[..], &cancel].concat(), 5_001, "requests and cancels"),
        (&[0], INTERESTED.to_vec(), cancel, 10_001, "requests and cancels"),
        (&[0], INTERESTED.to_vec(), request.clone(), 10_001, "requests and cancels"),
        (&[0], vec![], request, 3_334, "requests that cannot be answered"),
        (&[], vec![], many, 2_501, nothing),
        (&[], vec![], number(13, 0), 10_002, nothing),
        (&[], vec![], number(17, 0), 10_002, nothing),
        (&[], vec![], vec![0; 4], 10_001, nothing),
        (&[], vec![], passed, 10_001, nothing),
    ]
}

#[test]
fn whatever_goes_in_circles_ends_the_connection() {
    for (have, first, part, most, words) in circles() {
        let mut stage = stage(have);
        stage.receive(1, &first);
        let (times, said) = flood(&mut stage, &part);
        assert_eq!(said, words, "{part:?}");
        assert!(times <= most && times * 3 >= most, "{times} times {part:?}: {words}");
    }
}

#[test]
fn what_goes_in_circles_once_in_ten_seconds_is_borne() {
    for (have, first, part, ..) in circles() {
        let mut stage = stage(have);
        stage.receive(1, &first);
        for _ in 0..360 {
            let said = [stage.receive(1, &part), stage.wait(10.0)].concat();
            assert!(!said.iter().any(|line| line.starts_with("gone 1 ")), "{part:?}: {said:?}");
        }
    }
}

#[test]
fn the_larger_a_torrent_is_the_fewer_bitfields_are_borne() {
    let mut stage = Stage::new(config(), torrent(40_000, 2, &[&["http://t.test/announce"]], ""), &[]);
    stage.announced(&[]);
    stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.1:5000".parse().unwrap()));
    stage.receive(1, &stage.handshake(PLAIN, A_ID));
    let bitfield = |bits| [numbers(&[2_501]), vec![5], vec![bits; 2_500]].concat();
    let (times, words) = flood(&mut stage, &[bitfield(0xff), bitfield(0)].concat());
    assert_eq!((times, &*words), (8, "changes of the pieces it has"));
}

#[test]
fn requests_for_a_few_bytes_do_not_make_good_what_they_cost() {
    let mut stage = stage(&[0]);
    stage.receive(1, &INTERESTED);
    let mut blocks = 0_u32;
    let closed = loop {
        let said = stage.receive(1, &about(6, 0, blocks % 1_000, 1));
        if said.iter().any(|line| line.starts_with("close 1 Flood")) {
            break said;
        }
        assert!(said.iter().any(|line| line.starts_with("load 1")), "{said:?}");
        let block = crate::Block { index: crate::PieceIndex(0), begin: blocks % 1_000, length: 1 };
        stage.hear(Input::Loaded(SessionStreamId(1), block, Some(vec![0].into())));
        stage.hear(Input::Sent(SessionStreamId(1), usize::MAX));
        blocks += 1;
        assert!(blocks < 20_000, "{blocks} blocks of a byte");
    };
    assert!(closed[0].contains("requests and cancels"), "{closed:?}");
}

#[test]
fn a_peer_that_takes_blocks_may_ask_for_as_many_as_it_likes() {
    let mut stage = stage(&[0]);
    stage.receive(1, &INTERESTED);
    for _ in 0..20_000 {
        stage.receive(1, &about(6, 0, 0, 16_384));
        let block = crate::Block { index: crate::PieceIndex(0), begin: 0, length: 16_384 };
        let said = stage.hear(Input::Loaded(SessionStreamId(1), block, Some(vec![0; 16_384].into())));
        assert!(said[0].starts_with("send 1"), "{said:?}");
        stage.hear(Input::Sent(SessionStreamId(1), usize::MAX));
    }
}

#[test]
fn a_peer_that_reads_nothing_for_long_is_left() {
    let mut stage = stage(&[0, 1]);
    stage.receive(1, &INTERESTED);
    for begin in 0..10 {
        stage.receive(1, &about(6, 0, begin, 16_000));
        let block = crate::Block { index: crate::PieceIndex(0), begin, length: 16_000 };
        stage.hear(Input::Loaded(SessionStreamId(1), block, Some(vec![0; 16_000].into())));
    }
    stage.hear(Input::Sent(SessionStreamId(1), 10_000));
    let said = stage.wait(59.0);
    assert!(!said.iter().any(|line| line.starts_with("close")), "{said:?}");
    let said = stage.wait(2.0);
    assert!(said.iter().any(|line| line.contains("whose answers it does not read")), "{said:?}");
}
