//! What `download` is given: a torrent file, by its path or URL, or a magnet link.

use std::io::Write;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bittrace_client::{Download, DownloadOptions, Error, TorrentFile};
use bittrace_protocol::magnet::Magnet;
use bittrace_protocol::{Hex, InfoHash, Metainfo};

use crate::args::{Common, DownloadArguments};
use crate::commands::torrent::{warn_of_faults, write_contents};
use crate::failure::warn;
use crate::file_kind::is_magnet_link;
use crate::interrupt::interrupted;
use crate::print::output::{Look, styles};

use super::options::{dht_options, looks_around};

/// A torrent, or a link to one.
pub(crate) enum Source {
    Torrent(Arc<Metainfo>),
    Magnet(Box<Magnet>),
}

/// Where peers come from besides trackers.
#[derive(Clone, Copy)]
pub(crate) struct FurtherSources {
    dht: bool,
    /// The local network.
    lsd: bool,
}

impl FurtherSources {
    /// Those of a run.
    pub(crate) fn of(arguments: &DownloadArguments) -> Self {
        Self { dht: dht_options(arguments).is_some(), lsd: looks_around(arguments) }
    }

    /// What a run does that has no tracker, nor the DHT.
    const fn what_is_left(self) -> &'static str {
        match self.lsd {
            true => "looking for peers in the local network, and waiting for incoming connections",
            false => "waiting for incoming connections",
        }
    }
}

impl Source {
    /// Loads the torrent from a path or a URL, or reads the link; `None` after Ctrl-C.
    ///
    /// # Errors
    /// When there is no such torrent, or the link is wrong.
    pub(crate) fn load(source: &str) -> Result<Option<Self>> {
        if is_magnet_link(source) {
            return Ok(Some(Self::Magnet(Box::new(read_link(source)?))));
        }
        Ok(load(source)?.map(|torrent| Self::Torrent(Arc::new(torrent.metainfo))))
    }

    /// What trackers and peers have the torrent by.
    pub(crate) fn info_hash(&self) -> InfoHash {
        match self {
            Self::Torrent(torrent) => torrent.info_hash,
            Self::Magnet(magnet) => magnet.hashes.handshake(),
        }
    }

    /// The torrent, where it is known before anybody is asked.
    pub(super) const fn known(&self) -> Option<&Arc<Metainfo>> {
        match self {
            Self::Torrent(torrent) => Some(torrent),
            Self::Magnet(_) => None,
        }
    }

    /// The run that downloads it.
    pub(super) fn begin(&self, options: DownloadOptions) -> Result<Download, Error> {
        match self {
            Self::Torrent(torrent) => Download::new(Arc::clone(torrent), options),
            Self::Magnet(magnet) => Ok(Download::of_magnet((**magnet).clone(), options)),
        }
    }

    /// Writes what is known of it.
    pub(super) fn write_contents(&self, look: Look, out: &mut dyn Write) -> Result<()> {
        match self {
            Self::Torrent(torrent) => write_contents(torrent, look, out),
            Self::Magnet(magnet) => write_link(magnet, look, out),
        }
    }

    /// Tells what may go wrong.
    ///
    /// # Errors
    /// When there is nobody to ask for peers.
    pub(super) fn warn(
        &self,
        arguments: &DownloadArguments,
        others: FurtherSources,
        common: Common,
    ) -> Result<()> {
        match self {
            Self::Torrent(torrent) => {
                warn_of_faults(&arguments.torrent, torrent, common);
                if torrent.trackers().iter().all(Vec::is_empty) && (!others.dht || torrent.private) {
                    if arguments.single_peer {
                        bail!("{}: no tracker, so there is no source of peers", arguments.torrent);
                    }
                    let others = FurtherSources { lsd: others.lsd && !torrent.private, ..others };
                    warn(common, &format!("{}: no tracker; {}", arguments.torrent, others.what_is_left()));
                }
            }
            Self::Magnet(magnet) => {
                if arguments.single_peer && leads_to_nobody(magnet, others) {
                    bail!("{NOBODY_IN_LINK}, so there is no source of peers");
                }
                warn_of_link(magnet, others, common);
            }
        }
        Ok(())
    }
}

/// Reads a magnet link.
pub(crate) fn read_link(link: &str) -> Result<Magnet> {
    link.parse().context("the magnet link cannot be used")
}

/// Tells that nobody may be found.
pub(crate) fn warn_of_link(magnet: &Magnet, others: FurtherSources, common: Common) {
    if leads_to_nobody(magnet, others) {
        warn(common, &format!("{NOBODY_IN_LINK}; {} (Ctrl-C ends the run)", others.what_is_left()));
    }
}

/// Whether a link names nobody to ask for peers, and the DHT is not asked either.
const fn leads_to_nobody(magnet: &Magnet, others: FurtherSources) -> bool {
    magnet.trackers.is_empty() && magnet.peers.is_empty() && !others.dht
}

const NOBODY_IN_LINK: &str = "the magnet link has no tracker (tr=) and no peer (x.pe=)";

/// Writes what a link says.
pub(crate) fn write_link(magnet: &Magnet, look: Look, out: &mut dyn Write) -> Result<()> {
    let name = magnet.name.as_deref().unwrap_or("a torrent of unknown name");
    writeln!(out, "{}", look.paint(styles::HEADING, &crate::print::printable::printable(name)))?;
    let hashes = [
        magnet.hashes.v1().map(|hash| ("info hash", hash.to_string())),
        magnet.hashes.v2().map(|hash| ("info hash v2", Hex(&hash).to_string())),
    ];
    let trackers = magnet.trackers.iter().map(|url| ("tracker", url.clone()));
    let peers = magnet.peers.iter().map(|peer| ("peer", peer.to_string()));
    let seeds = magnet.web_seeds.iter().map(|url| ("web seed", url.clone()));
    let files = magnet.selection_text().map(|files| ("chosen files", files));
    for (name, value) in hashes.into_iter().flatten().chain(files).chain(trackers).chain(peers).chain(seeds) {
        let value = crate::print::printable::printable(&value).into_owned();
        writeln!(out, "  {}{value}", look.paint(styles::DIM, &format!("{name:<16}")))?;
    }
    Ok(())
}

/// Loads the torrent from a path or a URL; `None` after Ctrl-C.
fn load(source: &str) -> Result<Option<TorrentFile>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let place = source.to_owned();
    let (sender, loaded) = mpsc::channel();
    thread::spawn(move || {
        // Nobody waits for it any longer after an interrupt.
        let _ = sender.send(runtime.block_on(TorrentFile::load(&place, FETCHED_WITHIN)));
    });
    loop {
        match loaded.recv_timeout(Duration::from_millis(50)) {
            Ok(loaded) => return Ok(Some(loaded?)),
            Err(mpsc::RecvTimeoutError::Timeout) if interrupted() => return Ok(None),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("{source}: cannot be loaded"),
        }
    }
}

/// How long fetching a .torrent may take.
const FETCHED_WITHIN: Duration = Duration::from_secs(60);
