//! A reference's tracker and peers on real sockets, for any client: what it says is recorded, to be compared with what
//! the reference's client said.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bittrace_protocol::tracker::Event;
use bittrace_protocol::tracker::http::{Framing, Request, RequestKind, frame_request};
use bittrace_protocol::{Metainfo, Timestamp};
use bittrace_trace::{Closing, Direction, Flow, Opening, Recorder, StreamId};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::contents::Contents;
use crate::disturb::{Act, Disturbance, Disturber};
use crate::far_peer::{FarPeer, Missed};
use crate::far_tracker::{FarTracker, Topic};
use crate::recast::{recast_answer, recast_torrent};
use crate::reference::{Connection, Reference};

/// How a reference is served.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The tracker's address. On an IPv4 loopback address each peer has the next one, elsewhere the same with a port of
    /// its own.
    pub listen: SocketAddr,
    /// How long a client may say nothing before what a far end waits for is given up.
    pub patience: Duration,
    /// What far ends do on purpose.
    pub disturb: Option<Disturbance>,
    /// What the recording says of itself.
    pub comment: String,
}

/// A reference on sockets that nobody has called yet.
pub struct Server {
    reference: Rc<Reference>,
    listeners: Vec<(SocketAddr, TcpListener)>,
    tracker: TcpListener,
    tracker_address: SocketAddr,
    shared: Rc<RefCell<Shared>>,
    signs: watch::Receiver<Signs>,
}

/// What can be seen of a client while it runs.
#[derive(Debug, Clone, Default)]
pub struct Signs {
    /// The announces that were answered, by their events.
    pub announced: Vec<Option<Event>>,
    /// How many connections to peers were made.
    pub connections: u32,
    /// How many of them are open.
    pub open: u32,
    /// When something was last said by either side.
    pub last: Option<Instant>,
}

impl Signs {
    /// Whether the client said that it has everything.
    pub fn completed(&self) -> bool {
        self.announced.contains(&Some(Event::Completed))
    }

    /// Whether the client said goodbye to the tracker, having been there: some say goodbye before they begin.
    pub fn stopped(&self) -> bool {
        self.announced.len() > 1 && self.announced.last() == Some(&Some(Event::Stopped))
    }
}

/// What came of serving.
#[derive(Debug)]
pub struct Served {
    /// The connections to peers, in their order.
    pub plays: Vec<Play>,
    /// What is worth knowing, in words.
    pub remarks: Vec<String>,
    /// What was seen of the client.
    pub signs: Signs,
}

/// What became of one connection to a peer.
#[derive(Debug)]
pub struct Play {
    /// The recorded peer.
    pub far: SocketAddr,
    /// Its number in the recording.
    pub stream: u32,
    /// Where it did not go as in the reference.
    pub missed: Vec<Missed>,
    /// How it ended.
    pub end: End,
    /// Whether the far end was to disturb the client here, and did.
    pub disturbed: Option<bool>,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The client closed it.
    ByClient,
    /// The client reset it.
    Reset,
    /// The far end closed it, as it was to.
    ByFarEnd,
    /// What the client said is no BitTorrent.
    Garbled(&'static str),
    /// It was open when the run ended.
    Open,
}

struct Shared {
    torrent: Arc<Metainfo>,
    contents: Contents,
    options: ServeOptions,
    recorder: Recorder<Box<dyn Write>>,
    failed: Option<io::Error>,
    streams: u32,
    tracker: FarTracker,
    /// The recorded addresses of peers that listen here, and where.
    places: BTreeMap<SocketAddr, SocketAddr>,
    /// The connections of each recorded peer that have not been played.
    waiting: BTreeMap<SocketAddr, Vec<Connection>>,
    /// Where the client listens.
    client: Option<SocketAddr>,
    plays: Vec<Play>,
    remarks: Vec<String>,
    disturbed: bool,
    /// The recorded peers that have a connection, or had one.
    started: BTreeSet<SocketAddr>,
    signs: watch::Sender<Signs>,
    clock: (Timestamp, Instant),
}

impl Server {
    /// Opens the sockets of a reference's tracker and peers; what is said on them will be recorded in `record`.
    ///
    /// # Errors
    /// When an address cannot be listened on, or the recording not be begun.
    pub async fn bind(
        reference: Reference,
        torrent: Arc<Metainfo>,
        contents: Contents,
        options: ServeOptions,
        record: Box<dyn Write>,
    ) -> io::Result<Self> {
        let tracker = listen(options.listen)?;
        let tracker_address = tracker.local_addr()?;
        let mut waiting: BTreeMap<SocketAddr, Vec<Connection>> = BTreeMap::new();
        let mut order = Vec::new();
        for connection in reference.conversations().filter(|connection| !connection.tracker) {
            if !waiting.contains_key(&connection.far) {
                order.push((connection.far, connection.called));
            }
            waiting.entry(connection.far).or_default().push(connection.clone());
        }
        let (mut listeners, mut places) = (Vec::new(), BTreeMap::new());
        for (number, (far, called)) in (1..).zip(order) {
            let address = SocketAddr::new(beside(options.listen.ip(), number), 0);
            let listener = listen(address)?;
            // One that called listened elsewhere, and nobody knows where: it is not handed out.
            if !called {
                places.insert(far, listener.local_addr()?);
            }
            listeners.push((far, listener));
        }
        let (news, signs) = watch::channel(Signs::default());
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let shared = Shared {
            torrent,
            contents,
            recorder: Recorder::new(record, &options.comment)?,
            options,
            failed: None,
            streams: 0,
            tracker: FarTracker::of(&reference),
            places,
            waiting,
            client: None,
            plays: Vec::new(),
            remarks: Vec::new(),
            disturbed: false,
            started: BTreeSet::new(),
            signs: news,
            clock: (Timestamp::EPOCH + since, Instant::now()),
        };
        let shared = Rc::new(RefCell::new(shared));
        Ok(Self { reference: Rc::new(reference), listeners, tracker, tracker_address, shared, signs })
    }

    /// Where the tracker listens.
    pub const fn tracker(&self) -> SocketAddr {
        self.tracker_address
    }

    /// The recorded peers and where they are now.
    pub fn peers(&self) -> Vec<(SocketAddr, SocketAddr)> {
        let place = |(far, listener): &(SocketAddr, TcpListener)| Some((*far, listener.local_addr().ok()?));
        self.listeners.iter().filter_map(place).collect()
    }

    /// A copy of the torrent file whose tracker is this one. `None` where `file` is no torrent file.
    pub fn torrent_file(&self, file: &[u8]) -> Option<Vec<u8>> {
        let path = self.reference.records.iter().find_map(|record| match &record.body {
            bittrace_trace::Body::HttpRequest(request, _) => {
                Some(String::from_utf8_lossy(request.path()).into_owned())
            }
            _ => None,
        });
        let path = path.unwrap_or_else(|| "/announce".to_owned());
        recast_torrent(file, &format!("http://{}{path}", self.tracker_address))
    }

    /// What can be seen of the client, as it changes.
    pub fn signs(&self) -> watch::Receiver<Signs> {
        self.signs.clone()
    }

    /// Plays the reference until `over` is.
    ///
    /// # Errors
    /// When the recording could not be written.
    pub async fn run<T>(self, over: impl Future<Output = T>) -> io::Result<(Served, T)> {
        let Self { reference, listeners, tracker, shared, .. } = self;
        let tasks = LocalSet::new();
        let result = tasks
            .run_until(async {
                let mut listening = JoinSet::new();
                listening.spawn_local(serve_tracker(tracker, reference.clone(), shared.clone()));
                for (far, listener) in listeners {
                    listening.spawn_local(serve_peer(far, listener, reference.clone(), shared.clone()));
                }
                over.await
            })
            .await;
        // Whoever is still talking is cut off.
        drop(tasks);
        let shared = Rc::try_unwrap(shared).map_err(|_| io::Error::other("a connection outlived the run"))?;
        let mut shared = shared.into_inner();
        let signs = shared.signs.borrow().clone();
        shared.plays.sort_by_key(|play| play.stream);
        for number in shared.tracker.unused() {
            shared
                .remarks
                .push(format!("the tracker's answer {number} of the reference was never asked for"));
        }
        for far in shared.waiting.keys() {
            if !shared.started.contains(far) {
                shared.remarks.push(format!("no connection with the recorded peer {far} was made"));
            }
        }
        if let Some(error) = shared.failed {
            return Err(error);
        }
        shared.recorder.finish()?;
        Ok((Served { plays: shared.plays, remarks: shared.remarks, signs }, result))
    }
}

async fn serve_tracker(listener: TcpListener, reference: Rc<Reference>, shared: Rc<RefCell<Shared>>) {
    while let Ok((stream, client)) = listener.accept().await {
        spawn_local(answer_client(stream, client, reference.clone(), shared.clone()));
    }
}

/// One connection to the tracker.
async fn answer_client(
    mut stream: TcpStream,
    client: SocketAddr,
    reference: Rc<Reference>,
    shared: Rc<RefCell<Shared>>,
) {
    let Ok(own) = stream.local_addr() else { return };
    let line = Line::open(&shared, Flow { initiator: client, responder: own }, Direction::FromInitiator);
    let mut asked = Vec::new();
    let mut buffer = vec![0; READ];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return line.close(&shared, Closing::Finished),
            Ok(count) => {
                line.client_says(&shared, &buffer[..count]);
                asked.extend_from_slice(&buffer[..count]);
            }
        }
        while let Framing::Complete(length) = frame_request(&asked) {
            let request: Vec<u8> = asked.drain(..length).collect();
            let answer = Shared::answer(&shared, &request, client, &reference);
            line.far_says(&shared, &answer);
            // An answer ends its connection, and says so.
            if stream.write_all(&answer).await.is_err() || stream.shutdown().await.is_err() {
                return line.close(&shared, Closing::Reset);
            }
        }
        if asked.len() > MOST_ASKED {
            return line.close(&shared, Closing::Finished);
        }
    }
}

async fn serve_peer(
    far: SocketAddr,
    listener: TcpListener,
    reference: Rc<Reference>,
    shared: Rc<RefCell<Shared>>,
) {
    while let Ok((stream, client)) = listener.accept().await {
        let Some(connection) = Shared::next_connection(&shared, far) else { continue };
        let Ok(own) = stream.local_addr() else { continue };
        let flow = Flow { initiator: client, responder: own };
        let line = Line::open(&shared, flow, Direction::FromInitiator);
        let peer = FarPeer::of(&reference, &connection);
        spawn_local(play(peer, connection, stream, line, shared.clone()));
    }
}

/// The peers that call the client, as they did in the reference; and those that the client does not call though it was
/// told of them.
async fn call_client(client: SocketAddr, reference: Rc<Reference>, shared: Rc<RefCell<Shared>>) {
    let mut late = Vec::new();
    let all: Vec<(SocketAddr, Connection)> = {
        let shared = shared.borrow();
        let first = |(far, all): (&SocketAddr, &Vec<Connection>)| Some((*far, all.first()?.clone()));
        shared.waiting.iter().filter_map(first).collect()
    };
    for (far, connection) in all {
        if connection.called {
            spawn_local(call(client, far, reference.clone(), shared.clone()));
        } else {
            late.push(far);
        }
    }
    sleep(BEFORE_CALLING).await;
    for far in late {
        if !shared.borrow().started.contains(&far) {
            let remark = format!(
                "the client did not connect to the peer {far}: after {} s the peer connected to it",
                BEFORE_CALLING.as_secs()
            );
            shared.borrow_mut().remarks.push(remark);
            spawn_local(call(client, far, reference.clone(), shared.clone()));
        }
    }
}

/// A recorded peer calls the client, again and again until it listens.
async fn call(client: SocketAddr, far: SocketAddr, reference: Rc<Reference>, shared: Rc<RefCell<Shared>>) {
    let from = shared.borrow().source(far);
    for _ in 0..CALLS {
        let Ok(stream) = dial(from, client).await else {
            sleep(BETWEEN_CALLS).await;
            continue;
        };
        let Some(connection) = Shared::next_connection(&shared, far) else { return };
        let Ok(own) = stream.local_addr() else { return };
        let flow = Flow { initiator: own, responder: client };
        let line = Line::open(&shared, flow, Direction::FromResponder);
        let mut peer = FarPeer::of(&reference, &connection);
        peer.call();
        return play(peer, connection, stream, line, shared).await;
    }
    let remark = format!("the peer {far} could not connect to the client at {client}");
    shared.borrow_mut().remarks.push(remark);
}

async fn dial(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if from.is_ipv4() == to.is_ipv4() {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    timeout(CONNECT, socket.connect(to)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Plays a recorded peer on a connection to its end.
async fn play(
    peer: FarPeer,
    connection: Connection,
    mut stream: TcpStream,
    line: Line,
    shared: Rc<RefCell<Shared>>,
) {
    let _ = stream.set_nodelay(true);
    let disturber = shared.borrow().disturber();
    let mut guard = Guard {
        shared: shared.clone(),
        far: connection.far,
        stream: line.stream,
        peer,
        end: End::Open,
        disturber,
    };
    shared.borrow().sign(|signs| {
        signs.connections += 1;
        signs.open += 1;
    });
    let patience = shared.borrow().options.patience;
    let mut buffer = vec![0; READ];
    let end = loop {
        let spoken = guard.peer.speak(&shared.borrow().contents);
        if let Some((messages, _)) = spoken {
            match say(&mut stream, messages, &line, &shared, guard.disturber.as_mut()).await {
                Ok(true) => continue,
                Ok(false) => break End::ByFarEnd,
                Err(_) => break End::Reset,
            }
        }
        let read = timeout(patience, stream.read(&mut buffer));
        match read.await {
            Ok(Ok(0)) => break End::ByClient,
            Ok(Ok(count)) => {
                line.client_says(&shared, &buffer[..count]);
                guard.peer.hear(&buffer[..count]);
                if let Some(wanted) = guard.peer.garbled {
                    // It may come again and say it otherwise.
                    shared.borrow_mut().give_back(connection);
                    break End::Garbled(wanted);
                }
            }
            Ok(Err(_)) => break End::Reset,
            Err(_) => {
                guard.peer.waive();
            }
        }
    };
    let closing = if end == End::Reset { Closing::Reset } else { Closing::Finished };
    line.close(&shared, closing);
    guard.end = end;
}

/// Puts messages on the wire, disturbed where that is wanted; whether the connection goes on.
async fn say(
    stream: &mut TcpStream,
    messages: Vec<Bytes>,
    line: &Line,
    shared: &Rc<RefCell<Shared>>,
    disturber: Option<&mut Disturber>,
) -> io::Result<bool> {
    let acts = match disturber {
        Some(disturber) => disturber.put(messages),
        None => vec![Act::Write(messages.concat().into())],
    };
    let alone = acts.len() > 1;
    for act in acts {
        match act {
            Act::Write(bytes) => {
                line.far_says(shared, &bytes);
                stream.write_all(&bytes).await?;
                if alone {
                    // So that what is by itself is also read by itself, as far as the system lets it.
                    tokio::task::yield_now().await;
                }
            }
            Act::Pause(by) => sleep(by).await,
            Act::Close => return Ok(false),
        }
    }
    Ok(true)
}

/// Accounts for a connection even when it is cut off.
struct Guard {
    shared: Rc<RefCell<Shared>>,
    far: SocketAddr,
    stream: StreamId,
    peer: FarPeer,
    end: End,
    disturber: Option<Disturber>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut shared = self.shared.borrow_mut();
        let play = Play {
            far: self.far,
            stream: self.stream.0,
            // One that was not understood comes again, as a rule.
            missed: if matches!(self.end, End::Garbled(_)) { Vec::new() } else { self.peer.finish() },
            end: self.end.clone(),
            disturbed: self.disturber.as_ref().map(Disturber::is_done),
        };
        shared.disturbed |= play.disturbed == Some(true);
        shared.plays.push(play);
        shared.sign(|signs| signs.open = signs.open.saturating_sub(1));
    }
}

impl Shared {
    fn now(&self) -> Timestamp {
        self.clock.0 + self.clock.1.elapsed()
    }

    fn sign(&self, change: impl FnOnce(&mut Signs)) {
        self.signs.send_modify(|signs| {
            signs.last = Some(Instant::now());
            change(signs);
        });
    }

    /// Notes why the recording fails, the first time.
    fn note(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.failed.get_or_insert(error);
        }
    }

    /// The address a recorded peer calls from.
    fn source(&self, far: SocketAddr) -> IpAddr {
        let number = self.waiting.keys().position(|one| *one == far).unwrap_or(0);
        let place = self.places.get(&far).map(SocketAddr::ip);
        place.unwrap_or_else(|| beside(self.options.listen.ip(), number as u32 + 1))
    }

    fn disturber(&self) -> Option<Disturber> {
        let what = self.options.disturb?;
        (!what.is_single() || !self.disturbed).then(|| Disturber::new(what))
    }

    /// The connection of a recorded peer to be played next: once all were, the last one again.
    fn next_connection(shared: &Rc<RefCell<Self>>, far: SocketAddr) -> Option<Connection> {
        let mut shared = shared.borrow_mut();
        shared.started.insert(far);
        let waiting = shared.waiting.get_mut(&far)?;
        if waiting.len() > 1 { Some(waiting.remove(0)) } else { waiting.first().cloned() }
    }

    /// A connection is to be played again.
    fn give_back(&mut self, connection: Connection) {
        let waiting = self.waiting.entry(connection.far).or_default();
        if waiting.first().is_none_or(|first| first.stream != connection.stream) {
            waiting.insert(0, connection);
        }
    }

    /// The answer to a request to the tracker.
    fn answer(
        this: &Rc<RefCell<Self>>,
        bytes: &[u8],
        client: SocketAddr,
        reference: &Rc<Reference>,
    ) -> Vec<u8> {
        let refuse = |why: &str| {
            let body = format!("d14:failure reason{}:{why}e", why.len());
            bittrace_protocol::tracker::http::encode_response(
                200,
                "OK",
                &[("Connection", "close")],
                body.as_bytes(),
            )
        };
        let Ok(request) = Request::decode(bytes) else { return refuse("this is no request to a tracker") };
        let mut shared = this.borrow_mut();
        if let RequestKind::Announce(announce) = request.kind() {
            if announce.info_hash != shared.torrent.info_hash {
                let remark = format!("the client announced another torrent, {}", announce.info_hash);
                shared.remarks.push(remark);
                return refuse("this is not the torrent of the capture");
            }
            let listens = SocketAddr::new(client.ip(), announce.port.unwrap_or(0));
            let new =
                shared.client.is_none() && listens.port() != 0 && announce.event != Some(Event::Stopped);
            if new {
                shared.client = Some(listens);
                spawn_local(call_client(listens, reference.clone(), this.clone()));
            }
        }
        let Some(exchange) = shared.tracker.answer(&request) else {
            return refuse("the capture has no answer to this");
        };
        if let Topic::Announce(event) = Topic::of(&request) {
            shared.sign(|signs| signs.announced.push(event));
        }
        let places = &shared.places;
        let more: Vec<SocketAddr> = match Topic::of(&request) {
            Topic::Announce(None | Some(Event::Started)) => places.values().copied().collect(),
            _ => Vec::new(),
        };
        recast_answer(&exchange.answer, &|recorded| places.get(&recorded).copied(), &more)
    }
}

/// A connection in the recording.
struct Line {
    stream: StreamId,
    /// The way the client speaks.
    client: Direction,
}

impl Line {
    fn open(shared: &Rc<RefCell<Shared>>, flow: Flow, client: Direction) -> Self {
        let mut shared = shared.borrow_mut();
        let stream = StreamId(shared.streams);
        shared.streams += 1;
        let now = shared.now();
        let opened = shared.recorder.opened(now, stream, flow, Opening::Syn);
        let opened = opened.and_then(|()| shared.recorder.established(now, stream));
        shared.note(opened);
        Self { stream, client }
    }

    fn client_says(&self, shared: &Rc<RefCell<Shared>>, bytes: &[u8]) {
        self.say(shared, self.client, bytes);
    }

    fn far_says(&self, shared: &Rc<RefCell<Shared>>, bytes: &[u8]) {
        self.say(shared, self.client.reverse(), bytes);
    }

    fn say(&self, shared: &Rc<RefCell<Shared>>, direction: Direction, bytes: &[u8]) {
        let mut shared = shared.borrow_mut();
        let now = shared.now();
        let said = shared.recorder.burst(now, self.stream, direction, bytes);
        shared.note(said);
        shared.sign(|_| {});
    }

    fn close(&self, shared: &Rc<RefCell<Shared>>, closing: Closing) {
        let mut shared = shared.borrow_mut();
        let now = shared.now();
        let closed = shared.recorder.closed(now, self.stream, closing);
        shared.note(closed);
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(128)
}

/// On IPv4 loopback the address so many behind this one, so that clients that want one connection an address are
/// content; elsewhere this one.
fn beside(address: IpAddr, number: u32) -> IpAddr {
    match address {
        IpAddr::V4(ip) if ip.is_loopback() => {
            let next = Ipv4Addr::from(u32::from(ip).saturating_add(number));
            if next.is_loopback() { next.into() } else { address }
        }
        _ => address,
    }
}

/// How much is read at once.
const READ: usize = 64 * 1024;

/// The longest request to a tracker.
const MOST_ASKED: usize = 1 << 20;

/// How long a client may leave a peer alone that it was told of before the peer calls it.
const BEFORE_CALLING: Duration = Duration::from_secs(5);

/// How often a client is called, and how long is waited between two calls and for one.
const CALLS: u32 = 40;
const BETWEEN_CALLS: Duration = Duration::from_millis(250);
const CONNECT: Duration = Duration::from_secs(5);
