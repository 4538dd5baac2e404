//! What happens in a run beside arrivals and departures, and what it is to come to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::units::{self, ByteRate, Span, Text};

/// Something that is done at a time.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedEvent {
    /// When, since the start.
    pub at: Span,
    /// What.
    #[serde(rename = "do")]
    pub action: Action,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Text")]
pub enum Action {
    /// Hosts vanish without a word.
    Kill(Hosts),
    /// The clients of hosts end, and say so.
    Stop(Hosts),
    /// A link up carries so much from now on.
    CutUp(Hosts, ByteRate),
    /// A link down carries so much from now on.
    CutDown(Hosts, ByteRate),
    /// The tracker is not there.
    TrackerDown,
    /// The tracker is there again.
    TrackerUp,
    /// Nothing gets from some hosts to others, nor back.
    Partition(Hosts, Hosts),
    /// All get to all again.
    Heal,
}

impl TryFrom<Text> for Action {
    type Error = String;

    fn try_from(text: Text) -> Result<Self, String> {
        let hosts = |name: &str| Hosts(name.to_owned());
        Ok(match text.words().as_slice() {
            ["kill", who] => Self::Kill(hosts(who)),
            ["stop", who] => Self::Stop(hosts(who)),
            ["cut", "up", "of", who, "to", rate @ ..] => Self::CutUp(hosts(who), self::rate(rate)?),
            ["cut", "down", "of", who, "to", rate @ ..] => Self::CutDown(hosts(who), self::rate(rate)?),
            ["tracker", "down"] => Self::TrackerDown,
            ["tracker", "up"] => Self::TrackerUp,
            ["partition", one, other] => Self::Partition(hosts(one), hosts(other)),
            ["heal"] => Self::Heal,
            _ => {
                return Err(format!(
                    "\"{}\" is no event: \"kill seed\", \"stop leecher-3\", \"cut up of leecher-3..9 to 10 kB/s\", \
                     \"cut down of seed to 1 MB/s\", \"tracker down\", \"tracker up\", \"partition seed leecher\" or \
                     \"heal\"",
                    text.0
                ));
            }
        })
    }
}

impl Action {
    /// The hosts that it names.
    pub fn hosts(&self) -> Vec<&Hosts> {
        match self {
            Self::Kill(who) | Self::Stop(who) | Self::CutUp(who, _) | Self::CutDown(who, _) => vec![who],
            Self::Partition(one, other) => vec![one, other],
            Self::TrackerDown | Self::TrackerUp | Self::Heal => Vec::new(),
        }
    }
}

fn rate(words: &[&str]) -> Result<ByteRate, String> {
    ByteRate::try_from(Text(words.join(" ")))
}

/// Some hosts: one by its name, a group, or a part of a group such as `leecher-3..9`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts(pub String);

impl Hosts {
    /// Whether a host of this name is one of them.
    pub fn has(&self, host: &str) -> bool {
        if self.0 == host {
            return true;
        }
        let Some((group, number)) = host.rsplit_once('-') else { return false };
        let Some((named, range)) = self.0.split_once('-') else { return self.0 == group };
        let range =
            range.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        let within =
            |(from, to): (u32, u32)| number.parse().is_ok_and(|number| (from..=to).contains(&number));
        named == group && range.is_some_and(within)
    }
}

/// A rule that a number of the summary is to keep: `< 1.5 bound`, `> 0.9`, `< 600 s`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Text")]
pub struct Rule {
    /// How the number stands to the limit.
    pub relation: Relation,
    /// The limit, or how many times the other number.
    pub limit: f64,
    /// The other number.
    pub of: Option<String>,
    /// As it is written.
    pub text: String,
}

/// How a number stands to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
}

impl Relation {
    /// Whether a number stands so to a limit.
    pub fn holds(self, number: f64, limit: f64) -> bool {
        match self {
            Self::Less => number < limit,
            Self::AtMost => number <= limit,
            Self::More => number > limit,
            Self::AtLeast => number >= limit,
            Self::Equal => number == limit,
        }
    }
}

impl TryFrom<Text> for Rule {
    type Error = String;

    fn try_from(text: Text) -> Result<Self, String> {
        let wanted =
            || format!("\"{}\" is no rule such as \"< 1.5 bound\", \"> 0.9\" or \"<= 600 s\"", text.0);
        let trimmed = text.0.trim();
        let relations = [
            ("<=", Relation::AtMost),
            (">=", Relation::AtLeast),
            ("==", Relation::Equal),
            ("<", Relation::Less),
            (">", Relation::More),
        ];
        let mut relations = relations.into_iter();
        let (relation, rest) = relations
            .find_map(|(sign, relation)| Some((relation, trimmed.strip_prefix(sign)?)))
            .ok_or_else(wanted)?;
        let rest = rest.trim_start();
        let (sign, rest) = rest.strip_prefix('-').map_or((1.0, rest), |rest| (-1.0, rest));
        let (number, unit) = units::number_and_unit(rest).ok_or_else(wanted)?;
        let (limit, of) = match unit {
            "" => (number, None),
            "%" => (number / 100.0, None),
            unit if units::duration(&format!("1 {unit}")).is_ok() => {
                (units::duration(rest).map_or(number, |time: Duration| time.as_secs_f64()), None)
            }
            name if name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._".contains(letter)) => {
                (number, Some(name.to_owned()))
            }
            _ => return Err(wanted()),
        };
        let limit = sign * limit;
        Ok(Self { relation, limit, of, text: trimmed.to_owned() })
    }
}

/// Reads rules by the names of their numbers; those of a group stand in a table of its name.
pub(super) fn rules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Rule>, D::Error> {
    let read = BTreeMap::<String, RuleOrGroup>::deserialize(deserializer)?;
    let mut rules = BTreeMap::new();
    for (name, rule) in read {
        match rule {
            RuleOrGroup::Rule(rule) => drop(rules.insert(name, rule)),
            RuleOrGroup::Group(of_group) => {
                rules.extend(of_group.into_iter().map(|(number, rule)| (format!("{name}.{number}"), rule)));
            }
        }
    }
    Ok(rules)
}

/// A rule, or the rules of a group.
enum RuleOrGroup {
    Rule(Rule),
    Group(BTreeMap<String, Rule>),
}

impl<'de> Deserialize<'de> for RuleOrGroup {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = RuleOrGroup;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rule such as \"< 1.5 bound\", or a table of rules for a group")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RuleOrGroup, E> {
                Rule::try_from(Text(text.to_owned())).map(RuleOrGroup::Rule).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RuleOrGroup, A::Error> {
                BTreeMap::deserialize(MapAccessDeserializer::new(map)).map(RuleOrGroup::Group)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named_alone_in_parts_and_as_groups() {
        let has = |who: &str, host: &str| Hosts(who.to_owned()).has(host);
        assert!(has("seed-1", "seed-1") && has("seed", "seed-1") && has("leecher-3..9", "leecher-9"));
        assert!(!has("seed-1", "seed-11") && !has("leecher-3..9", "leecher-10") && !has("seed", "seeder-1"));
        assert!(!has("leecher-3..9", "seed-4") && !has("seed", "tracker"));
    }

    #[test]
    fn rules_compare_with_numbers_times_shares_and_other_numbers() {
        let rule = |said: &str| {
            let rule = Rule::try_from(Text(said.to_owned())).ok()?;
            Some((rule.relation, rule.limit, rule.of))
        };
        assert_eq!(rule("< 1.5 bound"), Some((Relation::Less, 1.5, Some("bound".to_owned()))));
        assert_eq!(rule(">= 90 %"), Some((Relation::AtLeast, 0.9, None)));
        assert_eq!(rule("<= 10 min"), Some((Relation::AtMost, 600.0, None)));
        assert_eq!(rule("== 8"), Some((Relation::Equal, 8.0, None)));
        assert_eq!(rule("> 2 fast.took"), Some((Relation::More, 2.0, Some("fast.took".to_owned()))));
        assert_eq!(rule("< -0.4"), Some((Relation::Less, -0.4, None)));
        assert_eq!(rule("about 5"), None);
        assert_eq!(rule("< five"), None);
    }
}
