//! The command line: what can be asked, and the help that says so.

mod captures;
mod compare;
mod download;
mod extcap;
mod lab;
mod texts;

use std::net::IpAddr;
use std::path::PathBuf;

use bittrace_trace::LocalChoice;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::capture_names::Shard;
use crate::keys::KeyLogs;
use crate::print::csv::parse_separator;
pub(crate) use captures::{
    AnnotateArguments, BrowseArguments, ClearArguments, CommentChoice, DiagnoseArguments, ExtractArguments,
    ExtractFormat,
};
pub(crate) use compare::{
    Choice, Comparing, DiffArguments, DiffFormat, JudgedSides, ProfileArguments, ReplayArguments,
};
pub(crate) use download::{DownloadArguments, Encryption, Utp};
pub(crate) use extcap::{ExtcapArguments, InterfaceSettings};
pub(crate) use lab::{FiguresArguments, Lab, LabFormat, RealArguments, SimArguments, SnapChoice};
use texts::{
    AFTER_HELP, ANALYZE_AFTER, ANALYZE_EXAMPLES, EXAMPLES, FETCH_EXAMPLES, FILTER_HELP, LIMIT_HELP,
    TORRENT_EXAMPLES,
};

/// Reads BitTorrent packet captures and shows every tracker and peer message, byte for byte.
#[derive(Debug, Parser)]
#[command(name = "bittrace", version = env!("BITTRACE_VERSION"), max_term_width = 100, after_help = AFTER_HELP, after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Do tasks of another bittrace
    #[arg(long, hide = true)]
    pub(crate) worker: bool,
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
    /// Write the messages of a capture as plain TCP, for Wireshark: decrypted, and without uTP
    Clear(ClearArguments),
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
    /// Run whole swarms: one scenario, one capture of everybody, one summary beside theory
    #[command(subcommand)]
    Lab(Lab),
    /// Be an interface of Wireshark and tshark: a download as it runs, or a capture file as it was captured
    Extcap(Box<ExtcapArguments>),
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
    /// Print the JSON Schema of analyze --format json, or the columns of --format arrow and parquet
    #[command(
        after_help = "Examples:\n  bittrace schema > bittrace.schema.json\n  bittrace schema columns\n  bittrace schema columns --format json"
    )]
    Schema {
        /// What to describe
        #[arg(value_enum, value_name = "WHAT", default_value = "json")]
        what: SchemaOf,
        /// The output format of columns: table, or json with one table per line
        #[arg(long, value_enum, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
        format: TorrentFormat,
    },
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

/// The commands about .torrent files.
#[derive(Debug, Subcommand)]
pub(crate) enum Torrent {
    /// Show the contents of a .torrent, with the byte range of each value
    Show(TorrentShow),
    /// Fetch the .torrent of a magnet link from peers
    Fetch(TorrentFetch),
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

/// Fetch the .torrent of a magnet link from peers.
#[derive(Debug, Args)]
#[command(after_help = FETCH_EXAMPLES)]
pub(crate) struct TorrentFetch {
    /// The magnet link
    #[arg(value_name = "LINK")]
    pub(crate) link: String,
    /// The file for the torrent; - is standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Print what the torrent says when it is there: a line, or all of it as one JSON object
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: TorrentFormat,
    /// Record every byte sent and received, as a capture for Wireshark and analyze
    #[arg(long, value_name = "FILE.pcapng")]
    pub(crate) record: Option<PathBuf>,
    /// The TCP port to listen on and announce; 0 is any free port. Default: the first free port of 6881 to 6889
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Listen only on this address; can be repeated
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<IpAddr>,
    /// When connections to peers are encrypted: off, allow, prefer or require
    #[arg(long, value_enum, value_name = "POLICY", hide_possible_values = true)]
    pub(crate) encryption: Option<Encryption>,
    /// How often to ask the trackers for more peers before giving up; 0 never gives up. Default: 3
    #[arg(long, value_name = "N")]
    pub(crate) rounds: Option<u32>,
    /// Let the link's trackers be anything in local networks, not only /announce
    #[arg(long)]
    pub(crate) allow_local: bool,
}

/// The output format of torrent show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TorrentFormat {
    /// Human-readable text
    Table,
    /// One JSON object
    Json,
}

/// What `schema` describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// The lines of --format json, as a JSON Schema
    Json,
    /// The tables of --format arrow and parquet
    Columns,
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
    /// pcap or pcapng files, plain or compressed (gzip, zstd, lz4, xz, bzip2); folders of such files; @FILE for a list of
    /// names, one per line; - reads standard input
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
    pub(crate) format: AnalyzeFormat,
    /// The folder for the tables of --format parquet, or for the logs of --format zeek
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// With --format parquet: replace the result of another run in the folder of -o
    #[arg(long, requires = "output")]
    pub(crate) overwrite: bool,
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
    /// The character between the cells of --format csv, or tab; default: a comma
    #[arg(long, value_name = "CHAR", value_parser = parse_separator)]
    pub(crate) separator: Option<u8>,
    /// Show each message's bytes, with its fields marked
    #[arg(long)]
    pub(crate) hex: bool,
    /// One row for each message: no row for a run of requests, have or allowed-fast messages
    #[arg(long)]
    pub(crate) no_fold: bool,
    #[command(flatten)]
    pub(crate) key_logs: KeyLogs,
    /// The address of the local host of the capture, or none: speakers are then initiator and responder; default: detected, and none in captures of bittrace lab
    #[arg(long, value_name = "ADDR", value_parser = parse_local)]
    pub(crate) local: Option<LocalChoice>,
    /// Only messages from this moment on: RFC 3339, or seconds since the first packet
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Only messages up to this moment: RFC 3339, or seconds since the first packet
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// At most N messages, or connections, of each capture; 0 for all
    #[arg(long, value_name = "N", long_help = LIMIT_HELP)]
    pub(crate) limit: Option<u64>,
    /// Leave out the summary: the page before the messages, the last object of JSON, the column `summary` of Arrow and Parquet
    #[arg(long)]
    pub(crate) no_summary: bool,
    /// Sort connections by bytes, sent, got, rate, slowest, latency, lasted or start
    #[arg(long, value_enum, value_name = "BY", hide_possible_values = true)]
    pub(crate) sort: Option<ConnectionOrder>,
    /// Exit with 1 if a chosen message has a finding of at least this severity
    #[arg(long, value_enum, value_name = "SEVERITY")]
    pub(crate) fail_on: Option<FailOn>,
    /// The name of standard input in results, such as the URI of the capture
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Read N captures at once, each in a process of its own; the output is the same for every N
    #[arg(long, value_name = "N", conflicts_with = "html", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    /// Give up a capture that takes longer than this; needs --jobs
    #[arg(long, value_name = "SECONDS", requires = "jobs", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) capture_timeout: Option<u64>,
    /// Read part I, from 1, of N equal parts of the captures, sorted by name
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,
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
    /// One row per capture: packets, messages, findings, and whether it could be read
    Captures,
    /// One row per message, with an arrow between the lifelines of the hosts
    Ladder,
    /// Pieces over time: who sent blocks of each, and when it was verified or wrong
    Map,
    /// Bytes of blocks over time, of each peer
    Rates,
}

/// The output format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Human-readable text
    Table,
    /// One JSON object per line (NDJSON), and a summary as the last
    Json,
    /// One row per message, or per row of another view, with a header
    Csv,
}

/// The output format of analyze.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnalyzeFormat {
    /// Human-readable text
    Table,
    /// One JSON object per line (NDJSON), and a summary as the last
    Json,
    /// One row per message, or per row of another view, with a header
    Csv,
    /// The messages, or one other view, as an Arrow IPC stream
    Arrow,
    /// Messages and all other tables as Parquet files in the folder of -o
    Parquet,
    /// A trace for ui.perfetto.dev: streams, messages, choking, answers and requests over time
    Perfetto,
    /// Logs of Zeek in the folder of -o: bittorrent.log, bt_conn.log, notice.log
    Zeek,
}

impl AnalyzeFormat {
    /// The format of rows; `None` for tables of columns, and for a format of another program.
    pub(crate) const fn rows(self) -> Option<Format> {
        match self {
            Self::Table => Some(Format::Table),
            Self::Json => Some(Format::Json),
            Self::Csv => Some(Format::Csv),
            Self::Arrow | Self::Parquet | Self::Perfetto | Self::Zeek => None,
        }
    }
}

/// Reads the host of `--local`: an address, or `none`.
fn parse_local(text: &str) -> Result<LocalChoice, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(LocalChoice::Nobody);
    }
    match text.parse() {
        Ok(address) => Ok(LocalChoice::Host(address)),
        Err(_) => Err("neither an IP address nor none".to_owned()),
    }
}

/// Reads the host of `--local` where there has to be one.
fn parse_local_host(text: &str) -> Result<IpAddr, String> {
    match parse_local(text)? {
        LocalChoice::Host(address) => Ok(address),
        LocalChoice::Detected | LocalChoice::Nobody | LocalChoice::AsCaptured => {
            Err("this command follows one host of the capture; give its address".to_owned())
        }
    }
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
