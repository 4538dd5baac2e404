//! Whom peers may be told of by peer exchange (BEP 11), and whom each was told of. It is kept up to date with each peer that comes
//! or goes, without a look at the other peers.

use std::net::SocketAddr;

use smallvec::SmallVec;

use super::SessionStreamId;

/// The addresses at which others can connect to peers, each with a place of its own: what a peer was told of is a bit for each
/// place. An address keeps its place while a peer is there, or somebody was told of it and not that it is gone.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// In ascending order of the addresses. All are looked at for each message: they stand together.
    addresses: Vec<Passed>,
    /// The places that are taken.
    taken: AddressSet,
}

/// An address that is passed on.
#[derive(Debug)]
struct Passed {
    address: SocketAddr,
    place: usize,
    /// The connections to the peer there, in ascending order, each with what is said of the peer (BEP 11, `added.f`); none once it
    /// is gone.
    streams: SmallVec<[(SessionStreamId, u8); 1]>,
    /// How many peers were told of it.
    told: usize,
}

/// Some addresses, by their places.
#[derive(Debug, Default)]
pub(super) struct AddressSet(SmallVec<[u64; 2]>);

impl AddressSet {
    fn is_empty(&self) -> bool {
        self.0.iter().all(|bits| *bits == 0)
    }

    fn has(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|bits| bits & (1 << (place % 64)) != 0)
    }

    fn insert(&mut self, place: usize) {
        if self.0.len() <= place / 64 {
            self.0.resize(place / 64 + 1, 0);
        }
        self.0[place / 64] |= 1 << (place % 64);
    }

    fn remove(&mut self, place: usize) {
        if let Some(bits) = self.0.get_mut(place / 64) {
            *bits &= !(1 << (place % 64));
        }
    }

    /// The first place that is none of these.
    fn first_free(&self) -> usize {
        let full = self.0.iter().take_while(|bits| **bits == u64::MAX).count();
        full * 64 + self.0.get(full).map_or(0, |bits| bits.trailing_ones() as usize)
    }
}

impl Exchange {
    fn find(&self, address: SocketAddr) -> Result<usize, usize> {
        self.addresses.binary_search_by_key(&address, |passed| passed.address)
    }

    /// Others can connect to a peer at this address; these flags are said of it from now on.
    pub(super) fn note(&mut self, address: SocketAddr, stream: SessionStreamId, flags: u8) {
        let at = self.find(address).unwrap_or_else(|at| {
            let place = self.taken.first_free();
            self.taken.insert(place);
            self.addresses.insert(at, Passed { address, place, streams: SmallVec::new(), told: 0 });
            at
        });
        let streams = &mut self.addresses[at].streams;
        match streams.binary_search_by_key(&stream, |(other, _)| *other) {
            Ok(at) => streams[at].1 = flags,
            Err(at) => streams.insert(at, (stream, flags)),
        }
    }

    /// A connection to the peer at an address is over.
    pub(super) fn left(&mut self, address: SocketAddr, stream: SessionStreamId) {
        if let Ok(at) = self.find(address) {
            self.addresses[at].streams.retain(|(other, _)| *other != stream);
            self.forget_if_unused(at);
        }
    }

    /// A peer that was told of these is over.
    pub(super) fn forget_told(&mut self, told: &AddressSet) {
        if told.is_empty() {
            return;
        }
        let Self { addresses, taken } = self;
        addresses.retain_mut(|passed| {
            passed.told -= usize::from(told.has(passed.place));
            let is_used = passed.is_used();
            if !is_used {
                taken.remove(passed.place);
            }
            is_used
        });
    }

    /// The addresses of peers that are there, of which one who was told of `told` was not told, in ascending order; each with what
    /// is said of the peer on its last connection.
    pub(super) fn news<'a>(&'a self, told: &'a AddressSet) -> impl Iterator<Item = (SocketAddr, u8)> + 'a {
        let there = self.addresses.iter().filter(|passed| !told.has(passed.place));
        there.filter_map(|passed| Some((passed.address, passed.streams.last()?.1)))
    }

    /// The addresses of peers that are gone, of which one who was told of `told` was told, in ascending order.
    pub(super) fn dropped<'a>(&'a self, told: &'a AddressSet) -> impl Iterator<Item = SocketAddr> + 'a {
        let gone = self.addresses.iter().filter(|passed| passed.streams.is_empty());
        gone.filter(|passed| told.has(passed.place)).map(|passed| passed.address)
    }

    /// One who was told of `told` is told of an address now.
    pub(super) fn tell(&mut self, address: SocketAddr, told: &mut AddressSet) {
        let Ok(at) = self.find(address) else { return };
        let passed = &mut self.addresses[at];
        if !told.has(passed.place) {
            passed.told += 1;
            told.insert(passed.place);
        }
    }

    /// One who was told of `told` is told now that an address is gone.
    pub(super) fn take_back(&mut self, address: SocketAddr, told: &mut AddressSet) {
        let Ok(at) = self.find(address) else { return };
        let passed = &mut self.addresses[at];
        if told.has(passed.place) {
            passed.told -= 1;
            told.remove(passed.place);
            self.forget_if_unused(at);
        }
    }

    fn forget_if_unused(&mut self, at: usize) {
        if !self.addresses[at].is_used() {
            self.taken.remove(self.addresses[at].place);
            self.addresses.remove(at);
        }
    }
}

impl Passed {
    fn is_used(&self) -> bool {
        self.told > 0 || !self.streams.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u8) -> SocketAddr {
        ([11, 0, 0, number], 6881).into()
    }

    const FIRST: SessionStreamId = SessionStreamId(2);
    const SECOND: SessionStreamId = SessionStreamId(4);

    fn news(exchange: &Exchange, told: &AddressSet) -> Vec<(SocketAddr, u8)> {
        exchange.news(told).collect()
    }

    #[test]
    fn a_peer_is_told_of_each_address_once_and_that_it_is_gone_once() {
        let (mut exchange, mut told) = (Exchange::default(), AddressSet::default());
        exchange.note(at(2), FIRST, 0x10);
        exchange.note(at(1), SECOND, 0);
        assert_eq!(news(&exchange, &told), [(at(1), 0), (at(2), 0x10)]);
        exchange.tell(at(2), &mut told);
        assert_eq!(news(&exchange, &told), [(at(1), 0)]);
        exchange.left(at(2), FIRST);
        exchange.left(at(1), SECOND);
        assert_eq!(news(&exchange, &told), []);
        assert_eq!(exchange.dropped(&told).collect::<Vec<_>>(), [at(2)]);
        exchange.take_back(at(2), &mut told);
        assert_eq!((exchange.dropped(&told).count(), exchange.addresses.len()), (0, 0));
    }

    #[test]
    fn an_address_is_there_as_long_as_one_of_its_connections_and_the_last_one_tells_of_it() {
        let (mut exchange, told) = (Exchange::default(), AddressSet::default());
        exchange.note(at(1), SECOND, 0x10);
        exchange.note(at(1), FIRST, 0x01);
        assert_eq!(news(&exchange, &told), [(at(1), 0x10)]);
        exchange.note(at(1), SECOND, 0x12);
        assert_eq!(news(&exchange, &told), [(at(1), 0x12)]);
        exchange.left(at(1), SECOND);
        assert_eq!(news(&exchange, &told), [(at(1), 0x01)]);
    }

    #[test]
    fn a_place_is_used_again_once_nobody_remembers_who_had_it() {
        let mut exchange = Exchange::default();
        let (mut told, other) = (AddressSet::default(), AddressSet::default());
        (0..130).for_each(|number| exchange.note(at(number), FIRST, 0));
        exchange.tell(at(1), &mut told);
        (0..130).for_each(|number| exchange.left(at(number), FIRST));
        assert_eq!(exchange.addresses.len(), 1);
        exchange.note(at(200), SECOND, 0);
        exchange.note(at(201), SECOND, 0);
        // One who was told of an address that is gone was not told of those that came after it.
        assert_eq!(news(&exchange, &told), [(at(200), 0), (at(201), 0)]);
        assert_eq!((exchange.news(&other).count(), exchange.dropped(&other).count()), (2, 0));
        exchange.forget_told(&told);
        assert_eq!((exchange.addresses.len(), exchange.taken.first_free()), (2, 1));
    }
}
