//! Learns from a reference how its client behaves. What the reference does not show is taken from bittrace's own profile, and
//! marked.

use std::collections::BTreeSet;

use bittrace_protocol::bencode;
use bittrace_protocol::mse::End;
use bittrace_protocol::node::UtpPolicy;
use bittrace_protocol::session::{
    Alphabet, ExtendedEntry, FirstMessage, Haves, Identity, Interest, PieceOrder, Profile, RedundantHaves,
    RequestStep, Schedule, WithoutPieces,
};
use bittrace_protocol::wire::{Extension, Handshake, Message};
use bittrace_protocol::{Block, InfoHash, PeerId, PieceIndex};
use bittrace_trace::{Body, PeerWireBody, Side};

use super::encryption::encryption_of;
use super::have_schedule::{HaveTimes, tells_pieces};
use super::observed_conversation::{ObservedConversation, named_piece};
use super::transport::utp_of;
use crate::model::message::StoredMessage;
use crate::model::transcript::{Conversation, Transcript};
use crate::play::said_in_negotiation;

/// What a reference shows of its client.
#[derive(Debug, Clone)]
pub struct InferredProfile {
    /// How it behaves, with any torrent.
    pub profile: Profile,
    /// What it chose among the pieces of this torrent.
    pub schedule: Schedule,
    /// When it uses uTP. Off where no connection of the reference does.
    pub utp: UtpPolicy,
    /// What it had drawn at random.
    pub identity: Identity,
    /// The port that it announced; 0 where it announced none.
    pub port: u16,
    /// The torrent.
    pub torrent: InfoHash,
    /// What the client calls itself.
    pub client: Option<String>,
    /// What each part of the profile that was seen rests on. All other parts are as bittrace does them.
    pub evidence: Vec<ProfileEvidence>,
    /// What the reference does that a profile has no words for.
    pub beyond: Vec<String>,
}

/// A part of a profile, and where it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileEvidence {
    /// The part, by the name under which `bittrace profile` shows it.
    pub part: &'static str,
    /// The packet that began the message.
    pub frame: u64,
}

/// A capture that shows no client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} has no announce and no handshake of the host that it is about")]
pub struct NoClient(pub String);

/// Learns a profile from `reference`. What it does not show is taken from `own`.
///
/// # Errors
/// When the reference shows no client: its local host sends no message about a torrent to a peer or a tracker.
pub fn infer_profile(reference: &Transcript, own: Profile) -> Result<InferredProfile, NoClient> {
    let torrent = reference.torrent.ok_or_else(|| NoClient(reference.name.clone()))?;
    let peer_id = PeerId([0; 20]);
    let mut learner = Learner {
        reference,
        learnt: InferredProfile {
            profile: own,
            schedule: Schedule::default(),
            utp: UtpPolicy::Off,
            identity: Identity::new(peer_id, 0, SEED),
            port: 0,
            torrent,
            client: None,
            evidence: Vec::new(),
            beyond: Vec::new(),
        },
    };
    let peers: Vec<&Conversation> = reference.peers().collect();
    let busiest = peers.iter().copied().max_by_key(|conversation| conversation.length());
    // A transcript has no connections to web seeds.
    learner.learnt.profile.web_seeds = false;
    // What the client offered stands among its reserved bytes.
    learner.learnt.profile.upgrades = false;
    learner.announces();
    learner.announces_over_udp();
    learner.peer_ids(&peers);
    learner.encryption(&peers);
    learner.transport(&peers);
    if let Some(busiest) = busiest {
        learner.opening(busiest);
        learner.requests(busiest);
    }
    learner.padding();
    learner.extended(&peers);
    learner.pieces(&peers);
    learner.haves(&peers);
    Ok(learner.learnt)
}

pub(super) struct Learner<'a> {
    pub(super) reference: &'a Transcript,
    pub(super) learnt: InferredProfile,
}

impl<'a> Learner<'a> {
    /// Notes that a message shows these parts, where there is such a message.
    pub(super) fn note(&mut self, parts: &[&'static str], message: Option<&StoredMessage>) {
        self.note_frame(parts, message.and_then(|message| message.frames.first().copied()));
    }

    fn note_frame(&mut self, parts: &[&'static str], frame: Option<u64>) {
        let Some(frame) = frame else { return };
        self.learnt.evidence.extend(parts.iter().map(|&part| ProfileEvidence { part, frame }));
    }

    /// What it calls itself: to trackers, and on each connection.
    fn peer_ids(&mut self, peers: &[&'a Conversation]) {
        let handshake = |conversation: &&'a Conversation| {
            let local = conversation.direction(Side::Local);
            let mut said =
                local.messages.iter().filter_map(|message| Some((message, handshake_of(message)?)));
            said.next()
        };
        let said: Vec<_> = peers.iter().filter_map(handshake).collect();
        let announced = Some(self.learnt.identity.peer_id).filter(|id| id.0 != [0; 20]);
        let Some((shown, first)) = said.first() else {
            let form = &mut self.learnt.profile.peer_id;
            if let Some(id) = announced {
                form.prefix = id.0[..id.client_part()].to_vec();
                form.alphabet = Alphabet::of(&id.0[id.client_part()..]);
                let frame = self.learnt.evidence.first().map(|one| one.frame);
                self.note_frame(&["peer_id"], frame);
            }
            return;
        };
        let identity = &mut self.learnt.identity;
        identity.peer_id = announced.unwrap_or(first.peer_id);
        let fresh = said.iter().any(|(_, handshake)| handshake.peer_id != identity.peer_id);
        if fresh {
            identity.connection_ids = said.iter().map(|(_, handshake)| handshake.peer_id).collect();
        }
        let id = identity.peer_id;
        let tails = said.iter().map(|(_, handshake)| handshake.peer_id).chain([id]);
        let tails: Vec<u8> = tails.flat_map(|id| id.0[id.client_part()..].to_vec()).collect();
        let form = &mut self.learnt.profile.peer_id;
        form.fresh = fresh;
        form.prefix = id.0[..id.client_part()].to_vec();
        form.alphabet = Alphabet::of(&tails);
        self.learnt.profile.reserved = first.reserved;
        let dialled = peers.iter().filter(|one| one.is_outgoing()).find_map(handshake);
        let second = self.reference.hybrid.and_then(|hashes| hashes.second);
        self.learnt.profile.calls_by_v2 =
            dialled.is_some_and(|(_, handshake)| Some(handshake.info_hash) == second);
        if self.learnt.client.is_none() {
            let clients = peers.iter().filter_map(|one| one.direction(Side::Local).client.as_deref());
            self.learnt.client = clients.map(str::to_owned).next();
        }
        self.note(&["peer_id", "reserved"], Some(shown));
    }

    fn encryption(&mut self, peers: &[&'a Conversation]) {
        if let Some((encryption, shown)) = encryption_of(peers) {
            self.learnt.profile.encryption = encryption;
            self.note(&["encryption"], Some(shown));
        }
        let lengths = |one: &&Conversation| {
            let end = if one.is_outgoing() { End::Initiator } else { End::Responder };
            said_in_negotiation(one, Side::Local, end).map(|(lengths, _)| lengths)
        };
        self.learnt.schedule.paddings = peers.iter().filter_map(lengths).collect();
    }

    fn transport(&mut self, peers: &[&'a Conversation]) {
        if let Some((utp, shown)) = utp_of(peers) {
            self.learnt.utp = utp;
            self.note(&["utp"], Some(shown));
        }
    }

    /// What follows its handshake.
    fn opening(&mut self, conversation: &'a Conversation) {
        let mut opening = Vec::new();
        let (mut keep_alives, mut allowed, mut interest) = (0, 0, None);
        let (mut pieces, mut far_has_told, mut shown) = (None, false, None);
        let (mut shows_none, mut shows_interest) = (None, None);
        for (side, stored) in conversation.messages() {
            let Some(message) = &stored.peer_message() else { continue };
            if side == Side::Remote {
                far_has_told |= tells_pieces(message);
                continue;
            }
            match message {
                Message::Extended { id: 0, .. } => opening.push(FirstMessage::Extended),
                Message::KeepAlive if opening.contains(&FirstMessage::Pieces) => {
                    self.learnt.profile.acknowledges_pieces = keep_alives > 0 && far_has_told;
                }
                Message::KeepAlive => {
                    keep_alives += 1;
                    pieces = Some(WithoutPieces::KeepAlive);
                    shows_none = Some(stored);
                    opening.push(FirstMessage::Pieces);
                }
                Message::Bitfield(_) | Message::HaveNone | Message::HaveAll
                    if !opening.contains(&FirstMessage::Pieces) =>
                {
                    opening.push(FirstMessage::Pieces);
                    match message {
                        Message::HaveNone => pieces = Some(WithoutPieces::HaveNone),
                        Message::Bitfield(bits) if bits.iter().all(|&byte| byte == 0) => {
                            pieces = Some(WithoutPieces::Bitfield);
                        }
                        _ => {}
                    }
                    shows_none = pieces.is_some().then_some(stored);
                }
                Message::AllowedFast(_) => {
                    allowed += 1;
                    if allowed == 1 {
                        opening.push(FirstMessage::AllowedFast(0));
                    }
                }
                Message::Interested => {
                    interest = Some(if far_has_told { Interest::WhenUseful } else { Interest::AtOnce });
                    shows_interest = Some(stored);
                    break;
                }
                _ => break,
            }
            shown = shown.or(Some(stored));
        }
        if !opening.contains(&FirstMessage::Pieces) {
            // It would have sent which pieces it has.
            pieces = pieces.or(Some(WithoutPieces::Nothing));
            shows_none = shows_none.or(shown).or(shows_interest);
            opening.push(FirstMessage::Pieces);
        }
        // BEP 6 has ten; a torrent of fewer pieces shows all of them.
        let all = self.piece_count().is_some_and(|count| allowed >= count);
        for item in &mut opening {
            if let FirstMessage::AllowedFast(count) = item {
                *count = if all { allowed.max(10) } else { allowed };
            }
        }
        let profile = &mut self.learnt.profile;
        profile.allowed_fast = if all { allowed.max(10) } else { allowed };
        profile.first_messages = opening;
        profile.without_pieces = pieces.unwrap_or(profile.without_pieces);
        profile.interest = interest.unwrap_or(profile.interest);
        self.note(&["opening", "acknowledges_pieces"], shown);
        self.note(&["without_pieces"], shows_none);
        self.note(&["interest"], shows_interest);
    }

    /// How many pieces the torrent has, as far as messages show: one more than the highest they name.
    fn piece_count(&self) -> Option<u32> {
        let said = self.reference.conversations.iter().flat_map(Conversation::messages);
        let messages = said.filter_map(|(_, message)| message.peer_message());
        messages.filter_map(|message| named_piece(&message)).max().map(|highest| highest.0.saturating_add(1))
    }

    fn extended(&mut self, peers: &[&'a Conversation]) {
        let said = peers.iter().flat_map(|conversation| &conversation.direction(Side::Local).messages);
        let mut extended = said.filter_map(|stored| match stored.body() {
            Body::PeerWire(PeerWireBody::Extended(
                Message::Extended { payload, .. },
                Extension::Handshake,
            )) => Some((stored, payload)),
            _ => None,
        });
        let Some((shown, payload)) = extended.next() else { return };
        let Ok((document, _)) = bencode::scan_prefix(&payload) else { return };
        let Some(entries) = document.root().entries() else { return };
        let mut says_entries = Vec::new();
        let profile = &mut self.learnt.profile;
        for entry in entries {
            let says = match (entry.key, entry.value.integer(), entry.value.bytes()) {
                (b"m", ..) => {
                    let extensions = entry.value.entries().into_iter().flatten();
                    profile.extensions = extensions
                        .filter_map(|one| {
                            Some((String::from_utf8(one.key.to_vec()).ok()?, one.value.integer()?))
                        })
                        .filter_map(|(name, id)| Some((name, u8::try_from(id).ok()?)))
                        .collect();
                    ExtendedEntry::Extensions
                }
                (b"metadata_size", Some(_), _) => ExtendedEntry::MetadataSize,
                (b"p", Some(port), _) => {
                    // Without a tracker this is where it says its port.
                    if self.learnt.port == 0 {
                        self.learnt.port = u16::try_from(port).unwrap_or(0);
                    }
                    ExtendedEntry::Port
                }
                (b"reqq", Some(reqq), _) => {
                    profile.reqq = u32::try_from(reqq).unwrap_or(profile.reqq);
                    ExtendedEntry::Reqq
                }
                (b"v", _, Some(name)) if std::str::from_utf8(name).is_ok() => {
                    profile.client = String::from_utf8_lossy(name).into_owned();
                    ExtendedEntry::Client
                }
                (b"yourip", _, Some(_)) => ExtendedEntry::YourAddress,
                (b"upload_only", Some(0 | 1), _) => ExtendedEntry::UploadOnly,
                (b"complete_ago", Some(_), _) => ExtendedEntry::CompleteAgo,
                (b"ipv4" | b"ipv6", ..) => {
                    self.learnt.beyond.push(format!(
                        "its extended handshake has its own address ({}); bittrace's does not",
                        String::from_utf8_lossy(entry.key)
                    ));
                    continue;
                }
                (_, Some(number), _) => ExtendedEntry::Number(number),
                (_, _, Some(text)) => ExtendedEntry::Text(text.to_vec()),
                _ => {
                    let key = String::from_utf8_lossy(entry.key);
                    self.learnt
                        .beyond
                        .push(format!("the list or dictionary under {key:?} in its extended handshake"));
                    continue;
                }
            };
            says_entries.push((entry.key.to_vec(), says));
        }
        profile.extended = says_entries;
        self.note(&["extended"], Some(shown));
    }

    /// How many requests wait, and of what size.
    fn requests(&mut self, conversation: &'a Conversation) {
        let (mut asked, mut given, mut most) = (0_u32, 0_u32, 0);
        let mut refills: Vec<RequestStep> = Vec::new();
        let (mut length, mut shown) = (0, None);
        let mut observed = ObservedConversation::new(conversation);
        while let Some((side, stored, body)) = observed.next() {
            match (side, body.peer_message()) {
                (Side::Local, Some(Message::Request(block))) => {
                    asked += 1;
                    most = most.max(observed.outstanding(Side::Local));
                    length = length.max(block.length);
                    shown = shown.or(Some(stored));
                    match refills.last_mut().filter(|refill| refill.blocks_received == given) {
                        Some(refill) => refill.requests_sent = asked,
                        None => refills.push(RequestStep { blocks_received: given, requests_sent: asked }),
                    }
                }
                (Side::Remote, Some(Message::Piece { .. })) => given += 1,
                _ => {}
            }
        }
        let profile = &mut self.learnt.profile;
        if let Some(first) = refills.first() {
            profile.initial_pipeline = first.requests_sent;
            profile.max_pipeline = most;
            profile.block_length = length;
            self.learnt.schedule.requests = refills;
        }
        self.note(&["block_length", "first_requests", "most_requests", "refills"], shown);
    }

    /// Whether it requests the zeros after the ends of files, and blocks that are padding alone.
    fn padding(&mut self) {
        let shown = self.reference.padded_requests().next();
        self.learnt.profile.pads_blocks = shown.is_some();
        self.note(&["pads_blocks"], shown);
        let asked = self.reference.requests_of_padding().next();
        // Or it has pieces with such blocks, and asked for none.
        let shown = asked.or_else(|| self.reference.haves_with_padding().next());
        if shown.is_some() {
            self.learnt.profile.requests_padding = asked.is_some();
        }
        self.note(&["requests_padding"], shown);
    }

    /// Which pieces it begins, in which order.
    fn pieces(&mut self, peers: &[&'a Conversation]) {
        let mut asked: Vec<(&StoredMessage, Block)> = Vec::new();
        for conversation in peers {
            let said = conversation.direction(Side::Local).messages.iter();
            asked.extend(said.filter_map(|stored| match stored.peer_message()? {
                Message::Request(block) => Some((stored, block)),
                _ => None,
            }));
        }
        asked.sort_by_key(|(stored, _)| stored.number);
        let mut seen = BTreeSet::new();
        let order: Vec<PieceIndex> =
            asked.iter().map(|(_, block)| block.index).filter(|&piece| seen.insert(piece)).collect();
        let first = asked.first().map(|(stored, _)| *stored);
        // One piece has no order.
        self.note(&["piece_order"], first.filter(|_| order.len() > 1));
        if !order.is_empty() {
            let ascends = order.is_sorted() && order.len() > 1;
            if ascends {
                self.learnt.profile.piece_order = PieceOrder::InOrder;
            } else {
                self.learnt.schedule.pieces = order;
            }
            self.learnt.profile.random_pieces = 0;
        }
    }

    /// How it tells of pieces that are new, and what it says when the last one is there.
    fn haves(&mut self, peers: &[&'a Conversation]) {
        let mut told = HaveTimes::default();
        let mut redundant = None;
        for conversation in peers {
            let mut observed = ObservedConversation::with_pieces(conversation);
            let mut open = false;
            let mut given = BTreeSet::new();
            let mut tells_all = false;
            while let Some((side, stored, body)) = observed.next() {
                let Some(message) = body.peer_message() else { continue };
                if side == Side::Remote {
                    match message {
                        Message::Piece { index, .. } => {
                            told.given(stored.frames.first().copied(), *index);
                            given.insert(*index);
                        }
                        Message::HaveAll => tells_all = true,
                        Message::Bitfield(bits) => tells_all = is_full(bits),
                        _ => {}
                    }
                    continue;
                }
                let opens = !open;
                open |= tells_pieces(message) || is_conduct(message);
                if opens && tells_pieces(message) && !matches!(message, Message::Have(_)) {
                    continue;
                }
                if let Message::Have(piece) = message {
                    let shown = if !observed.has(Side::Remote, *piece) {
                        RedundantHaves::Never
                    } else if given.contains(piece) && !tells_all {
                        RedundantHaves::ToGivers
                    } else {
                        RedundantHaves::ToAll
                    };
                    redundant = redundant.max(Some(shown));
                }
                told.say(stored.frames.first().copied().unwrap_or(0), message);
            }
        }
        let profile = &mut self.learnt.profile;
        if told.at_once {
            profile.haves = Haves::Shortest;
            redundant = Some(RedundantHaves::ToAll);
        }
        let shows_redundant = told.shown.filter(|_| redundant.is_some());
        profile.redundant_haves = redundant.unwrap_or(profile.redundant_haves);
        self.learnt.schedule.haves.clone_from(&told.tells);
        let shows_order = told.shown.filter(|_| told.first > 0 || told.behind > 0);
        if shows_order.is_some() {
            profile.haves_first = told.first >= told.behind;
        }
        let shows_parting = told.parting().and(told.last_block);
        if let Some(parting) = told.parting() {
            profile.last_messages = parting;
        }
        self.note_frame(&["haves", "tells"], told.shown);
        self.note_frame(&["haves_first"], shows_order);
        self.note_frame(&["redundant_haves"], shows_redundant);
        self.note_frame(&["parting"], shows_parting);
    }
}

/// Whether a bitfield has all pieces, as far as can be told without the number of pieces.
fn is_full(bits: &[u8]) -> bool {
    let Some((last, whole)) = bits.split_last() else { return false };
    let ends = *last != 0 && last.leading_ones() == last.count_ones();
    ends && whole.iter().all(|&byte| byte == u8::MAX)
}

/// Whether the opening of a connection is over with this message.
fn is_conduct(message: &Message) -> bool {
    matches!(message, Message::Interested | Message::Request(_) | Message::Unchoke | Message::Piece { .. })
}

fn handshake_of(message: &StoredMessage) -> Option<Handshake> {
    match message.body() {
        Body::PeerWire(PeerWireBody::Handshake(handshake)) => Some(handshake),
        _ => None,
    }
}

/// Where chance comes from in a rehearsal: any number, always the same.
const SEED: u64 = 0x6269_7474_7261_6365;

#[cfg(test)]
mod tests;
