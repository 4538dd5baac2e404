//! What measuring has to know of each segment, noted down where segments are put in order, and measured elsewhere.

use super::super::options::TcpOptions;
use crate::packet::link::Segment;
use crate::{Direction, Moment, StreamClosing, StreamId};

/// What is to be measured of the connections of a capture, in the order of its packets.
#[derive(Debug, Default)]
pub(crate) struct SegmentNotes(Vec<SegmentNote>);

/// What became of a connection. Each segment is written down as one, so that it is to be small.
#[derive(Debug)]
pub(super) enum SegmentNote {
    /// A segment as most are.
    Plain(StreamId, PlainSegment),
    /// Any other segment.
    Other(StreamId, Box<MeasuredSegment>),
    /// Nobody wants to know how it behaved.
    Unwanted(StreamId),
    /// It is over.
    Closed(StreamId, Moment, StreamClosing),
}

const _: () = assert!(size_of::<SegmentNote>() <= 56);

/// A segment as it is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MeasuredSegment {
    pub(super) moment: Moment,
    /// From which end it comes.
    pub(super) direction: Direction,
    pub(super) seq: u32,
    pub(super) ack: Option<u32>,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    pub(super) window: u16,
    /// How many bytes it carries, as far as it was captured.
    pub(super) captured: u64,
    pub(super) lost_tail: u32,
    /// The sender's clock, and the receiver's that it echoes.
    pub(super) time_stamps: Option<(u32, u32)>,
    /// Its options, where they are more than the usual time stamps.
    pub(super) options: Vec<u8>,
    pub(super) outgoing: Option<bool>,
}

/// A segment that was captured whole, acknowledges, has no other flag, and no options but the usual time stamps: all that is to be
/// measured of most segments.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlainSegment {
    pub(super) moment: Moment,
    pub(super) seq: u32,
    pub(super) ack: u32,
    /// How many bytes it carries.
    pub(super) bytes: u32,
    pub(super) time_stamps: Option<(u32, u32)>,
    pub(super) window: u16,
    pub(super) direction: Direction,
    pub(super) outgoing: Option<bool>,
}

impl SegmentNotes {
    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// A segment of a connection was captured.
    #[inline]
    pub(crate) fn segment(
        &mut self,
        stream: StreamId,
        moment: Moment,
        direction: Direction,
        segment: &Segment<'_>,
    ) {
        match PlainSegment::of(moment, direction, segment) {
            Some(plain) => self.0.push(SegmentNote::Plain(stream, plain)),
            None => self.other(stream, moment, direction, segment),
        }
    }

    #[cold]
    fn other(&mut self, stream: StreamId, moment: Moment, direction: Direction, segment: &Segment<'_>) {
        let segment = Box::new(MeasuredSegment::of(moment, direction, segment));
        self.0.push(SegmentNote::Other(stream, segment));
    }

    /// Nobody wants to know how a connection behaved.
    pub(crate) fn unwanted(&mut self, stream: StreamId) {
        self.0.push(SegmentNote::Unwanted(stream));
    }

    /// A connection is over.
    pub(crate) fn closed(&mut self, stream: StreamId, moment: Moment, closing: StreamClosing) {
        self.0.push(SegmentNote::Closed(stream, moment, closing));
    }

    /// The notes, in order.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = SegmentNote> {
        self.0.drain(..)
    }
}

impl MeasuredSegment {
    pub(super) fn of(moment: Moment, direction: Direction, segment: &Segment<'_>) -> Self {
        let Segment { seq, ack, syn, fin, rst, window, lost_tail, outgoing, .. } = *segment;
        Self {
            moment,
            direction,
            seq,
            ack,
            syn,
            fin,
            rst,
            window,
            captured: segment.payload.len() as u64,
            lost_tail,
            time_stamps: TcpOptions::time_stamps_of(segment.options),
            options: segment.options.to_vec(),
            outgoing,
        }
    }
}

impl PlainSegment {
    /// The plain segment; `None` where it is none.
    #[inline(always)]
    pub(super) fn of(moment: Moment, direction: Direction, segment: &Segment<'_>) -> Option<Self> {
        let time_stamps = TcpOptions::usual_time_stamps(segment.options);
        let is_more = segment.syn | segment.fin | segment.rst | (segment.lost_tail > 0);
        if is_more || time_stamps.is_none() && !segment.options.is_empty() {
            return None;
        }
        Some(Self {
            moment,
            seq: segment.seq,
            ack: segment.ack?,
            bytes: u32::try_from(segment.payload.len()).ok()?,
            time_stamps,
            window: segment.window,
            direction,
            outgoing: segment.outgoing,
        })
    }
}

impl From<PlainSegment> for MeasuredSegment {
    fn from(plain: PlainSegment) -> Self {
        let PlainSegment { moment, seq, ack, bytes, time_stamps, window, direction, outgoing } = plain;
        Self {
            moment,
            direction,
            seq,
            ack: Some(ack),
            syn: false,
            fin: false,
            rst: false,
            window,
            captured: bytes.into(),
            lost_tail: 0,
            time_stamps,
            options: Vec::new(),
            outgoing,
        }
    }
}
