//! One direction of a uTP connection: packets numbered in 16 bits, in any order, become one run of bytes. A packet is
//! delivered once, as its first copy; one that never comes is told of when its receiver has it or nothing more
//! comes.

use std::collections::BTreeMap;
use std::time::Duration;

use bittrace_protocol::Timestamp;

use super::events::Events;
use crate::burst::{Direction, Moment, StreamSink};

/// One direction of a connection. Places count its packets from 0 and never wrap.
#[derive(Debug, Default)]
pub(super) struct UtpHalf {
    begun: Begun,
    /// The number of the packet at `next`.
    next_number: u16,
    /// The place of the first packet that is not delivered.
    next: u64,
    /// Up to which place the receiver said last that it has everything.
    acked: Option<u64>,
    /// Where the direction ends.
    end: Option<u64>,
    /// What came before its turn, by place.
    held: BTreeMap<u64, HeldPacket>,
    held_cost: usize,
    patience: Option<PacketPatience>,
    /// Packets in a row whose numbers are far from any that may come.
    strange: u32,
}

/// Whether it is known which number comes first.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Begun {
    #[default]
    No,
    /// It is the one of the acknowledgement that opened the direction, or the next: BEP 29 counts that packet, and
    /// no client does.
    About,
    Yes,
}

#[derive(Debug)]
struct HeldPacket {
    moment: Moment,
    bytes: Box<[u8]>,
}

/// How much longer a missing packet may still turn up, once the receiver has it.
#[derive(Debug)]
struct PacketPatience {
    packets: u32,
    until: Timestamp,
}

impl UtpHalf {
    /// The direction's first packet has this number.
    pub(super) fn begin(&mut self, number: u16) {
        self.begun = Begun::Yes;
        self.next_number = number;
    }

    /// The direction's first packet has this number or the next.
    pub(super) fn begin_about(&mut self, number: u16) {
        self.begun = Begun::About;
        self.next_number = number;
    }

    /// Whether everything up to the direction's end was delivered.
    pub(super) fn finished(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }

    /// Whether the direction's end was heard.
    pub(super) fn ends(&self) -> bool {
        self.end.is_some()
    }

    /// The memory that held packets take.
    pub(super) fn held_cost(&self) -> usize {
        self.held_cost
    }

    /// The receiver has everything up to the packet of this number.
    pub(super) fn acknowledge<S: StreamSink>(
        &mut self,
        direction: Direction,
        number: u16,
        events: &mut Events<'_, S>,
    ) {
        if self.begun == Begun::No {
            return;
        }
        let ahead = self.ahead(number.wrapping_add(1));
        if self.begun == Begun::About {
            self.begun = Begun::Yes;
            if ahead == 1 && self.next == 0 && !self.held.contains_key(&0) {
                // The packet of that number had no bytes: it was the acknowledgement.
                self.advance();
                self.drain(direction, events);
            }
        }
        if (0..=MAX_AHEAD).contains(&ahead) {
            self.acked = self.acked.max(Some(self.next + ahead as u64));
        }
    }

    /// Delivers the bytes of a packet, or holds them until their turn.
    pub(super) fn push<S: StreamSink>(
        &mut self,
        direction: Direction,
        number: u16,
        bytes: &[u8],
        events: &mut Events<'_, S>,
    ) {
        if self.begun == Begun::No {
            self.begin(number);
        }
        let mut ahead = self.ahead(number);
        if !(-MAX_AHEAD..=MAX_AHEAD).contains(&ahead) {
            self.strange += 1;
            if self.strange < STRANGE || self.end.is_some() {
                return;
            }
            // More was lost than numbers can tell.
            self.give_up_all(direction, events);
            let lost = number.wrapping_sub(self.next_number);
            events.lost(events.moment, direction, lost.into());
            self.next_number = number;
            ahead = 0;
        }
        self.strange = 0;
        let place = self.next.saturating_add_signed(ahead.into());
        if ahead < 0 || self.end.is_some_and(|end| place >= end) {
            return;
        }
        if ahead == 0 {
            self.advance();
            events.burst(events.moment, direction, bytes);
        } else if let std::collections::btree_map::Entry::Vacant(place) = self.held.entry(place) {
            place.insert(HeldPacket { moment: events.moment, bytes: bytes.into() });
            self.held_cost += bytes.len() + HELD_OVERHEAD;
        }
        self.drain(direction, events);
        while self.held_cost > MAX_HELD {
            self.give_up(direction, events);
        }
    }

    /// The direction ends with the packet of this number, which is `empty` or was delivered as any other.
    pub(super) fn end<S: StreamSink>(
        &mut self,
        direction: Direction,
        number: u16,
        empty: bool,
        events: &mut Events<'_, S>,
    ) {
        if self.begun == Begun::No {
            self.begin(number);
        }
        let ahead = self.ahead(number) + i32::from(!empty);
        if self.end.is_none() && (0..=MAX_AHEAD).contains(&ahead) {
            self.end = Some(self.next + ahead as u64);
            self.drain(direction, events);
        }
    }

    /// Counts one more packet of the connection, and declares what is missing lost when its time is over.
    pub(super) fn wait<S: StreamSink>(&mut self, direction: Direction, events: &mut Events<'_, S>) {
        let Some(end) = self.hole_end() else { return };
        // What the receiver has not acknowledged may be sent again. Of one that the capture never hears, nothing
        // can be known.
        if self.acked.is_some_and(|acked| acked < end) {
            self.patience = None;
            return;
        }
        let until = events.moment.at + PATIENCE_TIME;
        let patience = self.patience.get_or_insert(PacketPatience { packets: PATIENCE_PACKETS, until });
        patience.packets -= 1;
        if patience.packets == 0 || events.moment.at >= patience.until {
            self.give_up(direction, events);
        }
    }

    /// Gives up all that is missing before what is held.
    pub(super) fn give_up_all<S: StreamSink>(&mut self, direction: Direction, events: &mut Events<'_, S>) {
        while self.hole_end().is_some() {
            self.give_up(direction, events);
        }
    }

    /// Nothing more will come: gives up what is missing, and what was acknowledged but never heard.
    pub(super) fn flush<S: StreamSink>(&mut self, direction: Direction, events: &mut Events<'_, S>) {
        self.give_up_all(direction, events);
        let unheard = self.acked.map_or(0, |acked| acked.saturating_sub(self.next));
        // A single one is the FIN that the capture missed.
        if unheard > 1 && !self.ends() {
            self.next += unheard;
            events.lost(events.moment, direction, unheard);
        }
        self.forget_held();
    }

    /// Lets go of all held packets.
    pub(super) fn forget_held(&mut self) {
        self.held = BTreeMap::new();
        self.held_cost = 0;
        self.patience = None;
    }

    /// Declares the first missing packets lost and goes on after them.
    fn give_up<S: StreamSink>(&mut self, direction: Direction, events: &mut Events<'_, S>) {
        let Some(end) = self.hole_end() else { return };
        // The packet after a hole is the one that tells of it.
        let moment = self.held.get(&end).map_or(events.moment, |held| held.moment);
        let packets = end - self.next;
        self.next = end;
        self.next_number = self.next_number.wrapping_add(packets as u16);
        self.patience = None;
        events.lost(moment, direction, packets);
        self.drain(direction, events);
    }

    /// Delivers the held packets whose turn has come.
    fn drain<S: StreamSink>(&mut self, direction: Direction, events: &mut Events<'_, S>) {
        while !self.finished()
            && let Some(entry) = self.held.first_entry()
        {
            if *entry.key() != self.next {
                break;
            }
            let held = entry.remove();
            self.held_cost -= held.bytes.len() + HELD_OVERHEAD;
            self.patience = None;
            self.advance();
            events.burst(held.moment, direction, &held.bytes);
        }
        if self.finished() && !self.held.is_empty() {
            self.forget_held();
        }
    }

    /// Where the missing packets end: at one that is held, or at the direction's end.
    fn hole_end(&self) -> Option<u64> {
        let held = self.held.keys().next().copied();
        let end = match (held, self.end) {
            (Some(held), Some(end)) => held.min(end),
            (held, end) => held.or(end)?,
        };
        (end > self.next).then_some(end)
    }

    /// How far `number` lies ahead of what was delivered, in the 16-bit circle.
    fn ahead(&self, number: u16) -> i32 {
        number.wrapping_sub(self.next_number).cast_signed().into()
    }

    fn advance(&mut self) {
        self.next += 1;
        self.next_number = self.next_number.wrapping_add(1);
    }
}

/// How far ahead a packet may be. More is under way on no path, and half the numbers must remain to tell what is
/// old.
const MAX_AHEAD: i32 = 16_384;

/// So many packets far off are no chance: the stream is there.
const STRANGE: u32 = 8;

/// Bytes that one direction may hold. A hole before more than this is no reordering.
const MAX_HELD: usize = 4 << 20;

/// What a held packet costs beside its bytes.
const HELD_OVERHEAD: usize = 96;

const PATIENCE_PACKETS: u32 = 64;
const PATIENCE_TIME: Duration = Duration::from_secs(3);
