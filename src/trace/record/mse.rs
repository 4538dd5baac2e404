//! Message stream encryption: names, fields, and a line for each part of an encrypted connection.

use bittrace_protocol::field::{Field, Value};
use bittrace_protocol::mse::{self, End, Part, Progress};
use bytes::Bytes;

use super::content::payload;
use super::units::{counted, size};

/// A part of an encrypted connection.
#[derive(Debug, Clone)]
pub enum MseBody {
    /// The public key that opens an encrypted connection.
    KeyExchange,
    /// A part of the negotiation of a connection whose key is known.
    Negotiation(mse::Part),
    /// Bytes whose key is unknown.
    Encrypted,
}

impl MseBody {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::KeyExchange => "key-exchange",
            Self::Negotiation(part) => part.name(),
            Self::Encrypted => "encrypted",
        }
    }

    pub(super) fn fields(&self, bytes: &Bytes) -> Vec<Field> {
        match self {
            Self::KeyExchange => {
                vec![Field::content("public_key", 0..bytes.len(), Value::Bytes(bytes.to_vec()))]
            }
            Self::Negotiation(part) => part.fields(bytes),
            Self::Encrypted => payload(bytes),
        }
    }

    pub(super) fn describe(&self, bytes: &[u8]) -> String {
        let length = bytes.len() as u64;
        match self {
            Self::KeyExchange => format!("key-exchange: a public key of {}", size(length)),
            Self::Negotiation(part) => describe_negotiation(*part, bytes),
            Self::Encrypted => format!("encrypted: {}, not readable", counted(length, "byte")),
        }
    }
}

fn describe_negotiation(part: Part, bytes: &[u8]) -> String {
    let end = match part {
        Part::Padding => return format!("padding: {}", counted(bytes.len() as u64, "byte")),
        Part::TorrentHash => return "torrent-hash: hashes of the secret and the info hash".to_owned(),
        Part::CryptoProvide => End::Initiator,
        Part::CryptoSelect => End::Responder,
    };
    let Ok(Progress::Whole(terms)) = mse::terms(end, bytes) else { return part.name().to_owned() };
    let mut names = terms.methods.names().join(", ");
    if names.is_empty() {
        names = format!("{:#x}", terms.methods.0);
    }
    let mut text = format!("{} {names}", part.name());
    if terms.padding > 0 {
        text.push_str(&format!(", {} of padding", counted(terms.padding as u64, "byte")));
    }
    if terms.ahead > 0 {
        text.push_str(&format!(", {} of initial payload", counted(terms.ahead.into(), "byte")));
    }
    text
}
