//! The extended handshake (BEP 10, "handshake message").

use std::net::IpAddr;

use crate::bencode::{self, DictionaryWriter, OtherEntries, View};
use crate::{DecodeError, compact};

/// The dictionary that opens the extension protocol, and may come again to change it (BEP 10, "handshake
/// message"). Absent keys are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtendedHandshake {
    /// Each extension and the id under which the sender wants to receive it; 0 switches it off.
    pub extensions: Vec<(String, u8)>,
    /// The client's name and version.
    pub client: Option<String>,
    /// The TCP port the sender listens on.
    pub port: Option<u16>,
    /// How many requests the sender keeps without dropping any.
    pub reqq: Option<u32>,
    /// The bytes of the torrent's info dictionary (BEP 9).
    pub metadata_size: Option<u64>,
    /// The receiver's address as the sender sees it.
    pub your_ip: Option<IpAddr>,
    /// Whether the sender only uploads (BEP 21).
    pub upload_only: Option<bool>,
    /// All else that the dictionary has, such as `complete_ago` or `e`.
    pub others: OtherEntries,
    /// Bytes after the dictionary. No document allows any; some clients accept them.
    pub trailing: Vec<u8>,
}

impl ExtendedHandshake {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let (document, end) = bencode::scan_prefix(payload)?;
        let root = document.root();
        if !root.is_dictionary() {
            return Err(DecodeError::new(0, "a dictionary"));
        }
        let number = |key: &[u8]| root.get(key).and_then(View::unsigned);
        let extensions = root.get(b"m").and_then(View::entries).into_iter().flatten();
        let mut handshake = Self {
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
            others: OtherEntries::default(),
            trailing: payload[end..].to_vec(),
        };
        handshake.others = OtherEntries::between(root, |out| handshake.write(out));
        Ok(handshake)
    }

    /// The payload that says this, its keys in order; the extensions stand in the order they have here. `m` is written
    /// even without extensions.
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = self.others.dictionary(|out| self.write(out));
        payload.extend_from_slice(&self.trailing);
        payload
    }

    fn write(&self, out: &mut DictionaryWriter<'_>) {
        out.dictionary("m", |out| self.extensions.iter().for_each(|(name, id)| out.integer(name, *id)));
        if let Some(size) = self.metadata_size {
            out.integer("metadata_size", size);
        }
        if let Some(port) = self.port {
            out.integer("p", port);
        }
        if let Some(reqq) = self.reqq {
            out.integer("reqq", reqq);
        }
        if let Some(only) = self.upload_only {
            out.integer("upload_only", u8::from(only));
        }
        if let Some(client) = &self.client {
            out.bytes("v", client);
        }
        if let Some(ip) = self.your_ip {
            out.bytes("yourip", compact::address_bytes(ip));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keeps_what_clients_add() {
        // libtorrent 2.0.8 before it has all pieces, and Transmission 3.00.
        for payload in [
            &b"d12:complete_agoi-1e1:md11:ut_metadatai2ee13:metadata_sizei146e1:pi6885e4:reqqi2000e\
                1:v18:libtorrent/2.0.8.06:yourip4:\x0a\0\0\x03e"[..],
            b"d1:ei0e1:md11:ut_metadatai3ee13:metadata_sizei146e1:pi51413e4:reqqi512e11:upload_onlyi1e\
                1:v17:Transmission 3.00e",
        ] {
            let handshake = ExtendedHandshake::decode(payload).unwrap();
            assert_eq!(handshake.others.iter().count(), 1, "{:?}", handshake.others);
            assert_eq!(handshake.encode().escape_ascii().to_string(), payload.escape_ascii().to_string());
        }
    }

    #[test]
    fn keeps_values_that_no_field_can_hold() {
        for payload in [
            &b"d1:md1:ai256e6:\xffut_xxi1ee1:pi70000e11:upload_onlyi2e1:v2:\xff\xfe6:yourip1:xe"[..],
            b"de",
            b"d1:mlee",
            b"d1:mde4:reqq1:xe",
            b"d1:md2:zzi1e2:aai2eee",
            b"d1:mdeetrailing",
        ] {
            let handshake = ExtendedHandshake::decode(payload).unwrap();
            assert_eq!(handshake.encode().escape_ascii().to_string(), payload.escape_ascii().to_string());
        }
    }

    #[test]
    fn writes_keys_in_order() {
        let handshake = ExtendedHandshake::decode(b"d1:v1:x1:pi1e1:mdee").unwrap();
        assert_eq!(handshake.encode(), b"d1:mde1:pi1e1:v1:xe");
    }

    #[test]
    fn rejects_what_is_not_a_dictionary() {
        for payload in [&b""[..], b"le", b"i1e", b"d1:m", b"x"] {
            assert!(ExtendedHandshake::decode(payload).is_err());
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            extensions in prop::collection::btree_map("[a-z_]{1,9}", any::<u8>(), 0..5),
            client in prop::option::of(".{0,20}"),
            numbers: (Option<u16>, Option<u32>, Option<u64>),
            your_ip: Option<IpAddr>,
            upload_only: Option<bool>,
            ago in prop::option::of(any::<i64>()),
        ) {
            let mut handshake = ExtendedHandshake {
                extensions: extensions.into_iter().collect(),
                client,
                port: numbers.0,
                reqq: numbers.1,
                metadata_size: numbers.2,
                your_ip,
                upload_only,
                ..ExtendedHandshake::default()
            };
            if let Some(ago) = ago {
                handshake.others.set("complete_ago", format!("i{ago}e"));
            }
            prop_assert_eq!(ExtendedHandshake::decode(&handshake.encode()).unwrap(), handshake);
        }
    }
}
