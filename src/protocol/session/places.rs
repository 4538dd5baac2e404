//! Which connections there is a place for. While pieces are missing, some places are kept for the peers that are dialled; a
//! host that calls has a few; and where all are taken, a connection that is of no use gives way.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::Timestamp;

use super::core::Core;
use super::peer::{Peer, Phase};
use super::{DisconnectReason, Session, SessionStreamId, Violation};

impl Session {
    /// Whether there is a place for a peer that calls from this address, now that another connection may have given way.
    pub(super) fn admits(&mut self, now: Timestamp, address: SocketAddr) -> bool {
        let core = &self.core;
        let most = core.config.max_peers;
        let callers = self.peers.callers();
        let host = address.ip().to_canonical();
        let here = callers.iter().filter(|(_, other)| *other == host).count();
        // On loopback all peers share one address.
        if core.config.single_peer || (here >= MAX_CALLERS_A_HOST && !host.is_loopback()) {
            return false;
        }
        let kept = if core.has_all_wanted() { 0 } else { most / KEPT };
        let callers_full = callers.len() + kept >= most;
        if !callers_full && self.peers.len() < most {
            return true;
        }
        let may_turn = core.callers_turnover.allows(now, most, Pace::Fast);
        let gives_way = |peer: &&Peer| {
            (may_turn || peer.phase == Phase::Handshake)
                && (peer.incoming || !callers_full)
                && core.is_useless(now, peer)
        };
        let doubtful = self.peers.iter_doubtful(now, may_turn);
        let useless = doubtful.filter(gives_way).min_by_key(|peer| (peer.has_exchanged(), peer.phase_since));
        let turns = useless.is_some_and(|peer| peer.phase == Phase::Open);
        let leaving = match useless {
            Some(peer) => Some((peer.stream, Violation::Useless)),
            None => self.crowding(here).map(|stream| (stream, Violation::TooManyConnections)),
        };
        let Some((stream, violation)) = leaving else { return false };
        if turns {
            self.core.callers_turnover.note(now);
        }
        self.disconnect(now, stream, DisconnectReason::Violated(violation));
        true
    }

    /// The caller that came last of those with which nothing was exchanged, of the host that has the most callers; `None`
    /// where no host has more than one that has `here` and one more.
    fn crowding(&self, here: usize) -> Option<SessionStreamId> {
        let callers = self.peers.callers();
        let mut hosts: Vec<IpAddr> = callers.iter().map(|(_, host)| *host).collect();
        hosts.sort_unstable();
        let crowds = hosts.chunk_by(|one, other| one == other).filter(|crowd| crowd.len() > here + 1);
        let host = *crowds.max_by_key(|crowd| crowd.len())?.first()?;
        let here = callers.iter().filter(|(_, other)| *other == host);
        let here = here.filter_map(|(stream, _)| self.peers.get(*stream));
        let last = here.filter(|peer| !peer.has_exchanged()).max_by_key(|peer| peer.phase_since);
        last.map(|peer| peer.stream)
    }
}

impl Core {
    /// Which peers may give way now to others that wait to be dialled.
    pub(super) fn yielding(&self, now: Timestamp) -> Yielding {
        let may_turn = |pace| self.turnover.allows(now, self.config.max_peers, pace);
        let pace = if self.takes_blocks(now) { Pace::Slow } else { Pace::Fast };
        match may_turn(Pace::Fast) {
            false => Yielding::Nobody,
            true if may_turn(pace) => Yielding::Choking,
            true => Yielding::Useless,
        }
    }

    /// Whether a block came of late: the peers that are there are of use.
    pub(super) fn takes_blocks(&self, now: Timestamp) -> bool {
        self.taken_at.is_some_and(|at| now - at < NOTHING_CAME)
    }

    /// Whether neither side has any use for the connection, and that not only for a moment.
    pub(super) fn is_useless(&self, now: Timestamp, peer: &Peer) -> bool {
        let lasts = now - peer.phase_since;
        match peer.phase {
            Phase::Connecting => false,
            Phase::Handshake => peer.incoming && lasts >= SLOW_HANDSHAKE,
            Phase::Open if lasts < IDLE => false,
            // A peer that snubs us has nothing that we can have.
            Phase::Open => {
                let gives_metadata = self.torrent.is_wanted() && peer.metadata_claim().is_some();
                let gives = gives_metadata || (peer.wanted_pieces > 0 && !peer.download.snubbed);
                let takes = peer.peer_interested() && (peer.am_choking() || !self.takes_nothing(now, peer));
                !gives && !takes
            }
        }
    }

    /// Whether a peer that may request blocks has long not done so.
    fn takes_nothing(&self, now: Timestamp, peer: &Peer) -> bool {
        peer.upload.waiting() == 0 && now - peer.upload.last_request_at >= self.config.request_timeout
    }
}

impl Peer {
    /// Whether a block went either way.
    pub(super) const fn has_exchanged(&self) -> bool {
        self.download.bytes > 0 || self.upload.bytes > 0
    }
}

/// Which peers give way to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Yielding {
    /// None.
    Nobody,
    /// Those of no use.
    Useless,
    /// These, and those that have choked us for long.
    Choking,
}

/// How many of the places may go to others within [`TURNOVER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// One of [`TURNED`], or [`LEAST_TURNED`].
    Fast,
    /// One of [`TURNED_SLOWLY`], or one.
    Slow,
}

impl Pace {
    /// How many of so many places.
    fn most(self, places: usize) -> usize {
        match self {
            Self::Fast => (places / TURNED).max(LEAST_TURNED),
            Self::Slow => (places / TURNED_SLOWLY).max(1),
        }
    }
}

/// The connections that gave way to others of late. Where many lack a place, and each that gives way takes the place of another,
/// that would never end.
#[derive(Debug, Default)]
pub(super) struct Turnover {
    gave_way: VecDeque<Timestamp>,
}

impl Turnover {
    /// Whether one more may give way, of so many places.
    pub(super) fn allows(&self, now: Timestamp, places: usize, pace: Pace) -> bool {
        let lately = self.gave_way.iter().filter(|&&at| now - at < TURNOVER).count();
        lately < pace.most(places)
    }

    /// One gives way that may.
    pub(super) fn note(&mut self, now: Timestamp) {
        self.gave_way.retain(|&at| now - at < TURNOVER);
        self.gave_way.push_back(now);
    }
}

/// One place of so many, or two, may be given to callers within [`TURNOVER`], and as many to peers that are dialled. With half as many, swarms of 200 hosts took 7 %
/// longer to have a file than where any number may.
const TURNED: usize = 4;
const LEAST_TURNED: usize = 2;
const TURNOVER: Duration = Duration::from_secs(60);

/// The same of peers that only choke us, for peers that are dialled, while blocks come: most peers choke us most of the time, and those
/// that wait would too. libtorrent gives others fewer places still (`peer_turnover`: 4 % in five minutes); with as few, swarms of 200
/// hosts with 20 connections each took 4 % longer to have a file.
const TURNED_SLOWLY: usize = 20;

/// One place of so many is kept for peers that are dialled.
const KEPT: usize = 4;

/// How many connections the peers at one host may open. Several peers behind one address are rare.
const MAX_CALLERS_A_HOST: usize = 8;

/// How long a caller may take for its handshake where others want its place.
const SLOW_HANDSHAKE: Duration = Duration::from_secs(3);

/// A session to which no block comes for so long looks for other peers as fast as a session that has begun.
const NOTHING_CAME: Duration = Duration::from_secs(30);

/// How long a connection that neither side has any use for is kept where others want its place.
pub(super) const IDLE: Duration = Duration::from_secs(10);
