//! Capture files to BitTorrent messages, and back.

mod burst;
mod capture;
mod dissect;
pub mod expert;
mod packet;
mod reassembly;
pub mod record;
mod recorder;
pub mod statistics;
mod trace;

pub use burst::{
    Direction, Flow, Moment, StreamClosing, StreamEvent, StreamId, StreamInterest, StreamOpening,
};
pub use capture::{Capture, CapturedPacket, Cut, TraceError};
pub use dissect::{ConnectionEnd, Dissected, Dissector};
pub use expert::rules;
pub use packet::{
    Datagram, Defragmenter, FragmentedPacket, IpFragment, LinkType, Parsed, Segment, Whole, parse,
};
pub use reassembly::{Reassembler, UtpReassembler};
pub use record::{
    Answer, Body, Fragment, HttpTrackerBody, MseBody, Note, PeerEffect, PeerWireBody, Protocol, Reason,
    Record, Rule, Severity, Speaker, Transport, Unreadable, WebSeedBody, describe, describe_in, units,
};
pub use recorder::Recorder;
pub use statistics::Summary;
pub use trace::{About, Counts, Trace, TraceOptions};
