//! The seam where captured bytes and live bytes meet: these bytes, this stream, this direction, this moment.

use std::net::SocketAddr;

use bittrace_protocol::Timestamp;

use crate::measurement::ConnectionMeasurement;

/// The number of a connection or a flow of datagrams within one trace. Numbers are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// Who opened a connection, and to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The end that sent the SYN; of a connection that was open when the capture began, the end that was
    /// heard first.
    pub initiator: SocketAddr,
    /// The other end.
    pub responder: SocketAddr,
}

impl Flow {
    /// The sender and the receiver of what is said in `direction`.
    pub const fn ends(&self, direction: Direction) -> (SocketAddr, SocketAddr) {
        match direction {
            Direction::FromInitiator => (self.initiator, self.responder),
            Direction::FromResponder => (self.responder, self.initiator),
        }
    }
}

/// One of the two ways through a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Said by the end that opened the connection.
    FromInitiator,
    /// Said by the end that was called.
    FromResponder,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::FromInitiator => Self::FromResponder,
            Self::FromResponder => Self::FromInitiator,
        }
    }
}

/// A packet's place in its capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// When it was captured.
    pub at: Timestamp,
    /// Its number as Wireshark counts, from 1.
    pub frame: u64,
}

/// What happens on connections, in the order of each direction's bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamEvent<'a> {
    /// A connection is seen for the first time.
    Opened {
        /// Its number.
        stream: StreamId,
        /// Its ends.
        flow: Flow,
        /// Whether the capture holds its beginning.
        opening: StreamOpening,
    },
    /// The next bytes of one direction. They never overlap bytes delivered before.
    Burst {
        /// The connection.
        stream: StreamId,
        /// The way they went.
        direction: Direction,
        /// The bytes; never empty.
        bytes: &'a [u8],
    },
    /// Bytes that the capture lost stand here.
    Gap {
        /// The connection.
        stream: StreamId,
        /// The way they went.
        direction: Direction,
        /// How many bytes are lost; never 0.
        length: u64,
    },
    /// Packets that the capture lost stand here. Of uTP alone, which numbers packets: nothing tells how many bytes
    /// they had.
    Lost {
        /// The connection.
        stream: StreamId,
        /// The way they went.
        direction: Direction,
        /// How many packets are lost; never 0.
        packets: u64,
    },
    /// Bytes of a direction are out, or are not any more, that the capture has not shown yet: others after them came, or
    /// their receiver has them. They may be late or lost; what the other end says meanwhile may answer them. Of TCP alone.
    Awaited {
        /// The connection.
        stream: StreamId,
        /// The way they went.
        direction: Direction,
        /// Whether there are such bytes now.
        missing: bool,
    },
    /// The called end acknowledged the SYN: the connection stands.
    Established {
        /// The connection.
        stream: StreamId,
    },
    /// How uTP behaved, where that was asked for. It comes right before [`Closed`](Self::Closed), and only of connections whose
    /// bytes are wanted to the end.
    Measured {
        /// The connection.
        stream: StreamId,
        /// How it behaved.
        measurement: Box<ConnectionMeasurement>,
    },
    /// Nothing more will come of this connection.
    Closed {
        /// The connection.
        stream: StreamId,
        /// Why.
        closing: StreamClosing,
    },
}

impl StreamEvent<'_> {
    /// The connection this is about.
    pub const fn stream(&self) -> StreamId {
        match self {
            Self::Opened { stream, .. }
            | Self::Burst { stream, .. }
            | Self::Gap { stream, .. }
            | Self::Lost { stream, .. }
            | Self::Awaited { stream, .. }
            | Self::Established { stream }
            | Self::Measured { stream, .. }
            | Self::Closed { stream, .. } => *stream,
        }
    }
}

/// Whether a capture holds the beginning of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamOpening {
    /// Its SYN was seen.
    Syn,
    /// It was open when the capture began.
    MidStream,
}

/// Why nothing more comes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamClosing {
    /// Both ends sent FIN, or one did and the other fell silent.
    Finished,
    /// An end reset it after it stood.
    Reset,
    /// The called end answered the SYN with a reset: connection refused.
    Refused,
    /// The SYN was never answered.
    Unanswered,
    /// It was open when the capture ended.
    CaptureEnded,
    /// The same addresses and ports were used again for a new connection, or it was idle for so long that
    /// its place was needed.
    Replaced,
}

impl StreamClosing {
    /// Its name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Reset => "reset",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::CaptureEnded => "open",
            Self::Replaced => "replaced",
        }
    }
}

/// Whether the bytes of a connection are still wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamInterest {
    /// Go on.
    Wanted,
    /// Deliver nothing more of it and keep no bytes for it.
    Unwanted,
}

/// Receives the events of a reassembler, and answers whether more of the connection is wanted.
pub(crate) trait StreamSink: FnMut(Moment, StreamEvent<'_>) -> StreamInterest {}

impl<F: FnMut(Moment, StreamEvent<'_>) -> StreamInterest> StreamSink for F {}
