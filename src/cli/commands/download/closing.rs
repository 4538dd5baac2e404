//! The tables at the end of a run: its peers, the ways to them, and the summary.

use std::path::Path;

use anyhow::Result;
use bittrace_client::{DownloadReport, Outcome};
use bittrace_protocol::session::MetadataStatus;
use bittrace_trace::units::{count as thousands, counted, rough_size, span};

use crate::print::output::{Look, styles};
use crate::print::page::Page;
use crate::print::table::Column;

use super::record_target::RecordTarget;
use super::ways::WaysTried;

/// Writes the tables.
pub(super) fn closing_table(
    report: &DownloadReport,
    ways: &WaysTried,
    target: &RecordTarget,
    key_log: Option<&Path>,
    look: Look,
    output: &mut Vec<u8>,
) -> Result<()> {
    let waits_for =
        report.status.as_ref().and_then(|status| status.metadata).map(|metadata| what_is_missing(&metadata));
    let choice = report.chosen.as_ref().filter(|chosen| !chosen.is_all());
    let outcome = match (report.outcome, waits_for) {
        (Outcome::Complete, _) if choice.is_some() => {
            "complete: every piece of the chosen files is verified".to_owned()
        }
        (Outcome::Complete, _) => "complete: every piece is verified".to_owned(),
        (Outcome::Incomplete, Some(what)) => format!("incomplete: no peer sent {what} of the torrent"),
        (Outcome::Incomplete, None) => "incomplete: no peer has the missing pieces".to_owned(),
        (Outcome::Stopped, Some(what)) => format!("stopped: no peer has sent {what} of the torrent yet"),
        (Outcome::Stopped, None) => "stopped: the next run resumes from here".to_owned(),
    };
    let mut rows = vec![("outcome", outcome), ("time", span(report.elapsed.as_secs_f64()))];
    rows.extend(report.place.as_ref().map(|place| ("saved to", place.display().to_string())));
    rows.extend(choice.map(|chosen| {
        let of = counted(chosen.of() as u64, "file");
        ("files chosen", format!("{} of {of}", thousands(chosen.count() as u64)))
    }));
    if let Some(status) = &report.status {
        let elapsed = report.elapsed.as_secs_f64().max(0.001);
        let rate = rough_size((status.downloaded as f64 / elapsed) as u64);
        if waits_for.is_none() {
            rows.push(("pieces", format!("{} of {}", status.pieces_done, status.pieces)));
        }
        if report.pieces_before > 0 {
            rows.push(("already present", counted(u64::from(report.pieces_before), "piece")));
        }
        rows.push(("downloaded", format!("{}, {rate}/s", counted(status.downloaded, "byte"))));
        rows.push(("uploaded", counted(status.uploaded, "byte")));
        rows.push(("wasted", counted(status.wasted, "byte")));
        rows.push(("hash failures", status.hash_failures.to_string()));
        rows.push(("peers tried", status.peers_tried.to_string()));
    }
    for (reason, count, first) in report.left_out.iter() {
        rows.push(("left out", format!("{} × {reason}: {first}", thousands(count))));
    }
    rows.extend(target.name().map(|name| ("recording", name)));
    rows.extend(key_log.map(|path| ("key log", path.display().to_string())));
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    let mut page = Page::new(look, output);
    let peers = ways.peers();
    if !peers.is_empty() {
        page.heading("Peers and the ways that were tried")?;
        page.table(&[Column::text("peer", 15), Column::text("ways", 20)], &peers)?;
        if ways.peers_left_out() > 0 {
            page.painted(&format!("… {} more", thousands(ways.peers_left_out())), 2, styles::DIM)?;
        }
    }
    let by_way = ways.by_way();
    if !by_way.is_empty() {
        page.heading("Ways to peers")?;
        page.table(
            &[Column::text("way", 12), Column::numbers("tried"), Column::numbers("connected")],
            &by_way,
        )?;
    }
    page.heading("Summary")?;
    page.table(&[Column::text("", 8), Column::text("", 20)], &rows)?;
    Ok(())
}

/// What a run waits for that does not know its torrent yet.
pub(crate) const fn what_is_missing(metadata: &MetadataStatus) -> &'static str {
    match metadata.layers {
        None => "the metadata",
        Some(_) => "the piece layers (the hashes of its pieces)",
    }
}
