//! What may differ between two honest runs of one client: one table, a reason a line, and each use counted.

use std::borrow::Cow;
use std::collections::HashMap;

use bittrace_trace::{Protocol, Side};

/// What is to be thought of a field that is not the same in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MaskRule {
    /// It must be.
    Exact,
    /// The value that stands first for another stands for it throughout the run, and for no other.
    Bind,
    /// It does not matter.
    Ignore,
    /// It is the far end's doing: shown, and never held against the candidate.
    Context,
    /// It differs only because another field does.
    Follows,
}

impl MaskRule {
    /// Its name, as options and JSON have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Bind => "bind",
            Self::Ignore => "ignore",
            Self::Context => "context",
            Self::Follows => "follows",
        }
    }
}

/// One line of the table: which field, which rule, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// A message's name, a protocol's, or `*` for any.
    pub message: Cow<'static, str>,
    /// The field's path: its name behind those of what it stands in, joined by dots.
    pub field: Cow<'static, str>,
    /// What is thought of it.
    pub rule: MaskRule,
    /// Fields of one class share what is bound.
    class: Cow<'static, str>,
    /// Why.
    pub reason: Cow<'static, str>,
    /// Whether somebody asked for it, and will want to know when it is of no use.
    pub by_hand: bool,
}

/// Why a mask cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MaskError {
    /// It has no `=`.
    #[error("\"{0}\" is no mask: wanted MESSAGE.FIELD=RULE, such as announce-request.numwant=ignore")]
    NoRule(String),
    /// It has no dot before the `=`.
    #[error("\"{0}\" names no field: wanted MESSAGE.FIELD, such as announce-request.numwant or *.port")]
    NoField(String),
    /// Its rule is none.
    #[error("\"{0}\" is no rule: wanted exact, bind, ignore or context")]
    UnknownRule(String),
}

impl Mask {
    /// Reads `message.path=rule`.
    ///
    /// # Errors
    /// What is missing or not known.
    pub fn parse(text: &str) -> Result<Self, MaskError> {
        let (place, rule) = text.rsplit_once('=').ok_or_else(|| MaskError::NoRule(text.to_owned()))?;
        let (message, field) = place.split_once('.').ok_or_else(|| MaskError::NoField(place.to_owned()))?;
        let rules = [MaskRule::Exact, MaskRule::Bind, MaskRule::Ignore, MaskRule::Context];
        let rule = rules
            .into_iter()
            .find(|known| known.name() == rule.trim())
            .ok_or_else(|| MaskError::UnknownRule(rule.to_owned()))?;
        Ok(Self {
            message: message.trim().to_owned().into(),
            field: field.trim().to_owned().into(),
            rule,
            class: place.trim().to_owned().into(),
            reason: "asked for".into(),
            by_hand: true,
        })
    }

    /// Whether it is about this field. A mask on a field is one on all that stands in it.
    pub(crate) fn covers(&self, message: &str, protocol: Protocol, path: &str) -> bool {
        self.is_about(message, protocol) && {
            let (mask, path) = (self.field.as_bytes(), path.as_bytes());
            let same =
                |(one, other): (&u8, &u8)| one.eq_ignore_ascii_case(other) || *one == b'_' && *other == b' ';
            mask.len() <= path.len()
                && mask.iter().zip(path).all(same)
                && matches!(path.get(mask.len()), None | Some(b'.'))
        }
    }

    pub(crate) fn is_about(&self, message: &str, protocol: Protocol) -> bool {
        self.message == "*" || self.message == message || self.message == protocol.name()
    }

    /// Its message and field, as they are asked for.
    pub fn place(&self) -> String {
        format!("{}.{}", self.message, self.field)
    }
}

/// The masks of a run, what they have bound, and how often each let a difference pass.
#[derive(Debug)]
pub(crate) struct Masks {
    table: Vec<Mask>,
    uses: Vec<u64>,
    bound: HashMap<Whose, BoundValue>,
    bound_back: HashMap<Whose, Vec<u8>>,
    binding: HashMap<(&'static str, Protocol), bool>,
}

/// A value: its class, which side's it is where that matters, and its bytes.
type Whose = (Cow<'static, str>, Option<Side>, Vec<u8>);

/// What one value stands for, and where that was seen first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BoundValue {
    /// The candidate's value.
    pub(crate) candidate: Vec<u8>,
    /// The numbers of the messages that had them, in the reference and in the candidate.
    pub(crate) numbers: (u64, u64),
}

/// A value that does not agree with what was bound before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Clash {
    /// The reference's value already stands for another.
    Reference(BoundValue),
    /// The candidate's value already stands for another of the reference.
    Candidate(Vec<u8>),
}

impl Masks {
    /// The masks of the house, those given by hand before them, unless only the latter are wanted.
    pub(crate) fn new(by_hand: &[Mask]) -> Self {
        let table: Vec<Mask> = by_hand.iter().rev().cloned().chain(table()).collect();
        Self::over(table)
    }

    /// Nothing may differ.
    pub(crate) fn none() -> Self {
        Self::over(Vec::new())
    }

    fn over(table: Vec<Mask>) -> Self {
        Self {
            uses: vec![0; table.len()],
            table,
            bound: HashMap::new(),
            bound_back: HashMap::new(),
            binding: HashMap::new(),
        }
    }

    /// The line of the table that is about a field.
    pub(crate) fn find(&self, message: &str, protocol: Protocol, path: &str) -> Option<usize> {
        self.table.iter().position(|mask| mask.covers(message, protocol, path))
    }

    pub(crate) fn rule(&self, line: usize) -> MaskRule {
        self.table[line].rule
    }

    pub(crate) fn count(&mut self, line: usize) {
        self.uses[line] += 1;
    }

    /// Whether such messages have fields that are bound, and have to be looked into though they are the same.
    pub(crate) fn bind_in(&mut self, message: &'static str, protocol: Protocol) -> bool {
        *self.binding.entry((message, protocol)).or_insert_with(|| {
            self.table.iter().any(|mask| mask.rule == MaskRule::Bind && mask.is_about(message, protocol))
        })
    }

    /// Holds a value of the reference to the value of the candidate that it stood for before, or remembers it.
    pub(crate) fn bind(
        &mut self,
        line: usize,
        side: Side,
        reference: Vec<u8>,
        candidate: &[u8],
        numbers: (u64, u64),
    ) -> Result<(), Clash> {
        let class = &self.table[line].class;
        // A transaction's numbers are repeated by the other end; the rest is each end's own.
        let side = (!class.ends_with(" id") || class == "peer id").then_some(side);
        let there = (class.clone(), side, reference);
        let back = (class.clone(), side, candidate.to_vec());
        if let Some(bound) = self.bound.get(&there) {
            return if bound.candidate == candidate { Ok(()) } else { Err(Clash::Reference(bound.clone())) };
        }
        if let Some(reference) = self.bound_back.get(&back) {
            return Err(Clash::Candidate(reference.clone()));
        }
        self.bound_back.insert(back, there.2.clone());
        self.bound.insert(there, BoundValue { candidate: candidate.to_vec(), numbers });
        Ok(())
    }

    /// Each mask and how often it let a difference pass.
    pub(crate) fn uses(&self) -> impl Iterator<Item = (&Mask, u64)> {
        self.table.iter().zip(self.uses.iter().copied())
    }
}

/// The masks of the house. What a run draws at random or is told by its surroundings, and nothing else.
fn table() -> Vec<Mask> {
    let line = |(message, field, rule, class, reason): &(
        &'static str,
        &'static str,
        MaskRule,
        &'static str,
        &'static str,
    )| Mask {
        message: Cow::Borrowed(*message),
        field: Cow::Borrowed(*field),
        rule: *rule,
        class: Cow::Borrowed(*class),
        reason: Cow::Borrowed(*reason),
        by_hand: false,
    };
    TABLE.iter().map(line).collect()
}

type Line = (&'static str, &'static str, MaskRule, &'static str, &'static str);

const TABLE: &[Line] = &[
    (
        "announce-request",
        "peer_id",
        MaskRule::Bind,
        "peer id",
        "its tail is drawn at random; the client's name in it is not",
    ),
    ("handshake", "peer_id", MaskRule::Bind, "peer id", "it must be that of the announce"),
    ("announce-request", "key", MaskRule::Bind, "key", "drawn at random, and the same throughout a run"),
    ("announce-request", "port", MaskRule::Bind, "port", "where the client happens to listen"),
    ("extended", "p", MaskRule::Bind, "port", "the port of the announce"),
    ("port", "port", MaskRule::Bind, "DHT port", "where its DHT node happens to listen"),
    (
        "http-tracker",
        "headers.Host",
        MaskRule::Bind,
        "tracker",
        "the tracker's address is not the client's choice",
    ),
    ("announce-request", "ip", MaskRule::Bind, "address", "the host's own address"),
    ("announce-request", "ipv4", MaskRule::Bind, "address", "the host's own address"),
    ("announce-request", "ipv6", MaskRule::Bind, "address", "the host's own address"),
    ("extended", "ipv4", MaskRule::Bind, "compact address", "the host's own address"),
    ("extended", "ipv6", MaskRule::Bind, "compact address", "the host's own address"),
    ("extended", "yourip", MaskRule::Context, "", "the far end's own address, told to it"),
    ("extended", "extension.extended_id", MaskRule::Context, "", "a number of the far end's choice"),
    ("udp-tracker", "transaction_id", MaskRule::Bind, "transaction id", "drawn at random for each request"),
    ("udp-tracker", "connection_id", MaskRule::Bind, "connection id", "the tracker's choice, to be repeated"),
    ("key-exchange", "public_key", MaskRule::Ignore, "", "drawn at random for each connection"),
    ("torrent-hash", "req1", MaskRule::Ignore, "", "made of a secret drawn at random for each connection"),
    (
        "torrent-hash",
        "req2_xor_req3",
        MaskRule::Ignore,
        "",
        "made of a secret drawn at random for each connection",
    ),
    ("padding", "payload", MaskRule::Ignore, "", "drawn at random, as is its length"),
    ("crypto-provide", "padding_length", MaskRule::Ignore, "", "drawn at random"),
    ("crypto-provide", "padding", MaskRule::Ignore, "", "drawn at random, as is its length"),
    ("crypto-select", "padding_length", MaskRule::Ignore, "", "drawn at random"),
    ("crypto-select", "padding", MaskRule::Ignore, "", "drawn at random, as is its length"),
    (
        "encrypted",
        "payload",
        MaskRule::Ignore,
        "",
        "under a key drawn at random; only its length can be compared",
    ),
    ("utp", "payload", MaskRule::Ignore, "", "uTP is counted, and not read"),
];
