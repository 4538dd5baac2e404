//! A tracker without sockets: requests in, responses out (BEPs 3, 23).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use bittrace_protocol::tracker::Event;
use bittrace_protocol::tracker::http::{Announce, Request, RequestKind, encode_response};
use bittrace_protocol::{InfoHash, bencode, compact};

use crate::Scenario;
use crate::chance::Chance;

/// A tracker of one torrent: who takes part in it. It answers announces over HTTP; its sockets are its user's.
#[derive(Debug)]
pub struct Tracker {
    torrent: InfoHash,
    interval: u64,
    numwant: usize,
    /// Whether each peer has everything, by the address at which it can be reached.
    peers: BTreeMap<SocketAddr, bool>,
    chance: Chance,
    /// Addresses that it names to everybody.
    poison: Vec<SocketAddr>,
    /// How many announces were answered.
    pub announces: u64,
}

impl Tracker {
    /// The tracker of a scenario, for this torrent. Whom it names is drawn from the seed.
    pub fn of(scenario: &Scenario, torrent: InfoHash, seed: u64) -> Self {
        let plan = &scenario.tracker;
        Self::new(torrent, plan.interval.0.as_secs(), plan.numwant, Chance::of(seed, "tracker", "peers"))
    }

    const fn new(torrent: InfoHash, interval: u64, numwant: usize, chance: Chance) -> Self {
        Self { torrent, interval, numwant, peers: BTreeMap::new(), chance, poison: Vec::new(), announces: 0 }
    }

    /// Has it name these addresses to everybody.
    pub fn poison(&mut self, addresses: Vec<SocketAddr>) {
        self.poison = addresses;
    }

    /// The response to a request that came from `from`, head and body.
    pub fn answer(&mut self, from: IpAddr, bytes: &[u8]) -> Vec<u8> {
        let kind =
            Request::decode(bytes).map_err(|_| "the request is not HTTP").map(|request| request.kind());
        let body = kind.and_then(|kind| match kind {
            RequestKind::Announce(announce) => self.announce(from, &announce),
            RequestKind::NoTorrent(_) => Err("the request names no torrent"),
            RequestKind::Scrape(_) | RequestKind::Other => Err("only announces are answered"),
        });
        let body = body.unwrap_or_else(|why| bencode::dictionary(|body| body.bytes("failure reason", why)));
        encode_response(200, "OK", &[("Content-Type", "text/plain"), ("Connection", "close")], &body)
    }

    fn announce(&mut self, from: IpAddr, announce: &Announce) -> Result<Vec<u8>, &'static str> {
        if announce.info_hash != self.torrent {
            return Err("unregistered torrent");
        }
        let port = announce.port.ok_or("a port is missing")?;
        let left = announce.left.ok_or("left is missing")?;
        let asker = SocketAddr::new(from, port);
        self.announces += 1;
        if announce.event == Some(Event::Stopped) {
            self.peers.remove(&asker);
        } else if port != 0 {
            self.peers.insert(asker, left == 0);
        }
        let wanted = announce.numwant.map_or(self.numwant, |wanted| self.numwant.min(wanted as usize));
        // One that has everything has no use for another such.
        let mut others: Vec<SocketAddr> = self
            .peers
            .iter()
            .filter(|&(&peer, &complete)| peer != asker && !(complete && left == 0))
            .map(|(&peer, _)| peer)
            .collect();
        self.chance.choose(&mut others, wanted);
        let mut list = Vec::new();
        self.poison.iter().filter(|_| wanted > 0).for_each(|&peer| compact::put_endpoint(&mut list, peer));
        others.iter().take(wanted).for_each(|&peer| compact::put_endpoint(&mut list, peer));
        let complete = self.peers.values().filter(|&&complete| complete).count();
        Ok(bencode::dictionary(|body| {
            body.integer("complete", complete as u64);
            body.integer("incomplete", (self.peers.len() - complete) as u64);
            body.integer("interval", self.interval);
            body.bytes("peers", &list);
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracker() -> Tracker {
        Tracker::new(InfoHash([b'x'; 20]), 1800, 2, Chance::of(1, "tracker", "peers"))
    }

    fn announce(tracker: &mut Tracker, host: u8, rest: &str) -> String {
        let request = format!("GET /announce?info_hash=xxxxxxxxxxxxxxxxxxxx&{rest} HTTP/1.1\r\n\r\n");
        String::from_utf8_lossy(&tracker.answer([10, 1, 0, host].into(), request.as_bytes())).into_owned()
    }

    #[test]
    fn others_are_named_and_those_that_stopped_are_not() {
        let mut tracker = tracker();
        assert!(announce(&mut tracker, 1, "port=1&left=0").contains("8:completei1e10:incompletei0e"));
        let second = announce(&mut tracker, 2, "port=2&left=5");
        assert!(second.contains("5:peers6:\n\x01\0\x01\0\x01"), "{second}");
        assert!(announce(&mut tracker, 1, "port=1&left=0&event=stopped").contains("incompletei1e"));
        assert!(announce(&mut tracker, 3, "port=3&left=5&numwant=0").contains("5:peers0:"));
        // Two of three at the most.
        announce(&mut tracker, 4, "port=4&left=5");
        assert!(announce(&mut tracker, 5, "port=4&left=5").contains("5:peers12:"));
    }

    #[test]
    fn what_is_no_announce_of_the_torrent_fails() {
        let mut tracker = tracker();
        let other = b"GET /announce?info_hash=yyyyyyyyyyyyyyyyyyyy&port=1&left=0 HTTP/1.1\r\n\r\n";
        let said = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let from = IpAddr::from([10, 0, 0, 1]);
        assert!(said(tracker.answer(from, other)).ends_with("d14:failure reason20:unregistered torrente"));
        assert!(said(tracker.answer(from, b"hello")).contains("failure reason"));
        assert!(announce(&mut tracker, 1, "left=0").contains("a port is missing"));
        // What the decoder of the protocol refuses is refused here.
        assert!(announce(&mut tracker, 1, "port=%2B1&left=0").contains("a port is missing"));
        assert!(announce(&mut tracker, 1, "port=1&left=007").contains("left is missing"));
    }
}
