//! What each host draws before anything happens: when it comes, how far away it is, how long it stays. Simulated and real
//! hosts draw alike.

use std::time::Duration;

use crate::chance::Chance;
use crate::scenario::{Arrival, Departure, PeerGroup, Role, Scenario};

/// A host as it will come.
#[derive(Debug, Clone, PartialEq)]
pub struct HostPlan {
    /// Its name.
    pub name: String,
    /// The place of its group in the scenario.
    pub group: usize,
    /// What it has when it comes.
    pub role: Role,
    /// When it comes, since the start.
    pub arrives_at: Duration,
    /// The round trip over its link.
    pub rtt: Duration,
    /// When it goes; of a time after it has everything, the time that it drew.
    pub leave: Departure,
}

impl Scenario {
    /// All hosts in their order, the tracker left out, with what they draw from this seed.
    pub fn host_plans(&self, seed: u64) -> Vec<HostPlan> {
        let mut plans = Vec::new();
        for (place, group) in self.peers.iter().enumerate() {
            let mut last = Duration::ZERO;
            for number in 1..=group.count {
                last = group.arrival(seed, number, last);
                plans.push(HostPlan {
                    name: group.host_name(number),
                    group: place,
                    role: group.role,
                    arrives_at: last,
                    rtt: group.round_trip(seed, number),
                    leave: group.departure(seed, number),
                });
            }
        }
        plans
    }
}

impl PeerGroup {
    /// When its host of this number comes, where the one before it comes at `last`.
    pub(crate) fn arrival(&self, seed: u64, number: u32, last: Duration) -> Duration {
        let mut chance = Chance::of(seed, &self.host_name(number), "arrival");
        match self.arrive {
            Arrival::AtOnce => Duration::ZERO,
            Arrival::At(time) => time,
            Arrival::Uniform(time) => chance.between(Duration::ZERO, time),
            Arrival::Poisson(mean) => last + chance.exponential(mean),
        }
    }

    /// The round trip over the link of its host of this number.
    pub(crate) fn round_trip(&self, seed: u64, number: u32) -> Duration {
        Chance::of(seed, &self.host_name(number), "rtt").between(self.rtt.from, self.rtt.to)
    }

    /// When its host of this number goes: a time from a distribution is drawn.
    pub(crate) fn departure(&self, seed: u64, number: u32) -> Departure {
        match self.leave {
            Departure::Exponential(mean) => Departure::Exponential(
                Chance::of(seed, &self.host_name(number), "departure").exponential(mean),
            ),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorldOptions;
    use crate::testing::{run, scenario};

    #[test]
    fn plans_are_what_a_simulation_does() {
        let text = "torrent = { size = '1 MiB' }
            [[peers]]\nrole = 'seed'\nup = '500 kB/s'
            [[peers]]\ncount = 5\nup = '500 kB/s'\narrive = 'poisson 2/s'\nrtt = '20..120 ms'";
        let scenario = scenario(text);
        let run = run(&scenario, WorldOptions::default());
        let plans = scenario.host_plans(scenario.seed);
        assert_eq!(plans.len(), 6);
        for (plan, host) in plans.iter().zip(&run.hosts) {
            assert_eq!((&plan.name, plan.group, plan.role), (&host.name, host.group, host.role));
            let arrived = host.arrived_at.expect("a host that came");
            assert!((plan.arrives_at.as_secs_f64() - arrived).abs() < 1e-6, "{plan:?} {arrived}");
            assert!((plan.rtt.as_secs_f64() - host.rtt).abs() < 1e-9, "{plan:?}");
        }
        assert_ne!(plans, scenario.host_plans(2));
    }

    #[test]
    fn a_time_to_stay_is_drawn_for_each_host() {
        let text = "[[peers]]\ncount = 2\nleave = 'exp 100 s'";
        let plans = scenario(text).host_plans(1);
        assert!(matches!(plans[0].leave, Departure::Exponential(_)));
        assert_ne!(plans[0].leave, plans[1].leave);
    }
}
