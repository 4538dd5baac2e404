//! Legout, Urvoy-Keller and Michiardi, "Rarest first and choke algorithms are enough", IMC 2006, section IV-A: while only the seed has
//! some pieces, their number falls at the rate of the seed; then no piece is rare, and peers stay of use to each other.

use super::{Case, Figure, Finding, Outcome};
use crate::measure::Sample;
use crate::summary::Quantiles;

pub(super) const FIGURE: Figure = Figure {
    name: "rarest-first",
    title: "Rarest first ends the transient at the rate of the seed; then no piece is rare",
    source: "Legout, Urvoy-Keller, Michiardi, IMC 2006, section IV-A and figures 2 to 4",
    cases,
    judge,
};

/// Bytes a second of the seed, and of a piece.
const SEED: f64 = 100_000.0;
const PIECE: f64 = 262_144.0;

fn scenario(picker: &str) -> String {
    format!(
        "[torrent]
        size = '50 MiB'
        piece = '256 KiB'
        [[peers]]
        allowed_fast = 0
        role = 'seed'
        up = '100 kB/s'
        slots = 4
        [[peers]]
        allowed_fast = 0
        count = 40
        up = '50 kB/s'
        down = '400 kB/s'
        slots = 4
        picker = '{picker}'
        arrive = 'uniform 10 s'"
    )
}

fn cases() -> Vec<Case> {
    ["rarest", "random"].map(|picker| Case::new(format!("picker {picker}"), scenario(picker))).into()
}

fn judge(outcomes: &[Outcome]) -> Vec<Finding> {
    let [rarest, random] = outcomes else { return Vec::new() };
    let mut findings = shape(rarest);
    let contrast = shape(random);
    // What fails in both runs says nothing of the picker.
    let failing: Vec<String> = findings
        .iter()
        .zip(&contrast)
        .filter(|(finding, contrast)| finding.holds && !contrast.holds)
        .map(|(_, contrast)| contrast.seen.clone())
        .collect();
    findings.push(Finding::new(
        "with pieces taken at random, a rule that holds with the rarest first fails",
        if failing.is_empty() { "none does".to_owned() } else { failing.join("; ") },
        !failing.is_empty(),
    ));
    findings
}

/// The rules of the paper on one run.
fn shape(outcome: &Outcome) -> Vec<Finding> {
    let (slope, fit) = transient(&outcome.run.samples);
    let wanted = SEED / PIECE;
    let interest = outcome.summary.interest.unwrap_or(0.0);
    let tenths = |tenth: usize| {
        let took = outcome
            .run
            .hosts
            .iter()
            .filter_map(|host| Some(host.tenths.get(tenth)? - host.tenths.get(tenth.checked_sub(1)?)?));
        Quantiles::of(took).map_or(f64::NAN, |took| took.median)
    };
    let (first, middle, last) = (first_tenth(outcome), tenths(5), tenths(9));
    vec![
        Finding::new(
            "the number of pieces that only the seed has falls linearly (R squared above 0.98)",
            format!("R squared {fit:.3}"),
            fit > 0.98,
        ),
        Finding::new(
            format!("it falls at the rate of the seed, {wanted:.3} pieces a second, within 15 %"),
            format!("{slope:.3} pieces a second"),
            (slope / wanted - 1.0).abs() <= 0.15,
        ),
        Finding::new(
            "a leecher is interested in another for 90 % of their time (median)",
            format!("{interest:.2}"),
            interest >= 0.9,
        ),
        Finding::new(
            "the last tenth of the pieces comes no slower than the middle one",
            format!("{last:.0} s and {middle:.0} s (median)"),
            last <= 1.1 * middle,
        ),
        Finding::new(
            "the first tenth comes slower than the middle one",
            format!("{first:.0} s and {middle:.0} s (median)"),
            first > middle,
        ),
    ]
}

fn first_tenth(outcome: &Outcome) -> f64 {
    let took = outcome.run.hosts.iter().filter_map(|host| Some(host.tenths.first()? - host.arrived_at?));
    Quantiles::of(took).map_or(f64::NAN, |took| took.median)
}

/// By how many pieces a second the number of pieces that nobody but the seed has falls, and how well a line fits.
fn transient(samples: &[Sample]) -> (f64, f64) {
    let rare = samples.iter().take_while(|sample| sample.least_copies == 0);
    let points: Vec<(f64, f64)> = rare.map(|sample| (sample.at, f64::from(sample.rarest))).collect();
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>();
    let (xx, yy) = (sum(&|point| (point.0 - x).powi(2)), sum(&|point| (point.1 - y).powi(2)));
    let xy = sum(&|point| (point.0 - x) * (point.1 - y));
    (-xy / xx, xy * xy / (xx * yy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_with_its_slope() {
        let sample = |at: i32, rarest: u32, least_copies| Sample {
            at: at.into(),
            rarest,
            least_copies,
            ..Sample::default()
        };
        let mut samples: Vec<_> = (0..50).map(|at| sample(at, 100 - 2 * at as u32, 0)).collect();
        samples.push(sample(50, 77, 1));
        let (slope, fit) = transient(&samples);
        assert!((slope - 2.0).abs() < 1e-9 && fit > 0.999_999, "{slope} {fit}");
        let curved: Vec<_> =
            (0..50).map(|at| sample(at, (100.0 * (-0.2 * f64::from(at)).exp()) as u32, 0)).collect();
        assert!(transient(&curved).1 < 0.9);
    }
}
