//! The rules that the local host of a capture broke.

use std::borrow::Cow;

use bittrace_trace::{Record, Rule, Severity, Side, StreamId};

/// A rule that messages of the local host broke.
#[derive(Debug, Clone)]
pub struct BrokenRule {
    /// The rule.
    pub rule: &'static Rule,
    /// How many notes say so.
    pub count: u64,
    /// What the first of them says.
    pub text: Cow<'static, str>,
    /// The stream of the first message that broke it.
    pub stream: StreamId,
    /// The number of that message, from 1.
    pub number: u64,
    /// The packet that ended that message, from 1.
    pub frame: u64,
    /// The name of that message.
    pub message: &'static str,
}

/// Takes in the notes of records, a rule once.
#[derive(Debug, Default)]
pub(super) struct BrokenRules(Vec<BrokenRule>);

impl BrokenRules {
    pub(super) fn add(&mut self, record: &Record) {
        if record.side != Side::Local {
            return;
        }
        for note in &record.notes {
            // What a capture lacks is no conduct, and neither is how things stand.
            if note.rule.severity <= Severity::Chat || note.rule.id.starts_with("capture.") {
                continue;
            }
            match self.0.iter_mut().find(|broken| broken.rule.id == note.rule.id) {
                Some(broken) => broken.count += 1,
                None => self.0.push(BrokenRule {
                    rule: note.rule,
                    count: 1,
                    text: note.text.clone(),
                    stream: record.stream,
                    number: record.number,
                    frame: record.frames.last().copied().unwrap_or_default(),
                    message: record.body.message(),
                }),
            }
        }
    }

    /// The gravest first, then in the order of the capture.
    pub(super) fn finish(mut self) -> Vec<BrokenRule> {
        self.0.sort_by_key(|broken| (std::cmp::Reverse(broken.rule.severity), broken.number));
        self.0
    }
}
