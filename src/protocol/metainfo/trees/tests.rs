//! Torrents with hash trees, made by hand from the text of BEP 52.

use sha2::Sha256;

use super::*;
use crate::metainfo::Version;

fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

fn text(bytes: &[u8]) -> Vec<u8> {
    [format!("{}:", bytes.len()).as_bytes(), bytes].concat()
}

/// Two pieces of 32 KiB and 100 bytes: its content, its piece layer and its root.
fn large() -> (Vec<u8>, Vec<u8>, Hash) {
    let content: Vec<u8> = (0..65_636_u32).map(|at| (at / 100) as u8).collect();
    let leaves: Vec<Hash> = content.chunks(LEAF).map(sha256).collect();
    let pair = |left: Hash, right: Hash| sha256(&[left, right].concat());
    let pieces = [pair(leaves[0], leaves[1]), pair(leaves[2], leaves[3]), pair(leaves[4], [0; 32])];
    let nothing = pair([0; 32], [0; 32]);
    let root = pair(pair(pieces[0], pieces[1]), pair(pieces[2], nothing));
    (content, pieces.concat(), root)
}

/// A torrent of that file and one of 9 bytes; `outer` stands after the info value.
fn torrent(outer: &[u8]) -> Metainfo {
    let tree = |root: Hash, length: usize| {
        [format!("d0:d6:lengthi{length}e11:pieces root").as_bytes(), &text(&root), b"ee"].concat()
    };
    let info = [
        b"d9:file treed1:a".as_slice(),
        &tree(sha256(b"nine byte"), 9),
        b"1:b",
        &tree(large().2, 65_636),
        b"e12:meta versioni2e4:name1:x12:piece lengthi32768ee",
    ]
    .concat();
    Metainfo::decode(&[b"d4:info", info.as_slice(), outer, b"e"].concat()).unwrap()
}

fn layers(root: Hash, hashes: &[u8]) -> Vec<u8> {
    [b"12:piece layersd".as_slice(), &text(&root), &text(hashes), b"e"].concat()
}

fn faults(torrent: &Metainfo) -> Vec<&'static str> {
    torrent.faults.iter().map(|fault| fault.what).collect()
}

#[test]
fn pieces_of_version_2_are_checked_against_their_trees() {
    let (content, hashes, root) = large();
    let torrent = torrent(&layers(root, &hashes));
    assert_eq!((torrent.version, faults(&torrent)), (Version::V2, vec![]));
    let geometry = torrent.placement().unwrap();
    assert_eq!((torrent.geometry.is_none(), geometry.piece_count()), (true, 4));
    let pieces: Vec<&[u8]> = [&b"nine byte"[..]].into_iter().chain(content.chunks(32_768)).collect();
    for (number, bytes) in pieces.iter().enumerate() {
        let index = PieceIndex(number as u32);
        assert_eq!(geometry.piece_size(index), Some(bytes.len() as u32));
        let hash = torrent.check_of(index).unwrap();
        let is = |bytes: &[u8]| {
            let mut hasher = torrent.piece_hasher();
            hasher.update(bytes);
            hasher.is(hash)
        };
        assert!(is(bytes), "piece {number}");
        assert!(!is(&bytes[1..]) && !is(&[bytes, &[0][..]].concat()), "piece {number}");
    }
    assert_eq!(torrent.check_of(PieceIndex(4)), None);
    let last = torrent.tree_piece(PieceIndex(3)).unwrap();
    assert_eq!(last, TreePiece { file: 1, root, layer: 1, number: 2, only: false });
}

#[test]
fn piece_layers_that_do_not_have_their_root_are_passed_over() {
    let (_, hashes, root) = large();
    let mut wrong = hashes.clone();
    wrong[40] ^= 1;
    let missing = "no piece layer, or none that fits, for a file larger than a piece";
    for (outer, wanted) in [
        (layers(root, &wrong), "a piece layer that does not lead to the root of its file: ignored"),
        (layers(root, &hashes[..64]), "a piece layer without 32 bytes for each piece of its file: ignored"),
        (layers(root, &hashes[..95]), "a piece layer without 32 bytes for each piece of its file: ignored"),
        (layers([7; 32], &hashes), "a piece layer of no file of this torrent: ignored"),
    ] {
        let torrent = torrent(&outer);
        assert!(faults(&torrent).contains(&wanted) && faults(&torrent).contains(&missing), "{wanted}");
        assert_eq!(torrent.check_of(PieceIndex(1)), None);
        assert!(torrent.check_of(PieceIndex(0)).is_some(), "the root is enough for a file of one piece");
    }
    assert_eq!(faults(&torrent(b"")), [missing]);
}

/// A hybrid torrent: the small file, padding up to a piece, the large one.
fn hybrid(padding: usize, first: &str) -> Metainfo {
    let tree = |root: Hash, length: usize| {
        [format!("d0:d6:lengthi{length}e11:pieces root").as_bytes(), &text(&root), b"ee"].concat()
    };
    let count = (9 + padding + 65_636).div_ceil(32_768);
    let info = [
        b"d9:file treed1:a".as_slice(),
        &tree([1; 32], 9),
        b"1:b",
        &tree([2; 32], 65_636),
        format!("e5:filesld6:lengthi9e4:pathl1:{first}eed4:attr1:p6:lengthi{padding}e4:pathl1:peed")
            .as_bytes(),
        b"6:lengthi65636e4:pathl1:beee12:meta versioni2e4:name1:x12:piece lengthi32768e6:pieces",
        &text(&vec![b'h'; 20 * count]),
        b"e",
    ]
    .concat();
    Metainfo::decode_info(&info).unwrap()
}

#[test]
fn hybrid_torrents_have_trees_where_both_descriptions_agree() {
    let torrent = hybrid(32_759, "a");
    assert_eq!((torrent.version, faults(&torrent)), (Version::Hybrid, vec![]));
    assert_eq!(torrent.tree_piece(PieceIndex(2)).map(|piece| (piece.root, piece.number)), Some(([2; 32], 1)));
    assert_eq!(torrent.check_of(PieceIndex(2)), Some(PieceHash::Sha1([b'h'; 20])));
    let other = hybrid(32_759, "c");
    assert_eq!(
        faults(&other),
        ["other names in the file tree than in files: those in files are used, hash trees are not"]
    );
    let shifted = hybrid(32_758, "a");
    assert_eq!(
        faults(&shifted),
        ["files that do not each begin at a piece, as a hybrid torrent needs: hash trees are not used"]
    );
    assert!(other.tree_piece(PieceIndex(2)).is_none() && shifted.tree_piece(PieceIndex(2)).is_none());
}

#[test]
fn padding_at_the_end_of_a_piece_is_not_sent() {
    let torrent = hybrid(32_759, "a");
    let content: Vec<_> = (0..5).map(|index| torrent.piece_content(PieceIndex(index))).collect();
    assert_eq!(content, [Some(9), Some(32_768), Some(32_768), Some(100), None]);
    assert!(
        torrent.goes_by(torrent.info_hash)
            && torrent.truncated_v2().is_some_and(|hash| torrent.goes_by(hash))
    );
    assert!(!torrent.goes_by(crate::InfoHash([0; 20])));
}
