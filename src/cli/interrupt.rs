//! Ctrl-C, and input that may be waited for: reading stops, and what was learnt is still shown.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The exit code of an interrupted command: 128 and the number of SIGINT.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

/// Lets the first Ctrl-C stop the reading and the second one the process.
pub(crate) fn watch() {
    // Without a handler Ctrl-C just ends the process, which is no reason not to begin.
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            if let Some(tidy) = TIDY.lock().unwrap_or_else(PoisonError::into_inner).take() {
                tidy();
            }
            std::process::exit(i32::from(EXIT_INTERRUPTED));
        }
    });
}

/// What is to be done when a second Ctrl-C ends the process, since nothing else will do it then.
static TIDY: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);

/// Has this done when a second Ctrl-C ends the process; it takes the place of what was to be done before.
pub(crate) fn tidy_with(tidy: impl FnOnce() + Send + 'static) {
    *TIDY.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(tidy));
}

/// The interrupt has done what it was for: what follows is not to be cut short by it.
pub(crate) fn heed() {
    INTERRUPTED.store(false, Ordering::Relaxed);
}

/// Whether Ctrl-C was pressed.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Input that another process may still be writing. A thread of its own waits for it, so that an interrupt ends the
/// input at once, and what is known is put out before anyone waits.
pub(crate) struct Feed {
    chunks: Receiver<io::Result<Vec<u8>>>,
    current: Vec<u8>,
    read: usize,
    before_wait: Box<dyn FnMut() + Send>,
}

/// How many bytes are asked for at once, and how many such chunks are read ahead.
const CHUNK: usize = 64 * 1024;
const AHEAD: usize = 4;

/// How long an interrupt may go unnoticed while nothing comes.
const PATIENCE: Duration = Duration::from_millis(50);

impl Feed {
    /// Input from `source`. `before_wait` is called whenever nothing is there to read.
    pub(crate) fn new(
        mut source: impl Read + Send + 'static,
        before_wait: impl FnMut() + Send + 'static,
    ) -> Self {
        let (send, chunks) = sync_channel(AHEAD);
        thread::spawn(move || {
            loop {
                let mut chunk = vec![0; CHUNK];
                let read = match source.read(&mut chunk) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    read => read,
                };
                let last = !matches!(read, Ok(1..));
                let sent = send.send(read.map(|length| {
                    chunk.truncate(length);
                    chunk
                }));
                if last || sent.is_err() {
                    return;
                }
            }
        });
        Self { chunks, current: Vec::new(), read: 0, before_wait: Box::new(before_wait) }
    }

    fn next_chunk(&mut self) -> io::Result<Vec<u8>> {
        match self.chunks.try_recv() {
            Ok(chunk) => return chunk,
            Err(TryRecvError::Disconnected) => return Ok(Vec::new()),
            Err(TryRecvError::Empty) => {}
        }
        (self.before_wait)();
        loop {
            if interrupted() {
                return Ok(Vec::new());
            }
            match self.chunks.recv_timeout(PATIENCE) {
                Ok(chunk) => return chunk,
                Err(RecvTimeoutError::Disconnected) => return Ok(Vec::new()),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.current.len() {
            self.current = self.next_chunk()?;
            self.read = 0;
        }
        let rest = &self.current[self.read..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.read += length;
        Ok(length)
    }
}
