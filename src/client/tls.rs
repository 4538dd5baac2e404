//! TLS over a connection whose encrypted bytes are recorded, with the secrets that a reader of the recording needs.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bittrace_protocol::Hex;
use bittrace_protocol::dial::Tls;
use bittrace_protocol::session::{CloseReason, Input, SessionStreamId};
use bittrace_protocol::tracker::http::{MAX_HEAD, Response};
use bittrace_trace::{Side, StreamClosing};
use bytes::{Buf, Bytes};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, KeyLog};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::clock::Clock;
use crate::connection::{Network, close_reason};
use crate::record::{Tap, TappedConnection};

/// How this program speaks TLS: which authorities it trusts, those of the system, and where its secrets go. It is made when it is
/// first needed, for authorities take time to load.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsSetup(Arc<OnceLock<Result<Arc<ClientConfig>, String>>>);

impl TlsSetup {
    fn config(&self, tap: &Tap, clock: Clock) -> Result<Arc<ClientConfig>, String> {
        let make = || -> Result<Arc<ClientConfig>, rustls::Error> {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let mut config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()?
                .with_platform_verifier()?
                .with_no_client_auth();
            // What the other end speaks is HTTP/1.1, since nothing else is offered (RFC 7301).
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            config.key_log = Arc::new(SecretKeeper { tap: tap.clone(), clock, count: AtomicUsize::new(0) });
            Ok(Arc::new(config))
        };
        self.0.get_or_init(|| make().map_err(|error| error.to_string())).clone()
    }
}

/// Puts the secrets of connections into the recording, as lines of a key log (RFC 9850).
#[derive(Debug)]
struct SecretKeeper {
    tap: Tap,
    clock: Clock,
    count: AtomicUsize,
}

impl KeyLog for SecretKeeper {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        if self.count.fetch_add(1, Ordering::Relaxed) < MAX_SECRETS {
            let line = format!("{label} {} {}\n", Hex(client_random), Hex(secret));
            self.tap.tls_secret(self.clock.now(), line);
        }
    }

    fn will_log(&self, _label: &str) -> bool {
        self.tap.is_open()
    }
}

/// A connection, and what is under TLS.
struct TlsLine<'a> {
    network: &'a Network,
    socket: &'a TcpStream,
    line: &'a TappedConnection,
}

impl Network {
    /// Carries the bytes of a connection that we have opened, over TLS. The stream is open once TLS is.
    pub(crate) async fn carry_tls(
        self,
        stream: SessionStreamId,
        address: SocketAddr,
        socket: TcpStream,
        line: TappedConnection,
        tls: &Tls,
        mut said: UnboundedReceiver<Bytes>,
    ) {
        // What a request waits for must not wait itself.
        let _ = socket.set_nodelay(true);
        let wire = TlsLine { network: &self, socket: &socket, line: &line };
        let closing = match wire.carry(stream, address, tls, &mut said).await {
            Ok(closing) => closing,
            Err(error) => Some(close_reason(&error)),
        };
        let recorded = match &closing {
            None | Some(CloseReason::ByRemote) => StreamClosing::Finished,
            Some(_) => StreamClosing::Reset,
        };
        line.closed(self.clock.now(), recorded);
        if let Some(closing) = closing {
            self.tell(Input::Closed(stream, closing)).await;
        }
    }
}

impl TlsLine<'_> {
    /// Carries bytes until one end has no more to say; `None` when that is this end.
    async fn carry(
        &self,
        stream: SessionStreamId,
        address: SocketAddr,
        tls: &Tls,
        said: &mut UnboundedReceiver<Bytes>,
    ) -> io::Result<Option<CloseReason>> {
        if let Some(connect) = &tls.connect {
            self.open_tunnel(connect).await?;
        }
        let config =
            self.network.tls.config(&self.network.tap, self.network.clock).map_err(io::Error::other)?;
        let name = ServerName::try_from(tls.name.clone()).map_err(io::Error::other)?;
        let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut is_open = false;
        loop {
            self.send_records(&mut connection).await?;
            if !is_open && !connection.is_handshaking() {
                is_open = true;
                self.network.tell(Input::Opened(stream, address)).await;
            }
            self.network.gauge.room().await;
            tokio::select! {
                bytes = said.recv(), if is_open => {
                    let Some(bytes) = bytes else {
                        connection.send_close_notify();
                        self.send_records(&mut connection).await?;
                        return Ok(None);
                    };
                    connection.writer().write_all(&bytes)?;
                    self.send_records(&mut connection).await?;
                    self.network.tell(Input::Sent(stream, bytes.len())).await;
                }
                received = self.network.receive(self.socket) => {
                    let records = received?;
                    let over = records.is_empty();
                    self.take_records(&mut connection, stream, records).await?;
                    if over {
                        return Ok(Some(CloseReason::ByRemote));
                    }
                }
            }
        }
    }

    /// Takes the records that came. They are recorded after the secrets which come of them, for a reader of the recording
    /// needs these first.
    async fn take_records(
        &self,
        connection: &mut ClientConnection,
        stream: SessionStreamId,
        records: Bytes,
    ) -> io::Result<()> {
        let at = self.network.clock.now();
        let mut rest = &records[..];
        let mut clear = Vec::new();
        let taken = loop {
            match take_some(connection, &mut rest, &mut clear) {
                Ok(()) if rest.is_empty() => break Ok(()),
                Ok(()) => {}
                Err(error) => break Err(error),
            }
        };
        if !records.is_empty() {
            self.line.burst(at, Side::Remote, &records);
        }
        if !clear.is_empty() {
            self.network.tell(Input::Received(stream, clear.into())).await;
        }
        if taken.is_err() {
            // The other end is told why.
            let _ = self.send_records(connection).await;
        }
        taken
    }

    /// Sends the records that wait.
    async fn send_records(&self, connection: &mut ClientConnection) -> io::Result<()> {
        while connection.wants_write() {
            let mut records = Vec::new();
            connection.write_tls(&mut records)?;
            self.send(records.into()).await?;
        }
        Ok(())
    }

    async fn send(&self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            self.socket.writable().await?;
            match self.socket.try_write(&bytes) {
                Ok(written) => {
                    self.line.burst(self.network.clock.now(), Side::Local, &bytes.slice(..written));
                    bytes.advance(written);
                }
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Has a proxy open a tunnel to the host (RFC 9110, section 9.3.6).
    async fn open_tunnel(&self, connect: &Bytes) -> io::Result<()> {
        self.send(connect.clone()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let bytes = self.network.receive(self.socket).await?;
            self.line.burst(self.network.clock.now(), Side::Remote, &bytes);
            answer.extend_from_slice(&bytes);
            if bytes.is_empty() || answer.len() > MAX_HEAD {
                return Err(io::Error::other("the proxy does not answer as one over HTTP does"));
            }
        }
        match Response::decode(&answer) {
            Ok(response) if (200..300).contains(&response.status) => Ok(()),
            Ok(response) => {
                let why = format!("the proxy responded with {} {}", response.status, response.reason);
                Err(io::Error::other(why.trim_end().to_owned()))
            }
            Err(error) => Err(io::Error::other(format!("the response of the proxy is not HTTP: {error}"))),
        }
    }
}

/// Reads some of the records, and what is in them.
fn take_some(connection: &mut ClientConnection, rest: &mut &[u8], clear: &mut Vec<u8>) -> io::Result<()> {
    // At the end of the stream this says so to the connection.
    connection.read_tls(rest)?;
    let state = connection.process_new_packets().map_err(io::Error::other)?;
    let before = clear.len();
    clear.resize(before + state.plaintext_bytes_to_read(), 0);
    if clear.len() > before {
        connection.reader().read_exact(&mut clear[before..])?;
    }
    Ok(())
}

/// How many secrets a run writes: five a connection.
const MAX_SECRETS: usize = 65_536;
