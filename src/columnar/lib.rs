//! Messages of packet captures, and what was counted of them, as tables of columns: Arrow streams and Parquet files.
//!
//! A [`Table`] says which columns there are. The caller hands in rows, and a writer gathers them into batches of a bounded
//! size. A row says nothing that its message, or the JSON object of its view, does not say: nothing is counted here.

mod messages;
mod names;
mod nested;
mod objects;
mod table;
mod tables;
mod writer;

pub use messages::{MessageContent, MessageOptions, MessageRow};
pub use table::{Column, ColumnType, Table};
pub use tables::{CAPTURES, CONVERSATIONS, FINDINGS, MESSAGES, PIECES, SCHEMA_VERSION, TABLES};
pub use writer::{Encoding, MessageWriter, ObjectWriter};

/// Why a table could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ColumnarError {
    /// The file or stream could not be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A batch could not be made, or not written to a stream.
    #[error(transparent)]
    Arrow(arrow_schema::ArrowError),
    /// A batch could not be written to a file.
    #[error(transparent)]
    Parquet(parquet::errors::ParquetError),
    /// A row does not fit its table.
    #[error("column {column} of table {table}: {found} where {wanted} is wanted")]
    Unexpected {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// What the row has.
        found: String,
        /// What the column holds.
        wanted: String,
    },
}
