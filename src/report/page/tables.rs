//! The tables of the page of a capture, as HTML that needs no script: the content of the torrent, and the connections.

use std::fmt::{self, Write};

use bittrace_trace::units::{count, counted, size};

use super::markup::{short, shown};
use crate::course::{Course, Pieces};

/// A table as text: what the command line prints as a view, and a page shows as well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageTable {
    /// What stands above each column, and what it means in full.
    pub headings: Vec<(String, String)>,
    /// The rows, of as many cells as there are headings.
    pub rows: Vec<Vec<String>>,
    /// How many rows are left out.
    pub left_out: u64,
    /// The columns of numbers.
    pub numbers: Vec<bool>,
}

/// Files that the list of content has.
const FILES: usize = 60;

/// Writes the content: the torrent, and how many pieces of each file are verified.
pub(super) fn write_content(course: &Course, html: &mut String) -> fmt::Result {
    let Some(pieces) = &course.pieces else { return Ok(()) };
    let about = match pieces.known {
        true => format!(
            "{}, {}, {} of {}",
            pieces.name,
            size(pieces.total),
            counted(pieces.count.into(), "piece"),
            size(pieces.length.into())
        ),
        false => format!("torrent {}: not known, so files and sizes are not known", pieces.name),
    };
    writeln!(
        html,
        "<section id=\"content\">\n<h2>Content <span class=\"hint\">{}</span></h2>\n<div id=\"content-pictures\"></div>",
        shown(&about)
    )?;
    if !pieces.files.is_empty() {
        let table = files(pieces);
        write_table(&table, html)?;
        write_more(table.left_out, "file", "bittrace torrent show FILE.torrent --limit 0", html)?;
    }
    html.push_str("</section>\n");
    Ok(())
}

fn files(pieces: &Pieces) -> PageTable {
    let heading = |short: &str, long: &str| (short.to_owned(), long.to_owned());
    let rows = pieces.files.iter().take(FILES).map(|file| {
        let last = (file.offset + file.length).saturating_sub(1).max(file.offset);
        let place = |byte: u64| byte.checked_div(pieces.length.into()).unwrap_or(0);
        let (first, last) = (place(file.offset), place(last));
        let range = if first == last { count(first) } else { format!("{} to {}", count(first), count(last)) };
        vec![file.name.clone(), size(file.length), range, verified(pieces, first, last)]
    });
    PageTable {
        headings: vec![
            heading("file", "the path within the torrent"),
            heading("size", "bytes of the file"),
            heading("pieces", "the pieces that the file lies in"),
            heading("verified", "how many of these pieces came whole and right"),
        ],
        rows: rows.collect(),
        left_out: pieces.files_left_out + pieces.files.len().saturating_sub(FILES) as u64,
        numbers: vec![false, true, true, true],
    }
}

/// How many of some pieces are verified, where each piece has a cell of its own.
fn verified(pieces: &Pieces, first: u64, last: u64) -> String {
    if pieces.per_row != 1 {
        let cells = pieces.cells.first.iter().zip(&pieces.cells.state);
        let per_row = u64::from(pieces.per_row);
        let touching = cells.filter(|(cell, _)| {
            let cell = u64::from(**cell);
            cell <= last && cell + per_row > first
        });
        let states: Vec<_> = touching.map(|(_, state)| *state).collect();
        return if states.iter().all(|state| *state == VERIFIED) { "all" } else { "not all" }.to_owned();
    }
    let states = pieces.cells.state.iter().skip(first as usize).take((last - first + 1) as usize);
    let verified = states.filter(|state| **state == VERIFIED).count() as u64;
    format!("{} of {}", count(verified), count(last - first + 1))
}

/// The state of a cell whose pieces all came whole and right.
const VERIFIED: u8 = 3;

/// Writes the connections.
pub(super) fn write_connections(table: &PageTable, command: &str, html: &mut String) -> fmt::Result {
    if table.rows.is_empty() {
        return Ok(());
    }
    let about = counted(table.rows.len() as u64 + table.left_out, "connection");
    writeln!(html, "<section id=\"connections\">\n<h2>Connections <span class=\"hint\">{about}</span></h2>")?;
    write_table(table, html)?;
    write_more(table.left_out, "connection", &format!("{command} --view conversations -v"), html)?;
    html.push_str("</section>\n");
    Ok(())
}

/// Writes a table, without columns that say nothing.
pub(crate) fn write_table(table: &PageTable, html: &mut String) -> fmt::Result {
    // Columns without any content say nothing.
    let used: Vec<usize> = (0..table.headings.len())
        .filter(|&at| table.rows.iter().any(|row| row.get(at).is_some_and(|cell| !cell.is_empty())))
        .collect();
    let class = |at: usize| if table.numbers.get(at) == Some(&true) { " class=\"number\"" } else { "" };
    html.push_str("<div class=\"scroll\" tabindex=\"0\"><table class=\"data\">\n<thead><tr>");
    for &at in &used {
        let (short, long) = &table.headings[at];
        write!(html, "<th scope=\"col\"{} title=\"{}\">{}</th>", class(at), shown(long), shown(short))?;
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        html.push_str("<tr>");
        for &at in &used {
            let cell = row.get(at).map_or("", String::as_str);
            write!(html, "<td{}>{}</td>", class(at), shown(&short(cell)))?;
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n");
    Ok(())
}

fn write_more(left_out: u64, one: &str, command: &str, html: &mut String) -> fmt::Result {
    if left_out == 0 {
        return Ok(());
    }
    let more = counted(left_out, &format!("more {one}"));
    writeln!(html, "<p class=\"more\">… {more}: <code>{}</code></p>", shown(command))
}
