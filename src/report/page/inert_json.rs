//! JSON inside HTML: no character of it can end the block that holds it, and no text of it turns what is shown.

use std::io::{self, Write};

use bittrace_trace::record::disguises;
use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};

/// Writes a value as JSON on one line. `<`, `>`, `&` are escaped. Characters that are obeyed and not seen (see [`disguises`])
/// become the six characters of their number, `\u202e`, as in the text of the page: a script that shows the value as text
/// shows them so.
///
/// # Errors
/// Those of the writer.
pub(crate) fn write_inert_json(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, InertFormatter))?;
    Ok(())
}

/// How many bytes a text has in such JSON, without its quotes.
pub(crate) fn inert_length(text: &str) -> usize {
    let length = |c: char| match c {
        '<' | '>' | '&' => 6,
        '"' | '\\' => 2,
        c if disguises(c) => 7,
        c => c.len_utf8(),
    };
    text.chars().map(length).sum()
}

/// How many bytes a value has in such JSON.
pub(crate) fn inert_json_length(value: &impl Serialize) -> usize {
    let mut length = LengthOf(0);
    // Nothing is written, so nothing fails; a value that cannot be JSON has no length.
    match write_inert_json(value, &mut length) {
        Ok(()) => length.0,
        Err(_) => usize::MAX,
    }
}

struct LengthOf(usize);

impl Write for LengthOf {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct InertFormatter;

impl Formatter for InertFormatter {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c| matches!(c, '<' | '>' | '&') || disguises(c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let Some(c) = rest[at..].chars().next() else { break };
            match c {
                '<' | '>' | '&' => write!(writer, "\\u{:04x}", u32::from(c))?,
                c => write_number(writer, u32::from(c))?,
            }
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        let control = match escape {
            CharEscape::Quote => return writer.write_all(b"\\\""),
            CharEscape::ReverseSolidus | CharEscape::Solidus => return writer.write_all(b"\\\\"),
            CharEscape::Backspace => 8,
            CharEscape::FormFeed => 12,
            CharEscape::LineFeed => 10,
            CharEscape::CarriageReturn => 13,
            CharEscape::Tab => 9,
            CharEscape::AsciiControl(byte) => byte,
        };
        write_number(writer, control.into())
    }
}

/// The number of a character as text: a backslash, `u`, four digits.
fn write_number<W: ?Sized + Write>(writer: &mut W, number: u32) -> io::Result<()> {
    write!(writer, "\\\\u{number:04x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        write_inert_json(&text, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn no_text_ends_the_block_that_holds_it() {
        assert_eq!(written("</script>&\u{2028}"), r#""\u003c/script\u003e\u0026\\u2028""#);
        let parsed: String = serde_json::from_str(&written("</script>&<!--")).unwrap();
        assert_eq!(parsed, "</script>&<!--");
    }

    #[test]
    fn characters_that_are_obeyed_are_shown_by_their_number() {
        let parsed: String =
            serde_json::from_str(&written("a\u{202e}b\0\n\t\u{8}\u{c}\r\"\\/\u{1b}\u{7f}")).unwrap();
        assert_eq!(parsed, "a\\u202eb\\u0000\\u000a\\u0009\\u0008\\u000c\\u000d\"\\/\\u001b\\u007f");
    }

    #[test]
    fn the_length_is_that_of_the_text_as_written() {
        for text in ["plain", "</script>&", "a\u{202e}b\0\n\"\\", "na\u{ef}ve \u{1f600}"] {
            assert_eq!(inert_length(text) + 2, written(text).len(), "{text:?}");
        }
    }
}
