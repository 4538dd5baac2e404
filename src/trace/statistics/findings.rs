//! The notes of a capture, folded by rule: how many there are of each, and the first of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, btree_map};

use crate::StreamId;
use crate::record::{Note, Record, Rule, Severity};

/// The notes of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// How many notes there are.
    pub count: u64,
    /// The number of the first record that has one, in its own capture, from 1.
    pub first: u64,
    /// The stream of that record.
    pub stream: StreamId,
    /// The name of the message that the record is.
    pub message: &'static str,
    /// What the first note says.
    pub text: Cow<'static, str>,
    /// The number of the earlier record that the first note is about as well; see [`Note::cause`].
    pub cause: Option<u64>,
    /// The packets that carried the first ones, from 1, at most [`FIRST_FRAMES`].
    pub frames: Vec<u64>,
    /// The numbers of the first records that have one, in their own capture, from 1, at most [`FIRST_RECORDS`].
    pub records: Vec<u64>,
    /// How many records have one. A record may have several notes of a rule.
    pub record_count: u64,
    /// The last record that has one.
    last: u64,
}

/// A display filter that selects these packets in Wireshark.
pub fn display_filter(frames: &[u64]) -> String {
    match frames {
        [frame] => format!("frame.number == {frame}"),
        frames => {
            let frames: Vec<String> = frames.iter().map(u64::to_string).collect();
            format!("frame.number in {{{}}}", frames.join(","))
        }
    }
}

/// How many packets a finding names.
pub const FIRST_FRAMES: usize = 5;

/// How many records a finding names: more than a reader looks at, in 1,600 bytes a rule.
pub const FIRST_RECORDS: usize = 200;

/// Notes by severity and rule, the least severe first.
#[derive(Debug, Clone, Default)]
pub struct Findings(BTreeMap<(Severity, &'static str), Finding>);

impl Findings {
    /// Takes in a note of a record.
    pub fn add(&mut self, record: &Record, note: &Note) {
        let finding = self.0.entry((note.rule.severity, note.rule.id)).or_insert_with(|| Finding {
            rule: note.rule,
            count: 0,
            first: record.number,
            stream: record.stream,
            message: record.body.message(),
            text: note.text.clone(),
            cause: note.cause,
            frames: Vec::new(),
            records: Vec::new(),
            record_count: 0,
            last: 0,
        });
        finding.count += 1;
        // Numbers begin at 1, and the notes of a record come one after another.
        if finding.last != record.number {
            finding.last = record.number;
            finding.record_count += 1;
            if finding.records.len() < FIRST_RECORDS {
                finding.records.push(record.number);
            }
        }
        if finding.frames.len() < FIRST_FRAMES {
            finding.frames.extend(record.frames.last());
        }
    }

    /// Each severity and rule, and what was found.
    pub fn iter(&self) -> btree_map::Iter<'_, (Severity, &'static str), Finding> {
        self.0.iter()
    }

    /// All findings, the most severe first, then in the order of the capture.
    pub fn most_severe_first(self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.0.into_values().collect();
        findings.sort_by_key(|finding| (std::cmp::Reverse(finding.rule.severity), finding.first));
        findings
    }
}
