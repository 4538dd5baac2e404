//! Capture files to BitTorrent messages, and back.

mod burst;
mod link;

pub use burst::{Closing, Direction, Flow, Interest, Moment, Opening, StreamEvent, StreamId};
pub use link::{Datagram, LinkType, Parsed, Segment, parse};
