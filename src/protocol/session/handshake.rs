//! The first messages of a connection, both ways: handshake, pieces, extended handshake.

use std::net::IpAddr;

use crate::bencode::{self, DictionaryWriter};
use crate::wire::{Handshake, Message};
use crate::{InfoHash, Timestamp, compact};

use super::core::Core;
use super::metadata::MetadataFetch;
use super::peer::{Peer, Phase};
use super::profile::{ExtendedEntry, FirstMessage, Interest, WithoutPieces};
use super::{DisconnectReason, Event, Output, Session, SessionStreamId, Transport, Violation};

impl Session {
    /// Takes a peer's handshake, and sends what follows it.
    pub(super) fn on_handshake(
        &mut self,
        now: Timestamp,
        stream: SessionStreamId,
        handshake: &Handshake,
    ) -> Result<(), Violation> {
        let is_v2 = self.core.torrent.is_v2(handshake.info_hash);
        let is_unproven = is_v2.is_none() && self.may_be_of_v2(stream);
        if is_v2.is_none() && !is_unproven {
            return Err(Violation::WrongInfoHash(handshake.info_hash));
        }
        // Where connections have no ids of their own, all have that of the session.
        let has_ids = self.core.config.profile.peer_id.fresh;
        let is_ours = |other: &Peer| {
            other.stream != stream && other.own_id == handshake.peer_id && other.phase != Phase::Connecting
        };
        if handshake.peer_id == self.core.identity.peer_id || (has_ids && self.peers.iter().any(is_ours)) {
            return Err(Violation::SelfConnection);
        }
        let duplicate = self.peers.with_id(handshake.peer_id, stream);
        let duplicate = duplicate.map(FirstConnection::of);
        let Some(peer) = self.peers.get_mut(stream) else { return Ok(()) };
        peer.observe_handshake(now, handshake);
        if peer.incoming {
            self.core.choose_id(peer);
        }
        self.peers.note_id(stream, handshake.peer_id);
        let Some(peer) = self.peers.get_mut(stream) else { return Ok(()) };
        if let Some(first) = duplicate {
            if first.stays(peer, handshake.peer_id > peer.own_id) {
                return Err(Violation::Duplicate);
            }
            self.disconnect(now, first.stream, DisconnectReason::Violated(Violation::Duplicate));
        }
        if let Some(peer) = self.peers.get_mut(stream) {
            peer.is_v2 = is_v2.unwrap_or(true);
            peer.is_unproven = is_unproven;
            if peer.incoming {
                let upgrades = self.core.config.profile.upgrades && handshake.offers_v2();
                let answer = self.core.torrent.answer_to(handshake.info_hash, upgrades);
                peer.is_v2 |= answer != handshake.info_hash;
                self.core.send_handshake(peer, answer);
                if peer.over_utp {
                    // Transmission 3.00 does not look at what follows a handshake in its packet before more comes (LIVE.md 4.2).
                    self.core.flush(now, peer);
                    self.core.outputs.push_back(Output::Pause(stream));
                }
            }
            self.core.open(now, peer, handshake);
        }
        Ok(())
    }

    /// Whether a peer that answers by a hash which is not known may mean the torrent's of version 2: the link has the SHA-1 alone.
    /// libtorrent answers so where it remembers of an address that it took version 2, whatever is offered now. The metadata will tell.
    fn may_be_of_v2(&mut self, stream: SessionStreamId) -> bool {
        let upgrades = self.core.config.profile.upgrades;
        let is_dialled = self.peers.get(stream).is_some_and(|peer| !peer.incoming);
        let fetch = self.core.torrent.awaits_v2().filter(|_| upgrades && is_dialled);
        fetch.map(MetadataFetch::note_unproven).is_some()
    }
}

/// A connection to a peer with the peer id of a connection that opens now.
struct FirstConnection {
    stream: SessionStreamId,
    host: IpAddr,
    incoming: bool,
    has_exchanged: bool,
}

impl FirstConnection {
    fn of(peer: &Peer) -> Self {
        Self {
            stream: peer.stream,
            host: peer.address.ip().to_canonical(),
            incoming: peer.incoming,
            has_exchanged: peer.has_exchanged(),
        }
    }

    /// Whether this connection is the one to keep. Where each side opened one, both must keep the same: that of the side with
    /// the greater peer id, which is the incoming one where `keeps_incoming` says so. As anybody can send the peer id of
    /// another peer, a caller at another host never takes the place of a peer that was dialled, and nobody takes the place of
    /// a connection over which blocks went.
    fn stays(&self, second: &Peer, keeps_incoming: bool) -> bool {
        if self.incoming == second.incoming || self.has_exchanged {
            return true;
        }
        if self.host != second.address.ip().to_canonical() {
            return second.incoming;
        }
        second.incoming != keeps_incoming
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

    /// With what peers are called.
    pub(super) fn called_by(&self) -> InfoHash {
        let [_, v2] = self.torrent.hashes();
        v2.filter(|_| self.config.profile.calls_by_v2).unwrap_or(self.torrent.info_hash())
    }

    pub(super) fn send_handshake(&self, peer: &mut Peer, info_hash: InfoHash) {
        let mut reserved = self.config.profile.reserved;
        if self.speaks_dht() {
            reserved[7] |= OFFERS_DHT;
        }
        if self.config.profile.upgrades && self.torrent.is_hybrid() {
            reserved[7] |= OFFERS_V2;
        }
        let handshake = Handshake { reserved, info_hash, peer_id: peer.own_id };
        peer.send_handshake(self.now, &handshake);
    }

    /// Sends what follows the handshakes.
    fn open(&mut self, now: Timestamp, peer: &mut Peer, handshake: &Handshake) {
        peer.begin(now);
        self.changes_of_peers += 1;
        self.note_exchanged(peer);
        if let Some(way) = peer.dialled {
            self.swarm.note_way(peer.address, way);
            self.swarm.note_opened();
        }
        self.outputs.push_back(Output::Event(Event::Connected {
            stream: peer.stream,
            peer: peer.address,
            peer_id: handshake.peer_id,
            encryption: peer.encryption.method(),
            transport: Transport::Tcp,
        }));
        for &message in &self.config.profile.first_messages {
            match message {
                FirstMessage::Extended if peer.is_extended() => {
                    let payload = self.extended_handshake(now, peer).into();
                    peer.send(now, &Message::Extended { id: 0, payload });
                }
                FirstMessage::Extended => {}
                FirstMessage::Pieces => self.send_pieces(peer),
                FirstMessage::AllowedFast(count) => self.allow_set(peer, count),
            }
        }
        if let Some(port) = self.config.dht_port
            && self.speaks_dht()
            && handshake.offers_dht()
        {
            peer.send(now, &Message::Port(port));
        }
        if self.config.profile.interest == Interest::AtOnce && !self.has_all_wanted() {
            peer.send(now, &Message::Interested);
        }
    }

    /// Whether peers are told of our node of the DHT: not those of a private torrent (BEP 27).
    fn speaks_dht(&self) -> bool {
        self.config.dht_port.is_some() && !self.torrent.is_private()
    }

    fn send_pieces(&self, peer: &mut Peer) {
        if self.torrent.is_wanted() {
            // A bitfield has as many bits as there are pieces, which is not known.
            if peer.is_fast() {
                peer.send(self.now, &Message::HaveNone);
            }
            return;
        }
        peer.known_pending_haves = self.have_schedule.pending();
        let profile = &self.config.profile;
        let bitfield = || Message::Bitfield(self.bitfield().into());
        peer.send(
            self.now,
            &match (self.picker.done(), profile.without_pieces) {
                (0, WithoutPieces::HaveNone) if peer.is_fast() => Message::HaveNone,
                (0, WithoutPieces::KeepAlive) if !peer.is_fast() => Message::KeepAlive,
                (0, WithoutPieces::HaveNone | WithoutPieces::Nothing) if !peer.is_fast() => return,
                (0, _) => bitfield(),
                _ if self.says_have_all(peer) => Message::HaveAll,
                _ => bitfield(),
            },
        );
    }

    /// Tells a peer that nothing more is wanted, though pieces are missing (BEP 21): what we have does not say that. The handshake
    /// may come again (BEP 10).
    pub(super) fn tell_upload_only(&self, now: Timestamp, peer: &mut Peer) {
        let is_said = |(_, entry): &(_, ExtendedEntry)| {
            matches!(entry, ExtendedEntry::UploadOnly | ExtendedEntry::UploadOnlyOnceComplete)
        };
        if peer.phase == Phase::Open && peer.is_extended() && self.config.profile.extended.iter().any(is_said)
        {
            let payload = self.extended_handshake(now, peer).into();
            peer.send(now, &Message::Extended { id: 0, payload });
        }
    }

    /// The dictionary of BEP 10: the entries of the profile, in its order.
    pub(super) fn extended_handshake(&self, now: Timestamp, peer: &Peer) -> Vec<u8> {
        bencode::dictionary(|out| {
            for (key, entry) in &self.config.profile.extended {
                self.write_extended(now, peer, key, entry, out);
            }
        })
    }

    /// Writes an entry of the extended handshake, or nothing where the entry is to be left out.
    fn write_extended(
        &self,
        now: Timestamp,
        peer: &Peer,
        key: &[u8],
        entry: &ExtendedEntry,
        out: &mut DictionaryWriter<'_>,
    ) {
        let profile = &self.config.profile;
        let port = self.config.port;
        match entry {
            ExtendedEntry::Extensions => out.dictionary(key, |out| self.write_extensions(out)),
            ExtendedEntry::MetadataSize => {
                if let Some(info) = self.torrent.info() {
                    out.integer(key, info.len() as u64);
                }
            }
            ExtendedEntry::Port | ExtendedEntry::PortWhenDialling if port == 0 => {}
            ExtendedEntry::PortWhenDialling if peer.incoming => {}
            ExtendedEntry::Port | ExtendedEntry::PortWhenDialling => out.integer(key, port),
            ExtendedEntry::Reqq => out.integer(key, profile.reqq),
            ExtendedEntry::Client if profile.client.is_empty() => {}
            ExtendedEntry::Client => out.bytes(key, &profile.client),
            ExtendedEntry::YourAddress => out.bytes(key, compact::address_bytes(peer.address.ip())),
            ExtendedEntry::UploadOnlyOnceComplete if !self.has_all_wanted() => {}
            ExtendedEntry::UploadOnly | ExtendedEntry::UploadOnlyOnceComplete => {
                out.integer(key, u8::from(self.has_all_wanted()));
            }
            ExtendedEntry::CompleteAgo => match self.completed_at.filter(|_| self.is_complete()) {
                Some(since) => out.integer(key, (now - since).as_secs()),
                None => out.integer(key, -1),
            },
            ExtendedEntry::Number(constant) => out.integer(key, *constant),
            ExtendedEntry::Text(constant) => out.bytes(key, constant),
        }
    }

    fn write_extensions(&self, out: &mut DictionaryWriter<'_>) {
        for (name, id) in &self.config.profile.extensions {
            // BEP 27: a private torrent's peers are not passed on, nor brought together.
            let passes_on = matches!(name.as_str(), "ut_pex" | "ut_holepunch");
            if passes_on && *id != 0 && self.torrent.is_private() {
                continue;
            }
            out.integer(name, *id);
        }
    }
}

/// The last bit of the last reserved byte (BEP 5, "BitTorrent protocol extension").
const OFFERS_DHT: u8 = 0x01;

/// The fourth bit of the last reserved byte (BEP 52, "Upgrade Path").
const OFFERS_V2: u8 = 0x10;
