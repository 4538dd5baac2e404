//! Numbers that a direction has jumped over: their segments are late, lost on their way, or lost to the capture.

use bittrace_protocol::Timestamp;

/// The holes of a direction, in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Holes {
    holes: Vec<Hole>,
}

/// Numbers whose segment was not captured when its turn was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) start: u64,
    pub(super) end: u64,
    /// When the segment before was captured.
    pub(super) since: Timestamp,
    /// When the segment behind was captured.
    pub(super) noticed: Timestamp,
    /// The sender's clock in the segment behind.
    pub(super) clock: Option<u32>,
    /// Whether the receiver has acknowledged it: then the capture lost it.
    pub(super) acknowledged: bool,
}

impl Hole {
    pub(super) const fn length(&self) -> u64 {
        self.end - self.start
    }
}

impl Holes {
    pub(super) const fn is_empty(&self) -> bool {
        self.holes.is_empty()
    }

    /// A segment left a hole before it. Where there would be more than `most`, the oldest is forgotten.
    pub(super) fn open(&mut self, hole: Hole, most: usize) {
        if self.holes.len() >= most.max(1) {
            self.holes.remove(0);
        }
        self.holes.push(hole);
    }

    /// Fills what lies between two numbers: how many were filled, and the first hole that they were in.
    pub(super) fn fill(&mut self, start: u64, end: u64) -> Option<(u64, Hole)> {
        let first = self.holes.partition_point(|hole| hole.end <= start);
        let touched = *self.holes.get(first).filter(|hole| hole.start < end)?;
        let mut filled = 0;
        let mut at = first;
        while let Some(hole) = self.holes.get_mut(at).filter(|hole| hole.start < end) {
            let whole = *hole;
            filled += whole.end.min(end) - whole.start.max(start);
            match (whole.start < start, whole.end > end) {
                (false, false) => {
                    self.holes.remove(at);
                }
                (true, false) => {
                    hole.end = start;
                    at += 1;
                }
                (false, true) => {
                    hole.start = end;
                    at += 1;
                }
                (true, true) => {
                    hole.end = start;
                    self.holes.insert(at + 1, Hole { start: end, ..whole });
                    at += 2;
                }
            }
        }
        Some((filled, touched))
    }

    /// The receiver has everything before a number: calls `lost` with each hole that this proves lost to the capture.
    /// Of these the latest few are remembered, as their segments may only be late in the capture.
    pub(super) fn acknowledge(&mut self, number: u64, mut lost: impl FnMut(Hole)) {
        let behind = self.holes.partition_point(|hole| hole.start < number);
        if let Some(last) = behind.checked_sub(1).and_then(|last| self.holes.get_mut(last))
            && last.end > number
        {
            let rest = Hole { start: number, ..*last };
            last.end = number;
            self.holes.insert(behind, rest);
        }
        for hole in &mut self.holes[..behind] {
            if !std::mem::replace(&mut hole.acknowledged, true) {
                lost(*hole);
            }
        }
        self.holes.drain(..behind.saturating_sub(REMEMBERED));
    }

    /// The bytes of memory that the holes take.
    pub(super) fn cost(&self) -> usize {
        self.holes.capacity() * size_of::<Hole>()
    }
}

/// How many holes are remembered that the capture lost.
const REMEMBERED: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(start: u64, end: u64) -> Hole {
        let at = Timestamp::from_nanos(0);
        Hole { start, end, since: at, noticed: at, clock: None, acknowledged: false }
    }

    fn ranges(holes: &Holes) -> Vec<(u64, u64)> {
        holes.holes.iter().map(|hole| (hole.start, hole.end)).collect()
    }

    #[test]
    fn a_hole_is_filled_in_parts() {
        let mut holes = Holes::default();
        holes.open(hole(10, 20), 8);
        holes.open(hole(30, 40), 8);
        assert_eq!(holes.fill(0, 10), None);
        assert_eq!(holes.fill(12, 14).map(|(filled, _)| filled), Some(2));
        assert_eq!(ranges(&holes), [(10, 12), (14, 20), (30, 40)]);
        assert_eq!(holes.fill(5, 11).map(|(filled, _)| filled), Some(1));
        assert_eq!(holes.fill(18, 35).map(|(filled, _)| filled), Some(7));
        assert_eq!(ranges(&holes), [(11, 12), (14, 18), (35, 40)]);
        assert_eq!(holes.fill(0, 99).map(|(filled, _)| filled), Some(10));
        assert!(holes.is_empty());
    }

    #[test]
    fn what_is_acknowledged_is_lost_to_the_capture_once() {
        let mut holes = Holes::default();
        holes.open(hole(10, 20), 8);
        holes.open(hole(30, 40), 8);
        let mut lost = Vec::new();
        for number in [5, 15, 15, 40] {
            holes.acknowledge(number, |hole| lost.push((hole.start, hole.end)));
        }
        assert_eq!(lost, [(10, 15), (15, 20), (30, 40)]);
    }

    #[test]
    fn few_holes_are_remembered() {
        let mut holes = Holes::default();
        (0..100).for_each(|number| holes.open(hole(number * 10, number * 10 + 5), 8));
        assert_eq!(holes.holes.len(), 8);
        holes.acknowledge(u64::MAX, |_| ());
        assert_eq!(holes.holes.len(), REMEMBERED);
    }
}
