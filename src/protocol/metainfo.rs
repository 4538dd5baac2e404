//! Torrent files (BEP 3, "metainfo files"; BEPs 12, 19, 27, 47, 52): what they say, and where.
//!
//! An info hash is taken over the info value's bytes as they came, never over an encoding of what was read.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde_bytes::ByteBuf;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::bencode::{self, Document, IrregularityKind, View};
use crate::geometry::Geometry;
use crate::merkle::Hash;
use crate::{DecodeError, InfoHash, PieceIndex};

mod choice;
mod digest;
mod files;
mod padding;
mod trees;

pub(crate) use choice::number_ranges;
pub use choice::{ChoiceError, ChosenFiles, FileChoice};
pub use digest::{PieceDigest, PieceDigester, PieceVerdict};
pub use files::{File, Name};
pub use padding::Padding;
pub use trees::{PieceHash, PieceHasher, TreePiece};

/// Piece layers by the roots of their files: hashes one after the other (BEP 52, "piece layers").
pub type PieceLayers = BTreeMap<Hash, Vec<u8>>;

/// What a torrent file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metainfo {
    /// What names the torrent to trackers and peers: the SHA-1 of the info value; for a torrent of
    /// version 2 alone, the first 20 bytes of its SHA-256 (BEP 52).
    pub info_hash: InfoHash,
    /// The SHA-256 of the info value, where the torrent is of version 2 (BEP 52).
    pub info_hash_v2: Option<[u8; 32]>,
    /// Whose rules it follows.
    pub version: Version,
    /// The name of the file, or of the folder around the files.
    pub name: Name,
    /// Whether it is one file, not in a folder.
    pub single_file: bool,
    /// The files, in order.
    pub files: Vec<File>,
    /// How pieces and files lie by BEP 3; `None` for a torrent of version 2 alone: see
    /// [`placement`](Self::placement).
    pub geometry: Option<Geometry>,
    /// The bytes of every piece but the last.
    pub piece_length: u32,
    /// Whether peers may come from its trackers only (BEP 27).
    pub private: bool,
    /// What some trackers put into the info value to make it their own.
    pub source: Option<String>,
    /// The tracker.
    pub announce: Option<String>,
    /// The tiers of trackers; where there are any, they count in place of `announce` (BEP 12).
    pub announce_list: Vec<Vec<String>>,
    /// Seconds since 1970.
    pub creation_date: Option<i64>,
    /// The program that made it.
    pub created_by: Option<String>,
    /// Words of whoever made it.
    pub comment: Option<String>,
    /// The encoding of its texts, where they are not UTF-8.
    pub encoding: Option<String>,
    /// Web seeds of BEP 19.
    pub url_list: Vec<String>,
    /// Web seeds of BEP 17.
    pub http_seeds: Vec<String>,
    /// Nodes of the DHT: host and port (BEP 5, "torrent file extensions").
    pub nodes: Vec<(String, u16)>,
    /// What does not fit, by its offset: at most 100.
    pub faults: Vec<TorrentFault>,
    /// How pieces and files lie in a torrent of version 2 alone.
    aligned: Option<Geometry>,
    /// Whether some files are padding.
    has_padding: bool,
    /// Whether files have hash trees whose piece layers are of their pieces.
    has_trees: bool,
    /// The piece layers that have the roots they stand under: hashes one after the other.
    layers: PieceLayers,
    /// The hashes of the pieces, one after the other: a part of the torrent file, which may have a million.
    pieces: Bytes,
    /// The info value as it came, a part of the torrent file.
    info: Bytes,
}

/// Something in a torrent that does not fit, and what is made of it: the torrent can be read all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("at byte {offset}: {what}")]
pub struct TorrentFault {
    /// The offset of the byte at fault from the start of the file.
    pub offset: usize,
    /// What stands there, and what is made of it.
    pub what: &'static str,
}

/// Keeps a fault, while there are few: a hostile torrent could be all faults.
fn note(faults: &mut Vec<TorrentFault>, offset: usize, what: &'static str) {
    if faults.len() < MAX_FAULTS {
        faults.push(TorrentFault { offset, what });
    }
}

/// Whose rules a torrent follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// BEP 3.
    V1,
    /// BEP 52.
    V2,
    /// Both.
    Hybrid,
    /// A later one, of this `meta version`.
    Later(u64),
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V1 => f.write_str("1"),
            Self::V2 => f.write_str("2"),
            Self::Hybrid => f.write_str("1 and 2"),
            Self::Later(version) => version.fmt(f),
        }
    }
}

impl Metainfo {
    /// Reads a torrent file. Bytes after its dictionary are passed over.
    ///
    /// # Errors
    /// The offset at which the file is no bencoding, or its info value does not describe pieces and files.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_bounded(&Bytes::copy_from_slice(bytes), bencode::MAX_VALUES, |_| Ok(()))
    }

    /// Reads a torrent file, as [`decode`](Self::decode) does, shares its bytes, and reads none that costs too much: a byte
    /// of the file can cost 20 in memory. The file may have `most_values` values and keys. `admit` is given the number of
    /// files before these are read, and says whether they are to be.
    ///
    /// # Errors
    /// As for [`decode`](Self::decode), and where there are more values; the error of `admit`.
    pub fn decode_bounded<E: From<DecodeError>>(
        bytes: &Bytes,
        most_values: usize,
        admit: impl FnOnce(usize) -> Result<(), E>,
    ) -> Result<Self, E> {
        let (document, end) = bencode::scan_prefix_of(bytes, most_values)?;
        let root = document.root();
        if !root.is_dictionary() {
            return Err(DecodeError::new(0, "a bencoded dictionary").into());
        }
        let info = root.get(b"info").ok_or(DecodeError::new(0, "a dictionary with the key info"))?;
        admit(files::count(info))?;
        let mut metainfo = Self::from_info(info, bytes)?;
        metainfo.read_outer(&document);
        metainfo.read_layers(document.root());
        if end < bytes.len() {
            note(&mut metainfo.faults, end, "bytes after the dictionary: they are passed over");
        }
        metainfo.faults.sort_by_key(|fault| fault.offset);
        Ok(metainfo)
    }

    /// Reads an info value alone, as peers send it (BEP 9).
    ///
    /// # Errors
    /// As for [`decode`](Self::decode).
    pub fn decode_info(bytes: &[u8]) -> Result<Self, DecodeError> {
        let bytes = Bytes::copy_from_slice(bytes);
        let document = bencode::scan(&bytes)?;
        let mut metainfo = Self::from_info(document.root(), &bytes)?;
        irregularities(&document, &mut metainfo.faults);
        Ok(metainfo)
    }

    /// Whether it has this info hash. A hybrid one goes by both of its hashes (BEP 52, "Upgrade Path").
    pub fn goes_by(&self, info_hash: InfoHash) -> bool {
        self.info_hash == info_hash || self.truncated_v2() == Some(info_hash)
    }

    /// The info hash of version 2 as trackers and peers have it, cut to 20 bytes (BEP 52, "infohash").
    pub fn truncated_v2(&self) -> Option<InfoHash> {
        self.info_hash_v2.as_ref().and_then(|hash| hash.first_chunk().copied().map(InfoHash))
    }

    /// The info hashes that trackers and peers have it by: both of a hybrid one (BEP 52, "Upgrade Path").
    pub fn info_hashes(&self) -> impl Iterator<Item = InfoHash> + use<> {
        let v2 = self.truncated_v2().filter(|hash| *hash != self.info_hash);
        std::iter::once(self.info_hash).chain(v2)
    }

    /// The bytes of a piece that peers need to send: without the padding at its end, which is zero (BEP 47). `None` where
    /// there is no such piece.
    pub fn piece_content(&self, index: PieceIndex) -> Option<u32> {
        let geometry = self.placement()?;
        let size = geometry.piece_size(index)?;
        if !self.has_padding {
            return Some(size);
        }
        let files = geometry.piece_files(index);
        let padding = files.iter().rev().take_while(|range| self.files[range.file].is_padding());
        let zeros: u64 = padding.map(|range| range.bytes.end - range.bytes.start).sum();
        u32::try_from(u64::from(size).saturating_sub(zeros)).ok()
    }

    /// How pieces and files lie, whatever its version; `None` where that is not known.
    pub fn placement(&self) -> Option<&Geometry> {
        self.geometry.as_ref().or(self.aligned.as_ref())
    }

    /// How many pieces it has hashes of by BEP 3.
    pub const fn piece_count(&self) -> usize {
        self.pieces.len() / HASH
    }

    /// The SHA-1 of a piece; `None` where there is no such piece, as in a torrent of version 2 alone.
    pub fn piece_hash(&self, index: PieceIndex) -> Option<[u8; 20]> {
        let (hashes, _) = self.pieces.as_chunks();
        hashes.get(usize::try_from(index.0).ok()?).copied()
    }

    /// The info value as it came, which peers without it ask for (BEP 9).
    pub const fn info_bytes(&self) -> &Bytes {
        &self.info
    }

    /// The bytes of all files.
    pub fn total(&self) -> u64 {
        // Checked when it was read.
        self.files.iter().map(|file| file.length).sum()
    }

    /// The trackers in the tiers of BEP 12, `announce` being the only one where there are no tiers.
    pub fn trackers(&self) -> Vec<Vec<String>> {
        if self.announce_list.is_empty() {
            return self.announce.iter().map(|tracker| vec![tracker.clone()]).collect();
        }
        self.announce_list.clone()
    }

    /// Reads an info value that is a part of `source`.
    fn from_info(info: View<'_>, source: &Bytes) -> Result<Self, DecodeError> {
        let start = info.span().start;
        if !info.is_dictionary() {
            return Err(DecodeError::new(start, "an info value that is a dictionary"));
        }
        let version = version(info)?;
        let is_v1 = matches!(version, Version::V1 | Version::Hybrid);
        let piece_length = piece_length(info)?;
        let mut faults = Vec::new();
        let (name, at) = preferred_name(info, &mut faults);
        if !name.is_safe() {
            let what = "a name that is not a plain file name: it is changed where files are stored";
            note(&mut faults, at, what);
        }
        let mut files = match version {
            Version::V1 | Version::Hybrid => files::v1(info, &name, &mut faults)?,
            Version::V2 => files::v2(info, &mut faults)?,
            // Its rules are not known: what looks like a file tree is shown.
            Version::Later(_) => files::v2(info, &mut faults).unwrap_or_default(),
        };
        if version == Version::V2 {
            files.iter_mut().for_each(|file| file.attributes.retain(|&attribute| attribute != b'p'));
        }
        let total = files.iter().try_fold(0_u64, |total, file| total.checked_add(file.length));
        if total.is_none() {
            return Err(DecodeError::new(start, "files of less than 2^64 bytes together"));
        }
        let mut pieces = Bytes::new();
        let mut geometry = None;
        if is_v1 {
            let lengths = files.iter().map(|file| file.length);
            let cut = Geometry::new(piece_length, lengths)
                .ok_or(DecodeError::new(start, "files of less than 2^32 pieces together"))?;
            pieces = source.slice_ref(hashes(info, &cut)?);
            geometry = Some(cut);
        }
        let has_padding = files.iter().any(File::is_padding);
        let (aligned, has_trees) = match version {
            Version::V1 | Version::Later(_) => (None, false),
            Version::V2 => trees::aligned(info, piece_length, &files, &mut faults),
            Version::Hybrid => (None, trees::joined(info, piece_length, &mut files, &mut faults)),
        };
        let sha256: [u8; 32] = Sha256::digest(info.raw()).into();
        let sha1: [u8; 20] = Sha1::digest(info.raw()).into();
        let mut short = [0; 20];
        short.copy_from_slice(&sha256[..20]);
        Ok(Self {
            info_hash: InfoHash(if is_v1 { sha1 } else { short }),
            info_hash_v2: (version != Version::V1).then_some(sha256),
            version,
            name,
            single_file: is_single_file(info, is_v1, &files),
            files,
            geometry,
            piece_length,
            private: info.get(b"private").and_then(View::integer) == Some(1),
            source: info.get(b"source").and_then(text),
            announce: None,
            announce_list: Vec::new(),
            creation_date: None,
            created_by: None,
            comment: None,
            encoding: None,
            url_list: Vec::new(),
            http_seeds: Vec::new(),
            nodes: Vec::new(),
            faults,
            aligned,
            has_padding,
            has_trees,
            layers: PieceLayers::new(),
            pieces,
            info: source.slice_ref(info.raw()),
        })
    }

    /// Reads what stands beside the info value. None of it can make a torrent unreadable.
    fn read_outer(&mut self, document: &Document<'_>) {
        let root = document.root();
        let mut faults = std::mem::take(&mut self.faults);
        irregularities(document, &mut faults);
        let mut read_text = |key: &[u8]| {
            let value = root.get(key)?;
            text(value).or_else(|| {
                note(&mut faults, value.span().start, "a value that is not a string: it is passed over");
                None
            })
        };
        self.created_by = read_text(b"created by");
        self.comment = read_text(b"comment");
        self.encoding = read_text(b"encoding");
        if let Some(value) = root.get(b"creation date") {
            self.creation_date = value.integer();
            if self.creation_date.is_none() {
                let what = "a creation date that is not a 64-bit number: ignored";
                note(&mut faults, value.span().start, what);
            }
        }
        if let Some(value) = root.get(b"announce") {
            self.announce = url(value, &mut faults);
        }
        if let Some(value) = root.get(b"announce-list") {
            self.announce_list = tiers(value, &mut faults);
            if self.announce_list.is_empty() {
                let what = match self.announce {
                    Some(_) => "an announce-list without a tracker: announce counts",
                    None => "an announce-list without a tracker",
                };
                note(&mut faults, value.span().start, what);
            }
        }
        for (key, urls) in [(&b"url-list"[..], &mut self.url_list), (b"httpseeds", &mut self.http_seeds)] {
            let Some(value) = root.get(key) else { continue };
            // One URL may stand without a list around it (BEP 19); without any, many programs write an empty string.
            match value.items() {
                Some(items) => {
                    urls.extend(items.take(MAX_URLS + 1).filter_map(|item| url(item, &mut faults)));
                    bound(urls, value.span().start, &mut faults);
                }
                None if value.bytes() == Some(b"") => {}
                None => urls.extend(url(value, &mut faults)),
            }
        }
        if let Some(value) = root.get(b"nodes") {
            let nodes: Vec<(ByteBuf, u16)> = serde_bencode::from_bytes(value.raw()).unwrap_or_else(|_| {
                let what = "nodes that are not a list of hosts with ports: they are passed over";
                note(&mut faults, value.span().start, what);
                Vec::new()
            });
            self.nodes = nodes.iter().take(MAX_URLS).map(|(host, port)| (lossy(host), *port)).collect();
        }
        self.faults = faults;
    }
}

/// BEP 52: `meta version` is checked before everything else.
fn version(info: View<'_>) -> Result<Version, DecodeError> {
    let Some(value) = info.get(b"meta version") else { return Ok(Version::V1) };
    let number = value.unsigned().ok_or(DecodeError::new(value.span().start, "a meta version of 2"))?;
    let has_v1 = info.get(b"pieces").is_some();
    Ok(match number {
        0 | 1 => Version::V1,
        2 if has_v1 => Version::Hybrid,
        2 => Version::V2,
        _ => Version::Later(number),
    })
}

fn piece_length(info: View<'_>) -> Result<u32, DecodeError> {
    let value = info
        .get(b"piece length")
        .ok_or(DecodeError::new(info.span().start, "an info dictionary with the key piece length"))?;
    value
        .unsigned()
        .and_then(|length| u32::try_from(length).ok())
        .filter(|&length| length > 0)
        .ok_or(DecodeError::new(value.span().start, "a piece length from 1 to 2^32 - 1"))
}

/// The piece hashes, as many as the files need.
fn hashes<'d>(info: View<'d>, geometry: &Geometry) -> Result<&'d [u8], DecodeError> {
    let value = info
        .get(b"pieces")
        .ok_or(DecodeError::new(info.span().start, "an info dictionary with the key pieces"))?;
    let at = value.span().start;
    let pieces = value.bytes().ok_or(DecodeError::new(at, "pieces in a string"))?;
    if pieces.len() % HASH != 0 {
        return Err(DecodeError::new(at, "pieces of a length that is a multiple of 20"));
    }
    if pieces.len() / HASH != geometry.piece_count() as usize {
        return Err(DecodeError::new(at, "a hash for each piece of the files, no more, no less"));
    }
    Ok(pieces)
}

/// The name, and the offset where it stands: `name.utf-8`, which some programs write beside a `name` in another encoding,
/// else `name`.
fn preferred_name(info: View<'_>, faults: &mut Vec<TorrentFault>) -> (Name, usize) {
    if let Some(value) = info.get(b"name.utf-8") {
        match value.text() {
            Some(name) if !name.is_empty() => return (Name(name.into()), value.span().start),
            _ => note(faults, value.span().start, "a name.utf-8 that is not UTF-8: name is used"),
        }
    }
    match info.get(b"name") {
        Some(value) => (Name(value.bytes().unwrap_or_default().to_vec()), value.span().start),
        None => (Name::default(), info.span().start),
    }
}

/// The tiers of trackers (BEP 12) that have one: of the first 1,000 trackers, since each costs a client a thousand times its
/// five bytes.
fn tiers(value: View<'_>, faults: &mut Vec<TorrentFault>) -> Vec<Vec<String>> {
    let (mut tiers, mut left) = (Vec::new(), MAX_URLS);
    for tier in value.items().into_iter().flatten() {
        if left == 0 {
            let what = "more than 1,000 trackers: those from here on are passed over";
            note(faults, tier.span().start, what);
            break;
        }
        let Some(urls) = tier.items() else {
            let what = "a value in the announce-list that is not a list of URLs: it is passed over";
            note(faults, tier.span().start, what);
            continue;
        };
        let mut urls: Vec<String> = urls.take(left + 1).filter_map(|item| url(item, faults)).collect();
        if urls.len() > left {
            let what = "more than 1,000 trackers: those of this tier that go beyond are passed over";
            note(faults, tier.span().start, what);
            urls.truncate(left);
        }
        left -= urls.len();
        if !urls.is_empty() {
            tiers.push(urls);
        }
    }
    tiers
}

/// Leaves out web seeds beyond the first 1,000.
fn bound(urls: &mut Vec<String>, at: usize, faults: &mut Vec<TorrentFault>) {
    if urls.len() > MAX_URLS {
        note(faults, at, "more than 1,000 web seeds: the rest are passed over");
        urls.truncate(MAX_URLS);
    }
}

/// A URL without the spaces and line breaks around it.
fn url(value: View<'_>, faults: &mut Vec<TorrentFault>) -> Option<String> {
    let at = value.span().start;
    let Some(text) = text(value) else {
        note(faults, at, "a value that is not a URL: it is passed over");
        return None;
    };
    let url = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\0');
    if url.is_empty() {
        note(faults, at, "an empty URL: it is passed over");
        return None;
    }
    if url.len() < text.len() {
        note(faults, at, "spaces around a URL: they are passed over");
    }
    Some(url.to_owned())
}

/// BEP 52 has one file at the top, called as the torrent, where BEP 3 has a `length`.
fn is_single_file(info: View<'_>, is_v1: bool, files: &[File]) -> bool {
    if is_v1 {
        return files::list(info).is_none();
    }
    matches!(files, [file] if file.path.len() == 1)
}

fn text(value: View<'_>) -> Option<String> {
    value.bytes().map(lossy)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn irregularities(document: &Document<'_>, faults: &mut Vec<TorrentFault>) {
    for found in document.irregularities() {
        let what = match found.kind {
            IrregularityKind::UnsortedKey => "a key that sorts before the key in front of it",
            IrregularityKind::DuplicateKey => "a key that its dictionary has already: the first counts",
            IrregularityKind::LeadingZero => "a number with leading zeros",
            IrregularityKind::NegativeZero => "a zero with a sign",
        };
        note(faults, found.offset, what);
    }
}

/// How many faults are kept.
const MAX_FAULTS: usize = 100;

/// How many trackers are kept, and how many web seeds and nodes of each kind; public lists of trackers have some hundred.
const MAX_URLS: usize = 1_000;

/// The bytes of a SHA-1.
const HASH: usize = 20;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod fault_tests;
