//! What happens in a run, in lines: who was asked, what they answered, who was tried and why it failed.

use std::io::Write;
use std::net::SocketAddr;

use bittrace_client::Notice;
use bittrace_protocol::dht::SearchResult;
use bittrace_protocol::mse::Methods;
use bittrace_protocol::session::{CloseReason, DisconnectReason, Event, Transport, Violation};
use bittrace_protocol::tracker::http::{AnnounceReply, Request};
use bittrace_protocol::{Metainfo, client_name};
use bittrace_trace::units::{count as thousands, counted, rough_size, seconds, short_hex, span};
use rustc_hash::FxHashMap;

use super::ways::way_in_words;
use crate::args::Common;
use crate::commands::torrent::write_contents;
use crate::print::output::{Look, styles};
use crate::print::printable::disguises;
use crate::print::table::{Column, render};

/// Tells what happens.
pub(super) struct Narrator {
    look: Look,
    verbose: bool,
    /// Whether the messages themselves are shown beside, so that nothing is told of them here.
    beside_rows: bool,
    /// Whether not all files are wanted.
    is_choice: bool,
    attempts: u32,
    /// The number of each attempt that goes on, for its outcome.
    open: FxHashMap<SocketAddr, u32>,
}

/// How many faults of a torrent are listed.
const FAULTS: usize = 5;

/// How many peers of an answer are listed.
const PEERS: usize = 20;

impl Narrator {
    pub(super) fn new(look: Look, common: Common, beside_rows: bool) -> Self {
        Self {
            look,
            verbose: common.verbose,
            beside_rows,
            is_choice: false,
            attempts: 0,
            open: FxHashMap::default(),
        }
    }

    /// Writes the lines that `notice` is worth. Writing to memory does not fail.
    pub(super) fn tell(&mut self, notice: &Notice, out: &mut Vec<u8>) {
        let mut style = styles::PLAIN;
        let line = match notice {
            Notice::Checked { verified, damaged } => {
                if verified.count() == 0 && damaged.is_empty() {
                    return;
                }
                let mut text = format!("On disk: {} verified", counted(u64::from(verified.count()), "piece"));
                if !damaged.is_empty() {
                    text.push_str(&format!(", {} damaged", counted(damaged.len() as u64, "piece")));
                }
                text
            }
            Notice::Described { torrent } => return self.described(torrent, out),
            Notice::Chosen { chosen, pieces } => {
                self.is_choice = true;
                let (of, pieces) = (counted(chosen.of() as u64, "file"), counted((*pieces).into(), "piece"));
                format!("Files chosen: {} of {of}, in {pieces}", thousands(chosen.count() as u64))
            }
            Notice::Renamed { count, names } => return self.renamed(*count, names, out),
            Notice::ReadOnly { path } => {
                format!("Nothing is written: {} is read-only, and every file is complete", path.display())
            }
            Notice::Listening { port } => format!("Listening on port {port}"),
            Notice::PrivateTorrent => {
                "A private torrent: peers come from its trackers only, not from the DHT".to_owned()
            }
            Notice::DhtSearched(result) => searched(result),
            Notice::DhtStateFailed { error } => {
                style = styles::WARN;
                let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
                format!("{error}{}", cause.unwrap_or_default())
            }
            Notice::FileDone { path } => format!("Complete: {}", path.display()),
            Notice::KeyLogFailed { error } => {
                style = styles::WARN;
                format!("No more keys of encrypted connections are written: {error}")
            }
            Notice::RecordingFailed { error } => {
                style = styles::WARN;
                match super::record_target::is_without_reader(error) {
                    true => "The recording ends here: the program that read it has gone".to_owned(),
                    false => format!("The recording ends here: {error}"),
                }
            }
            Notice::Session(event) => return self.event(event, out),
            Notice::Checking { .. } | Notice::Progress { .. } => return,
        };
        let _ = writeln!(out, "{}", self.look.paint(style, &line));
    }

    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        let mut style = styles::PLAIN;
        let line = match event {
            Event::Announcing { .. } | Event::Announced { .. } if self.beside_rows => return,
            Event::Announcing { url, request } => return self.announcing(url, request, out),
            Event::Announced { url, reply } => return self.announced(url, reply, out),
            Event::TrackerFailed { url, reason, again } => {
                let again = again
                    .map_or(String::new(), |time| format!("; next announce in {}", seconds(time.as_secs())));
                style = styles::WARN;
                format!("Tracker {url} failed: {reason}{again}")
            }
            Event::Unresolved { name, reason } => {
                style = styles::WARN;
                format!("Peer {name}: the name cannot be resolved: {reason}")
            }
            Event::WebSeedConnected { url, address } => format!("Web seed {url}: {address}: connected"),
            Event::WebSeedFailed { url, reason, again } => {
                style = styles::WARN;
                let again = again.map_or(", not used any longer".to_owned(), |wait| {
                    format!(", again in {}", span(wait.as_secs_f64()))
                });
                format!("Web seed {url} failed: {reason}{again}")
            }
            Event::Trying { peer, way, .. } => {
                self.attempts += 1;
                self.open.insert(*peer, self.attempts);
                if self.beside_rows {
                    return;
                }
                format!("Peer {}: {peer}: connecting ({})", self.attempts, way_in_words(*way))
            }
            Event::Connected { .. } if self.beside_rows => return,
            Event::Connected { peer, peer_id, encryption, transport, .. } => {
                let client = client_name(peer_id).map_or_else(|| peer_id.readable(), |name| name.to_string());
                let encryption = match encryption {
                    Some(method) if method.has(Methods::RC4) => ", encrypted with RC4",
                    Some(_) => ", in clear after an encrypted negotiation",
                    None => "",
                };
                let transport = if *transport == Transport::Utp { ", over uTP" } else { "" };
                format!("Peer {}: {peer}: connected, {client}{transport}{encryption}", self.number(*peer))
            }
            Event::Disconnected { peer, reason: closing, downloaded: given, .. } => {
                let number = self.number(*peer);
                self.open.remove(peer);
                let gave =
                    if *given > 0 { format!("; received {}", rough_size(*given)) } else { String::new() };
                let text = format!("Peer {number}: {peer}: {}{gave}", gone(closing));
                if !matches!(
                    closing,
                    DisconnectReason::Finished
                        | DisconnectReason::Upgraded
                        | DisconnectReason::Closed(CloseReason::ByRemote)
                ) {
                    style = styles::WARN;
                }
                text
            }
            Event::PieceDone { index, from } if self.verbose => {
                format!("Piece {index} verified, from {}", addresses(from))
            }
            Event::PieceDone { .. } => return,
            Event::PieceCorrupt { index, from } => {
                let text = format!("Piece {index} has a wrong hash; it came from {}", addresses(from));
                self.look.paint(styles::WARN, &text)
            }
            Event::MetadataCorrupt { from } => {
                style = styles::WARN;
                format!("The metadata has a wrong hash; it came from {}", addresses(from))
            }
            Event::MetadataDisagrees => {
                style = styles::WARN;
                "The two info hashes of the link are of two torrents: only one fits the metadata".to_owned()
            }
            Event::PieceLost { index } => {
                style = styles::WARN;
                format!("Piece {index} can no longer be read from disk: it is not served any more")
            }
            Event::HashesDisagree { index } => {
                style = styles::WARN;
                format!(
                    "Piece {index} has one of its two hashes and not the other: the torrent describes two contents as if they were one"
                )
            }
            Event::Complete if self.is_choice => "Every piece of the chosen files is verified".to_owned(),
            Event::Complete => "Every piece is verified".to_owned(),
        };
        let _ = writeln!(out, "{}", self.look.paint(style, &line));
    }

    /// The torrent of a magnet link is known.
    fn described(&self, torrent: &Metainfo, out: &mut Vec<u8>) {
        let text = format!("Metadata received: {}", counted(torrent.info_bytes().len() as u64, "byte"));
        let _ = writeln!(out, "\n{}", self.look.paint(styles::PLAIN, &text));
        let _ = write_contents(torrent, self.look, out);
        for fault in torrent.faults.iter().take(FAULTS) {
            let _ = writeln!(out, "{}", self.look.paint(styles::WARN, &fault.to_string()));
        }
    }

    fn renamed(&self, count: usize, names: &[(String, String)], out: &mut Vec<u8>) {
        let warning = |line: &str| self.look.paint(styles::WARN, line);
        for (name, stored) in names {
            let line = format!("Not a safe name: {name} is stored as {stored}");
            let _ = writeln!(out, "{}", warning(&line));
        }
        if let Some(more) = count.checked_sub(names.len()).filter(|&more| more > 0) {
            let line = format!("Not safe either: {}", counted(more as u64, "more name"));
            let _ = writeln!(out, "{}", warning(&line));
        }
    }

    fn number(&mut self, peer: SocketAddr) -> String {
        // One that called has no attempt of ours.
        self.open.get(&peer).map_or_else(|| "←".to_owned(), u32::to_string)
    }

    fn announcing(&self, url: &str, request: &[u8], out: &mut Vec<u8>) {
        let heading = self.look.paint(styles::HEADING, "Announcing to");
        let _ = writeln!(out, "\n{heading} {}", self.look.paint(styles::PLAIN, url));
        let Ok(request) = Request::decode(request) else {
            let _ = writeln!(out, "  a datagram of {}", counted(request.len() as u64, "byte"));
            return;
        };
        let rows: Vec<Vec<String>> = request
            .parameters()
            .iter()
            .map(|parameter| {
                let name = String::from_utf8_lossy(&parameter.decoded_name).into_owned();
                vec![name, readable(&parameter.decoded)]
            })
            .collect();
        let _ = out.write_all(
            render(&[Column::text("parameter", 10), Column::text("value", 20)], &rows, self.look).as_bytes(),
        );
        if self.verbose {
            // Never broken: people copy it.
            for line in String::from_utf8_lossy(&request.source).lines() {
                let _ = writeln!(out, "  {}", self.look.paint(styles::DIM, line));
            }
        }
    }

    fn announced(&self, url: &str, reply: &AnnounceReply, out: &mut Vec<u8>) {
        let heading = self.look.paint(styles::HEADING, "Response of");
        let _ = writeln!(out, "{heading} {}", self.look.paint(styles::PLAIN, url));
        let mut rows = Vec::new();
        let mut row = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                rows.push(vec![name.to_owned(), value]);
            }
        };
        row("interval", reply.interval.map(seconds));
        row("min interval", reply.min_interval.map(seconds));
        row("seeders", reply.complete.map(|count| count.to_string()));
        row("leechers", reply.incomplete.map(|count| count.to_string()));
        row("downloaded", reply.downloaded.map(|count| counted(count, "time")));
        row("external ip", reply.external_ip.map(|ip| ip.to_string()));
        row("warning", reply.warning.clone());
        row("peers", Some(reply.peers.len().to_string()));
        let columns = [Column::text("key", 10), Column::text("value", 20)];
        let _ = out.write_all(render(&columns, &rows, self.look).as_bytes());
        if reply.peers.is_empty() {
            return;
        }
        let peers: Vec<Vec<String>> = reply
            .peers
            .iter()
            .take(PEERS)
            .enumerate()
            .map(|(at, peer)| {
                let id = peer.peer_id.map_or_else(String::new, |id| id.readable());
                vec![(at + 1).to_string(), peer.to_string(), id]
            })
            .collect();
        let columns = [Column::numbers("n"), Column::text("peer", 20), Column::text("peer id", 20)];
        let _ = out.write_all(render(&columns, &peers, self.look).as_bytes());
        if reply.peers.len() > PEERS {
            let _ = writeln!(out, "  … {} more", reply.peers.len() - PEERS);
        }
    }
}

/// A value of an announce as a person reads it: hex where it is no text.
fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(disguises) => text.to_owned(),
        _ => bittrace_protocol::Hex(bytes).to_string(),
    }
}

/// What a search of the DHT came to.
fn searched(result: &SearchResult) -> String {
    if result.answers == 0 {
        return format!("DHT: no answer from {}", counted(result.queries as u64, "node"));
    }
    let told = match result.told {
        0 => String::new(),
        told => format!("; announced to {}", counted(told as u64, "node")),
    };
    let (peers, nodes) = (counted(result.peers as u64, "peer"), counted(result.answers as u64, "node"));
    format!("DHT: {peers} found, {nodes} answered{told}")
}

fn addresses(peers: &[SocketAddr]) -> String {
    let names: Vec<String> = peers.iter().map(SocketAddr::to_string).collect();
    if names.is_empty() { "disk".to_owned() } else { names.join(", ") }
}

/// Why the connection to a peer ended, in words.
pub(super) fn gone(gone: &DisconnectReason) -> String {
    match gone {
        DisconnectReason::Finished => "done".to_owned(),
        DisconnectReason::Upgraded => "connecting anew, with version 2 of the torrent".to_owned(),
        DisconnectReason::Closed(closing) => match closing {
            CloseReason::ByRemote => "closed the connection".to_owned(),
            CloseReason::Reset => "reset the connection".to_owned(),
            CloseReason::Refused => "connection refused".to_owned(),
            CloseReason::TimedOut => "no response to the connection attempt".to_owned(),
            CloseReason::Unresolved(reason) => format!("the name cannot be resolved: {reason}"),
            CloseReason::Local(address) => format!("{address} is in a local network, see --allow-local"),
            CloseReason::Failed(reason) => format!("the connection failed: {reason}"),
        },
        DisconnectReason::Violated(violation) => violation_in_words(violation),
    }
}

/// Why the session closed the connection to a peer, in words.
pub(crate) fn violation_in_words(violation: &Violation) -> String {
    match violation {
        Violation::WrongInfoHash(hash) => {
            format!("handshake for another torrent, {}", short_hex(&hash.to_string()))
        }
        Violation::SelfConnection => "this is our own client".to_owned(),
        Violation::Duplicate => "already connected".to_owned(),
        Violation::Malformed(wanted) => format!("sent an invalid message: expected {wanted}"),
        Violation::Unencrypted => {
            "connected without encryption, which --encryption require refuses".to_owned()
        }
        Violation::OutOfRange => "named pieces or blocks that the torrent does not have".to_owned(),
        Violation::CorruptPiece(index) => format!("sent corrupt data in piece {index}"),
        Violation::CorruptMetadata => "sent metadata with a wrong hash".to_owned(),
        Violation::CorruptHashes => "sent hashes that do not lead to the root of their file".to_owned(),
        Violation::NotOfTracker => "the torrent is private, and no tracker named this peer".to_owned(),
        Violation::Silent(time) => format!("silent for {}", span(time.as_secs_f64())),
        Violation::ChokedTooLong(time) => format!("choked us for {}", span(time.as_secs_f64())),
        Violation::Flood(what) => format!("sent too many {what}"),
        Violation::Useless => "has no piece that we miss".to_owned(),
        Violation::TooManyConnections => "the limit of connections is reached".to_owned(),
    }
}
