//! A capture once more, as pcapng, with comments on packets. Each packet keeps its bytes, its time, its lengths and its link
//! type; of a pcapng every block is kept, in its order.

use std::io::{self, Write};

use super::pcap::Pcap;
use super::pcapng::PcapNg;
use super::{Capture, CaptureFormat, Fault, PacketRecord, TraceError};
use crate::recorder::block::{Block, Viewpoint};

/// Why a capture cannot be written with comments.
#[derive(Debug, thiserror::Error)]
pub enum AnnotateError {
    /// The capture cannot be read, or not be read on. What came before it is written.
    #[error(transparent)]
    Read(#[from] TraceError),
    /// The output cannot be written, or the comments cannot be had.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Annotated {
    /// How many packets.
    pub packets: u64,
    /// How many of them have a comment more.
    pub comments: u64,
    /// How many of these are cut: they are longer than [`MAX_COMMENT`].
    pub cut: u64,
    /// How many comments are left out: the packets are in simple packet blocks, which have no options.
    pub without_place: u64,
}

/// How many bytes a comment may have. The length of an option has 16 bits (pcapng, "Options").
pub const MAX_COMMENT: usize = 60_000;

impl Capture {
    /// Writes this capture as pcapng, from its first packet. `comment` gives the comment on a packet by its number, in order.
    /// A comment longer than [`MAX_COMMENT`] is cut. What is written is counted in `annotated`, also before an error.
    ///
    /// # Errors
    ///
    /// When the capture cannot be read on, or `out` or `comment` fails.
    pub fn annotate(
        &mut self,
        out: &mut dyn Write,
        comment: &mut dyn FnMut(u64) -> io::Result<Option<String>>,
        annotated: &mut Annotated,
    ) -> Result<(), AnnotateError> {
        let mut passed = Vec::new();
        loop {
            self.input.consume(self.lent);
            self.lent = 0;
            passed.clear();
            let found = match &mut self.format {
                CaptureFormat::PcapNg(pcapng) => {
                    pcapng.next_after(&mut self.input, |block| pass(block, &mut passed))
                }
                CaptureFormat::Pcap(pcap) => pcap.next(&mut self.input),
                CaptureFormat::PcapBegins => match Pcap::open(&mut self.input) {
                    Ok(Some(pcap)) => {
                        begin_section(&pcap, out)?;
                        self.format = CaptureFormat::Pcap(pcap);
                        continue;
                    }
                    Ok(None) => Ok(None),
                    Err(fault) => Err(fault),
                },
            };
            out.write_all(&passed)?;
            match found {
                Ok(Some(packet)) => {
                    self.packets += 1;
                    annotated.packets += 1;
                    let comment = comment(self.packets)?;
                    annotated.cut += u64::from(comment.as_ref().is_some_and(|text| text.len() > MAX_COMMENT));
                    let comment = comment.map(cut);
                    self.write_packet(&packet, comment.as_deref(), annotated, out)?;
                    self.lent = packet.length;
                }
                Ok(None) => {
                    return Ok(self.end()?);
                }
                Err(Fault::AnotherCapture) => self.begin_another(),
                Err(fault) => {
                    self.ended = true;
                    return Err(self.explain(fault).into());
                }
            }
        }
    }

    fn write_packet(
        &self,
        packet: &PacketRecord,
        comment: Option<&str>,
        annotated: &mut Annotated,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let bytes = &self.input.available()[..packet.length];
        annotated.comments += u64::from(comment.is_some());
        match &self.format {
            CaptureFormat::PcapNg(pcapng) => {
                let Some(comment) = comment else { return out.write_all(bytes) };
                match pcapng.commented(bytes, comment.as_bytes()) {
                    Some(commented) => out.write_all(&commented),
                    None => {
                        annotated.comments -= 1;
                        annotated.without_place += 1;
                        out.write_all(bytes)
                    }
                }
            }
            CaptureFormat::Pcap(_) => write_enhanced(packet, &bytes[packet.data.clone()], comment, out),
            CaptureFormat::PcapBegins => Ok(()),
        }
    }
}

/// A block that is kept. The length of a section is not known before its end, as comments make it longer.
fn pass(block: &[u8], passed: &mut Vec<u8>) {
    let at = passed.len();
    passed.extend_from_slice(block);
    if block.starts_with(&PcapNg::MAGIC) {
        passed[at + 16..at + 24].fill(0xff);
    }
}

/// The first bytes of a comment, up to the longest that there may be.
fn cut(mut comment: String) -> String {
    if comment.len() > MAX_COMMENT {
        let end = (0..=MAX_COMMENT).rev().find(|&at| comment.is_char_boundary(at)).unwrap_or(0);
        comment.truncate(end);
        comment.push('\u{2026}');
    }
    comment
}

/// The section and the interface of what was a pcap.
fn begin_section(pcap: &Pcap, out: &mut dyn Write) -> io::Result<()> {
    let mut block = Block::default();
    block.section("", &mut &mut *out)?;
    block.interface(u32::from(pcap.link().0 as u16), Viewpoint::AnyHost, &mut &mut *out)
}

/// Writes a packet of a pcap as an enhanced packet block.
fn write_enhanced(
    packet: &PacketRecord,
    data: &[u8],
    comment: Option<&str>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut block = Block::default();
    block.begin_packet(0, packet.at);
    block.packet_data(data, packet.original_length);
    block.comment(comment.unwrap_or_default());
    block.end(&mut &mut *out)
}
