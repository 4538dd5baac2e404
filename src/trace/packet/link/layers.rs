//! The loop that goes from the outermost bytes of a packet to what TCP or UDP carries in it. Every reader of this folder
//! takes one header off and says what the next bytes are; only this loop calls readers, and it counts their steps.

use super::{LinkType, Parsed, ethernet, ip, proof, pseudo, serial, tunnel, wireless};

/// What some bytes begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LayerKind {
    /// A header of the tcpdump.org list.
    Link(LinkType),
    /// Whatever an Ethernet type announces; up to 1500 the number is the length of an LLC frame (IEEE 802.3, 3.2.6).
    EtherType(u16),
    /// An LLC header (IEEE 802.2).
    Llc,
    /// An 802.11 frame.
    Wireless(wireless::FrameLayout),
    /// Whatever an IP header announces by this number.
    IpProtocol(u8),
}

impl LayerKind {
    /// IP of either version.
    pub(super) const IP: Self = Self::Link(LinkType::RAW);
    /// A frame of Ethernet.
    pub(super) const ETHERNET: Self = Self::Link(LinkType::ETHERNET);
    /// PPP, with or without address and control.
    pub(super) const PPP: Self = Self::Link(LinkType::PPP);
}

/// What was found after a header.
#[derive(Debug)]
pub(super) enum Inside<'a> {
    /// Another header.
    Layer(LayerKind, &'a [u8]),
    /// What a UDP datagram holds, if that is a tunnel: when the bytes do not prove it, the datagram stands.
    Claimed(Claim<'a>),
    /// Frames in a row: an A-MSDU (IEEE 802.11, 9.3.2.2.2).
    Aggregate(&'a [u8]),
    /// The end of the way.
    Carried(Parsed<'a>),
}

/// A UDP datagram that is perhaps a tunnel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim<'a> {
    /// What it holds if it is.
    pub(super) kind: LayerKind,
    /// The bytes of that.
    pub(super) data: &'a [u8],
    /// What is true if it is not.
    pub(super) datagram: Parsed<'a>,
    /// What the first IP packet in it must show.
    pub(super) proof: proof::Demand,
}

/// Why a packet leads nowhere, or what comes next.
pub(super) type Step<'a> = Result<Inside<'a>, &'static str>;

/// What is known on the way.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Way<'a> {
    /// Whether the capturing machine sent the packet, where a header says.
    pub(super) outgoing: Option<bool>,
    /// What the next IP packet must show, when a tunnel was assumed.
    pub(super) demand: Option<proof::Demand>,
    /// The datagram that stands when what follows makes no sense.
    datagram: Option<Parsed<'a>>,
    /// How many headers were read.
    depth: u8,
}

/// A frame of an aggregate that waits for its turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct WaitingFrame<'a> {
    frame: &'a [u8],
    way: Way<'a>,
}

impl<'a> WaitingFrame<'a> {
    /// Reads the frame. Further aggregates in it add to `waiting`.
    pub(super) fn read(self, waiting: &mut Vec<Self>) -> Parsed<'a> {
        descend(Inside::Layer(LayerKind::ETHERNET, self.frame), self.way, waiting)
    }
}

/// Reads header after header until a transport is reached, or no more can be told. Of an aggregate the first frame is
/// read, and the others are added to `waiting`.
pub(super) fn descend<'a>(
    mut inside: Inside<'a>,
    mut way: Way<'a>,
    waiting: &mut Vec<WaitingFrame<'a>>,
) -> Parsed<'a> {
    loop {
        let (kind, data) = match inside {
            Inside::Layer(kind, data) => (kind, data),
            Inside::Carried(parsed) => return parsed,
            Inside::Claimed(claim) => {
                way.datagram = Some(claim.datagram);
                way.demand = Some(claim.proof);
                (claim.kind, claim.data)
            }
            Inside::Aggregate(data) => {
                let mut frames = wireless::subframes(data);
                let Some(first) = frames.next() else { return way.ends(CUT) };
                let room = MOST_FRAMES.saturating_sub(waiting.len());
                waiting.extend(frames.take(room).map(|frame| WaitingFrame { frame, way }));
                (LayerKind::ETHERNET, first)
            }
        };
        if way.depth == DEEPEST {
            return way.ends(TOO_DEEP);
        }
        way.depth += 1;
        inside = match read(kind, data, &mut way) {
            Ok(inside) => inside,
            Err(reason) => return way.ends(reason),
        };
    }
}

impl<'a> Way<'a> {
    fn ends(&self, reason: &'static str) -> Parsed<'a> {
        self.datagram.unwrap_or(Parsed::Other(reason))
    }

    /// Whether this header is the packet's first.
    pub(super) const fn outermost(&self) -> bool {
        self.depth == 1
    }
}

fn read<'a>(kind: LayerKind, data: &'a [u8], way: &mut Way<'a>) -> Step<'a> {
    match kind {
        LayerKind::Link(LinkType::ETHERNET) => ethernet::frame(data),
        LayerKind::Link(LinkType::RAW) => ip::packet(data, way),
        LayerKind::EtherType(number) => ethernet::behind_type(number, data),
        LayerKind::Llc => ethernet::llc(data),
        LayerKind::Wireless(layout) => wireless::frame(data, layout),
        LayerKind::IpProtocol(number) => tunnel::behind_ip(number, data),
        LayerKind::Link(link) => link_header(link, data, way),
    }
}

/// The readers of the link types that captures begin with more rarely.
fn link_header<'a>(link: LinkType, data: &'a [u8], way: &mut Way<'a>) -> Step<'a> {
    match link {
        LinkType::NULL | LinkType::LOOP => pseudo::loopback(data),
        LinkType::RAW_BSD | LinkType::RAW_OPENBSD => Ok(Inside::Layer(LayerKind::IP, data)),
        LinkType::IPV4 => ip::of_version(4, data),
        LinkType::IPV6 => ip::of_version(6, data),
        LinkType::LINUX_SLL => pseudo::cooked(data, way),
        LinkType::LINUX_SLL2 => pseudo::cooked_v2(data, way),
        LinkType::NFLOG => pseudo::nflog(data, way),
        LinkType::PKTAP | LinkType::PKTAP_OLD => pseudo::pktap(data, way),
        LinkType::PPI => pseudo::ppi(data),
        LinkType::ENC => pseudo::enc(data),
        LinkType::PFLOG => pseudo::pflog(data, way),
        LinkType::IPNET => pseudo::ipnet(data, way),
        LinkType::IPOIB => pseudo::ip_over_infiniband(data),
        LinkType::IEEE802_11 => wireless::frame(data, wireless::FrameLayout::default()),
        LinkType::RADIOTAP => wireless::radiotap(data),
        LinkType::PRISM => wireless::prism(data),
        LinkType::AVS => wireless::avs(data),
        LinkType::PPP => serial::ppp(data),
        LinkType::PPP_HDLC => serial::ppp_hdlc(data),
        LinkType::PPP_ETHERNET => Ok(Inside::Layer(LayerKind::EtherType(ethernet::PPPOE), data)),
        LinkType::PPP_PPPD
        | LinkType::PPP_WITH_DIR
        | LinkType::C_HDLC_WITH_DIR
        | LinkType::FRELAY_WITH_DIR => serial::with_direction(link, data, way),
        LinkType::C_HDLC => serial::cisco_hdlc(data),
        LinkType::FRELAY => serial::frame_relay(data),
        LinkType::MPLS => ethernet::behind_labels(data),
        LinkType::TZSP => {
            super::udp_tunnel::tzsp(data).map(|(kind, frame)| Inside::Layer(kind, frame)).ok_or(NOT_IP)
        }
        LinkType::DSA_TAG_BRCM
        | LinkType::DSA_TAG_BRCM_PREPEND
        | LinkType::DSA_TAG_DSA
        | LinkType::DSA_TAG_EDSA => ethernet::switch_tag(link, data),
        LinkType::TOKEN_RING
        | LinkType::FDDI
        | LinkType::ATM_RFC1483
        | LinkType::IP_OVER_FC
        | LinkType::FIREWIRE
        | LinkType::NETANALYZER
        | LinkType::NETANALYZER_TRANSPARENT
        | LinkType::EPON => ethernet::relative(link, data),
        _ if way.outermost() => Err(UNKNOWN_LINK),
        _ => Err("an unknown link type within another"),
    }
}

/// Why a packet of a link type that is not read is [`Parsed::Other`].
pub(crate) const UNKNOWN_LINK: &str = "unknown link type";
/// Why an enciphered 802.11 frame is [`Parsed::Other`].
pub(crate) const PROTECTED: &str = "protected 802.11 frame";
pub(super) const CUT: &str = "cut short";
pub(super) const NOT_IP: &str = "not IP";
pub(super) const GARBLED: &str = "garbled IP header";
pub(super) const TOO_DEEP: &str = "too many nested packets";

/// How many headers may stand before a transport. A dozen are seen; a hostile packet could hold hundreds.
pub(super) const DEEPEST: u8 = 24;
/// How many frames of aggregates a packet may hold. The largest A-MSDU (11,454 bytes, IEEE 802.11, table 9-34) has room
/// for this many acknowledgements.
const MOST_FRAMES: usize = 128;
