//! Packets that travel in others: behind PPPoE or MPLS, in GRE, VXLAN, or in IP itself. What counts is the innermost.

use etherparse::{EtherType, IpNumber, LaxSlicedPacket};

use super::{CUT, NOT_IP, Parsed, transport};

/// How a packet was come by.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PacketOrigin {
    /// Whether the capturing machine sent it, where the link layer says.
    pub(super) outgoing: Option<bool>,
    /// In how many others it travels.
    depth: u8,
}

/// How many packets may travel in each other. Two are seen; a hostile packet could hold hundreds.
const DEEPEST: u8 = 4;

impl PacketOrigin {
    pub(super) const fn of(outgoing: Option<bool>) -> Self {
        Self { outgoing, depth: 0 }
    }

    fn deeper(self) -> Option<Self> {
        (self.depth < DEEPEST).then_some(Self { depth: self.depth + 1, ..self })
    }
}

/// What follows an Ethernet type that is neither IP nor a VLAN tag.
pub(super) fn behind_ether_type(ether_type: u16, data: &[u8], origin: PacketOrigin) -> Parsed<'_> {
    let Some(origin) = origin.deeper() else { return Parsed::Other(TOO_DEEP) };
    match EtherType(ether_type) {
        EtherType::IPV4 | EtherType::IPV6 | EtherType::VLAN_TAGGED_FRAME | EtherType::PROVIDER_BRIDGING => {
            transport(&LaxSlicedPacket::from_ether_type(EtherType(ether_type), data), origin)
        }
        // Version and type 1, code 0 for data, session, length (RFC 2516, section 4).
        PPPOE => match data {
            [0x11, 0, _, _, _, _, ppp @ ..] => behind_ppp(ppp, origin),
            _ => Parsed::Other(NOT_IP),
        },
        MPLS | MPLS_MULTICAST => behind_labels(data, origin),
        ETHERNET => ethernet(data, origin),
        PPP => behind_ppp(data, origin),
        _ => Parsed::Other(NOT_IP),
    }
}

/// What follows an IP header that announces neither TCP nor UDP.
pub(super) fn behind_ip(protocol: u8, data: &[u8], origin: PacketOrigin) -> Parsed<'_> {
    let Some(origin) = origin.deeper() else { return Parsed::Other(TOO_DEEP) };
    match IpNumber(protocol) {
        IpNumber::IPV4 | IpNumber::IPV6 => ip(data, origin),
        IpNumber::GRE => behind_gre(data, origin),
        ETHERNET_IN_IP => match data.split_at_checked(2) {
            // EtherIP: version 3 and reserved bits (RFC 3378, section 3).
            Some(([0x30, 0], frame)) => ethernet(frame, origin),
            _ => Parsed::Other(NOT_IP),
        },
        _ => Parsed::Other(NEITHER),
    }
}

/// The frame in a VXLAN datagram: flags that say there is a network number, three bytes of zeros, that number, a byte
/// of zeros (RFC 7348, section 5). `None` when it is none.
pub(super) fn behind_vxlan(port: u16, data: &[u8], origin: PacketOrigin) -> Option<Parsed<'_>> {
    match data {
        [0x08, 0, 0, 0, _, _, _, 0, frame @ ..] if port == VXLAN_PORT => {
            Some(ethernet(frame, origin.deeper()?))
        }
        _ => None,
    }
}

/// What follows the header of PPP: mostly address and control, then the protocol, of which a first byte of zeros may
/// be left out (RFC 1661, section 2; RFC 1662, section 3.1).
pub(super) fn behind_ppp(data: &[u8], origin: PacketOrigin) -> Parsed<'_> {
    let data = data.strip_prefix(&[0xff, 0x03]).unwrap_or(data);
    match data {
        [0, 0x21, packet @ ..] | [0x21, packet @ ..] | [0, 0x57, packet @ ..] | [0x57, packet @ ..] => {
            ip(packet, origin)
        }
        [0x02, 0x81, labelled @ ..] => behind_labels(labelled, origin),
        [] => Parsed::Other(CUT),
        _ => Parsed::Other(NOT_IP),
    }
}

/// What follows a stack of MPLS labels, the last of which is marked (RFC 3032, section 2.1). Nothing tells what that
/// is but its first bits.
fn behind_labels(data: &[u8], origin: PacketOrigin) -> Parsed<'_> {
    let labels = data.chunks_exact(4).take(MOST_LABELS);
    let Some(last) = labels.into_iter().position(|label| label[2] & 1 == 1) else {
        return Parsed::Other(CUT);
    };
    let rest = &data[4 * (last + 1)..];
    match rest.first().map(|first| first >> 4) {
        Some(4 | 6) => ip(rest, origin),
        // A control word before a frame of Ethernet (RFC 4448, section 4.6).
        Some(0) if rest.len() > 4 => ethernet(&rest[4..], origin),
        _ => Parsed::Other(NOT_IP),
    }
}

/// What follows the header of GRE, whose flags tell its length (RFC 2784, section 2; RFC 2890, section 2; for version 1
/// RFC 2637, section 4.1).
fn behind_gre(data: &[u8], origin: PacketOrigin) -> Parsed<'_> {
    let Some((&[flags, more, high, low], rest)) = data.split_first_chunk::<4>() else {
        return Parsed::Other(CUT);
    };
    let flag = |flags: u8, bit: u8| usize::from(flags & bit != 0) * 4;
    let optional = match more & 7 {
        // Checksum, key and sequence number; source routes are long gone.
        0 if flags & 0x40 == 0 => flag(flags, 0x80) + flag(flags, 0x20) + flag(flags, 0x10),
        // The key is always there; without a sequence number nothing is carried.
        1 if flags & 0x10 != 0 => 4 + 4 + flag(more, 0x80),
        _ => return Parsed::Other(NOT_IP),
    };
    match rest.get(optional..) {
        Some(carried) => behind_ether_type(u16::from_be_bytes([high, low]), carried, origin),
        None => Parsed::Other(CUT),
    }
}

fn ip(data: &[u8], origin: PacketOrigin) -> Parsed<'_> {
    match LaxSlicedPacket::from_ip(data) {
        Ok(packet) => transport(&packet, origin),
        Err(_) => Parsed::Other("garbled IP header"),
    }
}

fn ethernet(data: &[u8], origin: PacketOrigin) -> Parsed<'_> {
    match LaxSlicedPacket::from_ethernet(data) {
        Ok(packet) => transport(&packet, origin),
        Err(_) => Parsed::Other(CUT),
    }
}

/// The session stage of PPPoE.
pub(super) const PPPOE: EtherType = EtherType(0x8864);
const MPLS: EtherType = EtherType(0x8847);
const MPLS_MULTICAST: EtherType = EtherType(0x8848);
/// A frame of Ethernet in GRE.
const ETHERNET: EtherType = EtherType(0x6558);
/// PPP in GRE.
const PPP: EtherType = EtherType(0x880b);
const ETHERNET_IN_IP: IpNumber = IpNumber(97);
const VXLAN_PORT: u16 = 4789;
const MOST_LABELS: usize = 16;

const TOO_DEEP: &str = "too many packets in each other";
const NEITHER: &str = "neither TCP nor UDP";

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::super::{LinkType, parse};
    use super::*;

    /// IPv4 and UDP, ports 1 and 2, around `hello`.
    fn innermost() -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4([10, 0, 0, 2], [10, 0, 0, 3], 64).udp(1, 2).write(&mut bytes, b"hello").unwrap();
        bytes
    }

    /// IPv4 around something else.
    fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
        let length = (bytes.len() + payload.len()) as u16;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    fn ipv6(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u16).to_be_bytes();
        [&[0x60, 0, 0, 0, length[0], length[1], protocol, 64][..], &[0xfd; 32], payload].concat()
    }

    fn frame(rest: &[u8]) -> Vec<u8> {
        [&[2; 12][..], rest].concat()
    }

    #[track_caller]
    fn reaches(link: u32, data: &[u8]) {
        let Parsed::Udp(datagram) = parse(LinkType(link), data) else {
            panic!("{:?}", parse(LinkType(link), data))
        };
        assert_eq!((datagram.payload, datagram.src.port(), datagram.dst.port()), (&b"hello"[..], 1, 2));
        for end in 0..data.len() {
            parse(LinkType(link), &data[..end]);
        }
    }

    fn with(head: &[u8], rest: &[u8]) -> Vec<u8> {
        [head, rest].concat()
    }

    #[test]
    fn reads_ppp_with_and_without_what_may_be_left_out() {
        for head in [&[0xff, 0x03, 0, 0x21][..], &[0xff, 0x03, 0x21], &[0, 0x21], &[0x21]] {
            reaches(9, &with(head, &innermost()));
        }
        reaches(50, &with(&[0xff, 0x03, 0, 0x57], &ipv6(4, &innermost())));
        // PPPoE behind two VLAN tags: session 7
        let tags = [0x88, 0xa8, 0, 1, 0x81, 0, 0, 5, 0x88, 0x64, 0x11, 0, 0, 7, 0, 35, 0, 0x21];
        reaches(1, &frame(&with(&tags, &innermost())));
        reaches(51, &with(&[0x11, 0, 0, 7, 0, 35, 0, 0x21], &innermost()));
    }

    #[test]
    fn reads_behind_labels() {
        // two labels, the second the last
        let labels = [0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64];
        reaches(1, &frame(&with(&labels, &innermost())));
        let inner = frame(&with(&[0x08, 0], &innermost()));
        reaches(1, &frame(&with(&[0x88, 0x47, 0, 2, 1, 64, 0, 0, 0, 0], &inner)));
    }

    #[test]
    fn reads_ip_in_ip_of_both_versions() {
        let mut inner = Vec::new();
        PacketBuilder::ipv6([0xfd; 16], [0xfe; 16], 64).udp(1, 2).write(&mut inner, b"hello").unwrap();
        reaches(101, &ipv4(4, &innermost()));
        reaches(101, &ipv4(41, &inner));
        reaches(101, &ipv6(41, &inner));
        // hop-by-hop options of 8 bytes, destination options of 16, then IPv4
        let extensions = [60, 0, 1, 4, 0, 0, 0, 0, 4, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        reaches(101, &ipv6(0, &with(&extensions, &innermost())));
    }

    #[test]
    fn reads_gre_whatever_its_flags() {
        for head in [
            &[0, 0, 0x08, 0][..],
            &[0x80, 0, 0x08, 0, 1, 2, 0, 0],
            &[0xb0, 0, 0x08, 0, 1, 2, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1],
            // PPTP: key, sequence number, acknowledgement, then PPP
            &[0x30, 0x81, 0x88, 0x0b, 0, 35, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0x21],
        ] {
            reaches(101, &ipv4(47, &with(head, &innermost())));
        }
        let bridged = frame(&with(&[0x08, 0], &innermost()));
        reaches(101, &ipv4(47, &with(&[0, 0, 0x65, 0x58], &bridged)));
        // source routes; PPTP that only acknowledges
        for head in [[0x40, 0, 0x08, 0], [0x20, 0x81, 0x88, 0x0b]] {
            assert_eq!(parse(LinkType::RAW, &ipv4(47, &with(&head, &innermost()))), Parsed::Other(NOT_IP));
        }
    }

    #[test]
    fn reads_vxlan_on_its_port_alone() {
        let inner = with(&[0x08, 0, 0, 0, 0, 0, 9, 0], &frame(&with(&[0x08, 0], &innermost())));
        let outer = |port: u16| {
            let mut bytes = Vec::new();
            PacketBuilder::ipv4([10, 1, 0, 1], [10, 1, 0, 2], 64)
                .udp(1, port)
                .write(&mut bytes, &inner)
                .unwrap();
            bytes
        };
        reaches(101, &outer(4789));
        let other = outer(4788);
        let Parsed::Udp(datagram) = parse(LinkType::RAW, &other) else { panic!() };
        assert_eq!(datagram.payload, inner);
    }

    #[test]
    fn does_not_go_on_without_end() {
        let mut packet = innermost();
        for _ in 0..=DEEPEST {
            packet = ipv4(4, &packet);
        }
        assert_eq!(parse(LinkType::RAW, &packet), Parsed::Other(TOO_DEEP));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_in_a_tunnel_are_read_without_panic(
            protocol in proptest::sample::select(vec![4u8, 41, 47, 97]),
            ether_type in proptest::sample::select(vec![0x8864u16, 0x8847, 0x6558, 0x880b]),
            data in proptest::collection::vec(proptest::num::u8::ANY, 0..80),
        ) {
            parse(LinkType::RAW, &ipv4(protocol, &data));
            parse(LinkType::ETHERNET, &frame(&[&ether_type.to_be_bytes()[..], &data].concat()));
            parse(LinkType(9), &data);
        }
    }
}
