//! What the target `session` reads from its input, and inputs that lead through a whole download.

use sha1::{Digest, Sha1};

/// How many bytes the torrent has: a piece of two blocks of 16,384 bytes, then a piece of one block of 7,232.
pub const CONTENT: usize = 40_000;
/// The length of a piece.
pub const PIECE: usize = 32_768;

/// The bytes that the torrent is about.
pub fn content() -> Vec<u8> {
    (0..CONTENT).map(|at| (at * 31 + at / 251) as u8).collect()
}

/// The torrent as a file.
pub fn metainfo() -> Vec<u8> {
    let hashes: Vec<u8> = content().chunks(PIECE).flat_map(|piece| Sha1::digest(piece).to_vec()).collect();
    let mut file =
        b"d8:announce15:http://t.test/a4:infod6:lengthi40000e4:name1:t12:piece lengthi32768e".to_vec();
    file.extend(b"6:pieces40:");
    file.extend(hashes);
    file.extend(b"ee");
    file
}

/// Declares the kinds of steps with their list, so that none is missing in it.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident,)*) => {
        /// What happens in a step.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum InputKind { $($(#[$doc])* $kind,)* }

        const KINDS: &[InputKind] = &[$(InputKind::$kind,)*];
    };
}

kinds! {
    /// A peer connects.
    Accepted,
    /// The stream is open.
    Opened,
    /// These bytes are received.
    Received,
    /// A message with this id and payload is received.
    Message,
    /// A handshake for the torrent is received, with these reserved bits and this end of the peer id.
    Handshake,
    /// A piece message with a right or wrong block of the torrent is received.
    Block,
    /// The stream is over.
    Closed,
    /// So many bytes have left.
    Sent,
    /// The driver says that so many bytes are stored, which nobody asked for.
    Stored,
    /// The driver says that a piece has a wrong hash, which nobody asked for.
    Hashed,
    /// The driver says what the blocks of a piece hash to, which nobody asked for.
    BlockHashes,
    /// The driver has loaded a block, which nobody asked for.
    Loaded,
    /// So many tenths of a second pass.
    Wait,
    /// The user stops the session.
    Stop,
}

/// One step: four bytes (kind, stream, two bytes with a meaning by kind), then for a kind that has bytes, two bytes of
/// their length and themselves.
#[derive(Debug, Clone, Copy)]
pub struct InputStep<'a> {
    /// What happens.
    pub kind: InputKind,
    /// The stream's place among those that exist.
    pub stream: u8,
    /// Numbers with a meaning by kind.
    pub value: [u8; 2],
    /// What is received.
    pub bytes: &'a [u8],
}

impl InputKind {
    const fn has_bytes(self) -> bool {
        matches!(self, Self::Received | Self::Message)
    }
}

/// The steps in an input. The last one may lack bytes.
pub fn steps(mut rest: &[u8]) -> impl Iterator<Item = InputStep<'_>> {
    std::iter::from_fn(move || {
        let (&[kind, stream, low, high], mut after) = rest.split_first_chunk()?;
        let kind = KINDS[usize::from(kind) % KINDS.len()];
        let mut bytes = &[][..];
        if kind.has_bytes() {
            let (length, behind) = after.split_first_chunk()?;
            (bytes, after) = behind.split_at(usize::from(u16::from_be_bytes(*length)).min(behind.len()));
        }
        rest = after;
        Some(InputStep { kind, stream, value: [low, high], bytes })
    })
}

/// Adds a step to an input.
pub fn add(input: &mut Vec<u8>, step: InputStep<'_>) {
    let kind = KINDS.iter().position(|kind| *kind == step.kind).unwrap_or_default();
    input.extend([kind as u8, step.stream, step.value[0], step.value[1]]);
    if step.kind.has_bytes() {
        input.extend((step.bytes.len() as u16).to_be_bytes());
        input.extend(step.bytes);
    }
}

/// Inputs that lead the session through a download (with right blocks, with a wrong block, with an upload afterwards) and
/// through an announce.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let at = |kind, stream, low, high, bytes| InputStep { kind, stream, value: [low, high], bytes };
    let plain = |kind, stream, low| at(kind, stream, low, 0, &[]);
    // Stream 0 is the tracker's.
    let joined = |bits, stream| {
        [
            plain(InputKind::Accepted, stream, 0),
            at(InputKind::Handshake, stream, bits, stream, &[]),
            at(InputKind::Message, stream, 5, 0, b"\xc0"),
            plain(InputKind::Message, stream, 1),
        ]
    };
    let blocks =
        |stream, spoiled: u8| [0, 1, 2].map(|block| plain(InputKind::Block, stream, block | spoiled));
    let wait = at(InputKind::Wait, 0, 100, 0, &[]);
    let request = at(InputKind::Message, 2, 6, 0, b"\0\0\0\0\0\0\0\0\0\0\x40\0");
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\nd8:intervali1800e5:peers12:\x0a\0\0\x01\x1a\xe1\x0a\0\0\x02\x1a\xe1e";
    let tracker = [
        plain(InputKind::Opened, 0, 0),
        at(InputKind::Received, 0, 0, 0, answer),
        plain(InputKind::Opened, 1, 0),
    ];
    let interested = plain(InputKind::Message, 2, 2);
    let upload = [interested, wait, wait, request, plain(InputKind::Stop, 0, 0)];
    let scripts: [(&str, u8, Vec<InputStep<'_>>); 4] = [
        ("download", 0, [&joined(0, 1)[..], &blocks(1, 0)].concat()),
        ("corrupt", 0, [&joined(0, 1)[..], &blocks(1, 4), &joined(4, 2), &blocks(2, 0)].concat()),
        ("upload", 2, [&joined(0, 1)[..], &blocks(1, 0), &joined(5, 2)[..2], &upload].concat()),
        ("tracker", 1, [&tracker[..], &joined(0x14, 1)[1..], &blocks(1, 0)].concat()),
    ];
    let inputs = scripts.into_iter().map(|(name, options, script)| {
        let mut input = vec![options];
        script.into_iter().for_each(|step| add(&mut input, step));
        (name, input)
    });
    inputs.collect()
}
