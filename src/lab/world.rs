//! The event loop of a run: one heap of times, and what happens at each. Two things at one time happen in the order in which they
//! were caused.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bittrace_protocol::Timestamp;
use bittrace_protocol::dht::DhtInput;
use bittrace_protocol::session::{CloseReason, Input, SessionStreamId};
use rustc_hash::FxHashMap;

use crate::LabError;
use crate::content::Content;
use crate::network::{ConnectionId, Connections, EndId, HostId, window_under_loss};
use crate::scenario::{Hosts, Scenario, StopWhen};
use crate::tracker::Tracker;

mod datagrams;
mod drive;
mod flow;
mod host;
mod measures;
mod options;
mod recording;
mod report;
mod script;
mod stranger;

pub use options::{Snap, WorldOptions};
pub use report::{HostReport, Run};

use datagrams::Datagrams;
use host::{Host, Presence};
use measures::Measures;
use recording::Recording;
use script::Script;

/// A scenario as it runs.
pub struct World<'a> {
    now: Timestamp,
    due: BinaryHeap<Reverse<Due>>,
    /// How many things were caused so far.
    caused: u64,
    /// How many things happened so far, and how many of each kind.
    happened: u64,
    happened_by_kind: [(&'static str, u64); KINDS],
    content: Content,
    tracker: Tracker,
    tracker_fails: Vec<(Timestamp, Timestamp)>,
    hosts: Vec<Host>,
    by_address: FxHashMap<IpAddr, HostId>,
    connections: Connections,
    datagrams: Datagrams,
    /// What of a request has come to the tracker.
    requests: FxHashMap<EndId, Vec<u8>>,
    /// The most that a window may be.
    most_window: f64,
    /// How long bytes may wait before a link down.
    most_queue: Duration,
    recording: Recording<'a>,
    measures: Measures,
    script: Script,
    stop: StopWhen,
    ends_at: Timestamp,
    /// How many hosts are to have the file, or go, before all is done.
    unfinished: usize,
    over: bool,
}

/// Something that happens at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Timestamp,
    cause: u64,
    what: What,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A host comes.
    Join(HostId),
    /// A host goes, and says so.
    Leave(HostId),
    /// A client wanted to be told that time has passed.
    Wake(HostId),
    /// A connection is open for the end that opened it.
    Opened(ConnectionId),
    /// The first packet of a connection has come to the other end, where the capture is taken.
    Called(ConnectionId),
    /// A connection has come to the other end.
    Accepted(ConnectionId),
    /// Nobody listened.
    Refused(HostId, SessionStreamId),
    /// The link up of a host has sent what it was sending.
    Left(HostId),
    /// Bytes from an end are at the link down of the other.
    Came(EndId),
    /// Bytes from an end are through the link down of the other.
    Delivered(EndId),
    /// An end knows more of what was delivered.
    Known(EndId),
    /// A datagram is at the link down of its receiver, or through it.
    Datagram(u64),
    /// An end has closed, and the other learns it.
    Ended(EndId),
    /// A slow host has read a block.
    Read(HostId),
    /// A stranger acts.
    Pester(HostId),
    /// Something of the scenario's events.
    Act(usize),
    /// A sample of the run is taken.
    Sample,
}

impl What {
    /// The place of its kind among the [`KINDS`], and what that is called.
    const fn kind(self) -> (usize, &'static str) {
        match self {
            Self::Join(_) => (0, "join"),
            Self::Leave(_) => (1, "leave"),
            Self::Wake(_) => (2, "wake"),
            Self::Opened(_) => (3, "opened"),
            Self::Called(_) => (4, "called"),
            Self::Accepted(_) => (5, "accepted"),
            Self::Refused(..) => (6, "refused"),
            Self::Left(_) => (7, "left"),
            Self::Came(_) => (8, "came"),
            Self::Delivered(_) => (9, "delivered"),
            Self::Known(_) => (10, "known"),
            Self::Datagram(_) => (11, "datagram"),
            Self::Ended(_) => (12, "ended"),
            Self::Read(_) => (13, "read"),
            Self::Pester(_) => (14, "pester"),
            Self::Act(_) => (15, "act"),
            Self::Sample => (16, "sample"),
        }
    }
}

impl<'a> World<'a> {
    /// A world in which nothing has happened.
    ///
    /// # Errors
    /// When the capture cannot be written.
    pub fn new(scenario: &Scenario, options: WorldOptions<'a>) -> Result<Self, LabError> {
        let seed = options.seed.unwrap_or(scenario.seed);
        let url = |scheme| format!("{scheme}://{}:{TRACKER_PORT}/announce", host::tracker_address());
        let announce = scenario.tracker.kind.scheme().map(url);
        let content = Content::new(&scenario.torrent, announce.as_deref())
            .map_err(|error| LabError::Unfit(format!("the torrent: {error}")))?;
        let start = START;
        let mut tracker = Tracker::of(scenario, &content, seed);
        let hosts = host::all(scenario, seed, start, &options.profiles)?;
        if let Some(named) = &scenario.tracker.poison {
            let named = Hosts(named.clone());
            let victims = hosts.iter().filter(|host| named.has(&host.name));
            tracker.poison(victims.map(|host| host.address).collect());
        }
        let recording = Recording::new(scenario, seed, &hosts, options)?;
        let by_address = (0..).zip(&hosts).map(|(number, host)| (host.address.ip(), number)).collect();
        let ends_at = match scenario.stop.when {
            StopWhen::After(time) => start + time.min(scenario.stop.limit.0),
            StopWhen::AllDone => start + scenario.stop.limit.0,
        };
        let mut world = Self {
            now: start,
            due: BinaryHeap::new(),
            caused: 0,
            happened: 0,
            happened_by_kind: [("", 0); KINDS],
            tracker,
            tracker_fails: scenario
                .tracker
                .fails
                .iter()
                .map(|one| (start + one.from, start + one.to))
                .collect(),
            unfinished: hosts.iter().filter(|host| host.is_to_finish()).count(),
            by_address,
            connections: Connections::default(),
            datagrams: Datagrams::new(&scenario.link, seed),
            requests: FxHashMap::default(),
            most_window: window_under_loss(scenario.link.loss, scenario.link.mtu),
            most_queue: scenario.link.queue.0,
            recording,
            measures: Measures::new(content.piece_count() as usize, hosts.len(), scenario.peers.len()),
            script: Script::new(scenario),
            content,
            stop: scenario.stop.when,
            ends_at,
            over: false,
            hosts,
        };
        for number in 1..world.hosts.len() as HostId {
            let at = world.hosts[number as usize].arrives_at;
            world.cause(at, What::Join(number));
        }
        for (number, event) in scenario.events.iter().enumerate() {
            world.cause(start + event.at.0, What::Act(number));
        }
        world.cause(start, What::Sample);
        Ok(world)
    }

    /// Runs the scenario to its end.
    ///
    /// # Errors
    /// When the capture cannot be written.
    pub fn run(self) -> Result<Run, LabError> {
        self.run_while(|| true)
    }

    /// Runs the scenario to its end, or until `go_on` says no: it is asked now and then.
    ///
    /// # Errors
    /// When the capture cannot be written.
    pub fn run_while(mut self, mut go_on: impl FnMut() -> bool) -> Result<Run, LabError> {
        while !self.over && (!self.happened.is_multiple_of(ASKED_EVERY) || go_on()) && self.step()? {}
        self.finish()
    }

    /// Lets the next thing happen; false where nothing will happen before the end.
    fn step(&mut self) -> Result<bool, LabError> {
        let Some(Reverse(Due { at, what, .. })) = self.due.pop() else { return Ok(false) };
        if at > self.ends_at {
            self.now = self.ends_at;
            return Ok(false);
        }
        self.now = at;
        self.happened += 1;
        let (place, name) = what.kind();
        let (known_as, count) = &mut self.happened_by_kind[place];
        (*known_as, *count) = (name, *count + 1);
        match what {
            What::Join(host) => self.join(host)?,
            What::Leave(host) => self.leave_by_itself(host)?,
            What::Wake(host) => self.wake(host)?,
            What::Opened(connection) => self.opened(connection)?,
            What::Called(connection) => self.record_opening(connection)?,
            What::Accepted(connection) => self.accepted(connection)?,
            What::Refused(host, stream) => self.tell(host, Input::Closed(stream, CloseReason::Refused))?,
            What::Left(host) => self.left(host)?,
            What::Came(end) => self.came(end)?,
            What::Delivered(end) => self.delivered(end)?,
            What::Known(end) => self.known(end)?,
            What::Datagram(number) => self.datagram_came(number)?,
            What::Ended(end) => self.ended(end)?,
            What::Read(host) => self.read(host)?,
            What::Pester(host) => self.pester(host)?,
            What::Act(number) => self.act(number)?,
            What::Sample => self.sample(),
        }
        Ok(true)
    }

    fn cause(&mut self, at: Timestamp, what: What) {
        let cause = self.caused;
        self.caused += 1;
        self.due.push(Reverse(Due { at: at.max(self.now), cause, what }));
    }

    /// A host comes: its session begins.
    fn join(&mut self, number: HostId) -> Result<(), LabError> {
        let host = &mut self.hosts[number as usize];
        host.capacity_since = self.now;
        if let Some(stay) = host.stay {
            self.cause(self.now + stay, What::Leave(number));
        }
        let host = &mut self.hosts[number as usize];
        if let Some(stranger) = host.stranger {
            return self.begin_stranger(number, stranger);
        }
        host.begin(&self.content, self.now);
        self.tell(number, Input::Tick)
    }

    /// A host goes: a session says so to others first, a stranger to nobody.
    fn leave_by_itself(&mut self, number: HostId) -> Result<(), LabError> {
        match self.hosts[number as usize].stranger {
            Some(_) if self.hosts[number as usize].presence == Presence::There => self.gone(number),
            Some(_) => Ok(()),
            None => self.tell(number, Input::Stop),
        }
    }

    fn wake(&mut self, number: HostId) -> Result<(), LabError> {
        let host = &mut self.hosts[number as usize];
        // Where the session wanted to wake sooner or later meanwhile, another wake is on its way.
        if host.wakes_at == Some(self.now) {
            host.wakes_at = None;
            return match host.stranger {
                Some(_) => self.tell_dht(number, DhtInput::Tick),
                None => self.tell(number, Input::Tick),
            };
        }
        Ok(())
    }

    /// A host is done: it has the file, or is gone.
    fn note_finished(&mut self, number: HostId) {
        let host = &mut self.hosts[number as usize];
        if host.is_to_finish() && !std::mem::replace(&mut host.finished, true) {
            self.unfinished -= 1;
            self.over = self.unfinished == 0 && self.stop == StopWhen::AllDone;
        }
    }

    fn is_tracker_there(&self) -> bool {
        !self.script.tracker_down
            && !self.tracker_fails.iter().any(|&(from, to)| (from..to).contains(&self.now))
    }

    /// Who listens at an address.
    fn listener(&self, address: SocketAddr) -> Option<HostId> {
        let number = *self.by_address.get(&address.ip())?;
        let host = &self.hosts[number as usize];
        let listens = match number {
            host::TRACKER => self.is_tracker_there(),
            _ => host.presence == Presence::There && host.reachable,
        };
        (listens && host.address.port() == address.port()).then_some(number)
    }
}

/// How many kinds of things happen.
const KINDS: usize = 17;

/// When every run begins: 2026-01-01T00:00:00 UTC.
const START: Timestamp = Timestamp::from_nanos(1_767_225_600 * 1_000_000_000);

const TRACKER_PORT: u16 = 6969;

/// After how many things a run asks whether to go on: some milliseconds.
const ASKED_EVERY: u64 = 1024;

#[cfg(test)]
mod tests;
