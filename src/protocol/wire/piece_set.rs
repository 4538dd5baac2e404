//! The pieces that a peer has.

use crate::PieceIndex;

/// A set of pieces of a torrent with a known number of pieces. A set of all pieces, or of none, has no bits in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceSet {
    /// A bit a piece, the high bit of the first byte for piece 0; empty for none and for all.
    bits: Vec<u8>,
    count: u32,
    total: u32,
}

impl PieceSet {
    /// No piece of a torrent that has `total` pieces.
    pub const fn none(total: u32) -> Self {
        Self { bits: Vec::new(), count: 0, total }
    }

    /// Every piece of a torrent that has `total` pieces.
    pub const fn all(total: u32) -> Self {
        Self { bits: Vec::new(), count: total, total }
    }

    /// The pieces of a bitfield (BEP 3, "bitfield"); `None` where its length is wrong, or a bit after that of the last piece is
    /// set.
    pub fn from_bitfield(bits: &[u8], total: u32) -> Option<Self> {
        if bits.len() != total.div_ceil(8) as usize {
            return None;
        }
        let spare = (8 - total % 8) % 8;
        if bits.last().is_some_and(|last| last.trailing_zeros() < spare) {
            return None;
        }
        let count = bits.iter().map(|byte| byte.count_ones()).sum();
        let bits = if count == 0 || count == total { Vec::new() } else { bits.to_vec() };
        Some(Self { bits, count, total })
    }

    /// How many pieces the torrent has.
    pub const fn total(&self) -> u32 {
        self.total
    }

    /// How many pieces are in the set.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether every piece of the torrent is in the set.
    pub const fn is_all(&self) -> bool {
        self.count == self.total
    }

    /// Whether a piece is in the set.
    pub fn has(&self, piece: PieceIndex) -> bool {
        if self.bits.is_empty() {
            return self.count > 0 && piece.0 < self.total;
        }
        let byte = self.bits.get(piece.0 as usize / 8).copied().unwrap_or(0);
        byte & (0x80 >> (piece.0 % 8)) != 0
    }

    /// Adds a piece; whether it is new. A piece that the torrent does not have is not added.
    pub fn insert(&mut self, piece: PieceIndex) -> bool {
        if piece.0 >= self.total || self.has(piece) {
            return false;
        }
        self.spread();
        self.bits[piece.0 as usize / 8] |= 0x80 >> (piece.0 % 8);
        self.count += 1;
        if self.is_all() {
            self.bits = Vec::new();
        }
        true
    }

    /// Removes a piece; whether it was in the set.
    pub fn remove(&mut self, piece: PieceIndex) -> bool {
        if !self.has(piece) {
            return false;
        }
        self.spread();
        self.bits[piece.0 as usize / 8] &= !(0x80 >> (piece.0 % 8));
        self.count -= 1;
        if self.count == 0 {
            self.bits = Vec::new();
        }
        true
    }

    /// The pieces in the set, in their order.
    pub fn iter(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        let total = if self.count == 0 { 0 } else { self.total };
        (0..total).map(PieceIndex).filter(|&piece| self.has(piece))
    }

    fn spread(&mut self) {
        if !self.bits.is_empty() {
            return;
        }
        let fill = if self.count > 0 { 0xff } else { 0 };
        self.bits = vec![fill; self.total.div_ceil(8) as usize];
        let spare = (8 - self.total % 8) % 8;
        if let Some(last) = self.bits.last_mut() {
            *last &= 0xff << spare;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bitfield_is_read_bit_by_bit() {
        for bits in [[0b1010_0000, 0b0100_0000], [0xff, 0xc0], [0, 0]] {
            let mut holding = PieceSet::from_bitfield(&bits, 10).unwrap();
            let pieces: Vec<_> = holding.iter().map(|piece| piece.0).collect();
            let wanted: Vec<_> =
                (0..10).filter(|&piece| bits[piece as usize / 8] & (0x80 >> (piece % 8)) != 0).collect();
            assert_eq!((pieces, holding.count() as usize), (wanted.clone(), wanted.len()));
            holding.spread();
            assert_eq!(holding.bits, bits);
        }
    }

    #[test]
    fn rejects_bitfields_of_a_wrong_length_or_with_spare_bits() {
        assert_eq!(PieceSet::from_bitfield(&[0xff], 10), None);
        assert_eq!(PieceSet::from_bitfield(&[0xff, 0xc0, 0], 10), None);
        assert_eq!(PieceSet::from_bitfield(&[0, 0x20], 10), None);
    }

    #[test]
    fn one_piece_less_than_all_is_not_all() {
        let mut holding = PieceSet::all(10);
        assert!(holding.is_all() && holding.has(PieceIndex(9)) && !holding.has(PieceIndex(10)));
        assert!(holding.remove(PieceIndex(3)) && !holding.remove(PieceIndex(3)));
        assert_eq!(holding.iter().count(), 9);
        assert!(holding.insert(PieceIndex(3)) && !holding.insert(PieceIndex(10)));
        assert!(holding.is_all());
    }
}
