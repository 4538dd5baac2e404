//! How a client phrases and paces what it says. A profile holds policy and parameters, never bytes of a
//! message: those always come from our own encoders.

use crate::PeerId;
use crate::geometry::BLOCK_LENGTH;
use crate::tracker::http::{Escaping, RequestStyle, StyledHeader, StyledParameter};

use super::rng::Rng;
use super::{EncryptionPolicy, EncryptionProfile, Identity};

/// The conduct of a client as far as it is free to choose: its policy, for any torrent. What it chose among the pieces of one
/// torrent is a [`Schedule`](super::Schedule).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// How trackers are asked.
    pub announce: AnnounceProfile,
    /// Whether the web seeds of the torrent are used (BEP 17, 19).
    pub web_seeds: bool,
    /// What its peer ids look like.
    pub peer_id: PeerIdForm,
    /// The reserved bytes of the handshake. Fast extension and extension protocol are spoken where both ends offer them.
    pub reserved: [u8; 8],
    /// Whether version 2 of a hybrid torrent is offered to peers, and taken where it is offered (BEP 52, "Upgrade Path").
    pub upgrades: bool,
    /// Whether peers of a hybrid torrent are called by the info hash of version 2 (BEP 52).
    pub calls_by_v2: bool,
    /// When connections are encrypted, and what a negotiation says.
    pub encryption: EncryptionProfile,
    /// What follows the handshake, in this order.
    pub first_messages: Vec<FirstMessage>,
    /// Whether have-all stands in for a bitfield where the fast extension is spoken (BEP 6).
    pub have_all: bool,
    /// What is said of pieces while there are none.
    pub without_pieces: WithoutPieces,
    /// Whether a keep-alive answers a peer that tells which pieces it has.
    pub acknowledges_pieces: bool,
    /// The entries of `m` in the extended handshake: extensions and the ids they are received under (BEP 10), 0 for one
    /// that is switched off.
    pub extensions: Vec<(String, u8)>,
    /// The entries of the extended handshake, in order.
    pub extended: Vec<(Vec<u8>, ExtendedEntry)>,
    /// The name in the extended handshake; none where it is empty.
    pub client: String,
    /// How many requests a peer may have waiting: what is said in the extended handshake, and kept to.
    pub reqq: u32,
    /// When interest is declared.
    pub interest: Interest,
    /// The bytes of a request.
    pub block_length: u32,
    /// Whether the last block of a piece that is shorter than others is requested as if zeros followed, up to where the next piece
    /// begins. These count as downloaded, and all bytes up to there as left. libtorrent does so where every file begins a piece; there is nothing to
    /// request, as the last piece of a file is shorter (BEP 52, "file tree"), and peers that do not pad refuse.
    pub pads_blocks: bool,
    /// Whether blocks are requested that are padding alone (BEP 47, "padding files"). They are zeros, which nobody has to send;
    /// neither bittrace nor libtorrent requests them.
    pub requests_padding: bool,
    /// How many requests wait at a peer before its speed is known.
    pub initial_pipeline: u32,
    /// How many requests wait at the fastest peer, where its own `reqq` allows.
    pub max_pipeline: u32,
    /// Which piece is begun next.
    pub piece_order: PieceOrder,
    /// How many pieces are chosen at random before rarity counts.
    pub random_pieces: u32,
    /// How many pieces a peer that has no more than so many may have while it is choked (BEP 6, "k"); 0 allows none.
    pub allowed_fast: u32,
    /// How peers are told of a piece that is new.
    pub haves: Haves,
    /// Whether new pieces are told before more blocks are asked for.
    pub haves_first: bool,
    /// Which peers are told of a new piece that they have themselves.
    pub redundant_haves: RedundantHaves,
    /// What is still said to a peer when the last piece is there and the connection ends, in this order.
    pub last_messages: Vec<LastMessage>,
}

/// How trackers are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnounceProfile {
    /// How announces over HTTP are phrased; the path is taken from the tracker's URL.
    pub style: RequestStyle,
    /// How many peers a tracker is asked for.
    pub numwant: u32,
    /// How many it is asked for by one who goes.
    pub numwant_stopped: u32,
    /// What announces over UDP say in addition.
    pub udp: UdpAnnounceProfile,
    /// How `key` is spelled over HTTP.
    pub key: KeyForm,
    /// Whether peers are wanted in the compact form (BEP 23).
    pub compact: bool,
    /// Whether peers are wanted without their ids.
    pub no_peer_id: bool,
    /// What `supportcrypto` says; `None` has it say 1 where the [encryption policy](EncryptionPolicy) takes encrypted
    /// connections, and nothing elsewhere.
    pub supportcrypto: Option<bool>,
    /// What `requirecrypto` says; `None` has it say 1 where the policy takes no others, and nothing elsewhere.
    pub requirecrypto: Option<bool>,
    /// Whether a tracker whose name has addresses of both families is announced to over both (BEP 7).
    pub both_families: bool,
    /// Whether trackers are announced to by both info hashes of a hybrid torrent (BEP 52).
    pub both_hashes: bool,
    /// How many bytes are said to be left while the metadata has not come (BEP 9 does not say; libtorrent says 16,384).
    pub left_unknown: u64,
    /// Whether completion is announced.
    pub says_completed: bool,
    /// Further parameters and their values.
    pub others: Vec<(Vec<u8>, Vec<u8>)>,
}

/// How trackers are asked over UDP (BEP 15), as far as a client is free to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpAnnounceProfile {
    /// How many peers a tracker is asked for; -1 for the tracker's choice.
    pub numwant: i32,
    /// How many it is asked for by one who goes.
    pub numwant_stopped: i32,
    /// Whether the path and query of the tracker's URL are told (BEP 41).
    pub url_data: bool,
}

/// How `key` is spelled in an announce over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// Eight hexadecimal digits with capitals.
    UpperHex,
    /// Eight hexadecimal digits without capitals.
    LowerHex,
    /// The last so many bytes of the peer id.
    PeerIdTail(usize),
    /// So many letters of an alphabet.
    Letters(usize, Alphabet),
}

/// What the peer ids of a client look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdForm {
    /// What names the client and its version.
    pub prefix: Vec<u8>,
    /// What the rest is drawn from.
    pub alphabet: Alphabet,
    /// Whether each connection has a peer id of its own, other than that of the announces.
    pub fresh: bool,
}

/// What the random part of a peer id, or a key, is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// Digits and lower-case letters.
    LowerAlphanumeric,
    /// Digits and upper-case letters.
    UpperAlphanumeric,
    /// Digits and letters.
    Alphanumeric,
    /// What stays as it is in a URL: digits, letters and some punctuation.
    Unreserved,
    /// Any bytes.
    Bytes,
}

/// A message after the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstMessage {
    /// The extended handshake, where it is spoken (BEP 10).
    Extended,
    /// What we have: a bitfield or have-all, or what [`WithoutPieces`] has for nothing.
    Pieces,
    /// The set of pieces that may be asked for while we choke, of so many pieces at the most, where the fast extension is
    /// spoken (BEP 6, "allowed fast set").
    AllowedFast(u32),
}

/// What is said of pieces while there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutPieces {
    /// Have-none where the fast extension is spoken (BEP 6), else nothing.
    HaveNone,
    /// A bitfield of zeros.
    Bitfield,
    /// A keep-alive in its place; with the fast extension, which wants something said, a bitfield of zeros.
    KeepAlive,
    /// Nothing; with the fast extension, which wants something said, a bitfield of zeros.
    Nothing,
}

/// An entry of the extended handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtendedEntry {
    /// The extensions and their ids.
    Extensions,
    /// The size of the metadata (BEP 9).
    MetadataSize,
    /// The port we listen on.
    Port,
    /// The port we listen on, where we dialled.
    PortWhenDialling,
    /// How many requests may wait at us.
    Reqq,
    /// The client's name and version.
    Client,
    /// The peer's own address as we see it.
    YourAddress,
    /// Whether we have no use for pieces (BEP 21): 0 or 1.
    UploadOnly,
    /// 1 where we have no use for pieces (BEP 21); nothing else.
    UploadOnlyOnceComplete,
    /// The seconds since completion; -1 before it.
    CompleteAgo,
    /// Always this number.
    Number(i64),
    /// Always this text.
    Text(Vec<u8>),
}

/// When interest is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Right after the opening, whatever the peer has.
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

/// How peers are told of pieces that are new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haves {
    /// A have for each.
    Single,
    /// What takes the fewest bytes: haves, or one bitfield; have-all where that is spoken and every piece is there.
    Shortest,
}

/// Which peers are told of a new piece that they have themselves, from the fewest to all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RedundantHaves {
    /// None of them.
    Never,
    /// The peers that gave blocks of the piece, except those that told all of their pieces in one message. A super-seeding
    /// peer tells of its pieces one by one, and waits for the have before it tells of the next piece (BEP 16).
    ToGivers,
    /// All of them.
    ToAll,
}

/// What is still said to a peer at the end of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastMessage {
    /// That nothing is wanted any longer.
    NotInterested,
    /// The pieces that are new.
    Haves,
}

impl Profile {
    /// The same, which also says that it speaks holepunch (BEP 55): that takes a driver that carries connections over uTP.
    #[must_use]
    pub fn with_holepunch(mut self) -> Self {
        // The names stand in their order.
        let place = self.extensions.iter().take_while(|(name, _)| name.as_str() < "ut_holepunch").count();
        self.extensions.insert(place, ("ut_holepunch".to_owned(), 5));
        self
    }

    /// The profile of bittrace itself, under this name in announces and extended handshakes. It does not encrypt: a driver that
    /// keeps the keys says when to.
    pub fn own(client: &str) -> Self {
        Self {
            announce: AnnounceProfile {
                style: announce_style(client),
                numwant: 200,
                numwant_stopped: 0,
                udp: UdpAnnounceProfile { numwant: 200, numwant_stopped: 0, url_data: true },
                key: KeyForm::UpperHex,
                compact: true,
                no_peer_id: true,
                supportcrypto: None,
                requirecrypto: None,
                both_families: true,
                both_hashes: true,
                left_unknown: 16 * 1024,
                says_completed: true,
                others: Vec::new(),
            },
            web_seeds: true,
            peer_id: PeerIdForm { prefix: Vec::new(), alphabet: Alphabet::Alphanumeric, fresh: false },
            // Extension protocol (BEP 10) and fast extension (BEP 6).
            reserved: [0, 0, 0, 0, 0, 0x10, 0, 0x04],
            upgrades: true,
            calls_by_v2: false,
            first_messages: vec![FirstMessage::Pieces, FirstMessage::Extended],
            encryption: EncryptionProfile::own(EncryptionPolicy::Off),
            have_all: true,
            without_pieces: WithoutPieces::HaveNone,
            acknowledges_pieces: false,
            extensions: [("lt_donthave", 4), ("upload_only", 3), ("ut_metadata", 2), ("ut_pex", 1)]
                .map(|(name, id)| (name.to_owned(), id))
                .to_vec(),
            extended: [
                (&b"m"[..], ExtendedEntry::Extensions),
                (b"metadata_size", ExtendedEntry::MetadataSize),
                (b"p", ExtendedEntry::PortWhenDialling),
                (b"reqq", ExtendedEntry::Reqq),
                (b"upload_only", ExtendedEntry::UploadOnlyOnceComplete),
                (b"v", ExtendedEntry::Client),
                (b"yourip", ExtendedEntry::YourAddress),
            ]
            .map(|(key, says)| (key.to_vec(), says))
            .to_vec(),
            client: client.to_owned(),
            reqq: 500,
            interest: Interest::WhenUseful,
            block_length: BLOCK_LENGTH,
            pads_blocks: false,
            requests_padding: false,
            initial_pipeline: 16,
            max_pipeline: 1000,
            piece_order: PieceOrder::RarestFirst,
            random_pieces: 4,
            allowed_fast: 10,
            haves: Haves::Single,
            haves_first: true,
            redundant_haves: RedundantHaves::ToGivers,
            last_messages: vec![LastMessage::Haves],
        }
    }
}

impl KeyForm {
    /// The key of a client as it is spelled.
    pub fn spell(self, identity: &Identity) -> Vec<u8> {
        let Identity { key, peer_id, .. } = identity;
        match self {
            Self::UpperHex => format!("{key:08X}").into_bytes(),
            Self::LowerHex => format!("{key:08x}").into_bytes(),
            Self::PeerIdTail(length) => peer_id.0[peer_id.0.len().saturating_sub(length)..].to_vec(),
            Self::Letters(length, alphabet) => identity.key_text.clone().unwrap_or_else(|| {
                let mut letters = vec![0; length];
                alphabet.draw(&mut Rng::new(u64::from(*key)), &mut letters);
                letters
            }),
        }
    }
}

impl PeerIdForm {
    /// A peer id of this form, from this seed.
    pub fn draw(&self, seed: u64) -> PeerId {
        self.draw_from(&mut Rng::new(seed))
    }

    pub(super) fn draw_from(&self, rng: &mut Rng) -> PeerId {
        let mut id = [0; 20];
        self.alphabet.draw(rng, &mut id);
        let length = self.prefix.len().min(id.len());
        id[..length].copy_from_slice(&self.prefix[..length]);
        PeerId(id)
    }
}

impl Alphabet {
    /// The smallest alphabet that has all of `tail`.
    pub fn of(tail: &[u8]) -> Self {
        let all = [Self::LowerAlphanumeric, Self::UpperAlphanumeric, Self::Alphanumeric, Self::Unreserved];
        let has = |alphabet: &Self| tail.iter().all(|byte| alphabet.letters().contains(byte));
        all.into_iter().find(has).unwrap_or(Self::Bytes)
    }

    /// Fills `text` with letters drawn by chance.
    fn draw(self, rng: &mut Rng, text: &mut [u8]) {
        for byte in text {
            *byte = match self.letters() {
                [] => rng.next() as u8,
                letters => letters[rng.below(letters.len())],
            };
        }
    }

    /// The letters; none where any byte will do.
    const fn letters(self) -> &'static [u8] {
        match self {
            Self::LowerAlphanumeric => b"0123456789abcdefghijklmnopqrstuvwxyz",
            Self::UpperAlphanumeric => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            Self::Alphanumeric => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            Self::Unreserved => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_.!~*()",
            Self::Bytes => b"",
        }
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
            "supportcrypto",
            "requirecrypto",
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
