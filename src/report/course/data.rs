//! What the pictures are drawn from, as columns: the finished aggregate, in the form in which the page embeds it.
//!
//! Moments are whole microseconds since the first packet of the capture. `n` is the number of a message as the table of
//! messages has it. `end` is the place of a far end in [`Course::ends`], or -1 for a far end that is not listed there.
//! Directions are seen from the local host: *in* is what it received.

mod answers;
mod content;
mod swarm;

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::hosts::HostKey;

pub use answers::*;
pub use content::*;
pub use swarm::*;

/// Microseconds since the first packet of the capture.
pub type Micros = u64;

/// All that the pictures of one capture show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Course {
    /// The file.
    pub capture: CaptureFacts,
    /// The first packet, which is 0, and the last.
    pub span: [Micros; 2],
    /// The host that the capture is about; `None` where nothing tells which it is.
    pub local: Option<LocalHost>,
    /// Whether no host is local, so that directions are those of who opened the connection: *out* is what the initiator sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_roles: bool,
    /// Lifelines: the local host, then by messages, at most [`MOST_HOSTS`](super::MOST_HOSTS).
    pub hosts: Vec<Host>,
    /// The hosts beyond those, with their messages.
    pub other_hosts: Option<OtherHosts>,
    /// The far ends, those that carried most first. All lanes' far ends are among them.
    pub ends: Vec<FarEnd>,
    /// How many far ends are not listed.
    pub other_ends: u64,
    /// Connections between peers and to web seeds: those that carried most, in the order of their first message.
    pub lanes: Vec<Lane>,
    /// The connections beyond those.
    pub other_lanes: Option<OtherLanes>,
    /// Trackers, the DHT and local service discovery, in the order of their first message.
    pub askers: Vec<Asker>,
    /// The rules that messages broke, and what else is worth knowing: the most severe first, then by first message.
    pub findings: Vec<CourseFinding>,
    /// Messages by bin and kind.
    pub counts: Counts,
    /// Bytes of blocks by bin, direction and far end.
    pub bytes: ByteCounts,
    /// The blocks of the torrent that most blocks came of.
    pub blocks: Blocks,
    /// The pieces of that torrent; `None` where there are no blocks and no torrent is known.
    pub pieces: Option<Pieces>,
    /// How long answers took.
    pub latencies: Latencies,
    /// What hosts did for each other, where none of them is local and there are three or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swarm: Option<Swarm>,
    /// The sums of all.
    pub totals: Totals,
    /// The place in `lanes` by stream.
    #[serde(skip)]
    pub(super) lane_by_stream: FxHashMap<u32, usize>,
    /// The place in `hosts` by address.
    #[serde(skip)]
    pub(super) host_by_key: FxHashMap<HostKey, usize>,
}

/// A capture file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaptureFacts {
    /// Its file name, without folders.
    pub name: String,
    /// Its format, and what it is wrapped in, as in `pcap, gzip`.
    pub format: String,
    /// How many packets were read.
    pub packets: u64,
    /// When its first packet was captured (RFC 3339); `None` without packets.
    pub start: Option<String>,
}

/// The host that the capture is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LocalHost {
    /// Its address.
    pub address: String,
    /// Its client, where it said so.
    pub client: Option<String>,
}

/// A host that sent or received messages. Where both ends of a connection have one address (loopback), the remote end
/// counts as a host of its own, by address and port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Its address.
    pub address: String,
    /// Its client, as it last said.
    pub client: Option<String>,
    /// How many messages it sent or received.
    pub messages: u64,
}

/// Hosts that are not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OtherHosts {
    /// How many; of those beyond the first 10,000, each counts once for every message.
    pub hosts: u64,
    /// How many messages they sent or received.
    pub messages: u64,
}

/// A peer or web seed, over all its connections: known by address and peer id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FarEnd {
    /// Its client, `web seed`, or its address where it has not said.
    pub label: String,
    /// Its address and port: the one that was called, where the local host called it.
    pub address: String,
    /// 0 to 5 for the six that carried most, otherwise -1.
    pub colour: i8,
    /// Bytes of blocks that it sent to the local host.
    pub received: u64,
    /// Bytes of blocks that it received.
    pub sent: u64,
}

/// A connection between peers, or to a web seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lane {
    /// The far end.
    pub end: i32,
    /// The stream, as the table of messages has it.
    pub stream: u32,
    /// Wireshark's `tcp.stream`, or `udp.stream` for uTP.
    pub tcp_stream: Option<u32>,
    /// The far end's client or address. Where the local host is at neither end, both addresses.
    pub label: String,
    /// The first packet.
    pub opened: Micros,
    /// The last; `None` where it was open when the capture ended.
    pub closed: Option<Micros>,
    /// Whether the far end opened it.
    pub incoming: bool,
    /// `tcp`, `utp` or `udp`.
    pub transport: &'static str,
    /// How it ended; `None` where that is not known.
    pub outcome: Option<&'static str>,
    /// Whether a part of it is encrypted and cannot be read.
    pub encrypted: bool,
    /// How many messages it carried.
    pub messages: u64,
    /// Bytes of blocks that the local host received.
    pub received: u64,
    /// Bytes of blocks that it sent.
    pub sent: u64,
    /// What the local host may ask of the far end.
    pub may_ask: Rail,
    /// What the far end may ask of the local host.
    pub they_ask: Rail,
    /// How many changes of both rails were merged into "changes often".
    pub changes_merged: u64,
    /// The local host's requests under way.
    pub under_way: UnderWay,
    /// The most at any moment.
    pub most_under_way: u32,
    /// From when on rails and requests under way are known, where memory was too short to keep them from the beginning.
    pub detail_since: Option<Micros>,
}

/// Choking and interest of one direction: each change, and the state from then on. It begins where both are known, which
/// is late or never in a connection that was joined in the middle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rail {
    /// When.
    pub t: Vec<Micros>,
    /// 0 neither; 1 may ask, wants nothing; 2 wants, is choked; 3 wants and may; 4 changes often.
    pub s: Vec<u8>,
}

/// How many requests were under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum UnderWay {
    /// Each change, and the number from then on.
    Exact {
        /// When.
        t: Vec<Micros>,
        /// How many.
        n: Vec<u32>,
    },
    /// In bins from moment 0.
    Binned {
        /// The width of a bin.
        bin: Micros,
        /// The most within each bin.
        max: Vec<u32>,
        /// How many at its end.
        last: Vec<u32>,
    },
}

/// Connections that have no lane of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherLanes {
    /// How many.
    pub connections: u64,
    /// The width of a bin.
    pub bin: Micros,
    /// Their messages by bin, from moment 0.
    pub messages: Vec<u64>,
}

/// A tracker, the DHT, or local service discovery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asker {
    /// As in `Tracker 10.77.0.1:6969`.
    pub label: String,
    /// `tracker`, `dht` or `lsd`.
    pub kind: &'static str,
    /// The requests, at most [`MOST_MARKS`](super::MOST_MARKS), evenly over all.
    pub asked: Asked,
    /// The responses, likewise.
    pub answered: Answered,
    /// How many requests there were.
    pub asked_count: u64,
    /// How many responses.
    pub answered_count: u64,
    /// How many of both are not among the marks.
    pub left_out: u64,
}

/// Requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// When.
    pub t: Vec<Micros>,
    /// The message.
    pub n: Vec<u64>,
    /// `started`, `completed`, `stopped`, `regular`; otherwise the message's name.
    pub event: Vec<&'static str>,
}

/// Responses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// When.
    pub t: Vec<Micros>,
    /// The message.
    pub n: Vec<u64>,
    /// 1 where it is an error or cannot be read.
    pub failed: Vec<u8>,
}

/// The notes of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CourseFinding {
    /// `error`, `warn` or `note`.
    pub severity: &'static str,
    /// The rule's name.
    pub rule: &'static str,
    /// How many notes there are.
    pub count: u64,
    /// What is so when a message has the note.
    pub title: &'static str,
    /// What the first note says.
    pub first: String,
    /// The document and its section; empty for a rule of no document.
    pub source: String,
    /// A display filter of Wireshark that selects the first packets.
    pub filter: String,
    /// When the messages with the note were sent: the first [`MOST_MESSAGES`](super::MOST_MESSAGES).
    pub t: Vec<Micros>,
    /// Those messages.
    pub n: Vec<u64>,
}

/// Messages by bin, from moment 0. The five columns have equal lengths, and together they hold every message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The width of a bin.
    pub bin: Micros,
    /// `piece`.
    pub blocks: Vec<u64>,
    /// `request`.
    pub requests: Vec<u64>,
    /// `have`.
    pub haves: Vec<u64>,
    /// Everything else on connections.
    pub other_peer: Vec<u64>,
    /// Trackers, the DHT and local service discovery.
    pub trackers_dht: Vec<u64>,
}

/// Bytes of blocks by bin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ByteCounts {
    /// The width of a bin.
    pub bin: Micros,
    /// What the local host received.
    #[serde(rename = "in")]
    pub received: Vec<EndBytes>,
    /// What it sent.
    #[serde(rename = "out")]
    pub sent: Vec<EndBytes>,
}

/// Bytes of blocks of one far end. Bins without bytes are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndBytes {
    /// The far end; -1 for all that have no colour.
    pub end: i32,
    /// The bins, ascending.
    pub bin: Vec<u32>,
    /// Their bytes.
    pub bytes: Vec<u64>,
}

/// Sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Messages.
    pub messages: u64,
    /// Connections between peers and to web seeds on which something was said.
    pub connections: u64,
    /// Far ends of those.
    pub peers: u64,
    /// Notes of severity error.
    pub errors: u64,
    /// Notes of severity warn.
    pub warnings: u64,
    /// Notes of severity note.
    pub notes: u64,
    /// Bytes of blocks that the local host received.
    pub received: u64,
    /// Bytes of blocks that it sent.
    pub sent: u64,
    /// Bytes of blocks that their receiver already had, for whatever reason.
    pub again: u64,
    /// Of those, bytes of pieces that had had the wrong hash.
    pub again_after_wrong_hash: u64,
    /// Blocks of which the capture has the head and not all the content, so that pieces with them cannot be checked.
    pub cut_blocks: u64,
    /// Pieces of the torrent that came whole and right.
    pub verified: u64,
    /// Its pieces; 0 where the torrent is not known.
    pub pieces: u64,
}
