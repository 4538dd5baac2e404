//! The line that names a stream before its first message: the other end, its client, and who opened the connection.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::IpAddr;

use bittrace_trace::record::{Protocol, Record};
use bittrace_trace::{Direction, Flow, StreamId, Transport};

use crate::print::output::{Look, styles};
use crate::print::printable::printable;
use crate::print::table::{columns, fit};
use crate::query::row::Row;

/// The streams that a table has named, with the ends that it named.
#[derive(Debug, Default)]
pub(crate) struct StreamLines {
    named: HashMap<StreamId, Flow>,
}

/// How many streams are remembered. Beyond them all are named anew.
const REMEMBERED: usize = 10_000;

impl StreamLines {
    /// Writes the line of the message's stream, unless it was written for the same two ends. Says whether the line that was
    /// written names the client of the message.
    pub(crate) fn name(
        &mut self,
        row: &Row<'_>,
        local: Option<IpAddr>,
        look: Look,
        out: &mut dyn Write,
    ) -> io::Result<bool> {
        let record = row.record;
        let flow = record.flow();
        if self.named.get(&record.stream) == Some(&flow) {
            return Ok(false);
        }
        if self.named.len() >= REMEMBERED {
            self.named.clear();
        }
        self.named.insert(record.stream, flow);
        let (line, names_client) = stream_line(record, local, look.width);
        writeln!(out, "{}", look.paint(styles::HEADING, &line))?;
        Ok(names_client)
    }
}

/// Whether the arrow of a message points away from the local host; from the initiator where neither end is local.
pub(crate) fn is_sent(record: &Record, local: Option<IpAddr>) -> bool {
    match local {
        Some(local) if local == record.source.ip() && local == record.destination.ip() => {
            record.side.is_near()
        }
        Some(local) if local == record.source.ip() => true,
        Some(local) if local == record.destination.ip() => false,
        Some(_) => record.direction == Direction::FromInitiator,
        None => record.side.is_near(),
    }
}

/// What the arrows of messages mean; `None` while no local host is known.
pub(crate) fn meaning_of_arrows(local: Option<IpAddr>, has_roles: bool) -> Option<String> {
    match local {
        Some(local) => Some(format!("→ sent by {local}, ← received")),
        None => has_roles.then(|| "→ sent by the initiator, ← by the responder".to_owned()),
    }
}

/// What the end that is not the local host is called; `None` for peers, whose clients have names.
pub(crate) const fn service(protocol: Protocol) -> Option<&'static str> {
    match protocol {
        Protocol::HttpTracker => Some("HTTP tracker"),
        Protocol::UdpTracker => Some("UDP tracker"),
        Protocol::Dht => Some("DHT node"),
        Protocol::WebSeed => Some("web seed"),
        Protocol::Lsd => Some("local network"),
        Protocol::Proxy => Some("proxy"),
        Protocol::PeerWire | Protocol::Mse | Protocol::Utp => None,
    }
}

fn stream_line(record: &Record, local: Option<IpAddr>, width: usize) -> (String, bool) {
    let Flow { initiator, responder } = record.flow();
    let sent = is_sent(record, local);
    let is_foreign = record.side.is_role()
        || local.is_some_and(|local| local != initiator.ip() && local != responder.ip());
    let client = record.client.as_deref().filter(|_| !sent && !is_foreign);
    let who = service(record.body.protocol()).or(client);
    let names_client = client.is_some() && who == client;
    let mut text = match is_foreign {
        true => format!("{initiator} → {responder}"),
        false => (if sent { record.destination } else { record.source }).to_string(),
    };
    if let Some(who) = who {
        text.push_str(&format!(" {who}"));
    }
    if !is_foreign {
        let outgoing = sent == (record.direction == Direction::FromInitiator);
        text.push_str(if outgoing { ", outgoing" } else { ", incoming" });
    }
    match record.transport {
        Transport::Tcp => {}
        Transport::Udp => text.push_str(", UDP"),
        Transport::Utp => text.push_str(", uTP"),
    }
    let field = record.transport.wireshark_field();
    let wireshark = record.wireshark_stream.map(|number| format!(", {field} {number}"));
    let end = format!("{} --", wireshark.unwrap_or_default());
    let lead = format!("-- stream {}: ", record.stream.0);
    let room = width.saturating_sub(columns(&lead) + columns(&end));
    let shown = fit(&text, room);
    let is_whole = shown == printable(&text);
    (format!("{lead}{shown}{end}"), names_client && is_whole)
}
