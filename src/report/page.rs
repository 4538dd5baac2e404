//! A capture as one HTML file: the head that answers first, the tables, and the data that the script draws from.
//!
//! The file loads nothing and sends nothing, and what a peer said in it is text. Its size has a limit: what is left out is
//! counted, and the page says which command shows it.

mod head;
mod inert_json;
mod left_out;
mod markup;
mod message_choice;
mod message_columns;
mod message_row;
mod sentence;
mod shell;
mod swarm;
mod tables;

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use bittrace_protocol::Timestamp;
use bittrace_trace::units::count;
use serde::Serialize;
use serde_json::Value;

use crate::assets::{ANALYZE_SCRIPT, STYLE};
use crate::course::Course;
use message_columns::{Holes, MessageColumns, Words};

pub use markup::{Shown, shown};
pub use message_choice::{ChosenMessages, MESSAGES, MESSAGES_ALLOWED};
pub use message_row::{BLOCK_BYTES, MESSAGE_BYTES};
pub use shell::Shell;
pub use tables::PageTable;
pub(crate) use tables::write_table;

/// A capture that was read, as a page.
#[derive(Debug)]
pub struct CapturePage<'a> {
    /// What the pictures are drawn from.
    pub course: Course,
    /// The messages that can be read one by one.
    pub messages: &'a ChosenMessages,
    /// How many messages were read, those included that were not chosen.
    pub read: u64,
    /// When the first packet was captured.
    pub start: Timestamp,
    /// The connections between peers.
    pub connections: &'a PageTable,
    /// The command that shows the same messages as text, with the options that chose them.
    pub command: &'a str,
    /// What the reader has to know before all: that reading ended early, or that a filter chose the messages.
    pub remarks: &'a [String],
    /// The names and types that a filter knows, for the filter of the page.
    pub vocabulary: &'a Value,
}

/// The data that the script draws from.
#[derive(Serialize)]
struct PageData<'a> {
    kind: &'static str,
    version: &'static str,
    command: &'a str,
    #[serde(flatten)]
    course: &'a Course,
    messages: MessageColumns<'a>,
    names: &'a [&'static str],
    protocols: &'a [&'static str],
    clients: &'a [String],
    torrents: &'a [String],
    holes: Holes<'a>,
    vocabulary: &'a Value,
    incomplete: Option<String>,
}

impl CapturePage<'_> {
    /// Writes the page.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(mut self, out: &mut dyn Write) -> io::Result<()> {
        self.keep_findings_within_messages();
        let incomplete = self.incomplete();
        let mut body = String::new();
        self.write_body(&mut body).map_err(io::Error::other)?;
        let words = Words::of(self.messages);
        let course = &self.course;
        let data = PageData {
            kind: "analyze",
            version: env!("CARGO_PKG_VERSION"),
            command: self.command,
            course,
            messages: MessageColumns { messages: self.messages, course, words: &words, start: self.start },
            names: self.messages.names(),
            protocols: &words.protocols,
            clients: &words.clients,
            torrents: &words.torrents,
            holes: Holes(self.messages),
            vocabulary: self.vocabulary,
            incomplete,
        };
        let title = format!("{} – bittrace", course.capture.name);
        Shell { title: &title, styles: &[STYLE], scripts: &[ANALYZE_SCRIPT] }.write(&body, &data, out)
    }

    /// A finding leads to messages that the page has.
    fn keep_findings_within_messages(&mut self) {
        let most = usize::try_from(self.messages.of_a_rule()).unwrap_or(usize::MAX);
        for finding in &mut self.course.findings {
            finding.n.truncate(most);
            finding.t.truncate(most);
        }
    }

    /// What the reader has to know before all, what the page does not have, and the command that shows it.
    fn incomplete(&self) -> Option<String> {
        let left_out =
            self.left_out().map(|text| format!("{NOT_EVERYTHING} {text} {} --view messages", self.command));
        let sentences: Vec<_> = self.remarks.iter().cloned().chain(left_out).collect();
        (!sentences.is_empty()).then(|| sentences.join(" "))
    }

    /// How many messages the page does not have, and which it has.
    fn left_out(&self) -> Option<String> {
        if self.messages.is_whole() {
            return None;
        }
        Some(format!(
            "The pictures count all {} messages, and {} of them can be read one by one: those that findings lead to, those \
             of the less frequent kinds, the first of each frequent kind on a connection, and one in so many of the rest. \
             All of them:",
            count(self.messages.count()),
            count(self.messages.rows().len() as u64),
        ))
    }

    fn write_incomplete(&self, html: &mut String) -> fmt::Result {
        let left_out = self.left_out();
        if self.remarks.is_empty() && left_out.is_none() {
            return Ok(());
        }
        write!(html, "<p class=\"incomplete\">{}", shown(&self.remarks.join(" ")))?;
        if let Some(left_out) = left_out {
            let command = format!("{} --view messages", self.command);
            write!(html, " <b>{NOT_EVERYTHING}</b> {} <code>{}</code>", shown(&left_out), shown(&command))?;
        }
        html.push_str("</p>\n");
        Ok(())
    }

    fn write_body(&self, html: &mut String) -> fmt::Result {
        html.push_str("<main>\n");
        head::write_head(&self.course, self.read, html)?;
        self.write_incomplete(html)?;
        head::write_findings(&self.course.findings, html)?;
        html.push_str(COURSE);
        swarm::write_swarm(&self.course, html)?;
        if self.messages.count() > 0 {
            html.push_str(LADDER);
        }
        tables::write_content(&self.course, html)?;
        tables::write_connections(self.connections, self.command, html)?;
        writeln!(
            html,
            "<footer>Made by bittrace {} of <code>{}</code>. The file loads nothing and sends nothing.</footer>\n</main>\n\
             <div id=\"dock\" hidden></div>",
            env!("CARGO_PKG_VERSION"),
            shown(self.command)
        )
    }
}

/// What stands first where messages are left out.
const NOT_EVERYTHING: &str = "Not everything is in this file.";

/// Where the script draws. Without one, a sentence says so.
const COURSE: &str = "<section>\n<h2>Course <span class=\"hint\">one axis for all; drag to look closer, double-click to go \
                      back, click for the message</span></h2>\n<div id=\"course\"><p class=\"noscript\">The pictures are \
                      drawn by the script of this page, which does not run here.</p></div>\n</section>\n";
const LADDER: &str = "<section>\n<h2>Messages</h2>\n<div class=\"messages\"><div id=\"ladder\"><p class=\"noscript\">The \
                      list of messages is made by the script of this page, which does not run here.</p></div>\
                      <div id=\"detail\"></div></div>\n</section>\n";
