//! The reference captures, and all that is known of them beforehand.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::mse::{MseKey, parse_key_log};
use bittrace_trace::{Dissected, Record, Trace, TraceOptions};

/// The folder of the reference captures.
pub fn captures_folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.expect("this crate is two folders below the root").join("captures")
}

/// Every reference capture, in the order of the names.
///
/// # Panics
/// When the folder cannot be read, or holds fewer captures than there were once.
pub fn captures() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(captures_folder())
        .expect("captures/ is there")
        .map(|entry| entry.expect("captures/ can be listed").path())
        .filter(|path| path.to_string_lossy().contains(".pcap"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 20, "captures/ holds only {} captures", paths.len());
    paths
}

/// The scenario that a capture shows: its file name without extensions.
///
/// # Panics
/// When the path has no file name.
pub fn scenario(path: &Path) -> String {
    let name = path.file_name().expect("a capture has a name").to_string_lossy();
    name.split(".pcap").next().expect("split gives at least one part").to_owned()
}

/// The torrent of a capture; not-bittorrent has none.
///
/// # Panics
/// When the torrent beside the capture is not valid.
pub fn torrent(path: &Path) -> Option<Arc<Metainfo>> {
    let bytes = std::fs::read(captures_folder().join(format!("{}.torrent", scenario(path)))).ok()?;
    Some(Arc::new(Metainfo::decode(&bytes).expect("a reference torrent is valid")))
}

/// The keys of a capture's encrypted connections, from the key log beside it.
///
/// # Panics
/// When the key log beside the capture is not valid.
pub fn mse_keys(path: &Path) -> Vec<MseKey> {
    let log = captures_folder().join(format!("{}.keys", scenario(path)));
    std::fs::read(log).map_or_else(|_| Vec::new(), |log| parse_key_log(&log).expect("a key log can be read"))
}

/// A capture of [`captures_folder`] as arguments of a command that runs there: its file, and its torrent and keys where it has
/// them.
///
/// # Panics
/// When the path has no file name.
pub fn arguments(path: &Path) -> Vec<String> {
    let mut arguments = vec![path.file_name().expect("a capture has a name").to_string_lossy().into_owned()];
    for (option, ending) in [("--torrent", "torrent"), ("--mse-keys", "keys")] {
        let beside = format!("{}.{ending}", scenario(path));
        if captures_folder().join(&beside).exists() {
            arguments.extend([option.to_owned(), beside]);
        }
    }
    arguments
}

/// All that is known of a capture beforehand.
pub fn options(path: &Path) -> TraceOptions {
    let torrents = torrent(path).into_iter().collect();
    TraceOptions { torrents, mse_keys: mse_keys(path), ..TraceOptions::default() }
}

/// All records of a capture file.
///
/// # Panics
/// When the capture cannot be read.
pub fn records(path: &Path) -> Vec<Record> {
    let trace = Trace::open(path, options(path)).unwrap_or_else(|error| panic!("{error}"));
    all_records(trace, &path.display().to_string())
}

/// All records of a trace that must be read without an error.
///
/// # Panics
/// When the trace cannot be read.
pub fn all_records(mut trace: Trace, name: &str) -> Vec<Record> {
    let mut records = Vec::new();
    loop {
        match trace.next() {
            Ok(Some(Dissected::Record(record))) => records.push(record),
            Ok(Some(Dissected::Connection(_))) => {}
            Ok(None) => return records,
            Err(error) => panic!("{name}: {error}"),
        }
    }
}
