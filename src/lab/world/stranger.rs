//! Hosts that are no clients: they call others to take their places or to make them work, name hosts that have nothing to do with
//! the swarm, or are nodes of the DHT. A stranger has no session, and knows who is there.

use std::net::SocketAddr;
use std::time::Duration;

use bittrace_protocol::PeerId;
use bittrace_protocol::dht::{DhtInput, Kind, Message, Method, Node, NodeId, Query, Response};
use bittrace_protocol::peer::limits::MAX_PEX_PEERS;
use bittrace_protocol::session::{Endpoint, SessionStreamId};
use bittrace_protocol::utp::Fragment;
use bittrace_protocol::wire::{self, Content, ExtendedHandshake, Extension, Handshake, Pex, PexPeer};
use bytes::Bytes;

use super::host::{Presence, TRACKER};
use super::{What, World};
use crate::LabError;
use crate::network::HostId;
use crate::scenario::{Behaviour, Role};

/// What a host is that is no client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stranger {
    /// As many connections to seeds as it may have, each under a name of its own.
    Sybil,
    /// A connection to each host, anew again and again: by turns it says that it has the even pieces, and the odd ones.
    BitfieldFlipper,
    /// A connection to each host, on which it chokes and unchokes by turns, and gives nothing.
    ChokeFlipper,
    /// A connection to each host, on which it names others as peers again and again.
    PexPoisoner,
    /// It makes itself known to all nodes of the DHT, and names others as nodes and as peers to all that ask.
    DhtPoisoner,
    /// An honest node of the DHT.
    DhtNode,
}

impl Stranger {
    /// What a behaviour of a scenario is, where it is that of a stranger.
    pub(super) const fn of(behaviour: &Behaviour) -> Option<Self> {
        match behaviour {
            Behaviour::Sybil => Some(Self::Sybil),
            Behaviour::BitfieldFlipper => Some(Self::BitfieldFlipper),
            Behaviour::ChokeFlipper => Some(Self::ChokeFlipper),
            Behaviour::PexPoisoner => Some(Self::PexPoisoner),
            Behaviour::DhtPoisoner => Some(Self::DhtPoisoner),
            Behaviour::DhtNode => Some(Self::DhtNode),
            Behaviour::Ours
            | Behaviour::Like(_)
            | Behaviour::FreeRider
            | Behaviour::Liar
            | Behaviour::Slow => None,
        }
    }

    /// Whether it takes part in the DHT.
    pub(super) const fn is_dht_node(self) -> bool {
        matches!(self, Self::DhtNode | Self::DhtPoisoner)
    }

    /// How long it waits until it acts again.
    const fn pause(self) -> Duration {
        match self {
            Self::Sybil => Duration::from_secs(1),
            Self::BitfieldFlipper => Duration::from_millis(500),
            Self::ChokeFlipper => Duration::from_millis(50),
            Self::PexPoisoner | Self::DhtPoisoner | Self::DhtNode => Duration::from_secs(10),
        }
    }
}

impl World<'_> {
    /// A stranger comes.
    pub(super) fn begin_stranger(&mut self, number: HostId, stranger: Stranger) -> Result<(), LabError> {
        let host = &mut self.hosts[number as usize];
        if stranger == Stranger::DhtNode {
            host.begin_dht(self.now);
            return self.tell_dht(number, DhtInput::Tick);
        }
        host.presence = Presence::There;
        host.arrives_at = self.now;
        self.pester(number)
    }

    /// A stranger acts, and will again.
    pub(super) fn pester(&mut self, number: HostId) -> Result<(), LabError> {
        let host = &self.hosts[number as usize];
        let Some(kind) = host.stranger.filter(|_| host.presence == Presence::There) else { return Ok(()) };
        let mut streams: Vec<SessionStreamId> = host.ends.keys().copied().collect();
        streams.sort_unstable();
        match kind {
            Stranger::Sybil => {}
            Stranger::DhtNode => return Ok(()),
            Stranger::DhtPoisoner => {
                self.become_known(number)?;
                self.cause(self.now + kind.pause(), What::Pester(number));
                return Ok(());
            }
            Stranger::PexPoisoner => {
                let named = self.poisoned_peers(number);
                streams.into_iter().for_each(|stream| self.enqueue(number, stream, named.clone()));
            }
            Stranger::BitfieldFlipper => {
                for stream in streams {
                    self.close(number, stream)?;
                }
            }
            Stranger::ChokeFlipper => {
                let host = &mut self.hosts[number as usize];
                host.turns += 1;
                let message =
                    if host.turns.is_multiple_of(2) { wire::Message::Choke } else { wire::Message::Unchoke };
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
    fn call_others(&mut self, number: HostId, kind: Stranger) -> Result<(), LabError> {
        let most = self.hosts[number as usize].connections();
        let victims: Vec<HostId> = (TRACKER + 1..self.hosts.len() as HostId)
            .filter(|&other| {
                let host = &self.hosts[other as usize];
                host.stranger.is_none()
                    && host.presence == Presence::There
                    && (kind != Stranger::Sybil || host.role == Role::Seed)
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
            if kind != Stranger::Sybil && (place >= victims.len() || called.binary_search(&victim).is_ok()) {
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
        let Some(kind) = host.stranger else { return Ok(()) };
        host.turns += 1;
        let mut peer_id = *b"-XX0000-000000000000";
        // Two of them have no name in common: a client keeps one connection with a name.
        let name = format!("{:04}{:08}", number % 10_000, host.turns % 100_000_000);
        peer_id[8..].copy_from_slice(name.as_bytes());
        let metainfo = &self.content.metainfo;
        // Peer exchange is an extension (BEP 10).
        let reserved = if kind == Stranger::PexPoisoner { [0, 0, 0, 0, 0, 0x10, 0, 0] } else { [0; 8] };
        let handshake = Handshake { reserved, info_hash: metainfo.info_hash, peer_id: PeerId(peer_id) };
        let pieces = self.content.piece_count() as usize;
        let claims = match kind {
            Stranger::Sybil => vec![wire::Message::Interested],
            Stranger::BitfieldFlipper => {
                let pattern = if host.turns.is_multiple_of(2) { 0xaa } else { 0x55 };
                vec![wire::Message::Bitfield(bitfield(pieces, pattern)), wire::Message::Unchoke]
            }
            Stranger::ChokeFlipper => vec![wire::Message::Bitfield(bitfield(pieces, 0xff))],
            Stranger::PexPoisoner => {
                let extensions = vec![(Extension::Pex.name().to_owned(), PEX)];
                let handshake = ExtendedHandshake { extensions, ..ExtendedHandshake::default() };
                vec![extended(0, Content::Handshake(handshake))]
            }
            Stranger::DhtPoisoner | Stranger::DhtNode => Vec::new(),
        };
        self.enqueue(number, stream, Bytes::copy_from_slice(&handshake.encode()));
        self.enqueue(number, stream, encoded(&claims));
        if kind == Stranger::PexPoisoner {
            let named = self.poisoned_peers(number);
            self.enqueue(number, stream, named);
        }
        self.send_fresh(number)
    }

    /// A message that names hosts as peers at many ports, as many as a message may (BEP 11).
    fn poisoned_peers(&self, number: HostId) -> Bytes {
        let named = poison(&self.hosts[number as usize].poison, MAX_PEX_PEERS);
        let added = named.map(|address| PexPeer { address, flags: PexPeer::SEED | PexPeer::REACHABLE });
        let pex = Pex { added: added.collect(), ..Pex::default() };
        encoded(&[extended(PEX, Content::Pex(pex))])
    }

    /// A poisoner of the DHT asks every host that is there for others, so that those that have a node know it.
    fn become_known(&mut self, number: HostId) -> Result<(), LabError> {
        let id = self.poisoner_id(number);
        let query = Query { target: Some(id.0), ..Query::new(Method::FindNode, id) };
        let bytes = Bytes::from(Message::new(b"hi", Kind::Query(query)).encode());
        let others = (TRACKER + 1..self.hosts.len() as HostId).filter(|&other| other != number);
        for other in others.collect::<Vec<_>>() {
            let host = &self.hosts[other as usize];
            if host.presence == Presence::There {
                self.send_datagram(number, host.address, bytes.clone(), Fragment::Allowed)?;
            }
        }
        Ok(())
    }

    /// A poisoner of the DHT names hosts to who asks it, as the nodes next to what is looked for, and as peers.
    pub(super) fn answer_with_poison(
        &mut self,
        number: HostId,
        from: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), LabError> {
        let Ok(asked) = Message::decode(bytes) else { return Ok(()) };
        let Kind::Query(query) = asked.kind else { return Ok(()) };
        let named = || poison(&self.hosts[number as usize].poison, NODES);
        let mut response = Response::new(self.poisoner_id(number));
        if let Some(target) = query.target {
            let near = |place: usize| {
                let mut id = target;
                id[19] ^= place as u8 + 1;
                NodeId(id)
            };
            let nodes = named().enumerate().map(|(place, address)| Node { id: near(place), address });
            response.nodes = Some(nodes.collect());
        }
        if query.method == Method::GetPeers {
            response.peers = Some(named().collect());
            response.token = Some(b"poison".to_vec());
        }
        let answer = Message::new(asked.transaction, Kind::Response(response)).encode();
        self.send_datagram(number, from, Bytes::from(answer), Fragment::Allowed)
    }

    /// The id of a poisoner of the DHT: next to the torrent, so that whoever looks for its peers asks.
    fn poisoner_id(&self, number: HostId) -> NodeId {
        let mut id = self.content.metainfo.info_hash.0;
        id[16..].copy_from_slice(&number.to_be_bytes());
        NodeId(id)
    }
}

/// So many addresses of hosts, each at several ports.
fn poison(hosts: &[SocketAddr], count: usize) -> impl Iterator<Item = SocketAddr> {
    let ports = 0..count.div_ceil(hosts.len().max(1)) as u16;
    let all = ports.flat_map(move |place| {
        hosts.iter().map(move |host| SocketAddr::new(host.ip(), host.port().saturating_add(place)))
    });
    all.take(count)
}

fn extended(id: u8, content: Content) -> wire::Message {
    wire::Message::Extended { id, payload: content.encode().unwrap_or_default().into() }
}

/// What this program calls peer exchange, and a poisoner as well.
const PEX: u8 = 1;

/// How many nodes a response names (BEP 5, "find_node").
const NODES: usize = 8;

fn encoded(messages: &[wire::Message]) -> Bytes {
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
