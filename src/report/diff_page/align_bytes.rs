//! Which bytes of a field differ: the two values are aligned, so that a byte that was put in moves the bytes after it
//! and makes them no different.

use std::ops::Range;

/// The bytes of the reference's value and of the candidate's that have no counterpart in the other, as ranges in order.
///
/// What both begin and end with is the same. Between the two, up to [`ALIGNED`] bytes are aligned by their longest
/// common subsequence; of longer values, those of one length are compared place by place, and others differ as a whole.
pub(super) fn differing_bytes(reference: &[u8], candidate: &[u8]) -> [Vec<Range<usize>>; 2] {
    let shorter = reference.len().min(candidate.len());
    let equal = |(one, other): &(&u8, &u8)| one == other;
    let start = reference.iter().zip(candidate).take_while(equal).count();
    let tail =
        reference.iter().rev().zip(candidate.iter().rev()).take(shorter - start).take_while(equal).count();
    let (ours, theirs) =
        (&reference[start..reference.len() - tail], &candidate[start..candidate.len() - tail]);
    let kept = if ours.len().max(theirs.len()) <= ALIGNED {
        without_chance(common(ours, theirs))
    } else if ours.len() == theirs.len() {
        (0..ours.len()).filter(|&at| ours[at] == theirs[at]).map(|at| (at, at)).collect()
    } else {
        Vec::new()
    };
    let (our_kept, their_kept): (Vec<usize>, Vec<usize>) = kept.into_iter().unzip();
    [rest(ours.len(), &our_kept, start), rest(theirs.len(), &their_kept, start)]
}

/// The longest values that are aligned, in bytes, without what they begin and end with: the table of the longest common
/// subsequence has the product of both lengths, 128 KiB.
const ALIGNED: usize = 256;

/// The places of a longest common subsequence in both, in order.
fn common(ours: &[u8], theirs: &[u8]) -> Vec<(usize, usize)> {
    let width = theirs.len() + 1;
    // How long the longest common subsequence of the rest is, from each pair of places on.
    let mut lengths = vec![0_u16; (ours.len() + 1) * width];
    for (our, one) in ours.iter().enumerate().rev() {
        for (their, other) in theirs.iter().enumerate().rev() {
            lengths[our * width + their] = match one == other {
                true => lengths[(our + 1) * width + their + 1] + 1,
                false => lengths[(our + 1) * width + their].max(lengths[our * width + their + 1]),
            };
        }
    }
    let mut places = Vec::new();
    let (mut our, mut their) = (0, 0);
    while our < ours.len() && their < theirs.len() {
        if ours[our] == theirs[their] {
            places.push((our, their));
            our += 1;
            their += 1;
        } else if lengths[(our + 1) * width + their] >= lengths[our * width + their + 1] {
            our += 1;
        } else {
            their += 1;
        }
    }
    places
}

/// Leaves out bytes that are equal by chance: a byte alone, at different places of the two values.
fn without_chance(places: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    let follows = |one: (usize, usize), other: (usize, usize)| one.0 + 1 == other.0 && one.1 + 1 == other.1;
    let alone = |at: usize| {
        let before = at.checked_sub(1).is_some_and(|before| follows(places[before], places[at]));
        let after = places.get(at + 1).is_some_and(|after| follows(places[at], *after));
        !before && !after
    };
    (0..places.len()).filter(|&at| places[at].0 == places[at].1 || !alone(at)).map(|at| places[at]).collect()
}

/// What is left of so many places without some of them, as ranges that begin `start` later.
fn rest(length: usize, without: &[usize], start: usize) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut next = 0;
    for &at in without.iter().chain([&length]) {
        if at > next {
            ranges.push(start + next..start + at);
        }
        next = at + 1;
    }
    ranges
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of one range is what is meant")]
mod tests {
    use super::*;

    fn differing(reference: &str, candidate: &str) -> [Vec<Range<usize>>; 2] {
        differing_bytes(reference.as_bytes(), candidate.as_bytes())
    }

    #[test]
    fn equal_values_have_no_differing_byte() {
        assert_eq!(differing("", ""), [vec![], vec![]]);
        assert_eq!(differing("announce", "announce"), [vec![], vec![]]);
    }

    #[test]
    fn a_byte_that_was_put_in_makes_the_bytes_after_it_no_different() {
        assert_eq!(differing("port=6881", "port=16881"), [vec![], vec![5..6]]);
        assert_eq!(differing("abcdef", "bcdefg"), [vec![0..1], vec![5..6]]);
        // Twice the same byte: one of the two is the one that was put in.
        assert_eq!(differing("aab", "aaab"), [vec![], vec![2..3]]);
    }

    #[test]
    fn a_changed_byte_differs_on_both_sides() {
        assert_eq!(differing("abcdef", "abXdeY"), [vec![2..3, 5..6], vec![2..3, 5..6]]);
        assert_eq!(differing("", "ab"), [vec![], vec![0..2]]);
    }

    #[test]
    fn a_byte_that_is_equal_by_chance_still_differs() {
        // The x stands alone and elsewhere; in the second pair it stands at the same place.
        assert_eq!(differing("abxcd", "xefgh"), [vec![0..5], vec![0..5]]);
        assert_eq!(differing("abxcd", "efxgh"), [vec![0..2, 3..5], vec![0..2, 3..5]]);
    }

    #[test]
    fn long_values_are_compared_without_a_large_table() {
        let mut block = vec![7; 16_384];
        let other = block.clone();
        block[1] = 0;
        block[16_000] = 0;
        assert_eq!(differing_bytes(&block, &other), [vec![1..2, 16_000..16_001], vec![1..2, 16_000..16_001]]);
        let (one, two) = (vec![1; 1000], vec![2; 900]);
        assert_eq!(differing_bytes(&one, &two), [vec![0..1000], vec![0..900]]);
        assert_eq!(differing_bytes(&vec![1; 1000], &vec![1; 900]), [vec![900..1000], vec![]]);
    }

    #[test]
    fn what_differs_and_what_is_kept_make_up_both_values() {
        // Without the differing bytes, both values are the same.
        let kept = |bytes: &[u8], without: &[Range<usize>]| -> Vec<u8> {
            let stays = |at: &usize| !without.iter().any(|range| range.contains(at));
            (0..bytes.len()).filter(stays).map(|at| bytes[at]).collect()
        };
        let mut seed = 12_345_u32;
        let mut byte = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 29) as u8
        };
        for length in 0..60 {
            let one: Vec<u8> = (0..length).map(|_| byte()).collect();
            let other: Vec<u8> = (0..(length * 7) % 61).map(|_| byte()).collect();
            let [our, their] = differing_bytes(&one, &other);
            assert_eq!(kept(&one, &our), kept(&other, &their), "{one:?} and {other:?}");
        }
    }
}
