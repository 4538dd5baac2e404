//! Each piece: who sent it, when it was whole, whether it was right, what of it is missing.

use std::io;
use std::ops::Range;

use bittrace_protocol::Timestamp;
use bittrace_trace::statistics::{PieceSeen, PiecesSeen, Sender, Verdict};
use bittrace_trace::units::{count, counted, size};
use serde_json::json;

use super::{ROWS, Read, Rows};
use crate::print::json::object;
use crate::print::page::Page;
use crate::print::table::Column;

const COLUMNS: &[&str] = &[
    "capture",
    "torrent",
    "piece",
    "size",
    "from",
    "complete",
    "n",
    "verdict",
    "right",
    "wrong",
    "missing",
    "verified",
    "wrong_blocks",
    "again",
];

/// How many senders of a piece and missing ranges are named in the table.
const NAMED: usize = 3;

pub(super) fn write_table(pieces: &PiecesSeen, read: Read<'_>, page: &mut Page<'_>) -> io::Result<()> {
    let mut hashes: Vec<_> = pieces.rows().map(|(info_hash, ..)| info_hash).collect();
    hashes.dedup();
    if hashes.is_empty() {
        page.heading(&format!("Pieces of {}", read.name))?;
        return page.paragraph("No blocks of a torrent that a handshake names.", 2);
    }
    for info_hash in hashes {
        let torrent = pieces.torrent(info_hash);
        let name = torrent.map(|torrent| format!(" {}", torrent.name)).unwrap_or_default();
        page.heading(&format!("Pieces of {info_hash}{name}"))?;
        let rows: Vec<Vec<String>> = pieces
            .rows()
            .filter(|(of, ..)| *of == info_hash)
            .map(|(_, piece, seen)| {
                let complete = seen
                    .complete
                    .map_or(String::new(), |(at, _)| format!("{:.6}", at.seconds_since(read.start)));
                vec![
                    piece.to_string(),
                    complete,
                    verdict(seen, read.start),
                    from(seen),
                    again(seen),
                    missing(seen),
                ]
            })
            .collect();
        let hash = match torrent {
            Some(torrent) if torrent.geometry.is_some() => "SHA-1",
            Some(_) => "SHA-256",
            None => "hash",
        };
        let columns = [
            Column::numbers("piece"),
            Column::numbers("complete"),
            Column::text(hash, 7),
            Column::text("blocks from", 20),
            Column::text("again", 8),
            Column::text("missing", 12),
        ];
        let shown = if read.verbose { rows.len() } else { rows.len().min(ROWS) };
        page.table(&columns, &rows[..shown])?;
        page.left_out((rows.len() - shown) as u64, "-v", 0)?;
        match pieces.unseen(info_hash) {
            Some(0) => {}
            Some(unseen) => {
                let text = format!("{} without any block", counted(unseen, "piece"));
                page.paragraph(&text, 2)?;
            }
            None => page.paragraph("--torrent FILE gives lengths and verdicts", 2)?,
        }
        let own = pieces.rows().filter(|(of, ..)| *of == info_hash);
        let early = own.filter(|(.., seen)| seen.verdict() == Verdict::NotChecked).count() as u64;
        if early > 0 {
            let text = format!(
                "{} came before the metadata and could not be checked; use --torrent FILE to check them",
                counted(early, "piece")
            );
            page.paragraph(&text, 2)?;
        }
    }
    if pieces.more() > 0 {
        page.paragraph(&format!("… and {} beyond those kept", counted(pieces.more(), "block")), 2)?;
    }
    Ok(())
}

fn verdict(seen: &PieceSeen, start: Timestamp) -> String {
    match (seen.right, seen.wrong) {
        (0, 0) => seen.verdict().name().to_owned(),
        (right, 0) if right > 1 => format!("right, {} times", count(right)),
        (_, 0) => "right".to_owned(),
        (0, wrong) => format!("wrong, {}", counted(wrong, "time")),
        (_, wrong) => {
            // It was complete before.
            let at = seen.verified.map(|(at, _)| format!(" at {:.6}", at.seconds_since(start)));
            format!("right{}, after {} wrong", at.unwrap_or_default(), counted(wrong, "time"))
        }
    }
}

/// The bytes that came again, and why.
fn again(seen: &PieceSeen) -> String {
    let reasons =
        [(seen.again_after_wrong_hash, "after a wrong hash"), (seen.again_for_nothing, "for nothing")];
    let reasons = reasons.into_iter().filter(|(bytes, _)| *bytes > 0);
    reasons.map(|(bytes, why)| format!("{} {why}", size(bytes))).collect::<Vec<_>>().join(", ")
}

fn from(seen: &PieceSeen) -> String {
    let first = seen.from.iter().take(NAMED).map(|sender| {
        let Sender { address, is_web_seed, blocks, parts } = *sender;
        match (is_web_seed, blocks, parts) {
            (true, ..) => format!("web seed {address}"),
            (false, blocks, 0) => format!("{address} ({})", count(blocks)),
            (false, blocks, parts) => format!("{address} ({}, {})", count(blocks), counted(parts, "part")),
        }
    });
    more_than(first.collect(), seen.from.len())
}

fn missing(seen: &PieceSeen) -> String {
    let Some(missing) = seen.missing() else { return "?".to_owned() };
    let first: Vec<String> =
        missing.iter().take(NAMED).map(|range| format!("{}-{}", range.start, range.end - 1)).collect();
    more_than(first, missing.len())
}

fn more_than(first: Vec<String>, all: usize) -> String {
    match all {
        all if all > NAMED => format!("{} and {} more", first.join(", "), all - NAMED),
        _ => first.join(", "),
    }
}

pub(super) fn rows(pieces: &PiecesSeen, read: Read<'_>) -> Rows {
    let rows = pieces.rows().map(|(info_hash, piece, seen)| {
        let pairs = |ranges: Vec<Range<u32>>| {
            ranges.into_iter().map(|range| [range.start, range.end - 1]).collect::<Vec<_>>()
        };
        let from: Vec<_> = seen
            .from
            .iter()
            .map(|sender| {
                json!({
                    "peer": sender.address.to_string(),
                    "web_seed": sender.is_web_seed,
                    "blocks": sender.blocks,
                    "parts": sender.parts,
                })
            })
            .collect();
        object([
            ("capture", json!(read.name)),
            ("torrent", json!(info_hash.to_string())),
            ("piece", json!(piece.0)),
            ("size", json!(seen.size)),
            ("from", json!(from)),
            ("complete", json!(seen.complete.map(|(at, _)| at.seconds_since(read.start)))),
            ("n", json!(seen.complete.map(|(_, number)| read.summary.before + number))),
            ("verdict", json!(seen.verdict().name())),
            ("right", json!(seen.right)),
            ("wrong", json!(seen.wrong)),
            ("missing", json!(seen.missing().map(pairs))),
            (
                "verified",
                json!({
                    "elapsed": seen.verified.map(|(at, _)| at.seconds_since(read.start)),
                    "n": seen.verified.map(|(_, number)| read.summary.before + number),
                }),
            ),
            ("wrong_blocks", json!(seen.wrong_blocks)),
            (
                "again",
                json!({
                    "after_wrong_hash": seen.again_after_wrong_hash,
                    "for_nothing": seen.again_for_nothing,
                }),
            ),
        ])
    });
    Rows::new("piece", COLUMNS, rows).with_messages(&[&["n"], &["verified", "n"]], read.numbers)
}
