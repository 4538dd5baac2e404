//! Many pretend peers with latencies, rates and faults of their own: whatever they do, the file comes whole.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::support::*;
use crate::session::*;
use crate::{PieceIndex, Timestamp};

/// How a pretend peer behaves.
#[derive(Debug, Clone)]
struct Manner {
    fast: bool,
    /// Has only the pieces whose number leaves this rest when halved; all where `None`.
    half: Option<u32>,
    latency: u64,
    /// Milliseconds a block.
    pace: u64,
    /// Every so many blocks, one has a wrong byte.
    corrupts: Option<u32>,
    /// Hangs up after so many blocks.
    leaves: Option<u32>,
    /// Falls silent after so many blocks.
    stalls: Option<u32>,
    /// Chokes after so many blocks, for five seconds.
    chokes: Option<u32>,
    refuses: bool,
}

impl Manner {
    fn honest() -> Self {
        Self {
            fast: true,
            half: None,
            latency: 20,
            pace: 5,
            corrupts: None,
            leaves: None,
            stalls: None,
            chokes: None,
            refuses: false,
        }
    }
}

/// What comes to the session at some moment.
enum Arrival {
    Opened,
    Bytes(Vec<u8>),
    Closed,
}

struct Far {
    manner: Manner,
    number: u8,
    stream: Option<u32>,
    heard: Vec<u8>,
    shook: bool,
    busy_until: Timestamp,
    asked: VecDeque<(u32, u32, u32)>,
    sent: u32,
    choking: bool,
}

struct World {
    stage: Stage,
    fars: Vec<Far>,
    events: BTreeMap<(Timestamp, u64), (usize, u32, Arrival)>,
    count: u64,
    most_asked: usize,
    done_at: Option<Timestamp>,
}

impl World {
    fn new(config: Config, manners: Vec<Manner>, length: usize, piece_length: usize) -> Self {
        let torrent = torrent(length, piece_length, &[&["http://t.test/announce"]], "");
        let mut stage = Stage::new(config, torrent, &[]);
        let peers: Vec<_> = (1..=manners.len() as u8).map(|number| [10, 0, 0, number, 0x1a, 0xe1]).collect();
        stage.session.handle(stage.now, Input::Tick);
        let now = stage.now;
        let fars = (1..).zip(manners).map(|(number, manner)| Far {
            manner,
            number,
            stream: None,
            heard: Vec::new(),
            shook: false,
            busy_until: now,
            asked: VecDeque::new(),
            sent: 0,
            choking: true,
        });
        let mut world = Self {
            fars: fars.collect(),
            events: BTreeMap::new(),
            count: 0,
            most_asked: 0,
            done_at: None,
            stage,
        };
        world.run_outputs();
        let tracker = SessionStreamId(0);
        world.stage.session.handle(now, Input::Opened(tracker, "10.0.0.99:80".parse().unwrap()));
        world.stage.session.handle(now, Input::Received(tracker, answer(&peers.concat()).into()));
        world
    }

    fn later(&mut self, far: usize, at: Timestamp, arrival: Arrival) {
        let Some(stream) = self.fars[far].stream else { return };
        self.count += 1;
        self.events.insert((at, self.count), (far, stream, arrival));
    }

    /// Runs until the session is over or the time is up; whether it is complete.
    fn run(&mut self, limit: Duration) -> bool {
        let end = self.stage.now + limit;
        loop {
            let wakes = self.run_outputs();
            if self.done_at.is_none() && self.stage.session.is_complete() {
                self.done_at = Some(self.stage.now);
            }
            if self.stage.over || self.stage.now >= end {
                return self.stage.session.is_complete();
            }
            let next = self.events.first_key_value().map(|(&(at, _), _)| at);
            let Some(at) = [next, wakes].into_iter().flatten().min() else {
                panic!("everybody waits for ever: {:?}", self.stage.session.status(self.stage.now));
            };
            self.stage.now = at.max(self.stage.now);
            let now = self.stage.now;
            if next == Some(at) {
                let Some((_, (far, stream, arrival))) = self.events.pop_first() else { continue };
                if self.fars[far].stream != Some(stream) {
                    continue;
                }
                let id = SessionStreamId(stream);
                let address = format!("10.0.0.{}:6881", self.fars[far].number).parse().unwrap();
                match arrival {
                    Arrival::Opened => self.stage.session.handle(now, Input::Opened(id, address)),
                    Arrival::Bytes(bytes) => {
                        self.stage.session.handle(now, Input::Received(id, bytes.into()))
                    }
                    Arrival::Closed => {
                        self.fars[far].stream = None;
                        self.stage.session.handle(now, Input::Closed(id, CloseReason::Reset));
                    }
                }
            } else {
                self.stage.session.handle(now, Input::Tick);
            }
        }
    }

    fn run_outputs(&mut self) -> Option<Timestamp> {
        loop {
            let now = self.stage.now;
            let output = self.stage.session.poll();
            match output {
                Output::Wait(Some(at)) if at <= now => self.stage.session.handle(now, Input::Tick),
                Output::Wait(at) => return at,
                Output::Done => {
                    self.stage.over = true;
                    return None;
                }
                Output::Open(stream, Endpoint::Peer(address)) => {
                    let std::net::IpAddr::V4(ip) = address.ip() else { continue };
                    let far = usize::from(ip.octets()[3]) - 1;
                    let latency = Duration::from_millis(self.fars[far].manner.latency);
                    let fresh = Far {
                        stream: Some(stream.0),
                        heard: Vec::new(),
                        shook: false,
                        busy_until: now,
                        asked: VecDeque::new(),
                        choking: true,
                        manner: self.fars[far].manner.clone(),
                        ..self.fars[far]
                    };
                    self.fars[far] = fresh;
                    self.later(far, now + latency, Arrival::Opened);
                }
                Output::Send(stream, bytes) => {
                    if let Some(far) = self.far_of(stream) {
                        self.tell(far, &bytes);
                    }
                    self.stage.session.handle(now, Input::Sent(stream, bytes.len()));
                }
                Output::Close(stream, _) => {
                    if let Some(far) = self.far_of(stream) {
                        self.fars[far].stream = None;
                    }
                }
                Output::Commit(piece) => self.stage.kept.push(piece.0),
                Output::Store(..) | Output::HashBlocks(..) | Output::Discard(_) => self.stage.work(&output),
                _ => {}
            }
        }
    }

    fn far_of(&self, stream: SessionStreamId) -> Option<usize> {
        self.fars.iter().position(|far| far.stream == Some(stream.0))
    }

    /// The far end hears bytes, after its latency as far as answers go.
    fn tell(&mut self, number: usize, bytes: &[u8]) {
        self.fars[number].heard.extend_from_slice(bytes);
        let soon = self.stage.now + Duration::from_millis(2 * self.fars[number].manner.latency);
        loop {
            let far = &mut self.fars[number];
            if !far.shook {
                if far.heard.len() < 68 {
                    return;
                }
                far.heard.drain(..68);
                far.shook = true;
                let manner = far.manner.clone();
                let mut id = *A_ID;
                id[19] = far.number;
                let mut said = self.stage.handshake(if manner.fast { FAST } else { PLAIN }, &id);
                let pieces = self.stage.torrent.piece_count();
                let has = |piece: usize| manner.half.is_none_or(|rest| piece as u32 % 2 == rest);
                let mut bits = vec![0_u8; pieces.div_ceil(8)];
                (0..pieces)
                    .filter(|&piece| has(piece))
                    .for_each(|piece| bits[piece / 8] |= 0x80 >> (piece % 8));
                said.extend(numbers(&[1 + bits.len() as u32]));
                said.push(5);
                said.extend(bits);
                self.later(number, soon, Arrival::Bytes(said));
                continue;
            }
            let Some(head) = far.heard.first_chunk::<4>() else { return };
            let length = 4 + u32::from_be_bytes(*head) as usize;
            if far.heard.len() < length {
                return;
            }
            let message: Vec<u8> = far.heard.drain(..length).skip(4).collect();
            match message.first() {
                Some(2) => {
                    far.choking = false;
                    self.later(number, soon, Arrival::Bytes(UNCHOKE.to_vec()));
                }
                Some(6) => self.answer(number, &message),
                Some(8) => {
                    let far = &mut self.fars[number];
                    let block = block_of(&message);
                    far.asked.retain(|&other| other != block);
                }
                _ => {}
            }
        }
    }

    fn answer(&mut self, number: usize, message: &[u8]) {
        let (index, begin, length) = block_of(message);
        let far = &mut self.fars[number];
        let manner = far.manner.clone();
        far.sent += 1;
        let sent = far.sent;
        if manner.stalls.is_some_and(|stalls| sent >= stalls) {
            return;
        }
        let at = far.busy_until.max(self.stage.now + Duration::from_millis(2 * manner.latency))
            + Duration::from_millis(manner.pace);
        far.busy_until = at;
        if manner.leaves.is_some_and(|leaves| sent.is_multiple_of(leaves)) {
            self.later(number, at, Arrival::Closed);
            return;
        }
        if manner.chokes.is_some_and(|chokes| sent.is_multiple_of(chokes)) {
            let mut said = CHOKE.to_vec();
            if manner.fast {
                said.extend(about(16, index, begin, length));
            }
            self.later(number, at, Arrival::Bytes(said));
            self.later(number, at + Duration::from_secs(5), Arrival::Bytes(UNCHOKE.to_vec()));
            return;
        }
        if manner.refuses && manner.fast && sent.is_multiple_of(3) {
            self.later(number, at, Arrival::Bytes(about(16, index, begin, length)));
            return;
        }
        let mut block = self.stage.block(index, begin, length);
        if manner.corrupts.is_some_and(|corrupts| sent.is_multiple_of(corrupts)) {
            block[20] ^= 1;
        }
        // Blocks come cut in two.
        let tail = block.split_off(block.len() / 3);
        self.later(number, at, Arrival::Bytes(block));
        self.later(number, at, Arrival::Bytes(tail));
        let asked = self.stage.session.peers(self.stage.now).map(|peer| peer.outstanding).sum();
        self.most_asked = self.most_asked.max(asked);
    }
}

fn block_of(message: &[u8]) -> (u32, u32, u32) {
    let number = |at: usize| u32::from_be_bytes(*message[at..].first_chunk::<4>().unwrap());
    (number(1), number(5), number(9))
}

fn manner() -> impl Strategy<Value = Manner> {
    let often = || prop::option::weighted(0.2, 1..40_u32);
    (
        any::<bool>(),
        prop::option::weighted(0.4, 0..2_u32),
        1..400_u64,
        1..300_u64,
        (often(), often(), often(), often()),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(fast, half, latency, pace, (corrupts, leaves, stalls, chokes), refuses)| Manner {
            fast,
            half,
            latency,
            pace,
            corrupts,
            leaves,
            stalls,
            chokes,
            refuses,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_swarm_with_one_honest_peer_completes(manners in prop::collection::vec(manner(), 0..6), seed in 0..50_u64) {
        let mut manners = manners;
        let place = seed as usize % (manners.len() + 1);
        manners.insert(place, Manner::honest());
        let mut world = World::new(config(), manners, 1_000_000, 65_536);
        let complete = world.run(Duration::from_secs(4 * 3600));
        prop_assert!(complete, "{:#?}", world.stage.session.status(world.stage.now));
        for piece in 0..world.stage.torrent.piece_count() as u32 {
            let start = piece as usize * 65_536;
            let end = (start + 65_536).min(world.stage.content.len());
            prop_assert_eq!(&world.stage.piece(PieceIndex(piece)), &world.stage.content[start..end]);
        }
    }

    #[test]
    fn one_peer_after_the_other_completes(manners in prop::collection::vec(manner(), 0..5)) {
        let mut manners = manners;
        manners.push(Manner::honest());
        let mut world = World::new(single(), manners, 300_000, 32_768);
        prop_assert!(world.run(Duration::from_secs(4 * 3600)));
    }
}

#[test]
fn a_swarm_of_halves_shares_the_work() {
    let halves = [0, 1, 0, 1].map(|rest| Manner { half: Some(rest), ..Manner::honest() });
    let mut world = World::new(config(), halves.to_vec(), 4_000_000, 65_536);
    let began = world.stage.now;
    assert!(world.run(Duration::from_secs(600)));
    // 245 blocks of 5 ms each at four peers take 0.3 s, and the way there and back.
    let seconds = world.done_at.unwrap().seconds_since(began);
    assert!(seconds < 1.0, "it took {seconds} s");
    assert!(world.most_asked < 500);
}

#[test]
fn a_slow_peer_does_not_keep_the_fast_one_waiting() {
    let slow = Manner { pace: 3_000, ..Manner::honest() };
    let mut world = World::new(config(), vec![slow, Manner::honest()], 4_000_000, 65_536);
    let began = world.stage.now;
    assert!(world.run(Duration::from_secs(600)));
    let seconds = world.done_at.unwrap().seconds_since(began);
    assert!(seconds < 2.0, "it took {seconds} s");
}

#[test]
fn a_peer_that_corrupts_is_found_among_several() {
    let liar = Manner { corrupts: Some(3), ..Manner::honest() };
    let mut world = World::new(config(), vec![Manner::honest(), liar, Manner::honest()], 2_000_000, 262_144);
    assert!(world.run(Duration::from_secs(600)));
    let status = world.stage.session.status(world.stage.now);
    assert!((1..4).contains(&status.hash_failures), "{status:?}");
}

#[test]
fn the_number_of_requests_grows_with_the_distance() {
    let far = Manner { latency: 200, pace: 2, ..Manner::honest() };
    let mut world = World::new(config(), vec![far], 30_000_000, 262_144);
    assert!(world.run(Duration::from_secs(600)));
    assert!(world.most_asked >= 200, "{}", world.most_asked);
}
