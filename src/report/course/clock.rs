//! Moments as the pictures count them: microseconds since the first packet of the capture.

use bittrace_protocol::Timestamp;

use super::data::Micros;

/// When the first packet was captured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(pub(super) Timestamp);

impl Clock {
    /// The microseconds to a moment; 0 for one before the first packet, which a capture with packets out of order has.
    pub(super) fn micros(self, at: Timestamp) -> Micros {
        (at - self.0).as_micros() as Micros
    }
}
