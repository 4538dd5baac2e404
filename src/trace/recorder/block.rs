//! A block of pcapng in little endian, as it is put together: its type, its length before and after, and options.

use std::io::{self, Write};

pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
pub(super) const INTERFACE: u32 = 1;
pub(super) const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// A block.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
}

impl Block {
    /// Begins a block of this type.
    pub(super) fn begin(&mut self, kind: u32) {
        self.bytes.clear();
        self.number(kind);
        self.number(0);
    }

    pub(super) fn number(&mut self, number: u32) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn option(&mut self, code: u16, value: &[u8]) {
        // Cutting a long comment at 65,535 bytes may cut a character, which readers replace.
        let value = &value[..value.len().min(usize::from(u16::MAX))];
        self.bytes.extend_from_slice(&code.to_le_bytes());
        self.bytes.extend_from_slice(&(value.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
    }

    /// Writes the block.
    pub(super) fn end(&mut self, writer: &mut impl Write) -> io::Result<()> {
        self.pad();
        let length = (self.bytes.len() as u32 + 4).to_le_bytes();
        self.bytes.extend_from_slice(&length);
        self.bytes[4..8].copy_from_slice(&length);
        writer.write_all(&self.bytes)
    }

    /// Writes the header of a section with this comment.
    pub(super) fn section(&mut self, comment: &str, writer: &mut impl Write) -> io::Result<()> {
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
    pub(super) fn interface(&mut self, link: u32, writer: &mut impl Write) -> io::Result<()> {
        self.begin(INTERFACE);
        self.number(link);
        // No limit to what is captured of a packet.
        self.number(0);
        // if_tsresol: 10 to the power of -9 seconds.
        self.option(9, &[9]);
        self.option(0, &[]);
        self.end(writer)
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}
