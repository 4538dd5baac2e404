//! The first messages of a connection, both ways: handshake, pieces, extended handshake.

use std::net::IpAddr;

use crate::Timestamp;
use crate::bencode;
use crate::wire::{Handshake, Message};

use super::core::Core;
use super::peer::{Peer, Phase};
use super::profile::{ExtendedEntry, FirstMessage, Interest, WithoutPieces};
use super::{DisconnectReason, Event, Output, Session, SessionStreamId, Violation};

impl Session {
    /// Takes a peer's handshake, and sends what follows it.
    pub(super) fn on_handshake(
        &mut self,
        now: Timestamp,
        stream: SessionStreamId,
        handshake: &Handshake,
    ) -> Result<(), Violation> {
        if handshake.info_hash != self.core.torrent.info_hash {
            return Err(Violation::WrongInfoHash(handshake.info_hash));
        }
        let others = || self.peers.iter().filter(|other| other.stream != stream);
        let is_ours = |other: &Peer| other.own_id == handshake.peer_id && other.phase != Phase::Connecting;
        if handshake.peer_id == self.core.identity.peer_id || others().any(is_ours) {
            return Err(Violation::SelfConnection);
        }
        let duplicate = others().find(|other| other.peer_id == Some(handshake.peer_id));
        let duplicate = duplicate.map(|other| (other.stream, other.incoming));
        let Some(peer) = self.peers.get_mut(stream) else { return Ok(()) };
        if peer.incoming {
            self.core.choose_id(peer);
        }
        // Two connections to one peer are one too many. Where each side opened one, both must keep the same: that of the side
        // with the greater peer id.
        if let Some((other, incoming)) = duplicate {
            let keeps_incoming = handshake.peer_id > peer.own_id;
            if incoming == peer.incoming || peer.incoming != keeps_incoming {
                return Err(Violation::Duplicate);
            }
            self.disconnect(now, other, DisconnectReason::Violated(Violation::Duplicate));
        }
        if let Some(peer) = self.peers.get_mut(stream) {
            if peer.incoming {
                self.core.send_handshake(peer);
            }
            self.core.open(now, peer, handshake);
        }
        Ok(())
    }
}

impl Core {
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

    /// Sends what follows the handshakes.
    fn open(&mut self, now: Timestamp, peer: &mut Peer, handshake: &Handshake) {
        let ours = Handshake { reserved: self.config.profile.reserved, ..*handshake };
        peer.fast = ours.offers_fast() && handshake.offers_fast();
        peer.extended = ours.offers_extended() && handshake.offers_extended();
        peer.begin(handshake.peer_id, now);
        self.outputs.push_back(Output::Event(Event::Connected {
            stream: peer.stream,
            peer: peer.address,
            peer_id: handshake.peer_id,
        }));
        for &message in &self.config.profile.first_messages {
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
            peer.choke.am_interested = true;
            peer.send(&Message::Interested);
        }
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
