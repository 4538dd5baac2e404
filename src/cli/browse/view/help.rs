//! The page of all keys.

use ratatui::Frame;

use super::Paint;
use crate::print::output::styles;
use crate::print::table::pad;

/// How many lines the page has.
pub(crate) const HELP_LINES: usize = HELP.len();

/// Keys, and what they do; a heading has no keys.
pub(crate) const HELP: [(&str, &str); 35] = [
    ("", "Move"),
    ("j k, Down Up", "next, previous row; in bytes the row below, above"),
    ("PgDn PgUp, Space", "a page; Ctrl-D Ctrl-U half a page"),
    ("g G, Home End", "first, last row; G stays at the end of a live capture"),
    ("Tab, Shift-Tab", "next, previous pane: list, fields, bytes"),
    ("h l, Left Right", "in bytes the byte before, after; else the pane"),
    ("Enter", "opens a run of like messages, or goes to the fields"),
    ("z", "opens or folds a run"),
    ("n N", "next, previous message with a finding"),
    ("a", "the answer of this message, or what it answers"),
    ("f", "only the stream of this message; again: back"),
    ("m a", "marks a message with a letter"),
    ("' a", "goes to the message of this mark"),
    ("", "Choose"),
    ("/", "filter, as analyze --filter; an empty line shows all"),
    ("Tab", "there: completes a name, or a value after =="),
    ("Up Down", "there: earlier filters"),
    ("Ctrl-F", "finds text in lines and bytes, or bytes as 0x0a1b"),
    ("c", "columns of the list, by the names of analyze --fields"),
    ("", "Screens"),
    ("v, 1 to 5", "messages, conversations, pieces, findings, rates"),
    ("Enter", "there: the messages of this row"),
    ("q, Esc", "one step back; at the bottom: quit"),
    ("Ctrl-C", "quit"),
    ("", "Take along"),
    ("y r, y f", "copies the row, the field"),
    ("y c", "copies the command that shows the message"),
    ("w", "saves what is shown as .pcapng, .json (NDJSON) or .csv"),
    ("r", "reads the captures again, as far as they have grown"),
    ("", "Mouse"),
    ("click", "chooses a row, a field, a byte"),
    ("wheel", "moves in the pane under it"),
    ("drag", "moves the border under the list"),
    ("", ""),
    ("", "?, q or Esc closes this page"),
];

pub(super) fn draw(top: usize, paint: Paint, frame: &mut Frame<'_>) {
    let area = frame.area();
    let top = top.min(HELP_LINES.saturating_sub(area.height.into()));
    for (y, (keys, what)) in (area.y..area.bottom()).zip(HELP.iter().skip(top)) {
        let place = (area.x, y, area.width);
        if keys.is_empty() {
            paint.text(frame.buffer_mut(), place, &format!(" {what}"), styles::HEADING);
            continue;
        }
        let used = paint.text(frame.buffer_mut(), place, &format!("   {}  ", pad(keys, 17)), styles::SENT);
        paint.text(frame.buffer_mut(), super::paint::after(place, used), what, styles::PLAIN);
    }
}
