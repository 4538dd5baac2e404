//! `bittrace clear`: the messages of a capture as a new capture of plain TCP and UDP, which Wireshark can read.

use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use bittrace_trace::units::{counted, size};
use bittrace_trace::{About, ClearCapture, ClearTally, LocalChoice};
use tempfile::SpooledTempFile;

use crate::Exit;
use crate::args::{ClearArguments, Common};
use crate::failure::{say, warn};
use crate::input::{self, read_to_end, warn_of_cut};
use crate::interrupt::interrupted;
use crate::page_file::{PageFile, name_of};
use crate::print::output::Output;

/// So many bytes of messages are kept in memory; more go to a temporary file.
const IN_MEMORY: usize = 32 << 20;

/// Runs the command.
pub(crate) fn run(arguments: &ClearArguments, common: Common, output: Output) -> Result<Exit> {
    let mut options = input::options(&arguments.torrent, &arguments.key_logs, LocalChoice::Detected)?;
    // It tells when each end sent its FIN or RST.
    options.measure = true;
    let written = PageFile::create_for("--output", &arguments.output, &[&arguments.capture], &output)?;
    let name = written.name();
    let mut trace = input::open(&arguments.capture, options, &output)?;
    let mut clear = ClearCapture::new(SpooledTempFile::new(IN_MEMORY));
    let exit =
        read_to_end(&mut trace, |dissected| clear.add(dissected).context("the messages cannot be kept"))?;
    if interrupted() {
        return Ok(Exit::Interrupted);
    }
    warn_of_cut(common, trace.capture().name(), trace.cut());
    let writer = clear.finish().context("the messages cannot be kept")?;
    let capture = trace.capture();
    let comment = comment(capture);
    let mut tally = ClearTally::default();
    let mut go_on = || match interrupted() {
        true => Err(io::ErrorKind::Interrupted.into()),
        false => Ok(()),
    };
    let write = written.write(|out| {
        tally = writer.write(out, &comment, (capture.viewpoint(), capture.hosts()), &mut go_on)?;
        Ok(())
    });
    if interrupted() {
        return Ok(Exit::Interrupted);
    }
    write?;
    tell(&name, &tally, common);
    Ok(exit)
}

/// What the new capture says of itself: where it comes from, and what the old one said of itself.
fn comment(about: &About) -> String {
    let name = name_of(Path::new(about.name()));
    let mut comment = format!("The messages of {name} as plain TCP and UDP, written by bittrace clear.");
    for said in about.comments() {
        comment.push('\n');
        comment.push_str(said);
    }
    comment
}

/// Says what was written, and what was not.
fn tell(name: &str, tally: &ClearTally, common: Common) {
    if tally.encrypted_connections > 0 {
        let connections = counted(tally.encrypted_connections, "encrypted connection");
        warn(common, &format!("{connections} left out: the keys are not known (--mse-keys gives them)"));
    }
    if tally.partly_encrypted > 0 {
        let connections = counted(tally.partly_encrypted, "connection");
        warn(common, &format!("{connections} with bytes that cannot be decrypted: gaps stand for them"));
    }
    if tally.encrypted_bytes > 0 {
        warn(common, &format!("{} left out in all, as they are encrypted", size(tally.encrypted_bytes)));
    }
    if tally.long_datagrams > 0 {
        let datagrams = counted(tally.long_datagrams, "datagram");
        warn(common, &format!("{datagrams} left out: longer than IPv4 can carry"));
    }
    if tally.moved > 0 {
        let connections = counted(tally.moved, "connection");
        let text = "with another port than in the capture, to stay apart from another connection";
        warn(common, &format!("{connections} {text}; a comment on the first packet names both"));
    }
    if !common.quiet {
        let packets = counted(tally.packets, "packet");
        let (connections, datagrams) =
            (counted(tally.connections, "connection"), counted(tally.datagrams, "datagram"));
        say(&format!("bittrace: {name}: {packets}, of {connections} and {datagrams}"));
    }
}
