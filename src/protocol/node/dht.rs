//! The DHT beside a session: what the session and the node of the DHT tell each other.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::{Node, Output};
use crate::dht::{DhtInput, DhtNode, DhtOutput, SavedNodes};
use crate::session::{self, PeerSource, SearchState};
use crate::utp::Fragment;
use crate::{InfoHash, Timestamp};

/// A node of the DHT, and what the session has been told of it.
#[derive(Debug)]
pub(super) struct SessionDht {
    node: DhtNode,
    /// Both hashes of a hybrid torrent.
    torrents: Vec<InfoHash>,
    search: SearchState,
    /// Whether its nodes were handed out to be kept, now that the session is over.
    saved: bool,
}

impl Node {
    /// The same with a node of the DHT, which looks for peers of the session's torrent. Of a private torrent the DHT may not
    /// know (BEP 27): then there is none.
    #[must_use]
    pub fn with_dht(mut self, mut dht: DhtNode, now: Timestamp) -> Self {
        if self.session.is_private() {
            return self;
        }
        let torrents = self.session.info_hashes();
        for &torrent in &torrents {
            dht.handle(now, DhtInput::Follow(torrent));
            if self.session.is_complete() {
                dht.handle(now, DhtInput::Completed(torrent));
            }
        }
        self.dht = Some(SessionDht { node: dht, torrents, search: SearchState::Idle, saved: false });
        self
    }

    /// How many good nodes of the DHT are known; `None` without the DHT.
    pub fn dht_nodes(&self, now: Timestamp) -> Option<usize> {
        self.dht.as_ref().map(|dht| dht.node.good_nodes(now))
    }

    /// Hears what the session is about to be told.
    pub(super) fn dht_hears(&mut self, now: Timestamp, input: &session::Input) {
        match input {
            session::Input::Tick => self.tell_dht(now, DhtInput::Tick),
            session::Input::Resolved(name, addresses) => {
                self.tell_dht(now, DhtInput::Resolved(name.clone(), addresses.clone()));
            }
            _ => {}
        }
    }

    /// Looks for peers, and is announced, by all hashes of the torrent, now that peers described it: a hybrid one has two.
    pub(super) fn follow_all_hashes(&mut self, now: Timestamp) {
        let torrents = self.session.info_hashes();
        if let Some(dht) = &mut self.dht {
            let new: Vec<_> =
                torrents.iter().filter(|torrent| !dht.torrents.contains(torrent)).copied().collect();
            dht.torrents.extend(&new);
            new.into_iter().for_each(|torrent| self.tell_dht(now, DhtInput::Follow(torrent)));
        }
        if let Some(lsd) = &mut self.lsd {
            lsd.follow(torrents);
        }
    }

    /// Leaves the DHT where what peers described turned out to be private: nothing more is asked (BEP 27).
    pub(super) fn leave_dht_if_private(&mut self, now: Timestamp) {
        if self.dht.is_some() && self.session.is_private() {
            self.dht = None;
            self.session.handle(now, session::Input::Searching(SearchState::Over));
        }
    }

    /// Takes a datagram; whether there is a node of the DHT.
    pub(super) fn dht_takes(&mut self, now: Timestamp, from: SocketAddr, bytes: Bytes) -> bool {
        self.tell_dht(now, DhtInput::Datagram(from, bytes));
        self.dht.is_some()
    }

    /// A peer says that a node is at this address.
    pub(super) fn dht_contact(&mut self, address: SocketAddr) {
        self.tell_dht(self.now, DhtInput::Contact(address));
    }

    /// The session has every piece.
    pub(super) fn dht_completed(&mut self) {
        let torrents = self.dht.as_ref().map_or(Vec::new(), |dht| dht.torrents.clone());
        torrents.into_iter().for_each(|torrent| self.tell_dht(self.now, DhtInput::Completed(torrent)));
    }

    /// When the node of the DHT wants to be called again.
    pub(super) fn dht_wakes_at(&self) -> Option<Timestamp> {
        // What is due by now was done by the last input, as with the session.
        let least = self.now + Duration::from_millis(1);
        self.dht.as_ref().map(|dht| dht.node.wakes_at().max(least))
    }

    /// Once the session is over, the nodes to be kept: one time.
    pub(super) fn save_dht(&mut self) -> Option<SavedNodes> {
        let dht = self.dht.as_mut().filter(|dht| !dht.saved)?;
        dht.saved = true;
        Some(dht.node.saved(self.now)).filter(|saved| !saved.is_empty())
    }

    fn tell_dht(&mut self, now: Timestamp, input: DhtInput) {
        let Some(dht) = &mut self.dht else { return };
        dht.node.handle(now, input);
        while let Some(output) = dht.node.poll() {
            match output {
                DhtOutput::Datagram(to, bytes) => {
                    self.outputs.push_back(Output::Datagram(to, bytes, Fragment::Allowed));
                }
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
        let search = match (dht.node.has_searched(), dht.node.has_anybody()) {
            // Who was heard on the local network a moment ago answers within a minute (BEP 14).
            (true, _) if self.lsd.as_ref().is_some_and(|lsd| lsd.may_be_answered(now)) => SearchState::Idle,
            (true, _) => SearchState::Over,
            (false, true) => SearchState::UnderWay,
            (false, false) => SearchState::Idle,
        };
        if std::mem::replace(&mut dht.search, search) != search {
            self.session.handle(now, session::Input::Searching(search));
        }
    }
}
