//! Which addresses are of a network that the public cannot reach.

use std::net::{IpAddr, Ipv4Addr};

/// Whether an address is of this machine or of a network that is not the Internet, where a server may trust whoever reaches
/// it: loopback, link-local, private (RFC 1918, RFC 4193), shared (RFC 6598), unspecified, and those of IPv4 that are written
/// in IPv6 (RFC 4291, section 2.5.5.2; RFC 6052).
pub const fn is_local_network(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_local_v4(address),
        IpAddr::V6(address) => {
            let [first, second, third, fourth, fifth, sixth, seventh, last] = address.segments();
            if let (0x64, 0xff9b, 0, 0, 0, 0) = (first, second, third, fourth, fifth, sixth) {
                return is_local_v4(Ipv4Addr::from_bits((seventh as u32) << 16 | last as u32));
            }
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.is_multicast()
        }
    }
}

const fn is_local_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 0
        || first == 127
        || (first == 100 && second & 0xc0 == 64)
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_networks_are_told_from_the_internet() {
        for local in [
            "127.0.0.1",
            "127.8.9.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
        ] {
            assert!(is_local_network(local.parse().unwrap()), "{local}");
        }
        for public in [
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.0.2.1",
            "169.253.0.1",
            "2001:db8::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(!is_local_network(public.parse().unwrap()), "{public}");
        }
    }
}
