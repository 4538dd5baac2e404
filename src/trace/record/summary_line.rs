//! What a record says, on one line: the meaning in table rows, and `summary` in JSON. It begins with what is
//! said, gives numbers as the protocol counts them, and leaves nothing open to a second reading.

mod dht;

use std::net::SocketAddr;

use bittrace_protocol::mse::{self, End, Part, Progress};
use bittrace_protocol::tracker::{http, udp};
use bittrace_protocol::utp;
use bittrace_protocol::web_seed::WantedPiece;
use bittrace_protocol::wire::{
    Content, ExtendedHandshake, Extension, HashRange, METADATA_PIECE, Message, Metadata, MetadataKind, Pex,
};
use bittrace_protocol::{Block, Hex, InfoHash};

use crate::record::units::{count, counted, seconds, short_hex, size};
use crate::record::{Body, FilePart, Fragment, Reason, Record};

/// The meaning of a record on one line, without a full stop.
pub fn describe(record: &Record) -> String {
    describe_in(record, None)
}

/// As [`describe`], where the torrent is known to have so many pieces.
pub fn describe_in(record: &Record, pieces: Option<u64>) -> String {
    let length = record.length();
    match &record.body {
        Body::Handshake(handshake) => {
            let mut parts = vec![format!("handshake for {}", short_hash(&handshake.info_hash))];
            parts.extend(record.client.as_deref().map(str::to_owned));
            let offers: Vec<_> = handshake.reserved_bits().iter().map(|bit| bit.name).collect();
            if !offers.is_empty() {
                parts.push(format!("offers {}", offers.join(", ")));
            }
            parts.join(", ")
        }
        Body::Message(message) => describe_message(message, pieces),
        Body::Extended(message, extension) => describe_extended(message, extension),
        Body::HttpRequest(request, kind) => match &**kind {
            http::RequestKind::Announce(announce) => describe_announce(announce),
            http::RequestKind::Scrape(scrape) => scrape_of(&scrape.info_hashes),
            http::RequestKind::Other => {
                format!("{} {}", lossy(request.method()), lossy(request.path()))
            }
        },
        Body::HttpResponse(response, reply) => describe_reply(response, reply),
        Body::UdpTracker(packet) => describe_packet(packet),
        Body::KeyExchange => format!("key-exchange: a public key of {}", size(length)),
        Body::Negotiation(part) => describe_negotiation(*part, record),
        Body::Encrypted => format!("encrypted: {}, not readable", counted(length, "byte")),
        Body::Dht(message, method) => dht::describe_message(record.body.message(), message, method.as_ref()),
        Body::Lsd(announce) => dht::describe_announce(announce),
        Body::WebSeedRequest(_, part) => format!("request {}", part_of(part)),
        Body::WebSeedResponse(response, part) => {
            format!("response: HTTP status {} to {}", response.status, part_of(part))
        }
        Body::WebSeedData(part) => format!("data {}", part_of(part)),
        Body::HttpSeedRequest(_, piece) => format!("request {}", ranges_of(piece)),
        Body::HttpSeedResponse(response, piece) => {
            format!("response: HTTP status {} to {}", response.status, ranges_of(piece))
        }
        Body::HttpSeedData(piece) => format!("data {}", ranges_of(piece)),
        Body::Utp => {
            let kind = record.bytes.first().and_then(|&first| utp::kind(first)).map_or("", utp::Kind::name);
            format!("uTP {kind} of {}, not read", counted(length, "byte"))
        }
        Body::Opaque(_, reason) => describe_opaque(*reason, length),
        Body::Gap(..) => format!("gap: the capture lost {}", counted(length, "byte")),
        Body::LostPackets(_, packets) => {
            format!("gap: the capture lost {}, of a size not known", counted(*packets, "packet"))
        }
    }
}

fn describe_negotiation(part: Part, record: &Record) -> String {
    let end = match part {
        Part::Padding => return format!("padding: {}", counted(record.length(), "byte")),
        Part::TorrentHash => return "torrent-hash: which secret and which torrent, as hashes".to_owned(),
        Part::CryptoProvide => End::Initiator,
        Part::CryptoSelect => End::Responder,
    };
    let Ok(Progress::Whole(terms)) = mse::terms(end, &record.bytes) else { return part.name().to_owned() };
    let mut names = terms.methods.names().join(", ");
    if names.is_empty() {
        names = format!("{:#x}", terms.methods.0);
    }
    let mut text = format!("{} {names}", part.name());
    if terms.padding > 0 {
        text.push_str(&format!(", {} of padding", counted(terms.padding as u64, "byte")));
    }
    if terms.ahead > 0 {
        text.push_str(&format!(", {} sent ahead", counted(terms.ahead.into(), "byte")));
    }
    text
}

fn describe_message(message: &Message, pieces: Option<u64>) -> String {
    match message {
        Message::KeepAlive => "keep-alive".to_owned(),
        Message::Choke => "choke".to_owned(),
        Message::Unchoke => "unchoke".to_owned(),
        Message::Interested => "interested".to_owned(),
        Message::NotInterested => "not-interested".to_owned(),
        Message::Have(index) => format!("have piece {index}"),
        Message::Bitfield(bits) => {
            let set: u64 = bits.iter().map(|byte| u64::from(byte.count_ones())).sum();
            match pieces {
                Some(pieces) => format!("bitfield: {} of {} pieces", count(set), count(pieces)),
                None => {
                    let room = bits.len() as u64 * 8;
                    format!("bitfield: {}, room for {}", counted(set, "piece"), count(room))
                }
            }
        }
        Message::Request(block) => format!("request {}", block_of(block)),
        Message::Piece { index, begin, block } => {
            format!("piece {index}, {} at {begin}", size(block.len() as u64))
        }
        Message::Cancel(block) => format!("cancel {}", block_of(block)),
        Message::RejectRequest(block) => format!("reject-request {}", block_of(block)),
        Message::Port(port) => format!("port {port} for DHT"),
        Message::SuggestPiece(index) => format!("suggest-piece {index}"),
        Message::AllowedFast(index) => format!("allowed-fast piece {index}"),
        Message::HaveAll => "have-all".to_owned(),
        Message::HaveNone => "have-none".to_owned(),
        Message::Extended { id, payload } => {
            format!("extended id {id}, {}", size(payload.len() as u64))
        }
        Message::HashRequest(range) => format!("hash-request {}", hashes_of(range)),
        Message::Hashes(range, bytes) => {
            format!("hashes {}, {}", hashes_of(range), counted(bytes.len() as u64 / 32, "hash"))
        }
        Message::HashReject(range) => format!("hash-reject {}", hashes_of(range)),
        Message::Unknown { id, payload } => {
            format!("unknown message id {}, {}", id.0, size(payload.len() as u64))
        }
        Message::Malformed { id, payload, wanted } => format!(
            "malformed {} with {} behind its id: wanted {wanted}",
            id.name(),
            counted(payload.len() as u64, "byte")
        ),
    }
}

fn describe_extended(message: &Message, extension: &Extension) -> String {
    let Message::Extended { id, payload } = message else { return describe_message(message, None) };
    let name = match extension {
        Extension::Handshake => "extended handshake",
        other => other.name(),
    };
    match extension.decode(payload) {
        Ok(Content::Handshake(handshake)) => describe_extended_handshake(&handshake),
        Ok(Content::Metadata(metadata)) => describe_metadata(&metadata),
        Ok(Content::Pex(pex)) => describe_pex(&pex),
        Ok(Content::DontHave(index)) => format!("{name} piece {index}"),
        Ok(Content::UploadOnly(only)) => {
            format!("{name}: {}", if only { "only uploads from now on" } else { "downloads again" })
        }
        Ok(Content::Holepunch(holepunch)) => {
            let failed = match holepunch.error {
                0 => String::new(),
                error => format!(", error {error}"),
            };
            format!("{name} {} {}{failed}", holepunch.kind.name(), holepunch.endpoint)
        }
        Ok(Content::Other) if *extension == Extension::Unannounced => {
            format!("extended id {id}, which no handshake has named, {}", size(payload.len() as u64))
        }
        Ok(Content::Other) => format!("{name}, {}", size(payload.len() as u64)),
        Err(error) => format!(
            "malformed {name}, {}: at byte {} wanted {}",
            size(payload.len() as u64),
            error.offset,
            error.wanted
        ),
    }
}

fn describe_extended_handshake(handshake: &ExtendedHandshake) -> String {
    let mut parts = Vec::new();
    parts.extend(handshake.client.as_deref().map(|client| client.trim().to_owned()));
    parts.extend(handshake.extensions.iter().map(|(name, id)| match id {
        0 => format!("{name} off"),
        id => format!("{name} {id}"),
    }));
    parts.extend(handshake.metadata_size.map(|bytes| format!("metadata {}", size(bytes))));
    parts.extend(handshake.port.map(|port| format!("port {port}")));
    parts.extend(handshake.reqq.map(|reqq| format!("keeps {}", counted(u64::from(reqq), "request"))));
    parts.extend(handshake.your_ip.map(|ip| format!("sees you at {ip}")));
    if handshake.upload_only == Some(true) {
        parts.push("only uploads".to_owned());
    }
    if parts.is_empty() {
        return "extended handshake, empty".to_owned();
    }
    format!("extended handshake: {}", parts.join(", "))
}

fn describe_metadata(metadata: &Metadata) -> String {
    let mut text = match metadata.kind {
        MetadataKind::Unknown(kind) => format!("ut_metadata type {kind}, piece {}", metadata.piece),
        kind => format!("ut_metadata {} piece {}", kind.name(), metadata.piece),
    };
    if let Some(total) = metadata.total_size {
        text.push_str(&format!(" ({} in all)", total.div_ceil(METADATA_PIECE)));
    }
    if !metadata.data.is_empty() {
        text.push_str(&format!(", {}", size(metadata.data.len() as u64)));
    }
    text
}

fn describe_pex(pex: &Pex) -> String {
    let some = |word: &str, mut peers: Box<dyn Iterator<Item = SocketAddr> + '_>, total: usize| {
        let named: Vec<_> = peers.by_ref().take(NAMED).map(|peer| peer.to_string()).collect();
        let more = if total > NAMED { ", …" } else { "" };
        match total {
            0 => format!("{word} 0"),
            _ => format!("{word} {}: {}{more}", count(total as u64), named.join(", ")),
        }
    };
    let added = some("adds", Box::new(pex.added.iter().map(|peer| peer.address)), pex.added.len());
    let dropped = some("drops", Box::new(pex.dropped.iter().copied()), pex.dropped.len());
    format!("ut_pex {added}; {dropped}")
}

/// How many peers of a list are named.
const NAMED: usize = 2;

fn describe_announce(announce: &http::Announce) -> String {
    let mut parts = vec![format!(
        "announce {}",
        announce.event.map_or("regular", bittrace_protocol::tracker::Event::name)
    )];
    progress(&mut parts, announce.left, announce.downloaded, announce.uploaded);
    parts.extend(announce.port.map(|port| format!("port {port}")));
    parts.extend(announce.numwant.map(|wanted| format!("wants {}", counted(u64::from(wanted), "peer"))));
    if !announce.faults.is_empty() {
        parts.push(format!("{} unreadable", counted(announce.faults.len() as u64, "parameter")));
    }
    parts.join(", ")
}

fn progress(parts: &mut Vec<String>, left: Option<u64>, downloaded: Option<u64>, uploaded: Option<u64>) {
    parts.extend(left.map(|left| match left {
        u64::MAX => "left unknown".to_owned(),
        left => format!("left {}", count(left)),
    }));
    for (word, bytes) in [("downloaded", downloaded), ("uploaded", uploaded)] {
        parts.extend(bytes.filter(|&bytes| bytes > 0).map(|bytes| format!("{word} {}", count(bytes))));
    }
}

fn describe_reply(response: &http::Response, reply: &http::Reply) -> String {
    let status = match response.status {
        200 => String::new(),
        status => format!(" (HTTP status {status})"),
    };
    let text = match reply {
        http::Reply::Announce(reply) => {
            let mut parts = vec![counted(reply.peers.len() as u64, "peer")];
            parts.extend(reply.complete.map(|n| counted(n, "seeder")));
            parts.extend(reply.incomplete.map(|n| counted(n, "leecher")));
            parts.extend(reply.interval.map(|interval| format!("again in {}", seconds(interval))));
            parts.extend(reply.external_ip.map(|ip| format!("sees you at {ip}")));
            parts.extend(reply.warning.as_ref().map(|warning| format!("warns: {warning}")));
            if !reply.faults.is_empty() {
                parts.push(format!("{} unreadable", counted(reply.faults.len() as u64, "value")));
            }
            parts.join(", ")
        }
        http::Reply::Scrape(scrape) => {
            let some = scrape.files.iter().take(NAMED).map(|file| {
                let known = |number: Option<u64>| number.map_or("?".to_owned(), count);
                format!(
                    "{}: {} complete, {} incomplete, {} downloaded",
                    short_hash(&file.info_hash),
                    known(file.complete),
                    known(file.incomplete),
                    known(file.downloaded)
                )
            });
            listed(some.collect(), scrape.files.len(), "no torrent")
        }
        http::Reply::Failure { reason, retry_in } => {
            let retry = match retry_in {
                Some(http::RetryIn::Minutes(minutes)) => format!(", again in {}", seconds(minutes * 60)),
                Some(http::RetryIn::Never) => ", not to be asked again".to_owned(),
                None => String::new(),
            };
            format!("refused: {reason}{retry}")
        }
        http::Reply::NotBencoded(_) if response.body().is_empty() => "no answer in the body".to_owned(),
        http::Reply::NotBencoded(error) => {
            format!("no tracker's answer: at byte {} of the body wanted {}", error.offset, error.wanted)
        }
    };
    text + &status
}

fn describe_packet(packet: &udp::Packet) -> String {
    match packet {
        udp::Packet::ConnectRequest { .. } => "connect: asks for a connection id".to_owned(),
        udp::Packet::ConnectResponse { connection_id, .. } => format!("connection id {connection_id:016x}"),
        udp::Packet::AnnounceRequest(announce) => {
            let event = match (announce.event, announce.event()) {
                (0, _) => "regular".to_owned(),
                (_, Some(event)) => event.name().to_owned(),
                (number, None) => format!("with event {number}"),
            };
            let mut parts = vec![format!("announce {event}")];
            progress(&mut parts, Some(announce.left), Some(announce.downloaded), Some(announce.uploaded));
            parts.push(format!("port {}", announce.port));
            if let Ok(wanted) = u64::try_from(announce.num_want) {
                parts.push(format!("wants {}", counted(wanted, "peer")));
            }
            parts.extend(announce.url_data().map(|url| format!("for {}", lossy(&url))));
            parts.join(", ")
        }
        udp::Packet::AnnounceResponse(reply) => [
            counted(reply.peers.len() as u64, "peer"),
            counted(u64::from(reply.seeders), "seeder"),
            counted(u64::from(reply.leechers), "leecher"),
            format!("again in {}", seconds(u64::from(reply.interval))),
        ]
        .join(", "),
        udp::Packet::ScrapeRequest { info_hashes, .. } => scrape_of(info_hashes),
        udp::Packet::ScrapeResponse { torrents, .. } => {
            let some = torrents.iter().take(NAMED).map(|scraped| {
                format!(
                    "{} complete, {} incomplete, {} downloaded",
                    count(u64::from(scraped.seeders)),
                    count(u64::from(scraped.leechers)),
                    count(u64::from(scraped.completed))
                )
            });
            listed(some.collect(), torrents.len(), "no torrent")
        }
        udp::Packet::Error { message, .. } => format!("refused: {}", lossy(message)),
    }
}

fn describe_opaque(reason: Reason, length: u64) -> String {
    let bytes = counted(length, "byte");
    match reason {
        Reason::Fragment(fragment) => describe_fragment(&fragment, length),
        Reason::BeforeBoundary => format!("{bytes} before the first message that can be proved"),
        Reason::Damaged => format!("{bytes} that are no message"),
        Reason::OrdinaryHttp => format!("{bytes} of ordinary HTTP, no tracker message"),
        Reason::Unfinished => format!("{bytes} of a message that never came whole"),
    }
}

fn describe_fragment(fragment: &Fragment, length: u64) -> String {
    let what = match fragment.block {
        Some((index, begin)) => format!("piece {index} at {begin}"),
        None => fragment.name().to_owned(),
    };
    let end = (fragment.from + length).max(1) - 1;
    format!(
        "part of {what}: bytes {} to {} of {}, the others are lost",
        count(fragment.from),
        count(end),
        count(fragment.total)
    )
}

/// A part of a file: its path, which bytes, and the pieces they lie in.
fn part_of(part: &FilePart) -> String {
    let bytes = size(part.bytes.end - part.bytes.start);
    let pieces = match part.pieces.end.saturating_sub(part.pieces.start) {
        0 => String::new(),
        1 => format!(", in piece {}", part.pieces.start),
        _ => format!(", in pieces {} to {}", part.pieces.start, part.pieces.end - 1),
    };
    format!("{}, {bytes} at {}{pieces}", lossy(part.path.as_bytes()), part.bytes.start)
}

/// A piece, and which of its bytes.
fn ranges_of(wanted: &WantedPiece) -> String {
    let ranges = wanted.ranges.iter().take(NAMED);
    let some = ranges.map(|range| format!("{} at {}", size(u64::from(range.end - range.start)), range.start));
    format!("piece {}, {}", wanted.piece, listed(some.collect(), wanted.ranges.len(), "whole"))
}

fn block_of(block: &Block) -> String {
    format!("piece {}, {} at {}", block.index, size(u64::from(block.length)), block.begin)
}

fn hashes_of(range: &HashRange) -> String {
    format!(
        "of {}, layer {}, {} from {}, {}",
        short_hex(&Hex(&range.pieces_root).to_string()),
        range.base_layer,
        range.length,
        range.index,
        counted(u64::from(range.proof_layers), "proof layer")
    )
}

fn scrape_of(info_hashes: &[InfoHash]) -> String {
    let some = info_hashes.iter().take(NAMED).map(short_hash).collect();
    format!("scrape {}", listed(some, info_hashes.len(), "everything"))
}

/// The first of `total` things; `none` when there are none.
fn listed(first: Vec<String>, total: usize, none: &str) -> String {
    match total {
        0 => none.to_owned(),
        total if total > first.len() => {
            format!("{} and {} more", first.join("; "), count((total - first.len()) as u64))
        }
        _ => first.join("; "),
    }
}

fn short_hash(info_hash: &InfoHash) -> String {
    short_hex(&info_hash.to_string()).into_owned()
}

/// Text off the wire without what would move a terminal's cursor.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
