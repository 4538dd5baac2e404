//! Callers that take the places, and who gets one all the same.

use std::collections::VecDeque;

use super::support::*;
use crate::session::{CloseReason, Config, Input, PeerSource, SeedGoal, SessionStreamId};

/// A peer calls from this host and shakes hands with an id of its own; what the session does.
fn call(stage: &mut Stage, number: u32, host: &str, then: &[u8]) -> Vec<String> {
    let stream = 2 * number + 1;
    let address = format!("{host}:{}", 5_000 + number).parse().unwrap();
    let mut said = stage.hear(Input::Accepted(SessionStreamId(stream), address));
    let mut id = *A_ID;
    id[16..].copy_from_slice(&number.to_be_bytes());
    said.extend(stage.receive(stream, &[&stage.handshake(FAST, &id)[..], then].concat()));
    said
}

fn refused(said: &[String], number: u32) -> bool {
    said.contains(&format!("close {} TooManyConnections", 2 * number + 1))
}

/// The host of a caller: each has its own.
fn host(number: u32) -> String {
    format!("10.0.1.{number}")
}

#[test]
fn sixty_callers_that_have_nothing_do_not_keep_a_seed_from_being_dialled() {
    let has_one = [&[0, 0, 0, 2, 5, 0x80][..], &INTERESTED].concat();
    for then in [&HAVE_NONE[..], &[HAVE_NONE, INTERESTED].concat(), &has_one] {
        let mut stage = Stage::small(config());
        stage.said();
        let taken =
            (1..=60).filter(|&number| !refused(&call(&mut stage, number, &host(number), then), number));
        assert_eq!(taken.count(), 38);
        stage.opened(0, "10.0.0.9:80");
        let said = stage.receive(0, &answer(&PEER_A));
        assert!(said.contains(&"open 2 10.0.0.1:6881".to_owned()), "{said:?}");
    }
}

#[test]
fn callers_that_shake_no_hands_leave_places_too() {
    let mut stage = Stage::small(config());
    stage.said();
    for number in 0..60_u32 {
        let address = format!("10.0.1.{number}:5000").parse().unwrap();
        stage.hear(Input::Accepted(SessionStreamId(2 * number + 1), address));
    }
    assert_eq!(stage.session.peers(stage.now).count(), 38);
    stage.opened(0, "10.0.0.9:80");
    let said = stage.receive(0, &answer(&PEER_A));
    assert!(said.contains(&"open 2 10.0.0.1:6881".to_owned()), "{said:?}");
    // After three seconds a caller takes the place of the caller that has waited longest.
    stage.wait(3.0);
    let said = call(&mut stage, 70, &host(70), &HAVE_ALL);
    assert_eq!(said[..2], ["close 1 Useless", "gone 1 Violated(Useless) gave 0"]);
    assert!(said.contains(&"connected 141".to_owned()), "{said:?}");
}

#[test]
fn the_callers_at_one_host_are_bounded() {
    let mut stage = Stage::small(config());
    stage.said();
    let taken = (1..=20).filter(|&number| !refused(&call(&mut stage, number, "10.0.1.7", &HAVE_ALL), number));
    assert_eq!(taken.count(), 8);
    assert!(!refused(&call(&mut stage, 30, "10.0.1.8", &HAVE_ALL), 30));
    // On loopback all share one host; a second one gets its places all the same.
    let mut stage = Stage::small(Config { max_peers: 12, ..config() });
    stage.said();
    let taken =
        (1..=20).filter(|&number| !refused(&call(&mut stage, number, "127.0.0.1", &HAVE_ALL), number));
    assert_eq!(taken.count(), 9);
    let said = call(&mut stage, 30, "127.0.0.2", &HAVE_ALL);
    assert!(said[0].starts_with("close") && said[0].ends_with("TooManyConnections"), "{said:?}");
    assert!(said.contains(&"connected 61".to_owned()), "{said:?}");
}

#[test]
fn an_idle_caller_gives_way_to_another_once_it_has_been_idle_for_a_while() {
    let mut config = config();
    config.seeding = Some(SeedGoal::default());
    config.max_peers = 4;
    let torrent = torrent(40_000, 32_768, &[&["http://t.test/announce"]], "");
    let mut stage = Stage::new(config, torrent, &[0, 1]);
    stage.announced(&[]);
    // A complete session has no use for places that are kept. The first two callers want pieces.
    for number in 1..=4 {
        let then = if number <= 2 { &[HAVE_NONE, INTERESTED].concat() } else { &HAVE_NONE[..] };
        assert!(!refused(&call(&mut stage, number, &host(number), then), number));
    }
    stage.wait(9.0);
    assert!(refused(&call(&mut stage, 5, &host(5), &INTERESTED), 5));
    stage.wait(1.0);
    for (number, leaves) in [(6, 7), (7, 9)] {
        let said = call(&mut stage, number, &host(number), &[HAVE_NONE, INTERESTED].concat());
        assert_eq!(said[0], format!("close {leaves} Useless"), "{said:?}");
    }
    assert!(refused(&call(&mut stage, 8, &host(8), &HAVE_NONE), 8));
    // A peer that is unchoked and requests nothing for a minute wants nothing.
    stage.wait(60.0);
    let said = call(&mut stage, 9, &host(9), &[HAVE_NONE, INTERESTED].concat());
    assert_eq!(said[0], "close 3 Useless", "{said:?}");
}

#[test]
fn a_peer_of_no_use_gives_way_to_an_address_that_a_tracker_names() {
    let mut stage = Stage::small(Config { max_peers: 2, max_half_open: 2, ..config() });
    stage.announced(&[PEER_A, PEER_B, [10, 0, 0, 3, 0x1a, 0xe1]]);
    let (first, second) = ([b"-XX1000-aaaaaaaaaaaa"], [b"-XX1000-bbbbbbbbbbbb"]);
    for (stream, id) in [(2, first[0]), (4, second[0])] {
        stage.opened(stream, "10.0.0.1:6881");
        stage.receive(stream, &stage.handshake(FAST, id));
    }
    stage.receive(2, &HAVE_ALL);
    stage.receive(4, &HAVE_NONE);
    let said = stage.wait(9.0);
    assert!(!said.iter().any(|line| line.starts_with("close")), "{said:?}");
    let said = stage.wait(2.0);
    assert!(said.contains(&"close 4 Useless".to_owned()), "{said:?}");
    assert!(said.iter().any(|line| line.starts_with("open 6 ")), "{said:?}");
}

#[test]
fn nobody_takes_the_place_of_a_peer_by_sending_its_peer_id() {
    // The id of peer A is greater than ours, so that its own call would take the place of ours.
    let mut stage = Stage::small(config());
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    stage.receive(2, &stage.handshake(PLAIN, A_ID));
    stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.66:5000".parse().unwrap()));
    let said = stage.receive(1, &stage.handshake(PLAIN, A_ID));
    assert_eq!(said[0], "close 1 Duplicate");
    // Nor does a caller keep us from the peer by being first.
    let mut stage = Stage::small(config());
    stage.announced(&[PEER_A]);
    stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.66:5000".parse().unwrap()));
    stage.receive(1, &stage.handshake(PLAIN, A_ID));
    stage.opened(2, "10.0.0.1:6881");
    let said = stage.receive(2, &stage.handshake(PLAIN, A_ID));
    assert_eq!(said[0], "close 1 Duplicate");
    assert!(said.contains(&"connected 2".to_owned()), "{said:?}");
    // A caller at the same host does not take the place of a connection over which blocks went.
    stage.receive(2, &[0, 0, 0, 2, 5, 0xc0]);
    stage.receive(2, &UNCHOKE);
    stage.receive(2, &stage.block(0, 0, 16_384));
    stage.hear(Input::Accepted(SessionStreamId(3), "10.0.0.1:5000".parse().unwrap()));
    let said = stage.receive(3, &stage.handshake(PLAIN, A_ID));
    assert_eq!(said[0], "close 3 Duplicate");
}

#[test]
fn a_caller_has_one_port_however_many_it_tells() {
    let mut stage = Stage::small(config());
    stage.said();
    stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.66:5000".parse().unwrap()));
    stage.receive(1, &stage.handshake(EXTENDED, A_ID));
    for port in 6_000..6_100 {
        let body = format!("d1:pi{port}ee");
        let message = [numbers(&[2 + body.len() as u32]), vec![20, 0], body.into_bytes()].concat();
        stage.receive(1, &message);
    }
    assert_eq!(stage.session.status(stage.now).peers_known, 1);
}

/// Peers of no use give way to addresses that wait, and callers take their places, but only a few within a minute: each that gives
/// way takes the place of another.
#[test]
fn few_peers_of_no_use_give_way_within_a_minute() {
    let mut config = config();
    config.seeding = Some(SeedGoal::default());
    config.max_peers = 8;
    let torrent = torrent(40_000, 32_768, &[&["http://t.test/announce"]], "");
    let mut stage = Stage::new(config, torrent, &[0, 1]);
    stage.announced(&[]);
    for number in 1..=8 {
        assert!(!refused(&call(&mut stage, number, &host(number), &HAVE_NONE), number));
    }
    let taken = |stage: &mut Stage, numbers: std::ops::RangeInclusive<u32>| {
        numbers.filter(|&number| !refused(&call(stage, number, &host(number), &HAVE_NONE), number)).count()
    };
    stage.wait(11.0);
    assert_eq!(taken(&mut stage, 11..=20), 2);
    stage.wait(58.0);
    assert_eq!(taken(&mut stage, 21..=30), 0);
    stage.wait(3.0);
    assert_eq!(taken(&mut stage, 31..=40), 2);
}

/// A session with half of its places taken does not try one full peer after another, where no tracker names them.
#[test]
fn after_a_peer_that_is_full_the_next_is_dialled_later_where_there_are_enough() {
    for (max_peers, connected, named) in [(1, 0_u8, false), (3, 2, false), (3, 2, true)] {
        let mut stage = Stage::small(Config { max_peers, max_half_open: 1, ..config() });
        let hosts = 1..=8_u8;
        if named {
            let named: Vec<_> = hosts.map(|host| [10, 0, 0, host, 0x1a, 0xe1]).collect();
            stage.announced(&named);
        } else {
            stage.announced(&[]);
            let found = hosts.map(|host| ([10, 0, 0, host], 6881).into()).collect();
            stage.hear(Input::PeersFound(PeerSource::Dht, found));
        }
        for number in 0..connected {
            let stream = 2 + 2 * u32::from(number);
            stage.opened(stream, &format!("10.0.0.{}:6881", number + 1));
            let mut id = *A_ID;
            id[19] = number;
            stage.receive(stream, &stage.handshake(FAST, &id));
        }
        // The next one takes the connection, and closes it.
        let stream = 2 + 2 * u32::from(connected);
        stage.opened(stream, &format!("10.0.0.{}:6881", connected + 1));
        let dials = |said: &[String]| said.iter().any(|line| line.starts_with("open "));
        let at_once = connected == 0 || named;
        let said = stage.closed(stream, CloseReason::ByRemote);
        assert_eq!(dials(&said), at_once, "{said:?}");
        let said = stage.wait(2.0);
        assert_eq!(dials(&said), !at_once, "{said:?}");
    }
}

/// A session of eight named hosts, so many of which are connected and have everything: those on the even streams from 2 on.
fn beside_seeds(max_peers: usize, connected: u32) -> Stage {
    let torrent = torrent(1024 * 1024, 32_768, &[&["http://t.test/announce"]], "");
    let mut stage = Stage::new(Config { max_peers, max_half_open: max_peers, ..config() }, torrent, &[]);
    let hosts: Vec<_> = (1..=8).map(|host| [10, 0, 0, host, 0x1a, 0xe1]).collect();
    stage.announced(&hosts);
    for number in 1..=connected {
        stage.opened(2 * number, &format!("10.0.0.{number}:6881"));
        let mut id = *A_ID;
        id[19] = number as u8;
        stage.receive(2 * number, &[&stage.handshake(FAST, &id)[..], &HAVE_ALL].concat());
    }
    stage
}

/// For so long, the peer on stream 2 lets us have a block each ten seconds where it `gives`, and all that is dialled in answer is
/// `closed` by the other side; what the session does.
fn pass_time(stage: &mut Stage, gives: bool, closed: bool, seconds: u32) -> Vec<String> {
    let mut all = if gives { stage.receive(2, &UNCHOKE) } else { Vec::new() };
    let mut asked: VecDeque<_> = all.iter().flat_map(|line| requests(line)).collect();
    for second in 0..seconds {
        let mut said = stage.wait(1.0);
        if gives && second.is_multiple_of(10) {
            let (stream, index, begin, length) = asked.pop_front().expect("blocks are asked for");
            said.extend(stage.receive(stream, &stage.block(index, begin, length)));
        }
        let mut seen = 0;
        while let Some(line) = said.get(seen).cloned().filter(|_| closed) {
            seen += 1;
            if let Some(stream) =
                line.strip_prefix("open ").and_then(|rest| rest.split(' ').next()?.parse().ok())
            {
                stage.opened(stream, "10.0.0.9:6881");
                said.extend(stage.closed(stream, CloseReason::ByRemote));
            }
        }
        asked.extend(said.iter().flat_map(|line| requests(line)).filter(|asked| asked.0 == 2));
        all.append(&mut said);
    }
    all
}

/// Most peers choke us most of the time, and those that wait would too.
#[test]
fn while_blocks_come_fewer_peers_that_choke_give_way() {
    for (gives, gone) in [(true, 1), (false, 2)] {
        let said = pass_time(&mut beside_seeds(4, 4), gives, false, 140);
        let choked = said.iter().filter(|line| line.starts_with("close") && line.contains("ChokedTooLong"));
        assert_eq!(choked.count(), gone, "{said:#?}");
    }
}

/// Full peers that a tracker names are tried one after the other only where nothing comes.
#[test]
fn while_blocks_come_full_peers_are_tried_again_with_pauses() {
    let dials = |gives| {
        let said = pass_time(&mut beside_seeds(4, 2), gives, true, 110);
        said.iter().filter(|line| line.starts_with("open ")).count()
    };
    let (with_blocks, without) = (dials(true), dials(false));
    assert!(with_blocks < without, "{with_blocks} dials, {without} where nothing comes");
}
