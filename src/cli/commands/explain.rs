//! `bittrace explain`: a page for each rule, message, tracker parameter and extension, and for each cause of a diagnosis. What it
//! is, what the document says, an example in bytes, and what to do.

mod causes;
mod examples;
mod extensions;
mod messages;
mod parameters;
mod rules;

use std::io::{self, Write};

use anyhow::{Result, bail};
use bittrace_protocol::Hex;
use bittrace_trace::diagnosis::DelayCause;
use bittrace_trace::record::Rule;
use bittrace_trace::rules::rule;

use crate::commands::fields::{spoken, write_fields};
use crate::print::hex;
use crate::print::output::{Output, styles};
use crate::print::page::Page;
use crate::print::table::Column;
use crate::query::catalog::{MESSAGE_CATALOG, MessageEntry};
use crate::query::names::close_to;

/// What to know of a rule beside its line in the table of rules.
struct RuleNotes {
    id: &'static str,
    /// What the document says.
    says: &'static str,
    /// What to do.
    fix: &'static str,
    /// The messages, parameters and extensions it is about.
    about: &'static [&'static str],
}

/// What to know of a message beside its entry in the catalog.
struct MessageNotes {
    protocol: &'static str,
    name: &'static str,
    extension: &'static str,
    /// What the document says.
    says: &'static str,
}

/// A parameter of an announce, or a key of a tracker's response.
struct ParameterNotes {
    place: PlaceOfParameter,
    name: &'static str,
    /// The document that names it, or `convention`.
    document: &'static str,
    section: &'static str,
    /// What it tells the other end.
    text: &'static str,
    /// What the document says.
    says: &'static str,
    /// How to use it.
    advice: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PlaceOfParameter {
    Request,
    Response,
}

/// An extension of the protocol.
struct ExtensionNotes {
    name: &'static str,
    document: &'static str,
    section: &'static str,
    /// What it is.
    text: &'static str,
    /// What the document says.
    says: &'static str,
    /// How an end says that it has the extension.
    offered: &'static str,
    /// Its messages.
    about: &'static [&'static str],
}

/// A cause that time belongs to in a diagnosis.
struct CauseNotes {
    cause: DelayCause,
    /// How it is told from the others.
    shows: &'static str,
    /// What helps.
    fix: &'static str,
    /// The messages and causes it has to do with.
    about: &'static [&'static str],
}

/// What a page is about.
#[derive(Clone, Copy)]
enum Topic {
    Rule(&'static Rule, &'static RuleNotes),
    Extension(&'static ExtensionNotes),
    Message(&'static MessageEntry, &'static MessageNotes),
    Parameter(&'static ParameterNotes),
    Cause(&'static CauseNotes),
}

/// Shows the pages of a name, or lists all names.
pub(crate) fn run(name: Option<&str>, output: &mut Output) -> Result<()> {
    let look = output.look;
    let page = &mut Page::new(look, output);
    let Some(name) = name else { return Ok(list(page)?) };
    let mut topics =
        topics().filter(|topic| topic.names().into_iter().any(|known| is_same(known, name))).peekable();
    if topics.peek().is_none() {
        let close = close_to(name, names());
        if close.is_empty() {
            bail!("explain: unknown name \"{name}\"; bittrace explain lists all names");
        }
        bail!("explain: unknown name \"{name}\"; did you mean {}?", close.join(" or "));
    }
    for (at, topic) in topics.enumerate() {
        if at > 0 {
            writeln!(page)?;
        }
        topic.write(page)?;
    }
    Ok(())
}

/// What to do about a broken rule.
pub(crate) fn advice(rule: &str) -> Option<&'static str> {
    rules::RULE_NOTES.iter().find(|notes| notes.id == rule).map(|notes| notes.fix)
}

/// All topics: rules, extensions, messages, parameters, causes.
fn topics() -> impl Iterator<Item = Topic> {
    let rules = rules::RULE_NOTES.iter().filter_map(|notes| Some(Topic::Rule(rule(notes.id)?, notes)));
    let extensions = extensions::EXTENSIONS.iter().map(Topic::Extension);
    let messages = MESSAGE_CATALOG.iter().filter_map(|entry| {
        let key = (entry.protocol, entry.name, entry.extension);
        let notes = messages::MESSAGE_NOTES
            .iter()
            .find(|notes| (notes.protocol, notes.name, notes.extension) == key)?;
        Some(Topic::Message(entry, notes))
    });
    let parameters = parameters::PARAMETERS.iter().map(Topic::Parameter);
    let causes = causes::CAUSE_NOTES.iter().map(Topic::Cause);
    rules.chain(extensions).chain(messages).chain(parameters).chain(causes)
}

/// Every name that has a page, one or several times each.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    topics().flat_map(Topic::names)
}

/// Whether a name is meant: case does not matter, and blanks, hyphens and underscores are the same.
fn is_same(known: &str, name: &str) -> bool {
    let plain = |c: char| if c == '_' || c == ' ' { '-' } else { c.to_ascii_lowercase() };
    known.chars().map(plain).eq(name.trim().chars().map(plain))
}

/// Tells the topics of a section from the others.
type TopicChoice = fn(&Topic) -> bool;

fn list(page: &mut Page<'_>) -> io::Result<()> {
    page.title("bittrace explain NAME explains any of these")?;
    let listed = |keep: TopicChoice| {
        let mut names: Vec<&str> =
            topics().filter(keep).filter_map(|topic| topic.names().into_iter().last()).collect();
        names.dedup();
        names.join(", ")
    };
    let sections: [(&str, TopicChoice); 6] = [
        ("Rules", |topic| matches!(topic, Topic::Rule(..))),
        ("Messages", |topic| matches!(topic, Topic::Message(..))),
        ("Parameters of an announce", |topic| is_at(topic, PlaceOfParameter::Request)),
        ("Keys of a tracker's response", |topic| is_at(topic, PlaceOfParameter::Response)),
        ("Extensions", |topic| matches!(topic, Topic::Extension(..))),
        ("Causes of a diagnosis", |topic| matches!(topic, Topic::Cause(..))),
    ];
    for (heading, keep) in sections {
        page.heading(heading)?;
        page.paragraph(&listed(keep), 2)?;
    }
    Ok(())
}

fn is_at(topic: &Topic, place: PlaceOfParameter) -> bool {
    matches!(topic, Topic::Parameter(notes) if notes.place == place)
}

impl Topic {
    /// The names it is found by; the last is its own.
    fn names(self) -> Vec<&'static str> {
        match self {
            Self::Rule(rule, _) => vec![rule.id],
            Self::Extension(notes) => vec![notes.name],
            Self::Message(entry, _) if entry.extension.is_empty() => vec![entry.name],
            Self::Message(entry, _) if entry.extension == "handshake" => vec![entry.name],
            Self::Message(entry, _) => vec![entry.name, entry.extension],
            Self::Parameter(notes) => vec![notes.name],
            Self::Cause(notes) => vec![notes.cause.name()],
        }
    }

    fn write(self, page: &mut Page<'_>) -> io::Result<()> {
        match self {
            Self::Rule(rule, notes) => write_rule(rule, notes, page),
            Self::Extension(notes) => write_extension(notes, page),
            Self::Message(entry, notes) => write_message(entry, notes, page),
            Self::Parameter(notes) => write_parameter(notes, page),
            Self::Cause(notes) => write_cause(notes, page),
        }
    }
}

/// What every page begins with: what it is about, the document with its section, and what that says.
fn write_head(title: &str, (name, section): (&str, &str), says: &str, page: &mut Page<'_>) -> io::Result<()> {
    page.painted(title, 0, styles::HEADING)?;
    document(name, section, page)?;
    page.heading("What the document says")?;
    page.paragraph(says, 2)
}

fn write_rule(rule: &Rule, notes: &RuleNotes, page: &mut Page<'_>) -> io::Result<()> {
    let title = format!("{}[{}]: {}", rule.severity.name(), rule.id, rule.text);
    write_head(&title, (rule.document, rule.section), notes.says, page)?;
    page.heading("What to do")?;
    page.paragraph(notes.fix, 2)?;
    let entry = notes.about.iter().find_map(|name| {
        MESSAGE_CATALOG.iter().find(|entry| {
            let is_it = match entry.extension {
                "" | "handshake" => entry.name == *name,
                extension => extension == *name,
            };
            is_it && example_of(entry).is_some()
        })
    });
    if let Some(entry) = entry {
        page.heading(&format!("A correct {} in bytes", spoken(entry)))?;
        write_example(entry, page)?;
    }
    see_also(notes.about.iter().copied(), page)
}

fn write_extension(notes: &ExtensionNotes, page: &mut Page<'_>) -> io::Result<()> {
    let title = format!("{} (extension): {}", notes.name, notes.text);
    write_head(&title, (notes.document, notes.section), notes.says, page)?;
    page.heading("How a client offers it")?;
    page.paragraph(notes.offered, 2)?;
    let carrier = if notes.offered.contains("extended handshake") {
        Some(("extended", "handshake"))
    } else {
        notes.offered.contains("handshake").then_some(("handshake", ""))
    };
    let entry = carrier.and_then(|(name, extension)| {
        MESSAGE_CATALOG.iter().find(|entry| entry.name == name && entry.extension == extension)
    });
    if let Some(entry) = entry {
        page.heading(&format!("A {} that offers extensions, in bytes", spoken(entry)))?;
        write_example(entry, page)?;
    }
    see_also(notes.about.iter().copied(), page)
}

fn write_message(entry: &'static MessageEntry, notes: &MessageNotes, page: &mut Page<'_>) -> io::Result<()> {
    let title = format!("{} (message of {}): {}", spoken(entry), entry.protocol, entry.text);
    write_head(&title, (entry.document, entry.section), notes.says, page)?;
    if !entry.fields.is_empty() {
        page.heading("Fields")?;
        write_fields(entry, page)?;
    }
    if example_of(entry).is_some() {
        page.heading("In bytes")?;
        write_example(entry, page)?;
    }
    let is_about = |notes: &&RuleNotes| {
        notes
            .about
            .iter()
            .any(|name| *name == entry.name || !entry.extension.is_empty() && *name == entry.extension)
    };
    let rules: Vec<&str> = rules::RULE_NOTES.iter().filter(is_about).map(|notes| notes.id).collect();
    if !rules.is_empty() {
        page.heading("Rules about it")?;
        page.paragraph(&rules.join(", "), 2)?;
    }
    Ok(())
}

fn write_parameter(notes: &ParameterNotes, page: &mut Page<'_>) -> io::Result<()> {
    let kind = match notes.place {
        PlaceOfParameter::Request => "parameter of an announce",
        PlaceOfParameter::Response => "key of a tracker's response",
    };
    let title = format!("{} ({kind}): {}", notes.name, notes.text);
    write_head(&title, (notes.document, notes.section), notes.says, page)?;
    page.heading("What to do")?;
    page.paragraph(notes.advice, 2)?;
    page.heading("In bytes")?;
    let bytes = match notes.place {
        PlaceOfParameter::Request => examples::parameter(notes.name).unwrap_or_default(),
        PlaceOfParameter::Response => examples::response_key(notes.name),
    };
    page.paragraph(&bytes, 2)?;
    if notes.name == "info_hash" {
        write_info_hash(page)?;
    }
    let rules = rules::RULE_NOTES.iter().filter(|rule| rule.about.contains(&notes.name)).map(|rule| rule.id);
    let whole = match notes.place {
        PlaceOfParameter::Request => "announce-request",
        PlaceOfParameter::Response => "announce-response",
    };
    see_also(std::iter::once(whole).chain(rules), page)
}

fn write_cause(notes: &CauseNotes, page: &mut Page<'_>) -> io::Result<()> {
    let title = format!("{} (cause of a diagnosis): {}", notes.cause.name(), notes.cause.meaning());
    page.painted(&title, 0, styles::HEADING)?;
    document("bittrace", "", page)?;
    page.heading("How it shows")?;
    page.paragraph(notes.shows, 2)?;
    page.heading("What to do")?;
    page.paragraph(notes.fix, 2)?;
    see_also(notes.about.iter().copied(), page)
}

/// The info hash of the example torrent in each of its forms, byte for byte.
fn write_info_hash(page: &mut Page<'_>) -> io::Result<()> {
    let dictionary = examples::info_dictionary();
    let hash = examples::info_hash();
    page.heading("How it is made")?;
    let shown = String::from_utf8_lossy(&dictionary[..dictionary.len() - 201]).into_owned();
    page.paragraph(
        &format!(
            "The info dictionary of an example, {} bytes as they stand in the torrent:",
            dictionary.len()
        ),
        2,
    )?;
    page.paragraph(&format!("{shown}[200 bytes: the SHA-1 of each of 10 pieces]e"), 4)?;
    page.paragraph("The SHA-1 of these bytes, in its three forms:", 2)?;
    page.paragraph("raw: 20 bytes, in handshakes and to UDP trackers", 4)?;
    page.paragraph(&format!("hex: {hash}, in magnet links"), 4)?;
    page.paragraph(&format!("escaped: {}, in the URL of an announce", examples::percent_encoded(&hash)), 4)?;
    page.heading("Byte for byte")?;
    let columns = [
        Column::numbers("byte"),
        Column::text("raw, in decimal", 8),
        Column::text("hex", 3),
        Column::text("escaped", 7),
    ];
    let rows: Vec<Vec<String>> = hash
        .0
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            let one = examples::escaped_byte(*byte);
            vec![at.to_string(), byte.to_string(), Hex(&[*byte]).to_string(), one]
        })
        .collect();
    page.table(&columns, &rows)?;
    page.heading("Of your own torrent")?;
    page.paragraph("bittrace torrent show FILE shows the byte range of the info dictionary in the file, and the command that hashes it. For bytes 85 to 322:", 2)?;
    page.paragraph("tail -c +86 FILE | head -c 238 | sha1sum", 4)
}

fn document(document: &str, section: &str, page: &mut Page<'_>) -> io::Result<()> {
    let line = match (document, section) {
        ("bittrace", _) => "No document: this rule is bittrace's own.".to_owned(),
        ("convention", _) => "No BEP: a convention among clients and trackers.".to_owned(),
        (document, "") => document.to_owned(),
        (document, section) => format!("{document}, section \"{section}\""),
    };
    page.painted(&line, 2, styles::DIM)
}

fn example_of(entry: &MessageEntry) -> Option<examples::Example> {
    examples::example(entry.protocol, entry.name, entry.extension)
}

fn write_example(entry: &MessageEntry, page: &mut Page<'_>) -> io::Result<()> {
    let Some(example) = example_of(entry) else { return Ok(()) };
    let look = page.look;
    hex::write_fields(&example.fields, &example.bytes, look, true, page)
}

fn see_also(names: impl Iterator<Item = &'static str>, page: &mut Page<'_>) -> io::Result<()> {
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        return Ok(());
    }
    page.heading("See also")?;
    page.paragraph(&format!("bittrace explain {}", names.join(", ")), 2)
}

/// Whether there is a page of that name.
#[cfg(test)]
fn has_page(name: &str) -> bool {
    names().any(|known| known == name)
}

#[cfg(test)]
mod tests {
    use bittrace_trace::rules::RULES;

    use super::*;

    #[test]
    fn every_rule_message_parameter_and_extension_has_a_page() {
        for rule in RULES {
            assert!(rules::RULE_NOTES.iter().any(|notes| notes.id == rule.id), "{}", rule.id);
        }
        let pages = topics().filter(|topic| matches!(topic, Topic::Message(..))).count();
        assert_eq!(pages, MESSAGE_CATALOG.len());
        for (name, place) in [
            ("announce-request", PlaceOfParameter::Request),
            ("announce-response", PlaceOfParameter::Response),
        ] {
            let of_http = [
                "method",
                "path",
                "version",
                "headers",
                "status",
                "reason",
                "before",
                "after",
                "peer_ids",
                "peer_id_text",
            ];
            let entry = MESSAGE_CATALOG.iter().find(|entry| entry.name == name).unwrap();
            for field in entry.fields.iter().filter(|field| !of_http.contains(&field.name)) {
                let has = |notes: &ParameterNotes| notes.place == place && notes.name == field.name;
                assert!(parameters::PARAMETERS.iter().any(has), "{}", field.name);
            }
        }
        for extension in MESSAGE_CATALOG.iter().map(|entry| entry.extension).filter(|name| !name.is_empty()) {
            assert!(extension == "handshake" || has_page(extension), "{extension}");
        }
        for bit in ["fast", "extended", "dht", "v2"] {
            assert!(has_page(bit), "{bit}");
        }
        for cause in DelayCause::ALL {
            assert!(has_page(cause.name()), "{}", cause.name());
        }
    }

    #[test]
    fn every_page_that_another_names_exists() {
        let rules = rules::RULE_NOTES.iter().flat_map(|notes| notes.about);
        let extensions = extensions::EXTENSIONS.iter().flat_map(|notes| notes.about);
        let causes = causes::CAUSE_NOTES.iter().flat_map(|notes| notes.about);
        for name in rules.chain(extensions).chain(causes) {
            assert!(has_page(name), "{name}");
        }
    }

    #[test]
    fn every_parameter_of_a_request_has_its_bytes() {
        for notes in parameters::PARAMETERS.iter().filter(|notes| notes.place == PlaceOfParameter::Request) {
            let bytes = examples::parameter(notes.name).unwrap_or_default();
            assert!(
                bytes.starts_with(&format!("{}=", notes.name)) && bytes.len() > notes.name.len() + 1,
                "{bytes}"
            );
        }
    }
}
