//! The fields of a packet, in the order of BEP 15's tables.

use std::net::IpAddr;

use super::{AnnounceOption, AnnounceRequest, Packet, stride};
use super::{Field, Value, text_or_bytes};

impl Packet {
    /// The fields that tile the packet's bytes.
    pub fn fields(&self) -> Vec<Field> {
        let mut row = FieldRow { fields: Vec::new(), at: 0 };
        let transaction_id = Value::Unsigned(self.transaction_id().into());
        match self {
            Self::ConnectRequest { extra, .. } => {
                row.framing("protocol_id", 8, super::PROTOCOL_ID);
                row.framing("action", 4, super::CONNECT.into());
                row.content("transaction_id", 4, transaction_id);
                row.extra(extra);
            }
            Self::ConnectResponse { connection_id, extra, .. } => {
                row.framing("action", 4, super::CONNECT.into());
                row.content("transaction_id", 4, transaction_id);
                row.content("connection_id", 8, Value::Bytes(connection_id.to_be_bytes().to_vec()));
                row.extra(extra);
            }
            Self::AnnounceRequest(request) => request.fields(&mut row),
            Self::AnnounceResponse(response) => {
                row.framing("action", 4, super::ANNOUNCE.into());
                row.content("transaction_id", 4, transaction_id);
                row.content("interval", 4, Value::Unsigned(response.interval.into()));
                row.content("leechers", 4, Value::Unsigned(response.leechers.into()));
                row.content("seeders", 4, Value::Unsigned(response.seeders.into()));
                let length = response.peers.iter().map(|peer| stride(peer.is_ipv6())).sum();
                row.content("peers", length, Value::Endpoints(response.peers.clone()));
                row.extra(&response.extra);
            }
            Self::ScrapeRequest { connection_id, info_hashes, extra, .. } => {
                row.content("connection_id", 8, Value::Bytes(connection_id.to_be_bytes().to_vec()));
                row.framing("action", 4, super::SCRAPE.into());
                row.content("transaction_id", 4, transaction_id);
                for hash in info_hashes {
                    row.content("info_hash", 20, Value::Bytes(hash.0.to_vec()));
                }
                row.extra(extra);
            }
            Self::ScrapeResponse { torrents, extra, .. } => {
                row.framing("action", 4, super::SCRAPE.into());
                row.content("transaction_id", 4, transaction_id);
                for torrent in torrents {
                    row.content("seeders", 4, Value::Unsigned(torrent.seeders.into()));
                    row.content("completed", 4, Value::Unsigned(torrent.completed.into()));
                    row.content("leechers", 4, Value::Unsigned(torrent.leechers.into()));
                }
                row.extra(extra);
            }
            Self::Error { message, .. } => {
                row.framing("action", 4, super::ERROR.into());
                row.content("transaction_id", 4, transaction_id);
                row.content("message", message.len(), text_or_bytes(message));
            }
        }
        row.fields
    }
}

impl AnnounceRequest {
    fn fields(&self, row: &mut FieldRow) {
        row.content("connection_id", 8, Value::Bytes(self.connection_id.to_be_bytes().to_vec()));
        row.framing("action", 4, super::ANNOUNCE.into());
        row.content("transaction_id", 4, Value::Unsigned(self.transaction_id.into()));
        row.content("info_hash", 20, Value::Bytes(self.info_hash.0.to_vec()));
        row.content("peer_id", 20, Value::Bytes(self.peer_id.0.to_vec()));
        row.content("downloaded", 8, Value::Unsigned(self.downloaded));
        row.content("left", 8, Value::Unsigned(self.left));
        row.content("uploaded", 8, Value::Unsigned(self.uploaded));
        let event =
            self.event().map_or(Value::Unsigned(self.event.into()), |event| Value::Text(event.name().into()));
        row.content("event", 4, event);
        row.content("ip", 4, Value::Address(IpAddr::V4(self.ip)));
        row.content("key", 4, Value::Unsigned(self.key.into()));
        row.content("num_want", 4, Value::Signed(self.num_want.into()));
        row.content("port", 2, Value::Unsigned(self.port.into()));
        for option in &self.options {
            let (name, value) = match option {
                AnnounceOption::EndOfOptions => ("end_of_options", Value::None),
                AnnounceOption::Nop => ("nop", Value::None),
                AnnounceOption::UrlData(data) => ("url_data", text_or_bytes(data)),
                AnnounceOption::Unknown { data, .. } => ("option", text_or_bytes(data)),
            };
            row.content(name, option.encoded_length(), value);
        }
        row.extra(&self.extra);
    }
}

/// Fields one after the other.
struct FieldRow {
    fields: Vec<Field>,
    at: usize,
}

impl FieldRow {
    fn content(&mut self, name: &'static str, length: usize, value: Value) {
        self.fields.push(Field::content(name, self.at..self.at + length, value));
        self.at += length;
    }

    fn framing(&mut self, name: &'static str, length: usize, value: u64) {
        self.fields.push(Field::framing(name, self.at..self.at + length, Value::Unsigned(value)));
        self.at += length;
    }

    fn extra(&mut self, extra: &[u8]) {
        if !extra.is_empty() {
            self.content("extra", extra.len(), text_or_bytes(extra));
        }
    }
}
