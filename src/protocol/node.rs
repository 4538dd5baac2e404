//! What a whole client is on the network, without I/O: a [`Session`], and what shares the UDP port with it.
//!
//! A [`Node`] is driven as a session is: [`Node::handle`] takes what happened, one [`Input`] at a time; [`Node::poll`] hands
//! out what is to be done, until it answers [`Wait`](session::Output::Wait) or [`Done`](session::Output::Done). Each
//! datagram is given to the part whose datagram it is: see [`DatagramOwner`].

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::Timestamp;
use crate::dht::{SavedNodes, SearchResult};
use crate::lsd::{Interface, InterfaceId};
use crate::mse::MseKey;
use crate::session::{self, Session};
use crate::utp::Fragment;

mod datagram;
mod dht;
mod lsd;
#[cfg(test)]
mod tests;
mod utp;

pub use datagram::DatagramOwner;
pub use utp::UtpPolicy;

use dht::SessionDht;
use lsd::SessionLsd;
use utp::SessionUtp;

/// A session, and the parts that speak over datagrams.
#[derive(Debug)]
pub struct Node {
    session: Session,
    dht: Option<SessionDht>,
    lsd: Option<SessionLsd>,
    utp: Option<SessionUtp>,
    /// What the parts beside the session want done.
    outputs: VecDeque<Output>,
    now: Timestamp,
    /// How many datagrams came that are nobody's.
    dropped: u64,
}

/// What happens to a node.
#[derive(Debug, Clone)]
pub enum Input {
    /// What happens to the session. Of [`Tick`](session::Input::Tick) and of names that were looked up all parts hear.
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
    /// Send a datagram to this address, from the UDP port of the address's family; whether it may be cut on its way.
    Datagram(SocketAddr, Bytes, Fragment),
    /// The key of a stream over uTP, to be kept before anything more is sent: who is at the other end, and whether we began
    /// the stream.
    UtpSecret(Box<MseKey>, SocketAddr, bool),
    /// A search of the DHT for peers is over.
    Searched(SearchResult),
    /// Keep these nodes of the DHT for the next run.
    Save(SavedNodes),
    /// Send a datagram out of this interface to this group, one hop far (BEP 14).
    Multicast(InterfaceId, SocketAddr, Bytes),
}

impl Node {
    /// A node around a session that has not begun to talk.
    pub const fn new(session: Session) -> Self {
        Self {
            session,
            dht: None,
            lsd: None,
            utp: None,
            outputs: VecDeque::new(),
            now: Timestamp::EPOCH,
            dropped: 0,
        }
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
            Input::Session(input) => {
                let is_described = matches!(input, session::Input::Described(..));
                self.dht_hears(now, &input);
                if let Some(input) = self.on_input(input) {
                    self.session.handle(now, input);
                }
                self.leave_dht_if_private(now);
                self.leave_lsd_if_private();
                if is_described {
                    self.follow_all_hashes(now);
                }
            }
            Input::Datagram(from, bytes) => {
                let is_taken = match DatagramOwner::of(&bytes) {
                    Some(DatagramOwner::Utp) => {
                        self.utp.as_mut().is_some_and(|utp| utp.mux.handle(now, from, &bytes))
                    }
                    Some(DatagramOwner::Dht) => self.dht_takes(now, from, bytes),
                    None => false,
                };
                self.dropped += u64::from(!is_taken);
            }
            Input::Multicast(by, from, bytes) => {
                let is_taken = self.lsd_takes(by, from, &bytes);
                self.dropped += u64::from(!is_taken);
            }
            Input::Interfaces(interfaces) => self.set_interfaces(now, &interfaces),
        }
        self.tick_utp(now);
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Output {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            if let Some(output) = self.poll_utp() {
                return output;
            }
            let output = match self.session.poll() {
                session::Output::DhtContact(address) => {
                    self.dht_contact(address);
                    continue;
                }
                session::Output::Wait(_) if self.step_lsd() => continue,
                session::Output::Wait(at) => {
                    let others = [self.dht_wakes_at(), self.lsd_wakes_at(), self.utp_wakes_at()];
                    let at = others.into_iter().flatten().chain(at).min();
                    return Output::Session(session::Output::Wait(at));
                }
                session::Output::Done if self.utp_is_leaving() => {
                    return Output::Session(session::Output::Wait(self.utp_wakes_at()));
                }
                session::Output::Done => {
                    let saved = self.save_dht().map(Output::Save);
                    return saved.unwrap_or(Output::Session(session::Output::Done));
                }
                output => output,
            };
            // A node of the DHT is told of seeds of the whole torrent only (BEP 33).
            let completed = matches!(output, session::Output::Event(session::Event::Complete));
            if completed && self.session.is_complete() {
                self.dht_completed();
            }
            if let Some(output) = self.on_output(output) {
                return output;
            }
        }
    }
}
