//! Bytes on their way: into the link up, through the core, out of the link down.

use std::time::Duration;

use bittrace_protocol::Timestamp;
use bittrace_protocol::session::{CloseReason, Input, SessionStreamId};
use bytes::Bytes;

use super::host::{Presence, TRACKER};
use super::{What, World};
use crate::LabError;
use crate::link::{Parts, SPARSE, Serving, byte_count};
use crate::network::{EndId, HostId};

impl World<'_> {
    /// A session sends bytes on a stream.
    pub(super) fn enqueue(&mut self, number: HostId, stream: SessionStreamId, bytes: Bytes) {
        let host = &mut self.hosts[number as usize];
        let Some(&id) = host.ends.get(&stream) else { return };
        let Some(connection) = self.connections.get(id.connection) else { return };
        let counts = connection.end(id.side.other()).host != TRACKER && !host.encrypts;
        let Some(end) = self.connections.end(id) else { return };
        let content = if counts { end.talk.say(self.now, &bytes, &mut self.measures.messages) } else { 0 };
        host.content_sent += content;
        end.push(bytes, content > 0);
        if !end.scheduled && end.has_more() {
            end.scheduled = true;
            host.fresh.push(id);
        }
    }

    /// Gives the streams a turn that have something to send and had nothing before.
    pub(super) fn send_fresh(&mut self, number: HostId) -> Result<(), LabError> {
        let host = &mut self.hosts[number as usize];
        if host.fresh.is_empty() {
            return Ok(());
        }
        for id in host.fresh.drain(..) {
            if let Some(end) = self.connections.end(id) {
                end.scheduled = true;
                host.up.begin(id, end.waiting_bytes());
            }
        }
        self.pump(number)
    }

    /// Has the link up send what is next, where it is free.
    pub(super) fn pump(&mut self, number: HostId) -> Result<(), LabError> {
        while self.hosts[number as usize].up.is_free() {
            let up = &mut self.hosts[number as usize].up;
            if let Some(datagram) = up.next_datagram() {
                let count = datagram.bytes.len();
                up.datagram = Some(datagram);
                self.begin_to_leave(number, count)?;
                continue;
            }
            let Some(id) = up.next() else { return Ok(()) };
            let Some((bytes, mut count)) = self.take_turn(id) else { continue };
            let mut serving = Serving::new();
            serving.push((id, bytes));
            // Small messages of other streams share the packet.
            while count < SPARSE {
                let Some(id) = self.hosts[number as usize].up.next_sparse() else { break };
                if let Some((bytes, more)) = self.take_turn(id) {
                    serving.push((id, bytes));
                    count += more;
                }
            }
            let up = &mut self.hosts[number as usize].up;
            up.serving = Some(serving);
            up.served_streams(count);
            self.begin_to_leave(number, count)?;
        }
        Ok(())
    }

    /// So many bytes begin to leave the link up of a host.
    fn begin_to_leave(&mut self, number: HostId, count: usize) -> Result<(), LabError> {
        let rate = self.hosts[number as usize].up.rate;
        if !rate.0.is_finite() {
            return self.leave_link(number);
        }
        self.cause(self.now + rate.time_of(count as u64), What::Left(number));
        Ok(())
    }

    /// What a stream sends in its turn, and how many bytes that is; `None` where nothing fits into the window, or nothing is left.
    fn take_turn(&mut self, id: EndId) -> Option<(Parts, usize)> {
        let end = self.connections.end(id)?;
        end.window.advance(self.now);
        let bytes = end.take_turn();
        if !bytes.is_empty() {
            let count = byte_count(&bytes);
            return Some((bytes, count));
        }
        end.blocked = end.has_more();
        end.scheduled = end.blocked;
        if let Some(at) = end.window.next_known().filter(|_| end.blocked) {
            self.cause_known(at, id);
        }
        None
    }

    /// An end that waits for its window is told when it knows more; once, however much is delivered until then.
    fn cause_known(&mut self, at: Timestamp, id: EndId) {
        if self.connections.end(id).is_some_and(|end| !std::mem::replace(&mut end.is_to_know, true)) {
            self.cause(at, What::Known(id));
        }
    }

    /// The link up of a host has sent what it was sending.
    pub(super) fn left(&mut self, number: HostId) -> Result<(), LabError> {
        self.leave_link(number)?;
        self.pump(number)
    }

    fn leave_link(&mut self, number: HostId) -> Result<(), LabError> {
        let up = &mut self.hosts[number as usize].up;
        let (serving, datagram) = (up.serving.take().unwrap_or_default(), up.datagram.take());
        if self.hosts[number as usize].presence == Presence::Vanished {
            return Ok(());
        }
        if let Some(datagram) = datagram {
            return self.datagram_left(number, datagram);
        }
        serving.into_iter().try_for_each(|(id, bytes)| self.leave(number, id, bytes))?;
        // What the client makes of all that has left together, it makes of it at once.
        if self.hosts[number as usize].node.is_some() { self.drain(number) } else { Ok(()) }
    }

    /// Bytes of a stream have left the link of their sender.
    fn leave(&mut self, number: HostId, id: EndId, bytes: Parts) -> Result<(), LabError> {
        let count = byte_count(&bytes);
        let host = &mut self.hosts[number as usize];
        host.sent += count as u64;
        // What a link without a limit carries says nothing of how well links are used.
        if number != TRACKER && host.stranger.is_none() && host.up.rate.0.is_finite() {
            self.measures.note_sent(count);
        }
        let Some(connection) = self.connections.get(id.connection) else { return Ok(()) };
        let (delay, recorded) = (connection.delay, connection.recorded);
        if self.recording.sees_leaving(number) {
            self.recording.burst(self.now, recorded, id.side.direction(), &bytes)?;
        }
        let Some(end) = self.connections.end(id) else { return Ok(()) };
        end.under_way.push_back(bytes);
        let (stream, alive, more) = (end.stream, end.alive, end.has_more());
        end.scheduled = more;
        if more {
            self.hosts[number as usize].up.go_on(id);
        }
        self.cause(self.now + delay, What::Came(id));
        if !more {
            self.end_if_closing(id)?;
        }
        let host = &mut self.hosts[number as usize];
        if let Some(node) = host.node.as_mut().filter(|_| alive) {
            // A session counts what is not sent yet: a peer that takes nothing for long is left.
            node.handle(self.now + host.clock, Input::Sent(stream, count).into());
        }
        Ok(())
    }

    /// Bytes are at the link down of the other end.
    pub(super) fn came(&mut self, from: EndId) -> Result<(), LabError> {
        let Some(connection) = self.connections.get(from.connection) else { return Ok(()) };
        let (sender, to) = (connection.end(from.side).host, connection.end(from.side.other()).host);
        if self.script.parts(sender, to) {
            self.script.hold(from);
            return Ok(());
        }
        let now = self.now;
        let delay = connection.delay;
        let down = &mut self.hosts[to as usize].down;
        let wait = down.wait(now);
        let Some(end) = self.connections.end(from) else { return Ok(()) };
        if wait > self.most_queue {
            end.window.halve(now, delay * 2 + wait);
        }
        let place = end.coming;
        end.coming += 1;
        let count = end.under_way.get(place).map_or(0, |parts| byte_count(parts));
        let at = down.pass(now, count);
        // A small message that finds the link free needs no event of its own: it takes less than a packet.
        if at <= now || (wait.is_zero() && count < SPARSE) {
            return self.delivered(from);
        }
        self.cause(at, What::Delivered(from));
        Ok(())
    }

    /// Bytes are through the link down of the other end.
    pub(super) fn delivered(&mut self, from: EndId) -> Result<(), LabError> {
        let Some(connection) = self.connections.get(from.connection) else { return Ok(()) };
        let (known_at, recorded) = (self.now + connection.delay, connection.recorded);
        let Some(end) = self.connections.end(from) else { return Ok(()) };
        let Some(parts) = end.take_delivered() else { return Ok(()) };
        let blocked = end.blocked;
        let to = self.connections.end(from.other()).map_or(TRACKER, |end| end.host);
        if self.hosts[to as usize].presence == Presence::Vanished {
            // Nobody acknowledges it.
            return Ok(());
        }
        if self.recording.sees_coming(to) {
            self.recording.burst(self.now, recorded, from.side.direction(), &parts)?;
        }
        if let Some(end) = self.connections.end(from) {
            end.window.delivered(known_at, byte_count(&parts));
        }
        if blocked {
            self.cause_known(known_at, from);
        }
        self.receive(from.other(), parts)
    }

    /// An end that waited for its window may send more.
    pub(super) fn known(&mut self, id: EndId) -> Result<(), LabError> {
        let Some(end) = self.connections.end(id) else { return Ok(()) };
        end.is_to_know = false;
        if !std::mem::take(&mut end.blocked) {
            return Ok(());
        }
        let number = end.host;
        self.hosts[number as usize].up.go_on(id);
        self.pump(number)
    }

    /// A host closes a connection once what was to be sent has left.
    pub(super) fn close(&mut self, number: HostId, stream: SessionStreamId) -> Result<(), LabError> {
        match self.hosts[number as usize].ends.remove(&stream) {
            Some(id) => self.shut(id),
            None => Ok(()),
        }
    }

    pub(super) fn shut(&mut self, id: EndId) -> Result<(), LabError> {
        let Some(end) = self.connections.end(id) else { return Ok(()) };
        if std::mem::replace(&mut end.closing, true) {
            return Ok(());
        }
        self.measures.end_of_talk(&mut self.connections, &self.hosts, id, self.now);
        let Some(end) = self.connections.end(id) else { return Ok(()) };
        // The tracker reads on: it has no session that would know better.
        end.alive &= end.host == TRACKER;
        if !end.has_more() && !end.scheduled {
            self.end_if_closing(id)?;
        }
        Ok(())
    }

    /// Ends a direction whose last bytes have left.
    fn end_if_closing(&mut self, id: EndId) -> Result<(), LabError> {
        let Some(connection) = self.connections.get(id.connection) else { return Ok(()) };
        let (recorded, delay) = (connection.recorded, connection.delay);
        let end = connection.end(id.side);
        if !end.closing {
            return Ok(());
        }
        if self.recording.sees_leaving(end.host) {
            self.recording.finished(self.now, recorded, id.side.direction())?;
        }
        self.cause(self.now + delay, What::Ended(id));
        Ok(())
    }

    /// An end has closed, and the other learns it.
    pub(super) fn ended(&mut self, id: EndId) -> Result<(), LabError> {
        let other = id.other();
        let Some(ends) = self.connections.get(id.connection) else { return Ok(()) };
        let cut = self.script.parts(ends.end(id.side).host, ends.end(other.side).host);
        // What came before the end is delivered before it.
        if cut || self.connections.end(id).is_some_and(|end| !end.under_way.is_empty()) {
            self.cause(self.now + self.most_queue.max(LEAST_WAIT), What::Ended(id));
            return Ok(());
        }
        let Some(end) = self.connections.end(other) else { return Ok(()) };
        let (number, stream, alive) = (end.host, end.stream, end.alive);
        self.measures.end_of_talk(&mut self.connections, &self.hosts, other, self.now);
        let Some(connection) = self.connections.remove(id.connection) else { return Ok(()) };
        self.requests.remove(&other);
        if self.recording.sees_coming(number) {
            self.recording.finished(self.now, connection.recorded, id.side.direction())?;
        }
        self.recording.closed(self.now, connection.recorded)?;
        self.hosts[number as usize].ends.remove(&stream);
        if alive && number != TRACKER {
            self.tell(number, Input::Closed(stream, CloseReason::ByRemote))?;
        }
        Ok(())
    }
}

/// After how long an end that cannot be told yet is told again.
const LEAST_WAIT: Duration = Duration::from_millis(50);
