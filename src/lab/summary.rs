//! What a run came to, in numbers, beside what theory says.

use std::collections::BTreeMap;

use crate::scenario::{Role, Scenario};
use crate::theory::{Fluid, fluid, lower_bound};
use crate::{HostReport, Run};

mod statistics;
mod verdict;

pub use statistics::Quantiles;
pub use verdict::Verdict;

use statistics::{jain, mean, spearman};

/// The numbers of a run.
#[derive(Debug, Clone)]
pub struct Summary {
    /// How long the run lasted, in seconds of the pretend clock.
    pub seconds: f64,
    /// The least time in which all can have the file (Kumar and Ross 2006).
    pub bound: Option<f64>,
    /// When the last leecher had the file, in seconds since the start.
    pub last: Option<f64>,
    /// How many of the leechers that came have the file.
    pub done: Option<f64>,
    /// Bytes that left on all links up, of those that could have while their hosts were there.
    pub used: Option<f64>,
    /// The same in each tenth of the run.
    pub used_by_tenth: Vec<f64>,
    /// How many copies of the file the seeds gave.
    pub copies: f64,
    /// The same when others had each piece once.
    pub first_copy: Option<f64>,
    /// The correlation of ranks of link up and time to the file, over all leechers: -1 where faster links are done sooner.
    pub spearman: Option<f64>,
    /// The share of their time together in which a leecher was interested in another: the middle of all pairs.
    pub interest: Option<f64>,
    /// Bytes of messages that are not content, for each byte of content.
    pub overhead: f64,
    /// Bytes of blocks that came in vain, for each that was of use.
    pub wasted: f64,
    /// Pieces that failed their hash.
    pub hash_failures: u64,
    /// How often hosts that lacked pieces got nothing for ten seconds.
    pub stalls: u64,
    /// Leechers that were there, in the mean of the second half.
    pub leechers: f64,
    /// The same of hosts with all pieces.
    pub seeds: f64,
    /// How long the file took, in the mean, for hosts that came in the third quarter.
    pub steady: Option<f64>,
    /// What the fluid model says, where it applies.
    pub fluid: Option<Fluid>,
    /// The groups of the scenario, in their order.
    pub groups: Vec<GroupSummary>,
}

/// The numbers of a group of hosts.
#[derive(Debug, Clone)]
pub struct GroupSummary {
    /// Its name.
    pub name: String,
    /// What its hosts had when they came.
    pub role: Role,
    /// How many came.
    pub came: usize,
    /// How many had the file at the end and not at first.
    pub done: usize,
    /// How long the file took from the arrival of each host that has it.
    pub took: Option<Quantiles>,
    /// The most time from the arrival of a host to its first block; `None` where one that came got none.
    pub first_block: Option<f64>,
    /// How long each tenth of the pieces took, from the arrival of the hosts that have so many: the middle of them.
    pub tenths: Vec<f64>,
    /// Bytes of blocks that its hosts gave.
    pub uploaded: u64,
    /// Bytes of blocks that its hosts took.
    pub downloaded: u64,
    /// Bytes that left on its links up, of those that could have.
    pub used: Option<f64>,
    /// How equal its hosts were in bytes a second (Jain's index): 1 where all had the same.
    pub jain: Option<f64>,
    /// How many times its hosts were dialled.
    pub dials: u64,
    /// How many datagrams were sent to its hosts.
    pub datagrams: u64,
    /// How many times its hosts were banned for blocks of pieces that failed their hash.
    pub bans: u64,
}

impl GroupSummary {
    /// Bytes of blocks that its hosts gave for each that they took.
    pub fn ratio(&self) -> Option<f64> {
        (self.downloaded > 0).then(|| self.uploaded as f64 / self.downloaded as f64)
    }

    /// The share of its hosts that came and have the file.
    pub fn done_share(&self) -> Option<f64> {
        (self.came > 0 && self.role == Role::Leecher).then(|| self.done as f64 / self.came as f64)
    }

    fn of(scenario: &Scenario, run: &Run, number: usize) -> Self {
        let plan = &scenario.peers[number];
        let hosts = || run.hosts.iter().filter(move |host| host.group == number);
        let rates = hosts().filter_map(|host| Some(scenario.torrent.size.0 as f64 / host.took()?));
        Self {
            name: plan.name.clone(),
            role: plan.role,
            came: hosts().filter(|host| host.arrived_at.is_some()).count(),
            done: hosts().filter(|host| host.done_at.is_some()).count(),
            took: Quantiles::of(hosts().filter_map(HostReport::took)),
            first_block: first_block(hosts()),
            tenths: tenths(hosts),
            uploaded: hosts().map(|host| host.uploaded).sum(),
            downloaded: hosts().map(|host| host.downloaded).sum(),
            used: used(hosts()),
            jain: jain(rates),
            dials: run.dials[number],
            datagrams: run.datagrams[number],
            bans: run.bans[number],
        }
    }
}

impl Summary {
    /// The numbers of a run of this scenario.
    pub fn of(scenario: &Scenario, run: &Run) -> Self {
        let size = scenario.torrent.size.0 as f64;
        let groups: Vec<_> =
            (0..scenario.peers.len()).map(|number| GroupSummary::of(scenario, run, number)).collect();
        let leechers = || run.hosts.iter().filter(|host| host.role == Role::Leecher);
        let came = leechers().filter(|host| host.arrived_at.is_some()).count();
        let done = leechers().filter(|host| host.done_at.is_some()).count();
        let given = |role: Role| {
            run.hosts.iter().filter(|host| host.role == role).map(|host| host.uploaded).sum::<u64>() as f64
        };
        let downloaded = leechers().map(|host| host.downloaded).sum::<u64>().max(1) as f64;
        let up = |host: &HostReport| scenario.peers[host.group].up.0;
        let half = run.seconds / 2.0;
        let later = || run.samples.iter().filter(|sample| sample.at >= half);
        let third_quarter =
            |host: &&HostReport| host.arrived_at.is_some_and(|at| (half..half * 1.5).contains(&at));
        Self {
            seconds: run.seconds,
            bound: lower_bound(scenario),
            last: leechers().filter_map(|host| host.done_at).max_by(f64::total_cmp),
            done: (came > 0).then(|| done as f64 / came as f64),
            used: used(run.hosts.iter()),
            used_by_tenth: used_by_tenth(run),
            copies: given(Role::Seed) / size,
            first_copy: run.first_copy.map(|bytes| bytes as f64 / size),
            spearman: spearman(leechers().filter_map(|host| Some((up(host), host.took()?)))),
            interest: middle_of(&run.interest),
            overhead: run.messages.overhead() as f64 / run.messages.content.max(1) as f64,
            wasted: leechers().map(|host| host.wasted).sum::<u64>() as f64 / downloaded,
            hash_failures: run.hosts.iter().map(|host| u64::from(host.hash_failures)).sum(),
            stalls: run.stalls.iter().map(|(count, _)| count).sum(),
            leechers: mean(later().map(|sample| f64::from(sample.leechers))).unwrap_or(0.0),
            seeds: mean(later().map(|sample| f64::from(sample.seeds))).unwrap_or(0.0),
            steady: mean(leechers().filter(third_quarter).filter_map(HostReport::took)),
            fluid: fluid(scenario),
            groups,
        }
    }

    /// All numbers by their names, as rules name them. Of a group: `leecher.took`.
    pub fn numbers(&self) -> BTreeMap<String, f64> {
        let of_run = NUMBERS.iter().filter_map(|(name, number)| Some(((*name).to_owned(), number(self)?)));
        let of_groups = self.groups.iter().flat_map(|group| {
            let named = move |name: &str| format!("{}.{name}", group.name);
            NUMBERS_OF_GROUPS.iter().filter_map(move |(name, number)| Some((named(name), number(group)?)))
        });
        of_run.chain(of_groups).collect()
    }
}

/// Whether a number of a run has this name.
pub(crate) fn has_number(name: &str) -> bool {
    NUMBERS.iter().any(|(known, _)| *known == name)
}

/// Whether a number of each group has this name.
pub(crate) fn has_number_of_groups(name: &str) -> bool {
    NUMBERS_OF_GROUPS.iter().any(|(known, _)| *known == name)
}

/// What a number of a run, or of a group, is called in rules, and where it is found.
type Number<T> = (&'static str, fn(&T) -> Option<f64>);

const NUMBERS: &[Number<Summary>] = &[
    ("seconds", |run| Some(run.seconds)),
    ("bound", |run| run.bound),
    ("last", |run| run.last),
    ("done", |run| run.done),
    ("used", |run| run.used),
    ("copies", |run| Some(run.copies)),
    ("first_copy", |run| run.first_copy),
    ("spearman", |run| run.spearman),
    ("interest", |run| run.interest),
    ("overhead", |run| Some(run.overhead)),
    ("wasted", |run| Some(run.wasted)),
    ("hash_failures", |run| Some(run.hash_failures as f64)),
    ("stalls", |run| Some(run.stalls as f64)),
    ("leechers", |run| Some(run.leechers)),
    ("seeds", |run| Some(run.seeds)),
    ("steady", |run| run.steady),
    ("fluid_time", |run| run.fluid.map(|fluid| fluid.time)),
    ("fluid_leechers", |run| run.fluid.map(|fluid| fluid.leechers)),
    ("fluid_seeds", |run| run.fluid.map(|fluid| fluid.seeds)),
];

const NUMBERS_OF_GROUPS: &[Number<GroupSummary>] = &[
    ("came", |group| Some(group.came as f64)),
    ("done", GroupSummary::done_share),
    ("first", |group| group.took.map(|took| took.least)),
    ("took", |group| group.took.map(|took| took.median)),
    ("last", |group| group.took.map(|took| took.most)),
    ("first_block", |group| group.first_block),
    ("ratio", GroupSummary::ratio),
    ("used", |group| group.used),
    ("jain", |group| group.jain),
    ("dials", |group| Some(group.dials as f64)),
    ("datagrams", |group| Some(group.datagrams as f64)),
    ("bans", |group| Some(group.bans as f64)),
];

/// The most time from arrival to the first block; `None` where nobody came, or one that came got no block.
fn first_block<'a>(hosts: impl Iterator<Item = &'a HostReport>) -> Option<f64> {
    let came = hosts.filter_map(|host| Some((host.arrived_at?, host.first_block_at)));
    let waited: Option<Vec<f64>> = came.map(|(arrived, first)| Some(first? - arrived)).collect();
    waited?.into_iter().max_by(f64::total_cmp)
}

/// How long each tenth of the pieces took from arrival: the middle of the hosts that have so many, up to the last that any has.
fn tenths<'a, I: Iterator<Item = &'a HostReport>>(hosts: impl Fn() -> I) -> Vec<f64> {
    let middle = |tenth: usize| {
        let took = hosts().filter_map(|host| Some(host.tenths.get(tenth)? - host.arrived_at?));
        Quantiles::of(took).map(|took| took.median)
    };
    (0..10).map_while(middle).collect()
}

/// Bytes that left on links up, of those that could have; `None` where no link has a limit.
fn used<'a>(hosts: impl Iterator<Item = &'a HostReport>) -> Option<f64> {
    let (sent, capacity) = hosts
        .filter(|host| host.capacity > 0.0)
        .fold((0.0, 0.0), |(sent, capacity), host| (sent + host.sent as f64, capacity + host.capacity));
    (capacity > 0.0).then(|| sent / capacity)
}

fn used_by_tenth(run: &Run) -> Vec<f64> {
    let at = |share: f64| {
        let sample = run.samples.iter().rfind(|sample| sample.at <= run.seconds * share + 0.5);
        sample.map_or((0.0, 0.0), |sample| (sample.sent as f64, sample.capacity))
    };
    let tenths = (0..10).map(|tenth| {
        let ((sent, capacity), (later, more)) =
            (at(f64::from(tenth) / 10.0), at(f64::from(tenth + 1) / 10.0));
        if more > capacity { (later - sent) / (more - capacity) } else { 0.0 }
    });
    tenths.collect()
}

/// The middle of a distribution over hundredths.
fn middle_of(counts: &[u64; 101]) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    let mut seen = 0;
    let middle = counts.iter().position(|count| {
        seen += count;
        seen * 2 >= total
    });
    middle.filter(|_| total > 0).map(|hundredths| hundredths as f64 / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorldOptions;
    use crate::testing::{run, scenario};

    fn summary_of(text: &str) -> Summary {
        let scenario = scenario(text);
        Summary::of(&scenario, &run(&scenario, WorldOptions::default()))
    }

    const SMALL: &str = "[[peers]]\nrole = 'seed'\nup = '500 kB/s'\n[[peers]]\ncount = 3\nup = '500 kB/s'\n\
                         [torrent]\nsize = '1 MiB'\n";

    #[test]
    fn rules_may_name_each_number_of_a_run_and_nothing_else() {
        let names: Vec<_> = summary_of(SMALL).numbers().into_keys().collect();
        assert!(names.iter().any(|name| name == "last") && names.iter().any(|name| name == "leecher.took"));
        let rule = |name: &str| Scenario::parse(&format!("{SMALL}[expect]\n{name} = '> 0'"));
        for name in names {
            assert!(rule(&name).is_ok(), "{name}");
        }
        assert!(rule("took").is_err() && rule("leecher.bound").is_err());
    }

    #[test]
    fn tenths_of_the_pieces_come_one_after_the_other_up_to_the_file() {
        let summary = summary_of(SMALL);
        let [seeds, leechers] = &summary.groups[..] else { panic!("{:?}", summary.groups) };
        assert!(seeds.tenths.is_empty(), "{:?}", seeds.tenths);
        let tenths = &leechers.tenths;
        assert!(tenths.len() == 10 && tenths.is_sorted() && tenths[0] < tenths[9], "{tenths:?}");
        assert_eq!(leechers.took.map(|took| took.median), tenths.last().copied());
    }

    #[test]
    fn links_without_a_limit_are_not_in_use() {
        // The seed gives several times what all links up with a limit could.
        let summary = summary_of(
            "[[peers]]
            role = 'seed'
            up = 'inf'
            [[peers]]
            count = 3
            up = '20 kB/s'
            down = '100 kB/s'
            [torrent]
            size = '4 MiB'",
        );
        let used = &summary.used_by_tenth;
        // A block that began to leave before a tenth counts in it as a whole.
        assert!(used.iter().all(|used| *used < 1.5) && used.iter().any(|used| *used > 0.0), "{used:?}");
    }

    #[test]
    fn the_middle_of_pairs_is_a_hundredth() {
        let mut counts = [0; 101];
        assert_eq!(middle_of(&counts), None);
        (counts[0], counts[80], counts[100]) = (1, 1, 1);
        assert_eq!(middle_of(&counts), Some(0.8));
    }
}
