//! Torrents that a magnet link names: their metadata comes from peers, which may lie about all of it (BEP 9).

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::support::*;
use crate::lines;
use crate::session::{
    Config, EncryptionPolicy, EncryptionProfile, Input, PieceOrder, SeedGoal, SessionStreamId,
};
use crate::{Hex, Metainfo, PieceIndex};

const C_ID: &[u8; 20] = b"-XX1000-cccccccccccc";
const D_ID: &[u8; 20] = b"-XX1000-dddddddddddd";
/// The id under which peers of these tests receive ut_metadata; ours is 2.
const THEIR_ID: u8 = 9;

/// 16,000 bytes in 1,000 pieces: metadata of two pieces.
fn large() -> Metainfo {
    torrent(16_000, 16, &[], "")
}

fn ordered() -> Config {
    let mut config = config();
    config.profile.piece_order = PieceOrder::InOrder;
    config.profile.random_pieces = 0;
    config
}

/// A session of a link to `torrent`, whose metadata it does not have; `more` stands in the link.
fn wanted(config: Config, torrent: Metainfo, more: &str) -> Stage {
    let hash = torrent.info_hash;
    Stage::of_magnet(config, torrent, &format!("magnet:?xt=urn:btih:{hash}{more}"))
}

/// An extended message: its length, 20, its id, a dictionary and what follows that.
fn extended(id: u8, dictionary: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = numbers(&[2 + (dictionary.len() + data.len()) as u32]);
    bytes.extend([20, id]);
    bytes.extend(dictionary.bytes());
    bytes.extend(data);
    bytes
}

/// An extended handshake of a peer that claims metadata of so many bytes.
fn hello(size: u64) -> Vec<u8> {
    extended(0, &format!("d1:md11:ut_metadatai{THEIR_ID}ee13:metadata_sizei{size}ee"), b"")
}

/// Our request.
fn request(piece: u32) -> Vec<u8> {
    extended(THEIR_ID, &format!("d8:msg_typei0e5:piecei{piece}ee"), b"")
}

/// A piece that comes to us.
fn data(piece: u32, total: usize, bytes: &[u8]) -> Vec<u8> {
    extended(2, &format!("d8:msg_typei1e5:piecei{piece}e10:total_sizei{total}ee"), bytes)
}

impl Stage {
    /// A peer calls, shakes hands, and claims metadata of so many bytes.
    fn claims(&mut self, stream: u32, id: &[u8; 20], size: u64) -> Vec<String> {
        let address = format!("10.0.0.{stream}:5000").parse().unwrap();
        self.hear(Input::Accepted(SessionStreamId(stream), address));
        self.receive(stream, &self.handshake(EXTENDED, id));
        self.receive(stream, &hello(size))
    }

    /// A piece of the right metadata comes.
    fn gives(&mut self, stream: u32, piece: usize) -> Vec<String> {
        let info = self.torrent.info_bytes().clone();
        let part = info.chunks(16_384).nth(piece).unwrap();
        self.receive(stream, &data(piece as u32, info.len(), part))
    }

    /// The driver has read the metadata, and has these pieces.
    fn described(&mut self, have: &[u32]) -> Vec<String> {
        let have = have.iter().map(|&piece| PieceIndex(piece)).collect();
        self.hear(Input::Described(Arc::clone(&self.torrent), have))
    }
}

/// The pieces of metadata that the lines ask of a peer.
fn asked(lines: &[String], stream: u32) -> Vec<u32> {
    let line = lines.iter().filter(|line| line.starts_with(&format!("send {stream} ")));
    let text: String = line.map(String::as_str).collect();
    (0..8).filter(|&piece| text.contains(sent(stream, &request(piece)).split_once("14").unwrap().1)).collect()
}

#[test]
fn metadata_comes_first_and_then_the_pieces() {
    let mut stage = wanted(ordered(), torrent(40_000, 32_768, &[], ""), "&tr=http://t.test/announce&dn=x");
    assert_said(stage.said(), lines!["open 0 http t.test 80"]);
    // As many bytes are left as libtorrent says while it does not know.
    let announce = stage.opened(0, "10.0.0.9:80");
    assert!(announce[0].contains("&left=16384&") && announce[0].contains("event=started"), "{announce:?}");
    stage.receive(0, &answer(&PEER_A));
    stage.opened(2, "10.0.0.1:6881");
    let said = stage.receive(2, &stage.handshake(EXTENDED, A_ID));
    // No size is told, and no bitfield.
    let ours = "d1:md11:lt_donthavei4e11:upload_onlyi3e11:ut_metadatai2e6:ut_pexi1ee1:pi6881e4:reqqi500e1:v10:bittrace/0\
                6:yourip4:\x0a\0\0\x01e";
    assert_said(said, lines!["connected 2", sent(2, &[&HAVE_NONE[..], &extended(0, ours, b"")].concat())]);
    // Its pieces, before anybody knows how many there are.
    assert_said(stage.receive(2, &[0, 0, 0, 2, 5, 0x80]), &[]);
    assert_said(stage.receive(2, &[0, 0, 0, 5, 4, 0, 0, 0, 1]), &[]);
    assert_said(stage.receive(2, &UNCHOKE), &[]);
    let info = stage.torrent.info_bytes().clone();
    assert_said(stage.receive(2, &hello(info.len() as u64)), lines![sent(2, &request(0))]);
    let status = stage.session.status(stage.now).metadata.unwrap();
    assert_eq!((status.received, status.size, status.peers), (0, Some(info.len() as u64), 1));
    assert_said(stage.gives(2, 0), lines![format!("metadata of {} bytes", info.len())]);
    let requests = [about(6, 0, 0, 16_384), about(6, 0, 16_384, 16_384), about(6, 1, 0, 7_232)].concat();
    assert_said(stage.described(&[]), lines![sent(2, &[&INTERESTED[..], &requests].concat())]);
    assert_eq!(stage.session.status(stage.now).metadata, None);
    let said = stage.give(lines![sent(2, &requests)].to_vec(), None);
    assert!(said.contains(&"complete".to_owned()), "{said:?}");
    // The tracker hears how much was downloaded, and that nothing is left.
    assert!(said.iter().any(|line| line.starts_with("open ")), "{said:?}");
}

#[test]
fn pieces_come_from_all_peers_in_any_order() {
    let mut stage = wanted(config(), large(), "");
    let size = stage.torrent.info_bytes().len() as u64;
    assert_eq!(asked(&stage.claims(1, A_ID, size), 1), [0, 1]);
    // Nothing is left to ask of another, for a second.
    assert_eq!(asked(&stage.claims(3, B_ID, size), 3), []);
    assert_eq!(asked(&stage.wait(1.1), 3), [0, 1]);
    assert_said(stage.gives(3, 1), &[]);
    let said = stage.gives(1, 0);
    assert_said(said, lines![format!("metadata of {size} bytes")]);
    // What comes late changes nothing.
    assert_said(stage.gives(1, 1), &[]);
    assert_said(stage.gives(3, 0), &[]);
}

#[test]
fn a_request_without_an_answer_is_asked_again_and_a_late_answer_counts() {
    let mut stage = wanted(config(), large(), "");
    let size = stage.torrent.info_bytes().len() as u64;
    assert_eq!(asked(&stage.claims(1, A_ID, size), 1), [0, 1]);
    assert_eq!(asked(&stage.wait(9.5), 1), []);
    assert_eq!(asked(&stage.wait(1.5), 1), [0, 1]);
    assert_said(stage.gives(1, 0), &[]);
    assert_said(stage.gives(1, 1), lines![format!("metadata of {size} bytes")]);
}

#[test]
fn rtorrent_is_asked_for_one_piece_after_the_other() {
    let mut stage = wanted(config(), large(), "");
    let size = stage.torrent.info_bytes().len() as u64;
    assert_eq!(asked(&stage.claims(1, b"-lt0D80-aaaaaaaaaaaa", size), 1), [0]);
    assert_eq!(asked(&stage.gives(1, 0), 1), [1]);
    assert_said(stage.gives(1, 1), lines![format!("metadata of {size} bytes")]);
}

#[test]
fn what_no_one_asked_for_is_not_taken() {
    let mut stage = wanted(config(), large(), "");
    let size = stage.torrent.info_bytes().len() as u64;
    stage.claims(1, A_ID, size);
    stage.claims(3, B_ID, size);
    assert_said(stage.gives(3, 0), &[]);
    assert_eq!(stage.session.status(stage.now).metadata.unwrap().received, 0);
}

#[test]
fn a_peer_that_rejects_rests_for_a_minute_and_others_are_asked() {
    let mut stage = wanted(config(), large(), "");
    let size = stage.torrent.info_bytes().len() as u64;
    stage.claims(1, A_ID, size);
    let reject = extended(2, "d8:msg_typei2e5:piecei0ee", b"");
    assert_said(stage.receive(1, &reject), &[]);
    assert_eq!(asked(&stage.claims(3, B_ID, size), 3), [0, 1]);
    stage.closed(3, crate::session::CloseReason::ByRemote);
    assert_eq!(asked(&stage.wait(58.0), 1), []);
    assert_eq!(asked(&stage.wait(3.0), 1), [0, 1]);
}

#[test]
fn a_size_that_no_metadata_has_is_not_asked_for() {
    let mut stage = wanted(config(), large(), "");
    for (stream, size) in [(1, 2_000_000_000), (3, 0), (5, 32 * 1024 * 1024 + 1), (7, u64::MAX)] {
        let id = [b"-XX1000-zzzzzzzzzzz", &[stream as u8][..]].concat();
        assert_eq!(asked(&stage.claims(stream, id.first_chunk().unwrap(), size), stream), []);
    }
    assert_eq!(asked(&stage.wait(30.0), 1), []);
    let status = stage.session.status(stage.now).metadata.unwrap();
    assert_eq!((status.size, status.peers), (None, 0));
}

#[test]
fn a_piece_of_another_length_ends_the_connection_and_not_the_download() {
    let info = large().info_bytes().clone();
    let size = info.len();
    for (bytes, wanted_text) in [
        // All of it in one piece.
        (data(0, size, &info), "a piece of metadata of at most 16 KiB"),
        (data(0, size, &info[..16_383]), "a piece of metadata of the size that was announced"),
        (data(0, size + 1, &info[..16_384]), "a piece of metadata of the size that was announced"),
        (data(1, size, &info[16_384..size - 1]), "a piece of metadata of the size that was announced"),
    ] {
        let mut stage = wanted(config(), large(), "");
        stage.claims(1, A_ID, size as u64);
        let said = stage.receive(1, &bytes);
        assert!(said.contains(&format!("close 1 Malformed({wanted_text:?})")), "{said:?}");
        assert_eq!(asked(&stage.claims(3, B_ID, size as u64), 3), [0, 1]);
        stage.gives(3, 0);
        assert_said(stage.gives(3, 1), lines![format!("metadata of {size} bytes")]);
    }
}

#[test]
fn who_sends_all_of_wrong_metadata_is_banned() {
    let mut stage = wanted(config(), large(), "");
    let size = stage.torrent.info_bytes().len();
    stage.claims(1, A_ID, size as u64);
    stage.receive(1, &data(0, size, &[b'x'; 16_384]));
    let said = stage.receive(1, &data(1, size, &vec![b'x'; size - 16_384]));
    let wrong = "metadata corrupt, from [10.0.0.1:5000]".to_owned();
    assert!(said.contains(&wrong) && said.contains(&"close 1 CorruptMetadata".to_owned()), "{said:?}");
    let again = stage.hear(Input::Accepted(SessionStreamId(5), "10.0.0.1:5001".parse().unwrap()));
    assert_said(again, lines!["close 5"]);
    assert_eq!(asked(&stage.claims(3, B_ID, size as u64), 3), [0, 1]);
}

#[test]
fn after_wrong_metadata_of_several_peers_one_at_a_time_gives_all() {
    let mut stage = wanted(config(), large(), "");
    let size = stage.torrent.info_bytes().len();
    stage.claims(1, A_ID, size as u64);
    stage.claims(3, B_ID, size as u64);
    stage.wait(1.1);
    // A lies about the first piece; B gives the second.
    stage.receive(1, &data(0, size, &[b'x'; 16_384]));
    let said = stage.gives(3, 1);
    let wrong = "metadata corrupt, from [10.0.0.1:5000, 10.0.0.3:5000]".to_owned();
    assert!(said.contains(&wrong), "{said:?}");
    // Whose turn it is gives all of it, and B is asked for nothing.
    assert_eq!((asked(&said, 1), asked(&said, 3)), (vec![0, 1], vec![]));
    stage.receive(1, &data(0, size, &[b'x'; 16_384]));
    let said = stage.gives(1, 1);
    assert!(said.contains(&"close 1 CorruptMetadata".to_owned()), "{said:?}");
    assert_eq!(asked(&said, 3), [0, 1]);
    stage.gives(3, 0);
    assert_said(stage.gives(3, 1), lines![format!("metadata of {size} bytes")]);
}

#[test]
fn a_turn_that_takes_too_long_is_the_next_peers() {
    let mut stage = wanted(config(), large(), "");
    let size = stage.torrent.info_bytes().len();
    stage.claims(1, A_ID, size as u64);
    stage.claims(3, B_ID, size as u64);
    stage.wait(1.1);
    stage.receive(1, &data(0, size, &[b'x'; 16_384]));
    assert_eq!(asked(&stage.gives(3, 1), 1), [0, 1]);
    // A gives one piece, and never the other.
    stage.gives(1, 0);
    assert_eq!(asked(&stage.wait(50.0), 3), []);
    assert_eq!(asked(&stage.wait(15.0), 3), [0, 1]);
    // What A gives now is not mixed with what B gives.
    stage.gives(1, 1);
    stage.gives(3, 0);
    assert_said(stage.gives(3, 1), lines![format!("metadata of {size} bytes")]);
}

#[test]
fn three_sizes_are_tried_and_an_honest_fourth_has_its_turn() {
    let mut stage = wanted(config(), large(), "");
    let size = stage.torrent.info_bytes().len();
    for (stream, id) in [(1, A_ID), (3, B_ID), (5, C_ID)] {
        let claimed = 10_000_000 + u64::from(stream);
        assert_eq!(asked(&stage.claims(stream, id, claimed), stream), [0, 1], "{stream}");
    }
    // They give a piece now and then, for ever.
    assert_eq!(asked(&stage.claims(7, D_ID, size as u64), 7), []);
    let mut said = Vec::new();
    for round in 0..4 {
        for stream in [1, 3, 5] {
            let claimed = 10_000_000 + stream as usize;
            stage.receive(stream, &data(round, claimed, &[b'x'; 16_384]));
        }
        said.extend(stage.wait(6.0));
    }
    assert_eq!(asked(&said, 7), [0, 1]);
    stage.gives(7, 0);
    assert_said(stage.gives(7, 1), lines![format!("metadata of {size} bytes")]);
}

#[test]
fn a_size_that_nobody_claims_any_longer_gives_way_at_once() {
    let mut stage = wanted(config(), large(), "");
    let size = stage.torrent.info_bytes().len() as u64;
    for (stream, id) in [(1, A_ID), (3, B_ID), (5, C_ID)] {
        stage.claims(stream, id, 20_000 + u64::from(stream));
        stage.closed(stream, crate::session::CloseReason::ByRemote);
    }
    assert_eq!(asked(&stage.claims(7, D_ID, size), 7), [0, 1]);
}

#[test]
fn metadata_that_is_not_there_is_rejected_and_then_served_while_pieces_are_missing() {
    let mut stage = wanted(config(), large(), "");
    let size = stage.torrent.info_bytes().len();
    stage.claims(1, A_ID, size as u64);
    // B has no metadata, and asks for it under an id of its own.
    stage.hear(Input::Accepted(SessionStreamId(3), "10.0.0.3:5000".parse().unwrap()));
    stage.receive(3, &stage.handshake(EXTENDED, B_ID));
    stage.receive(3, &extended(0, "d1:md11:ut_metadatai77eee", b""));
    let wants = |piece: u32| extended(2, &format!("d8:msg_typei0e5:piecei{piece}ee"), b"");
    let rejects = |piece: u32| extended(77, &format!("d8:msg_typei2e5:piecei{piece}ee"), b"");
    assert_said(stage.receive(3, &wants(0)), lines![sent(3, &rejects(0))]);
    stage.gives(1, 0);
    // Half of it cannot be verified.
    assert_said(stage.receive(3, &wants(0)), lines![sent(3, &rejects(0))]);
    stage.gives(1, 1);
    let info = stage.torrent.info_bytes().clone();
    let piece = |number: u32, part: &[u8]| {
        extended(77, &format!("d8:msg_typei1e5:piecei{number}e10:total_sizei{size}ee"), part)
    };
    assert_said(stage.receive(3, &wants(1)), lines![sent(3, &piece(1, &info[16_384..]))]);
    let said = stage.described(&[]);
    // B hears of the size; A has it.
    assert!(
        said.iter().any(
            |line| line.starts_with("send 3 ") && line.contains("6d 65 74 61 64 61 74 61 5f 73 69 7a 65")
        )
    );
    assert!(!said.iter().any(|line| line.starts_with("send 1 ")), "{said:?}");
    assert_said(stage.receive(3, &wants(0)), lines![sent(3, &piece(0, &info[..16_384]))]);
    assert_said(stage.receive(3, &wants(2)), lines![sent(3, &rejects(2))]);
    assert_said(stage.receive(3, &wants(u32::MAX)), lines![sent(3, &rejects(u32::MAX))]);
}

#[test]
fn what_a_peer_said_of_its_pieces_is_judged_once_they_are_known() {
    for (message, violation) in [
        (vec![0, 0, 0, 2, 5, 0xc0], None),
        (vec![0, 0, 0, 2, 5, 0xe0], Some("Malformed(\"a bitfield without bits beyond the last piece\")")),
        (vec![0, 0, 0, 3, 5, 0xc0, 0], Some("Malformed(\"a bitfield with a bit for each piece\")")),
        (vec![0, 0, 0, 5, 4, 0, 0, 0, 2], Some("OutOfRange")),
        (vec![0, 0, 0, 5, 4, 0xff, 0xff, 0xff, 0xff], Some("OutOfRange")),
        (HAVE_ALL.to_vec(), None),
    ] {
        let mut stage = wanted(config(), torrent(40_000, 32_768, &[], ""), "");
        let size = stage.torrent.info_bytes().len() as u64;
        stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.1:5000".parse().unwrap()));
        stage.receive(1, &stage.handshake(EXTENDED, A_ID));
        assert_said(stage.receive(1, &message), &[]);
        stage.receive(1, &hello(size));
        stage.gives(1, 0);
        let said = stage.described(&[]);
        match violation {
            None => assert_said(said, lines![sent(1, &INTERESTED)]),
            Some(violation) => assert!(said.contains(&format!("close 1 {violation}")), "{said:?}"),
        }
    }
    // From then on a bitfield has its length.
    let mut stage = wanted(config(), torrent(40_000, 32_768, &[], ""), "");
    let size = stage.torrent.info_bytes().len() as u64;
    stage.claims(1, A_ID, size);
    stage.gives(1, 0);
    stage.described(&[]);
    let said = stage.receive(1, &[0, 0, 0, 3, 5, 0, 0]);
    assert!(
        said.contains(&"close 1 Malformed(\"a bitfield with a bit for each piece\")".to_owned()),
        "{said:?}"
    );
}

#[test]
fn what_is_kept_of_a_peer_before_the_metadata_has_a_bound() {
    let stage = || {
        let mut stage = wanted(config(), large(), "");
        stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.1:5000".parse().unwrap()));
        stage.receive(1, &stage.handshake(EXTENDED, A_ID));
        stage
    };
    let mut one = stage();
    let said = one.receive(1, &[&numbers(&[1024 * 1024 + 2])[..], &[5]].concat());
    assert!(said.contains(&"close 1 Malformed(\"a bitfield of at most 1 MiB\")".to_owned()), "{said:?}");
    let mut one = stage();
    let bitfield = [&numbers(&[1024 * 1024 + 1])[..], &[5], &vec![0; 1024 * 1024]].concat();
    assert_said(one.receive(1, &bitfield), &[]);
    // Haves for pieces that nobody can count cost as much as what says nothing.
    let mut one = stage();
    let haves: Vec<u8> =
        (0..20_000).flat_map(|piece| [&[0, 0, 0, 5, 4][..], &numbers(&[piece])].concat()).collect();
    let said = one.receive(1, &haves);
    assert!(said.contains(&"close 1 Flood(\"messages that change nothing\")".to_owned()), "{said:?}");
}

#[test]
fn a_run_that_finds_its_pieces_on_disk_tells_of_them() {
    let mut stage = wanted(config(), torrent(40_000, 32_768, &[], ""), "");
    let size = stage.torrent.info_bytes().len() as u64;
    stage.claims(1, A_ID, size);
    stage.gives(1, 0);
    assert_said(stage.described(&[1]), lines![sent(1, &[0, 0, 0, 5, 4, 0, 0, 0, 1])]);
    let mut stage = wanted(Config { seeding: None, ..config() }, torrent(40_000, 32_768, &[], ""), "");
    stage.claims(1, A_ID, size);
    stage.gives(1, 0);
    let said = stage.described(&[0, 1]);
    assert!(said.contains(&"complete".to_owned()) && said.contains(&"done".to_owned()), "{said:?}");
    // With a goal for seeding it stays, and serves.
    let seeding = Config { seeding: Some(SeedGoal::default()), ..config() };
    let mut stage = wanted(seeding, torrent(40_000, 32_768, &[], ""), "");
    stage.claims(1, A_ID, size);
    stage.gives(1, 0);
    assert!(!stage.described(&[0, 1]).contains(&"done".to_owned()));
    stage.receive(1, &INTERESTED);
    assert_said(stage.receive(1, &about(6, 1, 0, 100)), lines!["load 1 1 0 100"]);
}

#[test]
fn a_link_with_two_hashes_of_different_torrents_ends_the_run() {
    let torrent = torrent(40_000, 32_768, &[], "");
    let info = torrent.info_bytes().clone();
    let link =
        |v2: [u8; 32]| format!("magnet:?xt=urn:btih:{}&xt=urn:btmh:1220{}", torrent.info_hash, Hex(&v2));
    for (v2, said) in [(Sha256::digest(&info).into(), "metadata of"), ([7; 32], "metadata disagrees")] {
        let mut stage = Stage::of_magnet(config(), torrent.clone(), &link(v2));
        stage.claims(1, A_ID, info.len() as u64);
        let lines = stage.gives(1, 0);
        assert!(lines.iter().any(|line| line.starts_with(said)), "{lines:?}");
        assert_eq!(lines.contains(&"done".to_owned()), v2 == [7; 32]);
    }
}

#[test]
fn a_link_of_version_2_goes_by_the_first_20_bytes_of_its_hash() {
    let torrent = torrent(40_000, 32_768, &[], "");
    let v2: [u8; 32] = Sha256::digest(torrent.info_bytes()).into();
    let mut stage = Stage::of_magnet(config(), torrent, &format!("magnet:?xt=urn:btmh:1220{}", Hex(&v2)));
    stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.1:5000".parse().unwrap()));
    let short: [u8; 20] = *v2.first_chunk().unwrap();
    let said = stage.receive(1, &handshake(EXTENDED, &short, A_ID));
    assert!(said.contains(&"connected 1".to_owned()), "{said:?}");
    stage.receive(1, &hello(stage.torrent.info_bytes().len() as u64));
    let said = stage.gives(1, 0);
    assert!(said.iter().any(|line| line.starts_with("metadata of")), "{said:?}");
}

#[test]
fn peers_of_the_link_are_dialled_by_address_and_by_name_but_not_at_ports_of_services() {
    let more = "&x.pe=10.0.0.1:6881&x.pe=%5Bfd00::1%5D:6882&x.pe=peer.test:6883&x.pe=10.0.0.1:80&x.pe=169.254.169.254:80";
    let mut stage = wanted(config(), large(), more);
    let said = stage.said();
    assert_said(said, lines!["resolve peer.test:6883", "open 0 10.0.0.1:6881", "open 2 [fd00::1]:6882"]);
    let name = crate::HostPort { host: "peer.test".to_owned(), port: 6883 };
    let found = ["10.0.0.7:6883".parse().unwrap(), "10.0.0.8:22".parse().unwrap()];
    let said = stage.hear(Input::Resolved(name, Ok(found.to_vec())));
    assert_said(said, lines!["open 4 10.0.0.7:6883"]);
}

#[test]
fn peers_that_no_tracker_named_are_left_when_the_torrent_is_private() {
    let private = || torrent(40_000, 32_768, &[], "7:privatei1e");
    let more = "&tr=http://t.test/announce&x.pe=10.0.0.1:6881&x.pe=10.0.0.5:6881";
    let mut stage = wanted(Config { max_half_open: 1, ..config() }, private(), more);
    let said = stage.said();
    assert_said(said, lines!["open 0 http t.test 80", "open 2 10.0.0.1:6881"]);
    stage.opened(2, "10.0.0.1:6881");
    stage.receive(2, &stage.handshake(EXTENDED, A_ID));
    stage.receive(2, &hello(stage.torrent.info_bytes().len() as u64));
    stage.gives(2, 0);
    let said = stage.described(&[]);
    assert!(said.contains(&"close 2 NotOfTracker".to_owned()), "{said:?}");
    // Whom the tracker names is dialled, and nobody else.
    stage.opened(0, "10.0.0.9:80");
    let mut said = stage.receive(0, &answer(&PEER_B));
    said.extend(stage.wait(300.0));
    let dialled =
        |address: &str| said.iter().any(|line| line.starts_with("open ") && line.ends_with(address));
    assert!(dialled("10.0.0.2:6881"), "{said:?}");
    assert!(!dialled("10.0.0.1:6881") && !dialled("10.0.0.5:6881"), "{said:?}");
}

/// Whether a host may be in a local network is the word at the end of its line.
#[test]
fn trackers_of_a_link_are_asked_for_plain_announces_only_in_the_local_network() {
    for (tracker, host, is_plain) in [
        ("http://t.test/announce", "t.test", true),
        ("http://t.test/announce?key=1", "t.test", false),
        ("http://192.168.1.1/setup.cgi?do=reset", "192.168.1.1", false),
        ("http://169.254.169.254/latest/meta-data", "169.254.169.254", false),
    ] {
        let more = format!("&tr={}", tracker.replace('?', "%3F"));
        let guarded = Config { allow_local: false, ..config() };
        for (config, may_be_local) in [(guarded, is_plain), (config(), true)] {
            let public = if may_be_local { "" } else { " public" };
            let mut stage = wanted(config, large(), &more);
            assert_said(stage.said(), lines![&format!("open 0 http {host} 80{public}")]);
        }
    }
    // A server of the Internet does not redirect there.
    let guarded = Config { allow_local: false, ..config() };
    let mut stage = wanted(guarded, large(), "&tr=http://t.test/announce");
    stage.said();
    stage.opened(0, "203.0.113.9:80");
    let moved = b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/announce\r\nContent-Length: 0\r\n\r\n";
    let said = stage.receive(0, moved);
    assert!(said.contains(&"open 2 http 10.0.0.1 80 public".to_owned()), "{said:?}");
}

#[test]
fn encryption_begins_with_the_info_hash_before_the_metadata_has_come() {
    let mut config = config();
    config.profile.encryption =
        EncryptionProfile { max_padding: 0, ..EncryptionProfile::own(EncryptionPolicy::Require) };
    let mut stage = wanted(config, large(), "&x.pe=10.0.0.1:6881");
    stage.said();
    let said = stage.opened(0, "10.0.0.1:6881");
    // A public key of 96 bytes, and no clear handshake.
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].split(' ').count(), 2 + 96, "{said:?}");
    // Any key of the other end makes the secret known; the secret is kept with the torrent's info hash.
    let said = stage.receive(0, &[3; 96]);
    let hash = stage.torrent.info_hash;
    assert_eq!(said[0], format!("secret 0 {hash}"), "{said:?}");
}

#[test]
fn a_run_of_one_peer_leaves_a_peer_that_gives_no_metadata() {
    let mut stage = wanted(single(), large(), "&tr=http://t.test/announce");
    stage.announced(&[PEER_A, PEER_B]);
    stage.opened(2, "10.0.0.1:6881");
    stage.receive(2, &stage.handshake(EXTENDED, A_ID));
    let said = stage.wait(61.0);
    assert!(said.contains(&"close 2 Useless".to_owned()), "{said:?}");
    assert!(said.contains(&"open 4 10.0.0.2:6881".to_owned()), "{said:?}");
}
