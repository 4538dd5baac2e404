//! Hashes of trees, from peers and to them (BEP 52): a peer may lie about them, or have none.

use std::sync::Arc;

use super::support::*;
use super::trees::{Described, handshake_of, tree_torrent};
use crate::lines;
use crate::session::{Input, LayerStatus, Output, SessionStreamId};
use crate::{Hex, Metainfo, PieceIndex};

const PIECE: usize = 16 * 1024;

/// A file of 600 pieces, and one of a piece and a byte: three ranges of hashes, each with its proof.
fn lengths() -> [usize; 2] {
    [600 * PIECE, PIECE + 1]
}

fn torrent_of_trees() -> (Metainfo, Vec<u8>) {
    tree_torrent(&lengths(), PIECE, Described::Tree)
}

/// An extended message: its length, 20, its id, and what follows.
fn extended(id: u8, text: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = numbers(&[2 + (text.len() + data.len()) as u32]);
    bytes.extend([20, id]);
    bytes.extend(text.bytes());
    bytes.extend(data);
    bytes
}

/// A message about a range of hashes of a file's pieces: a request (21), hashes (22), or a reject (23). Pieces of 16 KiB are
/// leaves.
pub(super) fn about_hashes(
    id: u8,
    root: &[u8],
    index: u32,
    length: u32,
    proof_layers: u32,
    hashes: &[[u8; 32]],
) -> Vec<u8> {
    let mut bytes = numbers(&[49 + hashes.len() as u32 * 32]);
    bytes.push(id);
    bytes.extend(root);
    bytes.extend(numbers(&[0, index, length, proof_layers]));
    bytes.extend(hashes.concat());
    bytes
}

/// The nodes of a file's tree, a list a layer, from its bytes.
pub(super) fn layers_of(bytes: &[u8]) -> Vec<Vec<[u8; 32]>> {
    use sha2::{Digest, Sha256};
    let mut nodes: Vec<[u8; 32]> = bytes.chunks(PIECE).map(|leaf| Sha256::digest(leaf).into()).collect();
    nodes.resize(nodes.len().next_power_of_two(), [0; 32]);
    let mut layers = vec![nodes];
    while layers.last().unwrap().len() > 1 {
        let above = layers.last().unwrap().chunks(2).map(|two| Sha256::digest(two.concat()).into());
        layers.push(above.collect());
    }
    layers
}

/// A session of a link by its hash of version 2, which has the info dictionary from this peer.
fn informed() -> (Stage, Vec<String>) {
    let (torrent, row) = torrent_of_trees();
    let link = format!("magnet:?xt=urn:btmh:1220{}", Hex(&torrent.info_hash_v2.unwrap()));
    let mut stage = Stage::of_magnet(config(), torrent, &link);
    stage.content = row;
    let said = inform(&mut stage, 11, A_ID);
    (stage, said)
}

/// A peer calls and has the metadata; what is said when it has given it.
fn inform(stage: &mut Stage, stream: u32, id: &[u8; 20]) -> Vec<String> {
    inform_with(stage, stream, id, EXTENDED)
}

/// The same from a peer with these reserved bytes.
fn inform_with(stage: &mut Stage, stream: u32, id: &[u8; 20], reserved: [u8; 8]) -> Vec<String> {
    let address = format!("10.0.0.{stream}:5000").parse().unwrap();
    stage.hear(Input::Accepted(SessionStreamId(stream), address));
    let greeted = stage.receive(stream, &stage.handshake(reserved, id));
    let info = stage.torrent.info_bytes().clone();
    let hello = extended(0, &format!("d1:md11:ut_metadatai9ee13:metadata_sizei{}ee", info.len()), b"");
    let asked = stage.receive(stream, &hello);
    if stage.session.core.torrent.info().is_some() {
        return [greeted, asked].concat();
    }
    let data = format!("d8:msg_typei1e5:piecei0e10:total_sizei{}ee", info.len());
    stage.receive(stream, &extended(2, &data, &info))
}

/// The three requests, in their order by root, and their answers.
fn exchanges(stage: &Stage) -> Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let mut exchanges = Vec::new();
    let mut files: Vec<(usize, &[u8])> = Vec::new();
    let mut start = 0;
    for (number, length) in lengths().into_iter().enumerate() {
        files.push((number, &stage.content[start..start + length]));
        start += length.next_multiple_of(PIECE);
    }
    for (number, bytes) in files {
        let root = stage.torrent.files[number].pieces_root.unwrap();
        let layers = layers_of(bytes);
        assert_eq!(layers.last().unwrap(), &[root]);
        let length = layers[0].len().min(512) as u32;
        let proof = layers.len() as u32 - 2;
        for index in (0..layers[0].len() as u32).step_by(length as usize) {
            let mut hashes = layers[0][index as usize..(index + length) as usize].to_vec();
            // The one uncle of half of 1,024 leaves.
            hashes.extend((length == 512).then(|| layers[9][(1 - index / 512) as usize]));
            exchanges.push((
                about_hashes(21, &root, index, length, proof, &[]),
                about_hashes(22, &root, index, length, proof, &hashes),
                about_hashes(23, &root, index, length, proof, &[]),
            ));
        }
    }
    exchanges
}

fn has_asked(lines: &[String], stream: u32, request: &[u8]) -> bool {
    let wanted: String = request.iter().map(|byte| format!("{byte:02x} ")).collect();
    let is_in = |line: &String| format!("{line} ").contains(wanted.trim_end());
    lines.iter().any(|line| line.starts_with(&format!("send {stream} ")) && is_in(line))
}

#[test]
fn piece_layers_are_fetched_after_the_info_dictionary_and_before_it_is_handed_out() {
    let (mut stage, said) = informed();
    let exchanges = exchanges(&stage);
    assert!(exchanges.iter().all(|(request, ..)| has_asked(&said, 11, request)), "{said:?}");
    assert!(!said.iter().any(|line| line.starts_with("metadata")), "{said:?}");
    let mut last = Vec::new();
    for (_, hashes, _) in exchanges.iter().rev() {
        assert!(!last.iter().any(|line: &String| line.starts_with("metadata")), "{last:?}");
        last = stage.receive(11, hashes);
    }
    let info = stage.torrent.info_bytes().len();
    assert_said(last, &[format!("metadata of {info} bytes, 2 layers")]);
    // The driver reads both, and the download begins.
    let said = stage.hear(Input::Described(Arc::clone(&stage.torrent), vec![PieceIndex(0)]));
    assert_said(said, &[sent(11, &[0, 0, 0, 5, 4, 0, 0, 0, 0])]);
}

#[test]
fn what_is_waited_for_is_told_while_piece_layers_alone_are_missing() {
    let (mut stage, _) = informed();
    let exchanges = exchanges(&stage);
    let layers =
        |stage: &Stage| stage.session.status(stage.now).metadata.and_then(|metadata| metadata.layers);
    let status = stage.session.status(stage.now).metadata.unwrap();
    assert_eq!(
        (status.received, status.size),
        (stage.torrent.info_bytes().len() as u64, Some(status.received))
    );
    assert_eq!(layers(&stage), Some(LayerStatus { received: 0, wanted: 602, peers: 1 }));
    let answered = exchanges.iter().position(|(_, hashes, _)| hashes.len() < 200).unwrap();
    stage.receive(11, &exchanges[answered].1);
    assert_eq!(layers(&stage), Some(LayerStatus { received: 2, wanted: 602, peers: 1 }));
    stage.closed(11, crate::session::CloseReason::ByRemote);
    assert_eq!(layers(&stage), Some(LayerStatus { received: 2, wanted: 602, peers: 0 }));
}

/// A session of a link with both hashes of a hybrid torrent, which has the info dictionary from a peer that offers these
/// extensions in its reserved bytes.
fn informed_of_both(reserved: [u8; 8]) -> (Stage, Vec<String>) {
    let (torrent, row) = tree_torrent(&lengths(), PIECE, Described::Both);
    let v2 = Hex(&torrent.info_hash_v2.unwrap()).to_string();
    let link = format!("magnet:?xt=urn:btih:{}&xt=urn:btmh:1220{v2}", torrent.info_hash);
    let mut stage = Stage::of_magnet(config(), torrent, &link);
    stage.content = row;
    let said = inform_with(&mut stage, 11, A_ID, reserved);
    (stage, said)
}

const OFFERS_V2: [u8; 8] = [0, 0, 0, 0, 0, 0x10, 0, 0x14];

#[test]
fn piece_layers_of_a_hybrid_torrent_come_from_peers_of_version_2() {
    let (mut stage, said) = informed_of_both(OFFERS_V2);
    let exchanges = exchanges(&stage);
    assert!(exchanges.iter().all(|(request, ..)| has_asked(&said, 11, request)), "{said:?}");
    let last = exchanges.iter().flat_map(|(_, hashes, _)| stage.receive(11, hashes)).collect();
    assert_said(last, &[format!("metadata of {} bytes, 2 layers", stage.torrent.info_bytes().len())]);
}

#[test]
fn a_hybrid_torrent_is_begun_without_piece_layers_where_nobody_gives_them() {
    // A peer of version 1 cannot be asked.
    let (stage, said) = informed_of_both(EXTENDED);
    let begun = format!("metadata of {} bytes", stage.torrent.info_bytes().len());
    assert_eq!(said.last(), Some(&begun));
    // One that does not answer is waited for 10 s, unless it goes.
    let (mut stage, said) = informed_of_both(OFFERS_V2);
    assert!(!said.contains(&begun), "{said:?}");
    assert!(!stage.wait(9.0).contains(&begun));
    assert!(stage.wait(2.0).contains(&begun));
    assert!(!stage.wait(20.0).contains(&begun), "twice");
    let (mut stage, _) = informed_of_both(OFFERS_V2);
    assert!(stage.closed(11, crate::session::CloseReason::ByRemote).contains(&begun));
}

/// A session of a link with the SHA-1 alone of a hybrid torrent, which has the info dictionary from a peer that it dialled, and that
/// offers these extensions.
fn informed_by_sha1(reserved: [u8; 8]) -> (Stage, Vec<String>) {
    let (torrent, row) = tree_torrent(&lengths(), PIECE, Described::Both);
    let link = format!("magnet:?xt=urn:btih:{}&x.pe=10.0.0.7:5000", torrent.info_hash);
    let mut stage = Stage::of_magnet(config(), torrent, &link);
    stage.content = row;
    assert_eq!(stage.said(), ["open 0 10.0.0.7:5000"]);
    stage.opened(0, "10.0.0.7:5000");
    stage.receive(0, &stage.handshake(reserved, A_ID));
    let info = stage.torrent.info_bytes().clone();
    let hello = extended(0, &format!("d1:md11:ut_metadatai9ee13:metadata_sizei{}ee", info.len()), b"");
    stage.receive(0, &hello);
    let data = format!("d8:msg_typei1e5:piecei0e10:total_sizei{}ee", info.len());
    let said = stage.receive(0, &extended(2, &data, &info));
    (stage, said)
}

#[test]
fn a_link_with_the_sha1_alone_of_a_hybrid_torrent_has_its_piece_layers_from_peers_that_are_connected_anew() {
    let (mut stage, said) = informed_by_sha1(OFFERS_V2);
    let begun = format!("metadata of {} bytes", stage.torrent.info_bytes().len());
    assert!(!said.contains(&begun), "{said:?}");
    assert!(
        said.contains(&"close 0".to_owned()) && said.contains(&"open 2 10.0.0.7:5000".to_owned()),
        "{said:?}"
    );
    // We offer version 2 now, and are answered with its hash.
    let hello = stage.opened(2, "10.0.0.7:5000");
    assert_eq!(handshake_of(&hello[0]), (stage.torrent.info_hash.to_string(), "14".to_owned()));
    let v2 = stage.torrent.truncated_v2().unwrap();
    let mut said = stage.receive(2, &handshake(OFFERS_V2, &v2.0, A_ID));
    let exchanges = exchanges(&stage);
    assert!(exchanges.iter().all(|(request, ..)| has_asked(&said, 2, request)), "{said:?}");
    for (_, hashes, _) in &exchanges {
        said = stage.receive(2, hashes);
    }
    assert_said(said, &[format!("{begun}, 2 layers")]);
}

#[test]
fn a_link_with_the_sha1_alone_is_begun_without_piece_layers_where_nobody_has_them() {
    // A peer of version 1 is not connected to anew.
    let (stage, said) = informed_by_sha1(EXTENDED);
    let begun = format!("metadata of {} bytes", stage.torrent.info_bytes().len());
    assert!(said.contains(&begun) && !said.contains(&"close 0".to_owned()), "{said:?}");
    // One that is gone is not waited for, and one that does not come back for 5 s.
    let (mut stage, _) = informed_by_sha1(OFFERS_V2);
    assert!(stage.closed(2, crate::session::CloseReason::Refused).contains(&begun));
    let (mut stage, said) = informed_by_sha1(OFFERS_V2);
    assert!(!said.contains(&begun), "{said:?}");
    assert!(!stage.wait(4.0).contains(&begun));
    assert!(stage.wait(1.5).contains(&begun));
}

/// libtorrent answers by the hash of version 2 where it remembers that an address took it, though the link does not have that hash.
#[test]
fn a_peer_that_answers_by_an_unknown_hash_is_judged_by_the_metadata() {
    for (first, second) in [(true, false), (false, true)] {
        let (torrent, row) = tree_torrent(&lengths(), PIECE, Described::Both);
        let link = format!("magnet:?xt=urn:btih:{}&x.pe=10.0.0.7:5000&x.pe=10.0.0.8:5000", torrent.info_hash);
        let mut stage = Stage::of_magnet(config(), torrent, &link);
        stage.content = row;
        let v2 = stage.torrent.truncated_v2().unwrap().0;
        let opened: Vec<(u32, String)> = stage
            .said()
            .iter()
            .filter_map(|line| line.strip_prefix("open ")?.split_once(' '))
            .map(|(stream, address)| (stream.parse().unwrap(), address.to_owned()))
            .collect();
        assert_eq!(opened.len(), 2);
        for ((stream, address), (is_right, id)) in opened.iter().zip([(first, A_ID), (second, B_ID)]) {
            stage.opened(*stream, address);
            let hash = if is_right { v2 } else { [9; 20] };
            let said = stage.receive(*stream, &handshake(OFFERS_V2, &hash, id));
            assert!(said.contains(&format!("connected {stream}")), "{said:?}");
        }
        // The first one gives the metadata, whether its hash is right or not.
        let (giver, _) = opened[0];
        let info = stage.torrent.info_bytes().clone();
        let hello = extended(0, &format!("d1:md11:ut_metadatai9ee13:metadata_sizei{}ee", info.len()), b"");
        stage.receive(giver, &hello);
        let data = format!("d8:msg_typei1e5:piecei0e10:total_sizei{}ee", info.len());
        let said = stage.receive(giver, &extended(2, &data, &info));
        let (right, wrong) = if first { (0, 1) } else { (1, 0) };
        let fault = crate::session::Violation::WrongInfoHash(crate::InfoHash([9; 20]));
        assert!(said.contains(&format!("close {} {fault:?}", opened[wrong].0)), "{said:?}");
        // The other one is of version 2, and need not be connected to anew.
        let right = opened[right].0;
        assert!(!said.contains(&format!("close {right}")), "{said:?}");
        let exchanges = exchanges(&stage);
        assert!(exchanges.iter().all(|(request, ..)| has_asked(&said, right, request)), "{said:?}");
    }
}

/// Who calls must know what it calls for, and so must a peer of a torrent whose hashes are known.
#[test]
fn an_unknown_hash_of_a_caller_or_beside_a_known_one_is_refused() {
    let (torrent, _) = tree_torrent(&lengths(), PIECE, Described::Both);
    let fault = crate::session::Violation::WrongInfoHash(crate::InfoHash([9; 20]));
    let link = format!("magnet:?xt=urn:btih:{}", torrent.info_hash);
    let mut stage = Stage::of_magnet(config(), torrent.clone(), &link);
    stage.hear(Input::Accepted(SessionStreamId(11), "10.0.0.11:5000".parse().unwrap()));
    let said = stage.receive(11, &handshake(OFFERS_V2, &[9; 20], A_ID));
    assert!(said.contains(&format!("close 11 {fault:?}")), "{said:?}");
    let v2 = Hex(&torrent.info_hash_v2.unwrap()).to_string();
    let link = format!("{link}&xt=urn:btmh:1220{v2}&x.pe=10.0.0.7:5000");
    let mut stage = Stage::of_magnet(config(), torrent, &link);
    stage.said();
    stage.opened(0, "10.0.0.7:5000");
    let said = stage.receive(0, &handshake(OFFERS_V2, &[9; 20], A_ID));
    assert!(said.contains(&format!("close 0 {fault:?}")), "{said:?}");
}

#[test]
fn the_layers_that_are_handed_out_are_those_of_the_torrent() {
    let (mut stage, _) = informed();
    for (_, hashes, _) in exchanges(&stage) {
        stage.session.handle(stage.now, Input::Received(SessionStreamId(11), hashes.into()));
    }
    let layers = std::iter::from_fn(|| match stage.session.poll() {
        Output::Wait(_) | Output::Done => None,
        output => Some(output),
    })
    .find_map(|output| match output {
        Output::Metadata(_, layers) => Some(layers),
        _ => None,
    });
    let layers = layers.unwrap();
    for file in &stage.torrent.files {
        let root = file.pieces_root.unwrap();
        let wanted = (0..file.length.div_ceil(PIECE as u64) as u32)
            .map(|at| stage.torrent.layer_hash(root, at).unwrap());
        assert_eq!(layers[&root], wanted.collect::<Vec<_>>().concat());
    }
}

#[test]
fn a_peer_whose_hashes_do_not_lead_to_the_root_is_left_alone_and_others_are_asked() {
    let (mut stage, _) = informed();
    inform(&mut stage, 13, B_ID);
    let exchanges = exchanges(&stage);
    let mut wrong = exchanges[0].1.clone();
    wrong[60] ^= 1;
    let mut said = stage.receive(11, &wrong);
    assert!(said.contains(&"close 11 CorruptHashes".to_owned()), "{said:?}");
    assert!(stage.session.core.swarm.is_banned("10.0.0.11:5000".parse().unwrap()));
    said.extend(stage.wait(1.5));
    assert!(exchanges.iter().all(|(request, ..)| has_asked(&said, 13, request)), "{said:?}");
}

#[test]
fn a_peer_that_rejects_is_not_asked_for_a_while_and_others_are() {
    let (mut stage, _) = informed();
    let exchanges = exchanges(&stage);
    let said = stage.receive(11, &exchanges[1].2);
    assert!(!has_asked(&said, 11, &exchanges[1].0), "{said:?}");
    let said = inform(&mut stage, 13, B_ID);
    assert!(has_asked(&said, 13, &exchanges[1].0), "{said:?}");
    // Who does not answer is asked again after a while, as others are.
    let said = stage.wait(12.0);
    assert!(has_asked(&said, 11, &exchanges[1].0) || has_asked(&said, 11, &exchanges[0].0), "{said:?}");
}

#[test]
fn hashes_that_nobody_asked_for_are_passed_over() {
    let (mut stage, _) = informed();
    let exchanges = exchanges(&stage);
    // Right, but of another range than was asked for.
    let mut other = exchanges[2].1.clone();
    other[37..41].copy_from_slice(&[0, 0, 0, 1]);
    assert_said(stage.receive(11, &other), &[]);
    stage.receive(11, &exchanges[2].1);
    assert_said(stage.receive(11, &exchanges[2].1), &[]);
}

#[test]
fn hashes_are_served_from_the_piece_layers_up() {
    let (torrent, row) = torrent_of_trees();
    let mut config = config();
    config.seeding = Some(crate::session::SeedGoal::default());
    let all: Vec<u32> = (0..torrent.placement().unwrap().piece_count()).collect();
    let mut stage = Stage::new(config, torrent, &all);
    stage.content = row;
    stage.said();
    stage.hear(Input::Accepted(SessionStreamId(11), "10.0.0.11:5000".parse().unwrap()));
    stage.receive(11, &stage.handshake(FAST, A_ID));
    for (request, hashes, _) in exchanges(&stage) {
        assert_said(stage.receive(11, &request), lines![sent(11, &hashes)]);
    }
    let root = stage.torrent.files[0].pieces_root.unwrap();
    for (root, index, length, proof) in [
        ([7; 32], 0, 2, 0),   // no file of the torrent
        (root, 0, 1, 0),      // too few
        (root, 0, 1024, 0),   // too many at once
        (root, 0, 3, 0),      // no power of two
        (root, 1, 2, 0),      // no multiple of the length
        (root, 1024, 512, 0), // beyond the file
        (root, u32::MAX, 2, 0),
        (root, 0, 2, u32::MAX), // more layers than there are
    ] {
        let said = stage.receive(11, &about_hashes(21, &root, index, length, proof, &[]));
        assert_said(said, lines![sent(11, &about_hashes(23, &root, index, length, proof, &[]))]);
    }
}

#[test]
fn a_flood_of_requests_for_hashes_is_rejected_and_then_ends_the_connection() {
    let (torrent, _) = torrent_of_trees();
    let mut config = config();
    config.seeding = Some(crate::session::SeedGoal::default());
    let all: Vec<u32> = (0..torrent.placement().unwrap().piece_count()).collect();
    let mut stage = Stage::new(config, torrent, &all);
    stage.said();
    stage.hear(Input::Accepted(SessionStreamId(11), "10.0.0.11:5000".parse().unwrap()));
    stage.receive(11, &stage.handshake(FAST, A_ID));
    let root = stage.torrent.files[0].pieces_root.unwrap();
    let request = about_hashes(21, &root, 0, 512, 9, &[]);
    let (mut given, mut turns) = (0, 0);
    loop {
        let said = stage.receive(11, &request);
        if said.iter().any(|line| line.starts_with("close 11 Flood")) {
            break;
        }
        // What was sent leaves at once.
        stage.hear(Input::Sent(SessionStreamId(11), 1 << 20));
        given += usize::from(said.iter().any(|line| line.starts_with("send 11 00 00 40 51 16")));
        turns += 1;
        assert!(turns < 10_000, "the flood goes on");
    }
    assert!((100..400).contains(&given), "{given} answers");
}
