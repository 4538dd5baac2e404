//! The torrent of a session: known, or wanted by its info hash until peers have sent its metadata.

use std::sync::Arc;

use bytes::Bytes;

use crate::magnet::InfoHashes;
use crate::{Geometry, InfoHash, Metainfo};

use super::layer_fetch::LayerFetch;
use super::metadata::MetadataFetch;

/// What is known of a session's torrent.
#[derive(Debug)]
pub(super) enum Torrent {
    /// Only its info hashes are known; its metadata is fetched from peers.
    Wanted(InfoHashes, Box<MetadataFetch>),
    /// All of it.
    Known(Arc<Metainfo>),
}

impl Torrent {
    /// What trackers and peers have it by.
    pub(super) fn info_hash(&self) -> InfoHash {
        match self {
            Self::Wanted(hashes, _) => hashes.handshake(),
            Self::Known(torrent) => torrent.info_hash,
        }
    }

    /// What peers have it by that speak version 1, and what those have it by that speak version 2 (BEP 52): both of a hybrid
    /// torrent, and one of any other.
    pub(super) fn hashes(&self) -> [Option<InfoHash>; 2] {
        match self {
            Self::Wanted(hashes, _) => [hashes.v1(), hashes.truncated_v2()],
            Self::Known(torrent) => {
                // Where the file tree contradicts the files, only these count.
                let has_tree = torrent.geometry.is_none() || torrent.piece_layer().is_some();
                let v2 = torrent.truncated_v2().filter(|_| has_tree);
                [torrent.geometry.as_ref().map(|_| torrent.info_hash), v2]
            }
        }
    }

    /// Everything that peers have it by.
    pub(super) fn info_hashes(&self) -> Vec<InfoHash> {
        self.hashes().into_iter().flatten().collect()
    }

    /// Whether both versions are spoken with its peers.
    pub(super) fn is_hybrid(&self) -> bool {
        matches!(self.hashes(), [Some(_), Some(_)])
    }

    /// Whether a connection whose handshakes come to this info hash is one of version 2; `None` where it is about another
    /// torrent.
    pub(super) fn is_v2(&self, info_hash: InfoHash) -> Option<bool> {
        match self.hashes() {
            [Some(v1), _] if v1 == info_hash => Some(false),
            [_, Some(v2)] if v2 == info_hash => Some(true),
            _ => None,
        }
    }

    /// With what a peer is answered that called by `info_hash`: version 2 is taken where it is offered (BEP 52, "Upgrade Path").
    pub(super) fn answer_to(&self, info_hash: InfoHash, offers_v2: bool) -> InfoHash {
        match self.hashes() {
            [Some(v1), Some(v2)] if v1 == info_hash && offers_v2 => v2,
            _ => info_hash,
        }
    }

    /// What is under way of its metadata, where that will tell the info hash of version 2, if there is one.
    pub(super) fn awaits_v2(&mut self) -> Option<&mut MetadataFetch> {
        match self {
            Self::Wanted(InfoHashes::V1(_), fetch) if fetch.info().is_none() => Some(fetch),
            _ => None,
        }
    }

    pub(super) const fn is_wanted(&self) -> bool {
        matches!(self, Self::Wanted(..))
    }

    pub(super) fn known(&self) -> Option<&Metainfo> {
        match self {
            Self::Wanted(..) => None,
            Self::Known(torrent) => Some(torrent),
        }
    }

    /// How its pieces lie, where that is known.
    pub(super) fn geometry(&self) -> Option<&Geometry> {
        self.known().and_then(Metainfo::placement)
    }

    /// Whether its pieces can be asked for and checked, or that is not known yet.
    pub(super) fn is_usable(&self) -> bool {
        self.known().is_none_or(|torrent| torrent.placement().is_some() && torrent.has_all_hashes())
    }

    /// Its info dictionary, as soon as that is verified.
    pub(super) fn info(&self) -> Option<&Bytes> {
        match self {
            Self::Wanted(_, fetch) => fetch.info(),
            Self::Known(torrent) => Some(torrent.info_bytes()),
        }
    }

    /// What is under way of its metadata, while that is not verified.
    pub(super) fn fetch(&mut self) -> Option<(InfoHashes, &mut MetadataFetch)> {
        match self {
            Self::Wanted(hashes, fetch) if fetch.info().is_none() => Some((*hashes, fetch)),
            _ => None,
        }
    }

    /// What is under way of its piece layers, while these are not there.
    pub(super) fn layer_fetch(&mut self) -> Option<&mut LayerFetch> {
        match self {
            Self::Wanted(_, fetch) => fetch.layers(),
            Self::Known(_) => None,
        }
    }

    /// Its info dictionary, now that its piece layers are there as well.
    pub(super) fn end_layer_fetch(&mut self) -> Option<Bytes> {
        match self {
            Self::Wanted(_, fetch) => fetch.end_layers(),
            Self::Known(_) => None,
        }
    }

    /// Whether its peers may come from its trackers only, as far as is known (BEP 27).
    pub(super) fn is_private(&self) -> bool {
        self.known().is_some_and(|torrent| torrent.private)
    }
}
