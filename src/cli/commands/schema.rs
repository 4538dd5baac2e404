//! `bittrace schema`: the JSON of `analyze` as a JSON Schema, made from the tables that filters and pages use.

use bittrace_trace::rules::RULES;
use serde_json::{Map, Value, json};

use crate::print::capture_row::SCHEMA;
use crate::print::run_summary::CaptureLists;
use crate::query::catalog::{FieldKind, KEY_CATALOG, KeyEntry, MESSAGE_CATALOG, MessageEntry, message_names};
use crate::query::names::{KEYS, KeyPlace, PROTOCOLS, RowKey};

/// The schema of a line of `analyze --format json`.
pub(crate) fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of bittrace analyze or diagnose --format json",
        "description": "A message, a row of another view, what there is to say of a capture at its end, or the closing summary. Objects may gain keys; a key keeps its type.",
        "anyOf": [
            { "$ref": "#/$defs/message" },
            view("conversation", &["capture", "stream", "ws_stream", "transport", "initiator", "responder", "opened"]),
            view("piece", &["capture", "torrent", "piece", "complete", "n", "verified", "wrong_blocks", "again"]),
            view("finding", &["capture", "severity", "rule", "count", "first", "frames", "says", "messages", "message_count"]),
            view("diagnosis", &["capture", "direction", "start", "duration", "bytes", "sentences", "seconds", "stalls", "rates"]),
            view("budget", &["capture", "stream", "transport", "sender", "receiver", "duration", "seconds", "ended"]),
            view("rule", &["rule", "severity", "document", "section", "text"]),
            { "$ref": "#/$defs/capture" },
            { "$ref": "#/$defs/summary" },
        ],
        "$defs": { "message": message(), "note": note(), "capture": capture(), "summary": summary() },
    })
}

/// A row of a view: one object under its name.
fn view(name: &str, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "required": [name],
        "additionalProperties": false,
        "properties": { name: { "type": "object", "required": required } },
    })
}

/// The lists of what is in a capture. The summary of a run of one capture has them, else the object of each capture.
fn lists() -> Map<String, Value> {
    let list = json!({ "type": "array", "items": { "type": "object" } });
    let names = CaptureLists::default().entries();
    names.into_iter().map(|(name, _)| (name, list.clone())).collect()
}

fn capture() -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    let text = json!({ "type": ["string", "null"] });
    let severities = ["chat", "note", "warn", "error"];
    let findings: Map<String, Value> =
        severities.iter().map(|name| ((*name).to_owned(), count.clone())).collect();
    let mut properties = json!({
        "capture": { "type": "string" },
        "ok": { "type": "boolean", "description": "whether it could be read; also of one that was cut short" },
        "exit": { "enum": [0, 1, 2, 130], "description": "the exit code of a run over this capture alone" },
        "error": { "type": ["string", "null"], "description": "why it could not be read, or not to its end" },
        "format": text, "packets": count, "bytes": count, "copies": count,
        "first_time": text, "last_time": text, "local": text,
        "truncated": { "type": "boolean", "description": "whether its end is missing" },
        "cut_at": { "type": ["integer", "null"], "minimum": 0, "description": "where the packet begins that is not whole (bytes)" },
        "messages": { "type": "integer", "minimum": 0, "description": "how many messages are chosen" },
        "findings": { "type": "object", "required": severities, "additionalProperties": false, "properties": findings },
        "version": { "type": "string", "description": "the version of bittrace" },
        "schema": { "const": SCHEMA },
    });
    let required: Vec<String> =
        properties.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    if let Some(properties) = properties.as_object_mut() {
        properties.extend(lists());
    }
    json!({
        "type": "object",
        "required": ["capture"],
        "additionalProperties": false,
        "properties": { "capture": {
            "type": "object",
            "required": required,
            "additionalProperties": false,
            "properties": properties,
        }},
    })
}

fn summary() -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    let counts = json!({ "type": "object", "additionalProperties": count });
    let totals = json!({
        "capture_count": count, "failed": count, "packets": count, "bytes": count, "streams": count,
        "messages": counts, "findings": counts, "unread": counts, "truncated": { "type": "boolean" },
    });
    let required: Vec<String> =
        totals.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    let mut properties = lists();
    properties.extend(totals.as_object().cloned().unwrap_or_default());
    json!({
        "type": "object",
        "required": ["summary"],
        "additionalProperties": false,
        "properties": { "summary": { "type": "object", "required": required, "properties": properties } },
    })
}

fn note() -> Value {
    let rules: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
    json!({
        "type": "object",
        "required": ["severity", "rule", "text"],
        "additionalProperties": false,
        "properties": {
            "severity": { "enum": ["chat", "note", "warn", "error"] },
            "rule": { "enum": rules },
            "text": { "type": "string" },
        },
    })
}

fn message() -> Value {
    let in_object =
        |key: RowKey| matches!(key.place(), KeyPlace::Everywhere | KeyPlace::Json | KeyPlace::WithBytes);
    let entries = KEYS.iter().zip(KEY_CATALOG).filter(|((_, key), _)| in_object(*key));
    let properties: Map<String, Value> =
        entries.clone().map(|((name, _), entry)| ((*name).to_owned(), key_schema(entry))).collect();
    let required: Vec<&str> =
        entries.filter(|((_, key), _)| !is_optional(*key)).map(|((name, _), _)| *name).collect();
    let cases: Vec<Value> = MESSAGE_CATALOG.iter().map(case).collect();
    json!({
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": properties,
        "allOf": cases,
    })
}

/// Whether a message may lack the key.
const fn is_optional(key: RowKey) -> bool {
    matches!(
        key,
        RowKey::Client
            | RowKey::Torrent
            | RowKey::Decrypted
            | RowKey::Answers
            | RowKey::Latency
            | RowKey::Bytes
            | RowKey::Spans
    )
}

fn key_schema(entry: &KeyEntry) -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    let mut schema = match entry.key {
        RowKey::Wireshark => json!({
            "type": "object",
            "required": ["stream", "frame"],
            "additionalProperties": false,
            "properties": {
                "stream": { "type": ["integer", "null"], "minimum": 0 },
                "frame": { "type": ["integer", "null"], "minimum": 1 },
            },
        }),
        RowKey::Frames => json!({ "type": "array", "items": count }),
        RowKey::Time => json!({ "type": "string", "pattern": "^[0-9-]+T[0-9:]+\\.([0-9]{6}|[0-9]{9})Z$" }),
        RowKey::Elapsed | RowKey::Latency => json!({ "type": "number" }),
        RowKey::Side => json!({ "enum": ["local", "far", "initiator", "responder"] }),
        RowKey::Transport => json!({ "enum": ["tcp", "udp", "utp"] }),
        RowKey::Protocol => json!({ "enum": PROTOCOLS }),
        RowKey::Message => {
            let mut names: Vec<&str> = message_names().collect();
            names.sort_unstable();
            names.dedup();
            json!({ "enum": names })
        }
        RowKey::Fields => json!({ "type": "object" }),
        RowKey::Spans => {
            let span = json!({ "type": "array", "items": count, "minItems": 2, "maxItems": 2 });
            let spans = json!({ "type": "array", "items": span });
            json!({ "type": "object", "additionalProperties": { "anyOf": [span, spans] } })
        }
        RowKey::Torrent => kind_schema(FieldKind::Hash),
        RowKey::Bytes => kind_schema(FieldKind::Hex),
        RowKey::Decrypted => json!({ "const": true }),
        RowKey::Notes => json!({ "type": "array", "items": { "$ref": "#/$defs/note" } }),
        _ if entry.kind == "integer" => count,
        _ => json!({ "type": "string" }),
    };
    describe(&mut schema, entry.text, entry.unit);
    schema
}

/// What the fields of one kind of message are.
fn case(entry: &MessageEntry) -> Value {
    let mut properties = Map::new();
    for field in entry.fields {
        let one = kind_schema(field.kind);
        // What a message has twice under one name is a list of both.
        let mut schema = match field.kind {
            FieldKind::Flags | FieldKind::Endpoints | FieldKind::Object | FieldKind::List => one,
            _ => json!({ "anyOf": [one, { "type": "array", "items": one }] }),
        };
        describe(&mut schema, field.text, field.kind.unit());
        properties.insert(field.name.to_owned(), schema);
    }
    let mut fields = json!({});
    if is_closed(entry) {
        // Of a message of a wrong length, the payload is counted.
        properties.entry("length").or_insert(json!({ "type": "integer", "minimum": 0 }));
        fields["additionalProperties"] = json!(false);
    }
    fields["properties"] = Value::Object(properties);
    let mut condition =
        json!({ "protocol": { "const": entry.protocol }, "message": { "const": entry.name } });
    let mut needed = vec!["protocol", "message"];
    if !entry.extension.is_empty() {
        condition["fields"] =
            json!({ "required": ["extension"], "properties": { "extension": { "const": entry.extension } } });
        needed.push("fields");
    }
    json!({
        "if": { "required": needed, "properties": condition },
        "then": { "description": entry.text, "properties": { "fields": fields } },
    })
}

/// Whether the document fixes every field: messages without dictionaries, parameters and headers.
fn is_closed(entry: &MessageEntry) -> bool {
    let is_binary = matches!(entry.protocol, "peer-wire" | "udp-tracker" | "mse");
    is_binary && entry.extension.is_empty() && entry.document != "bittrace" && entry.name != "unknown"
}

fn kind_schema(kind: FieldKind) -> Value {
    match kind {
        FieldKind::Number | FieldKind::Bytes | FieldKind::Seconds => json!({ "type": "integer" }),
        FieldKind::Text | FieldKind::Address | FieldKind::Endpoint => json!({ "type": "string" }),
        FieldKind::Hex => json!({ "type": "string", "pattern": "^([0-9a-f]{2})*$" }),
        FieldKind::Hash => json!({ "type": "string", "pattern": "^([0-9a-f]{40}|[0-9a-f]{64})$" }),
        FieldKind::Flags | FieldKind::Endpoints => json!({ "type": "array", "items": { "type": "string" } }),
        FieldKind::Object => json!({ "type": "object" }),
        FieldKind::List => json!({ "type": "array" }),
    }
}

fn describe(schema: &mut Value, text: &str, unit: &str) {
    let text = if unit.is_empty() { text.to_owned() } else { format!("{text} ({unit})") };
    schema["description"] = json!(text);
}
