//! 802.11, and the headers that capturing machines put before it: radiotap, Prism, AVS. Only data frames that are not
//! enciphered, or were deciphered since, lead further.

use super::ethernet::begins_with_snap;
use super::layers::{CUT, Inside, LayerKind, NOT_IP, PROTECTED, Step};

/// How a frame differs from what the standard says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FrameLayout {
    /// The header is padded to a multiple of 4 bytes.
    pub(super) padded: bool,
    /// The two bytes of frame control are swapped, as Cisco's access points send them.
    pub(super) swapped: bool,
}

/// An 802.11 frame: frame control, duration, three or four addresses, sequence control, and with quality of service two
/// bytes more (IEEE 802.11, 9.2 and 9.3.2).
pub(super) fn frame(data: &[u8], layout: FrameLayout) -> Step<'_> {
    let &[first, second, ..] = data else { return Err(CUT) };
    let (control, flags) = if layout.swapped { (second, first) } else { (first, second) };
    let subtype = control >> 4;
    match control & 0x0f {
        // Version 0, data. The subtypes with this bit carry none.
        0x08 if subtype & NO_DATA == 0 => {}
        0x08 => return Err("802.11 frame without data"),
        0x00 | 0x04 | 0x0c => return Err("802.11 management or control frame"),
        _ => return Err("802.11 frame of an unknown version"),
    }
    let mut header = if flags & BOTH_SYSTEMS == BOTH_SYSTEMS { 30 } else { 24 };
    let mut quality = 0;
    let mut mesh = false;
    if subtype & QUALITY_OF_SERVICE != 0 {
        let &[low, high] = data.get(header..header + 2).ok_or(CUT)? else { return Err(CUT) };
        (quality, mesh) = (low, high & MESH_CONTROL != 0);
        header += if flags & HIGH_THROUGHPUT != 0 { 6 } else { 2 };
    }
    if layout.padded {
        header = header.next_multiple_of(4);
    }
    let body = data.get(header..).ok_or(CUT)?;
    // The number of a part, which is 0 for the first.
    if data[22] & 0x0f != 0 {
        return Err("later fragment of an 802.11 frame");
    }
    if begins_with_snap(body) {
        return Ok(Inside::Layer(LayerKind::Llc, body));
    }
    if flags & ENCIPHERED != 0 {
        // Tools that decipher may leave the mark, and the 8 bytes of CCMP's or TKIP's header or the 4 of WEP's.
        let deciphered =
            [8, 4].into_iter().filter_map(|before| body.get(before..)).find(|body| begins_with_snap(body));
        return deciphered.map(|body| Inside::Layer(LayerKind::Llc, body)).ok_or(PROTECTED);
    }
    if quality & AGGREGATE != 0 {
        return Ok(Inside::Aggregate(body));
    }
    match body {
        // Flags, hops left, sequence number, and by the flags none to two addresses (IEEE 802.11, 9.2.4.8.3).
        [flags, ..] if mesh && !matches!(body, [0xaa, 0xaa, ..]) => {
            let addresses = 6 * usize::from((flags & 3).min(2));
            Ok(Inside::Layer(LayerKind::Llc, body.get(6 + addresses..).ok_or(CUT)?))
        }
        _ => Ok(Inside::Layer(LayerKind::Llc, body)),
    }
}

/// The frames of an A-MSDU: two addresses, a length, LLC, and zeros up to a multiple of 4 (IEEE 802.11, 9.3.2.2.2): but
/// for the zeros, frames of Ethernet.
pub(super) fn subframes(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_be_bytes([*data.get(12)?, *data.get(13)?]));
        if length == 0 {
            return None;
        }
        let whole = 14 + length;
        let frame = data.get(..whole).unwrap_or(data);
        data = data.get(whole.next_multiple_of(4)..).unwrap_or_default();
        Some(frame)
    })
}

/// Radiotap: version 0, the header's length, which fields are present (in words, the last of which has its highest bit
/// clear), then those, each aligned to its size. The first are a time of 8 bytes and the flags.
pub(super) fn radiotap(data: &[u8]) -> Step<'_> {
    let &[version, _, low, high, ..] = data else { return Err(CUT) };
    let length = usize::from(u16::from_le_bytes([low, high]));
    if version != 0 || length < 8 {
        return Err(NOT_IP);
    }
    let header = data.get(..length).ok_or(CUT)?;
    let words = header[4..].chunks_exact(4);
    let present = header[4];
    let count = words.into_iter().position(|word| word[3] & 0x80 == 0).ok_or(NOT_IP)? + 1;
    let mut at = 4 + 4 * count;
    if present & 1 != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    let flags = if present & 2 != 0 { header.get(at).copied().unwrap_or(0) } else { 0 };
    if flags & BAD_CHECKSUM != 0 {
        return Err("damaged 802.11 frame");
    }
    let layout = FrameLayout { padded: flags & PADDED != 0, swapped: false };
    Ok(Inside::Layer(LayerKind::Wireless(layout), &data[length..]))
}

/// Prism: a message's code and its length, in the byte order of the capturing machine. Some drivers put AVS under this
/// link type.
pub(super) fn prism(data: &[u8]) -> Step<'_> {
    if data.starts_with(&AVS_MAGIC) {
        return avs(data);
    }
    let length = data.get(4..8).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).ok_or(CUT)?;
    let stated = u32::from_le_bytes(length).min(u32::from_be_bytes(length)) as usize;
    let length = if (24..=512).contains(&stated) { stated } else { PRISM_HEADER };
    Ok(Inside::Layer(LayerKind::Wireless(FrameLayout::default()), data.get(length..).ok_or(CUT)?))
}

/// AVS: a magic number with the version in its last byte, then the header's length.
pub(super) fn avs(data: &[u8]) -> Step<'_> {
    let (head, _) = data.split_first_chunk::<8>().ok_or(CUT)?;
    let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
    if !head.starts_with(&AVS_MAGIC) || length < 8 {
        return Err(NOT_IP);
    }
    Ok(Inside::Layer(LayerKind::Wireless(FrameLayout::default()), data.get(length..).ok_or(CUT)?))
}

/// Of the subtype: no data.
const NO_DATA: u8 = 0x04;
/// Of the subtype: quality of service.
const QUALITY_OF_SERVICE: u8 = 0x08;
/// Of the flags: to and from the distribution system, which brings a fourth address.
const BOTH_SYSTEMS: u8 = 0x03;
/// Of the flags: the body is enciphered.
const ENCIPHERED: u8 = 0x40;
/// Of the flags, with quality of service: four bytes of HT control follow.
const HIGH_THROUGHPUT: u8 = 0x80;
/// Of quality of service: an A-MSDU.
const AGGREGATE: u8 = 0x80;
/// Of the second byte of quality of service, in a mesh: mesh control begins the body.
const MESH_CONTROL: u8 = 0x01;

/// Of radiotap's flags: the 802.11 header is padded.
const PADDED: u8 = 0x20;
/// Of radiotap's flags: the frame's checksum was wrong.
const BAD_CHECKSUM: u8 = 0x40;

const AVS_MAGIC: [u8; 3] = [0x80, 0x21, 0x10];
/// What drivers write, whose length is sometimes not stated.
const PRISM_HEADER: usize = 144;
