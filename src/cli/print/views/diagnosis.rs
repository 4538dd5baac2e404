//! A diagnosis: first sentences that a person can act on, then where the time went, then where to look.

mod rows;

use std::io::{self, Write};
use std::path::Path;

use bittrace_protocol::Timestamp;
use bittrace_report::CommandLine;
use bittrace_trace::diagnosis::{
    ConnectionDiagnosis, DelayCause, FirstByte, RunDiagnosis, Sentence, end_text, evidence_text,
    first_sentences,
};
use bittrace_trace::statistics::display_filter;
use bittrace_trace::units::{count, counted, rough_size, span};
use bittrace_trace::{Direction, StreamId};

use super::ROWS;
use crate::args::Format;
use crate::print::lines::{LineColumn, render_lines, short_size, short_span};
use crate::print::output::{Look, styles};
use crate::print::page::Page;
use crate::print::printable::printable;
use crate::print::table::Column;

/// A diagnosis that is to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DiagnosisPage<'a> {
    /// The capture, or what else was diagnosed.
    pub(crate) name: &'a str,
    /// Its file, where it can be read once more.
    pub(crate) file: Option<&'a Path>,
    pub(crate) run: &'a RunDiagnosis,
    /// All rows, not only the first ones.
    pub(crate) verbose: bool,
}

/// How many connections' ends, and stalls, are told where not all are asked for.
const FEW: usize = 8;
/// Parts of time shorter than this share of the run are in the table of causes only.
const LITTLE: f64 = 0.000_5;

const CONNECTION_COLUMNS: [LineColumn; 14] = [
    LineColumn::number("str"),
    LineColumn::text("from", 15),
    LineColumn::number("got").spare(1),
    LineColumn::number("rate/s").spare(2),
    LineColumn::number("lasted").spare(3),
    LineColumn::number("start").spare(4),
    LineColumn::number("choked"),
    LineColumn::number("nothing"),
    LineColumn::number("idle"),
    LineColumn::number("few"),
    LineColumn::number("far"),
    LineColumn::number("net"),
    LineColumn::number("recv"),
    LineColumn::number("unseen"),
];

/// What the short headings stand for.
const LEGEND: [(&str, &str); 8] = [
    ("rate/s", "while blocks were on their way"),
    ("start", "connecting, handshake-wait and metadata-wait"),
    ("nothing", "nothing-wanted"),
    ("idle", "not-asked"),
    ("few", "asked-too-little"),
    ("far", "far-pace"),
    ("net", "network"),
    ("recv", "receiver"),
];

impl DiagnosisPage<'_> {
    /// Writes it in a format. `first` says that nothing was written before, of any capture.
    pub(crate) fn write(
        &self,
        format: Format,
        first: bool,
        look: Look,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        match format {
            Format::Table => self.table(&mut Page::new(look, out)),
            Format::Json => {
                rows::write_run(self, out)?;
                rows::budgets(self).write(format, first, out)
            }
            Format::Csv => rows::budgets(self).write(format, first, out),
        }
    }

    fn table(&self, page: &mut Page<'_>) -> io::Result<()> {
        let sentences = first_sentences(self.run);
        page.title(&format!("Diagnosis of {}", self.name))?;
        if let Some(what) = self.what() {
            page.paragraph(&what, 2)?;
        }
        for (at, sentence) in sentences.iter().enumerate() {
            page.paragraph(&format!("{}. {}", at + 1, sentence.text), 2)?;
        }
        if self.run.duration() <= 0.0 {
            return Ok(());
        }
        self.causes(page)?;
        self.first_byte(page)?;
        self.rates(page)?;
        self.stalls(page)?;
        self.connections(page)?;
        self.ends(page)?;
        self.where_to_look(&sentences, page)
    }

    /// What the run was: who got how much over how many connections, and whether that was all.
    fn what(&self) -> Option<String> {
        let run = self.run;
        if run.duration() <= 0.0 {
            return None;
        }
        if run.has_no_local {
            return Some(format!(
                "No host is local: of each of {}, the end that received more is the downloader. Together they carried {}.",
                counted(run.connections.len() as u64 + run.more, "connection"),
                rough_size(run.new_bytes)
            ));
        }
        let local = run.local?;
        let client = run.connections.iter().find_map(|connection| connection.client(connection.local?));
        let who = client.map_or(local.to_string(), |client| format!("{local} ({client})"));
        let connections = counted(run.connections.len() as u64 + run.more, "connection");
        if run.is_upload {
            return Some(format!("{who} sent {} over {connections}.", rough_size(run.bytes)));
        }
        let all = run.torrent.as_ref().map(|torrent| torrent.total());
        let of = all.map_or(String::new(), |all| format!(" of {}", rough_size(all)));
        let end = match run.is_complete {
            Some(true) => " The download is complete.",
            Some(false) => " The download is not complete.",
            None => "",
        };
        Some(format!("{who} downloaded {}{of} over {connections}.{end}", rough_size(run.new_bytes)))
    }

    fn causes(&self, page: &mut Page<'_>) -> io::Result<()> {
        let run = self.run;
        let what = if run.is_upload { "upload" } else { "download" };
        let until = match (run.bytes, run.is_complete) {
            (0, _) => "no block came",
            (_, Some(true)) => "until it was complete",
            (_, Some(false)) => "incomplete",
            (_, None) => "to the last wait for a block",
        };
        page.heading(&format!("Where the time of the {what} went ({}, {until})", span(run.duration())))?;
        let rows: Vec<Vec<String>> = run
            .totals
            .ranked()
            .into_iter()
            .filter(|cause| run.totals.share(*cause) >= LITTLE || run.totals.bytes(*cause) > 0)
            .map(|cause| {
                vec![
                    cause.name().to_owned(),
                    span(run.totals.seconds(cause)),
                    format!("{:.0} %", run.totals.share(cause) * 100.0),
                    match run.totals.bytes(cause) {
                        0 => String::new(),
                        bytes => rough_size(bytes),
                    },
                    cause.meaning().to_owned(),
                ]
            })
            .collect();
        let columns = [
            Column::text("cause", 10),
            Column::numbers("time"),
            Column::numbers("share"),
            Column::numbers("data"),
            Column::text("meaning", 20),
        ];
        page.table(&columns, &rows)
    }

    fn first_byte(&self, page: &mut Page<'_>) -> io::Result<()> {
        let Some(first) = self.run.first_byte else { return Ok(()) };
        let FirstByte { tracker, dialling, connecting, handshake, unchoke, request, transfer, total, .. } =
            first;
        let parts = [
            (tracker, "until a tracker answered"),
            (dialling, "until the connection was dialled"),
            (connecting, "connecting"),
            (handshake, "handshakes"),
            (unchoke, "until the unchoke"),
            (request, "until the first request"),
            (transfer, "until the block was whole"),
        ];
        let named: Vec<_> = parts
            .iter()
            .filter(|(seconds, _)| *seconds >= 0.000_5)
            .map(|(seconds, what)| format!("{} {what}", span(*seconds)))
            .collect();
        let text = format!(
            "First block after {}, on stream {} (message {}){}{}.",
            span(total),
            first.stream.0,
            count(first.block.number),
            if named.is_empty() { "" } else { ": " },
            named.join(", ")
        );
        writeln!(page)?;
        page.paragraph(&text, 2)
    }

    fn rates(&self, page: &mut Page<'_>) -> io::Result<()> {
        if self.run.bytes == 0 || self.run.duration() < 1.0 {
            return Ok(());
        }
        page.heading("Rate over time")?;
        let most =
            self.run.rates.iter().map(|part| rate_of(part.bytes, part.from, part.to)).fold(0.0, f64::max);
        let rows: Vec<Vec<String>> = self
            .run
            .rates
            .iter()
            .map(|part| {
                let rate = rate_of(part.bytes, part.from, part.to);
                let bar = (rate / most.max(1.0) * BAR as f64).round() as usize;
                vec![
                    format!("{:.1}", part.from.seconds_since(self.run.start)),
                    format!("{:.1}", part.to.seconds_since(self.run.start)),
                    short_size(rate as u64),
                    "#".repeat(bar),
                    part.cause.name().to_owned(),
                ]
            })
            .collect();
        let columns = [
            LineColumn::number("from s"),
            LineColumn::number("to s"),
            LineColumn::number("rate/s"),
            LineColumn::text("", 4),
            LineColumn::text("most of the time", 12),
        ];
        let rendered = render_lines(&columns, &rows, page.look);
        page.write_all(rendered.text.as_bytes())
    }

    fn stalls(&self, page: &mut Page<'_>) -> io::Result<()> {
        if self.run.stalls.is_empty() {
            return Ok(());
        }
        page.heading("Stalls: 5 s and more without a block")?;
        let shown = if self.verbose { usize::MAX } else { FEW };
        for stall in self.run.stalls.iter().take(shown) {
            let streams: Vec<_> = stall.streams.iter().map(|stream| stream.0.to_string()).collect();
            let on = match streams.len() {
                0 => String::new(),
                1 => format!(", stream {}", streams[0]),
                _ => format!(", streams {}", streams.join(", ")),
            };
            let messages = match (stall.after, stall.before) {
                (Some(after), Some(before)) => format!(" (messages {} to {})", after.number, before.number),
                (Some(after), None) => format!(" (after message {})", after.number),
                (None, _) => String::new(),
            };
            let from = stall.from.seconds_since(self.run.start);
            let text = format!(
                "{} from {from:.1} s on: {}{on}{messages}: {}",
                span(stall.seconds()),
                stall.cause.name(),
                stall.cause.meaning()
            );
            page.paragraph(&text, 2)?;
        }
        page.left_out(self.run.stalls.len().saturating_sub(shown) as u64, "-v", 0)
    }

    fn connections(&self, page: &mut Page<'_>) -> io::Result<()> {
        let used: Vec<_> =
            self.run.transfers().filter(|(connection, from)| is_shown(connection, *from)).collect();
        if used.is_empty() {
            return Ok(());
        }
        page.heading("Connections, and where the time of each went")?;
        let shown = if self.verbose { usize::MAX } else { ROWS };
        let rows: Vec<_> =
            used.iter().take(shown).map(|(connection, from)| self.row(connection, *from)).collect();
        let rendered = render_lines(&CONNECTION_COLUMNS, &rows, page.look);
        page.write_all(rendered.text.as_bytes())?;
        let heading = rendered.text.lines().next().unwrap_or_default();
        let headings: Vec<_> = heading.split_whitespace().collect();
        let legend =
            LEGEND.iter().filter(|(short, _)| headings.iter().any(|heading| heading.contains(short)));
        let legend: Vec<_> = legend.map(|(short, causes)| format!("{short}: {causes}")).collect();
        if !legend.is_empty() {
            page.painted(&format!("{}.", legend.join("; ")), 2, styles::DIM)?;
        }
        page.painted("bittrace explain CAUSE, such as far-pace, explains a cause.", 2, styles::DIM)?;
        if !rendered.left_out.is_empty() {
            let text = format!("left out at this width: {}", rendered.left_out.join(", "));
            page.painted(&text, 2, styles::DIM)?;
        }
        page.left_out(used.len().saturating_sub(shown) as u64, "-v", self.run.more)
    }

    fn row(&self, connection: &ConnectionDiagnosis, from: Direction) -> Vec<String> {
        let budget = connection.from(from);
        let client = connection.client(from).map_or(String::new(), |client| format!(" {client}"));
        let cell = |causes: &[DelayCause]| {
            let seconds: f64 = causes.iter().map(|cause| budget.totals.seconds(*cause)).sum();
            if seconds < 0.001 { String::new() } else { short_span(seconds) }
        };
        let to = match self.run.has_no_local {
            true => format!(" to {}", connection.address(from.reverse()).ip()),
            false => String::new(),
        };
        vec![
            connection.stream.0.to_string(),
            format!("{}{to}{client}", connection.address(from)),
            if budget.facts.blocks > 0 { short_size(budget.facts.bytes) } else { String::new() },
            budget.transfer_rate().map_or(String::new(), |rate| short_size(rate as u64)),
            short_span(connection.duration()),
            cell(&[DelayCause::Connecting, DelayCause::Handshake, DelayCause::Metadata]),
            cell(&[DelayCause::Choked]),
            cell(&[DelayCause::NothingWanted]),
            cell(&[DelayCause::NotAsked]),
            cell(&[DelayCause::AskedTooLittle]),
            cell(&[DelayCause::FarPace]),
            cell(&[DelayCause::Network]),
            cell(&[DelayCause::Receiver]),
            cell(&[DelayCause::Unknown]),
        ]
    }

    fn ends(&self, page: &mut Page<'_>) -> io::Result<()> {
        let connections = &self.run.connections;
        if connections.is_empty() {
            return Ok(());
        }
        page.heading("How connections ended")?;
        let shown = if self.verbose { usize::MAX } else { FEW };
        for connection in connections.iter().take(shown) {
            let evidence = match self.verbose {
                true => evidence_text(connection).map_or(String::new(), |text| format!(" {text}")),
                false => String::new(),
            };
            let at = connection.ending.at.seconds_since(self.run.start);
            let is_over = self.run.is_complete == Some(true) && connection.ending.at >= self.run.end;
            let over = if is_over { "; the download was complete" } else { "" };
            let end = end_text(connection);
            let text = format!("stream {}, {at:.3} s: {end}{over}{evidence}", connection.stream.0);
            page.paragraph(&text, 2)?;
        }
        page.left_out(connections.len().saturating_sub(shown) as u64, "-v", 0)
    }

    fn where_to_look(&self, sentences: &[Sentence], page: &mut Page<'_>) -> io::Result<()> {
        let mut places: Vec<(Vec<String>, Vec<String>)> = Vec::new();
        for (at, sentence) in sentences.iter().enumerate() {
            let place = self.place(sentence);
            if place.is_empty() {
                continue;
            }
            match places.iter_mut().find(|(_, known)| *known == place) {
                Some((numbers, _)) => numbers.push((at + 1).to_string()),
                None => places.push((vec![(at + 1).to_string()], place)),
            }
        }
        if places.is_empty() {
            return Ok(());
        }
        page.heading("Where to look")?;
        // Not wrapped: these lines are there to be copied.
        for (numbers, lines) in places {
            writeln!(page, "  {}.", numbers.join(", "))?;
            for line in lines {
                writeln!(page, "    {}", printable(&line))?;
            }
        }
        Ok(())
    }

    /// Where the evidence of a sentence is: a command, and a display filter for Wireshark.
    fn place(&self, sentence: &Sentence) -> Vec<String> {
        let mut own = Vec::new();
        let mut wireshark = Vec::new();
        if let Some(connection) = sentence.streams.first().and_then(|stream| self.connection(*stream)) {
            own.push(format!("stream == {}", connection.stream.0));
            let field = connection.transport.wireshark_field();
            wireshark.extend(connection.wireshark_stream.map(|stream| format!("{field} == {stream}")));
        }
        if let [first, .., last] = sentence.marks[..] {
            own.push(format!("n >= {} && n <= {}", first.number, last.number));
            if let (Some(first), Some(last)) = (first.frame, last.frame) {
                wireshark.push(format!("frame.number >= {first} && frame.number <= {last}"));
            }
        } else if let [only] = sentence.marks[..] {
            own.push(format!("n == {}", only.number));
            wireshark.extend(only.frame.map(|frame| display_filter(&[frame])));
        }
        let mut lines = Vec::new();
        if !own.is_empty() {
            let filter = format!("--filter '{}'", own.join(" && "));
            lines.push(match self.file {
                Some(file) => {
                    CommandLine::new(["bittrace", "analyze", &file.to_string_lossy()]).with(&filter)
                }
                None => filter,
            });
        }
        if !wireshark.is_empty() {
            lines.push(format!("Wireshark: {}", wireshark.join(" && ")));
        }
        lines
    }

    fn connection(&self, stream: StreamId) -> Option<&ConnectionDiagnosis> {
        self.run.connections.iter().find(|connection| connection.stream == stream)
    }
}

/// How wide the longest bar is.
const BAR: usize = 24;

fn rate_of(bytes: u64, from: Timestamp, to: Timestamp) -> f64 {
    bytes as f64 / to.seconds_since(from).max(1e-3)
}

/// Whether a direction has a row: blocks were wanted, or nothing was to be read.
fn is_shown(connection: &ConnectionDiagnosis, from: Direction) -> bool {
    let budget = connection.from(from);
    budget.is_used() || connection.duration() >= 0.1
}
