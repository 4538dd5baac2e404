//! What a progress display shows of a session.

use std::net::SocketAddr;
use std::time::Duration;

use crate::mse::Methods;
use crate::{PeerId, Timestamp};

use super::peer::Phase;
use super::torrent::Torrent;
use super::{Session, SessionStreamId, Transport};

/// A session as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The wanted pieces that are verified.
    pub pieces_done: u32,
    /// The wanted pieces: those in which bytes of the [wanted files](super::Config::files) lie.
    pub pieces: u32,
    /// The bytes of the wanted pieces.
    pub total: u64,
    /// The bytes of the wanted pieces that are not verified.
    pub left: u64,
    /// Bytes of blocks received, each counted once.
    pub downloaded: u64,
    /// Bytes of blocks sent.
    pub uploaded: u64,
    /// Bytes of blocks received in vain: twice, unasked, or of corrupt pieces.
    pub wasted: u64,
    /// Pieces that failed their hash.
    pub hash_failures: u32,
    /// Bytes of blocks received, a second.
    pub download_rate: f64,
    /// Bytes of blocks sent, a second.
    pub upload_rate: f64,
    /// Peers that were dialled.
    pub peers_tried: u32,
    /// Peers that are connected.
    pub peers_connected: usize,
    /// Addresses of peers that are known.
    pub peers_known: usize,
    /// What there is of the torrent's metadata, while that comes from peers.
    pub metadata: Option<MetadataStatus>,
    /// When trackers are asked next.
    pub next_announce: Option<Timestamp>,
}

/// The metadata of a torrent, while that comes from peers (BEP 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetadataStatus {
    /// The bytes that have come.
    pub received: u64,
    /// How many bytes there are, as peers say; `None` while no peer does.
    pub size: Option<u64>,
    /// How many connected peers say that they have it.
    pub peers: usize,
    /// What there is of the piece layers, where these alone are missing.
    pub layers: Option<LayerStatus>,
}

/// The piece layers of a torrent of version 2, while they come from peers (BEP 52, "piece layers").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerStatus {
    /// Hashes that are there.
    pub received: u64,
    /// All hashes of the layers.
    pub wanted: u64,
    /// How many connected peers speak version 2, so that they can be asked.
    pub peers: usize,
}

/// A connection to a peer.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerView {
    /// Its stream.
    pub stream: SessionStreamId,
    /// Its address.
    pub address: SocketAddr,
    /// What carries the connection.
    pub transport: Transport,
    /// Whether it called us.
    pub incoming: bool,
    /// Whether handshakes are exchanged.
    pub open: bool,
    /// Its peer id, once it has shaken hands.
    pub peer_id: Option<PeerId>,
    /// The method that a negotiation of message stream encryption came to; `None` where there was none.
    pub encryption: Option<Methods>,
    /// What it calls itself in its extended handshake.
    pub client: Option<String>,
    /// Bytes of blocks it gives, a second.
    pub download_rate: f64,
    /// Bytes of blocks it takes, a second.
    pub upload_rate: f64,
    /// Bytes of blocks it gave.
    pub downloaded: u64,
    /// Bytes of blocks it took.
    pub uploaded: u64,
    /// Whether it chokes us.
    pub peer_choking: bool,
    /// Whether it is interested in us.
    pub peer_interested: bool,
    /// Whether we choke it.
    pub am_choking: bool,
    /// Whether we are interested in it.
    pub am_interested: bool,
    /// Whether it has sent nothing for long.
    pub snubbed: bool,
    /// How many requests wait at it.
    pub outstanding: usize,
    /// How many requests may wait at it.
    pub pipeline_depth: usize,
    /// The shortest time from a request to its block.
    pub latency: Option<Duration>,
    /// How many pieces it has.
    pub pieces: u32,
}

/// How many messages were sent to peers, handshakes left out, and how many of them the [`Schedule`](super::Schedule) chose.
/// The others follow from the [`Profile`](super::Profile).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MessageCounts {
    /// All messages.
    pub sent: u64,
    /// Requests whose piece or moment the schedule chose.
    pub scheduled_requests: u64,
    /// Messages about new pieces whose moment the schedule chose.
    pub scheduled_haves: u64,
}

impl MessageCounts {
    /// How many messages the schedule chose.
    pub const fn scheduled(self) -> u64 {
        self.scheduled_requests + self.scheduled_haves
    }

    pub(super) const fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.scheduled_requests += other.scheduled_requests;
        self.scheduled_haves += other.scheduled_haves;
    }
}

impl Session {
    /// How many messages were sent to peers so far, and how many of them the schedule chose.
    pub fn message_counts(&self) -> MessageCounts {
        let mut counts = self.core.totals.messages;
        self.peers.iter().for_each(|peer| counts.add(peer.messages));
        counts
    }

    /// How far the session is.
    pub fn status(&self, now: Timestamp) -> Status {
        let metadata = match &self.core.torrent {
            Torrent::Known(_) => None,
            Torrent::Wanted(_, fetch) => {
                let progress = fetch.progress();
                Some(MetadataStatus {
                    received: progress.map_or(0, |(received, _)| received),
                    size: progress.map(|(_, size)| size),
                    peers: self.peers.iter().filter(|peer| peer.metadata_claim().is_some()).count(),
                    layers: fetch.layer_progress().map(|(received, wanted)| LayerStatus {
                        received,
                        wanted,
                        peers: self.peers.iter().filter(|peer| peer.gives_hashes()).count(),
                    }),
                })
            }
        };
        let wanted = self.core.picker.wanted();
        Status {
            pieces_done: wanted.pieces - wanted.missing,
            pieces: wanted.pieces,
            total: wanted.bytes,
            left: wanted.left,
            downloaded: self.core.totals.downloaded,
            uploaded: self.core.totals.uploaded,
            wasted: self.core.totals.wasted,
            hash_failures: self.core.totals.hash_failures,
            download_rate: self.core.totals.download_rate.per_second(now),
            upload_rate: self.core.totals.upload_rate.per_second(now),
            peers_tried: self.core.totals.peers_tried,
            peers_connected: self.peers.iter().filter(|peer| peer.phase == Phase::Open).count(),
            peers_known: self.core.swarm.known(),
            metadata,
            next_announce: self.core.announcer.next_round(),
        }
    }

    /// Of each peer with which handshakes are exchanged, whether we are interested in it, and whether it chokes us. It costs far
    /// less than [`peers`](Self::peers).
    pub fn chokes(&self) -> impl Iterator<Item = (bool, bool)> + '_ {
        let open = self.peers.iter().filter(|peer| peer.phase == Phase::Open);
        open.map(|peer| (peer.am_interested(), peer.peer_choking()))
    }

    /// The peers, those being dialled among them.
    pub fn peers(&self, now: Timestamp) -> impl Iterator<Item = PeerView> + '_ {
        self.peers.iter().map(move |peer| PeerView {
            stream: peer.stream,
            address: peer.address,
            // A session does not know the difference; a node does.
            transport: Transport::Tcp,
            incoming: peer.incoming,
            open: peer.phase == Phase::Open,
            peer_id: peer.peer_id(),
            encryption: peer.encryption.method(),
            client: peer.client.clone(),
            download_rate: peer.download.rate.per_second(now),
            upload_rate: peer.upload.rate.per_second(now),
            downloaded: peer.download.bytes,
            uploaded: peer.upload.bytes,
            peer_choking: peer.peer_choking(),
            peer_interested: peer.peer_interested(),
            am_choking: peer.am_choking(),
            am_interested: peer.am_interested(),
            snubbed: peer.download.snubbed,
            outstanding: peer.download.assigned.len(),
            pipeline_depth: peer.pipeline_depth(),
            latency: peer.download.latency,
            pieces: peer.pieces().count(),
        })
    }
}
