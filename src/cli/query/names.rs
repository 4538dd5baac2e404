//! The names by which messages are chosen and columns filled: the keys of the JSON, and what stands in its `fields`.

use std::fmt;

/// Something that a message has, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FieldName {
    /// A key of the message's object.
    Key(RowKey),
    /// A path within its `fields`.
    Field(String),
}

macro_rules! keys {
    ($($key:ident = $name:literal,)*) => {
        /// The keys of a message's object.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum RowKey { $(#[doc = $name] $key,)* }

        /// The names of the keys, in the order in which JSON has them.
        pub(crate) const KEYS: &[(&str, RowKey)] = &[$(($name, RowKey::$key),)*];
    };
}

keys! {
    N = "n",
    Time = "time",
    Elapsed = "elapsed",
    Capture = "capture",
    Frames = "frames",
    Stream = "stream",
    Src = "src",
    Dst = "dst",
    Side = "speaker",
    Transport = "transport",
    Protocol = "protocol",
    Message = "message",
    Offset = "offset",
    Length = "length",
    Summary = "summary",
    Fields = "fields",
    Client = "client",
    Torrent = "torrent",
    Decrypted = "decrypted",
    Answers = "answers",
    Latency = "latency",
    Notes = "notes",
    Severity = "severity",
    Rule = "rule",
    Bytes = "bytes",
}

/// Names inside `fields` that may be written without `fields.` before them.
const FIELDS: &[&str] = &[
    "index",
    "begin",
    "block_length",
    "bitfield",
    "port",
    "extension",
    "extended_id",
    "m",
    "v",
    "p",
    "reqq",
    "metadata_size",
    "yourip",
    "ipv4",
    "ipv6",
    "upload_only",
    "msg_type",
    "piece",
    "total_size",
    "added",
    "added.f",
    "added6",
    "added6.f",
    "dropped",
    "dropped6",
    "addr",
    "err_code",
    "pieces_root",
    "base_layer",
    "proof_layers",
    "hashes_length",
    "reserved",
    "reserved_hex",
    "info_hash",
    "peer_id",
    "peer_id_text",
    "method",
    "path",
    "version",
    "headers",
    "status",
    "uploaded",
    "downloaded",
    "left",
    "corrupt",
    "redundant",
    "event",
    "numwant",
    "num_want",
    "key",
    "compact",
    "no_peer_id",
    "supportcrypto",
    "requirecrypto",
    "ip",
    "trackerid",
    "interval",
    "min_interval",
    "complete",
    "incomplete",
    "downloaders",
    "peers",
    "peers6",
    "peer_ids",
    "tracker_id",
    "warning_message",
    "failure_reason",
    "retry_in",
    "external_ip",
    "files",
    "transaction_id",
    "connection_id",
    "seeders",
    "leechers",
    "completed",
    "url_data",
    "extra",
    "public_key",
    "ranges",
    "seed",
    "noseed",
    "complete_ago",
    "e",
    "req1",
    "req2_xor_req3",
    "crypto_provide",
    "crypto_provide_hex",
    "crypto_select",
    "crypto_select_hex",
    "sent_ahead",
    "file",
    "range",
    "pieces",
    "id",
    "target",
    "implied_port",
    "token",
    "want",
    "nodes",
    "nodes6",
    "values",
    "samples",
    "num",
    "k",
    "salt",
    "sig",
    "seq",
    "cas",
    "code",
    "read_only",
    "host",
    "cookie",
    "type",
    "seq_nr",
    "ack_nr",
    "wnd_size",
    "reason",
    "of",
    "total",
];

/// The protocols of messages.
pub(crate) const PROTOCOLS: &[&str] =
    &["http-tracker", "udp-tracker", "peer-wire", "dht", "lsd", "utp", "mse", "web-seed", "proxy"];

/// The names of messages, of all protocols.
pub(crate) const MESSAGES: &[&str] = &[
    "handshake",
    "keep-alive",
    "choke",
    "unchoke",
    "interested",
    "not-interested",
    "have",
    "bitfield",
    "request",
    "piece",
    "cancel",
    "port",
    "suggest-piece",
    "have-all",
    "have-none",
    "reject-request",
    "allowed-fast",
    "extended",
    "hash-request",
    "hashes",
    "hash-reject",
    "unknown",
    "opaque",
    "gap",
    "announce-request",
    "announce-response",
    "scrape-request",
    "scrape-response",
    "error",
    "connect-request",
    "connect-response",
    "key-exchange",
    "padding",
    "torrent-hash",
    "crypto-provide",
    "crypto-select",
    "encrypted",
    "azureus",
    "az-handshake",
    "az-peer-exchange",
    "az-have",
    "az-bad-piece",
    "az-request-hint",
    "az-metadata",
    "az-stat-request",
    "az-stat-reply",
    "socks4-request",
    "socks4-reply",
    "socks5-greeting",
    "socks5-method",
    "socks5-auth",
    "socks5-auth-reply",
    "socks5-request",
    "socks5-reply",
    "http-connect-request",
    "http-connect-response",
    "ping-query",
    "ping-response",
    "find_node-query",
    "find_node-response",
    "get_peers-query",
    "get_peers-response",
    "announce_peer-query",
    "announce_peer-response",
    "get-query",
    "get-response",
    "put-query",
    "put-response",
    "sample_infohashes-query",
    "sample_infohashes-response",
    "query",
    "response",
    "data",
    "announce",
];

/// A name that nothing has, and the names that come close to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnknownName {
    name: String,
    close: Vec<&'static str>,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is no name that is known", self.name)?;
        match self.close.as_slice() {
            [] => {
                let keys: Vec<_> = KEYS.iter().map(|(name, _)| *name).collect();
                write!(
                    f,
                    "; names are {}, and those of the message's own fields: write fields.NAME",
                    keys.join(", ")
                )
            }
            close => write!(
                f,
                "; do you mean {}? (fields.{} is whatever stands under it in `fields`)",
                close.join(" or "),
                self.name
            ),
        }
    }
}

impl FieldName {
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
        let first = text.split('.').next().unwrap_or(text);
        if FIELDS.contains(&text) || FIELDS.contains(&first) {
            return Ok(Self::Field(text.to_owned()));
        }
        let known = KEYS.iter().map(|(name, _)| *name).chain(FIELDS.iter().copied());
        Err(UnknownName { name: text.to_owned(), close: close_to(text, known) })
    }
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
