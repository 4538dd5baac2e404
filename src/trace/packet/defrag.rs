//! IP packets that were cut up on their way, put together again.
//!
//! What is kept is bounded in number and age; of a packet that never becomes whole nothing is shown.

use std::collections::VecDeque;

use bittrace_protocol::Timestamp;
use etherparse::defrag::IpDefragBuf;
use etherparse::{IpFragOffset, IpNumber};

use crate::packet::link::{FragmentedPacket, IpFragment, Parsed};

/// The packets of which some parts are there.
#[derive(Debug, Default)]
pub struct Defragmenter {
    /// The oldest first. There are few at any time, so a search from the newest is short.
    open: VecDeque<PartialDatagram>,
}

#[derive(Debug)]
struct PartialDatagram {
    packet: FragmentedPacket,
    begun: Timestamp,
    parts: IpDefragBuf,
}

/// An IP packet that is whole again.
#[derive(Debug)]
pub struct Whole {
    packet: FragmentedPacket,
    payload: Vec<u8>,
}

impl Whole {
    /// What the packet carries.
    pub fn parse(&self) -> Parsed<'_> {
        self.packet.parse(&self.payload)
    }
}

/// How many packets may be incomplete. At 64 KiB each they keep 8 MiB at the most.
const OPEN: usize = 128;

/// How long the parts of a packet are waited for, in seconds: what Linux waits.
const PATIENCE: f64 = 30.0;

impl Defragmenter {
    /// Takes in a part; gives the packet when that makes it whole.
    pub fn add(&mut self, at: Timestamp, fragment: &IpFragment<'_>) -> Option<Whole> {
        while self.open.front().is_some_and(|open| at.seconds_since(open.begun) > PATIENCE) {
            self.open.pop_front();
        }
        let packet = fragment.packet;
        let place = match self.open.iter().rposition(|open| open.packet == packet) {
            Some(place) => place,
            None => {
                if self.open.len() == OPEN {
                    self.open.pop_front();
                }
                let parts = IpDefragBuf::new(IpNumber(packet.protocol), Vec::new(), Vec::new());
                self.open.push_back(PartialDatagram { packet, begun: at, parts });
                self.open.len() - 1
            }
        };
        let open = self.open.get_mut(place)?;
        let offset = IpFragOffset::try_new(fragment.offset).ok()?;
        if open.parts.add(offset, fragment.more, fragment.payload).is_err() {
            // Parts that contradict each other make no packet.
            self.open.remove(place);
            return None;
        }
        if !open.parts.is_complete() {
            return None;
        }
        let open = self.open.remove(place)?;
        Some(Whole { packet, payload: open.parts.take_bufs().0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: FragmentedPacket = FragmentedPacket {
        src: std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)),
        dst: std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)),
        identification: 7,
        protocol: 17,
    };

    /// A UDP datagram from port 6969 to port 6881 with 16 bytes of payload.
    const DATAGRAM: &[u8] = b"\x1b\x39\x1a\xe1\x00\x18\x00\x000123456789abcdef";

    fn part(offset: u16, more: bool) -> IpFragment<'static> {
        let start = usize::from(offset) * 8;
        let end = if more { start + 8 } else { DATAGRAM.len() };
        IpFragment { packet: PACKET, offset, more, payload: &DATAGRAM[start..end] }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs_nanos(seconds, 0)
    }

    #[test]
    fn parts_in_any_order_make_the_packet() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut defragmenter = Defragmenter::default();
            let mut whole = None;
            for (number, offset) in order.into_iter().enumerate() {
                assert!(whole.is_none());
                whole = defragmenter.add(at(number as i64), &part(offset, offset < 2));
            }
            let whole = whole.expect("all parts are there");
            let Parsed::Udp(datagram) = whole.parse() else { panic!("must be a datagram") };
            assert_eq!((datagram.payload, datagram.lost_tail), (&b"0123456789abcdef"[..], 0));
            assert_eq!((datagram.src.port(), datagram.dst.port()), (6969, 6881));
            assert!(defragmenter.open.is_empty());
        }
    }

    #[test]
    fn parts_of_long_ago_are_forgotten() {
        let mut defragmenter = Defragmenter::default();
        assert!(defragmenter.add(at(0), &part(0, true)).is_none());
        assert!(defragmenter.add(at(31), &part(1, true)).is_none());
        assert!(defragmenter.add(at(32), &part(2, false)).is_none());
    }

    #[test]
    fn packets_that_never_become_whole_are_few() {
        let mut defragmenter = Defragmenter::default();
        for identification in 0..10_000 {
            let packet = FragmentedPacket { identification, ..PACKET };
            defragmenter.add(at(0), &IpFragment { packet, ..part(0, true) });
        }
        assert_eq!(defragmenter.open.len(), OPEN);
    }
}
