//! Two peers behind NAT brought together: messages of ut_holepunch (BEP 55).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::field::{Field, Value};
use crate::{DecodeError, Reader, compact};

/// A message of ut_holepunch (BEP 55).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holepunch {
    /// Rendezvous, connect or error.
    pub kind: HolepunchKind,
    /// The endpoint it is about.
    pub endpoint: SocketAddr,
    /// Why a rendezvous failed; 0 in the other messages, where some clients leave it out: `None`.
    pub error: Option<u32>,
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

/// Why a relay does not bring two peers together (BEP 55, "Error Codes").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HolepunchError {
    /// The target endpoint is invalid.
    NoSuchPeer = 1,
    /// The relay is not connected to the target.
    NotConnected = 2,
    /// The target does not speak holepunch.
    NoSupport = 3,
    /// The target is the asking peer.
    NoSelf = 4,
}

impl HolepunchError {
    /// What a code says; `None` for 0, which is no error, and for unknown codes.
    pub const fn from_code(code: u32) -> Option<Self> {
        match code {
            1 => Some(Self::NoSuchPeer),
            2 => Some(Self::NotConnected),
            3 => Some(Self::NoSupport),
            4 => Some(Self::NoSelf),
            _ => None,
        }
    }

    /// The document's words for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoSuchPeer => "no such peer",
            Self::NotConnected => "not connected",
            Self::NoSupport => "no support",
            Self::NoSelf => "no self",
        }
    }
}

impl HolepunchKind {
    const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Rendezvous,
            1 => Self::Connect,
            2 => Self::Error,
            other => Self::Unknown(other),
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::Rendezvous => 0,
            Self::Connect => 1,
            Self::Error => 2,
            Self::Unknown(number) => number,
        }
    }

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
    pub(super) fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let kind = HolepunchKind::from_number(reader.u8("a message type")?);
        let address = match reader.u8("an address type")? {
            0 => IpAddr::V4(Ipv4Addr::from(reader.array::<4>("an IPv4 address")?)),
            1 => IpAddr::V6(Ipv6Addr::from(reader.array::<16>("an IPv6 address")?)),
            _ => return Err(DecodeError::new(1, "address type 0 (IPv4) or 1 (IPv6)")),
        };
        let endpoint = SocketAddr::new(address, reader.u16("a port")?);
        let error = if reader.remaining() == 0 { None } else { Some(reader.u32("an error code")?) };
        reader.end("the end of the message")?;
        Ok(Self { kind, endpoint, error })
    }

    /// The payload that says this.
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = vec![self.kind.number(), u8::from(self.endpoint.is_ipv6())];
        compact::put_endpoint(&mut payload, self.endpoint);
        if let Some(error) = self.error {
            payload.extend_from_slice(&error.to_be_bytes());
        }
        payload
    }

    pub(super) fn fields(&self) -> Vec<Field> {
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
        if let Some(error) = self.error {
            let span = address_end + 2..address_end + 6;
            fields.push(Field::content("err_code", span, Value::Unsigned(u64::from(error))));
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::field::untiled;

    #[test]
    fn writes_both_families_with_and_without_an_error_code() {
        // rendezvous, IPv4, 10.0.0.9:6881, no error
        let bytes = [0, 0, 10, 0, 0, 9, 0x1a, 0xe1, 0, 0, 0, 0];
        let endpoint = "10.0.0.9:6881".parse().unwrap();
        let rendezvous = Holepunch { kind: HolepunchKind::Rendezvous, endpoint, error: Some(0) };
        assert_eq!(rendezvous.encode(), bytes);
        assert_eq!(Holepunch { error: None, ..rendezvous }.encode(), bytes[..8]);
        // error, IPv6, [fd00::1]:6882, no such peer
        let bytes = [2, 1, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x1a, 0xe2, 0, 0, 0, 1];
        let endpoint = "[fd00::1]:6882".parse().unwrap();
        let error = Holepunch { kind: HolepunchKind::Error, endpoint, error: Some(1) };
        assert_eq!(error.encode(), bytes);
    }

    #[test]
    fn codes_of_errors_are_those_of_the_document() {
        let names: Vec<_> =
            (0..6).map(|code| HolepunchError::from_code(code).map(HolepunchError::name)).collect();
        let known = ["no such peer", "not connected", "no support", "no self"].map(Some);
        assert_eq!(names, [&[None][..], &known, &[None]].concat());
        assert!((1..5).all(|code| HolepunchError::from_code(code).is_some_and(|error| error as u32 == code)));
    }

    #[test]
    fn rejects_other_families_and_other_lengths() {
        for bytes in [
            &[0, 2, 1, 2, 3, 4, 5, 6][..],
            &[0, 0, 1, 2, 3, 4, 5, 6, 0],
            &[0, 0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0],
        ] {
            assert!(Holepunch::decode(bytes).is_err());
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(kind: u8, ip: IpAddr, port: u16, error: Option<u32>) {
            let kind = HolepunchKind::from_number(kind % 5);
            let holepunch = Holepunch { kind, endpoint: SocketAddr::new(ip, port), error };
            let bytes = holepunch.encode();
            prop_assert_eq!(untiled(&holepunch.fields(), 0..bytes.len()), None);
            prop_assert_eq!(Holepunch::decode(&bytes).unwrap(), holepunch);
        }
    }
}
