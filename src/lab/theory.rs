//! What theory says of a scenario before it is run.

use crate::scenario::{Role, Scenario};

/// The least time in which all leechers that come at the start can have the file, in seconds (Kumar and Ross, "Peer-assisted
/// file distribution: the minimum distribution time", HOTWEB 2006, theorem 1): the seeds send each byte once, the slowest link
/// down takes the whole file, and all links up together carry it as often as there are leechers.
///
/// `None` where the scenario has no seed or no leecher, or where no link limits anything.
pub fn lower_bound(scenario: &Scenario) -> Option<f64> {
    let size = scenario.torrent.size.0 as f64;
    let groups =
        |role: Role| scenario.peers.iter().filter(move |group| group.role == role && group.count > 0);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(text: &str) -> Option<f64> {
        lower_bound(&Scenario::parse(text).expect("a scenario"))
    }

    #[test]
    fn the_tightest_of_three_limits_rules() {
        let scenario = |seed: &str, up: &str, down: &str| {
            format!(
                "torrent = {{ size = '1 MB' }}\n[[peers]]\nrole = 'seed'\nup = '{seed} kB/s'\n[[peers]]\ncount = 9\nup = '{up} kB/s'\ndown = '{down} kB/s'"
            )
        };
        // The seed: 1 MB at 10 kB/s. The links down: at 5 kB/s. All links up: 9 MB at 100 + 9 * 10 kB/s.
        assert_eq!(bound(&scenario("10", "1000", "1000")), Some(100.0));
        assert_eq!(bound(&scenario("1000", "1000", "5")), Some(200.0));
        assert_eq!(bound(&scenario("100", "10", "1000")), Some(9000.0 / 190.0));
        assert_eq!(bound("[[peers]]"), None);
    }
}
