//! Numbers of messages count over all captures of a run. Where a capture is read before the earlier ones are counted, its
//! numbers begin at 1 and are marked, and whoever puts its results after theirs adds what they have.

use std::io::{self, Write};

use memchr::memchr;

/// What stands before a marked number: a byte that no UTF-8 text has.
const MARK: u8 = 0xff;

/// Whether numbers of messages are those of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunNumbers {
    /// They are, since earlier captures are counted.
    Known,
    /// They are those of the capture, to be marked.
    Marked,
}

impl RunNumbers {
    /// Writes the number of a message.
    pub(crate) fn push(self, number: u64, out: &mut Vec<u8>) {
        if self == Self::Marked {
            out.push(MARK);
        }
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}

/// Passes bytes on, with a number added to each marked one.
#[derive(Debug)]
pub(crate) struct NumberWriter<W> {
    out: W,
    before: u64,
    /// The marked number whose digits are being read.
    number: Option<u64>,
}

impl<W: Write> NumberWriter<W> {
    /// Adds `before`, the number of messages of earlier captures.
    pub(crate) const fn new(out: W, before: u64) -> Self {
        Self { out, before, number: None }
    }

    /// Writes a number that the bytes ended with.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.write_number()
    }

    fn write_number(&mut self) -> io::Result<()> {
        let Some(number) = self.number.take() else { return Ok(()) };
        let number = number.saturating_add(self.before);
        self.out.write_all(itoa::Buffer::new().format(number).as_bytes())
    }
}

impl<W: Write> Write for NumberWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            match &mut self.number {
                Some(number) if first.is_ascii_digit() => {
                    *number = number.saturating_mul(10).saturating_add(u64::from(first - b'0'));
                    rest = &rest[1..];
                }
                Some(_) => self.write_number()?,
                None => {
                    let end = memchr(MARK, rest).unwrap_or(rest.len());
                    self.out.write_all(&rest[..end])?;
                    self.number = (end < rest.len()).then_some(0);
                    rest = rest.get(end + 1..).unwrap_or_default();
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However the bytes come, each marked number is raised and all else stays.
        #[test]
        fn marked_numbers_are_raised_and_all_else_stays(
            parts in prop::collection::vec((".{0,12}", prop::option::of(0_u64..u64::MAX / 2)), 0..20),
            before in 0_u64..u64::MAX / 2,
            step in 1_usize..40,
        ) {
            let (mut marked, mut expected) = (Vec::new(), String::new());
            for (text, number) in parts {
                // A digit after a number would be one of its own.
                let text = format!(" {text} ");
                marked.extend_from_slice(text.as_bytes());
                expected.push_str(&text);
                if let Some(number) = number {
                    RunNumbers::Marked.push(number, &mut marked);
                    expected.push_str(&(number + before).to_string());
                }
            }
            let mut out = Vec::new();
            let mut writer = NumberWriter::new(&mut out, before);
            for chunk in marked.chunks(step) {
                writer.write_all(chunk).unwrap();
            }
            writer.finish().unwrap();
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
