//! All of a session but its peers: what a step on one peer reads and changes.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

use crate::mse::MseLengths;
use crate::peer::PeerFault;
use crate::wire::Message;
use crate::{Block, Geometry, HostPort, PeerId, PieceIndex, Timestamp};

use bytes::Bytes;

use super::announcer::{AnnounceFacts, Announcer, AnnouncerContext};
use super::choker::Choker;
use super::exchange::Exchange;
use super::hash_serving::HashServing;
use super::have_schedule::HaveSchedule;
use super::holepunch::HolepunchStep;
use super::peer::Peer;
use super::picker::Picker;
use super::places::Turnover;
use super::rate::Rate;
use super::rng::Rng;
use super::smart_ban::Suspects;
use super::swarm::Swarm;
use super::tolerance::tolerate;
use super::torrent::Torrent;
use super::web_seeds::WebSeeds;
use super::{Config, Identity, MessageCounts, Output, PeerSource, SearchState, SessionStreamId, Violation};

/// What all peers share. Its methods take the one peer that a step is about; what a step means for other peers is noted in
/// [`Deferred`].
#[derive(Debug)]
pub(super) struct Core {
    pub(super) config: Config,
    pub(super) torrent: Torrent,
    pub(super) identity: Identity,
    /// The peer ids of the next connections, where each connection has its own.
    pub(super) connection_ids: VecDeque<PeerId>,
    /// The transaction ids of the next requests to trackers over UDP.
    transaction_ids: VecDeque<u32>,
    /// The lengths of the paddings of the next negotiations.
    pub(super) paddings: VecDeque<MseLengths>,
    pub(super) rng: Rng,
    pub(super) state: SessionState,
    /// The time of the last input.
    pub(super) now: Timestamp,
    pub(super) outputs: VecDeque<Output>,
    pub(super) deferred: Deferred,
    pub(super) streams: StreamIds,
    pub(super) have_schedule: HaveSchedule,
    /// The pieces that the schedule lists.
    pub(super) scheduled_pieces: BTreeSet<PieceIndex>,
    pub(super) swarm: Swarm,
    /// The names of peers that a magnet link gave.
    pub(super) link_names: Vec<HostPort>,
    /// Names of peers that are being looked up.
    pub(super) resolving: BTreeSet<HostPort>,
    pub(super) announcer: Announcer,
    pub(super) web_seeds: WebSeeds,
    /// How far a source other than trackers and peers has come with looking for peers.
    pub(super) search: SearchState,
    /// Whether connections may be over uTP.
    pub(super) has_utp: bool,
    /// How many times a peer came, left, or said where it can be dialled.
    pub(super) changes_of_peers: u64,
    pub(super) turnover: Turnover,
    /// The connections that gave way to callers, apart: these do not use up what those that are dialled need.
    pub(super) callers_turnover: Turnover,
    pub(super) exchange: Exchange,
    pub(super) picker: Picker,
    pub(super) choker: Choker,
    pub(super) suspects: Suspects,
    pub(super) hash_serving: HashServing,
    /// Pieces that were verified and can no longer be read. They are neither offered nor served.
    pub(super) lost: BTreeSet<PieceIndex>,
    /// Bytes handed out to be stored that are not stored yet.
    pub(super) unstored: u64,
    pub(super) totals: Totals,
    pub(super) completed_at: Option<Timestamp>,
    /// When bytes of a block last came that were missing.
    pub(super) taken_at: Option<Timestamp>,
    /// When peers are looked after next.
    pub(super) tick_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionState {
    New,
    Running,
    /// Goodbyes are being said, until this moment at the latest.
    Ending(Timestamp),
    Over,
}

/// What a step on one peer means for the others. It is done when the step is over.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    /// Blocks became free: peers that could be sent more requests are to be serviced.
    pub(super) blocks_freed: bool,
    /// Requests whose blocks came from another peer.
    pub(super) answered_elsewhere: Vec<(SessionStreamId, Block)>,
    /// Peers that named their id for peer exchange.
    pub(super) greeted: Vec<SessionStreamId>,
    /// What messages of holepunch ask for.
    pub(super) holepunch: Vec<HolepunchStep>,
    /// Suspect pieces whose leaves came.
    pub(super) leaves_came: Vec<PieceIndex>,
}

impl Deferred {
    pub(super) const fn is_empty(&self) -> bool {
        !self.blocks_freed
            && self.answered_elsewhere.is_empty()
            && self.greeted.is_empty()
            && self.holepunch.is_empty()
            && self.leaves_came.is_empty()
    }
}

/// What has been counted.
#[derive(Debug, Clone)]
pub(super) struct Totals {
    pub(super) downloaded: u64,
    pub(super) uploaded: u64,
    pub(super) wasted: u64,
    pub(super) corrupt: u64,
    pub(super) hash_failures: u32,
    pub(super) peers_tried: u32,
    /// Messages to peers that are gone.
    pub(super) messages: MessageCounts,
    pub(super) download_rate: Rate,
    pub(super) upload_rate: Rate,
}

/// The numbers of the streams that the session opens: the even ones.
#[derive(Debug, Default)]
pub(super) struct StreamIds(u32);

impl StreamIds {
    pub(super) const fn next(&mut self) -> SessionStreamId {
        let id = SessionStreamId(self.0);
        self.0 = self.0.wrapping_add(2);
        id
    }
}

impl Core {
    pub(super) fn new(
        config: Config,
        torrent: Torrent,
        trackers: &[Vec<String>],
        identity: Identity,
        have: impl IntoIterator<Item = PieceIndex>,
        now: Timestamp,
    ) -> Self {
        let mut rng = Rng::new(identity.seed);
        let picker = picker_of(&torrent, &config, have, &mut rng);
        let announcer = Announcer::new(trackers, now, &mut rng);
        let mut core = Self {
            swarm: Swarm::new(config.port, config.max_known_peers, config.single_peer),
            choker: Choker::new(now, config.unchoke_slots, config.upload_limit),
            state: SessionState::New,
            now,
            outputs: VecDeque::new(),
            deferred: Deferred::default(),
            streams: StreamIds::default(),
            have_schedule: HaveSchedule::new(config.schedule.haves.clone()),
            scheduled_pieces: config.schedule.pieces.iter().copied().collect(),
            connection_ids: identity.connection_ids.iter().copied().collect(),
            link_names: Vec::new(),
            paddings: config.schedule.paddings.iter().copied().collect(),
            transaction_ids: identity.transaction_ids.iter().copied().collect(),
            resolving: BTreeSet::new(),
            announcer,
            web_seeds: WebSeeds::default(),
            search: SearchState::default(),
            has_utp: false,
            changes_of_peers: 0,
            turnover: Turnover::default(),
            callers_turnover: Turnover::default(),
            exchange: Exchange::default(),
            picker,
            suspects: Suspects::default(),
            hash_serving: HashServing::default(),
            lost: BTreeSet::new(),
            unstored: 0,
            totals: Totals {
                downloaded: 0,
                uploaded: 0,
                wasted: 0,
                corrupt: 0,
                hash_failures: 0,
                peers_tried: 0,
                messages: MessageCounts::default(),
                download_rate: Rate::new(now),
                upload_rate: Rate::new(now),
            },
            completed_at: None,
            taken_at: None,
            tick_at: now,
            rng,
            config,
            torrent,
            identity,
        };
        core.web_seeds = WebSeeds::of(&mut core);
        core.completed_at = core.has_all_wanted().then_some(now);
        core
    }

    /// Whether every piece is there, verified.
    pub(super) fn is_complete(&self) -> bool {
        self.torrent.geometry().is_some() && self.picker.is_complete()
    }

    /// Whether every piece of the wanted files is there, verified.
    pub(super) fn has_all_wanted(&self) -> bool {
        self.torrent.geometry().is_some() && self.picker.has_all_wanted()
    }

    /// Whether more is to be given than taken for good: all that is wanted is there, and something else is missing (BEP 21).
    pub(super) fn is_partial_seed(&self) -> bool {
        self.has_all_wanted() && !self.is_complete()
    }

    /// Whether pieces can be asked for and checked, or that is not known yet: the torrent has what that takes, and the files that
    /// are wanted.
    pub(super) fn is_usable(&self) -> bool {
        self.torrent.is_usable()
            && self.torrent.known().is_none_or(|torrent| self.config.files.find_in(torrent).is_ok())
    }

    /// Whether a piece is there to be served.
    pub(super) fn has(&self, piece: PieceIndex) -> bool {
        self.picker.is_done(piece) && !self.lost.contains(&piece)
    }

    /// Whether a peer is told with one message that all pieces are there.
    pub(super) fn says_have_all(&self, peer: &Peer) -> bool {
        self.is_complete() && self.lost.is_empty() && peer.is_fast() && self.config.profile.have_all
    }

    /// The pieces that are there to be served, as a bitfield message has them.
    pub(super) fn bitfield(&self) -> Vec<u8> {
        let mut bitfield = self.picker.bitfield();
        for piece in &self.lost {
            if let Some(byte) = bitfield.get_mut(piece.0 as usize / 8) {
                *byte &= !(0x80 >> (piece.0 % 8));
            }
        }
        bitfield
    }

    pub(super) fn is_running(&self) -> bool {
        self.state == SessionState::Running
    }

    pub(super) fn piece_count(&self) -> u32 {
        self.torrent.geometry().map_or(0, Geometry::piece_count)
    }

    /// When seeding has lasted as long as was wanted.
    pub(super) fn seeding_ends(&self) -> Option<Timestamp> {
        Some(self.completed_at? + self.config.seeding?.time?)
    }

    /// Refuses a message that names what the torrent does not have.
    pub(super) fn check_range(&self, message: &Message) -> Result<(), Violation> {
        let geometry = self.torrent.geometry();
        let fault = geometry.and_then(|geometry| PeerFault::of_range(message, geometry));
        fault.map_or(Ok(()), |fault| tolerate(&fault))
    }

    /// Refuses a message that brings a block which the torrent does not have.
    pub(super) fn check_block(&self, block: Block) -> Result<(), Violation> {
        let geometry = self.torrent.geometry();
        let fault = geometry.and_then(|geometry| PeerFault::of_block(block, geometry));
        fault.map_or(Ok(()), |fault| tolerate(&fault))
    }

    /// Hands what waits to be sent to a peer to the driver.
    pub(super) fn flush(&mut self, now: Timestamp, peer: &mut Peer) {
        if let Some(bytes) = peer.take_send_buffer(now) {
            self.say(peer, bytes);
        }
    }

    /// Hands bytes of the peer protocol to the driver, enciphered where that was agreed on.
    pub(super) fn say(&mut self, peer: &mut Peer, bytes: Bytes) {
        self.tell_said(peer.stream, || bytes.clone());
        let bytes = peer.encryption.encipher(bytes);
        self.outputs.push_back(Output::Send(peer.stream, bytes));
    }

    /// Tells the driver what is said to a peer, if it wants to know.
    pub(super) fn tell_said(&mut self, stream: SessionStreamId, bytes: impl FnOnce() -> Bytes) {
        if self.config.tells_said {
            self.outputs.push_back(Output::Said(stream, bytes()));
        }
    }

    /// The announcer, with what it needs for a step.
    pub(super) fn announcer(
        &mut self,
        now: Timestamp,
        wants_peers: bool,
    ) -> (&mut Announcer, AnnouncerContext<'_>) {
        let facts = AnnounceFacts {
            info_hash: self.torrent.info_hash(),
            info_hashes: self.torrent.hashes(),
            identity: self.identity.clone(),
            uploaded: self.totals.uploaded,
            downloaded: self.totals.downloaded,
            corrupt: self.totals.corrupt,
            left: match self.torrent.is_wanted() {
                true => self.config.profile.announce.left_unknown,
                // Who has nothing left counts as a seed: what is not wanted is left as well.
                false => self.picker.left(),
            },
            is_partial_seed: self.is_partial_seed(),
        };
        let context = AnnouncerContext {
            now,
            facts,
            outputs: &mut self.outputs,
            streams: &mut self.streams,
            rng: &mut self.rng,
            transaction_ids: &mut self.transaction_ids,
            config: &self.config,
            wants_peers,
        };
        (&mut self.announcer, context)
    }

    /// A source that is not ours names peers.
    pub(super) fn peers_found(&mut self, source: PeerSource, mut addresses: Vec<SocketAddr>) {
        // BEP 27: peers of a private torrent come from its trackers only.
        if self.torrent.is_private() || !self.is_running() {
            return;
        }
        self.rng.shuffle(&mut addresses);
        self.swarm.forget_dials(self.now);
        self.swarm.learn(source, addresses);
    }

    /// A name that a tracker gave was looked up.
    pub(super) fn resolved(&mut self, name: HostPort, addresses: Result<Vec<SocketAddr>, String>) {
        if !self.resolving.remove(&name) {
            return;
        }
        match addresses {
            Ok(mut addresses) => {
                addresses.truncate(MAX_RESOLVED);
                match self.link_names.contains(&name) {
                    true => self.peers_found(PeerSource::Link, addresses),
                    false => self.swarm.learn(PeerSource::Tracker, addresses),
                }
            }
            Err(reason) => {
                self.outputs.push_back(Output::Event(super::Event::Unresolved { name, reason }));
            }
        }
    }
}

/// What is missing of a torrent; nothing that could be asked for, where it is not known how its pieces lie.
pub(super) fn picker_of(
    torrent: &Torrent,
    config: &Config,
    have: impl IntoIterator<Item = PieceIndex>,
    rng: &mut Rng,
) -> Picker {
    let geometry = torrent.geometry().cloned().or_else(|| Geometry::new(1, []));
    let geometry = geometry.expect("a geometry without files is one");
    let mut picker = Picker::new(geometry, config.profile.block_length, have, rng);
    if config.profile.pads_blocks {
        picker.pad_blocks();
    }
    if let Some(torrent) = torrent.known()
        && !config.profile.requests_padding
    {
        picker.make_padding(torrent.padding());
    }
    if let Some(torrent) = torrent.known()
        && let Ok(files) = config.files.find_in(torrent)
    {
        picker.want_only(&files.pieces(torrent));
    }
    picker
}

/// How many addresses of a name are taken: a host has few.
const MAX_RESOLVED: usize = 4;
