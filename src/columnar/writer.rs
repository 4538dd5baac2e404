//! Tables that are being written: rows gather in a batch of a bounded size, and batches go to an Arrow stream or a Parquet
//! file.

use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding as ParquetEncoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use serde_json::Value;

use crate::messages::{MessageColumns, MessageOptions, MessageRow};
use crate::objects::ObjectColumns;
use crate::table::{ColumnType, Table};
use crate::{ColumnarError, MESSAGES};

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As an Arrow IPC stream.
    Arrow,
    /// As a Parquet file.
    Parquet,
}

/// The table of messages, as it is written.
pub struct MessageWriter<W: Write + Send> {
    columns: MessageColumns,
    batches: Batches<W>,
}

/// Another table, as it is written.
pub struct ObjectWriter<W: Write + Send> {
    columns: ObjectColumns,
    batches: Batches<W>,
}

/// The rows of a batch. Few enough that all columns of a batch take some megabytes, and enough that what is said once a
/// batch costs nothing.
const BATCH_ROWS: usize = 16_384;

/// The text of a batch in bytes: long texts end a batch before [`BATCH_ROWS`] does.
const BATCH_BYTES: usize = 8 << 20;

/// The rows of a row group. Engines read and skip whole row groups.
const GROUP_ROWS: usize = 131_072;

/// The encoded bytes of a row group, which stand in memory until it is whole.
const GROUP_BYTES: usize = 64 << 20;

impl<W: Write + Send> MessageWriter<W> {
    /// Begins the table.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn new(encoding: Encoding, options: MessageOptions, out: W) -> Result<Self, ColumnarError> {
        let batches = Batches::new(encoding, &MESSAGES, &options.left_out(), out)?;
        Ok(Self { columns: MessageColumns::new(options), batches })
    }

    /// Appends a message.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn push(&mut self, row: &MessageRow<'_>) -> Result<(), ColumnarError> {
        self.columns.push(row);
        if is_full(self.columns.rows(), self.columns.bytes()) { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ColumnarError> {
        if self.columns.rows() == 0 {
            return Ok(());
        }
        self.batches.write(self.columns.finish()?)
    }

    /// Ends the table: the number of its rows, and what it was written to.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn finish(mut self) -> Result<(u64, W), ColumnarError> {
        self.flush()?;
        self.batches.finish()
    }
}

impl<W: Write + Send> ObjectWriter<W> {
    /// Begins a table.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn new(encoding: Encoding, table: &'static Table, out: W) -> Result<Self, ColumnarError> {
        Ok(Self { columns: ObjectColumns::new(table), batches: Batches::new(encoding, table, &[], out)? })
    }

    /// Appends the row that a JSON object of the view is.
    ///
    /// # Errors
    /// When `out` cannot be written, or the object does not fit the table.
    pub fn push(&mut self, object: &Value) -> Result<(), ColumnarError> {
        self.columns.push(object)?;
        if is_full(self.columns.rows(), self.columns.bytes()) {
            self.batches.write(self.columns.finish()?)?;
        }
        Ok(())
    }

    /// Ends the table: the number of its rows, and what it was written to.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn finish(mut self) -> Result<(u64, W), ColumnarError> {
        if self.columns.rows() > 0 {
            self.batches.write(self.columns.finish()?)?;
        }
        self.batches.finish()
    }
}

const fn is_full(rows: usize, bytes: usize) -> bool {
    rows >= BATCH_ROWS || bytes >= BATCH_BYTES
}

/// Batches of one schema, one after another.
struct Batches<W: Write + Send> {
    schema: SchemaRef,
    rows: u64,
    sink: Sink<W>,
}

enum Sink<W: Write + Send> {
    Arrow(Box<StreamWriter<W>>),
    Parquet(Box<ArrowWriter<W>>),
}

impl<W: Write + Send> Batches<W> {
    fn new(encoding: Encoding, table: &Table, left_out: &[&str], out: W) -> Result<Self, ColumnarError> {
        let schema = Arc::new(table.schema(left_out));
        let sink = match encoding {
            Encoding::Arrow => Sink::Arrow(Box::new(StreamWriter::try_new(out, &schema)?)),
            Encoding::Parquet => {
                let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties(table)?))?;
                Sink::Parquet(Box::new(writer))
            }
        };
        Ok(Self { schema, rows: 0, sink })
    }

    fn write(&mut self, columns: Vec<ArrayRef>) -> Result<(), ColumnarError> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        self.rows += batch.num_rows() as u64;
        match &mut self.sink {
            Sink::Arrow(stream) => stream.write(&batch)?,
            Sink::Parquet(file) => file.write(&batch)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<(u64, W), ColumnarError> {
        let out = match self.sink {
            Sink::Arrow(stream) => stream.into_inner()?,
            Sink::Parquet(file) => file.into_inner()?,
        };
        Ok((self.rows, out))
    }
}

/// How the columns of a table are encoded in Parquet. Numbers that grow from row to row are written as differences; names
/// have dictionaries; texts have none, since hardly any text stands twice.
fn properties(table: &Table) -> Result<WriterProperties, ColumnarError> {
    let metadata = table.metadata().map(|(key, value)| KeyValue::new(key.to_owned(), value.to_owned()));
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_max_row_group_bytes(Some(GROUP_BYTES))
        .set_key_value_metadata(Some(metadata.to_vec()));
    for column in table.columns {
        let path = match column.kind {
            ColumnType::Counters => vec![column.name, "list", "element"],
            _ => vec![column.name],
        };
        let path = ColumnPath::new(path.into_iter().map(str::to_owned).collect());
        match column.kind {
            ColumnType::Counter
            | ColumnType::Counters
            | ColumnType::Moment
            | ColumnType::MomentInNanoseconds
            | ColumnType::Nanoseconds => {
                properties = properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path, ParquetEncoding::DELTA_BINARY_PACKED);
            }
            ColumnType::Text | ColumnType::Bytes => {
                properties = properties.set_column_dictionary_enabled(path, false);
            }
            _ => {}
        }
    }
    Ok(properties.build())
}

impl From<ArrowError> for ColumnarError {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::IoError(_, error) => Self::Io(error),
            error => Self::Arrow(error),
        }
    }
}

impl From<parquet::errors::ParquetError> for ColumnarError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        match error {
            parquet::errors::ParquetError::External(error) => match error.downcast::<std::io::Error>() {
                Ok(error) => Self::Io(*error),
                Err(error) => Self::Parquet(parquet::errors::ParquetError::External(error)),
            },
            error => Self::Parquet(error),
        }
    }
}
