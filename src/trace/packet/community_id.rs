//! Community ID: the name that Zeek, Suricata, Arkime and Wireshark give the same conversation, so that their logs can be
//! joined. Version 1 of the specification (github.com/corelight/community-id-spec), with seed 0.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::four_tuple::{PacketEnds, RecentConversations};
use crate::record::{Record, Transport};

/// The Community ID of a conversation, such as `1:LQU9qZlK+B5F3KDmev6m5PMibrg=`. Both directions have the same. uTP is
/// UDP here. In a tunnel or behind a proxy the two ends are those that [`Record`] names.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommunityId([u8; CommunityId::LENGTH]);

impl CommunityId {
    /// The characters of every Community ID: the version, a colon, and 20 bytes in base64.
    pub const LENGTH: usize = 30;

    /// The Community ID of the conversation between two ends, whichever of them sends.
    pub fn of(source: SocketAddr, destination: SocketAddr, transport: Transport) -> Self {
        // An address orders two ends before the port does, by its bytes as they are sent.
        let ordered = if source <= destination { [source, destination] } else { [destination, source] };
        let mut hash = Sha1::new();
        hash.update(SEED);
        for end in ordered {
            match end.ip() {
                IpAddr::V4(address) => hash.update(address.octets()),
                IpAddr::V6(address) => hash.update(address.octets()),
            }
        }
        // The byte after the protocol is padding.
        hash.update([ip_protocol(transport), 0]);
        for end in ordered {
            hash.update(end.port().to_be_bytes());
        }
        let mut text = [0; Self::LENGTH];
        let (version, digest) = text.split_at_mut(VERSION.len());
        version.copy_from_slice(VERSION);
        STANDARD.encode_slice(hash.finalize(), digest).expect("20 bytes are 28 characters in base64");
        Self(text)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base64 is ASCII")
    }
}

impl fmt::Display for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommunityId({self})")
    }
}

const VERSION: &[u8] = b"1:";

/// The seed that everybody has who did not choose one.
const SEED: [u8; 2] = [0, 0];

/// The protocol's number in an IP header.
const fn ip_protocol(transport: Transport) -> u8 {
    match transport {
        Transport::Tcp => 6,
        Transport::Udp | Transport::Utp => 17,
    }
}

/// The Community IDs of the records of a capture. A conversation is hashed once for as long as its place is not taken by
/// another: memory is bounded by [`RecentConversations`].
#[derive(Debug, Clone, Default)]
pub struct CommunityIds {
    recent: Option<RecentConversations<Known>>,
}

/// A conversation that was hashed. Its ends alone do not name it: TCP and UDP may have the same ends, and an IPv4 address
/// is the same key as its form in IPv6.
#[derive(Debug, Clone, Copy)]
struct Known {
    ip_protocol: u8,
    is_ipv4: bool,
    id: CommunityId,
}

impl CommunityIds {
    /// The Community ID of the conversation that a record belongs to.
    pub fn of(&mut self, record: &Record) -> CommunityId {
        let ip_protocol = ip_protocol(record.transport);
        let is_ipv4 = record.source.is_ipv4();
        let PacketEnds { between, .. } = PacketEnds::new(record.source, record.destination);
        let recent = self.recent.get_or_insert_default();
        match recent.get(&between) {
            Some(known) if known.ip_protocol == ip_protocol && known.is_ipv4 == is_ipv4 => known.id,
            _ => {
                let id = CommunityId::of(record.source, record.destination, record.transport);
                recent.keep(between, Known { ip_protocol, is_ipv4, id });
                id
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(source: &str, destination: &str, transport: Transport) -> String {
        let end = |text: &str| text.parse().unwrap();
        CommunityId::of(end(source), end(destination), transport).to_string()
    }

    // Published with the specification and with Zeek's implementation.
    #[test]
    fn has_the_text_of_the_specification() {
        let cases = [
            ("128.232.110.120:34855", "66.35.250.204:80", Transport::Tcp, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            ("192.168.1.52:54585", "8.8.8.8:53", Transport::Udp, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
            ("192.168.1.52:54585", "8.8.8.8:53", Transport::Utp, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
            ("1.2.3.4:1122", "5.6.7.8:3344", Transport::Tcp, "1:wCb3OG7yAFWelaUydu0D+125CLM="),
        ];
        for (source, destination, transport, expected) in cases {
            assert_eq!(id(source, destination, transport), expected);
            assert_eq!(id(destination, source, transport), expected);
        }
    }

    #[test]
    fn the_address_orders_the_ends_before_the_port_does() {
        let (there, back) = (
            id("10.0.0.9:1", "10.0.0.10:2", Transport::Tcp),
            id("10.0.0.10:2", "10.0.0.9:1", Transport::Tcp),
        );
        assert_eq!(there, back);
        // The same addresses with the ports swapped are another conversation.
        assert_ne!(there, id("10.0.0.9:2", "10.0.0.10:1", Transport::Tcp));
        // Between two ports of one address, the lesser port is first.
        assert_eq!(
            id("10.0.0.9:1", "10.0.0.9:2", Transport::Tcp),
            id("10.0.0.9:2", "10.0.0.9:1", Transport::Tcp)
        );
    }
}
