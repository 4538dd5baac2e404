//! What extended messages say (BEP 10), once the receiver's handshake has given their ids a name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use crate::bencode::{self, Document, View};
use crate::field::{Field, Value};
use crate::{DecodeError, PieceIndex, Reader, compact};

/// The bytes of each piece of metadata but the last (BEP 9, "extension message").
pub const METADATA_PIECE: u64 = 16 * 1024;

/// An extension, by the name under which handshakes announce it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Extension {
    /// The extended handshake itself, always id 0 (BEP 10).
    Handshake,
    /// Torrent metadata from peers (BEP 9).
    Metadata,
    /// Peer exchange (BEP 11).
    Pex,
    /// A piece is no longer there (BEP 54).
    DontHave,
    /// Two peers behind NAT brought together (BEP 55).
    Holepunch,
    /// Whether the speaker only uploads (BEP 21).
    UploadOnly,
    /// Any other, by its name.
    Other(String),
    /// An id that no handshake of the receiver has named.
    Unannounced,
}

impl Extension {
    /// The extension that a handshake announces under `name`.
    pub fn from_name(name: &[u8]) -> Self {
        match name {
            b"ut_metadata" => Self::Metadata,
            b"ut_pex" => Self::Pex,
            b"lt_donthave" => Self::DontHave,
            b"ut_holepunch" => Self::Holepunch,
            b"upload_only" => Self::UploadOnly,
            other => Self::Other(String::from_utf8_lossy(other).into_owned()),
        }
    }

    /// The name handshakes use; `handshake` and `unannounced` for what has none.
    pub fn name(&self) -> &str {
        match self {
            Self::Handshake => "handshake",
            Self::Metadata => "ut_metadata",
            Self::Pex => "ut_pex",
            Self::DontHave => "lt_donthave",
            Self::Holepunch => "ut_holepunch",
            Self::UploadOnly => "upload_only",
            Self::Other(name) => name,
            Self::Unannounced => "unannounced",
        }
    }

    /// Reads the payload of one of this extension's messages: the bytes after the extended id.
    ///
    /// # Errors
    /// The offset within `payload` where it stops being what the extension's document asks for.
    pub fn decode(&self, payload: &[u8]) -> Result<Content, DecodeError> {
        match self {
            Self::Handshake => ExtendedHandshake::decode(payload).map(Content::Handshake),
            Self::Metadata => Metadata::decode(payload).map(Content::Metadata),
            Self::Pex => Pex::decode(payload).map(Content::Pex),
            Self::DontHave => {
                let mut reader = Reader::new(payload);
                let index = PieceIndex(reader.u32("a piece index")?);
                reader.end("a message of 4 bytes")?;
                Ok(Content::DontHave(index))
            }
            Self::Holepunch => Holepunch::decode(payload).map(Content::Holepunch),
            Self::UploadOnly => {
                let mut reader = Reader::new(payload);
                let only = reader.u8("0 or 1")?;
                reader.end("a message of 1 byte")?;
                Ok(Content::UploadOnly(only != 0))
            }
            Self::Other(_) | Self::Unannounced => Ok(Content::Other),
        }
    }

    /// The fields that tile `payload`, whether it can be decoded or not.
    pub fn fields(&self, payload: &[u8]) -> Vec<Field> {
        let whole = || {
            if payload.is_empty() {
                return Vec::new();
            }
            vec![Field::content("payload", 0..payload.len(), Value::Payload(0..payload.len()))]
        };
        match (self, self.decode(payload)) {
            (Self::DontHave, Ok(Content::DontHave(index))) => {
                vec![Field::content("index", 0..4, Value::Unsigned(u64::from(index.0)))]
            }
            (Self::UploadOnly, Ok(Content::UploadOnly(only))) => {
                vec![Field::content("upload_only", 0..1, Value::Unsigned(u64::from(only)))]
            }
            (Self::Holepunch, Ok(Content::Holepunch(holepunch))) => holepunch.fields(payload.len()),
            (Self::Handshake | Self::Pex | Self::Other(_) | Self::Metadata | Self::Unannounced, _) => {
                let Ok((document, end)) = bencode::scan_prefix(payload) else {
                    return whole();
                };
                if !document.root().is_dictionary() {
                    return whole();
                }
                let mut fields = document.root().fields(&meaning);
                if end < payload.len() {
                    let rest = end..payload.len();
                    let name = if *self == Self::Metadata { "data" } else { "payload" };
                    fields.push(Field::content(name, rest.clone(), Value::Payload(rest)));
                }
                fields
            }
            _ => whole(),
        }
    }
}

/// What an extended message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// See [`ExtendedHandshake`].
    Handshake(ExtendedHandshake),
    /// See [`Metadata`].
    Metadata(Metadata),
    /// See [`Pex`].
    Pex(Pex),
    /// The piece the speaker no longer has.
    DontHave(PieceIndex),
    /// See [`Holepunch`].
    Holepunch(Holepunch),
    /// Whether the speaker only uploads from now on.
    UploadOnly(bool),
    /// Nothing this crate knows more about.
    Other,
}

/// The dictionary that opens the extension protocol, and may come again to change it (BEP 10, "handshake
/// message"). Absent keys are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtendedHandshake {
    /// Each extension and the id under which the speaker wants to receive it; 0 switches it off.
    pub extensions: Vec<(String, u8)>,
    /// The client's name and version.
    pub client: Option<String>,
    /// The TCP port the speaker listens on.
    pub port: Option<u16>,
    /// How many requests the speaker keeps without dropping any.
    pub reqq: Option<u32>,
    /// The bytes of the torrent's info dictionary (BEP 9).
    pub metadata_size: Option<u64>,
    /// The receiver's address as the speaker sees it.
    pub your_ip: Option<IpAddr>,
    /// Whether the speaker only uploads (BEP 21).
    pub upload_only: Option<bool>,
}

impl ExtendedHandshake {
    fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let document = dictionary(payload)?;
        let root = document.root();
        let number = |key: &[u8]| root.get(key).and_then(View::unsigned);
        let extensions = root.get(b"m").and_then(View::entries).into_iter().flatten();
        Ok(Self {
            extensions: extensions
                .filter_map(|entry| {
                    let id = u8::try_from(entry.value.unsigned()?).ok()?;
                    Some((String::from_utf8_lossy(entry.key).into_owned(), id))
                })
                .collect(),
            client: root.get(b"v").and_then(View::bytes).map(|v| String::from_utf8_lossy(v).into_owned()),
            port: number(b"p").and_then(|port| u16::try_from(port).ok()),
            reqq: number(b"reqq").and_then(|reqq| u32::try_from(reqq).ok()),
            metadata_size: number(b"metadata_size"),
            your_ip: root.get(b"yourip").and_then(View::bytes).and_then(compact::address),
            upload_only: number(b"upload_only").map(|only| only != 0),
        })
    }
}

/// A message of ut_metadata (BEP 9): a dictionary, and for data the piece's bytes behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Request, data or reject.
    pub kind: MetadataKind,
    /// The 16 KiB piece of the metadata it is about.
    pub piece: u32,
    /// With data: the bytes of the whole metadata.
    pub total_size: Option<u64>,
    /// With data: where the piece stands in the payload.
    pub data: Range<usize>,
}

/// The `msg_type` of a ut_metadata message (BEP 9, "extension message").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataKind {
    /// 0
    Request,
    /// 1
    Data,
    /// 2
    Reject,
    /// Anything else: to be ignored.
    Unknown(u64),
}

impl MetadataKind {
    /// The document's word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Data => "data",
            Self::Reject => "reject",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl Metadata {
    fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let (document, end) = bencode::scan_prefix(payload)?;
        let number = |key: &[u8]| document.root().get(key).and_then(View::unsigned);
        let kind = number(b"msg_type").ok_or(DecodeError::new(0, "a dictionary with a msg_type"))?;
        let piece = number(b"piece").and_then(|piece| u32::try_from(piece).ok());
        Ok(Self {
            kind: match kind {
                0 => MetadataKind::Request,
                1 => MetadataKind::Data,
                2 => MetadataKind::Reject,
                other => MetadataKind::Unknown(other),
            },
            piece: piece.ok_or(DecodeError::new(0, "a dictionary with a piece of 32 bits"))?,
            total_size: number(b"total_size"),
            data: end..payload.len(),
        })
    }
}

/// Peers that the speaker connected to and lost since its last message (BEP 11).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pex {
    /// Peers connected, IPv4 then IPv6.
    pub added: Vec<PexPeer>,
    /// Peers lost, IPv4 then IPv6.
    pub dropped: Vec<SocketAddr>,
}

/// A peer in a ut_pex message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PexPeer {
    /// Where it listens.
    pub address: SocketAddr,
    /// The flags of `added.f`, 0 where there are none (BEP 11, "Protocol Extension").
    pub flags: u8,
}

impl Pex {
    fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let document = dictionary(payload)?;
        let root = document.root();
        let peers = |key: &[u8], ipv6| -> Result<Vec<SocketAddr>, DecodeError> {
            let Some(value) = root.get(key) else { return Ok(Vec::new()) };
            value.bytes().and_then(|bytes| whole_endpoints(bytes, ipv6)).ok_or(DecodeError::new(
                value.span().start,
                "a string of 6 bytes an IPv4 peer, 18 an IPv6 peer",
            ))
        };
        let flags = |key: &[u8]| root.get(key).and_then(View::bytes).unwrap_or_default();
        let mut pex = Self::default();
        for (peers, flags) in
            [(peers(b"added", false)?, flags(b"added.f")), (peers(b"added6", true)?, flags(b"added6.f"))]
        {
            let flags = flags.iter().copied().chain(std::iter::repeat(0));
            pex.added.extend(peers.into_iter().zip(flags).map(|(address, flags)| PexPeer { address, flags }));
        }
        pex.dropped = peers(b"dropped", false)?;
        pex.dropped.extend(peers(b"dropped6", true)?);
        Ok(pex)
    }
}

/// A message of ut_holepunch (BEP 55).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holepunch {
    /// Rendezvous, connect or error.
    pub kind: HolepunchKind,
    /// The endpoint it is about.
    pub endpoint: SocketAddr,
    /// Why a rendezvous failed; 0 otherwise.
    pub error: u32,
}

/// The `msg_type` of a ut_holepunch message (BEP 55).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HolepunchKind {
    /// 0
    Rendezvous,
    /// 1
    Connect,
    /// 2
    Error,
    /// Anything else.
    Unknown(u8),
}

impl HolepunchKind {
    /// The document's word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rendezvous => "rendezvous",
            Self::Connect => "connect",
            Self::Error => "error",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl Holepunch {
    fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let kind = match reader.u8("a message type")? {
            0 => HolepunchKind::Rendezvous,
            1 => HolepunchKind::Connect,
            2 => HolepunchKind::Error,
            other => HolepunchKind::Unknown(other),
        };
        let address = match reader.u8("an address type")? {
            0 => IpAddr::V4(Ipv4Addr::from(reader.array::<4>("an IPv4 address")?)),
            1 => IpAddr::V6(Ipv6Addr::from(reader.array::<16>("an IPv6 address")?)),
            _ => return Err(DecodeError::new(1, "address type 0 (IPv4) or 1 (IPv6)")),
        };
        let endpoint = SocketAddr::new(address, reader.u16("a port")?);
        // Some clients leave the error code out of messages that are no errors.
        let error = if reader.remaining() == 0 { 0 } else { reader.u32("an error code")? };
        reader.end("the end of the message")?;
        Ok(Self { kind, endpoint, error })
    }

    fn fields(&self, end: usize) -> Vec<Field> {
        let address_end = if self.endpoint.is_ipv4() { 6 } else { 18 };
        let mut fields = vec![
            Field::content("msg_type", 0..1, Value::Text(self.kind.name().to_owned())),
            Field::framing("addr_type", 1..2, Value::Unsigned(u64::from(self.endpoint.is_ipv6()))),
            Field::content("addr", 2..address_end, Value::Address(self.endpoint.ip())),
            Field::content(
                "port",
                address_end..address_end + 2,
                Value::Unsigned(u64::from(self.endpoint.port())),
            ),
        ];
        if end > address_end + 2 {
            fields.push(Field::content(
                "err_code",
                address_end + 2..end,
                Value::Unsigned(u64::from(self.error)),
            ));
        }
        fields
    }
}

/// The dictionary that all of `payload` must be, except for what lenient clients let follow it.
fn dictionary(payload: &[u8]) -> Result<Document<'_>, DecodeError> {
    let (document, _) = bencode::scan_prefix(payload)?;
    if !document.root().is_dictionary() {
        return Err(DecodeError::new(0, "a dictionary"));
    }
    Ok(document)
}

/// What the strings of the extension protocol's dictionaries say beyond text (BEP 10, BEP 11).
fn meaning(key: &[u8], value: View<'_>) -> Option<Value> {
    let bytes = value.bytes()?;
    match key {
        b"yourip" | b"ipv4" | b"ipv6" => compact::address(bytes).map(Value::Address),
        b"added" | b"dropped" => whole_endpoints(bytes, false).map(Value::Endpoints),
        b"added6" | b"dropped6" => whole_endpoints(bytes, true).map(Value::Endpoints),
        b"added.f" | b"added6.f" => Some(Value::Bytes(bytes.to_vec())),
        _ => None,
    }
}

/// Peers of 6 bytes each, or 18 over IPv6. `None` when the bytes are no whole number of peers.
fn whole_endpoints(bytes: &[u8], ipv6: bool) -> Option<Vec<SocketAddr>> {
    bytes.len().is_multiple_of(compact::stride(ipv6)).then(|| compact::endpoints(bytes, ipv6))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::field::untiled;

    fn decode(extension: &Extension, payload: &[u8]) -> Content {
        assert_eq!(untiled(&extension.fields(payload), 0..payload.len()), None);
        extension.decode(payload).unwrap()
    }

    #[test]
    fn reads_an_extended_handshake() {
        let payload = b"d1:md11:ut_metadatai3e6:ut_pexi1ee13:metadata_sizei291e1:pi6881e4:reqqi500e\
            1:v17:libtorrent/2.0.8 6:yourip4:\x0a\x00\x00\x03e";
        let Content::Handshake(handshake) = decode(&Extension::Handshake, payload) else { panic!() };
        assert_eq!(handshake.extensions, [("ut_metadata".to_owned(), 3), ("ut_pex".to_owned(), 1)]);
        assert_eq!(handshake.client.as_deref(), Some("libtorrent/2.0.8 "));
        assert_eq!((handshake.port, handshake.reqq), (Some(6881), Some(500)));
        assert_eq!(handshake.metadata_size, Some(291));
        assert_eq!(handshake.your_ip, Some("10.0.0.3".parse().unwrap()));
    }

    #[test]
    fn metadata_comes_behind_its_dictionary() {
        let payload = b"d8:msg_typei1e5:piecei2e10:total_sizei34256eexxxx";
        let Content::Metadata(metadata) = decode(&Extension::Metadata, payload) else { panic!() };
        assert_eq!((metadata.kind, metadata.piece), (MetadataKind::Data, 2));
        assert_eq!(metadata.total_size, Some(34256));
        assert_eq!(&payload[metadata.data], b"xxxx");
    }

    #[test]
    fn reads_peers_of_both_families() {
        let mut payload = b"d5:added6:\x0a\0\0\x02\x1a\xe17:added.f1:\x12".to_vec();
        payload
            .extend(b"6:added618:\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe27:dropped6:\x0a\0\0\x05\0\x50e");
        let Content::Pex(pex) = decode(&Extension::Pex, &payload) else { panic!() };
        assert_eq!(
            pex.added,
            [
                PexPeer { address: "10.0.0.2:6881".parse().unwrap(), flags: 0x12 },
                PexPeer { address: "[fd00::1]:6882".parse().unwrap(), flags: 0 },
            ]
        );
        assert_eq!(pex.dropped, ["10.0.0.5:80".parse().unwrap()]);
    }

    #[test]
    fn rejects_peers_of_a_wrong_stride() {
        assert_eq!(Extension::Pex.decode(b"d5:added5:abcdee").unwrap_err().offset, 8);
    }

    #[test]
    fn reads_the_binary_extensions() {
        assert_eq!(decode(&Extension::DontHave, &[0, 0, 0, 7]), Content::DontHave(PieceIndex(7)));
        assert_eq!(decode(&Extension::UploadOnly, &[1]), Content::UploadOnly(true));
        // rendezvous with 10.0.0.9:6881
        let payload = [0, 0, 10, 0, 0, 9, 0x1a, 0xe1, 0, 0, 0, 0];
        let Content::Holepunch(holepunch) = decode(&Extension::Holepunch, &payload) else { panic!() };
        assert_eq!(holepunch.kind, HolepunchKind::Rendezvous);
        assert_eq!(holepunch.endpoint, "10.0.0.9:6881".parse().unwrap());
    }

    #[test]
    fn rejects_every_cut_of_the_binary_extensions() {
        for (extension, payload) in [
            (Extension::DontHave, &[0, 0, 0, 7][..]),
            (Extension::UploadOnly, &[1]),
            (Extension::Holepunch, &[1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7]),
        ] {
            for end in 0..payload.len() {
                assert!(extension.decode(&payload[..end]).is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn fields_tile_any_payload(payload in prop::collection::vec(any::<u8>(), 0..80), which in 0..7usize) {
            use Extension::*;
            let extension =
                [Handshake, Metadata, Pex, DontHave, Holepunch, UploadOnly, Unannounced][which].clone();
            prop_assert_eq!(untiled(&extension.fields(&payload), 0..payload.len()), None);
        }
    }
}
