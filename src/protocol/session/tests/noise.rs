//! Whatever happens, in whatever order: no panic, nothing stored outside the torrent or twice, nothing piled up.

use bytes::Bytes;
use proptest::prelude::*;

use super::support::*;
use crate::session::*;
use crate::{Block, PieceIndex};

#[derive(Debug, Clone)]
enum Step {
    Opened(u32),
    Accepted(u32),
    Random(u32, Vec<u8>),
    Message(u32, u8, Vec<u8>),
    Numbers(u32, u8, [u32; 3]),
    Block(u32, u32, u32, bool),
    Handshake(u32, u8, u8),
    Closed(u32),
    Sent(u32, usize),
    Stored(u32, u32),
    Hashed(u32),
    Examined(u32),
    Loaded(u32, u32, u32, bool),
    Answer(u32),
    Wait(u32),
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    let stream = || prop_oneof![0..12_u32, Just(2), Just(4), Just(1)];
    let small = || prop_oneof![0..4_u32, Just(16_384), Just(32_768), Just(7_232), any::<u32>()];
    let id = || prop_oneof![0..24_u8, any::<u8>()];
    prop_oneof![
        4 => stream().prop_map(Step::Opened),
        3 => stream().prop_map(Step::Accepted),
        2 => (stream(), prop::collection::vec(any::<u8>(), 0..60)).prop_map(|(s, bytes)| Step::Random(s, bytes)),
        4 => (stream(), id(), prop::collection::vec(any::<u8>(), 0..20)).prop_map(|(s, id, bytes)| Step::Message(s, id, bytes)),
        6 => (stream(), id(), [small(), small(), small()]).prop_map(|(s, id, numbers)| Step::Numbers(s, id, numbers)),
        9 => (stream(), 0..2_u32, 0..2_u32, any::<bool>()).prop_map(|(s, p, b, right)| Step::Block(s, p, b, right)),
        8 => (stream(), any::<u8>(), 0..4_u8).prop_map(|(s, bits, id)| Step::Handshake(s, bits, id)),
        1 => stream().prop_map(Step::Closed),
        1 => (stream(), any::<usize>()).prop_map(|(s, n)| Step::Sent(s, n)),
        1 => (0..3_u32, any::<u32>()).prop_map(|(p, n)| Step::Stored(p, n)),
        1 => (0..3_u32).prop_map(Step::Hashed),
        1 => (0..3_u32).prop_map(Step::Examined),
        1 => (stream(), 0..3_u32, small(), any::<bool>()).prop_map(|(s, p, b, ok)| Step::Loaded(s, p, b, ok)),
        2 => stream().prop_map(Step::Answer),
        3 => (0..200_000_u32).prop_map(Step::Wait),
        1 => Just(Step::Stop),
    ]
}

fn input(stage: &Stage, step: Step) -> Option<Input> {
    let stream = SessionStreamId;
    let message = |id: u8, payload: &[u8]| {
        let mut bytes = numbers(&[1 + payload.len() as u32]);
        bytes.push(id);
        bytes.extend(payload);
        Bytes::from(bytes)
    };
    Some(match step {
        Step::Opened(s) => Input::Opened(stream(s), format!("10.0.0.{s}:6881").parse().unwrap()),
        Step::Accepted(s) => Input::Accepted(stream(s | 1), format!("10.0.0.{s}:5000").parse().unwrap()),
        Step::Random(s, bytes) => Input::Received(stream(s), bytes.into()),
        Step::Message(s, id, payload) => Input::Received(stream(s), message(id, &payload)),
        Step::Numbers(s, id, all) => {
            let count = match id {
                0..=3 | 14 | 15 => 0,
                4 | 13 | 17 => 1,
                _ => 3,
            };
            Input::Received(stream(s), message(id, &numbers(&all[..count])))
        }
        Step::Block(s, piece, number, right) => {
            let length = if piece == 1 { 7_232 } else { 16_384 };
            let begin = if piece == 1 { 0 } else { number * 16_384 };
            let mut bytes = stage.block(piece, begin, length);
            bytes[13] ^= u8::from(!right);
            Input::Received(stream(s), bytes.into())
        }
        Step::Handshake(s, bits, id) => {
            let mut peer_id = *A_ID;
            peer_id[19] = id;
            let reserved = [0, 0, 0, 0, 0, bits & 0x10, 0, bits & 0x05];
            Input::Received(stream(s), stage.handshake(reserved, &peer_id).into())
        }
        Step::Closed(s) => Input::Closed(stream(s), CloseReason::Reset),
        Step::Sent(s, count) => Input::Sent(stream(s), count),
        Step::Stored(piece, count) => Input::Stored(PieceIndex(piece), count),
        Step::Hashed(piece) => Input::Hashed(PieceIndex(piece), [9; 20].into()),
        Step::Examined(piece) => Input::BlockHashes(PieceIndex(piece), vec![[9; 32]; 2]),
        Step::Loaded(s, piece, begin, right) => {
            let block = Block { index: PieceIndex(piece), begin, length: 16_384 };
            Input::Loaded(stream(s), block, right.then(|| Bytes::from(vec![0; 16_384])))
        }
        Step::Answer(s) => Input::Received(stream(s), answer(&[PEER_A, PEER_B].concat()).into()),
        Step::Stop => Input::Stop,
        Step::Wait(_) => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_order_of_events_is_borne(
        steps in prop::collection::vec(step(), 0..150),
        single_peer: bool,
        have in prop::option::of(0..2_u32),
        seeds: bool,
        stops: bool,
    ) {
        let mut config = Config { single_peer, ..config() };
        config.seeding = seeds.then(SeedGoal::default);
        config.upload_limit = seeds.then_some(20_000);
        let tiers: &[&[&str]] = &[&["http://t.test/a", "udp://u.test:1"], &["https://v.test/a"]];
        let have: Vec<_> = have.into_iter().collect();
        let mut stage = Stage::new(config, torrent(40_000, 32_768, tiers, ""), &have);
        stage.announced(&[PEER_A, PEER_B]);
        for step in steps {
            if matches!(step, Step::Stop) && !stops {
                continue;
            }
            if let Step::Wait(milliseconds) = step {
                stage.wait(f64::from(milliseconds) / 1000.0);
            } else if let Some(input) = input(&stage, step) {
                stage.hear(input);
            }
            let status = stage.session.status(stage.now);
            prop_assert!(status.peers_known <= 2_000 && status.pieces_done <= 2);
            for peer in stage.session.peers(stage.now) {
                prop_assert!(peer.outstanding <= 1_000);
            }
            let unchoked = stage.session.peers.iter().filter(|peer| !peer.am_choking()).count();
            prop_assert_eq!(stage.session.core.choker.unchoked, unchoked);
        }
        // Nothing wrong is kept.
        for &piece in &stage.kept.clone() {
            let start = piece as usize * 32_768;
            let end = (start + 32_768).min(40_000);
            prop_assert_eq!(&stage.piece(PieceIndex(piece)), &stage.content[start..end]);
        }
    }
}
