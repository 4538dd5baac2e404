//! The one aggregate behind all pictures: what happened in a capture, over time, gathered from its records as they pass.
//!
//! Memory grows with bins, not with messages: what is exact at first becomes a grid or a histogram when there is too much
//! of it. Sums are of everything, and a block of a piece that had the wrong hash keeps its mark.
//!
//! ```
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use bittrace_protocol::metainfo::Metainfo;
//! use bittrace_report::CourseBuilder;
//! use bittrace_trace::{Summary, Trace, TraceOptions};
//!
//! let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../captures");
//! let torrent = Metainfo::decode(&std::fs::read(folder.join("corrupt-peer.torrent"))?)?;
//! let torrents = vec![Arc::new(torrent)];
//! let options = TraceOptions { torrents: torrents.clone(), ..TraceOptions::default() };
//! let mut trace = Trace::open(&folder.join("corrupt-peer.pcap.gz"), options)?;
//! let mut summary = Summary::new(&torrents);
//! let mut course = CourseBuilder::new(&torrents, 0);
//! while trace.advance()? {
//!     if let (Some(dissected), Some((start, _))) = (trace.current(), trace.span()) {
//!         summary.add(dissected);
//!         course.begin_at(start);
//!         course.add(dissected);
//!     }
//! }
//! let course = course.finish(&trace, &summary);
//! assert_eq!((course.totals.verified, course.totals.pieces), (5, 5));
//! // Who sent the wrong bytes?
//! let wrong = &course.pieces.as_ref().map(|pieces| pieces.checked.wrong);
//! assert_eq!((course.ends[0].label.as_str(), *wrong), ("libtorrent/2.0.8.0", Some(6)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod askers;
mod bins;
mod blocks;
mod checks;
mod clock;
mod counts;
mod data;
mod ends;
mod findings;
mod hosts;
mod lanes;
mod latencies;
mod rails;
mod swarm;
mod torrents;

use std::sync::Arc;

use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::wire::Message;
use bittrace_protocol::{PieceIndex, Timestamp};
use bittrace_trace::record::{Body, PeerWireBody, Protocol};
use bittrace_trace::statistics::{BlockRepeat, PiecesSeen};
use bittrace_trace::units::rfc3339;
use bittrace_trace::{Dissected, Record, Severity, StreamId, Summary, Trace, rules};

use askers::Askers;
use blocks::BlockSeen;
use clock::Clock;
use counts::{BytesSeen, CountsSeen};
use ends::{EndPlace, FarEnds};
use findings::FindingsSeen;
use hosts::Hosts;
use lanes::Lanes;
use latencies::{AnswerSeen, LatenciesSeen};
use swarm::SwarmSeen;
use torrents::Torrents;

pub use askers::MOST_MARKS;
pub use checks::MOST_CHECKS;
pub use data::*;
pub use findings::MOST_MESSAGES;
pub use hosts::{HostKey, MOST_HOSTS};
pub use lanes::MOST_LANES;
pub use swarm::MOST_SWARM_ROWS;
pub use torrents::MOST_FILES;

/// A [`Course`] that is being gathered.
#[derive(Debug)]
pub struct CourseBuilder {
    before: u64,
    clock: Option<Clock>,
    pieces: PiecesSeen,
    hosts: Hosts,
    ends: FarEnds,
    lanes: Lanes,
    askers: Askers,
    findings: FindingsSeen,
    counts: CountsSeen,
    bytes: BytesSeen,
    torrents: Torrents,
    latencies: LatenciesSeen,
    swarm: SwarmSeen,
    sums: BlockSums,
}

/// Bytes of blocks.
#[derive(Debug, Clone, Copy, Default)]
struct BlockSums {
    received: u64,
    sent: u64,
    again: u64,
    again_after_wrong_hash: u64,
}

/// A part of a piece that a record carries.
struct Part {
    piece: PieceIndex,
    begin: u32,
    length: u32,
    repeat: BlockRepeat,
}

impl CourseBuilder {
    /// An aggregate of nothing yet, of a capture about these torrents and perhaps others, when `before` messages of other
    /// captures stand before its own and are counted in the numbers of messages.
    pub fn new(torrents: &[Arc<Metainfo>], before: u64) -> Self {
        Self {
            before,
            clock: None,
            pieces: PiecesSeen::new(torrents),
            hosts: Hosts::default(),
            ends: FarEnds::default(),
            lanes: Lanes::new(),
            askers: Askers::default(),
            findings: FindingsSeen::default(),
            counts: CountsSeen::new(),
            bytes: BytesSeen::new(),
            torrents: Torrents::default(),
            latencies: LatenciesSeen::new(),
            swarm: SwarmSeen::new(),
            sums: BlockSums::default(),
        }
    }

    /// Says when the first packet of the capture was captured, from which all moments are counted. Only the first call
    /// before the first [`add`](Self::add) counts; without one, moments are counted from the first record.
    pub fn begin_at(&mut self, start: Timestamp) {
        self.clock.get_or_insert(Clock(start));
    }

    /// Takes in the next record, or the end of a connection.
    pub fn add(&mut self, dissected: &Dissected) {
        let repeat = self.pieces.add(dissected);
        let Dissected::Record(record) = dissected else { return };
        let clock = *self.clock.get_or_insert(Clock(record.at));
        let (t, n) = (clock.micros(record.at), self.before + record.number);
        self.hosts.add(record);
        self.counts.add(record, t);
        self.swarm.add(record, &self.pieces, t);
        self.findings.add(record, t, n);
        let end = match record.body.protocol() {
            Protocol::HttpTracker | Protocol::UdpTracker | Protocol::Dht | Protocol::Lsd => {
                self.askers.add(record, t, n);
                None
            }
            // What goes through the proxy afterwards tells which connection it is.
            Protocol::Proxy => None,
            Protocol::PeerWire | Protocol::Mse | Protocol::WebSeed | Protocol::Utp => {
                self.connection(record, repeat, t, n)
            }
        };
        for verdict in record.notes.iter().filter_map(rules::verdict_on_piece) {
            self.torrents.checked(record, &self.pieces, (t, n), verdict);
        }
        if let Some(answer) = record.answers {
            let latency = (answer.latency * 1e6).round() as Micros;
            let is_block = matches!(record.peer_message(), Some(Message::Piece { .. }));
            self.latencies.add(AnswerSeen { t, latency, is_block, end, n });
        }
    }

    /// Takes in a message between peers or of a web seed, and says who the far end is, as far as that is known.
    fn connection(
        &mut self,
        record: &Record,
        repeat: Option<BlockRepeat>,
        t: Micros,
        n: u64,
    ) -> Option<EndPlace> {
        let at = self.lanes.add(record, t);
        self.name_far_end(at, record);
        let mut parts = Vec::new();
        if let (Some(Message::Piece { index, begin, block }), Some(repeat)) = (record.peer_message(), repeat)
        {
            parts.push(Part { piece: *index, begin: *begin, length: block.len() as u32, repeat });
        }
        if let (Some((piece, begin, length)), Some(repeat)) = (record.cut_block(), repeat) {
            parts.push(Part { piece, begin, length, repeat });
        }
        if let Body::WebSeed(_) = record.body {
            let torrent = record.torrent.and_then(|hash| self.pieces.torrent(hash)).map(Arc::clone);
            for (piece, begin, bytes) in record.web_seed_parts(torrent.as_deref()) {
                parts.push(Part { piece, begin, length: bytes.len() as u32, repeat: BlockRepeat::New });
            }
        }
        for part in parts {
            self.block(at, record, part, t, n);
        }
        at.and_then(|at| self.lanes.row(at).end)
    }

    /// Takes in what a message of the far end shows of who it is.
    fn name_far_end(&mut self, at: Option<usize>, record: &Record) {
        let Some(at) = at else { return };
        if record.side.is_near() {
            return;
        }
        let lane = self.lanes.row(at);
        let (remote, was_called) = (lane.remote(), lane.was_called());
        if let Body::PeerWire(PeerWireBody::Handshake(handshake)) = &record.body {
            lane.end = self.ends.with_peer_id(remote, was_called, handshake.peer_id).or(lane.end);
        }
        if let Body::WebSeed(_) = record.body
            && lane.end.is_none()
        {
            lane.end = self.ends.at_address(remote, was_called);
            if let Some(end) = lane.end {
                self.ends.row(end).is_web_seed = true;
            }
        }
        if let (Some(end), Some(client)) = (lane.end, &record.client) {
            let known = &mut self.ends.row(end).client;
            if known.as_ref().is_none_or(|known| !Arc::ptr_eq(known, client)) {
                *known = Some(Arc::clone(client));
            }
        }
    }

    fn block(&mut self, at: Option<usize>, record: &Record, part: Part, t: Micros, n: u64) {
        let Part { piece, begin, length, repeat } = part;
        let bytes = u64::from(length);
        let (is_out, end) = match at {
            Some(at) => {
                let lane = self.lanes.row(at);
                if lane.end.is_none() {
                    lane.end = self.ends.at_address(lane.remote(), lane.was_called());
                }
                (lane.carried(record.direction, bytes), lane.end)
            }
            None => (record.side.is_near(), None),
        };
        *(if is_out { &mut self.sums.sent } else { &mut self.sums.received }) += bytes;
        if repeat != BlockRepeat::New {
            self.sums.again += bytes;
        }
        if repeat == BlockRepeat::AfterWrongHash {
            self.sums.again_after_wrong_hash += bytes;
        }
        if let Some(end) = end {
            let end = self.ends.row(end);
            *(if is_out { &mut end.sent } else { &mut end.received }) += bytes;
        }
        self.bytes.add(end, is_out, t, bytes);
        self.swarm.gave(record, bytes);
        let receiver = record.destination.ip();
        let block = BlockSeen { t, n, receiver, piece, begin, length, end, is_out, repeat };
        self.torrents.block(record.torrent, &self.pieces, block);
    }

    /// The aggregate of what was read of `trace`. `summary` is the summary of the same records.
    pub fn finish(mut self, trace: &Trace, summary: &Summary) -> Course {
        let (capture, span, local) = (trace.capture(), trace.span(), trace.local());
        let clock = self.clock.or(span.map(|(first, _)| Clock(first))).unwrap_or(Clock(Timestamp::EPOCH));
        self.lanes.meet_all(&mut self.ends);
        let chosen = self.lanes.chosen();
        let ends = self.ends.finish(&self.lanes.ends_of(&chosen));
        let given = summary.torrents.rows().iter().find(|torrent| torrent.metainfo.is_some());
        let given = given.and_then(|torrent| torrent.info_hash);
        let (blocks, pieces) = self.torrents.finish(given, &self.pieces, &self.ends, &ends);
        let local_host = local
            .map(|address| LocalHost { address: address.to_string(), client: self.hosts.client(address) });
        let totals = self.sums.totals(summary, pieces.as_ref(), self.lanes.count(), ends.met);
        let shared = self.swarm.torrent().and_then(|torrent| self.pieces.piece_count(torrent));
        let swarm = self.swarm.finish(capture.hosts(), &self.hosts, shared);
        let (hosts, other_hosts, host_by_key) = self.hosts.finish(local);
        let (lanes, other_lanes) = self.lanes.finish(&chosen, &ends, summary, local, clock);
        let lane_by_stream = lanes.iter().enumerate().map(|(at, lane)| (lane.stream, at)).collect();
        Course {
            capture: CaptureFacts {
                name: clipped(capture.name().rsplit(['/', '\\']).next().unwrap_or_default()),
                format: capture.format().to_owned(),
                packets: capture.packets(),
                start: span.map(|(first, _)| rfc3339(first)),
            },
            span: [0, span.map_or(0, |(_, last)| clock.micros(last))],
            local: local_host,
            has_roles: trace.has_no_local(),
            hosts,
            other_hosts,
            lanes,
            other_lanes,
            askers: self.askers.finish(),
            findings: self.findings.finish(summary),
            counts: self.counts.finish(),
            bytes: self.bytes.finish(&ends),
            blocks,
            pieces,
            latencies: self.latencies.finish(&ends),
            swarm,
            totals,
            other_ends: ends.others,
            ends: ends.list,
            lane_by_stream,
            host_by_key,
        }
    }
}

impl BlockSums {
    fn totals(self, summary: &Summary, pieces: Option<&Pieces>, connections: u64, peers: u64) -> Totals {
        let severities = summary.severities();
        let count = |severity| severities.get(&severity).copied().unwrap_or(0);
        let known = pieces.filter(|pieces| pieces.known);
        Totals {
            messages: summary.records,
            connections,
            peers,
            errors: count(Severity::Error),
            warnings: count(Severity::Warn),
            notes: count(Severity::Note),
            received: self.received,
            sent: self.sent,
            again: self.again,
            again_after_wrong_hash: self.again_after_wrong_hash,
            cut_blocks: summary.torrents.rows().iter().map(|torrent| torrent.cut_blocks).sum(),
            verified: known.map_or(0, |pieces| pieces.verified),
            pieces: known.map_or(0, |pieces| pieces.count.into()),
        }
    }
}

impl Course {
    /// The place in [`lanes`](Self::lanes) of a stream; `None` where its connection has no lane.
    pub fn lane_of(&self, stream: StreamId) -> Option<usize> {
        self.lane_by_stream.get(&stream.0).copied()
    }

    /// The place in [`hosts`](Self::hosts) of an end of a message; `None` where the host is not listed.
    pub fn host(&self, end: HostKey) -> Option<usize> {
        self.host_by_key.get(&end).copied()
    }
}

/// Text of others, cut to a length that a picture has room for.
fn clipped(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// How many characters of a name or sentence are kept.
const MOST_CHARACTERS: usize = 300;
