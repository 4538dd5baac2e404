//! `download --trace`: the messages of the run as rows, while it goes on.
//!
//! The run's recording goes through a pipe to the analyzer, so that the rows are those that `analyze` shows of the recording
//! later: nothing is decoded in a second way.

use std::io::{self, PipeReader, Write, pipe};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use bittrace_client::RecordingWatcher;
use bittrace_protocol::{Metainfo, Timestamp};
use bittrace_trace::record::Record;
use bittrace_trace::{Dissected, Trace, TraceOptions};

use crate::args::Common;
use crate::print::message_table::{Detail, MessageTable};
use crate::print::output::Output;
use crate::query::row::{CaptureContext, Row};

/// The threads that read the recording and write its rows.
pub(super) struct LiveTrace {
    reader: JoinHandle<()>,
    printer: JoinHandle<io::Result<()>>,
}

/// A message on its way to the table.
struct LiveRecord {
    record: Record,
    /// When the recording began.
    start: Timestamp,
    /// This host, once it is known.
    local: Option<IpAddr>,
}

/// Messages that may wait for the table. More slow the run down rather than fill memory.
const WAITING: usize = 256;

/// How long a row may wait for others of its kind, with which it would share a line.
const FOLD_WITHIN: Duration = Duration::from_millis(300);

impl LiveTrace {
    /// Begins to write rows of what the watcher is shown.
    pub(super) fn begin(
        torrents: &[Arc<Metainfo>],
        common: Common,
        output: Output,
    ) -> Result<(Self, RecordingWatcher)> {
        let (from, to) = pipe().context("no pipe for --trace")?;
        let (send, records) = sync_channel(WAITING);
        let torrents = torrents.to_vec();
        let options = TraceOptions { torrents: torrents.clone(), ..TraceOptions::default() };
        let reader =
            thread::Builder::new().name("trace".to_owned()).spawn(move || read(from, options, &send))?;
        let printer = thread::Builder::new()
            .name("rows".to_owned())
            .spawn(move || print(&records, torrents, common, output))?;
        Ok((Self { reader, printer }, RecordingWatcher::new(to)))
    }

    /// Waits for the last row, which follows the end of the recording.
    ///
    /// # Errors
    /// When the rows could not be written.
    pub(super) fn end(self) -> io::Result<()> {
        let panicked = |_| io::Error::other("a thread of --trace ended early");
        self.reader.join().map_err(panicked)?;
        self.printer.join().map_err(panicked)?
    }
}

/// Reads the recording as it is made, to its end, or until nobody wants the rows any more.
fn read(from: PipeReader, options: TraceOptions, send: &SyncSender<LiveRecord>) {
    // Our own recording is whole but for a run that breaks off, whose end is told elsewhere.
    let Ok(mut trace) = Trace::from_reader("this run".to_owned(), from, options) else { return };
    while let Ok(Some(dissected)) = trace.next() {
        if let Dissected::Record(record) = dissected {
            let start = trace.span().map_or(record.at, |(first, _)| first);
            if send.send(LiveRecord { record, start, local: trace.local() }).is_err() {
                return;
            }
        }
    }
}

/// Writes the rows. A run of like messages is folded as in `analyze`, but waits only as long as nobody notices.
fn print(
    records: &Receiver<LiveRecord>,
    torrents: Vec<Arc<Metainfo>>,
    common: Common,
    mut output: Output,
) -> io::Result<()> {
    let mut place = CaptureContext::new(String::new(), 0, torrents);
    let detail = Detail { verbose: common.verbose, quiet: common.quiet, ..Detail::default() };
    let mut table = MessageTable::new(output.look, &[], detail);
    // A blank line before the heading, where something stands above it.
    let mut lines = if common.quiet { Vec::new() } else { vec![b'\n'] };
    loop {
        let ended = match records.recv_timeout(FOLD_WITHIN) {
            Ok(LiveRecord { record, start, local }) => {
                place.start = start;
                table.row(&Row::new(&record, &place), local, &mut lines)?;
                false
            }
            Err(RecvTimeoutError::Timeout) => {
                table.finish(&mut lines)?;
                false
            }
            Err(RecvTimeoutError::Disconnected) => {
                table.finish(&mut lines)?;
                true
            }
        };
        if lines.len() > 1 {
            // In one piece, since others write to the same page.
            output.write_all(&lines)?;
            output.flush()?;
            lines.clear();
        }
        if ended {
            return Ok(());
        }
    }
}
