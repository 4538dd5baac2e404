//! Choking and interest of one direction of a connection over time, and requests under way. Both are exact up to a number
//! of changes; beyond, changes that lie close to each other are merged, and counted.

use super::bins::Bins;
use super::data::{Micros, Rail, UnderWay};

/// The state of a rail where one side may ask, or may not, and wants to, or does not.
pub(super) const fn state(wants: bool, may: bool) -> u8 {
    match (wants, may) {
        (false, false) => 0,
        (false, true) => 1,
        (true, false) => 2,
        (true, true) => 3,
    }
}

/// The state of a stretch within which a rail changes often.
const OFTEN: u8 = 4;

/// How many changes of a rail are kept apart.
const CHANGES: usize = 2_000;

/// A rail that is being recorded.
#[derive(Debug, Default)]
pub(super) struct RailChanges {
    stretches: Vec<Stretch>,
    /// The width within which changes are merged; 0 while none are.
    width: Micros,
}

/// A change, or several within one bin.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    /// When it begins.
    t: Micros,
    /// How many changes there were; most have one.
    changes: u32,
    /// The state after it.
    state: u8,
}

impl RailChanges {
    /// Takes in the state after a message.
    pub(super) fn push(&mut self, t: Micros, state: u8) {
        let Some(last) = self.stretches.last_mut() else {
            self.stretches.push(Stretch { t, changes: 1, state });
            return;
        };
        if last.state == state {
            return;
        }
        // Of several messages in one packet the last counts.
        if t <= last.t && last.changes == 1 {
            last.state = state;
            return;
        }
        if self.width > 0 && t / self.width <= last.t / self.width {
            last.changes = last.changes.saturating_add(1);
            last.state = state;
            return;
        }
        self.stretches.push(Stretch { t, changes: 1, state });
        while self.stretches.len() > CHANGES {
            self.widen();
        }
    }

    fn widen(&mut self) {
        self.width = if self.width == 0 { 1_000 } else { self.width * 2 };
        let width = self.width;
        self.stretches.dedup_by(|next, kept| {
            let is_near = next.t / width <= kept.t / width;
            if is_near {
                kept.changes = kept.changes.saturating_add(next.changes);
                kept.state = next.state;
            }
            is_near
        });
    }

    /// How many entries it keeps.
    pub(super) fn len(&self) -> usize {
        self.stretches.len()
    }

    /// The rail, and how many changes were merged into stretches in which it changes often.
    pub(super) fn finish(self) -> (Rail, u64) {
        let mut rail = Rail::default();
        let mut merged = 0;
        let mut push = |t: Micros, state: u8| {
            // Where one such stretch ends the next may begin.
            if rail.t.last() == Some(&t) {
                rail.t.pop();
                rail.s.pop();
            }
            if rail.s.last() != Some(&state) {
                rail.t.push(t);
                rail.s.push(state);
            }
        };
        for stretch in self.stretches {
            if stretch.changes == 1 {
                push(stretch.t, stretch.state);
                continue;
            }
            merged += u64::from(stretch.changes);
            push(stretch.t, OFTEN);
            push((stretch.t / self.width + 1).saturating_mul(self.width), stretch.state);
        }
        (rail, merged)
    }
}

/// Requests under way that are being recorded.
#[derive(Debug)]
pub(super) enum RequestsUnderWay {
    /// Each change.
    Exact(Vec<(Micros, u32)>),
    /// By bin: the bin, the most within it, the number at its end. Bins without a change are left out.
    Binned(Bins, Vec<(u32, u32, u32)>),
}

/// How many changes are kept apart, and how many bins there are beyond.
const EXACT: usize = 1_200;
const BINS: u32 = 1_200;

impl Default for RequestsUnderWay {
    fn default() -> Self {
        Self::Exact(Vec::new())
    }
}

impl RequestsUnderWay {
    /// Takes in how many there are after a message.
    pub(super) fn push(&mut self, t: Micros, requests: u32) {
        match self {
            Self::Exact(changes) => {
                let last = changes.last_mut();
                if last.as_ref().map_or(0, |(_, last)| *last) == requests {
                    return;
                }
                match last {
                    Some((at, last)) if t <= *at => *last = requests,
                    _ => changes.push((t, requests)),
                }
                if changes.len() > EXACT {
                    let mut binned = (Bins::new(BINS), Vec::new());
                    changes
                        .iter()
                        .for_each(|(t, requests)| bin_change(&mut binned.0, &mut binned.1, *t, *requests));
                    *self = Self::Binned(binned.0, binned.1);
                }
            }
            Self::Binned(bins, changes) => bin_change(bins, changes, t, requests),
        }
    }

    /// How many entries it keeps.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Exact(changes) => changes.len(),
            Self::Binned(_, changes) => changes.len(),
        }
    }

    pub(super) fn finish(self) -> UnderWay {
        match self {
            Self::Exact(changes) => {
                let (t, n) = changes.into_iter().unzip();
                UnderWay::Exact { t, n }
            }
            Self::Binned(bins, changes) => {
                let (mut max, mut last) = (Vec::new(), Vec::new());
                let mut until_now = 0;
                for (bin, most, at_end) in changes {
                    max.resize(bin as usize, until_now);
                    last.resize(bin as usize, until_now);
                    max.push(most.max(until_now));
                    last.push(at_end);
                    until_now = at_end;
                }
                UnderWay::Binned { bin: bins.width(), max, last }
            }
        }
    }
}

fn bin_change(bins: &mut Bins, changes: &mut Vec<(u32, u32, u32)>, t: Micros, requests: u32) {
    let doublings = bins.fit(t);
    if doublings > 0 {
        for (bin, ..) in changes.iter_mut() {
            *bin = bin.checked_shr(doublings).unwrap_or(0);
        }
        changes.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            if is_same {
                *kept = (kept.0, kept.1.max(next.1), next.2);
            }
            is_same
        });
    }
    let bin = bins.of(t);
    match changes.last_mut() {
        Some((last, most, at_end)) if bin <= *last => {
            *most = (*most).max(requests);
            *at_end = requests;
        }
        Some((.., at_end)) if *at_end == requests => {}
        _ => changes.push((bin, requests, requests)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_changes_stay_as_they_are() {
        let mut rail = RailChanges::default();
        for (t, state) in [(10, 0), (10, 2), (20, 2), (30, 3), (31, 1)] {
            rail.push(t, state);
        }
        let expected = Rail { t: vec![10, 30, 31], s: vec![2, 3, 1] };
        assert_eq!(rail.finish(), (expected, 0));
    }

    #[test]
    fn many_changes_become_a_stretch_with_their_count() {
        let mut rail = RailChanges::default();
        rail.push(0, 0);
        for change in 0..100_000 {
            rail.push(5_000_000 + change * 100, 1 + (change % 2) as u8);
        }
        rail.push(60_000_000, 3);
        assert!(rail.len() <= CHANGES);
        let (rail, merged) = rail.finish();
        assert!((99_990..=100_000).contains(&merged), "{merged}");
        assert_eq!((rail.s[0], rail.s.contains(&OFTEN), rail.s.last()), (0, true, Some(&3)));
        assert_eq!((rail.t[0], rail.t.last()), (0, Some(&60_000_000)));
        assert!(rail.t.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn requests_beyond_the_exact_ones_keep_the_most_and_the_last_of_each_bin() {
        let mut requests = RequestsUnderWay::default();
        for round in 0..10_000u64 {
            let t = round * 1_000;
            requests.push(t, 7);
            requests.push(t + 10, round as u32 % 2);
        }
        assert!(requests.len() <= BINS as usize);
        let UnderWay::Binned { bin, max, last } = requests.finish() else { panic!("exact") };
        assert_eq!((max.len(), max.len() as u64 * bin > 9_999_000), (last.len(), true));
        let at = |t: u64| if t % 1_000 < 10 { 7 } else { t / 1_000 % 2 };
        let at_ends = (1..=max.len() as u64).map(|end| at(end * bin - 1) as u32);
        assert_eq!(last[..last.len() - 1], at_ends.collect::<Vec<_>>()[..last.len() - 1]);
        assert_eq!((last.last(), max.iter().all(|most| *most == 7)), (Some(&1), true));
    }
}
