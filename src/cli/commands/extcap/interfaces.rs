//! The interfaces and their options, in the words of Wireshark's extcap interface (extcap(4)): a line for each, with attributes
//! in braces.

use anyhow::{Result, bail};

/// An interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interface {
    /// A download, as it runs.
    Download,
    /// A capture file, with the pauses in which it was captured.
    File,
}

impl Interface {
    const ALL: [Self; 2] = [Self::Download, Self::File];

    /// The interface of this name.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn of(name: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|interface| interface.name() == name) {
            Some(interface) => Ok(interface),
            None => {
                bail!("unknown interface {name}: expected {} or {}", Self::Download.name(), Self::File.name())
            }
        }
    }

    /// Its name, for `tshark -i`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Download => "bittrace-download",
            Self::File => "bittrace-file",
        }
    }

    /// What Wireshark shows for it.
    const fn title(self) -> &'static str {
        match self {
            Self::Download => "BitTorrent download",
            Self::File => "Capture file as it was captured",
        }
    }

    /// The answer to `--extcap-dlts`. A recording says itself of which link type its packets are.
    pub(super) fn link_types(self) -> String {
        match self {
            Self::Download => "dlt {number=101}{name=RAW}{display=Raw IP}\n",
            Self::File => "dlt {number=1}{name=EN10MB}{display=As in the file}\n",
        }
        .to_owned()
    }

    /// The answer to `--extcap-config`.
    pub(super) fn options(self) -> String {
        let lines: &[&str] = match self {
            Self::Download => &[
                "{call=--torrent}{display=Torrent}{type=fileselect}{mustexist=true}{required=true}\
                 {fileext=Torrents (*.torrent)}{tooltip=The .torrent file}",
                "{call=--output}{display=Folder for the files}{type=string}{required=true}\
                 {tooltip=The folder that the files of the torrent go into}",
                "{call=--port}{display=Port}{type=unsigned}{range=0,65535}{default=0}\
                 {tooltip=The TCP port to listen on and announce; 0 is any free port}",
                "{call=--listen}{display=Address to listen on}{type=string}\
                 {tooltip=Listen only on this address; default: all}",
                "{call=--single-peer}{display=One peer at a time}{type=boolflag}{default=false}\
                 {tooltip=Download from one peer at a time; when it fails, continue with the next}",
            ],
            Self::File => &[
                "{call=--file}{display=Capture file}{type=fileselect}{mustexist=true}{required=true}\
                 {tooltip=A pcap or pcapng file, plain or compressed}",
                "{call=--speed}{display=Speed}{type=double}{range=0,1000000}{default=1}\
                 {tooltip=How many times as fast as it was captured; 0 is as fast as possible}",
            ],
        };
        let numbered = lines.iter().enumerate();
        numbered.map(|(number, line)| format!("arg {{number={number}}}{line}\n")).collect()
    }
}

/// The answer to `--extcap-interfaces`.
pub(super) fn list() -> String {
    let mut answer = format!("extcap {{version={}}}{{display=bittrace}}\n", env!("CARGO_PKG_VERSION"));
    for interface in Interface::ALL {
        answer.push_str(&format!(
            "interface {{value={}}}{{display={}}}\n",
            interface.name(),
            interface.title()
        ));
    }
    answer
}
