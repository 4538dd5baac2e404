//! The names by which messages are chosen and columns filled: the keys of the JSON, what stands in its `fields`, and
//! Wireshark's names where they mean the same.

mod wireshark;

use std::fmt;

use super::catalog::{field_names, is_same_name};
pub(crate) use wireshark::{Scope, scope_of_word};

/// Something that a message has, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FieldName {
    /// A key of the message's object.
    Key(RowKey),
    /// A path within its `fields`.
    Field(String),
    /// Either of those, of messages within a scope alone.
    Scoped(Scope, Box<FieldName>),
}

macro_rules! keys {
    ($($key:ident = $name:literal $place:ident,)*) => {
        /// What every message may have beside its own fields.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum RowKey { $(#[doc = $name] $key,)* }

        /// The names of the keys, in the order in which JSON has them.
        pub(crate) const KEYS: &[(&str, RowKey)] = &[$(($name, RowKey::$key),)*];

        impl RowKey {
            /// Where the key is shown when nobody chooses.
            pub(crate) const fn place(self) -> KeyPlace {
                match self { $(Self::$key => KeyPlace::$place,)* }
            }
        }
    };
}

/// Where a key is shown when nobody chooses columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyPlace {
    /// In JSON and in CSV.
    Everywhere,
    /// In JSON, where values may nest.
    Json,
    /// In CSV, where they may not.
    Csv,
    /// Where the bytes of messages are asked for.
    WithBytes,
    /// Only where it is asked for.
    Nowhere,
}

/// The keys of the whole message's object, in their order.
pub(crate) fn keys_of_objects(with_bytes: bool) -> impl Iterator<Item = (&'static str, RowKey)> {
    let keys = KEYS.iter().copied();
    keys.filter(move |(_, key)| match key.place() {
        KeyPlace::Everywhere | KeyPlace::Json => true,
        KeyPlace::WithBytes => with_bytes,
        KeyPlace::Csv | KeyPlace::Nowhere => false,
    })
}

keys! {
    N = "n" Everywhere,
    NumberInCapture = "n_in_capture" Json,
    Time = "time" Everywhere,
    Elapsed = "elapsed" Everywhere,
    Capture = "capture" Everywhere,
    Frames = "frames" Everywhere,
    Frame = "frame" Csv,
    Stream = "stream" Everywhere,
    Wireshark = "wireshark" Json,
    WiresharkStream = "ws_stream" Csv,
    CommunityId = "community_id" Nowhere,
    Src = "src" Everywhere,
    SrcAddr = "src_addr" Nowhere,
    SrcPort = "src_port" Nowhere,
    Dst = "dst" Everywhere,
    DstAddr = "dst_addr" Nowhere,
    DstPort = "dst_port" Nowhere,
    Addr = "addr" Nowhere,
    Port = "port" Nowhere,
    Side = "speaker" Everywhere,
    Transport = "transport" Everywhere,
    Protocol = "protocol" Everywhere,
    Message = "message" Everywhere,
    MessageId = "message_id" Nowhere,
    Offset = "offset" Everywhere,
    Length = "length" Everywhere,
    Summary = "summary" Everywhere,
    Fields = "fields" Everywhere,
    Client = "client" Everywhere,
    Torrent = "torrent" Everywhere,
    Decrypted = "decrypted" Everywhere,
    Answers = "answers" Everywhere,
    Latency = "latency" Everywhere,
    Notes = "notes" Everywhere,
    Severity = "severity" Csv,
    Rule = "rule" Csv,
    Bytes = "bytes" WithBytes,
    Spans = "spans" WithBytes,
}

/// Names of fields that the catalog writes with a blank, as filters are mostly written.
const WITH_UNDERSCORE: &[&str] = &[
    "min_interval",
    "tracker_id",
    "external_ip",
    "warning_message",
    "failure_reason",
    "retry_in",
    "block_length",
];

/// The protocols of messages.
pub(crate) const PROTOCOLS: &[&str] =
    &["http-tracker", "udp-tracker", "peer-wire", "dht", "lsd", "utp", "mse", "web-seed", "proxy"];

/// A name that nothing has, and the names that come close to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnknownName {
    name: String,
    close: Vec<&'static str>,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown name \"{}\"", self.name)?;
        match self.close.as_slice() {
            [] => {
                let keys: Vec<_> = KEYS.iter().map(|(name, _)| *name).collect();
                write!(
                    f,
                    "; known names are {}, and the fields that bittrace fields lists; fields.NAME is any field of a \
                     message",
                    keys.join(", ")
                )
            }
            close => write!(
                f,
                "; did you mean {}? (fields.{} is any field of that name)",
                close.join(" or "),
                self.name
            ),
        }
    }
}

impl FieldName {
    /// Whether a message's number over all captures stands there.
    pub(crate) fn is_number_of_message(&self) -> bool {
        match self {
            Self::Key(key) => matches!(key, RowKey::N | RowKey::Answers),
            Self::Field(_) => false,
            Self::Scoped(_, name) => name.is_number_of_message(),
        }
    }

    /// Reads a name. `fields.NAME` is a field whatever it is called; a path may follow a known field.
    pub(crate) fn parse(text: &str) -> Result<Self, UnknownName> {
        // What a note has is also a name of its message.
        let text = text.trim_start_matches("notes.");
        if let Some(path) = text.strip_prefix("fields.").filter(|path| !path.is_empty()) {
            return Ok(Self::Field(path.to_owned()));
        }
        if let Some((_, key)) = KEYS.iter().find(|(name, _)| *name == text) {
            return Ok(Self::Key(*key));
        }
        if let Some(name) = wireshark::name(text) {
            return Ok(name);
        }
        let first = text.split('.').next().unwrap_or(text);
        let is_known = |name: &str| {
            WITH_UNDERSCORE.contains(&name) || field_names().any(|known| is_same_name(known, name))
        };
        if is_known(text) || is_known(first) {
            return Ok(Self::Field(text.to_owned()));
        }
        let known = all_names().filter(|name| !name.contains(' '));
        Err(UnknownName { name: text.to_owned(), close: close_to(text, known) })
    }
}

/// Every name of a key or field, one or several times each.
pub(crate) fn all_names() -> impl Iterator<Item = &'static str> {
    let keys = KEYS.iter().map(|(name, _)| *name);
    keys.chain(field_names()).chain(WITH_UNDERSCORE.iter().copied()).chain(wireshark::names())
}

/// The names that `text` is likely meant to be, the closest first.
pub(crate) fn close_to(text: &str, known: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let text = text.to_ascii_lowercase();
    let allowed = (text.chars().count() / 3).clamp(1, 3);
    let mut close: Vec<_> = known
        .filter_map(|name| {
            let distance = distance(&text, name);
            let within = text.len() >= 3 && name.contains(&text) || name.len() >= 3 && text.starts_with(name);
            (distance <= allowed || within).then_some((distance, name))
        })
        .collect();
    close.sort();
    close.dedup();
    close.into_iter().map(|(_, name)| name).take(3).collect()
}

/// How many letters must be changed, added, left out or swapped with their neighbour to make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let best = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if swapped { best.min(rows[i - 2][j - 2] + 1) } else { best }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_key_before_it_is_a_field() {
        assert_eq!(FieldName::parse("length"), Ok(FieldName::Key(RowKey::Length)));
        assert_eq!(FieldName::parse("Min_Interval"), Ok(FieldName::Field("Min_Interval".to_owned())));
        assert_eq!(FieldName::parse("fields.length"), Ok(FieldName::Field("length".to_owned())));
        assert_eq!(FieldName::parse("m.ut_metadata"), Ok(FieldName::Field("m.ut_metadata".to_owned())));
        assert_eq!(FieldName::parse("added.f"), Ok(FieldName::Field("added.f".to_owned())));
        assert_eq!(FieldName::parse("notes.rule"), Ok(FieldName::Key(RowKey::Rule)));
        assert_eq!(FieldName::parse("fields.notes.rule"), Ok(FieldName::Field("notes.rule".to_owned())));
    }

    #[test]
    fn a_long_path_needs_no_more_stack_than_a_short_one() {
        let path = format!("{}rule", "notes.".repeat(100_000));
        assert_eq!(FieldName::parse(&path), Ok(FieldName::Key(RowKey::Rule)));
    }

    #[test]
    fn an_unknown_name_names_its_neighbours() {
        let close = |text: &str| FieldName::parse(text).unwrap_err().close;
        assert_eq!(close("mesage"), ["message"]);
        assert_eq!(close("strema"), ["stream"]);
        assert_eq!(close("xyzzy"), [""; 0]);
    }
}
