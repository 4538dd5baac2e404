//! The pane of the chosen message's findings and fields.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Paint, above, rows};
use crate::browse::layout::{Layout, Pane};
use crate::browse::state::State;
use crate::print::output::styles;
use crate::print::table::fit;

pub(super) fn draw(state: &State, layout: &Layout, paint: Paint, buffer: &mut Buffer) {
    let area = layout.fields;
    let title = above(area);
    paint.ruled(buffer, title);
    let has_focus = state.pane == Pane::Fields;
    if let Some(row) = state.list.selected().and_then(|message| state.row(message)) {
        let text =
            format!(" #{} {} ", row.number(), fit(&row.summary(), usize::from(title.2).saturating_sub(12)));
        paint.styled(buffer, title, &text, title_style(paint, has_focus));
    }
    if layout.bytes.y == area.y {
        for (_, y, _) in rows(area) {
            paint.text(buffer, (area.right(), y, 1), paint.border(), styles::DIM);
        }
    }
    let detail = &state.detail;
    for ((at, line), place) in detail.lines.iter().enumerate().skip(detail.lines_top).zip(rows(area)) {
        let mark = if at == detail.line { ">" } else { " " };
        paint.text(buffer, place, &format!("{mark}{}", line.text), line.style);
        if at == detail.line {
            buffer.set_style(Rect::new(place.0, place.1, place.2, 1), paint.chosen(has_focus));
        }
    }
}

/// The style of a pane's title.
pub(super) fn title_style(paint: Paint, has_focus: bool) -> ratatui::style::Style {
    let style = paint.style(styles::HEADING);
    if has_focus { style.add_modifier(ratatui::style::Modifier::UNDERLINED) } else { style }
}
