//! What the tasks and threads of a run tell its driver.

use std::net::SocketAddr;

use bittrace_protocol::lsd::InterfaceId;
use bittrace_protocol::session::{Input, SessionStreamId};
use bytes::Bytes;
use tokio::net::TcpStream;

use crate::Error;

/// Something that happened to a socket, on disk or to the recording.
#[derive(Debug)]
pub(crate) enum DriverEvent {
    /// The session is told the same.
    Input(Input),
    /// A stream that the session wanted has this address at our end.
    Local(SessionStreamId, SocketAddr),
    /// A peer opened a connection, which has no stream number yet.
    Incoming(TcpStream, SocketAddr),
    /// Datagrams came from these addresses to our UDP port.
    Datagrams(Vec<(SocketAddr, Bytes)>),
    /// A datagram came from this address by this interface to the group of the local network.
    Multicast(InterfaceId, SocketAddr, Bytes),
    /// What is on disk of a torrent whose metadata came late is being hashed: so many of so many bytes.
    Checking { done: u64, total: u64 },
    /// What is on disk of it is known.
    Surveyed,
    /// The file with this number has its final name.
    FileFinished(usize),
    /// Every file of the torrent has its final name, and the state file is gone.
    AllFinished,
    /// The machine cannot store any more.
    StorageFailed(Error),
    /// The recording could not be written. The run goes on without it.
    RecordingFailed(Error),
}

impl From<Input> for DriverEvent {
    fn from(input: Input) -> Self {
        Self::Input(input)
    }
}
