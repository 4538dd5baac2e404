#![no_main]
//! Encrypted conversations with losses, and their key: the records of a direction stand end to end however bursts are
//! cut, and what was deciphered is, enciphered again, what was said. What an end agrees to is written as it was read. Any bytes are a key log, or the line is named at
//! which they are none.
//!
//! An input is twelve bytes that say how the rest is to be taken, then what both ends say.

use std::collections::BTreeMap;

use bittrace_fuzz::{Sequence, Step, Ways, conversation, play, record};
use bittrace_protocol::InfoHash;
use bittrace_protocol::mse::{
    Cipher, End, Methods, MseKey, Progress, Terms, VERIFICATION, keys_among, parse_key_log, terms,
};
use bittrace_trace::{Direction, Dissected, Dissector, StreamOpening};
use libfuzzer_sys::fuzz_target;

use Direction::{FromInitiator, FromResponder};

fuzz_target!(|input: &[u8]| {
    if let Err(error) = parse_key_log(input) {
        assert!(error.line <= input.split(|&byte| byte == b'\n').count());
    }
    keys_among(input).for_each(|key| assert_eq!(parse_key_log(line(&key).as_bytes()), Ok(vec![key])));

    for end in [End::Initiator, End::Responder] {
        read_and_written(end, input);
        read_and_written(end, &[&[0; VERIFICATION], input].concat());
    }

    let Some((&[methods, padding, losses, burst, seed, damage, s0, s1], rest)) =
        input.split_first_chunk::<8>()
    else {
        return;
    };
    let Some((&share, rest)) = rest.split_first_chunk::<4>() else { return };
    let (ours, theirs) = rest.split_at(u32::from_be_bytes(share) as usize % (rest.len() + 1));
    let mut sequence = Sequence(u64::from_be_bytes([methods, padding, losses, burst, seed, damage, s0, s1]));
    let call = said(FromInitiator, ours, methods, padding, &mut sequence);
    let mut answer = said(FromResponder, theirs, methods, padding, &mut sequence);
    if damage & 1 == 1 && !answer.is_empty() {
        let at = sequence.below(answer.len());
        answer[at] ^= 1;
    }
    let steps = conversation([&call, &answer], losses, burst, false, &mut sequence);
    let whole = dissect(&steps, |length| length);
    assert_eq!(whole, dissect(&steps, |_| 1), "cut into single bytes");
    assert_eq!(whole, dissect(&steps, |length| 1 + sequence.below(length)), "cut at random");
});

fn key() -> MseKey {
    MseKey { info_hash: InfoHash([0xaa; 20]), secret: std::array::from_fn(|at| at as u8) }
}

fn line(key: &MseKey) -> String {
    let end = (std::net::Ipv4Addr::LOCALHOST, 1).into();
    key.to_line(end, end)
}

fn cipher(direction: Direction) -> Cipher {
    key().cipher(end(direction))
}

const fn end(direction: Direction) -> End {
    match direction {
        FromInitiator => End::Initiator,
        FromResponder => End::Responder,
    }
}

/// What is read of any bytes as an end's part of a negotiation is written as the same bytes.
fn read_and_written(end: End, bytes: &[u8]) {
    if let Ok(Progress::Whole(read)) = terms(end, bytes) {
        let again = Terms::encode(end, read.methods, read.padding_of(bytes), read.ahead);
        assert_eq!(again.as_deref(), Some(&bytes[..read.length]));
    }
}

/// All that one end says: its part of the negotiation, then `payload`, of which the initiator sends some ahead.
fn said(direction: Direction, payload: &[u8], methods: u8, padding: u8, sequence: &mut Sequence) -> Vec<u8> {
    let padding = usize::from(padding) * 2;
    let mut wire: Vec<u8> = (0..96 + padding).map(|_| sequence.number() as u8).collect();
    if direction == FromInitiator {
        wire.extend(key().torrent_part());
    }
    let method = if direction == FromInitiator { methods & 7 } else { methods >> 4 };
    let ahead = match direction {
        FromInitiator => sequence.below(payload.len().min(usize::from(u16::MAX)) + 1),
        FromResponder => 0,
    };
    let padding = vec![0; padding];
    let mut clear = Terms::encode(end(direction), Methods(method.into()), &padding, ahead as u16)
        .expect("at most 510 bytes of padding");
    clear.extend_from_slice(&payload[..ahead]);
    let enciphered = clear.len();
    clear.extend_from_slice(&payload[ahead..]);
    let plain = methods >> 4 == 1;
    let to = if plain { enciphered } else { clear.len() };
    cipher(direction).apply(&mut clear[..to]);
    wire.extend(clear);
    wire
}

fn dissect(steps: &[Step], cut: impl FnMut(usize) -> usize) -> Ways {
    let mut ways = Ways::default();
    // The offset of the first record that was deciphered, and what the wire had from there on as far as is known.
    let mut again: BTreeMap<bool, (u64, Cipher)> = BTreeMap::new();
    let wire = |direction: Direction| wire_of(steps, direction);
    let streams = [wire(FromInitiator), wire(FromResponder)];
    let mut dissector = Dissector::new();
    dissector.learn_key(&key());
    let mut take = |dissected| {
        let Dissected::Record(one) = dissected else { return };
        record(&one);
        ways.push(&one);
        let stream = &streams[one.direction as usize];
        let on_wire = &stream[one.offset as usize..][..one.bytes.len()];
        if !one.decrypted {
            // Of a connection whose payload is plain, a message may begin in what was sent ahead and end after it.
            assert!(on_wire.iter().zip(&one.bytes).all(|(wire, byte)| *wire == Some(*byte)));
            return;
        }
        let (at, cipher) = again
            .entry(one.direction == FromInitiator)
            .or_insert_with(|| (one.offset, cipher(one.direction)));
        cipher.skip(one.offset - *at);
        let mut bytes = one.bytes.to_vec();
        cipher.apply(&mut bytes);
        *at = one.offset + bytes.len() as u64;
        let plain = |at: usize| on_wire[at] == Some(one.bytes[at]);
        let same =
            bytes.iter().zip(on_wire).enumerate().all(|(at, (byte, wire))| *wire == Some(*byte) || plain(at));
        assert!(same, "{one:?} was not deciphered");
    };
    play(&mut dissector, StreamOpening::Syn, steps, cut, &mut take);
    ways
}

/// The stream of a direction; `None` where bytes are lost.
fn wire_of(steps: &[Step], direction: Direction) -> Vec<Option<u8>> {
    let mut stream = Vec::new();
    for step in steps {
        match step {
            Step::Says(by, part) if *by == direction => stream.extend(part.iter().copied().map(Some)),
            Step::Loses(by, length) if *by == direction => {
                stream.resize(stream.len() + *length as usize, None);
            }
            _ => {}
        }
    }
    stream
}
