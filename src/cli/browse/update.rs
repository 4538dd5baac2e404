//! What keys and the mouse do to the state.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Size};

use super::copied::{command_of, field_of, row_of};
use super::find::Find;
use super::layout::Pane;
use super::prompt::{HISTORY, Prompt, Purpose, Written, parse_columns, parse_needle};
use super::screens::Screen;
use super::state::{Effect, Prefix, State};
use super::view::HELP_LINES;

/// What comes from the terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Input {
    Key(KeyEvent),
    Mouse(MouseEvent),
    Resize(Size),
}

/// How many rows a turn of the wheel moves.
const WHEEL: isize = 3;

impl State {
    /// Takes in a key, the mouse, or another size of the screen.
    pub(crate) fn update(&mut self, input: Input) {
        match input {
            Input::Key(key) => self.key(key),
            Input::Mouse(mouse) => self.mouse(mouse),
            Input::Resize(size) => {
                self.size = size;
                let captures = std::mem::take(&mut self.captures);
                self.screens.lay_out(size.width, &captures);
                self.captures = captures;
            }
        }
        self.settle();
    }

    fn key(&mut self, key: KeyEvent) {
        self.told = None;
        if let Some(prompt) = self.prompt.take() {
            return self.key_in_prompt(prompt, key);
        }
        if let Some(prefix) = self.prefix.take() {
            return self.second_key(prefix, key);
        }
        if let Some(top) = self.help {
            return self.key_in_help(top, key);
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => self.ask(Effect::Quit),
                KeyCode::Char('f') => self.open_prompt(Purpose::Find),
                KeyCode::Char('d') => self.move_by(self.page() / 2),
                KeyCode::Char('u') => self.move_by(-self.page() / 2),
                _ => {}
            };
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => self.go_back(),
            KeyCode::Char('?') => self.help = Some(0),
            KeyCode::Char('j') | KeyCode::Down => self.move_by(1),
            KeyCode::Char('k') | KeyCode::Up => self.move_by(-1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.move_by(self.page()),
            KeyCode::PageUp => self.move_by(-self.page()),
            KeyCode::Char('g') | KeyCode::Home => self.move_by(isize::MIN),
            KeyCode::Char('G') | KeyCode::End => self.move_by(isize::MAX),
            KeyCode::Char('/') => {
                self.screen_of_messages();
                self.open_prompt(Purpose::Filter);
            }
            KeyCode::Char('v') => self.go(self.screen.next(), None),
            KeyCode::Char(digit @ '1'..='9') => {
                let number = digit as usize - '1' as usize;
                if let Some(screen) = Screen::ALL.get(number) {
                    self.go(*screen, None);
                }
            }
            KeyCode::Char('r') => self.ask(Effect::ReadAgain),
            KeyCode::Enter if self.screen != Screen::Messages => self.follow_row(),
            _ if self.screen == Screen::Messages => self.key_in_messages(key.code),
            _ => {}
        }
    }

    fn key_in_messages(&mut self, code: KeyCode) {
        match code {
            KeyCode::Tab => {
                self.pane = match self.pane {
                    Pane::List => Pane::Fields,
                    Pane::Fields => Pane::Bytes,
                    Pane::Bytes => Pane::List,
                }
            }
            KeyCode::BackTab => {
                self.pane = match self.pane {
                    Pane::List => Pane::Bytes,
                    Pane::Fields => Pane::List,
                    Pane::Bytes => Pane::Fields,
                }
            }
            KeyCode::Enter if self.pane == Pane::List => {
                let toggled = self.list.toggle();
                self.pane = if toggled || self.list.len() == 0 { Pane::List } else { Pane::Fields };
            }
            KeyCode::Enter => self.pane = if self.pane == Pane::Fields { Pane::Bytes } else { Pane::Fields },
            KeyCode::Char('z') => match self.list.toggle() {
                true => {}
                false => self.say("no run here"),
            },
            KeyCode::Char('h') | KeyCode::Left => self.sideways(-1),
            KeyCode::Char('l') | KeyCode::Right => self.sideways(1),
            KeyCode::Char('n') => self.go_to_finding(true),
            KeyCode::Char('N') => self.go_to_finding(false),
            KeyCode::Char('a') => self.go_to_answer(),
            KeyCode::Char('f') => self.follow_stream(),
            KeyCode::Char('m') => self.prefix = Some(Prefix::Mark),
            KeyCode::Char('\'') => self.prefix = Some(Prefix::GoTo),
            KeyCode::Char('y') => self.prefix = Some(Prefix::Copy),
            KeyCode::Char('c') => self.open_prompt(Purpose::Columns),
            KeyCode::Char('w') => match self.saving {
                None => self.open_prompt(Purpose::Save),
                Some(_) => self.say("a file is being written already"),
            },
            _ => {}
        }
    }

    /// The rows of a page, in the pane that keys move in.
    fn page(&self) -> isize {
        let rows = self.layout().map_or(1, |layout| match (self.screen, self.pane) {
            (Screen::Messages, Pane::List) => layout.list.height,
            (Screen::Messages, Pane::Fields) => layout.fields.height,
            (Screen::Messages, Pane::Bytes) => layout.bytes.height,
            _ => layout.table().height,
        });
        isize::from(rows.saturating_sub(1).max(1).cast_signed())
    }

    fn move_by(&mut self, rows: isize) {
        if let Some(table) = self.screens.of_mut(self.screen) {
            return table.move_by(rows);
        }
        match self.pane {
            Pane::List => {
                match rows {
                    isize::MIN => self.list.go_to(0),
                    isize::MAX => self.list.go_to(usize::MAX),
                    rows => self.list.move_by(rows),
                }
                // Whoever moves up wants to read there while more comes.
                self.follows_end = rows > 0 && !self.is_read && self.list.is_at_end();
            }
            Pane::Fields => self.detail.go_to_line(self.detail.line.saturating_add_signed(rows)),
            Pane::Bytes => {
                let per_row = self.layout().map_or(8, |layout| layout.bytes_on_a_row());
                let by = rows.saturating_mul(per_row as isize);
                let to = self.detail.byte.checked_add_signed(by);
                match to {
                    Some(to) if to < self.detail.length => self.detail.go_to_byte(to),
                    _ if rows == isize::MIN => self.detail.go_to_byte(0),
                    _ if rows == isize::MAX => self.detail.go_to_byte(usize::MAX),
                    _ => {}
                }
            }
        }
    }

    fn sideways(&mut self, by: isize) {
        match self.pane {
            Pane::Bytes => self.detail.go_to_byte(self.detail.byte.saturating_add_signed(by)),
            Pane::Fields if by > 0 => self.pane = Pane::Bytes,
            Pane::Fields => self.pane = Pane::List,
            Pane::List if by > 0 && self.list.len() > 0 => self.pane = Pane::Fields,
            Pane::List => {}
        }
    }

    fn screen_of_messages(&mut self) {
        if self.screen != Screen::Messages {
            self.go(Screen::Messages, None);
        }
        self.pane = Pane::List;
    }

    /// Shows the messages of the row that is chosen.
    fn follow_row(&mut self) {
        let line = self.screens.of(self.screen).and_then(|table| table.lines.get(table.cursor));
        match line.and_then(|line| line.leads_to.clone()) {
            Some((capture, filter)) => {
                let filter = self.filter_in(capture, &filter);
                self.go(Screen::Messages, Some(&filter));
            }
            None => self.say("this row has no messages"),
        }
    }

    /// The next message with a finding, or the one before, among those that are shown.
    fn go_to_finding(&mut self, forward: bool) {
        let row = self.list.row(self.list.cursor());
        let has = |position: &usize| {
            let entry = self.list.message(*position).and_then(|message| self.entries.get(message as usize));
            entry.is_some_and(|entry| entry.severity().is_some())
        };
        let found = match forward {
            true => (self.list.cursor() + 1..self.list.len()).find(has),
            false => (0..row.position).rev().find(has),
        };
        match found {
            Some(position) => self.list.reveal(position),
            None if forward => self.say("no finding after this message"),
            None => self.say("no finding before this message"),
        }
    }

    /// The message that the chosen one answers, or else the first one that answers it.
    pub(crate) fn answer(&self) -> Option<u32> {
        let message = self.list.selected()?;
        let entry = self.entries.get(message as usize)?;
        let before = u32::try_from(self.captures.get(usize::from(entry.capture))?.before).ok()?;
        if entry.answers > 0 {
            return (before + entry.answers).checked_sub(1);
        }
        let number = message + 1 - before;
        let later = self.entries.iter().enumerate().skip(message as usize + 1).take(ANSWERED_WITHIN);
        let answers = |(_, other): &(usize, &super::index::Entry)| {
            other.answers == number && other.capture == entry.capture
        };
        later.into_iter().find(answers).map(|(at, _)| at as u32)
    }

    fn go_to_answer(&mut self) {
        let Some(message) = self.answer() else { return self.say("no answer in the capture") };
        if !self.list.has(message) {
            return self.say(format!("message {} is not among those of the filter", message + 1));
        }
        self.list.reveal(self.list.position(message));
    }

    fn follow_stream(&mut self) {
        let Some(entry) = self.list.selected().and_then(|message| self.entries.get(message as usize)) else {
            return;
        };
        let filter = self.filter_in(entry.capture, &format!("stream == {}", entry.stream));
        if self.list.filter() == Some(&filter) {
            return self.go_back();
        }
        self.go(Screen::Messages, Some(&filter));
    }

    fn second_key(&mut self, prefix: Prefix, key: KeyEvent) {
        let KeyCode::Char(letter) = key.code else { return };
        match prefix {
            Prefix::Mark if letter.is_alphanumeric() => {
                if let Some(message) = self.list.selected() {
                    self.marks.insert(letter, message);
                    self.say(format!("mark {letter}: message {}; '{letter} comes back", message + 1));
                }
            }
            Prefix::GoTo => match self.marks.get(&letter) {
                Some(&message) if self.list.has(message) => self.list.reveal(self.list.position(message)),
                Some(&message) => {
                    self.say(format!("message {} is not among those of the filter", message + 1));
                }
                None => self.say(format!("no mark {}", letter.escape_debug())),
            },
            Prefix::Copy => {
                let text = match letter {
                    'r' | 'y' => row_of(self),
                    'f' => field_of(self),
                    'c' => command_of(self),
                    _ => return,
                };
                if let Some(text) = text {
                    self.say(format!("copied: {text}"));
                    self.ask(Effect::Copy(text));
                }
            }
            Prefix::Mark => {}
        }
    }

    fn key_in_help(&mut self, top: usize, key: KeyEvent) {
        let last = HELP_LINES.saturating_sub(1);
        self.help = match key.code {
            KeyCode::Char('q' | '?') | KeyCode::Esc => None,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                self.ask(Effect::Quit);
                None
            }
            KeyCode::Char('j') | KeyCode::Down => Some((top + 1).min(last)),
            KeyCode::Char('k') | KeyCode::Up => Some(top.saturating_sub(1)),
            KeyCode::PageDown | KeyCode::Char(' ') => Some((top + 10).min(last)),
            KeyCode::PageUp => Some(top.saturating_sub(10)),
            _ => Some(top),
        };
    }

    fn key_in_prompt(&mut self, mut prompt: Prompt, key: KeyEvent) {
        let history = self.histories.entry(history_of(prompt.purpose)).or_default();
        match prompt.key(key, history) {
            Written::On => self.prompt = Some(prompt),
            Written::Cancelled => {}
            Written::Done(text) => {
                if !text.trim().is_empty() && history.last() != Some(&text) {
                    history.push(text.clone());
                    if history.len() > HISTORY {
                        history.remove(0);
                    }
                }
                self.finish(prompt, text);
            }
        }
    }

    fn finish(&mut self, mut prompt: Prompt, text: String) {
        match prompt.purpose {
            Purpose::Filter => {
                let text = text.trim();
                if text != self.list.filter().unwrap_or_default() {
                    self.go(Screen::Messages, Some(text));
                }
            }
            Purpose::Columns => match parse_columns(&text) {
                Ok(columns) => self.columns = columns,
                Err(fault) => {
                    prompt.refuse(fault.what);
                    self.prompt = Some(prompt);
                }
            },
            Purpose::Find if text.is_empty() => {}
            Purpose::Find => {
                if let (Ok(needle), many @ 1..) = (parse_needle(&text), self.list.len()) {
                    let next = (self.list.cursor() + 1) % many;
                    self.find = Some(Find::new(text, needle, next, many));
                }
            }
            Purpose::Save if text.trim().is_empty() => {}
            Purpose::Save => self.ask(Effect::Save(text.trim().into())),
        }
    }

    fn mouse(&mut self, mouse: MouseEvent) {
        let Some(layout) = self.layout() else { return };
        let at = Position { x: mouse.column, y: mouse.row };
        if self.prompt.is_some() || self.help.is_some() {
            return;
        }
        match mouse.kind {
            MouseEventKind::ScrollDown | MouseEventKind::ScrollUp => {
                if let Some(pane) = layout.pane(at).filter(|_| self.screen == Screen::Messages) {
                    self.pane = pane;
                }
                self.move_by(if mouse.kind == MouseEventKind::ScrollDown { WHEEL } else { -WHEEL });
            }
            MouseEventKind::Down(MouseButton::Left) if self.screen == Screen::Messages => {
                self.told = None;
                self.drags = layout.is_border(at);
                self.click(at);
            }
            MouseEventKind::Down(MouseButton::Left) => {
                let area = layout.table();
                if area.contains(at)
                    && let Some(table) = self.screens.of_mut(self.screen)
                {
                    let row = table.top + usize::from(at.y - area.y);
                    if row < table.lines.len() {
                        let again = table.cursor == row;
                        table.cursor = row;
                        if again {
                            self.follow_row();
                        }
                    }
                }
            }
            MouseEventKind::Drag(MouseButton::Left) if self.drags => {
                self.list_rows = Some(at.y.saturating_sub(layout.list.y));
            }
            MouseEventKind::Up(_) => self.drags = false,
            _ => {}
        }
    }

    fn click(&mut self, at: Position) {
        let Some(layout) = self.layout() else { return };
        match layout.pane(at) {
            Some(Pane::List) => {
                self.pane = Pane::List;
                let rows = self.list.rows(layout.list.height.into());
                if let Some(row) = rows.get(usize::from(at.y - layout.list.y)) {
                    self.follows_end = false;
                    self.list.go_to(row.position);
                }
            }
            Some(Pane::Fields) => {
                self.pane = Pane::Fields;
                self.detail.go_to_line(self.detail.lines_top + usize::from(at.y - layout.fields.y));
            }
            Some(Pane::Bytes) => {
                self.pane = Pane::Bytes;
                let per_row = layout.bytes_on_a_row();
                let row = self.detail.bytes_top + usize::from(at.y - layout.bytes.y);
                if let Some(column) =
                    super::view::byte_at(usize::from(at.x - layout.bytes.x), self.detail.length, per_row)
                {
                    self.detail.go_to_byte(row * per_row + column);
                }
            }
            None => {}
        }
    }
}

/// How many messages after a request its answer is sought: peers answer sooner, and this is looked for with every key.
const ANSWERED_WITHIN: usize = 100_000;

/// The name of the history of a line.
const fn history_of(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Filter => "filter",
        Purpose::Find => "find",
        Purpose::Columns => "columns",
        Purpose::Save => "save",
    }
}
