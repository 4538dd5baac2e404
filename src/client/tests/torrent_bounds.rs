//! Torrent files that cost much more memory than they have bytes are refused, or read in part, before they do.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

use std::io::Write;
use std::time::Duration;

use bittrace_client::{Error, TorrentFile};
use bittrace_testing::tracker::{ScriptedTracker, ok};

/// A torrent with this info value before `piece length`.
fn torrent(info: &str) -> Vec<u8> {
    format!("d4:infod{info}12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee").into_bytes()
}

fn read(bytes: &[u8]) -> Result<TorrentFile, Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    TorrentFile::read(file.path())
}

/// Fetches what a server sends in gzip.
fn fetch_compressed(bytes: &[u8]) -> Result<TorrentFile, Error> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    let body = encoder.finish().unwrap();
    let server = ScriptedTracker::start(move |_| {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), &body].concat()
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(TorrentFile::fetch(&server.url(), Duration::from_secs(10)))
}

#[test]
fn a_torrent_of_more_files_than_can_be_downloaded_is_refused() {
    let of = |count: usize| {
        let files = "d6:lengthi0e4:pathl1:aee".repeat(count - 1);
        torrent(&format!("5:filesld6:lengthi1e4:pathl1:bee{files}e4:name1:x"))
    };
    assert_eq!(read(&of(120_000)).unwrap().metainfo.files.len(), 120_000);
    for result in [read(&of(120_001)), read(&of(490_000)), fetch_compressed(&of(200_000))] {
        match result {
            Err(Error::NotATorrent { source, .. }) => {
                assert!(source.to_string().contains("values"), "{source}")
            }
            Err(Error::TooManyFiles { limit: 120_000, files: 120_001.., .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_torrent_of_many_values_is_refused() {
    let values = "le".repeat(3_500_000);
    let bytes = torrent(&format!("6:lengthi1e4:name1:x1:yl{values}e"));
    assert!(matches!(read(&bytes), Err(Error::NotATorrent { .. })));
}

#[test]
fn a_short_answer_that_is_a_long_torrent_is_refused() {
    let zeros = vec![b'0'; 30 << 20];
    let result = fetch_compressed(&zeros);
    assert!(matches!(result, Err(Error::TorrentTooLarge { .. })), "{result:?}");
    // One of a usual size is read.
    assert!(fetch_compressed(&torrent("6:lengthi1e4:name1:x")).is_ok());
    let plain = ok(&zeros);
    let server = ScriptedTracker::start(move |_| plain.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = runtime.block_on(TorrentFile::fetch(&server.url(), Duration::from_secs(10)));
    assert!(matches!(result, Err(Error::TorrentTooLarge { .. })), "{result:?}");
}
