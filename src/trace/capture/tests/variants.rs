//! Formats that differ a little from pcap, several captures in one file, and files of other kinds.

use etherparse::PacketBuilder;

use super::*;

/// A frame of Ethernet around a datagram of this payload.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([10, 0, 0, 2], [10, 0, 0, 3], 64)
        .udp(1, 2)
        .write(&mut bytes, payload)
        .unwrap();
    bytes
}

/// An ARP request, padded as it is on the wire.
fn arp() -> Vec<u8> {
    let head = [2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1];
    [&head[..], &[7; 20], &[0; 18]].concat()
}

/// A pcap with these bytes after the usual header of each packet.
fn longer(order: Order, magic: u32, more: &[u8], packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = order.pcap(magic, 1, &[]);
    for (at, data) in packets.iter().enumerate() {
        let length = data.len() as u32;
        let header = [1_700_000_000 + at as u32, 500 + at as u32, length, length];
        file.extend(header.map(|value| order.u32(value)).concat());
        file.extend_from_slice(more);
        file.extend_from_slice(data);
    }
    file
}

#[test]
fn reads_variants_whose_packet_headers_are_longer() {
    let udp = || vec![frame(b"hello there"), frame(b"hello again"), frame(&[9; 300])];
    let begins_with_arp = || vec![arp(), frame(b"hello there"), frame(&[9; 300])];
    let single = || vec![frame(b"hello there")];
    for order in [LITTLE, BIG] {
        for (magic, usual, more) in [
            (0xa1b2_c3d4, 0, 0), // the usual one
            (0xa1b2_c3d4, 0, 4), // Nokia
            (0xa1b2_c3d4, 0, 8), // Red Hat 6.1
            (0xa1b2_cd34, 8, 0), // modified
            (0xa1b2_cd34, 8, 4), // SuSE 6.3
        ] {
            for packets in [udp(), begins_with_arp(), single()] {
                let extra: Vec<u8> = [&[3, 0, 0, 0, 8, 0, 4, 0, 0, 0, 0, 0][..usual + more]].concat();
                let (seen, _) = read(longer(order, magic, &extra, &packets));
                let data: Vec<_> = seen.into_iter().map(|(_, _, data)| data).collect();
                // What a first packet that leads nowhere is read as does not matter.
                assert_eq!(data.len(), packets.len(), "{magic:x} and {more} bytes");
                let from = usize::from(packets[0] == arp());
                assert_eq!(data[from..], packets[from..], "{magic:x} and {more} bytes");
            }
        }
    }
}

#[test]
fn a_variant_in_pieces_gives_the_same_packets() {
    struct Drops(io::Cursor<Vec<u8>>);
    impl Read for Drops {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = into.len().min(1);
            self.0.read(&mut into[..length])
        }
    }
    for more in [0, 4, 8] {
        for packets in [vec![frame(b"hello there"), frame(b"more")], vec![arp(), frame(b"more"), arp()]] {
            let file = longer(LITTLE, 0xa1b2_c3d4, &[0; 8][..more], &packets);
            let (whole, _) = read(file.clone());
            let mut capture = Capture::from_reader("-".to_owned(), Drops(io::Cursor::new(file))).unwrap();
            let mut pieces = Vec::new();
            while let Some(packet) = capture.next_packet().unwrap() {
                pieces.push((packet.moment.at.as_nanos(), packet.link.0, packet.data.to_vec()));
            }
            assert_eq!(pieces, whole);
        }
    }
}

#[test]
fn captures_behind_each_other_are_all_read() {
    let pcap = |order: Order, magic| order.pcap(magic, 101, TWO);
    let empty = LITTLE.pcap(0xa1b2_c3d4, 1, &[]);
    let files = [
        (pcap(LITTLE, 0xa1b2_c3d4), 1000),
        (empty, 0),
        (pcapng(BIG), 1000),
        (pcap(BIG, 0xa1b2_c3d4), 1000),
        (pcap(LITTLE, 0xa1b2_3c4d), 1),
        (pcapng(LITTLE), 1000),
        (pcapng(BIG), 1000),
    ];
    let bytes: Vec<u8> = files.iter().flat_map(|(file, _)| file.clone()).collect();
    let expected: Vec<_> =
        files.iter().filter(|(_, nanos)| *nanos > 0).flat_map(|(_, nanos)| two(*nanos)).collect();
    let (seen, capture) = read(bytes);
    assert_eq!((seen, capture.cut()), (expected, None));
}

#[test]
fn a_file_of_another_kind_behind_a_capture_is_named() {
    let plain = LITTLE.pcap(0xa1b2_c3d4, 101, TWO);
    for (behind, what) in
        [(gzip(&plain), "gzip"), (b"GMBU\0\x02\x01\0 and more of it".to_vec(), "Network Monitor")]
    {
        let (before, said) = error([plain.clone(), behind].concat());
        assert_eq!(before, 2);
        let place = format!("a.pcap: corrupt at byte {}: another file begins here (", plain.len());
        assert!(said.starts_with(&place) && said.contains(what) && said.ends_with("mergecap"), "{said}");
    }
}

#[test]
fn files_of_other_kinds_are_named_with_the_command_for_them() {
    let Err(TraceError::Foreign { format, command, .. }) = open(b"GMBU\0\x02\x01\0".to_vec()) else {
        panic!()
    };
    assert_eq!(
        (format, command),
        ("a Microsoft Network Monitor 2 capture", "editcap -F pcapng FILE NEW.pcapng")
    );
    assert_eq!(
        error(gzip(b"snoop\0\0\0\0\0\0\x02")).1,
        "a.pcap: a snoop capture within gzip, not a pcap or pcapng capture"
    );
}
