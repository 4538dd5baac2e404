//! A thread that reads a capture ahead of whoever annotates and shows its records, in the same order.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use super::RecordSource;
use super::reading::{About, CaptureReader, PacketTally, new_comments, new_hosts};
use crate::capture::{HostName, TraceError};
use crate::dissect::Dissected;
use crate::measurement::{SegmentNotes, TcpMeasurements};

/// What the thread has to hand.
pub(super) struct Ahead {
    batches: Receiver<Batch>,
    thread: Option<JoinHandle<()>>,
    /// What is to be said once the records before it were taken.
    after: Option<Result<bool, TraceError>>,
}

/// Records that go over at once.
struct Batch {
    dissected: VecDeque<Dissected>,
    /// What is to be measured of the packets that they were in, and of others.
    notes: SegmentNotes,
    /// How far the capture was read after the last of them.
    tally: PacketTally,
    /// Comments of the capture that came up on the way.
    comments: Vec<String>,
    /// Names of addresses that came up on the way.
    hosts: Vec<HostName>,
    /// What comes after them: whether there is more, or why not.
    then: Result<bool, TraceError>,
}

/// Batches that may wait, records and bytes of a batch: enough that the threads seldom wait for each other, and few
/// megabytes in all.
const BATCHES: usize = 4;
const RECORDS: usize = 512;
const BYTES: u64 = 512 * 1024;
/// Notes of a batch, about: 56 bytes each.
const NOTES: usize = 2_048;

/// Packets that are read at most before what there is goes over: a capture may hold little that is BitTorrent.
pub(super) const PACKETS: usize = 65_536;

impl Ahead {
    /// Lets another thread read on. Where the system has none to give, this one does.
    pub(super) fn over(reading: CaptureReader) -> RecordSource {
        let (sender, batches) = sync_channel(BATCHES);
        // A thread that cannot be begun takes what it was given with it, so that goes over when it runs.
        let (give, given) = sync_channel::<CaptureReader>(1);
        let begun = Builder::new().name("reader".to_owned()).spawn(move || {
            if let Ok(reading) = given.recv() {
                read(reading, &sender);
            }
        });
        match begun {
            Ok(thread) => match give.send(reading) {
                Ok(()) => RecordSource::Ahead(Self { batches, thread: Some(thread), after: None }),
                Err(back) => RecordSource::Here(Box::new(back.0)),
            },
            Err(_) => RecordSource::Here(Box::new(reading)),
        }
    }

    /// Waits for more records: whether more come after these.
    pub(super) fn next(
        &mut self,
        ready: &mut VecDeque<Dissected>,
        about: &mut About,
        measurements: &mut TcpMeasurements,
    ) -> Result<bool, TraceError> {
        if let Some(after) = self.after.take() {
            return after;
        }
        let Ok(mut batch) = self.batches.recv() else { return self.gone() };
        about.note(batch.tally, &batch.comments, &batch.hosts);
        measurements.take(&mut batch.notes);
        *ready = batch.dissected;
        match batch.then {
            Err(error) if !ready.is_empty() => {
                self.after = Some(Err(error));
                Ok(true)
            }
            then => then,
        }
    }

    /// The thread is gone without having said that it is done, so it panicked: that goes on here.
    fn gone(&mut self) -> Result<bool, TraceError> {
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
        Ok(false)
    }
}

/// The bytes that a record holds.
fn length(dissected: &Dissected) -> u64 {
    match dissected {
        Dissected::Record(record) => record.bytes.len() as u64,
        _ => 0,
    }
}

/// Reads to the end, or until nobody listens any more.
fn read(mut reading: CaptureReader, to: &SyncSender<Batch>) {
    let (mut known, mut known_hosts) = (0, 0);
    loop {
        let mut dissected = VecDeque::with_capacity(RECORDS + 8);
        let mut bytes = 0;
        let mut then = Ok(true);
        for _ in 0..PACKETS {
            let before = dissected.len();
            let step = reading.step(&mut dissected);
            bytes += (before..dissected.len()).map(|place| length(&dissected[place])).sum::<u64>();
            if !matches!(step, Ok(true)) {
                then = step;
                break;
            }
            let noted = reading.notes().map_or(0, |notes| notes.len());
            if dissected.len() >= RECORDS || bytes >= BYTES || noted >= NOTES {
                break;
            }
        }
        let comments = new_comments(&reading, known).to_vec();
        known += comments.len();
        let hosts = new_hosts(&reading, known_hosts).to_vec();
        known_hosts += hosts.len();
        let notes = reading.notes().map(std::mem::take).unwrap_or_default();
        let over = matches!(then, Ok(false));
        let tally = PacketTally::of(&reading);
        if to.send(Batch { dissected, notes, tally, comments, hosts, then }).is_err() || over {
            return;
        }
    }
}
