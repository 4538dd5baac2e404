//! Which pairs of messages a page holds. All of them, up to a number; of more, those that differ first, then some of each
//! kind of message, then even steps through the rest.

use std::collections::HashMap;

use bittrace_replay::{DiffReport, MessagePair, PairVerdict, Transcript};

/// A pair, by the place of its conversation in the report and its own place in it.
pub(super) type PairPlace = (u32, u32);

/// The pairs that a page holds.
#[derive(Debug)]
pub(super) struct Selection {
    /// The chosen pairs, those that matter most first.
    pub(super) ranked: Vec<PairPlace>,
    /// For each conversation of the report whether each of its pairs is chosen.
    chosen: Vec<Vec<bool>>,
}

/// How many pairs a page holds: at 4,000, fields and bytes included, a page is about 2 MB.
pub(super) const PAIRS: usize = 4_000;

/// How many pairs of one message name are held that differ; of one name and verdict that moved, or that one capture lacks.
const DISAGREEING: usize = 200;

/// How many other pairs of one message name are held of a conversation.
const OTHERS: usize = 40;

impl Selection {
    /// Chooses at most `most` pairs of a report.
    pub(super) fn of(report: &DiffReport, captures: [&Transcript; 2], most: usize) -> Self {
        let lengths = || report.conversations.iter().map(|compared| compared.pairs.len());
        let mut selection =
            Self { ranked: Vec::new(), chosen: lengths().map(|length| vec![false; length]).collect() };
        let all = lengths().sum::<usize>() <= most;
        for rank in Rank::ALL {
            let mut counts: HashMap<(&str, PairVerdict, usize), usize> = HashMap::new();
            for (at, compared) in report.conversations.iter().enumerate() {
                let both = compared.conversations(captures[0], captures[1]);
                for (place, pair) in compared.pairs.iter().enumerate() {
                    if Rank::of(pair, report) != rank || selection.ranked.len() == most {
                        continue;
                    }
                    let (one, other) = pair.messages(both);
                    let name = one.or(other).map_or("", |stored| stored.message());
                    let count = counts.entry(rank.kind(name, pair.verdict, at)).or_default();
                    *count += 1;
                    if all || *count <= rank.most() {
                        selection.choose(at, place);
                    }
                }
            }
        }
        selection.even_steps(most);
        selection
    }

    fn choose(&mut self, conversation: usize, pair: usize) {
        self.chosen[conversation][pair] = true;
        self.ranked.push((conversation as u32, pair as u32));
    }

    /// Fills the room that is left with even steps through what was not chosen.
    fn even_steps(&mut self, most: usize) {
        let room = most - self.ranked.len();
        let is_left = |chosen: &&bool| !**chosen;
        let left = self.chosen.iter().flatten().filter(is_left).count();
        if room == 0 || left == 0 {
            return;
        }
        let step = left.div_ceil(room);
        let places = self.chosen.iter().enumerate().flat_map(|(at, pairs)| {
            pairs.iter().enumerate().filter(|(_, chosen)| !**chosen).map(move |(pair, _)| (at, pair))
        });
        let steps: Vec<(usize, usize)> = places.step_by(step).collect();
        for (conversation, pair) in steps {
            self.choose(conversation, pair);
        }
    }

    /// Whether the page holds a pair.
    pub(super) fn holds(&self, conversation: usize, pair: u32) -> bool {
        self.chosen[conversation][pair as usize]
    }

    /// Whether the page holds any pair of a conversation.
    pub(super) fn holds_any(&self, conversation: usize) -> bool {
        self.chosen[conversation].contains(&true)
    }
}

/// How much a pair matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    /// It is judged, and its content differs.
    Differs,
    /// It is judged, and it moved or has no counterpart.
    Choice,
    /// It is judged, and masks let it pass.
    Masked,
    /// It is not judged, and not the same.
    Context,
    /// It is the same.
    Same,
}

impl Rank {
    const ALL: [Self; 5] = [Self::Differs, Self::Choice, Self::Masked, Self::Context, Self::Same];

    fn of(pair: &MessagePair, report: &DiffReport) -> Self {
        match (report.judged.counts(pair.side), pair.verdict) {
            (_, PairVerdict::Same) => Self::Same,
            (false, _) => Self::Context,
            (true, PairVerdict::Differs) => Self::Differs,
            (true, PairVerdict::Masked) => Self::Masked,
            (true, PairVerdict::Moved | PairVerdict::Missing | PairVerdict::Extra) => Self::Choice,
        }
    }

    /// What pairs of this rank are counted by: some of each kind are chosen.
    const fn kind(self, name: &str, verdict: PairVerdict, conversation: usize) -> (&str, PairVerdict, usize) {
        match self {
            Self::Differs | Self::Choice => (name, verdict, 0),
            Self::Masked | Self::Context | Self::Same => (name, verdict, conversation),
        }
    }

    const fn most(self) -> usize {
        match self {
            Self::Differs | Self::Choice => DISAGREEING,
            Self::Masked | Self::Context | Self::Same => OTHERS,
        }
    }
}
