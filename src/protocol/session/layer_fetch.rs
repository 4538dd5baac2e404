//! The piece layers of a torrent of version 2 whose info dictionary came from peers (BEP 52, "piece layers" and "peer messages").
//!
//! They are asked for in ranges. An answer counts only where its proof leads to the root of its file, so that each is checked at
//! once, and a peer whose hashes are wrong is named.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::magnet::InfoHashes;
use crate::merkle::{self, Hash, MOST_HASHES, Top};
use crate::metainfo::PieceLayers;
use crate::wire::{Handshake, HashRange, Message};
use crate::{DecodeError, Metainfo, Timestamp};

use super::core::Core;
use super::noise::Noise;
use super::peer::{Peer, Phase};
use super::torrent::Torrent;
use super::{DisconnectReason, Output, Session, SessionStreamId, Violation};

/// What is missing of the piece layers.
#[derive(Debug)]
pub(super) struct LayerFetch {
    /// How many layers each file's root lies above the layer of its pieces, and how many pieces it has.
    files: BTreeMap<Hash, (u32, u32)>,
    /// The ranges that nobody is asked for.
    unasked: VecDeque<HashRange>,
    asked: Vec<AskedHashes>,
    /// What came, by its file and its first place in the layer.
    came: BTreeMap<(Hash, u32), Bytes>,
    /// Until when these are waited for, where the pieces can be checked without them.
    until: Option<Timestamp>,
    upgrade: Upgrade,
}

/// How far peers of version 1 are with becoming peers of version 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upgrade {
    /// Both hashes were known from the start: whoever can is a peer of version 2.
    NotNeeded,
    /// The link had no hash of version 2.
    Due,
    /// Some are connected anew, which is waited for until then.
    Until(Timestamp),
}

/// A request that is not answered.
#[derive(Debug)]
struct AskedHashes {
    range: HashRange,
    stream: SessionStreamId,
    at: Timestamp,
}

impl LayerFetch {
    /// What is to be fetched of the torrent with this info dictionary; `None` where nothing is, or where it cannot be read, or
    /// has more pieces than is borne: then its reader will say so.
    fn of(info: &[u8], now: Timestamp) -> Option<Self> {
        let file = Bytes::from([b"d4:info", info, b"e"].concat());
        let admit = |files| match files > MAX_FILES {
            true => Err(DecodeError::new(0, "fewer files")),
            false => Ok(()),
        };
        let torrent = Metainfo::decode_bounded(&file, MAX_VALUES, admit).ok()?;
        let base_layer = torrent.piece_layer()?;
        let (mut files, mut unasked, mut hashes) = (BTreeMap::new(), VecDeque::new(), 0_u64);
        for (root, length) in torrent.missing_layers() {
            let pieces = length.div_ceil(torrent.piece_length.into());
            hashes += pieces;
            let pieces = u32::try_from(pieces).ok().filter(|_| hashes <= MAX_HASHES)?;
            let height = pieces.next_power_of_two().trailing_zeros();
            files.insert(root, (height, pieces));
            let length = MOST_HASHES.min(1 << height);
            unasked.extend((0..pieces).step_by(length as usize).map(|index| HashRange {
                pieces_root: root,
                base_layer,
                index,
                length,
                // The layer below the root is the last one of which an uncle is needed.
                proof_layers: height - 1,
            }));
        }
        // What else is missing nobody can give.
        let is_of_use = !unasked.is_empty();
        // The pieces of a hybrid torrent have hashes of version 1 as well.
        let until = torrent.has_all_hashes().then_some(now + HYBRID_WAIT);
        let (upgrade, came) = (Upgrade::NotNeeded, BTreeMap::new());
        is_of_use.then(|| Self { files, unasked, asked: Vec::new(), came, until, upgrade })
    }

    /// Whether the torrent is begun without them.
    fn is_given_up(&self, now: Timestamp, can_be_asked: bool) -> bool {
        self.until.is_some_and(|until| !can_be_asked || now >= until)
    }

    /// How many hashes came, of how many.
    pub(super) fn progress(&self) -> (u64, u64) {
        let came: usize = self.came.values().map(|hashes| hashes.len() / size_of::<Hash>()).sum();
        (came as u64, self.files.values().map(|&(_, pieces)| u64::from(pieces)).sum())
    }

    /// What a peer was asked for is asked of others.
    pub(super) fn forget(&mut self, stream: SessionStreamId) {
        self.give_up(|asked| asked.stream == stream);
    }

    fn give_up(&mut self, is_given_up: impl Fn(&AskedHashes) -> bool) {
        let given_up: Vec<_> = self.asked.extract_if(.., |asked| is_given_up(asked)).collect();
        given_up.into_iter().for_each(|asked| self.ask_again(asked.range));
    }

    /// A peer does not give a range: it is asked of others, unless one is asked already.
    fn ask_again(&mut self, range: HashRange) {
        if !self.asked.iter().any(|asked| asked.range == range) {
            self.unasked.push_back(range);
        }
    }

    /// What a peer is asked for next: what nobody is asked for, or else what another one is slow to give.
    fn next_for(&mut self, now: Timestamp, stream: SessionStreamId) -> Option<HashRange> {
        self.unasked.pop_front().or_else(|| {
            let is_asked = |range: HashRange| {
                self.asked.iter().any(|asked| asked.stream == stream && asked.range == range)
            };
            let slow = |asked: &&AskedHashes| now - asked.at >= SHARED_AFTER && !is_asked(asked.range);
            self.asked.iter().find(slow).map(|asked| asked.range)
        })
    }

    /// Takes the request that an answer is for, if the peer was asked.
    fn take(&mut self, range: &HashRange, stream: SessionStreamId) -> bool {
        let at = self.asked.iter().position(|asked| asked.range == *range && asked.stream == stream);
        at.map(|at| self.asked.swap_remove(at)).is_some()
    }

    /// Keeps hashes that were asked for, if they are right; whether they are.
    fn keep(&mut self, range: &HashRange, hashes: &Bytes) -> bool {
        let Some(&(height, pieces)) = self.files.get(&range.pieces_root) else { return false };
        let root = Top { hash: range.pieces_root, layer: range.base_layer + height, index: 0 };
        if merkle::climb(range, hashes) != Ok(root) {
            return false;
        }
        let count = range.length.min(pieces - range.index) as usize;
        // A copy: what was read with the answer is not held for it.
        let hashes = Bytes::copy_from_slice(&hashes[..count * size_of::<Hash>()]);
        self.came.insert((range.pieces_root, range.index), hashes);
        self.asked.retain(|asked| asked.range != *range);
        true
    }

    /// The piece layers, once nothing of them is missing.
    fn finish(&mut self) -> Option<PieceLayers> {
        if !self.unasked.is_empty() || !self.asked.is_empty() {
            return None;
        }
        let mut layers = PieceLayers::new();
        for ((root, _), hashes) in std::mem::take(&mut self.came) {
            layers.entry(root).or_default().extend_from_slice(&hashes);
        }
        Some(layers)
    }
}

impl Session {
    /// Connects anew to some peers that offer version 2, where the torrent of a link without such a hash turned out to have one:
    /// over a connection of version 1 nobody gives hashes (libtorrent closes it).
    pub(super) fn upgrade_peers(&mut self, now: Timestamp) {
        let Some(layers) = self.core.torrent.layer_fetch().filter(|layers| layers.upgrade == Upgrade::Due)
        else {
            return;
        };
        let offers = |peer: &&Peer| !peer.is_v2 && peer.dialled.is_some() && peer.offers_v2();
        let offering = self.peers.iter().filter(offers).map(|peer| peer.stream);
        let streams: Vec<_> = offering.take(MOST_UPGRADED).collect();
        layers.upgrade = match streams.is_empty() {
            true => Upgrade::NotNeeded,
            false => Upgrade::Until(now + UPGRADED_WITHIN),
        };
        for stream in streams {
            self.disconnect(now, stream, DisconnectReason::Upgraded);
        }
    }

    /// Begins a hybrid torrent without its piece layers, where nobody has them or they come too slowly: its pieces have hashes of
    /// version 1.
    pub(super) fn give_up_layers(&mut self, now: Timestamp) {
        let Some(layers) = self.core.torrent.layer_fetch() else { return };
        let upgrades = matches!(layers.upgrade, Upgrade::Until(until) if now < until);
        let choice = self.dial_choice(now);
        let mut peers = self.peers.iter();
        let can_be_asked = peers.any(|peer| peer.gives_hashes() || (upgrades && peer.phase != Phase::Open))
            || (upgrades && self.core.swarm.any_ready(now, choice));
        if let Some(layers) = self.core.torrent.layer_fetch()
            && layers.is_given_up(now, can_be_asked)
            && let Some(info) = self.core.torrent.end_layer_fetch()
        {
            self.core.outputs.push_back(Output::Metadata(info, PieceLayers::new()));
        }
    }
}

impl Peer {
    /// Whether the peer can be asked for hashes (BEP 52).
    pub(super) fn gives_hashes(&self) -> bool {
        self.is_v2 && self.phase == Phase::Open
    }

    /// Whether the peer would take a connection of version 2 (BEP 52, "Upgrade Path").
    fn offers_v2(&self) -> bool {
        self.phase == Phase::Open && self.theirs().handshake().is_some_and(Handshake::offers_v2)
    }
}

impl Core {
    /// The info dictionary is there: it is handed out, or the hashes are fetched first without which its pieces cannot be checked.
    pub(super) fn take_info(&mut self, info: Bytes) {
        let Torrent::Wanted(hashes, fetch) = &mut self.torrent else { return };
        let mut layers = LayerFetch::of(&info, self.now);
        if let InfoHashes::V1(v1) = *hashes {
            // Where the pieces have no hashes of version 1, nothing could be done without the layers, and nobody be asked for them.
            let upgrades = self.config.profile.upgrades;
            layers = layers.filter(|layers| upgrades && layers.until.is_some());
            if let Some(layers) = &mut layers {
                // From now on peers are called, and answered, by both hashes.
                *hashes = InfoHashes::Both(v1, Sha256::digest(&info).into());
                layers.upgrade = Upgrade::Due;
            }
        }
        match layers {
            Some(layers) => fetch.await_layers(layers),
            None => self.outputs.push_back(Output::Metadata(info, PieceLayers::new())),
        }
    }

    /// Asks a peer for hashes.
    pub(super) fn request_hashes(&mut self, now: Timestamp, peer: &mut Peer) {
        let Some(fetch) = self.torrent.layer_fetch() else { return };
        let stream = peer.stream;
        let is_overdue = |asked: &AskedHashes| asked.stream == stream && now - asked.at >= ANSWERED_WITHIN;
        if fetch.asked.iter().any(is_overdue) {
            peer.hashes_rest_until = Some(now + RESTS);
        }
        fetch.give_up(is_overdue);
        if !peer.is_v2 || peer.hashes_rest_until.is_some_and(|until| now < until) {
            return;
        }
        while fetch.asked.iter().filter(|asked| asked.stream == peer.stream).count() < MAX_REQUESTS {
            let Some(range) = fetch.next_for(now, stream) else { return };
            fetch.asked.push(AskedHashes { range, stream: peer.stream, at: now });
            peer.send(now, &Message::HashRequest(range));
        }
    }

    /// Takes hashes; what they cost.
    pub(super) fn on_hashes(
        &mut self,
        peer: &mut Peer,
        range: &HashRange,
        hashes: &Bytes,
    ) -> Result<Option<Noise>, Violation> {
        let Some(fetch) = self.torrent.layer_fetch() else { return self.on_leaves(peer, range, hashes) };
        if !fetch.take(range, peer.stream) {
            return Ok(Some(Noise::NothingNew(hashes.len())));
        }
        if !fetch.keep(range, hashes) {
            fetch.ask_again(*range);
            return Err(Violation::CorruptHashes);
        }
        peer.metadata.gave_at = Some(self.now);
        if let Some(layers) = fetch.finish()
            && let Some(info) = self.torrent.end_layer_fetch()
        {
            self.outputs.push_back(Output::Metadata(info, layers));
        }
        Ok(None)
    }

    /// A peer does not give the hashes that it was asked for; what that costs.
    pub(super) fn on_hash_reject(&mut self, peer: &mut Peer, range: &HashRange) -> Noise {
        if let Some(fetch) = self.torrent.layer_fetch()
            && fetch.take(range, peer.stream)
        {
            fetch.ask_again(*range);
            peer.hashes_rest_until = Some(self.now + RESTS);
        }
        Noise::NothingNew(0)
    }
}

/// How many files and values a torrent may have whose layers are fetched, and how many pieces: their hashes take 32 MiB.
const MAX_FILES: usize = 120_000;
const MAX_VALUES: usize = 3_000_000;
const MAX_HASHES: u64 = 1 << 20;

/// How many requests wait at a peer.
const MAX_REQUESTS: usize = 4;

/// How long the piece layers of a hybrid torrent are waited for.
const HYBRID_WAIT: Duration = Duration::from_secs(10);

/// How many peers are connected anew as peers of version 2, and how long that may take.
const MOST_UPGRADED: usize = 8;
const UPGRADED_WITHIN: Duration = Duration::from_secs(5);

/// How long a peer may take for an answer before another one that has nothing else to give is asked as well.
const SHARED_AFTER: Duration = Duration::from_secs(2);

/// How long a peer may take for an answer before others are asked as if it had not been.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// How long a peer that rejected a request, or did not answer, is not asked.
const RESTS: Duration = Duration::from_secs(5);
