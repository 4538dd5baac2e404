//! The trackers of a capture: what each was asked, and what it answered.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use bittrace_protocol::tracker::{Event, http, udp};
use foldhash::fast::RandomState;
use rustc_hash::FxHashMap;

use super::{KEPT, is_tracker};
use crate::record::{Body, HttpTrackerBody, Protocol, Record};
use crate::{Direction, StreamId};

/// The trackers of a capture. One is known by its URL; an answer belongs to the one whose request it answers.
#[derive(Debug, Default)]
pub struct Trackers {
    rows: Vec<Tracker>,
    by_url: HashMap<String, usize, RandomState>,
    /// Which tracker a request that waits for its answer went to, by the request's number.
    waiting: FxHashMap<u64, usize>,
    /// Which tracker the last request of a stream went to.
    by_stream: FxHashMap<StreamId, usize>,
    more: u64,
}

/// What a message to or from a tracker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackerMessage {
    /// A request, and of an announce its event: `started`, ..., `regular`.
    Request {
        /// `None` for scrapes and others.
        event: Option<&'static str>,
    },
    /// A response.
    Response {
        /// Whether the tracker refuses, or says what cannot be read.
        failed: bool,
    },
}

impl TrackerMessage {
    /// What a record is; `None` where it is no message of a tracker, or an interim response, which says nothing yet
    /// (RFC 9110, 15.2).
    pub fn of(record: &Record) -> Option<Self> {
        let event = |event: Option<Event>| Some(event.map_or("regular", Event::name));
        Some(match &record.body {
            Body::HttpTracker(HttpTrackerBody::Request(_, kind)) => match &**kind {
                http::RequestKind::Announce(announce) => Self::Request { event: event(announce.event) },
                _ => Self::Request { event: None },
            },
            Body::HttpTracker(HttpTrackerBody::Response(response, reply)) => match &**reply {
                http::Reply::Announce(_) | http::Reply::Scrape(_) => Self::Response { failed: false },
                http::Reply::NotBencoded(_) if response.status < 200 => return None,
                http::Reply::Failure { .. } | http::Reply::NotBencoded(_) => Self::Response { failed: true },
            },
            Body::UdpTracker(packet) => match &**packet {
                udp::Packet::AnnounceRequest(announce) => Self::Request { event: event(announce.event()) },
                udp::Packet::ConnectRequest { .. } | udp::Packet::ScrapeRequest { .. } => {
                    Self::Request { event: None }
                }
                udp::Packet::ConnectResponse { .. }
                | udp::Packet::AnnounceResponse(_)
                | udp::Packet::ScrapeResponse { .. } => Self::Response { failed: false },
                udp::Packet::Error { .. } => Self::Response { failed: true },
            },
            _ => return None,
        })
    }
}

/// What a tracker was asked, and what it answered.
#[derive(Debug, Clone, Default)]
pub struct Tracker {
    /// Its URL without a query, as far as the capture tells.
    pub url: String,
    /// Announces by their event: `started`, ..., `regular`.
    pub announces: BTreeMap<&'static str, u64>,
    /// Scrapes.
    pub scrapes: u64,
    /// Answers to announces.
    pub announce_answers: u64,
    /// Answers to scrapes.
    pub scrape_answers: u64,
    /// Different peers among those answers, counted up to 10,000.
    pub peers: BTreeSet<String>,
    /// Seconds between announces, as last told.
    pub interval: Option<u64>,
    /// Peers that have everything, as last told.
    pub complete: Option<u64>,
    /// Peers that do not, as last told.
    pub incomplete: Option<u64>,
    /// How often it refused or answered what cannot be read.
    pub failures: u64,
    /// Its words when it last refused.
    pub last_failure: Option<String>,
}

impl Tracker {
    fn gave(&mut self, peers: impl Iterator<Item = String>) {
        self.announce_answers += 1;
        for peer in peers {
            if self.peers.len() < KEPT {
                self.peers.insert(peer);
            }
        }
    }

    fn refused(&mut self, words: String) {
        self.failures += 1;
        self.last_failure = Some(words);
    }
}

impl Trackers {
    /// The trackers in the order in which they were asked.
    pub fn rows(&self) -> &[Tracker] {
        &self.rows
    }

    /// How many messages there were to and from trackers that are not kept.
    pub const fn more(&self) -> u64 {
        self.more
    }

    pub(super) fn add(&mut self, record: &Record) {
        if !is_tracker(record.body.protocol()) {
            return;
        }
        let Some(at) = self.place(record) else {
            self.more += 1;
            return;
        };
        let tracker = &mut self.rows[at];
        if let Some(TrackerMessage::Request { event: Some(event) }) = TrackerMessage::of(record) {
            *tracker.announces.entry(event).or_default() += 1;
        }
        match &record.body {
            Body::HttpTracker(HttpTrackerBody::Request(request, kind)) => match &**kind {
                http::RequestKind::Announce(_) => {
                    // Its name until now may be that of its scrapes.
                    if tracker.announces.values().sum::<u64>() == 1 {
                        tracker.url = http_url(request, record.destination);
                    }
                }
                http::RequestKind::Scrape(_) => tracker.scrapes += 1,
                http::RequestKind::NoTorrent(_) | http::RequestKind::Other => {}
            },
            Body::HttpTracker(HttpTrackerBody::Response(response, reply)) => match &**reply {
                http::Reply::Announce(reply) => {
                    tracker.gave(reply.peers.iter().map(ToString::to_string));
                    tracker.interval = reply.interval.or(tracker.interval);
                    tracker.complete = reply.complete.or(tracker.complete);
                    tracker.incomplete = reply.incomplete.or(tracker.incomplete);
                }
                http::Reply::Scrape(_) => tracker.scrape_answers += 1,
                http::Reply::Failure { reason, .. } => tracker.refused(reason.clone()),
                // An interim answer says nothing yet (RFC 9110, 15.2).
                http::Reply::NotBencoded(_) if response.status < 200 => {}
                http::Reply::NotBencoded(_) => {
                    tracker.refused(format!("HTTP status {}, response not bencoded", response.status));
                }
            },
            Body::UdpTracker(packet) => match &**packet {
                udp::Packet::AnnounceResponse(reply) => {
                    tracker.gave(reply.peers.iter().map(ToString::to_string));
                    tracker.interval = Some(u64::from(reply.interval));
                    tracker.complete = Some(u64::from(reply.seeders));
                    tracker.incomplete = Some(u64::from(reply.leechers));
                }
                udp::Packet::ScrapeRequest { .. } => tracker.scrapes += 1,
                udp::Packet::ScrapeResponse { .. } => tracker.scrape_answers += 1,
                udp::Packet::Error { message, .. } => {
                    tracker.refused(String::from_utf8_lossy(message).into_owned());
                }
                udp::Packet::AnnounceRequest(_)
                | udp::Packet::ConnectRequest { .. }
                | udp::Packet::ConnectResponse { .. } => {}
            },
            _ => {}
        }
    }
    /// The row of the tracker that a record went to or came from.
    fn place(&mut self, record: &Record) -> Option<usize> {
        match &record.body {
            Body::HttpTracker(HttpTrackerBody::Request(request, kind)) => {
                let url = http_url(request, record.destination);
                let key = match &**kind {
                    http::RequestKind::Scrape(_) => announce_url(&url),
                    _ => url.clone(),
                };
                let at = self.row(key, url);
                self.ask(record, at);
                at
            }
            Body::HttpTracker(HttpTrackerBody::Response(..)) => {
                let asked = record.answers.and_then(|answer| self.waiting.remove(&answer.number));
                if let Some(at) = asked.or_else(|| self.by_stream.get(&record.stream).copied()) {
                    return Some(at);
                }
                let url = format!("http://{}", far_end(record));
                self.row(url.clone(), url)
            }
            _ => {
                let scheme = if record.body.protocol() == Protocol::UdpTracker { "udp" } else { "http" };
                let url = format!("{scheme}://{}", far_end(record));
                self.row(url.clone(), url)
            }
        }
    }

    fn ask(&mut self, record: &Record, at: Option<usize>) {
        if self.waiting.len() >= 2 * KEPT {
            self.waiting.clear();
        }
        if self.by_stream.len() >= 2 * KEPT {
            self.by_stream.clear();
        }
        match at {
            Some(at) => {
                self.waiting.insert(record.number, at);
                self.by_stream.insert(record.stream, at);
            }
            None => {
                self.by_stream.remove(&record.stream);
            }
        }
    }

    fn row(&mut self, key: String, url: String) -> Option<usize> {
        if let Some(at) = self.by_url.get(&key) {
            return Some(*at);
        }
        let at = self.rows.len();
        if at >= KEPT {
            return None;
        }
        self.by_url.insert(key, at);
        self.rows.push(Tracker { url, ..Tracker::default() });
        Some(at)
    }
}

/// Where the tracker of a record is.
const fn far_end(record: &Record) -> SocketAddr {
    match record.direction {
        Direction::FromInitiator => record.destination,
        Direction::FromResponder => record.source,
    }
}

/// The URL that a request was made for, without its query.
fn http_url(request: &http::Request, address: SocketAddr) -> String {
    let path = String::from_utf8_lossy(request.path());
    // As a proxy is asked (RFC 9112, 3.2.2).
    if path.starts_with("http://") {
        return path.into_owned();
    }
    match request.header("host") {
        Some(host) => format!("http://{}{path}", String::from_utf8_lossy(host)),
        None => format!("http://{address}{path}"),
    }
}

/// The URL for announces to the tracker that is scraped at `url` (BEP 48, "tracker HTTP scrape protocol").
fn announce_url(url: &str) -> String {
    match url.rsplit_once('/') {
        Some((folder, name)) if name.starts_with("scrape") => {
            format!("{folder}/announce{}", &name["scrape".len()..])
        }
        _ => url.to_owned(),
    }
}
