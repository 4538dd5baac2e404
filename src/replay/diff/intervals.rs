//! How long each end took for its messages, in the one capture and in the other: times beside each other, which no verdict
//! depends on.

use bittrace_trace::Side;

use crate::diff::report::DiffReport;
use crate::model::transcript::{Conversation, Transcript};

/// The intervals of the pairs of messages of one name. An interval is the time from the message before it in its
/// conversation, whoever sent that, to the message.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageIntervals {
    /// The name of the messages.
    pub message: &'static str,
    /// How many pairs have an interval in both captures: the first message of a conversation has none.
    pub pairs: usize,
    /// Of the messages of the reference.
    pub reference: IntervalSpread,
    /// Of the messages of the candidate.
    pub candidate: IntervalSpread,
}

/// How some intervals spread, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IntervalSpread {
    /// Half of them are no longer; of an even number, the shorter of the two in the middle.
    pub median: f64,
    /// The longest of them.
    pub longest: f64,
}

impl Conversation {
    /// The seconds from the message before it in the conversation, whoever sent that, to a message of `side`, by its place
    /// in what that side sent. `None` for the first message, and where there is none at this place.
    pub fn interval(&self, side: Side, place: usize) -> Option<f64> {
        let own = &self.way(side).messages;
        let message = own.get(place)?;
        let others = &self.way(side.other()).messages;
        let before = others.partition_point(|other| other.number < message.number).checked_sub(1);
        let before = before.and_then(|at| others.get(at));
        let own_before = place.checked_sub(1).and_then(|at| own.get(at));
        let latest = [before, own_before].into_iter().flatten().max_by_key(|one| one.number)?;
        Some(message.at.seconds_since(latest.at))
    }
}

impl DiffReport {
    /// The intervals of the pairs of `side`, by the names of the messages, in the order in which these come up.
    /// `reference` and `candidate` are what was compared.
    pub fn intervals(
        &self,
        reference: &Transcript,
        candidate: &Transcript,
        side: Side,
    ) -> Vec<MessageIntervals> {
        let mut names: Vec<(&'static str, [Vec<f32>; 2])> = Vec::new();
        for compared in &self.conversations {
            let one = compared.reference.and_then(|at| reference.conversations.get(at));
            let other = compared.candidate.and_then(|at| candidate.conversations.get(at));
            let (Some(one), Some(other)) = (one, other) else { continue };
            for pair in compared.pairs.iter().filter(|pair| pair.side == side) {
                let (Some(our), Some(their)) = (pair.reference, pair.candidate) else { continue };
                let both = (one.interval(side, our as usize), other.interval(side, their as usize));
                let (Some(ours), Some(theirs)) = both else { continue };
                let Some(name) = one.way(side).messages.get(our as usize).map(|stored| stored.message())
                else {
                    continue;
                };
                let at = names.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                    names.push((name, Default::default()));
                    names.len() - 1
                });
                names[at].1[0].push(ours as f32);
                names[at].1[1].push(theirs as f32);
            }
        }
        let intervals = names.into_iter().map(|(message, [mut reference, mut candidate])| MessageIntervals {
            message,
            pairs: reference.len(),
            reference: IntervalSpread::of(&mut reference),
            candidate: IntervalSpread::of(&mut candidate),
        });
        intervals.collect()
    }
}

impl IntervalSpread {
    /// The spread of some intervals, of which there is one at least.
    fn of(intervals: &mut [f32]) -> Self {
        intervals.sort_unstable_by(f32::total_cmp);
        let at = |place: usize| intervals.get(place).copied().map_or(0.0, f64::from);
        let last = intervals.len().saturating_sub(1);
        Self { median: at(last / 2), longest: at(last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_shorter_of_the_two_in_the_middle() {
        let spread = |intervals: &[f32]| IntervalSpread::of(&mut intervals.to_vec());
        assert_eq!(spread(&[4.0]), IntervalSpread { median: 4.0, longest: 4.0 });
        assert_eq!(spread(&[4.0, 1.0]), IntervalSpread { median: 1.0, longest: 4.0 });
        assert_eq!(spread(&[4.0, 1.0, 2.0]), IntervalSpread { median: 2.0, longest: 4.0 });
    }
}
