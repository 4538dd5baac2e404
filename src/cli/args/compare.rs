//! What the commands are asked that compare or play captures: `diff`, `replay`, `profile`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use bittrace_replay::{ClientRole, InjectedFault, NamedDisturbances, Transcript};
use clap::{Args, ValueEnum};

use super::parse_local_host;
use super::texts::{
    DIFF_AFTER, DIFF_EXAMPLES, DISTURB_HELP, MASK_HELP, PROFILE_AFTER, REPLAY_AFTER, REPLAY_EXAMPLES,
};
use crate::keys::KeyLogs;
use crate::page_file::PageFile;
use crate::print::output::Output;

/// Compare two captures.
#[derive(Debug, Args)]
#[command(after_help = DIFF_AFTER, after_long_help = DIFF_EXAMPLES)]
pub(crate) struct DiffArguments {
    /// The capture with the correct behaviour; - reads standard input
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: PathBuf,
    /// The capture to compare with the reference; - reads standard input
    #[arg(value_name = "CANDIDATE")]
    pub(crate) candidate: PathBuf,
    /// A torrent of the captures, for its name; can be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) torrent: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) comparing: Comparing,
    #[command(flatten)]
    pub(crate) key_logs: KeyLogs,
    /// The address of the local host of the captures; default: detected
    #[arg(long, value_name = "ADDR", value_parser = parse_local_host)]
    pub(crate) local: Option<IpAddr>,
    /// The address of the candidate's local host, if it differs
    #[arg(long, value_name = "ADDR", value_parser = parse_local_host)]
    pub(crate) local_candidate: Option<IpAddr>,
}

/// How two captures are compared, and how that is shown.
#[derive(Debug, Args)]
pub(crate) struct Comparing {
    /// The output format
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: DiffFormat,
    /// Whose messages are judged; the other side's are context. Default: local, with --no-mask both
    #[arg(long, value_enum, value_name = "SIDE")]
    pub(crate) side: Option<JudgedSides>,
    /// Only messages of these names, comma separated, such as handshake,request
    #[arg(long, value_name = "MESSAGE", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Only these streams of the reference and their counterparts, comma separated
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) streams: Vec<u32>,
    /// How a field may differ: exact, bind, ignore or context; can be repeated
    #[arg(long, value_name = "MESSAGE.FIELD=RULE", long_help = MASK_HELP)]
    pub(crate) mask: Vec<String>,
    /// Every byte must be the same, on both sides
    #[arg(long, conflicts_with = "mask")]
    pub(crate) no_mask: bool,
    /// Differences that do not cause exit code 1, comma separated
    #[arg(long, value_enum, value_name = "CHOICE", value_delimiter = ',')]
    pub(crate) allow: Vec<Choice>,
    /// Show N messages before and after each one that differs
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) context: usize,
    /// Show the bytes of each differing field, with the differing bytes marked
    #[arg(long)]
    pub(crate) hex: bool,
    /// Write the report as one HTML page: counts by message, the messages side by side with fields and bytes; - is standard
    /// output
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

impl Comparing {
    /// The file of the page, if one is wanted. `read` are the files that the run reads.
    ///
    /// # Errors
    /// When nothing can be written there, or standard output would have two reports.
    pub(crate) fn page_file(&self, read: &[&Path], output: &Output) -> anyhow::Result<Option<PageFile>> {
        let Some(path) = &self.html else { return Ok(None) };
        let file = PageFile::create(path, read, output)?;
        if file.is_output() && self.format == DiffFormat::Json {
            anyhow::bail!("--html - and --format json both write to standard output: give --html a file");
        }
        Ok(Some(file))
    }
}

/// The role of the client under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleChoice {
    /// That of the capture's client
    Auto,
    /// It has the content, and the recorded downloader is played
    Seeder,
    /// It has nothing, and the recorded seeders are played
    Downloader,
}

/// Play a capture again.
#[derive(Debug, Args)]
#[command(after_help = REPLAY_AFTER, after_long_help = REPLAY_EXAMPLES)]
pub(crate) struct ReplayArguments {
    /// The capture: its trackers and peers are played again
    #[arg(value_name = "CAPTURE")]
    pub(crate) capture: PathBuf,
    /// A client to run against the played peers, with its arguments: {torrent}, {magnet}, {dht}, {dir} and {port} stand for a
    /// copy of the torrent, a magnet link to it, HOST:PORT of a played node of the DHT, a folder (empty, or with the content where
    /// the client seeds) and a free port
    #[arg(last = true, value_name = "CLIENT")]
    pub(crate) client: Vec<String>,
    /// The torrent; default: the .torrent file beside the capture with the same name, else what peers sent of its metadata
    #[arg(long, value_name = "FILE")]
    pub(crate) torrent: Option<PathBuf>,
    /// The torrent's file or folder, for blocks that the capture lacks
    #[arg(long, value_name = "PATH")]
    pub(crate) content: Option<PathBuf>,
    /// Serve trackers and peers on real sockets: the address of the first tracker, over TCP and UDP, such as 127.0.0.2 or
    /// 127.0.0.2:6969
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Record the run as a capture
    #[arg(long, value_name = "FILE.pcapng")]
    pub(crate) record: Option<PathBuf>,
    /// The role of the client: who gave more blocks in the capture is its seeder
    #[arg(long, value_enum, value_name = "ROLE", default_value_t = RoleChoice::Auto)]
    pub(crate) role: RoleChoice,
    /// How many seconds of silence from the client end the run
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: u64,
    /// A fault that the replayed peers cause on purpose, with a run for each; all: each in turn. Can be repeated
    #[arg(long, value_name = "WHAT", long_help = DISTURB_HELP)]
    pub(crate) disturb: Vec<NamedDisturbances>,
    #[command(flatten)]
    pub(crate) comparing: Comparing,
    #[command(flatten)]
    pub(crate) key_logs: KeyLogs,
    /// The address of the local host of the capture; default: detected
    #[arg(long, value_name = "ADDR", value_parser = parse_local_host)]
    pub(crate) local: Option<IpAddr>,
}

impl ReplayArguments {
    /// The role of the client of `reference`.
    pub(crate) fn role_in(&self, reference: &Transcript) -> ClientRole {
        match self.role {
            RoleChoice::Auto => ClientRole::of(reference),
            RoleChoice::Seeder => ClientRole::Seeder,
            RoleChoice::Downloader => ClientRole::Downloader,
        }
    }

    /// The disturbances that are wanted, in their order.
    pub(crate) fn disturbances(&self) -> impl Iterator<Item = InjectedFault> {
        self.disturb.iter().flat_map(|named| named.0.iter().copied())
    }
}

/// Show the behaviour of a client.
#[derive(Debug, Args)]
#[command(after_help = PROFILE_AFTER)]
pub(crate) struct ProfileArguments {
    /// The capture; - reads standard input
    #[arg(value_name = "CAPTURE")]
    pub(crate) capture: PathBuf,
    /// The output format
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: DiffFormat,
    #[command(flatten)]
    pub(crate) key_logs: KeyLogs,
    /// The address of the local host of the capture; default: detected
    #[arg(long, value_name = "ADDR", value_parser = parse_local_host)]
    pub(crate) local: Option<IpAddr>,
}

impl Default for Comparing {
    /// As diff does it when nothing else is asked for.
    fn default() -> Self {
        Self {
            format: DiffFormat::Table,
            side: None,
            only: Vec::new(),
            streams: Vec::new(),
            mask: Vec::new(),
            no_mask: false,
            allow: Vec::new(),
            context: 0,
            hex: false,
            html: None,
        }
    }
}

/// Whose messages count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum JudgedSides {
    /// Messages of the local hosts
    Local,
    /// Messages of the far ends
    Far,
    /// All messages
    Both,
}

/// Differences in the order and presence of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    /// The same message at another position
    Moved,
    /// Only in the reference
    Missing,
    /// Only in the candidate
    Extra,
}

/// The output format of comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiffFormat {
    /// Human-readable text
    Table,
    /// One JSON object per line (NDJSON), and a summary as the last
    Json,
}
