//! How the cost of a simulated swarm grows: time, time a block, and memory, by peers, size and connections.
//!
//! `cargo bench -p bittrace-lab` prints a row for each swarm of the table that takes less than a minute; with `-- all`, every
//! row; with `-- 100 16 50`, the swarm of 100 peers, 16 MiB and 50 connections each. Each row has a process of its own, so that
//! the peak of its memory is its own.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::print_stdout, missing_docs)]

use std::process::Command;
use std::time::Instant;

use bittrace_lab::{Scenario, World, WorldOptions};

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
    if let [peers, size, connections] = numbers[..] {
        row(peers, size, connections);
        return;
    }
    println!(
        "| peers | file | connections each | wall | pretend | us a block | events a second | peak memory | a host |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let all = arguments.iter().any(|argument| argument == "all");
    let own = std::env::current_exe().expect("this program has a path");
    for (peers, size, connections, _) in ROWS.iter().filter(|row| all || !row.3) {
        let arguments = [peers, size, connections].map(ToString::to_string);
        let ended = Command::new(&own).args(arguments).status().expect("this program starts again");
        assert!(ended.success(), "{peers} peers");
    }
}

fn row(peers: u32, size: u32, connections: u32) {
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
    let run = World::new(&scenario, WorldOptions::default()).expect("a world").run().expect("a run");
    let wall = began.elapsed().as_secs_f64();
    let done = run.hosts.iter().filter(|host| host.done_at.is_some()).count() as u32;
    assert_eq!(done, peers - 1, "all are done");
    let blocks = f64::from(peers - 1) * f64::from(size) * 64.0;
    let peak = peak_kib();
    println!(
        "| {peers} | {size} MiB | {connections} | {wall:.1} s | {:.0} s | {:.1} | {:.0} | {} MB | {} KB |",
        run.seconds,
        wall * 1e6 / blocks,
        run.events as f64 / wall,
        peak / 1000,
        peak / u64::from(peers),
    );
}

/// The peak of the memory of this process, where the system tells it (Linux).
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok()).unwrap_or(0)
}
