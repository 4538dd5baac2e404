//! Which messages a page shows in full, chosen while the capture is read, in bounded memory.
//!
//! Up to the limit, all. Beyond it: those that findings lead to; all but the kinds that come by the thousand; the first
//! of these kinds on each connection; and of the rest one in so many. What is left out is counted between its neighbours.

use std::sync::Arc;

use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::wire::Message;
use bittrace_trace::{Record, Severity, StreamId};
use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

use super::left_out::LeftOut;
use super::message_row::MessageRow;

/// How many messages a page shows in full where nobody says how many.
pub const MESSAGES: u64 = 4000;

/// How many may be asked for: with fewer there is no room for a message of each rule, and more make a file of more than 8 MB, which browsers open slowly.
pub const MESSAGES_ALLOWED: std::ops::RangeInclusive<u64> = 250..=20_000;

/// Bytes of the page for each message of the limit: what a block takes, with its fields. Longer messages count as several.
const BYTES_EACH: u64 = 550;

/// Bytes of the page for all messages: beside them the pictures may take 2 MB.
const MOST_BYTES: u64 = 5_500_000;

/// How many messages of each rule a finding leads to, while there is room.
const OF_A_RULE: u64 = 200;

/// How many messages of a kind that comes by the thousand are shown of each connection.
const OF_A_KIND: u8 = 40;

/// Connections whose first messages are known, of 10 bytes each.
const CONNECTIONS: usize = 10_000;

/// The messages that a page shows in full.
#[derive(Debug)]
pub struct ChosenMessages {
    values_of: fn(&Record) -> Map<String, Value>,
    torrents: Vec<Arc<Metainfo>>,
    most: u64,
    most_bytes: u64,
    /// In the order of their numbers.
    kept: Vec<Kept>,
    classes: [Class; 4],
    /// How many messages have a note of each rule, and the last of them.
    of_rules: FxHashMap<&'static str, (u64, u64)>,
    /// The first so many messages of a rule are shown.
    of_a_rule: u64,
    firsts: FxHashMap<StreamId, [u8; 6]>,
    /// The names of all messages, in the order in which they came.
    names: Vec<&'static str>,
    /// What came after the last message that is shown.
    after: LeftOut,
    /// How many messages there were.
    count: u64,
}

#[derive(Debug)]
struct Kept {
    row: MessageRow,
    cost: u64,
    name: u16,
    class: usize,
    /// Its place among the messages of its class; for a message of a finding, the place among those of the rule.
    place: u64,
    /// What was left out before it.
    before: LeftOut,
}

/// Messages of one importance.
#[derive(Debug, Clone, Copy)]
struct Class {
    /// How often half of them was left out: one in 2 to the power of this is kept.
    halvings: u32,
    /// How many there were.
    seen: u64,
    kept: u64,
    cost: u64,
}

/// The classes, the most important first.
const OF_FINDINGS: usize = 0;
const RARE: usize = 1;
const FIRST_OF_KIND: usize = 2;
const FREQUENT: usize = 3;

/// The share of the limit that a class keeps whatever the others need, as the divisor. Together they are the whole.
const SHARES: [u64; 4] = [2, 4, 8, 8];

impl ChosenMessages {
    /// A choice of at most so many messages, of a capture about these torrents. `values_of` gives the fields of a record as
    /// filters see them.
    pub fn new(most: u64, torrents: &[Arc<Metainfo>], values_of: fn(&Record) -> Map<String, Value>) -> Self {
        Self {
            values_of,
            torrents: torrents.to_vec(),
            most,
            most_bytes: (most * BYTES_EACH).min(MOST_BYTES),
            kept: Vec::new(),
            classes: [Class { halvings: 0, seen: 0, kept: 0, cost: 0 }; 4],
            of_rules: FxHashMap::default(),
            of_a_rule: OF_A_RULE,
            firsts: FxHashMap::default(),
            names: Vec::new(),
            after: LeftOut::default(),
            count: 0,
        }
    }

    /// Takes in a record.
    pub fn add(&mut self, record: &Record) {
        self.count += 1;
        if let Some(answer) = record.answers
            && let Ok(at) = self.kept.binary_search_by_key(&answer.number, |kept| kept.row.number)
            && self.kept[at].row.answered_by == 0
        {
            self.kept[at].row.answered_by = record.number;
        }
        let name = self.name(record.body.message());
        let (class, place) = self.class(record);
        if class != OF_FINDINGS && halvings_survived(place) < self.classes[class].halvings {
            return self.after.add(record.number, name);
        }
        let torrent =
            record.torrent.and_then(|hash| self.torrents.iter().find(|torrent| torrent.goes_by(hash)));
        let row = MessageRow::of(record, torrent.map(|torrent| &**torrent), self.values_of);
        let (cost, before) = (row.cost(), std::mem::take(&mut self.after));
        self.classes[class].kept += 1;
        self.classes[class].cost += cost;
        self.kept.push(Kept { row, cost, name, class, place, before });
        while self.is_over() && self.thin() {}
    }

    fn name(&mut self, name: &'static str) -> u16 {
        // Names are few and stand in few places, so the place of a name mostly tells which it is.
        let known = self.names.iter().position(|known| std::ptr::eq(*known, name) || *known == name);
        let at = known.unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        u16::try_from(at).unwrap_or(u16::MAX)
    }

    /// The class of a record, and its place there.
    fn class(&mut self, record: &Record) -> (usize, u64) {
        let mut first_of_rule = u64::MAX;
        for note in record.notes.iter().filter(|note| note.rule.severity > Severity::Chat) {
            let (seen, last) = self.of_rules.entry(note.rule.id).or_default();
            if *last != record.number {
                (*seen, *last) = (*seen + 1, record.number);
                first_of_rule = first_of_rule.min(*seen - 1);
            }
        }
        if first_of_rule < self.of_a_rule {
            return (OF_FINDINGS, first_of_rule);
        }
        let class = match frequent_kind(record) {
            None => RARE,
            Some(kind) if self.is_among_first(record.stream, kind) => FIRST_OF_KIND,
            Some(_) => FREQUENT,
        };
        let seen = &mut self.classes[class].seen;
        *seen += 1;
        (class, *seen - 1)
    }

    fn is_among_first(&mut self, stream: StreamId, kind: usize) -> bool {
        if self.firsts.len() >= CONNECTIONS && !self.firsts.contains_key(&stream) {
            return false;
        }
        let seen = &mut self.firsts.entry(stream).or_default()[kind];
        *seen = seen.saturating_add(1);
        *seen <= OF_A_KIND
    }

    fn is_over(&self) -> bool {
        self.kept.len() as u64 > self.most || self.cost() > self.most_bytes
    }

    fn cost(&self) -> u64 {
        self.classes.iter().map(|class| class.cost).sum()
    }

    /// Leaves out messages of the least important class that has more than its share; whether there is one.
    fn thin(&mut self) -> bool {
        let too_many = self.kept.len() as u64 > self.most;
        let has_more = |class: &usize| {
            let (kept, share) = (&self.classes[*class], SHARES[*class]);
            // Each rule keeps its first message.
            if *class == OF_FINDINGS && self.of_a_rule == 1 {
                return false;
            }
            if too_many { kept.kept > self.most / share } else { kept.cost > self.most_bytes / share }
        };
        let Some(class) = (0..SHARES.len()).rev().find(has_more) else { return false };
        match class {
            OF_FINDINGS => self.of_a_rule /= 2,
            class => self.classes[class].halvings += 1,
        }
        let (limit, halvings) = (self.of_a_rule, self.classes[class].halvings);
        let stays = |kept: &Kept| match kept.class {
            OF_FINDINGS => kept.place < limit,
            _ => kept.class != class || halvings_survived(kept.place) >= halvings,
        };
        let mut gone = LeftOut::default();
        let mut staying = Vec::with_capacity(self.kept.len());
        for mut kept in std::mem::take(&mut self.kept) {
            gone.join(&kept.before);
            if stays(&kept) {
                kept.before = std::mem::take(&mut gone);
                staying.push(kept);
            } else {
                gone.add(kept.row.number, kept.name);
                self.classes[kept.class].kept -= 1;
                self.classes[kept.class].cost -= kept.cost;
            }
        }
        self.kept = staying;
        gone.join(&std::mem::take(&mut self.after));
        self.after = gone;
        true
    }

    /// How many messages there were.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Whether every message is shown.
    pub fn is_whole(&self) -> bool {
        self.kept.len() as u64 == self.count
    }

    /// How many messages of each rule are shown at least, where there are so many.
    pub(super) const fn of_a_rule(&self) -> u64 {
        self.of_a_rule
    }

    /// The names of the messages; a row's name is a place among these.
    pub(super) fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// The messages that are shown, each with the place of its name.
    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = (&MessageRow, u16)> + Clone {
        self.kept.iter().map(|kept| (&kept.row, kept.name))
    }

    /// What is left out, each with the place of the row before it; `None` before the first row.
    pub(super) fn left_out(&self) -> impl Iterator<Item = (Option<usize>, &LeftOut)> {
        let before = self.kept.iter().enumerate().map(|(at, kept)| (at.checked_sub(1), &kept.before));
        let after = (self.kept.len().checked_sub(1), &self.after);
        before.chain([after]).filter(|(_, left_out)| left_out.count > 0)
    }
}

/// How often the messages of a class can be halved until the one at this place is left out. Multiples of the golden ratio
/// are spread evenly over the range of a number, so the places that stay are evenly far apart, and never in step with
/// messages that take turns.
const fn halvings_survived(place: u64) -> u32 {
    place.wrapping_mul(0x9e37_79b9_7f4a_7c15).leading_zeros()
}

/// The kinds of messages that come by the thousand.
fn frequent_kind(record: &Record) -> Option<usize> {
    Some(match record.peer_message()? {
        Message::Have(_) => 0,
        Message::Request(_) => 1,
        Message::Piece { .. } => 2,
        Message::Cancel(_) => 3,
        Message::RejectRequest(_) => 4,
        Message::AllowedFast(_) => 5,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_after_halvings_is_spread_evenly_and_keeps_no_step() {
        for halvings in 1..12_u32 {
            let stays =
                |halvings: u32| (0..100_000).filter(move |&place| halvings_survived(place) >= halvings);
            let kept: Vec<u64> = stays(halvings).collect();
            let expected = 100_000 >> halvings;
            assert!(kept.len().abs_diff(expected) <= 2, "{} of {expected}", kept.len());
            let gaps = kept.windows(2).map(|pair| pair[1] - pair[0]);
            assert!(gaps.clone().max() <= Some(3 << halvings), "{:?}", gaps.max());
            // Messages that take turns, by two or four, stay by the same share.
            for turns in [2, 4] {
                let of_first = kept.iter().filter(|place| **place % turns == 0).count();
                assert!(of_first.abs_diff(kept.len() / turns as usize) <= kept.len() / 8 + 2, "{of_first}");
            }
            assert!(stays(halvings + 1).all(|place| kept.binary_search(&place).is_ok()));
        }
    }
}
