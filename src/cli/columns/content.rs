//! What a message's own fields say, as the columns of the table of messages: numbers and names that queries ask for, and
//! all fields as JSON where these do not say everything.

use bittrace_columnar::MessageContent;
use serde_json::{Map, Value};

use crate::query::names::RowKey;
use crate::query::row::Row;

/// The messages between peers whose piece and block have columns.
const BLOCK_MESSAGES: [&str; 7] =
    ["have", "request", "piece", "cancel", "reject-request", "allowed-fast", "suggest-piece"];

/// The fields that name a block, each with a column.
const BLOCK_COLUMNS: [&str; 3] = ["index", "begin", "length"];

/// What a message's fields say. `text` is room for their JSON.
pub(super) fn content<'r>(row: &'r Row<'_>, text: &'r mut String) -> MessageContent<'r> {
    let (protocol, message) = (row.record.body.protocol().name(), row.record.body.message());
    let names_block = protocol == "peer-wire" && BLOCK_MESSAGES.contains(&message);
    let mut block = [None; BLOCK_COLUMNS.len()];
    let (mut says_nothing, mut is_block) = (true, true);
    let numbers_alone = row.each_number(|name, number| {
        says_nothing = false;
        match BLOCK_COLUMNS.iter().position(|column| *column == name) {
            Some(column) => block[column] = i64::try_from(number).ok(),
            None => is_block = false,
        }
    });
    if numbers_alone && says_nothing {
        return MessageContent::default();
    }
    if numbers_alone && names_block && is_block {
        let [index, begin, block_length] = block;
        return MessageContent { index, begin, block_length, ..MessageContent::default() };
    }
    if let Some(fields) = row.key(RowKey::Fields) {
        *text = fields.to_string();
    }
    let map = row.fields();
    let fields = Some(text.as_str());
    let number = |name: &str| map.get(name).and_then(Value::as_i64);
    let word = |name: &str| map.get(name).and_then(Value::as_str);
    match (protocol, message) {
        _ if names_block => MessageContent {
            index: number("index"),
            begin: number("begin"),
            block_length: number("length"),
            fields,
            ..MessageContent::default()
        },
        ("peer-wire", "extended") => {
            let extension = word("extension");
            let is_pex = extension == Some("ut_pex");
            let peers = is_pex.then(|| peers(map, &["added", "added6"]));
            MessageContent { extension, peers, fields, ..MessageContent::default() }
        }
        ("http-tracker" | "udp-tracker", "announce-request") => MessageContent {
            event: word("event"),
            left: number("left"),
            uploaded: number("uploaded"),
            downloaded: number("downloaded"),
            fields,
            ..MessageContent::default()
        },
        ("http-tracker" | "udp-tracker", "announce-response") => MessageContent {
            interval: number("interval"),
            seeders: number("seeders").or_else(|| number("complete")),
            leechers: number("leechers").or_else(|| number("incomplete")),
            peers: Some(peers(map, &["peers", "peers6"])),
            fields,
            ..MessageContent::default()
        },
        ("dht", "get_peers-response") if map.contains_key("values") => {
            MessageContent { peers: Some(peers(map, &["values"])), fields, ..MessageContent::default() }
        }
        _ => MessageContent { fields, ..MessageContent::default() },
    }
}

/// The peers under these names.
fn peers<'v>(map: &'v Map<String, Value>, names: &[&str]) -> Vec<&'v str> {
    let lists = names.iter().filter_map(|name| map.get(*name)?.as_array());
    lists.flatten().filter_map(Value::as_str).collect()
}
