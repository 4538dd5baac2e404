//! From a captured frame to what TCP or UDP carries. Lengths come from IP, so that padding is never taken for
//! payload; checksums never matter, because a sending host captures packets before they have one.

mod tunnel;

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, IpNumber, Ipv4HeaderSlice, Ipv6ExtensionSlice, LaxIpPayloadSlice, LaxNetSlice,
    LaxSlicedPacket, TcpSlice, TransportSlice, UdpSlice,
};

use tunnel::PacketOrigin;

/// What the bytes of a packet begin with: a number of the tcpdump.org list of link-layer header types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkType(pub u32);

impl LinkType {
    /// BSD loopback: an address family in the byte order of the capturing machine, then IP.
    pub const NULL: Self = Self(0);
    /// Ethernet, with or without VLAN tags.
    pub const ETHERNET: Self = Self(1);
    /// IP with nothing before it.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: an address family in network byte order, then IP.
    pub const LOOP: Self = Self(108);
    /// PPP, as modems and tunnels give it.
    pub const PPP: Self = Self(9);
    /// PPP in frames like those of HDLC.
    pub const PPP_HDLC: Self = Self(50);
    /// PPPoE with nothing before it.
    pub const PPP_ETHERNET: Self = Self(51);
    /// Linux "cooked" capture, version 1.
    pub const LINUX_SLL: Self = Self(113);
    /// IPv4 with nothing before it.
    pub const IPV4: Self = Self(228);
    /// IPv6 with nothing before it.
    pub const IPV6: Self = Self(229);
    /// Linux "cooked" capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);
    /// What some systems write for [`RAW`](Self::RAW).
    const RAW_BSD: Self = Self(12);
    /// What OpenBSD writes for [`RAW`](Self::RAW).
    const RAW_OPENBSD: Self = Self(14);
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A TCP segment.
    Tcp(Segment<'a>),
    /// A UDP datagram.
    Udp(Datagram<'a>),
    /// A part of an IP packet that was cut up on its way.
    Fragment(IpFragment<'a>),
    /// Neither, or too little of either; why, in a few words.
    Other(&'static str),
}

/// A part of an IP packet (RFC 791, section 3.2; RFC 8200, section 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpFragment<'a> {
    /// Which packet it is a part of.
    pub packet: FragmentedPacket,
    /// Where the part stands in the packet, in units of 8 bytes.
    pub offset: u16,
    /// Whether other parts follow.
    pub more: bool,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// What the parts of one IP packet have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FragmentedPacket {
    /// Who sent it.
    pub src: IpAddr,
    /// To whom.
    pub dst: IpAddr,
    /// The number the sender gave it.
    pub identification: u32,
    /// What it carries: 6 for TCP, 17 for UDP.
    pub protocol: u8,
}

impl FragmentedPacket {
    /// What `payload`, the whole packet's, carries.
    pub fn parse(self, payload: &[u8]) -> Parsed<'_> {
        let slice = match IpNumber(self.protocol) {
            IpNumber::TCP => TcpSlice::from_slice(payload).ok().map(TransportSlice::Tcp),
            IpNumber::UDP => UdpSlice::from_slice(payload).ok().map(TransportSlice::Udp),
            IpNumber(other) => return tunnel::behind_ip(other, payload, PacketOrigin::default()),
        };
        match slice {
            Some(slice) => carried(self.src, self.dst, &slice, 0, PacketOrigin::default()),
            None => Parsed::Other(CUT),
        }
    }
}

/// A TCP segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Who sent it.
    pub src: SocketAddr,
    /// To whom.
    pub dst: SocketAddr,
    /// The number of its first byte, or of its SYN.
    pub seq: u32,
    /// The number of the byte that its sender wants next.
    pub ack: Option<u32>,
    /// It opens its direction.
    pub syn: bool,
    /// Its direction ends after it.
    pub fin: bool,
    /// It ends the connection at once.
    pub rst: bool,
    /// How many bytes its sender would take, before scaling.
    pub window: u16,
    /// What it carries, as far as it was captured.
    pub payload: &'a [u8],
    /// How many bytes after `payload` it carried that were not captured.
    pub lost_tail: u32,
    /// Whether the capturing machine sent it, where the link layer says.
    pub outgoing: Option<bool>,
}

/// A UDP datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub src: SocketAddr,
    /// To whom.
    pub dst: SocketAddr,
    /// What it carries, as far as it was captured.
    pub payload: &'a [u8],
    /// How many bytes after `payload` it carried that were not captured.
    pub lost_tail: u32,
    /// Whether the capturing machine sent it, where the link layer says.
    pub outgoing: Option<bool>,
}

/// Reads a packet down to what TCP or UDP carries in it. Any bytes are welcome: what makes no sense is
/// [`Parsed::Other`].
pub fn parse(link: LinkType, data: &[u8]) -> Parsed<'_> {
    let whole = match link {
        LinkType::ETHERNET => whole_tcp(behind_ethernet(data)),
        LinkType::RAW | LinkType::IPV4 => whole_tcp(data),
        _ => None,
    };
    whole.unwrap_or_else(|| parse_any(link, data))
}

/// What nearly every packet is, read by a shorter way: TCP over IPv4, whole, not fragmented. `None` for all else.
fn whole_tcp(data: &[u8]) -> Option<Parsed<'_>> {
    let ip = Ipv4HeaderSlice::from_slice(data).ok()?;
    let bytes = data.get(ip.slice().len()..usize::from(ip.total_len()))?;
    if ip.protocol() != IpNumber::TCP || ip.is_fragmenting_payload() {
        return None;
    }
    let tcp = TransportSlice::Tcp(TcpSlice::from_slice(bytes).ok()?);
    let (src, dst) = (IpAddr::V4(ip.source_addr()), IpAddr::V4(ip.destination_addr()));
    Some(carried(src, dst, &tcp, 0, PacketOrigin::default()))
}

/// What stands behind an Ethernet header that is followed by IPv4 at once; nothing when it is not.
fn behind_ethernet(data: &[u8]) -> &[u8] {
    match data.split_first_chunk::<14>() {
        Some(([.., high, low], rest)) if EtherType(u16::from_be_bytes([*high, *low])) == EtherType::IPV4 => {
            rest
        }
        _ => &[],
    }
}

fn parse_any(link: LinkType, data: &[u8]) -> Parsed<'_> {
    match link {
        LinkType::ETHERNET => match LaxSlicedPacket::from_ethernet(data) {
            Ok(packet) => transport(&packet, PacketOrigin::default()),
            Err(_) => Parsed::Other(CUT),
        },
        LinkType::LINUX_SLL => {
            // Packet type, device type, address length, eight address bytes, protocol.
            let Some((header, rest)) = data.split_first_chunk::<16>() else { return Parsed::Other(CUT) };
            cooked(u16::from_be_bytes([header[14], header[15]]), header[1], rest)
        }
        LinkType::LINUX_SLL2 => {
            // Protocol, two bytes reserved, interface, device type, packet type, address length, address.
            let Some((header, rest)) = data.split_first_chunk::<20>() else { return Parsed::Other(CUT) };
            cooked(u16::from_be_bytes([header[0], header[1]]), header[10], rest)
        }
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => ip(data),
        LinkType::IPV4 if data.first().is_some_and(|first| first >> 4 == 4) => ip(data),
        LinkType::IPV6 if data.first().is_some_and(|first| first >> 4 == 6) => ip(data),
        LinkType::IPV4 | LinkType::IPV6 => Parsed::Other(NOT_IP),
        LinkType::PPP | LinkType::PPP_HDLC => tunnel::behind_ppp(data, PacketOrigin::default()),
        LinkType::PPP_ETHERNET => tunnel::behind_ether_type(tunnel::PPPOE.0, data, PacketOrigin::default()),
        LinkType::NULL | LinkType::LOOP => {
            let Some((family, rest)) = data.split_first_chunk::<4>() else { return Parsed::Other(CUT) };
            // Each system has its own number for IPv6, and a file may come from a machine of either order.
            match u32::from_le_bytes(*family).min(u32::from_be_bytes(*family)) {
                2 | 10 | 24 | 28 | 30 => ip(rest),
                _ => Parsed::Other(NOT_IP),
            }
        }
        _ => Parsed::Other(UNKNOWN_LINK),
    }
}

fn cooked(protocol: u16, packet_type: u8, rest: &[u8]) -> Parsed<'_> {
    // To us, broadcast, multicast; between others; from us.
    let outgoing = match packet_type {
        0..=2 => Some(false),
        4 => Some(true),
        _ => None,
    };
    transport(&LaxSlicedPacket::from_ether_type(EtherType(protocol), rest), PacketOrigin::of(outgoing))
}

fn ip(data: &[u8]) -> Parsed<'_> {
    match LaxSlicedPacket::from_ip(data) {
        Ok(packet) => transport(&packet, PacketOrigin::default()),
        Err(_) => Parsed::Other("garbled IP header"),
    }
}

fn transport<'a>(packet: &LaxSlicedPacket<'a>, origin: PacketOrigin) -> Parsed<'a> {
    let (src, dst, payload, missing) = match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let src = IpAddr::V4(header.source_addr());
            let dst = IpAddr::V4(header.destination_addr());
            let payload = ip.payload();
            let extension = ip.extensions().auth.map_or(0, |auth| auth.slice().len());
            let present = header.slice().len() + extension + payload.payload.len();
            (src, dst, payload, usize::from(header.total_len()).saturating_sub(present))
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let src = IpAddr::V6(header.source_addr());
            let dst = IpAddr::V6(header.destination_addr());
            let payload = ip.payload();
            let present = ip.extensions().slice().len() + payload.payload.len();
            (src, dst, payload, usize::from(header.payload_length()).saturating_sub(present))
        }
        Some(LaxNetSlice::Arp(_)) => return Parsed::Other("ARP"),
        None if packet.stop_err.is_some() => return Parsed::Other("garbled IP header"),
        None => {
            let Some(payload) = packet.ether_payload() else { return Parsed::Other(NOT_IP) };
            return tunnel::behind_ether_type(payload.ether_type.0, payload.payload, origin);
        }
    };
    if payload.fragmented {
        return fragment(packet, src, dst, payload);
    }
    match &packet.transport {
        Some(slice) => carried(src, dst, slice, lost(payload, missing), origin),
        None if packet.stop_err.is_some() => Parsed::Other(CUT),
        None => tunnel::behind_ip(payload.ip_number.0, payload.payload, origin),
    }
}

/// What a transport header and what follows it say, `missing` bytes of it not captured.
fn carried<'a>(
    src: IpAddr,
    dst: IpAddr,
    slice: &TransportSlice<'a>,
    missing: u32,
    origin: PacketOrigin,
) -> Parsed<'a> {
    match slice {
        TransportSlice::Tcp(tcp) => Parsed::Tcp(Segment {
            src: SocketAddr::new(src, tcp.source_port()),
            dst: SocketAddr::new(dst, tcp.destination_port()),
            seq: tcp.sequence_number(),
            ack: tcp.ack().then(|| tcp.acknowledgment_number()),
            syn: tcp.syn(),
            fin: tcp.fin(),
            rst: tcp.rst(),
            window: tcp.window_size(),
            payload: tcp.payload(),
            lost_tail: missing,
            outgoing: origin.outgoing,
        }),
        TransportSlice::Udp(udp) => {
            if let Some(parsed) = tunnel::behind_vxlan(udp.destination_port(), udp.payload(), origin) {
                return parsed;
            }
            let carried = u32::from(udp.length().saturating_sub(8));
            let present = udp.payload().len() as u32;
            Parsed::Udp(Datagram {
                src: SocketAddr::new(src, udp.source_port()),
                dst: SocketAddr::new(dst, udp.destination_port()),
                payload: udp.payload(),
                lost_tail: missing.min(carried.saturating_sub(present)),
                outgoing: origin.outgoing,
            })
        }
        TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_) => Parsed::Other("ICMP"),
        TransportSlice::Igmp(_) => Parsed::Other("IGMP"),
    }
}

fn fragment<'a>(
    packet: &LaxSlicedPacket<'a>,
    src: IpAddr,
    dst: IpAddr,
    payload: &LaxIpPayloadSlice<'a>,
) -> Parsed<'a> {
    if payload.incomplete {
        return Parsed::Other(CUT);
    }
    let (identification, offset, more) = match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            (u32::from(header.identification()), header.fragments_offset(), header.more_fragments())
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header = ip.extensions().clone().into_iter().find_map(|extension| match extension {
                Ipv6ExtensionSlice::Fragment(header) => Some(header.to_header()),
                _ => None,
            });
            let Some(header) = header else { return Parsed::Other("garbled IP header") };
            (header.identification, header.fragment_offset, header.more_fragments)
        }
        _ => return Parsed::Other(NOT_IP),
    };
    let packet = FragmentedPacket { src, dst, identification, protocol: payload.ip_number.0 };
    Parsed::Fragment(IpFragment { packet, offset: offset.value(), more, payload: payload.payload })
}

/// How many bytes the IP header promises beyond those captured. A length of 0 (a packet caught before the
/// network card cut it into pieces) promises nothing.
fn lost(payload: &LaxIpPayloadSlice<'_>, missing: usize) -> u32 {
    if payload.incomplete { u32::try_from(missing).unwrap_or(0) } else { 0 }
}

/// Why a packet of a link type that is not read is [`Parsed::Other`].
pub(crate) const UNKNOWN_LINK: &str = "link type not known";

const CUT: &str = "cut short";
const NOT_IP: &str = "not IP";

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    /// The shorter way says what the longer one says, wherever it says anything: of whole packets, padded ones, and
    /// ones with any byte changed or cut anywhere.
    #[test]
    fn the_shorter_way_ends_where_the_longer_one_does() {
        let mut plain = vec![0x02; 12];
        plain.extend([0x08, 0x00]);
        plain.extend(ipv4(b"payload"));
        plain.extend([0; 3]);
        let mut short = 0;
        let mut check = |frame: &[u8]| {
            for (link, data) in
                [(LinkType::ETHERNET, frame), (LinkType::RAW, frame.get(14..).unwrap_or_default())]
            {
                assert_eq!(parse(link, data), parse_any(link, data), "{frame:?}");
                short += usize::from(matches!(parse(link, data), Parsed::Tcp(_)));
            }
        };
        for end in 0..=plain.len() {
            check(&plain[..end]);
        }
        for at in 0..plain.len() {
            for value in 0..=255 {
                let mut changed = plain.clone();
                changed[at] = value;
                check(&changed);
            }
        }
        assert!(short > 10_000, "only {short} were TCP");
    }

    const SRC: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)), 51413);
    const DST: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 3)), 6881);

    /// IPv4 and TCP around `payload`: 20 + 20 bytes, sequence number 7, acknowledging 9.
    fn ipv4(payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4([10, 0, 0, 2], [10, 0, 0, 3], 64)
            .tcp(51413, 6881, 7, 1000)
            .ack(9)
            .psh()
            .write(&mut bytes, payload)
            .unwrap();
        bytes
    }

    fn ipv6(payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv6([0xfd; 16], [0xfe; 16], 64).udp(1, 2).write(&mut bytes, payload).unwrap();
        bytes
    }

    fn ethernet(tags: &[u8], protocol: u16, ip: &[u8]) -> Vec<u8> {
        let mut bytes = vec![2; 12];
        bytes.extend_from_slice(tags);
        bytes.extend_from_slice(&protocol.to_be_bytes());
        bytes.extend_from_slice(ip);
        bytes
    }

    #[track_caller]
    fn segment(link: u32, data: &[u8]) -> Segment<'_> {
        match parse(LinkType(link), data) {
            Parsed::Tcp(segment) => segment,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_link_type_leads_to_the_same_segment() {
        let ip = ipv4(b"hello");
        let expected = segment(101, &ip);
        assert_eq!((expected.src, expected.dst), (SRC, DST));
        assert_eq!((expected.seq, expected.ack, expected.window), (7, Some(9), 1000));
        assert_eq!((expected.payload, expected.lost_tail), (&b"hello"[..], 0));

        let vlan = [0x81, 0x00, 0x00, 0x05];
        let family = |family: [u8; 4]| [&family[..], &ip].concat();
        for (link, data) in [
            (1, ethernet(&[], 0x0800, &ip)),
            (1, ethernet(&vlan, 0x0800, &ip)),
            (1, ethernet(&[0x88, 0xa8, 0, 1, 0x81, 0, 0, 5], 0x0800, &ip)),
            (12, ip.clone()),
            (14, ip.clone()),
            (228, ip.clone()),
            (0, family([2, 0, 0, 0])),
            (0, family([0, 0, 0, 2])),
            (108, family([0, 0, 0, 2])),
        ] {
            assert_eq!(segment(link, &data), expected, "link type {link}");
        }
    }

    #[test]
    fn cooked_captures_tell_the_direction() {
        let ip = ipv4(b"hello");
        for (packet_type, outgoing) in [(0, Some(false)), (1, Some(false)), (3, None), (4, Some(true))] {
            let v1 = [&[0, packet_type, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x08, 0x00][..], &ip].concat();
            let v2 = [&[0x08, 0, 0, 0, 0, 0, 0, 1, 0, 1, packet_type, 6, 1, 2, 3, 4, 5, 6, 0, 0][..], &ip]
                .concat();
            for (link, data) in [(113, v1), (276, v2)] {
                let segment = segment(link, &data);
                assert_eq!(
                    (segment.payload, segment.outgoing),
                    (&b"hello"[..], outgoing),
                    "link type {link}"
                );
            }
        }
    }

    #[test]
    fn reads_udp_over_ipv6() {
        let ip = ipv6(b"query");
        for (link, data) in [
            (229, ip.clone()),
            (1, ethernet(&[], 0x86dd, &ip)),
            (0, [&[30, 0, 0, 0][..], &ip].concat()),
            (0, [&[24, 0, 0, 0][..], &ip].concat()),
            (0, [&[28, 0, 0, 0][..], &ip].concat()),
        ] {
            let Parsed::Udp(datagram) = parse(LinkType(link), &data) else { panic!("link type {link}") };
            assert_eq!(datagram.payload, b"query");
            assert_eq!(datagram.src, SocketAddr::new([0xfd; 16].into(), 1));
        }
        assert_eq!(parse(LinkType::IPV4, &ip), Parsed::Other("not IP"));
    }

    #[test]
    fn ethernet_padding_is_no_payload() {
        let mut frame = ethernet(&[], 0x0800, &ipv4(b""));
        frame.resize(60, 0);
        assert_eq!(segment(1, &frame).payload, b"");
    }

    #[test]
    fn counts_what_was_not_captured() {
        let ip = ipv4(b"hello world");
        let cut = segment(101, &ip[..45]);
        assert_eq!((cut.payload, cut.lost_tail), (&b"hello"[..], 6));
        let headers_only = segment(101, &ip[..40]);
        assert_eq!((headers_only.payload, headers_only.lost_tail), (&b""[..], 11));
        let ip = ipv6(b"query");
        let Parsed::Udp(datagram) = parse(LinkType::RAW, &ip[..50]) else { panic!() };
        assert_eq!((datagram.payload, datagram.lost_tail), (&b"qu"[..], 3));
    }

    #[test]
    fn a_packet_not_yet_cut_by_the_card_is_read_whole() {
        let mut ip = ipv4(&[5; 30_000]);
        ip[2..4].copy_from_slice(&[0, 0]);
        let segment = segment(101, &ip);
        assert_eq!((segment.payload.len(), segment.lost_tail), (30_000, 0));
    }

    #[test]
    fn a_wrong_checksum_does_not_matter() {
        let mut ip = ipv4(b"hello");
        ip[10] ^= 0x55;
        ip[36] ^= 0x55;
        assert_eq!(segment(101, &ip).payload, b"hello");
    }

    #[test]
    fn what_is_not_ours_is_named() {
        let ip = ipv4(b"hello");
        let mut fragment = ip.clone();
        fragment[6] = 0x20;
        assert!(matches!(parse(LinkType::RAW, &fragment), Parsed::Fragment(_)));
        let mut sctp = ip.clone();
        sctp[9] = 132;
        assert_eq!(parse(LinkType::RAW, &sctp), Parsed::Other("neither TCP nor UDP"));
        assert_eq!(parse(LinkType(147), &ip), Parsed::Other("link type not known"));
        assert_eq!(parse(LinkType::ETHERNET, &ethernet(&[], 0x88cc, &ip)), Parsed::Other("not IP"));
        assert_eq!(parse(LinkType::NULL, &[9; 40]), Parsed::Other("not IP"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(
            link in proptest::sample::select(vec![0u32, 1, 12, 14, 101, 108, 113, 228, 229, 276, 9]),
            data in proptest::collection::vec(proptest::num::u8::ANY, 0..120),
        ) {
            parse(LinkType(link), &data);
        }

        #[test]
        fn any_flip_and_cut_is_read_without_panic(at in 0usize..60, bits: u8, cut in 0usize..70) {
            for (link, mut data) in [(1, ethernet(&[], 0x0800, &ipv4(b"hello"))), (229, ipv6(b"query"))] {
                let at = at % data.len();
                data[at] ^= bits;
                data.truncate(cut);
                parse(LinkType(link), &data);
            }
        }
    }
}
