//! Captures as users name them: files, pipes, or standard input.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bittrace_trace::units::{counted, rough_size};
use bittrace_trace::{About, Cut, Dissected, LocalChoice, Trace, TraceOptions};

use crate::Exit;
use crate::args::Common;
use crate::commands::torrent::read_torrents;
use crate::failure::{self, say, warn};
use crate::interrupt::{Feed, interrupted};
use crate::keys::KeyLogs;
use crate::print::output::Output;

/// How captures are read that come with these torrents, key logs and local host.
///
/// # Errors
/// When a torrent or a key log cannot be read.
pub(crate) fn options(torrents: &[PathBuf], key_logs: &KeyLogs, local: LocalChoice) -> Result<TraceOptions> {
    let torrents = read_torrents(torrents)?;
    Ok(TraceOptions { local, torrents, mse_keys: key_logs.read()?, ..TraceOptions::default() })
}

/// What standard input is called where it has no other name.
pub(crate) const STANDARD_INPUT: &str = "standard input";

/// Opens a capture; `-` is standard input. Whoever waits for a pipe sees what is known put out before, and whoever waits
/// for a long capture is told how far it was read.
pub(crate) fn open(path: &Path, options: TraceOptions, output: &Output) -> Result<Trace> {
    open_as(path, STANDARD_INPUT, options, output)
}

/// The same, with a name for standard input.
pub(crate) fn open_as(
    path: &Path,
    standard_input: &str,
    options: TraceOptions,
    output: &Output,
) -> Result<Trace> {
    let told = output.clone();
    let trace = open_waiting(path, standard_input, options, move || {
        // A closed pipe shows at the next write; here it would be taken for a fault of the input.
        let _ = told.clone().flush();
    })?;
    Ok(with_progress(trace, output))
}

/// Opens a copy of a capture; `name` stands for it in errors, as the copy is not what the user named.
pub(crate) fn open_copy(name: String, copy: File, options: TraceOptions, output: &Output) -> Result<Trace> {
    Ok(with_progress(Trace::from_reader(name, copy, options)?, output))
}

fn with_progress(mut trace: Trace, output: &Output) -> Trace {
    if !output.is_quiet() {
        let mut progress = ReadingProgress::new(output.clone());
        trace.on_progress(move |about| progress.tell(about));
    }
    trace
}

/// What a capture is called in errors.
pub(crate) fn name(path: &Path) -> String {
    match path == Path::new("-") {
        true => STANDARD_INPUT.to_owned(),
        false => path.display().to_string(),
    }
}

/// Tells on standard error how far a capture was read, every few seconds. On a terminal that shows results meanwhile it
/// says nothing between them.
struct ReadingProgress {
    output: Output,
    told: Instant,
    writes: u64,
}

/// How often that is.
const EVERY: Duration = Duration::from_secs(5);

impl ReadingProgress {
    fn new(output: Output) -> Self {
        let writes = output.writes();
        Self { output, told: Instant::now(), writes }
    }

    fn tell(&mut self, about: &About) {
        let writes = self.output.writes();
        if self.output.is_terminal() && writes != self.writes {
            (self.writes, self.told) = (writes, Instant::now());
        }
        if self.told.elapsed() < EVERY {
            return;
        }
        self.told = Instant::now();
        let (packets, bytes) = (counted(about.packets(), "packet"), rough_size(about.bytes()));
        say(&format!("bittrace: {}: {packets} read so far, {bytes}", about.name()));
    }
}

/// Opens a capture; `-` is standard input. `before_wait` is called whenever a pipe has nothing to read.
pub(crate) fn open_silently(
    path: &Path,
    options: TraceOptions,
    before_wait: impl FnMut() + Send + 'static,
) -> Result<Trace> {
    open_waiting(path, STANDARD_INPUT, options, before_wait)
}

fn open_waiting(
    path: &Path,
    standard_input: &str,
    options: TraceOptions,
    before_wait: impl FnMut() + Send + 'static,
) -> Result<Trace> {
    if path == Path::new("-") {
        let feed = Feed::new(io::stdin(), before_wait);
        return Ok(Trace::from_reader(standard_input.to_owned(), feed, options)?);
    }
    // A pipe may be written while it is read.
    let waits = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
    if waits {
        let file = File::open(path).with_context(|| format!("{}: cannot be opened", path.display()))?;
        let feed = Feed::new(file, before_wait);
        return Ok(Trace::from_reader(path.display().to_string(), feed, options)?);
    }
    Ok(Trace::open(path, options)?)
}

/// Reads a trace to its end, or up to Ctrl-C, and shows all of it to `take`. A fault of the capture is reported, and what came
/// before it counts; the exit says so.
///
/// # Errors
/// When `take` fails.
pub(crate) fn read_to_end(trace: &mut Trace, mut take: impl FnMut(&Dissected) -> Result<()>) -> Result<Exit> {
    let mut exit = Exit::Done;
    while !interrupted() {
        match trace.advance() {
            Ok(true) => trace.current().map_or(Ok(()), &mut take)?,
            Ok(false) => break,
            Err(error) => {
                exit = Exit::CouldNotTell;
                failure::report(&error.into());
            }
        }
    }
    Ok(exit)
}

/// Says that a capture ends within a packet, where it does.
pub(crate) fn warn_of_cut(common: Common, capture: impl Display, cut: Option<Cut>) {
    if let Some(Cut { offset }) = cut {
        let text = format!("{capture}: cut short: the packet at byte {offset} is not whole and is left out");
        warn(common, &text);
    }
}
