//! How long each end took for its messages, in the one capture and in the other: times beside each other, which no verdict
//! depends on.

use bittrace_trace::Side;

use crate::diff::report::DiffReport;
use crate::model::transcript::{Conversation, Transcript};

/// The intervals of the pairs of messages of one name. An interval is the time from the message before it in its
/// conversation, from either end, to the message.
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
    /// The seconds from the message before it in the conversation, from either end, to a message of `side`, by its place
    /// in what that side sent. 0 where the message before it was captured later, since a packet was lost and sent again.
    /// `None` for the first message, and where there is none at this place.
    pub fn interval(&self, side: Side, place: usize) -> Option<f64> {
        let own = &self.direction(side).messages;
        let message = own.get(place)?;
        let others = &self.direction(side.other()).messages;
        let before = others.partition_point(|other| other.number < message.number).checked_sub(1);
        let before = before.and_then(|at| others.get(at));
        let own_before = place.checked_sub(1).and_then(|at| own.get(at));
        let latest = [before, own_before].into_iter().flatten().max_by_key(|one| one.number)?;
        Some(message.at.seconds_since(latest.at).max(0.0))
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
                let Some(name) =
                    one.direction(side).messages.get(our as usize).map(|stored| stored.message())
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
    use std::io::Cursor;
    use std::net::SocketAddr;

    use bittrace_protocol::Timestamp;
    use bittrace_trace::{Direction, Flow, Recorder, StreamId, StreamOpening, Trace, TraceOptions};

    use super::*;
    use crate::{DiffOptions, diff};

    use Direction::{FromInitiator as Local, FromResponder as Remote};

    const INTERESTED: &[u8] = &[0, 0, 0, 1, 2];
    const UNCHOKE: &[u8] = &[0, 0, 0, 1, 1];
    const KEEP_ALIVE: &[u8] = &[0; 4];

    fn handshake() -> Vec<u8> {
        [&b"\x13BitTorrent protocol"[..], &[0; 8], &[b'a'; 20], b"-XX0000-abcdefghijkl"].concat()
    }

    /// A step of a conversation: its time in seconds, the sender, the bytes, and whether the capture has them.
    type Step<'a> = (i64, Direction, &'a [u8], bool);

    /// A conversation with a peer: a handshake of each end at the times 0 and 1, then the steps.
    fn capture(steps: &[Step<'_>]) -> Transcript {
        let mut recorder = Recorder::new(Vec::new(), "").unwrap();
        let stream = StreamId(0);
        let end = |host, port| SocketAddr::from(([10, 0, 0, host], port));
        let flow = Flow { initiator: end(1, 40_000), responder: end(2, 6881) };
        recorder.opened(Timestamp::EPOCH, stream, flow, StreamOpening::Syn).unwrap();
        let handshake = handshake();
        let opening = [(0, Local, &handshake[..], true), (1, Remote, &handshake[..], true)];
        for (second, direction, bytes, captured) in opening.iter().chain(steps) {
            let at = Timestamp::from_secs_nanos(*second, 0);
            match captured {
                true => recorder.burst(at, stream, *direction, bytes).unwrap(),
                false => recorder.gap(at, stream, *direction, bytes.len() as u64).unwrap(),
            }
        }
        let bytes = Cursor::new(recorder.finish().unwrap());
        let options = TraceOptions { local: Some(end(1, 0).ip()).into(), ..TraceOptions::default() };
        Transcript::read(Trace::from_reader("a capture".to_owned(), bytes, options).unwrap()).unwrap()
    }

    #[test]
    fn an_interval_is_counted_from_the_message_before_of_either_end() {
        let transcript = capture(&[
            (3, Local, INTERESTED, true),
            (7, Remote, UNCHOKE, true),
            (7, Local, KEEP_ALIVE, true),
            (12, Local, KEEP_ALIVE, true),
        ]);
        let conversation = &transcript.conversations[0];
        let intervals = |side| [0, 1, 2, 3, 4].map(|place| conversation.interval(side, place));
        assert_eq!(intervals(Side::Local), [None, Some(2.0), Some(0.0), Some(5.0), None]);
        assert_eq!(intervals(Side::Remote), [Some(1.0), Some(4.0), None, None, None]);
    }

    #[test]
    fn no_interval_is_negative() {
        // The bytes that were lost at 3 s are known to be lost at the end of the capture, and still have their time.
        let transcript = capture(&[
            (3, Remote, UNCHOKE, false),
            (4, Remote, KEEP_ALIVE, true),
            (9, Local, INTERESTED, true),
        ]);
        let conversation = &transcript.conversations[0];
        let gap = &conversation.direction(Side::Remote).messages[1];
        let before = conversation.direction(Side::Local).messages.last().unwrap();
        assert!(gap.is_gap() && before.number < gap.number && gap.at < before.at, "{gap:?} after {before:?}");
        assert_eq!(conversation.interval(Side::Remote, 1), Some(0.0));
    }

    #[test]
    fn only_pairs_with_an_interval_in_both_captures_count() {
        let reference = capture(&[(2, Local, INTERESTED, true), (5, Local, KEEP_ALIVE, true)]);
        let candidate = capture(&[(4, Local, INTERESTED, true)]);
        let report = diff(&reference, &candidate, &DiffOptions::exact()).unwrap();
        let spread = |seconds| IntervalSpread { median: seconds, longest: seconds };
        // The handshake is the first message, and the keep-alive has no counterpart.
        assert_eq!(
            report.intervals(&reference, &candidate, Side::Local),
            [MessageIntervals {
                message: "interested",
                pairs: 1,
                reference: spread(1.0),
                candidate: spread(3.0)
            }]
        );
        assert_eq!(
            report.intervals(&candidate, &candidate, Side::Remote),
            [MessageIntervals {
                message: "handshake",
                pairs: 1,
                reference: spread(1.0),
                candidate: spread(1.0)
            }]
        );
        let nothing = capture(&[]);
        let alone = diff(&nothing, &reference, &DiffOptions::exact()).unwrap();
        assert_eq!(alone.intervals(&nothing, &reference, Side::Local), []);
    }

    #[test]
    fn the_median_is_the_shorter_of_the_two_in_the_middle() {
        let spread = |intervals: &[f32]| IntervalSpread::of(&mut intervals.to_vec());
        assert_eq!(spread(&[4.0]), IntervalSpread { median: 4.0, longest: 4.0 });
        assert_eq!(spread(&[4.0, 1.0]), IntervalSpread { median: 1.0, longest: 4.0 });
        assert_eq!(spread(&[4.0, 1.0, 2.0]), IntervalSpread { median: 2.0, longest: 4.0 });
        assert_eq!(spread(&[2.0, 2.0, 1.0, 2.0]), IntervalSpread { median: 2.0, longest: 2.0 });
    }
}
