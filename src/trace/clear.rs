//! A capture's messages once more, as a capture that Wireshark can read: what is encrypted, or goes over uTP or through a
//! proxy, becomes plain TCP. What is plain already is written in the same way, so that the new capture is complete.
//!
//! What is written is what records hold. Nothing is decoded here.

mod connection;
mod ports;
mod spool;
mod step;
mod writer;

use std::io::{self, Read, Seek, Write};

use bittrace_protocol::Timestamp;
use rustc_hash::FxHashMap;

use crate::dissect::{ConnectionEnd, Dissected};
use crate::record::{Body, Protocol, Reason, Record, Transport, Unreadable, units};
use crate::{ConnectionEnding, Direction, StreamClosing, StreamId, StreamOpening};
use connection::{ClearConnection, origin};
use spool::StepSpool;
use step::Step;
pub use writer::ClearWriter;

/// Gathers the messages of a capture until all are known, and puts them in the order of their times.
///
/// The messages wait in `S`, as a temporary file; 16 bytes of memory are held for each, and what is known of the connections
/// that are open.
#[derive(Debug)]
pub struct ClearCapture<S: Write> {
    steps: StepSpool<S>,
    connections: FxHashMap<StreamId, ClearConnection>,
    /// How many connections were only tried. They have no stream, and take the highest numbers.
    tried: u32,
    tally: ClearTally,
}

/// What was written, and what was left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClearTally {
    /// Packets written.
    pub packets: u64,
    /// Connections written, with those that were only tried.
    pub connections: u64,
    /// Datagrams written.
    pub datagrams: u64,
    /// Encrypted connections of which nothing can be read. They are left out.
    pub encrypted_connections: u64,
    /// Connections of which a part is encrypted and cannot be read. A gap stands for that part.
    pub partly_encrypted: u64,
    /// Bytes left out of both.
    pub encrypted_bytes: u64,
    /// Datagrams left out: they are longer than IPv4 can carry.
    pub long_datagrams: u64,
    /// Connections with another port than in the capture: with their own they would be one with another connection.
    pub moved: u64,
}

impl<S: Read + Write + Seek> ClearCapture<S> {
    /// Nothing is gathered yet. `spool` is empty.
    pub fn new(spool: S) -> Self {
        Self {
            steps: StepSpool::new(spool),
            connections: FxHashMap::default(),
            tried: 0,
            tally: ClearTally::default(),
        }
    }

    /// Takes in what a trace gives, in its order.
    ///
    /// # Errors
    ///
    /// When the spool cannot be written.
    pub fn add(&mut self, dissected: &Dissected) -> io::Result<()> {
        match dissected {
            Dissected::Record(record) if is_datagram(record) => self.datagram(record),
            Dissected::Record(record) => {
                let connection = self
                    .connections
                    .entry(record.stream)
                    .or_insert_with(|| ClearConnection::new(record.transport));
                connection.add(record, &mut self.steps)
            }
            Dissected::Connection(end) => self.end(end),
        }
    }

    /// What was gathered, ready to be written.
    ///
    /// # Errors
    ///
    /// When the spool cannot be written or read.
    pub fn finish(self) -> io::Result<ClearWriter<S>> {
        Ok(ClearWriter::new(self.steps.sorted()?, self.tally))
    }

    fn datagram(&mut self, record: &Record) -> io::Result<()> {
        let length = match record.body {
            Body::Unreadable(_, Unreadable::Opaque(Reason::Cut(Some(length)))) => length,
            _ => record.bytes.len() as u64,
        };
        if length > LONGEST_DATAGRAM {
            self.tally.long_datagrams += 1;
            return Ok(());
        }
        let ends = (record.source, record.destination);
        let step = Step::Datagram { ends, length, comment: origin(record), bytes: record.bytes.clone() };
        self.tally.datagrams += 1;
        self.steps.add(record.at, record.at.as_nanos(), record.stream, &step)
    }

    fn end(&mut self, end: &ConnectionEnd) -> io::Result<()> {
        let (stream, connection) = match end.stream {
            Some(stream) => match self.connections.remove(&stream) {
                Some(connection) => (stream, connection),
                // Only its datagrams were shown.
                None => return Ok(()),
            },
            None => {
                self.tried += 1;
                (StreamId(u32::MAX - self.tried), ClearConnection::new(end.transport))
            }
        };
        let encrypted = connection.encrypted_bytes();
        self.tally.encrypted_bytes += encrypted;
        let Some(first) = connection.first_order().or_else(|| end.stream.is_none().then_some(i64::MAX))
        else {
            self.tally.encrypted_connections += 1;
            return Ok(());
        };
        self.tally.connections += 1;
        self.tally.partly_encrypted += u64::from(encrypted > 0);
        let opened = end.opened.at.as_nanos();
        // Before all that was said, whatever the clocks of the capture say.
        let order = opened.min(first).saturating_sub(1);
        let mut comment = format!("begins in packet {} of the original", units::count(end.opened.frame));
        comment.push_str(&connection.carried_by());
        let step = Step::Opened { flow: end.flow, opening: end.opening, comment };
        self.steps.add(end.opened.at, order, stream, &step)?;
        if end.stream.is_some() && end.opening == StreamOpening::Syn {
            let round_trip = end.measured.as_ref().and_then(|measured| measured.handshake_round_trip);
            let established = opened.saturating_add((round_trip.unwrap_or(0.0) * 1e9) as i64);
            let at = if established > first { opened } else { established };
            let order = at.min(first.saturating_sub(1)).max(order);
            self.steps.add(Timestamp::from_nanos(at), order, stream, &Step::Established)?;
        }
        self.close(stream, &connection, end, order)
    }

    /// Adds how a connection ended: by which end and when, where that was measured. `order` is where it begins.
    fn close(
        &mut self,
        stream: StreamId,
        connection: &ClearConnection,
        end: &ConnectionEnd,
        order: i64,
    ) -> io::Result<()> {
        let both = [Direction::FromInitiator, Direction::FromResponder];
        let said = both.map(|direction| connection.last_order(direction).unwrap_or(order));
        let [one, other] = said;
        let mut last = one.max(other).max(end.closed.at.as_nanos());
        let mut closing = end.closing;
        if let (StreamClosing::Finished | StreamClosing::Reset, Some(measured)) = (closing, &end.measured) {
            let ConnectionEnding { by, fins, reset, .. } = measured.ending;
            for (direction, fin) in both.into_iter().zip(fins) {
                let Some(fin) = fin else { continue };
                let order = fin.at.as_nanos().max(said[direction as usize]);
                last = last.max(order);
                self.steps.add(fin.at, order, stream, &Step::Finished { direction })?;
                if closing == StreamClosing::Finished {
                    // Nothing more is to be written of it.
                    closing = StreamClosing::CaptureEnded;
                }
            }
            if let (StreamClosing::Reset, Some(direction), Some(reset)) = (closing, by, reset) {
                last = last.max(reset.at.as_nanos());
                self.steps.add(reset.at, last, stream, &Step::Reset { direction })?;
                closing = StreamClosing::CaptureEnded;
            }
        }
        self.steps.add(end.closed.at, last, stream, &Step::Closed { closing })
    }
}

/// What an IPv4 packet of 65,535 bytes has room for beside its header and that of UDP (RFC 768, RFC 791).
const LONGEST_DATAGRAM: u64 = 65_507;

/// Whether a record is a datagram, and not a part of a stream of bytes. Of uTP the datagrams themselves are shown where they
/// carry no BitTorrent.
fn is_datagram(record: &Record) -> bool {
    record.transport == Transport::Udp
        || matches!(record.body, Body::Unreadable(Protocol::Utp, Unreadable::Datagram))
}

#[cfg(test)]
mod tests;
