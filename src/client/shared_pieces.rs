//! The pieces that lie in files that are wanted and in others: kept whole in one hidden file beside the state file, because files
//! that are not wanted are not made.
//!
//! A header names the torrent; after it stands a place a piece, in the order in which they came: the piece's number with its
//! complement, then its bytes. What a run that was killed left half written fails its hash in the next run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bittrace_protocol::{InfoHash, PieceIndex};
use bytes::Bytes;

use crate::Error;
use crate::folder::{Folder, PathEntry};
use crate::journal::{RECORD, hidden_name, piece_of, record};
use crate::os;
use crate::slices::Slices;

/// The file, which is made when the first piece is written.
#[derive(Debug)]
pub(crate) struct SharedPieces {
    folder: Folder,
    name: [String; 1],
    header: Vec<u8>,
    piece_length: u32,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    /// Whether the file is there.
    exists: bool,
    /// The file once something is to be written; until then it is opened for each read.
    file: Option<Arc<File>>,
    /// The place of each piece, by its number in the file.
    of: BTreeMap<PieceIndex, u32>,
    /// Places of pieces that are not needed any longer.
    free: Vec<u32>,
    count: u32,
}

impl SharedPieces {
    /// Looks at the file of a torrent in its output folder, if there is one.
    ///
    /// # Errors
    /// When it is another file, or cannot be read.
    pub(crate) fn open(
        folder: &Folder,
        root: &str,
        info_hash: InfoHash,
        piece_length: u32,
        piece_count: u32,
    ) -> Result<Self, Error> {
        let name = hidden_name(root, info_hash, "bittrace-pieces");
        let mut header = b"bittrace pieces 1\n".to_vec();
        header.extend_from_slice(&info_hash.0);
        header.extend_from_slice(&piece_length.to_be_bytes());
        let places = Mutex::default();
        let pieces = Self { folder: folder.clone(), name, header, piece_length, places };
        if folder.look(&pieces.name, "")? != PathEntry::Nothing {
            let file = folder.read(&pieces.name, "")?;
            let found = pieces.read_places(&file, piece_count).map_err(|source| pieces.error(source))?;
            let Some(found) = found else { return Err(Error::NotOurState { path: pieces.path() }) };
            *pieces.lock() = Places { exists: true, ..found };
        }
        Ok(pieces)
    }

    /// Which pieces the file has; `None` where it is another file.
    fn read_places(&self, file: &File, piece_count: u32) -> io::Result<Option<Places>> {
        let length = file.metadata()?.len();
        let header_length = self.header.len() as u64;
        let mut header = vec![0; usize::try_from(length.min(header_length)).unwrap_or(0)];
        os::read_exact_at(file, &mut header, 0)?;
        if header != self.header {
            // A run that was killed may have written a part of the header.
            return Ok(self.header.starts_with(&header).then(Places::default));
        }
        // A run keeps each piece once.
        let count = (length - header_length).div_ceil(self.place_length()).min(piece_count.into());
        let count = u32::try_from(count).unwrap_or(piece_count);
        let mut places = Places { count, ..Places::default() };
        for number in 0..count {
            let mut head = [0; RECORD];
            let is_read = os::read_exact_at(file, &mut head, self.place(number)).is_ok();
            match piece_of(head).filter(|piece| is_read && piece.0 < piece_count) {
                Some(piece) if !places.of.contains_key(&piece) => drop(places.of.insert(piece, number)),
                _ => places.free.push(number),
            }
        }
        Ok(Some(places))
    }

    /// Whether the file has something of a piece.
    pub(crate) fn has(&self, piece: PieceIndex) -> bool {
        self.lock().of.contains_key(&piece)
    }

    /// The pieces of which the file has something, in ascending order.
    pub(crate) fn pieces(&self) -> Vec<PieceIndex> {
        self.lock().of.keys().copied().collect()
    }

    /// Writes bytes of a piece, from `begin` within it on.
    pub(crate) fn write(&self, piece: PieceIndex, begin: u32, parts: &[Bytes]) -> Result<(), Error> {
        let (file, number) = {
            let mut places = self.lock();
            let file = self.writable(&mut places)?;
            let number = match places.of.get(&piece) {
                Some(&number) => number,
                None => {
                    let number = places.free.pop().unwrap_or(places.count);
                    os::write_all_at(&file, &record(piece), self.place(number))
                        .map_err(|source| self.error(source))?;
                    places.count = places.count.max(number + 1);
                    places.of.insert(piece, number);
                    number
                }
            };
            (file, number)
        };
        let mut parts = Slices::new(parts);
        let start = self.place(number) + RECORD as u64 + u64::from(begin);
        let end = start + parts.left;
        parts.write_to(&file, start..end).map_err(|source| self.error(source))
    }

    /// Reads bytes of a piece, from `begin` within it on; `false` where the file has nothing of the piece.
    pub(crate) fn read(&self, piece: PieceIndex, begin: u32, into: &mut [u8]) -> Result<bool, Error> {
        let (file, number) = {
            let places = self.lock();
            let Some(&number) = places.of.get(&piece) else { return Ok(false) };
            (places.file.clone(), number)
        };
        let file = match file {
            Some(file) => file,
            None => Arc::new(self.folder.read(&self.name, "")?),
        };
        let start = self.place(number) + RECORD as u64 + u64::from(begin);
        os::read_exact_at(&file, into, start).map_err(|source| self.error(source))?;
        Ok(true)
    }

    /// Keeps a piece no longer: its place is used for another.
    pub(crate) fn forget(&self, piece: PieceIndex) {
        let mut places = self.lock();
        let Some(number) = places.of.remove(&piece) else { return };
        places.free.push(number);
        // A later run hashes what it finds there, so that this is a matter of time alone.
        if let Ok(file) = self.writable(&mut places) {
            let _ = os::write_all_at(&file, &[0; RECORD], self.place(number));
        }
    }

    /// Takes the file away where it has no piece.
    pub(crate) fn remove_if_empty(&self) -> Result<(), Error> {
        let mut places = self.lock();
        if !places.of.is_empty() || !places.exists {
            return Ok(());
        }
        *places = Places::default();
        self.folder.remove(&self.name, "")
    }

    /// The parts of the file's path below the output folder.
    pub(crate) const fn name(&self) -> &[String] {
        &self.name
    }

    fn writable(&self, places: &mut Places) -> Result<Arc<File>, Error> {
        if let Some(file) = &places.file {
            return Ok(file.clone());
        }
        let file = Arc::new(self.folder.write(&self.name, "")?);
        os::write_all_at(&file, &self.header, 0).map_err(|source| self.error(source))?;
        (places.file, places.exists) = (Some(file.clone()), true);
        Ok(file)
    }

    /// Where a place begins in the file.
    fn place(&self, number: u32) -> u64 {
        self.header.len() as u64 + u64::from(number) * self.place_length()
    }

    fn place_length(&self) -> u64 {
        RECORD as u64 + u64::from(self.piece_length)
    }

    fn path(&self) -> PathBuf {
        self.folder.shown(&self.name, "")
    }

    fn error(&self, source: io::Error) -> Error {
        Error::File { action: "use the file of shared pieces", path: self.path(), source }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Folder) -> SharedPieces {
        SharedPieces::open(folder, "x", InfoHash([7; 20]), 100, 9).unwrap()
    }

    fn read(pieces: &SharedPieces, piece: u32, begin: u32) -> Option<[u8; 4]> {
        let mut into = [0; 4];
        pieces.read(PieceIndex(piece), begin, &mut into).unwrap().then_some(into)
    }

    #[test]
    fn keeps_pieces_from_run_to_run_and_uses_places_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let pieces = open(&folder);
        let path = dir.path().join(".x.07070707.bittrace-pieces");
        assert!(!path.exists() && read(&pieces, 3, 0).is_none());
        pieces.write(PieceIndex(3), 50, &["ab".into(), "cd".into()]).unwrap();
        pieces.write(PieceIndex(8), 96, &["last".into()]).unwrap();
        // On Windows a file keeps its name while somebody has it open.
        drop(pieces);
        let pieces = open(&folder);
        assert_eq!(pieces.pieces(), [PieceIndex(3), PieceIndex(8)]);
        assert_eq!((read(&pieces, 3, 50), read(&pieces, 8, 96)), (Some(*b"abcd"), Some(*b"last")));
        let length = path.metadata().unwrap().len();
        pieces.forget(PieceIndex(3));
        pieces.write(PieceIndex(0), 0, &["zero".into()]).unwrap();
        assert_eq!(path.metadata().unwrap().len(), length);
        assert_eq!(open(&folder).pieces(), [PieceIndex(0), PieceIndex(8)]);
        [0, 8].map(PieceIndex).into_iter().for_each(|piece| pieces.forget(piece));
        pieces.remove_if_empty().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_run_left_is_read_as_far_as_it_goes() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let path = dir.path().join(".x.07070707.bittrace-pieces");
        let pieces = open(&folder);
        pieces.write(PieceIndex(3), 0, &[vec![1; 100].into()]).unwrap();
        pieces.write(PieceIndex(4), 0, &[vec![2; 100].into()]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        drop(pieces);
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let header = whole.len() - 2 * 108;
            let wanted = cut.saturating_sub(header + 7).div_ceil(108);
            assert_eq!(open(&folder).pieces().len(), wanted.min(2), "{cut}");
        }
        // A number that is not there, and one that stands twice, are no pieces.
        let mut wrong = whole.clone();
        wrong[whole.len() - 108..][..8].copy_from_slice(&record(PieceIndex(9)));
        std::fs::write(&path, &wrong).unwrap();
        assert_eq!(open(&folder).pieces(), [PieceIndex(3)]);
        wrong[whole.len() - 108..][..8].copy_from_slice(&record(PieceIndex(3)));
        std::fs::write(&path, &wrong).unwrap();
        assert_eq!(read(&open(&folder), 3, 0), Some([1; 4]));
    }

    #[test]
    fn no_more_places_are_looked_at_than_there_are_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        open(&folder).write(PieceIndex(3), 0, &["a".into()]).unwrap();
        let path = dir.path().join(".x.07070707.bittrace-pieces");
        File::options().write(true).open(&path).unwrap().set_len(1 << 30).unwrap();
        let pieces = open(&folder);
        let count = pieces.lock().count;
        assert_eq!((count, pieces.pieces()), (9, vec![PieceIndex(3)]));
    }

    #[test]
    fn another_file_of_the_name_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let path = dir.path().join(".x.07070707.bittrace-pieces");
        std::fs::write(&path, "somebody's own").unwrap();
        let opened = SharedPieces::open(&folder, "x", InfoHash([7; 20]), 100, 9);
        assert!(matches!(opened, Err(Error::NotOurState { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"somebody's own");
    }
}
