//! Known faults of other implementations (LIVE.md, section 5, B6 to B16): what is right instead.

use super::*;
use crate::utp::connection::Ending;
use crate::utp::round_trip::LEAST_TIMEOUT;

const MIB: u32 = 1 << 20;
/// The bytes of a full packet at first.
const FULL: usize = 1_232 - 20;

/// Acknowledges everything up to `number`.
fn acknowledge(connection: &mut Connection, now: Timestamp, number: u16) {
    give(connection, now, &packet(2, connection.receive_id(), 500, number, MIB, &[]));
}

#[test]
fn b6_bytes_in_flight_count_once_against_the_smaller_window() {
    // The other end takes three packets; the congestion window is larger after two round trips.
    let mut connection = opened();
    write(&mut connection, 40 * FULL);
    let sent = told(&mut connection, START + millis(10)).len();
    assert_eq!(sent, 2);
    give(&mut connection, START + millis(20), &packet(2, 50, 500, 102, 3 * FULL as u32, &[]));
    // Slow start allows four; the other end three.
    assert_eq!(told(&mut connection, START + millis(20)).len(), 3);
    // The first of them was a probe, so that packets have 1,452 bytes now. Two of 1,212 are in flight, and one more fits.
    give(&mut connection, START + millis(30), &packet(2, 50, 500, 103, 2 * FULL as u32 + 1_452, &[]));
    assert_eq!(told(&mut connection, START + millis(30)).len(), 1);
    assert_eq!(connection.send.unacknowledged(), 2 * FULL + 1_452);
}

#[test]
fn b7_nothing_is_sent_again_before_the_least_timeout_but_one_probe() {
    let mut connection = opened();
    write(&mut connection, 100);
    assert_eq!(kinds(&told(&mut connection, START + millis(10))), [(Kind::Data, 101)]);
    // Two round trips, and as long as the acknowledgement of so few bytes may be put off.
    let probes = connection.wakes_at().unwrap();
    assert_eq!(probes, START + millis(10) + millis(2 * 10 + 100));
    let window = connection.congestion.window();
    assert_eq!(kinds(&told(&mut connection, probes)), [(Kind::Data, 101)]);
    assert_eq!(connection.congestion.window(), window);
    let expires = connection.wakes_at().unwrap();
    assert_eq!(expires, START + millis(10) + LEAST_TIMEOUT);
    assert!(told(&mut connection, START + millis(509)).is_empty());
    assert_eq!(kinds(&told(&mut connection, expires)), [(Kind::Data, 101)]);
    // Doubled, and without another probe.
    assert_eq!(connection.wakes_at().unwrap() - expires, LEAST_TIMEOUT * 2);
}

/// A connection with seven packets in flight, numbers 107 to 113, on a way of 10 ms.
fn with_seven_in_flight() -> Connection {
    let mut connection = opened();
    write(&mut connection, 14 * FULL);
    let mut acknowledged = 100;
    for at in [10, 20] {
        acknowledged += told(&mut connection, START + millis(at)).len() as u16;
        acknowledge(&mut connection, START + millis(at + 10), acknowledged);
    }
    let sent = told(&mut connection, START + millis(30));
    assert_eq!((sent.len(), sent[0].header.sequence), (7, 107));
    connection
}

#[test]
fn a_lost_tail_is_sent_again_when_the_probe_is_answered() {
    let mut connection = with_seven_in_flight();
    let window = connection.congestion.window();
    // Three of the seven have come, and nothing more.
    acknowledge(&mut connection, START + millis(40), 109);
    assert!(told(&mut connection, START + millis(40)).is_empty());
    let probes = connection.wakes_at().unwrap();
    assert_eq!(probes, START + millis(60));
    assert_eq!(kinds(&told(&mut connection, probes)), [(Kind::Data, 113)]);
    assert!(connection.congestion.window() >= window, "a probe is no loss");
    // It has come: the three before it have not.
    give(&mut connection, START + millis(70), &selective(50, 500, 109, &[0b100, 0, 0, 0]));
    let again = told(&mut connection, START + millis(70));
    let numbers: Vec<_> = again.iter().map(|one| one.header.sequence).collect();
    assert_eq!(numbers, [110, 111, 112]);
    assert!(connection.congestion.window() < window, "three packets are lost");
    acknowledge(&mut connection, START + millis(80), 113);
    assert_eq!(
        (connection.unsent(), connection.wakes_at()),
        (0, Some(START + millis(70) + Duration::from_secs(29)))
    );
}

#[test]
fn an_answer_that_was_only_late_is_no_loss() {
    let mut connection = with_seven_in_flight();
    let probes = connection.wakes_at().unwrap();
    assert_eq!(kinds(&told(&mut connection, probes)), [(Kind::Data, 113)]);
    let window = connection.congestion.window();
    // All had come before the probe left.
    (107..=113).for_each(|number| acknowledge(&mut connection, probes + millis(2), number));
    assert!(connection.congestion.window() >= window);
    assert!(told(&mut connection, probes + millis(20)).is_empty());
}

#[test]
fn b8_a_packet_that_was_never_sent_is_not_lost() {
    let mut connection = opened();
    write(&mut connection, 100);
    // The socket is full: nothing is asked for, however long that lasts.
    for second in 1..20 {
        connection.tick(START + Duration::from_secs(second));
    }
    assert!(!connection.is_over());
    let window = connection.congestion.window();
    assert_eq!(window, 2 * 1_232);
    assert_eq!(kinds(&told(&mut connection, START + Duration::from_secs(20))), [(Kind::Data, 101)]);
}

#[test]
fn b8_b15_a_lost_probe_is_not_congestion_and_does_not_stop_what_follows() {
    let mut connection = opened();
    let mut now = START + millis(10);
    write(&mut connection, 60 * FULL);
    let (mut has, mut complete) = (BTreeSet::new(), 100u16);
    let mut lost = 0;
    // Packets above 1,300 bytes are lost on this way; what follows them is acknowledged.
    for _ in 0..60 {
        let sent = told(&mut connection, now);
        let before = connection.congestion.window();
        now = now + millis(10);
        for one in &sent {
            if one.bytes.len() > 1_300 {
                assert_eq!(one.fragment, Fragment::Forbidden);
                lost += 1;
            } else if one.header.sequence > complete {
                has.insert(one.header.sequence);
            }
        }
        while has.remove(&(complete + 1)) {
            complete += 1;
        }
        match (sent.is_empty(), has.is_empty()) {
            (true, _) => now = connection.wakes_at().unwrap(),
            (false, true) => acknowledge(&mut connection, now, complete),
            (false, false) => acknowledge_with_holes(&mut connection, now, complete, &has),
        }
        assert!(connection.congestion.window() >= before, "the window shrank");
    }
    assert!(lost >= 2, "{lost} probes");
    assert_eq!(connection.unsent(), 0);
}

#[test]
fn b9_the_end_of_the_other_direction_has_a_number_that_is_acknowledged() {
    let mut connection = opened();
    // FIN is the second number; the first one is missing.
    give(&mut connection, START, &packet(1, 50, 501, 100, MIB, &[]));
    assert_eq!(events(&mut connection), []);
    assert_eq!(told(&mut connection, START)[0].header.acknowledged, 499);
    give(&mut connection, START, &packet(0, 50, 500, 100, MIB, b"last"));
    assert_eq!(
        events(&mut connection),
        [ConnectionEvent::Received(Bytes::from_static(b"last")), ConnectionEvent::Ended]
    );
    let told_now = told(&mut connection, START);
    assert_eq!((told_now[0].header.kind, told_now[0].header.acknowledged), (Kind::State, 501));
    // Ours comes when the upper layer closes, and has no bytes.
    connection.close(START);
    let fin = told(&mut connection, START);
    assert_eq!((kinds(&fin), fin[0].payload()), (vec![(Kind::Fin, 101)], &[][..]));
    acknowledge(&mut connection, START, 101);
    assert!(!connection.is_over());
    // For one timeout it acknowledges again what comes again.
    give(&mut connection, START + millis(100), &packet(1, 50, 501, 101, MIB, &[]));
    assert_eq!(told(&mut connection, START + millis(100))[0].header.acknowledged, 501);
    told(&mut connection, START + Duration::from_secs(2));
    assert_eq!(events(&mut connection), [ConnectionEvent::Closed(Ending::Finished)]);
}

#[test]
fn b9_what_follows_an_end_is_not_taken() {
    let mut connection = opened();
    give(&mut connection, START, &packet(1, 50, 500, 100, MIB, &[]));
    give(&mut connection, START, &packet(0, 50, 501, 100, MIB, b"more"));
    assert_eq!(events(&mut connection), [ConnectionEvent::Ended]);
}

#[test]
fn b10_numbers_wrap_in_acknowledgements_of_every_kind() {
    let draw = Draw { sequence: 65_533, seed: 1 };
    let mut connection = Connection::connect(65_535, draw, IPV4);
    // The id of what we send is one more.
    assert_eq!((connection.receive_id(), connection.send_id()), (65_535, 0));
    told(&mut connection, START);
    give(&mut connection, START, &packet(2, 65_535, 0, 65_533, MIB, &[]));
    write(&mut connection, 4 * FULL);
    // 65,534 and 65,535.
    assert_eq!(told(&mut connection, START).len(), 2);
    acknowledge(&mut connection, START + millis(1), 65_535);
    assert_eq!(kinds(&told(&mut connection, START + millis(1))), [(Kind::Data, 0), (Kind::Data, 1)]);
    give(&mut connection, START + millis(2), &selective(65_535, 0, 65_535, &[1, 0, 0, 0]));
    assert_eq!(connection.send.in_flight(), FULL);
    give(&mut connection, START + millis(2), &packet(0, 65_535, 0, 1, MIB, b"wrapped"));
    assert_eq!(connection.unsent(), 0);
    assert!(events(&mut connection).contains(&ConnectionEvent::Received(Bytes::from_static(b"wrapped"))));
}

#[test]
fn b11_a_full_window_does_not_keep_fin_back() {
    let mut connection = opened();
    write(&mut connection, 2 * FULL);
    assert_eq!(told(&mut connection, START + millis(10)).len(), 2);
    connection.close(START + millis(11));
    // Both windows are full: the congestion window by what is in flight, and the other end's.
    assert_eq!(kinds(&told(&mut connection, START + millis(11))), [(Kind::Fin, 103)]);
}

#[test]
fn b12_a_repeated_syn_gets_the_first_number_again() {
    let mut connection = answered();
    write(&mut connection, 10);
    assert_eq!(kinds(&told(&mut connection, START)), [(Kind::Data, 100)]);
    // Our first answer may be lost, and SYN come again late.
    give(&mut connection, START, &packet(4, 50, 900, 0, 0, &[]));
    let again = told(&mut connection, START);
    assert_eq!(kinds(&again), [(Kind::State, 100)]);
    assert_eq!((again[0].header.acknowledged, again[0].header.connection), (900, 50));
    // Another SYN with this id is none of this connection.
    give(&mut connection, START, &packet(4, 50, 901, 0, 0, &[]));
    assert!(told(&mut connection, START).is_empty());
}

#[test]
fn b13_a_selective_acknowledgement_has_4_to_32_bytes_and_a_bit() {
    let mut connection = opened();
    // Only the number 300 after the next one: too far for 32 bytes.
    give(&mut connection, START, &packet(0, 50, 800, 100, MIB, b"x"));
    assert_eq!(told(&mut connection, START)[0].selective(), []);
    for number in [502, 757] {
        give(&mut connection, START, &packet(0, 50, number, 100, MIB, b"x"));
        let bits = told(&mut connection, START)[0].selective();
        assert!((4..=32).contains(&bits.len()) && bits.len().is_multiple_of(4), "{bits:?}");
        assert!(bits.iter().any(|&byte| byte != 0));
    }
    // Nothing is missing: nothing is told.
    let mut whole = opened();
    give(&mut whole, START, &packet(0, 50, 500, 100, MIB, b"x"));
    give(&mut whole, START, &packet(0, 50, 501, 100, MIB, b"x"));
    assert_eq!(told(&mut whole, START)[0].selective(), []);
}

#[test]
fn b14_every_packet_tells_a_window() {
    let mut connection = Connection::connect(50, DRAW, IPV4);
    assert_eq!(told(&mut connection, START)[0].header.window, MIB);
    let mut connection = opened();
    write(&mut connection, 10);
    connection.close(START + millis(10));
    let sent = told(&mut connection, START + millis(10));
    assert_eq!(kinds(&sent), [(Kind::Data, 101), (Kind::Fin, 102)]);
    assert!(sent.iter().all(|one| one.header.window == MIB));
    // What waits for a number that is missing takes room.
    give(&mut connection, START + millis(11), &packet(0, 50, 502, 100, MIB, &[1; 1_000]));
    assert_eq!(told(&mut connection, START + millis(11))[0].header.window, MIB - 1_000);
}

#[test]
fn b16_the_window_does_not_grow_while_it_is_not_used() {
    let mut connection = opened();
    let mut now = START + millis(10);
    for number in 101..200 {
        write(&mut connection, 500);
        assert_eq!(told(&mut connection, now).len(), 1);
        now = now + millis(10);
        acknowledge(&mut connection, now, number);
    }
    assert_eq!(connection.congestion.window(), 2 * 1_232);
}

#[test]
fn b16_nothing_but_state_is_said_before_the_third_packet() {
    let syn = packet(4, 50, 900, 0, MIB, &[]);
    let mut connection = Connection::accept(START, &Header::decode(&syn).unwrap(), DRAW, IPV4);
    write(&mut connection, 5_000);
    let answer = told(&mut connection, START);
    assert_eq!((kinds(&answer), answer[0].bytes.len()), (vec![(Kind::State, 100)], 20));
    for second in 1..10 {
        assert!(told(&mut connection, START + Duration::from_secs(second)).is_empty());
    }
    assert!(connection.is_half_open());
    // Data shows that the other end is where its packets say it is.
    give(&mut connection, START + Duration::from_secs(9), &packet(0, 51, 901, 99, MIB, b"x"));
    assert_eq!(told(&mut connection, START + Duration::from_secs(9))[0].header.sequence, 100);
}

#[test]
fn who_never_says_more_than_syn_is_forgotten_after_10_seconds() {
    let syn = packet(4, 50, 900, 0, MIB, &[]);
    let mut connection = Connection::accept(START, &Header::decode(&syn).unwrap(), DRAW, IPV4);
    told(&mut connection, START);
    assert_eq!(connection.wakes_at(), Some(START + Duration::from_secs(10)));
    assert!(told(&mut connection, START + Duration::from_secs(10)).is_empty());
    assert!(connection.is_over());
}

#[test]
fn syn_is_sent_three_times_and_refused_by_reset() {
    let mut connection = Connection::connect(50, DRAW, IPV4);
    for seconds in [0, 3, 6] {
        let now = START + Duration::from_secs(seconds);
        assert_eq!(kinds(&told(&mut connection, now)), [(Kind::Syn, 100)], "after {seconds} s");
    }
    assert!(told(&mut connection, START + Duration::from_secs(9)).is_empty());
    assert_eq!(events(&mut connection), [ConnectionEvent::Closed(Ending::TimedOut)]);

    let mut connection = Connection::connect(50, DRAW, IPV4);
    told(&mut connection, START);
    give(&mut connection, START, &packet(3, 50, 0, 99, 0, &[]));
    assert!(!connection.is_over(), "it names no packet of ours");
    give(&mut connection, START, &packet(3, 50, 0, 100, 0, &[]));
    assert_eq!(events(&mut connection), [ConnectionEvent::Closed(Ending::Refused)]);
}

/// Two that dial each other at the same time (BEP 55) do not wait long for the device that let the first packet down.
#[test]
fn syn_that_punches_a_hole_is_sent_after_one_and_three_seconds() {
    let mut connection = Connection::punch(50, DRAW, IPV4);
    for seconds in [0, 1, 3] {
        let now = START + Duration::from_secs(seconds);
        assert_eq!(kinds(&told(&mut connection, now)), [(Kind::Syn, 100)], "after {seconds} s");
    }
    assert!(told(&mut connection, START + Duration::from_secs(7)).is_empty());
    assert_eq!(events(&mut connection), [ConnectionEvent::Closed(Ending::TimedOut)]);
}

#[test]
fn data_that_nobody_acknowledges_is_sent_five_times_and_probed_once_and_then_given_up() {
    let mut connection = opened();
    write(&mut connection, 100);
    let mut now = START + millis(10);
    let mut sent = Vec::new();
    while !connection.is_over() {
        sent.extend(told(&mut connection, now).iter().map(|one| one.header.kind));
        now = connection.wakes_at().unwrap_or(now);
    }
    assert_eq!(sent[..6], [Kind::Data; 6]);
    assert_eq!(sent[6..], [Kind::Reset]);
    assert_eq!(events(&mut connection).last(), Some(&ConnectionEvent::Closed(Ending::TimedOut)));
}

#[test]
fn forged_acknowledgements_and_windows_do_no_harm() {
    let mut connection = opened();
    write(&mut connection, 40 * FULL);
    assert_eq!(told(&mut connection, START + millis(10)).len(), 2);
    let window = connection.congestion.window();
    for number in [103, 200, 40_000, 96, 0, 65_535] {
        acknowledge(&mut connection, START + millis(11), number);
        give(&mut connection, START + millis(11), &selective(50, 500, number, &[0xff; 32]));
    }
    assert!(!connection.is_over());
    assert_eq!(connection.congestion.window(), window);
    assert!(told(&mut connection, START + millis(11)).is_empty());
    // A window of 4 GiB is no reason to send more than the congestion window.
    give(&mut connection, START + millis(12), &packet(2, 50, 500, 102, u32::MAX, &[]));
    assert_eq!(told(&mut connection, START + millis(12)).len(), 4);
    assert!(connection.congestion.window() <= 2 * window);
}

#[test]
fn who_acknowledges_what_was_never_sent_is_left() {
    let mut connection = opened();
    let mut now = START + millis(10);
    let mut highest = 100;
    let mut rounds = 0;
    // The far end acknowledges every number up to the last one that it has seen, holes or not.
    while !connection.is_over() && rounds < 2_000 {
        if connection.unsent() < 400 * FULL {
            write(&mut connection, 400 * FULL);
        }
        for one in told(&mut connection, now) {
            highest = one.header.sequence.max(highest);
        }
        now = now + millis(10);
        acknowledge(&mut connection, now, highest);
        events(&mut connection);
        rounds += 1;
    }
    // Within two seconds.
    assert!(connection.is_over() && rounds <= 250, "{rounds} rounds");
}

#[test]
fn an_honest_end_is_not_left_for_a_packet_that_was_kept_back() {
    let mut connection = opened();
    let mut now = START + millis(10);
    let (mut has, mut complete) = (BTreeSet::new(), 100u16);
    let mut kept_back = 0;
    for _ in 0..400 {
        if connection.unsent() < 400 * FULL {
            write(&mut connection, 400 * FULL);
        }
        has.extend(told(&mut connection, now).iter().map(|one| one.header.sequence));
        while has.remove(&(complete + 1)) {
            complete += 1;
        }
        now = now + millis(10);
        if has.is_empty() {
            acknowledge(&mut connection, now, complete);
        } else {
            kept_back += 1;
            acknowledge_with_holes(&mut connection, now, complete, &has);
        }
        events(&mut connection);
        if complete > 60_000 {
            break;
        }
    }
    assert!(!connection.is_over());
    assert!((1..10).contains(&kept_back), "{kept_back} packets kept back");
}

#[test]
fn a_window_of_zero_gets_one_packet_each_15_seconds() {
    let mut connection = opened();
    give(&mut connection, START + millis(10), &packet(2, 50, 500, 100, 0, &[]));
    write(&mut connection, 10 * FULL);
    assert!(told(&mut connection, START + millis(10)).is_empty());
    let mut now = START + millis(10);
    let mut sent_at = Vec::new();
    while now < START + Duration::from_secs(100) {
        if told(&mut connection, now).iter().any(|one| one.header.kind == Kind::Data) {
            sent_at.push((now - START).as_secs());
            // It takes nothing, but is there.
            give(&mut connection, now, &packet(2, 50, 500, 100, 0, &[]));
        }
        now = connection.wakes_at().unwrap();
    }
    assert!(!connection.is_over());
    assert!(sent_at.len() >= 5 && sent_at.len() <= 8, "{sent_at:?}");
    give(&mut connection, now, &packet(2, 50, 500, 100, MIB, &[]));
    assert!(!told(&mut connection, now).is_empty());
}

#[test]
fn a_connection_that_says_nothing_stays_alive() {
    let mut connection = opened();
    told(&mut connection, START + millis(10));
    let wakes = connection.wakes_at().unwrap();
    assert_eq!(wakes, START + Duration::from_secs(29));
    assert_eq!(kinds(&told(&mut connection, wakes)), [(Kind::State, 101)]);
}

#[test]
fn two_packets_are_acknowledged_at_once_and_one_after_a_quarter_of_the_round_trip() {
    let mut connection = opened();
    give(&mut connection, START + millis(10), &packet(0, 50, 500, 100, MIB, b"a"));
    assert!(told(&mut connection, START + millis(10)).is_empty());
    assert!(told(&mut connection, START + millis(12)).is_empty());
    // The round trip is 10 ms.
    assert_eq!(connection.wakes_at(), Some(START + Duration::from_micros(12_500)));
    assert_eq!(told(&mut connection, START + millis(13)).len(), 1);
    give(&mut connection, START + millis(60), &packet(0, 50, 501, 100, MIB, b"b"));
    give(&mut connection, START + millis(60), &packet(0, 50, 502, 100, MIB, b"c"));
    assert_eq!(told(&mut connection, START + millis(60))[0].header.acknowledged, 502);
    // What is said anyway acknowledges as well.
    give(&mut connection, START + millis(70), &packet(0, 50, 503, 100, MIB, b"d"));
    write(&mut connection, 3);
    let sent = told(&mut connection, START + millis(70));
    assert_eq!((kinds(&sent), sent[0].header.acknowledged), (vec![(Kind::Data, 101)], 503));
    assert!(told(&mut connection, START + millis(150)).is_empty());
}

#[test]
fn three_acknowledgements_that_repeat_themselves_say_that_a_packet_is_lost() {
    let mut connection = opened();
    write(&mut connection, 2 * FULL);
    told(&mut connection, START + millis(10));
    for _ in 0..2 {
        acknowledge(&mut connection, START + millis(20), 100);
        assert!(told(&mut connection, START + millis(20)).is_empty());
    }
    acknowledge(&mut connection, START + millis(20), 100);
    assert_eq!(kinds(&told(&mut connection, START + millis(20))), [(Kind::Data, 101)]);
    (0..9).for_each(|_| acknowledge(&mut connection, START + millis(30), 100));
    assert!(told(&mut connection, START + millis(30)).is_empty());
}

#[test]
fn a_reset_must_name_what_we_have_sent() {
    let mut connection = answered();
    give(&mut connection, START, &packet(3, 51, 0, 4_000, 0, &[]));
    assert!(!connection.is_over());
    give(&mut connection, START, &packet(3, 51, 0, 99, 0, &[]));
    assert_eq!(events(&mut connection), [ConnectionEvent::Closed(Ending::Reset)]);
    assert!(told(&mut connection, START).is_empty());
}
