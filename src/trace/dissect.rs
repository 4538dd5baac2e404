//! The only way from bursts to records: captured bytes and live bytes go through here alike.
//!
//! A stream is recognised by what it says, never by its ports, and gets its number when it is recognised. The
//! records of one direction, end to end, are the stream; where packets were cut makes no difference.

mod connection;
mod conversation;
mod datagrams;
mod dht_flows;
mod flows;
mod http_tracker;
mod keys;
mod mse;
mod offloaded;
mod peer_wire;
mod proxy;
mod resync;
mod stream_buffer;
mod utp;
mod waiting;
mod web_seed;

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use bittrace_protocol::dht;
use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::mse::MseKey;
use bittrace_protocol::tracker::{http, udp};
use bittrace_protocol::wire::Content;
use rustc_hash::FxHashMap;

use crate::dissect::stream_buffer::{BufferSlice, StreamBuffer};
use crate::measurement::ConnectionMeasurement;
use crate::record::{
    Body, Frames, HttpTrackerBody, Note, PeerEffect, PeerWireBody, Protocol, Record, Side, Transport,
    Unreadable,
};
use crate::{Direction, Flow, Moment, StreamClosing, StreamEvent, StreamId, StreamInterest, StreamOpening};
use connection::StreamDissector;
use conversation::PeerConversation;
use datagrams::Datagrams;
use keys::KeyRing;
use proxy::DatagramRelays;
use waiting::WAITING_BUDGET;

/// What a trace is made of.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "nearly all are records, and a box each would cost more")]
pub enum Dissected {
    /// A message, or bytes that are not a message.
    Record(Record),
    /// A connection that carried BitTorrent, or was to, is over.
    Connection(ConnectionEnd),
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionEnd {
    /// Its stream; `None` when nothing was said on it and it was only tried.
    pub stream: Option<StreamId>,
    /// What carried it.
    pub transport: Transport,
    /// Its ends.
    pub flow: Flow,
    /// Whether the capture holds its beginning.
    pub opening: StreamOpening,
    /// How it ended.
    pub closing: StreamClosing,
    /// The direction of which the capture has no packet, where it has none of one end.
    pub unseen: Option<Direction>,
    /// Its first packet.
    pub opened: Moment,
    /// Its last.
    pub closed: Moment,
    /// How TCP or uTP behaved, where [`TraceOptions::measure`](crate::TraceOptions::measure) asks for it.
    pub measured: Option<Box<ConnectionMeasurement>>,
    /// Of TCP, the connection as its segments were noted down: where they are measured, `measured` is set.
    pub(crate) noted_as: Option<StreamId>,
}

/// Turns what happens on connections, and datagrams, into records.
#[derive(Debug, Default)]
pub struct Dissector {
    connections: FxHashMap<StreamId, Box<StreamDissector>>,
    datagrams: Datagrams,
    /// The SOCKS5 proxies through which datagrams go.
    relays: DatagramRelays,
    recognised: DissectContext,
    /// The memory in bytes that the streams take that are not recognised yet.
    undecided: usize,
}

/// How many bytes of memory the streams that are not recognised yet may take, over all connections.
const UNDECIDED_BUDGET: usize = 32 << 20;

impl Dissector {
    /// A dissector that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A dissector that recognises the web seeds of these torrents.
    pub fn knowing(torrents: Vec<Arc<Metainfo>>) -> Self {
        Self { recognised: DissectContext { torrents, ..DissectContext::default() }, ..Self::default() }
    }

    /// Measures how uTP behaves on the connections that begin from now on, for
    /// [`ConnectionEnd::measured`].
    pub fn measure_utp(&mut self) {
        self.datagrams.measure();
    }

    /// Learns the key of an encrypted connection, which must be before its negotiation is over. Keys beyond
    /// [`MAX_KEYS`](bittrace_protocol::mse::MAX_KEYS) are not remembered.
    pub fn learn_key(&mut self, key: &MseKey) {
        self.recognised.keys.add(key);
    }

    /// How many keys in encrypted connections are known.
    pub fn keys(&self) -> usize {
        self.recognised.keys.count()
    }

    /// Takes in what happens on a connection, and hands out what follows from it. The answer says whether its bytes are wanted
    /// from now on.
    pub fn handle(
        &mut self,
        moment: Moment,
        event: StreamEvent<'_>,
        out: &mut dyn FnMut(Dissected),
    ) -> StreamInterest {
        let mut queue = VecDeque::new();
        let interest = self.handle_into(moment, event, &mut queue);
        queue.into_iter().for_each(out);
        interest
    }

    /// Takes in a datagram.
    pub fn datagram(
        &mut self,
        moment: Moment,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
        out: &mut dyn FnMut(Dissected),
    ) {
        let mut queue = VecDeque::new();
        self.datagram_into(moment, (source, destination), bytes, &mut queue);
        queue.into_iter().for_each(out);
    }

    /// Takes in the beginning of a datagram of `length` bytes, whose rest was not captured.
    pub fn cut_datagram(
        &mut self,
        moment: Moment,
        ends: (SocketAddr, SocketAddr),
        (bytes, length): (&[u8], u64),
        out: &mut dyn FnMut(Dissected),
    ) {
        let mut queue = VecDeque::new();
        self.cut_datagram_into(moment, ends, (bytes, length), &mut queue);
        queue.into_iter().for_each(out);
    }

    /// Takes in that nothing more comes: connections that stand on datagrams are over. Those of
    /// [`handle`](Self::handle) end with their own events.
    pub fn finish(&mut self, out: &mut dyn FnMut(Dissected)) {
        let mut queue = VecDeque::new();
        self.finish_into(&mut queue);
        queue.into_iter().for_each(out);
    }

    /// [`handle`](Self::handle) with a queue to add to: records are large, and are made where they stay.
    pub(crate) fn handle_into(
        &mut self,
        moment: Moment,
        event: StreamEvent<'_>,
        out: &mut VecDeque<Dissected>,
    ) -> StreamInterest {
        if let StreamEvent::Opened { stream, flow, opening } = event {
            self.connections
                .insert(stream, Box::new(StreamDissector::new(flow, Transport::Tcp, opening, moment)));
            return StreamInterest::Wanted;
        }
        let Some(connection) = self.connections.get_mut(&event.stream()) else {
            return StreamInterest::Unwanted;
        };
        let (undecided, waited) = connection.costs();
        let (stream, closes) = (event.stream(), matches!(event, StreamEvent::Closed { .. }));
        let interest = match event {
            StreamEvent::Burst { direction, bytes, .. } => {
                connection.burst(moment, direction, bytes, &mut self.recognised, out);
                if self.undecided > UNDECIDED_BUDGET && connection.undecided_cost() > 0 {
                    connection.give_up(&mut self.recognised, out);
                }
                connection.interest()
            }
            StreamEvent::Gap { direction, length, .. } => {
                connection.gap(
                    StreamGap { moment, direction, loss: Loss::Bytes(length) },
                    &mut self.recognised,
                    out,
                );
                connection.interest()
            }
            StreamEvent::Lost { direction, packets, .. } => {
                connection.gap(
                    StreamGap { moment, direction, loss: Loss::Packets(packets) },
                    &mut self.recognised,
                    out,
                );
                connection.interest()
            }
            StreamEvent::Closed { closing, .. } => {
                connection.close(moment, closing, Some(stream), &mut self.recognised, out);
                StreamInterest::Unwanted
            }
            StreamEvent::Awaited { direction, missing, .. } => {
                connection.awaits(direction, missing);
                connection.interest()
            }
            StreamEvent::Opened { .. } | StreamEvent::Established { .. } | StreamEvent::Measured { .. } => {
                StreamInterest::Wanted
            }
        };
        let (undecided_now, waits_now) = connection.costs();
        self.undecided = self.undecided + undecided_now - undecided;
        self.recognised.waiting = self.recognised.waiting + waits_now - waited;
        if closes {
            self.recognised.waiting -= waits_now;
            self.connections.remove(&stream);
        }
        if self.recognised.waiting > WAITING_BUDGET {
            return self.relieve(moment, stream, out);
        }
        interest
    }

    /// [`datagram`](Self::datagram) with a queue to add to.
    pub(crate) fn datagram_into(
        &mut self,
        moment: Moment,
        ends: (SocketAddr, SocketAddr),
        bytes: &[u8],
        out: &mut VecDeque<Dissected>,
    ) {
        let ((source, destination), bytes) = self.relays.unwrap(ends, bytes).unwrap_or((ends, bytes));
        self.datagrams.handle(moment, source, destination, bytes, &mut self.recognised, out);
        if self.recognised.waiting > WAITING_BUDGET {
            self.relieve_all(moment, out);
        }
    }

    /// [`cut_datagram`](Self::cut_datagram) with a queue to add to.
    pub(crate) fn cut_datagram_into(
        &mut self,
        moment: Moment,
        ends: (SocketAddr, SocketAddr),
        (bytes, length): (&[u8], u64),
        out: &mut VecDeque<Dissected>,
    ) {
        self.datagrams.handle_cut(moment, ends, (bytes, length), &mut self.recognised, out);
    }

    /// [`finish`](Self::finish) with a queue to add to.
    pub(crate) fn finish_into(&mut self, out: &mut VecDeque<Dissected>) {
        self.datagrams.finish(&mut self.recognised, out);
    }
}

/// The capture lost what comes next in a direction.
#[derive(Debug, Clone, Copy)]
struct StreamGap {
    /// When the loss was noticed.
    moment: Moment,
    direction: Direction,
    loss: Loss,
}

/// How much the capture lost.
#[derive(Debug, Clone, Copy)]
enum Loss {
    Bytes(u64),
    /// Packets of unknown size.
    Packets(u64),
}

impl Loss {
    const fn bytes(self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Packets(_) => 0,
        }
    }

    const fn body(self, protocol: Protocol) -> Body {
        match self {
            Self::Bytes(bytes) => Body::Unreadable(protocol, Unreadable::Gap(bytes)),
            Self::Packets(packets) => Body::Unreadable(protocol, Unreadable::LostPackets(packets)),
        }
    }
}

/// What the trace has taught so far: which streams are BitTorrent, and who is a peer.
#[derive(Debug, Default)]
struct DissectContext {
    streams: u32,
    /// How many records were given out.
    records: u64,
    peers: HashSet<SocketAddr>,
    /// The proxies behind which BitTorrent was found. They are no peers, whatever comes from them.
    proxies: HashSet<SocketAddr>,
    /// The torrents whose web seeds are recognised.
    torrents: Vec<Arc<Metainfo>>,
    /// The keys in encrypted connections.
    keys: KeyRing,
    /// The memory in bytes of what waits on all streams, for a verdict or for the rest of a message.
    waiting: usize,
}

/// How many peers are remembered. A tracker's answers could name millions.
const PEERS: usize = 200_000;

impl DissectContext {
    fn next_stream(&mut self) -> StreamId {
        let stream = StreamId(self.streams);
        self.streams += 1;
        stream
    }

    fn learn_proxy(&mut self, address: SocketAddr) {
        if self.proxies.len() < PEERS {
            self.proxies.insert(address);
        }
    }

    fn is_peer(&self, address: SocketAddr) -> bool {
        self.peers.contains(&address)
    }

    /// Gives out a record, in the order in which records are numbered. What it does to the state of a connection between peers
    /// depends on that order.
    fn give_out(
        &mut self,
        record: Record,
        conversation: Option<&mut PeerConversation>,
        out: &mut VecDeque<Dissected>,
    ) {
        out.push_back(Dissected::Record(record));
        self.number_last(conversation, out);
    }

    /// Gives its number to the record that was added last to `out`. Records are large, so this one is changed where it stands.
    fn number_last(&mut self, conversation: Option<&mut PeerConversation>, out: &mut VecDeque<Dissected>) {
        let Some(Dissected::Record(record)) = out.back_mut() else { return };
        self.records += 1;
        record.number = self.records;
        let extended = match conversation {
            Some(conversation) if record.body.protocol() == Protocol::PeerWire => {
                conversation.observe(record)
            }
            _ => None,
        };
        self.learn(record, extended.as_ref().and_then(|extended| extended.content.as_ref()));
    }

    /// Remembers the peers that a record names: they are what makes an unreadable stream a peer's. `content` is what an
    /// extended message says.
    fn learn(&mut self, record: &Record, content: Option<&Content>) {
        if self.peers.len() >= PEERS {
            return;
        }
        match &record.body {
            Body::PeerWire(PeerWireBody::Handshake(_))
                if record.direction == Direction::FromResponder && !self.proxies.contains(&record.source) =>
            {
                self.peers.insert(record.source);
            }
            Body::HttpTracker(HttpTrackerBody::Request(_, kind)) => {
                if let http::RequestKind::Announce(announce) = &**kind
                    && let Some(port) = announce.port
                {
                    self.peers.insert(SocketAddr::new(record.source.ip(), port));
                }
            }
            Body::HttpTracker(HttpTrackerBody::Response(_, reply)) => {
                if let http::Reply::Announce(reply) = &**reply {
                    let peers = reply.peers.iter().filter_map(http::PeerEntry::address);
                    self.peers.extend(peers.take(PEERS));
                }
            }
            Body::UdpTracker(packet) => match &**packet {
                udp::Packet::AnnounceRequest(announce) => {
                    self.peers.insert(SocketAddr::new(record.source.ip(), announce.port));
                }
                udp::Packet::AnnounceResponse(reply) => self.peers.extend(reply.peers.iter().take(PEERS)),
                _ => {}
            },
            Body::Dht(message, _) => match &message.kind {
                dht::Kind::Query(query) if query.method == dht::Method::AnnouncePeer => {
                    let port = query.listen_port().unwrap_or_else(|| record.source.port());
                    self.peers.insert(SocketAddr::new(record.source.ip(), port));
                }
                dht::Kind::Response(response) => {
                    self.peers.extend(response.peers.iter().flatten().take(PEERS));
                }
                _ => {}
            },
            Body::Lsd(announce) => {
                self.peers.insert(SocketAddr::new(record.source.ip(), announce.port));
            }
            Body::PeerWire(PeerWireBody::Extended(..)) => match content {
                Some(Content::Handshake(handshake)) => {
                    let listens = handshake.port.map(|port| SocketAddr::new(record.source.ip(), port));
                    self.peers.extend(listens);
                }
                Some(Content::Pex(pex)) => {
                    self.peers.extend(pex.added.iter().map(|peer| peer.address).take(PEERS));
                }
                _ => {}
            },
            _ => {}
        }
    }
}

/// Where unexplained bytes are cut into records, counted from the first of them: not at packets, since those
/// must make no difference.
const CHUNK: usize = 16 * 1024;

/// Where the records of one stream go.
struct Emitter<'a> {
    stream: StreamId,
    flow: Flow,
    transport: Transport,
    /// The bytes before this offset of the direction were deciphered.
    deciphered_to: u64,
    /// Whether bytes of a direction are missing that were said by now.
    missing: [bool; 2],
    recognised: &'a mut DissectContext,
    sink: RecordSink<'a>,
    /// What is to be said of the next record.
    note: Option<Note>,
}

/// Where an emitter puts records.
enum RecordSink<'a> {
    /// To the caller. The records of a connection between peers change its state.
    Out(Option<&'a mut PeerConversation>, &'a mut VecDeque<Dissected>),
    /// Into a queue for each direction, until the records of both directions can be put in order.
    Held(&'a mut [VecDeque<Record>; 2]),
}

impl<'a> Emitter<'a> {
    fn new(
        stream: StreamId,
        flow: Flow,
        transport: Transport,
        missing: [bool; 2],
        recognised: &'a mut DissectContext,
        sink: RecordSink<'a>,
    ) -> Self {
        Self { stream, flow, transport, deciphered_to: 0, missing, recognised, sink, note: None }
    }

    fn emit(&mut self, direction: Direction, taken: BufferSlice, body: Body) {
        self.emit_noted(direction, taken, body, Vec::new());
    }

    fn emit_noted(&mut self, direction: Direction, taken: BufferSlice, body: Body, mut notes: Vec<Note>) {
        if self.note.is_some() {
            notes.extend(self.note.take());
        }
        let (source, destination) = self.flow.ends(direction);
        let in_doubt = self.missing[direction.reverse() as usize];
        // Made where it is kept.
        let record = || Record {
            number: 0,
            at: taken.at,
            stream: self.stream,
            direction,
            side: Side::Remote,
            source,
            destination,
            transport: self.transport,
            frames: taken.frames,
            offset: taken.offset,
            decrypted: taken.offset < self.deciphered_to && !taken.bytes.is_empty(),
            bytes: taken.bytes,
            body,
            notes,
            answers: None,
            effect: PeerEffect::default(),
            client: None,
            torrent: None,
            describes: None,
            wireshark_stream: None,
            in_doubt,
        };
        match &mut self.sink {
            RecordSink::Out(conversation, out) => {
                out.push_back(Dissected::Record(record()));
                self.recognised.number_last(conversation.as_deref_mut(), out);
            }
            RecordSink::Held(held) => held[direction as usize].push_back(record()),
        }
    }

    /// Makes records of the whole chunks among the first `length` bytes that wait, which nothing explains.
    fn emit_chunks(&mut self, direction: Direction, lane: &mut StreamBuffer, length: usize, body: &Body) {
        for _ in 0..length / CHUNK {
            self.emit(direction, lane.take(CHUNK), body.clone());
        }
    }

    /// Makes a record of what the capture lost, noticed at `moment`, and passes over it. Nothing may wait. Of a gap of no
    /// bytes, which only ends what waits, there is no record.
    fn lose(&mut self, gap: StreamGap, protocol: Protocol, lane: &mut StreamBuffer) {
        let StreamGap { moment, direction, loss } = gap;
        if matches!(loss, Loss::Bytes(0)) {
            return;
        }
        let (bytes, frames) = (bytes::Bytes::new(), Frames::from_slice(&[moment.frame]));
        let nothing = BufferSlice { bytes, offset: lane.offset(), at: moment.at, frames };
        self.emit(direction, nothing, loss.body(protocol));
        lane.skip(loss.bytes());
    }
}

#[cfg(test)]
mod tests;
