//! A capture file as a live capture: its packets go into a pipe, with the pauses in which they were captured.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bittrace_trace::{Capture, PacketCopier};

use crate::Exit;
use crate::failure::say;
use crate::interrupt::interrupted;

/// Plays a capture into the pipe, `speed` times as fast as it was captured; 0 is as fast as possible. A reader that leaves
/// ends it.
///
/// # Errors
/// When the capture cannot be read or the pipe cannot be opened.
pub(super) fn play(path: &Path, speed: f64, fifo: &Path) -> Result<Exit> {
    if !(speed.is_finite() && speed >= 0.0) {
        bail!("--speed {speed}: expected a number from 0");
    }
    let mut capture = Capture::open(path)?;
    let pipe = File::options().write(true).open(fifo).with_context(|| fifo.display().to_string())?;
    match copy(&mut capture, speed, BufWriter::new(pipe)) {
        Err(error) if crate::failure::is_closed_pipe(&error) => return Ok(Exit::Done),
        copied => copied?,
    }
    if let Some(cut) = capture.cut() {
        say(&format!(
            "bittrace: {}: cut short: the packet at byte {} is not whole and is left out",
            path.display(),
            cut.offset
        ));
    }
    Ok(if interrupted() { Exit::Interrupted } else { Exit::Done })
}

fn copy(capture: &mut Capture, speed: f64, pipe: BufWriter<File>) -> Result<()> {
    let comment = format!("the packets of {}", capture.name());
    let mut copier = PacketCopier::new(pipe, &comment)?;
    copier.flush()?;
    let begun = Instant::now();
    let mut first = None;
    while let Some(packet) = capture.next_packet()? {
        let at = packet.moment.at;
        let seconds = (at - *first.get_or_insert(at)).as_secs_f64() / speed;
        // At speed 0 there is nothing to wait for, and what is too far away is never due.
        let pause = if speed > 0.0 {
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
        } else {
            Duration::ZERO
        };
        while begun.elapsed() < pause && !interrupted() {
            copier.flush()?;
            thread::sleep(pause.saturating_sub(begun.elapsed()).min(BETWEEN_LOOKS));
        }
        if interrupted() {
            break;
        }
        copier.packet(&packet)?;
    }
    copier.finish()?;
    Ok(())
}

/// How soon Ctrl-C, or the end of the capture in Wireshark, is noticed.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
