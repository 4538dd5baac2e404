//! What the connections of a run share: the recording, the parts still to be played, and what is known of the client.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bittrace_protocol::mse::MseDraw;
use bittrace_protocol::tracker::Event;
use bittrace_protocol::tracker::http::{Request, RequestKind, encode_response};
use bittrace_protocol::tracker::udp::{AnnounceResponse, Packet, decode_request};
use bittrace_protocol::{Metainfo, Timestamp};
use bittrace_trace::units::wanted_at;
use bittrace_trace::{Direction, Flow, Recorder, StreamId, Transport};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;

use super::recorded_stream::RecordedStream;
use super::run_bounds::{CountedWriter, RunBounds};
use super::utp_port::UtpOrder;
use super::{ClientStatus, PeerRun, ServeOptions, beside, call_client};
use crate::model::torrent_hashes::TorrentHashes;
use crate::model::transcript::{Conversation, Transcript};
use crate::play::fault::{FaultInjector, InjectedFault};
use crate::play::pieces::RecordedPieces;
use crate::play::played_connection::PlayedConnection;
use crate::play::refusal::{MOST_REFUSALS, Refusal, RefusalAct, ReplayedEnd};
use crate::play::replay_nodes::ReplayNodes;
use crate::play::replay_tracker::Topic;
use crate::play::replay_udp_tracker::{UdpAnswer, UdpTopic};
use crate::play::replayed_trackers::{ReplayedTracker, TrackerScheme};
use crate::play::rewrite::recast_answer;
use crate::play::run_connection::RunConnection;

pub(super) struct Shared {
    pub(super) torrent: Arc<Metainfo>,
    pub(super) contents: RecordedPieces,
    pub(super) options: ServeOptions,
    pub(super) recorder: Recorder<CountedWriter<Box<dyn Write>>>,
    pub(super) bounds: RunBounds,
    pub(super) failed: Option<io::Error>,
    pub(super) streams: u32,
    pub(super) trackers: Vec<ReplayedTracker>,
    /// The recorded nodes of the DHT, and where they are now.
    pub(super) nodes: ReplayNodes,
    pub(super) node_places: BTreeMap<SocketAddr, SocketAddr>,
    /// From where the client asked a node first, and when.
    pub(super) dht_client: Option<(SocketAddr, Instant)>,
    /// When the client of the reference asked a node first.
    pub(super) dht_began: Timestamp,
    /// How many answers of trackers over UDP came before the one that is lost, and it.
    pub(super) lost: u32,
    /// The recorded addresses of peers that listen here, and where.
    pub(super) places: BTreeMap<SocketAddr, SocketAddr>,
    /// The ports of the recorded peers that speak over uTP: where they are, and what takes orders.
    pub(super) utp_ports: BTreeMap<SocketAddr, (SocketAddr, mpsc::UnboundedSender<UtpOrder>)>,
    /// The connections of each recorded peer that have not been played.
    pub(super) waiting: BTreeMap<SocketAddr, Vec<StreamId>>,
    /// Where the client listens.
    pub(super) client: Option<SocketAddr>,
    pub(super) plays: Vec<PeerRun>,
    pub(super) refusals: Vec<Refusal>,
    /// How much the tracker was asked.
    pub(super) asked: TrackerCounts,
    pub(super) remarks: Vec<String>,
    pub(super) disturbed: bool,
    /// The recorded peers that have a connection, or had one.
    pub(super) started: BTreeSet<SocketAddr>,
    /// The recorded peers that have had a connection to the end.
    pub(super) ended: BTreeSet<SocketAddr>,
    pub(super) signs: watch::Sender<ClientStatus>,
    pub(super) clock: (Timestamp, Instant),
}

/// How many requests of each kind the tracker has had.
#[derive(Debug, Default)]
pub(super) struct TrackerCounts {
    /// Requests of any kind.
    pub(super) requests: u32,
    announces: u32,
    scrapes: u32,
}

impl TrackerCounts {
    /// Counts a request; its name, and which one of its name it is.
    fn count(&mut self, kind: Option<&RequestKind>) -> (&'static str, u32) {
        self.requests += 1;
        let (name, count) = match kind {
            Some(RequestKind::Announce(_) | RequestKind::NoTorrent(_)) => ("announce", &mut self.announces),
            Some(RequestKind::Scrape(_)) => ("scrape", &mut self.scrapes),
            Some(RequestKind::Other) | None => return ("request", self.requests),
        };
        *count += 1;
        (name, *count)
    }

    /// Counts a datagram; its name, and which one of its name it is.
    fn count_datagram(&mut self, topic: Option<UdpTopic>) -> (&'static str, u32) {
        self.requests += 1;
        let count = match topic {
            Some(UdpTopic::Announce(_)) => &mut self.announces,
            Some(UdpTopic::Scrape) => &mut self.scrapes,
            Some(UdpTopic::Connect) | None => {
                return (topic.map_or("datagram", UdpTopic::name), self.requests);
            }
        };
        *count += 1;
        (topic.map_or("datagram", UdpTopic::name), *count)
    }
}

/// The answer to a request over UDP to a tracker that the reference does not have.
fn made_up(request: &Packet) -> Option<Packet> {
    let transaction_id = request.transaction_id();
    match request {
        Packet::ConnectRequest { .. } => {
            Some(Packet::ConnectResponse { transaction_id, connection_id: MADE_UP_ID, extra: Vec::new() })
        }
        Packet::AnnounceRequest(_) => Some(Packet::AnnounceResponse(AnnounceResponse {
            transaction_id,
            interval: 1800,
            leechers: 0,
            seeders: 0,
            peers: Vec::new(),
            extra: Vec::new(),
        })),
        _ => None,
    }
}

impl Shared {
    /// Notes what a far end did not answer.
    pub(super) fn keep(&mut self, refusal: Refusal) {
        if self.refusals.len() < MOST_REFUSALS {
            self.refusals.push(refusal);
        }
    }

    /// Notes what the tracker did not answer.
    pub(super) fn refuse(
        &mut self,
        connection: Option<RunConnection>,
        message: &'static str,
        nth: u32,
        did: RefusalAct,
        why: String,
    ) {
        self.keep(Refusal { by: ReplayedEnd::Tracker, connection, message, nth, did, why });
    }

    /// The far end of a recorded conversation on a connection that begins now, and the connection in the recording.
    pub(super) fn begin(
        this: &Rc<RefCell<Self>>,
        conversation: &Conversation,
        flow: Flow,
        client: Direction,
        transport: Transport,
    ) -> (PlayedConnection, RecordedStream) {
        let line = RecordedStream::open(this, flow, client, transport);
        let mut shared = this.borrow_mut();
        shared.remark_transport(conversation, transport);
        (shared.peer(conversation), line)
    }

    /// The far end of a recorded conversation.
    fn peer(&self, conversation: &Conversation) -> PlayedConnection {
        let draw = MseDraw::new(self.options.secret, self.streams);
        let hashes = TorrentHashes::of(&self.torrent);
        let mut played = PlayedConnection::of(hashes, conversation, self.options.role, draw);
        let far = conversation.far();
        // Its node is told of only where it is at the address at which the client sees the peer.
        let here = self.places.get(&far).map(SocketAddr::ip);
        played.peer.move_node(|port| {
            let node = self.node_places.get(&SocketAddr::new(far.ip(), port))?;
            (here == Some(node.ip())).then_some(node.port())
        });
        played
    }

    /// Notes that a connection is over another transport than in the reference.
    fn remark_transport(&mut self, conversation: &Conversation, here: Transport) {
        let name = |transport| if transport == Transport::Utp { "uTP" } else { "TCP" };
        if conversation.transport != here {
            self.remark(format!(
                "a connection with the replayed peer {} was over {}, which is over {} in the reference",
                conversation.far(),
                name(here),
                name(conversation.transport)
            ));
        }
    }

    /// A connection with a recorded peer has ended.
    pub(super) fn ended(&mut self, far: SocketAddr) {
        self.ended.insert(far);
        let all_played = self.waiting.keys().all(|far| self.ended.contains(far));
        self.sign(|signs| signs.all_played = all_played);
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.0 + self.clock.1.elapsed()
    }

    pub(super) fn sign(&self, change: impl FnOnce(&mut ClientStatus)) {
        self.signs.send_modify(|signs| {
            signs.last = Some(Instant::now());
            change(signs);
        });
    }

    /// Notes why the recording fails, the first time.
    pub(super) fn note(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.failed.get_or_insert(error);
        }
    }

    /// The address a recorded peer calls from.
    pub(super) fn source(&self, far: SocketAddr) -> IpAddr {
        let number = self.waiting.keys().position(|one| *one == far).unwrap_or(0);
        let place = self.places.get(&far).map(SocketAddr::ip);
        place.unwrap_or_else(|| beside(self.options.listen.ip(), number as u32 + 1))
    }

    pub(super) fn disturber(&self) -> Option<FaultInjector> {
        let what = self.options.disturb.filter(|what| !what.is_of_tracker())?;
        (!what.is_single() || !self.disturbed).then(|| FaultInjector::new(what))
    }

    /// The connection of a recorded peer to be played next: once all were, the last one again.
    pub(super) fn next_connection(shared: &Rc<RefCell<Self>>, far: SocketAddr) -> Option<StreamId> {
        let mut shared = shared.borrow_mut();
        shared.started.insert(far);
        let waiting = shared.waiting.get_mut(&far)?;
        if waiting.len() > 1 { Some(waiting.remove(0)) } else { waiting.first().copied() }
    }

    /// A connection is to be played again.
    pub(super) fn give_back(&mut self, (far, stream): (SocketAddr, StreamId)) {
        let waiting = self.waiting.entry(far).or_default();
        if waiting.first() != Some(&stream) {
            waiting.insert(0, stream);
        }
    }

    /// Notes that the client announced itself; where it is new, the peers learn where it listens.
    fn announced(
        &mut self,
        this: &Rc<RefCell<Self>>,
        event: Option<Event>,
        listens: SocketAddr,
        reference: &Rc<Transcript>,
    ) {
        if event != Some(Event::Stopped) {
            self.client_listens(this, listens, reference);
        }
        self.sign(|signs| signs.announced.push(event));
    }

    /// Notes where the client listens, the first time; the peers that call it do so.
    pub(super) fn client_listens(
        &mut self,
        this: &Rc<RefCell<Self>>,
        listens: SocketAddr,
        reference: &Rc<Transcript>,
    ) {
        if self.client.is_none() && listens.port() != 0 {
            self.client = Some(listens);
            spawn_local(call_client(listens, reference.clone(), this.clone()));
        }
    }

    /// Counts bytes of the client; whether the client may go on.
    pub(super) fn hears(&mut self, count: usize) -> bool {
        self.bounds.hear(count);
        self.goes_on()
    }

    /// Counts a connection; whether the client may have it.
    pub(super) fn takes_connection(&mut self) -> bool {
        self.bounds.connect();
        self.goes_on()
    }

    /// Whether the run has taken less than it may. Else that is noted, and connections are closed.
    pub(super) fn goes_on(&mut self) -> bool {
        let Some(bound) = self.bounds.reached() else { return true };
        if !self.signs.borrow().is_exhausted {
            self.remark(bound.describe());
            self.sign(|signs| signs.is_exhausted = true);
        }
        false
    }

    /// Notes something that is worth knowing, once.
    pub(super) fn remark(&mut self, remark: String) {
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    /// Whether an answer was lost that was to be.
    pub(super) fn has_lost(&self) -> bool {
        matches!(self.options.disturb, Some(InjectedFault::Lose(which)) if self.lost >= which)
    }

    /// Counts an answer over UDP; whether it is the one that is to be lost.
    fn loses(&mut self) -> bool {
        let Some(InjectedFault::Lose(which)) = self.options.disturb else { return false };
        self.lost = self.lost.saturating_add(1);
        self.lost == which
    }

    /// Takes a datagram of the client; whether the client may go on.
    pub(super) fn takes_datagram(&mut self, client: SocketAddr, own: SocketAddr, bytes: &[u8]) -> bool {
        if !self.hears(bytes.len() + RECORDED_WITH) {
            return false;
        }
        let now = self.now();
        let recorded = self.recorder.datagram(now, client, own, bytes);
        self.note(recorded);
        self.sign(|_| {});
        true
    }

    /// Records a datagram to the client; whether it may be sent.
    pub(super) fn sends_datagram(&mut self, own: SocketAddr, client: SocketAddr, bytes: &[u8]) -> bool {
        if !self.goes_on() {
            return false;
        }
        if bytes.len() > MOST_DATAGRAM {
            // A query with a long transaction id makes an answer so long, since the answer repeats the id.
            self.remark("an answer was not sent that was longer than a datagram can be".to_owned());
            return false;
        }
        let now = self.now();
        let recorded = self.recorder.datagram(now, own, client, bytes);
        self.note(recorded);
        true
    }

    /// The answer to a datagram to the tracker at this place; both are recorded. `None` where the tracker does not answer.
    pub(super) fn answer_datagram(
        this: &Rc<RefCell<Self>>,
        place: usize,
        bytes: &[u8],
        (client, own): (SocketAddr, SocketAddr),
        reference: &Rc<Transcript>,
    ) -> Option<Vec<u8>> {
        let mut shared = this.borrow_mut();
        if !shared.takes_datagram(client, own, bytes) {
            return None;
        }
        let packet = decode_request(bytes).ok();
        let topic = packet.as_ref().and_then(UdpTopic::of);
        let (message, nth) = shared.asked.count_datagram(topic);
        let here = Some(RunConnection::of_datagrams(Flow { initiator: client, responder: own }));
        let is_there = place < shared.trackers.len();
        // A request for another torrent uses up no recorded answer.
        if let Some(Packet::AnnounceRequest(announce)) = &packet
            && !shared.torrent.goes_by(announce.info_hash)
        {
            let (other, ours) = (announce.info_hash, shared.torrent.info_hash);
            let why = format!("its info_hash {other} is not the reference's, {ours}");
            shared.refuse(here, message, nth, RefusalAct::Refused, why);
            let message = b"this is not the torrent of the capture".to_vec();
            let error = Packet::Error { transaction_id: announce.transaction_id, message };
            return shared.answers_datagram((own, client), &error);
        }
        let answer = shared.trackers.get_mut(place).map(|tracker| tracker.udp.answer(bytes));
        let refused = matches!(answer, Some(UdpAnswer::Refused(..)));
        if let Some(Packet::AnnounceRequest(announce)) = packet.as_ref().filter(|_| !refused) {
            let listens = SocketAddr::new(client.ip(), announce.port);
            shared.announced(this, announce.event(), listens, reference);
        }
        let answer = match (answer, packet) {
            (Some(UdpAnswer::Packet(packet, _)), _) => {
                if shared.loses() {
                    if let Some(tracker) = shared.trackers.get_mut(place) {
                        tracker.udp.lose(&packet);
                    }
                    return None;
                }
                packet
            }
            (Some(UdpAnswer::Refused(packet, why)), _) => {
                shared.refuse(here, message, nth, RefusalAct::Refused, why);
                packet
            }
            (Some(UdpAnswer::NotARequest(error)), _) => {
                let why = format!("it is not a request over UDP: {}", wanted_at(error.offset, error.wanted));
                shared.refuse(here, message, nth, RefusalAct::LeftUnanswered, why);
                return None;
            }
            _ if is_there && shared.trackers[place].is_asked(TrackerScheme::Udp) => {
                let why = "the reference has no response to such a request".to_owned();
                shared.refuse(here, message, nth, RefusalAct::LeftUnanswered, why);
                return None;
            }
            (_, Some(packet)) => {
                let remark = "the reference has no tracker over UDP here: the replay made its responses up, with the \
                              reference's peers";
                shared.remark(remark.to_owned());
                made_up(&packet)?
            }
            (_, None) => return None,
        };
        let answer = shared.recast_packet(answer, topic);
        shared.answers_datagram((own, client), &answer)
    }

    /// The datagram that a tracker sends, recorded; `None` where it may send none.
    fn answers_datagram(
        &mut self,
        (own, client): (SocketAddr, SocketAddr),
        packet: &Packet,
    ) -> Option<Vec<u8>> {
        let bytes = packet.encode();
        self.sends_datagram(own, client, &bytes).then_some(bytes)
    }

    /// A recorded answer with the peers where they are now.
    fn recast_packet(&self, packet: Packet, topic: Option<UdpTopic>) -> Packet {
        let Packet::AnnounceResponse(mut response) = packet else { return packet };
        let is_ipv6 = self.options.listen.is_ipv6();
        let told = response.peers.iter().filter_map(|recorded| self.places.get(recorded).copied());
        let mut peers: Vec<SocketAddr> = Vec::new();
        for peer in told.chain(self.more_peers(topic.and_then(UdpTopic::event))) {
            if peer.is_ipv6() == is_ipv6 && !peers.contains(&peer) {
                peers.push(peer);
            }
        }
        response.peers = peers;
        Packet::AnnounceResponse(response)
    }

    /// The peers that an announce for this event is told of whatever the reference has.
    fn more_peers(&self, event: Option<Event>) -> Vec<SocketAddr> {
        match event {
            None | Some(Event::Started) => self.places.values().copied().collect(),
            _ => Vec::new(),
        }
    }

    /// The answer to a request to the tracker at this place, which came on this connection.
    pub(super) fn answer(
        this: &Rc<RefCell<Self>>,
        place: usize,
        bytes: &[u8],
        connection: RunConnection,
        client: SocketAddr,
        reference: &Rc<Transcript>,
    ) -> Vec<u8> {
        let mut shared = this.borrow_mut();
        let request = Request::decode(bytes);
        let kind = request.as_ref().ok().map(Request::kind);
        let (message, nth) = shared.asked.count(kind.as_ref());
        // `reason` is what the client is told, `why` what its author is told.
        let refuse = |shared: &mut Self, reason: &str, why: String| {
            shared.refuse(Some(connection), message, nth, RefusalAct::Refused, why);
            let body = format!("d14:failure reason{}:{reason}e", reason.len());
            encode_response(200, "OK", &[("Connection", "close")], body.as_bytes())
        };
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                let why = format!("it is not an HTTP request: wanted {}", error.wanted);
                return refuse(&mut shared, "this is not a request to a tracker", why);
            }
        };
        if let Some(RequestKind::NoTorrent(fault)) = &kind {
            let why = format!("it names no torrent: {} should be {}", fault.name, fault.wanted);
            return refuse(&mut shared, "info_hash is missing or malformed", why);
        }
        if let Some(RequestKind::Announce(announce)) = &kind {
            if !shared.torrent.goes_by(announce.info_hash) {
                let why = format!(
                    "its info_hash {} is not the reference's, {}",
                    announce.info_hash, shared.torrent.info_hash
                );
                return refuse(&mut shared, "this is not the torrent of the capture", why);
            }
            let listens = SocketAddr::new(client.ip(), announce.port.unwrap_or(0));
            shared.announced(this, announce.event, listens, reference);
        }
        let exchange = shared.trackers.get_mut(place).and_then(|tracker| tracker.http.answer(&request));
        let answer = match (exchange, Topic::of(&request)) {
            (Some(exchange), _) => exchange.answer,
            (None, Topic::Announce(_)) => {
                let remark =
                    "the reference has no response of an HTTP tracker: the replay made one up, with the reference's peers"
                        .to_owned();
                shared.remark(remark);
                encode_response(200, "OK", &[], b"d8:intervali1800e5:peers0:e").into()
            }
            (None, _) => {
                let why = "the reference has no response to such a request".to_owned();
                return refuse(&mut shared, "the capture has no answer to this", why);
            }
        };
        let more = match Topic::of(&request) {
            Topic::Announce(event) => shared.more_peers(event),
            Topic::Scrape | Topic::Other => Vec::new(),
        };
        let places = &shared.places;
        recast_answer(&answer, &|recorded| places.get(&recorded).copied(), &more)
    }
}

/// How many bytes the recording takes for a datagram beside its own.
const RECORDED_WITH: usize = 60;

/// The longest datagram over IPv4: 65,535 bytes less the headers of IP and UDP (RFC 768, RFC 791).
const MOST_DATAGRAM: usize = 65_507;

/// The connection id of a tracker that the reference does not have over UDP.
const MADE_UP_ID: u64 = 0x6269_7474_7261_6365;
