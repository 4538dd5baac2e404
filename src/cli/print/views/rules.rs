//! `analyze --list-rules`: the table of rules.

use std::io::{self, Write};

use bittrace_trace::rules::RULES;
use serde_json::json;

use super::Rows;
use crate::args::Format;
use crate::print::json::object;
use crate::print::output::Look;
use crate::print::page::Page;

const COLUMNS: &[&str] = &["rule", "severity", "document", "section", "text"];

/// Writes all rules.
pub(crate) fn list_rules(format: Format, look: Look, out: &mut dyn Write) -> io::Result<()> {
    if format == Format::Table {
        let mut page = Page::new(look, out);
        for rule in RULES {
            page.finding(rule.severity, &[rule.id, &rule.source()], rule.text)?;
        }
        writeln!(page)?;
        return page.how_to_explain();
    }
    let rows = RULES.iter().map(|rule| {
        object([
            ("rule", json!(rule.id)),
            ("severity", json!(rule.severity.name())),
            ("document", json!(rule.document)),
            ("section", json!(rule.section)),
            ("text", json!(rule.text)),
        ])
    });
    Rows::new("rule", COLUMNS, rows).write(format, true, out)
}
