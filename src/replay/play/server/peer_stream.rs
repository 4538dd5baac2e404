//! A connection between a recorded peer and a client, over TCP or uTP.

use std::io;
use std::rc::Rc;

use bittrace_protocol::session::{CloseReason, SessionStreamId};
use bytes::{Buf, Bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};

use super::utp_port::UtpOrder;

/// The recorded peer's end of a connection.
pub(super) enum PeerStream {
    Tcp(TcpStream),
    Utp(UtpStream),
}

/// A connection of a [port](super::utp_port).
pub(super) struct UtpStream {
    stream: SessionStreamId,
    orders: mpsc::UnboundedSender<UtpOrder>,
    received: mpsc::UnboundedReceiver<Result<Bytes, CloseReason>>,
    /// As many bytes as may wait to be sent. Closed once the connection is over.
    room: Rc<Semaphore>,
    /// What was received and not read.
    rest: Bytes,
}

impl PeerStream {
    pub(super) fn over_tcp(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        Self::Tcp(stream)
    }

    /// Reads what is there, once something is; 0 at the end. Nothing is lost where it is not waited for to the end.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer).await,
            Self::Utp(stream) => stream.read(buffer).await,
        }
    }

    /// Writes all of these bytes.
    pub(super) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes).await,
            Self::Utp(stream) => stream.write_all(bytes).await,
        }
    }
}

impl UtpStream {
    /// A stream of a port that takes `orders`. What is received comes by the channel, in order; its end is the last to come.
    pub(super) const fn new(
        stream: SessionStreamId,
        orders: mpsc::UnboundedSender<UtpOrder>,
        received: mpsc::UnboundedReceiver<Result<Bytes, CloseReason>>,
        room: Rc<Semaphore>,
    ) -> Self {
        Self { stream, orders, received, room, rest: Bytes::new() }
    }

    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            match self.received.recv().await {
                Some(Ok(bytes)) => self.rest = bytes,
                Some(Err(CloseReason::ByRemote)) | None => return Ok(0),
                Some(Err(_)) => return Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
        let count = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(MOST_UNSENT) {
            let permits = self.room.acquire_many(part.len() as u32).await;
            permits.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?.forget();
            let order = UtpOrder::Write(self.stream, Bytes::copy_from_slice(part));
            self.orders.send(order).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        Ok(())
    }
}

impl Drop for UtpStream {
    fn drop(&mut self) {
        // A port that is gone has closed its connections.
        let _ = self.orders.send(UtpOrder::Close(self.stream));
    }
}

/// How many bytes of a connection over uTP may wait to be sent: as many as the client may have on the way to it.
pub(super) const MOST_UNSENT: usize = 1 << 20;
