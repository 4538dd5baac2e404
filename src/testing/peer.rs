//! A peer that has everything and writes raw bytes, honestly or not.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::torrent::SeededTorrent;

/// What a peer does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misconduct {
    /// Nothing.
    None,
    /// It sends wrong bytes in this piece.
    Corrupt(u32),
    /// It closes after so many messages, its handshake being the first.
    ClosesAfter(usize),
    /// It accepts and says nothing.
    SaysNothing,
    /// It shakes hands and says nothing more.
    SaysNothingMore,
    /// It never unchokes.
    Chokes,
    /// It never unchokes callers from this host, and waits long for them.
    ChokesHost(IpAddr),
    /// It answers requests with silence.
    KeepsBlocks,
    /// It answers no request whose number this divides.
    DropsEvery(usize),
    /// Its handshake is for another torrent.
    OtherTorrent,
    /// It speaks another protocol.
    Garbage,
    /// It announces a message of 2 GiB.
    HugeLength,
    /// Its blocks are longer than was asked for.
    LongBlocks,
    /// Its blocks name a piece that is not there.
    WrongIndex,
    /// It tells of the same piece without end.
    FloodsHaves,
    /// It sends a block a few bytes at a time, and never the whole.
    Drips,
}

/// A peer on loopback, for as long as the test runs.
#[derive(Debug)]
pub struct HostilePeer {
    /// Where it listens.
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<(u32, u32)>>>,
}

impl HostilePeer {
    /// A peer at an address of its own on 127.0.0.1.
    pub fn start(seed: &SeededTorrent, fault: Misconduct) -> Self {
        Self::start_at(seed, fault, "127.0.0.1:0")
    }

    /// A peer at this address; port 0 stands for any.
    ///
    /// # Panics
    /// When it cannot listen there.
    pub fn start_at(seed: &SeededTorrent, fault: Misconduct, address: &str) -> Self {
        let listener = TcpListener::bind(address).expect("the address is free");
        let address = listener.local_addr().expect("it has an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seed, noted) = (seed.clone(), requests.clone());
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let Ok(socket) = socket else { continue };
                let (seed, noted) = (seed.clone(), noted.clone());
                // It ends when the other end does.
                std::thread::spawn(move || talk(socket, &seed, fault, &noted));
            }
        });
        Self { address, requests }
    }

    /// The piece and the offset of each request, in order.
    ///
    /// # Panics
    /// When a thread of the peer has panicked.
    pub fn requests(&self) -> Vec<(u32, u32)> {
        self.requests.lock().expect("no thread panicked").clone()
    }
}

/// An address where nobody listens.
///
/// # Panics
/// When no port is free.
pub fn nobody() -> SocketAddr {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a port is free");
    let address = socket.local_addr().expect("it has an address").as_socket().expect("it is of IPv4");
    // The port stays taken as long as the tests run, so that nobody else comes to listen there.
    std::mem::forget(socket);
    address
}

struct Speaking<'a> {
    socket: &'a TcpStream,
    left: usize,
}

impl Speaking<'_> {
    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.left == 0 {
            return Err(io::ErrorKind::Other.into());
        }
        self.left -= 1;
        let mut socket = self.socket;
        socket.write_all(bytes)
    }
}

fn talk(
    socket: TcpStream,
    seed: &SeededTorrent,
    fault: Misconduct,
    noted: &Mutex<Vec<(u32, u32)>>,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let chokes = match fault {
        Misconduct::ChokesHost(host) => host == socket.peer_addr()?.ip(),
        fault => fault == Misconduct::Chokes,
    };
    let patience = if matches!(fault, Misconduct::ChokesHost(_)) { 600 } else { 30 };
    socket.set_read_timeout(Some(Duration::from_secs(patience)))?;
    let mut hearing = io::BufReader::new(socket.try_clone()?);
    let left = if let Misconduct::ClosesAfter(count) = fault { count } else { usize::MAX };
    let mut speaking = Speaking { socket: &socket, left };
    let mut handshake = [0; 68];
    hearing.read_exact(&mut handshake)?;
    assert_eq!(&handshake[..20], b"\x13BitTorrent protocol");
    assert_eq!(handshake[28..48], seed.metainfo.info_hash.0);
    match fault {
        Misconduct::SaysNothing => return wait(&mut hearing),
        Misconduct::Garbage => {
            speaking.say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
            return wait(&mut hearing);
        }
        _ => {}
    }
    let mut hash = seed.metainfo.info_hash.0;
    if fault == Misconduct::OtherTorrent {
        hash[0] ^= 1;
    }
    // No extension at all.
    let peer_id = format!("-XX0001-{:012}", socket.local_addr()?.port());
    speaking.say(&[b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0", &hash[..], peer_id.as_bytes()].concat())?;
    match fault {
        Misconduct::SaysNothingMore => return wait(&mut hearing),
        Misconduct::HugeLength => {
            speaking.say(&[0x80, 0, 0, 0, 7])?;
            return wait(&mut hearing);
        }
        _ => {}
    }
    let pieces = seed.piece_count();
    let mut bits = vec![0_u8; pieces.div_ceil(8)];
    for piece in 0..pieces {
        bits[piece / 8] |= 0x80 >> (piece % 8);
    }
    speaking.say(&message(5, &[&bits]))?;
    loop {
        let mut length = [0; 4];
        hearing.read_exact(&mut length)?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        hearing.read_exact(&mut body)?;
        let number = |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().expect("four bytes"));
        match body.first() {
            Some(2) if chokes => {}
            Some(2) => speaking.say(&message(1, &[]))?,
            Some(6) => {
                let (index, begin, length) = (number(1), number(5), number(9));
                let count = {
                    let mut noted = noted.lock().expect("no thread panicked");
                    noted.push((index, begin));
                    noted.len()
                };
                let start = index as usize * seed.piece_length + begin as usize;
                let mut block = seed.bytes[start..start + length as usize].to_vec();
                let mut said_index = index;
                match fault {
                    Misconduct::KeepsBlocks => continue,
                    Misconduct::DropsEvery(nth) if count.is_multiple_of(nth) => continue,
                    Misconduct::Corrupt(piece) if piece == index => block[0] ^= 1,
                    Misconduct::LongBlocks => block.push(0),
                    Misconduct::WrongIndex => said_index = u32::MAX,
                    Misconduct::FloodsHaves => loop {
                        speaking.say(&message(4, &[&0_u32.to_be_bytes()]).repeat(1000))?;
                    },
                    Misconduct::Drips => {
                        speaking.say(&[0, 0, 0x40, 9, 7])?;
                        speaking
                            .say(&[&index.to_be_bytes()[..], &begin.to_be_bytes(), &block[..100]].concat())?;
                        return wait(&mut hearing);
                    }
                    _ => {}
                }
                speaking.say(&message(7, &[&said_index.to_be_bytes(), &begin.to_be_bytes(), &block]))?;
            }
            _ => {}
        }
    }
}

/// Hears, and says nothing.
fn wait(hearing: &mut impl Read) -> io::Result<()> {
    io::copy(hearing, &mut io::sink()).map(drop)
}

fn message(id: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut message = (body.len() as u32 + 1).to_be_bytes().to_vec();
    message.push(id);
    message.extend_from_slice(&body);
    message
}
