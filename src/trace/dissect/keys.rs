//! The keys in encrypted connections, found by what a connection shows of its own.

use std::collections::HashMap;

use bittrace_protocol::mse::{HASH_LENGTH, KEY_LENGTH, MAX_KEYS, MAX_PADDING, MseKey};

/// KeyRing by the hash of their secret.
#[derive(Debug, Default)]
pub(super) struct KeyRing {
    by_secret: HashMap<[u8; HASH_LENGTH], Vec<MseKey>>,
    count: usize,
}

/// What the keys say of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FoundKey<'a> {
    /// This is its key; the initiator's hashes begin at this offset.
    MseKey(&'a MseKey, usize),
    /// The secret is known, but with none of the torrents it is known for.
    OtherTorrent,
    /// None of them is its key, as far as its bytes tell.
    Nothing,
}

/// How many torrents are remembered for one secret. It is drawn for one connection, so for one torrent.
const TORRENTS: usize = 16;

impl KeyRing {
    pub(super) fn add(&mut self, key: &MseKey) {
        if self.count >= MAX_KEYS {
            return;
        }
        let known = self.by_secret.entry(key.secret_hash()).or_default();
        if known.len() < TORRENTS && !known.contains(key) {
            known.push(key.clone());
            self.count += 1;
        }
    }

    /// How many there are.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// The key of the connection whose initiator begins with `bytes`. Hashes do not begin before `searched`, which is
    /// moved on.
    pub(super) fn find(&self, bytes: &[u8], searched: &mut usize) -> FoundKey<'_> {
        if self.by_secret.is_empty() {
            return FoundKey::Nothing;
        }
        for at in (*searched).max(KEY_LENGTH)..=KEY_LENGTH + MAX_PADDING {
            let Some(hashes) = bytes.get(at..at + 2 * HASH_LENGTH) else { return FoundKey::Nothing };
            *searched = at + 1;
            let (secret, torrent) = hashes.split_at(HASH_LENGTH);
            let Some(known) = self.by_secret.get(secret) else { continue };
            return match known.iter().find(|key| key.torrent_hash() == *torrent) {
                Some(key) => FoundKey::MseKey(key, at),
                None => FoundKey::OtherTorrent,
            };
        }
        FoundKey::Nothing
    }
}

#[cfg(test)]
mod tests {
    use bittrace_protocol::InfoHash;

    use super::*;

    fn key(torrent: u8) -> MseKey {
        MseKey { info_hash: InfoHash([torrent; 20]), secret: [7; KEY_LENGTH] }
    }

    fn opening(padding: usize) -> Vec<u8> {
        [&[0x55; KEY_LENGTH][..], &vec![0xaa; padding], &key(1).torrent_part()].concat()
    }

    #[test]
    fn a_key_is_found_behind_any_padding_however_the_bytes_come() {
        let mut keys = KeyRing::default();
        (0..3).for_each(|torrent| keys.add(&key(torrent)));
        for padding in [0, 1, 511, 512] {
            let (bytes, mut searched) = (opening(padding), 0);
            for end in 0..bytes.len() {
                assert_eq!(keys.find(&bytes[..end], &mut searched), FoundKey::Nothing, "{padding}: {end}");
            }
            assert_eq!(keys.find(&bytes, &mut searched), FoundKey::MseKey(&key(1), KEY_LENGTH + padding));
        }
        assert_eq!(keys.find(&opening(513), &mut 0), FoundKey::Nothing);
    }

    #[test]
    fn a_secret_of_another_torrent_is_no_key() {
        let mut keys = KeyRing::default();
        assert_eq!(keys.find(&opening(5), &mut 0), FoundKey::Nothing);
        keys.add(&key(2));
        assert_eq!(keys.find(&opening(5), &mut 0), FoundKey::OtherTorrent);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut keys = KeyRing::default();
        (0..100).for_each(|torrent| keys.add(&key(torrent)));
        (0..100).for_each(|_| keys.add(&key(0)));
        assert_eq!(keys.count, TORRENTS);
    }
}
