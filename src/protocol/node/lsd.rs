//! The local network beside a session: announces of its torrent, and peers that announce it (BEP 14).

use std::net::SocketAddr;
use std::time::Duration;

use super::{Node, Output};
use crate::lsd::{Beacon, BeaconOutput, Interface, InterfaceId};
use crate::session::{self, PeerSource};
use crate::{InfoHash, Timestamp};

/// A beacon, and when it wants to be called again.
#[derive(Debug)]
pub(super) struct SessionLsd {
    beacon: Beacon,
    wakes_at: Option<Timestamp>,
    /// Until when others of the local network may answer its first announce.
    answered_until: Option<Timestamp>,
}

impl SessionLsd {
    /// Announces these torrents from the next announce on.
    pub(super) fn follow(&mut self, torrents: Vec<InfoHash>) {
        self.beacon.follow(torrents);
    }

    /// Whether somebody may answer the first announce still: a beacon speaks once a minute (BEP 14).
    pub(super) fn may_be_answered(&self, now: Timestamp) -> bool {
        self.answered_until.is_some_and(|until| now < until)
    }
}

impl Node {
    /// The same with a beacon, which announces the session's torrent to the local network. Of a private torrent the local
    /// network may not know (BEP 27): then there is none.
    #[must_use]
    pub fn with_lsd(mut self, beacon: Beacon) -> Self {
        self.lsd = (!self.session.is_private()).then_some(SessionLsd {
            beacon,
            wakes_at: None,
            answered_until: None,
        });
        self
    }

    /// Falls silent where what peers described turned out to be private (BEP 27).
    pub(super) fn leave_lsd_if_private(&mut self) {
        if self.session.is_private() {
            self.lsd = None;
        }
    }

    /// Takes a datagram that came to a group; whether there is a beacon.
    pub(super) fn lsd_takes(&mut self, by: InterfaceId, from: SocketAddr, bytes: &[u8]) -> bool {
        let Some(lsd) = &mut self.lsd else { return false };
        lsd.beacon.receive(by, from, bytes);
        true
    }

    /// These are the interfaces of the machine now.
    pub(super) fn set_interfaces(&mut self, now: Timestamp, interfaces: &[Interface]) {
        if let Some(lsd) = &mut self.lsd {
            lsd.beacon.set_interfaces(now, interfaces);
            if !interfaces.is_empty() {
                lsd.answered_until.get_or_insert(now + ANSWERED_WITHIN);
            }
        }
    }

    /// Does the next thing that the beacon wants; whether there was one.
    pub(super) fn step_lsd(&mut self) -> bool {
        let Some(lsd) = &mut self.lsd else { return false };
        match lsd.beacon.poll(self.now) {
            BeaconOutput::Send(by, group, bytes) => {
                self.outputs.push_back(Output::Multicast(by, group, bytes));
                true
            }
            BeaconOutput::Found(peer) => {
                self.session.handle(self.now, session::Input::PeersFound(PeerSource::Lsd, vec![peer]));
                true
            }
            BeaconOutput::Wait(at) => {
                lsd.wakes_at = at;
                false
            }
        }
    }

    /// When the beacon wants to be called again.
    pub(super) fn lsd_wakes_at(&self) -> Option<Timestamp> {
        self.lsd.as_ref()?.wakes_at
    }
}

/// Within what time others answer an announce: a minute after their last one, and a moment more.
const ANSWERED_WITHIN: Duration = Duration::from_secs(65);
