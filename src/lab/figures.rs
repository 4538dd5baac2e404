//! Published results about swarms, reproduced in shape: scenarios of each, and what must be seen in their runs.
//!
//! The clients of the papers had no fast extension: pieces that are allowed fast are drawn by address and not by rarity, and their
//! models know none. So hosts allow none here.
//!
//! A rule says of which paper a number is. Where a case is a contrast, the rule is that the other rules fail on it.

use crate::scenario::Scenario;
use crate::{LabError, Run, Summary, World, WorldOptions};

mod arrivals;
mod flash_crowd;
mod rarest_first;

/// A published result.
pub struct Figure {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it says.
    pub title: &'static str,
    /// Where it was published.
    pub source: &'static str,
    cases: fn() -> Vec<Case>,
    judge: fn(&[Outcome]) -> Vec<Finding>,
}

/// A scenario of a figure.
pub struct Case {
    /// What it is called in tables.
    pub label: String,
    /// The scenario, in TOML.
    pub scenario: String,
}

/// What came of a case.
pub struct Outcome {
    /// What the case is called.
    pub label: String,
    /// The run.
    pub run: Run,
    /// Its numbers.
    pub summary: Summary,
}

/// What must be seen, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: String,
    /// What was seen.
    pub seen: String,
    /// Whether the rule holds.
    pub holds: bool,
}

impl Finding {
    fn new(rule: impl Into<String>, seen: impl Into<String>, holds: bool) -> Self {
        Self { rule: rule.into(), seen: seen.into(), holds }
    }
}

impl Figure {
    /// All figures.
    pub const fn all() -> &'static [Self] {
        FIGURES
    }

    /// The scenarios.
    pub fn cases(&self) -> Vec<Case> {
        (self.cases)()
    }

    /// What is seen in the outcomes of all cases, in their order.
    pub fn judge(&self, outcomes: &[Outcome]) -> Vec<Finding> {
        (self.judge)(outcomes)
    }
}

impl Case {
    fn new(label: impl Into<String>, scenario: impl Into<String>) -> Self {
        Self { label: label.into(), scenario: scenario.into() }
    }

    /// Runs the case, while `go_on` says so.
    ///
    /// # Errors
    /// None for the cases of figures: their scenarios can be read.
    pub fn run(self, go_on: impl FnMut() -> bool) -> Result<Outcome, LabError> {
        let scenario = Scenario::parse(&self.scenario)?;
        let run = World::new(&scenario, WorldOptions::default())?.run_while(go_on)?;
        let summary = Summary::of(&scenario, &run);
        Ok(Outcome { label: self.label, run, summary })
    }
}

const FIGURES: &[Figure] = &[
    flash_crowd::FIGURE,
    flash_crowd::CLASSES,
    rarest_first::FIGURE,
    arrivals::MISSING_PIECE,
    arrivals::FLUID,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_can_be_read() {
        for figure in Figure::all() {
            for case in figure.cases() {
                let scenario = Scenario::parse(&case.scenario);
                assert!(scenario.is_ok(), "{} {}: {:?}", figure.name, case.label, scenario.err());
            }
        }
    }
}
