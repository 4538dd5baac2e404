//! Flows of datagrams: two ends, with nothing to tell when they are done. So many are remembered; those that were
//! silent for longest are forgotten.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use foldhash::fast::RandomState;

use super::{DissectContext, Dissected, Emitter, RecordSink};
use crate::dissect::stream_buffer::BufferSlice;
use crate::record::{Body, Frames, Transport};
use crate::{Direction, Flow, Moment, StreamId};

/// What is known of flows, by their ends.
#[derive(Debug)]
pub(super) struct Flows<T> {
    /// Those heard since the last change of generations.
    young: HashMap<Ends, T, RandomState>,
    /// Those heard in the generation before.
    old: HashMap<Ends, T, RandomState>,
}

/// Two ends, whichever of them speaks.
type Ends = (SocketAddr, SocketAddr);

/// How many flows a generation has.
const GENERATION: usize = 50_000;

impl<T> Default for Flows<T> {
    fn default() -> Self {
        Self { young: HashMap::default(), old: HashMap::default() }
    }
}

impl<T> Flows<T> {
    pub(super) fn find(&mut self, source: SocketAddr, destination: SocketAddr) -> Option<&mut T> {
        let ends = ends(source, destination);
        if !self.young.contains_key(&ends)
            && let Some(flow) = self.old.remove(&ends)
        {
            self.insert(source, destination, flow);
        }
        self.young.get_mut(&ends)
    }

    pub(super) fn insert(&mut self, source: SocketAddr, destination: SocketAddr, flow: T) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(ends(source, destination), flow);
    }
}

fn ends(a: SocketAddr, b: SocketAddr) -> Ends {
    if a <= b { (a, b) } else { (b, a) }
}

/// The stream of a flow, and how far each direction of it is.
#[derive(Debug)]
pub(super) struct UdpFlow {
    stream: StreamId,
    flow: Flow,
    /// The bytes of each direction before the next datagram.
    offsets: [u64; 2],
}

impl UdpFlow {
    /// A flow whose first datagram goes from `initiator` to `responder`.
    pub(super) const fn new(stream: StreamId, initiator: SocketAddr, responder: SocketAddr) -> Self {
        Self { stream, flow: Flow { initiator, responder }, offsets: [0; 2] }
    }

    /// The end that was called.
    pub(super) const fn responder(&self) -> SocketAddr {
        self.flow.responder
    }

    /// Which way a datagram of `source` goes.
    pub(super) fn direction(&self, source: SocketAddr) -> Direction {
        if source == self.flow.initiator { Direction::FromInitiator } else { Direction::FromResponder }
    }

    /// Makes a record of a datagram.
    pub(super) fn emit(
        &mut self,
        moment: Moment,
        direction: Direction,
        (bytes, body): (Bytes, Body),
        transport: Transport,
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) {
        let offset = self.offsets[direction as usize];
        self.offsets[direction as usize] += bytes.len() as u64;
        let frames = Frames::from_slice(&[moment.frame]);
        let mut emitter = Emitter::new(
            self.stream,
            self.flow,
            transport,
            [false; 2],
            recognised,
            RecordSink::Out(None, out),
        );
        emitter.emit(direction, BufferSlice { bytes, offset, at: moment.at, frames }, body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_that_speaks_outlives_those_that_do_not() {
        let end = |number: u32| SocketAddr::from((number.to_be_bytes(), 6881));
        let here = SocketAddr::from(([10, 1, 0, 1], 1));
        let mut flows = Flows::default();
        flows.insert(here, end(0), 0u32);
        flows.insert(here, end(1), 1);
        for round in 0..5u32 {
            for number in 2..40_000 {
                flows.insert(here, end(round * 40_000 + number), round);
            }
            assert_eq!(flows.find(end(0), here), Some(&mut 0), "asked for in each round");
        }
        assert_eq!(flows.find(here, end(1)), None);
        assert!(flows.young.len() + flows.old.len() <= 2 * GENERATION + 1);
    }
}
