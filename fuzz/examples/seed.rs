//! Fills the corpora from reference captures: `cargo run --example seed -- ../captures`.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs, io};

use bittrace_fuzz::diff::{CaptureStep, EDIT_KINDS, STREAMS, StepKind, add};
use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::wire::Message;
use bittrace_trace::{
    Body, Capture, Direction, Dissected, HttpTrackerBody, Parsed, PeerWireBody, Record, Side, Trace,
    TraceOptions, Transport, WebSeedBody, parse,
};

/// Longer inputs slow the fuzzer down more than they teach it.
const LONGEST: usize = 24 * 1024;

/// So many records of a kind are enough.
const OF_A_KIND: usize = 8;

fn main() -> io::Result<()> {
    for (name, input) in bittrace_fuzz::session::seeds() {
        write("session", name, &input)?;
    }
    for (number, text) in bittrace_fuzz::filter::SEEDS.iter().enumerate() {
        write("filter", &number.to_string(), &bittrace_fuzz::filter::input(text))?;
    }
    for (name, url) in [
        ("http", "http://user@t.test:8080/announce?key=a%20b#c"),
        ("https", "https://[2001:db8::7]/announce"),
        ("udp", "udp://t.test:6969/announce?key=a"),
    ] {
        write("tracker_url", name, url.as_bytes())?;
    }
    for (name, link) in [
        (
            "v1",
            "magnet:?xt=urn:btih:631A31DD0A46257D5078C0DEE4E66E26F73E42AC&dn=a+b&tr=udp%3A%2F%2Ft.test%3A80&x.pe=10.0.0.1:6881",
        ),
        (
            "base32",
            "magnet:?xt=urn:btih:MMNDDXIKIYSX2UDYYDPOJZTOE33T4QVM&so=0,2,4-6&dht=[2001:db8::1]:6881&ws=http://w.test/",
        ),
        (
            "v2",
            "magnet:?xt=urn:btmh:1220caf1e1c30e81cb361b9ee167c4aa64228a7fa4fa9f6105232b28ad099f3a302e&tr.1=http://t.test/announce",
        ),
    ] {
        write("magnet", name, link.as_bytes())?;
    }
    let folder = env::args().nth(1).map_or_else(|| PathBuf::from("../captures"), PathBuf::from);
    let mut first_edit = 0;
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap_or_default();
        if name.ends_with(".torrent") {
            write("bencode", &name, &bytes)?;
            write("metainfo", &name, &bytes)?;
            for (number, url) in trackers(&bytes).iter().enumerate() {
                write("tracker_url", &format!("{name}-{number}"), url.as_bytes())?;
            }
        } else if name.contains(".pcap") {
            let start = &bytes[..bytes.len().min(LONGEST)];
            write("capture", &name, start)?;
            write("trace", &name, start)?;
            write("course", &name, start)?;
            // The first byte of a page: how many messages it may have.
            write("page", &name, &[&[16], start].concat())?;
            records(&path, &name)?;
            datagrams(&path, &name)?;
            captured_steps(&path, &name, first_edit)?;
            first_edit += 1;
        }
    }
    Ok(())
}

/// The announce URLs of a torrent.
fn trackers(torrent: &[u8]) -> Vec<String> {
    let torrent = Metainfo::decode(torrent);
    torrent.map_or_else(|_| Vec::new(), |torrent| torrent.trackers().into_iter().flatten().collect())
}

/// The datagrams of a capture, as the target of that name reads them.
fn datagrams(path: &Path, name: &str) -> io::Result<()> {
    let mut capture = Capture::open(path).map_err(io::Error::other)?;
    let (mut input, mut ends) = (Vec::new(), Vec::new());
    while let Ok(Some(packet)) = capture.next_packet() {
        let Parsed::Udp(datagram) = parse(packet.link, packet.data) else { continue };
        let mut number = |end: SocketAddr| {
            let at = ends.iter().position(|known| *known == end);
            let at = at.unwrap_or_else(|| {
                ends.push(end);
                ends.len() - 1
            });
            at as u8 & 3
        };
        if input.len() + datagram.payload.len() > LONGEST {
            break;
        }
        input.push(number(datagram.src) | number(datagram.dst) << 2);
        input.extend((datagram.payload.len() as u16).to_be_bytes());
        input.extend_from_slice(datagram.payload);
    }
    if input.is_empty() { Ok(()) } else { write("datagrams", name, &input) }
}

/// The messages of the first streams of a capture, as the target `diff` reads them, with three edits from
/// `first_edit` on.
fn captured_steps(path: &Path, name: &str, first_edit: u8) -> io::Result<()> {
    let mut trace = Trace::open(path, TraceOptions::default()).map_err(io::Error::other)?;
    let shortened = first_edit & 4;
    let mut input = vec![shortened | 3];
    for kind in first_edit..first_edit + 3 {
        input.extend([kind % EDIT_KINDS, 7, 20, 1]);
    }
    while let Ok(Some(dissected)) = trace.next() {
        let Dissected::Record(record) = dissected else { continue };
        let Some(stream) = u8::try_from(record.stream.0).ok().filter(|stream| *stream < STREAMS) else {
            continue;
        };
        if input.len() + 3 + record.bytes.len() > LONGEST {
            break;
        }
        let remote = record.side == Side::Remote;
        let step = CaptureStep {
            stream,
            kind: if record.transport == Transport::Udp { StepKind::Datagram } else { StepKind::Sent },
            remote,
            incoming: remote == (record.direction == Direction::FromInitiator),
            mid_stream: false,
            bytes: record.bytes.to_vec(),
        };
        add(&mut input, &step);
    }
    write("diff", name, &input)?;
    write("diff_page", name, &input)
}

/// The messages of a capture, and the beginnings of its conversations.
fn records(path: &Path, name: &str) -> io::Result<()> {
    let torrent =
        fs::read(path.with_extension("torrent")).ok().and_then(|bytes| Metainfo::decode(&bytes).ok());
    let torrents: Vec<_> = torrent.into_iter().map(Arc::new).collect();
    let mut trace =
        Trace::open(path, TraceOptions { torrents, ..TraceOptions::default() }).map_err(io::Error::other)?;
    let mut web_seeds = HashSet::new();
    let mut kinds: HashMap<String, usize> = HashMap::new();
    let mut conversations: HashMap<u32, [Vec<u8>; 2]> = HashMap::new();
    while let Ok(Some(dissected)) = trace.next() {
        let Dissected::Record(record) = dissected else { continue };
        let said = &mut conversations.entry(record.stream.0).or_default()[record.direction as usize];
        said.extend_from_slice(&record.bytes);
        said.truncate(LONGEST / 2);
        if let Body::WebSeed(WebSeedBody::FileRequest(..) | WebSeedBody::PieceRequest(..)) = record.body {
            web_seeds.insert(record.stream.0);
        }
        for (target, bytes) in seeds(&record) {
            let kind = kinds.entry(format!("{target}-{}", record.body.message())).or_default();
            *kind += 1;
            if *kind <= OF_A_KIND && bytes.len() <= LONGEST {
                write(target, &format!("{name}-{}", record.number), bytes)?;
            }
        }
    }
    for (stream, [ours, theirs]) in conversations {
        if web_seeds.contains(&stream) {
            let share = (ours.len() as u16).to_be_bytes();
            for lost in [[0x01, 0x90, 0], [0x01, 0x90, 1]] {
                let input = [&lost[..], &share, &ours, &theirs].concat();
                write("web_seed", &format!("{name}-{stream}-{}", lost[2]), &input)?;
            }
        }
        for (variant, head) in [[0, 0, 90, 0, 1, 2, 3, 4], [1, 9, 90, 1, 4, 3, 2, 1]].iter().enumerate() {
            let share = (ours.len() as u32).to_be_bytes();
            let input = [&head[..], &share, &ours, &theirs].concat();
            write("dissect", &format!("{name}-{stream}-{variant}"), &input)?;
        }
        // Of an encrypted conversation: what is offered and taken, and the padding.
        for (variant, head) in [[0x23, 9, 0, 90, 1, 2, 3, 4], [0x13, 0, 6, 40, 4, 3, 2, 1]].iter().enumerate()
        {
            let share = (ours.len() as u32).to_be_bytes();
            let input = [&head[..], &share, &ours, &theirs].concat();
            write("mse", &format!("{name}-{stream}-{variant}"), &input)?;
        }
    }
    Ok(())
}

/// The targets that a record can teach, and with which of its bytes.
fn seeds(record: &Record) -> Vec<(&'static str, &[u8])> {
    match &record.body {
        Body::PeerWire(PeerWireBody::Handshake(_) | PeerWireBody::Message(_)) => {
            vec![("wire_message", &record.bytes[..])]
        }
        Body::PeerWire(PeerWireBody::Extended(Message::Extended { payload, .. }, _)) => {
            vec![("wire_message", &record.bytes[..]), ("extended", payload), ("bencode", payload)]
        }
        Body::HttpTracker(HttpTrackerBody::Request(..))
        | Body::WebSeed(WebSeedBody::FileRequest(..) | WebSeedBody::PieceRequest(..)) => {
            vec![("http_request", &record.bytes[..])]
        }
        Body::HttpTracker(HttpTrackerBody::Response(response, _)) => {
            vec![("http_response", &record.bytes[..]), ("bencode", response.body())]
        }
        Body::UdpTracker(_) => vec![("udp_tracker", &record.bytes[..])],
        Body::Dht(..) => vec![("dht", &record.bytes[..]), ("bencode", &record.bytes[..])],
        Body::Lsd(_) => vec![("lsd", &record.bytes[..])],
        _ => Vec::new(),
    }
}

fn write(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}
