use super::*;

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_nanos(millis * 1_000_000)
}

/// Takes an acknowledgement on a way of eight milliseconds.
fn acknowledge(buffer: &mut SendBuffer, now: Timestamp, complete: u16, selective: &[u8]) -> Acknowledgement {
    let mut round_trip = RoundTrip::default();
    round_trip.sample(Duration::from_millis(8));
    buffer.acknowledge(now, Sequence(complete), selective, &round_trip)
}

/// A buffer with packets of 10 bytes in flight, sent a millisecond apart, with the numbers from 65,534 on.
fn flying(count: i64) -> SendBuffer {
    let mut buffer = SendBuffer::new(Sequence(65_534));
    buffer.write(Bytes::from(vec![7; 10 * count as usize]));
    (0..count).for_each(|n| drop(buffer.make(at(n), 10, false)));
    buffer
}

#[test]
fn packets_take_bytes_across_writes() {
    let mut buffer = SendBuffer::new(Sequence(1));
    for part in ["abc", "", "de", "fghij"] {
        buffer.write(Bytes::from_static(part.as_bytes()));
    }
    let mut next = |length| buffer.make(at(0), length, false).payload;
    assert_eq!([next(2), next(3), next(1), next(4)].concat(), b"abcdefghij");
    assert_eq!((buffer.waiting(), buffer.in_flight(), buffer.next()), (0, 10, Sequence(5)));
}

#[test]
fn bytes_in_flight_are_subtracted_once() {
    let mut buffer = flying(4);
    // The second by a bit, then both by number, then the same again.
    acknowledge(&mut buffer, at(9), 65_533, &[1, 0, 0, 0]);
    assert_eq!((buffer.in_flight(), buffer.unacknowledged()), (30, 30));
    acknowledge(&mut buffer, at(9), 65_535, &[]);
    assert_eq!((buffer.in_flight(), buffer.first()), (20, Sequence(0)));
    assert_eq!(acknowledge(&mut buffer, at(9), 65_535, &[]), Acknowledgement::default());
    acknowledge(&mut buffer, at(9), 1, &[]);
    assert_eq!((buffer.in_flight(), buffer.unacknowledged(), buffer.packets()), (0, 0, 0));
}

#[test]
fn a_packet_is_lost_when_three_later_ones_have_come() {
    let mut buffer = flying(6);
    let two = acknowledge(&mut buffer, at(9), 65_533, &[0b011, 0, 0, 0]);
    assert_eq!((two.lost, two.bytes, two.round_trip), (None, 20, Some(Duration::from_millis(7))));
    let three = acknowledge(&mut buffer, at(9), 65_533, &[0b111, 0, 0, 0]);
    assert_eq!((three.lost, three.bytes), (Some(at(0)), 10));
    assert_eq!((buffer.in_flight(), buffer.due()), (20, Some(10)));
    assert_eq!(buffer.send_due(at(10)).unwrap().number, Sequence(65_534));
    // Sent again, it is lost anew only when three have come that were sent after that.
    let more = acknowledge(&mut buffer, at(11), 65_533, &[0b1111, 0, 0, 0]);
    assert_eq!((more.lost, buffer.due()), (None, None));
    // Not sampled: it was sent twice.
    assert_eq!(acknowledge(&mut buffer, at(20), 65_534, &[]).round_trip, None);
}

#[test]
fn a_lost_probe_is_no_loss() {
    let mut buffer = SendBuffer::new(Sequence(0));
    buffer.write(Bytes::from(vec![7; 50]));
    buffer.make(at(0), 10, false);
    buffer.mark_probe();
    assert!(buffer.awaits_probe_alone());
    (1..5).for_each(|n| drop(buffer.make(at(n), 10, false)));
    assert!(!buffer.awaits_probe_alone());
    let news = acknowledge(&mut buffer, at(9), 65_535, &[0b1111, 0, 0, 0]);
    assert_eq!((news.lost, news.probe), (None, Some(ProbeEnd::Lost)));
    buffer.send_due(at(10)).unwrap();
    // Sent again without padding, it proves nothing.
    assert_eq!(acknowledge(&mut buffer, at(11), 4, &[]).probe, None);
}

#[test]
fn who_acknowledges_what_is_kept_back_lies() {
    let mut buffer = SendBuffer::new(Sequence(0));
    buffer.write(Bytes::from(vec![7; 30]));
    buffer.make(at(0), 10, true);
    buffer.make(at(0), 10, false);
    assert_eq!((buffer.in_flight(), buffer.unacknowledged()), (10, 20));
    let honest = acknowledge(&mut buffer, at(1), 65_535, &[1, 0, 0, 0]);
    assert!(!honest.is_lie);
    assert_eq!(buffer.send_due(at(2)).unwrap().number, Sequence(0));
    buffer.make(at(3), 10, true);
    assert!(acknowledge(&mut buffer, at(4), 2, &[]).is_lie);
}

#[test]
fn bits_beyond_what_was_sent_say_nothing() {
    let mut buffer = flying(2);
    let news = acknowledge(&mut buffer, at(9), 65_534, &[0xff; 32]);
    assert_eq!((news.packets, buffer.in_flight()), (1, 10));
}

#[test]
fn after_a_timeout_everything_is_sent_again_in_order() {
    let mut buffer = flying(3);
    acknowledge(&mut buffer, at(9), 65_533, &[1, 0, 0, 0]);
    assert!(!buffer.lose_all());
    assert_eq!((buffer.in_flight(), buffer.unacknowledged(), buffer.awaits()), (0, 20, false));
    let sent: Vec<_> = std::iter::from_fn(|| buffer.send_due(at(10))).map(|sent| sent.number.0).collect();
    assert_eq!(sent, [65_534, 0]);
}

#[test]
fn the_answer_to_the_newest_packet_tells_what_is_lost_before_it() {
    let mut buffer = flying(6);
    acknowledge(&mut buffer, at(10), 65_535, &[]);
    let (sent, was_probe) = buffer.send_newest(at(30)).unwrap();
    assert_eq!((sent.number, was_probe, buffer.in_flight()), (Sequence(3), false, 40));
    let news = acknowledge(&mut buffer, at(38), 65_535, &[0b100, 0, 0, 0]);
    assert_eq!((news.lost, news.bytes, news.round_trip), (Some(at(4)), 10, None));
    let again: Vec<_> = std::iter::from_fn(|| buffer.send_due(at(39))).map(|sent| sent.number.0).collect();
    assert_eq!(again, [0, 1, 2]);
    // Their answers say nothing of each other, and the last of them nothing of what was sent before a moment ago.
    let news = acknowledge(&mut buffer, at(47), 65_535, &[0b110, 0, 0, 0]);
    assert_eq!((news.lost, buffer.due()), (None, None));
}

#[test]
fn what_comes_too_soon_after_a_packet_was_sent_again_is_of_the_first_sending() {
    let mut buffer = flying(6);
    buffer.send_newest(at(30));
    let news = acknowledge(&mut buffer, at(31), 65_533, &[0b1_0000, 0, 0, 0]);
    assert_eq!((news.lost, news.packets, buffer.in_flight()), (None, 1, 50));
}

#[test]
fn a_number_that_comes_late_tells_that_what_was_sent_long_before_is_lost() {
    let mut buffer = flying(9);
    // The first is lost, and the last four: three that have come tell of the first alone.
    acknowledge(&mut buffer, at(9), 65_533, &[0b111, 0, 0, 0]);
    assert_eq!(buffer.send_due(at(17)).unwrap().number, Sequence(65_534));
    let news = acknowledge(&mut buffer, at(25), 2, &[]);
    assert_eq!((news.lost, news.packets, buffer.in_flight()), (Some(at(8)), 2, 0));
}

#[test]
fn what_no_acknowledgement_can_tell_of_is_not_sent_to_be_answered() {
    let mut buffer = flying(400);
    acknowledge(&mut buffer, at(400), 65_535, &[]);
    let (sent, _) = buffer.send_newest(at(500)).unwrap();
    assert_eq!(sent.number, Sequence(30));
    // The last of 30 bits.
    let bits = [0, 0, 0, 0x20];
    assert_eq!(acknowledge(&mut buffer, at(508), 65_535, &bits).packets, 1);
}

#[test]
fn a_probe_of_the_size_is_sent_again_only_where_it_is_alone() {
    let mut buffer = flying(2);
    buffer.mark_probe();
    let (sent, was_probe) = buffer.send_newest(at(30)).unwrap();
    assert_eq!((sent.number, was_probe), (Sequence(65_534), false));
    // What came a round trip after it tells that it is lost.
    let news = acknowledge(&mut buffer, at(40), 65_534, &[]);
    assert_eq!((news.lost, news.probe, buffer.due()), (None, Some(ProbeEnd::Lost), Some(10)));
    let mut buffer = flying(1);
    buffer.mark_probe();
    let (sent, was_probe) = buffer.send_newest(at(60)).unwrap();
    assert_eq!((sent.number, was_probe), (Sequence(65_534), true));
    // Without padding it proves nothing.
    assert_eq!(acknowledge(&mut buffer, at(70), 65_534, &[]).probe, None);
    assert!(buffer.send_newest(at(90)).is_none());
}
