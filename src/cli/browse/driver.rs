//! The terminal, the temporary file and the thread that reads, around the state.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};
use std::{process, thread};

use anyhow::{Context, Result, bail};
use bittrace_trace::TraceOptions;
use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{
    DisableMouseCapture, EnableMouseCapture, Event, KeyEventKind, poll, read as read_event,
};
use crossterm::execute;
use ratatui::DefaultTerminal;

use super::reader::{self, News, Reading};
use super::save::Saving;
use super::spool::{Spool, spool};
use super::state::{Effect, State};
use super::update::Input;
use super::view::{Paint, view};
use super::work;
use crate::Exit;
use crate::args::{BrowseArguments, Common};
use crate::failure;
use crate::interrupt::{EXIT_INTERRUPTED, interrupted, tidy_with};
use crate::print::output::Output;
use crate::print::printable::{is_ascii_alone, printable, use_ascii_alone};

/// How long work beside the keys goes on before keys have their turn.
const SLICE: Duration = Duration::from_millis(6);

/// How long the driver waits for a key: while something is being read or looked through, and while nothing is.
const BUSY: Duration = Duration::from_millis(10);
const IDLE: Duration = Duration::from_millis(100);

/// How often the screen is drawn while messages come, at most.
const FRAME: Duration = Duration::from_millis(100);

/// Runs the command.
///
/// # Errors
/// When there is no terminal, a torrent or key log cannot be read, or there is no temporary file.
pub(crate) fn run(arguments: &BrowseArguments, common: Common) -> Result<Exit> {
    if !io::stdout().is_terminal() {
        bail!("browse needs a terminal; bittrace analyze writes to files and pipes");
    }
    if arguments.ascii {
        use_ascii_alone();
    }
    let output = Output::new(common);
    let paint = Paint { colour: output.look.colour, ascii: arguments.ascii || is_ascii_alone() };
    let options = arguments.known.options()?;
    let (reading, spool) = begin(&arguments.captures, &options)?;
    let first = match first_news(&reading) {
        Ok(first) => first,
        Err(errors) => {
            errors.iter().for_each(failure::report);
            return Ok(Exit::CouldNotTell);
        }
    };
    let mut terminal = ratatui::try_init().context("the terminal cannot be used")?;
    tidy_with(ratatui::restore);
    let _ended = end_with_the_terminal();
    let tidy = Tidy;
    execute!(io::stdout(), EnableMouseCapture)?;
    let size = terminal.size()?;
    let mut driver = Driver {
        state: State::new(size, arguments.captures.clone()),
        paint,
        reading: Some(reading),
        spool,
        saving: None,
        options,
        drawn: None,
        dirty: true,
    };
    first.into_iter().for_each(|news| driver.state.take(news));
    let exit = driver.run(&mut terminal);
    drop(tidy);
    let troubles = &driver.state.troubles;
    troubles.iter().for_each(failure::report);
    Ok(exit?.max(if troubles.is_empty() { Exit::Done } else { Exit::CouldNotTell }))
}

/// What the reading tells at once, or why no capture can be read. Input that is waited for tells nothing yet.
fn first_news(reading: &Reading) -> Result<Vec<News>, Vec<anyhow::Error>> {
    let mut first = Vec::new();
    while let Ok(news) = reading.news.recv_timeout(FRAME) {
        let goes_on = matches!(news, News::Trouble(_));
        let done = matches!(news, News::Done);
        first.push(news);
        if done {
            let errors = first.into_iter().filter_map(|news| match news {
                News::Trouble(error) => Some(error),
                _ => None,
            });
            return Err(errors.collect());
        }
        if !goes_on {
            break;
        }
    }
    Ok(first)
}

/// Ends the process some time after a signal that the driver does not heed, until what is returned is dropped. A terminal that
/// is gone sends SIGHUP, and then has crossterm look for keys without end (`UnixInternalEventSource` of 0.29).
fn end_with_the_terminal() -> Sender<()> {
    let (ended, end) = channel();
    thread::spawn(move || {
        let mut heard = 0;
        while end.recv_timeout(HEED / 4) == Err(RecvTimeoutError::Timeout) {
            heard += u32::from(interrupted());
            if heard > 4 {
                process::exit(i32::from(EXIT_INTERRUPTED));
            }
        }
    });
    ended
}

/// How long a signal may go unheeded.
const HEED: Duration = Duration::from_secs(1);

/// Gives the terminal back, however the browser ends. A panic is shown on it then: the hook of the library does that.
struct Tidy;

impl Drop for Tidy {
    fn drop(&mut self) {
        let _ = execute!(io::stdout(), DisableMouseCapture);
        ratatui::restore();
    }
}

fn begin(captures: &[PathBuf], options: &TraceOptions) -> Result<(Reading, Spool)> {
    let (writer, spool) = spool().context("no temporary file can be made")?;
    let reading =
        reader::read(captures.to_vec(), options.clone(), writer).context("no thread can be begun")?;
    Ok((reading, spool))
}

struct Driver {
    state: State,
    paint: Paint,
    /// `None` once all is read.
    reading: Option<Reading>,
    spool: Spool,
    saving: Option<Saving>,
    options: TraceOptions,
    drawn: Option<Instant>,
    dirty: bool,
}

impl Driver {
    fn run(&mut self, terminal: &mut DefaultTerminal) -> Result<Exit> {
        loop {
            if interrupted() {
                return Ok(Exit::Interrupted);
            }
            self.hear();
            let busy = self.work();
            let is_due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME);
            if self.dirty && is_due {
                self.draw(terminal)?;
            }
            let wait = if busy {
                Duration::ZERO
            } else if self.reading.is_some() || self.dirty {
                BUSY
            } else {
                IDLE
            };
            if !poll(wait)? {
                continue;
            }
            // Keys that wait are taken together, and then drawn at once.
            while poll(Duration::ZERO)? {
                self.take(read_event()?);
                for effect in self.state.effects() {
                    if effect == Effect::Quit {
                        return Ok(Exit::Done);
                    }
                    self.carry_out(effect)?;
                }
                self.load();
            }
            self.draw(terminal)?;
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.state.update(Input::Key(key)),
            Event::Mouse(mouse) => self.state.update(Input::Mouse(mouse)),
            Event::Resize(width, height) => {
                self.state.update(Input::Resize(ratatui::layout::Size { width, height }));
            }
            _ => return,
        }
        self.dirty = true;
    }

    /// Takes in what the thread tells, for a while.
    fn hear(&mut self) {
        let Some(reading) = &self.reading else { return };
        let begun = Instant::now();
        self.state.packets = reading.packets.load(Ordering::Relaxed);
        while begun.elapsed() < SLICE {
            match reading.news.try_recv() {
                Ok(news) => {
                    let done = matches!(news, News::Done);
                    self.state.take(news);
                    self.dirty = true;
                    if done {
                        self.reading = None;
                        return;
                    }
                }
                Err(TryRecvError::Empty) => return,
                // It stopped early, and has said why.
                Err(TryRecvError::Disconnected) => {
                    self.state.take(News::Done);
                    if let Some(reading) = self.reading.take() {
                        reading.gone();
                    }
                    return;
                }
            }
        }
    }

    /// Looks through messages for a filter, a search or a file that is being written, for a while; whether there is more to
    /// do.
    fn work(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < SLICE {
            let done = work::scan(&mut self.state, &mut self.spool)
                .and_then(|done| Ok(done || work::search(&mut self.state, &mut self.spool)?))
                .map(|done| done || self.save());
            match done {
                Ok(true) => self.dirty = true,
                Ok(false) => return false,
                Err(error) => {
                    self.fail(&error);
                    return false;
                }
            }
        }
        true
    }

    /// Writes some messages to the file that is being saved; whether it did.
    fn save(&mut self) -> bool {
        let Some(saving) = &mut self.saving else { return false };
        match saving.step(&self.state, &mut self.spool) {
            Ok(None) => {
                self.state.saving = Some(saving.part());
            }
            Ok(Some(said)) => {
                self.saving = None;
                self.state.saving = None;
                self.state.told = Some(said);
            }
            Err(error) => {
                self.state.told = Some(printable(&error).into_owned());
                self.saving = None;
                self.state.saving = None;
            }
        }
        true
    }

    fn fail(&mut self, error: &io::Error) {
        self.state.told = Some(format!("the temporary file cannot be read: {error}"));
        self.state.find = None;
        self.dirty = true;
    }

    fn carry_out(&mut self, effect: Effect) -> Result<()> {
        match effect {
            Effect::Quit => {}
            Effect::Copy(text) => execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text))?,
            Effect::Save(path) => match Saving::begin(&path, &self.state) {
                Ok(saving) => {
                    self.state.saving = Some(0);
                    self.saving = Some(saving);
                }
                Err(error) => self.state.told = Some(printable(&error).into_owned()),
            },
            Effect::ReadAgain => self.read_again()?,
        }
        Ok(())
    }

    fn read_again(&mut self) -> Result<()> {
        if self.state.paths.iter().any(|path| path.as_os_str() == "-") {
            self.state.told = Some("standard input cannot be read again".to_owned());
            return Ok(());
        }
        if self.saving.is_some() {
            self.state.told = Some("a file is being written: try again when it is done".to_owned());
            return Ok(());
        }
        // The thread that reads still ends by itself.
        self.reading = None;
        let (reading, spool) = begin(&self.state.paths, &self.options)?;
        (self.reading, self.spool) = (Some(reading), spool);
        self.state.read_again();
        Ok(())
    }

    /// Reads the records that the screen needs.
    fn load(&mut self) {
        if let Err(error) = work::load(&mut self.state, &mut self.spool) {
            self.fail(&error);
        }
    }

    fn draw(&mut self, terminal: &mut DefaultTerminal) -> Result<()> {
        self.load();
        terminal.draw(|frame| view(&self.state, self.paint, frame))?;
        io::stdout().flush()?;
        (self.drawn, self.dirty) = (Some(Instant::now()), false);
        Ok(())
    }
}
