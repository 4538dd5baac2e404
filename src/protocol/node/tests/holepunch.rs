//! Two nodes behind devices that let in only what answers, and two that everybody can dial: a simulation of datagrams.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::*;
use crate::session::{CloseReason, PeerSource, SessionStreamId, Transport, UtpDial};

const fn host(number: u8) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, number)), 6881)
}

const RELAY: SocketAddr = host(1);
const LEFT: SocketAddr = host(2);
const RIGHT: SocketAddr = host(3);
/// A peer that both can dial as well. As the relay tells the left one of it at once, it tells it of the right one a minute later:
/// else both would dial each other at the same time without holepunch.
const OTHER: SocketAddr = host(4);

struct Host {
    node: Node,
    address: SocketAddr,
    /// Whom the host has sent something and when, where it is behind a device that lets in nobody else.
    holes: Option<BTreeMap<SocketAddr, Timestamp>>,
    /// When it hears of the relay.
    joins: Option<Timestamp>,
    wakes: Option<Timestamp>,
}

impl Host {
    fn new(address: SocketAddr, speaks: bool) -> Self {
        let number = address.to_string().as_bytes()[7];
        let profile = Profile::own("test");
        let mut config = Config::new(if speaks { profile.with_holepunch() } else { profile });
        (config.port, config.rounds) = (6881, None);
        let identity = Identity::new(PeerId([number; 20]), 0, u64::from(number));
        let session = Session::new(config, torrent(), identity, [], NOW);
        let node = Node::new(session).with_utp(UtpPolicy::Require, [number; 32], NOW);
        let joins = match address {
            RELAY => None,
            RIGHT => Some(after(20_000)),
            _ => Some(NOW),
        };
        let holes = (address == LEFT || address == RIGHT).then(BTreeMap::new);
        Self { node, address, holes, joins, wakes: None }
    }

    /// Carries out what the node wants at `now`; the datagrams that leave.
    fn run(&mut self, now: Timestamp) -> Vec<(SocketAddr, SocketAddr, Bytes)> {
        let mut sent = Vec::new();
        loop {
            match self.node.poll() {
                Output::Datagram(to, bytes, _) => {
                    if let Some(holes) = &mut self.holes {
                        holes.insert(to, now);
                    }
                    sent.push((self.address, to, bytes));
                }
                // There is no TCP, and no tracker.
                Output::Session(session::Output::Open(stream, _)) => {
                    self.node.handle(now, session::Input::Closed(stream, CloseReason::TimedOut).into());
                }
                Output::Session(session::Output::Wait(Some(at))) if at <= now => {
                    self.node.handle(now, session::Input::Tick.into());
                }
                Output::Session(session::Output::Wait(at)) => {
                    self.wakes = at;
                    return sent;
                }
                Output::Session(session::Output::Done) => panic!("it gave up"),
                _ => {}
            }
        }
    }

    fn is_connected_to(&self, address: SocketAddr, now: Timestamp) -> bool {
        let mut peers = self.node.peers(now).filter(|peer| peer.address.ip() == address.ip());
        peers.any(|peer| peer.peer_id.is_some() && peer.transport == Transport::Utp)
    }

    fn lets_in(&self, from: SocketAddr, now: Timestamp) -> bool {
        let is_open = |sent: &Timestamp| now - *sent < HOLE;
        self.holes.as_ref().is_none_or(|holes| holes.get(&from).is_some_and(is_open))
    }
}

/// How long a device lets in who was sent something.
const HOLE: Duration = Duration::from_secs(30);

/// When the two behind their devices were connected, within three minutes.
fn brought_together(speaks: bool) -> Option<f64> {
    let addresses = [RELAY, LEFT, RIGHT, OTHER];
    let mut hosts = addresses.map(|address| Host::new(address, speaks));
    hosts.iter_mut().for_each(|host| host.node.handle(NOW, session::Input::Tick.into()));
    let mut flying: VecDeque<(Timestamp, (SocketAddr, SocketAddr, Bytes))> = VecDeque::new();
    let mut now = NOW;
    while now < after(180_000) {
        for host in &mut hosts {
            if host.joins.take_if(|at| *at <= now).is_some() {
                let found = session::Input::PeersFound(PeerSource::Link, vec![RELAY]);
                host.node.handle(now, found.into());
            }
            let arrives = now + Duration::from_millis(20);
            flying.extend(host.run(now).into_iter().map(|packet| (arrives, packet)));
        }
        if hosts[1].is_connected_to(RIGHT, now) && hosts[2].is_connected_to(LEFT, now) {
            return Some(now.seconds_since(NOW));
        }
        let wakes = hosts.iter().flat_map(|host| [host.wakes, host.joins]).flatten();
        now = wakes.chain(flying.front().map(|(at, _)| *at)).min().expect("something comes");
        while let Some((_, (from, to, bytes))) = flying.pop_front_if(|(at, _)| *at <= now) {
            let Some(host) = hosts.iter_mut().find(|host| host.address == to) else { continue };
            if host.lets_in(from, now) {
                host.node.handle(now, Input::Datagram(from, bytes));
            }
        }
        for host in &mut hosts {
            if host.wakes.is_some_and(|at| at <= now) {
                host.node.handle(now, session::Input::Tick.into());
            }
        }
    }
    None
}

#[test]
fn two_behind_devices_meet_by_a_relay() {
    let met = brought_together(true).expect("they meet");
    assert!((20.0..35.0).contains(&met), "after {met} s");
    assert_eq!(brought_together(false), None, "without holepunch they do not");
}

#[test]
fn a_hole_is_punched_by_three_packets_and_never_over_tcp() {
    let mut node = node().with_utp(UtpPolicy::Allow, [1; 32], NOW);
    let open = session::Output::Open(SessionStreamId(8), session::Endpoint::UtpPeer(PEER, UtpDial::Punch));
    node.now = NOW;
    assert!(node.on_output(open).is_none());
    let mut left = Vec::new();
    for millis in (0..20_000).step_by(100) {
        let said = tick(&mut node, millis);
        left.extend(said.into_iter().filter(|want| want != "open 0").map(|want| (millis, want)));
    }
    let syn = || "Syn".to_owned();
    assert_eq!(left, [(0, syn()), (1_000, syn()), (3_000, syn())]);
}
