//! All TCP connections of a capture that are being measured, from the notes of their segments.

use rustc_hash::FxHashMap;

use super::super::budget::MeasurementBudget;
use super::TcpMeasuring;
use super::notes::{SegmentNote, SegmentNotes};
use crate::{ConnectionMeasurement, Moment, StreamId};

/// Measures TCP connections.
#[derive(Debug, Default)]
pub(crate) struct TcpMeasurements {
    open: FxHashMap<StreamId, Box<TcpMeasuring>>,
    /// The connections that were over in the last notes.
    closed: FxHashMap<StreamId, Box<ConnectionMeasurement>>,
    budget: MeasurementBudget,
}

impl TcpMeasurements {
    /// Takes in notes, which come in the order of the capture's packets. What was measured of connections that were over before is
    /// forgotten.
    pub(crate) fn take(&mut self, notes: &mut SegmentNotes) {
        let Self { open, closed, budget } = self;
        closed.clear();
        for note in notes.drain() {
            match note {
                SegmentNote::Plain(stream, segment) => {
                    measuring(open, stream, segment.moment).plain_segment(segment, budget);
                }
                SegmentNote::Other(stream, segment) => {
                    measuring(open, stream, segment.moment).any_segment(&segment, budget);
                }
                SegmentNote::Unwanted(stream) => {
                    if let Some(measuring) = open.remove(&stream) {
                        measuring.forget(budget);
                    }
                }
                SegmentNote::Closed(stream, moment, closing) => {
                    if let Some(measuring) = open.remove(&stream) {
                        closed.insert(stream, measuring.finish(moment, closing, budget));
                    }
                }
            }
        }
    }

    /// What was measured of a connection that was over in the last notes.
    pub(crate) fn of_closed(&mut self, stream: StreamId) -> Option<Box<ConnectionMeasurement>> {
        self.closed.remove(&stream)
    }
}

/// A connection, which may begin now.
#[inline(always)]
fn measuring(
    open: &mut FxHashMap<StreamId, Box<TcpMeasuring>>,
    stream: StreamId,
    moment: Moment,
) -> &mut TcpMeasuring {
    open.entry(stream).or_insert_with(|| Box::new(TcpMeasuring::begun_at(moment)))
}
