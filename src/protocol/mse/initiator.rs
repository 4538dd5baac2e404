//! The end that calls: it sends its public key, finds where the other end's padding ends, and offers methods.

use super::agreement::{Agreement, IncomingCipher, MseError, Pushed};
use super::key_exchange::KeyExchange;
use super::negotiation::decipher_terms;
use super::padding::PaddingEnd;
use super::{Cipher, End, KEY_LENGTH, MAX_PADDING, Methods, MseDraw, MseKey, Progress, Terms, VERIFICATION};
use crate::InfoHash;
use crate::wire::{Prefix, handshake_prefix};

/// What the initiator offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MseOffer {
    /// The torrent it is about: SKEY.
    pub info_hash: InfoHash,
    /// The methods that it takes: crypto_provide.
    pub methods: Methods,
    /// The most bytes of padding after its public key, of 512.
    pub max_padding: u16,
    /// The payload that it sends ahead, before the other end has selected a method: IA, at most 65,535 bytes. More is an
    /// error of the caller, and cut.
    pub ahead: Vec<u8>,
}

/// A negotiation, by the end that calls.
#[derive(Debug)]
pub struct Initiator {
    offer: MseOffer,
    /// PadC.
    padding: Vec<u8>,
    state: InitiatorState,
    /// What the other end sent and is not used yet, enciphered as it came.
    received: Vec<u8>,
}

#[derive(Debug)]
enum InitiatorState {
    PublicKey(KeyExchange),
    /// The responder's padding goes on until the verification constant.
    Verification {
        padding: PaddingEnd<VERIFICATION>,
        ciphers: Box<[Cipher; 2]>,
    },
    /// The responder's terms, so far in clear.
    Selection {
        clear: Vec<u8>,
        ciphers: Box<[Cipher; 2]>,
    },
    Over,
}

impl Initiator {
    /// Begins a negotiation: with it come the first bytes to send.
    pub fn new(mut offer: MseOffer, draw: &mut MseDraw) -> (Self, Vec<u8>) {
        offer.ahead.truncate(usize::from(u16::MAX));
        let exchange = KeyExchange::new(draw.array());
        let mut hello = exchange.public_key().to_vec();
        hello.extend(draw.padding(usize::from(offer.max_padding).min(MAX_PADDING)));
        let padding = draw.terms_padding();
        let state = InitiatorState::PublicKey(exchange);
        (Self { offer, padding, state, received: Vec::new() }, hello)
    }

    /// Takes the next bytes of the other end, in any cut.
    ///
    /// # Errors
    /// Where these bytes are no answer to what was sent. The negotiation is over then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Pushed, MseError> {
        self.received.extend_from_slice(bytes);
        let mut pushed = Pushed::default();
        while self.step(&mut pushed)? {}
        Ok(pushed)
    }

    /// Goes on by one state; whether that was possible.
    fn step(&mut self, pushed: &mut Pushed) -> Result<bool, MseError> {
        match std::mem::replace(&mut self.state, InitiatorState::Over) {
            InitiatorState::PublicKey(exchange) => self.take_public_key(exchange, pushed),
            InitiatorState::Verification { padding, ciphers } => self.find_verification(padding, ciphers),
            InitiatorState::Selection { clear, ciphers } => self.take_selection(clear, ciphers, pushed),
            InitiatorState::Over if pushed.agreed.is_some() => Ok(false),
            InitiatorState::Over => Err(MseError::OVER),
        }
    }

    fn take_public_key(&mut self, exchange: KeyExchange, pushed: &mut Pushed) -> Result<bool, MseError> {
        if handshake_prefix(&self.received) == Prefix::Yes {
            return Err(MseError::new("a public key, not a handshake in clear"));
        }
        let Some((public_key, rest)) = self.received.split_first_chunk::<KEY_LENGTH>() else {
            self.state = InitiatorState::PublicKey(exchange);
            return Ok(false);
        };
        let secret = exchange.secret(public_key).ok_or(MseError::PUBLIC_KEY)?;
        self.received = rest.to_vec();
        let key = MseKey { info_hash: self.offer.info_hash, secret };
        let mut ciphers = Box::new([key.cipher(End::Initiator), key.cipher(End::Responder)]);
        let ahead = self.offer.ahead.len() as u16;
        let mut enciphered = Terms::encode(End::Initiator, self.offer.methods, &self.padding, ahead)
            .expect("what is drawn is not too much padding");
        enciphered.extend_from_slice(&self.offer.ahead);
        ciphers[0].apply(&mut enciphered);
        pushed.send.extend_from_slice(&key.torrent_part());
        pushed.send.extend(enciphered);
        let padding = PaddingEnd::new(key.verification(End::Responder));
        self.state = InitiatorState::Verification { padding, ciphers };
        pushed.keys.push(key);
        Ok(true)
    }

    fn find_verification(
        &mut self,
        mut padding: PaddingEnd<VERIFICATION>,
        ciphers: Box<[Cipher; 2]>,
    ) -> Result<bool, MseError> {
        let found =
            padding.find(&self.received, "a verification constant after at most 512 bytes of padding")?;
        let Some(at) = found else {
            self.state = InitiatorState::Verification { padding, ciphers };
            return Ok(false);
        };
        self.received.drain(..at);
        self.state = InitiatorState::Selection { clear: Vec::new(), ciphers };
        Ok(true)
    }

    fn take_selection(
        &mut self,
        mut clear: Vec<u8>,
        mut ciphers: Box<[Cipher; 2]>,
        pushed: &mut Pushed,
    ) -> Result<bool, MseError> {
        let progress = decipher_terms(End::Responder, &mut clear, &mut self.received, &mut ciphers[1])?;
        let Progress::Whole(Terms { methods, .. }) = progress else {
            self.state = InitiatorState::Selection { clear, ciphers };
            return Ok(false);
        };
        if methods.0.count_ones() != 1 || !self.offer.methods.has(methods.0) {
            return Err(MseError::new("one of the methods that were offered"));
        }
        let [ours, theirs] = *ciphers;
        let mut theirs = IncomingCipher::new(theirs, methods, 0);
        let mut payload = std::mem::take(&mut self.received);
        theirs.apply(&mut payload);
        pushed.agreed = Some(Agreement {
            info_hash: self.offer.info_hash,
            method: methods,
            ours: methods.has(Methods::RC4).then_some(ours),
            theirs,
            payload,
        });
        Ok(false)
    }
}
