//! The screens beside the messages: tables of conversations and findings, the map of pieces and the rates. Their rows lead to
//! messages.

use bittrace_report::Course;
use bittrace_trace::record::Severity;

use super::detail::scrolled;
use super::pictures::{map_lines, rates_lines};
use super::tables::{TableRow, Tables};
use crate::print::connection_table;
use crate::print::lines::{LineColumn, render_lines};
use crate::print::output::Look;
use crate::query::row::CaptureContext;

/// A screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    Messages,
    Conversations,
    Pieces,
    Findings,
    Rates,
}

impl Screen {
    /// All screens, in the order of their numbers.
    pub(crate) const ALL: [Self; 5] =
        [Self::Messages, Self::Conversations, Self::Pieces, Self::Findings, Self::Rates];

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Conversations => "conversations",
            Self::Pieces => "pieces",
            Self::Findings => "findings",
            Self::Rates => "rates",
        }
    }

    /// The next one.
    pub(crate) fn next(self) -> Self {
        let at = Self::ALL.iter().position(|screen| *screen == self).unwrap_or_default();
        Self::ALL[(at + 1) % Self::ALL.len()]
    }
}

const FINDING_COLUMNS: [LineColumn; 5] = [
    LineColumn::text("severity", 8),
    LineColumn::number("times"),
    LineColumn::number("first"),
    LineColumn::text("rule", 10),
    LineColumn::text("finding", 20),
];

/// The tables.
#[derive(Debug, Default)]
pub(crate) struct Screens {
    /// What each capture has.
    tables: Vec<Tables>,
    conversations: Table,
    pieces: Table,
    findings: Table,
    rates: Table,
}

/// The rows of one screen.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The headings.
    pub(crate) heading: String,
    pub(crate) lines: Vec<TableLine>,
    /// The headings of columns for which there was no room.
    pub(crate) left_out: Vec<&'static str>,
    pub(crate) cursor: usize,
    pub(crate) top: usize,
}

/// A row as text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TableLine {
    pub(crate) text: String,
    pub(crate) severity: Option<Severity>,
    /// The capture of its messages, and the filter that shows them; `None` for a heading, and where there are none.
    pub(crate) leads_to: Option<(u16, String)>,
}

impl Screens {
    /// Takes in the rows of a capture, in place of those that it had.
    pub(crate) fn take(&mut self, tables: Tables) {
        match self.tables.iter_mut().find(|known| known.capture == tables.capture) {
            Some(known) => *known = tables,
            None => self.tables.push(tables),
        }
    }

    /// Makes lines of the rows, for a screen of this width.
    pub(crate) fn lay_out(&mut self, width: u16, captures: &[CaptureContext]) {
        self.conversations.lay_out(&self.tables, &connection_table::COLUMNS, width, captures, |tables| {
            &tables.conversations
        });
        self.findings.lay_out(&self.tables, &FINDING_COLUMNS, width, captures, |tables| &tables.findings);
        self.pieces.draw(&self.tables, width, map_lines);
        self.rates.draw(&self.tables, width, rates_lines);
    }

    /// The table of a screen; `None` of messages.
    pub(crate) const fn of(&self, screen: Screen) -> Option<&Table> {
        match screen {
            Screen::Messages => None,
            Screen::Conversations => Some(&self.conversations),
            Screen::Pieces => Some(&self.pieces),
            Screen::Findings => Some(&self.findings),
            Screen::Rates => Some(&self.rates),
        }
    }

    /// The same, to move in.
    pub(crate) const fn of_mut(&mut self, screen: Screen) -> Option<&mut Table> {
        match screen {
            Screen::Messages => None,
            Screen::Conversations => Some(&mut self.conversations),
            Screen::Pieces => Some(&mut self.pieces),
            Screen::Findings => Some(&mut self.findings),
            Screen::Rates => Some(&mut self.rates),
        }
    }

    /// Has the chosen rows be on a screen of this height.
    pub(crate) fn settle(&mut self, height: usize) {
        for table in [&mut self.conversations, &mut self.pieces, &mut self.findings, &mut self.rates] {
            table.cursor = table.cursor.min(table.lines.len().saturating_sub(1));
            table.top = scrolled(table.top, table.cursor, table.lines.len(), height);
        }
    }
}

impl Table {
    fn lay_out(
        &mut self,
        tables: &[Tables],
        columns: &[LineColumn],
        width: u16,
        captures: &[CaptureContext],
        rows: impl Fn(&Tables) -> &[TableRow],
    ) {
        // The glyph of the row stands in the indent.
        let look = Look { width: width.into(), colour: false };
        let all: Vec<(u16, &TableRow)> =
            tables.iter().flat_map(|tables| rows(tables).iter().map(|row| (tables.capture, row))).collect();
        let cells: Vec<Vec<String>> = all.iter().map(|(_, row)| row.cells.clone()).collect();
        let rendered = render_lines(columns, &cells, look);
        let mut text = rendered.text.lines();
        self.heading = text.next().unwrap_or_default().to_owned();
        self.left_out = rendered.left_out;
        self.lines.clear();
        let mut named = None;
        for ((capture, row), text) in all.into_iter().zip(text) {
            if tables.len() > 1 && named != Some(capture) {
                named = Some(capture);
                let name = captures.get(usize::from(capture)).map_or("", |context| &context.capture);
                let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
                self.lines.push(TableLine { text: format!("  {name}"), severity: None, leads_to: None });
            }
            self.lines.push(TableLine {
                text: text.to_owned(),
                severity: row.severity,
                leads_to: row.filter.clone().map(|filter| (capture, filter)),
            });
        }
        self.cursor = self.cursor.min(self.lines.len().saturating_sub(1));
    }

    /// Takes the lines of a picture of each capture that is read.
    fn draw(&mut self, tables: &[Tables], width: u16, lines: fn(&Course, u16, u16) -> Vec<TableLine>) {
        let read = tables.iter().filter_map(|tables| Some((tables.capture, tables.course.as_deref()?)));
        self.lines = read.flat_map(|(capture, course)| lines(course, capture, width)).collect();
        self.cursor = self.cursor.min(self.lines.len().saturating_sub(1));
    }

    /// Moves by so many rows.
    pub(crate) fn move_by(&mut self, rows: isize) {
        let last = self.lines.len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(rows).min(last);
    }
}
