use std::io::Write;
use std::sync::{Arc, Mutex};

use super::*;
use crate::testing::{self, scenario, world};

/// A file in memory that the world writes to.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("one thread").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn run(text: &str, options: WorldOptions<'_>) -> Run {
    testing::run(&scenario(text), options)
}

fn recorded(text: &str, seed: Option<u64>) -> (Run, Vec<u8>) {
    let file = Shared::default();
    let options = WorldOptions { seed, record: Some(Box::new(file.clone())), ..WorldOptions::default() };
    let run = run(text, options);
    let bytes = file.0.lock().expect("one thread").clone();
    (run, bytes)
}

const SMALL: &str = "
    torrent = { size = '2 MiB', piece = '128 KiB' }
    [[peers]]
    role = 'seed'
    up = '100 kB/s'
    [[peers]]
    count = 5
    up = '50 kB/s'
    down = '200 kB/s'
    rtt = '20..120 ms'
    arrive = 'uniform 5 s'
";

#[test]
fn the_same_scenario_and_seed_give_the_same_capture() {
    let (first, one) = recorded(SMALL, None);
    let (second, other) = recorded(SMALL, None);
    assert!(
        first.hosts.iter().all(|host| host.role == crate::scenario::Role::Seed || host.done_at.is_some())
    );
    assert!(one == other && !one.is_empty());
    assert_eq!(first.events, second.events);
    let (_, third) = recorded(SMALL, Some(2));
    assert!(one != third);
}

#[test]
fn what_happened_is_counted_by_kind_and_each_end_of_a_connection_by_its_reason() {
    let run = run(SMALL, WorldOptions::default());
    let of =
        |kind: &str| run.events_by_kind.iter().find(|(name, _)| *name == kind).map_or(0, |(_, count)| *count);
    assert_eq!(run.events_by_kind.iter().map(|(_, count)| count).sum::<u64>(), run.events);
    assert_eq!(of("join"), 6);
    // Each leecher knows the seed, and no two that are done keep their connection.
    assert!((5..=15).contains(&run.connections), "{}", run.connections);
    let ended = |reason| run.ends.get(reason).copied().unwrap_or(0);
    let dials: u64 = run.dials.iter().sum();
    assert!(dials >= run.connections && ended("both_complete") >= 5, "{:?}", run.ends);
    assert!(run.ends.values().sum::<u64>() <= 2 * dials, "{:?} of {dials} dials", run.ends);
}

#[test]
fn another_host_changes_nobody_elses_draws() {
    let more = format!("{SMALL}\n[[peers]]\nname = 'late'\ncount = 3\narrive = 'uniform 9 s'\n");
    let (few, many) = (run(SMALL, WorldOptions::default()), run(&more, WorldOptions::default()));
    for (one, other) in few.hosts.iter().zip(&many.hosts) {
        assert_eq!((&one.name, one.arrived_at, one.rtt), (&other.name, other.arrived_at, other.rtt));
    }
}

#[test]
fn no_swarm_is_faster_than_its_bound_and_all_bytes_come_from_somebody() {
    let scenario = scenario(SMALL);
    let run = run(SMALL, WorldOptions::default());
    let bound = crate::lower_bound(&scenario).expect("a bound");
    let last = run.hosts.iter().filter_map(|host| host.done_at).fold(0.0, f64::max);
    assert!(last > bound && last < 2.0 * bound, "{last} of {bound}");
    let sum = |of: fn(&HostReport) -> u64| run.hosts.iter().map(of).sum::<u64>();
    assert_eq!(sum(|host| host.downloaded), 5 * (2 << 20));
    assert!(sum(|host| host.uploaded) >= sum(|host| host.downloaded));
    // No link carries more than it can.
    for host in &run.hosts {
        let rate = scenario.peers[host.group].up.0;
        assert!(host.sent as f64 <= rate * run.seconds, "{} sent {}", host.name, host.sent);
    }
}

#[test]
fn a_second_cut_leaves_the_first_as_it_is() {
    let text = "
        [[peers]]
        role = 'seed'
        [[peers]]
        name = 'one'
        [[peers]]
        name = 'two'
        [[events]]
        at = '1 s'
        do = 'partition seed one'
        [[events]]
        at = '2 s'
        do = 'partition one two'
        [[events]]
        at = '3 s'
        do = 'heal'";
    let mut world = world(&scenario(text));
    let cuts =
        |world: &World<'_>| [(1, 2), (2, 3), (1, 3)].map(|(one, other)| world.script.parts(one, other));
    world.act(0).expect("an event");
    assert_eq!(cuts(&world), [true, false, false]);
    world.act(1).expect("an event");
    assert_eq!(cuts(&world), [true, true, false]);
    world.act(2).expect("an event");
    assert_eq!(cuts(&world), [false, false, false]);
}

#[test]
fn an_end_that_waits_for_its_window_is_told_once() {
    // Far apart on fast links: the window is what holds bytes back.
    let text = "
        torrent = { size = '8 MiB', piece = '256 KiB' }
        [[peers]]
        role = 'seed'
        up = '20 MB/s'
        rtt = '300 ms'
        [[peers]]
        up = '1 MB/s'
        down = '5 MB/s'
        rtt = '300 ms'";
    let mut world = world(&scenario(text));
    let mut most = 0;
    while !world.over && world.step().expect("a step") {
        let waiting = world.due.iter().filter(|due| matches!(due.0.what, What::Known(_))).count();
        most = most.max(waiting);
    }
    // One end of the one connection between them, and one of each connection to the tracker.
    assert!((1..=2).contains(&most), "{most}");
}

#[test]
fn content_is_cut_by_what_it_is_and_not_by_its_length() {
    // The last block has 100 bytes.
    let short = "torrent = { size = 16484, piece = '16 KiB' }\n[[peers]]\nrole = 'seed'\n[[peers]]\n";
    // A seed that would speak uTP as well, and is called over TCP.
    let called = short.replace("'seed'", "'seed'\ntransport = 'both'");
    for text in [short, &called] {
        let file = Shared::default();
        let record: Option<Box<dyn Write>> = Some(Box::new(file.clone()));
        let run = run(text, WorldOptions { record, snap: Snap::Headers, ..WorldOptions::default() });
        let bytes = file.0.lock().expect("one thread").clone();
        let content: Vec<u8> = (1..4_u64).flat_map(u64::to_be_bytes).collect();
        assert!(
            !bytes.windows(content.len()).any(|window| window == content),
            "the last block is in the capture: {text}"
        );
        // Each byte is counted once.
        assert_eq!((run.messages.content, run.hosts[0].uploaded), (16_484, 16_484), "{text}");
    }
}

/// The seed is called, and says its first words after it knows who called.
#[test]
fn for_how_long_a_host_that_is_called_over_utp_lets_others_have_blocks_is_counted() {
    let text = "
        torrent = { size = '1 MiB', piece = '64 KiB' }
        [[peers]]
        role = 'seed'
        transport = 'utp'
        [[peers]]
        reachable = false
        transport = 'utp'";
    let run = run(text, WorldOptions::default());
    let done = run.hosts[1].done_at.expect("it has the file");
    let unchoked = run.unchoked[0][1];
    assert!(unchoked > 0.8 * done && unchoked <= done, "{unchoked} s of {done} s");
}

/// Each of two leechers calls or is called, and is interested in the other: both are counted.
#[test]
fn the_interest_of_both_ends_over_utp_is_counted() {
    let text = "
        torrent = { size = '2 MiB', piece = '64 KiB' }
        [[peers]]
        role = 'seed'
        up = '30 kB/s'
        transport = 'utp'
        [[peers]]
        count = 2
        transport = 'utp'";
    let run = run(text, WorldOptions::default());
    assert_eq!(run.interest.iter().sum::<u64>(), 2, "{:?}", run.interest);
}

/// A host that nobody reaches hears what is called out in the local network, and is not reached for having called out there.
#[test]
fn a_call_in_the_local_network_passes_no_router() {
    let swarm = |seed: &str, leecher: &str, transport: &str| {
        let text = format!(
            "torrent = {{ size = '1 MiB', piece = '64 KiB' }}
            [[peers]]
            role = 'seed'
            arrive = 'at {seed}'
            discover = ['lsd']
            transport = '{transport}'
            [[peers]]
            arrive = 'at {leecher}'
            reachable = false
            discover = ['lsd']
            transport = '{transport}'
            [stop]
            limit = '1000 s'"
        );
        run(&text, WorldOptions::default()).hosts[1].done_at
    };
    for transport in ["tcp", "utp"] {
        // The seed calls out when it comes.
        let done = swarm("200 s", "0 s", transport);
        assert!(done.is_some_and(|done| (200.0..250.0).contains(&done)), "{transport}: {done:?}");
        // It calls out again when it has heard the leecher, a minute at the least after it did before.
        let done = swarm("0 s", "10 s", transport);
        assert!(done.is_some_and(|done| (60.0..350.0).contains(&done)), "{transport}: {done:?}");
    }
}

#[test]
fn a_seed_leaves_when_its_time_is_over() {
    let text = "
        torrent = { size = '4 MiB', piece = '256 KiB' }
        [[peers]]
        role = 'seed'
        up = '10 kB/s'
        leave = 'exp 30 s'
        [[peers]]
        count = 2
        [stop]
        when = '600 s'";
    let run = run(text, WorldOptions::default());
    let left = run.hosts[0].left_at.expect("the seed leaves");
    assert!(left > 0.0 && left < 300.0, "{left}");
}

/// Two behind routers are connected by the seed (BEP 55): what each has, the other gets without the seed.
#[test]
fn hosts_that_nobody_reaches_give_to_each_other_by_holepunch() {
    let text = "
        torrent = { size = '2 MiB', piece = '64 KiB' }
        [[peers]]
        role = 'seed'
        up = '40 kB/s'
        transport = 'utp'
        [[peers]]
        count = 3
        up = '40 kB/s'
        reachable = false
        transport = 'utp'";
    let given = |text: &str| {
        let run = run(text, WorldOptions::default());
        assert!(run.hosts[1..].iter().all(|host| host.done_at.is_some()), "{:?}", run.hosts);
        run.hosts[1..].iter().map(|host| host.uploaded).sum::<u64>()
    };
    assert!(given(text) > 2 << 20, "{}", given(text));
    // Over TCP nobody gets to them, and the seed gives all.
    assert_eq!(given(&text.replace("'utp'", "'tcp'")), 0);
}

/// uTP sends again what is lost, so that content arrives whole and once.
#[test]
fn what_a_network_loses_doubles_and_reorders_arrives_over_utp_nonetheless() {
    let text = "
        torrent = { size = '1 MiB', piece = '64 KiB' }
        link = { loss = 0.05, reorder = 0.1, duplicate = 0.05 }
        [[peers]]
        role = 'seed'
        up = '100 kB/s'
        transport = 'utp'
        [[peers]]
        count = 2
        up = '100 kB/s'
        transport = 'utp'";
    let run = run(text, WorldOptions::default());
    for host in &run.hosts[1..] {
        assert!(host.done_at.is_some() && host.hash_failures == 0, "{host:?}");
        assert_eq!(host.downloaded, 1 << 20, "{host:?}");
    }
    let group = |number: usize| run.datagrams[number];
    assert!(group(0) > 0 && group(1) > 2 * (1 << 20) / 1500, "{:?}", run.datagrams);
    // What is said is counted as over TCP.
    assert!(run.messages.content >= 2 << 20, "{:?}", run.messages);
    assert!(run.interest.iter().sum::<u64>() > 0 || run.seconds < 10.0);
}

/// With version 1 a piece of several peers fails as a whole; with version 2 the leaves of its tree name who sent what is wrong.
#[test]
fn swarms_share_torrents_of_each_version_and_ban_who_lies() {
    for kind in ["v1", "v2", "hybrid"] {
        let text = format!(
            "torrent = {{ size = '2 MB', piece = '64 KiB', kind = '{kind}' }}
            [[peers]]
            role = 'seed'
            up = '100 kB/s'
            [[peers]]
            count = 4
            [[peers]]
            name = 'liar'
            role = 'seed'
            behaviour = 'liar'"
        );
        let run = run(&text, WorldOptions::default());
        for host in run.hosts.iter().filter(|host| host.role == crate::scenario::Role::Leecher) {
            assert!(host.done_at.is_some() && host.downloaded >= 2_000_000, "{kind}: {host:?}");
        }
        assert!(run.bans[2] > 0 && run.bans[0] == 0, "{kind}: {:?}", run.bans);
    }
}
