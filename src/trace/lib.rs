//! Capture files to BitTorrent messages, and back.

mod annotate;
mod burst;
mod capture;
mod defrag;
mod dissect;
mod lane;
mod link;
pub mod record;
mod recorder;
mod resync;
mod tcp;
mod trace;

pub use burst::{Closing, Direction, Flow, Interest, Moment, Opening, StreamEvent, StreamId};
pub use capture::{Capture, Cut, Packet, TraceError};
pub use defrag::{Defragmenter, Whole};
pub use dissect::{ConnectionEnd, Dissected, Dissector};
pub use link::{Datagram, Fragment as IpFragment, FragmentedPacket, LinkType, Parsed, Segment, parse};
pub use record::{Answer, Body, Fragment, Note, Protocol, Reason, Record, Severity, Speaker, Transport};
pub use recorder::Recorder;
pub use tcp::Reassembler;
pub use trace::{Counts, Options, Trace};
