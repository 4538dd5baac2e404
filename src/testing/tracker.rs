//! An HTTP tracker that answers with the bytes it is given.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

/// Peers that a tracker names, to which more can be added.
pub type NotedPeers = Arc<Mutex<Vec<SocketAddr>>>;

/// A tracker on loopback, for as long as the test runs.
#[derive(Debug)]
pub struct ScriptedTracker {
    /// Where it listens.
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl ScriptedTracker {
    /// Answers each request with what `answer` makes of it; with nothing, and no end, where that is empty.
    pub fn start(answer: impl FnMut(&str) -> Vec<u8> + Send + 'static) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), answer)
    }

    /// As [`start`](Self::start), at this address.
    ///
    /// # Panics
    /// When it cannot listen there.
    pub fn start_at(host: IpAddr, mut answer: impl FnMut(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind((host, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let noted = requests.clone();
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for socket in listener.incoming() {
                let Ok(mut socket) = socket else { continue };
                let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    match socket.read(&mut buffer) {
                        Ok(0) | Err(_) => break,
                        Ok(count) => request.extend_from_slice(&buffer[..count]),
                    }
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                if request.is_empty() {
                    continue;
                }
                let bytes = answer(&request);
                noted.lock().expect("no thread panicked").push(request);
                if bytes.is_empty() {
                    silent.push(socket);
                } else {
                    let _ = socket.write_all(&bytes);
                }
            }
        });
        Self { address, requests }
    }

    /// One that always names these peers.
    pub fn naming(peers: Vec<SocketAddr>) -> Self {
        Self::start(move |_| ok(&announce_reply(&peers)))
    }

    /// One that names the peers that are noted when it is asked: a tracker must be known before the torrent, and the torrent
    /// before its peers.
    pub fn naming_later() -> (Self, NotedPeers) {
        Self::naming_later_at(Ipv4Addr::LOCALHOST.into())
    }

    /// As [`naming_later`](Self::naming_later), at this address.
    ///
    /// # Panics
    /// When it cannot listen there.
    pub fn naming_later_at(host: IpAddr) -> (Self, NotedPeers) {
        let noted = NotedPeers::default();
        let naming = noted.clone();
        (
            Self::start_at(host, move |_| ok(&announce_reply(&naming.lock().expect("no thread panicked")))),
            noted,
        )
    }

    /// Its announce URL.
    pub fn url(&self) -> String {
        format!("http://{}/announce", self.address)
    }

    /// The head of each request, in order.
    ///
    /// # Panics
    /// When the thread of the tracker has panicked.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no thread panicked").clone()
    }

    /// The event of each announce; empty where there was none.
    pub fn events(&self) -> Vec<String> {
        let event = |request: &String| {
            let line = request.lines().next().unwrap_or_default();
            let value = line.split("event=").nth(1).unwrap_or_default();
            value.split(['&', ' ']).next().unwrap_or_default().to_owned()
        };
        self.requests().iter().map(event).collect()
    }
}

/// An HTTP answer with this body.
pub fn ok(body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// The body of an answer to an announce that names these peers (BEP 23, BEP 7).
pub fn announce_reply(peers: &[SocketAddr]) -> Vec<u8> {
    let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
    for peer in peers {
        match peer.ip() {
            IpAddr::V4(ip) => ipv4.extend([&ip.octets()[..], &peer.port().to_be_bytes()].concat()),
            IpAddr::V6(ip) => ipv6.extend([&ip.octets()[..], &peer.port().to_be_bytes()].concat()),
        }
    }
    let mut body = format!("d8:intervali1800e5:peers{}:", ipv4.len()).into_bytes();
    body.extend_from_slice(&ipv4);
    // BEP 7.
    if !ipv6.is_empty() {
        body.extend(format!("6:peers6{}:", ipv6.len()).bytes());
        body.extend_from_slice(&ipv6);
    }
    body.push(b'e');
    body
}
