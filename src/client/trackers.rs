//! Ways to trackers, and to whom they name: names to addresses, datagrams, and https.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bittrace_protocol::session::{CloseReason, HostPort, Input, SessionStreamId};
use bittrace_protocol::tracker::http::MAX_BODY;
use bytes::Bytes;
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::connection::Network;
use crate::https;

impl Network {
    /// Opens a connection to a host and carries its bytes.
    pub(crate) async fn dial_host(
        self,
        stream: SessionStreamId,
        host: String,
        port: u16,
        said: UnboundedReceiver<Bytes>,
    ) {
        match resolve(&host, port).await {
            Ok(addresses) => self.dial(stream, addresses, said).await,
            Err(why) => self.tell(Input::Closed(stream, CloseReason::Unresolved(why))).await,
        }
    }

    /// Looks up the addresses of a peer.
    pub(crate) async fn look_up(self, name: HostPort) {
        let addresses = resolve(&name.host, name.port).await;
        self.tell(Input::Resolved(name, addresses)).await;
    }

    /// Carries datagrams to and from a host.
    pub(crate) async fn exchange(
        self,
        stream: SessionStreamId,
        host: String,
        port: u16,
        said: UnboundedReceiver<Bytes>,
    ) {
        let opened = match resolve(&host, port).await {
            Ok(addresses) => open_flow(&addresses).await,
            Err(why) => Err(CloseReason::Unresolved(why)),
        };
        let closing = match opened {
            Ok((socket, remote)) => {
                self.tell(Input::Opened(stream, remote)).await;
                self.carry_datagrams(stream, &socket, remote, said).await
            }
            Err(closing) => Some(closing),
        };
        if let Some(closing) = closing {
            self.tell(Input::Closed(stream, closing)).await;
        }
    }

    /// Fetches the answer of a tracker over https. Nothing is recorded: no clear bytes are seen.
    pub(crate) async fn fetch(self, stream: SessionStreamId, url: String, limit: Duration) {
        let fetched = async {
            let client = https::client(limit, https::RedirectPolicy::HttpsOnly)?;
            let answer = client.get(&url).send().await?;
            https::body(answer, MAX_BODY as u64).await
        };
        let result = match fetched.await {
            Ok(Some(body)) => Ok(body),
            Ok(None) => Err(format!("an answer of more than {MAX_BODY} bytes")),
            Err(error) => Err(https::reason(&error)),
        };
        self.tell(Input::Fetched(stream, result)).await;
    }

    /// `None` when we have no more to say.
    async fn carry_datagrams(
        &self,
        stream: SessionStreamId,
        socket: &UdpSocket,
        remote: SocketAddr,
        mut said: UnboundedReceiver<Bytes>,
    ) -> Option<CloseReason> {
        let local = socket.local_addr().unwrap_or(remote);
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            tokio::select! {
                bytes = said.recv() => {
                    let bytes = bytes?;
                    let sent = socket.send(&bytes).await;
                    self.tap.datagram(self.clock.now(), local, remote, &bytes);
                    match sent {
                        Ok(count) => self.tell(Input::Sent(stream, count)).await,
                        Err(error) => return Some(closing(&error)),
                    }
                }
                length = socket.recv(&mut buffer) => match length {
                    Ok(length) => {
                        let bytes = Bytes::copy_from_slice(&buffer[..length]);
                        self.tap.datagram(self.clock.now(), remote, local, &bytes);
                        self.tell(Input::Received(stream, bytes)).await;
                    }
                    Err(error) => return Some(closing(&error)),
                },
            }
        }
    }
}

/// A socket that speaks with one tracker alone.
async fn open_flow(addresses: &[SocketAddr]) -> Result<(UdpSocket, SocketAddr), CloseReason> {
    let mut last = CloseReason::Unresolved("no address".to_owned());
    for &remote in addresses {
        let any: IpAddr = match remote {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let opened = async {
            let socket = UdpSocket::bind((any, 0)).await?;
            // Refused where there is no way to addresses of this family.
            socket.connect(remote).await?;
            io::Result::Ok(socket)
        };
        match opened.await {
            Ok(socket) => return Ok((socket, remote)),
            Err(error) => last = closing(&error),
        }
    }
    Err(last)
}

/// The addresses of a host, or why there are none.
async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match lookup_host((bare, port)).await {
        Ok(addresses) => {
            let mut distinct: Vec<SocketAddr> = Vec::new();
            for address in addresses {
                if !distinct.contains(&address) {
                    distinct.push(address);
                }
            }
            Ok(distinct)
        }
        Err(error) => Err(error.to_string()),
    }
}

fn closing(error: &io::Error) -> CloseReason {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => CloseReason::Refused,
        _ => CloseReason::Failed(error.to_string()),
    }
}
