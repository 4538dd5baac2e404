//! The table of messages: a row a message, written as it comes, what is to be said of it on dimmer lines beneath.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use bittrace_trace::Side;
use bittrace_trace::record::Severity;
use bittrace_trace::units::span;

use crate::print::hex;
use crate::print::output::{Look, styles};
use crate::print::table::{columns, pad, wrap};
use crate::query::names::FieldName;
use crate::query::row::{Row, cell};

/// Writes rows of messages.
#[derive(Debug)]
pub(crate) struct MessageTable {
    look: Look,
    shape: Shape,
    detail: Detail,
    begun: bool,
    /// Shortened addresses, and what each stands for.
    shortened: HashMap<String, SocketAddr>,
}

/// What is shown of each message beside its row.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Detail {
    /// Its bytes, field by field.
    pub(crate) hex: bool,
    /// Its packets and place in the stream; long values whole.
    pub(crate) verbose: bool,
    /// No remarks on how things stand.
    pub(crate) quiet: bool,
}

#[derive(Debug)]
enum Shape {
    /// One column for what is said.
    Narrow,
    /// The message's name in a column of its own.
    Medium,
    /// Both addresses as well.
    Wide,
    /// Columns that the user chose.
    Chosen(Vec<(FieldName, String, usize)>),
}

const NUMBER: usize = 5;
const ELAPSED: usize = 10;
const STREAM: usize = 3;
/// An arrow, a blank, and the longest IPv4 address with a port.
const ONE_END: usize = 23;
const BOTH_ENDS: usize = 45;
const MESSAGE: usize = 17;

/// What stands beneath a row begins under its ends.
const BENEATH: usize = NUMBER + ELAPSED + STREAM + 3;

/// From these widths on there is room for a column more.
const MEDIUM_FROM: usize = 100;
const WIDE_FROM: usize = 136;

/// How many shortened addresses are remembered.
const SHORTENED: usize = 10_000;

impl MessageTable {
    /// A table of the usual columns, or of those chosen.
    pub(crate) fn new(look: Look, chosen: &[(FieldName, String)], detail: Detail) -> Self {
        let shape = match look.width {
            _ if !chosen.is_empty() => Shape::Chosen(chosen_widths(chosen, look.width)),
            width if width >= WIDE_FROM => Shape::Wide,
            width if width >= MEDIUM_FROM => Shape::Medium,
            _ => Shape::Narrow,
        };
        Self { look, shape, detail, begun: false, shortened: HashMap::new() }
    }

    /// Writes a message, and before the first one the headings. `local` is the host the capture is about.
    pub(crate) fn row(
        &mut self,
        row: &Row<'_>,
        local: Option<IpAddr>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        if !std::mem::replace(&mut self.begun, true) {
            self.headings(local, out)?;
        }
        let mut line = TableLine::new(self.look);
        if let Shape::Chosen(chosen) = &self.shape {
            for (at, (name, _, width)) in chosen.iter().enumerate() {
                let text = row.value(name).map_or(String::new(), |value| cell(&value));
                match at + 1 == chosen.len() {
                    true => line.rest(&text, styles::PLAIN),
                    false => line.cell(&text, *width, styles::PLAIN),
                }
            }
            line.write(out)?;
            return self.beneath(row, 4, out);
        }
        line.number(&row.number().to_string(), NUMBER, styles::DIM);
        line.number(&format!("{:.6}", row.elapsed()), ELAPSED, styles::DIM);
        line.number(&row.record.stream.0.to_string(), STREAM, styles::DIM);
        let (ends, style) = self.ends(row, local);
        let message = row.record.body.message();
        let meaning = row.summary();
        line.cell(&ends, if matches!(self.shape, Shape::Wide) { BOTH_ENDS } else { ONE_END }, style);
        let meaning = match self.shape {
            Shape::Narrow => named(message, &meaning),
            _ => {
                line.cell(message, MESSAGE, message_style(message));
                unnamed(message, &meaning).to_owned()
            }
        };
        let answers = row.record.answers.zip(row.answers());
        let answers = answers.map_or(String::new(), |(answer, number)| {
            let gap = if meaning.is_empty() { "" } else { " " };
            match self.shape {
                // What it answers says the same as it does; how long that took is news.
                Shape::Narrow => format!("{gap}(+{})", span(answer.latency)),
                _ => format!("{gap}(answers {number} after {})", span(answer.latency)),
            }
        });
        line.rest(&format!("{meaning}{answers}"), styles::PLAIN);
        line.write(out)?;
        self.beneath(row, BENEATH, out)
    }

    fn headings(&self, local: Option<IpAddr>, out: &mut dyn Write) -> io::Result<()> {
        let mut line = TableLine::new(self.look);
        let heading = styles::HEADING;
        if let Shape::Chosen(chosen) = &self.shape {
            for (_, name, width) in chosen {
                line.cell(name, *width, heading);
            }
            return line.write(out);
        }
        line.number("n", NUMBER, heading);
        line.number("elapsed", ELAPSED, heading);
        line.number("str", STREAM, heading);
        match (&self.shape, local) {
            (Shape::Wide, _) => line.cell("from → to", BOTH_ENDS, heading),
            (_, Some(local)) if columns(&local.to_string()) <= 15 => {
                line.cell(&format!("{local} → to"), ONE_END, heading);
            }
            _ => line.cell("→ to, ← from", ONE_END, heading),
        }
        match self.shape {
            Shape::Narrow => line.rest("message", heading),
            _ => {
                line.cell("message", MESSAGE, heading);
                line.rest("meaning", heading);
            }
        }
        line.write(out)
    }

    /// Who speaks to whom. Where one of them is the host the capture is about, the other end and an arrow say it.
    fn ends(&mut self, row: &Row<'_>, local: Option<IpAddr>) -> (String, anstyle::Style) {
        let record = row.record;
        let (source, destination) = (record.source, record.destination);
        let sent = record.side == Side::Local && local.is_none_or(|local| local == source.ip());
        let received = !sent && local.is_some_and(|local| local == destination.ip());
        let style = if sent { styles::SENT } else { styles::RECEIVED };
        let room = if matches!(self.shape, Shape::Wide) { 21 } else { ONE_END - 2 };
        let source = self.short(source, room);
        let destination = self.short(destination, room);
        let text = match self.shape {
            Shape::Wide => format!("{} → {destination}", pad(&source, room)),
            _ if sent => format!("→ {destination}"),
            _ if received => format!("← {source}"),
            // Two others: both have to be named, on two lines.
            _ => format!("{source} → {destination}"),
        };
        (text, style)
    }

    /// An address in at most `room` columns, the middle left out where it is longer and that stays unambiguous.
    fn short(&mut self, address: SocketAddr, room: usize) -> String {
        let full = address.to_string();
        if full.len() <= room {
            return full;
        }
        let port = format!("]:{}", address.port());
        let host = full.trim_start_matches('[').split(']').next().unwrap_or_default();
        let shown = room.saturating_sub(port.len() + 2);
        let head = shown / 2;
        let (Some(start), Some(end)) = (host.get(..head), host.get(host.len() - (shown - head)..)) else {
            return full;
        };
        let short = format!("[{start}…{end}{port}");
        if self.shortened.len() >= SHORTENED && !self.shortened.contains_key(&short) {
            return full;
        }
        if *self.shortened.entry(short.clone()).or_insert(address) == address { short } else { full }
    }

    fn beneath(&self, row: &Row<'_>, indent: usize, out: &mut dyn Write) -> io::Result<()> {
        let record = row.record;
        for note in &record.notes {
            let (style, mark) = match note.rule.severity {
                Severity::Chat if self.detail.quiet => continue,
                Severity::Chat => (styles::DIM, String::new()),
                Severity::Note => (styles::NOTE, "note: ".to_owned()),
                Severity::Warn => (styles::WARN, "warn: ".to_owned()),
                Severity::Error => (styles::ERROR, "error: ".to_owned()),
            };
            let rule = if note.rule.severity == Severity::Chat {
                String::new()
            } else {
                format!(" [{}]", note.rule.id)
            };
            self.under(&format!("{mark}{}{rule}", note.text), style, indent, out)?;
        }
        if self.detail.verbose {
            let frames: Vec<_> = record.frames.iter().map(u64::to_string).collect();
            let word = if frames.len() == 1 { "packet" } else { "packets" };
            let place = format!(
                "{word} {}; byte {} of its direction, {} long",
                frames.join(", "),
                record.offset,
                record.length()
            );
            self.under(&place, styles::DIM, indent, out)?;
        }
        if self.detail.hex {
            hex::write(record, self.look, self.detail.verbose, out)?;
        }
        Ok(())
    }

    fn under(&self, text: &str, style: anstyle::Style, indent: usize, out: &mut dyn Write) -> io::Result<()> {
        for line in wrap(text, self.look.width - indent) {
            writeln!(out, "{}{}", " ".repeat(indent), self.look.paint(style, &line))?;
        }
        Ok(())
    }
}

/// The meaning behind the message's name, where it does not begin with that.
fn named(message: &str, meaning: &str) -> String {
    if meaning.starts_with(message) { meaning.to_owned() } else { format!("{message}: {meaning}") }
}

/// The meaning without the message's name, which stands in a column of its own. That of a piece is its meaning, too.
fn unnamed<'m>(message: &str, meaning: &'m str) -> &'m str {
    match meaning.strip_prefix(message) {
        Some(rest) if message != "piece" && message != "port" && message != "suggest-piece" => {
            rest.trim_start_matches(':').trim_start()
        }
        _ => meaning,
    }
    .trim_end()
}

fn message_style(message: &str) -> anstyle::Style {
    match message {
        "opaque" | "gap" | "encrypted" | "unknown" | "error" => styles::WARN,
        _ => styles::HEADING,
    }
}

/// The widths of chosen columns; the last one has what is left.
fn chosen_widths(chosen: &[(FieldName, String)], width: usize) -> Vec<(FieldName, String, usize)> {
    let usual = |name: &str| match name {
        "n" | "stream" | "index" | "answers" => 6,
        "begin" | "length" | "fields.length" | "offset" | "left" => 9,
        "speaker" | "transport" | "severity" | "port" => 9,
        "elapsed" | "latency" => 11,
        "protocol" => 12,
        "message" => 17,
        "src" | "dst" => 21,
        "time" => 27,
        "torrent" | "info_hash" | "peer_id" => 40,
        "summary" => 40,
        _ => 14,
    };
    let share = width / chosen.len().max(1);
    chosen
        .iter()
        .map(|(name, text)| {
            let usual = usual(text).max(columns(text));
            (name.clone(), text.clone(), usual.min(share.max(4)))
        })
        .collect()
}

/// Cells side by side, each wrapped within its width, so that the line is as high as the highest.
struct TableLine {
    look: Look,
    cells: Vec<(Vec<String>, usize, anstyle::Style)>,
    used: usize,
}

impl TableLine {
    const fn new(look: Look) -> Self {
        Self { look, cells: Vec::new(), used: 0 }
    }

    fn number(&mut self, text: &str, width: usize, style: anstyle::Style) {
        let text = format!("{text:>width$}");
        let width = columns(&text);
        self.push(vec![text], width, style);
    }

    fn cell(&mut self, text: &str, width: usize, style: anstyle::Style) {
        let room = self.look.width.saturating_sub(self.used + 1).max(1);
        let width = width.min(room);
        self.push(wrap(text, width), width, style);
    }

    /// The last cell: all that is left of the line.
    fn rest(&mut self, text: &str, style: anstyle::Style) {
        let room = self.look.width.saturating_sub(self.used).max(1);
        self.push(wrap(text, room), room, style);
    }

    fn push(&mut self, lines: Vec<String>, width: usize, style: anstyle::Style) {
        self.cells.push((lines, width, style));
        self.used += width + 1;
    }

    fn write(self, out: &mut dyn Write) -> io::Result<()> {
        let height = self.cells.iter().map(|(lines, ..)| lines.len()).max().unwrap_or(0);
        for at in 0..height {
            let mut blanks = 0;
            for (lines, width, style) in &self.cells {
                let text = lines.get(at).map_or("", String::as_str);
                if !text.is_empty() {
                    write!(out, "{}{}", " ".repeat(blanks), self.look.paint(*style, text))?;
                    blanks = 0;
                }
                blanks += width + 1 - columns(text).min(*width);
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_said_once() {
        assert_eq!(named("request", "request piece 3"), "request piece 3");
        assert_eq!(named("announce-response", "3 peers"), "announce-response: 3 peers");
        assert_eq!(unnamed("request", "request piece 3"), "piece 3");
        assert_eq!(unnamed("bitfield", "bitfield: 3 pieces"), "3 pieces");
        assert_eq!(unnamed("piece", "piece 3, 16 KiB at 0"), "piece 3, 16 KiB at 0");
        assert_eq!(unnamed("choke", "choke"), "");
    }

    #[test]
    fn long_addresses_lose_their_middle_unless_that_is_ambiguous() {
        let look = Look { width: 80, colour: false };
        let mut table = MessageTable::new(look, &[], Detail::default());
        let one: SocketAddr = "[2001:db8:1:2:3:4:5:6]:51413".parse().unwrap();
        let other: SocketAddr = "[2001:db8:9:9:3:4:5:6]:51413".parse().unwrap();
        let short = table.short(one, 21);
        assert!(columns(&short) <= 21, "{short}");
        assert_eq!(table.short(one, 21), short);
        assert_eq!(table.short(other, 21), other.to_string());
        assert_eq!(table.short("10.0.0.3:6881".parse().unwrap(), 21), "10.0.0.3:6881");
    }

    #[test]
    fn rows_keep_within_the_width() {
        for width in [60, 80, 140] {
            let look = Look { width, colour: false };
            let mut line = TableLine::new(look);
            line.number("123456789", NUMBER, styles::PLAIN);
            line.cell("[2001:db8:1111:2222:3333:4444:5555:6666]:51413", ONE_END, styles::PLAIN);
            line.rest(&"words and more words ".repeat(9), styles::PLAIN);
            let mut out = Vec::new();
            line.write(&mut out).unwrap();
            for line in String::from_utf8(out).unwrap().lines() {
                assert!(columns(line) <= width, "{line:?}");
            }
        }
    }
}
