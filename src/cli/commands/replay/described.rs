//! The torrent of a capture that has no .torrent file: what peers sent each other of its metadata (BEP 9), with the trackers that
//! were asked.

use anyhow::{Result, bail};
use bittrace_protocol::magnet::{InfoHashes, Magnet};
use bittrace_protocol::metainfo::PieceLayers;
use bittrace_protocol::tracker::udp::Packet;
use bittrace_trace::{Body, Dissected, HttpTrackerBody, Record, TraceOptions};

use crate::args::ReplayArguments;
use crate::input;
use crate::os::is_pipe;
use crate::print::output::Output;

/// The torrent file that the capture describes.
///
/// # Errors
/// When the capture cannot be read, or its peers did not send the whole metadata.
pub(super) fn torrent_file(arguments: &ReplayArguments, output: &Output) -> Result<Vec<u8>> {
    let (capture, found) = (arguments.capture.display(), std::fs::metadata(&arguments.capture));
    if found.as_ref().is_ok_and(std::fs::Metadata::is_dir) {
        bail!(
            "{capture}: a directory, and replay plays one capture file: name one of those in it, such as {}",
            arguments.capture.join("FILE.pcap").display()
        );
    }
    // A pipe has nothing left for the replay.
    if is_pipe(&arguments.capture) {
        bail!("{capture}: a pipe, which cannot be read twice: give the torrent with --torrent");
    }
    if found.is_ok_and(|found| !found.is_file()) {
        bail!("{capture}: a device, not a capture file: name a pcap or pcapng file");
    }
    let options = TraceOptions {
        local: arguments.local.into(),
        mse_keys: arguments.key_logs.read()?,
        ..TraceOptions::default()
    };
    let mut trace = input::open(&arguments.capture, options, output)?;
    let (mut torrent, mut trackers) = (None, Vec::new());
    while let Some(dissected) = trace.next()? {
        let Dissected::Record(record) = dissected else { continue };
        if let Some(url) = tracker_of(&record)
            && !trackers.contains(&url)
            && trackers.len() < MOST_TRACKERS
        {
            trackers.push(url);
        }
        torrent = torrent.or(record.describes);
    }
    let Some(torrent) = torrent else {
        bail!(
            "{}: no .torrent file of the same name beside it, and its peers did not send the metadata: give the torrent \
             with --torrent",
            arguments.capture.display()
        );
    };
    let magnet = Magnet { trackers, ..Magnet::new(InfoHashes::V1(torrent.info_hash)) };
    Ok(magnet.torrent_file(torrent.info_bytes(), &PieceLayers::new()))
}

/// The URL of the tracker that a message asks; without its query over HTTP.
fn tracker_of(record: &Record) -> Option<String> {
    let far = record.destination;
    match &record.body {
        Body::HttpTracker(HttpTrackerBody::Request(request, _)) => {
            Some(format!("http://{far}{}", String::from_utf8_lossy(request.path())))
        }
        Body::UdpTracker(packet) => match &**packet {
            Packet::AnnounceRequest(request) => {
                let target = request.url_data().unwrap_or_default();
                Some(format!("udp://{far}{}", String::from_utf8_lossy(&target)))
            }
            _ => None,
        },
        _ => None,
    }
}

/// How many trackers of a capture are kept.
const MOST_TRACKERS: usize = 50;
