//! Which conversation of one capture is the counterpart of which of the other.
//!
//! Only conversations of one role are compared. Those that have most in common are taken first: what they are about,
//! with whom, and who opened them; where that leaves a choice, the order in which they began decides.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};

use bittrace_protocol::tracker::Event;
use bittrace_protocol::tracker::http::RequestKind;
use bittrace_protocol::{InfoHash, PeerId};
use bittrace_trace::Side;
use bittrace_trace::record::{Body, HttpTrackerBody};

use crate::model::transcript::{Conversation, ConversationRole};

/// Pairs of conversations by their places; each conversation is in one pair at most.
pub(crate) fn match_connections(
    reference: &[Conversation],
    candidate: &[Conversation],
) -> Vec<(usize, usize)> {
    let ours: Vec<Traits> = traits(reference);
    let theirs: Vec<Traits> = traits(candidate);
    let mut couples =
        Couples { pairs: Vec::new(), taken: [vec![false; reference.len()], vec![false; candidate.len()]] };
    let alike = |one: &Traits, other: &Traits| one.score(other);
    if ours.len().saturating_mul(theirs.len()) <= SCORED {
        couples.best_first(&ours, &theirs, alike);
    } else {
        couples.in_order(&ours, &theirs, |one| (one.class(), one.torrent, one.called, one.substance));
        couples.in_order(&ours, &theirs, |one| (one.class(), one.torrent, one.far.ip(), one.substance));
        couples.in_order(&ours, &theirs, |one| (one.class(), one.torrent, one.substance));
    }
    couples.pairs.sort_unstable();
    couples.pairs
}

/// How many pairs of conversations are looked at one by one; beyond, only what is equal pairs.
const SCORED: usize = 4_000_000;

/// The bits that hold a number below [`SCORED`].
const PLACE_BITS: u32 = SCORED.ilog2() + 1;

/// No score is higher: the sum of all points.
const MOST_SCORE: u32 = 1023;

struct Couples {
    pairs: Vec<(usize, usize)>,
    taken: [Vec<bool>; 2],
}

impl Couples {
    fn pair(&mut self, one: usize, other: usize) {
        self.taken[0][one] = true;
        self.taken[1][other] = true;
        self.pairs.push((one, other));
    }

    fn best_first(
        &mut self,
        ours: &[Traits],
        theirs: &[Traits],
        score: impl Fn(&Traits, &Traits) -> Option<u32>,
    ) {
        // A number for each pair, whose order is that of the pairs: the higher score first, then the nearer rank, then
        // the place. There are up to SCORED of them, so that each takes no more than eight bytes.
        let mut order: Vec<u64> = Vec::new();
        for (one, our) in ours.iter().enumerate() {
            for (other, their) in theirs.iter().enumerate() {
                if let Some(score) = score(our, their) {
                    let apart = our.rank.abs_diff(their.rank) as u64;
                    let place = (one * theirs.len() + other) as u64;
                    order.push(
                        (u64::from(MOST_SCORE - score) << (2 * PLACE_BITS)) | (apart << PLACE_BITS) | place,
                    );
                }
            }
        }
        order.sort_unstable();
        for number in order {
            let place = (number & ((1 << PLACE_BITS) - 1)) as usize;
            let (one, other) = (place / theirs.len(), place % theirs.len());
            if !self.taken[0][one] && !self.taken[1][other] {
                self.pair(one, other);
            }
        }
    }

    fn in_order<K: Eq + Hash>(&mut self, ours: &[Traits], theirs: &[Traits], key: impl Fn(&Traits) -> K) {
        let mut waiting: HashMap<K, VecDeque<usize>> = HashMap::new();
        for (other, their) in theirs.iter().enumerate().filter(|(other, _)| !self.taken[1][*other]) {
            waiting.entry(key(their)).or_default().push_back(other);
        }
        for (one, our) in ours.iter().enumerate() {
            if self.taken[0][one] {
                continue;
            }
            if let Some(other) = waiting.get_mut(&key(our)).and_then(VecDeque::pop_front) {
                self.pair(one, other);
            }
        }
    }
}

/// What a conversation is recognised by.
#[derive(Debug)]
struct Traits<'a> {
    role: ConversationRole,
    request: RequestMark,
    /// Whether it has the first announce of its capture.
    first_announce: bool,
    first: &'a [u8],
    far: SocketAddr,
    /// The far end's address where it is one that was called, and not a port drawn for the occasion.
    called: Option<SocketAddr>,
    dialled: bool,
    peer_id: Option<PeerId>,
    client: Option<&'a str>,
    torrent: Option<InfoHash>,
    /// Whether there are messages besides a handshake.
    substance: bool,
    /// Its place among those of its class.
    rank: usize,
}

/// What the first request on a tracker's connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum RequestMark {
    None,
    Announce(Option<Event>),
    Scrape,
    Other,
}

fn traits(conversations: &[Conversation]) -> Vec<Traits<'_>> {
    let mut ranks: HashMap<(ConversationRole, RequestMark), usize> = HashMap::new();
    let mut all: Vec<Traits<'_>> = conversations.iter().map(Traits::of).collect();
    for one in &mut all {
        let rank = ranks.entry(one.class()).or_default();
        one.rank = *rank;
        *rank += 1;
    }
    if let Some(first) = all.iter_mut().find(|one| matches!(one.request, RequestMark::Announce(_))) {
        first.first_announce = true;
    }
    all
}

impl<'a> Traits<'a> {
    fn of(conversation: &'a Conversation) -> Self {
        let [local, far] = [Side::Local, Side::Remote].map(|side| conversation.direction(side));
        let first = local.messages.first();
        let request = match (conversation.role, first.map(crate::model::message::StoredMessage::body)) {
            (ConversationRole::HttpTracker, Some(Body::HttpTracker(HttpTrackerBody::Request(_, kind)))) => {
                match &*kind {
                    RequestKind::Announce(announce) => RequestMark::Announce(announce.event),
                    RequestKind::Scrape(_) => RequestMark::Scrape,
                    RequestKind::NoTorrent(_) | RequestKind::Other => RequestMark::Other,
                }
            }
            (ConversationRole::HttpTracker, _) => RequestMark::Other,
            _ => RequestMark::None,
        };
        let said = local.messages.iter().chain(&far.messages);
        Self {
            role: conversation.role,
            request,
            first_announce: false,
            first: first.map_or(&[], |first| &first.bytes[..]),
            far: conversation.far(),
            called: conversation.is_outgoing().then(|| conversation.far()),
            dialled: conversation.is_outgoing(),
            peer_id: far.peer_id,
            client: far.client.as_deref(),
            torrent: conversation.torrent,
            substance: said.take(3).any(|message| message.message() != "handshake"),
            rank: 0,
        }
    }

    fn class(&self) -> (ConversationRole, RequestMark) {
        (self.role, self.request)
    }

    /// How much two conversations have in common; `None` where they are not to be compared.
    fn score(&self, other: &Self) -> Option<u32> {
        if self.role != other.role {
            return None;
        }
        let are_first = self.first_announce && other.first_announce;
        if self.request != other.request && !are_first && !nearly_equal(self.first, other.first) {
            return None;
        }
        let host = |address: SocketAddr| -> IpAddr { address.ip().to_canonical() };
        let both = |points: u32, equal: bool| if equal { points } else { 0 };
        Some(
            both(512, self.request == other.request)
                + both(256, self.torrent == other.torrent)
                + both(128, self.substance == other.substance)
                + both(64, self.called.is_some() && self.called == other.called)
                + both(32, self.peer_id.is_some() && self.peer_id == other.peer_id)
                + both(16, host(self.far) == host(other.far))
                + both(8, self.client.is_some() && self.client == other.client)
                + both(4, self.dialled == other.dialled)
                + both(2, self.far == other.far),
        )
    }
}

/// Whether two messages differ in a few neighbouring bytes only.
fn nearly_equal(one: &[u8], other: &[u8]) -> bool {
    let start = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let (one, other) = (&one[start..], &other[start..]);
    let end = one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count();
    !(start == 0 && end == 0) && one.len().max(other.len()) - end <= FEW
}

const FEW: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::tests::{Run, interested, request};

    const REGULAR: &str = "peer_id=-BT0001-aaaaaaaaaaaa&port=1&left=1";
    const STARTED: &str = "peer_id=-BT0001-aaaaaaaaaaaa&port=1&left=1&event=started";

    fn couples(reference: Run, candidate: Run) -> Vec<(usize, usize)> {
        let (reference, candidate) = (reference.end(), candidate.end());
        match_connections(&reference.conversations, &candidate.conversations)
    }

    fn peer(run: Run) -> Run {
        run.peer("-BT0001-aaaaaaaaaaaa", &[interested(), request(0)])
    }

    #[test]
    fn a_tracker_is_never_the_counterpart_of_a_peer() {
        let reference = Run::new().announce(REGULAR, "t.test");
        assert_eq!(couples(reference, peer(Run::new())), []);
    }

    #[test]
    fn announces_pair_by_their_event_and_not_by_their_order() {
        let reference = Run::new().announce(STARTED, "t.test").announce(REGULAR, "t.test");
        let candidate = peer(Run::new()).announce(REGULAR, "t.test").announce(STARTED, "t.test");
        assert_eq!(couples(reference, candidate), [(0, 2), (1, 1)]);
    }

    #[test]
    fn first_announces_pair_where_no_other_has_the_same_event() {
        let reference =
            Run::new().announce(STARTED, "t.test").announce(&format!("{REGULAR}&event=stopped"), "t.test");
        let candidate =
            peer(Run::new()).announce("left=0&port=1&peer_id=-XY0001-bbbbbbbbbbbb", "other.test:99");
        assert_eq!(couples(reference, candidate), [(0, 1)]);
    }

    #[test]
    fn equal_conversations_pair_in_the_order_in_which_they_began() {
        let reference = peer(peer(Run::new()));
        let candidate = peer(peer(peer(Run::new())));
        assert_eq!(couples(reference, candidate), [(0, 0), (1, 1)]);
    }

    #[test]
    fn a_conversation_of_substance_is_no_counterpart_while_a_better_one_is_left() {
        let bare = |run: Run| run.peer("-BT0001-aaaaaaaaaaaa", &[]);
        let reference = bare(peer(Run::new()));
        let candidate = peer(bare(Run::new()));
        assert_eq!(couples(reference, candidate), [(0, 1), (1, 0)]);
    }

    #[test]
    fn messages_are_nearly_equal_when_up_to_eight_neighbouring_bytes_differ() {
        let original = b"GET /announce?event=started HTTP/1.1";
        assert!(nearly_equal(original, original));
        assert!(nearly_equal(original, b"GET /announce?event=stopped HTTP/1.1"));
        assert!(nearly_equal(original, b"GET /announce?event=12345678 HTTP/1.1"));
        assert!(!nearly_equal(original, b"GET /announce?event=123456789 HTTP/1.1"));
        assert!(!nearly_equal(b"abc", b"xyz"), "nothing is the same");
    }
}
