use crate::PieceIndex;

use super::*;

const fn block(number: u32) -> Block {
    Block { index: PieceIndex(number), begin: 0, length: 16 }
}

const fn sent(number: u64) -> SentMessage {
    SentMessage { number, at: Timestamp::from_nanos(number as i64) }
}

fn requests() -> BlockRequests {
    BlockRequests::new(RequestCapacity::ANALYSIS)
}

fn number_of(ended: Option<EndedRequest>) -> Option<u64> {
    ended.map(|ended| ended.sent.number)
}

#[test]
fn the_last_end_of_a_request_counts() {
    let mut requests = requests();
    for by in [RequestEnd::Rejected, RequestEnd::Answered] {
        requests.send(block(1), sent(1));
        assert_eq!(number_of(requests.end(block(1), by)), Some(1));
        assert_eq!((requests.last_end(block(1)), requests.last_end(block(2))), (Some(by), None));
    }
}

#[test]
fn requests_for_one_block_are_answered_in_their_order() {
    let mut requests = requests();
    assert_eq!([1, 2, 3].map(|number| requests.send(block(7), sent(number))), [true, false, false]);
    assert_eq!((requests.outstanding(), requests.blocks()), (3, 1));
    let answered = [(); 4].map(|()| number_of(requests.end(block(7), RequestEnd::Answered)));
    assert_eq!(answered, [Some(1), Some(2), Some(3), None]);
    assert_eq!((requests.outstanding(), requests.memory()), (0, 3));
}

#[test]
fn a_request_that_may_have_ended_counts_anew_when_it_is_sent_again() {
    let mut requests = requests();
    for number in [1, 2] {
        requests.send(block(number), sent(number.into()));
    }
    requests.doubt_all();
    assert_eq!((requests.outstanding(), requests.get(block(1))), (0, None));
    assert!(requests.send(block(1), sent(3)));
    assert_eq!(requests.outstanding(), 1);
    assert_eq!(number_of(requests.end(block(1), RequestEnd::Answered)), Some(3));
    // The other request may have survived the choke.
    assert_eq!(number_of(requests.end(block(2), RequestEnd::Answered)), Some(2));
    assert_eq!(requests.outstanding(), 0);
}

#[test]
fn a_cancel_ends_all_requests_for_the_block_unless_each_is_answered() {
    let at = Timestamp::EPOCH;
    for (answered, outstanding, then) in
        [(Some(false), 0, None), (None, 0, Some(1)), (Some(true), 2, Some(1))]
    {
        let mut requests = requests();
        requests.send(block(1), sent(1));
        requests.send(block(1), sent(2));
        assert!(requests.cancel(block(1), at, answered) && !requests.cancel(block(2), at, answered));
        assert_eq!(requests.outstanding(), outstanding, "{answered:?}");
        assert_eq!(number_of(requests.end(block(1), RequestEnd::Answered)), then, "{answered:?}");
    }
}

#[test]
fn old_ends_are_forgotten_and_the_history_is_no_longer_whole() {
    let kept = RequestCapacity::ANALYSIS.ended;
    let mut requests = requests();
    let rounds = 3 * kept as u32;
    for number in 0..rounds {
        requests.send(block(number), sent(0));
        requests.end(block(number), RequestEnd::Answered);
        if number.is_multiple_of(1000) {
            assert_eq!(requests.last_end(block(number)), Some(RequestEnd::Answered));
        }
    }
    assert!(!requests.is_whole());
    let oldest = rounds - kept as u32;
    assert_eq!(requests.last_end(block(oldest)), Some(RequestEnd::Answered));
    assert_eq!(requests.last_end(block(oldest - 1)), None);
    assert!(requests.memory() <= 3 * kept + 1);
}

#[test]
fn requests_beyond_the_capacity_are_not_remembered() {
    let mut requests = BlockRequests::new(RequestCapacity { outstanding: 3, ended: 3 });
    for number in 0..3 {
        assert!(requests.send(block(number), sent(0)));
    }
    assert!(!requests.send(block(3), sent(0)) && !requests.is_whole());
    // Requests that a choke may have ended make room.
    requests.doubt_all();
    for number in 4..7 {
        assert!(requests.send(block(number), sent(0)));
    }
    assert_eq!((requests.outstanding(), requests.memory()), (3, 3));
}

#[test]
fn other_requests_are_answered_first_and_last() {
    let mut requests = OtherRequests::new();
    for number in [1, 2] {
        requests.send(9, sent(number));
    }
    let answered = [9, 9, 9, 8].map(|key| requests.end(key).map(|sent| sent.number));
    assert_eq!(answered, [Some(1), Some(2), None, None]);
    for key in 0..=MAX_OTHER_REQUESTS as u32 {
        assert!(requests.is_whole());
        requests.send(key, sent(3));
    }
    assert!(!requests.is_whole() && requests.memory() == MAX_OTHER_REQUESTS);
}
