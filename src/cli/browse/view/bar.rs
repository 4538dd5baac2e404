//! The row at the bottom: the keys that work now, what was told last, or the line that is being written.

use bittrace_trace::units::count;
use ratatui::buffer::Buffer;
use ratatui::layout::Position;

use super::{Paint, Span, at};
use crate::browse::layout::{Layout, Pane};
use crate::browse::prompt::{Prompt, Purpose};
use crate::browse::screens::Screen;
use crate::browse::state::{Prefix, State};
use crate::print::output::styles;
use crate::print::table::{columns, fit};

/// Draws the row; where the cursor of the terminal is, in a line that is being written.
pub(super) fn draw(state: &State, layout: &Layout, paint: Paint, buffer: &mut Buffer) -> Option<Position> {
    let place = (layout.bar.x, layout.bar.y, layout.bar.width);
    if let Some(prompt) = &state.prompt {
        return Some(draw_prompt(prompt, layout, paint, buffer));
    }
    if let Some(told) = told(state) {
        let text = fit(&told, place.2.saturating_sub(2).into());
        paint.text(buffer, place, &format!(" {text}"), styles::HEADING);
        return None;
    }
    draw_keys(&keys(state), place, paint, buffer);
    None
}

/// What is told in place of the keys.
fn told(state: &State) -> Option<String> {
    if let Some(told) = &state.told {
        return Some(told.clone());
    }
    match state.prefix {
        Some(Prefix::Mark) => return Some("mark: a letter".to_owned()),
        Some(Prefix::GoTo) if state.marks.is_empty() => {
            return Some("no marks; m and a letter set one".to_owned());
        }
        Some(Prefix::GoTo) => {
            let marks: Vec<_> =
                state.marks.iter().map(|(letter, message)| format!("{letter} {}", message + 1)).collect();
            return Some(format!("go to: {}", marks.join("  ")));
        }
        Some(Prefix::Copy) => return Some("copy: r row  f field  c command".to_owned()),
        None => {}
    }
    if let Some(find) = &state.find {
        return Some(format!(
            "looking for {}: {} messages left; q ends the search",
            find.text,
            count(find.left as u64)
        ));
    }
    state.saving.map(|part| format!("writing the file: {part} %"))
}

/// The keys that work now, the most useful first.
fn keys(state: &State) -> Vec<(&'static str, &'static str)> {
    let mut keys = Vec::new();
    let has_messages = state.list.len() > 0;
    match (state.screen, state.pane) {
        (Screen::Messages, Pane::List) => {
            keys.push(("/", "filter"));
            if state.severities != [0; 3] {
                keys.push(("n N", "finding"));
            }
            if has_messages {
                if state.answer().is_some() {
                    keys.push(("a", "answer"));
                }
                keys.push(("Tab", "pane"));
            }
            keys.push(("v", "view"));
            if state.list.is_run(state.list.cursor()) {
                keys.push(("z", "fold"));
            }
            if has_messages {
                keys.extend([("y", "copy"), ("w", "save"), ("f", "stream"), ("^F", "find")]);
            }
        }
        (Screen::Messages, Pane::Fields) => {
            keys.extend([("j k", "field"), ("l", "bytes"), ("h", "list"), ("y", "copy"), ("Tab", "pane")]);
        }
        (Screen::Messages, Pane::Bytes) => keys.extend([("h j k l", "byte"), ("y", "copy"), ("Tab", "pane")]),
        (screen, _) => {
            if state.screens.of(screen).is_some_and(|table| !table.lines.is_empty()) {
                keys.extend([("j k", "row"), ("Enter", "its messages")]);
            }
            keys.extend([("v 1-5", "view"), ("/", "filter")]);
        }
    }
    keys.push(("?", "keys"));
    keys.push(("q", if state.is_at_bottom() { "quit" } else { "back" }));
    keys
}

/// Draws the keys. Where there is no room for all, those before the last two give way.
fn draw_keys(keys: &[(&str, &str)], place: Span, paint: Paint, buffer: &mut Buffer) {
    let width = |(key, what): &(&str, &str)| columns(key) + 1 + columns(what) + 2;
    let (first, last) = keys.split_at(keys.len().saturating_sub(2));
    let mut room = usize::from(place.2).saturating_sub(1 + last.iter().map(width).sum::<usize>());
    let shown = first.iter().take_while(|key| {
        let fits = width(key) <= room;
        room = room.saturating_sub(width(key));
        fits
    });
    let mut rest = super::paint::after(place, 1);
    for (key, what) in shown.chain(last) {
        let used = paint.text(buffer, rest, key, styles::HEADING);
        rest = super::paint::after(rest, used + 1);
        let used = paint.text(buffer, rest, what, styles::DIM);
        rest = super::paint::after(rest, used + 2);
    }
}

/// Draws the line that is being written, and under it what is wrong, the names that are offered, or what the keys do.
fn draw_prompt(prompt: &Prompt, layout: &Layout, paint: Paint, buffer: &mut Buffer) -> Position {
    let bar = layout.bar;
    let (line, under) = ((bar.x, bar.y - 1, bar.width), (bar.x, bar.y, bar.width));
    for place in [line, under] {
        paint.text(buffer, place, &" ".repeat(place.2.into()), styles::PLAIN);
    }
    let label = match prompt.purpose {
        Purpose::Filter => " filter: ",
        Purpose::Find => " find: ",
        Purpose::Columns => " columns: ",
        Purpose::Save => " save to: ",
    };
    let used = paint.text(buffer, line, label, styles::HEADING);
    let rest = super::paint::after(line, used);
    let text: Vec<char> = prompt.text().chars().collect();
    // Of a line that is longer than the screen, the part with the cursor is shown.
    let room = usize::from(rest.2.saturating_sub(2)).max(1);
    let first = (prompt.cursor() + 1).saturating_sub(room);
    let shown: String = text.iter().skip(first).take(room).collect();
    let before: String = text[first..prompt.cursor()].iter().collect();
    paint.text(buffer, rest, &shown, styles::PLAIN);
    let begin = usize::from(used);
    if let Some(fault) = prompt.fault() {
        let column = begin + fault.column.saturating_sub(first).min(room);
        let width = usize::from(under.2);
        let text = match () {
            () if column + 3 + columns(&fault.what) <= width => {
                format!("{}^ {}", " ".repeat(column), fault.what)
            }
            () if columns(&fault.what) + 2 <= column => {
                format!("{}{} ^", " ".repeat(column - columns(&fault.what) - 1), fault.what)
            }
            () => fit(&fault.what, width.saturating_sub(2)),
        };
        paint.text(buffer, under, &text, styles::ERROR);
    } else if let Some((names, chosen)) = prompt.completion() {
        let shown = names.iter().skip(chosen).map(|name| (*name).to_owned()).collect::<Vec<_>>().join("  ");
        paint.text(buffer, under, &format!("{}{shown}", " ".repeat(begin)), styles::DIM);
    } else {
        let hint = match prompt.purpose {
            Purpose::Filter => {
                "Enter: filter, empty for all  Tab: names  Up, Down: earlier filters  Esc: cancel"
            }
            Purpose::Find => "text, or bytes as 0x0a1b  Enter: find  Up, Down: earlier ones  Esc: cancel",
            Purpose::Columns => "names with commas, empty for the usual ones  Tab: names  Esc: cancel",
            Purpose::Save => {
                "FILE.pcapng, FILE.json (NDJSON) or FILE.csv  Enter: save what is shown  Esc: cancel"
            }
        };
        paint.text(buffer, under, &format!(" {hint}"), styles::DIM);
    }
    at(layout, begin + paint.columns(&before), line.1)
}
