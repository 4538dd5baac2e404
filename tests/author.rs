//! What the author of a client reads: `bittrace replay` against a client with three mistakes that people make. The client is
//! in this file and writes raw bytes.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bittrace_protocol::Metainfo;
use bittrace_testing::captures::captures_folder;
use bittrace_testing::command;

const BITTRACE: &str = env!("CARGO_BIN_EXE_bittrace");
const PEER_ID: &str = "-CA0001-abcdefghijkl";
const BLOCK: u32 = 16_384;

/// What a client does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistakes {
    /// The first announce has `left=0` and no event, and every request asks for 16 KiB, also that for the end of the last piece.
    Careless,
    /// The announce names another torrent.
    OtherTorrent,
    /// It asks for the first block until the connection is closed.
    Insatiable,
}

/// Replays a capture to a client of this file: the exit code, and what is printed.
fn replayed(mistakes: Mistakes, more: &[&str]) -> (i32, String) {
    replayed_from("download-transmission.pcap", mistakes, more)
}

fn replayed_from(capture: &str, mistakes: Mistakes, more: &[&str]) -> (i32, String) {
    // What is refused is no goodbye: the run ends by silence.
    let patience = match (mistakes, capture) {
        (Mistakes::OtherTorrent, _) => "1",
        (_, "udp-tracker.pcap") => "3",
        _ => "20",
    };
    let arguments = ["replay", capture, "--listen", "127.0.0.2", "--timeout", patience];
    let arguments = [&arguments[..], more].concat();
    let mut command = command::bittrace(BITTRACE, &captures_folder(), &arguments);
    let mut replay = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = BufReader::new(replay.stderr.take().unwrap()).lines().map_while(Result::ok);
    let torrent = errors.find_map(|line| {
        let (_, rest) = line.split_once("give a client ")?;
        Some(rest.split_once(';')?.0.to_owned())
    });
    // What follows is read too, so that nothing waits for it.
    std::thread::spawn(move || errors.count());
    run_client(mistakes, Path::new(&torrent.unwrap()));
    let output = replay.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// Downloads from the first peer that the tracker names, and says goodbye to the tracker.
fn run_client(mistakes: Mistakes, torrent: &Path) {
    let torrent = Metainfo::decode(&std::fs::read(torrent).unwrap()).unwrap();
    let announce = torrent.trackers().concat().remove(0);
    if let Some(rest) = announce.strip_prefix("udp://") {
        let (tracker, _) = rest.split_once('/').unwrap();
        let [peer, ..] = announced_over_udp(tracker.parse().unwrap(), &torrent)[..] else {
            panic!("no peer")
        };
        return download(&torrent, peer);
    }
    let (tracker, path) = announce.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut info_hash = torrent.info_hash.0;
    if mistakes == Mistakes::OtherTorrent {
        info_hash[0] ^= 0xff;
    }
    let escaped: String = info_hash.iter().map(|byte| format!("%{byte:02X}")).collect();
    let ask = |event: &str| -> Vec<u8> {
        let mut connection = TcpStream::connect(tracker).unwrap();
        let query = format!("info_hash={escaped}&peer_id={PEER_ID}&port=6999&uploaded=0&downloaded=0&left=0");
        let request = format!("GET /{path}?{query}&compact=1{event} HTTP/1.1\r\nHost: {tracker}\r\n\r\n");
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).unwrap();
        answer
    };
    let answer = ask("");
    match first_peer(&answer) {
        // Nobody is left to say goodbye to.
        Some(peer) if mistakes == Mistakes::Insatiable => return ask_for_ever(&torrent, peer),
        Some(peer) => download(&torrent, peer),
        None => {}
    }
    ask("&event=stopped");
}

/// The peers in a tracker's answer over UDP (BEP 15).
fn announced_over_udp(tracker: SocketAddr, torrent: &Metainfo) -> Vec<SocketAddr> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = [0; 1024];
    let mut ask = |request: &[u8]| {
        socket.send_to(request, tracker).unwrap();
        let (length, _) = socket.recv_from(&mut answer).unwrap();
        answer[..length].to_vec()
    };
    // The protocol's number, action 0, a transaction id.
    let connected = ask(&[0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 0, 0, 0, 7]);
    // The connection id, action 1, a transaction id.
    let mut announce = [&connected[8..16], &[0, 0, 0, 1, 0, 0, 0, 8]].concat();
    announce.extend(torrent.info_hash.0);
    announce.extend(PEER_ID.as_bytes());
    // Downloaded, left, uploaded; the event started, no address, a key, numwant, the port.
    announce.extend([&[0; 8][..], &torrent.total().to_be_bytes(), &[0; 8]].concat());
    announce.extend([0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9, 255, 255, 255, 255, 0x1b, 0x57]);
    let announced = ask(&announce);
    announced[20..]
        .chunks_exact(6)
        .map(|peer| {
            let ip = Ipv4Addr::new(peer[0], peer[1], peer[2], peer[3]);
            (ip, u16::from_be_bytes([peer[4], peer[5]])).into()
        })
        .collect()
}

/// The first address of the compact peers (BEP 23) in a tracker's answer.
fn first_peer(answer: &[u8]) -> Option<SocketAddr> {
    let key = b"5:peers";
    let at = answer.windows(key.len()).position(|bytes| bytes == key)? + key.len();
    let colon = at + answer[at..].iter().position(|byte| *byte == b':')?;
    let peer = answer.get(colon + 1..colon + 7)?;
    let port = u16::from_be_bytes([peer[4], peer[5]]);
    Some((Ipv4Addr::new(peer[0], peer[1], peer[2], peer[3]), port).into())
}

/// A connection on which the peer has unchoked us.
fn unchoked(torrent: &Metainfo, peer: SocketAddr) -> TcpStream {
    let mut connection = TcpStream::connect(peer).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut handshake = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".to_vec();
    handshake.extend(torrent.info_hash.0);
    handshake.extend(PEER_ID.as_bytes());
    connection.write_all(&handshake).unwrap();
    connection.read_exact(&mut [0; 68]).unwrap();
    // Interested.
    connection.write_all(&[0, 0, 0, 1, 2]).unwrap();
    while message(&mut connection).first() != Some(&1) {}
    connection
}

fn request(piece: u32, begin: u32) -> Vec<u8> {
    let mut request = vec![0, 0, 0, 13, 6];
    [piece, begin, BLOCK].iter().for_each(|number| request.extend(number.to_be_bytes()));
    request
}

/// Asks for the first block until the connection is closed.
fn ask_for_ever(torrent: &Metainfo, peer: SocketAddr) {
    let mut connection = unchoked(torrent, peer);
    let mut blocks = vec![0; 1 << 20];
    while connection.write_all(&request(0, 0).repeat(16)).is_ok() {
        if !matches!(connection.read(&mut blocks), Ok(1..)) {
            break;
        }
    }
}

fn download(torrent: &Metainfo, peer: SocketAddr) {
    let mut connection = unchoked(torrent, peer);
    let length = u32::try_from(torrent.total()).unwrap();
    let mut requested = 0;
    for start in (0..length).step_by(BLOCK as usize) {
        let (piece, begin) = (start / torrent.piece_length, start % torrent.piece_length);
        connection.write_all(&request(piece, begin)).unwrap();
        requested += 1;
    }
    // The request that goes beyond the end of the torrent has no answer.
    let mut blocks = 0;
    while blocks < requested - 1 {
        blocks += u32::from(message(&mut connection).first() == Some(&7));
    }
}

/// The next message, without its length.
fn message(connection: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    connection.read_exact(&mut length).unwrap();
    let mut message = vec![0; u32::from_be_bytes(length) as usize];
    connection.read_exact(&mut message).unwrap();
    message
}

#[test]
fn the_mistakes_of_a_client_are_told_first() {
    let (code, page) = replayed(Mistakes::Careless, &[]);
    assert_eq!(code, 1, "{page}");
    assert_eq!(page.lines().find(|line| line.chars().count() > 80), None);
    let lines: Vec<&str> = page.lines().map(str::trim).collect();
    let at = |wanted: &str| lines.iter().position(|line| line.starts_with(wanted)).expect(wanted);
    let entries: Vec<&str> = lines
        .iter()
        .filter(|line| line.contains("[bep"))
        .map(|line| line.split_once(':').unwrap().0)
        .collect();
    let wanted = ["error[bep3.out-of-range]", "warn[bep3.left-too-little]", "note[bep3.started-missing]"];
    assert_eq!(entries, wanted, "{page}");
    // Both messages, side by side, and what to do.
    for line in [
        "|  index 7, begin 16384, length 16384   yours",
        "|  index 7, begin 16384, length 17      reference (message ",
        "= Request min(16384, size of the piece - begin) bytes",
        "|  left 0        yours",
        "|  left 245777   reference (message 1)",
        "|  no event        yours",
        "|  event started   reference (message 1)",
    ] {
        assert!(lines.iter().any(|shown| shown.starts_with(line)), "{line}\n{page}");
    }
    // What was refused, then content, then choices, then identity, then the tables.
    let headings = [
        "Rules that the candidate breaks",
        "Refused by the replayed tracker and peers",
        "Different content",
        "Different order or presence",
        "Identity",
        "Conversations",
    ];
    assert!(headings.map(at).is_sorted(), "{page}");
    let refused = &lines[at("Refused by")..].join(" ");
    assert!(refused.contains("request 16 unanswered: piece 7 has 16,401 bytes"), "{page}");
}

#[test]
fn the_report_is_whole_in_json() {
    let (code, json) = replayed(Mistakes::Careless, &["--format", "json"]);
    assert_eq!(code, 1, "{json}");
    let objects: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = &objects.last().unwrap()["summary"];
    let broken = summary["broken_rules"]["candidate"].as_array().unwrap();
    let rules: Vec<&str> = broken.iter().filter_map(|one| one["rule"].as_str()).collect();
    assert_eq!(rules, ["bep3.out-of-range", "bep3.left-too-little", "bep3.started-missing"]);
    assert_eq!(broken[0]["yours"]["fields"]["length"], "16384");
    assert_eq!(broken[0]["reference"]["fields"]["length"], "17");
    assert!(broken.iter().all(|one| one["advice"].is_string()), "{summary}");
    let refusals = summary["refusals"].as_array().unwrap();
    let [refusal] = &refusals[..] else { panic!("{refusals:?}") };
    assert_eq!(
        [&refusal["by"], &refusal["message"], &refusal["nth"], &refusal["did"]],
        [&"peer".into(), &"request".into(), &16.into(), &serde_json::Value::from("left-unanswered")]
    );
    // Each difference has its kind, and nothing of the folded ones is left out.
    let fields = objects.iter().filter_map(|object| object["fields"].as_array()).flatten();
    let kinds: Vec<(&str, &str)> = fields
        .filter(|field| field["differs"] == true)
        .map(|field| (field["name"].as_str().unwrap(), field["kind"].as_str().unwrap()))
        .collect();
    for wanted in
        [("left", "phrasing"), ("event", "phrasing"), ("peer_id", "identity"), ("length", "phrasing")]
    {
        assert!(kinds.contains(&wanted), "{wanted:?}: {kinds:?}");
    }
}

#[test]
fn a_tracker_that_refuses_says_why_message_by_message() {
    let (code, page) = replayed(Mistakes::OtherTorrent, &[]);
    assert_eq!(code, 1, "{page}");
    let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("the replayed tracker refused announces 1, 2: its info_hash 8a8c3826"), "{page}");
    assert!(words.contains("is not the reference's, 758c3826"), "{page}");
}

/// The datagrams to the tracker are a stream of the recording, as `analyze` counts.
#[test]
fn what_was_refused_names_the_connection_as_the_recording_counts_it() {
    let (code, json) = replayed_from("udp-tracker.pcap", Mistakes::Careless, &["--format", "json"]);
    assert_eq!(code, 1, "{json}");
    let objects: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let refusals = objects.last().unwrap()["summary"]["refusals"].as_array().unwrap();
    let refused = refusals.iter().find(|one| one["message"] == "request").unwrap();
    let is_request =
        |one: &&serde_json::Value| one["message"] == "request" && one["candidate_stream"].is_u64();
    let request = objects.iter().find(is_request).unwrap();
    assert_eq!(
        (&refused["stream"], &request["candidate_stream"]),
        (&1.into(), &1.into()),
        "{refused}, {request}"
    );
}

#[test]
fn a_run_that_takes_more_than_any_client_needs_is_ended_and_says_so() {
    let (code, page) = replayed(Mistakes::Insatiable, &[]);
    assert_eq!(code, 1, "{page}");
    let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let wanted = "the recording of the run took more than 68,091,972 bytes, which no client needs for this torrent: the run was ended";
    assert!(words.contains(wanted), "{page}");
}
