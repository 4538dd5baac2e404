//! A set of the pieces of one torrent, as bitfield messages have it.

use std::fmt;

use crate::PieceIndex;

/// Some of the pieces of one torrent. A set of none or of all takes no memory on the heap; any other takes one bit for each
/// piece of the torrent.
///
/// ```
/// use bittrace_protocol::PieceIndex;
/// use bittrace_protocol::wire::PieceSet;
///
/// let mut pieces = PieceSet::from_bitfield(&[0b1010_0000], 3).unwrap();
/// assert_eq!((pieces.count(), pieces.contains(PieceIndex(2))), (2, true));
/// pieces.insert(PieceIndex(1));
/// assert!(pieces.is_all());
/// assert_eq!(pieces.to_bitfield(), [0b1110_0000]);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PieceSet {
    /// A bit a piece, the high bit of the first byte for piece 0; empty for none and for all.
    bits: Vec<u8>,
    count: u32,
    total: u32,
}

impl PieceSet {
    /// None of `total` pieces.
    pub const fn none(total: u32) -> Self {
        Self { bits: Vec::new(), count: 0, total }
    }

    /// All of `total` pieces.
    pub const fn all(total: u32) -> Self {
        Self { bits: Vec::new(), count: total, total }
    }

    /// The set that a bitfield message of a torrent of `total` pieces describes; `None` where its length is wrong, or a spare
    /// bit after the last piece is set (BEP 3, "bitfield").
    pub fn from_bitfield(bits: &[u8], total: u32) -> Option<Self> {
        if bits.len() != total.div_ceil(8) as usize {
            return None;
        }
        if bits.last().is_some_and(|last| last.trailing_zeros() < spare_bits(total)) {
            return None;
        }
        let count = bits.iter().map(|byte| byte.count_ones()).sum();
        let bits = if count == 0 || count == total { Vec::new() } else { bits.to_vec() };
        Some(Self { bits, count, total })
    }

    /// The bytes of a bitfield message: the high bit of the first byte for piece 0, spare bits zero (BEP 3, "bitfield").
    pub fn to_bitfield(&self) -> Vec<u8> {
        if !self.bits.is_empty() {
            return self.bits.clone();
        }
        let fill = if self.count > 0 { 0xff } else { 0 };
        let mut bits = vec![fill; self.total.div_ceil(8) as usize];
        if let Some(last) = bits.last_mut() {
            *last &= 0xff << spare_bits(self.total);
        }
        bits
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
    pub fn contains(&self, piece: PieceIndex) -> bool {
        if self.bits.is_empty() {
            return self.count > 0 && piece.0 < self.total;
        }
        self.bits.get(piece.0 as usize / 8).is_some_and(|byte| byte & mask(piece) != 0)
    }

    /// Adds a piece; whether it is new, and one of the torrent's.
    pub fn insert(&mut self, piece: PieceIndex) -> bool {
        if piece.0 >= self.total || self.contains(piece) {
            return false;
        }
        self.make_bits();
        self.bits[piece.0 as usize / 8] |= mask(piece);
        self.count += 1;
        if self.is_all() {
            self.bits = Vec::new();
        }
        true
    }

    /// Removes a piece; whether it was in the set.
    pub fn remove(&mut self, piece: PieceIndex) -> bool {
        if !self.contains(piece) {
            return false;
        }
        self.make_bits();
        self.bits[piece.0 as usize / 8] &= !mask(piece);
        self.count -= 1;
        if self.count == 0 {
            self.bits = Vec::new();
        }
        true
    }

    /// The pieces of the set, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        let total = if self.count == 0 { 0 } else { self.total };
        (0..total).map(PieceIndex).filter(|&piece| self.contains(piece))
    }

    fn make_bits(&mut self) {
        if self.bits.is_empty() {
            self.bits = self.to_bitfield();
        }
    }
}

impl fmt::Debug for PieceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PieceSet({} of {})", self.count, self.total)
    }
}

/// How many bits of the last byte of a bitfield stand for no piece.
const fn spare_bits(total: u32) -> u32 {
    (8 - total % 8) % 8
}

const fn mask(piece: PieceIndex) -> u8 {
    0x80 >> (piece.0 % 8)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rejects_bitfields_of_a_wrong_length_or_with_spare_bits() {
        assert_eq!(PieceSet::from_bitfield(&[0xff], 10), None);
        assert_eq!(PieceSet::from_bitfield(&[0xff, 0xc0, 0], 10), None);
        assert_eq!(PieceSet::from_bitfield(&[0, 0x20], 10), None);
        assert_eq!(PieceSet::from_bitfield(&[], 0), Some(PieceSet::none(0)));
    }

    #[test]
    fn one_piece_less_than_all_is_not_all() {
        let mut pieces = PieceSet::all(10);
        assert!(pieces.is_all() && pieces.contains(PieceIndex(9)) && !pieces.contains(PieceIndex(10)));
        assert!(pieces.remove(PieceIndex(3)) && !pieces.remove(PieceIndex(3)));
        assert_eq!(pieces.to_bitfield(), [0b1110_1111, 0b1100_0000]);
        assert!(pieces.insert(PieceIndex(3)) && !pieces.insert(PieceIndex(10)));
        assert!(pieces.is_all());
    }

    proptest! {
        #[test]
        fn a_piece_set_is_a_set_of_numbers(
            total in 0..40_u32,
            full: bool,
            steps in prop::collection::vec((any::<bool>(), 0..44_u32), 0..120),
        ) {
            let mut pieces = if full { PieceSet::all(total) } else { PieceSet::none(total) };
            let mut numbers: BTreeSet<u32> = (0..total).filter(|_| full).collect();
            for (inserts, number) in steps {
                let changed = if inserts {
                    number < total && numbers.insert(number)
                } else {
                    numbers.remove(&number)
                };
                let piece = PieceIndex(number);
                prop_assert_eq!(if inserts { pieces.insert(piece) } else { pieces.remove(piece) }, changed);
                prop_assert_eq!(pieces.contains(piece), numbers.contains(&number));
                prop_assert_eq!(pieces.count() as usize, numbers.len());
            }
            prop_assert_eq!(pieces.iter().map(|piece| piece.0).collect::<BTreeSet<_>>(), numbers.clone());
            let bits = pieces.to_bitfield();
            prop_assert_eq!(bits.len() as u32, total.div_ceil(8));
            for number in 0..bits.len() as u32 * 8 {
                let set = bits[number as usize / 8] & (0x80 >> (number % 8)) != 0;
                prop_assert_eq!(set, numbers.contains(&number), "bit {}", number);
            }
            prop_assert_eq!(PieceSet::from_bitfield(&bits, total), Some(pieces));
        }
    }
}
