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
