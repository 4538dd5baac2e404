//! The messages that are shown, as rows: all of them or those that a filter chooses, runs folded or opened, and the row that
//! the cursor is on. A *position* is a place among the shown messages, a *message* one in the index.

use std::collections::BTreeSet;

use bittrace_trace::Record;

use super::index::Entry;
use crate::print::message_table::message_run::FoldedRun;
use crate::query::filter::Filter;
use crate::query::row::{CaptureContext, Row};

/// The list of messages.
#[derive(Debug, Default)]
pub(crate) struct List {
    filter: Option<Chosen>,
    /// The positions at which a run begins, or a message that is in none, in their order: of all messages.
    heads: Vec<u32>,
    /// How many messages the index has.
    messages: usize,
    /// The runs that are opened, by their first message.
    open: BTreeSet<u32>,
    cursor: usize,
    top: usize,
    /// The message to go to, once the filter has come that far.
    target: Option<u32>,
    /// Whether the cursor jumped: what stands around it is to be seen too.
    jumped: bool,
}

/// What a filter has chosen so far.
#[derive(Debug)]
struct Chosen {
    text: String,
    filter: Filter,
    messages: Vec<u32>,
    heads: Vec<u32>,
    /// How many messages were looked at.
    scanned: usize,
    run: Option<FoldedRun>,
}

/// A row on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListRow {
    /// The position of its message, of a folded run the first.
    pub(crate) position: usize,
    /// How many messages it stands for.
    pub(crate) count: usize,
}

impl List {
    /// How many messages are shown.
    pub(crate) fn len(&self) -> usize {
        self.filter.as_ref().map_or(self.messages, |chosen| chosen.messages.len())
    }

    /// The message at a position.
    pub(crate) fn message(&self, position: usize) -> Option<u32> {
        match &self.filter {
            Some(chosen) => chosen.messages.get(position).copied(),
            None => (position < self.messages).then_some(position as u32),
        }
    }

    /// The position of a message, or of the next one that is shown, or of the last.
    pub(crate) fn position(&self, message: u32) -> usize {
        let position = match &self.filter {
            Some(chosen) => chosen.messages.partition_point(|&known| known < message),
            None => message as usize,
        };
        position.min(self.len().saturating_sub(1))
    }

    /// Whether a message is shown.
    pub(crate) fn has(&self, message: u32) -> bool {
        self.message(self.position(message)) == Some(message)
    }

    /// The position that the cursor is on.
    pub(crate) const fn cursor(&self) -> usize {
        self.cursor
    }

    /// The message that the cursor is on.
    pub(crate) fn selected(&self) -> Option<u32> {
        self.message(self.cursor)
    }

    /// The filter, as it was written.
    pub(crate) fn filter(&self) -> Option<&str> {
        self.filter.as_ref().map(|chosen| chosen.text.as_str())
    }

    /// Takes in new messages of the index.
    pub(crate) fn add(&mut self, entries: &[Entry]) {
        for (at, entry) in entries.iter().enumerate() {
            if !entry.continues {
                self.heads.push((self.messages + at) as u32);
            }
        }
        self.messages += entries.len();
    }

    /// Shows what `filter` chooses, or all messages, and goes to `message` or to what comes after it.
    pub(crate) fn show(&mut self, filter: Option<(String, Filter)>, message: Option<u32>) {
        self.filter = filter.map(|(text, filter)| Chosen {
            text,
            filter,
            messages: Vec::new(),
            heads: Vec::new(),
            scanned: 0,
            run: None,
        });
        self.open.clear();
        (self.cursor, self.top, self.target) = (0, 0, None);
        match (&self.filter, message) {
            (Some(_), message) => self.target = message,
            (None, Some(message)) => self.go_to(self.position(message)),
            (None, None) => {}
        }
    }

    /// How many messages the filter has not looked at.
    pub(crate) fn unscanned(&self) -> usize {
        self.filter.as_ref().map_or(0, |chosen| self.messages - chosen.scanned)
    }

    /// The first message that the filter has not looked at.
    pub(crate) fn next_to_scan(&self) -> usize {
        self.filter.as_ref().map_or(0, |chosen| chosen.scanned)
    }

    /// Lets the filter look at the next message.
    pub(crate) fn scan(&mut self, record: &Record, context: &CaptureContext) {
        let Some(chosen) = &mut self.filter else { return };
        let message = chosen.scanned as u32;
        chosen.scanned += 1;
        let row = Row::new(record, context);
        if chosen.filter.matches(&row) {
            if !chosen.run.as_mut().is_some_and(|run| run.takes(&row)) {
                chosen.heads.push(chosen.messages.len() as u32);
                chosen.run = FoldedRun::begin(&row);
            }
            chosen.messages.push(message);
        }
        let (found, scanned) = (chosen.messages.len(), chosen.scanned);
        if let Some(target) = self.target
            && found > 0
        {
            self.cursor = self.head(self.position(target));
            if self.message(self.cursor) >= Some(target) || scanned == self.messages {
                self.target = None;
            }
        }
    }

    fn heads(&self) -> &[u32] {
        self.filter.as_ref().map_or(&self.heads, |chosen| &chosen.heads)
    }

    /// The run that has a position: where it begins, and where the next one does.
    fn run(&self, position: usize) -> (usize, usize) {
        let heads = self.heads();
        let next = heads.partition_point(|&head| head as usize <= position);
        let begin = next.checked_sub(1).map_or(0, |at| heads[at] as usize);
        (begin, heads.get(next).map_or(self.len(), |&head| head as usize))
    }

    /// The row that stands for a position.
    pub(crate) fn row(&self, position: usize) -> ListRow {
        let (begin, end) = self.run(position);
        match end - begin > 1 && !self.is_open(begin) {
            true => ListRow { position: begin, count: end - begin },
            false => ListRow { position, count: 1 },
        }
    }

    /// The position of the row that stands for a position.
    fn head(&self, position: usize) -> usize {
        self.row(position).position
    }

    /// Whether the row of a position can be opened or folded.
    pub(crate) fn is_run(&self, position: usize) -> bool {
        let (begin, end) = self.run(position);
        end - begin > 1
    }

    /// Whether a position is within a run, after its first message.
    pub(crate) fn is_within(&self, position: usize) -> bool {
        self.run(position).0 < position
    }

    fn is_open(&self, begin: usize) -> bool {
        self.message(begin).is_some_and(|message| self.open.contains(&message))
    }

    /// Opens or folds the run under the cursor; whether there is one.
    pub(crate) fn toggle(&mut self) -> bool {
        let (begin, end) = self.run(self.cursor);
        let Some(message) = self.message(begin).filter(|_| end - begin > 1) else { return false };
        if !self.open.remove(&message) {
            self.open.insert(message);
        }
        self.cursor = begin;
        true
    }

    /// Puts the cursor on a position; a run that has it within stays folded.
    pub(crate) fn go_to(&mut self, position: usize) {
        self.target = None;
        self.cursor = self.head(position.min(self.len().saturating_sub(1)));
    }

    /// Puts the cursor on a position, and opens the run that has it within.
    pub(crate) fn reveal(&mut self, position: usize) {
        let (begin, end) = self.run(position);
        if end - begin > 1
            && begin != position
            && let Some(message) = self.message(begin)
        {
            self.open.insert(message);
        }
        self.go_to(position);
        self.jumped = true;
    }

    /// Moves the cursor by so many rows.
    pub(crate) fn move_by(&mut self, rows: isize) {
        self.target = None;
        for _ in 0..rows.unsigned_abs() {
            let row = self.row(self.cursor);
            match rows > 0 {
                true if row.position + row.count < self.len() => self.cursor = row.position + row.count,
                false if row.position > 0 => self.cursor = self.head(row.position - 1),
                _ => return,
            }
        }
    }

    /// Whether the cursor is on the last row.
    pub(crate) fn is_at_end(&self) -> bool {
        let row = self.row(self.cursor);
        row.position + row.count >= self.len()
    }

    /// Has the cursor be on a screen of `height` rows. The rows are moved as little as needed; after a jump beyond them, the cursor
    /// is in the middle.
    pub(crate) fn settle(&mut self, height: usize) {
        if self.len() == 0 {
            self.top = 0;
            return;
        }
        self.cursor = self.head(self.cursor.min(self.len() - 1));
        self.top = self.head(self.top.min(self.len() - 1));
        let seen = |list: &Self| list.rows(height).iter().any(|row| row.position == list.cursor);
        if std::mem::take(&mut self.jumped) && !seen(self) {
            self.top = self.cursor;
            for _ in 0..height / 2 {
                self.top = self.head(self.top.saturating_sub(1));
            }
        }
        if self.cursor < self.top {
            self.top = self.cursor;
        }
        // From the cursor back: no further than the height.
        let mut lowest = self.cursor;
        for _ in 1..height.max(1) {
            if lowest <= self.top {
                break;
            }
            lowest = self.head(lowest - 1);
        }
        self.top = self.top.max(lowest);
        // No empty rows below while there are messages above.
        let shown = self.rows(height).len();
        for _ in shown..height {
            if self.top == 0 {
                break;
            }
            self.top = self.head(self.top - 1);
        }
    }

    /// The rows of a list of this height.
    pub(crate) fn rows(&self, height: usize) -> Vec<ListRow> {
        let mut rows = Vec::with_capacity(height);
        let mut position = self.top;
        while rows.len() < height && position < self.len() {
            let row = self.row(position);
            position = row.position + row.count;
            rows.push(row);
        }
        rows
    }
}
