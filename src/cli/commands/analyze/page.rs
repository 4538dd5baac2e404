//! `analyze --html`: what the options ask of the page, and which command shows the same as text.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use bittrace_protocol::metainfo::Metainfo;
use bittrace_report::CommandLine;

use crate::args::{AnalyzeArguments, AnalyzeFormat};
use crate::capture_names::NamedCapture;
use crate::capture_page::{PageReading, PageSettings};
use crate::page_file::{PageFile, name_of};
use crate::print::output::Output;

/// The page that `--html` asks for; `None` without the option. `is_choice` says that other options choose messages.
///
/// # Errors
/// When the options cannot go together, or the file cannot be created.
pub(super) fn page(
    arguments: &AnalyzeArguments,
    captures: &[NamedCapture],
    torrents: &[Arc<Metainfo>],
    is_choice: bool,
    output: &Output,
) -> Result<Option<PageReading>> {
    let Some(path) = &arguments.html else { return Ok(None) };
    let [capture] = captures else {
        bail!(
            "--html takes one capture, since each has a clock of its own: run the command once for each, or join them \
             with mergecap -w ALL.pcapng"
        );
    };
    let capture = capture.path();
    let shows_text = !arguments.view.is_empty()
        || arguments.follow.is_some()
        || arguments.hex
        || arguments.no_fold
        || !arguments.fields.is_empty()
        || arguments.format != AnalyzeFormat::Table;
    if path == Path::new("-") && shows_text {
        bail!("--html - writes the page to standard output, which has no room for another view: name a file");
    }
    if arguments.limit.is_some() && !shows_text {
        bail!("--limit does not apply to the page: use --html-messages N");
    }
    let read: Vec<_> = [capture].into_iter().chain(arguments.torrent.iter().map(PathBuf::as_path)).collect();
    let settings = PageSettings {
        command: command(arguments, capture),
        messages: arguments.html_messages,
        order: arguments.sort.unwrap_or_default(),
        is_choice,
        is_quiet: output.is_quiet(),
        capture_is_gone: None,
    };
    Ok(Some(PageReading::new(PageFile::create(path, &read, output)?, torrents, settings)))
}

/// The command that shows the same messages as text, with file names only: the page says nothing of the folders of this
/// machine.
fn command(arguments: &AnalyzeArguments, capture: &Path) -> String {
    let mut words = vec!["bittrace".to_owned(), "analyze".to_owned(), name_of(capture)];
    let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
    for torrent in &arguments.torrent {
        option("--torrent", name_of(torrent));
    }
    if let Some(local) = arguments.local {
        option("--local", local.to_string());
    }
    if let Some(filter) = &arguments.filter {
        option("--filter", filter.clone());
    }
    if !arguments.stream.is_empty() {
        option("--stream", arguments.stream.iter().map(u32::to_string).collect::<Vec<_>>().join(","));
    }
    for (name, time) in [("--from", &arguments.from), ("--to", &arguments.to)] {
        if let Some(time) = time {
            option(name, time.clone());
        }
    }
    CommandLine::new(words.iter().map(String::as_str)).words
}

/// The command that shows a capture as text.
pub(crate) fn command_for(capture: &Path) -> String {
    CommandLine::new(["bittrace", "analyze", &name_of(capture)]).words
}
