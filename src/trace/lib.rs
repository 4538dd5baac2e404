//! Capture files to BitTorrent messages, and back.
//!
//! [`Trace`] reads a capture from its first packet to its last. Each [`Record`] is one message, with its exact bytes, its
//! meaning, what it answers, and the notes of the rules that it broke. [`Recorder`] writes live bytes as a capture.
//!
//! ```
//! use std::path::Path;
//!
//! use bittrace_trace::{Dissected, Trace, TraceOptions, describe};
//!
//! let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../captures");
//! let mut trace = Trace::open(&folder.join("download-aria2.pcap"), TraceOptions::default())?;
//! let mut rows = Vec::new();
//! while let Some(dissected) = trace.next()? {
//!     if let Dissected::Record(record) = dissected {
//!         let (number, protocol) = (record.number, record.body.protocol().name());
//!         rows.push(format!("{number} {} -> {} {protocol}: {}", record.source, record.destination, describe(&record)));
//!     }
//! }
//! assert!(rows[0].starts_with("1 10.77.0.3:"));
//! assert!(rows[0].contains("10.77.0.1:6969 http-tracker: announce"));
//! # Ok::<(), bittrace_trace::TraceError>(())
//! ```

mod burst;
mod capture;
mod clear;
pub mod diagnosis;
mod dissect;
pub mod expert;
pub mod measurement;
mod packet;
mod reassembly;
pub mod record;
mod recorder;
pub mod statistics;
mod trace;

pub use burst::{
    Direction, Flow, Moment, StreamClosing, StreamEvent, StreamId, StreamInterest, StreamOpening,
};
pub use capture::{
    AnnotateError, Annotated, Capture, CapturedPacket, Cut, HostGroups, HostName, MAX_COMMENT, TraceError,
};
pub use clear::{ClearCapture, ClearTally, ClearWriter};
pub use dissect::{ConnectionEnd, Dissected, Dissector};
pub use expert::rules;
pub use measurement::{
    CapturePlace, ConnectionAttempt, ConnectionEnding, ConnectionMeasurement, DirectionMeasurement, EndedBy,
    OfferedWindow, QueueingDelay, RoundTrips, TransportSpan, TransportState,
};
pub use packet::{
    CommunityId, CommunityIds, Datagram, Defragmenter, FragmentedPacket, IpFragment, LinkType, Parsed,
    Segment, Whole, parse, parse_each,
};
pub use reassembly::{Reassembler, UtpReassembler};
pub use record::{
    Answer, Body, Fragment, HttpTrackerBody, MseBody, Note, PeerEffect, PeerWireBody, Protocol, Reason,
    Record, Rule, Severity, Side, Transport, Unreadable, WebSeedBody, brief, brief_block, describe,
    describe_in, describe_into, units,
};
pub use recorder::{PacketCopier, Recorder, Viewpoint, write_all_vectored};
pub use statistics::Summary;
pub use trace::{About, Counts, LocalChoice, Trace, TraceOptions, UnreadLinks};
