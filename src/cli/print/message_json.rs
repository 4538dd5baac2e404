//! Messages as NDJSON, written straight to the buffer of their line.
//!
//! A capture holds millions of messages, and most of what their objects say was said on the lines before: the addresses,
//! the torrent, the second. These texts are kept. The way over [`Serialize`](serde::Serialize), which everything else goes, is the
//! measure: a test holds the bytes of both ways equal.

mod plain;

use std::io::{self, Write};

use crate::print::kept_texts::{KeptTexts, push_number};
use crate::print::printable::{escaped, has_byte, is_plain};
use crate::print::run_numbers::RunNumbers;
use crate::query::cell_value::CellValue;
use crate::query::names::{FieldName, RowKey, keys_of_objects};
use crate::query::row::Row;
use plain::PlainMessages;

/// Writes messages as objects, a line each.
#[derive(Debug)]
pub(crate) struct JsonMessages {
    keys: Keys,
    /// Writes plain messages with all their keys, where that is what is wanted.
    plain: Option<PlainMessages>,
    /// The line that is being written.
    line: Vec<u8>,
    /// The summary that is being written.
    summary: String,
    texts: KeptTexts,
}

/// The keys of each object, in order. Each has its text with what stands around it: `,"n":`, without a comma for the first.
#[derive(Debug)]
enum Keys {
    /// All keys of messages. A message that has nothing under a key lacks the key.
    All(Vec<(String, RowKey)>),
    /// The keys that were chosen; null where a message has nothing.
    Chosen(Vec<(String, FieldName)>),
}

impl JsonMessages {
    /// A writer of all keys, or of those chosen.
    pub(crate) fn new(chosen: &[(FieldName, String)], with_bytes: bool) -> Self {
        let keys = if chosen.is_empty() {
            let keys = keys_of_objects(with_bytes).enumerate();
            // The names are the program's own, and need no escapes.
            Keys::All(keys.map(|(at, (name, key))| (format!("{}\"{name}\":", comma(at)), key)).collect())
        } else {
            let keys = chosen.iter().enumerate();
            Keys::Chosen(
                keys.map(|(at, (name, text))| (format!("{}{}:", comma(at), quoted(text)), name.clone()))
                    .collect(),
            )
        };
        let plain = (chosen.is_empty() && !with_bytes).then(PlainMessages::default);
        Self {
            keys,
            plain,
            line: Vec::with_capacity(1024),
            summary: String::new(),
            texts: KeptTexts::default(),
        }
    }

    /// Writes one message.
    pub(crate) fn write(&mut self, row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
        let Self { keys, plain, line, summary, texts } = self;
        line.clear();
        if let Some(plain) = plain
            && plain.write(row, (summary, texts), line)?
        {
            return out.write_all(line);
        }
        line.push(b'{');
        match keys {
            // Every message has the first key, its number.
            Keys::All(keys) => {
                for (text, key) in keys {
                    write_key(text, *key, row, (summary, texts), line)?;
                }
            }
            Keys::Chosen(keys) => {
                for (text, name) in keys {
                    line.extend_from_slice(text.as_bytes());
                    match row.said(name) {
                        Some(said) => write_value(&said, texts, line)?,
                        None => line.extend_from_slice(b"null"),
                    }
                }
            }
        }
        line.extend_from_slice(b"}\n");
        out.write_all(line)
    }
}

/// What stands before the key at a place.
const fn comma(place: usize) -> &'static str {
    if place == 0 { "" } else { "," }
}

/// Writes what a message has under one of all keys, where it has something.
#[inline]
fn write_key(
    text: &str,
    key: RowKey,
    row: &Row<'_>,
    (summary, texts): (&mut String, &mut KeptTexts),
    line: &mut Vec<u8>,
) -> io::Result<()> {
    match key {
        RowKey::Summary => {
            line.extend_from_slice(text.as_bytes());
            summary.clear();
            row.summary_into(summary);
            write_text(summary, line);
        }
        RowKey::Fields => {
            line.extend_from_slice(text.as_bytes());
            write_fields_of(row, line)?;
        }
        key => {
            if let Some(said) = row.key(key) {
                line.extend_from_slice(text.as_bytes());
                write_value(&said, texts, line)?;
            }
        }
    }
    Ok(())
}

#[inline]
fn write_value(said: &CellValue<'_>, texts: &mut KeptTexts, line: &mut Vec<u8>) -> io::Result<()> {
    match said {
        CellValue::True => line.extend_from_slice(b"true"),
        CellValue::Number(number) => push_number(*number, line),
        CellValue::MarkedNumber(number) => RunNumbers::Marked.push(*number, line),
        CellValue::Word(word) => within_quotes(line, |line| line.extend_from_slice(word.as_bytes())),
        CellValue::Text(text) => write_text(text, line),
        CellValue::Time(at) => within_quotes(line, |line| texts.push_time(*at, line)),
        CellValue::End(end) => within_quotes(line, |line| texts.push_end(*end, line)),
        CellValue::Hash(hash) => within_quotes(line, |line| texts.push_hash(*hash, line)),
        CellValue::Frames(frames) => write_numbers(frames, line),
        CellValue::Wireshark { stream, frame } => {
            line.extend_from_slice(b"{\"stream\":");
            write_number_or_null(stream.map(u64::from), line);
            line.extend_from_slice(b",\"frame\":");
            write_number_or_null(*frame, line);
            line.push(b'}');
        }
        CellValue::Notes([]) => line.extend_from_slice(b"[]"),
        CellValue::Seconds(seconds) => write_seconds(*seconds, line)?,
        said => line.extend_from_slice(escaped(serde_json::to_string(said)?.into()).as_bytes()),
    }
    Ok(())
}

/// The message's own fields as an object, where all of them are numbers; whether they are.
fn write_number_fields(row: &Row<'_>, line: &mut Vec<u8>) -> bool {
    let before = line.len();
    let numbers_alone = row.each_number(|name, number| {
        line.extend_from_slice(if line.len() == before { b"{\"" } else { b",\"" });
        line.extend_from_slice(name.as_bytes());
        line.extend_from_slice(b"\":");
        push_number(number, line);
    });
    if numbers_alone {
        line.extend_from_slice(if line.len() == before { b"{}" } else { b"}" });
    }
    numbers_alone
}

/// The message's own fields as an object.
fn write_fields_of(row: &Row<'_>, line: &mut Vec<u8>) -> io::Result<()> {
    if write_number_fields(row, line) {
        return Ok(());
    }
    let fields = serde_json::to_string(row.fields())?;
    line.extend_from_slice(escaped(fields.into()).as_bytes());
    Ok(())
}

fn write_numbers(numbers: &[u64], line: &mut Vec<u8>) {
    line.push(b'[');
    for (place, number) in numbers.iter().enumerate() {
        line.extend_from_slice(comma(place).as_bytes());
        push_number(*number, line);
    }
    line.push(b']');
}

fn write_seconds(seconds: f64, line: &mut Vec<u8>) -> io::Result<()> {
    Ok(serde_json::to_writer(line, &seconds)?)
}

fn within_quotes(line: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    line.push(b'"');
    write(line);
    line.push(b'"');
}

fn write_number_or_null(number: Option<u64>, line: &mut Vec<u8>) {
    match number {
        Some(number) => push_number(number, line),
        None => line.extend_from_slice(b"null"),
    }
}

/// Writes a text as JSON.
pub(super) fn write_text(text: &str, line: &mut Vec<u8>) {
    if is_plain(text) && !has_byte(text, b'"') && !has_byte(text, b'\\') {
        within_quotes(line, |line| line.extend_from_slice(text.as_bytes()));
    } else {
        line.extend_from_slice(quoted(text).as_bytes());
    }
}

/// A text with quotation marks and escapes.
fn quoted(text: &str) -> String {
    escaped(serde_json::Value::from(text).to_string().into()).into_owned()
}

#[cfg(test)]
mod tests {
    use bittrace_testing::captures::{captures, options};
    use bittrace_trace::{Dissected, Trace};
    use serde::{Serialize, Serializer};

    use super::*;
    use crate::print::json::write_line;
    use crate::query::row::CaptureContext;

    /// The same object over [`Serialize`], by the chosen keys or all, with those of bytes or without.
    struct AsObject<'a>(&'a Row<'a>, &'a [(FieldName, String)], bool);

    impl Serialize for AsObject<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let Self(row, chosen, with_bytes) = self;
            if chosen.is_empty() {
                let said = |(name, key)| Some((name, row.key(key)?));
                return serializer.collect_map(keys_of_objects(*with_bytes).filter_map(said));
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
        let mut writers = [(&[][..], false), (&[], true), (&chosen, false)]
            .map(|(chosen, with_bytes)| (JsonMessages::new(chosen, with_bytes), chosen, with_bytes));
        let (mut messages, mut plain) = (0, 0);
        for path in captures() {
            let mut trace = Trace::open(&path, options(&path)).unwrap();
            let mut place: Option<CaptureContext> = None;
            while let Ok(Some(dissected)) = trace.next() {
                let Dissected::Record(record) = dissected else { continue };
                let place = place.get_or_insert_with(|| {
                    let name = format!("a \\ \u{1b} {}", path.display());
                    let mut context = CaptureContext::new(name, 7, Vec::new());
                    context.start = record.at;
                    context
                });
                let row = Row::new(&record, place);
                for (writer, chosen, with_bytes) in &mut writers {
                    let (mut straight, mut serialized) = (Vec::new(), Vec::new());
                    writer.write(&row, &mut straight).unwrap();
                    write_line(&AsObject(&row, chosen, *with_bytes), &mut serialized).unwrap();
                    assert_eq!(String::from_utf8(straight).unwrap(), String::from_utf8(serialized).unwrap());
                }
                for path in ["index", "begin", "length", "Block_Length", "m.ut_pex"] {
                    let said = row.said(&FieldName::Field(path.to_owned()));
                    assert_eq!(said.map(|said| said.to_value()).as_ref(), row.field(path), "{path}");
                }
                messages += 1;
                plain += usize::from(row.each_number(|_, _| {}));
            }
        }
        assert!(messages > 1000 && plain > messages / 2, "{plain} of {messages}");
    }
}
