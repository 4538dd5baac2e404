//! Reads off a reference how its client conducts itself. What it does not show is as bittrace does it, and said so.

use std::collections::BTreeSet;

use bittrace_protocol::bencode;
use bittrace_protocol::peer::{ConnectionState, PeerSide};
use bittrace_protocol::session::{
    Alphabet, ExtendedEntry, FirstMessage, Haves, Identity, Interest, KeyForm, PieceOrder, Profile,
    RequestStep, Schedule, WithoutPieces,
};
use bittrace_protocol::tracker::Event;
use bittrace_protocol::tracker::http::{Announce, Request, RequestKind, RequestStyle};
use bittrace_protocol::wire::{Extension, Handshake, Message};
use bittrace_protocol::{Block, InfoHash, PeerId, PieceIndex};
use bittrace_trace::{Body, HttpTrackerBody, PeerWireBody, Record, Side};

use super::have_schedule::{HaveTimes, tells_pieces};
use crate::model::reference::{RecordedConnection, Reference};

/// What a reference shows of its client.
#[derive(Debug, Clone)]
pub struct InferredProfile {
    /// How it conducts itself, with any torrent.
    pub profile: Profile,
    /// What it chose among the pieces of this torrent.
    pub schedule: Schedule,
    /// What it had drawn at random.
    pub identity: Identity,
    /// The port it said it listens on; 0 where it said none.
    pub port: u16,
    /// The torrent.
    pub torrent: InfoHash,
    /// What the client calls itself.
    pub client: Option<String>,
    /// What each part of the profile rests on: its name, and the frame of the message that shows it.
    pub evidence: Vec<ProfileEvidence>,
    /// What the reference does that a profile cannot say, in words.
    pub beyond: Vec<String>,
}

/// A part of a profile, and where it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileEvidence {
    /// The part, by the name of its field in the profile.
    pub part: &'static str,
    /// The packet that carried the message; `None` where nothing shows it, and it is as bittrace does it.
    pub frame: Option<u64>,
}

/// Reads a profile off `reference`. Names and ways that it does not show are those of `own`.
pub fn infer_profile(reference: &Reference, own: Profile) -> InferredProfile {
    let peer_id = PeerId([0; 20]);
    let mut learner = Learner {
        reference,
        learnt: InferredProfile {
            profile: own,
            schedule: Schedule::default(),
            identity: Identity::new(peer_id, 0, SEED),
            port: 0,
            torrent: reference.torrent,
            client: None,
            evidence: Vec::new(),
            beyond: Vec::new(),
        },
    };
    let peers: Vec<&RecordedConnection> = reference.conversations().filter(|one| !one.tracker).collect();
    let busiest = peers.iter().copied().max_by_key(|connection| connection.records.len());
    learner.announces();
    learner.peer_ids(&peers);
    if let Some(busiest) = busiest {
        learner.opening(busiest);
        learner.requests(busiest);
    }
    learner.extended(&peers);
    learner.pieces(&peers);
    learner.haves(&peers);
    learner.learnt
}

struct Learner<'a> {
    reference: &'a Reference,
    learnt: InferredProfile,
}

impl<'a> Learner<'a> {
    fn note(&mut self, part: &'static str, record: Option<&Record>) {
        let frame = record.and_then(|record| record.frames.first().copied());
        self.learnt.evidence.push(ProfileEvidence { part, frame });
    }

    fn local(&self, connection: &'a RecordedConnection) -> impl Iterator<Item = &'a Record> {
        let records = self.reference.records_of(connection);
        records.filter(|record| record.side == Side::Local)
    }

    fn announces(&mut self) {
        let reference = self.reference;
        let trackers = reference.conversations().filter(|connection| connection.tracker);
        let said = trackers.flat_map(|connection| reference.records_of(connection));
        let announces: Vec<(&Record, &Request, &Announce)> = said.filter_map(announce_of).collect();
        let Some(&(record, first, announce)) = announces.first() else {
            self.note("announce", None);
            return;
        };
        let mut style = RequestStyle::of(first);
        announces.iter().skip(1).for_each(|(_, request, _)| style.extend(request));
        let own = &mut self.learnt.profile.announce;
        own.style = style;
        let goes = |announce: &Announce| announce.event == Some(Event::Stopped);
        let numwant = |stopped: bool| {
            announces.iter().filter(move |one| goes(one.2) == stopped).find_map(|one| one.2.numwant)
        };
        own.numwant = numwant(false).unwrap_or(own.numwant);
        own.numwant_stopped = numwant(true).unwrap_or(own.numwant_stopped);
        own.compact = announce.compact.unwrap_or(own.compact);
        own.no_peer_id = announce.no_peer_id.unwrap_or(own.no_peer_id);
        own.supportcrypto = announce.supportcrypto.unwrap_or(own.supportcrypto);
        own.requirecrypto = announce.requirecrypto.unwrap_or(own.requirecrypto);
        own.others.clone_from(&announce.others);
        let completed = announces.iter().any(|one| one.2.event == Some(Event::Completed));
        // One that has nothing left had occasion to say so.
        own.says_completed = completed || !announces.iter().any(|one| one.2.left == Some(0));
        if let Some(key) = &announce.key {
            self.key(key, announce.peer_id);
        }
        if announce.ip.is_some() || announce.ipv4.is_some() || announce.ipv6.is_some() {
            self.learnt.beyond.push("its announces name its own address; bittrace's do not".to_owned());
        }
        self.learnt.identity.peer_id = announce.peer_id.unwrap_or(self.learnt.identity.peer_id);
        self.learnt.port = announce.port.unwrap_or(0);
        self.learnt.client = record.client.as_deref().map(str::to_owned);
        self.note("announce", Some(record));
    }

    fn key(&mut self, key: &[u8], peer_id: Option<PeerId>) {
        let text = std::str::from_utf8(key).ok().filter(|text| text.len() == 8);
        let number = text.and_then(|text| u32::from_str_radix(text, 16).ok());
        let form = match number {
            Some(_) if key.iter().any(u8::is_ascii_lowercase) => KeyForm::LowerHex,
            Some(_) => KeyForm::UpperHex,
            None if !key.is_empty() && peer_id.is_some_and(|id| id.0.ends_with(key)) => {
                KeyForm::PeerIdTail(key.len())
            }
            None => {
                self.learnt
                    .beyond
                    .push("its key is neither eight hexadecimal digits nor part of its peer id".into());
                return;
            }
        };
        self.learnt.profile.announce.key = form;
        self.learnt.identity.key = number.unwrap_or(0);
    }

    /// What it calls itself: to trackers, and on each connection.
    fn peer_ids(&mut self, peers: &[&'a RecordedConnection]) {
        let handshake = |connection: &&'a RecordedConnection| {
            let mut said = self.local(connection).filter_map(|record| Some((record, handshake_of(record)?)));
            said.next()
        };
        let said: Vec<_> = peers.iter().filter_map(handshake).collect();
        let announced = Some(self.learnt.identity.peer_id).filter(|id| id.0 != [0; 20]);
        let Some(&(record, first)) = said.first() else {
            let form = &mut self.learnt.profile.peer_id;
            if let Some(id) = announced {
                form.prefix = id.0[..id.client_part()].to_vec();
                form.alphabet = Alphabet::of(&id.0[id.client_part()..]);
            }
            self.note("reserved", None);
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
        if self.learnt.client.is_none() {
            self.learnt.client = record.client.as_deref().map(str::to_owned);
        }
        self.note("peer_id", Some(record));
        self.note("reserved", Some(record));
    }

    /// What follows its handshake.
    fn opening(&mut self, connection: &'a RecordedConnection) {
        let mut opening = Vec::new();
        let (mut keep_alives, mut allowed, mut interest) = (0, 0, None);
        let (mut pieces, mut far_has_told, mut shown) = (None, false, None);
        for record in self.reference.records_of(connection) {
            let Some(message) = record.peer_message() else { continue };
            if record.side == Side::Remote {
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
                }
                Message::AllowedFast(_) => {
                    allowed += 1;
                    if allowed == 1 {
                        opening.push(FirstMessage::AllowedFast(0));
                    }
                }
                Message::Interested => {
                    interest = Some(if far_has_told { Interest::WhenUseful } else { Interest::AtOnce });
                    break;
                }
                _ => break,
            }
            shown = shown.or(Some(record));
        }
        if !opening.contains(&FirstMessage::Pieces) {
            // It would have said what it has.
            pieces = pieces.or(Some(WithoutPieces::Nothing));
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
        self.note("opening", shown);
    }

    /// How many pieces the torrent has, as far as messages show: one more than the highest they name.
    fn piece_count(&self) -> Option<u32> {
        let messages = self.reference.records.iter().filter_map(Record::peer_message);
        messages.filter_map(named_piece).max().map(|highest| highest.0.saturating_add(1))
    }

    /// No fewer pieces than the torrent has: as many as a bitfield has bits, else as many as messages of the connection name.
    fn piece_bound(&self, connection: &'a RecordedConnection) -> u32 {
        let messages = || self.reference.records_of(connection).filter_map(Record::peer_message);
        let bits = messages().find_map(|message| match message {
            Message::Bitfield(bits) => u32::try_from(bits.len() * 8).ok(),
            _ => None,
        });
        let named = || messages().filter_map(named_piece).map(|piece| piece.0.saturating_add(1)).max();
        bits.or_else(named).unwrap_or(0).min(MAX_PIECES)
    }

    fn extended(&mut self, peers: &[&'a RecordedConnection]) {
        let shown =
            peers.iter().flat_map(|connection| self.local(connection)).find_map(|record| {
                match &record.body {
                    Body::PeerWire(PeerWireBody::Extended(
                        Message::Extended { payload, .. },
                        Extension::Handshake,
                    )) => Some((record, payload)),
                    _ => None,
                }
            });
        let Some((record, payload)) = shown else {
            self.note("extended", None);
            return;
        };
        let Ok((document, _)) = bencode::scan_prefix(payload) else { return };
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
                (b"p", Some(_), _) => ExtendedEntry::Port,
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
                        "its extended handshake tells its own address ({}); bittrace's does not",
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
        self.note("extended", Some(record));
    }

    /// How many requests wait, and of what size.
    fn requests(&mut self, connection: &'a RecordedConnection) {
        let (mut asked, mut given, mut most) = (0_u32, 0_u32, 0);
        let mut refills: Vec<RequestStep> = Vec::new();
        let (mut length, mut shown) = (0, None);
        for record in self.reference.records_of(connection) {
            match (record.side, record.peer_message()) {
                (Side::Local, Some(Message::Request(block))) => {
                    asked += 1;
                    most = most.max(record.effect.outstanding[PeerSide::from(record.direction) as usize]);
                    length = length.max(block.length);
                    shown = shown.or(Some(record));
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
        self.note("requests", shown);
    }

    /// Which pieces it begins, in which order.
    fn pieces(&mut self, peers: &[&'a RecordedConnection]) {
        let mut asked: Vec<(&Record, Block)> = Vec::new();
        for connection in peers {
            asked.extend(self.local(connection).filter_map(|record| match record.peer_message()? {
                Message::Request(block) => Some((record, *block)),
                _ => None,
            }));
        }
        asked.sort_by_key(|(record, _)| record.number);
        let mut seen = BTreeSet::new();
        let order: Vec<PieceIndex> =
            asked.iter().map(|(_, block)| block.index).filter(|&piece| seen.insert(piece)).collect();
        let first = asked.first().map(|(record, _)| *record);
        if !order.is_empty() {
            let ascends = order.is_sorted() && order.len() > 1;
            if ascends {
                self.learnt.profile.piece_order = PieceOrder::InOrder;
            } else {
                self.learnt.schedule.pieces = order;
            }
            self.learnt.profile.random_pieces = 0;
        }
        self.note("piece_order", first);
    }

    /// How it tells of pieces that are new, and what it says when the last one is there.
    fn haves(&mut self, peers: &[&'a RecordedConnection]) {
        let mut told = HaveTimes::default();
        let mut redundant = None;
        for connection in peers {
            let mut state = ConnectionState::new();
            state.set_piece_count(self.piece_bound(connection));
            let mut open = false;
            for record in self.reference.records_of(connection) {
                let Some(message) = record.peer_message() else { continue };
                let sender = PeerSide::from(record.direction);
                state.observe(sender, record.at, record.number, message);
                if record.side == Side::Remote {
                    if let Message::Piece { index, .. } = message {
                        told.given(*index);
                    }
                    continue;
                }
                let opens = !open;
                open |= tells_pieces(message) || is_conduct(message);
                if opens && tells_pieces(message) && !matches!(message, Message::Have(_)) {
                    continue;
                }
                if let Message::Have(piece) = message {
                    let far_has = state.side(sender.other()).pieces().is_some_and(|far| far.contains(*piece));
                    redundant = Some(redundant.unwrap_or(false) || far_has);
                }
                told.say(record, message);
            }
        }
        let profile = &mut self.learnt.profile;
        if told.at_once {
            profile.haves = Haves::Shortest;
            redundant = Some(true);
        }
        profile.redundant_haves = redundant.unwrap_or(profile.redundant_haves);
        self.learnt.schedule.haves.clone_from(&told.tells);
        if told.first > 0 || told.behind > 0 {
            profile.haves_first = told.first >= told.behind;
        }
        if let Some(parting) = told.parting() {
            profile.last_messages = parting;
        }
        let shown = told.shown.map(|place| ProfileEvidence { part: "haves", frame: Some(place) });
        self.learnt.evidence.push(shown.unwrap_or(ProfileEvidence { part: "haves", frame: None }));
    }
}

/// The piece that a message names.
const fn named_piece(message: &Message) -> Option<PieceIndex> {
    match message {
        Message::Have(piece) | Message::AllowedFast(piece) => Some(*piece),
        Message::Request(block) => Some(block.index),
        Message::Piece { index, .. } => Some(*index),
        _ => None,
    }
}

/// Whether the opening of a connection is over with this message.
fn is_conduct(message: &Message) -> bool {
    matches!(message, Message::Interested | Message::Request(_) | Message::Unchoke | Message::Piece { .. })
}

fn handshake_of(record: &Record) -> Option<&Handshake> {
    match &record.body {
        Body::PeerWire(PeerWireBody::Handshake(handshake)) => Some(handshake),
        _ => None,
    }
}

fn announce_of(record: &Record) -> Option<(&Record, &Request, &Announce)> {
    match &record.body {
        Body::HttpTracker(HttpTrackerBody::Request(request, kind)) if record.side == Side::Local => {
            match &**kind {
                RequestKind::Announce(announce) => Some((record, request, announce)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// More pieces than any torrent has: their hashes alone would be 320 MiB. A message may name any number.
const MAX_PIECES: u32 = 1 << 24;

/// Where chance comes from in a rehearsal: any number, always the same.
const SEED: u64 = 0x6269_7474_7261_6365;

#[cfg(test)]
mod tests;
