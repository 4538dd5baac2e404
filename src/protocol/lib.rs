//! The BitTorrent protocols without I/O: bytes to messages, messages to bytes, and what each byte means.
//!
//! Nothing in here opens a socket or a file, reads a clock, starts a thread or draws a random number.
//! What a far end sends is never an error of ours: what cannot be understood is kept and shown.
//!
//! A message is decoded from its bytes, and encoded to the same bytes:
//!
//! ```
//! use bittrace_protocol::PieceIndex;
//! use bittrace_protocol::wire::{Frame, Message, frame};
//! use bytes::Bytes;
//!
//! // The length, the id of have, the piece.
//! let bytes = Bytes::from_static(&[0, 0, 0, 5, 4, 0, 0, 0, 7]);
//! assert_eq!(frame(&bytes), Frame::Message(9));
//! let message = Message::decode(&bytes)?;
//! assert_eq!(message, Message::Have(PieceIndex(7)));
//! let mut encoded = Vec::new();
//! message.encode(&mut encoded);
//! assert_eq!(encoded, bytes);
//! # Ok::<(), bittrace_protocol::DecodeError>(())
//! ```
//!
//! A [session](session::Session) downloads one torrent. Its driver hands in what happened with `handle`, and does what comes
//! out of `poll` until that is [`Output::Wait`](session::Output::Wait):
//!
//! ```
//! use std::sync::Arc;
//!
//! use bittrace_protocol::dial::Remote;
//! use bittrace_protocol::session::{Config, Endpoint, Identity, Input, Output, Profile, Session};
//! use bittrace_protocol::{Metainfo, PeerId, Timestamp};
//!
//! let file = b"d8:announce22:http://t.test/announce4:infod6:lengthi4e4:name4:data12:piece lengthi16384e\
//!     6:pieces20:....................ee";
//! let torrent = Arc::new(Metainfo::decode(file)?);
//! let identity = Identity::new(PeerId(*b"-BT0000-example00000"), 0, 1);
//! let config = Config::new(Profile::own("example"));
//! let mut now = Timestamp::from_secs_nanos(1_000_000, 0);
//! let mut session = Session::new(config, torrent, identity, [], now);
//!
//! session.handle(now, Input::Tick);
//! let endpoint = loop {
//!     match session.poll() {
//!         // Here a driver would connect, and hand in `Input::Opened` or `Input::Closed`.
//!         Output::Open(_, endpoint) => break endpoint,
//!         // Here it would wait for the sockets, and for this time at the longest.
//!         Output::Wait(Some(at)) => {
//!             now = now.max(at);
//!             session.handle(now, Input::Tick);
//!         }
//!         Output::Wait(None) | Output::Done => unreachable!("the tracker was not asked"),
//!         output => println!("{output:?}"),
//!     }
//! };
//! assert_eq!(endpoint, Endpoint::HttpTracker(Remote::new("t.test", 80)));
//! # Ok::<(), bittrace_protocol::DecodeError>(())
//! ```
//!
//! `examples/session.rs` of the repository has a whole download, with a pretend tracker and a pretend peer.

pub mod bencode;
pub mod compact;
pub mod dht;
pub mod dial;
mod error;
pub mod field;
pub mod geometry;
mod host_port;
mod id;
mod local_network;
pub mod lsd;
pub mod magnet;
pub mod merkle;
pub mod metainfo;
pub mod mse;
pub mod node;
pub mod peer;
pub mod peer_id;
pub mod proxy;
mod reader;
mod secret_stream;
pub mod session;
mod time;
pub mod tracker;
pub mod utp;
pub mod web_seed;
pub mod wire;

pub use error::DecodeError;
pub use field::{Field, Role, Value};
pub use geometry::Geometry;
pub use host_port::{HostPort, NotAHostPort, in_brackets};
pub use id::{Block, Hex, InfoHash, PeerId, PieceIndex};
pub use local_network::is_local_network;
pub use metainfo::Metainfo;
pub use peer_id::{ClientName, client_name, client_of_letters};
pub use reader::Reader;
pub use time::Timestamp;
