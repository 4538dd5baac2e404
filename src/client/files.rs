//! The bytes of a torrent on disk: where each lies, and the files that are open.
//!
//! A file bears the ending `.part` until all its pieces are verified. Padding is not stored: it is read as zeros.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bittrace_protocol::{Block, Geometry};
use bytes::Bytes;

use crate::Error;
use crate::folder::{Folder, Replace};
use crate::layout::{Layout, PART_SUFFIX};
use crate::os;

/// A torrent's files below its output folder. It is shared by the threads that write, read and hash.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) folder: Folder,
    pub(crate) layout: Layout,
    pub(crate) geometry: Geometry,
    open: Mutex<OpenFiles>,
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
    pub(crate) fn new(folder: Folder, layout: Layout, geometry: Geometry) -> Self {
        let open = OpenFiles { stands: vec![Stands::Nothing; layout.places.len()], handles: VecDeque::new() };
        Self { folder, layout, geometry, open: Mutex::new(open) }
    }

    /// The path of a file; `None` where it is not stored.
    pub(crate) fn path(&self, file: usize) -> Option<&[String]> {
        self.layout.places.get(file)?.path.as_deref()
    }

    /// Says what stands of a file. One of which nothing stands is made when it is first written to, and then only
    /// where nothing has come to stand meanwhile; one that stands is never made anew.
    pub(crate) fn set_stands(&self, file: usize, stands: Stands) {
        self.lock().stands[file] = stands;
    }

    /// Whether some of these bytes of the row are not stored.
    pub(crate) fn has_padding(&self, span: Range<u64>) -> bool {
        self.geometry.files_in(span).into_iter().any(|range| self.path(range.file).is_none())
    }

    /// Gives a file that is written in full its final name.
    pub(crate) fn finish(&self, file: usize, replace: Replace) -> Result<(), Error> {
        let Some(path) = self.path(file) else { return Ok(()) };
        let length = self.layout.places[file].length;
        let handle = self.handle(file, Handle::Writable)?;
        let wrong =
            |action, source| Error::File { action, path: self.folder.shown(path, PART_SUFFIX), source };
        // Something longer may have been there before.
        let longer = handle.metadata().map_err(|source| wrong("look at", source))?.len() > length;
        if longer {
            handle.set_len(length).map_err(|source| wrong("shorten", source))?;
        }
        // A final name promises the content, after a power failure too.
        os::sync_content(&handle).map_err(|source| wrong("write", source))?;
        let mut open = self.lock();
        if !self.folder.is_named(&handle, path, PART_SUFFIX)? {
            return Err(wrong("rename", io::Error::new(io::ErrorKind::NotFound, "it was moved or replaced")));
        }
        self.folder.rename(path, PART_SUFFIX, "", replace)?;
        open.stands[file] = Stands::Finished;
        Ok(())
    }

    /// Gives a finished file its unfinished name back.
    pub(crate) fn reopen(&self, file: usize) -> Result<(), Error> {
        let Some(path) = self.path(file) else { return Ok(()) };
        let mut open = self.lock();
        open.handles.retain(|(open, ..)| *open != file);
        self.folder.rename(path, "", PART_SUFFIX, Replace::Always)?;
        open.stands[file] = Stands::Unfinished;
        Ok(())
    }

    /// Writes bytes that follow each other in the row.
    pub(crate) fn write(&self, start: u64, parts: &[Bytes]) -> Result<(), Error> {
        let mut parts = Slices::new(parts);
        for range in self.geometry.files_in(start..start + parts.left) {
            let length = range.bytes.end - range.bytes.start;
            let Some(path) = self.path(range.file) else {
                parts.skip(length);
                continue;
            };
            let file = self.handle(range.file, Handle::Writable)?;
            parts.write_to(&file, range.bytes).map_err(|source| {
                let path = self.folder.shown(path, PART_SUFFIX);
                Error::File { action: "write", path, source }
            })?;
        }
        Ok(())
    }

    /// Reads bytes of the row.
    pub(crate) fn read(&self, span: Range<u64>, mut into: &mut [u8]) -> Result<(), Error> {
        for range in self.geometry.files_in(span) {
            let length = usize::try_from(range.bytes.end - range.bytes.start).unwrap_or(usize::MAX);
            let (part, rest) = into.split_at_mut(length.min(into.len()));
            into = rest;
            let Some(path) = self.path(range.file) else {
                part.fill(0);
                continue;
            };
            let file = self.handle(range.file, Handle::ReadOnly)?;
            os::read_exact_at(&file, part, range.bytes.start).map_err(|source| {
                let path = self.folder.shown(path, self.suffix(range.file));
                Error::File { action: "read", path, source }
            })?;
        }
        Ok(())
    }

    /// Reads a block.
    pub(crate) fn read_block(&self, block: Block) -> Option<Bytes> {
        let span = self.geometry.block_span(block).ok()?;
        let mut bytes = vec![0; usize::try_from(block.length).ok()?];
        self.read(span, &mut bytes).ok()?;
        Some(bytes.into())
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
            (Handle::ReadOnly, _) => self.folder.read(path, suffix)?,
            (Handle::Writable, Stands::Nothing) => self.folder.write_new(path, suffix)?,
            (Handle::Writable, Stands::Unfinished | Stands::Finished) => {
                self.folder.write_old(path, suffix)?
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

/// Torrents have more files than a process may open.
const MAX_OPEN: usize = 64;
/// What Linux takes at once is 1,024.
const MAX_SLICES: usize = 512;
