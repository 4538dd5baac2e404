//! A diagnosis for programs: an object for the run, and a row for each direction of each connection.

use std::io::{self, Write};

use bittrace_trace::Direction;
use bittrace_trace::diagnosis::{
    CauseTotals, ConnectionDiagnosis, DelayCause, FirstByte, Mark, Pace, RunDiagnosis, end_text,
    evidence_text, first_sentences,
};
use serde_json::{Map, Value, json};

use super::DiagnosisPage;
use crate::print::json::object;
use crate::print::json::write_line;
use crate::print::units::rfc3339;
use crate::print::views::Rows;

const COLUMNS: &[&str] = &[
    "capture",
    "stream",
    "wireshark_stream",
    "transport",
    "sender",
    "sender_client",
    "receiver",
    "receiver_client",
    "torrent",
    "opened",
    "elapsed",
    "duration",
    "bytes",
    "blocks",
    "requests",
    "rate",
    "depth_median",
    "depth_max",
    "depth_needed",
    "round_trip",
    "round_trip_measured",
    "pace",
    "steady_rate",
    "seconds",
    "bytes_by_cause",
    "ended",
    "ended_by",
    "ended_text",
    "broken_rule",
    "evidence",
];

/// Writes the object of the run.
pub(super) fn write_run(page: &DiagnosisPage<'_>, out: &mut dyn Write) -> io::Result<()> {
    let run = page.run;
    let elapsed = |at: bittrace_protocol::Timestamp| at.seconds_since(run.start);
    let sentences: Vec<_> = first_sentences(run)
        .into_iter()
        .map(|sentence| {
            json!({
                "cause": sentence.cause.map(DelayCause::name),
                "text": sentence.text,
                "messages": sentence.marks.iter().map(|mark| mark.number).collect::<Vec<_>>(),
                "frames": sentence.marks.iter().filter_map(|mark| mark.frame).collect::<Vec<_>>(),
                "streams": sentence.streams.iter().map(|stream| stream.0).collect::<Vec<_>>(),
            })
        })
        .collect();
    let rates: Vec<_> = run
        .rates
        .iter()
        .map(|part| {
            json!({
                "from": elapsed(part.from), "to": elapsed(part.to), "bytes": part.bytes, "cause": part.cause.name(),
            })
        })
        .collect();
    let stalls: Vec<_> = run
        .stalls
        .iter()
        .map(|stall| {
            json!({
                "from": elapsed(stall.from), "to": elapsed(stall.to), "cause": stall.cause.name(),
                "streams": stall.streams.iter().map(|stream| stream.0).collect::<Vec<_>>(),
                "after": stall.after.map(|mark| mark.number), "before": stall.before.map(|mark| mark.number),
            })
        })
        .collect();
    let run_object = object([
        ("capture", json!(page.name)),
        ("local", json!(run.local.map(|local| local.to_string()))),
        ("direction", json!(if run.is_upload { "upload" } else { "download" })),
        ("start", json!(rfc3339(run.start))),
        ("duration", json!(run.duration())),
        ("complete", json!(run.is_complete)),
        ("bytes", json!(run.bytes)),
        ("new_bytes", json!(run.new_bytes)),
        ("web_seed_bytes", json!(run.web_seed_bytes)),
        ("rate", json!(run.rate())),
        ("sentences", json!(sentences)),
        ("seconds", seconds(&run.totals)),
        ("bytes_by_cause", bytes(&run.totals)),
        ("first_byte", json!(run.first_byte.map(first_byte))),
        ("rates", json!(rates)),
        ("stalls", json!(stalls)),
        ("slow_end", slow_end(run)),
        (
            "waste",
            json!({
                "duplicate": run.waste.duplicate, "unrequested": run.waste.unrequested,
                "wrong_hash": run.waste.wrong_hash,
            }),
        ),
        ("trackers", trackers(run)),
        (
            "dials",
            json!({
                "connected": run.dials.connected, "refused": run.dials.refused, "unanswered": run.dials.unanswered,
                "silent": run.dials.silent, "failed_of_tracker": run.dials.named,
            }),
        ),
    ]);
    write_line(&Map::from_iter([("diagnosis".to_owned(), Value::Object(run_object))]), out)
}

fn slow_end(run: &RunDiagnosis) -> Value {
    json!(run.slow_end.map(|end| {
        json!({
            "stream": end.stream.0, "from": end.from.seconds_since(run.start), "seconds": end.seconds,
            "rate": end.rate, "rate_before": end.rate_before,
        })
    }))
}

fn trackers(run: &RunDiagnosis) -> Value {
    let trackers = &run.trackers;
    let moment = |mark: Option<Mark>| mark.map(|mark| mark.at.seconds_since(run.start));
    json!({
        "announces": trackers.announces, "unanswered": trackers.unanswered, "refused": trackers.refused,
        "first": moment(trackers.first.map(|(mark, _)| mark)), "first_answer": moment(trackers.first_answer),
        "slowest": trackers.slowest, "peers": trackers.named,
    })
}

fn first_byte(first: FirstByte) -> Value {
    json!({
        "message": first.block.number, "stream": first.stream.0, "total": first.total, "tracker": first.tracker,
        "dialling": first.dialling, "connecting": first.connecting, "handshake": first.handshake,
        "unchoke": first.unchoke, "request": first.request, "transfer": first.transfer,
    })
}

fn seconds(totals: &CauseTotals) -> Value {
    let seconds = |cause: DelayCause| (cause.name().to_owned(), json!(totals.seconds(cause)));
    Value::Object(DelayCause::ALL.into_iter().map(seconds).collect())
}

fn bytes(totals: &CauseTotals) -> Value {
    let bytes = |cause: DelayCause| (cause.name().to_owned(), json!(totals.bytes(cause)));
    Value::Object(DelayCause::ALL.into_iter().map(bytes).collect())
}

/// A row for each direction of each connection, that of the run first.
pub(super) fn budgets(page: &DiagnosisPage<'_>) -> Rows {
    let run = page.run;
    let own = |connection: &ConnectionDiagnosis| {
        let local = connection.local.unwrap_or(Direction::FromInitiator);
        if run.is_upload { local } else { local.reverse() }
    };
    let mut rows = Vec::new();
    for connection in &run.connections {
        let first = own(connection);
        for from in [first, first.reverse()] {
            rows.push(budget(page, connection, from));
        }
    }
    Rows::new("budget", COLUMNS, rows)
}

fn budget(page: &DiagnosisPage<'_>, connection: &ConnectionDiagnosis, from: Direction) -> Map<String, Value> {
    let budget = connection.from(from);
    let facts = &budget.facts;
    let to = from.reverse();
    let ending = &connection.ending;
    object([
        ("capture", json!(page.name)),
        ("stream", json!(connection.stream.0)),
        ("wireshark_stream", json!(connection.wireshark_stream)),
        ("transport", json!(connection.transport.name())),
        ("sender", json!(connection.address(from).to_string())),
        ("sender_client", json!(connection.client(from))),
        ("receiver", json!(connection.address(to).to_string())),
        ("receiver_client", json!(connection.client(to))),
        ("torrent", json!(connection.torrent.map(|hash| hash.to_string()))),
        ("opened", json!(rfc3339(connection.opened))),
        ("elapsed", json!(connection.opened.seconds_since(page.run.start))),
        ("duration", json!(connection.duration())),
        ("bytes", json!(facts.bytes)),
        ("blocks", json!(facts.blocks)),
        ("requests", json!(facts.requests)),
        ("rate", json!(budget.transfer_rate())),
        ("depth_median", json!(facts.median_depth())),
        ("depth_max", json!(facts.deepest)),
        ("depth_needed", json!(budget.depth_needed())),
        ("round_trip", json!(budget.round_trip.map(|trip| trip.seconds))),
        ("round_trip_measured", json!(budget.round_trip.map(|trip| trip.is_measured))),
        ("pace", json!(pace(budget.pace))),
        ("steady_rate", json!(budget.steady.map(|steady| steady.rate))),
        ("seconds", seconds(&budget.totals)),
        ("bytes_by_cause", bytes(&budget.totals)),
        ("ended", json!(ending.how.name())),
        ("ended_by", json!(ending.by.map(|by| connection.address(by).to_string()))),
        ("ended_text", json!(end_text(connection))),
        ("broken_rule", json!(ending.offence.as_ref().map(|offence| offence.rule))),
        ("evidence", json!(evidence_text(connection))),
    ])
}

const fn pace(pace: Pace) -> &'static str {
    match pace {
        Pace::NotMeasured => "not-measured",
        Pace::Sender => "sender",
        Pace::Queue { .. } => "queue",
        Pace::Losses { .. } => "losses",
        Pace::AlwaysSending => "always-sending",
    }
}
