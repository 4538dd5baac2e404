//! The end that is called: it answers with its public key, finds the torrent by its hash, and selects a method.

use super::agreement::{Agreement, IncomingCipher, MseError, Pushed};
use super::key_exchange::KeyExchange;
use super::negotiation::decipher_terms;
use super::padding::PaddingEnd;
use super::{Cipher, End, HASH_LENGTH, KEY_LENGTH, MAX_PADDING, Methods, MseDraw, MseKey, Progress, Terms};
use crate::InfoHash;

/// What the responder takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MseAcceptance {
    /// The torrents that it serves, each a possible SKEY.
    pub info_hashes: Vec<InfoHash>,
    /// The methods that it takes, best first.
    pub methods: Vec<Methods>,
    /// The most bytes of padding after its public key, of 512.
    pub max_padding: u16,
}

/// A negotiation, by the end that is called.
#[derive(Debug)]
pub struct Responder {
    accepts: MseAcceptance,
    /// PadD.
    padding: Vec<u8>,
    state: ResponderState,
    /// What the other end sent and is not used yet, enciphered as it came.
    received: Vec<u8>,
}

#[derive(Debug)]
enum ResponderState {
    PublicKey {
        exchange: KeyExchange,
        padding: Vec<u8>,
    },
    /// The initiator's padding goes on until the hash of the secret.
    SecretHash {
        padding: PaddingEnd<HASH_LENGTH>,
        keys: Vec<MseKey>,
    },
    /// The hash that names the torrent.
    TorrentHash(Vec<MseKey>),
    /// The initiator's terms, so far in clear.
    Offer {
        info_hash: InfoHash,
        clear: Vec<u8>,
        ciphers: Box<[Cipher; 2]>,
    },
    Over,
}

impl Responder {
    /// Begins a negotiation. No power is computed before the other end's public key is whole.
    pub fn new(accepts: MseAcceptance, draw: &mut MseDraw) -> Self {
        let exchange = KeyExchange::new(draw.array());
        let padding = draw.padding(usize::from(accepts.max_padding).min(MAX_PADDING));
        let state = ResponderState::PublicKey { exchange, padding };
        Self { accepts, padding: draw.terms_padding(), state, received: Vec::new() }
    }

    /// Takes the next bytes of the other end, in any cut.
    ///
    /// # Errors
    /// Where these bytes do not negotiate, are for a torrent that is not served, or offer no method that is taken. The
    /// negotiation is over then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Pushed, MseError> {
        self.received.extend_from_slice(bytes);
        let mut pushed = Pushed::default();
        while self.step(&mut pushed)? {}
        Ok(pushed)
    }

    /// Goes on by one state; whether that was possible.
    fn step(&mut self, pushed: &mut Pushed) -> Result<bool, MseError> {
        match std::mem::replace(&mut self.state, ResponderState::Over) {
            ResponderState::PublicKey { exchange, padding } => {
                self.take_public_key(exchange, padding, pushed)
            }
            ResponderState::SecretHash { padding, keys } => self.find_secret_hash(padding, keys),
            ResponderState::TorrentHash(keys) => self.take_torrent_hash(keys),
            ResponderState::Offer { info_hash, clear, ciphers } => {
                self.take_offer(info_hash, clear, ciphers, pushed)
            }
            ResponderState::Over if pushed.agreed.is_some() => Ok(false),
            ResponderState::Over => Err(MseError::OVER),
        }
    }

    fn take_public_key(
        &mut self,
        exchange: KeyExchange,
        padding: Vec<u8>,
        pushed: &mut Pushed,
    ) -> Result<bool, MseError> {
        let Some((public_key, rest)) = self.received.split_first_chunk::<KEY_LENGTH>() else {
            self.state = ResponderState::PublicKey { exchange, padding };
            return Ok(false);
        };
        let secret = exchange.secret(public_key).ok_or(MseError::PUBLIC_KEY)?;
        self.received = rest.to_vec();
        pushed.send.extend_from_slice(&exchange.public_key());
        pushed.send.extend(padding);
        let served = self.accepts.info_hashes.iter();
        let keys: Vec<_> = served.map(|&info_hash| MseKey { info_hash, secret }).collect();
        pushed.keys.extend(keys.iter().cloned());
        // The hash is that of the secret alone: each key has it.
        let padding = PaddingEnd::new(keys.first().ok_or(NOT_SERVED)?.secret_hash());
        self.state = ResponderState::SecretHash { padding, keys };
        Ok(true)
    }

    fn find_secret_hash(
        &mut self,
        mut padding: PaddingEnd<HASH_LENGTH>,
        keys: Vec<MseKey>,
    ) -> Result<bool, MseError> {
        let found =
            padding.find(&self.received, "the hash of the secret after at most 512 bytes of padding")?;
        let Some(at) = found else {
            self.state = ResponderState::SecretHash { padding, keys };
            return Ok(false);
        };
        self.received.drain(..at + HASH_LENGTH);
        self.state = ResponderState::TorrentHash(keys);
        Ok(true)
    }

    fn take_torrent_hash(&mut self, keys: Vec<MseKey>) -> Result<bool, MseError> {
        let Some((hash, rest)) = self.received.split_first_chunk::<HASH_LENGTH>() else {
            self.state = ResponderState::TorrentHash(keys);
            return Ok(false);
        };
        let key = keys.iter().find(|key| key.torrent_hash() == *hash).ok_or(NOT_SERVED)?;
        self.received = rest.to_vec();
        self.state = ResponderState::Offer {
            info_hash: key.info_hash,
            clear: Vec::new(),
            ciphers: Box::new([key.cipher(End::Responder), key.cipher(End::Initiator)]),
        };
        Ok(true)
    }

    fn take_offer(
        &mut self,
        info_hash: InfoHash,
        mut clear: Vec<u8>,
        mut ciphers: Box<[Cipher; 2]>,
        pushed: &mut Pushed,
    ) -> Result<bool, MseError> {
        let progress = decipher_terms(End::Initiator, &mut clear, &mut self.received, &mut ciphers[1])?;
        let Progress::Whole(Terms { methods: offered, ahead, .. }) = progress else {
            self.state = ResponderState::Offer { info_hash, clear, ciphers };
            return Ok(false);
        };
        let method = self.accepts.methods.iter().copied().find(|method| offered.has(method.0));
        let method = method.ok_or(MseError::new("an offer of a method that is taken here"))?;
        let [mut ours, theirs] = *ciphers;
        let mut selection = Terms::encode(End::Responder, method, &self.padding, 0)
            .expect("what is drawn is not too much padding");
        ours.apply(&mut selection);
        pushed.send.extend(selection);
        let mut theirs = IncomingCipher::new(theirs, method, usize::from(ahead));
        let mut payload = std::mem::take(&mut self.received);
        theirs.apply(&mut payload);
        pushed.agreed = Some(Agreement {
            info_hash,
            method,
            ours: method.has(Methods::RC4).then_some(ours),
            theirs,
            payload,
        });
        Ok(false)
    }
}

const NOT_SERVED: MseError = MseError::new("the hash of a torrent that is served here");
