//! The notes of a capture by rule, and the messages that they lead to.

use std::collections::BTreeMap;

use bittrace_trace::statistics::display_filter;
use bittrace_trace::{Record, Severity, Summary};

use super::clipped;
use super::data::{CourseFinding, Micros};

/// The messages of each rule.
#[derive(Debug, Default)]
pub(super) struct FindingsSeen(BTreeMap<&'static str, Vec<(Micros, u64)>>);

/// How many messages of a rule are kept: the first.
pub const MOST_MESSAGES: usize = 200;

impl FindingsSeen {
    pub(super) fn add(&mut self, record: &Record, t: Micros, n: u64) {
        for note in record.notes.iter().filter(|note| note.rule.severity > Severity::Chat) {
            let messages = self.0.entry(note.rule.id).or_default();
            let is_known = messages.last().is_some_and(|(_, last)| *last == n);
            if messages.len() < MOST_MESSAGES && !is_known {
                messages.push((t, n));
            }
        }
    }

    pub(super) fn finish(mut self, summary: &Summary) -> Vec<CourseFinding> {
        let findings = summary.findings.clone().most_severe_first().into_iter();
        let worth = findings.filter(|finding| finding.rule.severity > Severity::Chat);
        let shown = worth.map(|finding| {
            let (t, n) = self.0.remove(finding.rule.id).unwrap_or_default().into_iter().unzip();
            CourseFinding {
                severity: finding.rule.severity.name(),
                rule: finding.rule.id,
                count: finding.count,
                title: finding.rule.text,
                first: clipped(&finding.text),
                source: finding.rule.source(),
                filter: display_filter(&finding.frames),
                t,
                n,
            }
        });
        shown.collect()
    }
}
