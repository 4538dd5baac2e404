//! Downloads over BitTorrent: sockets, files and the clock around a session, every byte recorded.
//!
//! [`extract`] writes files out of captures, with the same care for names and links as a download.
//!
//! The session of `bittrace-protocol` decides; this crate does. One task owns the session and feeds it; a task a
//! direction moves each connection's bytes; threads write, hash, and record. What a far end does wrong is the session's to
//! judge, and never an [`Error`] here: those are this machine's faults.
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use bittrace_client::{Download, DownloadOptions, Notice, TorrentFile, random_identity};
//! use bittrace_protocol::session::{Config, Profile};
//!
//! let torrent = TorrentFile::read(Path::new("file.torrent"))?;
//! let config = Config::new(Profile::own("example/1.0"));
//! let mut options = DownloadOptions::new("downloads", config, random_identity(b"-XX0100-")?);
//! options.record = Some("live.pcapng".into());
//! let report = Download::new(Arc::new(torrent.metainfo), options)?.run_blocking(|notice| {
//!     if let Notice::FileDone { path } = notice {
//!         println!("{} is whole", path.display());
//!     }
//! })?;
//! println!("{:?} after {:?}", report.outcome, report.elapsed);
//! # Ok::<(), bittrace_client::Error>(())
//! ```

mod clock;
mod connection;
mod dht;
mod dht_state;
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
mod keys;
mod late_disk;
mod layout;
mod left_out;
mod listen;
mod lock;
mod multicast;
mod names;
mod notice;
mod on_disk;
mod options;
mod os;
mod outlets;
mod pool;
mod proxies;
mod record;
mod recording_path;
mod shared_pieces;
mod slices;
mod stop;
mod storage;
mod tls;
mod torrent_source;
mod trackers;
mod udp;
mod unsent;
mod verify;

pub use download::{Download, DownloadReport, Outcome};
pub use error::Error;
pub use layout::{Layout, LinkPlace, Place, RootName};
pub use left_out::{LeftOut, LeftOutReason};
pub use names::{WindowsPathFault, windows_path_fault};
pub use notice::Notice;
pub use options::{DhtOptions, DownloadOptions, RecordingWatcher, random_identity};
pub use proxies::proxies_of_environment;
pub use stop::Stop;
pub use torrent_source::{TorrentFile, is_url};
pub use verify::Resume;
