//! Laws that the aggregate keeps for every capture: its counts equal the summary's, its bins hold all bytes, its blocks are
//! the piece messages, and two runs give the same bytes.

use std::path::Path;

use bittrace_protocol::wire::Message;
use bittrace_report::{Blocks, Course, CourseBuilder, Latencies};
use bittrace_testing::captures::{captures, captures_folder, options, torrent};
use bittrace_trace::{Dissected, Record, Severity, Side, Summary, Trace};

/// A capture that was read, with all its records.
struct Read {
    course: Course,
    summary: Summary,
    records: Vec<Record>,
}

fn read(path: &Path) -> Read {
    let torrents: Vec<_> = torrent(path).into_iter().collect();
    let mut trace = Trace::open(path, options(path)).unwrap_or_else(|error| panic!("{error}"));
    let (mut summary, mut course) = (Summary::new(&torrents), CourseBuilder::new(&torrents, 0));
    let mut records = Vec::new();
    while let Some(dissected) = trace.next().unwrap_or_else(|error| panic!("{error}")) {
        course.begin_at(trace.span().expect("a record has packets").0);
        summary.add(&dissected);
        course.add(&dissected);
        if let Dissected::Record(record) = dissected {
            records.push(record);
        }
    }
    Read { course: course.finish(&trace, &summary), summary, records }
}

/// The bytes of blocks that a record carries.
fn payload(record: &Record) -> u64 {
    match record.peer_message() {
        Some(Message::Piece { block, .. }) => block.len() as u64,
        _ => record.cut_block().map_or(0, |(.., length)| length.into()),
    }
}

#[test]
fn counts_equal_the_summary() {
    for path in captures() {
        let Read { course, summary, records } = read(&path);
        let name = path.display();
        let counts = &course.counts;
        let columns =
            [&counts.blocks, &counts.requests, &counts.haves, &counts.other_peer, &counts.trackers_dht];
        assert!(columns.iter().all(|column| column.len() == counts.blocks.len() && column.len() <= 1_200));
        let [blocks, requests, haves, other_peer, trackers_dht] =
            columns.map(|column| column.iter().sum::<u64>());
        assert_eq!(blocks + requests + haves + other_peer + trackers_dht, summary.records, "{name}");
        let by_name = summary.messages.by_name();
        let of = |message| by_name.get(&("peer-wire", message)).copied().unwrap_or(0);
        assert_eq!([blocks, requests, haves], [of("piece"), of("request"), of("have")], "{name}");
        let trackers = by_name
            .iter()
            .filter(|((protocol, _), _)| ["http-tracker", "udp-tracker", "dht", "lsd"].contains(protocol));
        assert_eq!(trackers_dht, trackers.map(|(_, count)| count).sum::<u64>(), "{name}");

        let totals = course.totals;
        assert_eq!(totals.messages, records.len() as u64, "{name}");
        let notes = |severity| {
            let all = records.iter().flat_map(|record| &record.notes);
            all.filter(|note| note.rule.severity == severity).count() as u64
        };
        let severities = [Severity::Error, Severity::Warn, Severity::Note].map(notes);
        assert_eq!([totals.errors, totals.warnings, totals.notes], severities, "{name}");
        let found: u64 = course.findings.iter().map(|finding| finding.count).sum();
        assert_eq!(found, severities.iter().sum::<u64>(), "{name}");

        let asked: u64 = course.askers.iter().map(|asker| asker.asked_count + asker.answered_count).sum();
        let kept: usize =
            course.askers.iter().map(|asker| asker.asked.t.len() + asker.answered.t.len()).sum();
        let left_out: u64 = course.askers.iter().map(|asker| asker.left_out).sum();
        assert_eq!(asked, kept as u64 + left_out, "{name}");

        let ends: u64 = course.hosts.iter().map(|host| host.messages).sum();
        assert_eq!(
            ends + course.other_hosts.map_or(0, |other| other.messages),
            2 * totals.messages,
            "{name}"
        );
    }
}

#[test]
fn bins_blocks_and_lanes_hold_all_bytes() {
    for path in captures() {
        let Read { course, summary, records } = read(&path);
        let name = path.display();
        let bytes_of = |side| {
            let sent = records.iter().filter(|record| record.side == side);
            let seeds = sent.clone().map(|record| {
                let parts = record.web_seed_parts(torrent(&path).as_deref());
                parts.iter().map(|(.., bytes)| bytes.len() as u64).sum::<u64>()
            });
            sent.map(payload).sum::<u64>() + seeds.sum::<u64>()
        };
        let expected = [bytes_of(Side::Remote), bytes_of(Side::Local)];
        let totals = course.totals;
        assert_eq!([totals.received, totals.sent], expected, "{name}");
        let bins = [&course.bytes.received, &course.bytes.sent];
        let binned = bins.map(|ends| ends.iter().flat_map(|end| &end.bytes).sum::<u64>());
        assert_eq!(binned, expected, "{name}");
        for of_end in bins.into_iter().flatten() {
            assert!(of_end.bin.is_sorted_by(|one, next| one < next), "{name}");
            let Some(end) = course.ends.get(of_end.end as usize) else { continue };
            let all = if bins[0].contains(of_end) { end.received } else { end.sent };
            assert_eq!(of_end.bytes.iter().sum::<u64>(), all, "{name}");
        }
        assert_eq!(course.other_lanes, None, "{name}");
        let lanes = course
            .lanes
            .iter()
            .fold([0, 0], |[received, sent], lane| [received + lane.received, sent + lane.sent]);
        assert_eq!(lanes, expected, "{name}");
        let peers: u64 = summary.connections.rows().iter().map(|row| row.both().payload).sum();
        let web_seeds: u64 = records
            .iter()
            .map(|record| record.web_seed_parts(torrent(&path).as_deref()))
            .flat_map(|parts| parts.into_iter().map(|(.., bytes)| bytes.len() as u64))
            .sum();
        assert_eq!(peers + web_seeds, expected.iter().sum::<u64>(), "{name}");
    }
}

#[test]
fn blocks_are_the_piece_messages_and_every_column_is_as_long() {
    for path in captures() {
        let Read { course, records, .. } = read(&path);
        let name = path.display();
        let Blocks::Each(blocks) = &course.blocks else { panic!("{name}: few blocks make no grid") };
        let pieces: Vec<(u64, u32, u32)> = records
            .iter()
            .filter_map(|record| match record.peer_message() {
                Some(Message::Piece { index, begin, block }) => {
                    Some((record.number, index.0, (*begin, block.len() as u32).0))
                }
                _ => None,
            })
            .collect();
        let is_piece = |n: &u64| records[*n as usize - 1].peer_message().is_some();
        let shown: Vec<(u64, u32, u32)> = (0..blocks.n.len())
            .map(|at| (blocks.n[at], blocks.piece[at], blocks.begin[at]))
            .filter(|(n, ..)| is_piece(n))
            .collect();
        assert_eq!(shown, pieces, "{name}");
        let lengths =
            [blocks.t.len(), blocks.length.len(), blocks.end.len(), blocks.out.len(), blocks.flag.len()];
        assert_eq!(lengths, [blocks.n.len(); 5], "{name}");

        let Latencies::Each(latencies) = &course.latencies else { panic!("{name}: few answers") };
        let answers = records.iter().filter(|record| record.answers.is_some());
        assert_eq!(latencies.answers.n, answers.map(|record| record.number).collect::<Vec<_>>(), "{name}");
        let ends = course.ends.len() as i32;
        assert!(
            blocks.end.iter().chain(&latencies.answers.end).all(|end| (-1..ends).contains(end)),
            "{name}"
        );
        for finding in &course.findings {
            for n in &finding.n {
                let notes = &records[*n as usize - 1].notes;
                assert!(notes.iter().any(|note| note.rule.id == finding.rule), "{name}: {n}");
            }
        }
    }
}

#[test]
fn two_runs_give_the_same_bytes() {
    for path in captures() {
        let [one, other] = [(); 2].map(|()| serde_json::to_string(&read(&path).course).unwrap());
        assert_eq!(one, other, "{}", path.display());
        assert!(one.len() < 100_000, "{}: {} bytes", path.display(), one.len());
    }
}

#[test]
fn the_page_of_a_corrupt_peer_shows_who_sent_the_wrong_bytes() {
    let Read { course, .. } = read(&captures_folder().join("corrupt-peer.pcap.gz"));
    let Blocks::Each(blocks) = &course.blocks else { panic!("a grid") };
    let senders = |flag: u8| {
        let of = blocks.flag.iter().zip(&blocks.end).filter(move |(own, _)| **own == flag);
        of.map(|(_, end)| course.ends[*end as usize].label.as_str()).collect::<Vec<_>>()
    };
    // Six wrong attempts at pieces of two blocks each.
    assert_eq!(senders(1), ["libtorrent/2.0.8.0"; 12]);
    assert_eq!(senders(2), [""; 0]);
    assert_eq!(senders(3), ["Transmission 3.00"; 4]);
    let pieces = course.pieces.as_ref().unwrap();
    assert_eq!((pieces.checked.right, pieces.checked.wrong), (5, 6));
    assert_eq!(pieces.cells.once_wrong, [0, 1, 0, 1, 0]);
    assert_eq!(pieces.cells.state, [3; 5]);
    // The right blocks of these came from the other peer.
    assert_eq!(pieces.cells.end, [0, 1, 0, 1, 0]);
    let totals = course.totals;
    assert_eq!((totals.again, totals.again_after_wrong_hash), (192 << 10, 192 << 10));
}
