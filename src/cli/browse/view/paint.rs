//! Text, colours and glyphs of the screen: text of peers is made printable here, colours are left out where they are not
//! wanted, and glyphs have a form in ASCII.

use anstyle::{AnsiColor, Effects};
use bittrace_trace::record::Severity;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use super::Span;
use crate::print::printable::{plain_ascii, undisguised};
use crate::print::table::columns;

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paint {
    /// Whether to colour. Without, bold and reverse carry what is chosen, and glyphs how much a finding matters.
    pub(crate) colour: bool,
    /// Whether plain ASCII alone is shown.
    pub(crate) ascii: bool,
}

/// The steps of a bar, from low to high.
const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII_BARS: [&str; 5] = ["_", ".", "-", "=", "#"];

impl Paint {
    /// Writes a text at a place, cut to its columns; how many columns it takes.
    pub(super) fn text(self, buffer: &mut Buffer, place: Span, text: &str, style: anstyle::Style) -> u16 {
        self.styled(buffer, place, text, self.style(style))
    }

    /// The same in a style of the screen.
    pub(super) fn styled(self, buffer: &mut Buffer, (x, y, width): Span, text: &str, style: Style) -> u16 {
        let text = if self.ascii { plain_ascii(text) } else { undisguised(text) };
        let (end, _) = buffer.set_stringn(x, y, &text, width.into(), style);
        end - x
    }

    /// How many columns a text takes.
    pub(super) fn columns(self, text: &str) -> usize {
        if self.ascii { plain_ascii(text).len() } else { columns(&undisguised(text)) }
    }

    /// A style of tables as one of the screen.
    pub(super) fn style(self, style: anstyle::Style) -> Style {
        let mut painted = Style::new();
        let effects = style.get_effects();
        if effects.contains(Effects::BOLD) {
            painted = painted.add_modifier(Modifier::BOLD);
        }
        if !self.colour {
            return painted;
        }
        if effects.contains(Effects::DIMMED) {
            painted = painted.add_modifier(Modifier::DIM);
        }
        match style.get_fg_color() {
            Some(anstyle::Color::Ansi(colour)) => painted.fg(of_ansi(colour)),
            _ => painted,
        }
    }

    /// What is chosen in the pane that keys move in, or in another one.
    pub(super) fn chosen(self, has_focus: bool) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if has_focus { style.add_modifier(Modifier::REVERSED) } else { style }
    }

    /// The glyph of a finding.
    pub(super) const fn glyph(self, severity: Severity) -> &'static str {
        match (severity, self.ascii) {
            (Severity::Error, false) => "✕",
            (Severity::Warn, false) => "▲",
            (Severity::Note, false) => "●",
            (Severity::Error, true) => "x",
            (Severity::Warn, true) => "!",
            (Severity::Note, true) => "*",
            (Severity::Chat, _) => " ",
        }
    }

    /// The glyph of a run that is folded, or opened.
    pub(super) const fn fold(self, is_folded: bool) -> &'static str {
        match (is_folded, self.ascii) {
            (true, false) => "▸",
            (false, false) => "▾",
            (true, true) => "+",
            (false, true) => "-",
        }
    }

    /// The line between panes.
    pub(super) const fn rule(self) -> &'static str {
        if self.ascii { "-" } else { "─" }
    }

    /// The line between panes side by side.
    pub(super) const fn border(self) -> &'static str {
        if self.ascii { "|" } else { "│" }
    }

    /// The bars of a strip, from low to high.
    pub(super) const fn bars(self) -> &'static [&'static str] {
        if self.ascii { &ASCII_BARS } else { &BARS }
    }

    /// A row of the line between panes.
    pub(super) fn ruled(self, buffer: &mut Buffer, place: Span) {
        self.text(buffer, place, &self.rule().repeat(place.2.into()), crate::print::output::styles::DIM);
    }
}

/// What is left of a place after some columns.
pub(super) const fn after((x, y, width): Span, columns: u16) -> Span {
    let columns = if columns > width { width } else { columns };
    (x + columns, y, width - columns)
}

const fn of_ansi(colour: AnsiColor) -> Color {
    match colour {
        AnsiColor::Black => Color::Black,
        AnsiColor::Red => Color::Red,
        AnsiColor::Green => Color::Green,
        AnsiColor::Yellow => Color::Yellow,
        AnsiColor::Blue => Color::Blue,
        AnsiColor::Magenta => Color::Magenta,
        AnsiColor::Cyan => Color::Cyan,
        AnsiColor::White => Color::Gray,
        AnsiColor::BrightBlack => Color::DarkGray,
        AnsiColor::BrightRed => Color::LightRed,
        AnsiColor::BrightGreen => Color::LightGreen,
        AnsiColor::BrightYellow => Color::LightYellow,
        AnsiColor::BrightBlue => Color::LightBlue,
        AnsiColor::BrightMagenta => Color::LightMagenta,
        AnsiColor::BrightCyan => Color::LightCyan,
        AnsiColor::BrightWhite => Color::White,
    }
}
