//! An HTTP server on loopback that has files, such as a web seed is.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a server does when it is asked for a part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeManner {
    /// It sends the part.
    Parts,
    /// It sends all of the file, and closes the connection.
    WholeFiles,
}

/// A server, for as long as the test runs.
#[derive(Debug)]
pub struct WebServer {
    /// Where it listens.
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

type Files = Arc<Vec<(String, Vec<u8>)>>;

impl WebServer {
    /// A server that has these files, each under its path.
    ///
    /// # Panics
    /// When it cannot listen.
    pub fn start(files: &[(String, Vec<u8>)], manner: RangeManner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (noted, files) = (requests.clone(), Arc::new(files.to_vec()));
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (noted, files) = (noted.clone(), files.clone());
                // One that goes away in the middle of an answer is no matter.
                std::thread::spawn(move || serve(&socket, &files, manner, &noted).unwrap_or(()));
            }
        });
        Self { address, requests }
    }

    /// The URL of a path there.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The heads of all requests so far.
    ///
    /// # Panics
    /// When a connection's thread panicked.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no thread panicked").clone()
    }
}

fn serve(
    socket: &TcpStream,
    files: &Files,
    manner: RangeManner,
    noted: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(socket);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let range = head.split("Range: bytes=").nth(1).and_then(|range| {
            let (first, last) = range.split("\r\n").next()?.split_once('-')?;
            Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
        });
        noted.lock().expect("no thread panicked").push(head);
        let mut socket = socket;
        let Some((_, bytes)) = files.iter().find(|(name, _)| path == format!("/{name}")) else {
            socket.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        };
        match (range, manner) {
            (Some((first, last)), RangeManner::Parts) => {
                let part = &bytes[first..=last];
                let (count, length) = (part.len(), bytes.len());
                let head = format!(
                    "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{last}/{length}\r\n\
                     Content-Length: {count}\r\n\r\n"
                );
                socket.write_all(head.as_bytes())?;
                socket.write_all(part)?;
            }
            _ => {
                let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
                socket.write_all(head.as_bytes())?;
                socket.write_all(bytes)?;
                return Ok(());
            }
        }
    }
}
