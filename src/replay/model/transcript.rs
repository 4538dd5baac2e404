//! A capture read into conversations: each connection or flow of datagrams, what either end said on it, in order.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use bittrace_protocol::{InfoHash, PeerId, Timestamp};
use bittrace_trace::record::{Body, Frames, PeerWireBody, Protocol, Side, Transport, Unreadable};
use bittrace_trace::{
    Direction, Dissected, Flow, Record, StreamId, StreamOpening, Trace, TraceError, TraceOptions,
};
use bytes::Bytes;

use crate::model::message::{MessageStore, StoredMessage};

/// How many bytes of messages are kept whole of a capture: 512 MiB. Beyond, blocks are kept as digests.
pub const BUDGET: usize = 512 << 20;

/// A capture as conversations.
#[derive(Debug)]
pub struct Transcript {
    /// The capture's name.
    pub name: String,
    /// The host the capture is about.
    pub local: Option<IpAddr>,
    /// Its conversations, in the order in which they were recognised.
    pub conversations: Vec<Conversation>,
    /// How many records they have together.
    pub records: u64,
    /// How many pieces are kept as header and digest, the budget being spent.
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
    /// The way the local host speaks.
    pub local: Direction,
    /// Whether the capture holds its beginning; of datagrams it does.
    pub opening: StreamOpening,
    /// The torrent it is about.
    pub torrent: Option<InfoHash>,
    ways: [DirectionTranscript; 2],
}

/// What one end of a conversation said.
#[derive(Debug, Default)]
pub struct DirectionTranscript {
    /// Its messages, in order.
    pub messages: Vec<StoredMessage>,
    /// Its client, if it has said so.
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
    /// A peer over uTP, whose stream is none that can be read.
    Utp,
    /// A node of the DHT.
    Node,
    /// A web seed.
    WebSeed,
    /// Whoever listens in the local network.
    LocalNetwork,
}

impl ConversationRole {
    const fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::HttpTracker => Self::HttpTracker,
            Protocol::UdpTracker => Self::UdpTracker,
            Protocol::PeerWire | Protocol::Mse => Self::Peer,
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
    /// Reads the capture file at `path`.
    ///
    /// # Errors
    /// When it cannot be read to its end. A file that was cut short is read as far as it goes.
    pub fn open(path: &Path, options: TraceOptions) -> Result<Self, TraceError> {
        Self::read(Trace::open(path, options)?)
    }

    /// Reads a trace to its end.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read(mut trace: Trace) -> Result<Self, TraceError> {
        let mut transcriber = Transcriber::new(BUDGET);
        while let Some(dissected) = trace.next()? {
            transcriber.push(dissected);
        }
        Ok(transcriber.finish(&trace))
    }

    /// The client of the host the capture is about, if it has said so.
    pub fn client(&self) -> Option<&str> {
        self.conversations.iter().find_map(|one| one.way(Side::Local).client.as_deref())
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
        let (initiator, responder) = match record.direction {
            Direction::FromInitiator => (record.source, record.destination),
            Direction::FromResponder => (record.destination, record.source),
        };
        let local = match record.side {
            Side::Local => record.direction,
            Side::Remote => record.direction.reverse(),
        };
        Self {
            stream: record.stream,
            transport: record.transport,
            role: ConversationRole::of(record.body.protocol()),
            flow: Flow { initiator, responder },
            local,
            opening: StreamOpening::Syn,
            torrent: None,
            ways: Default::default(),
        }
    }

    /// The messages that `side` sent.
    pub const fn way(&self, side: Side) -> &DirectionTranscript {
        &self.ways[side as usize]
    }

    /// The far end's address.
    pub const fn far(&self) -> SocketAddr {
        self.flow.ends(self.local).1
    }

    /// Whether the capture lacks bytes that `side` sent.
    pub fn is_lossy(&self, side: Side) -> bool {
        self.opening == StreamOpening::MidStream || self.way(side).messages.iter().any(StoredMessage::is_gap)
    }

    /// Whether the local host opened it.
    pub fn dialled(&self) -> bool {
        self.local == Direction::FromInitiator
    }

    /// A message as a record. Times, notes and answers are not kept.
    pub fn record(&self, side: Side, kept: &StoredMessage) -> Record {
        let direction = match side {
            Side::Local => self.local,
            Side::Remote => self.local.reverse(),
        };
        let (source, destination) = self.flow.ends(direction);
        kept.fill(Record {
            number: 0,
            at: Timestamp::EPOCH,
            stream: self.stream,
            direction,
            side,
            source,
            destination,
            transport: self.transport,
            frames: Frames::new(),
            offset: 0,
            bytes: Bytes::new(),
            decrypted: false,
            body: Body::Unreadable(Protocol::Utp, Unreadable::Datagram),
            notes: Vec::new(),
            answers: None,
            effect: bittrace_trace::PeerEffect::default(),
            client: self.way(side).client.clone(),
            torrent: self.torrent,
            describes: None,
            in_doubt: false,
        })
    }

    /// What a message says, on one line.
    pub fn describe(&self, side: Side, kept: &StoredMessage) -> String {
        kept.summary(&self.record(side, kept))
    }

    /// How many messages both ends said.
    pub fn length(&self) -> usize {
        self.ways.iter().map(|way| way.messages.len()).sum()
    }
}

/// Takes in a trace piece by piece.
#[derive(Debug)]
pub struct Transcriber {
    keeper: MessageStore,
    conversations: Vec<Conversation>,
    records: u64,
}

impl Transcriber {
    /// A transcriber that keeps `budget` bytes of messages whole, [`BUDGET`] as a rule.
    pub fn new(budget: usize) -> Self {
        Self { keeper: MessageStore::new(budget), conversations: Vec::new(), records: 0 }
    }

    /// Takes in the next record, or the end of a connection.
    pub fn push(&mut self, dissected: Dissected) {
        match dissected {
            Dissected::Record(record) => self.record(record),
            Dissected::Connection(end) => {
                let Some(stream) = end.stream else { return };
                if let Ok(at) = self.conversations.binary_search_by_key(&stream, |known| known.stream) {
                    self.conversations[at].opening = end.opening;
                }
            }
        }
    }

    fn record(&mut self, record: Record) {
        self.records += 1;
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
        let way = &mut conversation.ways[record.side as usize];
        if record.client.is_some() {
            way.client.clone_from(&record.client);
        }
        if let Body::PeerWire(PeerWireBody::Handshake(handshake)) = &record.body {
            way.peer_id = Some(handshake.peer_id);
        }
        way.messages.push(self.keeper.keep(record));
    }

    /// All that was taken in. `trace` is what it came from.
    pub fn finish(mut self, trace: &Trace) -> Transcript {
        for conversation in &mut self.conversations {
            conversation.ways.iter_mut().for_each(|way| way.messages.shrink_to_fit());
        }
        Transcript {
            name: trace.capture().name().to_owned(),
            local: trace.local(),
            conversations: self.conversations,
            records: self.records,
            shortened: self.keeper.shortened,
            packets: trace.capture().packets(),
            cut: trace.cut().map(|cut| cut.offset),
        }
    }
}
