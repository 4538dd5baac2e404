//! How a client phrases and paces what it says. A profile holds policy and parameters, never bytes of a
//! message: those always come from our own encoders.

use crate::geometry::BLOCK_LENGTH;
use crate::tracker::http::{Escaping, RequestStyle, StyledHeader, StyledParameter};

/// The conduct of a client as far as it is free to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// How announces over HTTP are phrased; the path is taken from the tracker's URL.
    pub announce: RequestStyle,
    /// How many peers a tracker is asked for.
    pub numwant: u32,
    /// The reserved bytes of the handshake. Fast extension and extension protocol are spoken where both ends offer them.
    pub reserved: [u8; 8],
    /// What follows the handshake, in this order.
    pub opening: Vec<Opening>,
    /// Whether have-all and have-none stand in for a bitfield where the fast extension is spoken (BEP 6).
    pub have_all: bool,
    /// The entries of `m` in the extended handshake: extensions and the ids they are received under (BEP 10).
    pub extensions: Vec<(String, u8)>,
    /// The name in the extended handshake; none where it is empty.
    pub client: String,
    /// How many requests a peer may have waiting: what is said in the extended handshake, and kept to.
    pub reqq: u32,
    /// Whether the extended handshake names the size of the metadata.
    pub says_metadata_size: bool,
    /// Whether the extended handshake names the listening port, when the peer was dialled.
    pub says_port: bool,
    /// Whether the extended handshake tells the peer its own address.
    pub says_your_ip: bool,
    /// When interest is declared.
    pub interest: Interest,
    /// The bytes of a request.
    pub block_length: u32,
    /// How many requests wait at a peer before its speed is known.
    pub first_requests: u32,
    /// How many requests wait at the fastest peer, where its own `reqq` allows.
    pub most_requests: u32,
    /// Which piece is begun next.
    pub piece_order: PieceOrder,
    /// How many pieces are chosen at random before rarity counts.
    pub random_pieces: u32,
    /// How many pieces a peer that has no more than so many may have while it is choked (BEP 6, "k"); 0 allows none.
    pub allowed_fast: u32,
    /// Whether peers are told of a piece that they have themselves.
    pub redundant_haves: bool,
}

/// A message after the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// The extended handshake, where it is spoken (BEP 10).
    Extended,
    /// What we have: a bitfield, have-all or have-none; nothing where there is nothing to say.
    Pieces,
}

/// When interest is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Right behind the opening, whatever the peer has.
    AtOnce,
    /// When the peer has a piece that is missing.
    WhenUseful,
}

/// Which piece is begun next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceOrder {
    /// The one that the fewest peers have; of several such, any.
    RarestFirst,
    /// The first that is missing.
    InOrder,
}

impl Profile {
    /// The profile of bittrace itself, under this name in announces and extended handshakes.
    pub fn own(client: &str) -> Self {
        Self {
            announce: announce_style(client),
            numwant: 200,
            // Extension protocol (BEP 10) and fast extension (BEP 6).
            reserved: [0, 0, 0, 0, 0, 0x10, 0, 0x04],
            opening: vec![Opening::Pieces, Opening::Extended],
            have_all: true,
            extensions: [("lt_donthave", 4), ("upload_only", 3), ("ut_metadata", 2), ("ut_pex", 1)]
                .map(|(name, id)| (name.to_owned(), id))
                .to_vec(),
            client: client.to_owned(),
            reqq: 500,
            says_metadata_size: true,
            says_port: true,
            says_your_ip: true,
            interest: Interest::WhenUseful,
            block_length: BLOCK_LENGTH,
            first_requests: 16,
            most_requests: 1000,
            piece_order: PieceOrder::RarestFirst,
            random_pieces: 4,
            allowed_fast: 10,
            redundant_haves: false,
        }
    }

    /// The id under which an extension is received; `None` where it is not offered.
    pub(super) fn extension(&self, id: u8) -> Option<&str> {
        let known = self.extensions.iter().find(|(_, known)| *known == id && id != 0);
        known.map(|(name, _)| name.as_str())
    }
}

fn announce_style(client: &str) -> RequestStyle {
    let parameter = |name: &str| StyledParameter {
        spelled: name.as_bytes().to_vec(),
        name: name.as_bytes().to_vec(),
        has_equals: true,
        escaping: Escaping::standard(),
    };
    let header = |name: &str, value: Option<&str>| StyledHeader {
        name: name.as_bytes().to_vec(),
        separator: b": ".to_vec(),
        value: value.map(|value| value.as_bytes().to_vec()),
    };
    // A name with a line end in it would end the header.
    let agent: String = client.chars().filter(|character| matches!(character, ' '..='~')).collect();
    RequestStyle {
        method: b"GET".to_vec(),
        path: b"/announce".to_vec(),
        has_query: true,
        parameters: [
            "info_hash",
            "peer_id",
            "port",
            "uploaded",
            "downloaded",
            "left",
            "corrupt",
            "key",
            "event",
            "numwant",
            "compact",
            "no_peer_id",
        ]
        .map(parameter)
        .to_vec(),
        escaping: Escaping::standard(),
        version: b"HTTP/1.1".to_vec(),
        headers: vec![
            header("Host", None),
            header("User-Agent", Some(&agent)),
            header("Accept-Encoding", Some("gzip")),
            header("Connection", Some("close")),
        ],
        line_end: b"\r\n".to_vec(),
    }
}
