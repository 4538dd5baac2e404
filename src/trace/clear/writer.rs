//! Steps become packets.

use std::io::{self, Read, Seek, Write};

use super::ClearTally;
use super::ports::PortUse;
use super::spool::SortedSteps;
use super::step::{Step, TimedStep};
use crate::{HostName, Recorder, Viewpoint};

/// Writes what was gathered.
#[derive(Debug)]
pub struct ClearWriter<S> {
    steps: SortedSteps<S>,
    tally: ClearTally,
}

impl<S: Read + Seek> ClearWriter<S> {
    pub(super) const fn new(steps: SortedSteps<S>, tally: ClearTally) -> Self {
        Self { steps, tally }
    }

    /// Writes the capture to `out`. Its section has this comment, and a sentence on what is made up; `viewpoint` says
    /// where it was taken, and `hosts` are names of addresses. `go_on` is asked before each step: its error ends the writing.
    ///
    /// # Errors
    ///
    /// When `out` cannot be written, the spool cannot be read, or `go_on` fails.
    pub fn write(
        mut self,
        out: impl Write,
        comment: &str,
        (viewpoint, hosts): (Viewpoint, &[HostName]),
        go_on: &mut dyn FnMut() -> io::Result<()>,
    ) -> io::Result<ClearTally> {
        let mut recorder = Recorder::seen_from(viewpoint, out, comment)?;
        recorder.host_names(hosts)?;
        let mut ports = PortUse::default();
        while let Some(timed) = self.steps.next()? {
            go_on()?;
            self.write_step(timed, &mut ports, &mut recorder)?;
        }
        self.tally.packets = recorder.frames();
        recorder.finish()?;
        Ok(self.tally)
    }

    fn write_step<W: Write>(
        &mut self,
        TimedStep { at, stream, step }: TimedStep,
        ports: &mut PortUse,
        recorder: &mut Recorder<W>,
    ) -> io::Result<()> {
        match step {
            Step::Opened { flow, opening, mut comment } => {
                let written = ports.open(stream, flow, opening);
                if written != flow {
                    self.tally.moved += 1;
                    let (own, here) = (flow.initiator, written.initiator.port());
                    comment
                        .push_str(&format!("; port {here} stands for {own}, which another connection has"));
                }
                recorder.comment(&comment);
                recorder.opened(at, stream, written, opening)
            }
            Step::Established => recorder.established(at, stream),
            Step::Message { direction, comment, bytes } => {
                recorder.comment(&comment);
                recorder.message(at, stream, direction, &bytes)
            }
            Step::Gap { direction, mut length, comment } => {
                recorder.comment(&comment);
                while length > MAX_GAP {
                    recorder.gap(at, stream, direction, MAX_GAP)?;
                    length -= MAX_GAP;
                }
                recorder.gap(at, stream, direction, length)
            }
            Step::Finished { direction } => recorder.finished(at, stream, direction),
            Step::Reset { direction } => recorder.reset(at, stream, direction),
            Step::Closed { closing } => {
                ports.close(stream);
                recorder.closed(at, stream, closing)
            }
            Step::Datagram { ends, length, comment, bytes } => {
                recorder.comment(&comment);
                match length == bytes.len() as u64 {
                    true => recorder.datagram(at, ends.0, ends.1, &bytes),
                    false => recorder.cut_datagram(at, ends, &bytes, length),
                }
            }
        }
    }
}

/// The longest gap that the recorder takes at once: what TCP can have under way.
const MAX_GAP: u64 = 1 << 30;
