mod variants;

use std::io::Write;
use std::sync::mpsc;

use flate2::Compression as Level;
use flate2::write::GzEncoder;

use super::*;

/// A writer of whichever byte order.
#[derive(Clone, Copy)]
struct Order(bool);

const LITTLE: Order = Order(false);
const BIG: Order = Order(true);

impl Order {
    fn u32(self, value: u32) -> [u8; 4] {
        if self.0 { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u16(self, value: u16) -> [u8; 2] {
        if self.0 { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn pcap(self, magic: u32, link: u32, packets: &[(u32, u32, &[u8])]) -> Vec<u8> {
        let mut file = self.u32(magic).to_vec();
        file.extend([self.u16(2), self.u16(4)].concat());
        file.extend([0, 0, 65_535, link].map(|value| self.u32(value)).concat());
        for (seconds, fraction, data) in packets {
            let length = data.len() as u32;
            file.extend([*seconds, *fraction, length, length].map(|value| self.u32(value)).concat());
            file.extend_from_slice(data);
        }
        file
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let mut padded = body.to_vec();
        padded.resize(body.len().next_multiple_of(4), 0);
        let length = self.u32(padded.len() as u32 + 12);
        [&self.u32(kind)[..], &length, &padded, &length].concat()
    }

    fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = [self.u16(code), self.u16(value.len() as u16)].concat();
        option.extend_from_slice(value);
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    fn section(self, options: &[u8]) -> Vec<u8> {
        let head = [&self.u32(0x1a2b_3c4d)[..], &self.u16(1), &self.u16(0), &[0xff; 8], options].concat();
        self.block(0x0a0d_0d0a, &head)
    }

    fn interface(self, link: u16, snaplen: u32, options: &[u8]) -> Vec<u8> {
        self.block(1, &[&self.u16(link)[..], &[0, 0], &self.u32(snaplen), options].concat())
    }

    fn enhanced(self, interface: u32, ticks: u64, original: u32, data: &[u8], options: &[u8]) -> Vec<u8> {
        let head = [interface, (ticks >> 32) as u32, ticks as u32, data.len() as u32, original];
        let mut body = head.map(|value| self.u32(value)).concat();
        body.extend_from_slice(data);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend_from_slice(options);
        self.block(6, &body)
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().content_checksum(true);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn open(bytes: Vec<u8>) -> Result<Capture, TraceError> {
    Capture::from_reader("a.pcap".to_owned(), io::Cursor::new(bytes))
}

/// What one says of a packet in a test: its nanoseconds, link type, bytes.
type Seen = (i64, u32, Vec<u8>);

#[track_caller]
fn read(bytes: Vec<u8>) -> (Vec<Seen>, Capture) {
    let mut capture = open(bytes).unwrap();
    let mut seen = Vec::new();
    while let Some(packet) = capture.next_packet().unwrap() {
        assert_eq!(packet.moment.frame, seen.len() as u64 + 1);
        seen.push((packet.moment.at.as_nanos(), packet.link.0, packet.data.to_vec()));
    }
    (seen, capture)
}

/// The error of a capture, and how many packets came before it.
#[track_caller]
fn error(bytes: Vec<u8>) -> (usize, String) {
    let mut capture = match open(bytes) {
        Ok(capture) => capture,
        Err(error) => return (0, error.to_string()),
    };
    let mut before = 0;
    loop {
        match capture.next_packet() {
            Ok(Some(_)) => before += 1,
            Ok(None) => panic!("no error after {before} packets"),
            Err(error) => {
                assert!(matches!(capture.next_packet(), Ok(None)), "nothing comes after an error");
                return (before, error.to_string());
            }
        }
    }
}

const TWO: &[(u32, u32, &[u8])] = &[(1, 500, b"first"), (2, 7, b"second packet")];

fn two(nanos: i64) -> Vec<Seen> {
    vec![
        (1_000_000_000 + 500 * nanos, 101, b"first".to_vec()),
        (2_000_000_000 + 7 * nanos, 101, b"second packet".to_vec()),
    ]
}

fn pcapng(order: Order) -> Vec<u8> {
    [
        order.section(&[]),
        order.interface(101, 0, &[]),
        order.enhanced(0, 1_000_500, 5, b"first", &[]),
        order.enhanced(0, 2_000_007, 13, b"second packet", &[]),
    ]
    .concat()
}

#[test]
fn reads_pcap_of_either_order_and_precision() {
    for (magic, nanos, format) in [(0xa1b2_c3d4, 1000, "pcap"), (0xa1b2_3c4d, 1, "nanosecond pcap")] {
        for order in [LITTLE, BIG] {
            let (seen, capture) = read(order.pcap(magic, 101, TWO));
            assert_eq!((seen, capture.format()), (two(nanos), format));
            assert_eq!((capture.packets(), capture.bytes(), capture.snapped()), (2, 18, 0));
            assert_eq!(capture.cut(), None);
        }
    }
}

#[test]
fn the_link_type_of_a_pcap_leaves_the_checksum_bits_out() {
    let (seen, _) = read(LITTLE.pcap(0xa1b2_c3d4, 0x2400_0001, TWO));
    assert_eq!(seen[0].1, 1);
}

#[test]
fn reads_modified_pcap() {
    let mut file = LITTLE.pcap(0xa1b2_cd34, 101, &[]);
    file.extend([1, 500, 5, 5, 3, 0].map(u32::to_le_bytes).concat());
    file.extend_from_slice(b"first");
    let (seen, capture) = read(file);
    assert_eq!((&seen[..], capture.format()), (&two(1000)[..1], "modified pcap"));
}

#[test]
fn reads_sections_of_either_order_with_their_own_interfaces() {
    let mut file = Vec::new();
    for order in [LITTLE, BIG] {
        let nanosecond = order.option(9, &[9]);
        let binary = order.option(9, &[0x80 | 10]);
        let offset = order.option(14, &if order.0 { 100i64.to_be_bytes() } else { 100i64.to_le_bytes() });
        file.extend(order.section(&[order.option(1, b"made by hand"), order.option(0, b"")].concat()));
        file.extend(order.interface(1, 0, &nanosecond));
        file.extend(order.interface(101, 0, &[binary, offset].concat()));
        file.extend(order.enhanced(1, 1536, 1, b"a", &[]));
        file.extend(order.block(0x0bad, b"a block of a kind nobody knows"));
        file.extend(order.enhanced(0, 77, 2, b"bc", &[]));
    }
    let (seen, capture) = read(file);
    let section = [(101_500_000_000, 101, b"a".to_vec()), (77, 1, b"bc".to_vec())];
    assert_eq!(seen, [section.clone(), section].concat());
    assert_eq!(capture.comments(), ["made by hand", "made by hand"]);
    assert_eq!(capture.format(), "pcapng");
}

#[test]
fn reads_simple_and_obsolete_packet_blocks() {
    for order in [LITTLE, BIG] {
        let obsolete = [
            &order.u16(0)[..],
            &order.u16(9),
            &[0, 1_000_500, 5, 5].map(|value| order.u32(value)).concat(),
            b"first\0\0\0",
            &order.option(2, &order.u32(2)),
        ]
        .concat();
        let file = [
            order.section(&[]),
            order.interface(101, 6, &[]),
            order.block(2, &obsolete),
            order.block(3, &[&order.u32(13)[..], b"second"].concat()),
        ]
        .concat();
        let mut capture = open(file).unwrap();
        let packet = capture.next_packet().unwrap().unwrap();
        assert_eq!((packet.data, packet.outgoing), (&b"first"[..], Some(true)));
        assert_eq!(packet.moment.at.as_nanos(), 1_000_500_000);
        let packet = capture.next_packet().unwrap().unwrap();
        assert_eq!((packet.data, packet.original_length), (&b"second"[..], 13));
        assert_eq!(packet.moment, Moment { at: Timestamp::from_nanos(1_000_500_000), frame: 2 });
        assert_eq!(capture.next_packet().unwrap(), None);
        assert_eq!((capture.cut(), capture.snapped()), (None, 1));
    }
}

#[test]
fn packet_flags_tell_the_direction() {
    for order in [LITTLE, BIG] {
        let comment = order.option(1, b"odd");
        let mut file = [order.section(&[]), order.interface(101, 0, &[])].concat();
        for flags in [1, 2, 0, 3] {
            let options =
                [comment.clone(), order.option(2, &order.u32(flags)), order.option(0, b"")].concat();
            file.extend(order.enhanced(0, 0, 1, b"a", &options));
        }
        let mut capture = open(file).unwrap();
        for expected in [Some(false), Some(true), None, None] {
            assert_eq!(capture.next_packet().unwrap().unwrap().outgoing, expected);
        }
    }
}

/// A key's line, whose secret is this byte again and again.
fn key_line(byte: u8) -> String {
    format!("MSE a-b {} {}\n", "11".repeat(20), format!("{byte:02x}").repeat(96))
}

/// The first byte of the secret of each key that comes with each packet.
fn keys(bytes: Vec<u8>) -> Vec<Vec<u8>> {
    let mut capture = open(bytes).unwrap();
    let mut keys = Vec::new();
    while let Some(packet) = capture.next_packet().unwrap() {
        keys.push(packet.mse_keys.iter().map(|key| key.secret[0]).collect());
    }
    keys
}

#[test]
fn keys_come_with_the_packet_they_precede() {
    for order in [LITTLE, BIG] {
        let packet = || order.enhanced(0, 0, 4, b"data", b"");
        let secrets = |kind: u32, log: &str| {
            let head = [order.u32(kind), order.u32(log.len() as u32)].concat();
            order.block(10, &[&head[..], log.as_bytes()].concat())
        };
        let comment = order.option(1, format!("by hand\n{}", key_line(1)).as_bytes());
        let log = format!("# keys\n{}not a key\n{}", key_line(2), key_line(3));
        let bytes = [
            order.section(&comment),
            order.interface(1, 0, b""),
            secrets(0x4d53_454b, &log),
            packet(),
            packet(),
            secrets(0x544c_534b, &key_line(4)),
            secrets(0x4d53_454b, &key_line(5)),
            packet(),
        ];
        assert_eq!(keys(bytes.concat()), [vec![1, 2, 3], vec![], vec![5]]);
    }
}

#[test]
fn secrets_that_lie_are_passed_over() {
    let packet = LITTLE.enhanced(0, 0, 4, b"data", b"");
    let line = key_line(1);
    let length = line.len() as u32;
    for body in [
        b"".to_vec(),
        LITTLE.u32(0x4d53_454b).to_vec(),
        [LITTLE.u32(0x4d53_454b), LITTLE.u32(0)].concat(),
        [&LITTLE.u32(0x4d53_454b)[..], &LITTLE.u32(length + 100), line.as_bytes()].concat(),
        [&LITTLE.u32(0x4d53_454b)[..], &LITTLE.u32(u32::MAX), line.as_bytes()].concat(),
        [&LITTLE.u32(0x4d53_454b)[..], &LITTLE.u32(length - 2), line.as_bytes()].concat(),
        [&LITTLE.u32(0x4d53_454b)[..], &LITTLE.u32(300), &[0xff; 300]].concat(),
    ] {
        let bytes =
            [LITTLE.section(b""), LITTLE.interface(1, 0, b""), LITTLE.block(10, &body), packet.clone()];
        assert_eq!(keys(bytes.concat()), [vec![]], "{body:02x?}");
    }
}

#[test]
fn no_more_keys_are_taken_than_anyone_has() {
    let packet = LITTLE.enhanced(0, 0, 4, b"data", b"");
    let log = key_line(7).repeat(40_000);
    let head = [LITTLE.u32(0x4d53_454b), LITTLE.u32(log.len() as u32)].concat();
    let secrets = LITTLE.block(10, &[&head[..], log.as_bytes()].concat());
    let begin = [LITTLE.section(b""), LITTLE.interface(1, 0, b"")].concat();
    let bytes = [&begin[..], &secrets, &packet, &secrets, &packet, &secrets, &packet].concat();
    let counts: Vec<usize> = keys(bytes).iter().map(Vec::len).collect();
    assert_eq!(counts, [40_000, 25_536, 0]);
}

/// An lz4 frame that holds nothing to read.
fn skipped_lz4() -> Vec<u8> {
    [&[0x5a, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], &[1; 5]].concat()
}

#[test]
fn sees_through_two_layers_of_compression() {
    let plain = pcapng(LITTLE);
    let members = [gzip(&plain[..40]), gzip(&plain[40..])].concat();
    let skippable =
        [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zstd(&plain[..40]), &zstd(&plain[40..])];
    for (file, format) in [
        (gzip(&plain), "pcapng, gzip"),
        (members, "pcapng, gzip"),
        (zstd(&plain), "pcapng, zstd"),
        (lz4(&plain), "pcapng, lz4"),
        ([lz4(&plain[..40]), skipped_lz4(), lz4(&plain[40..])].concat(), "pcapng, lz4"),
        (xz(&plain), "pcapng, xz"),
        ([xz(&plain[..40]), xz(&plain[40..])].concat(), "pcapng, xz"),
        (bzip2(&plain), "pcapng, bzip2"),
        ([bzip2(&plain[..40]), bzip2(&plain[40..])].concat(), "pcapng, bzip2"),
        (xz(&bzip2(&plain)), "pcapng, bzip2, xz"),
        (skippable.concat(), "pcapng, zstd"),
        (gzip(&zstd(&plain)), "pcapng, zstd, gzip"),
    ] {
        let (seen, capture) = read(file);
        assert_eq!((seen, capture.format(), capture.cut()), (two(1000), format, None));
    }
    assert_eq!(error(gzip(&gzip(&gzip(&plain)))), (0, "a.pcap: compressed more than twice".to_owned()));
}

#[test]
fn a_capture_cut_anywhere_gives_its_whole_packets() {
    for (whole, header) in [
        (LITTLE.pcap(0xa1b2_c3d4, 101, TWO), 24),
        (BIG.pcap(0xa1b2_c3d4, 101, TWO), 24),
        (pcapng(LITTLE), 28),
        (pcapng(BIG), 28),
    ] {
        let expected = two(1000);
        for length in 4..header {
            let says = format!("a.pcap: not a capture file: ends after {length} bytes");
            assert_eq!(error(whole[..length].to_vec()), (0, says));
        }
        for length in header..whole.len() {
            let (seen, capture) = read(whole[..length].to_vec());
            assert!(seen.len() < 2);
            assert_eq!(seen, expected[..seen.len()]);
            let boundary = match capture.cut() {
                Some(cut) => cut.offset as usize,
                None => length,
            };
            assert!(boundary <= length && (capture.cut().is_none() || boundary < length), "cut at {length}");
        }
    }
}

#[test]
fn compressed_data_that_ends_too_early_is_a_cut() {
    let plain = LITTLE.pcap(0xa1b2_c3d4, 101, TWO);
    for whole in [gzip(&plain), zstd(&plain), lz4(&plain), xz(&plain), bzip2(&plain)] {
        for length in 0..whole.len() {
            let Ok(mut capture) = open(whole[..length].to_vec()) else { continue };
            let end = loop {
                match capture.next_packet() {
                    Ok(Some(_)) => {}
                    end => break end.map(drop),
                }
            };
            // Without a whole header there is nothing to be cut.
            let nothing = matches!(end, Err(TraceError::TooShort { length: ..24, .. }));
            assert!(nothing || end.is_ok() && capture.cut().is_some(), "cut at {length} of {}", whole.len());
        }
    }
    let mut whole = gzip(&plain);
    whole.truncate(whole.len() - 3);
    let (seen, capture) = read(whole);
    assert_eq!((seen, capture.cut()), (two(1000), Some(Cut { offset: plain.len() as u64 })));
}

#[test]
fn names_what_is_wrong() {
    let plain = LITTLE.pcap(0xa1b2_c3d4, 101, TWO);
    let mut lying = plain.clone();
    lying[24 + 16 + 5 + 8 + 3] = 0x7f;
    assert_eq!(
        error(lying.clone()),
        (1, "a.pcap: corrupt at byte 45: a packet of 2130706445 bytes, expected at most 262144".to_owned())
    );
    assert_eq!(
        error(gzip(&lying)).1,
        "a.pcap: corrupt at byte 45 of the decompressed data: a packet of 2130706445 bytes, expected at most 262144"
    );

    let ng = pcapng(LITTLE);
    let first = 28 + 20;
    let mut wrong = ng.clone();
    wrong[first + 4..first + 8].copy_from_slice(&0x4000_0000u32.to_le_bytes());
    assert_eq!(
        error(wrong).1,
        "a.pcap: corrupt at byte 48: a block of 1073741824 bytes, expected at most 67108864"
    );
    let mut wrong = ng.clone();
    wrong[first + 8] = 3;
    assert_eq!(
        error(wrong).1,
        "a.pcap: corrupt at byte 48: a packet of interface 3, but 1 are described before it"
    );
    let mut wrong = ng.clone();
    wrong[first + 20] = 9;
    assert_eq!(error(wrong).1, "a.pcap: corrupt at byte 48: a packet of 9 bytes in a block with room for 8");
    let mut wrong = ng.clone();
    wrong[first + 36] = 9;
    assert_eq!(
        error(wrong).1,
        "a.pcap: corrupt at byte 48: a block that begins with length 40 and ends with 9"
    );
    let mut wrong = ng.clone();
    wrong[first + 4] = 42;
    assert_eq!(
        error(wrong).1,
        "a.pcap: corrupt at byte 48: a block of 42 bytes, expected a multiple of 4 from 12"
    );

    assert_eq!(error(vec![]).1, "a.pcap: empty, not a capture file");
    assert_eq!(error(b"abc".to_vec()).1, "a.pcap: not a capture file: ends after 3 bytes");
    assert_eq!(error(gzip(b"")).1, "a.pcap: empty, not a capture file");
    for (whole, layer, shortest) in [(gzip(&ng), "gzip", 2), (zstd(&ng), "zstd", 4)] {
        for length in shortest..12 {
            assert_eq!(
                error(whole[..length].to_vec()).1,
                format!("a.pcap: cut short: the {layer} data ends after 0 unpacked bytes")
            );
        }
    }
    let wanted = "expected a pcap or pcapng magic number";
    assert_eq!(
        error(b"Hello, reader".to_vec()).1,
        format!("a.pcap: not a capture file: begins with 48 65 6c 6c, {wanted}")
    );
    assert_eq!(
        error(gzip(b"Hello, reader")).1,
        format!("a.pcap: not a capture file: begins with 48 65 6c 6c of the decompressed data, {wanted}")
    );
}

#[test]
fn a_description_of_very_many_options_is_a_lie() {
    let file = [LITTLE.section(&[]), LITTLE.interface(1, 0, &[9, 0, 0, 0].repeat(2 << 20))].concat();
    assert_eq!(
        error(file),
        (0, "a.pcap: corrupt at byte 28: a block of 8388628 bytes, expected at most 4194304".to_owned())
    );
}

#[test]
fn damage_within_compressed_data_is_an_error() {
    let noise: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(0x9e37_79b1) >> 13) as u8).collect();
    let packets: Vec<(u32, u32, &[u8])> = noise.chunks(1000).map(|chunk| (1, 1, chunk)).collect();
    let plain = LITTLE.pcap(0xa1b2_c3d4, 101, &packets);
    let files = [
        (gzip(&plain), "gzip", 6),
        (zstd(&plain), "zstd", 6),
        (lz4(&plain), "lz4", 12),
        (xz(&plain), "xz", 60),
        (bzip2(&plain), "bzip2", 3),
    ];
    for (mut file, layer, from_end) in files {
        let last = file.len() - from_end;
        file[last] ^= 0xff;
        // Close to the end, so that the checksums of gzip and bzip2 are hit and the last blocks of the others.
        let (_, fault) = error(file);
        assert!(fault.starts_with(&format!("a.pcap: damaged {layer} data after ")), "{fault}");
    }
}

#[test]
fn an_xz_dictionary_that_is_too_large_is_refused() {
    // The block's header says 1.5 GiB (0x25 of xz's table) and is otherwise right.
    let mut file = vec![0xfd, b'7', b'z', b'X', b'Z', 0, 0, 0, 0xff, 0x12, 0xd9, 0x41];
    let block = [2, 0, 0x21, 1, 0x25, 0, 0, 0];
    let mut crc = flate2::Crc::new();
    crc.update(&block);
    file.extend(block);
    file.extend(crc.sum().to_le_bytes());
    file.extend([1; 64]);
    let (_, fault) = error(file);
    assert!(fault.contains("damaged xz data") && fault.contains("more than 128 MiB"), "{fault}");
}

#[test]
fn missing_files_and_directories_are_named() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let Err(error) = Capture::open(Path::new(folder)) else { panic!("opened a directory") };
    assert_eq!(error.to_string(), format!("{folder}: a directory, not a capture file"));
    let missing = format!("{folder}/no-such.pcap");
    let Err(error) = Capture::open(Path::new(&missing)) else { panic!("opened nothing") };
    assert_eq!(error.to_string(), format!("{missing}: no such file"));
}

#[test]
fn a_pipe_gives_each_packet_as_soon_as_it_is_there() {
    struct Pipe(mpsc::Receiver<Vec<u8>>, Vec<u8>);
    impl Read for Pipe {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.1.is_empty() {
                // Waiting for what is not sent yet would hang here for ever; `try_recv` makes it fail.
                self.1 = self.0.try_recv().map_err(|_| io::Error::from(io::ErrorKind::WouldBlock))?;
            }
            let length = into.len().min(self.1.len());
            into[..length].copy_from_slice(&self.1[..length]);
            self.1.drain(..length);
            Ok(length)
        }
    }
    for whole in [LITTLE.pcap(0xa1b2_c3d4, 101, TWO), pcapng(LITTLE)] {
        let (send, receive) = mpsc::channel();
        let end_of_first = if whole[0] == 0x0a { 28 + 20 + 40 } else { 24 + 16 + 5 };
        for byte in &whole[..end_of_first] {
            send.send(vec![*byte]).unwrap();
        }
        let mut capture = Capture::from_reader("-".to_owned(), Pipe(receive, Vec::new())).unwrap();
        assert_eq!(capture.next_packet().unwrap().unwrap().data, b"first");
        send.send(whole[end_of_first..].to_vec()).unwrap();
        assert_eq!(capture.next_packet().unwrap().unwrap().data, b"second packet");
    }
}

proptest::proptest! {
    #[test]
    fn any_flip_is_read_to_its_end(at in 0usize..200, bits in 1u8.., which in 0usize..6) {
        let plain = [LITTLE.pcap(0xa1b2_c3d4, 101, TWO), pcapng(LITTLE), pcapng(BIG)];
        let mut file = match which {
            0..3 => plain[which].clone(),
            3 | 4 => gzip(&plain[which - 3]),
            _ => zstd(&plain[1]),
        };
        let at = at % file.len();
        file[at] ^= bits;
        if let Ok(mut capture) = open(file) {
            let mut packets = 0;
            while let Ok(Some(_)) = capture.next_packet() {
                packets += 1;
            }
            proptest::prop_assert!(packets <= 2);
        }
    }
}

#[test]
fn a_file_of_another_kind_behind_a_capture_is_named_however_its_bytes_arrive() {
    /// Hands out so many bytes at a time.
    struct Portions(std::io::Cursor<Vec<u8>>, usize);
    impl Read for Portions {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = into.len().min(self.1);
            self.0.read(&mut into[..length])
        }
    }
    let packets: [(u32, u32, &[u8]); 2] = [(1, 0, &[7; 60]), (2, 0, &[8; 60])];
    let bytes = [LITTLE.pcap(0xa1b2_c3d4, 1, &packets), b"Session Transcript of something".to_vec()].concat();
    let said = |portion: usize| {
        let reader = Portions(std::io::Cursor::new(bytes.clone()), portion);
        let mut capture = Capture::from_reader("two".to_owned(), reader).unwrap();
        loop {
            match capture.next_packet() {
                Ok(Some(_)) => {}
                Ok(None) => return "nothing wrong".to_owned(),
                Err(error) => return error.to_string(),
            }
        }
    };
    let whole = said(usize::MAX);
    assert!(whole.contains("a DCT2000 capture"), "{whole}");
    for portion in [1, 7, 16, 17] {
        assert_eq!(said(portion), whole, "{portion} bytes at a time");
    }
}
