//! What an observer makes of the bytes of each connection, held against what the session knows of the same connection.
//! Every conversation of these tests is checked so.

use std::collections::{BTreeMap, BTreeSet};

use crate::peer::{ConnectionState, PeerSide};
use crate::session::peer::{Peer, Phase};
use crate::session::*;
use crate::wire::{Extension, Frame, HANDSHAKE_LENGTH, Handshake, Message, frame};
use crate::{Block, Timestamp};

/// An observer for each connection to a peer.
#[derive(Default)]
pub(super) struct Observers {
    connections: BTreeMap<SessionStreamId, Observed>,
}

struct Observed {
    state: ConnectionState,
    ours: PeerSide,
    /// The bytes of each side that have not been observed.
    pending: [Vec<u8>; 2],
    /// Whether the handshake of each side was observed.
    begun: [bool; 2],
    /// Whether one side sent bytes of which no message can be made.
    unreadable: bool,
    /// Whether the peer rejected a request.
    rejected: bool,
    messages: u64,
}

impl Observers {
    /// Observes what a peer sent, before the session takes the input.
    pub(super) fn hear(&mut self, session: &Session, now: Timestamp, input: &Input) {
        match input {
            Input::Received(stream, bytes) => {
                if let Some(observed) = self.of(session, *stream) {
                    observed.take(observed.ours.other(), now, bytes);
                }
            }
            Input::Closed(stream, _) => {
                self.connections.remove(stream);
            }
            _ => {}
        }
    }

    /// Observes what the session sent.
    pub(super) fn see(&mut self, session: &Session, now: Timestamp, output: &Output) {
        match output {
            Output::Send(stream, bytes) => {
                if let Some(observed) = self.of(session, *stream) {
                    observed.take(observed.ours, now, bytes);
                }
            }
            Output::Close(stream, _) => {
                self.connections.remove(stream);
            }
            _ => {}
        }
    }

    fn of(&mut self, session: &Session, stream: SessionStreamId) -> Option<&mut Observed> {
        let peer = session.peers.iter().find(|peer| peer.stream == stream)?;
        let ours = if peer.incoming { PeerSide::Responder } else { PeerSide::Initiator };
        Some(self.connections.entry(stream).or_insert_with(|| Observed {
            state: ConnectionState::new(),
            ours,
            pending: Default::default(),
            begun: [false; 2],
            unreadable: false,
            rejected: false,
            messages: 0,
        }))
    }

    /// Holds the session's state of every open connection against what was observed of it.
    #[track_caller]
    pub(super) fn check(&self, session: &Session) {
        for peer in session.peers.iter().filter(|peer| peer.phase == Phase::Open) {
            if let Some(observed) = self.connections.get(&peer.stream).filter(|one| !one.unreadable) {
                observed.check(peer);
            }
        }
    }
}

impl Observed {
    fn take(&mut self, side: PeerSide, now: Timestamp, bytes: &[u8]) {
        let pending = &mut self.pending[side as usize];
        pending.extend_from_slice(bytes);
        if !self.begun[side as usize] {
            if pending.len() < HANDSHAKE_LENGTH {
                return;
            }
            let first: Vec<u8> = pending.drain(..HANDSHAKE_LENGTH).collect();
            let Ok(handshake) = Handshake::decode(&first) else { return self.unreadable = true };
            self.begun[side as usize] = true;
            self.messages += 1;
            self.state.observe_handshake(side, now, self.messages, &handshake);
        }
        loop {
            let pending = &mut self.pending[side as usize];
            let length = match frame(pending) {
                Frame::Message(length) if length <= pending.len() => length,
                Frame::Impossible(_) => return self.unreadable = true,
                Frame::Message(_) | Frame::Incomplete => return,
            };
            let bytes: Vec<u8> = pending.drain(..length).collect();
            let Ok(message) = Message::decode(&bytes.into()) else { return self.unreadable = true };
            self.messages += 1;
            self.rejected |= side != self.ours && matches!(message, Message::RejectRequest(_));
            self.state.observe(side, now, self.messages, &message);
        }
    }

    #[track_caller]
    fn check(&self, peer: &Peer) {
        let (ours, theirs) = (self.state.side(self.ours), self.state.side(self.ours.other()));
        let session = [
            peer.choke.am_choking,
            peer.choke.am_interested,
            peer.choke.peer_choking,
            peer.choke.peer_interested,
        ];
        let observed = [ours.is_choking(), ours.is_interested(), theirs.is_choking(), theirs.is_interested()];
        assert_eq!(session, observed, "choking and interest of us, then of the peer");
        // A driver of a test may give the session a peer's handshake before it says that the connection stands, and
        // before ours goes out.
        if ours.handshake().is_some() {
            assert_eq!(peer.fast, self.state.is_fast() == Some(true));
            assert_eq!(peer.extended, self.state.is_extended());
        }

        // With the fast extension, a request that we cancelled or gave up is outstanding until it is answered. A block that is
        // being received has not been observed yet.
        let waiting = peer.download.outstanding.iter().chain(&peer.download.receiving);
        let waiting: BTreeSet<Block> = waiting.map(|request| request.block).collect();
        let observed: BTreeSet<Block> = ours.requests().map(|(block, _)| block).collect();
        assert!(waiting.is_subset(&observed), "we wait for {waiting:?}, requests are {observed:?}");
        if !peer.fast && !self.rejected {
            assert_eq!(waiting, observed, "we wait for as many blocks as were requested");
        }
        // A request that we refused without saying so is outstanding for the peer.
        let queue: BTreeSet<Block> = peer.upload.queue.iter().chain(&peer.upload.loading).copied().collect();
        let requested: BTreeSet<Block> = theirs.requests().map(|(block, _)| block).collect();
        assert!(queue.is_subset(&requested), "we serve {queue:?}, requests are {requested:?}");

        for &piece in peer.choke.allowed_fast.iter().filter(|_| peer.fast) {
            assert!(theirs.allows_fast(piece), "{piece} is allowed fast");
        }
        let ids = [Extension::Metadata, Extension::Pex].map(|one| theirs.extension_id(&one).unwrap_or(0));
        assert_eq!([peer.extension_ids.metadata, peer.extension_ids.pex], ids, "ids of ut_metadata, ut_pex");
        if let Some(reqq) = theirs.reqq().filter(|&reqq| reqq > 0) {
            assert_eq!(peer.download.reqq, reqq as usize);
        }
    }
}
