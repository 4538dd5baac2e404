//! Holepunch (BEP 55): two peers that cannot dial each other are brought together by a third one, the relay, which both are
//! connected to. Each of the two is told the other's address, and dials it over uTP at the same time, so that the devices
//! before both let packets in.
//!
//! Anybody may ask a relay, and a relay may tell any address. So a relay tells nobody but its own peers of nobody but its own
//! peers, and an address that a relay tells is dialled once, as little as one of peer exchange.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Timestamp;
use crate::wire::{Extension, Holepunch, HolepunchError, HolepunchKind, Message};

use super::core::Core;
use super::peer::{Peer, Phase};
use super::{Endpoint, MAX_HALF_OPEN_INVENTED, PeerSource, Session, SessionStreamId, UtpDial};

/// How often a peer spoke of holepunch in the last minute.
#[derive(Debug, Default)]
pub(super) struct HolepunchCount {
    since: Option<Timestamp>,
    messages: u32,
}

/// What a message of holepunch means for others than its sender.
#[derive(Debug)]
pub(super) enum HolepunchStep {
    /// The peer of this stream wants to be brought together with the one at this address.
    Rendezvous(SessionStreamId, SocketAddr),
    /// A relay, the peer of this stream, says that the one at this address dials us now.
    Connect(SessionStreamId, SocketAddr),
    /// No connection to this peer came to be.
    Unreached(SocketAddr),
}

impl HolepunchCount {
    /// Counts a message; whether it is one of those that a minute may have.
    fn allows(&mut self, now: Timestamp) -> bool {
        if self.since.is_none_or(|since| now - since >= MINUTE) {
            *self = Self { since: Some(now), messages: 0 };
        }
        self.messages += 1;
        self.messages <= MAX_A_MINUTE
    }
}

impl Peer {
    /// The id under which the peer receives messages of holepunch, where it does.
    fn holepunch_id(&self) -> Option<u8> {
        self.extension_id(&Extension::Holepunch).filter(|_| self.phase == Phase::Open)
    }

    /// Whether nothing is known to which a hole would lead.
    const fn cannot_be_dialled(&self) -> bool {
        self.incoming && !self.over_utp && self.listen_address.is_none()
    }

    /// Where a hole to the peer leads: packets over uTP come from the port at which it listens.
    fn punched_address(&self) -> SocketAddr {
        match self.incoming && !self.over_utp {
            true => self.listen_address.unwrap_or(self.address),
            false => self.address,
        }
    }

    fn say_holepunch(
        &mut self,
        now: Timestamp,
        kind: HolepunchKind,
        endpoint: SocketAddr,
        error: Option<HolepunchError>,
    ) {
        let Some(id) = self.holepunch_id() else { return };
        // The code stands in every message (BEP 55, "Message Format").
        let error = Some(error.map_or(0, |error| error as u32));
        let payload = Holepunch { kind, endpoint, error }.encode().into();
        self.send(now, &Message::Extended { id, payload });
    }
}

impl Core {
    fn offers_holepunch(&self) -> bool {
        self.config.profile.extensions.iter().any(|(name, _)| name == "ut_holepunch")
            && self.has_utp
            && !self.torrent.is_private()
            && !self.config.single_peer
    }

    /// Takes a message of holepunch. More of them than there may be are passed over.
    pub(super) fn on_holepunch(&mut self, now: Timestamp, peer: &mut Peer, message: Holepunch) {
        if !self.offers_holepunch() || peer.holepunch_id().is_none() || !peer.holepunch.allows(now) {
            return;
        }
        let endpoint = SocketAddr::new(message.endpoint.ip().to_canonical(), message.endpoint.port());
        let step = match message.kind {
            HolepunchKind::Rendezvous => HolepunchStep::Rendezvous(peer.stream, endpoint),
            HolepunchKind::Connect => HolepunchStep::Connect(peer.stream, endpoint),
            HolepunchKind::Error | HolepunchKind::Unknown(_) => return,
        };
        self.deferred.holepunch.push(step);
    }

    /// A connection that we opened is over. Where the peer was not reached, or lets nobody in, who named it may be a relay to it.
    pub(super) fn note_unreached(&mut self, peer: &Peer) {
        let is_unreached = matches!(peer.phase, Phase::Connecting | Phase::Handshake);
        if self.offers_holepunch() && peer.dialled.is_some() && is_unreached {
            self.deferred.holepunch.push(HolepunchStep::Unreached(peer.address));
        }
    }
}

impl Session {
    /// Does what messages of holepunch ask for.
    pub(super) fn punch_holes(&mut self, now: Timestamp) {
        for step in std::mem::take(&mut self.core.deferred.holepunch) {
            match step {
                HolepunchStep::Rendezvous(stream, endpoint) => self.relay(now, stream, endpoint),
                HolepunchStep::Connect(stream, endpoint) => self.punch(now, stream, endpoint),
                HolepunchStep::Unreached(address) => self.ask_relay(now, address),
            }
        }
    }

    /// As a relay: tells two peers of each other, or one of them why not.
    fn relay(&mut self, now: Timestamp, from: SessionStreamId, endpoint: SocketAddr) {
        let Some(asker) = self.peers.get(from) else { return };
        let (asker_address, own) = (asker.punched_address(), asker.listen_address);
        let is_there =
            |peer: &&Peer| peer.punched_address() == endpoint || peer.listen_address == Some(endpoint);
        let is_nobody =
            endpoint.port() == 0 || endpoint.ip().is_unspecified() || endpoint.ip().is_multicast();
        let target = self.peers.iter().filter(|peer| peer.phase == Phase::Open).find(is_there);
        let result = match target {
            _ if is_nobody => Err(HolepunchError::NoSuchPeer),
            _ if endpoint == asker_address || own == Some(endpoint) => Err(HolepunchError::NoSelf),
            // Nobody could dial it: it called over TCP, and did not say where it listens.
            _ if asker.cannot_be_dialled() => Err(HolepunchError::NoSuchPeer),
            None => Err(HolepunchError::NotConnected),
            Some(target) if target.holepunch_id().is_none() || target.cannot_be_dialled() => {
                Err(HolepunchError::NoSupport)
            }
            Some(target) => Ok((target.stream, target.punched_address())),
        };
        let told = match result {
            Ok((target, address)) => [
                Some((target, HolepunchKind::Connect, asker_address, None)),
                Some((from, HolepunchKind::Connect, address, None)),
            ],
            Err(error) => [Some((from, HolepunchKind::Error, endpoint, Some(error))), None],
        };
        for (stream, kind, endpoint, error) in told.into_iter().flatten() {
            if let Some(peer) = self.peers.get_mut(stream) {
                peer.say_holepunch(now, kind, endpoint, error);
                self.peers.mark_dirty(stream);
            }
        }
    }

    /// Dials the address that a relay tells, over uTP, once.
    fn punch(&mut self, now: Timestamp, relay: SessionStreamId, endpoint: SocketAddr) {
        let Some(relay) = self.peers.get(relay).map(|peer| peer.address.ip()) else { return };
        let is_connected = self.peers.iter().any(|peer| peer.punched_address() == endpoint);
        let has_room = self.invented_connecting() < MAX_HALF_OPEN_INVENTED
            && self.peers.len() < self.core.config.max_peers;
        self.core.swarm.forget_dials(now);
        if !is_connected && has_room && self.core.swarm.punch(now, PeerSource::Peer(relay), endpoint) {
            self.dial(now, endpoint, Endpoint::UtpPeer(endpoint, UtpDial::Punch));
        }
    }

    /// Asks who named a peer that cannot be dialled to bring us together.
    fn ask_relay(&mut self, now: Timestamp, address: SocketAddr) {
        let Some(host) = self.core.swarm.relay_to(address) else { return };
        let relays = self.peers.iter().filter(|peer| peer.address.ip() == host);
        let relay = relays.filter(|peer| peer.holepunch_id().is_some()).map(|peer| peer.stream).next();
        if let Some(relay) = relay
            && let Some(peer) = self.peers.get_mut(relay)
            && peer.asked_to_relay.allows(now)
        {
            self.core.swarm.note_asked(address);
            peer.say_holepunch(now, HolepunchKind::Rendezvous, address, None);
            self.peers.mark_dirty(relay);
        }
    }
}

/// How many messages of holepunch are taken of a peer, and how many rendezvous are asked of it, in a minute.
const MAX_A_MINUTE: u32 = 5;
const MINUTE: Duration = Duration::from_secs(60);
