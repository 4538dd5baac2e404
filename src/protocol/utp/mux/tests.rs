use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::half_open::{MOST_HALF_OPEN, MOST_OF_24, MOST_OF_64};
use super::*;

const START: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);
const THERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 6881);
const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 6881);
const STREAM: SessionStreamId = SessionStreamId(2);

fn mux() -> Mux {
    Mux::new([1; 32], START)
}

const fn after(millis: u64) -> Timestamp {
    Timestamp::from_nanos(START.as_nanos() + millis as i64 * 1_000_000)
}

/// A packet: kind 0 is data, 1 FIN, 2 STATE, 3 RESET, 4 SYN.
fn packet(kind: u8, id: u16, number: u16, acknowledged: u16, rest: &[u8]) -> Bytes {
    let mut bytes = vec![kind << 4 | 1, 0];
    bytes.extend(id.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, 0, 16, 0, 0]);
    bytes.extend(number.to_be_bytes());
    bytes.extend(acknowledged.to_be_bytes());
    bytes.extend(rest);
    bytes.into()
}

/// All that a mux wants now: the datagrams, and what it tells.
fn drain(mux: &mut Mux) -> (Vec<(SocketAddr, Bytes)>, Vec<MuxOutput>) {
    let (mut datagrams, mut told) = (Vec::new(), Vec::new());
    while let Some(output) = mux.poll() {
        match output {
            MuxOutput::Datagram(to, bytes, _) => datagrams.push((to, bytes)),
            other => told.push(other),
        }
    }
    (datagrams, told)
}

/// Has somebody open a connection with this id: SYN is number 900, the first data 901. What our first number is.
fn call(mux: &mut Mux, from: SocketAddr, id: u16) -> u16 {
    mux.handle(START, from, &packet(4, id, 900, 0, &[]));
    let (datagrams, _) = drain(mux);
    let answer = Header::decode(&datagrams[0].1).expect("an answer");
    assert_eq!((answer.kind, answer.connection, answer.acknowledged), (Kind::State, id, 900));
    mux.handle(START, from, &packet(0, id + 1, 901, answer.sequence.wrapping_sub(1), b"hello"));
    answer.sequence
}

/// Two muxes, and a way of 5 ms between them.
struct Pair {
    ends: [Mux; 2],
    told: [Vec<MuxOutput>; 2],
    wire: VecDeque<(Timestamp, usize, Bytes)>,
    now: Timestamp,
}

impl Pair {
    fn new() -> Self {
        let ends = [Mux::new([1; 32], START), Mux::new([2; 32], START)];
        Self { ends, told: Default::default(), wire: VecDeque::new(), now: START }
    }

    /// Runs for so many milliseconds.
    fn run(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        loop {
            for at in [0, 1] {
                self.ends[at].tick(self.now);
                let (datagrams, told) = drain(&mut self.ends[at]);
                self.told[at].extend(told);
                let arrives = self.now + Duration::from_millis(5);
                self.wire.extend(datagrams.into_iter().map(|(_, bytes)| (arrives, 1 - at, bytes)));
            }
            let wakes = self.ends.iter().filter_map(Mux::wakes_at);
            let next = wakes.chain(self.wire.front().map(|&(at, ..)| at)).min();
            self.now = next.unwrap_or(until).min(until).max(self.now);
            if self.now == until {
                return;
            }
            while self.wire.front().is_some_and(|&(at, ..)| at <= self.now) {
                let Some((_, to, bytes)) = self.wire.pop_front() else { break };
                let from = [THERE, HERE][to];
                assert!(self.ends[to].handle(self.now, from, &bytes));
            }
        }
    }

    fn received(&self, at: usize) -> Vec<u8> {
        let bytes = self.told[at].iter().filter_map(|told| match told {
            MuxOutput::Received(_, bytes) => Some(&bytes[..]),
            _ => None,
        });
        bytes.collect::<Vec<_>>().concat()
    }
}

#[test]
fn a_stream_carries_bytes_both_ways_and_ends_at_both_ends() {
    let mut pair = Pair::new();
    let long: Vec<u8> = (0..3_000_000u32).map(|at| (at * 7 / 3) as u8).collect();
    pair.ends[0].open(STREAM, THERE);
    pair.ends[0].write(STREAM, Bytes::from(long.clone()));
    pair.run(5_000);
    assert_eq!(pair.told[0][0], MuxOutput::Opened(STREAM, THERE));
    let MuxOutput::Accepted(theirs, from) = pair.told[1][0] else { panic!("{:?}", pair.told[1][0]) };
    // Odd, as all streams that somebody else opens.
    assert_eq!((from, theirs.0 % 2), (HERE, 1));
    assert!(pair.received(1) == long);
    let sent = pair.told[0].iter().map(|told| if let MuxOutput::Sent(_, count) = told { *count } else { 0 });
    assert_eq!(sent.sum::<usize>(), long.len());
    pair.ends[1].write(theirs, Bytes::from_static(b"thanks"));
    pair.ends[1].close(theirs);
    pair.run(1_000);
    assert_eq!(pair.received(0), b"thanks");
    assert_eq!(pair.told[0].last(), Some(&MuxOutput::Closed(STREAM, CloseReason::ByRemote)));
    pair.run(5_000);
    assert!(pair.ends.iter().all(|mux| mux.connections.is_empty() && mux.by_id.is_empty() && mux.is_quiet()));
    assert!(pair.ends.iter().all(|mux| mux.held == 0 && mux.timers.is_empty()));
}

#[test]
fn an_address_that_nobody_has_is_given_up() {
    let mut mux = mux();
    mux.open(STREAM, THERE);
    let mut told = Vec::new();
    let mut sent = 0;
    while let Some(at) = {
        let (datagrams, news) = drain(&mut mux);
        sent += datagrams.len();
        told.extend(news);
        mux.wakes_at()
    } {
        mux.tick(at);
    }
    assert_eq!((sent, told), (3, vec![MuxOutput::Closed(STREAM, CloseReason::TimedOut)]));
}

#[test]
fn ten_thousand_forged_callers_get_little_and_are_forgotten() {
    let mut mux = mux();
    let (mut replies, mut sent) = (0, 0);
    for number in 0..10_000u32 {
        let host = Ipv4Addr::from(0x0a00_0000 + number * 97);
        let syn = packet(4, number as u16, 1, 0, &[]);
        sent += syn.len();
        mux.handle(START, (host, 7_000).into(), &syn);
        let (datagrams, told) = drain(&mut mux);
        assert!(told.is_empty());
        for (to, bytes) in datagrams {
            assert_eq!((to.ip(), bytes.len()), (host.into(), 20));
            replies += bytes.len();
        }
        assert!(mux.half_open.count() <= MOST_HALF_OPEN && mux.connections.len() <= MOST_HALF_OPEN);
    }
    assert!(replies <= sent && replies == MOST_HALF_OPEN * 20, "{replies} bytes for {sent}");
    // Nothing is said again by itself, and after ten seconds nothing is left.
    mux.tick(after(9_999));
    assert_eq!(drain(&mut mux), (vec![], vec![]));
    assert_eq!(mux.half_open.count(), MOST_HALF_OPEN);
    mux.tick(after(10_000));
    assert_eq!(drain(&mut mux), (vec![], vec![]));
    assert_eq!((mux.half_open.count(), mux.connections.len(), mux.by_id.len()), (0, 0, 0));
    assert_eq!(mux.wakes_at(), None);
}

#[test]
fn one_network_has_few_half_open_connections() {
    let mut mux = mux();
    for host in 0..100u16 {
        mux.handle(START, (Ipv4Addr::new(10, 1, 1, host as u8), 7_000).into(), &packet(4, 5, 1, 0, &[]));
    }
    assert_eq!(drain(&mut mux).0.len(), MOST_OF_24);
    for host in 0..100u16 {
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host);
        mux.handle(START, (address, 7_000).into(), &packet(4, 5, 1, 0, &[]));
    }
    assert_eq!(drain(&mut mux).0.len(), MOST_OF_64);
    // Another network has room, and who has said something counts no longer.
    call(&mut mux, HERE, 70);
    drain(&mut mux);
    assert_eq!(mux.half_open.count(), MOST_OF_24 + MOST_OF_64);
}

#[test]
fn b15_a_repeated_syn_makes_no_second_connection() {
    let mut mux = mux();
    let first = call(&mut mux, THERE, 50);
    assert!(matches!(drain(&mut mux).1[..], [MuxOutput::Accepted(..), MuxOutput::Received(..)]));
    for _ in 0..3 {
        mux.handle(START, THERE, &packet(4, 50, 900, 0, &[]));
        let (datagrams, told) = drain(&mut mux);
        let answer = Header::decode(&datagrams[0].1).expect("an answer");
        assert_eq!((datagrams.len(), answer.kind, answer.sequence), (1, Kind::State, first));
        assert!(told.is_empty());
    }
    assert_eq!(mux.connections.len(), 1);
}

#[test]
fn holes_on_200_connections_hold_32_mib_together_and_then_windows_shrink() {
    let mut mux = mux();
    let callers: Vec<SocketAddr> =
        (0..200u32).map(|number| (Ipv4Addr::from(0x0a00_0000 + number * 300), 7_000).into()).collect();
    let firsts: Vec<_> = callers.iter().map(|&from| call(&mut mux, from, 50)).collect();
    drain(&mut mux);
    let payload = [3; 1_400];
    for number in 903..903 + 760 {
        for (&from, &first) in callers.iter().zip(&firsts) {
            mux.handle(START, from, &packet(0, 51, number, first.wrapping_sub(1), &payload));
        }
        assert!(mux.held <= MOST_HELD, "{} bytes", mux.held);
        let held: usize = mux.connections.values().map(|entry| entry.connection.held()).sum();
        assert_eq!(held, mux.held);
        drain(&mut mux);
    }
    assert!(mux.held > MOST_HELD - 2_000);
    // What one is told now: no room.
    mux.handle(START, callers[0], &packet(0, 51, 904, firsts[0].wrapping_sub(1), &payload));
    let (datagrams, _) = drain(&mut mux);
    let window = Header::decode(&datagrams[0].1).expect("an acknowledgement").window;
    assert!(window < 2_000, "{window}");
    // What is missing is taken all the same, and makes room.
    mux.handle(START, callers[0], &packet(0, 51, 902, firsts[0].wrapping_sub(1), &payload));
    assert!(drain(&mut mux).1.iter().any(|told| matches!(told, MuxOutput::Received(..))));
    assert!(mux.held < MOST_HELD - 100_000);
}

#[test]
fn nothing_is_said_to_packets_of_unknown_connections() {
    let mut mux = mux();
    for kind in 0..4 {
        assert!(mux.handle(START, THERE, &packet(kind, 9, 1, 1, &[])));
    }
    assert!(!mux.handle(START, THERE, &Bytes::from_static(b"d1:ade")));
    assert_eq!(drain(&mut mux), (vec![], vec![]));
}

#[test]
fn who_speaks_on_a_connection_that_has_ended_is_told_10_times_a_second() {
    let mut mux = mux();
    let first = call(&mut mux, THERE, 50);
    let (_, told) = drain(&mut mux);
    let MuxOutput::Accepted(stream, _) = told[0] else { panic!("{told:?}") };
    mux.abort(stream);
    let (datagrams, told) = drain(&mut mux);
    assert_eq!((datagrams[0].1[0], told), (0x31, vec![]));
    let mut resets = 0;
    for _ in 0..100 {
        mux.handle(START, THERE, &packet(0, 51, 902, first.wrapping_sub(1), b"more"));
        for (to, bytes) in drain(&mut mux).0 {
            let header = Header::decode(&bytes).expect("a packet");
            assert_eq!(
                (to, header.kind, header.connection, header.acknowledged),
                (THERE, Kind::Reset, 50, 902)
            );
            resets += 1;
        }
    }
    assert_eq!(resets, 10);
    mux.handle(after(1_000), THERE, &packet(0, 51, 902, first.wrapping_sub(1), b"more"));
    assert_eq!(drain(&mut mux).0.len(), 1);
}

#[test]
fn a_reset_finds_its_connection_by_either_id() {
    for by_send_id in [false, true] {
        let mut mux = mux();
        mux.open(STREAM, THERE);
        let syn = Header::decode(&drain(&mut mux).0[0].1).expect("a SYN");
        mux.handle(START, THERE, &packet(2, syn.connection, 700, syn.sequence, &[]));
        drain(&mut mux);
        let id = syn.connection.wrapping_add(u16::from(by_send_id));
        mux.handle(START, THERE, &packet(3, id, 0, syn.sequence, &[]));
        assert_eq!(drain(&mut mux).1, [MuxOutput::Closed(STREAM, CloseReason::Reset)]);
    }
}

#[test]
fn what_is_written_after_a_pause_waits_for_the_caller_or_200_milliseconds() {
    for caller_goes_on in [true, false] {
        let mut mux = mux();
        let first = call(&mut mux, THERE, 50);
        let (_, told) = drain(&mut mux);
        let MuxOutput::Accepted(stream, _) = told[0] else { panic!("{told:?}") };
        mux.write(stream, Bytes::from_static(b"agreed, "));
        mux.write(stream, Bytes::from_static(b"the answer"));
        mux.pause(stream);
        mux.write(stream, Bytes::from_static(b"and what follows"));
        let (datagrams, _) = drain(&mut mux);
        assert_eq!((datagrams.len(), &datagrams[0].1[20..]), (1, &b"agreed, the answer"[..]));
        mux.write(stream, Bytes::from_static(b", more"));
        mux.tick(after(199));
        assert!(drain(&mut mux).0.iter().all(|(_, bytes)| bytes.len() == 20));
        match caller_goes_on {
            true => drop(mux.handle(after(199), THERE, &packet(0, 51, 902, first, b"go on"))),
            false => mux.tick(after(200)),
        }
        let (datagrams, _) = drain(&mut mux);
        let said: Vec<u8> = datagrams.iter().flat_map(|(_, bytes)| bytes[20..].to_vec()).collect();
        assert_eq!(said, b"and what follows, more");
        // The pause is over.
        mux.write(stream, Bytes::from_static(b"at once"));
        assert_eq!(&drain(&mut mux).0[0].1[20..], b"at once");
    }
}

#[test]
fn nothing_that_was_written_waits_beyond_a_close() {
    let mut mux = mux();
    call(&mut mux, THERE, 50);
    let (_, told) = drain(&mut mux);
    let MuxOutput::Accepted(stream, _) = told[0] else { panic!("{told:?}") };
    mux.pause(stream);
    mux.write(stream, Bytes::from_static(b"goodbye"));
    assert!(drain(&mut mux).0.iter().all(|(_, bytes)| bytes.len() == 20));
    mux.close(stream);
    let (datagrams, _) = drain(&mut mux);
    assert!(datagrams.iter().any(|(_, bytes)| bytes.ends_with(b"goodbye")), "{datagrams:?}");
}

#[test]
fn who_called_does_not_pause() {
    let mut mux = mux();
    mux.open(STREAM, THERE);
    let syn = Header::decode(&drain(&mut mux).0[0].1).expect("a SYN");
    mux.handle(START, THERE, &packet(2, syn.connection, 700, syn.sequence, &[]));
    drain(&mut mux);
    mux.pause(STREAM);
    mux.write(STREAM, Bytes::from_static(b"hello"));
    assert_eq!(&drain(&mut mux).0[0].1[20..], b"hello");
}

#[test]
fn while_the_port_is_full_no_datagram_is_made_and_none_is_lost() {
    let mut mux = mux();
    call(&mut mux, THERE, 50);
    let (_, told) = drain(&mut mux);
    let MuxOutput::Accepted(stream, _) = told[0] else { panic!("{told:?}") };
    mux.set_writable(false);
    mux.write(stream, Bytes::from_static(b"later"));
    for second in 1..25 {
        mux.tick(after(second * 1_000));
        assert_eq!(drain(&mut mux), (vec![], vec![]));
        assert!(mux.wakes_at().is_none_or(|at| at > after(second * 1_000)));
    }
    mux.set_writable(true);
    let (datagrams, told) = drain(&mut mux);
    assert_eq!((&datagrams[0].1[20..], told), (&b"later"[..], vec![MuxOutput::Sent(stream, 5)]));
}

#[test]
fn windows_shrink_with_the_room_above() {
    let mut mux = mux();
    let first = call(&mut mux, THERE, 50);
    drain(&mut mux);
    mux.set_room(0);
    let window = |mux: &mut Mux, number: u16| {
        for number in [number, number + 1] {
            mux.handle(START, THERE, &packet(0, 51, number, first.wrapping_sub(1), &[1; 100]));
        }
        Header::decode(&drain(mux).0[0].1).expect("an acknowledgement").window
    };
    // Without room, what is next is taken and nothing more.
    assert_eq!(window(&mut mux, 902), 0);
    mux.set_room(usize::MAX);
    // The caller is told without having to ask.
    assert_eq!(Header::decode(&drain(&mut mux).0[0].1).expect("news").window, 1 << 20);
    assert_eq!(window(&mut mux, 903), 1 << 20);
}

#[test]
fn a_closed_connection_whose_other_end_reads_nothing_is_given_up() {
    let mut mux = mux();
    let first = call(&mut mux, THERE, 50);
    let (_, told) = drain(&mut mux);
    let MuxOutput::Accepted(stream, _) = told[0] else { panic!("{told:?}") };
    mux.write(stream, Bytes::from(vec![0; 5_000_000]));
    mux.close(stream);
    let mut number = first;
    let mut now = START;
    // It acknowledges a packet a second.
    for second in 1..=40 {
        drain(&mut mux);
        now = after(second * 1_000);
        mux.handle(now, THERE, &packet(2, 51, 902, number, &[]));
        number = number.wrapping_add(1);
    }
    drain(&mut mux);
    assert!(mux.connections.is_empty() && now > START);
}
