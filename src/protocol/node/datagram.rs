//! Whose a datagram is that came to the one UDP port, told by its first byte.

/// The part of a node that takes a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramOwner {
    /// The node of the DHT: messages are bencoded dictionaries (BEP 5, "KRPC protocol").
    Dht,
    /// The mux of uTP: the first byte holds a type up to 4 and the version 1 (BEP 29, "header format").
    Utp,
}

impl DatagramOwner {
    /// Who takes a datagram with these bytes; `None` for one that is dropped.
    pub const fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [b'd', ..] => Some(Self::Dht),
            &[first, ..] if first & 0x0f == UTP_VERSION && first >> 4 <= LAST_UTP_TYPE => Some(Self::Utp),
            _ => None,
        }
    }
}

/// BEP 29, "version".
const UTP_VERSION: u8 = 1;
/// ST_SYN (BEP 29, "type").
const LAST_UTP_TYPE: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_tells_whose_a_datagram_is() {
        let utp = [0x01, 0x11, 0x21, 0x31, 0x41];
        for first in 0..=u8::MAX {
            let owner = match first {
                b'd' => Some(DatagramOwner::Dht),
                first if utp.contains(&first) => Some(DatagramOwner::Utp),
                _ => None,
            };
            assert_eq!(DatagramOwner::of(&[first, 0, 0]), owner, "{first:#x}");
        }
        assert_eq!(DatagramOwner::of(&[]), None);
    }
}
