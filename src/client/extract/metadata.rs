//! Info dictionaries that peers sent each other (BEP 9), put together again.

use std::collections::BTreeMap;

use bittrace_protocol::wire::{Content, Extension, MetadataKind};
use bittrace_protocol::{InfoHash, Metainfo};
use bytes::Bytes;

/// The pieces of metadata so far.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// By torrent, and by the length that the speaker gives the whole.
    torrents: BTreeMap<(InfoHash, u64), BTreeMap<u32, Vec<Bytes>>>,
    kept: usize,
}

/// The bytes of each piece of metadata but the last (BEP 9, "extension message").
const PIECE: u64 = 16 * 1024;
/// No metadata is longer: that of a million files has some 100 MB.
const LONGEST: u64 = 128 << 20;
/// How many bytes wait in all.
const KEPT: usize = 256 << 20;
/// How many different contents of a piece are tried.
const VERSIONS: usize = 4;
/// How many combinations of those.
const TRIES: usize = 64;

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
        let start = u64::from(metadata.piece) * PIECE;
        let wanted = total.checked_sub(start)?.min(PIECE);
        if metadata.data.len() as u64 != wanted || self.kept + metadata.data.len() > KEPT {
            return None;
        }
        // A copy: the message it stands in would be kept whole.
        let bytes = Bytes::copy_from_slice(payload.get(metadata.data)?);
        let pieces = self.torrents.entry((info_hash, total)).or_default();
        let versions = pieces.entry(metadata.piece).or_default();
        if versions.len() >= VERSIONS || versions.contains(&bytes) {
            return None;
        }
        self.kept += bytes.len();
        versions.push(bytes);
        if pieces.len() as u64 != total.div_ceil(PIECE) {
            return None;
        }
        let found = combinations(pieces).find_map(|bytes| {
            let torrent = Metainfo::decode_info(&bytes).ok()?;
            torrent.goes_by(info_hash).then_some(torrent)
        })?;
        for versions in self.torrents.remove(&(info_hash, total)).into_iter().flat_map(BTreeMap::into_values)
        {
            self.kept -= versions.iter().map(Bytes::len).sum::<usize>();
        }
        Some(found)
    }
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
        assert_eq!(gathered.kept, 0);
    }
}
