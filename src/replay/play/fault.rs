//! What a far end does on purpose to see what a client does then.

use std::str::FromStr;
use std::time::Duration;

use bittrace_protocol::wire::{Message, MessageId};
use bytes::{Bytes, BytesMut};

/// A disturbance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedFault {
    /// Every byte by itself.
    SplitBytes,
    /// Each message cut so that one read ends a byte before its end and the next a byte after it.
    SplitBoundaries,
    /// Every message so much later.
    Delay(Duration),
    /// Blocks in the opposite order.
    Reorder,
    /// The connection ends after the message of this number, from 1.
    Drop(u32),
    /// The block of this number, from 1, has one byte changed.
    Corrupt(u32),
    /// The block of this number, from 1, is sent twice.
    Duplicate(u32),
    /// After the first messages, a message of this id with four bytes, which nobody has allocated.
    Unknown(u8),
    /// After the message of this number, from 1, a length prefix of 2 GiB.
    Overlong(u32),
    /// The response of this number, from 1, of the trackers over UDP is lost.
    Lose(u32),
}

/// What is done to the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// These bytes, by themselves.
    Write(Bytes),
    /// Nothing for so long.
    Pause(Duration),
    /// The connection ends.
    Close,
}

/// A disturbance on its way through a connection.
#[derive(Debug, Clone)]
pub(crate) struct FaultInjector {
    what: InjectedFault,
    messages: u32,
    blocks: u32,
    done: bool,
}

impl InjectedFault {
    /// One of each kind, with its usual number.
    pub const ALL: [Self; 10] = [
        Self::SplitBytes,
        Self::SplitBoundaries,
        Self::Delay(USUAL_DELAY),
        Self::Reorder,
        Self::Drop(5),
        Self::Corrupt(1),
        Self::Duplicate(1),
        Self::Unknown(200),
        Self::Overlong(5),
        Self::Lose(1),
    ];

    /// How it is asked for.
    pub fn name(self) -> String {
        match self {
            Self::SplitBytes => "split=bytes".to_owned(),
            Self::SplitBoundaries => "split=boundaries".to_owned(),
            Self::Delay(by) => format!("delay={}", by.as_millis()),
            Self::Reorder => "reorder".to_owned(),
            Self::Drop(after) => format!("drop={after}"),
            Self::Corrupt(block) => format!("corrupt={block}"),
            Self::Duplicate(block) => format!("duplicate={block}"),
            Self::Unknown(id) => format!("unknown={id}"),
            Self::Overlong(after) => format!("overlong={after}"),
            Self::Lose(response) => format!("lose={response}"),
        }
    }

    /// What it does, in words that go on from "the far end ...".
    pub fn describe(self) -> String {
        match self {
            Self::SplitBytes => "sends every byte by itself".to_owned(),
            Self::SplitBoundaries => {
                "cuts its stream one byte before and one byte after the end of each message".to_owned()
            }
            Self::Delay(by) => format!("sends every message {} ms late", by.as_millis()),
            Self::Reorder => "sends blocks in the opposite order".to_owned(),
            Self::Drop(after) => format!("closes the connection after its message {after}"),
            Self::Corrupt(block) => format!("changes one byte of its block {block}"),
            Self::Duplicate(block) => format!("sends its block {block} twice"),
            Self::Unknown(id) => format!("sends a message with the unknown id {id}"),
            Self::Overlong(after) => format!("sends a length prefix of 2 GiB after its message {after}"),
            Self::Lose(response) => format!("loses its response {response} over UDP (a tracker)"),
        }
    }

    /// Whether trackers do it, and not peers.
    pub const fn is_of_tracker(self) -> bool {
        matches!(self, Self::Lose(_))
    }

    /// Whether it happens once, so that another connection is undisturbed.
    pub const fn is_single(self) -> bool {
        !matches!(self, Self::SplitBytes | Self::SplitBoundaries | Self::Delay(_) | Self::Reorder)
    }
}

impl FromStr for InjectedFault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let number = |usual: u32| match value {
            None => Ok(usual),
            Some(value) => match value.parse() {
                Ok(0) | Err(_) => Err(format!("{value:?} is not a number from 1 on")),
                Ok(number) => Ok(number),
            },
        };
        Ok(match (name, value) {
            ("split", None | Some("bytes")) => Self::SplitBytes,
            ("split", Some("boundaries")) => Self::SplitBoundaries,
            ("delay", _) => {
                let digits = value.map(|value| value.strip_suffix("ms").unwrap_or(value));
                match digits.map(str::parse) {
                    None => Self::Delay(USUAL_DELAY),
                    Some(Ok(by)) => Self::Delay(Duration::from_millis(by)),
                    Some(Err(_)) => return Err("delay is in milliseconds, such as delay=50ms".to_owned()),
                }
            }
            ("reorder", None) => Self::Reorder,
            ("drop", _) => Self::Drop(number(5)?),
            ("corrupt", _) => Self::Corrupt(number(1)?),
            ("duplicate", _) => Self::Duplicate(number(1)?),
            ("unknown", _) => {
                let id = u8::try_from(number(200)?).map_err(|_| "an id is at most 255")?;
                if MessageId(id).name() != "unknown" {
                    return Err(format!("{id} is the id of {}", MessageId(id).name()));
                }
                Self::Unknown(id)
            }
            ("overlong", _) => Self::Overlong(number(5)?),
            ("lose", _) => Self::Lose(number(1)?),
            _ => return Err(format!("unknown disturbance {text:?}; there are {NAMES}")),
        })
    }
}

/// What `--disturb` names: one disturbance, or one of each kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedDisturbances(pub Vec<InjectedFault>);

impl FromStr for NamedDisturbances {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(if text == "all" { InjectedFault::ALL.to_vec() } else { vec![text.parse()?] }))
    }
}

const USUAL_DELAY: Duration = Duration::from_millis(100);

/// The disturbances as they are written.
pub const NAMES: &str = "all, split=bytes, split=boundaries, delay=MS, reorder, drop=MESSAGE, corrupt=BLOCK, \
                         duplicate=BLOCK, unknown=ID, overlong=MESSAGE, lose=RESPONSE";

impl FaultInjector {
    /// A disturbance of a connection on which nothing was sent yet.
    pub(crate) const fn new(what: InjectedFault) -> Self {
        Self { what, messages: 0, blocks: 0, done: false }
    }

    /// Whether it has happened, where it happens once.
    pub(crate) const fn is_done(&self) -> bool {
        self.done
    }

    /// How these messages, each whole, are put on the wire.
    pub(crate) fn put(&mut self, mut messages: Vec<Bytes>) -> Vec<Act> {
        if self.what == InjectedFault::Reorder {
            reverse_blocks(&mut messages);
        }
        let mut acts = Vec::new();
        for message in messages {
            let is_block = message.get(4) == Some(&MessageId::PIECE.0) && message.first() != Some(&19);
            self.messages += 1;
            self.blocks += u32::from(is_block);
            let here = is_block && !self.done;
            match self.what {
                InjectedFault::SplitBytes => {
                    acts.extend((0..message.len()).map(|at| Act::Write(message.slice(at..=at))));
                }
                InjectedFault::Delay(by) => acts.extend([Act::Pause(by), Act::Write(message)]),
                InjectedFault::Corrupt(block) if here && self.blocks == block => {
                    let mut bytes = BytesMut::from(&message[..]);
                    if let Some(last) = bytes.last_mut() {
                        *last ^= 0xff;
                    }
                    self.done = true;
                    acts.push(Act::Write(bytes.freeze()));
                }
                InjectedFault::Duplicate(block) if here && self.blocks == block => {
                    self.done = true;
                    acts.extend([Act::Write(message.clone()), Act::Write(message)]);
                }
                InjectedFault::Unknown(id) if !self.done && self.messages == 2 => {
                    self.done = true;
                    let mut unknown = Vec::new();
                    Message::Unknown { id: MessageId(id), payload: Bytes::from_static(b"what") }
                        .encode(&mut unknown);
                    acts.extend([Act::Write(message), Act::Write(unknown.into())]);
                }
                InjectedFault::Overlong(after) if !self.done && self.messages == after => {
                    self.done = true;
                    acts.extend([
                        Act::Write(message),
                        Act::Write(Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 7])),
                    ]);
                    return acts;
                }
                InjectedFault::Drop(after) if !self.done && self.messages == after => {
                    self.done = true;
                    acts.extend([Act::Write(message), Act::Close]);
                    return acts;
                }
                _ => acts.push(Act::Write(message)),
            }
        }
        match self.what {
            InjectedFault::SplitBoundaries => around_boundaries(&acts),
            _ => acts,
        }
    }
}

/// Blocks change places among themselves; other messages stay where they are.
fn reverse_blocks(messages: &mut [Bytes]) {
    let is_block =
        |message: &Bytes| message.get(4) == Some(&MessageId::PIECE.0) && message.first() != Some(&19);
    let places: Vec<usize> = (0..messages.len()).filter(|&at| is_block(&messages[at])).collect();
    for (one, other) in places.iter().zip(places.iter().rev()).take(places.len() / 2) {
        messages.swap(*one, *other);
    }
}

/// The same bytes, cut one byte before and one byte after each end of a message.
fn around_boundaries(acts: &[Act]) -> Vec<Act> {
    let messages: Vec<&Bytes> =
        acts.iter().filter_map(|act| if let Act::Write(bytes) = act { Some(bytes) } else { None }).collect();
    let all: Bytes = messages.iter().flat_map(|bytes| bytes.iter().copied()).collect::<Vec<u8>>().into();
    let (mut cuts, mut end) = (vec![0], 0);
    for message in messages {
        end += message.len();
        cuts.extend([end.saturating_sub(1), end + 1]);
    }
    cuts.push(all.len());
    let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(all.len())).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|pair| Act::Write(all.slice(pair[0]..pair[1]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HAVE: &[u8] = &[0, 0, 0, 5, 4, 0, 0, 0, 1];
    const BLOCK_A: &[u8] = &[0, 0, 0, 10, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0xaa];
    const BLOCK_B: &[u8] = &[0, 0, 0, 10, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0xbb];

    fn put(what: &str, messages: &[&'static [u8]]) -> Vec<Act> {
        let messages = messages.iter().map(|message| Bytes::from_static(message)).collect();
        FaultInjector::new(what.parse().unwrap()).put(messages)
    }

    fn bytes(acts: &[Act]) -> Vec<u8> {
        let written =
            acts.iter().filter_map(|act| if let Act::Write(bytes) = act { Some(bytes) } else { None });
        written.flat_map(|bytes| bytes.to_vec()).collect()
    }

    #[test]
    fn splitting_changes_no_byte() {
        let whole = [HAVE, BLOCK_A, BLOCK_B].concat();
        let single = put("split", &[HAVE, BLOCK_A, BLOCK_B]);
        assert_eq!((single.len(), bytes(&single)), (whole.len(), whole.clone()));
        let around = put("split=boundaries", &[HAVE, BLOCK_A, BLOCK_B]);
        assert_eq!(bytes(&around), whole);
        let ends: Vec<usize> = around
            .iter()
            .scan(0, |end, act| {
                *end += bytes(std::slice::from_ref(act)).len();
                Some(*end)
            })
            .collect();
        assert_eq!(ends, [8, 10, 22, 24, 36, 37]);
    }

    #[test]
    fn blocks_change_places_and_the_rest_does_not() {
        assert_eq!(bytes(&put("reorder", &[BLOCK_A, HAVE, BLOCK_B])), [BLOCK_B, HAVE, BLOCK_A].concat());
    }

    #[test]
    fn single_disturbances_happen_at_their_place_and_once() {
        let corrupt = bytes(&put("corrupt=2", &[BLOCK_A, HAVE, BLOCK_B]));
        assert_eq!(corrupt[..corrupt.len() - 1], [BLOCK_A, HAVE, BLOCK_B].concat()[..corrupt.len() - 1]);
        assert_eq!(corrupt.last(), Some(&0x44));
        assert_eq!(bytes(&put("duplicate", &[HAVE, BLOCK_A])), [HAVE, BLOCK_A, BLOCK_A].concat());
        assert_eq!(put("drop=1", &[HAVE, BLOCK_A]), [Act::Write(Bytes::from_static(HAVE)), Act::Close]);
        assert_eq!(
            bytes(&put("unknown=99", &[HAVE, BLOCK_A]))[HAVE.len() + BLOCK_A.len()..],
            *b"\0\0\0\x05cwhat"
        );
        assert_eq!(bytes(&put("overlong=1", &[HAVE]))[HAVE.len()..], [0x7f, 0xff, 0xff, 0xff, 7]);
    }

    #[test]
    fn every_disturbance_is_asked_for_by_its_name_and_all_by_one() {
        for what in InjectedFault::ALL {
            assert_eq!(what.name().parse(), Ok(what));
        }
        assert_eq!("all".parse(), Ok(NamedDisturbances(InjectedFault::ALL.to_vec())));
        assert_eq!("drop=7".parse(), Ok(NamedDisturbances(vec![InjectedFault::Drop(7)])));
        let named = |what: &InjectedFault| NAMES.contains(what.name().split('=').next().unwrap());
        assert!(InjectedFault::ALL.iter().all(named));
    }

    #[test]
    fn what_cannot_be_read_is_explained() {
        for (text, wanted) in [
            ("dance", "unknown disturbance \"dance\"; there are all, split=bytes"),
            ("drop=0", "not a number from 1"),
            ("unknown=7", "7 is the id of piece"),
            ("delay=soon", "milliseconds"),
        ] {
            let error = text.parse::<InjectedFault>().unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
