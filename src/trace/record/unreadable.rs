//! Bytes that are not a message, and bytes that the capture lost.

use bittrace_protocol::field::{Field, Value};
use bittrace_protocol::utp;
use bittrace_protocol::wire::{MessageId, NearMiss, PIECE_HEADER};
use bittrace_protocol::{DecodeError, PieceIndex};
use bytes::Bytes;

use super::content::derived;
use super::near_miss::describe_near_miss;
use super::units::{count, counted, wanted_at};

/// Why a record is not a message.
#[derive(Debug, Clone)]
pub enum Unreadable {
    /// A uTP datagram whose payload is not BitTorrent.
    Datagram,
    /// Bytes that no rule explains.
    Opaque(Reason),
    /// Bytes that the capture lost: how many.
    Gap(u64),
    /// Packets of unknown size that the capture lost: how many. Only uTP counts packets and not bytes.
    LostPackets(u64),
}

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// They belong to a message of which a part is lost or was never captured.
    Fragment(Fragment),
    /// They stand before the first message whose beginning can be proved: the capture begins in the middle
    /// of the stream, or lost bytes before them.
    BeforeBoundary,
    /// They stand where a message should begin, but are none.
    Damaged,
    /// They are a datagram of their protocol that cannot be decoded: where, and what was wanted there.
    Malformed(DecodeError),
    /// They are the beginning of a datagram or an HTTP message whose rest was not captured: how many bytes it had, where
    /// that is known.
    Cut(Option<u64>),
    /// An HTTP message on a tracker's connection that is no tracker message.
    OrdinaryHttp,
    /// The end of a stream whose last message never came whole.
    Unfinished,
    /// They are nearly a handshake or a message, and show what their sender meant.
    NearMiss(NearMiss),
    /// They stand after a near miss, and no message is proved among them.
    AfterNearMiss,
}

/// Part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// The message's id; `None` for a handshake.
    pub id: Option<MessageId>,
    /// For a piece: the piece, and the block's offset within it.
    pub block: Option<(PieceIndex, u32)>,
    /// Where the part begins in the message.
    pub from: u64,
    /// The bytes of the whole message.
    pub total: u64,
    /// Whether the stream went on: the capture lacks what follows. Otherwise the stream ended here, or the capture did.
    pub goes_on: bool,
}

impl Fragment {
    /// The bytes of a block in a part of its message, `bytes`, and where they begin in the piece; `None` where it is part
    /// of another message, or the capture lacks which block it is.
    pub fn part_of_block(&self, bytes: &Bytes) -> Option<(PieceIndex, u32, Bytes)> {
        let (index, begin) = self.block.filter(|_| self.id == Some(MessageId::PIECE))?;
        let all = PIECE_HEADER as u64;
        let header = all.saturating_sub(self.from).min(bytes.len() as u64);
        let block = bytes.slice(header as usize..);
        let before = u32::try_from(self.from.saturating_sub(all)).ok()?;
        Some((index, begin.checked_add(before)?, block))
    }

    /// The block of a message that was sent, of which the capture has the head and not all the rest: which piece, where the block
    /// begins in it, and its length. `None` of other parts of a message, so that each message counts once, and where the
    /// stream ended within it.
    pub fn cut_block(&self) -> Option<(PieceIndex, u32, u32)> {
        let (index, begin) =
            self.block.filter(|_| self.goes_on && self.from == 0 && self.id == Some(MessageId::PIECE))?;
        let length = self.total.checked_sub(PIECE_HEADER as u64)?;
        Some((index, begin, u32::try_from(length).ok()?))
    }

    /// The message's name.
    pub fn name(&self) -> &'static str {
        self.id.map_or("handshake", MessageId::name)
    }
}

impl Reason {
    /// The name of the reason in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fragment(_) => "fragment",
            Self::BeforeBoundary => "before-boundary",
            Self::Damaged => "damaged",
            Self::Malformed(_) => "malformed",
            Self::Cut(_) => "cut",
            Self::OrdinaryHttp => "ordinary-http",
            Self::Unfinished => "unfinished",
            Self::NearMiss(_) => "near-miss",
            Self::AfterNearMiss => "after-near-miss",
        }
    }
}

impl Unreadable {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Datagram | Self::Opaque(_) => "opaque",
            Self::Gap(_) | Self::LostPackets(_) => "gap",
        }
    }

    pub(super) fn add_meaning(&self, bytes: &[u8], fields: &mut Vec<Field>) {
        let Self::Opaque(reason) = self else { return };
        fields.push(derived("reason", Value::Text(reason.name().to_owned())));
        match reason {
            Reason::Malformed(fault) => add_fault(*fault, fields),
            Reason::NearMiss(near_miss) => add_fault(near_miss.fault(bytes), fields),
            Reason::Cut(Some(total)) => fields.push(derived("total", Value::Unsigned(*total))),
            _ => {}
        }
        let Reason::Fragment(fragment) = reason else { return };
        fields.push(derived("of", Value::Text(fragment.name().to_owned())));
        if let Some((index, begin)) = fragment.block {
            fields.push(derived("index", Value::Unsigned(index.0.into())));
            fields.push(derived("begin", Value::Unsigned(begin.into())));
        }
        fields.push(derived("from", Value::Unsigned(fragment.from)));
        fields.push(derived("total", Value::Unsigned(fragment.total)));
    }

    pub(super) fn describe(&self, bytes: &[u8], length: u64) -> String {
        match self {
            Self::Datagram => {
                let kind = bytes.first().and_then(|&first| utp::kind(first)).map_or("", utp::Kind::name);
                format!("uTP {kind} of {}, not read", counted(length, "byte"))
            }
            Self::Opaque(Reason::NearMiss(near_miss)) => describe_near_miss(*near_miss, bytes),
            Self::Opaque(reason) => describe_opaque(*reason, length),
            Self::Gap(_) => format!("gap: the capture lost {}", counted(length, "byte")),
            Self::LostPackets(packets) => {
                format!("gap: the capture lost {} of unknown size", counted(*packets, "packet"))
            }
        }
    }
}

fn add_fault(fault: DecodeError, fields: &mut Vec<Field>) {
    fields.push(derived("fault_at", Value::Unsigned(fault.offset as u64)));
    fields.push(derived("expected", Value::Text(fault.wanted.to_owned())));
}

fn describe_opaque(reason: Reason, length: u64) -> String {
    let bytes = counted(length, "byte");
    match reason {
        Reason::Fragment(fragment) => describe_fragment(&fragment, length),
        Reason::BeforeBoundary => format!("{bytes} before the first recognised message"),
        Reason::Damaged => format!("{bytes} that are not a message"),
        Reason::Malformed(fault) => {
            format!("{bytes}, malformed: {}", wanted_at(fault.offset, fault.wanted))
        }
        Reason::Cut(Some(total)) => {
            format!("the first {length} of {}, the rest was not captured", counted(total, "byte"))
        }
        Reason::Cut(None) => format!("the first {bytes} of a message, the rest was not captured"),
        Reason::OrdinaryHttp => format!("{bytes} of ordinary HTTP, not of a tracker"),
        Reason::Unfinished => format!("{bytes} of an incomplete message"),
        Reason::NearMiss(_) => format!("{bytes} that are nearly a message"),
        Reason::AfterNearMiss => format!("{bytes} after the error, not read"),
    }
}

fn describe_fragment(fragment: &Fragment, length: u64) -> String {
    let what = match fragment.block {
        Some((index, begin)) => format!("piece {index} at {begin}"),
        None => fragment.name().to_owned(),
    };
    let end = (fragment.from + length).max(1) - 1;
    format!(
        "part of {what}: bytes {} to {} of {}; the rest is lost",
        count(fragment.from),
        count(end),
        count(fragment.total)
    )
}
