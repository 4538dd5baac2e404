use bytes::Bytes;
use proptest::prelude::*;

use super::PeerFault::*;
use super::PeerSide::{Initiator, Responder};
use super::*;
use crate::wire::{Handshake, HashRange, Message, MessageId};
use crate::{Block, InfoHash, PeerId};

/// A conversation under a clock that the test sets; messages are numbered from 1.
struct Conversation {
    state: ConnectionState,
    millis: i64,
    number: u64,
}

impl Conversation {
    /// Both handshakes are exchanged at 0 s; the last reserved byte of both offers this.
    fn open(offers: u8) -> Self {
        let mut conversation = Self::unopened();
        conversation.shake(Initiator, handshake(1, offers));
        conversation.shake(Responder, handshake(2, offers));
        conversation
    }

    fn unopened() -> Self {
        Self { state: ConnectionState::new(), millis: 0, number: 0 }
    }

    /// An open conversation in which the responder unchoked the interested initiator.
    fn unchoked(offers: u8) -> Self {
        let mut conversation = Self::open(offers);
        conversation.quietly(Initiator, &Message::Interested);
        conversation.quietly(Responder, &Message::Unchoke);
        conversation
    }

    fn at(&mut self, millis: i64) -> &mut Self {
        self.millis = millis;
        self
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.millis * 1_000_000)
    }

    fn shake(&mut self, side: PeerSide, handshake: Handshake) -> ObservedMessage {
        self.number += 1;
        self.state.observe_handshake(side, self.now(), self.number, &handshake)
    }

    fn says(&mut self, side: PeerSide, message: &Message) -> ObservedMessage {
        self.number += 1;
        self.state.observe(side, self.now(), self.number, message)
    }

    fn faults(&mut self, side: PeerSide, message: &Message) -> Vec<PeerFault> {
        self.says(side, message).faults
    }

    fn quietly(&mut self, side: PeerSide, message: &Message) {
        assert_eq!(self.faults(side, message), [], "{message:?} as message {}", self.number);
    }

    /// The number of the message that this one answers, and the milliseconds in between.
    fn answers(&mut self, side: PeerSide, message: &Message) -> Option<(u64, u128)> {
        let answered = self.says(side, message).answers?;
        Some((answered.number, answered.after.as_millis()))
    }
}

/// A handshake that offers the extension protocol, and in its last reserved byte this.
const fn handshake(peer: u8, offers: u8) -> Handshake {
    let reserved = [0, 0, 0, 0, 0, 0x10, 0, offers];
    Handshake { reserved, info_hash: InfoHash([0xab; 20]), peer_id: PeerId([peer; 20]) }
}

const PLAIN: u8 = 0;
const FAST: u8 = 0x04;
const V2: u8 = 0x10;

const fn block(piece: u32) -> Block {
    Block { index: PieceIndex(piece), begin: 0, length: 4 }
}

const fn request(piece: u32) -> Message {
    Message::Request(block(piece))
}

const fn piece(piece: u32) -> Message {
    Message::Piece { index: PieceIndex(piece), begin: 0, block: Bytes::from_static(b"data") }
}

fn extended(id: u8, payload: &[u8]) -> Message {
    Message::Extended { id, payload: Bytes::copy_from_slice(payload) }
}

#[test]
fn a_choke_without_the_fast_extension_ends_requests() {
    let mut talk = Conversation::unchoked(PLAIN);
    talk.at(1_000).quietly(Initiator, &request(0));
    talk.at(1_100).quietly(Responder, &Message::Choke);
    assert_eq!(talk.state.side(Initiator).outstanding(), 0);
    talk.at(20_000).quietly(Responder, &Message::Unchoke);
    talk.at(20_100).quietly(Initiator, &request(0));
    // The block answers the second request, which is message 8.
    assert_eq!(talk.at(20_150).answers(Responder, &piece(0)), Some((8, 50)));
}

#[test]
fn a_block_after_a_choke_answers_nothing_without_the_fast_extension() {
    let mut talk = Conversation::unchoked(PLAIN);
    talk.quietly(Initiator, &request(0));
    talk.quietly(Responder, &Message::Choke);
    let observed = talk.says(Responder, &piece(0));
    assert_eq!((observed.answers, observed.faults), (None, vec![BlockWhileChoking]));
}

#[test]
fn with_the_fast_extension_requests_outlive_a_choke() {
    let mut talk = Conversation::unchoked(FAST);
    for number in [0, 1] {
        talk.at(1_000).quietly(Initiator, &request(number));
    }
    talk.at(1_100).quietly(Responder, &Message::Choke);
    assert_eq!(talk.state.side(Initiator).outstanding(), 2);
    assert_eq!(talk.at(1_200).answers(Responder, &piece(0)), Some((5, 200)));
    assert_eq!(talk.at(1_300).answers(Responder, &Message::RejectRequest(block(1))), Some((6, 300)));
    assert_eq!(talk.state.side(Initiator).outstanding(), 0);
}

#[test]
fn where_no_handshake_was_seen_a_choke_may_have_ended_requests() {
    let mut talk = Conversation::unopened();
    talk.at(1_000).quietly(Initiator, &request(0));
    talk.quietly(Initiator, &request(1));
    talk.at(2_000).quietly(Responder, &Message::Choke);
    assert_eq!(talk.state.side(Initiator).outstanding(), 0);
    talk.at(3_000).quietly(Initiator, &request(0));
    assert_eq!(talk.at(3_050).answers(Responder, &piece(0)), Some((4, 50)));
    assert_eq!(talk.at(3_060).answers(Responder, &piece(1)), Some((2, 2_060)));
}

#[test]
fn a_cancel_ends_a_request_without_the_fast_extension() {
    let mut talk = Conversation::unchoked(PLAIN);
    talk.quietly(Initiator, &request(0));
    talk.quietly(Initiator, &Message::Cancel(block(0)));
    assert_eq!(talk.state.side(Initiator).outstanding(), 0);
    let observed = talk.says(Responder, &piece(0));
    assert_eq!((observed.answers, observed.faults), (None, vec![BlockAfterCancel]));
    assert_eq!(talk.faults(Initiator, &Message::Cancel(block(9))), [CancelUnrequested]);
}

#[test]
fn with_the_fast_extension_a_cancelled_request_is_answered() {
    let mut talk = Conversation::unchoked(FAST);
    for number in [0, 1, 2] {
        talk.at(0).quietly(Initiator, &request(number));
        talk.at(10).quietly(Initiator, &Message::Cancel(block(number)));
    }
    let observed = talk.at(20).says(Responder, &piece(0));
    let answered = AnsweredMessage { number: 5, after: Duration::from_millis(20) };
    assert_eq!((observed.answers, observed.faults), (Some(answered), vec![BlockAfterCancel]));
    assert_eq!(talk.answers(Responder, &Message::RejectRequest(block(1))), Some((7, 20)));
    talk.at(60_010).quietly(Responder, &Message::KeepAlive);
    let late = CancelUnanswered { requester: Initiator, block: block(2) };
    assert_eq!(talk.at(60_011).faults(Responder, &Message::KeepAlive), [late]);
}

#[test]
fn an_abandoned_request_is_not_outstanding_and_may_be_answered() {
    for offers in [PLAIN, FAST] {
        let mut talk = Conversation::unchoked(offers);
        talk.at(0).quietly(Initiator, &request(0));
        talk.says(Initiator, &request(0));
        talk.quietly(Initiator, &request(1));
        talk.state.abandon_requests(Initiator, block(0));
        talk.state.abandon_requests(Initiator, block(0));
        talk.state.abandon_requests(Initiator, block(7));
        let side = talk.state.side(Initiator);
        assert_eq!((side.outstanding(), side.request(block(0))), (1, None));
        assert_eq!(talk.at(10).answers(Responder, &piece(0)), Some((5, 10)));
        talk.quietly(Initiator, &request(2));
        assert_eq!(talk.state.side(Initiator).outstanding(), 2);
        talk.quietly(Responder, &piece(1));
        talk.state.abandon_requests(Initiator, block(2));
        // Nothing is outstanding, so that nothing is waited for.
        talk.at(70_000).quietly(Responder, &Message::KeepAlive);
    }
}

#[test]
fn blocks_are_held_against_the_requests_for_them() {
    let mut talk = Conversation::unchoked(FAST);
    assert_eq!(talk.faults(Responder, &piece(5)), [BlockUnsolicited]);
    talk.quietly(Initiator, &request(0));
    talk.quietly(Responder, &piece(0));
    assert_eq!(talk.faults(Responder, &piece(0)), [BlockAgain]);
    assert_eq!(talk.faults(Responder, &Message::RejectRequest(block(0))), [RejectAfterAnswer]);
    talk.quietly(Initiator, &request(1));
    talk.quietly(Responder, &Message::RejectRequest(block(1)));
    assert_eq!(talk.faults(Responder, &piece(1)), [BlockAfterReject]);
    assert_eq!(talk.faults(Responder, &Message::RejectRequest(block(7))), [RejectUnrequested]);
}

#[test]
fn requests_are_judged_by_choking_interest_and_reqq() {
    let mut talk = Conversation::open(FAST);
    talk.quietly(Responder, &extended(0, b"d4:reqqi2ee"));
    let never = RequestWhileChoked { choked: None };
    assert_eq!(talk.faults(Initiator, &request(0)), [never, RequestWithoutInterest]);
    assert!(!talk.state.may_request(Initiator, PieceIndex(1)));
    talk.quietly(Responder, &Message::AllowedFast(PieceIndex(1)));
    assert!(talk.state.may_request(Initiator, PieceIndex(1)));
    talk.quietly(Initiator, &request(1));
    talk.quietly(Responder, &Message::Unchoke);
    assert_eq!(talk.faults(Initiator, &request(2)), [ReqqExceeded { outstanding: 3, reqq: 2 }]);
    talk.at(1_000).quietly(Responder, &Message::Choke);
    // The request may have crossed the choke.
    talk.at(3_000).quietly(Initiator, &request(3));
    let choked = Some(Duration::from_millis(2_001));
    assert_eq!(talk.at(3_001).faults(Initiator, &request(4)), [RequestWhileChoked { choked }]);
}

#[test]
fn messages_about_choking_and_interest_tell_what_changed() {
    let mut talk = Conversation::open(PLAIN);
    let steps = [
        (Initiator, Message::Interested, PeerChange::Interested { choked: true }, false),
        (Responder, Message::Choke, PeerChange::Choke, true),
        (Responder, Message::Unchoke, PeerChange::Unchoke { interested: true }, false),
        (Initiator, Message::Interested, PeerChange::Interested { choked: false }, true),
        (Initiator, Message::NotInterested, PeerChange::NotInterested, false),
        (Responder, Message::Unchoke, PeerChange::Unchoke { interested: false }, true),
    ];
    for (side, message, change, repeated) in steps {
        let observed = talk.says(side, &message);
        assert_eq!((observed.change, observed.repeated), (Some(change), repeated), "{message:?}");
    }
    assert!(!talk.state.side(Responder).is_choking() && !talk.state.side(Initiator).is_interested());
    // Where the beginning was not seen, even the first choke may be news.
    assert!(!Conversation::unopened().says(Responder, &Message::Choke).repeated);
}

#[test]
fn the_message_about_all_pieces_comes_first_and_once() {
    let bits = Message::Bitfield(Bytes::from_static(&[0x80]));
    let mut talk = Conversation::open(FAST);
    talk.quietly(Initiator, &extended(0, b"de"));
    talk.quietly(Initiator, &bits);
    assert_eq!(talk.faults(Initiator, &Message::HaveAll), [HaveAllOrNoneLate]);
    talk.quietly(Responder, &Message::KeepAlive);
    assert_eq!(talk.faults(Responder, &bits), [BitfieldLate]);
}

#[test]
fn the_pieces_of_a_side_are_those_it_said_last() {
    let mut talk = Conversation::open(FAST);
    talk.state.set_piece_count(10);
    let bits = |bytes: &'static [u8]| Message::Bitfield(Bytes::from_static(bytes));
    talk.quietly(Responder, &extended(0, b"d1:md11:lt_donthavei7eee"));
    let steps = [
        (bits(&[0x80, 0x40]), vec![0, 9], false),
        (Message::Have(PieceIndex(9)), vec![0, 9], true),
        (Message::Have(PieceIndex(3)), vec![0, 3, 9], false),
        (Message::Have(PieceIndex(10)), vec![0, 3, 9], true),
        (bits(&[0x80, 0x20]), vec![0, 3, 9], true),
        (extended(7, &[0, 0, 0, 9]), vec![0, 3], false),
        (extended(7, &[0, 0, 0, 9]), vec![0, 3], true),
        (Message::HaveAll, (0..10).collect(), false),
        (Message::HaveNone, vec![], false),
    ];
    for (message, pieces, repeated) in steps {
        let observed = talk.says(Initiator, &message);
        let known: Vec<u32> =
            talk.state.side(Initiator).pieces().unwrap().iter().map(|piece| piece.0).collect();
        assert_eq!((known, observed.repeated), (pieces, repeated), "{message:?}");
    }
    assert_eq!(talk.state.side(Responder).pieces().unwrap().count(), 0);
    assert_eq!(Conversation::open(FAST).state.side(Initiator).pieces(), None);
}

#[test]
fn what_was_not_offered_may_not_be_sent() {
    let mut talk = Conversation::open(PLAIN);
    assert_eq!(talk.faults(Initiator, &Message::HaveNone), [FastNotOffered]);
    assert_eq!(talk.faults(Initiator, &Message::Port(1)), [PortNotOffered]);
    let unknown = Message::Unknown { id: MessageId(99), payload: Bytes::new() };
    assert_eq!(talk.faults(Initiator, &unknown), [UnknownMessage(MessageId(99))]);
    assert_eq!(talk.faults(Initiator, &extended(3, b"")), [UnannouncedExtension { id: 3 }]);
    // What was not observed of the receiver may have announced the id.
    talk.state.set_unseen(Responder, true);
    assert_eq!(talk.faults(Initiator, &extended(3, b"")), []);
}

#[test]
fn extensions_go_by_the_ids_of_their_receiver() {
    let mut talk = Conversation::open(PLAIN);
    talk.quietly(Responder, &extended(0, b"d1:md11:ut_metadatai3e6:ut_pexi1ee13:metadata_sizei20000ee"));
    let responder = talk.state.side(Responder);
    assert_eq!(responder.extension_id(&Extension::Pex), Some(1));
    assert_eq!((responder.extension(3), responder.extension(2)), (Some(&Extension::Metadata), None));
    talk.quietly(Initiator, &extended(0, b"d1:md11:ut_metadatai9eee"));
    // Request, reject and data, by the receiver's id each.
    let request = b"d8:msg_typei0e5:piecei1ee";
    talk.at(10).quietly(Initiator, &extended(3, request));
    let reject = b"d8:msg_typei2e5:piecei1ee";
    assert_eq!(talk.at(30).answers(Responder, &extended(9, reject)), Some((5, 20)));
    let data = b"d8:msg_typei1e5:piecei1e10:total_sizei20000eeshort";
    let short = MetadataPieceLength { length: 5, wanted: 20_000 - 16_384 };
    assert_eq!(talk.faults(Responder, &extended(9, data)), [short]);
    let data = b"d8:msg_typei1e5:piecei1e10:total_sizei7ee";
    assert_eq!(
        talk.faults(Responder, &extended(9, data)),
        [MetadataTotalDiffers { total: 7, announced: 20_000 }]
    );
    // Id 0 switches an extension off.
    talk.quietly(Responder, &extended(0, b"d1:md6:ut_pexi0eee"));
    assert_eq!(talk.state.side(Responder).extension_id(&Extension::Pex), None);
    assert!(matches!(talk.faults(Initiator, &extended(3, b"x"))[..], [MalformedExtended { .. }]));
}

#[test]
fn peer_exchange_is_rare_and_short() {
    let mut talk = Conversation::open(PLAIN);
    talk.quietly(Responder, &extended(0, b"d1:md6:ut_pexi1eee"));
    let many = [b"d5:added306:", &[1; 6 * 51][..], b"e"].concat();
    talk.at(0).quietly(Initiator, &extended(1, &many));
    let after = Duration::from_millis(49_999);
    let faults = [PexTooSoon { after }, PexTooMany { added: 51, dropped: 0 }];
    assert_eq!(talk.at(49_999).faults(Initiator, &extended(1, &many)), faults);
    talk.at(99_999).quietly(Initiator, &extended(1, b"de"));
}

#[test]
fn hashes_answer_requests_for_them() {
    let range = HashRange { pieces_root: [1; 32], base_layer: 0, index: 0, length: 2, proof_layers: 0 };
    let mut talk = Conversation::open(PLAIN);
    talk.quietly(Initiator, &Message::HashRequest(range));
    assert_eq!(talk.at(5).answers(Responder, &Message::Hashes(range, Bytes::new())), Some((3, 5)));
    let again = Message::Hashes(range, Bytes::new());
    assert_eq!(talk.faults(Responder, &again), [HashesUnsolicited]);
    assert_eq!(talk.faults(Responder, &Message::HashReject(range)), [HashRejectUnrequested]);
}

#[test]
fn handshakes_are_compared() {
    let mut talk = Conversation::unopened();
    talk.at(0).shake(Initiator, handshake(1, V2));
    let other = Handshake { info_hash: InfoHash([0xcd; 20]), ..handshake(1, V2) };
    let observed = talk.at(7).shake(Responder, other);
    let (first, second) = (InfoHash([0xab; 20]), InfoHash([0xcd; 20]));
    assert_eq!(observed.faults, [SamePeerId, InfoHashDiffers { first, second, upgradable: true }]);
    assert_eq!(observed.answers, Some(AnsweredMessage { number: 1, after: Duration::from_millis(7) }));
}

#[test]
fn silence_and_snubbing_show_in_the_time_between_messages() {
    let mut talk = Conversation::unchoked(FAST);
    talk.at(1_000).quietly(Initiator, &request(0));
    let snubbed = Snubbed { requester: Initiator, waited: Duration::from_millis(60_001) };
    assert_eq!(talk.at(61_001).faults(Initiator, &request(1)), [snubbed]);
    talk.at(61_002).quietly(Initiator, &Message::KeepAlive);
    let silent = Silent { silent: Duration::from_millis(150_001) };
    assert_eq!(talk.at(150_001).faults(Responder, &Message::KeepAlive), [silent]);
}

#[test]
fn nothing_is_judged_where_bytes_were_lost_or_are_still_to_come() {
    let mut talk = Conversation::unchoked(PLAIN);
    talk.state.set_unseen(Initiator, true);
    talk.quietly(Responder, &piece(0));
    talk.state.set_unseen(Initiator, false);
    assert_eq!(talk.faults(Responder, &piece(0)), [BlockUnsolicited]);
    assert_eq!(talk.state.observe_unreadable(Initiator, talk.now()).faults, []);
    talk.quietly(Responder, &piece(2));
    // Answers are still found.
    talk.quietly(Initiator, &request(3));
    assert_eq!(talk.answers(Responder, &piece(3)), Some((8, 0)));
}

/// Few numbers, so that messages meet, and numbers from all of 32 bits.
fn any_number() -> impl Strategy<Value = u32> + Clone {
    prop_oneof![4 => 0..4_u32, 1 => any::<u32>()]
}

fn any_block() -> impl Strategy<Value = Block> + Clone {
    (any_number(), 0..2_u32, 0..2_u32).prop_map(|(index, begin, length)| Block {
        index: PieceIndex(index),
        begin,
        length,
    })
}

fn any_message() -> impl Strategy<Value = Message> {
    let (number, block) = (any_number(), any_block());
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        Just(b"d1:md6:ut_pexi1e11:ut_metadatai2ee4:reqqi1ee".to_vec()),
        Just(b"d1:md1:ai3e1:bi3e6:ut_pexi0eee".to_vec()),
        Just(b"d8:msg_typei0e5:piecei1ee".to_vec()),
        Just(b"d8:msg_typei1e5:piecei1e10:total_sizei99999999999eex".to_vec()),
        Just(b"d5:added6:abcdefe".to_vec()),
    ];
    let range = (number.clone(), number.clone()).prop_map(|(index, length)| HashRange {
        pieces_root: [0; 32],
        base_layer: 0,
        index,
        length,
        proof_layers: 0,
    });
    prop_oneof![
        1 => Just(Message::KeepAlive),
        1 => Just(Message::Choke),
        1 => Just(Message::Unchoke),
        1 => Just(Message::Interested),
        1 => Just(Message::NotInterested),
        1 => Just(Message::HaveAll),
        1 => number.clone().prop_map(|piece| Message::Have(PieceIndex(piece))),
        1 => number.clone().prop_map(|piece| Message::AllowedFast(PieceIndex(piece))),
        1 => number.prop_map(|piece| Message::SuggestPiece(PieceIndex(piece))),
        4 => block.clone().prop_map(Message::Request),
        2 => block.clone().prop_map(Message::Cancel),
        2 => block.clone().prop_map(Message::RejectRequest),
        4 => block.prop_map(|block| Message::Piece {
            index: block.index,
            begin: block.begin,
            block: vec![0; block.length as usize].into(),
        }),
        4 => (0..4_u8, payload).prop_map(|(id, payload)| Message::Extended { id, payload: payload.into() }),
        1 => range.clone().prop_map(Message::HashRequest),
        1 => range.prop_map(|range| Message::Hashes(range, Bytes::new())),
    ]
}

/// What is done to an observer.
#[derive(Debug, Clone)]
enum Step {
    Message(bool, Message),
    Handshake(bool, u8),
    Lost(bool),
    Unseen(bool, bool),
    Abandoned(bool, Block),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (any::<bool>(), any_message()).prop_map(|(side, message)| Step::Message(side, message)),
        1 => (any::<bool>(), any::<u8>()).prop_map(|(side, offers)| Step::Handshake(side, offers)),
        1 => any::<bool>().prop_map(Step::Lost),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(side, unseen)| Step::Unseen(side, unseen)),
        1 => (any::<bool>(), any_block()).prop_map(|(side, block)| Step::Abandoned(side, block)),
    ]
}

proptest! {
    /// Any messages in any order, under any clock: requests balance, and memory stays within its bounds.
    #[test]
    fn memory_is_bounded_and_answers_are_requests(
        steps in prop::collection::vec((any_step(), any::<i64>()), 0..300),
        handshakes in 0..3_u8,
    ) {
        let capacity = RequestCapacity { outstanding: 8, ended: 5 };
        let mut state = ConnectionState::with_capacity(capacity);
        let side = |first: bool| if first { Initiator } else { Responder };
        for number in 0..handshakes {
            state.observe_handshake(side(number == 0), Timestamp::EPOCH, 0, &handshake(number, FAST));
        }
        let mut requested = Vec::new();
        for (number, (step, nanos)) in (1_u64..).zip(steps) {
            let at = Timestamp::from_nanos(nanos);
            match step {
                Step::Message(first, message) => {
                    if matches!(message, Message::Request(_)) {
                        requested.push(number);
                    }
                    let observed = state.observe(side(first), at, number, &message);
                    if let (Message::Piece { .. }, Some(answered)) = (&message, observed.answers) {
                        // Each request is answered at most once.
                        let place = requested.iter().position(|number| *number == answered.number);
                        prop_assert!(place.map(|place| requested.remove(place)).is_some(), "{answered:?}");
                    }
                    if matches!(message, Message::Choke) && state.is_fast() != Some(true) {
                        prop_assert_eq!(state.side(side(first).other()).outstanding(), 0);
                    }
                }
                Step::Handshake(first, offers) => {
                    state.observe_handshake(side(first), at, number, &handshake(offers, offers));
                }
                Step::Lost(first) => {
                    state.observe_unreadable(side(first), at);
                }
                Step::Unseen(first, unseen) => state.set_unseen(side(first), unseen),
                Step::Abandoned(first, block) => state.abandon_requests(side(first), block),
            }
            for side in PeerSide::BOTH {
                let side = state.side(side);
                prop_assert!(side.requests().count() <= side.outstanding());
                prop_assert!(side.outstanding() <= capacity.outstanding);
                // Open and repeated requests, cancels, and ends twice in the index and once in their order; what a few
                // hundred messages can name beside requests.
                prop_assert!(side.memory() <= 3 * capacity.outstanding + 3 * capacity.ended + 1 + 300);
            }
        }
    }
}
