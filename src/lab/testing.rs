//! Scenarios and runs of them, for the tests of all modules.

use crate::{Run, Scenario, World, WorldOptions};

/// The scenario of this text.
pub(crate) fn scenario(text: &str) -> Scenario {
    Scenario::parse(text).expect("a scenario")
}

/// The world of a scenario, before anything has happened.
pub(crate) fn world(scenario: &Scenario) -> World<'static> {
    World::new(scenario, WorldOptions::default()).expect("a world")
}

/// What comes of a scenario.
pub(crate) fn run(scenario: &Scenario, options: WorldOptions<'_>) -> Run {
    World::new(scenario, options).expect("a world").run().expect("a run")
}
