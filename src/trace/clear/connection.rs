//! One connection between peers, or to a tracker or web seed: which bytes of it are written, and where a gap stands.

use std::io::{self, Write};

use bittrace_protocol::wire::HANDSHAKE_LENGTH;

use super::spool::StepSpool;
use super::step::Step;
use crate::Direction;
use crate::record::{Body, Fragment, MseBody, Protocol, Reason, Record, Transport, Unreadable, units};

/// What is known of a connection that is open.
#[derive(Debug)]
pub(super) struct ClearConnection {
    transport: Transport,
    is_encrypted: bool,
    has_proxy: bool,
    /// Where the first step stands in the order.
    first: Option<i64>,
    directions: [ClearDirection; 2],
}

/// What is known of one direction.
#[derive(Debug)]
struct ClearDirection {
    /// Where the last step stands in the order.
    last: Option<i64>,
    /// Whether bytes were written.
    is_readable: bool,
    /// Bytes that were left out because they are encrypted.
    encrypted: u64,
    /// How many bytes the message still lacks that a part was written of last; at first, the handshake.
    lacks: u64,
}

/// What becomes of a record.
enum Treatment {
    Written,
    /// A part of a negotiation, before the messages.
    LeftOut,
    /// So many bytes cannot be read.
    Encrypted(u64),
    /// So many bytes were not captured.
    Lost(u64),
    /// So many packets of unknown length were not captured.
    PacketsLost(u64),
}

impl ClearConnection {
    pub(super) fn new(transport: Transport) -> Self {
        Self { transport, is_encrypted: false, has_proxy: false, first: None, directions: Default::default() }
    }

    /// Takes in a record: the step that it becomes goes to `steps`.
    pub(super) fn add<S: Write>(&mut self, record: &Record, steps: &mut StepSpool<S>) -> io::Result<()> {
        let treatment = treatment(record);
        self.is_encrypted |= record.decrypted || record.body.protocol() == Protocol::Mse;
        self.has_proxy |= record.body.protocol() == Protocol::Proxy;
        let side = &mut self.directions[record.direction as usize];
        if let Treatment::Encrypted(length) = treatment {
            side.encrypted += length;
        }
        let in_negotiation = !side.is_readable && record.body.protocol() == Protocol::Mse;
        if in_negotiation || matches!(treatment, Treatment::LeftOut) {
            return Ok(());
        }
        let lacks = std::mem::take(&mut side.lacks);
        let step = match treatment {
            Treatment::LeftOut => return Ok(()),
            Treatment::Written => {
                if !side.is_readable {
                    // What stood before was the negotiation.
                    (side.is_readable, side.encrypted) = (true, 0);
                }
                if let Body::Unreadable(_, Unreadable::Opaque(Reason::Fragment(fragment))) = &record.body {
                    let Fragment { from, total, .. } = *fragment;
                    side.lacks = total.saturating_sub(from.saturating_add(record.bytes.len() as u64));
                }
                let comment = origin(record);
                Step::Message { direction: record.direction, comment, bytes: record.bytes.clone() }
            }
            Treatment::Encrypted(length) => {
                let comment = format!("{} that cannot be decrypted", units::counted(length, "byte"));
                gap(record, length, &comment)
            }
            Treatment::Lost(length) => {
                side.lacks = lacks.saturating_sub(length);
                gap(record, length, &format!("the capture lost {}", units::counted(length, "byte")))
            }
            Treatment::PacketsLost(packets) => {
                // Longer than the rest of a message that has begun: where the next one begins is not known.
                let length = lacks.saturating_add(packets).saturating_add(1);
                let lost = units::counted(packets, "packet");
                gap(record, length, &format!("the capture lost {lost} of uTP: how many bytes is not known"))
            }
        };
        let order = record.at.as_nanos().max(side.last.unwrap_or(i64::MIN));
        side.last = Some(order);
        self.first = Some(self.first.map_or(order, |first| first.min(order)));
        steps.add(record.at, order, record.stream, &step)
    }

    /// Bytes that were left out because they are encrypted.
    pub(super) fn encrypted_bytes(&self) -> u64 {
        self.directions.iter().map(|side| side.encrypted).sum()
    }

    /// Where the first step stands in the order; `None` where nothing is written.
    pub(super) const fn first_order(&self) -> Option<i64> {
        self.first
    }

    /// Where the last step of a direction stands.
    pub(super) const fn last_order(&self, direction: Direction) -> Option<i64> {
        self.directions[direction as usize].last
    }

    /// What it went over in the original and does not here, for a comment: each after a comma.
    pub(super) fn carried_by(&self) -> String {
        let mut text = carried_over(self.transport).to_owned();
        if self.is_encrypted {
            text.push_str(", encrypted");
        }
        if self.has_proxy {
            text.push_str(", through a proxy");
        }
        text
    }
}

impl Default for ClearDirection {
    fn default() -> Self {
        Self { last: None, is_readable: false, encrypted: 0, lacks: HANDSHAKE_LENGTH as u64 }
    }
}

fn gap(record: &Record, length: u64, comment: &str) -> Step {
    Step::Gap { direction: record.direction, length, comment: format!("{comment}; {}", origin(record)) }
}

fn treatment(record: &Record) -> Treatment {
    let length = record.bytes.len() as u64;
    match &record.body {
        Body::Proxy(_) | Body::Mse(MseBody::KeyExchange | MseBody::Negotiation(_)) => Treatment::LeftOut,
        Body::Mse(MseBody::Encrypted) | Body::Unreadable(Protocol::Mse, Unreadable::Opaque(_)) => {
            Treatment::Encrypted(length)
        }
        Body::Unreadable(_, Unreadable::Gap(length)) => Treatment::Lost(*length),
        Body::Unreadable(_, Unreadable::LostPackets(packets)) => Treatment::PacketsLost(*packets),
        _ => Treatment::Written,
    }
}

/// The number of a record and the packets that carried it in the original, for a comment.
pub(super) fn origin(record: &Record) -> String {
    let decrypted = if record.decrypted { ", encrypted" } else { "" };
    let (number, packets) = (units::count(record.number), packets(&record.frames));
    format!("#{number}: {packets} of the original{}{decrypted}", carried_over(record.transport))
}

const fn carried_over(transport: Transport) -> &'static str {
    match transport {
        Transport::Utp => ", uTP",
        Transport::Tcp | Transport::Udp => "",
    }
}

/// `packet 7`, `packets 7, 8, 9`; of many the first, the last and how many.
fn packets(frames: &[u64]) -> String {
    match frames {
        [only] => format!("packet {}", units::count(*only)),
        [first, .., last] if frames.len() > NAMED => {
            let (first, last) = (units::count(*first), units::count(*last));
            format!("{} from {first} to {last}", units::counted(frames.len() as u64, "packet"))
        }
        _ => {
            let numbers: Vec<String> = frames.iter().map(|frame| units::count(*frame)).collect();
            format!("packets {}", numbers.join(", "))
        }
    }
}

/// How many packets are named one by one: those of a block of 16 KiB.
const NAMED: usize = 16;
