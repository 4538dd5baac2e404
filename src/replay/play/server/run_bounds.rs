//! How much a run with a client may take: the bytes that the client sends, those of the recording, and the connections.

use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;

use bittrace_trace::units::{count, size};

/// What a run has taken, and how much it may.
#[derive(Debug)]
pub(super) struct RunBounds {
    /// How many bytes the client has sent.
    heard: u64,
    recorded: Rc<Cell<u64>>,
    connections: u32,
    most_heard: u64,
    most_recorded: u64,
}

/// Which bound a run has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunBound {
    Heard(u64),
    Recorded(u64),
    Connections,
}

/// The writer of a recording, and how many bytes it took.
pub(super) struct CountedWriter<W> {
    inner: W,
    written: Rc<Cell<u64>>,
}

impl RunBounds {
    /// The bounds of a run in which a torrent of `content` bytes is sent `copies` times, and the writer of its recording.
    pub(super) fn new<W: Write>(content: u64, copies: usize, record: W) -> (Self, CountedWriter<W>) {
        let content = content.saturating_mul(copies as u64);
        let recorded = Rc::new(Cell::new(0));
        let bounds = Self {
            heard: 0,
            recorded: recorded.clone(),
            connections: 0,
            most_heard: MOST_HEARD.saturating_add(content.saturating_mul(2)),
            most_recorded: MOST_RECORDED.saturating_add(content.saturating_mul(4)),
        };
        (bounds, CountedWriter { inner: record, written: recorded })
    }

    /// Counts bytes of the client.
    pub(super) fn hear(&mut self, bytes: usize) {
        self.heard = self.heard.saturating_add(bytes as u64);
    }

    /// Counts a connection that the client is to have.
    pub(super) fn connect(&mut self) {
        self.connections = self.connections.saturating_add(1);
    }

    /// Which bound the run has reached.
    pub(super) fn reached(&self) -> Option<RunBound> {
        if self.heard > self.most_heard {
            Some(RunBound::Heard(self.most_heard))
        } else if self.recorded.get() > self.most_recorded {
            Some(RunBound::Recorded(self.most_recorded))
        } else {
            (self.connections > MOST_CONNECTIONS).then_some(RunBound::Connections)
        }
    }
}

impl RunBound {
    /// What is said of it.
    pub(super) fn describe(self) -> String {
        let what = match self {
            Self::Heard(most) => format!("the client sent more than {}", size(most)),
            Self::Recorded(most) => format!("the recording of the run took more than {}", size(most)),
            Self::Connections => {
                format!("the run had more than {} connections", count(MOST_CONNECTIONS.into()))
            }
        };
        format!("{what}, which no client needs for this torrent: the run was ended")
    }
}

impl<W: Write> Write for CountedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.written.set(self.written.get().saturating_add(written as u64));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// How many bytes a client may send in addition to twice the content that is sent: no client needs more, and all of them are kept.
const MOST_HEARD: u64 = 32 << 20;

/// How many bytes the recording may have in addition to four times the content that is sent: a client that asks for the same blocks again and
/// again sends 17 bytes for each 16 KiB that it is sent.
const MOST_RECORDED: u64 = 64 << 20;

/// How many connections a run may have: each is accounted for to the end.
const MOST_CONNECTIONS: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_is_reached_by_one_more_than_it_allows() {
        let (mut bounds, mut record) = RunBounds::new(500, 2, io::sink());
        bounds.hear(MOST_HEARD as usize + 2000);
        for _ in 0..64 {
            record.write_all(&vec![0; 1 << 20]).expect("a sink takes everything");
        }
        record.write_all(&[0; 4000]).expect("a sink takes everything");
        for _ in 0..MOST_CONNECTIONS {
            bounds.connect();
        }
        assert_eq!(bounds.reached(), None);
        bounds.connect();
        assert_eq!(bounds.reached(), Some(RunBound::Connections));
        record.write_all(&[0]).expect("a sink takes everything");
        assert_eq!(bounds.reached(), Some(RunBound::Recorded(MOST_RECORDED + 4000)));
        bounds.hear(1);
        assert_eq!(bounds.reached(), Some(RunBound::Heard(MOST_HEARD + 2000)));
    }
}
