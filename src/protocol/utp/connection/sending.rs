//! Which packet leaves next.

use std::time::Duration;

use super::{AcknowledgementDue, Connection, ConnectionEvent, Fragment, Phase};
use crate::Timestamp;
use crate::utp::header::{EXTENSION_HEAD, PADDING, SELECTIVE_ACK};
use crate::utp::send_buffer::SentPacket;
use crate::utp::{HEADER_LENGTH, HeaderExtension, Kind};

impl Connection {
    /// Adds the next packet that may leave to `packet`; `None` where none may. A packet that cannot be sent now must not be asked
    /// for: what was never sent is not lost.
    pub fn transmit(&mut self, now: Timestamp, packet: &mut Vec<u8>) -> Option<Fragment> {
        let fragment = match self.phase {
            Phase::Over { owes_reset: true } => {
                self.phase = Phase::Over { owes_reset: false };
                let header = self.header(now, Kind::Reset, self.send.next());
                header.encode_to([], packet);
                Some(Fragment::Allowed)
            }
            Phase::Over { .. } => None,
            Phase::SynSent => self.transmit_syn(now, packet),
            Phase::SynReceived | Phase::Open => self.transmit_packet(now, packet),
        };
        if fragment.is_some() {
            self.times.sent = Some(now);
        }
        fragment
    }

    fn transmit_syn(&mut self, now: Timestamp, packet: &mut Vec<u8>) -> Option<Fragment> {
        if self.times.expires.is_some() {
            return None;
        }
        // That there is no answer says nothing before the hole is there.
        let timeout = if self.is_punching { self.round_trip.timeout() } else { SYN_TIMEOUT };
        self.times.expires = Some(now + timeout);
        let mut header = self.header(now, Kind::Syn, self.syn);
        header.acknowledged = 0;
        header.encode_to([], packet);
        Some(Fragment::Allowed)
    }

    fn transmit_packet(&mut self, now: Timestamp, packet: &mut Vec<u8>) -> Option<Fragment> {
        if std::mem::take(&mut self.owes_answer) {
            let mut header = self.header(now, Kind::State, self.answer);
            header.acknowledged = self.syn.0;
            header.encode_to([], packet);
            return Some(Fragment::Allowed);
        }
        if self.phase == Phase::SynReceived {
            return None;
        }
        let is_due = self.acknowledgement == AcknowledgementDue::Now || self.owes_window();
        // Data has no room for what came out of order.
        if is_due && self.receive.has_holes() {
            return Some(self.transmit_state(now, packet));
        }
        if std::mem::take(&mut self.owes_probe)
            && let Some((sent, was_probe)) = self.send.send_newest(now)
        {
            if was_probe {
                self.size.lost();
            }
            return Some(self.encode(now, &sent, 0, packet));
        }
        if let Some(fragment) = self.transmit_data(now, packet) {
            return Some(fragment);
        }
        let is_idle = self.times.sent.is_some_and(|sent| sent + KEEP_ALIVE <= now);
        (is_due || is_idle).then(|| self.transmit_state(now, packet))
    }

    fn transmit_state(&mut self, now: Timestamp, packet: &mut Vec<u8>) -> Fragment {
        let header = self.header(now, Kind::State, self.send.next());
        let selective = self.receive.selective();
        let extension = selective
            .as_ref()
            .and_then(|(bits, length)| HeaderExtension::new(SELECTIVE_ACK, &bits[..*length]));
        header.encode_to(extension, packet);
        self.note_acknowledged();
        Fragment::Allowed
    }

    /// A packet has left that acknowledges all that has come.
    fn note_acknowledged(&mut self) {
        self.acknowledgement = AcknowledgementDue::No;
        self.times.acknowledge = None;
        self.told_window = self.window();
    }

    /// Whether the other end may be waiting for a window that is open again.
    fn owes_window(&self) -> bool {
        self.told_window < REOPEN && self.window() >= 2 * REOPEN
    }

    fn transmit_data(&mut self, now: Timestamp, packet: &mut Vec<u8>) -> Option<Fragment> {
        let due = self.send.due();
        self.is_limited = due.is_some_and(|length| self.is_held_up(length));
        if due.is_some() && !self.is_limited {
            let sent = self.send.send_due(now)?;
            return Some(self.encode(now, &sent, 0, packet));
        }
        if self.send.waiting() == 0 {
            self.times.past_zero_window = None;
            if !self.closing || self.end_sent {
                return None;
            }
            // FIN leaves though the windows are full: it has no bytes.
            self.end_sent = true;
            let sent = self.send.make_end(now);
            return Some(self.encode(now, &sent, 0, packet));
        }
        if due.is_some() {
            return None;
        }
        let length = self.next_length(now)?;
        if self.keeps_back(now, length) {
            self.send.make(now, length, true);
            self.events.push_back(ConnectionEvent::Sent(length));
            let next = self.next_length(now)?;
            return Some(self.transmit_new(now, next, packet));
        }
        Some(self.transmit_new(now, length, packet))
    }

    fn transmit_new(&mut self, now: Timestamp, length: usize, packet: &mut Vec<u8>) -> Fragment {
        let full = self.size.size() - HEADER_LENGTH;
        let probe = if length == full { self.size.wanted(now) } else { None };
        let sent = self.send.make(now, length, false);
        self.pace.sent(now, length);
        self.events.push_back(ConnectionEvent::Sent(length));
        let Some(size) = probe else { return self.encode(now, &sent, 0, packet) };
        self.size.begin(size);
        self.send.mark_probe();
        self.encode(now, &sent, size - self.size.size(), packet)
    }

    /// How many bytes of what waits the windows let leave in one packet; `None` where none.
    fn next_length(&mut self, now: Timestamp) -> Option<usize> {
        let full = (self.size.size() - HEADER_LENGTH).min(self.send.waiting());
        self.is_limited = false;
        if self.send.packets() >= MOST_PACKETS {
            return None;
        }
        let unacknowledged = self.send.unacknowledged();
        let room = self.peer_window.saturating_sub(unacknowledged);
        let length = match room {
            _ if room >= full => full,
            // A smaller packet leaves only when nothing else is under way.
            _ if unacknowledged > 0 => return None,
            0 => {
                let at = *self.times.past_zero_window.get_or_insert(now + ZERO_WINDOW);
                if now < at {
                    return None;
                }
                full
            }
            room => room,
        };
        self.times.past_zero_window = None;
        if self.is_held_up(length) {
            self.is_limited = true;
            return None;
        }
        Some(length)
    }

    /// Whether the congestion window keeps a packet of so many bytes. One packet may always be under way.
    fn is_held_up(&self, length: usize) -> bool {
        self.send.awaits() && self.send.in_flight() + length > self.congestion.window()
    }

    /// Whether the next packet gets a number, but is sent only when a later one is acknowledged. An end that acknowledges what it
    /// never got, to be sent more, cannot know which packet it is (Adamsky and others, 2012). There is one every second or two, and
    /// one whenever the pace has doubled, so that such an end is left before it has gained more.
    fn keeps_back(&mut self, now: Timestamp, length: usize) -> bool {
        let at = *self.times.keep_back.get_or_insert(now + KEEP_BACK_EACH);
        // What is in flight leaves room for those that follow as it is acknowledged.
        let follows = self.send.waiting() > KEEP_BACK_BEFORE * length
            && 2 * KEEP_BACK_BEFORE * length < self.congestion.window()
            && self.send.unacknowledged() + KEEP_BACK_BEFORE * length < self.peer_window
            && self.send.packets() + KEEP_BACK_BEFORE < MOST_PACKETS;
        if now < at && !self.pace.asks() || !follows || self.round_trip.expired() > 0 {
            return false;
        }
        self.pace.asked();
        let more = self.rng.below(KEEP_BACK_EACH.as_millis() as usize);
        self.times.keep_back = Some(now + KEEP_BACK_EACH + Duration::from_millis(more as u64));
        self.times.release = Some(now + self.round_trip.timeout() / 2);
        true
    }

    /// The bytes of a packet of data or FIN, with so many bytes of padding.
    fn encode(
        &mut self,
        now: Timestamp,
        sent: &SentPacket,
        padding: usize,
        packet: &mut Vec<u8>,
    ) -> Fragment {
        const ZEROS: [u8; 255] = [0; 255];
        let SentPacket { number, payload, is_end } = sent;
        let kind = if *is_end { Kind::Fin } else { Kind::Data };
        packet.reserve(HEADER_LENGTH + padding + payload.len());
        let extension = padding
            .checked_sub(EXTENSION_HEAD)
            .and_then(|length| HeaderExtension::new(PADDING, &ZEROS[..length.min(ZEROS.len())]));
        self.header(now, kind, *number).encode_to(extension, packet);
        packet.extend_from_slice(payload);
        self.times.progressed = Some(now);
        if self.times.expires.is_none() {
            self.times.expires = Some(now + self.round_trip.timeout());
        }
        if !self.receive.has_holes() {
            self.note_acknowledged();
        }
        if padding > 0 { Fragment::Forbidden } else { Fragment::Allowed }
    }
}

/// How long the answer to a SYN is waited for (libutp).
const SYN_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection on which nothing is sent says so often that it is there, so that no router forgets it (libutp).
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(29);
/// How often a packet leaves though the other end's window is zero (libutp).
pub(super) const ZERO_WINDOW: Duration = Duration::from_secs(15);
/// A window smaller than this stops the other end, and is told of when it is twice as large.
const REOPEN: usize = 64 * 1024;
/// How many packets may be unacknowledged: the other end keeps no more (libutp, REORDER_BUFFER_MAX_SIZE).
pub(super) const MOST_PACKETS: usize = 1_000;
/// How often a packet is kept back at a pace that does not grow, at most.
const KEEP_BACK_EACH: Duration = Duration::from_secs(1);
/// How many packets must be able to follow the one that is kept back.
const KEEP_BACK_BEFORE: usize = 5;
