//! Both roles against each other, against bytes put together by hand, and against bytes that negotiate nothing.

use proptest::collection::vec;
use proptest::prelude::*;

use super::key_exchange::KeyExchange;
use super::*;
use crate::InfoHash;

const TORRENT: InfoHash = InfoHash([0x5a; 20]);
const BOTH: Methods = Methods(Methods::PLAINTEXT | Methods::RC4);
const RC4: Methods = Methods(Methods::RC4);
const PLAIN: Methods = Methods(Methods::PLAINTEXT);
/// What the initiator sends ahead.
const AHEAD: &[u8] = b"the handshake of the initiator";

fn offer(methods: Methods, max_padding: u16) -> MseOffer {
    MseOffer { info_hash: TORRENT, methods, max_padding, ahead: AHEAD.to_vec() }
}

fn accepts(methods: &[Methods], max_padding: u16) -> MseAcceptance {
    let info_hashes = vec![InfoHash([0x11; 20]), TORRENT];
    MseAcceptance { info_hashes, methods: methods.to_vec(), max_padding }
}

fn draw(number: u32) -> MseDraw {
    MseDraw::new([9; 32], number)
}

/// Both ends, with what each has sent that the other has not taken.
struct Conversation {
    initiator: Initiator,
    responder: Responder,
    to_responder: Vec<u8>,
    to_initiator: Vec<u8>,
    keys: [Vec<MseKey>; 2],
    agreed: [Option<Agreement>; 2],
}

impl Conversation {
    fn new(offer: MseOffer, accepts: MseAcceptance) -> Self {
        let (initiator, to_responder) = Initiator::new(offer, &mut draw(1));
        let responder = Responder::new(accepts, &mut draw(2));
        let (keys, agreed) = Default::default();
        Self { initiator, responder, to_responder, to_initiator: Vec::new(), keys, agreed }
    }

    /// Moves bytes until both agree or nothing moves, in pieces of the lengths that `cut` gives.
    fn run(&mut self, mut cut: impl FnMut(usize) -> usize) -> Result<(), MseError> {
        while !self.to_responder.is_empty() || !self.to_initiator.is_empty() {
            if !self.to_responder.is_empty() && self.agreed[1].is_none() {
                let count = cut(self.to_responder.len());
                let bytes: Vec<_> = self.to_responder.drain(..count).collect();
                let pushed = self.responder.push(&bytes)?;
                self.keys[1].extend(pushed.keys);
                self.to_initiator.extend(pushed.send);
                self.agreed[1] = pushed.agreed;
            }
            if !self.to_initiator.is_empty() && self.agreed[0].is_none() {
                let count = cut(self.to_initiator.len());
                let bytes: Vec<_> = self.to_initiator.drain(..count).collect();
                let pushed = self.initiator.push(&bytes)?;
                self.keys[0].extend(pushed.keys);
                self.to_responder.extend(pushed.send);
                self.agreed[0] = pushed.agreed;
            }
            if self.agreed.iter().all(Option::is_some) {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Checks that both ends agree on `method`, and read what the other sends after that, and what was sent ahead.
fn assert_agreed(mut conversation: Conversation, method: Methods) {
    let Conversation { keys, agreed, to_responder, .. } = &mut conversation;
    assert_eq!(keys[0].len(), 1);
    assert!(keys[1].contains(&keys[0][0]), "the responder has a key for each torrent");
    let [Some(initiator), Some(responder)] = agreed else { panic!("they did not agree: {agreed:?}") };
    assert_eq!([initiator.method, responder.method], [method; 2]);
    assert_eq!([initiator.info_hash, responder.info_hash], [TORRENT; 2]);
    let mut ahead = std::mem::take(&mut responder.payload);
    responder.theirs.apply(to_responder);
    ahead.extend(to_responder.iter());
    assert_eq!(ahead, AHEAD);
    for (from, to) in [(0, 1), (1, 0)] {
        let mut bytes = b"any payload".to_vec();
        if let Some(cipher) = &mut agreed[from].as_mut().unwrap().ours {
            cipher.apply(&mut bytes);
        }
        assert_eq!(bytes == b"any payload", method == PLAIN, "on the wire");
        agreed[to].as_mut().unwrap().theirs.apply(&mut bytes);
        assert_eq!(bytes, b"any payload");
    }
}

#[test]
fn both_roles_agree_on_the_best_method_that_both_take() {
    for (offered, taken, method) in [
        (BOTH, &[RC4, PLAIN][..], RC4),
        (BOTH, &[PLAIN, RC4], PLAIN),
        (RC4, &[PLAIN, RC4], RC4),
        (PLAIN, &[RC4, PLAIN], PLAIN),
    ] {
        let mut conversation = Conversation::new(offer(offered, 512), accepts(taken, 512));
        conversation.run(|all| all).unwrap();
        assert_agreed(conversation, method);
    }
}

#[test]
fn an_end_that_takes_none_of_the_methods_says_so() {
    let mut conversation = Conversation::new(offer(PLAIN, 0), accepts(&[RC4], 0));
    let error = conversation.run(|all| all).unwrap_err();
    assert_eq!(error.wanted, "an offer of a method that is taken here");
}

#[test]
fn an_end_that_does_not_serve_the_torrent_says_so() {
    let elsewhere = MseOffer { info_hash: InfoHash([0; 20]), ..offer(RC4, 9) };
    let mut conversation = Conversation::new(elsewhere, accepts(&[RC4], 9));
    let error = conversation.run(|all| all).unwrap_err();
    assert_eq!(error.wanted, "the hash of a torrent that is served here");
}

#[test]
fn no_power_is_computed_before_a_public_key_is_whole() {
    let (_, hello) = Initiator::new(offer(RC4, 0), &mut draw(1));
    let mut responder = Responder::new(accepts(&[RC4], 0), &mut draw(2));
    let pushed = responder.push(&hello[..KEY_LENGTH - 1]).unwrap();
    assert!(pushed.keys.is_empty() && pushed.send.is_empty());
    let pushed = responder.push(&hello[KEY_LENGTH - 1..]).unwrap();
    assert_eq!((pushed.keys.len(), pushed.send.len()), (2, KEY_LENGTH));
}

/// A far end by hand: its public key, and the key of the connection once ours has come.
fn by_hand(ours: &[u8]) -> ([u8; KEY_LENGTH], MseKey) {
    let exchange = KeyExchange::new([7; 20]);
    let secret = exchange.secret(ours.first_chunk().unwrap()).unwrap();
    (exchange.public_key(), MseKey { info_hash: TORRENT, secret })
}

/// The answer of a responder: its public key and so many bytes of padding; then VC, crypto_select and its padding.
fn answer(ours: &[u8], padding: usize, selection: &[u8]) -> (Vec<u8>, MseKey) {
    let (public_key, key) = by_hand(ours);
    let mut enciphered = selection.to_vec();
    key.cipher(End::Responder).apply(&mut enciphered);
    ([&public_key[..], &vec![0xee; padding], &enciphered].concat(), key)
}

/// VC, RC4, no padding.
const SELECTS_RC4: &[u8] = b"\0\0\0\0\0\0\0\0\0\0\0\x02\0\0";

#[test]
fn an_initiator_sends_what_the_document_says() {
    let (mut initiator, hello) = Initiator::new(offer(BOTH, 0), &mut draw(1));
    let (answer, key) = answer(&hello, 3, SELECTS_RC4);
    let pushed = initiator.push(&answer[..KEY_LENGTH]).unwrap();
    assert_eq!(pushed.keys, std::slice::from_ref(&key));
    let (hashes, enciphered) = pushed.send.split_at(2 * HASH_LENGTH);
    assert_eq!(hashes, key.torrent_part());
    let mut clear = enciphered.to_vec();
    key.cipher(End::Initiator).apply(&mut clear);
    // VC, RC4 or plaintext, no padding, 30 bytes sent ahead.
    assert_eq!(clear, [b"\0\0\0\0\0\0\0\0\0\0\0\x03\0\0\0\x1e", AHEAD].concat());
    assert!(initiator.push(&answer[KEY_LENGTH..]).unwrap().agreed.is_some());
    assert_eq!(initiator.push(b"more").unwrap_err(), MseError::OVER);
}

#[test]
fn padding_that_looks_like_the_beginning_of_the_constant_does_not_move_the_cipher() {
    let (mut initiator, hello) = Initiator::new(offer(RC4, 0), &mut draw(1));
    let (public_key, key) = by_hand(&hello);
    let looks = key.verification(End::Responder);
    let mut enciphered = [SELECTS_RC4, b"payload"].concat();
    key.cipher(End::Responder).apply(&mut enciphered);
    let bytes = [&public_key[..], &looks[..7], &looks[..5], &enciphered].concat();
    let agreed = bytes.iter().find_map(|&byte| initiator.push(&[byte]).unwrap().agreed);
    let mut agreed = agreed.expect("they agree at the end of crypto_select");
    let mut payload = bytes[bytes.len() - b"payload".len()..].to_vec();
    agreed.theirs.apply(&mut payload);
    assert_eq!(payload, b"payload");
}

#[test]
fn a_selection_of_what_was_not_offered_is_refused() {
    for (methods, offered) in [(1, RC4), (2, PLAIN), (3, BOTH), (0, BOTH), (4, BOTH)] {
        let (mut initiator, hello) = Initiator::new(offer(offered, 0), &mut draw(1));
        let (answer, _) = answer(&hello, 0, &[&[0; 11], &[methods][..], &[0, 0]].concat());
        let error = initiator.push(&answer).unwrap_err();
        assert_eq!(error.wanted, "one of the methods that were offered", "{methods}");
    }
}

#[test]
fn padding_of_more_than_512_bytes_is_refused() {
    let (mut initiator, hello) = Initiator::new(offer(RC4, 0), &mut draw(1));
    assert!(initiator.push(&answer(&hello, 512, SELECTS_RC4).0).unwrap().agreed.is_some());
    let (mut initiator, hello) = Initiator::new(offer(RC4, 0), &mut draw(1));
    assert!(initiator.push(&answer(&hello, 513, SELECTS_RC4).0).is_err());
    // VC, RC4, 513 bytes of padding.
    let (mut initiator, hello) = Initiator::new(offer(RC4, 0), &mut draw(1));
    let selection = b"\0\0\0\0\0\0\0\0\0\0\0\x02\x02\x01";
    assert_eq!(
        initiator.push(&answer(&hello, 0, selection).0).unwrap_err().wanted,
        "at most 512 bytes of padding"
    );

    let mut responder = Responder::new(accepts(&[RC4], 0), &mut draw(2));
    let hello = KeyExchange::new([7; 20]).public_key();
    assert!(responder.push(&[&hello[..], &[1; 531]].concat()).is_ok());
    assert!(responder.push(&[1]).is_err());
}

/// What is read of an offer by hand whose ahead part and what follows it come in one burst.
fn payload_of(method: Methods) -> Vec<u8> {
    let mut responder = Responder::new(accepts(&[method], 0), &mut draw(2));
    let exchange = KeyExchange::new([7; 20]);
    let answer = responder.push(&exchange.public_key()).unwrap().send;
    let secret = exchange.secret(answer.first_chunk().unwrap()).unwrap();
    let key = MseKey { info_hash: TORRENT, secret };
    // VC, both methods, no padding, 5 bytes sent ahead.
    let mut message = b"\0\0\0\0\0\0\0\0\0\0\0\x03\0\0\0\x05ahead clear".to_vec();
    let enciphered = if method == PLAIN { message.len() - b" clear".len() } else { message.len() };
    key.cipher(End::Initiator).apply(&mut message[..enciphered]);
    let pushed = responder.push(&[&key.torrent_part()[..], &message].concat()).unwrap();
    pushed.agreed.unwrap().payload
}

#[test]
fn with_plaintext_only_what_is_sent_ahead_is_enciphered() {
    assert_eq!(payload_of(PLAIN), b"ahead clear");
    assert_eq!(payload_of(RC4), b"ahead clear");
}

#[test]
fn weak_public_keys_are_refused_by_both_roles() {
    let one = |last| {
        let mut number = [0; KEY_LENGTH];
        number[KEY_LENGTH - 1] = last;
        number
    };
    for weak in [one(0), one(1), [0xff; KEY_LENGTH]] {
        let (mut initiator, _) = Initiator::new(offer(BOTH, 0), &mut draw(1));
        assert_eq!(initiator.push(&weak).unwrap_err(), MseError::PUBLIC_KEY);
        let mut responder = Responder::new(accepts(&[RC4], 0), &mut draw(2));
        assert_eq!(responder.push(&weak).unwrap_err(), MseError::PUBLIC_KEY);
    }
}

#[test]
fn an_initiator_knows_a_handshake_in_clear() {
    let (mut initiator, _) = Initiator::new(offer(BOTH, 0), &mut draw(1));
    let error = initiator.push(b"\x13BitTorrent protocol").unwrap_err();
    assert_eq!(error.wanted, "a public key, not a handshake in clear");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn however_bytes_are_cut_both_agree(
        paddings in (0_u16..=512, 0_u16..=512),
        plain: bool,
        cuts in vec(1_usize..200, 1..40),
    ) {
        let method = if plain { PLAIN } else { RC4 };
        let mut conversation = Conversation::new(offer(BOTH, paddings.0), accepts(&[method], paddings.1));
        let mut cuts = cuts.into_iter().cycle();
        conversation.run(|all| cuts.next().unwrap().min(all)).unwrap();
        assert_agreed(conversation, method);
    }

    #[test]
    fn bytes_without_the_secret_agree_on_nothing(
        bytes in vec(any::<u8>(), 0..1500),
        after in vec(any::<u8>(), 0..700),
        cut in 0_usize..1500,
    ) {
        for by_hand in [false, true] {
            let (mut initiator, hello) = Initiator::new(offer(BOTH, 0), &mut draw(1));
            let mut responder = Responder::new(accepts(&[RC4, PLAIN], 0), &mut draw(2));
            // After a true beginning the terms are reached.
            let begun = answer(&hello, 3, &SELECTS_RC4[..8]).0;
            let bytes = if by_hand { [&begun[..], &after].concat() } else { bytes.clone() };
            let (one, two) = bytes.split_at(cut.min(bytes.len()));
            let [mut initiated, mut responded] = [None, None];
            for part in [one, two] {
                initiated = initiated.or(initiator.push(part).ok().and_then(|pushed| pushed.agreed));
                responded = responded.or(responder.push(part).ok().and_then(|pushed| pushed.agreed));
            }
            prop_assert!(by_hand || initiated.is_none());
            prop_assert!(responded.is_none());
        }
    }
}
