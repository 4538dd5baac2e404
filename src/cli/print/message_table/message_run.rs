//! Messages of one name that one end sent one after another: they share a row of the table.

use bittrace_protocol::wire::Message;
use bittrace_protocol::{Block, PieceIndex};
use bittrace_trace::record::{Record, Severity};
use bittrace_trace::units::{count, size};
use bittrace_trace::{Direction, StreamId, brief_block};

use crate::query::row::Row;

/// A run of messages, each of which names a piece or a block.
#[derive(Debug)]
pub(crate) struct FoldedRun {
    message: &'static str,
    stream: StreamId,
    direction: Direction,
    first: u64,
    last: u64,
    /// When the first message and the last were captured, seconds since the first packet.
    elapsed: (f64, f64),
    count: u64,
    /// The first of the pieces or blocks. A piece is a block of no bytes.
    named: Vec<Block>,
    /// How long all blocks are, while they are of one length.
    length: Option<u32>,
    /// The rules of which each message has a finding.
    rules: Vec<&'static str>,
}

/// How long a run lasts at most, in seconds: its row shows the time of the first message alone.
const LONGEST: f64 = 1.0;

/// How many pieces or blocks of a run are named; no row has room for more.
const NAMED: usize = 64;

impl FoldedRun {
    /// Begins a run by a message. `None` when messages of its name have no runs.
    pub(crate) fn begin(message: &Row<'_>) -> Option<Self> {
        let record = message.record;
        let block = named_by(record)?;
        let (number, elapsed) = (message.number(), message.elapsed());
        Some(Self {
            message: record.body.message(),
            stream: record.stream,
            direction: record.direction,
            first: number,
            last: number,
            elapsed: (elapsed, elapsed),
            count: 1,
            named: vec![block],
            length: Some(block.length),
            rules: rules(record).collect(),
        })
    }

    /// Takes in the next message of the table, if the message continues the run.
    pub(crate) fn takes(&mut self, message: &Row<'_>) -> bool {
        let record = message.record;
        let continues = record.stream == self.stream
            && record.direction == self.direction
            && record.body.message() == self.message
            && message.elapsed() - self.elapsed.0 <= LONGEST
            && rules(record).eq(self.rules.iter().copied());
        let Some(block) = named_by(record).filter(|_| continues) else { return false };
        if self.named.len() < NAMED {
            self.named.push(block);
        }
        self.length = self.length.filter(|&length| length == block.length);
        self.last = message.number();
        self.elapsed.1 = message.elapsed();
        self.count += 1;
        true
    }

    /// The same run with more messages at its end: `count` in all, the last of which has the number `last`. Nothing is known of
    /// their lengths.
    pub(crate) fn with_more(mut self, count: u64, last: u64) -> Self {
        if count > self.count {
            (self.count, self.last, self.length) = (count, last, None);
        }
        self
    }

    /// The rules of which each message has a finding.
    pub(crate) fn rules(&self) -> &[&'static str] {
        &self.rules
    }

    /// How many messages came after the first.
    pub(crate) const fn more(&self) -> u64 {
        self.count - 1
    }

    /// The numbers of the messages. A filter may have left out some between them.
    pub(crate) fn numbers(&self) -> String {
        let (first, last) = (self.first, self.last);
        match last - first + 1 == self.count {
            true => format!("({first}-{last})"),
            false => format!("({} of {first}-{last})", count(self.count)),
        }
    }

    /// What the row of the run says.
    pub(crate) fn text(&self) -> String {
        let name = self.message;
        if self.named.iter().all(|block| block.length == 0) {
            let pieces: Vec<String> = self.named.iter().map(|block| block.index.to_string()).collect();
            return format!("{name} {}", pieces.join(" "));
        }
        let blocks: Vec<String> = self.named.iter().map(brief_block).collect();
        let each = self.length.map_or(String::new(), |length| format!(" of {}", size(length.into())));
        format!("{name} {} blocks{each}: {}", count(self.count), blocks.join(", "))
    }

    /// The same for a row that has little room: how many, and which pieces, each once.
    pub(crate) fn short_text(&self) -> String {
        let mut pieces: Vec<u32> = self.named.iter().map(|block| block.index.0).collect();
        pieces.dedup();
        let more = if self.count > NAMED as u64 { ", …" } else { "" };
        let word = if pieces.len() == 1 && more.is_empty() { "piece" } else { "pieces" };
        let pieces: Vec<String> = pieces.iter().map(u32::to_string).collect();
        format!("{} × {} {word} {}{more}", count(self.count), self.message, pieces.join(", "))
    }

    /// When the last message was captured, seconds since the first packet.
    pub(crate) const fn last_elapsed(&self) -> f64 {
        self.elapsed.1
    }
}

/// What a message names that comes in runs: a block, or a piece.
fn named_by(record: &Record) -> Option<Block> {
    let piece = |index: PieceIndex| Block { index, begin: 0, length: 0 };
    match record.peer_message()? {
        Message::Request(block) => Some(*block),
        Message::Have(index) | Message::AllowedFast(index) => Some(piece(*index)),
        _ => None,
    }
}

/// The rules of a message's findings.
fn rules(record: &Record) -> impl Iterator<Item = &'static str> {
    let findings = record.notes.iter().filter(|note| note.rule.severity > Severity::Chat);
    findings.map(|note| note.rule.id)
}
