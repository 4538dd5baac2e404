//! Hosts that are no clients: they call others to take their places, or to make them work. A stranger has no session, and knows
//! who is there.

use std::time::Duration;

use bittrace_protocol::PeerId;
use bittrace_protocol::session::{Endpoint, SessionStreamId};
use bittrace_protocol::wire::{Handshake, Message};
use bytes::Bytes;

use super::host::{Presence, TRACKER};
use super::{What, World};
use crate::LabError;
use crate::network::HostId;
use crate::scenario::{Behaviour, Role};

/// What a stranger wants of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pestering {
    /// As many connections to seeds as it may have, each under a name of its own.
    Sybil,
    /// A connection to each host, anew again and again: by turns it says that it has the even pieces, and the odd ones.
    BitfieldFlipper,
    /// A connection to each host, on which it chokes and unchokes by turns, and gives nothing.
    ChokeFlipper,
}

impl Pestering {
    /// What a behaviour of a scenario is, where it is that of a stranger.
    pub(super) const fn of(behaviour: &Behaviour) -> Option<Self> {
        match behaviour {
            Behaviour::Sybil => Some(Self::Sybil),
            Behaviour::BitfieldFlipper => Some(Self::BitfieldFlipper),
            Behaviour::ChokeFlipper => Some(Self::ChokeFlipper),
            _ => None,
        }
    }

    /// How long it waits until it acts again.
    const fn pause(self) -> Duration {
        match self {
            Self::Sybil => Duration::from_secs(1),
            Self::BitfieldFlipper => Duration::from_millis(500),
            Self::ChokeFlipper => Duration::from_millis(50),
        }
    }
}

impl World<'_> {
    /// A stranger comes.
    pub(super) fn begin_to_pester(&mut self, number: HostId) -> Result<(), LabError> {
        let host = &mut self.hosts[number as usize];
        host.presence = Presence::There;
        host.arrives_at = self.now;
        self.pester(number)
    }

    /// A stranger acts, and will again.
    pub(super) fn pester(&mut self, number: HostId) -> Result<(), LabError> {
        let host = &self.hosts[number as usize];
        let Some(kind) = host.pestering.filter(|_| host.presence == Presence::There) else { return Ok(()) };
        let mut streams: Vec<SessionStreamId> = host.ends.keys().copied().collect();
        streams.sort_unstable();
        match kind {
            Pestering::Sybil => {}
            Pestering::BitfieldFlipper => {
                for stream in streams {
                    self.close(number, stream)?;
                }
            }
            Pestering::ChokeFlipper => {
                let host = &mut self.hosts[number as usize];
                host.turns += 1;
                let message = if host.turns.is_multiple_of(2) { Message::Choke } else { Message::Unchoke };
                streams
                    .into_iter()
                    .for_each(|stream| self.enqueue(number, stream, encoded(std::slice::from_ref(&message))));
            }
        }
        self.call_others(number, kind)?;
        self.cause(self.now + kind.pause(), What::Pester(number));
        self.send_fresh(number)
    }

    /// Opens the connections that a stranger wants and does not have.
    fn call_others(&mut self, number: HostId, kind: Pestering) -> Result<(), LabError> {
        let most = self.hosts[number as usize].connections();
        let victims: Vec<HostId> = (TRACKER + 1..self.hosts.len() as HostId)
            .filter(|&other| {
                let host = &self.hosts[other as usize];
                host.pestering.is_none()
                    && host.presence == Presence::There
                    && (kind != Pestering::Sybil || host.role == Role::Seed)
            })
            .collect();
        let mut called: Vec<HostId> = self.hosts[number as usize]
            .ends
            .values()
            .filter_map(|id| Some(self.connections.end(id.other())?.host))
            .collect();
        called.sort_unstable();
        for place in 0..most {
            let host = &self.hosts[number as usize];
            if victims.is_empty() || host.ends.len() >= most {
                break;
            }
            let victim = victims[place % victims.len()];
            if kind != Pestering::Sybil && (place >= victims.len() || called.binary_search(&victim).is_ok()) {
                continue;
            }
            let address = self.hosts[victim as usize].address;
            let stream = SessionStreamId(host.called * 2);
            self.hosts[number as usize].called += 1;
            self.open(number, stream, Endpoint::Peer(address))?;
        }
        Ok(())
    }

    /// A connection that a stranger opened is open: it says who it is, and what it claims to have.
    pub(super) fn greet(&mut self, number: HostId, stream: SessionStreamId) -> Result<(), LabError> {
        let host = &mut self.hosts[number as usize];
        let Some(kind) = host.pestering else { return Ok(()) };
        host.turns += 1;
        let mut peer_id = *b"-XX0000-000000000000";
        // Two of them have no name in common: a client keeps one connection with a name.
        let name = format!("{:04}{:08}", number % 10_000, host.turns % 100_000_000);
        peer_id[8..].copy_from_slice(name.as_bytes());
        let metainfo = &self.content.metainfo;
        let handshake =
            Handshake { reserved: [0; 8], info_hash: metainfo.info_hash, peer_id: PeerId(peer_id) };
        let pieces = metainfo.piece_count();
        let claims = match kind {
            Pestering::Sybil => vec![Message::Interested],
            Pestering::BitfieldFlipper => {
                let pattern = if host.turns.is_multiple_of(2) { 0xaa } else { 0x55 };
                vec![Message::Bitfield(bitfield(pieces, pattern)), Message::Unchoke]
            }
            Pestering::ChokeFlipper => vec![Message::Bitfield(bitfield(pieces, 0xff))],
        };
        self.enqueue(number, stream, Bytes::copy_from_slice(&handshake.encode()));
        self.enqueue(number, stream, encoded(&claims));
        self.send_fresh(number)
    }
}

fn encoded(messages: &[Message]) -> Bytes {
    let mut bytes = Vec::new();
    messages.iter().for_each(|message| message.encode(&mut bytes));
    Bytes::from(bytes)
}

/// A bitfield of so many pieces in which each byte is the pattern, without bits after the last piece.
fn bitfield(pieces: usize, pattern: u8) -> Bytes {
    let mut bits = vec![pattern; pieces.div_ceil(8)];
    if let (Some(last), rest @ 1..) = (bits.last_mut(), pieces % 8) {
        *last &= 0xff << (8 - rest);
    }
    Bytes::from(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bitfield_ends_with_the_last_piece() {
        assert_eq!(&bitfield(8, 0x55)[..], [0x55]);
        assert_eq!(&bitfield(11, 0xff)[..], [0xff, 0xe0]);
    }
}
