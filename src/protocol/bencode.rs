//! Where each value of a bencoded document stands in its bytes (BEP 3, "bencoding"), and how values are written.
//!
//! The scan runs before anything else looks at bencoded bytes: it is strict about syntax, bounded in
//! depth, and copies nothing. What is readable but not canonical (keys out of order, leading zeros) is
//! kept and listed, since an info hash is taken over the bytes as they came.
//!
//! What the scan keeps is a row of 12 bytes a value, in the order of the bytes: two bytes make a value, so a hostile
//! document costs six times its size.

use std::borrow::Cow;
use std::ops::Range;

use crate::field::{Field, Value, text_or_bytes};
use crate::{DecodeError, Hex};

mod other_entries;
mod writer;

pub use other_entries::OtherEntries;
pub use writer::{DictionaryWriter, Writer, dictionary};

/// How deep lists and dictionaries may nest. A v2 file tree nests once a directory; a path of more than
/// a hundred is nobody's.
pub const MAX_DEPTH: usize = 128;

/// How many values a document may have, keys not counted. The largest real ones, torrents of some 100,000 files, have
/// under a million; two bytes make a value, so the bound is what keeps a hostile document small.
pub const MAX_VALUES: usize = 4_000_000;

/// A scanned document: its bytes, and where each value stands in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document<'a> {
    source: &'a [u8],
    nodes: Vec<Node>,
    irregularities: Vec<Irregularity>,
}

/// Something readable that BEP 3 forbids, and the offset where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Irregularity {
    /// The offset of the first byte at fault.
    pub offset: usize,
    /// What is wrong there.
    pub kind: IrregularityKind,
}

/// What BEP 3 forbids and decoders read all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IrregularityKind {
    /// A key that sorts before the one in front of it.
    UnsortedKey,
    /// A key that the dictionary has already.
    DuplicateKey,
    /// A number or string length such as `i03e` or `03:abc`.
    LeadingZero,
    /// `i-0e`.
    NegativeZero,
}

impl IrregularityKind {
    /// The rule that is broken, as the wanted part of an error.
    pub const fn wanted(self) -> &'static str {
        match self {
            Self::UnsortedKey => "dictionary keys in sorted order",
            Self::DuplicateKey => "each dictionary key once",
            Self::LeadingZero => "a number without leading zeros",
            Self::NegativeZero => "a zero without a sign",
        }
    }
}

/// Scans the one value that `bytes` must be, to the last byte.
///
/// # Errors
/// The offset of the first byte that is not bencoding, is beyond [`MAX_DEPTH`] or [`MAX_VALUES`], or follows
/// the value.
pub fn scan(bytes: &[u8]) -> Result<Document<'_>, DecodeError> {
    let (document, end) = scan_prefix(bytes)?;
    if end < bytes.len() {
        return Err(DecodeError::new(end, "the end of the bencoded value"));
    }
    Ok(document)
}

/// Scans the value that `bytes` begin with, and says where it ends. ut_metadata (BEP 9) puts a payload
/// after its dictionary.
///
/// # Errors
/// As for [`scan`], except that bytes may follow.
pub fn scan_prefix(bytes: &[u8]) -> Result<(Document<'_>, usize), DecodeError> {
    scan_prefix_of(bytes, MAX_VALUES)
}

/// Scans the value that `bytes` begin with, which may have so many values, keys counted, and at most [`MAX_VALUES`] without
/// keys; each takes 12 bytes.
///
/// # Errors
/// As for [`scan_prefix`].
pub fn scan_prefix_of(bytes: &[u8], most_values: usize) -> Result<(Document<'_>, usize), DecodeError> {
    // Places are kept in 32 bits.
    if u32::try_from(bytes.len()).is_err() {
        return Err(DecodeError::new(0, "a document of less than 4 GiB"));
    }
    // As many as most messages of the DHT have values and keys; what is larger grows.
    let nodes = Vec::with_capacity(bytes.len().min(24));
    // MAX_VALUES alone counts no keys: then there are as many nodes as that allows.
    let most_nodes = if most_values < MAX_VALUES { most_values } else { usize::MAX };
    let mut scanner =
        Scanner { source: bytes, at: 0, values: 0, most_nodes, nodes, irregularities: Vec::new() };
    scanner.value(0)?;
    let Scanner { at, nodes, irregularities, .. } = scanner;
    Ok((Document { source: bytes, nodes, irregularities }, at))
}

impl<'a> Document<'a> {
    /// The outermost value.
    pub const fn root(&self) -> View<'_> {
        View { source: self.source, nodes: self.nodes.as_slice() }
    }

    /// What is readable but forbidden, in the order of the bytes.
    pub fn irregularities(&self) -> &[Irregularity] {
        &self.irregularities
    }

    /// Whether the document is as BEP 3 wants it, so that its values alone determine its bytes.
    pub fn is_regular(&self) -> bool {
        self.irregularities.is_empty()
    }

    /// The scanned bytes.
    pub const fn source(&self) -> &'a [u8] {
        self.source
    }
}

/// A value of a document.
#[derive(Debug, Clone, Copy)]
pub struct View<'d> {
    source: &'d [u8],
    /// The value's own node, then those of what it holds, and maybe those of what follows.
    nodes: &'d [Node],
}

/// An entry of a dictionary.
#[derive(Debug, Clone, Copy)]
pub struct EntryView<'d> {
    /// The key's bytes.
    pub key: &'d [u8],
    /// The value.
    pub value: View<'d>,
    key_start: usize,
}

impl EntryView<'_> {
    /// Where the entry stands in the document: its key and its value.
    pub fn span(self) -> Range<usize> {
        self.key_start..self.value.span().end
    }

    /// The entry as a field, which says `meaning` where more is known of it than [`View::value`] can tell.
    pub fn field(self, name: impl Into<Cow<'static, str>>, meaning: Option<Value>) -> Field {
        self.value.tile(name.into(), self.key_start, meaning)
    }

    /// The key as the name of a field: keys are bytes, and of those that are no text, no two may read the same.
    pub fn name(self) -> String {
        match std::str::from_utf8(self.key) {
            Ok(name) => name.to_owned(),
            Err(_) => Hex(self.key).to_string(),
        }
    }
}

impl<'d> View<'d> {
    /// Where the value stands in the document.
    pub const fn span(self) -> Range<usize> {
        let node = self.node();
        node.start as usize..node.end as usize
    }

    /// The value's bytes as they came: what an info hash is taken over.
    pub fn raw(self) -> &'d [u8] {
        &self.source[self.span()]
    }

    /// A string's bytes.
    pub fn bytes(self) -> Option<&'d [u8]> {
        Some(&self.source[self.content_span()?])
    }

    /// Where a string's bytes stand, without its length prefix.
    pub fn content_span(self) -> Option<Range<usize>> {
        if self.kind() != NodeKind::String {
            return None;
        }
        let Range { start, end } = self.span();
        let length = self.source[start..].iter().position(|&byte| byte == b':')?;
        Some(start + length + 1..end)
    }

    /// A string that is UTF-8.
    pub fn text(self) -> Option<&'d str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// An integer that fits into 64 bits.
    pub fn integer(self) -> Option<i64> {
        self.digits()?.parse().ok()
    }

    /// An integer that is not negative and fits into 64 bits.
    pub fn unsigned(self) -> Option<u64> {
        self.digits()?.parse().ok()
    }

    /// An integer as written.
    pub fn digits(self) -> Option<&'d str> {
        if self.kind() != NodeKind::Integer {
            return None;
        }
        let Range { start, end } = self.span();
        std::str::from_utf8(&self.source[start + 1..end - 1]).ok()
    }

    /// A list's items; `None` when this is no list.
    pub fn items(self) -> Option<impl ExactSizeIterator<Item = View<'d>>> {
        let count = if self.kind() == NodeKind::List { self.parts().count() } else { return None };
        let mut parts = self.parts();
        Some((0..count).map(move |_| parts.next().expect("as many parts as were counted")))
    }

    /// A dictionary's entries in the order they stand; `None` when this is no dictionary.
    pub fn entries(self) -> Option<impl ExactSizeIterator<Item = EntryView<'d>>> {
        let count = if self.is_dictionary() { self.parts().count() / 2 } else { return None };
        let mut parts = self.parts();
        Some((0..count).map(move |_| {
            let key = parts.next().expect("a key for each entry that was counted");
            let value = parts.next().expect("a value after each key");
            EntryView { key: key.bytes().unwrap_or_default(), value, key_start: key.span().start }
        }))
    }

    /// The value under `key`; the first when the key stands twice.
    pub fn get(self, key: &[u8]) -> Option<View<'d>> {
        if !self.is_dictionary() {
            return None;
        }
        let mut parts = self.parts();
        while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            if name.bytes() == Some(key) {
                return Some(value);
            }
        }
        None
    }

    /// Whether this is a dictionary.
    pub fn is_dictionary(self) -> bool {
        self.kind() == NodeKind::Dictionary
    }

    /// The node of the value itself. A scanned document has one at least.
    const fn node(self) -> Node {
        self.nodes[0]
    }

    /// What the value is, by its first byte.
    fn kind(self) -> NodeKind {
        match self.source[self.node().start as usize] {
            b'i' => NodeKind::Integer,
            b'l' => NodeKind::List,
            b'd' => NodeKind::Dictionary,
            _ => NodeKind::String,
        }
    }

    /// What a list or dictionary holds, of a dictionary the keys as well.
    fn parts(self) -> Parts<'d> {
        Parts { source: self.source, nodes: &self.nodes[1..self.node().count as usize] }
    }

    /// What the value says when nothing more is known of it.
    pub fn value(self) -> Value {
        match self.kind() {
            NodeKind::Integer => match (self.unsigned(), self.integer()) {
                (Some(number), _) => Value::Unsigned(number),
                (None, Some(number)) => Value::Signed(number),
                (None, None) => Value::Number(self.digits().unwrap_or_default().to_owned()),
            },
            NodeKind::String => text_or_bytes(self.bytes().unwrap_or_default()),
            NodeKind::List => Value::List,
            NodeKind::Dictionary => Value::Map,
        }
    }

    /// The fields that tile this value. `meaning` may say more of an entry, by its key, than [`View::value`]
    /// can; it is asked for the entries of this dictionary only, not for those further in.
    pub fn fields(self, meaning: &dyn Fn(&[u8], View<'_>) -> Option<Value>) -> Vec<Field> {
        let span = self.span();
        match self.kind() {
            NodeKind::Integer | NodeKind::String => vec![Field::content("value", span, self.value())],
            NodeKind::List | NodeKind::Dictionary => self.tiles(span.start, meaning),
        }
    }

    /// The parts of a list or dictionary, the opening framing taken from `start` on.
    fn tiles(self, start: usize, meaning: &dyn Fn(&[u8], View<'_>) -> Option<Value>) -> Vec<Field> {
        let Range { start: open, end } = self.span();
        let mut fields = vec![Field::framing("open", start..open + 1, Value::None)];
        if let Some(entries) = self.entries() {
            for entry in entries {
                fields.push(entry.field(entry.name(), meaning(entry.key, entry.value)));
            }
        }
        if let Some(items) = self.items() {
            for (index, item) in items.enumerate() {
                fields.push(item.field(index.to_string()));
            }
        }
        fields.push(Field::framing("close", end - 1..end, Value::None));
        fields
    }

    /// The value as a field, without a key.
    pub fn field(self, name: impl Into<Cow<'static, str>>) -> Field {
        self.tile(name.into(), self.span().start, None)
    }

    /// This value as one field that begins at `start`, with its key where it has one.
    fn tile(self, name: Cow<'static, str>, start: usize, meaning: Option<Value>) -> Field {
        let field = Field::content(name, start..self.span().end, meaning.unwrap_or_else(|| self.value()));
        // An empty list or dictionary has no parts that say anything.
        if self.node().count == 1 {
            return field;
        }
        field.with_children(self.tiles(start, &|_, _| None))
    }
}

/// The values of a list, or the keys and values of a dictionary.
#[derive(Debug, Clone)]
struct Parts<'d> {
    source: &'d [u8],
    /// The nodes that are left.
    nodes: &'d [Node],
}

impl<'d> Iterator for Parts<'d> {
    type Item = View<'d>;

    fn next(&mut self) -> Option<View<'d>> {
        let node = self.nodes.first()?;
        let view = View { source: self.source, nodes: self.nodes };
        self.nodes = &self.nodes[node.count as usize..];
        Some(view)
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NodeKind {
    Integer,
    String,
    List,
    Dictionary,
}

/// Where a value or a key stands. The nodes of what it holds come after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node {
    start: u32,
    end: u32,
    /// This node and all of those that it holds.
    count: u32,
}

struct Scanner<'a> {
    source: &'a [u8],
    at: usize,
    values: usize,
    most_nodes: usize,
    nodes: Vec<Node>,
    irregularities: Vec<Irregularity>,
}

impl Scanner<'_> {
    fn value(&mut self, depth: usize) -> Result<(), DecodeError> {
        const WANTED: &str = "a bencoded value: i, l, d or a digit";
        let start = self.at;
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(DecodeError::new(start, "at most 4,000,000 bencoded values"));
        }
        if self.nodes.len() >= self.most_nodes {
            return Err(DecodeError::new(start, "fewer bencoded values"));
        }
        let node = self.open();
        match self.source.get(start) {
            Some(b'i') => self.integer()?,
            Some(b'0'..=b'9') => {
                self.string()?;
            }
            Some(b'l' | b'd') if depth == MAX_DEPTH => {
                return Err(DecodeError::new(start, "lists and dictionaries at most 128 deep"));
            }
            Some(b'l') => self.list(depth + 1)?,
            Some(b'd') => self.dictionary(depth + 1)?,
            _ => return Err(DecodeError::new(start, WANTED)),
        }
        self.close(node);
        Ok(())
    }

    /// Begins a node where the scan stands.
    fn open(&mut self) -> usize {
        self.nodes.push(Node { start: self.at as u32, end: 0, count: 0 });
        self.nodes.len() - 1
    }

    /// Ends a node where the scan stands.
    fn close(&mut self, node: usize) {
        let count = self.nodes.len() - node;
        self.nodes[node].end = self.at as u32;
        self.nodes[node].count = count as u32;
    }

    fn integer(&mut self) -> Result<(), DecodeError> {
        self.at += 1;
        let start = self.at;
        let negative = self.source.get(start) == Some(&b'-');
        if negative {
            self.at += 1;
        }
        let digits = self.digits()?;
        if negative && self.source[digits] == *b"0" {
            self.irregular(start, IrregularityKind::NegativeZero);
        }
        self.expect(b'e', "a digit or the e that ends an integer")
    }

    fn string(&mut self) -> Result<Range<usize>, DecodeError> {
        let digits = self.digits()?;
        let longer =
            |length: usize, digit: &u8| length.checked_mul(10)?.checked_add(usize::from(digit - b'0'));
        let length = self.source[digits.clone()]
            .iter()
            .try_fold(0, longer)
            .ok_or(DecodeError::new(digits.start, "a string length that fits into memory"))?;
        self.expect(b':', "a digit or the colon after a string's length")?;
        if length > self.source.len() - self.at {
            return Err(DecodeError::new(digits.start, "a string that ends within the bytes given"));
        }
        let content = self.at..self.at + length;
        self.at = content.end;
        Ok(content)
    }

    fn list(&mut self, depth: usize) -> Result<(), DecodeError> {
        self.at += 1;
        while !self.closed("a list item or the e that ends the list")? {
            self.value(depth)?;
        }
        Ok(())
    }

    fn dictionary(&mut self, depth: usize) -> Result<(), DecodeError> {
        self.at += 1;
        let mut before: Option<Range<usize>> = None;
        while !self.closed("a dictionary key or the e that ends the dictionary")? {
            let start = self.at;
            if !self.source[start].is_ascii_digit() {
                return Err(DecodeError::new(start, "a dictionary key, which is a string"));
            }
            let node = self.open();
            let key = self.string()?;
            self.close(node);
            if let Some(before) = before {
                match self.source[before].cmp(&self.source[key.clone()]) {
                    std::cmp::Ordering::Less => {}
                    std::cmp::Ordering::Equal => self.irregular(start, IrregularityKind::DuplicateKey),
                    std::cmp::Ordering::Greater => self.irregular(start, IrregularityKind::UnsortedKey),
                }
            }
            before = Some(key);
            self.value(depth)?;
        }
        Ok(())
    }

    /// Whether an `e` stands here, which is taken.
    fn closed(&mut self, wanted: &'static str) -> Result<bool, DecodeError> {
        match self.source.get(self.at) {
            Some(b'e') => {
                self.at += 1;
                Ok(true)
            }
            Some(_) => Ok(false),
            None => Err(DecodeError::new(self.at, wanted)),
        }
    }

    fn digits(&mut self) -> Result<Range<usize>, DecodeError> {
        let start = self.at;
        let count = self.source[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(DecodeError::new(start, "a digit"));
        }
        if count > 1 && self.source[start] == b'0' {
            self.irregular(start, IrregularityKind::LeadingZero);
        }
        self.at = start + count;
        Ok(start..self.at)
    }

    fn expect(&mut self, byte: u8, wanted: &'static str) -> Result<(), DecodeError> {
        if self.source.get(self.at) != Some(&byte) {
            return Err(DecodeError::new(self.at, wanted));
        }
        self.at += 1;
        Ok(())
    }

    /// Keeps the first of the faults; a hostile document could be all faults.
    fn irregular(&mut self, offset: usize, kind: IrregularityKind) {
        if self.irregularities.len() < 100 {
            self.irregularities.push(Irregularity { offset, kind });
        }
    }
}

#[cfg(test)]
mod tests;
