//! A block of pcapng in little endian, as it is put together: its type, its length before and after, and options.

use std::io::{self, IoSlice, Write};

use bittrace_protocol::Timestamp;

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

    /// Writes the block, with `data` after what it has. The data are not copied.
    pub(crate) fn end_with(&mut self, data: &[u8], writer: &mut impl Write) -> io::Result<()> {
        let unpadded = self.bytes.len() + data.len();
        let padding = unpadded.next_multiple_of(4) - unpadded;
        let length = ((unpadded + padding + 4) as u32).to_le_bytes();
        self.bytes[4..8].copy_from_slice(&length);
        let mut parts = [
            IoSlice::new(&self.bytes),
            IoSlice::new(data),
            IoSlice::new(&[0; 3][..padding]),
            IoSlice::new(&length),
        ];
        write_all_vectored(writer, &mut parts)
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
