//! The bytes of a torrent on disk: where each lies, and the files that are open.
//!
//! A file bears the ending `.part` until all its pieces are verified. Padding is not stored: it is read as zeros.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use bittrace_protocol::{Block, Geometry, Metainfo};
use bytes::Bytes;

use crate::Error;
use crate::folder::{Folder, PathEntry, Replace};
use crate::layout::{Layout, PART_SUFFIX};
use crate::left_out::{LeftOut, LeftOutReason};
use crate::os::{self, MadeLink};

/// A torrent's files below its output folder. It is shared by the threads that write, read and hash.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) folder: Folder,
    pub(crate) layout: Layout,
    pub(crate) torrent: Arc<Metainfo>,
    pub(crate) geometry: Geometry,
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
    pub(crate) fn new(folder: Folder, layout: Layout, torrent: Arc<Metainfo>, geometry: Geometry) -> Self {
        let open = OpenFiles { stands: vec![Stands::Nothing; layout.places.len()], handles: VecDeque::new() };
        let left_out = Mutex::new(layout.left_out.clone());
        let given_up = AtomicBool::new(false);
        Self { folder, layout, torrent, geometry, open: Mutex::new(open), given_up, left_out }
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
        for (at, link) in self.layout.links.iter().enumerate() {
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

    /// Writes bytes that follow each other in the row; `false` where the run was given up before all were written.
    pub(crate) fn write(&self, start: u64, parts: &[Bytes]) -> Result<bool, Error> {
        let mut parts = Slices::new(parts);
        for range in self.geometry.files_in(start..start + parts.left) {
            if self.is_given_up() {
                return Ok(false);
            }
            let length = range.bytes.end - range.bytes.start;
            let Some(path) = self.path(range.file) else {
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

    /// Reads bytes of the row; `false` where the run was given up before all were read.
    pub(crate) fn read(&self, span: Range<u64>, mut into: &mut [u8]) -> Result<bool, Error> {
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

/// What is left of a row of slices.
struct Slices<'a> {
    slices: &'a [Bytes],
    /// How much of the first one is gone.
    gone: usize,
    left: u64,
}

impl<'a> Slices<'a> {
    fn new(slices: &'a [Bytes]) -> Self {
        Self { slices, gone: 0, left: slices.iter().map(|slice| slice.len() as u64).sum() }
    }

    fn skip(&mut self, count: u64) {
        self.left -= count;
        self.gone += usize::try_from(count).unwrap_or(usize::MAX);
        while let Some((first, rest)) = self.slices.split_first() {
            if self.gone < first.len() {
                break;
            }
            self.gone -= first.len();
            self.slices = rest;
        }
    }

    fn write_to(&mut self, file: &File, mut range: Range<u64>) -> io::Result<()> {
        while range.start < range.end {
            let mut wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
            let mut gone = self.gone;
            let mut vector = Vec::with_capacity(self.slices.len().min(MAX_SLICES));
            for slice in self.slices.iter().take(MAX_SLICES) {
                let slice = &slice[gone..];
                gone = 0;
                let slice = &slice[..slice.len().min(wanted)];
                wanted -= slice.len();
                vector.push(IoSlice::new(slice));
                if wanted == 0 {
                    break;
                }
            }
            let written = match os::write_vectored_at(file, &vector, range.start) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.skip(written);
            range.start += written;
        }
        Ok(())
    }
}

/// How many threads wait for the disk at most when many files are finished, and from how many files on there is another:
/// 4 threads take a twelfth of the time of one, 8 a fifteenth, more gain nothing.
const FINISHING_THREADS: usize = 8;
const FILES_A_THREAD: usize = 8;
/// Torrents have more files than a process may open.
const MAX_OPEN: usize = 64;
/// What Linux takes at once is 1,024.
const MAX_SLICES: usize = 512;
