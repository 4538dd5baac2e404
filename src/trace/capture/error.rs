//! What can be wrong with a capture file, each in words that say what to do about it.

use std::io;

/// Why a capture cannot be read, or not be read on. Every variant names the capture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// Nothing of that name is there.
    #[error("{name}: no such file")]
    Missing {
        /// The capture, as it was named.
        name: String,
    },
    /// The name is that of a directory.
    #[error("{name}: a directory, not a capture file")]
    Directory {
        /// The capture, as it was named.
        name: String,
    },
    /// The file is there but cannot be opened.
    #[error("{name}: cannot be opened")]
    Open {
        /// The capture, as it was named.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds no bytes, compressed or not.
    #[error("{name}: empty, not a capture file")]
    Empty {
        /// The capture, as it was named.
        name: String,
    },
    /// The compressed data ends before it has given the first bytes of a capture.
    #[error("{name}: cut short: the {layer} data ends after {length} unpacked bytes")]
    CutShort {
        /// The capture, as it was named.
        name: String,
        /// The compression.
        layer: String,
        /// How many decompressed bytes there are.
        length: usize,
    },
    /// The file ends before its kind can be told, or within its header.
    #[error("{name}: not a capture file: ends after {length} bytes{whose}")]
    TooShort {
        /// The capture, as it was named.
        name: String,
        /// How many bytes there are.
        length: usize,
        /// Of what, when not of the file itself.
        whose: &'static str,
    },
    /// The file is of another kind.
    #[error(
        "{name}: not a capture file: begins with {begins}{whose}, expected a pcap or pcapng magic number"
    )]
    NotACapture {
        /// The capture, as it was named.
        name: String,
        /// The first four bytes, in hex.
        begins: String,
        /// Of what, when not of the file itself.
        whose: &'static str,
    },
    /// The file is of a kind that another program makes a capture of.
    #[error("{name}: {format}{within}, not a pcap or pcapng capture")]
    Foreign {
        /// The capture, as it was named.
        name: String,
        /// What it is.
        format: &'static str,
        /// In which compression, when it is in one.
        within: String,
        /// The command that converts or unpacks it, for the shell, with `FILE` for its name.
        command: &'static str,
    },
    /// The file is compressed more often than is plausible.
    #[error("{name}: compressed more than twice")]
    TooNested {
        /// The capture, as it was named.
        name: String,
    },
    /// The system could not read on.
    #[error("{name}: cannot be read past byte {offset}{whose}")]
    Read {
        /// The capture, as it was named.
        name: String,
        /// How many bytes were read before.
        offset: u64,
        /// Of what, when not of the file itself.
        whose: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The compressed data is damaged.
    #[error("{name}: damaged {layer} data after {offset} unpacked bytes: {what}")]
    Damaged {
        /// The capture, as it was named.
        name: String,
        /// The compression.
        layer: String,
        /// How many decompressed bytes came before.
        offset: u64,
        /// What the decompressor said.
        what: String,
    },
    /// The bytes at this place cannot be a part of a capture.
    #[error("{name}: corrupt at byte {offset}{whose}: {what}")]
    Corrupt {
        /// The capture, as it was named.
        name: String,
        /// Where the block or packet begins.
        offset: u64,
        /// Of what, when not of the file itself.
        whose: &'static str,
        /// What is there and what was wanted.
        what: String,
    },
}
