//! What a comparison found: conversations with their pairs of messages, and what they add up to.

use bittrace_trace::Side;

use crate::diff::difference::Difference;
use crate::diff::mask::Mask;
use crate::model::message::StoredMessage;
use crate::model::transcript::{Conversation, Transcript};

/// The verdict on a message and its counterpart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PairVerdict {
    /// The same bytes at the same place.
    Same,
    /// The same but for what masks allow.
    Masked,
    /// The content differs.
    Differs,
    /// The same, but for what masks allow, at another place among the others.
    Moved,
    /// The candidate does not have it.
    Missing,
    /// Only the candidate has it.
    Extra,
}

impl PairVerdict {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Same, Self::Masked, Self::Differs, Self::Moved, Self::Missing, Self::Extra];

    /// Its name, as options and JSON have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Masked => "masked",
            Self::Differs => "differs",
            Self::Moved => "moved",
            Self::Missing => "missing",
            Self::Extra => "extra",
        }
    }

    /// Its name after a number of messages: `12 differ`.
    pub const fn name_of_many(self) -> &'static str {
        match self {
            Self::Differs => "differ",
            other => other.name(),
        }
    }

    /// What kind of disagreement it is as a rule; `None` where there is none. See [`MessagePair::kind`].
    pub const fn kind(self) -> Option<ReportKind> {
        match self {
            Self::Same | Self::Masked => None,
            Self::Differs => Some(ReportKind::Phrasing),
            Self::Moved | Self::Missing | Self::Extra => Some(ReportKind::Choice),
        }
    }
}

/// The kinds of disagreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReportKind {
    /// The content of a message: fields that tell the other end something else.
    Phrasing,
    /// Which messages are sent, and in which order.
    Choice,
    /// Who the client is, and how it writes the same values: its peer id, its name, the order of parameters. Any two clients
    /// differ in these.
    Identity,
}

impl ReportKind {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Phrasing => "phrasing",
            Self::Choice => "choice",
            Self::Identity => "identity",
        }
    }
}

/// A message and its counterpart, or one without.
#[derive(Debug, Clone, PartialEq)]
pub struct MessagePair {
    /// Which side of its capture sent it.
    pub side: Side,
    /// The reference's message, by its place among the messages of that side.
    pub reference: Option<u32>,
    /// The candidate's.
    pub candidate: Option<u32>,
    /// The verdict on them.
    pub verdict: PairVerdict,
    /// Whether it stands elsewhere among the others, also where that is not the verdict.
    pub moved: bool,
    /// Whether it is a capture that lacks the counterpart, and not the client.
    pub lost: bool,
    /// The fields that are not the same, those that masks allow included.
    pub differences: Box<[Difference]>,
}

impl MessagePair {
    /// The messages of the pair, of which `conversations` are the reference's and the candidate's.
    pub fn messages<'c>(
        &self,
        (one, other): (Option<&'c Conversation>, Option<&'c Conversation>),
    ) -> (Option<&'c StoredMessage>, Option<&'c StoredMessage>) {
        let of = |conversation: Option<&'c Conversation>, at: Option<u32>| {
            conversation?.direction(self.side).messages.get(at? as usize)
        };
        (of(one, self.reference), of(other, self.candidate))
    }

    /// What kind of disagreement it is; `None` where there is none. Messages that differ in nothing but identity are of that kind.
    pub fn kind(&self) -> Option<ReportKind> {
        let kind = self.verdict.kind()?;
        let mut failing = self.differences.iter().filter(|difference| difference.fails);
        match kind {
            ReportKind::Phrasing if failing.all(|difference| difference.kind == ReportKind::Identity) => {
                Some(ReportKind::Identity)
            }
            kind => Some(kind),
        }
    }
}

/// A conversation and its counterpart, or one without.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedConversation {
    /// The reference's conversation, by its place in the transcript.
    pub reference: Option<usize>,
    /// The candidate's.
    pub candidate: Option<usize>,
    /// Their messages in the order of the reference. Every message of both is in one pair.
    pub pairs: Vec<MessagePair>,
}

impl ComparedConversation {
    /// The conversations themselves, of the two captures that were compared.
    pub fn conversations<'t>(
        &self,
        reference: &'t Transcript,
        candidate: &'t Transcript,
    ) -> (Option<&'t Conversation>, Option<&'t Conversation>) {
        let of = |transcript: &'t Transcript, at: Option<usize>| transcript.conversations.get(at?);
        (of(reference, self.reference), of(candidate, self.candidate))
    }
}

/// A mask, and how often it let a difference pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskUse {
    /// The mask.
    pub mask: Mask,
    /// How often.
    pub uses: u64,
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq)]
pub struct DiffReport {
    /// The conversations in the order of the reference, then those that only the candidate has.
    pub conversations: Vec<ComparedConversation>,
    /// The masks that were used, in the order of the table.
    pub masks: Vec<MaskUse>,
    /// Which side is judged.
    pub judged: Judged,
    tallies: [Tallies; 2],
}

/// Which side's messages are judged. Those of the other side are shown as context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// Those of the host the captures are about.
    Local,
    /// Those of the far ends.
    Remote,
    /// All.
    Both,
}

impl Judged {
    /// Whether messages of `side` are judged.
    pub const fn counts(self, side: Side) -> bool {
        match self {
            Self::Local => matches!(side, Side::Local),
            Self::Remote => matches!(side, Side::Remote),
            Self::Both => true,
        }
    }
}

/// How many messages of some kind came out how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    verdicts: [u64; 6],
    /// How many of those that differ do so in identity alone.
    pub in_identity: u64,
    /// How many the candidate's capture lost.
    pub lost: u64,
    /// How many the reference's capture lost.
    pub lost_of_reference: u64,
}

impl Tally {
    /// How many have this verdict, those left out that a capture lost.
    pub const fn of(&self, verdict: PairVerdict) -> u64 {
        self.verdicts[verdict as usize]
    }

    /// How many messages of the reference have a counterpart.
    pub const fn paired(&self) -> u64 {
        self.of(PairVerdict::Same)
            + self.of(PairVerdict::Masked)
            + self.of(PairVerdict::Differs)
            + self.of(PairVerdict::Moved)
    }

    /// How many messages the reference has that the candidate's capture did not lose.
    pub const fn reference(&self) -> u64 {
        self.paired() + self.of(PairVerdict::Missing)
    }

    /// How much of the reference has a counterpart, from 0 to 1.
    pub fn coverage(&self) -> f64 {
        ratio(self.paired(), self.reference())
    }

    /// How much of what has a counterpart has the same bytes but for what masks allow, from 0 to 1.
    pub fn fidelity(&self) -> f64 {
        ratio(self.paired() - self.of(PairVerdict::Differs), self.paired())
    }

    fn add(&mut self, pair: &MessagePair) {
        match (pair.lost, pair.verdict) {
            (true, PairVerdict::Extra) => self.lost_of_reference += 1,
            (true, _) => self.lost += 1,
            (false, verdict) => {
                self.verdicts[verdict as usize] += 1;
                self.in_identity += u64::from(pair.kind() == Some(ReportKind::Identity));
            }
        }
    }

    fn join(mut self, other: &Self) -> Self {
        for (sum, number) in self.verdicts.iter_mut().zip(other.verdicts) {
            *sum += number;
        }
        self.in_identity += other.in_identity;
        self.lost += other.lost;
        self.lost_of_reference += other.lost_of_reference;
        self
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// Tallies by the names of messages, in the order in which those come up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tallies(Vec<(&'static str, Tally)>);

impl Tallies {
    /// Each name and its tally.
    pub fn by_message(&self) -> &[(&'static str, Tally)] {
        &self.0
    }

    /// All of them together.
    pub fn total(&self) -> Tally {
        self.0.iter().fold(Tally::default(), |sum, (_, tally)| sum.join(tally))
    }

    pub(crate) fn add(&mut self, message: &'static str, pair: &MessagePair) {
        let at = self.0.iter().position(|(name, _)| *name == message).unwrap_or_else(|| {
            self.0.push((message, Tally::default()));
            self.0.len() - 1
        });
        self.0[at].1.add(pair);
    }
}

impl DiffReport {
    pub(crate) const fn new(side: Judged) -> Self {
        let empty = Tallies(Vec::new());
        Self {
            conversations: Vec::new(),
            masks: Vec::new(),
            judged: side,
            tallies: [empty, Tallies(Vec::new())],
        }
    }

    pub(crate) fn count(&mut self, message: &'static str, pair: &MessagePair) {
        self.tallies[pair.side as usize].add(message, pair);
    }

    /// How one side's messages came out.
    pub const fn tallies(&self, side: Side) -> &Tallies {
        &self.tallies[side as usize]
    }

    /// How the messages that count came out, all together.
    pub fn total(&self) -> Tally {
        let sides = [Side::Local, Side::Remote].into_iter().filter(|side| self.judged.counts(*side));
        sides.fold(Tally::default(), |sum, side| sum.join(&self.tallies(side).total()))
    }

    /// How many messages that count disagree, choices of an allowed kind left out.
    pub fn disagreements(&self, allowed: &[PairVerdict]) -> u64 {
        let total = self.total();
        let counts = |verdict: &&PairVerdict| verdict.kind().is_some() && !allowed.contains(verdict);
        PairVerdict::ALL.iter().filter(counts).map(|verdict| total.of(*verdict)).sum()
    }
}
