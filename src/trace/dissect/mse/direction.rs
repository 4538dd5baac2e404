//! One direction of an encrypted connection: which part comes next, and the cipher that makes it clear.

use bittrace_protocol::mse::{Cipher, VERIFICATION};

use crate::dissect::Loss;
use crate::dissect::stream_buffer::StreamBuffer;
use crate::record::Note;

/// How far a direction is.
#[derive(Debug)]
pub(super) struct MseDirection {
    pub(super) stage: MseStage,
    /// What was deciphered and waits for the rest of its message. It begins where `lane` of the connection ends.
    pub(super) clear: StreamBuffer,
    pub(super) cipher: Option<Cipher>,
    /// The stream offset up to which bytes are enciphered, as far as is known.
    pub(super) enciphered_to: u64,
    /// How many lost bytes the cipher may still pass over.
    may_skip: u64,
    /// What is to be said with the next record that was not deciphered.
    pub(super) note: Option<Note>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MseStage {
    /// Nothing can be read.
    Sealed,
    /// The initiator's key and padding come next, up to the hashes at this place.
    Hashes { at: usize },
    /// The responder's key and padding come next, up to what looks so: its verification constant.
    Verification { looks: [u8; VERIFICATION] },
    /// The terms come next.
    Terms,
    /// What the initiator sends ahead, or what a loss put in its place; after it, it must be known what was selected.
    Ahead,
    /// Nothing but payload comes.
    Payload,
}

/// How many lost bytes a cipher passes over: so many, and for each byte that came so many more. A gap costs time by its
/// length, and nothing else says that its length is true.
const SKIP_AT_ONCE: u64 = 4 << 20;
const SKIP_A_BYTE: u64 = 64;

impl MseDirection {
    pub(super) fn new(stage: MseStage, cipher: Option<Cipher>) -> Self {
        Self {
            stage,
            clear: StreamBuffer::default(),
            cipher,
            enciphered_to: u64::MAX,
            may_skip: SKIP_AT_ONCE,
            note: None,
        }
    }

    /// The terms begin at the next byte of `lane`.
    pub(super) fn begin_terms(&mut self, lane: &StreamBuffer) {
        self.clear = StreamBuffer::beginning_at(lane.offset());
        self.stage = MseStage::Terms;
    }

    /// Moves the next bytes of `lane` to those that are clear.
    pub(super) fn decipher(&mut self, count: usize, lane: &mut StreamBuffer) {
        self.may_skip = self.may_skip.saturating_add(count as u64 * SKIP_A_BYTE);
        let enciphered = self.enciphered_to > lane.offset();
        lane.pour(count, &mut self.clear, |bytes| match &mut self.cipher {
            Some(cipher) if enciphered => cipher.apply(bytes),
            _ => {}
        });
    }

    /// Has the cipher pass over lost bytes: whether it can go on after them. Else there is none any more.
    pub(super) fn skip(&mut self, loss: Loss) -> bool {
        if self.stage == MseStage::Payload && self.enciphered_to <= self.clear.end() {
            return true;
        }
        match (loss, &mut self.cipher) {
            (Loss::Bytes(count), Some(cipher)) if count <= self.may_skip => {
                self.may_skip -= count;
                cipher.skip(count);
                true
            }
            _ => {
                self.cipher = None;
                false
            }
        }
    }
}
