//! How far a run is: a bar on a terminal, a line now and then elsewhere, nothing when told to be quiet. All of it goes to
//! standard error.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use bittrace_protocol::session::{MetadataStatus, PeerView, Status};
use bittrace_trace::units::{count, counted, rough_size, seconds};
use indicatif::{ProgressBar, ProgressStyle};

/// Shows how far a run is.
pub(super) struct ProgressLine {
    bar: Option<ProgressBar>,
    quiet: bool,
    last_line_at: Option<Instant>,
    complete: bool,
}

/// Nanoseconds since 1970, as the session's moments are.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// What a run waits for that does not know its torrent yet.
fn waiting_text(metadata: &MetadataStatus, open: u64) -> String {
    if let Some(layers) = metadata.layers {
        let (received, peers) = (count(layers.received), counted(layers.peers as u64, "peer"));
        return format!("piece layers: {received} of {} from {peers}", counted(layers.wanted, "hash"));
    }
    match metadata.size {
        Some(size) => format!(
            "metadata: {} of {} from {}",
            rough_size(metadata.received),
            rough_size(size),
            counted(metadata.peers as u64, "peer")
        ),
        None if open == 0 => "waiting for a peer that has the metadata".to_owned(),
        None => format!("waiting for metadata from {}", counted(open, "peer")),
    }
}

/// How often a line is written where there is no bar.
const EVERY: Duration = Duration::from_secs(5);

impl ProgressLine {
    pub(super) fn new(quiet: bool) -> Self {
        let bar = (!quiet && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(1);
            // A template of constant text is valid, and the default is there for when it is not.
            let style = ProgressStyle::with_template("{wide_bar} {percent:>3} %  {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { bar, quiet, last_line_at: None, complete: false }
    }

    pub(super) fn show(&mut self, status: &Status, peers: &[PeerView]) {
        if let Some(metadata) = status.metadata {
            return self.waiting_for_metadata(metadata, peers);
        }
        let done = status.total - status.left;
        let pieces = format!("{} of {} pieces", status.pieces_done, status.pieces);
        let open = peers.iter().filter(|peer| peer.open).count();
        let connected = counted(open as u64, "peer");
        let down = rough_size(status.download_rate as u64);
        let up = rough_size(status.upload_rate as u64);
        let left = match status.download_rate {
            rate if rate >= 1.0 && status.left > 0 => {
                format!(", {} left", seconds((status.left as f64 / rate).ceil() as u64))
            }
            _ => String::new(),
        };
        let waits = match status.next_announce {
            Some(at) if open == 0 && status.left > 0 => {
                let wait = at.as_nanos().saturating_sub(now()).max(0) as u64 / 1_000_000_000;
                format!(", no peers left; next announce in {}", seconds(wait))
            }
            _ => String::new(),
        };
        let text = format!("{pieces}, ↓ {down}/s ↑ {up}/s, {connected}{left}{waits}");
        if let Some(bar) = &self.bar {
            bar.set_length(status.total.max(1));
            bar.set_position(done);
            bar.set_message(text);
            return;
        }
        self.line(|| {
            let percent = if status.total == 0 { 100.0 } else { done as f64 * 100.0 / status.total as f64 };
            format!("{percent:.1} %: {text}")
        });
    }

    /// Peers are asked for the metadata of the torrent.
    fn waiting_for_metadata(&mut self, metadata: MetadataStatus, peers: &[PeerView]) {
        let open = peers.iter().filter(|peer| peer.open).count() as u64;
        let text = waiting_text(&metadata, open);
        if let Some(bar) = &self.bar {
            let (done, of) = match metadata.layers {
                Some(layers) => (layers.received, layers.wanted),
                None => (metadata.received, metadata.size.unwrap_or(1)),
            };
            bar.set_length(of);
            bar.set_position(done);
            bar.set_message(text);
            return;
        }
        self.line(|| text);
    }

    /// What is on disk is being hashed.
    pub(super) fn checking(&mut self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total.max(1));
            bar.set_position(done);
            bar.set_message("checking files on disk");
            return;
        }
        self.line(|| format!("checking files on disk: {} of {}", rough_size(done), rough_size(total)));
    }

    pub(super) fn complete(&mut self) {
        self.complete = true;
    }

    /// Does something to the terminal while the bar is out of the way.
    pub(super) fn aside<T>(&self, act: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(act),
            None => act(),
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            if self.complete { bar.finish_and_clear() } else { bar.abandon() }
        }
    }

    fn line(&mut self, text: impl FnOnce() -> String) {
        if self.quiet || self.last_line_at.is_some_and(|last_line_at| last_line_at.elapsed() < EVERY) {
            return;
        }
        self.last_line_at = Some(Instant::now());
        // Nobody may be listening, which must not end the run.
        let _ = writeln!(io::stderr(), "{}", text());
    }
}

#[cfg(test)]
mod tests {
    use bittrace_protocol::session::LayerStatus;

    use super::*;
    use crate::commands::download::closing::what_is_missing;

    #[test]
    fn what_is_waited_for_is_named() {
        let mut metadata = MetadataStatus { received: 0, size: None, peers: 0, layers: None };
        assert_eq!(waiting_text(&metadata, 2), "waiting for metadata from 2 peers");
        assert_eq!(waiting_text(&metadata, 0), "waiting for a peer that has the metadata");
        metadata = MetadataStatus { received: 16_384, size: Some(40_960), peers: 1, layers: None };
        assert_eq!(waiting_text(&metadata, 2), "metadata: 16 KiB of 40 KiB from 1 peer");
        assert_eq!(what_is_missing(&metadata), "the metadata");
        metadata.layers = Some(LayerStatus { received: 512, wanted: 1_200, peers: 0 });
        assert_eq!(waiting_text(&metadata, 2), "piece layers: 512 of 1,200 hashes from 0 peers");
        assert_eq!(what_is_missing(&metadata), "the piece layers (the hashes of its pieces)");
    }
}
