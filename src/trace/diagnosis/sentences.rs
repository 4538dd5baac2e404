//! The first sentences of a diagnosis: what most of the time went to, what else did, and what to change.

use std::collections::BTreeSet;

use bittrace_protocol::Timestamp;

use super::ConnectionDiagnosis;
use super::cause::DelayCause;
use super::observed::Mark;
use super::run::RunDiagnosis;
use super::wording::{
    cause_text, counted_share, evidence_text, faster_text, hang_up_text, name, slow_end_text, trackers_text,
};
use crate::record::units::{counted, rough_size, span};
use crate::{Direction, StreamId};

/// A sentence that a person can act on, and where its evidence is.
#[derive(Debug, Clone, PartialEq)]
pub struct Sentence {
    /// The cause that it is about, where it is about one.
    pub cause: Option<DelayCause>,
    /// What is so, and what can be done, in whole sentences.
    pub text: String,
    /// The messages that show it, the first and the last.
    pub marks: Vec<Mark>,
    /// The streams that it is about, the first few.
    pub streams: Vec<StreamId>,
}

/// How many sentences come first.
const FIRST: usize = 3;
/// A second cause is named from this share of the run on, and from these seconds on.
const SECOND_SHARE: f64 = 0.1;
const SECOND_SECONDS: f64 = 1.0;
/// A run is unremarkable where no cause has more seconds than these.
const UNREMARKABLE: f64 = 1.0;
/// Waste is named from this share of all bytes on.
const WASTE_SHARE: f64 = 0.02;

/// At most three sentences: the main cause, then what else matters, what the run could gain, or what the capture cannot show.
pub fn first_sentences(run: &RunDiagnosis) -> Vec<Sentence> {
    let ranked = run.totals.ranked();
    let Some(main) = ranked.first().copied().filter(|_| run.duration() > 0.0) else {
        return vec![plain(
            "The capture shows no BitTorrent between peers, so there is nothing to diagnose.".into(),
        )];
    };
    let mut sentences = Vec::new();
    let hung_up = hung_up_on(run);
    let is_end = hung_up.is_some() && run.is_complete != Some(true) && !main.is_transfer();
    sentences.extend(hung_up.clone().filter(|_| is_end));
    if run.totals.seconds(main) < UNREMARKABLE {
        if sentences.is_empty() {
            sentences.push(plain(unremarkable(run)));
        }
    } else {
        sentences.push(main_sentence(run, main));
        let second = ranked.get(1).copied().filter(|second| {
            let seconds = run.totals.seconds(*second);
            seconds >= SECOND_SECONDS && seconds >= run.duration() * SECOND_SHARE
        });
        sentences.extend(second.map(|second| cause_text(run, second)));
    }
    let mut others = Vec::new();
    others.extend(hung_up.filter(|_| !is_end));
    others.extend(waste(run));
    others.extend(run.slow_end.filter(|_| !is_slow_end(run, main)).map(|end| slow_end_text(run, &end)));
    let of_dials = [DelayCause::NoPeer, DelayCause::Connecting, DelayCause::Tracker];
    if !sentences.iter().any(|sentence| sentence.cause.is_some_and(|cause| of_dials.contains(&cause))) {
        others.extend(trackers_text(run).map(plain));
    }
    // What the sentence of an unknown cause says already.
    let evidence = run.most_of(main).filter(|_| main != DelayCause::Unknown);
    let evidence = evidence.and_then(|(connection, _)| evidence_text(connection));
    if sentences.len() + others.len() < FIRST {
        others.extend(faster_text(run, main).map(|text| Sentence { cause: Some(main), ..plain(text) }));
    }
    let kept = if evidence.is_some() { FIRST - 1 } else { FIRST };
    sentences.extend(others);
    sentences.truncate(kept);
    sentences.extend(evidence.map(plain));
    name_clients_once(run, &mut sentences);
    sentences
}

/// Leaves the client of an end out where an earlier sentence, or this one, has named it.
fn name_clients_once(run: &RunDiagnosis, sentences: &mut [Sentence]) {
    let ends = run.connections.iter().take(NAMED_ENDS).flat_map(|connection| {
        [Direction::FromInitiator, Direction::FromResponder]
            .map(|end| (connection.address(end).to_string(), name(connection, end)))
    });
    for (address, named) in ends.collect::<BTreeSet<_>>() {
        let mut is_named = false;
        for sentence in sentences.iter_mut() {
            let Some(first) = sentence.text.find(&named) else { continue };
            let kept = if is_named { 0 } else { first + named.len() };
            let rest = sentence.text[kept..].replace(&named, &address);
            sentence.text.truncate(kept);
            sentence.text.push_str(&rest);
            is_named = true;
        }
    }
}

/// The connections whose ends the sentences may name more than once.
const NAMED_ENDS: usize = 1_000;

pub(super) fn plain(text: String) -> Sentence {
    Sentence { cause: None, text, marks: Vec::new(), streams: Vec::new() }
}

/// Whether one slow peer at the end is what most of the run went to.
fn is_slow_end(run: &RunDiagnosis, main: DelayCause) -> bool {
    let half = run.totals.seconds(main) / 2.0;
    main.is_transfer() && run.slow_end.is_some_and(|end| end.seconds >= half)
}

fn main_sentence(run: &RunDiagnosis, main: DelayCause) -> Sentence {
    match run.slow_end.filter(|_| is_slow_end(run, main)) {
        Some(end) => slow_end_text(run, &end),
        None => cause_text(run, main),
    }
}

fn unremarkable(run: &RunDiagnosis) -> String {
    if run.bytes == 0 {
        let named = match run.trackers.named {
            0 => String::new(),
            named => format!("; trackers had named {}", counted(named, "peer")),
        };
        return format!("No block came: the capture has {} of the run{named}.", span(run.duration()));
    }
    let (bytes, took) = (rough_size(run.bytes), span(run.duration()));
    format!("Nothing held this run back for long: {bytes} of blocks came within {took}.")
}

/// The connections that a peer closed although blocks were requested of it, or after a rule was broken.
fn hung_up_on(run: &RunDiagnosis) -> Option<Sentence> {
    let mut closed = run.transfers().filter(|(connection, from)| is_hang_up(connection, *from));
    let (connection, from) = closed.next()?;
    let more = closed.count() as u64;
    let ending = &connection.ending;
    let mark = ending
        .offence
        .as_ref()
        .map(|offence| offence.said.mark)
        .or(ending.heard_last().map(|said| said.mark));
    Some(Sentence {
        cause: None,
        text: hang_up_text(connection, from, more),
        marks: mark.into_iter().collect(),
        streams: vec![connection.stream],
    })
}

/// Whether the sender of the blocks closed right after a message that it had reason to dislike: one that broke a rule, or a request
/// that it did not answer.
fn is_hang_up(connection: &ConnectionDiagnosis, from: Direction) -> bool {
    let ending = &connection.ending;
    if ending.by != Some(from) {
        return false;
    }
    let asked = || {
        let heard = ending.heard_last().filter(|heard| heard.message == "request");
        heard.is_some_and(|heard| ending.at.seconds_since(heard.mark.at) < JUST_AFTER)
    };
    ending.offence.is_some() || asked()
}

/// A close so soon after a request follows from it, seconds.
const JUST_AFTER: f64 = 0.1;

fn waste(run: &RunDiagnosis) -> Option<Sentence> {
    let waste = run.waste;
    if (waste.all() as f64) < run.bytes as f64 * WASTE_SHARE || waste.all() == 0 {
        return None;
    }
    let kinds = [
        (waste.wrong_hash, "in pieces whose hash was wrong"),
        (waste.duplicate, "in blocks that the downloader had already"),
        (waste.unrequested, "in blocks that were not requested, or no longer"),
    ];
    let named: Vec<_> = kinds
        .iter()
        .filter(|(bytes, _)| *bytes > 0)
        .map(|(bytes, what)| format!("{} {what}", rough_size(*bytes)))
        .collect();
    let share = counted_share(waste.all() as f64, run.bytes as f64);
    Some(plain(format!("{share} of the block bytes were wasted: {}.", named.join(", "))))
}

/// Seconds from the beginning of a run to a moment.
pub(super) fn since_start(run: &RunDiagnosis, at: Timestamp) -> f64 {
    at.seconds_since(run.start)
}
