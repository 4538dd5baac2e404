//! Packets of uTP that leave a host as one datagram, which its network card or the receiving end cuts to equal lengths (UDP
//! segmentation offload). A capture on that host has the one datagram; on loopback nothing ever cuts it. Such a datagram is taken
//! apart only where each of its parts is surely a packet: it follows the part before it.

use std::slice::Chunks;

use bittrace_protocol::utp::{Header, Kind, kind};

/// The packets of a datagram that is several of one connection; `None` where it is one packet, or not surely several.
pub(super) fn packets(datagram: &[u8]) -> Option<Chunks<'_, u8>> {
    if datagram.len() <= LARGEST || kind(*datagram.first()?) != Some(Kind::Data) {
        return None;
    }
    let first = Header::decode(datagram).ok()?;
    let shortest = datagram.len().div_ceil(MOST_PACKETS).max(first.length + 1);
    let mut lengths = shortest..=LARGEST;
    let length = lengths.find(|&length| follow_each_other(first, datagram.chunks(length)))?;
    Some(datagram.chunks(length))
}

/// Whether all parts are packets of one connection, each with a later number than the one before and not sent before it.
fn follow_each_other(first: Header, parts: Chunks<'_, u8>) -> bool {
    let mut before = first;
    parts.skip(1).all(|part| {
        let begins = part.first().is_some_and(|byte| matches!(kind(*byte), Some(Kind::Data | Kind::Fin)));
        let Some(header) = begins.then(|| Header::decode(part).ok()).flatten() else { return false };
        let ahead = header.sequence.wrapping_sub(before.sequence);
        let later = header.timestamp.wrapping_sub(before.timestamp);
        before = header;
        header.connection == first.connection && (1..=MOST_AHEAD).contains(&ahead) && later <= MOST_LATER
    })
}

/// The longest datagram that an Ethernet carries in one packet: 1,500 bytes less the headers of IPv4 and UDP.
const LARGEST: usize = 1_472;
/// How many packets leave together at most (Linux, `UDP_MAX_SEGMENTS`: 64, since 6.9 128).
const MOST_PACKETS: usize = 128;
/// How much larger the number of the next packet may be: no end of a connection keeps more packets (libutp,
/// `REORDER_BUFFER_MAX_SIZE`). What was lost goes first, so that numbers may be left out.
const MOST_AHEAD: u16 = 1_024;
/// How many microseconds after the packet before one may be sent: what leaves together is made within a moment.
const MOST_LATER: u32 = 100_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A packet of connection 7 with so many bytes of the stream: 0 is data, 1 FIN, 2 STATE.
    fn packet(kind: u8, number: u16, time: u32, payload: usize) -> Vec<u8> {
        let mut bytes = vec![kind << 4 | 1, 0, 0, 7];
        bytes.extend(time.to_be_bytes());
        bytes.extend([0, 0, 0, 9, 0, 1, 0, 0]);
        bytes.extend(number.to_be_bytes());
        bytes.extend([0, 3]);
        bytes.extend((0..payload).map(|at| (at % 251) as u8));
        bytes
    }

    fn lengths(datagram: &[u8]) -> Option<Vec<usize>> {
        packets(datagram).map(|parts| parts.map(<[u8]>::len).collect())
    }

    #[test]
    fn packets_of_one_length_that_follow_each_other_are_taken_apart() {
        let three = [packet(0, 65_535, 5, 1_000), packet(0, 0, 5, 1_000), packet(0, 1, 6, 30)].concat();
        assert_eq!(lengths(&three), Some(vec![1_020, 1_020, 50]));
        // What was lost before goes first; the end of the stream has no bytes.
        let lost = [packet(0, 8, 5, 1_452), packet(0, 70, 5, 1_452), packet(1, 71, 5, 0)].concat();
        assert_eq!(lengths(&lost), Some(vec![1_472, 1_472, 20]));
        let many: Vec<u8> = (0..64).flat_map(|number| packet(0, number, 5, 500)).collect();
        assert_eq!(lengths(&many), Some(vec![520; 64]));
    }

    #[test]
    fn what_is_not_surely_several_packets_is_one() {
        let first = packet(0, 8, 5, 1_000);
        let other_connection = [&packet(0, 9, 5, 999)[..3], &[8], &packet(0, 9, 5, 999)[4..]].concat();
        for (what, second) in [
            ("the same number again", packet(0, 8, 5, 999)),
            ("a number far ahead", packet(0, 8 + MOST_AHEAD + 1, 5, 999)),
            ("sent before", packet(0, 9, 4, 999)),
            ("sent long after", packet(0, 9, 6 + MOST_LATER, 999)),
            ("an acknowledgement", packet(2, 9, 5, 999)),
            ("another connection", other_connection),
            ("a longer one", packet(0, 9, 5, 1_001)),
            ("bytes of the stream", vec![0; 999]),
        ] {
            assert_eq!(lengths(&[first.clone(), second].concat()), None, "{what}");
        }
        // As long as an Ethernet has it, or with nothing else in it.
        assert_eq!(lengths(&[packet(0, 8, 5, 100), packet(0, 9, 5, 100)].concat()), None);
        assert_eq!(lengths(&packet(0, 8, 5, 60_000)), None);
        assert_eq!(lengths(&[]), None);
        // The third is none, though the second is.
        let cut =
            [packet(0, 8, 5, 1_000), packet(0, 9, 5, 1_000), packet(0, 10, 5, 0)[..19].to_vec()].concat();
        assert_eq!(lengths(&cut), None);
    }

    proptest! {
        #[test]
        fn whatever_leaves_together_comes_apart_as_it_was(
            payload in 30..=1_452_usize,
            count in 2..=64_u16,
            last in 1..=1_452_usize,
            number: u16,
            time: u32,
        ) {
            let mut parts: Vec<_> =
                (0..count).map(|at| packet(0, number.wrapping_add(at), time, payload)).collect();
            parts.push(packet(0, number.wrapping_add(count), time, last.min(payload)));
            let datagram = parts.concat();
            prop_assume!(datagram.len() > LARGEST);
            let found: Option<Vec<_>> = packets(&datagram).map(|found| found.map(<[u8]>::to_vec).collect());
            prop_assert_eq!(found, Some(parts));
        }

        #[test]
        fn other_bytes_are_read_without_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..8_000)) {
            if let Some(first) = bytes.first_mut() {
                *first = 1;
            }
            if let Some(parts) = packets(&bytes) {
                prop_assert_eq!(parts.collect::<Vec<_>>().concat(), bytes);
            }
        }
    }
}
