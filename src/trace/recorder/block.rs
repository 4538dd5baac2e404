//! A block of pcapng in little endian, as it is put together: its type, its length before and after, and options.

use std::io::{self, Write};

use bittrace_protocol::Timestamp;

use crate::capture::pcapng::{DECRYPTION_SECRETS, MSE_KEY_LOG};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

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

    /// Writes the block.
    pub(crate) fn end(&mut self, writer: &mut impl Write) -> io::Result<()> {
        self.pad();
        let length = (self.bytes.len() as u32 + 4).to_le_bytes();
        self.bytes.extend_from_slice(&length);
        self.bytes[4..8].copy_from_slice(&length);
        writer.write_all(&self.bytes)
    }

    /// Writes the header of a section with this comment.
    pub(crate) fn section(&mut self, comment: &str, writer: &mut impl Write) -> io::Result<()> {
        self.begin(SECTION_HEADER);
        self.number(BYTE_ORDER);
        // Version 1.0, and a section of unknown length.
        self.bytes.extend_from_slice(&[1, 0, 0, 0]);
        self.bytes.extend_from_slice(&[0xff; 8]);
        self.option(1, comment.as_bytes());
        self.option(4, concat!("bittrace ", env!("CARGO_PKG_VERSION")).as_bytes());
        self.option(0, &[]);
        self.end(writer)
    }

    /// Writes the description of an interface with packets of this link type and times in nanoseconds.
    pub(crate) fn interface(&mut self, link: u32, writer: &mut impl Write) -> io::Result<()> {
        self.begin(INTERFACE);
        self.number(link);
        // No limit to what is captured of a packet.
        self.number(0);
        // if_tsresol: 10 to the power of -9 seconds.
        self.option(9, &[9]);
        self.option(0, &[]);
        self.end(writer)
    }

    /// Writes a key log of message stream encryption, for the packets after it.
    pub(crate) fn mse_key_log(&mut self, log: &[u8], writer: &mut impl Write) -> io::Result<()> {
        self.begin(DECRYPTION_SECRETS);
        self.number(MSE_KEY_LOG);
        self.number(log.len() as u32);
        self.bytes.extend_from_slice(log);
        self.end(writer)
    }

    /// Begins the block of a packet: its interface, and its time in nanoseconds. The format has no time before 1970.
    pub(crate) fn begin_packet(&mut self, interface: u32, at: Timestamp) {
        let nanos = u64::try_from(at.as_nanos()).unwrap_or(0);
        self.begin(ENHANCED_PACKET);
        self.number(interface);
        self.number((nanos >> 32) as u32);
        self.number(nanos as u32);
    }

    /// The bytes of a packet, as many as were captured, and its length on the wire.
    pub(crate) fn packet_data(&mut self, data: &[u8], original_length: u32) {
        self.number(data.len() as u32);
        self.number(original_length);
        self.bytes.extend_from_slice(data);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}
