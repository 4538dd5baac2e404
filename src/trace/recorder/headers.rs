//! The IP, TCP and UDP headers that are made up around a payload. The payload is read once, for the checksum, and not copied.

use std::io;
use std::net::{IpAddr, SocketAddr};

use etherparse::checksum::Sum16BitWords;
use etherparse::{Ipv4Header, Ipv6Header, TransportHeader, UdpHeader, ip_number};

/// Appends the headers of a packet between these ends, both of one family. The lengths and checksums of the headers are set here.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidInput`] when the payload is longer than a packet can be.
pub(super) fn append(
    src: SocketAddr,
    dst: SocketAddr,
    mut transport: TransportHeader,
    payload: &[u8],
    packet: &mut Vec<u8>,
) -> io::Result<()> {
    let length = transport.header_len() + payload.len();
    let protocol = match &mut transport {
        TransportHeader::Udp(header) => {
            header.length = u16::try_from(UdpHeader::LEN + payload.len()).map_err(too_long)?;
            ip_number::UDP
        }
        _ => ip_number::TCP,
    };
    match (src.ip(), dst.ip()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let mut ip = Ipv4Header::new(0, HOPS, protocol, src.octets(), dst.octets()).map_err(too_long)?;
            ip.set_payload_len(length).map_err(too_long)?;
            ip.header_checksum = ip.calc_header_checksum();
            match &mut transport {
                TransportHeader::Tcp(header) => {
                    let without = header.calc_checksum_ipv4(&ip, &[]).map_err(too_long)?;
                    header.checksum = with_payload(without, payload);
                }
                other => other.update_checksum_ipv4(&ip, payload).map_err(too_long)?,
            }
            packet.extend_from_slice(&ip.to_bytes());
        }
        (src, dst) => {
            let mut ip = Ipv6Header {
                next_header: protocol,
                hop_limit: HOPS,
                source: octets(src),
                destination: octets(dst),
                ..Ipv6Header::default()
            };
            ip.set_payload_length(length).map_err(too_long)?;
            match &mut transport {
                TransportHeader::Tcp(header) => {
                    let without = header.calc_checksum_ipv6(&ip, &[]).map_err(too_long)?;
                    header.checksum = with_payload(without, payload);
                }
                other => other.update_checksum_ipv6(&ip, payload).map_err(too_long)?,
            }
            packet.extend_from_slice(&ip.to_bytes());
        }
    }
    transport.write(packet)
}

/// The checksum of a TCP segment, from the checksum that it would have without its payload (RFC 1624, section 3). The pseudo header
/// has the payload's length, of less than 64 KiB.
fn with_payload(without: u16, payload: &[u8]) -> u16 {
    Sum16BitWords::new()
        .add_2bytes((!without).to_be_bytes())
        .add_2bytes((payload.len() as u16).to_be_bytes())
        .add_8bytes(sum(payload).to_ne_bytes())
        .ones_complement()
        .to_be()
}

/// The sum of 32-bit words, the last filled up with zeros. RFC 1071, section 2: one's complement sums may be made of larger words, in
/// any order of bytes. Without a carry from each addition to the next one, the processor adds several words at once.
fn sum(payload: &[u8]) -> u64 {
    let (words, rest) = payload.as_chunks();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    words.iter().chain([&last]).map(|&word| u64::from(u32::from_ne_bytes(word))).sum()
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn too_long(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

const HOPS: u8 = 64;

#[cfg(test)]
mod tests {
    use etherparse::TcpHeader;

    use super::*;

    #[test]
    fn a_checksum_is_that_of_the_segment_as_a_whole() {
        let ends: [(SocketAddr, SocketAddr); 2] = [
            ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap()),
            ("[fd00::1]:1".parse().unwrap(), "[fd00::2]:2".parse().unwrap()),
        ];
        let bytes: Vec<u8> =
            (0..65_495u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for (src, dst) in ends {
            for payload in (0..40)
                .chain([1_000, 1_001, 65_493, 65_494, 65_495])
                .map(|length| &bytes[..length])
                .chain([&[0xff; 65_495][..]])
            {
                let header = TcpHeader::new(src.port(), dst.port(), 0xfffe_fdfc, 1);
                let mut packet = Vec::new();
                append(src, dst, TransportHeader::Tcp(header), payload, &mut packet).unwrap();
                packet.extend_from_slice(payload);
                let sliced = etherparse::SlicedPacket::from_ip(&packet).unwrap();
                let Some(etherparse::TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("not TCP") };
                let whole = match sliced.net.unwrap() {
                    etherparse::NetSlice::Ipv4(ip) => {
                        tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination())
                    }
                    etherparse::NetSlice::Ipv6(ip) => {
                        tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination())
                    }
                    other => panic!("{other:?}"),
                };
                assert_eq!(tcp.checksum(), whole.unwrap(), "{} bytes", payload.len());
            }
        }
    }
}
