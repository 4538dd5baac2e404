//! Whether what clients tell trackers of the bytes that are left can be, given the pieces that they were seen to receive.
//!
//! Only too many bytes contradict: fewer may have come from a disk, or on connections that cannot be read. A client that
//! begins anew (`started`) may have lost what it had.

use std::collections::{HashMap, HashSet, VecDeque};

use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::tracker::Event;
use bittrace_protocol::{InfoHash, PeerId, PieceIndex, Timestamp};
use foldhash::fast::RandomState;

use super::announces::Announced;
use super::piece_check::Receiver;
use crate::expert::rules;
use crate::record::Record;
use crate::record::units::{count, counted};

/// What clients received of torrents.
#[derive(Debug, Default)]
pub(super) struct Left {
    got: HashMap<(Receiver, InfoHash), Got>,
}

#[derive(Debug, Default)]
struct Got {
    pieces: HashSet<PieceIndex, RandomState>,
    /// The bytes of those that came long enough ago.
    settled: u64,
    /// The bytes of the others, with when they came.
    recent: VecDeque<(Timestamp, u64)>,
}

/// The time after which a client knows what it has, seconds: hashing and writing take less.
const SETTLES: f64 = 5.0;
/// How many clients and torrents are remembered, how many pieces of each, and how many recent ones.
const KEPT: usize = 1000;
const PIECES: usize = 200_000;
const RECENT: usize = 10_000;

impl Left {
    /// Takes in that a client received a piece that is right.
    pub(super) fn verified(
        &mut self,
        record: &Record,
        receiver: Option<PeerId>,
        torrent: &Metainfo,
        index: PieceIndex,
    ) {
        // Without a peer id it is not known which of a host's clients it was.
        if receiver.is_none() {
            return;
        }
        let key = (Receiver::new(record.destination.ip(), receiver), torrent.info_hash);
        if self.got.len() >= KEPT && !self.got.contains_key(&key) {
            return;
        }
        let got = self.got.entry(key).or_default();
        let bytes = torrent.piece_content(index).unwrap_or(0);
        if got.pieces.len() < PIECES && got.recent.len() < RECENT && got.pieces.insert(index) {
            got.recent.push_back((record.at, bytes.into()));
        }
        got.settle(record.at);
    }

    /// Says of an announce whether its `left` can be.
    pub(super) fn judge(&mut self, record: &mut Record, announced: &Announced, torrent: &Metainfo) {
        let key = (Receiver::new(record.source.ip(), Some(announced.peer_id)), torrent.info_hash);
        if announced.event == Some(Event::Started) {
            self.got.remove(&key);
        }
        let (Some(left), Some(geometry)) = (announced.left, torrent.placement()) else { return };
        let (pieces, bytes) = self.got.get_mut(&key).map_or((0, 0), |got| {
            got.settle(record.at);
            (got.pieces.len() - got.recent.len(), got.settled)
        });
        // libtorrent counts the padding of every last piece too.
        let all = u64::from(geometry.piece_count()) * u64::from(geometry.piece_length());
        if left <= all.saturating_sub(bytes) {
            return;
        }
        let text = format!(
            "{} bytes are left, it says, of {}; {} came before and were right",
            count(left),
            count(torrent.total()),
            counted(pieces as u64, "piece")
        );
        record.notes.push(rules::BEP3_LEFT_TOO_MUCH.note(text));
    }
}

impl Got {
    fn settle(&mut self, now: Timestamp) {
        while let Some((at, bytes)) = self.recent.front()
            && now.seconds_since(*at) > SETTLES
        {
            self.settled += bytes;
            self.recent.pop_front();
        }
    }
}
