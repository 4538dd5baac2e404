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
    /// Say less: no warnings, no remarks on how things stand
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more: each message's packets and place in its stream, every byte of long values
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
    /// Inspect captures: who spoke, what they said, what it means
    Analyze(Box<AnalyzeArguments>),
    /// Write the files that peers and web seeds sent in captures
    Extract(ExtractArguments),
    /// Download a torrent, told as it goes; every byte can be recorded
    Download(Box<DownloadArguments>),
    /// Compare two captures, message by message and byte for byte
    Diff(Box<DiffArguments>),
    /// Play a capture again, to bittrace or to any client, and compare what it says
    Replay(Box<ReplayArguments>),
    /// Show how a capture's client conducts itself
    Profile(ProfileArguments),
    /// Look into .torrent files
    #[command(subcommand)]
    Torrent(Torrent),
    /// Explain a rule, a message, a tracker parameter or an extension, with an example in bytes
    #[command(
        after_help = "Examples:\n  bittrace explain\n  bittrace explain info_hash\n  bittrace explain request\n  bittrace explain bep3.out-of-range"
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
    /// The folder to download into
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) output: PathBuf,
    /// Record every byte said and heard, as a capture that Wireshark and analyze read
    #[arg(long, value_name = "FILE.pcapng")]
    pub(crate) record: Option<PathBuf>,
    /// Show every message of peers and trackers as a row, while the run goes on
    #[arg(long)]
    pub(crate) trace: bool,
    /// Speak as the client of this capture does
    #[arg(long, value_name = "CAPTURE")]
    pub(crate) like: Option<PathBuf>,
    /// Afterwards, compare what was said with this capture, as diff does
    #[arg(long, value_name = "CAPTURE")]
    pub(crate) against: Option<PathBuf>,
    /// One peer at a time, all pieces from it, the next one when it fails
    #[arg(long)]
    pub(crate) single_peer: bool,
    /// The TCP port to listen on and announce; 0 takes any that is free. Without it, the first free one of 6881 to 6889
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Listen on this address alone; may be given again
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<IpAddr>,
    /// Our peer id, of up to 20 characters; the rest is drawn at random
    #[arg(long, value_name = "ID")]
    pub(crate) peer_id: Option<String>,
    /// The most peers at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) max_peers: Option<u16>,
    /// How many seconds a tracker or peer may keep us waiting
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: Option<u64>,
    /// How often trackers are asked before giving up when no peer is left, 3 times if not told, once with --single-peer; 0
    /// never gives up
    #[arg(long, value_name = "N")]
    pub(crate) rounds: Option<u32>,
    /// Go on serving once complete: up to a ratio such as 1.5, or for a time such as 30min or 1d; without a value, until Ctrl-C
    #[arg(long, value_name = "RATIO|TIME", num_args = 0..=1, default_missing_value = "", require_equals = true)]
    pub(crate) seed: Option<String>,
    /// Serve at most so many KiB a second
    #[arg(long, value_name = "KIB")]
    pub(crate) upload_limit: Option<u64>,
    /// Begin anew, whatever an earlier run left
    #[arg(long)]
    pub(crate) no_resume: bool,
    /// Replace files in the way that are not this torrent's
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Repair finished files that are damaged: fetch their wrong pieces again
    #[arg(long)]
    pub(crate) repair: bool,
}

/// Write the files that peers and web seeds sent.
#[derive(Debug, Args)]
#[command(after_help = EXTRACT_AFTER, after_long_help = EXTRACT_EXAMPLES)]
pub(crate) struct ExtractArguments {
    /// pcap or pcapng files, bare or within gzip or zstd; - reads standard input. Blocks of all of them count together
    #[arg(value_name = "CAPTURE", required = true)]
    pub(crate) captures: Vec<PathBuf>,
    /// The folder to write into
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) output: PathBuf,
    /// A torrent of the captures; may be given again. Without it, those whose metadata peers sent are known
    #[arg(long, value_name = "FILE")]
    pub(crate) torrent: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) key_logs: KeyLogs,
    /// Write bytes that no hash vouches for, too: to .part files, or in one file where no torrent is known
    #[arg(long)]
    pub(crate) unverified: bool,
    /// Replace files that are in the way
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// How to write what was found
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: ExtractFormat,
}

/// How to write what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExtractFormat {
    /// For people
    Table,
    /// An object a torrent (NDJSON), the last one a summary
    Json,
}

/// Compare two captures.
#[derive(Debug, Args)]
#[command(after_help = DIFF_AFTER, after_long_help = DIFF_EXAMPLES)]
pub(crate) struct DiffArguments {
    /// The capture that says how it should be; - reads standard input
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: PathBuf,
    /// The capture that is held to it; - reads standard input
    #[arg(value_name = "CANDIDATE")]
    pub(crate) candidate: PathBuf,
    /// A torrent of the captures, for its name; may be given again
    #[arg(long, value_name = "FILE")]
    pub(crate) torrent: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) comparing: Comparing,
    #[command(flatten)]
    pub(crate) key_logs: KeyLogs,
    /// The address of the host the captures are about; found out when not given
    #[arg(long, value_name = "ADDR")]
    pub(crate) local: Option<IpAddr>,
    /// The same for the candidate, where it is another one
    #[arg(long, value_name = "ADDR")]
    pub(crate) local_candidate: Option<IpAddr>,
}

/// How two captures are compared, and how that is shown.
#[derive(Debug, Args)]
pub(crate) struct Comparing {
    /// How to write it
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: DiffFormat,
    /// Whose messages count; the other side's are context. Without it, local; with --no-mask, both
    #[arg(long, value_enum, value_name = "SIDE")]
    pub(crate) side: Option<JudgedSides>,
    /// Only messages of these names, comma separated, such as handshake,request
    #[arg(long, value_name = "MESSAGE", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Only these streams of the reference, comma separated, and what they are compared with
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) streams: Vec<u32>,
    /// What a field may do: exact, bind, ignore or context; may be given again
    #[arg(long, value_name = "MESSAGE.FIELD=RULE", long_help = MASK_HELP)]
    pub(crate) mask: Vec<String>,
    /// Every byte of both sides must be the same
    #[arg(long, conflicts_with = "mask")]
    pub(crate) no_mask: bool,
    /// Choices that may differ without an exit code of 1, comma separated
    #[arg(long, value_enum, value_name = "CHOICE", value_delimiter = ',')]
    pub(crate) allow: Vec<Choice>,
    /// Show N messages before and after each one that differs
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) context: usize,
    /// The bytes of each field that differs, those that do marked
    #[arg(long)]
    pub(crate) hex: bool,
}

/// Play a capture again.
#[derive(Debug, Args)]
#[command(after_help = REPLAY_AFTER, after_long_help = REPLAY_EXAMPLES)]
pub(crate) struct ReplayArguments {
    /// The capture: its tracker and peers play their parts again
    #[arg(value_name = "CAPTURE")]
    pub(crate) capture: PathBuf,
    /// A client to run against it, and its arguments: {torrent}, {dir} and {port} stand for the copy of the torrent, an
    /// empty folder, and a free port
    #[arg(last = true, value_name = "CLIENT")]
    pub(crate) client: Vec<String>,
    /// The torrent; without it, the one beside the capture, of the same name
    #[arg(long, value_name = "FILE")]
    pub(crate) torrent: Option<PathBuf>,
    /// The torrent's file or folder, for blocks that the capture lacks
    #[arg(long, value_name = "PATH")]
    pub(crate) content: Option<PathBuf>,
    /// Serve tracker and peers on real sockets: the tracker's address, such as 127.0.0.2 or 127.0.0.2:6969
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Keep what was said, as a capture
    #[arg(long, value_name = "FILE.pcapng")]
    pub(crate) record: Option<PathBuf>,
    /// How many seconds a client may be silent before the run ends
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: u64,
    /// Let the replayed peers misbehave, in a run for each disturbance; all: each in turn. Can be repeated
    #[arg(long, value_name = "WHAT", long_help = DISTURB_HELP)]
    pub(crate) disturb: Vec<NamedDisturbances>,
    #[command(flatten)]
    pub(crate) comparing: Comparing,
    #[command(flatten)]
    pub(crate) key_logs: KeyLogs,
    /// The address of the host the capture is about; found out when not given
    #[arg(long, value_name = "ADDR")]
    pub(crate) local: Option<IpAddr>,
}

impl ReplayArguments {
    /// The disturbances that are wanted, in their order.
    pub(crate) fn disturbances(&self) -> impl Iterator<Item = InjectedFault> {
        self.disturb.iter().flat_map(|named| named.0.iter().copied())
    }
}

/// Show how a client conducts itself.
#[derive(Debug, Args)]
#[command(after_help = PROFILE_AFTER)]
pub(crate) struct ProfileArguments {
    /// The capture; - reads standard input
    #[arg(value_name = "CAPTURE")]
    pub(crate) capture: PathBuf,
    /// How to write it
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: DiffFormat,
    #[command(flatten)]
    pub(crate) key_logs: KeyLogs,
    /// The address of the host the capture is about; found out when not given
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
    /// Those of the hosts the captures are about
    Local,
    /// Those of the far ends
    Far,
    /// All
    Both,
}

/// Disagreements about what is said, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    /// Said at another place
    Moved,
    /// Not said by the candidate
    Missing,
    /// Said by the candidate alone
    Extra,
}

/// How to write a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiffFormat {
    /// For people
    Table,
    /// An object a line (NDJSON), the last one a summary
    Json,
}

/// The commands about .torrent files.
#[derive(Debug, Subcommand)]
pub(crate) enum Torrent {
    /// Show what a .torrent says, with the byte range of each value
    Show(TorrentShow),
}

/// Show what a .torrent says.
#[derive(Debug, Args)]
#[command(after_help = TORRENT_EXAMPLES)]
pub(crate) struct TorrentShow {
    /// The .torrent file; - reads standard input
    #[arg(value_name = "TORRENT")]
    pub(crate) path: PathBuf,
    /// How to write it
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: TorrentFormat,
    /// List at most N files; 0 lists all
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
}

/// How to write what a .torrent says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TorrentFormat {
    /// For people
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
    /// How to write it: table, or json with one message per line
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    pub(crate) format: TorrentFormat,
}

/// Inspect captures.
#[derive(Debug, Args)]
#[command(after_help = ANALYZE_AFTER, after_long_help = ANALYZE_EXAMPLES)]
pub(crate) struct AnalyzeArguments {
    /// pcap or pcapng files, bare or within gzip or zstd; - reads standard input
    #[arg(value_name = "CAPTURE", required_unless_present = "list_rules")]
    pub(crate) captures: Vec<PathBuf>,
    /// A torrent of the capture, for file names, piece counts and hash checks; may be given again
    #[arg(long, value_name = "FILE")]
    pub(crate) torrent: Vec<PathBuf>,
    /// What to show, comma separated; without it the summary, then the first messages. Options that choose messages, or say
    /// how messages look, show messages alone
    #[arg(long, value_enum, value_name = "VIEW", value_delimiter = ',')]
    pub(crate) view: Vec<ViewName>,
    /// How to write it
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: Format,
    /// Only messages for which this is true, such as 'message == piece && index == 3'
    #[arg(long, value_name = "EXPR", long_help = FILTER_HELP)]
    pub(crate) filter: Option<String>,
    /// Only messages of these streams, comma separated
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) stream: Vec<u32>,
    /// Tell this stream as a conversation: both directions in order, runs of like messages on one line
    #[arg(long, value_name = "N", conflicts_with_all = ["view", "format", "stream", "fields"])]
    pub(crate) follow: Option<u32>,
    /// These columns instead of the usual: JSON keys, and names inside "fields"
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) fields: Vec<String>,
    /// Each message's bytes, with its fields marked
    #[arg(long)]
    pub(crate) hex: bool,
    /// One row for each message: no row for a run of requests, have or allowed-fast messages
    #[arg(long)]
    pub(crate) no_fold: bool,
    #[command(flatten)]
    pub(crate) key_logs: KeyLogs,
    /// The address of the host the capture is about; found out when not given
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
    /// No summary: neither the page before messages nor the last object of JSON
    #[arg(long)]
    pub(crate) no_summary: bool,
    /// What connections are sorted by: bytes, sent, got, rate, slowest, latency, lasted or start
    #[arg(long, value_enum, value_name = "BY", hide_possible_values = true)]
    pub(crate) sort: Option<ConnectionOrder>,
    /// Exit with 1 when a chosen message has a note of this severity or above
    #[arg(long, value_enum, value_name = "SEVERITY")]
    pub(crate) fail_on: Option<FailOn>,
    /// List the rules by which messages are noted, and where each is written
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
    /// Clients, torrents, trackers, connections, counts and findings, on a page
    Summary,
    /// A row a message
    Messages,
    /// Each connection between peers: who, how fast, how many requests at once, latencies, chokes, waste
    Conversations,
    /// Each piece: who sent it, when it was whole, whether it is right, what is missing
    Pieces,
    /// What broke rules, by rule: how often, where the rule is written, the first packets
    Findings,
}

/// How to write what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// An object a line (NDJSON), the last one a summary
    Json,
    /// A row a message, with a header
    Csv,
}

/// The severity from which on a note makes the exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Worth knowing
    Note,
    /// Against a rule, or bytes that cannot be read
    Warn,
    /// Broken messages, wrong data
    Error,
}

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 the answer is no, 2 could not tell, 130 interrupted.
`bittrace --help` has examples.";

const EXAMPLES: &str = "\
Examples:
  bittrace analyze capture.pcap                       what is in it, on a page, then its messages
  bittrace analyze capture.pcap --torrent t.torrent   the same, with file names and hash checks
  tcpdump -U -w - | bittrace analyze - --view messages
                                                      messages as they are captured
  bittrace diff reference.pcap candidate.pcap         what one says otherwise than the other
  bittrace torrent show t.torrent                     what a .torrent says

Exit codes:
    0  done, or the same; also when nothing in a capture is BitTorrent
    1  --fail-on matched, or the captures differ
    2  could not tell: usage, or a file that cannot be read
  130  interrupted; what was read until then is shown";

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
  bittrace analyze capture.pcap --follow 1
  bittrace analyze capture.pcap --mse-keys capture.keys
  bittrace analyze --list-rules
  bittrace analyze a.pcap b.pcap --format json | jq .message
  bittrace analyze capture.pcap --format csv > messages.csv
  tcpdump -U -w - | bittrace analyze - --view messages

CSV has a header and no nested values but in the column fields. pandas reads columns with
empty cells as integers with dtype_backend=\"numpy_nullable\"; DuckDB does so by itself.
In CSV, text that begins as a formula does (=, +, -, @) has an apostrophe before it; numbers have
none. CSV and tables show control characters as U+FFFD; JSON has them escaped.

--filter, --stream, --from and --to choose messages. Every view, and the last object of JSON,
counts the chosen messages alone; the numbers of packets and bytes are of the whole capture.

Peers and trackers behind SOCKS4, SOCKS5 and HTTP CONNECT are read; the protocol proxy is what
client and proxy say first. Azureus messaging is read as well.

Exit codes:
    0  done, also when nothing in a capture is BitTorrent
    1  --fail-on matched a message that was chosen
    2  could not tell: usage, or a file that cannot be read
  130  interrupted; what was read until then is shown";

const DIFF_AFTER: &str = "\
Exit codes: 0 the same, 1 they differ, 2 could not tell, 130 interrupted.
`bittrace diff --help` has examples.";

const DIFF_EXAMPLES: &str = "\
Examples:
  bittrace diff reference.pcap candidate.pcapng
  bittrace diff reference.pcap candidate.pcapng --only announce-request,handshake --hex
  bittrace diff reference.pcap candidate.pcapng --mask announce-request.numwant=ignore
  bittrace diff reference.pcap candidate.pcapng --allow moved
  bittrace diff a.pcap a.pcap --no-mask
  bittrace diff a.pcap b.pcap --format json | jq -c 'select(.verdict == \"differs\")'

Messages pair by what they name (piece, offset, length), or by their type in order. A pair is
  same     the same bytes at the same place
  masked   the same but for what masks allow
  differs  said otherwise: phrasing
  moved    the same, at another place among the others: choice
  missing  not said by the candidate: choice
  extra    said by the candidate alone: choice
Coverage is how much of the reference has a counterpart, fidelity how much of that is same, masked or moved.

Exit codes:
    0  the same, but for what masks and --allow let pass; also when neither capture has BitTorrent in it
    1  they differ
    2  could not tell: usage, a file that cannot be read, a mask that matches nothing
  130  interrupted";

const REPLAY_AFTER: &str = "\
Exit codes: 0 the same, 1 they differ, 2 could not tell, 130 interrupted.
`bittrace replay --help` has examples.";

const REPLAY_EXAMPLES: &str = "\
Without a client and without --listen, the capture is played to bittrace itself, which speaks as the capture's client did: no sockets, the same bytes every time. With a client, it is started, its tracker and peers are the recorded ones on loopback, and what it says is compared with what the capture's client said.

Examples:
  bittrace replay ref.pcap
  bittrace replay ref.pcap -- aria2c -d {dir} --seed-time=0 --listen-port {port} {torrent}
  bittrace replay ref.pcap --hex -- transmission-cli -M -w {dir} -p {port} {torrent}
  bittrace replay ref.pcap --disturb all -- aria2c -d {dir} --seed-time=0 {torrent}
  bittrace replay ref.pcap --disturb corrupt=2 --disturb drop=9 -- aria2c -d {dir} {torrent}
  bittrace replay ref.pcap --listen 127.0.0.2:6969     for a client started by hand

Two things are rewritten, the rest is said as recorded: the addresses in the tracker's answers, which are those of the played peers; and the ids of extensions, which are the receiver's to choose. Blocks are sent when they are asked for.

Exit codes:
    0  the same, but for what masks and --allow let pass; under --disturb, the client completed
    1  they differ; under --disturb, it did not complete
    2  could not tell: usage, a file that cannot be read, a client that cannot be started
  130  interrupted";

const PROFILE_AFTER: &str = "\
Examples:
  bittrace profile reference.pcap
  bittrace profile reference.pcap --format json | jq .profile

What the capture does not show is as bittrace does it, and marked. download --like and replay speak this way.";

const DISTURB_HELP: &str = "\
What the replayed peers do on purpose, to see how the client reacts. The first run is undisturbed, then there is a run for each disturbance. Can be repeated:
  all                each of these in turn
  split=bytes        every byte by itself
  split=boundaries   cuts one byte before and one byte after the end of each message
  delay=MS           every message so many milliseconds late (100)
  reorder            blocks in the opposite order
  drop=N             closes the connection after message N (5)
  corrupt=N          changes one byte of block N (1)
  duplicate=N        sends block N twice (1)
  unknown=ID         sends a message with an id that nobody has allocated (200)
  overlong=N         sends a length prefix of 2 GiB after message N (5)";

const MASK_HELP: &str = "\
What a field may do; may be given again. The message is a name such as announce-request, a protocol such as peer-wire, or *; the field is its path as the report has it, such as numwant, v or headers.User-Agent, and covers what stands in it.

Rules: exact (no other bytes), bind (the first value seen stands for the reference's throughout the run), ignore (no matter), context (shown, no matter).

What a run draws at random or is told by its surroundings is masked already: peer id (but not the client's name in it), key, ports, addresses, the tracker's host, transaction and connection ids. The report lists each use.";

const FILTER_HELP: &str = "\
Only messages for which this is true.

Operators: == != < <= > >=; ~ or contains (part of a text, address in a network); matches (regular expression, case does not matter); in {a, b, 1..5} and not in; a name alone (present); and && or || not !, parentheses. A comparison with something a message does not have is false. A value that no message can have is an error.

Values: numbers with units where they have one (500ms, 1.5s, 2min; 16KiB, 1MB), 0x hexadecimal; times such as 2026-01-02T03:04:05Z; addresses, with or without a port, and networks (10.0.0.0/8); at least 6 digits of a hash.

Names: n, time, elapsed, capture, frame, frames, stream, ws_stream, src, dst, addr, port (of either end), speaker, transport, protocol, message, message_id, offset, length, summary, client, torrent, decrypted, answers, latency, severity, rule, notes; and those of the message's own fields, such as index, begin, extension, info_hash, left, m.ut_metadata: bittrace fields lists all. fields.NAME is the message's own NAME whatever else has that name: length is the message's, fields.length that of the block.

Wireshark's names, where they mean the same: frame.number, frame.time_relative, ip.addr, ip.src, ip.dst, ipv6.addr, tcp.stream, tcp.port, tcp.srcport, udp.stream, udp.port, bittorrent.msg.type, bittorrent.piece.index, bittorrent.piece.begin, bittorrent.info_hash, bittorrent.peer_id, http.user_agent, http.response.code and others; tcp, udp, bittorrent, bt-dht and http alone.";

const LIMIT_HELP: &str = "\
At most N messages of each capture, and N connections in conversations; 0 for all. Without it, all of them where messages were asked for by --view or --format, and the first 50 behind the summary.";

const EXTRACT_AFTER: &str = "\
Exit codes: 0 all files whole, 1 something is missing, 2 could not tell, 130 interrupted.
`bittrace extract --help` has examples.";

const EXTRACT_EXAMPLES: &str = "\
Examples:
  bittrace extract capture.pcap --torrent t.torrent -o out
  bittrace extract magnet.pcap -o out                 the torrent too, where peers sent it
  bittrace extract monday.pcap tuesday.pcap.gz --torrent t.torrent -o out
  bittrace extract lossy.pcap --torrent t.torrent -o out --unverified
  bittrace extract capture.pcap --torrent t.torrent -o out --format json | jq '.files[]? | .missing'

Blocks are taken from every connection, whoever sent them, and each piece is held to the
torrent's hash. Where several contents came for one block, those are taken that make the hash,
and whoever sent others is named. A file of which every byte is verified gets its final name. Any
other ends in .part, and what it lacks is a hole. Nothing is written outside DIR. With --unverified
the blocks of a torrent that nothing describes go to INFO_HASH.unverified in their order.

Exit codes:
    0  every file of every torrent is whole and verified
    1  bytes are missing, or pieces do not have their hash
    2  could not tell: usage, a file that cannot be read or is in the way, an unknown torrent
  130  interrupted; what was read until then is written";

const DOWNLOAD_AFTER: &str = "Examples: see bittrace download --help";

const DOWNLOAD_EXAMPLES: &str = "\
Examples:
  bittrace download file.torrent                      into this folder
  bittrace download file.torrent --like ref.pcap --against ref.pcap
                                                      speak as the client of a capture, and compare
  bittrace download file.torrent -o /tmp --seed=1.5   and serve until as much again and a half is given
  bittrace download https://example.org/file.torrent --record live.pcapng
  bittrace download file.torrent --trace              and show each message as it is sent or heard
  bittrace download file.torrent --single-peer        from one peer, the next one when it fails

Files appear under their final names only when they are whole and verified. A run that was stopped, by whatever, goes on
where it was when it is started again. The first Ctrl-C says goodbye to trackers and peers, the second ends at once.

Exit codes: 0 complete; 1 incomplete; 2 could not tell (wrong usage, a torrent that cannot be read, a full disk);
130 stopped by Ctrl-C";

const TORRENT_EXAMPLES: &str = "\
Examples:
  bittrace torrent show t.torrent
  bittrace torrent show t.torrent --format json | jq .info_hash";
