//! Link types, and what may stand between a link's header and IP.

use super::*;

#[test]
fn reads_llc_and_snap_in_frames_that_have_a_length() {
    let ip = innermost();
    let snap = with(&with(&SNAP, &[0x08, 0]), &ip);
    let length = (snap.len() as u16).to_be_bytes();
    reaches(1, &frame(&with(&length, &with(&snap, &[0; 9]))));
    // after a VLAN tag; of the bridge tunnel; without SNAP; a bridged frame; OSI's number for IP
    reaches(1, &frame(&with(&[0x81, 0, 0, 5], &with(&length, &snap))));
    for llc in [
        with(&[0xaa, 0xaa, 3, 0, 0, 0xf8, 0x08, 0], &ip),
        with(&[6, 6, 3], &ip),
        with(&[0xaa, 0xaa, 3, 0, 0x80, 0xc2, 0, 7], &frame(&with(&[0x08, 0], &ip))),
        with(&[0xfe, 0xfe, 3, 0xcc], &ip),
    ] {
        let length = (llc.len() as u16).to_be_bytes();
        reaches(1, &frame(&with(&length, &llc)));
    }
    // spanning tree
    assert_eq!(
        parse(LinkType::ETHERNET, &frame(&with(&[0, 38, 0x42, 0x42, 3], &[0; 40]))),
        Parsed::Other(NOT_IP)
    );
}

#[test]
fn reads_behind_tags_of_many_kinds() {
    let ip = innermost();
    let inner = frame(&with(&[0x08, 0], &ip));
    for tags in [
        &[0x89, 0x26, 0, 0, 0, 1, 0x08, 0][..],
        &[0x89, 0x09, 1, 1, 0, 1, 0, 7, 0x08, 0],
        &[0x91, 0, 0, 1, 0x81, 0, 0, 5, 0x08, 0],
        // MACsec without encipherment, without and with the sender's identifier
        &[0x88, 0xe5, 0, 0, 0, 0, 0, 1, 0x08, 0],
        &[0x88, 0xe5, 0x20, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 0, 1, 0x08, 0],
        &[0xda, 0xda, 0, 0, 0xc0, 0, 0, 0, 0x08, 0],
        // a service header with metadata of 4 bytes, before IP
        &[0x89, 0x4f, 0x0f, 0xc3, 2, 1, 0, 0, 1, 255, 0, 0, 0, 0],
    ] {
        reaches(1, &frame(&with(tags, &ip)));
    }
    // 802.1ah after the tag of the backbone
    reaches(1, &frame(&with(&[0x88, 0xa8, 0, 1, 0x88, 0xe7, 0, 0, 0, 9], &inner)));
    let enciphered = frame(&with(&[0x88, 0xe5, 0x0c, 0, 0, 0, 0, 1, 0x08, 0], &ip));
    assert_eq!(parse(LinkType::ETHERNET, &enciphered), Parsed::Other("encrypted by MACsec"));
}

#[test]
fn reads_the_tags_of_switches() {
    let ip = innermost();
    reaches(281, &frame(&with(&[0x20, 0, 0, 1, 0x08, 0], &ip)));
    reaches(282, &with(&[0x20, 0, 0, 1], &frame(&with(&[0x08, 0], &ip))));
    reaches(284, &frame(&with(&[0x40, 0, 0, 1, 0x08, 0], &ip)));
    reaches(285, &frame(&with(&[0xda, 0xda, 0, 0, 0x40, 0, 0, 1, 0x08, 0], &ip)));
}

#[test]
fn reads_serial_lines() {
    let ip = innermost();
    reaches(104, &with(&[0x0f, 0, 0x08, 0], &ip));
    reaches(50, &with(&[0x8f, 0, 0x08, 0], &ip));
    reaches(205, &with(&[1, 0x0f, 0, 0x08, 0], &ip));
    for head in [
        // an address of two bytes, and of four; a number; SNAP; Cisco's type
        &[0x18, 0x41, 3, 0xcc][..],
        &[0x18, 0x40, 0x40, 0x41, 3, 0, 0xcc],
        &[0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 0x08, 0],
        &[0x18, 0x41, 3, 0xcf, 0, 0x21],
        &[0x18, 0x41, 0x08, 0],
    ] {
        reaches(107, &with(head, &ip));
    }
    reaches(206, &with(&[0, 0x18, 0x41, 3, 0xcc], &ip));
    for (link, head) in [(166, &[1, 3, 0, 0x21][..]), (204, &[1, 0xff, 3, 0, 0x21])] {
        let packet = with(head, &ip);
        reaches(link, &packet);
        let Parsed::Udp(datagram) = parse(LinkType(link), &packet) else { panic!() };
        assert_eq!(datagram.outgoing, Some(true));
    }
}

#[test]
fn reads_links_with_llc_behind_other_addresses() {
    let llc = with(&with(&SNAP, &[0x08, 0]), &innermost());
    reaches(6, &with(&[0x10, 0x40], &frame(&llc)));
    reaches(6, &[&[0x10, 0x40][..], &[2; 6], &[0x82; 6], &[4, 0, 0, 1], &llc].concat());
    reaches(10, &with(&[0x57], &frame(&llc)));
    reaches(100, &llc);
    reaches(100, &innermost());
    reaches(122, &[&[0; 16][..], &llc].concat());
    reaches(138, &[&[0; 16][..], &[0x08, 0], &innermost()].concat());
    let plain = frame(&with(&[0x08, 0], &innermost()));
    reaches(240, &with(&[0; 4], &plain));
    reaches(241, &[&[0; 4][..], &[0x55; 7], &[0xd5], &plain].concat());
    reaches(259, &with(&[0; 8], &plain));
    reaches(219, &with(&[0, 2, 1, 64], &innermost()));
    reaches(128, &with(&[1, 0, 0, 1, 1], &plain));
    for head in [&[0x08, 0, 0, 0][..], &[2; 20], &[2; 40]] {
        let kind: &[u8] = if head.len() == 4 { &[] } else { &[0x08, 0, 0, 0] };
        reaches(242, &[head, kind, &innermost()].concat());
    }
}

#[test]
fn reads_what_capturing_machines_put_before_a_packet() {
    let ip = innermost();
    let plain = frame(&with(&[0x08, 0], &ip));
    let pflog = |length: u8, padded: usize| {
        let mut head = vec![0; padded];
        (head[0], head[1], head[60]) = (length, 2, 2);
        with(&head, &ip)
    };
    let mut pktap = vec![0; 108];
    (pktap[0], pktap[4], pktap[8], pktap[36]) = (108, 1, 1, 2);
    let mut ipnet = vec![0; 24];
    (ipnet[0], ipnet[1], ipnet[3]) = (2, 2, 1);
    let nflog = |order: fn(u16) -> [u8; 2]| {
        let hook = [&order(8)[..], &order(1), &[0x08, 0, 3, 0]].concat();
        let prefix = [&order(7)[..], &order(10), b"hi\0\0"].concat();
        let payload = [&order(4 + ip.len() as u16)[..], &order(9)].concat();
        [&[2, 0, 0, 5][..], &hook, &prefix, &payload, &ip].concat()
    };
    for (link, packet) in [
        (117, pflog(61, 64)),
        (117, pflog(100, 100)),
        (258, with(&pktap, &plain)),
        (149, with(&pktap, &plain)),
        (226, with(&ipnet, &ip)),
        (239, nflog(u16::to_le_bytes)),
        (239, nflog(u16::to_be_bytes)),
    ] {
        reaches(link, &packet);
        let Parsed::Udp(datagram) = parse(LinkType(link), &packet) else { panic!() };
        assert_eq!(datagram.outgoing, Some(true), "link type {link}");
    }
    reaches(109, &[&[2, 0, 0, 0][..], &[0; 8], &ip].concat());
    reaches(109, &[&[0, 0, 0, 2][..], &[0; 8], &ip].concat());
    reaches(192, &with(&[0, 0, 8, 0, 1, 0, 0, 0], &plain));
    reaches(192, &with(&[0, 0, 12, 0, 9, 0, 0, 0, 1, 2, 3, 4, 0, 0x21], &ip));
    // Linux cooked capture of LLC
    let snap = with(&with(&SNAP, &[0x08, 0]), &ip);
    reaches(113, &[&[0, 4, 0, 1, 0, 6][..], &[0; 8], &[0, 4], &snap].concat());
    // one of a link type that is not read, and one around itself
    assert_eq!(
        parse(LinkType::PPI, &with(&[0, 0, 8, 0, 189, 0, 0, 0], &plain)),
        Parsed::Other("an unknown link type within another")
    );
    assert_eq!(parse(LinkType::PPI, &[0, 0, 8, 0, 192, 0, 0, 0].repeat(100)), Parsed::Other(TOO_DEEP));
}

/// An 802.11 header of 24 bytes.
fn wireless(control: u8, flags: u8, rest: &[u8]) -> Vec<u8> {
    [&[control, flags, 0, 0][..], &[2; 18], &[0x10, 0], rest].concat()
}

fn llc() -> Vec<u8> {
    with(&with(&SNAP, &[0x08, 0]), &innermost())
}

#[test]
fn reads_80211_data_frames() {
    let llc = llc();
    for frame in [
        wireless(0x08, 0x01, &llc),
        // with its checksum after it, a fourth address, quality of service, HT control
        wireless(0x08, 0x02, &with(&llc, &[1, 2, 3, 4])),
        wireless(0x08, 0x03, &with(&[2; 6], &llc)),
        wireless(0x88, 0x01, &with(&[0, 0], &llc)),
        wireless(0x88, 0x81, &with(&[0, 0, 1, 2, 3, 4], &llc)),
        // a mesh's control, without and with addresses
        wireless(0x88, 0x03, &[&[2; 6][..], &[0, 1], &[0, 31, 1, 0, 0, 0], &llc].concat()),
        wireless(0x88, 0x03, &[&[2; 6][..], &[0, 1], &[2, 31, 1, 0, 0, 0], &[2; 12], &llc].concat()),
        // deciphered, and still marked: with the header of CCMP, and without
        wireless(0x08, 0x41, &with(&[1, 0, 0, 0x20, 0, 0, 0, 0], &llc)),
        wireless(0x08, 0x41, &llc),
    ] {
        reaches(105, &frame);
        reaches(127, &with(&[0, 0, 8, 0, 0, 0, 0, 0], &frame));
        // Prism and AVS, and AVS under the type of Prism
        let mut prism = vec![0; 144];
        (prism[0], prism[4]) = (0x44, 144);
        reaches(119, &with(&prism, &frame));
        (prism[4], prism[7]) = (0, 144);
        reaches(119, &with(&prism, &frame));
        let avs = [&[0x80, 0x21, 0x10, 0x01, 0, 0, 0, 64][..], &[0; 56]].concat();
        reaches(163, &with(&avs, &frame));
        reaches(119, &with(&avs, &frame));
        reaches(192, &with(&[0, 0, 8, 0, 105, 0, 0, 0], &frame));
        // Linux cooked capture on such a device
        reaches(113, &[&[0, 3, 0x03, 0x21, 0, 6][..], &[0; 8], &[0, 0x19], &frame].concat());
    }
}

#[test]
fn radiotap_tells_of_padding_and_damage() {
    let padded = wireless(0x88, 0x01, &[&[0, 0][..], &[0, 0], &llc()].concat());
    let plain = wireless(0x08, 0x01, &llc());
    // flags alone; a time before them; two words of fields
    reaches(127, &with(&[0, 0, 9, 0, 2, 0, 0, 0, 0x20], &padded));
    reaches(127, &[&[0, 0, 17, 0, 3, 0, 0, 0][..], &[7; 8], &[0x20], &padded].concat());
    reaches(127, &with(&[0, 0, 13, 0, 2, 0, 0, 0x80, 0, 0, 0, 0, 0x20], &padded));
    reaches(127, &with(&[0, 0, 9, 0, 2, 0, 0, 0, 0x10], &with(&plain, &[1, 2, 3, 4])));
    let damaged = with(&[0, 0, 9, 0, 2, 0, 0, 0, 0x50], &plain);
    assert_eq!(parse(LinkType::RADIOTAP, &damaged), Parsed::Other("damaged 802.11 frame"));
}

#[test]
fn frames_of_80211_that_carry_nothing_to_read_say_why() {
    let cipher = [0x5a; 80];
    for (frame, reason) in [
        (wireless(0x08, 0x41, &cipher), PROTECTED),
        (wireless(0x88, 0x42, &cipher), PROTECTED),
        (wireless(0x48, 0x01, &[]), "802.11 frame without data"),
        (wireless(0xc8, 0x01, &[0, 0]), "802.11 frame without data"),
        (wireless(0x80, 0x00, &[0; 40]), "802.11 management or control frame"),
        (wireless(0xd4, 0x00, &[]), "802.11 management or control frame"),
    ] {
        assert_eq!(parse(LinkType::IEEE802_11, &frame), Parsed::Other(reason));
    }
    let mut part = wireless(0x08, 0x01, &llc());
    part[22] = 0x11;
    assert_eq!(parse(LinkType::IEEE802_11, &part), Parsed::Other("later fragment of an 802.11 frame"));
}

#[test]
fn every_frame_of_an_aggregate_is_read() {
    let subframe = |number: u8| {
        let mut ip = Vec::new();
        PacketBuilder::ipv4([10, 0, 0, 2], [10, 0, 0, 3], 64).udp(1, 2).write(&mut ip, &[number; 3]).unwrap();
        let llc = [&SNAP[..], &[0x08, 0], &ip].concat();
        let mut bytes = [&[2; 12][..], &(llc.len() as u16).to_be_bytes(), &llc].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let aggregate = |frames: usize| {
        let frames: Vec<_> = (0..frames).map(|number| subframe(number as u8)).collect();
        // and the frame's checksum
        wireless(0x88, 0x01, &[&[0x80, 0][..], &frames.concat(), &[9, 9, 9, 9]].concat())
    };
    let read = |data: &[u8]| {
        let mut payloads = Vec::new();
        parse_each(LinkType::IEEE802_11, data, |parsed| match parsed {
            Parsed::Udp(datagram) => payloads.push(datagram.payload.to_vec()),
            other => panic!("{other:?}"),
        });
        payloads
    };
    assert_eq!(read(&aggregate(3)), [vec![0; 3], vec![1; 3], vec![2; 3]]);
    assert_eq!(read(&aggregate(40)).len(), 40);
    // no more than the largest aggregate has
    assert_eq!(read(&aggregate(200)).len(), 129);
    for end in 0..aggregate(3).len() {
        parse_each(LinkType::IEEE802_11, &aggregate(3)[..end], |_| {});
    }
}
