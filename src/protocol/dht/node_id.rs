//! Ids of nodes: how far apart they are (BEP 5, "overview"), and which of them suit an address (BEP 42).

use std::net::IpAddr;

use super::NodeId;

impl NodeId {
    /// The distance to a target: smaller is nearer.
    pub(super) fn distance(self, target: [u8; 20]) -> [u8; 20] {
        std::array::from_fn(|at| self.0[at] ^ target[at])
    }

    /// How many of the first bits are the same: 160 for the same id.
    pub(super) fn common_bits(self, target: [u8; 20]) -> usize {
        let distance = self.distance(target);
        let zeros = distance.iter().take_while(|&&byte| byte == 0).count();
        zeros * 8 + distance.get(zeros).map_or(0, |byte| byte.leading_zeros() as usize)
    }

    /// The id of a node at this address, from bytes drawn at random (BEP 42, "node ID restriction").
    pub(super) fn drawn_for(host: IpAddr, mut random: [u8; 20]) -> Self {
        let hash = restricted(host, random[19]);
        random[..2].copy_from_slice(&hash[..2]);
        random[2] = (hash[2] & 0xf8) | (random[2] & 0x07);
        Self(random)
    }

    /// Whether a node at this address may have this id (BEP 42). Addresses of local networks may have any.
    pub fn suits(self, host: IpAddr) -> bool {
        if is_local(host) {
            return true;
        }
        let hash = restricted(host, self.0[19]);
        self.0[..2] == hash[..2] && (self.0[2] ^ hash[2]) & 0xf8 == 0
    }
}

/// The hash of an address whose first 21 bits an id has; of `random` the last 3 bits count.
fn restricted(host: IpAddr, random: u8) -> [u8; 4] {
    let (mut bytes, mask): (Vec<u8>, &[u8]) = match host.to_canonical() {
        IpAddr::V4(host) => (host.octets().to_vec(), &[0x03, 0x0f, 0x3f, 0xff]),
        IpAddr::V6(host) => (host.octets()[..8].to_vec(), &[0x01, 0x03, 0x07, 0x0f, 0x1f, 0x3f, 0x7f, 0xff]),
    };
    bytes.iter_mut().zip(mask).for_each(|(byte, mask)| *byte &= mask);
    bytes[0] |= (random & 0x07) << 5;
    crc32c(&bytes).to_be_bytes()
}

/// Whether an address is of a local network, where BEP 42 restricts no ids ("enforcement").
pub(super) fn is_local(host: IpAddr) -> bool {
    match host.to_canonical() {
        IpAddr::V4(host) => host.is_private() || host.is_link_local() || host.is_loopback(),
        IpAddr::V6(host) => host.is_loopback() || host.is_unique_local() || host.is_unicast_link_local(),
    }
}

/// CRC-32C of a few bytes (Castagnoli's polynomial; RFC 3720, appendix B.4).
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { REVERSED_POLYNOMIAL } else { 0 };
        }
    }
    !crc
}

const REVERSED_POLYNOMIAL: u32 = 0x82f6_3b78;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32c_agrees_with_the_examples_of_rfc_3720() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn ids_agree_with_the_examples_of_bep_42() {
        for (host, random, prefix) in [
            ("124.31.75.21", 1, [0x5f, 0xbf, 0xbf]),
            ("21.75.31.124", 86, [0x5a, 0x3c, 0xe9]),
            ("65.23.51.170", 22, [0xa5, 0xd4, 0x32]),
            ("84.124.73.14", 65, [0x1b, 0x03, 0x21]),
            ("43.213.53.83", 90, [0xe5, 0x6f, 0x6c]),
        ] {
            let host: IpAddr = host.parse().expect("an address");
            let mut bytes = [0x55; 20];
            bytes[19] = random;
            let id = NodeId::drawn_for(host, bytes);
            assert_eq!(
                (id.0[0], id.0[1], id.0[2] & 0xf8),
                (prefix[0], prefix[1], prefix[2] & 0xf8),
                "{host}"
            );
            assert!(id.suits(host));
            for bit in 0..21 {
                let mut other = id;
                other.0[bit / 8] ^= 0x80 >> (bit % 8);
                assert!(!other.suits(host), "{host}: bit {bit}");
            }
        }
    }

    #[test]
    fn ids_suit_their_address_over_ipv6_and_any_id_suits_a_local_network() {
        let host: IpAddr = "2001:db8:85a3:8d3:1319:8a2e:370:7348".parse().expect("an address");
        let id = NodeId::drawn_for(host, [7; 20]);
        assert!(id.suits(host) && !NodeId([7; 20]).suits(host));
        // The lower 64 bits are the host's own choice.
        assert!(id.suits("2001:db8:85a3:8d3::1".parse().expect("an address")));
        assert!(!id.suits("2001:db8:85a3:8d4::1".parse().expect("an address")));
        for host in
            ["127.0.0.1", "10.1.2.3", "192.168.0.9", "172.16.0.1", "169.254.1.1", "::1", "fe80::1", "fd00::1"]
        {
            assert!(NodeId([7; 20]).suits(host.parse().expect("an address")), "{host}");
        }
        assert!(!NodeId([7; 20]).suits("172.32.0.1".parse().expect("an address")));
    }

    #[test]
    fn distance_is_the_exclusive_or() {
        let (mut near, mut far) = ([0; 20], [0; 20]);
        near[19] = 3;
        far[0] = 0x10;
        assert!(NodeId(near).distance([0; 20]) < NodeId(far).distance([0; 20]));
        assert_eq!(NodeId(far).common_bits([0; 20]), 3);
        assert_eq!(NodeId(near).common_bits([0; 20]), 158);
        assert_eq!(NodeId(near).common_bits(near), 160);
    }
}
