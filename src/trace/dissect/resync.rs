//! Where messages begin again after bytes were lost, proved by the grammar of the messages themselves.
//!
//! A place is believed when the messages that would begin there agree with the protocol in so many bits that
//! chance cannot have done it. Zeros prove nothing: a stream of them reads as keep-alives. The verdict depends
//! on the bytes alone, never on how they were cut into packets.

use bittrace_protocol::wire::MessageId;

/// How many bits of agreement prove a place.
pub(crate) const PROOF: u32 = 80;

/// How far after a place its proof may stand: two blocks of 128 KiB, the largest that clients ask for.
pub(crate) const REACH: usize = 256 * 1024 + 64;

/// The bits that prove messages which nothing stands before: those of a `have`.
const SHORT_PROOF: u32 = 40;

/// The bits that prove messages after other bytes, when they end where the stream does: that is proof as well.
const END_PROOF: u32 = 60;

/// How many messages of a proof may prove nothing more: bitfields after the first, and extended messages after the
/// first that is no dictionary. Other protocols have a length and the same byte after it in each of their messages, as
/// LDAP with SASL has the 5 of a bitfield. Without a bound a chain of them would be walked again from each of its places.
const WEAK: usize = 16;

/// How many keep-alives may stand among the messages of a proof: zeros look like nothing else.
const KEEP_ALIVES: usize = 2;

/// What a search found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Search {
    /// A message begins at this offset.
    Found(usize),
    /// None begins before this offset; more bytes must tell about the rest.
    NotBefore(usize),
}

/// Looks for the first place from `from` on where messages provably begin.
pub(crate) fn search(bytes: &[u8], from: usize) -> Search {
    for at in from..bytes.len() {
        match judge(&bytes[at..]) {
            Judgement::Proved => return Search::Found(at),
            Judgement::Refuted => {}
            Judgement::Open => return Search::NotBefore(at),
        }
    }
    Search::NotBefore(bytes.len())
}

/// The first place from `from` on where messages provably begin, when `bytes` are all that there is to judge by. What
/// could begin a long message would else hide all that stands after it.
pub(crate) fn search_all(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len()).find(|&at| matches!(judge(&bytes[at..]), Judgement::Proved))
}

/// Where messages begin in the last bytes of a stream that is known to be peer wire, or the last before a loss: the
/// first place from `from` on that is proved, or from which messages read to the last byte.
pub(crate) fn search_end(bytes: &[u8], from: usize) -> Option<usize> {
    let runs = runs(bytes);
    // Keep-alives in front are not believed: the end of a block of zeros looks like them.
    let reads = |at: usize, proof: u32, keep_alives: usize| match runs[at] {
        Some(run) if run.bits >= proof && run.keep_alives <= keep_alives => !bytes[at..].starts_with(&[0; 4]),
        Some(_) | None => false,
    };
    if reads(0, SHORT_PROOF, usize::MAX) {
        return Some(0);
    }
    (from..bytes.len())
        .find(|&at| judge(&bytes[at..]) == Judgement::Proved || reads(at, END_PROOF, KEEP_ALIVES))
}

/// As [`search_end`], where encrypted bytes stand before the messages: these are random. A chain of messages that reads
/// to the last byte is then proof, however short the chain is: the 32 bits of its first length prefix name that byte.
pub(crate) fn search_end_behind_noise(bytes: &[u8], from: usize) -> Option<usize> {
    let runs = runs(bytes);
    let reads = |at: usize| runs[at].is_some_and(|run| run.bits > 0) && !bytes[at..].starts_with(&[0; 4]);
    (from..bytes.len()).find(|&at| judge(&bytes[at..]) == Judgement::Proved || reads(at))
}

/// Messages that stand one after the other, up to the last byte.
#[derive(Debug, Clone, Copy)]
struct MessageChain {
    /// In how many bits they agree with the protocol.
    bits: u32,
    /// Which kinds of messages stand in it that prove something only once.
    counted: CountedKinds,
    keep_alives: usize,
}

/// The kinds of messages that prove something only once in a chain, of which one stands in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct CountedKinds {
    bitfield: bool,
    opaque: bool,
}

impl CountedKinds {
    /// The bits that a message of this strength adds to a proof: 0 of a kind that was counted.
    const fn count(&mut self, strength: Strength, bits: u32) -> u32 {
        let counted = match strength {
            Strength::Each => return bits,
            Strength::OneBitfield => &mut self.bitfield,
            Strength::OneOpaque => &mut self.opaque,
        };
        if *counted {
            return 0;
        }
        *counted = true;
        bits
    }
}

/// The messages that begin at each place of `bytes`, and at their end, where they read to the last byte. What stands after
/// a message is judged once for all that lead there, so the time grows with the number of bytes and no faster.
fn runs(bytes: &[u8]) -> Vec<Option<MessageChain>> {
    let mut runs = vec![None; bytes.len() + 1];
    let nothing = MessageChain { bits: 0, counted: CountedKinds::default(), keep_alives: 0 };
    runs[bytes.len()] = Some(nothing);
    for at in (0..bytes.len()).rev() {
        let (length, bits, strength, keep_alives) = match step(&bytes[at..]) {
            Step::Message { length, bits, strength } => (length, bits, strength, 0),
            Step::KeepAlive => (4, 0, Strength::Each, 1),
            Step::Short | Step::Wrong => continue,
        };
        let Some(&Some(mut chain)) = runs.get(at + length) else { continue };
        chain.bits = chain.bits.saturating_add(chain.counted.count(strength, bits));
        chain.keep_alives += keep_alives;
        runs[at] = Some(chain);
    }
    runs
}

#[derive(Debug, PartialEq, Eq)]
enum Judgement {
    Proved,
    Refuted,
    Open,
}

fn judge(bytes: &[u8]) -> Judgement {
    let mut at = 0;
    let mut agreement = 0;
    let mut messages = 0;
    let mut keep_alives = 0;
    let mut counted = CountedKinds::default();
    let mut weak = 0;
    let mut before: &[u8] = &[];
    loop {
        if agreement >= PROOF && messages >= 2 {
            return Judgement::Proved;
        }
        if at > REACH {
            return Judgement::Refuted;
        }
        let Some(rest) = bytes.get(at..) else { return Judgement::Open };
        match step(rest) {
            Step::Message { length, bits, strength } => {
                // What repeats agrees by itself, whatever it is.
                let whole = length.min(HEAD);
                let head = &rest[..whole.min(rest.len())];
                if head == before {
                    return Judgement::Refuted;
                }
                // What more bytes may yet show to be the same is not another message.
                if head.len() < whole && before.starts_with(head) {
                    return Judgement::Open;
                }
                before = head;
                at += length;
                let bits = counted.count(strength, bits);
                weak += usize::from(bits == 0);
                if weak > WEAK {
                    return Judgement::Refuted;
                }
                agreement += bits;
                messages += 1;
            }
            Step::KeepAlive if messages == 0 || keep_alives == KEEP_ALIVES => return Judgement::Refuted,
            Step::KeepAlive => {
                at += 4;
                keep_alives += 1;
            }
            Step::Short => return Judgement::Open,
            Step::Wrong => return Judgement::Refuted,
        }
    }
}

enum Step {
    /// A message, its prefix included, and the bits in which it agrees with the protocol.
    Message {
        length: usize,
        bits: u32,
        strength: Strength,
    },
    KeepAlive,
    /// Too few bytes to tell.
    Short,
    Wrong,
}

/// How often messages of a kind prove something in one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strength {
    /// Each of them.
    Each,
    /// One bitfield. Peers send one, and aria2 some more, but what follows from them is no more than from one.
    OneBitfield,
    /// One extended message that is no dictionary.
    OneOpaque,
}

/// The bytes by which a message is judged: a prefix, an id and three numbers.
const HEAD: usize = 17;

/// Judges the message that `bytes` begin with, from at most its first [`HEAD`] bytes.
fn step(bytes: &[u8]) -> Step {
    let Some(prefix) = bytes.first_chunk::<4>() else {
        // The first byte of every believable prefix is zero.
        return if bytes.first().is_none_or(|&byte| byte == 0) { Step::Short } else { Step::Wrong };
    };
    let length = u32::from_be_bytes(*prefix);
    if length == 0 {
        return Step::KeepAlive;
    }
    if length > LONGEST {
        return Step::Wrong;
    }
    let Some(&id) = bytes.get(4) else { return Step::Short };
    let number = |at: usize| -> Option<u32> { Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?)) };
    let id = MessageId(id);
    // Bits: 32 for an exact prefix and 8 for an id; then what the numbers that follow could have been.
    let bits = match (id, length) {
        (MessageId::CHOKE | MessageId::UNCHOKE | MessageId::INTERESTED | MessageId::NOT_INTERESTED, 1)
        | (MessageId::HAVE_ALL | MessageId::HAVE_NONE, 1) => Some(20),
        // Each message must agree in some bits, or a chain of them would be walked again from each of its places.
        (MessageId::HAVE | MessageId::SUGGEST_PIECE | MessageId::ALLOWED_FAST, 5) => match number(5) {
            Some(PIECES..) => return Step::Wrong,
            index => index.map(|_| 48),
        },
        (MessageId::REQUEST | MessageId::CANCEL | MessageId::REJECT_REQUEST | MessageId::PIECE, 10..)
            if matches!(number(5), Some(PIECES..)) || matches!(number(9), Some(PIECE_BYTES..)) =>
        {
            return Step::Wrong;
        }
        (MessageId::REQUEST | MessageId::CANCEL | MessageId::REJECT_REQUEST, 13) => match number(13) {
            Some(1..=0x2_0000) => {
                Some(if bytes[11..13].iter().all(|&byte| byte & 0x3f == 0) { 60 } else { 46 })
            }
            Some(_) => return Step::Wrong,
            None => None,
        },
        (MessageId::PIECE, 10..=0x2_0009) => number(9).map(|begin| {
            let aligned = if begin % 0x4000 == 0 { 14 } else { 0 };
            let small = if bytes[5] == 0 && begin < 1 << 26 { 14 } else { 0 };
            23 + aligned + small
        }),
        (MessageId::PORT, 3) => Some(40),
        (MessageId::BITFIELD, 2..=0x10_0000) => Some(16),
        // upload_only (BEP 21) has one byte after the id, or none.
        (MessageId::EXTENDED, 2..4) => Some(OPAQUE),
        (MessageId::EXTENDED, 4..) => match (bytes.get(5), bytes.get(6), bytes.get(7)) {
            (Some(_), Some(b'd'), Some(b'0'..=b'9')) => Some(36),
            (Some(_), Some(_), Some(_)) => Some(OPAQUE),
            _ => None,
        },
        (MessageId::HASH_REQUEST | MessageId::HASH_REJECT, 49) => Some(40),
        (MessageId::HASHES, 49..) if (length - 49).is_multiple_of(32) => Some(24),
        _ => return Step::Wrong,
    };
    let strength = match id {
        MessageId::BITFIELD => Strength::OneBitfield,
        MessageId::EXTENDED if bits == Some(OPAQUE) => Strength::OneOpaque,
        _ => Strength::Each,
    };
    match bits {
        Some(bits) => Step::Message { length: 4 + length as usize, bits, strength },
        None => Step::Short,
    }
}

/// The bits of an extended message that is no dictionary, of which the id alone agrees.
const OPAQUE: u32 = 8;

/// No torrent has so many pieces.
const PIECES: u32 = 1 << 24;

/// No piece has so many bytes: the largest that clients make are 128 MiB.
const PIECE_BYTES: u32 = 1 << 28;

/// The longest message believed while searching: smaller than what is believed where messages are known to
/// begin, since here the length must prove something.
const LONGEST: u32 = 0x10_0000 + 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_repeats_proves_nothing_while_it_comes() {
        let extended = [&[0, 0, 0, 22, 20, 1][..], b"d5:added6:abcdefe..."].concat();
        let bytes = [&[0, 0, 0, 1, 1][..], &extended, &extended].concat();
        for end in 0..bytes.len() {
            assert_ne!(judge(&bytes[..end]), Judgement::Proved, "{end} bytes");
        }
        assert_eq!(judge(&bytes), Judgement::Refuted);
    }

    fn piece(index: u32, begin: u32, fill: u8, length: usize) -> Vec<u8> {
        let mut bytes = (length as u32 + 9).to_be_bytes().to_vec();
        bytes.push(7);
        bytes.extend(index.to_be_bytes());
        bytes.extend(begin.to_be_bytes());
        bytes.resize(bytes.len() + length, fill);
        bytes
    }

    #[test]
    fn finds_pieces_behind_the_rest_of_a_block() {
        for fill in [0, 0xff, 7, b'd'] {
            let mut bytes = vec![fill; 5000];
            for number in 0..3 {
                bytes.extend(piece(9, number * 0x4000, fill, 0x4000));
            }
            assert_eq!(search(&bytes, 0), Search::Found(5000), "blocks of {fill:#x}");
        }
    }

    #[test]
    fn finds_requests_and_haves() {
        // the end of a request, then two whole ones: piece 3, 16 KiB at 0x4000 and 0x8000
        let mut bytes = vec![0, 0, 0x40, 0];
        bytes.extend([0, 0, 0, 13, 6, 0, 0, 0, 3, 0, 0, 0x40, 0, 0, 0, 0x40, 0]);
        bytes.extend([0, 0, 0, 13, 6, 0, 0, 0, 3, 0, 0, 0x80, 0, 0, 0, 0x40, 0]);
        assert_eq!(search(&bytes, 0), Search::Found(4));
        let haves: Vec<u8> = (0..3u8).flat_map(|index| [0, 0, 0, 5, 4, 0, 0, 0, index]).collect();
        assert_eq!(search(&haves, 0), Search::Found(0));
    }

    /// A message of `length` bytes after its prefix, of which the first is `id` and the others differ each time.
    fn noise(id: u8, length: usize, seed: u8) -> Vec<u8> {
        let mut bytes = (length as u32).to_be_bytes().to_vec();
        bytes.push(id);
        bytes.extend((1..length).map(|at| (at as u8).wrapping_mul(29).wrapping_add(seed) | 0x80));
        bytes
    }

    #[test]
    fn many_bitfields_or_opaque_extended_messages_prove_no_more_than_one() {
        for id in [5, 20] {
            let bytes: Vec<u8> = (0..200).flat_map(|seed| noise(id, 90 + usize::from(seed), seed)).collect();
            assert_eq!(search_all(&bytes, 0), None, "messages {id}");
            assert_eq!(search_end(&bytes, 0), None, "messages {id}");
            // What proves itself after some of them is found with them.
            let request = [0, 0, 0, 13, 6, 0, 0, 0, 3, 0, 0, 0x40, 0, 0, 0, 0x40, 0];
            let bytes = [noise(id, 90, 1), noise(id, 91, 2), request.to_vec(), vec![0, 0, 0, 1, 1]].concat();
            assert_eq!(search_all(&bytes, 0), Some(0), "messages {id}");
            assert_eq!(search_end(&bytes, 0), Some(0), "messages {id}");
        }
    }

    #[test]
    fn zeros_prove_nothing() {
        assert!(matches!(search(&[0; 300_000], 0), Search::NotBefore(_)));
        assert_eq!(search_end(&[0; 64], 0), None);
        let have = [0, 0, 0, 5, 4, 0, 0, 0, 1];
        for zeros in 1..40 {
            let bytes = [&vec![0; zeros][..], &have, &have].concat();
            assert_eq!(search_end(&bytes, 0), Some(zeros), "no keep-alives, but the end of a block");
        }
    }

    #[test]
    fn what_repeats_proves_nothing() {
        // 58 bytes, a number, none, 2004: a query of MongoDB, and "212 bytes of a message 7" within.
        let query =
            [&[0x3a, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xd4, 7, 0, 0, 0, 0, 0, 0][..], &[0; 38]].concat();
        let queries = query.repeat(2000);
        assert!(matches!(search(&queries, 0), Search::NotBefore(_)));
        assert_eq!(search_all(&queries, 0), None);
        let same = piece(9, 0x4000, 1, 0x4000).repeat(5);
        assert_eq!(search(&same, 0), Search::NotBefore(4 * (0x4000 + 13)));
        let next = [same, piece(9, 0x8000, 1, 0x4000)].concat();
        assert_eq!(search(&next, 0), Search::Found(4 * (0x4000 + 13)));
    }

    /// Walked from each message anew, any of these would take hours.
    #[test]
    fn repeats_are_walked_once_whatever_ends_them() {
        // the end of something, a bitfield of 0x3ff00 bytes and 800,000 chokes
        let mut bytes = vec![0xff, 0, 3, 0xff, 0, 5];
        bytes.resize(5 + 0x3ff00, 0xff);
        bytes.extend(b"\0\0\0\x01\0".repeat(800_000));
        let end = bytes.len();
        let have = [0, 0, 0, 5, 4, 0, 0, 0, 1];
        let ends = [
            (vec![0xff], None),
            (vec![0, 0, 0, 5, 4], None),
            // three keep-alives, which are one more than is believed
            ([&[0; 12][..], &[0xff]].concat(), None),
            ([&[0; 12][..], &have, &have].concat(), Some(end + 12)),
        ];
        for (last, found) in ends {
            assert_eq!(search_end(&[&bytes[..], &last].concat(), 0), found, "{last:02x?}");
        }
    }

    #[test]
    fn text_and_noise_prove_nothing() {
        let text = b"GET /announce HTTP/1.1\r\nHost: example\r\n\r\n".repeat(5000);
        assert_eq!(search(&text, 0), Search::NotBefore(text.len()));
        let mut state = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(400_000)
        .collect();
        assert!(matches!(search(&noise, 0), Search::NotBefore(at) if at > 390_000));
    }

    #[test]
    fn the_verdict_does_not_depend_on_how_the_bytes_come() {
        let mut bytes = vec![0x55; 3000];
        bytes.extend([0, 0, 0, 9]);
        bytes.extend(vec![0x11; 777]);
        for number in 0..4 {
            bytes.extend(piece(1, number * 0x4000, 0, 0x4000));
        }
        let whole = search(&bytes, 0);
        let mut from = 0;
        let mut stepwise = None;
        for end in (0..bytes.len()).step_by(977).chain([bytes.len()]) {
            match search(&bytes[..end], from) {
                Search::Found(at) => {
                    stepwise = Some(Search::Found(at));
                    break;
                }
                Search::NotBefore(at) => from = at,
            }
        }
        assert_eq!(stepwise, Some(whole));
    }

    #[test]
    fn a_short_end_reads_to_the_end() {
        assert_eq!(search_end(&[0, 0, 0, 5, 4, 0, 0, 0, 1, 0, 0, 0, 0], 0), Some(0));
        assert_eq!(search_end(&[0, 0, 0, 5, 4, 0, 0, 0, 1, 0, 0, 0], 0), None);
        assert_eq!(search_end(&[0, 0, 0, 1, 0], 0), None);
    }

    /// The end of an extended handshake, then have-none, port 40959 and upload_only: what µTorrent says first.
    #[test]
    fn messages_that_end_with_the_stream_prove_themselves() {
        let bytes =
            [&b"i255e1:v5:xyzzye"[..], b"\0\0\0\x01\x0f", b"\0\0\0\x03\x09\x9f\xff", b"\0\0\0\x03\x14\x03\0"];
        assert_eq!(search_end(&bytes.concat(), 0), Some(16));
        assert_eq!(search(&bytes.concat(), 0), Search::NotBefore(16), "more may come that refutes it");
        assert_eq!(search_end(&[&bytes.concat()[..], b"x"].concat(), 0), None);
    }

    #[test]
    fn what_looks_like_a_long_message_hides_none() {
        // 00 01 00 00 07: a block of 64 KiB, so it seems
        let mut bytes = b"xx\0\x01\0\0\x07\0yyy\0yyyyyyyyyyyyy".to_vec();
        let begin = bytes.len();
        bytes.extend([[0, 0, 0, 5, 4, 0, 0, 0, 1], [0, 0, 0, 5, 4, 0, 0, 0, 2]].concat());
        assert_eq!(search(&bytes, 0), Search::NotBefore(2));
        assert_eq!(search_all(&bytes, 0), Some(begin));
        assert_eq!(search_end(&bytes, 2), Some(begin));
    }
}
