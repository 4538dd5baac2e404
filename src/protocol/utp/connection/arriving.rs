//! What a packet of the other end changes.

use bytes::Bytes;

use super::{AcknowledgementDue, Connection, ConnectionEvent, Ending, Phase};
use crate::Timestamp;
use crate::utp::congestion::AcknowledgedBytes;
use crate::utp::header::{SELECTIVE_ACK, extensions};
use crate::utp::receive_buffer::{Arrival, ReceiveBuffer};
use crate::utp::send_buffer::{Acknowledgement, ProbeEnd};
use crate::utp::sequence::Sequence;
use crate::utp::{HEADER_LENGTH, Header, Kind};

impl Connection {
    /// Takes a packet of the other end, whose header was read already.
    pub fn handle(&mut self, now: Timestamp, header: &Header, packet: &Bytes) {
        match (self.phase, header.kind) {
            (Phase::Over { .. }, _) => {}
            (_, Kind::Syn) => self.on_syn(header),
            (_, Kind::Reset) => self.on_reset(header),
            (Phase::SynSent, Kind::State) => self.on_answer(now, header),
            // Data would come in an order that nobody can tell yet; it comes again.
            (Phase::SynSent, _) => {}
            (Phase::SynReceived | Phase::Open, _) => self.on_packet(now, header, packet),
        }
    }

    /// A SYN that comes again is answered again, with the number of the first answer.
    fn on_syn(&mut self, header: &Header) {
        let is_ours = self.phase == Phase::SynSent || header.connection != self.ids.send;
        if !is_ours && header.sequence == self.syn.0 {
            self.owes_answer = true;
        }
    }

    /// A RESET must name what we sent last, so that nobody else can end the connection.
    fn on_reset(&mut self, header: &Header) {
        let named = Sequence(header.acknowledged);
        let is_named = match self.phase {
            Phase::SynSent => named == self.syn,
            _ => self.is_plausible(named, 0),
        };
        if is_named {
            let ending = if self.phase == Phase::SynSent { Ending::Refused } else { Ending::Reset };
            self.end(ending, false);
        }
    }

    /// Whether an acknowledgement may be of something that was sent, or is a little late.
    fn is_plausible(&self, acknowledged: Sequence, ahead: i32) -> bool {
        let after = acknowledged.after(self.send.first());
        (-1 - LATE..self.send.packets() as i32 + 1 - ahead).contains(&after)
    }

    /// The answer to our SYN: its number is that of the first data of the other end.
    fn on_answer(&mut self, now: Timestamp, header: &Header) {
        if header.acknowledged != self.syn.0 {
            return;
        }
        self.receive = ReceiveBuffer::new(Sequence(header.sequence).plus(-1));
        if self.round_trip.expired() == 0
            && let Some(sent) = self.times.sent
        {
            self.round_trip.sample(now - sent);
        }
        self.round_trip.progressed();
        self.times.expires = None;
        self.note_times(now, header);
        self.open();
    }

    fn on_packet(&mut self, now: Timestamp, header: &Header, packet: &Bytes) {
        let acknowledged = Sequence(header.acknowledged);
        if !self.is_plausible(acknowledged, 1) {
            return;
        }
        let window = self.peer_window;
        self.note_times(now, header);
        if acknowledged.after(self.send.first()) < -1 {
            // It was overtaken by another one, whose window is newer.
            self.peer_window = window;
        }
        if header.delay != 0 {
            self.congestion.measured_ours(now, header.delay);
        }
        self.on_acknowledgement(now, header, packet);
        if !self.is_over() && matches!(header.kind, Kind::Data | Kind::Fin) {
            self.on_data(now, header, packet);
        }
    }

    fn on_acknowledgement(&mut self, now: Timestamp, header: &Header, packet: &Bytes) {
        let selective = extensions(packet)
            .find(|extension| extension.kind() == SELECTIVE_ACK)
            .map_or(&[][..], |extension| extension.content());
        let complete = Sequence(header.acknowledged);
        let mut news = self.send.acknowledge(now, complete, selective, &self.round_trip);
        if news.is_lie {
            self.end(Ending::Lied, true);
            return;
        }
        let repeats = complete == self.send.first().plus(-1) && header.kind == Kind::State;
        if news.packets > 0 || !repeats || !selective.is_empty() {
            self.repeated = 0;
        } else if self.send.packets() > 0 {
            self.repeated += 1;
            if self.repeated == REPEATED {
                news = self.send.lose_first();
            }
        }
        self.take_news(now, &news);
    }

    fn take_news(&mut self, now: Timestamp, news: &Acknowledgement) {
        let packet = self.size.size() - HEADER_LENGTH;
        match news.probe {
            Some(ProbeEnd::Arrived) => self.size.arrived(),
            Some(ProbeEnd::Lost) => self.size.lost(),
            None => {}
        }
        if let Some(sent) = news.lost {
            self.congestion.lost(now, sent, packet);
        }
        if news.packets == 0 {
            return;
        }
        if news.largest >= packet {
            self.size.proven();
        }
        if let Some(sample) = news.round_trip {
            self.round_trip.sample(sample);
        }
        let acknowledged = AcknowledgedBytes { count: news.bytes, is_limited: self.is_limited, packet };
        self.congestion.acknowledged(acknowledged, self.round_trip.smoothed());
        self.round_trip.progressed();
        self.is_probing = false;
        self.owes_probe = false;
        self.times.progressed = Some(now);
        self.times.expires = self.send.awaits().then(|| now + self.round_trip.timeout());
        self.finish_if_done(now);
    }

    fn on_data(&mut self, now: Timestamp, header: &Header, packet: &Bytes) {
        if self.phase == Phase::SynReceived {
            self.open();
        }
        let payload = packet.slice(header.length.min(packet.len())..);
        let before = self.receive.complete();
        let had_holes = self.receive.has_holes();
        let room = self.window();
        let number = Sequence(header.sequence);
        // What is next is taken as long as the upper layer keeps up.
        let is_full = !payload.is_empty() && self.undelivered >= self.capacity.max(payload.len());
        if number == before.plus(1) && is_full {
            self.acknowledgement = AcknowledgementDue::Now;
            return;
        }
        let (events, undelivered, closing) = (&mut self.events, &mut self.undelivered, self.closing);
        let next = |bytes: Bytes| {
            // Nobody reads any longer what comes after we have closed.
            if !bytes.is_empty() && !closing {
                *undelivered += bytes.len();
                events.push_back(ConnectionEvent::Received(bytes));
            }
        };
        let arrival = self.receive.take(number, &payload, header.kind == Kind::Fin, room, next);
        let in_order = arrival == Arrival::Taken && !had_holes && !self.receive.has_holes();
        self.acknowledgement = match self.acknowledgement {
            AcknowledgementDue::No if in_order => {
                self.times.acknowledge = Some(now + self.round_trip.put_off());
                AcknowledgementDue::Later(1)
            }
            AcknowledgementDue::Later(count) if in_order && count + 1 < ACKNOWLEDGE_EACH => {
                AcknowledgementDue::Later(count + 1)
            }
            _ => AcknowledgementDue::Now,
        };
        if self.receive.has_ended() && !self.end_told {
            self.end_told = true;
            self.acknowledgement = AcknowledgementDue::Now;
            if !self.closing {
                self.events.push_back(ConnectionEvent::Ended);
            }
        }
    }
}

/// How many numbers an acknowledgement may be behind the last one (libtorrent, `ACK_NR_ALLOWED_WINDOW`).
const LATE: i32 = 3;
/// So many acknowledgements that say the same say that a packet is lost (BEP 29, "packet loss").
const REPEATED: u32 = 3;
/// So many packets are acknowledged at once (librqbit-utp).
const ACKNOWLEDGE_EACH: u32 = 2;
