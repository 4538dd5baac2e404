#![no_main]
//! Two captures against each other, the second one an edit of the first: every message of both is in exactly one pair,
//! every conversation in one comparison, and a capture is the same as itself.

use bittrace_fuzz::diff::{CaptureStep, Edits, MOST_STEPS, edits, steps, transcript};
use bittrace_replay::{
    Conversation, DiffOptions, DiffReport, FieldTexts, MessagePair, PairVerdict, StoredMessage,
    TRANSCRIPT_LIMIT, Transcript, diff,
};
use bittrace_trace::Side;
use libfuzzer_sys::fuzz_target;

/// The memory for a second capture of which blocks are to be shortened, in bytes: less than twice an input.
const LITTLE_MEMORY: usize = 32 * 1024;

fuzz_target!(|input: &[u8]| {
    let (Edits { shortened, list }, rest) = edits(input);
    let mut happened: Vec<CaptureStep> = steps(rest).take(MOST_STEPS).collect();
    let limit = if shortened { LITTLE_MEMORY } else { TRANSCRIPT_LIMIT };
    let reference = transcript(&happened, TRANSCRIPT_LIMIT).expect("an input takes less than 1 GiB");
    let again = transcript(&happened, limit);
    list.iter().for_each(|edit| edit.make(&mut happened));
    let candidate = transcript(&happened, limit);
    for options in [DiffOptions::exact(), DiffOptions::default()] {
        if let Some(again) = &again {
            check_same(&compare(&reference, again, &options));
        }
        if let Some(candidate) = &candidate {
            compare(&reference, candidate, &options);
        }
    }
});

/// Compares two captures and checks what holds for any two.
fn compare(reference: &Transcript, candidate: &Transcript, options: &DiffOptions) -> DiffReport {
    let report = diff(reference, candidate, options).expect("no mask is given by hand");
    let mut compared_times = [vec![0; reference.conversations.len()], vec![0; candidate.conversations.len()]];
    for compared in &report.conversations {
        let places = [compared.reference, compared.candidate];
        for (times, place) in compared_times.iter_mut().zip(places) {
            place.into_iter().for_each(|place| times[place] += 1);
        }
        let one = compared.reference.map(|place| &reference.conversations[place]);
        let other = compared.candidate.map(|place| &candidate.conversations[place]);
        for side in [Side::Local, Side::Remote] {
            let pairs: Vec<&MessagePair> = compared.pairs.iter().filter(|pair| pair.side == side).collect();
            every_message_once(one, side, pairs.iter().filter_map(|pair| pair.reference));
            every_message_once(other, side, pairs.iter().filter_map(|pair| pair.candidate));
            let message = |conversation: Option<&'_ Conversation>, place: Option<u32>| {
                Some(conversation?.direction(side).messages[place? as usize].clone())
            };
            for pair in &pairs {
                check_pair(pair, message(one, pair.reference), message(other, pair.candidate), options);
            }
            let unmoved = pairs.iter().filter(|pair| !pair.moved);
            let in_order: Vec<_> =
                unmoved.filter_map(|pair| Some((pair.reference?, pair.candidate?))).collect();
            assert!(in_order.is_sorted() && in_order.is_sorted_by_key(|both| both.1), "{in_order:?}");
        }
    }
    assert!(compared_times.iter().flatten().all(|times| *times == 1), "{compared_times:?}");
    for side in [Side::Local, Side::Remote] {
        for intervals in report.intervals(reference, candidate, side) {
            assert!(intervals.pairs > 0, "{intervals:?}");
            for spread in [intervals.reference, intervals.candidate] {
                assert!(0.0 <= spread.median && spread.median <= spread.longest, "{intervals:?}");
            }
        }
    }
    report
}

/// The places are those of all messages of a side, each once.
fn every_message_once(conversation: Option<&Conversation>, side: Side, places: impl Iterator<Item = u32>) {
    let count = conversation.map_or(0, |conversation| conversation.direction(side).messages.len());
    let mut places: Vec<u32> = places.collect();
    places.sort_unstable();
    assert!(places.iter().copied().eq(0..count as u32), "{side:?}: {places:?} of {count}");
}

/// A verdict agrees with the messages, and all that differs can be shown.
fn check_pair(
    pair: &MessagePair,
    one: Option<StoredMessage>,
    other: Option<StoredMessage>,
    options: &DiffOptions,
) {
    let (one, other) = match (one, other) {
        (Some(one), Some(other)) => (one, other),
        (Some(_), None) => return assert_eq!(pair.verdict, PairVerdict::Missing, "{pair:?}"),
        (None, Some(_)) => return assert_eq!(pair.verdict, PairVerdict::Extra, "{pair:?}"),
        (None, None) => panic!("a pair of nothing: {pair:?}"),
    };
    let same = one.same_bytes(&other);
    let allowed = match (same, pair.moved) {
        (true, false) => [PairVerdict::Same, PairVerdict::Differs],
        (_, true) => [PairVerdict::Moved, PairVerdict::Differs],
        (false, false) => [PairVerdict::Masked, PairVerdict::Differs],
    };
    assert!(allowed.contains(&pair.verdict), "{pair:?} of {one:?} and {other:?}");
    if matches!(options.masking, bittrace_replay::Masking::None) {
        assert_eq!(pair.verdict == PairVerdict::Differs, !same, "{pair:?} of {one:?} and {other:?}");
    }
    let texts = [FieldTexts::of(&one), FieldTexts::of(&other)];
    for difference in &pair.differences {
        for (texts, side) in texts.iter().zip([difference.reference, difference.candidate]) {
            let _ = side.map(|side| texts.text(&difference.name, &side));
        }
        let _ = difference.note();
    }
}

/// A capture is the same as itself: every conversation and every message is its own counterpart.
fn check_same(report: &DiffReport) {
    for compared in &report.conversations {
        assert_eq!(compared.reference, compared.candidate, "a conversation is not its own counterpart");
        for pair in &compared.pairs {
            assert_eq!((pair.verdict, pair.reference), (PairVerdict::Same, pair.candidate), "{pair:?}");
        }
    }
    assert_eq!(report.disagreements(&[]), 0);
}
