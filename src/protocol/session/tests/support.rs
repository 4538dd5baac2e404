//! A stage for conversations: a torrent, a clock, a disk, and what the session said so far, as lines to compare.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha1::{Digest, Sha1};

use super::observer::Observers;
use crate::dial::Remote;
use crate::session::*;
use crate::{Metainfo, PeerId, PieceIndex, Timestamp};

pub(super) const OUR_ID: &[u8; 20] = b"-BT0001-ourselvesxyz";
pub(super) const A_ID: &[u8; 20] = b"-XX1000-aaaaaaaaaaaa";
pub(super) const B_ID: &[u8; 20] = b"-XX1000-bbbbbbbbbbbb";
/// Reserved bytes that offer nothing; the fast extension; that and the extension protocol.
pub(super) const PLAIN: [u8; 8] = [0; 8];
pub(super) const FAST: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 4];
pub(super) const EXTENDED: [u8; 8] = [0, 0, 0, 0, 0, 0x10, 0, 4];

/// The bytes of the torrent's file: no two blocks are alike.
pub(super) fn content(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| byte()).collect()
}

/// A torrent file with these trackers around the content; `more` stands in the info dictionary after its pieces.
pub(super) fn torrent(length: usize, piece_length: usize, tiers: &[&[&str]], more: &str) -> Metainfo {
    let hashes: Vec<u8> =
        content(length).chunks(piece_length).flat_map(|piece| Sha1::digest(piece).to_vec()).collect();
    let mut file = b"d".to_vec();
    if !tiers.is_empty() {
        file.extend(b"13:announce-listl");
        for tier in tiers {
            file.push(b'l');
            tier.iter().for_each(|url| file.extend(format!("{}:{url}", url.len()).bytes()));
            file.push(b'e');
        }
        file.push(b'e');
    }
    file.extend(
        format!("4:infod6:lengthi{length}e4:name1:t12:piece lengthi{piece_length}e6:pieces{}:", hashes.len())
            .bytes(),
    );
    file.extend(hashes);
    file.extend(format!("{more}ee").bytes());
    Metainfo::decode(&file).unwrap()
}

/// A session and the world around it.
pub(super) struct Stage {
    pub(super) session: Session,
    pub(super) now: Timestamp,
    pub(super) torrent: Arc<Metainfo>,
    pub(super) content: Vec<u8>,
    pub(super) disk: MemoryDisk,
    /// The ranges that were stored of each piece, so that none is stored twice.
    stored: BTreeMap<PieceIndex, BTreeMap<u32, u32>>,
    pub(super) kept: Vec<u32>,
    /// Whether stored bytes and hashes are answered at once.
    pub(super) disk_works: bool,
    /// The time the session wants to be woken at, once it has nothing to say.
    pub(super) wakes: Option<Timestamp>,
    pub(super) over: bool,
    pub(super) observers: Observers,
}

/// Settings with which URLs lead anywhere, and trackers are asked once.
pub(super) fn config() -> Config {
    let mut config = Config::new(Profile::own("bittrace/0"));
    config.port = 6881;
    config.allow_local = true;
    config.profile.announce.both_families = false;
    config.profile.announce.both_hashes = false;
    config
}

pub(super) fn single() -> Config {
    Config { single_peer: true, ..config() }
}

impl Stage {
    pub(super) fn new(config: Config, torrent: Metainfo, have: &[u32]) -> Self {
        let torrent = Arc::new(torrent);
        let now = Timestamp::from_secs_nanos(1_000_000, 0);
        let identity = Identity::new(PeerId(*OUR_ID), 0x0123_abcd, 7);
        let have = have.iter().map(|&piece| PieceIndex(piece));
        Self {
            session: Session::new(config, torrent.clone(), identity, have, now),
            now,
            content: content(usize::try_from(torrent.total()).unwrap()),
            disk: MemoryDisk::new(torrent.clone()),
            torrent,
            stored: BTreeMap::new(),
            kept: Vec::new(),
            disk_works: true,
            wakes: None,
            over: false,
            observers: Observers::default(),
        }
    }

    /// Of a magnet link to this torrent, whose metadata the session does not have.
    pub(super) fn of_magnet(config: Config, torrent: Metainfo, link: &str) -> Self {
        let mut stage = Self::new(config.clone(), torrent, &[]);
        let identity = Identity::new(PeerId(*OUR_ID), 0x0123_abcd, 7);
        stage.session = Session::of_magnet(config, &link.parse().unwrap(), identity, stage.now);
        stage
    }

    /// Of one tracker over HTTP, 40,000 bytes in two pieces: blocks of 16384, 16384 and 7232.
    pub(super) fn small(config: Config) -> Self {
        Self::new(config, torrent(40_000, 32_768, &[&["http://t.test/announce"]], ""), &[])
    }

    /// Has something happen; what the session does then.
    pub(super) fn hear(&mut self, input: Input) -> Vec<String> {
        self.observers.hear(&self.session, self.now, &input);
        self.session.handle(self.now, input);
        self.said()
    }

    /// What the session does now.
    pub(super) fn said(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let output = self.session.poll();
            self.observers.see(&self.session, self.now, &output);
            match output {
                Output::Wait(Some(at)) if at <= self.now => self.session.handle(self.now, Input::Tick),
                Output::Wait(at) => {
                    self.observers.check(&self.session);
                    self.wakes = at;
                    return lines;
                }
                Output::Done => {
                    if !std::mem::replace(&mut self.over, true) {
                        lines.push("done".to_owned());
                    }
                    return lines;
                }
                Output::Store(..) | Output::HashBlocks(..) => self.work(&output),
                Output::Discard(piece) => {
                    self.work(&output);
                    lines.push(format!("discard {piece}"));
                }
                Output::Commit(piece) => {
                    self.kept.push(piece.0);
                    lines.push(format!("keep {piece}"));
                }
                Output::Send(stream, bytes) => lines.push(sent(stream.0, &bytes)),
                other => lines.extend(line(&other)),
            }
        }
    }

    /// Does what an output wants of the disk, and tells the session where the disk works.
    pub(super) fn work(&mut self, output: &Output) {
        match output {
            Output::Store(piece, offset, bytes) => self.note_stored(*piece, *offset, bytes.len() as u32),
            Output::Discard(piece) => {
                self.stored.remove(piece);
            }
            _ => {}
        }
        let inputs = self.disk.handle(output).expect("an output about the disk");
        if self.disk_works {
            inputs.into_iter().for_each(|input| self.session.handle(self.now, input));
        }
    }

    /// Nothing may be stored outside the piece or twice.
    fn note_stored(&mut self, piece: PieceIndex, offset: u32, count: u32) {
        let size = self.torrent.placement().unwrap().piece_size(piece).expect("a piece of the torrent");
        let end = offset + count;
        assert!(end <= size, "{piece}: {offset}..{end} is beyond {size}");
        let parts = self.stored.entry(piece).or_default();
        for (&start, &part) in parts.iter() {
            assert!(end <= start || start + part <= offset, "{piece}: {offset}..{end} comes twice");
        }
        parts.insert(offset, count);
    }

    pub(super) fn piece(&self, piece: PieceIndex) -> Vec<u8> {
        self.disk.piece(piece).to_vec()
    }

    /// Lets time pass, waking the session as it wishes; what it does meanwhile.
    pub(super) fn wait(&mut self, seconds: f64) -> Vec<String> {
        let until = self.now + Duration::from_secs_f64(seconds);
        let mut lines = self.said();
        let mut turns = 0;
        while let Some(at) = self.wakes.filter(|&at| at <= until && !self.over) {
            self.now = at;
            lines.extend(self.hear(Input::Tick));
            turns += 1;
            assert!(turns < 100_000, "the session is woken again and again at {at:?}");
        }
        self.now = until;
        lines.extend(self.hear(Input::Tick));
        lines
    }

    pub(super) fn opened(&mut self, stream: u32, address: &str) -> Vec<String> {
        self.hear(Input::Opened(SessionStreamId(stream), address.parse().unwrap()))
    }

    pub(super) fn receive(&mut self, stream: u32, bytes: &[u8]) -> Vec<String> {
        self.hear(Input::Received(SessionStreamId(stream), Bytes::copy_from_slice(bytes)))
    }

    /// Answers every request in these lines with the right block, and what is asked for then, until nothing is or this
    /// piece is kept.
    pub(super) fn give(&mut self, lines: Vec<String>, last: Option<u32>) -> Vec<String> {
        let mut queue = std::collections::VecDeque::from(lines);
        let mut all = Vec::new();
        while let Some(line) = queue.pop_front() {
            for (stream, index, begin, length) in requests(&line) {
                let block = self.block(index, begin, length);
                queue.extend(self.receive(stream, &block));
            }
            all.push(line);
            if last.is_some_and(|last| self.kept.contains(&last)) {
                all.extend(queue);
                return all;
            }
        }
        all
    }

    pub(super) fn closed(&mut self, stream: u32, closing: CloseReason) -> Vec<String> {
        self.hear(Input::Closed(SessionStreamId(stream), closing))
    }

    /// The tracker on stream 0 answers the first announce with these peers, half an hour to the next announce.
    pub(super) fn announced(&mut self, peers: &[[u8; 6]]) -> Vec<String> {
        self.said();
        self.opened(0, "10.0.0.9:80");
        self.receive(0, &answer(&peers.concat()))
    }

    pub(super) fn handshake(&self, reserved: [u8; 8], id: &[u8; 20]) -> Vec<u8> {
        handshake(reserved, &self.torrent.info_hash.0, id)
    }

    /// A piece message with this much of the content.
    pub(super) fn block(&self, index: u32, begin: u32, length: u32) -> Vec<u8> {
        let start = (index * self.torrent.piece_length + begin) as usize;
        let mut bytes = numbers(&[9 + length]);
        bytes.push(7);
        bytes.extend(numbers(&[index, begin]));
        bytes.extend(&self.content[start..start + length as usize]);
        bytes
    }
}

pub(super) const PEER_A: [u8; 6] = [10, 0, 0, 1, 0x1a, 0xe1];
pub(super) const PEER_B: [u8; 6] = [10, 0, 0, 2, 0x1a, 0xe1];

pub(super) fn answer(peers: &[u8]) -> Vec<u8> {
    let mut body = format!("d8:intervali1800e5:peers{}:", peers.len()).into_bytes();
    body.extend(peers);
    body.push(b'e');
    let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend(body);
    bytes
}

pub(super) fn handshake(reserved: [u8; 8], info_hash: &[u8; 20], id: &[u8; 20]) -> Vec<u8> {
    let mut bytes = b"\x13BitTorrent protocol".to_vec();
    bytes.extend(reserved);
    bytes.extend(info_hash);
    bytes.extend(id);
    bytes
}

pub(super) fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// The requests in the line for bytes sent.
pub(super) fn requests(line: &str) -> Vec<(u32, u32, u32, u32)> {
    let mut words = line.split(' ');
    if words.next() != Some("send") {
        return Vec::new();
    }
    let stream = words.next().unwrap().parse().unwrap();
    let bytes: Vec<u8> = words.map_while(|word| u8::from_str_radix(word, 16).ok()).collect();
    let (mut rest, mut found) = (&bytes[..], Vec::new());
    while let Some(head) = rest.first_chunk::<4>() {
        let length = 4 + u32::from_be_bytes(*head) as usize;
        let Some(message) = rest.get(..length) else { break };
        if message.get(4) == Some(&6) {
            let number = |at: usize| u32::from_be_bytes(*message[at..].first_chunk::<4>().unwrap());
            found.push((stream, number(5), number(9), number(13)));
        }
        rest = &rest[length..];
    }
    found
}

/// A request (6), cancel (8) or reject (16).
pub(super) fn about(id: u8, index: u32, begin: u32, length: u32) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 13, id];
    bytes.extend(numbers(&[index, begin, length]));
    bytes
}

pub(super) const CHOKE: [u8; 5] = [0, 0, 0, 1, 0];
pub(super) const UNCHOKE: [u8; 5] = [0, 0, 0, 1, 1];
pub(super) const INTERESTED: [u8; 5] = [0, 0, 0, 1, 2];
pub(super) const NOT_INTERESTED: [u8; 5] = [0, 0, 0, 1, 3];

pub(super) const HAVE_ALL: [u8; 5] = [0, 0, 0, 1, 14];
pub(super) const HAVE_NONE: [u8; 5] = [0, 0, 0, 1, 15];

/// The line for bytes sent: hex, the long run of a block cut.
pub(super) fn sent(stream: u32, bytes: &[u8]) -> String {
    if bytes.starts_with(b"GET ") {
        return format!("send {stream} {}", bytes.escape_ascii());
    }
    let hex: Vec<_> = bytes.iter().take(400).map(|byte| format!("{byte:02x}")).collect();
    let rest = if bytes.len() > 400 { format!(" and {} more", bytes.len() - 400) } else { String::new() };
    format!("send {stream} {}{rest}", hex.join(" "))
}

/// The line for an output or event; what only repeats another line has none.
fn line(output: &Output) -> Option<String> {
    Some(match output {
        Output::Open(stream, endpoint) => match endpoint {
            Endpoint::Peer(peer) => format!("open {} {peer}", stream.0),
            Endpoint::UtpPeer(peer, how) => format!("open {} {peer} over uTP, {how:?}", stream.0),
            Endpoint::HttpTracker(remote) => format!("open {} http {}", stream.0, text(remote)),
            Endpoint::UdpTracker(remote) => format!("open {} udp {}", stream.0, text(remote)),
            Endpoint::WebSeed(remote) => format!("open {} web seed {}", stream.0, text(remote)),
        },
        Output::Pause(stream) => format!("pause {}", stream.0),
        Output::Secret(stream, key) => format!("secret {} {}", stream.0, key.info_hash),
        Output::Close(stream, None) => format!("close {}", stream.0),
        Output::Close(stream, Some(violation)) => format!("close {} {violation:?}", stream.0),
        Output::Load(stream, block) => {
            format!("load {} {} {} {}", stream.0, block.index, block.begin, block.length)
        }
        Output::Resolve(name) => format!("resolve {name}"),
        Output::Event(Event::Unresolved { name, reason }) => format!("{name} has no address: {reason}"),
        Output::Event(Event::Disconnected { stream, reason: closing, downloaded: given, .. }) => {
            format!("gone {} {closing:?} gave {given}", stream.0)
        }
        Output::Event(Event::Connected { stream, .. }) => format!("connected {}", stream.0),
        Output::Event(Event::Trying { .. } | Event::Announcing { .. }) => return None,
        Output::Event(Event::Announced { reply, .. }) => format!("announced, {} peers", reply.peers.len()),
        Output::Event(Event::TrackerFailed { reason, again, .. }) => {
            format!("tracker failed: {reason}; again {again:?}")
        }
        Output::Event(Event::PieceDone { index, from }) => format!("piece {index} done, from {from:?}"),
        Output::Event(Event::PieceCorrupt { index, from }) => format!("piece {index} corrupt, from {from:?}"),
        Output::Event(Event::WebSeedConnected { url, .. }) => format!("web seed {url} connected"),
        Output::Event(Event::WebSeedFailed { reason, again, .. }) => {
            format!("web seed failed: {reason}; again {again:?}")
        }
        Output::Metadata(bytes, layers) if layers.is_empty() => format!("metadata of {} bytes", bytes.len()),
        Output::Metadata(bytes, layers) => {
            format!("metadata of {} bytes, {} layers", bytes.len(), layers.len())
        }
        Output::Event(Event::MetadataCorrupt { from }) => format!("metadata corrupt, from {from:?}"),
        Output::Event(Event::MetadataDisagrees) => "metadata disagrees".to_owned(),
        Output::Event(Event::PieceLost { index }) => format!("piece {index} lost"),
        Output::Event(Event::Complete) => "complete".to_owned(),
        _ => return None,
    })
}

/// A host and its port, and what of it may be dialled where that is not everything.
fn text(remote: &Remote) -> String {
    let Remote { host, port, family, may_be_local, tls } = remote;
    let tls = tls.as_ref().map_or(String::new(), |tls| match &tls.connect {
        None => format!(" tls {}", tls.name),
        Some(connect) => format!(" tls {} by {}", tls.name, connect.escape_ascii()),
    });
    let family = family.map_or(String::new(), |family| format!(" {family:?}"));
    format!("{host} {port}{family}{}{tls}", if *may_be_local { "" } else { " public" })
}

/// Compares what was said with what should have been, and shows both whole.
#[track_caller]
pub(super) fn assert_said(said: Vec<String>, wanted: &[String]) {
    assert!(said == wanted, "said:\n  {}\nwanted:\n  {}", said.join("\n  "), wanted.join("\n  "));
}

/// Lines from anything that is text.
#[macro_export]
macro_rules! lines {
    ($($line:expr),* $(,)?) => { &[$(String::from($line)),*] };
}
