//! Headers that no wire has: capturing machines put them before the packets, with the interface, the direction, or what a
//! firewall decided.

use super::layers::{CUT, Inside, LayerKind, NOT_IP, Step, Way};
use super::wireless::FrameLayout;
use super::{LinkType, ethernet};

/// BSD loopback: an address family.
pub(super) fn loopback(data: &[u8]) -> Step<'_> {
    let (family, rest) = data.split_first_chunk::<4>().ok_or(CUT)?;
    behind_family(*family, rest)
}

/// Each system has its own number for IPv6, and a file may come from a machine of either byte order.
fn behind_family(family: [u8; 4], rest: &[u8]) -> Step<'_> {
    match u32::from_le_bytes(family).min(u32::from_be_bytes(family)) {
        2 | 10 | 24 | 26 | 28 | 30 => Ok(Inside::Layer(LayerKind::IP, rest)),
        _ => Err(NOT_IP),
    }
}

/// Linux cooked capture: packet type, device type, address length, eight address bytes, protocol.
pub(super) fn cooked<'a>(data: &'a [u8], way: &mut Way<'a>) -> Step<'a> {
    let (header, rest) = data.split_first_chunk::<16>().ok_or(CUT)?;
    way.outgoing = sent(header[1]);
    behind_device([header[2], header[3]], [header[14], header[15]], rest)
}

/// Version 2: protocol, two bytes reserved, interface, device type, packet type, address length, address.
pub(super) fn cooked_v2<'a>(data: &'a [u8], way: &mut Way<'a>) -> Step<'a> {
    let (header, rest) = data.split_first_chunk::<20>().ok_or(CUT)?;
    way.outgoing = sent(header[10]);
    behind_device([header[8], header[9]], [header[0], header[1]], rest)
}

/// Whether the capturing machine sent a packet of this type: to us, broadcast, multicast; between others; from us.
fn sent(packet_type: u8) -> Option<bool> {
    match packet_type {
        0..=2 => Some(false),
        4 => Some(true),
        _ => None,
    }
}

/// What a device of this type (ARPHRD of Linux) says by its protocol. 4 is LLC.
fn behind_device(device: [u8; 2], protocol: [u8; 2], rest: &[u8]) -> Step<'_> {
    match (u16::from_be_bytes(device), u16::from_be_bytes(protocol)) {
        (801, _) => Ok(Inside::Layer(LayerKind::Wireless(FrameLayout::default()), rest)),
        (802, _) => Ok(Inside::Layer(LayerKind::Link(LinkType::PRISM), rest)),
        (803, _) => Ok(Inside::Layer(LayerKind::Link(LinkType::RADIOTAP), rest)),
        (_, 4) => Ok(Inside::Layer(LayerKind::Llc, rest)),
        (_, 0..=1500) => Err(NOT_IP),
        (_, protocol) => Ok(Inside::Layer(LayerKind::EtherType(protocol), rest)),
    }
}

/// NFLOG: family, version 0, a group's number, then attributes: length and type in the byte order of the capturing
/// machine, value, zeros up to a multiple of 4. The payload is type 9; the second half of type 1 begins with the hook.
pub(super) fn nflog<'a>(data: &'a [u8], way: &mut Way<'a>) -> Step<'a> {
    let (&[family, version, _, _], attributes) = data.split_first_chunk::<4>().ok_or(CUT)?;
    if version != 0 {
        return Err(NOT_IP);
    }
    let found = nflog_payload(attributes, u16::from_le_bytes)
        .or_else(|| nflog_payload(attributes, u16::from_be_bytes))
        .ok_or(NOT_IP)?;
    way.outgoing = match found.hook {
        Some(LOCAL_IN) => Some(false),
        Some(LOCAL_OUT) => Some(true),
        _ => None,
    };
    match family {
        2 | 10 => Ok(Inside::Layer(LayerKind::IP, found.payload)),
        // Of a bridge: the protocol stands with the hook.
        7 => Ok(Inside::Layer(LayerKind::EtherType(found.protocol), found.payload)),
        _ if matches!(found.payload.first(), Some(0x45..=0x4f | 0x60)) => {
            Ok(Inside::Layer(LayerKind::IP, found.payload))
        }
        _ => Err(NOT_IP),
    }
}

/// What the attributes of an NFLOG packet say.
struct NflogPacket<'a> {
    payload: &'a [u8],
    hook: Option<u8>,
    protocol: u16,
}

fn nflog_payload(mut data: &[u8], number: fn([u8; 2]) -> u16) -> Option<NflogPacket<'_>> {
    let (mut hook, mut protocol) = (None, 0);
    loop {
        let (&[a, b, c, d], rest) = data.split_first_chunk::<4>()?;
        let (length, kind) = (usize::from(number([a, b])), number([c, d]) & 0x7fff);
        let value = length.checked_sub(4)?;
        match kind {
            9 => {
                // The packet is the last attribute, and may be captured only in part.
                let payload = rest.get(..value).unwrap_or(rest);
                return Some(NflogPacket { payload, hook, protocol });
            }
            1 => {
                let header = rest.get(..value)?;
                protocol = u16::from_be_bytes([*header.first()?, *header.get(1)?]);
                hook = header.get(2).copied();
            }
            _ => {}
        }
        data = rest.get(value.next_multiple_of(4)..)?;
    }
}

/// Hooks of netfilter for packets to this machine, and from it.
const LOCAL_IN: u8 = 1;
const LOCAL_OUT: u8 = 3;

/// PKTAP, little-endian: the header's length, the record's type (1 is a packet), a link type, the interface's name in 24
/// bytes, flags, of which the first two are the direction.
pub(super) fn pktap<'a>(data: &'a [u8], way: &mut Way<'a>) -> Step<'a> {
    let word = |at: usize| {
        let bytes = data.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        bytes.map(u32::from_le_bytes).ok_or(CUT)
    };
    let (length, record, link, flags) = (word(0)? as usize, word(4)?, word(8)?, word(36)?);
    if !(40..=1024).contains(&length) || record != 1 {
        return Err(NOT_IP);
    }
    way.outgoing = match flags & 3 {
        1 => Some(false),
        2 => Some(true),
        _ => None,
    };
    Ok(Inside::Layer(LayerKind::Link(LinkType(link)), data.get(length..).ok_or(CUT)?))
}

/// PPI, little-endian: version 0, flags, the header's length, a link type, fields that matter here in nothing.
pub(super) fn ppi(data: &[u8]) -> Step<'_> {
    let (&[version, _, low, high, link @ ..], _) = data.split_first_chunk::<8>().ok_or(CUT)?;
    let length = usize::from(u16::from_le_bytes([low, high]));
    if version != 0 || length < 8 {
        return Err(NOT_IP);
    }
    let link = LinkType(u32::from_le_bytes(link));
    Ok(Inside::Layer(LayerKind::Link(link), data.get(length..).ok_or(CUT)?))
}

/// BSD's IPsec interface, after which packets are deciphered: an address family in the byte order of the capturing
/// machine, an index, flags.
pub(super) fn enc(data: &[u8]) -> Step<'_> {
    let (&[a, b, c, d, ..], rest) = data.split_first_chunk::<12>().ok_or(CUT)?;
    behind_family([a, b, c, d], rest)
}

/// BSD's packet filter: the header's length without its padding, the address family, what was decided and by which rule;
/// in byte 60 the direction. How long the header is differs among systems and years.
pub(super) fn pflog<'a>(data: &'a [u8], way: &mut Way<'a>) -> Step<'a> {
    let &[length, family, ..] = data else { return Err(CUT) };
    let length = usize::from(length).next_multiple_of(4);
    if length < 28 {
        return Err(NOT_IP);
    }
    if length >= 64 {
        way.outgoing = match data.get(60) {
            Some(1) => Some(false),
            Some(2) => Some(true),
            _ => None,
        };
    }
    behind_family([family, 0, 0, 0], data.get(length..).ok_or(CUT)?)
}

/// Solaris' ipnet: version, family, hook, and 20 bytes more; the hook is 0 for incoming packets, 1 for outgoing ones.
pub(super) fn ipnet<'a>(data: &'a [u8], way: &mut Way<'a>) -> Step<'a> {
    let (header, rest) = data.split_first_chunk::<24>().ok_or(CUT)?;
    way.outgoing = match header[2..4] {
        [0, 0] => Some(false),
        [0, 1] => Some(true),
        _ => None,
    };
    behind_family([header[1], 0, 0, 0], rest)
}

/// IP over InfiniBand: an Ethernet type and two bytes of zeros (RFC 4391, section 6). Capturing systems may put the
/// receiver's address of 20 bytes, both addresses, or a global routing header of 40 bytes before.
pub(super) fn ip_over_infiniband(data: &[u8]) -> Step<'_> {
    for before in [0, 20, 40, 44] {
        if let Some(&[high, low, 0, 0, first, ..]) =
            data.get(before..).and_then(|rest| rest.first_chunk::<5>())
        {
            let number = u16::from_be_bytes([high, low]);
            let fits = matches!((number, first >> 4), (ethernet::IPV4, 4) | (ethernet::IPV6, 6));
            if fits {
                return Ok(Inside::Layer(LayerKind::EtherType(number), &data[before + 4..]));
            }
        }
    }
    Err(NOT_IP)
}
