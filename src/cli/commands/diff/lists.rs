//! The short lists of a report: what a replay refused and noticed, and the identity of the client on one line.

use std::collections::HashMap;
use std::io::{self, Write};

use bittrace_replay::{Difference, MessagePair, PairVerdict, Refusal, RefusalAct, ReplayedEnd, ReportKind};
use bittrace_trace::units::{count, counted};

use super::phrases::ranges;
use super::{DiffDetail, DiffView};
use crate::print::page::Page;
use crate::print::table::{columns, wrap};

/// What the replayed tracker and peers did not answer; messages of one kind that were refused for one reason together.
pub(super) fn refusals(view: &DiffView<'_>, detail: DiffDetail, page: &mut Page<'_>) -> io::Result<()> {
    list(REFUSED, &refusal_sentences(view), detail, page)
}

/// The headings of what a replay refused, and of what it noticed.
pub(super) const REFUSED: &str = "Refused by the replayed tracker and peers";
pub(super) const NOTICED: &str = "Noticed by the replay";

/// What was refused, a sentence each.
pub(super) fn refusal_sentences(view: &DiffView<'_>) -> Vec<String> {
    let mut groups: Vec<(&Refusal, Vec<u64>)> = Vec::new();
    let mut known: HashMap<RefusalKey<'_>, usize> = HashMap::new();
    for refusal in &view.noticed.refusals {
        let key = (refusal.by, refusal.message, refusal.did, &*refusal.why);
        let at = *known.entry(key).or_insert_with(|| {
            groups.push((refusal, Vec::new()));
            groups.len() - 1
        });
        groups[at].1.push(refusal.nth.into());
    }
    let lines = groups.into_iter().map(|(refusal, mut numbers)| {
        numbers.sort_unstable();
        numbers.dedup();
        let plural = if numbers.len() > 1 { "s" } else { "" };
        let sentence = refusal.sentence(&format!("{}{plural} {}", refusal.message, ranges(&numbers)));
        format!("{sentence}: {}", refusal.why)
    });
    lines.collect()
}

/// What else the replay noticed.
pub(super) fn remarks(view: &DiffView<'_>, detail: DiffDetail, page: &mut Page<'_>) -> io::Result<()> {
    list(NOTICED, &view.noticed.remarks, detail, page)
}

/// Sentences under a heading, the first ones alone where not all are wanted.
fn list(heading: &str, lines: &[String], detail: DiffDetail, page: &mut Page<'_>) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    page.heading(heading)?;
    let shown = if detail.all { lines.len() } else { LINES.min(lines.len()) };
    for line in &lines[..shown] {
        for (at, part) in wrap(line, page.look.width.saturating_sub(4)).iter().enumerate() {
            writeln!(page, "  {} {part}", if at == 0 { "-" } else { " " })?;
        }
    }
    match lines.len() - shown {
        0 => Ok(()),
        hidden => page.paragraph(&format!("- … {} more; -v shows them", count(hidden as u64)), 2),
    }
}

/// How many fields differ that only tell who the client is, on one line.
pub(super) fn identity(view: &DiffView<'_>, page: &mut Page<'_>) -> io::Result<()> {
    let (mut fields, mut messages, mut names) = (0, 0, Vec::<&str>::new());
    let differs = |pair: &&MessagePair| pair.verdict == PairVerdict::Differs && view.counts(pair);
    let pairs = view.report.conversations.iter().flat_map(|compared| &compared.pairs);
    for pair in pairs.filter(differs) {
        let of_identity =
            |difference: &&Difference| difference.fails && difference.kind == ReportKind::Identity;
        let before = fields;
        for difference in pair.differences.iter().filter(of_identity) {
            fields += 1;
            let name = match difference.is_place() {
                true => "order",
                false => difference.name.rsplit('.').next().unwrap_or_default(),
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        messages += u64::from(fields > before);
    }
    if fields == 0 {
        return Ok(());
    }
    let figures = {
        let verb = if fields == 1 { "differs" } else { "differ" };
        format!("{} of {} {verb}", counted(fields, "field"), counted(messages, "message"))
    };
    let end = "; -v shows them";
    let mut line = format!("{figures} (");
    for (at, name) in names.iter().enumerate() {
        let more = format!("{}{name}", if at == 0 { "" } else { ", " });
        let rest = if at + 1 < names.len() { ", …)" } else { ")" };
        if 2 + columns(&line) + columns(&more) + columns(rest) + columns(end) > page.look.width {
            line.push_str(", …");
            break;
        }
        line.push_str(&more);
    }
    page.heading("Identity")?;
    page.paragraph(&format!("{line}){end}"), 2)
}

/// What tells refusals apart that are shown on lines of their own.
type RefusalKey<'a> = (ReplayedEnd, &'static str, RefusalAct, &'a str);

/// How many sentences a list has at most where not all are wanted.
const LINES: usize = 12;
