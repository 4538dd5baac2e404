//! Between the bytes on the wire and those of the peer protocol: whether a connection is encrypted, its negotiation, and
//! its ciphers after that.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;

use crate::Timestamp;
use crate::mse::{
    Agreement, Cipher, IncomingCipher, Initiator, Methods, MseAcceptance, MseDraw, MseError, MseOffer,
    Pushed, Responder,
};
use crate::wire::{Prefix, handshake_prefix};

use super::core::Core;
use super::peer::Peer;
use super::{DisconnectReason, EncryptionPolicy, Output, Session, SessionStreamId, Violation};

/// The encryption of a connection to a peer.
#[derive(Debug)]
pub(super) enum PeerEncryption {
    /// The peer called, and its first bytes do not tell yet.
    Undecided(Vec<u8>),
    /// There is none, and there was no negotiation.
    Clear,
    /// We called, and negotiate.
    Initiating(Box<Initiator>),
    /// The peer called, and negotiates.
    Responding(Box<Responder>),
    /// Both ends agree.
    Agreed(Box<Agreed>),
}

/// What both ends agree on.
#[derive(Debug)]
pub(super) struct Agreed {
    method: Methods,
    ours: Option<Cipher>,
    theirs: IncomingCipher,
}

impl PeerEncryption {
    /// The encryption of a connection that the peer opened, before its first byte.
    pub(super) const fn of_caller(policy: EncryptionPolicy) -> Self {
        match policy {
            EncryptionPolicy::Off => Self::Clear,
            _ => Self::Undecided(Vec::new()),
        }
    }

    /// The method that both ends agree on; `None` where nothing was negotiated.
    pub(super) fn method(&self) -> Option<Methods> {
        match self {
            Self::Agreed(agreed) => Some(agreed.method),
            _ => None,
        }
    }

    /// Whether messages have to wait for the end of a negotiation.
    pub(super) const fn holds_back(&self) -> bool {
        matches!(self, Self::Initiating(_) | Self::Responding(_))
    }

    /// Bytes of the peer protocol, as they go on the wire.
    pub(super) fn encipher(&mut self, bytes: Bytes) -> Bytes {
        let Self::Agreed(agreed) = self else { return bytes };
        let Some(cipher) = &mut agreed.ours else { return bytes };
        let mut enciphered = Vec::from(bytes);
        cipher.apply(&mut enciphered);
        enciphered.into()
    }
}

impl Agreed {
    fn decipher(&mut self, bytes: Bytes) -> Bytes {
        if self.theirs.is_over() {
            return bytes;
        }
        let mut clear = Vec::from(bytes);
        self.theirs.apply(&mut clear);
        clear.into()
    }
}

impl Session {
    /// Takes bytes of the wire; those of the peer protocol among them, in clear.
    pub(super) fn uncover(
        &mut self,
        now: Timestamp,
        stream: SessionStreamId,
        bytes: Bytes,
    ) -> Result<Bytes, Violation> {
        let Some(peer) = self.peers.get_mut(stream) else { return Ok(Bytes::new()) };
        match &mut peer.encryption {
            PeerEncryption::Clear => Ok(bytes),
            PeerEncryption::Agreed(agreed) => Ok(agreed.decipher(bytes)),
            PeerEncryption::Initiating(initiator) => {
                let pushed = initiator.push(&bytes);
                self.core.negotiated(now, peer, pushed)
            }
            PeerEncryption::Responding(responder) => {
                let pushed = responder.push(&bytes);
                self.core.negotiated(now, peer, pushed)
            }
            PeerEncryption::Undecided(begun) => {
                begun.extend_from_slice(&bytes);
                match handshake_prefix(begun) {
                    Prefix::SoFar => Ok(Bytes::new()),
                    Prefix::Yes
                        if self.core.config.profile.encryption.policy == EncryptionPolicy::Require =>
                    {
                        Err(Violation::Unencrypted)
                    }
                    Prefix::Yes => {
                        let begun = std::mem::take(begun);
                        peer.encryption = PeerEncryption::Clear;
                        Ok(begun.into())
                    }
                    Prefix::No => {
                        let begun = std::mem::take(begun);
                        self.respond(now, stream, &begun)
                    }
                }
            }
        }
    }

    /// Begins to negotiate with a peer that called.
    fn respond(&mut self, now: Timestamp, stream: SessionStreamId, begun: &[u8]) -> Result<Bytes, Violation> {
        if let Some(leaving) = self.crowded_negotiation() {
            self.disconnect(now, leaving, DisconnectReason::Violated(Violation::TooManyConnections));
        }
        let core = &mut self.core;
        let Some(peer) = self.peers.get_mut(stream) else { return Ok(Bytes::new()) };
        let terms = core.config.profile.encryption;
        let acceptance = MseAcceptance {
            info_hashes: core.torrent.info_hashes(),
            methods: terms.accepts().to_vec(),
            max_padding: terms.max_padding,
        };
        let mut responder = Responder::new(acceptance, &mut core.mse_draw(stream));
        let pushed = responder.push(begun);
        peer.encryption = PeerEncryption::Responding(Box::new(responder));
        core.negotiated(now, peer, pushed)
    }

    /// The negotiation that ends where one more would be too many: the oldest of the host that has the most, so that a host
    /// that begins many takes no place from others.
    fn crowded_negotiation(&self) -> Option<SessionStreamId> {
        let responding =
            || self.peers.iter().filter(|peer| matches!(peer.encryption, PeerEncryption::Responding(_)));
        if responding().count() < MAX_NEGOTIATIONS {
            return None;
        }
        let mut hosts = BTreeMap::<IpAddr, usize>::new();
        responding().for_each(|peer| *hosts.entry(peer.host()).or_default() += 1);
        let (host, _) = hosts.into_iter().max_by_key(|(_, count)| *count)?;
        let oldest = responding().filter(|peer| peer.host() == host).min_by_key(|peer| peer.phase_since);
        oldest.map(|peer| peer.stream)
    }
}

impl Core {
    /// Begins to negotiate with a peer that we dialled, whose handshake waits to be sent.
    pub(super) fn initiate(&mut self, now: Timestamp, peer: &mut Peer) {
        let terms = self.config.profile.encryption;
        let ahead = if terms.sends_ahead { std::mem::take(&mut peer.send_buffer) } else { Vec::new() };
        self.tell_said(peer.stream, || Bytes::copy_from_slice(&ahead));
        let offer = MseOffer {
            info_hash: self.called_by(),
            methods: terms.offers,
            max_padding: terms.max_padding,
            ahead,
        };
        let (initiator, hello) = Initiator::new(offer, &mut self.mse_draw(peer.stream));
        peer.encryption = PeerEncryption::Initiating(Box::new(initiator));
        self.send_on_wire(now, peer, hello.into());
    }

    /// Does what a negotiation wants; the bytes of the peer protocol that came with its end.
    fn negotiated(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        pushed: Result<Pushed, MseError>,
    ) -> Result<Bytes, Violation> {
        let Pushed { keys, send, agreed } = pushed.map_err(|error| Violation::Malformed(error.wanted))?;
        // The key is told before the bytes that need it, so that a recording has it first.
        for key in keys {
            self.outputs.push_back(Output::Secret(peer.stream, Box::new(key)));
        }
        if !send.is_empty() {
            self.send_on_wire(now, peer, send.into());
        }
        let Some(Agreement { method, ours, theirs, payload, .. }) = agreed else { return Ok(Bytes::new()) };
        peer.encryption = PeerEncryption::Agreed(Box::new(Agreed { method, ours, theirs }));
        Ok(payload.into())
    }

    /// Hands bytes to the driver as they are.
    fn send_on_wire(&mut self, now: Timestamp, peer: &mut Peer, bytes: Bytes) {
        peer.last_sent = now;
        peer.note_unsent(now, bytes.len());
        self.outputs.push_back(Output::Send(peer.stream, bytes));
    }

    fn mse_draw(&mut self, stream: SessionStreamId) -> MseDraw {
        MseDraw::new(self.identity.secret, stream.0).with_lengths(self.paddings.pop_front())
    }
}

/// How many negotiations that peers began go on at once: each costs two powers of 768 bits, 0.2 ms, and a cipher.
const MAX_NEGOTIATIONS: usize = 32;
