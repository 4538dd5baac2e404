//! How large packets may be on the way to the other end. A probe is a packet of the usual bytes that is padded to the size
//! in question: when it is lost, its bytes can be sent again without the padding, and the loss says nothing of congestion.

use std::time::Duration;

use crate::Timestamp;
use crate::utp::header::EXTENSION_HEAD;

/// The search for the largest packet that arrives. Sizes count the bytes after the UDP header.
#[derive(Debug, Clone)]
pub(super) struct PacketSize {
    /// The size in use: packets of it arrive.
    known: usize,
    /// The largest size that may arrive.
    ceiling: usize,
    /// The probe that is under way.
    probe: Option<usize>,
    /// How many probes of the next size were lost.
    losses: u32,
    /// When the search begins again.
    again_at: Option<Timestamp>,
    largest: usize,
    /// Whether a packet of the first size has arrived.
    is_proven: bool,
}

impl PacketSize {
    /// The search for a way on which IP and UDP take so many bytes of a packet.
    pub(super) const fn new(header: usize) -> Self {
        let largest = ETHERNET - header;
        Self {
            known: FIRST,
            ceiling: largest,
            probe: None,
            losses: 0,
            again_at: None,
            largest,
            is_proven: false,
        }
    }

    /// The size of packets, header included.
    pub(super) const fn size(&self) -> usize {
        self.known
    }

    /// The size of a probe that is to be sent now. Where it is sent, [`begin`](Self::begin) says so.
    pub(super) fn wanted(&mut self, now: Timestamp) -> Option<usize> {
        if self.again_at.is_some_and(|at| at <= now) {
            self.again_at = None;
            self.ceiling = self.largest;
            self.losses = 0;
        }
        if self.probe.is_some() || !self.is_proven || self.again_at.is_some() {
            return None;
        }
        if self.ceiling < self.known + PRECISE {
            self.again_at = Some(now + AGAIN);
            return None;
        }
        // Most ways take Ethernet's size, so that the first probe is often the last.
        let is_first = self.ceiling == self.largest;
        let wanted = if is_first { self.ceiling } else { (self.known + self.ceiling).div_ceil(2) };
        Some(wanted.min(self.known + MOST_PADDING))
    }

    /// A probe of this size is sent.
    pub(super) const fn begin(&mut self, size: usize) {
        self.probe = Some(size);
    }

    /// The probe has arrived.
    pub(super) const fn arrived(&mut self) {
        if let Some(size) = self.probe.take() {
            self.known = size;
            self.losses = 0;
        }
    }

    /// The probe is lost. A size is too large after two probes, because one may be lost for another reason.
    pub(super) const fn lost(&mut self) {
        if let Some(size) = self.probe.take() {
            self.losses += 1;
            if self.losses >= LOSSES {
                self.losses = 0;
                self.ceiling = size - 1;
            }
        }
    }

    /// A packet of the size in use has arrived.
    pub(super) const fn proven(&mut self) {
        self.is_proven = true;
    }

    /// Nothing was acknowledged in time, so many times in a row. Where no packet of the first size ever arrived, the way may
    /// take smaller ones alone.
    pub(super) const fn expired(&mut self, times: u32) {
        if times >= LOSSES && !self.is_proven && self.known > LEAST {
            self.ceiling = self.known - 1;
            self.known = LEAST;
        }
    }
}

/// The size at first: IPv6's least MTU without the headers of IPv6 and UDP (RFC 8200, section 5).
pub(super) const FIRST: usize = 1_280 - 48;
/// The most bytes of padding in a probe: those of one extension, and its two bytes before them (BEP 29, "extension").
const MOST_PADDING: usize = EXTENSION_HEAD + u8::MAX as usize;
/// The least size: what every host takes over IPv4 (RFC 1122, section 3.3.3), as libtorrent has it.
const LEAST: usize = 576;
/// The bytes of a packet on Ethernet, IP's header included.
const ETHERNET: usize = 1_500;
/// The search ends when fewer bytes are left to gain (libutp has 16).
const PRECISE: usize = 16;
/// How many probes of a size are lost before it counts as too large.
const LOSSES: u32 = 2;
/// When the search begins again (libutp).
const AGAIN: Duration = Duration::from_secs(30 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const IPV4: usize = 28;

    /// The size that is found on a way that takes packets of `mtu` bytes, and how many probes that took.
    fn search(size: &mut PacketSize, now: Timestamp, mtu: usize) -> (usize, usize) {
        let mut probes = 0;
        while let Some(probe) = size.wanted(now) {
            assert!(probe > size.size() && probe <= ETHERNET - IPV4);
            size.begin(probe);
            assert_eq!(size.wanted(now), None, "one probe is under way at a time");
            match probe <= mtu {
                true => size.arrived(),
                false => size.lost(),
            }
            probes += 1;
        }
        (size.size(), probes)
    }

    fn proven() -> PacketSize {
        let mut size = PacketSize::new(IPV4);
        size.proven();
        size
    }

    #[test]
    fn one_probe_finds_the_size_of_ethernet() {
        assert_eq!(search(&mut proven(), Timestamp::EPOCH, 1_500), (1_472, 1));
    }

    #[test]
    fn halving_finds_what_a_way_takes_within_16_bytes() {
        for mtu in 1_232..1_472 {
            let (found, probes) = search(&mut proven(), Timestamp::EPOCH, mtu);
            assert!(found <= mtu && found + PRECISE > mtu, "{mtu}: {found}");
            assert!(probes <= 12, "{mtu}: {probes} probes");
        }
    }

    #[test]
    fn nothing_is_probed_before_a_packet_has_arrived() {
        let mut size = PacketSize::new(IPV4);
        assert_eq!((size.size(), size.wanted(Timestamp::EPOCH)), (1_232, None));
    }

    #[test]
    fn the_search_begins_again_after_half_an_hour() {
        let mut size = proven();
        search(&mut size, Timestamp::EPOCH, 1_300);
        let later = Timestamp::EPOCH + AGAIN;
        assert_eq!(size.wanted(later + Duration::ZERO), Some(1_472));
        assert_eq!(search(&mut size, later, 1_500).0, 1_472);
    }

    #[test]
    fn one_lost_probe_does_not_lower_the_ceiling() {
        let mut size = proven();
        size.begin(1_472);
        size.lost();
        assert_eq!(size.wanted(Timestamp::EPOCH), Some(1_472));
    }

    #[test]
    fn packets_become_small_where_none_of_the_first_size_arrives() {
        let mut size = PacketSize::new(IPV4);
        size.expired(1);
        assert_eq!(size.size(), FIRST);
        size.expired(2);
        assert_eq!(size.size(), LEAST);
        let mut size = proven();
        size.expired(4);
        assert_eq!(size.size(), FIRST);
    }
}
