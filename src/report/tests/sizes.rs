//! The aggregate of captures of a thousand to a million messages: exact sums, every mark of a wrong piece, and a size and
//! memory that do not grow with the messages.

use std::io::Cursor;

use bittrace_protocol::wire::Message;
use bittrace_report::{Blocks, Course, CourseBuilder, Latencies, MOST_CHECKS, MOST_LANES};
use bittrace_testing::swarm::Swarm;
use bittrace_trace::{Dissected, Summary, Trace, TraceOptions, rules};

/// A swarm's aggregate, and the rows of pieces (first piece of each) that a wrong attempt touched.
fn read(swarm: &mut Swarm) -> (Course, Vec<u32>) {
    let torrents = vec![swarm.torrent.clone()];
    let capture = Cursor::new(std::mem::take(&mut swarm.capture));
    let options = TraceOptions { torrents: torrents.clone(), ..TraceOptions::default() };
    let mut trace = Trace::from_reader("swarm".to_owned(), capture, options).expect("a capture");
    let (mut summary, mut course) = (Summary::new(&torrents), CourseBuilder::new(&torrents, 0));
    let mut wrong = Vec::new();
    while trace.advance().expect("it can be read") {
        let (Some(dissected), Some((start, _))) = (trace.current(), trace.span()) else { continue };
        course.begin_at(start);
        summary.add(dissected);
        course.add(dissected);
        if let Dissected::Record(record) = dissected
            && let Some(Message::Piece { index, .. }) = record.peer_message()
            && record.notes.iter().filter_map(rules::verdict_on_piece).any(|(_, is_right)| !is_right)
        {
            wrong.push(index.0);
        }
    }
    (course.finish(&trace, &summary), wrong)
}

/// What holds whatever the size.
fn keeps_the_laws(swarm: &Swarm, course: &Course, wrong: &[u32]) {
    let totals = course.totals;
    assert_eq!(totals.messages, swarm.messages);
    assert_eq!((totals.connections, totals.peers), (swarm.connections, 24));
    let counts = &course.counts;
    let sums = [&counts.blocks, &counts.requests, &counts.haves].map(|column| column.iter().sum::<u64>());
    assert_eq!(sums, [swarm.blocks, swarm.requests, swarm.haves]);
    let others: u64 = counts.other_peer.iter().sum();
    assert_eq!(sums.iter().sum::<u64>() + others, swarm.messages);

    let binned: u64 = course.bytes.received.iter().flat_map(|end| &end.bytes).sum();
    assert_eq!((binned, totals.received, totals.sent), (64 * swarm.blocks, 64 * swarm.blocks, 0));
    let after_wrong_hash = 256 * swarm.wrong;
    assert_eq!(totals.again_after_wrong_hash, after_wrong_hash);
    assert_eq!(totals.again, after_wrong_hash + 64 * swarm.repeated);
    assert_eq!(course.bytes.received.len(), 7, "six far ends with a colour, and the others");

    let pieces = course.pieces.as_ref().expect("a torrent");
    let checked = &pieces.checked;
    assert_eq!((checked.right, checked.wrong), (swarm.right, swarm.wrong));
    assert_eq!((totals.verified, totals.pieces), (swarm.right, swarm.right));
    let marks = checked.ok.iter().filter(|ok| **ok == 0).count();
    assert!(marks == wrong.len() || marks > 1_000 && marks <= MOST_CHECKS);
    assert!(pieces.cells.state.iter().all(|state| *state == 3));
    assert_eq!(pieces.cells.once_wrong.len() as u32, pieces.count.div_ceil(pieces.per_row));
    for piece in wrong {
        assert_eq!(pieces.cells.once_wrong[(piece / pieces.per_row) as usize], 1, "{piece}");
    }

    let shown: u64 = match &course.blocks {
        Blocks::Each(blocks) => {
            let flags = [1, 2, 3].map(|flag| blocks.flag.iter().filter(|own| **own == flag).count());
            assert_eq!(flags, [4 * wrong.len(), swarm.repeated as usize, 4 * wrong.len()]);
            blocks.t.len() as u64
        }
        Blocks::Grid(grid) => {
            assert!(grid.bins <= 1_200 && grid.rows <= 512 && grid.cell_count.len() <= 100_000);
            assert!(u64::from(grid.rows) * u64::from(grid.per_row) >= swarm.right);
            let cells = grid.cell_row.iter().zip(&grid.cell_wrong);
            let rows: Vec<u32> = cells.filter(|(_, wrong)| **wrong == 1).map(|(row, _)| *row).collect();
            for piece in wrong {
                assert!(
                    rows.contains(&(piece / grid.per_row)),
                    "the wrong blocks of piece {piece} keep a mark"
                );
            }
            grid.cell_count.iter().map(|count| u64::from(*count)).sum()
        }
    };
    assert_eq!(shown, swarm.blocks);
    let answers: u64 = match &course.latencies {
        Latencies::Each(latencies) => latencies.answers.t.len() as u64,
        Latencies::Histogram(histogram) => histogram.count.count.iter().map(|count| u64::from(*count)).sum(),
    };
    // Handshakes are answered too.
    assert_eq!(answers, swarm.blocks + swarm.connections);

    assert_eq!(course.lanes.len(), MOST_LANES.min(swarm.connections as usize));
    let lanes: u64 = course.lanes.iter().map(|lane| lane.messages).sum();
    let other = course.other_lanes.as_ref().expect("more connections than lanes");
    assert_eq!(lanes + other.messages.iter().sum::<u64>(), swarm.messages);
    assert_eq!(other.connections + MOST_LANES as u64, swarm.connections);
}

/// The bytes of the aggregate as JSON.
fn size(course: &Course) -> usize {
    serde_json::to_string(course).expect("it can be written").len()
}

#[test]
fn a_thousand_messages_are_exact() {
    let mut swarm = Swarm::of(1_000);
    let (course, wrong) = read(&mut swarm);
    keeps_the_laws(&swarm, &course, &wrong);
    assert!(matches!((&course.blocks, &course.latencies), (Blocks::Each(_), Latencies::Each(_))));
    assert!(size(&course) < 120_000, "{}", size(&course));
}

#[test]
fn a_hundred_thousand_messages_are_a_grid_and_a_histogram() {
    let mut swarm = Swarm::of(100_000);
    let (course, wrong) = read(&mut swarm);
    keeps_the_laws(&swarm, &course, &wrong);
    assert!(matches!((&course.blocks, &course.latencies), (Blocks::Grid(_), Latencies::Histogram(_))));
    assert!(size(&course) < 2_500_000, "{}", size(&course));
}

#[test]
#[ignore = "it takes 250 MB, mostly for the capture; cargo nextest run -p bittrace-report --run-ignored all"]
fn a_million_messages_take_no_more_than_a_hundred_thousand() {
    let mut swarm = Swarm::of(1_000_000);
    let before = peak_memory();
    let capture = swarm.capture.len();
    let begun = std::time::Instant::now();
    let (course, wrong) = read(&mut swarm);
    println!(
        "{} messages in {capture} bytes: {:?}, {} bytes",
        swarm.messages,
        begun.elapsed(),
        size(&course)
    );
    keeps_the_laws(&swarm, &course, &wrong);
    assert!(size(&course) < 2_500_000, "{}", size(&course));
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        println!("{before} kB before, {after} kB after");
        assert!(after - before < 150_000, "{before} kB, then {after} kB");
    }
}

/// The most memory that the process had, in kB, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
