//! A message's bytes with its fields marked: offset, hex, ASCII, and the field with its meaning on every row. Bytes that only
//! hold a document together stand with the field that they belong to.

use std::io::{self, Write};
use std::ops::Range;

use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::peer_id::client_name;
use bittrace_protocol::{Field, Hex, PeerId, Role, Value};
use bittrace_trace::record::{Body, HttpTrackerBody, Record, field_meaning, value_text};
use bittrace_trace::units::count;

use crate::print::output::{Look, styles};
use crate::print::table::{columns, pad, wrap};

/// How many rows of a long field are shown when not all are asked for.
const ROWS: usize = 4;

const INDENT: &str = "  ";

/// Writes the bytes of a record, field by field. `torrent` is what the record is about, where that is known.
pub(crate) fn write(
    record: &Record,
    torrent: Option<&Metainfo>,
    look: Look,
    all: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    if record.bytes.is_empty() {
        return Ok(());
    }
    let fields = record.fields();
    write_rows(&field_rows(record, &fields, torrent), &record.bytes, look, all, out)?;
    // What was sent in chunks or packed says nothing by its bytes: here they are as meant.
    if let Body::HttpTracker(HttpTrackerBody::Response(response, _)) = &record.body
        && fields.iter().any(|field| field.name == "body")
    {
        writeln!(out, "{INDENT}{}", look.paint(styles::HEADING, "the body as meant:"))?;
        let fields = response.reply_fields();
        write_rows(&FieldRows::of(&fields, response.body()).rows, response.body(), look, all, out)?;
    }
    Ok(())
}

/// The rows of a record's `fields`, in the order of the bytes. `torrent` is what the record is about, where that is known.
pub(crate) fn field_rows<'f>(
    record: &Record,
    fields: &'f [Field],
    torrent: Option<&Metainfo>,
) -> Vec<FieldRow<'f>> {
    let mut rows = FieldRows::of(fields, &record.bytes).rows;
    for row in &mut rows {
        if let Some(meaning) = field_meaning(record, torrent, row.name) {
            row.text = match row.name {
                "begin" => format!("{} ({meaning})", row.text),
                "reserved" => format!("reserved, {meaning}"),
                name => format!("{name} {} = {meaning}", row.value),
            };
        }
    }
    rows
}

/// Writes some bytes, field by field.
pub(crate) fn write_fields(
    fields: &[Field],
    bytes: &[u8],
    look: Look,
    all: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    write_rows(&FieldRows::of(fields, bytes).rows, bytes, look, all, out)
}

/// A field, or the name of a group of fields, and the bytes beside it.
#[derive(Debug)]
pub(crate) struct FieldRow<'f> {
    name: &'f str,
    /// The bytes.
    pub(crate) span: Range<usize>,
    /// The name with the value, or with what the value means.
    pub(crate) text: String,
    /// The value alone.
    value: String,
    pub(crate) style: anstyle::Style,
    /// How deep it nests.
    pub(crate) depth: usize,
    is_group: bool,
}

#[derive(Debug, Default)]
struct FieldRows<'f> {
    rows: Vec<FieldRow<'f>>,
    /// Where bytes begin that belong to the next field.
    pending: Option<usize>,
    colour: usize,
}

impl<'f> FieldRows<'f> {
    fn of(fields: &'f [Field], bytes: &[u8]) -> Self {
        let mut rows = Self::default();
        for field in fields {
            rows.add(field, bytes, 0);
        }
        if let (Some(start), Some(last)) = (rows.pending.take(), rows.rows.last_mut()) {
            last.span.end = last.span.end.max(bytes.len()).max(start);
        }
        rows
    }

    fn add(&mut self, field: &'f Field, bytes: &[u8], depth: usize) {
        let is_leaf = field.children.is_empty();
        if is_leaf && field.role == Role::Framing && field.value == Value::None {
            return self.attach(field);
        }
        let style = match field.role {
            _ if !is_leaf => styles::HEADING,
            Role::Framing => styles::DIM,
            Role::Content => {
                self.colour += 1;
                styles::FIELDS[(self.colour - 1) % styles::FIELDS.len()]
            }
        };
        // The children of a group have its bytes.
        let span = if is_leaf { field.span.clone() } else { field.span.start..field.span.start };
        let start = self.pending.take().unwrap_or(span.start);
        let value = value_beside_bytes(field, bytes);
        let text =
            if value.is_empty() { field.name.to_string() } else { format!("{} = {value}", field.name) };
        let span = start..span.end;
        self.rows.push(FieldRow { name: &field.name, span, text, value, style, depth, is_group: !is_leaf });
        for child in &field.children {
            self.add(child, bytes, depth + 1);
        }
    }

    /// Puts a delimiter to the field before it, or to the next one: what opens a document opens the next field.
    fn attach(&mut self, delimiter: &Field) {
        let last = self.rows.last_mut().filter(|row| row.span.end == delimiter.span.start);
        match last {
            Some(row) if row.is_group == (delimiter.name == "open") => row.span.end = delimiter.span.end,
            _ => {
                self.pending.get_or_insert(delimiter.span.start);
            }
        }
    }
}

/// How many bytes stand on a row: 16 where their meaning has room beside them.
const fn bytes_on_a_row(width: usize) -> usize {
    match width {
        104.. => 16,
        66.. => 8,
        _ => 4,
    }
}

fn write_rows(
    rows: &[FieldRow<'_>],
    bytes: &[u8],
    look: Look,
    all: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut dump = Dump { look, per_row: bytes_on_a_row(look.width), out };
    for row in rows {
        let bytes = bytes.get(row.span.clone()).unwrap_or_default();
        if bytes.is_empty() {
            dump.line(row.span.start, &[], &row.text, row)?;
            continue;
        }
        let chunks: Vec<&[u8]> = bytes.chunks(dump.per_row).collect();
        let shown = if all || chunks.len() <= ROWS + 1 { chunks.len() } else { ROWS };
        for (number, chunk) in chunks.iter().take(shown).enumerate() {
            let at = number * dump.per_row;
            let text = if number == 0 { row.text.clone() } else { format!("{} +{at}", row.name) };
            dump.line(row.span.start + at, chunk, &text, row)?;
        }
        if shown < chunks.len() {
            let left = bytes.len() - shown * dump.per_row;
            let more = format!("… {} more bytes of {}; -v shows them", count(left as u64), row.name);
            for line in wrap(&more, look.width - INDENT.len()) {
                writeln!(dump.out, "{INDENT}{}", look.paint(styles::DIM, &line))?;
            }
        }
    }
    writeln!(dump.out)
}

struct Dump<'a> {
    look: Look,
    per_row: usize,
    out: &'a mut dyn Write,
}

impl Dump<'_> {
    fn line(&mut self, at: usize, bytes: &[u8], text: &str, row: &FieldRow<'_>) -> io::Result<()> {
        let hex: Vec<_> = bytes.iter().map(|byte| Hex(&[*byte]).to_string()).collect();
        let offset = format!("{at:04x}");
        let hex_width = 3 * self.per_row - 1;
        let before = INDENT.len() + columns(&offset) + 2 + hex_width + 2 + self.per_row + 2;
        let depth = (2 * row.depth).min(self.look.width.saturating_sub(before + 12));
        let room = self.look.width.saturating_sub(before + depth).max(1);
        for (number, line) in wrap(text, room).into_iter().enumerate() {
            let text = format!("{}{}", " ".repeat(depth), self.look.paint(row.style, &line));
            if number > 0 {
                writeln!(self.out, "{}{text}", " ".repeat(before))?;
                continue;
            }
            let marked = format!("{}  {}", pad(&hex.join(" "), hex_width), pad(&ascii(bytes), self.per_row));
            let offset = self.look.paint(styles::DIM, &offset);
            writeln!(self.out, "{INDENT}{offset}  {}  {text}", self.look.paint(row.style, &marked))?;
        }
        Ok(())
    }
}

/// The printable ASCII among some bytes, dots for the rest.
fn ascii(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '.' }).collect()
}

/// The value of a field in words. Bytes that stand to the left of it as they are get no second hex.
fn value_beside_bytes(field: &Field, bytes: &[u8]) -> String {
    match &field.value {
        Value::Bytes(value) => bytes_text(field, value, bytes.get(field.span.clone()).unwrap_or_default()),
        _ => value_text(field),
    }
}

fn bytes_text(field: &Field, value: &[u8], sent: &[u8]) -> String {
    let client = <[u8; 20]>::try_from(value).ok().filter(|_| field.name == "peer_id");
    if let Some(client) = client.and_then(|id| client_name(&PeerId(id))) {
        return client.to_string();
    }
    let is_sent_so = !value.is_empty() && sent.windows(value.len()).any(|window| window == value);
    match value.len() {
        length if length > 32 || is_sent_so && length > 1 => format!("{} bytes", count(length as u64)),
        _ => Hex(value).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(fields: &[Field], bytes: &[u8], look: Look) -> String {
        let mut out = Vec::new();
        write_rows(&FieldRows::of(fields, bytes).rows, bytes, look, false, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    const LOOK: Look = Look { width: 80, colour: false };

    #[test]
    fn each_field_stands_beside_its_bytes() {
        let fields = [
            Field::framing("length_prefix", 0..4, Value::Unsigned(5)),
            Field::framing("id", 4..5, Value::Unsigned(4)),
            Field::content("index", 5..9, Value::Unsigned(3)),
        ];
        let text = dump(&fields, &[0, 0, 0, 5, 4, 0, 0, 0, 3], LOOK);
        let expected = "  \
0000  00 00 00 05              ....      length_prefix = 5
  0004  04                       .         id = 4
  0005  00 00 00 03              ....      index = 3

";
        assert_eq!(text, expected);
    }

    #[test]
    fn delimiters_stand_with_the_field_that_they_belong_to() {
        let fields = [
            Field::framing("open", 0..1, Value::None),
            Field::content("a", 1..4, Value::Unsigned(7)),
            Field::framing("delimiter", 4..5, Value::None),
            Field::content("m", 5..9, Value::Map).with_children(vec![
                Field::framing("open", 5..6, Value::None),
                Field::content("b", 6..8, Value::Bytes(vec![0x62, 0x62])),
                Field::framing("close", 8..9, Value::None),
            ]),
            Field::framing("close", 9..10, Value::None),
        ];
        let text = dump(&fields, b"da=7&dbbee", LOOK);
        let expected = "  \
0000  64 61 3d 37 26           da=7&     a = 7
  0005  64                       d         m
  0006  62 62 65 65              bbee        b = 2 bytes

";
        assert_eq!(text, expected);
    }

    #[test]
    fn bytes_are_said_in_hex_only_where_they_were_sent_otherwise() {
        let hash = Field::content("info_hash", 0..6, Value::Bytes(vec![0x12, 0x34]));
        assert_eq!(value_beside_bytes(&hash, b"%12%34"), "1234");
        assert_eq!(value_beside_bytes(&hash, &[0x12, 0x34, 0, 0, 0, 0]), "2 bytes");
        let peer_id = Field::content("peer_id", 0..20, Value::Bytes(b"-TR3000-m8ldwlnf3o1x".to_vec()));
        assert_eq!(value_beside_bytes(&peer_id, b"-TR3000-m8ldwlnf3o1x"), "Transmission 3.00");
    }

    #[test]
    fn long_fields_say_how_much_is_left_out_and_no_line_is_too_long() {
        let fields = [Field::content("block", 0..1000, Value::Payload(0..1000))];
        for (width, left) in [(40, 984), (80, 968), (120, 936)] {
            let text = dump(&fields, &[7; 1000], Look { width, colour: false });
            assert!(text.contains(&format!("{left} more bytes")), "{text}");
            assert!(text.lines().all(|line| columns(line) <= width), "{text}");
        }
    }
}
