//! The state file: which pieces of a torrent were verified, and that the unfinished files beside it are ours.
//!
//! A header names the torrent; after it stands a record a verified piece, in the order in which they came. Records
//! are appended, so that a run killed at any moment leaves a good file, at worst with a torn record at its end, which is
//! passed over. It is not synced: after a power failure a record may be missing, or be there for bytes that are not. A
//! later run therefore hashes what is on disk unless it is told to believe the file.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use bittrace_protocol::wire::PieceSet;
use bittrace_protocol::{InfoHash, PieceIndex};

use crate::Error;
use crate::folder::Folder;
use crate::lock::Lock;

/// A state file that is ours alone.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    name: [String; 1],
    path: PathBuf,
    info_hash: InfoHash,
    lock: Lock,
}

/// What an earlier run left.
#[derive(Debug)]
pub(crate) struct Remembered {
    /// Whether there was an earlier run.
    pub(crate) ours: bool,
    /// The pieces it verified.
    pub(crate) verified: PieceSet,
}

impl Remembered {
    /// What is known without a state file.
    pub(crate) fn nothing(piece_count: u32) -> Self {
        Self { ours: false, verified: PieceSet::none(piece_count) }
    }
}

impl Journal {
    /// Opens the state file of a torrent in its output folder, or begins one.
    pub(crate) fn open(
        folder: &Folder,
        root: &str,
        info_hash: InfoHash,
        piece_count: u32,
    ) -> Result<(Self, Remembered), Error> {
        let lock = Lock::take(folder, root)?;
        let name = hidden_name(root, info_hash, "bittrace");
        let path = folder.shown(&name, "");
        let file = folder.write(&name, "")?;
        let journal = Self { file, name, path, info_hash, lock };
        let remembered = journal.read(piece_count).map_err(|source| journal.error(source))?;
        match remembered {
            Some(remembered) => Ok((journal, remembered)),
            None => Err(Error::NotOurState { path: journal.path }),
        }
    }

    /// What the file says; `None` where it is another file. No more is read of it than runs write for so many pieces.
    fn read(&self, piece_count: u32) -> io::Result<Option<Remembered>> {
        let header = header(self.info_hash, piece_count);
        let mut found = Vec::new();
        (&self.file).take(header.len() as u64).read_to_end(&mut found)?;
        let mut remembered = Remembered::nothing(piece_count);
        if found != header {
            // A run that was killed may have written a part of the header.
            return Ok(header.starts_with(&found).then_some(remembered));
        }
        remembered.ours = true;
        // A run may verify a damaged piece a second time; the next one writes the file anew.
        let most = (u64::from(piece_count) * 2 + EXTRA_RECORDS) * RECORD as u64;
        let mut records = BufReader::new((&self.file).take(most));
        let mut record = [0; RECORD];
        loop {
            match records.read_exact(&mut record) {
                Ok(()) => {
                    if let Some(piece) = piece_of(record) {
                        remembered.verified.insert(piece);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Some(remembered)),
                Err(error) => return Err(error),
            }
        }
    }

    /// The parts of the file's path below the output folder.
    pub(crate) const fn name(&self) -> &[String] {
        &self.name
    }

    /// The parts of the path of the lock file.
    pub(crate) const fn lock_name(&self) -> &[String] {
        self.lock.name()
    }

    /// Writes the file anew, with these pieces.
    pub(crate) fn begin(&mut self, verified: &PieceSet) -> Result<(), Error> {
        let mut bytes = header(self.info_hash, verified.total());
        for piece in verified.iter() {
            bytes.extend_from_slice(&record(piece));
        }
        // The header is the same as before, and records that vanish for a moment are hashed again: nothing is lost
        // where this is cut short.
        let written = (|| {
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&bytes)?;
            self.file.set_len(bytes.len() as u64)
        })();
        written.map_err(|source| self.error(source))
    }

    /// Appends verified pieces.
    pub(crate) fn append(&mut self, pieces: &[PieceIndex]) -> Result<(), Error> {
        let bytes: Vec<u8> = pieces.iter().flat_map(|&piece| record(piece)).collect();
        self.file.write_all(&bytes).map_err(|source| self.error(source))
    }

    /// Takes the file away where nothing was ever written to it.
    pub(crate) fn remove_if_empty(self, folder: &Folder) -> Result<(), Error> {
        match self.file.metadata() {
            Ok(metadata) if metadata.len() == 0 => self.remove(folder).map(drop),
            _ => Ok(()),
        }
    }

    /// Takes the file away, once nothing is left to remember; the name is ours as long as the lock is kept.
    pub(crate) fn remove(self, folder: &Folder) -> Result<Lock, Error> {
        folder.remove(&self.name, "")?;
        Ok(self.lock)
    }

    fn error(&self, source: io::Error) -> Error {
        Error::File { action: "use the state file", path: self.path.clone(), source }
    }
}

/// The name of a hidden file of a torrent in its output folder.
pub(crate) fn hidden_name(root: &str, info_hash: InfoHash, ending: &str) -> [String; 1] {
    let [a, b, c, d, ..] = info_hash.0;
    [format!(".{root}.{a:02x}{b:02x}{c:02x}{d:02x}.{ending}")]
}

fn header(info_hash: InfoHash, piece_count: u32) -> Vec<u8> {
    let mut header = b"bittrace state 1\n".to_vec();
    header.extend_from_slice(&info_hash.0);
    header.extend_from_slice(&piece_count.to_be_bytes());
    header
}

/// A piece's number, and its complement, so that bytes that were never written are no record.
pub(crate) fn record(piece: PieceIndex) -> [u8; RECORD] {
    let [a, b, c, d] = piece.0.to_be_bytes();
    [a, b, c, d, !a, !b, !c, !d]
}

/// The piece that a record names; `None` where it is no record.
pub(crate) fn piece_of(found: [u8; RECORD]) -> Option<PieceIndex> {
    let [a, b, c, d, ..] = found;
    let piece = PieceIndex(u32::from_be_bytes([a, b, c, d]));
    (record(piece) == found).then_some(piece)
}

pub(crate) const RECORD: usize = 8;
/// So many records are read beyond two a piece.
const EXTRA_RECORDS: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: InfoHash = InfoHash([7; 20]);

    fn reopen(folder: &Folder) -> (Journal, Vec<u32>) {
        let (journal, remembered) = Journal::open(folder, "x", HASH, 100).unwrap();
        (journal, remembered.verified.iter().map(|piece| piece.0).collect())
    }

    #[test]
    fn remembers_pieces_up_to_a_torn_record() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let (mut journal, remembered) = Journal::open(&folder, "x", HASH, 100).unwrap();
        assert!(!remembered.ours);
        journal.begin(&remembered.verified).unwrap();
        journal.append(&[PieceIndex(3), PieceIndex(99)]).unwrap();
        journal.append(&[PieceIndex(100)]).unwrap();
        journal.file.write_all(&[0, 0, 0]).unwrap();
        drop(journal);
        let (mut journal, pieces) = reopen(&folder);
        assert_eq!(pieces, [3, 99]);
        let mut kept = PieceSet::none(100);
        kept.insert(PieceIndex(99));
        journal.begin(&kept).unwrap();
        journal.append(&[PieceIndex(5)]).unwrap();
        drop(journal);
        assert_eq!(reopen(&folder).1, [5, 99]);
    }

    #[test]
    fn a_name_is_one_runs_alone_whatever_the_torrent() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let held = Journal::open(&folder, "x", HASH, 100).unwrap();
        for hash in [HASH, InfoHash([8; 20])] {
            assert!(matches!(Journal::open(&folder, "x", hash, 100), Err(Error::Busy { .. })));
        }
        Journal::open(&folder, "y", HASH, 100).unwrap();
        drop(held);
        Journal::open(&folder, "x", InfoHash([8; 20]), 100).unwrap();
    }

    #[test]
    fn no_more_is_read_than_runs_write() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let (mut journal, remembered) = Journal::open(&folder, "x", HASH, 100).unwrap();
        journal.begin(&remembered.verified).unwrap();
        journal.append(&[PieceIndex(3)]).unwrap();
        journal.file.set_len(1 << 20).unwrap();
        journal.file.seek(SeekFrom::End(0)).unwrap();
        journal.append(&[PieceIndex(4)]).unwrap();
        drop(journal);
        assert_eq!(reopen(&folder).1, [3]);
    }

    #[test]
    fn a_state_file_that_has_a_second_name_is_not_written_to() {
        for name in [".x.07070707.bittrace", ".x.bittrace-lock"] {
            let dir = tempfile::tempdir().unwrap();
            let folder = Folder::open(dir.path()).unwrap();
            let other = dir.path().join("other");
            std::fs::write(&other, "").unwrap();
            std::fs::hard_link(&other, dir.path().join(name)).unwrap();
            assert!(matches!(Journal::open(&folder, "x", HASH, 100), Err(Error::HardLink { .. })), "{name}");
            assert_eq!(std::fs::read(&other).unwrap(), b"");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_state_file_that_is_a_link_is_not_followed() {
        for name in [".x.07070707.bittrace", ".x.bittrace-lock"] {
            let dir = tempfile::tempdir().unwrap();
            let folder = Folder::open(dir.path()).unwrap();
            let other = dir.path().join("other");
            for exists in [false, true] {
                std::os::unix::fs::symlink(&other, dir.path().join(name)).unwrap();
                assert!(
                    matches!(Journal::open(&folder, "x", HASH, 100), Err(Error::Symlink { .. })),
                    "{name}"
                );
                assert_eq!(other.exists(), exists);
                std::fs::remove_file(dir.path().join(name)).unwrap();
                std::fs::write(&other, "").unwrap();
            }
            assert_eq!(std::fs::read(&other).unwrap(), b"");
        }
    }

    #[test]
    fn another_file_of_that_name_stays() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        std::fs::write(dir.path().join(".x.07070707.bittrace"), "diary").unwrap();
        assert!(matches!(Journal::open(&folder, "x", HASH, 100), Err(Error::NotOurState { .. })));
    }
}
