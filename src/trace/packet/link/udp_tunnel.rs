//! Tunnels over UDP. A port proves nothing, since any program may choose any, a BitTorrent client too: every reader here
//! only says where an IP packet would be, and that packet has to prove it ([`Demand`]). Some are known on any port by what
//! their headers hold besides; those packets then need a right checksum too.

use super::layers::{Claim, LayerKind};
use super::proof::Demand;
use super::wireless::FrameLayout;
use super::{Datagram, LinkType, Parsed, ethernet, tunnel};

/// What a tunnel holds: as what, and the bytes.
type Held<'a> = (LayerKind, &'a [u8]);

/// What `datagram` holds if it is a tunnel, as far as its header tells.
pub(super) fn claim<'a>(datagram: &Datagram<'a>) -> Option<Claim<'a>> {
    let data = datagram.payload;
    // No tunnel around IP is shorter.
    if data.len() < 24 {
        return None;
    }
    let on_its_port =
        [datagram.dst.port(), datagram.src.port()].into_iter().find_map(|port| by_port(port, data));
    let (held, checksum) = match on_its_port {
        Some(held) => (held, false),
        None => (by_content(data)?, true),
    };
    let proof = Demand { lost: datagram.lost_tail as usize, checksum };
    Some(Claim { kind: held.0, data: held.1, datagram: Parsed::Udp(*datagram), proof })
}

/// The tunnels that a port is registered for, or used for by default.
fn by_port(port: u16, data: &[u8]) -> Option<Held<'_>> {
    match port {
        1701 => l2tp(data),
        2152 => gtp(data),
        3544 => teredo(data),
        4341 => lisp(data),
        4754 => Some((LayerKind::IpProtocol(tunnel::GRE), data)),
        // 8472 is what Linux took before a port was registered.
        4789 | 4790 | 8472 => vxlan(data),
        5247 => capwap(data),
        6081 => geneve(data),
        6635 => Some((LayerKind::EtherType(ethernet::MPLS), data)),
        37008 => tzsp(data),
        _ => None,
    }
}

/// The tunnels whose headers have so many fixed bits that they may be looked for on any port.
fn by_content(data: &[u8]) -> Option<Held<'_>> {
    let &[first, second, third, fourth, ..] = data else { return None };
    match (first, second) {
        (0x08 | 0x0c | 0x88, _) => vxlan(data),
        (0x30..=0x37, 0xff) => gtp(data),
        (0x00..=0x3f, 0 | 0x40) if [third, fourth] == ethernet::TRANSPARENT_ETHERNET.to_be_bytes() => {
            geneve(data)
        }
        // Teredo clients reach each other on ports of their own; both have addresses of 2001::/32 (RFC 4380, section 2.6).
        (0x60..=0x6f, _) if data[8..12] == TEREDO_PREFIX && data.get(24..28)? == TEREDO_PREFIX => {
            teredo(data)
        }
        _ => None,
    }
}

/// VXLAN: flags that say there is a network number, three bytes of zeros, that number, a byte of zeros (RFC 7348, section
/// 5). With the group policy a group stands in two of the zeros. The generic extension has the next protocol in the third
/// (draft-ietf-nvo3-vxlan-gpe, section 3.1).
fn vxlan(data: &[u8]) -> Option<Held<'_>> {
    match data {
        [0x08, 0, 0, 0, _, _, _, 0, frame @ ..] => Some((LayerKind::ETHERNET, frame)),
        [0x88, policy, _, _, _, _, _, 0, frame @ ..] if policy & !0x48 == 0 => {
            Some((LayerKind::ETHERNET, frame))
        }
        [0x0c, 0, 0, next, _, _, _, 0, packet @ ..] => Some((tunnel::next_protocol(*next)?, packet)),
        _ => None,
    }
}

/// Geneve: version 0 and the options' length in words, flags, an Ethernet type, a network number, a byte of zeros, the
/// options (RFC 8926, section 3.4).
fn geneve(data: &[u8]) -> Option<Held<'_>> {
    let &[options, flags, high, low, _, _, _, 0, ..] = data else { return None };
    if options & 0xc0 != 0 || flags & 0x3f != 0 {
        return None;
    }
    let kind = LayerKind::EtherType(u16::from_be_bytes([high, low]));
    Some((kind, data.get(8 + 4 * usize::from(options)..)?))
}

/// GTP-U: version 1 and what is present, 255 for a packet of a user, the length after 8 bytes, a tunnel's number; if
/// anything is present a sequence number, another, and the type of an extension; extensions have their length in words
/// first and the type of the next one last (3GPP TS 29.281, section 5).
fn gtp(data: &[u8]) -> Option<Held<'_>> {
    let (&[flags, 0xff, high, low, ..], rest) = data.split_first_chunk::<8>()? else { return None };
    if flags & 0xf0 != 0x30 {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    let mut rest = rest.get(..length).unwrap_or(rest);
    if flags & 0x07 != 0 {
        let (&[_, _, _, mut next], mut behind) = rest.split_first_chunk::<4>()?;
        if flags & 0x04 == 0 {
            next = 0;
        }
        while next != 0 {
            // A length of 0 would not go on.
            let length = 4 * usize::from(*behind.first()?).max(1);
            next = *behind.get(length - 1)?;
            behind = &behind[length..];
        }
        rest = behind;
    }
    match rest.first()? >> 4 {
        4 | 6 => Some((LayerKind::IP, rest)),
        _ => Some((LayerKind::ETHERNET, rest)),
    }
}

/// Teredo: perhaps an authentication (0, 1, two lengths, what has these, 8 bytes of a nonce, one of confirmation), perhaps
/// an origin (two zeros, port, address), then IPv6 (RFC 4380, section 5.1.1).
fn teredo(mut data: &[u8]) -> Option<Held<'_>> {
    if let [0, 1, client, authentication, ..] = data {
        data = data.get(4 + usize::from(*client) + usize::from(*authentication) + 9..)?;
    }
    if data.starts_with(&[0, 0]) {
        data = data.get(8..)?;
    }
    (data.first()? >> 4 == 6).then_some((LayerKind::IP, data))
}

/// L2TP: flags and version. In version 2 (RFC 2661, section 3.1) a length, if flagged, the tunnel's and the session's
/// number, two sequence numbers and an offset, if flagged, then PPP. In version 3 (RFC 3931, section 4.1.2.1) the session's
/// number, and a frame.
fn l2tp(data: &[u8]) -> Option<Held<'_>> {
    let (&[flags, version], rest) = data.split_first_chunk::<2>()?;
    match version {
        2 if flags & (CONTROL | 0x34) == 0 => {
            let flagged = |bit: u8, length: usize| if flags & bit != 0 { length } else { 0 };
            let offset = flagged(0x40, 2) + 4 + flagged(0x08, 4);
            if flags & 0x02 == 0 {
                return Some((LayerKind::PPP, rest.get(offset..)?));
            }
            let padding = u16::from_be_bytes([*rest.get(offset)?, *rest.get(offset + 1)?]);
            Some((LayerKind::PPP, rest.get(offset + 2 + usize::from(padding)..)?))
        }
        3 if flags & CONTROL == 0 => Some((LayerKind::ETHERNET, pseudowire(rest.get(6..)?)?)),
        _ => None,
    }
}

/// Of L2TP's flags: a control message.
const CONTROL: u8 = 0x80;

/// The frame of Ethernet after a session's number of L2TP version 3. A cookie of 4 or 8 bytes and a sublayer of 4 may be
/// before it, which only the two ends know: where a frame around IP fits tells.
pub(super) fn pseudowire(data: &[u8]) -> Option<&[u8]> {
    [0, 4, 8, 12].into_iter().filter_map(|before| data.get(before..)).find(|frame| {
        let demand = Demand { lost: 0, checksum: true };
        match frame.get(12..) {
            Some([0x08, 0x00, packet @ ..] | [0x86, 0xdd, packet @ ..]) => demand.is_met(packet),
            Some([0x81, 0x00, _, _, 0x08, 0x00, packet @ ..]) => demand.is_met(packet),
            _ => false,
        }
    })
}

/// TZSP: version 1, 0 for a received packet or 1 for one to send, what it is, then tags: 0 is padding, 1 the end, others
/// have a length.
pub(super) fn tzsp(data: &[u8]) -> Option<Held<'_>> {
    let (&[1, 0 | 1, 0, encapsulated], mut rest) = data.split_first_chunk::<4>()? else { return None };
    loop {
        rest = match rest {
            [0, rest @ ..] => rest,
            [1, frame @ ..] => {
                let kind = match encapsulated {
                    1 => LayerKind::ETHERNET,
                    18 => LayerKind::Link(LinkType::IEEE802_11),
                    119 => LayerKind::Link(LinkType::PRISM),
                    127 => LayerKind::Link(LinkType::AVS),
                    _ => return None,
                };
                return Some((kind, frame));
            }
            [_, length, rest @ ..] => rest.get(usize::from(*length)..)?,
            _ => return None,
        };
    }
}

/// CAPWAP's data channel: version 0 and header type 0 (1 is DTLS), in the next three bytes the header's length in words (5
/// bits), a radio (5), what it carries (5: 1 is 802.11) and flags, of which T says that the frame is as the radio has it
/// and F that it is a part of one; then number and place of the part (RFC 5415, section 4.3).
fn capwap(data: &[u8]) -> Option<Held<'_>> {
    let &[0, first, second, third, _, _, offset_high, offset_low, ..] = data else { return None };
    let length = 4 * usize::from(first >> 3);
    let carries = second & 0x3e;
    let native = second & 1 != 0;
    let part = third & 0x80 != 0;
    let offset = u16::from_be_bytes([offset_high, offset_low]) >> 3;
    if length < 8 || part && offset != 0 {
        return None;
    }
    let frame = data.get(length..)?;
    match (native, carries >> 1) {
        (false, _) => Some((LayerKind::ETHERNET, frame)),
        (true, 1) => {
            // Frame control of data, in the order of the standard or in Cisco's.
            let swapped = matches!(frame, [_, 0x08 | 0x88, ..]) && !matches!(frame, [0x08 | 0x88, ..]);
            Some((LayerKind::Wireless(FrameLayout { padded: false, swapped }), frame))
        }
        _ => None,
    }
}

/// LISP: flags, 7 bytes of a nonce, versions, locators or an instance's number by these, then IP (RFC 9300, section 5.1).
/// With the flag of the generic extension the fourth byte is the next protocol (RFC 9305, section 3).
fn lisp(data: &[u8]) -> Option<Held<'_>> {
    let (&[flags, _, _, next, ..], packet) = data.split_first_chunk::<8>()?;
    if flags & 0x04 == 0 {
        return Some((LayerKind::IP, packet));
    }
    Some((tunnel::next_protocol(next)?, packet))
}

const TEREDO_PREFIX: [u8; 4] = [0x20, 0x01, 0, 0];
