//! What a table is: its columns, their types, and what they mean. A column's type is one that every reader of Arrow and
//! Parquet has: signed integers, UTF-8, no map, no nanoseconds.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Metadata, Schema, TimeUnit};

use crate::SCHEMA_VERSION;

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Its name: that of its folder, too.
    pub name: &'static str,
    /// What a row is.
    pub text: &'static str,
    /// Its columns, in their order.
    pub columns: &'static [Column],
}

/// A column of a table, or a part of the structs in a list.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// The type of its values.
    pub kind: ColumnType,
    /// Whether a value may be missing.
    pub null: bool,
    /// Where the same stands in the JSON object, as a path: `from_initiator.latency.p50`.
    pub json: &'static str,
    /// What it means, without a full stop.
    pub text: &'static str,
}

/// The type of a column.
#[derive(Debug, Clone, Copy)]
pub enum ColumnType {
    /// A text that many rows have: in Arrow a dictionary with keys of 32 bits, in Parquet a text.
    Name,
    /// A text.
    Text,
    /// A number.
    Number,
    /// A number that grows from row to row, or nearly so.
    Counter,
    /// A number below 2³¹.
    Small,
    /// A number with a fraction.
    Fraction,
    /// Nanoseconds. JSON has seconds.
    Nanoseconds,
    /// A moment in microseconds. JSON has RFC 3339.
    Moment,
    /// The same moment as nanoseconds since 1970 UTC.
    MomentInNanoseconds,
    /// Yes or no.
    Flag,
    /// Bytes. JSON has hexadecimal digits.
    Bytes,
    /// Numbers that grow from row to row, a list in each row.
    Counters,
    /// A list of texts.
    Texts,
    /// A list of structs with these parts.
    Structs(&'static [Column]),
}

impl ColumnType {
    /// The type's name in Arrow.
    pub fn name(self) -> String {
        match self {
            Self::Name => "dict(utf8)".to_owned(),
            Self::Text => "utf8".to_owned(),
            Self::Number | Self::Counter | Self::Nanoseconds | Self::MomentInNanoseconds => {
                "int64".to_owned()
            }
            Self::Small => "int32".to_owned(),
            Self::Fraction => "float64".to_owned(),
            Self::Moment => "timestamp(us, UTC)".to_owned(),
            Self::Flag => "bool".to_owned(),
            Self::Bytes => "binary".to_owned(),
            Self::Counters => "list(int64)".to_owned(),
            Self::Texts => "list(utf8)".to_owned(),
            Self::Structs(parts) => {
                let parts: Vec<_> =
                    parts.iter().map(|part| format!("{} {}", part.name, part.kind.name())).collect();
                format!("list(struct({}))", parts.join(", "))
            }
        }
    }

    /// The type in Arrow.
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Name => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Self::Text => DataType::Utf8,
            Self::Number | Self::Counter | Self::Nanoseconds | Self::MomentInNanoseconds => DataType::Int64,
            Self::Small => DataType::Int32,
            Self::Fraction => DataType::Float64,
            Self::Moment => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
            Self::Flag => DataType::Boolean,
            Self::Bytes => DataType::Binary,
            Self::Counters => DataType::List(element(DataType::Int64)),
            Self::Texts => DataType::List(element(DataType::Utf8)),
            Self::Structs(parts) => DataType::List(element(DataType::Struct(fields(parts)))),
        }
    }
}

/// The time zone of moments.
pub(crate) const UTC: &str = "UTC";

/// The element of a list, under the name that Parquet gives it. Elements are never null.
pub(crate) fn element(data_type: DataType) -> Arc<Field> {
    Arc::new(Field::new("element", data_type, false))
}

/// Columns as fields.
pub(crate) fn fields<'a>(columns: impl IntoIterator<Item = &'a Column>) -> Fields {
    columns.into_iter().map(|column| Field::new(column.name, column.kind.data_type(), column.null)).collect()
}

impl Table {
    /// The schema, without the columns in `left_out`.
    pub(crate) fn schema(&self, left_out: &[&str]) -> Schema {
        let metadata: Metadata =
            self.metadata().into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Schema::new_with_metadata(
            fields(self.columns.iter().filter(|column| !left_out.contains(&column.name))),
            metadata,
        )
    }

    /// What a stream or file says of itself, beside its columns.
    pub(crate) fn metadata(&self) -> [(&'static str, &'static str); 2] {
        [("bittrace.schema", SCHEMA_VERSION), ("bittrace.table", self.name)]
    }
}
