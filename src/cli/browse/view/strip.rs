//! The strip of all messages by time, and where in it the chosen one is.

use bittrace_trace::record::Severity;
use ratatui::buffer::Buffer;
use ratatui::style::{Modifier, Style};

use super::paint::after;
use super::{Paint, has_prompt};
use crate::browse::layout::Layout;
use crate::browse::state::State;
use crate::browse::strip::height;
use crate::print::output::styles;

pub(super) fn draw(state: &State, layout: &Layout, paint: Paint, buffer: &mut Buffer) {
    let Some(area) = layout.strip.filter(|_| !has_prompt(state)) else { return };
    let place = (area.x, area.y, area.width);
    let used = paint.text(buffer, place, " messages ", styles::DIM);
    let rest = after(place, used);
    let many = usize::from(rest.2.saturating_sub(1));
    if many == 0 || state.entries.is_empty() {
        return;
    }
    let bins = state.strip.columns(many);
    let most = bins.iter().map(|bin| bin.messages).max().unwrap_or_default();
    let chosen = state.list.selected().and_then(|message| state.entries.get(message as usize));
    let chosen = chosen.map(|entry| state.strip.column(entry.at, many));
    let bars = paint.bars();
    for (column, bin) in bins.iter().enumerate() {
        let glyph = match height(bin.messages, most, bars.len()) {
            0 => " ",
            height => bars[height - 1],
        };
        let style = match bin.severity {
            Some(severity) if severity > Severity::Note => styles::severity(severity),
            _ => styles::DIM,
        };
        let mut style = paint.style(style);
        if chosen == Some(column) {
            style = Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD);
        }
        paint.styled(buffer, after(rest, column as u16), glyph, style);
    }
}
