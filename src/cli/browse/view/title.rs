//! The row at the top: the capture, how much of it is read, its findings, the filter, and where the cursor is.

use bittrace_trace::record::Severity;
use bittrace_trace::units::{count, counted};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Paint;
use super::paint::after;
use crate::browse::screens::Screen;
use crate::browse::state::{State, severity_place};
use crate::print::output::styles;
use crate::print::table::fit;

pub(super) fn draw(state: &State, area: Rect, paint: Paint, buffer: &mut Buffer) {
    let place = (area.x, area.y, area.width);
    paint.ruled(buffer, place);
    let right = format!(" {} ", right(state));
    let room = area.width.saturating_sub(u16::try_from(paint.columns(&right)).unwrap_or(area.width));
    paint.text(buffer, after(place, room), &right, styles::HEADING);
    let mut rest = (place.0, place.1, room);
    let mut say = |text: &str, style| {
        let used = paint.text(buffer, rest, text, style);
        rest = after(rest, used);
    };
    let name = name(state);
    // The name gives way to what is found.
    say(&format!(" {} ", fit(&name, usize::from(room / 3).max(12))), styles::HEADING);
    say(&format!(" {} ", read(state)), styles::PLAIN);
    let counts = [Severity::Error, Severity::Warn, Severity::Note]
        .map(|one| (one, state.severities[severity_place(one)]));
    for (severity, many) in counts.into_iter().filter(|(_, many)| *many > 0) {
        say(&format!("{}{} ", paint.glyph(severity), count(many)), styles::severity(severity));
    }
    if state.screen == Screen::Messages
        && let Some(filter) = state.list.filter()
    {
        let room = usize::from(rest.2).saturating_sub(4);
        let rest_of_it = match state.list.unscanned() {
            0 => String::new(),
            left => format!(" ({} %)", 100 - left * 100 / state.entries.len().max(1)),
        };
        let shown = fit(filter, room.saturating_sub(rest_of_it.len()));
        paint.text(buffer, rest, &format!(" {shown}{rest_of_it} "), styles::NOTE);
    }
}

/// The name of the capture whose message is chosen; the place among several.
fn name(state: &State) -> String {
    let chosen = state.list.selected().and_then(|message| state.entries.get(message as usize));
    let at = chosen.map_or(state.captures.len().saturating_sub(1), |entry| entry.capture.into());
    let path = state.files.get(at).or_else(|| state.paths.get(at));
    let name = path.map_or(String::new(), |path| {
        let name = path.file_name().unwrap_or(path.as_os_str());
        if name == "-" { "standard input".to_owned() } else { name.to_string_lossy().into_owned() }
    });
    match state.paths.len() {
        0 | 1 => name,
        all => format!("{name} ({} of {all})", at + 1),
    }
}

fn read(state: &State) -> String {
    let messages = counted(state.entries.len() as u64, "message");
    match (state.is_read, state.entries.is_empty()) {
        (true, _) => messages,
        (false, true) => format!("reading, {}", counted(state.packets, "packet")),
        (false, false) => format!("{messages} so far"),
    }
}

fn right(state: &State) -> String {
    let of = |at: usize, all: usize| match all {
        0 => "0 of 0".to_owned(),
        _ => format!("{} of {}", count(at as u64 + 1), count(all as u64)),
    };
    match state.screens.of(state.screen) {
        Some(table) => format!("{} {}", state.screen.name(), of(table.cursor, table.lines.len())),
        None => of(state.list.cursor(), state.list.len()),
    }
}
