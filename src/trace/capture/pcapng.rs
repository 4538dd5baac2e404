//! The block format: sections of either byte order, each with its own interfaces and their clocks. Blocks
//! that carry no packets are passed over.

use std::io;

use bittrace_protocol::Timestamp;
use bittrace_protocol::mse::{MAX_KEYS, MseKey, keys_among};
use pcap_parser::{
    OptionCode, PcapNGOption, parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le,
    parse_sectionheaderblock,
};

use super::byte_order::ByteOrder;
use super::host_names::{HostName, HostNames, NAME_RESOLUTION};
use super::input::CaptureInput;
use super::pcap::Pcap;
use super::{Fault, MAX_BLOCK, PacketRecord};
use crate::packet::link::LinkType;
use crate::recorder::block::{BETWEEN_HOSTS, COMMENT, Viewpoint};

mod clock;
use clock::InterfaceClock;

/// Where one stands in a pcapng file: its section's byte order and interfaces.
pub(super) struct PcapNg {
    order: ByteOrder,
    interfaces: Vec<Interface>,
    comments: Vec<String>,
    hosts: HostNames,
    /// Where the capture was taken, as its interfaces say.
    viewpoint: Viewpoint,
    /// The keys since the packet before.
    fresh_keys: Vec<MseKey>,
    /// How many keys there were.
    keys: usize,
    last: Timestamp,
}

struct Interface {
    link: LinkType,
    snaplen: u32,
    clock: InterfaceClock,
}

impl PcapNg {
    /// Whether a file that begins so is of this format.
    pub(super) fn begins(magic: [u8; 4]) -> bool {
        magic == Self::MAGIC
    }

    /// How a file of this format begins, in either byte order.
    pub(super) const MAGIC: [u8; 4] = SECTION_HEADER.to_le_bytes();

    /// Whether a section of this format stands here: its magic numbers.
    pub(super) fn section_stands_here(bytes: &[u8]) -> bool {
        bytes.starts_with(&Self::MAGIC)
            && matches!(bytes.get(8..12), Some([0x4d, 0x3c, 0x2b, 0x1a] | [0x1a, 0x2b, 0x3c, 0x4d]))
    }

    pub(super) fn new() -> Self {
        Self {
            order: ByteOrder::Little,
            interfaces: Vec::new(),
            comments: Vec::new(),
            hosts: HostNames::default(),
            viewpoint: Viewpoint::AnyHost,
            fresh_keys: Vec::new(),
            keys: 0,
            last: Timestamp::EPOCH,
        }
    }

    /// What the sections read so far say of themselves.
    pub(super) fn comments(&self) -> &[String] {
        &self.comments
    }

    /// The names of addresses that were read so far.
    pub(super) fn hosts(&self) -> &[HostName] {
        self.hosts.hosts()
    }

    /// Where the capture was taken, as the interfaces so far say.
    pub(super) const fn viewpoint(&self) -> Viewpoint {
        self.viewpoint
    }

    /// The keys in encrypted connections that stand between the packet before and the one found last.
    #[inline]
    pub(super) fn fresh_keys(&self) -> &[MseKey] {
        &self.fresh_keys
    }

    /// Finds the next packet. `None` when the file ends before the end of one.
    #[inline]
    pub(super) fn next(&mut self, input: &mut CaptureInput) -> Result<Option<PacketRecord>, Fault> {
        self.next_after(input, |_| {})
    }

    /// Finds the next packet, and shows each block before it, whole.
    #[inline]
    pub(super) fn next_after(
        &mut self,
        input: &mut CaptureInput,
        mut passed: impl FnMut(&[u8]),
    ) -> Result<Option<PacketRecord>, Fault> {
        self.fresh_keys.clear();
        loop {
            let Some((kind, length)) = self.block(input)? else { return Ok(None) };
            let block = &input.available()[..length];
            let found = match kind {
                ENHANCED_PACKET => self.enhanced(block),
                SIMPLE_PACKET => self.simple(block),
                OBSOLETE_PACKET => self.obsolete(block),
                SECTION_HEADER => self.section(block).map(|()| None),
                INTERFACE => self.interface(block).map(|()| None),
                DECRYPTION_SECRETS => {
                    self.secrets(block);
                    Ok(None)
                }
                NAME_RESOLUTION => {
                    self.hosts.learn(self.order, block);
                    Ok(None)
                }
                _ => Ok(None),
            };
            match found {
                Ok(Some(found)) => {
                    self.last = found.at;
                    return Ok(Some(found));
                }
                Ok(None) => {
                    passed(&input.available()[..length]);
                    input.consume(length);
                }
                Err(what) => return Err(Fault::corrupt(input, what)),
            }
        }
    }

    /// Waits for a whole block and checks its lengths: its kind, and its length.
    #[inline]
    fn block(&mut self, input: &mut CaptureInput) -> Result<Option<(u32, usize)>, Fault> {
        if !input.want(SMALLEST_BLOCK)? {
            return Ok(None);
        }
        let head = input.available();
        let kind = self.order.u32(head, 0);
        if kind == SECTION_HEADER {
            self.order = match head[8..12] {
                [0x4d, 0x3c, 0x2b, 0x1a] => ByteOrder::Little,
                [0x1a, 0x2b, 0x3c, 0x4d] => ByteOrder::Big,
                _ => {
                    return Err(Fault::corrupt(
                        input,
                        "a section header without its byte-order magic".to_owned(),
                    ));
                }
            };
        }
        let stated = self.order.u32(head, 4);
        // No magic number of a pcap is the number of a packet block, in neither byte order.
        if kind != ENHANCED_PACKET && self.is_pcap(input)? {
            return Err(Fault::AnotherCapture);
        }
        let length = stated as usize;
        if length < SMALLEST_BLOCK || !length.is_multiple_of(4) {
            let what = format!("a block of {stated} bytes, expected a multiple of 4 from {SMALLEST_BLOCK}");
            return Err(Fault::corrupt(input, what));
        }
        let longest = if matches!(kind, SECTION_HEADER | INTERFACE) { MAX_DESCRIPTION } else { MAX_BLOCK };
        if length > longest {
            return Err(Fault::corrupt(
                input,
                format!("a block of {stated} bytes, expected at most {longest}"),
            ));
        }
        if !input.want(length)? {
            return Ok(None);
        }
        let repeated = self.order.u32(input.available(), length - 4);
        if repeated != stated {
            let what = format!("a block that begins with length {stated} and ends with {repeated}");
            return Err(Fault::corrupt(input, what));
        }
        Ok(Some((kind, length)))
    }

    /// Whether a pcap begins here.
    fn is_pcap(&self, input: &mut CaptureInput) -> io::Result<bool> {
        let begins = input.available().first_chunk().is_some_and(|magic| Pcap::begins(*magic));
        Ok(begins && input.want(Pcap::HEADER)? && Pcap::header_stands_here(input.available()))
    }

    fn section(&mut self, block: &[u8]) -> Result<(), String> {
        let Ok((_, section)) = parse_sectionheaderblock(block) else {
            return Err(format!("a section header of {} bytes, expected at least 28", block.len()));
        };
        if section.major_version != 1 {
            return Err(format!(
                "pcapng version {}.{}, expected 1",
                section.major_version, section.minor_version
            ));
        }
        self.interfaces.clear();
        for option in options(&section.options).filter(|option| option.code == OptionCode::Comment) {
            if self.comments.len() < MAX_COMMENTS
                && let Ok(bytes) = option.as_bytes()
            {
                learn(bytes, &mut self.fresh_keys, &mut self.keys);
                self.comments.push(String::from_utf8_lossy(bytes).into_owned());
            }
        }
        Ok(())
    }

    /// Takes in the secrets of a block, where they are of a kind that is known. They are not needed to read the
    /// packets, so what is wrong with them is passed over.
    fn secrets(&mut self, block: &[u8]) {
        if block.len() < SMALLEST_BLOCK + 8 || self.order.u32(block, 8) != MSE_KEY_LOG {
            return;
        }
        let length = self.order.u32(block, 12) as usize;
        if let Some(log) = block[16..block.len() - 4].get(..length) {
            learn(log, &mut self.fresh_keys, &mut self.keys);
        }
    }

    fn interface(&mut self, block: &[u8]) -> Result<(), String> {
        let parsed = match self.order {
            ByteOrder::Little => parse_interfacedescriptionblock_le(block),
            ByteOrder::Big => parse_interfacedescriptionblock_be(block),
        };
        let Ok((_, interface)) = parsed else {
            return Err(format!("an interface description of {} bytes, expected at least 20", block.len()));
        };
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(format!("more than {MAX_INTERFACES} interfaces in one section"));
        }
        let mut clock = InterfaceClock::default();
        for option in options(&interface.options) {
            match (option.code, option.as_bytes()) {
                (OptionCode::IfTsresol, Ok(&[resolution, ..])) => clock.set_resolution(resolution),
                // Before the first packet alone: who reads ahead sees later interfaces sooner than others do.
                (OptionCode::IfDescription, Ok(description))
                    if self.last == Timestamp::EPOCH && description == BETWEEN_HOSTS.as_bytes() =>
                {
                    self.viewpoint = Viewpoint::BetweenHosts;
                }
                (OptionCode::IfTsoffset, Ok(value)) if value.len() == 8 => {
                    let (first, second) = (self.order.u32(value, 0), self.order.u32(value, 4));
                    let (high, low) = match self.order {
                        ByteOrder::Little => (second, first),
                        ByteOrder::Big => (first, second),
                    };
                    clock.set_offset((u64::from(high) << 32 | u64::from(low)) as i64);
                }
                _ => {}
            }
        }
        let link = LinkType(interface.linktype.0 as u32 & 0xffff);
        self.interfaces.push(Interface { link, snaplen: interface.snaplen, clock });
        Ok(())
    }

    #[inline]
    fn enhanced(&self, block: &[u8]) -> Result<Option<PacketRecord>, String> {
        if block.len() < 32 {
            return Err(format!("a packet block of {} bytes, expected at least 32", block.len()));
        }
        self.timed(block, self.order.u32(block, 8))
    }

    fn obsolete(&self, block: &[u8]) -> Result<Option<PacketRecord>, String> {
        if block.len() < 32 {
            return Err(format!("an obsolete packet block of {} bytes, expected at least 32", block.len()));
        }
        self.timed(block, u32::from(self.order.u16(block, 8)))
    }

    /// The part that the enhanced and the obsolete packet block share.
    // Enhanced blocks are nearly all that there is.
    #[inline(always)]
    fn timed(&self, block: &[u8], number: u32) -> Result<Option<PacketRecord>, String> {
        let interface = self.interface_of(number)?;
        let fields = &block[12..28];
        let ticks = u64::from(self.order.u32(fields, 0)) << 32 | u64::from(self.order.u32(fields, 4));
        let captured = self.order.u32(fields, 8) as usize;
        let room = block.len() - 32;
        if captured > room {
            return Err(format!("a packet of {captured} bytes in a block with room for {room}"));
        }
        let padded = captured.next_multiple_of(4);
        Ok(Some(PacketRecord {
            at: interface.clock.moment(ticks),
            link: interface.link,
            original_length: self.order.u32(fields, 12),
            outgoing: if padded < room { self.direction(&block[28 + padded..block.len() - 4]) } else { None },
            interface: number,
            data: 28..28 + captured,
            length: block.len(),
        }))
    }

    fn simple(&self, block: &[u8]) -> Result<Option<PacketRecord>, String> {
        if block.len() < 16 {
            return Err(format!("a simple packet block of {} bytes, expected at least 16", block.len()));
        }
        let interface = self.interface_of(0)?;
        let original_length = self.order.u32(block, 8);
        let snaplen = if interface.snaplen == 0 { u32::MAX } else { interface.snaplen };
        let captured = original_length.min(snaplen) as usize;
        let room = block.len() - 16;
        if captured > room {
            return Err(format!("a packet of {captured} bytes in a simple block with room for {room}"));
        }
        Ok(Some(PacketRecord {
            // The block has no time of its own; that of the packet before keeps time from running back.
            at: self.last,
            link: interface.link,
            original_length,
            outgoing: None,
            interface: 0,
            data: 12..12 + captured,
            length: block.len(),
        }))
    }

    #[inline]
    fn interface_of(&self, number: u32) -> Result<&Interface, String> {
        self.interfaces.get(number as usize).ok_or_else(|| {
            format!("a packet of interface {number}, but {} are described before it", self.interfaces.len())
        })
    }

    /// The block of a packet with one option more, a comment. `None` for a simple packet block, which has no options.
    pub(super) fn commented(&self, block: &[u8], comment: &[u8]) -> Option<Vec<u8>> {
        if !matches!(self.order.u32(block, 0), ENHANCED_PACKET | OBSOLETE_PACKET) {
            return None;
        }
        let captured = self.order.u32(block, 20) as usize;
        let options_at = (28 + captured.next_multiple_of(4)).min(block.len() - 4);
        let (packet, options) = block[..block.len() - 4].split_at(options_at);
        let mut commented = packet.to_vec();
        commented.extend_from_slice(&self.order.bytes_of_u16(COMMENT));
        commented.extend_from_slice(&self.order.bytes_of_u16(comment.len() as u16));
        commented.extend_from_slice(comment);
        commented.resize(commented.len().next_multiple_of(4), 0);
        let end_of_options: &[u8] = if options.is_empty() { &[0; 4] } else { options };
        commented.extend_from_slice(end_of_options);
        let length = self.order.bytes_of_u32(commented.len() as u32 + 4);
        commented[4..8].copy_from_slice(&length);
        commented.extend_from_slice(&length);
        Some(commented)
    }

    /// The direction bits of `epb_flags`, which is option 2 of both kinds of packet block.
    fn direction(&self, mut options: &[u8]) -> Option<bool> {
        while options.len() >= 4 {
            let (code, length) = (self.order.u16(options, 0), usize::from(self.order.u16(options, 2)));
            if code == 2 && length == 4 && options.len() >= 8 {
                return match self.order.u32(options, 4) & 3 {
                    1 => Some(false),
                    2 => Some(true),
                    _ => None,
                };
            }
            if code == 0 {
                return None;
            }
            options = options.get(4 + length.next_multiple_of(4)..)?;
        }
        None
    }
}

/// The options before the mark that ends them.
fn options<'a>(options: &'a [PcapNGOption<'a>]) -> impl Iterator<Item = &'a PcapNGOption<'a>> {
    options.iter().take_while(|option| option.code != OptionCode::EndOfOpt)
}

/// Takes in the keys among some text, as long as there are not too many.
fn learn(text: &[u8], fresh: &mut Vec<MseKey>, count: &mut usize) {
    let before = fresh.len();
    fresh.extend(keys_among(text).take(MAX_KEYS - *count));
    *count += fresh.len() - before;
}

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
pub(crate) const DECRYPTION_SECRETS: u32 = 10;

/// The type of secrets that are a key log of message stream encryption: `MSEK`. Registered are `TLSK`, `SSHK`, `WGKL`,
/// `ZNWK`, `ZASP` and `UAKL` (draft-ietf-opsawg-pcapng, "Decryption Secrets Block"); the number is none of these.
pub(crate) const MSE_KEY_LOG: u32 = 0x4d53_454b;

/// The type of secrets that are a key log of TLS: `TLSK`, which is registered.
pub(crate) const TLS_KEY_LOG: u32 = 0x544c_534b;

/// Kind, length, and the length again.
const SMALLEST_BLOCK: usize = 12;
/// More than any tool writes; each costs memory for as long as its section lasts.
const MAX_INTERFACES: usize = 65_536;
const MAX_COMMENTS: usize = 64;
/// Of a section or an interface. Its options are listed in memory at eight times their size.
const MAX_DESCRIPTION: usize = 4 << 20;
