//! PPP, Cisco HDLC and frame relay: serial lines, whose headers are a few bytes before IP.

use super::layers::{CUT, Inside, LayerKind, NOT_IP, Step, Way};
use super::{LinkType, ethernet};

/// PPP: mostly address and control, then the protocol, of which a first byte of zeros may be left out (RFC 1661, section
/// 2; RFC 1662, section 3.1).
pub(super) fn ppp(data: &[u8]) -> Step<'_> {
    let data = data.strip_prefix(&[0xff, 0x03]).unwrap_or(data);
    match data {
        [0, 0x21, packet @ ..] | [0x21, packet @ ..] | [0, 0x57, packet @ ..] | [0x57, packet @ ..] => {
            Ok(Inside::Layer(LayerKind::IP, packet))
        }
        [0x02, 0x81, labelled @ ..] => ethernet::behind_labels(labelled),
        [] => Err(CUT),
        _ => Err(NOT_IP),
    }
}

/// PPP in frames like those of HDLC, or Cisco's HDLC, by the address (RFC 1547, section 4.3.1).
pub(super) fn ppp_hdlc(data: &[u8]) -> Step<'_> {
    match data {
        [UNICAST | MULTICAST, 0, ..] => cisco_hdlc(data),
        _ => ppp(data),
    }
}

/// Cisco's HDLC: an address, a byte of zeros, an Ethernet type.
pub(super) fn cisco_hdlc(data: &[u8]) -> Step<'_> {
    match data {
        [0xff, 0x03, ..] => ppp(data),
        [_, _, high, low, rest @ ..] => {
            Ok(Inside::Layer(LayerKind::EtherType(u16::from_be_bytes([*high, *low])), rest))
        }
        _ => Err(CUT),
    }
}

/// Frame relay: an address of two to four bytes, the last of which is marked, then either control, perhaps a byte of
/// zeros, and a protocol's number (RFC 2427, section 3), or an Ethernet type, as Cisco has it.
pub(super) fn frame_relay(data: &[u8]) -> Step<'_> {
    let last = data.iter().take(4).position(|byte| byte & 1 == 1).ok_or(CUT)?;
    match data.get(last + 1..).unwrap_or_default() {
        [0x03, 0, rest @ ..] | [0x03, rest @ ..] => behind_nlpid(rest),
        [high, low, rest @ ..] => {
            Ok(Inside::Layer(LayerKind::EtherType(u16::from_be_bytes([*high, *low])), rest))
        }
        _ => Err(CUT),
    }
}

/// What a network layer protocol identifier announces (RFC 2427, appendix A; RFC 6328).
pub(super) fn behind_nlpid(data: &[u8]) -> Step<'_> {
    match data {
        [0xcc | 0x8e, packet @ ..] => Ok(Inside::Layer(LayerKind::IP, packet)),
        [0x80, snap @ ..] => ethernet::behind_snap(snap),
        [0xcf, ppp @ ..] => Ok(Inside::Layer(LayerKind::PPP, ppp)),
        [] => Err(CUT),
        _ => Err(NOT_IP),
    }
}

/// Links of which the first byte says whether the capturing machine sent the frame. In that of pppd it stands for PPP's
/// address, in the others before the frame.
pub(super) fn with_direction<'a>(link: LinkType, data: &'a [u8], way: &mut Way<'a>) -> Step<'a> {
    let (direction, rest) = data.split_first().ok_or(CUT)?;
    way.outgoing = Some(*direction != 0);
    match link {
        LinkType::PPP_PPPD => ppp(rest.strip_prefix(&[0x03]).unwrap_or(rest)),
        LinkType::C_HDLC_WITH_DIR => cisco_hdlc(rest),
        LinkType::FRELAY_WITH_DIR => frame_relay(rest),
        _ => ppp(rest),
    }
}

/// Cisco's addresses of HDLC.
const UNICAST: u8 = 0x0f;
const MULTICAST: u8 = 0x8f;
