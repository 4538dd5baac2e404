//! What is kept in memory of each message: where its record stands in the temporary file, and what lists, strips and jumps
//! ask of all messages at once.

use bittrace_protocol::Timestamp;
use bittrace_trace::record::{Record, Severity};

/// A message, in 40 bytes at most. Its number over all captures is its place in the index, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where its packed record begins in the temporary file.
    pub(crate) offset: u64,
    /// When it was captured.
    pub(crate) at: Timestamp,
    /// How long its packed record is.
    pub(crate) length: u32,
    /// Its stream.
    pub(crate) stream: u32,
    /// The number, in its own capture, of the message that it answers; 0 for none.
    pub(crate) answers: u32,
    /// Its capture, by the order on the command line.
    pub(crate) capture: u16,
    /// The highest severity of its findings: 0 for none above chat.
    severity: u8,
    /// Whether it continues the run of the message before it, where all messages are shown.
    pub(crate) continues: bool,
}

/// The findings that are told by a glyph, by the number in an [`Entry`].
const SEVERITIES: [Severity; 3] = [Severity::Note, Severity::Warn, Severity::Error];

impl Entry {
    /// The entry of a record whose packed form stands at `place` and has `length` bytes.
    pub(crate) fn new(record: &Record, capture: u16, offset: u64, length: u32, continues: bool) -> Self {
        let severity = SEVERITIES.iter().position(|known| Some(*known) == record.severity());
        Self {
            offset,
            at: record.at,
            length,
            stream: record.stream.0,
            answers: record.answers.map_or(0, |answer| u32::try_from(answer.number).unwrap_or(0)),
            capture,
            severity: severity.map_or(0, |severity| severity as u8 + 1),
            continues,
        }
    }

    /// The highest severity of its findings, where that is above chat.
    pub(crate) fn severity(&self) -> Option<Severity> {
        SEVERITIES.get(usize::from(self.severity).checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_takes_at_most_40_bytes_of_the_index() {
        assert!(size_of::<Entry>() <= 40, "{}", size_of::<Entry>());
    }
}
