//! The header before each datagram that a SOCKS5 proxy passes on (RFC 1928, section 7).

use super::{FieldReader, ProxyTarget, encode_address};
use crate::{DecodeError, Reader};

/// The longest header: 4 bytes, a length, a name of 255 bytes and a port.
pub const MAX_DATAGRAM_HEADER: usize = 4 + 1 + 255 + 2;

/// The header of a datagram between a client and a SOCKS5 proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatagramHeader {
    /// For whom the datagram is, or who sent it: the end beyond the proxy.
    pub target: ProxyTarget,
    /// How many bytes the header has; the payload stands after.
    pub length: usize,
}

impl DatagramHeader {
    /// Reads the header that `bytes` begin with.
    ///
    /// # Errors
    /// Where its reserved bytes are not 0, where the datagram is a fragment, and where it ends within the header.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u16("two reserved bytes")? != 0 {
            return Err(DecodeError::new(0, "two reserved bytes of 0"));
        }
        if reader.u8("the number of a fragment")? != 0 {
            return Err(DecodeError::new(2, "a datagram that is not a fragment"));
        }
        let mut parts = FieldReader { reader: &mut reader, fields: Vec::new() };
        let target = parts
            .socks5_address()
            .map_err(|_| DecodeError::new(3, "an address type, an address and a port"))?;
        Ok(Self { target, length: reader.offset() })
    }

    /// The header for a datagram to `target`; `None` where its name has more than 255 bytes.
    pub fn encode(target: &ProxyTarget) -> Option<Vec<u8>> {
        let mut bytes = vec![0, 0, 0];
        encode_address(target, &mut bytes)?;
        Some(bytes)
    }
}
