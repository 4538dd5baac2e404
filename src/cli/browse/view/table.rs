//! A screen that is a table: conversations, findings.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Paint, rows};
use crate::browse::layout::Layout;
use crate::browse::screens::Table;
use crate::browse::state::State;
use crate::print::output::styles;

pub(super) fn draw(table: &Table, state: &State, layout: &Layout, paint: Paint, buffer: &mut Buffer) {
    let area = layout.table();
    let header = (layout.header.x, layout.header.y, layout.header.width);
    paint.text(buffer, header, &table.heading, styles::HEADING);
    if table.lines.is_empty() {
        let text = if state.is_read { " none" } else { " none so far" };
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
        if at == table.cursor {
            paint.text(buffer, (place.0, place.1, 1), ">", style);
            buffer.set_style(Rect::new(place.0, place.1, place.2, 1), paint.chosen(true));
        }
    }
}
