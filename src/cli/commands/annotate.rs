//! `bittrace annotate`: a capture once more, with what is said of its messages as comments on its packets.
//!
//! The capture is read twice: once for the comments, once to copy it.

mod comments;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use bittrace_trace::record::{Body, PeerWireBody, Severity};
use bittrace_trace::units::counted;
use bittrace_trace::{AnnotateError, Annotated, Capture, Dissected, MAX_COMMENT, Record, describe};
use tempfile::NamedTempFile;

use crate::Exit;
use crate::args::{AnnotateArguments, CommentChoice, Common};
use crate::failure::{say, warn};
use crate::input::{self, read_to_end, warn_of_cut};
use crate::interrupt::{Feed, interrupted};
use crate::page_file::PageFile;
use crate::print::output::Output;
use crate::print::printable::printable;
use comments::PacketComments;

/// Runs the command.
pub(crate) fn run(arguments: &AnnotateArguments, common: Common, output: Output) -> Result<Exit> {
    let options = arguments.known.options()?;
    let written = PageFile::create_for("--output", &arguments.output, &[&arguments.capture], &output)?;
    let name = written.name();
    // What can be read only once is kept, for the second time.
    let kept = kept(&arguments.capture)?;
    let called = input::name(&arguments.capture);
    let copy = || kept.as_ref().map(NamedTempFile::reopen).transpose().context(COPY_UNREADABLE);
    let mut trace = match copy()? {
        Some(copy) => input::open_copy(called.clone(), copy, options, &output)?,
        None => input::open(&arguments.capture, options, &output)?,
    };
    let mut comments = PacketComments::new();
    let exit = read_to_end(&mut trace, |dissected| {
        let Dissected::Record(record) = dissected else { return Ok(()) };
        let text = comment(record, arguments.comments);
        let Some((packet, text)) = record.frames.last().zip(text) else { return Ok(()) };
        comments.add(*packet, &text).context("the comments cannot be kept")
    })?;
    drop(trace);
    if interrupted() {
        return Ok(Exit::Interrupted);
    }
    comments.sort();
    let mut capture = match copy()? {
        Some(copy) => Capture::from_reader(called, copy)?,
        None => Capture::open(&arguments.capture)?,
    };
    let mut annotated = Annotated::default();
    written
        .write(|out| {
            let mut comment = |packet| match interrupted() {
                true => Err(io::ErrorKind::Interrupted.into()),
                false => comments.on(packet),
            };
            match capture.annotate(out, &mut comment, &mut annotated) {
                // Reported when the comments were gathered. What came before it is kept.
                Ok(()) | Err(AnnotateError::Read(_)) => Ok(()),
                Err(AnnotateError::Write(error)) => Err(error),
            }
        })
        .or_else(|error| if interrupted() { Ok(0) } else { Err(error) })?;
    if interrupted() {
        return Ok(Exit::Interrupted);
    }
    warn_of_cut(common, capture.name(), capture.cut());
    if annotated.cut > 0 {
        let cut = counted(annotated.cut, "comment");
        warn(common, &format!("{cut} cut to {} bytes: an option of pcapng has no more", MAX_COMMENT));
    }
    if annotated.without_place > 0 {
        let left_out = counted(annotated.without_place, "comment");
        warn(common, &format!("{left_out} left out: simple packet blocks have no comments"));
    }
    if !common.quiet {
        say(&format!(
            "bittrace: {name}: {}, {}",
            counted(annotated.packets, "packet"),
            counted(annotated.comments, "comment")
        ));
    }
    Ok(exit)
}

const COPY_UNREADABLE: &str = "the temporary file cannot be opened again";

/// A copy of a capture that is no file.
fn kept(path: &Path) -> Result<Option<NamedTempFile>> {
    let is_input = path == Path::new("-");
    let is_pipe = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
    if !is_input && !is_pipe {
        return Ok(None);
    }
    let mut feed = match is_input {
        true => Feed::new(io::stdin(), || {}),
        false => {
            let file = File::open(path).with_context(|| format!("{}: cannot be opened", path.display()))?;
            Feed::new(file, || {})
        }
    };
    let kept = NamedTempFile::new().context("a temporary file cannot be made")?;
    let mut copy = BufWriter::new(kept.as_file());
    let wrong = || format!("{}: cannot be kept in a temporary file", input::name(path));
    io::copy(&mut feed, &mut copy).and_then(|_| copy.flush()).with_context(wrong)?;
    drop(copy);
    Ok(Some(kept))
}

/// What is said of a message: its number and line, then a line for each finding.
fn comment(record: &Record, choice: CommentChoice) -> Option<String> {
    let findings: Vec<_> = record.notes.iter().filter(|note| note.rule.severity >= Severity::Note).collect();
    let is_handshake = matches!(record.body, Body::PeerWire(PeerWireBody::Handshake(_)));
    if choice == CommentChoice::Findings && findings.is_empty() && !is_handshake {
        return None;
    }
    let mut text = format!("#{} {}", record.number, printable(&describe(record)));
    for note in findings {
        text.push_str(&format!(
            "\n{} {}: {}",
            note.rule.severity.name(),
            note.rule.id,
            printable(&note.text)
        ));
    }
    Some(text)
}
