//! Reads messages of the DHT. Each dictionary is gone through once: an entry becomes a field, or is kept as it is.

use std::net::SocketAddr;

use super::{Kind, Message, Method, Node, NodeFamilies, NodeId, Query, Response, StoredItem};
use super::{node_stride, read_node};
use crate::bencode::{self, EntryView, OtherEntries, View};
use crate::{DecodeError, InfoHash, compact};

/// How many faults of one message are listed.
pub(super) const FAULTS: usize = 8;

/// Whether `bytes` can be a message, told from its ends alone.
#[inline]
pub const fn may_be_message(bytes: &[u8]) -> bool {
    matches!(bytes, [b'd', b'1'..=b'9', .., b'e'])
}

/// Whether `bytes` begin as the message of a node does: arguments or return values whose first key is the id. No other
/// protocol begins so; what was cut off after these 12 bytes is known by them.
pub fn begins_message(bytes: &[u8]) -> bool {
    bytes.starts_with(b"d1:ad2:id20:") || bytes.starts_with(b"d1:rd2:id20:")
}

impl Message {
    /// Reads the message that `bytes` are, to the last byte.
    ///
    /// # Errors
    /// Where they are no dictionary with a transaction, a type, and what belongs to that: for a query its method
    /// and arguments with the node's id, for a response values with the node's id, for an error its number.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if !may_be_message(bytes) {
            return Err(DecodeError::new(0, "a bencoded dictionary"));
        }
        let (message, lack) = read(bytes)?;
        lack.map_or(Ok(message), Err)
    }

    /// Reads `bytes` as [`Message::decode`] does, but takes a message that lacks a transaction, an id or another part
    /// that decoding wants, and one with bytes after its end. The first lack is the first fault. Such a message is
    /// believed only of nodes that are known to be of the DHT: by itself it may be anything that is bencoded.
    ///
    /// # Errors
    /// Where they are no dictionary, or one that does not tell whether it is a query, a response or an error.
    pub fn decode_incomplete(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (mut message, lack) = read(bytes)?;
        message.faults.splice(0..0, lack);
        Ok(message)
    }
}

/// The message, and the first of the parts that a message must have and this one lacks.
fn read(bytes: &[u8]) -> Result<(Message, Option<DecodeError>), DecodeError> {
    const KIND: &str = "q, r or e under y, the type";
    if bytes.first() != Some(&b'd') {
        return Err(DecodeError::new(0, "a bencoded dictionary"));
    }
    let (document, end) = bencode::scan_prefix(bytes)?;
    let mut others = OtherEntries::default();
    let parts = Parts::read(document.root(), &mut others);
    let mut reader = Reader::default();
    let transaction = string_of(parts.t);
    reader.needs(transaction.is_some(), 0, "a string under t, the transaction");
    let letter = string_of(parts.y).filter(|letter| matches!(letter, [b'q' | b'r' | b'e']));
    reader.needs(letter.is_some(), 0, KIND);
    let told = [parts.q, parts.r, parts.e].into_iter().flatten().next().map(|entry| entry.key);
    let kind = match letter.or(told) {
        Some(b"q") => {
            let method = string_of(parts.q);
            reader.needs(method.is_some(), 0, "a string under q, the method");
            let method = Method::from_name(method.unwrap_or_default());
            Kind::Query(reader.query(method, value_of(parts.a)))
        }
        Some(b"r") => Kind::Response(reader.response(value_of(parts.r))),
        Some(_) => reader.error(value_of(parts.e)),
        None => return Err(DecodeError::new(0, KIND)),
    };
    reader.needs(end == bytes.len(), end, "the end of the message");
    let mut message = Message::new(transaction.unwrap_or_default(), kind);
    message.version = string_of(parts.v).map(<[u8]>::to_vec);
    message.your_address = string_of(parts.ip).and_then(compact::endpoint);
    message.read_only = value_of(parts.ro).and_then(flag);
    parts.differences(&message, &mut others);
    message.others = others;
    message.faults = reader.faults;
    Ok((message, reader.lack))
}

/// The entries of the outermost dictionary that have a field, by their keys.
#[derive(Default)]
struct Parts<'d> {
    a: Option<EntryView<'d>>,
    e: Option<EntryView<'d>>,
    ip: Option<EntryView<'d>>,
    q: Option<EntryView<'d>>,
    r: Option<EntryView<'d>>,
    ro: Option<EntryView<'d>>,
    t: Option<EntryView<'d>>,
    v: Option<EntryView<'d>>,
    y: Option<EntryView<'d>>,
}

impl<'d> Parts<'d> {
    /// The entries of `root`; what has no field goes to `others`. Of two entries under one key the first counts.
    fn read(root: View<'d>, others: &mut OtherEntries) -> Self {
        let mut parts = Self::default();
        for entry in root.entries().into_iter().flatten() {
            let part = match entry.key {
                b"a" => &mut parts.a,
                b"e" => &mut parts.e,
                b"ip" => &mut parts.ip,
                b"q" => &mut parts.q,
                b"r" => &mut parts.r,
                b"ro" => &mut parts.ro,
                b"t" => &mut parts.t,
                b"v" => &mut parts.v,
                b"y" => &mut parts.y,
                _ => {
                    others.keep(entry);
                    continue;
                }
            };
            part.get_or_insert(entry);
        }
        parts
    }

    /// Puts into `others` what the fields of `message` do not give back.
    fn differences(&self, message: &Message, others: &mut OtherEntries) {
        let is_string = |value: View<'_>| value.bytes().is_some();
        let mut check = |part: Option<EntryView<'_>>, given_back: &dyn Fn(View<'_>) -> bool| {
            if let Some(entry) = part.filter(|entry| !given_back(entry.value)) {
                others.keep(entry);
            }
        };
        check(self.t, &is_string);
        check(self.v, &is_string);
        check(self.y, &|value| value.bytes() == Some(message.kind.letter().as_bytes()));
        check(self.ip, &|_| message.your_address.is_some());
        check(self.ro, &is_flag);
        check(self.q, &|value| match &message.kind {
            Kind::Query(query) => value.bytes() == Some(query.method.name().as_bytes()),
            _ => false,
        });
        check(self.a, &|value| matches!(message.kind, Kind::Query(_)) && value.is_dictionary());
        check(self.r, &|value| matches!(message.kind, Kind::Response(_)) && value.is_dictionary());
        check(self.e, &|value| match &message.kind {
            Kind::Error(code, text) => is_error(value, *code, text),
            _ => false,
        });
        let mut must_have = |part: Option<EntryView<'_>>, key: &str| {
            if part.is_none() {
                others.omit(key);
            }
        };
        must_have(self.t, "t");
        must_have(self.y, "y");
        match message.kind {
            Kind::Query(_) => {
                must_have(self.q, "q");
                must_have(self.a, "a");
            }
            Kind::Response(_) => must_have(self.r, "r"),
            Kind::Error(..) => must_have(self.e, "e"),
        }
    }
}

fn value_of(part: Option<EntryView<'_>>) -> Option<View<'_>> {
    part.map(|entry| entry.value)
}

fn string_of(part: Option<EntryView<'_>>) -> Option<&[u8]> {
    value_of(part)?.bytes()
}

/// What is wrong with the message that is being read.
#[derive(Default)]
struct Reader {
    /// The first part that is missing of those that each message has.
    lack: Option<DecodeError>,
    faults: Vec<DecodeError>,
}

impl Reader {
    fn needs(&mut self, there: bool, offset: usize, wanted: &'static str) {
        if !there && self.lack.is_none() {
            self.lack = Some(DecodeError::new(offset, wanted));
        }
    }

    fn wants(&mut self, there: bool, offset: usize, wanted: &'static str) {
        if !there && self.faults.len() < FAULTS {
            self.faults.push(DecodeError::new(offset, wanted));
        }
    }

    /// The value, where it is a dictionary: the arguments or the return values.
    fn dictionary<'d>(&mut self, value: Option<View<'d>>) -> Option<View<'d>> {
        let dictionary = value.filter(|value| value.is_dictionary());
        self.needs(dictionary.is_some(), 0, "a dictionary under the letter of its type, a or r");
        dictionary
    }

    fn query(&mut self, method: Method, arguments: Option<View<'_>>) -> Query {
        let mut query = Query::new(method, NodeId::default());
        query.id = None;
        let Some(arguments) = self.dictionary(arguments) else { return query };
        let start = arguments.span().start;
        let target_key = query.method.target_key();
        for entry in arguments.entries().into_iter().flatten() {
            // Of two entries under one key the first counts.
            if query.others.get(entry.key).is_some() {
                continue;
            }
            let value = entry.value;
            let became = match entry.key {
                b"id" => held(&mut query.id, array(value).map(NodeId)).or_other(),
                b"info_hash" if target_key == Some("info_hash") => {
                    held(&mut query.target, array(value)).or_wrong("an info_hash of 20 bytes")
                }
                b"target" if target_key == Some("target") => {
                    held(&mut query.target, array(value)).or_wrong("a target of 20 bytes")
                }
                b"port" => held(&mut query.port, number(value)).or_other(),
                b"implied_port" => held_flag(&mut query.implied_port, value),
                b"seed" => held_flag(&mut query.seed, value),
                b"token" => held(&mut query.token, owned(value)).or_wrong("a token"),
                b"want" => held_families(&mut query.want, value),
                b"scrape" => held_flag(&mut query.scrape, value),
                b"noseed" => held_flag(&mut query.no_seed, value),
                key => held_item(&mut query.item, key, value),
            };
            self.take(became, entry, &mut query.others);
        }
        self.needs(query.id.is_some(), start, "an id of 20 bytes");
        let has = |key: &str| arguments.get(key.as_bytes()).is_some();
        match target_key {
            Some("target") => self.wants(has("target"), start, "a target of 20 bytes"),
            Some(_) => self.wants(has("info_hash"), start, "an info_hash of 20 bytes"),
            None => {}
        }
        if matches!(query.method, Method::AnnouncePeer | Method::Put) {
            self.wants(has("token"), start, "a token");
        }
        if query.method == Method::AnnouncePeer {
            let port = query.implied_port == Some(true) || query.port.is_some();
            let at = arguments.get(b"port").map_or(start, |port| port.span().start);
            self.wants(port, at, "a port of 16 bits");
        }
        if query.method == Method::Put {
            self.wants(has("v"), start, "an item under v");
        }
        query
    }

    fn response(&mut self, values: Option<View<'_>>) -> Response {
        let mut response = Response::default();
        let Some(values) = self.dictionary(values) else { return response };
        for entry in values.entries().into_iter().flatten() {
            if response.others.get(entry.key).is_some() {
                continue;
            }
            let value = entry.value;
            let became = match entry.key {
                b"id" => held(&mut response.id, array(value).map(NodeId)).or_other(),
                b"nodes" => {
                    held(&mut response.nodes, nodes(value, false)).or_wrong("a string of 26 bytes per node")
                }
                b"nodes6" => {
                    held(&mut response.nodes6, nodes(value, true)).or_wrong("a string of 38 bytes per node")
                }
                b"values" => self.peers(&mut response.peers, value),
                b"token" => held(&mut response.token, owned(value)).or_wrong("a token"),
                b"BFsd" => held(&mut response.seeds, array(value).map(Box::new))
                    .or_wrong("a Bloom filter of 256 bytes"),
                b"BFpe" => held(&mut response.downloaders, array(value).map(Box::new))
                    .or_wrong("a Bloom filter of 256 bytes"),
                b"samples" => held(&mut response.samples, info_hashes(value))
                    .or_wrong("a string of 20 bytes per info hash"),
                b"num" => held(&mut response.stored, number(value)).or_wrong("a number under num"),
                b"interval" => held(&mut response.interval, number(value)).or_wrong("a number of seconds"),
                key => held_item(&mut response.item, key, value),
            };
            self.take(became, entry, &mut response.others);
        }
        self.needs(response.id.is_some(), values.span().start, "an id of 20 bytes");
        response
    }

    /// The peers of a list. What is no peer is a fault each, as far as faults are listed.
    fn peers(&mut self, peers: &mut Option<Vec<SocketAddr>>, value: View<'_>) -> Became {
        let Some(items) = value.items() else { return Became::Wrong("a list of peers") };
        if peers.is_some() {
            return Became::Field;
        }
        let count = items.len();
        let mut read = Vec::with_capacity(count);
        for item in items {
            let peer = item.bytes().and_then(compact::endpoint);
            self.wants(peer.is_some(), item.span().start, "a string of 6 bytes, or of 18 for IPv6: a peer");
            read.extend(peer);
        }
        let whole = read.len() == count;
        *peers = Some(read);
        if whole { Became::Field } else { Became::Other }
    }

    fn error(&mut self, value: Option<View<'_>>) -> Kind {
        let start = value.map_or(0, |value| value.span().start);
        let mut items = value.and_then(View::items).into_iter().flatten();
        let code = items.next().and_then(View::integer);
        self.needs(code.is_some(), start, "a list with a number under e, the error");
        Kind::Error(code.unwrap_or_default(), items.next().and_then(owned).unwrap_or_default())
    }

    fn take(&mut self, became: Became, entry: EntryView<'_>, others: &mut OtherEntries) {
        if let Became::Wrong(wanted) = became {
            self.wants(false, entry.value.span().start, wanted);
        }
        if !matches!(became, Became::Field) {
            others.keep(entry);
        }
    }
}

/// What an entry of a dictionary became.
enum Became {
    /// A field that gives the entry back.
    Field,
    /// No field, or one that does not give all of the entry back.
    Other,
    /// No field, since this was wanted of its value.
    Wrong(&'static str),
}

/// Whether a value is in its field.
struct Held(bool);

impl Held {
    const fn or_other(self) -> Became {
        if self.0 { Became::Field } else { Became::Other }
    }

    const fn or_wrong(self, wanted: &'static str) -> Became {
        if self.0 { Became::Field } else { Became::Wrong(wanted) }
    }
}

/// Puts a value into its field, unless one is there already.
fn held<T>(field: &mut Option<T>, value: Option<T>) -> Held {
    if field.is_none() {
        *field = value;
    }
    Held(field.is_some())
}

fn held_flag(field: &mut Option<bool>, value: View<'_>) -> Became {
    if field.is_some() {
        return Became::Field;
    }
    match held(field, flag(value)).or_wrong("0 or 1") {
        Became::Field if !is_flag(value) => Became::Other,
        became => became,
    }
}

fn held_families(field: &mut Option<NodeFamilies>, value: View<'_>) -> Became {
    if field.is_some() {
        return Became::Field;
    }
    let Some(items) = value.items() else { return Became::Wrong("a list of n4 and n6") };
    let mut families = NodeFamilies::default();
    for item in items {
        match item.bytes() {
            Some(b"n4") => families.ipv4 = true,
            Some(b"n6") => families.ipv6 = true,
            _ => {}
        }
    }
    let held = held(field, Some(families)).or_other();
    if value.raw() == families.encode() { held } else { Became::Other }
}

/// A part of an item, where `key` is that of one.
fn held_item(item: &mut Option<Box<StoredItem>>, key: &[u8], value: View<'_>) -> Became {
    if !matches!(key, b"v" | b"k" | b"salt" | b"seq" | b"cas" | b"sig") {
        return Became::Other;
    }
    let mut parts = item.take().unwrap_or_default();
    let became = match key {
        b"v" => held(&mut parts.value, Some(value.raw().to_vec())).or_other(),
        b"k" => held(&mut parts.public_key, array(value)).or_wrong("a public key of 32 bytes"),
        b"salt" => held(&mut parts.salt, owned(value)).or_wrong("a string under salt"),
        b"seq" => held(&mut parts.sequence, value.integer()).or_wrong("a number under seq"),
        b"cas" => held(&mut parts.expected_sequence, value.integer()).or_wrong("a number under cas"),
        _ => held(&mut parts.signature, array(value)).or_wrong("a signature of 64 bytes"),
    };
    *item = Some(parts).filter(|parts| **parts != StoredItem::default());
    became
}

fn array<const LENGTH: usize>(value: View<'_>) -> Option<[u8; LENGTH]> {
    value.bytes()?.try_into().ok()
}

fn owned(value: View<'_>) -> Option<Vec<u8>> {
    value.bytes().map(<[u8]>::to_vec)
}

fn number<T: TryFrom<u64>>(value: View<'_>) -> Option<T> {
    T::try_from(value.unsigned()?).ok()
}

/// A number that says yes or no: any but 0 says yes.
fn flag(value: View<'_>) -> Option<bool> {
    Some(value.unsigned()? != 0)
}

/// Whether a flag gives the number back.
fn is_flag(value: View<'_>) -> bool {
    matches!(value.unsigned(), Some(0 | 1))
}

/// Whether an error with this code and text gives the list back.
fn is_error(value: View<'_>, code: i64, text: &[u8]) -> bool {
    let Some(mut items) = value.items() else { return false };
    let [first, second, third] = [items.next(), items.next(), items.next()];
    first.and_then(View::integer) == Some(code)
        && second.and_then(View::bytes) == Some(text)
        && third.is_none()
}

fn nodes(value: View<'_>, ipv6: bool) -> Option<Vec<Node>> {
    let stride = node_stride(ipv6);
    let bytes = value.bytes().filter(|bytes| bytes.len().is_multiple_of(stride))?;
    Some(bytes.chunks_exact(stride).filter_map(read_node).collect())
}

fn info_hashes(value: View<'_>) -> Option<Vec<InfoHash>> {
    let (hashes, rest) = value.bytes()?.as_chunks::<20>();
    rest.is_empty().then(|| hashes.iter().copied().map(InfoHash).collect())
}
