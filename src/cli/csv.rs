//! Results as CSV (RFC 4180): a header, then a row a message. What is a list or an object elsewhere is JSON in its cell.

use std::io::{self, Write};

use serde_json::Value;

use crate::names::{KEYS, Key, Name};
use crate::row::Row;

/// Writes messages as CSV.
#[derive(Debug)]
pub(crate) struct CsvTable {
    columns: Vec<(Name, String)>,
    begun: bool,
}

impl CsvTable {
    /// A table of the chosen columns, or of all keys and the message's own fields.
    pub(crate) fn new(chosen: &[(Name, String)], with_bytes: bool) -> Self {
        if !chosen.is_empty() {
            return Self { columns: chosen.to_vec(), begun: false };
        }
        let keys = KEYS.iter().filter(|(_, key)| match key {
            Key::Rule => false,
            Key::Bytes => with_bytes,
            _ => true,
        });
        let columns = keys.map(|(name, key)| (Name::Key(*key), (*name).to_owned())).collect();
        Self { columns, begun: false }
    }

    /// Writes the header, unless that is done.
    pub(crate) fn header(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        write_cells(self.columns.iter().map(|(_, text)| text.clone()), out)
    }

    /// Writes one message.
    pub(crate) fn row(&mut self, row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.header(out)?;
        write_cells(
            self.columns.iter().map(|(name, _)| row.value(name).map_or(String::new(), |value| cell(&value))),
            out,
        )
    }
}

/// A value as one cell.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => String::new(),
        other => other.to_string(),
    }
}

/// Writes cells as one row.
pub(crate) fn write_cells(cells: impl Iterator<Item = String>, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::with_capacity(256));
    writer.write_record(cells.map(String::into_bytes))?;
    let line = writer.into_inner().map_err(|error| error.into_error())?;
    out.write_all(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_commas_and_quotes_are_quoted() {
        let mut out = Vec::new();
        let cells = ["a,b", "say \"hi\"", "plain", ""].map(str::to_owned);
        write_cells(cells.into_iter(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "\"a,b\",\"say \"\"hi\"\"\",plain,\n");
    }
}
