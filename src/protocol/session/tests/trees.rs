//! Sessions of torrents with hash trees (BEP 52): whatever the files and the order of blocks, what is kept is the content, and
//! who sends a bad block is named.

use proptest::prelude::*;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::support::*;
use crate::session::{Input, SeedGoal};
use crate::{Metainfo, PieceIndex};

type Hash = [u8; 32];

const LEAF: usize = 16 * 1024;

/// The root over these nodes, filled up to `width` with another.
fn root_of(width: usize, filler: Hash, mut nodes: Vec<Hash>) -> Hash {
    nodes.resize(width, filler);
    while nodes.len() > 1 {
        nodes = nodes.chunks(2).map(|two| Sha256::digest(two.concat()).into()).collect();
    }
    nodes[0]
}

fn text(bytes: &[u8]) -> Vec<u8> {
    [format!("{}:", bytes.len()).as_bytes(), bytes].concat()
}

/// Which descriptions of its files a torrent has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Described {
    Tree,
    Both,
}

/// A torrent of files of these lengths, and its row of bytes, in which each file begins a piece.
pub(super) fn tree_torrent(
    lengths: &[usize],
    piece_length: usize,
    described: Described,
) -> (Metainfo, Vec<u8>) {
    let content = content(lengths.iter().sum());
    let (mut rest, mut row, mut list) = (content.as_slice(), Vec::new(), String::new());
    let (mut tree, mut layers) = (Vec::new(), std::collections::BTreeMap::new());
    for (number, &length) in lengths.iter().enumerate() {
        let (bytes, after) = rest.split_at(length);
        rest = after;
        let gap = row.len().next_multiple_of(piece_length) - row.len();
        if gap > 0 && length > 0 {
            list += &format!("d4:attr1:p6:lengthi{gap}e4:pathl4:.pad{}:{gap}ee", gap.to_string().len());
            row.resize(row.len() + gap, 0);
        }
        row.extend_from_slice(bytes);
        list += &format!("d6:lengthi{length}e4:pathl2:{number:02}ee");
        tree.extend(format!("2:{number:02}d0:d6:lengthi{length}e").bytes());
        let leaves = |bytes: &[u8]| -> Vec<Hash> {
            bytes.chunks(LEAF).map(|leaf| Sha256::digest(leaf).into()).collect()
        };
        let node = |bytes: &[u8]| root_of(piece_length / LEAF, [0; 32], leaves(bytes));
        let layer: Vec<Hash> = bytes.chunks(piece_length).map(node).collect();
        let root = match layer.len() {
            0 => None,
            1 => Some(root_of(leaves(bytes).len().next_power_of_two(), [0; 32], leaves(bytes))),
            many => Some(root_of(many.next_power_of_two(), node(&[]), layer.clone())),
        };
        if let Some(root) = root {
            tree.extend([b"11:pieces root".as_slice(), &text(&root)].concat());
            if layer.len() > 1 {
                layers.insert(root, layer.concat());
            }
        }
        tree.extend(b"ee");
    }
    let pieces: Vec<u8> = row.chunks(piece_length).flat_map(Sha1::digest).collect();
    let layers = layers.iter().flat_map(|(root, layer)| [text(root), text(layer)].concat());
    let is_v1 = described == Described::Both;
    let mut file = b"d8:announce22:http://t.test/announce4:infod9:file treed".to_vec();
    file.extend([tree, b"e".to_vec()].concat());
    if is_v1 {
        file.extend(format!("5:filesl{list}e").bytes());
    }
    file.extend(format!("12:meta versioni2e4:name1:t12:piece lengthi{piece_length}e").bytes());
    if is_v1 {
        file.extend([b"6:pieces".as_slice(), &text(&pieces)].concat());
    }
    file.extend(b"e12:piece layersd");
    file.extend(layers);
    file.extend(b"ee");
    let torrent = Metainfo::decode(&file).unwrap();
    assert!(torrent.faults.is_empty(), "{:?}", torrent.faults);
    (torrent, row)
}

/// A stage about a torrent of files of these lengths, whose session goes on when it is complete.
fn stage(lengths: &[usize], piece_length: usize, described: Described) -> Stage {
    let (torrent, row) = tree_torrent(lengths, piece_length, described);
    let mut config = config();
    config.seeding = Some(SeedGoal::default());
    // So that the lines of the stage show each request.
    config.profile.max_pipeline = 8;
    config.profile.initial_pipeline = 8;
    let mut stage = Stage::new(config, torrent, &[]);
    stage.content = row;
    stage
}

/// Bytes 28 to 47 of a handshake that was sent, in hex, and its last reserved byte.
pub(super) fn handshake_of(line: &str) -> (String, String) {
    let words: Vec<_> = line.split(' ').skip(2).collect();
    (words[28..48].concat(), words[27].to_owned())
}

const V2: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 0x14];

#[test]
fn a_hybrid_torrent_is_offered_in_both_versions_and_taken_in_either() {
    let mut stage = stage(&[40_000, 50], 32_768, Described::Both);
    let (v1, v2) = (stage.torrent.info_hash, stage.torrent.truncated_v2().unwrap());
    assert_ne!(v1, v2);
    stage.announced(&[PEER_A]);
    // We call by the hash of version 1 and offer version 2.
    let said = stage.opened(2, "10.0.0.1:6881");
    assert_eq!(handshake_of(&said[0]), (v1.to_string(), "14".to_owned()));
    // The answer may have the other hash.
    let said = stage.receive(2, &handshake(V2, &v2.0, A_ID));
    assert!(said.contains(&"connected 2".to_owned()), "{said:?}");
    for (stream, called, reserved, answer) in [(11, v1, FAST, v1), (13, v1, V2, v2), (15, v2, FAST, v2)] {
        let mut id = *B_ID;
        id[19] = stream as u8;
        let host = format!("10.0.1.{stream}:5000");
        stage.hear(Input::Accepted(crate::session::SessionStreamId(stream), host.parse().unwrap()));
        let said = stage.receive(stream, &handshake(reserved, &called.0, &id));
        assert!(said.contains(&format!("connected {stream}")), "{said:?}");
        let line = said.iter().find(|line| line.starts_with(&format!("send {stream} 13"))).unwrap();
        assert_eq!(handshake_of(line), (answer.to_string(), "14".to_owned()));
    }
}

#[test]
fn a_torrent_of_one_version_offers_no_other() {
    let mut stage = stage(&[40_000, 50], 32_768, Described::Tree);
    let v2 = stage.torrent.truncated_v2().unwrap();
    assert_eq!(stage.torrent.info_hash, v2);
    stage.announced(&[PEER_A]);
    let said = stage.opened(2, "10.0.0.1:6881");
    assert_eq!(handshake_of(&said[0]), (v2.to_string(), "04".to_owned()));
}

#[test]
fn what_is_left_counts_no_gap_between_files() {
    let mut stage = stage(&[40_000, 50, 0, 32_768], 32_768, Described::Tree);
    stage.said();
    let said = stage.opened(0, "10.0.0.9:80");
    assert!(said.iter().any(|line| line.contains("&left=72818&")), "{said:?}");
}

/// How the blocks of a download come: how many are asked of the two peers meanwhile is for the session to say.
#[derive(Debug, Clone)]
struct Arrivals {
    /// Which of the blocks that are waited for comes next.
    order: Vec<usize>,
    /// Which block of the second peer has a wrong byte, if any.
    bad: Option<usize>,
}

/// Downloads from two peers, of which the second may send a bad block; the addresses that are banned at the end.
fn download(stage: &mut Stage, arrivals: &Arrivals) -> (bool, bool) {
    let mut waiting: Vec<(u32, u32, u32, u32)> = Vec::new();
    let mut lines = stage.announced(&[PEER_A, PEER_B]);
    // Which of them is dialled first is drawn.
    let opened: Vec<(u32, String)> = lines
        .iter()
        .filter_map(|line| {
            let mut words = line.strip_prefix("open ")?.split(' ');
            let (stream, address) = (words.next()?.parse().ok()?, words.next()?.to_owned());
            Some((stream, address))
        })
        .collect();
    let mut second = None;
    for (stream, address) in &opened {
        let is_second = address.starts_with("10.0.0.2");
        second = second.or(is_second.then_some(*stream));
        lines.extend(stage.opened(*stream, address));
        let hello = stage.handshake(FAST, if is_second { B_ID } else { A_ID });
        lines.extend(stage.receive(*stream, &[&hello[..], &HAVE_ALL, &UNCHOKE].concat()));
    }
    let (mut given, mut turn) = (0, 0);
    loop {
        for line in lines.drain(..) {
            if let Some(gone) = line.strip_prefix("gone ") {
                let stream: u32 = gone.split(' ').next().unwrap().parse().unwrap();
                waiting.retain(|(of, ..)| *of != stream);
            }
            waiting.extend(requests(&line));
        }
        if waiting.is_empty() {
            if stage.session.is_complete() || turn > 10_000 {
                break;
            }
            lines = stage.wait(1.0);
            turn += 100;
            continue;
        }
        let next =
            arrivals.order.get(turn % arrivals.order.len().max(1)).copied().unwrap_or(0) % waiting.len();
        turn += 1;
        let (stream, index, begin, length) = waiting.swap_remove(next);
        let mut block = stage.block(index, begin, length);
        if Some(stream) == second {
            if arrivals.bad == Some(given) {
                *block.last_mut().unwrap() ^= 0x40;
            }
            given += 1;
        }
        lines = stage.receive(stream, &block);
    }
    assert!(stage.session.is_complete(), "blocks of {waiting:?} did not come");
    let banned = |host: &str| stage.session.core.swarm.is_banned(host.parse().unwrap());
    (banned("10.0.0.1:6881"), banned("10.0.0.2:6881"))
}

fn assert_kept_is_the_content(stage: &Stage) {
    let geometry = stage.torrent.placement().unwrap();
    for index in (0..geometry.piece_count()).map(PieceIndex) {
        let span = geometry.piece_span(index).unwrap();
        let wanted = &stage.content[span.start as usize..span.end as usize];
        assert!(stage.disk.piece(index) == wanted, "piece {index} differs");
    }
    let mut kept = stage.kept.clone();
    kept.sort_unstable();
    assert_eq!(kept, (0..geometry.piece_count()).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_files_and_the_order_of_blocks_the_content_is_kept(
        lengths in prop::collection::vec(prop_oneof![Just(0), 1..200_usize, 1..100_000_usize], 1..6),
        shift in 0..3_u32,
        hybrid: bool,
        order in prop::collection::vec(0..64_usize, 1..64),
        bad in prop::option::of(0..12_usize),
    ) {
        prop_assume!(lengths.iter().sum::<usize>() > 0);
        let described = if hybrid { Described::Both } else { Described::Tree };
        let mut stage = stage(&lengths, LEAF << shift, described);
        let arrivals = Arrivals { order, bad };
        let (first_banned, second_banned) = download(&mut stage, &arrivals);
        assert_kept_is_the_content(&stage);
        prop_assert!(!first_banned, "the first peer sent nothing wrong");
        // A bad block that another peer had given already, or that nobody asked for, harms nobody.
        let failures = stage.session.status(stage.now).hash_failures;
        prop_assert_eq!(second_banned, failures > 0);
    }
}

/// libtorrent asks for the zeros after the end of a file as well: the tracker hears of them, and the file does not get them.
#[test]
fn last_blocks_are_padded_where_the_profile_says_so() {
    let (torrent, row) = tree_torrent(&[40_000, 50], 32_768, Described::Tree);
    let padded = || {
        let mut config = config();
        config.profile.pads_blocks = true;
        config.seeding = Some(SeedGoal::default());
        let mut stage = Stage::new(config, torrent.clone(), &[]);
        stage.content.clone_from(&row);
        stage.content.resize(3 * 32_768, 0);
        stage
    };
    let mut told = padded();
    told.said();
    // Three pieces with all zeros up to the next one.
    let said = told.opened(0, "10.0.0.9:80");
    assert!(said.iter().any(|line| line.contains("&left=98304&")), "{said:?}");
    let mut asked = padded();
    let lines = asked.announced(&[PEER_A]);
    assert!(lines.iter().any(|line| line.starts_with("open 2 ")), "{lines:?}");
    asked.opened(2, "10.0.0.1:6881");
    let hello = handshake(FAST, &asked.torrent.info_hash.0, A_ID);
    let said = asked.receive(2, &[&hello[..], &HAVE_ALL, &UNCHOKE].concat());
    let lengths: Vec<u32> = said.iter().flat_map(|line| requests(line)).map(|(.., length)| length).collect();
    assert!(!lengths.is_empty() && lengths.iter().all(|length| *length == 16_384), "{lengths:?}");
    // A peer that refuses the zeros is asked for the bytes of the files.
    let mut lines = said;
    for _ in 0..100 {
        let wanted: Vec<_> = lines.drain(..).flat_map(|line| requests(&line)).collect();
        for (stream, index, begin, length) in wanted {
            let is_padded = begin + length > [32_768, 7_232, 50][index as usize];
            let block = asked.block(index, begin, length);
            let answer = if is_padded { about(16, index, begin, length) } else { block };
            lines.extend(asked.receive(stream, &answer));
        }
        lines.extend(asked.wait(1.0));
    }
    assert!(asked.session.is_complete());
    assert_kept_is_the_content(&asked);
    let mut stage = padded();
    download(&mut stage, &Arrivals { order: vec![0], bad: None });
    assert_kept_is_the_content(&stage);
    // The blocks of three pieces: two, one and one.
    assert_eq!(stage.session.core.totals.downloaded, 65_536);
    assert_eq!(stage.session.core.picker.left(), 0);
}

/// The zeros between the files of a hybrid torrent, where a whole block of these is asked of nobody.
#[test]
fn blocks_that_are_padding_alone_are_requested_only_where_the_profile_says_so() {
    // 16,384 bytes of the first piece, and most of the block before these, are padding.
    let (torrent, row) = tree_torrent(&[40_000, 50], 65_536, Described::Both);
    for (requests_padding, wanted) in
        [(false, [0, 16_384, 32_768].as_slice()), (true, &[0, 16_384, 32_768, 49_152])]
    {
        let mut config = config();
        config.profile.requests_padding = requests_padding;
        config.seeding = Some(SeedGoal::default());
        let stage = || {
            let mut stage = Stage::new(config.clone(), torrent.clone(), &[]);
            stage.content.clone_from(&row);
            stage
        };
        let mut told = stage();
        told.said();
        let said = told.opened(0, "10.0.0.9:80");
        assert!(said.iter().any(|line| line.contains("&left=65586&")), "{said:?}");
        let mut asked = stage();
        asked.announced(&[PEER_A]);
        asked.opened(2, "10.0.0.1:6881");
        let hello = handshake(FAST, &asked.torrent.info_hash.0, A_ID);
        let said = asked.receive(2, &[&hello[..], &HAVE_ALL, &UNCHOKE].concat());
        let requests = said.iter().flat_map(|line| requests(line));
        let mut begins: Vec<u32> =
            requests.filter(|(_, index, ..)| *index == 0).map(|(_, _, begin, _)| begin).collect();
        begins.sort_unstable();
        assert_eq!(begins, wanted);
        let mut stage = stage();
        download(&mut stage, &Arrivals { order: vec![0], bad: None });
        assert_kept_is_the_content(&stage);
        let blocks = 16_384 * wanted.len() as u64;
        assert_eq!(stage.session.core.totals.downloaded, blocks + 50);
        assert_eq!((stage.session.core.picker.left(), stage.session.core.unstored), (0, 0));
    }
}
