//! One flipped byte anywhere in a capture: the message it stands in is the one that differs, by the field it stands in.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::net::SocketAddr;

use bittrace_replay::{
    DiffOptions, DiffReport, MessagePair, PairVerdict, TRANSCRIPT_LIMIT, Transcriber, Transcript, diff,
};
use bittrace_testing::captures::captures_folder;
use bittrace_trace::{Dissected, LinkType, Parsed, Record, Trace, parse};

/// A capture's bytes, and where in them what was said stands.
struct Original {
    bytes: Vec<u8>,
    /// Of each byte that TCP or UDP carried its place in the file, by who said it to whom.
    carried: Vec<(usize, SocketAddr, SocketAddr)>,
    transcript: Transcript,
    records: Vec<Record>,
}

/// A record without what a damaged byte may change: who to whom, at which offset, how long.
type Frame = (SocketAddr, SocketAddr, u64, u64);

impl Original {
    fn read(name: &str) -> Self {
        let bytes = std::fs::read(captures_folder().join(name)).expect("the capture can be read");
        let carried = carried(&bytes);
        let (transcript, records) = read(&bytes);
        Self { bytes, carried, transcript, records }
    }

    fn flipped(&self, at: usize) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[at] ^= 1;
        bytes
    }

    /// Flips the byte at `at` and holds what is found to what is true.
    fn check(&self, at: usize, told: &mut BTreeMap<&'static str, u64>) {
        let (candidate, flipped) = read(&self.flipped(at));
        let report = diff(&self.transcript, &candidate, &DiffOptions::exact()).expect("no mask is given");
        let Some((number, place)) = self.changed(&flipped) else {
            // Sent again, or of no stream that is read: nothing that anyone was told has changed.
            assert_eq!(report.disagreements(&[]), 0, "byte {at}");
            *told.entry("unread").or_default() += 1;
            return;
        };
        let frames = |records: &[Record]| -> Vec<Frame> { records.iter().map(frame).collect() };
        let kinds = |records: &[Record]| -> Vec<&str> {
            records.iter().map(|record| record.body.protocol().name()).collect()
        };
        let intact = frames(&self.records) == frames(&flipped) && kinds(&self.records) == kinds(&flipped);
        let others: Vec<(usize, &MessagePair)> = others(&report);
        if !intact {
            self.check_first(&report, number, at);
            *told.entry("framing").or_default() += 1;
            return;
        }
        let message = self.records[number].body.message();
        assert_eq!(others.len(), 1, "byte {at}: {place} of {message} {}: {others:?}", number + 1);
        let (conversation, pair) = others[0];
        let reference = report.conversations[conversation].reference.expect("it is paired");
        let direction = self.transcript.conversations[reference].direction(pair.side);
        let stored = &direction.messages[pair.reference.expect("it is paired") as usize];
        assert_eq!(
            (stored.number, pair.verdict, pair.moved),
            (number as u64 + 1, PairVerdict::Differs, false),
            "byte {at}"
        );
        let names = pair.differences.iter().all(|difference| {
            difference.fails && difference.reference.as_ref().is_some_and(|part| part.span().contains(&place))
        });
        assert!(names && pair.differences.len() == 1, "byte {at}, {place}: {:?}", pair.differences);
        *told.entry("named").or_default() += 1;
    }

    /// The record, by its place, and the byte in it that is another one now.
    fn changed(&self, flipped: &[Record]) -> Option<(usize, usize)> {
        let streams = |records: &[Record]| -> BTreeMap<_, Vec<u8>> {
            let mut streams: BTreeMap<_, Vec<u8>> = BTreeMap::new();
            for record in records {
                let stream = streams.entry((record.source, record.destination)).or_default();
                stream.extend_from_slice(&record.bytes);
            }
            streams
        };
        let (ours, theirs) = (streams(&self.records), streams(flipped));
        self.records.iter().enumerate().find_map(|(number, record)| {
            let direction = (record.source, record.destination);
            let (our, their) = (&ours[&direction], theirs.get(&direction));
            let at = match their {
                Some(their) => our.iter().zip(their).position(|(one, other)| one != other)?,
                // The stream is no longer recognised: by what it says first.
                None => 0,
            };
            let start = record.offset as usize;
            (start..start + record.bytes.len()).contains(&at).then(|| (number, at - start))
        })
    }

    /// Where the byte holds the stream together, what follows is read otherwise; what precedes is the same.
    fn check_first(&self, report: &DiffReport, number: usize, at: usize) {
        let culprit = &self.records[number];
        for (conversation, pair) in others(report) {
            let Some(reference) = report.conversations[conversation].reference else { continue };
            let conversation = &self.transcript.conversations[reference];
            let Some(place) = pair.reference else { continue };
            let stored = &conversation.direction(pair.side).messages[place as usize];
            let same_stream = conversation.stream == culprit.stream;
            assert!(
                same_stream,
                "byte {at} of message {}: message {} of another stream",
                number + 1,
                stored.number
            );
            let same_direction = pair.side == culprit.side;
            assert!(
                !same_direction || stored.number > number as u64,
                "byte {at}: message {} before {} is {:?}",
                stored.number,
                number + 1,
                pair.verdict
            );
        }
        assert!(report.disagreements(&[]) > 0, "byte {at}: nothing is reported");
    }
}

fn others(report: &DiffReport) -> Vec<(usize, &MessagePair)> {
    let all = report.conversations.iter().enumerate();
    all.flat_map(|(at, compared)| compared.pairs.iter().map(move |pair| (at, pair)))
        .filter(|(_, pair)| pair.verdict != PairVerdict::Same)
        .collect()
}

fn frame(record: &Record) -> Frame {
    (record.source, record.destination, record.offset, record.length())
}

/// A capture as conversations, and as records.
fn read(bytes: &[u8]) -> (Transcript, Vec<Record>) {
    let local = "10.77.0.3".parse().ok();
    let options = bittrace_trace::TraceOptions { local: local.into(), ..Default::default() };
    let reader = Cursor::new(bytes.to_vec());
    let mut trace = Trace::from_reader("flipped".to_owned(), reader, options).expect("a capture");
    let mut transcriber = Transcriber::new("a capture", TRANSCRIPT_LIMIT);
    let mut records = Vec::new();
    while let Some(dissected) = trace.next().expect("what is said does not matter to the file") {
        if let Dissected::Record(record) = &dissected {
            records.push(record.clone());
        }
        transcriber.push(dissected).expect("a short capture");
    }
    (transcriber.finish(&trace), records)
}

/// Where what was said stands in a pcap file of little-endian headers.
fn carried(bytes: &[u8]) -> Vec<(usize, SocketAddr, SocketAddr)> {
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let link = LinkType(number(20));
    let mut carried = Vec::new();
    let mut at = 24;
    while at + 16 <= bytes.len() {
        let start = at + 16;
        let end = start + number(at + 8) as usize;
        let (payload, src, dst) = match parse(link, &bytes[start..end]) {
            Parsed::Tcp(segment) => (segment.payload, segment.src, segment.dst),
            Parsed::Udp(datagram) => (datagram.payload, datagram.src, datagram.dst),
            Parsed::Fragment(_) | Parsed::Other(_) => (&[][..], ANY, ANY),
        };
        if !payload.is_empty() {
            let first = payload.as_ptr() as usize - bytes.as_ptr() as usize;
            carried.extend((first..first + payload.len()).map(|at| (at, src, dst)));
        }
        at = end;
    }
    carried
}

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// Checks every byte that a capture carried, but of the insides of blocks only one in so many.
fn check_all(name: &str) -> BTreeMap<&'static str, u64> {
    let original = Original::read(name);
    let mut told = BTreeMap::new();
    let mut offsets: BTreeMap<(SocketAddr, SocketAddr), u64> = BTreeMap::new();
    for &(at, src, dst) in &original.carried {
        let offset = offsets.entry((src, dst)).or_default();
        let inside = original.records.iter().any(|record| {
            (record.source, record.destination) == (src, dst)
                && record.body.message() == "piece"
                && (record.offset + 16..record.offset + record.length()).contains(offset)
        });
        if !inside || offset.is_multiple_of(STRIDE) {
            original.check(at, &mut told);
        }
        *offset += 1;
    }
    told
}

const STRIDE: u64 = 499;

#[test]
fn a_flipped_byte_is_found_in_its_message_and_field() {
    let told = check_all("http-tracker-single-peer.pcap");
    assert!(told["named"] > 2000, "{told:?}");
}

#[test]
fn a_flipped_byte_of_a_datagram_is_found_in_its_field() {
    let told = check_all("udp-tracker-scrape.pcap");
    assert!(told["named"] > 300, "{told:?}");
}
