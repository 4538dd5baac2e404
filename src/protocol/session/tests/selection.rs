//! Some files of a torrent are wanted (BEP 53): what is asked for, and what peers and trackers are told.

use sha1::{Digest, Sha1};

use super::support::*;
use crate::lines;
use crate::session::{Config, Input, Session, SessionStreamId};
use crate::{Metainfo, PieceIndex};

/// Three files in four pieces: a in 0 and 1, b in 1, 2 and 3, c in 3.
fn folder() -> Metainfo {
    let bytes = content(65_536);
    let hashes: Vec<u8> = bytes.chunks(16_384).flat_map(|piece| Sha1::digest(piece).to_vec()).collect();
    let files = [("a", 20_000), ("b", 30_000), ("c", 15_536)];
    let list: String =
        files.iter().map(|(name, length)| format!("d6:lengthi{length}e4:pathl1:{name}ee")).collect();
    let mut file = b"d8:announce22:http://t.test/announce4:infod".to_vec();
    file.extend(format!("5:filesl{list}e4:name1:t12:piece lengthi16384e6:pieces80:").bytes());
    file.extend(hashes);
    file.extend(b"ee");
    Metainfo::decode(&file).unwrap()
}

fn choosing(files: &str) -> Config {
    Config { files: files.parse().unwrap(), ..config() }
}

/// Peer A, which has everything and unchokes, on stream 2.
fn connected(stage: &mut Stage) -> Vec<String> {
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    let greeting = [&stage.handshake(FAST, A_ID)[..], &HAVE_ALL, &UNCHOKE].concat();
    stage.receive(2, &greeting)
}

/// The pieces that these lines ask for, each once, in ascending order.
fn asked(lines: &[String]) -> Vec<u32> {
    let mut pieces: Vec<_> =
        lines.iter().flat_map(|line| requests(line)).map(|(_, index, ..)| index).collect();
    pieces.sort_unstable();
    pieces.dedup();
    pieces
}

/// The announces in these lines: what stands in each after `left=`, and its event.
fn announces(lines: &[String]) -> Vec<(String, String)> {
    let value = |line: &str, name: &str| {
        let rest = line.split_once(name).map_or("", |(_, rest)| rest);
        rest.split(['&', ' ']).next().unwrap_or_default().to_owned()
    };
    let announces = lines.iter().filter(|line| line.contains("GET /announce"));
    announces.map(|line| (value(line, "left="), value(line, "event="))).collect()
}

#[test]
fn only_pieces_of_wanted_files_are_asked_for() {
    for (files, pieces, left) in [("0", &[0, 1][..], 32_768), ("c", &[3], 49_152), ("1", &[1, 2, 3], 16_384)]
    {
        let mut stage = Stage::new(choosing(files), folder(), &[]);
        let said = connected(&mut stage);
        let mut said = stage.give(said, None);
        assert_eq!(asked(&said), pieces, "{files}");
        assert!(said.contains(&"complete".to_owned()), "{files}: {said:#?}");
        assert!(stage.session.has_all_wanted() && !stage.session.is_complete(), "{files}");
        let status = stage.session.status(stage.now);
        let wanted = pieces.len() as u32;
        assert_eq!((status.pieces_done, status.pieces, status.left), (wanted, wanted, 0), "{files}");
        assert_eq!(status.total, u64::from(wanted) * 16_384, "{files}");
        // The torrent is not complete: no tracker hears that it is, nor that nothing is left.
        said.extend(stage.opened(4, "10.0.0.9:80"));
        assert_eq!(announces(&said), [(left.to_string(), "stopped".to_owned())], "{files}");
    }
}

#[test]
fn the_whole_torrent_is_told_to_be_completed_though_files_were_chosen() {
    let mut stage = Stage::new(choosing("0-2"), folder(), &[]);
    let said = connected(&mut stage);
    let mut said = stage.give(said, None);
    said.extend(stage.opened(4, "10.0.0.9:80"));
    assert_eq!(announces(&said), [("0".to_owned(), "completed".to_owned())]);
}

#[test]
fn a_peer_without_a_wanted_piece_is_of_no_interest() {
    let mut stage = Stage::new(choosing("a"), folder(), &[]);
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    // It has pieces 2 and 3.
    let pieces = [0, 0, 0, 2, 5, 0b0011_0000];
    let said = stage.receive(2, &[&stage.handshake(FAST, A_ID)[..], &pieces, &UNCHOKE].concat());
    assert_said(said, lines!["connected 2", sent(2, &HAVE_NONE)]);
    let have = [&[0, 0, 0, 5, 4][..], &numbers(&[1])].concat();
    let said = stage.receive(2, &have);
    assert_said(said, lines![sent(2, &[&INTERESTED[..], &about(6, 1, 0, 16_384)].concat())]);
}

#[test]
fn what_is_there_of_other_files_is_offered() {
    let mut stage = Stage::new(choosing("c"), folder(), &[0, 2]);
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    let said = stage.receive(2, &stage.handshake(FAST, A_ID));
    assert_said(said, lines!["connected 2", sent(2, &[0, 0, 0, 2, 5, 0b1010_0000])]);
    let status = stage.session.status(stage.now);
    assert_eq!((status.pieces_done, status.pieces), (0, 1));
    let said = stage.receive(2, &[HAVE_ALL, UNCHOKE].concat());
    assert_eq!(asked(&stage.give(said, None)), [3]);
}

/// One that has all it wants serves on, asks nobody, and says so to peers and trackers (BEP 21).
#[test]
fn a_partial_seed_tells_peers_and_trackers_what_it_is() {
    let mut stage = Stage::new(Config { seeding: Some(Default::default()), ..choosing("0") }, folder(), &[]);
    stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.3:5000".parse().unwrap()));
    stage.receive(1, &[&stage.handshake(EXTENDED, b"-XX1000-cccccccccccc")[..], &HAVE_NONE].concat());
    let extended = b"d1:md11:upload_onlyi3eee";
    stage.receive(1, &[&numbers(&[2 + extended.len() as u32])[..], &[20, 0], extended].concat());
    let said = connected(&mut stage);
    let said = stage.give(said, None);
    let upload_only = b"11:upload_onlyi1e".iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>();
    let tells = |stream: &str, lines: &[String]| {
        let prefix = format!("send {stream} ");
        lines.iter().any(|line| line.starts_with(&prefix) && line.contains(&upload_only.join(" ")))
    };
    assert!(tells("1", &said), "{said:#?}");
    // A seed has nothing to give it, and it nothing to a seed.
    assert!(said.contains(&"gone 2 Finished gave 32768".to_owned()), "{said:#?}");
    assert_eq!(announces(&said), [], "nothing is completed");
    // Whoever comes later is told at once, and is served.
    stage.hear(Input::Accepted(SessionStreamId(3), "10.0.0.4:5000".parse().unwrap()));
    let said = stage.receive(3, &[&stage.handshake(EXTENDED, B_ID)[..], &HAVE_NONE, &INTERESTED].concat());
    assert!(tells("3", &said), "{said:#?}");
    stage.wait(11.0);
    assert_said(stage.receive(3, &about(6, 1, 0, 16_384)), lines!["load 3 1 0 16384"]);
    let mut said = stage.wait(1_800.0);
    let open: u32 =
        said.iter().rev().find_map(|line| line.strip_prefix("open ")).unwrap()[..1].parse().unwrap();
    said = stage.opened(open, "10.0.0.9:80");
    assert_eq!(announces(&said), [("32768".to_owned(), "paused".to_owned())]);
    said = stage.hear(Input::Stop);
    let open: u32 = said
        .iter()
        .rev()
        .find_map(|line| line.strip_prefix("open "))
        .map_or(open, |line| line[..1].parse().unwrap());
    said.extend(stage.opened(open, "10.0.0.9:80"));
    assert!(said.iter().all(|line| !line.contains("event=completed")), "{said:#?}");
}

#[test]
fn a_link_chooses_files_unless_the_settings_do() {
    let torrent = folder();
    for (own, pieces) in [("", &[3][..]), ("0", &[0, 1])] {
        let config = if own.is_empty() { config() } else { choosing(own) };
        let link = format!("magnet:?xt=urn:btih:{}&so=2&x.pe=10.0.0.1:6881", torrent.info_hash);
        let mut stage = Stage::of_magnet(config, torrent.clone(), &link);
        let said = stage.said();
        assert!(said.contains(&"open 0 10.0.0.1:6881".to_owned()), "{said:#?}");
        stage.opened(0, "10.0.0.1:6881");
        stage.receive(0, &[&stage.handshake(FAST, A_ID)[..], &HAVE_ALL, &UNCHOKE].concat());
        let said = stage.hear(Input::Described(stage.torrent.clone(), Vec::new()));
        assert_eq!(asked(&stage.give(said, None)), pieces);
    }
}

#[test]
fn a_session_without_the_wanted_files_ends_at_once() {
    let mut stage = Stage::new(choosing("3"), folder(), &[]);
    assert_said(stage.said(), lines!["done"]);
    // One that has every piece has the wanted files.
    let have = (0..4).map(PieceIndex);
    let identity = crate::session::Identity::new(crate::PeerId(*OUR_ID), 1, 1);
    let session = Session::new(choosing("b"), stage.torrent.clone(), identity, have, stage.now);
    assert!(session.has_all_wanted() && session.is_complete());
}
