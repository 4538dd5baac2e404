//! Whether a run came to what its scenario expects.

use super::Summary;
use crate::scenario::Scenario;

/// A rule of a scenario, and whether it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The name of the number.
    pub name: String,
    /// The rule, as it is written.
    pub rule: String,
    /// The number, where the run has one.
    pub number: Option<f64>,
    /// The limit in numbers, where the rule names another number that the run has.
    pub limit: Option<f64>,
    /// Whether the number keeps the rule. A number that is missing keeps none.
    pub holds: bool,
}

impl Summary {
    /// The verdicts on the rules of a scenario, in the order of their names.
    pub fn verdicts(&self, scenario: &Scenario) -> Vec<Verdict> {
        let numbers = self.numbers();
        let verdict = |(name, rule): (&String, &crate::scenario::Rule)| {
            let number = numbers.get(name).copied();
            let limit = match &rule.of {
                Some(of) => numbers.get(of).map(|of| of * rule.limit),
                None => Some(rule.limit),
            };
            let holds = number.zip(limit).is_some_and(|(number, limit)| rule.relation.holds(number, limit));
            Verdict { name: name.clone(), rule: rule.text.clone(), number, limit, holds }
        };
        scenario.expect.iter().map(verdict).collect()
    }
}
