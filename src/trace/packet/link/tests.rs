mod links;
mod tunnels;

use super::layers::{DEEPEST, NOT_IP, TOO_DEEP};
use super::*;
use etherparse::PacketBuilder;

/// LLC and SNAP before an Ethernet type.
const SNAP: [u8; 6] = [0xaa, 0xaa, 3, 0, 0, 0];

/// IPv4 and UDP, ports 1 and 2, around `hello`.
fn innermost() -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 2], [10, 0, 0, 3], 64).udp(1, 2).write(&mut bytes, b"hello").unwrap();
    bytes
}

/// IPv4 around something else.
fn around_ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    let length = (bytes.len() + payload.len()) as u16;
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn around_ipv6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16).to_be_bytes();
    [&[0x60, 0, 0, 0, length[0], length[1], protocol, 64][..], &[0xfd; 32], payload].concat()
}

fn frame(rest: &[u8]) -> Vec<u8> {
    [&[2; 12][..], rest].concat()
}

#[track_caller]
fn reaches(link: u32, data: &[u8]) {
    let Parsed::Udp(datagram) = parse(LinkType(link), data) else {
        panic!("{:?}", parse(LinkType(link), data))
    };
    assert_eq!((datagram.payload, datagram.src.port(), datagram.dst.port()), (&b"hello"[..], 1, 2));
    for end in 0..data.len() {
        parse(LinkType(link), &data[..end]);
    }
}

fn with(head: &[u8], rest: &[u8]) -> Vec<u8> {
    [head, rest].concat()
}

/// The shorter way says what the longer one says, wherever it says anything: of whole packets, padded ones, and
/// ones with any byte changed or cut anywhere.
#[test]
fn the_shorter_way_ends_where_the_longer_one_does() {
    let mut plain = vec![0x02; 12];
    plain.extend([0x08, 0x00]);
    plain.extend(ipv4(b"payload"));
    plain.extend([0; 3]);
    let mut short = 0;
    let mut check = |frame: &[u8]| {
        for (link, data) in
            [(LinkType::ETHERNET, frame), (LinkType::RAW, frame.get(14..).unwrap_or_default())]
        {
            assert_eq!(parse(link, data), parse_first(link, data, &mut Vec::new()), "{frame:?}");
            short += usize::from(matches!(parse(link, data), Parsed::Tcp(_)));
        }
    };
    for end in 0..=plain.len() {
        check(&plain[..end]);
    }
    for at in 0..plain.len() {
        for value in 0..=255 {
            let mut changed = plain.clone();
            changed[at] = value;
            check(&changed);
        }
    }
    assert!(short > 10_000, "only {short} were TCP");
}

const SRC: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)), 51413);
const DST: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 3)), 6881);

/// IPv4 and TCP around `payload`: 20 + 20 bytes, sequence number 7, acknowledging 9.
fn ipv4(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 2], [10, 0, 0, 3], 64)
        .tcp(51413, 6881, 7, 1000)
        .ack(9)
        .psh()
        .write(&mut bytes, payload)
        .unwrap();
    bytes
}

fn ipv6(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv6([0xfd; 16], [0xfe; 16], 64).udp(1, 2).write(&mut bytes, payload).unwrap();
    bytes
}

fn ethernet(tags: &[u8], protocol: u16, ip: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    bytes.extend_from_slice(tags);
    bytes.extend_from_slice(&protocol.to_be_bytes());
    bytes.extend_from_slice(ip);
    bytes
}

#[track_caller]
fn segment(link: u32, data: &[u8]) -> Segment<'_> {
    match parse(LinkType(link), data) {
        Parsed::Tcp(segment) => segment,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_link_type_leads_to_the_same_segment() {
    let ip = ipv4(b"hello");
    let expected = segment(101, &ip);
    assert_eq!((expected.src, expected.dst), (SRC, DST));
    assert_eq!((expected.seq, expected.ack, expected.window), (7, Some(9), 1000));
    assert_eq!((expected.payload, expected.lost_tail), (&b"hello"[..], 0));

    let vlan = [0x81, 0x00, 0x00, 0x05];
    let family = |family: [u8; 4]| [&family[..], &ip].concat();
    for (link, data) in [
        (1, ethernet(&[], 0x0800, &ip)),
        (1, ethernet(&vlan, 0x0800, &ip)),
        (1, ethernet(&[0x88, 0xa8, 0, 1, 0x81, 0, 0, 5], 0x0800, &ip)),
        (12, ip.clone()),
        (14, ip.clone()),
        (228, ip.clone()),
        (0, family([2, 0, 0, 0])),
        (0, family([0, 0, 0, 2])),
        (108, family([0, 0, 0, 2])),
    ] {
        assert_eq!(segment(link, &data), expected, "link type {link}");
    }
}

#[test]
fn cooked_captures_tell_the_direction() {
    let ip = ipv4(b"hello");
    for (packet_type, outgoing) in [(0, Some(false)), (1, Some(false)), (3, None), (4, Some(true))] {
        let v1 = [&[0, packet_type, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x08, 0x00][..], &ip].concat();
        let v2 =
            [&[0x08, 0, 0, 0, 0, 0, 0, 1, 0, 1, packet_type, 6, 1, 2, 3, 4, 5, 6, 0, 0][..], &ip].concat();
        for (link, data) in [(113, v1), (276, v2)] {
            let segment = segment(link, &data);
            assert_eq!((segment.payload, segment.outgoing), (&b"hello"[..], outgoing), "link type {link}");
        }
    }
}

#[test]
fn reads_udp_over_ipv6() {
    let ip = ipv6(b"query");
    for (link, data) in [
        (229, ip.clone()),
        (1, ethernet(&[], 0x86dd, &ip)),
        (0, [&[30, 0, 0, 0][..], &ip].concat()),
        (0, [&[24, 0, 0, 0][..], &ip].concat()),
        (0, [&[28, 0, 0, 0][..], &ip].concat()),
    ] {
        let Parsed::Udp(datagram) = parse(LinkType(link), &data) else { panic!("link type {link}") };
        assert_eq!(datagram.payload, b"query");
        assert_eq!(datagram.src, SocketAddr::new([0xfd; 16].into(), 1));
    }
    assert_eq!(parse(LinkType::IPV4, &ip), Parsed::Other("not IP"));
}

#[test]
fn ethernet_padding_is_no_payload() {
    let mut frame = ethernet(&[], 0x0800, &ipv4(b""));
    frame.resize(60, 0);
    assert_eq!(segment(1, &frame).payload, b"");
}

#[test]
fn counts_what_was_not_captured() {
    let ip = ipv4(b"hello world");
    let cut = segment(101, &ip[..45]);
    assert_eq!((cut.payload, cut.lost_tail), (&b"hello"[..], 6));
    let headers_only = segment(101, &ip[..40]);
    assert_eq!((headers_only.payload, headers_only.lost_tail), (&b""[..], 11));
    let ip = ipv6(b"query");
    let Parsed::Udp(datagram) = parse(LinkType::RAW, &ip[..50]) else { panic!() };
    assert_eq!((datagram.payload, datagram.lost_tail), (&b"qu"[..], 3));
}

#[test]
fn a_packet_not_yet_cut_by_the_card_is_read_whole() {
    let mut ip = ipv4(&[5; 30_000]);
    ip[2..4].copy_from_slice(&[0, 0]);
    let segment = segment(101, &ip);
    assert_eq!((segment.payload.len(), segment.lost_tail), (30_000, 0));
}

#[test]
fn a_wrong_checksum_does_not_matter() {
    let mut ip = ipv4(b"hello");
    ip[10] ^= 0x55;
    ip[36] ^= 0x55;
    assert_eq!(segment(101, &ip).payload, b"hello");
}

#[test]
fn what_is_not_ours_is_named() {
    let ip = ipv4(b"hello");
    let mut fragment = ip.clone();
    fragment[6] = 0x20;
    assert!(matches!(parse(LinkType::RAW, &fragment), Parsed::Fragment(_)));
    let mut sctp = ip.clone();
    sctp[9] = 132;
    assert_eq!(parse(LinkType::RAW, &sctp), Parsed::Other("neither TCP nor UDP"));
    assert_eq!(parse(LinkType(147), &ip), Parsed::Other("unknown link type"));
    assert_eq!(parse(LinkType::ETHERNET, &ethernet(&[], 0x88cc, &ip)), Parsed::Other("not IP"));
    assert_eq!(parse(LinkType::NULL, &[9; 40]), Parsed::Other("not IP"));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(
        link in 0u32..300,
        data in proptest::collection::vec(proptest::num::u8::ANY, 0..120),
    ) {
        parse(LinkType(link), &data);
    }

    #[test]
    fn any_flip_and_cut_is_read_without_panic(at in 0usize..60, bits: u8, cut in 0usize..70) {
        for (link, mut data) in [(1, ethernet(&[], 0x0800, &ipv4(b"hello"))), (229, ipv6(b"query"))] {
            let at = at % data.len();
            data[at] ^= bits;
            data.truncate(cut);
            parse(LinkType(link), &data);
        }
    }
}
