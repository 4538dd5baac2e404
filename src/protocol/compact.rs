//! Addresses in compact form, as trackers, peer exchange and the extended handshake write them (BEP 7, 10, 11, 23).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The bytes of a peer: its address and 2 of the port.
pub(crate) const fn stride(ipv6: bool) -> usize {
    if ipv6 { 18 } else { 6 }
}

/// Peers of 6 bytes each, or 18 over IPv6. An incomplete one at the end is left out.
pub fn endpoints(bytes: &[u8], ipv6: bool) -> Vec<SocketAddr> {
    bytes.chunks_exact(stride(ipv6)).filter_map(endpoint).collect()
}

/// A peer of 6 or 18 bytes.
pub fn endpoint(peer: &[u8]) -> Option<SocketAddr> {
    let (host, port) = peer.split_last_chunk::<2>()?;
    Some(SocketAddr::new(address(host)?, u16::from_be_bytes(*port)))
}

/// An address of 4 or 16 bytes.
pub(crate) fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).into());
    }
    Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into())
}

/// The 4 or 16 bytes of an address.
pub(crate) fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// Writes a peer: 6 bytes, or 18 over IPv6.
pub fn put_endpoint(out: &mut Vec<u8>, peer: SocketAddr) {
    match peer.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&peer.port().to_be_bytes());
}
