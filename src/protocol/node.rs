//! What a whole client is on the network, without I/O: a [`Session`], and what shares the UDP port with it.
//!
//! A [`Node`] is driven as a session is: [`Node::handle`] takes what happened, one [`Input`] at a time; [`Node::poll`] hands
//! out what is to be done, until it answers [`Wait`](session::Output::Wait) or [`Done`](session::Output::Done). Each
//! datagram is given to the part whose datagram it is: see [`DatagramOwner`].

use std::net::SocketAddr;

use bytes::Bytes;

use crate::Timestamp;
use crate::session::{self, Session};

mod datagram;
#[cfg(test)]
mod tests;

pub use datagram::DatagramOwner;

/// A session, and the parts that speak over datagrams.
#[derive(Debug)]
pub struct Node {
    session: Session,
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
}

impl Node {
    /// A node around a session that has not begun to talk.
    pub const fn new(session: Session) -> Self {
        Self { session, dropped: 0 }
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
        match input {
            Input::Session(input) => self.session.handle(now, input),
            Input::Datagram(_, bytes) => match DatagramOwner::of(&bytes) {
                Some(DatagramOwner::Dht | DatagramOwner::Utp) | None => self.dropped += 1,
            },
        }
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Output {
        Output::Session(self.session.poll())
    }
}
