//! Encrypted connections, with their keys and with others.

use bittrace_protocol::InfoHash;
use bittrace_protocol::mse::{Cipher, End, Methods, MseKey, Terms};

use super::*;

fn key() -> MseKey {
    MseKey { info_hash: InfoHash([0xaa; 20]), secret: std::array::from_fn(|at| at as u8 ^ 0x5a) }
}

/// What the two ends of a connection say, and how.
struct Talk {
    ciphers: [Cipher; 2],
    paddings: [usize; 4],
    /// crypto_provide and crypto_select.
    methods: [u32; 2],
}

impl Talk {
    fn new(provide: u32, select: u32) -> Self {
        let ciphers = [End::Initiator, End::Responder].map(|end| key().cipher(end));
        Self { ciphers, paddings: [260, 17, 5, 9], methods: [provide, select] }
    }

    fn enciphered(&mut self, direction: Direction, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        self.ciphers[direction as usize].apply(&mut bytes);
        bytes
    }

    /// A payload, as what was selected has it.
    fn says(&mut self, direction: Direction, bytes: &[u8]) -> Step {
        match self.methods[1] {
            Methods::RC4 => Says(direction, self.enciphered(direction, bytes)),
            _ => Says(direction, bytes.to_vec()),
        }
    }

    fn public_key(&self, direction: Direction) -> Step {
        Says(direction, noise(direction as u64 + 1, 96 + self.paddings[direction as usize]))
    }

    /// What an end says of the methods, in clear.
    fn terms(&self, end: End, padding: usize, ahead: usize) -> Vec<u8> {
        let methods = Methods(self.methods[end as usize]);
        Terms::encode(end, methods, &vec![0; padding], ahead as u16).expect("the padding is short")
    }

    /// Message 3 of the document, with `ahead` as what is sent ahead.
    fn provides(&mut self, ahead: &[u8]) -> Step {
        let [_, _, padding, _] = self.paddings;
        let hashes = key().torrent_part().to_vec();
        let mut terms = self.terms(End::Initiator, padding, ahead.len());
        terms.extend_from_slice(ahead);
        Says(A, [hashes, self.enciphered(A, &terms)].concat())
    }

    /// What of message 4 precedes the payload.
    fn selects(&mut self) -> Step {
        let [_, _, _, padding] = self.paddings;
        let terms = self.terms(End::Responder, padding, 0);
        Says(B, self.enciphered(B, &terms))
    }

    /// The whole opening, and a handshake each.
    fn opening(&mut self, ahead: bool) -> Vec<Step> {
        let ours = handshake(b"-TR3000-aaaaaaaaaaaa");
        let mut steps = vec![self.public_key(A), self.public_key(B)];
        steps.push(self.provides(if ahead { &ours } else { &[] }));
        steps.push(self.selects());
        if !ahead {
            steps.push(self.says(A, &ours));
        }
        steps.push(self.says(B, &handshake(b"-TR3000-bbbbbbbbbbbb")));
        steps
    }
}

/// A record, as far as these tests go: its message's name, its length, whether it was deciphered.
type Shown = (&'static str, u64, bool);

/// The records of either direction. They must be the same however the bytes are cut, and tile the streams.
fn shown_with(keys: &[MseKey], steps: &[Step]) -> [Vec<Shown>; 2] {
    let mut seen: Option<[Vec<Shown>; 2]> = None;
    for cut in [usize::MAX, 1, 2, 7, 19, 68, 97, 1448] {
        let mut dissector = Dissector::new();
        keys.iter().for_each(|key| dissector.learn_key(key));
        let records = play(&mut dissector, StreamOpening::Syn, steps, cut);
        let ways = [A, B].map(|direction| {
            let mut at = 0;
            let way: Vec<_> = records
                .iter()
                .filter(|record| record.direction == direction)
                .map(|record| {
                    assert_eq!(record.offset, at, "{}", record.body.message());
                    at += record.length();
                    (record.body.message(), record.length(), record.decrypted)
                })
                .collect();
            let whole: u64 = steps
                .iter()
                .map(|step| match step {
                    Says(by, bytes) if *by == direction => bytes.len() as u64,
                    Loses(by, length) if *by == direction => *length,
                    _ => 0,
                })
                .sum();
            assert!(at == whole || records.is_empty(), "cut at {cut}: {at} of {whole} bytes");
            way
        });
        match &seen {
            None => seen = Some(ways),
            Some(seen) => assert_eq!(*seen, ways, "cut at {cut}"),
        }
    }
    seen.unwrap_or_default()
}

fn shown(steps: &[Step]) -> [Vec<Shown>; 2] {
    shown_with(&[key()], steps)
}

const REQUEST: Shown = ("request", 17, true);
const HANDSHAKE: Shown = ("handshake", 68, true);

fn initiator_opens() -> Vec<Shown> {
    vec![
        ("key-exchange", 96, false),
        ("padding", 260, false),
        ("torrent-hash", 40, false),
        ("crypto-provide", 21, true),
    ]
}

fn responder_opens() -> Vec<Shown> {
    vec![("key-exchange", 96, false), ("padding", 17, false), ("crypto-select", 23, true)]
}

#[test]
fn both_directions_are_read_with_the_key() {
    for ahead in [true, false] {
        let mut talk = Talk::new(Methods::RC4 | Methods::PLAINTEXT, Methods::RC4);
        let mut steps = talk.opening(ahead);
        steps.push(talk.says(A, &request(1, 0)));
        steps.push(talk.says(B, &[piece(1, 0, 0x4000, 7), vec![0, 0, 0, 1, 0]].concat()));
        steps.push(Closes);
        let [initiator, responder] = shown(&steps);
        assert_eq!(initiator, [initiator_opens(), vec![HANDSHAKE, REQUEST]].concat());
        let says = vec![HANDSHAKE, ("piece", 0x4000 + 13, true), ("choke", 5, true)];
        assert_eq!(responder, [responder_opens(), says].concat());
    }
}

#[test]
fn what_is_deciphered_is_what_was_said() {
    let mut talk = Talk::new(Methods::RC4, Methods::RC4);
    let mut steps = talk.opening(true);
    steps.push(talk.says(A, &request(3, 0x4000)));
    let mut dissector = Dissector::new();
    dissector.learn_key(&key());
    let records = play(&mut dissector, StreamOpening::Syn, &steps, 50);
    let last = records.last().unwrap();
    assert_eq!(last.bytes, request(3, 0x4000));
    assert_eq!((last.offset, last.frames.as_slice()), (96 + 260 + 40 + 21 + 68, &[7][..]));
    let provided = records.iter().find(|record| record.body.message() == "crypto-provide").unwrap();
    assert_eq!(
        crate::describe(provided),
        "crypto-provide rc4, 5 bytes of padding, 68 bytes of initial payload"
    );
    // The two directions waited for the verdict together, and are told in the order of the packets. How long a padding
    // is shows what follows.
    let frames = records.iter().filter(|record| record.body.message() != "padding");
    let frames: Vec<_> = frames.map(|record| record.frames.last().copied()).collect();
    assert!(frames.is_sorted(), "{frames:?}");
}

#[test]
fn paddings_may_be_missing_or_long() {
    for padding in [0, 512] {
        let mut talk = Talk::new(Methods::RC4, Methods::RC4);
        talk.paddings = [padding; 4];
        let mut steps = talk.opening(true);
        steps.push(talk.says(A, &request(1, 0)));
        let [initiator, responder] = shown(&steps);
        assert_eq!(initiator.last(), Some(&REQUEST));
        assert_eq!(responder.last(), Some(&HANDSHAKE));
        assert_eq!(initiator.len(), if padding > 0 { 6 } else { 5 });
    }
}

#[test]
fn plaintext_is_read_once_it_is_selected() {
    for ahead in [true, false] {
        let mut talk = Talk::new(Methods::RC4 | Methods::PLAINTEXT, Methods::PLAINTEXT);
        let mut steps = talk.opening(ahead);
        steps.push(talk.says(A, &request(1, 0)));
        steps.push(talk.says(B, &[0, 0, 0, 1, 1]));
        let [initiator, responder] = shown(&steps);
        let says = vec![("handshake", 68, ahead), ("request", 17, false)];
        assert_eq!(initiator, [initiator_opens(), says].concat());
        let says = vec![("handshake", 68, false), ("unchoke", 5, false)];
        assert_eq!(responder, [responder_opens(), says].concat());
    }
}

#[test]
fn the_cipher_goes_on_behind_lost_bytes() {
    let mut talk = Talk::new(Methods::RC4, Methods::RC4);
    let mut steps = talk.opening(true);
    let block = talk.enciphered(B, &piece(1, 0, 0x4000, 7));
    steps.push(Says(B, block[..5000].to_vec()));
    steps.push(Loses(B, 2000));
    steps.push(Says(B, block[7000..].to_vec()));
    steps.push(talk.says(B, &[0, 0, 0, 1, 1]));
    steps.push(talk.says(A, &request(1, 0)));
    let [initiator, responder] = shown(&steps);
    assert_eq!(initiator.last(), Some(&REQUEST));
    let says = vec![
        HANDSHAKE,
        ("opaque", 5000, true),
        ("gap", 2000, false),
        ("opaque", 0x4000 + 13 - 7000, true),
        ("unchoke", 5, true),
    ];
    assert_eq!(responder, [responder_opens(), says].concat());
}

#[test]
fn a_loss_in_the_negotiation_costs_what_cannot_be_known() {
    let said = |direction: Direction| move |step: &Step| matches!(step, Says(by, _) if *by == direction);
    let requests: Vec<u8> = (0..6).flat_map(|index| request(index, 0)).collect();
    // Within crypto_provide and what follows: where the payload begins is not known, but it is found.
    let mut talk = Talk::new(Methods::RC4, Methods::RC4);
    let mut steps = talk.opening(true);
    let at = steps.iter().rposition(said(A)).unwrap();
    let Says(_, bytes) = &mut steps[at] else { unreachable!() };
    bytes.truncate(40 + 14);
    steps.insert(at + 1, Loses(A, 21 - 14 + 68));
    steps.push(talk.says(A, &requests));
    steps.push(Closes);
    let [initiator, responder] = shown(&steps);
    assert_eq!(initiator[3..6], [("opaque", 14, true), ("gap", 75, false), REQUEST]);
    assert_eq!(responder.last(), Some(&HANDSHAKE));

    // The responder's padding: the verification constant is found after it.
    let mut talk = Talk::new(Methods::RC4, Methods::RC4);
    let mut steps = talk.opening(true);
    let at = steps.iter().rposition(|step| matches!(step, Says(A, _))).unwrap();
    talk.paddings[1] = 0;
    steps.insert(at + 1, Loses(B, 100));
    let [_, responder] = shown(&steps);
    let opens = [("key-exchange", 96, false), ("encrypted", 17, false), ("gap", 100, false)];
    assert_eq!(responder[..3], opens);
    assert_eq!(responder.last(), Some(&HANDSHAKE));

    // The verification constant itself: nothing of that direction is read.
    let mut talk = Talk::new(Methods::RC4, Methods::RC4);
    let mut steps = talk.opening(true);
    let at = steps.iter().position(said(B)).unwrap() + 2;
    let Says(B, bytes) = &mut steps[at] else { unreachable!() };
    bytes.drain(..4);
    steps.insert(at, Loses(B, 4));
    steps.push(talk.says(B, &piece(1, 0, 0x400, 7)));
    steps.push(talk.says(A, &requests));
    steps.push(Closes);
    let [initiator, responder] = shown(&steps);
    assert_eq!(initiator.last(), Some(&REQUEST), "it offered nothing else than RC4");
    assert!(responder.iter().all(|shown| !shown.2), "{responder:?}");
}

#[test]
fn without_the_responders_word_the_bytes_tell_what_was_selected() {
    let many: Vec<u8> =
        (0..=255).flat_map(|index| [request(index, 0), request(index, 0x4000)].concat()).collect();
    for (select, deciphered) in [(Methods::RC4, true), (Methods::PLAINTEXT, false)] {
        let mut talk = Talk::new(Methods::RC4 | Methods::PLAINTEXT, select);
        let mut steps = talk.opening(true);
        steps.push(talk.says(A, &many));
        steps.push(Closes);
        steps.retain(|step| !matches!(step, Says(B, _)));
        let [initiator, _] = shown(&steps);
        assert_eq!(initiator[4], HANDSHAKE);
        assert_eq!(initiator[5..], vec![("request", 17, deciphered); 512]);
    }
}

const BOTH: u32 = Methods::RC4 | Methods::PLAINTEXT;

/// What the initiator says up to the end of what it sends ahead, which is followed by `then`; then the responder's word,
/// and three requests. The last `lost` bytes up to there are lost, and so are `more` that nobody sees.
fn loses_before_the_word(select: u32, then: &[u8], lost: usize, more: u64) -> [Vec<Shown>; 2] {
    let mut talk = Talk::new(BOTH, select);
    let mut steps = vec![talk.public_key(A), talk.public_key(B)];
    let (Says(_, provides), Says(_, then)) = (talk.provides(&handshake(&[b'a'; 20])), talk.says(A, then))
    else {
        unreachable!()
    };
    let said = [provides, then].concat();
    let kept = said.len() - lost;
    steps.push(Says(A, said[..kept].to_vec()));
    steps.push(Loses(A, lost as u64 + more));
    steps.push(talk.selects());
    steps.push(talk.says(B, &handshake(&[b'b'; 20])));
    for index in 1..4 {
        steps.push(talk.says(A, &request(index, 0)));
    }
    steps.push(Closes);
    shown(&steps)
}

#[test]
fn a_loss_before_the_responders_word_decides_nothing() {
    for select in [Methods::RC4, Methods::PLAINTEXT] {
        let rc4 = select == Methods::RC4;
        let requests = vec![("request", 17, rc4); 3];
        // 20 bytes of the handshake that is sent ahead, and the first message after it
        let [initiator, responder] = loses_before_the_word(select, &[0, 0, 0, 1, 2], 25, 0);
        let says = [("opaque", 48, true), ("gap", 25, false)];
        assert_eq!(initiator[4..], [&says[..], &requests].concat());
        assert_eq!(responder[3..], [("handshake", 68, rc4)]);
        // That message alone
        let [initiator, _] = loses_before_the_word(select, &[0, 0, 0, 1, 2], 5, 0);
        assert_eq!(initiator[4..], [&[HANDSHAKE, ("gap", 5, false)][..], &requests].concat());
        // Its end: what is there of it is too short to tell how it goes.
        let [initiator, _] = loses_before_the_word(select, &[0, 0, 0, 1, 2], 2, 0);
        let says = [HANDSHAKE, ("opaque", 3, true), ("gap", 2, false)];
        assert_eq!(initiator[4..], [&says[..], &requests].concat());
    }
}

#[test]
fn behind_a_loss_that_cannot_be_believed_only_plaintext_is_read() {
    let [initiator, _] = loses_before_the_word(Methods::RC4, &[], 0, 1 << 30);
    assert_eq!(initiator[4..], [HANDSHAKE, ("gap", 1 << 30, false), ("encrypted", 51, false)]);
    let [initiator, _] = loses_before_the_word(Methods::PLAINTEXT, &[], 0, 1 << 30);
    let says = [HANDSHAKE, ("gap", 1 << 30, false)];
    assert_eq!(initiator[4..], [&says[..], &[("request", 17, false); 3]].concat());
    // Within what is sent ahead, which is enciphered in any case.
    let [initiator, _] = loses_before_the_word(Methods::PLAINTEXT, &[], 20, 1 << 30);
    assert_eq!(initiator[4..6], [("opaque", 48, true), ("gap", 20 + (1 << 30), false)]);
    assert_eq!(initiator[6..], [("request", 17, false); 3]);
}

#[test]
fn where_the_responders_word_is_lost_what_follows_tells_how_it_goes() {
    // Behind the end of a block: less than can wait, or more.
    for count in [5u16, 1000] {
        let haves: Vec<u8> =
            (0..count).flat_map(|index| [0, 0, 0, 5, 4, 0, 0, (index >> 8) as u8, index as u8]).collect();
        for select in [Methods::RC4, Methods::PLAINTEXT] {
            let rc4 = select == Methods::RC4;
            let mut talk = Talk::new(BOTH, select);
            let mut steps = talk.opening(true);
            let Some(Says(B, mut word)) = steps.splice(3.., []).next() else { unreachable!() };
            word.truncate(10);
            steps.push(Says(B, word));
            talk.ciphers[1].apply(&mut [0; 100]);
            steps.push(Loses(B, 13 + 68 + 100));
            steps.push(talk.says(B, &[vec![0x77; 50], haves.clone()].concat()));
            steps.push(Closes);
            let [_, responder] = shown(&steps);
            let says = [("opaque", 10, true), ("gap", 13 + 68 + 100, false), ("opaque", 50, rc4)];
            assert_eq!(responder[2..5], says, "{count}");
            assert_eq!(responder[5..], vec![("have", 9, rc4); usize::from(count)]);
        }
    }
}

#[test]
fn a_loss_longer_than_can_be_believed_ends_the_deciphering() {
    let mut talk = Talk::new(Methods::RC4, Methods::RC4);
    let mut steps = talk.opening(true);
    steps.push(Loses(B, 1 << 30));
    steps.push(Says(B, noise(5, 100)));
    steps.push(Closes);
    let [_, responder] = shown(&steps);
    assert_eq!(responder[4..], [("gap", 1 << 30, false), ("encrypted", 100, false)]);
}

#[test]
fn another_key_reads_nothing() {
    let mut talk = Talk::new(Methods::RC4, Methods::RC4);
    let mut steps = talk.opening(true);
    steps.push(talk.says(A, &vec![0; 3000]));
    steps.push(talk.says(B, &vec![0; 3000]));
    steps.push(Closes);
    let other_secret = MseKey { secret: [1; 96], ..key() };
    assert_eq!(shown_with(&[other_secret], &steps), [vec![], vec![]], "nothing says that it is a peer's");

    let other_torrent = MseKey { info_hash: InfoHash([1; 20]), ..key() };
    let [initiator, responder] = shown_with(std::slice::from_ref(&other_torrent), &steps);
    assert_eq!(initiator, [("key-exchange", 96, false), ("encrypted", 260 + 40 + 21 + 68 + 3000, false)]);
    assert_eq!(responder, [("key-exchange", 96, false), ("encrypted", 17 + 23 + 68 + 3000, false)]);
    let mut dissector = Dissector::new();
    dissector.learn_key(&other_torrent);
    let records = play(&mut dissector, StreamOpening::Syn, &steps, 1448);
    let noted: Vec<_> = records.iter().flat_map(|record| &record.notes).map(|note| note.rule.id).collect();
    assert_eq!(noted, ["mse.other-torrent"]);
}

#[test]
fn terms_that_are_none_are_shown_and_noted() {
    let mut talk = Talk::new(Methods::RC4, Methods::RC4);
    let mut steps = talk.opening(true);
    let Says(A, bytes) = &mut steps[2] else { unreachable!() };
    bytes[40 + 3] ^= 1;
    steps.push(Closes);
    let [initiator, responder] = shown(&steps);
    assert_eq!(initiator[3..], [("opaque", 14, true), ("encrypted", 21 - 14 + 68, false)]);
    assert_eq!(responder.last(), Some(&HANDSHAKE));
    let mut dissector = Dissector::new();
    dissector.learn_key(&key());
    let records = play(&mut dissector, StreamOpening::Syn, &steps, 1448);
    let noted = records.iter().find(|record| !record.notes.is_empty()).unwrap();
    assert_eq!((noted.body.message(), noted.notes[0].rule.id), ("encrypted", "mse.not-deciphered"));
}

#[test]
fn over_utp_it_is_read_until_packets_are_lost() {
    let mut talk = Talk::new(Methods::RC4, Methods::RC4);
    let mut steps = talk.opening(true);
    steps.push(talk.says(A, &request(1, 0)));
    let mut datagrams = datagrams::opened();
    let mut next = [2, 100];
    for step in &steps {
        let Says(direction, bytes) = step else { unreachable!() };
        let at = next[*direction as usize];
        next[*direction as usize] += 1;
        let [ours, theirs] = next;
        let acknowledged = if *direction == A { theirs - 1 } else { ours - 1 };
        datagrams.push(datagrams::packet(*direction, 0, at, acknowledged, bytes));
    }
    // A packet of A's is acknowledged that the capture has not; nobody knows how long it was.
    let [ours, theirs] = next;
    datagrams.push(datagrams::packet(B, 0, theirs, ours, &talk.enciphered(B, &[0, 0, 0, 1, 1])));
    datagrams.push(datagrams::packet(A, 0, ours + 1, theirs, &noise(5, 100)));
    datagrams.push(datagrams::packet(B, 2, theirs + 1, ours + 1, &[]));

    let mut dissector = Dissector::new();
    dissector.learn_key(&key());
    let mut ways: [Vec<Shown>; 2] = Default::default();
    let mut out = |dissected| {
        let Dissected::Record(record) = dissected else { return };
        let shown = (record.body.message(), record.length(), record.decrypted);
        ways[record.direction as usize].push(shown);
    };
    for (frame, (direction, bytes)) in (1..).zip(&datagrams) {
        let (source, destination) = flow().ends(*direction);
        dissector.datagram(moment(frame), source, destination, bytes, &mut out);
    }
    dissector.finish(&mut out);
    let [initiator, responder] = ways;
    let says = vec![HANDSHAKE, REQUEST, ("gap", 0, false), ("encrypted", 100, false)];
    assert_eq!(initiator, [initiator_opens(), says].concat());
    assert_eq!(responder, [responder_opens(), vec![HANDSHAKE, ("unchoke", 5, true)]].concat());
}
