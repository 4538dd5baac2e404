//! A comparison as one HTML page: what the page says in words, as the text report says it.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;
use bittrace_replay::{ComparedConversation, Conversation};
use bittrace_report::{CommandLine, ConversationWords, DiffPage, DiffWords};
use bittrace_trace::units::rough_size;

use super::phrases::{heading, place};
use super::{DiffView, findings, intervals, lists, page};
use crate::args::{Choice, Comparing, JudgedSides};
use crate::failure::say;
use crate::page_file::{PageFile, name_of};

/// Where the page of a comparison goes.
pub(crate) struct ComparisonPage {
    pub(crate) file: PageFile,
    /// The command that compares, without options of its output.
    pub(crate) command: CommandLine,
    /// Whether nobody wants to be told that the page was written.
    pub(crate) is_quiet: bool,
}

impl ComparisonPage {
    /// Writes the page with `write`, and says on standard error how large the file is.
    pub(crate) fn write(self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        let tells = !self.file.is_output() && !self.is_quiet;
        let name = self.file.name();
        let bytes = self.file.write(write)?;
        if tells {
            say(&format!("bittrace: {name}: {}", rough_size(bytes)));
        }
        Ok(())
    }
}

/// Writes the page.
pub(super) fn write(view: &DiffView<'_>, to: ComparisonPage) -> Result<()> {
    let command = to.command.clone();
    let page = DiffPage {
        version: env!("CARGO_PKG_VERSION"),
        command: &command,
        reference: view.reference,
        candidate: view.candidate,
        report: view.report,
        words: words(view),
    };
    to.write(|out| page.write(out))
}

fn words(view: &DiffView<'_>) -> DiffWords {
    let lists =
        [(lists::REFUSED, lists::refusal_sentences(view)), (lists::NOTICED, view.noticed.remarks.clone())];
    DiffWords {
        verdict: page::conclusion(view),
        same: view.disagreements == 0,
        names: [view.reference, view.candidate].map(|transcript| name_of(Path::new(&transcript.name))),
        about: [view.reference, view.candidate].map(page::about),
        introduction: view.noticed.introduction.clone(),
        warnings: page::other_torrents(view).into_iter().map(str::to_owned).collect(),
        torrents: page::torrents(view),
        broken_rules: findings::broken_rules(view),
        lists: lists.map(|(heading, sentences)| (heading.to_owned(), sentences)).into(),
        allowed: view.allowed.clone(),
        intervals: (intervals::HEADING, intervals::ABOUT, intervals::table(view)),
        conversations: view
            .report
            .conversations
            .iter()
            .enumerate()
            .map(|(at, compared)| conversation(view, at, compared))
            .collect(),
    }
}

fn conversation(view: &DiffView<'_>, at: usize, compared: &ComparedConversation) -> ConversationWords {
    let (one, other) = view.conversations(compared);
    let place = |conversation: Option<&Conversation>| conversation.map_or("-".to_owned(), place);
    ConversationWords {
        title: heading(at + 1, one, other),
        role: one.or(other).map_or("", |conversation| conversation.role.name()),
        places: [place(one), place(other)],
        outcome: page::outcome(view, compared),
    }
}

/// The options that say what is compared, as they were given.
pub(crate) fn options(comparing: &Comparing) -> Vec<String> {
    let mut words = Vec::new();
    let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
    if let Some(side) = comparing.side {
        let side = match side {
            JudgedSides::Local => "local",
            JudgedSides::Far => "far",
            JudgedSides::Both => "both",
        };
        option("--side", side.to_owned());
    }
    if !comparing.only.is_empty() {
        option("--only", comparing.only.join(","));
    }
    for mask in &comparing.mask {
        option("--mask", mask.clone());
    }
    let allowed: Vec<&str> = comparing
        .allow
        .iter()
        .map(|choice| match choice {
            Choice::Moved => "moved",
            Choice::Missing => "missing",
            Choice::Extra => "extra",
        })
        .collect();
    if !allowed.is_empty() {
        option("--allow", allowed.join(","));
    }
    if comparing.no_mask {
        words.push("--no-mask".to_owned());
    }
    words
}
