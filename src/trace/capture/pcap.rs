//! The classic format: one header, then packets, each under the length that it has in the file.
//! Microseconds or nanoseconds, either byte order, and the variants whose packet headers are longer.
//!
//! Two variants are told by no magic number of their own: what is wrong with the first two packets under the usual header
//! tells them. Nothing is waited for that would not be read anyway, so a live pipe is shown as it comes.

use bittrace_protocol::Timestamp;

use super::byte_order::ByteOrder;
use super::input::CaptureInput;
use super::pcapng::PcapNg;
use super::{Fault, MAX_BLOCK, PacketRecord};
use crate::packet::link::{LinkType, Parsed, parse};

/// Where one stands in a pcap file: its header, which governs every packet.
pub(super) struct Pcap {
    link: LinkType,
    order: ByteOrder,
    /// How long the header of a packet is.
    frame_header: usize,
    nanos_per_unit: i64,
    max_captured: u32,
    /// When the first packet was captured in seconds, while only that was read.
    first: Option<u32>,
    begun: bool,
}

/// The variants of the format by their magic number, in the order of the machine that wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PcapKind {
    Micro,
    Nano,
    Modified,
}

impl PcapKind {
    fn of(magic: [u8; 4]) -> Option<(Self, ByteOrder)> {
        [ByteOrder::Little, ByteOrder::Big].into_iter().find_map(|order| {
            let kind = match order.u32(&magic, 0) {
                0xa1b2_c3d4 => Self::Micro,
                0xa1b2_3c4d => Self::Nano,
                0xa1b2_cd34 => Self::Modified,
                _ => return None,
            };
            Some((kind, order))
        })
    }
}

/// The fields of a packet's header that all variants have.
struct FrameHeader {
    seconds: u32,
    fraction: u32,
    captured: u32,
    original: u32,
}

impl Pcap {
    /// How long a file's header is.
    pub(super) const HEADER: usize = 24;

    /// Whether a file that begins so is of this format.
    pub(super) fn begins(magic: [u8; 4]) -> bool {
        PcapKind::of(magic).is_some()
    }

    /// Whether the header of a file of this format stands here: its magic number, a version, a link type.
    pub(super) fn header_stands_here(bytes: &[u8]) -> bool {
        let (Some(&magic), true) = (bytes.first_chunk::<4>(), bytes.len() >= Self::HEADER) else {
            return false;
        };
        PcapKind::of(magic).is_some_and(|(_, order)| order.u16(bytes, 4) == 2 && order.u16(bytes, 6) <= 4)
    }

    /// The variant of the format that a file which begins so is in.
    pub(super) fn name(magic: [u8; 4]) -> Option<&'static str> {
        Some(match PcapKind::of(magic)?.0 {
            PcapKind::Micro => "pcap",
            PcapKind::Nano => "nanosecond pcap",
            PcapKind::Modified => "modified pcap",
        })
    }

    /// What its packets begin with.
    pub(super) const fn link(&self) -> LinkType {
        self.link
    }

    /// Reads the file's header. `None` when the file ends within it.
    pub(super) fn open(input: &mut CaptureInput) -> Result<Option<Self>, Fault> {
        if !input.want(Self::HEADER)? {
            return Ok(None);
        }
        let header = input.available();
        let Some((kind, order)) = PcapKind::of([header[0], header[1], header[2], header[3]]) else {
            return Err(Fault::corrupt(input, "no pcap header".to_owned()));
        };
        let (major, minor) = (order.u16(header, 4), order.u16(header, 6));
        if major != 2 {
            return Err(Fault::corrupt(input, format!("pcap version {major}.{minor}, expected 2")));
        }
        let snaplen = order.u32(header, 16);
        let snaplen = if snaplen as usize <= MAX_BLOCK { snaplen } else { 0 };
        let pcap = Self {
            // The upper half tells of checksums after each packet, which IP's own lengths leave out.
            link: LinkType(order.u32(header, 20) & 0xffff),
            order,
            frame_header: if kind == PcapKind::Modified { MODIFIED_HEADER } else { USUAL_HEADER },
            nanos_per_unit: if kind == PcapKind::Nano { 1 } else { 1000 },
            max_captured: snaplen.max(PLAUSIBLE),
            first: None,
            begun: false,
        };
        input.consume(Self::HEADER);
        Ok(Some(pcap))
    }

    /// Finds the next packet. `None` when the file ends before the end of one.
    #[inline]
    pub(super) fn next(&mut self, input: &mut CaptureInput) -> Result<Option<PacketRecord>, Fault> {
        if !input.want(self.frame_header)? {
            return Ok(None);
        }
        if self.first.is_some() || !self.begun {
            return self.early(input);
        }
        let header = self.header(input.available());
        self.packet(&header, input)
    }

    /// Finds one of the first two packets, which tell a variant with longer headers.
    #[cold]
    fn early(&mut self, input: &mut CaptureInput) -> Result<Option<PacketRecord>, Fault> {
        if let Some(seconds) = self.first.take() {
            let more = self.longer_header_by(seconds, input)?;
            input.consume(more);
            self.frame_header += more;
            if !input.want(self.frame_header)? {
                return Ok(None);
            }
        }
        let header = self.header(input.available());
        if !self.begun {
            self.begun = true;
            self.first = Some(header.seconds);
            let more = self.longer_header_of_first(&header, input)?;
            if more > 0 {
                self.first = None;
                self.frame_header += more;
                if !input.want(self.frame_header)? {
                    return Ok(None);
                }
            }
        }
        self.packet(&header, input)
    }

    #[inline]
    fn header(&self, bytes: &[u8]) -> FrameHeader {
        FrameHeader {
            seconds: self.order.u32(bytes, 0),
            fraction: self.order.u32(bytes, 4),
            captured: self.order.u32(bytes, 8),
            original: self.order.u32(bytes, 12),
        }
    }

    #[inline]
    fn packet(&self, header: &FrameHeader, input: &mut CaptureInput) -> Result<Option<PacketRecord>, Fault> {
        if header.captured > self.max_captured || header.captured == 0 {
            self.check_odd(header, input)?;
        }
        let end = self.frame_header + header.captured as usize;
        if !input.want(end)? {
            return Ok(None);
        }
        let nanos = i64::from(header.fraction).saturating_mul(self.nanos_per_unit);
        let seconds = i64::from(header.seconds).saturating_mul(1_000_000_000);
        Ok(Some(PacketRecord {
            at: Timestamp::from_nanos(seconds.saturating_add(nanos)),
            link: self.link,
            original_length: header.original,
            outgoing: None,
            interface: 0,
            data: self.frame_header..end,
            length: end,
        }))
    }

    /// How much longer the headers are, by the first packet: its bytes lead to no transport, and some bytes later they do,
    /// with as many missing at the end.
    fn longer_header_of_first(&self, header: &FrameHeader, input: &mut CaptureInput) -> Result<usize, Fault> {
        let end = self.frame_header + header.captured as usize;
        if header.captured > self.max_captured || !input.want(end)? {
            return Ok(0);
        }
        let data = &input.available()[self.frame_header..end];
        let missing = |data: &[u8]| match parse(self.link, data) {
            Parsed::Tcp(segment) => Some(segment.lost_tail as usize),
            Parsed::Udp(datagram) => Some(datagram.lost_tail as usize),
            _ => None,
        };
        if missing(data).is_some() {
            return Ok(0);
        }
        let fits = |more: &&usize| data.get(**more..).and_then(missing) == Some(**more);
        Ok(self.longer().iter().find(fits).copied().unwrap_or(0))
    }

    /// How much longer the headers are, by where the second packet's header makes sense, when it makes none where it would
    /// stand under the usual one.
    fn longer_header_by(&self, first: u32, input: &mut CaptureInput) -> Result<usize, Fault> {
        if self.is_plausible(&self.header(input.available()), first) {
            return Ok(0);
        }
        for more in self.longer() {
            if input.want(more + USUAL_HEADER)?
                && self.is_plausible(&self.header(&input.available()[*more..]), first)
            {
                return Ok(*more);
            }
        }
        Ok(0)
    }

    fn is_plausible(&self, header: &FrameHeader, first: u32) -> bool {
        let units = if self.nanos_per_unit == 1 { 1_000_000_000 } else { 1_000_000 };
        header.fraction < units
            && header.captured <= self.max_captured
            && header.captured <= header.original
            && header.seconds.abs_diff(first) < A_YEAR
    }

    /// By how many bytes the headers of variants under the same magic number are longer: Nokia's and Red Hat 6.1's, and
    /// under the magic number of the modified format SuSE 6.3's.
    const fn longer(&self) -> &'static [usize] {
        if self.frame_header == USUAL_HEADER { &[4, 8] } else { &[4] }
    }

    /// What else than a packet of the wrong size, or of no bytes, may stand here: the header of another capture, of which
    /// the fields of a packet's length are zeros or magic.
    #[cold]
    fn check_odd(&self, header: &FrameHeader, input: &mut CaptureInput) -> Result<(), Fault> {
        let begins = input.available().first_chunk::<4>().copied().unwrap_or_default();
        let another = if Self::begins(begins) {
            input.want(Self::HEADER)? && Self::header_stands_here(input.available())
        } else {
            PcapNg::section_stands_here(input.available())
        };
        if another {
            return Err(Fault::AnotherCapture);
        }
        if header.captured > self.max_captured {
            return Err(self.oversized(header, input));
        }
        Ok(())
    }

    #[cold]
    fn oversized(&self, header: &FrameHeader, input: &CaptureInput) -> Fault {
        let what = format!("a packet of {} bytes, expected at most {}", header.captured, self.max_captured);
        Fault::corrupt(input, what)
    }
}

/// Seconds, fraction, length in the file, length on the wire.
const USUAL_HEADER: usize = 16;
/// The same, interface, protocol, packet type, padding.
const MODIFIED_HEADER: usize = 24;
/// In seconds.
const A_YEAR: u32 = 366 * 86_400;

/// What libpcap captures at most of one packet, whatever a file's header says.
const PLAUSIBLE: u32 = 262_144;
