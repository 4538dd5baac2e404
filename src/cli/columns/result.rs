//! The result of `--format parquet`: how captures are cut into parts, and the folder that gets them.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bittrace_columnar::{ColumnarError, ManifestPart, MessageOptions, ResultFolder, Run, Shard};

use super::{ColumnTables, PartSize};

/// A result that is being written, and the parts that are whole.
pub(crate) struct ColumnResult {
    folder: ResultFolder,
    options: MessageOptions,
    parts: Vec<ManifestPart>,
}

/// What a run reads and how, for its id.
pub(crate) struct RunDescription {
    /// The name and size of each file that all shards read.
    pub(crate) files: Vec<(String, u64)>,
    /// The options that decide what the rows are.
    pub(crate) options: Vec<String>,
    /// Which shard this run reads, from 1, and how many there are.
    pub(crate) shard: Option<(usize, usize)>,
}

/// A part takes at least this many bytes of captures: engines want few large files.
const LEAST: u64 = 16 << 20;

/// And at most this many, where they are of several captures: a part whose capture ends its process is done again.
const MOST: u64 = 256 << 20;

/// How many parts are wanted between these bounds, so that several jobs have something to do.
const PARTS: u64 = 16;

/// The most captures of a part.
const CAPTURES: usize = 1000;

impl ColumnResult {
    /// Makes the folder ready.
    ///
    /// # Errors
    /// When it has the result of another run, or something else.
    pub(crate) fn open(
        folder: &Path,
        run: RunDescription,
        options: MessageOptions,
        overwrite: bool,
    ) -> Result<Self> {
        let number = |number: usize| u32::try_from(number).context("--shard: too many shards");
        let shard = match run.shard {
            Some((part, of)) => Some(Shard { number: number(part)?, of: number(of)? }),
            None => None,
        };
        let run = Run {
            files: run.files,
            options: run.options,
            columns: options,
            version: env!("BITTRACE_VERSION").to_owned(),
            shard,
        };
        let opened = ResultFolder::open(folder, run, overwrite);
        let folder = opened.map_err(|error| match &error {
            ColumnarError::Refused(bittrace_columnar::Refusal::OtherRun { .. }) => anyhow::Error::new(error)
                .context("-o: name another folder, or replace the result with --overwrite"),
            _ => anyhow::Error::new(error).context("-o"),
        })?;
        Ok(Self { folder, options, parts: Vec::new() })
    }

    /// Where the files of a part get their names: the folder, and the name of the part in place of a file.
    pub(crate) fn place(&self, number: usize) -> PathBuf {
        self.folder.path().join(self.folder.part(number))
    }

    /// Begins a part.
    ///
    /// # Errors
    /// When a file cannot be created.
    pub(crate) fn begin(&self, number: usize) -> Result<ColumnTables> {
        ColumnTables::part(&self.place(number), self.options)
    }

    /// Takes in a part that is whole: the captures in it, and how much each table has.
    pub(crate) fn add(&mut self, number: usize, captures: Vec<String>, tables: PartSize) {
        self.parts.push(ManifestPart { part: self.folder.part(number), captures, tables });
    }

    /// Gives all parts their names. How many rows each table has.
    ///
    /// # Errors
    /// When a file cannot be renamed or written.
    pub(crate) fn finish(mut self) -> Result<Vec<(String, u64)>> {
        self.parts.sort_by(|one, other| one.part.cmp(&other.part));
        let mut rows: Vec<(String, u64)> = Vec::new();
        for (table, size) in self.parts.iter().flat_map(|part| &part.tables) {
            match rows.iter_mut().find(|(name, _)| name == table) {
                Some((_, sum)) => *sum += size.rows,
                None => rows.push((table.clone(), size.rows)),
            }
        }
        self.folder.finish(self.parts).context("-o")?;
        Ok(rows)
    }

    /// Removes what was written: the run ends without a result.
    pub(crate) fn abandon(&self) {
        // The next run removes what is left.
        let _ = self.folder.remove_temporary();
    }
}

/// Cuts captures of these sizes into parts. The cut depends on the sizes alone, never on the machine or the number of jobs.
pub(crate) fn parts(sizes: &[u64]) -> Vec<Range<usize>> {
    let wanted = (sizes.iter().sum::<u64>() / PARTS).clamp(LEAST, MOST);
    let mut parts = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (at, size) in sizes.iter().enumerate() {
        let is_full = bytes + size > wanted || at - begin == CAPTURES;
        if at > begin && is_full {
            parts.push(begin..at);
            (begin, bytes) = (at, 0);
        }
        bytes += size;
    }
    // Without captures there is a part without rows: its columns are known all the same.
    parts.push(begin..sizes.len());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_from_the_sizes_alone() {
        let one = |captures| vec![Range { start: 0, end: captures }];
        assert_eq!(parts(&[]), one(0));
        assert_eq!(parts(&[1, 2, 3]), one(3));
        let mib = 1 << 20;
        assert_eq!(parts(&[10 * mib, 10 * mib, 5 * mib, 20 * mib, 1]), [0..1, 1..3, 3..4, 4..5]);
        assert_eq!(parts(&[1000 * mib, 1000 * mib]), [0..1, 1..2]);
        assert_eq!(parts(&[1; 2500]), [0..1000, 1000..2000, 2000..2500]);
    }
}
