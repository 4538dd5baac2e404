//! Tables whose rows are JSON objects of the other views: each column finds its value by the path that its table names.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_schema::ArrowError;
use jiff::Timestamp;
use serde_json::Value;

use crate::ColumnarError;
use crate::messages::nanoseconds;
use crate::names::NameColumn;
use crate::nested::{ListEnds, structs};
use crate::table::{Column, ColumnType, Table, UTC, fields};

/// The rows of a batch.
#[derive(Debug)]
pub(crate) struct ObjectColumns {
    table: &'static Table,
    columns: Vec<Values>,
    rows: usize,
    bytes: usize,
}

/// The values of a column.
#[derive(Debug)]
enum Values {
    Name(NameColumn),
    Text(StringBuilder),
    Number(Int64Builder),
    Small(Int32Builder),
    Fraction(Float64Builder),
    Nanoseconds(Int64Builder),
    Moment(TimestampMicrosecondBuilder),
    MomentInNanoseconds(Int64Builder),
    Flag(BooleanBuilder),
    List(ListEnds, Box<Values>),
    Struct(&'static [Column], Vec<Values>),
}

/// What a column cannot hold.
struct Unfit;

impl ObjectColumns {
    pub(crate) fn new(table: &'static Table) -> Self {
        Self { table, columns: values_of(table.columns), rows: 0, bytes: 0 }
    }

    /// The rows so far.
    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// The bytes of their JSON, nearly: an object has as much as its columns.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a row.
    ///
    /// # Errors
    /// When the object has something that a column cannot hold, or nothing where a column needs a value. The batch is then
    /// of no use.
    pub(crate) fn push(&mut self, object: &Value) -> Result<(), ColumnarError> {
        self.rows += 1;
        for (column, values) in self.table.columns.iter().zip(&mut self.columns) {
            let value = find(object, column.json).filter(|value| !value.is_null());
            self.bytes += value.map_or(0, length);
            let unfit = value.is_none() && !column.null;
            if unfit || values.push(value).is_err() {
                return Err(ColumnarError::Unexpected {
                    table: self.table.name,
                    column: column.name,
                    found: value.map_or_else(|| "nothing".to_owned(), Value::to_string),
                    wanted: column.kind.name(),
                });
            }
        }
        Ok(())
    }

    /// The rows as arrays, in the order of the table; the next row begins another batch.
    pub(crate) fn finish(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.rows = 0;
        self.bytes = 0;
        self.columns.iter_mut().map(Values::finish).collect()
    }
}

fn values_of(columns: &'static [Column]) -> Vec<Values> {
    columns.iter().map(|column| Values::new(column.kind)).collect()
}

impl Values {
    fn new(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Name => Self::Name(NameColumn::default()),
            ColumnType::Text | ColumnType::Bytes => Self::Text(StringBuilder::new()),
            ColumnType::Number | ColumnType::Counter => Self::Number(Int64Builder::new()),
            ColumnType::Small => Self::Small(Int32Builder::new()),
            ColumnType::Fraction => Self::Fraction(Float64Builder::new()),
            ColumnType::Nanoseconds => Self::Nanoseconds(Int64Builder::new()),
            ColumnType::Moment => Self::Moment(TimestampMicrosecondBuilder::new().with_timezone(UTC)),
            ColumnType::MomentInNanoseconds => Self::MomentInNanoseconds(Int64Builder::new()),
            ColumnType::Flag => Self::Flag(BooleanBuilder::new()),
            ColumnType::Counters => Self::list(Self::new(ColumnType::Number)),
            ColumnType::Texts => Self::list(Self::new(ColumnType::Text)),
            ColumnType::Structs(parts) => Self::list(Self::Struct(parts, values_of(parts))),
        }
    }

    fn list(elements: Self) -> Self {
        Self::List(ListEnds::new(), Box::new(elements))
    }

    fn push(&mut self, value: Option<&Value>) -> Result<(), Unfit> {
        match self {
            Self::Name(column) => column.push(fitting(value, Value::as_str)?),
            Self::Text(column) => column.append_option(fitting(value, Value::as_str)?),
            Self::Number(column) => column.append_option(fitting(value, Value::as_i64)?),
            Self::Small(column) => {
                column.append_option(fitting(value, |value| i32::try_from(value.as_i64()?).ok())?)
            }
            Self::Fraction(column) => column.append_option(fitting(value, Value::as_f64)?),
            Self::Nanoseconds(column) => {
                column.append_option(fitting(value, |value| value.as_f64().map(nanoseconds))?);
            }
            Self::Moment(column) => {
                column.append_option(fitting(value, moment)?.map(|nanos| nanos.div_euclid(1000)))
            }
            Self::MomentInNanoseconds(column) => column.append_option(fitting(value, moment)?),
            Self::Flag(column) => column.append_option(fitting(value, Value::as_bool)?),
            Self::List(ends, elements) => {
                let items = fitting(value, Value::as_array)?;
                for item in items.into_iter().flatten() {
                    elements.push(Some(item))?;
                }
                ends.push(items.map(Vec::len));
            }
            Self::Struct(parts, values) => {
                for (part, values) in parts.iter().zip(values) {
                    values.push(
                        value.and_then(|value| find(value, part.json)).filter(|value| !value.is_null()),
                    )?;
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Name(column) => column.finish()?,
            Self::Text(column) => Arc::new(column.finish()),
            Self::Number(column) | Self::Nanoseconds(column) | Self::MomentInNanoseconds(column) => {
                Arc::new(column.finish())
            }
            Self::Small(column) => Arc::new(column.finish()),
            Self::Fraction(column) => Arc::new(column.finish()),
            Self::Moment(column) => Arc::new(column.finish()),
            Self::Flag(column) => Arc::new(column.finish()),
            Self::List(ends, elements) => ends.finish(elements.finish()?)?,
            Self::Struct(parts, values) => {
                structs(fields(*parts), values.iter_mut().map(Self::finish).collect::<Result<_, _>>()?)?
            }
        })
    }
}

/// What there is, if it is of the right type.
fn fitting<'v, T>(
    value: Option<&'v Value>,
    read: impl Fn(&'v Value) -> Option<T>,
) -> Result<Option<T>, Unfit> {
    match value {
        Some(value) => read(value).map(Some).ok_or(Unfit),
        None => Ok(None),
    }
}

/// RFC 3339 as nanoseconds since 1970 UTC.
fn moment(value: &Value) -> Option<i64> {
    let moment: Timestamp = value.as_str()?.parse().ok()?;
    i64::try_from(moment.as_nanosecond()).ok()
}

/// What stands under a path of keys, or of places in a list, with points between them.
fn find<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, part| match value {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        value => value.get(part),
    })
}

/// The bytes that a value takes in its column, nearly.
fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(length).sum(),
        Value::Object(map) => map.values().map(length).sum(),
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::RecordBatch;
    use serde_json::json;

    use super::*;
    use crate::tables::{CAPTURES, FINDINGS, MESSAGES, TABLES};

    fn finding() -> Value {
        json!({
            "capture": "a", "rule": "r", "severity": "warn", "count": 2, "document": "d", "section": "", "text": "t",
            "says": "s", "first": 7, "frames": [1, 2], "filter": "f", "messages": [7, 9], "message_count": 2,
        })
    }

    #[test]
    fn the_columns_of_every_table_of_objects_have_the_types_of_its_schema() {
        for table in TABLES.into_iter().filter(|table| table.name != MESSAGES.name) {
            let columns = ObjectColumns::new(table).finish().unwrap();
            RecordBatch::try_new(Arc::new(table.schema(&[])), columns).unwrap();
        }
    }

    #[test]
    fn an_object_that_does_not_fit_is_an_error_that_names_the_column() {
        let push =
            |object: &Value| ObjectColumns::new(&FINDINGS).push(object).map_err(|error| error.to_string());
        assert_eq!(push(&finding()), Ok(()));
        for (key, value, says) in [
            ("count", json!("two"), "column count of table findings: \"two\" where int64 is wanted"),
            (
                "count",
                json!(u64::MAX),
                "column count of table findings: 18446744073709551615 where int64 is wanted",
            ),
            ("rule", Value::Null, "column rule of table findings: nothing where dict(utf8) is wanted"),
            (
                "frames",
                json!([1, "2"]),
                "column frames of table findings: [1,\"2\"] where list(int64) is wanted",
            ),
        ] {
            let mut object = finding();
            object[key] = value;
            assert_eq!(push(&object), Err(says.to_owned()));
        }
    }

    #[test]
    fn moments_are_read_to_the_nanosecond_also_before_1970() {
        assert_eq!(moment(&json!("1969-12-31T23:59:59.999999999Z")), Some(-1));
        assert_eq!(moment(&json!("2026-01-02T03:04:05.123456Z")), Some(1_767_323_045_123_456_000));
        assert_eq!(moment(&json!("yesterday")), None);
        assert!(CAPTURES.columns.iter().any(|column| matches!(column.kind, ColumnType::Moment)));
    }
}
