//! Handshakes that are nearly right: another length byte, another spelling of the name, no reserved bytes, the info hash
//! in hexadecimal digits. BEP 3, "peer protocol", says what is right.

use std::ops::Range;

use crate::field::{Field, Value};
use crate::id::from_hex;
use crate::wire::handshake::{ALLOCATED, HANDSHAKE_LENGTH, Handshake, PROTOCOL};
use crate::wire::{MessageId, length_fault};
use crate::{DecodeError, InfoHash, PeerId};

/// Where the parts of a handshake stand that are nearly right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeLayout {
    /// Where the protocol's name begins: as many bytes as stand for its length.
    name_start: u8,
    name_end: u8,
    /// Whether 8 reserved bytes follow the name.
    reserved: bool,
    /// Whether the info hash is 40 hexadecimal digits.
    hexadecimal: bool,
}

/// What the beginning of a stream is, measured by a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeVerdict {
    /// A handshake.
    Right,
    /// A near miss. Its last bytes may still be to come.
    NearMiss(HandshakeLayout),
    /// More bytes must tell, of either side.
    Open,
    /// Neither a handshake nor nearly one.
    No,
}

/// Judges the bytes that a stream begins with. `other` is the info hash of the other side's right handshake, once it is
/// there. `last` says that no more bytes come.
///
/// A name that is not exactly right is believed before reserved bytes that are mostly zero, before an info hash in
/// hexadecimal digits, before a peer id in its place, or opposite to a right handshake. That the reserved bytes are missing
/// is believed when those in their place cannot be some, and the peer id, the info hash, or the next message stands 8 bytes
/// before its place.
pub fn judge_handshake(bytes: &[u8], other: Option<InfoHash>, last: bool) -> HandshakeVerdict {
    match Name::of(bytes) {
        Name::Exact => judge_exact(bytes, other, last),
        Name::Near(name) => judge_near(bytes, name, other, last),
        Name::Open if last => HandshakeVerdict::No,
        Name::Open => HandshakeVerdict::Open,
        Name::Other => HandshakeVerdict::No,
    }
}

/// The verdict on bytes that begin with all of [`PROTOCOL`].
fn judge_exact(bytes: &[u8], other: Option<InfoHash>, last: bool) -> HandshakeVerdict {
    let rest = &bytes[PROTOCOL.len()..];
    let near = |reserved, hexadecimal| {
        HandshakeVerdict::NearMiss(HandshakeLayout::new(&(1..PROTOCOL.len()), reserved, hexadecimal))
    };
    let is_whole = bytes.len() >= HANDSHAKE_LENGTH;
    if rest.first_chunk().is_some_and(|reserved| !could_be_reserved(reserved)) {
        if has_digits(rest, 0) == Some(true) {
            return near(false, true);
        }
        // A peer id in both places says nothing, so the bytes of both must be there.
        let both = last || rest.len() >= RESERVED + HASH + CLIENT;
        let client_first = both && names_a_client(rest, HASH) && !names_a_client(rest, RESERVED + HASH);
        if client_first || other.is_some_and(|hash| rest.starts_with(&hash.0)) {
            return near(false, false);
        }
        let behind = rest.get(HASH + PEER_ID..);
        if behind
            .is_some_and(|behind| if is_whole { begins_message(behind) } else { last && behind.is_empty() })
        {
            return near(false, false);
        }
    }
    if has_digits(rest, RESERVED) == Some(true) {
        return near(true, true);
    }
    if is_whole { HandshakeVerdict::Right } else { HandshakeVerdict::Open }
}

/// The verdict on bytes that nearly begin with [`PROTOCOL`].
fn judge_near(bytes: &[u8], name: Range<usize>, other: Option<InfoHash>, last: bool) -> HandshakeVerdict {
    let rest = &bytes[name.end..];
    let near = |reserved, hexadecimal| {
        HandshakeVerdict::NearMiss(HandshakeLayout::new(&name, reserved, hexadecimal))
    };
    let undecided = if last { HandshakeVerdict::No } else { HandshakeVerdict::Open };
    let Some(reserved) = rest.first_chunk::<RESERVED>() else { return undecided };
    if could_be_reserved(reserved) {
        return match has_digits(rest, RESERVED) {
            Some(hexadecimal) => near(true, hexadecimal),
            None if last => near(true, false),
            None => HandshakeVerdict::Open,
        };
    }
    match has_digits(rest, 0) {
        Some(true) => return near(false, true),
        Some(false) => {}
        None => return undecided,
    }
    let Some(info_hash) = rest.get(..HASH) else { return undecided };
    if names_a_client(rest, HASH) {
        return near(false, false);
    }
    if names_a_client(rest, RESERVED + HASH) {
        return near(true, false);
    }
    match other {
        Some(hash) if hash.0 == info_hash => near(false, false),
        Some(_) => near(true, false),
        None => undecided,
    }
}

/// How the bytes stand to the length of the protocol's name, and the name.
enum Name {
    /// They begin with both.
    Exact,
    /// They begin with something close, and the name stands here.
    Near(Range<usize>),
    /// More bytes must tell.
    Open,
    Other,
}

impl Name {
    fn of(bytes: &[u8]) -> Self {
        if bytes.starts_with(PROTOCOL) {
            return Self::Exact;
        }
        if PROTOCOL.starts_with(bytes) {
            return Self::Open;
        }
        let mut open = WIDE_LENGTHS.iter().any(|length| length.starts_with(bytes));
        for start in 0..=LONGEST_LENGTH {
            let Some(length) = bytes.get(..start) else { break };
            if !stands_for_length(length) {
                continue;
            }
            let name = &bytes[start..];
            let compared = name.len().min(BITTORRENT.len());
            if !name[..compared].eq_ignore_ascii_case(&BITTORRENT[..compared]) {
                continue;
            }
            if compared < BITTORRENT.len() {
                open |= compared > 0 || start > 0;
                continue;
            }
            let right = &PROTOCOL[1..];
            let compared = name.len().min(right.len());
            if name[..compared].eq_ignore_ascii_case(&right[..compared]) {
                return if compared == right.len() {
                    Self::Near(start..start + right.len())
                } else {
                    Self::Open
                };
            }
            // Another word after "BitTorrent ", as long as the length byte says.
            return match length {
                [length] if OTHER_NAMES.contains(length) => {
                    let end = 1 + usize::from(*length);
                    if end <= bytes.len() { Self::Near(1..end) } else { Self::Open }
                }
                _ => Self::Other,
            };
        }
        if open { Self::Open } else { Self::Other }
    }
}

/// Whether a client could have meant these bytes as the length of the protocol's name: nothing, any one byte, digits, the
/// escape of a string that was not unescaped, an integer of 16 or 32 bits.
fn stands_for_length(bytes: &[u8]) -> bool {
    let digits = bytes.len() <= 3 && bytes.iter().all(u8::is_ascii_digit);
    bytes.len() <= 1 || digits || WIDE_LENGTHS.contains(&bytes)
}

/// Whether 8 bytes can be the reserved ones of a client: few bits that nobody has allocated (BitComet sets 8), and a zero.
fn could_be_reserved(bytes: &[u8; RESERVED]) -> bool {
    let mut unallocated = u64::from_be_bytes(*bytes);
    for bit in &ALLOCATED {
        unallocated &= !(u64::from(bit.mask) << (8 * (RESERVED - 1 - bit.byte)));
    }
    unallocated.count_ones() <= 8 && bytes.contains(&0)
}

/// Whether 40 hexadecimal digits stand there; `None` where the bytes so far are some, and end before the fortieth.
fn has_digits(bytes: &[u8], at: usize) -> Option<bool> {
    let bytes = bytes.get(at..)?;
    let digits = &bytes[..bytes.len().min(DIGITS)];
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Some(false);
    }
    // What repeats a few of them is a name or a filling.
    let different = (0..=u8::MAX).filter(|digit| digits.contains(digit)).count();
    (digits.len() == DIGITS).then_some(different >= DIFFERENT_DIGITS)
}

/// Whether a peer id that begins as most do (BEP 20) stands there: a dash, six letters and digits, a dash.
fn names_a_client(bytes: &[u8], at: usize) -> bool {
    match bytes.get(at..).and_then(|bytes| bytes.first_chunk::<CLIENT>()) {
        Some([b'-', name @ .., b'-']) => name.iter().all(u8::is_ascii_alphanumeric),
        _ => false,
    }
}

/// Whether a message begins there.
fn begins_message(bytes: &[u8]) -> bool {
    let Some(&[a, b, c, d, id]) = bytes.first_chunk::<5>() else { return false };
    let (length, id) = (u32::from_be_bytes([a, b, c, d]), MessageId(id));
    (1..=LONGEST_MESSAGE).contains(&length) && id.is_allocated() && length_fault(id, length).is_none()
}

const WIDE_LENGTHS: [&[u8]; 5] = [b"\\x13", &[0, 19], &[19, 0], &[0, 0, 0, 19], &[19, 0, 0, 0]];

const BITTORRENT: &[u8; 11] = b"BitTorrent ";

/// The bytes of the reserved part, the info hash and the peer id of a handshake, and of an info hash in digits.
const RESERVED: usize = 8;
const HASH: usize = 20;
const PEER_ID: usize = 20;
const DIGITS: usize = 40;

/// The bytes at the beginning of most peer ids that name the client and its version (BEP 20).
const CLIENT: usize = 8;

/// How many different digits an info hash has at least: of 40 drawn at random, nearly all 16 stand among them.
const DIFFERENT_DIGITS: usize = 6;

/// The most bytes that stand for the length of the name.
const LONGEST_LENGTH: usize = 4;

/// The lengths of a name that begins with "BitTorrent " and goes on otherwise.
const OTHER_NAMES: Range<u8> = 12..33;

/// The longest message believed after a handshake without reserved bytes: a block of 128 KiB.
const LONGEST_MESSAGE: u32 = 0x2_0009;

impl HandshakeLayout {
    fn new(name: &Range<usize>, reserved: bool, hexadecimal: bool) -> Self {
        Self { name_start: name.start as u8, name_end: name.end as u8, reserved, hexadecimal }
    }

    /// How many bytes the whole of it has.
    pub fn length(self) -> usize {
        self.peer_id().end
    }

    /// The bytes that stand for the length of the protocol's name. Right is 19 in one byte.
    pub fn name_length(self) -> Range<usize> {
        0..self.name_start.into()
    }

    /// The protocol's name. Right is "BitTorrent protocol".
    pub fn name(self) -> Range<usize> {
        self.name_start.into()..self.name_end.into()
    }

    /// Whether the 8 reserved bytes are there.
    pub const fn has_reserved(self) -> bool {
        self.reserved
    }

    /// Whether the info hash is 40 hexadecimal digits, in place of 20 bytes.
    pub const fn is_hexadecimal(self) -> bool {
        self.hexadecimal
    }

    fn reserved(self) -> Range<usize> {
        let start = usize::from(self.name_end);
        start..start + if self.reserved { RESERVED } else { 0 }
    }

    fn info_hash(self) -> Range<usize> {
        let start = self.reserved().end;
        start..start + if self.hexadecimal { DIGITS } else { HASH }
    }

    fn peer_id(self) -> Range<usize> {
        let start = self.info_hash().end;
        start..start + PEER_ID
    }

    /// The handshake that was meant by `bytes`; `None` where they end before it does.
    pub fn handshake(self, bytes: &[u8]) -> Option<Handshake> {
        let info_hash = bytes.get(self.info_hash())?;
        let reserved = bytes.get(self.reserved())?.first_chunk().copied();
        Some(Handshake {
            reserved: reserved.unwrap_or_default(),
            info_hash: match self.hexadecimal {
                true => InfoHash(from_hex(info_hash)?),
                false => InfoHash(*info_hash.first_chunk()?),
            },
            peer_id: PeerId(*bytes.get(self.peer_id())?.first_chunk()?),
        })
    }

    /// The first byte that is wrong, and what is right there.
    pub(super) fn fault(self, bytes: &[u8]) -> DecodeError {
        let wrong = bytes.iter().zip(PROTOCOL).position(|(sent, right)| sent != right);
        match wrong {
            Some(0) => DecodeError::new(0, WANTED_LENGTH),
            Some(at) => DecodeError::new(at, WANTED_NAME[at - 1]),
            None if !self.reserved => DecodeError::new(self.reserved().start, "8 reserved bytes"),
            None => DecodeError::new(self.info_hash().start, "an info hash of 20 bytes"),
        }
    }

    /// The fields that tile `bytes`, which may end before the handshake does.
    pub(super) fn fields(self, bytes: &[u8]) -> Vec<Field> {
        let mut fields = Vec::new();
        let mut add = |name, span: Range<usize>, value: fn(&[u8]) -> Value, framing| {
            let span = span.start.min(bytes.len())..span.end.min(bytes.len());
            if !span.is_empty() {
                let value = value(&bytes[span.clone()]);
                let field = if framing { Field::framing } else { Field::content };
                fields.push(field(name, span, value));
            }
        };
        let text = |bytes: &[u8]| Value::Text(bytes.escape_ascii().to_string());
        let raw = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
        add("protocol_length", self.name_length(), length_value, true);
        add("protocol", self.name(), text, true);
        add("reserved", self.reserved(), raw, false);
        add("info_hash", self.info_hash(), if self.hexadecimal { text } else { raw }, false);
        add("peer_id", self.peer_id(), raw, false);
        fields
    }
}

fn length_value(bytes: &[u8]) -> Value {
    match bytes {
        [length] => Value::Unsigned(u64::from(*length)),
        other => Value::Text(other.escape_ascii().to_string()),
    }
}

pub(super) const WANTED_LENGTH: &str = "19 (0x13), the length of \"BitTorrent protocol\"";

/// What is wanted at each byte of the name.
const WANTED_NAME: [&str; 19] = [
    "\"B\" of \"BitTorrent protocol\"",
    "\"i\" of \"BitTorrent protocol\"",
    "the first \"t\" of \"BitTorrent protocol\"",
    "\"T\" of \"BitTorrent protocol\"",
    "the first \"o\" of \"BitTorrent protocol\"",
    "the first \"r\" of \"BitTorrent protocol\"",
    "the second \"r\" of \"BitTorrent protocol\"",
    "\"e\" of \"BitTorrent protocol\"",
    "\"n\" of \"BitTorrent protocol\"",
    "the \"t\" before the space of \"BitTorrent protocol\"",
    "the space of \"BitTorrent protocol\"",
    "\"p\" of \"BitTorrent protocol\"",
    "the \"r\" of \"protocol\" in \"BitTorrent protocol\"",
    "the first \"o\" of \"protocol\" in \"BitTorrent protocol\"",
    "the \"t\" of \"protocol\" in \"BitTorrent protocol\"",
    "the second \"o\" of \"protocol\" in \"BitTorrent protocol\"",
    "\"c\" of \"BitTorrent protocol\"",
    "the last \"o\" of \"BitTorrent protocol\"",
    "\"l\" of \"BitTorrent protocol\"",
];

#[cfg(test)]
mod tests;
