//! Capture files to BitTorrent messages, and back.

mod burst;

pub use burst::{Closing, Direction, Flow, Interest, Moment, Opening, StreamEvent, StreamId};
