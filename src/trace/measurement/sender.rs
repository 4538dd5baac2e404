//! One direction as its sender sees it: what is under way, how much the window leaves, and so what the direction does.
//! An acknowledgement counts when it has reached the sender, and not when it was captured.

use std::collections::VecDeque;

use bittrace_protocol::Timestamp;

use super::TransportState;
use super::budget::MeasurementLimits;
use super::spans::SpanRecorder;

/// What is known of a sender. Bytes of the stream are counted from the first that was captured.
// What each segment touches stands together: see `MeasuredDirection`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct SenderView {
    /// How many bytes were sent.
    sent: u64,
    /// What has reached the sender.
    known: AcknowledgedState,
    /// When the first of those [on the way](Self::on_the_way) reaches the sender; [`NEVER`] where there is none.
    next_arrival: Timestamp,
    /// When something last happened that the sender saw: it sent new bytes, or bytes were acknowledged.
    progress: Timestamp,
    /// The most bytes that were under way.
    pub(super) largest_in_flight: u64,
    /// A loss is being repaired until so many bytes are acknowledged.
    recovers_until: Option<u64>,
    /// As long as no more bytes than these were sent, nothing that the capture shows holds back more; 0 where something does. It
    /// follows from what is known, from [`recovers_until`](Self::recovers_until), and from [`segment`](Self::segment): whoever
    /// changes one of them [finds it anew](Self::find_free).
    free_up_to: u64,
    /// The most bytes that a segment carries.
    segment: u32,
    pub(super) spans: SpanRecorder,
    /// What was captured and has not reached the sender yet, in order.
    on_the_way: VecDeque<(Timestamp, AcknowledgedState)>,
}

/// What an acknowledgement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AcknowledgedState {
    /// How many bytes the receiver has.
    pub(super) bytes: u64,
    /// Up to how many bytes the receiver would take; [`UNKNOWN_ROOM`] where that is unknown.
    pub(super) room_to: u64,
    /// Whether the window is zero.
    pub(super) closed: bool,
    /// Whether the delay is at the sender's target.
    pub(super) delayed: bool,
}

/// No packet is captured later.
const NEVER: Timestamp = Timestamp::from_nanos(i64::MAX);
/// More room than can be filled.
pub(super) const UNKNOWN_ROOM: u64 = u64::MAX;

impl AcknowledgedState {
    /// Before the first acknowledgement.
    pub(super) const NOTHING: Self = Self { bytes: 0, room_to: UNKNOWN_ROOM, closed: false, delayed: false };
}

impl SenderView {
    pub(super) const fn begun_at(at: Timestamp) -> Self {
        Self {
            sent: 0,
            known: AcknowledgedState::NOTHING,
            on_the_way: VecDeque::new(),
            next_arrival: NEVER,
            recovers_until: None,
            progress: at,
            largest_in_flight: 0,
            free_up_to: UNKNOWN_ROOM,
            segment: 0,
            spans: SpanRecorder::begun_at(at),
        }
    }

    /// How many bytes were sent.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// A segment carries so many bytes where it may carry `largest`. Whether these are too many for one segment.
    #[inline(always)]
    pub(super) fn carries(&mut self, bytes: u64, largest: u32) -> bool {
        let largest = u64::from(largest);
        bytes > largest.min(self.segment.into()) && self.carries_more(bytes, largest)
    }

    /// The same of a segment that carries more than any before, or more than it may.
    #[cold]
    fn carries_more(&mut self, bytes: u64, largest: u64) -> bool {
        self.segment = self.segment.max(bytes.min(largest) as u32);
        self.find_free();
        bytes > largest
    }

    /// The most bytes that a segment carries.
    pub(super) const fn segment(&self) -> u32 {
        self.segment
    }

    /// Lets the acknowledgements arrive that have reached the sender by now.
    #[inline(always)]
    pub(super) fn catch_up(&mut self, now: Timestamp, limits: &MeasurementLimits) {
        if self.next_arrival <= now {
            self.let_arrive(now, limits);
        }
    }

    #[inline(never)]
    fn let_arrive(&mut self, now: Timestamp, limits: &MeasurementLimits) {
        while let Some(&(at, state)) = self.on_the_way.front()
            && at <= now
        {
            self.on_the_way.pop_front();
            self.learn(at, &state, limits);
        }
        self.next_arrival = self.on_the_way.front().map_or(NEVER, |&(at, _)| at);
    }

    /// The receiver answered; the sender knows of it after `delay`.
    #[inline(always)]
    pub(super) fn acknowledged(
        &mut self,
        now: Timestamp,
        delay: u64,
        state: &AcknowledgedState,
        limits: &MeasurementLimits,
    ) {
        if delay < AT_ONCE && self.next_arrival == NEVER {
            self.learn(now, state, limits);
        } else {
            self.put_on_the_way(now, delay, state, limits);
        }
    }

    #[inline(never)]
    fn put_on_the_way(
        &mut self,
        now: Timestamp,
        delay: u64,
        state: &AcknowledgedState,
        limits: &MeasurementLimits,
    ) {
        let at = Timestamp::from_nanos(now.as_nanos().saturating_add_unsigned(delay));
        let at = self.on_the_way.back().map_or(at, |&(last, _)| at.max(last));
        if self.on_the_way.len() >= limits.acknowledgements {
            // The last of too many stands for those before it.
            self.on_the_way.pop_back();
        }
        self.next_arrival = at.min(self.next_arrival);
        self.on_the_way.push_back((at, *state));
    }

    #[inline(always)]
    fn learn(&mut self, at: Timestamp, state: &AcknowledgedState, limits: &MeasurementLimits) {
        if state.bytes > self.known.bytes {
            self.progress = self.progress.max(at);
            // Number by number: the processor would wait for those that were written just now if it copied all of them at once.
            let AcknowledgedState { bytes, room_to, closed, delayed } = *state;
            self.known = AcknowledgedState { bytes, room_to, closed, delayed };
        } else if *state == self.known {
            return;
        } else {
            self.known = AcknowledgedState { bytes: self.known.bytes, ..*state };
        }
        if self.recovers_until.is_some_and(|until| self.known.bytes >= until) {
            self.recovers_until = None;
        }
        self.find_free();
        self.settle(at, limits);
    }

    /// Bytes of the stream were sent, as later ones show, that were not captured.
    pub(super) fn presume(&mut self, now: Timestamp, bytes: u64, limits: &MeasurementLimits) {
        self.sent += bytes;
        self.settle(now, limits);
    }

    /// New bytes of the stream were captured, of which some were presumed to have been sent.
    #[inline(always)]
    pub(super) fn send(&mut self, now: Timestamp, bytes: u64, presumed: u64, limits: &MeasurementLimits) {
        self.sent = (self.sent + bytes).saturating_sub(presumed);
        self.progress = self.progress.max(now);
        self.largest_in_flight = self.largest_in_flight.max(self.in_flight());
        self.settle(now, limits);
        self.spans.add_bytes(bytes);
    }

    /// The capture lost packets: nothing can be said of the time between two moments.
    pub(super) fn lose_sight(
        &mut self,
        (from, to): (Timestamp, Timestamp),
        now: Timestamp,
        limits: &MeasurementLimits,
    ) {
        self.spans.repaint((from, to), now, TransportState::Unseen, limits.spans);
    }

    /// The sender learnt of a loss, or is about to: third duplicate acknowledgement.
    pub(super) fn recover(&mut self, now: Timestamp, limits: &MeasurementLimits) {
        if self.recovers_until.is_none() && self.in_flight() > 0 {
            self.recovers_until = Some(self.sent);
            self.find_free();
            self.settle(now, limits);
        }
    }

    /// A segment was sent again. Where nothing told of the loss before, the sender waited for its timer since the last
    /// progress.
    pub(super) fn send_again(&mut self, now: Timestamp, limits: &MeasurementLimits) {
        if self.recovers_until.is_none() && self.in_flight() > 0 {
            self.spans.repaint((self.progress, now), now, TransportState::Recovering, limits.spans);
        }
        self.recover(now, limits);
        self.spans.add_retransmission();
    }

    /// Up to how many bytes the window leaves room for two segments, or, where it is one of few segments, half of it.
    #[inline(always)]
    const fn leaves_room_up_to(&self) -> u64 {
        let room_to = self.known.room_to;
        let half = room_to.saturating_sub(self.known.bytes) / 2;
        let two_segments = 2 * self.segment as u64;
        room_to - if two_segments < half { two_segments } else { half }
    }

    /// Finds out how many bytes the sender may send with nothing to hold it back.
    #[inline(always)]
    fn find_free(&mut self) {
        let held_back = self.known.closed | self.known.delayed | self.recovers_until.is_some();
        self.free_up_to = if held_back { 0 } else { self.leaves_room_up_to() };
    }

    const fn in_flight(&self) -> u64 {
        self.sent.saturating_sub(self.known.bytes)
    }

    #[inline(always)]
    fn settle(&mut self, at: Timestamp, limits: &MeasurementLimits) {
        self.spans.enter(at, self.state(), limits.spans);
    }

    /// What the sender does.
    #[inline(always)]
    const fn state(&self) -> TransportState {
        if self.in_flight() > 0 && self.sent <= self.free_up_to {
            TransportState::Sending
        } else if self.in_flight() == 0 && !self.known.closed {
            TransportState::Idle
        } else {
            self.held_back()
        }
    }

    /// What a sender does that is neither idle nor free to send.
    #[inline(never)]
    const fn held_back(&self) -> TransportState {
        if self.known.closed {
            TransportState::WindowFull
        } else if self.recovers_until.is_some() {
            TransportState::Recovering
        } else if self.sent > self.leaves_room_up_to() {
            TransportState::WindowFull
        } else {
            TransportState::DelayTarget
        }
    }

    /// The bytes of memory beside the view itself.
    pub(super) fn cost(&self) -> usize {
        self.on_the_way.capacity() * size_of::<(Timestamp, AcknowledgedState)>() + self.spans.cost()
    }
}

/// Below this delay in nanoseconds the capture was taken at the sender: an acknowledgement counts at once.
const AT_ONCE: u64 = 500_000;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// What happens to a sender.
    #[derive(Debug, Clone, Copy)]
    enum Event {
        /// It sends new bytes, some of which were presumed to have been sent.
        Sends(u64, u64),
        SendsAgain,
        /// A segment carries so many bytes.
        Carries(u64),
        /// Later segments show that so many bytes were sent.
        Presumed(u64),
        /// The receiver has so many bytes more, offers so much room, or none, reports a delay, and is so far away.
        Heard {
            bytes: u64,
            room: u64,
            closed: bool,
            delayed: bool,
            delay: u64,
        },
        Lost,
        Waits,
    }

    fn events() -> impl Strategy<Value = Event> {
        let room = prop_oneof![6 => 0u64..20_000, 1 => Just(UNKNOWN_ROOM / 2)];
        let delay = prop_oneof![Just(0), Just(AT_ONCE), Just(3 * AT_ONCE)];
        let rarely = || prop_oneof![6 => Just(false), 1 => Just(true)];
        let heard = (0u64..3_000, room, rarely(), rarely(), delay);
        prop_oneof![
            6 => (0u64..3_000, 0u64..100).prop_map(|(bytes, presumed)| Event::Sends(bytes, presumed)),
            1 => Just(Event::SendsAgain),
            2 => (1u64..3_000).prop_map(Event::Carries),
            1 => (0u64..3_000).prop_map(Event::Presumed),
            6 => heard.prop_map(|(bytes, room, closed, delayed, delay)| {
                Event::Heard { bytes, room, closed, delayed, delay }
            }),
            1 => Just(Event::Lost),
            1 => Just(Event::Waits),
        ]
    }

    /// What the sender does, by all that is known of it.
    fn does(view: &SenderView) -> TransportState {
        let AcknowledgedState { bytes, room_to, closed, delayed } = view.known;
        let little = (2 * u64::from(view.segment)).min(room_to.saturating_sub(bytes) / 2);
        match view.sent > bytes {
            _ if closed => TransportState::WindowFull,
            false => TransportState::Idle,
            true if view.recovers_until.is_some() => TransportState::Recovering,
            true if view.sent + little > room_to => TransportState::WindowFull,
            true if delayed => TransportState::DelayTarget,
            true => TransportState::Sending,
        }
    }

    proptest! {
        #[test]
        fn what_a_sender_does_follows_from_all_that_is_known_of_it(events in vec(events(), 1..120)) {
            let limits = &MeasurementLimits::PLENTY;
            let mut view = SenderView::begun_at(Timestamp::from_nanos(0));
            let mut acknowledged = 0;
            for (event, at) in events.into_iter().zip(1..) {
                let now = Timestamp::from_nanos(at * AT_ONCE.cast_signed());
                view.catch_up(now, limits);
                match event {
                    Event::Sends(bytes, presumed) => view.send(now, bytes, presumed, limits),
                    Event::SendsAgain => view.send_again(now, limits),
                    Event::Carries(bytes) => {
                        view.carries(bytes, 1_460);
                    }
                    Event::Presumed(bytes) => view.presume(now, bytes, limits),
                    Event::Heard { bytes, room, closed, delayed, delay } => {
                        acknowledged += bytes;
                        let state =
                            AcknowledgedState { bytes: acknowledged, room_to: acknowledged + room, closed, delayed };
                        view.acknowledged(now, delay, &state, limits);
                    }
                    Event::Lost => view.recover(now, limits),
                    Event::Waits => {}
                }
                prop_assert_eq!(view.state(), does(&view), "after {:?}: {:?}", event, view);
            }
        }
    }
}
