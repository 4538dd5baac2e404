//! A block of pcapng in little endian, as it is put together: its type, its length before and after, and options.

use std::io::{self, IoSlice, Write};
use std::net::IpAddr;

use bittrace_protocol::Timestamp;

use crate::capture::{DECRYPTION_SECRETS, HostName, IPV4_NAMES, IPV6_NAMES, NAME_RESOLUTION};

/// The option `opt_comment`, which every block may have.
pub(crate) const COMMENT: u16 = 1;

/// Where the packets of a capture were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Viewpoint {
    /// At a host, or nobody knows where.
    #[default]
    AnyHost,
    /// Between all hosts of a network, none of which is local.
    BetweenHosts,
}

impl Viewpoint {
    /// The interface's options `if_name` and `if_description`, as far as it has them.
    const fn interface(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::AnyHost => None,
            Self::BetweenHosts => Some(("core", BETWEEN_HOSTS)),
        }
    }
}

/// What the interface's `if_description` says of a capture that was taken between all its hosts. Its name alone could be that of
/// any interface.
pub(crate) const BETWEEN_HOSTS: &str = "a network, between all its hosts (bittrace)";

/// The options `if_name` and `if_description` of an interface.
const INTERFACE_NAME: u16 = 2;
const INTERFACE_DESCRIPTION: u16 = 3;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

/// So many addresses have their names in one block.
const HOSTS_IN_BLOCK: usize = 256;

const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// A block.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) bytes: Vec<u8>,
}

impl Block {
    /// Begins a block of this type.
    pub(crate) fn begin(&mut self, kind: u32) {
        self.bytes.clear();
        self.number(kind);
        self.number(0);
    }

    pub(crate) fn number(&mut self, number: u32) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn option(&mut self, code: u16, value: &[u8]) {
        // Cutting a long comment at 65,535 bytes may cut a character, which readers replace.
        let value = &value[..value.len().min(usize::from(u16::MAX))];
        self.bytes.extend_from_slice(&code.to_le_bytes());
        self.bytes.extend_from_slice(&(value.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
    }

    /// Adds a comment as the last option; of an empty one nothing. What stands before it is no option.
    pub(crate) fn comment(&mut self, comment: &str) {
        if !comment.is_empty() {
            self.pad();
            self.option(COMMENT, comment.as_bytes());
            self.option(0, &[]);
        }
    }

    /// Writes the block.
    pub(crate) fn end(&mut self, writer: &mut impl Write) -> io::Result<()> {
        self.pad();
        let length = (self.bytes.len() as u32 + 4).to_le_bytes();
        self.bytes.extend_from_slice(&length);
        self.bytes[4..8].copy_from_slice(&length);
        writer.write_all(&self.bytes)
    }

    /// Writes the block, with `data` after what it has, and a comment if that is not empty. The data are not copied.
    pub(crate) fn end_with(&mut self, data: &[u8], comment: &str, writer: &mut impl Write) -> io::Result<()> {
        let unpadded = self.bytes.len() + data.len();
        let padding = unpadded.next_multiple_of(4) - unpadded;
        let mut options = Self::default();
        options.comment(comment);
        let length = ((unpadded + padding + options.bytes.len() + 4) as u32).to_le_bytes();
        self.bytes[4..8].copy_from_slice(&length);
        let mut parts = [
            IoSlice::new(&self.bytes),
            IoSlice::new(data),
            IoSlice::new(&[0; 3][..padding]),
            IoSlice::new(&options.bytes),
            IoSlice::new(&length),
        ];
        write_all_vectored(writer, &mut parts)
    }

    /// Writes the header of a section with this comment, if it is not empty.
    pub(crate) fn section(&mut self, comment: &str, writer: &mut impl Write) -> io::Result<()> {
        self.begin(SECTION_HEADER);
        self.number(BYTE_ORDER);
        // Version 1.0, and a section of unknown length.
        self.bytes.extend_from_slice(&[1, 0, 0, 0]);
        self.bytes.extend_from_slice(&[0xff; 8]);
        if !comment.is_empty() {
            self.option(COMMENT, comment.as_bytes());
        }
        self.option(4, concat!("bittrace ", env!("CARGO_PKG_VERSION")).as_bytes());
        self.option(0, &[]);
        self.end(writer)
    }

    /// Writes the description of an interface with packets of this link type and times in nanoseconds. `viewpoint` says
    /// where the packets were taken.
    pub(crate) fn interface(
        &mut self,
        link: u32,
        viewpoint: Viewpoint,
        writer: &mut impl Write,
    ) -> io::Result<()> {
        self.begin(INTERFACE);
        self.number(link);
        // No limit to what is captured of a packet.
        self.number(0);
        if let Some((name, description)) = viewpoint.interface() {
            self.option(INTERFACE_NAME, name.as_bytes());
            self.option(INTERFACE_DESCRIPTION, description.as_bytes());
        }
        // if_tsresol: 10 to the power of -9 seconds.
        self.option(9, &[9]);
        self.option(0, &[]);
        self.end(writer)
    }

    /// Writes a key log of this type, for the packets after it.
    pub(crate) fn secrets(&mut self, kind: u32, log: &[u8], writer: &mut impl Write) -> io::Result<()> {
        self.begin(DECRYPTION_SECRETS);
        self.number(kind);
        self.number(log.len() as u32);
        self.bytes.extend_from_slice(log);
        self.end(writer)
    }

    /// Writes names of addresses; without any, nothing.
    pub(crate) fn host_names(&mut self, hosts: &[HostName], writer: &mut impl Write) -> io::Result<()> {
        // A block is held in memory by those who read it.
        for hosts in hosts.chunks(HOSTS_IN_BLOCK) {
            self.begin(NAME_RESOLUTION);
            for HostName { address, names } in hosts {
                let (kind, mut record) = match address {
                    IpAddr::V4(ip) => (IPV4_NAMES, ip.octets().to_vec()),
                    IpAddr::V6(ip) => (IPV6_NAMES, ip.octets().to_vec()),
                };
                for name in names {
                    record.extend_from_slice(name.as_bytes());
                    record.push(0);
                }
                self.option(kind, &record);
            }
            self.option(0, &[]);
            self.end(writer)?;
        }
        Ok(())
    }

    /// Begins the block of a packet: its interface, and its time in nanoseconds. The format has no time before 1970.
    pub(crate) fn begin_packet(&mut self, interface: u32, at: Timestamp) {
        let nanos = u64::try_from(at.as_nanos()).unwrap_or(0);
        self.begin(ENHANCED_PACKET);
        self.number(interface);
        self.number((nanos >> 32) as u32);
        self.number(nanos as u32);
    }

    /// How many bytes of a packet were captured, and its length on the wire.
    pub(crate) fn packet_lengths(&mut self, captured: u32, original: u32) {
        self.number(captured);
        self.number(original);
    }

    /// The bytes of a packet, as many as were captured, and its length on the wire.
    pub(crate) fn packet_data(&mut self, data: &[u8], original_length: u32) {
        self.packet_lengths(data.len() as u32, original_length);
        self.bytes.extend_from_slice(data);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// Writes these parts one after the other, in as few calls as the writer needs. No part is copied here.
///
/// # Errors
///
/// When the writer fails, or takes no more bytes.
pub fn write_all_vectored(writer: &mut impl Write, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
    // Without empty parts at the beginning: of these alone a writer writes nothing.
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        match writer.write_vectored(parts) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut parts, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
