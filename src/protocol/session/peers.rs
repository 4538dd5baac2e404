//! The peers of a session, and which of them are to be serviced.

use std::net::IpAddr;

use crate::{PeerId, Timestamp};

use super::SessionStreamId;
use super::peer::{Peer, Phase};
use super::places::Yielding;

/// Every connection to a peer, those being opened among them. A peer stays here from its first moment to its last.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// In ascending order of the streams.
    places: Vec<Place>,
    /// The streams of the places: to look for one of them, this is all that is read.
    streams: Vec<SessionStreamId>,
    /// Those whose connections are being opened by us.
    connecting: Vec<SessionStreamId>,
    /// Those that called, in ascending order of the streams, and their hosts.
    callers: Vec<(SessionStreamId, IpAddr)>,
    /// Those that sent their handshakes, in ascending order of the streams, and the ids in these.
    ids: Vec<(SessionStreamId, PeerId)>,
    /// The peers to be serviced, in the order in which they became dirty.
    dirty: Vec<SessionStreamId>,
    /// The memory of the previous such list, to be used again.
    spare: Vec<SessionStreamId>,
}

/// A peer, and what is known of it without a look at it: a session visits its peers far more often than something is to be done
/// for them.
#[derive(Debug)]
struct Place {
    stream: SessionStreamId,
    /// Whether the peer is in the list of peers to be serviced.
    dirty: bool,
    rest: Option<Rest>,
    peer: Box<Peer>,
}

/// A peer for which nothing is to be done, until something happens to it or one of these ends. To service it now changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rest {
    /// Nothing falls due before this time.
    pub(super) until: Timestamp,
    /// Whether it could be sent more requests, if it took any.
    pub(super) is_idle: bool,
    /// Among whom it gives way where others wait for its place, if it does.
    pub(super) gives_way: Option<Yielding>,
    /// It knows of all peers as of this count of changes among them, where that matters to it.
    pub(super) knows_all_of: Option<u64>,
}

impl Rest {
    /// Whether it lasts at `now`, where these peers give way to others, after so many changes among the peers.
    pub(super) fn lasts(&self, now: Timestamp, yielding: Yielding, changes: u64) -> bool {
        now < self.until
            && self.gives_way.is_none_or(|least| yielding < least)
            && self.knows_all_of.is_none_or(|known| known == changes)
    }
}

impl Peers {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn place(&self, stream: SessionStreamId) -> Option<usize> {
        self.streams.binary_search(&stream).ok()
    }

    pub(super) fn contains(&self, stream: SessionStreamId) -> bool {
        self.place(stream).is_some()
    }

    pub(super) fn get(&self, stream: SessionStreamId) -> Option<&Peer> {
        self.place(stream).map(|at| &*self.places[at].peer)
    }

    /// A peer to which something happens: its rest is over.
    pub(super) fn get_mut(&mut self, stream: SessionStreamId) -> Option<&mut Peer> {
        self.place(stream).map(|at| self.places[at].disturb())
    }

    /// A peer to which something happens that does not end its rest: it does not matter to what is to be done for the peer, or when.
    pub(super) fn get_at_rest(&mut self, stream: SessionStreamId) -> Option<&mut Peer> {
        self.place(stream).map(|at| &mut *self.places[at].peer)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.places.iter().map(|place| &*place.peer)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.places.iter_mut().map(Place::disturb)
    }

    /// The streams of all peers, so that peers may leave while they are visited.
    pub(super) fn streams(&self) -> Vec<SessionStreamId> {
        self.streams.clone()
    }

    /// The peers whose connections are being opened by us.
    pub(super) fn connecting(&self) -> &[SessionStreamId] {
        &self.connecting
    }

    /// The peers that called, and their hosts.
    pub(super) fn callers(&self) -> &[(SessionStreamId, IpAddr)] {
        &self.callers
    }

    /// A peer sent its handshake, with this id.
    pub(super) fn note_id(&mut self, stream: SessionStreamId, id: PeerId) {
        insert_in_order(&mut self.ids, stream, id);
    }

    /// The first peer that has an id, but not `except`.
    pub(super) fn with_id(&self, id: PeerId, except: SessionStreamId) -> Option<&Peer> {
        let (stream, _) = self.ids.iter().find(|(stream, other)| *other == id && *stream != except)?;
        self.get(*stream)
    }

    /// The peers that may be of no use at `now`: without a look at them, those are left out that rest and do not give way. Without
    /// `with_open`, all that rest are left out: handshakes are exchanged with them.
    pub(super) fn iter_doubtful(&self, now: Timestamp, with_open: bool) -> impl Iterator<Item = &Peer> {
        let is_useless = |rest: &Rest| rest.gives_way == Some(Yielding::Useless);
        let is_doubtful = move |rest: &Rest| with_open && (is_useless(rest) || now >= rest.until);
        let doubtful = self.places.iter().filter(move |place| place.rest.as_ref().is_none_or(is_doubtful));
        doubtful.map(|place| &*place.peer)
    }

    /// The connection to a peer is open.
    pub(super) fn note_opened(&mut self, stream: SessionStreamId) {
        self.connecting.retain(|&other| other != stream);
    }

    pub(super) fn insert(&mut self, peer: Peer) {
        if peer.phase == Phase::Connecting {
            self.connecting.push(peer.stream);
        }
        if peer.incoming {
            insert_in_order(&mut self.callers, peer.stream, peer.host());
        }
        let place = Place { stream: peer.stream, dirty: false, rest: None, peer: Box::new(peer) };
        match self.streams.binary_search(&place.stream) {
            Ok(at) => self.places[at] = place,
            Err(at) => {
                self.streams.insert(at, place.stream);
                self.places.insert(at, place);
            }
        }
    }

    pub(super) fn remove(&mut self, stream: SessionStreamId) -> Option<Box<Peer>> {
        let at = self.place(stream)?;
        self.note_opened(stream);
        remove_in_order(&mut self.callers, stream);
        remove_in_order(&mut self.ids, stream);
        self.streams.remove(at);
        Some(self.places.remove(at).peer)
    }

    pub(super) fn pop_first(&mut self) -> Option<Box<Peer>> {
        self.remove(*self.streams.first()?)
    }

    /// Nothing is to be done for a peer, as long as this lasts. One that is to be serviced already does not rest.
    pub(super) fn let_rest(&mut self, stream: SessionStreamId, rest: Rest) {
        if let Some(at) = self.place(stream).filter(|&at| !self.places[at].dirty) {
            self.places[at].rest = Some(rest);
        }
    }

    /// The first peer after this one, or of all, and its rest. Peers may leave while all are visited so.
    pub(super) fn first_after(
        &self,
        stream: Option<SessionStreamId>,
    ) -> Option<(SessionStreamId, Option<Rest>)> {
        let at = stream.map_or(0, |stream| self.streams.partition_point(|&other| other <= stream));
        self.places.get(at).map(|place| (place.stream, place.rest))
    }

    /// Whether a peer is to be serviced.
    pub(super) fn any_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Has a peer serviced at the end of the step, unless it rests then.
    pub(super) fn mark_dirty(&mut self, stream: SessionStreamId) {
        if let Some(at) = self.place(stream) {
            self.places[at].mark(&mut self.dirty);
        }
    }

    /// Has every peer serviced.
    pub(super) fn mark_all_dirty(&mut self) {
        for place in &mut self.places {
            place.disturb();
            place.mark(&mut self.dirty);
        }
    }

    /// Has every peer serviced with which handshakes are exchanged.
    pub(super) fn mark_open_dirty(&mut self) {
        for place in &mut self.places {
            if place.disturb().phase == Phase::Open {
                place.mark(&mut self.dirty);
            }
        }
    }

    /// Has the peers serviced that could be sent more requests, but not `except`.
    pub(super) fn mark_idle_dirty(&mut self, except: Option<SessionStreamId>) {
        for place in &mut self.places {
            let is_idle = place.rest.as_ref().map_or_else(|| place.peer.is_idle(), |rest| rest.is_idle);
            if is_idle && Some(place.stream) != except {
                place.mark(&mut self.dirty);
            }
        }
    }

    /// A peer that was marked to be serviced, where it does not rest.
    pub(super) fn take_marked(&mut self, stream: SessionStreamId) -> Option<&mut Peer> {
        let at = self.place(stream)?;
        let place = &mut self.places[at];
        place.dirty = false;
        place.rest.is_none().then_some(&mut *place.peer)
    }

    /// The peers to be serviced, in the order in which they became dirty.
    pub(super) fn take_dirty(&mut self) -> Vec<SessionStreamId> {
        let spare = std::mem::take(&mut self.spare);
        std::mem::replace(&mut self.dirty, spare)
    }

    /// Takes back the memory of a list that [`take_dirty`](Self::take_dirty) gave.
    pub(super) fn reuse(&mut self, mut list: Vec<SessionStreamId>) {
        list.clear();
        self.spare = list;
    }
}

/// Adds what is kept of a peer to a list in ascending order of the streams, in place of what was there of this peer.
fn insert_in_order<T>(list: &mut Vec<(SessionStreamId, T)>, stream: SessionStreamId, kept: T) {
    match list.binary_search_by_key(&stream, |(other, _)| *other) {
        Ok(at) => list[at].1 = kept,
        Err(at) => list.insert(at, (stream, kept)),
    }
}

fn remove_in_order<T>(list: &mut Vec<(SessionStreamId, T)>, stream: SessionStreamId) {
    if let Ok(at) = list.binary_search_by_key(&stream, |(other, _)| *other) {
        list.remove(at);
    }
}

impl Place {
    /// The peer, to which something happens.
    fn disturb(&mut self) -> &mut Peer {
        self.rest = None;
        &mut self.peer
    }

    fn mark(&mut self, dirty: &mut Vec<SessionStreamId>) {
        if !std::mem::replace(&mut self.dirty, true) {
            dirty.push(self.stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::EncryptionPolicy;
    use crate::session::peer::NewPeer;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs_nanos(seconds, 0)
    }

    fn peers(streams: &[u32]) -> Peers {
        let mut peers = Peers::default();
        for &stream in streams {
            let new = NewPeer {
                stream: SessionStreamId(stream),
                address: ([10, 0, 0, 1], 6881).into(),
                dialled: None,
                policy: EncryptionPolicy::Off,
                own_id: PeerId([0; 20]),
                piece_count: Some(8),
                pipeline_depth: 4,
            };
            peers.insert(Peer::new(&new, at(0)));
        }
        peers
    }

    const REST: Rest = Rest {
        until: Timestamp::from_nanos(10_000_000_000),
        is_idle: true,
        gives_way: Some(Yielding::Useless),
        knows_all_of: Some(3),
    };

    #[test]
    fn a_rest_ends_with_its_time_with_others_that_wait_and_with_a_change_among_the_peers() {
        let (nobody, useless, choking) = (Yielding::Nobody, Yielding::Useless, Yielding::Choking);
        assert!(REST.lasts(at(9), nobody, 3));
        assert!(
            !REST.lasts(at(10), nobody, 3) && !REST.lasts(at(9), useless, 3) && !REST.lasts(at(9), nobody, 4)
        );
        let chokes = Rest { gives_way: Some(choking), ..REST };
        assert!(chokes.lasts(at(9), useless, 3) && !chokes.lasts(at(9), choking, 3));
        let stays = Rest { gives_way: None, knows_all_of: None, ..REST };
        assert!(stays.lasts(at(9), choking, 4));
    }

    #[test]
    fn a_peer_that_rests_keeps_its_turn_and_is_serviced_once_something_happened_to_it() {
        let mut peers = peers(&[4, 1, 2]);
        let [first, second, third] = [1, 2, 4].map(SessionStreamId);
        assert_eq!(peers.streams(), [first, second, third]);
        peers.let_rest(second, REST);
        peers.let_rest(third, REST);
        peers.mark_idle_dirty(Some(first));
        peers.mark_dirty(first);
        // Something happens to the third.
        assert!(peers.get_mut(third).is_some());
        assert_eq!(peers.take_dirty(), [second, third, first]);
        assert!(peers.take_marked(second).is_none());
        assert!(peers.take_marked(third).is_some() && peers.take_marked(first).is_some());
        let rests = |stream| peers.first_after(Some(stream)).map(|(_, rest)| rest.is_some());
        assert_eq!([rests(first), rests(second), rests(third)], [Some(true), Some(false), None]);
    }

    #[test]
    fn a_peer_is_found_by_its_id_as_long_as_it_is_there() {
        let mut peers = peers(&[1, 2, 4]);
        let [first, second] = [1, 4].map(SessionStreamId);
        let id = PeerId([7; 20]);
        peers.note_id(second, id);
        assert!(peers.with_id(id, second).is_none());
        peers.note_id(first, id);
        let found = |peers: &Peers, except| peers.with_id(id, except).map(|peer| peer.stream);
        assert_eq!([found(&peers, SessionStreamId(2)), found(&peers, first)], [Some(first), Some(second)]);
        assert!(peers.remove(first).is_some());
        assert_eq!(found(&peers, SessionStreamId(2)), Some(second));
        assert_eq!(peers.callers().iter().map(|(stream, _)| stream.0).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn a_peer_that_rests_is_looked_at_only_where_it_may_be_of_no_use() {
        let mut peers = peers(&[1, 2, 4]);
        peers.let_rest(SessionStreamId(1), REST);
        peers.let_rest(SessionStreamId(2), Rest { gives_way: Some(Yielding::Choking), ..REST });
        let looked_at = |now, with_open| {
            peers.iter_doubtful(now, with_open).map(|peer| peer.stream.0).collect::<Vec<_>>()
        };
        assert_eq!(looked_at(at(9), true), [1, 4]);
        assert_eq!(looked_at(at(10), true), [1, 2, 4]);
        assert_eq!(looked_at(at(10), false), [4]);
    }

    #[test]
    fn a_peer_that_is_to_be_serviced_does_not_rest() {
        let mut peers = peers(&[1]);
        let stream = SessionStreamId(1);
        peers.mark_dirty(stream);
        peers.let_rest(stream, REST);
        assert_eq!(peers.first_after(None), Some((stream, None)));
        assert!(peers.take_marked(stream).is_some());
    }
}
