//! What an end gains that acknowledges what it never got, to be sent more (Adamsky and others, 2012): how many bytes leave for it
//! under one clock over a way with a rate and a queue, beside those for an honest end.

use std::collections::VecDeque;

use super::*;

#[derive(Debug, Clone, Copy)]
enum FarEnd {
    /// Acknowledges what it has, with its holes.
    Honest,
    /// Acknowledges every number up to the highest that came.
    HidesLosses,
    /// Acknowledges what has just left us, before it can have come.
    Guesses,
}

#[derive(Debug, Clone, Copy)]
struct Bottleneck {
    delay: Duration,
    /// Bytes a second.
    rate: u64,
    /// How long a packet may wait: what finds a longer queue is lost.
    queue: Duration,
}

/// How many bytes have left for a far end after each millisecond of `LIFE`, until it is left.
fn sent_to(far_end: FarEnd, way: Bottleneck) -> Vec<usize> {
    let mut connection = opened();
    let (mut sent, mut left_us) = (vec![0], 100u16);
    // When a number arrives.
    let mut under_way = VecDeque::<(Timestamp, u16)>::new();
    let mut acknowledgements = VecDeque::<(Timestamp, u16, BTreeSet<u16>)>::new();
    let (mut complete, mut has, mut highest) = (100u16, BTreeSet::new(), 100u16);
    let mut busy_until = START;
    for step in 10..LIFE {
        let now = START + millis(step);
        while acknowledgements.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, complete, has)) = acknowledgements.pop_front() else { break };
            acknowledge_with_holes(&mut connection, now, complete, &has);
        }
        events(&mut connection);
        if connection.is_over() {
            break;
        }
        if connection.unsent() < 2_000 * PACKET {
            write(&mut connection, 2_000 * PACKET);
        }
        sent.push(sent[sent.len() - 1]);
        for one in told(&mut connection, now).iter().filter(|one| one.header.kind == Kind::Data) {
            *sent.last_mut().unwrap() += one.bytes.len();
            left_us = left_us.max(one.header.sequence);
            let begins = busy_until.max(now);
            if begins - now <= way.queue {
                busy_until = begins + Duration::from_nanos(one.bytes.len() as u64 * 1_000_000_000 / way.rate);
                under_way.push_back((busy_until + way.delay, one.header.sequence));
            }
        }
        while let Some(&(at, number)) = under_way.front()
            && at <= now
        {
            under_way.pop_front();
            highest = highest.max(number);
            has.extend((number > complete).then_some(number));
            while has.remove(&(complete + 1)) {
                complete += 1;
            }
        }
        let (complete, has) = match far_end {
            FarEnd::Honest => (complete, has.clone()),
            FarEnd::HidesLosses => (highest, BTreeSet::new()),
            FarEnd::Guesses => (left_us, BTreeSet::new()),
        };
        acknowledgements.push_back((now + way.delay, complete, has));
    }
    sent
}

/// At no moment has twice as much left for a liar as for an honest end, and it is left.
#[test]
fn who_acknowledges_what_it_never_got_is_not_sent_twice_as_much() {
    let mut faults = Vec::new();
    for (delay, rate, queue) in
        [(20, 10_000_000, 50), (20, 1_000_000, 50), (50, 1_000_000, 300), (5, 2_000_000, 20)]
    {
        let way = Bottleneck { delay: millis(delay), rate, queue: millis(queue) };
        let honest = sent_to(FarEnd::Honest, way);
        assert_eq!(honest.len() as u64, LIFE - 10 + 1, "an honest end is not left");
        for liar in [FarEnd::HidesLosses, FarEnd::Guesses] {
            let lying = sent_to(liar, way);
            let excess =
                lying.iter().zip(&honest).map(|(lying, honest)| *lying as f64 / (*honest).max(FEW) as f64);
            let most = excess.fold(0.0, f64::max);
            let until = lying.len();
            if most > 2.0 || until == honest.len() {
                faults.push(format!(
                    "{way:?}, {liar:?}: {most:.2} times as much, {:?} and {} bytes in {until} ms",
                    lying.last(),
                    honest[until - 1]
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// With fewer bytes there is no rate to speak of.
const FEW: usize = 64 * 1024;
/// How long that goes on, in milliseconds: within it a liar is left.
const LIFE: u64 = 2_500;
const PACKET: usize = 1_452;
