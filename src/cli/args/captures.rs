//! What the commands are asked that show captures, or write a capture or its files: `browse`, `diagnose`, `annotate`, `clear`,
//! `extract`.

use std::path::PathBuf;

use bittrace_trace::{LocalChoice, TraceOptions};
use clap::{Args, ValueEnum};

use super::texts::{
    ANNOTATE_AFTER, ANNOTATE_EXAMPLES, BROWSE_AFTER, CLEAR_AFTER, CLEAR_EXAMPLES, DIAGNOSE_AFTER,
    DIAGNOSE_EXAMPLES, EXTRACT_AFTER, EXTRACT_EXAMPLES,
};
use super::{Format, parse_local};
use crate::input;
use crate::keys::KeyLogs;

/// What is known of captures before they are read.
#[derive(Debug, Args)]
pub(crate) struct KnownBeforehand {
    /// A torrent of the captures, for file names, piece counts and hash checks; can be repeated
    #[arg(long, value_name = "FILE")]
    torrent: Vec<PathBuf>,
    #[command(flatten)]
    key_logs: KeyLogs,
    /// The address of the local host of the captures, or none: speakers are then initiator and responder; default: detected, and none in captures of bittrace lab
    #[arg(long, value_name = "ADDR", value_parser = parse_local)]
    local: Option<LocalChoice>,
}

impl KnownBeforehand {
    /// How captures are read with it.
    ///
    /// # Errors
    /// When a torrent or a key log cannot be read.
    pub(crate) fn options(&self) -> anyhow::Result<TraceOptions> {
        input::options(&self.torrent, &self.key_logs, self.local.unwrap_or(LocalChoice::AsCaptured))
    }
}

/// Browse captures.
#[derive(Debug, Args)]
#[command(after_help = BROWSE_AFTER)]
pub(crate) struct BrowseArguments {
    /// pcap or pcapng files, plain or compressed (gzip, zstd, lz4, xz, bzip2); - reads standard input, as it comes
    #[arg(value_name = "CAPTURE", required = true)]
    pub(crate) captures: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) known: KnownBeforehand,
    /// Draw with ASCII characters alone; default if the locale is not UTF-8
    #[arg(long)]
    pub(crate) ascii: bool,
}

/// Say why a download was slow.
#[derive(Debug, Args)]
#[command(after_help = DIAGNOSE_AFTER, after_long_help = DIAGNOSE_EXAMPLES)]
pub(crate) struct DiagnoseArguments {
    /// pcap or pcapng files, plain or compressed (gzip, zstd, lz4, xz, bzip2); - reads standard input
    #[arg(value_name = "CAPTURE", required = true)]
    pub(crate) captures: Vec<PathBuf>,
    /// The output format
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) known: KnownBeforehand,
}

/// Write a capture again, with comments on its packets.
#[derive(Debug, Args)]
#[command(after_help = ANNOTATE_AFTER, after_long_help = ANNOTATE_EXAMPLES)]
pub(crate) struct AnnotateArguments {
    /// A pcap or pcapng file, plain or compressed (gzip, zstd, lz4, xz, bzip2); - reads standard input
    #[arg(value_name = "CAPTURE")]
    pub(crate) capture: PathBuf,
    /// The pcapng file to write; - is standard output
    #[arg(short, long, value_name = "OUT.pcapng")]
    pub(crate) output: PathBuf,
    /// What is commented: findings, and the handshake of each stream; or every message
    #[arg(long, value_enum, value_name = "WHAT", default_value = "findings")]
    pub(crate) comments: CommentChoice,
    #[command(flatten)]
    pub(crate) known: KnownBeforehand,
}

/// Which messages `annotate` comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CommentChoice {
    /// Messages with findings, and handshakes
    Findings,
    /// Every message, with its findings
    Messages,
}

/// Write the messages of a capture as plain TCP.
#[derive(Debug, Args)]
#[command(after_help = CLEAR_AFTER, after_long_help = CLEAR_EXAMPLES)]
pub(crate) struct ClearArguments {
    /// A pcap or pcapng file, plain or compressed (gzip, zstd, lz4, xz, bzip2); - reads standard input
    #[arg(value_name = "CAPTURE")]
    pub(crate) capture: PathBuf,
    /// The pcapng file to write; - is standard output
    #[arg(short, long, value_name = "OUT.pcapng")]
    pub(crate) output: PathBuf,
    /// A torrent of the capture, to find its web seeds; can be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) torrent: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) key_logs: KeyLogs,
}

/// Write the files that peers and web seeds sent.
#[derive(Debug, Args)]
#[command(after_help = EXTRACT_AFTER, after_long_help = EXTRACT_EXAMPLES)]
pub(crate) struct ExtractArguments {
    /// pcap or pcapng files, plain or compressed (gzip, zstd, lz4, xz, bzip2); - reads standard input. Blocks of all captures are combined
    #[arg(value_name = "CAPTURE", required = true)]
    pub(crate) captures: Vec<PathBuf>,
    /// The folder for the files
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) output: PathBuf,
    /// A torrent of the captures; can be repeated. Without it, bittrace uses metadata that peers sent
    #[arg(long, value_name = "FILE")]
    pub(crate) torrent: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) key_logs: KeyLogs,
    /// Also write unverified bytes: to .part files, or to one file if the torrent is unknown
    #[arg(long)]
    pub(crate) unverified: bool,
    /// Replace existing files
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// The output format
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: ExtractFormat,
}

/// The output format of extract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExtractFormat {
    /// Human-readable text
    Table,
    /// One JSON object per torrent (NDJSON), and a summary as the last
    Json,
}
