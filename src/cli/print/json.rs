//! Results as NDJSON: objects on lines of their own.

use std::io::{self, BufWriter, Write};

use serde::ser::Serialize;
use serde_json::ser::Formatter;
use serde_json::{Map, Value};

use crate::print::printable::escaped;

/// Writes one object on a line.
pub(crate) fn write_line(object: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let mut line = escaped(serde_json::to_string(object)?.into()).into_owned();
    line.push('\n');
    out.write_all(line.as_bytes())
}

/// The same for an object that may be long: its text is never in memory as a whole.
pub(crate) fn write_long_line(object: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 * 1024, out);
    object.serialize(&mut serde_json::Serializer::with_formatter(&mut out, EscapingFormatter))?;
    out.write_all(b"\n")?;
    out.flush()
}

/// An object of these keys and values, in their order.
pub(crate) fn object<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// JSON on one line, with the escapes of [`escaped`].
struct EscapingFormatter;

impl Formatter for EscapingFormatter {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        writer.write_all(escaped(fragment.into()).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_turns_the_order_of_what_is_shown_and_it_reads_as_it_was() {
        let name = "harmless\u{202e}txt.exe \u{2066}\u{7f}\u{85}\n\u{e9}";
        let object = Map::from_iter([("name".to_owned(), json!(name))]);
        let mut line = Vec::new();
        write_line(&object, &mut line).unwrap();
        let mut long = Vec::new();
        write_long_line(&object, &mut long).unwrap();
        assert_eq!(line, long);
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line, "{\"name\":\"harmless\\u202etxt.exe \\u2066\\u007f\\u0085\\n\u{e9}\"}\n");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["name"], name);
    }
}
