//! How each cause is said: what is so, by what evidence, and what can be done about it.

mod connection_causes;
mod ends;
mod run_causes;

use super::ConnectionDiagnosis;
use super::budget::DirectionBudget;
use super::cause::DelayCause;
use super::observed::Mark;
use super::run::RunDiagnosis;
use super::sentences::{Sentence, plain, since_start};
use crate::Direction;
use crate::record::units::{rough_size, span};
use connection_causes::{
    asked_late, asked_too_little_text, choked_text, far_pace_text, network_text, not_asked_text,
    nothing_wanted_text, receiver_text, unknown_text,
};
use run_causes::{dials_text, no_peer_text, tracker_text};

pub(super) use ends::hang_up_text;
pub use ends::{end_text, evidence_text};
pub(super) use run_causes::{faster_text, slow_end_text, trackers_text};

/// How many characters of what a client calls itself are repeated.
const CLIENT: usize = 40;

/// An end of a connection: its address, and its client where it is known.
pub(super) fn name(connection: &ConnectionDiagnosis, end: Direction) -> String {
    let address = connection.address(end);
    match connection.client(end) {
        Some(client) => format!("{address} ({})", client.chars().take(CLIENT).collect::<String>()),
        None => address.to_string(),
    }
}

/// `13.58 s of 26.09 s (52 %, from 0.0 s to 13.6 s)`.
fn part_of_run(run: &RunDiagnosis, cause: DelayCause) -> String {
    let seconds = run.totals.seconds(cause);
    let share = counted_share(seconds, run.duration());
    format!("{} of {} ({share}{})", span(seconds), span(run.duration()), when(run, cause))
}

/// When a cause had its time, where that is not all over the run.
fn when(run: &RunDiagnosis, cause: DelayCause) -> String {
    let Some(place) = run.place(cause) else { return String::new() };
    let seconds = place.to.seconds_since(place.from);
    if seconds > run.duration() * ALL_OVER {
        return String::new();
    }
    let (from, to) = (since_start(run, place.from), since_start(run, place.to));
    let all = run.totals.seconds(cause);
    let is_one = (all - seconds).abs() <= all * 0.01;
    let how = if is_one { "from" } else { "most of it from" };
    format!(", {how} {from:.1} s to {to:.1} s")
}

/// What has nine tenths of its time in a larger part of the run than this is all over the run.
const ALL_OVER: f64 = 0.8;

/// A share in percent, `52 %`.
pub(super) fn counted_share(part: f64, all: f64) -> String {
    let percent = if all > 0.0 { part / all * 100.0 } else { 0.0 };
    if percent >= 1.0 || percent == 0.0 { format!("{percent:.0} %") } else { format!("{percent:.1} %") }
}

/// Bytes a second, `195 KiB/s`.
fn rate(bytes_a_second: f64) -> String {
    format!("{}/s", rough_size(bytes_a_second.max(0.0) as u64))
}

/// Bits a second as links are sold, `3.9 Mbit/s`.
fn link_rate(bytes_a_second: f64) -> String {
    let bits = bytes_a_second * 8.0;
    if bits >= 1e6 { format!("{:.1} Mbit/s", bits / 1e6) } else { format!("{:.0} kbit/s", bits / 1e3) }
}

/// The sentences about one cause of a run.
pub(super) fn cause_text(run: &RunDiagnosis, cause: DelayCause) -> Sentence {
    let seconds = run.totals.seconds(cause);
    let part = part_of_run(run, cause);
    // Dials in vain are no connections.
    let most = run.most_of(cause).filter(|(connection, from)| {
        cause != DelayCause::Connecting || connection.from(*from).totals.seconds(cause) >= seconds / 2.0
    });
    let Some((connection, from)) = most else {
        let text = match cause {
            DelayCause::Tracker => tracker_text(run, &part),
            DelayCause::NoPeer => no_peer_text(run, &part),
            DelayCause::Connecting => dials_text(run, &part),
            cause => format!("For {part} {}.", cause.meaning()),
        };
        return Sentence { cause: Some(cause), marks: run_marks(run, cause), ..plain(text) };
    };
    let budget = connection.from(from);
    let sender = name(connection, from);
    let text = match cause {
        DelayCause::Choked => choked_text(connection, from, &part),
        DelayCause::NothingWanted => nothing_wanted_text(&sender, budget, &part),
        DelayCause::NotAsked => not_asked_text(run, connection, from, &part),
        DelayCause::AskedTooLittle => asked_too_little_text(&sender, budget, &part),
        DelayCause::FarPace => far_pace_text(run, &sender, budget, &part),
        DelayCause::Network => network_text(connection, from, &sender, &part),
        DelayCause::Receiver => receiver_text(connection, from, &part),
        DelayCause::Handshake => format!(
            "For {part} handshakes were exchanged with {sender}, or it had not told of its pieces yet. Its client or a \
             proxy answers late; other peers may be quicker."
        ),
        DelayCause::Metadata => format!(
            "For {part} the metadata of the torrent was still to be fetched from peers (BEP 9): a .torrent file has \
             it from the start."
        ),
        DelayCause::Connecting => format!("For {part} the connection to {sender} was being opened."),
        DelayCause::Unknown => unknown_text(connection, from, &part),
        DelayCause::Tracker | DelayCause::NoPeer | DelayCause::Complete => {
            format!("For {part} {}.", cause.meaning())
        }
    };
    let streams = run
        .transfers()
        .filter(|(connection, from)| {
            let totals = &connection.from(*from).totals;
            totals.seconds(cause) >= seconds / 10.0 && totals.seconds(cause) > 0.0
        })
        .map(|(connection, _)| connection.stream)
        .take(4);
    Sentence { cause: Some(cause), text, marks: cause_marks(run, budget, cause), streams: streams.collect() }
}

/// The messages between which a cause is to be seen.
fn cause_marks(run: &RunDiagnosis, budget: &DirectionBudget, cause: DelayCause) -> Vec<Mark> {
    let facts = &budget.facts;
    let ends = match cause {
        DelayCause::Choked => [facts.interested, facts.unchoked],
        DelayCause::NothingWanted => [facts.told_pieces, facts.interested],
        DelayCause::NotAsked if asked_late(run, facts) => {
            [facts.unchoked.or(facts.told_pieces), facts.requested]
        }
        _ => [facts.requested, facts.last_block],
    };
    let mut marks: Vec<Mark> = ends.into_iter().flatten().collect();
    marks.sort_by_key(|mark| mark.number);
    marks
}

fn run_marks(run: &RunDiagnosis, cause: DelayCause) -> Vec<Mark> {
    match cause {
        DelayCause::Tracker => {
            let first = run.trackers.first.map(|(mark, _)| mark);
            [first, run.trackers.first_answer].into_iter().flatten().collect()
        }
        _ => Vec::new(),
    }
}
