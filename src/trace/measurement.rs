//! TCP and uTP as a capture shows them: round trips, windows, losses, and what each direction of a connection spent
//! its time on. The figures are those of the transport alone: what the bytes mean plays no part here.
//!
//! Measuring is done where [`TraceOptions::measure`](crate::TraceOptions::measure) asks for it. Packets that the capture
//! has twice count once.
//!
//! Every figure is taken at the capture point, with one exception. What a sender has in flight, and whether the window
//! stops it, depends on the acknowledgements that have reached the sender. An acknowledgement that passes the capture
//! point reaches the sender later, and what the sender does about it is captured one round trip between capture point
//! and sender later, queues included. So an acknowledgement counts for [`DirectionMeasurement::spans`] and
//! [`DirectionMeasurement::largest_in_flight`] after that time. In a capture taken at the sender, that is at once.

use bittrace_protocol::Timestamp;

use crate::{Direction, Moment};

mod budget;
mod clock;
mod connection;
mod delays;
mod direction;
mod holes;
mod options;
mod sender;
mod sent;
mod spans;
mod tcp;
mod utp;

pub(crate) use budget::MeasurementBudget;
pub(crate) use tcp::{SegmentNotes, TcpMeasurements};
pub(crate) use utp::{MeasuredPacket, UtpMeasuring};

/// How the transport of one connection behaved.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionMeasurement {
    /// Seconds of one round trip of the whole path: the shortest time from the capture point to the initiator and back,
    /// and the shortest time from the capture point to the responder and back, together. `None` where one of them is
    /// unknown.
    pub round_trip: Option<f64>,
    /// The two parts of [`round_trip`](Self::round_trip), in seconds: from the capture point to the initiator and back,
    /// and from the capture point to the responder and back. A part includes the time that the end took to answer.
    pub half_round_trips: [Option<f64>; 2],
    /// Seconds from the SYN to the acknowledgement of the SYN/ACK: one round trip of the whole path. `None` where the
    /// capture lacks one of the three segments, or where one of the SYNs was sent again. uTP has no third step: there it
    /// is `None`.
    pub handshake_round_trip: Option<f64>,
    /// Where the capture was taken.
    pub taken_at: CapturePlace,
    /// Segments larger than the connection's maximum segment size were captured: the network card puts segments together
    /// or takes them apart (offloading), so that one captured segment stands for several on the wire. Where the capture
    /// lacks the SYNs, larger than any link carries (8,960 bytes).
    pub offloaded: bool,
    /// First the initiator's bytes, then the responder's.
    pub directions: [DirectionMeasurement; 2],
    /// How the connection was opened, and how it ended.
    pub ending: ConnectionEnding,
}

impl ConnectionMeasurement {
    /// What was measured of the bytes of a direction.
    pub const fn direction(&self, direction: Direction) -> &DirectionMeasurement {
        &self.directions[direction as usize]
    }
}

/// Where on the path between the two ends a capture was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapturePlace {
    /// At the end that opened the connection, or near it: a tenth of the round trip at most lies between.
    Initiator,
    /// At the end that was called, or near it.
    Responder,
    /// Neither end is near.
    Between,
    /// A half of the round trip is unknown, or the path is so short (under 1 ms) and so free of queues that nothing tells
    /// the ends apart.
    Unknown,
}

/// How the transport of one direction of a connection behaved: the bytes that one end sent, and the acknowledgements
/// and windows that the other end answered with.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DirectionMeasurement {
    /// Segments (uTP: packets) that carried bytes of the stream, retransmissions included.
    pub segments: u64,
    /// Bytes of the stream that were captured, each counted once.
    pub bytes: u64,
    /// Segments that carried bytes, or a FIN, that had been sent before. Copies of one packet that only the capture has
    /// twice are not among them, and neither are keep-alives and probes of a closed window.
    pub retransmitted_segments: u64,
    /// The bytes of those segments that had been sent before.
    pub retransmitted_bytes: u64,
    /// Of the retransmitted segments, those whose bytes the receiver had acknowledged before, as far as the capture
    /// shows: the retransmission was not needed, or the acknowledgement was lost.
    pub spurious_retransmissions: u64,
    /// Segments that came after later ones and were not retransmitted: the network changed their order.
    pub out_of_order_segments: u64,
    /// Bytes (uTP: packets) that the receiver acknowledged and that the capture does not have.
    pub lost_to_capture: u64,
    /// The time from a segment to its acknowledgement, at the capture point. Bytes that were retransmitted give no sample
    /// (Karn's rule, RFC 6298, section 3).
    pub acknowledged_after: Option<RoundTrips>,
    /// Acknowledgements that asked for the same byte again while later bytes arrived (RFC 5681, section 2).
    pub duplicate_acknowledgements: u64,
    /// The window that the receiver offered for this direction. `None` where no acknowledgement was captured.
    pub window: Option<OfferedWindow>,
    /// Seconds for which the receiver offered a window of no bytes.
    pub zero_window_seconds: f64,
    /// Keep-alives, and probes of a closed window.
    pub probes: u64,
    /// The most bytes that were sent and not yet acknowledged, as the sender counts them.
    pub largest_in_flight: u64,
    /// The most bytes of the stream that one segment may carry (TCP), by the options of both SYNs; where these were not
    /// captured, or of uTP, the largest that was captured.
    pub largest_segment: u32,
    /// How long packets of this direction waited in queues. `None` where nothing tells.
    pub queueing: Option<QueueingDelay>,
    /// Where the time of this direction went. The spans tile the time from the connection's first packet to its end
    /// ([`ConnectionEnd::opened`](crate::ConnectionEnd::opened) to [`ConnectionEnd::closed`](crate::ConnectionEnd::closed)):
    /// each begins where the one before it ends, and their bytes add up to [`bytes`](Self::bytes), and their retransmitted
    /// segments to [`retransmitted_segments`](Self::retransmitted_segments). Times that run backwards in the capture count
    /// as if they stood still. There are at most 2,048 spans: where there would be more, short ones are joined with their
    /// neighbours and take the state of the longer one.
    pub spans: Vec<TransportSpan>,
    /// Seconds in each [`TransportState`], in the order of [`TransportState::ALL`], which spans that were joined did
    /// not change.
    pub seconds: [f64; 6],
}

impl DirectionMeasurement {
    /// Seconds that the direction spent in a state.
    pub const fn seconds_in(&self, state: TransportState) -> f64 {
        self.seconds[state as usize]
    }
}

/// Times from a segment to its acknowledgement, in seconds. Smallest and largest are exact; the median and the 95th
/// percentile are known to 3 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoundTrips {
    /// How many times were measured.
    pub samples: u64,
    /// The smallest.
    pub smallest: f64,
    /// Half of the times are at most as long as this.
    pub median: f64,
    /// 95 % of the times are at most as long as this.
    pub p95: f64,
    /// The largest.
    pub largest: f64,
    /// How many of the acknowledgements were delayed on purpose (RFC 1122, section 4.2.3.2), as far as can be told: they
    /// acknowledge all that was sent, which is less than two full segments, carry no bytes, and came at least 20 ms after
    /// the smallest time. Linux delays by 40 to 200 ms; 500 ms are the most that is allowed.
    pub delayed: u64,
}

/// The window that a receiver offered, in bytes. The windows of SYN and RESET segments do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferedWindow {
    /// The smallest.
    pub smallest: u64,
    /// The largest.
    pub largest: u64,
    /// The last.
    pub last: u64,
    /// By how many bits the windows were shifted (RFC 7323, section 2): 0 where a SYN does without the option. `None`
    /// where the capture lacks a SYN, so that the scale is unknown and the windows stand as they were sent; whether they
    /// stopped the sender is not known then, unless they were 0. Of uTP, whose windows are in bytes, 0.
    pub scale: Option<u8>,
}

/// How long packets waited in queues, in seconds: how much longer they were under way than the fastest packet of the last
/// 13 minutes.
///
/// Of uTP, on the whole way to the receiver, which reports it (BEP 29, `timestamp_difference_microseconds`). Of TCP, from
/// the sender to the capture point, by the sender's clock in the time stamps (RFC 7323), known to a millisecond: in a
/// capture taken at the sender all of it is about 0, and [`DirectionMeasurement::acknowledged_after`] shows the queue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QueueingDelay {
    /// How many delays were measured.
    pub samples: u64,
    /// Half of the delays are at most as long as this.
    pub median: f64,
    /// 95 % of the delays are at most as long as this.
    pub p95: f64,
    /// The largest.
    pub largest: f64,
}

/// A part of a direction's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransportSpan {
    /// Where it begins.
    pub from: Timestamp,
    /// Where it ends, and the next begins.
    pub to: Timestamp,
    /// What the direction did.
    pub state: TransportState,
    /// Bytes of the stream that were captured in it for the first time.
    pub bytes: u64,
    /// Segments that were retransmitted in it.
    pub retransmitted: u64,
}

/// What a direction of a connection does, as its packets show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportState {
    /// Nothing is unacknowledged: the sender has nothing to send, or does not send it.
    Idle,
    /// Bytes are under way, and nothing that the capture shows holds back more.
    Sending,
    /// A loss is being repaired: from the third duplicate acknowledgement, or the first retransmission, until everything
    /// that was sent before is acknowledged. Where the sender noticed the loss by its retransmission timer, the wait for
    /// that timer belongs to it.
    Recovering,
    /// The window that the receiver offers leaves less than two segments of room, or is zero.
    WindowFull,
    /// uTP: the delay that the receiver reports is near or over the target of 100 ms (BEP 29), so the sender holds back.
    DelayTarget,
    /// The capture lost packets here, or holds only one direction of the connection: nothing can be said.
    Unseen,
}

impl TransportState {
    /// All of them, each at the place of its number.
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::Sending, Self::Recovering, Self::WindowFull, Self::DelayTarget, Self::Unseen];
}

/// How a connection was opened, and how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionEnding {
    /// What became of the attempt to connect.
    pub attempt: ConnectionAttempt,
    /// How many SYNs the initiator sent: more than one where it heard nothing for a second or more.
    pub syns: u32,
    /// The end that ended the connection: the sender of the RESET where there is one, else of the first FIN. `None` where
    /// there is neither.
    pub by: Option<Direction>,
    /// What ended the connection.
    pub how: EndedBy,
    /// The first FIN of the initiator, and of the responder.
    pub fins: [Option<Moment>; 2],
    /// The RESET that ended the connection.
    pub reset: Option<Moment>,
    /// The last packet of the initiator, and of the responder.
    pub last: [Option<Moment>; 2],
    /// Bytes of the initiator, and of the responder, that were never acknowledged.
    pub unacknowledged: [u64; 2],
    /// The reason that a uTP packet of the initiator, and of the responder, gave for closing: libtorrent's extension 3,
    /// `close_reason_t`. 0 says nothing and counts as `None`.
    pub close_reasons: [Option<u16>; 2],
}

/// What became of an attempt to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionAttempt {
    /// The responder answered.
    Answered,
    /// The responder answered with a RESET.
    Refused,
    /// The responder never answered.
    Unanswered,
    /// The connection was open when the capture began.
    Unseen,
}

/// What ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// A FIN of TCP or uTP.
    Fin,
    /// A RESET of TCP or uTP.
    Reset,
    /// Nothing: no FIN and no RESET was captured, and the capture ended or the connection's place was needed.
    Silence,
}
