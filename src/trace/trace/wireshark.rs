//! The numbers that Wireshark gives conversations: `tcp.stream` and `udp.stream`.
//!
//! A conversation is two addresses with their ports, either way. Wireshark numbers conversations from 0 in the order of
//! their first packets, TCP and UDP apart, whatever they carry. A SYN without ACK begins another conversation of the same
//! addresses when its sequence number is not the one that its end began with. So every packet is counted, not only those
//! of BitTorrent.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use crate::dissect::Dissected;
use crate::packet::four_tuple::{FourTuple, PacketEnds, RecentConversations};
use crate::packet::link::Segment;
use crate::record::{Record, Transport};

/// The conversations of a capture, by Wireshark's numbers.
#[derive(Debug, Default)]
pub(super) struct WiresharkStreams {
    tcp: HashMap<FourTuple, TcpNumbers, RandomState>,
    /// How many numbers were given to conversations over TCP.
    tcp_numbers: u32,
    udp: HashMap<FourTuple, u32, RandomState>,
    recent_tcp: RecentConversations<Option<u32>>,
    recent_udp: RecentConversations<Option<u32>>,
    latest: Option<Latest>,
}

/// The conversations over TCP of two ends.
#[derive(Debug, Clone, Copy)]
struct TcpNumbers {
    number: u32,
    /// The packet that began it, and the number before.
    since: u64,
    earlier: Option<u32>,
    /// The sequence number that each end began with, the lesser end first, as far as it is known.
    begins: [Option<u32>; 2],
}

/// The packet that was taken in last, and the number of its conversation.
#[derive(Debug, Clone, Copy)]
struct Latest {
    frame: u64,
    is_tcp: bool,
    number: Option<u32>,
}

/// How many pairs of ends are told apart, over TCP and over UDP each: some 90 MiB of memory. Those beyond have no number.
const CONVERSATIONS: usize = 450_000;

impl WiresharkStreams {
    /// Takes in a segment of a packet.
    #[inline]
    pub(super) fn segment(&mut self, frame: u64, ends: PacketEnds, segment: &Segment<'_>) {
        // A SYN may begin another conversation of the same ends.
        let number = match self.recent_tcp.get(&ends.between) {
            Some(number) if !segment.syn => number,
            _ => self.number_of_segment(frame, ends, segment),
        };
        self.latest = Some(Latest { frame, is_tcp: true, number });
    }

    fn number_of_segment(&mut self, frame: u64, ends: PacketEnds, segment: &Segment<'_>) -> Option<u32> {
        let own = usize::from(ends.sender);
        let begins = segment.syn && segment.ack.is_none();
        let is_full = self.tcp.len() >= CONVERSATIONS;
        let numbers = match self.tcp.entry(ends.between) {
            Entry::Occupied(entry) => Some(entry.into_mut()),
            Entry::Vacant(_) if is_full => None,
            Entry::Vacant(entry) => {
                let number = next(&mut self.tcp_numbers);
                Some(entry.insert(TcpNumbers { number, since: frame, earlier: None, begins: [None; 2] }))
            }
        };
        let number = numbers.map(|numbers| {
            if begins && numbers.begins[own].is_some_and(|first| first != segment.seq) {
                let (number, earlier) = (next(&mut self.tcp_numbers), Some(numbers.number));
                *numbers = TcpNumbers { number, since: frame, earlier, begins: [None; 2] };
            }
            let first = if segment.syn { segment.seq } else { segment.seq.wrapping_sub(1) };
            numbers.begins[own].get_or_insert(first);
            if let Some(ack) = segment.ack {
                numbers.begins[1 - own].get_or_insert(ack.wrapping_sub(1));
            }
            numbers.number
        });
        self.recent_tcp.keep(ends.between, number);
        number
    }

    /// Takes in a datagram of a packet.
    #[inline]
    pub(super) fn datagram(&mut self, frame: u64, ends: PacketEnds) {
        let number = match self.recent_udp.get(&ends.between) {
            Some(number) => number,
            None => self.number_of_datagram(ends.between),
        };
        self.latest = Some(Latest { frame, is_tcp: false, number });
    }

    fn number_of_datagram(&mut self, between: FourTuple) -> Option<u32> {
        let known = self.udp.len();
        let number = match self.udp.entry(between) {
            Entry::Occupied(entry) => Some(*entry.get()),
            Entry::Vacant(_) if known >= CONVERSATIONS => None,
            Entry::Vacant(entry) => Some(*entry.insert(known as u32)),
        };
        self.recent_udp.keep(between, number);
        number
    }

    /// Gives each record from place `first` on its number, once its last packet was taken in.
    #[inline]
    pub(super) fn number(&self, dissected: &mut VecDeque<Dissected>, first: usize) {
        let mut place = first;
        while let Some(one) = dissected.get_mut(place) {
            if let Dissected::Record(record) = one {
                record.wireshark_stream = self.number_of(record);
            }
            place += 1;
        }
    }

    /// The number of the conversation that a record's last packet belongs to, once that packet was taken in.
    #[inline]
    fn number_of(&self, record: &Record) -> Option<u32> {
        let frame = *record.frames.last()?;
        let is_tcp = record.transport == Transport::Tcp;
        if let Some(latest) = &self.latest
            && latest.frame == frame
            && latest.is_tcp == is_tcp
        {
            return latest.number;
        }
        self.number_of_earlier(record, frame, is_tcp)
    }

    fn number_of_earlier(&self, record: &Record, frame: u64, is_tcp: bool) -> Option<u32> {
        let PacketEnds { between, .. } = PacketEnds::new(record.source, record.destination);
        if !is_tcp {
            return self.udp.get(&between).copied();
        }
        let numbers = self.tcp.get(&between)?;
        if frame >= numbers.since { Some(numbers.number) } else { numbers.earlier }
    }
}

/// The next number that is free.
fn next(numbers: &mut u32) -> u32 {
    let number = *numbers;
    *numbers = numbers.saturating_add(1);
    number
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    fn segment(src: u16, dst: u16, seq: u32, ack: Option<u32>, flags: &str) -> Segment<'static> {
        Segment {
            src: at(src),
            dst: at(dst),
            seq,
            ack,
            syn: flags.contains('S'),
            fin: flags.contains('F'),
            rst: flags.contains('R'),
            window: 0,
            options: &[],
            identification: None,
            payload: &[],
            lost_tail: 0,
            outgoing: None,
        }
    }

    /// The number of the conversation after each segment, in order.
    fn numbers(segments: &[Segment<'_>]) -> Vec<Option<u32>> {
        let mut streams = WiresharkStreams::default();
        let after = |(frame, segment): (u64, &Segment<'_>)| {
            streams.segment(frame, PacketEnds::new(segment.src, segment.dst), segment);
            streams.latest.and_then(|latest| latest.number)
        };
        (1..).zip(segments).map(after).collect()
    }

    #[test]
    fn both_directions_are_one_conversation_in_the_order_of_first_packets() {
        let segments = [
            segment(1, 2, 100, None, "S"),
            segment(3, 2, 7, None, "S"),
            segment(2, 1, 50, Some(101), "S"),
            segment(2, 3, 9, Some(8), "SR"),
            segment(1, 2, 101, Some(51), ""),
        ];
        assert_eq!(numbers(&segments), [0, 1, 0, 1, 0].map(Some));
    }

    #[test]
    fn only_a_syn_with_another_number_begins_another_conversation() {
        let segments = [
            segment(1, 2, 100, None, "S"),
            // The same SYN again, an end, and a SYN with an ACK continue it.
            segment(1, 2, 100, None, "S"),
            segment(1, 2, 101, Some(1), "F"),
            segment(2, 1, 900, Some(1), "S"),
            segment(1, 2, 5_000, None, "S"),
            segment(1, 2, 5_001, Some(1), ""),
            segment(1, 2, 5_000, None, "S"),
        ];
        assert_eq!(numbers(&segments), [0, 0, 0, 0, 1, 1, 1].map(Some));
    }

    #[test]
    fn a_syn_after_a_stream_that_was_joined_in_the_middle_begins_another_conversation() {
        let segments = [
            segment(1, 2, 1_000, Some(40), ""),
            // What it began with is taken to be the number before, and the receiver's that before the acknowledged one.
            segment(1, 2, 999, None, "S"),
            segment(2, 1, 39, None, "S"),
            segment(2, 1, 40, None, "S"),
        ];
        assert_eq!(numbers(&segments), [0, 0, 0, 1].map(Some));
    }

    #[test]
    fn datagrams_are_counted_by_themselves_and_beyond_the_bound_not_at_all() {
        let mut streams = WiresharkStreams::default();
        streams.segment(1, PacketEnds::new(at(1), at(2)), &segment(1, 2, 0, None, "S"));
        let mut number = |frame, dst| {
            streams.datagram(frame, PacketEnds::new(at(1), dst));
            streams.latest.and_then(|latest| latest.number)
        };
        assert_eq!([2, 3, 2].map(|port| number(2, at(port))), [0, 1, 0].map(Some));
        let many = |number: u32| SocketAddr::from((std::net::Ipv4Addr::from(number), 1));
        for conversation in 2..CONVERSATIONS as u32 {
            assert_eq!(number(3, many(conversation)), Some(conversation));
        }
        assert_eq!(number(4, many(u32::MAX)), None);
        assert_eq!(number(5, at(3)), Some(1));
    }
}
