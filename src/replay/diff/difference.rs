//! A difference between two messages: the field, where it stands in each message, and a remark on it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use bittrace_protocol::Hex;
use bittrace_protocol::field::Role;
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
