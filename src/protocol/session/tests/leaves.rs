//! Leaves of hash trees (BEP 52): they name who sent a bad block, and are served to those that ask.

use super::hashes::{about_hashes, layers_of};
use super::support::*;
use super::trees::{Described, tree_torrent};
use crate::lines;
use crate::session::{Input, PieceOrder, SeedGoal, SessionStreamId};

const LEAF: usize = 16 * 1024;
const PIECE: usize = 4 * LEAF;

/// A download of the first piece from peers 2 and 4, of which each is asked for two blocks, and peer 4 sends a wrong byte in its
/// second. Peer 11 has all pieces and chokes us. What is said then, and where peer 4 is.
fn with_a_bad_block(length: usize, described: Described) -> (Stage, Vec<String>, String) {
    let (torrent, row) = tree_torrent(&[length], PIECE, described);
    let mut config = config();
    config.seeding = Some(SeedGoal::default());
    config.profile.piece_order = PieceOrder::InOrder;
    config.profile.random_pieces = 0;
    config.profile.initial_pipeline = 2;
    config.profile.max_pipeline = 2;
    let mut stage = Stage::new(config, torrent, &[]);
    stage.content = row;
    // So that all connections are of version 2.
    let v2 = stage.torrent.truncated_v2().unwrap();
    let opened = stage.announced(&[PEER_A, PEER_B]);
    stage.hear(Input::Accepted(SessionStreamId(11), "10.0.0.11:5000".parse().unwrap()));
    let mut id = *A_ID;
    id[19] = b'c';
    stage.receive(11, &[&handshake(FAST, &v2.0, &id)[..], &HAVE_ALL].concat());
    let mut asked = Vec::new();
    for (stream, id) in [(2, A_ID), (4, B_ID)] {
        stage.opened(stream, &address_of(&opened, stream));
        let said = stage.receive(stream, &[&handshake(FAST, &v2.0, id)[..], &HAVE_ALL, &UNCHOKE].concat());
        asked.extend(said.iter().flat_map(|line| requests(line)));
    }
    let blocks: Vec<_> = asked.iter().map(|(stream, index, begin, _)| (*stream, *index, *begin)).collect();
    assert_eq!(blocks, [(2, 0, 0), (2, 0, 16_384), (4, 0, 32_768), (4, 0, 49_152)]);
    let mut said = Vec::new();
    for (stream, index, begin, length) in asked {
        let mut block = stage.block(index, begin, length);
        if begin == 49_152 {
            *block.last_mut().unwrap() ^= 1;
        }
        said = stage.receive(stream, &block);
    }
    assert!(said.iter().any(|line| line.starts_with("piece 0 corrupt")), "{said:?}");
    (stage, said, address_of(&opened, 4))
}

/// Where a stream leads: which peer is dialled first is drawn.
fn address_of(opened: &[String], stream: u32) -> String {
    let begin = format!("open {stream} ");
    opened.iter().find_map(|line| line.strip_prefix(&begin)).unwrap().to_owned()
}

/// Those addresses that are banned, of the two that the tracker named.
fn banned(stage: &Stage) -> Vec<&'static str> {
    let is_banned = |host: &&str| stage.session.core.swarm.is_banned(host.parse().unwrap());
    ["10.0.0.1:6881", "10.0.0.2:6881"].into_iter().filter(is_banned).collect()
}

fn leaves(stage: &Stage) -> Vec<[u8; 32]> {
    layers_of(&stage.content[..PIECE.min(stage.content.len())])[0].clone()
}

fn root(stage: &Stage) -> [u8; 32] {
    stage.torrent.files[0].pieces_root.unwrap()
}

/// Whether this is among what is sent to a peer.
fn is_sent(lines: &[String], stream: u32, bytes: &[u8]) -> bool {
    let wanted: String = bytes.iter().map(|byte| format!(" {byte:02x}")).collect();
    lines.iter().any(|line| line.starts_with(&format!("send {stream} ")) && line.contains(&wanted))
}

#[test]
fn a_bad_block_names_its_sender_before_the_piece_comes_again() {
    for length in [PIECE, 3 * PIECE] {
        for described in [Described::Tree, Described::Both] {
            let (mut stage, said, guilty) = with_a_bad_block(length, described);
            let (root, leaves) = (root(&stage), leaves(&stage));
            assert!(is_sent(&said, 11, &about_hashes(21, &root, 0, 4, 0, &[])), "{said:?}");
            let said = stage.receive(11, &about_hashes(22, &root, 0, 4, 0, &leaves));
            assert!(said.contains(&"close 4 CorruptPiece(PieceIndex(0))".to_owned()), "{said:?}");
            assert!(
                !said.iter().any(|line| line.starts_with("close 2") || line.starts_with("close 11")),
                "{said:?}"
            );
            assert_eq!(banned(&stage), [guilty]);
        }
    }
}

#[test]
fn leaves_that_do_not_lead_to_the_piece_name_who_sent_them() {
    let (mut stage, said, guilty) = with_a_bad_block(3 * PIECE, Described::Tree);
    let root = root(&stage);
    let mut wrong = leaves(&stage);
    wrong.swap(0, 3);
    // Three peers at the most are asked, those that gave blocks as well.
    for stream in [2, 4, 11] {
        assert!(is_sent(&said, stream, &about_hashes(21, &root, 0, 4, 0, &[])), "{said:?}");
    }
    let said = stage.receive(11, &about_hashes(22, &root, 0, 4, 0, &wrong));
    assert!(said.contains(&"close 11 CorruptHashes".to_owned()), "{said:?}");
    assert!(!said.iter().any(|line| line.starts_with("close 4")), "{said:?}");
    // The answer of any other will do, even that of the one at fault.
    let right = leaves(&stage);
    let said = stage.receive(4, &about_hashes(22, &root, 0, 4, 0, &right));
    assert!(said.contains(&"close 4 CorruptPiece(PieceIndex(0))".to_owned()), "{said:?}");
    assert!(banned(&stage).contains(&guilty.as_str()));
}

#[test]
fn without_leaves_the_piece_that_comes_again_names_the_sender() {
    let (mut stage, said, guilty) = with_a_bad_block(3 * PIECE, Described::Tree);
    for stream in [2, 4, 11] {
        stage.receive(stream, &about_hashes(23, &root(&stage), 0, 4, 0, &[]));
    }
    let asked: Vec<String> = [said, stage.wait(1.0)].concat();
    let said = stage.give(asked, Some(0));
    assert!(said.contains(&"keep 0".to_owned()), "{said:?}");
    assert_eq!(banned(&stage), [guilty]);
}

/// A seed of three pieces of four leaves, the last piece of two, and a peer that may ask.
fn seed() -> Stage {
    let (torrent, row) = tree_torrent(&[2 * PIECE + LEAF + 1], PIECE, Described::Tree);
    let mut config = config();
    config.seeding = Some(SeedGoal::default());
    let mut stage = Stage::new(config, torrent, &[0, 1, 2]);
    for (index, piece) in row.chunks(PIECE).enumerate() {
        let bytes = bytes::Bytes::copy_from_slice(piece);
        let index = crate::PieceIndex(index as u32);
        stage.disk.handle(&crate::session::Output::Store(index, 0, bytes));
    }
    stage.content = row;
    stage.said();
    stage.hear(Input::Accepted(SessionStreamId(11), "10.0.0.11:5000".parse().unwrap()));
    stage.receive(11, &stage.handshake(FAST, A_ID));
    stage
}

#[test]
fn leaves_are_served_with_their_proof() {
    let mut stage = seed();
    let (root, layers) = (root(&stage), layers_of(&stage.content));
    assert_eq!(layers.last().unwrap(), &[root]);
    for (index, length, proof, uncles) in [
        (4, 4, 0, vec![]),
        // As far as the piece, and beyond it to the root of sixteen leaves.
        (6, 2, 1, vec![layers[1][2]]),
        (6, 2, 3, vec![layers[1][2], layers[2][0], layers[3][1]]),
        (8, 4, 3, vec![layers[2][3], layers[3][0]]),
    ] {
        let hashes = [&layers[0][index as usize..(index + length) as usize], &uncles[..]].concat();
        let said = stage.receive(11, &about_hashes(21, &root, index, length, proof, &[]));
        assert_said(said, lines![sent(11, &about_hashes(22, &root, index, length, proof, &hashes))]);
    }
    // Of two pieces, and beyond the last.
    for (index, length) in [(0, 8), (12, 4)] {
        let said = stage.receive(11, &about_hashes(21, &root, index, length, 0, &[]));
        assert_said(said, lines![sent(11, &about_hashes(23, &root, index, length, 0, &[]))]);
    }
}

#[test]
fn a_peer_has_one_piece_read_at_a_time_and_all_of_them_eight() {
    let mut stage = seed();
    stage.disk_works = false;
    let root = root(&stage);
    let request = |index| about_hashes(21, &root, index, 4, 0, &[]);
    assert_said(stage.receive(11, &request(0)), &[]);
    assert_said(stage.receive(11, &request(4)), lines![sent(11, &about_hashes(23, &root, 4, 4, 0, &[]))]);
    for stream in (13..27).step_by(2) {
        let mut id = *B_ID;
        id[19] = stream as u8;
        stage
            .hear(Input::Accepted(SessionStreamId(stream), format!("10.0.1.{stream}:5000").parse().unwrap()));
        stage.receive(stream, &stage.handshake(FAST, &id));
        assert_said(stage.receive(stream, &request(0)), &[]);
    }
    let mut id = *B_ID;
    id[19] = 27;
    stage.hear(Input::Accepted(SessionStreamId(27), "10.0.1.27:5000".parse().unwrap()));
    stage.receive(27, &stage.handshake(FAST, &id));
    assert_said(stage.receive(27, &request(0)), lines![sent(27, &about_hashes(23, &root, 0, 4, 0, &[]))]);
}
