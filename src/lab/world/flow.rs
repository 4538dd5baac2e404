//! Bytes on their way: into the link up, through the core, out of the link down.

use bittrace_protocol::session::{CloseReason, Input, SessionStreamId};
use bytes::Bytes;

use super::host::TRACKER;
use super::{What, World};
use crate::LabError;
use crate::link::Serving;
use crate::network::{EndId, HostId};

impl World<'_> {
    /// A session sends bytes on a stream.
    pub(super) fn enqueue(&mut self, number: HostId, stream: SessionStreamId, bytes: Bytes) {
        let host = &mut self.hosts[number as usize];
        let Some(&id) = host.ends.get(&stream) else { return };
        let Some(end) = self.connections.end(id) else { return };
        end.push(bytes);
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
    fn pump(&mut self, number: HostId) -> Result<(), LabError> {
        while self.hosts[number as usize].up.serving.is_none() {
            let Some(id) = self.hosts[number as usize].up.next() else { return Ok(()) };
            let Some(end) = self.connections.end(id) else { continue };
            end.window.advance(self.now);
            let bytes = end.take_turn();
            if bytes.is_empty() {
                // Nothing fits into the window, or nothing is left.
                end.blocked = end.has_more();
                end.scheduled = end.blocked;
                let known_at = end.window.next_known().filter(|_| end.blocked);
                if let Some(at) = known_at {
                    self.cause(at, What::Known(id));
                }
                continue;
            }
            let count: usize = bytes.iter().map(Bytes::len).sum();
            let host = &mut self.hosts[number as usize];
            host.up.serving = Some(Serving { end: id, bytes });
            let rate = host.up.rate;
            if rate.0.is_finite() {
                self.cause(self.now + rate.time_of(count as u64), What::Left(number));
            } else {
                self.leave_link(number)?;
            }
        }
        Ok(())
    }

    /// The link up of a host has sent what it was sending.
    pub(super) fn left(&mut self, number: HostId) -> Result<(), LabError> {
        self.leave_link(number)?;
        self.pump(number)
    }

    fn leave_link(&mut self, number: HostId) -> Result<(), LabError> {
        let Some(Serving { end: id, bytes }) = self.hosts[number as usize].up.serving.take() else {
            return Ok(());
        };
        let count: usize = bytes.iter().map(Bytes::len).sum();
        self.hosts[number as usize].sent += count as u64;
        let Some(connection) = self.connections.get(id.connection) else { return Ok(()) };
        let (delay, recorded) = (connection.delay, connection.recorded);
        self.recording.burst(self.now, recorded, id.side.direction(), &bytes)?;
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
        if alive && number != TRACKER {
            self.tell(number, Input::Sent(stream, count))?;
        }
        Ok(())
    }

    /// Bytes are at the link down of the other end.
    pub(super) fn came(&mut self, from: EndId) {
        let Some(to) = self.connections.end(from.other()).map(|end| end.host) else { return };
        let now = self.now;
        let Some(connection) = self.connections.get(from.connection) else { return };
        let delay = connection.delay;
        let down = &mut self.hosts[to as usize].down;
        let wait = down.wait(now);
        let Some(end) = self.connections.end(from) else { return };
        if wait > self.most_queue {
            end.window.halve(now, delay * 2 + wait);
        }
        let place = end.coming;
        end.coming += 1;
        let count = end.under_way.get(place).map_or(0, |parts| parts.iter().map(Bytes::len).sum());
        let at = down.pass(now, count);
        self.cause(at, What::Delivered(from));
    }

    /// Bytes are through the link down of the other end.
    pub(super) fn delivered(&mut self, from: EndId) -> Result<(), LabError> {
        let Some(connection) = self.connections.get(from.connection) else { return Ok(()) };
        let known_at = self.now + connection.delay;
        let Some(end) = self.connections.end(from) else { return Ok(()) };
        let Some(parts) = end.under_way.pop_front() else { return Ok(()) };
        end.coming -= 1;
        end.window.delivered(known_at, parts.iter().map(Bytes::len).sum());
        if end.blocked {
            self.cause(known_at, What::Known(from));
        }
        self.receive(from.other(), parts)
    }

    /// An end that waited for its window may send more.
    pub(super) fn known(&mut self, id: EndId) -> Result<(), LabError> {
        let Some(end) = self.connections.end(id) else { return Ok(()) };
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
        if !connection.end(id.side).closing {
            return Ok(());
        }
        self.recording.finished(self.now, recorded, id.side.direction())?;
        self.cause(self.now + delay, What::Ended(id));
        Ok(())
    }

    /// An end has closed, and the other learns it.
    pub(super) fn ended(&mut self, id: EndId) -> Result<(), LabError> {
        let other = id.other();
        // What came before the end is delivered before it.
        if self.connections.end(id).is_some_and(|end| !end.under_way.is_empty()) {
            self.cause(self.now + self.most_queue, What::Ended(id));
            return Ok(());
        }
        let Some(end) = self.connections.end(other) else { return Ok(()) };
        let (number, stream, alive) = (end.host, end.stream, end.alive);
        let Some(connection) = self.connections.remove(id.connection) else { return Ok(()) };
        self.requests.remove(&other);
        self.recording.closed(self.now, connection.recorded)?;
        self.hosts[number as usize].ends.remove(&stream);
        if alive && number != TRACKER {
            self.tell(number, Input::Closed(stream, CloseReason::ByRemote))?;
        }
        Ok(())
    }
}
