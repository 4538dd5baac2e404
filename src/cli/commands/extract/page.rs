//! What was found, as tables and as JSON.

use std::io::{self, Write};
use std::ops::Range;

use bittrace_client::extract::{
    Extracted, ExtractedFile, ExtractionReport, FaultKind, Origin, PieceFault, Sent, Undescribed,
    UndescribedFile,
};
use bittrace_protocol::InfoHash;
use bittrace_trace::units::{count, counted, size};
use serde_json::{Map, Value, json};

use crate::print::json::write_line;
use crate::print::output::Output;
use crate::print::page::Page;
use crate::print::table::Column;

/// How many ranges of a file, rows of a table, and blocks of a piece are named.
const NAMED: usize = 8;
const ROWS: usize = 200;

/// Writes the tables.
pub(crate) fn write_table(report: &ExtractionReport, output: &mut Output) -> io::Result<()> {
    let page = &mut Page::new(output.look, output);
    let found = report.torrents.iter().filter_map(|(_, extracted)| extracted.as_ref().ok());
    for (number, extracted) in found.enumerate() {
        if number > 0 {
            writeln!(page)?;
        }
        write_torrent(extracted, page)?;
    }
    for undescribed in &report.undescribed {
        page.paragraph(&sentence(undescribed), 2)?;
    }
    if report.torrents.is_empty() && report.undescribed.is_empty() {
        page.paragraph("No blocks and no metadata of any torrent: nothing to write.", 2)?;
    }
    Ok(())
}

fn write_torrent(extracted: &Extracted, page: &mut Page<'_>) -> io::Result<()> {
    let torrent = &extracted.torrent;
    page.title(&torrent.name.to_string())?;
    let mut facts = vec![format!("info hash {}", torrent.info_hash)];
    if extracted.origin == Origin::Metadata {
        facts.push("metadata from peers in the capture".to_owned());
    }
    page.paragraph(&facts.join(", "), 2)?;
    if let Some(path) = &extracted.torrent_file {
        page.paragraph(&format!("wrote {}", path.display()), 2)?;
    }
    let mut seen = format!(
        "{} of {} verified, from {}",
        count(extracted.verified),
        counted(extracted.pieces, "piece"),
        counted(extracted.blocks, "block")
    );
    if extracted.beyond > 0 {
        seen.push_str(&format!("; {} beyond the torrent's end ignored", counted(extracted.beyond, "block")));
    }
    page.paragraph(&seen, 2)?;
    let rows: Vec<Vec<String>> = extracted
        .files
        .iter()
        .take(ROWS)
        .map(|file| {
            let written = file.written.as_ref().map_or("-".to_owned(), |path| path.display().to_string());
            vec![count(file.length), written, what_of(file)]
        })
        .collect();
    let columns = [Column::numbers("bytes"), Column::text("written as", 20), Column::text("status", 20)];
    writeln!(page)?;
    page.table(&columns, &rows)?;
    if extracted.files.len() > ROWS {
        let more = extracted.files.len() - ROWS;
        page.paragraph(&format!("… {} more; --format json has all", count(more as u64)), 2)?;
    }
    if extracted.faults.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<String>> = extracted
        .faults
        .iter()
        .take(ROWS)
        .map(|fault| vec![fault.piece.to_string(), verdict(fault.kind).to_owned(), blocks(fault)])
        .collect();
    let columns = [Column::numbers("piece"), Column::text("hash", 16), Column::text("wrong blocks", 30)];
    writeln!(page)?;
    page.table(&columns, &rows)?;
    let more = (extracted.faults.len().saturating_sub(ROWS)) as u64 + extracted.more_faults;
    if more > 0 {
        page.paragraph(&format!("… {} more", count(more)), 2)?;
    }
    Ok(())
}

fn what_of(file: &ExtractedFile) -> String {
    if file.whole {
        return "complete, verified".to_owned();
    }
    let mut parts = Vec::new();
    for (word, ranges) in
        [("missing", &file.missing), ("not verified", &file.unverified), ("wrong", &file.wrong)]
    {
        let bytes: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        match bytes {
            0 => {}
            bytes if bytes == file.length => parts.push(format!("all {word}")),
            bytes => parts.push(format!("{word} {}: {}", size(bytes), listed(ranges))),
        }
    }
    if parts.is_empty() {
        return "not seen".to_owned();
    }
    parts.join("; ")
}

/// Ranges by their first byte and their last.
fn listed(ranges: &[Range<u64>]) -> String {
    let first: Vec<String> =
        ranges.iter().take(NAMED).map(|range| format!("{}-{}", range.start, range.end - 1)).collect();
    match ranges.len() {
        all if all > NAMED => format!("{} and {} more", first.join(", "), count((all - NAMED) as u64)),
        _ => first.join(", "),
    }
}

const fn verdict(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Mended => "verified in the end",
        FaultKind::Failed => "wrong",
    }
}

fn blocks(fault: &PieceFault) -> String {
    let first: Vec<String> = fault.blocks.iter().take(NAMED).map(block).collect();
    let which = match fault.kind {
        FaultKind::Mended => "",
        FaultKind::Failed => "some of: ",
    };
    match fault.blocks.len() {
        all if all > NAMED => format!("{which}{} and {} more", first.join("; "), all - NAMED),
        _ => format!("{which}{}", first.join("; ")),
    }
}

fn block(sent: &Sent) -> String {
    let from: Vec<String> = sent.from.iter().map(ToString::to_string).collect();
    format!("{} at {} from {}", size(u64::from(sent.length)), sent.begin, from.join(", "))
}

fn sentence(undescribed: &Undescribed) -> String {
    let seen = format!("{} ({})", counted(undescribed.blocks, "block"), counted(undescribed.bytes, "byte"));
    if let Some(file) = &undescribed.file {
        return written(undescribed.info_hash, &seen, file);
    }
    let torrent = undescribed.info_hash.map_or_else(String::new, |info_hash| format!("{info_hash}: "));
    if undescribed.fault.is_some() {
        return format!("{torrent}{seen} seen; they could not be written");
    }
    match undescribed.info_hash {
        Some(info_hash) => format!(
            "{info_hash}: {seen} seen, but nothing describes this torrent: nothing is written. Give it with --torrent, or \
             write the blocks in their order with --unverified."
        ),
        None => format!(
            "{seen} on connections whose beginning was not captured, of no known torrent: nothing is written. Give the \
             torrent with --torrent, or write the blocks in their order with --unverified."
        ),
    }
}

/// What was written of a torrent that nothing describes.
fn written(info_hash: Option<InfoHash>, seen: &str, file: &UndescribedFile) -> String {
    let torrent = info_hash.map_or_else(|| "a torrent that is not known".to_owned(), |hash| hash.to_string());
    let length = size(file.piece_length);
    let pieces = match file.is_proved {
        true => format!("pieces of {length}, as the blocks prove"),
        false => format!("pieces of {length}, which the blocks do not prove"),
    };
    let mut text = format!(
        "{torrent}: {seen} in their order in {}, {}; {pieces}; not verified, since nothing describes this torrent",
        file.path.display(),
        counted(file.length, "byte"),
    );
    let missing: u64 = file.missing.iter().map(|range| range.end - range.start).sum();
    if missing > 0 {
        text.push_str(&format!("; missing {}: {}", size(missing), listed(&file.missing)));
    }
    if file.contradicted > 0 {
        text.push_str(&format!(
            "; {} came with several contents, of which the first is written",
            counted(file.contradicted, "block")
        ));
    }
    if file.beyond > 0 {
        text.push_str(&format!("; {} beyond 8 TiB ignored", counted(file.beyond, "block")));
    }
    text
}

/// Writes an object a torrent, and one that sums up.
pub(crate) fn write_json(report: &ExtractionReport, output: &mut Output) -> io::Result<()> {
    let mut whole = 0;
    for (info_hash, extracted) in &report.torrents {
        let object = match extracted {
            Ok(extracted) => {
                whole += u64::from(extracted.is_whole());
                torrent(extracted)
            }
            Err(error) => json!({ "info_hash": info_hash.to_string(), "error": error.to_string() }),
        };
        write_object(object, output)?;
    }
    let undescribed: Vec<Value> = report
        .undescribed
        .iter()
        .map(|undescribed| {
            json!({
                "info_hash": undescribed.info_hash.map(|info_hash| info_hash.to_string()),
                "blocks": undescribed.blocks,
                "bytes": undescribed.bytes,
                "file": undescribed.file.as_ref().map(|file| json!({
                    "written": file.path.display().to_string(),
                    "length": file.length,
                    "piece_length": file.piece_length,
                    "piece_length_proved": file.is_proved,
                    "missing": pairs(&file.missing),
                    "contradicted": file.contradicted,
                    "beyond": file.beyond,
                })),
            })
        })
        .collect();
    let summary = json!({
        "torrents": report.torrents.len(),
        "whole": whole,
        "undescribed": undescribed,
        "dropped": report.dropped,
    });
    write_line(&Map::from_iter([("summary".to_owned(), summary)]), output)
}

fn write_object(value: Value, output: &mut Output) -> io::Result<()> {
    match value {
        Value::Object(object) => write_line(&object, output),
        _ => Ok(()),
    }
}

fn torrent(extracted: &Extracted) -> Value {
    let faults: Vec<Value> = extracted
        .faults
        .iter()
        .map(|fault| {
            json!({
                "piece": fault.piece.0,
                "mended": fault.kind == FaultKind::Mended,
                "blocks": fault.blocks.iter().map(|sent| json!({
                    "begin": sent.begin,
                    "length": sent.length,
                    "from": sent.from.iter().map(ToString::to_string).collect::<Vec<_>>(),
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "info_hash": extracted.torrent.info_hash.to_string(),
        "name": extracted.torrent.name.to_string(),
        "origin": match extracted.origin { Origin::Given => "given", Origin::Metadata => "metadata" },
        "torrent_file": extracted.torrent_file.as_ref().map(|path| path.display().to_string()),
        "whole": extracted.is_whole(),
        "pieces": extracted.pieces,
        "verified": extracted.verified,
        "blocks": extracted.blocks,
        "beyond": extracted.beyond,
        "files": extracted.files.iter().map(file).collect::<Vec<_>>(),
        "wrong_pieces": faults,
        "more_wrong_pieces": extracted.more_faults,
    })
}

/// Ranges as pairs: the first byte and the last.
fn pairs(ranges: &[Range<u64>]) -> Vec<[u64; 2]> {
    ranges.iter().map(|range| [range.start, range.end - 1]).collect()
}

fn file(file: &ExtractedFile) -> Value {
    json!({
        "name": file.name,
        "written": file.written.as_ref().map(|path| path.display().to_string()),
        "length": file.length,
        "whole": file.whole,
        "missing": pairs(&file.missing),
        "unverified": pairs(&file.unverified),
        "wrong": pairs(&file.wrong),
    })
}
