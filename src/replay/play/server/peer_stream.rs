//! A connection between a recorded peer and a client, over TCP or uTP.

use std::io;
use std::rc::Rc;

use bittrace_protocol::session::{CloseReason, SessionStreamId};
use bittrace_trace::Transport;
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
    pub(super) const fn transport(&self) -> Transport {
        match self {
            Self::Tcp(_) => Transport::Tcp,
            Self::Utp(_) => Transport::Utp,
        }
    }

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

    /// Over uTP, what is written from now on waits for a client that called: some do not look at what follows a handshake in its
    /// packet.
    pub(super) fn pause(&mut self) {
        if let Self::Utp(stream) = self {
            // Writing notices that a port is gone.
            let _ = stream.orders.send(UtpOrder::Pause(stream.stream));
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

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// What a future comes to at once; `None` where it waits.
    fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_peer_waits_while_a_client_does_not_read_and_notices_that_it_has_gone() {
        let (orders, mut wanted) = mpsc::unbounded_channel();
        let (sender, received) = mpsc::unbounded_channel();
        let room = Rc::new(Semaphore::new(MOST_UNSENT));
        let mut stream = UtpStream::new(SessionStreamId(1), orders, received, room.clone());
        assert!(at_once(stream.write_all(&vec![7; MOST_UNSENT + 1])).is_none());
        let mut written = 0;
        while let Ok(UtpOrder::Write(_, bytes)) = wanted.try_recv() {
            written += bytes.len();
        }
        assert_eq!(written, MOST_UNSENT);
        room.add_permits(10);
        assert!(at_once(stream.write_all(&[7; 10])).is_some_and(|done| done.is_ok()));
        sender.send(Ok(Bytes::from_static(b"hello"))).expect("the stream is there");
        sender.send(Err(CloseReason::Reset)).expect("the stream is there");
        room.close();
        assert!(at_once(stream.write_all(&[7])).is_some_and(|done| done.is_err()));
        let mut buffer = [0; 3];
        let mut read = Vec::new();
        while let Some(Ok(count)) = at_once(stream.read(&mut buffer)) {
            read.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(read, b"hello");
        drop(stream);
        assert!(wanted.try_recv().is_ok_and(|order| matches!(order, UtpOrder::Write(..))));
        assert!(wanted.try_recv().is_ok_and(|order| matches!(order, UtpOrder::Close(SessionStreamId(1)))));
    }
}
