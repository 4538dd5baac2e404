//! What captures of real clients show of them.

use std::path::PathBuf;

use bittrace_trace::TraceOptions;

use bittrace_protocol::session::{HaveStep, KeyForm, LastMessage};

use super::*;

fn learnt(capture: &str) -> InferredProfile {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../captures", capture].iter().collect();
    let reference = crate::Transcript::open(&path, TraceOptions::default()).unwrap();
    infer_profile(&reference, Profile::own("bittrace")).unwrap()
}

fn order(schedule: &Schedule) -> Vec<u32> {
    schedule.pieces.iter().map(|piece| piece.0).collect()
}

#[test]
fn aria2_allows_pieces_and_tells_of_several_at_once() {
    let InferredProfile { profile, schedule, identity, port, beyond, .. } = learnt("download-aria2.pcap");
    assert_eq!(
        profile.first_messages,
        [FirstMessage::Extended, FirstMessage::Pieces, FirstMessage::AllowedFast(10)]
    );
    assert_eq!(profile.without_pieces, WithoutPieces::HaveNone);
    assert_eq!(profile.haves, Haves::Shortest);
    assert_eq!(profile.last_messages, [LastMessage::NotInterested, LastMessage::Haves]);
    assert_eq!(order(&schedule), [2, 7, 5, 4, 0, 1, 3, 6]);
    assert_eq!(
        schedule.requests,
        [
            RequestStep { blocks_received: 0, requests_sent: 6 },
            RequestStep { blocks_received: 5, requests_sent: 16 }
        ]
    );
    assert_eq!(
        schedule.haves,
        [HaveStep { blocks_received: 5, haves_sent: 2 }, HaveStep { blocks_received: 6, haves_sent: 3 }]
    );
    assert_eq!(profile.announce.key, KeyForm::PeerIdTail(8));
    assert_eq!((profile.announce.numwant, profile.announce.numwant_stopped), (50, 0));
    assert_eq!(profile.peer_id.prefix, b"A2-1-36-0-");
    assert!(identity.connection_ids.is_empty() && !profile.peer_id.fresh);
    assert_eq!(port, 6881);
    assert_eq!(beyond, [""; 0]);
}

#[test]
fn transmission_tells_of_single_pieces_before_it_asks_and_leaves_without_a_word() {
    let InferredProfile { profile, schedule, identity, .. } = learnt("download-transmission.pcap");
    assert_eq!(profile.first_messages, [FirstMessage::Extended, FirstMessage::Pieces]);
    assert_eq!((profile.haves, profile.haves_first), (Haves::Single, true));
    assert_eq!(profile.redundant_haves, RedundantHaves::ToAll);
    assert_eq!(profile.last_messages, []);
    assert_eq!(
        schedule.requests,
        [
            RequestStep { blocks_received: 0, requests_sent: 4 },
            RequestStep { blocks_received: 4, requests_sent: 16 }
        ]
    );
    assert_eq!((profile.announce.key, identity.key), (KeyForm::LowerHex, 0x2702_f8db));
    let keys: Vec<_> = profile.extended.iter().map(|(key, _)| String::from_utf8_lossy(key)).collect();
    assert_eq!(keys, ["e", "m", "metadata_size", "p", "reqq", "upload_only", "v"]);
}

#[test]
fn qbittorrent_has_a_peer_id_for_each_connection() {
    let InferredProfile { profile, identity, .. } = learnt("download-qbittorrent.pcapng");
    assert!(profile.peer_id.fresh);
    assert_eq!(identity.connection_ids, [PeerId(*b"-qB4520-aOvy~!8D5wlQ")]);
    assert_eq!(identity.peer_id, PeerId(*b"-qB4520-c6ArZfsaeoUg"));
    assert_eq!(profile.peer_id.alphabet, Alphabet::Unreserved);
    assert_eq!(profile.last_messages, [LastMessage::Haves]);
    assert!(profile.extended.contains(&(b"complete_ago".to_vec(), ExtendedEntry::CompleteAgo)));
}

#[test]
fn rtorrent_says_keep_alive_where_others_have_a_bitfield() {
    let InferredProfile { profile, .. } = learnt("download-rtorrent.pcap");
    assert_eq!(profile.first_messages, [FirstMessage::Extended, FirstMessage::Pieces]);
    assert_eq!(profile.without_pieces, WithoutPieces::KeepAlive);
    assert!(profile.acknowledges_pieces && !profile.haves_first);
    assert_eq!(profile.extensions, [("ut_metadata".to_owned(), 2), ("ut_pex".to_owned(), 0)]);
    assert_eq!(profile.last_messages, []);
}

#[test]
fn a_client_that_encrypts_shows_what_it_offers_and_one_that_does_not_is_not_made_to() {
    use bittrace_protocol::session::EncryptionPolicy;

    let keyed = learnt("mse-rc4-keyed.pcapng");
    assert!(keyed.evidence.iter().any(|one| one.part == "encryption"));
    assert_ne!(keyed.profile.encryption.policy, EncryptionPolicy::Off);
    assert_eq!(learnt("download-aria2.pcap").profile.encryption.policy, EncryptionPolicy::Off);
}

#[test]
fn ctorrent_has_a_key_of_letters() {
    let InferredProfile { profile, identity, beyond, .. } = learnt("download-ctorrent.pcap");
    assert_eq!(profile.announce.key, KeyForm::Letters(8, Alphabet::UpperAlphanumeric));
    assert_eq!(identity.key_text.map(|key| key.len()), Some(8));
    assert!(!profile.announce.says_completed);
    assert_eq!(beyond, [""; 0]);
}

#[test]
fn a_client_that_dials_over_utp_prefers_it() {
    let shown = |learnt: &InferredProfile| learnt.evidence.iter().any(|one| one.part == "utp");
    let utp = learnt("utp-download.pcap");
    assert!(utp.utp == UtpPolicy::Prefer && shown(&utp));
    let tcp = learnt("download-aria2.pcap");
    assert!(tcp.utp == UtpPolicy::Off && !shown(&tcp));
}
