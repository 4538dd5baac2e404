//! Torrents with hash trees (BEP 52), made from the text of the BEP, without the code that is tested.

use std::collections::BTreeMap;
use std::sync::Arc;

use bittrace_protocol::Metainfo;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::torrent::{SeededTorrent, content};

type Hash = [u8; 32];

/// Which descriptions of the files a torrent has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Described {
    /// The file tree alone.
    Tree,
    /// The file tree, and the list of version 1 with padding.
    Both,
}

impl SeededTorrent {
    /// A torrent of version 2 alone, of a folder. Where `bytes` has all files end to end, there are zeros up to the piece at
    /// which the next file begins.
    ///
    /// # Panics
    /// When these files make no torrent.
    pub fn v2(announce: &str, files: &[(&str, usize)], piece_length: usize) -> Self {
        made(announce, files, piece_length, Described::Tree)
    }

    /// A hybrid torrent of a folder: one of both versions.
    ///
    /// # Panics
    /// When these files make no torrent.
    pub fn hybrid(announce: &str, files: &[(&str, usize)], piece_length: usize) -> Self {
        made(announce, files, piece_length, Described::Both)
    }

    /// The torrent file without its piece layers, as one has it who knows only the info dictionary.
    ///
    /// # Panics
    /// When it is not one of [`v2`](Self::v2) or [`hybrid`](Self::hybrid).
    pub fn without_layers(&self) -> Vec<u8> {
        let key = b"12:piece layers";
        let at = self.torrent.windows(key.len()).rposition(|window| window == key).expect("piece layers");
        [&self.torrent[..at], b"e"].concat()
    }
}

fn made(announce: &str, files: &[(&str, usize)], piece_length: usize, described: Described) -> SeededTorrent {
    let mut sorted: Vec<(Vec<&str>, usize)> =
        files.iter().map(|(path, length)| (path.split('/').collect(), *length)).collect();
    sorted.sort();
    let (mut row, mut stored, mut list) = (Vec::new(), Vec::new(), String::new());
    let (mut tree, mut layers) = (Folder::default(), BTreeMap::new());
    for (number, (path, length)) in sorted.iter().enumerate() {
        let bytes = content(number as u64 + 1, *length);
        let gap = row.len().next_multiple_of(piece_length) - row.len();
        if gap > 0 && *length > 0 {
            list += &format!("d4:attr1:p6:lengthi{gap}e4:pathl4:.pad{}:{gap}ee", gap.to_string().len());
            row.resize(row.len() + gap, 0);
        }
        row.extend_from_slice(&bytes);
        let parts: String = path.iter().map(|part| format!("{}:{part}", part.len())).collect();
        list += &format!("d6:lengthi{length}e4:pathl{parts}ee");
        tree.add(path, leaf(&bytes, piece_length, &mut layers));
        stored.push((format!("folder/{}", path.join("/")), bytes));
    }
    let mut info = [b"d9:file tree".as_slice(), &tree.encoded()].concat();
    if described == Described::Both {
        info.extend_from_slice(format!("5:filesl{list}e").as_bytes());
    }
    info.extend_from_slice(
        format!("12:meta versioni2e4:name6:folder12:piece lengthi{piece_length}e").as_bytes(),
    );
    if described == Described::Both {
        let pieces: Vec<u8> = row.chunks(piece_length).flat_map(Sha1::digest).collect();
        info.extend_from_slice(format!("6:pieces{}:", pieces.len()).as_bytes());
        info.extend_from_slice(&pieces);
    }
    info.push(b'e');
    let mut torrent = format!("d8:announce{}:{announce}4:info", announce.len()).into_bytes();
    torrent.extend_from_slice(&info);
    torrent.extend_from_slice(b"12:piece layersd");
    for (root, layer) in layers {
        torrent.extend_from_slice(&text(&root));
        torrent.extend_from_slice(&text(&layer));
    }
    torrent.extend_from_slice(b"ee");
    let metainfo = Arc::new(Metainfo::decode(&torrent).expect("a valid torrent"));
    assert!(metainfo.faults.is_empty(), "{:?}", metainfo.faults);
    SeededTorrent { metainfo, torrent: Arc::new(torrent), bytes: Arc::new(row), piece_length, files: stored }
}

/// The dictionary of a file; its piece layer is put among `layers`, where it has one.
fn leaf(bytes: &[u8], piece_length: usize, layers: &mut BTreeMap<Hash, Vec<u8>>) -> Vec<u8> {
    let head = format!("d0:d6:lengthi{}e", bytes.len()).into_bytes();
    if bytes.is_empty() {
        return [&head, b"ee".as_slice()].concat();
    }
    let leaves =
        |bytes: &[u8]| -> Vec<Hash> { bytes.chunks(LEAF).map(|leaf| Sha256::digest(leaf).into()).collect() };
    let root = if bytes.len() <= piece_length {
        let leaves = leaves(bytes);
        root_of(leaves.len().next_power_of_two(), [0; 32], leaves)
    } else {
        let node = |bytes: &[u8]| root_of(piece_length / LEAF, [0; 32], leaves(bytes));
        let layer: Vec<Hash> = bytes.chunks(piece_length).map(node).collect();
        let root = root_of(layer.len().next_power_of_two(), node(&[]), layer.clone());
        layers.insert(root, layer.concat());
        root
    };
    [&head, b"11:pieces root".as_slice(), &text(&root), b"ee"].concat()
}

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

/// A folder of a file tree: its files, encoded, and its folders.
#[derive(Default)]
struct Folder {
    files: BTreeMap<String, Vec<u8>>,
    folders: BTreeMap<String, Folder>,
}

impl Folder {
    fn add(&mut self, path: &[&str], leaf: Vec<u8>) {
        match path {
            [] => {}
            [name] => drop(self.files.insert((*name).to_owned(), leaf)),
            [name, rest @ ..] => self.folders.entry((*name).to_owned()).or_default().add(rest, leaf),
        }
    }

    fn encoded(&self) -> Vec<u8> {
        let folders = self.folders.iter().map(|(name, folder)| (name, folder.encoded()));
        let files = self.files.iter().map(|(name, leaf)| (name, leaf.clone()));
        let entries: BTreeMap<_, _> = folders.chain(files).collect();
        let mut bytes = b"d".to_vec();
        for (name, value) in entries {
            bytes.extend_from_slice(&text(name.as_bytes()));
            bytes.extend_from_slice(&value);
        }
        bytes.push(b'e');
        bytes
    }
}

const LEAF: usize = 16 * 1024;
