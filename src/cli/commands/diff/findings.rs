//! The rules that the candidate breaks, in the form in which compilers show errors: the message, what the reference has in
//! its place, what to do.

use std::io::{self, Write};

use bittrace_replay::FieldTexts;
use bittrace_report::BrokenRule;
use bittrace_trace::Side;
use bittrace_trace::statistics::Finding;
use bittrace_trace::units::count;
use serde_json::{Map, Value, json};

use super::details::shortened;
use super::{DiffView, NamedMessage};
use crate::commands::explain::advice;
use crate::print::output::styles;
use crate::print::page::Page;
use crate::print::printable::printable;
use crate::print::table::{columns, pad, wrap};

/// Writes the findings of the candidate's own conduct, the most severe first.
pub(super) fn write(view: &DiffView<'_>, page: &mut Page<'_>) -> io::Result<()> {
    let broken = broken_rules(view);
    if broken.is_empty() {
        return Ok(());
    }
    page.heading("Rules that the candidate breaks")?;
    for (at, broken) in broken.iter().enumerate() {
        if at > 0 {
            writeln!(page)?;
        }
        one(broken, page)?;
    }
    Ok(())
}

/// The rules that the candidate breaks, as a page in HTML has them; none where its conduct is not judged.
pub(super) fn broken_rules(view: &DiffView<'_>) -> Vec<BrokenRule> {
    let judged = view.report.judged.counts(Side::Local);
    let findings = view.candidate.broken_rules.iter().filter(|_| judged);
    findings.map(|finding| broken_rule(view, finding)).collect()
}

fn broken_rule(view: &DiffView<'_>, finding: &Finding) -> BrokenRule {
    let rule = finding.rule;
    let evidence = Evidence::of(view, finding);
    let yours = evidence.yours.as_ref();
    let (stream, number, packet, message) = match yours {
        Some(said) => {
            let frame = said.message.stored.frames.last().copied();
            let stored = said.message.stored;
            (said.message.conversation.stream.0, stored.number, frame, stored.message())
        }
        None => (finding.stream.0, finding.first, finding.frames.first().copied(), finding.message),
    };
    let packet = packet.map_or(String::new(), |packet| format!(", packet {packet}"));
    let times = if finding.count > 1 { format!(" ({} times)", count(finding.count)) } else { String::new() };
    let mut rows: Vec<(String, String)> = Vec::new();
    if let Some(yours) = yours {
        rows.push((yours.line(), "yours".to_owned()));
    }
    if let Some(reference) = &evidence.reference
        && yours.is_none_or(|yours| yours.line() != reference.line())
    {
        let label = format!("reference (message {})", reference.message.stored.number);
        rows.push((reference.line(), label));
    }
    let first = view.reference.broken_rules.iter().find(|one| one.rule.id == rule.id);
    BrokenRule {
        severity: rule.severity,
        rule: rule.id,
        text: finding.text.to_string(),
        place: format!("stream {stream}, message {number}{packet}: {message}{times}"),
        number,
        evidence: rows,
        reference_too: first
            .map(|first| format!("the reference breaks this rule too, first in message {}", first.first)),
        advice: advice(rule.id).unwrap_or_default(),
    }
}

fn one(broken: &BrokenRule, page: &mut Page<'_>) -> io::Result<()> {
    let title = format!("{}[{}]: {}", broken.severity.name(), broken.rule, printable(&broken.text));
    page.painted(&title, 2, styles::severity(broken.severity))?;
    page.paragraph(&format!("--> {}", broken.place), 4)?;
    let longest = broken.evidence.iter().map(|(line, _)| columns(line)).max().unwrap_or(0);
    for (line, label) in &broken.evidence {
        // The text is printable: `line` makes it so.
        let row = format!("|  {}   {label}", pad(line, longest));
        match 5 + columns(&row) <= page.look.width {
            true => writeln!(page, "     {row}")?,
            false => page.paragraph(&format!("|  {line} ({label})"), 5)?,
        }
    }
    if let Some(text) = &broken.reference_too {
        page.paragraph(&format!("= {text}"), 5)?;
    }
    let more = format!("bittrace explain {}", broken.rule);
    let mut lines = wrap(broken.advice, page.look.width.saturating_sub(7));
    match lines.last_mut() {
        Some(last) if 7 + columns(last) + 3 + columns(&more) <= page.look.width => {
            last.push_str(&format!("   {more}"));
        }
        _ => lines.push(more),
    }
    for (at, line) in lines.iter().enumerate() {
        writeln!(page, "     {} {line}", if at == 0 { "=" } else { " " })?;
    }
    Ok(())
}

/// What a finding rests on: the candidate's message, and the reference's counterpart of it.
struct Evidence<'a> {
    yours: Option<EvidenceMessage<'a>>,
    reference: Option<EvidenceMessage<'a>>,
}

/// A message, and what it says that the rule is about.
struct EvidenceMessage<'a> {
    message: NamedMessage<'a>,
    /// Names of fields, and their values; `None` where the message has no such field.
    fields: Vec<(String, Option<String>)>,
}

impl<'a> Evidence<'a> {
    fn of(view: &DiffView<'a>, finding: &Finding) -> Self {
        // Where two messages contradict each other, the first one is the cause.
        let number = finding.cause.unwrap_or(finding.first);
        for compared in &view.report.conversations {
            let (reference, candidate) = view.conversations(compared);
            let Some(conversation) = candidate else { continue };
            let messages = &conversation.direction(Side::Local).messages;
            let Ok(at) = messages.binary_search_by_key(&number, |stored| stored.number) else { continue };
            let message = |message| EvidenceMessage::of(message, finding.rule.id);
            let yours = message(NamedMessage { conversation, stored: &messages[at] });
            let pair = compared.pairs.iter().find(|pair| {
                pair.side == Side::Local && pair.candidate.is_some_and(|candidate| candidate as usize == at)
            });
            let counterpart = pair.and_then(|pair| {
                let conversation = reference?;
                let stored = conversation.direction(Side::Local).messages.get(pair.reference? as usize)?;
                Some(message(NamedMessage { conversation, stored }))
            });
            return Self { yours: Some(yours), reference: counterpart };
        }
        Self { yours: None, reference: None }
    }
}

impl<'a> EvidenceMessage<'a> {
    fn of(message: NamedMessage<'a>, rule: &str) -> Self {
        let texts = FieldTexts::of(message.stored);
        let mut fields: Vec<(String, Option<String>)> =
            texts.content().map(|(name, value)| (name.to_owned(), Some(value))).collect();
        let about = fields_of_rule(rule);
        if !about.is_empty() {
            let value = |name: &str| {
                fields.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.clone())
            };
            fields = about.iter().map(|name| ((*name).to_owned(), value(name))).collect();
        }
        Self { message, fields }
    }

    /// The fields on a line; of a message with many fields, what it says.
    fn line(&self) -> String {
        let Self { message: NamedMessage { conversation, stored }, fields } = self;
        if fields.len() > FIELDS {
            return printable(&shortened(&conversation.describe(Side::Local, stored), LINE)).into_owned();
        }
        if fields.is_empty() {
            return stored.message().to_owned();
        }
        let field = |(name, value): &(String, Option<String>)| match value {
            Some(value) => format!("{name} {}", printable(&shortened(value, VALUE))),
            None => format!("no {name}"),
        };
        fields.iter().map(field).collect::<Vec<_>>().join(", ")
    }

    fn json(&self) -> Value {
        let fields: Map<String, Value> =
            self.fields.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        json!({ "n": self.message.stored.number, "message": self.message.stored.message(), "fields": fields })
    }
}

/// How many fields are shown by name and value, and how many letters of each value and of a line.
const FIELDS: usize = 4;
const VALUE: usize = 24;
const LINE: usize = 48;

/// The fields of a message that a rule is about; none where it is about the message as a whole.
fn fields_of_rule(rule: &str) -> &'static [&'static str] {
    match rule {
        "bep3.left-too-little" | "bep3.left-too-much" | "bep3.left-grew" => &["left"],
        "bep3.completed-with-bytes-left" => &["event", "left"],
        "bep3.started-missing" | "bep3.announce-early" => &["event"],
        "bep3.announce-malformed" => &["info_hash"],
        "bep3.info-hash-mismatch" => &["info_hash"],
        "bep3.self-connection" => &["peer_id"],
        _ => &[],
    }
}

/// The rules that a capture's local host broke, the most severe first. `view` is given for the candidate's, which are shown
/// with what they rest on.
pub(super) fn json(findings: &[Finding], view: Option<&DiffView<'_>>) -> Value {
    let object = |finding: &Finding| {
        let mut object = json!({
            "rule": finding.rule.id,
            "severity": finding.rule.severity.name(),
            "text": finding.text,
            "count": finding.count,
            "stream": finding.stream.0,
            "n": finding.first,
            "frame": finding.frames.first(),
            "message": finding.message,
            "cause": finding.cause,
            "advice": advice(finding.rule.id),
        });
        if let (Some(view), Some(object)) = (view, object.as_object_mut()) {
            let Evidence { yours, reference } = Evidence::of(view, finding);
            object.insert("yours".to_owned(), json!(yours.map(|yours| yours.json())));
            object.insert("reference".to_owned(), json!(reference.map(|reference| reference.json())));
        }
        object
    };
    findings.iter().map(object).collect()
}
