//! The law of a connection, over any way: bytes come once, in order and whole, never more is in flight than the windows allow,
//! and it always ends.

use std::time::Duration;

use proptest::prelude::*;

use super::link::{Link, SimClock, Way};
use super::*;
use crate::utp::connection::Ending;
use crate::utp::round_trip::LEAST_TIMEOUT;

/// Bytes that differ wherever two packets could be mistaken for each other.
fn content(length: usize, salt: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251 + at / 65_521 + salt) as u8).collect()
}

const DRAWS: [Draw; 2] = [Draw { sequence: 65_500, seed: 3 }, Draw { sequence: 65_530, seed: 4 }];

fn transfer(way: Way, lengths: [usize; 2]) -> (Link, Duration) {
    let says = [content(lengths[0], 0), content(lengths[1], 9)];
    let mut link = Link::new(way, says, <[SimClock; 2]>::default(), DRAWS);
    let took = link.run();
    (link, took)
}

fn assert_whole(link: &Link, lengths: [usize; 2]) {
    assert_eq!([link.ends[1].received, link.ends[0].received], lengths);
    assert!(link.ends.iter().all(|end| end.ending == Some(Ending::Finished)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn bytes_come_once_in_order_whole_and_it_always_ends(
        delay in 0u64..400,
        jitter in 0u64..100,
        loss in 0usize..=300,
        doubles in 0usize..200,
        mtu in prop_oneof![Just(1_472usize), 1_232usize..1_472, 576usize..1_232],
        rate in prop_oneof![Just(None), (20_000u64..2_000_000).prop_map(Some)],
        lengths: (u16, u16),
        numbers: (u16, u16, u64),
        ahead in -5_000_000_000i64..5_000_000_000,
        drift in -100i64..=100,
    ) {
        let (delay, jitter) = (millis(delay), millis(jitter));
        let way = Way { delay, jitter, loss, doubles, mtu, rate, ..Way::default() };
        let lengths = [usize::from(lengths.0) * 4 + 1, usize::from(lengths.1) * 2];
        let draws = [
            Draw { sequence: numbers.0, seed: numbers.2 },
            Draw { sequence: numbers.1, seed: !numbers.2 },
        ];
        let says = [content(lengths[0], 0), content(lengths[1], 9)];
        let clocks = [SimClock::default(), SimClock { ahead, drift }];
        // What came is compared with what was sent, packet by packet, on the way.
        let mut link = Link::new(way, says, clocks, draws);
        link.run();
        prop_assert!(link.ends.iter().all(|end| end.ending.is_some()));
        // Who has closed in peace has told all; a way that loses much may take more patience than there is.
        if let [caller, callee] = &link.ends[..] {
            if caller.ending == Some(Ending::Finished) {
                prop_assert_eq!(callee.received, lengths[0]);
            }
            if callee.ending == Some(Ending::Finished) {
                prop_assert_eq!(caller.received, lengths[1]);
            }
        }
        if loss == 0 && rate.is_none() {
            assert_whole(&link, lengths);
        }
    }
}

#[test]
fn numbers_wrap_twice() {
    // 2^17 packets of 1,452 bytes and more.
    let length = (1 << 17) * 1_452;
    let way = Way { delay: millis(1), ..Way::default() };
    let (link, _) = transfer(way, [length, 100]);
    assert_whole(&link, [length, 100]);
    assert!(link.ends[0].packets >= 1 << 17, "{} packets", link.ends[0].packets);
}

#[test]
fn a_way_that_loses_a_tenth_carries_everything() {
    let way = Way { loss: 100, jitter: millis(10), doubles: 50, ..Way::default() };
    let lengths = [300_000, 200_000];
    let (link, _) = transfer(way, lengths);
    assert_whole(&link, lengths);
}

#[test]
fn the_size_of_the_way_is_found_and_nothing_larger_is_sent_after() {
    for mtu in [1_472, 1_400, 1_240] {
        let lengths = [3_000_000, 0];
        let (link, _) = transfer(Way { mtu, ..Way::default() }, lengths);
        assert_whole(&link, lengths);
        let most = link.ends[0].packets;
        let least = lengths[0] / (mtu - 20);
        assert!(
            most >= least && most < lengths[0] / (mtu - 20 - 32) + 30,
            "{mtu}: {most} packets, {least} would do"
        );
    }
}

#[test]
fn a_rate_is_used_and_the_queue_stays_near_the_target() {
    let (length, rate) = (20_000_000, 1_000_000);
    let way = Way { rate: Some(rate), ..Way::default() };
    let (link, took) = transfer(way, [length, 0]);
    assert_whole(&link, [length, 0]);
    // Twenty seconds at the full rate.
    assert!(took < Duration::from_secs(22), "{took:?}");
    // What slow start is too much shrinks by 3,000 bytes in a round trip.
    let queue = link.longest_queue_after(Duration::from_secs(14));
    assert!(queue > millis(50) && queue < millis(130), "{queue:?} in the queue");
}

#[test]
fn nothing_is_lost_on_a_fast_way() {
    let lengths = [20_000_000, 0];
    let (link, took) = transfer(Way { delay: millis(5), ..Way::default() }, lengths);
    assert_whole(&link, lengths);
    // One MiB a round trip of 10 ms, and the end.
    assert!(took < millis(1_500), "{took:?}");
}

#[test]
fn what_is_lost_at_the_end_of_a_flight_costs_round_trips_and_no_timeout() {
    let lengths = [400_000, 0];
    let (whole, undisturbed) = transfer(Way::default(), lengths);
    // The last of all of them is FIN.
    let last = whole.ends[0].packets + 1;
    for count in [1, 2, 3, 4, 10, 40] {
        let lost = (last + 1 - count, last + 1);
        let (link, took) = transfer(Way { lost, ..Way::default() }, lengths);
        assert_whole(&link, lengths);
        // A round trip takes 40 ms: two before the probe, one for its answer, one for what is sent again. What acknowledges little
        // may be put off by 100 ms.
        let more = took - undisturbed;
        assert!(more < millis(if count > 3 { 200 } else { 280 }), "{count} lost: {more:?} more");
        assert!(link.ends[0].packets <= last + count + 1, "{count} lost: {} packets", link.ends[0].packets);
    }
}

#[test]
fn a_receiver_with_little_room_takes_nearly_what_it_can() {
    // As a program on the same machine that reads one datagram after the other, 90 of which the system holds for it.
    for (rate, delay) in [(100_000_000, 100), (30_000_000, 500)] {
        let delay = Duration::from_micros(delay);
        let queue = Duration::from_nanos(90 * 1_500 * 1_000_000_000 / rate);
        let length = 30_000_000;
        let (link, took) = transfer(Way { rate: Some(rate), delay, queue, ..Way::default() }, [length, 0]);
        assert_whole(&link, [length, 0]);
        let least = Duration::from_secs_f64(length as f64 / rate as f64);
        // An end that is done stays for one timeout.
        let took = took - LEAST_TIMEOUT;
        assert!(took < least * 5 / 4, "{took:?} at {rate} bytes a second, {least:?} would do");
    }
}

#[derive(Debug, Clone)]
enum HostileStep {
    /// Kind, number and acknowledgement beside the right ones, window, measured delay, extension and what follows it.
    Packet(u8, i16, i16, u32, u32, u8, Vec<u8>),
    Write(u16),
    Wait(u16),
    WaitForTimer,
    Close,
}

fn hostile_step() -> impl Strategy<Value = HostileStep> {
    let near = || prop_oneof![3 => -3i16..6, 1 => any::<i16>()];
    let window = prop_oneof![Just(0u32), Just(1 << 20), any::<u32>()];
    let rest = prop::collection::vec(any::<u8>(), 0..60);
    prop_oneof![
        6 => (0u8..5, near(), near(), window, any::<u32>(), 0u8..3, rest)
            .prop_map(|(kind, number, acknowledged, window, delay, extension, rest)| {
                HostileStep::Packet(kind, number, acknowledged, window, delay, extension, rest)
            }),
        3 => any::<u16>().prop_map(HostileStep::Write),
        2 => any::<u16>().prop_map(HostileStep::Wait),
        3 => Just(HostileStep::WaitForTimer),
        1 => Just(HostileStep::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_packets_are_borne(calls: bool, steps in prop::collection::vec(hostile_step(), 1..80)) {
        let mut connection = if calls { opened() } else { answered() };
        let (mut ours, mut theirs) = (100u16, if calls { 500u16 } else { 902 });
        let (mut now, mut written, mut left) = (START + millis(10), 0usize, 0usize);
        for step in steps {
            match step {
                HostileStep::Packet(kind, number, acknowledged, window, delay, extension, rest) => {
                    let (number, acknowledged) =
                        (theirs.wrapping_add_signed(number), ours.wrapping_add_signed(acknowledged));
                    let id = connection.receive_id();
                    let mut bytes = packet(kind, id, number, acknowledged, window, &rest).to_vec();
                    bytes[1] = extension;
                    bytes[8..12].copy_from_slice(&delay.to_be_bytes());
                    let bytes = Bytes::from(bytes);
                    if let Ok(header) = Header::decode(&bytes) {
                        connection.handle(now, &header, &bytes);
                    }
                }
                HostileStep::Write(length) => {
                    write(&mut connection, length.into());
                    written += usize::from(length);
                }
                HostileStep::Wait(wait) => now = now + millis(wait.into()),
                HostileStep::WaitForTimer => now = connection.wakes_at().unwrap_or(now).max(now),
                HostileStep::Close => connection.close(now),
            }
            let sent = told(&mut connection, now);
            prop_assert!(sent.iter().all(|one| one.bytes.len() <= 1_472));
            if let Some(last) = sent.last() {
                (ours, theirs) = (last.header.sequence, last.header.acknowledged.wrapping_add(1));
            }
            for event in events(&mut connection) {
                left += if let ConnectionEvent::Sent(count) = event { count } else { 0 };
            }
            prop_assert!(left <= written);
            prop_assert!(connection.held() <= 1 << 20);
            let wakes = connection.wakes_at();
            prop_assert!(wakes.is_none_or(|at| at > now), "due again at {:?}", wakes);
        }
    }
}
