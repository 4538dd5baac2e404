//! How many hosts have each piece, those that came with all of them left out.

use bittrace_protocol::PieceIndex;

use crate::network::HostId;

/// The copies of each piece.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    counts: Vec<u32>,
    /// Which pieces each host has, a bit each.
    hosts: Vec<Vec<u64>>,
}

/// The copies of the rarest piece, of all in the mean, and of the most common; how many pieces are as rare as the rarest.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: u32,
    pub(crate) mean: f64,
    pub(crate) most: u32,
    pub(crate) rarest: u32,
}

impl Copies {
    pub(crate) fn new(pieces: usize, hosts: usize) -> Self {
        Self { counts: vec![0; pieces], hosts: vec![Vec::new(); hosts] }
    }

    /// A host has a piece more.
    pub(crate) fn add(&mut self, host: HostId, piece: PieceIndex) {
        let (word, bit) = (piece.0 as usize / 64, 1 << (piece.0 % 64));
        let has = &mut self.hosts[host as usize];
        has.resize(self.counts.len().div_ceil(64), 0);
        if has[word] & bit == 0 {
            has[word] |= bit;
            self.counts[piece.0 as usize] += 1;
        }
    }

    /// A host has gone with all its pieces.
    pub(crate) fn forget(&mut self, host: HostId) {
        for (word, bits) in std::mem::take(&mut self.hosts[host as usize]).into_iter().enumerate() {
            let pieces = (0..64).filter(|bit| bits & (1 << bit) != 0);
            pieces.for_each(|bit| self.counts[word * 64 + bit] -= 1);
        }
    }

    pub(crate) fn spread(&self) -> Spread {
        let least = self.counts.iter().copied().min().unwrap_or(0);
        Spread {
            least,
            mean: self.counts.iter().map(|&count| f64::from(count)).sum::<f64>()
                / self.counts.len().max(1) as f64,
            most: self.counts.iter().copied().max().unwrap_or(0),
            rarest: self.counts.iter().filter(|&&count| count == least).count() as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_go_with_their_host() {
        let mut copies = Copies::new(70, 3);
        (0..70).for_each(|piece| copies.add(1, PieceIndex(piece)));
        copies.add(2, PieceIndex(69));
        copies.add(2, PieceIndex(69));
        assert_eq!(copies.spread(), Spread { least: 1, mean: 71.0 / 70.0, most: 2, rarest: 69 });
        copies.forget(1);
        assert_eq!(copies.spread(), Spread { least: 0, mean: 1.0 / 70.0, most: 1, rarest: 69 });
    }
}
