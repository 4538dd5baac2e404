//! Every byte sent and received, as a capture file. A thread of its own writes the file, so that a download waits only
//! when the disk stays slower than the network for long.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bittrace_protocol::Timestamp;
use bittrace_protocol::mse::MseKey;
use bittrace_trace::{Direction, Flow, Recorder, Side, StreamClosing, StreamId, StreamOpening};
use bytes::Bytes;

use crate::Error;
use crate::gauge::{MemoryBudget, Permit};
use crate::outlets::{Outlets, SharedOutlets};
use crate::storage::spawn;

/// Where all bytes pass. Nothing happens there when nothing is recorded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tap(Option<Arc<RecordingQueue>>);

#[derive(Debug)]
struct RecordingQueue {
    said: Sender<Said>,
    streams: AtomicU32,
    gauge: MemoryBudget,
}

/// One connection, or one attempt at one, in the recording.
#[derive(Debug)]
pub(crate) struct TappedConnection {
    tap: Tap,
    stream: StreamId,
    /// The direction of the bytes that this host sends.
    ours: Direction,
    over: AtomicBool,
}

#[derive(Debug)]
struct Said {
    at: Timestamp,
    what: Recordable,
    _held: Permit,
}

#[derive(Debug)]
enum Recordable {
    Opened(StreamId, Flow),
    Established(StreamId),
    Burst(StreamId, Direction, Bytes),
    Closed(StreamId, StreamClosing),
    Datagram(SocketAddr, SocketAddr, Bytes),
    /// A key, the initiator, the responder.
    MseKey(MseKey, SocketAddr, SocketAddr),
    /// A line of a key log of TLS.
    TlsSecret(String),
}

impl Tap {
    /// Begins a recording into these outlets. It ends when the last tap is gone, or when no outlet is left.
    pub(crate) fn open(
        outlets: Outlets,
        comment: String,
        gauge: MemoryBudget,
    ) -> Result<(Self, JoinHandle<()>), Error> {
        let (said, heard) = mpsc::channel();
        let thread = spawn("recorder", move || {
            let outlets = SharedOutlets::new(outlets);
            if let Err(source) = write(outlets.clone(), &comment, &heard) {
                outlets.fail(&source);
            }
        })?;
        Ok((Self(Some(Arc::new(RecordingQueue { said, streams: AtomicU32::new(0), gauge }))), thread))
    }

    /// A connection is being opened, by this host or by the remote.
    pub(crate) fn opened(
        &self,
        at: Timestamp,
        by: Side,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> TappedConnection {
        let number = self.0.as_ref().map_or(0, |open| open.streams.fetch_add(1, Ordering::Relaxed));
        let (ours, flow) = match by {
            Side::Local | Side::Initiator => {
                (Direction::FromInitiator, Flow { initiator: local, responder: remote })
            }
            Side::Remote | Side::Responder => {
                (Direction::FromResponder, Flow { initiator: remote, responder: local })
            }
        };
        let line = TappedConnection {
            tap: self.clone(),
            stream: StreamId(number),
            ours,
            over: AtomicBool::new(false),
        };
        self.say(at, 0, || Recordable::Opened(line.stream, flow));
        line
    }

    /// A datagram was sent or received.
    pub(crate) fn datagram(&self, at: Timestamp, from: SocketAddr, to: SocketAddr, bytes: &Bytes) {
        self.say(at, bytes.len(), || Recordable::Datagram(from, to, bytes.clone()));
    }

    /// Whether anything is recorded.
    pub(crate) const fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// The key of an encrypted connection is known, whose bytes that need it have neither been sent nor received.
    pub(crate) fn mse_key(&self, at: Timestamp, key: &MseKey, initiator: SocketAddr, responder: SocketAddr) {
        self.say(at, 0, || Recordable::MseKey(key.clone(), initiator, responder));
    }

    /// A secret of a TLS connection is known, a line of a key log, before the bytes that need it.
    pub(crate) fn tls_secret(&self, at: Timestamp, line: String) {
        self.say(at, line.len(), || Recordable::TlsSecret(line));
    }

    fn say(&self, at: Timestamp, length: usize, what: impl FnOnce() -> Recordable) {
        if let Some(open) = &self.0 {
            // Where the thread is gone, it could not write; and has reported why.
            let _ = open.said.send(Said { at, what: what(), _held: open.gauge.hold(length) });
        }
    }
}

impl TappedConnection {
    /// The connection was accepted.
    pub(crate) fn established(&self, at: Timestamp) {
        self.tap.say(at, 0, || Recordable::Established(self.stream));
    }

    /// Bytes were sent or received.
    pub(crate) fn burst(&self, at: Timestamp, side: Side, bytes: &Bytes) {
        let direction = match side {
            Side::Local | Side::Initiator => self.ours,
            Side::Remote | Side::Responder => self.ours.reverse(),
        };
        self.tap.say(at, bytes.len(), || Recordable::Burst(self.stream, direction, bytes.clone()));
    }

    /// The connection is over. The first reason counts.
    pub(crate) fn closed(&self, at: Timestamp, closing: StreamClosing) {
        if !self.over.swap(true, Ordering::Relaxed) {
            self.tap.say(at, 0, || Recordable::Closed(self.stream, closing));
        }
    }
}

impl Drop for TappedConnection {
    fn drop(&mut self) {
        // One that is given up on ends without a word.
        if !self.over.swap(true, Ordering::Relaxed) {
            self.tap
                .say(Timestamp::EPOCH, 0, || Recordable::Closed(self.stream, StreamClosing::CaptureEnded));
        }
    }
}

fn write(outlets: SharedOutlets, comment: &str, heard: &Receiver<Said>) -> io::Result<()> {
    let mut recorder = Recorder::new(outlets.clone(), comment)?;
    let mut flushed = Instant::now();
    loop {
        let said = match heard.try_recv() {
            Ok(said) => Ok(said),
            Err(_) => {
                // Nothing waits: who watches sees all that happened.
                outlets.show()?;
                heard.recv_timeout(FLUSH_AFTER)
            }
        };
        let said = match said {
            Ok(said) => Some(said),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if let Some(Said { at, what, .. }) = said {
            match what {
                Recordable::Opened(stream, flow) => recorder.opened(at, stream, flow, StreamOpening::Syn)?,
                Recordable::Established(stream) => recorder.established(at, stream)?,
                Recordable::Burst(stream, direction, bytes) => {
                    recorder.burst(at, stream, direction, &bytes)?
                }
                Recordable::Closed(stream, closing) => recorder.closed(at, stream, closing)?,
                Recordable::Datagram(from, to, bytes) => recorder.datagram(at, from, to, &bytes)?,
                Recordable::TlsSecret(line) => recorder.tls_secrets(&line)?,
                Recordable::MseKey(key, initiator, responder) => {
                    recorder.mse_key(&key, initiator, responder)?;
                }
            }
        }
        // A run that is killed leaves a capture with all but its last moments.
        if flushed.elapsed() >= FLUSH_AFTER {
            outlets.flush()?;
            flushed = Instant::now();
        }
    }
    recorder.finish()?.flush()
}

const FLUSH_AFTER: Duration = Duration::from_millis(250);
