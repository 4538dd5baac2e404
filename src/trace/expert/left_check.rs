//! Whether the `left` that clients tell trackers can be right, given the pieces that they received and the blocks that they
//! request.
//!
//! Pieces that were seen to arrive only contradict a `left` that is too large: other pieces may have come from a disk, or on
//! connections that cannot be read. A client that begins anew (`started`) may have lost what it had. A `left` of 0 is
//! contradicted by a request.

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
    /// The last `left` of each client and torrent.
    told: HashMap<(PeerId, InfoHash), ToldLeft, RandomState>,
}

/// The `left` of an announce.
#[derive(Debug, Clone, Copy)]
struct ToldLeft {
    /// In bytes.
    left: u64,
    /// The number of the announce.
    number: u64,
    at: Timestamp,
    /// How many seconds after the announce a request contradicts it.
    settles: f64,
    /// Whether a note says that a request contradicts it.
    noted: bool,
}

/// How long a `left` is believed, seconds. Half an hour is the interval that trackers usually ask for: after that the client
/// has announced again, perhaps to a tracker that the capture does not show.
const BELIEVED: f64 = 1800.0;

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
/// How many clients and torrents are remembered by their last `left`.
const TOLD: usize = 20_000;
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
            "left is {}; the torrent has {} bytes, and {} were verified before",
            count(left),
            count(torrent.total()),
            counted(pieces as u64, "piece")
        );
        record.notes.push(rules::BEP3_LEFT_TOO_MUCH.note(text));
    }
}

impl Left {
    /// Takes in what an announce says of the bytes that are left.
    pub(super) fn told(&mut self, record: &Record, announced: &Announced) {
        let key = (announced.peer_id, announced.info_hash);
        let before = self.told.remove(&key);
        let Some(left) = announced.left.filter(|_| announced.event != Some(Event::Stopped)) else { return };
        // Requests may still be on their way when the last piece arrives.
        let just_completed =
            announced.event == Some(Event::Completed) || before.is_some_and(|before| before.left > 0);
        let told = ToldLeft {
            left,
            number: record.number,
            at: record.at,
            settles: if just_completed { SETTLES } else { 0.0 },
            noted: before.is_some_and(|before| before.left == 0 && before.noted),
        };
        if self.told.len() < TOLD {
            self.told.insert(key, told);
        }
    }

    /// Takes in that a client learns what the torrent is: what it said before was a guess.
    pub(super) fn described(&mut self, client: PeerId, info_hash: InfoHash) {
        self.told.remove(&(client, info_hash));
    }

    /// Says of a request whether its sender has told the tracker that no bytes are left. Once for each client and torrent.
    pub(super) fn requested(&mut self, record: &mut Record, sender: PeerId, info_hash: InfoHash) {
        let Some(told) = self.told.get_mut(&(sender, info_hash)) else { return };
        let since = record.at.seconds_since(told.at);
        if told.left > 0 || told.noted || since < told.settles || since > BELIEVED {
            return;
        }
        told.noted = true;
        let text =
            format!("the client requests a block, but its announce (message {}) says left=0", told.number);
        record.notes.push(rules::BEP3_LEFT_TOO_LITTLE.note(text).caused_by(told.number));
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
