//! Far ends on loopback that take places, fall silent, or repeat themselves without end, beside one that gives everything:
//! the download comes whole, and as soon as without them.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bittrace_client::{Download, Notice, Outcome};
use bittrace_testing::peer::{HostilePeer, Misconduct};
use bittrace_testing::torrent::SeededTorrent;
use bittrace_testing::tracker::{ScriptedTracker, announce_reply, ok};
use support::{options, patient, run};

const PIECE: usize = 32 * 1024;
const PIECES: usize = 64;

/// A torrent of 2 MiB whose tracker names the peers that are noted.
fn torrent() -> (Arc<Mutex<Vec<SocketAddr>>>, SeededTorrent, ScriptedTracker) {
    let (tracker, named) = ScriptedTracker::naming_later();
    let seed = SeededTorrent::single(&tracker.url(), PIECES * PIECE, PIECE);
    (named, seed, tracker)
}

/// The handshake of a peer that speaks the fast extension and the extension protocol.
fn handshake(seed: &SeededTorrent, number: usize) -> Vec<u8> {
    let mut bytes = b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x04".to_vec();
    bytes.extend(seed.metainfo.info_hash.0);
    bytes.extend(format!("-XX0002-{number:012}").bytes());
    bytes
}

fn message(id: u8, body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 1).to_be_bytes()[..], &[id], body].concat()
}

const UNCHOKE: [u8; 5] = [0, 0, 0, 1, 1];
const INTERESTED: [u8; 5] = [0, 0, 0, 1, 2];
const HAVE_ALL: [u8; 5] = [0, 0, 0, 1, 14];
const HAVE_NONE: [u8; 5] = [0, 0, 0, 1, 15];

/// Reads messages until the other end closes.
fn messages(socket: &TcpStream, mut heard: impl FnMut(u8, &[u8])) {
    let mut reading = std::io::BufReader::new(socket);
    let mut head = [0; 4];
    while reading.read_exact(&mut head).is_ok() {
        let mut body = vec![0; u32::from_be_bytes(head) as usize];
        if reading.read_exact(&mut body).is_err() {
            return;
        }
        if let Some((id, body)) = body.split_first() {
            heard(*id, body);
        }
    }
}

/// A peer that says one thing without end, and reads nothing but the handshake. Gives its address, and the count of the
/// bytes that it could send.
fn flooding(
    seed: &SeededTorrent,
    number: usize,
    first: Vec<u8>,
    part: &[u8],
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let (counted, greeting) = (sent.clone(), [handshake(seed, number), first].concat());
    let parts = part.repeat((64 * 1024 / part.len()).max(1));
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            if socket.write_all(&greeting).is_err() {
                continue;
            }
            while let Ok(count) = socket.write(&parts) {
                counted.fetch_add(count, Ordering::Relaxed);
            }
        }
    });
    (address, sent)
}

#[test]
fn peers_that_repeat_themselves_without_end_are_left() {
    let (named, seed, _tracker) = torrent();
    let full = message(5, &[0xff; PIECES / 8]);
    let empty = message(5, &[0; PIECES / 8]);
    let request = [0_u32, 0, 16_384].map(u32::to_be_bytes).concat();
    let names: String = (1..200).map(|id| format!("4:x{id:03}i{id}e")).collect();
    let floods = [
        (Vec::new(), [full, empty].concat()),
        (HAVE_ALL.to_vec(), [HAVE_NONE, HAVE_ALL].concat()),
        (HAVE_ALL.to_vec(), [[0, 0, 0, 1, 0], UNCHOKE].concat()),
        (HAVE_NONE.to_vec(), [INTERESTED, [0, 0, 0, 1, 3]].concat()),
        (HAVE_ALL.to_vec(), message(8, &request)),
        (HAVE_ALL.to_vec(), [message(6, &request), message(8, &request)].concat()),
        (HAVE_ALL.to_vec(), [message(20, &[4, 0, 0, 0, 1]), message(4, &[0, 0, 0, 1])].concat()),
        (HAVE_ALL.to_vec(), message(20, format!("\0d1:md{names}ee").as_bytes())),
        (HAVE_ALL.to_vec(), message(99, &[0; 20])),
        (HAVE_ALL.to_vec(), vec![0; 4]),
    ];
    let started: Vec<_> = (0..)
        .zip(&floods)
        .map(|(number, (first, part))| flooding(&seed, number, first.clone(), part))
        .collect();
    let good = HostilePeer::start(&seed, Misconduct::None);
    *named.lock().unwrap() = started.iter().map(|(address, _)| *address).chain([good.address]).collect();
    let output = tempfile::tempdir().unwrap();
    let (result, notices) = run(&seed, options(output.path(), patient()));
    assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
    seed.assert_whole(output.path());
    for ((address, sent), (_, part)) in started.iter().zip(&floods) {
        let sent = sent.load(Ordering::Relaxed);
        // What is read before the peer is left, and what the system holds of both ends.
        assert!(sent < 32 * 1024 * 1024, "{address} sent {sent} bytes of {part:?}: {notices:#?}");
    }
}

/// So many callers say this after the handshake, or no handshake at all, and nothing more. They call again when they are left.
fn idle_callers(seed: &SeededTorrent, port: u16, count: usize, says: Option<&[u8]>) {
    for number in 0..count {
        let says = says.map(|says| [&handshake(seed, 1_000 + number), says].concat());
        std::thread::spawn(move || {
            let mut waited = Duration::from_millis(20);
            while let Ok(mut socket) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                let _ = says.as_ref().map(|says| socket.write_all(says));
                let _ = std::io::copy(&mut socket, &mut std::io::sink());
                std::thread::sleep(waited);
                waited *= 2;
            }
        });
    }
}

#[test]
fn sixty_idle_callers_do_not_keep_a_download_from_its_seed() {
    for says in [Some(&HAVE_NONE[..]), Some(&[HAVE_NONE, INTERESTED].concat()), None] {
        // The tracker answers once the callers are there.
        let (answers, answered) = std::sync::mpsc::channel::<Vec<u8>>();
        let answered = Mutex::new(answered);
        let tracker = ScriptedTracker::start(move |_| {
            // Later announces need no answer of their own.
            answered.lock().unwrap().recv().unwrap_or_else(|_| ok(&announce_reply(&[])))
        });
        let seed = SeededTorrent::single(&tracker.url(), PIECES * PIECE, PIECE);
        let good = HostilePeer::start(&seed, Misconduct::None);
        let output = tempfile::tempdir().unwrap();
        let download = Download::new(seed.metainfo.clone(), options(output.path(), patient())).unwrap();
        let (mut connected, mut answers, mut begun) = (0, Some(answers), None);
        let mut callers = 0;
        let report = download
            .run_blocking(|notice| match notice {
                Notice::Listening { port } => idle_callers(&seed, port, 60, says),
                Notice::Progress { ref peers, .. } => {
                    callers = peers.iter().filter(|peer| peer.incoming).count();
                    connected = connected.max(callers);
                    // As many as are let in at the most: three quarters of 50.
                    if connected >= 38
                        && let Some(answers) = answers.take()
                    {
                        begun = Some(Instant::now());
                        answers.send(ok(&announce_reply(&[good.address]))).unwrap();
                    }
                }
                _ => {}
            })
            .unwrap();
        assert_eq!(report.outcome, Outcome::Complete);
        seed.assert_whole(output.path());
        assert_eq!(connected, 38, "callers that say {says:?}");
        let took = begun.unwrap().elapsed();
        assert!(took < Duration::from_secs(10), "{took:?} among callers that say {says:?}");
    }
}

/// A seed that, as BEP 16 has it, tells of one piece at a time, and of the next when it hears that the last has arrived.
fn super_seeding(seed: &SeededTorrent) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let seed = seed.clone();
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        socket.set_nodelay(true).unwrap();
        let have = |piece: u32| message(4, &piece.to_be_bytes());
        let mut told = 0;
        (&socket).write_all(&[&handshake(&seed, 1), &HAVE_NONE[..], &have(0)].concat()).unwrap();
        (&socket).read_exact(&mut [0; 68]).unwrap();
        messages(&socket, |id, body| {
            let number = |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().unwrap());
            let answer = match id {
                2 => UNCHOKE.to_vec(),
                4 if number(0) == told && told as usize + 1 < PIECES => {
                    told += 1;
                    have(told)
                }
                6 => {
                    assert_eq!(number(0), told, "a piece that was not told of");
                    let start = told as usize * PIECE + number(4) as usize;
                    let block = &seed.bytes[start..start + number(8) as usize];
                    message(7, &[&body[..8], block].concat())
                }
                _ => return,
            };
            // Whoever has everything leaves.
            let _ = (&socket).write_all(&answer);
        });
    });
    address
}

#[test]
fn a_super_seeding_peer_gives_piece_after_piece() {
    let (named, seed, _tracker) = torrent();
    named.lock().unwrap().push(super_seeding(&seed));
    let output = tempfile::tempdir().unwrap();
    let (result, notices) = run(&seed, options(output.path(), patient()));
    assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
    seed.assert_whole(output.path());
}

#[test]
fn a_sole_peer_that_drops_requests_gives_the_whole_file() {
    let (named, seed, _tracker) = torrent();
    let peer = HostilePeer::start(&seed, Misconduct::DropsEvery(10));
    named.lock().unwrap().push(peer.address);
    let output = tempfile::tempdir().unwrap();
    let (result, notices) = run(&seed, options(output.path(), patient()));
    assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
    seed.assert_whole(output.path());
    let blocks = PIECES * PIECE / (16 * 1024);
    // One in ten is asked for twice, and one in a hundred three times.
    let requests = peer.requests().len();
    assert!((blocks + 10..blocks + 30).contains(&requests), "{requests} requests for {blocks} blocks");
}
