//! All that the browser is, without any input or output: keys and news go in by [`State::update`] and [`State::take`], effects
//! come out, and the view draws what is here. Records of rows on the screen are asked for by [`State::missing`].

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;

use bittrace_trace::Record;
use bittrace_trace::record::Severity;
use ratatui::layout::Size;

use super::detail::Detail;
use super::find::Find;
use super::index::Entry;
use super::layout::{Layout, Pane};
use super::list::List;
use super::prompt::{Prompt, Purpose};
use super::reader::News;
use super::screens::{Screen, Screens};
use super::strip::Strip;
use crate::print::printable::printable;
use crate::query::filter::Filter;
use crate::query::names::FieldName;
use crate::query::row::{CaptureContext, Row};

/// The browser.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) size: Size,
    /// How many rows the list is to have, where somebody dragged its border.
    pub(crate) list_rows: Option<u16>,
    /// The captures that were begun, in their order.
    pub(crate) captures: Vec<CaptureContext>,
    /// How the captures were named on the command line.
    pub(crate) paths: Vec<PathBuf>,
    /// Their files.
    pub(crate) files: Vec<PathBuf>,
    /// What could not be read: told once more when the browser ends.
    pub(crate) troubles: Vec<anyhow::Error>,
    /// The host that the latest capture is about.
    pub(crate) local: Option<IpAddr>,
    /// Whether no host is local, so that arrows say who opened the connection.
    pub(crate) has_roles: bool,
    /// How many packets were read.
    pub(crate) packets: u64,
    /// Whether all captures are read.
    pub(crate) is_read: bool,
    pub(crate) entries: Vec<Entry>,
    /// How many messages have a highest severity of note, warn and error.
    pub(crate) severities: [u64; 3],
    pub(crate) list: List,
    pub(crate) detail: Detail,
    pub(crate) strip: Strip,
    pub(crate) pane: Pane,
    pub(crate) screen: Screen,
    pub(crate) screens: Screens,
    pub(crate) prompt: Option<Prompt>,
    /// The first of two keys.
    pub(crate) prefix: Option<Prefix>,
    /// The first line of the page of keys, while it is shown.
    pub(crate) help: Option<usize>,
    /// What is told instead of the keys, until the next key.
    pub(crate) told: Option<String>,
    pub(crate) marks: BTreeMap<char, u32>,
    /// The columns of the list; the usual ones where there are none.
    pub(crate) columns: Vec<(FieldName, String)>,
    pub(crate) find: Option<Find>,
    /// How much of a file that is being saved is written, in hundredths.
    pub(crate) saving: Option<u8>,
    /// Whether the cursor stays on the last message while more come.
    pub(crate) follows_end: bool,
    /// Whether the border of the list is being dragged.
    pub(crate) drags: bool,
    /// How to go back.
    pub(super) back: Vec<Step>,
    pub(super) histories: HashMap<&'static str, Vec<String>>,
    /// The message to go to again, once it is read.
    pub(super) return_to: Option<u32>,
    /// Records of rows on the screen.
    records: HashMap<u32, Record>,
    effects: Vec<Effect>,
}

/// The first of two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// `m`, then a letter: marks the message.
    Mark,
    /// `'`, then a letter: goes to the message.
    GoTo,
    /// `y`, then what to copy.
    Copy,
}

/// What is to be done outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Ends the browser.
    Quit,
    /// Hands a text to the clipboard of the terminal.
    Copy(String),
    /// Writes the messages that are shown to a file.
    Save(PathBuf),
    /// Reads the captures anew.
    ReadAgain,
}

/// Where one was.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) screen: Screen,
    pub(super) filter: Option<String>,
    pub(super) message: Option<u32>,
}

/// How many steps back are kept.
const STEPS: usize = 100;

/// How many such errors are kept: a capture has few.
const TROUBLES: usize = 1000;

/// How many records are kept beside those of rows on the screen.
const RECORDS: usize = 512;

/// How many messages of a run are read: its row has no room to name more.
const OF_A_RUN: usize = 64;

impl State {
    /// A browser of these captures on a screen of this size.
    pub(crate) fn new(size: Size, paths: Vec<PathBuf>) -> Self {
        Self {
            size,
            list_rows: None,
            captures: Vec::new(),
            files: Vec::new(),
            troubles: Vec::new(),
            paths,
            local: None,
            has_roles: false,
            packets: 0,
            is_read: false,
            entries: Vec::new(),
            severities: [0; 3],
            list: List::default(),
            detail: Detail::default(),
            strip: Strip::default(),
            pane: Pane::List,
            screen: Screen::Messages,
            screens: Screens::default(),
            prompt: None,
            prefix: None,
            help: None,
            told: None,
            marks: BTreeMap::new(),
            columns: Vec::new(),
            find: None,
            saving: None,
            follows_end: false,
            drags: false,
            back: Vec::new(),
            histories: HashMap::new(),
            return_to: None,
            records: HashMap::new(),
            effects: Vec::new(),
        }
    }

    /// Takes in what the reading tells.
    pub(crate) fn take(&mut self, news: News) {
        match news {
            News::Capture(number, path, context) => match self.captures.get_mut(usize::from(number)) {
                Some(known) => *known = context,
                None => {
                    self.captures.push(context);
                    self.files.push(path);
                }
            },
            News::Messages { entries, local, has_roles } => {
                self.local = local;
                self.has_roles = has_roles;
                for severity in entries.iter().filter_map(Entry::severity) {
                    self.severities[severity_place(severity)] += 1;
                }
                self.strip.add(&entries, self.captures.first().map(|capture| capture.start));
                self.list.add(&entries);
                self.entries.extend_from_slice(&entries);
                if let Some(message) =
                    self.return_to.filter(|&message| (message as usize) < self.entries.len())
                {
                    self.return_to = None;
                    // A filter goes there by itself, when it has come that far.
                    if self.list.filter().is_none() {
                        self.list.go_to(self.list.position(message));
                    }
                } else if self.follows_end {
                    self.list.go_to(usize::MAX);
                }
            }
            News::Tables(tables) => {
                self.screens.take(*tables);
                self.screens.lay_out(self.size.width, &self.captures);
            }
            News::Trouble(error) => {
                self.told = Some(format!("{error:#}"));
                if self.troubles.len() < TROUBLES {
                    self.troubles.push(error);
                }
            }
            News::Done => {
                self.is_read = true;
                self.return_to = None;
            }
        }
    }

    /// Forgets all messages: the captures are read anew. What is shown and where one is are kept.
    pub(crate) fn read_again(&mut self) {
        self.return_to = self.list.selected();
        let filter = self.list.filter().and_then(|text| Some((text.to_owned(), Filter::parse(text).ok()?)));
        self.list = List::default();
        self.list.show(filter, self.return_to);
        self.captures.clear();
        self.files.clear();
        self.troubles.clear();
        self.entries.clear();
        self.records.clear();
        self.detail.clear();
        self.find = None;
        self.strip = Strip::default();
        self.screens = Screens::default();
        (self.severities, self.packets, self.is_read) = ([0; 3], 0, false);
    }

    /// What is to be done, once.
    pub(crate) fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(super) fn ask(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(super) fn say(&mut self, text: impl Into<String>) {
        self.told = Some(text.into());
    }

    /// The panes; `None` on a screen that is too small.
    pub(crate) fn layout(&self) -> Option<Layout> {
        Layout::of(self.size, self.list_rows)
    }

    /// The context of a message's capture.
    pub(crate) fn context(&self, message: u32) -> Option<&CaptureContext> {
        self.captures.get(usize::from(self.entries.get(message as usize)?.capture))
    }

    /// The record of a message, where it was read for the screen.
    pub(crate) fn record(&self, message: u32) -> Option<&Record> {
        self.records.get(&message)
    }

    /// A message with its context, where it was read for the screen.
    pub(crate) fn row(&self, message: u32) -> Option<Row<'_>> {
        Some(Row::new(self.record(message)?, self.context(message)?))
    }

    /// The messages whose records the screen needs and that are not here, in their order.
    pub(crate) fn missing(&mut self) -> Vec<u32> {
        self.settle();
        let needed = self.needed();
        if self.records.len() > needed.len() + RECORDS {
            self.records.retain(|message, _| needed.binary_search(message).is_ok());
        }
        needed.into_iter().filter(|message| !self.records.contains_key(message)).collect()
    }

    fn needed(&self) -> Vec<u32> {
        let Some(layout) = self.layout().filter(|_| self.screen == Screen::Messages) else {
            return Vec::new();
        };
        let rows = self.list.rows(layout.list.height.into());
        let positions = rows.iter().flat_map(|row| row.position..row.position + row.count.min(OF_A_RUN));
        let mut needed: Vec<u32> = positions.filter_map(|position| self.list.message(position)).collect();
        needed.extend(self.list.selected());
        needed.sort_unstable();
        needed.dedup();
        needed
    }

    /// Takes in a record that was missing.
    pub(crate) fn provide(&mut self, message: u32, record: Record) {
        self.records.insert(message, record);
    }

    /// Lets the filter look at the next messages.
    pub(crate) fn scanned(&mut self, records: &[Record]) {
        for record in records {
            let message = self.list.next_to_scan();
            let Some(entry) = self.entries.get(message) else { return };
            let Some(context) = self.captures.get(usize::from(entry.capture)) else { return };
            self.list.scan(record, context);
        }
        if self.follows_end {
            self.list.go_to(usize::MAX);
        }
    }

    /// The next messages, at most so many, in which something is sought.
    pub(crate) fn sought(&self, most: usize) -> Option<Vec<u32>> {
        let find = self.find.as_ref()?;
        let positions = (find.next..self.list.len()).take(most.min(find.left));
        Some(positions.filter_map(|position| self.list.message(position)).collect())
    }

    /// Looks at these messages, the next ones, for what is sought, and goes to the first that has it.
    pub(crate) fn searched(&mut self, records: &[Record]) {
        let Some(mut find) = self.find.take() else { return };
        for record in records {
            let message = self.list.message(find.next);
            let context = message.and_then(|message| self.context(message));
            if context.is_some_and(|context| find.matches(record, context)) {
                self.follows_end = false;
                self.list.reveal(find.next);
                let place = find.place_in(record);
                if let Some(message) = message {
                    self.provide(message, record.clone());
                    self.settle();
                }
                if let Some(place) = place {
                    self.detail.go_to_byte(place);
                }
                return;
            }
            find.next = (find.next + 1) % self.list.len().max(1);
            find.left = find.left.saturating_sub(1);
        }
        if find.left == 0 || records.is_empty() {
            return self.say(format!("{} is not among these messages", find.text));
        }
        self.find = Some(find);
    }

    /// Brings everything in order after something changed: what is chosen is on the screen, and the panes show the message
    /// that is chosen.
    pub(crate) fn settle(&mut self) {
        let Some(layout) = self.layout() else { return };
        self.list.settle(layout.list.height.into());
        self.screens.settle(layout.table().height.into());
        let selected = self.list.selected();
        let shown = selected.and_then(|message| {
            let entry = self.entries.get(message as usize)?;
            Some((message, self.records.get(&message)?, self.captures.get(usize::from(entry.capture))?))
        });
        match shown {
            Some((message, record, context)) => {
                let row = Row::new(record, context);
                self.detail.show(message, &row, layout.fields.width.into(), layout.fields.height.into());
            }
            None if selected.is_none() => self.detail.clear(),
            // Its record comes with the next step.
            None => {}
        }
        let (lines, rows) = (layout.fields.height.into(), layout.bytes.height.into());
        self.detail.settle(lines, rows, layout.bytes_on_a_row());
    }

    /// Shows the messages of a filter; all for an empty one. `false` where it is none.
    pub(super) fn choose(&mut self, text: &str, message: Option<u32>) -> bool {
        let text = text.trim();
        self.find = None;
        if text.is_empty() {
            self.list.show(None, message);
            return true;
        }
        match Filter::parse(text) {
            Ok(filter) => {
                self.list.show(Some((text.to_owned(), filter)), message);
                true
            }
            Err(error) => {
                self.say(printable(error.what()).into_owned());
                false
            }
        }
    }

    /// Goes to a screen and filter, from which the way back leads to where one is.
    pub(super) fn go(&mut self, screen: Screen, filter: Option<&str>) {
        let here = Step {
            screen: self.screen,
            filter: self.list.filter().map(str::to_owned),
            message: self.list.selected(),
        };
        let is_here =
            here.screen == screen && filter.is_none_or(|filter| Some(filter) == here.filter.as_deref());
        if is_here {
            return;
        }
        let message = here.message;
        if self.back.len() == STEPS {
            self.back.remove(0);
        }
        self.back.push(here);
        self.screen = screen;
        self.pane = Pane::List;
        if let Some(filter) = filter {
            self.choose(filter, message);
        }
    }

    /// One step back; at the bottom the browser ends.
    pub(super) fn go_back(&mut self) {
        if self.find.take().is_some() {
            return self.say("search ended");
        }
        if self.screen == Screen::Messages && self.pane != Pane::List {
            self.pane = Pane::List;
            return;
        }
        let Some(step) = self.back.pop() else { return self.ask(Effect::Quit) };
        self.screen = step.screen;
        if step.filter.as_deref() != self.list.filter() {
            self.choose(&step.filter.unwrap_or_default(), step.message);
        }
    }

    /// Whether the way back ends the browser.
    pub(crate) fn is_at_bottom(&self) -> bool {
        self.back.is_empty()
            && self.find.is_none()
            && (self.screen != Screen::Messages || self.pane == Pane::List)
    }

    /// Opens the line for a purpose.
    pub(super) fn open_prompt(&mut self, purpose: Purpose) {
        let text = match purpose {
            Purpose::Filter => self.list.filter().unwrap_or_default().to_owned(),
            Purpose::Columns => {
                let names: Vec<_> = self.columns.iter().map(|(_, name)| name.as_str()).collect();
                names.join(",")
            }
            Purpose::Find | Purpose::Save => String::new(),
        };
        self.prompt = Some(Prompt::new(purpose, &text));
    }

    /// The filter that shows one stream of one of the captures.
    pub(super) fn filter_in(&self, capture: u16, filter: &str) -> String {
        match (self.paths.len(), self.captures.get(usize::from(capture))) {
            (2.., Some(context)) => {
                let name = context.capture.replace('\\', "\\\\").replace('"', "\\\"");
                format!("{filter} && capture == \"{name}\"")
            }
            _ => filter.to_owned(),
        }
    }
}

/// The place of a severity among note, warn and error.
pub(crate) const fn severity_place(severity: Severity) -> usize {
    match severity {
        Severity::Chat | Severity::Note => 0,
        Severity::Warn => 1,
        Severity::Error => 2,
    }
}
