//! What a run tells while it goes on.

use std::path::PathBuf;
use std::sync::Arc;

use bittrace_protocol::dht::SearchResult;
use bittrace_protocol::metainfo::ChosenFiles;
use bittrace_protocol::session::{Event, PeerView, Status};
use bittrace_protocol::wire::PieceSet;
use bittrace_protocol::{Metainfo, PieceIndex};

use crate::Error;

/// What a person may want to know while a run goes on.
#[derive(Debug)]
pub enum Notice {
    /// Peers have sent the metadata of the torrent of a magnet link.
    Described {
        /// The torrent, with the trackers and web seeds of the link.
        torrent: Arc<Metainfo>,
    },
    /// Names of the torrent that are not safe on every system, and are stored as other names.
    Renamed {
        /// How many.
        count: usize,
        /// The first of these: the torrent's own name or path, and what it became.
        names: Vec<(String, String)>,
    },
    /// Nothing can be written where the torrent belongs. All of it is there, so that it can be served; no state file is made.
    ReadOnly {
        /// The folder, or the file in it that cannot be written.
        path: PathBuf,
    },
    /// Not all files of the torrent are wanted.
    Chosen {
        /// The files that are.
        chosen: ChosenFiles,
        /// How many pieces their bytes lie in.
        pieces: u32,
    },
    /// What is on disk is being hashed: so many of so many bytes.
    Checking {
        /// Bytes hashed.
        done: u64,
        /// Bytes to hash.
        total: u64,
    },
    /// What was on disk.
    Checked {
        /// The pieces that are right.
        verified: PieceSet,
        /// The pieces that an earlier run had verified and that are not right any longer.
        damaged: Vec<PieceIndex>,
    },
    /// Peers can call on this port.
    Listening {
        /// The TCP port, on all addresses listened on.
        port: u16,
    },
    /// The torrent is private, so that the DHT does not look for its peers (BEP 27).
    PrivateTorrent,
    /// A search of the DHT for peers is over.
    DhtSearched(SearchResult),
    /// The nodes of the DHT that earlier runs kept could not be read, or those for later runs not be written. The run goes on.
    DhtStateFailed {
        /// Why.
        error: Error,
    },
    /// The session has something to tell.
    Session(Event),
    /// How far it is, twice a second.
    Progress {
        /// The session as a whole.
        status: Status,
        /// Its peers.
        peers: Vec<PeerView>,
    },
    /// The recording could not be written, and ends here. The run goes on.
    RecordingFailed {
        /// Why.
        error: Error,
    },
    /// The key of a connection could not be kept, and none is kept from here on: without a key a recording shows encrypted bytes
    /// only. The run goes on.
    KeyLogFailed {
        /// Why.
        error: Error,
    },
    /// A file is whole, verified, and has its final name.
    FileDone {
        /// Where it is.
        path: PathBuf,
    },
}
