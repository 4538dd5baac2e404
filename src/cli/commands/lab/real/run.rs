//! The run itself: hosts come and go, things happen, until all have the file.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use bittrace_lab::Content;
use bittrace_lab::scenario::{Action, ByteRate, Departure, Hosts, Role, Scenario, StopWhen};
use bittrace_protocol::Timestamp;
use tokio::time::sleep;

use super::host::{Host, Killer, Setting};
use super::ledger::Moment;
use super::network::{Bridge, Network};
use super::tracker::TrackerTask;
use crate::args::Common;
use crate::failure::warn;
use crate::interrupt::interrupted;

/// What ends all clients at once, from any thread.
#[derive(Clone, Default)]
pub(super) struct Killers(Arc<Mutex<Vec<Killer>>>);

impl Killers {
    fn add(&self, killer: Option<Killer>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(killer);
    }

    /// Ends them.
    pub(super) fn end_all(&self) {
        let killers = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        killers.into_iter().for_each(|kill| kill());
    }
}

/// How a run went.
pub(super) struct Course {
    /// When it began.
    pub(super) start: Timestamp,
    /// How long it lasted.
    pub(super) seconds: f64,
    /// Whether it ended because all were done.
    pub(super) all_done: bool,
    /// Who was there, second by second.
    pub(super) moments: Vec<Moment>,
}

/// All that a run needs.
pub(super) struct Game<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) setting: &'a Setting<'a>,
    pub(super) tracker: &'a TrackerTask,
    pub(super) content: &'a Content,
    /// The capture whose client each group behaves like.
    pub(super) likes: &'a [Option<PathBuf>],
    pub(super) common: Common,
}

impl Game<'_> {
    /// Plays the scenario with these hosts, which have all ended when it is over.
    pub(super) async fn play(&self, hosts: &mut [Host], killers: &Killers) -> Result<Course> {
        let mut rates: Vec<ByteRate> =
            hosts.iter().map(|host| self.scenario.peers[host.plan.group].up).collect();
        let played = self.until_the_end(hosts, &mut rates, killers).await;
        let now = played.as_ref().map_or(0.0, |course| course.seconds);
        self.end(hosts, now).await;
        played
    }

    async fn until_the_end(
        &self,
        hosts: &mut [Host],
        rates: &mut [ByteRate],
        killers: &Killers,
    ) -> Result<Course> {
        self.start_seeds(hosts, killers).await?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = Timestamp::from_secs_nanos(since.as_secs() as i64, since.subsec_nanos());
        let began = Instant::now();
        let ends_at = match self.scenario.stop.when {
            StopWhen::After(time) => time.min(self.scenario.stop.limit.0),
            StopWhen::AllDone => self.scenario.stop.limit.0,
        };
        let mut moments = Vec::new();
        if hosts.iter().all(|host| host.plan.role == Role::Leecher) {
            warn(self.common, "no seed is there: nothing is started");
            return Ok(Course { start, seconds: 0.0, all_done: false, moments });
        }
        let mut events: Vec<_> = self.scenario.events.iter().collect();
        events.sort_by_key(|event| event.at.0);
        let mut events = events.into_iter().peekable();
        let mut before = 0.0;
        let (mut looked, mut loaded) = (began, began);
        loop {
            let elapsed = began.elapsed();
            let now = elapsed.as_secs_f64();
            while let Some(event) = events.next_if(|event| event.at.0 <= elapsed) {
                self.act(&event.action, hosts, rates, now)?;
            }
            let mut fails = self.scenario.tracker.fails.iter();
            self.tracker.set_failing(fails.any(|span| (span.from..span.to).contains(&elapsed)));
            for host in hosts.iter_mut() {
                if host.arrived_at.is_none() && host.plan.arrives_at <= elapsed {
                    self.start_host(host, now, killers)?;
                }
            }
            for (host, rate) in hosts.iter_mut().zip(rates.iter()) {
                if host.is_there() && rate.0.is_finite() {
                    host.capacity += rate.0 * (now - before);
                }
            }
            before = now;
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                for host in hosts.iter_mut() {
                    self.look(host, now)?;
                }
            }
            if loaded.elapsed() >= LOAD {
                loaded = Instant::now();
                hosts.iter_mut().for_each(Host::look_at_load);
            }
            if now >= moments.len() as f64 && moments.len() < MOST_MOMENTS {
                moments.push(moment(now, hosts));
            }
            let all_done = self.scenario.stop.when == StopWhen::AllDone
                && hosts.iter().all(|host| host.plan.role == Role::Seed || host.is_finished());
            if all_done || elapsed >= ends_at || interrupted() {
                for host in hosts.iter_mut() {
                    self.look(host, now)?;
                }
                moments.push(moment(now, hosts));
                return Ok(Course { start, seconds: now, all_done, moments });
            }
            sleep(STEP).await;
        }
    }

    /// Starts the seeds that are there at first, and waits until the tracker knows them: the run begins then.
    async fn start_seeds(&self, hosts: &mut [Host], killers: &Killers) -> Result<()> {
        let is_first = |host: &Host| host.plan.role == Role::Seed && host.plan.arrives_at.is_zero();
        for host in hosts.iter_mut().filter(|host| is_first(host)) {
            self.start_host(host, 0.0, killers)?;
        }
        let began = Instant::now();
        while began.elapsed() < READY && !interrupted() {
            let mut waiting = false;
            for host in hosts.iter_mut().filter(|host| is_first(host)) {
                self.look(host, 0.0)?;
                waiting |= host.is_there() && !self.tracker.knows(host.address);
            }
            if !waiting {
                return Ok(());
            }
            sleep(STEP).await;
        }
        for host in hosts.iter().filter(|host| is_first(host) && !self.tracker.knows(host.address)) {
            warn(self.common, &format!("{} has not announced in {} s", host.plan.name, READY.as_secs()));
        }
        Ok(())
    }

    fn start_host(&self, host: &mut Host, now: f64, killers: &Killers) -> Result<()> {
        let group = host.plan.group;
        host.start(&self.scenario.peers[group], self.setting, self.likes[group].as_deref())?;
        host.arrived_at = Some(now);
        killers.add(host.killer());
        Ok(())
    }

    fn look(&self, host: &mut Host, now: f64) -> Result<()> {
        let had_failed = host.failure.is_some();
        host.look(now, self.content)?;
        if let Some(failure) = host.failure.as_ref().filter(|_| !had_failed) {
            warn(self.common, &format!("{}: {failure}", host.plan.name));
        }
        if host.is_ending() {
            host.ask_to_end(now);
        }
        let Some(arrived) = host.arrived_at else { return Ok(()) };
        let leaves_at = match host.plan.leave {
            Departure::Never => None,
            Departure::WhenDone => host.whole_at,
            Departure::After(time) => Some(arrived + time.as_secs_f64()),
            Departure::Exponential(time) => {
                // A seed has everything when it comes.
                let whole = if host.plan.role == Role::Seed { Some(arrived) } else { host.whole_at };
                whole.map(|whole| whole + time.as_secs_f64())
            }
        };
        // One of ours leaves by itself when it is done, once it has told the others.
        if leaves_at.is_some_and(|at| now >= at) && host.is_there() {
            host.ask_to_end(now);
        }
        Ok(())
    }

    fn act(&self, action: &Action, hosts: &mut [Host], rates: &mut [ByteRate], now: f64) -> Result<()> {
        let bridge: Option<&Bridge> = match self.setting.network {
            Network::Bridge(bridge) => Some(bridge),
            Network::Loopback => None,
        };
        match action {
            Action::Kill(who) => named(hosts, who).for_each(|(_, host)| host.kill(now)),
            Action::Stop(who) => named(hosts, who).for_each(|(_, host)| host.ask_to_end(now)),
            Action::TrackerDown => self.tracker.set_down(true),
            Action::TrackerUp => self.tracker.set_down(false),
            Action::CutUp(who, rate) => {
                for (place, host) in named(hosts, who) {
                    rates[place] = *rate;
                    if let Some(bridge) = bridge {
                        bridge.cut_up(host.number, *rate)?;
                    }
                }
            }
            Action::CutDown(who, rate) => {
                for (_, host) in named(hosts, who) {
                    if let Some(bridge) = bridge {
                        bridge.cut_down(host.number, *rate)?;
                    }
                }
            }
            Action::Partition(one, other) => part(hosts, one, other, bridge)?,
            Action::Heal => {
                if let Some(bridge) = bridge {
                    bridge.heal()?;
                }
            }
        }
        Ok(())
    }

    /// Has all clients end: asked first, so that they say goodbye.
    async fn end(&self, hosts: &mut [Host], now: f64) {
        let began = Instant::now();
        while hosts.iter().any(|host| !host.has_ended()) && began.elapsed() < GOODBYE {
            for host in hosts.iter_mut().filter(|host| !host.has_ended()) {
                let left = host.left_at;
                host.ask_to_end(now);
                // It was there to the end of the run.
                if host.look(now, self.content).is_err() {
                    host.kill(now);
                }
                host.left_at = left;
            }
            sleep(STEP).await;
        }
        for host in hosts {
            let left = host.left_at;
            host.kill(now);
            host.left_at = left;
        }
    }
}

fn part(hosts: &[Host], one: &Hosts, other: &Hosts, bridge: Option<&Bridge>) -> Result<()> {
    let Some(bridge) = bridge else { return Ok(()) };
    let numbers = |who: &Hosts| -> Vec<usize> {
        hosts.iter().filter(|host| who.has(&host.plan.name)).map(|host| host.number).collect()
    };
    bridge.part(&numbers(one), &numbers(other))
}

fn named<'a>(hosts: &'a mut [Host], who: &'a Hosts) -> impl Iterator<Item = (usize, &'a mut Host)> {
    hosts.iter_mut().enumerate().filter(|(_, host)| who.has(&host.plan.name))
}

/// Who is there at a moment.
fn moment(at: f64, hosts: &[Host]) -> Moment {
    let there = || hosts.iter().filter(|host| host.is_there());
    let has_all = |host: &&Host| host.plan.role == Role::Seed || host.whole_at.is_some();
    let seeds = there().filter(has_all).count() as u32;
    let capacity = hosts.iter().map(|host| host.capacity).sum();
    Moment { at, leechers: there().count() as u32 - seeds, seeds, capacity }
}

/// How often is looked at hosts that come and events, at disks and processes, and at the load of processors.
const STEP: Duration = Duration::from_millis(20);
const LOOK: Duration = Duration::from_millis(200);
const LOAD: Duration = Duration::from_secs(2);

/// How long seeds may take until they are known.
const READY: Duration = Duration::from_secs(60);

/// How long clients may take to end.
const GOODBYE: Duration = Duration::from_secs(8);

/// More seconds of a run are not told one by one.
const MOST_MOMENTS: usize = 100_000;
