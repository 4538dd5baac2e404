//! Where results go: standard output, buffered, with or without colour. Standard error takes its place where standard output has
//! something else.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Stderr, Stdout, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anstyle::{AnsiColor, Effects, Style};

use crate::args::{Colour, Common};
use crate::os::{default_is_utf8, prepare_console};
use crate::print::printable::{printable, use_ascii_alone};

/// Standard output, or a file in its place. Clones write to the same buffer.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    sink: Arc<Mutex<BufWriter<Sink>>>,
    /// How often something was written.
    writes: Arc<AtomicU64>,
    terminal: bool,
    quiet: bool,
    pub(crate) look: Look,
}

/// Where the buffer goes.
#[derive(Debug)]
enum Sink {
    Output(Stdout),
    Error(Stderr),
    File(File),
}

/// What tables may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// How many columns a line may have.
    pub(crate) width: usize,
    /// Whether to colour.
    pub(crate) colour: bool,
}

/// How many bytes are written at once.
const BUFFER: usize = 64 * 1024;

/// The columns of a line where no terminal says otherwise.
const WIDTH: usize = 80;

/// Below this tables cannot be read, and above it lines cannot.
const WIDTHS: std::ops::RangeInclusive<usize> = 40..=160;

impl Output {
    pub(crate) fn new(common: Common) -> Self {
        Self::on(Sink::Output(io::stdout()), common)
    }

    /// The same on standard error.
    pub(crate) fn on_standard_error(common: Common) -> Self {
        Self::on(Sink::Error(io::stderr()), common)
    }

    fn on(sink: Sink, common: Common) -> Self {
        let terminal = sink.is_terminal();
        let width = sink.width();
        if !is_utf8_locale(|name| std::env::var(name).ok()) {
            use_ascii_alone();
        }
        let colour = match common.color {
            Colour::Always => {
                prepare_console();
                true
            }
            Colour::Never => false,
            Colour::Auto => terminal && is_colour_welcome() && prepare_console(),
        };
        Self {
            sink: Arc::new(Mutex::new(BufWriter::with_capacity(BUFFER, sink))),
            writes: Arc::default(),
            terminal,
            quiet: common.quiet,
            look: Look { width, colour },
        }
    }

    /// The same with a file in the place of standard output, without remarks on how things stand.
    pub(crate) fn to_file(&self, file: File) -> Self {
        Self {
            sink: Arc::new(Mutex::new(BufWriter::with_capacity(BUFFER, Sink::File(file)))),
            writes: Arc::default(),
            terminal: false,
            quiet: true,
            look: self.look,
        }
    }

    /// Whether someone watches the output come.
    pub(crate) const fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether remarks on how things stand are unwanted.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// How often something was written.
    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.sink.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

fn is_colour_welcome() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value: std::ffi::OsString| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether the locale is one of UTF-8. As POSIX has it, the first of these variables decides that is not empty; where
/// none is set, the system does.
fn is_utf8_locale(variable: impl Fn(&str) -> Option<String>) -> bool {
    let mut set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable);
    let Some(locale) = set.find(|locale| !locale.is_empty()) else { return default_is_utf8() };
    let codeset = locale.split_once('.').map_or(locale.as_str(), |(_, codeset)| codeset);
    let codeset = codeset.split('@').next().unwrap_or_default();
    codeset.eq_ignore_ascii_case("utf-8") || codeset.eq_ignore_ascii_case("utf8")
}

impl Sink {
    fn is_terminal(&self) -> bool {
        match self {
            Self::Output(output) => output.is_terminal(),
            Self::Error(error) => error.is_terminal(),
            Self::File(_) => false,
        }
    }

    fn width(&self) -> usize {
        let configured = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let measured = || {
            let size = match self {
                Self::Output(output) => terminal_size::terminal_size_of(output),
                Self::Error(error) => terminal_size::terminal_size_of(error),
                Self::File(_) => None,
            };
            Some(usize::from(size?.0.0))
        };
        let width = configured.or_else(|| if self.is_terminal() { measured() } else { None });
        width.unwrap_or(WIDTH).clamp(*WIDTHS.start(), *WIDTHS.end())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Output(output) => output.write(bytes).map_err(|error| fault("output", &error)),
            Self::Error(error) => error.write(bytes).map_err(|error| fault("error", &error)),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Output(output) => output.flush().map_err(|error| fault("output", &error)),
            Self::Error(error) => error.flush().map_err(|error| fault("error", &error)),
            Self::File(file) => file.flush(),
        }
    }
}

/// An error of the same kind that says which standard stream it is of.
fn fault(stream: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write to standard {stream}: {error}"))
}

impl Look {
    /// `text` as a terminal may show it, in a style where colours are wanted.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        let text = printable(text);
        if !self.colour || text.is_empty() || style == Style::new() {
            return text.into_owned();
        }
        format!("{style}{text}{style:#}")
    }
}

/// The styles of tables.
pub(crate) mod styles {
    use bittrace_trace::record::Severity;

    use super::{AnsiColor, Effects, Style};

    /// The style of a finding, by how much the finding matters.
    pub(crate) const fn severity(severity: Severity) -> Style {
        match severity {
            Severity::Chat => DIM,
            Severity::Note => NOTE,
            Severity::Warn => WARN,
            Severity::Error => ERROR,
        }
    }

    const fn colour(colour: AnsiColor) -> Style {
        Style::new().fg_color(Some(anstyle::Color::Ansi(colour)))
    }

    pub(crate) const PLAIN: Style = Style::new();
    pub(crate) const DIM: Style = Style::new().effects(Effects::DIMMED);
    pub(crate) const HEADING: Style = Style::new().effects(Effects::BOLD);
    pub(crate) const SENT: Style = colour(AnsiColor::Cyan);
    pub(crate) const RECEIVED: Style = colour(AnsiColor::Green);
    pub(crate) const NOTE: Style = colour(AnsiColor::Blue);
    pub(crate) const WARN: Style = colour(AnsiColor::Yellow);
    pub(crate) const ERROR: Style = colour(AnsiColor::Red).effects(Effects::BOLD);
    /// Fields of a message side by side.
    pub(crate) const FIELDS: [Style; 4] = [
        colour(AnsiColor::Cyan),
        colour(AnsiColor::Yellow),
        colour(AnsiColor::Green),
        colour(AnsiColor::Magenta),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_utf8(variables: &[(&str, &str)]) -> bool {
        is_utf8_locale(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_first_variable_of_the_locale_that_is_set_decides() {
        assert!(is_utf8(&[("LANG", "de_DE.UTF-8")]));
        assert!(is_utf8(&[("LC_ALL", ""), ("LC_CTYPE", "UTF-8"), ("LANG", "C")]));
        assert!(is_utf8(&[("LANG", "ca_ES.utf8@valencia")]));
        assert!(!is_utf8(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        assert!(!is_utf8(&[("LANG", "de_DE.ISO-8859-1")]));
        assert_eq!(is_utf8(&[]), default_is_utf8());
    }
}
