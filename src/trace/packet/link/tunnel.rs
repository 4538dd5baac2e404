//! Packets that travel in others by a number of IP's own: in IP, GRE and what goes over it, EtherIP, L2TP. What counts is
//! the innermost.

use super::layers::{CUT, Inside, LayerKind, NOT_IP, Step};
use super::{ethernet, udp_tunnel};

/// What follows an IP header that announces neither TCP nor UDP.
pub(super) fn behind_ip(number: u8, data: &[u8]) -> Step<'_> {
    match number {
        IPV4 | IPV6 => Ok(Inside::Layer(LayerKind::IP, data)),
        GRE => behind_gre(data),
        ETHERNET_IN_IP => match data.split_at_checked(2) {
            // EtherIP: version 3 and reserved bits (RFC 3378, section 3).
            Some(([0x30, 0], frame)) => Ok(Inside::Layer(LayerKind::ETHERNET, frame)),
            _ => Err(NOT_IP),
        },
        L2TP => {
            // A session's number, 0 for control (RFC 3931, section 4.1.1).
            let session = data.get(4..).filter(|_| data[..4] != [0; 4]).ok_or(NOT_IP)?;
            let frame = udp_tunnel::pseudowire(session).ok_or(NOT_IP)?;
            Ok(Inside::Layer(LayerKind::ETHERNET, frame))
        }
        MPLS_IN_IP => ethernet::behind_labels(data),
        _ => Err(NEITHER),
    }
}

/// What follows the header of GRE, whose flags tell its length (RFC 2784, section 2; RFC 2890, section 2; for version 1
/// RFC 2637, section 4.1).
fn behind_gre(data: &[u8]) -> Step<'_> {
    let (&[flags, more, high, low], rest) = data.split_first_chunk::<4>().ok_or(CUT)?;
    let flag = |flags: u8, bit: u8| usize::from(flags & bit != 0) * 4;
    let optional = match more & 7 {
        // Checksum, key and sequence number; source routes are long gone.
        0 if flags & 0x40 == 0 => flag(flags, 0x80) + flag(flags, 0x20) + flag(flags, SEQUENCE),
        // The key is always there; without a sequence number nothing is carried.
        1 if flags & SEQUENCE != 0 => 4 + 4 + flag(more, 0x80),
        _ => return Err(NOT_IP),
    };
    let carried = rest.get(optional..).ok_or(CUT)?;
    match u16::from_be_bytes([high, low]) {
        // Without sequence numbers it is type I, which has no header of its own.
        ERSPAN if flags & SEQUENCE == 0 => Ok(Inside::Layer(LayerKind::ETHERNET, carried)),
        ERSPAN | ERSPAN_III => behind_erspan(carried),
        // Cisco's web cache redirection: in version 2 four bytes of its own come first.
        WEB_CACHE => match carried.first() {
            Some(first) if first >> 4 == 4 => Ok(Inside::Layer(LayerKind::IP, carried)),
            _ => Ok(Inside::Layer(LayerKind::IP, carried.get(4..).ok_or(CUT)?)),
        },
        number => Ok(Inside::Layer(LayerKind::EtherType(number), carried)),
    }
}

/// ERSPAN (draft-foschiano-erspan): version 1, called type II, has 8 bytes; version 2, called type III, has 12, the last
/// of which says whether 8 more follow, and two bits before what kind of frame it carries.
fn behind_erspan(data: &[u8]) -> Step<'_> {
    let first = data.first().ok_or(CUT)?;
    match first >> 4 {
        1 => Ok(Inside::Layer(LayerKind::ETHERNET, data.get(8..).ok_or(CUT)?)),
        2 => {
            let (header, _) = data.split_first_chunk::<12>().ok_or(CUT)?;
            let length = if header[11] & 1 == 1 { 20 } else { 12 };
            let carried = data.get(length..).ok_or(CUT)?;
            match (header[10] >> 2) & 0x1f {
                0 => Ok(Inside::Layer(LayerKind::ETHERNET, carried)),
                2 => Ok(Inside::Layer(LayerKind::IP, carried)),
                _ => Err(NOT_IP),
            }
        }
        _ => Err(NOT_IP),
    }
}

/// A network service header: its length in words in 6 bits, what kind of metadata, what follows it (RFC 8300, section
/// 2.2).
pub(super) fn service_header(data: &[u8]) -> Step<'_> {
    let (&[_, length, _, next], _) = data.split_first_chunk::<4>().ok_or(CUT)?;
    let length = usize::from(length & 0x3f) * 4;
    if length < 8 {
        return Err(NOT_IP);
    }
    let kind = next_protocol(next).ok_or(NOT_IP)?;
    Ok(Inside::Layer(kind, data.get(length..).ok_or(CUT)?))
}

/// The numbers of next protocols that the service header shares with VXLAN-GPE and LISP-GPE (RFC 8300, section 2.2).
pub(super) const fn next_protocol(number: u8) -> Option<LayerKind> {
    match number {
        1 | 2 => Some(LayerKind::IP),
        3 => Some(LayerKind::ETHERNET),
        4 => Some(LayerKind::EtherType(ethernet::NSH)),
        5 => Some(LayerKind::EtherType(ethernet::MPLS)),
        _ => None,
    }
}

/// GRE among IP's numbers.
pub(super) const GRE: u8 = 47;
const IPV4: u8 = 4;
const IPV6: u8 = 41;
const ETHERNET_IN_IP: u8 = 97;
const L2TP: u8 = 115;
const MPLS_IN_IP: u8 = 137;

/// Of GRE's flags: a sequence number.
const SEQUENCE: u8 = 0x10;
const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;
const WEB_CACHE: u16 = 0x883e;

const NEITHER: &str = "neither TCP nor UDP";
