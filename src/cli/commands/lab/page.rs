//! The summary of a run, for people and as JSON.

use std::io::Write;

use anyhow::Result;
use bittrace_lab::scenario::Role;
use bittrace_lab::{GroupSummary, HostReport, Quantiles, Run, Sample, Scenario, Summary, Verdict};
use bittrace_trace::units::{count, counted, percent, rough_size, size, span};
use serde_json::{Map, Value, json};

use crate::print::json::write_line;
use crate::print::output::Look;
use crate::print::page::Page;
use crate::print::table::Column;

/// Writes the summary as tables.
pub(super) fn write_table(
    scenario: &Scenario,
    summary: &Summary,
    run: &Run,
    look: Look,
    out: &mut dyn Write,
) -> Result<()> {
    let mut page = Page::new(look, out);
    let title = if scenario.title.is_empty() { "Simulated swarm" } else { &scenario.title };
    page.title(title)?;
    page.paragraph(
        &format!(
            "{} in pieces of {}, {}, {} of the pretend clock",
            size(scenario.torrent.size.0),
            size(scenario.torrent.piece.0),
            counted(run.hosts.len() as u64, "host"),
            span(summary.seconds)
        ),
        2,
    )?;
    page.heading("Time to the file")?;
    write_groups(summary, &mut page)?;
    write_bound(summary, &mut page)?;
    if let Some(fluid) = summary.fluid {
        page.paragraph(
            &format!(
                "By the fluid model of Qiu and Srikant {} to the file, {:.1} leechers and {:.1} seeds; \
                 in the second half of the run {}, {:.1} and {:.1}.",
                span(fluid.time),
                fluid.leechers,
                fluid.seeds,
                summary.steady.map_or("nobody was done".to_owned(), span),
                summary.leechers,
                summary.seeds,
            ),
            2,
        )?;
    }
    page.heading("Given and taken")?;
    write_shares(summary, &mut page)?;
    page.heading("Links, pieces and fairness")?;
    page.table(
        &[Column::text("number", 13), Column::numbers("value"), Column::text("meaning", 30)],
        &numbers(summary),
    )?;
    let tenths: Vec<String> =
        summary.used_by_tenth.iter().map(|share| format!("{:.0}", share * 100.0)).collect();
    if summary.used.is_some() {
        page.paragraph(&format!("Links up in use by tenth of the run, in %: {}", tenths.join(" ")), 2)?;
    }
    if scenario.peers.len() > 1 {
        page.heading("Minutes unchoked, from row to column")?;
        write_unchoked(scenario, run, &mut page)?;
    }
    page.heading("Messages between peers")?;
    let rows: Vec<_> = run
        .messages
        .kinds()
        .map(|(kind, number, bytes)| vec![kind.to_owned(), count(number), rough_size(bytes)])
        .collect();
    page.table(&[Column::text("message", 14), Column::numbers("number"), Column::numbers("bytes")], &rows)?;
    write_verdicts(&summary.verdicts(scenario), &mut page)
}

/// Writes the least time that is possible, where there is a bound.
pub(super) fn write_bound(summary: &Summary, page: &mut Page<'_>) -> Result<()> {
    let Some(bound) = summary.bound else { return Ok(()) };
    let against = match summary.last {
        Some(last) => format!("; the last host took {:.2} times as long", last / bound),
        None => String::new(),
    };
    let said = format!("At the least {} for all, by the bound of Kumar and Ross{against}.", span(bound));
    Ok(page.paragraph(&said, 2)?)
}

/// Writes which rules hold, where there are rules.
pub(super) fn write_verdicts(verdicts: &[Verdict], page: &mut Page<'_>) -> Result<()> {
    if verdicts.is_empty() {
        return Ok(());
    }
    page.heading("Expected")?;
    let columns = [
        Column::text("verdict", 7),
        Column::text("number", 14),
        Column::text("rule", 10),
        Column::numbers("limit"),
        Column::numbers("value"),
    ];
    Ok(page.table(&columns, &verdicts.iter().map(verdict_row).collect::<Vec<_>>())?)
}

fn write_groups(summary: &Summary, page: &mut Page<'_>) -> Result<()> {
    let columns = [
        Column::text("group", 8),
        Column::numbers("hosts"),
        Column::numbers("done"),
        Column::numbers("least"),
        Column::numbers("median"),
        Column::numbers("90 %"),
        Column::numbers("most"),
    ];
    let row = |group: &GroupSummary| {
        let took = |of: fn(&Quantiles) -> f64| group.took.as_ref().map_or(String::new(), |all| time(of(all)));
        vec![
            group.name.clone(),
            count(group.came as u64),
            if group.role == Role::Leecher { count(group.done as u64) } else { String::new() },
            took(|all| all.least),
            took(|all| all.median),
            took(|all| all.ninety),
            took(|all| all.most),
        ]
    };
    let rows: Vec<Vec<String>> = summary.groups.iter().map(row).collect();
    Ok(page.table(&columns, &rows)?)
}

fn write_shares(summary: &Summary, page: &mut Page<'_>) -> Result<()> {
    let columns = [
        Column::text("group", 8),
        Column::numbers("given"),
        Column::numbers("taken"),
        Column::numbers("ratio"),
        Column::numbers("link used"),
        Column::numbers("Jain"),
        Column::numbers("dials"),
        Column::numbers("bans"),
    ];
    let row = |group: &GroupSummary| {
        vec![
            group.name.clone(),
            rough_size(group.uploaded),
            rough_size(group.downloaded),
            group.ratio().map_or(String::new(), |ratio| format!("{ratio:.2}")),
            group.used.map_or(String::new(), percent),
            group.jain.map_or(String::new(), |jain| format!("{jain:.3}")),
            count(group.dials),
            count(group.bans),
        ]
    };
    let rows: Vec<Vec<String>> = summary.groups.iter().map(row).collect();
    Ok(page.table(&columns, &rows)?)
}

/// A time of a column, whose rows are compared.
pub(super) fn time(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

/// The numbers that are of the whole swarm, with their meaning.
fn numbers(summary: &Summary) -> Vec<Vec<String>> {
    let fixed = |number: f64| format!("{number:.2}");
    let rows = [
        ("used", summary.used.map(percent), "of what all links up could carry"),
        ("copies", Some(fixed(summary.copies)), "of the file, sent by the seeds"),
        ("first_copy", summary.first_copy.map(fixed), "the same until others had each piece"),
        (
            "interest",
            summary.interest.map(percent),
            "of their time together, one leecher in another (median)",
        ),
        (
            "spearman",
            summary.spearman.map(fixed),
            "link up against time: -1 where faster links are done sooner",
        ),
        ("overhead", Some(percent(summary.overhead)), "bytes of messages, for each byte of content"),
        ("wasted", Some(percent(summary.wasted)), "content that came in vain"),
        ("hash_failures", Some(count(summary.hash_failures)), "pieces that were wrong"),
        ("stalls", Some(count(summary.stalls)), "hosts got nothing for 10 s"),
    ];
    rows.into_iter()
        .filter_map(|(name, number, meaning)| Some(vec![name.to_owned(), number?, meaning.to_owned()]))
        .collect()
}

fn write_unchoked(scenario: &Scenario, run: &Run, page: &mut Page<'_>) -> Result<()> {
    let shown = scenario.peers.len().min(MOST_CLASSES);
    let columns: Vec<Column> =
        std::iter::once(Column::text("", 8)).chain((0..shown).map(|_| Column::numbers(""))).collect();
    let heading =
        std::iter::once(String::new()).chain(scenario.peers[..shown].iter().map(|plan| plan.name.clone()));
    let mut rows = vec![heading.collect::<Vec<_>>()];
    for (plan, row) in scenario.peers[..shown].iter().zip(&run.unchoked) {
        let minutes = row[..shown].iter().map(|seconds| format!("{:.0}", seconds / 60.0));
        rows.push(std::iter::once(plan.name.clone()).chain(minutes).collect());
    }
    Ok(page.table(&columns, &rows)?)
}

fn verdict_row(verdict: &Verdict) -> Vec<String> {
    let number = |number: Option<f64>| number.map_or("none".to_owned(), |number| format!("{number:.3}"));
    vec![
        if verdict.holds { "holds" } else { "fails" }.to_owned(),
        verdict.name.clone(),
        verdict.rule.clone(),
        number(verdict.limit),
        number(verdict.number),
    ]
}

/// Writes the summary as one object.
pub(super) fn write_json(
    scenario: &Scenario,
    summary: &Summary,
    run: &Run,
    out: &mut dyn Write,
) -> Result<()> {
    let groups: Vec<Value> = summary
        .groups
        .iter()
        .map(|group| {
            json!({
                "name": group.name,
                "role": group.role.name(),
                "came": group.came,
                "done": group.done,
                "took_seconds": quantiles(group.took),
                "uploaded": group.uploaded,
                "downloaded": group.downloaded,
                "ratio": group.ratio(),
                "used": group.used,
                "jain": group.jain,
                "dials": group.dials,
                "datagrams": group.datagrams,
                "bans": group.bans,
            })
        })
        .collect();
    let object = json!({
        "title": scenario.title,
        "size": scenario.torrent.size.0,
        "piece_length": scenario.torrent.piece.0,
        "seconds": summary.seconds,
        "bound_seconds": summary.bound,
        "last_seconds": summary.last,
        "groups": groups,
        "hosts": run.hosts.iter().map(|host| host_row(scenario, host)).collect::<Vec<_>>(),
        "numbers": summary.numbers(),
        "used_by_tenth": summary.used_by_tenth,
        "unchoked_seconds": run.unchoked,
        "stalls": {
            "no_peer": stall(run.stalls[0]),
            "no_interest": stall(run.stalls[1]),
            "choked": stall(run.stalls[2]),
            "waiting": stall(run.stalls[3]),
        },
        "messages": run.messages.kinds().map(|(kind, number, bytes)| {
            (kind.to_owned(), json!({ "number": number, "bytes": bytes }))
        }).collect::<Map<_, _>>(),
        "content_bytes": run.messages.content,
        "expect": summary.verdicts(scenario).iter().map(verdict_object).collect::<Vec<_>>(),
        "course": run.samples.iter().map(sample).collect::<Vec<_>>(),
        "announces": run.announces,
        "events": run.events,
        "events_by_kind": run.events_by_kind.iter().map(|&(kind, number)| {
            (kind.to_owned(), json!(number))
        }).collect::<Map<_, _>>(),
        "connections": run.connections,
        "ends": run.ends,
        "packets": run.packets,
    });
    Ok(write_line(&object, out)?)
}

/// The times of a group.
pub(super) fn quantiles(all: Option<Quantiles>) -> Option<Value> {
    all.map(|all| json!({ "least": all.least, "median": all.median, "ninety": all.ninety, "most": all.most }))
}

fn stall((number, seconds): (u64, f64)) -> Value {
    json!({ "number": number, "seconds": seconds })
}

pub(super) fn verdict_object(verdict: &Verdict) -> Value {
    json!({
        "number": verdict.name,
        "rule": verdict.rule,
        "limit": verdict.limit,
        "value": verdict.number,
        "holds": verdict.holds,
    })
}

pub(super) fn sample(sample: &Sample) -> Value {
    json!({
        "seconds": sample.at,
        "leechers": sample.leechers,
        "seeds": sample.seeds,
        "sent": sample.sent,
        "capacity": sample.capacity,
        "given_by_seeds": sample.given_by_seeds,
        "pieces_done": sample.pieces_done,
        "least_copies": sample.least_copies,
        "mean_copies": sample.mean_copies,
        "most_copies": sample.most_copies,
        "rarest_pieces": sample.rarest,
    })
}

fn host_row(scenario: &Scenario, host: &HostReport) -> Value {
    json!({
        "name": host.name,
        "group": scenario.peers[host.group].name,
        "arrived_seconds": host.arrived_at,
        "done_seconds": host.done_at,
        "left_seconds": host.left_at,
        "sent": host.sent,
        "capacity": host.capacity,
        "uploaded": host.uploaded,
        "downloaded": host.downloaded,
        "wasted": host.wasted,
        "hash_failures": host.hash_failures,
        "rtt_seconds": host.rtt,
    })
}

/// So many groups have a row of who unchoked whom; JSON has all.
const MOST_CLASSES: usize = 8;
