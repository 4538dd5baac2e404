//! Each connection between peers: who, how long, what each gave, how fast, and what was wasted.

use std::io;
use std::net::IpAddr;

use bittrace_protocol::Timestamp;
use bittrace_report::page::PageTable;
use bittrace_trace::record::Protocol;
use bittrace_trace::statistics::{Connection, Exchanges};
use bittrace_trace::{Direction, Summary};
use serde_json::{Value, json};

use super::{ROWS, Read, Rows};
use crate::args::ConnectionOrder;
use crate::print::connection_table::ConnectionTable;
use crate::print::json::object;
use crate::print::overview::outcome;
use crate::print::page::Page;
use crate::print::run_summary::totals_object;
use crate::print::units::rfc3339;

const COLUMNS: &[&str] = &[
    "capture",
    "stream",
    "ws_stream",
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

/// How many connections a page lists.
const OF_A_PAGE: usize = 60;

/// The connections between peers as a table of a page. `start` is when the first packet was captured.
pub(crate) fn connections_of_page(
    exchanges: &Exchanges,
    summary: &Summary,
    start: Timestamp,
    local: Option<IpAddr>,
    order: ConnectionOrder,
) -> PageTable {
    let table = ConnectionTable { start, local, exchanges: Some(exchanges), order };
    let sorted = table.sorted(conversations(summary));
    let shown = OF_A_PAGE.min(sorted.len());
    table.for_page(&sorted[..shown], (sorted.len() - shown) as u64 + summary.connections.more())
}

fn conversations(summary: &Summary) -> impl Iterator<Item = &Connection> {
    summary.connections.rows().iter().filter(|connection| match connection.protocol {
        Some(protocol) => protocol == Protocol::PeerWire,
        // A call to a peer that was refused, or that nobody answered.
        None => true,
    })
}

fn table<'a>(exchanges: &'a Exchanges, read: Read<'_>) -> ConnectionTable<'a> {
    ConnectionTable {
        start: read.start,
        local: read.trace.local(),
        exchanges: Some(exchanges),
        order: read.order.unwrap_or_default(),
    }
}

pub(super) fn write_table(exchanges: &Exchanges, read: Read<'_>, page: &mut Page<'_>) -> io::Result<()> {
    page.heading(&format!("Conversations of {}", read.name))?;
    let table = table(exchanges, read);
    let sorted = table.sorted(conversations(read.summary));
    if sorted.is_empty() {
        return page.paragraph("No readable connections between peers.", 2);
    }
    let shown = match read.limit {
        Some(limit) => limit,
        None if read.verbose => usize::MAX,
        None => ROWS,
    };
    let shown = shown.min(sorted.len());
    table.write(&sorted[..shown], page)?;
    let option = if read.limit.is_some() { "--limit 0" } else { "-v" };
    page.left_out((sorted.len() - shown) as u64, option, read.summary.connections.more())
}

pub(super) fn rows(exchanges: &Exchanges, read: Read<'_>) -> Rows {
    // Programs get the order of the capture unless they ask for another.
    let mut chosen: Vec<_> = match read.order {
        Some(_) => table(exchanges, read).sorted(conversations(read.summary)),
        None => conversations(read.summary).collect(),
    };
    chosen.truncate(read.limit.unwrap_or(usize::MAX));
    let rows = chosen.into_iter().map(|connection| {
        let exchange = connection.stream.and_then(|stream| exchanges.of(stream));
        let side = |direction: Direction| -> Value {
            let mut object = totals_object(connection.totals(direction));
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
                "again_after_wrong_hash": given.after_wrong_hash,
                "wrong_hash": given.wrong_hash,
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
            ("ws_stream", json!(connection.wireshark_stream)),
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
    Rows::new("conversation", COLUMNS, rows)
}
