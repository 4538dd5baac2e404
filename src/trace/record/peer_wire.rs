//! What peers send each other: names, fields, and a line for each message.

use std::net::SocketAddr;

use bittrace_protocol::Block;
use bittrace_protocol::Hex;
use bittrace_protocol::bencode::{self, View};
use bittrace_protocol::field::{Field, Value};
use bittrace_protocol::wire::{
    AzureusMessage, Content, ExtendedHandshake, Extension, Handshake, HashRange, HolepunchError,
    METADATA_PIECE, Message, Metadata, MetadataKind, Pex,
};
use bytes::Bytes;

use super::content::{NAMED, short_hash};
use super::units::{count, counted, push_number, push_size, short_hex, size, wanted_at};

/// What peers send each other (BEPs 3, 5, 6, 10 and 52).
#[derive(Debug, Clone)]
pub enum PeerWireBody {
    /// A handshake.
    Handshake(Handshake),
    /// A message.
    Message(Message),
    /// A message of an extension, named by the receiver's extended handshake.
    Extended(Message, Extension),
    /// A message of Azureus messaging, and the message of BEP 3 that it wraps, if any.
    Azureus(Box<AzureusMessage>, Option<Message>),
}

impl PeerWireBody {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Handshake(_) => "handshake",
            Self::Message(message) | Self::Extended(message, _) => message.name(),
            Self::Azureus(message, _) => message.name(),
        }
    }

    pub(super) fn fields(&self, bytes: &Bytes) -> Vec<Field> {
        match self {
            Self::Handshake(handshake) => handshake.fields(),
            Self::Message(message) => message.fields(),
            Self::Extended(message, extension) => extended_fields(message, extension, bytes),
            Self::Azureus(message, _) => message.fields(),
        }
    }

    pub(super) fn describe_into(&self, client: Option<&str>, pieces: Option<u64>, text: &mut String) {
        match self {
            Self::Handshake(handshake) => text.push_str(&describe_handshake(handshake, client)),
            Self::Message(message) => describe_message(message, pieces, text),
            Self::Extended(message, extension) => describe_extended(message, extension, text),
            Self::Azureus(_, Some(message)) => {
                describe_message(message, pieces, text);
                text.push_str(" (Azureus messaging)");
            }
            Self::Azureus(message, None) => text.push_str(&describe_azureus(message)),
        }
    }
}

/// The fields of an extension's message, those of its payload included.
fn extended_fields(message: &Message, extension: &Extension, bytes: &Bytes) -> Vec<Field> {
    let mut fields = message.fields();
    let name = Value::Text(extension.name().to_owned());
    if let Some(id) = fields.iter_mut().find(|field| field.name == "extended_id") {
        // The id is only the receiver's number; what it stands for is the content.
        let Value::Unsigned(number) = id.value else { return fields };
        id.name = "extension".into();
        id.value = name;
        id.children = vec![Field::framing("extended_id", id.span.clone(), Value::Unsigned(number))];
    }
    if let Message::Extended { payload, .. } = message {
        let header = bytes.len() - payload.len();
        fields.retain(|field| field.name != "payload");
        fields.extend(extension.fields(payload).into_iter().map(|field| field.shifted(header)));
    }
    fields
}

fn describe_handshake(handshake: &Handshake, client: Option<&str>) -> String {
    let mut parts = vec![format!("handshake for {}", short_hash(&handshake.info_hash))];
    parts.extend(client.map(str::to_owned));
    let offers: Vec<_> = handshake.reserved_bits().iter().map(|bit| bit.name).collect();
    if !offers.is_empty() {
        parts.push(format!("offers {}", offers.join(", ")));
    }
    parts.join(", ")
}

/// A message that only Azureus messaging has.
fn describe_azureus(message: &AzureusMessage) -> String {
    let id = message.id.escape_ascii();
    let text = format!("{}: Azureus message {id}, {}", message.name(), size(message.payload.len() as u64));
    let Ok(document) = bencode::scan(&message.payload) else { return text };
    let word = |key: &[u8]| document.root().get(key).and_then(View::text).map(|word| word.escape_debug());
    match (word(b"client"), word(b"version")) {
        (Some(client), Some(version)) => format!("{text}, {client} {version}"),
        (Some(client), None) => format!("{text}, {client}"),
        (None, _) => text,
    }
}

fn describe_message(message: &Message, pieces: Option<u64>, text: &mut String) {
    // Nearly all messages are of these kinds, which need no text of their own.
    match message {
        Message::Have(index) => return push_named_number("have piece ", index.0, text),
        Message::Request(block) => return push_named_block("request ", block, text),
        Message::Cancel(block) => return push_named_block("cancel ", block, text),
        Message::RejectRequest(block) => return push_named_block("reject-request ", block, text),
        Message::Piece { index, begin, block } => {
            let length = block.len() as u32;
            return push_named_block("", &Block { index: *index, begin: *begin, length }, text);
        }
        Message::SuggestPiece(index) => return push_named_number("suggest-piece ", index.0, text),
        Message::AllowedFast(index) => return push_named_number("allowed-fast piece ", index.0, text),
        _ => {}
    }
    text.push_str(&match message {
        Message::Bitfield(bits) => {
            let set: u64 = bits.iter().map(|byte| u64::from(byte.count_ones())).sum();
            match pieces {
                Some(pieces) => format!("bitfield: {} of {} pieces", count(set), count(pieces)),
                None => {
                    let room = bits.len() as u64 * 8;
                    format!("bitfield: {} of at most {} pieces", count(set), count(room))
                }
            }
        }
        Message::Port(port) => format!("port {port} for DHT"),
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
            "malformed {} with {} after its id: expected {wanted}",
            id.name(),
            counted(payload.len() as u64, "byte")
        ),
        // Their name says all.
        _ => return text.push_str(message.name()),
    });
}

fn describe_extended(message: &Message, extension: &Extension, text: &mut String) {
    let Message::Extended { id, payload } = message else { return describe_message(message, None, text) };
    let name = match extension {
        Extension::Handshake => "extended handshake",
        other => other.name(),
    };
    text.push_str(&match extension.decode(payload) {
        Ok(Content::Handshake(handshake)) => describe_extended_handshake(&handshake),
        Ok(Content::Metadata(metadata)) => describe_metadata(&metadata),
        Ok(Content::Pex(pex)) => describe_pex(&pex),
        Ok(Content::DontHave(index)) => format!("{name} piece {index}"),
        Ok(Content::UploadOnly(only)) => {
            format!("{name}: {}", if only { "upload-only from now on" } else { "no longer upload-only" })
        }
        Ok(Content::Holepunch(holepunch)) => {
            let failed = match holepunch.error {
                None | Some(0) => String::new(),
                Some(error) => match HolepunchError::from_code(error) {
                    Some(known) => format!(", error {error} ({})", known.name()),
                    None => format!(", error {error}"),
                },
            };
            format!("{name} {} {}{failed}", holepunch.kind.name(), holepunch.endpoint)
        }
        Ok(Content::Other) if *extension == Extension::Unannounced => {
            format!("extended id {id}, not announced by any handshake, {}", size(payload.len() as u64))
        }
        Ok(Content::Other) => format!("{name}, {}", size(payload.len() as u64)),
        Err(error) => format!(
            "malformed {name}, {}: {}",
            size(payload.len() as u64),
            wanted_at(error.offset, error.wanted)
        ),
    });
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
    parts.extend(handshake.reqq.map(|reqq| format!("queues up to {}", counted(u64::from(reqq), "request"))));
    parts.extend(handshake.your_ip.map(|ip| format!("your ip {ip}")));
    if handshake.upload_only == Some(true) {
        parts.push("upload-only".to_owned());
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
        text.push_str(&format!(" of {}", total.div_ceil(METADATA_PIECE)));
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

/// Adds words and the number after them.
fn push_named_number(words: &str, number: u32, text: &mut String) {
    text.push_str(words);
    push_number(number, text);
}

/// Adds a name, and the block that the message is about.
fn push_named_block(name: &str, block: &Block, text: &mut String) {
    text.push_str(name);
    push_named_number("piece ", block.index.0, text);
    text.push_str(", ");
    push_size(u64::from(block.length), text);
    push_named_number(" at ", block.begin, text);
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
