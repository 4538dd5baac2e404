//! One piece out of all that came for it: where several contents came for one place, those that make its hash.

use std::net::SocketAddr;
use std::ops::Range;

use bittrace_protocol::PieceIndex;
use bittrace_protocol::metainfo::{PieceHash, PieceHasher};
use smallvec::SmallVec;

use super::spool::{Heard, Spool};
use crate::Error;

/// A piece of which wrong bytes came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceFault {
    /// The piece.
    pub piece: PieceIndex,
    /// What is known of it.
    pub kind: FaultKind,
    /// The blocks: those that were wrong where that is known, else all. The first of them.
    pub blocks: Vec<Sent>,
}

/// What is known of a piece of which wrong bytes came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Right bytes came too, so the others are known to be wrong.
    Mended,
    /// It does not have its hash, whichever blocks are taken: some of them are wrong.
    Failed,
}

/// Bytes of a piece, and who sent them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Where they begin in the piece.
    pub begin: u32,
    /// How many there are.
    pub length: u32,
    /// Who sent them: the first of them.
    pub from: Vec<SocketAddr>,
}

/// What came for a piece, cut where any block begins or ends.
#[derive(Debug)]
pub(super) struct Assembly<'a> {
    spool: &'a Spool,
    stretches: Vec<Stretch>,
    size: u32,
}

/// Bytes for which the same blocks came.
#[derive(Debug)]
struct Stretch {
    begin: u32,
    length: u32,
    /// The different contents, those that most peers sent first.
    choices: Vec<BlockChoice>,
}

#[derive(Debug)]
struct BlockChoice {
    place: PiecePlace,
    peers: SmallVec<[u32; 2]>,
    named: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PiecePlace {
    /// In the spool.
    Spooled(u64),
    /// Padding: nobody need send it (BEP 47).
    Zeros,
}

/// Which content is taken for each stretch.
pub(super) type Taken = Vec<usize>;

/// How many blocks at one place are looked at.
const AT_ONE_PLACE: usize = 32;
/// How many combinations are tried, as long as they come to no more bytes than this.
const TRIES: usize = 1024;
const HASHED: u64 = 1 << 30;
/// How many blocks of a faulty piece are named.
const NAMED: usize = 256;
const CHUNK: usize = 64 * 1024;

impl<'a> Assembly<'a> {
    /// Lays out blocks, in the order in which they begin, within a piece of `size` bytes.
    pub(super) fn new(
        spool: &'a Spool,
        heard: &[Heard],
        padding: &[Range<u32>],
        size: u32,
    ) -> Result<Self, Error> {
        let fits = |heard: &&Heard| heard.begin.checked_add(heard.length).is_some_and(|end| end <= size);
        let heard: Vec<&Heard> = heard.iter().filter(fits).collect();
        let mut cuts: Vec<u32> = heard
            .iter()
            .flat_map(|heard| [heard.begin, heard.begin + heard.length])
            .chain(padding.iter().flat_map(|range| [range.start, range.end]))
            .collect();
        cuts.sort_unstable();
        cuts.dedup();
        let mut assembly = Self { spool, stretches: Vec::new(), size };
        let mut coming = heard.into_iter().peekable();
        let mut here: Vec<&Heard> = Vec::new();
        for cut in cuts.windows(2) {
            let (begin, end) = (cut[0], cut[1]);
            here.retain(|heard| heard.begin + heard.length > begin);
            while let Some(next) = coming.next_if(|next| next.begin <= begin) {
                if here.len() < AT_ONE_PLACE {
                    here.push(next);
                }
            }
            let padded = padding.iter().any(|range| range.contains(&begin));
            assembly.stretch(begin, end - begin, &here, padded)?;
        }
        Ok(assembly)
    }

    fn stretch(&mut self, begin: u32, length: u32, here: &[&Heard], padded: bool) -> Result<(), Error> {
        let mut choices: Vec<BlockChoice> = Vec::new();
        for heard in here {
            let place = PiecePlace::Spooled(heard.version.place + u64::from(begin - heard.begin));
            let mut known = None;
            for (at, choice) in choices.iter().enumerate() {
                if self.are_same(choice.place, place, length)? {
                    known = Some(at);
                    break;
                }
            }
            match known {
                Some(at) => {
                    let choice = &mut choices[at];
                    choice.named |= heard.named;
                    for peer in &heard.version.peers {
                        if !choice.peers.contains(peer) {
                            choice.peers.push(*peer);
                        }
                    }
                }
                None => {
                    let peers = heard.version.peers.clone();
                    choices.push(BlockChoice { place, peers, named: heard.named });
                }
            }
        }
        choices.sort_by_key(|choice| std::cmp::Reverse(choice.peers.len()));
        if padded {
            choices.push(BlockChoice { place: PiecePlace::Zeros, peers: SmallVec::new(), named: true });
        }
        if !choices.is_empty() {
            self.stretches.push(Stretch { begin, length, choices });
        }
        Ok(())
    }

    /// Whether there is something for every byte.
    pub(super) fn is_covered(&self) -> bool {
        let mut at = 0;
        for stretch in &self.stretches {
            if stretch.begin != at {
                return false;
            }
            at += stretch.length;
        }
        at == self.size
    }

    /// Whether all of it came on connections that named the torrent.
    pub(super) fn is_named(&self) -> bool {
        self.stretches.iter().all(|stretch| stretch.choices.iter().all(|choice| choice.named))
    }

    /// The contents that make the piece's hash, which is over the first `length` bytes.
    pub(super) fn find(
        &self,
        hash: PieceHash,
        hasher: &PieceHasher,
        length: u32,
    ) -> Result<Option<Taken>, Error> {
        let mut hashed = 0;
        for taken in self.of_each_peer().chain(self.combinations()).take(TRIES) {
            if hashed > HASHED {
                break;
            }
            hashed += u64::from(self.size);
            if self.hash(&taken, hasher.clone(), length)?.is(hash) {
                return Ok(Some(taken));
            }
        }
        Ok(None)
    }

    /// The first content of each stretch.
    pub(super) fn first(&self) -> Taken {
        vec![0; self.stretches.len()]
    }

    /// What is taken, as parts of the piece, where they begin and how long they are.
    pub(super) fn parts(&self, taken: &Taken) -> impl Iterator<Item = (u32, u32, PiecePlace)> {
        self.stretches
            .iter()
            .zip(taken)
            .map(|(stretch, at)| (stretch.begin, stretch.length, stretch.choices[*at].place))
    }

    /// Those parts that came on a connection that named the torrent.
    pub(super) fn named(&self) -> impl Iterator<Item = Range<u32>> {
        let named = self.stretches.iter().filter(|stretch| stretch.choices.iter().any(|choice| choice.named));
        named.map(|stretch| stretch.begin..stretch.begin + stretch.length)
    }

    /// What was wrong: all that was not taken, or where nothing fits, all there is.
    pub(super) fn fault(&self, piece: PieceIndex, taken: Option<&Taken>) -> Option<PieceFault> {
        let mut blocks = Vec::new();
        for (number, stretch) in self.stretches.iter().enumerate() {
            let right = taken.map(|taken| taken[number]);
            for (at, choice) in stretch.choices.iter().enumerate() {
                if right == Some(at) || choice.place == PiecePlace::Zeros || blocks.len() >= NAMED {
                    continue;
                }
                let from = choice.peers.iter().filter_map(|peer| self.spool.peer_address(*peer));
                blocks.push(Sent { begin: stretch.begin, length: stretch.length, from: from.collect() });
            }
        }
        let kind = if taken.is_some() { FaultKind::Mended } else { FaultKind::Failed };
        (!blocks.is_empty()).then_some(PieceFault { piece, kind, blocks })
    }

    /// For each peer that sent one of several contents, what it sent where it sent something.
    fn of_each_peer(&self) -> impl Iterator<Item = Taken> {
        let mut peers: Vec<u32> = Vec::new();
        for stretch in self.stretches.iter().filter(|stretch| stretch.choices.len() > 1) {
            for peer in stretch.choices.iter().flat_map(|choice| &choice.peers) {
                if peers.len() < AT_ONE_PLACE && !peers.contains(peer) {
                    peers.push(*peer);
                }
            }
        }
        peers.into_iter().map(|peer| {
            let of_peer = |stretch: &Stretch| {
                stretch.choices.iter().position(|choice| choice.peers.contains(&peer)).unwrap_or(0)
            };
            self.stretches.iter().map(of_peer).collect()
        })
    }

    /// One content of each stretch after another, the first ones first.
    fn combinations(&self) -> impl Iterator<Item = Taken> {
        let counts = self.stretches.iter().map(|stretch| stretch.choices.len());
        let all = counts.clone().try_fold(1_usize, usize::checked_mul).unwrap_or(TRIES);
        let counts: Vec<usize> = counts.collect();
        (0..all.min(TRIES)).map(move |mut number| {
            let digit = |count: &usize| {
                let digit = number % count;
                number /= count;
                digit
            };
            counts.iter().map(digit).collect()
        })
    }

    fn hash(&self, taken: &Taken, mut hasher: PieceHasher, end: u32) -> Result<PieceHasher, Error> {
        for (begin, length, place) in self.parts(taken) {
            let length = length.min(end.saturating_sub(begin));
            self.spool.each_chunk(place, length, &mut |chunk| {
                hasher.update(chunk);
                Ok(())
            })?;
        }
        Ok(hasher)
    }

    fn are_same(&self, one: PiecePlace, other: PiecePlace, length: u32) -> Result<bool, Error> {
        let mut at = 0;
        let mut same = true;
        self.spool.each_chunk(one, length, &mut |chunk| {
            if same {
                let mut against = vec![0; chunk.len()];
                if let PiecePlace::Spooled(place) = other {
                    self.spool.read(place + at, &mut against)?;
                }
                same = against == chunk;
            }
            at += chunk.len() as u64;
            Ok(())
        })?;
        Ok(same)
    }
}

impl Spool {
    /// Reads bytes back, a part at a time.
    pub(super) fn each_chunk(
        &self,
        place: PiecePlace,
        length: u32,
        tell: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut chunk = vec![0; CHUNK.min(length as usize)];
        let mut at = 0;
        while at < length {
            let part = &mut chunk[..CHUNK.min((length - at) as usize)];
            if let PiecePlace::Spooled(place) = place {
                self.read(place + u64::from(at), part)?;
            }
            tell(part)?;
            at += part.len() as u32;
        }
        Ok(())
    }
}
