//! Each connection between peers: who, how long, what each gave, how fast, and what was wasted.

use std::io;

use bittrace_protocol::Timestamp;
use bittrace_trace::Direction;
use bittrace_trace::record::Protocol;
use bittrace_trace::statistics::{Connection, Exchanges, Given};
use bittrace_trace::units::{count, counted, rough_size, short_hex, span};
use serde_json::{Value, json};

use super::{ROWS, Read, Rows, more, object};
use crate::print::json;
use crate::print::overview::outcome;
use crate::print::page::Page;
use crate::print::units::rfc3339;

const COLUMNS: &[&str] = &[
    "capture",
    "stream",
    "transport",
    "initiator",
    "responder",
    "torrent",
    "opened",
    "elapsed",
    "duration",
    "outcome",
    "from_initiator",
    "from_responder",
];

const WAYS: [(Direction, &str); 2] = [(Direction::FromInitiator, "→"), (Direction::FromResponder, "←")];

fn conversations<'a>(read: Read<'a>) -> impl Iterator<Item = &'a Connection> {
    read.summary
        .connections
        .rows()
        .iter()
        .filter(|connection| connection.protocol == Some(Protocol::PeerWire))
}

pub(super) fn write_table(exchanges: &Exchanges, read: Read<'_>, page: &mut Page<'_>) -> io::Result<()> {
    page.heading(&format!("Conversations of {}", read.name))?;
    let all = conversations(read).count();
    if all == 0 {
        return page.paragraph("None between peers that can be read.", 2);
    }
    let shown = if read.verbose { all } else { all.min(ROWS) };
    for connection in conversations(read).take(shown) {
        write_conversation(exchanges, connection, read.start, page)?;
    }
    more((all - shown) as u64 + read.summary.connections.more(), page)
}

fn write_conversation(
    exchanges: &Exchanges,
    connection: &Connection,
    start: Timestamp,
    page: &mut Page<'_>,
) -> io::Result<()> {
    let Some(stream) = connection.stream else { return Ok(()) };
    let client = |direction| connection.totals(direction).client.as_deref().unwrap_or("unknown client");
    page.paragraph(
        &format!(
            "stream {}: {} ({}) → {} ({})",
            stream.0,
            connection.initiator,
            client(Direction::FromInitiator),
            connection.responder,
            client(Direction::FromResponder)
        ),
        2,
    )?;
    let torrent = connection
        .torrent
        .map_or("no torrent named".to_owned(), |hash| short_hex(&hash.to_string()).into_owned());
    let opened = connection.opened.seconds_since(start);
    page.paragraph(
        &format!("{torrent}, at {opened:.3} for {}, {}", span(connection.duration()), outcome(connection)),
        4,
    )?;
    let exchange = exchanges.of(stream);
    for (direction, arrow) in WAYS {
        let totals = connection.totals(direction);
        let mut parts = vec![format!("{arrow} {}", rough_size(totals.bytes))];
        if totals.blocks > 0 {
            parts.push(format!("{} with {}", counted(totals.blocks, "block"), rough_size(totals.payload)));
        }
        parts.extend(totals.rate().map(|rate| format!("{}/s", rough_size(rate as u64))));
        parts.extend(
            exchange
                .map(|exchange| &exchange.directions[direction as usize])
                .map(exchanged)
                .unwrap_or_default(),
        );
        page.paragraph(&parts.join(", "), 4)?;
    }
    Ok(())
}

/// How it was given, in words.
fn exchanged(given: &Given) -> Vec<String> {
    let mut parts = Vec::new();
    if let (Some(median), Some(deepest)) = (given.median_depth(), given.deepest()) {
        let asked = counted(given.requests, "request");
        parts.push(format!("asked by {asked}, {median} open at the median, {deepest} at most"));
    }
    if given.open > 0 {
        parts.push(format!("{} never answered", counted(given.open, "request")));
    }
    let latencies = [("p50", 0.5), ("p95", 0.95)].map(|(name, share)| (name, given.latency(share)));
    if let ([(_, Some(half)), (_, Some(most))], Some(slowest)) = (latencies, given.slowest) {
        parts.push(format!("latency p50 {}, p95 {}, max {}", span(half), span(most), span(slowest)));
    }
    if let Some(choked) = given.choked() {
        let times =
            if given.chokes > 0 { format!(", {}", counted(given.chokes, "choke")) } else { String::new() };
        parts.push(format!("choked the other end for {}{times}", span(choked)));
    }
    for (bytes, word) in [(given.duplicate, "duplicate"), (given.unsolicited, "unsolicited")] {
        if bytes > 0 {
            parts.push(format!("{} bytes {word}", count(bytes)));
        }
    }
    parts
}

pub(super) fn rows(exchanges: &Exchanges, read: Read<'_>) -> Rows {
    let rows = conversations(read).map(|connection| {
        let exchange = connection.stream.and_then(|stream| exchanges.of(stream));
        let side = |direction: Direction| -> Value {
            let mut object = json::totals_object(connection.totals(direction));
            let given =
                exchange.map(|exchange| exchange.directions[direction as usize].clone()).unwrap_or_default();
            let more = json!({
                "requests": given.requests,
                "unanswered": given.open,
                "depth": { "median": given.median_depth(), "max": given.deepest() },
                "latency": {
                    "p50": given.latency(0.5), "p95": given.latency(0.95), "max": given.slowest,
                },
                "choked": given.choked(),
                "chokes": given.chokes,
                "duplicate": given.duplicate,
                "unsolicited": given.unsolicited,
            });
            if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
                object.extend(more);
            }
            object
        };
        object([
            ("capture", json!(read.name)),
            ("stream", json!(connection.stream.map(|stream| stream.0))),
            ("transport", json!(connection.transport.name())),
            ("initiator", json!(connection.initiator.to_string())),
            ("responder", json!(connection.responder.to_string())),
            ("torrent", json!(connection.torrent.map(|hash| hash.to_string()))),
            ("opened", json!(rfc3339(connection.opened))),
            ("elapsed", json!(connection.opened.seconds_since(read.start))),
            ("duration", json!(connection.duration())),
            ("outcome", json!(outcome(connection))),
            ("from_initiator", side(Direction::FromInitiator)),
            ("from_responder", side(Direction::FromResponder)),
        ])
    });
    Rows { name: "conversation", columns: COLUMNS, rows: rows.collect() }
}
