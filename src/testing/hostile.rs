//! Captures and torrents in which far ends say hostile things wherever they may say anything.

use bittrace_protocol::Timestamp;
use bittrace_trace::{Direction, Flow, Recorder, StreamId, StreamOpening};

/// A bencoded string.
fn string(text: &str) -> String {
    format!("{}:{text}", text.len())
}

/// A torrent with `said` as the name of its file, in the address of its tracker, and where else text may stand.
pub fn torrent(said: &str) -> Vec<u8> {
    let mut info = format!("d5:filesld6:lengthi5e4:pathl{}eee4:name{}", string(said), string(said));
    info.push_str("12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae");
    let url = string(&format!("http://{said}/announce"));
    // A value of the wrong type, which is told as a fault, under a key of the file's own.
    format!("d8:announce{url}7:comment{}4:info{info}{}i1ee", string(said), string(said)).into_bytes()
}

/// A capture of a conversation with a tracker, one with a peer, and a datagram of the DHT, with `said` wherever text may
/// stand.
///
/// # Panics
/// Never: the recording goes to memory, which takes it.
pub fn capture(said: &str) -> Vec<u8> {
    let mut recorder = Recorder::new(Vec::new(), said).expect("memory takes all");
    let at = Timestamp::from_nanos(1_790_000_000_000_000_000);
    let flow = |port: u16| Flow {
        initiator: "10.0.0.1:50000".parse().expect("an address"),
        responder: format!("10.0.0.2:{port}").parse().expect("an address"),
    };
    let mut conversation = |stream: u32, port: u16, one: &[u8], other: &[u8]| {
        recorder.opened(at, StreamId(stream), flow(port), StreamOpening::Syn).expect("memory takes all");
        recorder.burst(at, StreamId(stream), Direction::FromInitiator, one).expect("memory takes all");
        recorder.burst(at, StreamId(stream), Direction::FromResponder, other).expect("memory takes all");
    };
    // A request line and a datagram have no room for more.
    let brief: String = said.chars().take(1000).collect();
    let escaped: String = brief.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let request = format!(
        "GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=-XX0000-aaaaaaaaaaaa&port=6881&uploaded=0&downloaded=0\
         &left=5&{escaped}={escaped} HTTP/1.1\r\nHost: t\r\nUser-Agent: {}\r\n\r\n",
        // A header has no control characters of ASCII.
        brief.replace(|c: char| c.is_ascii_control(), "")
    );
    let reply = format!("d14:failure reason{}{}i1ee", string(said), string(said));
    let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{reply}", reply.len());
    conversation(1, 80, request.as_bytes(), reply.as_bytes());

    let mut greeting = b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x01aaaaaaaaaaaaaaaaaaaa".to_vec();
    let mut id = said.as_bytes().to_vec();
    id.resize(20, b'x');
    greeting.extend(id);
    let dictionary = format!(
        "d1:md{}i1ee1:v{}{}{}e",
        string(said),
        string(said),
        string(&format!("z{said}")),
        string(said)
    );
    let mut message = (dictionary.len() as u32 + 2).to_be_bytes().to_vec();
    message.extend([20, 0]);
    message.extend(dictionary.as_bytes());
    greeting.extend(message);
    conversation(2, 6881, &greeting, &greeting);

    let (key, value) = (string(&brief), string(&brief));
    let query =
        format!("d{key}{value}1:ad{key}{value}2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:v{value}1:y1:qe");
    let flow = flow(6881);
    recorder.datagram(at, flow.initiator, flow.responder, query.as_bytes()).expect("memory takes all");
    recorder.finish().expect("memory takes all")
}
