//! `--filter`: an expression over the names of the interface, much as Wireshark's display filters.
//!
//! A comparison with something that a message does not have is false, also with `!=`. A list compares by its items:
//! `==` is true when an item is equal, `!=` when no item is. Each name has a type, and a value that no message can have is
//! an error.

mod operand;
mod parse;
mod value_type;

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;

use bittrace_trace::record::Severity;
use serde_json::Value;

use crate::print::printable::printable;
use crate::query::fields::spans_of;
use crate::query::names::{FieldName, RowKey, Scope};
use crate::query::row::Row;
use operand::Operand;
pub(crate) use value_type::field_type;

/// An expression that is true of some messages.
#[derive(Debug, Clone)]
pub(crate) struct Filter(Expression);

#[derive(Debug, Clone)]
enum Expression {
    /// True where one of the alternatives is. A list rather than pairs, so that the depth of the tree is bounded by the
    /// depth of parentheses however long the expression is.
    Any(Vec<Expression>),
    /// True where each of the conditions is.
    All(Vec<Expression>),
    Not(Box<Expression>),
    /// True of messages within a scope.
    Within(Scope),
    Present(FieldName),
    Compare(FieldName, Operator, Box<Operand>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
    Matches,
}

/// What is wrong with an expression, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterError {
    expression: String,
    /// The place, in characters.
    column: usize,
    what: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "--filter: {}", self.what)?;
        // On one line, so that the mark stands below its place.
        writeln!(f, "  {}", printable(&self.expression))?;
        write!(f, "  {}^", " ".repeat(self.column))
    }
}

impl std::error::Error for FilterError {}

impl FilterError {
    /// The place in the expression, in characters.
    pub(crate) const fn column(&self) -> usize {
        self.column
    }

    /// What is wrong there.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }
}

impl Filter {
    /// Reads an expression.
    pub(crate) fn parse(text: &str) -> Result<Self, FilterError> {
        parse::parse(text).map(Self)
    }

    /// Whether it compares numbers of messages, which count over all captures.
    pub(crate) fn compares_numbers(&self) -> bool {
        self.0.compares_numbers()
    }

    /// Whether it is true of a message.
    pub(crate) fn matches(&self, row: &Row<'_>) -> bool {
        self.0.holds(row)
    }
}

impl Expression {
    fn compares_numbers(&self) -> bool {
        match self {
            Self::Any(parts) | Self::All(parts) => parts.iter().any(Self::compares_numbers),
            Self::Not(inner) => inner.compares_numbers(),
            Self::Compare(name, ..) => name.is_number_of_message(),
            Self::Within(_) | Self::Present(_) => false,
        }
    }

    fn holds(&self, row: &Row<'_>) -> bool {
        match self {
            Self::Any(alternatives) => alternatives.iter().any(|expression| expression.holds(row)),
            Self::All(conditions) => conditions.iter().all(|expression| expression.holds(row)),
            Self::Not(inner) => !inner.holds(row),
            Self::Within(scope) => scope.contains(row.record),
            Self::Present(name) => is_present(name, row),
            Self::Compare(name, operator, operand) => compare(name, *operator, operand, row),
        }
    }
}

fn is_present(name: &FieldName, row: &Row<'_>) -> bool {
    let record = row.record;
    match name {
        FieldName::Key(RowKey::Client) => record.client.is_some(),
        FieldName::Key(RowKey::Torrent) => record.torrent.is_some(),
        FieldName::Key(RowKey::Decrypted) => record.decrypted,
        FieldName::Key(RowKey::Answers | RowKey::Latency) => record.answers.is_some(),
        FieldName::Key(RowKey::Notes | RowKey::Severity | RowKey::Rule) => !record.notes.is_empty(),
        FieldName::Key(RowKey::Fields) => !row.fields().is_empty(),
        FieldName::Key(RowKey::Bytes) => !record.bytes.is_empty(),
        FieldName::Key(RowKey::Spans) => !spans_of(record, row.fields()).is_empty(),
        FieldName::Key(RowKey::WiresharkStream) => record.wireshark_stream.is_some(),
        FieldName::Key(RowKey::Frame) => row.frame().is_some(),
        FieldName::Key(RowKey::MessageId) => row.message_id().is_some(),
        FieldName::Key(_) => true,
        FieldName::Field(path) => row.field(path).is_some(),
        FieldName::Scoped(scope, name) => scope.contains(record) && is_present(name, row),
    }
}

fn compare(name: &FieldName, operator: Operator, operand: &Operand, row: &Row<'_>) -> bool {
    let record = row.record;
    let number = |number: u64| operator.accepts_item(|op| operand.compare_number(op, number as f64));
    let text = |text: &str| operator.accepts_item(|op| operand.compare_text(op, text));
    let address = |at: IpAddr| operator.accepts_item(|op| operand.compare_address(op, at));
    let ends = [record.source, record.destination];
    let key = match name {
        FieldName::Key(key) => key,
        FieldName::Field(path) => {
            return row.field(path).is_some_and(|value| compare_value(value, operator, operand));
        }
        FieldName::Scoped(scope, name) => {
            return scope.contains(record) && compare(name, operator, operand, row);
        }
    };
    match key {
        RowKey::N => number(row.number()),
        RowKey::NumberInCapture => number(record.number),
        RowKey::Elapsed => operator.accepts_item(|op| operand.compare_number(op, row.elapsed())),
        RowKey::Time => operator.accepts_item(|op| operand.compare_time(op, record.at)),
        RowKey::Capture => text(&row.place.capture),
        RowKey::Frames => {
            accepts(operator, record.frames.iter(), |op, frame| operand.compare_number(op, *frame as f64))
        }
        RowKey::Stream => number(u64::from(record.stream.0)),
        RowKey::Frame => row.frame().is_some_and(number),
        RowKey::WiresharkStream => record.wireshark_stream.is_some_and(|stream| number(stream.into())),
        RowKey::CommunityId => text(row.community_id().as_str()),
        // An object: its parts have names of their own.
        RowKey::Wireshark => false,
        RowKey::Src => operator.accepts_item(|op| operand.compare_end(op, record.source)),
        RowKey::SrcAddr => address(record.source.ip()),
        RowKey::SrcPort => number(record.source.port().into()),
        RowKey::Dst => operator.accepts_item(|op| operand.compare_end(op, record.destination)),
        RowKey::DstAddr => address(record.destination.ip()),
        RowKey::DstPort => number(record.destination.port().into()),
        RowKey::Addr => accepts(operator, ends.iter(), |op, end| operand.compare_address(op, end.ip())),
        RowKey::Port => {
            accepts(operator, ends.iter(), |op, end| operand.compare_number(op, end.port().into()))
        }
        RowKey::Side => text(record.side.name()),
        RowKey::Transport => text(record.transport.name()),
        RowKey::Protocol => text(record.body.protocol().name()),
        RowKey::Message => text(record.body.message()),
        RowKey::MessageId => row.message_id().is_some_and(|id| number(id.into())),
        RowKey::Offset => number(record.offset),
        RowKey::Length => number(record.length()),
        RowKey::Summary => text(&row.summary()),
        RowKey::Fields => {
            accepts(operator, row.fields().iter(), |op, (name, _)| operand.compare_text(op, name))
        }
        RowKey::Spans => accepts(operator, spans_of(record, row.fields()).iter(), |op, (name, _)| {
            operand.compare_text(op, name)
        }),
        RowKey::Client => record.client.as_deref().is_some_and(text),
        RowKey::Torrent => record.torrent.is_some_and(|hash| text(&hash.to_string())),
        RowKey::Decrypted => record.decrypted && text("true"),
        RowKey::Answers => row.answers().is_some_and(number),
        RowKey::Latency => record
            .answers
            .is_some_and(|answer| operator.accepts_item(|op| operand.compare_number(op, answer.latency))),
        RowKey::Severity => accepts(operator, record.notes.iter(), |op, note| {
            operand.compare_severity(op, note.rule.severity)
        }),
        RowKey::Rule => {
            accepts(operator, record.notes.iter(), |op, note| operand.compare_text(op, note.rule.id))
        }
        RowKey::Notes => {
            accepts(operator, record.notes.iter(), |op, note| operand.compare_text(op, &note.text))
        }
        RowKey::Bytes => text(&bittrace_protocol::Hex(&record.bytes).to_string()),
    }
}

fn compare_value(value: &Value, operator: Operator, operand: &Operand) -> bool {
    match value {
        Value::Array(items) => accepts(operator, items.iter(), |op, item| compare_single(item, op, operand)),
        Value::Object(entries) => {
            accepts(operator, entries.iter(), |op, (name, _)| operand.compare_text(op, name))
        }
        single => operator.accepts_item(|op| compare_single(single, op, operand)),
    }
}

fn compare_single(value: &Value, operator: Operator, operand: &Operand) -> bool {
    match value {
        Value::Number(number) => operand.compare_number(operator, number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => operand.compare_text(operator, text),
        Value::Array(_) | Value::Object(_) => compare_value(value, operator, operand),
        Value::Bool(_) | Value::Null => false,
    }
}

/// Whether one of the items compares; with `!=`, whether there are items and none is equal.
fn accepts<T>(
    operator: Operator,
    mut items: impl ExactSizeIterator<Item = T>,
    one: impl Fn(Operator, T) -> bool,
) -> bool {
    match operator {
        Operator::NotEqual => items.len() > 0 && !items.any(|item| one(Operator::Equal, item)),
        operator => items.any(|item| one(operator, item)),
    }
}

impl Operator {
    fn accepts_item(self, one: impl Fn(Self) -> bool) -> bool {
        match self {
            Self::NotEqual => !one(Self::Equal),
            operator => one(operator),
        }
    }

    const fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Contains | Self::Matches => false,
        }
    }

    /// Whether it asks which of two values is the greater.
    const fn is_order(self) -> bool {
        matches!(self, Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual)
    }
}

/// The severity of a name.
fn severity(name: &str) -> Option<Severity> {
    [Severity::Chat, Severity::Note, Severity::Warn, Severity::Error]
        .into_iter()
        .find(|severity| severity.name().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests;
