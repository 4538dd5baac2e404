//! What a user wants of a run, and what the run draws at random.

use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bittrace_protocol::node::UtpPolicy;
use bittrace_protocol::session::{Config, Identity};
use bittrace_protocol::{HostPort, PeerId};

use crate::Error;
use crate::layout::RootName;
use crate::verify::Resume;

/// What a user wants of a run.
#[derive(Debug, Clone)]
pub struct DownloadOptions {
    /// The folder that the torrent's file, or the folder around its files, goes into. It is made where it is missing.
    pub output: PathBuf,
    /// The settings of the session. Its port is the one to listen on; 0 stands for any that is free.
    pub config: Config,
    /// What the run draws at random.
    pub identity: Identity,
    /// The addresses to listen on; with none, nobody can call.
    pub listen: Vec<IpAddr>,
    /// Whether datagrams are exchanged on the UDP port of the same number, though the DHT does not want it. Where nobody can
    /// call, none are.
    pub udp: bool,
    /// The DHT, which looks for peers of torrents that are not private; `None` is without it.
    pub dht: Option<DhtOptions>,
    /// When connections to peers are made over uTP, which needs the UDP port.
    pub utp: UtpPolicy,
    /// Whether the torrent is announced to the local network, and peers of the local network are called (BEP 14); not one that is
    /// private (BEP 27), and not where nobody can call.
    pub lsd: bool,
    /// What is made of the work of earlier runs.
    pub resume: Resume,
    /// Whether files in the way that are not this torrent's are replaced.
    pub overwrite: bool,
    /// Whether finished files with wrong pieces are repaired: these pieces are fetched again. Without this such a file ends
    /// the run with [`Error::Damaged`], because somebody may have changed it on purpose.
    pub repair: bool,
    /// What the torrent's own name becomes in the output folder.
    pub root_name: RootName,
    /// The capture file that every byte said and heard is recorded in.
    pub record: Option<PathBuf>,
    /// What the recording says of itself.
    pub record_comment: String,
    /// The file that the keys of encrypted connections are appended to, a line each.
    pub key_log: Option<PathBuf>,
    /// Those who follow the recording while it is made, whether or not it goes to a file as well.
    pub watchers: Vec<RecordingWatcher>,
}

/// How the DHT is used.
#[derive(Debug, Clone, Default)]
pub struct DhtOptions {
    /// What we call our client: two letters and two bytes of a version.
    pub version: [u8; 4],
    /// Nodes to begin with, besides those that the torrent names.
    pub nodes: Vec<HostPort>,
    /// Well-known nodes, which are asked while no other one answers.
    pub routers: Vec<HostPort>,
    /// The file that keeps nodes from run to run.
    pub state: Option<PathBuf>,
}

/// Takes a recording as it is made: a pcapng, each packet as soon as it was sent or heard. A watcher that is slow slows the
/// run; one that fails is left alone from then on, and the run goes on.
#[derive(Clone)]
pub struct RecordingWatcher {
    writer: Arc<Mutex<Option<WatchWriter>>>,
    name: Option<PathBuf>,
}

type WatchWriter = Box<dyn Write + Send>;

impl RecordingWatcher {
    /// A watcher that gets the bytes of the recording of one run. The writer is dropped when the recording ends.
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self { writer: Arc::new(Mutex::new(Some(Box::new(writer)))), name: None }
    }

    /// The same, for a recording that somebody asked for: that it cannot be written is told, as that of a file at `name`.
    pub fn named(name: impl Into<PathBuf>, writer: impl Write + Send + 'static) -> Self {
        Self { name: Some(name.into()), ..Self::new(writer) }
    }

    /// What the recording is called where its failure is told.
    pub(crate) fn name(&self) -> Option<&Path> {
        self.name.as_deref()
    }

    /// The writer, for the run that comes first.
    pub(crate) fn take(&self) -> Option<WatchWriter> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for RecordingWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordingWatcher")
    }
}

impl DownloadOptions {
    /// Ordinary options: listening everywhere, under this session's conduct.
    pub fn new(output: impl Into<PathBuf>, config: Config, identity: Identity) -> Self {
        Self {
            output: output.into(),
            config,
            identity,
            listen: vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            udp: false,
            dht: None,
            utp: UtpPolicy::Off,
            lsd: false,
            resume: Resume::Verify,
            overwrite: false,
            repair: false,
            root_name: RootName::Safe,
            record: None,
            key_log: None,
            record_comment: String::new(),
            watchers: Vec::new(),
        }
    }
}

/// Draws an identity whose peer id begins with `prefix`.
///
/// # Errors
/// When the system has no random numbers.
pub fn random_identity(prefix: &[u8]) -> Result<Identity, Error> {
    let mut random = [0; 64];
    getrandom::fill(&mut random)
        .map_err(|error| Error::System { what: "random numbers", source: std::io::Error::other(error) })?;
    let mut peer_id = [0; 20];
    for (byte, random) in peer_id.iter_mut().zip(random) {
        // Letters and digits, which every program shows as they are.
        *byte = ALPHABET[usize::from(random) % ALPHABET.len()];
    }
    let length = prefix.len().min(peer_id.len());
    peer_id[..length].copy_from_slice(&prefix[..length]);
    let (random, secret) = random.split_at(32);
    let &[.., k0, k1, k2, k3, s0, s1, s2, s3, s4, s5, s6, s7] = random else {
        unreachable!("half of 64 bytes")
    };
    let key = u32::from_be_bytes([k0, k1, k2, k3]);
    let seed = u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
    let mut identity = Identity::new(PeerId(peer_id), key, seed);
    identity.secret.copy_from_slice(secret);
    Ok(identity)
}

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
