//! What a profile of another client makes a session say.

use super::support::*;
use crate::lines;
use crate::metainfo::PieceDigest;
use crate::session::{
    Alphabet, CloseReason, Config, ExtendedEntry, FirstMessage, HaveStep, Haves, Identity, Input, KeyForm,
    LastMessage, RedundantHaves, RequestStep, Session, SessionStreamId, WithoutPieces,
};
use crate::{PeerId, PieceIndex};
use sha1::{Digest, Sha1};

/// Of four pieces of one block.
fn stage(config: Config) -> Stage {
    Stage::new(config, torrent(65_536, 16_384, &[&["http://t.test/announce"]], ""), &[])
}

/// Connected to a peer that offers both extensions; what was said to it after the handshake.
fn connected(stage: &mut Stage) -> Vec<String> {
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    let mut said = stage.receive(2, &stage.handshake(EXTENDED, A_ID));
    said.retain(|line| line.starts_with("send"));
    said
}

fn have(piece: u32) -> Vec<u8> {
    [numbers(&[5]), vec![4], numbers(&[piece])].concat()
}

fn request(piece: u32) -> Vec<u8> {
    about(6, piece, 0, 16_384)
}

#[test]
fn a_keep_alive_stands_in_for_pieces_and_acknowledges_them() {
    let mut config = single();
    config.profile.reserved = PLAIN;
    config.profile.first_messages = vec![FirstMessage::Pieces];
    config.profile.without_pieces = WithoutPieces::KeepAlive;
    config.profile.acknowledges_pieces = true;
    let mut stage = stage(config);
    assert_said(connected(&mut stage), lines![sent(2, &[0; 4])]);
    let said = stage.receive(2, &[0, 0, 0, 2, 5, 0xf0]);
    assert_said(said, lines![sent(2, &[&[0; 4][..], &INTERESTED].concat())]);
}

#[test]
fn the_extended_handshake_says_what_its_entries_say() {
    let mut config = single();
    config.profile.first_messages = vec![FirstMessage::Extended];
    config.profile.extensions = vec![("ut_pex".into(), 0), ("ut_metadata".into(), 2)];
    config.profile.client = "Other 1".into();
    config.profile.extended = [
        ("complete_ago", ExtendedEntry::CompleteAgo),
        ("e", ExtendedEntry::Number(0)),
        ("m", ExtendedEntry::Extensions),
        ("p", ExtendedEntry::Port),
        ("upload_only", ExtendedEntry::UploadOnly),
        ("v", ExtendedEntry::Client),
        ("x", ExtendedEntry::Text(b"y".to_vec())),
    ]
    .map(|(key, says)| (key.into(), says))
    .into();
    let dictionary = "d12:complete_agoi-1e1:ei0e1:md6:ut_pexi0e11:ut_metadatai2ee1:pi6881e11:upload_onlyi0e\
                      1:v7:Other 11:x1:ye";
    let wanted =
        [numbers(&[2 + dictionary.len() as u32]), vec![20, 0], dictionary.as_bytes().to_vec()].concat();
    assert_said(connected(&mut stage(config)), lines![sent(2, &wanted)]);
}

#[test]
fn a_choked_peer_may_have_the_pieces_that_are_allowed() {
    let mut config = config();
    config.seeding = Some(Default::default());
    config.profile.first_messages = vec![FirstMessage::AllowedFast(2), FirstMessage::Pieces];
    let torrent = torrent(65_536, 16_384, &[&["http://t.test/announce"]], "");
    let mut stage = Stage::new(config, torrent, &[0, 1, 2, 3]);
    stage.said();
    stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.1:50000".parse().unwrap()));
    let said = stage.receive(1, &stage.handshake(FAST, A_ID));
    // Which two of the four follows from the address and the info hash.
    let allowed: Vec<u32> = (0..4)
        .filter(|&piece| {
            let message = [numbers(&[5]), vec![17], numbers(&[piece])].concat();
            let hex: Vec<_> = message.iter().map(|byte| format!("{byte:02x}")).collect();
            said.iter().any(|line| line.contains(&hex.join(" ")))
        })
        .collect();
    assert_eq!(allowed.len(), 2, "{said:?}");
    let refused = (0..4).find(|piece| !allowed.contains(piece)).unwrap();
    assert_said(stage.receive(1, &request(allowed[0])), lines![format!("load 1 {} 0 16384", allowed[0])]);
    assert_said(stage.receive(1, &request(refused)), lines![sent(1, &about(16, refused, 0, 16_384))]);
}

/// A client that asks for pieces 2, 0, 3, 1: two at first, the others once both have come.
fn listed() -> Config {
    let mut config = single();
    config.profile.first_messages = vec![FirstMessage::Pieces];
    config.schedule.pieces = [2, 0, 3, 1].map(PieceIndex).to_vec();
    config.schedule.requests = vec![
        RequestStep { blocks_received: 0, requests_sent: 2 },
        RequestStep { blocks_received: 2, requests_sent: 4 },
    ];
    config.profile.redundant_haves = RedundantHaves::ToAll;
    config
}

#[test]
fn pieces_are_asked_for_in_the_order_and_pace_of_the_profile() {
    let mut stage = stage(listed());
    connected(&mut stage);
    let said = stage.receive(2, &[&HAVE_ALL[..], &UNCHOKE].concat());
    assert_said(said, lines![sent(2, &[&INTERESTED[..], &request(2), &request(0)].concat())]);
    let said = stage.receive(2, &stage.block(2, 0, 16_384));
    assert_said(said, lines!["keep 2", "piece 2 done, from [10.0.0.1:6881]", sent(2, &have(2))]);
    let said = stage.receive(2, &stage.block(0, 0, 16_384));
    let wanted = [have(0), request(3), request(1)].concat();
    assert_said(said, lines!["keep 0", "piece 0 done, from [10.0.0.1:6881]", sent(2, &wanted)]);
    // Interested and two haves are policy, the four requests are not.
    let counts = stage.session.message_counts();
    assert_eq!((counts.sent, counts.scheduled_requests, counts.scheduled_haves), (8, 4, 0));
}

#[test]
fn requests_that_the_list_did_not_foresee_are_made_nevertheless() {
    let mut stage = stage(listed());
    connected(&mut stage);
    stage.receive(2, &[&HAVE_ALL[..], &UNCHOKE].concat());
    // Both are refused: as nothing waits, the list does not hold the session up.
    let said = stage.receive(2, &[about(16, 2, 0, 16_384), about(16, 0, 0, 16_384)].concat());
    assert_said(said, &[]);
    let said = stage.wait(3.0);
    assert!(said.iter().any(|line| !requests(line).is_empty()), "{said:?}");
}

#[test]
fn news_of_one_moment_is_told_in_the_fewest_bytes() {
    let mut config = listed();
    config.profile.haves = Haves::Shortest;
    config.profile.haves_first = false;
    config.profile.last_messages = vec![LastMessage::NotInterested, LastMessage::Haves];
    let mut stage = stage(config);
    connected(&mut stage);
    stage.receive(2, &[&HAVE_ALL[..], &UNCHOKE].concat());
    let said = stage.receive(2, &[stage.block(2, 0, 16_384), stage.block(0, 0, 16_384)].concat());
    // One bitfield of 6 bytes in place of two haves of 9.
    let wanted = [request(3), request(1), vec![0, 0, 0, 2, 5, 0b1010_0000]].concat();
    assert_eq!(said.last(), Some(&sent(2, &wanted)));
    let said = stage.receive(2, &[stage.block(3, 0, 16_384), stage.block(1, 0, 16_384)].concat());
    let parting = [&[0, 0, 0, 1, 3][..], &HAVE_ALL].concat();
    assert!(said.contains(&sent(2, &parting)), "{said:?}");
}

#[test]
fn pieces_are_told_at_the_moments_of_the_profile_in_the_order_in_which_they_came() {
    let mut config = listed();
    config.schedule.haves =
        vec![HaveStep { blocks_received: 2, haves_sent: 2 }, HaveStep { blocks_received: 3, haves_sent: 3 }];
    config.profile.last_messages = Vec::new();
    let mut stage = stage(config);
    connected(&mut stage);
    stage.receive(2, &[&HAVE_ALL[..], &UNCHOKE].concat());
    let kept = |piece: u32| [format!("keep {piece}"), format!("piece {piece} done, from [10.0.0.1:6881]")];
    stage.disk_works = false;
    stage.receive(2, &[stage.block(2, 0, 16_384), stage.block(0, 0, 16_384)].concat());
    stage.disk_works = true;
    // Piece 0 is verified first, but came after piece 2.
    let digest = |stage: &Stage, piece| {
        PieceDigest::from(<[u8; 20]>::from(Sha1::digest(stage.piece(PieceIndex(piece)))))
    };
    let (zero, two) = (digest(&stage, 0), digest(&stage, 2));
    assert_said(stage.hear(Input::Hashed(PieceIndex(0), zero)), &kept(0));
    let said = stage.hear(Input::Hashed(PieceIndex(2), two));
    // What is told first is waited for before more is asked for.
    let wanted = [have(2), have(0), request(3), request(1)].concat();
    assert_said(said, &[&kept(2)[..], &[sent(2, &wanted)]].concat());
    let said = stage.receive(2, &stage.block(3, 0, 16_384));
    assert_said(said, &[&kept(3)[..], &[sent(2, &have(3))]].concat());
    let said = stage.receive(2, &stage.block(1, 0, 16_384));
    assert!(said.contains(&"complete".to_owned()) && !said.contains(&sent(2, &have(1))), "{said:?}");
}

#[test]
fn one_who_leaves_without_a_word_says_none() {
    let mut config = listed();
    config.profile.last_messages = Vec::new();
    let mut stage = stage(config);
    connected(&mut stage);
    stage.receive(2, &[&HAVE_ALL[..], &UNCHOKE].concat());
    stage.receive(2, &[stage.block(2, 0, 16_384), stage.block(0, 0, 16_384)].concat());
    let said = stage.receive(2, &[stage.block(3, 0, 16_384), stage.block(1, 0, 16_384)].concat());
    assert!(said.contains(&"complete".to_owned()), "{said:?}");
    assert!(!said.iter().any(|line| line.starts_with("send 2")), "{said:?}");
}

#[test]
fn each_connection_has_the_next_peer_id_and_then_one_that_is_drawn() {
    let mut config = single();
    config.profile.peer_id.fresh = true;
    config.profile.peer_id.prefix = b"-XY0001-".to_vec();
    let mut stage = stage(config.clone());
    let mut identity = Identity::new(PeerId(*OUR_ID), 1, 7);
    identity.connection_ids = vec![PeerId(*b"-XY0001-firstfirstfi")];
    stage.session = Session::new(config, stage.torrent.clone(), identity, [], stage.now);
    stage.announced(&[PEER_A, PEER_B]);
    let ours = stage.handshake([0, 0, 0, 0, 0, 0x10, 0, 4], b"-XY0001-firstfirstfi");
    assert_said(stage.opened(2, "10.0.0.1:6881"), lines![sent(2, &ours)]);
    stage.closed(2, CloseReason::Reset);
    let said = stage.opened(4, "10.0.0.2:6881");
    assert_eq!(said.len(), 1, "{said:?}");
    // A handshake that ends in another id with the same prefix.
    assert!(said[0].contains("2d 58 59 30 30 30 31 2d"), "{said:?}");
    assert_ne!(said[0], sent(4, &ours));
}

#[test]
fn a_key_is_spelled_in_the_way_of_the_profile() {
    for (form, wanted) in [
        (KeyForm::UpperHex, "&key=0123ABCD&"),
        (KeyForm::LowerHex, "&key=0123abcd&"),
        (KeyForm::PeerIdTail(8), "&key=elvesxyz&"),
    ] {
        let mut config = single();
        config.profile.announce.key = form;
        let mut stage = stage(config);
        stage.said();
        let said = stage.opened(0, "10.0.0.9:80");
        assert!(said[0].contains(wanted), "{said:?}");
    }
    let mut config = single();
    config.profile.announce.key = KeyForm::Letters(8, Alphabet::UpperAlphanumeric);
    let announce = |key_text: Option<&[u8]>| {
        let mut stage = stage(config.clone());
        let key_text = key_text.map(<[u8]>::to_vec);
        let identity = Identity { key_text, ..Identity::new(PeerId(*OUR_ID), 1, 7) };
        stage.session = Session::new(config.clone(), stage.torrent.clone(), identity, [], stage.now);
        stage.said();
        stage.opened(0, "10.0.0.9:80").swap_remove(0)
    };
    let given = announce(Some(b"XQ9NUA3E"));
    assert!(given.contains("&key=XQ9NUA3E&"), "{given}");
    let drawn = announce(None);
    let key = drawn.split("&key=").nth(1).and_then(|rest| rest.split('&').next()).expect("there is a key");
    let is_letter = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    assert!(key.len() == 8 && key.bytes().all(is_letter), "{drawn}");
    assert_eq!(announce(None), drawn, "it is the same throughout a run");
}
