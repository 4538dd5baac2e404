//! Tokens that show who asked before: only to an address that was given a token is an announce of its torrent believed
//! (BEP 5, "get_peers").

use std::net::IpAddr;
use std::time::Duration;

use sha1::{Digest, Sha1};

use crate::compact::address_bytes;
use crate::secret_stream::SecretStream;
use crate::{InfoHash, Timestamp};

/// Gives tokens and knows them again, without keeping any.
#[derive(Debug)]
pub(super) struct Tokens {
    draw: SecretStream,
    current: [u8; 20],
    last: [u8; 20],
    changes_at: Timestamp,
}

impl Tokens {
    pub(super) fn new(secret: [u8; 32], now: Timestamp) -> Self {
        let mut draw = SecretStream::new(secret, "dht tokens", 0);
        Self { current: draw.array(), last: draw.array(), draw, changes_at: now + SECRET_LASTS }
    }

    /// The token for an address and a torrent.
    pub(super) fn give(&mut self, now: Timestamp, host: IpAddr, torrent: InfoHash) -> Vec<u8> {
        self.advance(now);
        token(&self.current, host, torrent)
    }

    /// Whether a token was given to this address for this torrent not long ago.
    pub(super) fn holds(&mut self, now: Timestamp, host: IpAddr, torrent: InfoHash, given: &[u8]) -> bool {
        self.advance(now);
        [self.current, self.last].iter().any(|secret| token(secret, host, torrent) == given)
    }

    fn advance(&mut self, now: Timestamp) {
        for _ in 0..2 {
            if now >= self.changes_at {
                self.last = std::mem::replace(&mut self.current, self.draw.array());
                self.changes_at = self.changes_at + SECRET_LASTS;
            }
        }
        // After a long pause neither of the two secrets is one that was used.
        if now >= self.changes_at {
            self.changes_at = now + SECRET_LASTS;
        }
    }
}

/// BEP 5 has the address alone; with the torrent, a token for one torrent announces no other (bittorrent.org#47).
fn token(secret: &[u8; 20], host: IpAddr, torrent: InfoHash) -> Vec<u8> {
    let mut sha1 = Sha1::new();
    sha1.update(secret);
    sha1.update(address_bytes(host));
    sha1.update(torrent.0);
    sha1.finalize()[..LENGTH].to_vec()
}

/// How long a secret is used; the one before it counts too, so that tokens hold for 5 to 10 minutes (BEP 5, "get_peers").
const SECRET_LASTS: Duration = Duration::from_secs(5 * 60);
/// The bytes of a token: too many to guess within ten minutes.
const LENGTH: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_address_and_one_torrent() {
        let now = Timestamp::EPOCH;
        let mut tokens = Tokens::new([1; 32], now);
        let (host, other) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let (torrent, another) = (InfoHash([1; 20]), InfoHash([2; 20]));
        let token = tokens.give(now, host, torrent);
        assert!(tokens.holds(now, host, torrent, &token));
        assert!(!tokens.holds(now, other, torrent, &token));
        assert!(!tokens.holds(now, host, another, &token));
        assert!(!tokens.holds(now, host, torrent, &token[1..]) && !tokens.holds(now, host, torrent, &[]));
        assert_ne!(Tokens::new([2; 32], now).give(now, host, torrent), token);
    }

    #[test]
    fn a_token_holds_for_five_minutes_and_for_no_more_than_ten() {
        let begun = Timestamp::EPOCH;
        let mut tokens = Tokens::new([1; 32], begun);
        let (host, torrent) = ([10, 0, 0, 1].into(), InfoHash([1; 20]));
        let given_at = begun + Duration::from_secs(299);
        let token = tokens.give(given_at, host, torrent);
        assert!(tokens.holds(given_at + Duration::from_secs(300), host, torrent, &token));
        assert!(!tokens.holds(begun + Duration::from_secs(600), host, torrent, &token));
        let token = tokens.give(begun + Duration::from_secs(700), host, torrent);
        assert!(!tokens.holds(begun + Duration::from_secs(9_000), host, torrent, &token));
    }
}
