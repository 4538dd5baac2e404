//! The HTTP tracker protocol (BEP 3, "trackers"; BEP 48) over a plain byte stream, both directions.
//!
//! First [`frame_request`] and [`frame_response`] say where a message ends; [`Request`] and [`Response`]
//! then read the exact bytes of one. A [`RequestStyle`] is how a client phrases its requests, without what
//! it says in them.

mod announce;
mod body;
mod framing;
mod head;
mod number;
mod percent;
mod reply;
mod request;
mod response;
mod style;

pub use announce::{Announce, ParameterFault, RequestKind, Scrape};
pub use framing::{
    Framer, Framing, content_length, frame_request, frame_response, looks_like_request, looks_like_response,
};
pub use head::Header;
pub use percent::{Escaping, percent_decode};

pub use reply::{AnnounceReply, Host, PeerEntry, Reply, RetryIn, ScrapeEntry, ScrapeReply};
pub use request::{Parameter, Request};
pub use response::{Response, encode_response};
pub use style::{RequestStyle, StyledHeader, StyledParameter};

/// How long the head of a message may be. Servers take 8 KiB as a rule; the largest of their settings in use
/// is this.
pub const MAX_HEAD: usize = 64 * 1024;

/// How long a body may be, as sent and unpacked. An answer with 1,000 peers has 6 KiB; a scrape of a whole
/// tracker can have a few MiB.
pub const MAX_BODY: usize = 16 * 1024 * 1024;

const BODY_TOO_LONG: &str = "a body of at most 16 MiB";
