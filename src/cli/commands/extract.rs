//! `bittrace extract`: captures in, the files that peers sent each other out.

mod page;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use bittrace_client::extract::{Extraction, ExtractionReport, Writing};
use bittrace_client::{Error, RootName};
use bittrace_trace::units::counted;
use bittrace_trace::{Dissected, TraceOptions};

use crate::Exit;
use crate::args::{Common, ExtractArguments, ExtractFormat};
use crate::commands::torrent::read_torrents;
use crate::failure::{self, warn};
use crate::input;
use crate::interrupt::interrupted;
use crate::print::output::Output;

/// Runs the command.
pub(crate) fn run(arguments: &ExtractArguments, common: Common, mut output: Output) -> Result<Exit> {
    let torrents = read_torrents(&arguments.torrent)?;
    // The pieces are checked as they are put together, not as each peer received them. Requests to web seeds are known
    // by the torrent alone.
    let seeded = torrents.iter().filter(|torrent| !torrent.url_list.is_empty()).map(Arc::clone).collect();
    let options =
        TraceOptions { torrents: seeded, mse_keys: arguments.key_logs.read()?, ..TraceOptions::default() };
    let mut extraction = Extraction::new(&arguments.output, torrents).map_err(in_the_way)?;
    let mut exit = Exit::Done;
    for path in &arguments.captures {
        if interrupted() {
            break;
        }
        exit = exit.max(read(path, &options, &mut extraction, common, &output)?);
    }
    // The current folder may be a home folder, in which names with a dot in front configure programs.
    let root_name =
        if arguments.output == Path::new(".") { RootName::SafeAndVisible } else { RootName::Safe };
    let writing = Writing { overwrite: arguments.overwrite, unverified: arguments.unverified, root_name };
    if interrupted() {
        warn(common, "interrupted: the results cover the part that was read");
    }
    let report = extraction.finish(writing).map_err(in_the_way)?;
    match arguments.format {
        ExtractFormat::Table => page::write_table(&report, &mut output)?,
        ExtractFormat::Json => page::write_json(&report, &mut output)?,
    }
    output.flush()?;
    exit = exit.max(verdict(report, common));
    Ok(if interrupted() { Exit::Interrupted } else { exit })
}

/// Reads a capture to its end. One that cannot be read is reported and the next one has its turn.
fn read(
    path: &Path,
    options: &TraceOptions,
    extraction: &mut Extraction,
    common: Common,
    output: &Output,
) -> Result<Exit> {
    let mut exit = Exit::Done;
    let mut trace = match input::open(path, options.clone(), output) {
        Ok(trace) => trace,
        Err(error) => {
            failure::report(&error);
            return Ok(Exit::CouldNotTell);
        }
    };
    while !interrupted() {
        match trace.next() {
            Ok(Some(Dissected::Record(record))) => extraction.add(&record).map_err(in_the_way)?,
            Ok(Some(Dissected::Connection(_))) => {}
            Ok(None) => break,
            Err(error) => {
                failure::report(&error.into());
                exit = Exit::CouldNotTell;
            }
        }
    }
    if let (Some(cut), false) = (trace.cut(), interrupted()) {
        let name = trace.capture().name();
        warn(common, &format!("{name}: cut short: the packet at byte {} is incomplete", cut.offset));
    }
    Ok(exit)
}

/// Reports what could not be done, and gives the exit code.
fn verdict(report: ExtractionReport, common: Common) -> Exit {
    let mut exit = Exit::Done;
    if report.torrents.is_empty() && report.undescribed.is_empty() {
        exit = Exit::CouldNotTell;
    }
    for (_, extracted) in report.torrents {
        exit = exit.max(match extracted {
            Ok(extracted) if extracted.is_whole() => Exit::Done,
            Ok(_) => Exit::Matched,
            Err(error) => {
                failure::report(&in_the_way(error));
                Exit::CouldNotTell
            }
        });
    }
    if report.dropped > 0 {
        let text = format!("{} ignored: there are too many", counted(report.dropped, "block"));
        warn(common, &text);
        exit = exit.max(Exit::CouldNotTell);
    }
    for undescribed in report.undescribed {
        if let Some(error) = undescribed.fault {
            failure::report(&in_the_way(error));
        }
        // What was written is not verified.
        let written = undescribed.file.is_some();
        exit = exit.max(if written { Exit::Matched } else { Exit::CouldNotTell });
    }
    exit
}

/// The error, in the words of this command.
fn in_the_way(error: Error) -> anyhow::Error {
    match error {
        Error::Exists { path } => {
            anyhow!("{}: already exists; --overwrite replaces it", path.display())
        }
        other => other.into(),
    }
}
