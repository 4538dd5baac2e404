//! Which message of one side is the counterpart of which of the other: two lists of keys in, pairs out.
//!
//! Every message is in one pair at most. Messages with equal keys pair, the k-th with the k-th where both sides have as
//! many; what is left pairs with what is left of its kind between the same neighbours. Pairs that would have to cross
//! others to be drawn side by side have moved.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::diff::alignment_key::AlignmentKey;

/// The counterparts of one side's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alignment {
    /// For each message of the reference its counterpart, by its place in the candidate.
    pub(crate) mates: Vec<Option<u32>>,
    /// For each message of the reference whether it stands elsewhere among the others than its counterpart.
    pub(crate) moved: Vec<bool>,
}

/// Aligns two sides. `alike` says of one message of each whether they differ so little that they can be counterparts
/// though they are of different kinds.
pub(crate) fn align(
    reference: &[AlignmentKey],
    candidate: &[AlignmentKey],
    alike: impl Fn(usize, usize) -> bool,
) -> Alignment {
    let mut aligner = Aligner {
        reference,
        candidate,
        mates: vec![None; reference.len()],
        taken: vec![false; candidate.len()],
        // 1: more of this key in the reference, 2: more in the candidate.
        excess: HashMap::new(),
    };
    let (start, ends) = aligner.common_ends();
    if start == ends.0 && start == ends.1 {
        let moved = vec![false; reference.len()];
        return Alignment { mates: aligner.mates, moved };
    }
    aligner.equal_counts(start, ends);
    aligner.same_place(start, ends);
    for gap in aligner.gaps() {
        aligner.fill(&gap);
    }
    aligner.across(start, ends);
    for gap in aligner.gaps() {
        aligner.same_kind(&gap);
    }
    for gap in aligner.gaps() {
        let both = gap.reference.iter().zip(&gap.candidate);
        if gap.reference.len() == gap.candidate.len() && both.clone().all(|(&one, &other)| alike(one, other))
        {
            both.for_each(|(&one, &other)| aligner.pair(one, other));
        }
    }
    let moved = aligner.moved();
    Alignment { mates: aligner.mates, moved }
}

struct Aligner<'a> {
    reference: &'a [AlignmentKey],
    candidate: &'a [AlignmentKey],
    mates: Vec<Option<u32>>,
    taken: Vec<bool>,
    excess: HashMap<AlignmentKey, AlignedSide>,
}

/// The side that has more messages of some key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AlignedSide {
    Reference,
    Candidate,
}

/// What has no counterpart yet between two neighbouring pairs that stand in order.
#[derive(Debug, Default)]
struct Gap {
    reference: Vec<usize>,
    candidate: Vec<usize>,
}

impl Gap {
    /// Ends here, and is worth a look when there is something on both sides.
    fn close(&mut self, gaps: &mut Vec<Self>) {
        if !self.reference.is_empty() && !self.candidate.is_empty() {
            gaps.push(std::mem::take(self));
        }
        self.reference.clear();
        self.candidate.clear();
    }
}

impl Aligner<'_> {
    fn pair(&mut self, reference: usize, candidate: usize) {
        self.mates[reference] = u32::try_from(candidate).ok();
        self.taken[candidate] = true;
    }

    /// Pairs what both sides begin and end with. Gives where the rest begins, and where it ends on each side.
    fn common_ends(&mut self) -> (usize, (usize, usize)) {
        let common = |(one, other): &(&AlignmentKey, &AlignmentKey)| one == other;
        let start = self.reference.iter().zip(self.candidate).take_while(common).count();
        let (reference, candidate) = (&self.reference[start..], &self.candidate[start..]);
        let tail = reference.iter().rev().zip(candidate.iter().rev()).take_while(common).count();
        let ends = (self.reference.len() - tail, self.candidate.len() - tail);
        (0..start).for_each(|at| self.pair(at, at));
        (0..tail).for_each(|at| self.pair(ends.0 + at, ends.1 + at));
        (start, ends)
    }

    /// Pairs the k-th message of a key with the k-th, where both sides have as many; notes who has more elsewhere.
    fn equal_counts(&mut self, start: usize, ends: (usize, usize)) {
        let one = by_key(self.reference, (start..ends.0).collect());
        let other = by_key(self.candidate, (start..ends.1).collect());
        for (key, places) in groups(self.reference, &one, self.candidate, &other) {
            let (one, other) = places;
            match one.len().cmp(&other.len()) {
                std::cmp::Ordering::Equal => {
                    one.iter().zip(other).for_each(|(&one, &other)| self.pair(one, other));
                }
                std::cmp::Ordering::Less => drop(self.excess.insert(key, AlignedSide::Candidate)),
                std::cmp::Ordering::Greater => drop(self.excess.insert(key, AlignedSide::Reference)),
            }
        }
    }

    /// Pairs requests, blocks and the like that name one place in the torrent with other lengths, where no message of the
    /// other side has the same length.
    fn same_place(&mut self, start: usize, ends: (usize, usize)) {
        let keys: HashSet<&AlignmentKey> = self.reference[start..ends.0].iter().collect();
        let mut waiting: HashMap<_, VecDeque<usize>> = HashMap::new();
        for at in (start..ends.1).filter(|&at| !self.taken[at]) {
            let key = &self.candidate[at];
            if let Some(place) = key.place().filter(|_| !keys.contains(key)) {
                waiting.entry((key.kind, place)).or_default().push_back(at);
            }
        }
        if waiting.is_empty() {
            return;
        }
        let keys: HashSet<&AlignmentKey> = self.candidate[start..ends.1].iter().collect();
        for at in start..ends.0 {
            let key = &self.reference[at];
            if self.mates[at].is_none()
                && !keys.contains(key)
                && let Some(place) = key.place()
                && let Some(other) = waiting.get_mut(&(key.kind, place)).and_then(VecDeque::pop_front)
            {
                self.pair(at, other);
            }
        }
    }

    /// Pairs what is left of each key in order, wherever it stands.
    fn across(&mut self, start: usize, ends: (usize, usize)) {
        let one = by_key(self.reference, (start..ends.0).filter(|&at| self.mates[at].is_none()).collect());
        let other = by_key(self.candidate, (start..ends.1).filter(|&at| !self.taken[at]).collect());
        for (_, (one, other)) in groups(self.reference, &one, self.candidate, &other) {
            one.iter().zip(other).for_each(|(&one, &other)| self.pair(one, other));
        }
    }

    /// What has no counterpart yet, gap by gap. Gaps without anything on both sides are left out.
    fn gaps(&self) -> Vec<Gap> {
        let moved = self.moved();
        let mut gaps = Vec::new();
        let mut next = 0;
        let mut gap = Gap::default();
        for (at, mate) in self.mates.iter().enumerate() {
            match mate {
                None => gap.reference.push(at),
                Some(mate) if !moved[at] => {
                    let mate = *mate as usize;
                    gap.candidate.extend((next..mate).filter(|&at| !self.taken[at]));
                    next = mate + 1;
                    gap.close(&mut gaps);
                }
                Some(_) => {}
            }
        }
        gap.candidate.extend((next..self.taken.len()).filter(|&at| !self.taken[at]));
        gap.close(&mut gaps);
        gaps
    }

    /// Pairs within a gap, in order, so that as few messages as possible are changed or left over.
    fn fill(&mut self, gap: &Gap) {
        let equal = |one: usize, other: usize| self.reference[one] == self.candidate[other];
        let start =
            gap.reference.iter().zip(&gap.candidate).take_while(|(one, other)| equal(**one, **other)).count();
        let (one, other) = (&gap.reference[start..], &gap.candidate[start..]);
        let tail =
            one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| equal(**one, **other)).count();
        let (middle, others) = (&one[..one.len() - tail], &other[..other.len() - tail]);
        let mut pairs: Vec<_> =
            gap.reference.iter().copied().zip(gap.candidate.iter().copied()).take(start).collect();
        pairs.extend(one[middle.len()..].iter().copied().zip(other[others.len()..].iter().copied()));
        // Beyond this many steps what is left of a key pairs in order, without a search for the best way.
        if middle.len().saturating_mul(others.len()) <= STEPS {
            pairs.extend(self.cheapest(middle, others));
        }
        pairs.into_iter().for_each(|(one, other)| self.pair(one, other));
    }

    /// The cheapest way to turn one list into another: a message left over on either side costs 2, one that is
    /// changed 3.
    fn cheapest(&self, reference: &[usize], candidate: &[usize]) -> Vec<(usize, usize)> {
        let wide = candidate.len() + 1;
        let mut costs = vec![0_u32; (reference.len() + 1) * wide];
        for at in (0..costs.len()).rev() {
            let (one, other) = (at / wide, at % wide);
            let leave_one = (one < reference.len()).then(|| costs[at + wide] + LEFT_OVER);
            let leave_other = (other < candidate.len()).then(|| costs[at + 1] + LEFT_OVER);
            let both = (one < reference.len() && other < candidate.len())
                .then(|| self.cost(reference[one], candidate[other]))
                .flatten()
                .map(|cost| costs[at + wide + 1] + cost);
            costs[at] = [leave_one, leave_other, both].into_iter().flatten().min().unwrap_or(0);
        }
        let mut pairs = Vec::new();
        let (mut one, mut other) = (0, 0);
        while one < reference.len() && other < candidate.len() {
            let at = one * wide + other;
            let cost = self.cost(reference[one], candidate[other]);
            if cost.is_some_and(|cost| costs[at] == costs[at + wide + 1] + cost) {
                pairs.push((reference[one], candidate[other]));
                one += 1;
                other += 1;
            } else if costs[at] == costs[at + wide] + LEFT_OVER {
                one += 1;
            } else {
                other += 1;
            }
        }
        pairs
    }

    /// What it costs to take two messages for counterparts. A changed message was said once more on one side as what
    /// it was, and once more on the other as what it became.
    fn cost(&self, reference: usize, candidate: usize) -> Option<u32> {
        let (one, other) = (&self.reference[reference], &self.candidate[candidate]);
        if one == other {
            return Some(0);
        }
        let changed = one.kind == other.kind
            && one.kind.is_message()
            && self.excess.get(one) == Some(&AlignedSide::Reference)
            && self.excess.get(other) == Some(&AlignedSide::Candidate);
        changed.then_some(CHANGED)
    }

    /// Pairs what is left of each kind in a gap, in order.
    fn same_kind(&mut self, gap: &Gap) {
        let mut waiting: HashMap<_, VecDeque<usize>> = HashMap::new();
        for &other in &gap.candidate {
            waiting.entry(self.candidate[other].kind).or_default().push_back(other);
        }
        for &one in &gap.reference {
            let kind = self.reference[one].kind;
            if kind.is_message()
                && let Some(other) = waiting.get_mut(&kind).and_then(VecDeque::pop_front)
            {
                self.pair(one, other);
            }
        }
    }

    /// Which messages stand elsewhere than their counterparts: those outside the longest row of pairs in order.
    fn moved(&self) -> Vec<bool> {
        let mut moved: Vec<bool> = self.mates.iter().map(Option::is_some).collect();
        for at in longest_increasing(&self.mates) {
            moved[at] = false;
        }
        moved
    }
}

const LEFT_OVER: u32 = 2;
const CHANGED: u32 = 3;

/// The steps that the search within a gap may take.
const STEPS: usize = 1 << 20;

fn by_key(keys: &[AlignmentKey], mut places: Vec<usize>) -> Vec<usize> {
    places.sort_unstable_by_key(|&at| (keys[at], at));
    places
}

type Group<'g> = (AlignmentKey, (&'g [usize], &'g [usize]));

/// The places of each key on both sides, which are sorted by it. A key that only one side has comes with an empty
/// list for the other.
fn groups<'g>(
    reference: &'g [AlignmentKey],
    mut one: &'g [usize],
    candidate: &'g [AlignmentKey],
    mut other: &'g [usize],
) -> impl Iterator<Item = Group<'g>> {
    std::iter::from_fn(move || {
        let first = one.first().map(|&at| reference[at]);
        let second = other.first().map(|&at| candidate[at]);
        let key = match (first, second) {
            (Some(first), Some(second)) => first.min(second),
            (first, second) => first.or(second)?,
        };
        let ones = one.partition_point(|&at| reference[at] <= key);
        let others = other.partition_point(|&at| candidate[at] <= key);
        let group = (&one[..ones], &other[..others]);
        (one, other) = (&one[ones..], &other[others..]);
        Some((key, group))
    })
}

/// The places of a longest row of increasing numbers, in order (patience sorting).
pub(crate) fn longest_increasing(numbers: &[Option<u32>]) -> Vec<usize> {
    // The place of the least number that ends a row of each length, and what stands before each place in its row.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<u32> = vec![NOTHING; numbers.len()];
    for (at, number) in numbers.iter().enumerate() {
        let Some(number) = number else { continue };
        let length = match ends.last() {
            // As a rule it goes on.
            Some(&last) if numbers[last] < Some(*number) => ends.len(),
            _ => ends.partition_point(|&end| numbers[end] < Some(*number)),
        };
        if length > 0 {
            before[at] = ends[length - 1] as u32;
        }
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut row = Vec::with_capacity(ends.len());
    let mut next = ends.last().map_or(NOTHING, |&at| at as u32);
    while next != NOTHING {
        row.push(next as usize);
        next = before[next as usize];
    }
    row.reverse();
    row
}

const NOTHING: u32 = u32::MAX;

#[cfg(test)]
mod tests;
