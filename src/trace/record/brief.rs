//! A record on one short line, for tables: the message's name first, then what matters most of it. What is left out stands
//! in the longer line of [`describe`](super::describe()) and in the fields.

use bittrace_protocol::Block;
use bittrace_protocol::wire::{Handshake, Message};

use super::content::short_hash;
use super::units::{count, size};
use super::{Body, PeerWireBody, Record};

/// A record on one short line that begins with the name of its message. Parts are apart by commas, the important ones first,
/// so that a table may leave out the last ones. `pieces` is the number of pieces of the torrent, where it is known.
///
/// The client of a handshake is named only if `names_client`: a table may have named it already.
pub fn brief(record: &Record, pieces: Option<u64>, names_client: bool) -> String {
    match &record.body {
        Body::PeerWire(PeerWireBody::Handshake(handshake)) => {
            brief_handshake(handshake, record.client.as_deref().filter(|_| names_client))
        }
        Body::PeerWire(PeerWireBody::Message(message)) => {
            brief_message(message, pieces).unwrap_or_else(|| described(record, pieces))
        }
        _ => described(record, pieces),
    }
}

/// A block as [`brief`] names it in a list: `3 at 16384`.
pub fn brief_block(block: &Block) -> String {
    format!("{} at {}", block.index, block.begin)
}

fn brief_handshake(handshake: &Handshake, client: Option<&str>) -> String {
    let mut parts = vec![format!("handshake {}", short_hash(&handshake.info_hash))];
    parts.extend(client.map(str::to_owned));
    let offers: Vec<_> = handshake.reserved_bits().iter().map(|bit| bit.name).collect();
    if !offers.is_empty() {
        parts.push(offers.join(" "));
    }
    parts.join(", ")
}

fn brief_message(message: &Message, pieces: Option<u64>) -> Option<String> {
    let name = message.name();
    Some(match message {
        Message::Have(index) | Message::AllowedFast(index) | Message::SuggestPiece(index) => {
            format!("{name} {index}")
        }
        Message::Bitfield(bits) => {
            let set: u64 = bits.iter().map(|byte| u64::from(byte.count_ones())).sum();
            match pieces {
                Some(pieces) => format!("{name} {} of {}", count(set), count(pieces)),
                None => format!("{name} {} of at most {}", count(set), count(bits.len() as u64 * 8)),
            }
        }
        Message::Request(block) | Message::Cancel(block) | Message::RejectRequest(block) => {
            format!("{name} {}, {}", brief_block(block), size(u64::from(block.length)))
        }
        Message::Piece { index, begin, block } => {
            format!("{name} {index} at {begin}, {}", size(block.len() as u64))
        }
        _ => return None,
    })
}

/// The line of [`describe`](super::describe()) after the message's name, which is not said twice.
fn described(record: &Record, pieces: Option<u64>) -> String {
    let name = record.body.message();
    let text = super::describe_in(record, pieces);
    if text.starts_with(name) || record.body.peer_message().is_some() {
        return text;
    }
    // Requests begin with the verb that their name begins with.
    let verb = name.split(['-', ' ']).next().unwrap_or(name);
    match text.strip_prefix(verb) {
        Some(rest) if rest.starts_with(' ') || rest.starts_with(": ") => format!("{name}{rest}"),
        _ => format!("{name}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use bittrace_protocol::PieceIndex;
    use bytes::Bytes;

    use super::*;

    #[test]
    fn messages_say_the_piece_first_and_then_how_much() {
        let block = Block { index: PieceIndex(7), begin: 16384, length: 16384 };
        let said = |message| brief_message(&message, Some(10));
        assert_eq!(said(Message::Request(block)).unwrap(), "request 7 at 16384, 16 KiB");
        let piece = Message::Piece { index: PieceIndex(7), begin: 0, block: Bytes::from_static(&[0; 17]) };
        assert_eq!(said(piece).unwrap(), "piece 7 at 0, 17 bytes");
        assert_eq!(said(Message::Have(PieceIndex(3))).unwrap(), "have 3");
        assert_eq!(said(Message::Choke), None);
    }

    #[test]
    fn a_bitfield_counts_pieces_that_exist_only_where_that_is_known() {
        let bits = || Message::Bitfield(Bytes::from_static(&[0xc0, 0x40]));
        assert_eq!(brief_message(&bits(), Some(10)).unwrap(), "bitfield 3 of 10");
        assert_eq!(brief_message(&bits(), None).unwrap(), "bitfield 3 of at most 16");
    }
}
