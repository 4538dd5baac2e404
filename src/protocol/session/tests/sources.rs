//! Peers that neither trackers nor peers of the session name.

use std::net::SocketAddr;

use super::support::*;
use crate::session::*;

fn found(source: PeerSource, addresses: &[&str]) -> Input {
    let addresses = addresses.iter().map(|address| address.parse::<SocketAddr>().expect("an address"));
    Input::PeersFound(source, addresses.collect())
}

#[test]
fn peers_of_other_sources_are_dialled() {
    for source in [PeerSource::Dht, PeerSource::Lsd] {
        let mut stage = Stage::new(config(), torrent(40_000, 32_768, &[], ""), &[]);
        assert!(stage.said().is_empty());
        let said =
            stage.hear(found(source, &["10.0.0.2:6881", "10.0.0.3:22", "224.0.0.1:6881", "10.0.0.4:0"]));
        let dialled: Vec<_> =
            said.iter().filter(|line| line.contains("10.0.0.") || line.contains("224")).collect();
        assert!(dialled.iter().all(|line| line.contains("10.0.0.2:6881")), "{said:#?}");
        assert_eq!(stage.session.status(stage.now).peers_tried, 1, "{source:?}");
    }
}

#[test]
fn no_peer_of_a_private_torrent_comes_from_other_sources() {
    let torrent = torrent(40_000, 32_768, &[&["http://t.test/announce"]], "7:privatei1e");
    let mut stage = Stage::new(config(), torrent, &[]);
    stage.said();
    for source in [PeerSource::Dht, PeerSource::Lsd] {
        stage.hear(found(source, &["10.0.0.2:6881"]));
    }
    assert_eq!(stage.session.status(stage.now).peers_known, 0);
}

/// A handshake that offers the DHT.
const DHT: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 1];

/// The session's own handshake, and what it sends and wants once a peer has offered the DHT and named its node.
fn with_a_peer_of_the_dht(dht_port: Option<u16>, more: &str) -> (Vec<u8>, bool, Vec<SocketAddr>) {
    let torrent = std::sync::Arc::new(torrent(40_000, 32_768, &[], more));
    let identity = Identity::new(crate::PeerId(*OUR_ID), 0, 7);
    let now = crate::Timestamp::from_secs_nanos(1_000_000, 0);
    let mut session = Session::new(Config { dht_port, ..config() }, torrent.clone(), identity, [], now);
    let stream = SessionStreamId(1);
    let mut handshake = b"\x13BitTorrent protocol".to_vec();
    handshake.extend(DHT);
    handshake.extend(torrent.info_hash.0);
    handshake.extend(A_ID);
    let port = b"\0\0\0\x03\x09\x1b\x58";
    session.handle(now, Input::Accepted(stream, "10.0.0.2:50000".parse().expect("an address")));
    session.handle(now, Input::Received(stream, handshake.into()));
    session.handle(now, Input::Received(stream, bytes::Bytes::from_static(port)));
    session.handle(now, Input::Tick);
    let (mut sent, mut contacts) = (Vec::new(), Vec::new());
    loop {
        match session.poll() {
            Output::Send(_, bytes) => sent.extend(bytes),
            Output::DhtContact(address) => contacts.push(address),
            Output::Wait(_) | Output::Done => break,
            _ => {}
        }
    }
    let says_port = sent.windows(7).any(|bytes| bytes == b"\0\0\0\x03\x09\x1a\xe1");
    (sent, says_port, contacts)
}

#[test]
fn peers_that_offer_the_dht_are_told_of_our_node_and_tell_of_theirs() {
    let (sent, says_port, contacts) = with_a_peer_of_the_dht(Some(6881), "");
    assert_eq!(sent[27] & 1, 1);
    assert!(says_port, "{sent:?}");
    assert_eq!(contacts, ["10.0.0.2:7000".parse().expect("an address")]);
}

#[test]
fn nothing_is_said_of_the_dht_without_one_or_for_a_private_torrent() {
    for (port, more) in [(None, ""), (Some(6881), "7:privatei1e")] {
        let (sent, says_port, contacts) = with_a_peer_of_the_dht(port, more);
        assert_eq!(sent[27] & 1, 0);
        assert!(!says_port && contacts.is_empty());
    }
}

#[test]
fn a_session_without_trackers_waits_for_a_search_and_ends_when_it_was_in_vain() {
    let config = Config { rounds: Some(3), ..config() };
    let mut stage = Stage::new(config, torrent(40_000, 32_768, &[], ""), &[]);
    stage.said();
    for state in [SearchState::Idle, SearchState::UnderWay] {
        stage.hear(Input::Searching(state));
        stage.wait(60.0);
        assert!(!stage.over, "{state:?}");
    }
    stage.hear(Input::Searching(SearchState::Over));
    stage.wait(10.0);
    assert!(stage.over);
}
