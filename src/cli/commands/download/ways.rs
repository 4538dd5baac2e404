//! Which ways to each peer were tried, and what came of each: over TCP or uTP, in clear or encrypted.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bittrace_protocol::mse::Methods;
use bittrace_protocol::session::{Event, PeerWay, SessionStreamId, Transport};
use bittrace_trace::units::{count, counted};

use super::narrate::gone;

/// What was tried.
#[derive(Debug, Default)]
pub(super) struct WaysTried {
    /// The peers that were dialled, in the order in which they were first, each with its dials.
    peers: Vec<(SocketAddr, Vec<Dial>)>,
    /// Where each peer is among those; `None` for one that is only counted.
    places: BTreeMap<SocketAddr, Option<usize>>,
    /// The dials that go on, or led to a handshake.
    open: BTreeMap<SessionStreamId, OpenDial>,
    /// How often each way was tried, and led to a handshake.
    ways: BTreeMap<PeerWay, (u64, u64)>,
    /// Peers that called.
    callers: u64,
}

/// A dial that goes on, or led to a handshake.
#[derive(Debug, Clone, Copy)]
struct OpenDial {
    way: PeerWay,
    /// Where it stands: the place of the peer, and of the dial. `None` where it is not kept.
    place: Option<(usize, usize)>,
}

/// One dial of a peer.
#[derive(Debug)]
struct Dial {
    way: PeerWay,
    outcome: Option<String>,
}

/// How many peers are kept.
const PEERS: usize = 1_000;

/// How many peers are counted.
const COUNTED: usize = 100_000;

/// How many dials of a peer are kept: a peer that is of no use is dialled a few times in all.
const DIALS: usize = 8;

/// How many peers the page has.
const SHOWN: usize = 20;

/// A way in words: `TCP, encrypted`.
pub(super) fn way_in_words(way: PeerWay) -> String {
    let transport = transport_in_words(way.transport);
    format!("{transport}, {}", if way.encrypted { "encrypted" } else { "in clear" })
}

const fn transport_in_words(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "TCP",
        Transport::Utp => "uTP",
    }
}

impl WaysTried {
    /// Takes in what happened.
    pub(super) fn see(&mut self, event: &Event) {
        match event {
            Event::Trying { stream, peer, way } => self.dial(*stream, *peer, *way),
            Event::Connected { stream, peer, encryption, transport, .. } => {
                let open = self.open.get(stream).map(|open| open.way);
                if let Some(way) = open.filter(|way| way.transport != *transport) {
                    // Both transports were tried, and the other one answered first.
                    let way = PeerWay { transport: *transport, ..way };
                    self.note(*stream, format!("no answer before {}", transport_in_words(*transport)));
                    self.dial(*stream, *peer, way);
                }
                match self.open.get(stream) {
                    Some(open) => self.ways.entry(open.way).or_default().1 += 1,
                    None => self.callers += 1,
                }
                let chosen = match encryption {
                    Some(method) if method.has(Methods::RC4) => "connected, encrypted with RC4",
                    Some(_) => "connected, in clear after an encrypted negotiation",
                    None => "connected",
                };
                self.note(*stream, chosen.to_owned());
            }
            Event::Disconnected { stream, reason, .. } => {
                self.note(*stream, gone(reason));
                self.open.remove(stream);
            }
            _ => {}
        }
    }

    fn dial(&mut self, stream: SessionStreamId, peer: SocketAddr, way: PeerWay) {
        self.ways.entry(way).or_default().0 += 1;
        let place = self.place_of(peer).and_then(|place| {
            let dials = &mut self.peers[place].1;
            (dials.len() < DIALS).then(|| {
                dials.push(Dial { way, outcome: None });
                (place, dials.len() - 1)
            })
        });
        self.open.insert(stream, OpenDial { way, place });
    }

    /// Where the peer is kept, from now on at the latest; `None` where there is no room for another one.
    fn place_of(&mut self, peer: SocketAddr) -> Option<usize> {
        if let Some(place) = self.places.get(&peer) {
            return *place;
        }
        let place = (self.peers.len() < PEERS).then(|| {
            self.peers.push((peer, Vec::new()));
            self.peers.len() - 1
        });
        if self.places.len() < COUNTED {
            self.places.insert(peer, place);
        }
        place
    }

    /// Notes what came of a dial; the first outcome counts.
    fn note(&mut self, stream: SessionStreamId, outcome: String) {
        let Some((place, dial)) = self.open.get(&stream).and_then(|open| open.place) else { return };
        self.peers[place].1[dial].outcome.get_or_insert(outcome);
    }

    /// Each peer with the ways that were tried, in order, as rows: those that were tried in several ways first, as their story is
    /// longer.
    pub(super) fn peers(&self) -> Vec<Vec<String>> {
        let mut peers: Vec<_> = self.peers.iter().collect();
        peers.sort_by_key(|(_, dials)| std::cmp::Reverse(ways_of(dials)));
        peers.into_iter().take(SHOWN).map(|(peer, dials)| vec![peer.to_string(), story(dials)]).collect()
    }

    /// How many peers there are beyond those of [`peers`](Self::peers), as far as they are counted.
    pub(super) fn peers_left_out(&self) -> u64 {
        self.places.len().saturating_sub(SHOWN) as u64
    }

    /// A row for each way: what it is, how often it was tried, how often it led to a handshake.
    pub(super) fn by_way(&self) -> Vec<Vec<String>> {
        let row = |way: String, tried: u64, connected: u64| vec![way, count(tried), count(connected)];
        let ways =
            self.ways.iter().map(|(way, (tried, connected))| row(way_in_words(*way), *tried, *connected));
        let callers = (self.callers > 0)
            .then(|| vec!["called by the peer".to_owned(), String::new(), count(self.callers)]);
        ways.chain(callers).collect()
    }
}

/// How many different ways were tried.
fn ways_of(dials: &[Dial]) -> usize {
    let mut ways: Vec<PeerWay> = dials.iter().map(|dial| dial.way).collect();
    ways.sort_unstable();
    ways.dedup();
    ways.len()
}

/// `TCP, in clear: closed the connection; TCP, encrypted: connected`. What happened in one way several times in a row is told
/// once.
fn story(dials: &[Dial]) -> String {
    let mut parts: Vec<(String, u64)> = Vec::new();
    for dial in dials {
        let outcome = dial.outcome.as_deref().unwrap_or("no answer yet");
        let part = format!("{}: {outcome}", way_in_words(dial.way));
        match parts.last_mut() {
            Some((last, times)) if *last == part => *times += 1,
            _ => parts.push((part, 1)),
        }
    }
    let told = parts.into_iter().map(|(part, times)| match times {
        1 => part,
        times => format!("{part} ({})", counted(times, "time")),
    });
    told.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use bittrace_protocol::PeerId;
    use bittrace_protocol::session::{CloseReason, DisconnectReason};

    use super::*;

    const CLEAR: PeerWay = PeerWay { transport: Transport::Tcp, encrypted: false };
    const ENCRYPTED: PeerWay = PeerWay { transport: Transport::Tcp, encrypted: true };
    const UTP: PeerWay = PeerWay { transport: Transport::Utp, encrypted: false };

    fn peer(number: u32) -> SocketAddr {
        SocketAddr::from((std::net::Ipv4Addr::from_bits(0x0a00_0000 + number), 6881))
    }

    fn trying(stream: u32, number: u32, way: PeerWay) -> Event {
        Event::Trying { stream: SessionStreamId(stream), peer: peer(number), way }
    }

    fn connected(stream: u32, number: u32, encryption: Option<Methods>) -> Event {
        let (peer_id, transport) = (PeerId(*b"-TR3000-aaaaaaaaaaaa"), Transport::Tcp);
        let stream = SessionStreamId(stream);
        Event::Connected { stream, peer: peer(number), peer_id, encryption, transport }
    }

    fn gone_because(stream: u32, number: u32, reason: CloseReason) -> Event {
        let reason = DisconnectReason::Closed(reason);
        Event::Disconnected { stream: SessionStreamId(stream), peer: peer(number), reason, downloaded: 0 }
    }

    #[test]
    fn each_peer_has_its_ways_and_each_way_its_sums() {
        let mut ways = WaysTried::default();
        for event in [
            trying(2, 1, CLEAR),
            trying(4, 2, CLEAR),
            gone_because(2, 1, CloseReason::Refused),
            gone_because(4, 2, CloseReason::ByRemote),
            trying(6, 2, ENCRYPTED),
            connected(6, 2, Some(Methods(Methods::RC4))),
            gone_because(6, 2, CloseReason::ByRemote),
            trying(8, 1, CLEAR),
            gone_because(8, 1, CloseReason::Refused),
            connected(1, 9, None),
            trying(10, 3, UTP),
        ] {
            ways.see(&event);
        }
        let rows = |rows: Vec<Vec<String>>| rows.iter().map(|row| row.join(" | ")).collect::<Vec<_>>();
        assert_eq!(
            rows(ways.peers()),
            [
                "10.0.0.2:6881 | TCP, in clear: closed the connection; TCP, encrypted: connected, encrypted with RC4",
                "10.0.0.1:6881 | TCP, in clear: connection refused (2 times)",
                "10.0.0.3:6881 | uTP, in clear: no answer yet",
            ]
        );
        assert_eq!(
            rows(ways.by_way()),
            [
                "TCP, in clear | 3 | 0",
                "TCP, encrypted | 1 | 1",
                "uTP, in clear | 1 | 0",
                "called by the peer |  | 1"
            ]
        );
    }

    #[test]
    fn a_peer_that_answers_over_the_other_transport_was_tried_both_ways() {
        let mut ways = WaysTried::default();
        ways.see(&trying(2, 1, CLEAR));
        let peer_id = PeerId(*b"-TR3000-aaaaaaaaaaaa");
        let (stream, transport) = (SessionStreamId(2), Transport::Utp);
        ways.see(&Event::Connected { stream, peer: peer(1), peer_id, encryption: None, transport });
        ways.see(&gone_because(2, 1, CloseReason::ByRemote));
        let story = "TCP, in clear: no answer before uTP; uTP, in clear: connected";
        assert_eq!(ways.peers(), [["10.0.0.1:6881", story].map(str::to_owned).to_vec()]);
        let by_way = [["TCP, in clear", "1", "0"], ["uTP, in clear", "1", "1"]];
        assert_eq!(ways.by_way(), by_way.map(|row| row.map(str::to_owned).to_vec()));
        assert!(ways.open.is_empty());
    }

    #[test]
    fn a_crowd_of_peers_takes_a_bounded_place() {
        let mut ways = WaysTried::default();
        for number in 0..5_000 {
            for time in 0..3 {
                let stream = (number * 3 + time) * 2;
                ways.see(&trying(stream, number, CLEAR));
                ways.see(&gone_because(stream, number, CloseReason::Refused));
            }
        }
        assert_eq!((ways.peers.len(), ways.peers().len()), (PEERS, SHOWN));
        assert_eq!(ways.peers_left_out(), 5_000 - SHOWN as u64);
        assert!(ways.open.is_empty());
        assert_eq!(ways.by_way(), [["TCP, in clear", "15,000", "0"].map(str::to_owned).to_vec()]);
        assert!(ways.peers.iter().all(|(_, dials)| dials.len() <= DIALS));
    }
}
