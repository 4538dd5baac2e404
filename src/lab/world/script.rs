//! What a scenario has happen beside arrivals and departures.

use super::host::Presence;
use super::{What, World};
use crate::LabError;
use crate::network::{EndId, HostId};
use crate::scenario::{Action, Hosts, Scenario};

/// The events of a scenario, and what they have changed.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) actions: Vec<Action>,
    /// What waits at a cut of the network, in the order in which it came there.
    held: Vec<EndId>,
    pub(super) tracker_down: bool,
    /// The cuts of the network: on which side of each every host is, 0 for hosts that reach all.
    cuts: Vec<Vec<u8>>,
}

impl Script {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            actions: scenario.events.iter().map(|event| event.action.clone()).collect(),
            ..Self::default()
        }
    }

    /// Whether nothing gets from one host to the other.
    pub(super) fn parts(&self, one: HostId, other: HostId) -> bool {
        self.cuts.iter().any(|sides| {
            let (one, other) = (sides[one as usize], sides[other as usize]);
            one != 0 && other != 0 && one != other
        })
    }

    /// Bytes of an end wait at the cut.
    pub(super) fn hold(&mut self, end: EndId) {
        self.held.push(end);
    }
}

impl World<'_> {
    /// Does what the scenario has happen now.
    pub(super) fn act(&mut self, number: usize) -> Result<(), LabError> {
        match self.script.actions[number].clone() {
            Action::Kill(who) => self.each(&who, Self::kill),
            Action::Stop(who) => self.each(&who, Self::leave_by_itself),
            Action::CutUp(who, rate) => self.each(&who, |world, host| {
                world.settle_capacity(host);
                world.hosts[host as usize].up.rate = rate;
                Ok(())
            }),
            Action::CutDown(who, rate) => self.each(&who, |world, host| {
                world.hosts[host as usize].down.rate = rate;
                Ok(())
            }),
            Action::TrackerDown => {
                self.script.tracker_down = true;
                Ok(())
            }
            Action::TrackerUp => {
                self.script.tracker_down = false;
                Ok(())
            }
            Action::Partition(one, other) => {
                let mut sides = vec![0; self.hosts.len()];
                for (side, who) in [(1, &one), (2, &other)] {
                    self.named(who).into_iter().for_each(|host| sides[host as usize] = side);
                }
                self.script.cuts.push(sides);
                Ok(())
            }
            Action::Heal => {
                self.script.cuts.clear();
                for end in std::mem::take(&mut self.script.held) {
                    self.cause(self.now, What::Came(end));
                }
                Ok(())
            }
        }
    }

    fn named(&self, who: &Hosts) -> Vec<HostId> {
        (0..).zip(&self.hosts).filter(|(_, host)| who.has(&host.name)).map(|(number, _)| number).collect()
    }

    fn each(
        &mut self,
        who: &Hosts,
        mut act: impl FnMut(&mut Self, HostId) -> Result<(), LabError>,
    ) -> Result<(), LabError> {
        self.named(who).into_iter().try_for_each(|host| act(self, host))
    }

    /// A host vanishes: nothing comes from it any more, and nobody is told.
    fn kill(&mut self, number: HostId) -> Result<(), LabError> {
        if self.hosts[number as usize].presence != Presence::There {
            return Ok(());
        }
        self.settle_capacity(number);
        self.measures.copies.forget(number);
        let host = &mut self.hosts[number as usize];
        host.presence = Presence::Vanished;
        host.left_at = Some(self.now);
        host.end(self.now);
        host.up.drop_datagrams();
        self.end_of_utp_talks(number);
        let host = &mut self.hosts[number as usize];
        let mut ends: Vec<EndId> = host.ends.drain().map(|(_, end)| end).collect();
        ends.sort_unstable();
        for id in ends {
            self.measures.end_of_talk(&mut self.connections, &self.hosts, id, self.now);
            if let Some(end) = self.connections.end(id) {
                end.alive = false;
                end.drop_waiting();
            }
        }
        self.note_finished(number);
        Ok(())
    }
}
