//! Segments between where they are read and where they are measured. The thread that reads a capture is the one that others
//! wait for, so it only writes down what is to be measured; the thread that takes the records measures, in the same order.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::budget::MeasurementBudget;
use super::tcp::{MeasuredSegment, TcpMeasuring};
use crate::packet::link::Segment;
use crate::{ConnectionEnd, ConnectionMeasurement, Direction, Flow, Moment, StreamClosing, StreamId};

/// Where the segments of TCP connections are measured.
#[derive(Debug)]
pub(crate) enum TcpMeasuringPlace {
    /// Where they are put together.
    Here(TcpMeasurements),
    /// By whoever takes these steps.
    Elsewhere(Vec<MeasuringStep>),
}

/// What measuring has to take in of a connection, whose number is that of the reassembler.
#[derive(Debug)]
pub(crate) enum MeasuringStep {
    Begin(StreamId, Moment, Flow),
    Segment(StreamId, Moment, Direction, MeasuredSegment),
    /// Nobody wants to know of the connection.
    Forget(StreamId),
    End(StreamId, Moment, StreamClosing),
}

impl TcpMeasuringPlace {
    pub(crate) fn begin(&mut self, stream: StreamId, moment: Moment, flow: Flow) {
        match self {
            Self::Here(measurements) => measurements.begin(stream, moment, flow),
            Self::Elsewhere(steps) => steps.push(MeasuringStep::Begin(stream, moment, flow)),
        }
    }

    #[inline]
    pub(crate) fn segment(
        &mut self,
        stream: StreamId,
        moment: Moment,
        direction: Direction,
        segment: &Segment<'_>,
    ) {
        let segment = MeasuredSegment::of(segment);
        match self {
            Self::Here(measurements) => measurements.segment(stream, moment, direction, &segment),
            Self::Elsewhere(steps) => steps.push(MeasuringStep::Segment(stream, moment, direction, segment)),
        }
    }

    pub(crate) fn forget(&mut self, stream: StreamId) {
        match self {
            Self::Here(measurements) => measurements.forget(stream),
            Self::Elsewhere(steps) => steps.push(MeasuringStep::Forget(stream)),
        }
    }

    /// The connection is over. The answer is what was measured, where that is known here.
    pub(crate) fn end(
        &mut self,
        stream: StreamId,
        moment: Moment,
        closing: StreamClosing,
    ) -> Option<Box<ConnectionMeasurement>> {
        match self {
            Self::Here(measurements) => {
                measurements.end(stream, moment, closing).map(|(_, measured)| measured)
            }
            Self::Elsewhere(steps) => {
                steps.push(MeasuringStep::End(stream, moment, closing));
                None
            }
        }
    }
}

/// The TCP connections that are being measured.
#[derive(Debug, Default)]
pub(crate) struct TcpMeasurements {
    budget: MeasurementBudget,
    open: FxHashMap<StreamId, (ConnectionName, Box<TcpMeasuring>)>,
    /// Connections that ended among the steps taken in last, in the order of their ends.
    ended: VecDeque<(ConnectionName, Box<ConnectionMeasurement>)>,
}

/// What tells a connection from all others: its ends, and the number of its first packet.
type ConnectionName = (Flow, u64);

impl TcpMeasurements {
    /// Takes in steps, in their order. What was measured of connections that ended before is let go.
    pub(crate) fn take_in(&mut self, steps: impl IntoIterator<Item = MeasuringStep>) {
        self.ended.clear();
        for step in steps {
            match step {
                MeasuringStep::Begin(stream, moment, flow) => self.begin(stream, moment, flow),
                MeasuringStep::Segment(stream, moment, direction, segment) => {
                    self.segment(stream, moment, direction, &segment);
                }
                MeasuringStep::Forget(stream) => self.forget(stream),
                MeasuringStep::End(stream, moment, closing) => {
                    let ended = self.end(stream, moment, closing);
                    self.ended.extend(ended);
                }
            }
        }
    }

    /// What was measured of a connection that ended among the steps taken in last. Connections are asked for in the order in
    /// which they ended, though not all of them.
    pub(crate) fn of(&mut self, end: &ConnectionEnd) -> Option<Box<ConnectionMeasurement>> {
        let name = (end.flow, end.opened.frame);
        let place = self.ended.iter().position(|(ended, _)| *ended == name)?;
        self.ended.drain(..place);
        self.ended.pop_front().map(|(_, measured)| measured)
    }

    fn begin(&mut self, stream: StreamId, moment: Moment, flow: Flow) {
        self.open.insert(stream, ((flow, moment.frame), Box::new(TcpMeasuring::begun_at(moment))));
    }

    fn segment(&mut self, stream: StreamId, moment: Moment, direction: Direction, segment: &MeasuredSegment) {
        if let Some((_, measuring)) = self.open.get_mut(&stream) {
            measuring.segment(moment, direction, segment, &mut self.budget);
        }
    }

    fn forget(&mut self, stream: StreamId) {
        if let Some((_, measuring)) = self.open.remove(&stream) {
            measuring.forget(&mut self.budget);
        }
    }

    fn end(
        &mut self,
        stream: StreamId,
        moment: Moment,
        closing: StreamClosing,
    ) -> Option<(ConnectionName, Box<ConnectionMeasurement>)> {
        let (name, measuring) = self.open.remove(&stream)?;
        Some((name, measuring.finish(moment, closing, &mut self.budget)))
    }
}
