//! A capture read into conversations: each connection or flow of datagrams with the messages of both ends, in order.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use bittrace_protocol::geometry::Geometry;
use bittrace_protocol::metainfo::Padding;
use bittrace_protocol::peer::PeerSide;
use bittrace_protocol::wire::{Content, Extension, Message, MetadataKind};
use bittrace_protocol::{InfoHash, Metainfo, PeerId, Timestamp};
use bittrace_trace::record::{Body, Note, PeerWireBody, Protocol, Side, Transport, Unreadable};
use bittrace_trace::statistics::{Finding, Findings};
use bittrace_trace::{
    Direction, Dissected, Flow, Record, Severity, StreamId, StreamOpening, Trace, TraceError, TraceOptions,
};

use crate::model::message::{MessageStore, StoredMessage};
use crate::model::torrent_hashes::TorrentHashes;

/// The memory that the messages of one capture may take, in bytes: 1 GiB. Blocks are stored whole while all messages
/// together take no more than half of it; beyond, only their digests are stored.
pub const TRANSCRIPT_LIMIT: usize = 1 << 30;

/// Why a capture is not a transcript.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptError {
    /// The file cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// Its messages take more memory than they may, though their blocks are not stored.
    #[error(
        "{name}: its messages take more than {} MiB of memory, from message {number} on: choose a part of the capture, \
         for instance with tshark -r {name} -Y FILTER -w PART",
        limit >> 20
    )]
    TooLong {
        /// The capture.
        name: String,
        /// The first message that found no room.
        number: u64,
        /// The limit, in bytes.
        limit: usize,
    },
}

/// A capture as conversations.
#[derive(Debug)]
pub struct Transcript {
    /// The capture's name.
    pub name: String,
    /// The host the capture is about.
    pub local: Option<IpAddr>,
    /// Its conversations, in the order in which they were recognised.
    pub conversations: Vec<Conversation>,
    /// The torrent that it is mostly about: the one of most messages of the local host to peers and trackers. `None` where the
    /// local host sends no message about a torrent.
    pub torrent: Option<InfoHash>,
    /// Both its info hashes, where it is a hybrid torrent that the trace knows.
    pub hybrid: Option<TorrentHashes>,
    /// How the pieces of that torrent lie, where the trace knows it.
    pub geometry: Option<Geometry>,
    /// Which of its bytes are padding, as far as the trace knows it.
    pub padding: Padding,
    /// The rules that its local host broke, the most severe first. Some are only judged when the torrent is in the options of
    /// the trace.
    pub broken_rules: Vec<Finding>,
    /// What is noted of messages of its far ends, the most severe first.
    pub far_findings: Vec<Finding>,
    /// How many records they have together.
    pub records: u64,
    /// Of how many pieces only the header and a digest are stored, since the memory for blocks was used up.
    pub shortened: u64,
    /// How many packets the capture has.
    pub packets: u64,
    /// The byte at which the file was cut short, when it was.
    pub cut: Option<u64>,
}

/// One connection, or flow of datagrams.
#[derive(Debug)]
pub struct Conversation {
    /// Its stream in the capture.
    pub stream: StreamId,
    /// What carried it.
    pub transport: Transport,
    /// With whom the local host speaks.
    pub role: ConversationRole,
    /// Its ends.
    pub flow: Flow,
    /// The direction in which the local host sends.
    pub local: Direction,
    /// Whether the capture holds its beginning; of datagrams it does.
    pub opening: StreamOpening,
    /// The torrent it is about.
    pub torrent: Option<InfoHash>,
    /// Of a connection over uTP, whose packets are no messages: how many there were. `None` where they were not measured.
    pub packets: Option<PacketCounts>,
    /// Of a connection over uTP: the shortest round trip of the whole path, in seconds. `None` where it was not measured.
    pub round_trip: Option<f64>,
    directions: [DirectionTranscript; 2],
}

/// The packets of both ends of a connection over uTP that carry bytes of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketCounts {
    /// All of them.
    pub all: u64,
    /// Those that had been sent before.
    pub sent_again: u64,
}

/// The messages of one end of a conversation.
#[derive(Debug, Default)]
pub struct DirectionTranscript {
    /// Its messages, in order.
    pub messages: Vec<StoredMessage>,
    /// The name of its client, where it is known.
    pub client: Option<Arc<str>>,
    /// Its peer id, if it shook hands.
    pub peer_id: Option<PeerId>,
}

/// What the far end of a conversation is to the local host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConversationRole {
    /// A tracker over HTTP.
    HttpTracker,
    /// A tracker over UDP.
    UdpTracker,
    /// A peer.
    Peer,
    /// A peer over uTP whose stream cannot be read.
    Utp,
    /// A node of the DHT.
    Node,
    /// A web seed.
    WebSeed,
    /// All hosts of the local network.
    LocalNetwork,
}

impl ConversationRole {
    const fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::HttpTracker => Self::HttpTracker,
            Protocol::UdpTracker => Self::UdpTracker,
            // What stands behind a proxy shows itself later, and is mostly a peer.
            Protocol::PeerWire | Protocol::Mse | Protocol::Proxy => Self::Peer,
            Protocol::Utp => Self::Utp,
            Protocol::Dht => Self::Node,
            Protocol::WebSeed => Self::WebSeed,
            Protocol::Lsd => Self::LocalNetwork,
        }
    }

    /// Its name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HttpTracker => "HTTP tracker",
            Self::UdpTracker => "UDP tracker",
            Self::Peer => "peer",
            Self::Utp => "uTP peer",
            Self::Node => "DHT node",
            Self::WebSeed => "web seed",
            Self::LocalNetwork => "local network",
        }
    }
}

impl Transcript {
    /// Whether the client asked peers for the metadata (BEP 9): it had a magnet link, and no torrent.
    pub fn asks_for_metadata(&self) -> bool {
        let peers = self.peers().flat_map(|one| one.messages().take(MOST_LOOKED_AT));
        peers.filter(|(side, _)| *side == Side::Local).any(|(_, message)| match message.body() {
            Body::PeerWire(PeerWireBody::Extended(
                Message::Extended { payload, .. },
                Extension::Metadata,
            )) => {
                matches!(
                    Extension::Metadata.decode(&payload),
                    Ok(Content::Metadata(metadata)) if metadata.kind == MetadataKind::Request
                )
            }
            _ => false,
        })
    }

    /// Reads the capture file at `path`.
    ///
    /// # Errors
    /// When it cannot be read to its end, or takes more memory than [`TRANSCRIPT_LIMIT`]. A file that was cut short is read
    /// as far as it goes.
    pub fn open(path: &Path, options: TraceOptions) -> Result<Self, TranscriptError> {
        Self::read(Trace::open(path, options)?)
    }

    /// Reads a trace to its end.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read(mut trace: Trace) -> Result<Self, TranscriptError> {
        let mut transcriber = Transcriber::new(trace.capture().name(), TRANSCRIPT_LIMIT);
        while let Some(dissected) = trace.next()? {
            transcriber.push(dissected)?;
        }
        Ok(transcriber.finish(&trace))
    }

    /// The name of the client of the host that the capture is about, where it is known.
    pub fn client(&self) -> Option<&str> {
        self.conversations.iter().find_map(|one| one.direction(Side::Local).client.as_deref())
    }

    /// The conversation on this stream.
    pub fn conversation(&self, stream: StreamId) -> Option<&Conversation> {
        let at = self.conversations.binary_search_by_key(&stream, |known| known.stream).ok()?;
        self.conversations.get(at)
    }

    /// The conversations with peers about its torrent, in the order in which they began. Of those over uTP it is the stream.
    pub fn peers(&self) -> impl Iterator<Item = &Conversation> {
        let peers = self.conversations.iter().filter(|one| one.role == ConversationRole::Peer);
        peers.filter(|one| self.is_about(one))
    }

    /// The conversations with trackers about its torrent, in the order in which they began.
    pub fn trackers(&self) -> impl Iterator<Item = &Conversation> {
        let is_tracker = |role| matches!(role, ConversationRole::HttpTracker | ConversationRole::UdpTracker);
        self.conversations.iter().filter(move |one| is_tracker(one.role) && self.is_about(one))
    }

    /// Whether this is an info hash of the torrent that the capture is mostly about.
    pub fn is_torrent(&self, info_hash: InfoHash) -> bool {
        self.torrent == Some(info_hash) || self.hybrid.is_some_and(|both| both.has(info_hash))
    }

    /// Whether a conversation is about the torrent that the capture is mostly about, or about none that is known.
    fn is_about(&self, conversation: &Conversation) -> bool {
        conversation.torrent.is_none_or(|torrent| self.is_torrent(torrent))
    }

    /// When its local host sent the first message to a node of the DHT.
    pub fn nodes_began(&self) -> Option<Timestamp> {
        let nodes = self.conversations.iter().filter(|one| one.role == ConversationRole::Node);
        nodes.filter_map(|one| Some(one.direction(Side::Local).messages.first()?.at)).min()
    }

    /// The requests of the local host that go on after the end of a file, as if zeros followed up to where the next piece begins.
    pub fn padded_requests(&self) -> impl Iterator<Item = &StoredMessage> {
        self.said_of_pieces(|message, geometry| match message {
            Message::Request(block) => geometry.padded_span(*block).is_some_and(|(_, zeros)| zeros > 0),
            _ => false,
        })
    }

    /// The requests of the local host for blocks that are padding alone (BEP 47).
    pub fn requests_of_padding(&self) -> impl Iterator<Item = &StoredMessage> {
        self.said_of_pieces(|message, geometry| match message {
            Message::Request(block) => self.padding.covers_block(geometry, *block),
            _ => false,
        })
    }

    /// The haves of the local host for pieces of which some blocks, but not all, are padding alone.
    pub fn haves_with_padding(&self) -> impl Iterator<Item = &StoredMessage> {
        self.said_of_pieces(|message, geometry| match message {
            Message::Have(piece) => {
                let mut made =
                    geometry.blocks(*piece).map(|block| self.padding.covers_block(geometry, block));
                let first = made.next();
                first.is_some_and(|first| made.any(|other| other != first))
            }
            _ => false,
        })
    }

    /// What the local host says to peers of which something holds, where it is known how the pieces lie.
    fn said_of_pieces(
        &self,
        holds: impl Fn(&Message, &Geometry) -> bool,
    ) -> impl Iterator<Item = &StoredMessage> {
        let said = self.peers().flat_map(|one| &one.direction(Side::Local).messages);
        said.filter(move |stored| match (stored.peer_message(), &self.geometry) {
            (Some(message), Some(geometry)) => holds(&message, geometry),
            _ => false,
        })
    }

    /// When its first and its last message were captured; `None` where it has none.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let times = || {
            let sides = self.conversations.iter().flat_map(|one| &one.directions);
            sides.flat_map(|direction| &direction.messages).map(|message| message.at)
        };
        Some((times().min()?, times().max()?))
    }

    /// The torrents that its conversations are about, each once.
    pub fn torrents(&self) -> Vec<InfoHash> {
        let mut torrents: Vec<_> = self.conversations.iter().filter_map(|one| one.torrent).collect();
        torrents.sort_unstable();
        torrents.dedup();
        torrents
    }
}

impl Conversation {
    fn new(record: &Record) -> Self {
        let local = if record.side.is_near() { record.direction } else { record.direction.reverse() };
        Self {
            stream: record.stream,
            transport: record.transport,
            role: ConversationRole::of(record.body.protocol()),
            flow: record.flow(),
            local,
            opening: StreamOpening::Syn,
            torrent: None,
            packets: None,
            round_trip: None,
            directions: Default::default(),
        }
    }

    /// The direction in which `side` sends.
    pub const fn direction(&self, side: Side) -> &DirectionTranscript {
        &self.directions[!side.is_near() as usize]
    }

    /// The far end's address.
    pub const fn far(&self) -> SocketAddr {
        self.flow.ends(self.local).1
    }

    /// Whether the capture lacks bytes that `side` sent.
    pub fn is_lossy(&self, side: Side) -> bool {
        self.opening == StreamOpening::MidStream
            || self.direction(side).messages.iter().any(StoredMessage::is_gap)
    }

    /// Whether the local host opened it.
    pub fn is_outgoing(&self) -> bool {
        self.local == Direction::FromInitiator
    }

    /// The local host's address.
    pub const fn local_address(&self) -> SocketAddr {
        self.flow.ends(self.local).0
    }

    /// The end of the connection at which `side` is.
    pub fn peer_side(&self, side: Side) -> PeerSide {
        PeerSide::from(if side.is_near() { self.local } else { self.local.reverse() })
    }

    /// The messages of both ends, in the order of the capture.
    pub fn messages(&self) -> impl Iterator<Item = (Side, &StoredMessage)> {
        let side = |side: Side| self.direction(side).messages.iter().map(move |message| (side, message));
        let (mut local, mut far) = (side(Side::Local).peekable(), side(Side::Remote).peekable());
        std::iter::from_fn(move || match (local.peek(), far.peek()) {
            (Some((_, one)), Some((_, other))) if other.number < one.number => far.next(),
            (Some(_), _) => local.next(),
            (None, _) => far.next(),
        })
    }

    /// When its first message was captured. A conversation has one at least.
    pub fn began(&self) -> Timestamp {
        let first = self.directions.iter().filter_map(|direction| direction.messages.first());
        first.map(|message| message.at).min().unwrap_or(Timestamp::EPOCH)
    }

    /// A message of `side`, on one line.
    pub fn describe(&self, side: Side, message: &StoredMessage) -> String {
        message.describe(self.direction(side).client.as_deref())
    }

    /// How many messages both ends sent.
    pub fn length(&self) -> usize {
        self.directions.iter().map(|direction| direction.messages.len()).sum()
    }
}

/// Takes in a trace piece by piece.
#[derive(Debug)]
pub struct Transcriber {
    name: String,
    store: MessageStore,
    conversations: Vec<Conversation>,
    broken_rules: Findings,
    far_findings: Findings,
    records: u64,
    /// How many messages the local host sent about each torrent.
    said: BTreeMap<InfoHash, u64>,
}

impl Transcriber {
    /// A transcriber of the capture called `name`, whose messages may take `limit` bytes of memory, as a rule
    /// [`TRANSCRIPT_LIMIT`].
    pub fn new(name: &str, limit: usize) -> Self {
        Self {
            name: name.to_owned(),
            store: MessageStore::new(limit),
            conversations: Vec::new(),
            broken_rules: Findings::default(),
            far_findings: Findings::default(),
            records: 0,
            said: BTreeMap::new(),
        }
    }

    /// Takes in the next record, or the end of a connection.
    ///
    /// # Errors
    /// When the messages take more memory than they may.
    pub fn push(&mut self, dissected: Dissected) -> Result<(), TranscriptError> {
        match dissected {
            Dissected::Record(record) => {
                let number = record.number;
                self.record(record);
                if self.store.is_full() {
                    let (name, limit) = (self.name.clone(), self.store.limit);
                    return Err(TranscriptError::TooLong { name, number, limit });
                }
            }
            Dissected::Connection(end) => {
                let Some(stream) = end.stream else { return Ok(()) };
                if let Ok(at) = self.conversations.binary_search_by_key(&stream, |known| known.stream) {
                    self.conversations[at].opening = end.opening;
                    let measured = end.measured.filter(|_| end.transport == Transport::Utp);
                    self.conversations[at].round_trip =
                        measured.as_ref().and_then(|measured| measured.round_trip);
                    self.conversations[at].packets = measured.map(|measured| PacketCounts {
                        all: measured.directions.iter().map(|one| one.segments).sum(),
                        sent_again: measured.directions.iter().map(|one| one.retransmitted_segments).sum(),
                    });
                }
            }
        }
        Ok(())
    }

    fn record(&mut self, record: Record) {
        self.records += 1;
        for note in &record.notes {
            match record.side {
                Side::Local if is_conduct(note) => self.broken_rules.add(&record, note),
                Side::Local => {}
                _ => self.far_findings.add(&record, note),
            }
        }
        if let Some(torrent) = record.torrent.filter(|_| is_said_of_torrent(&record)) {
            *self.said.entry(torrent).or_default() += 1;
        }
        // Streams are numbered as they are recognised, and a stream is recognised by its first record.
        let at = match self.conversations.binary_search_by_key(&record.stream, |known| known.stream) {
            Ok(at) => at,
            Err(at) => {
                self.conversations.insert(at, Conversation::new(&record));
                at
            }
        };
        let conversation = &mut self.conversations[at];
        // Nodes are asked for any torrent there is.
        if conversation.role != ConversationRole::Node {
            conversation.torrent = conversation.torrent.or(record.torrent);
        }
        if conversation.role == ConversationRole::Peer {
            conversation.role = ConversationRole::of(record.body.protocol());
        }
        let direction = &mut conversation.directions[usize::from(!record.side.is_near())];
        if record.client.is_some() {
            direction.client.clone_from(&record.client);
        }
        if let Body::PeerWire(PeerWireBody::Handshake(handshake)) = &record.body {
            direction.peer_id = Some(handshake.peer_id);
        }
        direction.messages.push(self.store.store(record));
    }

    /// All that was taken in. `trace` is what it came from.
    pub fn finish(mut self, trace: &Trace) -> Transcript {
        for conversation in &mut self.conversations {
            conversation.directions.iter_mut().for_each(|direction| direction.messages.shrink_to_fit());
        }
        let torrent = self.said.into_iter().max_by_key(|(_, count)| *count).map(|(torrent, _)| torrent);
        let known = torrent.and_then(|torrent| trace.torrent(torrent));
        let hashes = known.map(TorrentHashes::of);
        Transcript {
            name: self.name,
            torrent,
            geometry: known.and_then(Metainfo::placement).cloned(),
            padding: known.map(Metainfo::padding).unwrap_or_default(),
            hybrid: hashes.filter(|hashes| hashes.second.is_some()),
            local: trace.local(),
            conversations: self.conversations,
            broken_rules: self.broken_rules.most_severe_first(),
            far_findings: self.far_findings.most_severe_first(),
            records: self.records,
            shortened: self.store.shortened,
            packets: trace.capture().packets(),
            cut: trace.cut().map(|cut| cut.offset),
        }
    }
}

/// Whether a note says that the sender of a message broke a rule. What a capture lacks is not conduct, and neither is how things
/// stand.
fn is_conduct(note: &Note) -> bool {
    note.rule.severity > Severity::Chat && !note.rule.id.starts_with("capture.")
}

/// Whether a record is a message of the local host to a peer or a tracker: what a capture is mostly about.
fn is_said_of_torrent(record: &Record) -> bool {
    let protocol = record.body.protocol();
    record.side == Side::Local
        && matches!(protocol, Protocol::PeerWire | Protocol::HttpTracker | Protocol::UdpTracker)
        && !matches!(
            record.body,
            Body::Unreadable(_, Unreadable::Opaque(_) | Unreadable::Gap(_) | Unreadable::LostPackets(_))
        )
}

/// So many messages of a connection are looked at for requests for metadata, which come first.
const MOST_LOOKED_AT: usize = 200;
