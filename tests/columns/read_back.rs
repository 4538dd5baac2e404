//! Tables read back as JSON objects, by the libraries that others use too.

use std::fs::File;
use std::path::Path;

use bittrace_columnar::arrow_array::cast::AsArray;
use bittrace_columnar::arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use bittrace_columnar::arrow_array::{Array, RecordBatch, StringArray};
use bittrace_columnar::arrow_ipc::reader::StreamReader;
use bittrace_columnar::arrow_schema::DataType;
use bittrace_columnar::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value, json};

/// The rows of an Arrow stream.
pub(super) fn rows_of_stream(bytes: &[u8]) -> Vec<Value> {
    let batches = StreamReader::try_new(bytes, None).expect("an Arrow stream");
    batches.flat_map(|batch| rows(&batch.expect("a whole batch"))).collect()
}

/// The rows of the files of a table, part by part.
pub(super) fn rows_of_table(folder: &Path, table: &str) -> Vec<Value> {
    let entries = std::fs::read_dir(folder.join(table)).expect("the folder of a table");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().flat_map(|path| rows_of_file(path)).collect()
}

fn rows_of_file(path: &Path) -> Vec<Value> {
    let file = File::open(path).expect("a part");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("Parquet");
    reader.flat_map(|batch| rows(&batch.expect("a whole batch"))).collect()
}

fn rows(batch: &RecordBatch) -> Vec<Value> {
    let schema = batch.schema();
    let row = |row: usize| {
        let columns = schema.fields().iter().zip(batch.columns());
        columns.map(|(field, column)| (field.name().clone(), value(column, row))).collect()
    };
    (0..batch.num_rows()).map(|at| Value::Object(row(at))).collect()
}

/// A value: moments in microseconds, bytes as hexadecimal digits.
fn value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Dictionary(..) => {
            let names = array.as_dictionary::<Int32Type>();
            let key = names.keys().value(row) as usize;
            json!(names.downcast_dict::<StringArray>().expect("names").values().value(key))
        }
        DataType::Utf8 => json!(array.as_string::<i32>().value(row)),
        DataType::Int64 => json!(array.as_primitive::<Int64Type>().value(row)),
        DataType::Int32 => json!(array.as_primitive::<Int32Type>().value(row)),
        DataType::Float64 => json!(array.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(..) => json!(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        DataType::Boolean => json!(array.as_boolean().value(row)),
        DataType::Binary => {
            let bytes = array.as_binary::<i32>().value(row);
            json!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            (0..items.len()).map(|row| value(&items, row)).collect()
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            let parts: Map<_, _> =
                columns.map(|(field, column)| (field.name().clone(), value(column, row))).collect();
            Value::Object(parts)
        }
        other => panic!("a type that tables do not have: {other}"),
    }
}
