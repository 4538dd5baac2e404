//! The command line: what can be asked, and the help that says so.

use std::net::IpAddr;
use std::path::PathBuf;

use bittrace_replay::{InjectedFault, NamedDisturbances};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::keys::KeyLogs;

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
    /// Say why a download in a capture was slow, stalled or ended, and what would help
    Diagnose(DiagnoseArguments),
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
    /// Download from one peer at a time; when it fails, continue with the next
    #[arg(long)]
    pub(crate) single_peer: bool,
    /// The TCP port to listen on and announce; 0 is any free port. Default: the first free port of 6881 to 6889
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Listen only on this address; can be repeated
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<IpAddr>,
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

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 the answer is no, 2 error, 130 interrupted.
`bittrace --help` has examples.";

const EXAMPLES: &str = "\
Examples:
  bittrace analyze capture.pcap                       a summary, then the first messages
  bittrace analyze capture.pcap --torrent t.torrent   the same, with file names and hash checks
  bittrace diagnose capture.pcap                      why the download in it was slow
  tcpdump -U -w - | bittrace analyze - --view messages
                                                      messages as they are captured
  bittrace diff reference.pcap candidate.pcap         how two runs differ
  bittrace torrent show t.torrent                     the contents of a .torrent

Exit codes:
    0  done, or no difference; also if a capture has no BitTorrent traffic
    1  --fail-on matched, or the captures differ
    2  error: bad usage or unreadable input
  130  interrupted; the results up to then are shown";

const ANALYZE_AFTER: &str = "`bittrace analyze --help` has examples and the names for --filter and --fields.";

const ANALYZE_EXAMPLES: &str = "\
Examples:
  bittrace analyze capture.pcap
  bittrace analyze capture.pcapng.gz --torrent t.torrent --view messages
  bittrace analyze capture.pcap --filter 'message == piece && index == 3' --hex
  bittrace analyze capture.pcap --filter 'src ~ 10.0.0.0/8 and not message == have'
  bittrace analyze capture.pcap --filter 'severity >= warn'
  bittrace analyze capture.pcap --filter 'message in {request, piece} and latency > 500ms'
  bittrace analyze capture.pcap --filter 'tcp.stream == 3 && bittorrent.msg.type == 7'
  bittrace analyze capture.pcap --stream 3 --fields n,elapsed,speaker,message,index,begin
  bittrace analyze capture.pcap --torrent t.torrent --view conversations,pieces,findings
  bittrace analyze capture.pcap --sort slowest --limit 5
                                                      the five slowest peers, with their rates
  bittrace analyze capture.pcap --follow 1
  bittrace analyze capture.pcap --mse-keys capture.keys
  bittrace analyze --list-rules
  bittrace analyze a.pcap b.pcap --format json | jq .message
  bittrace analyze capture.pcap --format csv > messages.csv
  tcpdump -U -w - | bittrace analyze - --view messages

CSV has a header; only the column fields has nested values. pandas reads integer columns with
empty cells as integers with dtype_backend=\"numpy_nullable\"; DuckDB does so by itself.
In CSV, text that looks like a formula (=, +, -, @) gets an apostrophe in front; numbers do not.
CSV and tables show control characters as U+FFFD; JSON escapes them.

--filter, --stream, --from and --to choose messages. Every view, and the last object of JSON,
counts only the chosen messages; the numbers of packets and bytes are those of the whole capture.

Peers and trackers behind SOCKS4, SOCKS5 and HTTP CONNECT proxies are read; the protocol proxy is
the negotiation of client and proxy. Azureus messaging is read as well.

Exit codes:
    0  done, also if a capture has no BitTorrent traffic
    1  --fail-on matched a chosen message
    2  error: bad usage or unreadable input
  130  interrupted; the results up to then are shown";

const DIAGNOSE_AFTER: &str = "\
Exit codes: 0 done, 2 error, 130 interrupted.
`bittrace diagnose --help` has examples.";

const DIAGNOSE_EXAMPLES: &str = "\
Examples:
  bittrace diagnose capture.pcap
  bittrace diagnose capture.pcapng.gz --torrent t.torrent
  bittrace diagnose capture.pcap --format json | jq -r '.diagnosis.sentences[]?.text'
  bittrace diagnose monday.pcap tuesday.pcap --format csv > budgets.csv
  bittrace explain asked-too-little

Every moment of every connection belongs to one cause: connecting, choked, nothing-wanted,
not-asked, asked-too-little, far-pace, network, receiver or unseen. Up to three sentences come
first: what most of the time went to, by what evidence, and what would help. Then come the table of
causes, the rate over time, the connections, how each ended, and filters that show the evidence.

A capture from before the first packet to the end tells most. One that begins in the middle, that
has one direction only, or that is encrypted shows less, and the sentences say so.

With --format json the first object of a capture is the run; then comes an object for each direction
in which blocks were wanted or sent. CSV has these rows alone.

Exit codes:
    0  done, also if a capture has no BitTorrent traffic
    2  error: bad usage or unreadable input
  130  interrupted; what was read up to then is diagnosed";

const DIFF_AFTER: &str = "\
Exit codes: 0 no difference, 1 differences, 2 error, 130 interrupted.
`bittrace diff --help` has examples.";

const DIFF_EXAMPLES: &str = "\
Examples:
  bittrace diff reference.pcap candidate.pcapng
  bittrace diff reference.pcap candidate.pcapng --only announce-request,handshake --hex
  bittrace diff reference.pcap candidate.pcapng --mask announce-request.numwant=ignore
  bittrace diff reference.pcap candidate.pcapng --allow moved
  bittrace diff a.pcap a.pcap --no-mask
  bittrace diff a.pcap b.pcap --format json | jq -c 'select(.verdict == \"differs\")'

Messages are paired by what they name (piece, offset, length), or by type and order. A pair is
  same     the same bytes at the same position
  masked   the same, except for differences that a mask allows
  differs  different content
  moved    the same content at another position
  missing  only in the reference
  extra    only in the candidate
Coverage is the share of the reference that has a counterpart; fidelity is the share of those pairs
that are same, masked or moved.

Exit codes:
    0  no difference, or only those that masks and --allow permit; also without BitTorrent traffic
    1  differences
    2  error: bad usage, unreadable input, a mask that matches nothing
  130  interrupted";

const REPLAY_AFTER: &str = "\
Exit codes: 0 no difference, 1 differences, 2 error, 130 interrupted.
`bittrace replay --help` has examples.";

const REPLAY_EXAMPLES: &str = "\
Without a client and without --listen, the capture is played to bittrace itself, which imitates the capture's client: no sockets, the same bytes every time. With a client, bittrace starts the client, plays the recorded tracker and peers to it on loopback, and compares its messages with those of the capture's client.

Examples:
  bittrace replay ref.pcap
  bittrace replay ref.pcap -- aria2c -d {dir} --seed-time=0 --listen-port {port} {torrent}
  bittrace replay ref.pcap --hex -- transmission-cli -M -w {dir} -p {port} {torrent}
  bittrace replay ref.pcap --disturb all -- aria2c -d {dir} --seed-time=0 {torrent}
  bittrace replay ref.pcap --disturb corrupt=2 --disturb drop=9 -- aria2c -d {dir} {torrent}
  bittrace replay ref.pcap --listen 127.0.0.2:6969     for a client started by hand

Two things are rewritten, everything else is sent as recorded: the addresses in the tracker's responses become those of the played peers, and the ids of extensions become those that the receiver chose. Blocks are sent when they are requested.

Exit codes:
    0  no difference, or only those that masks and --allow permit; with --disturb: complete
    1  differences; with --disturb: incomplete
    2  error: bad usage, unreadable input, a client that cannot be started
  130  interrupted";

const PROFILE_AFTER: &str = "\
Examples:
  bittrace profile reference.pcap
  bittrace profile reference.pcap --format json | jq .profile

not seen: the capture does not show it. download --like and replay imitate this behaviour, and use bittrace's own for the rest.";

const DISTURB_HELP: &str = "\
A fault that the replayed peers cause on purpose, to see how the client reacts. The first run is undisturbed, then there is a run for each disturbance. Can be repeated:
  all                each of these in turn
  split=bytes        every byte in its own segment
  split=boundaries   segments end a byte before and after the end of each message
  delay=MS           every message this many milliseconds late (100)
  reorder            blocks in the opposite order
  drop=N             closes the connection after message N (5)
  corrupt=N          changes one byte of block N (1)
  duplicate=N        sends block N twice (1)
  unknown=ID         sends a message with an unassigned id (200)
  overlong=N         sends a length prefix of 2 GiB after message N (5)";

const MASK_HELP: &str = "\
How a field may differ; can be repeated. The message is a name such as announce-request, a protocol such as peer-wire, or *; the field is its path as in the report, such as numwant, v or headers.User-Agent, and includes everything inside it.

Rules: exact (the same bytes), bind (the first value is matched to the reference's and must then stay the same), ignore (may differ), context (shown, may differ).

Random values and values of the environment are masked by default: peer id (but not the client's name in it), key, ports, addresses, the tracker's host, transaction and connection ids. The report lists each use.";

const FILTER_HELP: &str = "\
Only messages that match this expression.

Operators: == != < <= > >=; ~ or contains (part of a text, address in a network); matches (regular expression, case does not matter); in {a, b, 1..5} and not in; a name alone (present); and && or || not !, parentheses. A comparison with a field that a message lacks is false. A value that no message can have is an error.

Values: numbers with units where they have one (500ms, 1.5s, 2min; 16KiB, 1MB), 0x hexadecimal; times such as 2026-01-02T03:04:05Z; addresses, with or without a port, and networks (10.0.0.0/8); at least 6 digits of a hash.

Names: n, time, elapsed, capture, frame, frames, stream, ws_stream, src, dst, addr, port (of either end), speaker, transport, protocol, message, message_id, offset, length, summary, client, torrent, decrypted, answers, latency, severity, rule, notes; and those of the message's own fields, such as index, begin, extension, info_hash, left, m.ut_metadata: bittrace fields lists all. fields.NAME is always the message's own field: length is the length of the message, fields.length that of the block.

Wireshark's names with the same meaning: frame.number, frame.time_relative, ip.addr, ip.src, ip.dst, ipv6.addr, tcp.stream, tcp.port, tcp.srcport, udp.stream, udp.port, bittorrent.msg.type, bittorrent.piece.index, bittorrent.piece.begin, bittorrent.info_hash, bittorrent.peer_id, http.user_agent, http.response.code and others; tcp, udp, bittorrent, bt-dht and http alone.";

const LIMIT_HELP: &str = "\
At most N messages of each capture, and N connections in conversations; 0 for all. Default: all with --view or --format, and the first 50 after the summary.";

const EXTRACT_AFTER: &str = "\
Exit codes: 0 all files complete, 1 something is missing, 2 error, 130 interrupted.
`bittrace extract --help` has examples.";

const EXTRACT_EXAMPLES: &str = "\
Examples:
  bittrace extract capture.pcap --torrent t.torrent -o out
  bittrace extract magnet.pcap -o out                 also the torrent, if peers sent it
  bittrace extract monday.pcap tuesday.pcap.gz --torrent t.torrent -o out
  bittrace extract lossy.pcap --torrent t.torrent -o out --unverified
  bittrace extract capture.pcap --torrent t.torrent -o out --format json | jq '.files[]? | .missing'

Blocks are taken from every connection, and each piece is checked against the torrent's hash. If
peers sent different data for a block, the version that matches the hash is kept, and the peers
that sent anything else are named. A file gets its final name when every byte is verified. Other
files end in .part, and missing bytes are holes. Nothing is written outside DIR. With --unverified,
the blocks of an unknown torrent go to INFO_HASH.unverified in order.

Exit codes:
    0  every file of every torrent is complete and verified
    1  bytes are missing, or pieces have a wrong hash
    2  error: bad usage, unreadable input, an existing file, an unknown torrent
  130  interrupted; the results up to then are written";

const DOWNLOAD_AFTER: &str = "Examples: see bittrace download --help";

const DOWNLOAD_EXAMPLES: &str = "\
Examples:
  bittrace download file.torrent                      into this folder
  bittrace download file.torrent --like ref.pcap --against ref.pcap
                                                      behave like a capture's client, and compare
  bittrace download file.torrent -o /tmp --seed=1.5   and seed up to a ratio of 1.5
  bittrace download https://example.org/file.torrent --record live.pcapng
  bittrace download file.torrent --trace              and show each message as it is sent or received
  bittrace download file.torrent --single-peer        from one peer at a time

Files get their final names only when they are complete and verified. An interrupted run (Ctrl-C,
power failure) resumes where it stopped. The first Ctrl-C says goodbye to trackers and peers, the
second ends at once.

Exit codes:
    0  complete
    1  incomplete
    2  error: bad usage, an unreadable torrent, a full disk
  130  stopped by Ctrl-C";

const TORRENT_EXAMPLES: &str = "\
Examples:
  bittrace torrent show t.torrent
  bittrace torrent show t.torrent --format json | jq .info_hash";
