//! IP of either version, and the transports in it. Lengths come from IP, so that padding is never taken for payload;
//! checksums never matter, because a sending host captures packets before they have one.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    IpNumber, Ipv6ExtensionSlice, LaxIpPayloadSlice, LaxNetSlice, LaxSlicedPacket, TcpHeader, TcpSlice,
    TransportSlice, UdpSlice,
};

use super::layers::{CUT, GARBLED, Inside, LayerKind, NOT_IP, Step, Way};
use super::{Datagram, FragmentedPacket, IpFragment, Parsed, Segment, udp_tunnel};

/// What is known of a packet beside its ends and what it carries.
#[derive(Debug, Clone, Copy)]
pub(super) struct PacketOrigin {
    /// The number that its sender gave it, where it says anything.
    identification: Option<u16>,
    /// Whether the capturing machine sent it.
    outgoing: Option<bool>,
}

impl PacketOrigin {
    /// `identification` of 0 says nothing (RFC 6864, section 4.1).
    pub(super) const fn of_ipv4(identification: u16, outgoing: Option<bool>) -> Self {
        let identification = if identification == 0 { None } else { Some(identification) };
        Self { identification, outgoing }
    }
}

/// IP whose version another header has told.
pub(super) fn of_version(version: u8, data: &[u8]) -> Step<'_> {
    match data.first() {
        Some(first) if first >> 4 == version => Ok(Inside::Layer(LayerKind::IP, data)),
        _ => Err(NOT_IP),
    }
}

/// A packet of IP, whose first bits tell the version.
pub(super) fn packet<'a>(data: &'a [u8], way: &mut Way<'a>) -> Step<'a> {
    if way.demand.take().is_some_and(|demand| !demand.is_met(data)) {
        return Err(NOT_IP);
    }
    let packet = LaxSlicedPacket::from_ip(data).map_err(|_| GARBLED)?;
    let (src, dst, payload, missing, identification) = match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let src = IpAddr::V4(header.source_addr());
            let dst = IpAddr::V4(header.destination_addr());
            let payload = ip.payload();
            let extension = ip.extensions().auth.map_or(0, |auth| auth.slice().len());
            let present = header.slice().len() + extension + payload.payload.len();
            let missing = usize::from(header.total_len()).saturating_sub(present);
            (src, dst, payload, missing, header.identification())
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let src = IpAddr::V6(header.source_addr());
            let dst = IpAddr::V6(header.destination_addr());
            let payload = ip.payload();
            let present = ip.extensions().slice().len() + payload.payload.len();
            (src, dst, payload, usize::from(header.payload_length()).saturating_sub(present), 0)
        }
        _ => return Err(GARBLED),
    };
    if payload.fragmented {
        return fragment(&packet, src, dst, payload).map(Inside::Carried);
    }
    match &packet.transport {
        Some(slice) => {
            let origin = PacketOrigin::of_ipv4(identification, way.outgoing);
            carried(origin, (src, dst), slice, lost(payload, missing))
        }
        None if packet.stop_err.is_some() => Err(CUT),
        None => Ok(Inside::Layer(LayerKind::IpProtocol(payload.ip_number.0), payload.payload)),
    }
}

/// What a packet that was put together from its parts carries.
pub(super) fn reassembled(packet: FragmentedPacket, payload: &[u8]) -> Step<'_> {
    let slice = match IpNumber(packet.protocol) {
        IpNumber::TCP => TransportSlice::Tcp(TcpSlice::from_slice(payload).map_err(|_| CUT)?),
        IpNumber::UDP => TransportSlice::Udp(UdpSlice::from_slice(payload).map_err(|_| CUT)?),
        IpNumber(other) => return Ok(Inside::Layer(LayerKind::IpProtocol(other), payload)),
    };
    let origin = PacketOrigin::of_ipv4(u16::try_from(packet.identification).unwrap_or(0), None);
    carried(origin, (packet.src, packet.dst), &slice, 0)
}

/// What a transport header and what follows it say, `missing` bytes of it not captured.
pub(super) fn carried<'a>(
    origin: PacketOrigin,
    (src, dst): (IpAddr, IpAddr),
    slice: &TransportSlice<'a>,
    missing: u32,
) -> Step<'a> {
    match slice {
        TransportSlice::Tcp(tcp) => {
            Ok(Inside::Carried(Parsed::Tcp(segment(origin, (src, dst), tcp, missing))))
        }
        TransportSlice::Udp(udp) => {
            let stated = u32::from(udp.length().saturating_sub(8));
            let present = udp.payload().len() as u32;
            let datagram = Datagram {
                src: SocketAddr::new(src, udp.source_port()),
                dst: SocketAddr::new(dst, udp.destination_port()),
                identification: origin.identification,
                payload: udp.payload(),
                lost_tail: missing.min(stated.saturating_sub(present)),
                outgoing: origin.outgoing,
            };
            Ok(match udp_tunnel::claim(&datagram) {
                Some(claim) => Inside::Claimed(claim),
                None => Inside::Carried(Parsed::Udp(datagram)),
            })
        }
        TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_) => Err("ICMP"),
        TransportSlice::Igmp(_) => Err("IGMP"),
    }
}

/// What a TCP header says, `missing` bytes of its payload not captured.
#[inline]
pub(super) fn segment<'a>(
    origin: PacketOrigin,
    (src, dst): (IpAddr, IpAddr),
    tcp: &TcpSlice<'a>,
    missing: u32,
) -> Segment<'a> {
    Segment {
        src: SocketAddr::new(src, tcp.source_port()),
        dst: SocketAddr::new(dst, tcp.destination_port()),
        seq: tcp.sequence_number(),
        ack: tcp.ack().then(|| tcp.acknowledgment_number()),
        syn: tcp.syn(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        window: tcp.window_size(),
        options: tcp.header_slice().get(TcpHeader::MIN_LEN..).unwrap_or_default(),
        identification: origin.identification,
        payload: tcp.payload(),
        lost_tail: missing,
        outgoing: origin.outgoing,
    }
}

fn fragment<'a>(
    packet: &LaxSlicedPacket<'a>,
    src: IpAddr,
    dst: IpAddr,
    payload: &LaxIpPayloadSlice<'a>,
) -> Result<Parsed<'a>, &'static str> {
    if payload.incomplete {
        return Err(CUT);
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
            let header = header.ok_or(GARBLED)?;
            (header.identification, header.fragment_offset, header.more_fragments)
        }
        _ => return Err(NOT_IP),
    };
    let packet = FragmentedPacket { src, dst, identification, protocol: payload.ip_number.0 };
    Ok(Parsed::Fragment(IpFragment { packet, offset: offset.value(), more, payload: payload.payload }))
}

/// How many bytes the IP header promises beyond those captured. A length of 0 (a packet caught before the
/// network card cut it into pieces) promises nothing.
fn lost(payload: &LaxIpPayloadSlice<'_>, missing: usize) -> u32 {
    if payload.incomplete { u32::try_from(missing).unwrap_or(0) } else { 0 }
}
