//! Announces to the local network (BEP 14): a line for each.

use bittrace_protocol::{InfoHash, lsd};

use super::content::{NAMED, listed, short_hash};

pub(super) fn describe(announce: &lsd::Announce) -> String {
    let some: Vec<_> =
        announce.info_hashes.iter().take(NAMED).map(|hash: &InfoHash| short_hash(hash)).collect();
    format!("announce {}, port {}", listed(some, announce.info_hashes.len(), "nothing"), announce.port)
}
