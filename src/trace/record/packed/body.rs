//! What the bytes of a record do not tell of its body.

use std::sync::Arc;

use bittrace_protocol::mse::Part;
use bittrace_protocol::proxy::ProxyPart;
use bittrace_protocol::tracker::http;
use bittrace_protocol::web_seed::WantedPiece;
use bittrace_protocol::wire::{Extension, MessageId};
use bittrace_protocol::{DecodeError, InfoHash, PieceIndex, dht};
use bytes::Bytes;

use super::RecordPacker;
use super::bytes::{Pack, Unpack};
use crate::record::meaning::{Meaning, MeaningReader};
use crate::record::{Body, FilePart, Fragment, MseBody, Protocol, Reason, Unreadable, WebSeedBody};

/// A body whose bytes are still to be read.
pub(super) enum UnreadBody {
    /// Read as its meaning says.
    Meaning(Meaning),
    /// The name of a message that is not one of ours, and how it is read.
    Named(String, MeaningReader),
    /// A DHT message, whose method its name does not tell.
    Dht(Option<dht::Method>),
    FileRequest(FilePart),
    FileResponse(FilePart),
    PieceRequest(WantedPiece),
    PieceResponse(WantedPiece),
}

// What a packed body begins with. A reader's number is added to NAMED.
const MESSAGE: u8 = 0;
const EXTENDED: u8 = 1;
const DHT: u8 = 2;
const MSE: u8 = 3;
const PROXY: u8 = 4;
const UNREADABLE: u8 = 5;
const WEB_SEED: u8 = 6;
const NAMED: u8 = 16;

const READERS: [MeaningReader; 10] = [
    MeaningReader::Dht,
    MeaningReader::Handshake,
    MeaningReader::Azureus,
    MeaningReader::Lsd,
    MeaningReader::UdpRequest,
    MeaningReader::UdpResponseIpv4,
    MeaningReader::UdpResponseIpv6,
    MeaningReader::HttpRequest,
    MeaningReader::HttpResponse,
    MeaningReader::Utp,
];

const PROXY_PARTS: [ProxyPart; 10] = [
    ProxyPart::Socks4Request,
    ProxyPart::Socks4Reply,
    ProxyPart::Socks5Greeting,
    ProxyPart::Socks5Method,
    ProxyPart::Socks5Authentication,
    ProxyPart::Socks5AuthenticationReply,
    ProxyPart::Socks5Request,
    ProxyPart::Socks5Reply,
    ProxyPart::ConnectRequest,
    ProxyPart::ConnectResponse,
];

const PROTOCOLS: [Protocol; 9] = [
    Protocol::HttpTracker,
    Protocol::UdpTracker,
    Protocol::PeerWire,
    Protocol::Dht,
    Protocol::Lsd,
    Protocol::Utp,
    Protocol::WebSeed,
    Protocol::Mse,
    Protocol::Proxy,
];

const MSE_PARTS: [Part; 4] = [Part::Padding, Part::TorrentHash, Part::CryptoProvide, Part::CryptoSelect];

/// The place of a value in a table that has all values.
fn place<T: PartialEq>(table: &[T], value: &T) -> u8 {
    table.iter().position(|known| known == value).unwrap_or_default() as u8
}

pub(super) fn pack(body: &Body, from_ipv6: bool, packer: &RecordPacker, out: &mut Vec<u8>) {
    match Meaning::of(body.clone(), from_ipv6) {
        Meaning::Message => out.push(MESSAGE),
        Meaning::Extended(extension) => {
            out.push(EXTENDED);
            out.push(match *extension {
                Extension::Handshake => 0,
                Extension::Unannounced => 1,
                _ => 2,
            });
            out.text(extension.name());
        }
        Meaning::Named(name, reader) => {
            out.push(NAMED + place(&READERS, &reader));
            out.text(name);
        }
        Meaning::Other(_) => pack_other(body, packer, out),
    }
}

fn pack_other(body: &Body, packer: &RecordPacker, out: &mut Vec<u8>) {
    match body {
        Body::Dht(_, method) => {
            out.push(DHT);
            out.optional_text(method.as_ref().map(dht::Method::name));
        }
        Body::Mse(body) => {
            out.push(MSE);
            out.push(match body {
                MseBody::KeyExchange => 0,
                MseBody::Encrypted => 1,
                MseBody::Negotiation(part) => 2 + place(&MSE_PARTS, part),
            });
        }
        Body::Proxy(part) => {
            out.push(PROXY);
            out.push(place(&PROXY_PARTS, part));
        }
        Body::WebSeed(body) => {
            out.push(WEB_SEED);
            pack_web_seed(body, out);
        }
        Body::Unreadable(protocol, body) => {
            out.push(UNREADABLE);
            out.push(place(&PROTOCOLS, protocol));
            pack_unreadable(body, packer, out);
        }
        // These have a meaning of their own.
        Body::PeerWire(_) | Body::HttpTracker(_) | Body::UdpTracker(_) | Body::Lsd(_) => out.push(MESSAGE),
    }
}

pub(super) fn unpack(from: &mut Unpack<'_>, packer: &RecordPacker) -> Option<UnreadBody> {
    let other = |body| UnreadBody::Meaning(Meaning::Other(Box::new(body)));
    Some(match from.byte()? {
        MESSAGE => UnreadBody::Meaning(Meaning::Message),
        EXTENDED => {
            let kind = from.byte()?;
            let name = from.text()?;
            UnreadBody::Meaning(Meaning::Extended(Box::new(match kind {
                0 => Extension::Handshake,
                1 => Extension::Unannounced,
                _ => Extension::from_name(name.as_bytes()),
            })))
        }
        DHT => UnreadBody::Dht(from.optional_text()?.map(|name| dht::Method::from_name(name.as_bytes()))),
        MSE => other(Body::Mse(match from.byte()? {
            0 => MseBody::KeyExchange,
            1 => MseBody::Encrypted,
            part => MseBody::Negotiation(*MSE_PARTS.get(usize::from(part) - 2)?),
        })),
        PROXY => other(Body::Proxy(*PROXY_PARTS.get(usize::from(from.byte()?))?)),
        WEB_SEED => unpack_web_seed(from)?,
        UNREADABLE => {
            let protocol = *PROTOCOLS.get(usize::from(from.byte()?))?;
            other(Body::Unreadable(protocol, unpack_unreadable(from, packer)?))
        }
        named => {
            let reader = *READERS.get(usize::from(named.checked_sub(NAMED)?))?;
            UnreadBody::Named(from.text()?, reader)
        }
    })
}

impl UnreadBody {
    /// The body of a record of these bytes; `None` where the bytes are not those that it was packed with.
    pub(super) fn read(self, bytes: &Bytes) -> Option<Body> {
        let request = || http::Request::decode(bytes).ok().map(Arc::new);
        let response = || http::Response::decode(bytes).ok().map(Arc::new);
        Some(match self {
            Self::Meaning(meaning @ (Meaning::Message | Meaning::Extended(_))) => {
                meaning.peer_message(bytes)?;
                meaning.body(bytes)
            }
            Self::Meaning(meaning) => meaning.body(bytes),
            Self::Named(name, reader) => reader.read(&name, bytes)?,
            Self::Dht(method) => match MeaningReader::Dht.read("", bytes)? {
                Body::Dht(message, _) => Body::Dht(message, method),
                other => other,
            },
            Self::FileRequest(part) => Body::WebSeed(WebSeedBody::FileRequest(request()?, Arc::new(part))),
            Self::FileResponse(part) => Body::WebSeed(WebSeedBody::FileResponse(response()?, Arc::new(part))),
            Self::PieceRequest(piece) => {
                Body::WebSeed(WebSeedBody::PieceRequest(request()?, Arc::new(piece)))
            }
            Self::PieceResponse(piece) => {
                Body::WebSeed(WebSeedBody::PieceResponse(response()?, Arc::new(piece)))
            }
        })
    }
}

fn pack_web_seed(body: &WebSeedBody, out: &mut Vec<u8>) {
    let (kind, part) = match body {
        WebSeedBody::FileRequest(_, part) => (0, Ok(part)),
        WebSeedBody::FileResponse(_, part) => (1, Ok(part)),
        WebSeedBody::FileData(part) => (2, Ok(part)),
        WebSeedBody::PieceRequest(_, piece) => (3, Err(piece)),
        WebSeedBody::PieceResponse(_, piece) => (4, Err(piece)),
        WebSeedBody::PieceData(piece) => (5, Err(piece)),
    };
    out.push(kind);
    match part {
        Ok(part) => {
            out.extend_from_slice(&part.torrent.0);
            out.number(part.file as u64);
            out.text(&part.path);
            out.number(part.bytes.start);
            out.number(part.bytes.end);
            out.number(part.pieces.start.into());
            out.number(part.pieces.end.into());
        }
        Err(piece) => {
            out.extend_from_slice(&piece.info_hash.0);
            out.number(piece.piece.0.into());
            out.number(piece.ranges.len() as u64);
            for range in &piece.ranges {
                out.number(range.start.into());
                out.number(range.end.into());
            }
        }
    }
}

fn unpack_web_seed(from: &mut Unpack<'_>) -> Option<UnreadBody> {
    let kind = from.byte()?;
    let torrent = InfoHash(from.array()?);
    let short = |number: u64| u32::try_from(number).ok();
    if kind < 3 {
        let part = FilePart {
            torrent,
            file: usize::try_from(from.number()?).ok()?,
            path: from.text()?.into(),
            bytes: from.number()?..from.number()?,
            pieces: short(from.number()?)?..short(from.number()?)?,
        };
        return Some(match kind {
            0 => UnreadBody::FileRequest(part),
            1 => UnreadBody::FileResponse(part),
            _ => UnreadBody::Meaning(Meaning::Other(Box::new(Body::WebSeed(WebSeedBody::FileData(
                Arc::new(part),
            ))))),
        });
    }
    let piece = PieceIndex(short(from.number()?)?);
    let mut ranges = Vec::new();
    for _ in 0..from.number()? {
        ranges.push(short(from.number()?)?..short(from.number()?)?);
    }
    let wanted = WantedPiece { info_hash: torrent, piece, ranges };
    Some(match kind {
        3 => UnreadBody::PieceRequest(wanted),
        4 => UnreadBody::PieceResponse(wanted),
        _ => {
            let body = Body::WebSeed(WebSeedBody::PieceData(Arc::new(wanted)));
            UnreadBody::Meaning(Meaning::Other(Box::new(body)))
        }
    })
}

fn pack_unreadable(body: &Unreadable, packer: &RecordPacker, out: &mut Vec<u8>) {
    let mut say = |kind: u8| out.push(kind);
    match body {
        Unreadable::Datagram => say(0),
        Unreadable::Gap(length) => {
            say(1);
            out.number(*length);
        }
        Unreadable::LostPackets(packets) => {
            say(2);
            out.number(*packets);
        }
        Unreadable::Opaque(reason) => match *reason {
            Reason::BeforeBoundary => say(3),
            Reason::Damaged => say(4),
            Reason::OrdinaryHttp => say(5),
            Reason::Unfinished => say(6),
            Reason::AfterNearMiss => say(7),
            Reason::Cut(total) => {
                say(8);
                out.optional(total);
            }
            Reason::Malformed(DecodeError { offset, wanted }) => {
                say(9);
                out.number(offset as u64);
                out.number(packer.number_of_wanted(wanted));
            }
            Reason::NearMiss(_) => {
                say(10);
                out.number(packer.number_of_reason(*reason));
            }
            Reason::Fragment(Fragment { id, block, from, total, goes_on }) => {
                say(11);
                out.optional(id.map(|id| id.0.into()));
                out.optional(block.map(|(index, _)| index.0.into()));
                out.number(block.map_or(0, |(_, begin)| begin.into()));
                out.number(from);
                out.number(total);
                out.number(goes_on.into());
            }
        },
    }
}

fn unpack_unreadable(from: &mut Unpack<'_>, packer: &RecordPacker) -> Option<Unreadable> {
    Some(Unreadable::Opaque(match from.byte()? {
        0 => return Some(Unreadable::Datagram),
        1 => return Some(Unreadable::Gap(from.number()?)),
        2 => return Some(Unreadable::LostPackets(from.number()?)),
        3 => Reason::BeforeBoundary,
        4 => Reason::Damaged,
        5 => Reason::OrdinaryHttp,
        6 => Reason::Unfinished,
        7 => Reason::AfterNearMiss,
        8 => Reason::Cut(from.optional()?),
        9 => Reason::Malformed(DecodeError {
            offset: usize::try_from(from.number()?).ok()?,
            wanted: packer.wanted(from.number()?)?,
        }),
        10 => packer.reason(from.number()?)?,
        11 => {
            let id = from.optional()?.map(u8::try_from).transpose().ok()?.map(MessageId);
            let index = from.optional()?.map(u32::try_from).transpose().ok()?.map(PieceIndex);
            let begin = u32::try_from(from.number()?).ok()?;
            let block = index.map(|index| (index, begin));
            let (begins, total) = (from.number()?, from.number()?);
            Reason::Fragment(Fragment { id, block, from: begins, total, goes_on: from.number()? != 0 })
        }
        _ => return None,
    }))
}
