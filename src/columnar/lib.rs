//! Messages of packet captures, and what was counted of them, as tables of columns: Arrow streams and Parquet files.
//!
//! A [`Table`] says which columns there are. The caller hands in rows, and a writer gathers them into batches of a bounded
//! size. A row says nothing that its message, or the JSON object of its view, does not say: nothing is counted here.

mod folder;
mod manifest;
mod messages;
mod names;
mod nested;
mod objects;
mod part;
mod table;
mod tables;
mod writer;

/// The libraries behind the tables, for programs that read them back.
pub use {arrow_array, arrow_ipc, arrow_schema, parquet};

pub use folder::{Refusal, ResultFolder};
pub use manifest::{Manifest, ManifestColumn, ManifestPart, Run, Shard, TableSize};
pub use messages::{MessageContent, MessageOptions, MessageRow};
pub use part::PartWriter;
pub use table::{Column, ColumnType, Table};
pub use tables::{CAPTURES, CONVERSATIONS, FINDINGS, MESSAGES, PIECES, SCHEMA_VERSION, TABLES};
pub use writer::{Encoding, MessageWriter, ObjectWriter};

use std::io;
use std::path::{Path, PathBuf};

/// Why a table could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ColumnarError {
    /// The file or stream could not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A batch could not be made, or not written to a stream.
    #[error(transparent)]
    Arrow(arrow_schema::ArrowError),
    /// A batch could not be written to a file.
    #[error(transparent)]
    Parquet(parquet::errors::ParquetError),
    /// A file could not be written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: Box<ColumnarError>,
    },
    /// The folder for the result has something else.
    #[error(transparent)]
    Refused(#[from] Refusal),
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

impl ColumnarError {
    /// The error of a file.
    fn file(path: &Path, error: io::Error) -> Self {
        Self::Io(error).of_file(path)
    }

    /// The same error, with the file that it is of.
    fn of_file(self, path: &Path) -> Self {
        match self {
            Self::Io(_) | Self::Arrow(_) | Self::Parquet(_) => {
                Self::File { path: path.to_owned(), error: Box::new(self) }
            }
            other => other,
        }
    }
}
