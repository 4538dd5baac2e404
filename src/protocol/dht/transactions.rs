//! The queries that wait for an answer. An answer counts where the transaction and the address are those of a query.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::time::Duration;

use super::NodeId;
use crate::Timestamp;
use crate::secret_stream::SecretStream;

/// What waits for an answer.
#[derive(Debug)]
pub(super) struct Transactions {
    draw: SecretStream,
    pending: BTreeMap<[u8; 2], Pending>,
}

/// A query that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub(super) address: SocketAddr,
    pub(super) purpose: Purpose,
    sent_at: Timestamp,
    slow: bool,
}

/// What a query is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Whether the node is there that has this id.
    Ping(NodeId),
    /// The search with this number.
    Lookup(u32),
    /// To announce.
    Announce,
}

/// What time does to a query.
#[derive(Debug, Clone, Copy)]
pub(super) enum Waited {
    /// Another one may be asked meanwhile.
    Slow(Pending),
    /// No answer is taken any longer.
    Failed(Pending),
}

impl Transactions {
    pub(super) const fn new(secret: [u8; 32]) -> Self {
        Self { draw: SecretStream::new(secret, "dht transactions", 0), pending: BTreeMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether one more query may wait.
    pub(super) fn has_room(&self) -> bool {
        self.len() < MAX_PENDING
    }

    /// A query is sent: its transaction, where there is room for one more.
    pub(super) fn begin(&mut self, now: Timestamp, address: SocketAddr, purpose: Purpose) -> Option<[u8; 2]> {
        if !self.has_room() {
            return None;
        }
        loop {
            let transaction = self.draw.array();
            if let Entry::Vacant(place) = self.pending.entry(transaction) {
                place.insert(Pending { address, purpose, sent_at: now, slow: false });
                return Some(transaction);
            }
        }
    }

    /// An answer came: the query that it answers.
    pub(super) fn end(&mut self, transaction: &[u8], from: SocketAddr) -> Option<Pending> {
        let transaction: [u8; 2] = transaction.try_into().ok()?;
        let pending = self.pending.get(&transaction).filter(|pending| pending.address == from)?;
        let pending = *pending;
        self.pending.remove(&transaction);
        Some(pending)
    }

    /// The queries that have waited too long by now.
    pub(super) fn waited(&mut self, now: Timestamp) -> Vec<Waited> {
        let mut waited = Vec::new();
        self.pending.retain(|_, pending| {
            if now - pending.sent_at >= FAILED {
                waited.push(Waited::Failed(*pending));
                return false;
            }
            if now - pending.sent_at >= SLOW && !std::mem::replace(&mut pending.slow, true) {
                waited.push(Waited::Slow(*pending));
            }
            true
        });
        waited
    }

    /// When a query has waited too long next.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        let ends = |pending: &Pending| pending.sent_at + if pending.slow { FAILED } else { SLOW };
        self.pending.values().map(ends).min()
    }
}

/// After so long another node is asked as well.
const SLOW: Duration = Duration::from_secs(2);
/// After so long no answer is taken any longer.
const FAILED: Duration = Duration::from_secs(10);
/// How many queries may wait for an answer.
const MAX_PENDING: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;

    fn address(port: u16) -> SocketAddr {
        ([11, 0, 0, 1], port).into()
    }

    #[test]
    fn an_answer_counts_once_and_from_the_address_that_was_asked() {
        let mut transactions = Transactions::new([1; 32]);
        let asked = transactions.begin(NOW, address(1), Purpose::Announce).expect("room");
        assert!(transactions.end(&asked, address(2)).is_none());
        assert!(
            transactions.end(&[asked[0]], address(1)).is_none()
                && transactions.end(&[], address(1)).is_none()
        );
        let pending = transactions.end(&asked, address(1)).expect("a query");
        assert_eq!((pending.address, pending.purpose), (address(1), Purpose::Announce));
        assert!(transactions.end(&asked, address(1)).is_none());
    }

    #[test]
    fn a_query_is_slow_after_two_seconds_and_fails_after_ten() {
        let mut transactions = Transactions::new([1; 32]);
        transactions.begin(NOW, address(1), Purpose::Announce);
        let at = |seconds| NOW + Duration::from_secs(seconds);
        assert_eq!(transactions.next_at(), Some(at(2)));
        assert!(matches!(transactions.waited(at(2))[..], [Waited::Slow(_)]));
        assert!(transactions.waited(at(9)).is_empty());
        assert_eq!(transactions.next_at(), Some(at(10)));
        assert!(matches!(transactions.waited(at(10))[..], [Waited::Failed(_)]));
        assert_eq!((transactions.next_at(), transactions.len()), (None, 0));
    }

    #[test]
    fn so_many_queries_wait_and_no_more() {
        let mut transactions = Transactions::new([1; 32]);
        let begun =
            (0..2_000).filter(|&port| transactions.begin(NOW, address(port), Purpose::Announce).is_some());
        assert_eq!(begun.count(), MAX_PENDING);
    }
}
