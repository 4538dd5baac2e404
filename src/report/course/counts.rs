//! Messages by bin and kind, and bytes of blocks by bin, direction and far end.

use bittrace_protocol::wire::Message;
use bittrace_trace::Record;
use bittrace_trace::record::Protocol;

use super::bins::{Bins, Sums, SumsByKey};
use super::data::{ByteCounts, Counts, EndBytes, Micros};
use super::ends::{COLOURS, EndPlace, ListedEnds};

/// How many bins there are.
const BINS: u32 = 1_200;

/// Messages that are being counted.
#[derive(Debug)]
pub(super) struct CountsSeen {
    bins: Bins,
    kinds: [Sums; 5],
}

const BLOCKS: usize = 0;
const REQUESTS: usize = 1;
const HAVES: usize = 2;
const OTHER_PEER: usize = 3;
const TRACKERS_DHT: usize = 4;

impl CountsSeen {
    pub(super) fn new() -> Self {
        Self { bins: Bins::new(BINS), kinds: Default::default() }
    }

    pub(super) fn add(&mut self, record: &Record, t: Micros) {
        let doublings = self.bins.fit(t);
        self.kinds.iter_mut().for_each(|sums| sums.fold(doublings));
        let kind = match (record.body.protocol(), record.peer_message()) {
            (Protocol::HttpTracker | Protocol::UdpTracker | Protocol::Dht | Protocol::Lsd, _) => TRACKERS_DHT,
            (_, Some(Message::Piece { .. })) => BLOCKS,
            (_, Some(Message::Request(_))) => REQUESTS,
            (_, Some(Message::Have(_))) => HAVES,
            _ => OTHER_PEER,
        };
        self.kinds[kind].add(self.bins.of(t), 1);
    }

    pub(super) fn finish(self) -> Counts {
        let bins = self.kinds.iter().map(Sums::len).max().unwrap_or(0);
        let [blocks, requests, haves, other_peer, trackers_dht] = self.kinds.map(|sums| sums.into_bins(bins));
        Counts { bin: self.bins.width(), blocks, requests, haves, other_peer, trackers_dht }
    }
}

/// Bytes that are being counted.
#[derive(Debug)]
pub(super) struct BytesSeen {
    received: SumsByKey,
    sent: SumsByKey,
}

impl BytesSeen {
    pub(super) const fn new() -> Self {
        Self { received: SumsByKey::new(BINS), sent: SumsByKey::new(BINS) }
    }

    pub(super) fn add(&mut self, end: Option<EndPlace>, is_out: bool, t: Micros, bytes: u64) {
        // Both directions have bins of one width. Key 0 is for ends that are not told apart.
        self.received.reach(t);
        self.sent.reach(t);
        let key = end.map_or(0, |end| end as usize + 1);
        if is_out { &mut self.sent } else { &mut self.received }.add(key, t, bytes);
    }

    pub(super) fn finish(self, ends: &ListedEnds) -> ByteCounts {
        ByteCounts {
            bin: self.received.width(),
            received: direction(&self.received, ends),
            sent: direction(&self.sent, ends),
        }
    }
}

/// The bytes of one direction: of each far end that has a colour, and of all others.
fn direction(sums: &SumsByKey, ends: &ListedEnds) -> Vec<EndBytes> {
    let coloured: Vec<EndPlace> = ends.first(COLOURS);
    let is_coloured = |key: usize| coloured.iter().any(|end| *end as usize + 1 == key);
    let own = coloured.iter().map(|end| (ends.place(Some(*end)), sums.of(*end as usize + 1)));
    let rest = (-1, sums.rest(|key| !is_coloured(key)));
    let columns = own.chain([rest]).filter(|(_, sums)| sums.total() > 0).map(|(end, sums)| {
        let (bin, bytes) = sums.iter().unzip();
        EndBytes { end, bin, bytes }
    });
    columns.collect()
}
