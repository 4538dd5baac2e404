//! Peer exchange: messages of ut_pex (BEP 11).

use std::net::SocketAddr;

use crate::bencode::{self, DictionaryWriter, OtherEntries, View};
use crate::{DecodeError, compact};

/// Peers that the sender connected to and lost since its last message (BEP 11).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pex {
    /// Peers connected, IPv4 then IPv6.
    pub added: Vec<PexPeer>,
    /// Peers lost, IPv4 then IPv6.
    pub dropped: Vec<SocketAddr>,
    /// All else that the dictionary has, and which of the keys of BEP 11 are missing.
    pub others: OtherEntries,
    /// Bytes after the dictionary. No document allows any; some clients accept them.
    pub trailing: Vec<u8>,
}

/// A peer in a ut_pex message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PexPeer {
    /// Where it listens.
    pub address: SocketAddr,
    /// The flags of `added.f`, 0 where there are none (BEP 11, "Protocol Extension").
    pub flags: u8,
}

impl PexPeer {
    /// The peer prefers encrypted connections (BEP 11, "Protocol Extension").
    pub const PREFERS_ENCRYPTION: u8 = 0x01;
    /// The peer has every piece, or only uploads.
    pub const SEED: u8 = 0x02;
    /// The peer takes connections over uTP.
    pub const UTP: u8 = 0x04;
    /// The peer speaks holepunch (BEP 55).
    pub const HOLEPUNCH: u8 = 0x08;
    /// The sender opened the connection to the peer, so that the peer can be reached.
    pub const REACHABLE: u8 = 0x10;
}

impl Pex {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let (document, end) = bencode::scan_prefix(payload)?;
        let root = document.root();
        if !root.is_dictionary() {
            return Err(DecodeError::new(0, "a dictionary"));
        }
        let peers = |key: &[u8], ipv6| -> Result<Vec<SocketAddr>, DecodeError> {
            let Some(value) = root.get(key) else { return Ok(Vec::new()) };
            value.bytes().and_then(|bytes| whole_endpoints(bytes, ipv6)).ok_or(DecodeError::new(
                value.span().start,
                "a string of 6 bytes per IPv4 peer, 18 per IPv6 peer",
            ))
        };
        let flags = |key: &[u8]| root.get(key).and_then(View::bytes).unwrap_or_default();
        let mut pex = Self { trailing: payload[end..].to_vec(), ..Self::default() };
        for (peers, flags) in
            [(peers(b"added", false)?, flags(b"added.f")), (peers(b"added6", true)?, flags(b"added6.f"))]
        {
            let flags = flags.iter().copied().chain(std::iter::repeat(0));
            pex.added.extend(peers.into_iter().zip(flags).map(|(address, flags)| PexPeer { address, flags }));
        }
        pex.dropped = peers(b"dropped", false)?;
        pex.dropped.extend(peers(b"dropped6", true)?);
        pex.others = OtherEntries::between(root, |out| pex.write(out));
        Ok(pex)
    }

    /// The payload that says this: all six keys of BEP 11 in order, those without peers as empty strings.
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = self.others.dictionary(|out| self.write(out));
        payload.extend_from_slice(&self.trailing);
        payload
    }

    fn write(&self, out: &mut DictionaryWriter<'_>) {
        let compact = |peers: &mut dyn Iterator<Item = SocketAddr>, ipv6: bool| {
            let mut bytes = Vec::new();
            let most = peers.size_hint().0 * compact::stride(ipv6);
            for peer in peers.filter(|peer| peer.is_ipv6() == ipv6) {
                // Nearly all are of one family.
                if bytes.is_empty() {
                    bytes.reserve(most);
                }
                compact::put_endpoint(&mut bytes, peer);
            }
            bytes
        };
        for (peers, flags, ipv6) in [("added", "added.f", false), ("added6", "added6.f", true)] {
            out.bytes(peers, compact(&mut self.added.iter().map(|peer| peer.address), ipv6));
            let added = self.added.iter().filter(|peer| peer.address.is_ipv6() == ipv6);
            out.bytes(flags, added.map(|peer| peer.flags).collect::<Vec<u8>>());
        }
        out.bytes("dropped", compact(&mut self.dropped.iter().copied(), false));
        out.bytes("dropped6", compact(&mut self.dropped.iter().copied(), true));
    }
}

/// Peers of 6 bytes each, or 18 over IPv6. `None` when the bytes are no whole number of peers.
pub(super) fn whole_endpoints(bytes: &[u8], ipv6: bool) -> Option<Vec<SocketAddr>> {
    bytes.len().is_multiple_of(compact::stride(ipv6)).then(|| compact::endpoints(bytes, ipv6))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn writes_all_keys_in_order() {
        let pex = Pex {
            added: vec![
                PexPeer { address: "10.0.0.2:6881".parse().unwrap(), flags: 0x12 },
                PexPeer { address: "[fd00::1]:6882".parse().unwrap(), flags: 0 },
            ],
            dropped: vec!["10.0.0.5:80".parse().unwrap()],
            ..Pex::default()
        };
        let wanted = b"d5:added6:\x0a\0\0\x02\x1a\xe17:added.f1:\x12\
            6:added618:\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe28:added6.f1:\0\
            7:dropped6:\x0a\0\0\x05\0\x508:dropped60:e";
        assert_eq!(pex.encode().escape_ascii().to_string(), wanted.escape_ascii().to_string());
        assert_eq!(Pex::decode(wanted), Ok(pex));
    }

    #[test]
    fn keeps_missing_keys_and_flags_of_another_number() {
        for payload in [
            &b"de"[..],
            b"d5:added6:abcdefe",
            b"d5:added6:abcdef7:added.f3:\x01\x02\x03e",
            b"d5:added0:7:added.fle7:dropped0:1:xi1ee",
            b"d5:added6:abcdef7:added.f0:etrailing",
        ] {
            let pex = Pex::decode(payload).unwrap();
            assert_eq!(pex.encode().escape_ascii().to_string(), payload.escape_ascii().to_string());
        }
    }

    #[test]
    fn rejects_peers_of_a_wrong_stride() {
        assert_eq!(Pex::decode(b"d5:added5:abcdee").unwrap_err().offset, 8);
        assert_eq!(Pex::decode(b"d8:dropped66:abcdefe").unwrap_err().offset, 11);
        assert!(Pex::decode(b"le").is_err());
    }

    fn sorted_by_family(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        addresses.sort_by_key(SocketAddr::is_ipv6);
        addresses
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            added in prop::collection::vec(any::<(IpAddr, u16)>(), 0..6),
            dropped in prop::collection::vec(any::<(IpAddr, u16)>(), 0..6),
            flags: u8,
        ) {
            let added = sorted_by_family(added.into_iter().map(SocketAddr::from).collect());
            let pex = Pex {
                added: added.into_iter().map(|address| PexPeer { address, flags }).collect(),
                dropped: sorted_by_family(dropped.into_iter().map(SocketAddr::from).collect()),
                ..Pex::default()
            };
            prop_assert_eq!(Pex::decode(&pex.encode()).unwrap(), pex);
        }
    }
}
