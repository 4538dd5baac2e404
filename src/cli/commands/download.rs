//! `bittrace download`: a live run, with a running commentary.

mod closing;
mod live_trace;
mod narrate;
mod options;
mod progress;
mod record_target;
mod recording;
mod source;
mod ways;

use std::io::{self, Write};
use std::path::{Path, absolute};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bittrace_client::{Download, DownloadReport, Notice, Outcome, Stop};
use bittrace_protocol::session::Event;

use crate::Exit;
use crate::args::{self, Common};
use crate::interrupt::{heed, interrupted};
use crate::os::is_same_file;
use crate::print::output::Output;

pub(crate) use narrate::violation_in_words;
pub(crate) use options::options;
pub(crate) use record_target::RecordTarget;
pub(crate) use source::{FurtherSources, read_link, warn_of_link, write_link};

use closing::closing_table;
pub(crate) use closing::what_is_missing;
use live_trace::LiveTrace;
use narrate::Narrator;
use progress::ProgressLine;
use recording::{Against, RunPage, RunRecording};
use source::Source;
use ways::WaysTried;

/// Runs the command.
pub(crate) fn run(arguments: &args::DownloadArguments, common: Common, output: Output) -> Result<Exit> {
    let target = RecordTarget::of(arguments)?;
    let output = match target {
        // Standard output has the recording and nothing else.
        RecordTarget::StandardOutput => Output::on_standard_error(common),
        _ => output,
    };
    run_recorded(arguments, &target, common, output)
}

/// Runs the command, with a recording that goes to `target`.
pub(crate) fn run_recorded(
    arguments: &args::DownloadArguments,
    target: &RecordTarget,
    common: Common,
    mut output: Output,
) -> Result<Exit> {
    let Some(source) = Source::load(&arguments.torrent)? else { return Ok(Exit::Interrupted) };
    check_key_log(arguments)?;
    if !common.quiet {
        let mut contents = Vec::new();
        source.write_contents(output.look, &mut contents)?;
        tolerate_broken_pipe(output.write_all(&contents).and_then(|()| output.flush()))?;
    }
    source.warn(arguments, FurtherSources::of(arguments), common)?;
    let mut options = options(arguments, source.info_hash(), source.known())?;
    if !target.open(common, &mut options)? {
        return Ok(Exit::Interrupted);
    }
    let against = arguments.against.as_deref().map(|path| Against::read(path, common)).transpose()?;
    let is_read_afterwards = against.is_some() || arguments.html.is_some() || arguments.diagnose;
    let recording = is_read_afterwards.then(|| RunRecording::begin(&mut options)).transpose()?;
    let page = RunPage::begin(arguments, source.known(), recording.as_ref(), &output)?;
    let live = match arguments.trace {
        true => {
            let (live, watcher) =
                LiveTrace::begin(source.known().cloned().as_slice(), common, output.clone())?;
            options.watchers.push(watcher);
            Some(live)
        }
        false => None,
    };
    let download = source.begin(options)?;
    let EndedRun { report, ways, wrong_output } =
        run_with_commentary(download, target, arguments.trace, common, &mut output);
    let rows = live.map_or(Ok(()), LiveTrace::end);
    let report = report?;
    let torrents: Vec<_> = report.torrent.clone().into_iter().collect();
    tolerate_broken_pipe(wrong_output.map_or(rows, Err))?;
    if !common.quiet {
        let mut table = Vec::new();
        closing_table(&report, &ways, target, arguments.key_log.as_deref(), output.look, &mut table)?;
        tolerate_broken_pipe(output.write_all(&table).and_then(|()| output.flush()))?;
    }
    if !target.is_satisfied(report.recording)? {
        return Ok(Exit::Done);
    }
    let exit = match report.outcome {
        Outcome::Complete => Exit::Done,
        Outcome::Stopped if interrupted() => Exit::Interrupted,
        Outcome::Incomplete | Outcome::Stopped => Exit::Matched,
    };
    let Some(recording) = recording else { return Ok(exit) };
    if arguments.diagnose && exit != Exit::Interrupted {
        recording.diagnose(&torrents, common, &mut output)?;
    }
    if let Some(page) = page {
        // The page is of a run that Ctrl-C ended as well: a seeding run has no other end.
        heed();
        page.write(&recording, report.place.as_deref(), &torrents)?;
    }
    match against {
        Some(against) if exit != Exit::Interrupted => {
            if !common.quiet {
                writeln!(output)?;
            }
            Ok(exit.max(against.compare(&recording, &torrents, common, &mut output)?))
        }
        _ => Ok(exit),
    }
}

/// Runs a download to its end, and tells what happens.
pub(crate) fn run_with_commentary(
    download: Download,
    target: &RecordTarget,
    beside_rows: bool,
    common: Common,
    output: &mut Output,
) -> EndedRun {
    let stop = download.stop();
    stop_when_interrupted(stop.clone());
    let mut ways = WaysTried::default();
    let mut narrator = Narrator::new(output.look, common, beside_rows);
    // Rows show how far the run is.
    let mut progress = ProgressLine::new(common.quiet || beside_rows);
    let mut wrong_output = None;
    let report = download.run_blocking(|notice| {
        let mut lines = Vec::new();
        if let Notice::Session(event) = &notice {
            ways.see(event);
        }
        match &notice {
            Notice::Progress { status, peers } => progress.show(status, peers),
            Notice::Checking { done, total } => progress.checking(*done, *total),
            // The run is for that reader alone.
            gone if target.is_left_by_reader(gone) => stop.stop(),
            other => narrator.tell(other, &mut lines),
        }
        if matches!(notice, Notice::Session(Event::Complete)) {
            progress.complete();
        }
        if !lines.is_empty() && !common.quiet {
            let written = progress.aside(|| output.write_all(&lines).and_then(|()| output.flush()));
            wrong_output = wrong_output.take().or(written.err());
        }
    });
    progress.end();
    EndedRun { report, ways, wrong_output }
}

/// A run that is over.
pub(crate) struct EndedRun {
    pub(crate) report: Result<DownloadReport, bittrace_client::Error>,
    ways: WaysTried,
    /// Why what happened could not be told.
    pub(crate) wrong_output: Option<io::Error>,
}

/// Nobody may read the output any more (a closed pipe): that changes nothing of the run and its outcome.
fn tolerate_broken_pipe(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output cannot be written"),
    }
}

/// Refuses to write over a file that is read. `option` names the file to write.
pub(crate) fn keep(option: &str, what: &str, read: &Path, written: &Path) -> Result<()> {
    if is_same_file(read, written) {
        bail!("{option} {}: this is {what} and would be overwritten", written.display());
    }
    Ok(())
}

/// Refuses a key log that would change another file of the run.
fn check_key_log(arguments: &args::DownloadArguments) -> Result<()> {
    let Some(log) = &arguments.key_log else { return Ok(()) };
    if log == Path::new("-") {
        bail!("--key-log -: keys are appended to a file; name a file");
    }
    keep("--key-log", "the torrent file", Path::new(&arguments.torrent), log)?;
    let named = [&arguments.like, &arguments.against, &arguments.record, &arguments.html];
    for other in named.into_iter().flatten() {
        let is_same_name = matches!((absolute(log), absolute(other)), (Ok(log), Ok(other)) if log == other);
        if is_same_name || is_same_file(other, log) {
            bail!("--key-log {}: another option names this file", log.display());
        }
    }
    Ok(())
}

/// The first Ctrl-C announces stopped to the trackers and closes the connections; the second ends the process, which loses nothing verified.
fn stop_when_interrupted(stop: Stop) {
    thread::spawn(move || {
        while !interrupted() {
            thread::sleep(Duration::from_millis(50));
        }
        stop.stop();
    });
}
