//! The summary of a run, for people and as JSON.

use std::io::Write;

use anyhow::Result;
use bittrace_lab::scenario::Role;
use bittrace_lab::{HostReport, Quantiles, Run, Scenario, Summary};
use bittrace_trace::units::{count, counted, rough_size, size, span};
use serde_json::{Value, json};

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
    let columns = [
        Column::text("group", 8),
        Column::numbers("hosts"),
        Column::numbers("done"),
        Column::numbers("least"),
        Column::numbers("median"),
        Column::numbers("90 %"),
        Column::numbers("most"),
        Column::numbers("given"),
        Column::numbers("taken"),
    ];
    let rows: Vec<Vec<String>> = summary
        .groups
        .iter()
        .map(|group| {
            let took =
                |of: fn(&Quantiles) -> f64| group.took.as_ref().map_or(String::new(), |all| span(of(all)));
            vec![
                group.name.clone(),
                count(group.came as u64),
                if group.role == Role::Leecher { count(group.done as u64) } else { String::new() },
                took(|all| all.least),
                took(|all| all.median),
                took(|all| all.ninety),
                took(|all| all.most),
                rough_size(group.uploaded),
                rough_size(group.downloaded),
            ]
        })
        .collect();
    page.table(&columns, &rows)?;
    if let Some(bound) = summary.bound {
        let against = match summary.last {
            Some(last) => format!("; the last host took {:.2} times as long", last / bound),
            None => String::new(),
        };
        page.paragraph(
            &format!("At the least {} for all, by the bound of Kumar and Ross{against}.", span(bound)),
            2,
        )?;
    }
    Ok(())
}

/// Writes the summary as one object.
pub(super) fn write_json(
    scenario: &Scenario,
    summary: &Summary,
    run: &Run,
    out: &mut dyn Write,
) -> Result<()> {
    let quantiles = |all: &Option<Quantiles>| {
        all.map(
            |all| json!({ "least": all.least, "median": all.median, "ninety": all.ninety, "most": all.most }),
        )
    };
    let groups: Vec<Value> = summary
        .groups
        .iter()
        .map(|group| {
            json!({
                "name": group.name,
                "role": group.role.name(),
                "came": group.came,
                "done": group.done,
                "took_seconds": quantiles(&group.took),
                "uploaded": group.uploaded,
                "downloaded": group.downloaded,
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
        "announces": run.announces,
        "events": run.events,
        "packets": run.packets,
    });
    Ok(write_line(&object, out)?)
}

fn host_row(scenario: &Scenario, host: &HostReport) -> Value {
    json!({
        "name": host.name,
        "group": scenario.peers[host.group].name,
        "arrived_seconds": host.arrived_at,
        "done_seconds": host.done_at,
        "left_seconds": host.left_at,
        "sent": host.sent,
        "uploaded": host.uploaded,
        "downloaded": host.downloaded,
        "wasted": host.wasted,
        "hash_failures": host.hash_failures,
        "rtt_seconds": host.rtt,
    })
}
