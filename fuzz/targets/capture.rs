#![no_main]
//! A capture gives the same packets however its bytes arrive, and every packet is read without panic. Where
//! compressed data is damaged, decompressors differ in how much before it they still give.

use std::io::{self, Cursor, Read};

use bittrace_fuzz::Sequence;
use bittrace_trace::{Capture, Cut, LinkType, Moment, Parsed, parse, parse_each};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = read(Cursor::new(bytes.to_vec()));
    let trickle = Trickle { bytes: Cursor::new(bytes.to_vec()), sequence: Sequence(bytes.len() as u64) };
    let trickled = read(trickle);
    if bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a])
        || bytes.get(1..3).is_some_and(|magic| magic == [0xc3, 0xb2])
    {
        assert_eq!(whole, trickled);
    } else if let (Ok((whole, ..)), Ok((trickled, ..))) = (whole, trickled) {
        assert!(whole.starts_with(&trickled) || trickled.starts_with(&whole));
    }
});

/// A packet: when, what it begins with, its bytes, its length on the wire.
type Packet = (Moment, LinkType, Vec<u8>, u32);

/// What a capture says to its end: its packets, the error after them, and where it was cut short.
type Said = (Vec<Packet>, Option<String>, Option<Cut>);

/// Everything a capture says, or the error at its beginning.
fn read(reader: impl Read + Send + 'static) -> Result<Said, String> {
    let mut capture = Capture::from_reader("input".to_owned(), reader).map_err(|error| error.to_string())?;
    let mut packets = Vec::new();
    let mut fault = None;
    loop {
        match capture.next_packet() {
            Ok(Some(packet)) => {
                let first = parse(packet.link, packet.data);
                let mut all = Vec::new();
                parse_each(packet.link, packet.data, |parsed| all.push(parsed));
                assert_eq!(all.first(), Some(&first));
                all.into_iter().for_each(|parsed| reads(packet.data, parsed));
                packets.push((packet.moment, packet.link, packet.data.to_vec(), packet.original_length));
            }
            Ok(None) => break,
            Err(error) => {
                assert!(fault.is_none(), "an error is the end");
                fault = Some(error.to_string());
            }
        }
    }
    assert_eq!(capture.packets(), packets.len() as u64);
    assert_eq!(capture.bytes(), packets.iter().map(|packet| packet.2.len() as u64).sum::<u64>());
    Ok((packets, fault, capture.cut()))
}

/// A payload is a part of its packet.
fn reads(packet: &[u8], parsed: Parsed<'_>) {
    let payload = match parsed {
        Parsed::Tcp(segment) => segment.payload,
        Parsed::Udp(datagram) => datagram.payload,
        Parsed::Fragment(_) | Parsed::Other(_) => return,
    };
    assert!(payload.is_empty() || packet.as_ptr_range().contains(&payload.as_ptr()));
    assert!(payload.len() <= packet.len());
}

/// Hands out a few bytes at a time.
struct Trickle {
    bytes: Cursor<Vec<u8>>,
    sequence: Sequence,
}

impl Read for Trickle {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = into.len().min(1 + self.sequence.below(40));
        self.bytes.read(&mut into[..length])
    }
}
