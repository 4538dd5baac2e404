//! A set of a torrent's pieces.

use bittrace_protocol::PieceIndex;

/// Some of a torrent's pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pieces {
    /// A bit a piece, as in a bitfield message: the high bit of the first byte for piece 0.
    bits: Vec<u8>,
    total: u32,
    count: u32,
}

impl Pieces {
    /// None of `total` pieces.
    pub fn none(total: u32) -> Self {
        Self { bits: vec![0; total.div_ceil(8) as usize], total, count: 0 }
    }

    /// How many pieces the torrent has.
    pub const fn total(&self) -> u32 {
        self.total
    }

    /// How many are in the set.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether all are.
    pub const fn is_all(&self) -> bool {
        self.count == self.total
    }

    /// Whether a piece is.
    pub fn contains(&self, piece: PieceIndex) -> bool {
        self.bits.get(piece.0 as usize / 8).is_some_and(|byte| byte & mask(piece) != 0)
    }

    /// Adds a piece; whether it is new, and one of the torrent's.
    pub fn insert(&mut self, piece: PieceIndex) -> bool {
        if piece.0 >= self.total || self.contains(piece) {
            return false;
        }
        self.bits[piece.0 as usize / 8] |= mask(piece);
        self.count += 1;
        true
    }

    /// The pieces, in order.
    pub fn iter(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        (0..self.total).map(PieceIndex).filter(|&piece| self.contains(piece))
    }

    /// The bytes of a bitfield message.
    pub fn bits(&self) -> &[u8] {
        &self.bits
    }
}

const fn mask(piece: PieceIndex) -> u8 {
    0x80 >> (piece.0 % 8)
}
