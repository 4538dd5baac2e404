//! The data that the script of a page draws the messages side by side from: columns, so that they stay small.

use std::collections::HashMap;

use bittrace_protocol::Timestamp;
use bittrace_replay::{
    ComparedConversation, Conversation, Judged, MessagePair, PairVerdict, ReportKind, StoredMessage,
    Transcript,
};
use bittrace_trace::Side;
use bittrace_trace::units::{count, counted};
use serde::Serialize;
use serde_json::Value;

use super::DiffPage;
use super::pair_detail::{PairDetail, cut};
use super::selection::{PAIRS, Selection};
use super::side_by_side::{PlacedPair, Row, rows};

/// All that a page holds for its script.
#[derive(Debug, Serialize)]
pub(super) struct DiffData<'a> {
    kind: &'static str,
    /// The names of the verdicts, in the order of their numbers.
    verdicts: [&'static str; 6],
    captures: [&'a str; 2],
    /// Whose messages are judged: `local`, `far` or `both`.
    judged: &'static str,
    names: Vec<&'static str>,
    conversations: Vec<ConversationData<'a>>,
    pairs: PairColumns,
    /// What is not in the file, in a sentence; `None` where all is.
    pub(super) incomplete: Option<String>,
}

/// A conversation, with the rows of the messages that are judged, and of all.
#[derive(Debug, Serialize)]
struct ConversationData<'a> {
    title: &'a str,
    outcome: &'a str,
    rows: RowColumns,
    /// `None` where all messages are judged.
    all: Option<RowColumns>,
    /// What is not in the file, a text each, and the command that lists it.
    holes: Vec<String>,
    command: String,
}

/// Rows: in each column the number of a pair, -1 for none; in a row that stands for what is left out, -2 less the number of
/// the hole, in both.
#[derive(Debug, Default, Serialize)]
struct RowColumns {
    reference: Vec<i64>,
    candidate: Vec<i64>,
}

/// What is known of each pair.
#[derive(Debug, Default, Serialize)]
struct PairColumns {
    conversation: Vec<u32>,
    verdict: Vec<u8>,
    flags: Vec<u8>,
    name: Vec<usize>,
    reference: MessageColumns,
    candidate: MessageColumns,
    /// Fields and bytes; `None` where there was no room.
    detail: Vec<Option<Value>>,
}

/// The messages of one capture, one for each pair.
#[derive(Debug, Default, Serialize)]
struct MessageColumns {
    /// The number in the capture; 0 where there is no message.
    n: Vec<u64>,
    /// Microseconds since the first message of the capture.
    t: Vec<i64>,
    /// The message on one line; nothing where it is the same as the reference's.
    summary: Vec<String>,
    /// The packets that carried it: the first and the last.
    packets: Vec<[u64; 2]>,
    /// How many bytes it has.
    length: Vec<u64>,
}

/// Bits of `flags`.
mod flag {
    /// The message is judged.
    pub(super) const JUDGED: u8 = 1;
    /// The local host sent it.
    pub(super) const SENT: u8 = 2;
    /// It stands elsewhere among the others.
    pub(super) const MOVED: u8 = 4;
    /// A capture lost its counterpart.
    pub(super) const LOST: u8 = 8;
    /// It differs in identity alone.
    pub(super) const IDENTITY: u8 = 16;
    /// It is one of the differences that are counted.
    pub(super) const DISAGREES: u8 = 32;
}

/// How many bytes of JSON the fields and bytes of all pairs may take. What has no room is said; the pairs that differ come
/// first.
const DETAILS: usize = 2_200_000;

/// How many letters the line about a message has, and how many bytes of JSON the lines of all messages may take.
const LINE: usize = 160;
const LINES: usize = 500_000;

impl<'a> DiffData<'a> {
    /// The data of a page, with at most [`PAIRS`] pairs.
    pub(super) fn of(page: &'a DiffPage<'_>) -> Self {
        let selection = Selection::of(page.report, [page.reference, page.candidate], PAIRS);
        let mut gathering = Gathering {
            page,
            start: [page.reference, page.candidate].map(start),
            selection: &selection,
            names: Vec::new(),
            numbers: HashMap::new(),
            pairs: PairColumns::default(),
            lines_left: LINES,
        };
        let mut conversations = Vec::new();
        for (at, compared) in page.report.conversations.iter().enumerate() {
            if selection.holds_any(at) {
                conversations.push(gathering.conversation(at, compared, conversations.len() as u32));
            }
        }
        let lacking = gathering.details();
        let Gathering { names, pairs, .. } = gathering;
        let all: usize = page.report.conversations.iter().map(|compared| compared.pairs.len()).sum();
        let left_out = (all - selection.ranked.len()) as u64;
        Self {
            kind: "diff",
            verdicts: PairVerdict::ALL.map(PairVerdict::name),
            captures: [0, 1].map(|side| page.words.names[side].as_str()),
            judged: match page.report.judged {
                Judged::Local => "local",
                Judged::Remote => "far",
                Judged::Both => "both",
            },
            names,
            conversations,
            pairs,
            incomplete: incomplete(left_out, lacking),
        }
    }
}

/// What a page leaves out.
fn incomplete(pairs: u64, details: u64) -> Option<String> {
    let mut parts = Vec::new();
    if pairs > 0 {
        parts.push(format!("{} of messages", counted(pairs, "pair")));
    }
    if details > 0 {
        parts.push(format!("fields and bytes of {}", counted(details, "pair")));
    }
    (!parts.is_empty()).then(|| {
        let what = parts.join(", and ");
        format!("Not everything is in this file: it leaves out {what}. The counts are of all messages.")
    })
}

/// About how many bytes a text takes as JSON inside HTML: these characters are escaped there.
fn inert_size(json: &str) -> usize {
    json.len() + 5 * json.bytes().filter(|byte| matches!(byte, b'<' | b'>' | b'&')).count()
}

/// When the first message of a capture was captured.
fn start(transcript: &Transcript) -> Timestamp {
    transcript.span().map_or(Timestamp::EPOCH, |(first, _)| first)
}

struct Gathering<'a, 's> {
    page: &'a DiffPage<'a>,
    start: [Timestamp; 2],
    selection: &'s Selection,
    names: Vec<&'static str>,
    /// The number that each chosen pair has in the file.
    numbers: HashMap<(u32, u32), i64>,
    pairs: PairColumns,
    /// How many bytes of JSON the lines about messages may still take.
    lines_left: usize,
}

impl<'a> Gathering<'a, '_> {
    /// `number` is that of the conversation in the file.
    fn conversation(
        &mut self,
        at: usize,
        compared: &ComparedConversation,
        number: u32,
    ) -> ConversationData<'a> {
        let both = compared.conversations(self.page.reference, self.page.candidate);
        for (place, pair) in compared.pairs.iter().enumerate() {
            if self.selection.holds(at, place as u32) {
                self.numbers.insert((at as u32, place as u32), self.pairs.conversation.len() as i64);
                self.pair(number, pair, both);
            }
        }
        let mut holes = Vec::new();
        let judged = |pair: &MessagePair| self.page.report.judged.counts(pair.side);
        let rows = self.rows(at, compared, judged, &mut holes);
        let is_split = self.page.report.judged != Judged::Both;
        let all = is_split.then(|| self.rows(at, compared, |_| true, &mut holes));
        let words = &self.page.words.conversations[at];
        // Options name the streams of the reference.
        let stream = both.0.map_or(String::new(), |one| format!("--streams {} ", one.stream.0));
        let command = self.page.command.with(&format!("{stream}--format json"));
        ConversationData { title: &words.title, outcome: &words.outcome, rows, all, holes, command }
    }

    fn pair(
        &mut self,
        conversation: u32,
        pair: &MessagePair,
        both: (Option<&Conversation>, Option<&Conversation>),
    ) {
        let (one, other) = pair.messages(both);
        let name = one.or(other).map_or("", |stored| stored.message());
        let name = self.names.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        let judged = self.page.report.judged.counts(pair.side);
        let flags = [
            (judged, flag::JUDGED),
            (pair.side == Side::Local, flag::SENT),
            (pair.moved, flag::MOVED),
            (pair.lost, flag::LOST),
            (pair.kind() == Some(ReportKind::Identity), flag::IDENTITY),
            (judged && !pair.lost && pair.verdict.kind().is_some(), flag::DISAGREES),
        ];
        let summary = |conversation: Option<&Conversation>, stored: Option<&StoredMessage>| match (
            conversation,
            stored,
        ) {
            (Some(conversation), Some(stored)) => cut(&conversation.describe(pair.side, stored), LINE),
            _ => String::new(),
        };
        let summaries = [summary(both.0, one), summary(both.1, other)];
        let columns = &mut self.pairs;
        columns.conversation.push(conversation);
        columns.verdict.push(pair.verdict as u8);
        columns.flags.push(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, bit)| bit).sum());
        columns.name.push(name);
        columns.detail.push(None);
        let same = one.is_some() && summaries[0] == summaries[1];
        let [mut ours, mut theirs] = summaries;
        if same {
            theirs.clear();
        }
        // Where there is no room, the name of the message has to do.
        match self.lines_left.checked_sub(inert_size(&ours) + inert_size(&theirs)) {
            Some(left) => self.lines_left = left,
            None => [&mut ours, &mut theirs].into_iter().for_each(String::clear),
        }
        columns.reference.push(one, self.start[0], ours);
        columns.candidate.push(other, self.start[1], theirs);
    }

    /// The rows of the pairs of a conversation that are `wanted`. What is not in the file becomes holes.
    fn rows(
        &self,
        at: usize,
        compared: &ComparedConversation,
        wanted: impl Fn(&MessagePair) -> bool,
        holes: &mut Vec<String>,
    ) -> RowColumns {
        let both = compared.conversations(self.page.reference, self.page.candidate);
        let placed = |(place, pair): (usize, &MessagePair)| {
            let (one, other) = pair.messages(both);
            PlacedPair {
                pair: place as u32,
                reference: one.map(|stored| stored.number),
                candidate: other.map(|stored| stored.number),
                moved: pair.moved,
            }
        };
        let pairs: Vec<PlacedPair> =
            compared.pairs.iter().enumerate().filter(|(_, pair)| wanted(pair)).map(placed).collect();
        let mut columns = RowColumns::default();
        let mut skipped = LeftOut::default();
        for Row { reference, candidate } in rows(&pairs) {
            let number =
                |pair: Option<u32>| pair.and_then(|pair| self.numbers.get(&(at as u32, pair)).copied());
            let (one, other) = (number(reference), number(candidate));
            if one.is_some() || other.is_some() {
                skipped.close(&mut columns, holes);
                columns.reference.push(one.unwrap_or(-1));
                columns.candidate.push(other.unwrap_or(-1));
            }
            for (pair, is_second) in [(reference, false), (candidate, true)] {
                let Some(place) = pair.filter(|_| number(pair).is_none()) else { continue };
                let pair = &compared.pairs[place as usize];
                // A pair stands in both columns, and is counted in the reference's.
                if !is_second || pair.reference.is_none() {
                    let (one, other) = pair.messages(both);
                    skipped.add(one.or(other).map_or("", |stored| stored.message()), pair.verdict);
                }
            }
        }
        skipped.close(&mut columns, holes);
        columns
    }

    /// Adds the fields and bytes of the pairs, the most important first, as long as there is room. Gives how many pairs have
    /// none.
    fn details(&mut self) -> u64 {
        let mut left = DETAILS;
        let mut lacking = 0;
        for &(at, place) in &self.selection.ranked {
            let compared = &self.page.report.conversations[at as usize];
            let pair = &compared.pairs[place as usize];
            let both = compared.conversations(self.page.reference, self.page.candidate);
            let detail = serde_json::to_value(PairDetail::of(pair, pair.messages(both))).unwrap_or_default();
            let size = inert_size(&detail.to_string());
            match (left.checked_sub(size), self.numbers.get(&(at, place))) {
                (Some(rest), Some(&number)) => {
                    left = rest;
                    self.pairs.detail[number as usize] = Some(detail);
                }
                _ => lacking += 1,
            }
        }
        lacking
    }
}

impl MessageColumns {
    fn push(&mut self, stored: Option<&StoredMessage>, start: Timestamp, summary: String) {
        let packets = stored.map_or(&[][..], |stored| stored.frames.as_slice());
        self.n.push(stored.map_or(0, |stored| stored.number));
        self.t.push(stored.map_or(0, |stored| (stored.at.as_nanos() - start.as_nanos()) / 1000));
        self.summary.push(summary);
        self.packets.push([packets.first().copied().unwrap_or(0), packets.last().copied().unwrap_or(0)]);
        self.length.push(stored.map_or(0, StoredMessage::length));
    }
}

/// Pairs that are not in the file, by name and verdict, in the order in which they come up.
#[derive(Debug, Default)]
struct LeftOut(Vec<(&'static str, PairVerdict, u64)>);

impl LeftOut {
    fn add(&mut self, name: &'static str, verdict: PairVerdict) {
        match self.0.iter_mut().find(|known| (known.0, known.1) == (name, verdict)) {
            Some(known) => known.2 += 1,
            None => self.0.push((name, verdict, 1)),
        }
    }

    /// Ends with a row of its own, if there is anything.
    fn close(&mut self, columns: &mut RowColumns, holes: &mut Vec<String>) {
        if self.0.is_empty() {
            return;
        }
        let all: u64 = self.0.iter().map(|(_, _, number)| number).sum();
        let mut kinds: Vec<String> = self
            .0
            .iter()
            .take(KINDS)
            .map(|(name, verdict, number)| format!("{} {name} ({})", count(*number), verdict.name()))
            .collect();
        if self.0.len() > KINDS {
            kinds.push("…".to_owned());
        }
        let row = -2 - holes.len() as i64;
        holes.push(format!("{} not in this file: {}", counted(all, "pair"), kinds.join(", ")));
        columns.reference.push(row);
        columns.candidate.push(row);
        self.0.clear();
    }
}

/// How many kinds of messages a hole names.
const KINDS: usize = 4;
