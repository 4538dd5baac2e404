//! Ethernet, and what may stand between its addresses and IP: tags of many kinds, LLC and SNAP, labels, PPPoE. Link types
//! that put other addresses before the same LLC header are here too.

use super::layers::{CUT, Inside, LayerKind, NOT_IP, Step};
use super::{LinkType, ip, serial, tunnel};

/// A frame: two addresses of 6 bytes, then a type or length.
pub(super) fn frame(data: &[u8]) -> Step<'_> {
    typed(data.get(12..).ok_or(CUT)?)
}

/// A type or length, and what it announces.
fn typed(data: &[u8]) -> Step<'_> {
    let (number, rest) = data.split_first_chunk::<2>().ok_or(CUT)?;
    Ok(Inside::Layer(LayerKind::EtherType(u16::from_be_bytes(*number)), rest))
}

/// What an Ethernet type announces, or an LLC frame of this length.
pub(super) fn behind_type(number: u16, data: &[u8]) -> Step<'_> {
    match number {
        IPV4 => ip::of_version(4, data),
        IPV6 => ip::of_version(6, data),
        // Padding follows a short frame.
        1..=1500 => llc(data.get(..usize::from(number)).unwrap_or(data)),
        // Control information, and the type of what is tagged (IEEE 802.1Q, 9.3), whatever the kind of VLAN.
        VLAN | SERVICE_VLAN | 0x9100 | 0x9200 | 0x9300 => typed(data.get(2..).ok_or(CUT)?),
        PPPOE => match data {
            // Version and type 1, code 0 for data, session, length (RFC 2516, section 4).
            [0x11, 0, _, _, _, _, ppp @ ..] => Ok(Inside::Layer(LayerKind::PPP, ppp)),
            _ => Err(NOT_IP),
        },
        MPLS | MPLS_MULTICAST => behind_labels(data),
        TRANSPARENT_ETHERNET => Ok(Inside::Layer(LayerKind::ETHERNET, data)),
        PPP => Ok(Inside::Layer(LayerKind::PPP, data)),
        FRAME_RELAY => serial::frame_relay(data),
        // Direction, port numbers, then a type (IEEE 802.1BR and Cisco VN-Tag: 4 bytes).
        VN_TAG => typed(data.get(4..).ok_or(CUT)?),
        // Version 1, one option of 4 bytes with a group's number, then a type.
        CISCO_METADATA => match data {
            [1, 1, ..] => typed(data.get(6..).ok_or(CUT)?),
            _ => Err(NOT_IP),
        },
        // The service's number in 4 bytes, then the customer's frame (IEEE 802.1Q, 9.7).
        PROVIDER_BACKBONE => Ok(Inside::Layer(LayerKind::ETHERNET, data.get(4..).ok_or(CUT)?)),
        MACSEC => macsec(data),
        NSH => tunnel::service_header(data),
        // A tag of a Marvell switch with a type of its own: two bytes reserved, four of the tag.
        MARVELL => typed(data.get(6..).ok_or(CUT)?),
        JUMBO_LLC => llc(data),
        ARP => Err("ARP"),
        _ => Err(NOT_IP),
    }
}

/// Frames that are authenticated and not enciphered: tag control, short length, packet number, and with the SC bit the
/// sender's identifier; then a type (IEEE 802.1AE, 9.3).
fn macsec(data: &[u8]) -> Step<'_> {
    match data.first() {
        Some(control) if control & 0x0c == 0 => {
            let tag = if control & 0x20 != 0 { 14 } else { 6 };
            typed(data.get(tag..).ok_or(CUT)?)
        }
        Some(_) => Err("encrypted by MACsec"),
        None => Err(CUT),
    }
}

/// LLC: two service access points and a control byte (IEEE 802.2), in SNAP an organization and its type as well.
pub(super) fn llc(data: &[u8]) -> Step<'_> {
    match data {
        [0xaa, 0xaa, 0x03, snap @ ..] => behind_snap(snap),
        [0x06, 0x06, 0x03, packet @ ..] => Ok(Inside::Layer(LayerKind::IP, packet)),
        [0xfe, 0xfe, 0x03, osi @ ..] => serial::behind_nlpid(osi),
        [] | [_] | [_, _] => Err(CUT),
        _ => Err(NOT_IP),
    }
}

/// Whether some bytes begin with LLC and SNAP before an Ethernet type. Eight bytes of cipher text do not by chance.
pub(super) fn begins_with_snap(data: &[u8]) -> bool {
    matches!(
        data,
        [0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8, 0x08, 0] | [0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8, 0x08, 0, ..]
    ) || matches!(data, [0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8, 0x86, 0xdd, ..])
        || matches!(data, [0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8, 0x81, 0, ..])
}

/// An organization's number in three bytes, and its type: Ethernet's own for 0 and for the bridge tunnel (RFC 1042, IEEE
/// 802.1H), frames with and without their checksum for 802.1 (RFC 2427, section 4).
pub(super) fn behind_snap(data: &[u8]) -> Step<'_> {
    let (&[a, b, c, high, low], rest) = data.split_first_chunk::<5>().ok_or(CUT)?;
    match ([a, b, c], u16::from_be_bytes([high, low])) {
        ([0, 0, 0 | 0xf8], number) if number > 1500 => Ok(Inside::Layer(LayerKind::EtherType(number), rest)),
        ([0, 0x80, 0xc2], 1 | 7) => Ok(Inside::Layer(LayerKind::ETHERNET, rest)),
        _ => Err(NOT_IP),
    }
}

/// What follows a stack of MPLS labels, the last of which is marked (RFC 3032, section 2.1). Nothing tells what that
/// is but its first bits.
pub(super) fn behind_labels(data: &[u8]) -> Step<'_> {
    let labels = data.chunks_exact(4).take(MOST_LABELS);
    let last = labels.into_iter().position(|label| label[2] & 1 == 1).ok_or(CUT)?;
    let rest = &data[4 * (last + 1)..];
    match rest.first().map(|first| first >> 4) {
        Some(4 | 6) => Ok(Inside::Layer(LayerKind::IP, rest)),
        // A control word before a frame of Ethernet (RFC 4448, section 4.6).
        Some(0) if rest.len() > 4 => Ok(Inside::Layer(LayerKind::ETHERNET, &rest[4..])),
        _ => Err(NOT_IP),
    }
}

/// Frames of a switch's port to its processor, with the switch's tag: four bytes of Broadcom's after the addresses or
/// before them, four of Marvell's after the addresses, or those after a type and two bytes more.
pub(super) fn switch_tag(link: LinkType, data: &[u8]) -> Step<'_> {
    match link {
        LinkType::DSA_TAG_BRCM_PREPEND => Ok(Inside::Layer(LayerKind::ETHERNET, data.get(4..).ok_or(CUT)?)),
        LinkType::DSA_TAG_EDSA => typed(data.get(20..).ok_or(CUT)?),
        _ => typed(data.get(16..).ok_or(CUT)?),
    }
}

/// Links that carry frames of Ethernet after a few bytes, or LLC after addresses of their own.
pub(super) fn relative(link: LinkType, data: &[u8]) -> Step<'_> {
    let (kind, before) = match link {
        // Access control, frame control, two addresses; a bit of the sender's says that a route follows, whose first
        // five bits of length count themselves (IEEE 802.5).
        LinkType::TOKEN_RING => match data {
            [_, _, _, _, _, _, _, _, source, _, _, _, _, _, route, ..] if source & 0x80 != 0 => {
                (LayerKind::Llc, 14 + usize::from(route & 0x1f))
            }
            _ => (LayerKind::Llc, 14),
        },
        // Frame control, of which LLC frames have 01 in the upper bits, and two addresses.
        LinkType::FDDI if data.first().is_some_and(|control| control & 0xc0 != 0x40) => return Err(NOT_IP),
        LinkType::FDDI => (LayerKind::Llc, 13),
        LinkType::ATM_RFC1483 => match data.first() {
            // Without LLC, IP comes at once (RFC 2684, section 6.1).
            Some(0x45) => (LayerKind::IP, 0),
            _ => (LayerKind::Llc, 0),
        },
        // Two addresses of 8 bytes (RFC 4338, section 4).
        LinkType::IP_OVER_FC => (LayerKind::Llc, 16),
        // Two addresses of 8 bytes, then a type.
        LinkType::FIREWIRE => return typed(data.get(16..).ok_or(CUT)?),
        LinkType::NETANALYZER => (LayerKind::ETHERNET, 4),
        // The same four bytes, then preamble and start of frame.
        LinkType::NETANALYZER_TRANSPARENT => (LayerKind::ETHERNET, 12),
        // The end of the preamble, which names the logical link (IEEE 802.3, 65.1.3.2).
        LinkType::EPON => (LayerKind::ETHERNET, 8),
        _ => return Err(NOT_IP),
    };
    Ok(Inside::Layer(kind, data.get(before..).ok_or(CUT)?))
}

/// IPv4 (RFC 894).
pub(super) const IPV4: u16 = 0x0800;
/// IPv6 (RFC 2464).
pub(super) const IPV6: u16 = 0x86dd;
/// The session stage of PPPoE.
pub(super) const PPPOE: u16 = 0x8864;
/// MPLS (RFC 3032, section 5).
pub(super) const MPLS: u16 = 0x8847;
/// The service header of RFC 8300.
pub(super) const NSH: u16 = 0x894f;
/// A frame of Ethernet in GRE (RFC 1701).
pub(super) const TRANSPARENT_ETHERNET: u16 = 0x6558;

const MPLS_MULTICAST: u16 = 0x8848;
const VLAN: u16 = 0x8100;
const SERVICE_VLAN: u16 = 0x88a8;
const PPP: u16 = 0x880b;
const FRAME_RELAY: u16 = 0x6559;
const ARP: u16 = 0x0806;
const VN_TAG: u16 = 0x8926;
const CISCO_METADATA: u16 = 0x8909;
const PROVIDER_BACKBONE: u16 = 0x88e7;
const MACSEC: u16 = 0x88e5;
const MARVELL: u16 = 0xdada;
const JUMBO_LLC: u16 = 0x8870;
const MOST_LABELS: usize = 16;
