//! What we send, until it is acknowledged. Bytes become a packet when they may leave; from then on the packet keeps its number
//! and its bytes, however often it is sent.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::round_trip::RoundTrip;
use super::sequence::Sequence;
use crate::Timestamp;

/// The bytes that wait to become packets, and the packets that are not acknowledged.
#[derive(Debug)]
pub(super) struct SendBuffer {
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    /// The number of the first of `packets`.
    first: Sequence,
    packets: VecDeque<OutgoingPacket>,
    counts: Counts,
    /// Bytes of packets that are not acknowledged.
    unacknowledged: usize,
    /// The largest three sendings that are acknowledged, the largest first.
    latest: [u64; LOST_AFTER],
    /// When the largest of them left.
    latest_at: Option<Timestamp>,
}

/// How many packets are in which state.
#[derive(Debug, Default)]
struct Counts {
    /// Packets that are neither acknowledged nor lost, and their bytes.
    flying: usize,
    in_flight: usize,
    /// Packets that are to be sent now.
    due: usize,
    /// How many packets were sent, each time counted.
    sendings: u64,
}

impl Counts {
    const fn send(&mut self, packet: &mut OutgoingPacket, now: Timestamp) {
        self.flying += 1;
        self.in_flight += packet.payload.len();
        self.sendings += 1;
        packet.sending = self.sendings;
        packet.sent_at = now;
        packet.times += 1;
        packet.state = PacketState::InFlight;
    }

    const fn lose(&mut self, packet: &mut OutgoingPacket) {
        self.land(packet.payload.len());
        self.due += 1;
        packet.state = PacketState::Due;
    }

    /// A packet is not in flight any longer.
    const fn land(&mut self, length: usize) {
        self.flying -= 1;
        self.in_flight -= length;
    }
}

/// A packet with a number.
#[derive(Debug)]
struct OutgoingPacket {
    payload: Bytes,
    is_end: bool,
    state: PacketState,
    /// When it was sent last, and as which sending.
    sent_at: Timestamp,
    sending: u64,
    times: u32,
    /// Whether it is padded to find out what the way takes.
    is_probe: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PacketState {
    InFlight,
    /// To be sent, for the first time or again.
    Due,
    /// It has a number, but is kept back: who acknowledges it lies.
    KeptBack,
    /// Acknowledged, while one before it is not.
    Acknowledged,
}

/// A packet that is sent now.
#[derive(Debug)]
pub(super) struct SentPacket {
    pub(super) number: Sequence,
    pub(super) payload: Bytes,
    pub(super) is_end: bool,
}

/// What an acknowledgement changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Acknowledgement {
    /// How many packets are newly acknowledged.
    pub(super) packets: usize,
    /// Their bytes.
    pub(super) bytes: usize,
    /// The bytes of the largest of them.
    pub(super) largest: usize,
    /// The round trip of the one that was sent last, of those that were sent once.
    pub(super) round_trip: Option<Duration>,
    /// When the last packet was sent of those that turn out to be lost; probes do not count.
    pub(super) lost: Option<Timestamp>,
    /// What became of the probe, if anything did.
    pub(super) probe: Option<ProbeEnd>,
    /// It acknowledges a packet that was sent again, so late that it may be of its last sending.
    is_of_repeated: bool,
    /// It acknowledges a packet that was never sent.
    pub(super) is_lie: bool,
}

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProbeEnd {
    Arrived,
    Lost,
}

impl SendBuffer {
    /// A buffer whose first packet has this number.
    pub(super) const fn new(first: Sequence) -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            first,
            packets: VecDeque::new(),
            counts: Counts { flying: 0, in_flight: 0, due: 0, sendings: 0 },
            unacknowledged: 0,
            latest: [0; LOST_AFTER],
            latest_at: None,
        }
    }

    /// Adds bytes after those that wait.
    pub(super) fn write(&mut self, bytes: Bytes) {
        self.waiting_bytes += bytes.len();
        if !bytes.is_empty() {
            self.waiting.push_back(bytes);
        }
    }

    /// Drops the bytes that wait; those of packets stay.
    pub(super) fn drop_waiting(&mut self) {
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    /// How many bytes wait to become packets.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting_bytes
    }

    /// How many bytes are on their way, as far as is known.
    pub(super) const fn in_flight(&self) -> usize {
        self.counts.in_flight
    }

    /// How many bytes of packets are not acknowledged, whether they are on their way or lost.
    pub(super) const fn unacknowledged(&self) -> usize {
        self.unacknowledged
    }

    /// How many packets have a number and are not acknowledged all together.
    pub(super) fn packets(&self) -> usize {
        self.packets.len()
    }

    /// The number that the next packet gets.
    pub(super) fn next(&self) -> Sequence {
        self.first.plus(self.packets.len() as i32)
    }

    /// The number of the first packet that is not acknowledged, or of the next one.
    pub(super) const fn first(&self) -> Sequence {
        self.first
    }

    /// Whether a timer must run: something was sent and is not acknowledged.
    pub(super) const fn awaits(&self) -> bool {
        self.counts.flying > 0
    }

    /// Whether only FIN is not acknowledged.
    pub(super) fn awaits_end_alone(&self) -> bool {
        self.packets.len() == 1 && self.packets[0].is_end
    }

    /// Whether only a probe is in flight.
    pub(super) fn awaits_probe_alone(&self) -> bool {
        let mut flying = self.packets.iter().filter(|packet| packet.state == PacketState::InFlight);
        flying.next().is_some_and(|packet| packet.is_probe) && flying.next().is_none()
    }

    /// Makes the next bytes that wait a packet, which is in flight now, or kept back.
    pub(super) fn make(&mut self, now: Timestamp, length: usize, is_kept_back: bool) -> SentPacket {
        let payload = self.take_waiting(length);
        self.push(now, payload, false, is_kept_back)
    }

    /// Makes FIN, which is in flight now.
    pub(super) fn make_end(&mut self, now: Timestamp) -> SentPacket {
        self.push(now, Bytes::new(), true, false)
    }

    fn push(&mut self, now: Timestamp, payload: Bytes, is_end: bool, is_kept_back: bool) -> SentPacket {
        let number = self.next();
        self.unacknowledged += payload.len();
        let mut packet = OutgoingPacket {
            payload: payload.clone(),
            is_end,
            state: PacketState::KeptBack,
            sent_at: now,
            sending: 0,
            times: 0,
            is_probe: false,
        };
        if !is_kept_back {
            self.counts.send(&mut packet, now);
        }
        self.packets.push_back(packet);
        SentPacket { number, payload, is_end }
    }

    /// The last packet that was made is a probe.
    pub(super) fn mark_probe(&mut self) {
        if let Some(packet) = self.packets.back_mut() {
            packet.is_probe = true;
        }
    }

    fn take_waiting(&mut self, length: usize) -> Bytes {
        self.waiting_bytes -= length;
        if let Some(front) = self.waiting.front_mut()
            && front.len() > length
        {
            return front.split_to(length);
        }
        match self.waiting.pop_front() {
            Some(front) if front.len() == length => front,
            front => {
                let mut payload = BytesMut::with_capacity(length);
                payload.extend_from_slice(&front.unwrap_or_default());
                while payload.len() < length
                    && let Some(front) = self.waiting.front_mut()
                {
                    let count = front.len().min(length - payload.len());
                    payload.extend_from_slice(&front.split_to(count));
                    if front.is_empty() {
                        self.waiting.pop_front();
                    }
                }
                payload.freeze()
            }
        }
    }

    /// The bytes of the first packet that is to be sent again, if there is one.
    pub(super) fn due(&self) -> Option<usize> {
        self.due_place().map(|place| self.packets[place].payload.len())
    }

    fn due_place(&self) -> Option<usize> {
        if self.counts.due == 0 {
            return None;
        }
        self.packets.iter().position(|packet| packet.state == PacketState::Due)
    }

    /// Sends the first packet that is to be sent again.
    pub(super) fn send_due(&mut self, now: Timestamp) -> Option<SentPacket> {
        let place = self.due_place()?;
        let packet = &mut self.packets[place];
        self.counts.due -= 1;
        self.counts.send(packet, now);
        Some(SentPacket {
            number: self.first.plus(place as i32),
            payload: packet.payload.clone(),
            is_end: packet.is_end,
        })
    }

    /// Sends the newest packet once more that is in flight and that an acknowledgement can tell of, so that its answer tells what
    /// is lost before it. A probe of the size is sent only where nothing else is in flight; without the padding it is none any
    /// more, which the second value tells.
    pub(super) fn send_newest(&mut self, now: Timestamp) -> Option<(SentPacket, bool)> {
        let told = self.packets.len().min(MOST_TOLD);
        let newest = |is_probe| {
            let is_it = |packet: &OutgoingPacket| {
                packet.state == PacketState::InFlight && packet.is_probe == is_probe
            };
            self.packets.range(..told).rposition(is_it)
        };
        let place = newest(false).or_else(|| newest(true))?;
        let packet = &mut self.packets[place];
        let was_probe = std::mem::take(&mut packet.is_probe);
        self.counts.land(packet.payload.len());
        self.counts.send(packet, now);
        let number = self.first.plus(place as i32);
        let sent = SentPacket { number, payload: packet.payload.clone(), is_end: packet.is_end };
        Some((sent, was_probe))
    }

    /// What is kept back is to be sent.
    pub(super) fn release(&mut self) {
        for packet in self.packets.iter_mut().filter(|packet| packet.state == PacketState::KeptBack) {
            packet.state = PacketState::Due;
            self.counts.due += 1;
        }
    }

    /// Takes an acknowledgement: everything up to `complete` has come, and of what follows, what `selective` has a bit for.
    /// A number beyond what has one is none.
    pub(super) fn acknowledge(
        &mut self,
        now: Timestamp,
        complete: Sequence,
        selective: &[u8],
        round_trip: &RoundTrip,
    ) -> Acknowledgement {
        let mut news = Acknowledgement::default();
        let least = round_trip.least();
        let count = complete.after(self.first) + 1;
        for _ in 0..count {
            let Some(packet) = self.packets.pop_front() else { break };
            self.first = self.first.plus(1);
            self.take_acknowledged(now, &packet, least, &mut news);
        }
        let mut is_selective = false;
        for bit in (0..selective.len() * 8).filter(|bit| selective[bit / 8] & 1 << (bit % 8) != 0) {
            let place = complete.plus(2 + bit as i32).after(self.first);
            let Some(packet) = usize::try_from(place).ok().and_then(|place| self.packets.get_mut(place))
            else {
                continue;
            };
            is_selective = true;
            if packet.state != PacketState::Acknowledged {
                // Its state is needed once more.
                let state = std::mem::replace(&mut packet.state, PacketState::Acknowledged);
                let packet =
                    OutgoingPacket { payload: std::mem::take(&mut packet.payload), state, ..*packet };
                self.take_acknowledged(now, &packet, least, &mut news);
            }
        }
        if is_selective || news.is_of_repeated {
            self.find_lost(round_trip, &mut news);
        }
        if is_selective {
            self.release();
        }
        news
    }

    /// Forgets a packet that is acknowledged now.
    fn take_acknowledged(
        &mut self,
        now: Timestamp,
        packet: &OutgoingPacket,
        least_round_trip: Duration,
        news: &mut Acknowledgement,
    ) {
        let length = packet.payload.len();
        match packet.state {
            PacketState::Acknowledged => return,
            PacketState::InFlight => self.counts.land(length),
            PacketState::Due => self.counts.due -= 1,
            PacketState::KeptBack => {}
        }
        self.unacknowledged -= length;
        news.packets += 1;
        news.bytes += length;
        news.largest = news.largest.max(length);
        news.is_lie |= packet.times == 0;
        if packet.is_probe && packet.state == PacketState::InFlight {
            news.probe = Some(ProbeEnd::Arrived);
        }
        if packet.times == 1 {
            let sample = now - packet.sent_at;
            news.round_trip = Some(news.round_trip.map_or(sample, |before| before.min(sample)));
        }
        if packet.times > 1 {
            // What comes too soon after a packet was sent again is of the sending before that (RFC 8985, section 6.2).
            if now - packet.sent_at < least_round_trip {
                return;
            }
            news.is_of_repeated = true;
        }
        let mut sending = packet.sending;
        if sending > self.latest[0] {
            self.latest_at = Some(packet.sent_at);
        }
        for latest in &mut self.latest {
            if sending > *latest {
                std::mem::swap(latest, &mut sending);
            }
        }
    }

    /// A packet is lost when three that were sent after it have come (BEP 29, "packet loss"), or one that was sent a round trip
    /// after it (RFC 8985, section 6.2, with a wider window for packets that overtake each other).
    fn find_lost(&mut self, round_trip: &RoundTrip, news: &mut Acknowledgement) {
        let before = self.latest[LOST_AFTER - 1];
        let (latest, latest_at) = (self.latest[0], self.latest_at);
        let round_trip = round_trip.smoothed();
        for packet in &mut self.packets {
            let is_old = packet.sending < latest
                && round_trip.zip(latest_at).is_some_and(|(smoothed, at)| packet.sent_at + smoothed <= at);
            if packet.state == PacketState::InFlight && (packet.sending < before || is_old) {
                self.counts.lose(packet);
                match std::mem::take(&mut packet.is_probe) {
                    true => news.probe = Some(ProbeEnd::Lost),
                    false => news.lost = news.lost.max(Some(packet.sent_at)),
                }
            }
        }
    }

    /// The first packet is lost, as acknowledgements say that repeat themselves. When it was sent, where it was sent once and
    /// is in flight.
    pub(super) fn lose_first(&mut self) -> Acknowledgement {
        let mut news = Acknowledgement::default();
        if let Some(packet) = self.packets.front_mut()
            && packet.state == PacketState::InFlight
            && packet.times == 1
        {
            self.counts.lose(packet);
            match std::mem::take(&mut packet.is_probe) {
                true => news.probe = Some(ProbeEnd::Lost),
                false => news.lost = Some(packet.sent_at),
            }
        }
        news
    }

    /// Nothing was acknowledged in time: all that is in flight is lost. Whether a probe is among it.
    pub(super) fn lose_all(&mut self) -> bool {
        let mut has_probe = false;
        for packet in self.packets.iter_mut().filter(|packet| packet.state == PacketState::InFlight) {
            self.counts.lose(packet);
            has_probe |= std::mem::take(&mut packet.is_probe);
        }
        self.release();
        has_probe
    }
}

/// A packet is lost when so many that were sent later have come (BEP 29, "packet loss").
const LOST_AFTER: usize = 3;
/// Of so many packets every acknowledgement can tell: of the first by its number, of the others by 30 bits (libutp sends no more).
const MOST_TOLD: usize = 1 + 30;
