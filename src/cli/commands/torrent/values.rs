//! The values of a torrent file: where each stands, and the whole file as JSON.
//!
//! Both are written from the scanned bytes: what stands in memory for each of millions of values is a node of the scan.

use std::collections::HashMap;
use std::ops::Range;

use bittrace_protocol::bencode::{self, Document, EntryView, View};
use bittrace_protocol::{DecodeError, Hex};
use bittrace_trace::units::counted;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A torrent file as it was scanned.
pub(super) struct TorrentValues<'a> {
    document: Document<'a>,
    end: usize,
}

/// A value with its name, under which the values of `info` stand as `info.NAME`.
pub(super) struct NamedValue<'d> {
    pub(super) name: String,
    /// The bytes of its key, with their length; `None` for what stands after the dictionary.
    pub(super) key: Option<Range<usize>>,
    /// The bytes of the value alone.
    pub(super) value: Range<usize>,
    view: Option<View<'d>>,
}

impl<'a> TorrentValues<'a> {
    /// Scans a file; bytes may follow its dictionary.
    pub(super) fn scan(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (document, end) = bencode::scan_prefix(bytes)?;
        Ok(Self { document, end })
    }

    /// The bytes of the info value, of which the info hash is taken.
    pub(super) fn info(&self) -> Option<Range<usize>> {
        self.document.root().get(b"info").map(View::span)
    }

    /// The values of the file and of `info`, in the order they stand.
    pub(super) fn named(&self) -> impl Iterator<Item = NamedValue<'_>> {
        let entries = self.document.root().entries().into_iter().flatten();
        let values = entries.flat_map(|entry| {
            let is_info = entry.key == b"info";
            let inner = is_info.then(|| entry.value.entries()).flatten().into_iter().flatten();
            // A key of the file that looks like one of these is shown in hex.
            let name = match entry.name() {
                name if name.starts_with("info.") => Hex(entry.key).to_string(),
                name => name,
            };
            let inner = inner.map(|part| NamedValue::new(format!("info.{}", part.name()), part));
            std::iter::once(NamedValue::new(name, entry)).chain(inner)
        });
        let length = self.document.source().len();
        let rest = NamedValue { name: "(rest)".to_owned(), key: None, value: self.end..length, view: None };
        values.chain((self.end < length).then_some(rest))
    }

    /// The file as a JSON value; its piece hashes as their length.
    pub(super) fn json(&self) -> JsonView<'_> {
        let root = self.document.root();
        let pieces = root.get(b"info").and_then(|info| Some(info.get(b"pieces")?.span().start));
        JsonView { view: root, pieces }
    }
}

impl<'d> NamedValue<'d> {
    fn new(name: String, entry: EntryView<'d>) -> Self {
        let value = entry.value.span();
        Self { name, key: Some(entry.span().start..value.start), value, view: Some(entry.value) }
    }

    /// What the value says, in a few words.
    pub(super) fn says(&self) -> String {
        let Some(view) = self.view else { return counted(self.value.len() as u64, "byte") };
        if let Some(items) = view.items() {
            return format!("list of {}", items.len());
        }
        if let Some(entries) = view.entries() {
            return format!("dictionary of {}", entries.len());
        }
        let Some(bytes) = view.bytes() else { return view.digits().unwrap_or_default().to_owned() };
        match text(bytes) {
            Some(text) if self.name != "info.pieces" => shortened(text),
            _ => counted(bytes.len() as u64, "byte"),
        }
    }
}

/// A value as JSON: text as it is, other bytes in hex.
#[derive(Clone, Copy)]
pub(super) struct JsonView<'d> {
    view: View<'d>,
    /// Where the piece hashes stand.
    pieces: Option<usize>,
}

impl<'d> JsonView<'d> {
    fn with(self, view: View<'d>) -> Self {
        Self { view, pieces: self.pieces }
    }
}

impl Serialize for JsonView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let view = self.view;
        if let Some(items) = view.items() {
            return serializer.collect_seq(items.map(|item| self.with(item)));
        }
        if view.is_dictionary() {
            return self.serialize_dictionary(serializer);
        }
        if let Some(bytes) = view.bytes() {
            if self.pieces == Some(view.span().start) {
                return serializer.collect_map([("length", bytes.len())]);
            }
            return match text(bytes) {
                Some(text) => serializer.serialize_str(text),
                None => serializer.collect_str(&Hex(bytes)),
            };
        }
        match (view.unsigned(), view.integer()) {
            (Some(number), _) => serializer.serialize_u64(number),
            (None, Some(number)) => serializer.serialize_i64(number),
            (None, None) => serializer.serialize_str(view.digits().unwrap_or_default()),
        }
    }
}

impl JsonView<'_> {
    /// A key that stands twice gets a list of its values.
    fn serialize_dictionary<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = || self.view.entries().into_iter().flatten();
        let keys = || entries().map(|entry| entry.key);
        if keys().is_sorted_by(|one, next| one < next) && keys().all(|key| std::str::from_utf8(key).is_ok()) {
            return serializer.collect_map(entries().map(|entry| (entry.name(), self.with(entry.value))));
        }
        let mut places = HashMap::new();
        let mut named: Vec<(String, Vec<JsonView<'_>>)> = Vec::new();
        for entry in entries() {
            let place = *places.entry(entry.name()).or_insert_with(|| {
                named.push((entry.name(), Vec::new()));
                named.len() - 1
            });
            named[place].1.push(self.with(entry.value));
        }
        let mut map = serializer.serialize_map(Some(named.len()))?;
        for (name, values) in &named {
            match values.as_slice() {
                [one] => map.serialize_entry(name, one)?,
                several => map.serialize_entry(name, several)?,
            }
        }
        map.end()
    }
}

/// Bytes that are printable UTF-8.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use bittrace_protocol::Metainfo;
    use serde_json::json;
    use sha1::{Digest, Sha1};

    use super::*;

    const TORRENT: &[u8] = b"d8:announce8:http://a4:infod5:filesld6:lengthi5e4:pathl1:aeee4:name1:d\
        12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae11:info.lengthi7ee\n";

    #[test]
    fn the_info_hash_is_the_sha1_of_the_range_of_info() {
        let values = TorrentValues::scan(TORRENT).unwrap();
        let info = values.named().find(|value| value.name == "info").unwrap();
        assert_eq!(Some(&info.value), values.info().as_ref());
        let hash: [u8; 20] = Sha1::digest(&TORRENT[info.value]).into();
        assert_eq!(hash, Metainfo::decode(TORRENT).unwrap().info_hash.0);
        assert_eq!(&TORRENT[info.key.unwrap()], b"4:info");
    }

    #[test]
    fn keys_and_values_have_ranges_apart() {
        let values = TorrentValues::scan(TORRENT).unwrap();
        let shown: Vec<_> = values.named().map(|value| (value.name.clone(), value.says())).collect();
        let expected = [
            ("announce", "http://a"),
            ("info", "dictionary of 4"),
            ("info.files", "list of 1"),
            ("info.name", "d"),
            ("info.piece length", "16384"),
            ("info.pieces", "20 bytes"),
            // A key of the file, not a value of info.
            ("696e666f2e6c656e677468", "7"),
            ("(rest)", "1 byte"),
        ];
        assert_eq!(shown, expected.map(|(name, says)| (name.to_owned(), says.to_owned())));
        for value in values.named() {
            if let Some(key) = value.key {
                assert_eq!(key.end, value.value.start, "{}", value.name);
            }
        }
    }

    #[test]
    fn json_has_what_stands_in_the_file_and_no_more() {
        let values = TorrentValues::scan(TORRENT).unwrap();
        let expected = json!({
            "announce": "http://a",
            "info": {
                "files": [{ "length": 5, "path": ["a"] }],
                "name": "d",
                "piece length": 16384,
                "pieces": { "length": 20 },
            },
            "info.length": 7,
        });
        assert_eq!(serde_json::to_value(values.json()).unwrap(), expected);
    }

    #[test]
    fn a_key_that_stands_twice_loses_nothing() {
        let bytes = b"d1:ai1e1:ai-2e1:\xffl1:\xfeee";
        let values = TorrentValues::scan(bytes).unwrap();
        assert_eq!(serde_json::to_value(values.json()).unwrap(), json!({ "a": [1, -2], "ff": ["fe"] }));
    }
}
