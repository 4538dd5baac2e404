//! Downloads of torrents with hash trees: of version 2 alone, and hybrid ones.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::path::Path;
use std::sync::Arc;

use bittrace_client::{Download, DownloadOptions, Error, Outcome};
use bittrace_protocol::Metainfo;
use bittrace_protocol::session::Config;
use bittrace_testing::peer::{HostilePeer, Misconduct};
use bittrace_testing::torrent::{MakeTorrent, SeededTorrent};
use bittrace_testing::tracker::ScriptedTracker;
use bittrace_testing::web_server::{RangeManner, WebServer};
use bittrace_trace::record::{Severity, Side};
use bittrace_trace::{Body, Dissected, Trace, TraceOptions};
use support::{Swarm, config, options, run};

const PIECE: usize = 32 * 1024;
/// Several pieces, one piece to the byte, a part of one, nothing, and a byte more than two.
const FILES: [(&str, usize); 6] = [
    ("a.bin", 300_000),
    ("b.bin", PIECE),
    ("empty", 0),
    ("sub/c.bin", 7),
    ("sub/d.bin", 65_537),
    ("z", 40_000),
];

const MAKES: [MakeTorrent; 2] = [SeededTorrent::v2, SeededTorrent::hybrid];

/// The messages of a recording: all of it can be read, and nothing that we sent broke a rule.
fn messages(recording: &Path, seed: &SeededTorrent) -> Vec<String> {
    let options = TraceOptions { torrents: vec![seed.metainfo.clone()], ..TraceOptions::default() };
    let mut trace = Trace::open(recording, options).unwrap();
    let mut names = Vec::new();
    while let Some(dissected) = trace.next().unwrap() {
        let Dissected::Record(record) = dissected else { continue };
        assert!(!matches!(record.body, Body::Unreadable(..)), "{record:?}");
        if record.side == Side::Local {
            let findings = record.notes.iter().filter(|note| note.rule.severity >= Severity::Warn);
            assert_eq!(findings.count(), 0, "{record:?}");
        }
        names.push(record.body.message().to_string());
    }
    names
}

#[test]
fn both_kinds_are_downloaded_and_the_recording_is_read() {
    for make in MAKES {
        let swarm = Swarm::new(|announce| make(announce, &FILES, PIECE));
        let folder = tempfile::tempdir().unwrap();
        let (output, recording) = (folder.path().join("out"), folder.path().join("live.pcapng"));
        let options = DownloadOptions { record: Some(recording.clone()), ..options(&output, config()) };
        let (result, notices) = run(&swarm.seed, options);
        assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
        swarm.seed.assert_whole(&output);
        assert!(messages(&recording, &swarm.seed).iter().any(|name| name == "piece"));
    }
}

#[test]
fn what_is_on_disk_is_checked_and_the_rest_is_downloaded() {
    for make in MAKES {
        let swarm = Swarm::new(|announce| make(announce, &FILES, PIECE));
        let output = tempfile::tempdir().unwrap();
        swarm.seed.write_files(output.path());
        let path = |name: &str| output.path().join("folder").join(name);
        // One file is cut, one is not there, and one has a wrong byte in its second piece of three.
        let first = std::fs::read(path("a.bin")).unwrap();
        std::fs::write(path("a.bin.part"), &first[..2 * PIECE]).unwrap();
        std::fs::remove_file(path("a.bin")).unwrap();
        std::fs::remove_file(path("z")).unwrap();
        let mut third = std::fs::read(path("sub/d.bin")).unwrap();
        third[PIECE + 5] ^= 1;
        std::fs::write(path("sub/d.bin.part"), third).unwrap();
        std::fs::remove_file(path("sub/d.bin")).unwrap();
        let (result, notices) = run(&swarm.seed, options(output.path(), config()));
        let report = result.unwrap();
        assert_eq!(report.outcome, Outcome::Complete, "{notices:#?}");
        // Two of the first file, b.bin, c.bin, and two of three of d.bin.
        assert_eq!(report.pieces_before, 6, "{notices:#?}");
        swarm.seed.assert_whole(output.path());
    }
}

#[test]
fn a_piece_that_fails_its_tree_is_not_kept() {
    for make in MAKES {
        let (tracker, named) = ScriptedTracker::naming_later();
        let seed = make(&tracker.url(), &FILES, PIECE);
        let peers = [Misconduct::Corrupt(3), Misconduct::None].map(|fault| HostilePeer::start(&seed, fault));
        named.lock().unwrap().extend(peers.iter().map(|peer| peer.address));
        let output = tempfile::tempdir().unwrap();
        let (result, notices) = run(&seed, options(output.path(), Config { rounds: None, ..config() }));
        assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
        seed.assert_whole(output.path());
    }
}

#[test]
fn web_seeds_give_files_that_begin_a_piece_each() {
    for make in MAKES {
        for manner in [RangeManner::Parts, RangeManner::WholeFiles] {
            let bare = make("http://127.0.0.1:1/announce", &FILES, PIECE);
            let server = WebServer::start(&bare.files, manner);
            let seed = bare.with_url_list(&server.url("/"));
            let output = tempfile::tempdir().unwrap();
            let (result, notices) =
                run(&seed, options(output.path(), Config { allow_local: true, ..config() }));
            assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
            seed.assert_whole(output.path());
            assert!(!server.requests().iter().any(|request| request.contains(".pad")));
        }
    }
}

#[test]
fn a_hybrid_torrent_of_two_contents_ends_the_run() {
    let swarm = Swarm::new(|announce| {
        let seed = SeededTorrent::hybrid(announce, &FILES, PIECE);
        let mut torrent = seed.torrent.to_vec();
        // The SHA-1 of the first piece becomes that of other bytes.
        let key = b"6:pieces340:";
        let at = torrent.windows(key.len()).position(|window| window == key).unwrap();
        torrent[at + key.len()] ^= 1;
        let metainfo = Arc::new(Metainfo::decode(&torrent).unwrap());
        SeededTorrent { metainfo, torrent: Arc::new(torrent), ..seed }
    });
    let output = tempfile::tempdir().unwrap();
    let (result, notices) = run(&swarm.seed, options(output.path(), config()));
    assert_eq!(result.unwrap().outcome, Outcome::Incomplete);
    assert!(notices.iter().any(|notice| notice.contains("HashesDisagree")), "{notices:#?}");
    assert!(
        !notices.iter().any(|notice| notice.contains("PieceCorrupt")),
        "nobody is to blame: {notices:#?}"
    );
}

#[test]
fn without_piece_layers_nothing_is_asked_of_anybody() {
    let seed = SeededTorrent::v2("http://127.0.0.1:1/announce", &FILES, PIECE);
    let torrent = Arc::new(Metainfo::decode(&seed.without_layers()).unwrap());
    let output = tempfile::tempdir().unwrap();
    let refused = Download::new(torrent, options(output.path(), config())).unwrap_err();
    assert!(matches!(refused, Error::NoPieceLayers { .. }), "{refused}");
}
