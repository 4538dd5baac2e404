//! A thread that unpacks a compressed capture file ahead. Its buffers are handed over whole: no byte is copied once more.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};

/// The bytes of a capture, as another thread has read them.
pub(super) struct Prefetch {
    chunks: Receiver<io::Result<Chunk>>,
    /// Where buffers go that are free again.
    free: Sender<Vec<u8>>,
    thread: Option<JoinHandle<()>>,
}

/// Bytes that follow those of the chunk before.
pub(super) struct Chunk {
    /// The bytes stand after [`HEADROOM`] bytes of room.
    buffer: Vec<u8>,
    end: usize,
}

/// Room before the bytes of a chunk, for what is left of the chunk before: the longest packets that systems capture are 64 KiB.
pub(super) const HEADROOM: usize = 68 * 1024;

/// The bytes of a chunk: enough that handing over costs little beside unpacking.
pub(super) const BYTES: usize = 512 * 1024;

/// Chunks that may wait. With the one that is filled and the one that is in use, 2.4 MB of memory.
const CHUNKS: usize = 2;

impl Prefetch {
    /// Lets another thread read. Where the system has none to give, the reader comes back.
    pub(super) fn over(reader: Box<dyn Read + Send>) -> Result<Self, Box<dyn Read + Send>> {
        let (sender, chunks) = sync_channel(CHUNKS);
        let (free, freed) = channel();
        // A thread that cannot be begun takes what it was given with it, so that goes over when it runs.
        let (give, given) = sync_channel::<Box<dyn Read + Send>>(1);
        let begun = Builder::new().name("input".to_owned()).spawn(move || {
            if let Ok(reader) = given.recv() {
                read(reader, &sender, &freed);
            }
        });
        let Ok(thread) = begun else { return Err(reader) };
        match give.send(reader) {
            Ok(()) => Ok(Self { chunks, free, thread: Some(thread) }),
            Err(back) => Err(back.0),
        }
    }

    /// Waits for more bytes. `None` at the end.
    ///
    /// # Errors
    /// As reading.
    pub(super) fn next(&mut self) -> io::Result<Option<Chunk>> {
        match self.chunks.recv() {
            Ok(read) => read.map(Some),
            // The thread is done, or it panicked: that goes on here.
            Err(_) => match self.thread.take().map(JoinHandle::join) {
                Some(Err(panic)) => std::panic::resume_unwind(panic),
                _ => Ok(None),
            },
        }
    }

    /// Takes back a buffer that nobody needs any more.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        if buffer.len() == HEADROOM + BYTES {
            // Where the thread is done, it needs no buffers.
            let _done = self.free.send(buffer);
        }
    }
}

impl Chunk {
    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[HEADROOM..self.end]
    }

    /// Its buffer, and where its bytes begin and end when `left` of the chunk before stand before them: no more bytes than
    /// [`HEADROOM`].
    pub(super) fn behind(mut self, left: &[u8]) -> (Vec<u8>, usize, usize) {
        let start = HEADROOM - left.len();
        self.buffer[start..HEADROOM].copy_from_slice(left);
        (self.buffer, start, self.end)
    }
}

/// Reads to the end, or until nobody listens any more.
fn read(mut reader: Box<dyn Read + Send>, to: &SyncSender<io::Result<Chunk>>, free: &Receiver<Vec<u8>>) {
    loop {
        let mut buffer = free.try_recv().unwrap_or_else(|_| vec![0; HEADROOM + BYTES]);
        let mut end = HEADROOM;
        let mut ended = Ok(false);
        while end < buffer.len() {
            match reader.read(&mut buffer[end..]) {
                Ok(0) => {
                    ended = Ok(true);
                    break;
                }
                Ok(read) => end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    ended = Err(error);
                    break;
                }
            }
        }
        // What was read before an error counts.
        if end > HEADROOM && to.send(Ok(Chunk { buffer, end })).is_err() {
            return;
        }
        match ended {
            Ok(false) => {}
            Ok(true) => return,
            // Where nobody listens any more, nobody asks what went wrong.
            Err(error) => return drop(to.send(Err(error))),
        }
    }
}
