//! `analyze --follow N`: one stream as a conversation, both directions in order, runs of like messages on one line, HTTP as
//! the text that it is.

use std::io::{self, Write};

use bittrace_trace::record::{Record, Severity};
use bittrace_trace::{Direction, Flow};

use crate::print::hex;
use crate::print::output::{Look, styles};
use crate::print::table::{columns, wrap};
use crate::query::row::Row;

/// Tells a stream message by message.
#[derive(Debug)]
pub(crate) struct Follower {
    look: Look,
    /// Whether each message's bytes are shown: then no run shares a line.
    hex: bool,
    begun: bool,
    run: Option<MessageRun>,
}

/// Messages of one name that one end said one after another.
#[derive(Debug)]
struct MessageRun {
    direction: Direction,
    message: &'static str,
    elapsed: f64,
    count: u64,
    first: String,
    last: String,
    /// What is to be said of them, each once.
    notes: Vec<(Severity, String)>,
}

/// Messages that come in runs.
const RUNS: [&str; 7] =
    ["request", "piece", "have", "cancel", "reject-request", "allowed-fast", "suggest-piece"];

/// How many notes of a run are told.
const NOTES: usize = 4;

/// Where what is said begins.
const INDENT: usize = 14;

impl Follower {
    pub(crate) const fn new(look: Look, hex: bool) -> Self {
        Self { look, hex, begun: false, run: None }
    }

    /// Takes in a message of the stream.
    pub(crate) fn tell(&mut self, row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
        let record = row.record;
        if !std::mem::replace(&mut self.begun, true) {
            let Flow { initiator, responder } = record.flow();
            let text = format!("stream {}: {initiator} →, ← {responder}", record.stream.0);
            writeln!(out, "{}", self.look.paint(styles::HEADING, &text))?;
        }
        let message = record.body.message();
        let graver = record.notes.iter().filter(|note| note.rule.severity > Severity::Chat);
        let notes: Vec<(Severity, String)> =
            graver.map(|note| (note.rule.severity, format!("{} [{}]", note.text, note.rule.id))).collect();
        if let Some(run) = &mut self.run
            && run.message == message
            && run.direction == record.direction
            && RUNS.contains(&message)
        {
            run.count += 1;
            run.last = row.summary();
            for note in notes {
                if run.notes.len() < NOTES && !run.notes.contains(&note) {
                    run.notes.push(note);
                }
            }
            return Ok(());
        }
        self.finish(out)?;
        self.run = Some(MessageRun {
            direction: record.direction,
            message,
            elapsed: row.elapsed(),
            count: 1,
            first: row.summary(),
            last: String::new(),
            notes,
        });
        let head = http_head(record);
        if head.is_some() || self.hex {
            self.finish(out)?;
        }
        for line in head.iter().flat_map(|head| head.lines()) {
            for line in wrap(line, self.look.width - INDENT) {
                writeln!(out, "{}{}", " ".repeat(INDENT), self.look.paint(styles::DIM, &line))?;
            }
        }
        if self.hex {
            hex::write(record, row.torrent(), self.look, false, out)?;
        }
        Ok(())
    }

    /// Writes what waits.
    pub(crate) fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Some(run) = self.run.take() else { return Ok(()) };
        let (arrow, style) = match run.direction {
            Direction::FromInitiator => ("→", styles::SENT),
            Direction::FromResponder => ("←", styles::RECEIVED),
        };
        let text = match run.count {
            1 => run.first,
            2 => format!("{}; {}", run.first, run.last),
            count => format!("{}; … {} in total, last: {}", run.first, count, run.last),
        };
        for (number, line) in wrap(&text, self.look.width - INDENT).iter().enumerate() {
            let start = if number == 0 { format!("{:>11.6} {arrow}", run.elapsed) } else { String::new() };
            // A damaged capture may put centuries between two packets.
            let gap = " ".repeat(INDENT.saturating_sub(columns(&start)).max(1));
            writeln!(out, "{}{gap}{line}", self.look.paint(style, &start))?;
        }
        for (severity, text) in run.notes {
            let style = styles::severity(severity);
            let text = format!("{}: {text}", severity.name());
            for line in wrap(&text, self.look.width - INDENT - 2) {
                writeln!(out, "{}{}", " ".repeat(INDENT + 2), self.look.paint(style, &line))?;
            }
        }
        Ok(())
    }
}

/// The lines of an HTTP request or response before its body, as they were sent.
fn http_head(record: &Record) -> Option<String> {
    if !record.fields().iter().any(|field| field.name == "headers") {
        return None;
    }
    let end = record.bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(record.bytes.len());
    Some(String::from_utf8_lossy(&record.bytes[..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(elapsed: f64, count: u64) -> String {
        let mut follower = Follower::new(Look { width: 80, colour: false }, false);
        follower.run = Some(MessageRun {
            direction: Direction::FromResponder,
            message: "have",
            elapsed,
            count,
            first: "have piece 1".to_owned(),
            last: "have piece 9".to_owned(),
            notes: Vec::new(),
        });
        let mut out = Vec::new();
        follower.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn runs_are_told_by_their_first_and_last() {
        assert_eq!(told(1.5, 1), "   1.500000 ← have piece 1\n");
        assert_eq!(told(1.5, 2), "   1.500000 ← have piece 1; have piece 9\n");
        assert_eq!(told(1.5, 7), "   1.500000 ← have piece 1; … 7 in total, last: have piece 9\n");
    }

    #[test]
    fn centuries_between_packets_are_told() {
        assert_eq!(told(4_000_000_000.25, 1), "4000000000.250000 ← have piece 1\n");
    }
}
