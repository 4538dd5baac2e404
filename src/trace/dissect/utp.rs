//! uTP connections (BEP 29): what they carry goes the way of TCP's connections. Of one that was answered and carries
//! nothing readable, the datagrams themselves are shown.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::connection::StreamDissector;
use super::flows::UdpFlow;
use super::{DissectContext, Dissected, Loss, StreamGap, UNDECIDED_BUDGET};
use crate::record::{Body, Protocol, Transport, Unreadable};
use crate::{
    Direction, Flow, Moment, StreamClosing, StreamEvent, StreamId, StreamInterest, StreamOpening,
    UtpReassembler,
};

/// All uTP connections that are known.
#[derive(Debug, Default)]
pub(super) struct UtpConnections {
    reassembler: UtpReassembler,
    open: OpenUtpConnections,
    /// The memory of what waits on connections of which it is not known what they are.
    undecided: usize,
}

/// The connections by the numbers of the reassembler, which are no streams.
#[derive(Debug, Default)]
struct OpenUtpConnections {
    known: FxHashMap<StreamId, UtpConnectionEntry>,
    /// Those that are over, whose last datagram may still be shown.
    ended: Vec<(StreamId, Moment, StreamClosing)>,
}

#[derive(Debug)]
struct UtpConnectionEntry {
    connection: StreamDissector,
    flow: Flow,
    opening: StreamOpening,
    answered: bool,
    /// The datagrams so far, as long as it is not known what they carry.
    unread: Vec<(Moment, Direction, Bytes)>,
    unread_cost: usize,
    /// The stream of its datagrams, when they are shown.
    talk: Option<UdpFlow>,
}

/// How much the datagrams of one connection may take until it must be known what they carry.
const UNREAD: usize = 128 * 1024;

/// What a datagram that waits costs beside its bytes.
const UNREAD_OVERHEAD: usize = 96;

impl UtpConnections {
    /// Measures how the connections' transport behaves.
    pub(super) fn measure(&mut self) {
        self.reassembler = UtpReassembler::measuring();
    }

    /// Takes in a datagram, when it belongs to a connection that is known: whether it does.
    pub(super) fn follow(
        &mut self,
        moment: Moment,
        (source, destination): (SocketAddr, SocketAddr),
        bytes: &[u8],
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) -> bool {
        let Self { reassembler, open, undecided } = self;
        let found = reassembler.follow(moment, source, destination, bytes, &mut |at, event| {
            open.event(at, event, undecided, recognised, out)
        });
        self.settle(moment, found, bytes, recognised, out);
        found.is_some()
    }

    /// Takes in a datagram that may begin a connection.
    pub(super) fn begin(
        &mut self,
        moment: Moment,
        (source, destination): (SocketAddr, SocketAddr),
        bytes: &[u8],
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) {
        let Self { reassembler, open, undecided } = self;
        let found = reassembler.begin(moment, source, destination, bytes, &mut |at, event| {
            open.event(at, event, undecided, recognised, out)
        });
        self.settle(moment, found, bytes, recognised, out);
    }

    /// Takes in that no more datagrams come.
    pub(super) fn finish(&mut self, recognised: &mut DissectContext, out: &mut VecDeque<Dissected>) {
        let Self { reassembler, open, undecided } = self;
        reassembler.finish(&mut |at, event| open.event(at, event, undecided, recognised, out));
        self.end(recognised, out);
    }

    /// The connections, each with a number that is no stream's.
    pub(super) fn connections(&self) -> impl Iterator<Item = (StreamId, &StreamDissector)> {
        self.open.known.iter().map(|(number, known)| (*number, &known.connection))
    }

    /// Has a connection show what waits on it.
    pub(super) fn give_way(
        &mut self,
        number: StreamId,
        moment: Moment,
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) {
        let Some(known) = self.open.known.get_mut(&number) else { return };
        let before = known.cost();
        known.connection.give_way(moment, recognised, out);
        known.show_unread(recognised, out);
        self.undecided = self.undecided + known.cost() - before;
    }

    /// Keeps or shows the datagram that was just taken in, where its stream is not read, and ends what is over.
    fn settle(
        &mut self,
        moment: Moment,
        found: Option<(StreamId, Direction)>,
        bytes: &[u8],
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) {
        if let Some((stream, direction)) = found
            && let Some(known) = self.open.known.get_mut(&stream)
        {
            let (before, waited) = (known.cost(), known.connection.cost());
            known.datagram(moment, direction, bytes, recognised, out);
            let too_much = known.unread_cost > UNREAD || self.undecided > UNDECIDED_BUDGET;
            if too_much && known.cost() > 0 {
                known.connection.give_up(recognised, out);
                known.show_unread(recognised, out);
            }
            self.undecided = self.undecided + known.cost() - before;
            recognised.waiting = recognised.waiting + known.connection.cost() - waited;
        }
        if !self.open.ended.is_empty() {
            self.end(recognised, out);
        }
    }

    fn end(&mut self, recognised: &mut DissectContext, out: &mut VecDeque<Dissected>) {
        for (stream, moment, closing) in std::mem::take(&mut self.open.ended) {
            let Some(mut known) = self.open.known.remove(&stream) else { continue };
            self.undecided -= known.cost();
            recognised.waiting -= known.connection.cost();
            known.connection.give_up(recognised, out);
            known.show_unread(recognised, out);
            // Of one that was joined in the middle and never proved to be one, nothing is said.
            if known.opening == StreamOpening::Syn || known.connection.is_read() {
                known.connection.close(moment, closing, None, recognised, out);
            }
        }
    }
}

impl OpenUtpConnections {
    fn event(
        &mut self,
        moment: Moment,
        event: StreamEvent<'_>,
        undecided: &mut usize,
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) -> StreamInterest {
        if let StreamEvent::Opened { stream, flow, opening } = event {
            self.known.insert(stream, UtpConnectionEntry::new(flow, opening, moment));
            return StreamInterest::Wanted;
        }
        let Some(known) = self.known.get_mut(&event.stream()) else { return StreamInterest::Unwanted };
        let (before, waited) = (known.cost(), known.connection.cost());
        match event {
            StreamEvent::Burst { direction, bytes, .. } => {
                known.connection.burst(moment, direction, bytes, recognised, out);
            }
            StreamEvent::Lost { direction, packets, .. } => {
                known.connection.gap(
                    StreamGap { moment, direction, loss: Loss::Packets(packets) },
                    recognised,
                    out,
                );
            }
            StreamEvent::Gap { direction, length, .. } => {
                known.connection.gap(
                    StreamGap { moment, direction, loss: Loss::Bytes(length) },
                    recognised,
                    out,
                );
            }
            StreamEvent::Established { .. } => known.answered = true,
            StreamEvent::Measured { measurement, .. } => known.connection.measured(measurement),
            StreamEvent::Closed { stream, closing } => self.ended.push((stream, moment, closing)),
            StreamEvent::Opened { .. } | StreamEvent::Awaited { .. } => {}
        }
        *undecided = *undecided + known.cost() - before;
        recognised.waiting = recognised.waiting + known.connection.cost() - waited;
        known.connection.interest()
    }
}

impl UtpConnectionEntry {
    fn new(flow: Flow, opening: StreamOpening, moment: Moment) -> Self {
        Self {
            connection: StreamDissector::new(flow, Transport::Utp, opening, moment),
            flow,
            opening,
            answered: false,
            unread: Vec::new(),
            unread_cost: 0,
            talk: None,
        }
    }

    /// The memory of what waits for a verdict.
    fn cost(&self) -> usize {
        self.unread_cost + self.connection.undecided_cost()
    }

    fn datagram(
        &mut self,
        moment: Moment,
        direction: Direction,
        bytes: &[u8],
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) {
        if self.connection.is_read() {
            self.unread = Vec::new();
            self.unread_cost = 0;
        } else if self.opening == StreamOpening::Syn {
            self.unread.push((moment, direction, Bytes::copy_from_slice(bytes)));
            self.unread_cost += bytes.len() + UNREAD_OVERHEAD;
            self.show_unread(recognised, out);
        }
    }

    /// Shows the datagrams of a connection that is uTP and carries nothing readable.
    fn show_unread(&mut self, recognised: &mut DissectContext, out: &mut VecDeque<Dissected>) {
        if self.connection.is_read() || self.connection.is_other() {
            self.unread_cost = 0;
            let unread = std::mem::take(&mut self.unread);
            if !self.answered || self.connection.is_read() {
                return;
            }
            let Flow { initiator, responder } = self.flow;
            let stream = self.connection.unread_stream(recognised);
            let talk = self.talk.get_or_insert_with(|| UdpFlow::new(stream, initiator, responder));
            for (moment, direction, bytes) in unread {
                talk.emit(
                    moment,
                    direction,
                    (bytes, Body::Unreadable(Protocol::Utp, Unreadable::Datagram)),
                    Transport::Utp,
                    recognised,
                    out,
                );
            }
        }
    }
}
