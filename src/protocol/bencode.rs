//! Where each value of a bencoded document stands in its bytes (BEP 3, "bencoding"), and how values are written.
//!
//! The scan runs before anything else looks at bencoded bytes: it is strict about syntax, bounded in
//! depth, and copies nothing. What is readable but not canonical (keys out of order, leading zeros) is
//! kept and listed, since an info hash is taken over the bytes as they came.

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

/// How many values a document may have. The largest real ones, torrents of some 100,000 files, have
/// under a million; two bytes make a value, so the bound is what keeps a hostile document small.
pub const MAX_VALUES: usize = 4_000_000;

/// A scanned document: its bytes, and where each value stands in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document<'a> {
    source: &'a [u8],
    root: Item,
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
/// behind its dictionary.
///
/// # Errors
/// As for [`scan`], except that bytes may follow.
pub fn scan_prefix(bytes: &[u8]) -> Result<(Document<'_>, usize), DecodeError> {
    let mut scanner = Scanner { source: bytes, at: 0, values: 0, irregularities: Vec::new() };
    let root = scanner.value(0)?;
    let end = scanner.at;
    Ok((Document { source: bytes, root, irregularities: scanner.irregularities }, end))
}

impl<'a> Document<'a> {
    /// The outermost value.
    pub const fn root(&self) -> View<'_> {
        View { source: self.source, item: &self.root }
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
    item: &'d Item,
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
        self.key_start..self.value.item.span.end
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
    pub fn span(self) -> Range<usize> {
        self.item.span.clone()
    }

    /// The value's bytes as they came: what an info hash is taken over.
    pub fn raw(self) -> &'d [u8] {
        &self.source[self.item.span.clone()]
    }

    /// A string's bytes.
    pub fn bytes(self) -> Option<&'d [u8]> {
        match &self.item.kind {
            NodeKind::String(content) => Some(&self.source[content.clone()]),
            _ => None,
        }
    }

    /// Where a string's bytes stand, without its length prefix.
    pub fn content_span(self) -> Option<Range<usize>> {
        match &self.item.kind {
            NodeKind::String(content) => Some(content.clone()),
            _ => None,
        }
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
        match &self.item.kind {
            NodeKind::Integer(digits) => std::str::from_utf8(&self.source[digits.clone()]).ok(),
            _ => None,
        }
    }

    /// A list's items; `None` when this is no list.
    pub fn items(self) -> Option<impl ExactSizeIterator<Item = View<'d>>> {
        match &self.item.kind {
            NodeKind::List(items) => Some(items.iter().map(move |item| View { source: self.source, item })),
            _ => None,
        }
    }

    /// A dictionary's entries in the order they stand; `None` when this is no dictionary.
    pub fn entries(self) -> Option<impl ExactSizeIterator<Item = EntryView<'d>>> {
        match &self.item.kind {
            NodeKind::Dictionary(entries) => Some(entries.iter().map(move |entry| EntryView {
                key: &self.source[entry.key.clone()],
                value: View { source: self.source, item: &entry.value },
                key_start: entry.start,
            })),
            _ => None,
        }
    }

    /// The value under `key`; the first when the key stands twice.
    pub fn get(self, key: &[u8]) -> Option<View<'d>> {
        self.entries()?.find(|entry| entry.key == key).map(|entry| entry.value)
    }

    /// Whether this is a dictionary.
    pub const fn is_dictionary(self) -> bool {
        matches!(self.item.kind, NodeKind::Dictionary(_))
    }

    /// What the value says when nothing more is known of it.
    pub fn value(self) -> Value {
        match &self.item.kind {
            NodeKind::Integer(_) => match (self.unsigned(), self.integer()) {
                (Some(number), _) => Value::Unsigned(number),
                (None, Some(number)) => Value::Signed(number),
                (None, None) => Value::Number(self.digits().unwrap_or_default().to_owned()),
            },
            NodeKind::String(content) => text_or_bytes(&self.source[content.clone()]),
            NodeKind::List(_) => Value::List,
            NodeKind::Dictionary(_) => Value::Map,
        }
    }

    /// The fields that tile this value. `meaning` may say more of an entry, by its key, than [`View::value`]
    /// can; it is asked for the entries of this dictionary only, not for those further in.
    pub fn fields(self, meaning: &dyn Fn(&[u8], View<'_>) -> Option<Value>) -> Vec<Field> {
        let span = self.item.span.clone();
        match &self.item.kind {
            NodeKind::Integer(_) | NodeKind::String(_) => vec![Field::content("value", span, self.value())],
            NodeKind::List(_) | NodeKind::Dictionary(_) => self.tiles(span.start, meaning),
        }
    }

    /// The parts of a list or dictionary, the opening framing taken from `start` on.
    fn tiles(self, start: usize, meaning: &dyn Fn(&[u8], View<'_>) -> Option<Value>) -> Vec<Field> {
        let Range { start: open, end } = self.item.span;
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
        self.tile(name.into(), self.item.span.start, None)
    }

    /// This value as one field that begins at `start`, with its key where it has one.
    fn tile(self, name: Cow<'static, str>, start: usize, meaning: Option<Value>) -> Field {
        let field = Field::content(name, start..self.item.span.end, meaning.unwrap_or_else(|| self.value()));
        match self.item.kind {
            NodeKind::List(_) | NodeKind::Dictionary(_) => {
                field.with_children(self.tiles(start, &|_, _| None))
            }
            NodeKind::Integer(_) | NodeKind::String(_) => field,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    span: Range<usize>,
    kind: NodeKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum NodeKind {
    /// The digits with their sign, without `i` and `e`.
    Integer(Range<usize>),
    /// The bytes without their length.
    String(Range<usize>),
    List(Vec<Item>),
    Dictionary(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// Where the key's length begins.
    start: usize,
    /// The key's bytes.
    key: Range<usize>,
    value: Item,
}

struct Scanner<'a> {
    source: &'a [u8],
    at: usize,
    values: usize,
    irregularities: Vec<Irregularity>,
}

impl Scanner<'_> {
    fn value(&mut self, depth: usize) -> Result<Item, DecodeError> {
        const WANTED: &str = "a bencoded value: i, l, d or a digit";
        let start = self.at;
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(DecodeError::new(start, "at most 4,000,000 bencoded values"));
        }
        let kind = match self.source.get(start) {
            Some(b'i') => self.integer()?,
            Some(b'0'..=b'9') => NodeKind::String(self.string()?),
            Some(b'l' | b'd') if depth == MAX_DEPTH => {
                return Err(DecodeError::new(start, "lists and dictionaries at most 128 deep"));
            }
            Some(b'l') => self.list(depth + 1)?,
            Some(b'd') => self.dictionary(depth + 1)?,
            _ => return Err(DecodeError::new(start, WANTED)),
        };
        Ok(Item { span: start..self.at, kind })
    }

    fn integer(&mut self) -> Result<NodeKind, DecodeError> {
        self.at += 1;
        let start = self.at;
        let negative = self.source.get(start) == Some(&b'-');
        if negative {
            self.at += 1;
        }
        let digits = self.digits()?;
        if negative && self.source[digits.clone()] == *b"0" {
            self.irregular(start, IrregularityKind::NegativeZero);
        }
        self.expect(b'e', "a digit or the e that ends an integer")?;
        Ok(NodeKind::Integer(start..digits.end))
    }

    fn string(&mut self) -> Result<Range<usize>, DecodeError> {
        let digits = self.digits()?;
        let length = std::str::from_utf8(&self.source[digits.clone()])
            .ok()
            .and_then(|text| text.parse::<usize>().ok())
            .ok_or(DecodeError::new(digits.start, "a string length that fits into memory"))?;
        self.expect(b':', "a digit or the colon after a string's length")?;
        if length > self.source.len() - self.at {
            return Err(DecodeError::new(digits.start, "a string that ends within the bytes given"));
        }
        let content = self.at..self.at + length;
        self.at = content.end;
        Ok(content)
    }

    fn list(&mut self, depth: usize) -> Result<NodeKind, DecodeError> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.closed("a list item or the e that ends the list")? {
            items.push(self.value(depth)?);
        }
        Ok(NodeKind::List(items))
    }

    fn dictionary(&mut self, depth: usize) -> Result<NodeKind, DecodeError> {
        self.at += 1;
        let mut entries: Vec<Entry> = Vec::new();
        while !self.closed("a dictionary key or the e that ends the dictionary")? {
            let start = self.at;
            if !self.source[start].is_ascii_digit() {
                return Err(DecodeError::new(start, "a dictionary key, which is a string"));
            }
            let key = self.string()?;
            if let Some(before) = entries.last() {
                match self.source[before.key.clone()].cmp(&self.source[key.clone()]) {
                    std::cmp::Ordering::Less => {}
                    std::cmp::Ordering::Equal => self.irregular(start, IrregularityKind::DuplicateKey),
                    std::cmp::Ordering::Greater => self.irregular(start, IrregularityKind::UnsortedKey),
                }
            }
            let value = self.value(depth)?;
            entries.push(Entry { start, key, value });
        }
        Ok(NodeKind::Dictionary(entries))
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::field::untiled;

    fn error(bytes: &[u8]) -> DecodeError {
        scan(bytes).expect_err("must be rejected")
    }

    fn first_irregularity(bytes: &[u8]) -> Irregularity {
        scan(bytes).unwrap().irregularities()[0]
    }

    #[test]
    fn finds_each_value_and_where_it_stands() {
        let bytes = b"d3:cow3:moo4:spaml1:a1:bi-42eee";
        let document = scan(bytes).unwrap();
        let root = document.root();
        assert_eq!(root.get(b"cow").unwrap().text(), Some("moo"));
        assert_eq!(root.get(b"cow").unwrap().span(), 6..11);
        let spam = root.get(b"spam").unwrap();
        assert_eq!(spam.raw(), b"l1:a1:bi-42ee");
        assert_eq!(spam.items().unwrap().nth(2).unwrap().integer(), Some(-42));
        assert!(root.get(b"milk").is_none());
    }

    #[test]
    fn reads_what_is_forbidden_but_lists_it() {
        use IrregularityKind::*;
        for (bytes, offset, kind) in [
            (&b"i03e"[..], 1, LeadingZero),
            (b"i-0e", 1, NegativeZero),
            (b"d1:bi1e1:ai2ee", 7, UnsortedKey),
            (b"d1:ai1e1:ai2ee", 7, DuplicateKey),
            (b"l02:abe", 1, LeadingZero),
        ] {
            assert_eq!(first_irregularity(bytes), Irregularity { offset, kind });
        }
        assert!(scan(b"d1:ai0e1:bi10ee").unwrap().irregularities().is_empty());
    }

    #[test]
    fn names_the_offset_of_what_is_no_bencoding() {
        for (bytes, offset) in [
            (&b""[..], 0),
            (b"x", 0),
            (b"ie", 1),
            (b"i-e", 2),
            (b"i1", 2),
            (b"4:abc", 0),
            (b"l1:a", 4),
            (b"di1e1:ae", 1),
            (b"d1:ae", 4),
            (b"i1ei2e", 3),
            (b"99999999999999999999999:a", 0),
        ] {
            assert_eq!(error(bytes).offset, offset, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn integers_have_no_size_limit() {
        let document = scan(b"i123456789012345678901234567890e").unwrap();
        assert_eq!(document.root().integer(), None);
        assert_eq!(document.root().value(), Value::Number("123456789012345678901234567890".into()));
    }

    #[test]
    fn deep_nesting_is_refused_before_the_stack_ends() {
        assert_eq!(error(&b"l".repeat(100_000)).offset, MAX_DEPTH);
    }

    #[test]
    fn a_payload_may_follow_a_prefix() {
        let (document, end) = scan_prefix(b"d8:msg_typei1eerest").unwrap();
        assert_eq!(end, 15);
        assert!(document.root().is_dictionary());
    }

    fn bencoded() -> impl Strategy<Value = Vec<u8>> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(|number| format!("i{number}e").into_bytes()),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| {
                let mut out = Writer::default();
                out.bytes(&bytes);
                out.into_bytes()
            }),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(|items| [
                    b"l".to_vec(),
                    items.concat(),
                    b"e".to_vec()
                ]
                .concat()),
                prop::collection::btree_map(prop::collection::vec(any::<u8>(), 0..6), inner, 0..6).prop_map(
                    |entries| dictionary(|out| entries.iter().for_each(|(key, value)| out.raw(key, value)))
                ),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_bencoded_value_is_read_whole(bytes in bencoded()) {
            let document = scan(&bytes).unwrap();
            prop_assert_eq!(document.root().span(), 0..bytes.len());
            prop_assert!(document.irregularities().is_empty());
            prop_assert_eq!(untiled(&document.root().fields(&|_, _| None), 0..bytes.len()), None);
        }

        #[test]
        fn every_cut_is_an_error_within_the_bytes(bytes in bencoded()) {
            for end in 0..bytes.len() {
                prop_assert!(error(&bytes[..end]).offset <= end);
            }
        }

        #[test]
        fn random_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = scan_prefix(&bytes);
        }
    }
}
