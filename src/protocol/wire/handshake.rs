//! The 68 bytes each end says first (BEP 3, "peer protocol"; reserved bits: BEP 4).

use crate::field::{Field, Value};
use crate::{DecodeError, InfoHash, PeerId, Reader};

/// The first 20 bytes of every handshake: the length of the protocol's name, and the name.
pub const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

/// The bytes of a whole handshake: 20 of [`PROTOCOL`], 8 reserved, 20 of info hash, 20 of peer id.
pub const HANDSHAKE_LENGTH: usize = 68;

/// What each end says of itself and of the torrent it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// Bits that offer extensions; see [`Handshake::reserved_bits`].
    pub reserved: [u8; 8],
    /// The torrent.
    pub info_hash: InfoHash,
    /// The sender.
    pub peer_id: PeerId,
}

/// A bit among the eight reserved bytes, and what setting it offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReservedBit {
    /// The byte it stands in, from 0.
    pub byte: usize,
    /// The bit within that byte.
    pub mask: u8,
    /// What it offers, and where that is specified; `None` for a bit nobody has allocated.
    pub offers: Option<&'static str>,
    /// A short name for tables; the place as `byte.mask` when nobody has allocated it.
    pub name: &'static str,
}

/// Whether some bytes can be the beginning of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// They begin with all of [`PROTOCOL`].
    Yes,
    /// They are fewer than the protocol's name and agree so far.
    SoFar,
    /// They begin otherwise.
    No,
}

/// Compares the beginning of a stream with [`PROTOCOL`]. No bytes at all agree so far.
pub fn handshake_prefix(bytes: &[u8]) -> Prefix {
    let compared = bytes.len().min(PROTOCOL.len());
    if bytes[..compared] != PROTOCOL[..compared] {
        Prefix::No
    } else if compared == PROTOCOL.len() {
        Prefix::Yes
    } else {
        Prefix::SoFar
    }
}

impl Handshake {
    /// Reads the handshake that `bytes` begin with.
    ///
    /// # Errors
    /// When `bytes` are shorter than [`HANDSHAKE_LENGTH`] or begin with another protocol's name.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.take(PROTOCOL.len(), "a handshake of 68 bytes")? != PROTOCOL {
            return Err(DecodeError::new(0, "19 and \"BitTorrent protocol\""));
        }
        Ok(Self {
            reserved: reader.array("8 reserved bytes")?,
            info_hash: InfoHash(reader.array("an info hash of 20 bytes")?),
            peer_id: PeerId(reader.array("a peer id of 20 bytes")?),
        })
    }

    /// The bytes that say this.
    pub fn encode(&self) -> [u8; HANDSHAKE_LENGTH] {
        let mut bytes = [0; HANDSHAKE_LENGTH];
        bytes[..20].copy_from_slice(PROTOCOL);
        bytes[20..28].copy_from_slice(&self.reserved);
        bytes[28..48].copy_from_slice(&self.info_hash.0);
        bytes[48..].copy_from_slice(&self.peer_id.0);
        bytes
    }

    /// The reserved bits that are set, in the order they stand.
    pub fn reserved_bits(&self) -> Vec<ReservedBit> {
        let mut set = Vec::new();
        for (byte, &bits) in self.reserved.iter().enumerate() {
            for mask in (0..8).rev().map(|shift| 1 << shift).filter(|mask| bits & mask != 0) {
                let known = ALLOCATED.iter().find(|known| known.byte == byte && known.mask == mask);
                set.push(known.copied().unwrap_or(ReservedBit { byte, mask, offers: None, name: "?" }));
            }
        }
        set
    }

    /// Whether the extension protocol is offered (BEP 10).
    pub const fn offers_extended(&self) -> bool {
        self.reserved[5] & 0x10 != 0
    }

    /// Whether the fast extension is offered (BEP 6).
    pub const fn offers_fast(&self) -> bool {
        self.reserved[7] & 0x04 != 0
    }

    /// Whether DHT is offered, and with it the port message (BEP 5).
    pub const fn offers_dht(&self) -> bool {
        self.reserved[7] & 0x01 != 0
    }

    /// Whether version 2 is offered, so that the answer may have the other info hash of a hybrid torrent (BEP 52, "Upgrade
    /// Path").
    pub const fn offers_v2(&self) -> bool {
        self.reserved[7] & 0x10 != 0
    }

    /// The fields that tile the handshake's bytes.
    pub fn fields(&self) -> Vec<Field> {
        let names = self.reserved_bits().iter().map(|bit| bit.name).collect();
        vec![
            Field::framing("protocol_length", 0..1, Value::Unsigned(19)),
            Field::framing("protocol", 1..20, Value::Text("BitTorrent protocol".to_owned())),
            Field::content("reserved", 20..28, Value::Flags(u64::from_be_bytes(self.reserved), names)),
            Field::content("info_hash", 28..48, Value::Bytes(self.info_hash.0.to_vec())),
            Field::content("peer_id", 48..68, Value::Bytes(self.peer_id.0.to_vec())),
        ]
    }
}

/// BEP 4, "Reserved Bit Allocations", with the documents that BEP 4 names.
pub(super) const ALLOCATED: [ReservedBit; 10] = [
    bit(0, 0x80, "azureus", "Azureus messaging protocol"),
    bit(2, 0x08, "location", "location-aware protocol"),
    bit(5, 0x10, "extended", "extension protocol (BEP 10)"),
    bit(5, 0x02, "negotiation-2", "extension negotiation protocol, second bit"),
    bit(5, 0x01, "negotiation-1", "extension negotiation protocol, first bit"),
    bit(7, 0x10, "v2", "upgrade of a hybrid torrent to v2 (BEP 52)"),
    bit(7, 0x08, "nat-traversal", "NAT traversal"),
    bit(7, 0x04, "fast", "fast extension (BEP 6)"),
    bit(7, 0x02, "xbt-pex", "XBT peer exchange"),
    bit(7, 0x01, "dht", "DHT, and the port message (BEP 5)"),
];

const fn bit(byte: usize, mask: u8, name: &'static str, offers: &'static str) -> ReservedBit {
    ReservedBit { byte, mask, offers: Some(offers), name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::untiled;

    fn libtorrent() -> Vec<u8> {
        let mut bytes = b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x05".to_vec();
        bytes.extend([0xab; 20]);
        bytes.extend(b"-LT2080-abcdefghijkl");
        bytes
    }

    #[test]
    fn reads_and_writes_the_same_bytes() {
        let bytes = libtorrent();
        let handshake = Handshake::decode(&bytes).unwrap();
        assert_eq!(handshake.info_hash, InfoHash([0xab; 20]));
        assert_eq!(handshake.encode().as_slice(), bytes);
        assert_eq!(untiled(&handshake.fields(), 0..68), None);
    }

    #[test]
    fn explains_each_reserved_bit() {
        let mut handshake = Handshake::decode(&libtorrent()).unwrap();
        let names: Vec<_> = handshake.reserved_bits().iter().map(|bit| bit.name).collect();
        assert_eq!(names, ["extended", "fast", "dht"]);
        assert!(handshake.offers_extended() && handshake.offers_fast() && handshake.offers_dht());
        handshake.reserved = [0, 0, 0, 0, 0, 0, 0, 0x40];
        let unknown = handshake.reserved_bits()[0];
        assert_eq!((unknown.byte, unknown.mask, unknown.offers), (7, 0x40, None));
    }

    #[test]
    fn rejects_every_cut() {
        let bytes = libtorrent();
        for end in 0..bytes.len() {
            assert!(Handshake::decode(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn rejects_another_protocol() {
        let mut bytes = libtorrent();
        bytes[5] = b'x';
        assert_eq!(Handshake::decode(&bytes).unwrap_err().offset, 0);
        assert_eq!(handshake_prefix(&bytes), Prefix::No);
    }

    #[test]
    fn a_beginning_agrees_so_far() {
        assert_eq!(handshake_prefix(b""), Prefix::SoFar);
        assert_eq!(handshake_prefix(b"\x13BitTor"), Prefix::SoFar);
        assert_eq!(handshake_prefix(b"\x13Bittor"), Prefix::No);
        assert_eq!(handshake_prefix(&libtorrent()), Prefix::Yes);
    }
}
