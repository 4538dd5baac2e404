//! Between a session and the machine: what the session wants is done, and what happens is told to it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bittrace_protocol::Timestamp;
use bittrace_protocol::session::{Endpoint, Input, Output, Session, SessionStreamId, Status};
use bytes::Bytes;
use tokio::sync::mpsc::{self, Receiver, UnboundedReceiver, UnboundedSender};
use tokio::task::{AbortHandle, JoinSet};

use crate::clock::Clock;
use crate::connection::{Happened, Network};
use crate::files::Files;
use crate::folder::Replace;
use crate::gauge::Gauge;
use crate::journal::Journal;
use crate::listen::listen;
use crate::notice::Notice;
use crate::options::Options;
use crate::pieces::Pieces;
use crate::pool::Pool;
use crate::record::Tap;
use crate::storage::{Report, Storage};
use crate::{Error, Stop};

/// The sockets, threads and timers of a run.
pub(crate) struct Driver {
    clock: Clock,
    files: Arc<Files>,
    storage: Storage,
    reports: UnboundedReceiver<Report>,
    network: Network,
    happened: Receiver<Happened>,
    connections: HashMap<SessionStreamId, Connection>,
    tasks: JoinSet<()>,
    /// Names of peers that are being looked up; nothing waits for these at the end.
    lookups: JoinSet<()>,
    recording: Option<JoinHandle<()>>,
    recording_failure: Option<Error>,
    port: u16,
    /// How many tasks wait for peers to call; they never end.
    listening: usize,
    /// The odd number that the next peer who calls gets.
    next_called: u32,
    tracker_timeout: Duration,
    stop: Stop,
    over: bool,
    failure: Option<Error>,
}

/// A stream from the driver's side.
struct Connection {
    said: UnboundedSender<Bytes>,
    task: AbortHandle,
    open: bool,
}

impl Driver {
    pub(crate) fn new(
        options: &Options,
        clock: Clock,
        files: Arc<Files>,
        verified: Pieces,
        mut journal: Journal,
        replace: Replace,
        stop: Stop,
    ) -> Result<Self, Error> {
        let gauge = Gauge::default();
        let (reporting, reports) = mpsc::unbounded_channel();
        let (happening, happened) = mpsc::channel(MOST_HAPPENING);
        // What may be refused comes first, what overwrites something after it.
        let begun = listen(&options.listen, options.config.port).and_then(|(listeners, port)| {
            let (tap, recording) = match &options.record {
                Some(path) => {
                    let comment = options.record_comment.clone();
                    let (tap, thread) = Tap::open(path, comment, gauge.clone(), reporting.clone())?;
                    (tap, Some(thread))
                }
                None => (Tap::default(), None),
            };
            journal.begin(&verified)?;
            Ok((listeners, port, tap, recording))
        });
        let (listeners, port, tap, recording) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                // Why it could not begin is worth more than why something is left of it.
                let _ = journal.remove_if_empty(&files.folder);
                return Err(error);
            }
        };
        let storage = Storage::start(&files, verified, journal, replace, gauge.clone(), &reporting)?;
        let network = Network {
            clock,
            tap,
            pool: Pool::default(),
            gauge,
            happened: happening,
            connect_timeout: options.config.connect_timeout,
        };
        let mut tasks = JoinSet::new();
        let listening = listeners.len();
        for listener in listeners {
            tasks.spawn(network.clone().accept(listener));
        }
        Ok(Self {
            clock,
            files,
            storage,
            reports,
            network,
            happened,
            connections: HashMap::new(),
            tasks,
            lookups: JoinSet::new(),
            recording,
            recording_failure: None,
            port: if options.listen.is_empty() { 0 } else { port },
            listening,
            next_called: 1,
            tracker_timeout: options.config.tracker_timeout,
            stop,
            over: false,
            failure: None,
        })
    }

    /// The port that peers can call on; 0 where they cannot.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Runs a session to its end.
    pub(crate) async fn run(
        mut self,
        mut session: Session,
        notice: &mut impl FnMut(Notice),
    ) -> Result<Ended, Error> {
        let mut stops = 0;
        let mut progress_at = Instant::now();
        self.tell(&mut session, Input::Tick, notice);
        while !self.over {
            if Instant::now() >= progress_at {
                let now = self.clock.now();
                notice(Notice::Progress { status: session.status(now), peers: session.peers(now).collect() });
                progress_at = Instant::now() + PROGRESS_EVERY;
            }
            let wait = self.drain(&mut session, notice);
            let flush_at = self.storage.flush();
            if self.over {
                break;
            }
            let wait = wait.map(|at| self.clock.instant(at));
            let wake = [wait, flush_at].into_iter().flatten().fold(progress_at, Instant::min);
            tokio::select! {
                () = self.stop.said_again(stops) => {
                    stops = self.stop.times();
                    if stops > 1 {
                        break;
                    }
                    self.tell(&mut session, Input::Stop, notice);
                }
                Some(report) = self.reports.recv() => {
                    self.take_report(&mut session, report, notice);
                    while let Ok(report) = self.reports.try_recv() {
                        self.take_report(&mut session, report, notice);
                    }
                }
                Some(happened) = self.happened.recv() => {
                    self.take(&mut session, happened, notice);
                    // Some more, but not so many that what storage reports would wait for long.
                    for _ in 0..MOST_HAPPENING {
                        let Ok(happened) = self.happened.try_recv() else { break };
                        self.take(&mut session, happened, notice);
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => self.tell(&mut session, Input::Tick, notice),
            }
        }
        self.finish(&session, stops, notice).await
    }

    fn take_report(&mut self, session: &mut Session, report: Report, notice: &mut impl FnMut(Notice)) {
        let input = match report {
            Report::Stored(piece, count) => Input::Stored(piece, count),
            Report::Hashed(piece, digest) => Input::Hashed(piece, digest),
            Report::Examined(piece, digests) => Input::BlockHashes(piece, digests),
            Report::Loaded(stream, block, bytes) => Input::Loaded(stream, block, bytes),
            Report::Finished(file) => return tell_finished(&self.files, file, notice),
            Report::RecordingFailed(error) => {
                self.recording_failure = Some(tell_recording(error, notice));
                return;
            }
            Report::Failed(error) => {
                if self.failure.is_some() {
                    return;
                }
                self.failure = Some(error);
                Input::Stop
            }
        };
        self.tell(session, input, notice);
    }

    fn take(&mut self, session: &mut Session, happened: Happened, notice: &mut impl FnMut(Notice)) {
        let known = |stream| self.connections.contains_key(&stream);
        let input = match happened {
            Happened::Opened(stream, address) => {
                let Some(connection) = self.connections.get_mut(&stream) else { return };
                connection.open = true;
                Input::Opened(stream, address)
            }
            Happened::Called(socket, remote) => {
                if self.connections.len() >= MOST_CONNECTIONS {
                    return;
                }
                let stream = SessionStreamId(self.next_called);
                self.next_called = self.next_called.wrapping_add(2);
                let (said, saying) = mpsc::unbounded_channel();
                let task = self.tasks.spawn(self.network.clone().answer(stream, socket, remote, saying));
                self.connections.insert(stream, Connection { said, task, open: true });
                Input::Accepted(stream, remote)
            }
            // What a stream that the session has closed still says is nobody's.
            Happened::Received(stream, bytes) if known(stream) => Input::Received(stream, bytes),
            Happened::Sent(stream, count) if known(stream) => Input::Sent(stream, count),
            Happened::Closed(stream, closing) if known(stream) => {
                self.connections.remove(&stream);
                Input::Closed(stream, closing)
            }
            Happened::Fetched(stream, result) if known(stream) => {
                self.connections.remove(&stream);
                Input::Fetched(stream, result)
            }
            Happened::Resolved(name, addresses) => Input::Resolved(name, addresses),
            Happened::Received(..) | Happened::Sent(..) | Happened::Closed(..) | Happened::Fetched(..) => {
                return;
            }
        };
        self.tell(session, input, notice);
    }

    fn tell(&mut self, session: &mut Session, input: Input, notice: &mut impl FnMut(Notice)) {
        session.handle(self.clock.now(), input);
        self.drain(session, notice);
        // Tasks that have ended are let go.
        while self.tasks.try_join_next().is_some() {}
        while self.lookups.try_join_next().is_some() {}
    }

    /// Does all that the session wants; when it wants to be called again.
    fn drain(&mut self, session: &mut Session, notice: &mut impl FnMut(Notice)) -> Option<Timestamp> {
        loop {
            match session.poll(self.clock.now()) {
                Output::Open(stream, endpoint) => self.open(stream, endpoint),
                Output::Resolve(name) => {
                    self.lookups.spawn(self.network.clone().look_up(name));
                }
                Output::Send(stream, bytes) => {
                    if let Some(connection) = self.connections.get(&stream) {
                        // One whose task has ended has told why.
                        let _ = connection.said.send(bytes);
                    }
                }
                Output::Close(stream, _) => self.close(stream),
                Output::Store(piece, begin, bytes) => self.storage.store(piece, begin, bytes),
                Output::Discard(piece) => self.storage.discard(piece),
                Output::HashBlocks(piece, block_length) => self.storage.examine(piece, block_length),
                Output::Commit(piece) => self.storage.keep(piece),
                Output::Load(stream, block) => self.storage.load(stream, block),
                Output::Event(event) => notice(Notice::Session(event)),
                Output::Wait(at) => return at,
                Output::Done => {
                    self.over = true;
                    return None;
                }
            }
        }
    }

    fn open(&mut self, stream: SessionStreamId, endpoint: Endpoint) {
        let (said, saying) = mpsc::unbounded_channel();
        let network = self.network.clone();
        let task = match endpoint {
            Endpoint::Peer(address) => self.tasks.spawn(network.dial(stream, vec![address], saying)),
            Endpoint::HttpTracker(host, port) => {
                self.tasks.spawn(network.dial_host(stream, host, port, saying))
            }
            Endpoint::UdpTracker(host, port) => {
                self.tasks.spawn(network.exchange(stream, host, port, saying))
            }
            Endpoint::HttpsTracker(url) => self.tasks.spawn(network.fetch(stream, url, self.tracker_timeout)),
        };
        self.connections.insert(stream, Connection { said, task, open: false });
    }

    /// Ends a stream once what was said has left; one that is not open, at once.
    fn close(&mut self, stream: SessionStreamId) {
        if let Some(connection) = self.connections.remove(&stream)
            && !connection.open
        {
            connection.task.abort();
        }
    }

    /// Lets what was said leave, and what was verified reach the disk.
    async fn finish(
        mut self,
        session: &Session,
        stops: u32,
        notice: &mut impl FnMut(Notice),
    ) -> Result<Ended, Error> {
        let status = session.status(self.clock.now());
        // Nobody listens any longer, so that no task waits to be heard.
        self.happened.close();
        while self.happened.try_recv().is_ok() {}
        let open: Vec<_> = self.connections.keys().copied().collect();
        open.into_iter().for_each(|stream| self.close(stream));
        if stops < 2 {
            let _ = tokio::time::timeout(PARTING, async {
                while self.tasks.len() > self.listening && self.tasks.join_next().await.is_some() {}
            })
            .await;
        }
        self.tasks.shutdown().await;
        self.lookups.shutdown().await;
        let Self { mut storage, mut reports, network, files, mut failure, mut recording_failure, .. } = self;
        storage.close();
        drop(network);
        // Every thread that reports ends now, also one that has failed.
        while let Some(report) = reports.recv().await {
            match report {
                Report::Finished(file) => tell_finished(&files, file, notice),
                Report::Failed(error) if failure.is_none() => failure = Some(error),
                Report::RecordingFailed(error) => recording_failure = Some(tell_recording(error, notice)),
                _ => {}
            }
        }
        drop(storage);
        if let Some(thread) = self.recording {
            let _ = thread.join();
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(Ended { status, recording: recording_failure }),
        }
    }
}

/// How a session ended.
pub(crate) struct Ended {
    pub(crate) status: Status,
    /// Why not all of it was recorded.
    pub(crate) recording: Option<Error>,
}

/// Tells that the recording failed, and gives the error back for the end.
fn tell_recording(error: Error, notice: &mut impl FnMut(Notice)) -> Error {
    if let Error::Record { path, source } = &error {
        let source = match source.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::new(source.kind(), source.to_string()),
        };
        notice(Notice::RecordingFailed { error: Error::Record { path: path.clone(), source } });
    }
    error
}

fn tell_finished(files: &Files, file: usize, notice: &mut impl FnMut(Notice)) {
    if let Some(path) = files.path(file) {
        notice(Notice::FileDone { path: files.folder.shown(path, "") });
    }
}

/// How much of what happens on the network may wait: each may hold a chunk of what was received.
const MOST_HAPPENING: usize = 16;
/// Beyond the connections that a session keeps, for those who call in vain.
const MOST_CONNECTIONS: usize = 1_000;
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// How long goodbyes may take to leave.
const PARTING: Duration = Duration::from_secs(3);
