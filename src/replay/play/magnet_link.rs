//! The magnet link that a reference's client may have had.

use bittrace_protocol::Metainfo;
use bittrace_protocol::magnet::{InfoHashes, Magnet};

use crate::model::transcript::Transcript;

/// The link to `torrent` with its trackers: by both info hashes of a hybrid torrent where a connection or an announce of `reference` is
/// by that of version 2.
pub fn link_of(torrent: &Metainfo, reference: &Transcript) -> Magnet {
    let link = Magnet::of(torrent);
    let is_v2 = reference.torrents().into_iter().any(|hash| torrent.truncated_v2() == Some(hash));
    match (link.hashes, torrent.info_hash_v2.filter(|_| is_v2)) {
        (InfoHashes::V1(first), Some(second)) => Magnet { hashes: InfoHashes::Both(first, second), ..link },
        _ => link,
    }
}
