//! One direction of a connection: 32-bit sequence numbers in any order become one run of bytes that is never
//! wound back. A byte is delivered once, as its first copy, in its own packet's burst; a byte that never
//! comes becomes part of a gap.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use bittrace_protocol::Timestamp;

use super::Outlet;
use crate::burst::{Direction, Moment, StreamSink};

/// One direction of a connection. Offsets count its bytes from 0 and never wrap.
#[derive(Default)]
pub(super) struct TcpHalf {
    begun: bool,
    /// The sequence number of the byte at `next`.
    next_seq: u32,
    /// The offset of the first byte that is not delivered.
    next: u64,
    /// Up to where the receiver said last that it has everything.
    acked: Option<u64>,
    /// Where the direction ends.
    fin: Option<u64>,
    /// What came before its turn, by offset; pieces never overlap.
    held: BTreeMap<u64, HeldSegment>,
    /// The same without the seams between pieces: where each run of them begins and ends. The first may begin with
    /// pieces that are delivered by now.
    runs: BTreeMap<u64, u64>,
    held_cost: usize,
    patience: Option<HolePatience>,
}

struct HeldSegment {
    moment: Moment,
    content: HeldContent,
}

enum HeldContent {
    Bytes(Box<[u8]>),
    /// Bytes that were on the wire but not captured.
    Lost(u64),
}

impl HeldContent {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Lost(length) => *length,
        }
    }

    fn cost(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len() + HELD_OVERHEAD,
            Self::Lost(_) => HELD_OVERHEAD,
        }
    }
}

/// How much longer the bytes of a hole may still turn up, once the receiver has them.
struct HolePatience {
    segments: u32,
    until: Timestamp,
}

/// The bytes of one segment and where they stand.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) seq: u32,
    pub(super) payload: &'a [u8],
    pub(super) lost_tail: u32,
}

impl TcpHalf {
    /// Whether it is known where the direction begins.
    pub(super) fn begun(&self) -> bool {
        self.begun
    }

    /// The direction's first byte has this number.
    pub(super) fn begin(&mut self, seq: u32) {
        self.begun = true;
        self.next_seq = seq;
    }

    /// The number of the direction's first byte.
    pub(super) fn base(&self) -> u32 {
        self.next_seq.wrapping_sub(self.next as u32)
    }

    /// How far `seq` lies ahead of what was delivered, in the 32-bit circle.
    pub(super) fn ahead(&self, seq: u32) -> i64 {
        i64::from(seq.wrapping_sub(self.next_seq).cast_signed())
    }

    /// Whether everything up to the direction's end was delivered.
    pub(super) fn finished(&self) -> bool {
        self.fin.is_some_and(|fin| self.next >= fin)
    }

    /// Whether the direction's end was heard.
    pub(super) fn ends(&self) -> bool {
        self.fin.is_some()
    }

    /// Whether bytes are missing before others, or before the direction's end.
    pub(super) fn has_hole(&self) -> bool {
        self.hole_end().is_some()
    }

    /// Whether bytes are out that were not delivered: such as stand before others, or such as the receiver has.
    #[inline]
    pub(super) fn misses(&self) -> bool {
        // The end takes a number of its own.
        let delivered = self.next + u64::from(self.fin.is_some());
        self.acked.is_some_and(|acked| acked > delivered) || self.has_hole()
    }

    /// The memory that held bytes take.
    pub(super) fn held_cost(&self) -> usize {
        self.held_cost
    }

    /// The receiver wants the byte of this number next.
    pub(super) fn acknowledge(&mut self, ack: u32) {
        let ahead = self.ahead(ack);
        if ahead.abs() <= WINDOW {
            self.acked = Some(self.next.saturating_add_signed(ahead));
        }
    }

    /// Delivers what a segment carries, or holds it until its turn.
    #[inline]
    pub(super) fn push<S: StreamSink>(
        &mut self,
        moment: Moment,
        direction: Direction,
        piece: Piece<'_>,
        outlet: &mut Outlet<'_, S>,
    ) {
        let ahead = self.ahead(piece.seq);
        let plain = ahead == 0 && piece.lost_tail == 0 && self.held.is_empty() && self.fin.is_none();
        if plain && outlet.wanted() && !piece.payload.is_empty() {
            self.advance(piece.payload.len() as u64);
            outlet.burst(moment, direction, piece.payload);
            return;
        }
        self.push_slowly(moment, direction, ahead, piece, outlet);
    }

    fn push_slowly<S: StreamSink>(
        &mut self,
        moment: Moment,
        direction: Direction,
        ahead: i64,
        piece: Piece<'_>,
        outlet: &mut Outlet<'_, S>,
    ) {
        let length = piece.payload.len() as i64 + i64::from(piece.lost_tail);
        let end = ahead + length;
        // Old news: a retransmission, or a probe one byte before what comes next.
        if length == 0 || end <= 0 || end > WINDOW || self.finished() {
            return;
        }
        if !outlet.wanted() {
            self.advance(end as u64);
            return;
        }
        let stop = self.fin.map_or(u64::MAX, |fin| fin - self.next).min(end as u64);
        let start = ahead.max(0) as u64;
        if start >= stop {
            return;
        }
        // Where the captured bytes end, and the lost ones begin.
        let seam = (ahead + piece.payload.len() as i64).clamp(start as i64, stop as i64) as u64;
        let known = ((start as i64 - ahead) as usize).min(piece.payload.len());
        let payload = &piece.payload[known..][..(seam - start) as usize];

        let turn_has_come = start == 0;
        let first_held = self.held.keys().next().map_or(u64::MAX, |&first| first - self.next);
        if turn_has_come && stop <= first_held {
            if !payload.is_empty() {
                self.advance(payload.len() as u64);
                outlet.burst(moment, direction, payload);
            }
            if stop > seam {
                self.advance(stop - seam);
                outlet.gap(moment, direction, stop - seam);
            }
        } else {
            let here = self.next;
            self.hold(moment, here + start..here + seam, |range| {
                let from = (range.start - here - start) as usize;
                HeldContent::Bytes(payload[from..][..(range.end - range.start) as usize].into())
            });
            self.hold(moment, here + seam..here + stop, |range| HeldContent::Lost(range.end - range.start));
        }
        self.drain(moment, direction, outlet);
        while self.held_cost > MAX_HELD {
            self.give_up(moment, direction, outlet);
        }
    }

    /// Holds those parts of a range that are not held yet. The runs that it touches become one, so that what is held
    /// in small pieces is not gone through each time.
    fn hold(&mut self, moment: Moment, range: Range<u64>, content: impl Fn(Range<u64>) -> HeldContent) {
        if range.is_empty() {
            return;
        }
        let mut run = range.clone();
        let mut at = range.start;
        if let Some((&start, &end)) = self.runs.range(..range.start).next_back()
            && end >= range.start
        {
            run.start = start;
            at = end;
        }
        while at < range.end {
            let following = self.runs.range(at..range.end).next();
            let following = following.map(|(&start, &end)| (start, end));
            let stop = following.map_or(range.end, |(start, _)| start);
            if at < stop {
                let content = content(at..stop);
                self.held_cost += content.cost();
                self.held.insert(at, HeldSegment { moment, content });
            }
            at = stop;
            if let Some((start, end)) = following {
                self.runs.remove(&start);
                at = end;
            }
        }
        run.end = at.max(run.end);
        self.runs.insert(run.start, run.end);
    }

    /// The direction ends before the byte of this number.
    pub(super) fn end<S: StreamSink>(
        &mut self,
        moment: Moment,
        direction: Direction,
        seq: u32,
        outlet: &mut Outlet<'_, S>,
    ) {
        let ahead = self.ahead(seq);
        if self.fin.is_some() || !(0..=WINDOW).contains(&ahead) {
            return;
        }
        let end = self.next + ahead as u64;
        if !outlet.wanted() {
            self.advance(ahead as u64);
        }
        self.fin = Some(end);
        self.drain(moment, direction, outlet);
    }

    /// Counts one more segment of the connection, and declares the hole lost when its time is over.
    pub(super) fn wait<S: StreamSink>(
        &mut self,
        moment: Moment,
        direction: Direction,
        outlet: &mut Outlet<'_, S>,
    ) {
        let Some(end) = self.hole_end() else { return };
        // Of a receiver that the capture never hears, nothing can be known.
        if self.acked.is_some_and(|acked| acked < end) {
            self.patience = None;
            return;
        }
        let patience = self
            .patience
            .get_or_insert(HolePatience { segments: PATIENCE_SEGMENTS, until: moment.at + PATIENCE_TIME });
        patience.segments = patience.segments.saturating_sub(1);
        if patience.segments == 0 || moment.at >= patience.until {
            self.give_up(moment, direction, outlet);
        }
    }

    /// Declares the hole lost when its time is over, though its connection is silent.
    pub(super) fn expire<S: StreamSink>(
        &mut self,
        moment: Moment,
        direction: Direction,
        outlet: &mut Outlet<'_, S>,
    ) {
        if self.patience.as_ref().is_some_and(|patience| moment.at >= patience.until) {
            self.give_up(moment, direction, outlet);
        }
    }

    /// Declares the first hole lost and goes on after it.
    pub(super) fn give_up<S: StreamSink>(
        &mut self,
        moment: Moment,
        direction: Direction,
        outlet: &mut Outlet<'_, S>,
    ) {
        let Some(end) = self.hole_end() else { return };
        // The packet after a hole is the one that tells of it.
        let moment = self.held.get(&end).map_or(moment, |held| held.moment);
        let length = end - self.next;
        self.advance(length);
        outlet.gap(moment, direction, length);
        self.patience = None;
        self.drain(moment, direction, outlet);
    }

    /// Nothing more will come: gives up every hole, and what was acknowledged but never heard.
    pub(super) fn flush<S: StreamSink>(
        &mut self,
        moment: Moment,
        direction: Direction,
        outlet: &mut Outlet<'_, S>,
    ) {
        while self.has_hole() {
            self.give_up(moment, direction, outlet);
        }
        let unheard = self.acked.map_or(0, |acked| acked.saturating_sub(self.next));
        // A single one is the FIN that the capture missed.
        if unheard > 1 && !self.ends() {
            self.advance(unheard);
            outlet.gap(moment, direction, unheard);
        }
        self.forget_held();
    }

    /// Lets go of all held bytes.
    pub(super) fn forget_held(&mut self) {
        self.held = BTreeMap::new();
        self.runs = BTreeMap::new();
        self.held_cost = 0;
        self.patience = None;
    }

    /// Delivers the held pieces whose turn has come.
    fn drain<S: StreamSink>(&mut self, moment: Moment, direction: Direction, outlet: &mut Outlet<'_, S>) {
        let mut lost = 0;
        let mut lost_at = moment;
        while let Some(entry) = self.held.first_entry() {
            if *entry.key() != self.next || self.fin.is_some_and(|fin| self.next >= fin) {
                break;
            }
            let HeldSegment { moment, content } = entry.remove();
            self.held_cost -= content.cost();
            self.patience = None;
            let length = content.length().min(self.fin.map_or(u64::MAX, |fin| fin - self.next));
            self.advance(length);
            match content {
                HeldContent::Lost(_) => {
                    lost += length;
                    lost_at = moment;
                }
                HeldContent::Bytes(bytes) => {
                    if lost > 0 {
                        outlet.gap(lost_at, direction, std::mem::take(&mut lost));
                    }
                    outlet.burst(moment, direction, &bytes[..length as usize]);
                }
            }
        }
        if lost > 0 {
            outlet.gap(lost_at, direction, lost);
        }
        while let Some(run) = self.runs.first_entry()
            && *run.get() <= self.next
        {
            run.remove();
        }
        if self.finished() && !self.held.is_empty() {
            self.forget_held();
        }
    }

    #[inline]
    fn hole_end(&self) -> Option<u64> {
        // Asked with every segment, of which most find nothing held: an empty map is faster known than walked.
        let held = if self.held.is_empty() { None } else { self.held.keys().next().copied() };
        let end = match (held, self.fin) {
            (Some(held), Some(fin)) => held.min(fin),
            (held, fin) => held.or(fin)?,
        };
        (end > self.next).then_some(end)
    }

    #[inline]
    fn advance(&mut self, length: u64) {
        self.next += length;
        self.next_seq = self.next_seq.wrapping_add(length as u32);
    }
}

/// The largest window that TCP can offer (RFC 7323, section 2.2): what lies farther ahead is not a part of
/// the connection.
const WINDOW: i64 = 1 << 30;

/// Bytes that one direction may hold. A hole before more than this is no reordering.
const MAX_HELD: usize = 4 << 20;

/// What a held piece costs beside its bytes.
const HELD_OVERHEAD: usize = 96;

const PATIENCE_SEGMENTS: u32 = 64;
const PATIENCE_TIME: Duration = Duration::from_secs(3);
