//! This machine's faults. What a far end does wrong is never one of them.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use bittrace_protocol::DecodeError;
use bittrace_protocol::metainfo::ChoiceError;
use thiserror::Error;

/// Why a download could not be begun or carried on: what stood in the way, by name.
#[derive(Debug, Error)]
pub enum Error {
    /// A torrent file could not be read.
    #[error("cannot read the torrent {path}")]
    ReadTorrent {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A torrent file could not be fetched.
    #[error("cannot fetch the torrent {url}")]
    FetchTorrent {
        /// Where it should be.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// A URL of a kind that no torrent is fetched from.
    #[error("cannot fetch the torrent {url}: expected a path, or a URL with http:// or https://")]
    OtherScheme {
        /// The URL.
        url: String,
    },
    /// The server has another answer than a torrent file.
    #[error("cannot fetch the torrent {url}: the server says {status}")]
    TorrentStatus {
        /// Where it should be.
        url: String,
        /// The status line's number and words.
        status: String,
    },
    /// A torrent file is longer than any real one.
    #[error("the torrent {name} is larger than {limit} bytes")]
    TorrentTooLarge {
        /// Its path or URL.
        name: String,
        /// The most that is read.
        limit: u64,
    },
    /// A torrent has more files than can be downloaded.
    #[error("{name} has {files} files; at most {limit} can be downloaded")]
    TooManyFiles {
        /// Its path or URL.
        name: String,
        /// How many it has.
        files: usize,
        /// How many it may have.
        limit: usize,
    },
    /// What should be a torrent file is none.
    #[error("{name} is not a torrent")]
    NotATorrent {
        /// Its path or URL.
        name: String,
        /// Where it stops being one.
        source: DecodeError,
    },
    /// A torrent of which it is not known how its pieces lie: of a later version, or of more pieces than can be numbered.
    #[error("{name} has pieces that cannot be placed")]
    Unplaced {
        /// The torrent's name.
        name: String,
    },
    /// A torrent of version 2 without what its pieces are checked against (BEP 52, "piece layers").
    #[error(
        "{name} lacks hashes of version 2 (piece layers, or roots of files), so its pieces cannot be checked"
    )]
    NoPieceLayers {
        /// The torrent's name.
        name: String,
    },
    /// The files that are wanted are not those of the torrent.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// A torrent whose lengths come to more pieces than can be numbered.
    #[error("{name} has more pieces than can be numbered")]
    NoPieces {
        /// The torrent's name.
        name: String,
    },
    /// A file or folder could not be used.
    #[error("cannot {action} {path}")]
    File {
        /// What was wanted of it.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is in the way that is not this torrent's, or not wholly.
    #[error("{path} exists and is not a file of this torrent; move it away, or use --overwrite")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file is in the way that has the name of the torrent's, and another length.
    #[error(
        "{path} has {found} bytes where the torrent has {length}: it was changed, or is another file; --repair keeps what is right of it, if anything is; or move it away, or use --overwrite"
    )]
    OtherLength {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        found: u64,
        /// The bytes of the torrent's file.
        length: u64,
    },
    /// Where the state of a download is kept, something else stands.
    #[error("{path} is not what a download of this torrent keeps there, or is damaged; move it away")]
    NotOurState {
        /// The file.
        path: PathBuf,
    },
    /// A symbolic link stands where the torrent's files belong.
    #[error("{path} is a symbolic link, or its path has one; links are not followed")]
    Symlink {
        /// The link, or what was looked for after it.
        path: PathBuf,
    },
    /// A file that would be written to has a second name, so that a file elsewhere would change with it.
    #[error("{path} is a hard link and is not written to; replace it with a copy")]
    HardLink {
        /// The file.
        path: PathBuf,
    },
    /// A file has its final name and its length, and is not right.
    #[error("{path} is damaged: piece {piece} is wrong; use --repair to download the wrong pieces again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first of its pieces that is wrong.
        piece: u32,
    },
    /// Not all of the torrent is there, and nothing can be written where it belongs.
    #[error(
        "the torrent is incomplete ({missing} of {pieces} pieces missing), and {path} cannot be written to"
    )]
    ReadOnly {
        /// The folder, or the file in it that cannot be written.
        path: PathBuf,
        /// How many pieces are missing. With none, a file is missing that has no bytes, or the name of a file is not final.
        missing: u32,
        /// How many pieces the torrent has.
        pieces: u32,
        /// Why.
        source: io::Error,
    },
    /// The recording would take the place of a file that this run uses.
    #[error("{path} cannot be the recording: {what}")]
    RecordingInTheWay {
        /// The recording.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The key log would be appended to a file that this run uses.
    #[error("{path} cannot be the key log: {what}")]
    KeyLogInTheWay {
        /// The key log.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Another run downloads this torrent, or another of the same name, into the same folder.
    #[error("another run is using {path}")]
    Busy {
        /// The file, or the folder around the files, that it downloads.
        path: PathBuf,
    },
    /// No address could be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address and port.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The UDP port of the same number as the TCP port could not be had.
    #[error("cannot listen on {address} over UDP")]
    ListenUdp {
        /// The address and port.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The file with the nodes of the DHT could not be read or written.
    #[error("cannot {action} the nodes of the DHT in {path}")]
    DhtState {
        /// What was wanted of it.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The recording could not be written.
    #[error("cannot write the recording {path}")]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key log could not be opened or written.
    #[error("cannot write the key log {path}")]
    KeyLog {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// More connections were encrypted than a key log may have keys.
    #[error("a key log and a recording have at most {limit} keys")]
    TooManyKeys {
        /// The most keys.
        limit: usize,
    },
    /// The machine gave no thread, runtime, or random number.
    #[error("cannot get {what} from the system")]
    System {
        /// What was wanted.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}
