//! The metadata of a torrent, to peers and from them (BEP 9).
//!
//! Nothing that a peer says of it can be believed before its hash is right. So the size that a peer claims is only a vote for
//! an assembly of that size; there are a few at once, none takes memory before pieces come, and one that gets on slowest
//! gives way to sizes that wait. Pieces of one assembly come from all its peers; when the whole has a wrong hash, they come
//! from one peer at a time, and a peer that sent all of a wrong whole is banned.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::Timestamp;
use crate::magnet::HashCheck;
use crate::wire::{Extension, METADATA_PIECE, Message, Metadata, MetadataKind};

use super::core::Core;
use super::layer_fetch::LayerFetch;
use super::peer::{Peer, Phase};
use super::torrent::Torrent;
use super::{DisconnectReason, Event, Output, Session, SessionStreamId, Violation};

/// The metadata that is fetched from peers.
#[derive(Debug, Default)]
pub(super) struct MetadataFetch {
    assemblies: Vec<Assembly>,
    /// Whether somebody came, left or was refused, so that it may be another's turn.
    to_choose: bool,
    /// Verified, until the driver has read it.
    info: Option<Bytes>,
    /// Whether one of two info hashes is right and the other is not.
    disagrees: bool,
    /// Whether a peer answered by an info hash that only the metadata can prove.
    has_unproven: bool,
    /// What is fetched when the info dictionary is there, before it is handed out.
    layers: Option<Box<LayerFetch>>,
}

/// Metadata of one size.
#[derive(Debug)]
struct Assembly {
    size: u32,
    began: Timestamp,
    pieces: BTreeMap<u32, MetadataPiece>,
    asked: Vec<Asked>,
    /// Whether all pieces come from one peer; and from which, since when.
    alone: bool,
    turn: Option<(SessionStreamId, Timestamp)>,
}

#[derive(Debug)]
struct MetadataPiece {
    bytes: Vec<u8>,
    from: SessionStreamId,
    address: SocketAddr,
}

/// A request that is not answered.
#[derive(Debug)]
struct Asked {
    piece: u32,
    stream: SessionStreamId,
    at: Timestamp,
}

/// What a session makes of a peer as a source of metadata.
#[derive(Debug, Default)]
pub(super) struct MetadataSource {
    /// Not asked before this: it rejected a request.
    rests_until: Option<Timestamp>,
    /// When it last gave a piece.
    pub(super) gave_at: Option<Timestamp>,
    /// How often an assembly of its size was begun.
    tries: u32,
    /// How often it was asked for all pieces alone.
    turns: u32,
}

/// What comes of an assembly that has its last piece.
enum Assembled {
    Right,
    /// Wrong, and all of it came from one peer.
    WrongFromOne,
    Wrong,
    Disagrees,
}

impl MetadataFetch {
    pub(super) const fn info(&self) -> Option<&Bytes> {
        self.info.as_ref()
    }

    /// How far the assembly is that has the most, of how many bytes.
    pub(super) fn progress(&self) -> Option<(u64, u64)> {
        if let Some(info) = &self.info {
            return Some((info.len() as u64, info.len() as u64));
        }
        let parts = self.assemblies.iter().map(|assembly| (assembly.received(), u64::from(assembly.size)));
        parts.max_by_key(|(received, _)| *received)
    }

    /// A peer answers by an info hash that only the metadata can prove.
    pub(super) const fn note_unproven(&mut self) {
        self.has_unproven = true;
    }

    pub(super) fn await_layers(&mut self, layers: LayerFetch) {
        self.layers = Some(Box::new(layers));
    }

    /// How many hashes of the piece layers came, of how many, while these are missing.
    pub(super) fn layer_progress(&self) -> Option<(u64, u64)> {
        self.layers.as_ref().map(|layers| layers.progress())
    }

    pub(super) fn layers(&mut self) -> Option<&mut LayerFetch> {
        self.layers.as_deref_mut()
    }

    /// The layers are there, and the info dictionary can be handed out.
    pub(super) fn end_layers(&mut self) -> Option<Bytes> {
        self.layers = None;
        self.info.clone()
    }

    /// A peer may have something new to say.
    pub(super) const fn note_change(&mut self) {
        self.to_choose = true;
    }

    /// Forgets what a peer that is gone was asked for.
    pub(super) fn forget(&mut self, stream: SessionStreamId) {
        self.to_choose = true;
        for assembly in &mut self.assemblies {
            assembly.asked.retain(|asked| asked.stream != stream);
            assembly.turn = assembly.turn.filter(|(at_turn, _)| *at_turn != stream);
        }
    }

    fn of_size(&mut self, size: u32) -> Option<&mut Assembly> {
        self.assemblies.iter_mut().find(|assembly| assembly.size == size)
    }
}

impl Assembly {
    const fn new(size: u32, began: Timestamp) -> Self {
        Self { size, began, pieces: BTreeMap::new(), asked: Vec::new(), alone: false, turn: None }
    }

    const fn piece_count(&self) -> u32 {
        self.size.div_ceil(METADATA_PIECE as u32)
    }

    fn piece_length(&self, piece: u32) -> usize {
        let left = u64::from(self.size).saturating_sub(u64::from(piece) * METADATA_PIECE);
        left.min(METADATA_PIECE) as usize
    }

    fn received(&self) -> u64 {
        self.pieces.values().map(|piece| piece.bytes.len() as u64).sum()
    }

    /// Bytes a second since it began.
    fn pace(&self, now: Timestamp) -> u64 {
        self.received() * 1_000 / ((now - self.began).as_millis() as u64).max(1)
    }

    /// The piece to ask a peer for next: one that nobody was asked for, else one that another peer takes long to give.
    fn next_piece(&self, now: Timestamp, stream: SessionStreamId) -> Option<u32> {
        let missing = || (0..self.piece_count()).filter(|piece| !self.pieces.contains_key(piece));
        let askers = |piece: u32| self.asked.iter().filter(move |asked| asked.piece == piece);
        let free = missing().find(|&piece| askers(piece).next().is_none());
        free.or_else(|| {
            missing().find(|&piece| {
                let slow =
                    askers(piece).all(|asked| asked.stream != stream && now - asked.at >= SHARED_AFTER);
                slow && askers(piece).count() < MAX_ASKED
            })
        })
    }

    /// Begins anew, with all pieces from one peer.
    fn restart_alone(&mut self) {
        self.pieces.clear();
        self.asked.clear();
        self.alone = true;
        self.turn = None;
    }
}

impl Peer {
    /// The size of the metadata that the peer can send, as the peer claims; `None` also where no metadata is so large.
    pub(super) fn metadata_claim(&self) -> Option<u32> {
        self.extension_id(&Extension::Metadata).filter(|_| self.phase == Phase::Open)?;
        let size = u32::try_from(self.theirs().metadata_size()?).ok()?;
        (1..=MAX_METADATA).contains(&size).then_some(size)
    }

    fn rests(&self, now: Timestamp) -> bool {
        self.metadata.rests_until.is_some_and(|until| now < until)
    }
}

impl Session {
    /// Decides which sizes are assembled, and whose turn it is where one peer gives all.
    pub(super) fn choose_metadata(&mut self, now: Timestamp) {
        let Some((_, fetch)) = self.core.torrent.fetch() else { return };
        fetch.to_choose = false;
        // Each size that is claimed: the fewest tries of one of its peers, and how many peers have it.
        let mut claims = BTreeMap::<u32, (u32, usize)>::new();
        for peer in self.peers.iter() {
            let Some(size) = peer.metadata_claim() else { continue };
            let claim = claims.entry(size).or_insert((u32::MAX, 0));
            *claim = (claim.0.min(peer.metadata.tries), claim.1 + 1);
        }
        let mut waiting: Vec<_> = claims.iter().filter(|(size, _)| fetch.of_size(**size).is_none()).collect();
        waiting.sort_by_key(|(size, (tries, votes))| (*tries, std::cmp::Reverse(*votes), **size));
        let mut begun = BTreeSet::new();
        for (&size, _) in waiting {
            if fetch.assemblies.len() >= MAX_ASSEMBLIES {
                let is_claimed = |assembly: &Assembly| claims.contains_key(&assembly.size);
                let yields = |assembly: &Assembly| !is_claimed(assembly) || now - assembly.began >= LEAST_TRY;
                let numbered = fetch.assemblies.iter().enumerate().filter(|(_, assembly)| yields(assembly));
                let slowest = numbered.min_by_key(|(_, assembly)| (is_claimed(assembly), assembly.pace(now)));
                let Some((slowest, _)) = slowest else { break };
                fetch.assemblies.remove(slowest);
            }
            fetch.assemblies.push(Assembly::new(size, now));
            begun.insert(size);
        }
        for assembly in fetch.assemblies.iter_mut().filter(|assembly| assembly.alone) {
            give_turn(assembly, now, &mut self.peers);
        }
        for peer in self.peers.iter_mut() {
            let is_of_begun = peer.metadata_claim().is_some_and(|size| begun.contains(&size));
            peer.metadata.tries += u32::from(is_of_begun);
        }
        self.peers.mark_open_dirty();
    }

    /// Ends the connections to peers that answered by a hash which is not that of version 2, as the metadata says now.
    fn leave_disproved(&mut self, now: Timestamp) {
        let Torrent::Wanted(_, fetch) = &mut self.core.torrent else { return };
        let Some(info) = fetch.info.as_ref().filter(|_| fetch.has_unproven) else { return };
        let right: [u8; 32] = Sha256::digest(info).into();
        fetch.has_unproven = false;
        for stream in self.peers.streams() {
            let Some(peer) = self.peers.get_mut(stream) else { continue };
            if std::mem::take(&mut peer.is_unproven)
                && let Some(hash) = peer.theirs().handshake().map(|handshake| handshake.info_hash)
                && !right.starts_with(&hash.0)
            {
                self.disconnect(now, stream, DisconnectReason::Violated(Violation::WrongInfoHash(hash)));
            }
        }
        // The others may be asked for piece layers.
        self.peers.mark_open_dirty();
    }

    /// Does what follows from news about the metadata.
    pub(super) fn follow_metadata(&mut self, now: Timestamp) {
        self.leave_disproved(now);
        self.upgrade_peers(now);
        self.give_up_layers(now);
        let Some((_, fetch)) = self.core.torrent.fetch() else { return };
        if fetch.disagrees {
            self.end(now);
        } else if fetch.to_choose {
            self.choose_metadata(now);
        }
    }
}

/// Gives the turn to the peer that had the fewest, when that of another is over.
fn give_turn(assembly: &mut Assembly, now: Timestamp, peers: &mut super::peers::Peers) {
    let usable = |peer: &Peer| peer.metadata_claim() == Some(assembly.size) && !peer.rests(now);
    let last = assembly.turn.map(|(stream, _)| stream);
    if let Some((stream, since)) = assembly.turn
        && let Some(peer) = peers.get(stream).filter(|peer| usable(peer))
        && now - since < TURN * (1 << peer.metadata.turns.min(MAX_DOUBLINGS))
    {
        return;
    }
    let candidates = peers.iter().filter(|peer| usable(peer));
    let next = candidates.min_by_key(|peer| (peer.metadata.turns, Some(peer.stream) == last));
    let next = next.map(|peer| peer.stream);
    let Some(peer) = next.and_then(|stream| peers.get_mut(stream)) else { return };
    peer.metadata.turns += 1;
    if next != last {
        assembly.restart_alone();
    }
    assembly.turn = Some((peer.stream, now));
}

impl Core {
    /// Asks a peer for pieces of the metadata.
    pub(super) fn request_metadata(&mut self, now: Timestamp, peer: &mut Peer) {
        let Some((_, fetch)) = self.torrent.fetch() else { return };
        let (Some(size), Some(id)) = (peer.metadata_claim(), peer.extension_id(&Extension::Metadata)) else {
            return;
        };
        if peer.rests(now) {
            return;
        }
        let Some(assembly) = fetch.of_size(size) else { return };
        if assembly.alone && assembly.turn.is_none_or(|(stream, _)| stream != peer.stream) {
            return;
        }
        // What is not answered is asked of others, and of this peer again.
        assembly.asked.retain(|asked| now - asked.at < ANSWERED_WITHIN);
        let stream = peer.stream;
        let most = if is_rtorrent(peer) { 1 } else { MAX_REQUESTS };
        while assembly.asked.iter().filter(|asked| asked.stream == stream).count() < most {
            let Some(piece) = assembly.next_piece(now, stream) else { return };
            assembly.asked.push(Asked { piece, stream, at: now });
            let payload = Metadata::request(piece).encode().into();
            peer.send(now, &Message::Extended { id, payload });
        }
    }

    /// Takes a message of ut_metadata. `answers` says whether we asked the peer for it.
    pub(super) fn on_metadata(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        metadata: Metadata,
        answers: bool,
    ) -> Result<(), Violation> {
        match metadata.kind {
            MetadataKind::Request => self.send_metadata(now, peer, metadata.piece),
            MetadataKind::Data => return self.take_metadata(now, peer, metadata, answers),
            MetadataKind::Reject if answers => {
                let Some((_, fetch)) = self.torrent.fetch() else { return Ok(()) };
                peer.metadata.rests_until = Some(now + RESTS);
                fetch.forget(peer.stream);
            }
            MetadataKind::Reject | MetadataKind::Unknown(_) => {}
        }
        Ok(())
    }

    fn send_metadata(&self, now: Timestamp, peer: &mut Peer, piece: u32) {
        let Some(id) = peer.extension_id(&Extension::Metadata) else { return };
        let start = u64::from(piece) * METADATA_PIECE;
        let info = self.torrent.info().filter(|info| start < info.len() as u64);
        // A peer that asks faster than it reads is refused.
        let is_swamped = peer.unsent + peer.send_buffer.len() > MAX_UNSENT_METADATA;
        let answer = match info.filter(|_| !is_swamped) {
            Some(info) => {
                let start = start as usize;
                let end = info.len().min(start + METADATA_PIECE as usize);
                Metadata::data(piece, info.len() as u64, info[start..end].to_vec())
            }
            None => Metadata::reject(piece),
        };
        peer.send(now, &Message::Extended { id, payload: answer.encode().into() });
    }

    fn take_metadata(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        metadata: Metadata,
        answers: bool,
    ) -> Result<(), Violation> {
        if metadata.data.len() as u64 > METADATA_PIECE {
            return Err(Violation::Malformed("a piece of metadata of at most 16 KiB"));
        }
        let claim = peer.metadata_claim();
        let Some((hashes, fetch)) = self.torrent.fetch().filter(|_| answers) else { return Ok(()) };
        let Some(assembly) = claim.and_then(|size| fetch.of_size(size)) else { return Ok(()) };
        assembly.asked.retain(|asked| asked.stream != peer.stream || asked.piece != metadata.piece);
        let is_of_size = metadata.total_size.is_none_or(|total| total == u64::from(assembly.size));
        if !is_of_size || metadata.data.len() != assembly.piece_length(metadata.piece) {
            return Err(Violation::Malformed("a piece of metadata of the size that was announced"));
        }
        let is_at_turn = assembly.turn.is_some_and(|(stream, _)| stream == peer.stream);
        if metadata.data.is_empty()
            || assembly.pieces.contains_key(&metadata.piece)
            || (assembly.alone && !is_at_turn)
        {
            return Ok(());
        }
        peer.metadata.gave_at = Some(now);
        let piece = MetadataPiece { bytes: metadata.data, from: peer.stream, address: peer.known_address() };
        assembly.pieces.insert(metadata.piece, piece);
        if assembly.pieces.len() < assembly.piece_count() as usize {
            return Ok(());
        }
        let from: BTreeMap<_, _> =
            assembly.pieces.values().map(|piece| (piece.from, piece.address)).collect();
        let whole: Vec<u8> =
            std::mem::take(&mut assembly.pieces).into_values().flat_map(|piece| piece.bytes).collect();
        let assembled = match hashes.check(&whole) {
            HashCheck::Right => Assembled::Right,
            HashCheck::Disagree => Assembled::Disagrees,
            HashCheck::Wrong if from.len() == 1 => Assembled::WrongFromOne,
            HashCheck::Wrong => Assembled::Wrong,
        };
        let from = from.into_values().collect();
        match assembled {
            Assembled::Right => {
                let info = Bytes::from(whole);
                fetch.info = Some(info.clone());
                fetch.assemblies.clear();
                self.take_info(info);
            }
            Assembled::WrongFromOne => {
                assembly.restart_alone();
                fetch.to_choose = true;
                self.outputs.push_back(Output::Event(Event::MetadataCorrupt { from }));
                return Err(Violation::CorruptMetadata);
            }
            Assembled::Wrong => {
                assembly.restart_alone();
                fetch.to_choose = true;
                self.outputs.push_back(Output::Event(Event::MetadataCorrupt { from }));
            }
            Assembled::Disagrees => {
                fetch.disagrees = true;
                self.outputs.push_back(Output::Event(Event::MetadataDisagrees));
            }
        }
        Ok(())
    }
}

/// The most metadata that is believed to be a torrent's, bytes. libtorrent takes 30 MiB; torrents of terabytes have 20 MiB.
pub(super) const MAX_METADATA: u32 = 32 * 1024 * 1024;

/// How many sizes are assembled at once.
const MAX_ASSEMBLIES: usize = 3;

/// How long an assembly is tried before it may give way to another size.
const LEAST_TRY: Duration = Duration::from_secs(20);

/// Whether a peer is rTorrent, whose libTorrent 0.13.8 reads nothing more when a second request comes before the answer to the
/// first has left.
fn is_rtorrent(peer: &Peer) -> bool {
    peer.peer_id().is_some_and(|id| id.0.starts_with(b"-lt"))
}

/// How many requests wait at a peer.
const MAX_REQUESTS: usize = 2;

/// How many peers are asked for one piece, and after how long the second.
const MAX_ASKED: usize = 2;
const SHARED_AFTER: Duration = Duration::from_secs(1);

/// How long a peer may take for a piece before others are asked as if it had not been.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// How long a peer that rejected a request is not asked.
const RESTS: Duration = Duration::from_secs(60);

/// How long a peer may take at first where all pieces come from one, while another could give them; each time twice as long,
/// so that one of a slow peer is whole at last.
const TURN: Duration = Duration::from_secs(30);
const MAX_DOUBLINGS: u32 = 6;

/// How many bytes may wait to be sent before metadata is refused.
const MAX_UNSENT_METADATA: usize = 256 * 1024;
