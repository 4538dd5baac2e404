//! What the two ends agree on after their public keys, once it can be read.

use super::agreement::MseError;
use super::{Cipher, End, HASH_LENGTH, MAX_PADDING, VERIFICATION};
use crate::field::{Field, Value};
use crate::{DecodeError, Reader};

/// The parts of a negotiation that can be told apart only with the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Random bytes after a public key: PadA, PadB.
    Padding,
    /// By what the responder finds the key and the torrent: the two hashes that begin message 3.
    TorrentHash,
    /// What the initiator offers: the rest of message 3, without what it sends ahead.
    CryptoProvide,
    /// What the responder takes: the beginning of message 4.
    CryptoSelect,
}

impl Part {
    /// Its name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Padding => "padding",
            Self::TorrentHash => "torrent-hash",
            Self::CryptoProvide => "crypto-provide",
            Self::CryptoSelect => "crypto-select",
        }
    }

    /// The fields that tile `bytes`, which are this part.
    pub fn fields(self, bytes: &[u8]) -> Vec<Field> {
        match self {
            Self::TorrentHash if bytes.len() == 2 * HASH_LENGTH => {
                let hash = |name, span: std::ops::Range<usize>| {
                    Field::content(name, span.clone(), Value::Bytes(bytes[span].to_vec()))
                };
                vec![hash("req1", 0..HASH_LENGTH), hash("req2_xor_req3", HASH_LENGTH..2 * HASH_LENGTH)]
            }
            Self::CryptoProvide => negotiation(End::Initiator, "crypto_provide", bytes),
            Self::CryptoSelect => negotiation(End::Responder, "crypto_select", bytes),
            Self::Padding | Self::TorrentHash => vec![payload(bytes)],
        }
    }
}

/// How the payload may be sent: bits of crypto_provide and crypto_select.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Methods(pub u32);

impl Methods {
    /// In clear ("Declarations": crypto_provide).
    pub const PLAINTEXT: u32 = 0x01;
    /// Enciphered with RC4 (as above).
    pub const RC4: u32 = 0x02;

    /// Whether one of these bits is set.
    pub const fn has(self, method: u32) -> bool {
        self.0 & method != 0
    }

    /// The names of the bits that are set and have one.
    pub fn names(self) -> Vec<&'static str> {
        let named = [(Self::PLAINTEXT, "plaintext"), (Self::RC4, "rc4")];
        named.into_iter().filter(|(bit, _)| self.has(*bit)).map(|(_, name)| name).collect()
    }
}

/// What an end says in its negotiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What it offers, or takes.
    pub methods: Methods,
    /// How many bytes of padding it has.
    pub padding: usize,
    /// How many bytes of the payload follow at once, enciphered whatever is taken: len(IA). The responder sends none.
    pub ahead: u16,
    /// How many bytes all of it has.
    pub length: usize,
}

impl Terms {
    /// What `end` says in its negotiation, in clear: the verification constant, the methods, the padding with its length,
    /// and of the initiator how many bytes are sent ahead. What [`terms`] read of whole bytes is encoded to the same bytes,
    /// with their padding; [`length`](Self::length) follows from it. `None` where the padding has more than 512 bytes.
    pub fn encode(end: End, methods: Methods, padding: &[u8], ahead: u16) -> Option<Vec<u8>> {
        if padding.len() > MAX_PADDING {
            return None;
        }
        let mut bytes = vec![0; VERIFICATION];
        bytes.extend_from_slice(&methods.0.to_be_bytes());
        bytes.extend_from_slice(&(padding.len() as u16).to_be_bytes());
        bytes.extend_from_slice(padding);
        if end == End::Initiator {
            bytes.extend_from_slice(&ahead.to_be_bytes());
        }
        Some(bytes)
    }

    /// The padding in the `bytes` that the terms were read of.
    pub fn padding_of<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        bytes.get(HEAD..HEAD + self.padding).unwrap_or_default()
    }
}

/// How much of a negotiation is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Not all: it has at least so many bytes.
    Needs(usize),
    /// All.
    Whole(Terms),
}

/// Reads what `end` says in its negotiation off deciphered bytes that begin with the verification constant; what
/// stands after it does not matter.
///
/// # Errors
/// Where the constant is none, so the key is wrong, or the padding is too long.
pub fn terms(end: End, bytes: &[u8]) -> Result<Progress, DecodeError> {
    if bytes.len() < HEAD {
        return Ok(Progress::Needs(HEAD));
    }
    let mut reader = Reader::new(bytes);
    let wanted = "a verification constant of eight zeros";
    if reader.array(wanted)? != [0; VERIFICATION] {
        return Err(DecodeError::new(0, wanted));
    }
    let methods = Methods(reader.u32("crypto_provide or crypto_select")?);
    let padding = usize::from(reader.u16("the length of the padding")?);
    if padding > MAX_PADDING {
        return Err(DecodeError::new(HEAD - 2, "at most 512 bytes of padding"));
    }
    let length = match end {
        End::Initiator => HEAD + padding + 2,
        End::Responder => HEAD + padding,
    };
    if bytes.len() < length {
        return Ok(Progress::Needs(length));
    }
    reader.take(padding, "padding")?;
    let ahead = match end {
        End::Initiator => reader.u16("the length of what is sent ahead")?,
        End::Responder => 0,
    };
    Ok(Progress::Whole(Terms { methods, padding, ahead, length }))
}

/// Deciphers what `end` says in its negotiation, from the beginning of what was received and no further: what stands after
/// the terms may be in clear.
///
/// # Errors
/// As [`terms`] has it.
pub(super) fn decipher_terms(
    end: End,
    clear: &mut Vec<u8>,
    received: &mut Vec<u8>,
    cipher: &mut Cipher,
) -> Result<Progress, MseError> {
    loop {
        let progress = terms(end, clear).map_err(|error| MseError::new(error.wanted))?;
        let Progress::Needs(length) = progress else { return Ok(progress) };
        let lacking = length - clear.len();
        if received.is_empty() {
            return Ok(progress);
        }
        let from = clear.len();
        clear.extend(received.drain(..lacking.min(received.len())));
        cipher.apply(&mut clear[from..]);
    }
}

fn negotiation(end: End, name: &'static str, bytes: &[u8]) -> Vec<Field> {
    let Ok(Progress::Whole(Terms { methods, padding, ahead, length })) = terms(end, bytes) else {
        return vec![payload(bytes)];
    };
    if length != bytes.len() {
        return vec![payload(bytes)];
    }
    let padded = HEAD + padding;
    let mut fields = vec![
        Field::framing("verification", 0..VERIFICATION, Value::Bytes(bytes[..VERIFICATION].to_vec())),
        Field::content(name, VERIFICATION..HEAD - 2, Value::Flags(methods.0.into(), methods.names())),
        Field::framing("padding_length", HEAD - 2..HEAD, Value::Unsigned(padding as u64)),
    ];
    if padding > 0 {
        fields.push(Field::content("padding", HEAD..padded, Value::Payload(HEAD..padded)));
    }
    if end == End::Initiator {
        fields.push(Field::content("sent_ahead", padded..length, Value::Unsigned(ahead.into())));
    }
    fields
}

fn payload(bytes: &[u8]) -> Field {
    Field::content("payload", 0..bytes.len(), Value::Payload(0..bytes.len()))
}

/// VC, crypto_provide or crypto_select, and the length of the padding.
const HEAD: usize = VERIFICATION + 4 + 2;

/// The most bytes that an end says in its negotiation: an initiator's, with the length of what it sends ahead.
pub const MAX_TERMS: usize = HEAD + MAX_PADDING + 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::untiled;

    /// VC, RC4 or plaintext, 3 bytes of padding, 68 bytes sent ahead.
    const OFFER: &[u8] = b"\0\0\0\0\0\0\0\0\0\0\0\x03\0\x03pad\0\x44";

    #[test]
    fn an_offer_is_read_once_it_is_whole() {
        for end in 0..OFFER.len() {
            let needs = if end < 14 { 14 } else { 19 };
            assert_eq!(terms(End::Initiator, &OFFER[..end]), Ok(Progress::Needs(needs)), "{end}");
        }
        let whole = Terms { methods: Methods(3), padding: 3, ahead: 68, length: 19 };
        assert_eq!(terms(End::Initiator, OFFER), Ok(Progress::Whole(whole)));
        assert_eq!(terms(End::Initiator, &[OFFER, b"more"].concat()), Ok(Progress::Whole(whole)));
        let answer = Terms { ahead: 0, length: 17, ..whole };
        assert_eq!(terms(End::Responder, OFFER), Ok(Progress::Whole(answer)));
        assert_eq!(whole.methods.names(), ["plaintext", "rc4"]);
        assert!(Methods(0x10).names().is_empty());
    }

    #[test]
    fn terms_are_encoded_to_the_bytes_that_they_were_read_of() {
        for (end, bytes) in [(End::Initiator, OFFER), (End::Responder, &OFFER[..17])] {
            let Ok(Progress::Whole(read)) = terms(end, bytes) else { panic!("{end:?}: not whole") };
            let again = Terms::encode(end, read.methods, read.padding_of(bytes), read.ahead);
            assert_eq!(again.as_deref(), Some(bytes), "{end:?}");
        }
        assert_eq!(Terms::encode(End::Responder, Methods(2), &[0; 513], 0), None);
    }

    #[test]
    fn what_the_wrong_key_makes_is_no_negotiation() {
        let mut wrong = OFFER.to_vec();
        wrong[7] = 1;
        assert_eq!(terms(End::Initiator, &wrong).unwrap_err().offset, 0);
        let mut long = OFFER.to_vec();
        long[12] = 2;
        long[13] = 1;
        assert_eq!(terms(End::Initiator, &long).unwrap_err().offset, 12);
    }

    #[test]
    fn fields_tile_whatever_the_bytes_are() {
        for part in [Part::Padding, Part::TorrentHash, Part::CryptoProvide, Part::CryptoSelect] {
            for end in 0..OFFER.len() {
                assert_eq!(untiled(&part.fields(&OFFER[..end]), 0..end), None, "{part:?} of {end} bytes");
            }
        }
        let names: Vec<_> = Part::CryptoProvide.fields(OFFER).into_iter().map(|field| field.name).collect();
        assert_eq!(names, ["verification", "crypto_provide", "padding_length", "padding", "sent_ahead"]);
        assert_eq!(Part::CryptoSelect.fields(&OFFER[..17]).len(), 4);
        assert_eq!(Part::TorrentHash.fields(&[7; 40]).len(), 2);
    }
}
