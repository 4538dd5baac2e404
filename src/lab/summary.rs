//! What a run came to, in numbers, beside what theory says.

use crate::scenario::{Role, Scenario};
use crate::{Run, lower_bound};

/// The numbers of a run.
#[derive(Debug, Clone)]
pub struct Summary {
    /// How long the run lasted, in seconds of the pretend clock.
    pub seconds: f64,
    /// The least time in which all can have the file (Kumar and Ross 2006); with arrivals, after the last one came.
    pub bound: Option<f64>,
    /// When the last leecher had the file, in seconds since the start.
    pub last: Option<f64>,
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
    /// Bytes of blocks that its hosts gave.
    pub uploaded: u64,
    /// Bytes of blocks that its hosts took.
    pub downloaded: u64,
}

/// The least of some numbers, the middle, what nine of ten do not exceed, and the most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantiles {
    /// The least.
    pub least: f64,
    /// The middle one; the lower of two.
    pub median: f64,
    /// Nine of ten are not more.
    pub ninety: f64,
    /// The most.
    pub most: f64,
}

impl Quantiles {
    /// Those of some numbers, if there are any.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        let at =
            |tenths: usize| numbers.get((numbers.len() * tenths).div_ceil(10).saturating_sub(1)).copied();
        Some(Self { least: at(0)?, median: at(5)?, ninety: at(9)?, most: at(10)? })
    }
}

impl Summary {
    /// The numbers of a run of this scenario.
    pub fn of(scenario: &Scenario, run: &Run) -> Self {
        let groups = scenario.peers.iter().enumerate().map(|(number, group)| {
            let hosts = || run.hosts.iter().filter(move |host| host.group == number);
            GroupSummary {
                name: group.name.clone(),
                role: group.role,
                came: hosts().filter(|host| host.arrived_at.is_some()).count(),
                done: hosts().filter(|host| host.done_at.is_some()).count(),
                took: Quantiles::of(hosts().filter_map(|host| host.took())),
                uploaded: hosts().map(|host| host.uploaded).sum(),
                downloaded: hosts().map(|host| host.downloaded).sum(),
            }
        });
        Self {
            seconds: run.seconds,
            bound: lower_bound(scenario),
            last: run.hosts.iter().filter_map(|host| host.done_at).max_by(f64::total_cmp),
            groups: groups.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_numbers_that_were_seen() {
        let of = |numbers: &[f64]| {
            Quantiles::of(numbers.iter().copied()).map(|all| [all.least, all.median, all.ninety, all.most])
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0]), Some([3.0; 4]));
        let ten: Vec<f64> = (1..=10).rev().map(f64::from).collect();
        assert_eq!(of(&ten), Some([1.0, 5.0, 9.0, 10.0]));
    }
}
