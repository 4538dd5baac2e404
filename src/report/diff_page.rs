//! A comparison of two captures as one HTML page: the verdict, counts by message, what may differ, and the messages side by
//! side with their fields and bytes. What the page says in words comes from the caller, who says the same in text.

mod align_bytes;
mod data;
mod head;
mod pair_detail;
mod selection;
mod side_by_side;

use std::io::{self, Write};

use bittrace_replay::{DiffReport, PairVerdict, Transcript};
use bittrace_trace::Severity;

use crate::assets::{DIFF_SCRIPT, DIFF_STYLE, STYLE};
use crate::command_line::CommandLine;
use crate::page::{PageTable, Shell};

/// A comparison, to be written as a page.
#[derive(Debug)]
pub struct DiffPage<'a> {
    /// The version of the program.
    pub version: &'a str,
    /// The command that compares the captures, without the options of its output.
    pub command: &'a CommandLine,
    /// The capture with the correct behaviour.
    pub reference: &'a Transcript,
    /// The capture that was compared with it.
    pub candidate: &'a Transcript,
    /// What was found.
    pub report: &'a DiffReport,
    /// What the page says in words.
    pub words: DiffWords,
}

/// What a page about a comparison says in words.
#[derive(Debug, Default)]
pub struct DiffWords {
    /// The answer, in a sentence.
    pub verdict: String,
    /// Whether nothing differs that is judged and not allowed.
    pub same: bool,
    /// The names of the files of the reference and of the candidate, without their folders.
    pub names: [String; 2],
    /// What the reference and the candidate are, in a few words each.
    pub about: [String; 2],
    /// What was done, in sentences: nothing where two captures were compared.
    pub introduction: Vec<String>,
    /// What makes the comparison doubtful, in sentences.
    pub warnings: Vec<String>,
    /// The torrents of the captures, a line each.
    pub torrents: Vec<String>,
    /// The rules that the candidate breaks, the most severe first.
    pub broken_rules: Vec<BrokenRule>,
    /// Further lists of sentences, each with its heading.
    pub lists: Vec<(String, Vec<String>)>,
    /// How long each message took after the one before it: a heading, what the table says, and the table.
    pub intervals: (&'static str, &'static str, PageTable),
    /// Verdicts that are allowed by the user.
    pub allowed: Vec<PairVerdict>,
    /// What is said of each conversation of the report.
    pub conversations: Vec<ConversationWords>,
}

/// A rule that the candidate breaks.
#[derive(Debug, Clone)]
pub struct BrokenRule {
    /// How much it matters.
    pub severity: Severity,
    /// Its name.
    pub rule: &'static str,
    /// What is wrong.
    pub text: String,
    /// Where: stream, message and packet.
    pub place: String,
    /// The number of the candidate's message.
    pub number: u64,
    /// What the message says, and what the reference's says: a line and whose line it is.
    pub evidence: Vec<(String, String)>,
    /// Whether the reference breaks the rule too, in a sentence.
    pub reference_too: Option<String>,
    /// What to do.
    pub advice: &'static str,
}

/// What is said of a conversation.
#[derive(Debug, Clone, Default)]
pub struct ConversationWords {
    /// With whom it is, and on which streams.
    pub title: String,
    /// With whom: `peer`, `HTTP tracker`, ...
    pub role: &'static str,
    /// Where it is in the reference and in the candidate; nothing where it is not.
    pub places: [String; 2],
    /// How it came out.
    pub outcome: String,
}

impl DiffPage<'_> {
    /// Writes the page.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let data = data::DiffData::of(self);
        let mut body = String::new();
        head::write(self, data.incomplete.as_deref(), &mut body);
        let title = self.title();
        let shell = Shell { title: &title, styles: &[STYLE, DIFF_STYLE], scripts: &[DIFF_SCRIPT] };
        shell.write(&body, &data, out)
    }

    fn title(&self) -> String {
        let [reference, candidate] = &self.words.names;
        format!("{candidate} against {reference}")
    }
}
