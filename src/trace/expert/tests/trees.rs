//! Torrents of version 2 (BEP 52): hashes that peers ask for and send, and pieces checked by them.

use bittrace_protocol::{InfoHash, PieceIndex};
use sha2::{Digest, Sha256};

use super::*;
use crate::statistics::PieceSeen;

const HASH_REQUEST: u8 = 21;
const HASHES: u8 = 22;
const HASH_REJECT: u8 = 23;

type Hash = [u8; 32];

fn pair(left: Hash, right: Hash) -> Hash {
    Sha256::digest([left, right].concat()).into()
}

/// The bytes of a piece of two blocks; the last piece has 100 bytes.
fn piece(number: u8) -> Vec<u8> {
    vec![number + 1; if number == 4 { 100 } else { 32_768 }]
}

/// The piece layer of a file of five pieces, filled up to eight, and the layers above it.
fn layers() -> [Vec<Hash>; 4] {
    let leaf = |bytes: &[u8]| -> Hash { Sha256::digest(bytes).into() };
    let nothing = pair([0; 32], [0; 32]);
    let mut pieces: Vec<Hash> =
        (0..4).map(|number| pair(leaf(&piece(number)[..16_384]), leaf(&piece(number)[16_384..]))).collect();
    pieces.push(pair(leaf(&piece(4)), [0; 32]));
    pieces.resize(8, nothing);
    let above = |hashes: &[Hash]| -> Vec<Hash> { hashes.chunks(2).map(|two| pair(two[0], two[1])).collect() };
    let [two, three] = [above(&pieces), above(&above(&pieces))];
    let root = above(&three);
    [pieces, two, three, root]
}

fn root() -> Hash {
    layers()[3][0]
}

/// The info dictionary of that file and one of nine bytes, whose piece is the sixth.
fn info() -> Vec<u8> {
    let entry = |root: Hash, length: usize| {
        [format!("d0:d6:lengthi{length}e11:pieces root32:").as_bytes(), &root, b"ee"].concat()
    };
    [
        b"d9:file treed1:a".as_slice(),
        &entry(root(), 4 * 32_768 + 100),
        b"1:b",
        &entry(Sha256::digest(b"nine byte").into(), 9),
        b"e12:meta versioni2e4:name1:x12:piece lengthi32768ee",
    ]
    .concat()
}

/// The torrent with its piece layer, or without.
fn torrent(with_layer: bool) -> Metainfo {
    let hashes = layers()[0][..5].concat();
    let length = format!("{}:", hashes.len());
    let layer = [b"12:piece layersd32:".as_slice(), &root(), length.as_bytes(), &hashes, b"e"].concat();
    let outer = if with_layer { layer } else { Vec::new() };
    let torrent = Metainfo::decode(&[b"d4:info", info().as_slice(), &outer, b"e"].concat()).unwrap();
    assert_eq!(torrent.faults.is_empty(), with_layer);
    torrent
}

fn shake(peer: u8, info_hash: InfoHash) -> Vec<u8> {
    let mut bytes = super::handshake(peer, 4);
    bytes[28..48].copy_from_slice(&info_hash.0);
    bytes
}

fn judged_knowing(torrents: Vec<Metainfo>, steps: &[(f64, Direction, Vec<u8>)]) -> Vec<&'static str> {
    let conversation = Conversation::knowing(torrents.into_iter().map(Arc::new).collect());
    let info_hash = torrent(false).info_hash;
    let opening = [(0.0, A, shake(1, info_hash)), (0.0, B, shake(2, info_hash))];
    let rules = told(conversation, &opening, &[begun(), steps.to_vec()].concat());
    rules.into_iter().filter(|rule| !rule.starts_with("bep3.block-")).collect()
}

/// A message about hashes: base layer, index, length, proof layers, and the hashes.
fn about(id: u8, root: Hash, numbers: [u32; 4], hashes: &[Hash]) -> Vec<u8> {
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
    message(id, &[root.as_slice(), &numbers, &hashes.concat()].concat())
}

/// The request and its answer.
fn exchange(root: Hash, numbers: [u32; 4], hashes: &[Hash]) -> Vec<(f64, Direction, Vec<u8>)> {
    vec![(2.0, A, about(HASH_REQUEST, root, numbers, &[])), (2.1, B, about(HASHES, root, numbers, hashes))]
}

fn blocks(number: u32, bytes: &[u8]) -> Vec<(f64, Direction, Vec<u8>)> {
    let block = |(at, block): (usize, &[u8])| {
        let payload: Vec<u8> =
            [number, at as u32 * 16_384].iter().flat_map(|number| number.to_be_bytes()).collect();
        (3.0, B, message(7, &[payload.as_slice(), block].concat()))
    };
    bytes.chunks(16_384).enumerate().map(block).collect()
}

const VERIFIED: &str = "bep52.hashes-verified";
const WRONG: &str = "bep52.hashes-wrong";

#[test]
fn hashes_that_lead_to_their_root_are_verified_with_a_torrent_or_without() {
    let [pieces, two, three, _] = layers();
    let half = [&pieces[4..], &three[..1]].concat();
    let quarter = [&pieces[2..4], &two[..1], &three[1..]].concat();
    for torrents in [vec![], vec![torrent(false)], vec![torrent(true)]] {
        let judged = |steps: Vec<_>| judged_knowing(torrents.clone(), &steps);
        assert_eq!(judged(exchange(root(), [1, 0, 8, 2], &pieces)), [VERIFIED]);
        assert_eq!(judged(exchange(root(), [1, 4, 4, 2], &half)), [VERIFIED]);
        assert_eq!(judged(exchange(root(), [1, 2, 2, 2], &quarter)), [VERIFIED]);
        // More layers are asked for than there are up to the root.
        assert_eq!(judged(exchange(root(), [1, 4, 4, 9], &half)), [VERIFIED]);
        let beyond = [&half[..], &[[0; 32]]].concat();
        assert_eq!(judged(exchange(root(), [1, 4, 4, 9], &beyond)), [WRONG]);
    }
}

#[test]
fn hashes_that_do_not_lead_to_their_root_are_wrong() {
    let [pieces, two, three, _] = layers();
    let mut altered = pieces.clone();
    altered[3][0] ^= 1;
    let judged = |steps: Vec<_>| judged_knowing(vec![torrent(false)], &steps);
    assert_eq!(judged(exchange(root(), [1, 0, 8, 2], &altered)), [WRONG]);
    let swapped = [&pieces[2..4], &three[1..], &two[..1]].concat();
    assert_eq!(judged(exchange(root(), [1, 2, 2, 2], &swapped)), [WRONG]);
    assert_eq!(judged(exchange(root(), [1, 0, 8, 2], &pieces[..7])), [WRONG]);
    assert_eq!(judged_knowing(vec![], &exchange(root(), [1, 0, 8, 9], &altered)), [WRONG]);
    // Without a torrent nobody knows whether the tree is larger, and the proof only a part.
    assert_eq!(judged_knowing(vec![], &exchange(root(), [1, 0, 8, 2], &altered)), [] as [&str; 0]);
}

#[test]
fn a_part_of_a_proof_is_held_against_the_piece_layer() {
    let halves: [Hash; 2] =
        [&piece(1)[..16_384], &piece(1)[16_384..]].map(|bytes| Sha256::digest(bytes).into());
    let leaves = exchange(root(), [0, 2, 2, 0], &halves);
    assert_eq!(judged_knowing(vec![torrent(true)], &leaves), [VERIFIED]);
    assert_eq!(judged_knowing(vec![torrent(false)], &leaves), [] as [&str; 0]);
    let learnt = [exchange(root(), [1, 0, 8, 2], &layers()[0]), leaves].concat();
    assert_eq!(judged_knowing(vec![torrent(false)], &learnt), [VERIFIED, VERIFIED]);
    let elsewhere = exchange(root(), [0, 4, 2, 0], &halves);
    assert_eq!(judged_knowing(vec![torrent(true)], &elsewhere), [WRONG]);
}

#[test]
fn hashes_there_cannot_be_are_not_to_be_asked_for() {
    let judged = |numbers| {
        let steps = [(2.0, A, about(HASH_REQUEST, root(), numbers, &[]))];
        judged_knowing(vec![torrent(true)], &steps)
    };
    let malformed = ["bep52.hash-malformed"];
    assert_eq!(judged([1, 0, 8, 2]), [] as [&str; 0]);
    assert_eq!(judged([1, 0, 1, 2]), malformed);
    assert_eq!(judged([1, 0, 6, 2]), malformed);
    assert_eq!(judged([1, 2, 4, 2]), malformed);
    assert_eq!(judged([1, 8, 8, 2]), malformed);
    assert_eq!(judged([4, 0, 2, 0]), malformed);
    assert_eq!(judged([0, 0, 1024, 0]), malformed, "the file has not as many");
    let many = [(2.0, A, about(HASH_REQUEST, root(), [0, 0, 1024, 0], &[]))];
    assert_eq!(judged_knowing(vec![], &many), ["bep52.hash-too-many"]);
    let other = [(2.0, A, about(HASH_REQUEST, [9; 32], [1, 0, 8, 2], &[]))];
    assert_eq!(judged_knowing(vec![torrent(true)], &other), ["bep52.hash-root-unknown"]);
    assert_eq!(judged_knowing(vec![], &other), [] as [&str; 0]);
}

#[test]
fn hashes_and_rejects_answer_a_request_each() {
    let numbers = [1, 0, 8, 2];
    let request = || (2.0, A, about(HASH_REQUEST, root(), numbers, &[]));
    let hashes = || (2.1, B, about(HASHES, root(), numbers, &layers()[0]));
    let reject = || (2.1, B, about(HASH_REJECT, root(), numbers, &[]));
    let judged = |steps: &[_]| judged_knowing(vec![], steps);
    assert_eq!(judged(&[hashes()]), ["bep52.hashes-unsolicited", VERIFIED]);
    assert_eq!(judged(&[reject()]), ["bep52.reject-unrequested"]);
    assert_eq!(judged(&[request(), reject()]), [] as [&str; 0]);
    assert_eq!(judged(&[request(), reject(), hashes()]), ["bep52.hashes-unsolicited", VERIFIED]);
    assert_eq!(judged(&[request(), request(), hashes(), hashes()]), [VERIFIED, VERIFIED]);
}

#[test]
fn pieces_have_their_place_in_the_tree() {
    let right = ["bep52.piece-verified"];
    for number in 0..5 {
        let steps = blocks(number, &piece(number as u8));
        assert_eq!(judged_knowing(vec![torrent(true)], &steps), right, "piece {number}");
        let steps = blocks(number, &vec![9; piece(number as u8).len()]);
        assert_eq!(judged_knowing(vec![torrent(true)], &steps), ["bep52.piece-corrupt"], "piece {number}");
    }
    // libtorrent fills the last block up with zeros.
    let mut long = piece(4);
    long.resize(16_384, 0);
    assert_eq!(judged_knowing(vec![torrent(true)], &blocks(4, &long)), right);
}

#[test]
fn pieces_are_checked_by_what_peers_proved_of_the_tree() {
    let piece_layer = || exchange(root(), [1, 0, 8, 2], &layers()[0]);
    let blocks_of = |number: u32| blocks(number, &piece(number as u8));
    assert_eq!(judged_knowing(vec![torrent(false)], &blocks_of(1)), [] as [&str; 0]);
    let learnt = [piece_layer(), blocks_of(1)].concat();
    assert_eq!(judged_knowing(vec![torrent(false)], &learnt), [VERIFIED, "bep52.piece-verified"]);
    let mut altered = layers()[0].clone();
    altered[1][0] ^= 1;
    let lied = [exchange(root(), [1, 0, 8, 2], &altered), blocks_of(1)].concat();
    assert_eq!(judged_knowing(vec![torrent(false)], &lied), [WRONG]);
    // A file of one piece needs no layer.
    assert_eq!(judged_knowing(vec![torrent(false)], &blocks(5, b"nine byte")), ["bep52.piece-verified"]);
}

/// A peer sends the info dictionary.
fn metadata() -> Vec<(f64, Direction, Vec<u8>)> {
    metadata_of(&info())
}

fn metadata_of(info: &[u8]) -> Vec<(f64, Direction, Vec<u8>)> {
    let announces = || extended(0, b"d1:md11:ut_metadatai1eee");
    let mut data = format!("d8:msg_typei1e5:piecei0e10:total_sizei{}ee", info.len()).into_bytes();
    data.extend(info);
    vec![(1.5, A, announces()), (1.5, B, announces()), (1.6, B, extended(1, &data))]
}

/// Nothing is known of the torrent but its info hash; then a peer sends its info dictionary.
#[test]
fn metadata_that_peers_send_describes_the_torrent() {
    let small = || blocks(5, b"nine byte");
    let beyond = vec![(4.0, B, numbers(4, &[6]))];
    let steps = [small(), metadata(), small(), beyond].concat();
    assert_eq!(judged_knowing(vec![], &steps), ["bep52.piece-verified", "bep3.out-of-range"]);
}

fn missing(seen: &PieceSeen) -> Vec<(u32, u32)> {
    seen.missing().unwrap().into_iter().map(|range| (range.start, range.end)).collect()
}

#[test]
fn pieces_that_came_before_the_metadata_are_not_checked() {
    let mut conversation = Conversation::knowing(vec![]);
    conversation.open(0);
    let info_hash = torrent(false).info_hash;
    let opening = vec![(0.0, A, shake(1, info_hash)), (0.0, B, shake(2, info_hash))];
    let early = [blocks(0, &piece(0)[..16_384]), blocks(1, &piece(1)), blocks(5, b"nine byte")].concat();
    let late = [blocks(5, b"nine byte"), blocks(2, &piece(2))].concat();
    for (at, direction, bytes) in [opening, begun(), early, metadata(), late].concat() {
        conversation.say(0, at, direction, &bytes);
    }
    let seen: Vec<_> = conversation
        .pieces
        .rows()
        .map(|(hash, piece, seen)| {
            assert_eq!(hash, info_hash);
            (piece.0, seen.size, missing(seen), seen.complete.is_some(), seen.verdict().name())
        })
        .collect();
    let none = Vec::new;
    assert_eq!(
        seen,
        [
            (0, Some(32_768), vec![(16_384, 32_768)], false, "not checked"),
            (1, Some(32_768), none(), true, "not checked"),
            // Its layer is not known.
            (2, Some(32_768), none(), true, "unknown"),
            (5, Some(9), none(), true, "right"),
        ]
    );
    assert_eq!(conversation.pieces.unseen(info_hash), Some(2));
}

/// One connection calls a hybrid torrent by its one hash, one by the other, before a peer says what it is.
#[test]
fn a_piece_seen_under_both_hashes_of_a_hybrid_torrent_is_one() {
    let bytes = piece(0);
    let halves = bytes.split_at(16_384);
    let root = pair(Sha256::digest(halves.0).into(), Sha256::digest(halves.1).into());
    let tree = [b"d1:xd0:d6:lengthi32768e11:pieces root32:".as_slice(), &root, b"eee"].concat();
    let rest = b"6:lengthi32768e12:meta versioni2e4:name1:x12:piece lengthi32768e6:pieces20:";
    let info = [b"d9:file tree", tree.as_slice(), rest, &Sha1::digest(&bytes), b"e"].concat();
    let hybrid = Metainfo::decode_info(&info).unwrap();
    let hashes = [hybrid.info_hash, hybrid.truncated_v2().unwrap()];
    assert_ne!(hashes[0], hashes[1]);
    let block = |half: usize| blocks(0, &bytes).remove(half);
    for (first, second) in [(0, 1), (1, 0)] {
        let mut conversation = Conversation::knowing(vec![]);
        for (stream, hash, half) in [(0, hashes[0], first), (1, hashes[1], second)] {
            conversation.open(stream);
            let opening = vec![(0.0, A, shake(1, hash)), (0.0, B, shake(2, hash))];
            for (at, direction, bytes) in [opening, begun(), vec![block(half)]].concat() {
                conversation.say(stream, at, direction, &bytes);
            }
        }
        assert_eq!(conversation.pieces.rows().count(), 2);
        for (at, direction, bytes) in metadata_of(&info) {
            conversation.say(0, at, direction, &bytes);
        }
        let rows: Vec<_> = conversation.pieces.rows().collect();
        let [(hash, PieceIndex(0), seen)] = rows[..] else { panic!("{rows:?}") };
        assert_eq!((hash, missing(seen), seen.complete.is_some()), (hashes[0], vec![], true));
        assert_eq!((seen.from.len(), seen.from[0].blocks, seen.verdict().name()), (1, 2, "not checked"));
    }
}
