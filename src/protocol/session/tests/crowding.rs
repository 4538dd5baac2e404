//! Peers that tell of many others, invented or not: what they say has bounds, and the word of a tracker comes first.

use std::net::SocketAddr;

use super::support::*;
use crate::session::{CloseReason, Config, Input, SessionStreamId};

/// Addresses of nobody.
fn invented(number: u8, count: u8) -> Vec<[u8; 6]> {
    (1..=count).map(|host| [11, 0, number, host, 0x1a, 0xe1]).collect()
}

/// A message of BEP 11 that tells of these, under the id that our extended handshake gives it.
fn pex(peers: &[[u8; 6]]) -> Vec<u8> {
    let mut body = vec![20, 1];
    body.extend(format!("d5:added{}:", peers.len() * 6).bytes());
    body.extend(peers.concat());
    body.push(b'e');
    [numbers(&[body.len() as u32]), body].concat()
}

/// Peer A, open on stream 2.
fn stage(config: Config) -> Stage {
    let mut stage = Stage::small(config);
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    stage.receive(2, &stage.handshake(EXTENDED, A_ID));
    stage
}

fn known(stage: &Stage) -> usize {
    stage.session.status(stage.now).peers_known
}

fn dialled(lines: &[String]) -> Vec<SocketAddr> {
    let opened = lines.iter().filter_map(|line| line.strip_prefix("open ")?.split(' ').nth(1));
    opened.map(|address| address.parse().unwrap()).collect()
}

#[test]
fn one_peer_fills_an_eighth_of_the_room_at_most() {
    let mut stage = stage(Config { max_known_peers: 80, ..config() });
    stage.receive(2, &pex(&invented(1, 100)));
    assert_eq!(known(&stage), 1 + 10);
    // A second connection from the same host has no share of its own.
    stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.1:5000".parse().unwrap()));
    stage.receive(1, &stage.handshake(EXTENDED, B_ID));
    stage.receive(1, &pex(&invented(2, 100)));
    assert_eq!(known(&stage), 1 + 10);
}

#[test]
fn what_comes_more_often_or_in_greater_numbers_than_bep_11_has_it_is_passed_over() {
    let mut stage = stage(config());
    stage.receive(2, &pex(&invented(1, 150)));
    assert_eq!(known(&stage), 1 + 50);
    stage.receive(2, &pex(&invented(2, 20)));
    assert_eq!(known(&stage), 1 + 50, "two in a row");
    stage.wait(29.0);
    stage.receive(2, &pex(&invented(3, 20)));
    assert_eq!(known(&stage), 1 + 50, "29 seconds later");
    stage.wait(1.0);
    let said = stage.receive(2, &pex(&invented(4, 80)));
    assert_eq!(known(&stage), 1 + 50 + 50, "half a minute later");
    // It is no crime.
    assert!(!said.iter().any(|line| line.starts_with("close 2")), "{said:#?}");
}

#[test]
fn a_message_without_anybody_new_does_not_count() {
    let mut stage = stage(config());
    stage.receive(2, &pex(&[]));
    stage.receive(2, &pex(&invented(1, 3)));
    assert_eq!(known(&stage), 1 + 3);
}

#[test]
fn whom_a_tracker_names_displaces_whom_peers_told_of() {
    let mut stage = Stage::small(Config { max_known_peers: 16, max_half_open: 1, ..config() });
    stage.said();
    stage.opened(0, "10.0.0.9:80");
    for caller in 1..=8_u8 {
        let stream = u32::from(caller) * 2 - 1;
        let address = format!("10.0.1.{caller}:5000").parse().unwrap();
        stage.hear(Input::Accepted(SessionStreamId(stream), address));
        let mut id = *A_ID;
        id[19] = caller;
        stage.receive(stream, &stage.handshake(EXTENDED, &id));
        stage.receive(stream, &pex(&invented(caller, 50)));
    }
    assert_eq!(known(&stage), 16);
    // One of the invented is being dialled, and so keeps its place.
    let named: Vec<_> = (1..=40_u8).map(|host| [12, 0, 0, host, 0x1a, 0xe1]).collect();
    stage.receive(0, &answer(&named.concat()));
    assert_eq!(known(&stage), 16);
    let mut next = stage.closed(2, CloseReason::Refused);
    for stream in (4..).step_by(2).take(15) {
        let dialled = dialled(&next);
        assert!(dialled.len() == 1 && dialled[0].ip().to_string().starts_with("12."), "{next:#?}");
        next = stage.closed(stream, CloseReason::Refused);
    }
}
