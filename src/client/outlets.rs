//! Where a recording goes: a file, and whoever follows the recording. An outlet that cannot be written is closed, and the others
//! go on.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufWriter, IoSlice, Write};
use std::path::PathBuf;
use std::rc::Rc;

use bittrace_trace::write_all_vectored;
use smallvec::SmallVec;
use tokio::sync::mpsc::UnboundedSender;

use crate::Error;
use crate::event::DriverEvent;
use crate::options::RecordingWatcher;

/// The outlets that can be written still.
pub(crate) struct Outlets {
    open: Vec<Outlet>,
    events: UnboundedSender<DriverEvent>,
}

struct Outlet {
    writer: BufWriter<Box<dyn Write + Send>>,
    /// Where the recording is, for the report of a failure; without it a failure is not told.
    name: Option<PathBuf>,
    /// Whether somebody follows the recording, and is to see what happened at once.
    is_watched: bool,
}

impl Outlets {
    /// No outlets yet. Failures go to `events`.
    pub(crate) const fn new(events: UnboundedSender<DriverEvent>) -> Self {
        Self { open: Vec::new(), events }
    }

    /// Adds a file, whose failure is told.
    pub(crate) fn add_file(&mut self, path: PathBuf, file: File) {
        self.add(Box::new(file), Some(path), false);
    }

    /// Adds a watcher, unless it followed an earlier run.
    pub(crate) fn add_watcher(&mut self, watcher: &RecordingWatcher) {
        if let Some(writer) = watcher.take() {
            self.add(writer, watcher.name().map(Into::into), true);
        }
    }

    fn add(&mut self, writer: Box<dyn Write + Send>, name: Option<PathBuf>, is_watched: bool) {
        self.open.push(Outlet { writer: BufWriter::with_capacity(BUFFER, writer), name, is_watched });
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Does this with each outlet, and closes those with which it fails. An error when none is left.
    fn each(&mut self, mut act: impl FnMut(&mut Outlet) -> io::Result<()>) -> io::Result<()> {
        let mut at = 0;
        while let Some(outlet) = self.open.get_mut(at) {
            match act(outlet) {
                Ok(()) => at += 1,
                Err(source) => {
                    let outlet = self.open.swap_remove(at);
                    outlet.fail(source, &self.events);
                }
            }
        }
        if self.open.is_empty() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}

impl Outlet {
    fn fail(self, source: io::Error, events: &UnboundedSender<DriverEvent>) {
        // Without its buffer, which would be written once more.
        drop(self.writer.into_parts());
        if let Some(path) = self.name {
            let _ = events.send(DriverEvent::RecordingFailed(Error::Record { path, source }));
        }
    }
}

/// Outlets that can be flushed while a recorder writes to them.
#[derive(Clone)]
pub(crate) struct SharedOutlets(Rc<RefCell<Outlets>>);

impl SharedOutlets {
    pub(crate) fn new(outlets: Outlets) -> Self {
        Self(Rc::new(RefCell::new(outlets)))
    }

    /// Hands the watchers what they were not handed yet.
    pub(crate) fn show(&self) -> io::Result<()> {
        self.0.borrow_mut().each(|outlet| if outlet.is_watched { outlet.writer.flush() } else { Ok(()) })
    }

    /// Hands all outlets what they were not handed yet.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.0.borrow_mut().each(|outlet| outlet.writer.flush())
    }

    /// Closes all outlets that are left: the recording cannot go on.
    pub(crate) fn fail(&self, source: &io::Error) {
        let failed = || Err(io::Error::new(source.kind(), source.to_string()));
        let _ = self.0.borrow_mut().each(|_| failed());
    }
}

impl Write for SharedOutlets {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().each(|outlet| outlet.writer.write_all(bytes))?;
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.borrow_mut().each(|outlet| {
            // Writing moves the parts on, so that each outlet gets its own.
            write_all_vectored(&mut outlet.writer, &mut SmallVec::<[_; 8]>::from_slice(parts))
        })?;
        Ok(parts.iter().map(|part| part.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Self::flush(self)
    }
}

/// Smaller than the packets of a fast download, which so go past the buffer instead of being copied into it.
const BUFFER: usize = 32 * 1024;
