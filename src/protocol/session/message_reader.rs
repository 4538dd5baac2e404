//! Cuts what a peer sends into messages. Blocks pass through as slices of what was received, in whatever parts they
//! come; only messages that are cut, and are no blocks, are collected.

use bytes::{Buf, Bytes};

use crate::merkle::MOST_HASHES;
use crate::wire::{
    Frame, HANDSHAKE_LENGTH, Handshake, Message, MessageId, Prefix, frame, handshake_prefix, length_fault,
};
use crate::{Block, PieceIndex};

/// The place in a peer's stream.
#[derive(Debug)]
pub(super) struct MessageReader {
    state: ReaderState,
    /// The beginning of a message whose rest has not come.
    begun: Vec<u8>,
    bitfield_length: BitfieldLength,
}

/// How many bytes a bitfield has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BitfieldLength {
    /// So many.
    Exactly(usize),
    /// The torrent's metadata has not come: as many as that of any torrent may have.
    Unknown,
}

impl BitfieldLength {
    /// The length where there are so many pieces.
    pub(super) const fn of(pieces: u32) -> Self {
        Self::Exactly(pieces.div_ceil(8) as usize)
    }
}

#[derive(Debug)]
enum ReaderState {
    Handshake,
    Message,
    Block { block: Block, position: u32 },
    Skip(usize),
}

/// What was said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StreamPart {
    Handshake(Handshake),
    /// Any message but a piece.
    Message(Message),
    /// A piece message begins.
    BlockBegins(Block),
    /// Bytes of its block, from `position` within the block on.
    BlockBytes {
        position: u32,
        bytes: Bytes,
        ends: bool,
    },
    /// A message of so many bytes begins that is passed over.
    Passed(usize),
}

impl MessageReader {
    /// A receiver at the handshake of a peer of a torrent whose bitfields have so many bytes.
    pub(super) const fn new(bitfield_length: BitfieldLength) -> Self {
        Self { state: ReaderState::Handshake, begun: Vec::new(), bitfield_length }
    }

    /// Says how many bytes a bitfield has from now on.
    pub(super) const fn set_bitfield_length(&mut self, length: BitfieldLength) {
        self.bitfield_length = length;
    }

    /// Takes what `input` begins with; `None` when all of it is taken.
    ///
    /// # Errors
    /// What was wanted in place of what came.
    pub(super) fn next(&mut self, input: &mut Bytes) -> Result<Option<StreamPart>, &'static str> {
        loop {
            if input.is_empty() {
                return Ok(None);
            }
            match &mut self.state {
                ReaderState::Handshake => {
                    self.collect(input, HANDSHAKE_LENGTH);
                    if handshake_prefix(&self.begun) == Prefix::No {
                        return Err("a handshake");
                    }
                    if self.begun.len() < HANDSHAKE_LENGTH {
                        return Ok(None);
                    }
                    let handshake = Handshake::decode(&self.begun).map_err(|error| error.wanted)?;
                    self.begun.clear();
                    self.state = ReaderState::Message;
                    return Ok(Some(StreamPart::Handshake(handshake)));
                }
                ReaderState::Skip(left) => {
                    let skipped = input.len().min(*left);
                    input.advance(skipped);
                    *left -= skipped;
                    if *left == 0 {
                        self.state = ReaderState::Message;
                    }
                }
                ReaderState::Block { block, position } => {
                    let start = *position;
                    let left = (block.length - start) as usize;
                    let bytes = input.split_to(input.len().min(left));
                    *position += bytes.len() as u32;
                    let ends = *position == block.length;
                    if ends {
                        self.state = ReaderState::Message;
                    }
                    return Ok(Some(StreamPart::BlockBytes { position: start, bytes, ends }));
                }
                ReaderState::Message => {
                    if let Some(part) = self.message(input)? {
                        return Ok(Some(part));
                    }
                }
            }
        }
    }

    fn message(&mut self, input: &mut Bytes) -> Result<Option<StreamPart>, &'static str> {
        // A message that begins and ends in what came is not copied.
        let whole = self.begun.is_empty().then(|| self.extent(input)).transpose()?.flatten();
        if let Some(extent) = whole.filter(|extent| extent.collected <= input.len()) {
            return self.take(input, extent);
        }
        let Some(extent) = self.collect_head(input)? else { return Ok(None) };
        let mut begun = Bytes::from(std::mem::take(&mut self.begun));
        self.take(&mut begun, extent)
    }

    /// Takes the message that `input` begins with, or the part of it that is needed at once.
    fn take(&mut self, input: &mut Bytes, extent: MessageExtent) -> Result<Option<StreamPart>, &'static str> {
        if extent.skipped > 0 {
            input.advance(extent.collected);
            self.state = ReaderState::Skip(extent.skipped);
            return Ok(Some(StreamPart::Passed(extent.skipped)));
        }
        if !extent.is_piece {
            let message = Message::decode_first(input, extent.collected).map_err(|error| error.wanted)?;
            input.advance(extent.collected);
            return match message {
                Message::Malformed { wanted, .. } => Err(wanted),
                message => Ok(Some(StreamPart::Message(message))),
            };
        }
        let length = input.get_u32() - 9;
        input.advance(1);
        let block = Block { index: PieceIndex(input.get_u32()), begin: input.get_u32(), length };
        if length > 0 {
            self.state = ReaderState::Block { block, position: 0 };
        }
        Ok(Some(StreamPart::BlockBegins(block)))
    }

    /// Collects all that must be seen of a message at once; `None` until that has come.
    fn collect_head(&mut self, input: &mut Bytes) -> Result<Option<MessageExtent>, &'static str> {
        loop {
            let (extent, wanted) = match self.extent(&self.begun)? {
                Some(extent) => (Some(extent), extent.collected),
                None if self.begun.len() < 4 => (None, 4),
                None => (None, 5),
            };
            if self.begun.len() >= wanted {
                return Ok(extent);
            }
            if input.is_empty() {
                return Ok(None);
            }
            self.collect(input, wanted);
        }
    }

    fn collect(&mut self, input: &mut Bytes, wanted: usize) {
        let taken = input.len().min(wanted - self.begun.len());
        self.begun.extend_from_slice(&input[..taken]);
        input.advance(taken);
    }

    /// How far the message goes that `bytes` begin with; `None` while they are too few to tell.
    fn extent(&self, bytes: &[u8]) -> Result<Option<MessageExtent>, &'static str> {
        let length = match frame(bytes) {
            Frame::Incomplete => return Ok(None),
            Frame::Impossible(error) => return Err(error.wanted),
            Frame::Message(length) => length,
        };
        let id = bytes.get(4).filter(|_| length > 4).map(|&id| MessageId(id));
        let whole = MessageExtent { collected: length, skipped: 0, is_piece: false };
        Ok(Some(match id {
            Some(MessageId::PIECE) if length >= PIECE_HEAD => {
                MessageExtent { collected: PIECE_HEAD, is_piece: true, ..whole }
            }
            Some(MessageId::BITFIELD) => match self.bitfield_length {
                BitfieldLength::Exactly(bytes) if length != 5 + bytes => {
                    return Err("a bitfield with a bit for each piece");
                }
                BitfieldLength::Unknown if length > 5 + MAX_UNKNOWN_BITFIELD => {
                    return Err("a bitfield of at most 1 MiB");
                }
                _ => whole,
            },
            None => whole,
            Some(MessageId::EXTENDED) if length > MAX_COLLECTED => {
                return Err("an extended message of at most 256 KiB");
            }
            Some(MessageId::HASHES) if length > MAX_HASHES => {
                return Err("hashes of at most 512 nodes and their proof");
            }
            // Nothing is done with what nobody has allocated.
            Some(id) if !id.is_allocated() => whole.skip(),
            Some(id) => match length_fault(id, length as u32 - 4) {
                // It ends the conversation: its rest need not come.
                Some(_) => return Err("a message of the length its id has"),
                None => whole,
            },
        }))
    }
}

/// How far a message goes.
#[derive(Debug, Clone, Copy)]
struct MessageExtent {
    /// The bytes that are needed at once.
    collected: usize,
    /// The bytes after them that nobody reads.
    skipped: usize,
    is_piece: bool,
}

impl MessageExtent {
    const fn skip(self) -> Self {
        Self { collected: 5, skipped: self.collected - 5, is_piece: false }
    }
}

/// The bytes of a piece message before its block.
const PIECE_HEAD: usize = 13;

/// The longest bitfield taken while the metadata has not come: that of eight million pieces.
const MAX_UNKNOWN_BITFIELD: usize = 1024 * 1024;

/// The longest answer to a request for hashes: with as many as may be asked for (BEP 52, "peer messages"), and a proof of 50 layers,
/// which a file of 2^64 bytes has.
const MAX_HASHES: usize = 53 + (MOST_HASHES as usize + 50) * 32;

/// The longest extended message believed: PEX and metadata messages have less than 20 KiB.
const MAX_COLLECTED: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream() -> Vec<u8> {
        let mut bytes = b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x05".to_vec();
        bytes.extend([7; 40]);
        bytes.extend([0, 0, 0, 3, 5, 0xff, 0xc0]); // bitfield
        bytes.extend([0, 0, 0, 0]); // keep-alive
        bytes.extend([0, 0, 0, 12, 7, 0, 0, 0, 1, 0, 0, 0x40, 0, 1, 2, 3]); // 3 bytes of piece 1
        bytes.extend([0, 0, 0, 5, 99, 1, 2, 3, 4]); // nobody's message
        bytes.extend([0, 0, 0, 1, 99]); // the same, short enough to be seen
        bytes.extend([0, 0, 0, 5, 4, 0, 0, 0, 9]); // have
        bytes
    }

    fn parts(receiver: &mut MessageReader, cuts: &[Vec<u8>]) -> Vec<String> {
        let (mut said, mut block) = (Vec::new(), Vec::new());
        for cut in cuts {
            let mut input = Bytes::copy_from_slice(cut);
            while let Some(part) = receiver.next(&mut input).unwrap() {
                match part {
                    StreamPart::BlockBytes { bytes, ends, position } => {
                        assert_eq!(position as usize, block.len());
                        block.extend_from_slice(&bytes);
                        if ends {
                            said.push(format!("{:?}", std::mem::take(&mut block)));
                        }
                    }
                    StreamPart::Handshake(handshake) => said.push(format!("{:?}", handshake.peer_id)),
                    StreamPart::Message(message) => said.push(message.name().to_owned()),
                    StreamPart::BlockBegins(block) => said.push(format!("{} {}", block.begin, block.length)),
                    StreamPart::Passed(count) => said.push(format!("{count} bytes of nobody")),
                }
            }
        }
        said
    }

    const SAID: [&str; 8] = [
        "PeerId(0707070707070707070707070707070707070707)",
        "bitfield",
        "keep-alive",
        "16384 3",
        "[1, 2, 3]",
        "4 bytes of nobody",
        "unknown",
        "have",
    ];

    #[test]
    fn messages_come_whole_from_one_chunk() {
        assert_eq!(parts(&mut MessageReader::new(BitfieldLength::Exactly(2)), &[stream()]), SAID);
    }

    #[test]
    fn blocks_are_slices_of_what_was_received() {
        let bytes = Bytes::from(stream());
        let (mut input, mut receiver) = (bytes.clone(), MessageReader::new(BitfieldLength::Exactly(2)));
        let block = loop {
            if let Some(StreamPart::BlockBytes { bytes, .. }) = receiver.next(&mut input).unwrap() {
                break bytes;
            }
        };
        assert!(bytes.as_ptr_range().contains(&block.as_ptr()));
    }

    #[test]
    fn rejects_what_is_no_protocol_and_lengths_that_lie() {
        for (bytes, wanted) in [
            (&b"GET / HTTP/1.1\r\n"[..], "a handshake"),
            (&[&stream()[..68], &[0x80, 0, 0, 0]].concat(), "a message of at most 16 MiB"),
            (&[&stream()[..68], &[0, 0, 0, 2, 5, 0xff]].concat(), "a bitfield with a bit for each piece"),
            (&[&stream()[..68], &[0, 0, 0, 4, 4]].concat(), "a message of the length its id has"),
            (&[&stream()[..68], &[0, 0, 0, 4, 7]].concat(), "a message of the length its id has"),
            (
                &[&stream()[..68], &[0, 0, 0x46, 0x72, 22]].concat(),
                "hashes of at most 512 nodes and their proof",
            ),
            (&[&stream()[..68], &[0, 0, 0, 48, 21]].concat(), "a message of the length its id has"),
            (&[&stream()[..68], &[0, 8, 0, 0, 20]].concat(), "an extended message of at most 256 KiB"),
        ] {
            let mut receiver = MessageReader::new(BitfieldLength::Exactly(2));
            let mut input = Bytes::copy_from_slice(bytes);
            let error = loop {
                match receiver.next(&mut input) {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("{} was taken", bytes.escape_ascii()),
                    Err(wanted) => break wanted,
                }
            };
            assert_eq!(error, wanted);
        }
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(sizes in prop::collection::vec(1..30_usize, 1..60)) {
            let (mut rest, mut cuts) = (stream(), Vec::new());
            for size in sizes {
                let tail = rest.split_off(size.min(rest.len()));
                cuts.push(std::mem::replace(&mut rest, tail));
            }
            cuts.push(rest);
            prop_assert_eq!(parts(&mut MessageReader::new(BitfieldLength::Exactly(2)), &cuts), SAID);
        }
    }
}
