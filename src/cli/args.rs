//! The command line: what can be asked, and the help that says so.

mod texts;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use bittrace_replay::{InjectedFault, NamedDisturbances};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::keys::KeyLogs;
use crate::page_file::PageFile;
use crate::print::output::Output;
use texts::{
    AFTER_HELP, ANALYZE_AFTER, ANALYZE_EXAMPLES, ANNOTATE_AFTER, ANNOTATE_EXAMPLES, BROWSE_AFTER,
    DIAGNOSE_AFTER, DIAGNOSE_EXAMPLES, DIFF_AFTER, DIFF_EXAMPLES, DISTURB_HELP, DOWNLOAD_AFTER,
    DOWNLOAD_EXAMPLES, ENCRYPTION_HELP, EXAMPLES, EXTRACT_AFTER, EXTRACT_EXAMPLES, FILTER_HELP, LIMIT_HELP,
    MASK_HELP, PROFILE_AFTER, REPLAY_AFTER, REPLAY_EXAMPLES, TORRENT_EXAMPLES,
};

/// Reads BitTorrent packet captures and shows every tracker and peer message, byte for byte.
#[derive(Debug, Parser)]
#[command(name = "bittrace", version = env!("BITTRACE_VERSION"), max_term_width = 100, after_help = AFTER_HELP, after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// Colour the output: always, never, or auto: on a terminal, unless NO_COLOR is set
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    pub(crate) color: Colour,
    /// Suppress warnings, progress and remarks
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Show more: each message's packets and offset in its stream, every byte of long values
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Also into a file or a pipe
    Always,
    /// Not at all
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Inspect captures: every message, its fields and meaning, and broken rules
    Analyze(Box<AnalyzeArguments>),
    /// Browse captures in the terminal: messages with their fields and bytes, conversations, findings
    Browse(Box<BrowseArguments>),
    /// Say why a download in a capture was slow, stalled or ended, and what would help
    Diagnose(DiagnoseArguments),
    /// Write a capture again, with findings as comments on its packets, for Wireshark
    Annotate(AnnotateArguments),
    /// Write the files that peers and web seeds sent in captures
    Extract(ExtractArguments),
    /// Download a torrent with a running commentary; every byte can be recorded
    Download(Box<DownloadArguments>),
    /// Compare two captures, message by message and byte for byte
    Diff(Box<DiffArguments>),
    /// Replay a capture to bittrace or to any client, and compare the messages
    Replay(Box<ReplayArguments>),
    /// Show the behaviour of a capture's client
    Profile(ProfileArguments),
    /// Inspect .torrent files
    #[command(subcommand)]
    Torrent(Torrent),
    /// Explain a rule, a message, a tracker parameter, an extension or a cause of a diagnosis
    #[command(
        after_help = "Examples:\n  bittrace explain\n  bittrace explain info_hash\n  bittrace explain request\n  bittrace explain bep3.out-of-range\n  bittrace explain choked"
    )]
    Explain {
        /// What to explain; without a name, all names are listed
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// List every message, its fields with types and units, and the document that defines it
    #[command(
        after_help = "Examples:\n  bittrace fields\n  bittrace fields request\n  bittrace fields --format json | jq -r .message.message"
    )]
    Fields(FieldsArguments),
    /// Print the JSON Schema of analyze --format json
    #[command(after_help = "Example:\n  bittrace schema > bittrace.schema.json")]
    Schema,
    /// Write a completion script for a shell
    #[command(
        after_help = "Example:\n  bittrace completions bash > ~/.local/share/bash-completion/completions/bittrace"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    #[command(
        after_help = "Examples:\n  bittrace man -o ~/.local/share/man/man1\n  bittrace man analyze | man -l -\n  bittrace man torrent show > bittrace-torrent-show.1"
    )]
    Man {
        /// The command to write the page of; without a command, bittrace itself
        #[arg(value_name = "COMMAND")]
        topic: Vec<String>,
        /// Write the pages of all commands into this folder
        #[arg(short, long, value_name = "DIR", conflicts_with = "topic")]
        output: Option<PathBuf>,
    },
}

/// Download a torrent.
#[derive(Debug, Args)]
#[command(after_help = DOWNLOAD_AFTER, after_long_help = DOWNLOAD_EXAMPLES)]
pub(crate) struct DownloadArguments {
    /// The .torrent file: a path, or an http or https URL
    #[arg(value_name = "TORRENT")]
    pub(crate) torrent: String,
    /// The folder for the files
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) output: PathBuf,
    /// Record every byte sent and received, as a capture for Wireshark and analyze
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
    /// When connections to peers are encrypted: off, allow, prefer or require
    #[arg(
        long,
        value_enum,
        value_name = "POLICY",
        hide_possible_values = true,
        long_help = ENCRYPTION_HELP
    )]
    pub(crate) encryption: Option<Encryption>,
    /// Append the keys of encrypted connections to this file, for analyze --mse-keys
    #[arg(long, value_name = "FILE")]
    pub(crate) key_log: Option<PathBuf>,
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

/// When connections to peers are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encryption {
    /// Never
    Off,
    /// Where the peer wants it
    Allow,
    /// Where the peer can
    Prefer,
    /// Always, with RC4
    Require,
}

/// Browse captures.
#[derive(Debug, Args)]
#[command(after_help = BROWSE_AFTER)]
pub(crate) struct BrowseArguments {
    /// pcap or pcapng files, plain or compressed (gzip, zstd, lz4, xz, bzip2); - reads standard input, as it comes
    #[arg(value_name = "CAPTURE", required = true)]
    pub(crate) captures: Vec<PathBuf>,
    /// A torrent of the captures, for file names, piece counts and hash checks; can be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) torrent: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) key_logs: KeyLogs,
    /// The address of the local host of the captures; default: detected
    #[arg(long, value_name = "ADDR")]
    pub(crate) local: Option<IpAddr>,
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
    /// A torrent of the captures, for hash checks and for requests beyond a piece; can be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) torrent: Vec<PathBuf>,
    /// The output format
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) key_logs: KeyLogs,
    /// The local host, to override the guess
    #[arg(long, value_name = "ADDR")]
    pub(crate) local: Option<IpAddr>,
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
    /// A torrent of the capture, for hash checks; can be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) torrent: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) key_logs: KeyLogs,
    /// The local host, to override the guess
    #[arg(long, value_name = "ADDR")]
    pub(crate) local: Option<IpAddr>,
}

/// Which messages `annotate` comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CommentChoice {
    /// Messages with findings, and handshakes
    Findings,
    /// Every message, with its findings
    Messages,
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
    #[arg(long, value_name = "ADDR")]
    pub(crate) local: Option<IpAddr>,
    /// The address of the candidate's local host, if it differs
    #[arg(long, value_name = "ADDR")]
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

/// Play a capture again.
#[derive(Debug, Args)]
#[command(after_help = REPLAY_AFTER, after_long_help = REPLAY_EXAMPLES)]
pub(crate) struct ReplayArguments {
    /// The capture: its tracker and peers are played again
    #[arg(value_name = "CAPTURE")]
    pub(crate) capture: PathBuf,
    /// A client to run against the played peers, with its arguments: {torrent}, {dir} and {port} stand for a copy of the
    /// torrent, an empty folder and a free port
    #[arg(last = true, value_name = "CLIENT")]
    pub(crate) client: Vec<String>,
    /// The torrent; default: the .torrent file beside the capture with the same name
    #[arg(long, value_name = "FILE")]
    pub(crate) torrent: Option<PathBuf>,
    /// The torrent's file or folder, for blocks that the capture lacks
    #[arg(long, value_name = "PATH")]
    pub(crate) content: Option<PathBuf>,
    /// Serve tracker and peers on real sockets: the tracker's address, such as 127.0.0.2 or 127.0.0.2:6969
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Record the run as a capture
    #[arg(long, value_name = "FILE.pcapng")]
    pub(crate) record: Option<PathBuf>,
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
    #[arg(long, value_name = "ADDR")]
    pub(crate) local: Option<IpAddr>,
}

impl ReplayArguments {
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
    #[arg(long, value_name = "ADDR")]
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

/// The commands about .torrent files.
#[derive(Debug, Subcommand)]
pub(crate) enum Torrent {
    /// Show the contents of a .torrent, with the byte range of each value
    Show(TorrentShow),
}

/// Show the contents of a .torrent.
#[derive(Debug, Args)]
#[command(after_help = TORRENT_EXAMPLES)]
pub(crate) struct TorrentShow {
    /// The .torrent file; - reads standard input
    #[arg(value_name = "TORRENT")]
    pub(crate) path: PathBuf,
    /// The output format
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: TorrentFormat,
    /// List at most N files; 0 lists all
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
}

/// The output format of torrent show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TorrentFormat {
    /// Human-readable text
    Table,
    /// One JSON object
    Json,
}

/// List messages and their fields.
#[derive(Debug, Args)]
pub(crate) struct FieldsArguments {
    /// The message, or the extension of an extended message; without it, all
    #[arg(value_name = "MESSAGE")]
    pub(crate) message: Option<String>,
    /// The output format: table, or json with one message per line
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    pub(crate) format: TorrentFormat,
}

/// Inspect captures.
#[derive(Debug, Args)]
#[command(after_help = ANALYZE_AFTER, after_long_help = ANALYZE_EXAMPLES)]
pub(crate) struct AnalyzeArguments {
    /// pcap or pcapng files, plain or compressed (gzip, zstd, lz4, xz, bzip2); - reads standard input
    #[arg(value_name = "CAPTURE", required_unless_present = "list_rules")]
    pub(crate) captures: Vec<PathBuf>,
    /// A torrent of the capture, for file names, piece counts and hash checks; can be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) torrent: Vec<PathBuf>,
    /// What to show, comma separated. Default: the summary and the first messages; only messages with options that choose
    /// or format messages; conversations with --sort
    #[arg(long, value_enum, value_name = "VIEW", value_delimiter = ',')]
    pub(crate) view: Vec<ViewName>,
    /// The output format
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: Format,
    /// Write the capture as one HTML page: pictures over time, messages with fields and bytes, findings; - is standard
    /// output
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// At most N messages that the page shows one by one, 250 to 20000; default: 4000
    #[arg(long, value_name = "N", requires = "html", value_parser = clap::value_parser!(u64).range(250..=20_000))]
    pub(crate) html_messages: Option<u64>,
    /// Only messages that match, such as 'message == piece && index == 3'
    #[arg(long, value_name = "EXPR", long_help = FILTER_HELP)]
    pub(crate) filter: Option<String>,
    /// Only messages of these streams, comma separated
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) stream: Vec<u32>,
    /// Show this stream as a conversation: both directions in order, runs of similar messages on one line
    #[arg(long, value_name = "N", conflicts_with_all = ["view", "format", "stream", "fields"])]
    pub(crate) follow: Option<u32>,
    /// Show these columns instead of the usual ones: JSON keys, and names inside "fields"
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) fields: Vec<String>,
    /// Show each message's bytes, with its fields marked
    #[arg(long)]
    pub(crate) hex: bool,
    /// One row for each message: no row for a run of requests, have or allowed-fast messages
    #[arg(long)]
    pub(crate) no_fold: bool,
    #[command(flatten)]
    pub(crate) key_logs: KeyLogs,
    /// The address of the local host of the capture; default: detected
    #[arg(long, value_name = "ADDR")]
    pub(crate) local: Option<IpAddr>,
    /// Only messages from this moment on: RFC 3339, or seconds since the first packet
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Only messages up to this moment: RFC 3339, or seconds since the first packet
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// At most N messages, or connections, of each capture; 0 for all
    #[arg(long, value_name = "N", long_help = LIMIT_HELP)]
    pub(crate) limit: Option<u64>,
    /// Leave out the summary: the page before the messages, and the last object of JSON
    #[arg(long)]
    pub(crate) no_summary: bool,
    /// Sort connections by bytes, sent, got, rate, slowest, latency, lasted or start
    #[arg(long, value_enum, value_name = "BY", hide_possible_values = true)]
    pub(crate) sort: Option<ConnectionOrder>,
    /// Exit with 1 if a chosen message has a finding of at least this severity
    #[arg(long, value_enum, value_name = "SEVERITY")]
    pub(crate) fail_on: Option<FailOn>,
    /// List the rules behind the findings, with the documents that define them
    #[arg(long)]
    pub(crate) list_rules: bool,
}

/// What connections are sorted by in summaries and conversations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConnectionOrder {
    /// Bytes of both directions, most first
    #[default]
    Bytes,
    /// Bytes that the local end sent, most first
    Sent,
    /// Bytes that the local end received, most first
    Got,
    /// Bytes of blocks a second, fastest first
    Rate,
    /// Bytes of blocks a second, slowest first
    Slowest,
    /// The median time from a request to the block, longest first
    Latency,
    /// How long the connection lasted, longest first
    Lasted,
    /// When the connection began, earliest first
    Start,
}

/// What to show of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ViewName {
    /// Clients, torrents, trackers, connections, message counts and findings
    Summary,
    /// One row per message
    Messages,
    /// Each connection between peers: rate, requests at once, latencies, choked time, waste
    Conversations,
    /// Each piece: its senders, when it was complete, whether its hash is right, what is missing
    Pieces,
    /// Broken rules: how often, the document, a display filter for the first packets
    Findings,
    /// Why it was slow, stalled or ended: three sentences, then where the time of each connection went
    Diagnosis,
    /// One row per message, with an arrow between the lifelines of the hosts
    Ladder,
    /// Pieces over time: who sent blocks of each, and when it was verified or wrong
    Map,
    /// Bytes of blocks over time, of each peer
    Rates,
}

/// The output format of extract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Human-readable text
    Table,
    /// One JSON object per line (NDJSON), and a summary as the last
    Json,
    /// One row per message, or per row of another view, with a header
    Csv,
}

/// The lowest severity of a finding that makes the exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Worth knowing
    Note,
    /// A broken rule, or unreadable bytes
    Warn,
    /// Broken messages, wrong data
    Error,
}
