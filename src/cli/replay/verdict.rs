//! What a client did when its far ends disturbed it, in words for its author.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use bittrace_protocol::wire::Message;
use bittrace_protocol::{Block, PieceIndex};
use bittrace_replay::{Disturbance, End, Reference, Served};
use bittrace_trace::words::counted;
use bittrace_trace::{Body, Options, Speaker};
use serde_json::{Value, json};

use super::Play;
use super::live::Ended;
use crate::json::write_line;
use crate::output::{Output, styles};
use crate::table::{Column, printable, render};

/// What a client did in one run.
pub(super) struct Verdict {
    what: Disturbance,
    /// Whether the far end came to do it.
    happened: bool,
    /// Whether the client got everything.
    pub(super) completed: bool,
    word: &'static str,
    details: Vec<String>,
}

/// Judges a run by its recording.
pub(super) fn of(
    what: Disturbance,
    served: &Served,
    ended: &Ended,
    recording: &Path,
    play: &Play,
) -> Result<Verdict> {
    let seen = Seen::of(recording, play)?;
    let died = matches!(ended, Ended::Exited(status) if status.code().is_none());
    let failed = matches!(ended, Ended::Exited(status) if !status.success());
    let completed = !died && (served.signs.completed() || (seen.has_all && !failed));
    let happened = !what.is_single() || served.plays.iter().any(|play| play.disturbed == Some(true));
    let disturbed = served.plays.iter().find(|play| play.disturbed == Some(true));
    // One that was not understood, being encrypted as a rule, is none.
    let understood = |play: &&bittrace_replay::Play| !matches!(play.end, End::Garbled(_));
    let connections = served.plays.iter().filter(understood).count();
    let mut details = Vec::new();
    if !happened {
        details.push("the run never came to that point".to_owned());
    }
    if let Some(play) = disturbed {
        details.push(match &play.end {
            End::ByClient => "it closed that connection".to_owned(),
            End::Reset => "it reset that connection".to_owned(),
            End::ByFarEnd => "that connection ended".to_owned(),
            End::Garbled(why) => format!("it said what is no BitTorrent ({why})"),
            End::Open => "it kept that connection".to_owned(),
        });
    }
    if connections > 1 {
        details.push(format!("it made {} in all", counted(connections as u64, "connection")));
    }
    if seen.again > 0 {
        details.push(format!("it asked for {} again", counted(seen.again, "block")));
    }
    match ended {
        Ended::Exited(status) if !status.success() => details.push(format!("it ended with {status}")),
        Ended::Silent(patience) => details.push(format!("it said nothing for {} s", patience.as_secs())),
        _ => {}
    }
    let word = match (completed, died, ended) {
        (_, true, _) => "crashed",
        (true, ..) if connections > 1 || seen.again > 0 => "recovered",
        (true, ..) => "unmoved",
        (false, _, Ended::Silent(_)) => "stalled",
        (false, ..) => "gave up",
    };
    Ok(Verdict { what, happened, completed, word, details })
}

/// Shows verdicts as a table.
pub(super) fn write(verdicts: &[Verdict], client: &[String], output: &mut Output) -> Result<()> {
    let name = client.first().map_or("the client", String::as_str);
    let heading = format!("What {} does when a far end", printable(name));
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
        Column::text("...", 20),
        Column::text("verdict", 9),
        Column::text("complete", 8),
        Column::text("in detail", 16),
    ];
    let table = render(&columns, &rows, output.look);
    output.write_all(table.as_bytes())?;
    Ok(())
}

/// Writes verdicts as objects, one a line.
pub(super) fn write_json(verdicts: &[Verdict], output: &mut Output) -> Result<()> {
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

/// What a recording shows of a client.
struct Seen {
    /// Whether every piece was sent to it whole, and rightly.
    has_all: bool,
    /// How many blocks it asked for more than once.
    again: u64,
}

impl Seen {
    fn of(recording: &Path, play: &Play) -> Result<Self> {
        let nothing = Self { has_all: false, again: 0 };
        let Ok(reference) = Reference::open(recording, Options::default()) else { return Ok(nothing) };
        let mut asked: BTreeMap<Block, u64> = BTreeMap::new();
        for record in &reference.records {
            if let (Speaker::Local, Body::Message(Message::Request(block))) = (record.speaker, &record.body) {
                *asked.entry(*block).or_default() += 1;
            }
        }
        let contents = bittrace_replay::Contents::of(&reference, &play.torrent);
        let pieces = play.torrent.geometry.as_ref().map_or(0, |geometry| geometry.piece_count());
        let has_all = (0..pieces).all(|piece| contents.piece(PieceIndex(piece)).is_some());
        Ok(Self { has_all, again: asked.values().map(|count| count - 1).sum() })
    }
}
