//! Messages of the reference captures, written and read back by the libraries: a row says what its record says.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_ipc::reader::StreamReader;
use bittrace_columnar::{Encoding, MESSAGES, MessageContent, MessageOptions, MessageRow, MessageWriter};
use bittrace_testing::captures::{captures, records};
use bittrace_trace::{CommunityId, Record, describe};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const ALL: MessageOptions = MessageOptions { summary: true, bytes: true };

fn write(
    encoding: Encoding,
    options: MessageOptions,
    records: &[Record],
    content: &MessageContent<'_>,
) -> Vec<u8> {
    let mut writer = MessageWriter::new(encoding, options, Vec::new()).expect("memory");
    for record in records {
        let (summary, start) = (describe(record), records[0].at);
        let row =
            MessageRow { record, capture: "a.pcap", start, summary: &summary, content: content.clone() };
        writer.push(&row).expect("memory");
    }
    let (rows, bytes) = writer.finish().expect("memory");
    assert_eq!(rows, records.len() as u64);
    bytes
}

fn read(encoding: Encoding, bytes: Vec<u8>) -> Vec<RecordBatch> {
    match encoding {
        Encoding::Arrow => StreamReader::try_new(&bytes[..], None)
            .expect("what was written")
            .map(|batch| batch.expect("what was written"))
            .collect(),
        Encoding::Parquet => {
            let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes))
                .expect("what was written");
            builder.build().expect("what was written").map(|batch| batch.expect("what was written")).collect()
        }
    }
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> &'b ArrayRef {
    batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"))
}

fn name(batch: &RecordBatch, column_name: &str, row: usize) -> Option<String> {
    let array = column(batch, column_name).as_dictionary::<Int32Type>();
    let values = array.downcast_dict::<StringArray>().expect("what was written");
    array.is_valid(row).then(|| values.values().value(array.keys().value(row) as usize).to_owned())
}

fn number(batch: &RecordBatch, column_name: &str, row: usize) -> Option<i64> {
    let array = column(batch, column_name);
    let value = || match array.as_primitive_opt::<Int64Type>() {
        Some(array) => array.value(row),
        None => array.as_primitive::<Int32Type>().value(row).into(),
    };
    array.is_valid(row).then(value)
}

#[test]
fn every_message_of_the_captures_is_read_back_as_it_was_written() {
    let mut messages = 0;
    for path in captures() {
        let records = records(&path);
        if records.is_empty() {
            continue;
        }
        for encoding in [Encoding::Arrow, Encoding::Parquet] {
            let mut rest = records.iter();
            for batch in read(encoding, write(encoding, ALL, &records, &MessageContent::default())) {
                for row in 0..batch.num_rows() {
                    compare(rest.next().unwrap(), records[0].at.as_nanos(), &batch, row);
                    messages += 1;
                }
            }
            assert!(rest.next().is_none(), "{}", path.display());
        }
    }
    assert!(messages > 2000, "{messages}");
}

fn compare(record: &Record, start: i64, batch: &RecordBatch, row: usize) {
    let number = |name| number(batch, name, row);
    let name = |column| name(batch, column, row);
    let nanos = record.at.as_nanos();
    assert_eq!(name("capture").as_deref(), Some("a.pcap"));
    assert_eq!(number("n"), Some(record.number as i64));
    assert_eq!(
        column(batch, "time").as_primitive::<TimestampMicrosecondType>().value(row),
        nanos.div_euclid(1000)
    );
    assert_eq!(number("time_ns"), Some(nanos));
    assert_eq!(number("elapsed_ns"), Some(nanos - start));
    assert_eq!(number("frame"), record.frames.last().map(|frame| *frame as i64));
    let frames = column(batch, "frames").as_list::<i32>().value(row);
    let frames: Vec<u64> =
        frames.as_primitive::<Int64Type>().values().iter().map(|frame| *frame as u64).collect();
    assert_eq!(frames, record.frames.to_vec());
    assert_eq!(number("stream"), Some(record.stream.0.into()));
    assert_eq!(number("ws_stream"), record.wireshark_stream.map(i64::from));
    let id = CommunityId::of(record.source, record.destination, record.transport).to_string();
    assert_eq!(name("community_id"), Some(id));
    assert_eq!(name("src_ip"), Some(record.source.ip().to_string()));
    assert_eq!(number("src_port"), Some(record.source.port().into()));
    assert_eq!(name("dst_ip"), Some(record.destination.ip().to_string()));
    assert_eq!(number("dst_port"), Some(record.destination.port().into()));
    assert_eq!(name("speaker").as_deref(), Some(record.side.name()));
    assert_eq!(name("transport").as_deref(), Some(record.transport.name()));
    assert_eq!(name("protocol").as_deref(), Some(record.body.protocol().name()));
    assert_eq!(name("message").as_deref(), Some(record.body.message()));
    assert_eq!(number("offset"), Some(record.offset as i64));
    assert_eq!(number("length"), Some(record.length() as i64));
    assert_eq!(column(batch, "summary").as_string::<i32>().value(row), describe(record));
    assert_eq!(name("client").as_deref(), record.client.as_deref());
    assert_eq!(name("torrent"), record.torrent.map(|hash| hash.to_string()));
    assert_eq!(column(batch, "decrypted").as_boolean().value(row), record.decrypted);
    assert_eq!(number("answers"), record.answers.map(|answer| answer.number as i64));
    let latency = record.answers.map(|answer| answer.latency);
    let close = |nanos: i64, seconds: f64| (nanos as f64 / 1e9 - seconds).abs() < 1e-9;
    assert!(
        number("latency_ns")
            .map_or(latency.is_none(), |nanos| close(nanos, latency.expect("what was written")))
    );
    assert_eq!(name("severity").as_deref(), record.severity().map(|severity| severity.name()));
    let notes = column(batch, "notes").as_list::<i32>().value(row);
    let notes = notes.as_struct();
    let part = |name: &str, row| {
        notes.column_by_name(name).expect("what was written").as_string::<i32>().value(row).to_owned()
    };
    assert_eq!(notes.len(), record.notes.len());
    for (row, note) in record.notes.iter().enumerate() {
        let rule = note.rule;
        let expected = [rule.severity.name(), rule.id, &note.text];
        assert_eq!(["severity", "rule", "text"].map(|name| part(name, row)), expected);
    }
    assert_eq!(column(batch, "bytes").as_binary::<i32>().value(row), &record.bytes[..]);
}

#[test]
fn what_the_fields_say_stands_in_its_own_column() {
    let records = &records(&captures()[0])[..1];
    let content = MessageContent {
        index: Some(1),
        begin: Some(2),
        block_length: Some(3),
        extension: Some("ut_pex"),
        event: Some("started"),
        left: Some(4),
        uploaded: Some(5),
        downloaded: Some(6),
        interval: Some(7),
        seeders: Some(8),
        leechers: Some(9),
        peers: Some(vec!["127.0.0.1:6881", "[::1]:1"]),
        fields: Some("{}"),
    };
    for encoding in [Encoding::Arrow, Encoding::Parquet] {
        let batch = &read(encoding, write(encoding, ALL, records, &content))[0];
        let numbers = [
            "index",
            "begin",
            "block_length",
            "left",
            "uploaded",
            "downloaded",
            "interval",
            "seeders",
            "leechers",
        ];
        assert_eq!(numbers.map(|name| number(batch, name, 0)), [1, 2, 3, 4, 5, 6, 7, 8, 9].map(Some));
        assert_eq!(name(batch, "extension", 0).as_deref(), Some("ut_pex"));
        assert_eq!(name(batch, "event", 0).as_deref(), Some("started"));
        let peers = column(batch, "peers").as_list::<i32>().value(0);
        let peers: Vec<_> = peers.as_string::<i32>().iter().flatten().map(str::to_owned).collect();
        assert_eq!(peers, ["127.0.0.1:6881", "[::1]:1"]);
        assert_eq!(column(batch, "fields").as_string::<i32>().value(0), "{}");
        let none = &read(encoding, write(encoding, ALL, records, &MessageContent::default()))[0];
        for name in numbers.into_iter().chain(["extension", "event", "peers", "fields"]) {
            assert!(column(none, name).is_null(0), "{name}");
        }
    }
}

#[test]
fn columns_that_take_much_room_can_be_left_out() {
    let records = &records(&captures()[0])[..1];
    let few = MessageOptions { summary: false, bytes: false };
    for encoding in [Encoding::Arrow, Encoding::Parquet] {
        let batch = &read(encoding, write(encoding, few, records, &MessageContent::default()))[0];
        let schema = batch.schema();
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let all = MESSAGES.columns.iter().map(|column| column.name);
        assert_eq!(names, all.filter(|name| !["summary", "bytes"].contains(name)).collect::<Vec<_>>());
    }
}

#[test]
fn streams_and_files_name_their_table_and_its_version() {
    let records = &records(&captures()[0])[..1];
    let write = |encoding| write(encoding, ALL, records, &MessageContent::default());
    let expected = [("bittrace.schema", "1"), ("bittrace.table", "messages")];
    let stream = write(Encoding::Arrow);
    let schema = StreamReader::try_new(&stream[..], None).unwrap().schema();
    let file = bytes::Bytes::from(write(Encoding::Parquet));
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let pairs = builder.metadata().file_metadata().key_value_metadata().unwrap();
    for (key, value) in expected {
        assert_eq!(schema.metadata().get(key).map(String::as_str), Some(value));
        let found = pairs.iter().find(|pair| pair.key == key).unwrap();
        assert_eq!(found.value.as_deref(), Some(value));
    }
}

#[test]
fn batches_and_row_groups_are_bounded_by_rows_and_by_text() {
    let record = records(&captures()[0]).remove(0);
    let many = vec![record; 150_000];
    let stream = write(Encoding::Arrow, ALL, &many, &MessageContent::default());
    let batches = read(Encoding::Arrow, stream);
    assert!(batches.iter().all(|batch| batch.num_rows() <= 16_384), "a batch is too long");
    let file = bytes::Bytes::from(write(Encoding::Parquet, ALL, &many, &MessageContent::default()));
    let groups = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().metadata().clone();
    let rows: Vec<_> = groups.row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(rows, [131_072, 150_000 - 131_072]);
    let long = "x".repeat(1 << 20);
    let content = MessageContent { fields: Some(&long), ..MessageContent::default() };
    let batches = read(Encoding::Arrow, write(Encoding::Arrow, ALL, &many[..20], &content));
    assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [8, 8, 4]);
}
