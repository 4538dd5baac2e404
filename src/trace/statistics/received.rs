//! Which blocks came to whom already: whether a block is new, or comes again, and why it had to.
//!
//! An attempt at a piece begins with its first block and ends when the piece is whole with the wrong hash. A block that
//! comes a second time within an attempt was sent for nothing; in a later attempt it had to be sent again.

use std::collections::HashMap;
use std::net::IpAddr;

use bittrace_protocol::{InfoHash, PieceIndex};
use foldhash::fast::RandomState;

use crate::record::Record;
use crate::{Direction, StreamId};

/// The blocks of a capture by receiver and piece.
#[derive(Debug, Default)]
pub struct BlocksReceived {
    pieces: HashMap<PieceOf, Attempts, RandomState>,
    /// How many blocks are remembered, over all pieces.
    remembered: usize,
}

/// A piece that a host receives: its address, the torrent, the piece.
type PieceOf = (IpAddr, Option<InfoHash>, PieceIndex);

/// The blocks of a piece that came.
#[derive(Debug, Default)]
struct Attempts {
    /// By where they begin in the piece.
    current: Vec<ReceivedBlock>,
    /// Where the blocks of attempts begin that had the wrong hash, ascending.
    wrong: Vec<u32>,
}

/// A block of an attempt at a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedBlock {
    /// Where it begins in the piece.
    pub begin: u32,
    /// Its bytes.
    pub length: u32,
    /// The connection that carried it.
    pub stream: StreamId,
    /// Which way it went.
    pub direction: Direction,
}

/// Whether the receiver of a block had the block already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockRepeat {
    /// The block is new, or too many came to tell.
    New,
    /// It came before, and then its piece had the wrong hash.
    AfterWrongHash,
    /// It came before, and nothing was wrong with it.
    ForNothing,
}

/// How many blocks are told apart: 16 GiB of 16 KiB. A block takes 16 bytes, a piece about 100.
const BLOCKS: usize = 1_000_000;

/// How many blocks of a piece are told apart: 128 MiB of 16 KiB. It also bounds what an insertion moves.
const BLOCKS_OF_A_PIECE: usize = 8_192;

impl BlocksReceived {
    /// Takes in a block that the record carries.
    pub fn block(&mut self, record: &Record, index: PieceIndex, begin: u32, length: u32) -> BlockRepeat {
        let key = (record.destination.ip(), record.torrent, index);
        if self.remembered >= BLOCKS && !self.pieces.contains_key(&key) {
            return BlockRepeat::New;
        }
        let attempts = self.pieces.entry(key).or_default();
        let repeat = match attempts.wrong.binary_search(&begin) {
            Ok(_) => BlockRepeat::AfterWrongHash,
            Err(_) => BlockRepeat::New,
        };
        match attempts.current.binary_search_by_key(&begin, |block| block.begin) {
            Ok(_) => BlockRepeat::ForNothing,
            Err(at) => {
                if self.remembered < BLOCKS && attempts.current.len() < BLOCKS_OF_A_PIECE {
                    let Record { stream, direction, .. } = *record;
                    attempts.current.insert(at, ReceivedBlock { begin, length, stream, direction });
                    self.remembered += 1;
                }
                repeat
            }
        }
    }

    /// Takes in that the record made a piece whole, with the wrong hash, and hands out the blocks of that attempt: each
    /// once, as it came first.
    pub fn wrong_hash(&mut self, record: &Record, index: PieceIndex) -> Vec<ReceivedBlock> {
        let key = (record.destination.ip(), record.torrent, index);
        let Some(attempts) = self.pieces.get_mut(&key) else { return Vec::new() };
        let ended = std::mem::take(&mut attempts.current);
        let before = attempts.wrong.len() + ended.len();
        attempts.wrong.extend(ended.iter().map(|block| block.begin));
        attempts.wrong.sort_unstable();
        attempts.wrong.dedup();
        self.remembered -= before - attempts.wrong.len();
        ended
    }
}
