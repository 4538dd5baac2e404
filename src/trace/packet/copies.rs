//! Packets that a capture has more than once: taken on several interfaces of one host, or on both ports of a mirror.

use std::net::{Ipv4Addr, SocketAddr};

use bittrace_protocol::Timestamp;

use crate::packet::four_tuple::PacketEnds;
use crate::packet::link::{Datagram, Segment};

/// The latest packets, to know copies of them by.
#[derive(Debug)]
pub(crate) struct RecentPackets {
    /// The key of each packet in `packets`: only where it is the same the rest is compared.
    keys: [u32; PACKETS],
    /// How many keys end with each number below [`ENDS`]: most packets are no copies, and are known by one look.
    key_ends: [u8; ENDS],
    packets: [RecentPacket; PACKETS],
    /// The place of the oldest.
    oldest: usize,
    /// Whether every place has a packet.
    is_full: bool,
}

#[derive(Debug)]
struct RecentPacket {
    at: Timestamp,
    ends: PacketEnds,
    /// The numbers of a segment; of a datagram, 0.
    numbers: u128,
    /// The bytes of a datagram.
    bytes: Vec<u8>,
}

impl Default for RecentPackets {
    fn default() -> Self {
        let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let none = |_| RecentPacket {
            at: Timestamp::default(),
            ends: PacketEnds::new(nowhere, nowhere),
            numbers: 0,
            bytes: Vec::new(),
        };
        Self {
            keys: [0; PACKETS],
            key_ends: [0; ENDS],
            packets: std::array::from_fn(none),
            oldest: 0,
            is_full: false,
        }
    }
}

/// How many packets back a copy is looked for. Up to four copies follow each other, mixed with those of a few
/// packets that were under way at the same time.
const PACKETS: usize = 16;

/// So many more than there are packets that few keys end alike by chance; a power of two.
const ENDS: usize = 16 * PACKETS;

/// How far apart copies may be, in seconds. Between two interfaces of a host pass microseconds, between two ports of a
/// switch a millisecond. No protocol that is read here repeats a datagram as soon: uTP (BEP 29) puts a new time into it,
/// trackers (BEP 15) are asked again after 15 seconds.
const DELAY: f64 = 0.01;

impl RecentPackets {
    /// Whether a datagram is a copy of a recent one: the same ends, bytes, and number of the IP packet, where it has one.
    pub(crate) fn has_datagram(&mut self, at: Timestamp, ends: PacketEnds, datagram: &Datagram<'_>) -> bool {
        let length = datagram.payload.len();
        length > 0 && self.has(at, ends, (datagram.identification, length), (0, datagram.payload))
    }

    /// Whether a segment is a copy of a recent one. Its numbers stand for its bytes: of two segments with one place in a
    /// stream reassembly takes the first anyway. Bare acknowledgements do come several times (RFC 5681, section 3.2), so
    /// that a copy of one is known by the number of the IP packet alone.
    #[inline]
    pub(crate) fn has_segment(&mut self, at: Timestamp, ends: PacketEnds, segment: &Segment<'_>) -> bool {
        let length = segment.payload.len();
        let bare = length == 0 && !segment.syn && !segment.fin && !segment.rst;
        if bare && segment.identification.is_none() {
            return false;
        }
        let places = u64::from(segment.seq) << 32 | u64::from(segment.ack.unwrap_or_default());
        let flags = [segment.syn, segment.ack.is_some(), segment.fin, segment.rst];
        let flags = flags.into_iter().fold(0, |flags, flag| flags << 1 | u64::from(flag));
        let numbers = u128::from(places) << 64 | u128::from(u64::from(segment.window) << 8 | flags);
        // A segment that was sent again soon shows a later clock in its options (RFC 7323): where IP has no number, nothing
        // else tells.
        self.has(at, ends, (segment.identification, length), (numbers, segment.options))
    }

    // Called once for segments and once for datagrams: what it is given need not be put into memory.
    #[inline(always)]
    fn has(
        &mut self,
        at: Timestamp,
        ends: PacketEnds,
        (identification, length): (Option<u16>, usize),
        (numbers, bytes): (u128, &[u8]),
    ) -> bool {
        let number = u32::from(identification.unwrap_or_default()) << 16 | u32::from(length as u16);
        // Senders that number no IP packets still number their bytes.
        let key = (ends.between.ports() ^ number ^ (numbers >> 96) as u32).wrapping_mul(0x9e37_79b1);
        let key = key ^ key >> 16;
        if self.key_ends[end(key)] > 0 && self.finds(key, at, ends, (numbers, bytes)) {
            return true;
        }
        if self.is_full {
            self.key_ends[end(self.keys[self.oldest])] -= 1;
        }
        self.key_ends[end(key)] += 1;
        self.keys[self.oldest] = key;
        let place = &mut self.packets[self.oldest];
        (place.at, place.ends, place.numbers) = (at, ends, numbers);
        if !(place.bytes.is_empty() && bytes.is_empty()) {
            place.bytes.clear();
            place.bytes.extend_from_slice(bytes);
        }
        self.oldest = (self.oldest + 1) % PACKETS;
        self.is_full |= self.oldest == 0;
        false
    }

    /// Whether one of the packets of this key is the same.
    fn finds(&self, key: u32, at: Timestamp, ends: PacketEnds, (numbers, bytes): (u128, &[u8])) -> bool {
        let same = |packet: &RecentPacket| {
            let apart = at.seconds_since(packet.at);
            packet.ends == ends
                && packet.numbers == numbers
                && packet.bytes == bytes
                && (-DELAY..=DELAY).contains(&apart)
        };
        let filled = if self.is_full { PACKETS } else { self.oldest };
        let mut places = self.keys.iter().zip(&self.packets).take(filled);
        places.any(|(known, packet)| *known == key && same(packet))
    }
}

/// The place of a key among the ends.
const fn end(key: u32) -> usize {
    key as usize % ENDS
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn datagram(port: u16, identification: Option<u16>, payload: &[u8]) -> Datagram<'_> {
        let end = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 9, 0, 2)), port);
        Datagram { src: end(port), dst: end(6881), identification, payload, lost_tail: 0, outgoing: None }
    }

    /// Whether the datagram is taken for a copy.
    fn is_copy(recent: &mut RecentPackets, at: Timestamp, datagram: &Datagram<'_>) -> bool {
        recent.has_datagram(at, PacketEnds::new(datagram.src, datagram.dst), datagram)
    }

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_secs_nanos(7, (milliseconds * 1_000_000) as u32)
    }

    #[test]
    fn a_datagram_that_comes_again_at_once_is_a_copy() {
        let mut recent = RecentPackets::default();
        let first = datagram(1, Some(4), b"ping");
        assert!(!is_copy(&mut recent, at(0), &first));
        for (milliseconds, other) in [
            (1, datagram(1, Some(5), b"ping")),
            (2, datagram(1, None, b"ping")),
            (3, datagram(2, Some(4), b"ping")),
            (4, datagram(1, Some(4), b"pong")),
            (5, datagram(1, Some(4), b"")),
            (6, datagram(1, Some(4), b"")),
        ] {
            assert!(!is_copy(&mut recent, at(milliseconds), &other), "{other:?}");
        }
        assert!(is_copy(&mut recent, at(7), &first));
        assert!(is_copy(&mut recent, at(10), &first));
        assert!(!is_copy(&mut recent, at(11), &first), "later, it is another packet");
    }

    #[test]
    fn few_packets_are_remembered() {
        let mut recent = RecentPackets::default();
        assert!(!is_copy(&mut recent, at(0), &datagram(1, None, b"ping")));
        for port in 2..=PACKETS as u16 {
            assert!(!is_copy(&mut recent, at(0), &datagram(port, None, b"ping")));
        }
        assert!(is_copy(&mut recent, at(0), &datagram(1, None, b"ping")));
        assert!(!is_copy(&mut recent, at(0), &datagram(100, None, b"ping")));
        assert!(!is_copy(&mut recent, at(0), &datagram(1, None, b"ping")));
    }
}
