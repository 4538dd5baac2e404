//! Bencoding that can be read and still breaks its rules, wherever it is sent: keys out of order, zeros in front, values of
//! another type than their keys have.

use bittrace_protocol::bencode::{self, Document, View};
use bittrace_protocol::wire::{Extension, Message};

use crate::expert::rules;
use crate::record::units::counted;
use crate::record::{Body, HttpTrackerBody, PeerWireBody, Record};

/// Notes what is irregular in a record's bencoding.
pub(super) fn judge(record: &mut Record) {
    let mut before = 0;
    let (bytes, known, ends): (&[u8], Known, bool) = match &record.body {
        Body::PeerWire(PeerWireBody::Extended(Message::Extended { payload, .. }, Extension::Handshake)) => {
            (payload, HANDSHAKE, true)
        }
        Body::PeerWire(PeerWireBody::Extended(Message::Extended { payload, .. }, Extension::Pex)) => {
            (payload, PEX, true)
        }
        // Metadata stands after the dictionary of its message (BEP 9).
        Body::PeerWire(PeerWireBody::Extended(Message::Extended { payload, .. }, Extension::Metadata)) => {
            (payload, METADATA, false)
        }
        Body::Dht(..) => (&record.bytes, DHT, true),
        Body::HttpTracker(HttpTrackerBody::Response(response, _)) => {
            let Some(span) = response.dictionary_span() else { return };
            before = span.start;
            (&response.body()[before..], &[], true)
        }
        _ => return,
    };
    // What cannot be read is noted elsewhere.
    let Ok((document, end)) = bencode::scan_prefix(bytes) else { return };
    let behind = if ends { bytes.len() - end } else { 0 };
    let irregular =
        irregular(&document, before, behind).map(|text| rules::BEP3_IRREGULAR_BENCODING.note(text));
    let rule = match record.body {
        Body::Dht(..) => rules::BEP5_MALFORMED,
        _ => rules::BEP10_WRONG_TYPE,
    };
    let wrong = wrong_type(document.root(), known).map(|text| rule.note(text));
    record.notes.extend(irregular.into_iter().chain(wrong));
}

/// What is irregular first, and how much more there is.
fn irregular(document: &Document<'_>, before: usize, after: usize) -> Option<String> {
    let stands = |bytes: usize, place: &str| {
        (bytes > 0).then(|| format!("{} {place} the bencoded value", counted(bytes as u64, "byte")))
    };
    let inside = document.irregularities().iter().map(|irregularity| {
        let wanted = irregularity.kind.wanted();
        format!("at byte {} of the bencoding: expected {wanted}", irregularity.offset)
    });
    let mut found = stands(before, "before").into_iter().chain(inside).chain(stands(after, "after"));
    let first = found.next()?;
    Some(match found.count() {
        0 => first,
        more => format!("{first}, and {more} more"),
    })
}

/// The first known key whose value is of another type.
fn wrong_type(root: View<'_>, known: Known) -> Option<String> {
    let (key, wanted) = known.iter().find(|(key, wanted)| {
        root.get(key).is_some_and(|value| match wanted {
            Type::Number => value.digits().is_none(),
            Type::String => value.bytes().is_none(),
            Type::Numbers => {
                let Some(mut entries) = value.entries() else { return true };
                entries.any(|entry| entry.value.digits().is_none())
            }
        })
    })?;
    Some(format!("the value of {} is not a {}", String::from_utf8_lossy(key), wanted.name()))
}

/// Keys, and what their values must be.
type Known = &'static [(&'static [u8], Type)];

#[derive(Debug, Clone, Copy)]
enum Type {
    Number,
    String,
    /// A dictionary of them.
    Numbers,
}

impl Type {
    const fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::String => "string",
            Self::Numbers => "dictionary of numbers",
        }
    }
}

/// BEP 10, "handshake message"; BEPs 9 and 21.
const HANDSHAKE: Known = &[
    (b"m", Type::Numbers),
    (b"p", Type::Number),
    (b"v", Type::String),
    (b"yourip", Type::String),
    (b"ipv4", Type::String),
    (b"ipv6", Type::String),
    (b"reqq", Type::Number),
    (b"metadata_size", Type::Number),
    (b"upload_only", Type::Number),
];

/// BEP 11, "Protocol Extension".
const PEX: Known = &[(b"added.f", Type::String), (b"added6.f", Type::String)];

/// BEP 9, "extension message"; without the others it is broken, and noted so.
const METADATA: Known = &[(b"total_size", Type::Number)];

/// BEP 5, "KRPC Protocol"; BEPs 42 and 43.
const DHT: Known = &[(b"v", Type::String), (b"ip", Type::String), (b"ro", Type::Number)];
