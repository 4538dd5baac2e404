//! A capture as a reference: what each end said on each connection, in the order in which it was said.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use bittrace_protocol::{InfoHash, Timestamp};
use bittrace_trace::{
    Body, Direction, Dissected, Protocol, Record, Side, StreamId, Trace, TraceError, TraceOptions, Transport,
    Unreadable,
};

/// What is kept of a capture to learn from it, and to play it.
#[derive(Debug)]
pub struct Reference {
    /// Its records, in their order.
    pub records: Vec<Record>,
    /// The connections, by their streams.
    pub connections: BTreeMap<StreamId, RecordedConnection>,
    /// The torrent it is mostly about.
    pub torrent: InfoHash,
}

/// A connection of a reference, or flow of datagrams.
#[derive(Debug, Clone)]
pub struct RecordedConnection {
    /// Its number in the capture.
    pub stream: StreamId,
    /// What carried it.
    pub transport: Transport,
    /// Whether it leads to a tracker.
    pub tracker: bool,
    /// Whether the far end opened it.
    pub called: bool,
    /// The end of the host the capture is about.
    pub local: SocketAddr,
    /// The other end.
    pub far: SocketAddr,
    /// When its first message was said.
    pub at: Timestamp,
    /// The places of its records.
    pub records: Vec<usize>,
}

/// Why a capture is no reference.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// The file cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// It is too long to be kept.
    #[error("{name} has more than {} MiB of messages, which is more than a reference may have", MOST >> 20)]
    TooLong {
        /// The capture.
        name: String,
    },
    /// Nothing in it shows what a client does.
    #[error("{name} holds no announce and no handshake of the host it is about")]
    NothingSaid {
        /// The capture.
        name: String,
    },
}

impl Reference {
    /// Reads the capture at `path`.
    ///
    /// # Errors
    /// When it cannot be read, is too long, or shows no client.
    pub fn open(path: &Path, options: TraceOptions) -> Result<Self, ReferenceError> {
        Self::read(Trace::open(path, options)?, &path.display().to_string())
    }

    /// Reads a capture, which errors call `name`.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn read(mut trace: Trace, name: &str) -> Result<Self, ReferenceError> {
        let mut records = Vec::new();
        let mut connections: BTreeMap<StreamId, RecordedConnection> = BTreeMap::new();
        let mut size = 0;
        while let Some(dissected) = trace.next()? {
            let Dissected::Record(record) = dissected else { continue };
            size += record.bytes.len() + COST;
            if size > MOST {
                return Err(ReferenceError::TooLong { name: name.to_owned() });
            }
            let connection =
                connections.entry(record.stream).or_insert_with(|| RecordedConnection::of(&record));
            connection.records.push(records.len());
            records.push(record);
        }
        let torrent = main_torrent(&records);
        let torrent = torrent.ok_or_else(|| ReferenceError::NothingSaid { name: name.to_owned() })?;
        Ok(Self { records, connections, torrent })
    }

    /// The connections about the torrent, in the order in which they began.
    pub fn conversations(&self) -> impl Iterator<Item = &RecordedConnection> {
        let mut all: Vec<_> = self.connections.values().filter(|one| self.is_about(one)).collect();
        all.sort_by_key(|connection| connection.records.first());
        all.into_iter()
    }

    /// The records of a connection.
    pub fn records_of<'a>(&'a self, connection: &'a RecordedConnection) -> impl Iterator<Item = &'a Record> {
        connection.records.iter().filter_map(|&place| self.records.get(place))
    }

    fn is_about(&self, connection: &RecordedConnection) -> bool {
        let mut torrents = self.records_of(connection).filter_map(|record| record.torrent);
        connection.transport != Transport::Utp
            && torrents.next().is_none_or(|torrent| torrent == self.torrent)
    }
}

impl RecordedConnection {
    fn of(record: &Record) -> Self {
        let says = record.side == Side::Local;
        let (local, far) = match says {
            true => (record.source, record.destination),
            false => (record.destination, record.source),
        };
        Self {
            stream: record.stream,
            transport: record.transport,
            tracker: matches!(record.body.protocol(), Protocol::HttpTracker | Protocol::UdpTracker),
            called: says == (record.direction == Direction::FromResponder),
            local,
            far,
            at: record.at,
            records: Vec::new(),
        }
    }
}

/// The torrent of which the local host says most.
fn main_torrent(records: &[Record]) -> Option<InfoHash> {
    let mut said: BTreeMap<InfoHash, u64> = BTreeMap::new();
    let shows = |record: &&Record| {
        record.side == Side::Local
            && matches!(
                record.body.protocol(),
                Protocol::PeerWire | Protocol::HttpTracker | Protocol::UdpTracker
            )
            && !matches!(
                record.body,
                Body::Unreadable(_, Unreadable::Opaque(_) | Unreadable::Gap(_) | Unreadable::LostPackets(_))
            )
    };
    for torrent in records.iter().filter(shows).filter_map(|record| record.torrent) {
        *said.entry(torrent).or_default() += 1;
    }
    said.into_iter().max_by_key(|(_, count)| *count).map(|(torrent, _)| torrent)
}

/// The most bytes of messages that are kept.
const MOST: usize = 1 << 30;

/// What a record takes beside its bytes, about.
const COST: usize = 400;
