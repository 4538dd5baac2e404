//! Where a message ends, known from its first five bytes, before memory is spent on the rest.

use super::id::MessageId;
use crate::DecodeError;

/// The longest message believed: the bitfield of a torrent of 134 million pieces, and sixteen times the
/// largest block or metadata message seen in the field.
pub const MAX_MESSAGE: usize = 16 << 20;

/// The longest message believed under an id that nobody has allocated.
const MAX_UNKNOWN: u32 = 1 << 20;

/// The longest message believed under an id whose messages all have one length. It is malformed, but small
/// enough that the next message may well stand after it.
const MAX_MALFORMED: u32 = 64;

/// What the beginning of a message says of its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Fewer bytes than a length prefix and an id.
    Incomplete,
    /// A message of this many bytes, its length prefix included.
    Message(usize),
    /// No message begins like this: the length prefix lies, or these bytes are something else.
    Impossible(DecodeError),
}

/// Reads the length prefix and the id that `bytes` begin with.
pub fn frame(bytes: &[u8]) -> Frame {
    let Some(prefix) = bytes.first_chunk::<4>() else {
        return Frame::Incomplete;
    };
    let length = u32::from_be_bytes(*prefix);
    if length == 0 {
        return Frame::Message(4);
    }
    let Some(&id) = bytes.get(4) else {
        // A prefix beyond every bound need not wait for its id.
        return match length as usize > MAX_MESSAGE {
            true => Frame::Impossible(DecodeError::new(0, "a message of at most 16 MiB")),
            false => Frame::Incomplete,
        };
    };
    match length_fault(MessageId(id), length) {
        Some(LengthFault::Impossible(wanted)) => Frame::Impossible(DecodeError::new(0, wanted)),
        Some(LengthFault::Malformed(_)) | None => Frame::Message(4 + length as usize),
    }
}

/// A length that does not suit the message's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthFault {
    /// The message has a wrong length, but can be skipped: what it should have been.
    Malformed(&'static str),
    /// The length cannot be believed: what it should have been.
    Impossible(&'static str),
}

/// What is wrong with the length of a message with this id and length prefix; `None` when the two suit each other.
/// The lengths are those of BEP 3, 5, 6, 10 and 52.
pub const fn length_fault(id: MessageId, length: u32) -> Option<LengthFault> {
    let (exact, wanted) = match id {
        MessageId::CHOKE
        | MessageId::UNCHOKE
        | MessageId::INTERESTED
        | MessageId::NOT_INTERESTED
        | MessageId::HAVE_ALL
        | MessageId::HAVE_NONE => (1, "a message of 1 byte"),
        MessageId::HAVE | MessageId::SUGGEST_PIECE | MessageId::ALLOWED_FAST => (5, "a message of 5 bytes"),
        MessageId::REQUEST | MessageId::CANCEL | MessageId::REJECT_REQUEST => (13, "a message of 13 bytes"),
        MessageId::PORT => (3, "a message of 3 bytes"),
        MessageId::HASH_REQUEST | MessageId::HASH_REJECT => (49, "a message of 49 bytes"),
        MessageId::BITFIELD => return at_least(1, length, "a bitfield of at most 16 MiB"),
        MessageId::PIECE => return at_least(9, length, "a piece message of 9 bytes to 16 MiB"),
        MessageId::EXTENDED => return at_least(2, length, "an extended message of 2 bytes to 16 MiB"),
        MessageId::HASHES => {
            return match at_least(49, length, "a hashes message of 49 bytes to 16 MiB") {
                None if !(length - 49).is_multiple_of(32) => {
                    Some(LengthFault::Malformed("hashes of 32 bytes each"))
                }
                other => other,
            };
        }
        _ => {
            return match length > MAX_UNKNOWN {
                true => Some(LengthFault::Impossible("a message of at most 1 MiB under an unknown id")),
                false => None,
            };
        }
    };
    if length == exact {
        None
    } else if length > MAX_MALFORMED {
        Some(LengthFault::Impossible(wanted))
    } else {
        Some(LengthFault::Malformed(wanted))
    }
}

const fn at_least(least: u32, length: u32, wanted: &'static str) -> Option<LengthFault> {
    if length as usize > MAX_MESSAGE {
        Some(LengthFault::Impossible(wanted))
    } else if length < least {
        Some(LengthFault::Malformed(wanted))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_known_from_five_bytes() {
        assert_eq!(frame(&[0, 0, 0]), Frame::Incomplete);
        assert_eq!(frame(&[0, 0, 0, 0]), Frame::Message(4));
        assert_eq!(frame(&[0, 0, 0, 13]), Frame::Incomplete);
        assert_eq!(frame(&[0, 0, 0, 13, 6]), Frame::Message(17));
        // a 32 KiB block
        assert_eq!(frame(&[0, 0, 0x80, 9, 7]), Frame::Message(4 + 9 + 0x8000));
        // an extended message of 1 MiB
        assert_eq!(frame(&[0, 0x10, 0, 0, 20]), Frame::Message(4 + 0x10_0000));
    }

    #[test]
    fn a_lying_length_is_found_out_before_its_bytes_come() {
        assert!(matches!(frame(&[0x80, 0, 0, 0]), Frame::Impossible(_)));
        assert!(matches!(frame(&[0, 0, 1, 0, 0]), Frame::Impossible(_)), "choke of 256 bytes");
        assert!(matches!(frame(&[0, 0x20, 0, 0, 99]), Frame::Impossible(_)), "unknown id of 2 MiB");
        assert!(matches!(frame(b"HTTP/1.1"), Frame::Impossible(_)));
    }

    #[test]
    fn a_short_message_of_a_wrong_length_can_be_skipped() {
        assert_eq!(frame(&[0, 0, 0, 7, 4]), Frame::Message(11));
        assert_eq!(length_fault(MessageId::HAVE, 7), Some(LengthFault::Malformed("a message of 5 bytes")));
        assert_eq!(length_fault(MessageId::HAVE, 5), None);
        assert_eq!(
            length_fault(MessageId::HASHES, 49 + 31),
            Some(LengthFault::Malformed("hashes of 32 bytes each"))
        );
    }
}
