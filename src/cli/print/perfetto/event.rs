//! The events of a trace as JSON, one a line, and the document around them.

use std::io::{self, Write};

use crate::print::kept_texts::push_number;
use crate::print::message_json::write_text;

/// Writes events into a buffer, from which they go to the output.
#[derive(Debug, Default)]
pub(super) struct EventWriter {
    buffer: Vec<u8>,
    begun: bool,
}

/// What stands before the first event. Perfetto shows times in its own way.
const HEAD: &[u8] = b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[";

impl EventWriter {
    /// Hands out what was written.
    pub(super) fn write_to(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the end of the document, and its head where there was no event.
    pub(super) fn finish(&mut self) {
        if !self.begun {
            self.buffer.extend_from_slice(HEAD);
        }
        self.buffer.extend_from_slice(b"\n]}\n");
    }

    /// Begins an event of a phase. [`end`](Self::end) ends it.
    pub(super) fn begin(&mut self, phase: &str, name: &str, process: u64) {
        self.buffer.extend_from_slice(if self.begun { b",\n" } else { HEAD });
        if !self.begun {
            self.begun = true;
            self.buffer.push(b'\n');
        }
        self.buffer.push(b'{');
        self.text("ph", phase);
        self.text("name", name);
        self.number("pid", process);
    }

    pub(super) fn end(&mut self) {
        self.buffer.push(b'}');
    }

    /// A comma, unless the object has only just begun.
    fn separate(&mut self) {
        if self.buffer.last() != Some(&b'{') {
            self.buffer.push(b',');
        }
    }

    /// A key that needs no escapes.
    fn key(&mut self, key: &str) {
        self.separate();
        self.buffer.push(b'"');
        self.buffer.extend_from_slice(key.as_bytes());
        self.buffer.extend_from_slice(b"\":");
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        write_text(value, &mut self.buffer);
    }

    pub(super) fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        push_number(value, &mut self.buffer);
    }

    /// Nanoseconds as a number of microseconds.
    pub(super) fn micros(&mut self, key: &str, nanos: i64) {
        self.key(key);
        if nanos < 0 {
            self.buffer.push(b'-');
        }
        let nanos = nanos.unsigned_abs();
        push_number(nanos / 1000, &mut self.buffer);
        let fraction = nanos % 1000;
        if fraction > 0 {
            self.buffer.extend_from_slice(format!(".{fraction:03}").trim_end_matches('0').as_bytes());
        }
    }

    /// Begins the arguments of the event. [`end_args`](Self::end_args) ends them.
    pub(super) fn begin_args(&mut self) {
        self.separate();
        self.buffer.extend_from_slice(b"\"args\":{");
    }

    pub(super) fn end_args(&mut self) {
        self.buffer.push(b'}');
    }

    /// Names a process, or a thread of it.
    pub(super) fn name(&mut self, what: &str, (process, thread): (u64, Option<u64>), name: &str) {
        self.begin("M", what, process);
        if let Some(thread) = thread {
            self.number("tid", thread);
        }
        self.begin_args();
        self.text("name", name);
        self.end_args();
        self.end();
    }

    /// Writes the value of a counter of a process, in nanoseconds since the start.
    pub(super) fn counter(&mut self, name: &str, process: u64, at: i64, (of, value): (&str, u64)) {
        self.begin("C", name, process);
        self.micros("ts", at);
        self.begin_args();
        self.number(of, value);
        self.end_args();
        self.end();
    }

    /// Writes an asynchronous slice, in nanoseconds since the start. Slices of one category and number do not overlap.
    pub(super) fn slice(
        &mut self,
        (category, id): (&str, u64),
        (process, thread): (u64, u64),
        (from, to): (i64, i64),
        name: &str,
        args: &[(&str, u64)],
    ) {
        for (phase, at) in [("b", from), ("e", to)] {
            self.begin(phase, name, process);
            self.text("cat", category);
            self.number("id", id);
            self.number("tid", thread);
            self.micros("ts", at);
            if phase == "b" {
                self.begin_args();
                args.iter().for_each(|(key, value)| self.number(key, *value));
                self.end_args();
            }
            self.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(nanos: i64) -> String {
        let mut events = EventWriter::default();
        events.micros("ts", nanos);
        String::from_utf8(events.buffer).unwrap()
    }

    #[test]
    fn nanoseconds_are_a_fraction_without_loss() {
        for (nanos, expected) in [
            (0, "0"),
            (1, "0.001"),
            (1_500, "1.5"),
            (-20, "-0.02"),
            (1_767_323_045_123_456_007, "1767323045123456.007"),
            (i64::MIN, "-9223372036854775.808"),
        ] {
            assert_eq!(micros(nanos), format!(",\"ts\":{expected}"));
        }
    }

    #[test]
    fn a_trace_without_events_is_a_document() {
        let mut events = EventWriter::default();
        events.finish();
        let document: serde_json::Value = serde_json::from_slice(&events.buffer).unwrap();
        assert_eq!(document["traceEvents"], serde_json::json!([]));
    }
}
