//! `bittrace fields`: every message, its fields with types and units, and the document that defines it.

use std::io::{self, Write};

use anyhow::{Result, bail};
use serde_json::json;

use crate::args::{FieldsArguments, TorrentFormat};
use crate::print::json::write_line;
use crate::print::output::{Output, styles};
use crate::print::page::Page;
use crate::print::table::Column;
use crate::query::catalog::{KEY_CATALOG, MESSAGE_CATALOG, MessageEntry};
use crate::query::names::{KEYS, close_to};

/// Runs the command.
pub(crate) fn run(arguments: &FieldsArguments, output: &mut Output) -> Result<()> {
    let wanted = |entry: &&MessageEntry| {
        let name = arguments.message.as_deref();
        name.is_none_or(|name| name == entry.name || !entry.extension.is_empty() && name == entry.extension)
    };
    let entries: Vec<&MessageEntry> = MESSAGE_CATALOG.iter().filter(wanted).collect();
    if let (true, Some(name)) = (entries.is_empty(), &arguments.message) {
        let close = close_to(name, names());
        if close.is_empty() {
            bail!("fields: unknown message \"{name}\"; bittrace fields lists all messages");
        }
        bail!("fields: unknown message \"{name}\"; did you mean {}?", close.join(" or "));
    }
    if arguments.format == TorrentFormat::Json {
        for entry in entries {
            write_line(&object(entry), output)?;
        }
        return Ok(());
    }
    let look = output.look;
    let page = &mut Page::new(look, output);
    match arguments.message {
        None => list(page)?,
        Some(_) => {
            for (at, entry) in entries.into_iter().enumerate() {
                if at > 0 {
                    writeln!(page)?;
                }
                describe(entry, page)?;
            }
        }
    }
    Ok(())
}

/// Every name of a message or of an extension's message, one or several times each.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let entries = MESSAGE_CATALOG.iter();
    entries
        .flat_map(|entry| [entry.name, entry.extension])
        .filter(|name| !name.is_empty() && *name != "handshake")
        .chain(["handshake"])
}

/// What every message has, then all messages with the names of their fields.
fn list(page: &mut Page<'_>) -> io::Result<()> {
    page.title("Every message has")?;
    let name = |at: usize| KEYS[at].0;
    let rows: Vec<Vec<String>> = KEY_CATALOG
        .iter()
        .enumerate()
        .map(|(at, entry)| [name(at), entry.kind, entry.unit, entry.text].map(str::to_owned).to_vec())
        .collect();
    page.table(&columns("name"), &rows)?;
    let mut protocol = "";
    for entry in MESSAGE_CATALOG {
        if entry.protocol != protocol {
            page.heading(&format!("Messages of {}, and their own fields", entry.protocol))?;
            protocol = entry.protocol;
        }
        let fields: Vec<&str> = entry.fields.iter().map(|field| field.name).collect();
        let fields = if fields.is_empty() { "none".to_owned() } else { fields.join(", ") };
        page.paragraph(&format!("{} ({}): {fields}", spoken(entry), source(entry)), 2)?;
    }
    page.heading("More")?;
    page.paragraph(
        "bittrace fields MESSAGE has types, units and meanings; bittrace explain MESSAGE has an example.",
        2,
    )
}

fn describe(entry: &MessageEntry, page: &mut Page<'_>) -> io::Result<()> {
    page.painted(
        &format!("{} (message of {}): {}", spoken(entry), entry.protocol, entry.text),
        0,
        styles::HEADING,
    )?;
    page.painted(&source(entry), 2, styles::DIM)?;
    if entry.fields.is_empty() {
        return page.paragraph("No fields of its own.", 2);
    }
    write_fields(entry, page)
}

/// Writes the fields of a message: name, type, unit, meaning.
pub(crate) fn write_fields(entry: &MessageEntry, page: &mut Page<'_>) -> io::Result<()> {
    let rows: Vec<Vec<String>> = entry
        .fields
        .iter()
        .map(|field| {
            [field.name, field.kind.name(), field.kind.unit(), field.text].map(str::to_owned).to_vec()
        })
        .collect();
    page.table(&columns("field"), &rows)
}

fn columns(first: &'static str) -> [Column; 4] {
    [Column::text(first, 12), Column::text("type", 8), Column::text("unit", 5), Column::text("meaning", 20)]
}

/// A message's name with its extension.
pub(crate) fn spoken(entry: &MessageEntry) -> String {
    match entry.extension {
        "" => entry.name.to_owned(),
        extension => format!("{} {extension}", entry.name),
    }
}

fn source(entry: &MessageEntry) -> String {
    match (entry.document, entry.section) {
        ("bittrace", _) => "no BEP".to_owned(),
        (document, "") => document.to_owned(),
        (document, section) => format!("{document}, {section}"),
    }
}

fn object(entry: &MessageEntry) -> serde_json::Value {
    let fields = entry.fields.iter().map(|field| {
        json!({ "name": field.name, "type": field.kind.name(), "unit": field.kind.unit(), "meaning": field.text })
    });
    json!({ "message": {
        "protocol": entry.protocol,
        "message": entry.name,
        "extension": entry.extension,
        "document": entry.document,
        "section": entry.section,
        "meaning": entry.text,
        "fields": fields.collect::<Vec<_>>(),
    }})
}
