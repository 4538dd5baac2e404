//! What may differ between two honest runs of one client: one table, a reason a line, and each use counted.

use std::borrow::Cow;
use std::collections::HashMap;

use bittrace_trace::{Protocol, Side};

/// How a field is judged that is not the same in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MaskRule {
    /// It must be.
    Exact,
    /// The value that stands first for another stands for it throughout the run, and for no other.
    Bind,
    /// It does not matter.
    Ignore,
    /// The far end decides it: it is shown, and does not count.
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
    /// The field's path: its name after the names of the fields that it stands in, joined by dots.
    pub field: Cow<'static, str>,
    /// How the field is judged.
    pub rule: MaskRule,
    class: ValueClass,
    /// Why.
    pub reason: Cow<'static, str>,
    /// Whether the user gave it. A mask of the user that matches nothing is an error.
    pub by_hand: bool,
}

/// Which values are bound together: fields of one class share what is bound.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum ValueClass {
    /// Nothing is bound.
    None,
    /// Each side has values of its own, such as a peer id.
    Own(Cow<'static, str>),
    /// One side chooses the value and the other repeats it, such as a transaction id: both sides share what is bound.
    Repeated(Cow<'static, str>),
}

const fn own(class: &'static str) -> ValueClass {
    ValueClass::Own(Cow::Borrowed(class))
}

const fn repeated(class: &'static str) -> ValueClass {
    ValueClass::Repeated(Cow::Borrowed(class))
}

/// Why a mask cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MaskError {
    /// It has no `=`.
    #[error("\"{0}\" is not a mask; write MESSAGE.FIELD=RULE, such as announce-request.numwant=ignore")]
    NoRule(String),
    /// It has no dot before the `=`.
    #[error("\"{0}\" has no field; write MESSAGE.FIELD, such as announce-request.numwant or *.port")]
    NoField(String),
    /// Its rule is unknown.
    #[error("unknown rule \"{0}\"; the rules are exact, bind, ignore and context")]
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
            class: ValueClass::Own(place.trim().to_owned().into()),
            reason: "given by --mask".into(),
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
type Whose = (ValueClass, Option<Side>, Vec<u8>);

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
    /// Masks given by hand first, the last one given before the others, then the built-in table.
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

    /// Compares the candidate's value with the one that the reference's value stood for before, or remembers it.
    pub(crate) fn bind(
        &mut self,
        line: usize,
        side: Side,
        reference: Vec<u8>,
        candidate: &[u8],
        numbers: (u64, u64),
    ) -> Result<(), Clash> {
        let class = &self.table[line].class;
        let side = matches!(class, ValueClass::Own(_)).then_some(side);
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

/// The built-in masks: values that a run draws at random or gets from its surroundings, and nothing else.
fn table() -> Vec<Mask> {
    let line = |(message, field, rule, class, reason): &Line| Mask {
        message: Cow::Borrowed(*message),
        field: Cow::Borrowed(*field),
        rule: *rule,
        class: class.clone(),
        reason: Cow::Borrowed(*reason),
        by_hand: false,
    };
    TABLE.iter().map(line).collect()
}

type Line = (&'static str, &'static str, MaskRule, ValueClass, &'static str);

const TABLE: &[Line] = &[
    (
        "announce-request",
        "peer_id",
        MaskRule::Bind,
        own("peer id"),
        "its end is random; the client's name at its beginning is not",
    ),
    ("handshake", "peer_id", MaskRule::Bind, own("peer id"), "it must be the peer id of the announce"),
    ("announce-request", "key", MaskRule::Bind, own("key"), "random, and the same throughout a run"),
    ("announce-request", "port", MaskRule::Bind, own("port"), "the port on which the client listens"),
    ("extended", "p", MaskRule::Bind, own("port"), "the port of the announce"),
    ("port", "port", MaskRule::Bind, own("DHT port"), "the port on which its DHT node listens"),
    ("http-tracker", "headers.Host", MaskRule::Bind, own("tracker"), "the address of the tracker"),
    ("announce-request", "ip", MaskRule::Bind, own("address"), "the host's own address"),
    ("announce-request", "ipv4", MaskRule::Bind, own("address"), "the host's own address"),
    ("announce-request", "ipv6", MaskRule::Bind, own("address"), "the host's own address"),
    ("extended", "ipv4", MaskRule::Bind, own("compact address"), "the host's own address"),
    ("extended", "ipv6", MaskRule::Bind, own("compact address"), "the host's own address"),
    ("extended", "yourip", MaskRule::Context, ValueClass::None, "the address of the far end"),
    (
        "extended",
        "extension.extended_id",
        MaskRule::Context,
        ValueClass::None,
        "a number that the far end chose",
    ),
    ("udp-tracker", "transaction_id", MaskRule::Bind, repeated("transaction id"), "random for each request"),
    (
        "udp-tracker",
        "connection_id",
        MaskRule::Bind,
        repeated("connection id"),
        "chosen by the tracker, and repeated by the client",
    ),
    (
        "dht",
        "transaction_id",
        MaskRule::Bind,
        repeated("DHT transaction id"),
        "chosen by the node that asks, and repeated by the one that answers",
    ),
    (
        "dht",
        "token",
        MaskRule::Bind,
        repeated("DHT token"),
        "chosen by the node that is asked, and repeated by the one that announces",
    ),
    ("dht", "id", MaskRule::Bind, own("node id"), "random, and the same throughout a run"),
    ("dht", "port", MaskRule::Bind, own("port"), "the port on which the client listens"),
    ("dht", "ip", MaskRule::Context, ValueClass::None, "the address of the far end"),
    ("key-exchange", "public_key", MaskRule::Ignore, ValueClass::None, "random for each connection"),
    (
        "torrent-hash",
        "req1",
        MaskRule::Ignore,
        ValueClass::None,
        "computed from a secret that is random for each connection",
    ),
    (
        "torrent-hash",
        "req2_xor_req3",
        MaskRule::Ignore,
        ValueClass::None,
        "computed from a secret that is random for each connection",
    ),
    ("padding", "payload", MaskRule::Ignore, ValueClass::None, "random, and of random length"),
    ("crypto-provide", "padding_length", MaskRule::Ignore, ValueClass::None, "random"),
    ("crypto-provide", "padding", MaskRule::Ignore, ValueClass::None, "random, and of random length"),
    ("crypto-select", "padding_length", MaskRule::Ignore, ValueClass::None, "random"),
    ("crypto-select", "padding", MaskRule::Ignore, ValueClass::None, "random, and of random length"),
    (
        "encrypted",
        "payload",
        MaskRule::Ignore,
        ValueClass::None,
        "encrypted with a random key; only its length can be compared",
    ),
    ("utp", "payload", MaskRule::Ignore, ValueClass::None, "uTP is counted, not read"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn by_hand(text: &str) -> Mask {
        Mask::parse(text).unwrap()
    }

    /// The rule of the first line that is about a field.
    fn rule_of(masks: &Masks, message: &str, protocol: Protocol, path: &str) -> Option<MaskRule> {
        masks.find(message, protocol, path).map(|line| masks.rule(line))
    }

    #[test]
    fn a_mask_is_read_as_message_field_and_rule() {
        let mask = by_hand("extended.m.ut_pex = ignore");
        assert_eq!((&*mask.message, &*mask.field, mask.rule), ("extended", "m.ut_pex", MaskRule::Ignore));
        assert!(mask.by_hand);
        assert_eq!(mask.place(), "extended.m.ut_pex");
        // The last = is the one before the rule.
        assert_eq!(by_hand("*.a=b=exact").field, "a=b");
    }

    #[test]
    fn rejects_masks_without_a_field_or_with_an_unknown_rule() {
        assert_eq!(Mask::parse("extended.v"), Err(MaskError::NoRule("extended.v".to_owned())));
        assert_eq!(Mask::parse("extended=ignore"), Err(MaskError::NoField("extended".to_owned())));
        assert_eq!(Mask::parse("extended.v=maybe"), Err(MaskError::UnknownRule("maybe".to_owned())));
        // It is found by the comparison alone.
        assert_eq!(Mask::parse("extended.v=follows"), Err(MaskError::UnknownRule("follows".to_owned())));
    }

    #[test]
    fn covers_a_field_and_what_stands_in_it_but_no_longer_name() {
        let mask = by_hand("extended.m=ignore");
        let covers = |message, path| mask.covers(message, Protocol::PeerWire, path);
        assert!(covers("extended", "m") && covers("extended", "m.ut_pex") && covers("extended", "M"));
        assert!(
            !covers("extended", "metadata_size") && !covers("extended", "p.m") && !covers("handshake", "m")
        );
        // A blank in a field's name may be written as _.
        assert!(by_hand("*.min_interval=ignore").covers(
            "announce-response",
            Protocol::HttpTracker,
            "min interval"
        ));
    }

    #[test]
    fn is_about_a_message_a_protocol_or_everything() {
        let about = |mask: &str| by_hand(mask).is_about("connect-request", Protocol::UdpTracker);
        assert!(about("connect-request.x=ignore") && about("udp-tracker.x=ignore") && about("*.x=ignore"));
        assert!(!about("http-tracker.x=ignore") && !about("connect.x=ignore"));
    }

    #[test]
    fn masks_by_hand_come_before_the_table_and_the_last_one_first() {
        let field = ("announce-request", Protocol::HttpTracker, "key");
        let rule = |masks: &Masks| rule_of(masks, field.0, field.1, field.2);
        assert_eq!(rule(&Masks::new(&[])), Some(MaskRule::Bind));
        let masks = ["announce-request.key=ignore", "announce-request.key=exact"].map(by_hand);
        assert_eq!(rule(&Masks::new(&masks[..1])), Some(MaskRule::Ignore));
        assert_eq!(rule(&Masks::new(&masks)), Some(MaskRule::Exact));
        assert_eq!(rule(&Masks::none()), None);
    }

    #[test]
    fn every_line_of_the_table_has_a_reason_and_what_is_bound_a_class() {
        for mask in table() {
            assert!(!mask.reason.is_empty(), "{}", mask.place());
            assert_eq!(mask.class == ValueClass::None, mask.rule != MaskRule::Bind, "{}", mask.place());
        }
    }

    #[test]
    fn a_value_stands_for_one_value_and_only_for_that() {
        let mut masks = Masks::new(&[]);
        let line = masks.find("announce-request", Protocol::HttpTracker, "key").unwrap();
        let mut bind = |side, reference: &[u8], candidate: &[u8], numbers| {
            masks.bind(line, side, reference.to_vec(), candidate, numbers)
        };
        assert_eq!(bind(Side::Local, b"a", b"x", (1, 2)), Ok(()));
        assert_eq!(bind(Side::Local, b"a", b"x", (3, 4)), Ok(()));
        let first = BoundValue { candidate: b"x".to_vec(), numbers: (1, 2) };
        assert_eq!(bind(Side::Local, b"a", b"y", (5, 6)), Err(Clash::Reference(first)));
        assert_eq!(bind(Side::Local, b"b", b"x", (7, 8)), Err(Clash::Candidate(b"a".to_vec())));
        // The remote side has a key of its own.
        assert_eq!(bind(Side::Remote, b"a", b"y", (9, 10)), Ok(()));
    }

    #[test]
    fn fields_of_one_class_share_what_is_bound() {
        let mut masks = Masks::new(&[]);
        let mut bind = |message, protocol, path, side, candidate: &[u8]| {
            let line = masks.find(message, protocol, path).unwrap();
            masks.bind(line, side, b"1".to_vec(), candidate, (0, 0)).is_ok()
        };
        let (wire, udp) = (Protocol::PeerWire, Protocol::UdpTracker);
        assert!(bind("announce-request", udp, "port", Side::Local, b"2"));
        assert!(!bind("extended", wire, "p", Side::Local, b"3"));
        assert!(bind("port", wire, "port", Side::Local, b"3"), "the port of the DHT is another one");
        // The tracker repeats the client's transaction id, so that it is one for both sides.
        assert!(bind("connect-request", udp, "transaction_id", Side::Local, b"2"));
        assert!(!bind("connect-response", udp, "transaction_id", Side::Remote, b"3"));
    }

    #[test]
    fn only_messages_with_bound_fields_are_looked_into() {
        let mut masks = Masks::new(&[]);
        assert!(masks.bind_in("handshake", Protocol::PeerWire));
        assert!(!masks.bind_in("request", Protocol::PeerWire));
        assert!(!Masks::none().bind_in("handshake", Protocol::PeerWire));
    }

    #[test]
    fn uses_are_counted_by_line() {
        let mut masks = Masks::new(&[by_hand("extended.v=ignore")]);
        let line = masks.find("extended", Protocol::PeerWire, "v").unwrap();
        masks.count(line);
        masks.count(line);
        let used: Vec<_> =
            masks.uses().filter(|(_, uses)| *uses > 0).map(|(mask, uses)| (mask.place(), uses)).collect();
        assert_eq!(used, [("extended.v".to_owned(), 2)]);
    }
}
