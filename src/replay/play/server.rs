//! A reference's tracker and peers on real sockets, for any client. Its messages are recorded, to be compared with those of the
//! reference's client.

mod peer_task;
mod state;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bittrace_protocol::tracker::Event;
use bittrace_protocol::tracker::http::{Framing, frame_request};
use bittrace_protocol::{Metainfo, Timestamp};
use bittrace_trace::{Body, Direction, Flow, HttpTrackerBody, Recorder, StreamClosing, StreamId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::model::transcript::{Conversation, ConversationRole, Transcript};
use crate::play::fault::InjectedFault;
use crate::play::pieces::RecordedPieces;
use crate::play::refusal::{Refusal, RefusalAct};
use crate::play::replay_peer::{Missed, ReplayPeer};
use crate::play::replay_tracker::ReplayTracker;
use crate::play::rewrite::recast_torrent;
use peer_task::play;
use state::{RecordedStream, Shared, TrackerCounts};

/// How a reference is served.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The tracker's address. On an IPv4 loopback address each peer has the next one, elsewhere the same with a port of
    /// its own.
    pub listen: SocketAddr,
    /// How long a client may send nothing before a peer stops waiting for the message that would come next.
    pub patience: Duration,
    /// What the peers do on purpose.
    pub disturb: Option<InjectedFault>,
    /// The comment of the recording.
    pub comment: String,
}

/// A reference on sockets that nobody has called yet.
pub struct Server {
    reference: Rc<Transcript>,
    listeners: Vec<(SocketAddr, TcpListener)>,
    tracker: TcpListener,
    tracker_address: SocketAddr,
    shared: Rc<RefCell<Shared>>,
    signs: watch::Receiver<ClientStatus>,
}

/// What can be seen of a client while it runs.
#[derive(Debug, Clone, Default)]
pub struct ClientStatus {
    /// The announces that were answered, by their events.
    pub announced: Vec<Option<Event>>,
    /// How many connections to peers were made.
    pub connections: u32,
    /// How many of them are open.
    pub open: u32,
    /// When either side sent something last.
    pub last: Option<Instant>,
}

impl ClientStatus {
    /// Whether the client has announced `completed`.
    pub fn completed(&self) -> bool {
        self.announced.contains(&Some(Event::Completed))
    }

    /// Whether the client has announced `stopped` after another announce: some clients announce `stopped` before they begin.
    pub fn stopped(&self) -> bool {
        self.announced.len() > 1 && self.announced.last() == Some(&Some(Event::Stopped))
    }
}

/// What came of serving.
#[derive(Debug)]
pub struct Served {
    /// The connections to peers, in their order.
    pub plays: Vec<PeerRun>,
    /// What the tracker and the peers did not answer, in the order in which it happened.
    pub refusals: Vec<Refusal>,
    /// What else is worth knowing, in words.
    pub remarks: Vec<String>,
    /// What was seen of the client.
    pub signs: ClientStatus,
}

/// What became of one connection to a peer.
#[derive(Debug)]
pub struct PeerRun {
    /// The recorded peer.
    pub far: SocketAddr,
    /// Its number in the recording.
    pub stream: u32,
    /// Where it did not go as in the reference.
    pub missed: Vec<Missed>,
    /// How it ended.
    pub end: PeerRunEnd,
    /// Whether the far end was to disturb the client here, and did.
    pub disturbed: Option<bool>,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerRunEnd {
    /// The client closed it.
    ByClient,
    /// The client reset it.
    Reset,
    /// The far end closed it, as it was to.
    ByFarEnd,
    /// The client's bytes are not BitTorrent: why.
    Garbled(String),
    /// It was open when the run ended.
    Open,
}

impl Server {
    /// Opens the sockets of a reference's tracker and peers; all messages on them will be recorded in `record`.
    ///
    /// # Errors
    /// When an address cannot be listened on, or the recording not be begun.
    pub async fn bind(
        reference: Rc<Transcript>,
        torrent: Arc<Metainfo>,
        contents: RecordedPieces,
        options: ServeOptions,
        record: Box<dyn Write>,
    ) -> io::Result<Self> {
        let tracker = listen(options.listen)?;
        let tracker_address = tracker.local_addr()?;
        let mut waiting: BTreeMap<SocketAddr, Vec<StreamId>> = BTreeMap::new();
        let mut order = Vec::new();
        for conversation in reference.peers() {
            let far = conversation.far();
            if !waiting.contains_key(&far) {
                order.push((far, conversation.is_outgoing()));
            }
            waiting.entry(far).or_default().push(conversation.stream);
        }
        let (mut listeners, mut places) = (Vec::new(), BTreeMap::new());
        for (number, (far, outgoing)) in (1..).zip(order) {
            let address = SocketAddr::new(beside(options.listen.ip(), number), 0);
            let listener = listen(address)?;
            // One that called listened elsewhere, and nobody knows where: it is not handed out.
            if outgoing {
                places.insert(far, listener.local_addr()?);
            }
            listeners.push((far, listener));
        }
        let (news, signs) = watch::channel(ClientStatus::default());
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let shared = Shared {
            torrent,
            contents,
            recorder: Recorder::new(record, &options.comment)?,
            options,
            failed: None,
            streams: 0,
            heard: 0,
            tracker: ReplayTracker::of(&reference),
            places,
            waiting,
            client: None,
            plays: Vec::new(),
            refusals: Vec::new(),
            asked: TrackerCounts::default(),
            remarks: Vec::new(),
            disturbed: false,
            started: BTreeSet::new(),
            signs: news,
            clock: (Timestamp::EPOCH + since, Instant::now()),
        };
        let shared = Rc::new(RefCell::new(shared));
        Ok(Self { reference, listeners, tracker, tracker_address, shared, signs })
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

    /// A copy of the torrent file whose tracker is this one. `None` where `file` is not a torrent file.
    pub fn torrent_file(&self, file: &[u8]) -> Option<Vec<u8>> {
        let requests =
            self.reference.conversations.iter().filter(|one| one.role == ConversationRole::HttpTracker);
        let path = requests.flat_map(Conversation::messages).find_map(|(_, message)| match message.body() {
            Body::HttpTracker(HttpTrackerBody::Request(request, _)) => {
                Some(String::from_utf8_lossy(request.path()).into_owned())
            }
            _ => None,
        });
        let path = path.unwrap_or_else(|| "/announce".to_owned());
        recast_torrent(file, &format!("http://{}{path}", self.tracker_address))
    }

    /// What can be seen of the client, as it changes.
    pub fn signs(&self) -> watch::Receiver<ClientStatus> {
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
        // Connections that are still open are cut off.
        drop(tasks);
        let shared = Rc::try_unwrap(shared).map_err(|_| io::Error::other("a connection outlived the run"))?;
        let mut shared = shared.into_inner();
        let signs = shared.signs.borrow().clone();
        shared.plays.sort_by_key(|play| play.stream);
        for (topic, number) in shared.tracker.unused() {
            shared.remarks.push(format!(
                "{} was not sent: the tracker's answer to it (message {number}) was not used",
                topic.describe()
            ));
        }
        for far in shared.waiting.keys() {
            if !shared.started.contains(far) {
                shared.remarks.push(format!("no connection to or from the replayed peer {far} was made"));
            }
        }
        if let Some(error) = shared.failed {
            return Err(error);
        }
        shared.recorder.finish()?;
        let Shared { plays, refusals, remarks, .. } = shared;
        Ok((Served { plays, refusals, remarks, signs }, result))
    }
}

async fn serve_tracker(listener: TcpListener, reference: Rc<Transcript>, shared: Rc<RefCell<Shared>>) {
    loop {
        let Ok((stream, client)) = listener.accept().await else {
            // Usually too many are open: some will end.
            sleep(AFTER_REFUSAL).await;
            continue;
        };
        spawn_local(answer_client(stream, client, reference.clone(), shared.clone()));
    }
}

/// One connection to the tracker.
async fn answer_client(
    mut stream: TcpStream,
    client: SocketAddr,
    reference: Rc<Transcript>,
    shared: Rc<RefCell<Shared>>,
) {
    let Ok(own) = stream.local_addr() else { return };
    let line =
        RecordedStream::open(&shared, Flow { initiator: client, responder: own }, Direction::FromInitiator);
    let patience = shared.borrow().options.patience;
    let unanswered = |did, why: &str| {
        let mut shared = shared.borrow_mut();
        shared.asked.requests += 1;
        let nth = shared.asked.requests;
        shared.refuse(Some(line.stream.0), "request", nth, did, why.to_owned());
    };
    let (mut asked, mut buffer, mut complained) = (Vec::new(), vec![0; READ], false);
    loop {
        match timeout(patience, stream.read(&mut buffer)).await {
            Err(_) => {
                if !asked.is_empty() && !std::mem::replace(&mut complained, true) {
                    unanswered(RefusalAct::LeftUnanswered, NO_END);
                }
                continue;
            }
            Ok(Ok(0) | Err(_)) => {
                if !asked.is_empty() && !complained {
                    unanswered(RefusalAct::LeftUnanswered, NO_END);
                }
                return line.close(&shared, StreamClosing::Finished);
            }
            Ok(Ok(count)) => {
                if !line.client_says(&shared, &buffer[..count]) {
                    return line.close(&shared, StreamClosing::Finished);
                }
                asked.extend_from_slice(&buffer[..count]);
            }
        }
        loop {
            match frame_request(&asked) {
                Framing::Complete(length) => {
                    let request: Vec<u8> = asked.drain(..length).collect();
                    let answer = Shared::answer(&shared, &request, line.stream.0, client, &reference);
                    line.far_says(&shared, &answer);
                    // An answer ends its connection, and its headers say so.
                    if stream.write_all(&answer).await.is_err() || stream.shutdown().await.is_err() {
                        return line.close(&shared, StreamClosing::Reset);
                    }
                }
                Framing::NotHttp(error) => {
                    unanswered(
                        RefusalAct::Closed,
                        &format!("it is not an HTTP request: wanted {}", error.wanted),
                    );
                    return line.close(&shared, StreamClosing::Finished);
                }
                Framing::Incomplete | Framing::UntilClose => break,
            }
        }
        if asked.len() > MOST_ASKED {
            unanswered(RefusalAct::Closed, "it is longer than 1 MiB");
            return line.close(&shared, StreamClosing::Finished);
        }
    }
}

async fn serve_peer(
    far: SocketAddr,
    listener: TcpListener,
    reference: Rc<Transcript>,
    shared: Rc<RefCell<Shared>>,
) {
    loop {
        let Ok((stream, client)) = listener.accept().await else {
            sleep(AFTER_REFUSAL).await;
            continue;
        };
        let Some(recorded) = Shared::next_connection(&shared, far) else { continue };
        let Some(conversation) = reference.conversation(recorded) else { continue };
        let Ok(own) = stream.local_addr() else { continue };
        let flow = Flow { initiator: client, responder: own };
        let line = RecordedStream::open(&shared, flow, Direction::FromInitiator);
        let peer = ReplayPeer::of(shared.borrow().torrent.info_hash, conversation);
        spawn_local(play(peer, (far, recorded), stream, line, shared.clone()));
    }
}

/// The peers that connect to the client, as they did in the reference; and those that the client does not connect to although
/// the tracker named them.
async fn call_client(client: SocketAddr, reference: Rc<Transcript>, shared: Rc<RefCell<Shared>>) {
    let mut late = Vec::new();
    let all: Vec<(SocketAddr, StreamId)> = {
        let shared = shared.borrow();
        let first = |(far, all): (&SocketAddr, &Vec<StreamId>)| Some((*far, *all.first()?));
        shared.waiting.iter().filter_map(first).collect()
    };
    for (far, recorded) in all {
        if reference.conversation(recorded).is_some_and(|conversation| !conversation.is_outgoing()) {
            spawn_local(call(client, far, reference.clone(), shared.clone()));
        } else {
            late.push(far);
        }
    }
    sleep(BEFORE_CALLING).await;
    for far in late {
        if !shared.borrow().started.contains(&far) {
            let remark = format!(
                "the client did not connect to the replayed peer {far}: after {} s the peer connected to the client",
                BEFORE_CALLING.as_secs()
            );
            shared.borrow_mut().remarks.push(remark);
            spawn_local(call(client, far, reference.clone(), shared.clone()));
        }
    }
}

/// A recorded peer calls the client, again and again until it listens.
async fn call(client: SocketAddr, far: SocketAddr, reference: Rc<Transcript>, shared: Rc<RefCell<Shared>>) {
    let from = shared.borrow().source(far);
    for _ in 0..CALLS {
        let Ok(stream) = dial(from, client).await else {
            sleep(BETWEEN_CALLS).await;
            continue;
        };
        let Some(recorded) = Shared::next_connection(&shared, far) else { return };
        let Some(conversation) = reference.conversation(recorded) else { return };
        let Ok(own) = stream.local_addr() else { return };
        let flow = Flow { initiator: own, responder: client };
        let line = RecordedStream::open(&shared, flow, Direction::FromResponder);
        let mut peer = ReplayPeer::of(shared.borrow().torrent.info_hash, conversation);
        peer.call();
        return play(peer, (far, recorded), stream, line, shared).await;
    }
    let remark = format!("the replayed peer {far} could not connect to the client at {client}");
    shared.borrow_mut().remarks.push(remark);
}

async fn dial(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if from.is_ipv4() == to.is_ipv4() {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    timeout(CONNECT, socket.connect(to)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(128)
}

/// On IPv4 loopback the address so many after this one, for clients that accept one connection from each address; elsewhere this
/// one.
fn beside(address: IpAddr, number: u32) -> IpAddr {
    match address {
        IpAddr::V4(ip) if ip.is_loopback() => {
            let next = Ipv4Addr::from(u32::from(ip).saturating_add(number));
            if next.is_loopback() { next.into() } else { address }
        }
        _ => address,
    }
}

/// How long no call is taken after one could not be.
const AFTER_REFUSAL: Duration = Duration::from_millis(50);

/// How much is read at once.
const READ: usize = 64 * 1024;

/// Why a request that is not whole has no answer.
const NO_END: &str = "it is not whole: the headers of an HTTP request end with an empty line (CR LF CR LF)";

/// The longest request to a tracker.
const MOST_ASKED: usize = 1 << 20;

/// How long a client has to connect to a peer that the tracker named before the peer connects to the client.
const BEFORE_CALLING: Duration = Duration::from_secs(5);

/// How often a client is called, and how long is waited between two calls and for one.
const CALLS: u32 = 40;
const BETWEEN_CALLS: Duration = Duration::from_millis(250);
const CONNECT: Duration = Duration::from_secs(5);
