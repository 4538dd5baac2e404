//! The map of pieces and the rates as rows of a screen, drawn as `analyze --view map,rates` draws them; a row leads to the
//! messages that it is of.

use std::io;

use bittrace_report::Course;

use super::screens::TableLine;
use crate::print::output::Look;
use crate::print::page::Page;
use crate::print::views::{map, rates};

/// The map of pieces over time.
pub(super) fn map_lines(course: &Course, capture: u16, width: u16) -> Vec<TableLine> {
    let mut lines = lines(course, width, map::write);
    let filters = map::rows(course).into_iter().map(|pieces| match pieces.end - pieces.start {
        1 => format!("message == piece && index == {}", pieces.start),
        _ => format!("message == piece && index >= {} && index < {}", pieces.start, pieces.end),
    });
    // The numbers of the axis begin farther right than the heading, and stand right above the rows.
    let above =
        lines.iter().position(|line| line.text.starts_with("   ")).map_or(lines.len(), |axis| axis + 1);
    for (line, filter) in lines.iter_mut().skip(above).zip(filters) {
        line.leads_to = Some((capture, filter));
    }
    lines
}

/// Bytes of blocks over time.
pub(super) fn rates_lines(course: &Course, capture: u16, width: u16) -> Vec<TableLine> {
    let mut lines = lines(course, width, rates::write);
    let filters = rates::ends(course).map(|(end, is_sent)| {
        let address = &course.ends.get(usize::try_from(end).ok()?)?.address;
        let side = if is_sent { "dst" } else { "src" };
        Some((capture, format!("message == piece && {side} == {address}")))
    });
    let begins = |line: &&mut TableLine| ARROWS.iter().any(|arrow| line.text.starts_with(arrow));
    for (line, filter) in lines.iter_mut().filter(begins).zip(filters) {
        line.leads_to = filter;
    }
    lines
}

/// Screens that are narrower show no picture, but a terminal may become so narrow.
const NARROWEST: usize = 40;

/// What rows of the rates begin with, the last two in ASCII.
const ARROWS: [&str; 4] = ["  ↓", "  ↑", "  v ", "  ^ "];

/// A picture as lines.
fn lines(course: &Course, width: u16, write: fn(&Course, &mut Page<'_>) -> io::Result<()>) -> Vec<TableLine> {
    let mut text = Vec::new();
    let width = usize::from(width).max(NARROWEST);
    // Memory takes all.
    let _ = write(course, &mut Page::new(Look { width, colour: false }, &mut text));
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().skip_while(|line| line.is_empty());
    lines.map(|line| TableLine { text: line.to_owned(), severity: None, leads_to: None }).collect()
}
