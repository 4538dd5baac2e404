//! How a client tells of pieces that are new.

use bittrace_protocol::PieceIndex;
use bittrace_protocol::session::{HaveStep, LastMessage};
use bittrace_protocol::wire::Message;

/// How new pieces were announced to peers.
#[derive(Default)]
pub(super) struct HaveTimes {
    /// Whether one packet announced several.
    pub(super) at_once: bool,
    /// How often they stood before requests in one packet, and after them.
    pub(super) first: u32,
    pub(super) behind: u32,
    /// What the last packet so far told: its number, whether it asked, whether it told.
    packet: Option<(u64, bool, bool)>,
    last_given: Option<PieceIndex>,
    /// How many blocks had come, and how many pieces were told in all, at each moment.
    pub(super) tells: Vec<HaveStep>,
    given_in_all: u32,
    told_in_all: u32,
    /// The messages since the last block.
    since: Vec<Message>,
    /// The packet that first announced a piece.
    pub(super) shown: Option<u64>,
    /// The packet with the last block.
    pub(super) last_block: Option<u64>,
}

impl HaveTimes {
    /// Takes in a block that came in packet `frame`.
    pub(super) fn given(&mut self, frame: Option<u64>, piece: PieceIndex) {
        self.last_given = Some(piece);
        self.last_block = frame;
        self.given_in_all += 1;
        self.since.clear();
    }

    /// Takes in a message of the client, which began in packet `frame`.
    pub(super) fn say(&mut self, frame: u64, message: &Message) {
        self.since.push(message.clone());
        let (asked, told) = match self.packet {
            Some((at, asked, told)) if at == frame => (asked, told),
            _ => (false, false),
        };
        let asks = matches!(message, Message::Request(_));
        let tells = tells_pieces(message);
        self.at_once |= matches!(message, Message::Bitfield(_) | Message::HaveAll);
        self.told_in_all = match message {
            Message::Have(_) => self.told_in_all + 1,
            Message::Bitfield(bits) => {
                bits.iter().map(|byte| byte.count_ones()).sum::<u32>().max(self.told_in_all)
            }
            _ => self.told_in_all,
        };
        if matches!(message, Message::Have(_) | Message::Bitfield(_)) {
            match self.tells.last_mut().filter(|tell| tell.blocks_received == self.given_in_all) {
                Some(tell) => tell.haves_sent = self.told_in_all,
                None => self
                    .tells
                    .push(HaveStep { blocks_received: self.given_in_all, haves_sent: self.told_in_all }),
            }
        }
        self.first += u32::from(asks && told && !asked);
        self.behind += u32::from(tells && asked && !told);
        if tells {
            self.shown = self.shown.or(Some(frame));
        }
        self.packet = Some((frame, asked || asks, told || tells));
    }

    /// The messages after the last block of a download; `None` where there are none.
    pub(super) fn parting(&self) -> Option<Vec<LastMessage>> {
        let last = self.last_given?;
        let mut parting = Vec::new();
        for message in &self.since {
            let said = match message {
                Message::NotInterested => LastMessage::NotInterested,
                Message::HaveAll | Message::Bitfield(_) => LastMessage::Haves,
                Message::Have(piece) if *piece == last => LastMessage::Haves,
                _ => continue,
            };
            if !parting.contains(&said) {
                parting.push(said);
            }
        }
        Some(parting)
    }
}

/// Whether a message says which pieces its sender has.
pub(super) fn tells_pieces(message: &Message) -> bool {
    matches!(message, Message::Have(_) | Message::Bitfield(_) | Message::HaveAll | Message::HaveNone)
}
