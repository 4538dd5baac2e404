//! Records as compact bytes, for a temporary file, and back. A packed record holds the exact bytes of its message and what
//! these do not tell; unpacking reads the message again with the decoders that read it at first.

mod body;
pub(crate) mod bytes;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use ::bytes::Bytes;
use bittrace_protocol::peer::PeerChange;
use bittrace_protocol::{InfoHash, PieceIndex, Timestamp};

use super::{Answer, Frames, Note, PeerEffect, Reason, Record, Side, Transport};
use crate::expert::rules::RULES;
use crate::{Direction, StreamId};
use bytes::{Pack, Unpack};

/// Packs records and unpacks them. A record is unpacked by the packer that packed it: texts of this program are numbered.
///
/// Two things are not packed: the rules that a record broke ([`PeerEffect::faults`]), which its notes say in words, and the
/// torrent that it [describes](Record::describes).
#[derive(Debug, Default)]
pub struct RecordPacker {
    /// What decoders wanted where they found something else.
    wanted: RwLock<Vec<&'static str>>,
    /// The near misses: a few forms of handshakes and messages.
    reasons: RwLock<Vec<Reason>>,
}

impl RecordPacker {
    /// Appends a record to `out`: first what its bytes do not tell, at the end its bytes.
    pub fn pack(&self, record: &Record, out: &mut Vec<u8>) {
        out.number(record.number);
        out.signed(record.at.as_nanos());
        out.number(record.stream.0.into());
        out.push(flags(record));
        pack_end(record.source, out);
        pack_end(record.destination, out);
        out.number(record.frames.len() as u64);
        let mut before = 0;
        for &frame in &record.frames {
            out.signed(frame.wrapping_sub(before) as i64);
            before = frame;
        }
        out.optional(record.wireshark_stream.map(u64::from));
        out.number(record.offset);
        self.pack_notes(&record.notes, out);
        out.optional(record.answers.map(|answer| answer.number));
        if let Some(answer) = record.answers {
            out.extend_from_slice(&answer.latency.to_bits().to_be_bytes());
        }
        pack_effect(&record.effect, out);
        out.optional_text(record.client.as_deref());
        out.push(u8::from(record.torrent.is_some()));
        if let Some(torrent) = record.torrent {
            out.extend_from_slice(&torrent.0);
        }
        body::pack(&record.body, record.source.is_ipv6(), self, out);
        out.extend_from_slice(&record.bytes);
    }

    /// The record that [`pack`](Self::pack) made these bytes of; `None` where they are not whole.
    pub fn unpack(&self, packed: &Bytes) -> Option<Record> {
        let mut from = Unpack::new(packed);
        let number = from.number()?;
        let at = Timestamp::from_nanos(from.signed()?);
        let stream = StreamId(u32::try_from(from.number()?).ok()?);
        let flags = from.byte()?;
        let (source, destination) = (unpack_end(&mut from)?, unpack_end(&mut from)?);
        let mut frames = Frames::new();
        let mut before = 0_u64;
        for _ in 0..from.number()? {
            before = before.wrapping_add(from.signed()? as u64);
            frames.push(before);
        }
        let wireshark_stream = from.optional()?.map(u32::try_from).transpose().ok()?;
        let offset = from.number()?;
        let notes = unpack_notes(&mut from)?;
        let answers = match from.optional()? {
            Some(number) => {
                Some(Answer { number, latency: f64::from_bits(u64::from_be_bytes(from.array()?)) })
            }
            None => None,
        };
        let effect = unpack_effect(&mut from)?;
        let client = from.optional_text()?.map(Arc::from);
        let torrent = match from.byte()? {
            0 => None,
            _ => Some(InfoHash(from.array()?)),
        };
        let unread = body::unpack(&mut from, self)?;
        let bytes = from.rest();
        Some(Record {
            number,
            at,
            stream,
            direction: if flags & FROM_RESPONDER == 0 {
                Direction::FromInitiator
            } else {
                Direction::FromResponder
            },
            side: match (flags & REMOTE, flags & ROLE) {
                (0, 0) => Side::Local,
                (_, 0) => Side::Remote,
                (0, _) => Side::Initiator,
                _ => Side::Responder,
            },
            source,
            destination,
            transport: match (flags & UDP, flags & UTP) {
                (0, 0) => Transport::Tcp,
                (_, 0) => Transport::Udp,
                _ => Transport::Utp,
            },
            frames,
            wireshark_stream,
            offset,
            in_doubt: flags & IN_DOUBT != 0,
            body: unread.read(&bytes)?,
            bytes,
            decrypted: flags & DECRYPTED != 0,
            notes,
            answers,
            effect,
            client,
            torrent,
            describes: None,
        })
    }

    fn pack_notes(&self, notes: &[Note], out: &mut Vec<u8>) {
        out.number(notes.len() as u64);
        for note in notes {
            // Every rule stands in the table, in the order of the ids.
            let rule = RULES.binary_search_by(|rule| rule.id.cmp(note.rule.id)).unwrap_or_default();
            out.number(rule as u64);
            out.text(&note.text);
            out.optional(note.piece.map(|piece| piece.0.into()));
            out.optional(note.cause);
        }
    }

    fn number_of_wanted(&self, text: &'static str) -> u64 {
        number_of(&self.wanted, text)
    }

    fn wanted(&self, number: u64) -> Option<&'static str> {
        at(&self.wanted, number)
    }

    fn number_of_reason(&self, reason: Reason) -> u64 {
        number_of(&self.reasons, reason)
    }

    fn reason(&self, number: u64) -> Option<Reason> {
        at(&self.reasons, number)
    }
}

/// The number of a value in a list, to which it is added if it is new.
fn number_of<T: PartialEq + Copy>(list: &RwLock<Vec<T>>, value: T) -> u64 {
    let mut list = list.write().unwrap_or_else(PoisonError::into_inner);
    let known = list.iter().position(|known| *known == value);
    known.unwrap_or_else(|| {
        list.push(value);
        list.len() - 1
    }) as u64
}

fn at<T: Copy>(list: &RwLock<Vec<T>>, number: u64) -> Option<T> {
    let list = list.read().unwrap_or_else(PoisonError::into_inner);
    list.get(usize::try_from(number).ok()?).copied()
}

const FROM_RESPONDER: u8 = 1;
const REMOTE: u8 = 2;
const UDP: u8 = 4;
const UTP: u8 = 8;
const IN_DOUBT: u8 = 16;
const DECRYPTED: u8 = 32;
const ROLE: u8 = 64;

fn flags(record: &Record) -> u8 {
    let is = |flag: u8, holds: bool| if holds { flag } else { 0 };
    is(FROM_RESPONDER, record.direction == Direction::FromResponder)
        | is(REMOTE, !record.side.is_near())
        | is(ROLE, record.side.is_role())
        | is(UDP, record.transport == Transport::Udp)
        | is(UTP, record.transport == Transport::Utp)
        | is(IN_DOUBT, record.in_doubt)
        | is(DECRYPTED, record.decrypted)
}

/// Appends an end of a connection.
pub(crate) fn pack_end(end: SocketAddr, out: &mut Vec<u8>) {
    match end.ip() {
        IpAddr::V4(ip) => {
            out.push(4);
            out.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(6);
            out.extend_from_slice(&ip.octets());
        }
    }
    out.extend_from_slice(&end.port().to_be_bytes());
}

/// Takes what [`pack_end`] appended.
pub(crate) fn unpack_end(from: &mut Unpack<'_>) -> Option<SocketAddr> {
    let ip = match from.byte()? {
        4 => IpAddr::from(from.array::<4>()?),
        6 => IpAddr::from(from.array::<16>()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(from.array()?)))
}

fn unpack_notes(from: &mut Unpack<'_>) -> Option<Vec<Note>> {
    let mut notes = Vec::new();
    for _ in 0..from.number()? {
        let rule = *RULES.get(usize::try_from(from.number()?).ok()?)?;
        let mut note = rule.note(from.text()?);
        note.piece = from.optional()?.map(u32::try_from).transpose().ok()?.map(PieceIndex);
        note.cause = from.optional()?;
        notes.push(note);
    }
    Some(notes)
}

fn pack_effect(effect: &PeerEffect, out: &mut Vec<u8>) {
    let change = match effect.change {
        None => 0,
        Some(PeerChange::Choke) => 1,
        Some(PeerChange::Unchoke { interested: false }) => 2,
        Some(PeerChange::Unchoke { interested: true }) => 3,
        Some(PeerChange::Interested { choked: false }) => 4,
        Some(PeerChange::Interested { choked: true }) => 5,
        Some(PeerChange::NotInterested) => 6,
    };
    let [choking, also_choking] = effect.choking.map(u8::from);
    let [interested, also_interested] = effect.interested.map(u8::from);
    out.push(change | u8::from(effect.repeated) << 3);
    out.push(choking | also_choking << 1 | interested << 2 | also_interested << 3);
    effect.outstanding.iter().for_each(|&requests| out.number(requests.into()));
}

fn unpack_effect(from: &mut Unpack<'_>) -> Option<PeerEffect> {
    let (change, state) = (from.byte()?, from.byte()?);
    let is = |bit: u8| state >> bit & 1 != 0;
    Some(PeerEffect {
        change: match change & 7 {
            1 => Some(PeerChange::Choke),
            2 => Some(PeerChange::Unchoke { interested: false }),
            3 => Some(PeerChange::Unchoke { interested: true }),
            4 => Some(PeerChange::Interested { choked: false }),
            5 => Some(PeerChange::Interested { choked: true }),
            6 => Some(PeerChange::NotInterested),
            _ => None,
        },
        repeated: change & 8 != 0,
        faults: Vec::new(),
        choking: [is(0), is(1)],
        interested: [is(2), is(3)],
        outstanding: [u32::try_from(from.number()?).ok()?, u32::try_from(from.number()?).ok()?],
    })
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::{Dissected, Trace, TraceOptions};

    fn captures(folder: &Path) -> Vec<PathBuf> {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.to_string_lossy().contains(".pcap")).collect()
    }

    #[test]
    fn a_record_of_any_capture_is_unpacked_as_it_was() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../captures");
        let paths = [captures(&folder), captures(&folder.join("diagnosis"))].concat();
        assert!(paths.len() > 30);
        for path in paths {
            let packer = RecordPacker::default();
            let mut trace = Trace::open(&path, TraceOptions::default()).unwrap();
            while let Some(dissected) = trace.next().unwrap() {
                let Dissected::Record(mut record) = dissected else { continue };
                record.describes = None;
                record.effect.faults.clear();
                let mut packed = Vec::new();
                packer.pack(&record, &mut packed);
                let unpacked = packer.unpack(&Bytes::from(packed));
                let unpacked = unpacked.unwrap_or_else(|| panic!("{}: {record:?}", path.display()));
                let (was, is) = (format!("{record:?}"), format!("{unpacked:?}"));
                assert!(was == is, "{}:\n{was}\n{is}", path.display());
            }
        }
    }

    #[test]
    fn a_record_that_is_cut_within_what_its_bytes_do_not_tell_is_none() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../captures");
        let mut trace = Trace::open(&folder.join("download-aria2.pcap"), TraceOptions::default()).unwrap();
        let packer = RecordPacker::default();
        while let Some(dissected) = trace.next().unwrap() {
            let Dissected::Record(record) = dissected else { continue };
            let mut packed = Vec::new();
            packer.pack(&record, &mut packed);
            let packed = Bytes::from(packed);
            for end in 0..packed.len() - record.bytes.len() {
                // A shorter beginning may be a record, of fewer bytes, but never is this one.
                let cut = packer.unpack(&packed.slice(..end));
                assert!(cut.is_none_or(|cut| cut.bytes.len() < record.bytes.len().max(1)), "{end}");
            }
        }
    }

    #[test]
    fn every_rule_has_its_note_back() {
        let packer = RecordPacker::default();
        let mut out = Vec::new();
        let notes: Vec<Note> = RULES.iter().map(|rule| rule.note(rule.id)).collect();
        packer.pack_notes(&notes, &mut out);
        let out = Bytes::from(out);
        let unpacked = unpack_notes(&mut Unpack::new(&out)).unwrap();
        assert_eq!(unpacked, notes);
    }
}
