//! A comparison as NDJSON: an object a pair of messages, and one at the end that sums up.

use std::io::{self, Write};

use bittrace_replay::{
    ComparedConversation, Difference, FieldSide, FieldTexts, MessagePair, PairVerdict, Refusal, Tally,
    Transcript,
};
use bittrace_trace::Side;
use serde_json::{Map, Value, json};

use super::{DiffView, NamedMessage, findings};
use crate::print::json::write_line;

/// Writes all pairs, then the summary.
pub(super) fn write(view: &DiffView<'_>, out: &mut dyn Write) -> io::Result<()> {
    for compared in &view.report.conversations {
        for pair in &compared.pairs {
            write_line(&object(view, compared, pair), out)?;
        }
    }
    write_line(&summary(view), out)
}

fn object(view: &DiffView<'_>, compared: &ComparedConversation, pair: &MessagePair) -> Map<String, Value> {
    let (one, other) = view.said(compared, pair);
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("verdict", json!(pair.verdict.name()));
    if let Some(kind) = pair.kind() {
        put("kind", json!(kind.name()));
    }
    put("counts", json!(view.counts(pair)));
    put("speaker", json!(pair.side.name()));
    if let Some(said) = one.or(other) {
        put("protocol", json!(said.stored.protocol().name()));
        put("message", json!(said.stored.message()));
        put("summary", json!(said.conversation.describe(pair.side, said.stored)));
    }
    for (side, said, place) in [("reference", one, pair.reference), ("candidate", other, pair.candidate)] {
        let Some(said) = said else { continue };
        put(side, json!(said.stored.number));
        put(&format!("{side}_stream"), json!(said.conversation.stream.0));
        put(&format!("{side}_frames"), json!(said.stored.frames.as_slice()));
        let interval = place.and_then(|place| said.conversation.interval(pair.side, place as usize));
        put(&format!("{side}_interval"), json!(interval));
    }
    if pair.moved {
        put("moved", json!(true));
    }
    if pair.lost {
        put("lost", json!(true));
    }
    put("fields", fields(pair, one, other));
    object
}

fn fields(pair: &MessagePair, one: Option<NamedMessage<'_>>, other: Option<NamedMessage<'_>>) -> Value {
    let (Some(one), Some(other), false) = (one, other, pair.differences.is_empty()) else { return json!([]) };
    let texts = [one, other].map(|said| FieldTexts::of(said.stored));
    pair.differences.iter().map(|difference| field(difference, &texts)).collect()
}

/// `texts` are those of the reference's message and of the candidate's.
fn field(difference: &Difference, texts: &[FieldTexts; 2]) -> Value {
    let text = |side: Option<FieldSide>, texts: &FieldTexts| Some(texts.text(&difference.name, &side?));
    let [reference, candidate] = texts;
    let mut field = json!({
        "name": &*difference.name,
        "reference": text(difference.reference, reference),
        "candidate": text(difference.candidate, candidate),
        "rule": difference.rule.name(),
        "kind": difference.kind.name(),
        "differs": difference.fails,
    });
    if let Some(map) = field.as_object_mut() {
        for (name, side) in
            [("reference_bytes", difference.reference), ("candidate_bytes", difference.candidate)]
        {
            if let Some(side) = side {
                let span = side.span();
                map.insert(name.to_owned(), json!([span.start, span.end]));
            }
        }
        if difference.is_place() {
            map.insert("moved".to_owned(), json!(true));
        }
        if let Some(note) = difference.note() {
            map.insert("note".to_owned(), json!(note));
        }
    }
    field
}

fn summary(view: &DiffView<'_>) -> Map<String, Value> {
    let report = view.report;
    let total = report.total();
    let masks: Map<String, Value> = report
        .masks
        .iter()
        .map(|used| {
            let mask = &used.mask;
            let value = json!({ "rule": mask.rule.name(), "uses": used.uses, "reason": mask.reason });
            (mask.place(), value)
        })
        .collect();
    let sides: Map<String, Value> = [Side::Local, Side::Remote]
        .into_iter()
        .map(|side| {
            let messages: Map<String, Value> = report
                .tallies(side)
                .by_message()
                .iter()
                .map(|(name, tally)| ((*name).to_owned(), json!({ "verdicts": verdicts(tally), "coverage": tally.coverage(), "fidelity": tally.fidelity() })))
                .collect();
            (side.name().to_owned(), Value::Object(messages))
        })
        .collect();
    let summary = json!({
        "same": view.disagreements == 0,
        "verdicts": verdicts(&total),
        "masks": masks,
        "coverage": total.coverage(),
        "fidelity": total.fidelity(),
        "lost": { "reference": total.lost_of_reference, "candidate": total.lost },
        "conversations": {
            "paired": report.conversations.iter().filter(|one| one.reference.is_some() && one.candidate.is_some()).count(),
            "missing": report.conversations.iter().filter(|one| one.candidate.is_none()).count(),
            "extra": report.conversations.iter().filter(|one| one.reference.is_none()).count(),
        },
        "broken_rules": {
            "reference": findings::json(&view.reference.broken_rules, None),
            "candidate": findings::json(&view.candidate.broken_rules, Some(view)),
        },
        "in_identity_alone": total.in_identity,
        "refusals": view.noticed.refusals.iter().map(|one| refusal(one, view.candidate)).collect::<Vec<_>>(),
        "remarks": view.noticed.remarks,
        "sides": sides,
        "captures": { "reference": capture(view.reference), "candidate": capture(view.candidate) },
    });
    Map::from_iter([("summary".to_owned(), summary)])
}

/// What a replayed tracker or peer did not answer; the stream is that of the recording of the run.
fn refusal(refusal: &Refusal, recording: &Transcript) -> Value {
    let stream = refusal.connection.and_then(|connection| connection.stream_in(recording));
    json!({
        "by": refusal.by.name(),
        "peer": refusal.by.peer().map(|peer| peer.to_string()),
        "stream": stream.map(|stream| stream.0),
        "message": refusal.message,
        "nth": refusal.nth,
        "did": refusal.did.name(),
        "why": refusal.why,
    })
}

fn verdicts(tally: &Tally) -> Value {
    PairVerdict::ALL.iter().map(|verdict| (verdict.name().to_owned(), json!(tally.of(*verdict)))).collect()
}

fn capture(transcript: &Transcript) -> Value {
    json!({
        "capture": transcript.name,
        "local": transcript.local.map(|local| local.to_string()),
        "client": transcript.client(),
        "torrents": transcript.torrents().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "messages": transcript.records,
        "shortened": transcript.shortened,
        "truncated": transcript.cut.is_some(),
    })
}
