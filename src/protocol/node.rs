//! What a whole client is on the network, without I/O: a [`Session`], and what shares the UDP port with it.
//!
//! A [`Node`] is driven as a session is: [`Node::handle`] takes what happened, one [`Input`] at a time; [`Node::poll`] hands
//! out what is to be done, until it answers [`Wait`](session::Output::Wait) or [`Done`](session::Output::Done). Each
//! datagram is given to the part whose datagram it is: see [`DatagramOwner`].

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::dht::{DhtInput, DhtNode, DhtOutput, SavedNodes, SearchResult};
use crate::session::{self, PeerSource, Session};
use crate::{InfoHash, Timestamp};

mod datagram;
#[cfg(test)]
mod tests;

pub use datagram::DatagramOwner;

/// A session, and the parts that speak over datagrams.
#[derive(Debug)]
pub struct Node {
    session: Session,
    dht: Option<SessionDht>,
    /// What the other parts want done.
    outputs: VecDeque<Output>,
    now: Timestamp,
    /// How many datagrams came that are nobody's.
    dropped: u64,
}

/// A node of the DHT, and what the session has been told of it.
#[derive(Debug)]
struct SessionDht {
    node: DhtNode,
    torrent: InfoHash,
    searching: bool,
    /// Whether its nodes were handed out to be kept, now that the session is over.
    saved: bool,
}

/// What happens to a node.
#[derive(Debug, Clone)]
pub enum Input {
    /// What happens to the session. Of [`Tick`](session::Input::Tick) and of names that were looked up all parts hear.
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
    /// A search of the DHT for peers is over.
    Searched(SearchResult),
    /// Keep these nodes of the DHT for the next run.
    Save(SavedNodes),
}

impl Node {
    /// A node around a session that has not begun to talk.
    pub const fn new(session: Session) -> Self {
        Self { session, dht: None, outputs: VecDeque::new(), now: Timestamp::EPOCH, dropped: 0 }
    }

    /// The same with a node of the DHT, which looks for peers of the session's torrent. Of a private torrent the DHT may not
    /// know (BEP 27): then there is none.
    #[must_use]
    pub fn with_dht(mut self, mut dht: DhtNode, now: Timestamp) -> Self {
        if self.session.is_private() {
            return self;
        }
        let torrent = self.session.info_hash();
        dht.handle(now, DhtInput::Follow(torrent));
        if self.session.is_complete() {
            dht.handle(now, DhtInput::Completed(torrent));
        }
        self.dht = Some(SessionDht { node: dht, torrent, searching: false, saved: false });
        self
    }

    /// The session.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// How many good nodes of the DHT are known; `None` without the DHT.
    pub fn dht_nodes(&self, now: Timestamp) -> Option<usize> {
        self.dht.as_ref().map(|dht| dht.node.good_nodes(now))
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
                match &input {
                    session::Input::Tick => self.tell_dht(now, DhtInput::Tick),
                    session::Input::Resolved(name, addresses) => {
                        self.tell_dht(now, DhtInput::Resolved(name.clone(), addresses.clone()));
                    }
                    _ => {}
                }
                self.session.handle(now, input);
                if self.dht.is_some() && self.session.is_private() {
                    // What peers described turned out to be private: nothing more is asked (BEP 27).
                    self.dht = None;
                    self.session.handle(now, session::Input::Searching(false));
                }
            }
            Input::Datagram(from, bytes) => match DatagramOwner::of(&bytes) {
                Some(DatagramOwner::Dht) if self.dht.is_some() => {
                    self.tell_dht(now, DhtInput::Datagram(from, bytes));
                }
                Some(DatagramOwner::Dht | DatagramOwner::Utp) | None => self.dropped += 1,
            },
        }
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Output {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            let output = self.session.poll();
            match output {
                session::Output::DhtContact(address) => self.tell_dht(self.now, DhtInput::Contact(address)),
                session::Output::Wait(at) => {
                    return Output::Session(session::Output::Wait(self.first_of(at)));
                }
                session::Output::Done => match self.save_dht() {
                    Some(saved) => return Output::Save(saved),
                    None => return Output::Session(session::Output::Done),
                },
                session::Output::Event(session::Event::Complete) => {
                    if let Some(dht) = &self.dht {
                        self.tell_dht(self.now, DhtInput::Completed(dht.torrent));
                    }
                    return Output::Session(output);
                }
                output => return Output::Session(output),
            }
        }
    }

    /// The first moment that any part waits for.
    fn first_of(&self, session: Option<Timestamp>) -> Option<Timestamp> {
        // What is due by now was done by the last input, as with the session.
        let least = self.now + Duration::from_millis(1);
        let dht = self.dht.as_ref().map(|dht| dht.node.wakes_at().max(least));
        [session, dht].into_iter().flatten().min()
    }

    /// Once the session is over, the nodes to be kept: one time.
    fn save_dht(&mut self) -> Option<SavedNodes> {
        let dht = self.dht.as_mut().filter(|dht| !dht.saved)?;
        dht.saved = true;
        Some(dht.node.saved(self.now)).filter(|saved| !saved.is_empty())
    }

    fn tell_dht(&mut self, now: Timestamp, input: DhtInput) {
        let Some(dht) = &mut self.dht else { return };
        dht.node.handle(now, input);
        while let Some(output) = dht.node.poll() {
            match output {
                DhtOutput::Datagram(to, bytes) => self.outputs.push_back(Output::Datagram(to, bytes)),
                DhtOutput::Resolve(name) => {
                    self.outputs.push_back(Output::Session(session::Output::Resolve(name)));
                }
                DhtOutput::Peers(_, peers) => {
                    self.session.handle(now, session::Input::PeersFound(PeerSource::Dht, peers));
                }
                DhtOutput::ExternalAddress(address) => {
                    self.session.handle(now, session::Input::OwnAddress(address));
                }
                DhtOutput::Searched(result) => self.outputs.push_back(Output::Searched(result)),
                DhtOutput::Save(saved) if saved.is_empty() => {}
                DhtOutput::Save(saved) => self.outputs.push_back(Output::Save(saved)),
            }
        }
        let searching = dht.node.is_searching();
        if std::mem::replace(&mut dht.searching, searching) != searching {
            self.session.handle(now, session::Input::Searching(searching));
        }
    }
}
