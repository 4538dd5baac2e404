//! `--html`: the page of the capture, gathered beside the other views and written once the capture is read.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use bittrace_protocol::Timestamp;
use bittrace_protocol::metainfo::Metainfo;
use bittrace_report::CourseBuilder;
use bittrace_report::page::{CapturePage, ChosenMessages, MESSAGES};
use bittrace_trace::statistics::Exchanges;
use bittrace_trace::units::{count, counted, rough_size};
use bittrace_trace::{Dissected, Summary, Trace};

use crate::args::{AnalyzeArguments, ConnectionOrder, Format};
use crate::failure::say;
use crate::interrupt::interrupted;
use crate::page_file::PageFile;
use crate::print::output::Output;
use crate::print::views::connections_of_page;
use crate::query::fields::fields_of;
use crate::query::vocabulary::vocabulary;

/// The page of one capture, while the capture is read.
pub(crate) struct PageReading {
    file: PageFile,
    course: CourseBuilder,
    messages: ChosenMessages,
    exchanges: Exchanges,
    /// The command that shows the same messages as text.
    command: String,
    order: ConnectionOrder,
    is_choice: bool,
    is_quiet: bool,
}

impl PageReading {
    /// What `--html` asks for; `None` without it.
    ///
    /// # Errors
    /// When the options cannot go together, or the file cannot be created.
    pub(super) fn new(
        arguments: &AnalyzeArguments,
        torrents: &[Arc<Metainfo>],
        is_choice: bool,
        output: &Output,
    ) -> Result<Option<Self>> {
        let Some(path) = &arguments.html else { return Ok(None) };
        let [capture] = arguments.captures.as_slice() else {
            bail!(
                "--html takes one capture, since each has a clock of its own: run the command once for each, or join them \
                 with mergecap -w ALL.pcapng"
            );
        };
        let shows_text = !arguments.view.is_empty() || arguments.follow.is_some() || arguments.hex;
        if path == Path::new("-") && (shows_text || arguments.format != Format::Table) {
            bail!(
                "--html - writes the page to standard output, which has no room for another view: name a file"
            );
        }
        if arguments.limit.is_some() && !shows_text && arguments.format == Format::Table {
            bail!("--limit does not apply to the page: use --html-messages N");
        }
        let read: Vec<_> = [capture].into_iter().chain(&arguments.torrent).cloned().collect();
        Ok(Some(Self {
            file: PageFile::create(path, &read, output)?,
            course: CourseBuilder::new(torrents, 0),
            messages: ChosenMessages::new(arguments.html_messages.unwrap_or(MESSAGES), torrents, fields_of),
            exchanges: Exchanges::new(),
            command: command(arguments, capture),
            order: arguments.sort.unwrap_or_default(),
            is_choice,
            is_quiet: output.is_quiet(),
        }))
    }

    /// Takes in a message that was chosen, or the end of a connection. `start` is when the first packet was captured.
    pub(super) fn add(&mut self, dissected: &Dissected, start: Timestamp) {
        self.course.begin_at(start);
        self.course.add(dissected);
        self.exchanges.add(dissected);
        if let Dissected::Record(record) = dissected {
            self.messages.add(record);
        }
    }

    /// Writes the page.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn finish(self, read: u64, trace: &Trace, summary: &Summary) -> Result<()> {
        let start = trace.span().map_or(Timestamp::EPOCH, |(first, _)| first);
        let connections = connections_of_page(&self.exchanges, summary, start, trace.local(), self.order);
        let remarks = self.remarks(read, trace);
        let page = CapturePage {
            course: self.course.finish(trace, summary),
            messages: &self.messages,
            read,
            start,
            connections: &connections,
            command: &self.command,
            remarks: &remarks,
            vocabulary: &vocabulary(),
        };
        let is_output = self.file.is_output();
        let name = self.file.name();
        let bytes = self.file.write(|out| page.write(out))?;
        if !is_output && !self.is_quiet {
            say(&format!("bittrace: {name}: {}, {}", counted(summary.records, "message"), rough_size(bytes)));
        }
        Ok(())
    }

    /// What a reader of the page has to know before all.
    fn remarks(&self, read: u64, trace: &Trace) -> Vec<String> {
        let mut remarks = Vec::new();
        if interrupted() {
            let packets = counted(trace.capture().packets(), "packet");
            remarks.push(format!("Reading was interrupted: this is of the first {packets}."));
        } else if let Some(cut) = trace.cut() {
            remarks.push(format!(
                "The capture is cut short: the packet at byte {} is incomplete. Everything before it is here.",
                cut.offset
            ));
        }
        if self.is_choice {
            let chosen = count(self.messages.count());
            remarks.push(format!(
                "Only the chosen messages count here: {chosen} of {}.",
                counted(read, "message")
            ));
        }
        remarks
    }
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
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// A word as shells take it.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => Cow::Borrowed(word),
        false => Cow::Owned(format!("'{}'", word.replace('\'', "'\\''"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_a_shell_would_read_are_quoted() {
        assert_eq!(quoted("corrupt-peer.pcap.gz"), "corrupt-peer.pcap.gz");
        assert_eq!(quoted("n >= 3"), "'n >= 3'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
