//! What a recorded peer answers to requests that the reference answers elsewhere, or not at all.

use bittrace_protocol::Block;
use bittrace_protocol::wire::{Extension, HashRange, Message, Metadata};
use bytes::Bytes;

use super::ReplayPeer;
use super::scripted_message::ScriptedKind;
use crate::play::missed::Missed;
use crate::play::pieces::RecordedPieces;
use crate::play::refusal::RefusalAct;

impl ReplayPeer {
    /// Answers the requests for pieces of the metadata that the reference answers elsewhere, or not at all.
    pub(super) fn answer_metadata(&mut self, contents: &RecordedPieces, out: &mut Vec<Bytes>) {
        let mut requested: Vec<u32> = self.state.side(self.client()).metadata_requests().collect();
        requested.sort_unstable();
        // The next time the peer speaks it goes on.
        requested.truncate(MOST_ANSWERS);
        for piece in requested {
            match self.unsaid(|says| matches!(says, ScriptedKind::Metadata(said) if *said == piece)) {
                Some(place) => {
                    self.say(place, contents, out);
                }
                None => self.serve_metadata(piece, contents, out),
            }
        }
    }

    /// Sends a piece of the metadata out of `contents`, where the peer says that it has the metadata; else that it has not.
    fn serve_metadata(&mut self, piece: u32, contents: &RecordedPieces, out: &mut Vec<Bytes>) {
        let Some(id) = self.state.side(self.client()).extension_id(&Extension::Metadata) else { return };
        let has_metadata = self.state.side(self.side).metadata_size().is_some();
        let answer = contents.metadata(piece).filter(|_| has_metadata).unwrap_or(Metadata::reject(piece));
        self.send(&Message::Extended { id, payload: answer.encode().into() }, out);
    }

    /// Whether the client requested a piece of the metadata that is still to be sent.
    pub(super) fn is_metadata_requested(&self, piece: u32) -> bool {
        self.state.side(self.client()).metadata_requests().any(|requested| requested == piece)
    }

    /// Answers the requests for hashes that the reference answers elsewhere, or not at all.
    pub(super) fn answer_hash_requests(&mut self, contents: &RecordedPieces, out: &mut Vec<Bytes>) {
        let mut requested: Vec<HashRange> = self.state.side(self.client()).hash_requests().collect();
        requested.sort_unstable();
        // The next time the peer speaks it goes on.
        requested.truncate(MOST_ANSWERS);
        for range in requested {
            let line = self.unsaid(|says| matches!(says, ScriptedKind::Hashes(said) if *said == range));
            if let Some(place) = line {
                self.say(place, contents, out);
                continue;
            }
            let message = match contents.hashes(range) {
                Some(hashes) => Message::Hashes(range, hashes),
                None => Message::HashReject(range),
            };
            self.send(&message, out);
        }
    }

    /// Whether the client requested hashes that are still to be sent.
    pub(super) fn is_hash_requested(&self, range: HashRange) -> bool {
        self.state.side(self.client()).hash_requests().any(|requested| requested == range)
    }

    /// Compares the blocks that the client sent with the content.
    pub(super) fn check_blocks(&mut self, contents: &RecordedPieces) {
        for (block, bytes) in std::mem::take(&mut self.unchecked) {
            if contents.block(block).is_none_or(|right| right != bytes) {
                self.missed.push(Missed::WrongBlock { block });
            }
        }
    }

    /// Answers a request that the reference does not answer at this place, so that the request is not outstanding any more;
    /// whether there is an answer.
    pub(super) fn answer(&mut self, block: Block, contents: &RecordedPieces, out: &mut Vec<Bytes>) -> bool {
        let later = self.unsaid(|says| matches!(says, ScriptedKind::Block(said) if *said == block));
        if let Some(place) = later {
            return self.say(place, contents, out);
        }
        self.serve(block, contents, out)
    }

    /// Sends a block out of `contents`; whether it is there.
    pub(super) fn serve(&mut self, block: Block, contents: &RecordedPieces, out: &mut Vec<Bytes>) -> bool {
        let message = match contents.block(block) {
            Some(bytes) => Message::Piece { index: block.index, begin: block.begin, block: bytes },
            None => {
                let nth = self.nth_request(block);
                let did = if self.is_fast() { RefusalAct::Rejected } else { RefusalAct::LeftUnanswered };
                self.refuse("request", nth, did, contents.why_not(block));
                if !self.is_fast() {
                    self.state.abandon_requests(self.client(), block);
                    return false;
                }
                Message::RejectRequest(block)
            }
        };
        self.send(&message, out);
        true
    }
}

/// How many requests for metadata, and for hashes, are answered at once: each answer has up to 16 KiB.
const MOST_ANSWERS: usize = 64;
