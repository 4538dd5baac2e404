//! Packets in packets.

use super::*;

#[test]
fn reads_ppp_with_and_without_what_may_be_left_out() {
    for head in [&[0xff, 0x03, 0, 0x21][..], &[0xff, 0x03, 0x21], &[0, 0x21], &[0x21]] {
        reaches(9, &with(head, &innermost()));
    }
    reaches(50, &with(&[0xff, 0x03, 0, 0x57], &around_ipv6(4, &innermost())));
    // PPPoE after two VLAN tags: session 7
    let tags = [0x88, 0xa8, 0, 1, 0x81, 0, 0, 5, 0x88, 0x64, 0x11, 0, 0, 7, 0, 35, 0, 0x21];
    reaches(1, &frame(&with(&tags, &innermost())));
    reaches(51, &with(&[0x11, 0, 0, 7, 0, 35, 0, 0x21], &innermost()));
}

#[test]
fn reads_behind_labels() {
    // two labels, the second the last
    let labels = [0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64];
    reaches(1, &frame(&with(&labels, &innermost())));
    let inner = frame(&with(&[0x08, 0], &innermost()));
    reaches(1, &frame(&with(&[0x88, 0x47, 0, 2, 1, 64, 0, 0, 0, 0], &inner)));
}

#[test]
fn reads_ip_in_ip_of_both_versions() {
    let mut inner = Vec::new();
    PacketBuilder::ipv6([0xfd; 16], [0xfe; 16], 64).udp(1, 2).write(&mut inner, b"hello").unwrap();
    reaches(101, &around_ipv4(4, &innermost()));
    reaches(101, &around_ipv4(41, &inner));
    reaches(101, &around_ipv6(41, &inner));
    // hop-by-hop options of 8 bytes, destination options of 16, then IPv4
    let extensions = [60, 0, 1, 4, 0, 0, 0, 0, 4, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    reaches(101, &around_ipv6(0, &with(&extensions, &innermost())));
}

#[test]
fn reads_gre_whatever_its_flags() {
    for head in [
        &[0, 0, 0x08, 0][..],
        &[0x80, 0, 0x08, 0, 1, 2, 0, 0],
        &[0xb0, 0, 0x08, 0, 1, 2, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1],
        // PPTP: key, sequence number, acknowledgement, then PPP
        &[0x30, 0x81, 0x88, 0x0b, 0, 35, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0x21],
    ] {
        reaches(101, &around_ipv4(47, &with(head, &innermost())));
    }
    let bridged = frame(&with(&[0x08, 0], &innermost()));
    reaches(101, &around_ipv4(47, &with(&[0, 0, 0x65, 0x58], &bridged)));
    // source routes; PPTP that only acknowledges
    for head in [[0x40, 0, 0x08, 0], [0x20, 0x81, 0x88, 0x0b]] {
        assert_eq!(parse(LinkType::RAW, &around_ipv4(47, &with(&head, &innermost()))), Parsed::Other(NOT_IP));
    }
}

/// A datagram from port 40000 to `port`.
fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4([10, 1, 0, 1], [10, 1, 0, 2], 64)
        .udp(40_000, port)
        .write(&mut bytes, payload)
        .unwrap();
    bytes
}

fn bridged() -> Vec<u8> {
    frame(&with(&[0x08, 0], &innermost()))
}

/// IPv6 and UDP, ports 1 and 2, around `hello`, between addresses that begin so.
fn innermost_v6(prefix: [u8; 4]) -> Vec<u8> {
    let mut address = [0xfd; 16];
    address[..4].copy_from_slice(&prefix);
    let mut bytes = Vec::new();
    PacketBuilder::ipv6(address, address, 64).udp(1, 2).write(&mut bytes, b"hello").unwrap();
    bytes
}

/// Tunnels over UDP, each with the port it is registered for.
fn udp_tunnels() -> Vec<(&'static str, u16, Vec<u8>)> {
    let (ip, frame) = (innermost(), bridged());
    let length = (ip.len() as u16).to_be_bytes();
    let optional = ((ip.len() + 8) as u16).to_be_bytes();
    let plain_80211 = [&[0x08, 1, 0, 0][..], &[2; 18], &[0, 0], &SNAP, &[0x08, 0], &ip].concat();
    let mut swapped = plain_80211.clone();
    swapped.swap(0, 1);
    let teredo_login = [&[0, 1, 2, 3][..], b"idabc", &[7; 8], &[0], &[0, 0, 1, 2, 3, 4, 5, 6]].concat();
    let psc = with(&[0x34, 0xff, optional[0], optional[1], 0, 0, 0, 7, 0, 1, 0, 0x85, 1, 0, 9, 0], &ip);
    vec![
        ("VXLAN", 4789, with(&[0x08, 0, 0, 0, 0, 0, 9, 0], &frame)),
        ("VXLAN with a group", 4789, with(&[0x88, 0x08, 0, 7, 0, 0, 9, 0], &frame)),
        ("VXLAN-GPE around IP", 4790, with(&[0x0c, 0, 0, 1, 0, 0, 9, 0], &ip)),
        ("VXLAN-GPE around Ethernet", 4790, with(&[0x0c, 0, 0, 3, 0, 0, 9, 0], &frame)),
        (
            "VXLAN-GPE around NSH",
            4790,
            [&[0x0c, 0, 0, 4, 0, 0, 9, 0][..], &[0x0f, 0xc6, 1, 3], &[0; 20], &frame].concat(),
        ),
        ("Geneve", 6081, with(&[0, 0, 0x65, 0x58, 0, 0, 9, 0], &frame)),
        ("Geneve with options", 6081, [&[0x02, 0x40, 0x65, 0x58, 0, 0, 9, 0][..], &[0; 8], &frame].concat()),
        ("Geneve around IP", 6081, with(&[0, 0, 0x08, 0, 0, 0, 9, 0], &ip)),
        ("GTP-U", 2152, with(&[0x30, 0xff, length[0], length[1], 0, 0, 0, 7], &ip)),
        ("GTP-U with an extension", 2152, psc),
        ("Teredo", 3544, innermost_v6([0xfd; 4])),
        ("Teredo with a login and an origin", 3544, with(&teredo_login, &innermost_v6([0xfd; 4]))),
        ("L2TP", 1701, with(&[0, 2, 0, 1, 0, 2, 0xff, 3, 0, 0x21], &ip)),
        ("L2TP with a length", 1701, with(&[0x40, 2, 0, 43, 0, 1, 0, 2, 0xff, 3, 0, 0x21], &ip)),
        (
            "L2TP with all that may be",
            1701,
            with(&[0x4a, 2, 0, 49, 0, 1, 0, 2, 0, 5, 0, 6, 0, 2, 0, 0, 0, 0x21], &ip),
        ),
        ("L2TP 3", 1701, with(&[0, 3, 0, 0, 0, 0, 0, 9], &frame)),
        ("L2TP 3 with a cookie", 1701, with(&[0, 3, 0, 0, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8], &frame)),
        ("TZSP", 37008, with(&[1, 0, 0, 1, 0, 10, 1, 0xd3, 1], &frame)),
        ("TZSP around 802.11", 37008, with(&[1, 0, 0, 18, 1], &plain_80211)),
        ("CAPWAP", 5247, with(&[0, 0x10, 0x02, 0, 0, 0, 0, 0], &frame)),
        ("CAPWAP around 802.11", 5247, with(&[0, 0x10, 0x03, 0, 0, 0, 0, 0], &plain_80211)),
        ("CAPWAP around Cisco's 802.11", 5247, with(&[0, 0x10, 0x03, 0, 0, 0, 0, 0], &swapped)),
        ("LISP", 4341, with(&[0xc0, 1, 2, 3, 0, 0, 0, 1], &ip)),
        ("LISP-GPE", 4341, with(&[0x0c, 0, 0, 3, 0, 0, 9, 0], &frame)),
        ("GRE", 4754, with(&[0, 0, 0x08, 0], &ip)),
        ("MPLS", 6635, with(&[0, 2, 1, 64], &ip)),
    ]
}

#[test]
fn reads_tunnels_over_udp_on_their_ports() {
    for (name, port, payload) in udp_tunnels() {
        let packet = udp(port, &payload);
        let read = parse(LinkType::RAW, &packet);
        assert!(matches!(read, Parsed::Udp(datagram) if datagram.payload == b"hello"), "{name}: {read:?}");
        reaches(101, &packet);
    }
}

#[test]
fn reads_tunnels_that_prove_themselves_on_any_port() {
    let teredo = innermost_v6([0x20, 1, 0, 0]);
    for payload in [
        with(&[0x08, 0, 0, 0, 0, 0, 9, 0], &bridged()),
        with(&[0x0c, 0, 0, 1, 0, 0, 9, 0], &innermost()),
        with(&[0, 0, 0x65, 0x58, 0, 0, 9, 0], &bridged()),
        with(&[0x30, 0xff, 0, 33, 0, 0, 0, 7], &innermost()),
        teredo,
    ] {
        reaches(101, &udp(51413, &payload));
    }
}

/// Without proof inside, a datagram stays one, on any port.
#[test]
fn what_a_tunnel_does_not_prove_stays_a_datagram() {
    let query = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe".to_vec();
    let utp = |first: u8| {
        [&[first, 0, 0x65, 0x58][..], &[0; 16], b"\x13BitTorrent protocol, and more of it"].concat()
    };
    let mut payloads = vec![query, utp(0x01), utp(0x11), utp(0x21), utp(0x31), utp(0x41), vec![0; 60]];
    for (_, _, payload) in udp_tunnels() {
        // the last byte missing; a byte of the IP packet's length changed
        payloads.push(payload[..payload.len() - 1].to_vec());
        let mut lying = payload.clone();
        let (place, at) = match lying.windows(2).rposition(|pair| pair == [0x45, 0]) {
            Some(place) => (place, 2),
            None => (lying.windows(4).rposition(|bytes| bytes == [0x60, 0, 0, 0]).unwrap(), 4),
        };
        lying[place + at] = 1;
        payloads.push(lying);
    }
    let ports = udp_tunnels().into_iter().map(|(_, port, _)| port).chain([51413]);
    for port in ports {
        for payload in &payloads {
            let packet = udp(port, payload);
            let Parsed::Udp(datagram) = parse(LinkType::RAW, &packet) else {
                panic!("{port}: {payload:02x?} is {:?}", parse(LinkType::RAW, &packet))
            };
            assert_eq!((datagram.payload, datagram.dst.port()), (&payload[..], port));
        }
    }
}

#[test]
fn a_port_of_its_own_choosing_needs_a_right_checksum() {
    let mut payload = with(&[0x08, 0, 0, 0, 0, 0, 9, 0], &bridged());
    payload[8 + 14 + 10] ^= 1;
    reaches(101, &udp(4789, &payload));
    let packet = udp(4788, &payload);
    let Parsed::Udp(datagram) = parse(LinkType::RAW, &packet) else { panic!() };
    assert_eq!(datagram.payload, payload);
}

#[test]
fn a_tunnel_captured_in_part_counts_what_is_missing() {
    let packet = udp(4789, &with(&[0x08, 0, 0, 0, 0, 0, 9, 0], &bridged()));
    let Parsed::Udp(datagram) = parse(LinkType::RAW, &packet[..packet.len() - 2]) else { panic!() };
    assert_eq!((datagram.payload, datagram.lost_tail, datagram.src.port()), (&b"hel"[..], 2, 1));
}

#[test]
fn reads_what_goes_over_gre() {
    let erspan_3 =
        |last: u8, kind: u8| [&[0x20, 5, 0, 1, 0, 0, 0, 0, 0, 0, kind << 2, last][..], &[0; 8]].concat();
    for (head, inner) in [
        // ERSPAN I, II and III, the last with and without a subheader, with a frame and with IP
        (vec![0, 0, 0x88, 0xbe], bridged()),
        (vec![0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 5, 0, 1, 0, 0, 0, 0], bridged()),
        (with(&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1], &erspan_3(0, 0)[..12]), bridged()),
        (with(&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1], &erspan_3(1, 0)), bridged()),
        (with(&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1], &erspan_3(1, 2)), innermost()),
        // web cache redirection without and with its header
        (vec![0, 0, 0x88, 0x3e], innermost()),
        (vec![0, 0, 0x88, 0x3e, 0, 1, 2, 3], innermost()),
    ] {
        reaches(101, &around_ipv4(47, &with(&head, &inner)));
    }
    // L2TP over IP, with a cookie of 4 bytes; MPLS in IP
    reaches(101, &around_ipv4(115, &with(&[0, 0, 0, 9, 1, 2, 3, 4], &bridged())));
    reaches(101, &around_ipv4(137, &with(&[0, 2, 1, 64], &innermost())));
}

#[test]
fn does_not_go_on_without_end() {
    let mut packet = innermost();
    for _ in 0..=DEEPEST {
        packet = around_ipv4(4, &packet);
    }
    assert_eq!(parse(LinkType::RAW, &packet), Parsed::Other(TOO_DEEP));
    // VXLAN in VXLAN: the deepest datagram that was found stands
    let mut packet = innermost();
    for _ in 0..=DEEPEST {
        let inside = [&[0x08, 0, 0, 0, 0, 0, 9, 0][..], &frame(&[0x08, 0]), &packet].concat();
        packet = udp(4789, &inside);
    }
    assert!(matches!(parse(LinkType::RAW, &packet), Parsed::Udp(datagram) if datagram.dst.port() == 4789));
}

proptest::proptest! {
    #[test]
    fn any_bytes_in_a_tunnel_are_read_without_panic(
        protocol in proptest::sample::select(vec![4u8, 41, 47, 97, 115, 137]),
        ether_type in proptest::sample::select(vec![0x8864u16, 0x8847, 0x6558, 0x880b, 0x8926, 0x8909, 0x88e7, 0x88e5, 0x894f, 8]),
        data in proptest::collection::vec(proptest::num::u8::ANY, 0..80),
    ) {
        parse(LinkType::RAW, &around_ipv4(protocol, &data));
        parse(LinkType::ETHERNET, &frame(&[&ether_type.to_be_bytes()[..], &data].concat()));
        parse(LinkType(9), &data);
    }

    #[test]
    fn any_flip_and_cut_in_a_tunnel_is_read_without_panic(which in 0usize..26, at in 0usize..120, bits: u8, cut in 0usize..140) {
        let (_, port, mut payload) = udp_tunnels().swap_remove(which);
        let at = at % payload.len();
        payload[at] ^= bits;
        let mut packet = udp(port, &payload);
        packet.truncate(cut);
        parse(LinkType::RAW, &packet);
    }
}
