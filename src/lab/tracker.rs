//! A tracker without sockets: requests in, responses out, over HTTP (BEPs 3, 23) or in datagrams (BEP 15).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use bittrace_protocol::tracker::Event;
use bittrace_protocol::tracker::http::{Announce, Request, RequestKind, encode_response};
use bittrace_protocol::tracker::udp::{AnnounceRequest, AnnounceResponse, Packet, decode_request};
use bittrace_protocol::{InfoHash, bencode, compact};

use crate::chance::Chance;
use crate::{Content, Scenario};

/// A tracker of one torrent: who takes part in it. It answers announces; its sockets are its user's.
#[derive(Debug)]
pub struct Tracker {
    /// What announces may name it by.
    hashes: Vec<InfoHash>,
    interval: u64,
    numwant: usize,
    /// Whether each peer has everything, by the address at which it can be reached.
    peers: BTreeMap<SocketAddr, bool>,
    chance: Chance,
    /// Addresses that it names to everybody.
    poison: Vec<SocketAddr>,
    /// From which the connection ids follow that it gives (BEP 15).
    secret: u64,
    /// How many announces were answered.
    pub announces: u64,
}

impl Tracker {
    /// The tracker of a scenario, for the torrent of this content. Whom it names is drawn from the seed.
    pub fn of(scenario: &Scenario, content: &Content, seed: u64) -> Self {
        let plan = &scenario.tracker;
        let secret = Chance::of(seed, "tracker", "connection ids").next();
        let chance = Chance::of(seed, "tracker", "peers");
        Self {
            secret,
            ..Self::new(
                content.metainfo.info_hashes().collect(),
                plan.interval.0.as_secs(),
                plan.numwant,
                chance,
            )
        }
    }

    const fn new(hashes: Vec<InfoHash>, interval: u64, numwant: usize, chance: Chance) -> Self {
        Self {
            hashes,
            interval,
            numwant,
            peers: BTreeMap::new(),
            chance,
            poison: Vec::new(),
            secret: 0,
            announces: 0,
        }
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
        if !self.hashes.contains(&announce.info_hash) {
            return Err("unregistered torrent");
        }
        let port = announce.port.ok_or("a port is missing")?;
        let left = announce.left.ok_or("left is missing")?;
        let named = self.take_part(SocketAddr::new(from, port), left == 0, announce.event, announce.numwant);
        let mut list = Vec::new();
        named.into_iter().for_each(|peer| compact::put_endpoint(&mut list, peer));
        let (complete, incomplete) = self.counts();
        Ok(bencode::dictionary(|body| {
            body.integer("complete", complete);
            body.integer("incomplete", incomplete);
            body.integer("interval", self.interval);
            body.bytes("peers", &list);
        }))
    }

    /// Takes in that a peer is there, or has gone; whom it is told of.
    fn take_part(
        &mut self,
        asker: SocketAddr,
        has_all: bool,
        event: Option<Event>,
        wanted: Option<u32>,
    ) -> Vec<SocketAddr> {
        self.announces += 1;
        if event == Some(Event::Stopped) {
            self.peers.remove(&asker);
        } else if asker.port() != 0 {
            self.peers.insert(asker, has_all);
        }
        let wanted = wanted.map_or(self.numwant, |wanted| self.numwant.min(wanted as usize));
        // One that has everything has no use for another such.
        let mut others: Vec<SocketAddr> = self
            .peers
            .iter()
            .filter(|&(&peer, &complete)| peer != asker && !(complete && has_all))
            .map(|(&peer, _)| peer)
            .collect();
        self.chance.choose(&mut others, wanted);
        let poison = self.poison.iter().filter(|_| wanted > 0);
        poison.chain(others.iter().take(wanted)).copied().collect()
    }

    /// How many peers have everything, and how many have not.
    fn counts(&self) -> (u64, u64) {
        let complete = self.peers.values().filter(|&&complete| complete).count();
        (complete as u64, (self.peers.len() - complete) as u64)
    }

    /// The answer to a datagram that came from `from`; `None` where it is no request.
    pub fn answer_datagram(&mut self, from: IpAddr, bytes: &[u8]) -> Option<Vec<u8>> {
        let answer = match decode_request(bytes).ok()? {
            Packet::ConnectRequest { transaction_id, .. } => Packet::ConnectResponse {
                transaction_id,
                connection_id: self.connection_id(from),
                extra: Vec::new(),
            },
            Packet::AnnounceRequest(request) => self.announce_in_datagram(from, &request),
            Packet::ScrapeRequest { transaction_id, .. } => {
                Packet::Error { transaction_id, message: b"only announces are answered".to_vec() }
            }
            _ => return None,
        };
        Some(answer.encode())
    }

    fn announce_in_datagram(&mut self, from: IpAddr, request: &AnnounceRequest) -> Packet {
        let transaction_id = request.transaction_id;
        let refused = |message: &str| Packet::Error { transaction_id, message: message.as_bytes().to_vec() };
        if request.connection_id != self.connection_id(from) {
            return refused("unknown connection id");
        }
        if !self.hashes.contains(&request.info_hash) {
            return refused("unregistered torrent");
        }
        // A negative number is the tracker's choice.
        let wanted = u32::try_from(request.num_want).ok();
        let asker = SocketAddr::new(from, request.port);
        let peers = self.take_part(asker, request.left == 0, request.event(), wanted);
        let (seeders, leechers) = self.counts();
        Packet::AnnounceResponse(AnnounceResponse {
            transaction_id,
            interval: u32::try_from(self.interval).unwrap_or(u32::MAX),
            leechers: leechers as u32,
            seeders: seeders as u32,
            peers,
            extra: Vec::new(),
        })
    }

    /// What proves that a sender of datagrams gets what is sent to its address.
    fn connection_id(&self, address: IpAddr) -> u64 {
        let address = match address {
            IpAddr::V4(ip) => u64::from(u32::from(ip)),
            IpAddr::V6(ip) => u128::from(ip) as u64,
        };
        Chance(self.secret ^ address).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracker() -> Tracker {
        Tracker::new(vec![InfoHash([b'x'; 20])], 1800, 2, Chance::of(1, "tracker", "peers"))
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

    /// BEP 15: connect first, then announce under the connection id that came back.
    #[test]
    fn datagrams_are_answered_under_the_connection_id_that_was_given() {
        let mut tracker = tracker();
        let from = IpAddr::from([10, 1, 0, 1]);
        let connect = [&[0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80][..], &[0, 0, 0, 0], &[1, 2, 3, 4]].concat();
        let answer = tracker.answer_datagram(from, &connect).expect("an answer");
        assert_eq!(answer[..8], [0, 0, 0, 0, 1, 2, 3, 4]);
        let announce = |id: &[u8], port: u8| {
            let numbers = [&[0; 8][..], &[0, 0, 0, 0, 0, 0, 0, 9], &[0; 8]].concat();
            let rest = [&[0, 0, 0, 2][..], &[0; 4], &[0; 4], &[0xff; 4], &[0, port]].concat();
            [id, &[0, 0, 0, 1], &[5, 6, 7, 8], &[b'x'; 20], &[b'p'; 20], &numbers, &rest].concat()
        };
        let id = answer[8..].to_vec();
        // Action 1, the transaction id, an interval of 1,800 s, one leecher, no seeder, and nobody else.
        let said = tracker.answer_datagram(from, &announce(&id, 81)).expect("an answer");
        assert_eq!(said, [0, 0, 0, 1, 5, 6, 7, 8, 0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 0]);
        let said = tracker.answer_datagram(from, &announce(&id, 82)).expect("an answer");
        assert_eq!(said[20..], [10, 1, 0, 1, 0, 81]);
        // The id is good for the address alone that it was given to.
        let said = tracker.answer_datagram([10, 1, 0, 2].into(), &announce(&id, 83)).expect("an answer");
        assert_eq!((&said[..8], &said[8..]), (&[0, 0, 0, 3, 5, 6, 7, 8][..], &b"unknown connection id"[..]));
        assert_eq!((tracker.announces, tracker.answer_datagram(from, b"hello")), (2, None));
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
