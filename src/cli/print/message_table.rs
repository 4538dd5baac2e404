//! The table of messages: one row per message, written as it comes. A stream is named on a line of its own before its first
//! row, and runs of like messages share a row.

mod chosen;
pub(crate) mod message_run;
pub(crate) mod stream_line;

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::IpAddr;

use bittrace_protocol::peer::PeerChange;
use bittrace_trace::record::{Record, Rule, Severity};
use bittrace_trace::rules::rule;
use bittrace_trace::units::{count, span};
use bittrace_trace::{Direction, StreamId};

use crate::print::hex;
use crate::print::output::{Look, styles};
use crate::print::printable::printable;
use crate::print::table::{columns, fit, pad, wrap};
use crate::query::names::FieldName;
use crate::query::row::Row;
use chosen::ChosenColumns;
use message_run::FoldedRun;
use stream_line::{StreamLines, meaning_of_arrows};

/// Writes rows of messages.
#[derive(Debug)]
pub(crate) struct MessageTable {
    look: Look,
    detail: Detail,
    chosen: Option<ChosenColumns>,
    local: Option<IpAddr>,
    /// Whether no host is local.
    has_roles: bool,
    begun: bool,
    streams: StreamLines,
    /// A run that may go on, with the row of its first message.
    run: Option<(FoldedRun, TableRow)>,
    /// How many messages so far had a finding of each rule.
    findings: HashMap<&'static str, u64>,
    /// When the receiver of an unchoke began to wait: in seconds, by stream and direction of the unchoke.
    waiting: HashMap<(StreamId, Direction), f64>,
}

/// What is shown of each message beside its row.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Detail {
    /// Its bytes, field by field.
    pub(crate) hex: bool,
    /// Its packets and place in the stream, every sentence, and lines that are not cut.
    pub(crate) verbose: bool,
    /// No remarks on how things stand.
    pub(crate) quiet: bool,
    /// One row for each message, also in a run of like ones.
    pub(crate) unfolded: bool,
}

/// A row before it is laid out.
#[derive(Debug)]
struct TableRow {
    number: u64,
    elapsed: f64,
    stream: StreamId,
    arrow: &'static str,
    style: anstyle::Style,
    /// The name of the message, with which the text begins where it can.
    message: &'static str,
    text: String,
    /// What stands at the right, the most important first.
    tail: Vec<TailPart>,
    /// Findings that are told in a sentence under the row.
    sentences: Vec<(String, anstyle::Style)>,
}

/// A part of what stands at the right of a row.
#[derive(Debug)]
struct TailPart {
    text: String,
    style: anstyle::Style,
    kind: TailKind,
}

/// What becomes of a part of the tail where there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TailKind {
    /// A time or numbers: the text of the row is cut for it, but never by more than half of the row.
    Fact,
    /// A finding: the same, or it goes under the row.
    Finding,
    /// How things stand: only where there is room.
    Remark,
}

const NUMBER: usize = 5;
const ELAPSED: usize = 10;
const STREAM: usize = 3;

/// What stands under a row begins where its text does.
const UNDER: usize = NUMBER + ELAPSED + STREAM + 6;

/// In wider terminals the right end of rows stays here: eyes lose the row on a longer way.
const RIGHT_END: usize = 110;

/// How many streams a table keeps the waiting of.
const WAITING: usize = 10_000;

impl MessageTable {
    /// A table of the usual columns, or of those chosen.
    pub(crate) fn new(look: Look, chosen: &[(FieldName, String)], detail: Detail) -> Self {
        Self {
            look,
            detail,
            chosen: (!chosen.is_empty()).then(|| ChosenColumns::new(chosen, look)),
            local: None,
            has_roles: false,
            begun: false,
            streams: StreamLines::default(),
            run: None,
            findings: HashMap::new(),
            waiting: HashMap::new(),
        }
    }

    /// Writes a message, and before the first one the headings. A message that may begin or continue a run waits for the next
    /// message or for [`finish`](Self::finish). `local` is the host the capture is about.
    pub(crate) fn row(
        &mut self,
        row: &Row<'_>,
        local: Option<IpAddr>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        self.local = local;
        self.has_roles = row.record.side.is_role();
        let begun = std::mem::replace(&mut self.begun, true);
        if let Some(chosen) = &self.chosen {
            if !begun {
                chosen.headings(out)?;
            }
            chosen.row(row, out)?;
            return self.beneath(row, chosen::UNDER, out);
        }
        if !begun {
            self.headings(out)?;
        }
        let folds = !(self.detail.hex || self.detail.verbose || self.detail.unfolded);
        if folds && let Some((run, _)) = &mut self.run {
            if run.takes(row) {
                return Ok(());
            }
            self.finish(out)?;
        }
        let named = self.streams.name(row, local, self.look, out)?;
        let line = self.table_row(row, !named);
        if folds && let Some(run) = FoldedRun::begin(row) {
            self.run = Some((run, line));
            return Ok(());
        }
        self.write(&line, out)?;
        self.beneath(row, UNDER, out)
    }

    /// Writes the run that waits, if any.
    pub(crate) fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Some((run, row)) = self.run.take() else { return Ok(()) };
        if run.more() == 0 {
            return self.write(&row, out);
        }
        let mut tail = vec![TailPart { text: run.numbers(), style: styles::DIM, kind: TailKind::Fact }];
        for rule in run.rules() {
            *self.findings.entry(rule).or_default() += run.more();
            tail.extend(self.times(rule));
        }
        let row = TableRow { text: run.text(), tail, ..row };
        self.write(&row, out)
    }

    fn headings(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut line = format!("{:>NUMBER$} {:>ELAPSED$} {:>STREAM$}    message", "n", "elapsed", "str");
        if let Some(who) = meaning_of_arrows(self.local, self.has_roles) {
            let who = printable(&who).into_owned();
            let end = self.look.width.min(RIGHT_END);
            let gap = end.saturating_sub(columns(&line) + columns(&who));
            if gap >= 2 {
                line = format!("{line}{}{who}", " ".repeat(gap));
            }
        }
        writeln!(out, "{}", self.look.paint(styles::HEADING, &line))
    }

    fn table_row(&mut self, row: &Row<'_>, names_client: bool) -> TableRow {
        let record = row.record;
        let mut tail = Vec::new();
        if let Some(answer) = record.answers {
            let text = format!("+{}", span(answer.latency));
            tail.push(TailPart { text, style: styles::PLAIN, kind: TailKind::Fact });
        }
        let mut sentences = Vec::new();
        for note in &record.notes {
            let Rule { id, severity, .. } = *note.rule;
            let style = styles::severity(severity);
            if severity == Severity::Chat {
                if self.detail.verbose {
                    sentences.push((note.text.to_string(), style));
                }
                continue;
            }
            let times = self.findings.entry(id).or_default();
            *times += 1;
            if *times == 1 || self.detail.verbose {
                sentences.push((format!("{}: {} [{id}]", severity.name(), note.text), style));
            } else {
                tail.extend(self.times(id));
            }
        }
        if !self.detail.quiet && !self.detail.verbose {
            tail.extend(self.state(row).map(|text| TailPart {
                text,
                style: styles::DIM,
                kind: TailKind::Remark,
            }));
        }
        let (arrow, style) = if stream_line::is_sent(record, self.local) {
            ("→", styles::SENT)
        } else {
            ("←", styles::RECEIVED)
        };
        TableRow {
            number: row.number(),
            elapsed: row.elapsed(),
            stream: record.stream,
            arrow,
            style,
            message: record.body.message(),
            text: if self.detail.verbose { row.summary() } else { row.brief(names_client) },
            tail,
            sentences,
        }
    }

    /// How many messages so far had a finding of a rule; a sentence has told of the first.
    fn times(&self, id: &'static str) -> Option<TailPart> {
        let severity = rule(id)?.severity;
        let times = count(*self.findings.get(id)?);
        let text = format!("{} {id} ({times} times)", severity.name());
        Some(TailPart { text, style: styles::severity(severity), kind: TailKind::Finding })
    }

    /// How things stand after the message, in a few words.
    fn state(&mut self, row: &Row<'_>) -> Option<String> {
        let record = row.record;
        let Some(change) = record.effect.change.filter(|_| !record.effect.repeated) else {
            let chat = record.notes.iter().find(|note| note.rule.severity == Severity::Chat)?;
            return Some(chat.text.to_string());
        };
        if self.waiting.len() >= WAITING {
            self.waiting.clear();
        }
        let at = row.elapsed();
        match change {
            PeerChange::Choke => {
                self.waiting.insert((record.stream, record.direction), at);
                None
            }
            PeerChange::Unchoke { interested } => {
                let since = self.waiting.remove(&(record.stream, record.direction));
                match since {
                    Some(since) if interested => Some(format!("choked for {}", span(at - since))),
                    _ if interested => None,
                    _ => Some("not interested".to_owned()),
                }
            }
            PeerChange::Interested { choked: true } => {
                self.waiting.insert((record.stream, record.direction.reverse()), at);
                Some("still choked".to_owned())
            }
            PeerChange::Interested { choked: false } => Some("not choked".to_owned()),
            PeerChange::NotInterested => None,
        }
    }

    fn write(&self, row: &TableRow, out: &mut dyn Write) -> io::Result<()> {
        let number = format!("{:>NUMBER$}", row.number);
        let elapsed = format!("{:>ELAPSED$}", format!("{:.6}", row.elapsed));
        let stream = format!("{:>STREAM$}", row.stream.0);
        let arrow = pad(&printable(row.arrow), 2);
        let lead = columns(&number) + columns(&elapsed) + columns(&stream) + 3;
        let start = lead + columns(&arrow) + 1;
        let room = self.look.width.saturating_sub(start).max(1);
        let lead = self.look.paint(styles::DIM, &format!("{number} {elapsed} {stream}"));
        write!(out, "{lead} {} ", self.look.paint(row.style, &arrow))?;
        if self.detail.verbose {
            let times: Vec<_> = row.tail.iter().map(|part| part.text.as_str()).collect();
            let text = format!("{}  {}", row.text, times.join("  "));
            for (at, line) in wrap(text.trim_end(), room).iter().enumerate() {
                let indent = if at == 0 { 0 } else { start };
                writeln!(out, "{}{}", " ".repeat(indent), self.look.paint(styles::PLAIN, line))?;
            }
        } else {
            let text = printable(&row.text);
            let (tail, left_out) = divide_tail(&row.tail, columns(&text), room);
            let width: usize = tail.iter().map(|part| columns(&printable(&part.text)) + TAIL_GAP).sum();
            let text = fit(&text, room.saturating_sub(width));
            let end = room.min(RIGHT_END.saturating_sub(start)).max(columns(&text) + width);
            let mut line = self.message_text(row.message, &text);
            let mut gap = end - columns(&text) - width + TAIL_GAP;
            for part in &tail {
                line.push_str(&format!("{}{}", " ".repeat(gap), self.look.paint(part.style, &part.text)));
                gap = TAIL_GAP;
            }
            writeln!(out, "{line}")?;
            for part in left_out {
                self.under(&part.text, part.style, UNDER, out)?;
            }
        }
        for (text, style) in &row.sentences {
            self.under(text, *style, UNDER, out)?;
        }
        Ok(())
    }

    /// The text of a row, the name of its message in bold where the text begins with that.
    fn message_text(&self, message: &str, text: &str) -> String {
        let style = match message {
            "opaque" | "gap" | "encrypted" | "unknown" | "error" => styles::WARN,
            _ => styles::HEADING,
        };
        match text.strip_prefix(message) {
            Some(rest) => {
                format!("{}{}", self.look.paint(style, message), self.look.paint(styles::PLAIN, rest))
            }
            None => self.look.paint(styles::PLAIN, text),
        }
    }

    fn beneath(&self, row: &Row<'_>, indent: usize, out: &mut dyn Write) -> io::Result<()> {
        let record = row.record;
        if self.chosen.is_some() {
            for note in record.notes.iter().filter(|note| note.rule.severity > Severity::Chat) {
                let rule = note.rule;
                let text = format!("{}: {} [{}]", rule.severity.name(), note.text, rule.id);
                self.under(&text, styles::severity(rule.severity), indent, out)?;
            }
        }
        if self.detail.verbose {
            let place = place_of(record);
            self.under(&place, styles::DIM, indent, out)?;
        }
        if self.detail.hex {
            hex::write(record, row.torrent(), self.look, self.detail.verbose, out)?;
        }
        Ok(())
    }

    fn under(&self, text: &str, style: anstyle::Style, indent: usize, out: &mut dyn Write) -> io::Result<()> {
        for line in wrap(text, self.look.width.saturating_sub(indent)) {
            writeln!(out, "{}{}", " ".repeat(indent), self.look.paint(style, &line))?;
        }
        Ok(())
    }
}

/// The packets of a record, and its place in its direction of the stream.
pub(crate) fn place_of(record: &Record) -> String {
    let frames: Vec<_> = record.frames.iter().map(u64::to_string).collect();
    let word = if frames.len() == 1 { "packet" } else { "packets" };
    format!("{word} {}; byte {} of its direction, {} long", frames.join(", "), record.offset, record.length())
}

/// Which parts of a tail stand at the right of a text of so many columns, and which findings go under the row.
fn divide_tail(tail: &[TailPart], text: usize, room: usize) -> (Vec<&TailPart>, Vec<&TailPart>) {
    let (mut shown, mut left_out) = (Vec::new(), Vec::new());
    let mut used = 0;
    for part in tail {
        let width = columns(&printable(&part.text)) + TAIL_GAP;
        let kept = if part.kind == TailKind::Remark { text } else { text.min(room / 2) };
        if used + width + kept <= room {
            used += width;
            shown.push(part);
        } else if part.kind == TailKind::Finding {
            left_out.push(part);
        }
    }
    (shown, left_out)
}

/// How far the parts at the right stand apart.
const TAIL_GAP: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const FACT: (anstyle::Style, TailKind) = (styles::PLAIN, TailKind::Fact);
    const REMARK: (anstyle::Style, TailKind) = (styles::DIM, TailKind::Remark);
    const FINDING: (anstyle::Style, TailKind) = (styles::NOTE, TailKind::Finding);

    fn row(text: &str, tail: &[(&str, (anstyle::Style, TailKind))]) -> TableRow {
        let part = |(text, (style, kind)): &(&str, _)| TailPart {
            text: (*text).to_owned(),
            style: *style,
            kind: *kind,
        };
        TableRow {
            number: 12,
            elapsed: 1.5,
            stream: StreamId(3),
            arrow: "→",
            style: styles::SENT,
            message: "request",
            text: text.to_owned(),
            tail: tail.iter().map(part).collect(),
            sentences: Vec::new(),
        }
    }

    fn written(width: usize, row: &TableRow) -> String {
        let table = MessageTable::new(Look { width, colour: false }, &[], Detail::default());
        let mut out = Vec::new();
        table.write(row, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_time_to_the_answer_stands_at_the_right() {
        let row = row("piece 3 at 0, 16 KiB", &[("+41 ms", FACT)]);
        let expected = "   12   1.500000   3 →  piece 3 at 0, 16 KiB          +41 ms\n";
        assert_eq!(written(60, &row), expected);
        assert_eq!(written(40, &row), "   12   1.500000   3 →  piece 3…  +41 ms\n");
    }

    #[test]
    fn findings_go_under_the_row_and_remarks_away_where_there_is_no_room() {
        let tail = [("note bep3.bitfield-late (8 times)", FINDING), ("still choked", REMARK)];
        let row = row("request 3 at 0, 16 KiB", &tail);
        let lead = "   12   1.500000   3 →  request 3 at 0, 16 KiB";
        let wide = format!("{lead}   note bep3.bitfield-late (8 times)  still choked\n");
        assert_eq!(written(96, &row), wide);
        assert_eq!(written(82, &row), format!("{lead}   note bep3.bitfield-late (8 times)\n"));
        let under = format!("{lead}\n{0}note bep3.bitfield-late (8\n{0}times)\n", " ".repeat(UNDER));
        assert_eq!(written(50, &row), under);
    }

    #[test]
    fn rows_keep_within_any_width() {
        for width in [40, 60, 80, 160] {
            let text = "words, and more words; ".repeat(9);
            let mut row = row(&text, &[("+1.25 s", FACT), ("(12-90)", FACT)]);
            row.number = 123_456_789;
            let text = written(width, &row);
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(columns(text.trim_end()) <= width, "{text}");
        }
    }
}
