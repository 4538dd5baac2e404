//! Which addresses are of a network that the public cannot reach.

use std::net::IpAddr;

/// Whether an address is of a network of its own (RFC 1918, RFC 6598, RFC 4193), of one link, or of this host.
pub const fn is_local_network(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let is_shared = a == 100 && b & 0xc0 == 64;
            v4.is_private() || v4.is_link_local() || v4.is_loopback() || v4.is_unspecified() || is_shared
        }
        IpAddr::V6(v6) => {
            v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback() || v6.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_local_from_public_addresses() {
        let is_local = |text: &str| is_local_network(text.parse().expect("an address"));
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "::",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
        ] {
            assert!(is_local(text), "{text}");
        }
        for text in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "169.253.0.1", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(!is_local(text), "{text}");
        }
    }
}
