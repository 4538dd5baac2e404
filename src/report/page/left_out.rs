//! The messages between two that a page shows in full: how many, of which kinds, and which numbers they have.

use serde::ser::{Serialize, SerializeMap, Serializer};
use smallvec::SmallVec;

/// Messages that stand side by side and are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) count: u64,
    /// The number of the first one, and of the last one.
    pub(super) first: u64,
    pub(super) last: u64,
    /// How many of each name, by its place among the names.
    kinds: SmallVec<[(u16, u64); 4]>,
}

impl LeftOut {
    /// Takes in a message.
    pub(super) fn add(&mut self, number: u64, name: u16) {
        self.join(&Self { count: 1, first: number, last: number, kinds: SmallVec::from_iter([(name, 1)]) });
    }

    /// Takes in messages that stand beside these.
    pub(super) fn join(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.first = if self.count == 0 { other.first } else { self.first.min(other.first) };
        self.last = self.last.max(other.last);
        self.count += other.count;
        for &(name, count) in &other.kinds {
            match self.kinds.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known += count,
                None => self.kinds.push((name, count)),
            }
        }
    }

    /// The filter that shows them.
    pub(super) fn filter(&self) -> String {
        match self.first == self.last {
            true => format!("n == {}", self.first),
            false => format!("n >= {} && n <= {}", self.first, self.last),
        }
    }

    /// How many of each name, most first.
    pub(super) fn kinds<'n>(&self, names: &[&'n str]) -> Kinds<'n> {
        let named = |&(name, count): &(u16, u64)| Some((*names.get(usize::from(name))?, count));
        let mut kinds: Vec<_> = self.kinds.iter().filter_map(named).collect();
        kinds.sort_by_key(|&(name, count)| (std::cmp::Reverse(count), name));
        Kinds(kinds)
    }
}

/// Counts by name, as one object.
#[derive(Debug)]
pub(super) struct Kinds<'n>(pub(super) Vec<(&'n str, u64)>);

impl Serialize for Kinds<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, count) in &self.0 {
            map.serialize_entry(name, count)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_join_and_keep_their_counts() {
        let mut one = LeftOut::default();
        one.add(7, 0);
        assert_eq!(one.filter(), "n == 7");
        let mut other = LeftOut::default();
        for (number, name) in [(3, 1), (5, 1), (6, 0)] {
            other.add(number, name);
        }
        one.join(&other);
        one.join(&LeftOut::default());
        assert_eq!((one.count, one.filter().as_str()), (4, "n >= 3 && n <= 7"));
        assert_eq!(one.kinds(&["have", "piece"]).0, [("have", 2), ("piece", 2)]);
    }
}
