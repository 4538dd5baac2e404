//! What time changes.

use super::sending::{KEEP_ALIVE, ZERO_WINDOW};
use super::{AcknowledgementDue, Connection, Ending, Phase};
use crate::Timestamp;
use crate::utp::HEADER_LENGTH;

impl Connection {
    /// Does what is due at `now`.
    pub fn tick(&mut self, now: Timestamp) {
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        if is_due(self.times.forget) {
            let ending = if self.phase == Phase::Open { Ending::Finished } else { Ending::TimedOut };
            self.end(ending, false);
            return;
        }
        if is_due(self.times.expires) {
            self.times.expires = None;
            self.expire(now);
        }
        if is_due(self.probe_at()) {
            self.is_probing = true;
            self.owes_probe = true;
        }
        if is_due(self.times.release) {
            self.times.release = None;
            self.send.release();
        }
        if is_due(self.times.acknowledge) {
            self.times.acknowledge = None;
            self.acknowledgement = AcknowledgementDue::Now;
        }
    }

    /// When the newest packet is sent once more, because nothing is acknowledged: what was lost at the end of a flight has nothing
    /// after it that would tell, and would wait for the timeout (RFC 8985, section 7).
    fn probe_at(&self) -> Option<Timestamp> {
        // A window of zero has a time of its own.
        let may_probe =
            self.phase == Phase::Open && !self.is_probing && self.send.awaits() && self.peer_window > 0;
        let after = self.round_trip.probe_after(self.send.in_flight()).filter(|_| may_probe)?;
        let at = self.times.progressed? + after;
        (at < self.times.expires?).then_some(at)
    }

    /// Nothing was acknowledged in time.
    fn expire(&mut self, now: Timestamp) {
        if self.phase == Phase::SynSent {
            if self.round_trip.expire() > SYN_REPEATS {
                self.end(Ending::TimedOut, false);
            }
            // Without a time to wait for, SYN is sent again.
            return;
        }
        if self.send.awaits_probe_alone() {
            // That the way does not take a size says nothing else.
            self.send.lose_all();
            self.size.lost();
            return;
        }
        let is_there =
            self.times.heard.is_some_and(|heard| heard + ZERO_WINDOW + self.round_trip.timeout() >= now);
        if self.peer_window == 0 && is_there && !self.closing {
            // The other end is there, but takes nothing.
            self.send.lose_all();
            self.times.expires = Some(now + ZERO_WINDOW);
            return;
        }
        self.owes_probe = false;
        let repeats = if self.send.awaits_end_alone() { END_REPEATS } else { DATA_REPEATS };
        let times = self.round_trip.expire();
        if times > repeats {
            self.end(Ending::TimedOut, true);
            return;
        }
        if self.send.lose_all() {
            self.size.lost();
        }
        self.size.expired(times);
        self.congestion.expired(now, self.size.size() - HEADER_LENGTH);
    }

    /// When the connection must be asked again though no packet comes: [`tick`](Self::tick), then
    /// [`transmit`](Self::transmit).
    pub fn wakes_at(&self) -> Option<Timestamp> {
        let times = &self.times;
        let keep_alive = times.sent.filter(|_| self.phase == Phase::Open).map(|sent| sent + KEEP_ALIVE);
        let data = [times.expires, self.probe_at(), times.release, times.past_zero_window];
        let others = [times.forget, times.acknowledge, keep_alive];
        data.into_iter().chain(others).flatten().min()
    }
}

/// How often SYN is sent again (libutp).
const SYN_REPEATS: u32 = 2;
/// How often data is sent again (libutp).
const DATA_REPEATS: u32 = 4;
/// How often FIN alone is sent again (libtorrent).
const END_REPEATS: u32 = 2;
