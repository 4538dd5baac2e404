//! Captures replayed to a session: what it says, and which times a reference may have.

use std::path::PathBuf;

use bittrace_protocol::session::Profile;
use bittrace_protocol::wire::Message;
use bittrace_trace::{Side, Trace, TraceOptions};

use super::*;
use crate::infer_profile;

fn reference(capture: &str) -> (Transcript, Arc<Metainfo>) {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../captures"].iter().collect();
    let reference = Transcript::open(&folder.join(capture), TraceOptions::default()).unwrap();
    let torrent = std::fs::read(folder.join(capture).with_extension("torrent")).unwrap();
    (reference, Arc::new(Metainfo::decode(&torrent).unwrap()))
}

fn played(reference: &Transcript, torrent: &Arc<Metainfo>) -> OfflineRun {
    let contents = RecordedPieces::of(reference, torrent);
    let learnt = infer_profile(reference, Profile::own("bittrace")).unwrap();
    replay_offline(reference, &learnt, torrent, &contents, ClientRole::of(reference), "a test").unwrap()
}

/// Each message of the host the capture is about, by its bytes, sorted.
fn said(reference: &Transcript) -> Vec<Bytes> {
    let local = reference.conversations.iter().flat_map(|one| &one.direction(Side::Local).messages);
    let mut said: Vec<_> = local.map(|message| message.bytes.clone()).collect();
    said.sort();
    said
}

#[test]
fn a_session_says_every_message_of_the_reference_and_no_other() {
    for capture in CAPTURES {
        let (reference, torrent) = reference(capture);
        let rehearsal = played(&reference, &torrent);
        assert!(rehearsal.complete, "{capture}: {:?}", rehearsal.remarks);
        assert_eq!((&rehearsal.missed[..], &rehearsal.remarks[..]), (&[][..], &[][..]), "{capture}");
        let bytes = std::io::Cursor::new(rehearsal.capture);
        let trace = Trace::from_reader("rehearsal".to_owned(), bytes, TraceOptions::default()).unwrap();
        let rehearsal = Transcript::read(trace).unwrap();
        assert_eq!(said(&rehearsal), said(&reference), "{capture}");
    }
}

#[test]
fn a_reference_gives_the_same_bytes_every_time() {
    for capture in CAPTURES {
        let (reference, torrent) = reference(capture);
        let one = played(&reference, &torrent).capture;
        assert!(one == played(&reference, &torrent).capture, "{capture}");
    }
}

/// libtorrent's capture shows that it asks for no padding; one that does is learnt from what it said.
#[test]
fn whether_blocks_of_padding_are_requested_is_learnt() {
    let capture = "hybrid-v2-hashes.pcap";
    let (reference, torrent) = reference(capture);
    let contents = RecordedPieces::of(&reference, &torrent);
    let mut learnt = infer_profile(&reference, Profile::own("bittrace")).unwrap();
    let is_shown =
        |learnt: &InferredProfile| learnt.evidence.iter().any(|one| one.part == "requests_padding");
    assert!(is_shown(&learnt) && !learnt.profile.requests_padding);
    for (requests_padding, requests) in [(false, 24), (true, 26)] {
        learnt.profile.requests_padding = requests_padding;
        let run =
            replay_offline(&reference, &learnt, &torrent, &contents, ClientRole::of(&reference), "a test")
                .unwrap();
        assert!(run.complete, "{:?}", run.remarks);
        let bytes = std::io::Cursor::new(run.capture);
        let trace = Trace::from_reader("rehearsal".to_owned(), bytes, TraceOptions::default()).unwrap();
        let said = Transcript::read(trace).unwrap();
        let all = said.peers().flat_map(|one| &one.direction(Side::Local).messages);
        let asked = all.filter(|stored| matches!(stored.peer_message(), Some(Message::Request(_))));
        assert_eq!(asked.count(), requests);
        let again = infer_profile(&said, Profile::own("bittrace")).unwrap();
        assert!(is_shown(&again) && again.profile.requests_padding == requests_padding);
    }
}

/// A capture in pcap with microseconds, whose packets have other times: seconds since 1970 by the packet's number and its
/// own time. pcapng has room for any.
fn retimed(capture: &str, seconds: impl Fn(usize, u64) -> u64) -> Vec<u8> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../captures"].iter().collect();
    let pcap = std::fs::read(folder.join(capture)).unwrap();
    assert_eq!(pcap[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
    let number = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().unwrap());
    let mut out = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let length = 12 + body.len().next_multiple_of(4) as u32;
        out.extend(kind.to_le_bytes());
        out.extend(length.to_le_bytes());
        out.extend(body);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(length.to_le_bytes());
    };
    block(0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    // Link type and snapshot length, and times in whole seconds.
    block(1, &[pcap[20], pcap[21], 0, 0, 0, 0, 4, 0, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let (mut at, mut packets) = (24, 0);
    while at < pcap.len() {
        let length = number(at + 8);
        let time = seconds(packets, number(at).into());
        let mut body = vec![0; 4];
        body.extend(((time >> 32) as u32).to_le_bytes());
        body.extend((time as u32).to_le_bytes());
        body.extend([length.to_le_bytes(), number(at + 12).to_le_bytes()].concat());
        body.extend(&pcap[at + 16..at + 16 + length as usize]);
        block(6, &body);
        at += 16 + length as usize;
        packets += 1;
    }
    out
}

/// When a packet was captured, in seconds, from its place in the capture and its own time.
type Retimed = fn(usize, u64) -> u64;

#[test]
fn times_of_a_reference_may_be_anything() {
    let capture = "download-aria2.pcap";
    let (usual, torrent) = reference(capture);
    // Of messages that lie years apart, peers do not wait for the next one.
    let times: [(&str, bool, Retimed); 5] = [
        ("the last time that there is", true, |_, _| u64::MAX),
        ("a jump of a century in the middle", true, |packet, at| {
            at + if packet < 100 { 0 } else { 3_000_000_000 }
        }),
        ("a jump back in the middle", true, |packet, at| if packet < 100 { at } else { at / 2 }),
        ("backwards all the time", true, |packet, at| at - packet as u64 * 7_000),
        ("far apart each", false, |packet, _| packet as u64 * 40_000_000),
    ];
    for (name, completes, seconds) in times {
        let bytes = std::io::Cursor::new(retimed(capture, seconds));
        let trace = Trace::from_reader("retimed".to_owned(), bytes, TraceOptions::default()).unwrap();
        let reference = Transcript::read(trace).unwrap();
        let rehearsal = played(&reference, &torrent);
        assert!(rehearsal.complete || !completes, "{name}: {:?}", rehearsal.remarks);
        // Keep-alives of a long pause come on top, and nothing grows without bound.
        assert!(rehearsal.capture.len() < 40_000_000, "{name}: {}", rehearsal.capture.len());
        let bytes = std::io::Cursor::new(rehearsal.capture);
        let trace = Trace::from_reader("rehearsal".to_owned(), bytes, TraceOptions::default()).unwrap();
        let played = said(&Transcript::read(trace).unwrap());
        let all = said(&usual).iter().all(|message| played.contains(message));
        assert!(all || !completes, "{name}");
    }
}

#[test]
fn a_long_way_over_utp_changes_when_messages_come_and_not_what_they_say() {
    let (mut reference, torrent) = reference("utp-download.pcap");
    for round_trip in [0.0, 0.3, 1.9, 3600.0] {
        reference.conversations.iter_mut().for_each(|one| one.round_trip = Some(round_trip));
        let rehearsal = played(&reference, &torrent);
        assert!(rehearsal.complete, "{round_trip}: {:?}", rehearsal.remarks);
        assert_eq!((&rehearsal.missed[..], &rehearsal.remarks[..]), (&[][..], &[][..]), "{round_trip}");
        let bytes = std::io::Cursor::new(rehearsal.capture);
        let options = TraceOptions { measure: true, ..TraceOptions::default() };
        let trace = Trace::from_reader("rehearsal".to_owned(), bytes, options).unwrap();
        let rehearsal = Transcript::read(trace).unwrap();
        assert_eq!(said(&rehearsal), said(&reference), "{round_trip}");
        let measured = rehearsal.conversations.iter().find_map(|one| one.round_trip);
        // A longer one than two seconds is two seconds.
        let expected = round_trip.min(2.0);
        assert!(measured.is_some_and(|measured| (measured - expected).abs() < 0.01), "{measured:?}");
    }
}

#[test]
fn another_torrent_is_refused() {
    let (reference, _) = reference("download-aria2.pcap");
    let (_, torrent) = self::reference("http-tracker-single-peer.pcap");
    let learnt = infer_profile(&reference, Profile::own("bittrace")).unwrap();
    let refused = replay_offline(
        &reference,
        &learnt,
        &torrent,
        &RecordedPieces::default(),
        ClientRole::Downloader,
        "a test",
    );
    assert!(refused.is_err_and(|why| why.contains("is about torrent")));
}

const CAPTURES: [&str; 6] = [
    "download-aria2.pcap",
    "download-transmission.pcap",
    "download-qbittorrent.pcapng",
    "download-rtorrent.pcap",
    "udp-tracker.pcap",
    "utp-download.pcap",
];
