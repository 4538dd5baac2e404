//! What each message does to the state of its connection.

use std::mem;

use crate::wire::{
    Content, Extension, Handshake, HashRange, METADATA_PIECE, Message, Metadata, MetadataKind, Pex,
};
use crate::{Block, Timestamp};

use super::limits::{
    CANCEL_UNANSWERED, CROSSING, MAX_PEX_PEERS, MAX_REQUEST, PEX_TOO_SOON, SILENCE, SNUBBED,
};
use super::requests::{RequestEnd, SentMessage};
use super::{ConnectionState, ExtendedContent, ObservedMessage, PeerChange, PeerFault, PeerSide};

/// A message that is being observed.
#[derive(Clone, Copy)]
struct Occasion {
    sender: PeerSide,
    sent: SentMessage,
    /// Whether all that both sides said before was observed, so that faults are certain.
    whole: bool,
    fast: Option<bool>,
}

impl ConnectionState {
    /// Observes the handshake of `sender`, which was sent at `at` and has a number of the caller's choice.
    pub fn observe_handshake(
        &mut self,
        sender: PeerSide,
        at: Timestamp,
        number: u64,
        handshake: &Handshake,
    ) -> ObservedMessage {
        let mut observed = ObservedMessage::default();
        self.pass_time(sender, at, self.is_whole(sender), &mut observed);
        let (own, other) = self.ends(sender);
        own.handshake = Some(*handshake);
        own.handshake_sent = Some(SentMessage { number, at });
        if sender == PeerSide::Responder {
            observed.answers = other.handshake_sent.map(|first| first.answered(at));
        }
        if let Some(first) = other.handshake {
            if first.peer_id == handshake.peer_id {
                observed.faults.push(PeerFault::SamePeerId);
            }
            if first.info_hash != handshake.info_hash {
                observed.faults.push(PeerFault::InfoHashDiffers {
                    first: first.info_hash,
                    second: handshake.info_hash,
                    upgradable: first.offers_v2(),
                });
            }
        }
        observed
    }

    /// Observes a message of `sender`, which was sent at `at` and has a number of the caller's choice.
    pub fn observe(
        &mut self,
        sender: PeerSide,
        at: Timestamp,
        number: u64,
        message: &Message,
    ) -> ObservedMessage {
        let mut observed = ObservedMessage::default();
        match message {
            Message::Piece { index, begin, block } => {
                let block = Block { index: *index, begin: *begin, length: block.len() as u32 };
                return self.observe_block(sender, at, number, block);
            }
            Message::Malformed { id, wanted, .. } => {
                observed.faults.push(PeerFault::Malformed { id: *id, wanted });
            }
            Message::Unknown { id, .. } => observed.faults.push(PeerFault::UnknownMessage(*id)),
            Message::Extended { id, payload } => {
                observed.extended = Some(Box::new(self.decode(sender, *id, payload, &mut observed.faults)));
            }
            _ => {}
        }
        let occasion = self.occasion(sender, at, number);
        self.pass_time(sender, at, occasion.whole, &mut observed);
        match observed.extended.take() {
            Some(extended) => {
                if let Some(content) = &extended.content {
                    self.take_content(occasion, content, &mut observed);
                }
                observed.extended = Some(extended);
            }
            None => {
                self.take(occasion, message, &mut observed);
                self.sides[sender as usize].has_spoken = true;
            }
        }
        observed
    }

    /// Observes a message that brings a block, of which the block itself need not be there: a client receives blocks in parts,
    /// and a capture may have lost the rest.
    pub fn observe_block(
        &mut self,
        sender: PeerSide,
        at: Timestamp,
        number: u64,
        block: Block,
    ) -> ObservedMessage {
        let mut observed = ObservedMessage::default();
        let occasion = self.occasion(sender, at, number);
        self.pass_time(sender, at, occasion.whole, &mut observed);
        self.take_block(occasion, block, &mut observed);
        self.sides[sender as usize].has_spoken = true;
        observed
    }

    /// Observes that `sender` sent, or lost, bytes of which no message can be made. They count as lost.
    pub fn observe_unreadable(&mut self, sender: PeerSide, at: Timestamp) -> ObservedMessage {
        let mut observed = ObservedMessage::default();
        self.pass_time(sender, at, self.is_whole(sender), &mut observed);
        self.lose(sender);
        observed
    }

    fn occasion(&self, sender: PeerSide, at: Timestamp, number: u64) -> Occasion {
        let sent = SentMessage { number, at };
        Occasion { sender, sent, whole: self.is_whole(sender), fast: self.is_fast() }
    }

    /// What the time since earlier messages shows. `whole` says whether faults are certain.
    fn pass_time(&mut self, sender: PeerSide, at: Timestamp, whole: bool, observed: &mut ObservedMessage) {
        let (own, other) = self.ends(sender);
        if let Some(last) = own.last_at.replace(at)
            && whole
            && at > last + SILENCE
        {
            observed.faults.push(PeerFault::Silent { silent: at - last });
        }
        let waits = own.waits_for_answers();
        if waits || other.waits_for_answers() {
            for requester in [sender, sender.other()] {
                self.pass_time_of(requester, at, whole, observed);
            }
        }
    }

    /// What the time shows of the answers that a side waits for.
    fn pass_time_of(
        &mut self,
        requester: PeerSide,
        at: Timestamp,
        whole: bool,
        observed: &mut ObservedMessage,
    ) {
        let side = &mut self.sides[requester as usize];
        if let Some(block) = side.requests.unanswered_cancel(at, CANCEL_UNANSWERED)
            && whole
        {
            observed.faults.push(PeerFault::CancelUnanswered { requester, block });
        }
        if let Some(since) = side.waits_since
            && whole
            && !side.noted_snubbed
            && at > since + SNUBBED
        {
            side.noted_snubbed = true;
            observed.faults.push(PeerFault::Snubbed { requester, waited: at - since });
        }
    }

    fn take(&mut self, occasion: Occasion, message: &Message, observed: &mut ObservedMessage) {
        let Occasion { sender, sent, whole, fast } = occasion;
        let is_of_fast = matches!(
            message,
            Message::SuggestPiece(_)
                | Message::HaveAll
                | Message::HaveNone
                | Message::RejectRequest(_)
                | Message::AllowedFast(_)
        );
        if is_of_fast && fast == Some(false) && self.sides.iter().all(|side| side.handshake.is_some()) {
            observed.faults.push(PeerFault::FastNotOffered);
        }
        let (own, other) = self.ends(sender);
        match message {
            Message::Choke | Message::Unchoke | Message::Interested | Message::NotInterested => {
                self.take_change(occasion, message, observed);
            }
            Message::Bitfield(_) | Message::HaveAll | Message::HaveNone => {
                if whole && (own.has_spoken || own.has_told_pieces) {
                    observed.faults.push(match message {
                        Message::Bitfield(_) => PeerFault::BitfieldLate,
                        _ => PeerFault::HaveAllOrNoneLate,
                    });
                }
                own.has_told_pieces = true;
                observed.repeated = !own.take_pieces(message);
            }
            Message::Have(_) => observed.repeated = !own.take_pieces(message),
            Message::AllowedFast(piece) => observed.repeated = !own.allow_fast(*piece),
            Message::SuggestPiece(piece) => observed.repeated = !own.suggest(*piece),
            Message::Port(_) => {
                let offered = other.handshake.is_none_or(|handshake| handshake.offers_dht());
                if whole && !offered {
                    observed.faults.push(PeerFault::PortNotOffered);
                }
            }
            Message::Request(block) => self.take_request(occasion, *block, observed),
            Message::Cancel(block) => {
                let known = own.requests.cancel(*block, sent.at, fast);
                observed.repeated = !known;
                if whole && !known && own.requests.is_whole() && own.requests.last_end(*block).is_none() {
                    observed.faults.push(PeerFault::CancelUnrequested);
                }
                own.end_wait();
            }
            Message::RejectRequest(block) => self.take_reject(occasion, *block, observed),
            Message::HashRequest(range) => own.hash_requests.send(*range, sent),
            Message::Hashes(range, _) => {
                self.take_hashes(occasion, *range, PeerFault::HashesUnsolicited, observed);
            }
            Message::HashReject(range) => {
                self.take_hashes(occasion, *range, PeerFault::HashRejectUnrequested, observed);
            }
            Message::KeepAlive
            | Message::Piece { .. }
            | Message::Extended { .. }
            | Message::Unknown { .. }
            | Message::Malformed { .. } => {}
        }
    }

    /// Takes a message about choking or interest.
    fn take_change(&mut self, occasion: Occasion, message: &Message, observed: &mut ObservedMessage) {
        let Occasion { sender, sent, fast, .. } = occasion;
        let (own, other) = self.ends(sender);
        // What was so before the first message that was seen is not known.
        let from_start = own.handshake.is_some();
        match message {
            Message::Choke => {
                observed.repeated = mem::replace(&mut own.choking, true) && from_start;
                observed.change = Some(PeerChange::Choke);
                if !observed.repeated || own.choked_at.is_none() {
                    own.choked_at = Some(sent.at);
                }
                other.waits_since = None;
                match fast {
                    // With the fast extension, each request is answered or rejected all the same (BEP 6).
                    Some(true) => {}
                    Some(false) => other.requests.end_all(),
                    None => other.requests.doubt_all(),
                }
            }
            Message::Unchoke => {
                observed.repeated = !mem::replace(&mut own.choking, false) && from_start;
                observed.change = Some(PeerChange::Unchoke { interested: other.interested });
                other.wait(sent.at, own.choking);
            }
            Message::Interested => {
                observed.repeated = mem::replace(&mut own.interested, true) && from_start;
                observed.change = Some(PeerChange::Interested { choked: other.choking });
            }
            _ => {
                observed.repeated = !mem::replace(&mut own.interested, false) && from_start;
                observed.change = Some(PeerChange::NotInterested);
            }
        }
    }

    fn take_request(&mut self, occasion: Occasion, block: Block, observed: &mut ObservedMessage) {
        let Occasion { sender, sent, whole, .. } = occasion;
        let may = self.may_request(sender, block.index);
        let (own, other) = self.ends(sender);
        if block.length > MAX_REQUEST {
            observed.faults.push(PeerFault::RequestTooLong { length: block.length });
        }
        if whole {
            let choked = other.choked_at.map(|since| sent.at - since);
            if !may && choked.is_none_or(|choked| choked > CROSSING) {
                observed.faults.push(PeerFault::RequestWhileChoked { choked });
            }
            if !own.interested && !mem::replace(&mut own.noted_uninterested, true) {
                observed.faults.push(PeerFault::RequestWithoutInterest);
            }
            let outstanding = own.requests.blocks() as u64 + 1;
            if let Some(reqq) = other.reqq
                && outstanding > u64::from(reqq)
                && own.requests.is_whole()
                && !mem::replace(&mut own.noted_reqq, true)
            {
                observed.faults.push(PeerFault::ReqqExceeded { outstanding, reqq });
            }
        }
        observed.repeated = !own.requests.send(block, sent);
        if own.waits_since.is_none() {
            own.wait(sent.at, other.choking);
        }
    }

    fn take_block(&mut self, occasion: Occasion, block: Block, observed: &mut ObservedMessage) {
        let Occasion { sender, sent, whole, fast } = occasion;
        let (own, other) = self.ends(sender);
        let request = other.requests.end(block, RequestEnd::Answered);
        observed.answers = request.map(|request| request.sent.answered(sent.at));
        observed.repeated = request.is_none();
        if whole && other.requests.is_whole() {
            let fault = match request {
                Some(request) => request.cancelled.then_some(PeerFault::BlockAfterCancel),
                None => match other.requests.last_end(block) {
                    Some(RequestEnd::Cancelled) => Some(PeerFault::BlockAfterCancel),
                    Some(RequestEnd::Answered) => Some(PeerFault::BlockAgain),
                    Some(RequestEnd::Rejected) => Some(PeerFault::BlockAfterReject),
                    // The block may have been on its way.
                    Some(RequestEnd::Choked) => None,
                    None => Some(PeerFault::BlockUnsolicited),
                },
            };
            observed.faults.extend(fault);
        }
        if whole && fast == Some(false) && own.choking {
            observed.faults.push(PeerFault::BlockWhileChoking);
        }
        other.wait(sent.at, own.choking);
    }

    fn take_reject(&mut self, occasion: Occasion, block: Block, observed: &mut ObservedMessage) {
        let Occasion { sender, sent, whole, .. } = occasion;
        let (_, other) = self.ends(sender);
        let request = other.requests.end(block, RequestEnd::Rejected);
        observed.answers = request.map(|request| request.sent.answered(sent.at));
        observed.repeated = request.is_none();
        other.end_wait();
        if !whole || request.is_some() || !other.requests.is_whole() {
            return;
        }
        observed.faults.extend(match other.requests.last_end(block) {
            Some(RequestEnd::Answered | RequestEnd::Rejected) => Some(PeerFault::RejectAfterAnswer),
            Some(RequestEnd::Cancelled | RequestEnd::Choked) => None,
            None => Some(PeerFault::RejectUnrequested),
        });
    }

    /// Takes the answer to a request for hashes; `fault` is what the answer is where there was no request.
    fn take_hashes(
        &mut self,
        occasion: Occasion,
        range: HashRange,
        fault: PeerFault,
        observed: &mut ObservedMessage,
    ) {
        let (_, other) = self.ends(occasion.sender);
        let request = other.hash_requests.end(range);
        observed.answers = request.map(|request| request.answered(occasion.sent.at));
        observed.repeated = request.is_none();
        if request.is_none() && occasion.whole && other.hash_requests.is_whole() {
            observed.faults.push(fault);
        }
    }

    /// Reads an extended message. Its id is a number of the receiver's (BEP 10).
    fn decode(
        &self,
        sender: PeerSide,
        id: u8,
        payload: &[u8],
        faults: &mut Vec<PeerFault>,
    ) -> ExtendedContent {
        let receiver = self.side(sender.other());
        let extension = match id {
            0 => Extension::Handshake,
            id => receiver.extension(id).cloned().unwrap_or(Extension::Unannounced),
        };
        if extension == Extension::Unannounced && self.is_whole(sender) {
            faults.push(PeerFault::UnannouncedExtension { id });
        }
        match extension.decode(payload) {
            Ok(content) => ExtendedContent { extension, content: Some(content) },
            Err(error) => {
                faults.push(PeerFault::MalformedExtended { extension: extension.clone(), error });
                ExtendedContent { extension, content: None }
            }
        }
    }

    fn take_content(&mut self, occasion: Occasion, content: &Content, observed: &mut ObservedMessage) {
        let (own, _) = self.ends(occasion.sender);
        match content {
            Content::Handshake(handshake) => own.extend(handshake),
            Content::UploadOnly(only) => own.upload_only = *only,
            Content::Metadata(metadata) => self.take_metadata(occasion, metadata, observed),
            Content::Pex(pex) => self.take_pex(occasion, pex, observed),
            Content::DontHave(piece) => observed.repeated = !own.drop_piece(*piece),
            Content::Holepunch(_) | Content::Other => {}
        }
    }

    fn take_metadata(&mut self, occasion: Occasion, metadata: &Metadata, observed: &mut ObservedMessage) {
        let sent = occasion.sent;
        let (own, other) = self.ends(occasion.sender);
        match metadata.kind {
            MetadataKind::Request => own.metadata_requests.send(metadata.piece, sent),
            MetadataKind::Data | MetadataKind::Reject => {
                let request = other.metadata_requests.end(metadata.piece);
                observed.answers = request.map(|request| request.answered(sent.at));
                observed.repeated = request.is_none();
            }
            MetadataKind::Unknown(_) => {}
        }
        let Some(total) = metadata.total_size.filter(|_| metadata.kind == MetadataKind::Data) else { return };
        if let Some(announced) = own.metadata_size.filter(|announced| *announced != total) {
            observed.faults.push(PeerFault::MetadataTotalDiffers { total, announced });
            return;
        }
        let length = metadata.data.len() as u64;
        let wanted = total.saturating_sub(u64::from(metadata.piece) * METADATA_PIECE).min(METADATA_PIECE);
        if length != wanted {
            observed.faults.push(PeerFault::MetadataPieceLength { length, wanted });
        }
    }

    fn take_pex(&mut self, occasion: Occasion, pex: &Pex, observed: &mut ObservedMessage) {
        let at = occasion.sent.at;
        let (own, _) = self.ends(occasion.sender);
        let last = own.pex_at.replace(at);
        let Some(last) = last.filter(|_| occasion.whole) else { return };
        if at - last < PEX_TOO_SOON {
            observed.faults.push(PeerFault::PexTooSoon { after: at - last });
        }
        if pex.added.len() > MAX_PEX_PEERS || pex.dropped.len() > MAX_PEX_PEERS {
            let (added, dropped) = (pex.added.len(), pex.dropped.len());
            observed.faults.push(PeerFault::PexTooMany { added, dropped });
        }
    }
}
