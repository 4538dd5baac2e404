//! What one packet of a uTP connection makes known, handed on as long as it is wanted.

use crate::burst::{Direction, Moment, StreamEvent, StreamId, StreamInterest, StreamSink};

/// Where the events of one packet go, as long as they are wanted.
pub(super) struct Events<'a, S> {
    pub(super) moment: Moment,
    pub(super) stream: StreamId,
    pub(super) wanted: bool,
    pub(super) sink: &'a mut S,
}

impl<S: StreamSink> Events<'_, S> {
    pub(super) fn burst(&mut self, moment: Moment, direction: Direction, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.emit(moment, StreamEvent::Burst { stream: self.stream, direction, bytes });
        }
    }

    pub(super) fn lost(&mut self, moment: Moment, direction: Direction, packets: u64) {
        self.emit(moment, StreamEvent::Lost { stream: self.stream, direction, packets });
    }

    fn emit(&mut self, moment: Moment, event: StreamEvent<'_>) {
        if self.wanted && (self.sink)(moment, event) == StreamInterest::Unwanted {
            self.wanted = false;
        }
    }
}
