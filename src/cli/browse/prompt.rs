//! The line in which a filter, a text to find, columns or a file's name is written: with a history, completion of names, and
//! what is wrong under its place.

use bittrace_trace::rules::RULES;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::query::catalog::message_names;
use crate::query::filter::Filter;
use crate::query::names::{FieldName, PROTOCOLS, all_names};

/// What the line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Filter,
    Find,
    Columns,
    Save,
}

/// A line that is being written.
#[derive(Debug)]
pub(crate) struct Prompt {
    pub(crate) purpose: Purpose,
    text: Vec<char>,
    cursor: usize,
    /// The place in the history that is shown, and what was written before.
    recalled: Option<(usize, Vec<char>)>,
    completion: Option<Completion>,
    fault: Option<Fault>,
}

/// Names that the word at the cursor may become.
#[derive(Debug)]
struct Completion {
    /// Where the word begins.
    start: usize,
    names: Vec<&'static str>,
    chosen: usize,
}

/// What is wrong, and at which character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) column: usize,
    pub(crate) what: String,
}

/// What became of the line by a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It goes on.
    On,
    /// It was given up.
    Cancelled,
    /// It is finished.
    Done(String),
}

/// The longest line: a filter that is longer is better written in a script.
const LONGEST: usize = 4096;

/// How many lines each history keeps.
pub(crate) const HISTORY: usize = 100;

impl Prompt {
    /// A line that begins with `text`.
    pub(crate) fn new(purpose: Purpose, text: &str) -> Self {
        let text: Vec<char> = text.chars().collect();
        let cursor = text.len();
        Self { purpose, text, cursor, recalled: None, completion: None, fault: None }
    }

    /// What is written.
    pub(crate) fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// The cursor's place, in characters.
    pub(crate) const fn cursor(&self) -> usize {
        self.cursor
    }

    /// What is wrong with it.
    pub(crate) const fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// The names that the word at the cursor may become, and which of them it is now.
    pub(crate) fn completion(&self) -> Option<(&[&'static str], usize)> {
        self.completion.as_ref().map(|completion| (completion.names.as_slice(), completion.chosen))
    }

    /// Shows what is wrong although the line was finished.
    pub(crate) fn refuse(&mut self, what: String) {
        self.fault = Some(Fault { column: 0, what });
    }

    /// Takes in a key.
    pub(crate) fn key(&mut self, key: KeyEvent, history: &[String]) -> Written {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if !matches!(key.code, KeyCode::Tab | KeyCode::BackTab) {
            self.completion = None;
        }
        match key.code {
            KeyCode::Esc => return Written::Cancelled,
            KeyCode::Char('c' | 'g') if control => return Written::Cancelled,
            KeyCode::Enter => {
                self.fault = fault(self.purpose, &self.text());
                return if self.fault.is_some() { Written::On } else { Written::Done(self.text()) };
            }
            KeyCode::Tab => self.complete(1),
            KeyCode::BackTab => self.complete(-1),
            KeyCode::Up => self.recall(1, history),
            KeyCode::Down => self.recall(-1, history),
            KeyCode::Left => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Right => self.cursor = (self.cursor + 1).min(self.text.len()),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::Char('e') if control => self.cursor = self.text.len(),
            KeyCode::Char('u') if control => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            KeyCode::Char('w') if control => {
                let start = self.word_before();
                self.text.drain(start..self.cursor);
                self.cursor = start;
            }
            KeyCode::Backspace if self.cursor == 0 && self.text.is_empty() => return Written::Cancelled,
            KeyCode::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.text.remove(self.cursor);
            }
            KeyCode::Delete if self.cursor < self.text.len() => {
                self.text.remove(self.cursor);
            }
            KeyCode::Char(c) if !control && !c.is_control() && self.text.len() < LONGEST => {
                self.text.insert(self.cursor, c);
                self.cursor += 1;
            }
            _ => return Written::On,
        }
        // A filter that is not finished is seldom right: what is wrong is told while it is written, at its place.
        self.fault = match self.purpose {
            Purpose::Filter | Purpose::Columns => fault(self.purpose, &self.text()),
            Purpose::Find | Purpose::Save => None,
        };
        Written::On
    }

    /// Where the word before the cursor begins, with the blanks between.
    fn word_before(&self) -> usize {
        let mut start = self.cursor;
        while start > 0 && self.text[start - 1] == ' ' {
            start -= 1;
        }
        while start > 0 && self.text[start - 1] != ' ' {
            start -= 1;
        }
        start
    }

    fn recall(&mut self, by: isize, history: &[String]) {
        let at = match &self.recalled {
            None if by < 0 => return,
            None => 0,
            Some((at, _)) => match at.checked_add_signed(by) {
                Some(at) => at,
                None => {
                    if let Some((_, draft)) = self.recalled.take() {
                        self.text = draft;
                        self.cursor = self.text.len();
                    }
                    return;
                }
            },
        };
        let Some(line) = history.len().checked_sub(at + 1).and_then(|from_end| history.get(from_end)) else {
            return;
        };
        let draft = self.recalled.take().map_or_else(|| self.text.clone(), |(_, draft)| draft);
        self.recalled = Some((at, draft));
        self.text = line.chars().collect();
        self.cursor = self.text.len();
    }

    /// Completes the word at the cursor, or takes the next name for it.
    fn complete(&mut self, by: isize) {
        if !matches!(self.purpose, Purpose::Filter | Purpose::Columns) {
            return;
        }
        if let Some(completion) = &mut self.completion {
            let many = completion.names.len();
            completion.chosen = (completion.chosen + many).saturating_add_signed(by) % many;
        } else {
            let is_part = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
            let start = self.text[..self.cursor].iter().rposition(|c| !is_part(c)).map_or(0, |at| at + 1);
            let word: String = self.text[start..self.cursor].iter().collect();
            let before: String = self.text[..start].iter().collect();
            let mut names: Vec<_> = candidates(&before).filter(|name| name.starts_with(&word)).collect();
            names.sort_unstable();
            names.dedup();
            if names.is_empty() {
                return;
            }
            // What all have in common comes first; the names themselves with the next Tab.
            let common = common_start(&names);
            if common.len() > word.len() && names.len() > 1 {
                self.replace(start, &common);
                return;
            }
            self.completion = Some(Completion { start, names, chosen: 0 });
        }
        if let Some(Completion { start, names, chosen }) = &self.completion {
            let (start, name) = (*start, names[*chosen]);
            self.replace(start, name);
        }
    }

    fn replace(&mut self, start: usize, word: &str) {
        self.text.splice(start..self.cursor, word.chars());
        self.cursor = start + word.chars().count();
        self.fault = fault(self.purpose, &self.text());
    }
}

/// The names that may stand after `before`: after a comparison the values of a key that has few.
fn candidates(before: &str) -> Box<dyn Iterator<Item = &'static str>> {
    let before = before.trim_end_matches(['"', ' ']);
    let compared =
        ["==", "!=", ">=", "<=", ">", "<"].into_iter().find_map(|operator| before.strip_suffix(operator));
    let key = compared.map(|left| left.trim_end().rsplit([' ', '(', '!']).next().unwrap_or_default());
    match key {
        Some("message") => Box::new(message_names().filter(|name| !name.contains(' '))),
        Some("protocol") => Box::new(PROTOCOLS.iter().copied()),
        Some("rule") => Box::new(RULES.iter().map(|rule| rule.id)),
        Some("severity") => Box::new(["chat", "note", "warn", "error"].into_iter()),
        Some("speaker") => Box::new(["local", "far", "initiator", "responder"].into_iter()),
        Some("transport") => Box::new(["tcp", "udp", "utp"].into_iter()),
        _ => Box::new(all_names().filter(|name| !name.contains(' '))),
    }
}

fn common_start(names: &[&str]) -> String {
    let first = names.first().copied().unwrap_or_default();
    let end = names.iter().map(|name| first.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count());
    first[..end.min().unwrap_or_default()].to_owned()
}

/// What is wrong with a line.
fn fault(purpose: Purpose, text: &str) -> Option<Fault> {
    match purpose {
        Purpose::Filter if text.trim().is_empty() => None,
        Purpose::Filter => {
            let error = Filter::parse(text).err()?;
            Some(Fault { column: error.column(), what: error.what().to_owned() })
        }
        Purpose::Columns => parse_columns(text).err(),
        Purpose::Find => parse_needle(text).err(),
        Purpose::Save => None,
    }
}

/// The columns that a line names; none for an empty line.
pub(crate) fn parse_columns(text: &str) -> Result<Vec<(FieldName, String)>, Fault> {
    let mut columns = Vec::new();
    let mut column = 0;
    for part in text.split(',') {
        let name = part.trim();
        if !name.is_empty() {
            match FieldName::parse(name) {
                Ok(parsed) => columns.push((parsed, name.to_owned())),
                Err(unknown) => {
                    let blanks = part.chars().take_while(|c| *c == ' ').count();
                    return Err(Fault { column: column + blanks, what: unknown.to_string() });
                }
            }
        }
        column += part.chars().count() + 1;
    }
    Ok(columns)
}

/// What is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Needle {
    /// A text, in lower case.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// Reads what is to be found: `0x` before digits means bytes, all else is text.
pub(crate) fn parse_needle(text: &str) -> Result<Needle, Fault> {
    let Some(digits) = text.strip_prefix("0x") else { return Ok(Needle::Text(text.to_lowercase())) };
    let mut nibbles = Vec::new();
    for (at, c) in digits.chars().enumerate().filter(|(_, c)| *c != ' ') {
        let Some(nibble) = c.to_digit(16) else {
            return Err(Fault { column: at + 2, what: "bytes are pairs of hexadecimal digits".to_owned() });
        };
        nibbles.push(nibble as u8);
    }
    if nibbles.is_empty() || nibbles.len() % 2 != 0 {
        return Err(Fault {
            column: text.chars().count(),
            what: "a byte has two hexadecimal digits".to_owned(),
        });
    }
    Ok(Needle::Bytes(nibbles.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(prompt: &mut Prompt, keys: &[KeyCode], history: &[String]) -> Written {
        let mut written = Written::On;
        for &code in keys {
            written = prompt.key(KeyEvent::new(code, KeyModifiers::NONE), history);
        }
        written
    }

    fn write(prompt: &mut Prompt, text: &str) {
        for c in text.chars() {
            typed(prompt, &[KeyCode::Char(c)], &[]);
        }
    }

    #[test]
    fn what_is_wrong_stands_at_its_place_and_keeps_the_line_open() {
        let mut prompt = Prompt::new(Purpose::Filter, "");
        write(&mut prompt, "message == piece && indxe == 3");
        assert_eq!(prompt.fault().map(|fault| fault.column), Some(20));
        assert_eq!(typed(&mut prompt, &[KeyCode::Enter], &[]), Written::On);
        assert!(prompt.fault().unwrap().what.contains("index"), "{:?}", prompt.fault());
    }

    #[test]
    fn names_are_completed_and_values_after_a_comparison() {
        let mut prompt = Prompt::new(Purpose::Filter, "");
        write(&mut prompt, "seve");
        typed(&mut prompt, &[KeyCode::Tab], &[]);
        assert_eq!(prompt.text(), "severity");
        write(&mut prompt, " == wa");
        typed(&mut prompt, &[KeyCode::Tab], &[]);
        assert_eq!(prompt.text(), "severity == warn");
        let mut prompt = Prompt::new(Purpose::Filter, "message == req");
        typed(&mut prompt, &[KeyCode::Tab], &[]);
        assert_eq!(prompt.text(), "message == request");
        assert_eq!(
            typed(&mut prompt, &[KeyCode::Enter], &[]),
            Written::Done("message == request".to_owned())
        );
    }

    #[test]
    fn the_history_gives_back_what_was_written_before() {
        let history = ["n == 1".to_owned(), "n == 2".to_owned()];
        let mut prompt = Prompt::new(Purpose::Filter, "dra");
        typed(&mut prompt, &[KeyCode::Up, KeyCode::Up, KeyCode::Up], &history);
        assert_eq!(prompt.text(), "n == 1");
        typed(&mut prompt, &[KeyCode::Down], &history);
        assert_eq!(prompt.text(), "n == 2");
        typed(&mut prompt, &[KeyCode::Down], &history);
        assert_eq!(prompt.text(), "dra");
    }

    #[test]
    fn columns_and_bytes_are_read() {
        let names =
            |text| parse_columns(text).map(|columns| columns.into_iter().map(|(_, name)| name).collect());
        assert_eq!(names(" n, src ,,index"), Ok(vec!["n".to_owned(), "src".to_owned(), "index".to_owned()]));
        assert_eq!(parse_columns("n,  xyzzy").unwrap_err().column, 4);
        assert_eq!(parse_needle("0x00 0aFf"), Ok(Needle::Bytes(vec![0, 10, 255])));
        assert_eq!(parse_needle("0x0g").unwrap_err().column, 3);
        assert_eq!(parse_needle("0x0").unwrap_err().column, 3);
        assert_eq!(parse_needle("Choke"), Ok(Needle::Text("choke".to_owned())));
    }
}
