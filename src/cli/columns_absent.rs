//! `--format arrow`, `--format parquet` and `schema columns` in a program that was built without them.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::args::ViewName;
use crate::print::output::Output;
use crate::query::row::Row;

/// Tables, of which this program has none.
pub(crate) enum ColumnTables {}

/// A result, of which this program has none.
pub(crate) enum ColumnResult {}

/// Which of the columns that take much room there are.
#[derive(Debug, Clone, Copy)]
#[expect(dead_code, reason = "read where there are tables")]
pub(crate) struct MessageOptions {
    pub(crate) summary: bool,
    pub(crate) bytes: bool,
}

/// What a run reads and how.
#[expect(dead_code, reason = "read where there are tables")]
pub(crate) struct RunDescription {
    pub(crate) files: Vec<(String, u64)>,
    pub(crate) options: Vec<String>,
    pub(crate) shard: Option<(usize, usize)>,
}

/// How much each table of a part has.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct PartSize;

/// Says what to do.
fn absent<T>() -> Result<T> {
    bail!(
        "this bittrace was built without Arrow and Parquet: install it with cargo install --path . --features columnar, or \
         make Parquet from JSON: bittrace analyze CAPTURE --format json | duckdb -c \"copy (from \
         read_json('/dev/stdin') where n is not null) to 'messages.parquet'\""
    )
}

/// Cuts captures into parts.
pub(crate) fn parts(_: &[u64]) -> Vec<Range<usize>> {
    Vec::new()
}

/// Lists the tables.
///
/// # Errors
/// Always.
pub(crate) fn describe_tables(_: bool, _: &mut Output) -> Result<()> {
    absent()
}

impl ColumnTables {
    pub(crate) fn stream(_: ViewName, _: MessageOptions, _: Output) -> Result<Option<Self>> {
        absent()
    }

    pub(crate) fn part(_: &Path, _: MessageOptions) -> Result<Self> {
        absent()
    }

    pub(crate) fn message(&mut self, _: &Row<'_>) -> Result<()> {
        match *self {}
    }

    pub(crate) fn rows(&mut self, _: &str, _: impl IntoIterator<Item = Map<String, Value>>) -> Result<()> {
        match *self {}
    }

    pub(crate) fn finish(self) -> Result<PartSize> {
        match self {}
    }
}

impl ColumnResult {
    pub(crate) fn open(_: &Path, _: RunDescription, _: MessageOptions, _: bool) -> Result<Self> {
        absent()
    }

    pub(crate) fn place(&self, _: usize) -> PathBuf {
        match *self {}
    }

    pub(crate) fn begin(&self, _: usize) -> Result<ColumnTables> {
        match *self {}
    }

    pub(crate) fn add(&mut self, _: usize, _: Vec<String>, _: PartSize) {
        match *self {}
    }

    pub(crate) fn finish(self) -> Result<Vec<(String, u64)>> {
        match self {}
    }

    pub(crate) fn abandon(&self) {
        match *self {}
    }
}
