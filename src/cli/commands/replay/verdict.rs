//! What a client did when the replayed peers disturbed it, in words for its author, beside what the reference's client did.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use bittrace_protocol::Block;
use bittrace_protocol::wire::Message;
use bittrace_replay::{
    Conversation, ConversationRole, InjectedFault, PeerRunEnd, Served, Transcript, reference_conduct,
};
use bittrace_report::{DisturbancePage, DisturbedRun, LAST_MESSAGES, LastMessage};
use bittrace_trace::units::{count, counted};
use bittrace_trace::{Side, StreamId, TraceOptions};
use serde_json::{Value, json};

use super::ended::RunEnd;
use crate::commands::diff::ComparisonPage;
use crate::page_file::name_of;
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
    /// The end of the connection that was disturbed.
    last: Option<LastMessages>,
    /// How that connection ended.
    end: Option<String>,
}

/// The last messages of a connection.
struct LastMessages {
    connection: String,
    before: u64,
    messages: Vec<LastMessage>,
}

impl LastMessages {
    /// Those of a stream of a recording, or of its last connection with a peer.
    fn of(recording: &Transcript, stream: Option<StreamId>) -> Option<Self> {
        let named = stream.and_then(|stream| recording.conversation(stream));
        let is_peer = |conversation: &&Conversation| conversation.role == ConversationRole::Peer;
        let conversation = named.or_else(|| recording.conversations.iter().rfind(is_peer))?;
        let (start, _) = recording.span()?;
        let before = conversation.length().saturating_sub(LAST_MESSAGES);
        let messages = conversation.messages().skip(before).map(|(side, stored)| LastMessage {
            number: stored.number,
            elapsed: stored.at.seconds_since(start),
            sent: side == Side::Local,
            summary: conversation.describe(side, stored),
        });
        Some(Self {
            connection: format!("the connection with {}", conversation.far()),
            before: before as u64,
            messages: messages.collect(),
        })
    }
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
    let transcript = Transcript::open(recording, TraceOptions::default()).ok();
    let again = transcript.as_ref().map_or(0, asked_again);
    let died = matches!(ended, RunEnd::Exited(status) if status.code().is_none());
    let completed = !died && (whole || served.signs.completed());
    let disturbed = served.plays.iter().find(|play| play.disturbed == Some(true));
    // A connection whose bytes are not BitTorrent is mostly an encrypted attempt, and is not counted.
    let understood = |play: &&bittrace_replay::PeerRun| !matches!(play.end, PeerRunEnd::Garbled(_));
    let connections = served.plays.iter().filter(understood).count();
    let happened = match what {
        Some(what) if what.is_of_tracker() => served.lost,
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
    let end = disturbed.map(|play| end_in_words(&play.end));
    details.extend(end.clone().filter(|_| !went_on));
    if connections > 1 {
        details.push(format!("it had {} in all", counted(connections as u64, "connection")));
    }
    if again > 0 {
        details.push(format!("it requested {} again", counted(again, "block")));
    }
    match ended {
        RunEnd::Exited(status) if !status.success() => details.push(format!("it ended with {status}")),
        RunEnd::Silent(patience) => details.push(format!("it sent nothing for {} s", patience.as_secs())),
        RunEnd::Exhausted => {
            details.push("it took more than any client needs, so the run was ended".to_owned())
        }
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
    let last = transcript.as_ref().and_then(|transcript| {
        let stream = disturbed.and_then(|play| play.connection.stream_in(transcript));
        LastMessages::of(transcript, stream)
    });
    FaultVerdict { what, happened, completed, word, details, reference, last, end }
}

/// How a connection that was disturbed ended; "it" is the client.
fn end_in_words(end: &PeerRunEnd) -> String {
    match end {
        PeerRunEnd::ByClient => "it closed that connection".to_owned(),
        PeerRunEnd::Reset => "it reset that connection".to_owned(),
        PeerRunEnd::ByFarEnd => "that connection ended".to_owned(),
        PeerRunEnd::Garbled(why) => format!("it sent bytes that are not BitTorrent ({why})"),
        PeerRunEnd::Open => "it kept that connection".to_owned(),
    }
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

/// The answer in one line.
pub(super) fn conclusion(verdicts: &[FaultVerdict]) -> String {
    if verdicts.is_empty() {
        return "No run was judged.".to_owned();
    }
    let runs = counted(verdicts.len() as u64, "run");
    match verdicts.iter().filter(|verdict| !verdict.is_good()).count() as u64 {
        0 => format!("The client downloaded everything in each of {runs}."),
        bad => format!("Of {runs}, {} did not end well.", count(bad)),
    }
}

/// Writes verdicts as a page.
pub(super) fn write_page(
    verdicts: &[FaultVerdict],
    client: &[String],
    reference: &Transcript,
    to: ComparisonPage,
) -> Result<()> {
    let run = |verdict: &FaultVerdict| {
        let last = verdict.last.as_ref();
        DisturbedRun {
            what: verdict.what.map_or("(undisturbed)".to_owned(), InjectedFault::describe),
            verdict: verdict.word,
            good: verdict.is_good(),
            complete: verdict.completed,
            details: verdict.details.clone(),
            reference: verdict.reference.clone(),
            connection: last.map_or(String::new(), |last| last.connection.clone()),
            before: last.map_or(0, |last| last.before),
            messages: last.map_or_else(Vec::new, |last| last.messages.clone()),
            end: verdict.end.clone(),
        }
    };
    let command = to.command.clone();
    let page = DisturbancePage {
        version: env!("CARGO_PKG_VERSION"),
        command: &command,
        client: &client.first().map_or("the client".to_owned(), |client| name_of(Path::new(client))),
        reference: &name_of(Path::new(&reference.name)),
        reference_client: reference.client().unwrap_or("unknown client"),
        verdict: conclusion(verdicts),
        runs: verdicts.iter().map(run).collect(),
    };
    to.write(|out| page.write(out))
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
fn asked_again(transcript: &Transcript) -> u64 {
    let mut asked: BTreeMap<Block, u64> = BTreeMap::new();
    let said = transcript.conversations.iter().flat_map(|one| &one.direction(Side::Local).messages);
    for message in said {
        if let Some(Message::Request(block)) = message.peer_message() {
            *asked.entry(block).or_default() += 1;
        }
    }
    asked.values().map(|count| count - 1).sum()
}
