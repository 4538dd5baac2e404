//! The page of a capture, gathered while the capture is read and written once it is: for `analyze --html`, and for
//! `download --html` of the recording of a run.

use std::sync::Arc;

use anyhow::Result;
use bittrace_protocol::Timestamp;
use bittrace_protocol::metainfo::Metainfo;
use bittrace_report::CourseBuilder;
use bittrace_report::page::{CapturePage, ChosenMessages, MESSAGES};
use bittrace_trace::statistics::Exchanges;
use bittrace_trace::units::{count, counted, rough_size};
use bittrace_trace::{Dissected, Summary, Trace};

use crate::args::ConnectionOrder;
use crate::failure::say;
use crate::interrupt::interrupted;
use crate::page_file::PageFile;
use crate::print::views::connections_of_page;
use crate::query::fields::fields_of;
use crate::query::vocabulary::vocabulary;

/// How a page is made.
#[derive(Debug, Clone)]
pub(crate) struct PageSettings {
    /// The command that shows the same messages as text.
    pub(crate) command: String,
    /// How many messages can be read one by one, where that was asked for.
    pub(crate) messages: Option<u64>,
    /// What the connections are sorted by.
    pub(crate) order: ConnectionOrder,
    /// Whether options choose the messages.
    pub(crate) is_choice: bool,
    /// Whether nobody wants to be told that the page was written.
    pub(crate) is_quiet: bool,
    /// Where `command` finds no file later: what to do about it, as a sentence.
    pub(crate) capture_is_gone: Option<&'static str>,
}

/// The page of one capture, while the capture is read.
pub(crate) struct PageReading {
    file: PageFile,
    settings: PageSettings,
    course: CourseBuilder,
    messages: ChosenMessages,
    exchanges: Exchanges,
}

impl PageReading {
    /// A page of nothing yet, of a capture about these torrents and perhaps others.
    pub(crate) fn new(file: PageFile, torrents: &[Arc<Metainfo>], settings: PageSettings) -> Self {
        Self {
            file,
            course: CourseBuilder::new(torrents, 0),
            messages: ChosenMessages::new(settings.messages.unwrap_or(MESSAGES), torrents, fields_of),
            exchanges: Exchanges::new(),
            settings,
        }
    }

    /// Takes in a message that was chosen, or the end of a connection. `start` is when the first packet was captured.
    pub(crate) fn add(&mut self, dissected: &Dissected, start: Timestamp) {
        self.course.begin_at(start);
        self.course.add(dissected);
        self.exchanges.add(dissected);
        if let Dissected::Record(record) = dissected {
            self.messages.add(record);
        }
    }

    /// Writes the page. `read` is how many messages were read, and `summary` is of those that were chosen.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn finish(self, read: u64, trace: &Trace, summary: &Summary) -> Result<()> {
        let start = trace.span().map_or(Timestamp::EPOCH, |(first, _)| first);
        let connections =
            connections_of_page(&self.exchanges, summary, start, trace.local(), self.settings.order);
        let remarks = self.remarks(read, trace);
        let page = CapturePage {
            course: self.course.finish(trace, summary),
            messages: &self.messages,
            read,
            start,
            connections: &connections,
            command: &self.settings.command,
            remarks: &remarks,
            vocabulary: &vocabulary(),
        };
        let tells = !self.file.is_output() && !self.settings.is_quiet;
        let name = self.file.name();
        let bytes = self.file.write(|out| page.write(out))?;
        if tells {
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
        if self.settings.is_choice {
            let chosen = count(self.messages.count());
            remarks.push(format!(
                "Only the chosen messages count here: {chosen} of {}.",
                counted(read, "message")
            ));
        }
        if !self.messages.is_whole() {
            remarks.extend(self.settings.capture_is_gone.map(str::to_owned));
        }
        remarks
    }
}
