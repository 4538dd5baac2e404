//! Connections as a table of numbers, one line each: with whom, when, how much, how fast, and how blocks were given.

use std::cmp::Ordering;
use std::io::{self, Write};
use std::net::IpAddr;

use bittrace_protocol::Timestamp;
use bittrace_report::page::PageTable;
use bittrace_trace::record::Protocol;
use bittrace_trace::statistics::{Connection, Exchanges, Given};
use bittrace_trace::units::count;
use bittrace_trace::{Direction, StreamClosing, StreamOpening};

use crate::args::ConnectionOrder;
use crate::print::lines::{LineColumn, render_lines, short_moment, short_size, short_span};
use crate::print::output::styles;
use crate::print::page::Page;

/// What the rows of connections are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionTable<'a> {
    /// When the capture's first packet was captured.
    pub(crate) start: Timestamp,
    /// The host the capture is about. Without it, the end that a connection counts as local.
    pub(crate) local: Option<IpAddr>,
    /// How the blocks of each connection were given, where that was gathered.
    pub(crate) exchanges: Option<&'a Exchanges>,
    /// What the connections are sorted by.
    pub(crate) order: ConnectionOrder,
}

/// The width of an arrow, an IPv4 address and a port.
const PEER: usize = 23;

/// The columns of the table, those that go first for want of room having the highest numbers.
pub(crate) const COLUMNS: [LineColumn; 14] = [
    LineColumn::number("str"),
    LineColumn::text("peer", PEER),
    LineColumn::text("client", 8).spare(2),
    LineColumn::number("start").spare(7),
    LineColumn::number("lasted").spare(6),
    LineColumn::number("sent").spare(4),
    LineColumn::number("got"),
    LineColumn::number("rate"),
    LineColumn::number("blocks").spare(11),
    LineColumn::number("open").spare(9),
    LineColumn::number("p50").spare(1),
    LineColumn::number("p95").spare(10),
    LineColumn::number("choked").spare(5),
    LineColumn::number("waste").spare(8),
];

/// The columns of which both ends are named, and not the far end alone: where no host is local.
const OF_TWO_ENDS: [LineColumn; COLUMNS.len()] = {
    let mut columns = COLUMNS;
    columns[1] = LineColumn::text("initiator → responder", 30);
    columns[5] = LineColumn::number("there");
    columns[6] = LineColumn::number("back");
    columns
};

/// What the columns are, for a page that has room to say so.
const IN_FULL: [&str; COLUMNS.len()] = [
    "stream, as in --stream N",
    "the far end; → where the local host called it",
    "the client of the far end, and how the connection ended where that is unusual",
    "when the connection began, seconds since the first packet",
    "how long it lasted",
    "bytes that the local host sent",
    "bytes that the local host received",
    "bytes of blocks a second",
    "blocks of both directions",
    "outstanding requests, median",
    "time from request to block, median",
    "time from request to block that 95 % did not exceed",
    "how long the receiver of blocks was choked",
    "bytes that were sent again or not requested",
];

/// The same, where the columns differ because no host is local.
const IN_FULL_OF_TWO_ENDS: [(usize, &str); 4] = [
    (1, "who opened the connection, and who was called"),
    (2, "the clients of both, and how the connection ended where that is unusual"),
    (5, "bytes that the initiator sent"),
    (6, "bytes that the responder sent"),
];

impl ConnectionTable<'_> {
    /// The connections as a table of a page.
    pub(crate) fn for_page(&self, connections: &[&Connection], left_out: u64) -> PageTable {
        let shape = self.columns(connections);
        let mut in_full = IN_FULL;
        if self.names_both(connections) {
            IN_FULL_OF_TWO_ENDS.into_iter().for_each(|(at, text)| in_full[at] = text);
        }
        let columns = shape.iter().zip(in_full);
        PageTable {
            headings: columns.map(|(column, long)| (column.heading().to_owned(), long.to_owned())).collect(),
            numbers: COLUMNS.iter().map(LineColumn::is_of_numbers).collect(),
            rows: connections.iter().map(|connection| self.row(connection)).collect(),
            left_out,
        }
    }

    /// The connections in the order of the table.
    pub(crate) fn sorted<'c>(
        &self,
        connections: impl Iterator<Item = &'c Connection>,
    ) -> Vec<&'c Connection> {
        let mut sorted: Vec<_> = connections.collect();
        sorted.sort_by(|one, other| self.compare(one, other));
        sorted
    }

    /// Writes the table, and which columns were left out of it.
    pub(crate) fn write(&self, connections: &[&Connection], page: &mut Page<'_>) -> io::Result<()> {
        let rows: Vec<_> = connections.iter().map(|connection| self.row(connection)).collect();
        let rendered = render_lines(self.columns(connections), &rows, page.look);
        page.write_all(rendered.text.as_bytes())?;
        if rendered.left_out.is_empty() {
            return Ok(());
        }
        let columns = rendered.left_out.join(", ");
        let text = format!("no room for: {columns} (COLUMNS=120 or --view conversations --format csv)");
        page.painted(&text, 2, styles::DIM)
    }

    /// Whether no host is local, so that both ends of each connection are named.
    fn names_both(&self, connections: &[&Connection]) -> bool {
        self.local.is_none() && connections.iter().all(|connection| connection.local.is_none())
    }

    fn columns(&self, connections: &[&Connection]) -> &'static [LineColumn] {
        if self.names_both(connections) { &OF_TWO_ENDS } else { &COLUMNS }
    }

    /// The end that the table calls ours: what it sent is `sent`.
    fn own(&self, connection: &Connection) -> Option<Direction> {
        match self.local {
            Some(local) if connection.initiator.ip() == local => Some(Direction::FromInitiator),
            Some(local) if connection.responder.ip() == local => Some(Direction::FromResponder),
            // Who speaks first counts as local where the host is on neither end; a row has to name both then.
            Some(_) => None,
            None => connection.local,
        }
    }

    /// The cells of a connection, in the order of [`COLUMNS`].
    pub(crate) fn row(&self, connection: &Connection) -> Vec<String> {
        let local = self.own(connection);
        let own = local.unwrap_or(Direction::FromInitiator);
        let peer = match local {
            Some(Direction::FromInitiator) => format!("→ {}", connection.responder),
            Some(Direction::FromResponder) => format!("← {}", connection.initiator),
            // The port that a caller draws for one connection tells nothing.
            None if self.local.is_none() && connection.initiator.ip() != connection.responder.ip() => {
                format!("{} → {}", connection.initiator.ip(), connection.responder)
            }
            None => format!("{} → {}", connection.initiator, connection.responder),
        };
        let peer = match &connection.behind_proxy {
            Some(target) => format!("{peer} for {target}"),
            None => peer,
        };
        let client = |direction| connection.totals(direction).client.as_deref();
        let client = match (connection.protocol, local) {
            (Some(Protocol::HttpTracker), _) => "HTTP tracker".to_owned(),
            (Some(Protocol::UdpTracker), _) => "UDP tracker".to_owned(),
            (Some(Protocol::Utp), _) => "uTP".to_owned(),
            (Some(Protocol::Dht), _) => "DHT node".to_owned(),
            (Some(Protocol::WebSeed), _) => "web seed".to_owned(),
            (Some(Protocol::Lsd), _) => "local network".to_owned(),
            (_, Some(_)) => client(own.reverse()).unwrap_or_default().to_owned(),
            (_, None) => {
                let both = [client(own), client(own.reverse())].into_iter().flatten();
                both.collect::<Vec<_>>().join(" → ")
            }
        };
        // How a connection ended stands first: a client's name may be cut.
        let parts = [unusual(connection).unwrap_or_default(), client];
        let client = parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(", ");
        let amount = |bytes: u64| connection.stream.map_or(String::new(), |_| short_size(bytes));
        let blocks = connection.both().blocks;
        let given = self.given(connection);
        let from = |value: fn(&Given) -> Option<String>| given.and_then(value).unwrap_or_default();
        vec![
            connection.stream.map_or("-".to_owned(), |stream| stream.0.to_string()),
            peer,
            client,
            short_moment(connection.opened.seconds_since(self.start)),
            short_span(connection.duration()),
            amount(connection.totals(own).bytes),
            amount(connection.totals(own.reverse()).bytes),
            connection.both().rate().map_or(String::new(), |rate| short_size(rate as u64)),
            if blocks > 0 { count(blocks) } else { String::new() },
            from(|given| Some(given.median_depth()?.to_string())),
            from(|given| given.latency(0.5).map(short_span)),
            from(|given| given.latency(0.95).map(short_span)),
            from(|given| given.choked().map(short_span)),
            from(|given| match given.waste() {
                0 => None,
                waste => Some(short_size(waste)),
            }),
        ]
    }

    /// How blocks were given in the direction that carried more of them.
    fn given(&self, connection: &Connection) -> Option<&Given> {
        let exchange = self.exchanges?.of(connection.stream?)?;
        let [there, back] = connection.directions.each_ref().map(|totals| totals.payload);
        Some(&exchange.directions[usize::from(back > there)])
    }

    fn compare(&self, one: &Connection, other: &Connection) -> Ordering {
        let most = |value: &dyn Fn(&Connection) -> f64| value(other).total_cmp(&value(one));
        let own = |connection: &Connection| self.own(connection).unwrap_or(Direction::FromInitiator);
        let rate = |connection: &Connection| connection.both().rate();
        let latency = |connection: &Connection| self.given(connection).and_then(|given| given.latency(0.5));
        let order = match self.order {
            ConnectionOrder::Bytes => other.both().bytes.cmp(&one.both().bytes),
            ConnectionOrder::Sent => most(&|connection| connection.totals(own(connection)).bytes as f64),
            ConnectionOrder::Got => {
                most(&|connection| connection.totals(own(connection).reverse()).bytes as f64)
            }
            ConnectionOrder::Rate => most(&|connection| rate(connection).unwrap_or(-1.0)),
            ConnectionOrder::Slowest => most(&|connection| -rate(connection).unwrap_or(f64::INFINITY)),
            ConnectionOrder::Latency => most(&|connection| latency(connection).unwrap_or(-1.0)),
            ConnectionOrder::Lasted => most(&Connection::duration),
            ConnectionOrder::Start => one.opened.cmp(&other.opened),
        };
        order.then(one.opened.cmp(&other.opened))
    }
}

/// How a connection ended, or what of it the capture lacks, where that is not the ordinary course of a connection.
fn unusual(connection: &Connection) -> Option<String> {
    let mut parts = Vec::new();
    parts.extend(match connection.closing {
        Some(StreamClosing::Reset) => Some("reset"),
        Some(StreamClosing::Refused) => Some("refused"),
        Some(StreamClosing::Unanswered) => Some("unanswered"),
        Some(StreamClosing::Replaced) => Some("replaced"),
        Some(StreamClosing::Finished | StreamClosing::CaptureEnded) | None => None,
    });
    if connection.opening == Some(StreamOpening::MidStream) {
        parts.push("mid-stream");
    }
    if connection.unseen.is_some() {
        parts.push("one direction");
    }
    if connection.decrypted {
        parts.push("decrypted");
    } else if connection.encrypted {
        parts.push("encrypted");
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}
