//! Whole downloads from far ends on loopback, honest and not.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use bittrace_client::{DownloadReport, Outcome};
use bittrace_testing::peer::{HostilePeer, Misconduct, nobody};
use bittrace_testing::torrent::SeededTorrent;
use bittrace_testing::tracker::ScriptedTracker;
use support::{config, options, run};

const PIECE: usize = 32 * 1024;

/// Downloads from these peers, in this order, one at a time or all at once; all must come, right.
#[track_caller]
fn download_from(
    faults: &[Misconduct],
    single_peer: bool,
) -> (DownloadReport, Vec<String>, Vec<HostilePeer>, ScriptedTracker) {
    // The tracker must be known before the torrent, and the torrent before the peers.
    let (tracker, named) = ScriptedTracker::naming_later();
    let seed = SeededTorrent::folder(
        &tracker.url(),
        &[("a.bin", 100_000), ("sub/b.bin", 20_000), (".pad/1", 11_072), ("c.bin", 70_000), ("empty", 0)],
        PIECE,
    );
    let peers: Vec<_> = faults.iter().map(|&fault| HostilePeer::start(&seed, fault)).collect();
    *named.lock().unwrap() = peers.iter().map(|peer| peer.address).collect();
    let output = tempfile::tempdir().unwrap();
    let mut config = config();
    config.single_peer = single_peer;
    let (result, notices) = run(&seed, options(output.path(), config));
    let report = result.unwrap_or_else(|error| panic!("{error}: {notices:#?}"));
    assert_eq!(report.outcome, Outcome::Complete, "{notices:#?}");
    seed.assert_whole(output.path());
    (report, notices, peers, tracker)
}

#[test]
fn one_peer_gives_everything() {
    let (report, _, peers, tracker) = download_from(&[Misconduct::None], true);
    assert_eq!(tracker.events(), ["started", "completed", "stopped"]);
    let blocks = 201_072_usize.div_ceil(16 * 1024);
    assert_eq!(peers[0].requests().len(), blocks);
    assert_eq!(report.status.unwrap().wasted, 0);
}

#[test]
fn several_peers_give_everything() {
    download_from(&[Misconduct::None, Misconduct::None, Misconduct::None], false);
}

#[test]
fn dead_peers_are_passed_over() {
    let (dead, other) = (nobody(), nobody());
    let (tracker, named) = ScriptedTracker::naming_later();
    *named.lock().unwrap() = vec![dead, other];
    let seed = SeededTorrent::single(&tracker.url(), 300_000, PIECE);
    let peer = HostilePeer::start(&seed, Misconduct::None);
    named.lock().unwrap().push(peer.address);
    let output = tempfile::tempdir().unwrap();
    let mut config = config();
    config.single_peer = true;
    let (result, notices) = run(&seed, options(output.path(), config));
    assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
    seed.assert_whole(output.path());
    let refused = notices.iter().filter(|notice| notice.contains("Refused")).count();
    assert_eq!(refused, 2, "{notices:#?}");
}

#[test]
fn bad_peers_are_left_for_a_good_one() {
    for fault in [
        Misconduct::Corrupt(0),
        Misconduct::Corrupt(6),
        Misconduct::SaysNothing,
        Misconduct::SaysNothingMore,
        Misconduct::Chokes,
        Misconduct::KeepsBlocks,
        Misconduct::OtherTorrent,
        Misconduct::Garbage,
        Misconduct::HugeLength,
        Misconduct::LongBlocks,
        Misconduct::WrongIndex,
        Misconduct::FloodsHaves,
        Misconduct::Drips,
    ] {
        download_from(&[fault, Misconduct::None], true);
        download_from(&[fault, Misconduct::None], false);
    }
}

#[test]
fn verified_pieces_stay_when_a_peer_leaves_at_any_message() {
    for count in 0..16 {
        let (report, notices, peers, _) =
            download_from(&[Misconduct::ClosesAfter(count), Misconduct::None], true);
        // Handshake, bitfield and unchoke come before the blocks: whatever piece both its blocks came of is not asked for
        // again.
        let blocks = count.saturating_sub(3);
        let given: Vec<_> = peers[0].requests().into_iter().take(blocks).collect();
        for piece in 0..7 {
            let whole =
                given.iter().filter(|(index, _)| *index == piece).count() >= if piece == 6 { 1 } else { 2 };
            let again = peers[1].requests().iter().any(|(index, _)| *index == piece);
            assert!(!(whole && again), "piece {piece} came twice after {count} messages: {notices:#?}");
        }
        assert_eq!(report.status.unwrap().hash_failures, 0);
    }
}
