//! The two ends of a conversation as one key, whichever of them speaks, and what is known of the conversations that were
//! seen of late.

use std::net::SocketAddr;

/// Two ends, the lesser first, so that both directions are the same. Whole numbers are hashed and compared faster than
/// addresses. An IPv4 address stands in its IPv4-mapped form, which no packet of IPv6 may have (RFC 6890, table 20).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FourTuple {
    low: u128,
    high: u128,
    /// The lesser end's in the upper half.
    ports: u32,
}

/// The ends of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PacketEnds {
    /// Between which two ends it went.
    pub(crate) between: FourTuple,
    /// Which of them sent it: 0, the lesser, or 1.
    pub(crate) sender: u8,
}

impl PacketEnds {
    #[inline]
    pub(crate) fn new(src: SocketAddr, dst: SocketAddr) -> Self {
        let (src, dst) = (number(src), number(dst));
        let (low, high, sender) = if src <= dst { (src, dst, 0) } else { (dst, src, 1) };
        let ports = u32::from(low.1) << 16 | u32::from(high.1);
        Self { between: FourTuple { low: low.0, high: high.0, ports }, sender }
    }
}

impl FourTuple {
    /// Both ports.
    #[inline]
    pub(crate) const fn ports(&self) -> u32 {
        self.ports
    }
}

#[inline]
fn number(end: SocketAddr) -> (u128, u16) {
    match end {
        SocketAddr::V4(end) => (MAPPED | u128::from(end.ip().to_bits()), end.port()),
        SocketAddr::V6(end) => (end.ip().to_bits(), end.port()),
    }
}

/// Before the bits of an IPv4 address (RFC 4291, section 2.5.5.2).
const MAPPED: u128 = 0xffff << 32;

/// What is known of conversations that were seen of late: most packets continue one of them, and a look here costs less than
/// one in a table. Each has the place that its ports give, and gives way to the next of that place.
#[derive(Debug, Clone)]
pub(crate) struct RecentConversations<T> {
    places: Box<[Option<(FourTuple, T)>; PLACES]>,
}

/// How many conversations are kept as recent ones; a power of two.
const PLACES: usize = 64;

impl<T> Default for RecentConversations<T> {
    fn default() -> Self {
        Self { places: Box::new([const { None }; PLACES]) }
    }
}

impl<T: Copy> RecentConversations<T> {
    /// What is known of the conversation between these ends, if it was seen of late.
    #[inline]
    pub(crate) fn get(&self, between: &FourTuple) -> Option<T> {
        match &self.places[place(between)] {
            Some((known, what)) if known == between => Some(*what),
            _ => None,
        }
    }

    /// The conversation between these ends is the latest of its place.
    #[inline]
    pub(crate) fn keep(&mut self, between: FourTuple, what: T) {
        self.places[place(&between)] = Some((between, what));
    }

    /// Nothing is known of the conversation between these ends any more.
    pub(crate) fn forget(&mut self, between: &FourTuple) {
        let place = &mut self.places[place(between)];
        if place.as_ref().is_some_and(|(known, _)| known == between) {
            *place = None;
        }
    }
}

/// The place of a conversation among the recent ones.
#[inline]
const fn place(between: &FourTuple) -> usize {
    (between.ports ^ between.ports >> 16) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn ends(src: u16, dst: u16) -> PacketEnds {
        let at = |port| SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), port));
        PacketEnds::new(at(src), at(dst))
    }

    #[test]
    fn both_directions_are_one_conversation() {
        let (there, back) = (ends(1, 2), ends(2, 1));
        assert_eq!((there.between, there.sender, back.sender), (back.between, 0, 1));
        assert_ne!(there.between, ends(1, 3).between);
    }

    #[test]
    fn a_conversation_gives_way_to_the_next_of_its_place() {
        let mut recent = RecentConversations::default();
        let (first, second) = (ends(1, 2).between, ends(1, 2 + PLACES as u16).between);
        recent.keep(first, 'a');
        assert_eq!((recent.get(&first), recent.get(&second)), (Some('a'), None));
        recent.keep(second, 'b');
        assert_eq!((recent.get(&first), recent.get(&second)), (None, Some('b')));
        recent.forget(&first);
        assert_eq!(recent.get(&second), Some('b'));
        recent.forget(&second);
        assert_eq!(recent.get(&second), None);
    }
}
