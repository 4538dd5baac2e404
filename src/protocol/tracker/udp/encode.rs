//! The bytes of a packet, in the order of BEP 15's tables.

use std::net::SocketAddr;

use super::{ANNOUNCE, CONNECT, END_OF_OPTIONS, ERROR, NOP, PROTOCOL_ID, SCRAPE, URL_DATA};
use super::{AnnounceOption, AnnounceRequest, Packet};

impl Packet {
    /// The packet's bytes. Peers of an answer stand in the size of their own address family.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(100);
        let mut numbers = |head: &[&[u8]]| head.iter().for_each(|part| out.extend_from_slice(part));
        let transaction = self.transaction_id().to_be_bytes();
        match self {
            Self::ConnectRequest { extra, .. } => {
                numbers(&[&PROTOCOL_ID.to_be_bytes(), &CONNECT.to_be_bytes(), &transaction, extra]);
            }
            Self::ConnectResponse { connection_id, extra, .. } => {
                numbers(&[&CONNECT.to_be_bytes(), &transaction, &connection_id.to_be_bytes(), extra]);
            }
            Self::AnnounceRequest(request) => request.encode(&mut out),
            Self::AnnounceResponse(response) => {
                numbers(&[
                    &ANNOUNCE.to_be_bytes(),
                    &transaction,
                    &response.interval.to_be_bytes(),
                    &response.leechers.to_be_bytes(),
                    &response.seeders.to_be_bytes(),
                ]);
                for peer in &response.peers {
                    match peer {
                        SocketAddr::V4(peer) => out.extend(peer.ip().octets()),
                        SocketAddr::V6(peer) => out.extend(peer.ip().octets()),
                    }
                    out.extend(peer.port().to_be_bytes());
                }
                out.extend_from_slice(&response.extra);
            }
            Self::ScrapeRequest { connection_id, info_hashes, extra, .. } => {
                numbers(&[&connection_id.to_be_bytes(), &SCRAPE.to_be_bytes(), &transaction]);
                info_hashes.iter().for_each(|hash| out.extend(hash.0));
                out.extend_from_slice(extra);
            }
            Self::ScrapeResponse { torrents, extra, .. } => {
                numbers(&[&SCRAPE.to_be_bytes(), &transaction]);
                for torrent in torrents {
                    for number in [torrent.seeders, torrent.completed, torrent.leechers] {
                        out.extend(number.to_be_bytes());
                    }
                }
                out.extend_from_slice(extra);
            }
            Self::Error { message, .. } => numbers(&[&ERROR.to_be_bytes(), &transaction, message]),
        }
        out
    }
}

impl AnnounceRequest {
    fn encode(&self, out: &mut Vec<u8>) {
        for part in [
            &self.connection_id.to_be_bytes()[..],
            &ANNOUNCE.to_be_bytes(),
            &self.transaction_id.to_be_bytes(),
            &self.info_hash.0,
            &self.peer_id.0,
            &self.downloaded.to_be_bytes(),
            &self.left.to_be_bytes(),
            &self.uploaded.to_be_bytes(),
            &self.event.to_be_bytes(),
            &self.ip.octets(),
            &self.key.to_be_bytes(),
            &self.num_want.to_be_bytes(),
            &self.port.to_be_bytes(),
        ] {
            out.extend_from_slice(part);
        }
        for option in &self.options {
            option.encode(out);
        }
        out.extend_from_slice(&self.extra);
    }
}

impl AnnounceOption {
    /// Writes the option. Data beyond 255 bytes, which no length byte can tell, is left out.
    fn encode(&self, out: &mut Vec<u8>) {
        let (kind, data) = match self {
            Self::EndOfOptions => return out.push(END_OF_OPTIONS),
            Self::Nop => return out.push(NOP),
            Self::UrlData(data) => (URL_DATA, data),
            Self::Unknown { kind, data } => (*kind, data),
        };
        let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
        out.extend([kind, length]);
        out.extend_from_slice(&data[..usize::from(length)]);
    }

    pub(super) fn encoded_length(&self) -> usize {
        match self {
            Self::EndOfOptions | Self::Nop => 1,
            Self::UrlData(data) | Self::Unknown { data, .. } => 2 + data.len().min(255),
        }
    }
}
