//! A capture file from its first packet to its last, as annotated records.

use std::collections::VecDeque;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use bittrace_protocol::Timestamp;
use bittrace_protocol::metainfo::Metainfo;

use crate::annotate::Annotator;
use crate::capture::{Capture, Cut, TraceError};
use crate::defrag::Defragmenter;
use crate::dissect::{Dissected, Dissector};
use crate::link::{Datagram, Parsed, UNKNOWN_LINK, parse};
use crate::tcp::Reassembler;

/// What is known of a capture beforehand.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The address of the host the capture is about; found out when absent.
    pub local: Option<IpAddr>,
    /// Torrents whose pieces are to be checked.
    pub torrents: Vec<Arc<Metainfo>>,
}

/// Reads a capture. Memory is held for open streams only.
pub struct Trace {
    capture: Capture,
    stages: Stages,
    ready: VecDeque<Dissected>,
    counts: Counts,
    span: Option<(Timestamp, Timestamp)>,
    finished: bool,
}

/// What was in the packets of a capture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// TCP segments.
    pub tcp: u64,
    /// UDP datagrams.
    pub udp: u64,
    /// Packets that are neither, or cannot be read.
    pub other: u64,
    /// Of those, packets of a link type that is not read: how many, and the number of the last one's type.
    pub unread_link: Option<(u64, u32)>,
}

struct Stages {
    defragmenter: Defragmenter,
    reassembler: Reassembler,
    dissector: Dissector,
    annotator: Annotator,
}

impl Trace {
    /// Opens the capture file at `path`.
    ///
    /// # Errors
    /// When it cannot be opened, or is no capture.
    pub fn open(path: &Path, options: Options) -> Result<Self, TraceError> {
        Ok(Self::over(Capture::open(path)?, options))
    }

    /// Reads a capture from a stream, as its bytes come. `name` stands for it in errors.
    ///
    /// # Errors
    /// When the stream cannot be read, or is no capture.
    pub fn from_reader(
        name: String,
        reader: impl Read + Send + 'static,
        options: Options,
    ) -> Result<Self, TraceError> {
        Ok(Self::over(Capture::from_reader(name, reader)?, options))
    }

    fn over(capture: Capture, options: Options) -> Self {
        let stages = Stages {
            defragmenter: Defragmenter::default(),
            reassembler: Reassembler::new(),
            dissector: Dissector::knowing(options.torrents.clone()),
            annotator: Annotator::new(options),
        };
        Self {
            capture,
            stages,
            ready: VecDeque::new(),
            counts: Counts::default(),
            span: None,
            finished: false,
        }
    }

    /// The next record, or the end of a connection; `None` at the end of the capture.
    ///
    /// # Errors
    /// When the file cannot be read on, or is corrupt. What came before stays good; a next call returns `None`
    /// after the records of all streams that were open.
    #[expect(clippy::should_implement_trait, reason = "an iterator would hide the errors in its items")]
    pub fn next(&mut self) -> Result<Option<Dissected>, TraceError> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Ok(Some(ready));
            }
            if self.finished {
                return Ok(None);
            }
            let packet = match self.capture.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => {
                    self.finish();
                    continue;
                }
                Err(error) => {
                    self.finish();
                    return Err(error);
                }
            };
            let Stages { defragmenter, reassembler, dissector, annotator } = &mut self.stages;
            let ready = &mut self.ready;
            let moment = packet.moment;
            let (first, last) = self.span.unwrap_or((moment.at, moment.at));
            self.span = Some((first, last.max(moment.at)));
            let mut out = |dissected| ready.push_back(annotator.annotate(dissected));
            let counts = &mut self.counts;
            let mut carried = |parsed: Parsed<'_>| match parsed {
                Parsed::Tcp(segment) => {
                    counts.tcp += 1;
                    reassembler
                        .segment(moment, &segment, &mut |at, event| dissector.handle(at, event, &mut out));
                }
                Parsed::Udp(datagram) => {
                    counts.udp += 1;
                    if datagram.lost_tail == 0 {
                        let Datagram { src, dst, payload, .. } = datagram;
                        dissector.datagram(moment, src, dst, payload, &mut out);
                    }
                }
                Parsed::Fragment(_) | Parsed::Other(_) => counts.other += 1,
            };
            match parse(packet.link, packet.data) {
                Parsed::Fragment(fragment) => match defragmenter.add(moment.at, &fragment) {
                    Some(whole) => carried(whole.parse()),
                    None => counts.other += 1,
                },
                Parsed::Other(UNKNOWN_LINK) => {
                    self.counts.other += 1;
                    let before = self.counts.unread_link.map_or(0, |(packets, _)| packets);
                    self.counts.unread_link = Some((before + 1, packet.link.0));
                }
                parsed => carried(parsed),
            }
        }
    }

    /// The capture being read: its format, and how far it was read.
    pub const fn capture(&self) -> &Capture {
        &self.capture
    }

    /// Where the file was cut short, when it was.
    pub fn cut(&self) -> Option<Cut> {
        self.capture.cut()
    }

    /// What was in the packets so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// When the first packet was captured, and the latest so far.
    pub const fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.span
    }

    /// The address of the host the capture is about, as far as is known.
    pub const fn local(&self) -> Option<IpAddr> {
        self.stages.annotator.local()
    }

    fn finish(&mut self) {
        self.finished = true;
        let Stages { reassembler, dissector, annotator, .. } = &mut self.stages;
        let ready = &mut self.ready;
        let mut out = |dissected| ready.push_back(annotator.annotate(dissected));
        reassembler.finish(&mut |at, event| dissector.handle(at, event, &mut out));
        dissector.finish(&mut out);
    }
}
