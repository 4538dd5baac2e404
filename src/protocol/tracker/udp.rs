//! The UDP tracker protocol (BEP 15) and the options of its announces (BEP 41).
//!
//! A packet may be longer than its meaning (BEP 15, "Extensions"): what follows is kept as extra bytes,
//! so that every packet that decodes encodes to itself.

use std::net::{Ipv4Addr, SocketAddr};

use crate::field::text_or_bytes;
use crate::{DecodeError, Field, InfoHash, PeerId, Reader, Value};

use super::Event;
use crate::compact::{endpoints, stride};

mod encode;
mod fields;

/// One packet, of either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Asks for a connection id.
    ConnectRequest {
        /// Drawn by the client, repeated in the answer.
        transaction_id: u32,
        /// Bytes after the packet's end.
        extra: Vec<u8>,
    },
    /// Gives one.
    ConnectResponse {
        /// That of the request.
        transaction_id: u32,
        /// To be sent with requests for the next minute.
        connection_id: u64,
        /// Bytes after the packet's end.
        extra: Vec<u8>,
    },
    /// Tells the tracker of a peer and asks for others.
    AnnounceRequest(Box<AnnounceRequest>),
    /// Gives peers.
    AnnounceResponse(AnnounceResponse),
    /// Asks for the numbers of peers.
    ScrapeRequest {
        /// From a connect response.
        connection_id: u64,
        /// Drawn by the client, repeated in the answer.
        transaction_id: u32,
        /// The torrents asked about.
        info_hashes: Vec<InfoHash>,
        /// Bytes that make no whole info hash.
        extra: Vec<u8>,
    },
    /// Gives them, in the order of the request.
    ScrapeResponse {
        /// That of the request.
        transaction_id: u32,
        /// The numbers of each torrent's peers.
        torrents: Vec<Scraped>,
        /// Bytes that make no whole entry.
        extra: Vec<u8>,
    },
    /// The tracker refuses.
    Error {
        /// That of the request.
        transaction_id: u32,
        /// Its words.
        message: Vec<u8>,
    },
}

/// An announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnounceRequest {
    /// From a connect response.
    pub connection_id: u64,
    /// Drawn by the client, repeated in the answer.
    pub transaction_id: u32,
    /// The torrent it is about.
    pub info_hash: InfoHash,
    /// What the client calls itself.
    pub peer_id: PeerId,
    /// Bytes received from peers.
    pub downloaded: u64,
    /// Bytes that are still missing.
    pub left: u64,
    /// Bytes sent to peers.
    pub uploaded: u64,
    /// 0 for a regular announce; see [`event`](Self::event).
    pub event: u32,
    /// The client's address; unspecified for that of the packet.
    pub ip: Ipv4Addr,
    /// What proves the client the same when its address changes.
    pub key: u32,
    /// How many peers it asks for; -1 for the tracker's choice.
    pub num_want: i32,
    /// Where the client listens.
    pub port: u16,
    /// The options after the fixed part (BEP 41).
    pub options: Vec<AnnounceOption>,
    /// Bytes after the last option, or from the first that is cut short.
    pub extra: Vec<u8>,
}

/// An option of an announce (BEP 41).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnnounceOption {
    /// No option follows.
    EndOfOptions,
    /// Padding.
    Nop,
    /// A part of the path and query of the tracker's URL.
    UrlData(Vec<u8>),
    /// One that is not known.
    Unknown {
        /// Its type, 3 or above.
        kind: u8,
        /// Its data, of 255 bytes at most.
        data: Vec<u8>,
    },
}

/// The answer to an announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnounceResponse {
    /// That of the request.
    pub transaction_id: u32,
    /// Seconds until the next regular announce.
    pub interval: u32,
    /// Peers that do not have everything.
    pub leechers: u32,
    /// Peers that have everything.
    pub seeders: u32,
    /// Peers, all of the address family of the packet.
    pub peers: Vec<SocketAddr>,
    /// Bytes that make no whole peer.
    pub extra: Vec<u8>,
}

/// The numbers of a torrent's peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scraped {
    /// Peers that have everything.
    pub seeders: u32,
    /// How often the torrent was downloaded whole.
    pub completed: u32,
    /// Peers that do not have everything.
    pub leechers: u32,
}

impl AnnounceRequest {
    /// Why it is sent outside the regular interval.
    pub const fn event(&self) -> Option<Event> {
        Self::event_of(self.event)
    }

    /// The event of a number. BEP 15 numbers three events; 4 is what libtorrent sends for the `paused` of BEP 21.
    pub const fn event_of(number: u32) -> Option<Event> {
        match number {
            1 => Some(Event::Completed),
            2 => Some(Event::Started),
            3 => Some(Event::Stopped),
            4 => Some(Event::Paused),
            _ => None,
        }
    }

    /// The path and query of the tracker's URL, its parts joined (BEP 41); `None` without such an option.
    pub fn url_data(&self) -> Option<Vec<u8>> {
        let mut parts = self.options.iter().filter_map(|option| match option {
            AnnounceOption::UrlData(data) => Some(data.as_slice()),
            _ => None,
        });
        let first = parts.next()?.to_vec();
        Some(parts.fold(first, |joined, part| [&joined, part].concat()))
    }
}

/// Whether `bytes` are a connect request: nothing else begins with its constant and a zero action.
pub fn looks_like_connect_request(bytes: &[u8]) -> bool {
    bytes.len() >= 16 && bytes[..8] == PROTOCOL_ID.to_be_bytes() && bytes[8..12] == [0; 4]
}

/// Whether `bytes` may be an announce request although no connect request was seen before them: the
/// sizes, the action, event, port and counters are such as clients send.
pub fn plausible_announce_request(bytes: &[u8]) -> bool {
    let Ok(Packet::AnnounceRequest(request)) = decode_request(bytes) else { return false };
    // Options end where the packet does, or with their end mark and a few bytes of padding.
    let ended = request.extra.is_empty()
        || (request.options.last() == Some(&AnnounceOption::EndOfOptions) && request.extra.len() <= 8);
    let counters = [request.downloaded, request.left, request.uploaded];
    ended
        && request.event <= 4
        && request.port != 0
        && (-1..=10_000).contains(&request.num_want)
        && request.connection_id != PROTOCOL_ID
        && request.info_hash.0 != [0; 20]
        && request.peer_id.0 != [0; 20]
        && request.peer_id.0[..2].iter().all(u8::is_ascii_graphic)
        // Magnet downloads say i64::MAX or u64::MAX for what is left.
        && counters.iter().all(|&count| count < 1 << 50 || count >= i64::MAX as u64)
}

/// Reads a packet that a client sent.
///
/// # Errors
/// A packet that is too short, or whose action no client requests.
pub fn decode_request(bytes: &[u8]) -> Result<Packet, DecodeError> {
    let mut reader = Reader::new(bytes);
    let connection_id = reader.u64("8 bytes of a connection id")?;
    let action = reader.u32("4 bytes of an action")?;
    let transaction_id = reader.u32("4 bytes of a transaction id")?;
    match action {
        CONNECT if connection_id != PROTOCOL_ID => {
            Err(DecodeError::new(0, "the constant 0x41727101980 of a connect request"))
        }
        CONNECT => Ok(Packet::ConnectRequest { transaction_id, extra: reader.rest().to_vec() }),
        ANNOUNCE => {
            let mut request = AnnounceRequest {
                connection_id,
                transaction_id,
                info_hash: InfoHash(reader.array("20 bytes of an info hash")?),
                peer_id: PeerId(reader.array("20 bytes of a peer id")?),
                downloaded: reader.u64("8 bytes of what is downloaded")?,
                left: reader.u64("8 bytes of what is left")?,
                uploaded: reader.u64("8 bytes of what is uploaded")?,
                event: reader.u32("4 bytes of an event")?,
                ip: reader.u32("4 bytes of an address")?.into(),
                key: reader.u32("4 bytes of a key")?,
                num_want: i32::from_be_bytes(reader.array("4 bytes of a number of peers")?),
                port: reader.u16("2 bytes of a port")?,
                options: Vec::new(),
                extra: Vec::new(),
            };
            let rest = reader.rest();
            let end = options(rest, &mut request.options);
            request.extra = rest[end..].to_vec();
            Ok(Packet::AnnounceRequest(Box::new(request)))
        }
        SCRAPE => {
            let (hashes, extra) = reader.rest().as_chunks::<20>();
            let info_hashes = hashes.iter().copied().map(InfoHash).collect();
            Ok(Packet::ScrapeRequest { connection_id, transaction_id, info_hashes, extra: extra.to_vec() })
        }
        _ => Err(DecodeError::new(8, "an action from 0 to 2: connect, announce or scrape")),
    }
}

/// Reads a packet that a tracker sent, over IPv6 or IPv4: that tells the size of a peer (BEP 15, "IPv6").
///
/// # Errors
/// A packet that is too short, or whose action is unknown.
pub fn decode_response(bytes: &[u8], ipv6: bool) -> Result<Packet, DecodeError> {
    let mut reader = Reader::new(bytes);
    let action = reader.u32("4 bytes of an action")?;
    let transaction_id = reader.u32("4 bytes of a transaction id")?;
    match action {
        CONNECT => {
            let connection_id = reader.u64("8 bytes of a connection id")?;
            Ok(Packet::ConnectResponse { transaction_id, connection_id, extra: reader.rest().to_vec() })
        }
        ANNOUNCE => {
            let interval = reader.u32("4 bytes of an interval")?;
            let leechers = reader.u32("4 bytes of a number of leechers")?;
            let seeders = reader.u32("4 bytes of a number of seeders")?;
            let rest = reader.rest();
            let peers = endpoints(rest, ipv6);
            let extra = rest[peers.len() * stride(ipv6)..].to_vec();
            let response = AnnounceResponse { transaction_id, interval, leechers, seeders, peers, extra };
            Ok(Packet::AnnounceResponse(response))
        }
        SCRAPE => {
            let (entries, extra) = reader.rest().as_chunks::<12>();
            let torrents = entries.iter().map(|entry| Scraped {
                seeders: number(entry, 0),
                completed: number(entry, 4),
                leechers: number(entry, 8),
            });
            Ok(Packet::ScrapeResponse { transaction_id, torrents: torrents.collect(), extra: extra.to_vec() })
        }
        ERROR => Ok(Packet::Error { transaction_id, message: reader.rest().to_vec() }),
        _ => Err(DecodeError::new(0, "an action from 0 to 3: connect, announce, scrape or error")),
    }
}

impl Packet {
    /// The same packet with another transaction id: a recorded answer to a new request.
    pub fn with_transaction_id(mut self, id: u32) -> Self {
        match &mut self {
            Self::ConnectRequest { transaction_id, .. }
            | Self::ConnectResponse { transaction_id, .. }
            | Self::ScrapeRequest { transaction_id, .. }
            | Self::ScrapeResponse { transaction_id, .. }
            | Self::Error { transaction_id, .. } => *transaction_id = id,
            Self::AnnounceRequest(request) => request.transaction_id = id,
            Self::AnnounceResponse(response) => response.transaction_id = id,
        }
        self
    }

    /// The number that ties a request to its answer.
    pub fn transaction_id(&self) -> u32 {
        match self {
            Self::ConnectRequest { transaction_id, .. }
            | Self::ConnectResponse { transaction_id, .. }
            | Self::ScrapeRequest { transaction_id, .. }
            | Self::ScrapeResponse { transaction_id, .. }
            | Self::Error { transaction_id, .. } => *transaction_id,
            Self::AnnounceRequest(request) => request.transaction_id,
            Self::AnnounceResponse(response) => response.transaction_id,
        }
    }
}

/// Reads options until their end mark, the end, or one that is cut short; says where that is.
fn options(bytes: &[u8], options: &mut Vec<AnnounceOption>) -> usize {
    let mut at = 0;
    while let Some(&kind) = bytes.get(at) {
        match kind {
            END_OF_OPTIONS => {
                options.push(AnnounceOption::EndOfOptions);
                return at + 1;
            }
            NOP => {
                options.push(AnnounceOption::Nop);
                at += 1;
            }
            _ => {
                let Some(&length) = bytes.get(at + 1) else { return at };
                let end = at + 2 + usize::from(length);
                let Some(data) = bytes.get(at + 2..end) else { return at };
                let data = data.to_vec();
                options.push(match kind {
                    URL_DATA => AnnounceOption::UrlData(data),
                    _ => AnnounceOption::Unknown { kind, data },
                });
                at = end;
            }
        }
    }
    at
}

fn number(entry: &[u8; 12], at: usize) -> u32 {
    u32::from_be_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]])
}

/// What a connect request has in place of a connection id (BEP 15, "Connect").
const PROTOCOL_ID: u64 = 0x417_2710_1980;

// The actions of BEP 15.
const CONNECT: u32 = 0;
const ANNOUNCE: u32 = 1;
const SCRAPE: u32 = 2;
const ERROR: u32 = 3;

// The option types of BEP 41.
const END_OF_OPTIONS: u8 = 0;
const NOP: u8 = 1;
const URL_DATA: u8 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::field::untiled;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
    }

    /// Both directions of a codec, and its fields, on a packet that is right.
    fn checked(packet: Result<Packet, DecodeError>, bytes: &[u8]) -> Packet {
        let packet = packet.unwrap();
        assert_eq!(packet.encode(), bytes);
        assert_eq!(untiled(&packet.fields(), 0..bytes.len()), None);
        packet
    }

    fn announce() -> Vec<u8> {
        hex("00 00 00 00 12 34 56 78  00 00 00 01  0a 0b 0c 0d") // connection id, announce, transaction id
            .into_iter()
            .chain([0xaa; 20]) // info hash
            .chain(*b"-TR3000-abcdefghijkl") // peer id
            .chain(hex("00 00 00 00 00 00 00 07")) // downloaded
            .chain(hex("00 00 00 00 00 00 00 08")) // left
            .chain(hex("00 00 00 00 00 00 00 09")) // uploaded
            .chain(hex("00 00 00 02  00 00 00 00  de ad be ef")) // started, no address, key
            .chain(hex("ff ff ff ff  1a e1")) // num_want, port
            .collect()
    }

    fn announce_of(bytes: &[u8]) -> AnnounceRequest {
        match checked(decode_request(bytes), bytes) {
            Packet::AnnounceRequest(request) => *request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_a_connect_request() {
        let bytes = hex("00 00 04 17 27 10 19 80  00 00 00 00  0a 0b 0c 0d");
        assert!(looks_like_connect_request(&bytes));
        let packet = checked(decode_request(&bytes), &bytes);
        assert_eq!(packet, Packet::ConnectRequest { transaction_id: 0x0a0b_0c0d, extra: Vec::new() });
    }

    #[test]
    fn rejects_a_connect_request_without_its_constant() {
        let bytes = hex("00 00 04 17 27 10 19 81  00 00 00 00  0a 0b 0c 0d");
        assert!(!looks_like_connect_request(&bytes));
        assert_eq!(decode_request(&bytes).unwrap_err().offset, 0);
    }

    #[test]
    fn reads_a_connect_response_and_keeps_what_follows() {
        let bytes = hex("00 00 00 00  0a 0b 0c 0d  00 00 00 00 12 34 56 78  ff");
        let Packet::ConnectResponse { connection_id, extra, .. } =
            checked(decode_response(&bytes, false), &bytes)
        else {
            panic!("no connect response");
        };
        assert_eq!((connection_id, extra), (0x1234_5678, vec![0xff]));
    }

    #[test]
    fn reads_an_announce() {
        let request = announce_of(&announce());
        assert_eq!((request.downloaded, request.left, request.uploaded), (7, 8, 9));
        assert_eq!((request.event(), request.num_want, request.port), (Some(Event::Started), -1, 6881));
        assert_eq!((request.options.len(), request.url_data()), (0, None));
        assert!(plausible_announce_request(&announce()));
    }

    #[test]
    fn reads_the_options_of_bep_41() {
        let mut bytes = announce();
        bytes.extend(b"\x02\x0c/dir?a=b&c=d\x01\x01\x02\x02&e\x09\x01x\x00");
        let request = announce_of(&bytes);
        assert_eq!(request.url_data().as_deref(), Some(&b"/dir?a=b&c=d&e"[..]));
        assert_eq!(request.options.len(), 6);
        assert_eq!(request.options[4], AnnounceOption::Unknown { kind: 9, data: b"x".to_vec() });
        assert!(plausible_announce_request(&bytes));
    }

    #[test]
    fn keeps_a_cut_option_and_what_follows_the_end_of_options() {
        for (tail, extra) in
            [(&b"\x02\x05abc"[..], &b"\x02\x05abc"[..]), (b"\x01\x02", b"\x02"), (b"\0abc", b"abc")]
        {
            let bytes = [&announce()[..], tail].concat();
            assert_eq!(announce_of(&bytes).extra, extra);
        }
    }

    #[test]
    fn rejects_every_cut_announce() {
        let bytes = announce();
        for end in 0..bytes.len() {
            assert!(decode_request(&bytes[..end]).unwrap_err().offset <= end);
            assert!(!plausible_announce_request(&bytes[..end]));
        }
    }

    #[test]
    fn an_implausible_announce_is_told_from_a_plausible_one() {
        for (at, byte) in [(11, 3), (83, 5), (96, 0), (56, 1), (92, 0), (36, 0)] {
            let mut bytes = announce();
            bytes[at] = byte;
            if at == 96 {
                bytes[97] = 0;
            }
            assert!(!plausible_announce_request(&bytes), "byte {at}");
        }
    }

    #[test]
    fn reads_peers_of_either_family() {
        let head = "00 00 00 01  0a 0b 0c 0d  00 00 07 08  00 00 00 02  00 00 00 03";
        let four = hex(&format!("{head}  7f 00 00 01 1a e1  7f"));
        let Packet::AnnounceResponse(response) = checked(decode_response(&four, false), &four) else {
            panic!("no announce response");
        };
        assert_eq!((response.interval, response.leechers, response.seeders), (1800, 2, 3));
        assert_eq!(response.peers, ["127.0.0.1:6881".parse().unwrap()]);
        assert_eq!(response.extra, [0x7f]);
        let six = hex(&format!("{head}  20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01 1a e1"));
        let Packet::AnnounceResponse(response) = checked(decode_response(&six, true), &six) else {
            panic!("no announce response");
        };
        assert_eq!(response.peers, ["[2001:db8::1]:6881".parse().unwrap()]);
    }

    #[test]
    fn a_recorded_answer_takes_the_transaction_id_of_a_new_request() {
        // connect, transaction id, connection id
        let bytes = hex("00 00 00 00  0a 0b 0c 0d  00 00 00 00 12 34 56 78  ff");
        let packet = decode_response(&bytes, false).unwrap().with_transaction_id(7);
        assert_eq!(packet.encode(), hex("00 00 00 00  00 00 00 07  00 00 00 00 12 34 56 78  ff"));
    }

    #[test]
    fn reads_scrapes_and_errors() {
        let request = [hex("00 00 00 00 12 34 56 78  00 00 00 02  00 00 00 01"), vec![7; 41]].concat();
        let Packet::ScrapeRequest { info_hashes, extra, .. } = checked(decode_request(&request), &request)
        else {
            panic!("no scrape request");
        };
        assert_eq!((info_hashes.len(), extra.len()), (2, 1));
        let response = hex("00 00 00 02  00 00 00 01  00 00 00 04  00 00 00 05  00 00 00 06");
        let Packet::ScrapeResponse { torrents, .. } = checked(decode_response(&response, false), &response)
        else {
            panic!("no scrape response");
        };
        assert_eq!(torrents, [Scraped { seeders: 4, completed: 5, leechers: 6 }]);
        let error = [&hex("00 00 00 03  00 00 00 01")[..], b"torrent not registered"].concat();
        let Packet::Error { message, .. } = checked(decode_response(&error, false), &error) else {
            panic!("no error");
        };
        assert_eq!(message, b"torrent not registered");
    }

    #[test]
    fn rejects_unknown_actions() {
        assert_eq!(decode_response(&hex("00 00 00 04  00 00 00 01"), false).unwrap_err().offset, 0);
        assert_eq!(
            decode_request(&hex("00 00 00 00 12 34 56 78  00 00 00 03  00 00 00 01")).unwrap_err().offset,
            8
        );
    }

    proptest! {
        #[test]
        fn every_packet_that_decodes_encodes_to_itself(
            action in 0..5_u8, start: [u8; 8], rest in prop::collection::vec(any::<u8>(), 0..160), ipv6: bool,
        ) {
            let request = [&start[..], &[0, 0, 0, action], &rest].concat();
            if let Ok(packet) = decode_request(&request) {
                prop_assert_eq!(untiled(&packet.fields(), 0..request.len()), None);
                prop_assert_eq!(packet.encode(), request);
            }
            let response = [&[0, 0, 0, action][..], &rest].concat();
            if let Ok(packet) = decode_response(&response, ipv6) {
                prop_assert_eq!(untiled(&packet.fields(), 0..response.len()), None);
                prop_assert_eq!(packet.encode(), response);
            }
            let _ = plausible_announce_request(&rest);
        }
    }
}
