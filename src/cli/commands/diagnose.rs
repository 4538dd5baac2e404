//! `bittrace diagnose`: why a download in a capture was slow, stalled or ended.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use bittrace_protocol::metainfo::Metainfo;
use bittrace_trace::diagnosis::Diagnosis;
use bittrace_trace::units::counted;
use bittrace_trace::{Trace, TraceOptions};

use crate::Exit;
use crate::args::{Common, DiagnoseArguments, Format};
use crate::failure::{self, warn};
use crate::input;
use crate::interrupt::interrupted;
use crate::print::output::Output;
use crate::print::views::DiagnosisPage;

/// Runs the command.
pub(crate) fn run(arguments: &DiagnoseArguments, common: Common, mut output: Output) -> Result<Exit> {
    let options = TraceOptions { measure: true, ..arguments.known.options()? };
    let mut exit = Exit::Done;
    let mut is_first = true;
    for path in &arguments.captures {
        if interrupted() {
            break;
        }
        if !is_first && arguments.format == Format::Table {
            writeln!(output)?;
        }
        match diagnose(path, &options, arguments, common, is_first, &mut output) {
            Ok(whole) => {
                is_first = false;
                exit = exit.max(if whole { Exit::Done } else { Exit::CouldNotTell });
            }
            Err(error) if failure::is_closed_pipe(&error) => return Err(error),
            Err(error) => {
                failure::report(&error);
                exit = exit.max(Exit::CouldNotTell);
            }
        }
    }
    output.flush()?;
    Ok(if interrupted() { Exit::Interrupted } else { exit })
}

/// Diagnoses one capture; whether all of it could be read.
fn diagnose(
    path: &Path,
    options: &TraceOptions,
    arguments: &DiagnoseArguments,
    common: Common,
    is_first: bool,
    output: &mut Output,
) -> Result<bool> {
    let mut trace = input::open(path, options.clone(), output)?;
    let (diagnosis, whole) = read(&mut trace, &options.torrents);
    if let (Some(cut), false) = (trace.cut(), interrupted()) {
        let name = trace.capture().name();
        let text = format!(
            "{name}: cut short: the packet at byte {} is not whole; all before it counts",
            cut.offset
        );
        warn(common, &text);
    }
    if interrupted() {
        let packets = counted(trace.capture().packets(), "packet");
        warn(common, &format!("interrupted; the diagnosis is of the first {packets}"));
    }
    let run = diagnosis.finish();
    let name = trace.capture().name();
    let file = (path != Path::new("-")).then_some(path);
    let page = DiagnosisPage { name, file, run: &run, verbose: common.verbose };
    let look = output.look;
    page.write(arguments.format, is_first, look, output)?;
    output.flush()?;
    Ok(whole)
}

/// Reads a trace to its end. An error is reported, and what came before it counts.
pub(crate) fn read(trace: &mut Trace, torrents: &[Arc<Metainfo>]) -> (Diagnosis, bool) {
    let mut diagnosis = Diagnosis::new(torrents);
    let mut whole = true;
    while !interrupted() {
        match trace.advance() {
            Ok(true) => {
                if let Some(dissected) = trace.current() {
                    diagnosis.add(dissected);
                }
            }
            Ok(false) => break,
            Err(error) => {
                whole = false;
                failure::report(&error.into());
            }
        }
    }
    (diagnosis, whole)
}
