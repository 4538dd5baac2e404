//! The tables of `--format arrow` and `--format parquet`: rows of messages and of views, handed to `bittrace-columnar`,
//! which has the columns and writes them.

mod content;
mod result;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;
use bittrace_columnar::{
    CAPTURES, CONVERSATIONS, ColumnarError, Encoding, FINDINGS, MessageRow, MessageWriter, ObjectWriter,
    PIECES, PartWriter, TABLES, Table, TableSize,
};
use serde_json::{Map, Value, json};

pub(crate) use bittrace_columnar::MessageOptions;
pub(crate) use result::{ColumnResult, RunDescription, parts};

use crate::args::ViewName;
use crate::print::json::write_line;
use crate::print::output::Output;
use crate::print::page::Page;
use crate::print::table::Column;
use crate::query::row::Row;

/// Tables that are being written.
pub(crate) struct ColumnTables {
    tables: Tables,
    with_summary: bool,
    /// Room for the fields of a message as JSON.
    fields: String,
}

/// Which tables there are, and where they go.
enum Tables {
    /// The messages, as an Arrow stream.
    Messages(Box<MessageWriter<Output>>),
    /// Another table, as an Arrow stream.
    Objects(&'static Table, Box<ObjectWriter<Output>>),
    /// All tables, as files of a part.
    Part(Box<PartWriter>),
}

/// How much each table of a part has.
pub(crate) type PartSize = BTreeMap<String, TableSize>;

impl ColumnTables {
    /// The table of a view as an Arrow stream; `None` where the view has no table.
    ///
    /// # Errors
    /// When nothing can be written.
    pub(crate) fn stream(view: ViewName, options: MessageOptions, output: Output) -> Result<Option<Self>> {
        let table = match view {
            ViewName::Messages => {
                let writer = MessageWriter::new(Encoding::Arrow, options, output).map_err(fault)?;
                return Ok(Some(Self::new(Tables::Messages(Box::new(writer)), options)));
            }
            ViewName::Conversations => &CONVERSATIONS,
            ViewName::Pieces => &PIECES,
            ViewName::Findings => &FINDINGS,
            ViewName::Captures => &CAPTURES,
            _ => return Ok(None),
        };
        let writer = ObjectWriter::new(Encoding::Arrow, table, output).map_err(fault)?;
        Ok(Some(Self::new(Tables::Objects(table, Box::new(writer)), options)))
    }

    /// All tables as a part of a result; `place` is its folder and the name of the part, see [`ColumnResult::place`].
    ///
    /// # Errors
    /// When a file cannot be created.
    pub(crate) fn part(place: &Path, options: MessageOptions) -> Result<Self> {
        let folder = place.parent().unwrap_or(Path::new("."));
        let part = place.file_name().unwrap_or_default().to_string_lossy();
        let writer = PartWriter::create(folder, &part, options).map_err(fault)?;
        Ok(Self::new(Tables::Part(Box::new(writer)), options))
    }

    fn new(tables: Tables, options: MessageOptions) -> Self {
        Self { tables, with_summary: options.summary, fields: String::new() }
    }

    /// Appends a message.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn message(&mut self, row: &Row<'_>) -> Result<()> {
        if matches!(self.tables, Tables::Objects(..)) {
            return Ok(());
        }
        let summary = if self.with_summary { row.summary() } else { String::new() };
        let message = MessageRow {
            record: row.record,
            capture: &row.place.capture,
            start: row.place.start,
            summary: &summary,
            content: content::content(row, &mut self.fields),
        };
        match &mut self.tables {
            Tables::Messages(writer) => writer.push(&message).map_err(fault),
            Tables::Part(writer) => writer.message(&message).map_err(fault),
            Tables::Objects(..) => Ok(()),
        }
    }

    /// Appends the rows of a view, if its table is among those that are written. `name` is what a row is called in JSON.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn rows(
        &mut self,
        name: &str,
        rows: impl IntoIterator<Item = Map<String, Value>>,
    ) -> Result<()> {
        let Some(table) = TABLES.into_iter().find(|table| table.name.strip_suffix('s') == Some(name)) else {
            return Ok(());
        };
        for row in rows {
            let row = Value::Object(row);
            match &mut self.tables {
                Tables::Objects(wanted, writer) if wanted.name == table.name => {
                    writer.push(&row).map_err(fault)?
                }
                Tables::Part(writer) => writer.object(table, &row).map_err(fault)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Ends the tables. How much each has, where they are a part.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn finish(self) -> Result<PartSize> {
        match self.tables {
            Tables::Messages(writer) => drop(writer.finish().map_err(fault)?),
            Tables::Objects(_, writer) => drop(writer.finish().map_err(fault)?),
            Tables::Part(writer) => return writer.finish().map_err(fault),
        }
        Ok(PartSize::new())
    }
}

/// An error of the output is told apart from others: its reader may have gone.
fn fault(error: ColumnarError) -> anyhow::Error {
    match error {
        ColumnarError::Io(error) => error.into(),
        other => other.into(),
    }
}

/// Writes all tables with their columns: name, type, whether a value may be missing, where the same stands in JSON.
///
/// # Errors
/// When nothing can be written.
pub(crate) fn describe_tables(is_json: bool, output: &mut Output) -> Result<()> {
    if is_json {
        for table in TABLES {
            write_line(&object(table), output)?;
        }
        return Ok(());
    }
    Ok(write_tables(&mut Page::new(output.look, output))?)
}

fn write_tables(page: &mut Page<'_>) -> io::Result<()> {
    for (at, table) in TABLES.into_iter().enumerate() {
        if at > 0 {
            writeln!(page)?;
        }
        page.title(&format!("{}: {}", table.name, table.text))?;
        let columns = [
            Column::text("column", 12),
            Column::text("type", 12),
            Column::text("null", 4),
            Column::text("in JSON", 12),
            Column::text("meaning", 20),
        ];
        let rows = table.columns.iter().map(|column| {
            let null = if column.null { "yes" } else { "" };
            let kind = column.kind.name();
            [column.name, &kind, null, column.json, column.text].map(str::to_owned).to_vec()
        });
        page.table(&columns, &rows.collect::<Vec<_>>())?;
    }
    Ok(())
}

fn object(table: &Table) -> Value {
    let columns = table.columns.iter().map(|column| {
        json!({
            "name": column.name,
            "type": column.kind.name(),
            "null": column.null,
            "json": column.json,
            "meaning": column.text,
        })
    });
    json!({ "table": {
        "table": table.name,
        "meaning": table.text,
        "schema": bittrace_columnar::SCHEMA_VERSION,
        "columns": columns.collect::<Vec<_>>(),
    }})
}
