use super::*;

const CHOICE: PieceChoice<'_> = PieceChoice { listed: &[], order: PieceOrder::RarestFirst, random_pieces: 0 };
const SEED: SessionStreamId = SessionStreamId(0);
const PEER: SessionStreamId = SessionStreamId(2);

/// Four pieces of two blocks each, of which these are known to be at so many peers.
fn picker(holders: [u32; 4], rng: &mut Rng) -> Picker {
    let geometry = Geometry::new(32_768, [4 * 32_768]).expect("a geometry");
    let mut picker = Picker::new(geometry, 16_384, [], rng);
    for (piece, count) in (0..).map(PieceIndex).zip(holders) {
        (0..count).for_each(|_| picker.rarity.more(piece, rng));
    }
    picker
}

fn having(pieces: &[u32]) -> PieceSet {
    let mut set = PieceSet::none(4);
    for &piece in pieces {
        set.insert(PieceIndex(piece));
    }
    set
}

#[test]
fn a_seed_is_asked_for_what_it_alone_has_before_what_others_stopped_sending() {
    let mut rng = Rng::new(1);
    let mut picker = picker([2, 2, 1, 2], &mut rng);
    let mut pick = |stream, pieces: &[u32], current: Option<u32>| {
        let pieces = having(pieces);
        let current = current.map(PieceIndex);
        let seeker = Seeker { current, ..Seeker::of_any(stream, &pieces) };
        let block = picker.pick(&seeker, &CHOICE, &mut rng)?;
        Some((block.index.0, block.begin / 16_384))
    };
    // A peer begins piece 0, and stops.
    assert_eq!(pick(PEER, &[0], None), Some((0, 0)));
    assert_eq!(pick(SEED, &[0, 1, 2, 3], None), Some((2, 0)));
    assert_eq!(pick(SEED, &[0, 1, 2, 3], Some(2)), Some((2, 1)));
    // Of pieces that are as rare, the started one comes first.
    assert_eq!(pick(SEED, &[0, 1, 2, 3], Some(2)), Some((0, 1)));
}

#[test]
fn last_blocks_are_asked_for_with_their_padding_until_that_stops() {
    let mut rng = Rng::new(1);
    let geometry = Geometry::aligned(32_768, [20_000, 50]).expect("a geometry");
    let mut picker = Picker::new(geometry, 16_384, [], &mut rng);
    picker.pad_blocks();
    assert_eq!(picker.left(), 32_768 + 16_384);
    let mut all = PieceSet::none(2);
    for piece in 0..2 {
        all.insert(PieceIndex(piece));
    }
    let mut asked = |picker: &mut Picker| {
        let seeker = Seeker::of_any(PEER, &all);
        let mut blocks: Vec<Block> = std::iter::from_fn(|| picker.pick(&seeker, &CHOICE, &mut rng)).collect();
        blocks.sort_unstable_by_key(|block| (block.index, block.begin));
        blocks
    };
    let lengths = |blocks: &[Block]| blocks.iter().map(|block| block.length).collect::<Vec<_>>();
    let padded = asked(&mut picker);
    assert_eq!(lengths(&padded), [16_384; 3]);
    picker.stop_padding();
    assert_eq!(picker.left(), 20_050);
    padded.into_iter().for_each(|block| picker.release(block, PEER));
    let blocks = asked(&mut picker);
    assert_eq!(lengths(&blocks), [16_384, 20_000 - 16_384, 50]);
    for block in blocks {
        assert!(picker.arrive(block, 0, block.length as usize, PEER).block_done);
    }
    assert!((0..2).all(|piece| picker.pass(PieceIndex(piece)).is_some()));
    assert_eq!(picker.left(), 0);
}

#[test]
fn of_started_pieces_the_rarest_comes_first() {
    let mut rng = Rng::new(1);
    let mut picker = picker([3, 2, 4, 4], &mut rng);
    for piece in [0, 1] {
        let pieces = having(&[piece]);
        assert!(picker.pick(&Seeker::of_any(PEER, &pieces), &CHOICE, &mut rng).is_some());
    }
    let all = having(&[0, 1, 2, 3]);
    let block = picker.pick(&Seeker::of_any(SEED, &all), &CHOICE, &mut rng).expect("a block");
    assert_eq!((block.index.0, block.begin), (1, 16_384));
    // Where pieces go in their order, so do the started ones.
    let in_order = PieceChoice { order: PieceOrder::InOrder, ..CHOICE };
    let block = picker.pick(&Seeker::of_any(SEED, &all), &in_order, &mut rng).expect("a block");
    assert_eq!((block.index.0, block.begin), (0, 16_384));
}
