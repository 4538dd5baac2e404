//! The list of messages.

use bittrace_trace::units::{counted, span};
use ratatui::buffer::Buffer;

use super::paint::after;
use super::{Paint, Span, rows};
use crate::browse::layout::{Layout, Pane};
use crate::browse::list::ListRow;
use crate::browse::state::State;
use crate::print::message_table::message_run::FoldedRun;
use crate::print::message_table::stream_line::{is_sent, meaning_of_arrows};
use crate::print::output::styles;
use crate::print::printable::printable;
use crate::print::table::{columns, fit, pad};
use crate::query::row::{Row, cell};

/// The widths of the columns before the message.
struct Widths {
    number: usize,
    elapsed: usize,
    /// 0 where there is no room.
    stream: usize,
}

/// Below this width the column of streams is left out.
const WITH_STREAMS: u16 = 72;

impl Widths {
    fn of(state: &State, width: u16) -> Self {
        let digits = state.entries.len().max(1).ilog10() as usize + 1;
        Self { number: digits.max(5), elapsed: 11, stream: if width >= WITH_STREAMS { 5 } else { 0 } }
    }
}

pub(super) fn draw(state: &State, layout: &Layout, paint: Paint, buffer: &mut Buffer) {
    let header = (layout.header.x, layout.header.y, layout.header.width);
    let widths = Widths::of(state, layout.list.width);
    if !state.columns.is_empty() {
        draw_columns(state, layout, paint, buffer);
    } else {
        let Widths { number, elapsed, stream } = widths;
        let stream = if stream > 0 { format!(" {:>1$}", "str", stream - 1) } else { String::new() };
        let who = meaning_of_arrows(state.local, state.has_roles).unwrap_or_default();
        let heading = format!(" {:>number$} {:>elapsed$}{stream}      message", "n", "elapsed");
        paint.text(buffer, header, &heading, styles::HEADING);
        let used = paint.columns(&heading) + 2;
        let width = u16::try_from(paint.columns(&who)).unwrap_or(u16::MAX);
        if usize::from(header.2) > used + usize::from(width) {
            paint.text(buffer, after(header, header.2 - width), &who, styles::DIM);
        }
        let shown = state.list.rows(layout.list.height.into());
        for (row, place) in shown.into_iter().zip(rows(layout.list)) {
            draw_row(state, row, &widths, place, paint, buffer);
        }
    }
    if state.list.len() == 0 {
        let place = (layout.list.x, layout.list.y, layout.list.width);
        paint.text(buffer, place, &format!(" {}", nothing(state)), styles::PLAIN);
    }
}

/// Why there is no message.
fn nothing(state: &State) -> String {
    let read = counted(state.entries.len() as u64, "message");
    match state.list.filter() {
        Some(_) if state.list.unscanned() > 0 || !state.is_read => "no message matches so far".to_owned(),
        Some(_) => format!("no message matches ({read})"),
        None if state.is_read => format!("no BitTorrent traffic in {}", counted(state.packets, "packet")),
        None => "reading".to_owned(),
    }
}

fn draw_row(state: &State, row: ListRow, widths: &Widths, place: Span, paint: Paint, buffer: &mut Buffer) {
    let Some(message) = state.list.message(row.position) else { return };
    let is_chosen = row.position == state.list.cursor();
    let marked = state.marks.iter().find(|(_, known)| **known == message).map(|(letter, _)| *letter);
    let mark = match (is_chosen, marked) {
        (true, _) => '>',
        (false, Some(letter)) => letter,
        (false, None) => ' ',
    };
    let Some(shown) = state.row(message) else {
        // Its record comes with the next step.
        paint.text(buffer, place, &format!("{mark}{:>1$}", message + 1, widths.number), styles::DIM);
        return;
    };
    let record = shown.record;
    let stream = match widths.stream {
        0 => String::new(),
        width => format!(" {:>1$}", record.stream.0, width - 1),
    };
    let (number, elapsed) = (widths.number, widths.elapsed);
    let lead =
        format!("{mark}{:>number$} {:>elapsed$}{stream} ", shown.number(), format!("{:.6}", shown.elapsed()));
    let (arrow, style) = match is_sent(record, state.local) {
        true => ("→", styles::SENT),
        false => ("←", styles::RECEIVED),
    };
    let (text, tail, fold) = said(state, row, &shown, paint);
    let severity = state.entries.get(message as usize).and_then(|entry| entry.severity());
    let (glyph, of_finding) =
        severity.map_or((" ", styles::PLAIN), |severity| (paint.glyph(severity), styles::severity(severity)));
    let mut rest = place;
    let mut say = |text: &str, style| {
        let used = paint.text(buffer, rest, text, style);
        rest = after(rest, used);
    };
    say(&lead, styles::DIM);
    say(&pad(arrow, 2), style);
    say(&format!("{glyph} "), of_finding);
    say(fold, styles::PLAIN);
    let room = usize::from(rest.2);
    let width = if tail.is_empty() { 0 } else { paint.columns(&tail) + 2 };
    let width = if width * 2 > room { 0 } else { width };
    let text = fit(&text, room - width);
    let name = record.body.message();
    let end = (rest.0, rest.1, rest.2);
    let mut say = |text: &str, style| {
        let used = paint.text(buffer, rest, text, style);
        rest = after(rest, used);
    };
    match text.strip_prefix(name) {
        Some(after_name) if row.count == 1 => {
            say(name, styles::HEADING);
            say(after_name, styles::PLAIN);
        }
        _ => say(&text, styles::PLAIN),
    }
    if width > 0 {
        let used = u16::try_from(paint.columns(&tail)).unwrap_or(end.2);
        paint.text(buffer, after(end, end.2.saturating_sub(used)), &tail, styles::PLAIN);
    }
    if is_chosen {
        let area = ratatui::layout::Rect::new(place.0, place.1, place.2, 1);
        buffer.set_style(area, paint.chosen(state.pane == Pane::List));
    }
}

/// What a row says, what stands at its end, and the glyph of its run.
fn said(state: &State, row: ListRow, first: &Row<'_>, paint: Paint) -> (String, String, &'static str) {
    if row.count > 1 {
        let glyph = paint.fold(true);
        let Some(mut run) = FoldedRun::begin(first) else { return (first.brief(true), String::new(), glyph) };
        let others = row.position + 1..row.position + row.count;
        let others = others.map_while(|position| state.row(state.list.message(position)?));
        for other in others {
            if !run.takes(&other) {
                break;
            }
        }
        let last =
            state.list.message(row.position + row.count - 1).map_or(0, |message| u64::from(message) + 1);
        let run = run.with_more(row.count as u64, last);
        return (format!(" {}", run.text()), run.numbers(), glyph);
    }
    let is_begun = state.list.is_run(row.position) && !state.list.is_within(row.position);
    let tail = first.record.answers.map_or(String::new(), |answer| format!("+{}", span(answer.latency)));
    let glyph = if is_begun { paint.fold(false) } else { "" };
    let text = first.brief(true);
    (if is_begun { format!(" {text}") } else { text }, tail, glyph)
}

/// The columns that were chosen, each as wide as what is on the screen.
fn draw_columns(state: &State, layout: &Layout, paint: Paint, buffer: &mut Buffer) {
    let shown = state.list.rows(layout.list.height.into());
    let texts: Vec<Option<Vec<String>>> = shown
        .iter()
        .map(|row| {
            let shown = state.row(state.list.message(row.position)?)?;
            let text =
                |name| shown.value(name).map_or(String::new(), |value| printable(&cell(&value)).into_owned());
            Some(state.columns.iter().map(|(name, _)| text(name)).collect())
        })
        .collect();
    let many = state.columns.len();
    let widest = usize::from(layout.list.width) * 2 / many.max(2);
    let widths: Vec<usize> = (0..many)
        .map(|at| {
            let content =
                texts.iter().flatten().map(|cells: &Vec<String>| columns(&cells[at])).max().unwrap_or(0);
            content.max(columns(&state.columns[at].1)).min(widest)
        })
        .collect();
    let line = |cells: &[&str]| {
        let cells = cells.iter().zip(&widths).map(|(text, &width)| pad(&fit(text, width), width));
        cells.collect::<Vec<_>>().join("  ")
    };
    let names: Vec<&str> = state.columns.iter().map(|(_, name)| name.as_str()).collect();
    let header = (layout.header.x, layout.header.y, layout.header.width);
    paint.text(buffer, header, &format!(" {}", line(&names)), styles::HEADING);
    for ((row, cells), place) in shown.iter().zip(&texts).zip(rows(layout.list)) {
        let is_chosen = row.position == state.list.cursor();
        let text = cells.as_ref().map_or(String::new(), |cells| {
            let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
            line(&cells)
        });
        let more = match row.count {
            1 => String::new(),
            count => format!("  {} {}", paint.fold(true), counted(count as u64 - 1, "more message")),
        };
        let mark = if is_chosen { ">" } else { " " };
        paint.text(buffer, place, &format!("{mark}{text}{more}"), styles::PLAIN);
        if is_chosen {
            let area = ratatui::layout::Rect::new(place.0, place.1, place.2, 1);
            buffer.set_style(area, paint.chosen(state.pane == Pane::List));
        }
    }
}
