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
            BEP3_MALFORMED.note(format!("message {}: wanted {wanted}", id.0))
        }
        PeerFault::UnknownMessage(id) => {
            BEP4_UNKNOWN_MESSAGE.note(format!("no specification allocates message id {}", id.0))
        }
        PeerFault::MalformedExtended { extension, error } => {
            BEP10_MALFORMED.note(format!("the {} message is broken: payload, {error}", extension.name()))
        }
        PeerFault::UnannouncedExtension { .. } => {
            BEP10_UNANNOUNCED.note("no handshake of the receiver announced this extension id")
        }
        PeerFault::Silent { silent } => {
            BEP3_IDLE.note(format!("{source} said nothing for {}", span(silent.as_secs_f64())))
        }
        PeerFault::CancelUnanswered { requester, block } => {
            let (who, Block { index, begin, length }) = (end(*requester), block);
            BEP6_CANCEL_UNANSWERED.note(format!("{who} cancelled {length} at {begin} of piece {index}"))
        }
        PeerFault::Snubbed { requester, waited } => {
            let (who, since) = (end(*requester), span(waited.as_secs_f64()));
            BEP3_SNUBBED.note(format!("{who} waits for a block since {since}"))
        }
        PeerFault::SamePeerId => BEP3_SELF_CONNECTION.note("both ends have the same peer id"),
        PeerFault::InfoHashDiffers { first, second, upgradable } => {
            let has_both = |torrent: &Metainfo| torrent.goes_by(*first) && torrent.goes_by(*second);
            if *upgradable && torrent.is_none_or(has_both) {
                BEP52_UPGRADED.note(format!(
                    "it was asked for {first}, with the offer to speak version 2, and answers by the other info hash of that torrent"
                ))
            } else {
                let text = format!("it was asked for {first}, and answers for {second}");
                BEP3_INFO_HASH_MISMATCH.note(text)
            }
        }
        PeerFault::FastNotOffered => BEP6_NOT_OFFERED.note("both handshakes must offer the fast extension"),
        PeerFault::BitfieldLate => BEP3_BITFIELD_LATE.note(NOT_FIRST),
        PeerFault::HaveAllOrNoneLate => BEP6_HOLDING_LATE.note(NOT_FIRST),
        PeerFault::PortNotOffered => BEP5_PORT.note("the receiver's handshake does not offer DHT"),
        PeerFault::RequestWhileChoked { choked } => BEP3_REQUEST_CHOKED.note(match choked {
            Some(choked) => format!("{source} is choked since {}", span(choked.as_secs_f64())),
            None => format!("{source} was never unchoked"),
        }),
        PeerFault::RequestWithoutInterest => {
            BEP3_REQUEST_UNINTERESTED.note(format!("{source} has not said that it is interested"))
        }
        PeerFault::RequestTooLong { length } => {
            BEP3_REQUEST_LONG.note(format!("the request asks for {} bytes", count((*length).into())))
        }
        PeerFault::ReqqExceeded { outstanding, reqq } => {
            let waiting = counted(*outstanding, "request");
            BEP10_REQQ.note(format!("{waiting} wait; {destination} keeps {reqq}"))
        }
        PeerFault::BlockAfterCancel => {
            BEP3_BLOCK_AFTER_CANCEL.note("it was cancelled; both were on their way")
        }
        PeerFault::BlockAgain => BEP3_BLOCK_AGAIN.note("it came already, and was not asked for again"),
        PeerFault::BlockAfterReject => BEP6_ANSWERED_TWICE.note("the request was rejected already"),
        PeerFault::BlockUnsolicited => BEP3_BLOCK_UNSOLICITED.note("no request asked for this block"),
        PeerFault::BlockWhileChoking => {
            BEP3_BLOCK_WHILE_CHOKING.note(format!("{destination} is choked, and a choke ends its requests"))
        }
        PeerFault::CancelUnrequested => {
            BEP3_CANCEL_UNREQUESTED.note("no request for this block was sent before")
        }
        PeerFault::RejectAfterAnswer => BEP6_ANSWERED_TWICE.note("the request was answered already"),
        PeerFault::RejectUnrequested => BEP6_REJECT_UNREQUESTED.note("no request asked for this block"),
        PeerFault::HashesUnsolicited => {
            BEP52_HASHES_UNSOLICITED.note(format!("{destination} did not ask for them"))
        }
        PeerFault::HashRejectUnrequested => {
            BEP52_REJECT_UNREQUESTED.note(format!("{destination} did not ask for them"))
        }
        PeerFault::PexTooSoon { after } => {
            BEP11_TOO_OFTEN.note(format!("the last one came {} before", span(after.as_secs_f64())))
        }
        PeerFault::PexTooMany { added, dropped } => {
            BEP11_TOO_MANY.note(format!("{added} added, {dropped} dropped"))
        }
        PeerFault::MetadataTotalDiffers { total, announced } => {
            BEP9_WRONG_SIZE.note(format!("{total} bytes in all; the handshake announced {announced}"))
        }
        PeerFault::MetadataPieceLength { length, wanted } => {
            BEP9_WRONG_SIZE.note(format!("{}, wanted {wanted}", counted(*length, "byte")))
        }
        PeerFault::OutOfRange { fault, piece, piece_size, piece_count } => {
            BEP3_OUT_OF_RANGE.note(match (fault, piece_size) {
                (BlockFault::Empty, _) => "no bytes are named".to_owned(),
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
        PeerFault::BitfieldSpareBits => {
            BEP3_BITFIELD_LENGTH.note("bits behind that of the last piece are set")
        }
    }
}

const NOT_FIRST: &str = "it may only be the first message behind the handshake";
