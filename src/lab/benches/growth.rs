//! How the cost of a simulated swarm grows: time, time a block, and memory, by peers, size and connections.
//!
//! `cargo bench -p bittrace-lab` prints a row for each swarm of the table that takes less than a minute; with `-- all`, every
//! row; with `-- 100 16 50`, the swarm of 100 peers, 16 MiB and 50 connections each, and with `-- 100 16 50 60` how far that comes
//! in a minute; with `kinds` after these, what the run did by kind. Each row has a process of its own, so that the peak of its
//! memory is its own. The time is that of the processor, where the system tells it (Linux): the time on a clock grows with
//! whatever else a machine does.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::print_stdout, missing_docs)]

use std::process::Command;
use std::time::{Duration, Instant};

use bittrace_lab::{Run, Scenario, Summary, World, WorldOptions};

/// Peers, MiB, connections each; whether the row is left out unless all are wanted.
const ROWS: &[(u32, u32, u32, bool)] = &[
    (10, 16, 10, false),
    (50, 100, 20, false),
    (50, 100, 50, false),
    (100, 16, 50, false),
    (200, 16, 20, false),
    (200, 16, 50, false),
    (1000, 4, 50, false),
    (1000, 100, 50, true),
    (10_000, 16, 50, true),
];

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let numbers: Vec<u32> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    if let [peers, size, connections, ref rest @ ..] = numbers[..] {
        let most = rest.first().map(|&seconds| Duration::from_secs(seconds.into()));
        row(peers, size, connections, most, arguments.iter().any(|argument| argument == "kinds"));
        return;
    }
    println!(
        "| peers | file | connections each | time | pretend | us a block | events a second | peak memory | a host | dials a host | wasted |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let all = arguments.iter().any(|argument| argument == "all");
    let own = std::env::current_exe().expect("this program has a path");
    for (peers, size, connections, _) in ROWS.iter().filter(|row| all || !row.3) {
        let arguments = [peers, size, connections].map(ToString::to_string);
        let ended = Command::new(&own).args(arguments).status().expect("this program starts again");
        assert!(ended.success(), "{peers} peers");
    }
}

/// Runs a swarm, for so long at the most, and prints its row; with `kinds`, what it did by kind as well.
fn row(peers: u32, size: u32, connections: u32, most: Option<Duration>, kinds: bool) {
    let text = format!(
        "[torrent]
        size = '{size} MiB'
        piece = '256 KiB'
        [[peers]]
        role = 'seed'
        up = '750 kB/s'
        connections = {connections}
        [[peers]]
        count = {}
        up = '50 kB/s'
        down = '187.5 kB/s'
        connections = {connections}
        arrive = 'uniform 10 s'",
        peers - 1
    );
    let scenario = Scenario::parse(&text).expect("a scenario");
    let began = Instant::now();
    let world = World::new(&scenario, WorldOptions::default()).expect("a world");
    let run = world.run_while(|| most.is_none_or(|most| began.elapsed() < most)).expect("a run");
    let time = processor_seconds().unwrap_or_else(|| began.elapsed().as_secs_f64());
    let done = run.hosts.iter().filter(|host| host.done_at.is_some()).count() as u32;
    assert!(done == peers - 1 || most.is_some(), "all are done");
    let blocks = run.hosts.iter().map(|host| host.downloaded).sum::<u64>() as f64 / 16_384.0;
    let all = f64::from(peers - 1) * f64::from(size) * 64.0;
    let peak = peak_kib();
    let wasted: u64 = run.hosts.iter().map(|host| host.wasted).sum();
    let part = if done == peers - 1 { String::new() } else { format!(" for {:.0} %", blocks * 100.0 / all) };
    println!(
        "| {peers} | {size} MiB | {connections} | {time:.1} s{part} | {:.0} s | {:.1} | {:.0} | {} MB | {} KB | {} | {:.1} % |",
        run.seconds,
        time * 1e6 / blocks,
        run.events as f64 / time,
        peak / 1000,
        peak / u64::from(peers),
        run.dials.iter().sum::<u64>() / u64::from(peers),
        wasted as f64 * 100.0 / (blocks * 16_384.0),
    );
    if kinds {
        print_kinds(&scenario, &run);
    }
}

/// Prints what a run did by kind.
fn print_kinds(scenario: &Scenario, run: &Run) {
    let list = |all: &mut dyn Iterator<Item = String>| all.collect::<Vec<_>>().join(", ");
    let counted = |(kind, count): (&'static str, u64)| format!("{kind} {count}");
    println!("events: {}", list(&mut run.events_by_kind.iter().copied().map(counted)));
    println!("messages: {}", list(&mut run.messages.kinds().map(|(kind, count, _)| counted((kind, count)))));
    let ends = list(&mut run.ends.iter().map(|(&reason, &count)| counted((reason, count))));
    println!("dials {}, connections {}; ends: {ends}", run.dials.iter().sum::<u64>(), run.connections);
    let summary = Summary::of(scenario, run);
    let used = list(&mut summary.used_by_tenth.iter().map(|used| format!("{used:.2}")));
    println!("links up used in each tenth: {used}; stalls {}", summary.stalls);
    if let Some(took) = summary.groups.iter().find_map(|group| group.took) {
        println!("done: first {:.0} s, median {:.0} s, last {:.0} s", took.least, took.median, took.most);
    }
}

/// How long this process has had a processor, where the system tells it.
fn processor_seconds() -> Option<f64> {
    let times = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanoseconds: u64 = times.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds as f64 / 1e9)
}

/// The peak of the memory of this process, where the system tells it (Linux).
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok()).unwrap_or(0)
}
