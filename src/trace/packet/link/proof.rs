//! Whether bytes that are assumed to be an IP packet are one. A tunnel over UDP is known by nothing but its port, which
//! any program may take, so what is inside has to prove it.

/// What the first IP packet in a tunnel must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Demand {
    /// How many bytes after the captured ones the tunnel held.
    pub(super) lost: usize,
    /// Whether the checksum of an IPv4 header has to be right: where the port does not speak for the tunnel.
    pub(super) checksum: bool,
}

impl Demand {
    /// Whether `packet` is IP of either version and fits into the room it has: it is whole, but for what was not
    /// captured, and little more than padding follows.
    pub(super) fn is_met(self, packet: &[u8]) -> bool {
        let length = match packet {
            [first, _, high, low, ..] if first >> 4 == 4 => {
                let header = usize::from(first & 0x0f) * 4;
                let total = usize::from(u16::from_be_bytes([*high, *low]));
                let whole = header >= 20 && total >= header && packet.len() >= header.min(20);
                if !whole || self.checksum && !has_right_checksum(packet, header) {
                    return false;
                }
                total
            }
            [first, _, _, _, high, low, next, ..] if first >> 4 == 6 && packet.len() >= 40 => {
                if !NEXT_HEADERS.contains(next) {
                    return false;
                }
                40 + usize::from(u16::from_be_bytes([*high, *low]))
            }
            _ => return false,
        };
        let room = packet.len().saturating_add(self.lost);
        (length..=length + MOST_PADDING).contains(&room)
    }
}

/// The sum of a right header's 16-bit words, carried around, is all ones (RFC 791, section 3.1).
fn has_right_checksum(packet: &[u8], header: usize) -> bool {
    let Some(header) = packet.get(..header) else { return false };
    let words = header.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum & 0xffff) + (sum >> 16) == 0xffff
}

/// Padding of a short frame of Ethernet to 60 bytes and its checksum; an IP packet has 20 of the 46 at the least.
const MOST_PADDING: usize = 32;

/// What follows an IPv6 header that leads to TCP or UDP: extensions, IP again, the transports, GRE, ICMPv6, nothing.
const NEXT_HEADERS: [u8; 12] = [0, 4, 6, 17, 41, 43, 44, 47, 51, 58, 59, 60];

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn ipv4() -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4([10, 0, 0, 2], [10, 0, 0, 3], 64).udp(1, 2).write(&mut bytes, b"hello").unwrap();
        bytes
    }

    #[test]
    fn only_what_fits_is_a_packet() {
        let demand = Demand { lost: 0, checksum: true };
        let packet = ipv4();
        assert!(demand.is_met(&packet));
        assert!(demand.is_met(&[&packet[..], &[0; 32]].concat()));
        assert!(!demand.is_met(&[&packet[..], &[0; 33]].concat()));
        for end in 0..packet.len() {
            assert!(!demand.is_met(&packet[..end]), "cut at {end}");
            let captured = Demand { lost: packet.len() - end, checksum: true };
            assert_eq!(captured.is_met(&packet[..end]), end >= 20, "captured to {end}");
        }
    }

    #[test]
    fn any_flip_in_an_ipv4_header_is_found() {
        let packet = ipv4();
        for at in 0..20 {
            for bit in 0..8 {
                let mut changed = packet.clone();
                changed[at] ^= 1 << bit;
                assert!(!Demand { lost: 0, checksum: true }.is_met(&changed), "byte {at}");
            }
        }
        let mut changed = packet;
        changed[10] ^= 1;
        assert!(Demand { lost: 0, checksum: false }.is_met(&changed));
    }

    #[test]
    fn a_query_of_the_dht_is_not_ipv6() {
        // It begins with the letter d, 0x64, whose upper half is 6.
        let query = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe";
        assert!(!Demand { lost: 0, checksum: false }.is_met(query));
    }
}
