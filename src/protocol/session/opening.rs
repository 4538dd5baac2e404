//! The first messages of a connection, both ways: handshake, pieces, extended handshake.

use std::net::IpAddr;

use crate::bencode;
use crate::wire::{Handshake, Message};
use crate::{PeerId, Timestamp};

use super::peer::{Peer, Phase};
use super::profile::{Interest, Opening};
use super::{Event, Session, Violation};

impl Session {
    pub(super) fn say_handshake(&mut self, peer: &mut Peer) {
        let handshake = Handshake {
            reserved: self.config.profile.reserved,
            info_hash: self.torrent.info_hash,
            peer_id: self.identity.peer_id,
        };
        peer.saying.extend_from_slice(&handshake.encode());
    }

    /// Takes a peer's handshake, and says what follows it.
    pub(super) fn shake_hands(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        handshake: &Handshake,
    ) -> Result<(), Violation> {
        if handshake.info_hash != self.torrent.info_hash {
            return Err(Violation::WrongInfoHash(handshake.info_hash));
        }
        if handshake.peer_id == self.identity.peer_id {
            return Err(Violation::OurselvesCalled);
        }
        self.settle_duplicate(now, peer, handshake.peer_id)?;
        if peer.called {
            self.say_handshake(peer);
        }
        let ours = Handshake { reserved: self.config.profile.reserved, ..*handshake };
        peer.fast = ours.offers_fast() && handshake.offers_fast();
        peer.extended = ours.offers_extended() && handshake.offers_extended();
        peer.phase = Phase::Open;
        peer.since = now;
        peer.choked_since = now;
        peer.starves_since = now;
        peer.last_block = now;
        peer.peer_id = Some(handshake.peer_id);
        self.outputs.push_back(super::Output::Event(Event::Connected {
            stream: peer.stream,
            peer: peer.address,
            peer_id: handshake.peer_id,
        }));
        for message in self.config.profile.opening.clone() {
            match message {
                Opening::Extended if peer.extended => {
                    let payload = self.extended_handshake(peer).into();
                    peer.say(&Message::Extended { id: 0, payload });
                }
                Opening::Extended => {}
                Opening::Pieces => self.say_pieces(peer),
            }
        }
        if self.config.profile.interest == Interest::AtOnce && !self.is_complete() {
            peer.we_want = true;
            peer.say(&Message::Interested);
        }
        Ok(())
    }

    /// Two connections to one peer are one too many. Where each end dialled, both must keep the same one: that of the end
    /// with the greater peer id.
    fn settle_duplicate(&mut self, now: Timestamp, peer: &Peer, peer_id: PeerId) -> Result<(), Violation> {
        let other = self.peers.values().find(|other| other.peer_id == Some(peer_id));
        let Some(other) = other.map(|other| (other.stream, other.called)) else { return Ok(()) };
        let keeps_called = peer_id > self.identity.peer_id;
        if other.1 == peer.called || peer.called != keeps_called {
            return Err(Violation::Duplicate);
        }
        if let Some(other) = self.peers.remove(&other.0) {
            self.part(now, other, super::Gone::Violated(Violation::Duplicate));
        }
        Ok(())
    }

    fn say_pieces(&self, peer: &mut Peer) {
        let fast = peer.fast && self.config.profile.have_all;
        let have = self.picker.done();
        peer.say(&match (have, fast) {
            (0, true) => Message::HaveNone,
            (_, true) if self.is_complete() => Message::HaveAll,
            (0, false) if !peer.fast => return,
            _ => Message::Bitfield(self.picker.bitfield().into()),
        });
    }

    /// The dictionary of BEP 10, its keys in order.
    fn extended_handshake(&self, peer: &Peer) -> Vec<u8> {
        let profile = &self.config.profile;
        let mut extensions: Vec<_> = profile.extensions.iter().collect();
        extensions.sort();
        let mut out = b"d1:md".to_vec();
        for (name, id) in extensions {
            // BEP 27: a private torrent's peers are not passed on.
            if name == "ut_pex" && self.torrent.private {
                continue;
            }
            bencode::put_string(&mut out, name.as_bytes());
            bencode::put_integer(&mut out, (*id).into());
        }
        out.push(b'e');
        let number = |out: &mut Vec<u8>, key: &[u8], number: i64| {
            bencode::put_string(out, key);
            bencode::put_integer(out, number);
        };
        if profile.says_metadata_size {
            let size = self.torrent.info_bytes().len();
            number(&mut out, b"metadata_size", i64::try_from(size).unwrap_or(i64::MAX));
        }
        if profile.says_port && self.config.port != 0 && !peer.called {
            number(&mut out, b"p", self.config.port.into());
        }
        number(&mut out, b"reqq", profile.reqq.into());
        if self.is_complete() {
            number(&mut out, b"upload_only", 1);
        }
        if !profile.client.is_empty() {
            bencode::put_string(&mut out, b"v");
            bencode::put_string(&mut out, profile.client.as_bytes());
        }
        if profile.says_your_ip {
            bencode::put_string(&mut out, b"yourip");
            match peer.address.ip() {
                IpAddr::V4(ip) => bencode::put_string(&mut out, &ip.octets()),
                IpAddr::V6(ip) => bencode::put_string(&mut out, &ip.octets()),
            }
        }
        out.push(b'e');
        out
    }
}
