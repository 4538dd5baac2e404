//! Capture files to BitTorrent messages, and back.

mod annotate;
mod burst;
mod capture;
mod defrag;
mod describe;
mod dissect;
mod lane;
mod link;
pub mod record;
mod recorder;
mod resync;
pub mod rules;
pub mod summary;
mod tcp;
mod trace;
mod utp;
pub mod words;

pub use burst::{Closing, Direction, Flow, Interest, Moment, Opening, StreamEvent, StreamId};
pub use capture::{Capture, Cut, Packet, TraceError};
pub use defrag::{Defragmenter, Whole};
pub use describe::{describe, describe_in};
pub use dissect::{ConnectionEnd, Dissected, Dissector};
pub use link::{Datagram, Fragment as IpFragment, FragmentedPacket, LinkType, Parsed, Segment, parse};
pub use record::{Answer, Body, Fragment, Note, Protocol, Reason, Record, Severity, Speaker, Transport};
pub use recorder::Recorder;
pub use summary::Summary;
pub use tcp::Reassembler;
pub use trace::{About, Counts, Options, Trace};
pub use utp::UtpReassembler;
