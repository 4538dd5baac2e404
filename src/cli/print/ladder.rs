//! `analyze --view ladder`: a row a message, with an arrow between the lifelines of two hosts. Rows are written as messages come,
//! but for the first ones, which wait until the hosts among them are known.

mod lifelines;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::IpAddr;

use bittrace_report::HostKey;
use bittrace_trace::StreamId;
use bittrace_trace::record::Severity;
use bittrace_trace::units::span;

use crate::print::message_table::message_run::FoldedRun;
use crate::print::message_table::stream_line::{StreamLines, is_sent};
use crate::print::output::{Look, styles};
use crate::print::page::Page;
use crate::print::printable::printable;
use crate::print::table::{columns, fit};
use crate::query::row::Row;
use lifelines::{Lifelines, MOST, PAIR, arrow, silent};

/// Writes messages as a ladder.
#[derive(Debug)]
pub(crate) struct Ladder {
    look: Look,
    /// Whether runs of like messages share a row.
    folds: bool,
    local: Option<IpAddr>,
    layout: Layout,
    lifelines: Lifelines,
    streams: StreamLines,
    /// The last row, to which a run may be added.
    run: Option<(FoldedRun, LadderRow)>,
    /// When the message before was captured, seconds since the first packet.
    last: Option<f64>,
    /// The severities that rows were marked with.
    marked: BTreeSet<Severity>,
}

/// How rows are laid out.
#[derive(Debug)]
enum Layout {
    /// Not decided yet: these rows wait until the hosts are known.
    Waiting(Vec<LadderRow>),
    /// A lifeline a host, so far apart.
    Hosts(usize),
    /// Two lifelines for each stream, whose number stands in the row.
    Streams,
}

/// A message, or a run of messages.
#[derive(Debug)]
struct LadderRow {
    number: u64,
    /// Seconds since the first packet, and the same of the last message of a run.
    elapsed: (f64, f64),
    stream: StreamId,
    /// The line that names the stream, before its first row.
    stream_line: Vec<u8>,
    /// The sender and the receiver.
    ends: [HostKey; 2],
    is_sent: bool,
    text: String,
    latency: Option<f64>,
    severity: Option<Severity>,
    /// The rules of its findings.
    rules: Vec<&'static str>,
}

/// Why streams have two lifelines each.
#[derive(Debug, Clone, Copy)]
enum ByStream {
    TooMany,
    Narrow,
}

/// How many rows wait, so that the lifelines of the hosts among them stand from the first row on. Rows are short texts: these
/// are a few hundred KiB.
const WAITING: usize = 500;

/// From so many seconds on the time between two rows has a row of its own.
const SILENCE: f64 = 1.0;

const NUMBER: usize = 6;
const ELAPSED: usize = 11;
const STREAM: usize = 3;

/// What stands between the lifelines and the text: two blanks, the mark of a finding, a blank.
const MARK: usize = 4;

/// The columns that a text has at the least beside lifelines of hosts, in a wide terminal and in any.
const LEAST_TEXT: (usize, usize) = (20, 4);

/// No text is cut to fewer columns for the sake of the time to an answer.
const KEPT_TEXT: usize = 18;

impl Ladder {
    pub(crate) fn new(look: Look, folds: bool) -> Self {
        Self {
            look,
            folds,
            local: None,
            layout: Layout::Waiting(Vec::new()),
            lifelines: Lifelines::default(),
            streams: StreamLines::default(),
            run: None,
            last: None,
            marked: BTreeSet::new(),
        }
    }

    /// Takes in a message. `local` is the host the capture is about.
    pub(crate) fn row(
        &mut self,
        row: &Row<'_>,
        local: Option<IpAddr>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        if self.folds
            && let Some((run, _)) = &mut self.run
        {
            if run.takes(row) {
                return Ok(());
            }
            self.end_run(out)?;
        }
        self.local = local;
        let laid_out = self.ladder_row(row, out)?;
        if self.folds
            && let Some(run) = FoldedRun::begin(row)
        {
            self.run = Some((run, laid_out));
            return Ok(());
        }
        self.push(laid_out, out)
    }

    /// Writes what waits, and what the marks mean.
    pub(crate) fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.end_run(out)?;
        if matches!(&self.layout, Layout::Waiting(rows) if !rows.is_empty()) {
            self.lay_out(None, out)?;
        }
        let meanings: Vec<String> = self
            .marked
            .iter()
            .rev()
            .map(|severity| format!("{} {}", mark(Some(*severity)).0, severity.name()))
            .collect();
        if meanings.is_empty() {
            return Ok(());
        }
        let text = format!("{}; --view findings tells of each rule", meanings.join("  "));
        Page::new(self.look, out).painted(&text, 2, styles::DIM)
    }

    fn ladder_row(&mut self, row: &Row<'_>, out: &mut dyn Write) -> io::Result<LadderRow> {
        let record = row.record;
        let known = self.lifelines.count();
        let seen = match self.layout {
            Layout::Streams => Some(0),
            _ => self.lifelines.see(record),
        };
        match (&self.layout, seen) {
            (Layout::Streams, _) | (Layout::Waiting(_), Some(_)) | (_, Some(0)) => {}
            (_, None) => self.lay_out(Some(ByStream::TooMany), out)?,
            // A host that says its first word late.
            (Layout::Hosts(_), Some(_)) => self.add_lifelines(known, out)?,
        }
        let mut stream_line = Vec::new();
        if !matches!(self.layout, Layout::Hosts(_)) {
            self.streams.name(row, self.local, self.look, &mut stream_line)?;
        }
        let findings = record.notes.iter().filter(|note| note.rule.severity > Severity::Chat);
        let mut rules: Vec<_> = findings.map(|note| note.rule.id).collect();
        rules.dedup();
        Ok(LadderRow {
            number: row.number(),
            elapsed: (row.elapsed(), row.elapsed()),
            stream: record.stream,
            stream_line,
            ends: HostKey::ends(record),
            is_sent: is_sent(record, self.local),
            text: row.brief(true),
            latency: record.answers.map(|answer| answer.latency),
            severity: record.severity(),
            rules,
        })
    }

    fn end_run(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Some((run, mut row)) = self.run.take() else { return Ok(()) };
        if run.more() > 0 {
            row.text = run.short_text();
            row.elapsed.1 = run.last_elapsed();
        }
        self.push(row, out)
    }

    fn push(&mut self, row: LadderRow, out: &mut dyn Write) -> io::Result<()> {
        let Layout::Waiting(rows) = &mut self.layout else { return self.write(&row, out) };
        rows.push(row);
        if rows.len() < WAITING { Ok(()) } else { self.lay_out(None, out) }
    }

    /// Decides the layout, and writes its heading and the rows that wait. Where streams have two lifelines each, `why` says so.
    fn lay_out(&mut self, why: Option<ByStream>, out: &mut dyn Write) -> io::Result<()> {
        if let Some(local) = self.local {
            self.lifelines.put_first(HostKey::Address(local));
        }
        let spacing = self.lifelines.spacing(self.room());
        let (layout, why) = match (why, spacing) {
            (None, Some(spacing)) => (Layout::Hosts(spacing), None),
            (None, None) => (Layout::Streams, Some(ByStream::Narrow)),
            (Some(why), _) => (Layout::Streams, Some(why)),
        };
        let waited = match std::mem::replace(&mut self.layout, layout) {
            Layout::Waiting(rows) => rows,
            Layout::Hosts(_) | Layout::Streams => {
                // Streams that have rows already have no line yet.
                self.streams = StreamLines::default();
                Vec::new()
            }
        };
        match why {
            None => self.legend(0, out)?,
            Some(why) => Page::new(self.look, out).painted(&why.sentence(self.local), 0, styles::DIM)?,
        }
        self.headings(out)?;
        waited.iter().try_for_each(|row| self.write(row, out))
    }

    /// Adds the lifelines of hosts from a place on, where they have room.
    fn add_lifelines(&mut self, from: usize, out: &mut dyn Write) -> io::Result<()> {
        match self.lifelines.spacing(self.room()) {
            Some(spacing) => {
                self.layout = Layout::Hosts(spacing);
                self.legend(from, out)?;
                self.headings(out)
            }
            None => self.lay_out(Some(ByStream::Narrow), out),
        }
    }

    /// The columns that lifelines may take.
    const fn room(&self) -> usize {
        let (wide, share) = LEAST_TEXT;
        let least = if wide < self.look.width / share { wide } else { self.look.width / share };
        self.look.width.saturating_sub(NUMBER + 1 + ELAPSED + 2 + MARK + least)
    }

    fn legend(&self, from: usize, out: &mut dyn Write) -> io::Result<()> {
        Page::new(self.look, out).items(
            &self.lifelines.legend(from, self.local.map(HostKey::Address)),
            2,
            styles::PLAIN,
        )
    }

    fn headings(&self, out: &mut dyn Write) -> io::Result<()> {
        let lead = format!("{:>NUMBER$} {:>ELAPSED$}", "n", "elapsed");
        let line = match self.layout {
            Layout::Hosts(spacing) => {
                format!("{lead}  {}    message", self.lifelines.letters(spacing))
            }
            _ => format!("{lead} {:>STREAM$}  {}    message", "str", " ".repeat(PAIR)),
        };
        writeln!(out, "{}", self.look.paint(styles::HEADING, &fit(&line, self.look.width)))
    }

    fn write(&mut self, row: &LadderRow, out: &mut dyn Write) -> io::Result<()> {
        let (count, spacing, ends) = match self.layout {
            Layout::Hosts(spacing) => {
                let [from, to] = row.ends.map(|key| self.lifelines.place(key).unwrap_or_default());
                (self.lifelines.count(), spacing, (from, to))
            }
            _ => (2, PAIR - 1, if row.is_sent { (0, 1) } else { (1, 0) }),
        };
        let by_stream = matches!(self.layout, Layout::Streams);
        if let Some(last) = self.last.replace(row.elapsed.1)
            && row.elapsed.0 - last >= SILENCE
        {
            let waited = format!("+{}", span(row.elapsed.0 - last));
            let gap = if by_stream { STREAM + 3 } else { 2 };
            let line = format!(
                "{:>width$}{}{}",
                waited,
                " ".repeat(gap),
                silent(count, spacing),
                width = NUMBER + 1 + ELAPSED
            );
            writeln!(out, "{}", self.look.paint(styles::DIM, &line))?;
        }
        if by_stream {
            out.write_all(&row.stream_line)?;
        }
        let mut lead = format!("{:>NUMBER$} {:>ELAPSED$}", row.number, format!("{:.6}", row.elapsed.0));
        if by_stream {
            lead.push_str(&format!(" {:>STREAM$}", row.stream.0));
        }
        let is_known = self.local.is_none_or(|local| row.ends.contains(&HostKey::Address(local)));
        let style = match row.is_sent {
            _ if !is_known => styles::PLAIN,
            true => styles::SENT,
            false => styles::RECEIVED,
        };
        let used = columns(&lead) + 2 + (count - 1) * spacing + 1 + MARK;
        let text = self.text(row, self.look.width.saturating_sub(used));
        self.marked.extend(row.severity.filter(|severity| *severity > Severity::Chat));
        let (mark, mark_style) = mark(row.severity);
        let line = format!(
            "{}  {}  {} {text}",
            self.look.paint(styles::DIM, &lead),
            arrow(count, spacing, ends, style, self.look),
            self.look.paint(mark_style, mark),
        );
        writeln!(out, "{}", line.trim_end())
    }

    /// The text of a row in so many columns: what it says, the time to the answer, and the rules that it breaks where there is
    /// room.
    fn text(&self, row: &LadderRow, room: usize) -> String {
        let latency = row.latency.map_or(String::new(), |latency| format!(" (+{})", span(latency)));
        let latency = printable(&latency).into_owned();
        // A row tells first what was said.
        let whole = columns(&printable(&row.text)).min(KEPT_TEXT);
        let latency = if whole + columns(&latency) <= room { latency } else { String::new() };
        let text = fit(&row.text, room - columns(&latency));
        let (_, style) = mark(row.severity);
        let body = if row.severity > Some(Severity::Chat) { style } else { styles::PLAIN };
        let mut line = format!("{}{}", self.look.paint(body, &text), self.look.paint(styles::DIM, &latency));
        let rules = row.rules.join(" ");
        let used = columns(&text) + columns(&latency);
        if !rules.is_empty() && used + 2 + columns(&rules) <= room {
            line.push_str(&format!("  {}", self.look.paint(styles::DIM, &rules)));
        }
        line
    }
}

impl ByStream {
    fn sentence(self, local: Option<IpAddr>) -> String {
        let why = match self {
            Self::TooMany => format!("More than {MOST} hosts"),
            Self::Narrow => "More hosts than there is room for".to_owned(),
        };
        let left = match local {
            Some(local) => format!("{local} is on the left"),
            None => "the end that speaks first is on the left".to_owned(),
        };
        format!("{why}: each stream has two lifelines, {left}.")
    }
}

/// The mark of a row by its gravest finding.
const fn mark(severity: Option<Severity>) -> (&'static str, anstyle::Style) {
    match severity {
        Some(Severity::Error) => ("✕", styles::ERROR),
        Some(Severity::Warn) => ("▲", styles::WARN),
        Some(Severity::Note) => ("●", styles::NOTE),
        Some(Severity::Chat) | None => (" ", styles::PLAIN),
    }
}
