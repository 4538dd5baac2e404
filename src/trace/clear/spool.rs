//! Steps that wait in a temporary file until all are known, and come out in their order.

use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use bittrace_protocol::Timestamp;
use bytes::Bytes;

use super::step::{Step, TimedStep};
use crate::StreamId;

/// Takes steps in.
#[derive(Debug)]
pub(super) struct StepSpool<S: Write> {
    file: BufWriter<S>,
    length: u64,
    /// Where each step stands in the order, and where in the file.
    places: Vec<(i64, u64)>,
    packed: Vec<u8>,
}

/// Gives steps out.
#[derive(Debug)]
pub(super) struct SortedSteps<S> {
    file: BufReader<S>,
    at: u64,
    places: std::vec::IntoIter<(i64, u64)>,
}

impl<S: Read + Write + Seek> StepSpool<S> {
    pub(super) fn new(file: S) -> Self {
        Self {
            file: BufWriter::with_capacity(BUFFER, file),
            length: 0,
            places: Vec::new(),
            packed: Vec::new(),
        }
    }

    /// All steps, in their order; of equal ones, in the order in which they were added.
    pub(super) fn sorted(self) -> io::Result<SortedSteps<S>> {
        let Self { file, mut places, .. } = self;
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        places.sort_unstable();
        Ok(SortedSteps { file: BufReader::with_capacity(BUFFER, file), at: 0, places: places.into_iter() })
    }
}

impl<S: Write> StepSpool<S> {
    /// Adds a step. `order` is where it stands among all, in nanoseconds.
    pub(super) fn add(&mut self, at: Timestamp, order: i64, stream: StreamId, step: &Step) -> io::Result<()> {
        self.packed.clear();
        step.pack(at, stream, &mut self.packed);
        self.file.write_all(&(self.packed.len() as u64).to_le_bytes())?;
        self.file.write_all(&self.packed)?;
        self.places.push((order, self.length));
        self.length += 8 + self.packed.len() as u64;
        Ok(())
    }
}

impl<S: Read + Seek> SortedSteps<S> {
    /// The next step.
    pub(super) fn next(&mut self) -> io::Result<Option<TimedStep>> {
        let Some((_, place)) = self.places.next() else { return Ok(None) };
        // Most steps come in the order in which they were added: then the buffer has the next one.
        self.file.seek_relative(place.wrapping_sub(self.at) as i64)?;
        let mut length = [0; 8];
        self.file.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        let mut packed = vec![0; length as usize];
        self.file.read_exact(&mut packed)?;
        self.at = place + 8 + length;
        let step = Step::unpack(&Bytes::from(packed));
        step.map(Some)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a step that was kept is not whole"))
    }
}

/// Room for the packets of a few blocks.
const BUFFER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::StreamClosing;

    #[test]
    fn steps_come_in_their_order_and_equal_ones_as_they_were_added() {
        let mut spool = StepSpool::new(Cursor::new(Vec::new()));
        let step = Step::Closed { closing: StreamClosing::Finished };
        for (stream, order) in [(0, 5), (1, -7), (2, 5), (3, i64::MAX), (4, 5), (5, i64::MIN)] {
            spool.add(Timestamp::EPOCH, order, StreamId(stream), &step).unwrap();
        }
        let mut sorted = spool.sorted().unwrap();
        let mut streams = Vec::new();
        while let Some(timed) = sorted.next().unwrap() {
            assert_eq!(timed.step, step);
            streams.push(timed.stream.0);
        }
        assert_eq!(streams, [5, 1, 0, 2, 4, 3]);
    }
}
