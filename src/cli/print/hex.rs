//! A message's bytes with its fields marked: offset, hex, name and value, a line a field, nested ones indented.

use std::io::{self, Write};

use bittrace_protocol::{Field, Hex, Role, Value};
use bittrace_trace::record::{Body, HttpTrackerBody, Record};
use bittrace_trace::units::count;

use crate::print::output::{Look, styles};
use crate::print::table::{columns, pad, wrap};

/// How many bytes stand on a line.
const WIDE: usize = 16;
const NARROW: usize = 8;

/// How many lines of a long field are shown when not all are asked for.
const LINES: usize = 4;

const INDENT: &str = "      ";

/// Writes the bytes of a record, field by field.
pub(crate) fn write(record: &Record, look: Look, all: bool, out: &mut dyn Write) -> io::Result<()> {
    if record.bytes.is_empty() {
        return Ok(());
    }
    let fields = record.fields();
    write_fields(&fields, &record.bytes, look, all, out)?;
    // What was sent in chunks or packed says nothing by its bytes: here they are as meant.
    if let Body::HttpTracker(HttpTrackerBody::Response(response, _)) = &record.body
        && fields.iter().any(|field| field.name == "body")
    {
        writeln!(out, "{INDENT}{}", look.paint(styles::HEADING, "the body as meant:"))?;
        write_fields(&response.reply_fields(), response.body(), look, all, out)?;
    }
    Ok(())
}

/// Writes some bytes, field by field.
pub(crate) fn write_fields(
    fields: &[Field],
    bytes: &[u8],
    look: Look,
    all: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let per_line = if look.width >= 110 { WIDE } else { NARROW };
    let mut dump = Dump { bytes, look, all, per_line, colour: 0, out };
    for field in fields {
        dump.field(field, 0)?;
    }
    writeln!(out)
}

struct Dump<'a> {
    bytes: &'a [u8],
    look: Look,
    all: bool,
    per_line: usize,
    colour: usize,
    out: &'a mut dyn Write,
}

impl Dump<'_> {
    fn field(&mut self, field: &Field, depth: usize) -> io::Result<()> {
        if field.children.is_empty() {
            return self.leaf(field, depth);
        }
        // The children have the bytes; the parent only has a name, and sometimes a value.
        let value = value_text(&field.value);
        let text =
            if value.is_empty() { format!("{}:", field.name) } else { format!("{}: {value}", field.name) };
        self.line(field.span.start, &[], &text, styles::HEADING, depth)?;
        for child in &field.children {
            self.field(child, depth + 1)?;
        }
        Ok(())
    }

    fn leaf(&mut self, field: &Field, depth: usize) -> io::Result<()> {
        let style = match field.role {
            Role::Framing => styles::DIM,
            Role::Content => {
                self.colour += 1;
                styles::FIELDS[(self.colour - 1) % styles::FIELDS.len()]
            }
        };
        let value = value_text(&field.value);
        let text = if value.is_empty() { field.name.to_string() } else { format!("{}: {value}", field.name) };
        let bytes = self.bytes;
        let bytes = bytes.get(field.span.clone()).unwrap_or_default();
        let lines: Vec<&[u8]> = bytes.chunks(self.per_line).collect();
        let shown = if self.all || lines.len() <= LINES + 1 { lines.len() } else { LINES };
        let mut at = field.span.start;
        for (number, line) in lines.iter().take(shown).enumerate() {
            let text = if number == 0 { text.clone() } else { ascii(line) };
            self.line(at, line, &text, style, depth)?;
            at += line.len();
        }
        if shown < lines.len() {
            let more = format!("… {} more bytes; -v shows them", count((field.span.end - at) as u64));
            writeln!(self.out, "{INDENT}{}", self.look.paint(styles::DIM, &more))?;
        }
        Ok(())
    }

    fn line(
        &mut self,
        at: usize,
        bytes: &[u8],
        text: &str,
        style: anstyle::Style,
        depth: usize,
    ) -> io::Result<()> {
        let mut hex = String::new();
        for byte in bytes {
            if !hex.is_empty() {
                hex.push(' ');
            }
            hex.push_str(&Hex(&[*byte]).to_string());
        }
        let offset = format!("{at:04x}");
        let hex_width = 3 * self.per_line - 1;
        let before = INDENT.len() + columns(&offset) + 2 + hex_width + 2;
        let depth = (2 * depth).min(self.look.width.saturating_sub(before + 20));
        let room = self.look.width.saturating_sub(before + depth).max(10);
        for (number, line) in wrap(text, room).into_iter().enumerate() {
            let text = format!("{}{}", " ".repeat(depth), self.look.paint(style, &line));
            match number {
                0 => writeln!(
                    self.out,
                    "{INDENT}{}  {}  {text}",
                    self.look.paint(styles::DIM, &offset),
                    self.look.paint(style, &pad(&hex, hex_width))
                )?,
                _ => writeln!(self.out, "{}{text}", " ".repeat(before))?,
            }
        }
        Ok(())
    }
}

/// The printable ASCII among some bytes, dots for the rest.
fn ascii(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '.' }).collect()
}

fn value_text(value: &Value) -> String {
    match value {
        Value::None | Value::List | Value::Map => String::new(),
        Value::Unsigned(number) => number.to_string(),
        Value::Signed(number) => number.to_string(),
        Value::Number(digits) => digits.clone(),
        Value::Text(text) => format!("\"{text}\""),
        // The bytes stand to the left of it; those of an id or a hash are wanted in one word.
        Value::Bytes(bytes) if bytes.len() <= 32 => Hex(bytes).to_string(),
        Value::Bytes(bytes) => format!("{} bytes", count(bytes.len() as u64)),
        Value::Payload(place) => format!("{} bytes", count(place.len() as u64)),
        Value::Address(address) => address.to_string(),
        Value::Endpoints(endpoints) => {
            endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        Value::Flags(_, names) if names.is_empty() => "none set".to_owned(),
        Value::Flags(_, names) => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(fields: &[Field], bytes: &[u8], look: Look) -> String {
        let mut out = Vec::new();
        write_fields(fields, bytes, look, false, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_field_stands_beside_its_bytes() {
        let fields = [
            Field::framing("length_prefix", 0..4, Value::Unsigned(5)),
            Field::framing("id", 4..5, Value::Unsigned(4)),
            Field::content("index", 5..9, Value::Unsigned(3)),
        ];
        let text = dump(&fields, &[0, 0, 0, 5, 4, 0, 0, 0, 3], Look { width: 80, colour: false });
        let expected = "      \
0000  00 00 00 05              length_prefix: 5
      0004  04                       id: 4
      0005  00 00 00 03              index: 3

";
        assert_eq!(text, expected);
    }

    #[test]
    fn long_fields_say_how_much_is_left_out_and_no_line_is_too_long() {
        let fields = [Field::content("block", 0..1000, Value::Payload(0..1000))];
        let text = dump(&fields, &[7; 1000], Look { width: 80, colour: false });
        assert!(text.contains("968 more bytes"), "{text}");
        assert!(text.lines().all(|line| columns(line) <= 80), "{text}");
    }
}
