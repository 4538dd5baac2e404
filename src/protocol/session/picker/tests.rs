use super::*;
use crate::Metainfo;

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
fn a_peer_leaves_a_piece_that_others_have_for_what_it_alone_has() {
    let mut rng = Rng::new(1);
    let mut picker = picker([1, 1, 2, 2], &mut rng);
    let all = having(&[0, 1, 2, 3]);
    let pick = |picker: &mut Picker, current: Option<PieceIndex>, choice: &PieceChoice<'_>| {
        let seeker = Seeker { current, ..Seeker::of_any(SEED, &all) };
        let block = picker.pick(&seeker, choice, &mut Rng::new(2)).expect("a block");
        (block.index, block.begin / 16_384)
    };
    let (first, _) = pick(&mut picker, None, &CHOICE);
    let second = PieceIndex(1 - first.0);
    assert!(first.0 < 2);
    // Another peer has the piece whole.
    picker.rarity.more(first, &mut rng);
    // Where rarity does not count, the peer goes on.
    let in_order = PieceChoice { order: PieceOrder::InOrder, ..CHOICE };
    assert!(picker.goes_on(&Seeker::of_any(SEED, &all), first, &in_order));
    // A peer that does not have the other piece goes on as well.
    assert!(picker.goes_on(&Seeker::of_any(PEER, &having(&[first.0, 2])), first, &CHOICE));
    assert_eq!(pick(&mut picker, Some(first), &CHOICE), (second, 0));
    assert_eq!(pick(&mut picker, Some(second), &CHOICE), (second, 1));
    // There is nothing else that the peer alone has.
    assert_eq!(pick(&mut picker, Some(second), &CHOICE), (first, 1));
}

#[test]
fn a_peer_goes_on_with_a_piece_that_it_alone_has_and_with_one_of_equals() {
    let mut rng = Rng::new(1);
    for holders in [[1; 4], [2; 4]] {
        let mut picker = picker(holders, &mut rng);
        let all = having(&[0, 1, 2, 3]);
        let block = picker.pick(&Seeker::of_any(SEED, &all), &CHOICE, &mut rng).expect("a block");
        assert!(picker.goes_on(&Seeker::of_any(SEED, &all), block.index, &CHOICE), "{holders:?}");
    }
}

#[test]
fn a_piece_that_is_to_come_from_one_peer_is_not_left() {
    let mut rng = Rng::new(1);
    let mut picker = picker([1, 1, 2, 2], &mut rng);
    let all = having(&[0, 1, 2, 3]);
    let mut seeker = Seeker::of_any(SEED, &all);
    let blocks = [(); 2].map(|()| picker.pick(&seeker, &CHOICE, &mut rng).expect("a block"));
    for block in blocks {
        picker.arrive(block, 0, block.length as usize, SEED);
    }
    let piece = blocks[0].index;
    assert!(picker.is_hashing(piece) && picker.fail(piece).is_some());
    seeker.current = Some(piece);
    assert_eq!(picker.pick(&seeker, &CHOICE, &mut rng).map(|block| block.index), Some(piece));
    picker.rarity.more(piece, &mut rng);
    assert!(picker.goes_on(&seeker, piece, &CHOICE));
}

#[test]
fn few_pieces_are_left_open_however_fast_others_get_them() {
    let mut rng = Rng::new(1);
    let geometry = Geometry::new(32_768, [200 * 32_768]).expect("a geometry");
    let mut picker = Picker::new(geometry, 16_384, [], &mut rng);
    let mut all = PieceSet::none(200);
    for piece in (0..200).map(PieceIndex) {
        all.insert(piece);
        picker.rarity.more(piece, &mut rng);
    }
    let mut current = None;
    for _ in 0..200 {
        let seeker = Seeker { current, ..Seeker::of_any(SEED, &all) };
        let block = picker.pick(&seeker, &CHOICE, &mut rng).expect("a block");
        if current != Some(block.index) {
            // A peer claims each piece once the seed was asked for some of it.
            picker.rarity.more(block.index, &mut rng);
        }
        current = Some(block.index);
        assert!(picker.open.len() <= MOST_OPEN, "{}", picker.open.len());
    }
    assert_eq!(picker.open.len(), MOST_OPEN);
}

#[test]
fn last_blocks_are_asked_for_with_their_padding_until_that_stops() {
    let mut rng = Rng::new(1);
    let geometry = Geometry::aligned(32_768, [20_000, 50]).expect("a geometry");
    let mut picker = Picker::new(geometry, 16_384, [], &mut rng);
    picker.pad_blocks();
    assert_eq!(picker.left(), 2 * 32_768);
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
fn blocks_of_padding_are_made_but_where_a_piece_has_no_other() {
    let files = "d6:lengthi1e4:pathl1:aeed4:attr1:p6:lengthi65535e4:pathl1:bee";
    let info = format!("d5:filesl{files}e4:name1:t12:piece lengthi32768e6:pieces40:");
    let torrent = Metainfo::decode_info(&[info.as_bytes(), &[0; 40], b"e"].concat()).expect("a torrent");
    let geometry = torrent.placement().expect("a geometry").clone();
    let mut rng = Rng::new(1);
    let mut picker = Picker::new(geometry, 16_384, [], &mut rng);
    picker.make_padding(torrent.padding());
    let mut all = PieceSet::none(2);
    (0..2).for_each(|piece| {
        all.insert(PieceIndex(piece));
    });
    let seeker = Seeker::of_any(PEER, &all);
    let mut asked: Vec<Block> = std::iter::from_fn(|| picker.pick(&seeker, &CHOICE, &mut rng)).collect();
    asked.sort_unstable_by_key(|block| (block.index, block.begin));
    let places =
        |blocks: &[Block]| blocks.iter().map(|block| (block.index.0, block.begin)).collect::<Vec<_>>();
    assert_eq!(places(&asked), [(0, 0), (1, 0), (1, 16_384)]);
    assert_eq!(places(&picker.made_blocks(PieceIndex(0))), [(0, 16_384)]);
    assert_eq!(picker.left(), 65_536);
    // It comes all the same, and is of no use.
    let made = Block { index: PieceIndex(0), begin: 16_384, length: 16_384 };
    assert!(!picker.ask_again(made, PEER));
    assert!(picker.arrive(asked[0], 0, 16_384, PEER).piece_done);
    // What failed is begun anew without the padding as well.
    assert!(picker.fail(PieceIndex(0)).is_some_and(|failed| failed.givers().flatten().count() == 1));
    let again = std::iter::from_fn(|| picker.pick(&seeker, &CHOICE, &mut rng)).collect::<Vec<_>>();
    assert_eq!(places(&again), [(0, 0)]);
    assert!(picker.arrive(again[0], 0, 16_384, PEER).piece_done);
    assert!(picker.pass(PieceIndex(0)).is_some());
    assert_eq!(picker.left(), 32_768);
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
