//! Messages whose length prefix is in little endian. BEP 3 ("peer protocol") has all integers in big endian.

use crate::DecodeError;
use crate::field::{Field, Value};
use crate::wire::{MessageId, length_fault};

/// Whether a message begins with its length in little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthVerdict {
    /// It does: a message of this many bytes, its length prefix included. The bytes may be fewer where the message has only
    /// one possible length.
    LittleEndian(usize),
    /// More bytes must tell.
    Open,
    /// It does not.
    No,
}

/// Judges bytes that stand where a message should begin, and begin none in big endian ([`frame`](crate::wire::frame)).
/// A length that is the only one of its id is proof. Another message must end where the next one begins, or where the
/// stream ends. `last` says that no more bytes come.
pub fn judge_length(bytes: &[u8], last: bool) -> LengthVerdict {
    let undecided = if last { LengthVerdict::No } else { LengthVerdict::Open };
    match begins(bytes) {
        Beginning::Message { length, only: true } => LengthVerdict::LittleEndian(length),
        Beginning::Message { length, only: false } => match bytes.get(length..).map(begins) {
            Some(Beginning::Message { .. }) => LengthVerdict::LittleEndian(length),
            Some(Beginning::Short) if last => LengthVerdict::LittleEndian(length),
            Some(Beginning::Short) | None => undecided,
            Some(Beginning::Wrong) => LengthVerdict::No,
        },
        Beginning::Short => undecided,
        Beginning::Wrong => LengthVerdict::No,
    }
}

/// What bytes are that should begin a message with its length in little endian.
enum Beginning {
    /// A message of this many bytes, and whether its id has no other length.
    Message { length: usize, only: bool },
    /// Too few bytes to tell.
    Short,
    /// No such message.
    Wrong,
}

fn begins(bytes: &[u8]) -> Beginning {
    let Some((prefix, rest)) = bytes.split_first_chunk::<4>() else { return Beginning::Short };
    let length = u32::from_le_bytes(*prefix);
    if length == 0 {
        return Beginning::Message { length: 4, only: false };
    }
    if length > LONGEST {
        return Beginning::Wrong;
    }
    let Some(&id) = rest.first() else { return Beginning::Short };
    let id = MessageId(id);
    if !id.is_allocated() || length_fault(id, length).is_some() {
        return Beginning::Wrong;
    }
    let only = match id {
        MessageId::PIECE | MessageId::HASHES => false,
        MessageId::BITFIELD if length < 2 => return Beginning::Wrong,
        MessageId::BITFIELD => false,
        // An extended message is a dictionary after its own id (BEP 10).
        MessageId::EXTENDED => match rest.get(2) {
            Some(b'd') => false,
            Some(_) => return Beginning::Wrong,
            None => return Beginning::Short,
        },
        _ => true,
    };
    Beginning::Message { length: 4 + length as usize, only }
}

/// The longest message believed with its length in little endian, in bytes: a bitfield of eight million pieces.
const LONGEST: u32 = 1 << 20;

pub(super) fn fault(bytes: &[u8]) -> DecodeError {
    let prefix = bytes.first_chunk::<4>().copied().unwrap_or_default();
    let mut wanted = prefix;
    wanted.reverse();
    let offset = prefix.iter().zip(wanted).position(|(&sent, wanted)| sent != wanted).unwrap_or(0);
    DecodeError::new(offset, "the length in big endian")
}

pub(super) fn fields(bytes: &[u8]) -> Vec<Field> {
    let Some(prefix) = bytes.first_chunk::<4>() else {
        return vec![Field::content("payload", 0..bytes.len(), Value::Payload(0..bytes.len()))];
    };
    let length = u64::from(u32::from_le_bytes(*prefix));
    let mut fields = vec![Field::framing("length_prefix", 0..4, Value::Unsigned(length))];
    if let Some(&id) = bytes.get(4) {
        fields.push(Field::framing("id", 4..5, Value::Unsigned(id.into())));
    }
    if bytes.len() > 5 {
        fields.push(Field::content("payload", 5..bytes.len(), Value::Payload(5..bytes.len())));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use LengthVerdict::{LittleEndian, No, Open};

    #[test]
    fn the_only_length_of_an_id_is_proof_from_five_bytes() {
        let interested = [1, 0, 0, 0, 2];
        let request = [13, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0];
        for end in 0..4 {
            assert_eq!(judge_length(&interested[..end], false), Open);
        }
        assert_eq!(judge_length(&interested, false), LittleEndian(5));
        assert_eq!(judge_length(&request[..5], false), LittleEndian(17));
        assert_eq!(fault(&request).offset, 0);
    }

    #[test]
    fn another_message_must_end_where_something_fits() {
        let bitfield = [2, 0, 0, 0, 5, 0xe0];
        assert_eq!(judge_length(&bitfield, false), Open);
        assert_eq!(judge_length(&bitfield, true), LittleEndian(6));
        assert_eq!(judge_length(&bitfield[..5], true), No, "the rest never came");
        let followed = |next: &[u8]| judge_length(&[&bitfield, next].concat(), false);
        assert_eq!(followed(&[1, 0, 0, 0]), Open);
        assert_eq!(followed(&[1, 0, 0, 0, 2]), LittleEndian(6));
        assert_eq!(followed(&[1, 0, 0, 0, 4]), No);
        assert_eq!(followed(&[0, 0, 0, 1]), No);
    }

    #[test]
    fn other_bytes_are_no_message() {
        for bytes in
            [&b"HTTP/1.1"[..], b"\x01\0\0\0\x03\x01", &[0xff; 8], &[1, 0, 0, 0, 99], &[1, 0, 0, 0, 5]]
        {
            let expected = if bytes[4] == 3 { LittleEndian(5) } else { No };
            assert_eq!(judge_length(bytes, false), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn the_first_wrong_byte_is_the_first_that_differs_from_big_endian() {
        assert_eq!(fault(&[13, 0, 0, 0, 6]).offset, 0);
        assert_eq!(fault(&[0, 0x40, 0, 0, 7]).offset, 1);
    }
}
