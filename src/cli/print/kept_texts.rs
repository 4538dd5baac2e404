//! Texts that most messages of a capture share with the messages before them: the addresses, the torrent, the second. Each
//! is made once and copied from then on. JSON and CSV have the same texts, JSON between quotation marks.

use std::net::{IpAddr, SocketAddr};

use bittrace_protocol::{InfoHash, Timestamp};

use crate::print::units::rfc3339;

/// Texts of earlier messages.
#[derive(Debug)]
pub(crate) struct KeptTexts {
    hash: Option<(InfoHash, String)>,
    /// An address stands at the place that [`place_of`] gives it, until another address takes the place.
    ends: Vec<Option<(SocketAddr, String)>>,
    /// The second of the last moment since the epoch, and its text without what follows the seconds.
    second: Option<(i64, String)>,
}

/// Addresses whose text is kept: more than a client has peers at once. A power of two.
const ENDS: usize = 1024;

const NANOS_PER_SEC: i64 = 1_000_000_000;

impl Default for KeptTexts {
    fn default() -> Self {
        Self { hash: None, ends: vec![None; ENDS], second: None }
    }
}

impl KeptTexts {
    /// Adds a moment to a line, as [`rfc3339`] writes it.
    pub(crate) fn push_time(&mut self, at: Timestamp, line: &mut Vec<u8>) {
        let nanos = at.as_nanos();
        let second = nanos.div_euclid(NANOS_PER_SEC);
        let text = match &mut self.second {
            Some((known, text)) if *known == second => text,
            place => {
                let mut text = rfc3339(Timestamp::from_secs_nanos(second, 0));
                text.truncate(text.find('.').unwrap_or(text.len()));
                &place.insert((second, text)).1
            }
        };
        line.extend_from_slice(text.as_bytes());
        let fraction = nanos.rem_euclid(NANOS_PER_SEC) as u32;
        let (mut rest, digits) =
            if fraction.is_multiple_of(1000) { (fraction / 1000, 6) } else { (fraction, 9) };
        let mut shown = *b".000000000Z";
        shown[digits + 1] = b'Z';
        for place in shown[1..=digits].iter_mut().rev() {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        line.extend_from_slice(&shown[..digits + 2]);
    }

    /// Adds an address and its port to a line.
    pub(crate) fn push_end(&mut self, end: SocketAddr, line: &mut Vec<u8>) {
        let text = match &mut self.ends[place_of(end)] {
            Some((known, text)) if *known == end => text,
            place => &place.insert((end, end.to_string())).1,
        };
        line.extend_from_slice(text.as_bytes());
    }

    /// Adds an info hash to a line.
    pub(crate) fn push_hash(&mut self, hash: InfoHash, line: &mut Vec<u8>) {
        let text = match &mut self.hash {
            Some((known, text)) if *known == hash => text,
            place => &place.insert((hash, hash.to_string())).1,
        };
        line.extend_from_slice(text.as_bytes());
    }
}

/// Where the text of an address is kept. Addresses that share a place cost time, never memory.
fn place_of(end: SocketAddr) -> usize {
    let address = match end.ip() {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            (bits ^ bits >> 32 ^ bits >> 64) as u32
        }
    };
    // Fibonacci hashing (Knuth, volume 3, section 6.4): the high bits of the product depend on all bits.
    let mixed = (address ^ u32::from(end.port()).rotate_left(16)).wrapping_mul(0x9e37_79b9);
    (mixed >> (u32::BITS - ENDS.ilog2())) as usize
}

/// Adds a number to a line.
pub(crate) fn push_number(number: u64, line: &mut Vec<u8>) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut line = Vec::new();
        write(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn moments_before_the_epoch_and_with_nanoseconds_are_written_as_elsewhere() {
        let mut texts = KeptTexts::default();
        for nanos in
            [i64::MIN, -1, 0, 1, 999_999_000, 1_767_323_045_123_456_000, 1_767_323_045_123_456_007, i64::MAX]
        {
            let at = Timestamp::from_nanos(nanos);
            assert_eq!(written(|line| texts.push_time(at, line)), rfc3339(at));
        }
    }

    #[test]
    fn addresses_that_share_a_place_keep_their_own_texts() {
        let mut texts = KeptTexts::default();
        for _ in 0..2 {
            for number in 0..3 * ENDS as u32 {
                let four = SocketAddr::from((Ipv4Addr::from(number), 6881));
                let six = SocketAddr::from((Ipv4Addr::from(number).to_ipv6_compatible(), 6881));
                for end in [four, six] {
                    assert_eq!(written(|line| texts.push_end(end, line)), end.to_string());
                }
            }
        }
        assert_eq!(texts.ends.len(), ENDS);
    }

    #[test]
    fn a_swarm_of_neighbours_seldom_shares_places() {
        let ends = (0..200).map(|number| SocketAddr::from(([10, 0, 1, number], 6881)));
        let places: std::collections::HashSet<_> = ends.map(place_of).collect();
        assert!(places.len() > 170, "{}", places.len());
    }
}
