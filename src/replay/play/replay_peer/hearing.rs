//! What a recorded peer makes of the client's bytes: a handshake, then messages.

use bittrace_protocol::Block;
use bittrace_protocol::tracker::http;
use bittrace_protocol::wire::{
    Frame, HANDSHAKE_LENGTH, Handshake, HandshakeVerdict, LengthVerdict, Message, NearMiss, Prefix, frame,
    handshake_prefix, judge_handshake, judge_length,
};
use bittrace_trace::rules::note_near_miss;

use super::{INFO_HASH, MOST_REJECTIONS, MOST_REQUESTS, ReplayPeer};
use crate::play::client_role::ClientRole;
use crate::play::precondition::Precondition;
use crate::play::refusal::RefusalAct;

impl ReplayPeer {
    /// Takes in bytes of the client.
    pub fn hear(&mut self, bytes: &[u8]) {
        if self.garbled.is_some() {
            return;
        }
        self.received.extend_from_slice(bytes);
        self.read(false);
    }

    /// Takes in that the client sends nothing more, or nothing for a long time: what it sent is judged as it is.
    pub fn hear_silence(&mut self) {
        if self.garbled.is_none() && !self.received.is_empty() {
            self.read(true);
        }
    }

    /// Reads what was received, as far as it goes. `last` says that nothing follows.
    fn read(&mut self, last: bool) {
        if self.state.side(self.client()).handshake().is_none() && !self.read_handshake(last) {
            return;
        }
        loop {
            match frame(&self.received) {
                Frame::Message(length) if length <= self.received.len() => {
                    let message = self.received.split_to(length).freeze();
                    if let Ok(message) = Message::decode(&message) {
                        self.take(&message);
                    }
                }
                Frame::Message(_) | Frame::Incomplete => return,
                Frame::Impossible(error) => {
                    let mut verdict = judge_length(&self.received, last);
                    let is_open = verdict == LengthVerdict::Open;
                    if is_open {
                        // The client may wait for an answer to a message that is whole.
                        verdict = judge_length(&self.received, true);
                    }
                    match verdict {
                        LengthVerdict::LittleEndian(_) => self.garble_by(NearMiss::LittleEndian),
                        _ if is_open => return,
                        _ => self.garble(error.wanted.to_owned()),
                    }
                    self.received.clear();
                    return;
                }
            }
        }
    }

    /// Reads the client's handshake; whether messages follow it.
    fn read_handshake(&mut self, last: bool) -> bool {
        match http::looks_like_request(&self.received) {
            Some(true) => {
                self.garble_by(NearMiss::HttpRequest);
                return false;
            }
            None if !last => return false,
            None | Some(false) => {}
        }
        let torrent = self.torrent.all().find(|hash| self.received.get(INFO_HASH) == Some(&hash.0[..]));
        match judge_handshake(&self.received, Some(torrent.unwrap_or(self.torrent.first)), last) {
            HandshakeVerdict::Right => {}
            HandshakeVerdict::NearMiss(layout) if last || self.received.len() >= layout.length() => {
                self.garble_by(NearMiss::Handshake(layout));
                return false;
            }
            HandshakeVerdict::NearMiss(_) | HandshakeVerdict::Open if !last => return false,
            // It ends within its handshake.
            _ if handshake_prefix(&self.received) != Prefix::No => return false,
            _ => {
                self.garble(
                    "the first bytes are not a handshake: the connection may be encrypted".to_owned(),
                );
                return false;
            }
        }
        let handshake = self.received.split_to(HANDSHAKE_LENGTH);
        match Handshake::decode(&handshake) {
            Ok(handshake) if !self.torrent.has(handshake.info_hash) => {
                let why = format!("the handshake has another info_hash, {}", handshake.info_hash);
                self.garble(why);
            }
            Ok(handshake) => {
                self.observe_handshake(self.client(), &handshake);
                self.heard.add(Precondition::Handshake);
            }
            Err(error) => self.garble(error.wanted.to_owned()),
        }
        self.heard_messages += 1;
        self.garbled.is_none()
    }

    /// Notes that the client's bytes are nearly right, in the words in which `analyze` says so.
    fn garble_by(&mut self, near_miss: NearMiss) {
        let note = note_near_miss(near_miss, &self.received);
        self.garble(format!("{} [{}]", note.text, note.rule.id));
    }

    /// Notes that the client's bytes are not those of a negotiation of encryption.
    pub(crate) fn garble_negotiation(&mut self, wanted: &str) {
        self.garble(format!("the negotiation of encryption failed: expected {wanted}"));
    }

    /// Notes that the client's bytes are not messages, so that the connection is closed.
    fn garble(&mut self, why: String) {
        let has_shaken = self.state.side(self.client()).handshake().is_some();
        let (message, nth) = if has_shaken { ("message", self.heard_messages + 1) } else { ("handshake", 1) };
        self.refuse(message, nth, RefusalAct::Closed, why.clone());
        self.garbled = Some(why);
    }

    fn take(&mut self, message: &Message) {
        self.heard_messages += 1;
        if let Message::Request(block) = message {
            self.heard_requests += 1;
            if self.requests.len() < MOST_REQUESTS || self.requests.contains_key(block) {
                self.requests.insert(*block, self.heard_requests);
            }
        }
        if let (ClientRole::Seeder, Message::Piece { index, begin, block }) = (self.role, message) {
            let block_of = Block { index: *index, begin: *begin, length: block.len() as u32 };
            self.unchecked.push((block_of, block.clone()));
        }
        if let (ClientRole::Seeder, Message::RejectRequest(block)) = (self.role, message)
            && self.state.side(self.side).request(*block).is_some()
            && self.rejections < MOST_REJECTIONS
        {
            self.rejections += 1;
            self.rejected.push(*block);
        }
        Precondition::of(message).into_iter().for_each(|cue| self.heard.add(cue));
        self.observe(self.client(), message);
        if let Message::Cancel(block) = message {
            // Where the recorded peer answers a cancel, its answer is one of the lines.
            self.state.abandon_requests(self.client(), *block);
        }
    }
}
