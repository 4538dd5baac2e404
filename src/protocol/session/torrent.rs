//! The torrent of a session: known, or wanted by its info hash until peers have sent its metadata.

use std::sync::Arc;

use bytes::Bytes;

use crate::magnet::InfoHashes;
use crate::{Geometry, InfoHash, Metainfo};

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

    pub(super) const fn is_wanted(&self) -> bool {
        matches!(self, Self::Wanted(..))
    }

    pub(super) fn known(&self) -> Option<&Metainfo> {
        match self {
            Self::Wanted(..) => None,
            Self::Known(torrent) => Some(torrent),
        }
    }

    /// How its pieces lie, where that is known and of BEP 3.
    pub(super) fn geometry(&self) -> Option<&Geometry> {
        self.known().and_then(|torrent| torrent.geometry.as_ref())
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

    /// Whether its peers may come from its trackers only, as far as is known (BEP 27).
    pub(super) fn is_private(&self) -> bool {
        self.known().is_some_and(|torrent| torrent.private)
    }
}
