//! A hybrid torrent has two info hashes (BEP 52), and trackers are announced to by both.

use super::support::*;
use super::trees::{Described, tree_torrent};
use crate::lines;
use crate::session::{CloseReason, Config, Input};
use crate::tracker::http::percent_decode;
use crate::{Hex, InfoHash, Metainfo};

fn hybrid() -> Metainfo {
    tree_torrent(&[40_000, 50], 32_768, Described::Both).0
}

fn by_both() -> Config {
    let mut config = config();
    config.profile.announce.both_hashes = true;
    config
}

/// The info hash and the event of an announce.
fn announced(line: &str) -> (InfoHash, String) {
    let value = |name: &str| {
        let rest = line.split_once(name).map_or("", |(_, rest)| rest);
        rest.split(['&', ' ']).next().unwrap_or_default().to_owned()
    };
    let hash = percent_decode(value("info_hash=").as_bytes());
    (InfoHash(hash.try_into().unwrap()), value("event="))
}

/// The tracker is reached over this stream; what it is told.
fn tell(stage: &mut Stage, stream: u32) -> (InfoHash, String) {
    announced(&stage.opened(stream, "10.0.0.9:80")[0])
}

#[test]
fn a_hybrid_torrent_is_announced_by_both_of_its_hashes() {
    let mut stage = Stage::new(by_both(), hybrid(), &[]);
    let (v1, v2) = (stage.torrent.info_hash, stage.torrent.truncated_v2().unwrap());
    let started = |hash| (hash, "started".to_owned());
    assert_said(stage.said(), lines!["open 0 http t.test 80"]);
    let first = stage.opened(0, "10.0.0.9:80");
    assert_eq!(announced(&first[0]), started(v1));
    let said = stage.receive(0, &answer(b""));
    assert_said(said, lines!["close 0", "announced, 0 peers", "open 2 http t.test 80"]);
    let second = stage.opened(2, "10.0.0.9:80");
    assert_eq!(announced(&second[0]), started(v2));
    // Nothing else differs, the numbers and the key neither.
    let rest = |line: &str| line.split_once("&peer_id").unwrap().1.to_owned();
    assert_eq!(rest(&first[0]), rest(&second[0]));
    // Peers that it has by the second hash are peers.
    let said = stage.receive(2, &answer(&PEER_A));
    assert_said(said, lines!["close 2", "announced, 1 peers", "open 4 10.0.0.1:6881"]);
    stage.closed(4, CloseReason::Refused);
    // The regular announces follow those of the first hash.
    assert!(stage.wait(1_799.0).iter().all(|line| !line.contains("http")));
    let said = stage.wait(1.0);
    let stream: u32 =
        said.iter().find_map(|line| line.strip_suffix(" http t.test 80")).unwrap()[5..].parse().unwrap();
    assert_eq!(tell(&mut stage, stream), (v1, String::new()));
    let said = stage.receive(stream, &answer(b""));
    assert!(said.contains(&format!("open {} http t.test 80", stream + 2)), "{said:?}");
    assert_eq!(tell(&mut stage, stream + 2), (v2, String::new()));
    stage.receive(stream + 2, &answer(b""));
    // And both hear that we go.
    let said = stage.hear(Input::Stop);
    let streams: Vec<u32> = said
        .iter()
        .filter_map(|line| line.strip_suffix(" http t.test 80")?.strip_prefix("open ")?.parse().ok())
        .collect();
    let told: Vec<_> = streams.into_iter().map(|stream| tell(&mut stage, stream)).collect();
    assert_eq!(told, [(v1, "stopped".to_owned()), (v2, "stopped".to_owned())]);
}

#[test]
fn completion_is_told_by_both_hashes() {
    let (torrent, row) = tree_torrent(&[40_000, 50], 32_768, Described::Both);
    let mut stage = Stage::new(by_both(), torrent, &[]);
    stage.content = row;
    let (v1, v2) = (stage.torrent.info_hash, stage.torrent.truncated_v2().unwrap());
    stage.announced(&[PEER_A]);
    tell(&mut stage, 2);
    stage.receive(2, &answer(b""));
    stage.opened(4, "10.0.0.1:6881");
    let said = stage.receive(4, &[&stage.handshake(FAST, A_ID)[..], &HAVE_ALL, &UNCHOKE].concat());
    stage.give(said, None);
    assert!(stage.session.is_complete());
    let told = [6, 8].map(|stream| tell(&mut stage, stream));
    assert_eq!(told, [(v1, "completed".to_owned()), (v2, "completed".to_owned())]);
}

#[test]
fn a_tracker_that_refuses_one_hash_may_know_the_other() {
    let mut stage = Stage::new(by_both(), hybrid(), &[]);
    let v2 = stage.torrent.truncated_v2().unwrap();
    stage.said();
    stage.opened(0, "10.0.0.9:80");
    let body = "d14:failure reason8:not heree";
    let refusal = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let said = stage.receive(0, refusal.as_bytes());
    assert!(said.contains(&"open 2 http t.test 80".to_owned()), "{said:?}");
    assert_eq!(tell(&mut stage, 2), (v2, "started".to_owned()));
    // A tracker that is not there has no other hash either.
    let mut stage = Stage::new(by_both(), hybrid(), &[]);
    stage.said();
    let said = stage.closed(0, CloseReason::Refused);
    assert!(!said.iter().any(|line| line.contains("open")), "{said:?}");
}

#[test]
fn a_torrent_of_one_hash_and_a_client_of_one_announce_once() {
    let one = tree_torrent(&[40_000, 50], 32_768, Described::Tree).0;
    for (config, torrent) in [(by_both(), one), (config(), hybrid())] {
        let mut stage = Stage::new(config, torrent, &[]);
        stage.said();
        stage.opened(0, "10.0.0.9:80");
        assert_said(stage.receive(0, &answer(b"")), lines!["close 0", "announced, 0 peers"]);
    }
}

#[test]
fn each_hash_is_announced_over_both_families() {
    let mut config = by_both();
    config.profile.announce.both_families = true;
    let mut stage = Stage::new(config, hybrid(), &[]);
    let (v1, v2) = (stage.torrent.info_hash, stage.torrent.truncated_v2().unwrap());
    stage.said();
    stage.opened(0, "10.0.0.9:80");
    let said = stage.receive(0, &answer(b""));
    assert_eq!(said[2..], ["open 2 http t.test 80 Ipv6", "open 4 http t.test 80"]);
    assert_eq!(announced(&stage.opened(2, "[2001:db8::9]:80")[0]).0, v1);
    assert_eq!(tell(&mut stage, 4).0, v2);
    stage.receive(2, &answer(b""));
    let said = stage.receive(4, &answer(b""));
    assert_eq!(said[2..], ["open 6 http t.test 80 Ipv6"]);
    assert_eq!(announced(&stage.opened(6, "[2001:db8::9]:80")[0]).0, v2);
}

/// A link of version 2 to a torrent that turns out to be a hybrid one: the tracker goes on knowing us by the hash of the link,
/// and hears of the other as soon as that is known.
#[test]
fn a_link_of_version_2_to_a_hybrid_torrent_keeps_its_hash_and_gains_the_other() {
    let torrent = hybrid();
    let (v1, v2) = (torrent.info_hash, torrent.truncated_v2().unwrap());
    let link =
        format!("magnet:?xt=urn:btmh:1220{}&tr=http://t.test/announce", Hex(&torrent.info_hash_v2.unwrap()));
    let mut stage = Stage::of_magnet(by_both(), torrent, &link);
    stage.said();
    assert_eq!(tell(&mut stage, 0), (v2, "started".to_owned()));
    assert_said(stage.receive(0, &answer(b"")), lines!["close 0", "announced, 0 peers"]);
    let described = Input::Described(stage.torrent.clone(), Vec::new());
    assert_said(stage.hear(described), lines!["open 2 http t.test 80"]);
    assert_eq!(tell(&mut stage, 2), (v1, "started".to_owned()));
    stage.receive(2, &answer(b""));
    let said = stage.hear(Input::Stop);
    assert_said(said, lines!["open 4 http t.test 80", "open 6 http t.test 80"]);
    let told = [4, 6].map(|stream| tell(&mut stage, stream));
    assert_eq!(told, [(v2, "stopped".to_owned()), (v1, "stopped".to_owned())]);
}

#[test]
fn peers_are_called_by_the_hash_of_version_2_where_the_profile_says_so() {
    for calls_by_v2 in [false, true] {
        let mut config = config();
        config.profile.calls_by_v2 = calls_by_v2;
        let mut stage = Stage::new(config, hybrid(), &[]);
        let (v1, v2) = (stage.torrent.info_hash, stage.torrent.truncated_v2().unwrap());
        stage.announced(&[PEER_A]);
        let said = stage.opened(2, "10.0.0.1:6881");
        // Bytes 28 to 47 of the handshake, after the words "send 2".
        let called = said[0].split(' ').skip(2 + 28).take(20).collect::<String>();
        assert_eq!(called, if calls_by_v2 { v2 } else { v1 }.to_string());
    }
}
