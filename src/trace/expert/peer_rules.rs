//! How two peers keep the rules between them: what each may ask for and send, given what the other said before.
//!
//! Nobody is judged by what the capture does not show: where it lacks a handshake or bytes of either direction, there
//! are no verdicts from then on. What may have crossed on the way is no fault.

mod requests;

use std::collections::HashSet;

use bittrace_protocol::geometry::{BlockFault, Geometry};
use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::wire::{
    Content, ExtendedHandshake, Extension, Handshake, HashRange, METADATA_PIECE, Message, Metadata,
    MetadataKind, Pex,
};
use bittrace_protocol::{Block, PieceIndex, Timestamp};

use super::metadata::MetadataHash;
use crate::expert::rules::{self, Rule};
use crate::record::units::{counted, size, span};
use crate::record::{Body, MseBody, PeerWireBody, Record, Unreadable};
use requests::{HashRequests, Requests, Settled};

/// The conduct of both ends of a connection.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    /// Whether what is judged may answer what the capture lacks.
    in_doubt: bool,
    sides: [Side; 2],
}

/// One end.
#[derive(Debug, Default)]
struct Side {
    handshake: Option<Handshake>,
    /// Whether the capture lacks bytes that it said.
    lost: bool,
    /// Whether it said a message that should stand behind those of what it has.
    spoke: bool,
    /// Whether it said what it has, all at once.
    told: bool,
    unchokes: bool,
    /// When it last choked the other.
    choked_at: Option<Timestamp>,
    interested: bool,
    /// The pieces that it allows the other to ask for while choked.
    allowed: HashSet<PieceIndex>,
    /// What it asked for.
    requests: Requests,
    /// The hashes that it asked for.
    hashes: HashRequests,
    reqq: Option<u32>,
    metadata_size: Option<u64>,
    metadata: Option<Box<MetadataHash>>,
    pex_at: Option<Timestamp>,
    last_at: Option<Timestamp>,
    /// Since when it waits for blocks that it may have.
    waits_since: Option<Timestamp>,
    noted: Noted,
}

/// What is said once a side.
#[derive(Debug, Default)]
struct Noted {
    uninterested: bool,
    reqq: bool,
    snubbed: bool,
}

/// A message may be on its way while another crosses it. Round trips are shorter, and clients read at least that often.
const CROSSING: f64 = 2.0;
/// "Generally" keep-alives are sent once every two minutes (BEP 3, "peer protocol"); what is little later is no silence.
const SILENCE: f64 = 150.0;
/// The time after which peers count as snubbed by one that sends nothing (BEP 3 leaves it open; clients take a minute).
const SNUBBED: f64 = 60.0;
/// A cancelled request is answered all the same (BEP 6), and what was not by then never is.
const UNANSWERED: f64 = 60.0;
/// No more than one PEX message a minute (BEP 11); clocks of senders and networks may be off by some seconds.
const PEX_APART: f64 = 50.0;
/// At most so many peers in a PEX message, but for the first (BEP 11).
const PEX_PEERS: usize = 50;
/// How many pieces allowed fast are remembered; clients allow ten.
const ALLOWED: usize = 4096;

impl Conduct {
    /// Takes in a record of the connection, and says what is against the rules. `torrent` is what it is about, where known.
    pub(super) fn judge(&mut self, record: &mut Record, torrent: Option<&Metainfo>) {
        let body = record.body.clone();
        self.in_doubt = record.in_doubt;
        self.silence(record);
        match &body {
            Body::PeerWire(PeerWireBody::Handshake(handshake)) => self.handshake(record, handshake, torrent),
            Body::PeerWire(PeerWireBody::Message(message)) => {
                self.range(record, message, torrent.and_then(Metainfo::placement));
                self.message(record, message);
                self.speaker(record).spoke = true;
            }
            Body::PeerWire(PeerWireBody::Extended(Message::Extended { payload, .. }, extension)) => {
                if let Ok(content) = extension.decode(payload) {
                    self.extended(record, extension, content, payload);
                }
            }
            Body::Unreadable(_, Unreadable::Gap(_) | Unreadable::LostPackets(_) | Unreadable::Opaque(_))
            | Body::Mse(MseBody::Encrypted) => {
                self.speaker(record).lost = true;
            }
            _ => {}
        }
    }

    fn speaker(&mut self, record: &Record) -> &mut Side {
        &mut self.sides[record.direction as usize]
    }

    /// The speaker's end and the receiver's.
    fn ends(&mut self, record: &Record) -> (&mut Side, &mut Side) {
        let [initiator, responder] = &mut self.sides;
        match record.direction {
            crate::Direction::FromInitiator => (initiator, responder),
            crate::Direction::FromResponder => (responder, initiator),
        }
    }

    /// Whether all that both ends said until now is known.
    fn is_known(&self) -> bool {
        !self.in_doubt && self.sides.iter().all(|side| side.handshake.is_some() && !side.lost)
    }

    fn is_fast(&self) -> bool {
        self.sides.iter().all(|side| side.handshake.is_some_and(|handshake| handshake.offers_fast()))
    }

    fn silence(&mut self, record: &mut Record) {
        let (at, known) = (record.at, self.is_known());
        let (speaker, receiver) = self.ends(record);
        if let Some(last) = speaker.last_at.replace(at)
            && at.seconds_since(last) > SILENCE
            && known
        {
            let text = format!("{} said nothing for {}", record.source, span(at.seconds_since(last)));
            record.notes.push(rules::BEP3_IDLE.note(text));
        }
        for (side, who) in [(speaker, record.source), (receiver, record.destination)] {
            if let Some(block) = side.requests.overdue(at, UNANSWERED).filter(|_| known) {
                let text =
                    format!("{who} cancelled {} at {} of piece {}", block.length, block.begin, block.index);
                record.notes.push(rules::BEP6_CANCEL_UNANSWERED.note(text));
            }
            let Some(since) = side.waits_since.filter(|_| known && !side.noted.snubbed) else { continue };
            if at.seconds_since(since) > SNUBBED {
                side.noted.snubbed = true;
                let text = format!("{who} waits for a block since {}", span(at.seconds_since(since)));
                record.notes.push(rules::BEP3_SNUBBED.note(text));
            }
        }
    }

    fn handshake(&mut self, record: &mut Record, handshake: &Handshake, torrent: Option<&Metainfo>) {
        let (speaker, receiver) = self.ends(record);
        speaker.handshake = Some(*handshake);
        let Some(other) = receiver.handshake else { return };
        if other.peer_id == handshake.peer_id {
            record.notes.push(rules::BEP3_SELF_CONNECTION.note("both ends have the same peer id"));
        }
        // Whoever offers version 2 may be answered with the other hash of a hybrid torrent (BEP 52, "Upgrade Path").
        let upgrades = other.reserved[7] & OFFERS_V2 != 0
            && torrent.is_none_or(|torrent| {
                torrent.goes_by(other.info_hash) && torrent.goes_by(handshake.info_hash)
            });
        if other.info_hash == handshake.info_hash {
            return;
        }
        record.notes.push(if upgrades {
            let text = format!(
                "it was asked for {}, with the offer to speak version 2, and answers by the other info hash of that torrent",
                other.info_hash
            );
            rules::BEP52_UPGRADED.note(text)
        } else {
            let text =
                format!("it was asked for {}, and answers for {}", other.info_hash, handshake.info_hash);
            rules::BEP3_INFO_HASH_MISMATCH.note(text)
        });
    }

    /// What a message names that the torrent has not.
    fn range(&self, record: &mut Record, message: &Message, geometry: Option<&Geometry>) {
        let Some(geometry) = geometry else { return };
        let block = match message {
            Message::Request(block) | Message::Cancel(block) | Message::RejectRequest(block) => *block,
            Message::Piece { index, begin, block } => {
                Block { index: *index, begin: *begin, length: block.len() as u32 }
            }
            Message::Have(index) | Message::SuggestPiece(index) | Message::AllowedFast(index) => {
                Block { index: *index, begin: 0, length: 1 }
            }
            Message::Bitfield(bits) => return bitfield(record, bits, geometry),
            _ => return,
        };
        if let Err(fault) = geometry.block_span(block) {
            // Where files begin a piece each, libtorrent asks for the zeros between them too, and sends them.
            if geometry.is_aligned()
                && fault == BlockFault::BeyondPiece
                && fits_piece(block, geometry.piece_length())
            {
                return;
            }
            let pieces = counted(u64::from(geometry.piece_count()), "piece");
            let text = match (fault, geometry.piece_size(block.index)) {
                (BlockFault::Empty, _) => "no bytes are named".to_owned(),
                (_, Some(bytes)) => format!("piece {} ends at {bytes}", block.index),
                (_, None) => format!("the torrent has {pieces}"),
            };
            record.notes.push(rules::BEP3_OUT_OF_RANGE.note(text));
        }
    }

    fn message(&mut self, record: &mut Record, message: &Message) {
        let (known, fast, at) = (self.is_known(), self.is_fast(), record.at);
        let both = self.sides.iter().all(|side| side.handshake.is_some());
        let (speaker, receiver) = self.ends(record);
        let is_of_fast = matches!(
            message,
            Message::SuggestPiece(_)
                | Message::HaveAll
                | Message::HaveNone
                | Message::RejectRequest(_)
                | Message::AllowedFast(_)
        );
        if is_of_fast && both && !fast {
            let text = "both handshakes must offer the fast extension";
            record.notes.push(rules::BEP6_NOT_OFFERED.note(text));
        }
        match message {
            Message::Choke => {
                speaker.unchokes = false;
                speaker.choked_at = Some(at);
                receiver.waits_since = None;
                if !fast {
                    receiver.requests.drop_all();
                }
            }
            Message::Unchoke => {
                speaker.unchokes = true;
                receiver.wait(at, speaker.unchokes);
            }
            Message::Interested => speaker.interested = true,
            Message::NotInterested => speaker.interested = false,
            Message::Bitfield(_) | Message::HaveAll | Message::HaveNone => {
                if known && (speaker.spoke || std::mem::replace(&mut speaker.told, true)) {
                    let rule = match message {
                        Message::Bitfield(_) => rules::BEP3_BITFIELD_LATE,
                        _ => rules::BEP6_HOLDING_LATE,
                    };
                    record.notes.push(rule.note("it may only be the first message behind the handshake"));
                }
                speaker.told = true;
            }
            Message::AllowedFast(index) if speaker.allowed.len() < ALLOWED => {
                speaker.allowed.insert(*index);
            }
            Message::Port(_) => {
                let offered = receiver.handshake.is_none_or(|handshake| handshake.offers_dht());
                if known && !offered {
                    let text = "the receiver's handshake does not offer DHT";
                    record.notes.push(rules::BEP5_PORT.note(text));
                }
            }
            Message::Request(block) => self.request(record, *block, known, fast),
            Message::Piece { index, begin, block } => {
                let block = Block { index: *index, begin: *begin, length: block.len() as u32 };
                self.piece(record, block, known, fast);
            }
            Message::Cancel(block) => {
                let asked = speaker.requests.cancel(*block, at, fast);
                if known && !asked && speaker.requests.settled(block).is_none() && speaker.requests.is_all() {
                    let text = "no request for this block was sent before";
                    record.notes.push(rules::BEP3_CANCEL_UNREQUESTED.note(text));
                }
                speaker.wait_no_more();
            }
            Message::RejectRequest(block) => self.reject(record, *block, known),
            Message::HashRequest(range) => speaker.hashes.ask(*range),
            Message::Hashes(range, _) => {
                self.hashes(record, range, known, rules::BEP52_HASHES_UNSOLICITED);
            }
            Message::HashReject(range) => {
                self.hashes(record, range, known, rules::BEP52_REJECT_UNREQUESTED);
            }
            _ => {}
        }
    }

    fn request(&mut self, record: &mut Record, block: Block, known: bool, fast: bool) {
        let at = record.at;
        let (speaker, receiver) = self.ends(record);
        if known {
            let may = receiver.unchokes || fast && receiver.allowed.contains(&block.index);
            let crossed = receiver.choked_at.is_some_and(|choked| at.seconds_since(choked) <= CROSSING);
            if !may && !crossed {
                let text = match receiver.choked_at {
                    Some(choked) => {
                        format!("{} is choked since {}", record.source, span(at.seconds_since(choked)))
                    }
                    None => format!("{} was never unchoked", record.source),
                };
                record.notes.push(rules::BEP3_REQUEST_CHOKED.note(text));
            }
            if !speaker.interested && !std::mem::replace(&mut speaker.noted.uninterested, true) {
                let text = format!("{} has not said that it is interested", record.source);
                record.notes.push(rules::BEP3_REQUEST_UNINTERESTED.note(text));
            }
            let waiting = speaker.requests.waiting() as u64 + 1;
            if let Some(reqq) = receiver.reqq
                && waiting > u64::from(reqq)
                && speaker.requests.is_all()
                && !std::mem::replace(&mut speaker.noted.reqq, true)
            {
                let text =
                    format!("{} wait; {} keeps {reqq}", counted(waiting, "request"), record.destination);
                record.notes.push(rules::BEP10_REQQ.note(text));
            }
        }
        speaker.requests.ask(block);
        let unchoked = receiver.unchokes;
        if speaker.waits_since.is_none() {
            speaker.wait(at, unchoked);
        }
    }

    fn piece(&mut self, record: &mut Record, block: Block, known: bool, fast: bool) {
        let at = record.at;
        let (speaker, receiver) = self.ends(record);
        let answered = receiver.requests.answer(block, Settled::Sent);
        if known && receiver.requests.is_all() {
            let before = if answered.is_none() { receiver.requests.settled(&block) } else { None };
            let (rule, text) = match (answered, before) {
                (Some(cancelled), _) => {
                    if cancelled {
                        let text = "it was cancelled; both were on their way";
                        record.notes.push(rules::BEP3_BLOCK_AFTER_CANCEL.note(text));
                    }
                    (None, "")
                }
                (None, Some(Settled::Cancelled)) => {
                    (Some(rules::BEP3_BLOCK_AFTER_CANCEL), "it was cancelled; both were on their way")
                }
                (None, Some(Settled::Sent)) => {
                    (Some(rules::BEP3_BLOCK_AGAIN), "it came already, and was not asked for again")
                }
                (None, Some(Settled::Rejected)) => {
                    (Some(rules::BEP6_ANSWERED_TWICE), "the request was rejected already")
                }
                // A choke without the fast extension dropped the request.
                (None, Some(Settled::Dropped)) => (None, ""),
                (None, None) => (Some(rules::BEP3_BLOCK_UNSOLICITED), "no request asked for this block"),
            };
            record.notes.extend(rule.map(|rule| rule.note(text)));
        }
        if known && !fast && !speaker.unchokes {
            let text = format!("{} is choked, and a choke ends its requests", record.destination);
            record.notes.push(rules::BEP3_BLOCK_WHILE_CHOKING.note(text));
        }
        let unchoked = speaker.unchokes;
        receiver.waits_since = None;
        receiver.wait(at, unchoked);
    }

    fn reject(&mut self, record: &mut Record, block: Block, known: bool) {
        let (_, receiver) = self.ends(record);
        let answered = receiver.requests.answer(block, Settled::Rejected);
        receiver.wait_no_more();
        if !known || answered.is_some() || !receiver.requests.is_all() {
            return;
        }
        record.notes.extend(match receiver.requests.settled(&block) {
            Some(Settled::Sent | Settled::Rejected) => {
                Some(rules::BEP6_ANSWERED_TWICE.note("the request was answered already"))
            }
            Some(Settled::Cancelled | Settled::Dropped) => None,
            None => Some(rules::BEP6_REJECT_UNREQUESTED.note("no request asked for this block")),
        });
    }

    /// Settles a request for hashes; where there is none, the rule says what its answer is.
    fn hashes(&mut self, record: &mut Record, range: &HashRange, known: bool, rule: Rule) {
        let (_, receiver) = self.ends(record);
        if !receiver.hashes.answer(range) && known {
            let text = format!("{} did not ask for them", record.destination);
            record.notes.push(rule.note(text));
        }
    }

    fn extended(&mut self, record: &mut Record, extension: &Extension, content: Content, payload: &[u8]) {
        let known = self.is_known();
        let at = record.at;
        let (speaker, receiver) = self.ends(record);
        match (extension, content) {
            (_, Content::Handshake(ExtendedHandshake { reqq, metadata_size, .. })) => {
                speaker.reqq = reqq.or(speaker.reqq);
                speaker.metadata_size = metadata_size.or(speaker.metadata_size);
            }
            (_, Content::Pex(Pex { added, dropped })) => {
                let last = speaker.pex_at.replace(at);
                if let Some(last) = last.filter(|_| known) {
                    let since = at.seconds_since(last);
                    if since < PEX_APART {
                        let text = format!("the last one came {} before", span(since));
                        record.notes.push(rules::BEP11_TOO_OFTEN.note(text));
                    }
                    if added.len() > PEX_PEERS || dropped.len() > PEX_PEERS {
                        let text = format!("{} added, {} dropped", added.len(), dropped.len());
                        record.notes.push(rules::BEP11_TOO_MANY.note(text));
                    }
                }
            }
            (_, Content::Metadata(metadata)) if metadata.kind == MetadataKind::Data => {
                let announced = speaker.metadata_size;
                let info_hash = speaker.handshake.or(receiver.handshake).map(|handshake| handshake.info_hash);
                if let Some(text) = wrong_size(&metadata, announced) {
                    record.notes.push(rules::BEP9_WRONG_SIZE.note(text));
                }
                let total = metadata.total_size.unwrap_or(0);
                if let (Some(bytes), Some(info_hash)) = (payload.get(metadata.data), info_hash) {
                    if metadata.piece == 0 {
                        speaker.metadata = Some(Box::new(MetadataHash::new(total)));
                    }
                    let whole = speaker.metadata.as_mut().and_then(|hash| hash.push(metadata.piece, bytes));
                    if whole.is_some_and(|hashes| !hashes.contains(&info_hash)) {
                        let text = format!("all of it came, and its hash is not {info_hash}");
                        record.notes.push(rules::BEP9_WRONG_HASH.note(text));
                    }
                }
            }
            _ => {}
        }
    }
}

impl Side {
    /// Begins to wait, where it waits for something that it may have.
    fn wait(&mut self, at: Timestamp, unchoked: bool) {
        self.waits_since = (unchoked && self.requests.waiting() > 0).then_some(at);
    }

    fn wait_no_more(&mut self) {
        if self.requests.waiting() == 0 {
            self.waits_since = None;
        }
    }
}

/// The bit of the last reserved byte that offers version 2 (BEP 52, "Upgrade Path").
const OFFERS_V2: u8 = 0x10;

fn fits_piece(block: Block, piece_length: u32) -> bool {
    block.begin.checked_add(block.length).is_some_and(|end| end <= piece_length)
}

fn bitfield(record: &mut Record, bits: &[u8], geometry: &Geometry) {
    let wanted = geometry.bitfield_length();
    if bits.len() != wanted {
        let text =
            format!("{} for {}", size(bits.len() as u64), counted(geometry.piece_count().into(), "piece"));
        record.notes.push(rules::BEP3_BITFIELD_LENGTH.note(text));
        return;
    }
    let spare = wanted * 8 - geometry.piece_count() as usize;
    if bits.last().is_some_and(|last| u32::from(*last) & ((1_u32 << spare) - 1) != 0) {
        record.notes.push(rules::BEP3_BITFIELD_LENGTH.note("bits behind that of the last piece are set"));
    }
}

/// What is wrong with the size of a piece of metadata.
fn wrong_size(metadata: &Metadata, announced: Option<u64>) -> Option<String> {
    let length = metadata.data.len() as u64;
    let total = metadata.total_size?;
    if let Some(announced) = announced.filter(|announced| *announced != total) {
        return Some(format!("{total} bytes in all; the handshake announced {announced}"));
    }
    let wanted = total.saturating_sub(u64::from(metadata.piece) * METADATA_PIECE).min(METADATA_PIECE);
    (wanted != length).then(|| format!("{}, wanted {wanted}", counted(length, "byte")))
}
