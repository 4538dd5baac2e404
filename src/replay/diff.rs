//! Two captures against each other: conversations with their counterparts, messages with theirs, and a verdict on each.

mod align_messages;
mod alignment_key;
mod compare_fields;
mod difference;
mod field_path;
mod identity;
mod intervals;
mod mask;
mod match_connections;
mod packets;
mod report;

use bittrace_trace::{Side, StreamOpening};

use crate::model::message::StoredMessage;
use crate::model::transcript::{Conversation, Transcript};
use align_messages::{Alignment, align};
use alignment_key::AlignmentKeys;
use compare_fields::MaskCounts;
use difference::Paths;
pub use difference::{ComparedSide, Difference, FieldSide, FieldText, FieldTexts};
pub use intervals::{IntervalSpread, MessageIntervals};
use mask::Masks;
pub use mask::{Mask, MaskError, MaskRule};
use match_connections::match_connections;
pub use packets::packets_over_utp;
pub use report::{
    ComparedConversation, DiffReport, Judged, MaskUse, MessagePair, PairVerdict, ReportKind, Tallies, Tally,
};

/// What to compare, and what may differ.
#[derive(Debug, Clone)]
pub struct DiffOptions {
    /// What may differ.
    pub masking: Masking,
    /// Which side's messages are judged.
    pub judged: Judged,
    /// Only messages of these names; all when there are none.
    pub only: Vec<String>,
    /// Only these streams of the reference, by number, and their counterparts; all when there are none.
    pub streams: Vec<u32>,
}

/// What may differ.
#[derive(Debug, Clone)]
pub enum Masking {
    /// What the built-in table allows; masks that the user gave come before it.
    Table(Vec<Mask>),
    /// Nothing.
    None,
}

impl Default for DiffOptions {
    fn default() -> Self {
        Self {
            masking: Masking::Table(Vec::new()),
            judged: Judged::Local,
            only: Vec::new(),
            streams: Vec::new(),
        }
    }
}

impl DiffOptions {
    /// Every byte of both sides must be the same.
    pub fn exact() -> Self {
        Self { masking: Masking::None, judged: Judged::Both, ..Self::default() }
    }
}

/// A mask that was given by hand and is about no field of any message of either capture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no message of either capture has {0}")]
pub struct UselessMask(pub String);

/// Compares two captures.
///
/// # Errors
/// When a mask that was given by hand matches nothing.
pub fn diff(
    reference: &Transcript,
    candidate: &Transcript,
    options: &DiffOptions,
) -> Result<DiffReport, UselessMask> {
    let masks = match &options.masking {
        Masking::Table(by_hand) => Masks::new(by_hand),
        Masking::None => Masks::none(),
    };
    let mut comparison = Comparison {
        options,
        masks,
        keys: AlignmentKeys::default(),
        paths: Paths::default(),
        report: DiffReport::new(options.judged),
    };
    let couples = match_connections(&reference.conversations, &candidate.conversations);
    let mut mates = vec![None; reference.conversations.len()];
    let mut taken = vec![false; candidate.conversations.len()];
    for (one, other) in couples {
        mates[one] = Some(other);
        taken[other] = true;
    }
    for (one, mate) in mates.into_iter().enumerate() {
        let ours = &reference.conversations[one];
        if !options.streams.is_empty() && !options.streams.contains(&ours.stream.0) {
            continue;
        }
        let theirs = mate.map(|mate| &candidate.conversations[mate]);
        let pairs = comparison.conversation(Some(ours), theirs);
        comparison.report.conversations.push(ComparedConversation {
            reference: Some(one),
            candidate: mate,
            pairs,
        });
    }
    for (other, theirs) in candidate.conversations.iter().enumerate() {
        if taken[other] || !options.streams.is_empty() {
            continue;
        }
        let pairs = comparison.conversation(None, Some(theirs));
        comparison.report.conversations.push(ComparedConversation {
            reference: None,
            candidate: Some(other),
            pairs,
        });
    }
    comparison.finish(&[reference, candidate])
}

struct Comparison<'a> {
    options: &'a DiffOptions,
    masks: Masks,
    keys: AlignmentKeys,
    paths: Paths,
    report: DiffReport,
}

/// A conversation and its counterpart, as far as there are both.
type Both<'c> = (Option<&'c Conversation>, Option<&'c Conversation>);

impl Comparison<'_> {
    fn conversation(&mut self, one: Option<&Conversation>, other: Option<&Conversation>) -> Vec<MessagePair> {
        let sides = [Side::Local, Side::Remote].map(|side| {
            let mut pairs = self.pairs_of_side((one, other), side);
            if !self.options.only.is_empty() {
                pairs.retain(|pair| {
                    named_message((one, other), pair).is_some_and(|stored| self.wants(stored.message()))
                });
            }
            pairs
        });
        for pair in sides.iter().flatten() {
            // What a loss left of messages is not a message.
            if let Some(stored) = named_message((one, other), pair)
                && !(pair.lost && stored.is_remnant())
            {
                self.report.count(stored.message(), pair);
            }
        }
        let [local, far] = sides;
        interleave(local, far, |pair| match one {
            Some(one) => Some(one.direction(pair.side).messages.get(pair.reference? as usize)?.number),
            None => Some(other?.direction(pair.side).messages.get(pair.candidate? as usize)?.number),
        })
    }

    fn wants(&self, message: &str) -> bool {
        let only = &self.options.only;
        only.is_empty() || only.iter().any(|name| name == message)
    }

    /// The pairs of one side's messages, in the order of the reference.
    fn pairs_of_side(&mut self, both: Both<'_>, side: Side) -> Vec<MessagePair> {
        let messages = |conversation: Option<&'_ Conversation>| -> usize {
            conversation.map_or(0, |conversation| conversation.direction(side).messages.len())
        };
        let (Some(one), Some(other)) = both else {
            let alone = |verdict, place: fn(u32) -> (Option<u32>, Option<u32>), number: usize| {
                (0..number as u32).map(move |at| unpaired(side, place(at), verdict))
            };
            return match both {
                (Some(_), _) => {
                    alone(PairVerdict::Missing, |at| (Some(at), None), messages(both.0)).collect()
                }
                _ => alone(PairVerdict::Extra, |at| (None, Some(at)), messages(both.1)).collect(),
            };
        };
        let (ours, theirs) = (&one.direction(side).messages, &other.direction(side).messages);
        let (our_keys, their_keys) = (self.keys.of_side(one, side), self.keys.of_side(other, side));
        let alignment = align(&our_keys, &their_keys, |at, their| alike(&ours[at], &theirs[their]));
        let mut pairs = Vec::with_capacity(ours.len().max(theirs.len()));
        let mut region = Region::new([one, other].map(|end| end.is_lossy(side)));
        let mut taken = vec![false; theirs.len()];
        alignment.mates.iter().flatten().for_each(|mate| taken[*mate as usize] = true);
        let mut next = 0;
        let Alignment { mates, moved } = &alignment;
        for (at, mate) in mates.iter().enumerate() {
            let Some(mate) = mate.map(|mate| mate as usize) else {
                region.missing(&ours[at]);
                pairs.push(unpaired(side, (Some(at as u32), None), PairVerdict::Missing));
                continue;
            };
            if !moved[at] {
                for extra in (next..mate).filter(|&at| !taken[at]) {
                    region.extra(&theirs[extra]);
                    pairs.push(unpaired(side, (None, Some(extra as u32)), PairVerdict::Extra));
                }
                next = mate + 1;
                region.close(&mut pairs, ours, theirs, [one, other].map(|end| end.opening));
            }
            let (ours, theirs) = (&ours[at], &theirs[mate]);
            let (verdict, differences) = self.judge(side, ours, theirs, moved[at]);
            pairs.push(MessagePair {
                side,
                reference: Some(at as u32),
                candidate: Some(mate as u32),
                verdict,
                moved: moved[at],
                lost: false,
                differences: differences.into_boxed_slice(),
            });
        }
        for extra in (next..theirs.len()).filter(|&at| !taken[at]) {
            region.extra(&theirs[extra]);
            pairs.push(unpaired(side, (None, Some(extra as u32)), PairVerdict::Extra));
        }
        region.close(&mut pairs, ours, theirs, [StreamOpening::Syn; 2]);
        pairs
    }

    fn judge(
        &mut self,
        side: Side,
        ours: &StoredMessage,
        theirs: &StoredMessage,
        moved: bool,
    ) -> (PairVerdict, Vec<Difference>) {
        let same = ours.same_bytes(theirs);
        let place = if moved { PairVerdict::Moved } else { PairVerdict::Same };
        if same && !self.masks.bind_in(ours.message(), ours.protocol()) {
            return (place, Vec::new());
        }
        let short = ours.digest().is_some() || theirs.digest().is_some();
        let shortened = |stored: &StoredMessage| if short { stored.shortened() } else { None };
        let (our_short, their_short) = (shortened(ours), shortened(theirs));
        let (our, their) = (our_short.as_ref().unwrap_or(ours), their_short.as_ref().unwrap_or(theirs));
        let counts = self.options.judged.counts(side) && self.wants(ours.message());
        let counts = if counts { MaskCounts::Yes } else { MaskCounts::No };
        let (masks, paths) = (&mut self.masks, &mut self.paths);
        let mut differences = compare_fields::compare(&our.read(), &their.read(), side, masks, paths, counts);
        if differences.is_empty() && !same {
            differences.push(compare_fields::blocks_differ(our, their, &mut self.paths));
        }
        if !self.options.judged.counts(side) {
            for difference in differences.iter_mut().filter(|difference| difference.fails) {
                difference.rule = MaskRule::Context;
            }
        }
        let verdict = match differences.iter().any(|difference| difference.fails) {
            true => PairVerdict::Differs,
            false if moved => PairVerdict::Moved,
            false if same => PairVerdict::Same,
            false => PairVerdict::Masked,
        };
        (verdict, differences)
    }

    fn finish(mut self, transcripts: &[&Transcript]) -> Result<DiffReport, UselessMask> {
        for (mask, uses) in self.masks.uses() {
            if mask.by_hand && uses == 0 && !transcripts.iter().any(|transcript| has(transcript, mask)) {
                return Err(UselessMask(mask.place()));
            }
        }
        let used = self.masks.uses().filter(|(mask, uses)| *uses > 0 || mask.by_hand);
        self.report.masks = used.map(|(mask, uses)| MaskUse { mask: mask.clone(), uses }).collect();
        Ok(self.report)
    }
}

/// The message that gives a pair its name: the reference's, where there is one.
fn named_message<'c>(both: Both<'c>, pair: &MessagePair) -> Option<&'c StoredMessage> {
    let (one, other) = pair.messages(both);
    one.or(other)
}

fn unpaired(
    side: Side,
    (reference, candidate): (Option<u32>, Option<u32>),
    verdict: PairVerdict,
) -> MessagePair {
    MessagePair {
        side,
        reference,
        candidate,
        verdict,
        moved: false,
        lost: false,
        differences: Box::default(),
    }
}

/// Whether two messages of different kinds differ by no more than a damaged byte would make them.
fn alike(one: &StoredMessage, other: &StoredMessage) -> bool {
    let differing = one.bytes.iter().zip(&other.bytes).filter(|(one, other)| one != other).count();
    one.length() == other.length() && !one.is_gap() && !other.is_gap() && differing <= ALIKE
}

const ALIKE: usize = 4;

/// The unpaired messages between two pairs that stand in order, and what the captures say they lost there.
struct Region {
    start: usize,
    first: bool,
    /// Which captures lost something: the reference's, the candidate's.
    lossy: [bool; 2],
    /// The bytes that each lost here.
    lost: [u64; 2],
}

impl Region {
    const fn new(lossy: [bool; 2]) -> Self {
        Self { start: 0, first: true, lossy, lost: [0; 2] }
    }

    fn missing(&mut self, stored: &StoredMessage) {
        if self.lossy[0] && stored.is_remnant() {
            self.lost[0] += stored.length();
        }
    }

    fn extra(&mut self, stored: &StoredMessage) {
        if self.lossy[1] && stored.is_remnant() {
            self.lost[1] += stored.length();
        }
    }

    /// Marks what a capture lost: remnants of a loss, and as many bytes of the other capture's messages. Everything before a
    /// capture began is lost to it.
    fn close(
        &mut self,
        pairs: &mut [MessagePair],
        ours: &[StoredMessage],
        theirs: &[StoredMessage],
        openings: [StreamOpening; 2],
    ) {
        let mut left = self.lost;
        if std::mem::replace(&mut self.first, false) {
            for (left, opening) in left.iter_mut().zip(openings) {
                if opening == StreamOpening::MidStream {
                    *left = u64::MAX;
                }
            }
        }
        for pair in &mut pairs[self.start..] {
            let (stored, own, left) = match (pair.verdict, pair.reference, pair.candidate) {
                (PairVerdict::Missing, Some(at), _) => (&ours[at as usize], self.lossy[0], &mut left[1]),
                (PairVerdict::Extra, _, Some(at)) => (&theirs[at as usize], self.lossy[1], &mut left[0]),
                _ => continue,
            };
            if own && stored.is_remnant() {
                pair.lost = true;
            } else if stored.length() <= *left {
                *left -= stored.length();
                pair.lost = true;
            }
        }
        self.start = pairs.len();
        self.lost = [0; 2];
    }
}

/// The pairs of both sides in the order of `number`. A pair without a number follows the pair before it.
fn interleave(
    local: Vec<MessagePair>,
    far: Vec<MessagePair>,
    number: impl Fn(&MessagePair) -> Option<u64>,
) -> Vec<MessagePair> {
    if local.is_empty() || far.is_empty() {
        return if far.is_empty() { local } else { far };
    }
    let mut all = Vec::with_capacity(local.len() + far.len());
    let (mut local, mut far) = (local.into_iter().peekable(), far.into_iter().peekable());
    let (mut our, mut their) = (0, 0);
    while let (Some(one), Some(other)) = (local.peek(), far.peek()) {
        our = number(one).unwrap_or(our);
        their = number(other).unwrap_or(their);
        all.extend(if our <= their { local.next() } else { far.next() });
    }
    all.extend(local);
    all.extend(far);
    all
}

fn has(transcript: &Transcript, mask: &Mask) -> bool {
    transcript.conversations.iter().any(|conversation| {
        [Side::Local, Side::Remote].into_iter().any(|side| {
            let messages = conversation.direction(side).messages.iter();
            let mut about = messages.filter(|message| mask.is_about(message.message(), message.protocol()));
            about.any(|message| field_path::has(&message.read(), mask))
        })
    })
}

#[cfg(test)]
mod tests;
