#![no_main]
//! Negotiations of message stream encryption: both roles agree on the same, however bytes are cut and whatever is offered,
//! unless bytes are changed on the way; and no bytes lead to a panic, or to an agreement without the secret.
//!
//! An input is eight bytes that say what is offered and taken, how bytes are cut, and which byte is changed; the rest is sent
//! ahead, and said to both roles by an end that does not know the secret.

use bittrace_fuzz::Sequence;
use bittrace_protocol::InfoHash;
use bittrace_protocol::mse::{
    Agreement, Initiator, Methods, MseAcceptance, MseDraw, MseError, MseOffer, Pushed, Responder,
};
use libfuzzer_sys::fuzz_target;

const TORRENT: InfoHash = InfoHash([0xaa; 20]);

fuzz_target!(|input: &[u8]| {
    let Some((&[methods, taken, padding, seed, damage, at0, at1, cut], rest)) =
        input.split_first_chunk::<8>()
    else {
        return;
    };
    let offered = Methods(u32::from(methods & 3));
    let taken: Vec<_> =
        [1, 2].map(|bit| Methods(bit)).into_iter().filter(|one| taken & one.0 as u8 != 0).collect();
    let ahead = &rest[..rest.len().min(usize::from(u16::MAX))];
    let max_padding = u16::from(padding) * 2;
    let offer = MseOffer { info_hash: TORRENT, methods: offered, max_padding, ahead: ahead.to_vec() };
    let accepts = MseAcceptance { info_hashes: vec![TORRENT], methods: taken.clone(), max_padding };
    let draw = |number| MseDraw::new([seed; 32], number);

    // An end that does not know the secret.
    let (mut initiator, hello) = Initiator::new(offer.clone(), &mut draw(1));
    let mut responder = Responder::new(accepts.clone(), &mut draw(2));
    let alone =
        [agrees(|bytes| initiator.push(bytes), rest, cut), agrees(|bytes| responder.push(bytes), rest, cut)];
    assert!(alone.iter().all(Option::is_none), "agreed without the secret");

    let (mut initiator, _) = Initiator::new(offer, &mut draw(1));
    let mut responder = Responder::new(accepts, &mut draw(2));
    let mut sequence = Sequence(u64::from_be_bytes([methods, padding, seed, damage, at0, at1, cut, 1]));
    let damaged = (damage & 1 == 1).then(|| usize::from(u16::from_be_bytes([at0, at1])) % 1024);
    let ended = converse(&mut initiator, &mut responder, hello, damaged, &mut sequence);
    let method = taken.iter().find(|method| offered.has(method.0));
    match ended {
        Ok([Some(ours), Some(theirs)]) if damaged.is_none() => {
            assert_eq!([ours.method, theirs.method], [*method.expect("a method of both"); 2]);
        }
        Ok(_) if damaged.is_none() => panic!("bytes came to rest before both agreed"),
        Err(error) => assert!(damaged.is_some() || method.is_none(), "{error}"),
        // A changed byte of padding changes nothing; others end it, or leave one end waiting.
        Ok(_) => {}
    }
});

/// What one role agrees on that is sent these bytes.
fn agrees(
    mut push: impl FnMut(&[u8]) -> Result<Pushed, MseError>,
    bytes: &[u8],
    cut: u8,
) -> Option<Agreement> {
    bytes.chunks(usize::from(cut) + 1).find_map(|part| push(part).ok()?.agreed)
}

/// Moves bytes between both roles until none are left. The byte at `damaged` of what the responder sends is changed.
fn converse(
    initiator: &mut Initiator,
    responder: &mut Responder,
    hello: Vec<u8>,
    damaged: Option<usize>,
    sequence: &mut Sequence,
) -> Result<[Option<Agreement>; 2], MseError> {
    let (mut to_responder, mut to_initiator) = (hello, Vec::new());
    let [mut initiated, mut responded] = [None, None];
    let mut passed = 0;
    loop {
        let to_move = [to_responder.len(), to_initiator.len()];
        if responded.is_none() && to_move[0] > 0 {
            let part: Vec<_> = to_responder.drain(..1 + sequence.below(to_move[0])).collect();
            let pushed = responder.push(&part)?;
            to_initiator.extend(pushed.send);
            responded = pushed.agreed;
        } else if initiated.is_none() && to_move[1] > 0 {
            let mut part: Vec<_> = to_initiator.drain(..1 + sequence.below(to_move[1])).collect();
            if let Some(byte) = damaged.and_then(|at| at.checked_sub(passed)).and_then(|at| part.get_mut(at))
            {
                *byte ^= 1;
            }
            passed += part.len();
            let pushed = initiator.push(&part)?;
            to_responder.extend(pushed.send);
            initiated = pushed.agreed;
        } else {
            return Ok([initiated, responded]);
        }
    }
}
