//! A search through the messages that are shown, from the cursor on and once around.

use bittrace_trace::Record;
use memchr::memmem;

use super::prompt::Needle;
use crate::query::row::{CaptureContext, Row};

/// A search that goes on.
#[derive(Debug)]
pub(crate) struct Find {
    /// What is sought, as it was written.
    pub(crate) text: String,
    needle: Needle,
    /// The next position to look at, and how many are left.
    pub(crate) next: usize,
    pub(crate) left: usize,
}

impl Find {
    /// A search from `next` on through `left` positions.
    pub(crate) const fn new(text: String, needle: Needle, next: usize, left: usize) -> Self {
        Self { text, needle, next, left }
    }

    /// Whether a message has what is sought: in its line, its client, its findings, or its bytes.
    pub(crate) fn matches(&self, record: &Record, context: &CaptureContext) -> bool {
        match &self.needle {
            Needle::Bytes(bytes) => memmem::find(&record.bytes, bytes).is_some(),
            Needle::Text(text) => {
                let has = |said: &str| said.to_lowercase().contains(text);
                let row = Row::new(record, context);
                has(&row.summary())
                    || has(record.body.message())
                    || record.client.as_deref().is_some_and(has)
                    || record.notes.iter().any(|note| has(&note.text) || has(note.rule.id))
                    || has_text(&record.bytes, text.as_bytes())
            }
        }
    }

    /// Where what is sought begins in the bytes of a message, if it stands there.
    pub(crate) fn place_in(&self, record: &Record) -> Option<usize> {
        match &self.needle {
            Needle::Bytes(bytes) => memmem::find(&record.bytes, bytes),
            Needle::Text(_) => None,
        }
    }
}

/// Whether bytes have a text in them, whatever the case of ASCII letters. `text` is in lower case.
fn has_text(bytes: &[u8], text: &[u8]) -> bool {
    let Some(&first) = text.first() else { return true };
    let mut candidates = memchr::memchr2_iter(first, first.to_ascii_uppercase(), bytes);
    candidates.any(|at| bytes.get(at..at + text.len()).is_some_and(|part| part.eq_ignore_ascii_case(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_bytes_is_found_whatever_its_case() {
        assert!(has_text(b"\x00GET /Announce?", b"announce"));
        assert!(has_text(b"ann", b"ann") && has_text(b"", b""));
        assert!(!has_text(b"aannounc", b"announce"));
    }
}
