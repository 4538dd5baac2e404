//! Two messages that are counterparts, field by field: what differs, and what is thought of it.

use std::collections::HashMap;
use std::ops::Range;

use bittrace_protocol::Hex;
use bittrace_protocol::field::{Role, Value};
use bittrace_protocol::tracker::http::{Request, RequestStyle};
use bittrace_trace::record::{Body, HttpTrackerBody, PeerWireBody};
use bittrace_trace::{Record, Side};

use crate::diff::field_path::{FlatField, canonical, flat_fields, peer_id, readable, shown, text};
use crate::diff::mask::{Clash, MaskRule, Masks};
use crate::model::message::StoredMessage;

/// A field that is not the same in both messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field's path: its name behind those of what it stands in, joined by dots.
    pub name: String,
    /// What the reference has there; `None` where it has no such field.
    pub reference: Option<FieldSide>,
    /// What the candidate has there; `None` where it has no such field.
    pub candidate: Option<FieldSide>,
    /// What is thought of it.
    pub rule: MaskRule,
    /// Whether it makes the messages differ.
    pub fails: bool,
    /// What is to be said of it.
    pub note: Option<String>,
    moved: bool,
}

impl Difference {
    /// Whether the field says the same in both, and only stands at another place.
    pub fn is_place(&self) -> bool {
        self.moved
    }
}

/// A field of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldSide {
    /// What it says, readable.
    pub text: String,
    /// The bytes it stands in.
    pub span: Range<usize>,
}

/// Whether what a mask lets pass is counted: it is, where it would be held against the candidate.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// The bytes are not the same.
    Value,
    /// One of the two has no such field.
    Absence,
    /// It stands elsewhere among the others: behind this one of the reference's leaves there, behind that one here.
    Place(Option<usize>, Option<usize>),
    /// The bytes are the same, but may not agree with what was bound before.
    Same,
}

/// The differences of two messages, judged by `masks`. Values that are bound are taken note of, also where they are
/// the same in both.
pub(crate) fn compare(
    reference: &Record,
    candidate: &Record,
    side: Side,
    masks: &mut Masks,
    counts: MaskCounts,
) -> Vec<Difference> {
    let (ours, theirs) = (flat_fields(reference), flat_fields(candidate));
    let mut found = match few_differing_bytes(&reference.bytes, &candidate.bytes) {
        Some(places) if !places.is_empty() => by_bytes(&ours, &theirs, &places),
        _ => by_name(&ours, &theirs, reference, candidate),
    };
    let differing = found.len();
    found.extend(unchanged(&ours, &theirs, reference, candidate));
    let mut judge = Judge { reference, candidate, ours: &ours, side, masks, counts };
    let mut differences = Vec::new();
    for (at, found) in found.iter().enumerate() {
        let others = if at < differing { differing > 1 } else { differing > 0 };
        differences.extend(judge.judge(found, others));
    }
    differences
}

/// The differing places of two messages as long as each other that are all but the same.
fn few_differing_bytes(one: &[u8], other: &[u8]) -> Option<Vec<usize>> {
    if one.len() != other.len() {
        return None;
    }
    let places: Vec<usize> = (0..one.len()).filter(|&at| one[at] != other[at]).take(FEW + 1).collect();
    (places.len() <= FEW).then_some(places)
}

/// Up to so many bytes of two messages may differ for the fields to be told by where those stand: a changed byte may
/// well change what the fields are.
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
    reference: &Record,
    candidate: &Record,
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
    let above = |at: usize| ours[at].path.rfind('.').map_or("", |dot| &ours[at].path[..dot]);
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
    reference: &'a Record,
    candidate: &'a Record,
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
    reference: &'a Record,
    candidate: &'a Record,
    ours: &'a [FlatField],
    side: Side,
    masks: &'a mut Masks,
    counts: MaskCounts,
}

/// What is thought of a difference, and what is to be said of it.
type Opinion = (MaskRule, bool, Option<String>);

impl Judge<'_> {
    /// What is thought of a field; `None` where there is nothing to say. `others` says that other fields differ too.
    fn judge(&mut self, found: &ComparedField<'_>, others: bool) -> Option<Difference> {
        let leaf = found.reference.or(found.candidate)?;
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
                (MaskRule::Exact, true, Some(self.behind(one, other)))
            }
            (What::Value, MaskRule::Exact, _) if others && self.follows(leaf) => {
                (MaskRule::Follows, false, Some("follows from the others".to_owned()))
            }
            (What::Value, MaskRule::Exact, _) => (MaskRule::Exact, true, self.first_difference(found)),
            (What::Absence, MaskRule::Exact | MaskRule::Bind, _) => (MaskRule::Exact, true, None),
            (What::Value, MaskRule::Bind, Some(line)) => self.bind(found, line),
            (What::Value, MaskRule::Context, _) if !self.same_extension(leaf) => {
                (MaskRule::Exact, true, None)
            }
            (_, rule, _) => (rule, false, None),
        };
        let passes = !fails && rule != MaskRule::Follows && self.counts == MaskCounts::Yes;
        if let (Some(line), true) = (line, passes) {
            self.masks.count(line);
        }
        let same_text = match (found.what, found.reference, found.candidate) {
            (What::Value, Some(one), Some(other)) => text(one, self.reference) == text(other, self.candidate),
            _ => false,
        };
        let note = if same_text && note.is_none() {
            Some("the same value, written otherwise".to_owned())
        } else {
            note
        };
        let part = |leaf: Option<&FlatField>, record: &Record| {
            let leaf = leaf?;
            let bytes = record.bytes.get(leaf.span.clone()).unwrap_or_default();
            let text = if same_text { readable(bytes) } else { text(leaf, record) };
            Some(FieldSide { text, span: leaf.span.clone() })
        };
        let mut candidate = part(found.candidate, self.candidate);
        // A changed byte can change what the field is; its bytes are still there.
        if found.what == What::Value && candidate.is_none() {
            candidate = self.candidate.bytes.get(leaf.span.clone()).map(|bytes| FieldSide {
                text: format!("the bytes {}", readable(bytes)),
                span: leaf.span.clone(),
            });
        }
        let reference = part(found.reference, self.reference);
        let moved = matches!(found.what, What::Place(..));
        Some(Difference { name: leaf.path.clone(), reference, candidate, rule, fails, note, moved })
    }

    /// Where a field stands, by what stands in front of it.
    fn behind(&self, reference: Option<usize>, candidate: Option<usize>) -> String {
        let name = |at: Option<usize>| {
            at.map(|at| self.ours[at].path.rsplit('.').next().unwrap_or_default().to_owned())
        };
        match (name(reference), name(candidate)) {
            (one, other) if one == other => format!("moved along with {}", one.unwrap_or_default()),
            (Some(one), Some(other)) => format!("behind {other}, not {one}"),
            (Some(one), None) => format!("first, not behind {one}"),
            (None, other) => format!("behind {}, not first", other.unwrap_or_default()),
        }
    }

    /// Whether such a field only says how long others are.
    fn follows(&self, leaf: &FlatField) -> bool {
        let is_length =
            leaf.path == "length_prefix" || leaf.path.eq_ignore_ascii_case("headers.content-length");
        is_length && self.reference.bytes.len() != self.candidate.bytes.len()
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

    /// Holds a value to what it stood for before.
    fn bind(&mut self, found: &ComparedField<'_>, line: usize) -> Opinion {
        let fails = |note: &str| (MaskRule::Bind, true, Some(note.to_owned()));
        let (Some(ours), Some(theirs)) = (found.reference, found.candidate) else {
            return (MaskRule::Exact, true, None);
        };
        if std::mem::discriminant(&ours.value) != std::mem::discriminant(&theirs.value) {
            return fails("a value of another kind");
        }
        if let (Some(one), Some(other)) = (peer_id(ours), peer_id(theirs)) {
            let (one, other) = (&one.0[..one.client_part()], &other.0[..other.client_part()]);
            if one != other {
                return (MaskRule::Exact, true, Some("another client".to_owned()));
            }
        }
        if let Some(note) = self.phrased_otherwise(ours, theirs) {
            return (MaskRule::Exact, true, Some(note.to_owned()));
        }
        let value = |leaf: &FlatField, record: &Record| canonical(leaf, record);
        let (one, other) = (value(ours, self.reference), value(theirs, self.candidate));
        let numbers = (self.reference.number, self.candidate.number);
        match self.masks.bind(line, self.side, one, &other, numbers) {
            Ok(()) => (MaskRule::Bind, false, None),
            Err(Clash::Reference(bound)) => fails(&format!(
                "stood for {} in message {} of the candidate, {} of the reference",
                shown(&bound.candidate),
                bound.numbers.1,
                bound.numbers.0
            )),
            Err(Clash::Candidate(reference)) => {
                fails(&format!("the candidate's value stood for {} before", shown(&reference)))
            }
        }
    }

    /// Whether a parameter or header is spelled otherwise, or its value escaped otherwise: chance decides what the value
    /// is, the client how it is written.
    fn phrased_otherwise(&self, ours: &FlatField, theirs: &FlatField) -> Option<&'static str> {
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
            return (frame(one, ours) != frame(other, theirs)).then_some("spelled in another way");
        }
        let parameter = |request: &'_ Request, leaf: &FlatField| {
            request.parameters().iter().position(|parameter| parameter.span() == leaf.span)
        };
        let (at, their_at) = (parameter(one, ours)?, parameter(other, theirs)?);
        let (our, their) = (&one.parameters()[at], &other.parameters()[their_at]);
        if one.part(our.name.clone()) != other.part(their.name.clone())
            || our.value.is_some() != their.value.is_some()
        {
            return Some("spelled in another way");
        }
        // What neither value shows is not known; only when both styles write the other's value otherwise do they
        // disagree.
        let writes = |request: &Request, at: usize, value: &[u8], raw: &[u8]| {
            let mut out = Vec::new();
            let style = RequestStyle::of(request);
            style.parameters.get(at).is_none_or(|parameter| {
                parameter.escaping.encode(value, &mut out);
                out == raw
            })
        };
        let raw = |request: &Request, parameter: &bittrace_protocol::tracker::http::Parameter| {
            parameter.value.clone().map_or(Vec::new(), |span| request.part(span).to_vec())
        };
        let agree = writes(one, at, &their.decoded, &raw(other, their))
            || writes(other, their_at, &our.decoded, &raw(one, our));
        (!agree).then_some("escaped in another way")
    }

    /// Where two long values first differ, since their text does not show it.
    fn first_difference(&self, found: &ComparedField<'_>) -> Option<String> {
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
        Some(format!(
            "first differs at byte {at} of the field, in {number} of {}",
            one.len().min(other.len())
        ))
    }
}

const EXTENDED_ID: &str = "extension.extended_id";

/// Values longer than this are not read byte by byte.
const LONG: usize = 32;

/// Two blocks of which only digests are known.
pub(crate) fn blocks_differ(one: &StoredMessage, other: &StoredMessage) -> Difference {
    let part = |kept: &StoredMessage| {
        let digest = kept.digest().map_or(String::new(), |digest| Hex(digest).to_string());
        Some(FieldSide { text: format!("SHA-1 {digest}"), span: kept.bytes.len()..kept.length() as usize })
    };
    Difference {
        name: "block".to_owned(),
        reference: part(one),
        candidate: part(other),
        rule: MaskRule::Exact,
        fails: true,
        note: Some("only digests of the blocks are kept".to_owned()),
        moved: false,
    }
}
