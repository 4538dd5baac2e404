//! The BitTorrent protocols without I/O: bytes to messages, messages to bytes, and what each byte means.
//!
//! Nothing in here opens a socket or a file, reads a clock, starts a thread or draws a random number.
//! What a far end sends is never an error of ours: what cannot be understood is kept and shown.

pub mod bencode;
pub mod compact;
pub mod dht;
mod error;
pub mod field;
pub mod geometry;
mod id;
pub mod lsd;
pub mod merkle;
pub mod metainfo;
pub mod mse;
pub mod peer;
pub mod peer_id;
mod reader;
pub mod session;
mod time;
pub mod tracker;
pub mod utp;
pub mod web_seed;
pub mod wire;

pub use error::DecodeError;
pub use field::{Field, Role, Value};
pub use geometry::Geometry;
pub use id::{Block, Hex, InfoHash, PeerId, PieceIndex};
pub use metainfo::Metainfo;
pub use peer_id::{ClientName, client_name, client_of_letters};
pub use reader::Reader;
pub use time::Timestamp;
