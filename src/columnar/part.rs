//! A part of a result: a Parquet file of each table, under temporary names until the whole run is done.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::manifest::TableSize;
use crate::{
    ColumnarError, Encoding, MESSAGES, MessageOptions, MessageRow, MessageWriter, ObjectWriter, TABLES, Table,
};

/// The files of a part, as they are written.
pub struct PartWriter {
    messages: (PathBuf, MessageWriter<File>),
    others: Vec<(PathBuf, &'static Table, ObjectWriter<File>)>,
}

impl PartWriter {
    /// Creates the files of the part of this name. Its folders are there, see [`ResultFolder`](crate::ResultFolder).
    ///
    /// # Errors
    /// When a file cannot be created.
    pub fn create(folder: &Path, part: &str, options: MessageOptions) -> Result<Self, ColumnarError> {
        let create = |table: &Table| {
            let path = temporary_path(folder, table, part);
            let file = File::create(&path).map_err(|error| ColumnarError::file(&path, error))?;
            Ok::<_, ColumnarError>((path, file))
        };
        let (path, file) = create(&MESSAGES)?;
        let messages = (path, MessageWriter::new(Encoding::Parquet, options, file)?);
        let mut others = Vec::new();
        for table in TABLES.into_iter().filter(|table| table.name != MESSAGES.name) {
            let (path, file) = create(table)?;
            others.push((path, table, ObjectWriter::new(Encoding::Parquet, table, file)?));
        }
        Ok(Self { messages, others })
    }

    /// Appends a message.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn message(&mut self, row: &MessageRow<'_>) -> Result<(), ColumnarError> {
        let (path, messages) = &mut self.messages;
        messages.push(row).map_err(|error| error.of_file(path))
    }

    /// Appends a row of another table.
    ///
    /// # Errors
    /// When the file cannot be written, or the object does not fit the table.
    pub fn object(&mut self, table: &Table, object: &Value) -> Result<(), ColumnarError> {
        for (path, _, writer) in self.others.iter_mut().filter(|(_, other, _)| other.name == table.name) {
            writer.push(object).map_err(|error| error.of_file(path))?;
        }
        Ok(())
    }

    /// Ends the files, which keep their temporary names. How much each table has.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn finish(self) -> Result<BTreeMap<String, TableSize>, ColumnarError> {
        let mut sizes = BTreeMap::new();
        let mut add = |path: &Path, table: &Table, finished: Result<(u64, File), ColumnarError>| {
            let size =
                finished.and_then(|(rows, file)| Ok(TableSize { rows, bytes: file.metadata()?.len() }));
            sizes.insert(table.name.to_owned(), size.map_err(|error| error.of_file(path))?);
            Ok::<_, ColumnarError>(())
        };
        let (path, messages) = self.messages;
        add(&path, &MESSAGES, messages.finish())?;
        for (path, table, writer) in self.others {
            add(&path, table, writer.finish())?;
        }
        Ok(sizes)
    }
}

/// Where a file of a part stands until the run is done.
pub(crate) fn temporary_path(folder: &Path, table: &Table, part: &str) -> PathBuf {
    folder.join(table.name).join(format!("{part}{ENDING}{TEMPORARY}"))
}

/// Where a file of a part stands.
pub(crate) fn path(folder: &Path, table: &Table, part: &str) -> PathBuf {
    folder.join(table.name).join(format!("{part}{ENDING}"))
}

/// Gives the files of a part their names.
pub(crate) fn rename(folder: &Path, part: &str) -> Result<(), ColumnarError> {
    for table in TABLES {
        let (from, to) = (temporary_path(folder, table, part), path(folder, table, part));
        fs::rename(&from, &to).map_err(|error| ColumnarError::file(&to, error))?;
    }
    Ok(())
}

/// How the files of parts end.
pub(crate) const ENDING: &str = ".parquet";

/// What is added while they are not whole.
pub(crate) const TEMPORARY: &str = ".tmp";
