//! A capture file from its first packet to its last, as annotated records.

mod ahead;
mod reading;
mod wireshark;

use std::collections::VecDeque;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::mse;
use bittrace_protocol::{InfoHash, Timestamp};

use crate::capture::{Capture, Cut, TraceError};
use crate::dissect::Dissected;
use crate::expert::Annotator;
use crate::measurement::TcpMeasurements;
use crate::recorder::Viewpoint;
use ahead::Ahead;
use reading::CaptureReader;
pub use reading::{About, Counts, UnreadLinks};

/// Which host a capture is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LocalChoice {
    /// The one that the messages point to: who asks a tracker first, or calls first.
    #[default]
    Detected,
    /// The host at this address.
    Host(IpAddr),
    /// None: the capture has a network of equal hosts, and each speaker is initiator or responder.
    Nobody,
    /// None where the capture says that it was taken between all its hosts, as those of `bittrace lab` do; otherwise the one that
    /// the messages point to.
    AsCaptured,
}

impl LocalChoice {
    /// The address, where one was chosen.
    pub const fn host(self) -> Option<IpAddr> {
        match self {
            Self::Host(address) => Some(address),
            Self::Detected | Self::Nobody | Self::AsCaptured => None,
        }
    }
}

impl std::fmt::Display for LocalChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Detected | Self::AsCaptured => f.write_str("detected"),
            Self::Host(address) => address.fmt(f),
            Self::Nobody => f.write_str("none"),
        }
    }
}

impl From<Option<IpAddr>> for LocalChoice {
    fn from(address: Option<IpAddr>) -> Self {
        address.map_or(Self::Detected, Self::Host)
    }
}

/// What is known of a capture beforehand.
#[derive(Debug, Clone, Default)]
pub struct TraceOptions {
    /// The host the capture is about.
    pub local: LocalChoice,
    /// Torrents whose pieces are to be checked.
    pub torrents: Vec<Arc<Metainfo>>,
    /// Whether the capture begins before the client that it is about does, as the recording of a whole run does. Then the
    /// first announce that it has is the client's first.
    pub from_start: bool,
    /// The keys of encrypted connections; those that the capture holds itself are found.
    pub mse_keys: Vec<mse::MseKey>,
    /// Whether each connection's end is to say how TCP or uTP behaved
    /// ([`ConnectionEnd::measured`](crate::ConnectionEnd::measured)).
    pub measure: bool,
}

/// Reads a capture. Memory is held for what is open: streams, pieces on their way, and torrents that peers describe (each
/// within a bound).
pub struct Trace {
    source: RecordSource,
    about: About,
    measurements: TcpMeasurements,
    annotator: Annotator,
    ready: VecDeque<Dissected>,
    /// How many of those were passed. They go all at once: to take each off the queue would copy it.
    passed: usize,
    /// Whether the first that was not passed was shown.
    shown: bool,
    finished: bool,
    progress: Option<ProgressListener>,
}

/// Who wants to know how far a capture was read.
struct ProgressListener {
    tell: Box<dyn FnMut(&About) + Send>,
    /// Packets read since it was last told.
    packets: usize,
}

/// Where records come from.
enum RecordSource {
    /// They are made when one is wanted.
    Here(Box<CaptureReader>),
    /// Another thread makes them.
    Ahead(Ahead),
}

impl Trace {
    /// Opens the capture file at `path`. Where there is more than one processor, another thread reads ahead.
    ///
    /// # Errors
    /// When it cannot be opened, or is no capture.
    pub fn open(path: &Path, options: TraceOptions) -> Result<Self, TraceError> {
        let several = std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1);
        let mut capture = Capture::open(path)?;
        if several {
            capture.unpack_ahead();
        }
        let reading = CaptureReader::new(capture, &options);
        Ok(Self::over(reading, options, several))
    }

    /// Reads a capture from a stream, as its bytes come. `name` stands for it in errors.
    ///
    /// # Errors
    /// When the stream cannot be read, or is no capture.
    pub fn from_reader(
        name: String,
        reader: impl Read + Send + 'static,
        options: TraceOptions,
    ) -> Result<Self, TraceError> {
        let reading = CaptureReader::new(Capture::from_reader(name, reader)?, &options);
        Ok(Self::over(reading, options, false))
    }

    fn over(reading: CaptureReader, options: TraceOptions, ahead: bool) -> Self {
        let about = About::of(&reading);
        let source = if ahead { Ahead::over(reading) } else { RecordSource::Here(Box::new(reading)) };
        let annotator = Annotator::new(options);
        Self {
            source,
            about,
            measurements: TcpMeasurements::default(),
            annotator,
            ready: VecDeque::new(),
            passed: 0,
            shown: false,
            finished: false,
            progress: None,
        }
    }

    /// Lets `tell` know how far the capture was read: again and again while packets are read, whether or not a record
    /// comes of them, at the latest after 65,536 packets more.
    pub fn on_progress(&mut self, tell: impl FnMut(&About) + Send + 'static) {
        self.progress = Some(ProgressListener { tell: Box::new(tell), packets: 0 });
    }

    /// The next record, or the end of a connection; `None` at the end of the capture.
    ///
    /// # Errors
    /// When the file cannot be read on, or is corrupt. What came before stays good; a next call returns `None`
    /// after the records of all streams that were open.
    #[expect(clippy::should_implement_trait, reason = "an iterator would hide the errors in its items")]
    pub fn next(&mut self) -> Result<Option<Dissected>, TraceError> {
        self.advance()?;
        self.shown = false;
        self.ready.drain(..std::mem::take(&mut self.passed));
        Ok(self.ready.pop_front())
    }

    /// Goes on to the next record, or end of a connection, which is then the [`current`](Self::current) one. `false`
    /// at the end of the capture. Records are large, and who only looks at them need not have them.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn advance(&mut self) -> Result<bool, TraceError> {
        self.passed += usize::from(std::mem::take(&mut self.shown));
        while self.passed >= self.ready.len() {
            self.ready.clear();
            self.passed = 0;
            if self.finished {
                return Ok(false);
            }
            let more = match &mut self.source {
                RecordSource::Here(reading) => {
                    let more = reading.step(&mut self.ready);
                    if let Some(notes) = reading.notes() {
                        self.measurements.take(notes);
                    }
                    self.about.update(reading);
                    more
                }
                RecordSource::Ahead(ahead) => {
                    ahead.next(&mut self.ready, &mut self.about, &mut self.measurements)
                }
            };
            self.finished = !more?;
            if let Some(listener) = &mut self.progress {
                let whole_batch = matches!(self.source, RecordSource::Ahead(_));
                listener.packets += if whole_batch { ahead::PACKETS } else { 1 };
                if listener.packets >= ahead::PACKETS {
                    listener.packets = 0;
                    (listener.tell)(&self.about);
                }
            }
        }
        if let Some(next) = self.ready.get_mut(self.passed) {
            if self.about.viewpoint() == Viewpoint::BetweenHosts {
                self.annotator.learn_that_no_host_is_local();
            }
            if let Dissected::Connection(end) = next
                && let Some(noted_as) = end.noted_as.take()
            {
                end.measured = self.measurements.of_closed(noted_as);
            }
            self.annotator.annotate(next);
        }
        self.shown = true;
        Ok(true)
    }

    /// What [`advance`](Self::advance) went on to.
    pub fn current(&self) -> Option<&Dissected> {
        self.ready.get(self.passed).filter(|_| self.shown)
    }

    /// The capture being read: its format, and how far it was read.
    pub const fn capture(&self) -> &About {
        &self.about
    }

    /// Where the file was cut short, when it was.
    pub const fn cut(&self) -> Option<Cut> {
        self.about.cut()
    }

    /// What was in the packets so far.
    pub const fn counts(&self) -> Counts {
        self.about.counts()
    }

    /// When the first packet was captured, and the latest so far.
    pub const fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.about.span()
    }

    /// The address of the host the capture is about, as far as is known.
    pub const fn local(&self) -> Option<IpAddr> {
        self.annotator.local()
    }

    /// The torrent that goes by this info hash, as far as the options, or peers of the capture, describe it. A hybrid torrent goes by
    /// both its hashes (BEP 52, "Upgrade Path").
    pub fn torrent(&self, info_hash: InfoHash) -> Option<&Metainfo> {
        self.annotator.torrent(info_hash)
    }

    /// Whether no host is local ([`LocalChoice::Nobody`], [`LocalChoice::AsCaptured`]), so that speakers are initiator and responder.
    pub const fn has_no_local(&self) -> bool {
        self.annotator.has_no_local()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn progress_is_told_where_no_record_comes() {
        // Packets of no bytes, as a small compressed file can hold billions of.
        let mut file =
            vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
        file.resize(file.len() + 16 * 200_000, 0);
        let mut trace =
            Trace::from_reader("-".to_owned(), Cursor::new(file), TraceOptions::default()).unwrap();
        let (told, seen) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (counter, latest) = (told.clone(), seen.clone());
        trace.on_progress(move |about| {
            counter.fetch_add(1, Ordering::Relaxed);
            latest.store(about.packets(), Ordering::Relaxed);
        });
        assert!(!trace.advance().unwrap());
        assert_eq!((told.load(Ordering::Relaxed), seen.load(Ordering::Relaxed)), (3, 3 * 65_536));
    }
}
