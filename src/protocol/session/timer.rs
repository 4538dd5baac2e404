//! Why a session wakes, and what it does then.

use crate::Timestamp;

use super::{Session, SessionState};

/// A reason to wake. Where several are due at one moment, they act in the order in which they stand here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// The first step: nothing has been done yet.
    Start,
    /// Every peer is looked after: patience that ends, keep-alives, pipeline depths, peer exchange, unchoking.
    Peers,
    /// A tracker did not answer in time, is asked again, or is told of something new.
    Announce,
    /// Web seeds are asked for what is missing; one takes too long, or may be asked again.
    WebSeeds,
    /// Seeding has lasted as long as was wanted.
    SeedGoal,
    /// The upload limit lets blocks leave again.
    UploadLimit,
    /// Peers are connected to, where there is room and a peer may be tried.
    Connect,
    /// No peer is connected, and none will ever be.
    Exhausted,
    /// Every tracker was told goodbye, or did not answer for too long.
    Goodbye,
}

impl Session {
    /// Does what is due at `now`, each thing once. Every input ends here. With a line for each timer, the compiler knows the
    /// timer, and most lines become one comparison.
    pub(super) fn advance(&mut self, now: Timestamp) {
        self.act_if_due(Timer::Start, now);
        self.act_if_due(Timer::Peers, now);
        self.act_if_due(Timer::Announce, now);
        self.act_if_due(Timer::WebSeeds, now);
        self.act_if_due(Timer::SeedGoal, now);
        self.act_if_due(Timer::UploadLimit, now);
        self.act_if_due(Timer::Connect, now);
        self.act_if_due(Timer::Exhausted, now);
        self.act_if_due(Timer::Goodbye, now);
    }

    #[inline(always)]
    fn act_if_due(&mut self, timer: Timer, now: Timestamp) {
        if self.acts(timer, now) {
            self.act(timer, now);
        }
    }

    /// When the session wakes next though nothing happens, and why.
    pub(super) fn next_timer(&self) -> Option<(Timestamp, Timer)> {
        let mut next = None;
        self.note_due(Timer::Start, &mut next);
        self.note_due(Timer::Peers, &mut next);
        self.note_due(Timer::Announce, &mut next);
        self.note_due(Timer::WebSeeds, &mut next);
        self.note_due(Timer::SeedGoal, &mut next);
        self.note_due(Timer::UploadLimit, &mut next);
        self.note_due(Timer::Connect, &mut next);
        self.note_due(Timer::Exhausted, &mut next);
        self.note_due(Timer::Goodbye, &mut next);
        next
    }

    /// Takes a timer as the next timer where it is due before the others.
    #[inline(always)]
    fn note_due(&self, timer: Timer, next: &mut Option<(Timestamp, Timer)>) {
        if let Some(at) = self.due(timer)
            && next.is_none_or(|(first, _)| at < first)
        {
            *next = Some((at, timer));
        }
    }

    /// When a timer is due. What only follows from something that happened has no time.
    #[inline(always)]
    fn due(&self, timer: Timer) -> Option<Timestamp> {
        let core = &self.core;
        let running = core.state == SessionState::Running;
        match timer {
            Timer::Start => (core.state == SessionState::New).then_some(core.now),
            Timer::Peers => (running && !self.peers.is_empty()).then_some(core.tick_at),
            Timer::Announce => core.announcer.deadline(running && self.wants_peers()),
            Timer::WebSeeds if running => core.web_seeds.deadline(core.config.connect_timeout),
            Timer::WebSeeds => None,
            Timer::SeedGoal => core.seeding_ends().filter(|_| running),
            Timer::UploadLimit => core.choker.ready_at().filter(|_| running),
            // With peers, the tick looks for more.
            Timer::Connect if running && self.peers.is_empty() && !core.has_all_wanted() => {
                core.swarm.ready_at(core.now)
            }
            Timer::Connect | Timer::Exhausted => None,
            Timer::Goodbye => match core.state {
                SessionState::Ending(until) => Some(until),
                _ => None,
            },
        }
    }

    /// Whether a timer acts at `now`: it is due, or something happened for which it need not wait.
    #[inline(always)]
    fn acts(&self, timer: Timer, now: Timestamp) -> bool {
        let core = &self.core;
        let running = core.state == SessionState::Running;
        match timer {
            Timer::Peers => running && core.tick_at <= now,
            Timer::Announce if core.state == SessionState::Over => false,
            Timer::Announce => core.announcer.has_news() || self.due(timer).is_some_and(|at| at <= now),
            Timer::WebSeeds => running && !core.web_seeds.is_empty(),
            Timer::UploadLimit | Timer::Connect => running,
            Timer::Exhausted => running && self.is_exhausted(),
            Timer::Goodbye => match core.state {
                SessionState::Ending(until) => until <= now || core.announcer.has_said_goodbye(),
                _ => false,
            },
            Timer::Start | Timer::SeedGoal => self.due(timer).is_some_and(|at| at <= now),
        }
    }

    #[inline(always)]
    fn act(&mut self, timer: Timer, now: Timestamp) {
        match timer {
            Timer::Start => self.start(),
            Timer::Peers => self.tick(now),
            Timer::Announce => self.advance_announcer(now),
            Timer::WebSeeds => {
                self.core.advance_web_seeds(now);
                self.step_others(None);
            }
            Timer::SeedGoal | Timer::Exhausted => self.end(now),
            Timer::UploadLimit => self.refill_upload(now),
            Timer::Connect => self.connect_peers(now),
            Timer::Goodbye => self.over(),
        }
    }
}
