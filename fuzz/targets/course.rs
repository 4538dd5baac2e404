#![no_main]
//! The aggregate behind pictures, of any file, also of one whose records come again and again, until all that is exact at
//! first has become bins, grids and histograms: sums are of everything, columns fit each other, two runs give the same.

use std::io::Cursor;
use std::time::Duration;

use bittrace_protocol::wire::Message;
use bittrace_report::{Blocks, Course, CourseBuilder, Latencies, MOST_HOSTS, MOST_LANES, Rail, UnderWay};
use bittrace_trace::{Body, Dissected, Summary, Trace, TraceOptions};
use libfuzzer_sys::fuzz_target;

/// More than what is kept apart of blocks and of answers.
const MOST_RECORDS: usize = 15_000;

/// The size of a page's data never comes near this.
const MOST_BYTES: usize = 6 << 20;

fuzz_target!(|bytes: &[u8]| {
    let input = Cursor::new(bytes.to_vec());
    let Ok(mut trace) = Trace::from_reader("input".to_owned(), input, TraceOptions::default()) else {
        return;
    };
    let mut read = Vec::new();
    // An error is the end; what came before it counts.
    while let Ok(Some(dissected)) = trace.next() {
        read.push(dissected);
    }
    if read.len() > MOST_RECORDS {
        return;
    }
    let said =
        |place: usize| bytes.len().checked_sub(place).and_then(|at| bytes.get(at)).copied().unwrap_or(0);
    let rounds = if said(1) % 8 == 0 { MOST_RECORDS / read.len().max(1) } else { 1 };
    // From nanoseconds to years from round to round.
    let apart = Duration::from_nanos(1 << (said(2) % 58));
    let feed = || {
        let (mut summary, mut course) = (Summary::new(&[]), CourseBuilder::new(&[], 7));
        let (mut blocks, mut cut_blocks, mut web_seeds, mut number) = (0, 0, 0, 0);
        if let Some((start, _)) = trace.span() {
            course.begin_at(start);
        }
        for round in 0..rounds as u32 {
            for dissected in &read {
                let mut dissected = dissected.clone();
                if let Dissected::Record(record) = &mut dissected {
                    number += 1;
                    record.number = number;
                    record.at = record.at + apart.saturating_mul(round);
                    blocks += u64::from(matches!(record.peer_message(), Some(Message::Piece { .. })));
                    cut_blocks += u64::from(record.cut_block().is_some());
                    web_seeds += u64::from(matches!(record.body, Body::WebSeed(_)));
                }
                summary.add(&dissected);
                course.add(&dissected);
            }
        }
        (course.finish(&trace, &summary), summary, Seen { blocks, cut_blocks, web_seeds })
    };
    let (course, summary, seen) = feed();
    sums_are_of_everything(&course, &summary, &seen);
    columns_fit(&course);
    let json = serde_json::to_string(&course).expect("it can be written");
    assert!(json.len() < MOST_BYTES, "{} bytes", json.len());
    let parsed: serde_json::Value = serde_json::from_str(&json).expect("it can be read back");
    assert_eq!(parsed.to_string(), json);
    assert!(feed().0 == course, "two runs differ");
});

/// What was given to the aggregate.
struct Seen {
    blocks: u64,
    /// Blocks of which the capture has the head and not all the content.
    cut_blocks: u64,
    web_seeds: u64,
}

fn sums_are_of_everything(course: &Course, summary: &Summary, seen: &Seen) {
    let (counts, totals) = (&course.counts, course.totals);
    assert_eq!(totals.messages, summary.records);
    let kinds = [&counts.blocks, &counts.requests, &counts.haves, &counts.other_peer, &counts.trackers_dht];
    assert_eq!(kinds.iter().flat_map(|kind| kind.iter()).sum::<u64>(), summary.records);
    assert!(kinds.iter().all(|kind| kind.len() == counts.blocks.len() && kind.len() <= 1_200));
    assert_eq!(counts.blocks.iter().sum::<u64>(), seen.blocks);

    for (ends, all) in [(&course.bytes.received, totals.received), (&course.bytes.sent, totals.sent)] {
        assert_eq!(ends.iter().flat_map(|end| &end.bytes).sum::<u64>(), all);
        for end in ends {
            assert!(end.bin.len() == end.bytes.len() && end.bin.is_sorted_by(|one, next| one < next));
        }
    }
    let shown = match &course.blocks {
        Blocks::Each(each) => each.t.len() as u64,
        Blocks::Grid(grid) => grid.cell_count.iter().map(|count| u64::from(*count)).sum(),
    };
    let shown = shown + course.pieces.as_ref().map_or(0, |pieces| pieces.other_blocks);
    // Cut or whole, their receiver got them.
    let blocks = seen.blocks + seen.cut_blocks;
    assert!(if seen.web_seeds == 0 { shown == blocks } else { shown >= blocks }, "{shown} of {blocks}");
    assert!(totals.again_after_wrong_hash <= totals.again && totals.again <= totals.received + totals.sent);

    let hosts: u64 = course.hosts.iter().map(|host| host.messages).sum();
    assert_eq!(hosts + course.other_hosts.map_or(0, |other| other.messages), 2 * summary.records);
    for asker in &course.askers {
        let kept = (asker.asked.t.len() + asker.answered.t.len()) as u64;
        assert_eq!(kept + asker.left_out, asker.asked_count + asker.answered_count);
    }
    let lanes: u64 = course.lanes.iter().map(|lane| lane.messages).sum();
    let others: u64 = course.other_lanes.iter().flat_map(|other| &other.messages).sum();
    assert!(lanes + others <= summary.records);
}

fn columns_fit(course: &Course) {
    let ends = course.ends.len() as i32;
    let is_end = |end: &i32| (-1..ends).contains(end);
    assert!(course.lanes.len() <= MOST_LANES && course.hosts.len() <= MOST_HOSTS);
    for lane in &course.lanes {
        assert!(is_end(&lane.end));
        rail_is_sound(&lane.may_ask);
        rail_is_sound(&lane.they_ask);
        match &lane.under_way {
            UnderWay::Exact { t, n } => assert!(t.len() == n.len() && t.is_sorted_by(|one, next| one < next)),
            UnderWay::Binned { max, last, .. } => {
                assert!(max.len() == last.len() && max.len() <= 1_200);
                assert!(max.iter().zip(last).all(|(max, last)| max >= last && *max <= lane.most_under_way));
            }
        }
    }
    match &course.blocks {
        Blocks::Each(each) => {
            let lengths =
                [each.n.len(), each.piece.len(), each.begin.len(), each.length.len(), each.end.len()];
            assert_eq!(lengths, [each.t.len(); 5]);
            assert!(each.flag.len() == each.t.len() && each.flag.iter().all(|flag| *flag < 4));
            assert!(each.end.iter().all(is_end));
        }
        Blocks::Grid(grid) => {
            assert!(grid.cell_bin.iter().all(|bin| *bin < grid.bins) && grid.bins <= 1_200);
            assert!(grid.cell_row.iter().all(|row| *row < grid.rows) && grid.rows <= 512);
            assert!(grid.cell_end.iter().all(is_end));
        }
    }
    if let Some(pieces) = &course.pieces {
        let cells = &pieces.cells;
        let lengths = [cells.end.len(), cells.state.len(), cells.once_wrong.len()];
        assert_eq!(lengths, [cells.first.len(); 3]);
        assert!(cells.first.len() <= 4_096 && cells.end.iter().all(is_end));
        assert!(pieces.checked.t.is_sorted());
    }
    let answers = match &course.latencies {
        Latencies::Each(each) => &each.answers,
        Latencies::Histogram(histogram) => {
            assert!(histogram.count.cell.iter().all(|cell| *cell < histogram.bins * histogram.rows));
            &histogram.slowest
        }
    };
    assert!(answers.end.len() == answers.t.len() && answers.end.iter().all(is_end));
}

fn rail_is_sound(rail: &Rail) {
    assert_eq!(rail.t.len(), rail.s.len());
    assert!(rail.t.is_sorted_by(|one, next| one < next), "{:?}", rail.t);
    assert!(rail.s.iter().all(|state| *state <= 4));
    assert!(rail.s.is_sorted_by(|one, next| one != next), "a change that changes nothing: {:?}", rail.s);
}
