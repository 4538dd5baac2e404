//! The temporary file of packed records: one thread writes, another reads what is written.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use bittrace_trace::Record;
use bittrace_trace::record::RecordPacker;
use bytes::Bytes;
use tempfile::{NamedTempFile, TempPath};

use super::index::Entry;

/// The end that writes.
#[derive(Debug)]
pub(crate) struct SpoolWriter {
    file: File,
    packer: Arc<RecordPacker>,
    /// What is packed and not in the file yet.
    waiting: Vec<u8>,
    /// Where the waiting bytes will stand.
    end: u64,
}

/// The end that reads. The file goes with it.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    packer: Arc<RecordPacker>,
    _path: TempPath,
}

/// The most bytes that are read at once when records are looked through.
pub(crate) const STEP: u64 = 1 << 20;

/// Makes a temporary file in the folder of the system for such; only this user may read it.
///
/// # Errors
/// When there is no room for it, or no such folder.
pub(crate) fn spool() -> io::Result<(SpoolWriter, Spool)> {
    let named = NamedTempFile::with_prefix("bittrace-")?;
    let reading = named.reopen()?;
    let (file, path) = named.into_parts();
    let packer = Arc::new(RecordPacker::default());
    let writer = SpoolWriter { file, packer: packer.clone(), waiting: Vec::new(), end: 0 };
    Ok((writer, Spool { file: reading, packer, _path: path }))
}

impl SpoolWriter {
    /// Packs a record: where it will stand, and how long it is. It is in the file after the next [`flush`](Self::flush).
    pub(crate) fn push(&mut self, record: &Record) -> (u64, u32) {
        let before = self.waiting.len();
        self.packer.pack(record, &mut self.waiting);
        // A message has 16 MiB at most.
        (self.end + before as u64, (self.waiting.len() - before) as u32)
    }

    /// How many bytes wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// When the file has no room.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.waiting)?;
        self.end += self.waiting.len() as u64;
        self.waiting.clear();
        self.waiting.shrink_to(STEP as usize);
        Ok(())
    }
}

impl Spool {
    /// The records of entries that follow each other in the file.
    ///
    /// # Errors
    /// When the file cannot be read, or is not what was written.
    pub(crate) fn records(&mut self, entries: &[Entry]) -> io::Result<Vec<Record>> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(Vec::new()) };
        let length = usize::try_from(last.offset + u64::from(last.length) - first.offset);
        let mut bytes = vec![0; length.map_err(io::Error::other)?];
        self.file.seek(SeekFrom::Start(first.offset))?;
        self.file.read_exact(&mut bytes)?;
        let bytes = Bytes::from(bytes);
        let packed = entries.iter().map(|entry| {
            let from = (entry.offset - first.offset) as usize;
            bytes.slice(from..from + entry.length as usize)
        });
        let damaged =
            || io::Error::new(io::ErrorKind::InvalidData, "the temporary file was changed by others");
        packed.map(|packed| self.packer.unpack(&packed).ok_or_else(damaged)).collect()
    }

    /// The record of one entry.
    ///
    /// # Errors
    /// As [`records`](Self::records).
    pub(crate) fn record(&mut self, entry: &Entry) -> io::Result<Record> {
        let mut records = self.records(std::slice::from_ref(entry))?;
        records.pop().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// How many of the first `entries` are read at once: as many as take no more than [`STEP`] bytes, and one at least.
pub(crate) fn step_of(entries: &[Entry], most: usize) -> usize {
    let mut bytes = 0;
    let within = entries.iter().take(most).take_while(|entry| {
        bytes += u64::from(entry.length);
        bytes <= STEP
    });
    within.count().max(usize::from(!entries.is_empty()))
}
