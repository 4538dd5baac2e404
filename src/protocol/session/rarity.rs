//! The pieces nobody has begun, ordered by how many peers have them. A change costs the same however many
//! pieces there are.

use crate::PieceIndex;

use super::rng::Rng;

/// How many peers have each piece, and the waiting pieces in that order.
#[derive(Debug)]
pub(super) struct Rarity {
    /// How many peers have a piece.
    counts: Vec<u32>,
    /// The waiting pieces, the rarest first, at random among equals.
    order: Vec<u32>,
    /// Where a piece stands in the order; [`AWAY`] when it does not wait.
    places: Vec<u32>,
    /// Where the pieces that so many peers have begin in the order.
    starts: Vec<u32>,
    /// No piece before this one waits.
    lowest: u32,
}

impl Rarity {
    /// All of `total` pieces wait, and no peer has any.
    pub(super) fn new(total: u32, rng: &mut Rng) -> Self {
        let mut order: Vec<u32> = (0..total).collect();
        rng.shuffle(&mut order);
        let mut places = vec![0; total as usize];
        for (place, &piece) in (0..).zip(&order) {
            places[piece as usize] = place;
        }
        Self { counts: vec![0; total as usize], order, places, starts: vec![0], lowest: 0 }
    }

    /// How many pieces wait.
    pub(super) const fn waiting(&self) -> usize {
        self.order.len()
    }

    /// How many peers have a piece.
    pub(super) fn holders(&self, piece: PieceIndex) -> u32 {
        self.counts.get(piece.0 as usize).copied().unwrap_or(0)
    }

    /// The waiting pieces, the rarest first.
    pub(super) fn rarest(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.order.iter().map(|&piece| PieceIndex(piece))
    }

    /// The waiting pieces that one peer alone has, at random.
    pub(super) fn held_by_one(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        let start = self.end(0) as usize;
        let end = if self.starts.len() > 1 { self.end(1) as usize } else { start };
        self.order[start..end].iter().map(|&piece| PieceIndex(piece))
    }

    /// The waiting pieces by their numbers.
    pub(super) fn in_order(&mut self) -> impl Iterator<Item = PieceIndex> + '_ {
        while (self.lowest as usize) < self.places.len() && self.places[self.lowest as usize] == AWAY {
            self.lowest += 1;
        }
        let waits = |piece: &u32| self.places[*piece as usize] != AWAY;
        (self.lowest..self.places.len() as u32).filter(waits).map(PieceIndex)
    }

    /// One of the waiting pieces.
    pub(super) fn any(&self, rng: &mut Rng) -> Option<PieceIndex> {
        self.order.get(rng.below(self.order.len())).map(|&piece| PieceIndex(piece))
    }

    /// One more peer has a piece.
    pub(super) fn more(&mut self, piece: PieceIndex, rng: &mut Rng) {
        let count = self.counts[piece.0 as usize] as usize;
        self.counts[piece.0 as usize] += 1;
        let place = self.places[piece.0 as usize];
        if place == AWAY {
            return;
        }
        while self.starts.len() < count + 2 {
            self.starts.push(self.order.len() as u32);
        }
        self.starts[count + 1] -= 1;
        self.swap(place, self.starts[count + 1]);
        self.mix(piece, rng);
    }

    /// One peer less has a piece.
    pub(super) fn fewer(&mut self, piece: PieceIndex, rng: &mut Rng) {
        let count = self.counts[piece.0 as usize] as usize;
        debug_assert!(count > 0, "a peer that had the piece was counted");
        self.counts[piece.0 as usize] = (count as u32).saturating_sub(1);
        let place = self.places[piece.0 as usize];
        if place == AWAY || count == 0 {
            return;
        }
        self.swap(place, self.starts[count]);
        self.starts[count] += 1;
        self.mix(piece, rng);
    }

    /// A piece does not wait any longer.
    pub(super) fn take(&mut self, piece: PieceIndex) {
        let mut place = self.places[piece.0 as usize];
        if place == AWAY {
            return;
        }
        // The gap moves through the ends of all groups behind.
        for group in self.counts[piece.0 as usize] as usize..self.starts.len() {
            let last = self.end(group) - 1;
            self.swap(place, last);
            place = last;
        }
        for start in self.starts.iter_mut().skip(self.counts[piece.0 as usize] as usize + 1) {
            *start -= 1;
        }
        self.order.pop();
        self.places[piece.0 as usize] = AWAY;
    }

    /// Puts a piece at a random place among those as rare.
    fn mix(&mut self, piece: PieceIndex, rng: &mut Rng) {
        let group = self.counts[piece.0 as usize] as usize;
        let start = self.starts[group];
        let other = start + rng.below((self.end(group) - start) as usize) as u32;
        self.swap(self.places[piece.0 as usize], other);
    }

    fn end(&self, group: usize) -> u32 {
        self.starts.get(group + 1).copied().unwrap_or(self.order.len() as u32)
    }

    fn swap(&mut self, one: u32, other: u32) {
        self.order.swap(one as usize, other as usize);
        for place in [one, other] {
            self.places[self.order[place as usize] as usize] = place;
        }
    }
}

const AWAY: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, proptest};

    use super::*;

    fn assert_sound(rarity: &Rarity) {
        let counts: Vec<_> = rarity.rarest().map(|piece| rarity.counts[piece.0 as usize]).collect();
        assert!(counts.is_sorted(), "{counts:?}");
        let alone: Vec<_> = rarity.held_by_one().map(|piece| rarity.counts[piece.0 as usize]).collect();
        assert_eq!(alone.len(), counts.iter().filter(|&&count| count == 1).count(), "{counts:?}");
        assert!(alone.iter().all(|&count| count == 1), "{alone:?}");
        for (place, piece) in (0..).zip(rarity.rarest()) {
            assert_eq!(rarity.places[piece.0 as usize], place);
        }
        let waiting = rarity.places.iter().filter(|&&place| place != AWAY).count();
        assert_eq!(waiting, rarity.waiting());
    }

    proptest! {
        #[test]
        fn the_rarest_stand_first_whatever_happens(steps in prop::collection::vec((0..3u8, 0..40u32), 0..200)) {
            let mut rng = Rng::new(1);
            let mut rarity = Rarity::new(40, &mut rng);
            for (step, piece) in steps {
                let piece = PieceIndex(piece);
                match step {
                    0 => rarity.more(piece, &mut rng),
                    1 if rarity.counts[piece.0 as usize] > 0 => rarity.fewer(piece, &mut rng),
                    2 => rarity.take(piece),
                    _ => {}
                }
                assert_sound(&rarity);
            }
        }
    }
}
