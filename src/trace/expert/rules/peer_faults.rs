//! Which rule each fault of a peer breaks, and the sentence that says so.

use bittrace_protocol::Block;
use bittrace_protocol::geometry::BlockFault;
use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::peer::{PeerFault, PeerSide};

use super::*;
use crate::record::Record;
use crate::record::units::{count, counted, size, span};

/// The note on a fault that a record shows. `torrent` is what the record is about, where known.
pub(crate) fn note_fault(fault: &PeerFault, record: &Record, torrent: Option<&Metainfo>) -> Note {
    let (source, destination) = (record.source, record.destination);
    let end = |side| if PeerSide::from(record.direction) == side { source } else { destination };
    match fault {
        PeerFault::Malformed { id, wanted } => {
            BEP3_MALFORMED.note(format!("message {}: expected {wanted}", id.0))
        }
        PeerFault::UnknownMessage(id) => {
            BEP4_UNKNOWN_MESSAGE.note(format!("no specification assigns message id {}", id.0))
        }
        PeerFault::MalformedExtended { extension, error } => {
            BEP10_MALFORMED.note(format!("malformed {} message: payload, {error}", extension.name()))
        }
        PeerFault::UnannouncedExtension { .. } => {
            BEP10_UNANNOUNCED.note("the receiver's handshakes did not announce this extension id")
        }
        PeerFault::Silent { silent } => {
            BEP3_IDLE.note(format!("{source} sent nothing for {}", span(silent.as_secs_f64())))
        }
        PeerFault::CancelUnanswered { requester, block } => {
            let (who, Block { index, begin, length }) = (end(*requester), block);
            BEP6_CANCEL_UNANSWERED.note(format!("{who} cancelled {length} at {begin} of piece {index}"))
        }
        PeerFault::Snubbed { requester, waited } => {
            let (who, since) = (end(*requester), span(waited.as_secs_f64()));
            BEP3_SNUBBED.note(format!("{who} has waited for a block for {since}"))
        }
        PeerFault::SamePeerId => BEP3_SELF_CONNECTION.note("both ends have the same peer id"),
        PeerFault::InfoHashDiffers { first, second, upgradable } => {
            let has_both = |torrent: &Metainfo| torrent.goes_by(*first) && torrent.goes_by(*second);
            if *upgradable && torrent.is_none_or(has_both) {
                BEP52_UPGRADED.note(format!(
                    "the request is for {first} and offers version 2; the response has the other info hash of the torrent, {second}"
                ))
            } else {
                let text = format!("the request is for {first}, the response for {second}");
                BEP3_INFO_HASH_MISMATCH.note(text)
            }
        }
        PeerFault::FastNotOffered => {
            BEP6_NOT_OFFERED.note("fast extension messages need the extension in both handshakes")
        }
        PeerFault::BitfieldLate => {
            BEP3_BITFIELD_LATE.note("bitfield is only allowed as the first message after the handshake")
        }
        PeerFault::HaveAllOrNoneLate => {
            BEP6_HOLDING_LATE.note("have-all and have-none are only allowed right after the handshake")
        }
        PeerFault::PortNotOffered => BEP5_PORT.note("the receiver's handshake does not offer DHT"),
        PeerFault::RequestWhileChoked { choked } => BEP3_REQUEST_CHOKED.note(match choked {
            Some(choked) => format!("{source} has been choked for {}", span(choked.as_secs_f64())),
            None => format!("{source} was never unchoked"),
        }),
        PeerFault::RequestWithoutInterest => {
            BEP3_REQUEST_UNINTERESTED.note(format!("{source} has not sent interested"))
        }
        PeerFault::RequestTooLong { length } => {
            BEP3_REQUEST_LONG.note(format!("the request asks for {} bytes", count((*length).into())))
        }
        PeerFault::ReqqExceeded { outstanding, reqq } => {
            let waiting = counted(*outstanding, "request");
            BEP10_REQQ.note(format!("{waiting} outstanding; {destination} queues up to {reqq}"))
        }
        PeerFault::BlockAfterCancel => {
            BEP3_BLOCK_AFTER_CANCEL.note("the block was cancelled; block and cancel crossed")
        }
        PeerFault::BlockAgain => BEP3_BLOCK_AGAIN.note("the block came before and was not requested again"),
        PeerFault::BlockAfterReject => BEP6_ANSWERED_TWICE.note("the request was already rejected"),
        PeerFault::BlockUnsolicited => BEP3_BLOCK_UNSOLICITED.note("the block was not requested"),
        PeerFault::BlockWhileChoking => {
            BEP3_BLOCK_WHILE_CHOKING.note(format!("{destination} is choked, and a choke discards requests"))
        }
        PeerFault::CancelUnrequested => BEP3_CANCEL_UNREQUESTED.note("the block was not requested before"),
        PeerFault::RejectAfterAnswer => BEP6_ANSWERED_TWICE.note("the request was already answered"),
        PeerFault::RejectUnrequested => BEP6_REJECT_UNREQUESTED.note("the block was not requested"),
        PeerFault::HashesUnsolicited => {
            BEP52_HASHES_UNSOLICITED.note(format!("{destination} did not request these hashes"))
        }
        PeerFault::HashRejectUnrequested => {
            BEP52_REJECT_UNREQUESTED.note(format!("{destination} did not request these hashes"))
        }
        PeerFault::PexTooSoon { after } => {
            BEP11_TOO_OFTEN.note(format!("the last PEX message came {} before", span(after.as_secs_f64())))
        }
        PeerFault::PexTooMany { added, dropped } => {
            BEP11_TOO_MANY.note(format!("{added} added, {dropped} dropped"))
        }
        PeerFault::MetadataTotalDiffers { total, announced } => {
            BEP9_WRONG_SIZE.note(format!("total size {total}; the handshake announced {announced}"))
        }
        PeerFault::MetadataPieceLength { length, wanted } => {
            BEP9_WRONG_SIZE.note(format!("{}, expected {wanted}", counted(*length, "byte")))
        }
        PeerFault::OutOfRange { fault, piece, piece_size, piece_count } => {
            BEP3_OUT_OF_RANGE.note(match (fault, piece_size) {
                (BlockFault::Empty, _) => "the length is 0".to_owned(),
                (_, Some(bytes)) => {
                    let (message, bytes) = (record.body.message(), count(u64::from(*bytes)));
                    let last = if piece.0 + 1 == *piece_count { ", the last piece" } else { "" };
                    format!(
                        "the {message} goes beyond the end of piece {piece}{last}, which has {bytes} bytes"
                    )
                }
                (_, None) => {
                    let pieces = counted(u64::from(*piece_count), "piece");
                    format!("there is no piece {piece}: the torrent has {pieces}")
                }
            })
        }
        PeerFault::BitfieldLength { length, piece_count } => {
            let pieces = counted((*piece_count).into(), "piece");
            BEP3_BITFIELD_LENGTH.note(format!("{} for {pieces}", size(*length as u64)))
        }
        PeerFault::BitfieldSpareBits => BEP3_BITFIELD_LENGTH.note("bits after the last piece's bit are set"),
    }
}
