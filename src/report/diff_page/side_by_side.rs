//! The messages of a conversation side by side: the reference's in their order on the left, the candidate's in theirs on
//! the right. The longest row of pairs that do not cross each other holds both sides level.

use std::iter::Peekable;

/// A pair of messages, by its place in the conversation, and where its messages stand in their captures.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlacedPair {
    /// Its place among the pairs of the conversation.
    pub(super) pair: u32,
    /// The number of the reference's message in its capture.
    pub(super) reference: Option<u64>,
    /// The number of the candidate's.
    pub(super) candidate: Option<u64>,
    /// Whether it stands elsewhere among the messages of its sender.
    pub(super) moved: bool,
}

/// A row: a message of the reference, a message of the candidate, or both. These are of one pair where the pair is level;
/// else they only share the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// The pair of the reference's message.
    pub(super) reference: Option<u32>,
    /// The pair of the candidate's.
    pub(super) candidate: Option<u32>,
}

/// The rows of some pairs of a conversation.
pub(super) fn rows(pairs: &[PlacedPair]) -> Vec<Row> {
    let level = level(pairs);
    let column = |number: fn(&PlacedPair) -> Option<u64>| {
        let mut column: Vec<&PlacedPair> = pairs.iter().filter(|pair| number(pair).is_some()).collect();
        column.sort_by_key(|pair| number(pair));
        column.into_iter().map(|pair| pair.pair)
    };
    let (mut left, mut right) =
        (column(|pair| pair.reference).peekable(), column(|pair| pair.candidate).peekable());
    let mut rows = Vec::with_capacity(pairs.len());
    for anchor in level.into_iter().map(Some).chain([None]) {
        loop {
            let row = Row { reference: before(&mut left, anchor), candidate: before(&mut right, anchor) };
            if row.reference.is_none() && row.candidate.is_none() {
                break;
            }
            rows.push(row);
        }
        if anchor.is_some() {
            rows.push(Row { reference: left.next(), candidate: right.next() });
        }
    }
    rows
}

/// The next pair of a column, unless it is the level pair `anchor`.
fn before(column: &mut Peekable<impl Iterator<Item = u32>>, anchor: Option<u32>) -> Option<u32> {
    column.next_if(|pair| Some(*pair) != anchor)
}

/// The pairs that are level, in order: as many as possible of those that have not moved.
fn level(pairs: &[PlacedPair]) -> Vec<u32> {
    let mut both: Vec<(u64, u64, u32)> = pairs
        .iter()
        .filter(|pair| !pair.moved)
        .filter_map(|pair| Some((pair.reference?, pair.candidate?, pair.pair)))
        .collect();
    both.sort_unstable();
    let numbers: Vec<u64> = both.iter().map(|(_, candidate, _)| *candidate).collect();
    longest_increasing(&numbers).into_iter().map(|at| both[at].2).collect()
}

/// The places of a longest strictly increasing subsequence.
fn longest_increasing(numbers: &[u64]) -> Vec<usize> {
    // The place of the smallest number at which a subsequence of each length can end, and what precedes each number.
    let (mut ends, mut before): (Vec<usize>, Vec<Option<usize>>) = (Vec::new(), Vec::new());
    for (at, number) in numbers.iter().enumerate() {
        let length = ends.partition_point(|&end| numbers[end] < *number);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut places: Vec<usize> = std::iter::successors(ends.last().copied(), |&at| before[at]).collect();
    places.reverse();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs from the numbers of their messages; `0` is none.
    fn pairs(numbers: &[(u64, u64, bool)]) -> Vec<PlacedPair> {
        let some = |number: u64| (number > 0).then_some(number);
        let pair = |(at, &(reference, candidate, moved)): (usize, &(u64, u64, bool))| PlacedPair {
            pair: at as u32,
            reference: some(reference),
            candidate: some(candidate),
            moved,
        };
        numbers.iter().enumerate().map(pair).collect()
    }

    fn drawn(numbers: &[(u64, u64, bool)]) -> Vec<(Option<u32>, Option<u32>)> {
        rows(&pairs(numbers)).into_iter().map(|row| (row.reference, row.candidate)).collect()
    }

    #[test]
    fn pairs_in_order_are_level() {
        let all = drawn(&[(1, 4, false), (2, 5, false), (3, 9, false)]);
        assert_eq!(all, [(Some(0), Some(0)), (Some(1), Some(1)), (Some(2), Some(2))]);
    }

    #[test]
    fn missing_and_extra_messages_share_rows_between_level_pairs() {
        // Two are missing and one is extra between the first pair and the last.
        let all = drawn(&[(1, 1, false), (2, 0, false), (3, 0, false), (0, 2, false), (4, 3, false)]);
        assert_eq!(all, [(Some(0), Some(0)), (Some(1), Some(3)), (Some(2), None), (Some(4), Some(4)),]);
    }

    #[test]
    fn a_moved_pair_stands_at_its_place_on_each_side() {
        let all = drawn(&[(1, 3, true), (2, 1, false), (3, 2, false)]);
        assert_eq!(all, [(Some(0), None), (Some(1), Some(1)), (Some(2), Some(2)), (None, Some(0))]);
    }

    #[test]
    fn where_ends_speak_in_another_order_as_many_pairs_as_possible_are_level() {
        // No pair has moved among those of its sender, but one far end's message came earlier.
        let all = drawn(&[(1, 2, false), (2, 3, false), (3, 1, false)]);
        assert_eq!(all, [(None, Some(2)), (Some(0), Some(0)), (Some(1), Some(1)), (Some(2), None)]);
    }

    #[test]
    fn every_message_stands_in_one_row_and_each_side_keeps_its_order() {
        let numbers: Vec<(u64, u64, bool)> = (0..200_u64)
            .map(|at| (if at % 7 != 0 { at + 1 } else { 0 }, (at * 73) % 200 * u64::from(at % 5 != 0), false))
            .collect();
        let pairs = pairs(&numbers);
        let rows = rows(&pairs);
        for (side, number) in [
            (rows.iter().filter_map(|row| row.reference).collect::<Vec<_>>(), 0),
            (rows.iter().filter_map(|row| row.candidate).collect(), 1),
        ] {
            let of = |pair: &PlacedPair| if number == 0 { pair.reference } else { pair.candidate };
            assert_eq!(side.len(), pairs.iter().filter(|pair| of(pair).is_some()).count());
            assert!(side.windows(2).all(|two| of(&pairs[two[0] as usize]) < of(&pairs[two[1] as usize])));
        }
    }

    #[test]
    fn finds_a_longest_increasing_subsequence() {
        for (numbers, length) in
            [(&[][..], 0), (&[3, 1, 2][..], 2), (&[5, 1, 6, 2, 3, 4][..], 4), (&[2, 2][..], 1)]
        {
            let places = longest_increasing(numbers);
            assert_eq!(places.len(), length, "{numbers:?}");
            assert!(places.windows(2).all(|two| two[0] < two[1] && numbers[two[0]] < numbers[two[1]]));
        }
    }
}
