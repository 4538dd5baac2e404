//! An observer of its own reads the bytes of each connection. What it knows is held against what the session knows of the
//! same connection, and against what the session has decided. Every conversation of these tests is checked so.

use std::collections::{BTreeMap, BTreeSet};

use crate::peer::{ConnectionState, PeerSide, SideState};
use crate::session::peer::{Peer, Phase};
use crate::session::*;
use crate::wire::{Extension, Frame, HANDSHAKE_LENGTH, Handshake, Message, frame};
use crate::{Block, PieceIndex, Timestamp};

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
    /// The blocks that we requested again: one answer to two requests leaves one outstanding.
    repeated: BTreeSet<Block>,
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
            Input::Described(torrent, _) => {
                let geometry = torrent.placement().expect("pieces");
                for observed in self.connections.values_mut() {
                    observed.state.apply_early_pieces(geometry);
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
        let is_open = |peer: &&Peer| peer.stream == stream && peer.phase != Phase::Connecting;
        let peer = session.peers.iter().find(is_open)?;
        let ours = if peer.incoming { PeerSide::Responder } else { PeerSide::Initiator };
        let mut state = ConnectionState::new();
        match session.core.torrent.is_wanted() {
            true => state.keep_early_pieces(),
            false => state.set_piece_count(session.core.piece_count()),
        }
        Some(self.connections.entry(stream).or_insert_with(|| Observed {
            state,
            ours,
            pending: Default::default(),
            begun: [false; 2],
            unreadable: false,
            rejected: false,
            repeated: BTreeSet::new(),
            messages: 0,
        }))
    }

    /// Holds the session's state of every open connection against what was observed of it.
    #[track_caller]
    pub(super) fn check(&self, session: &Session) {
        for peer in session.peers.iter().filter(|peer| peer.phase == Phase::Open) {
            if let Some(observed) = self.connections.get(&peer.stream).filter(|one| !one.unreadable) {
                observed.check(peer);
                let wanted = session.core.picker.wanted_of(peer.pieces());
                assert_eq!(peer.wanted_pieces, wanted, "how many of the peer's pieces are missing here");
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
            let repeated = self.state.observe(side, now, self.messages, &message).repeated;
            if let Message::Request(block) = message
                && repeated
                && side == self.ours
            {
                self.repeated.insert(block);
            }
        }
    }

    #[track_caller]
    fn check(&self, peer: &Peer) {
        let (ours, theirs) = (self.state.side(self.ours), self.state.side(self.ours.other()));
        assert_alike("us", ours, peer.ours());
        assert_alike("the peer", theirs, peer.theirs());
        assert_eq!(peer.is_fast(), self.state.is_fast() == Some(true));
        assert_eq!(peer.is_extended(), self.state.is_extended());

        // The session takes in a block as soon as it begins to come.
        let [held, mut seen] = [peer.ours(), ours].map(requests);
        if let Some(block) = self.begun_block().filter(|block| !held.contains(block)) {
            seen.remove(&block);
        }
        assert_eq!(held, seen, "our requests");
        assert_eq!(requests(peer.theirs()), requests(theirs), "requests of the peer");

        // With the fast extension, a request that we cancelled or gave up is outstanding until it is answered.
        let assigned: BTreeSet<Block> = peer.download.assigned.blocks().collect();
        assert!(assigned.is_subset(&held), "we wait for {assigned:?}, requests are {held:?}");
        if !peer.is_fast() && !self.rejected {
            let once = |block: &&Block| !self.repeated.contains(block);
            let [assigned, held] =
                [&assigned, &held].map(|blocks| blocks.iter().filter(once).collect::<Vec<_>>());
            assert_eq!(assigned, held, "we wait for as many blocks as were requested");
        }
        // A request that we refused without saying so is outstanding for the peer.
        let queue: BTreeSet<Block> = peer.upload.queue.iter().chain(&peer.upload.loading).copied().collect();
        let requested = requests(theirs);
        assert!(queue.is_subset(&requested), "we serve {queue:?}, requests are {requested:?}");
        let refused = &peer.fast_pieces.refused;
        assert!(refused.is_subset(theirs.allowed_fast()), "{refused:?} are allowed fast");
        if !peer.am_choking() {
            return;
        }
        // A choke answers or ends all requests but those for pieces that we allowed.
        let granted = |block: &&Block| peer.fast_pieces.granted.contains_key(&block.index);
        assert_eq!(queue.iter().filter(granted).count(), queue.len(), "we serve {queue:?} while we choke");
    }

    /// The block of which the peer has sent the beginning, and not the end: length, id 7, piece, offset (BEP 3).
    fn begun_block(&self) -> Option<Block> {
        let (numbers, _) = self.pending[self.ours.other() as usize].split_first_chunk::<13>()?;
        let number = |at: usize| Some(u32::from_be_bytes(*numbers.get(at..)?.first_chunk()?));
        let length = number(0)?.checked_sub(9).filter(|_| numbers[4] == 7)?;
        Some(Block { index: PieceIndex(number(5)?), begin: number(9)?, length })
    }
}

fn requests(side: &SideState) -> BTreeSet<Block> {
    side.requests().map(|(block, _)| block).collect()
}

/// Holds what the session knows of a side against what was observed, but for requests.
#[track_caller]
fn assert_alike(whose: &str, observed: &SideState, session: &SideState) {
    assert_eq!(session.handshake(), observed.handshake(), "handshake of {whose}");
    let change = |side: &SideState| (side.is_choking(), side.choked_at(), side.is_interested());
    assert_eq!(change(session), change(observed), "choking, since when, and interest of {whose}");
    let allowed = |side: &SideState| (side.allowed_fast().clone(), side.suggested().to_vec());
    assert_eq!(allowed(session), allowed(observed), "pieces that {whose} allowed fast and suggested");
    let extended = |side: &SideState| {
        let ids = [Extension::Metadata, Extension::Pex, Extension::DontHave, Extension::UploadOnly];
        let ids = ids.map(|extension| side.extension_id(&extension));
        (ids, side.reqq(), side.metadata_size(), side.is_upload_only())
    };
    assert_eq!(extended(session), extended(observed), "extended handshake of {whose}");
    assert_eq!(session.pieces(), observed.pieces(), "pieces of {whose}");
}
