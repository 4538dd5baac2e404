//! Peers that do not answer some requests, and say nothing about it: each block is asked for again, and not too often.

use std::collections::{BTreeMap, VecDeque};

use super::support::*;
use crate::session::{Config, PieceOrder};

/// The blocks of the torrent: 31 pieces, the last with one block.
const BLOCKS: usize = 61;

/// A far end that is the only peer, has everything, and does not answer some requests.
struct DroppingPeer {
    stage: Stage,
    /// How often each block was asked for.
    asked: BTreeMap<(u32, u32), usize>,
    requests: usize,
}

impl DroppingPeer {
    fn new(config: Config, reserved: [u8; 8]) -> Self {
        let mut config = Config { max_unstored: u64::MAX, ..config };
        config.profile.piece_order = PieceOrder::InOrder;
        let torrent = torrent(61 * 16_384, 32_768, &[&["http://t.test/announce"]], "");
        let mut stage = Stage::new(config, torrent, &[]);
        stage.announced(&[PEER_A]);
        stage.opened(2, "10.0.0.1:6881");
        stage.receive(2, &stage.handshake(reserved, A_ID));
        stage.receive(2, &[0, 0, 0, 5, 5, 0xff, 0xff, 0xff, 0xfe]);
        Self { stage, asked: BTreeMap::new(), requests: 0 }
    }

    /// Lets so much time pass; each request is answered at once, unless it is dropped. `drops` is told the number of the
    /// request, from 1, and its block.
    fn run(&mut self, seconds: u32, drops: impl FnMut(usize, (u32, u32)) -> bool) {
        let lines = self.stage.said();
        self.answer(lines, seconds, drops);
    }

    fn answer(&mut self, lines: Vec<String>, seconds: u32, mut drops: impl FnMut(usize, (u32, u32)) -> bool) {
        let mut lines = VecDeque::from(lines);
        for second in 0..seconds {
            if second % 60 == 59 {
                lines.extend(self.stage.receive(2, &[0; 4]));
            }
            while let Some(line) = lines.pop_front() {
                for (_, index, begin, length) in requests(&line) {
                    self.requests += 1;
                    *self.asked.entry((index, begin)).or_default() += 1;
                    if !drops(self.requests, (index, begin)) {
                        lines.extend(self.stage.receive(2, &self.stage.block(index, begin, length)));
                    }
                }
            }
            if self.stage.session.is_complete() {
                return;
            }
            lines.extend(self.stage.wait(1.0));
        }
    }

    /// Unchokes, and answers as in [`run`](Self::run).
    fn unchoke(&mut self, seconds: u32, drops: impl FnMut(usize, (u32, u32)) -> bool) {
        let lines = self.stage.receive(2, &UNCHOKE);
        self.answer(lines, seconds, drops);
    }
}

#[test]
fn a_sole_peer_that_drops_every_third_request_gives_the_whole_file() {
    for (config, reserved) in [(config(), PLAIN), (config(), FAST), (single(), FAST)] {
        let mut peer = DroppingPeer::new(config, reserved);
        peer.unchoke(60, |number, _| number.is_multiple_of(3));
        assert!(peer.stage.session.is_complete(), "{:?}", peer.stage.session.status(peer.stage.now));
        // A third of 61, a third of those, and so on.
        assert!(peer.requests <= 2 * BLOCKS, "{}", peer.requests);
        assert_eq!(peer.stage.session.status(peer.stage.now).wasted, 0);
    }
}

#[test]
fn dropped_requests_do_not_take_the_place_of_others() {
    let mut peer = DroppingPeer::new(config(), FAST);
    // For the first two seconds nothing is asked for again.
    peer.unchoke(3, |number, _| number.is_multiple_of(2));
    assert_eq!((peer.asked.len(), peer.requests), (BLOCKS, BLOCKS));
}

#[test]
fn a_piece_that_is_never_given_is_asked_for_less_and_less() {
    let mut peer = DroppingPeer::new(config(), FAST);
    peer.unchoke(3600, |_, (index, _)| index == 7);
    let status = peer.stage.session.status(peer.stage.now);
    assert_eq!(status.pieces_done, status.pieces - 1);
    // Five requests a minute, at the most, for both blocks together.
    let asked = peer.asked[&(7, 0)] + peer.asked[&(7, 16_384)];
    assert!((30..=5 * 60 + 20).contains(&asked), "{asked}");
    assert!(peer.stage.session.peers(peer.stage.now).next().is_some());
    // The peer has mended its ways.
    peer.run(120, |_, _| false);
    assert!(peer.stage.session.is_complete());
}

#[test]
fn a_sole_peer_that_answers_nothing_for_long_is_asked_again_and_again() {
    let mut peer = DroppingPeer::new(config(), PLAIN);
    peer.unchoke(3600, |_, _| true);
    let first = 16;
    assert!((60..=first + 4 * 60 + 4).contains(&peer.requests), "{}", peer.requests);
    peer.run(120, |_, _| false);
    assert!(peer.stage.session.is_complete());
}

#[test]
fn a_peer_that_drops_each_block_twice_gives_it_the_third_time() {
    let mut peer = DroppingPeer::new(config(), FAST);
    let mut dropped = BTreeMap::new();
    peer.unchoke(600, |_, block| {
        let times = dropped.entry(block).or_insert(0);
        *times += 1;
        *times <= 2
    });
    assert!(peer.stage.session.is_complete(), "{:?}", peer.stage.session.status(peer.stage.now));
}

#[test]
fn what_comes_after_it_was_asked_for_again_may_come_twice() {
    let mut stage = Stage::small(config());
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    stage.receive(2, &stage.handshake(PLAIN, A_ID));
    stage.receive(2, &[0, 0, 0, 2, 5, 0xc0]);
    let asked: Vec<_> = stage.receive(2, &UNCHOKE).iter().flat_map(|line| requests(line)).collect();
    assert_eq!(asked.len(), 3);
    let again: Vec<_> = stage.wait(11.0).iter().flat_map(|line| requests(line)).collect();
    assert_eq!(again, asked[..1]);
    // The peer was only slow: it answers all four requests.
    for &(_, index, begin, length) in again.iter().chain(&asked[..2]) {
        stage.receive(2, &stage.block(index, begin, length));
    }
    assert_eq!(stage.session.status(stage.now).wasted, u64::from(asked[0].3));
    assert_eq!(stage.session.peers.iter().map(|peer| peer.noise).sum::<u32>(), 0);
    stage.receive(2, &stage.block(asked[2].1, asked[2].2, asked[2].3));
    assert!(stage.session.is_complete());
}

#[test]
fn with_others_a_block_is_not_left_to_a_peer_that_passes_it_over() {
    let mut config = config();
    config.profile.initial_pipeline = 4;
    config.profile.piece_order = PieceOrder::InOrder;
    let torrent = torrent(61 * 16_384, 32_768, &[&["http://t.test/announce"]], "");
    let mut stage = Stage::new(config, torrent, &[]);
    stage.announced(&[PEER_A, PEER_B]);
    for (stream, id) in [(2, A_ID), (4, B_ID)] {
        stage.opened(stream, "10.0.0.1:6881");
        stage.receive(stream, &stage.handshake(FAST, id));
        stage.receive(stream, &HAVE_ALL);
    }
    // Peer A drops every other request; both take a second a block.
    let mut lines = [stage.receive(2, &UNCHOKE), stage.receive(4, &UNCHOKE)].concat();
    let mut queues = BTreeMap::from([(2, VecDeque::new()), (4, VecDeque::new())]);
    let mut number = 0;
    for _ in 0..120 {
        for (stream, index, begin, length) in lines.iter().flat_map(|line| requests(line)) {
            number += 1;
            if stream == 4 || number % 2 == 0 {
                queues.get_mut(&stream).unwrap().push_back((index, begin, length));
            }
        }
        lines.clear();
        for (&stream, queue) in &mut queues {
            if let Some((index, begin, length)) = queue.pop_front() {
                lines.extend(stage.receive(stream, &stage.block(index, begin, length)));
            }
        }
        lines.extend(stage.wait(1.0));
    }
    assert!(stage.session.is_complete(), "{:?}", stage.session.status(stage.now));
}
