//! What goes wrong, on one line of standard error, with what to do about it where that is known.

use std::io::{self, Write};
use std::path::Path;

use bittrace_client as client;
use bittrace_trace::TraceError;
use clap::Parser;

use crate::args::{Arguments, Common};
use crate::commands::lab::NotAScenario;
use crate::file_kind::{FileKind, is_magnet_link};
use crate::print::printable::printable;

/// Tells the user of an error: the error, its causes, then a hint.
pub(crate) fn report(error: &anyhow::Error) {
    say(&format!("bittrace: {error:#}"));
    if let Some(hint) = hint(error) {
        say(&format!("  {hint}"));
    }
}

/// Tells the user what is wrong with the arguments, which the error quotes.
pub(crate) fn report_usage(error: clap::Error) {
    let arguments: Vec<_> = std::env::args_os().collect();
    let shown = arguments.iter().map(|argument| printable(&argument.to_string_lossy()).into_owned());
    // The same error again, of arguments that may be shown: its own colours stay apart from what it quotes.
    match Arguments::try_parse_from(shown) {
        Err(error) if error.use_stderr() => drop(error.print()),
        _ => say(&error.render().to_string()),
    }
}

/// Tells the user of something that is no error, unless warnings are unwanted.
pub(crate) fn warn(common: Common, text: &str) {
    if !common.quiet {
        say(&format!("bittrace: {text}"));
    }
}

/// Writes lines to standard error.
pub(crate) fn say(text: &str) {
    // Nobody is left to be told when standard error is closed.
    for line in text.lines() {
        let _ = writeln!(io::stderr().lock(), "{}", printable(line));
    }
}

/// Whether the reader of our output has gone.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// What to do about an error, where that is known.
fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(client::Error::NotATorrent { name, .. }) = error.downcast_ref() {
        return Some(FileKind::of_path(Path::new(name))?.advice());
    }
    if let Some(NotAScenario { path }) = error.downcast_ref() {
        return Some(FileKind::of_path(path)?.advice());
    }
    if let Some(client::Error::OtherScheme { url }) = error.downcast_ref() {
        return is_magnet_link(url).then(|| FileKind::MagnetLink.advice());
    }
    let hint = match error.downcast_ref::<TraceError>()? {
        TraceError::Foreign { command, .. } => return Some(format!("to make a capture from it: {command}")),
        TraceError::Missing { name } if is_magnet_link(name) => return Some(FileKind::MagnetLink.advice()),
        TraceError::NotACapture { name, .. } | TraceError::TooShort { name, .. } => {
            if let Some(kind) = FileKind::of_path(Path::new(name)).filter(|kind| *kind != FileKind::Capture) {
                return Some(kind.advice());
            }
            "make captures with tcpdump -w FILE, dumpcap or Wireshark; for other formats that Wireshark reads: editcap -F pcapng FILE NEW.pcapng"
        }
        TraceError::Directory { .. } => "name the capture files in it, such as DIR/*.pcap",
        _ => return None,
    };
    Some(hint.to_owned())
}
