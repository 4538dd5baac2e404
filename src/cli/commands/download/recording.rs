//! What is made of the recording of a run once it is over: a diagnosis, a page, a comparison with another capture.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bittrace_client::DownloadOptions;
use bittrace_protocol::Metainfo;
use bittrace_replay::Transcript;
use bittrace_trace::{Summary, Trace, TraceOptions};
use tempfile::TempDir;

use crate::Exit;
use crate::args::{Common, Comparing, ConnectionOrder, DownloadArguments, Format};
use crate::capture_page::{PageReading, PageSettings};
use crate::commands::analyze::command_for;
use crate::commands::diff::{ComparedCaptures, ReplayNotices};
use crate::commands::{diagnose, diff};
use crate::interrupt::interrupted;
use crate::os::temporary_folder;
use crate::page_file::PageFile;
use crate::print::output::Output;
use crate::print::views::DiagnosisPage;

/// The recording of a run, which is read once the run is over.
pub(super) struct RunRecording {
    path: PathBuf,
    /// Goes with the recording in it, where nobody asked for one.
    folder: Option<TempDir>,
}

impl RunRecording {
    /// Has the run recorded, where it is not already.
    ///
    /// # Errors
    /// When there is no folder for a recording that nobody asked for.
    pub(super) fn begin(options: &mut DownloadOptions) -> Result<Self> {
        if let Some(path) = &options.record {
            return Ok(Self { path: path.clone(), folder: None });
        }
        let folder = temporary_folder().context("no temporary folder")?;
        let path = folder.path().join("run.pcapng");
        options.record = Some(path.clone());
        Ok(Self { path, folder: Some(folder) })
    }

    /// Says why the run went as it did. The packets of a recording are made up around the bytes, so nothing is measured on them.
    ///
    /// # Errors
    /// When the recording cannot be read, or the output cannot be written.
    pub(super) fn diagnose(
        &self,
        torrents: &[Arc<Metainfo>],
        common: Common,
        output: &mut Output,
    ) -> Result<()> {
        let options = TraceOptions { torrents: torrents.to_vec(), ..TraceOptions::default() };
        let mut trace = Trace::open(&self.path, options)?;
        let (diagnosis, _) = diagnose::read(&mut trace, torrents);
        let run = diagnosis.finish();
        // A recording that nobody asked for is gone with the run.
        let file = self.folder.is_none().then_some(&*self.path);
        let page = DiagnosisPage { name: "this run", file, run: &run, verbose: common.verbose };
        writeln!(output)?;
        let look = output.look;
        page.write(Format::Table, true, look, output)?;
        output.flush()?;
        Ok(())
    }
}

/// The page of a run, which is written once the run is over.
pub(super) struct RunPage {
    file: PageFile,
    path: PathBuf,
    settings: PageSettings,
}

impl RunPage {
    /// Makes the file before anything is downloaded, where one is asked for and the run is recorded.
    ///
    /// # Errors
    /// When it cannot be made there, or would take the place of another file of the run.
    pub(super) fn begin(
        arguments: &DownloadArguments,
        known: Option<&Arc<Metainfo>>,
        recording: Option<&RunRecording>,
        output: &Output,
    ) -> Result<Option<Self>> {
        let (Some(path), Some(recording)) = (&arguments.html, recording) else { return Ok(None) };
        if path == Path::new("-") {
            bail!("--html -: standard output has the commentary of the run; name a file");
        }
        if let Some(torrent) = known {
            refuse_content(path, &arguments.output.join(torrent.name.to_string()))?;
        }
        let is_kept = recording.folder.is_none();
        if is_kept && recording.path == *path {
            bail!("--html {}: this is the recording", path.display());
        }
        let torrent = Path::new(&arguments.torrent);
        let read: Vec<_> = [torrent]
            .into_iter()
            .chain(arguments.like.as_deref())
            .chain(arguments.against.as_deref())
            .collect();
        let file = PageFile::create(path, &read, output)?;
        let capture_is_gone = match is_kept {
            true => None,
            false => Some("The recording of the run was not kept (--record FILE.pcapng keeps one)."),
        };
        let settings = PageSettings {
            command: command_for(&recording.path),
            messages: None,
            order: ConnectionOrder::default(),
            is_choice: false,
            is_quiet: output.is_quiet(),
            capture_is_gone,
        };
        Ok(Some(Self { file, path: path.clone(), settings }))
    }

    /// Writes the page. `place` is where the files of the torrent are.
    ///
    /// # Errors
    /// When the recording cannot be read, or the page cannot be written.
    pub(super) fn write(
        self,
        recording: &RunRecording,
        place: Option<&Path>,
        torrents: &[Arc<Metainfo>],
    ) -> Result<()> {
        if let Some(place) = place {
            refuse_content(&self.path, place)?;
        }
        let options =
            TraceOptions { torrents: torrents.to_vec(), from_start: true, ..TraceOptions::default() };
        let mut trace = Trace::open(&recording.path, options)?;
        let mut page = PageReading::new(self.file, torrents, self.settings);
        let mut summary = Summary::new(torrents);
        while !interrupted() && trace.advance()? {
            let (Some(dissected), Some((start, _))) = (trace.current(), trace.span()) else { continue };
            summary.add(dissected);
            page.add(dissected, start);
        }
        page.finish(summary.records, &trace, &summary)
    }
}

/// Refuses a page that would take the place of the files at `content`.
fn refuse_content(page: &Path, content: &Path) -> Result<()> {
    let whole = |path: &Path| {
        let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    };
    if let (Some(page), Some(content)) = (whole(page), whole(content))
        && page.starts_with(&content)
    {
        bail!("--html {}: this is where the files of the torrent go", page.display());
    }
    Ok(())
}

/// A comparison of what the run says with a capture, once it is over.
pub(super) struct Against {
    reference: Transcript,
}

impl Against {
    /// Reads the capture, before anything is downloaded.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read(path: &Path, common: Common) -> Result<Self> {
        let trace = Trace::open(path, TraceOptions::default())?;
        Ok(Self { reference: diff::transcribe(trace, None, common)? })
    }

    /// Compares, and writes what differs.
    ///
    /// # Errors
    /// When the recording cannot be read, or the output cannot be written.
    pub(super) fn compare(
        &self,
        recording: &RunRecording,
        torrents: &[Arc<Metainfo>],
        common: Common,
        output: &mut Output,
    ) -> Result<Exit> {
        let options_of_trace =
            TraceOptions { torrents: torrents.to_vec(), from_start: true, ..TraceOptions::default() };
        let trace = Trace::open(&recording.path, options_of_trace)?;
        let candidate = diff::transcribe(trace, None, common)?;
        let comparing = Comparing::default();
        let options = diff::options(&comparing)?;
        let captures = ComparedCaptures { reference: &self.reference, candidate: &candidate, torrents };
        diff::present(&captures, &options, &comparing, &ReplayNotices::default(), None, common, output)
    }
}
