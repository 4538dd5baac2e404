//! Result folders: a run that was cut short leaves none, another run's result stands, shards share a folder.

use std::fs;
use std::path::{Path, PathBuf};

use bittrace_columnar::ColumnarError;
use bittrace_columnar::{
    Manifest, ManifestPart, MessageContent, MessageOptions, MessageRow, PartWriter, Refusal, ResultFolder,
    Run, Shard, TABLES,
};
use bittrace_testing::captures::{captures, records};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const COLUMNS: MessageOptions = MessageOptions { summary: true, bytes: false };

fn run(names: &[&str], shard: Option<Shard>) -> Run {
    Run {
        files: names.iter().map(|name| ((*name).to_owned(), 100)).collect(),
        options: Vec::new(),
        columns: COLUMNS,
        version: "0.1.0".to_owned(),
        shard,
    }
}

/// Writes a part of the first records of a capture.
fn part(folder: &ResultFolder, number: usize) -> ManifestPart {
    let part = folder.part(number);
    let mut writer = PartWriter::create(folder.path(), &part, COLUMNS).expect("a file");
    let records = &records(&captures()[0])[..3];
    for record in records {
        let content = MessageContent::default();
        writer
            .message(&MessageRow { record, capture: "a", start: records[0].at, summary: "", content })
            .expect("a file");
    }
    ManifestPart { part, captures: vec!["a".to_owned()], tables: writer.finish().expect("a file") }
}

/// The files under a folder, without directories.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(path) = folders.pop() {
        for entry in fs::read_dir(path).expect("a file") {
            let path: PathBuf = entry.expect("a file").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).expect("a file").to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

fn refusal(folder: &Path, run: Run, overwrite: bool) -> Option<Refusal> {
    match ResultFolder::open(folder, run, overwrite) {
        Err(ColumnarError::Refused(refusal)) => Some(refusal),
        Err(other) => panic!("{other}"),
        Ok(_) => None,
    }
}

#[test]
fn parts_have_their_names_only_once_the_run_is_done() {
    let place = tempfile::tempdir().unwrap();
    let folder = ResultFolder::open(place.path(), run(&["a"], None), false).unwrap();
    let parts = vec![part(&folder, 0), part(&folder, 1)];
    let before = files(place.path());
    assert_eq!(before.len(), 2 * TABLES.len());
    assert!(before.iter().all(|name| name.ends_with(".parquet.tmp")), "{before:?}");
    folder.finish(parts.clone()).unwrap();
    let after = files(place.path());
    assert!(
        after.contains(&"_manifest.json".to_owned())
            && after.contains(&"messages/part-00001.parquet".to_owned())
    );
    assert_eq!(after.len(), 2 * TABLES.len() + 1);
    let manifest: Manifest =
        serde_json::from_slice(&fs::read(place.path().join("_manifest.json")).unwrap()).unwrap();
    assert_eq!((&manifest.parts, manifest.run), (&parts, run(&["a"], None).id()));
    for part in &parts {
        for (table, size) in &part.tables {
            let path = place.path().join(table).join(format!("{}.parquet", part.part));
            let file = fs::File::open(path).unwrap();
            assert_eq!(file.metadata().unwrap().len(), size.bytes);
            let rows =
                ParquetRecordBatchReaderBuilder::try_new(file).unwrap().metadata().file_metadata().num_rows();
            assert_eq!(rows as u64, size.rows);
        }
    }
}

#[test]
fn what_a_killed_run_left_is_no_table_and_is_removed_by_the_next() {
    let place = tempfile::tempdir().unwrap();
    let folder = ResultFolder::open(place.path(), run(&["a", "b", "c"], None), false).unwrap();
    for number in 0..3 {
        part(&folder, number);
    }
    // Killed here, or within a part: then the file has no end, and is not Parquet.
    let half = place.path().join("messages/part-00003.parquet.tmp");
    drop(PartWriter::create(place.path(), "part-00003", COLUMNS).unwrap());
    assert!(ParquetRecordBatchReaderBuilder::try_new(fs::File::open(half).unwrap()).is_err());
    assert!(files(place.path()).iter().all(|name| !name.ends_with(".parquet") && !name.ends_with(".json")));
    let folder = ResultFolder::open(place.path(), run(&["a"], None), false).unwrap();
    assert_eq!(files(place.path()), [""; 0]);
    let parts = vec![part(&folder, 0)];
    folder.finish(parts).unwrap();
    assert_eq!(files(place.path()).len(), TABLES.len() + 1);
}

#[test]
fn the_same_run_replaces_its_parts_and_another_run_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let write = |names: &[&str], count: usize, overwrite: bool| {
        let folder = ResultFolder::open(place.path(), run(names, None), overwrite).unwrap();
        let parts = (0..count).map(|number| part(&folder, number)).collect();
        folder.finish(parts).unwrap();
        files(place.path())
    };
    let first = write(&["a", "b"], 2, false);
    assert_eq!(write(&["a", "b"], 2, false), first);
    let path = place.path().join("_manifest.json");
    assert_eq!(
        refusal(place.path(), run(&["c"], None), false),
        Some(Refusal::OtherRun { path: path.clone() })
    );
    assert_eq!(files(place.path()), first);
    // Until the other run is whole, the result stands.
    let folder = ResultFolder::open(place.path(), run(&["c"], None), true).unwrap();
    let parts = vec![part(&folder, 0)];
    assert!(first.iter().all(|name| files(place.path()).contains(name)));
    folder.finish(parts).unwrap();
    assert_eq!(files(place.path()).len(), TABLES.len() + 1);
    fs::write(&path, "{").unwrap();
    assert!(matches!(refusal(place.path(), run(&["c"], None), false), Some(Refusal::Unreadable { .. })));
}

#[test]
fn a_file_that_is_not_a_part_is_never_among_them() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("pieces")).unwrap();
    let path = place.path().join("pieces/mine.parquet");
    fs::write(&path, "").unwrap();
    for overwrite in [false, true] {
        assert_eq!(
            refusal(place.path(), run(&["a"], None), overwrite),
            Some(Refusal::Stranger { path: path.clone() })
        );
    }
    assert_eq!(files(place.path()), ["pieces/mine.parquet"]);
}

#[test]
fn shards_share_a_folder_and_each_replaces_its_own_parts() {
    let place = tempfile::tempdir().unwrap();
    let shard = |number, of| Some(Shard { number, of });
    let write = |number, count: usize| {
        let folder = ResultFolder::open(place.path(), run(&["a", "b"], shard(number, 2)), false).unwrap();
        let parts = (0..count).map(|number| part(&folder, number)).collect();
        folder.finish(parts).unwrap();
    };
    write(1, 2);
    write(2, 1);
    let both = files(place.path());
    assert_eq!(both.len(), 3 * TABLES.len() + 2);
    assert!(both.contains(&"_manifest-00001-of-00002.json".to_owned()));
    assert!(both.contains(&"messages/part-00002-of-00002-00000.parquet".to_owned()));
    write(1, 2);
    assert_eq!(files(place.path()), both);
    write(1, 1);
    assert_eq!(files(place.path()).len(), 2 * TABLES.len() + 2);
    for other in [shard(1, 3), None] {
        assert!(matches!(
            refusal(place.path(), run(&["a", "b"], other), false),
            Some(Refusal::OtherRun { .. })
        ));
    }
}
