//! What extended messages say (BEP 10), once the receiver's handshake has given their ids a name.

use crate::bencode::{self, View};
use crate::field::{Field, Value};
use crate::{DecodeError, PieceIndex, Reader, compact};

mod handshake;
mod holepunch;
mod metadata;
mod pex;

pub use handshake::ExtendedHandshake;
pub use holepunch::{Holepunch, HolepunchError, HolepunchKind};
pub use metadata::{METADATA_PIECE, Metadata, MetadataKind};
pub use pex::{Pex, PexPeer};

use pex::whole_endpoints;

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
    /// Whether the sender only uploads (BEP 21).
    UploadOnly,
    /// Any other, by its name.
    Other(Box<str>),
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
            other => Self::Other(String::from_utf8_lossy(other).into()),
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
            (Self::Holepunch, Ok(Content::Holepunch(holepunch))) => holepunch.fields(),
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
    /// The piece the sender no longer has.
    DontHave(PieceIndex),
    /// See [`Holepunch`].
    Holepunch(Holepunch),
    /// Whether the sender upload-only from now on.
    UploadOnly(bool),
    /// Nothing this crate knows more about.
    Other,
}

impl Content {
    /// The payload that says this: the bytes after the extended id. `None` for [`Content::Other`], which keeps nothing
    /// of its payload.
    ///
    /// What was decoded is encoded to the same bytes, except for a dictionary whose own keys were out of order, twice,
    /// or had lengths with leading zeros (those of BEP 3 are written), and for an `upload_only` of neither 0 nor 1.
    pub fn encode(&self) -> Option<Vec<u8>> {
        Some(match self {
            Self::Handshake(handshake) => handshake.encode(),
            Self::Metadata(metadata) => metadata.encode(),
            Self::Pex(pex) => pex.encode(),
            Self::DontHave(piece) => piece.0.to_be_bytes().to_vec(),
            Self::Holepunch(holepunch) => holepunch.encode(),
            Self::UploadOnly(only) => vec![u8::from(*only)],
            Self::Other => return None,
        })
    }
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
        assert_eq!(metadata.data, b"xxxx");
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
    fn the_binary_extensions_encode_to_their_bytes() {
        assert_eq!(Content::DontHave(PieceIndex(0x0102_0304)).encode(), Some(vec![1, 2, 3, 4]));
        assert_eq!(Content::UploadOnly(true).encode(), Some(vec![1]));
        assert_eq!(Content::UploadOnly(false).encode(), Some(vec![0]));
        assert_eq!(Content::Other.encode(), None);
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
        fn what_is_decoded_of_any_regular_dictionary_encodes_to_it(
            entries in prop::collection::btree_map(
                prop::sample::select(vec![
                    "added", "added.f", "added6", "dropped", "m", "msg_type", "p", "piece", "reqq", "total_size",
                    "upload_only", "v", "yourip", "zz",
                ]),
                prop_oneof![
                    Just(b"i0e".to_vec()), Just(b"i1e".to_vec()), Just(b"i-1e".to_vec()), Just(b"i99999e".to_vec()),
                    Just(b"0:".to_vec()), Just(b"1:\xff".to_vec()), Just(b"6:abcdef".to_vec()), Just(b"le".to_vec()),
                    Just(b"d6:ut_pexi1ee".to_vec()),
                ],
                0..14,
            ),
            behind in prop::sample::select(vec!["", "x"]),
        ) {
            let mut payload = bencode::dictionary(|out| entries.iter().for_each(|(key, value)| out.raw(key, value)));
            payload.extend(behind.bytes());
            for extension in [Extension::Handshake, Extension::Metadata, Extension::Pex] {
                if let Ok(content) = extension.decode(&payload) {
                    prop_assert_eq!(content.encode().unwrap(), payload.clone());
                }
            }
        }

        #[test]
        fn fields_tile_any_payload(payload in prop::collection::vec(any::<u8>(), 0..80), which in 0..7usize) {
            use Extension::*;
            let extension =
                [Handshake, Metadata, Pex, DontHave, Holepunch, UploadOnly, Unannounced][which].clone();
            prop_assert_eq!(untiled(&extension.fields(&payload), 0..payload.len()), None);
        }
    }
}
