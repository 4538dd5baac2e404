//! From TCP segments and uTP packets to streams: bytes in order and once, and where the capture has holes.

pub(crate) mod tcp;
pub(crate) mod utp;

pub use tcp::Reassembler;
pub use utp::UtpReassembler;
