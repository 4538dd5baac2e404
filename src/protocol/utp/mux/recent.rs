//! Connections that were ours until lately: who still speaks on one is told that it is over. Of ids that never were ours
//! nothing is said, so that nobody can have us send packets to others.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::Timestamp;
use crate::utp::{HEADER_LENGTH, Header, Kind};

/// The last connections that ended.
#[derive(Debug)]
pub(super) struct RecentConnections {
    ended: VecDeque<Ended>,
    /// When the current second began, and how many RESETs were sent in it.
    second: Option<(Timestamp, usize)>,
}

#[derive(Debug)]
struct Ended {
    remote: SocketAddr,
    receive_id: u16,
    send_id: u16,
}

impl RecentConnections {
    pub(super) const fn new() -> Self {
        Self { ended: VecDeque::new(), second: None }
    }

    /// A connection has ended.
    pub(super) fn add(&mut self, remote: SocketAddr, receive_id: u16, send_id: u16) {
        if self.ended.len() == MOST_RECENT {
            self.ended.pop_front();
        }
        self.ended.push_back(Ended { remote, receive_id, send_id });
    }

    /// The RESET that answers a packet of a connection that has ended.
    pub(super) fn answer(&mut self, now: Timestamp, from: SocketAddr, header: &Header) -> Option<Vec<u8>> {
        let ended =
            self.ended.iter().find(|one| one.remote == from && one.receive_id == header.connection)?;
        let (began, count) = self.second.filter(|(began, _)| now - *began < SECOND).unwrap_or((now, 0));
        if count >= RESETS_A_SECOND {
            return None;
        }
        self.second = Some((began, count + 1));
        let reset = Header {
            kind: Kind::Reset,
            connection: ended.send_id,
            timestamp: 0,
            delay: 0,
            window: 0,
            sequence: header.acknowledged,
            acknowledged: header.sequence,
            length: HEADER_LENGTH,
        };
        Some(reset.encode([]))
    }
}

/// How many connections are remembered.
const MOST_RECENT: usize = 256;
/// How many RESETs are sent in a second (LIVE.md 4.2).
const RESETS_A_SECOND: usize = 10;
const SECOND: Duration = Duration::from_secs(1);
