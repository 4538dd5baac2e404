//! `analyze --format arrow` and `--format parquet`: the rows are those of NDJSON and of the other views, whoever reads them.

#[path = "columns/read_back.rs"]
mod read_back;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use bittrace_columnar::{Column, ColumnType, TABLES, Table};
use bittrace_testing::captures::{captures, captures_folder, scenario};
use bittrace_testing::{assert_printed, command, programs};
use read_back::{rows_of_stream, rows_of_table};
use serde_json::{Value, json};

fn bittrace(arguments: &[&str]) -> Command {
    command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), arguments)
}

/// What the command prints; it must not fail.
fn printed(arguments: &[&str]) -> Vec<u8> {
    let output = bittrace(arguments).output().expect("bittrace starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn refused(arguments: &[&str]) -> String {
    let (code, _, errors) = command::run(&mut bittrace(arguments));
    assert_eq!(code, 2, "{arguments:?}");
    errors
}

fn objects(arguments: &[&str]) -> Vec<Value> {
    let json =
        String::from_utf8(printed(&[&["analyze", "--format", "json"], arguments].concat())).expect("UTF-8");
    json.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

/// The arguments that name a capture, and its torrent and key log where it has them.
fn arguments_of(path: &Path) -> Vec<String> {
    let file = path.file_name().expect("a name").to_string_lossy().into_owned();
    let mut arguments = vec![file];
    for (option, ending) in [("--torrent", "torrent"), ("--mse-keys", "keys")] {
        let beside = format!("{}.{ending}", scenario(path));
        if captures_folder().join(&beside).exists() {
            arguments.extend([option.to_owned(), beside]);
        }
    }
    arguments
}

fn names_of_captures() -> Vec<String> {
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    captures().iter().map(|path| name(path)).collect()
}

/// RFC 3339 as nanoseconds since 1970.
fn nanoseconds(text: &Value) -> i64 {
    let moment: jiff::Timestamp = text.as_str().expect("text").parse().expect("a moment");
    moment.as_nanosecond() as i64
}

/// What stands under a path in an object.
fn find<'v>(object: &'v Value, path: &str) -> &'v Value {
    path.split('.').fold(object, |value, part| match part.parse::<usize>() {
        Ok(place) if value.is_array() => &value[place],
        _ => &value[part],
    })
}

/// Whether a column has what the object has.
fn assert_column(table: &str, column: &Column, found: &Value, object: &Value) {
    let said = find(object, column.json);
    let says = || format!("{table}.{}: {found} of {object}", column.name);
    if said.is_null() {
        assert!(found.is_null() && column.null, "{}", says());
        return;
    }
    match column.kind {
        ColumnType::Moment => {
            assert_eq!(found.as_i64(), Some(nanoseconds(said).div_euclid(1000)), "{}", says())
        }
        ColumnType::MomentInNanoseconds => assert_eq!(found.as_i64(), Some(nanoseconds(said)), "{}", says()),
        ColumnType::Nanoseconds => {
            let difference = found.as_i64().expect("a number") as f64 / 1e9 - said.as_f64().expect("seconds");
            assert!(difference.abs() < 1e-9, "{}", says());
        }
        // The last digit of a fraction is lost where JSON is read.
        ColumnType::Fraction => {
            let (found, said) = (found.as_f64().expect("a number"), said.as_f64().expect("a number"));
            assert!((found - said).abs() <= said.abs() * 1e-12, "{}", says());
        }
        ColumnType::Structs(parts) => {
            let (found, said) = (found.as_array().expect("a list"), said.as_array().expect("a list"));
            assert_eq!(found.len(), said.len(), "{}", says());
            for (found, said) in found.iter().zip(said) {
                parts.iter().for_each(|part| assert_column(table, part, &found[part.name], said));
            }
        }
        _ => assert_eq!(found, said, "{}", says()),
    }
}

fn table(name: &str) -> &'static Table {
    TABLES.into_iter().find(|table| table.name == name).expect("a table")
}

/// The columns that hold a part of what JSON has under their path, or that say it in another way.
fn is_special(column: &Column) -> bool {
    column.json == "src"
        || column.json == "dst"
        || column.json.starts_with("fields")
        || column.name == "decrypted"
        || column.name == "severity"
        || column.name == "answers"
        || column.name == "community_id"
}

/// A row of messages against the object of the same message.
fn assert_message(row: &Value, object: &Value) {
    for column in table("messages").columns.iter().filter(|column| !is_special(column)) {
        let is_left_out = column.name == "bytes" && object["bytes"].is_null();
        if !is_left_out {
            assert_column("messages", column, &row[column.name], object);
        }
    }
    for end in ["src", "dst"] {
        let ip = row[format!("{end}_ip")].as_str().expect("an address");
        let ip = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        assert_eq!(object[end], format!("{ip}:{}", row[format!("{end}_port")]), "{object}");
    }
    assert_eq!(row["decrypted"], object["decrypted"].as_bool().unwrap_or_default());
    let severities: Vec<_> = ["chat", "note", "warn", "error"].map(Value::from).into();
    let notes = object["notes"].as_array().expect("a list");
    let gravest = notes
        .iter()
        .map(|note| &note["severity"])
        .max_by_key(|name| severities.iter().position(|one| one == *name));
    assert_eq!(&row["severity"], gravest.unwrap_or(&Value::Null), "{object}");
    // How the message names its block, from its columns alone or from its fields.
    let block: serde_json::Map<_, _> = [("index", "index"), ("begin", "begin"), ("length", "block_length")]
        .into_iter()
        .filter(|(_, column)| !row[*column].is_null())
        .map(|(name, column)| (name.to_owned(), row[column].clone()))
        .collect();
    match row["fields"].as_str() {
        None => assert_eq!(&Value::Object(block), &object["fields"], "{object}"),
        Some(text) => {
            let fields: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(fields, object["fields"]);
            assert_fields(row, object);
        }
    }
}

/// The columns that are taken out of a message's fields.
fn assert_fields(row: &Value, object: &Value) {
    let fields = &object["fields"];
    let message = object["message"].as_str().expect("a name");
    let of = |messages: &[&str], value: &Value| {
        if messages.contains(&message) { value.clone() } else { Value::Null }
    };
    let expected = [
        ("extension", of(&["extended"], &fields["extension"])),
        ("event", of(&["announce-request"], &fields["event"])),
        ("left", of(&["announce-request"], &fields["left"])),
        ("uploaded", of(&["announce-request"], &fields["uploaded"])),
        ("downloaded", of(&["announce-request"], &fields["downloaded"])),
        ("interval", of(&["announce-response"], &fields["interval"])),
    ];
    for (name, expected) in expected {
        let fits = !expected.is_u64() || expected.is_i64();
        assert_eq!(row[name], if fits { expected } else { Value::Null }, "{name} of {object}");
    }
    let seeders = [&fields["seeders"], &fields["complete"]].into_iter().find(|value| !value.is_null());
    assert_eq!(row["seeders"], of(&["announce-response"], seeders.unwrap_or(&Value::Null)), "{object}");
    let peers: Vec<Value> = ["peers", "peers6", "added", "added6", "values"]
        .into_iter()
        .filter_map(|name| fields[name].as_array().cloned())
        .flatten()
        .collect();
    let has_peers =
        message == "announce-response" || fields["extension"] == "ut_pex" || fields["values"].is_array();
    assert_eq!(row["peers"], if has_peers { json!(peers) } else { Value::Null }, "{object}");
}

#[test]
fn an_arrow_stream_has_the_messages_of_ndjson() {
    let (mut messages, mut columns) = (0, HashMap::new());
    for path in captures() {
        let arguments = arguments_of(&path);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let objects = objects(&[&arguments[..], &["--view", "messages", "--hex"]].concat());
        let objects: Vec<_> = objects.into_iter().filter(|object| object["n"].is_u64()).collect();
        let rows =
            rows_of_stream(&printed(&[&["analyze", "--format", "arrow", "--hex"], &arguments[..]].concat()));
        assert_eq!(rows.len(), objects.len(), "{}", path.display());
        for (row, object) in rows.iter().zip(&objects) {
            assert_message(row, object);
            for (name, value) in row.as_object().expect("a row") {
                *columns.entry(name.clone()).or_insert(0) += usize::from(!value.is_null());
            }
        }
        messages += rows.len();
    }
    assert!(messages > 1500, "{messages}");
    for column in table("messages").columns {
        assert!(columns[column.name] > 0, "no capture has a value in {}", column.name);
    }
}

#[test]
fn a_stream_of_another_view_has_its_objects() {
    for path in captures() {
        let arguments = arguments_of(&path);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        for (view, name) in [("conversations", "conversation"), ("pieces", "piece"), ("findings", "finding")]
        {
            let json = objects(&[&arguments[..], &["--view", view, "--no-summary"]].concat());
            let json: Vec<_> = json.iter().filter(|object| !object[name].is_null()).collect();
            let arrow = [&["analyze", "--format", "arrow", "--view", view], &arguments[..]].concat();
            let rows = rows_of_stream(&printed(&arrow));
            assert_eq!(rows.len(), json.len(), "{view} of {}", path.display());
            for (row, object) in rows.iter().zip(json) {
                for column in table(view).columns {
                    assert_column(view, column, &row[column.name], &object[name]);
                }
            }
        }
    }
}

/// The tables are what others rely on: whoever changes a column sees it here.
#[test]
fn the_tables_are_described() {
    let text = |arguments: &[&str]| String::from_utf8(printed(arguments)).expect("UTF-8");
    assert_printed!("columns", "tables", text(&["schema", "columns"]));
    let json = text(&["schema", "columns", "--format", "json"]);
    let tables: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for (object, table) in tables.iter().zip(TABLES) {
        assert_eq!(object["table"]["table"], table.name);
        assert_eq!(object["table"]["columns"].as_array().map(Vec::len), Some(table.columns.len()));
    }
    assert_eq!(tables.len(), TABLES.len());
}

#[test]
fn jobs_and_shards_write_the_same_rows() {
    let place = command::scratch_folder();
    let [one, eight, shards] = ["one", "eight", "shards"].map(|name| place.path().join(name));
    write_parquet(&one, &[]);
    write_parquet(&eight, &["--jobs", "8"]);
    assert!(files(&one) == files(&eight), "--jobs 8 writes something else");
    for shard in ["2/3", "1/3", "3/3", "1/3"] {
        write_parquet(&shards, &["--shard", shard]);
    }
    let manifests = files(&shards).keys().filter(|name| name.starts_with("_manifest-0000")).count();
    assert_eq!(manifests, 3);
    for table in TABLES {
        let sorted = |folder: &Path| {
            let mut rows: Vec<_> = rows_of_table(folder, table.name).iter().map(Value::to_string).collect();
            rows.sort();
            rows
        };
        assert!(sorted(&one) == sorted(&shards), "{}", table.name);
    }
}

/// All files under a folder, with their bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            found.insert(name, fs::read(&path).expect("a file"));
        }
    }
    found
}

fn write_parquet(folder: &Path, more: &[&str]) {
    let folder = folder.to_str().expect("UTF-8");
    let names = names_of_captures();
    let names = names.iter().map(String::as_str);
    let arguments: Vec<&str> = ["analyze", "--format", "parquet", "-o", folder]
        .into_iter()
        .chain(more.iter().copied())
        .chain(names)
        .collect();
    printed(&arguments);
}

#[test]
fn parquet_has_all_tables_of_many_captures_and_the_same_bytes_each_time() {
    let place = command::scratch_folder();
    let [one, other] = ["one", "other"].map(|name| place.path().join(name));
    write_parquet(&one, &[]);
    write_parquet(&other, &[]);
    let written = files(&one);
    assert!(written == files(&other), "two runs differ");
    let manifest: Value = serde_json::from_slice(&written["_manifest.json"]).expect("JSON");
    let captures: Vec<&Value> = manifest["parts"]
        .as_array()
        .expect("parts")
        .iter()
        .flat_map(|part| part["captures"].as_array().expect("names"))
        .collect();
    assert_eq!(
        captures,
        names_of_captures().iter().map(|name| json!(name)).collect::<Vec<_>>().iter().collect::<Vec<_>>()
    );
    let names = names_of_captures();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let views = ["--view", "messages,conversations,pieces,findings,captures"];
    let objects = objects(&[&names[..], &views].concat());
    let rows = rows_of_table(&one, "messages");
    let messages: Vec<_> = objects.iter().filter(|object| object["n"].is_u64()).collect();
    assert_eq!(rows.len(), messages.len());
    rows.iter().zip(messages).for_each(|(row, object)| assert_message(row, object));
    for (table_name, name) in [("conversations", "conversation"), ("captures", "capture")] {
        let rows = rows_of_table(&one, table_name);
        let said: Vec<_> = objects.iter().filter(|object| object[name].is_object()).collect();
        assert_eq!(rows.len(), said.len(), "{table_name}");
        for (row, object) in rows.iter().zip(said) {
            for column in table(table_name).columns {
                assert_column(table_name, column, &row[column.name], &object[name]);
            }
        }
    }
    // Numbers of messages are those of the capture, so that they join.
    let key = |row: &Value, n: &str| (row["capture"].as_str().expect("a name").to_owned(), row[n].as_i64());
    let keys: HashMap<_, _> = rows.iter().map(|row| (key(row, "n"), row)).collect();
    for finding in rows_of_table(&one, "findings") {
        let notes = keys[&key(&finding, "first_n")]["notes"].as_array().expect("a list");
        assert!(notes.iter().any(|note| note["rule"] == finding["rule"]), "{finding}");
    }
    for piece in rows_of_table(&one, "pieces").iter().filter(|piece| !piece["n"].is_null()) {
        assert!(keys.contains_key(&key(piece, "n")), "{piece}");
    }
}

#[test]
fn filters_choose_the_rows_of_all_tables() {
    let place = command::scratch_folder();
    let folder = place.path().join("out");
    let filter = "message == request";
    write_parquet(&folder, &["--filter", filter, "--no-summary"]);
    let rows = rows_of_table(&folder, "messages");
    assert!(
        !rows.is_empty()
            && rows.iter().all(|row| row["message"] == "request" && row.get("summary").is_none())
    );
}

#[test]
fn another_run_is_refused_and_what_does_not_go_together_is_said() {
    let place = command::scratch_folder();
    let folder = place.path().join("out");
    let out = folder.to_str().expect("UTF-8");
    let run = ["analyze", "--format", "parquet", "-o", out, "download-aria2.pcap"];
    printed(&run);
    let before = files(&folder);
    printed(&run);
    assert!(files(&folder) == before, "the same run differs");
    let other = [&run[..], &["fast-extension.pcap"]].concat();
    assert!(refused(&other).contains("another run"), "{}", refused(&other));
    assert!(files(&folder) == before, "a refused run changed the result");
    printed(&[&other[..], &["--overwrite"]].concat());
    assert_eq!(rows_of_table(&folder, "captures").len(), 2);
    for (arguments, says) in [
        (&["--format", "parquet"][..], "-o DIR"),
        (&["--format", "arrow", "-o", out], "-o"),
        (&["--format", "arrow", "--view", "messages,pieces"], "one view"),
        (&["--format", "arrow", "--view", "ladder"], "ladder"),
        (&["--format", "arrow", "--fields", "n"], "--fields"),
        (&["--format", "parquet", "-o", out, "--view", "pieces"], "--view"),
    ] {
        let errors = refused(&[&["analyze", "download-aria2.pcap"], arguments].concat());
        assert!(errors.contains(says) && errors.lines().count() <= 2, "{arguments:?}: {errors}");
    }
}

#[test]
fn a_capture_that_cannot_be_read_has_a_row() {
    let place = command::scratch_folder();
    let folder = place.path().join("out");
    let text = place.path().join("text.pcap");
    fs::write(&text, "not a capture").expect("a file");
    let (out, text) = (folder.to_str().expect("UTF-8"), text.to_str().expect("UTF-8"));
    let run = ["analyze", "--format", "parquet", "-o", out, text, "download-aria2.pcap"];
    assert_eq!(command::run(&mut bittrace(&run)).0, 2);
    let rows = rows_of_table(&folder, "captures");
    let said: Vec<_> =
        rows.iter().map(|row| (&row["ok"], row["exit"].as_i64(), row["error"].is_string())).collect();
    assert_eq!(said, [(&json!(false), Some(2), true), (&json!(true), Some(0), false)]);
}

#[test]
fn a_run_that_is_killed_leaves_nothing_that_reads_as_a_table() {
    let place = command::scratch_folder();
    let folder = place.path().join("out");
    let out = folder.to_str().expect("UTF-8");
    // Standard input that does not end holds the run in the midst of its last part.
    let run = ["analyze", "--format", "parquet", "-o", out, "download-aria2.pcap", "-"];
    let mut child = bittrace(&run)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    let capture = fs::read(captures_folder().join("download-aria2.pcap")).expect("a capture");
    std::io::Write::write_all(&mut input, &capture[..capture.len() / 2]).expect("it is read");
    let temporary = folder.join("messages/part-00000.parquet.tmp");
    while !temporary.exists() {
        assert!(child.try_wait().expect("a child").is_none(), "it ended early");
        std::thread::yield_now();
    }
    child.kill().expect("it runs");
    child.wait().expect("it is gone");
    let mut told = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut told).expect("text");
    let left = files(&folder);
    assert!(left.keys().all(|name| name.ends_with(".tmp")), "{:?} {told}", left.keys());
    printed(&run[..run.len() - 1]);
    assert!(files(&folder).keys().all(|name| !name.ends_with(".tmp")));
}

/// DuckDB, polars and pyarrow read the same rows as NDJSON has.
#[test]
fn other_programs_read_the_same_rows() {
    let Some(python) = std::env::var_os("BITTRACE_COLUMNS_PYTHON") else {
        programs::skip("BITTRACE_COLUMNS_PYTHON does not name a Python with duckdb, polars and pyarrow");
        return;
    };
    let place = command::scratch_folder();
    let folder = place.path().join("out");
    write_parquet(&folder, &[]);
    let names = names_of_captures();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let views = ["--view", "messages,conversations,pieces,findings,captures"];
    let json = place.path().join("all.json");
    fs::write(&json, printed(&[&["analyze", "--format", "json"], &views[..], &names].concat()))
        .expect("a file");
    let stream = place.path().join("messages.arrows");
    fs::write(&stream, printed(&[&["analyze", "--format", "arrow"], &names[..]].concat())).expect("a file");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/columns/readers.py");
    let (code, out, errors) = command::run(Command::new(python).arg(script).args([&folder, &stream, &json]));
    assert_eq!(code, 0, "{out}{errors}");
    for reader in ["duckdb", "polars", "pyarrow"] {
        assert!(out.contains(&format!("{reader}: ")), "{out}");
    }
}
