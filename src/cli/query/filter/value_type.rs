//! What can stand on the right side of a comparison with each name. A value that no message has is refused, with what was
//! probably meant: a filter that can never be true would look like an empty capture.

use std::net::{IpAddr, SocketAddr};

use bittrace_trace::CommunityId;
use bittrace_trace::rules::RULES;

use super::Operator;
use super::operand::{Operand, hex_digits, network};
use crate::print::units::parse_rfc3339;
use crate::query::catalog::{FieldKind, kinds_of, message_names};
use crate::query::names::{FieldName, PROTOCOLS, RowKey, close_to};

/// The type of what stands under a name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ValueType {
    Number(Unit),
    Time,
    Severity,
    /// One of some words.
    Word(&'static [&'static str]),
    Message,
    Rule,
    /// An address, and where it has one its port.
    End,
    Address,
    /// Bytes in hexadecimal digits. Of a hash, the first digits are enough.
    Hex,
    Hash,
    CommunityId,
    /// True, or not there.
    Flag,
    /// Text, or a type that is not known.
    Text,
}

/// The type of a field of messages, in a word: `number`, `bytes`, `seconds`, `hash`, `hex`, `address`, `end` or `text`.
pub(crate) fn field_type(name: &str) -> &'static str {
    match ValueType::of_field(name) {
        ValueType::Number(Unit::None) => "number",
        ValueType::Number(Unit::Bytes) => "bytes",
        ValueType::Number(Unit::Seconds) => "seconds",
        ValueType::Hash => "hash",
        ValueType::Hex => "hex",
        ValueType::Address => "address",
        ValueType::End => "end",
        _ => "text",
    }
}

/// The unit of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    None,
    Bytes,
    Seconds,
}

/// How many digits tell a hash.
const PREFIX: usize = 6;

impl ValueType {
    pub(super) fn of(name: &FieldName) -> Self {
        match name {
            FieldName::Key(key) => Self::of_key(*key),
            FieldName::Field(path) => Self::of_field(path),
            FieldName::Scoped(_, name) => Self::of(name),
        }
    }

    const fn of_key(key: RowKey) -> Self {
        match key {
            RowKey::N
            | RowKey::NumberInCapture
            | RowKey::Frames
            | RowKey::Frame
            | RowKey::Stream
            | RowKey::WiresharkStream
            | RowKey::SrcPort
            | RowKey::DstPort
            | RowKey::Port
            | RowKey::MessageId
            | RowKey::Answers => Self::Number(Unit::None),
            RowKey::Offset | RowKey::Length => Self::Number(Unit::Bytes),
            RowKey::Elapsed | RowKey::Latency => Self::Number(Unit::Seconds),
            RowKey::Time => Self::Time,
            RowKey::Src | RowKey::Dst => Self::End,
            RowKey::SrcAddr | RowKey::DstAddr | RowKey::Addr => Self::Address,
            RowKey::Side => Self::Word(&["local", "far", "initiator", "responder"]),
            RowKey::Transport => Self::Word(&["tcp", "udp", "utp"]),
            RowKey::Protocol => Self::Word(PROTOCOLS),
            RowKey::Message => Self::Message,
            RowKey::Severity => Self::Severity,
            RowKey::Rule => Self::Rule,
            RowKey::Torrent => Self::Hash,
            RowKey::CommunityId => Self::CommunityId,
            RowKey::Decrypted => Self::Flag,
            RowKey::Bytes => Self::Hex,
            RowKey::Capture
            | RowKey::Wireshark
            | RowKey::Summary
            | RowKey::Fields
            | RowKey::Spans
            | RowKey::Client
            | RowKey::Notes => Self::Text,
        }
    }

    /// The type of a message's own field. A name that has several types is text.
    fn of_field(path: &str) -> Self {
        let kinds = kinds_of(path);
        let all = |is: fn(FieldKind) -> bool| !kinds.is_empty() && kinds.iter().all(|kind| is(*kind));
        if all(FieldKind::is_number) {
            let has = |kind| kinds.contains(&kind);
            return Self::Number(match (has(FieldKind::Bytes), has(FieldKind::Seconds)) {
                (true, _) => Unit::Bytes,
                (false, true) => Unit::Seconds,
                (false, false) => Unit::None,
            });
        }
        if all(|kind| kind == FieldKind::Hash) {
            Self::Hash
        } else if all(|kind| kind == FieldKind::Hex) {
            Self::Hex
        } else if all(|kind| kind == FieldKind::Address) {
            Self::Address
        } else if all(|kind| matches!(kind, FieldKind::Endpoint | FieldKind::Endpoints)) {
            Self::End
        } else {
            Self::Text
        }
    }

    /// Reads a value to compare with.
    pub(super) fn operand(self, operator: Operator, name: &str, value: &str) -> Result<Operand, String> {
        if operator == Operator::Matches {
            return self.pattern(name, value);
        }
        if operator.is_order() && !self.has_order() {
            return Err(format!("{name} has no order: use ==, !=, in or ~"));
        }
        let is_part = operator == Operator::Contains;
        match self {
            Self::Number(unit) => number(unit, name, value),
            Self::Time => time(is_part, value),
            Self::Severity => word(name, value, SEVERITIES.iter().copied(), false),
            Self::Word(known) => word(name, value, known.iter().copied(), is_part),
            Self::Message => word(name, value, message_names(), is_part),
            Self::Rule => word(name, value, RULES.iter().map(|rule| rule.id), is_part),
            Self::End | Self::Address => address(self, is_part, name, value),
            Self::Hex | Self::Hash => hex(self, is_part, name, value),
            Self::CommunityId => community_id(is_part, name, value),
            Self::Flag if value.eq_ignore_ascii_case("true") => Ok(Operand::text(value)),
            Self::Flag => Err(format!("{name} is either true or absent: write {name}, or not {name}")),
            Self::Text => network_or_text(value),
        }
    }

    fn pattern(self, name: &str, value: &str) -> Result<Operand, String> {
        if matches!(self, Self::Number(_) | Self::Time | Self::Severity | Self::Flag) {
            return Err(format!("matches is for text, and {name} is not text: use == or <"));
        }
        Operand::pattern(value).map_err(|error| format!("not a regular expression: {error}"))
    }

    const fn has_order(self) -> bool {
        matches!(self, Self::Number(_) | Self::Time | Self::Severity | Self::End | Self::Address | Self::Text)
    }
}

const SEVERITIES: [&str; 4] = ["chat", "note", "warn", "error"];

fn number(unit: Unit, name: &str, value: &str) -> Result<Operand, String> {
    if let Some(number) = plain_number(value) {
        return Ok(Operand::number(value, number));
    }
    let digits = value.trim_end_matches(|c: char| c.is_alphabetic());
    let suffix = &value[digits.len()..];
    let (Some(number), Some((_, factor, of))) =
        (plain_number(digits), UNITS.iter().find(|(name, ..)| *name == suffix))
    else {
        return Err(format!("{name} is a number, and \"{value}\" is not"));
    };
    if *of != unit {
        let instead = match unit {
            Unit::None => "has no unit",
            Unit::Bytes => "counts bytes: units are B, KiB, MiB, GiB, kB, MB, GB",
            Unit::Seconds => "is in seconds: units are ns, us, ms, s, min, h, d",
        };
        return Err(format!("{name} {instead}"));
    }
    Ok(Operand::number(value, number * factor))
}

/// A number in decimal or hexadecimal digits, without a unit.
fn plain_number(text: &str) -> Option<f64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().map(|number| number as f64);
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Units, and how many bytes or seconds each has.
const UNITS: &[(&str, f64, Unit)] = &[
    ("B", 1.0, Unit::Bytes),
    ("kB", 1e3, Unit::Bytes),
    ("KB", 1e3, Unit::Bytes),
    ("MB", 1e6, Unit::Bytes),
    ("GB", 1e9, Unit::Bytes),
    ("KiB", 1024.0, Unit::Bytes),
    ("MiB", 1_048_576.0, Unit::Bytes),
    ("GiB", 1_073_741_824.0, Unit::Bytes),
    ("ns", 1e-9, Unit::Seconds),
    ("us", 1e-6, Unit::Seconds),
    ("µs", 1e-6, Unit::Seconds),
    ("ms", 1e-3, Unit::Seconds),
    ("s", 1.0, Unit::Seconds),
    ("min", 60.0, Unit::Seconds),
    ("h", 3_600.0, Unit::Seconds),
    ("d", 86_400.0, Unit::Seconds),
];

fn time(is_part: bool, value: &str) -> Result<Operand, String> {
    match parse_rfc3339(value) {
        Some(moment) => Ok(Operand::moment(value, moment)),
        None if is_part && value.bytes().all(|byte| b"0123456789-:.TZtz".contains(&byte)) => {
            Ok(Operand::text(value))
        }
        None => Err(format!(
            "\"{value}\" is not a time such as 2026-01-02T03:04:05Z; elapsed counts seconds from the first packet"
        )),
    }
}

fn word(
    name: &str,
    value: &str,
    known: impl Iterator<Item = &'static str> + Clone,
    is_part: bool,
) -> Result<Operand, String> {
    let lower = value.to_lowercase();
    let is_known = known.clone().any(|word| if is_part { word.contains(&lower) } else { word == lower });
    if is_known {
        return Ok(Operand::text(value));
    }
    let close = close_to(value, known.clone());
    if !close.is_empty() {
        return Err(format!("unknown {name} \"{value}\"; did you mean {}?", close.join(" or ")));
    }
    let mut all: Vec<_> = known.collect();
    all.dedup();
    let list =
        if name == "rule" { "bittrace analyze --list-rules lists all".to_owned() } else { all.join(", ") };
    Err(format!("unknown {name} \"{value}\": {list}"))
}

fn address(of: ValueType, is_part: bool, name: &str, value: &str) -> Result<Operand, String> {
    network_or_text(value)?;
    let bare = value.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(value);
    let is_whole = bare.parse::<IpAddr>().is_ok() || network(value).is_some();
    let has_port = value.parse::<SocketAddr>().is_ok();
    if is_whole || has_port && of == ValueType::End {
        return Ok(Operand::address(value));
    }
    if has_port {
        return Err(format!("{name} has no port: write the address alone"));
    }
    let could_be = value.bytes().all(|byte| byte.is_ascii_hexdigit() || b".:[]%".contains(&byte));
    match (is_part && could_be, could_be) {
        (true, _) => Ok(Operand::address(value)),
        (false, true) => {
            Err(format!("\"{value}\" is not a whole address; {name} ~ {value} finds a part of one"))
        }
        (false, false) => Err(format!("\"{value}\" is not an address or a network such as 10.0.0.0/8")),
    }
}

/// Refuses what begins as a network and is not a network. Nothing that a message has is an address before a slash.
fn network_or_text(value: &str) -> Result<Operand, String> {
    let Some((address, length)) = value.split_once('/') else { return Ok(Operand::address(value)) };
    let Ok(address) = address.parse::<IpAddr>() else { return Ok(Operand::address(value)) };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    if length.parse::<u32>().is_ok_and(|length| length <= longest) {
        return Ok(Operand::address(value));
    }
    Err(format!("\"{value}\" is not a network: expected {address}/ and a number from 0 to {longest}"))
}

fn hex(of: ValueType, is_part: bool, name: &str, value: &str) -> Result<Operand, String> {
    let Some(digits) = hex_digits(value) else {
        return Err(match name {
            "peer_id" => format!("peer_id is in hexadecimal digits: peer_id_text ~ \"{value}\" finds text"),
            name => format!("{name} is in hexadecimal digits, and \"{value}\" is not"),
        });
    };
    match of {
        ValueType::Hash if !is_part && digits.len() < PREFIX => Err(format!(
            "a hash needs at least {PREFIX} digits; {name} ~ {value} finds digits anywhere in the hash"
        )),
        ValueType::Hash if digits.len() > 64 => Err("a hash has at most 64 digits".to_owned()),
        ValueType::Hash if !is_part => Ok(Operand::prefix(&digits)),
        _ => Ok(Operand::text(&digits)),
    }
}

fn community_id(is_part: bool, name: &str, value: &str) -> Result<Operand, String> {
    if is_part || value.len() == CommunityId::LENGTH && value.starts_with("1:") && value.ends_with('=') {
        return Ok(Operand::text(value));
    }
    let example = "1:LQU9qZlK+B5F3KDmev6m5PMibrg=";
    Err(format!("{name} has {} characters, in quotes: {name} == \"{example}\"", CommunityId::LENGTH))
}
