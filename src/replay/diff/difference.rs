//! A difference between two messages: the field, where it stands in each message, and a remark on it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use bittrace_protocol::Hex;
use bittrace_protocol::field::{Role, Value};
use sha1::{Digest, Sha1};

use crate::diff::field_path::{FlatField, flat_fields, readable, text};
use crate::diff::mask::MaskRule;
use crate::diff::report::ReportKind;
use crate::model::message::{ReadMessage, StoredMessage};

/// A field that is not the same in both messages. Its value is read again from the messages when it is shown
/// ([`FieldTexts`]): a report of millions of differences stays small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field's path: its name after the names of the fields that it stands in, joined by dots.
    pub name: Arc<str>,
    /// What the reference has there; `None` where it has no such field.
    pub reference: Option<FieldSide>,
    /// What the candidate has there; `None` where it has no such field.
    pub candidate: Option<FieldSide>,
    /// The rule by which it is judged.
    pub rule: MaskRule,
    /// Whether it makes the messages differ.
    pub fails: bool,
    /// What kind of disagreement it is: phrasing or identity.
    pub kind: ReportKind,
    pub(super) note: DifferenceNote,
    pub(super) moved: bool,
}

/// A remark on a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DifferenceNote {
    None,
    Fixed(Remark),
    /// Where two long values first differ, in how many bytes, and how many bytes the shorter value has.
    FirstDiffers(Box<[usize; 3]>),
    Written(Box<str>),
    /// After which field it stands in the reference, and in the candidate.
    Places(Box<[String; 2]>),
}

/// A remark in fixed words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remark {
    Follows,
    SameValue,
    OtherKind,
    OtherClient,
    Spelled,
    Escaped,
    DigestsAlone,
}

impl Remark {
    const fn text(self) -> &'static str {
        match self {
            Self::Follows => "follows from other fields",
            Self::SameValue => "the same value, written differently",
            Self::OtherKind => "a value of another type",
            Self::OtherClient => "another client",
            Self::Spelled => "spelled differently",
            Self::Escaped => "escaped differently",
            Self::DigestsAlone => "compared by SHA-1",
        }
    }
}

impl DifferenceNote {
    pub(super) fn written(text: String) -> Self {
        Self::Written(text.into())
    }
}

impl Difference {
    /// Whether the field has the same value in both messages, and only stands at another place.
    pub fn is_place(&self) -> bool {
        self.moved
    }

    /// After which field it stands in the reference, and in the candidate; `None` where it stands at the same place, or where
    /// more than the field itself moved.
    pub fn places(&self) -> Option<&[String; 2]> {
        match &self.note {
            DifferenceNote::Places(places) => Some(places),
            _ => None,
        }
    }

    /// What is shown of it in one message, of which `texts` are the fields; `None` where that message has no such field.
    /// Where the field only stands at another place, that place, or nothing.
    pub fn shown(&self, side: ComparedSide, texts: &FieldTexts) -> Option<String> {
        let (at, place) = match side {
            ComparedSide::Reference => (self.reference?, 0),
            ComparedSide::Candidate => (self.candidate?, 1),
        };
        Some(match self.places() {
            Some(places) => places[place].clone(),
            None if self.is_place() => String::new(),
            None => texts.text(&self.name, &at),
        })
    }

    /// Why it is judged as it is, in a few words; empty where the two values say it.
    pub fn remark(&self) -> Cow<'static, str> {
        match (self.note(), self.rule) {
            _ if self.places().is_some() => "order".into(),
            (Some(note), _) if self.is_place() => format!("order: {note}").into(),
            (Some(note), _) => note,
            (None, MaskRule::Exact) => "".into(),
            (None, rule) if self.fails => rule.name().into(),
            (None, rule) => format!("masked: {}", rule.name()).into(),
        }
    }

    /// A remark on it, in words; `None` where the two values need none.
    pub fn note(&self) -> Option<Cow<'static, str>> {
        match &self.note {
            DifferenceNote::None => None,
            DifferenceNote::Fixed(remark) => Some(remark.text().into()),
            DifferenceNote::FirstDiffers(numbers) => {
                let [at, differing, of] = **numbers;
                Some(format!("first differs at byte {at} of the field, in {differing} of {of}").into())
            }
            DifferenceNote::Written(text) => Some(text.to_string().into()),
            DifferenceNote::Places(places) => {
                let [reference, candidate] = &**places;
                Some(format!("{candidate} (reference: {reference})").into())
            }
        }
    }
}

/// One of the two captures that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComparedSide {
    /// The capture with the correct behaviour.
    Reference,
    /// The capture that is compared with it.
    Candidate,
}

/// Where a field stands in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSide {
    start: u32,
    end: u32,
    form: TextForm,
}

/// How a field is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextForm {
    /// By its value.
    Value,
    /// As its bytes are written.
    Written,
    /// As bytes that are no field of this name.
    Bytes,
    /// By the SHA-1 of its bytes, which are not stored.
    Digest,
}

impl FieldSide {
    pub(super) fn new(span: Range<usize>, form: TextForm) -> Self {
        // A message has less than 4 GiB: no capture stores more.
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: offset(span.start), end: offset(span.end), form }
    }

    /// The bytes of the message that it stands in.
    pub const fn span(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A field of one message as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldText<'a> {
    /// The field's path: its name after the names of the fields that it stands in, joined by dots.
    pub path: &'a str,
    /// Which one it is of those with this path, from 0.
    pub nth: usize,
    /// The bytes of the message that it stands in.
    pub span: Range<usize>,
    /// Its value, readable.
    pub text: String,
}

/// The fields of one message, to show their values.
#[derive(Debug)]
pub struct FieldTexts {
    message: ReadMessage,
    leaves: Vec<FlatField>,
    digest: Option<[u8; 20]>,
}

impl FieldTexts {
    /// The fields of `message`.
    pub fn of(message: &StoredMessage) -> Self {
        let read = message.read();
        Self { leaves: flat_fields(&read), message: read, digest: message.digest().copied() }
    }

    /// The names and values of the fields that say something, in their order; the message's id and length are left out.
    pub fn content(&self) -> impl Iterator<Item = (&str, String)> {
        let content = self.leaves.iter().filter(|leaf| leaf.role == Role::Content);
        content.map(|leaf| (leaf.path.as_str(), text(leaf, &self.message)))
    }

    /// All fields with a value, in their order: the message's id and length too, but no delimiters.
    pub fn fields(&self) -> impl Iterator<Item = FieldText<'_>> {
        let with_value =
            self.leaves.iter().filter(|leaf| leaf.role == Role::Content || leaf.value != Value::None);
        with_value.map(|leaf| FieldText {
            path: &leaf.path,
            nth: leaf.nth,
            span: leaf.span.clone(),
            text: text(leaf, &self.message),
        })
    }

    /// The value of the field called `name` at this place of the message, readable.
    pub fn text(&self, name: &str, side: &FieldSide) -> String {
        let span = side.span();
        let bytes = || readable(self.message.bytes.get(span.clone()).unwrap_or_default());
        match side.form {
            TextForm::Value => {
                let leaf = self.leaves.iter().find(|leaf| leaf.path == name && leaf.span == span);
                leaf.map_or_else(bytes, |leaf| text(leaf, &self.message))
            }
            TextForm::Written => bytes(),
            TextForm::Bytes => format!("the bytes {}", bytes()),
            TextForm::Digest => {
                let digest =
                    self.digest.or_else(|| Some(Sha1::digest(self.message.bytes.get(span.clone())?).into()));
                format!("SHA-1 {}", digest.map_or(String::new(), |digest| Hex(&digest).to_string()))
            }
        }
    }
}

/// The paths of fields, each stored once.
#[derive(Debug, Default)]
pub(crate) struct Paths(HashSet<Arc<str>>);

impl Paths {
    pub(super) fn intern(&mut self, path: &str) -> Arc<str> {
        match self.0.get(path) {
            Some(known) => known.clone(),
            None => {
                let new: Arc<str> = path.into();
                self.0.insert(new.clone());
                new
            }
        }
    }
}
