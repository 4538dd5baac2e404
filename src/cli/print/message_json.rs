//! Messages as NDJSON, written straight to the buffer of their line.
//!
//! A capture holds millions of messages, and most of what their objects say was said on the lines before: the addresses,
//! the torrent, the second. These texts are kept. The way over [`Serialize`], which everything else
//! goes, is the measure: a test holds the bytes of both ways equal.

use std::borrow::Cow;
use std::io::{self, Write};
use std::net::SocketAddr;

use bittrace_protocol::field::{Field, Role, Value as FieldValue};
use bittrace_protocol::{InfoHash, Timestamp};
use rustc_hash::FxHashMap;
use serde::Serialize;
use smallvec::SmallVec;

use crate::print::printable::{escaped, is_plain};
use crate::print::run_numbers::RunNumbers;
use crate::print::units::rfc3339;
use crate::query::cell_value::CellValue;
use crate::query::fields::object;
use crate::query::names::{FieldName, RowKey, keys_of_objects};
use crate::query::row::Row;

/// Writes messages as objects, a line each.
#[derive(Debug)]
pub(crate) struct JsonMessages {
    /// The keys that are wanted; all when empty.
    chosen: Vec<(FieldName, String)>,
    with_bytes: bool,
    /// The line that is being written.
    line: Vec<u8>,
    texts: RepeatedTexts,
}

/// What earlier lines said, as they said it.
#[derive(Debug, Default)]
struct RepeatedTexts {
    hash: Option<(InfoHash, String)>,
    ends: FxHashMap<SocketAddr, String>,
    /// The second of the last moment since the epoch, and its text without what follows the seconds.
    second: Option<(i64, String)>,
}

/// Addresses whose text is kept; beyond so many all are forgotten.
const ENDS: usize = 4096;

const NANOS_PER_SEC: i64 = 1_000_000_000;

impl JsonMessages {
    /// A writer of all keys, or of those chosen.
    pub(crate) fn new(chosen: &[(FieldName, String)], with_bytes: bool) -> Self {
        Self {
            chosen: chosen.to_vec(),
            with_bytes,
            line: Vec::with_capacity(1024),
            texts: RepeatedTexts::default(),
        }
    }

    /// Writes one message.
    pub(crate) fn write(&mut self, row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
        let Self { chosen, with_bytes, line, texts } = self;
        line.clear();
        line.push(b'{');
        if chosen.is_empty() {
            for (name, key) in keys_of_objects(*with_bytes) {
                if key == RowKey::Fields {
                    write_name(name, line);
                    write_fields_of(row, line)?;
                } else if let Some(said) = row.key(key) {
                    write_name(name, line);
                    texts.write(&said, line)?;
                }
            }
        }
        for (name, text) in chosen.iter() {
            separate(line);
            write_text(text, line)?;
            line.push(b':');
            match row.said(name) {
                Some(said) => texts.write(&said, line)?,
                None => line.extend_from_slice(b"null"),
            }
        }
        line.extend_from_slice(b"}\n");
        out.write_all(line)
    }
}

impl RepeatedTexts {
    fn write(&mut self, said: &CellValue<'_>, line: &mut Vec<u8>) -> io::Result<()> {
        match said {
            CellValue::True => line.extend_from_slice(b"true"),
            CellValue::Number(number) => write_number(*number, line),
            CellValue::MarkedNumber(number) => RunNumbers::Marked.push(*number, line),
            CellValue::Text(text) => write_text(text, line)?,
            CellValue::Time(at) => self.write_time(*at, line),
            CellValue::End(end) => self.write_end(*end, line),
            CellValue::Hash(hash) => self.write_hash(*hash, line),
            CellValue::Frames(frames) => {
                line.push(b'[');
                for frame in *frames {
                    separate(line);
                    write_number(*frame, line);
                }
                line.push(b']');
            }
            CellValue::Wireshark { stream, frame } => {
                line.push(b'{');
                write_name("stream", line);
                write_number_or_null(stream.map(u64::from), line);
                write_name("frame", line);
                write_number_or_null(*frame, line);
                line.push(b'}');
            }
            CellValue::Notes([]) => line.extend_from_slice(b"[]"),
            CellValue::Seconds(seconds) => serde_json::to_writer(line, seconds)?,
            said => write_serialized(said, line)?,
        }
        Ok(())
    }

    fn write_time(&mut self, at: Timestamp, line: &mut Vec<u8>) {
        let nanos = at.as_nanos();
        let second = nanos.div_euclid(NANOS_PER_SEC);
        let text = match &mut self.second {
            Some((known, text)) if *known == second => text,
            place => {
                let mut text = rfc3339(Timestamp::from_secs_nanos(second, 0));
                text.truncate(text.find('.').unwrap_or(text.len()));
                &place.insert((second, text)).1
            }
        };
        line.push(b'"');
        line.extend_from_slice(text.as_bytes());
        let fraction = nanos.rem_euclid(NANOS_PER_SEC);
        let (mut rest, digits) = if fraction % 1000 == 0 { (fraction / 1000, 6) } else { (fraction, 9) };
        let mut shown = *b".000000000";
        for place in shown[1..=digits].iter_mut().rev() {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        line.extend_from_slice(&shown[..=digits]);
        line.extend_from_slice(b"Z\"");
    }

    fn write_end(&mut self, end: SocketAddr, line: &mut Vec<u8>) {
        if self.ends.len() >= ENDS && !self.ends.contains_key(&end) {
            self.ends.clear();
        }
        let text = self.ends.entry(end).or_insert_with(|| format!("\"{end}\""));
        line.extend_from_slice(text.as_bytes());
    }

    fn write_hash(&mut self, hash: InfoHash, line: &mut Vec<u8>) {
        let text = match &mut self.hash {
            Some((known, text)) if *known == hash => text,
            place => &place.insert((hash, format!("\"{hash}\""))).1,
        };
        line.extend_from_slice(text.as_bytes());
    }
}

/// The message's own fields as an object.
fn write_fields_of(row: &Row<'_>, line: &mut Vec<u8>) -> io::Result<()> {
    let fields = row.record.content();
    let Some(numbers) = numbers_of(&fields) else {
        return write_serialized(&object(&fields), line);
    };
    line.push(b'{');
    for (name, number) in numbers {
        write_name(name, line);
        write_number(number, line);
    }
    line.push(b'}');
    Ok(())
}

/// The content of fields that say nothing but numbers, each under a name of its own, as the common messages of peers do;
/// `None` for all other fields.
pub(crate) fn numbers_of(fields: &[Field]) -> Option<SmallVec<[(&'static str, u64); 4]>> {
    let mut numbers = SmallVec::new();
    for field in fields.iter().filter(|field| field.role == Role::Content) {
        // Names that are lent are of the protocol, and need no escapes.
        let (name, number) = match (&field.name, &field.value) {
            (Cow::Borrowed(name), FieldValue::Unsigned(number)) => (*name, *number),
            (_, FieldValue::Payload(place)) => ("length", place.len() as u64),
            _ => return None,
        };
        let is_new = numbers.iter().all(|(other, _)| *other != name);
        if !is_new || !field.children.is_empty() || numbers.len() == numbers.inline_size() {
            return None;
        }
        numbers.push((name, number));
    }
    Some(numbers)
}

/// A comma, unless the object or list has only just begun.
pub(super) fn separate(line: &mut Vec<u8>) {
    if !matches!(line.last(), Some(b'{' | b'[')) {
        line.push(b',');
    }
}

/// A name that needs no escapes.
pub(super) fn write_name(name: &str, line: &mut Vec<u8>) {
    separate(line);
    line.push(b'"');
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":");
}

pub(super) fn write_number(number: u64, line: &mut Vec<u8>) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn write_number_or_null(number: Option<u64>, line: &mut Vec<u8>) {
    match number {
        Some(number) => write_number(number, line),
        None => line.extend_from_slice(b"null"),
    }
}

pub(super) fn write_text(text: &str, line: &mut Vec<u8>) -> io::Result<()> {
    if !is_plain(text) || text.bytes().any(|byte| matches!(byte, b'"' | b'\\')) {
        return write_serialized(text, line);
    }
    line.push(b'"');
    line.extend_from_slice(text.as_bytes());
    line.push(b'"');
    Ok(())
}

fn write_serialized(value: &(impl Serialize + ?Sized), line: &mut Vec<u8>) -> io::Result<()> {
    line.extend_from_slice(escaped(serde_json::to_string(value)?.into()).as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use bittrace_testing::captures::{captures, options};
    use bittrace_trace::{Dissected, Trace};
    use serde::Serializer;

    use super::*;
    use crate::print::json::write_line;
    use crate::query::row::CaptureContext;

    /// The same object over [`Serialize`].
    struct AsObject<'a>(&'a Row<'a>, &'a [(FieldName, String)]);

    impl Serialize for AsObject<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let Self(row, chosen) = self;
            if chosen.is_empty() {
                let said = |(name, key)| Some((name, row.key(key)?));
                return serializer.collect_map(keys_of_objects(true).filter_map(said));
            }
            serializer.collect_map(chosen.iter().map(|(name, text)| (text, row.said(name))))
        }
    }

    #[test]
    fn every_message_of_the_captures_has_the_bytes_that_serialize_gives() {
        let names = [
            "index",
            "fields.length",
            "notes",
            "time",
            "src",
            "torrent",
            "fields",
            "bytes",
            "summary",
            "community_id",
        ];
        let chosen: Vec<_> =
            names.iter().map(|name| (FieldName::parse(name).unwrap(), format!("a \"{name}\""))).collect();
        let mut messages = 0;
        for path in captures() {
            let mut trace = Trace::open(&path, options(&path)).unwrap();
            let mut place: Option<CaptureContext> = None;
            let mut writers = [JsonMessages::new(&[], true), JsonMessages::new(&chosen, false)];
            while let Ok(Some(dissected)) = trace.next() {
                let Dissected::Record(record) = dissected else { continue };
                let place = place.get_or_insert_with(|| {
                    let name = format!("a \\ \u{1b} {}", path.display());
                    let mut context = CaptureContext::new(name, 7, Vec::new());
                    context.start = record.at;
                    context
                });
                let row = Row::new(&record, place);
                for (writer, chosen) in writers.iter_mut().zip([&[], &*chosen]) {
                    let (mut straight, mut serialized) = (Vec::new(), Vec::new());
                    writer.write(&row, &mut straight).unwrap();
                    write_line(&AsObject(&row, chosen), &mut serialized).unwrap();
                    assert_eq!(String::from_utf8(straight).unwrap(), String::from_utf8(serialized).unwrap());
                }
                messages += 1;
            }
        }
        assert!(messages > 1000, "{messages}");
    }

    #[test]
    fn moments_before_the_epoch_and_with_nanoseconds_are_written_as_elsewhere() {
        let mut texts = RepeatedTexts::default();
        for nanos in
            [i64::MIN, -1, 0, 1, 999_999_000, 1_767_323_045_123_456_000, 1_767_323_045_123_456_007, i64::MAX]
        {
            let mut line = Vec::new();
            texts.write_time(Timestamp::from_nanos(nanos), &mut line);
            let expected = format!("\"{}\"", rfc3339(Timestamp::from_nanos(nanos)));
            assert_eq!(String::from_utf8(line).unwrap(), expected);
        }
    }

    #[test]
    fn addresses_are_forgotten_and_said_again() {
        let mut texts = RepeatedTexts::default();
        for round in 0..2 {
            for number in 0..3 * ENDS as u32 / 2 {
                let end = SocketAddr::from((std::net::Ipv4Addr::from(number), 6881));
                let mut line = Vec::new();
                texts.write_end(end, &mut line);
                assert_eq!(line, format!("\"{end}\"").into_bytes(), "round {round}");
                assert!(texts.ends.len() <= ENDS);
            }
        }
    }

    #[test]
    fn numbers_go_straight_only_under_names_of_the_protocol_and_of_their_own() {
        let number = |name: &'static str| Field::content(name, 0..4, FieldValue::Unsigned(7));
        assert_eq!(numbers_of(&[number("index"), number("begin")]).unwrap().len(), 2);
        assert!(numbers_of(&[number("index"), number("index")]).is_none());
        assert!(
            numbers_of(&[number("length"), Field::content("block", 4..9, FieldValue::Payload(4..9))])
                .is_none()
        );
        assert!(numbers_of(&[Field::content("a\"b".to_owned(), 0..4, FieldValue::Unsigned(7))]).is_none());
        assert!(numbers_of(&["a", "b", "c", "d", "e"].map(number)).is_none());
    }
}
