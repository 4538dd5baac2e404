//! What a torrent goes by: one info hash, or both of a hybrid torrent (BEP 52, "Upgrade Path").

use bittrace_protocol::{InfoHash, Metainfo};

/// The info hashes of a torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TorrentHashes {
    /// That of version 1, or the only one.
    pub first: InfoHash,
    /// That of version 2 of a hybrid torrent, cut to 20 bytes.
    pub second: Option<InfoHash>,
}

impl TorrentHashes {
    /// Those of a torrent.
    pub fn of(torrent: &Metainfo) -> Self {
        let second = torrent.truncated_v2().filter(|hash| *hash != torrent.info_hash);
        Self { first: torrent.info_hash, second }
    }

    /// Whether this is one of them.
    pub fn has(&self, info_hash: InfoHash) -> bool {
        self.first == info_hash || self.second == Some(info_hash)
    }

    /// Each of them.
    pub fn all(&self) -> impl Iterator<Item = InfoHash> {
        std::iter::once(self.first).chain(self.second)
    }
}

impl From<InfoHash> for TorrentHashes {
    fn from(info_hash: InfoHash) -> Self {
        Self { first: info_hash, second: None }
    }
}
