//! The state as a screen. Nothing is read and nothing changed here.

mod bar;
mod bytes;
mod fields;
mod help;
mod list;
mod paint;
mod strip;
mod table;
mod title;

use ratatui::Frame;
use ratatui::layout::{Position, Rect};

use super::layout::{Layout, SMALLEST};
use super::screens::Screen;
use super::state::State;
use crate::print::output::styles;
pub(crate) use bytes::byte_at;
#[cfg(test)]
pub(crate) use help::HELP;
pub(crate) use help::HELP_LINES;
pub(crate) use paint::Paint;

/// Draws the state.
pub(crate) fn view(state: &State, paint: Paint, frame: &mut Frame<'_>) {
    let Some(layout) = state.layout() else {
        let area = frame.area();
        let text = format!(
            "browse needs {} columns and {} rows; here are {} and {}",
            SMALLEST.width, SMALLEST.height, area.width, area.height
        );
        for (at, line) in crate::print::table::wrap(&text, area.width.into()).iter().enumerate() {
            if at < usize::from(area.height) {
                paint.text(frame.buffer_mut(), (0, at as u16, area.width), line, styles::PLAIN);
            }
        }
        return;
    };
    if let Some(top) = state.help {
        return help::draw(top, paint, frame);
    }
    title::draw(state, layout.title, paint, frame.buffer_mut());
    match state.screen {
        Screen::Messages => {
            list::draw(state, &layout, paint, frame.buffer_mut());
            fields::draw(state, &layout, paint, frame.buffer_mut());
            bytes::draw(state, &layout, paint, frame.buffer_mut());
            strip::draw(state, &layout, paint, frame.buffer_mut());
        }
        screen => {
            if let Some(table) = state.screens.of(screen) {
                table::draw(table, state, &layout, paint, frame.buffer_mut());
            }
        }
    }
    if let Some(cursor) = bar::draw(state, &layout, paint, frame.buffer_mut()) {
        frame.set_cursor_position(cursor);
    }
}

/// The row above an area.
const fn above(area: Rect) -> (u16, u16, u16) {
    (area.x, area.y.saturating_sub(1), area.width)
}

/// A place on a row, and how many columns there are from it on.
type Span = (u16, u16, u16);

/// Where the layout has the rows of an area.
fn rows(area: Rect) -> impl Iterator<Item = Span> {
    (area.y..area.bottom()).map(move |y| (area.x, y, area.width))
}

/// Whether the two lines at the bottom are taken by the line that is being written.
const fn has_prompt(state: &State) -> bool {
    state.prompt.is_some()
}

/// The place after some columns of the bar, within it.
fn at(layout: &Layout, column: usize, y: u16) -> Position {
    let last = layout.bar.width.saturating_sub(1);
    Position { x: u16::try_from(column).unwrap_or(last).min(last), y }
}
