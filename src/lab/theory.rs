//! What theory says of a scenario before it is run.

use std::time::Duration;

use crate::scenario::{Arrival, Departure, Role, Scenario};

/// The least time in which all leechers that come at the start can have the file, in seconds (Kumar and Ross, "Peer-assisted
/// file distribution: the minimum distribution time", HOTWEB 2006, theorem 1): the seeds send each byte once, the slowest link
/// down takes the whole file, and all links up together carry it as often as there are leechers.
///
/// `None` where the scenario has no seed or no leecher, or where no link limits anything.
pub fn lower_bound(scenario: &Scenario) -> Option<f64> {
    let size = scenario.torrent.size.0 as f64;
    let groups = |role: Role| {
        let peers = scenario.peers.iter().filter(|group| !group.behaviour.is_stranger());
        peers.filter(move |group| group.role == role && group.count > 0)
    };
    let up = |role: Role| groups(role).map(|group| f64::from(group.count) * group.up.0).sum::<f64>();
    let leechers: f64 = groups(Role::Leecher).map(|group| f64::from(group.count)).sum();
    let seed_up = up(Role::Seed);
    let slowest = groups(Role::Leecher).map(|group| group.down.0).fold(f64::INFINITY, f64::min);
    if seed_up == 0.0 || leechers == 0.0 {
        return None;
    }
    let bound = (size / seed_up).max(size / slowest).max(leechers * size / (seed_up + up(Role::Leecher)));
    (bound > 0.0).then_some(bound)
}

/// The steady state of a swarm with arrivals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fluid {
    /// How long the file takes, in seconds.
    pub time: f64,
    /// How many hosts lack pieces.
    pub leechers: f64,
    /// How many hosts have all pieces, those that came with them left out.
    pub seeds: f64,
}

/// The steady state by the fluid model of Qiu and Srikant ("Modeling and performance analysis of BitTorrent-like peer-to-peer
/// networks", SIGCOMM 2004, section III), where nobody gives up and all that is had is of use: with arrivals l, links of mu and c
/// files a second up and down, and seeds that stay 1/gamma, the file takes T = max(1/c, 1/mu - 1/gamma); there are l T leechers and
/// l/gamma seeds. The hosts that came with the file are neglected.
///
/// `None` unless the leechers are one group that arrives at random.
pub fn fluid(scenario: &Scenario) -> Option<Fluid> {
    let mut leechers = scenario.peers.iter().filter(|group| group.role == Role::Leecher);
    let (Some(group), None) = (leechers.next(), leechers.next()) else { return None };
    let Arrival::Poisson(between) = group.arrive else { return None };
    let stay = match group.leave {
        Departure::WhenDone => Duration::ZERO,
        Departure::Exponential(mean) => mean,
        Departure::Never | Departure::After(_) => return None,
    };
    let size = scenario.torrent.size.0 as f64;
    let (arrivals, stay) = (1.0 / between.as_secs_f64(), stay.as_secs_f64());
    let time = (size / group.down.0).max(size / group.up.0 - stay);
    Some(Fluid { time, leechers: arrivals * time, seeds: arrivals * stay })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scenario;

    fn bound(text: &str) -> Option<f64> {
        lower_bound(&scenario(text))
    }

    #[test]
    fn the_fluid_model_has_the_numbers_of_its_paper() {
        // mu = 0.00125, c = 0.002, l = 0.04, as in section V of the paper.
        let with = |stay: &str| {
            let text = format!(
                "torrent = {{ size = '100 MB' }}\n[[peers]]\nrole = 'seed'\n[[peers]]\ncount = 9\nup = '125 kB/s'\ndown = '200 kB/s'\narrive = 'poisson 0.04/s'\nleave = 'exp {stay} s'"
            );
            fluid(&scenario(&text)).expect("a fluid")
        };
        assert_eq!(with("1000"), Fluid { time: 500.0, leechers: 20.0, seeds: 40.0 });
        assert_eq!(with("200"), Fluid { time: 600.0, leechers: 24.0, seeds: 8.0 });
        assert_eq!(fluid(&scenario("[[peers]]")), None);
    }

    #[test]
    fn the_tightest_of_three_limits_rules() {
        let text = |seed: &str, up: &str, down: &str| {
            format!(
                "torrent = {{ size = '1 MB' }}\n[[peers]]\nrole = 'seed'\nup = '{seed} kB/s'\n[[peers]]\ncount = 9\nup = '{up} kB/s'\ndown = '{down} kB/s'"
            )
        };
        // The seed: 1 MB at 10 kB/s. The links down: at 5 kB/s. All links up: 9 MB at 100 + 9 * 10 kB/s.
        assert_eq!(bound(&text("10", "1000", "1000")), Some(100.0));
        assert_eq!(bound(&text("1000", "1000", "5")), Some(200.0));
        assert_eq!(bound(&text("100", "10", "1000")), Some(9000.0 / 190.0));
        assert_eq!(bound("[[peers]]"), None);
    }
}
