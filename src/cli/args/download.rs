//! What `download` is asked.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Result, bail};
use bittrace_protocol::HostPort;
use bittrace_protocol::metainfo::FileChoice;
use clap::{Args, Parser, ValueEnum};

use super::texts::{
    ALLOW_LOCAL_HELP, DOWNLOAD_AFTER, DOWNLOAD_EXAMPLES, ENCRYPTION_HELP, SELECT_HELP, UTP_HELP,
};
use super::{Arguments, Command};

/// Download a torrent.
#[derive(Debug, Args)]
#[command(after_help = DOWNLOAD_AFTER, after_long_help = DOWNLOAD_EXAMPLES)]
pub(crate) struct DownloadArguments {
    /// The .torrent file: a path, or an http or https URL; or a magnet link
    #[arg(value_name = "TORRENT")]
    pub(crate) torrent: String,
    /// The folder for the files
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) output: PathBuf,
    /// Download these files alone: numbers such as 0,2,4-6, or names; can be repeated
    #[arg(long, value_name = "FILES", long_help = SELECT_HELP)]
    pub(crate) select: Vec<FileChoice>,
    /// Record every byte sent and received, as a capture for Wireshark and analyze; - is standard output
    #[arg(long, value_name = "FILE.pcapng")]
    pub(crate) record: Option<PathBuf>,
    /// Show every message of peers and trackers as a row, while the run goes on
    #[arg(long)]
    pub(crate) trace: bool,
    /// Behave like the client of this capture
    #[arg(long, value_name = "CAPTURE")]
    pub(crate) like: Option<PathBuf>,
    /// Afterwards, compare the run with this capture, as diff does
    #[arg(long, value_name = "CAPTURE")]
    pub(crate) against: Option<PathBuf>,
    /// Afterwards, say what the time of the run went to, as diagnose does
    #[arg(long)]
    pub(crate) diagnose: bool,
    /// Afterwards, write the run as one HTML page, as analyze --html does
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Download from one peer at a time; when it fails, continue with the next
    #[arg(long)]
    pub(crate) single_peer: bool,
    /// The TCP port to listen on and announce; 0 is any free port. Default: the first free port of 6881 to 6889
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Listen only on this address; can be repeated
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<IpAddr>,
    /// Do not look for peers in the local network (BEP 14)
    #[arg(long)]
    pub(crate) no_lsd: bool,
    /// When connections to peers are encrypted: off, allow, prefer or require
    #[arg(
        long,
        value_enum,
        value_name = "POLICY",
        hide_possible_values = true,
        long_help = ENCRYPTION_HELP
    )]
    pub(crate) encryption: Option<Encryption>,
    /// When connections to peers use uTP, over UDP: off, allow, prefer or require
    #[arg(long, value_enum, value_name = "POLICY", hide_possible_values = true, long_help = UTP_HELP)]
    pub(crate) utp: Option<Utp>,
    /// Append the keys of encrypted connections to this file, for analyze --mse-keys
    #[arg(long, value_name = "FILE")]
    pub(crate) key_log: Option<PathBuf>,
    /// Do not download from the torrent's web seeds
    #[arg(long)]
    pub(crate) no_web_seeds: bool,
    /// Let the URLs of the torrent or link lead to anything in local networks
    #[arg(long, long_help = ALLOW_LOCAL_HELP)]
    pub(crate) allow_local: bool,
    /// Do not look for peers in the DHT
    #[arg(long)]
    pub(crate) no_dht: bool,
    /// A node of the DHT to begin with, instead of well-known nodes and those of earlier runs; can be repeated
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "no_dht")]
    pub(crate) dht_node: Vec<HostPort>,
    /// The file that keeps nodes of the DHT from run to run
    #[arg(long, value_name = "FILE", conflicts_with = "no_dht")]
    pub(crate) dht_state: Option<PathBuf>,
    /// Our peer id, up to 20 characters; the rest is random
    #[arg(long, value_name = "ID")]
    pub(crate) peer_id: Option<String>,
    /// The maximum number of peers at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) max_peers: Option<u16>,
    /// How many seconds to wait for a tracker or peer
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: Option<u64>,
    /// How often to ask the trackers for more peers before giving up; 0 never gives up. Default: 3, with --single-peer 1
    #[arg(long, value_name = "N")]
    pub(crate) rounds: Option<u32>,
    /// Keep seeding after completion: up to a ratio such as 1.5, or for a time such as 30min or 1d; without a value, until Ctrl-C
    #[arg(long, value_name = "RATIO|TIME", num_args = 0..=1, default_missing_value = "", require_equals = true)]
    pub(crate) seed: Option<String>,
    /// Upload at most this many KiB per second
    #[arg(long, value_name = "KIB")]
    pub(crate) upload_limit: Option<u64>,
    /// Start over, and ignore the state of earlier runs
    #[arg(long)]
    pub(crate) no_resume: bool,
    /// Replace existing files that do not belong to this torrent
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Repair damaged finished files: download their wrong pieces again
    #[arg(long)]
    pub(crate) repair: bool,
}

impl DownloadArguments {
    /// Those of a download of this torrent, with nothing else said.
    ///
    /// # Errors
    /// When the command line has no such command, which its tests rule out.
    pub(crate) fn of(torrent: &str) -> Result<Self> {
        match Arguments::try_parse_from(["bittrace", "download", "--", torrent])?.command {
            Command::Download(arguments) => Ok(*arguments),
            _ => bail!("not a download"),
        }
    }
}

/// When connections to peers use uTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Utp {
    /// Never
    Off,
    /// When TCP does not answer
    Allow,
    /// Before TCP
    Prefer,
    /// Instead of TCP
    Require,
}

/// When connections to peers are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encryption {
    /// Never
    Off,
    /// If the peer starts encryption, or closes a connection in clear
    Allow,
    /// If the peer supports encryption
    Prefer,
    /// Always, with RC4
    Require,
}
