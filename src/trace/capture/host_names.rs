//! The names of addresses that a capture holds itself: the name resolution block of pcapng (draft-ietf-opsawg-pcapng, "Name
//! Resolution Block").

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::RandomState;

use super::byte_order::ByteOrder;

/// An address and its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName {
    /// The address.
    pub address: IpAddr,
    /// Its names, as the capture has them; none is empty.
    pub names: Vec<String>,
}

/// The groups to which the hosts of a capture belong by their names: `leecher` for `leecher-17`.
#[derive(Debug)]
pub struct HostGroups<'a>(HashMap<IpAddr, &'a str, RandomState>);

impl<'a> HostGroups<'a> {
    /// The groups of these hosts.
    pub fn new(hosts: &'a [HostName]) -> Self {
        let named = |host: &'a HostName| Some((host.address, group_of(host.names.first()?)));
        Self(hosts.iter().filter_map(named).collect())
    }

    /// That of a host; `None` where the host has no name.
    pub fn of(&self, address: IpAddr) -> Option<&'a str> {
        self.0.get(&address).copied()
    }

    /// Whether no host has a name.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A name without the number at its end.
fn group_of(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((group, number)) if !group.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            group
        }
        _ => name,
    }
}

/// The names of a capture, as far as they are kept.
#[derive(Debug, Default)]
pub(super) struct HostNames {
    hosts: Vec<HostName>,
    /// How much memory they take, about.
    cost: usize,
}

/// So many bytes of names are kept. Wireshark writes a name for each address that it has resolved.
const KEPT: usize = 4 << 20;
/// What an address with a name costs beside the text.
const OVERHEAD: usize = size_of::<HostName>() + size_of::<String>();

/// The types of records, and of the block.
pub(crate) const IPV4_NAMES: u16 = 1;
pub(crate) const IPV6_NAMES: u16 = 2;
pub(crate) const NAME_RESOLUTION: u32 = 4;

impl HostNames {
    pub(super) fn hosts(&self) -> &[HostName] {
        &self.hosts
    }

    /// Takes in a block. Names are not needed to read packets, so what is wrong with them is passed over.
    pub(super) fn learn(&mut self, order: ByteOrder, block: &[u8]) {
        let mut records = block.get(8..block.len().saturating_sub(4)).unwrap_or_default();
        while records.len() >= 4 {
            let (kind, length) = (order.u16(records, 0), usize::from(order.u16(records, 2)));
            let Some(value) = records.get(4..4 + length) else { return };
            let named = match kind {
                0 => return,
                IPV4_NAMES => value.split_first_chunk::<4>().map(|(ip, names)| (IpAddr::from(*ip), names)),
                IPV6_NAMES => value.split_first_chunk::<16>().map(|(ip, names)| (IpAddr::from(*ip), names)),
                _ => None,
            };
            if let Some((address, names)) = named {
                self.add(address, names);
            }
            records = records.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
        }
    }

    fn add(&mut self, address: IpAddr, names: &[u8]) {
        let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let cost = names.iter().map(|name| OVERHEAD + name.len()).sum::<usize>();
        if !names.is_empty() && self.cost + cost <= KEPT {
            self.cost += cost;
            self.hosts.push(HostName { address, names });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_one_name_and_several_numbers_are_a_group() {
        let host = |last: u8, name: &str| HostName {
            address: [10, 0, 0, last].into(),
            names: vec![name.to_owned()],
        };
        let hosts =
            [host(1, "leecher-1"), host(2, "leecher-12"), host(3, "tracker"), host(4, "-7"), host(5, "a-b")];
        let groups = HostGroups::new(&hosts);
        let of = |last: u8| groups.of([10, 0, 0, last].into());
        assert_eq!(
            [1, 2, 3, 4, 5, 6].map(of),
            [Some("leecher"), Some("leecher"), Some("tracker"), Some("-7"), Some("a-b"), None]
        );
    }

    /// A block of records in big endian.
    fn block(records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut block = vec![0, 0, 0, 4, 0, 0, 0, 0];
        for (kind, value) in records {
            block.extend_from_slice(&kind.to_be_bytes());
            block.extend_from_slice(&(value.len() as u16).to_be_bytes());
            block.extend_from_slice(value);
            block.resize(block.len().next_multiple_of(4), 0);
        }
        block.extend_from_slice(&[0; 4]);
        block
    }

    #[test]
    fn names_of_both_families_are_read() {
        let mut v6 = vec![0xfd; 16];
        v6.extend_from_slice(b"peer\0");
        let records: &[(u16, &[u8])] = &[
            (1, b"\x0a\0\0\x01tracker\0tracker.example\0"),
            (3, b"unknown"),
            (2, &v6),
            (0, &[]),
            (1, b"\x0a\0\0\x02late\0"),
        ];
        let mut names = HostNames::default();
        names.learn(ByteOrder::Big, &block(records));
        let seen: Vec<_> =
            names.hosts().iter().map(|host| (host.address.to_string(), host.names.join(" "))).collect();
        let fd = "fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd";
        let expected = [("10.0.0.1", "tracker tracker.example"), (fd, "peer")];
        assert_eq!(seen, expected.map(|(address, names)| (address.to_owned(), names.to_owned())));
    }

    #[test]
    fn what_is_wrong_with_names_is_passed_over() {
        let whole = block(&[(1, b"\x0a\0\0\x01tracker\0"), (2, b"short"), (1, b"\x0a\0\0\x01\0\0")]);
        for length in 0..whole.len() {
            let mut names = HostNames::default();
            names.learn(ByteOrder::Big, &whole[..length]);
            assert!(names.hosts().len() <= 1);
        }
    }

    #[test]
    fn names_are_kept_within_a_bound() {
        let mut names = HostNames::default();
        let block = block(&[(1, &[b"\x0a\0\0\x01".to_vec(), vec![b'x'; 60_000]].concat())]);
        for _ in 0..100 {
            names.learn(ByteOrder::Big, &block);
        }
        assert!(names.cost <= KEPT && names.hosts().len() == KEPT / (60_000 + OVERHEAD));
    }
}
