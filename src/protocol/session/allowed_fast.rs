//! Which pieces a peer may ask for while it is choked (BEP 6, "allowed fast set generation").

use std::net::Ipv4Addr;

use sha1::{Digest, Sha1};

use crate::{InfoHash, PieceIndex};

/// The canonical set: at most `count` of `pieces` pieces, the same for every peer of a /24 network, so that nobody
/// gains by calling from many addresses.
pub(super) fn allowed_fast(
    address: Ipv4Addr,
    info_hash: &InfoHash,
    pieces: u32,
    count: u32,
) -> Vec<PieceIndex> {
    let count = count.min(pieces).min(MOST) as usize;
    let [a, b, c, _] = address.octets();
    let mut digest: [u8; 20] =
        Sha1::new().chain_update([a, b, c, 0]).chain_update(info_hash.0).finalize().into();
    let mut set: Vec<PieceIndex> = Vec::with_capacity(count);
    while set.len() < count {
        for four in digest.chunks_exact(4) {
            let number = four.iter().fold(0_u32, |number, &byte| number << 8 | u32::from(byte));
            let piece = PieceIndex(number % pieces);
            if set.len() < count && !set.contains(&piece) {
                set.push(piece);
            }
        }
        digest = Sha1::digest(digest).into();
    }
    set
}

/// No client allows as many; the search for the last ones of a small torrent grows long.
const MOST: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: u32) -> Vec<u32> {
        let set = allowed_fast(Ipv4Addr::new(80, 4, 4, 200), &InfoHash([0xaa; 20]), 1313, count);
        set.into_iter().map(|piece| piece.0).collect()
    }

    #[test]
    fn gives_the_sets_that_bep_6_prints() {
        assert_eq!(numbers(7), [1059, 431, 808, 1217, 287, 376, 1188]);
        assert_eq!(numbers(9), [1059, 431, 808, 1217, 287, 376, 1188, 353, 508]);
    }

    #[test]
    fn a_small_torrent_is_allowed_whole() {
        let mut set = allowed_fast(Ipv4Addr::LOCALHOST, &InfoHash([1; 20]), 3, 10);
        set.sort_unstable();
        assert_eq!(set, [0, 1, 2].map(PieceIndex));
        assert!(allowed_fast(Ipv4Addr::LOCALHOST, &InfoHash([1; 20]), 0, 10).is_empty());
    }
}
