//! Capture files to BitTorrent messages, and back.

mod burst;
mod capture;
mod link;

pub use burst::{Closing, Direction, Flow, Interest, Moment, Opening, StreamEvent, StreamId};
pub use capture::{Capture, Cut, Packet, TraceError};
pub use link::{Datagram, LinkType, Parsed, Segment, parse};
