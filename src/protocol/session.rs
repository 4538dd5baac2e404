//! A whole download, or upload, without I/O: everything a client decides, as one state machine.
//!
//! The driver opens streams, moves bytes, writes, hashes and keeps the time; the session says which. It is
//! driven by [`Session::handle`], after which [`Session::poll`] is called until it answers
//! [`Output::Wait`]. There is no socket, clock, file, thread or randomness inside: `now` is a parameter, and
//! chance comes from the seed of the [`Identity`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::{Geometry, Metainfo, PeerId, PieceIndex, Timestamp};

mod allowed_fast;
mod announcer;
mod choker;
mod config;
mod download;
mod handshake;
mod have_schedule;
mod holding;
mod io;
mod message_reader;
mod on_message;
mod partial;
mod peer;
mod picker;
mod profile;
mod rarity;
mod rate;
mod rng;
mod smart_ban;
mod swarm;
mod tick;
mod upload;
mod view;

pub use config::{Config, SeedGoal};
pub use io::{
    CloseReason, DisconnectReason, Endpoint, Event, HostPort, Identity, Input, Output, SessionStreamId,
    Violation,
};
pub use profile::{
    Alphabet, AnnounceProfile, ExtendedEntry, FirstMessage, HaveStep, Haves, Interest, KeyForm, LastMessage,
    PeerIdForm, PieceOrder, Profile, RequestStep, WithoutPieces,
};
pub use view::{PeerView, Status, TrackerView};

use announcer::{AnnounceFacts, Announcer, AnnouncerContext, Happening};
use choker::Choker;
use have_schedule::HaveSchedule;
use peer::{Peer, Phase};
use picker::Picker;
use rate::Rate;
use rng::Rng;
use smart_ban::Suspects;
use swarm::{PeerSource, Swarm};

/// One torrent, being downloaded or served.
#[derive(Debug)]
pub struct Session {
    config: Config,
    torrent: Arc<Metainfo>,
    identity: Identity,
    /// The peer ids of the next connections, where each has its own.
    connection_ids: VecDeque<PeerId>,
    rng: Rng,
    state: SessionState,
    outputs: VecDeque<Output>,
    streams: StreamIds,
    peers: BTreeMap<SessionStreamId, Box<Peer>>,
    /// The peers to be looked after at the end of the step.
    dirty: Vec<SessionStreamId>,
    /// The pieces that are new and that peers have not been told of.
    pending_haves: Vec<PieceIndex>,
    have_schedule: HaveSchedule,
    swarm: Swarm,
    /// Names of peers that are being looked up.
    resolving: BTreeSet<HostPort>,
    announcer: Announcer,
    picker: Picker,
    choker: Choker,
    suspects: Suspects,
    /// Bytes handed out to be stored that are not stored yet.
    unstored: u64,
    totals: Totals,
    completed_at: Option<Timestamp>,
    /// When peers are looked after next.
    upkeep_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionState {
    New,
    Running,
    /// Goodbyes are being said, until this moment at the latest.
    Ending(Timestamp),
    Over,
}

/// What has been counted.
#[derive(Debug, Clone)]
struct Totals {
    downloaded: u64,
    uploaded: u64,
    wasted: u64,
    corrupt: u64,
    hash_failures: u32,
    peers_tried: u32,
    download_rate: Rate,
    upload_rate: Rate,
}

/// The numbers of the streams that the session opens: the even ones.
#[derive(Debug, Default)]
struct StreamIds(u32);

impl StreamIds {
    fn next(&mut self) -> SessionStreamId {
        let id = SessionStreamId(self.0);
        self.0 = self.0.wrapping_add(2);
        id
    }
}

impl Session {
    /// A session that has these pieces, verified, and has not begun to talk.
    ///
    /// Only the v1 part of a torrent is spoken of: one of version 2 alone ends at once, incomplete.
    pub fn new(
        config: Config,
        torrent: Arc<Metainfo>,
        identity: Identity,
        have: impl IntoIterator<Item = PieceIndex>,
        now: Timestamp,
    ) -> Self {
        let mut rng = Rng::new(identity.seed);
        let geometry = torrent.geometry.clone().or_else(|| Geometry::new(1, []));
        let geometry = geometry.expect("a geometry without files is one");
        let picker = Picker::new(geometry, config.profile.block_length, have, &mut rng);
        let announcer = Announcer::new(&torrent.trackers(), now, &mut rng);
        let mut session = Self {
            swarm: Swarm::new(config.port, config.max_known_peers, config.single_peer),
            choker: Choker::new(now, config.upload_limit),
            state: SessionState::New,
            outputs: VecDeque::new(),
            streams: StreamIds::default(),
            peers: BTreeMap::new(),
            dirty: Vec::new(),
            pending_haves: Vec::new(),
            have_schedule: HaveSchedule::default(),
            connection_ids: identity.connection_ids.iter().copied().collect(),
            resolving: BTreeSet::new(),
            announcer,
            picker,
            suspects: Suspects::default(),
            unstored: 0,
            totals: Totals {
                downloaded: 0,
                uploaded: 0,
                wasted: 0,
                corrupt: 0,
                hash_failures: 0,
                peers_tried: 0,
                download_rate: Rate::new(now),
                upload_rate: Rate::new(now),
            },
            completed_at: None,
            upkeep_at: now,
            rng,
            config,
            torrent,
            identity,
        };
        if session.is_complete() {
            session.completed_at = Some(now);
        }
        session
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        if self.state == SessionState::Over {
            return;
        }
        if self.state == SessionState::New {
            self.advance(now);
        }
        match input {
            Input::Tick => {}
            Input::Opened(stream, address) if self.announcer.owns(stream) => {
                self.tell_announcer(now, stream, Happening::Opened(address));
            }
            Input::Received(stream, bytes) if self.announcer.owns(stream) => {
                self.tell_announcer(now, stream, Happening::Received(bytes));
            }
            Input::Closed(stream, closing) if self.announcer.owns(stream) => {
                self.tell_announcer(now, stream, Happening::Closed(closing));
            }
            Input::Fetched(stream, answer) => {
                self.tell_announcer(now, stream, Happening::Fetched(answer));
            }
            Input::Resolved(name, addresses) => self.resolved(name, addresses),
            Input::Opened(stream, address) => self.opened(now, stream, address),
            Input::Accepted(stream, address) => self.accepted(now, stream, address),
            Input::Received(stream, bytes) => self.received(now, stream, bytes),
            Input::Sent(stream, count) => self.sent(stream, count),
            Input::Closed(stream, closing) => {
                if let Some(peer) = self.peers.remove(&stream) {
                    self.forget(now, *peer, DisconnectReason::Closed(closing));
                }
            }
            Input::Stored(piece, count) => self.stored(piece, count),
            Input::Hashed(piece, digest) => self.hashed(now, piece, digest),
            Input::BlockHashes(piece, digests) => self.block_hashes(now, piece, digests),
            Input::Loaded(stream, block, bytes) => self.loaded(now, stream, block, bytes),
            Input::Stop => self.end(now),
        }
        self.advance(now);
    }

    /// What is to be done next.
    pub fn poll(&mut self, now: Timestamp) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        // What happened at one moment is answered together, so that one message can tell of several pieces.
        self.service_dirty_peers(now);
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        if self.state == SessionState::Over {
            return Output::Done;
        }
        if self.deadline(now).is_some_and(|at| at <= now) {
            self.advance(now);
            self.service_dirty_peers(now);
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            if self.state == SessionState::Over {
                return Output::Done;
            }
        }
        // A moment that has passed already would have the driver turn in circles.
        let least = now + Duration::from_millis(1);
        Output::Wait(self.deadline(now).map(|at| at.max(least)))
    }

    /// Whether every piece is there, verified.
    pub fn is_complete(&self) -> bool {
        self.torrent.geometry.is_some() && self.picker.is_complete()
    }

    /// Brings everything to where it should be after a step.
    fn advance(&mut self, now: Timestamp) {
        if self.state == SessionState::New {
            self.state = SessionState::Running;
            if self.torrent.geometry.is_none() || (self.is_complete() && self.config.seeding.is_none()) {
                if self.is_complete() {
                    self.outputs.push_back(Output::Event(Event::Complete));
                }
                self.announcer.close(&mut self.outputs);
                self.over();
            }
        }
        if self.state == SessionState::Over {
            return;
        }
        if now >= self.upkeep_at {
            self.tick(now);
        }
        self.advance_announcer(now);
        if self.state == SessionState::Running {
            if self.seeding_ends().is_some_and(|at| at <= now) {
                self.end(now);
                self.advance_announcer(now);
            }
            self.refill(now);
            self.connect_peers(now);
            if self.is_exhausted() {
                self.end(now);
                self.advance_announcer(now);
            }
        }
        if let SessionState::Ending(until) = self.state
            && (self.announcer.has_said_goodbye() || now >= until)
        {
            self.announcer.close(&mut self.outputs);
            self.over();
        }
    }

    /// Looks after the peers to which something happened: requests, blocks to be read, and all that waits to be said.
    fn service_dirty_peers(&mut self, now: Timestamp) {
        if self.state != SessionState::Running {
            return;
        }
        // A new piece marks every open peer as dirty.
        let mut news = self.due_haves();
        while !self.dirty.is_empty() {
            for stream in std::mem::take(&mut self.dirty).into_iter().rev() {
                let Some(mut peer) = self.peers.remove(&stream) else { continue };
                peer.dirty = false;
                if peer.phase == Phase::Open {
                    self.service_peer(now, &mut peer, &news);
                }
                self.flush(now, &mut peer);
                self.peers.insert(stream, peer);
            }
            news.clear();
        }
    }

    fn service_peer(&mut self, now: Timestamp, peer: &mut Peer, news: &[PieceIndex]) {
        let known = peer.known_pending_haves.min(news.len());
        peer.known_pending_haves -= known;
        let news = &news[known..];
        let (before, behind) =
            if self.config.profile.haves_first { (news, &[][..]) } else { (&[][..], news) };
        self.send_haves(peer, before);
        self.update_interest(now, peer);
        self.request_blocks(now, peer);
        self.send_haves(peer, behind);
        self.load_blocks(peer);
    }

    fn flush(&mut self, now: Timestamp, peer: &mut Peer) {
        if let Some(bytes) = peer.take_send_buffer(now) {
            self.outputs.push_back(Output::Send(peer.stream, bytes));
        }
    }

    /// Has a peer looked after at the end of the step.
    fn mark_dirty(&mut self, stream: SessionStreamId) {
        if let Some(peer) = self.peers.get_mut(&stream)
            && !std::mem::replace(&mut peer.dirty, true)
        {
            self.dirty.push(stream);
        }
    }

    fn mark_all_dirty(&mut self) {
        for (&stream, peer) in &mut self.peers {
            if !std::mem::replace(&mut peer.dirty, true) {
                self.dirty.push(stream);
            }
        }
    }

    /// Dials while there is room.
    fn connect_peers(&mut self, now: Timestamp) {
        let serves_only = self.is_complete();
        let (most, half_open) = match self.config.single_peer {
            true => (1, 1),
            false => (self.config.max_peers, self.config.max_half_open),
        };
        let mut opening = self.peers.values().filter(|peer| peer.phase == Phase::Connecting).count();
        while !serves_only && self.peers.len() < most && opening < half_open {
            let Some(address) = self.swarm.next(now) else { return };
            let stream = self.streams.next();
            self.totals.peers_tried += 1;
            self.outputs.push_back(Output::Event(Event::Trying { stream, peer: address }));
            self.outputs.push_back(Output::Open(stream, Endpoint::Peer(address)));
            self.add_peer(now, stream, address, false);
            opening += 1;
        }
    }

    fn add_peer(&mut self, now: Timestamp, stream: SessionStreamId, address: SocketAddr, called: bool) {
        let (pieces, bitfield) = match &self.torrent.geometry {
            Some(geometry) => (geometry.piece_count(), geometry.bitfield_length()),
            None => (0, 0),
        };
        let own_id = self.identity.peer_id;
        let mut peer = Peer::new(stream, address, called, own_id, pieces, bitfield, now);
        peer.pipeline_depth = self.config.profile.initial_pipeline.max(1) as usize;
        self.peers.insert(stream, Box::new(peer));
        self.upkeep_at = self.upkeep_at.min(now + tick::PERIOD);
    }

    /// Whether there is nobody to turn to, now or later.
    fn is_exhausted(&self) -> bool {
        if self.is_complete()
            || !self.peers.is_empty()
            || self.swarm.waiting() > 0
            || !self.resolving.is_empty()
            || self.announcer.is_asking()
        {
            return false;
        }
        let enough = self.config.rounds.is_some_and(|rounds| self.announcer.rounds() >= rounds);
        let nobody_calls = self.config.single_peer || self.config.port == 0;
        enough || (nobody_calls && self.announcer.is_at_its_end())
    }

    /// Says goodbye to everybody.
    fn end(&mut self, now: Timestamp) {
        if !matches!(self.state, SessionState::Running | SessionState::New) {
            return;
        }
        self.state = SessionState::Ending(now + self.config.goodbye_timeout);
        while let Some((_, peer)) = self.peers.pop_first() {
            self.disconnect(now, peer, DisconnectReason::Finished);
        }
        self.announcer.say_goodbye();
    }

    fn over(&mut self) {
        self.state = SessionState::Over;
        self.outputs.push_back(Output::Done);
    }

    /// Every piece is there.
    fn completed(&mut self, now: Timestamp) {
        self.completed_at = Some(now);
        self.outputs.push_back(Output::Event(Event::Complete));
        if self.config.profile.announce.says_completed {
            self.announcer.complete();
        }
        if self.config.seeding.is_none() {
            self.send_last_messages();
            self.end(now);
            return;
        }
        // Two who have everything have nothing to say to each other.
        let seeds = self.peers.iter().filter(|(_, peer)| peer.pieces.is_all() && peer.phase == Phase::Open);
        let seeds: Vec<_> = seeds.map(|(&stream, _)| stream).collect();
        for stream in seeds {
            if let Some(peer) = self.peers.remove(&stream) {
                self.disconnect(now, peer, DisconnectReason::Finished);
            }
        }
        self.mark_all_dirty();
    }

    fn advance_announcer(&mut self, now: Timestamp) {
        let wants_peers = self.wants_peers();
        if self.announcer.deadline(wants_peers).is_none_or(|at| at > now) && !self.announcer.has_news() {
            return;
        }
        let mut step = AnnouncerContext {
            now,
            facts: self.facts(),
            outputs: &mut self.outputs,
            streams: &mut self.streams,
            rng: &mut self.rng,
            config: &self.config,
            wants_peers,
        };
        self.announcer.advance(&mut step);
    }

    fn tell_announcer(&mut self, now: Timestamp, stream: SessionStreamId, happening: Happening) {
        let wants_peers = self.wants_peers();
        let mut step = AnnouncerContext {
            now,
            facts: self.facts(),
            outputs: &mut self.outputs,
            streams: &mut self.streams,
            rng: &mut self.rng,
            config: &self.config,
            wants_peers,
        };
        let Some(mut found) = self.announcer.handle(stream, happening, &mut step) else { return };
        if let Some(own) = found.own_address {
            self.swarm.note_own(own);
        }
        if !self.config.single_peer {
            self.rng.shuffle(&mut found.peers);
        }
        self.swarm.learn(PeerSource::Tracker, found.peers);
        for name in found.names {
            if self.state == SessionState::Running
                && self.resolving.len() < MAX_RESOLVING
                && self.resolving.insert(name.clone())
            {
                self.outputs.push_back(Output::Resolve(name));
            }
        }
    }

    /// A name that a tracker gave was looked up.
    fn resolved(&mut self, name: HostPort, addresses: Result<Vec<SocketAddr>, String>) {
        if !self.resolving.remove(&name) {
            return;
        }
        match addresses {
            Ok(addresses) => self.swarm.learn(PeerSource::Tracker, addresses.into_iter().take(MAX_RESOLVED)),
            Err(reason) => self.outputs.push_back(Output::Event(Event::Unresolved { name, reason })),
        }
    }

    fn facts(&self) -> AnnounceFacts {
        AnnounceFacts {
            info_hash: self.torrent.info_hash,
            identity: self.identity.clone(),
            uploaded: self.totals.uploaded,
            downloaded: self.totals.downloaded,
            corrupt: self.totals.corrupt,
            left: self.picker.left(),
        }
    }

    fn wants_peers(&self) -> bool {
        let few = if self.config.single_peer { 1 } else { (self.config.max_peers / 2).max(1) };
        !self.is_complete() && self.peers.len() + self.swarm.waiting() < few
    }

    /// When something is to be done though nothing happens.
    fn deadline(&self, now: Timestamp) -> Option<Timestamp> {
        if self.state == SessionState::New {
            return Some(now);
        }
        let ending = match self.state {
            SessionState::Ending(until) => Some(until),
            _ => None,
        };
        let running = self.state == SessionState::Running;
        let upkeep = (running && !self.peers.is_empty()).then_some(self.upkeep_at);
        let waits = running && self.peers.is_empty() && !self.is_complete();
        let dial = waits.then(|| self.swarm.ready_at(now)).flatten();
        let goal = self.seeding_ends().filter(|_| running);
        let serving = if running { self.choker.ready_at() } else { None };
        let announcer = self.announcer.deadline(running && self.wants_peers());
        [ending, upkeep, dial, goal, serving, announcer].into_iter().flatten().min()
    }

    /// When seeding has lasted as long as was wanted.
    fn seeding_ends(&self) -> Option<Timestamp> {
        Some(self.completed_at? + self.config.seeding?.time?)
    }
}

/// How many names of peers are looked up at once, and how many addresses of each are taken: a host has few.
const MAX_RESOLVING: usize = 50;
const MAX_RESOLVED: usize = 4;

#[cfg(test)]
mod tests;
