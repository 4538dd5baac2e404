//! Numbers of packets, which go on with 0 after 65,535.

/// The number of a packet in its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequence(pub(super) u16);

impl Sequence {
    /// How many numbers this one is after another; negative when it is before it. Right while the two are less than 32,768
    /// numbers apart.
    pub(super) const fn after(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed() as i32
    }

    /// The number so many packets later; earlier where `count` is negative.
    pub(super) const fn plus(self, count: i32) -> Self {
        Self(self.0.wrapping_add(count as u16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_after_the_largest() {
        assert_eq!(Sequence(65_535).plus(1), Sequence(0));
        assert_eq!(Sequence(0).plus(-1), Sequence(65_535));
        assert_eq!(Sequence(2).after(Sequence(65_534)), 4);
        assert_eq!(Sequence(65_534).after(Sequence(2)), -4);
    }
}
