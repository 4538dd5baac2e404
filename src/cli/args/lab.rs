//! What the commands of the lab are asked.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::texts::{FIGURES_AFTER, REAL_AFTER, REAL_EXAMPLES, SIM_AFTER, SIM_EXAMPLES};

/// The commands of the lab.
#[derive(Debug, Subcommand)]
pub(crate) enum Lab {
    /// Simulate a swarm: many clients, their links and a tracker, under a pretend clock
    Sim(SimArguments),
    /// Run a scenario with real clients on links of this machine, beside the simulation
    Real(RealArguments),
    /// Run published results about swarms, and say whether their shape is seen
    Figures(FiguresArguments),
}

/// Simulate a swarm.
#[derive(Debug, Args)]
#[command(after_help = SIM_AFTER, after_long_help = SIM_EXAMPLES)]
pub(crate) struct SimArguments {
    /// The scenario, in TOML; - reads standard input
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: PathBuf,
    /// Write the capture of the whole network; - is standard output
    #[arg(long, value_name = "FILE.pcapng")]
    pub(crate) record: Option<PathBuf>,
    /// Record only the connections of these hosts, comma separated: names such as seed-1, or groups such as leecher
    #[arg(long, value_name = "HOST", value_delimiter = ',', requires = "record")]
    pub(crate) record_hosts: Vec<String>,
    /// Take the capture at the link of this host: its own traffic alone, as it leaves and comes there
    #[arg(long, value_name = "HOST", requires = "record", conflicts_with = "record_hosts")]
    pub(crate) vantage: Option<String>,
    /// How much of each packet is recorded; default: whole, and headers where the peers take more than 2 GiB in all
    #[arg(long, value_enum, value_name = "SNAP", requires = "record")]
    pub(crate) snap: Option<SnapChoice>,
    /// Write the torrent of the scenario, for analyze --torrent
    #[arg(long, value_name = "FILE.torrent")]
    pub(crate) write_torrent: Option<PathBuf>,
    /// Where all chance comes from; default: the seed of the scenario
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// The output format
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: LabFormat,
}

/// Run a scenario with real clients.
#[derive(Debug, Args)]
#[command(after_help = REAL_AFTER, after_long_help = REAL_EXAMPLES)]
pub(crate) struct RealArguments {
    /// The scenario, in TOML; - reads standard input
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: PathBuf,
    /// Write the capture of the whole network; - is standard output
    #[arg(long, value_name = "FILE.pcapng")]
    pub(crate) record: Option<PathBuf>,
    /// Run all clients on addresses of this machine, without root; clients limit their own rates, where they can
    #[arg(long)]
    pub(crate) loopback: bool,
    /// Write the torrent of the scenario, for analyze --torrent
    #[arg(long, value_name = "FILE.torrent")]
    pub(crate) write_torrent: Option<PathBuf>,
    /// Where arrivals, delays and the simulation come from; default: the seed of the scenario
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// The output format
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: LabFormat,
}

/// Run published results.
#[derive(Debug, Args)]
#[command(after_help = FIGURES_AFTER)]
pub(crate) struct FiguresArguments {
    /// The figures to run: flash-crowd, classes, rarest-first, missing-piece or fluid; default: all
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Print the scenarios instead of running them
    #[arg(long)]
    pub(crate) scenarios: bool,
    /// The output format
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: LabFormat,
}

/// How much of each packet is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SnapChoice {
    /// Every byte
    Whole,
    /// All but the content of blocks that are sent over TCP in clear; uTP and encrypted connections are whole
    Headers,
}

/// The output format of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LabFormat {
    /// Human-readable text
    Table,
    /// One JSON object
    Json,
}
