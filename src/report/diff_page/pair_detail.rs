//! What a page shows of one pair of messages: the fields beside each other, and the bytes with those that differ.

use std::ops::Range;

use bittrace_protocol::Hex;
use bittrace_replay::{
    ComparedSide, Difference, FieldText, FieldTexts, MaskRule, MessagePair, StoredMessage,
};
use serde::Serialize;

use super::align_bytes::differing_bytes;

/// The fields and bytes of a pair.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct PairDetail {
    /// The fields in the order of the reference, those that only the candidate has at their place among them.
    pub(super) fields: Vec<FieldRow>,
    /// How many fields more there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) more: usize,
    /// The bytes of the reference's message and of the candidate's. Nothing for the candidate's where they are the same.
    pub(super) bytes: [Vec<BytesPart>; 2],
}

/// Some bytes of a message: where they begin, and the bytes in hex.
pub(super) type BytesPart = (usize, String);

/// A field beside its counterpart: its path, its value in each message (the candidate's is left out where it is the same), how it is judged, a remark, where it stands in each
/// message, and which bytes of each message differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct FieldRow(
    pub(super) String,
    pub(super) [Option<String>; 2],
    pub(super) Judgement,
    pub(super) String,
    pub(super) [Option<[usize; 2]>; 2],
    pub(super) [Vec<[usize; 2]>; 2],
);

/// How a field is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "u8")]
pub(super) enum Judgement {
    /// It is the same.
    Same,
    /// It differs, and makes the messages differ.
    Differs,
    /// It differs as a mask allows, or as the other fields make it.
    Allowed,
}

impl From<Judgement> for u8 {
    fn from(judgement: Judgement) -> Self {
        judgement as Self
    }
}

impl PairDetail {
    /// The detail of a pair of these messages, of which at least one is there.
    pub(super) fn of(
        pair: &MessagePair,
        (one, other): (Option<&StoredMessage>, Option<&StoredMessage>),
    ) -> Self {
        let texts = [one, other].map(|stored| stored.map(FieldTexts::of));
        let bytes = [one, other].map(|stored| stored.map_or(&[][..], |stored| &stored.bytes[..]));
        let mut fields = rows(pair, &texts, bytes);
        let first = [0, 1].map(|side| {
            let starts = fields.iter().flat_map(|row| &row.5[side]).map(|range| range[0]);
            starts.min().unwrap_or(0)
        });
        let more = fields.len().saturating_sub(FIELDS);
        if more > 0 {
            // Those that differ stay.
            fields.sort_by_key(|row| row.2 == Judgement::Same);
            fields.truncate(FIELDS);
        }
        let is_block = one.or(other).is_some_and(|stored| stored.message() == "piece");
        let room = if is_block { BLOCK_BYTES } else { MESSAGE_BYTES };
        let same = one.is_some() && other.is_some() && bytes[0] == bytes[1];
        let mut parts = [0, 1].map(|side| parts(bytes[side], first[side], room));
        for row in &mut fields {
            for (marks, parts) in row.5.iter_mut().zip(&parts) {
                marks.retain(|range| parts.iter().any(|part| overlaps(part, *range)));
            }
        }
        if same {
            parts[1].clear();
        }
        Self { fields, more, bytes: parts }
    }
}

/// How many bytes of a message a page holds, and of one that carries a block.
const MESSAGE_BYTES: usize = 640;
const BLOCK_BYTES: usize = 96;

/// How many fields of a pair a page holds, and how many letters of a value.
const FIELDS: usize = 250;
const LETTERS: usize = 300;

const fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// The first bytes of a message; where these do not reach the first byte that differs, fewer of them, and bytes around it.
fn parts(bytes: &[u8], differing: usize, room: usize) -> Vec<BytesPart> {
    let part = |range: Range<usize>| (range.start, Hex(&bytes[range]).to_string());
    if bytes.is_empty() {
        return Vec::new();
    }
    if bytes.len() <= room || differing + ROW <= room {
        return vec![part(0..bytes.len().min(room))];
    }
    let start = (differing / ROW).saturating_sub(1) * ROW;
    let head = (room / 3).next_multiple_of(ROW).min(start);
    vec![part(0..head), part(start..(start + room - head).min(bytes.len()))]
}

/// Whether a range of a message has bytes in a part of it.
fn overlaps((start, hex): &BytesPart, range: [usize; 2]) -> bool {
    range[0] < start + hex.len() / 2 && range[1] > *start
}

/// The bytes on a row.
const ROW: usize = 16;

/// The fields beside each other.
fn rows(pair: &MessagePair, texts: &[Option<FieldTexts>; 2], bytes: [&[u8]; 2]) -> Vec<FieldRow> {
    let [ours, theirs] = [0, 1].map(|side| {
        texts[side].as_ref().map_or_else(Vec::new, |texts| texts.fields().collect::<Vec<FieldText<'_>>>())
    });
    let (Some(our_texts), Some(their_texts)) = (&texts[0], &texts[1]) else {
        let side = usize::from(texts[0].is_none());
        return ours.iter().chain(&theirs).map(|field| alone(field, side)).collect();
    };
    let differing = |difference| differs(difference, [our_texts, their_texts], bytes);
    let mut rows: Vec<FieldRow> = Vec::with_capacity(ours.len());
    let mut shown = vec![false; pair.differences.len()];
    for field in &ours {
        let is_about = |difference: &Difference| {
            *difference.name == *field.path && difference.reference.is_some_and(|at| at.span() == field.span)
        };
        match pair.differences.iter().position(is_about) {
            Some(at) => {
                shown[at] = true;
                rows.push(differing(&pair.differences[at]));
            }
            None => {
                let mate = theirs.iter().find(|other| other.path == field.path && other.nth == field.nth);
                let mut row = alone(field, 0);
                row.1[1] =
                    mate.map(|mate| cut(&mate.text, LETTERS)).filter(|text| row.1[0].as_ref() != Some(text));
                row.4[1] = mate.map(|mate| [mate.span.start, mate.span.end]);
                rows.push(row);
            }
        }
    }
    // Fields that only the candidate has, and what is no field of its own: after what stands before them.
    for (difference, _) in pair.differences.iter().zip(shown).filter(|(_, shown)| !shown) {
        let side = usize::from(difference.reference.is_none());
        let row = differing(difference);
        let start = row.4[side].map_or(0, |span| span[0]);
        let before = |known: &FieldRow| known.4[side].is_some_and(|span| span[0] <= start);
        let at = rows.iter().rposition(before).map_or(0, |at| at + 1);
        rows.insert(at, row);
    }
    rows
}

/// A field that is shown of one message, the reference's (0) or the candidate's (1).
fn alone(field: &FieldText<'_>, side: usize) -> FieldRow {
    let mut row = FieldRow(
        cut(field.path, LETTERS),
        [None, None],
        Judgement::Same,
        String::new(),
        [None; 2],
        Default::default(),
    );
    row.1[side] = Some(cut(&field.text, LETTERS));
    row.4[side] = Some([field.span.start, field.span.end]);
    row
}

/// A field that differs.
fn differs(difference: &Difference, texts: [&FieldTexts; 2], bytes: [&[u8]; 2]) -> FieldRow {
    let spans = [difference.reference, difference.candidate].map(|side| side.map(|side| side.span()));
    let value = |side: usize| spans[side].clone().and_then(|span| bytes[side].get(span)).unwrap_or_default();
    let marks = match difference.is_place() {
        true => Default::default(),
        false => differing_bytes(value(0), value(1)),
    };
    let marks = [0, 1].map(|side| {
        let start = spans[side].as_ref().map_or(0, |span| span.start);
        marks[side].iter().map(|range: &Range<usize>| [start + range.start, start + range.end]).collect()
    });
    FieldRow(
        cut(&difference.name, LETTERS),
        [
            difference.shown(ComparedSide::Reference, texts[0]).map(|text| cut(&text, LETTERS)),
            difference.shown(ComparedSide::Candidate, texts[1]).map(|text| cut(&text, LETTERS)),
        ],
        if difference.fails { Judgement::Differs } else { Judgement::Allowed },
        remark(difference),
        spans.map(|span| span.map(|span| [span.start, span.end])),
        marks,
    )
}

/// Why a field that differs is judged as it is.
fn remark(difference: &Difference) -> String {
    let remark = difference.remark();
    if difference.fails && difference.rule == MaskRule::Context {
        return "not judged".to_owned();
    }
    let meaning = match difference.rule {
        _ if difference.fails || difference.note().is_some() => "",
        MaskRule::Bind => ": its first value stands for the reference's",
        MaskRule::Ignore => ": it does not matter",
        MaskRule::Context => ": the far end decides it",
        MaskRule::Exact | MaskRule::Follows => "",
    };
    format!("{remark}{meaning}")
}

/// The beginning and end of a text that has more than so many letters.
pub(super) fn cut(text: &str, letters: usize) -> String {
    if text.len() <= letters {
        return text.to_owned();
    }
    let half = letters / 2;
    let start: String = text.chars().take(half).collect();
    let end: Vec<char> = text.chars().rev().take(half).collect();
    format!("{start}…{}", end.iter().rev().collect::<String>())
}

#[cfg(test)]
mod tests {
    use bittrace_replay::{DiffOptions, Transcript, diff};
    use bittrace_testing::captures::captures_folder;
    use bittrace_trace::TraceOptions;

    use super::*;

    fn starts(parts: &[BytesPart]) -> Vec<(usize, usize)> {
        parts.iter().map(|(start, hex)| (*start, hex.len() / 2)).collect()
    }

    #[test]
    fn a_message_is_shown_from_its_start_and_around_its_first_differing_byte() {
        let bytes = [0; 2000];
        assert_eq!(starts(&parts(&[], 0, 96)), []);
        assert_eq!(starts(&parts(&bytes[..96], 90, 96)), [(0, 96)]);
        assert_eq!(starts(&parts(&bytes, 0, 96)), [(0, 96)]);
        assert_eq!(starts(&parts(&bytes, 79, 96)), [(0, 96)]);
        // The head, then a row before the byte.
        assert_eq!(starts(&parts(&bytes, 100, 96)), [(0, 32), (80, 64)]);
        assert_eq!(starts(&parts(&bytes, 1999, 96)), [(0, 32), (1968, 32)]);
    }

    #[test]
    fn long_texts_keep_their_beginning_and_end() {
        assert_eq!(cut("short", LETTERS), "short");
        let text: String = ('a'..='z').cycle().take(1000).collect();
        let short = cut(&text, LETTERS);
        assert_eq!(short.chars().count(), LETTERS + 1);
        assert!(
            text.starts_with(&short[..LETTERS / 2]) && text.ends_with(&short[short.len() - LETTERS / 2..])
        );
    }

    #[test]
    fn fields_stand_in_the_order_of_the_reference_and_those_of_the_candidate_among_them() {
        let open =
            |name: &str| Transcript::open(&captures_folder().join(name), TraceOptions::default()).unwrap();
        let (reference, candidate) = (open("download-aria2.pcap"), open("download-transmission.pcap"));
        let report = diff(&reference, &candidate, &DiffOptions::default()).unwrap();
        let compared = &report.conversations[1];
        let both = compared.conversations(&reference, &candidate);
        let pair = compared.pairs.iter().find(|pair| {
            let (one, other) = pair.messages(both);
            pair.side == bittrace_trace::Side::Local
                && other.is_some()
                && one.is_some_and(|one| one.message() == "extended")
        });
        let detail = PairDetail::of(pair.unwrap(), pair.unwrap().messages(both));
        let names: Vec<&str> = detail.fields.iter().map(|row| row.0.as_str()).collect();
        // `e`, `reqq` and `upload_only` are only in the candidate.
        let wanted = [
            "length_prefix",
            "id",
            "extension.extended_id",
            "e",
            "m.ut_metadata",
            "metadata_size",
            "p",
            "reqq",
            "upload_only",
            "v",
        ];
        assert_eq!(names, wanted);
        let row = |name: &str| detail.fields.iter().find(|row| row.0 == name).unwrap();
        assert_eq!(row("e").1, [None, Some("0".to_owned())]);
        assert_eq!(row("m.ut_metadata").2, Judgement::Differs);
        assert_eq!(row("p").2, Judgement::Allowed);
        assert_eq!(row("p").3, "masked: bind: its first value stands for the reference's");
        // The digit of `i9e` and of `i3e` alone.
        assert_eq!(row("m.ut_metadata").5.each_ref().map(|marks| marks[0][1] - marks[0][0]), [1, 1]);
        assert_eq!(row("metadata_size").1, [Some("233".to_owned()), None]);
    }
}
