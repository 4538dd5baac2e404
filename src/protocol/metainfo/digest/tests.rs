//! Digests of pieces, against hashes that are taken here from the text of BEP 52.

use sha2::Sha256;

use super::*;
use crate::merkle::LEAF;

fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

fn text(bytes: &[u8]) -> Vec<u8> {
    [format!("{}:", bytes.len()).as_bytes(), bytes].concat()
}

const PIECE: usize = 2 * LEAF;
const LENGTH: usize = PIECE + 100;

fn content() -> Vec<u8> {
    (0..LENGTH as u32).map(|at| (at / 100) as u8).collect()
}

/// The piece layer of a file of two pieces of 32 KiB and 100 bytes, and its root.
fn layer() -> (Vec<u8>, Hash) {
    let leaves: Vec<Hash> = content().chunks(LEAF).map(sha256).collect();
    let pair = |left: Hash, right: Hash| sha256(&[left, right].concat());
    let pieces = [pair(leaves[0], leaves[1]), pair(leaves[2], [0; 32])];
    (pieces.concat(), pair(pieces[0], pieces[1]))
}

/// A torrent of this file: of version 2, and of version 1 as well where `pieces` are the hashes of that.
fn torrent(pieces: Option<&[u8]>, has_layers: bool) -> Metainfo {
    let (layer, root) = layer();
    let tree =
        [format!("d1:ad0:d6:lengthi{LENGTH}e11:pieces root").as_bytes(), &text(&root), b"eee"].concat();
    let v1 = pieces.map(|pieces| [b"6:pieces".as_slice(), &text(pieces)].concat()).unwrap_or_default();
    let length = if pieces.is_some() { format!("6:lengthi{LENGTH}e") } else { String::new() };
    let info = [
        b"4:infod9:file tree".as_slice(),
        &tree,
        length.as_bytes(),
        b"12:meta versioni2e4:name1:a12:piece lengthi32768e",
        &v1,
        b"e",
    ];
    let layers = [b"12:piece layersd".as_slice(), &text(&root), &text(&layer), b"e"].concat();
    let outer = if has_layers { layers } else { Vec::new() };
    Metainfo::decode(&[b"d", info.concat().as_slice(), &outer, b"e"].concat()).unwrap()
}

fn judge(torrent: &Metainfo, number: u32, bytes: &[u8]) -> PieceVerdict {
    let index = PieceIndex(number);
    let mut digester = torrent.digester(index);
    // Cut as no block is.
    bytes.chunks(999).for_each(|part| digester.update(part));
    torrent.judge(index, &digester.finish())
}

fn sha1s() -> Vec<u8> {
    content().chunks(PIECE).flat_map(Sha1::digest).collect()
}

#[test]
fn pieces_of_version_2_are_judged_by_their_trees() {
    let torrent = torrent(None, true);
    assert!(torrent.has_all_hashes());
    for (number, piece) in content().chunks(PIECE).enumerate() {
        assert_eq!(judge(&torrent, number as u32, piece), PieceVerdict::Right);
        let mut wrong = piece.to_vec();
        wrong[99] ^= 1;
        assert_eq!(judge(&torrent, number as u32, &wrong), PieceVerdict::Wrong);
        assert_eq!(judge(&torrent, 1 - number as u32, piece), PieceVerdict::Wrong);
    }
    assert_eq!(judge(&torrent, 2, b""), PieceVerdict::Wrong);
}

#[test]
fn without_its_piece_layer_a_file_has_no_hashes() {
    let torrent = torrent(None, false);
    assert!(!torrent.has_all_hashes());
    assert_eq!(torrent.missing_layers().collect::<Vec<_>>(), [(layer().1, LENGTH as u64)]);
    assert_eq!(judge(&torrent, 0, &content()[..PIECE]), PieceVerdict::Wrong);
}

#[test]
fn a_file_without_a_root_and_one_with_the_root_of_another_length_have_no_hashes() {
    let (layer, root) = layer();
    let file = |name: &str, length: usize, root: &[u8]| {
        let root =
            if root.is_empty() { Vec::new() } else { [b"11:pieces root".as_slice(), &text(root)].concat() };
        [format!("1:{name}d0:d6:lengthi{length}e").as_bytes(), &root, b"ee"].concat()
    };
    let whole = |files: &[Vec<u8>]| {
        let tree = files.concat();
        let info = [
            b"4:infod9:file treed".as_slice(),
            &tree,
            b"e12:meta versioni2e4:name1:x12:piece lengthi32768ee",
        ];
        let layers = [b"12:piece layersd".as_slice(), &text(&root), &text(&layer), b"e"].concat();
        Metainfo::decode(&[b"d", info.concat().as_slice(), &layers, b"e"].concat()).unwrap()
    };
    let good = file("a", LENGTH, &root);
    assert!(whole(&[good.clone(), file("b", 0, b"")]).has_all_hashes());
    assert!(!whole(&[good.clone(), file("b", 5, b"")]).has_all_hashes());
    assert!(!whole(&[file("a", LENGTH + PIECE, &root), file("b", LENGTH, &root)]).has_all_hashes());
}

#[test]
fn pieces_of_hybrid_torrents_have_both_hashes() {
    let both = torrent(Some(&sha1s()), true);
    let mut others = sha1s();
    others[0] ^= 1;
    let mixed = torrent(Some(&others), true);
    assert!(both.has_all_hashes() && both.faults.is_empty(), "{:?}", both.faults);
    for (number, piece) in content().chunks(PIECE).enumerate() {
        let mut wrong = piece.to_vec();
        wrong[7] ^= 1;
        assert_eq!(judge(&both, number as u32, piece), PieceVerdict::Right);
        assert_eq!(judge(&both, number as u32, &wrong), PieceVerdict::Wrong);
    }
    // The SHA-1 of the first piece is that of other bytes.
    assert_eq!(judge(&mixed, 0, &content()[..PIECE]), PieceVerdict::Disagree);
    assert_eq!(judge(&mixed, 1, &content()[PIECE..]), PieceVerdict::Right);
    // Where the piece layer has not come, the SHA-1 alone counts.
    let bare = torrent(Some(&sha1s()), false);
    assert_eq!(judge(&bare, 0, &content()[..PIECE]), PieceVerdict::Right);
}
