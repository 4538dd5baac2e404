//! What a client did when the replayed peers disturbed it, in words for its author, beside what the reference's client did.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use bittrace_protocol::Block;
use bittrace_protocol::wire::Message;
use bittrace_replay::{InjectedFault, PeerRunEnd, Served, Transcript, reference_conduct};
use bittrace_trace::units::counted;
use bittrace_trace::{Side, TraceOptions};
use serde_json::{Value, json};

use super::ended::RunEnd;
use crate::print::json::write_line;
use crate::print::output::Output;
use crate::print::page::Page;
use crate::print::table::Column;

/// What a client did in one run.
pub(super) struct FaultVerdict {
    /// The disturbance; `None` in the run without one.
    what: Option<InjectedFault>,
    /// Whether the peer came to do it.
    happened: bool,
    /// Whether the client got everything.
    pub(super) completed: bool,
    word: &'static str,
    details: Vec<String>,
    /// What the reference's client did in the like case, where the reference shows one.
    reference: Option<String>,
}

/// Judges a run by its recording.
pub(super) fn of(
    what: Option<InjectedFault>,
    reference: &Transcript,
    served: &Served,
    ended: &RunEnd,
    recording: &Path,
    whole: bool,
) -> FaultVerdict {
    let again = asked_again(recording);
    let died = matches!(ended, RunEnd::Exited(status) if status.code().is_none());
    let completed = !died && (whole || served.signs.completed());
    let disturbed = served.plays.iter().find(|play| play.disturbed == Some(true));
    // A connection whose bytes are not BitTorrent is mostly an encrypted attempt, and is not counted.
    let understood = |play: &&bittrace_replay::PeerRun| !matches!(play.end, PeerRunEnd::Garbled(_));
    let connections = served.plays.iter().filter(understood).count();
    let happened = match what {
        Some(what) if what.is_single() => disturbed.is_some(),
        _ => connections > 0,
    };
    let mut details = Vec::new();
    if !happened {
        details.push(match what {
            Some(_) => "the run never came to that point".to_owned(),
            None => "the client had no connection with a peer".to_owned(),
        });
    }
    let went_on = completed && connections == 1 && again == 0;
    if let Some(play) = disturbed.filter(|_| !went_on) {
        details.push(match &play.end {
            PeerRunEnd::ByClient => "it closed that connection".to_owned(),
            PeerRunEnd::Reset => "it reset that connection".to_owned(),
            PeerRunEnd::ByFarEnd => "that connection ended".to_owned(),
            PeerRunEnd::Garbled(why) => format!("it sent bytes that are not BitTorrent ({why})"),
            PeerRunEnd::Open => "it kept that connection".to_owned(),
        });
    }
    if connections > 1 {
        details.push(format!("it had {} in all", counted(connections as u64, "connection")));
    }
    if again > 0 {
        details.push(format!("it requested {} again", counted(again, "block")));
    }
    match ended {
        RunEnd::Exited(status) if !status.success() => details.push(format!("it ended with {status}")),
        RunEnd::Silent(patience) => details.push(format!("it sent nothing for {} s", patience.as_secs())),
        _ => {}
    }
    let word = match (completed, died, ended) {
        (_, true, _) => "crashed",
        _ if !happened => "not reached",
        (true, ..) if what.is_none() => "completed",
        (true, ..) if !went_on => "recovered",
        (true, ..) => "unaffected",
        (false, _, RunEnd::Silent(_)) => "stalled",
        (false, ..) => "gave up",
    };
    let reference = what.and_then(|what| reference_conduct(reference, what));
    FaultVerdict { what, happened, completed, word, details, reference }
}

impl FaultVerdict {
    /// Whether the client got everything in spite of the disturbance.
    pub(super) const fn is_good(&self) -> bool {
        self.completed && self.happened
    }
}

/// Shows verdicts as a table. `reference` is the capture that was played.
pub(super) fn write(
    verdicts: &[FaultVerdict],
    client: &[String],
    reference: &Transcript,
    output: &mut Output,
) -> Result<()> {
    let name = client.first().map_or("the client", String::as_str);
    let look = output.look;
    let mut page = Page::new(look, output);
    page.title(&format!("What {name} does when a replayed peer misbehaves"))?;
    let row = |verdict: &FaultVerdict| {
        let complete = if verdict.completed { "yes" } else { "no" };
        vec![
            verdict.what.map_or("(undisturbed)".to_owned(), InjectedFault::describe),
            verdict.word.to_owned(),
            complete.to_owned(),
            verdict.details.join("; "),
        ]
    };
    let rows: Vec<Vec<String>> = verdicts.iter().map(row).collect();
    let columns = [
        Column::text("the peer", 20),
        Column::text("verdict", 9),
        Column::text("complete", 8),
        Column::text("in detail", 16),
    ];
    page.table(&columns, &rows)?;
    let client = reference.client().unwrap_or("unknown client");
    page.heading(&format!("What {client} did in {}", reference.name))?;
    let mut is_empty = true;
    for verdict in verdicts {
        if let (Some(what), Some(text)) = (verdict.what, &verdict.reference) {
            is_empty = false;
            page.paragraph(&format!("{}: {text}", what.name()), 2)?;
        }
    }
    if is_empty {
        page.paragraph("The reference shows none of these cases.", 2)?;
    }
    Ok(())
}

/// Writes verdicts as objects, one a line.
pub(super) fn write_json(verdicts: &[FaultVerdict], output: &mut Output) -> Result<()> {
    for verdict in verdicts {
        let object = json!({
            "disturbance": verdict.what.map(InjectedFault::describe),
            "name": verdict.what.map_or("undisturbed".to_owned(), InjectedFault::name),
            "happened": verdict.happened,
            "verdict": verdict.word,
            "completed": verdict.completed,
            "details": verdict.details,
            "reference": verdict.reference,
        });
        if let Value::Object(object) = object {
            write_line(&object, output)?;
        }
    }
    Ok(())
}

/// How many requests a client sent for blocks that it had requested before.
fn asked_again(recording: &Path) -> u64 {
    let Ok(transcript) = Transcript::open(recording, TraceOptions::default()) else { return 0 };
    let mut asked: BTreeMap<Block, u64> = BTreeMap::new();
    let said = transcript.conversations.iter().flat_map(|one| &one.direction(Side::Local).messages);
    for message in said {
        if let Some(Message::Request(block)) = message.peer_message() {
            *asked.entry(block).or_default() += 1;
        }
    }
    asked.values().map(|count| count - 1).sum()
}
