//! Bharambe, Herley and Padmanabhan, "Analyzing and improving a BitTorrent network's performance mechanisms", INFOCOM 2006: all come
//! at once, and the bandwidth of the seed decides how well their links are used.
//!
//! The links are those of the leechers. The authors' simulator is public with the scripts around it (github.com/cjwu/bee at commit
//! 1f7c4327): `scripts/caputil.pl` passes over seeds, both those that came as seeds and leechers that became seeds, and so does
//! `scripts/caputil2.pl`, which divides all that is sent by all that could be. `cmu_scripts/MegaRun.pl` has the settings of the figures.

use super::{Case, Figure, Finding, Outcome};
use crate::scenario::Role;

pub(super) const FIGURE: Figure = Figure {
    name: "flash-crowd",
    title: "The seed's bandwidth decides how well a flash crowd uses its links",
    source: "Bharambe, Herley, Padmanabhan, INFOCOM 2006",
    cases,
    judge,
};

pub(super) const CLASSES: Figure = Figure {
    name: "classes",
    title: "Under tit for tat by rate, slow peers take more than they give, and fast peers give more",
    source: "Bharambe, Herley, Padmanabhan, INFOCOM 2006",
    cases: classes,
    judge: judge_classes,
};

/// The rates of the seed in kilobits a second, and the peers of the runs with the fast seed.
const SEEDS: [u32; 5] = [200, 400, 800, 1000, 6000];
const PEERS: [u32; 3] = [50, 100, 200];

fn scenario(seed: u32, peers: u32) -> String {
    // 100 MB in 400 pieces, links of 1,500 and 400 kbit/s, all within 10 s, gone when done: the paper's setting.
    format!(
        "[torrent]
        size = '100 MiB'
        piece = '256 KiB'
        [[peers]]
        allowed_fast = 0
        role = 'seed'
        up = '{seed} kbit/s'
        [[peers]]
        allowed_fast = 0
        count = {}
        up = '400 kbit/s'
        down = '1500 kbit/s'
        arrive = 'uniform 10 s'
        leave = 'when done'",
        peers - 1
    )
}

fn cases() -> Vec<Case> {
    let by_seed =
        SEEDS.map(|seed| Case::new(format!("50 peers, seed {seed} kbit/s"), scenario(seed, PEERS[0])));
    let by_peers = PEERS[1..]
        .iter()
        .map(|&peers| Case::new(format!("{peers} peers, seed 6000 kbit/s"), scenario(6000, peers)));
    by_seed.into_iter().chain(by_peers).collect()
}

fn judge(outcomes: &[Outcome]) -> Vec<Finding> {
    let used: Vec<f64> = outcomes.iter().map(use_by_leechers).collect();
    let (by_seed, more) = used.split_at(SEEDS.len());
    // The seed's own link is a fifth of all in a swarm of 50 with the fastest.
    let of_all = |outcome: &Outcome| outcome.summary.used.unwrap_or(0.0);
    let all: Vec<f64> = outcomes.iter().take(SEEDS.len()).map(of_all).collect();
    let fast = by_seed[SEEDS.len() - 1];
    let list =
        |shares: &[f64]| shares.iter().map(|share| format!("{share:.2}")).collect::<Vec<_>>().join(" ");
    let knee = SEEDS.iter().zip(by_seed).find(|(_, used)| **used >= 0.9 * fast).map(|(seed, _)| *seed);
    let flat = more.iter().all(|used| (used - fast).abs() <= 0.05);
    vec![
        Finding::new(
            "with the seed of 6,000 kbit/s more than 90 % of the leechers' links up are used",
            format!("{fast:.2}"),
            fast > 0.9,
        ),
        Finding::new(
            "with the seed of 200 kbit/s about 40 % are used (30 to 50 %)",
            format!("{:.2}", by_seed[0]),
            (0.3..0.5).contains(&by_seed[0]),
        ),
        Finding::new(
            "use does not fall as the seed grows faster",
            format!("{}; with the seed's own link {}", list(by_seed), list(&all)),
            by_seed.windows(2).all(|pair| pair[1] >= pair[0] - 0.02),
        ),
        Finding::new(
            "90 % of the use with the fast seed is reached from 400 to 1,000 kbit/s on",
            knee.map_or("never".to_owned(), |knee| format!("at {knee} kbit/s")),
            knee.is_some_and(|knee| (401..=1000).contains(&knee)),
        ),
        Finding::new(
            "use is flat in the number of peers, within 0.05 of that of 50",
            format!("{} with {PEERS:?} peers", list(&[&[fast][..], more].concat())),
            flat,
        ),
    ]
}

/// The share of what could have left on the links up of the leechers.
fn use_by_leechers(outcome: &Outcome) -> f64 {
    let leechers = outcome.summary.groups.iter().find(|group| group.role == Role::Leecher);
    leechers.and_then(|group| group.used).unwrap_or(0.0)
}

fn classes() -> Vec<Case> {
    let text = "[torrent]
        size = '50 MiB'
        piece = '256 KiB'
        [[peers]]
        allowed_fast = 0
        role = 'seed'
        up = '800 kbit/s'
        [[peers]]
        allowed_fast = 0
        name = 'fast'
        count = 17
        up = '3000 kbit/s'
        down = '6000 kbit/s'
        arrive = 'uniform 10 s'
        leave = 'when done'
        [[peers]]
        allowed_fast = 0
        name = 'middle'
        count = 17
        up = '400 kbit/s'
        down = '1500 kbit/s'
        arrive = 'uniform 10 s'
        leave = 'when done'
        [[peers]]
        allowed_fast = 0
        name = 'slow'
        count = 17
        up = '128 kbit/s'
        down = '784 kbit/s'
        arrive = 'uniform 10 s'
        leave = 'when done'";
    vec![Case::new("three classes of 17", text)]
}

fn judge_classes(outcomes: &[Outcome]) -> Vec<Finding> {
    let groups = &outcomes[0].summary.groups;
    let ratio = |name: &str| {
        groups.iter().find(|group| group.name == name).and_then(|group| group.ratio()).unwrap_or(f64::NAN)
    };
    let (fast, middle, slow) = (ratio("fast"), ratio("middle"), ratio("slow"));
    vec![
        Finding::new("slow peers give less than they take", format!("ratio {slow:.2}"), slow < 1.0),
        Finding::new("fast peers give more than they take", format!("ratio {fast:.2}"), fast > 1.0),
        Finding::new(
            "the faster the link up, the more is given for what is taken",
            format!("{slow:.2}, {middle:.2}, {fast:.2}"),
            slow < middle && middle < fast,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_of_the_seed_does_not_count() {
        let text = "torrent = { size = '1 MiB', piece = '64 KiB' }
            [[peers]]
            role = 'seed'
            up = '10 MB/s'
            [[peers]]
            count = 3
            up = '50 kB/s'
            down = '100 kB/s'
            leave = 'when done'";
        let outcome = Case::new("idle seed", text).run(|| true).expect("a run");
        let (all, leechers) = (outcome.summary.used.expect("links"), use_by_leechers(&outcome));
        let sent: u64 = outcome.run.hosts.iter().skip(1).map(|host| host.uploaded).sum();
        let could = 50_000.0 * outcome.run.hosts.iter().skip(1).filter_map(|host| host.took()).sum::<f64>();
        assert!(
            all < 0.1 && (leechers - sent as f64 / could).abs() < 0.05,
            "{all} {leechers} {sent} {could}"
        );
    }
}
