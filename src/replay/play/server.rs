//! A reference's tracker and peers on real sockets, for any client. Its messages are recorded, to be compared with those of the
//! reference's client.

mod peer_task;
mod state;
mod tracker_task;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bittrace_protocol::tracker::Event;
use bittrace_protocol::{Metainfo, Timestamp};
use bittrace_trace::{Direction, Flow, Recorder, StreamId};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::model::transcript::Transcript;
use crate::play::client_role::ClientRole;
use crate::play::fault::InjectedFault;
use crate::play::missed::Missed;
use crate::play::pieces::RecordedPieces;
use crate::play::played_connection::carriage_remarks;
use crate::play::refusal::Refusal;
use crate::play::replayed_trackers::ReplayedTracker;
use crate::play::rewrite::recast_torrent;
use crate::play::untracked::untracked_peers;
use peer_task::play;
use state::{RecordedStream, Shared, TrackerCounts};
use tracker_task::{TrackerSockets, serve_over_http, serve_over_udp};

/// How a reference is served.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The address of the first tracker, over HTTP and over UDP; other trackers have ports of their own. On an IPv4 loopback
    /// address each peer has the next one, elsewhere the same with a port of its own.
    pub listen: SocketAddr,
    /// The role of the client.
    pub role: ClientRole,
    /// Where the keys of the far ends come from.
    pub secret: [u8; 32],
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
    /// The trackers, in the order of those that are shared; one at least.
    trackers: Vec<TrackerSockets>,
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
    /// Whether every recorded peer has had a connection to the end.
    pub all_played: bool,
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
    /// Whether the answer of a tracker was lost that was to be.
    pub lost: bool,
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
        let replayed = ReplayedTracker::all(&reference);
        let mut trackers = vec![TrackerSockets::bind(options.listen).await?];
        for _ in replayed.iter().skip(1) {
            trackers.push(TrackerSockets::bind(SocketAddr::new(options.listen.ip(), 0)).await?);
        }
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
            trackers: replayed,
            places,
            waiting,
            client: None,
            plays: Vec::new(),
            refusals: Vec::new(),
            asked: TrackerCounts::default(),
            remarks: carriage_remarks(reference.peers()),
            disturbed: false,
            lost: 0,
            started: BTreeSet::new(),
            ended: BTreeSet::new(),
            signs: news,
            clock: (Timestamp::EPOCH + since, Instant::now()),
        };
        let shared = Rc::new(RefCell::new(shared));
        Ok(Self { reference, listeners, trackers, shared, signs })
    }

    /// The recorded trackers and where they are now, over HTTP and UDP. One is there also where the reference has none.
    pub fn trackers(&self) -> Vec<(Option<SocketAddr>, SocketAddr)> {
        let shared = self.shared.borrow();
        let recorded = shared.trackers.iter().map(|tracker| Some(tracker.far)).chain([None]);
        recorded.zip(self.trackers.iter().map(|sockets| sockets.address)).collect()
    }

    /// The recorded peers and where they are now.
    pub fn peers(&self) -> Vec<(SocketAddr, SocketAddr)> {
        let place = |(far, listener): &(SocketAddr, TcpListener)| Some((*far, listener.local_addr().ok()?));
        self.listeners.iter().filter_map(place).collect()
    }

    /// Where the recorded peers are that no tracker names: a magnet link may.
    pub fn untracked_peers(&self) -> Vec<SocketAddr> {
        let shared = self.shared.borrow();
        untracked_peers(&self.reference).iter().filter_map(|far| shared.places.get(far).copied()).collect()
    }

    /// A copy of the torrent file whose trackers are these. `None` where `file` is not a torrent file.
    pub fn torrent_file(&self, file: &[u8]) -> Option<Vec<u8>> {
        let shared = self.shared.borrow();
        let addresses: Vec<SocketAddr> = self.trackers.iter().map(|sockets| sockets.address).collect();
        let mut tiers = ReplayedTracker::tiers(&shared.trackers, &addresses, &shared.torrent.trackers());
        if let (true, Some(address)) = (tiers.is_empty(), addresses.first()) {
            tiers.push(vec![format!("http://{address}/announce")]);
        }
        recast_torrent(file, &tiers)
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
        let Self { reference, listeners, trackers, shared, .. } = self;
        let tasks = LocalSet::new();
        let result = tasks
            .run_until(async {
                let mut listening = JoinSet::new();
                for (place, TrackerSockets { listener, datagrams, .. }) in trackers.into_iter().enumerate() {
                    let (reference, shared) = (reference.clone(), shared.clone());
                    listening.spawn_local(serve_over_http(
                        place,
                        listener,
                        reference.clone(),
                        shared.clone(),
                    ));
                    listening.spawn_local(serve_over_udp(place, datagrams, reference, shared));
                }
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
        let unused: Vec<String> = shared.trackers.iter().flat_map(ReplayedTracker::unused).collect();
        shared.remarks.extend(unused);
        for far in shared.waiting.keys() {
            if !shared.started.contains(far) {
                shared.remarks.push(format!("no connection to or from the replayed peer {far} was made"));
            }
        }
        if let Some(error) = shared.failed {
            return Err(error);
        }
        let lost = shared.has_lost();
        shared.recorder.finish()?;
        let Shared { plays, refusals, remarks, .. } = shared;
        Ok((Served { plays, refusals, remarks, lost, signs }, result))
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
        let peer = shared.borrow().peer(conversation);
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
        let mut peer = shared.borrow().peer(conversation);
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

/// How long a client has to connect to a peer that the tracker named before the peer connects to the client.
const BEFORE_CALLING: Duration = Duration::from_secs(5);

/// How often a client is called, and how long is waited between two calls and for one.
const CALLS: u32 = 40;
const BETWEEN_CALLS: Duration = Duration::from_millis(250);
const CONNECT: Duration = Duration::from_secs(5);
