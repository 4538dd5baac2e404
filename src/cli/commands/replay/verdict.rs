//! What a client did when its far ends disturbed it, in words for its author.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use bittrace_protocol::Block;
use bittrace_protocol::wire::Message;
use bittrace_replay::{InjectedFault, PeerRunEnd, Served, Transcript};
use bittrace_trace::units::counted;
use bittrace_trace::{Side, TraceOptions};
use serde_json::{Value, json};

use super::ended::RunEnd;
use crate::print::json::write_line;
use crate::print::output::{Output, styles};
use crate::print::page::Page;
use crate::print::table::Column;

/// What a client did in one run.
pub(super) struct FaultVerdict {
    what: InjectedFault,
    /// Whether the far end came to do it.
    happened: bool,
    /// Whether the client got everything.
    pub(super) completed: bool,
    word: &'static str,
    details: Vec<String>,
}

/// Judges a run by its recording.
pub(super) fn of(
    what: InjectedFault,
    served: &Served,
    ended: &RunEnd,
    recording: &Path,
    whole: bool,
) -> FaultVerdict {
    let again = asked_again(recording);
    let died = matches!(ended, RunEnd::Exited(status) if status.code().is_none());
    let completed = !died && (whole || served.signs.completed());
    let disturbed = served.plays.iter().find(|play| play.disturbed == Some(true));
    // One that was not understood, being encrypted as a rule, is none.
    let understood = |play: &&bittrace_replay::PeerRun| !matches!(play.end, PeerRunEnd::Garbled(_));
    let connections = served.plays.iter().filter(understood).count();
    let happened = if what.is_single() { disturbed.is_some() } else { connections > 0 };
    let mut details = Vec::new();
    if !happened {
        details.push("the run never came to that point".to_owned());
    }
    let went_on = completed && connections == 1 && again == 0;
    if let Some(play) = disturbed.filter(|_| !went_on) {
        details.push(match &play.end {
            PeerRunEnd::ByClient => "it closed that connection".to_owned(),
            PeerRunEnd::Reset => "it reset that connection".to_owned(),
            PeerRunEnd::ByFarEnd => "that connection ended".to_owned(),
            PeerRunEnd::Garbled(why) => format!("it said what is no BitTorrent ({why})"),
            PeerRunEnd::Open => "it kept that connection".to_owned(),
        });
    }
    if connections > 1 {
        details.push(format!("it made {} in all", counted(connections as u64, "connection")));
    }
    if again > 0 {
        details.push(format!("it asked for {} again", counted(again, "block")));
    }
    match ended {
        RunEnd::Exited(status) if !status.success() => details.push(format!("it ended with {status}")),
        RunEnd::Silent(patience) => details.push(format!("it said nothing for {} s", patience.as_secs())),
        _ => {}
    }
    let word = match (completed, died, ended) {
        (_, true, _) => "crashed",
        _ if !happened => "not reached",
        (true, ..) if !went_on => "recovered",
        (true, ..) => "unmoved",
        (false, _, RunEnd::Silent(_)) => "stalled",
        (false, ..) => "gave up",
    };
    FaultVerdict { what, happened, completed, word, details }
}

impl FaultVerdict {
    /// Whether the client got over it.
    pub(super) const fn is_good(&self) -> bool {
        self.completed && self.happened
    }
}

/// Shows verdicts as a table.
pub(super) fn write(verdicts: &[FaultVerdict], client: &[String], output: &mut Output) -> Result<()> {
    let name = client.first().map_or("the client", String::as_str);
    let heading = format!("What {} does when a far end misbehaves", name);
    writeln!(output, "{}", output.look.paint(styles::HEADING, &heading))?;
    let rows: Vec<Vec<String>> = verdicts
        .iter()
        .map(|verdict| {
            let complete = if verdict.completed { "yes" } else { "no" };
            vec![
                verdict.what.describe(),
                verdict.word.to_owned(),
                complete.to_owned(),
                verdict.details.join("; "),
            ]
        })
        .collect();
    let columns = [
        Column::text("what it does", 20),
        Column::text("verdict", 9),
        Column::text("complete", 8),
        Column::text("in detail", 16),
    ];
    Page::new(output.look, output).table(&columns, &rows)?;
    Ok(())
}

/// Writes verdicts as objects, one a line.
pub(super) fn write_json(verdicts: &[FaultVerdict], output: &mut Output) -> Result<()> {
    for verdict in verdicts {
        let object = json!({
            "disturbance": verdict.what.describe(),
            "happened": verdict.happened,
            "verdict": verdict.word,
            "completed": verdict.completed,
            "details": verdict.details,
        });
        if let Value::Object(object) = object {
            write_line(&object, output)?;
        }
    }
    Ok(())
}

/// How many blocks a client asked for more than once.
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
