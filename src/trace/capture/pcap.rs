//! The classic format: one header, then packets, each under the length that it has in the file.
//! Microseconds or nanoseconds, either byte order, and the "modified" variant with its longer packet headers.

use bittrace_protocol::Timestamp;
use pcap_parser::nom::{Err, IResult, Needed};
use pcap_parser::{
    LegacyPcapBlock, PcapError, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified,
    parse_pcap_header,
};

use super::input::CaptureInput;
use super::{Fault, MAX_BLOCK, PacketRecord};
use crate::packet::link::LinkType;

/// Where one stands in a pcap file: its header, which governs every packet.
pub(super) struct Pcap {
    link: LinkType,
    frame: FrameParser,
    frame_header: usize,
    nanos_per_unit: i64,
    max_captured: u32,
}

impl Pcap {
    /// Whether a file that begins so is of this format.
    pub(super) fn begins(magic: [u8; 4]) -> bool {
        Self::name(magic).is_some()
    }

    /// The variant of the format that a file which begins so is in.
    pub(super) fn name(magic: [u8; 4]) -> Option<&'static str> {
        match u32::from_le_bytes(magic) {
            0xa1b2_c3d4 | 0xd4c3_b2a1 => Some("pcap"),
            0xa1b2_3c4d | 0x4d3c_b2a1 => Some("nanosecond pcap"),
            0xa1b2_cd34 => Some("modified pcap"),
            _ => None,
        }
    }

    /// Reads the file's header. `None` when the file ends within it.
    pub(super) fn open(input: &mut CaptureInput) -> Result<Option<Self>, Fault> {
        if !input.want(HEADER)? {
            return Ok(None);
        }
        let Ok((_, header)) = parse_pcap_header(input.available()) else {
            return Err(Fault::corrupt(input, "no pcap header".to_owned()));
        };
        if header.version_major != 2 {
            let what = format!("pcap version {}.{}, wanted 2", header.version_major, header.version_minor);
            return Err(Fault::corrupt(input, what));
        }
        let (frame, frame_header): (FrameParser, usize) = if header.is_modified_format() {
            (parse_pcap_frame_modified, 24)
        } else if header.is_bigendian() {
            (parse_pcap_frame_be, 16)
        } else {
            (parse_pcap_frame, 16)
        };
        let snaplen = if header.snaplen as usize <= MAX_BLOCK { header.snaplen } else { 0 };
        let pcap = Self {
            // The upper half tells of checksums after each packet, which IP's own lengths leave out.
            link: LinkType(header.network.0 as u32 & 0xffff),
            frame,
            frame_header,
            nanos_per_unit: if header.is_nanosecond_precision() { 1 } else { 1000 },
            max_captured: snaplen.max(PLAUSIBLE),
        };
        input.consume(HEADER);
        Ok(Some(pcap))
    }

    /// Finds the next packet. `None` when the file ends before the end of one.
    #[inline]
    pub(super) fn next(&self, input: &mut CaptureInput) -> Result<Option<PacketRecord>, Fault> {
        loop {
            let available = input.available();
            let missing = match (self.frame)(available) {
                Ok((_, packet)) => return self.found(&packet, input).map(Some),
                Err(Err::Incomplete(Needed::Size(missing))) => missing.get(),
                Err(_) => return Err(Fault::corrupt(input, "no packet header".to_owned())),
            };
            let whole = available.len().saturating_add(missing);
            if whole.saturating_sub(self.frame_header) > self.max_captured as usize {
                return Err(self.oversized(whole - self.frame_header, input));
            }
            if !input.want(whole)? {
                return Ok(None);
            }
        }
    }

    fn found(&self, packet: &LegacyPcapBlock<'_>, input: &CaptureInput) -> Result<PacketRecord, Fault> {
        if packet.caplen > self.max_captured {
            return Err(self.oversized(packet.caplen as usize, input));
        }
        let end = self.frame_header + packet.data.len();
        let nanos = i64::from(packet.ts_usec).saturating_mul(self.nanos_per_unit);
        Ok(PacketRecord {
            at: Timestamp::from_nanos(
                i64::from(packet.ts_sec).saturating_mul(1_000_000_000).saturating_add(nanos),
            ),
            link: self.link,
            original_length: packet.origlen,
            outgoing: None,
            interface: 0,
            data: self.frame_header..end,
            length: end,
        })
    }

    fn oversized(&self, length: usize, input: &CaptureInput) -> Fault {
        Fault::corrupt(input, format!("a packet of {length} bytes, wanted at most {}", self.max_captured))
    }
}

type FrameParser = fn(&[u8]) -> IResult<&[u8], LegacyPcapBlock<'_>, PcapError<&[u8]>>;

const HEADER: usize = 24;

/// What libpcap captures at most of one packet, whatever a file's header says.
const PLAUSIBLE: u32 = 262_144;
