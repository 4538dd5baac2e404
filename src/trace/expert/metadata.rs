//! Metadata that peers send each other (BEP 9): whether the metadata of one peer has the info hash, and info dictionaries
//! that are put together from the pieces of all peers.

use std::collections::BTreeMap;

use bittrace_protocol::wire::{Content, Extension, METADATA_PIECE, Message, MetadataKind};
use bittrace_protocol::{InfoHash, Metainfo};
use bytes::Bytes;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::record::{Body, PeerWireBody, Record};

/// Hashes the pieces of metadata that one peer sends, as long as they arrive in order. The bytes are not kept.
#[derive(Debug)]
pub(super) struct MetadataHash {
    total: u64,
    hashed: u64,
    next: u32,
    v1: Sha1,
    v2: Sha256,
}

impl MetadataHash {
    pub(super) fn new(total: u64) -> Self {
        Self { total, hashed: 0, next: 0, v1: Sha1::new(), v2: Sha256::new() }
    }

    /// Takes in a piece. After the last piece, the two info hashes: SHA-1 (BEP 3), and SHA-256 cut to 20 bytes (BEP 52).
    pub(super) fn push(&mut self, piece: u32, bytes: &[u8]) -> Option<[InfoHash; 2]> {
        if piece != self.next || self.hashed >= self.total {
            return None;
        }
        self.next += 1;
        self.hashed += bytes.len() as u64;
        self.v1.update(bytes);
        self.v2.update(bytes);
        if self.hashed != self.total {
            return None;
        }
        let v2: [u8; 32] = self.v2.clone().finalize().into();
        let mut short = [0; 20];
        short.copy_from_slice(&v2[..20]);
        Some([InfoHash(self.v1.clone().finalize().into()), InfoHash(short)])
    }
}

/// The ut_metadata message (BEP 9) that a record is: the extension that decodes the payload, and the payload.
pub(super) fn metadata_message(record: &Record) -> Option<(&Extension, &Bytes)> {
    match &record.body {
        Body::PeerWire(PeerWireBody::Extended(
            Message::Extended { payload, .. },
            extension @ Extension::Metadata,
        )) => Some((extension, payload)),
        _ => None,
    }
}

/// The pieces of metadata so far.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// By torrent, and by the length that the sender gives for the whole.
    torrents: BTreeMap<(InfoHash, u64), BTreeMap<u32, Vec<Bytes>>>,
    held_bytes: usize,
    /// How many bytes of combinations were hashed, that do not have their hash.
    tried: u64,
}

/// No metadata is longer: that of a million files has some 100 MB.
const LONGEST: u64 = 128 << 20;
/// How many bytes of memory the pieces of incomplete metadata may take.
const KEPT: usize = 256 << 20;
/// How many different contents of a piece are tried.
const VERSIONS: usize = 4;
/// How many combinations of these contents are tried.
const TRIES: usize = 64;
/// How many bytes of combinations are hashed in vain, in all.
const TRIED: u64 = 4 << 30;

impl Gathered {
    /// Takes in a message, and gives the torrent once its info dictionary is whole and has the info hash.
    pub(super) fn add(
        &mut self,
        info_hash: InfoHash,
        extension: &Extension,
        payload: &Bytes,
    ) -> Option<Metainfo> {
        let Ok(Content::Metadata(metadata)) = extension.decode(payload) else { return None };
        if metadata.kind != MetadataKind::Data {
            return None;
        }
        let total = metadata.total_size.filter(|total| (1..=LONGEST).contains(total))?;
        let start = u64::from(metadata.piece) * METADATA_PIECE;
        let wanted = total.checked_sub(start).filter(|rest| *rest > 0)?.min(METADATA_PIECE);
        if metadata.data.len() as u64 != wanted || self.held_bytes + metadata.data.len() > KEPT {
            return None;
        }
        // A copy: the message it stands in would be kept whole.
        let bytes = Bytes::from(metadata.data);
        let pieces = self.torrents.entry((info_hash, total)).or_default();
        let versions = pieces.entry(metadata.piece).or_default();
        if versions.len() >= VERSIONS || versions.contains(&bytes) {
            return None;
        }
        self.held_bytes += cost(&bytes);
        versions.push(bytes);
        if pieces.len() as u64 != total.div_ceil(METADATA_PIECE) {
            return None;
        }
        let mut found = None;
        for bytes in combinations(pieces) {
            if self.tried > TRIED {
                return None;
            }
            if has_hash(&bytes, info_hash) {
                found = Some(bytes);
                break;
            }
            self.tried += total;
        }
        // What has the hash is what the torrent is, though it may be no info dictionary.
        let found = found?;
        for versions in self.torrents.remove(&(info_hash, total)).into_iter().flat_map(BTreeMap::into_values)
        {
            self.held_bytes -= versions.iter().map(cost).sum::<usize>();
        }
        Metainfo::decode_info(&found).ok()
    }
}

/// What it takes to keep bytes, which may be few of a torrent of their own.
fn cost(bytes: &Bytes) -> usize {
    bytes.len() + 256
}

/// Whether an info dictionary has this info hash, of either version.
fn has_hash(info: &[u8], info_hash: InfoHash) -> bool {
    let (v1, v2) = (Sha1::digest(info), Sha256::digest(info));
    v1.as_slice() == info_hash.0 || v2.as_slice()[..20] == info_hash.0
}

/// The first combinations of one version of each piece.
fn combinations(pieces: &BTreeMap<u32, Vec<Bytes>>) -> impl Iterator<Item = Vec<u8>> + '_ {
    let all = pieces.values().map(Vec::len).try_fold(1_usize, usize::checked_mul).unwrap_or(TRIES);
    (0..all.min(TRIES)).map(|mut number| {
        let mut bytes = Vec::new();
        for versions in pieces.values() {
            bytes.extend_from_slice(&versions[number % versions.len()]);
            number /= versions.len();
        }
        bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(piece: u32, total: usize, bytes: &[u8]) -> Bytes {
        let mut payload = format!("d8:msg_typei1e5:piecei{piece}e10:total_sizei{total}ee").into_bytes();
        payload.extend_from_slice(bytes);
        payload.into()
    }

    /// An info dictionary of more than one piece of metadata.
    fn info() -> Vec<u8> {
        let mut info = b"d6:lengthi16384000e4:name1:x12:piece lengthi16384e6:pieces20000:".to_vec();
        info.extend((0..20_000_u32).map(|number| (number * 7) as u8));
        info.push(b'e');
        info
    }

    #[test]
    fn metadata_is_whole_when_it_has_the_info_hash_and_not_before() {
        let info = info();
        let wanted = Metainfo::decode_info(&info).unwrap();
        let (first, second) = info.split_at(16_384);
        let mut altered = first.to_vec();
        altered[10_000] ^= 1;
        let mut gathered = Gathered::default();
        let mut add = |piece, bytes: &[u8]| {
            gathered.add(wanted.info_hash, &Extension::Metadata, &data(piece, info.len(), bytes))
        };
        assert_eq!(add(0, &altered), None);
        assert_eq!(add(1, second), None);
        assert_eq!(add(1, &second[1..]), None);
        assert_eq!(add(0, first), Some(wanted.clone()));
        // The altered piece was tried twice.
        assert_eq!((gathered.held_bytes, gathered.tried), (0, 2 * info.len() as u64));
    }

    #[test]
    fn what_has_the_hash_is_not_tried_again() {
        let nonsense = [7; 20_000];
        let info_hash = InfoHash(Sha1::digest(nonsense).into());
        let mut gathered = Gathered::default();
        let mut add = |piece, bytes: &[u8]| {
            gathered.add(info_hash, &Extension::Metadata, &data(piece, nonsense.len(), bytes))
        };
        assert_eq!((add(0, &nonsense[..16_384]), add(1, &nonsense[16_384..])), (None, None));
        assert_eq!((gathered.torrents.len(), gathered.held_bytes), (0, 0));
    }

    #[test]
    fn a_piece_behind_the_last_does_no_harm() {
        let mut info = info();
        info.truncate(20_000);
        info.extend((20_000..32_768).map(|number| number as u8));
        let mut gathered = Gathered::default();
        let mut add = |piece, bytes: &[u8]| {
            gathered.add(InfoHash([1; 20]), &Extension::Metadata, &data(piece, info.len(), bytes))
        };
        assert_eq!((add(2, b""), add(0, &info[..16_384]), add(1, &info[16_384..])), (None, None, None));
        assert_eq!(
            (gathered.torrents.values().map(BTreeMap::len).sum::<usize>(), gathered.tried),
            (2, 32_768)
        );
    }

    #[test]
    fn an_announced_size_takes_no_memory_and_tries_have_an_end() {
        let mut gathered = Gathered::default();
        let mut add = |piece, total, bytes: &[u8]| {
            gathered.add(InfoHash([1; 20]), &Extension::Metadata, &data(piece, total, bytes))
        };
        assert_eq!(add(0, 1 << 40, &[0; 16_384]), None);
        assert_eq!(add(0, LONGEST as usize, &[0; 16_384]), None);
        for version in 0..10 {
            assert_eq!(add(0, 1, &[version]), None);
        }
        assert_eq!(gathered.held_bytes, 16_384 + 256 + VERSIONS * 257);
        assert_eq!(gathered.tried, (1..=VERSIONS as u64).sum());
        gathered.tried = TRIED + 1;
        assert_eq!(gathered.add(InfoHash([1; 20]), &Extension::Metadata, &data(0, 2, b"de")), None);
        assert_eq!(gathered.tried, TRIED + 1);
    }
}
