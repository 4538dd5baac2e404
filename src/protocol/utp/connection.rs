//! One connection, as a state machine over packets. Packets go in with [`handle`](Connection::handle), what follows from them
//! comes out of [`poll`](Connection::poll), and what is to be sent out of [`transmit`](Connection::transmit).

mod arriving;
mod sending;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::HEADER_LENGTH;
use super::congestion::Congestion;
use super::header::{Header, Kind};
use super::pace::Pace;
use super::packet_size::{FIRST, PacketSize};
use super::receive_buffer::ReceiveBuffer;
use super::round_trip::RoundTrip;
use super::send_buffer::SendBuffer;
use super::sequence::Sequence;
use crate::Timestamp;
use crate::session::rng::Rng;

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    phase: Phase,
    /// The id of packets that come, and of those that we send.
    ids: Ids,
    /// The number of the SYN.
    syn: Sequence,
    /// The first number of the end that answers, which STATE has whenever it answers a SYN.
    answer: Sequence,
    /// Whether a SYN is to be answered.
    owes_answer: bool,
    send: SendBuffer,
    receive: ReceiveBuffer,
    congestion: Congestion,
    round_trip: RoundTrip,
    size: PacketSize,
    pace: Pace,
    rng: Rng,
    events: VecDeque<ConnectionEvent>,
    /// Bytes of events that were not asked for yet.
    undelivered: usize,
    /// How many bytes may be held for the upper layer.
    capacity: usize,
    /// The window that we told last.
    told_window: usize,
    /// How many bytes the other end takes.
    peer_window: usize,
    /// How long the last packet of the other end was under way, by both clocks.
    their_delay: u32,
    acknowledgement: AcknowledgementDue,
    /// How many acknowledgements in a row said the same.
    repeated: u32,
    /// Whether the loss of the tail was probed, and nothing new is acknowledged since.
    is_probing: bool,
    /// Whether the probe is to be sent.
    owes_probe: bool,
    /// Whether more would be sent if the congestion window were larger.
    is_limited: bool,
    /// Whether nothing more will be written.
    closing: bool,
    end_sent: bool,
    end_told: bool,
    /// Whether the other end opens a connection to us at the same time.
    is_punching: bool,
    times: Times,
}

/// When something is to be done. Each is `None` while there is nothing.
#[derive(Debug, Default)]
struct Times {
    /// Nothing was acknowledged for too long.
    expires: Option<Timestamp>,
    /// Data was sent last, or something new was acknowledged.
    progressed: Option<Timestamp>,
    /// A packet that was received is acknowledged at last.
    acknowledge: Option<Timestamp>,
    /// Something was sent last.
    sent: Option<Timestamp>,
    /// Something was received last.
    heard: Option<Timestamp>,
    /// The other end takes one packet though its window is zero.
    past_zero_window: Option<Timestamp>,
    /// A packet may be kept back.
    keep_back: Option<Timestamp>,
    /// The packet that is kept back is sent at last.
    release: Option<Timestamp>,
    /// Nothing more is expected: the connection is forgotten.
    forget: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// We have sent SYN, or will.
    SynSent,
    /// We have answered SYN, and wait for data.
    SynReceived,
    /// Both ends have heard each other.
    Open,
    /// It is over; a RESET may have to be sent.
    Over { owes_reset: bool },
}

#[derive(Debug, Clone, Copy)]
struct Ids {
    receive: u16,
    send: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AcknowledgementDue {
    No,
    /// So many packets have come that are not acknowledged.
    Later(u32),
    Now,
}

/// What a connection draws at random: where its numbers begin. Nobody else may guess it.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// The first number.
    pub sequence: u16,
    /// Where all other chance comes from.
    pub seed: u64,
}

/// What happened on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// Both ends have heard each other; of one that answers, with the first data of the other end.
    Opened,
    /// The next bytes of the other end.
    Received(Bytes),
    /// So many bytes of what was written have left.
    Sent(usize),
    /// The other end has said everything. Nothing is received after it, but what is written still leaves.
    Ended,
    /// It is over, and nothing more happens on it.
    Closed(Ending),
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// We closed it, and the other end has everything.
    Finished,
    /// The other end does not know it, or wants no more of it.
    Reset,
    /// Nobody answers a SYN but with a RESET.
    Refused,
    /// Nothing was acknowledged, though it was sent again and again.
    TimedOut,
    /// The other end acknowledged a packet that was never sent.
    Lied,
    /// We gave it up.
    Aborted,
}

/// Whether a packet may be cut on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragment {
    /// It may.
    Allowed,
    /// It may not: whether it arrives whole says which size the way takes.
    Forbidden,
}

impl Connection {
    /// A connection that we open, by the id that the packets of the other end will have. `header` is how many bytes IP and UDP
    /// take of a packet.
    pub fn connect(id: u16, draw: Draw, header: usize) -> Self {
        let syn = Sequence(draw.sequence);
        let ids = Ids { receive: id, send: id.wrapping_add(1) };
        Self::new(Phase::SynSent, ids, syn, syn.plus(1), Sequence(0), draw.seed, header)
    }

    /// The same where the other end opens one to us at the same time, so that devices between us let both in (BEP 55): SYN is
    /// sent again after 1 and after 3 seconds.
    pub fn punch(id: u16, draw: Draw, header: usize) -> Self {
        Self { is_punching: true, ..Self::connect(id, draw, header) }
    }

    /// A connection that the other end opens with this SYN, at `now`.
    pub fn accept(now: Timestamp, syn: &Header, draw: Draw, header: usize) -> Self {
        let first = Sequence(draw.sequence);
        let ids = Ids { receive: syn.connection.wrapping_add(1), send: syn.connection };
        let number = Sequence(syn.sequence);
        let mut connection = Self::new(Phase::SynReceived, ids, number, first, number, draw.seed, header);
        connection.owes_answer = true;
        connection.times.forget = Some(now + HALF_OPEN);
        connection.note_times(now, syn);
        connection
    }

    fn new(
        phase: Phase,
        ids: Ids,
        syn: Sequence,
        first: Sequence,
        complete: Sequence,
        seed: u64,
        header: usize,
    ) -> Self {
        Self {
            phase,
            ids,
            syn,
            answer: first,
            owes_answer: false,
            send: SendBuffer::new(first),
            receive: ReceiveBuffer::new(complete),
            congestion: Congestion::new(FIRST),
            round_trip: RoundTrip::default(),
            size: PacketSize::new(header),
            pace: Pace::default(),
            rng: Rng::new(seed),
            events: VecDeque::new(),
            undelivered: 0,
            capacity: RECEIVE_WINDOW,
            told_window: RECEIVE_WINDOW,
            // Until the other end says otherwise, it takes what one packet holds.
            peer_window: FIRST,
            their_delay: 0,
            acknowledgement: AcknowledgementDue::No,
            repeated: 0,
            is_probing: false,
            owes_probe: false,
            is_limited: false,
            closing: false,
            end_sent: false,
            end_told: false,
            is_punching: false,
            times: Times::default(),
        }
    }

    /// The id of the packets that the other end sends.
    pub const fn receive_id(&self) -> u16 {
        self.ids.receive
    }

    /// The id of the packets that we send; a SYN that we send has the other one.
    pub const fn send_id(&self) -> u16 {
        self.ids.send
    }

    /// Whether the other end has said SYN, but nothing that shows that it has our answer.
    pub fn is_half_open(&self) -> bool {
        self.phase == Phase::SynReceived
    }

    /// Whether it is over; [`poll`](Self::poll) says why, and [`transmit`](Self::transmit) may have a last packet.
    pub const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over { .. })
    }

    /// How many bytes wait for others before them, or for the upper layer.
    pub fn held(&self) -> usize {
        self.receive.held() + self.undelivered
    }

    /// How many bytes wait to be sent or acknowledged.
    pub const fn unsent(&self) -> usize {
        self.send.waiting() + self.send.unacknowledged()
    }

    /// Sets how many bytes may be held: a receive window (1 MiB) at most.
    pub fn set_capacity(&mut self, bytes: usize) {
        self.capacity = bytes.min(RECEIVE_WINDOW);
    }

    /// Adds bytes to what is sent.
    pub fn write(&mut self, bytes: Bytes) {
        if !self.closing && !self.is_over() {
            self.send.write(bytes);
        }
    }

    /// Closes it once all that was written has arrived. One that nobody has answered is over at once.
    pub fn close(&mut self, now: Timestamp) {
        if self.closing || self.is_over() {
            return;
        }
        self.closing = true;
        if self.phase != Phase::Open {
            self.end(Ending::Aborted, false);
            return;
        }
        if self.receive.has_ended() {
            // The other end has left: it reads no more.
            self.send.drop_waiting();
        }
        self.finish_if_done(now);
    }

    /// Ends it at once, with a RESET to the other end where one has answered.
    pub fn abort(&mut self) {
        if !self.is_over() {
            self.end(Ending::Aborted, self.phase == Phase::Open);
        }
    }

    /// The next thing that happened.
    pub fn poll(&mut self) -> Option<ConnectionEvent> {
        let event = self.events.pop_front();
        if let Some(ConnectionEvent::Received(bytes)) = &event {
            self.undelivered -= bytes.len();
        }
        event
    }

    /// Takes what a packet says of times: how long it was under way, and that somebody is there.
    fn note_times(&mut self, now: Timestamp, header: &Header) {
        self.their_delay = microseconds(now).wrapping_sub(header.timestamp);
        self.congestion.measured_theirs(now, self.their_delay);
        self.peer_window = header.window as usize;
        self.times.heard = Some(now);
    }

    fn open(&mut self) {
        self.phase = Phase::Open;
        self.times.forget = None;
        self.events.push_back(ConnectionEvent::Opened);
    }

    fn end(&mut self, ending: Ending, owes_reset: bool) {
        if self.is_over() {
            return;
        }
        self.phase = Phase::Over { owes_reset };
        self.times = Times::default();
        self.events.push_back(ConnectionEvent::Closed(ending));
    }

    /// Once both ends have everything, it stays for one timeout, to acknowledge again what the other end repeats.
    fn finish_if_done(&mut self, now: Timestamp) {
        if self.closing && self.end_sent && self.send.packets() == 0 && self.times.forget.is_none() {
            self.times.forget = Some(now + self.round_trip.timeout());
        }
    }

    /// How many bytes the other end may have under way to us.
    fn window(&self) -> usize {
        self.capacity.saturating_sub(self.held())
    }

    fn header(&self, now: Timestamp, kind: Kind, sequence: Sequence) -> Header {
        Header {
            kind,
            connection: if kind == Kind::Syn { self.ids.receive } else { self.ids.send },
            timestamp: microseconds(now),
            delay: self.their_delay,
            window: self.window() as u32,
            sequence: sequence.0,
            acknowledged: self.receive.complete().0,
            length: HEADER_LENGTH,
        }
    }
}

/// The time as packets have it.
const fn microseconds(now: Timestamp) -> u32 {
    (now.as_nanos() / 1_000) as u32
}

/// How many bytes one connection holds for the upper layer at most (LIVE.md 4.2; libtorrent's default too).
pub(super) const RECEIVE_WINDOW: usize = 1024 * 1024;
/// How long the end that called may take to say something after it was answered.
pub(super) const HALF_OPEN: Duration = Duration::from_secs(10);
