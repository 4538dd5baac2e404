//! The threads that write and hash what comes, read what peers ask for, and finish files.
//!
//! A piece belongs to one worker, which does all that concerns it in order. Bytes are written as they come; as long as
//! they come in order, they are hashed while they are in the processor's cache, else read back once the piece is whole.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use bittrace_protocol::metainfo::PieceDigester;
use bittrace_protocol::session::{Input, SessionStreamId};
use bittrace_protocol::wire::PieceSet;
use bittrace_protocol::{Block, PieceIndex};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::UnboundedSender;

use crate::Error;
use crate::event::DriverEvent;
use crate::files::Files;
use crate::folder::Replace;
use crate::gauge::{MemoryBudget, Permit};
use crate::journal::Journal;
use crate::lock::Lock;

/// A handle on the threads. When it is dropped they end, once they have done what they were told.
#[derive(Debug)]
pub(crate) struct Storage {
    workers: Vec<Sender<Vec<Job>>>,
    batches: Vec<Vec<Job>>,
    finisher: Option<Sender<Vec<PieceIndex>>>,
    /// Verified pieces that the finisher was not told of.
    committed: Vec<PieceIndex>,
    /// When the finisher may be woken again.
    commit_at: Instant,
    gauge: MemoryBudget,
    files: Arc<Files>,
    threads: Vec<thread::JoinHandle<()>>,
}

#[derive(Debug)]
enum Job {
    Write { piece: PieceIndex, begin: u32, bytes: Bytes, _held: Permit },
    Discard(PieceIndex),
    HashBlocks(PieceIndex, u32),
    Load(SessionStreamId, Block),
}

impl Storage {
    /// Starts the threads.
    pub(crate) fn start(
        files: &Arc<Files>,
        verified: PieceSet,
        journal: Option<Journal>,
        replace: Replace,
        gauge: MemoryBudget,
        events: &UnboundedSender<DriverEvent>,
    ) -> Result<Self, Error> {
        let mut threads = Vec::new();
        let mut workers = Vec::new();
        for _ in 0..WORKERS {
            let (sender, jobs) = mpsc::channel();
            let worker = Worker {
                files: files.clone(),
                events: events.clone(),
                done: Vec::new(),
                under_way: HashMap::new(),
                failed: false,
            };
            threads.push(spawn("storage", move || worker.run(&jobs))?);
            workers.push(sender);
        }
        let (finisher, committed) = mpsc::channel();
        let finishing = Finisher::new(files.clone(), verified, journal, replace, events.clone());
        threads.push(spawn("finisher", move || finishing.run(&committed))?);
        let batches = workers.iter().map(|_| Vec::new()).collect();
        let (committed, commit_at) = (Vec::new(), Instant::now());
        let files = files.clone();
        Ok(Self { workers, batches, finisher: Some(finisher), committed, commit_at, gauge, files, threads })
    }

    /// Writes bytes of a piece.
    pub(crate) fn store(&mut self, piece: PieceIndex, begin: u32, bytes: Bytes) {
        let _held = self.gauge.hold(bytes.len());
        self.push(piece, Job::Write { piece, begin, bytes, _held });
    }

    /// Forgets what was stored of a piece.
    pub(crate) fn discard(&mut self, piece: PieceIndex) {
        self.push(piece, Job::Discard(piece));
    }

    /// Hashes the blocks of a stored piece, each for itself.
    pub(crate) fn hash_blocks(&mut self, piece: PieceIndex, block_length: u32) {
        self.push(piece, Job::HashBlocks(piece, block_length));
    }

    /// Reads a block.
    pub(crate) fn load(&mut self, stream: SessionStreamId, block: Block) {
        self.push(block.index, Job::Load(stream, block));
    }

    /// Remembers a verified piece, and finishes the files that have no other missing.
    pub(crate) fn commit(&mut self, piece: PieceIndex) {
        self.committed.push(piece);
    }

    /// Lets the threads end once they have done what they were told: when all have, or could not, no report follows.
    pub(crate) fn close(&mut self) {
        self.workers.clear();
        self.hand_on_committed();
        self.finisher = None;
    }

    /// Hands what was said since the last time to the threads; when to call again, where something is held back.
    pub(crate) fn flush(&mut self) -> Option<Instant> {
        for (worker, batch) in self.workers.iter().zip(&mut self.batches) {
            if !batch.is_empty() {
                let _ = worker.send(std::mem::take(batch));
            }
        }
        if self.committed.is_empty() {
            return None;
        }
        let now = Instant::now();
        if now < self.commit_at {
            return Some(self.commit_at);
        }
        self.commit_at = now + COMMIT_EVERY;
        self.hand_on_committed();
        None
    }

    fn hand_on_committed(&mut self) {
        if let Some(finisher) = self.finisher.as_ref().filter(|_| !self.committed.is_empty()) {
            // Where the thread is gone it has said why.
            let _ = finisher.send(std::mem::take(&mut self.committed));
        }
    }

    fn push(&mut self, piece: PieceIndex, job: Job) {
        let worker = piece.0 as usize % self.batches.len();
        self.batches[worker].push(job);
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        // Whoever wanted all of it done has waited for the last report.
        self.files.give_up();
        self.close();
        // A next run in this process must find the files at rest.
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Starts a thread.
pub(crate) fn spawn<T: Send + 'static>(
    name: &'static str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<thread::JoinHandle<T>, Error> {
    let builder = thread::Builder::new().name(format!("bittrace-{name}"));
    builder.spawn(run).map_err(|source| Error::System { what: "a thread", source })
}

struct Worker {
    files: Arc<Files>,
    events: UnboundedSender<DriverEvent>,
    /// What is not reported yet.
    done: Vec<DriverEvent>,
    under_way: HashMap<PieceIndex, UnderWay>,
    failed: bool,
}

/// A piece that is not whole.
struct UnderWay {
    digester: PieceDigester,
    /// How many bytes from its first on are hashed.
    hashed: u32,
    stored: u32,
}

impl Worker {
    fn run(mut self, jobs: &Receiver<Vec<Job>>) {
        while let Ok(batch) = jobs.recv() {
            self.work(batch);
            self.tell();
        }
    }

    fn work(&mut self, batch: Vec<Job>) {
        let mut jobs = batch.into_iter().peekable();
        while let Some(job) = jobs.next() {
            match job {
                Job::Write { piece, begin, bytes, _held } => {
                    // What follows in the piece is written in the same call.
                    let mut end = begin + bytes.len() as u32;
                    let (mut parts, mut held) = (vec![bytes], vec![_held]);
                    while let Some(Job::Write { bytes, _held, .. }) = jobs.next_if(
                        |next| matches!(next, Job::Write { piece: of, begin, .. } if *of == piece && *begin == end),
                    ) {
                        end += bytes.len() as u32;
                        parts.push(bytes);
                        held.push(_held);
                    }
                    self.write(piece, begin, end, &parts);
                }
                Job::Discard(piece) => {
                    self.under_way.remove(&piece);
                }
                Job::HashBlocks(piece, block_length) => self.hash_blocks(piece, block_length),
                Job::Load(stream, block) => {
                    let bytes = self.files.read_block(block);
                    self.report(Input::Loaded(stream, block, bytes));
                    // A peer waits for it, and the next read may take long.
                    self.tell();
                }
            }
        }
    }

    fn write(&mut self, piece: PieceIndex, begin: u32, end: u32, parts: &[Bytes]) {
        if self.failed {
            return;
        }
        let Some(span) = self.files.geometry.piece_span(piece) else { return };
        match self.files.write(span.start + u64::from(begin), parts) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return self.fail(error),
        }
        let torrent = &self.files.torrent;
        let under_way = self.under_way.entry(piece).or_insert_with(|| UnderWay {
            digester: torrent.digester(piece),
            hashed: 0,
            stored: 0,
        });
        // What comes as padding is not stored: it is hashed as what is read back, and served, in its place.
        if begin == under_way.hashed
            && !self.files.has_padding(span.start + u64::from(begin)..span.start + u64::from(end))
        {
            for part in parts {
                under_way.digester.update(part);
            }
            under_way.hashed = end;
        }
        under_way.stored += end - begin;
        let whole = u64::from(under_way.stored) >= span.end - span.start;
        self.report(Input::Stored(piece, end - begin));
        if whole {
            self.hash(piece);
        }
    }

    /// Hashes what has not been of a whole piece.
    fn hash(&mut self, piece: PieceIndex) {
        let Some(UnderWay { mut digester, hashed, .. }) = self.under_way.remove(&piece) else { return };
        let Some(span) = self.files.geometry.piece_span(piece) else { return };
        let mut at = span.start + u64::from(hashed);
        let mut buffer = vec![0; READ_BACK.min(usize::try_from(span.end - at).unwrap_or(READ_BACK))];
        while at < span.end {
            let count = usize::try_from(span.end - at).unwrap_or(usize::MAX).min(buffer.len());
            match self.files.read(at..at + count as u64, &mut buffer[..count]) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.fail(error),
            }
            digester.update(&buffer[..count]);
            at += count as u64;
        }
        self.report(Input::Hashed(piece, digester.finish()));
    }

    fn hash_blocks(&mut self, piece: PieceIndex, block_length: u32) {
        let size = self.files.geometry.piece_size(piece).unwrap_or(0);
        let begins = (0..size).step_by(block_length.max(1) as usize);
        let digests = begins.map(|begin| {
            let block = Block { index: piece, begin, length: block_length.min(size - begin) };
            self.files.read_block(block).map(|bytes| Sha256::digest(&bytes).into())
        });
        // Where they cannot be read there are none: nobody is blamed, and who asked for leaves is refused.
        let digests: Option<Vec<_>> = digests.collect();
        self.report(Input::BlockHashes(piece, digests.unwrap_or_default()));
    }

    fn fail(&mut self, error: Error) {
        self.failed = true;
        self.report(DriverEvent::StorageFailed(error));
    }

    fn report(&mut self, event: impl Into<DriverEvent>) {
        self.done.push(event.into());
    }

    /// Tells what is done, all at once, so that who listens is woken once.
    fn tell(&mut self) {
        for event in self.done.drain(..) {
            // Where nobody listens any more, the threads end soon.
            let _ = self.events.send(event);
        }
    }
}

/// Writes down what is verified, and gives files their final names.
struct Finisher {
    files: Arc<Files>,
    verified: PieceSet,
    /// The state file; `None` once nothing is left to remember, and where nothing can be written because it was whole before.
    journal: Option<Journal>,
    /// What is served from must not be replaced by another run either.
    lock: Option<Lock>,
    replace: Replace,
    /// How many pieces of each file are not verified.
    missing: Vec<u32>,
    /// How many of the wanted files have such pieces.
    incomplete: usize,
    /// Whether all that was to be done is done.
    ended: bool,
    /// Whether a file lacks its final name although all its pieces are verified, because the run was given up. The next
    /// run gives the file its name.
    left_unfinished: bool,
    events: UnboundedSender<DriverEvent>,
}

impl Finisher {
    fn new(
        files: Arc<Files>,
        verified: PieceSet,
        journal: Option<Journal>,
        replace: Replace,
        events: UnboundedSender<DriverEvent>,
    ) -> Self {
        let missing = missing_pieces(&files, &verified);
        let incomplete =
            missing.iter().enumerate().filter(|(file, missing)| **missing > 0 && files.is_wanted(*file));
        Self {
            incomplete: incomplete.count(),
            files,
            verified,
            journal,
            lock: None,
            replace,
            missing,
            left_unfinished: false,
            ended: false,
            events,
        }
    }

    fn run(mut self, committed: &Receiver<Vec<PieceIndex>>) {
        if let Err(error) = self.finish_all(committed) {
            let _ = self.events.send(DriverEvent::StorageFailed(error));
        }
    }

    fn finish_all(&mut self, committed: &Receiver<Vec<PieceIndex>>) -> Result<(), Error> {
        if self.journal.is_none() {
            let _ = self.events.send(DriverEvent::AllFinished);
        }
        self.end()?;
        while let Ok(mut pieces) = committed.recv() {
            // All that waits at once.
            pieces.extend(committed.try_iter().flatten());
            self.finish(&pieces)?;
        }
        Ok(())
    }

    fn finish(&mut self, pieces: &[PieceIndex]) -> Result<(), Error> {
        if let Some(journal) = &mut self.journal {
            journal.append(pieces)?;
        }
        let mut whole = Vec::new();
        for &piece in pieces {
            if !self.verified.insert(piece) {
                continue;
            }
            for range in self.files.geometry.piece_files(piece) {
                self.missing[range.file] -= 1;
                if self.missing[range.file] == 0 && self.files.is_wanted(range.file) {
                    self.incomplete -= 1;
                    whole.push(range.file);
                }
            }
        }
        let events = &self.events;
        let tell = |file| drop(events.send(DriverEvent::FileFinished(file)));
        self.left_unfinished |= !self.files.finish_all(&whole, self.replace, &tell)?;
        self.end()
    }

    /// With every wanted piece verified the wanted files without bytes and the links are made. Then nothing is left to remember, but
    /// for what later runs go on with that want other files.
    fn end(&mut self) -> Result<(), Error> {
        let any_missing = match self.files.chosen.is_all() {
            // Padding may have pieces of its own.
            true => !self.verified.is_all(),
            false => self.incomplete > 0,
        };
        if self.left_unfinished || self.ended || self.journal.is_none() || any_missing {
            return Ok(());
        }
        let files = 0..self.files.layout.places.len();
        let empty = files.filter(|&file| self.files.is_empty(file) && self.files.is_wanted(file));
        for (at, file) in empty.enumerate() {
            // A few files take no time, and a run that has few more to make is complete.
            if at >= FEW && self.files.is_given_up() {
                return Ok(());
            }
            if self.files.make_empty(file, self.replace)? {
                let _ = self.events.send(DriverEvent::FileFinished(file));
            }
        }
        if !self.files.make_links()? {
            return Ok(());
        }
        self.ended = true;
        let is_over = self.files.chosen.is_all() || !self.files.any_left_for_later();
        if is_over && let Some(journal) = self.journal.take() {
            self.lock = Some(journal.remove(&self.files.folder)?);
        }
        let _ = self.events.send(DriverEvent::AllFinished);
        Ok(())
    }
}

/// How many pieces of each file are not among `verified`.
pub(crate) fn missing_pieces(files: &Files, verified: &PieceSet) -> Vec<u32> {
    let missing = |file| {
        let pieces = files.geometry.pieces_of(file).map(PieceIndex);
        u32::try_from(pieces.filter(|&piece| !verified.contains(piece)).count()).unwrap_or(u32::MAX)
    };
    (0..files.layout.places.len()).map(missing).collect()
}

/// Hashing is what takes longest, and one processor cannot hash as fast as another receives.
const WORKERS: usize = 2;
/// Small pieces come by the thousand a second, and waking a thread for each costs more than writing them down.
const COMMIT_EVERY: Duration = Duration::from_millis(50);
/// So many files without bytes are made even when the run is given up.
const FEW: usize = 8;
const READ_BACK: usize = 256 * 1024;
