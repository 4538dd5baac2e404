//! The arguments of `extcap`: what a user asks for, what Wireshark asks for, and the options of the interfaces, which Wireshark
//! hands over as the user set them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::texts::{EXTCAP_AFTER, EXTCAP_EXAMPLES};

/// Be an interface of Wireshark.
#[derive(Debug, Args)]
#[command(after_help = EXTCAP_AFTER, after_long_help = EXTCAP_EXAMPLES)]
pub(crate) struct ExtcapArguments {
    /// Write the script that starts bittrace as an interface into Wireshark's folder for such programs
    #[arg(long, conflicts_with_all = ["uninstall", "capture"])]
    pub(crate) install: bool,
    /// Remove the script
    #[arg(long, conflicts_with = "capture")]
    pub(crate) uninstall: bool,
    /// The folder for the script. Default: the extcap path that tshark -G folders names
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) asked: WiresharkArguments,
    #[command(flatten)]
    pub(crate) settings: InterfaceSettings,
}

/// What Wireshark asks for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Asked by Wireshark")]
pub(crate) struct WiresharkArguments {
    /// List the interfaces
    #[arg(long)]
    pub(crate) extcap_interfaces: bool,
    /// The version of Wireshark
    #[arg(long, value_name = "VERSION")]
    pub(crate) extcap_version: Option<String>,
    /// The interface that is meant
    #[arg(long, value_name = "NAME")]
    pub(crate) extcap_interface: Option<String>,
    /// List the link types of the interface
    #[arg(long)]
    pub(crate) extcap_dlts: bool,
    /// List the options of the interface
    #[arg(long)]
    pub(crate) extcap_config: bool,
    /// Capture from the interface
    #[arg(long)]
    pub(crate) capture: bool,
    /// The pipe to write the packets to
    #[arg(long, value_name = "PIPE")]
    pub(crate) fifo: Option<OsString>,
    /// A capture filter. The interfaces have none: use a display filter
    #[arg(long, value_name = "FILTER")]
    pub(crate) extcap_capture_filter: Option<String>,
}

/// The options of the interfaces.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of the interfaces")]
pub(crate) struct InterfaceSettings {
    /// bittrace-download: the torrent, a path or a URL
    #[arg(long, value_name = "TORRENT")]
    pub(crate) torrent: Option<String>,
    /// bittrace-download: the folder for the files
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// bittrace-download: the TCP port to listen on and announce; 0 is any free port
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// bittrace-download: listen only on this address
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// bittrace-download: download from one peer at a time
    #[arg(long)]
    pub(crate) single_peer: bool,
    /// bittrace-file: the capture file
    #[arg(long, value_name = "CAPTURE")]
    pub(crate) file: Option<PathBuf>,
    /// bittrace-file: how many times as fast as it was captured; 0 is as fast as possible
    #[arg(long, value_name = "N")]
    pub(crate) speed: Option<f64>,
}
