//! The bytes of a torrent on disk: where each lies, and the files that are open.
//!
//! A file bears the ending `.part` until all its pieces are verified. Padding is not stored: it is read as zeros. Files that are not
//! wanted are never written: a piece that such a file shares with one that is wanted is kept whole elsewhere, and read from there.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use bittrace_protocol::metainfo::ChosenFiles;
use bittrace_protocol::wire::PieceSet;
use bittrace_protocol::{Block, Geometry, Metainfo, PieceIndex};
use bytes::Bytes;

use crate::Error;
use crate::folder::{Folder, PathEntry, Replace};
use crate::layout::{Layout, PART_SUFFIX};
use crate::left_out::{LeftOut, LeftOutReason};
use crate::os::{self, MadeLink};
use crate::shared_pieces::SharedPieces;
use crate::slices::Slices;

/// A torrent's files below its output folder. It is shared by the threads that write, read and hash.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) folder: Folder,
    pub(crate) layout: Layout,
    pub(crate) torrent: Arc<Metainfo>,
    pub(crate) geometry: Geometry,
    /// The files that are wanted.
    pub(crate) chosen: ChosenFiles,
    /// The pieces that lie in files that are wanted and in others.
    shared: PieceSet,
    /// Where such pieces are kept, those of earlier runs that wanted other files as well.
    pub(crate) shared_pieces: SharedPieces,
    open: Mutex<OpenFiles>,
    /// Set once the user wants the run to end: a torrent may have so many files that a piece takes seconds.
    given_up: AtomicBool,
    /// What of the torrent is not stored.
    left_out: Mutex<LeftOut>,
}

#[derive(Debug)]
struct OpenFiles {
    /// What stands of each file.
    stands: Vec<Stands>,
    /// The files last used, the latest at the back.
    handles: VecDeque<(usize, Handle, Arc<File>)>,
}

/// What stands of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    Nothing,
    /// It is there under its unfinished name.
    Unfinished,
    /// It is there under its final name.
    Finished,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handle {
    ReadOnly,
    Writable,
}

impl Files {
    pub(crate) fn new(
        folder: Folder,
        layout: Layout,
        torrent: Arc<Metainfo>,
        geometry: Geometry,
        chosen: ChosenFiles,
        shared_pieces: SharedPieces,
    ) -> Self {
        let shared = shared_of(&layout, &geometry, &chosen);
        let open = OpenFiles { stands: vec![Stands::Nothing; layout.places.len()], handles: VecDeque::new() };
        let left_out = Mutex::new(layout.left_out.clone());
        let given_up = AtomicBool::new(false);
        let open = Mutex::new(open);
        Self { folder, layout, torrent, geometry, chosen, shared, shared_pieces, open, given_up, left_out }
    }

    /// Ends all that goes on between two files. What is verified by then stays verified.
    pub(crate) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Whether the run ends, and nothing more is to be begun.
    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// The path of a file; `None` where it is not stored.
    pub(crate) fn path(&self, file: usize) -> Option<Vec<String>> {
        self.layout.places.get(file)?.parts()
    }

    /// Whether a file is stored.
    pub(crate) fn is_stored(&self, file: usize) -> bool {
        self.layout.places.get(file).is_some_and(|place| place.path.is_some())
    }

    /// Whether a file is stored, and wanted: no other is made, written, renamed or removed.
    pub(crate) fn is_wanted(&self, file: usize) -> bool {
        self.is_stored(file) && self.chosen.has(file)
    }

    /// Whether anything is left that a later run with other files goes on with: unfinished files that are not wanted now, and pieces
    /// that are kept for them.
    pub(crate) fn any_left_for_later(&self) -> bool {
        let open = self.lock();
        let unfinished = open.stands.iter().enumerate().any(|(file, stands)| {
            *stands == Stands::Unfinished && self.is_stored(file) && !self.chosen.has(file)
        });
        unfinished || !self.shared_pieces.pieces().is_empty()
    }

    /// Whether a file is stored and has no bytes. Such a file is made last: a torrent may have nothing but these.
    pub(crate) fn is_empty(&self, file: usize) -> bool {
        self.is_stored(file) && self.layout.places[file].length == 0
    }

    /// Says what stands of a file. One of which nothing stands is made when it is first written to, and then only
    /// where nothing has come to stand meanwhile; one that stands is never made anew.
    pub(crate) fn set_stands(&self, file: usize, stands: Stands) {
        self.lock().stands[file] = stands;
    }

    /// Whether some of these bytes of the row are not stored.
    pub(crate) fn has_padding(&self, span: Range<u64>) -> bool {
        self.geometry.files_in(span).into_iter().any(|range| !self.is_stored(range.file))
    }

    /// Gives files that are written in full their final names, and tells `done` of each. Whether all have them: not when
    /// the run was given up before.
    ///
    /// Several threads do so, because a disk writes what several wait for at once: 20,000 small files take 2 s, and
    /// 30 s one after another.
    pub(crate) fn finish_all(
        &self,
        files: &[usize],
        replace: Replace,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<bool, Error> {
        let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let wrong = Mutex::new(None);
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(&file) = files.get(at) else { return };
                // A few files take no time, and a run that has few more to finish is complete.
                if at >= FILES_A_THREAD && self.is_given_up() {
                    return;
                }
                if let Err(error) = self.finish(file, replace) {
                    // The others stop as well: the run ends with the first error.
                    next.store(files.len(), Ordering::Relaxed);
                    wrong.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    return;
                }
                finished.fetch_add(1, Ordering::Relaxed);
                done(file);
            }
        };
        thread::scope(|scope| {
            for _ in 1..files.len().div_ceil(FILES_A_THREAD).min(FINISHING_THREADS) {
                // With fewer threads it only takes longer.
                let _ = thread::Builder::new().name("bittrace-finish".to_owned()).spawn_scoped(scope, work);
            }
            work();
        });
        match wrong.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(finished.into_inner() == files.len()),
        }
    }

    /// Makes a file without bytes, unless it is there; whether it was made.
    pub(crate) fn make_empty(&self, file: usize, replace: Replace) -> Result<bool, Error> {
        let Some(path) = self.path(file) else { return Ok(false) };
        match self.folder.create_empty(&path) {
            Ok(()) => return Ok(true),
            Err(Error::Exists { .. }) => {}
            Err(error) => return Err(error),
        }
        match self.folder.look(&path, "")? {
            PathEntry::File(0) => return Ok(false),
            PathEntry::File(_) if replace == Replace::Always => self.folder.remove(&path, "")?,
            _ => return Err(Error::Exists { path: self.folder.shown(&path, "") }),
        }
        self.folder.create_empty(&path)?;
        Ok(true)
    }

    /// Makes the torrent's links (BEP 47), of which the layout has only safe ones. Nothing is replaced by a link. Whether all
    /// were made or left out: not when the run was given up before.
    pub(crate) fn make_links(&self) -> Result<bool, Error> {
        let links = self.layout.links.iter().filter(|link| self.chosen.has(link.file));
        for (at, link) in links.enumerate() {
            if at >= FILES_A_THREAD && self.is_given_up() {
                return Ok(false);
            }
            match self.folder.create_link(&link.path, &link.text())? {
                MadeLink::Stands => {}
                MadeLink::InTheWay => self.leave_out(LeftOutReason::LinkInTheWay, &link.path),
                MadeLink::Unsupported => self.leave_out(LeftOutReason::LinkUnsupported, &link.path),
            }
        }
        Ok(true)
    }

    /// What of the torrent is not stored.
    pub(crate) fn left_out(&self) -> LeftOut {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn leave_out(&self, reason: LeftOutReason, path: &[String]) {
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        left_out.add(reason, &path.join("/"));
    }

    /// Gives a file that is written in full its final name.
    fn finish(&self, file: usize, replace: Replace) -> Result<(), Error> {
        let Some(path) = self.path(file) else { return Ok(()) };
        let length = self.layout.places[file].length;
        let handle = self.handle(file, Handle::Writable)?;
        let wrong =
            |action, source| Error::File { action, path: self.folder.shown(&path, PART_SUFFIX), source };
        // Something longer may have been there before.
        if self.layout.places[file].executable && os::make_executable(&handle).is_err() {
            self.leave_out(LeftOutReason::Executable, &path);
        }
        let longer = handle.metadata().map_err(|source| wrong("look at", source))?.len() > length;
        if longer {
            handle.set_len(length).map_err(|source| wrong("shorten", source))?;
        }
        // A final name promises the content, after a power failure too.
        os::sync_content(&handle).map_err(|source| wrong("write", source))?;
        let mut open = self.lock();
        if !self.folder.is_named(&handle, &path, PART_SUFFIX)? {
            return Err(wrong("rename", io::Error::new(io::ErrorKind::NotFound, "it was moved or replaced")));
        }
        self.folder.rename(&path, PART_SUFFIX, "", replace)?;
        open.stands[file] = Stands::Finished;
        Ok(())
    }

    /// Gives a finished file its unfinished name back.
    pub(crate) fn reopen(&self, file: usize) -> Result<(), Error> {
        let Some(path) = self.path(file) else { return Ok(()) };
        let mut open = self.lock();
        open.handles.retain(|(open, ..)| *open != file);
        let found = self.folder.read(&path, "")?;
        let names = os::link_count(&found).map_err(|source| {
            let path = self.folder.shown(&path, "");
            Error::File { action: "look at", path, source }
        })?;
        if names > 1 {
            return Err(Error::HardLink { path: self.folder.shown(&path, "") });
        }
        drop(found);
        self.folder.rename(&path, "", PART_SUFFIX, Replace::Always)?;
        open.stands[file] = Stands::Unfinished;
        Ok(())
    }

    /// Writes bytes of a piece, which follow each other in the row; `false` where the run was given up before all were written.
    pub(crate) fn write(&self, start: u64, parts: &[Bytes]) -> Result<bool, Error> {
        let (piece, begin) = self.piece_at(start);
        if self.shared.contains(piece) {
            self.shared_pieces.write(piece, begin, parts)?;
        }
        let mut parts = Slices::new(parts);
        for range in self.geometry.files_in(start..start + parts.left) {
            if self.is_given_up() {
                return Ok(false);
            }
            let length = range.bytes.end - range.bytes.start;
            let Some(path) = self.path(range.file).filter(|_| self.chosen.has(range.file)) else {
                parts.skip(length);
                continue;
            };
            let file = self.handle(range.file, Handle::Writable)?;
            parts.write_to(&file, range.bytes).map_err(|source| {
                let path = self.folder.shown(&path, PART_SUFFIX);
                Error::File { action: "write", path, source }
            })?;
        }
        Ok(true)
    }

    /// Reads bytes of a piece, given as they stand in the row; `false` where the run was given up before all were read.
    pub(crate) fn read(&self, span: Range<u64>, into: &mut [u8]) -> Result<bool, Error> {
        Ok(self.read_shared(span.clone(), into)? || self.read_files(span, into)?)
    }

    /// The same of a piece that is kept apart from the files; `false` where it is not.
    pub(crate) fn read_shared(&self, span: Range<u64>, into: &mut [u8]) -> Result<bool, Error> {
        let (piece, begin) = self.piece_at(span.start);
        if span.is_empty() || !self.shared_pieces.read(piece, begin, into)? {
            return Ok(false);
        }
        // What came as padding was kept as it came.
        let mut rest = into;
        for range in self.geometry.files_in(span) {
            let length = usize::try_from(range.bytes.end - range.bytes.start).unwrap_or(usize::MAX);
            let (part, after) = rest.split_at_mut(length.min(rest.len()));
            if self.torrent.files[range.file].is_padding() {
                part.fill(0);
            }
            rest = after;
        }
        Ok(true)
    }

    /// The same from the files alone.
    pub(crate) fn read_files(&self, span: Range<u64>, mut into: &mut [u8]) -> Result<bool, Error> {
        for range in self.geometry.files_in(span) {
            if self.is_given_up() {
                return Ok(false);
            }
            let length = usize::try_from(range.bytes.end - range.bytes.start).unwrap_or(usize::MAX);
            let (part, rest) = into.split_at_mut(length.min(into.len()));
            into = rest;
            let Some(path) = self.path(range.file) else {
                part.fill(0);
                continue;
            };
            let file = self.handle(range.file, Handle::ReadOnly)?;
            os::read_exact_at(&file, part, range.bytes.start).map_err(|source| {
                let path = self.folder.shown(&path, self.suffix(range.file));
                Error::File { action: "read", path, source }
            })?;
        }
        Ok(true)
    }

    /// Writes bytes of a file that is wanted and not finished.
    pub(crate) fn write_file(&self, file: usize, start: u64, bytes: &[u8]) -> Result<(), Error> {
        let handle = self.handle(file, Handle::Writable)?;
        os::write_all_at(&handle, bytes, start).map_err(|source| {
            let path = self.folder.shown(&self.path(file).unwrap_or_default(), PART_SUFFIX);
            Error::File { action: "write", path, source }
        })
    }

    /// The piece in which a byte of the row lies, and the place of the byte in it.
    fn piece_at(&self, at: u64) -> (PieceIndex, u32) {
        let length = u64::from(self.geometry.piece_length());
        (PieceIndex(u32::try_from(at / length).unwrap_or(u32::MAX)), (at % length) as u32)
    }

    /// Reads a block, with zeros where it goes on after its file.
    pub(crate) fn read_block(&self, block: Block) -> Option<Bytes> {
        let (span, zeros) = self.geometry.padded_span(block)?;
        let mut bytes = vec![0; usize::try_from(block.length).ok()?];
        let content = usize::try_from(block.length - zeros).ok()?;
        let is_read = self.read(span, &mut bytes[..content]).ok()?;
        is_read.then(|| bytes.into())
    }

    /// A file that can at least be read, or also written.
    fn handle(&self, file: usize, wanted: Handle) -> Result<Arc<File>, Error> {
        let mut open = self.lock();
        let usable = |&(number, has, _): &(usize, Handle, _)| {
            number == file && (has == wanted || has == Handle::Writable)
        };
        if let Some(at) = open.handles.iter().rposition(usable) {
            let handle = open.handles[at].2.clone();
            if at + 8 < open.handles.len() {
                let used = open.handles.remove(at);
                open.handles.extend(used);
            }
            return Ok(handle);
        }
        let Some(path) = self.path(file) else {
            let missing = io::Error::from(io::ErrorKind::NotFound);
            return Err(Error::File { action: "open", path: self.folder.shown(&[], ""), source: missing });
        };
        let stands = open.stands[file];
        let suffix = stands.suffix();
        let handle = Arc::new(match (wanted, stands) {
            (Handle::ReadOnly, _) => self.folder.read(&path, suffix)?,
            (Handle::Writable, Stands::Nothing) => self.folder.write_new(&path, suffix)?,
            (Handle::Writable, Stands::Unfinished | Stands::Finished) => {
                self.folder.write_old(&path, suffix)?
            }
        });
        if stands == Stands::Nothing && wanted == Handle::Writable {
            open.stands[file] = Stands::Unfinished;
        }
        if open.handles.len() >= MAX_OPEN {
            open.handles.pop_front();
        }
        open.handles.push_back((file, wanted, handle.clone()));
        Ok(handle)
    }

    /// The file's ending at present.
    pub(crate) fn suffix(&self, file: usize) -> &'static str {
        self.lock().stands[file].suffix()
    }

    /// A file as it is at present, for reading.
    pub(crate) fn reader(&self, file: usize) -> Result<Arc<File>, Error> {
        self.handle(file, Handle::ReadOnly)
    }

    fn lock(&self) -> MutexGuard<'_, OpenFiles> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stands {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Nothing | Self::Unfinished => PART_SUFFIX,
            Self::Finished => "",
        }
    }
}

/// The pieces in which bytes of files lie that are wanted, and of others that are stored.
fn shared_of(layout: &Layout, geometry: &Geometry, chosen: &ChosenFiles) -> PieceSet {
    let (mut wanted, mut others) =
        (PieceSet::none(geometry.piece_count()), PieceSet::none(geometry.piece_count()));
    if !chosen.is_all() {
        for (file, _) in layout.places.iter().enumerate().filter(|(_, place)| place.path.is_some()) {
            let pieces = if chosen.has(file) { &mut wanted } else { &mut others };
            for piece in geometry.pieces_of(file) {
                pieces.insert(PieceIndex(piece));
            }
        }
    }
    let mut shared = PieceSet::none(geometry.piece_count());
    for piece in wanted.iter().filter(|&piece| others.contains(piece)) {
        shared.insert(piece);
    }
    shared
}

/// How many threads wait for the disk at most when many files are finished, and from how many files on there is another:
/// 4 threads take a twelfth of the time of one, 8 a fifteenth, more gain nothing.
const FINISHING_THREADS: usize = 8;
const FILES_A_THREAD: usize = 8;
/// Torrents have more files than a process may open.
const MAX_OPEN: usize = 64;
