//! Downloads over BitTorrent: sockets, files and the clock around a session, every byte recorded.
//!
//! [`extract`] writes files out of captures, with the same care for names and links as a download.
//!
//! The session of `bittrace-protocol` decides; this crate does. One task owns the session and feeds it; a task a
//! direction moves each connection's bytes; threads write, hash, and record. What a far end does wrong is the session's to
//! judge, and never an [`Error`] here: those are this machine's faults.

mod clock;
mod connection;
mod download;
mod drive;
mod error;
mod event;
pub mod extract;
mod files;
mod folder;
mod gauge;
mod https;
mod journal;
mod layout;
mod listen;
mod lock;
mod notice;
mod options;
mod pieces;
mod pool;
mod record;
mod stop;
mod storage;
mod torrent_source;
mod trackers;
mod verify;

pub use download::{Download, DownloadReport, Outcome};
pub use error::Error;
pub use layout::{Layout, Place};
pub use notice::Notice;
pub use options::{DownloadOptions, random_identity};
pub use pieces::Pieces;
pub use stop::Stop;
pub use torrent_source::{TorrentFile, is_url};
pub use verify::Resume;
