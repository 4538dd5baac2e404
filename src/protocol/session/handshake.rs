//! The first messages of a connection, both ways: handshake, pieces, extended handshake.

use std::net::IpAddr;

use crate::bencode;
use crate::wire::{Handshake, Message};
use crate::{PeerId, Timestamp};

use super::peer::{Peer, Phase};
use super::profile::{ExtendedEntry, FirstMessage, Interest, WithoutPieces};
use super::{Event, Session, Violation};

impl Session {
    /// Chooses what we call ourselves on a connection.
    pub(super) fn choose_id(&mut self, peer: &mut Peer) {
        if !self.config.profile.peer_id.fresh {
            return;
        }
        peer.own_id = match self.connection_ids.pop_front() {
            Some(id) => id,
            None => self.config.profile.peer_id.draw_from(&mut self.rng),
        };
    }

    pub(super) fn send_handshake(&self, peer: &mut Peer) {
        let handshake = Handshake {
            reserved: self.config.profile.reserved,
            info_hash: self.torrent.info_hash,
            peer_id: peer.own_id,
        };
        peer.send_buffer.extend_from_slice(&handshake.encode());
    }

    /// Takes a peer's handshake, and says what follows it.
    pub(super) fn on_handshake(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        handshake: &Handshake,
    ) -> Result<(), Violation> {
        if handshake.info_hash != self.torrent.info_hash {
            return Err(Violation::WrongInfoHash(handshake.info_hash));
        }
        let ours = |other: &Peer| other.own_id == handshake.peer_id && other.phase != Phase::Connecting;
        if handshake.peer_id == self.identity.peer_id || self.peers.values().any(|other| ours(other)) {
            return Err(Violation::SelfConnection);
        }
        if peer.incoming {
            self.choose_id(peer);
        }
        self.resolve_duplicate(now, peer, handshake.peer_id)?;
        if peer.incoming {
            self.send_handshake(peer);
        }
        let ours = Handshake { reserved: self.config.profile.reserved, ..*handshake };
        peer.fast = ours.offers_fast() && handshake.offers_fast();
        peer.extended = ours.offers_extended() && handshake.offers_extended();
        peer.phase = Phase::Open;
        peer.phase_since = now;
        peer.choked_since = now;
        peer.choked_idle_since = now;
        peer.last_block_at = now;
        peer.peer_id = Some(handshake.peer_id);
        self.outputs.push_back(super::Output::Event(Event::Connected {
            stream: peer.stream,
            peer: peer.address,
            peer_id: handshake.peer_id,
        }));
        for message in self.config.profile.first_messages.clone() {
            match message {
                FirstMessage::Extended if peer.extended => {
                    let payload = self.extended_handshake(now, peer).into();
                    peer.send(&Message::Extended { id: 0, payload });
                }
                FirstMessage::Extended => {}
                FirstMessage::Pieces => self.send_pieces(peer),
                FirstMessage::AllowedFast(count) => self.allow_set(peer, count),
            }
        }
        if self.config.profile.interest == Interest::AtOnce && !self.is_complete() {
            peer.am_interested = true;
            peer.send(&Message::Interested);
        }
        Ok(())
    }

    /// Two connections to one peer are one too many. Where each end dialled, both must keep the same one: that of the end
    /// with the greater peer id.
    fn resolve_duplicate(&mut self, now: Timestamp, peer: &Peer, peer_id: PeerId) -> Result<(), Violation> {
        let other = self.peers.values().find(|other| other.peer_id == Some(peer_id));
        let Some(other) = other.map(|other| (other.stream, other.incoming)) else { return Ok(()) };
        let keeps_called = peer_id > peer.own_id;
        if other.1 == peer.incoming || peer.incoming != keeps_called {
            return Err(Violation::Duplicate);
        }
        if let Some(other) = self.peers.remove(&other.0) {
            self.disconnect(now, other, super::DisconnectReason::Violated(Violation::Duplicate));
        }
        Ok(())
    }

    fn send_pieces(&self, peer: &mut Peer) {
        peer.known_pending_haves = self.pending_haves.len();
        let profile = &self.config.profile;
        let bitfield = || Message::Bitfield(self.picker.bitfield().into());
        peer.send(&match (self.picker.done(), profile.without_pieces) {
            (0, WithoutPieces::HaveNone) if peer.fast => Message::HaveNone,
            (0, WithoutPieces::KeepAlive) if !peer.fast => Message::KeepAlive,
            (0, WithoutPieces::HaveNone | WithoutPieces::Nothing) if !peer.fast => return,
            (0, _) => bitfield(),
            _ if peer.fast && profile.have_all && self.is_complete() => Message::HaveAll,
            _ => bitfield(),
        });
    }

    /// The dictionary of BEP 10.
    fn extended_handshake(&self, now: Timestamp, peer: &Peer) -> Vec<u8> {
        let mut out = vec![b'd'];
        for (key, says) in &self.config.profile.extended {
            let value = self.extended_value(now, peer, says);
            if !value.is_empty() {
                bencode::put_string(&mut out, key);
                out.extend_from_slice(&value);
            }
        }
        out.push(b'e');
        out
    }

    /// What an entry of the extended handshake says; nothing where it is left out.
    fn extended_value(&self, now: Timestamp, peer: &Peer, says: &ExtendedEntry) -> Vec<u8> {
        let profile = &self.config.profile;
        let number = |number: i64| {
            let mut out = Vec::new();
            bencode::put_integer(&mut out, number);
            out
        };
        let text = |text: &[u8]| {
            let mut out = Vec::new();
            bencode::put_string(&mut out, text);
            out
        };
        let port = self.config.port;
        match says {
            ExtendedEntry::Extensions => self.extensions(),
            ExtendedEntry::MetadataSize => {
                number(i64::try_from(self.torrent.info_bytes().len()).unwrap_or(i64::MAX))
            }
            ExtendedEntry::Port | ExtendedEntry::PortWhenDialling if port == 0 => Vec::new(),
            ExtendedEntry::PortWhenDialling if peer.incoming => Vec::new(),
            ExtendedEntry::Port | ExtendedEntry::PortWhenDialling => number(port.into()),
            ExtendedEntry::Reqq => number(profile.reqq.into()),
            ExtendedEntry::Client if profile.client.is_empty() => Vec::new(),
            ExtendedEntry::Client => text(profile.client.as_bytes()),
            ExtendedEntry::YourAddress => match peer.address.ip() {
                IpAddr::V4(ip) => text(&ip.octets()),
                IpAddr::V6(ip) => text(&ip.octets()),
            },
            ExtendedEntry::UploadOnlyOnceComplete if !self.is_complete() => Vec::new(),
            ExtendedEntry::UploadOnly | ExtendedEntry::UploadOnlyOnceComplete => {
                number(self.is_complete().into())
            }
            ExtendedEntry::CompleteAgo => {
                let seconds = |since| i64::try_from((now - since).as_secs()).unwrap_or(i64::MAX);
                number(self.completed_at.map_or(-1, seconds))
            }
            ExtendedEntry::Number(constant) => number(*constant),
            ExtendedEntry::Text(constant) => text(constant),
        }
    }

    fn extensions(&self) -> Vec<u8> {
        let mut out = vec![b'd'];
        for (name, id) in &self.config.profile.extensions {
            // BEP 27: a private torrent's peers are not passed on.
            if name == "ut_pex" && *id != 0 && self.torrent.private {
                continue;
            }
            bencode::put_string(&mut out, name.as_bytes());
            bencode::put_integer(&mut out, (*id).into());
        }
        out.push(b'e');
        out
    }
}
