//! `analyze --list-rules`: the table of rules.

use std::io::{self, Write};

use bittrace_trace::rules::RULES;
use serde_json::json;

use super::findings::source;
use super::{Rows, object};
use crate::args::Format;
use crate::print::output::Look;
use crate::print::page::Page;
use crate::print::table::Column;

const COLUMNS: &[&str] = &["rule", "severity", "document", "section", "text"];

/// Writes all rules.
pub(crate) fn list_rules(format: Format, look: Look, out: &mut dyn Write) -> io::Result<()> {
    if format == Format::Table {
        let rows: Vec<Vec<String>> = RULES
            .iter()
            .map(|rule| {
                let source = source(rule.document, rule.section);
                vec![rule.severity.name().to_owned(), rule.id.to_owned(), source, rule.text.to_owned()]
            })
            .collect();
        let columns = [
            Column::text("severity", 5),
            Column::text("rule", 26),
            Column::text("source", 14),
            Column::text("is noted when", 30),
        ];
        return Page::new(look, out).table(&columns, &rows);
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
    Rows { name: "rule", columns: COLUMNS, rows: rows.collect() }.write(format, true, out)
}
