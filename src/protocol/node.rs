//! What a whole client is on the network, without I/O: a [`Session`], and what shares the UDP port with it.
//!
//! A [`Node`] is driven as a session is: [`Node::handle`] takes what happened, one [`Input`] at a time; [`Node::poll`] hands
//! out what is to be done, until it answers [`Wait`](session::Output::Wait) or [`Done`](session::Output::Done). Each
//! datagram is given to the part whose datagram it is: see [`DatagramOwner`].

use std::net::SocketAddr;

use bytes::Bytes;

use crate::Timestamp;
use crate::lsd::{Beacon, BeaconOutput, Interface, InterfaceId};
use crate::session::{self, PeerSource, Session};

mod datagram;
#[cfg(test)]
mod tests;

pub use datagram::DatagramOwner;

/// A session, and the parts that speak over datagrams.
#[derive(Debug)]
pub struct Node {
    session: Session,
    lsd: Option<Beacon>,
    /// The time of the last input.
    now: Timestamp,
    /// How many datagrams came that are nobody's.
    dropped: u64,
}

/// What happens to a node.
#[derive(Debug, Clone)]
pub enum Input {
    /// What happens to the session. Of [`Tick`](session::Input::Tick) and [`Stop`](session::Input::Stop) all parts hear.
    Session(session::Input),
    /// A datagram came from this address to the UDP port of the address's family.
    Datagram(SocketAddr, Bytes),
    /// A datagram came by this interface to a group of local service discovery (BEP 14).
    Multicast(InterfaceId, SocketAddr, Bytes),
    /// These are the interfaces over which the local network is reached.
    Interfaces(Vec<Interface>),
}

impl From<session::Input> for Input {
    fn from(input: session::Input) -> Self {
        Self::Session(input)
    }
}

/// What a node wants done.
#[derive(Debug, Clone)]
pub enum Output {
    /// What the session wants, and when the node wants to be called again: [`Wait`](session::Output::Wait) names the first
    /// moment that any part waits for.
    Session(session::Output),
    /// Send a datagram to this address, from the UDP port of the address's family.
    Datagram(SocketAddr, Bytes),
    /// Send a datagram out of this interface to this group, one hop far (BEP 14).
    Multicast(InterfaceId, SocketAddr, Bytes),
}

impl Node {
    /// A node around a session that has not begun to talk.
    pub const fn new(session: Session) -> Self {
        Self { session, lsd: None, now: Timestamp::EPOCH, dropped: 0 }
    }

    /// The same node, which announces its torrent to the local network. Not for a private torrent (BEP 27).
    pub fn with_lsd(self, beacon: Beacon) -> Self {
        Self { lsd: Some(beacon), ..self }
    }

    /// The session.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// How many datagrams came that no part could take.
    pub const fn dropped_datagrams(&self) -> u64 {
        self.dropped
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.now = now;
        match input {
            Input::Session(input) => self.session.handle(now, input),
            Input::Datagram(_, bytes) => match DatagramOwner::of(&bytes) {
                Some(DatagramOwner::Dht | DatagramOwner::Utp) | None => self.dropped += 1,
            },
            Input::Multicast(by, from, bytes) => match &mut self.lsd {
                Some(beacon) => beacon.receive(by, from, &bytes),
                None => self.dropped += 1,
            },
            Input::Interfaces(interfaces) => {
                if let Some(beacon) = &mut self.lsd {
                    beacon.set_interfaces(now, &interfaces);
                }
            }
        }
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Output {
        loop {
            let output = self.session.poll();
            let (session::Output::Wait(at), Some(beacon)) = (&output, &mut self.lsd) else {
                return Output::Session(output);
            };
            match beacon.poll(self.now) {
                BeaconOutput::Send(by, group, bytes) => return Output::Multicast(by, group, bytes),
                BeaconOutput::Found(peer) => {
                    let found = session::Input::PeersFound(PeerSource::Lsd, vec![peer]);
                    self.session.handle(self.now, found);
                }
                BeaconOutput::Wait(beacon) => {
                    let first = [*at, beacon].into_iter().flatten().min();
                    return Output::Session(session::Output::Wait(first));
                }
            }
        }
    }
}
