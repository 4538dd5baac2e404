//! What differs between two messages: a field, where it stands in either, and what is to be said of it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use bittrace_protocol::Hex;
use sha1::{Digest, Sha1};

use crate::diff::field_path::{FlatField, flat_fields, readable, text};
use crate::diff::mask::MaskRule;
use crate::model::message::{ReadMessage, StoredMessage};

/// A field that is not the same in both messages. What it says is read again from the messages when it is shown
/// ([`FieldTexts`]): a report of millions of differences stays small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field's path: its name behind those of what it stands in, joined by dots.
    pub name: Arc<str>,
    /// What the reference has there; `None` where it has no such field.
    pub reference: Option<FieldSide>,
    /// What the candidate has there; `None` where it has no such field.
    pub candidate: Option<FieldSide>,
    /// What is thought of it.
    pub rule: MaskRule,
    /// Whether it makes the messages differ.
    pub fails: bool,
    pub(super) note: DifferenceNote,
    pub(super) moved: bool,
}

/// What is to be said of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DifferenceNote {
    None,
    Fixed(Remark),
    /// Where two long values first differ, in how many bytes, and how many bytes the shorter value has.
    FirstDiffers(Box<[usize; 3]>),
    Written(Box<str>),
}

/// What is said of many differences in the same words.
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
            Self::Follows => "follows from the others",
            Self::SameValue => "the same value, written otherwise",
            Self::OtherKind => "a value of another kind",
            Self::OtherClient => "another client",
            Self::Spelled => "spelled in another way",
            Self::Escaped => "escaped in another way",
            Self::DigestsAlone => "only digests of the blocks are stored",
        }
    }
}

impl DifferenceNote {
    pub(super) fn written(text: String) -> Self {
        Self::Written(text.into())
    }
}

impl Difference {
    /// Whether the field says the same in both, and only stands at another place.
    pub fn is_place(&self) -> bool {
        self.moved
    }

    /// What is to be said of it, in words; `None` where the two values say all.
    pub fn note(&self) -> Option<Cow<'static, str>> {
        match &self.note {
            DifferenceNote::None => None,
            DifferenceNote::Fixed(remark) => Some(remark.text().into()),
            DifferenceNote::FirstDiffers(numbers) => {
                let [at, differing, of] = **numbers;
                Some(format!("first differs at byte {at} of the field, in {differing} of {of}").into())
            }
            DifferenceNote::Written(text) => Some(text.to_string().into()),
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

/// The fields of one message, to show what they say.
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

    /// What the field called `name` says at this place of the message, readable.
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
