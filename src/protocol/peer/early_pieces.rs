//! What a side says of its pieces before the number of pieces is known, as in a download whose metadata comes from peers
//! (BEP 9). It is kept as it came, in bounded memory, until it can be applied.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::wire::{Message, PieceSet};
use crate::{Geometry, PieceIndex};

use super::PeerFault;

/// The pieces that a side says it has, of a torrent of unknown size.
#[derive(Debug)]
pub(super) struct EarlyPieces {
    said: Said,
    /// The greatest piece that was named alone.
    highest: Option<PieceIndex>,
}

#[derive(Debug)]
enum Said {
    /// None but these.
    None(Ranges),
    /// All but these.
    All(Ranges),
    /// A bitfield, with what came after it applied.
    Bits(Vec<u8>),
}

impl EarlyPieces {
    pub(super) const fn new() -> Self {
        Self { said: Said::None(Ranges(BTreeMap::new())), highest: None }
    }

    /// Takes a message about pieces; whether it changes anything that is kept.
    pub(super) fn take(&mut self, message: &Message) -> bool {
        match message {
            Message::Have(piece) => {
                self.highest = self.highest.max(Some(*piece));
                match &mut self.said {
                    Said::None(ranges) => ranges.insert(piece.0),
                    Said::All(ranges) => ranges.remove(piece.0),
                    Said::Bits(bits) => set_bit(bits, *piece, true),
                }
            }
            Message::Bitfield(bits) => {
                self.said = Said::Bits(bits.to_vec());
                true
            }
            Message::HaveAll => {
                self.said = Said::All(Ranges::default());
                true
            }
            Message::HaveNone => {
                self.said = Said::None(Ranges::default());
                true
            }
            _ => false,
        }
    }

    /// Takes a piece that the side no longer has (BEP 54); whether it had the piece.
    pub(super) fn drop_piece(&mut self, piece: PieceIndex) -> bool {
        match &mut self.said {
            Said::None(ranges) => ranges.remove(piece.0),
            Said::All(ranges) => ranges.insert(piece.0),
            Said::Bits(bits) => set_bit(bits, piece, false),
        }
    }

    /// The pieces of a torrent of this geometry.
    ///
    /// # Errors
    /// The rule that a message broke, as only shows now.
    pub(super) fn pieces(self, geometry: &Geometry) -> Result<PieceSet, PeerFault> {
        let named = self.highest.map(Message::Have);
        if let Some(fault) = named.and_then(|have| PeerFault::of_range(&have, geometry)) {
            return Err(fault);
        }
        let count = geometry.piece_count();
        match self.said {
            Said::None(ranges) => {
                let mut pieces = PieceSet::none(count);
                for piece in ranges.numbers(count) {
                    pieces.insert(PieceIndex(piece));
                }
                Ok(pieces)
            }
            Said::All(ranges) => {
                let mut pieces = PieceSet::all(count);
                for piece in ranges.numbers(count) {
                    pieces.remove(PieceIndex(piece));
                }
                Ok(pieces)
            }
            Said::Bits(bits) => match PieceSet::from_bitfield(&bits, count) {
                Some(pieces) => Ok(pieces),
                None => Err(PeerFault::of_range(&Message::Bitfield(Bytes::from(bits)), geometry)
                    .unwrap_or(PeerFault::BitfieldSpareBits)),
            },
        }
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        match &self.said {
            Said::None(ranges) | Said::All(ranges) => ranges.0.len() * 8,
            Said::Bits(bits) => bits.len(),
        }
    }
}

/// Sets or clears the bit of a piece; whether that changes the bit. Pieces after the last bit have none.
fn set_bit(bits: &mut [u8], piece: PieceIndex, on: bool) -> bool {
    let Some(byte) = bits.get_mut(piece.0 as usize / 8) else { return false };
    let before = *byte;
    let mask = 0x80 >> (piece.0 % 8);
    *byte = if on { before | mask } else { before & !mask };
    *byte != before
}

/// Numbers, as ranges that neither touch nor overlap: the first and the last number of each.
#[derive(Debug, Default)]
struct Ranges(BTreeMap<u32, u32>);

impl Ranges {
    /// Adds a number; whether it is new. What would make too many ranges is not kept.
    fn insert(&mut self, number: u32) -> bool {
        let before = self.0.range(..=number).next_back().map(|(&first, &last)| (first, last));
        let mut range = match before {
            Some((_, last)) if last >= number => return false,
            Some((first, last)) if last + 1 == number => (first, number),
            _ if self.0.len() >= MAX_RANGES => return false,
            _ => (number, number),
        };
        if let Some(next) = number.checked_add(1)
            && let Some(last) = self.0.remove(&next)
        {
            range.1 = last;
        }
        self.0.insert(range.0, range.1);
        true
    }

    /// Removes a number; whether it was there. The second part of a range that would make too many is not kept.
    fn remove(&mut self, number: u32) -> bool {
        let before = self.0.range(..=number).next_back().map(|(&first, &last)| (first, last));
        let Some((first, last)) = before.filter(|(_, last)| *last >= number) else { return false };
        self.0.remove(&first);
        if first < number {
            self.0.insert(first, number - 1);
        }
        if last > number && self.0.len() < MAX_RANGES {
            self.0.insert(number + 1, last);
        }
        true
    }

    /// The numbers below `end`, in order.
    fn numbers(&self, end: u32) -> impl Iterator<Item = u32> + '_ {
        let ranges = self.0.iter().take_while(move |(first, _)| **first < end);
        ranges.flat_map(move |(&first, &last)| first..=last.min(end.saturating_sub(1)))
    }
}

/// How many ranges of pieces are kept of a side. Peers that tell of their pieces one by one do so in order, or have few.
const MAX_RANGES: usize = 4_096;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn geometry(pieces: u32) -> Geometry {
        Geometry::new(16_384, [u64::from(pieces) * 16_384]).expect("a geometry")
    }

    fn have(piece: u32) -> Message {
        Message::Have(PieceIndex(piece))
    }

    #[test]
    fn a_bitfield_is_judged_once_the_pieces_are_known() {
        let said = |bits: &'static [u8]| {
            let mut early = EarlyPieces::new();
            assert!(early.take(&Message::Bitfield(Bytes::from_static(bits))));
            early
        };
        assert_eq!(said(&[0xff, 0xc0]).pieces(&geometry(10)), Ok(PieceSet::all(10)));
        assert_eq!(said(&[0xff, 0xe0]).pieces(&geometry(10)), Err(PeerFault::BitfieldSpareBits));
        let wrong = PeerFault::BitfieldLength { length: 2, piece_count: 17 };
        assert_eq!(said(&[0xff, 0xff]).pieces(&geometry(17)), Err(wrong));
    }

    #[test]
    fn a_piece_that_the_torrent_does_not_have_is_a_fault() {
        for first in [Message::HaveNone, Message::HaveAll, Message::Bitfield(Bytes::from_static(&[0, 0]))] {
            let mut early = EarlyPieces::new();
            early.take(&first);
            early.take(&have(10));
            assert!(matches!(early.pieces(&geometry(10)), Err(PeerFault::OutOfRange { .. })), "{first:?}");
        }
    }

    #[test]
    fn ranges_are_few_whatever_is_said() {
        let mut early = EarlyPieces::new();
        for piece in 0..20_000 {
            early.take(&have(piece * 2));
        }
        assert_eq!(early.memory(), MAX_RANGES * 8);
        for piece in 0..20_000 {
            early.take(&have(piece * 2 + 1));
        }
        assert!(early.memory() <= MAX_RANGES * 8);
        let mut early = EarlyPieces::new();
        early.take(&Message::HaveAll);
        (0..20_000).for_each(|piece| assert_eq!(early.drop_piece(PieceIndex(piece * 2)), piece < 4_096));
        assert_eq!(early.memory(), MAX_RANGES * 8);
    }

    proptest! {
        #[test]
        fn the_pieces_are_those_that_were_said(
            first in 0..4_usize,
            steps in prop::collection::vec((any::<bool>(), 0..40_u32), 0..120),
        ) {
            let mut early = EarlyPieces::new();
            let mut numbers: BTreeSet<u32> = BTreeSet::new();
            match first {
                0 => {}
                1 => {
                    early.take(&Message::HaveAll);
                    numbers = (0..40).collect();
                }
                2 => {
                    early.take(&Message::Bitfield(Bytes::from_static(&[0xf0, 0, 0, 0, 1])));
                    numbers = [0, 1, 2, 3, 39].into();
                }
                _ => {
                    early.take(&Message::HaveNone);
                }
            }
            for (has, piece) in steps {
                let changed = if has { early.take(&have(piece)) } else { early.drop_piece(PieceIndex(piece)) };
                prop_assert_eq!(changed, if has { numbers.insert(piece) } else { numbers.remove(&piece) });
            }
            let pieces = early.pieces(&geometry(40)).expect("pieces of the torrent");
            prop_assert_eq!(pieces.iter().map(|piece| piece.0).collect::<BTreeSet<_>>(), numbers);
        }
    }
}
