//! The browser without a terminal: keys go in, screens come out.

mod screens;
mod scripts;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bittrace_protocol::metainfo::Metainfo;
use bittrace_trace::TraceOptions;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Size;

use super::reader::{News, read};
use super::spool::{Spool, spool};
use super::state::{Effect, State};
use super::update::Input;
use super::view::{Paint, view};
use super::work;

/// A browser of captures that are read.
pub(super) struct Browsed {
    pub(super) state: State,
    pub(super) spool: Spool,
    /// What was to be done outside.
    pub(super) effects: Vec<Effect>,
}

const PLAIN: Paint = Paint { colour: false, ascii: false };

fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name)
}

impl Browsed {
    /// Reads captures of the folder of captures; of the first also its torrent.
    fn of(names: &[&str], width: u16, height: u16) -> Self {
        let stem = names[0].split('.').next().unwrap();
        let torrent = std::fs::read(capture(&format!("{stem}.torrent"))).unwrap();
        let torrents = vec![Arc::new(Metainfo::decode(&torrent).unwrap())];
        let paths = names.iter().map(|name| capture(name)).collect();
        Self::reading(paths, TraceOptions { torrents, ..TraceOptions::default() }, width, height)
    }

    fn reading(paths: Vec<PathBuf>, options: TraceOptions, width: u16, height: u16) -> Self {
        let (writer, spool) = spool().unwrap();
        let reading = read(paths.clone(), options, writer).unwrap();
        let mut state = State::new(Size { width, height }, paths);
        loop {
            let news = reading.news.recv().unwrap();
            let done = matches!(news, News::Done);
            state.take(news);
            if done {
                break;
            }
        }
        state.packets = reading.packets.load(std::sync::atomic::Ordering::Relaxed);
        let mut browsed = Self { state, spool, effects: Vec::new() };
        browsed.work();
        browsed
    }

    /// Does all that the state wants to be done.
    fn work(&mut self) {
        let Self { state, spool, effects } = self;
        loop {
            work::load(state, spool).unwrap();
            if !work::scan(state, spool).unwrap() && !work::search(state, spool).unwrap() {
                break;
            }
        }
        work::load(state, spool).unwrap();
        effects.extend(state.effects());
    }

    fn input(&mut self, input: Input) {
        self.state.update(input);
        self.work();
    }

    fn key(&mut self, code: KeyCode) {
        self.input(Input::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }

    /// Presses the keys of a text; `⏎`, `⇥`, `⎋`, `↑` and `^` before a letter are Enter, Tab, Escape, Up and Ctrl.
    fn press(&mut self, keys: &str) -> &mut Self {
        let mut control = false;
        for c in keys.chars() {
            match c {
                '^' => control = true,
                '⏎' => self.key(KeyCode::Enter),
                '⇥' => self.key(KeyCode::Tab),
                '⎋' => self.key(KeyCode::Esc),
                '↑' => self.key(KeyCode::Up),
                c if std::mem::take(&mut control) => {
                    self.input(Input::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL)));
                }
                c => self.key(KeyCode::Char(c)),
            }
        }
        self
    }

    fn buffer(&self, paint: Paint) -> Buffer {
        let Size { width, height } = self.state.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view(&self.state, paint, frame)).unwrap();
        terminal.backend().buffer().clone()
    }

    /// The screen as text, without blanks at the ends of rows.
    fn screen(&self, paint: Paint) -> String {
        let buffer = self.buffer(paint);
        let row = |y: u16| {
            let row: String = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
            row.trim_end().to_owned()
        };
        (0..buffer.area.height).map(row).collect::<Vec<_>>().join("\n")
    }

    /// The number of the message that is chosen.
    fn chosen(&self) -> Option<u32> {
        self.state.list.selected().map(|message| message + 1)
    }
}
