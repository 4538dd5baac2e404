//! The laws of the design, on every reference capture.
#![allow(clippy::print_stdout, reason = "a failing test shows what it was reading")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};
use std::path::Path;

use bittrace_protocol::Timestamp;
use bittrace_protocol::bencode::{scan, scan_prefix};
use bittrace_protocol::field::untiled;
use bittrace_protocol::mse::{Cipher, End, MseKey, Part, Progress, Terms, terms};
use bittrace_protocol::tracker::http::{RequestKind, RequestStyle};
use bittrace_protocol::wire::Message;
use bittrace_protocol::{dht, utp};
use bittrace_replay::{MessagePair, PairVerdict, Transcript, diff};
use bittrace_testing::captures::{all_records, captures, mse_keys, records, scenario};
use bittrace_testing::events::{CaptureEvent, OwnedStreamEvent, Way, by_way, dissect, events, flows};
use bittrace_testing::sequence::SeededSequence;
use bittrace_trace::{
    Body, Capture, Direction, Dissected, HttpTrackerBody, Moment, MseBody, Parsed, PeerWireBody, Record,
    Recorder, StreamEvent, StreamInterest, Trace, TraceOptions, Transport, Unreadable, UtpReassembler, parse,
};

/// Law 1: the records of one direction, end to end, are the reassembled stream.
#[test]
fn nothing_is_lost() {
    for path in captures() {
        let events = events(&path);
        let flows = flows(&events);
        let mut streams: BTreeMap<Way, Vec<u8>> = BTreeMap::new();
        let mut lost: BTreeMap<Way, u64> = BTreeMap::new();
        for event in &events {
            match event {
                CaptureEvent::Stream(_, OwnedStreamEvent::Burst(stream, direction, bytes)) => {
                    streams.entry(flows[stream].ends(*direction)).or_default().extend(bytes);
                }
                CaptureEvent::Stream(
                    _,
                    OwnedStreamEvent::Other(StreamEvent::Gap { stream, direction, length }),
                ) => {
                    *lost.entry(flows[stream].ends(*direction)).or_default() += length;
                }
                _ => {}
            }
        }
        streams.extend(utp_streams(&events));
        let mut stream_ways = 0;
        let mut records = records(&path);
        records.retain(|record| record.transport != Transport::Udp);
        encrypt_again(&mut records, &mse_keys(&path));
        for (way, shown) in by_way(&records) {
            let Some(stream) = streams.get(&way) else { continue };
            stream_ways += 1;
            let mut at = shown[0].1;
            for (message, offset, length, _) in &shown {
                assert_eq!(*offset, at, "{}: {way:?}: {message} leaves a hole", scenario(&path));
                at += length;
            }
            let bytes: Vec<u8> = shown.iter().flat_map(|record| record.3.clone()).collect();
            assert!(bytes == *stream, "{}: {way:?} shows other bytes than the stream has", scenario(&path));
            let gaps: u64 = shown.iter().filter(|record| record.0 == "gap").map(|record| record.2).sum();
            assert_eq!(gaps, lost.get(&way).copied().unwrap_or(0), "{}: {way:?}", scenario(&path));
        }
        let expected = !["not-bittorrent", "udp-tracker-fragments"].contains(&scenario(&path).as_str());
        assert_eq!(stream_ways > 0, expected, "{}", scenario(&path));
    }
}

/// Gives records that were decrypted the bytes that stood on the wire. One pair of ends has one connection in all
/// captures, and no decrypted bytes are lost.
fn encrypt_again(records: &mut [Record], keys: &[MseKey]) {
    let mut ciphers: BTreeMap<Way, Cipher> = BTreeMap::new();
    for record in records.iter_mut().filter(|record| record.decrypted) {
        let [key] = keys else { panic!("{} keys for one connection", keys.len()) };
        let end = match record.direction {
            Direction::FromInitiator => End::Initiator,
            Direction::FromResponder => End::Responder,
        };
        let cipher = ciphers.entry((record.source, record.destination)).or_insert_with(|| key.cipher(end));
        let mut bytes = record.bytes.to_vec();
        cipher.apply(&mut bytes);
        record.bytes = bytes.into();
    }
}

/// What the directions of uTP connections carry. One pair of ends has one connection in all captures.
fn utp_streams(events: &[CaptureEvent]) -> BTreeMap<Way, Vec<u8>> {
    let mut reassembler = UtpReassembler::new();
    let mut flows = BTreeMap::new();
    let mut streams: BTreeMap<Way, Vec<u8>> = BTreeMap::new();
    let mut sink = |_: Moment, event: StreamEvent<'_>| {
        match event {
            StreamEvent::Opened { stream, flow, .. } => drop(flows.insert(stream, flow)),
            StreamEvent::Burst { stream, direction, bytes } => {
                streams.entry(flows[&stream].ends(direction)).or_default().extend(bytes);
            }
            _ => {}
        }
        StreamInterest::Wanted
    };
    for event in events {
        if let CaptureEvent::Datagram(moment, source, destination, bytes) = event {
            reassembler.datagram(*moment, *source, *destination, bytes, &mut sink);
        }
    }
    reassembler.finish(&mut sink);
    streams
}

/// Law 2: the fields of a record tile its bytes.
#[test]
fn fields_tile_each_record() {
    for path in captures() {
        for record in records(&path) {
            let fault = untiled(&record.fields(), 0..record.bytes.len());
            assert_eq!(fault, None, "{}: message {}", scenario(&path), record.number);
        }
    }
}

/// Law 3: what was decoded is encoded to the same bytes.
#[test]
fn what_is_decoded_encodes_to_the_same_bytes() {
    let (mut wire, mut http, mut udp, mut lsd, mut mse, mut utp, mut dht) = (0, 0, 0, 0, 0, 0, 0);
    let mut without_field: BTreeSet<String> = BTreeSet::new();
    let mut contents: BTreeMap<String, usize> = BTreeMap::new();
    for path in captures() {
        utp += utp_headers_encoded(&path);
        let keys = mse_keys(&path);
        for record in records(&path) {
            let context = format!("{}: message {}", scenario(&path), record.number);
            match &record.body {
                Body::PeerWire(PeerWireBody::Handshake(handshake)) => {
                    assert_eq!(handshake.encode().as_slice(), &record.bytes[..], "{context}");
                    wire += 1;
                }
                Body::PeerWire(PeerWireBody::Message(message) | PeerWireBody::Extended(message, _)) => {
                    let mut bytes = Vec::new();
                    message.encode(&mut bytes);
                    assert!(bytes == record.bytes, "{context}: {}", message.name());
                    assert!(!matches!(message, Message::Malformed { .. }), "{context}: malformed");
                    wire += 1;
                    if let Body::PeerWire(PeerWireBody::Extended(
                        Message::Extended { payload, .. },
                        extension,
                    )) = &record.body
                        && let Ok(content) = extension.decode(payload)
                        && let Some(again) = content.encode()
                        && scan_prefix(payload).map_or(true, |(document, _)| document.is_regular())
                    {
                        assert_eq!(
                            again.escape_ascii().to_string(),
                            payload.escape_ascii().to_string(),
                            "{context}"
                        );
                        *contents.entry(extension.name().to_owned()).or_default() += 1;
                    }
                }
                Body::HttpTracker(HttpTrackerBody::Request(request, kind)) => {
                    let style = RequestStyle::of(request);
                    let host = request.header("host").map(String::from_utf8_lossy).unwrap_or_default();
                    let bytes = match &**kind {
                        RequestKind::Announce(announce) => style.encode_announce(announce, &host),
                        RequestKind::Scrape(scrape) => style.encode_scrape(scrape, &host),
                        RequestKind::NoTorrent(_) | RequestKind::Other => continue,
                    };
                    let written = String::from_utf8_lossy(&bytes);
                    assert_eq!(written, String::from_utf8_lossy(&record.bytes), "{context}");
                    http += 1;
                }
                Body::UdpTracker(packet) => {
                    assert_eq!(packet.encode(), record.bytes, "{context}");
                    udp += 1;
                }
                Body::Lsd(announce) => {
                    let written = announce.encode();
                    assert_eq!(
                        String::from_utf8_lossy(&written),
                        String::from_utf8_lossy(&record.bytes),
                        "{context}"
                    );
                    lsd += 1;
                }
                Body::Mse(MseBody::Negotiation(part @ (Part::CryptoProvide | Part::CryptoSelect))) => {
                    let end = if *part == Part::CryptoProvide { End::Initiator } else { End::Responder };
                    let Ok(Progress::Whole(read)) = terms(end, &record.bytes) else {
                        panic!("{context}: not whole")
                    };
                    let padding = read.padding_of(&record.bytes);
                    let again = Terms::encode(end, read.methods, padding, read.ahead);
                    assert_eq!(again.as_deref(), Some(&record.bytes[..]), "{context}");
                    mse += 1;
                }
                Body::Mse(MseBody::Negotiation(Part::TorrentHash)) => {
                    let parts: Vec<_> = keys.iter().map(MseKey::torrent_part).collect();
                    assert!(parts.iter().any(|part| record.bytes == part[..]), "{context}");
                    mse += 1;
                }
                Body::Dht(message, _) => {
                    let regular = scan(&record.bytes).is_ok_and(|document| document.is_regular());
                    assert!(regular, "{context}: a capture whose bencoding needs an exception here");
                    assert_eq!(
                        message.encode().escape_ascii().to_string(),
                        record.bytes.escape_ascii().to_string(),
                        "{context}"
                    );
                    without_field.extend(dht_keys_without_field(message));
                    dht += 1;
                }
                _ => {}
            }
        }
    }
    // A key that has a field is never kept beside the fields, unless its value is one that the field cannot hold.
    let without_field: Vec<_> = without_field.iter().map(String::as_str).collect();
    // libtorrent tells whoever asks the port that the question came from.
    assert_eq!(without_field, ["r: p"]);
    for kind in ["handshake", "ut_metadata", "ut_pex"] {
        assert!(contents.contains_key(kind), "no {kind} was covered: {contents:?}");
    }
    assert!(wire > 1000 && http > 50 && udp >= 12, "only {wire} wire, {http} HTTP and {udp} UDP messages");
    assert!(lsd >= 4 && mse >= 3 && utp > 100, "only {lsd} LSD and {mse} MSE messages, {utp} uTP headers");
    assert!(dht >= 50, "only {dht} DHT messages");
}

/// The keys of a message of the DHT that its fields do not give back, with the dictionary that they stand in.
fn dht_keys_without_field(message: &dht::Message) -> impl Iterator<Item = String> {
    let inner = match &message.kind {
        dht::Kind::Query(query) => Some(("a", &query.others)),
        dht::Kind::Response(response) => Some(("r", &response.others)),
        dht::Kind::Error(..) => None,
    };
    let outer = ("message", &message.others);
    inner.into_iter().chain([outer]).flat_map(|(place, others)| {
        others.iter().map(move |(key, _)| format!("{place}: {}", key.escape_ascii()))
    })
}

/// How many datagrams of a capture have a uTP header, each of which is encoded to its bytes again.
fn utp_headers_encoded(path: &Path) -> usize {
    let mut capture = Capture::open(path).unwrap_or_else(|error| panic!("{error}"));
    let mut encoded = 0;
    while let Ok(Some(packet)) = capture.next_packet() {
        let Parsed::Udp(datagram) = parse(packet.link, packet.data) else { continue };
        let Ok(header) = utp::Header::decode(datagram.payload) else { continue };
        let again = header.encode(utp::extensions(datagram.payload));
        assert_eq!(
            again,
            datagram.payload[..header.length],
            "{}: packet {}",
            scenario(path),
            packet.moment.frame
        );
        encoded += 1;
    }
    encoded
}

/// Law 4: however bursts are cut, the records are the same.
#[test]
fn cuts_do_not_matter() {
    let mut sequence = SeededSequence::seeded("cuts_do_not_matter");
    for path in captures() {
        let events = events(&path);
        let keys = bittrace_testing::captures::mse_keys(&path);
        let whole = by_way(&dissect(&events, &keys, |length| length));
        assert!(
            whole == by_way(&dissect(&events, &keys, |_| 1)),
            "{}: cut into single bytes",
            scenario(&path)
        );
        for _ in 0..3 {
            let cut = by_way(&dissect(&events, &keys, |length| 1 + sequence.below(length)));
            assert!(whole == cut, "{}: cut at random", scenario(&path));
        }
    }
}

/// Law 5: the records of a capture equal those of its re-recording, times included.
#[test]
fn recording_is_faithful() {
    for path in captures() {
        let recorded = record_again(&events(&path));
        let trace = Trace::from_reader(
            scenario(&path),
            Cursor::new(recorded),
            bittrace_testing::captures::options(&path),
        );
        let again = all_records(trace.expect("a recording is a capture"), &scenario(&path));
        let original = records(&path);
        for (way, said) in by_way(&original) {
            let again = by_way(&again).remove(&way).unwrap_or_default();
            let differs = said.iter().zip(&again).position(|(said, again)| said != again);
            let place = differs
                .map(|at| (&said[at].0, said[at].1, said[at].2, &again[at].0, again[at].1, again[at].2));
            assert_eq!((said.len(), place), (again.len(), None), "{}: {way:?}", scenario(&path));
        }
        let times = |records: &[Record]| -> BTreeMap<Way, Vec<Timestamp>> {
            let mut times: BTreeMap<Way, Vec<Timestamp>> = BTreeMap::new();
            for record in records {
                times.entry((record.source, record.destination)).or_default().push(record.at);
            }
            times
        };
        // Bytes a capture lost are noticed when later ones come, which the recording tells otherwise.
        if !original.iter().any(|record| matches!(record.body, Body::Unreadable(_, Unreadable::Gap(_)))) {
            assert_eq!(times(&original), times(&again), "{}", scenario(&path));
        }
    }
}

/// A recording of what happened in a capture.
fn record_again(events: &[CaptureEvent]) -> Vec<u8> {
    let mut recorder = Recorder::new(Vec::new(), "recorded again").expect("memory takes everything");
    for event in events {
        match event {
            CaptureEvent::Datagram(moment, source, destination, bytes) => {
                recorder.datagram(moment.at, *source, *destination, bytes)
            }
            CaptureEvent::Stream(moment, OwnedStreamEvent::Burst(stream, direction, bytes)) => {
                recorder.burst(moment.at, *stream, *direction, bytes)
            }
            CaptureEvent::Stream(moment, OwnedStreamEvent::Other(event)) => match *event {
                StreamEvent::Opened { stream, flow, opening } => {
                    recorder.opened(moment.at, stream, flow, opening)
                }
                StreamEvent::Established { stream } => recorder.established(moment.at, stream),
                StreamEvent::Gap { stream, direction, length } => {
                    recorder.gap(moment.at, stream, direction, length)
                }
                StreamEvent::Closed { stream, closing } => recorder.closed(moment.at, stream, closing),
                StreamEvent::Burst { .. }
                | StreamEvent::Lost { .. }
                | StreamEvent::Awaited { .. }
                | StreamEvent::Measured { .. } => Ok(()),
            },
        }
        .expect("memory takes everything");
    }
    recorder.finish().expect("memory takes everything")
}

/// Law 6: a trace agrees with itself, without any mask, and every record is in one pair.
#[test]
fn a_trace_agrees_with_itself() {
    for path in captures() {
        let read = || {
            Transcript::open(&path, bittrace_testing::captures::options(&path))
                .unwrap_or_else(|error| panic!("{error}"))
        };
        let (first, second) = (read(), read());
        let report = diff(&first, &second, &bittrace_replay::DiffOptions::exact()).expect("no mask is given");
        let pairs: Vec<&MessagePair> =
            report.conversations.iter().flat_map(|compared| &compared.pairs).collect();
        let other = pairs.iter().find(|pair| {
            pair.verdict != PairVerdict::Same || pair.moved || pair.lost || pair.reference != pair.candidate
        });
        assert_eq!(other, None, "{}", scenario(&path));
        assert_eq!(pairs.len(), records(&path).len(), "{}", scenario(&path));
        assert_eq!(report.disagreements(&[]), 0, "{}", scenario(&path));
    }
}

/// A recording is compared like any capture, and agrees with its original though link type and packets are others.
#[test]
fn a_recording_agrees_with_its_original() {
    for path in captures() {
        // A recording has the bytes alone, and not the keys that its original may hold.
        let options = || TraceOptions {
            mse_keys: bittrace_testing::captures::mse_keys(&path),
            ..TraceOptions::default()
        };
        let original = Transcript::open(&path, options()).unwrap_or_else(|error| panic!("{error}"));
        let recorded = Cursor::new(record_again(&events(&path)));
        let trace = Trace::from_reader(scenario(&path), recorded, options());
        let again = Transcript::read(trace.expect("a recording is a capture")).expect("it is whole");
        let report =
            diff(&original, &again, &bittrace_replay::DiffOptions::exact()).expect("no mask is given");
        assert_eq!(report.disagreements(&[]), 0, "{}", scenario(&path));
        let total = report.total();
        assert_eq!((total.lost, total.lost_of_reference), (0, 0), "{}", scenario(&path));
    }
}

/// However little two captures have in common, every record of both is in exactly one pair.
#[test]
fn every_record_is_in_one_pair() {
    let read =
        |path| Transcript::open(path, TraceOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    let transcripts: Vec<Transcript> = captures().iter().map(|path| read(path)).collect();
    for reference in &transcripts {
        for candidate in &transcripts {
            let options = bittrace_replay::DiffOptions::default();
            let report = diff(reference, candidate, &options).expect("no mask is given");
            let mut seen = [(reference, BTreeSet::new()), (candidate, BTreeSet::new())];
            for compared in &report.conversations {
                for pair in &compared.pairs {
                    let places = [(compared.reference, pair.reference), (compared.candidate, pair.candidate)];
                    for ((transcript, seen), (conversation, place)) in seen.iter_mut().zip(places) {
                        let (Some(conversation), Some(place)) = (conversation, place) else { continue };
                        let direction = transcript.conversations[conversation].direction(pair.side);
                        let number = direction.messages[place as usize].number;
                        assert!(seen.insert(number), "{}: message {number} twice", transcript.name);
                    }
                }
            }
            for (transcript, seen) in seen {
                assert_eq!(seen.len() as u64, transcript.records, "{}", transcript.name);
            }
        }
    }
}

/// A file is read ahead by other threads where there are processors for them, a stream never: both give the same records and
/// measurements, and errors in the same place, whether the file is whole, cut short or corrupt.
#[test]
fn reading_ahead_makes_no_difference() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let told = |trace: Result<Trace, bittrace_trace::TraceError>| {
        let mut trace = trace.expect("it begins as a capture");
        let mut told = Vec::new();
        loop {
            match trace.next() {
                Ok(None) => break,
                next => told.push(format!("{next:?}")),
            }
        }
        let about = trace.capture();
        let facts = (about.packets(), about.bytes(), about.comments().to_vec(), trace.cut(), trace.counts());
        (told, facts, trace.span(), trace.local())
    };
    for path in captures() {
        let bytes = plain(&path);
        let middle = bytes.len() / 2;
        let mut corrupt = bytes.clone();
        corrupt[middle..].fill(0xff);
        for (kind, bytes) in [("whole", &bytes[..]), ("cut", &bytes[..middle]), ("corrupt", &corrupt)] {
            let file = folder.path().join("capture");
            std::fs::write(&file, bytes).expect("there is room for a capture");
            let name = file.display().to_string();
            let options = TraceOptions { measure: true, ..TraceOptions::default() };
            let here = told(Trace::from_reader(name, Cursor::new(bytes.to_vec()), options.clone()));
            let ahead = told(Trace::open(&file, options));
            assert!(here == ahead, "{}, {kind}", scenario(&path));
        }
    }
}

/// A capture that was taken on several interfaces has each packet several times. It says the same as one that has each
/// packet once.
#[test]
fn packets_that_come_several_times_count_once() {
    let said = |path: &Path, times: u32| {
        let options = TraceOptions { mse_keys: mse_keys(path), ..TraceOptions::default() };
        let bytes = rewritten(path, |_| times);
        let mut trace = Trace::from_reader(scenario(path), Cursor::new(bytes), options).expect("a capture");
        let mut said = Vec::new();
        while let Some(dissected) = trace.next().expect("the packets are whole") {
            match dissected {
                Dissected::Record(record) => {
                    said.push(format!(
                        "{:?} {:?} {} {:?} {:?}",
                        record.source, record.destination, record.offset, record.transport, record.body
                    ));
                }
                Dissected::Connection(end) => said.push(format!("{:?} {:?}", end.flow, end.closing)),
            }
        }
        (said, trace.counts())
    };
    let mut copies = 0;
    for path in captures() {
        let (once, single) = said(&path, 1);
        // The link of that capture was told to deliver packets twice.
        let delivered_twice = if scenario(&path) == "lossy-link" { 7 } else { 0 };
        assert_eq!(single.copies, delivered_twice, "{}", scenario(&path));
        for times in 2..=4 {
            let (several, counts) = said(&path, times);
            assert!(once == several, "{}, each packet {times} times", scenario(&path));
            // Of the parts of a datagram only so many make it whole.
            if scenario(&path) != "udp-tracker-fragments" {
                assert_eq!(counts.udp, single.udp * u64::from(times), "{}", scenario(&path));
                assert!(counts.copies >= single.udp * u64::from(times - 1), "{}", scenario(&path));
            }
            copies += counts.copies;
        }
    }
    assert!(copies > 1_000);
}

/// A capture of one end alone, as a switch without a mirror port gives it. Nothing is held against that end, or the other,
/// that is not so in the whole capture too.
#[test]
fn nothing_is_said_of_an_end_that_was_not_captured() {
    let told = |path: &Path, bytes: Vec<u8>| {
        let options = TraceOptions { mse_keys: mse_keys(path), ..TraceOptions::default() };
        let mut trace = Trace::from_reader(scenario(path), Cursor::new(bytes), options).expect("a capture");
        let (mut rules, mut speaking, mut ends) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        while let Some(dissected) = trace.next().expect("the packets are whole") {
            match dissected {
                Dissected::Record(record) => {
                    rules.extend(record.notes.iter().map(|note| note.rule.id));
                    speaking.insert((record.stream, record.direction));
                }
                Dissected::Connection(end) => ends.push(end),
            }
        }
        (rules, speaking, ends, trace.local())
    };
    let mut unseen = 0;
    for path in captures() {
        let (whole, _, _, local) = told(&path, rewritten(&path, |_| 1));
        let Some(local) = local else { continue };
        for local_speaks in [true, false] {
            let bytes = rewritten(&path, |packet| match packet {
                Parsed::Tcp(segment) => u32::from((segment.src.ip() == local) == local_speaks),
                Parsed::Udp(datagram) => u32::from((datagram.src.ip() == local) == local_speaks),
                Parsed::Fragment(_) | Parsed::Other(_) => 0,
            });
            let (rules, speaking, ends, _) = told(&path, bytes);
            // Parts of messages that were captured are there, only the messages around them are not told any more.
            let more = rules.difference(&whole).copied().filter(|rule| !rule.starts_with("capture."));
            assert_eq!(more.collect::<Vec<_>>(), [""; 0], "{}, local: {local_speaks}", scenario(&path));
            for end in ends {
                let Some((stream, direction)) = end.stream.zip(end.unseen) else { continue };
                assert!(!speaking.contains(&(stream, direction)), "{}: {end:?}", scenario(&path));
                unseen += 1;
            }
        }
    }
    assert!(unseen > 100, "{unseen} connections");
}

/// A capture in the pcap format that has each packet as often as `times` says, 5 microseconds apart. Of a capture with
/// several link types the packets of the first are taken.
fn rewritten(path: &Path, times: impl Fn(&Parsed<'_>) -> u32) -> Vec<u8> {
    let mut capture = Capture::open(path).expect("a reference capture can be read");
    let mut bytes: Vec<u8> = Vec::new();
    let mut link = None;
    while let Some(packet) = capture.next_packet().expect("a reference capture is whole") {
        let first = *link.get_or_insert_with(|| {
            let header = [0xa1b2_3c4d, 0x0002_0004, 0, 0, 0x0004_0000, packet.link.0];
            bytes.extend(header.iter().flat_map(|word: &u32| word.to_be_bytes()));
            packet.link
        });
        if first != packet.link {
            continue;
        }
        for copy in 0..times(&parse(packet.link, packet.data)) {
            let at = packet.moment.at.as_nanos() + i64::from(copy) * 5_000;
            let (seconds, nanos) = (at.div_euclid(1_000_000_000), at.rem_euclid(1_000_000_000));
            let lengths = [packet.data.len() as u32, packet.original_length];
            let header = [seconds as u32, nanos as u32].into_iter().chain(lengths);
            bytes.extend(header.flat_map(u32::to_be_bytes));
            bytes.extend_from_slice(packet.data);
        }
    }
    bytes
}

/// Law 7: a capture with a byte flipped, or cut short, is read to its end.
#[test]
fn nothing_panics() {
    let mut sequence = SeededSequence::seeded("nothing_panics");
    for path in captures() {
        let bytes = plain(&path);
        for _ in 0..12 {
            let mut flipped = bytes.clone();
            let at = sequence.below(bytes.len());
            flipped[at] ^= 1 << sequence.below(8);
            read_to_the_end(flipped, &format!("{} with byte {at} flipped", scenario(&path)));
            let end = sequence.below(bytes.len());
            read_to_the_end(bytes[..end].to_vec(), &format!("{} cut at {end}", scenario(&path)));
        }
        // The headers, where a flipped bit matters most.
        for at in 0..bytes.len().min(160) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << sequence.below(8);
            flipped.truncate(40_000);
            read_to_the_end(flipped, &format!("{} with byte {at} flipped", scenario(&path)));
        }
    }
}

/// The bytes of a capture file, unpacked, so that a flipped bit is one of the capture.
fn plain(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).expect("a reference capture can be read");
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return bytes;
    }
    let mut unpacked = Vec::new();
    flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).expect("valid gzip");
    unpacked
}

fn read_to_the_end(bytes: Vec<u8>, name: &str) {
    println!("{name}");
    let Ok(mut trace) = Trace::from_reader(name.to_owned(), Cursor::new(bytes), TraceOptions::default())
    else {
        return;
    };
    let mut errors = 0;
    loop {
        match trace.next() {
            Ok(Some(Dissected::Record(record))) => {
                let fault = untiled(&record.fields(), 0..record.bytes.len());
                assert_eq!(fault, None, "{name}: message {}", record.number);
            }
            Ok(Some(Dissected::Connection(_))) => {}
            Ok(None) => return,
            Err(_) => errors += 1,
        }
        assert!(errors < 2, "{name}: an error is the end");
    }
}
