//! What one end of a connection says to the other: its messages by kind, and for how long it was interested, and unchoked the
//! other.

use std::time::Duration;

use bittrace_protocol::Timestamp;
use bittrace_protocol::wire::MessageId;

/// What one end has said so far.
#[derive(Debug)]
pub(crate) struct Talk {
    /// Whether its handshake is out.
    begun: bool,
    /// How many bytes of a message are still to come: the content of a block.
    rest: usize,
    /// Since when it is interested in the other end.
    interested: Option<Timestamp>,
    interested_for: Duration,
    /// Since when it lets the other end have blocks.
    unchoking: Option<Timestamp>,
    unchoking_for: Duration,
    /// The time of its unchoking that is counted.
    counted_unchoking: Duration,
    /// Whether its interest is counted.
    interest_counted: bool,
}

impl Talk {
    pub(crate) const fn new() -> Self {
        Self {
            begun: false,
            rest: 0,
            interested: None,
            interested_for: Duration::ZERO,
            unchoking: None,
            unchoking_for: Duration::ZERO,
            counted_unchoking: Duration::ZERO,
            interest_counted: false,
        }
    }

    /// For how long it let the other end have blocks up to now, as far as that was not asked before.
    pub(crate) fn take_unchoking(&mut self, now: Timestamp) -> Duration {
        let all = self.unchoking_for(now);
        all.saturating_sub(std::mem::replace(&mut self.counted_unchoking, all))
    }

    /// For how long it was interested up to then; asked once.
    pub(crate) fn take_interest(&mut self, until: Timestamp) -> Option<Duration> {
        (!std::mem::replace(&mut self.interest_counted, true)).then(|| self.interested_for(until))
    }

    /// Takes the bytes that are sent next, as the session hands them out: whole messages, and the content of blocks by itself.
    /// How many bytes of content are among them.
    pub(crate) fn say(&mut self, now: Timestamp, bytes: &[u8], totals: &mut MessageTotals) -> u64 {
        if self.rest > 0 {
            self.rest = self.rest.saturating_sub(bytes.len());
            totals.content += bytes.len() as u64;
            return bytes.len() as u64;
        }
        let mut rest = bytes;
        if !self.begun && rest.len() >= HANDSHAKE {
            self.begun = true;
            totals.add(HANDSHAKES, HANDSHAKE as u64);
            rest = &rest[HANDSHAKE..];
        }
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some(&id) = after.first().filter(|_| length > 0) else {
                totals.add(KEEP_ALIVES, 4);
                rest = after;
                continue;
            };
            let id = MessageId(id);
            self.note(now, id);
            if id == MessageId::PIECE {
                totals.add(place(id), PIECE_HEAD as u64);
            } else {
                totals.add(place(id), 4 + length as u64);
            }
            match after.get(length..) {
                Some(next) => rest = next,
                None => {
                    self.rest = length - after.len();
                    break;
                }
            }
        }
        0
    }

    fn note(&mut self, now: Timestamp, id: MessageId) {
        match id {
            MessageId::INTERESTED => self.interested = self.interested.or(Some(now)),
            MessageId::NOT_INTERESTED => self.interested_for += take(&mut self.interested, now),
            MessageId::UNCHOKE => self.unchoking = self.unchoking.or(Some(now)),
            MessageId::CHOKE => self.unchoking_for += take(&mut self.unchoking, now),
            _ => {}
        }
    }

    /// For how long it was interested up to now.
    fn interested_for(&self, now: Timestamp) -> Duration {
        self.interested_for + self.interested.map_or(Duration::ZERO, |since| now - since)
    }

    /// For how long it let the other end have blocks up to now.
    fn unchoking_for(&self, now: Timestamp) -> Duration {
        self.unchoking_for + self.unchoking.map_or(Duration::ZERO, |since| now - since)
    }
}

fn take(since: &mut Option<Timestamp>, now: Timestamp) -> Duration {
    since.take().map_or(Duration::ZERO, |since| now - since)
}

/// How many messages were sent between peers, and how many bytes, by kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageTotals {
    /// Messages and bytes by id, the content of blocks left out; handshakes and keep-alives after them.
    kinds: [(u64, u64); KINDS],
    /// Bytes of the content of blocks.
    pub content: u64,
}

impl Default for MessageTotals {
    fn default() -> Self {
        Self { kinds: [(0, 0); KINDS], content: 0 }
    }
}

impl MessageTotals {
    /// Counts a handshake of so many bytes.
    pub fn add_handshake(&mut self, bytes: u64) {
        self.add(HANDSHAKES, bytes);
    }

    /// Counts a message of so many bytes, `content` of them the content of a block; without an id it is a keep-alive.
    pub fn add_message(&mut self, id: Option<MessageId>, bytes: u64, content: u64) {
        self.add(id.map_or(KEEP_ALIVES, place), bytes.saturating_sub(content));
        self.content += content;
    }

    fn add(&mut self, kind: usize, bytes: u64) {
        let total = &mut self.kinds[kind];
        total.0 += 1;
        total.1 += bytes;
    }

    /// The name, the number and the bytes of each kind that was sent, the content of blocks left out.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let name = |kind: usize| match kind {
            HANDSHAKES => "handshake",
            KEEP_ALIVES => "keep-alive",
            id => MessageId(id as u8).name(),
        };
        let kinds = self.kinds.iter().enumerate().filter(|(_, (count, _))| *count > 0);
        kinds.map(move |(kind, &(count, bytes))| (name(kind), count, bytes))
    }

    /// Bytes that are not content of blocks.
    pub fn overhead(&self) -> u64 {
        self.kinds.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// Where messages of an id are counted.
const fn place(id: MessageId) -> usize {
    if id.is_allocated() { id.0 as usize } else { OTHER }
}

/// Where handshakes, keep-alives and messages of other ids are counted, after the ids that are allocated.
const HANDSHAKES: usize = 32;
const KEEP_ALIVES: usize = 33;
const OTHER: usize = 34;
const KINDS: usize = 35;

/// The bytes of a handshake, and of a piece message before its content (BEP 3).
const HANDSHAKE: usize = 68;
const PIECE_HEAD: usize = 13;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_kind_and_content_by_itself() {
        let at = |seconds| Timestamp::from_secs_nanos(seconds, 0);
        let (mut talk, mut totals) = (Talk::new(), MessageTotals::default());
        let mut opening = vec![0x13; 68];
        opening.extend_from_slice(b"\0\0\0\x01\x0e\0\0\0\x01\x02\0\0\0\0");
        talk.say(at(1), &opening, &mut totals);
        talk.say(at(2), b"\0\0\0\x01\x01\0\0\0\x0e\x07\0\0\0\x05\0\0\0\0", &mut totals);
        talk.say(at(2), b"abcde", &mut totals);
        talk.say(at(5), b"\0\0\0\x01\0\0\0\0\x01\x03", &mut totals);
        assert_eq!(
            totals.kinds().collect::<Vec<_>>(),
            [
                ("choke", 1, 5),
                ("unchoke", 1, 5),
                ("interested", 1, 5),
                ("not-interested", 1, 5),
                ("piece", 1, 13),
                ("have-all", 1, 5),
                ("handshake", 1, 68),
                ("keep-alive", 1, 4),
            ]
        );
        assert_eq!((totals.content, totals.overhead()), (5, 110));
        assert_eq!((talk.interested_for(at(9)).as_secs(), talk.unchoking_for(at(9)).as_secs()), (4, 3));
        // What was counted is not counted again.
        assert_eq!(talk.take_unchoking(at(9)).as_secs(), 3);
        assert_eq!(talk.take_unchoking(at(10)), Duration::ZERO);
        assert_eq!(talk.take_interest(at(9)).map(|time| time.as_secs()), Some(4));
        assert_eq!(talk.take_interest(at(10)), None);
    }
}
