//! The chosen messages in a format of other programs: as a trace for Perfetto, or as logs of Zeek.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bittrace_trace::units::counted;
use bittrace_trace::{ConnectionEnd, Summary};

use crate::args::{AnalyzeArguments, AnalyzeFormat, Common};
use crate::capture_names::NamedCapture;
use crate::failure::{say, warn};
use crate::interrupt::interrupted;
use crate::page_file::{OpenFile, PageFile};
use crate::print::output::Output;
use crate::print::perfetto::PerfettoTrace;
use crate::print::zeek::{LOGS, ZeekLogs};
use crate::query::row::{CaptureContext, Row};

/// What is written in place of rows.
pub(super) enum Export {
    /// On standard output.
    Perfetto(Box<PerfettoTrace>),
    /// Into a folder.
    Zeek(PathBuf, Box<ZeekLogs<OpenFile>>),
}

impl Export {
    /// What the options ask for, if they ask for such a format.
    ///
    /// # Errors
    /// When options cannot go together, or nothing can be written to the folder.
    pub(super) fn new(
        arguments: &AnalyzeArguments,
        captures: &[NamedCapture],
        output: &Output,
    ) -> Result<Option<Self>> {
        let name = match (arguments.format, &arguments.output) {
            (AnalyzeFormat::Perfetto, None) => "perfetto",
            (AnalyzeFormat::Zeek, Some(_)) => "zeek",
            (AnalyzeFormat::Zeek, None) => {
                bail!("--format zeek writes three logs: name a folder with -o DIR")
            }
            (AnalyzeFormat::Arrow | AnalyzeFormat::Parquet, _) => return Ok(None),
            (_, Some(_)) => {
                bail!("-o is for --format zeek and parquet; other formats go to standard output: use > FILE")
            }
            (_, None) => return Ok(None),
        };
        let not_for_it = [
            ("--view", !arguments.view.is_empty()),
            ("--fields", !arguments.fields.is_empty()),
            ("--hex", arguments.hex),
            ("--no-fold", arguments.no_fold),
            ("--sort", arguments.sort.is_some()),
            ("--html", arguments.html.is_some()),
        ];
        if let Some((option, _)) = not_for_it.iter().find(|(_, is_given)| *is_given) {
            bail!("--format {name} has its own columns and order: leave out {option}");
        }
        let Some(folder) = &arguments.output else { return Ok(Some(Self::Perfetto(Box::default()))) };
        fs::create_dir_all(folder).with_context(|| cannot_be_written(folder))?;
        let read: Vec<&Path> = captures.iter().map(NamedCapture::path).collect();
        let create = |name| -> Result<OpenFile> {
            let path = folder.join(format!("{name}.log"));
            Ok(PageFile::create_for("--output", &path, &read, output)?.open())
        };
        let [messages, connections, notices] = LOGS;
        let files = [create(messages)?, create(connections)?, create(notices)?];
        let logs = ZeekLogs::new(files).with_context(|| cannot_be_written(folder))?;
        Ok(Some(Self::Zeek(folder.clone(), Box::new(logs))))
    }

    /// Takes in any message, chosen or not.
    pub(super) fn observe(&mut self, row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Perfetto(trace) => trace.observe(row, out),
            Self::Zeek(..) => Ok(()),
        }
    }

    /// Takes in a chosen message.
    pub(super) fn message(&mut self, row: &Row<'_>, out: &mut dyn Write) -> Result<()> {
        match self {
            Self::Perfetto(trace) => Ok(trace.row(row, out)?),
            Self::Zeek(folder, logs) => logs.row(row).with_context(|| cannot_be_written(folder)),
        }
    }

    /// Takes in the end of a connection.
    pub(super) fn connection_ended(&mut self, end: &ConnectionEnd, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Perfetto(trace) => trace.connection_ended(end, out),
            Self::Zeek(..) => Ok(()),
        }
    }

    /// Takes in the end of a capture, with the summary of its chosen messages.
    pub(super) fn capture_ended(
        &mut self,
        summary: &Summary,
        place: &CaptureContext,
        common: Common,
        out: &mut dyn Write,
    ) -> Result<()> {
        match self {
            Self::Perfetto(trace) => Ok(trace.capture_ended(out)?),
            Self::Zeek(folder, logs) => {
                let more = summary.connections.more();
                if more > 0 {
                    let more = counted(more, "connection");
                    warn(common, &format!("{}: {more} more are not in bt_conn.log", place.capture));
                }
                logs.connections(summary, place).with_context(|| cannot_be_written(folder))
            }
        }
    }

    /// Writes the end. Logs get their names, unless the run was interrupted: then they are not whole, and nothing is left of
    /// them.
    pub(super) fn finish(self, common: Common, out: &mut dyn Write) -> Result<()> {
        let (folder, logs) = match self {
            Self::Perfetto(mut trace) => return Ok(trace.finish(out)?),
            Self::Zeek(folder, _) if interrupted() => {
                warn(common, &format!("{}: no logs are written", folder.display()));
                return Ok(());
            }
            Self::Zeek(folder, logs) => (folder, logs.finish()),
        };
        let mut counts = Vec::new();
        for (name, (file, rows)) in LOGS.iter().zip(logs) {
            file.finish()?;
            counts.push(format!("{} in {name}.log", counted(rows, "row")));
        }
        if !common.quiet {
            say(&format!("bittrace: {}: {}", folder.display(), counts.join(", ")));
        }
        Ok(())
    }
}

fn cannot_be_written(folder: &Path) -> String {
    format!("--output {}: cannot be written", folder.display())
}
