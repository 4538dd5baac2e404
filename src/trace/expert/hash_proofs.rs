//! Whether the hashes that peers send each other lead to the roots of files (BEP 52, "peer messages").
//!
//! A root stands in every message, so a whole proof can be checked without a torrent; with one, it is known where a proof
//! must end, and which roots there are.

use std::collections::HashMap;
use std::sync::Arc;

use bittrace_protocol::merkle::{self, Hash, RangeFault, Top};
use bittrace_protocol::metainfo::{Metainfo, PieceHash};
use bittrace_protocol::wire::{HashRange, Message};
use bittrace_protocol::{Hex, InfoHash, PieceIndex};
use foldhash::fast::RandomState;

use crate::expert::rules;
use crate::record::units::{count, counted};
use crate::record::{Body, PeerWireBody, Record};

/// The trees of the torrents that are known, and what peers taught of them.
#[derive(Debug, Default)]
pub(super) struct Trees {
    /// The length of the file with that root.
    files: HashMap<(InfoHash, Hash), u64, RandomState>,
    /// Nodes of piece layers that the torrents do not have, by root, layer and place: such as were proved.
    learnt: HashMap<(Hash, u32, u32), Hash, RandomState>,
}

/// How many files are known by their roots, and how many nodes are learnt.
const FILES: usize = 2_000_000;
const LEARNT: usize = 1_000_000;

impl Trees {
    /// Takes in the files of a torrent.
    pub(super) fn add(&mut self, torrent: &Metainfo) {
        if torrent.piece_layer().is_none() {
            return;
        }
        for file in torrent.files.iter().take(FILES.saturating_sub(self.files.len())) {
            if let Some(root) = file.pieces_root {
                self.files.insert((torrent.info_hash, root), file.length);
            }
        }
    }

    /// What a piece is checked against, from the torrent or from what peers proved.
    pub(super) fn check_of(&self, torrent: &Metainfo, index: PieceIndex) -> Option<PieceHash> {
        torrent.check_of(index).or_else(|| {
            let piece = torrent.tree_piece(index)?;
            piece.hash(|| self.learnt.get(&(piece.root, piece.layer, piece.number)).copied())
        })
    }

    /// Says of a message about hashes whether it keeps the rules and whether the hashes are right.
    pub(super) fn judge(&mut self, record: &mut Record, torrent: Option<&Arc<Metainfo>>) {
        let Body::PeerWire(PeerWireBody::Message(message)) = &record.body else { return };
        let (range, hashes) = match message {
            Message::HashRequest(range) => (*range, None),
            Message::Hashes(range, hashes) => (*range, Some(hashes.clone())),
            _ => return,
        };
        let tree = torrent.filter(|torrent| torrent.piece_layer().is_some() && self.is_complete());
        let length = tree.and_then(|torrent| self.files.get(&(torrent.info_hash, range.pieces_root)));
        let height = length.map(|length| merkle::height(*length));
        if tree.is_some() && length.is_none() {
            let text = format!("no file of the torrent has the root {}", Hex(&range.pieces_root));
            record.notes.push(rules::BEP52_UNKNOWN_ROOT.note(text));
        }
        if let Some(text) = malformed(&range, height) {
            record.notes.push(rules::BEP52_MALFORMED_RANGE.note(text));
            return;
        }
        match hashes {
            None if range.fault() == Some(RangeFault::TooMany) => {
                let text = format!("{} requested at once", counted(range.length.into(), "hash"));
                record.notes.push(rules::BEP52_MANY_HASHES.note(text));
            }
            None => {}
            Some(hashes) => self.proof(record, &range, &hashes, height, tree),
        }
    }

    fn proof(
        &mut self,
        record: &mut Record,
        range: &HashRange,
        hashes: &[u8],
        height: Option<u32>,
        torrent: Option<&Arc<Metainfo>>,
    ) {
        let came = hashes.len() / 32;
        let wanted = wanted(range, height);
        let top = match merkle::climb(range, hashes) {
            Ok(top) if height.is_none() || came as u64 == wanted => top,
            Ok(_) | Err(Some(_)) => {
                let text = format!("{} arrived, expected {}", counted(came as u64, "hash"), count(wanted));
                record.notes.push(rules::BEP52_HASHES_WRONG.note(text));
                return;
            }
            Err(None) => return,
        };
        let layer = torrent.and_then(|torrent| torrent.piece_layer());
        let verdict = match self.target(range, &top, height, torrent) {
            Some(target) if target == top.hash => Some(true),
            Some(_) => Some(false),
            // It may be that a larger tree has this root; a hash that is the root by chance there is not.
            None if height.is_none() && top.hash == range.pieces_root => Some(true),
            // Fewer uncles than were asked for there are only where they end at the root.
            None if height.is_none() && (came as u64) < wanted => Some(false),
            None => None,
        };
        let place = match height {
            Some(height) if top.layer < height => format!("hash {} of layer {}", top.index, top.layer),
            _ => "root".to_owned(),
        };
        match verdict {
            Some(true) => {
                let text = format!("{} lead to the {place}", counted(came as u64, "hash"));
                record.notes.push(rules::BEP52_HASHES_VERIFIED.note(text));
                if height.is_some() && layer == Some(range.base_layer) {
                    self.learn(range, hashes);
                }
            }
            Some(false) => {
                let text = format!("{} do not lead to the {place}", counted(came as u64, "hash"));
                record.notes.push(rules::BEP52_HASHES_WRONG.note(text));
            }
            None => {}
        }
    }

    /// The hash that must stand where hashes lead to, as far as that is known.
    fn target(
        &self,
        range: &HashRange,
        top: &Top,
        height: Option<u32>,
        torrent: Option<&Arc<Metainfo>>,
    ) -> Option<Hash> {
        let (height, torrent) = (height?, torrent?);
        if top.layer >= height {
            return Some(range.pieces_root);
        }
        if torrent.piece_layer() != Some(top.layer) {
            return None;
        }
        let known = torrent.layer_hash(range.pieces_root, top.index);
        known.or_else(|| self.learnt.get(&(range.pieces_root, top.layer, top.index)).copied())
    }

    fn learn(&mut self, range: &HashRange, hashes: &[u8]) {
        let (hashes, _) = hashes.as_chunks();
        for (index, hash) in (range.index..=u32::MAX).zip(hashes.iter().take(range.length as usize)) {
            if self.learnt.len() < LEARNT {
                self.learnt.insert((range.pieces_root, range.base_layer, index), *hash);
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.files.len() < FILES
    }
}

/// How many hashes answer a request: there are no uncles beyond the root of a tree of so many layers, however many are
/// asked for.
fn wanted(range: &HashRange, height: Option<u32>) -> u64 {
    let own = range.base_layer.saturating_add(range.length.max(1).ilog2());
    let uncles = height.map_or(range.uncles(), |height| range.uncles().min(height.saturating_sub(own)));
    u64::from(range.length) + u64::from(uncles)
}

/// What is wrong with a range of hashes, of a file whose tree has so many layers, where that is known.
fn malformed(range: &HashRange, height: Option<u32>) -> Option<String> {
    let HashRange { base_layer, index, length, .. } = *range;
    match range.fault() {
        Some(RangeFault::Length) => {
            return Some(format!("length {length} is not a power of two of at least 2"));
        }
        Some(RangeFault::Index) => {
            return Some(format!("index {index} is not a multiple of the length {length}"));
        }
        Some(RangeFault::Layers) => return Some("no file has that many layers".to_owned()),
        Some(RangeFault::TooMany) | None => {}
    }
    let nodes = 1_u64 << height?.saturating_sub(base_layer);
    let end = u64::from(index) + u64::from(length);
    (end > nodes).then(|| {
        let hashes = counted(nodes, "hash");
        format!("layer {base_layer} of the file's tree has {hashes}; the message names {}", count(end))
    })
}
