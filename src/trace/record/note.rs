//! What is to be said of a record, and the rule that says it.

use std::borrow::Cow;

use bittrace_protocol::PieceIndex;

/// Something to be said of a record. [`Rule::note`] is the only way to make one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// The rule that says it.
    pub rule: &'static Rule,
    /// What is to be said.
    pub text: Cow<'static, str>,
    /// The piece of the record's torrent that it is about, where it says of a piece whether it is right.
    pub piece: Option<PieceIndex>,
    /// The number of the earlier record that it is about as well, where it says that the two contradict each other.
    pub cause: Option<u64>,
}

/// A rule, and where it is written. All of them stand in the table of [`rules`](crate::rules).
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// Its name, as `<document>.<claim>`.
    pub id: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// The document that makes it; `bittrace` for what follows from none.
    pub document: &'static str,
    /// The document's section; empty where there is none.
    pub section: &'static str,
    /// What is so when a note bears it.
    pub text: &'static str,
}

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// How things stand.
    Chat,
    /// Worth knowing.
    Note,
    /// Against a rule, or bytes that cannot be read.
    Warn,
    /// A message that is broken, or data that is wrong.
    Error,
}

impl Severity {
    /// Its name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl Rule {
    /// Its document and section; empty for a rule that follows from none.
    pub fn source(&self) -> String {
        match (self.document, self.section) {
            ("bittrace", _) => String::new(),
            (document, "") => document.to_owned(),
            (document, section) => format!("{document}, {section}"),
        }
    }

    /// A note by this rule.
    pub fn note(&'static self, text: impl Into<Cow<'static, str>>) -> Note {
        Note { rule: self, text: text.into(), piece: None, cause: None }
    }
}

impl Note {
    /// The note, about a piece.
    pub(crate) fn about(self, piece: PieceIndex) -> Self {
        Self { piece: Some(piece), ..self }
    }

    /// The note, about an earlier record too.
    pub(crate) fn caused_by(self, number: u64) -> Self {
        Self { cause: Some(number), ..self }
    }
}
