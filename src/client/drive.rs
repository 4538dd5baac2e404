//! Between a node and the machine: what the node and its session want is done, and what happens is told to them.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bittrace_protocol::Timestamp;
use bittrace_protocol::metainfo::PieceLayers;
use bittrace_protocol::node::{self, Node, UtpPolicy};
use bittrace_protocol::session::{Endpoint, Input, Output, SessionStreamId, Status};
use bittrace_protocol::wire::PieceSet;
use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, Receiver, UnboundedReceiver, UnboundedSender};
use tokio::task::{AbortHandle, JoinSet};

use crate::clock::Clock;
use crate::connection::Network;
use crate::dht_state;
use crate::event::DriverEvent;
use crate::files::Files;
use crate::gauge::MemoryBudget;
use crate::keys::{KeyKeeper, StreamEnds};
use crate::late_disk::{LateDisk, LateTorrent};
use crate::listen::{Listening, listen};
use crate::multicast::LocalNetwork;
use crate::notice::Notice;
use crate::on_disk::OpenedTorrent;
use crate::options::DownloadOptions;
use crate::os::create_recording;
use crate::outlets::Outlets;
use crate::pool::Pool;
use crate::record::Tap;
use crate::storage::Storage;
use crate::tls::TlsSetup;
use crate::udp::UdpPort;
use crate::{Error, Stop};

/// The sockets, threads and timers of a run.
pub(crate) struct Driver {
    clock: Clock,
    /// The torrent's files, once they are known.
    files: Option<Arc<Files>>,
    storage: Option<Storage>,
    /// What waits for the torrent's metadata.
    late: Option<Box<LateDisk>>,
    disk_sender: Option<UnboundedSender<DriverEvent>>,
    disk_events: UnboundedReceiver<DriverEvent>,
    network: Network,
    network_events: Receiver<DriverEvent>,
    udp: UdpPort,
    dht_state: Option<PathBuf>,
    local_network: LocalNetwork,
    connections: HashMap<SessionStreamId, ConnectionTask>,
    keys: KeyKeeper,
    tasks: JoinSet<()>,
    /// Names of peers that are being looked up; nothing waits for these at the end.
    lookups: JoinSet<()>,
    recording: Option<JoinHandle<()>>,
    recording_failure: Option<Error>,
    port: u16,
    /// How many tasks wait for incoming connections and datagrams; they never end.
    listening: usize,
    /// The odd number that the next incoming connection gets.
    next_incoming: u32,
    stop: Stop,
    over: bool,
    /// Whether every file has its final name.
    finished: bool,
    failure: Option<Error>,
}

/// A stream from the driver's side.
struct ConnectionTask {
    said: UnboundedSender<Bytes>,
    task: AbortHandle,
    open: bool,
    ends: StreamEnds,
}

impl Driver {
    pub(crate) fn new(
        options: &DownloadOptions,
        clock: Clock,
        disk: DriverDisk,
        stop: Stop,
    ) -> Result<Self, Error> {
        let gauge = MemoryBudget::default();
        let (late, mut ready) = match disk {
            DriverDisk::Ready { opened, verified } => (None, Some((opened, verified))),
            DriverDisk::Awaited(late) => (Some(late), None),
        };
        let (disk_sender, disk_events) = mpsc::unbounded_channel();
        let (network_sender, network_events) = mpsc::channel(MAX_NETWORK_EVENTS);
        // What may be refused comes first, what overwrites something after it.
        let udp = options.udp || options.dht.is_some() || options.utp != UtpPolicy::Off;
        let begun = listen(&options.listen, options.config.port, udp).and_then(|listening| {
            if let Some((opened, _)) = &ready {
                opened.check_outlets(options.record.as_deref(), options.key_log.as_deref())?;
            }
            let mut outlets = Outlets::new(disk_sender.clone());
            if let Some(path) = &options.record {
                let file =
                    create_recording(path).map_err(|source| Error::Record { path: path.clone(), source })?;
                outlets.add_file(path.clone(), file);
            }
            options.watchers.iter().for_each(|watcher| outlets.add_watcher(watcher));
            let (tap, recording) = match outlets.is_empty() {
                true => (Tap::default(), None),
                false => {
                    let (tap, thread) = Tap::open(outlets, options.record_comment.clone(), gauge.clone())?;
                    (tap, Some(thread))
                }
            };
            let keys = KeyKeeper::open(options.key_log.as_deref(), tap.clone())?;
            if let Some((opened, verified)) = &mut ready {
                opened.begin(verified)?;
            }
            Ok((listening, tap, recording, keys))
        });
        let (Listening { tcp, udp, port }, tap, recording, keys) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                // Why it could not begin is worth more than why something is left of it.
                let _ = ready.map(|(opened, _)| opened.withdraw());
                return Err(error);
            }
        };
        let started = ready.map(|(opened, verified)| opened.start(verified, gauge.clone(), &disk_sender));
        let (files, storage) = started.transpose()?.unzip();
        let network = Network {
            clock,
            tap,
            pool: Pool::default(),
            gauge,
            events: network_sender,
            connect_timeout: options.config.connect_timeout,
            tls: TlsSetup::default(),
            loopback: match options.listen[..] {
                [only] if only.is_loopback() => Some(only),
                _ => None,
            },
        };
        let mut tasks = JoinSet::new();
        let udp = UdpPort::new(udp);
        for listener in tcp {
            tasks.spawn(network.clone().accept(listener));
        }
        for socket in udp.sockets() {
            tasks.spawn(network.clone().hear_datagrams(socket));
        }
        let local_network = match options.lsd {
            true => LocalNetwork::join(&options.listen),
            false => LocalNetwork::default(),
        };
        for socket in local_network.sockets() {
            tasks.spawn(network.clone().hear_group(socket));
        }
        Ok(Self {
            clock,
            files,
            storage,
            disk_sender: late.is_some().then_some(disk_sender),
            late,
            disk_events,
            network,
            network_events,
            connections: HashMap::new(),
            keys,
            lookups: JoinSet::new(),
            recording,
            recording_failure: None,
            port: if options.listen.is_empty() { 0 } else { port },
            listening: tasks.len(),
            udp,
            dht_state: options.dht.as_ref().and_then(|dht| dht.state.clone()),
            local_network,
            tasks,
            next_incoming: 1,
            stop,
            over: false,
            finished: false,
            failure: None,
        })
    }

    /// The port that peers can call on; 0 where they cannot.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Whether there is a UDP socket for IPv4, and one for IPv6.
    pub(crate) fn udp_families(&self) -> [bool; 2] {
        self.udp.families()
    }

    /// Runs a node to its end.
    pub(crate) async fn run(
        mut self,
        mut node: Node,
        notice: &mut impl FnMut(Notice),
    ) -> Result<SessionEnd, Error> {
        let mut stops = 0;
        let mut progress_at = Instant::now();
        self.tell(&mut node, Input::Tick, notice);
        let interfaces = self.local_network.interfaces();
        if !interfaces.is_empty() {
            self.tell(&mut node, node::Input::Interfaces(interfaces), notice);
        }
        while !self.over {
            if Instant::now() >= progress_at {
                let now = self.clock.now();
                notice(Notice::Progress {
                    status: node.session().status(now),
                    peers: node.peers(now).collect(),
                });
                progress_at = Instant::now() + PROGRESS_EVERY;
            }
            let wait = self.drain(&mut node, notice);
            let flush_at = self.storage.as_mut().and_then(Storage::flush);
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
                    self.tell(&mut node, Input::Stop, notice);
                }
                Some(event) = self.disk_events.recv() => {
                    self.take(&mut node, event, notice);
                    while let Ok(event) = self.disk_events.try_recv() {
                        self.take(&mut node, event, notice);
                    }
                }
                Some(event) = self.network_events.recv() => {
                    self.take(&mut node, event, notice);
                    // Some more, but not so many that what storage tells would wait for long.
                    for _ in 0..MAX_NETWORK_EVENTS {
                        let Ok(event) = self.network_events.try_recv() else { break };
                        self.take(&mut node, event, notice);
                    }
                }
                () = self.udp.writable() => {
                    self.send_datagrams(&mut node);
                }
                () = tokio::time::sleep_until(wake.into()) => self.tell(&mut node, Input::Tick, notice),
            }
        }
        self.finish(&node, stops, notice).await
    }

    fn take(&mut self, node: &mut Node, event: DriverEvent, notice: &mut impl FnMut(Notice)) {
        let input = match event {
            DriverEvent::Datagrams(datagrams) => {
                let now = self.clock.now();
                node.set_room(self.network.gauge.left());
                for (from, bytes) in datagrams {
                    node.handle(now, node::Input::Datagram(from, bytes));
                }
                self.drain(node, notice);
                return;
            }
            DriverEvent::Multicast(by, from, bytes) => {
                return self.tell(node, node::Input::Multicast(by, from, bytes), notice);
            }
            DriverEvent::Input(input) if self.is_current(&input) => input,
            // What a stream still sends that the session has closed is nobody's.
            DriverEvent::Input(_) => return,
            DriverEvent::Incoming(socket, remote) => {
                let Some(stream) = self.accept(socket, remote) else { return };
                Input::Accepted(stream, remote)
            }
            DriverEvent::Local(stream, local) => {
                if let Some(connection) = self.connections.get_mut(&stream) {
                    connection.ends.initiator = Some(local);
                }
                return;
            }
            DriverEvent::FileFinished(file) => {
                return tell_finished(self.files.as_deref(), file, notice);
            }
            DriverEvent::Checking { done, total } => return notice(Notice::Checking { done, total }),
            DriverEvent::Surveyed => match self.surveyed(notice) {
                Some(input) => input,
                None => return,
            },
            DriverEvent::AllFinished => {
                self.finished = true;
                return;
            }
            DriverEvent::RecordingFailed(error) => {
                self.recording_failure = Some(tell_recording(error, notice));
                return;
            }
            DriverEvent::StorageFailed(error) => {
                if self.failure.is_some() {
                    return;
                }
                self.failure = Some(error);
                Input::Stop
            }
        };
        self.tell(node, input, notice);
    }

    /// Notes what an input says of a stream; whether the session has not closed the stream.
    fn is_current(&mut self, input: &Input) -> bool {
        match input {
            Input::Opened(stream, _) => {
                let connection = self.connections.get_mut(stream);
                connection.map(|connection| connection.open = true).is_some()
            }
            Input::Received(stream, _) | Input::Sent(stream, _) => self.connections.contains_key(stream),
            Input::Closed(stream, _) => self.connections.remove(stream).is_some(),
            _ => true,
        }
    }

    /// Begins to carry the bytes of an incoming connection; its stream, where there is room.
    fn accept(&mut self, socket: TcpStream, remote: SocketAddr) -> Option<SessionStreamId> {
        if self.connections.len() >= MOST_CONNECTIONS {
            return None;
        }
        let ends = StreamEnds { initiator: Some(remote), responder: socket.local_addr().ok() };
        let stream = SessionStreamId(self.next_incoming);
        self.next_incoming = self.next_incoming.wrapping_add(2);
        let (said, saying) = mpsc::unbounded_channel();
        let task = self.tasks.spawn(self.network.clone().answer(stream, socket, remote, saying));
        self.connections.insert(stream, ConnectionTask { said, task, open: true, ends });
        Some(stream)
    }

    fn tell(&mut self, node: &mut Node, input: impl Into<node::Input>, notice: &mut impl FnMut(Notice)) {
        node.handle(self.clock.now(), input.into());
        self.drain(node, notice);
        // Tasks that have ended are let go.
        while self.tasks.try_join_next().is_some() {}
        while self.lookups.try_join_next().is_some() {}
    }

    /// Does all that the node wants; when it wants to be called again.
    fn drain(&mut self, node: &mut Node, notice: &mut impl FnMut(Notice)) -> Option<Timestamp> {
        let now = self.clock.now();
        node.set_room(self.network.gauge.left());
        loop {
            let output = match node.poll() {
                node::Output::Session(output) => output,
                node::Output::Datagram(to, bytes, fragment) => {
                    self.udp.send(&self.network, to, bytes, fragment);
                    node.set_writable(!self.udp.is_full());
                    continue;
                }
                node::Output::UtpSecret(key, remote, is_ours) => {
                    let local = self.udp.local(remote);
                    let ends = match is_ours {
                        true => StreamEnds { initiator: local, responder: Some(remote) },
                        false => StreamEnds { initiator: Some(remote), responder: local },
                    };
                    if let Err(error) = self.keys.keep(now, &key, ends) {
                        notice(Notice::KeyLogFailed { error });
                    }
                    continue;
                }
                node::Output::Searched(result) => {
                    notice(Notice::DhtSearched(result));
                    continue;
                }
                node::Output::Save(nodes) => {
                    let written =
                        self.dht_state.as_ref().map_or(Ok(()), |path| dht_state::write(path, &nodes));
                    if let Err(error) = written {
                        notice(Notice::DhtStateFailed { error });
                    }
                    continue;
                }
                node::Output::Multicast(by, group, bytes) => {
                    if let Some(socket) = self.local_network.socket(by) {
                        self.tasks.spawn(self.network.clone().send_to_group(socket, group, bytes));
                    }
                    continue;
                }
            };
            match output {
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
                Output::Said(..) => {}
                Output::Secret(stream, key) => {
                    let ends = self.connections.get(&stream).map(|connection| connection.ends);
                    if let Err(error) = self.keys.keep(now, &key, ends.unwrap_or_default()) {
                        notice(Notice::KeyLogFailed { error });
                    }
                }
                Output::Close(stream, _) => self.close(stream),
                Output::Metadata(info, layers) => {
                    if let Some(input) = self.describe(info, layers, notice) {
                        node.handle(now, input.into());
                    }
                }
                output @ (Output::Store(..)
                | Output::Discard(_)
                | Output::HashBlocks(..)
                | Output::Commit(_)
                | Output::Load(..)) => self.on_disk(output),
                // The node takes them.
                Output::DhtContact(_) | Output::Pause(_) => {}
                Output::Event(event) => notice(Notice::Session(event)),
                Output::Wait(Some(at)) if at <= now => node.handle(now, Input::Tick.into()),
                Output::Wait(at) => {
                    self.send_datagrams(node);
                    return at;
                }
                Output::Done => {
                    self.send_datagrams(node);
                    self.over = true;
                    return None;
                }
            }
        }
    }

    /// Sends the datagrams that wait, as far as the system takes them.
    fn send_datagrams(&mut self, node: &mut Node) {
        self.udp.flush(&self.network);
        node.set_writable(!self.udp.is_full());
    }

    /// Does what the session wants of the disk. It wants nothing before it knows the torrent.
    fn on_disk(&mut self, output: Output) {
        let Some(storage) = &mut self.storage else { return };
        match output {
            Output::Store(piece, begin, bytes) => storage.store(piece, begin, bytes),
            Output::Discard(piece) => storage.discard(piece),
            Output::HashBlocks(piece, block_length) => storage.hash_blocks(piece, block_length),
            Output::Commit(piece) => storage.commit(piece),
            Output::Load(stream, block) => storage.load(stream, block),
            _ => {}
        }
    }

    /// Takes the metadata of the torrent; what the session is told at once.
    fn describe(
        &mut self,
        info: Bytes,
        layers: PieceLayers,
        notice: &mut impl FnMut(Notice),
    ) -> Option<Input> {
        let (Some(late), Some(events)) = (&mut self.late, &self.disk_sender) else { return None };
        match late.describe(info, layers, events, notice) {
            Ok(()) => late.wants_metadata_alone().then_some(Input::Stop),
            Err(error) => {
                self.failure.get_or_insert(error);
                Some(Input::Stop)
            }
        }
    }

    /// It is known what is on disk: the session goes on, or the run ends.
    fn surveyed(&mut self, notice: &mut impl FnMut(Notice)) -> Option<Input> {
        self.start_storage(notice).unwrap_or_else(|error| {
            self.failure.get_or_insert(error);
            Some(Input::Stop)
        })
    }

    /// Starts the threads that write. A run that was ended meanwhile did not wait for that.
    fn start_storage(&mut self, notice: &mut impl FnMut(Notice)) -> Result<Option<Input>, Error> {
        let found = self.late.as_mut().and_then(|late| late.surveyed());
        let (Some(found), Some(events)) = (found, self.disk_sender.clone()) else { return Ok(None) };
        let (mut opened, survey) = found?;
        opened.tell(&survey, notice);
        if let Err(error) = opened.begin(&survey.verified) {
            // Why it could not begin is worth more than why something is left of it.
            let _ = opened.withdraw();
            return Err(error);
        }
        let (torrent, have) = (opened.torrent.clone(), survey.verified.iter().collect());
        let (files, storage) = opened.start(survey.verified, self.network.gauge.clone(), &events)?;
        (self.files, self.storage) = (Some(files), Some(storage));
        // From here on the threads alone hold the channel, so that it ends with them.
        self.disk_sender = None;
        Ok(Some(Input::Described(torrent, have)))
    }

    fn open(&mut self, stream: SessionStreamId, endpoint: Endpoint) {
        let (said, saying) = mpsc::unbounded_channel();
        let network = self.network.clone();
        let mut ends = StreamEnds::default();
        let task = match endpoint {
            Endpoint::Peer(address) | Endpoint::UtpPeer(address, _) => {
                ends.responder = Some(address);
                self.tasks.spawn(network.dial(stream, vec![address], saying))
            }
            Endpoint::HttpTracker(remote) | Endpoint::WebSeed(remote) => {
                self.tasks.spawn(network.dial_host(stream, remote, saying))
            }
            Endpoint::UdpTracker(remote) => self.tasks.spawn(network.exchange(stream, remote, saying)),
        };
        self.connections.insert(stream, ConnectionTask { said, task, open: false, ends });
    }

    /// Ends a stream once what was said has left; one that is not open, at once.
    fn close(&mut self, stream: SessionStreamId) {
        if let Some(connection) = self.connections.remove(&stream)
            && !connection.open
        {
            connection.task.abort();
        }
    }

    /// Lets what was said leave, and what was verified reach the disk. Files that are still waiting for the disk when the
    /// user wants the run to end get little time: the next run finishes the rest.
    async fn finish(
        mut self,
        node: &Node,
        mut stops: u32,
        notice: &mut impl FnMut(Notice),
    ) -> Result<SessionEnd, Error> {
        let status = node.session().status(self.clock.now());
        // Nobody listens any longer, so that no task waits to be heard.
        self.network_events.close();
        while self.network_events.try_recv().is_ok() {}
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
        // What is still found out about the disk is for a session that is over.
        let late = self.late.take().map(|late| late.finish());
        self.disk_sender = None;
        let Self { mut storage, mut disk_events, network, keys, files, stop, udp, .. } = self;
        let Self { mut finished, mut failure, mut recording_failure, .. } = self;
        if let Some(storage) = &mut storage {
            storage.close();
        }
        let give_up = || files.iter().for_each(|files| files.give_up());
        let is_given_up = || files.as_ref().is_none_or(|files| files.is_given_up());
        // The recorder ends when no one can add to the recording.
        drop((network, keys, udp));
        if stops > 1 {
            give_up();
        }
        let mut give_up_at = Instant::now() + FINISHING;
        // Every thread that reports ends now, also one that has failed.
        loop {
            let event = tokio::select! {
                event = disk_events.recv() => event,
                () = stop.said_again(stops) => {
                    stops = stop.times();
                    match stops {
                        1 => give_up_at = Instant::now() + FINISHING,
                        _ => give_up(),
                    }
                    continue;
                }
                () = tokio::time::sleep_until(give_up_at.into()), if stops > 0 && !is_given_up() => {
                    give_up();
                    continue;
                }
            };
            match event {
                None => break,
                Some(DriverEvent::FileFinished(file)) => tell_finished(files.as_deref(), file, notice),
                Some(DriverEvent::AllFinished) => finished = true,
                Some(DriverEvent::StorageFailed(error)) if failure.is_none() => failure = Some(error),
                Some(DriverEvent::RecordingFailed(error)) => {
                    recording_failure = Some(tell_recording(error, notice))
                }
                Some(_) => {}
            }
        }
        drop(storage);
        if let Some(thread) = self.recording {
            let _ = thread.join();
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(SessionEnd { status, finished, recording: recording_failure, late }),
        }
    }
}

/// How a session ended.
pub(crate) struct SessionEnd {
    pub(crate) status: Status,
    /// Whether every file of the torrent has its final name.
    pub(crate) finished: bool,
    /// Why not all of it was recorded.
    pub(crate) recording: Option<Error>,
    /// What became known of the torrent, where the run began with a magnet link.
    pub(crate) late: Option<LateTorrent>,
}

/// The disk of a run.
pub(crate) enum DriverDisk {
    /// It is known what of the torrent is there.
    Ready { opened: Box<OpenedTorrent>, verified: PieceSet },
    /// The torrent is not known yet.
    Awaited(Box<LateDisk>),
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

fn tell_finished(files: Option<&Files>, file: usize, notice: &mut impl FnMut(Notice)) {
    if let Some(files) = files
        && let Some(path) = files.path(file)
    {
        notice(Notice::FileDone { path: files.folder.shown(&path, "") });
    }
}

/// How much of what happens on the network may wait: each may hold a chunk of what was received.
const MAX_NETWORK_EVENTS: usize = 16;
/// Beyond the connections that a session keeps, for those who call in vain.
const MOST_CONNECTIONS: usize = 1_000;
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// How long goodbyes may take to leave.
const PARTING: Duration = Duration::from_secs(3);
/// How long files are still finished after the user wants the run to end.
const FINISHING: Duration = Duration::from_millis(200);
