//! From a captured frame to what TCP or UDP carries. The readers of headers are in the files of this folder, one a family;
//! `layers` is the loop that calls them.

mod ethernet;
mod ip;
mod layers;
mod link_type;
mod proof;
mod pseudo;
mod serial;
#[cfg(test)]
mod tests;
mod tunnel;
mod udp_tunnel;
mod wireless;

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpNumber, Ipv4HeaderSlice, TcpSlice};

use layers::{Inside, LayerKind, WaitingFrame, Way, descend};
pub(crate) use layers::{PROTECTED, UNKNOWN_LINK};
pub use link_type::LinkType;

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
        match ip::reassembled(self, payload) {
            Ok(inside) => descend(inside, Way::default(), &mut Vec::new()),
            Err(reason) => Parsed::Other(reason),
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
    /// The options of its header, up to 40 bytes (RFC 9293, section 3.1).
    pub options: &'a [u8],
    /// The number that its sender gave the IP packet (RFC 791, section 3.1); `None` where IP has none, or 0, which says
    /// nothing (RFC 6864, section 4.1).
    pub identification: Option<u16>,
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
    /// The number that its sender gave the IP packet (RFC 791, section 3.1); `None` where IP has none, or 0, which says
    /// nothing (RFC 6864, section 4.1).
    pub identification: Option<u16>,
    /// What it carries, as far as it was captured.
    pub payload: &'a [u8],
    /// How many bytes after `payload` it carried that were not captured.
    pub lost_tail: u32,
    /// Whether the capturing machine sent it, where the link layer says.
    pub outgoing: Option<bool>,
}

/// Reads a packet down to what TCP or UDP carries in it. Any bytes are welcome: what makes no sense is
/// [`Parsed::Other`]. Of a packet that holds several (an 802.11 A-MSDU) this is the first; [`parse_each`] gives all.
pub fn parse(link: LinkType, data: &[u8]) -> Parsed<'_> {
    match plain_segment(link, data) {
        Some(segment) => Parsed::Tcp(segment),
        None => parse_first(link, data, &mut Vec::new()),
    }
}

/// Reads a packet down to what TCP or UDP carries in it, and gives each of the packets it holds, in their order: nearly
/// always one.
pub fn parse_each<'a>(link: LinkType, data: &'a [u8], mut each: impl FnMut(Parsed<'a>)) {
    match plain_segment(link, data) {
        Some(segment) => each(Parsed::Tcp(segment)),
        None => parse_layers(link, data, each),
    }
}

/// [`parse_each`] of a packet that is no [`plain_segment`].
pub(crate) fn parse_layers<'a>(link: LinkType, data: &'a [u8], mut each: impl FnMut(Parsed<'a>)) {
    let mut waiting = Vec::new();
    each(parse_first(link, data, &mut waiting));
    let mut at = 0;
    while let Some(frame) = waiting.get(at).copied() {
        each(frame.read(&mut waiting));
        at += 1;
    }
}

fn parse_first<'a>(link: LinkType, data: &'a [u8], waiting: &mut Vec<WaitingFrame<'a>>) -> Parsed<'a> {
    descend(Inside::Layer(LayerKind::Link(link), data), Way::default(), waiting)
}

/// What nearly every packet is, read by a shorter way: TCP over IPv4, whole, not fragmented. `None` for all else.
#[inline]
pub(crate) fn plain_segment(link: LinkType, data: &[u8]) -> Option<Segment<'_>> {
    match link {
        LinkType::ETHERNET => match data.split_first_chunk::<14>() {
            Some(([.., 0x08, 0x00], packet)) => whole_tcp(packet),
            _ => None,
        },
        LinkType::RAW | LinkType::IPV4 => whole_tcp(data),
        _ => None,
    }
}

#[inline]
fn whole_tcp(data: &[u8]) -> Option<Segment<'_>> {
    let ip = Ipv4HeaderSlice::from_slice(data).ok()?;
    let bytes = data.get(ip.slice().len()..usize::from(ip.total_len()))?;
    if ip.protocol() != IpNumber::TCP || ip.is_fragmenting_payload() {
        return None;
    }
    let tcp = TcpSlice::from_slice(bytes).ok()?;
    let (src, dst) = (IpAddr::V4(ip.source_addr()), IpAddr::V4(ip.destination_addr()));
    Some(ip::segment(ip::PacketOrigin::of_ipv4(ip.identification(), None), (src, dst), &tcp, 0))
}
