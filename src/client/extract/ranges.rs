//! Ranges of bytes in ascending order, apart from each other.

use std::ops::Range;

/// Some of the bytes of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// Adds bytes that begin no earlier than all before.
    pub(super) fn push(&mut self, range: Range<u64>) {
        match self.0.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ if range.is_empty() => {}
            _ => self.0.push(range),
        }
    }

    /// Those within `span`, counted from its start.
    pub(super) fn within(&self, span: &Range<u64>) -> Self {
        let first = self.0.partition_point(|range| range.end <= span.start);
        let touching = self.0[first..].iter().take_while(|range| range.start < span.end);
        Self(
            touching
                .map(|range| range.start.max(span.start) - span.start..range.end.min(span.end) - span.start)
                .collect(),
        )
    }

    /// Those of `0..length` that are in none of several.
    pub(super) fn lacking(of: &[&Self], length: u64) -> Self {
        let mut all: Vec<_> = of.iter().flat_map(|ranges| ranges.0.iter().cloned()).collect();
        all.sort_by_key(|range| range.start);
        let mut lacking = Self::default();
        let mut at = 0;
        for range in all {
            if range.start > at {
                lacking.push(at..range.start);
            }
            at = at.max(range.end);
        }
        if at < length {
            lacking.push(at..length);
        }
        lacking
    }

    /// Whether they are all of `0..length`.
    pub(super) fn cover(&self, length: u64) -> bool {
        length == 0 || matches!(self.0.as_slice(), [all] if *all == (0..length))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_vec(self) -> Vec<Range<u64>> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(of: &[Range<u64>]) -> Ranges {
        Ranges(of.to_vec())
    }

    #[test]
    fn neighbours_become_one() {
        let mut all = Ranges::default();
        for range in [0..3, 3..5, 7..7, 8..9, 8..12] {
            all.push(range);
        }
        assert_eq!(all, ranges(&[0..5, 8..12]));
        assert_eq!(all.within(&(4..10)), ranges(&[0..1, 4..6]));
        assert!(all.within(&(1..4)).cover(3) && !all.within(&(1..7)).cover(6));
        let more = ranges(&[6..7, 13..14]);
        assert_eq!(Ranges::lacking(&[&all, &more], 14), ranges(&[5..6, 7..8, 12..13]));
        assert!(Ranges::lacking(&[&all.within(&(1..4))], 3).is_empty());
    }
}
