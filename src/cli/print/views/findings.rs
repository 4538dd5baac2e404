//! The findings of a capture, by rule: severity, count, document, and a display filter for the first packets.

use std::io::{self, Write};

use bittrace_trace::record::Severity;
use bittrace_trace::statistics::display_filter;
use bittrace_trace::units::counted;
use serde_json::json;

use super::{Read, Rows};
use crate::print::json::object;
use crate::print::output::styles;
use crate::print::page::{FINDING_INDENT, Page};

const COLUMNS: &[&str] = &[
    "capture",
    "severity",
    "rule",
    "count",
    "document",
    "section",
    "text",
    "first",
    "frames",
    "filter",
    "says",
    "messages",
    "message_count",
];

pub(super) fn write_table(read: Read<'_>, page: &mut Page<'_>) -> io::Result<()> {
    page.heading(&format!("Findings in {}", read.name))?;
    let findings = read.summary.findings.iter().rev();
    let worth = findings.filter(|((severity, _), _)| read.verbose || *severity > Severity::Chat);
    let mut is_empty = true;
    for ((severity, id), finding) in worth {
        is_empty = false;
        let source = finding.rule.source();
        let times = counted(finding.count, "time");
        page.finding(*severity, &[&times, id, &source], &finding.text)?;
        let first = match finding.frames.len() as u64 {
            shown if finding.count > shown => format!(" (the first {shown})"),
            _ => String::new(),
        };
        let filter = format!("Wireshark: {}{first}", display_filter(&finding.frames));
        page.painted(&filter, FINDING_INDENT, styles::DIM)?;
    }
    if is_empty {
        return page.paragraph("None.", 2);
    }
    writeln!(page)?;
    page.how_to_explain()
}

pub(super) fn rows(read: Read<'_>) -> Rows {
    let rows = read.summary.findings.iter().rev().map(|((severity, id), finding)| {
        object([
            ("capture", json!(read.name)),
            ("severity", json!(severity.name())),
            ("rule", json!(id)),
            ("count", json!(finding.count)),
            ("document", json!(finding.rule.document)),
            ("section", json!(finding.rule.section)),
            ("text", json!(finding.rule.text)),
            ("first", json!(read.summary.before + finding.first)),
            ("frames", json!(finding.frames)),
            ("filter", json!(display_filter(&finding.frames))),
            ("says", json!(finding.text)),
            ("messages", finding.records.iter().map(|number| json!(read.summary.before + number)).collect()),
            ("message_count", json!(finding.record_count)),
        ])
    });
    Rows::new("finding", COLUMNS, rows).with_messages(&[&["first"], &["messages"]], read.numbers)
}
