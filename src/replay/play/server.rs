//! A reference's tracker and peers on real sockets, for any client. Its messages are recorded, to be compared with those of the
//! reference's client.

mod both_sockets;
mod calling;
mod node_task;
mod peer_stream;
mod peer_task;
mod recorded_stream;
mod run_bounds;
mod state;
mod tracker_task;
mod utp_port;

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
use bittrace_trace::{Direction, Flow, Recorder, StreamId, Transport};
use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio::time::sleep;

use crate::model::transcript::Transcript;
use crate::play::client_role::ClientRole;
use crate::play::fault::InjectedFault;
use crate::play::missed::Missed;
use crate::play::pieces::RecordedPieces;
use crate::play::played_connection::encryption_remarks;
use crate::play::refusal::Refusal;
use crate::play::replay_nodes::{ClientNode, ReplayNodes};
use crate::play::replayed_trackers::ReplayedTracker;
use crate::play::rewrite::recast_torrent;
use crate::play::run_connection::RunConnection;
use crate::play::untracked::untracked_peers;
use both_sockets::BothSockets;
use calling::call_client;
use node_task::serve_node;
use peer_stream::PeerStream;
use peer_task::play;
use run_bounds::RunBounds;
use state::{Shared, TrackerCounts};
use tracker_task::{serve_over_http, serve_over_udp};
use utp_port::serve_over_utp;

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
    ports: Vec<PeerPort>,
    /// The trackers, in the order of those that are shared; one at least.
    trackers: Vec<BothSockets>,
    /// The nodes of the DHT, in the order of those that are shared.
    nodes: Vec<UdpSocket>,
    /// Where the node is that the reference's client asked first.
    first_node: Option<SocketAddr>,
    shared: Rc<RefCell<Shared>>,
    signs: watch::Receiver<ClientStatus>,
}

/// Where a recorded peer is now.
struct PeerPort {
    far: SocketAddr,
    listener: TcpListener,
    /// Where it spoke over uTP in the reference.
    datagrams: Option<UdpSocket>,
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
    /// Whether the run has taken as much as a run may, so that nothing of the client is heard any more.
    pub is_exhausted: bool,
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
    /// The connection.
    pub connection: RunConnection,
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
        let mut trackers = vec![BothSockets::bind(options.listen).await?];
        for _ in replayed.iter().skip(1) {
            trackers.push(BothSockets::bind(SocketAddr::new(options.listen.ip(), 0)).await?);
        }
        let mut waiting: BTreeMap<SocketAddr, Vec<StreamId>> = BTreeMap::new();
        let (mut order, mut over_utp) = (Vec::new(), BTreeSet::new());
        for conversation in reference.peers() {
            let far = conversation.far();
            if !waiting.contains_key(&far) {
                order.push((far, conversation.is_outgoing()));
            }
            if conversation.transport == Transport::Utp {
                over_utp.insert(far);
            }
            waiting.entry(far).or_default().push(conversation.stream);
        }
        let (mut ports, mut places) = (Vec::new(), BTreeMap::new());
        for (number, (far, outgoing)) in (1..).zip(order) {
            let address = SocketAddr::new(beside(options.listen.ip(), number), 0);
            let (listener, datagrams) = match over_utp.contains(&far) {
                true => {
                    let sockets = BothSockets::bind(address).await?;
                    (sockets.listener, Some(sockets.datagrams))
                }
                false => (listen(address)?, None),
            };
            // One that called listened elsewhere, and nobody knows where: it is not handed out.
            if outgoing {
                places.insert(far, listener.local_addr()?);
            }
            ports.push(PeerPort { far, listener, datagrams });
        }
        let recorded_nodes = ReplayNodes::of(&reference);
        let (mut nodes, mut node_places) = (Vec::new(), BTreeMap::new());
        for (number, node) in (ports.len() as u32 + 1..).zip(&recorded_nodes.nodes) {
            // A node that is a peer as well has its port, unless the peer has it for uTP.
            let shares = ports.iter().find(|port| port.far == node.far && port.datagrams.is_none());
            let address = match shares.map(|port| port.listener.local_addr()).transpose()? {
                Some(address) => address,
                None => SocketAddr::new(beside(options.listen.ip(), number), 0),
            };
            let socket = match UdpSocket::bind(address).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    UdpSocket::bind(SocketAddr::new(address.ip(), 0)).await?
                }
                bound => bound?,
            };
            node_places.insert(node.far, socket.local_addr()?);
            nodes.push(socket);
        }
        let first = ClientNode::of(&reference).first;
        let first_node = first.and_then(|first| node_places.get(&first).copied());
        let dht_began = reference.nodes_began().unwrap_or(Timestamp::EPOCH);
        let (news, signs) = watch::channel(ClientStatus::default());
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // A seeder may send the whole content to each recorded peer.
        let copies = if options.role == ClientRole::Seeder { ports.len().max(1) } else { 1 };
        let (bounds, record) = RunBounds::new(torrent.total(), copies, record);
        let shared = Shared {
            torrent,
            contents,
            recorder: Recorder::new(record, &options.comment)?,
            bounds,
            options,
            failed: None,
            streams: 0,
            trackers: replayed,
            nodes: recorded_nodes,
            node_places,
            dht_client: None,
            dht_began,
            places,
            utp_ports: BTreeMap::new(),
            waiting,
            client: None,
            plays: Vec::new(),
            refusals: Vec::new(),
            asked: TrackerCounts::default(),
            remarks: encryption_remarks(reference.peers()),
            disturbed: false,
            lost: 0,
            started: BTreeSet::new(),
            ended: BTreeSet::new(),
            signs: news,
            clock: (Timestamp::EPOCH + since, Instant::now()),
        };
        let shared = Rc::new(RefCell::new(shared));
        Ok(Self { reference, ports, trackers, nodes, first_node, shared, signs })
    }

    /// The recorded trackers and where they are now, over HTTP and UDP. One is there also where the reference has none.
    pub fn trackers(&self) -> Vec<(Option<SocketAddr>, SocketAddr)> {
        let shared = self.shared.borrow();
        let recorded = shared.trackers.iter().map(|tracker| Some(tracker.far)).chain([None]);
        recorded.zip(self.trackers.iter().map(|sockets| sockets.address)).collect()
    }

    /// The recorded peers and where they are now.
    pub fn peers(&self) -> Vec<(SocketAddr, SocketAddr)> {
        let place = |port: &PeerPort| Some((port.far, port.listener.local_addr().ok()?));
        self.ports.iter().filter_map(place).collect()
    }

    /// The recorded nodes of the DHT and where they are now.
    pub fn nodes(&self) -> Vec<(SocketAddr, SocketAddr)> {
        self.shared.borrow().node_places.iter().map(|(far, here)| (*far, *here)).collect()
    }

    /// Where the node is that the client of the reference asked first; `None` where it asked none.
    pub const fn first_node(&self) -> Option<SocketAddr> {
        self.first_node
    }

    /// Where the recorded peers are that no tracker names: a magnet link may.
    pub fn untracked_peers(&self) -> Vec<SocketAddr> {
        let shared = self.shared.borrow();
        untracked_peers(&self.reference).iter().filter_map(|far| shared.places.get(far).copied()).collect()
    }

    /// The same, less those that nodes of the DHT name.
    pub fn unnamed_peers(&self) -> Vec<SocketAddr> {
        let shared = self.shared.borrow();
        let named = shared.nodes.peers();
        let unnamed = untracked_peers(&self.reference).into_iter().filter(|far| !named.contains(far));
        unnamed.filter_map(|far| shared.places.get(&far).copied()).collect()
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
        let Self { reference, ports, trackers, nodes, shared, .. } = self;
        let tasks = LocalSet::new();
        let result = tasks
            .run_until(async {
                let mut listening = JoinSet::new();
                for (place, BothSockets { listener, datagrams, .. }) in trackers.into_iter().enumerate() {
                    let (reference, shared) = (reference.clone(), shared.clone());
                    listening.spawn_local(serve_over_http(
                        place,
                        listener,
                        reference.clone(),
                        shared.clone(),
                    ));
                    listening.spawn_local(serve_over_udp(place, datagrams, reference, shared));
                }
                for (place, socket) in nodes.into_iter().enumerate() {
                    listening.spawn_local(serve_node(place, socket, reference.clone(), shared.clone()));
                }
                for (number, PeerPort { far, listener, datagrams }) in ports.into_iter().enumerate() {
                    listening.spawn_local(serve_peer(far, listener, reference.clone(), shared.clone()));
                    let Some(datagrams) = datagrams else { continue };
                    let Ok(own) = datagrams.local_addr() else { continue };
                    let (orders, wanted) = mpsc::unbounded_channel();
                    shared.borrow_mut().utp_ports.insert(far, (own, orders.clone()));
                    listening.spawn_local(serve_over_utp(
                        (far, number as u8),
                        datagrams,
                        (orders, wanted),
                        reference.clone(),
                        shared.clone(),
                    ));
                }
                over.await
            })
            .await;
        // Connections that are still open are cut off.
        drop(tasks);
        let shared = Rc::try_unwrap(shared).map_err(|_| io::Error::other("a connection outlived the run"))?;
        let mut shared = shared.into_inner();
        let signs = shared.signs.borrow().clone();
        shared.plays.sort_by_key(|play| play.connection.opened);
        let unused: Vec<String> = shared.trackers.iter().flat_map(ReplayedTracker::unused).collect();
        shared.remarks.extend(unused);
        if shared.dht_client.is_some() {
            shared.remarks.extend(shared.nodes.left_out());
            shared.remarks.extend(shared.nodes.unused());
        }
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
        if !shared.borrow_mut().takes_connection() {
            continue;
        }
        let Some(recorded) = Shared::next_connection(&shared, far) else { continue };
        let Some(conversation) = reference.conversation(recorded) else { continue };
        let Ok(own) = stream.local_addr() else { continue };
        let flow = Flow { initiator: client, responder: own };
        let (peer, line) =
            Shared::begin(&shared, conversation, flow, Direction::FromInitiator, Transport::Tcp);
        let stream = PeerStream::over_tcp(stream);
        spawn_local(play(peer, (far, recorded), stream, line, shared.clone()));
    }
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
