//! The thread that reads the captures: it packs each record into the temporary file, and hands over entries of the index
//! and, now and then, the rows of the other screens.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use bittrace_protocol::Timestamp;
use bittrace_trace::{Dissected, Record, Trace, TraceOptions};

use super::index::Entry;
use super::spool::SpoolWriter;
use super::tables::{Gathered, Tables};
use crate::input;
use crate::print::message_table::message_run::FoldedRun;
use crate::query::row::{CaptureContext, Row};

/// What the thread has to tell.
#[derive(Debug)]
pub(crate) enum News {
    /// A capture is being read: its number among those that can be read, its file, and what its messages have in common. Told
    /// again when more is known.
    Capture(u16, PathBuf, CaptureContext),
    /// The next messages.
    Messages {
        /// Their entries.
        entries: Vec<Entry>,
        /// The host that the capture is about, as far as is known.
        local: Option<IpAddr>,
        /// Whether no host is local.
        has_roles: bool,
    },
    /// The rows of the other screens.
    Tables(Box<Tables>),
    /// Something that could not be read.
    Trouble(anyhow::Error),
    /// All captures are read.
    Done,
}

/// The reading, as seen from the other side.
#[derive(Debug)]
pub(crate) struct Reading {
    /// What it tells.
    pub(crate) news: Receiver<News>,
    /// How many packets were read.
    pub(crate) packets: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reading {
    /// The thread is gone. If it panicked, that goes on here, where the terminal is given back.
    pub(crate) fn gone(mut self) {
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// News that may wait, entries and bytes of one: few megabytes in all.
const WAITING: usize = 4;
const ENTRIES: usize = 4096;
const BYTES: usize = 1 << 20;

/// How long messages may wait for others that are told with them.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long the rows of the other screens may be old while a capture is read, at least.
const TABLES_EVERY: Duration = Duration::from_secs(1);

/// Begins to read these captures. `options` are those of each.
///
/// # Errors
/// When the system has no thread to give.
pub(crate) fn read(captures: Vec<PathBuf>, options: TraceOptions, spool: SpoolWriter) -> io::Result<Reading> {
    let (send, news) = sync_channel(WAITING);
    let (packets, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let batch = Batch {
        spool,
        entries: Vec::new(),
        local: None,
        has_roles: false,
        begun: Instant::now(),
        to: send.clone(),
    };
    let mut reader = Reader {
        batch: Arc::new(Mutex::new(batch)),
        packets: packets.clone(),
        stop: stop.clone(),
        before: 0,
        begun: 0,
        options,
        to: send,
    };
    let thread = Builder::new().name("browse".to_owned()).spawn(move || {
        for path in &captures {
            if !reader.capture(path) {
                return;
            }
        }
        // Nobody listens any more when this is not heard.
        let _ = reader.to.send(News::Done);
    })?;
    Ok(Reading { news, packets, stop, thread: Some(thread) })
}

struct Reader {
    /// Shared with whoever waits for a pipe: what is known is told before.
    batch: Arc<Mutex<Batch>>,
    packets: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    /// How many messages earlier captures had.
    before: u64,
    /// How many captures were begun.
    begun: u16,
    options: TraceOptions,
    to: SyncSender<News>,
}

/// Messages that are told together.
struct Batch {
    spool: SpoolWriter,
    entries: Vec<Entry>,
    local: Option<IpAddr>,
    has_roles: bool,
    begun: Instant,
    to: SyncSender<News>,
}

impl Batch {
    fn is_due(&self) -> bool {
        self.entries.len() >= ENTRIES || self.spool.waiting() >= BYTES || self.begun.elapsed() >= PATIENCE
    }

    /// Tells the messages; whether anybody listens.
    ///
    /// # Errors
    /// When the temporary file has no room: the messages are not told then.
    fn tell(&mut self) -> io::Result<bool> {
        let mut heard = true;
        if !self.entries.is_empty() {
            let entries = std::mem::take(&mut self.entries);
            self.spool.flush()?;
            let news = News::Messages { entries, local: self.local, has_roles: self.has_roles };
            heard = self.to.send(news).is_ok();
        }
        // After the waiting for who listens: a slow one would get messages one by one otherwise.
        self.begun = Instant::now();
        Ok(heard)
    }
}

fn lock(batch: &Mutex<Batch>) -> MutexGuard<'_, Batch> {
    batch.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reader {
    /// Reads one capture; whether the next one has its turn.
    fn capture(&mut self, path: &Path) -> bool {
        let waiting = Arc::clone(&self.batch);
        let opened = input::open_silently(path, self.options.clone(), move || {
            // What cannot be written is told by whoever reads on.
            let _ = lock(&waiting).tell();
        });
        let mut trace = match opened {
            Ok(trace) => trace,
            Err(error) => return self.tell(News::Trouble(error)),
        };
        let packets = self.packets.clone();
        let earlier = packets.load(Ordering::Relaxed);
        trace.on_progress(move |about| packets.store(earlier + about.packets(), Ordering::Relaxed));
        let mut context = CaptureContext::new(
            trace.capture().name().to_owned(),
            self.before,
            self.options.torrents.clone(),
        );
        let number = self.begun;
        self.begun = self.begun.saturating_add(1);
        if !self.tell(News::Capture(number, path.to_owned(), context.clone())) {
            return false;
        }
        let goes_on = self.messages(number, path, &mut trace, &mut context);
        self.packets.store(earlier + trace.capture().packets(), Ordering::Relaxed);
        if let (true, Some(cut)) = (goes_on, trace.cut()) {
            let name = &context.capture;
            return self.tell(News::Trouble(anyhow!(
                "{name}: cut short: the packet at byte {} is incomplete; everything before it is shown",
                cut.offset
            )));
        }
        goes_on
    }

    fn messages(
        &mut self,
        number: u16,
        path: &Path,
        trace: &mut Trace,
        context: &mut CaptureContext,
    ) -> bool {
        let mut gathered = Gathered::new(number, context.before, &self.options.torrents);
        let mut run: Option<FoldedRun> = None;
        let (mut told, mut took) = (Instant::now(), Duration::ZERO);
        while !self.stop.load(Ordering::Relaxed) {
            match trace.advance() {
                Ok(true) => {}
                Ok(false) => {
                    return self.flush()
                        && self.tell(News::Tables(Box::new(gathered.finish(trace, context))));
                }
                Err(error) => {
                    if !self.flush() || !self.tell(News::Trouble(error.into())) {
                        return false;
                    }
                    continue;
                }
            }
            let Some(dissected) = trace.current() else { continue };
            gathered.add(dissected, trace.span().map(|(first, _)| first));
            // The end of a connection is not told by itself: a capture may have more of these than messages.
            let Dissected::Record(record) = dissected else { continue };
            if context.start == Timestamp::EPOCH
                && let Some((first, _)) = trace.span()
            {
                context.start = first;
                if !self.tell(News::Capture(number, path.to_owned(), context.clone())) {
                    return false;
                }
            }
            self.before += 1;
            let continues = continues(&mut run, record, context);
            let is_due = {
                let mut batch = lock(&self.batch);
                batch.local = trace.local();
                batch.has_roles = trace.has_no_local();
                let (offset, length) = batch.spool.push(record);
                batch.entries.push(Entry::new(record, number, offset, length, continues));
                batch.is_due()
            };
            if !is_due {
                continue;
            }
            if !self.flush() {
                return false;
            }
            // Rows of many connections take their time: the reading has most of it.
            if told.elapsed() > TABLES_EVERY.max(took * 20) {
                let begun = Instant::now();
                if !self.tell(News::Tables(Box::new(gathered.tables(trace, context)))) {
                    return false;
                }
                (told, took) = (Instant::now(), begun.elapsed());
            }
        }
        false
    }

    /// Tells the messages that wait; whether the reading goes on.
    fn flush(&self) -> bool {
        let told = lock(&self.batch).tell();
        match told {
            Ok(heard) => heard,
            Err(error) => {
                let text = anyhow!(
                    "the temporary file cannot be written: {error}; messages from here on are not shown"
                );
                self.tell(News::Trouble(text));
                false
            }
        }
    }

    fn tell(&self, news: News) -> bool {
        self.to.send(news).is_ok()
    }
}

/// Whether a message continues the run of the messages before it.
fn continues(run: &mut Option<FoldedRun>, record: &Record, context: &CaptureContext) -> bool {
    let row = Row::new(record, context);
    if run.as_mut().is_some_and(|run| run.takes(&row)) {
        return true;
    }
    *run = FoldedRun::begin(&row);
    false
}

#[cfg(test)]
mod tests {
    use bittrace_trace::{Direction, Flow, Recorder, StreamClosing, StreamId, StreamOpening};

    use super::super::spool::spool;
    use super::*;

    /// Each connection is a handshake and its end.
    #[test]
    fn the_end_of_a_connection_is_not_told_by_itself() {
        const CONNECTIONS: u32 = 3_000;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("many.pcapng");
        let file = std::fs::File::create(&path).expect("a file");
        let mut recorder = Recorder::new(std::io::BufWriter::new(file), "").expect("room");
        let handshake = [&b"\x13BitTorrent protocol"[..], &[0; 48]].concat();
        for number in 0..CONNECTIONS {
            let (at, stream) = (Timestamp::from_nanos(i64::from(number) * 1_000_000), StreamId(number));
            let [high, low] = (number as u16).to_be_bytes();
            let flow = Flow {
                initiator: ([10, 0, high, low], 1000).into(),
                responder: ([10, 1, 0, 1], 6881).into(),
            };
            recorder.opened(at, stream, flow, StreamOpening::Syn).expect("room");
            recorder.burst(at, stream, Direction::FromInitiator, &handshake).expect("room");
            recorder.closed(at, stream, StreamClosing::Finished).expect("room");
        }
        recorder.finish().expect("room");
        let (writer, _read) = spool().expect("a temporary file");
        let reading = read(vec![path], TraceOptions::default(), writer).expect("a thread");
        let (mut messages, mut times) = (0, 0);
        for news in reading.news.iter() {
            match news {
                News::Messages { entries, .. } => (messages, times) = (messages + entries.len(), times + 1),
                News::Done => break,
                _ => {}
            }
        }
        assert_eq!(messages, CONNECTIONS as usize);
        assert!(times * 10 < messages, "told {times} times");
    }

    #[test]
    fn after_waiting_for_who_listens_messages_are_told_together() {
        let (to, news) = sync_channel(0);
        let (spool, _read) = spool().expect("a temporary file");
        let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/download-aria2.pcap");
        let mut trace = Trace::open(&capture, TraceOptions::default()).expect("a capture");
        let Ok(Some(Dissected::Record(record))) = trace.next() else { panic!("a message comes first") };
        let entry = Entry::new(&record, 0, 0, 0, false);
        let mut batch =
            Batch { spool, entries: vec![entry], local: None, has_roles: false, begun: Instant::now(), to };
        // Who listens comes late, and hears nothing else.
        let listener = std::thread::spawn(move || {
            let begun = Instant::now();
            while begun.elapsed() < PATIENCE {
                std::thread::yield_now();
            }
            news.recv()
        });
        assert!(batch.tell().expect("room for messages"));
        assert!(!batch.is_due(), "the next message waits for others");
        assert!(listener.join().expect("no panic").is_ok());
    }
}
