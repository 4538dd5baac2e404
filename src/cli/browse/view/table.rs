//! A screen that is a table: conversations, findings.

use bittrace_trace::record::Severity;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Paint, rows};
use crate::browse::layout::Layout;
use crate::browse::screens::{Screen, Table};
use crate::browse::state::State;
use crate::print::output::styles;

pub(super) fn draw(table: &Table, state: &State, layout: &Layout, paint: Paint, buffer: &mut Buffer) {
    let area = layout.table();
    let header = (layout.header.x, layout.header.y, layout.header.width);
    paint.text(buffer, header, &table.heading, styles::HEADING);
    if table.lines.is_empty() {
        let text = match (state.is_read, state.screen) {
            (false, Screen::Pieces | Screen::Rates) => " drawn when the capture is read",
            (false, _) => " none so far",
            (true, _) => " none",
        };
        paint.text(buffer, (area.x, area.y, area.width), text, styles::PLAIN);
    }
    let shown = table.lines.iter().enumerate().skip(table.top);
    for ((at, line), place) in shown.zip(rows(area)) {
        let style = match (&line.leads_to, line.severity) {
            (_, Some(severity)) => styles::severity(severity),
            (None, None) => styles::DIM,
            _ => styles::PLAIN,
        };
        paint.text(buffer, place, &line.text, style);
        if let Some(severity) = line.severity {
            paint.text(buffer, (place.0 + 1, place.1, 1), paint.glyph(severity), style);
        }
        // What is wrong is red wherever it stands.
        for x in place.0..place.0 + place.2 {
            if buffer[(x, place.1)].symbol() == paint.glyph(Severity::Error) && line.severity.is_none() {
                buffer[(x, place.1)].set_style(paint.style(styles::ERROR));
            }
        }
        if at == table.cursor {
            // A heading of a picture begins at the edge.
            if line.text.starts_with(' ') {
                paint.text(buffer, (place.0, place.1, 1), ">", style);
            }
            buffer.set_style(Rect::new(place.0, place.1, place.2, 1), paint.chosen(true));
        }
    }
}
