//! The pane of the chosen message's bytes: offset, hexadecimal digits, text; those of the chosen field in brackets.

use bittrace_trace::units::count;
use ratatui::buffer::Buffer;
use ratatui::style::{Modifier, Style};

use super::fields::title_style;
use super::{Paint, above, rows};
use crate::browse::layout::{Layout, Pane};
use crate::browse::state::State;
use crate::print::output::styles;

pub(super) fn draw(state: &State, layout: &Layout, paint: Paint, buffer: &mut Buffer) {
    let area = layout.bytes;
    let title = above(area);
    let has_focus = state.pane == Pane::Bytes;
    if area.y != layout.fields.y {
        paint.ruled(buffer, title);
    }
    let message = state.list.selected().and_then(|message| state.record(message));
    let Some(record) = message else { return };
    let per_row = layout.bytes_on_a_row();
    let all = record.bytes.len();
    let first = state.detail.bytes_top * per_row;
    let end = (first + per_row * usize::from(area.height)).min(all);
    let text = match all {
        0 => " no bytes ".to_owned(),
        _ => format!(" bytes {} to {} of {} ", count(first as u64), count(end as u64 - 1), count(all as u64)),
    };
    paint.styled(buffer, title, &text, title_style(paint, has_focus));
    let span = state.detail.span().unwrap_or_default();
    let digits = digits(all);
    let chosen = paint.chosen(has_focus);
    for (at, (x, y, width)) in (first..end).step_by(per_row).zip(rows(area)) {
        let bytes = &record.bytes[at..(at + per_row).min(end)];
        paint.text(buffer, (x, y, width), &format!("{at:0digits$x}"), styles::DIM);
        let mut put = |column: usize, text: &str, style: Style| {
            if let Some(left) = usize::from(width).checked_sub(column) {
                paint.styled(buffer, (x + column as u16, y, left as u16), text, style);
            }
        };
        for (place, byte) in bytes.iter().enumerate() {
            let offset = at + place;
            let is_chosen = span.contains(&offset);
            let mut style = if is_chosen { chosen } else { Style::new() };
            if has_focus && offset == state.detail.byte {
                style = style.add_modifier(Modifier::UNDERLINED);
            }
            put(digits + 2 + 3 * place, &format!("{byte:02x}"), style);
            let c = if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
            put(digits + 3 + 3 * per_row + place, c.encode_utf8(&mut [0; 4]), style);
            if is_chosen && (offset == span.start || place == 0) {
                put(digits + 1 + 3 * place, "[", Style::new());
            }
            if is_chosen && (offset + 1 == span.end || place + 1 == bytes.len()) {
                put(digits + 4 + 3 * place, "]", Style::new());
            }
        }
    }
}

/// How many digits an offset has in a message of so many bytes.
fn digits(length: usize) -> usize {
    let digits = (length.max(2) - 1).ilog2() as usize / 4 + 1;
    digits.max(4)
}

/// The byte of a row that stands at a column of the pane, for a message of `length` bytes.
pub(crate) fn byte_at(column: usize, length: usize, per_row: usize) -> Option<usize> {
    let digits = digits(length);
    let text = digits + 3 + 3 * per_row;
    let byte = match column {
        column if column >= text => column - text,
        column => column.checked_sub(digits + 1)? / 3,
    };
    (byte < per_row).then_some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_on_digits_or_text_is_on_the_byte() {
        assert_eq!(byte_at(3, 17, 8), None);
        assert_eq!(byte_at(6, 17, 8), Some(0));
        assert_eq!(byte_at(9, 17, 8), Some(1));
        assert_eq!(byte_at(4 + 3 + 24, 17, 8), Some(0));
        assert_eq!(byte_at(4 + 3 + 24 + 7, 17, 8), Some(7));
        assert_eq!(byte_at(4 + 3 + 24 + 8, 17, 8), None);
    }

    #[test]
    fn offsets_have_room_for_the_longest_message() {
        assert_eq!([0, 1, 0x1_0000, 0x1_0001, 16 << 20].map(digits), [4, 4, 4, 5, 6]);
    }
}
