//! What passes between a session and its driver, and what a session tells of itself.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::PeerSource;
use crate::dial::Remote;
use crate::metainfo::{PieceDigest, PieceLayers};
use crate::mse::{Methods, MseKey};
use crate::tracker::http;
use crate::{Block, HostPort, InfoHash, Metainfo, PeerId, PieceIndex, Timestamp};

/// A stream of the session: a connection to a peer or an HTTP tracker, or a flow of datagrams to a UDP tracker. The
/// session numbers the streams it opens, the driver those it accepts: even numbers and odd ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionStreamId(pub u32);

/// What a run draws at random.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// What the client calls itself.
    pub peer_id: PeerId,
    /// What the client calls itself on connections, in their order, where each has a peer id of its own; once these are
    /// used up, more are drawn.
    pub connection_ids: Vec<PeerId>,
    /// The transaction ids of requests to trackers over UDP, in their order; once these are used up, more are drawn.
    pub transaction_ids: Vec<u32>,
    /// What proves to trackers that it is the same client (BEP 7).
    pub key: u32,
    /// The same over HTTP, where it is letters of an alphabet; without it they are drawn from `key`.
    pub key_text: Option<Vec<u8>>,
    /// Where all other chance comes from: which piece, which peer, transaction ids.
    pub seed: u64,
    /// Where all comes from that nobody else may guess: the exponents of key exchanges.
    pub secret: [u8; 32],
}

impl Identity {
    /// An identity with one peer id for everybody, and a secret that everybody knows: for runs that are to repeat.
    pub const fn new(peer_id: PeerId, key: u32, seed: u64) -> Self {
        Self {
            peer_id,
            connection_ids: Vec::new(),
            transaction_ids: Vec::new(),
            key,
            key_text: None,
            seed,
            secret: [0; 32],
        }
    }
}

impl fmt::Debug for Identity {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer_id, connection_ids, transaction_ids, key, key_text, seed, secret: _ } = self;
        f.debug_struct("Identity")
            .field("peer_id", peer_id)
            .field("connection_ids", connection_ids)
            .field("transaction_ids", transaction_ids)
            .field("key", key)
            .field("key_text", key_text)
            .field("seed", seed)
            .finish_non_exhaustive()
    }
}

/// What happens to a session.
#[derive(Debug, Clone)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// A stream that the session wanted is open, to this address (where a name stood, what it resolved to).
    Opened(SessionStreamId, SocketAddr),
    /// A peer called. The driver gives the stream an odd number.
    Accepted(SessionStreamId, SocketAddr),
    /// Bytes came: the next ones of a connection in any cut, or one whole datagram.
    Received(SessionStreamId, Bytes),
    /// The stream to a peer, which is open, is carried by uTP.
    OverUtp(SessionStreamId),
    /// So many bytes of what was to be sent have left.
    Sent(SessionStreamId, usize),
    /// A stream is over, or could not be opened. Nothing more of it comes.
    Closed(SessionStreamId, CloseReason),
    /// Bytes of a piece were stored.
    Stored(PieceIndex, u32),
    /// A piece whose bytes are all stored has this digest, as a [`PieceDigester`](crate::metainfo::PieceDigester) of its torrent
    /// takes it.
    Hashed(PieceIndex, PieceDigest),
    /// The SHA-256 of each block of a piece, as [`Output::HashBlocks`] wanted them.
    BlockHashes(PieceIndex, Vec<[u8; 32]>),
    /// A block that a peer asked for was read from disk; `None` when it could not be.
    Loaded(SessionStreamId, Block, Option<Bytes>),
    /// What [`Output::Resolve`] asked: the addresses of a name, or why it has none.
    Resolved(HostPort, Result<Vec<SocketAddr>, String>),
    /// What [`Output::Metadata`] gave was read: the torrent, and those of its pieces that are there, verified.
    Described(Arc<Metainfo>, Vec<PieceIndex>),
    /// A source other than the session's own trackers and peers names peers. They are dialled as far as the
    /// [source](PeerSource) is believed, and not at all where the torrent is private (BEP 27).
    PeersFound(PeerSource, Vec<SocketAddr>),
    /// How far such a source has come with looking for peers.
    Searching(SearchState),
    /// Others see us at this address.
    OwnAddress(IpAddr),
    /// The user wants it to end: say goodbye to trackers and peers.
    Stop,
}

/// A way to a peer. That one way fails says nothing of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerWay {
    /// What carries the connection.
    pub transport: Transport,
    /// Whether it begins with a negotiation of message stream encryption.
    pub encrypted: bool,
}

/// What a driver reports about a stream to a tracker or a web seed.
pub(super) enum ServerInput {
    Opened(SocketAddr),
    Received(Bytes),
    Closed(CloseReason),
}

/// Why a stream is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The other end closed it.
    ByRemote,
    /// The other end, or the network, reset it.
    Reset,
    /// Nobody listens there.
    Refused,
    /// Opening it took too long.
    TimedOut,
    /// The name has no address.
    Unresolved(String),
    /// The name has no address but those of local networks, which [may not be dialled](Remote::may_be_local).
    Local(IpAddr),
    /// The machine would not.
    Failed(String),
}

/// What the session wants done.
#[derive(Debug, Clone)]
pub enum Output {
    /// Open a stream.
    Open(SessionStreamId, Endpoint),
    /// Look up the addresses of a name, and answer in any case.
    Resolve(HostPort),
    /// Send bytes, in the order of these outputs; to a UDP tracker, one datagram.
    Send(SessionStreamId, Bytes),
    /// What follows in [`Send`](Self::Send) on this stream, which is carried by uTP, waits until the peer sends more or for 200 ms,
    /// and shares no packet with what came before: see [`Mux::pause`](crate::utp::Mux::pause).
    Pause(SessionStreamId),
    /// The next bytes that are said to a peer, in clear and without the negotiation of encryption, where the
    /// [settings](super::Config::tells_said) want them. What is to be sent follows in [`Send`](Self::Send).
    Said(SessionStreamId, Bytes),
    /// The key of a stream whose peer negotiates encryption, to be kept before anything more is sent on the stream: with the
    /// key a recording can be read.
    Secret(SessionStreamId, Box<MseKey>),
    /// Close a stream once what was to be sent before has left; with what the other end did wrong, when it did.
    Close(SessionStreamId, Option<Violation>),
    /// Keep bytes of a piece: the piece, the offset within it, the bytes. They come in any order and any size, each
    /// byte at most once until the piece is hashed. When the last byte of the piece is stored, hash it.
    Store(PieceIndex, u32, Bytes),
    /// Take the SHA-256 of each block of so many bytes of a piece whose bytes are all stored, the last one shorter, before
    /// anything that follows is done to the piece. It tells who of several peers sent the corrupt block; a driver may leave
    /// it unanswered.
    HashBlocks(PieceIndex, u32),
    /// What was stored of a piece is worthless: it failed its hash, and will be stored anew.
    Discard(PieceIndex),
    /// The piece is verified: its bytes may be made part of files.
    Commit(PieceIndex),
    /// Read a block, to be sent on this stream.
    Load(SessionStreamId, Block),
    /// A peer says that a node of the DHT is at this address (BEP 5, "BitTorrent protocol extension"). Without a DHT there is
    /// nothing to be done.
    DhtContact(SocketAddr),
    /// The info dictionary of the torrent that was wanted, whole and with the right hash, and the piece layers without which its
    /// pieces could not be checked (BEP 52). Read them, look what of the torrent is there, and answer with [`Input::Described`];
    /// or with [`Input::Stop`], where the torrent is of no use.
    Metadata(Bytes, PieceLayers),
    /// Something happened that a person may want to know.
    Event(Event),
    /// Nothing more for now: call again at this time, or when something happens.
    Wait(Option<Timestamp>),
    /// The session is over.
    Done,
}

/// Where a stream leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A peer, over TCP.
    Peer(SocketAddr),
    /// A peer, over uTP. There are none where the driver has no uTP.
    UtpPeer(SocketAddr, UtpDial),
    /// An HTTP tracker, over TCP, or over TLS for https: then the stream is open once TLS is, and its bytes are those in clear.
    HttpTracker(Remote),
    /// A UDP tracker.
    UdpTracker(Remote),
    /// A web seed, over TCP or TLS as an HTTP tracker.
    WebSeed(Remote),
}

/// How far a source beside the trackers has come with looking for peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SearchState {
    /// There is no such source, or it has nobody to ask and may yet hear of somebody. A session with nobody else to turn to
    /// waits, and one whose trackers were asked often enough ends.
    #[default]
    Idle,
    /// It is looking: a session without peers does not end.
    UnderWay,
    /// It has looked often enough. A session without trackers, or whose trackers were asked often enough, ends.
    Over,
}

/// How a peer is dialled over uTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UtpDial {
    /// Before TCP.
    First,
    /// And over nothing else: the peer closed what came over TCP.
    Alone,
    /// And over nothing else, at the same time as the peer dials us (BEP 55).
    Punch,
}

/// What carries the bytes of a connection to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// uTP, over UDP (BEP 29).
    Utp,
}

/// A rule that the other end broke, for which it is not talked to any longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// Its handshake is for another torrent.
    WrongInfoHash(InfoHash),
    /// It is we ourselves.
    SelfConnection,
    /// It is connected already.
    Duplicate,
    /// It does not speak the protocol, or a message is broken: what was wanted.
    Malformed(&'static str),
    /// It does not encrypt, and nothing else is taken.
    Unencrypted,
    /// It sent a piece index, offset or length beyond the torrent.
    OutOfRange,
    /// It sent blocks of a piece that failed its hash.
    CorruptPiece(PieceIndex),
    /// It sent metadata with a wrong hash, all of it.
    CorruptMetadata,
    /// It sent hashes of a tree that do not lead to its root (BEP 52).
    CorruptHashes,
    /// It kept silent for so long.
    Silent(Duration),
    /// It choked us for so long.
    ChokedTooLong(Duration),
    /// It sent more of what nobody asked for than is bearable.
    Flood(&'static str),
    /// It has nothing that is missing, and there is no use in waiting.
    Useless,
    /// No tracker named it, and the torrent turned out to be private (BEP 27).
    NotOfTracker,
    /// There are connections enough.
    TooManyConnections,
}

/// What a person may want to know.
#[derive(Debug, Clone)]
pub enum Event {
    /// An announce is sent.
    Announcing {
        /// The tracker's URL.
        url: Arc<str>,
        /// The exact bytes of the request, or datagram; over https, what would be sent without encryption.
        request: Bytes,
    },
    /// A tracker answered an announce.
    Announced {
        /// The tracker's URL.
        url: Arc<str>,
        /// What it says; an answer over UDP in the same words.
        reply: Box<http::AnnounceReply>,
    },
    /// A tracker could not be asked, or refused.
    TrackerFailed {
        /// The tracker's URL.
        url: Arc<str>,
        /// What went wrong, in the tracker's words where it refused.
        reason: String,
        /// How long it is left alone; `None` when it is not asked again.
        again: Option<Duration>,
    },
    /// A tracker named a peer by a name that has no address.
    Unresolved {
        /// The name.
        name: HostPort,
        /// Why.
        reason: String,
    },
    /// A web seed is connected for the first time.
    WebSeedConnected {
        /// Its URL.
        url: Arc<str>,
        /// Its address.
        address: SocketAddr,
    },
    /// A web seed cannot be used.
    WebSeedFailed {
        /// Its URL.
        url: Arc<str>,
        /// What went wrong.
        reason: String,
        /// How long it is left alone; `None` when it is not asked again.
        again: Option<Duration>,
    },
    /// A peer is tried.
    Trying {
        /// The stream to it.
        stream: SessionStreamId,
        /// Its address.
        peer: SocketAddr,
        /// The way in which it is dialled.
        way: PeerWay,
    },
    /// A peer has shaken hands.
    Connected {
        /// The stream to it.
        stream: SessionStreamId,
        /// Its address.
        peer: SocketAddr,
        /// What it calls itself.
        peer_id: PeerId,
        /// The method that a negotiation of message stream encryption came to; `None` where there was none.
        encryption: Option<Methods>,
        /// What carries the connection.
        transport: Transport,
    },
    /// A peer is gone.
    Disconnected {
        /// The stream to it.
        stream: SessionStreamId,
        /// Its address.
        peer: SocketAddr,
        /// Why, in the far end's or our own terms.
        reason: DisconnectReason,
        /// How many bytes of pieces it gave.
        downloaded: u64,
    },
    /// A piece is verified and kept.
    PieceDone {
        /// The piece.
        index: PieceIndex,
        /// Who gave blocks of it.
        from: Vec<SocketAddr>,
    },
    /// A piece failed its hash.
    PieceCorrupt {
        /// The piece.
        index: PieceIndex,
        /// Who gave blocks of it.
        from: Vec<SocketAddr>,
    },
    /// Metadata of the torrent came whole, and has a wrong hash.
    MetadataCorrupt {
        /// Who gave pieces of it.
        from: Vec<SocketAddr>,
    },
    /// The metadata has one of the two info hashes that the torrent should have, and not the other.
    MetadataDisagrees,
    /// A verified piece can no longer be read. It is not served any longer, and peers are told.
    PieceLost {
        /// The piece.
        index: PieceIndex,
    },
    /// A piece has one of the two hashes that a hybrid torrent has for it, and not the other: no peer can have a piece that is
    /// right, and the session ends (BEP 52, "Upgrade Path").
    HashesDisagree {
        /// The piece.
        index: PieceIndex,
    },
    /// Every piece of the wanted files is there.
    Complete,
}

/// Why a peer is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The stream ended.
    Closed(CloseReason),
    /// It broke a rule.
    Violated(Violation),
    /// We had no more use for it.
    Finished,
    /// It is connected to anew at once, as a peer of version 2 of the torrent (BEP 52, "Upgrade Path").
    Upgraded,
}
