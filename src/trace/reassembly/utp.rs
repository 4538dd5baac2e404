//! uTP reassembly (BEP 29): packets in whatever order a capture holds them become connections with one run of bytes
//! a direction. Bytes are delivered once and in order; packets that the capture lost are told of by their number,
//! since nothing tells their size. Memory is bounded whatever the capture holds.
//!
//! A connection goes by its ends and the id under which the receiver knows it. One whose SYN was not captured is
//! followed from its first packet with bytes: whether it is uTP at all, what it carries must prove.

use std::collections::HashMap;
use std::net::SocketAddr;

use bittrace_protocol::utp::{Header, Kind, extensions, kind};
use foldhash::fast::RandomState;
use rustc_hash::FxHashMap;

use crate::burst::{
    Direction, Flow, Moment, StreamClosing, StreamEvent, StreamId, StreamInterest, StreamOpening, StreamSink,
};
use crate::measurement::MeasurementBudget;

mod connection;
mod events;
mod half;
#[cfg(test)]
mod tests;

use connection::UtpStream;

/// Follows all uTP connections of a capture.
///
/// Events are those of [`Reassembler`](crate::Reassembler), with [`StreamEvent::Lost`] in the place of gaps; the
/// numbers of connections are its own.
#[derive(Debug, Default)]
pub struct UtpReassembler {
    /// Which connection a packet belongs to, and which way it goes. The ids are the capture's, so the hash is one
    /// that nobody can choose them to collide in.
    lines: HashMap<UtpDirectionId, (StreamId, Direction), RandomState>,
    connections: FxHashMap<StreamId, UtpStream>,
    next_stream: u32,
    held_cost: usize,
    last: Option<Moment>,
    /// The memory for measuring, where that is asked for.
    measuring: Option<MeasurementBudget>,
}

/// One direction of a connection, as its packets name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct UtpDirectionId {
    source: SocketAddr,
    destination: SocketAddr,
    id: u16,
}

impl UtpDirectionId {
    const fn back(self, id: u16) -> Self {
        Self { source: self.destination, destination: self.source, id }
    }
}

impl UtpReassembler {
    /// A reassembler that knows of no connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// A reassembler that also measures how each connection's transport behaves, and says so at the connection's end
    /// ([`StreamEvent::Measured`]).
    pub fn measuring() -> Self {
        Self { measuring: Some(MeasurementBudget::default()), ..Self::default() }
    }

    /// Takes in one datagram, and hands to `sink` what follows from it. The answer is the connection that it belongs
    /// to, if any.
    pub fn datagram(
        &mut self,
        moment: Moment,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
        sink: &mut impl FnMut(Moment, StreamEvent<'_>) -> StreamInterest,
    ) -> Option<(StreamId, Direction)> {
        let known = self.follow(moment, source, destination, bytes, sink);
        known.or_else(|| self.begin(moment, source, destination, bytes, sink))
    }

    /// Takes in a datagram, when it belongs to a connection that is known.
    pub(crate) fn follow(
        &mut self,
        moment: Moment,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
        sink: &mut impl StreamSink,
    ) -> Option<(StreamId, Direction)> {
        if self.lines.is_empty() || kind(*bytes.first()?).is_none() {
            return None;
        }
        let header = Header::decode(bytes).ok()?;
        let line = UtpDirectionId { source, destination, id: header.connection };
        let (stream, direction) = self.find(line, &header)?;
        self.last = Some(moment);
        let connection = self.connections.get_mut(&stream)?;
        let before = connection.held_cost();
        connection.packet(moment, direction, &header, bytes, &mut self.measuring, sink);
        if self.held_cost + connection.held_cost() - before > MAX_HELD {
            connection.give_up(moment, &mut self.measuring, sink);
        }
        self.held_cost = self.held_cost + connection.held_cost() - before;
        Some((stream, direction))
    }

    /// Takes in a datagram that belongs to no connection, when it may begin one.
    pub(crate) fn begin(
        &mut self,
        moment: Moment,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
        sink: &mut impl StreamSink,
    ) -> Option<(StreamId, Direction)> {
        kind(*bytes.first()?)?;
        let header = Header::decode(bytes).ok()?;
        if !has_plausible_extensions(bytes) {
            return None;
        }
        let opening = match header.kind {
            // A SYN has nothing to acknowledge and carries no bytes of the stream.
            Kind::Syn if header.acknowledged == 0 && header.length == bytes.len() => StreamOpening::Syn,
            Kind::Data if header.length < bytes.len() => StreamOpening::MidStream,
            _ => return None,
        };
        self.last = Some(moment);
        if self.connections.len() >= MAX_CONNECTIONS {
            self.forget_half(moment, sink);
        }
        let stream = StreamId(self.next_stream);
        self.next_stream += 1;
        let line = UtpDirectionId { source, destination, id: header.connection };
        let direction = Direction::FromInitiator;
        let lines = match opening {
            // The caller is answered under the id of its SYN, and goes on under the next.
            StreamOpening::Syn => [
                (UtpDirectionId { id: line.id.wrapping_add(1), ..line }, direction),
                (line.back(line.id), direction.reverse()),
            ]
            .to_vec(),
            StreamOpening::MidStream => vec![(line, direction)],
        };
        for (line, direction) in &lines {
            if let Some((replaced, _)) = self.lines.get(line).copied() {
                self.remove(replaced, moment, sink);
            }
            self.lines.insert(*line, (stream, *direction));
        }
        let flow = Flow { initiator: source, responder: destination };
        let lines = lines.into_iter().map(|(line, _)| line).collect();
        let mut connection = UtpStream::new(stream, lines, opening, moment, &header);
        if self.measuring.is_some() {
            connection.measure(moment);
        }
        connection.emit(moment, StreamEvent::Opened { stream, flow, opening }, sink);
        connection.packet(moment, direction, &header, bytes, &mut self.measuring, sink);
        self.connections.insert(stream, connection);
        Some((stream, direction))
    }

    /// The capture has ended: gives up all that is missing and closes every connection.
    pub fn finish(&mut self, sink: &mut impl FnMut(Moment, StreamEvent<'_>) -> StreamInterest) {
        let Some(last) = self.last else { return };
        let mut streams: Vec<_> = self.connections.keys().copied().collect();
        streams.sort_unstable();
        for stream in streams {
            if let Some(connection) = self.connections.get_mut(&stream) {
                connection.close(last, StreamClosing::CaptureEnded, &mut self.measuring, sink);
            }
        }
        self.lines.clear();
        self.connections.clear();
        self.held_cost = 0;
    }

    /// The connection of a packet and the way it goes.
    fn find(&mut self, line: UtpDirectionId, header: &Header) -> Option<(StreamId, Direction)> {
        if header.kind == Kind::Syn {
            // A SYN has the id of its sender, which is one less than that of all that follow.
            let (stream, direction) =
                *self.lines.get(&UtpDirectionId { id: line.id.wrapping_add(1), ..line })?;
            let same = self.connections.get(&stream)?.was_opened_by(header.sequence);
            return (same && direction == Direction::FromInitiator).then_some((stream, direction));
        }
        if let Some(found) = self.lines.get(&line) {
            return Some(*found);
        }
        if header.kind == Kind::Reset {
            // Who knows nothing of a connection repeats the id that came.
            let (stream, direction) = *self.lines.get(&line.back(line.id))?;
            return Some((stream, direction.reverse()));
        }
        // The other direction of a connection joined in the middle: its id is one more, or one less.
        for id in [line.id.wrapping_add(1), line.id.wrapping_sub(1)] {
            let Some(&(stream, direction)) = self.lines.get(&line.back(id)) else { continue };
            let connection = self.connections.get_mut(&stream)?;
            if connection.adopt(line) {
                self.lines.insert(line, (stream, direction.reverse()));
                return Some((stream, direction.reverse()));
            }
        }
        None
    }

    fn remove(&mut self, stream: StreamId, moment: Moment, sink: &mut impl StreamSink) {
        let Some(mut connection) = self.connections.remove(&stream) else { return };
        self.held_cost -= connection.held_cost();
        connection.close(moment, StreamClosing::Replaced, &mut self.measuring, sink);
        for line in connection.lines() {
            self.lines.remove(line);
        }
    }

    /// Closes half of the connections: first those that are over or of no interest, then the longest silent.
    #[cold]
    fn forget_half(&mut self, moment: Moment, sink: &mut impl StreamSink) {
        let known = self.connections.iter().map(|(&stream, connection)| (connection.worth(), stream));
        let mut known: Vec<_> = known.collect();
        known.sort_unstable();
        for (_, stream) in known.drain(..known.len() / 2) {
            self.remove(stream, moment, sink);
        }
    }
}

/// Whether a packet's extensions are those that clients send, or few: what is none of uTP chains together whatever its
/// bytes happen to be.
fn has_plausible_extensions(bytes: &[u8]) -> bool {
    extensions(bytes).all(|extension| extension.is_known()) || extensions(bytes).count() <= UNKNOWN_EXTENSIONS
}

/// How many extensions a packet may have that begins a connection, when nobody knows them. Clients send one at most.
const UNKNOWN_EXTENSIONS: usize = 1;
/// Connections that are known at once, those that are over included.
const MAX_CONNECTIONS: usize = 16_384;
/// Bytes that all connections may hold together.
const MAX_HELD: usize = 32 << 20;
