//! Two messages that are counterparts, field by field: what differs, and whether that counts.

use std::collections::HashMap;

use bittrace_protocol::field::{Role, Value};
use bittrace_protocol::tracker::http::{Request, RequestStyle};
use bittrace_trace::Side;
use bittrace_trace::record::{Body, HttpTrackerBody, PeerWireBody};

use crate::diff::difference::{Difference, DifferenceNote, FieldSide, Paths, Remark, TextForm};
use crate::diff::field_path::{FlatField, canonical, flat_fields, peer_id, shown, text};
use crate::diff::identity::is_identity;
use crate::diff::mask::{Clash, MaskRule, Masks};
use crate::diff::report::ReportKind;
use crate::model::message::{ReadMessage, StoredMessage};

/// Whether differences that a mask lets pass are counted: only in messages that are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaskCounts {
    /// It is.
    Yes,
    /// It is context.
    No,
}

/// What is known of two messages before the masks are asked.
struct ComparedField<'a> {
    reference: Option<&'a FlatField>,
    candidate: Option<&'a FlatField>,
    what: What,
}

impl ComparedField<'_> {
    /// The field by whose name the two go: the reference's, where it has one.
    fn leaf(&self) -> Option<&FlatField> {
        self.reference.or(self.candidate)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// The bytes are not the same.
    Value,
    /// One of the two has no such field.
    Absence,
    /// It stands elsewhere among the others: after this one of the reference's leaves there, after that one here.
    Place(Option<usize>, Option<usize>),
    /// The bytes are the same, but may not agree with what was bound before.
    Same,
}

/// The differences of two messages, judged by `masks`. Values that are bound are taken note of, also where they are
/// the same in both.
pub(crate) fn compare(
    reference: &ReadMessage,
    candidate: &ReadMessage,
    side: Side,
    masks: &mut Masks,
    paths: &mut Paths,
    counts: MaskCounts,
) -> Vec<Difference> {
    let (ours, theirs) = (flat_fields(reference), flat_fields(candidate));
    let mut found = match few_differing_bytes(&reference.bytes, &candidate.bytes) {
        Some(places) if !places.is_empty() => by_bytes(&ours, &theirs, &places),
        _ => by_name(&ours, &theirs, reference, candidate),
    };
    let differing = found.len();
    found.extend(unchanged(&ours, &theirs, reference, candidate));
    // Two lengths are no reason for each other to differ.
    let others = found[..differing].iter().any(|one| one.leaf().is_some_and(|leaf| !is_length(leaf)));
    let mut judge = Judge { reference, candidate, ours: &ours, side, masks, paths, counts };
    found.iter().filter_map(|found| judge.judge(found, others)).collect()
}

/// Whether a field only says how long others are.
fn is_length(field: &FlatField) -> bool {
    field.path == "length_prefix" || field.path.eq_ignore_ascii_case("headers.content-length")
}

/// The differing places of two messages as long as each other that are all but the same.
fn few_differing_bytes(one: &[u8], other: &[u8]) -> Option<Vec<usize>> {
    if one.len() != other.len() {
        return None;
    }
    let places: Vec<usize> = (0..one.len()).filter(|&at| one[at] != other[at]).take(FEW + 1).collect();
    (places.len() <= FEW).then_some(places)
}

/// Where no more bytes of two messages differ than this, the fields are found by their offsets: a changed byte may change
/// which fields a message has.
const FEW: usize = 4;

/// The fields of the reference that have differing bytes.
fn by_bytes<'a>(ours: &'a [FlatField], theirs: &'a [FlatField], places: &[usize]) -> Vec<ComparedField<'a>> {
    let mut found = Vec::new();
    for leaf in ours {
        if !places.iter().any(|place| leaf.span.contains(place)) {
            continue;
        }
        let candidate = theirs.iter().find(|their| their.path == leaf.path && their.span == leaf.span);
        found.push(ComparedField { reference: Some(leaf), candidate, what: What::Value });
    }
    found
}

/// The fields that differ, each compared with that of the same name.
fn by_name<'a>(
    ours: &'a [FlatField],
    theirs: &'a [FlatField],
    reference: &ReadMessage,
    candidate: &ReadMessage,
) -> Vec<ComparedField<'a>> {
    let mates = mates(ours, theirs);
    let differs = |one: &FlatField, other: &FlatField| {
        reference.bytes.get(one.span.clone()) != candidate.bytes.get(other.span.clone())
    };
    let mut found = Vec::new();
    let mut taken = vec![false; theirs.len()];
    for (leaf, mate) in ours.iter().zip(&mates) {
        match mate {
            Some(mate) => {
                taken[*mate] = true;
                let other = &theirs[*mate];
                if differs(leaf, other) {
                    found.push(ComparedField {
                        reference: Some(leaf),
                        candidate: Some(other),
                        what: What::Value,
                    });
                }
            }
            None => found.push(ComparedField { reference: Some(leaf), candidate: None, what: What::Absence }),
        }
    }
    for (leaf, _) in theirs.iter().zip(&taken).filter(|(_, taken)| !**taken) {
        found.push(ComparedField { reference: None, candidate: Some(leaf), what: What::Absence });
    }
    found.extend(misplaced(ours, theirs, &mates));
    without_consequences(found)
}

/// For each leaf that of the other message with the same name.
fn mates(ours: &[FlatField], theirs: &[FlatField]) -> Vec<Option<usize>> {
    let places: HashMap<(&str, usize), usize> =
        theirs.iter().enumerate().map(|(at, leaf)| ((leaf.path.as_str(), leaf.nth), at)).collect();
    ours.iter().map(|leaf| places.get(&(leaf.path.as_str(), leaf.nth)).copied()).collect()
}

/// The content fields that stand elsewhere among those that both messages have.
fn misplaced<'a>(
    ours: &'a [FlatField],
    theirs: &'a [FlatField],
    mates: &[Option<usize>],
) -> Vec<ComparedField<'a>> {
    let content = |leaf: &FlatField| leaf.role == Role::Content;
    let both: Vec<(usize, usize)> = mates
        .iter()
        .enumerate()
        .filter_map(|(at, mate)| Some((at, (*mate)?)))
        .filter(|(at, _)| content(&ours[*at]))
        .collect();
    let numbers: Vec<Option<u32>> = both.iter().map(|(_, mate)| u32::try_from(*mate).ok()).collect();
    let in_order = crate::diff::align_messages::longest_increasing(&numbers);
    let mut by_mate = both.clone();
    by_mate.sort_unstable_by_key(|(_, mate)| *mate);
    let above = |at: usize| above(&ours[at].path);
    // The nearest sibling in front of it, by either order.
    let before = |row: &[(usize, usize)], at: usize| {
        let place = row.iter().position(|(one, _)| *one == at)?;
        row[..place].iter().rev().map(|(one, _)| *one).find(|one| above(*one) == above(at))
    };
    (0..both.len())
        .filter(|at| in_order.binary_search(at).is_err())
        .map(|at| {
            let (one, other) = both[at];
            let what = What::Place(before(&both, one), before(&by_mate, one));
            ComparedField { reference: Some(&ours[one]), candidate: Some(&theirs[other]), what }
        })
        .collect()
}

/// The path of what a field stands in, empty for the message itself.
fn above(path: &str) -> &str {
    path.rfind('.').map_or("", |dot| &path[..dot])
}

/// Leaves out delimiters that come and go with what they delimit.
fn without_consequences(found: Vec<ComparedField<'_>>) -> Vec<ComparedField<'_>> {
    let leaf = |found: &ComparedField<'_>| -> (String, Role) {
        let leaf = found.reference.or(found.candidate);
        leaf.map_or((String::new(), Role::Content), |leaf| (leaf.path.clone(), leaf.role))
    };
    let content_came_or_went =
        found.iter().any(|one| one.what == What::Absence && leaf(one).1 == Role::Content);
    if !content_came_or_went {
        return found;
    }
    let uneven: Vec<String> = found
        .iter()
        .filter(|one| one.what == What::Absence && leaf(one).1 == Role::Framing)
        .map(|one| leaf(one).0)
        .collect();
    found
        .into_iter()
        .filter(|one| {
            let (path, role) = leaf(one);
            role == Role::Content || !uneven.contains(&path)
        })
        .collect()
}

/// The content fields that are the same in both messages.
fn unchanged<'a>(
    ours: &'a [FlatField],
    theirs: &'a [FlatField],
    reference: &'a ReadMessage,
    candidate: &'a ReadMessage,
) -> impl Iterator<Item = ComparedField<'a>> {
    ours.iter().zip(mates(ours, theirs)).filter_map(move |(leaf, mate)| {
        let other = &theirs[mate?];
        let same = reference.bytes.get(leaf.span.clone()) == candidate.bytes.get(other.span.clone());
        (same && leaf.role == Role::Content).then_some(ComparedField {
            reference: Some(leaf),
            candidate: Some(other),
            what: What::Same,
        })
    })
}

struct Judge<'a> {
    reference: &'a ReadMessage,
    candidate: &'a ReadMessage,
    ours: &'a [FlatField],
    side: Side,
    masks: &'a mut Masks,
    paths: &'a mut Paths,
    counts: MaskCounts,
}

/// The rule for a difference, whether the difference makes the messages differ, and a remark on it.
type Opinion = (MaskRule, bool, DifferenceNote);

impl Judge<'_> {
    /// The verdict on a field; `None` where it does not differ. `others` says that fields differ from which a length can follow.
    fn judge(&mut self, found: &ComparedField<'_>, others: bool) -> Option<Difference> {
        let leaf = found.leaf()?;
        let protocol = self.reference.body.protocol();
        let line = self.masks.find(self.reference.body.message(), protocol, &leaf.path);
        let rule = line.map_or(MaskRule::Exact, |line| self.masks.rule(line));
        let (rule, fails, note) = match (found.what, rule, line) {
            (What::Same, MaskRule::Bind, Some(line)) => {
                let opinion = self.bind(found, line);
                if !opinion.1 {
                    return None;
                }
                opinion
            }
            (What::Same, ..) => return None,
            (What::Place(one, other), rule, _) if !matches!(rule, MaskRule::Ignore | MaskRule::Context) => {
                (MaskRule::Exact, true, self.order(leaf, one, other))
            }
            (What::Value, MaskRule::Exact, _) if others && self.follows(leaf) => {
                (MaskRule::Follows, false, DifferenceNote::Fixed(Remark::Follows))
            }
            (What::Value, MaskRule::Exact, _) => (MaskRule::Exact, true, self.first_difference(found)),
            (What::Absence, MaskRule::Exact | MaskRule::Bind, _) => {
                (MaskRule::Exact, true, DifferenceNote::None)
            }
            (What::Value, MaskRule::Bind, Some(line)) => self.bind(found, line),
            (What::Value, MaskRule::Context, _) if !self.same_extension(leaf) => {
                (MaskRule::Exact, true, DifferenceNote::None)
            }
            (_, rule, _) => (rule, false, DifferenceNote::None),
        };
        let passes = !fails && rule != MaskRule::Follows && self.counts == MaskCounts::Yes;
        if let (Some(line), true) = (line, passes) {
            self.masks.count(line);
        }
        let same_text = match (found.what, found.reference, found.candidate) {
            (What::Value, Some(one), Some(other)) => text(one, self.reference) == text(other, self.candidate),
            _ => false,
        };
        let note = if same_text && note == DifferenceNote::None {
            DifferenceNote::Fixed(Remark::SameValue)
        } else {
            note
        };
        let form = if same_text { TextForm::Written } else { TextForm::Value };
        let side = |leaf: Option<&FlatField>| leaf.map(|leaf| FieldSide::new(leaf.span.clone(), form));
        let mut candidate = side(found.candidate);
        // A changed byte can change what the field is; its bytes are still there.
        if found.what == What::Value && candidate.is_none() {
            let still_there = self.candidate.bytes.get(leaf.span.clone()).is_some();
            candidate = still_there.then(|| FieldSide::new(leaf.span.clone(), TextForm::Bytes));
        }
        let reference = side(found.reference);
        let moved = matches!(found.what, What::Place(..));
        let name = self.paths.intern(&leaf.path);
        let unchanged = moved || same_text;
        let kind = match fails && !unchanged && self.is_phrasing(leaf, found, &note) {
            true => ReportKind::Phrasing,
            false => ReportKind::Identity,
        };
        Some(Difference { name, reference, candidate, rule, fails, kind, note, moved })
    }

    /// Whether a field that differs tells the other end something else, and not only who the client is.
    fn is_phrasing(&self, leaf: &FlatField, found: &ComparedField<'_>, note: &DifferenceNote) -> bool {
        let absent = found.what == What::Absence;
        // A value that did not stay the same throughout the run, such as a peer id.
        let changed = matches!(note, DifferenceNote::Written(_));
        // In the handshake of BEP 10, the number 0 says that the client does not have the extension.
        let is_zero = |leaf: Option<&FlatField>, message| leaf.is_some_and(|leaf| text(leaf, message) == "0");
        let withdrawn = leaf.path.starts_with("m.")
            && (is_zero(found.reference, self.reference) || is_zero(found.candidate, self.candidate));
        changed || withdrawn || !is_identity(self.reference.body.message(), &leaf.path, absent)
    }

    /// After which field a field stands in each message.
    fn order(&self, leaf: &FlatField, reference: Option<usize>, candidate: Option<usize>) -> DifferenceNote {
        let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
        let name = |at: Option<usize>| at.map(|at| last(&self.ours[at].path));
        let place = |name: Option<&String>| name.map_or("first".to_owned(), |name| format!("after {name}"));
        match (name(reference), name(candidate)) {
            (Some(one), Some(other)) if one == other => {
                DifferenceNote::written(format!("moved along with {one}"))
            }
            // It is the first in what it stands in, or nothing of its kind stands before it: the others moved.
            (None, None) => DifferenceNote::written(match last(above(&leaf.path)) {
                outer if outer.is_empty() => "at another place among the others".to_owned(),
                outer => format!("moved along with {outer}"),
            }),
            (one, other) => DifferenceNote::Places(Box::new([one, other].map(|name| place(name.as_ref())))),
        }
    }

    /// Whether a field can follow from others that are not as long as each other.
    fn follows(&self, leaf: &FlatField) -> bool {
        is_length(leaf) && self.reference.bytes.len() != self.candidate.bytes.len()
    }

    /// Two messages of one extension may have different numbers, but two extensions are not the same.
    fn same_extension(&self, leaf: &FlatField) -> bool {
        match (&self.reference.body, &self.candidate.body) {
            (
                Body::PeerWire(PeerWireBody::Extended(_, one)),
                Body::PeerWire(PeerWireBody::Extended(_, other)),
            ) if leaf.path == EXTENDED_ID => one == other,
            _ => leaf.path != EXTENDED_ID,
        }
    }

    /// Compares a value with the value that was bound before.
    fn bind(&mut self, found: &ComparedField<'_>, line: usize) -> Opinion {
        let fails = |note: DifferenceNote| (MaskRule::Bind, true, note);
        let (Some(ours), Some(theirs)) = (found.reference, found.candidate) else {
            return (MaskRule::Exact, true, DifferenceNote::None);
        };
        if std::mem::discriminant(&ours.value) != std::mem::discriminant(&theirs.value) {
            return fails(DifferenceNote::Fixed(Remark::OtherKind));
        }
        if let (Some(one), Some(other)) = (peer_id(ours), peer_id(theirs)) {
            let (one, other) = (&one.0[..one.client_part()], &other.0[..other.client_part()]);
            if one != other {
                return (MaskRule::Exact, true, DifferenceNote::Fixed(Remark::OtherClient));
            }
        }
        if let Some(note) = self.phrased_otherwise(ours, theirs) {
            return (MaskRule::Exact, true, DifferenceNote::Fixed(note));
        }
        let (one, other) = (canonical(ours, self.reference), canonical(theirs, self.candidate));
        let numbers = (self.reference.number, self.candidate.number);
        match self.masks.bind(line, self.side, one, &other, numbers) {
            Ok(()) => (MaskRule::Bind, false, DifferenceNote::None),
            Err(Clash::Reference(bound)) => fails(DifferenceNote::written(format!(
                "changed: it was {} in message {} of the candidate (message {} of the reference)",
                shown(&bound.candidate),
                bound.numbers.1,
                bound.numbers.0
            ))),
            Err(Clash::Candidate(reference)) => fails(DifferenceNote::written(format!(
                "the candidate used this value for {} before",
                shown(&reference)
            ))),
        }
    }

    /// Whether the name of a parameter or header is spelled differently, or the value escaped differently: the value is random,
    /// how it is written is up to the client.
    fn phrased_otherwise(&self, ours: &FlatField, theirs: &FlatField) -> Option<Remark> {
        let (
            Body::HttpTracker(HttpTrackerBody::Request(one, _)),
            Body::HttpTracker(HttpTrackerBody::Request(other, _)),
        ) = (&self.reference.body, &self.candidate.body)
        else {
            return None;
        };
        if ours.path.starts_with("headers.") {
            let frame = |request: &Request, leaf: &FlatField| {
                let header = request.headers.iter().find(|header| header.name.start == leaf.span.start)?;
                Some(request.part(header.name.start..header.value.start).to_vec())
            };
            return (frame(one, ours) != frame(other, theirs)).then_some(Remark::Spelled);
        }
        let parameter = |request: &'_ Request, leaf: &FlatField| {
            request.parameters().iter().position(|parameter| parameter.span() == leaf.span)
        };
        let (at, their_at) = (parameter(one, ours)?, parameter(other, theirs)?);
        let (our, their) = (&one.parameters()[at], &other.parameters()[their_at]);
        if one.part(our.name.clone()) != other.part(their.name.clone())
            || our.value.is_some() != their.value.is_some()
        {
            return Some(Remark::Spelled);
        }
        let raw = |request: &Request, parameter: &bittrace_protocol::tracker::http::Parameter| {
            parameter.value.clone().map_or(Vec::new(), |span| request.part(span).to_vec())
        };
        let (our_raw, their_raw) = (raw(one, our), raw(other, their));
        // A value that is escaped in two ways at once follows no style, not even its own.
        if our_raw == their_raw {
            return None;
        }
        // Two values may not show how each client escapes. The styles differ only if each of them writes the other's value
        // differently.
        let writes = |request: &Request, at: usize, value: &[u8], raw: &[u8]| {
            let mut out = Vec::new();
            let style = RequestStyle::of(request);
            style.parameters.get(at).is_none_or(|parameter| {
                parameter.escaping.encode(value, &mut out);
                out == raw
            })
        };
        let agree =
            writes(one, at, &their.decoded, &their_raw) || writes(other, their_at, &our.decoded, &our_raw);
        (!agree).then_some(Remark::Escaped)
    }

    /// Where two long values first differ, since their text does not show it.
    fn first_difference(&self, found: &ComparedField<'_>) -> DifferenceNote {
        self.first_difference_of(found)
            .map_or(DifferenceNote::None, |numbers| DifferenceNote::FirstDiffers(Box::new(numbers)))
    }

    /// Its offset in the field, how many bytes differ, and how many bytes the shorter value has.
    fn first_difference_of(&self, found: &ComparedField<'_>) -> Option<[usize; 3]> {
        let (ours, theirs) = (found.reference?, found.candidate?);
        let is_long = match &ours.value {
            Value::Payload(_) => true,
            Value::Bytes(bytes) => bytes.len() > LONG,
            _ => false,
        };
        if !is_long {
            return None;
        }
        let one = self.reference.bytes.get(ours.span.clone())?;
        let other = self.candidate.bytes.get(theirs.span.clone())?;
        let at = one.iter().zip(other).position(|(one, other)| one != other)?;
        let number = one.iter().zip(other).filter(|(one, other)| one != other).count();
        Some([at, number, one.len().min(other.len())])
    }
}

const EXTENDED_ID: &str = "extension.extended_id";

/// Values longer than this are not read byte by byte.
const LONG: usize = 32;

/// Two blocks of which only digests are known.
pub(crate) fn blocks_differ(one: &StoredMessage, other: &StoredMessage, paths: &mut Paths) -> Difference {
    let side = |message: &StoredMessage| {
        Some(FieldSide::new(message.bytes.len()..message.length() as usize, TextForm::Digest))
    };
    Difference {
        name: paths.intern("block"),
        reference: side(one),
        candidate: side(other),
        rule: MaskRule::Exact,
        fails: true,
        kind: ReportKind::Phrasing,
        note: DifferenceNote::Fixed(Remark::DigestsAlone),
        moved: false,
    }
}

#[cfg(test)]
mod tests;
