//! A session that begins with a magnet link, and what it does when peers have described the torrent (BEP 9).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::magnet::Magnet;
use crate::wire::{Extension, Message, PieceSet};
use crate::{Metainfo, PieceIndex, Timestamp};

use super::core::{Core, picker_of};
use super::peer::{Peer, Phase};
use super::peers::Peers;
use super::tolerance::tolerate;
use super::torrent::Torrent;
use super::web_seeds::WebSeeds;
use super::{Config, DisconnectReason, Event, Identity, Output, PeerSource, Session, Violation};

impl Session {
    /// A session that knows only a magnet link, and has not begun to talk. The files that the link chooses are wanted, unless the
    /// settings choose some. It fetches the metadata from peers, hands it out as
    /// [`Output::Metadata`], and carries on when [`Input::Described`](super::Input::Described) answers.
    pub fn of_magnet(config: Config, magnet: &Magnet, identity: Identity, now: Timestamp) -> Self {
        let trackers: Vec<_> = magnet.trackers.iter().map(|tracker| vec![tracker.clone()]).collect();
        let config = Config { files: magnet.choice(config.files), ..config };
        let torrent = Torrent::Wanted(magnet.hashes, Box::default());
        let mut core = Core::new(config, torrent, &trackers, identity, [], now);
        for peer in magnet.peers.iter().take(MAX_LINK_PEERS) {
            match peer.host.parse::<IpAddr>() {
                Ok(host) => core.swarm.learn(PeerSource::Link, [SocketAddr::new(host, peer.port)]),
                Err(_) if core.resolving.insert(peer.clone()) => {
                    core.link_names.push(peer.clone());
                    core.outputs.push_back(Output::Resolve(peer.clone()));
                }
                Err(_) => {}
            }
        }
        Self { core, peers: Peers::default() }
    }

    /// The torrent is known now, and these of its pieces are there.
    pub(super) fn described(&mut self, now: Timestamp, torrent: Arc<Metainfo>, have: Vec<PieceIndex>) {
        let core = &mut self.core;
        if !core.torrent.is_wanted() || !core.is_running() {
            return;
        }
        core.torrent = Torrent::Known(torrent);
        core.picker = picker_of(&core.torrent, &core.config, have, &mut core.rng);
        if !core.is_usable() {
            self.end(now);
            return;
        }
        core.web_seeds = WebSeeds::of(core);
        let wants_peers = self.wants_peers();
        let (announcer, mut context) = self.core.announcer(now, wants_peers);
        announcer.announce_new_hash(&mut context);
        self.leave_those_of_no_tracker(now);
        for stream in self.peers.streams() {
            let Some(peer) = self.peers.get_mut(stream) else { continue };
            if let Err(violation) = self.core.describe_to(now, peer) {
                self.disconnect(now, stream, DisconnectReason::Violated(violation));
            }
        }
        if self.core.has_all_wanted() {
            self.core.completed_at = Some(now);
            self.core.outputs.push_back(Output::Event(Event::Complete));
            if self.core.config.seeding.is_none() {
                self.end(now);
                return;
            }
        }
        self.tell_partial_seed(now);
        self.peers.mark_all_dirty();
    }

    /// Ends the connections to peers that a private torrent may not have: those that we dialled and no tracker named (BEP 27).
    fn leave_those_of_no_tracker(&mut self, now: Timestamp) {
        if !self.core.torrent.is_private() {
            return;
        }
        let swarm = &self.core.swarm;
        let is_stranger = |peer: &&Peer| !peer.incoming && !swarm.is_named_by_tracker(peer.known_address());
        let strangers: Vec<_> = self.peers.iter().filter(is_stranger).map(|peer| peer.stream).collect();
        for stream in strangers {
            self.disconnect(now, stream, DisconnectReason::Violated(Violation::NotOfTracker));
        }
        self.core.swarm.keep_only_named_by_trackers();
    }
}

impl Core {
    /// Tells a peer what is known now, and takes what the peer said before.
    fn describe_to(&mut self, now: Timestamp, peer: &mut Peer) -> Result<(), Violation> {
        let Some(geometry) = self.torrent.geometry() else { return Ok(()) };
        let count = geometry.piece_count();
        peer.learn_geometry(geometry).or_else(|fault| tolerate(&fault))?;
        self.count_pieces(peer, &PieceSet::none(count));
        peer.told_all = peer.theirs().has_told_pieces() && peer.pieces().is_all();
        if peer.phase != Phase::Open {
            return Ok(());
        }
        self.note_exchanged(peer);
        // A peer that has no metadata learns that we have it (BEP 10: the handshake may come again).
        let wants_metadata =
            peer.extension_id(&Extension::Metadata).is_some() && peer.theirs().metadata_size().is_none();
        if peer.is_extended() && wants_metadata {
            let payload = self.extended_handshake(now, peer).into();
            peer.send(now, &Message::Extended { id: 0, payload });
        }
        let done: Vec<_> = self.picker.pieces_done().collect();
        self.send_haves(peer, &done);
        Ok(())
    }
}

/// How many peers of a link are dialled.
const MAX_LINK_PEERS: usize = 50;
