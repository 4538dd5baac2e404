//! A whole download, or upload, without I/O: everything a client decides, as one state machine.
//!
//! The driver opens streams, moves bytes, writes, hashes and keeps the time; the session says which. [`Session::handle`]
//! takes what happened, one [`Input`] at a time; [`Session::poll`] hands out what is to be done, until it answers
//! [`Output::Wait`] or [`Output::Done`]. There is no socket, clock, file, thread or randomness inside: `now` is a parameter,
//! and chance comes from the seed of the [`Identity`].
//!
//! What happens at one moment is answered together: a peer is sent one message for all its news. So inputs only note
//! what happened, and `Wait` names the present moment while peers are to be answered. At the time that `Wait` names the driver
//! passes [`Input::Tick`], and the session acts.
//!
//! ```
//! use bittrace_protocol::session::{Input, Output, Session};
//! use bittrace_protocol::Timestamp;
//!
//! /// Passes one input, and does all that follows from it; when to pass `Tick` next.
//! fn step(session: &mut Session, now: Timestamp, input: Input) -> Option<Timestamp> {
//!     session.handle(now, input);
//!     loop {
//!         match session.poll() {
//!             Output::Wait(Some(at)) if at <= now => session.handle(now, Input::Tick),
//!             Output::Wait(at) => return at,
//!             Output::Done => return None,
//!             output => println!("to be done: {output:?}"),
//!         }
//!     }
//! }
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::{InfoHash, Metainfo, PieceIndex, Timestamp};

mod allowed_fast;
mod announcer;
mod assigned;
mod choker;
mod config;
mod core;
mod describe;
mod disconnect;
mod download;
mod encryption;
mod exchange;
mod handshake;
mod hash_serving;
mod have_schedule;
mod holepunch;
mod http_proxy;
mod io;
mod known;
mod layer_fetch;
mod leaf_check;
mod memory_disk;
mod message_reader;
mod metadata;
mod negotiate;
mod noise;
mod on_message;
mod partial;
mod peer;
mod peers;
mod pex;
mod picker;
mod places;
mod profile;
mod rarity;
mod rate;
pub(crate) mod rng;
mod schedule;
mod server_url;
mod smart_ban;
mod swarm;
mod tick;
mod timer;
mod tolerance;
mod torrent;
mod upload;
mod view;
mod waiting;
mod web_seeds;

pub use config::{Config, SeedGoal};
pub use encryption::{EncryptionPolicy, EncryptionProfile};
pub use http_proxy::{HttpProxy, ProxyChoice};
pub use io::{
    CloseReason, DisconnectReason, Endpoint, Event, Identity, Input, Output, PeerWay, SearchState,
    SessionStreamId, Transport, UtpDial, Violation,
};
pub use memory_disk::MemoryDisk;
pub use profile::{
    Alphabet, AnnounceProfile, ExtendedEntry, FirstMessage, Haves, Interest, KeyForm, LastMessage,
    PeerIdForm, PieceOrder, Profile, RedundantHaves, UdpAnnounceProfile, WithoutPieces,
};
pub use schedule::{HaveStep, RequestStep, Schedule};
pub use server_url::ServerUrl;
pub use swarm::PeerSource;
pub use view::{LayerStatus, MessageCounts, MetadataStatus, PeerView, Status};

use core::{Core, SessionState, StreamIds};
use encryption::Way;
use io::ServerInput;
use peer::{NewPeer, Peer, Phase};
use peers::Peers;
use swarm::DialChoice;
use torrent::Torrent;

/// One torrent, being downloaded or served.
#[derive(Debug)]
pub struct Session {
    core: Core,
    peers: Peers,
}

impl Session {
    /// A session that has these pieces, verified, and has not begun to talk.
    ///
    /// One whose pieces cannot be placed or checked ends at once, incomplete.
    pub fn new(
        config: Config,
        torrent: Arc<Metainfo>,
        identity: Identity,
        have: impl IntoIterator<Item = PieceIndex>,
        now: Timestamp,
    ) -> Self {
        let trackers = torrent.trackers();
        let core = Core::new(config, Torrent::Known(torrent), &trackers, identity, have, now);
        Self { core, peers: Peers::default() }
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        if self.core.state == SessionState::Over {
            return;
        }
        self.core.now = now;
        // The first step ends a session that has nobody to turn to.
        if let Input::Searching(search) = input {
            self.core.search = search;
        }
        if self.core.state == SessionState::New {
            self.advance(now);
        }
        if let Input::Sent(stream, count) = input {
            // Nothing follows from it for others, and every message is followed by one of these.
            self.sent(now, stream, count);
            return;
        }
        let acts = matches!(input, Input::Tick);
        match input {
            Input::Tick | Input::Searching(_) | Input::Sent(..) => {}
            // Nearly all that comes is of peers.
            Input::Received(stream, bytes) if self.peers.contains(stream) => {
                self.received(now, stream, bytes)
            }
            Input::Received(stream, bytes) => self.tell_server(now, stream, ServerInput::Received(bytes)),
            Input::Opened(stream, address) if self.peers.contains(stream) => {
                self.opened(now, stream, address);
            }
            Input::Opened(stream, address) => self.tell_server(now, stream, ServerInput::Opened(address)),
            Input::Resolved(name, addresses) => self.core.resolved(name, addresses),
            Input::Accepted(stream, address) => self.accepted(now, stream, address),
            Input::OverUtp(stream) => {
                if let Some(peer) = self.peers.get_mut(stream) {
                    peer.over_utp = true;
                    self.core.note_exchanged(peer);
                }
            }
            Input::Closed(stream, reason) => match self.peers.remove(stream) {
                Some(mut peer) => self.core.forget(now, &mut peer, DisconnectReason::Closed(reason)),
                None => self.tell_server(now, stream, ServerInput::Closed(reason)),
            },
            Input::Stored(piece, count) => self.core.stored(piece, count),
            Input::Hashed(piece, digest) => self.hashed(now, piece, digest),
            Input::BlockHashes(piece, digests) => self.block_hashes(now, piece, digests),
            Input::Loaded(stream, block, bytes) => self.loaded(now, stream, block, bytes),
            Input::Described(torrent, have) => self.described(now, torrent, have),
            Input::PeersFound(source, addresses) => self.core.peers_found(source, addresses),
            Input::OwnAddress(host) => self.core.swarm.note_own(host),
            Input::Stop => self.end(now),
        }
        self.follow_metadata(now);
        self.step_others(None);
        self.advance(now);
        if acts {
            self.service_dirty_peers(now);
        }
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Output {
        let core = &mut self.core;
        if let Some(output) = core.outputs.pop_front() {
            return output;
        }
        if core.outputs.capacity() > KEPT_OUTPUTS {
            core.outputs = VecDeque::new();
        }
        if core.state == SessionState::Over {
            return Output::Done;
        }
        if core.is_running() && self.peers.any_dirty() {
            return Output::Wait(Some(self.core.now));
        }
        // What is due by now was done by the last input: a moment that has passed would have the driver turn in circles.
        let least = self.core.now + Duration::from_millis(1);
        let started = self.core.state != SessionState::New;
        Output::Wait(self.next_timer().map(|(at, _)| if started { at.max(least) } else { at }))
    }

    /// Whether every piece is there, verified, those of files that are not wanted as well.
    pub fn is_complete(&self) -> bool {
        self.core.is_complete()
    }

    /// Whether every piece of the [wanted files](Config::files) is there, verified.
    pub fn has_all_wanted(&self) -> bool {
        self.core.has_all_wanted()
    }

    /// The info hash of its torrent.
    pub fn info_hash(&self) -> InfoHash {
        self.core.torrent.info_hash()
    }

    /// Says that its driver carries connections over uTP as well.
    pub(crate) const fn note_utp(&mut self) {
        self.core.has_utp = true;
    }

    /// Everything that peers have its torrent by: both hashes of a hybrid torrent (BEP 52).
    pub fn info_hashes(&self) -> Vec<InfoHash> {
        self.core.torrent.info_hashes()
    }

    /// Whether peers of its torrent come from trackers only (BEP 27).
    pub fn is_private(&self) -> bool {
        self.core.torrent.is_private()
    }

    /// The first step.
    fn start(&mut self) {
        let core = &mut self.core;
        core.state = SessionState::Running;
        let complete = core.has_all_wanted();
        if !core.is_usable() || (complete && core.config.seeding.is_none()) {
            if complete {
                core.outputs.push_back(Output::Event(Event::Complete));
            }
            self.over();
        }
    }

    /// Services the peers to which something happened: requests, blocks to be read, and all that waits to be sent.
    fn service_dirty_peers(&mut self, now: Timestamp) {
        if !self.core.is_running() {
            return;
        }
        let mut haves = self.due_haves();
        while self.peers.any_dirty() {
            let mut streams = self.peers.take_dirty();
            // The peer that became dirty last comes first.
            for stream in streams.drain(..).rev() {
                let Some(peer) = self.peers.take_marked(stream) else { continue };
                if peer.phase == Phase::Open {
                    self.core.service_peer(now, peer, &haves);
                }
                self.core.flush(now, peer);
                if let Some(rest) = self.core.rest_after_service(now, peer) {
                    self.peers.let_rest(stream, rest);
                }
            }
            self.peers.reuse(streams);
            haves.clear();
        }
    }

    /// Does what a step on one peer means for the others; `except` is serviced in any case.
    fn step_others(&mut self, except: Option<SessionStreamId>) {
        if self.core.deferred.is_empty() {
            return;
        }
        self.greet(self.core.now);
        self.punch_holes(self.core.now);
        let deferred = std::mem::take(&mut self.core.deferred);
        deferred.leaves_came.into_iter().for_each(|piece| self.leave_senders_of_bad_blocks(piece));
        for (stream, block) in deferred.answered_elsewhere {
            if let Some(peer) = self.peers.get_mut(stream)
                && self.core.cancel_answered(peer, block)
            {
                self.peers.mark_dirty(stream);
            }
        }
        if deferred.blocks_freed {
            self.peers.mark_idle_dirty(except);
        }
    }

    /// Connects to peers while there is room.
    fn connect_peers(&mut self, now: Timestamp) {
        let core = &self.core;
        let (most, half_open) = match core.config.single_peer {
            true => (1, 1),
            false => (core.config.max_peers, core.config.max_half_open),
        };
        // Asked in this order, as this follows every input: most sessions have all the peers that they may have.
        if self.peers.len() >= most || core.has_all_wanted() || core.swarm.is_quiet(now) {
            return;
        }
        if self.peers.connecting().len() >= half_open {
            return;
        }
        let choice = self.dial_choice(now);
        let mut invented = self.invented_connecting();
        while self.peers.len() < most && self.peers.connecting().len() < half_open {
            let choice = match choice {
                DialChoice::Any if invented >= MAX_HALF_OPEN_INVENTED => DialChoice::Named,
                choice => choice,
            };
            let Some(address) = self.core.swarm.next(now, choice) else { return };
            invented += usize::from(self.core.swarm.is_invented(address));
            let endpoint = match self.core.has_utp {
                true => self.core.swarm.endpoint(address),
                false => Endpoint::Peer(address),
            };
            self.dial(now, address, endpoint);
        }
    }

    /// Who is dialled now.
    fn dial_choice(&self, now: Timestamp) -> DialChoice {
        let core = &self.core;
        let connected = self.peers.len() - self.peers.connecting().len();
        let has_enough = connected >= (core.config.max_peers / ENOUGH).max(1);
        match core.swarm.is_full(now) && has_enough {
            false => DialChoice::Any,
            true if core.takes_blocks(now) => DialChoice::NewNamed,
            // Whom trackers name does not wait: strangers may name peers that are always full.
            true => DialChoice::Named,
        }
    }

    /// How many addresses that no tracker named are being dialled.
    fn invented_connecting(&self) -> usize {
        let connecting = self.peers.connecting().iter().filter_map(|&stream| self.peers.get(stream));
        connecting.filter(|peer| self.core.swarm.is_invented(peer.address)).count()
    }

    /// Connects to a peer.
    fn dial(&mut self, now: Timestamp, address: SocketAddr, endpoint: Endpoint) {
        let stream = self.core.streams.next();
        self.core.totals.peers_tried += 1;
        let policy = self.core.config.profile.encryption.policy;
        let way = self.core.swarm.way(address).unwrap_or(policy.first_way());
        let over_utp = matches!(endpoint, Endpoint::UtpPeer(..));
        let transport = if over_utp { Transport::Utp } else { Transport::Tcp };
        let told = PeerWay { transport, encrypted: way == Way::Encrypted };
        self.core.outputs.push_back(Output::Event(Event::Trying { stream, peer: address, way: told }));
        self.core.outputs.push_back(Output::Open(stream, endpoint));
        self.add_peer(now, stream, address, Some(way));
    }

    /// Adds a peer that is `dialled` in this way, or that called.
    fn add_peer(
        &mut self,
        now: Timestamp,
        stream: SessionStreamId,
        address: SocketAddr,
        dialled: Option<Way>,
    ) {
        let core = &mut self.core;
        let new = NewPeer {
            stream,
            address,
            dialled,
            policy: core.config.profile.encryption.policy,
            own_id: core.identity.peer_id,
            piece_count: (!core.torrent.is_wanted()).then(|| core.piece_count()),
            pipeline_depth: core.config.profile.initial_pipeline.max(1) as usize,
        };
        self.peers.insert(Peer::new(&new, now));
        core.tick_at = core.tick_at.min(now + tick::PERIOD);
    }

    /// Ends a connection from our side.
    fn disconnect(&mut self, now: Timestamp, stream: SessionStreamId, reason: DisconnectReason) {
        if let Some(mut peer) = self.peers.remove(stream) {
            self.core.disconnect(now, &mut peer, reason);
            self.step_others(None);
        }
    }

    /// Whether there is nobody to turn to, now or later.
    fn is_exhausted(&self) -> bool {
        let core = &self.core;
        // Who has said how often is enough does not wait ten minutes for one peer.
        let hopeful_by = core.config.rounds.map(|_| core.now + MOST_PATIENCE);
        if !self.peers.is_empty()
            || core.has_all_wanted()
            || core.swarm.any_hopeful(hopeful_by)
            || !core.resolving.is_empty()
            || core.announcer.is_asking()
            || core.web_seeds.is_at_work()
            || core.search == SearchState::UnderWay
            // What has come may be the last that was missing.
            || core.unstored > 0
            || core.picker.any_hashing()
        {
            return false;
        }
        let enough = core.config.rounds.is_some_and(|rounds| {
            let in_vain = core.search == SearchState::Over || core.web_seeds.have_ended();
            core.announcer.rounds() >= rounds || (in_vain && core.announcer.is_at_its_end())
        });
        let nobody_connects = core.config.single_peer || core.config.port == 0;
        enough || (nobody_connects && core.announcer.is_at_its_end())
    }

    /// Says goodbye to peers and trackers.
    fn end(&mut self, now: Timestamp) {
        if !self.core.is_running() {
            return;
        }
        self.core.state = SessionState::Ending(now + self.core.config.goodbye_timeout);
        // A tracker that failed in the very step that ends the run is not asked again.
        for output in &mut self.core.outputs {
            if let Output::Event(Event::TrackerFailed { again, .. }) = output {
                *again = None;
            }
        }
        self.core.close_web_seeds();
        while let Some(mut peer) = self.peers.pop_first() {
            self.core.disconnect(now, &mut peer, DisconnectReason::Finished);
        }
        self.core.announcer.say_goodbye(now, &mut self.core.outputs);
        self.advance_announcer(now);
    }

    fn over(&mut self) {
        let core = &mut self.core;
        core.announcer.close(&mut core.outputs);
        core.state = SessionState::Over;
        core.outputs.push_back(Output::Done);
    }

    /// Every piece that is wanted is there.
    fn completed(&mut self, now: Timestamp) {
        let core = &mut self.core;
        core.completed_at = Some(now);
        core.close_web_seeds();
        core.outputs.push_back(Output::Event(Event::Complete));
        // BEP 3: of a download of the whole torrent.
        if core.config.profile.announce.says_completed && core.is_complete() {
            core.announcer.complete();
        }
        if core.config.seeding.is_none() {
            self.send_last_messages();
            self.end(now);
            return;
        }
        // Of two who want nothing, one with everything, neither has anything to say to the other.
        let seeds = self.peers.iter().filter(|peer| peer.pieces().is_all() && peer.phase == Phase::Open);
        for stream in seeds.map(|peer| peer.stream).collect::<Vec<_>>() {
            self.disconnect(now, stream, DisconnectReason::Finished);
        }
        self.tell_partial_seed(now);
        self.peers.mark_all_dirty();
    }

    /// Tells the peers that nothing more is wanted, where what we have does not say that.
    fn tell_partial_seed(&mut self, now: Timestamp) {
        if self.core.is_partial_seed() {
            self.peers.iter_mut().for_each(|peer| self.core.tell_upload_only(now, peer));
        }
    }

    fn advance_announcer(&mut self, now: Timestamp) {
        let wants_peers = self.wants_peers();
        let (announcer, mut context) = self.core.announcer(now, wants_peers);
        announcer.advance(&mut context);
    }

    /// Tells the tracker or web seed whose stream it is, if it is anybody's.
    fn tell_server(&mut self, now: Timestamp, stream: SessionStreamId, input: ServerInput) {
        if self.core.announcer.owns(stream) {
            self.tell_announcer(now, stream, input);
        } else if self.core.web_seeds.owns(stream) {
            self.core.tell_web_seed(now, stream, input);
        }
    }

    fn tell_announcer(&mut self, now: Timestamp, stream: SessionStreamId, input: ServerInput) {
        let wants_peers = self.wants_peers();
        let (announcer, mut context) = self.core.announcer(now, wants_peers);
        let Some(mut found) = announcer.handle(stream, input, &mut context) else { return };
        let core = &mut self.core;
        if let Some(own) = found.own_address {
            core.swarm.note_own(own);
        }
        if !core.config.single_peer {
            core.rng.shuffle(&mut found.peers);
        }
        core.swarm.learn(PeerSource::Tracker, found.peers);
        for name in found.names {
            if core.is_running()
                && core.resolving.len() < MAX_RESOLVING
                && core.resolving.insert(name.clone())
            {
                core.outputs.push_back(Output::Resolve(name));
            }
        }
    }

    /// Whether more peers are needed than trackers are asked for regularly.
    fn wants_peers(&self) -> bool {
        let config = &self.core.config;
        let few = if config.single_peer { 1 } else { (config.max_peers / 2).max(1) };
        !self.core.has_all_wanted() && self.peers.len() + self.core.swarm.waiting() < few
    }
}

impl Core {
    fn service_peer(&mut self, now: Timestamp, peer: &mut Peer, haves: &[PieceIndex]) {
        let known = peer.known_pending_haves.min(haves.len());
        peer.known_pending_haves -= known;
        self.request_metadata(now, peer);
        self.request_hashes(now, peer);
        let haves = &haves[known..];
        let (before, after) =
            if self.config.profile.haves_first { (haves, &[][..]) } else { (&[][..], haves) };
        self.send_due_haves(peer, before);
        self.update_interest(now, peer);
        self.request_blocks(now, peer);
        self.send_due_haves(peer, after);
        self.load_blocks(now, peer);
    }
}

/// How many addresses that no tracker named are being dialled at once: they may be hosts that have nothing to do with BitTorrent,
/// named by somebody who means them harm.
const MAX_HALF_OPEN_INVENTED: usize = 10;

/// Room for so many outputs is kept when none waits.
const KEPT_OUTPUTS: usize = 16;

/// A session with one connection of so many that it may have is in no hurry to have more.
const ENOUGH: usize = 2;

/// How many names of peers are looked up at once.
const MAX_RESOLVING: usize = 50;

/// For how long a run whose rounds are counted waits until somebody may be dialled again. Whom no tracker names is dialled again after
/// ten minutes.
const MOST_PATIENCE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests;
