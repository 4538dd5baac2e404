//! A recorded peer against clients that keep its order and clients that do not. The client's words are raw bytes.

use std::path::PathBuf;

use bittrace_protocol::Metainfo;
use bittrace_trace::TraceOptions;

use super::*;

/// The peer that aria2 downloaded from: handshake, then extended handshake and have-all, unchoke behind interested, blocks
/// of pieces 2, 7, 5, 4, ...
fn far() -> (ReplayPeer, RecordedPieces) {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../captures"].iter().collect();
    let reference =
        crate::Transcript::open(&folder.join("download-aria2.pcap"), TraceOptions::default()).unwrap();
    let torrent = std::fs::read(folder.join("download-aria2.torrent")).unwrap();
    let contents = RecordedPieces::of(&reference, &Metainfo::decode(&torrent).unwrap());
    let conversation = reference.peers().next().unwrap();
    (ReplayPeer::of(reference.torrent.unwrap(), conversation, ClientRole::Downloader), contents)
}

/// The ids of what it says now: 19 for a handshake.
fn ids(peer: &mut ReplayPeer, contents: &RecordedPieces) -> Vec<u8> {
    let said = peer.speak(contents).map(|(messages, _)| messages).unwrap_or_default();
    said.iter().map(|message| if message[0] == 19 { 19 } else { message[4] }).collect()
}

/// A handshake that offers both extensions, for the capture's torrent.
fn handshake() -> Vec<u8> {
    offering(4)
}

/// A handshake with this last reserved byte, in which 4 offers the fast extension.
fn offering(last: u8) -> Vec<u8> {
    let reserved = [0, 0, 0, 0, 0, 0x10, 0, last];
    [&b"\x13BitTorrent protocol"[..], &reserved, TORRENT, b"-XX0000-abcdefghijkl"].concat()
}

fn request(piece: u8, begin: u16, length: u16) -> Vec<u8> {
    let [b0, b1] = begin.to_be_bytes();
    let [l0, l1] = length.to_be_bytes();
    vec![0, 0, 0, 13, 6, 0, 0, 0, piece, 0, 0, b0, b1, 0, 0, l0, l1]
}

/// 758c3826a6e5ddb4385453ad93c60e5d5dc88b06.
const TORRENT: &[u8] = b"u\x8c8&\xa6\xe5\xdd\xb48TS\xad\x93\xc6\x0e]]\xc8\x8b\x06";
const HAVE_NONE: [u8; 5] = [0, 0, 0, 1, 15];
const INTERESTED: [u8; 5] = [0, 0, 0, 1, 2];
/// An extended handshake that receives ut_metadata as 1: `d1:md11:ut_metadatai1eee`.
const EXTENDED: &[u8] = b"\0\0\0\x1a\x14\0d1:md11:ut_metadatai1eee";

#[test]
fn each_message_waits_for_what_came_before_it() {
    let (mut peer, contents) = far();
    assert_eq!(ids(&mut peer, &contents), [19], "it opened the connection");
    peer.hear(&handshake());
    assert_eq!(ids(&mut peer, &contents), [], "its next words follow the extended handshake and have-none");
    peer.hear(EXTENDED);
    assert_eq!(ids(&mut peer, &contents), []);
    peer.hear(&HAVE_NONE);
    assert_eq!(ids(&mut peer, &contents), [20, 14]);
    assert_eq!(ids(&mut peer, &contents), []);
    peer.hear(&INTERESTED);
    assert_eq!(ids(&mut peer, &contents), [1]);
}

/// Brought to where the client may ask for blocks.
fn unchoking() -> (ReplayPeer, RecordedPieces) {
    let (mut peer, contents) = far();
    peer.hear(&[&handshake()[..], EXTENDED, &HAVE_NONE, &INTERESTED].concat());
    assert_eq!(ids(&mut peer, &contents), [19, 20, 14, 1]);
    (peer, contents)
}

/// The reference's client had the torrent, and this one has a magnet link.
#[test]
fn metadata_is_given_by_request_although_the_reference_gives_none() {
    let (mut peer, contents) = unchoking();
    // 3 is the number under which the far end receives ut_metadata.
    peer.hear(b"\0\0\0\x1b\x14\x03d8:msg_typei0e5:piecei0ee\0\0\0\x1b\x14\x03d8:msg_typei0e5:piecei1ee");
    let (said, _) = peer.speak(&contents).expect("an answer");
    let [given, rejected] = &said[..] else { panic!("{said:?}") };
    // 2 bytes before the dictionary of 43, and the 233 of the info dictionary.
    assert!(given.starts_with(b"\0\0\x01\x16\x14\x01d8:msg_typei1e5:piecei0e10:total_sizei233eed"));
    assert_eq!(given.len(), 4 + 2 + 43 + 233);
    assert_eq!(**rejected, *b"\0\0\0\x1b\x14\x01d8:msg_typei2e5:piecei1ee");
    assert!(peer.speak(&contents).is_none());
}

#[test]
fn blocks_wait_for_as_many_requests_as_there_were() {
    let (mut peer, contents) = unchoking();
    for (piece, begin, length) in
        [(2, 0, 16384), (2, 16384, 16384), (7, 0, 16384), (7, 16384, 17), (5, 0, 16384)]
    {
        peer.hear(&request(piece, begin, length));
        assert_eq!(ids(&mut peer, &contents), [], "six were asked for before the first came");
    }
    peer.hear(&request(5, 16384, 16384));
    assert_eq!(ids(&mut peer, &contents), [7; 5], "the sixth came after more requests");
}

#[test]
fn a_client_that_asks_for_less_is_answered_once_the_cue_is_waived() {
    let (mut peer, contents) = unchoking();
    peer.hear(&request(4, 16384, 16384));
    assert_eq!(ids(&mut peer, &contents), []);
    assert!(peer.waive());
    let (messages, _) = peer.speak(&contents).unwrap();
    assert_eq!((messages.len(), &messages[0][4..13]), (1, &[7, 0, 0, 0, 4, 0, 0, 0x40, 0][..]));
    // From now on each request is answered at once, in other sizes too.
    peer.hear(&request(3, 1, 100));
    let (messages, _) = peer.speak(&contents).unwrap();
    assert_eq!((messages.len(), messages[0].len()), (1, 113));
    assert!(matches!(peer.finish()[0], Missed::Cue { cue: Precondition::Request, lacking: 5, .. }));
}

#[test]
fn interest_is_waited_for_whatever_else_is_waived() {
    let (mut peer, contents) = far();
    peer.hear(&[&handshake()[..], EXTENDED, &HAVE_NONE].concat());
    assert_eq!(ids(&mut peer, &contents), [19, 20, 14]);
    assert!(peer.waive());
    assert!(!peer.waive() && !peer.waive());
    assert_eq!(ids(&mut peer, &contents), []);
    peer.hear(&INTERESTED);
    assert_eq!(ids(&mut peer, &contents), [1]);
}

#[test]
fn a_block_that_nobody_has_is_refused_and_told() {
    let (mut peer, contents) = unchoking();
    peer.waive();
    peer.hear(&request(200, 0, 16384));
    assert_eq!(ids(&mut peer, &contents), [16]);
    let refusals = peer.refusals();
    let [refusal] = &refusals[..] else { panic!("{refusals:?}") };
    assert_eq!((refusal.message, refusal.nth, refusal.did), ("request", 1, RefusalAct::Rejected));
    assert!(refusal.why.contains("there is no piece 200"), "{}", refusal.why);
}

#[test]
fn what_is_cancelled_is_not_sent() {
    let (mut peer, contents) = unchoking();
    peer.hear(&request(2, 0, 16384));
    let mut cancel = request(2, 0, 16384);
    cancel[4] = 8;
    peer.hear(&cancel);
    peer.waive();
    assert_eq!(ids(&mut peer, &contents), []);
}

#[test]
fn a_choke_ends_requests_unless_both_sides_speak_the_fast_extension() {
    for (last, answered) in [(0, vec![]), (4, vec![7])] {
        let (mut peer, contents) = far();
        peer.hear(&[&offering(last)[..], EXTENDED, &HAVE_NONE, &INTERESTED].concat());
        assert_eq!(ids(&mut peer, &contents), [19, 20, 14, 1]);
        peer.hear(&request(4, 16384, 16384));
        for (id, message) in [(0, Message::Choke), (1, Message::Unchoke)] {
            peer.lines.insert(
                peer.next,
                ScriptedMessage {
                    at: Timestamp::EPOCH,
                    number: 0,
                    bytes: vec![0, 0, 0, 1, id].into(),
                    says: ScriptedKind::Message(message),
                    wants: PreconditionCounts::default(),
                    pause: Duration::ZERO,
                    said: false,
                },
            );
            assert_eq!(ids(&mut peer, &contents), [id]);
        }
        assert!(peer.waive());
        assert_eq!(ids(&mut peer, &contents), answered, "reserved byte {last}");
        // A request after the unchoke is answered in any case.
        peer.hear(&request(4, 0, 16384));
        assert_eq!(ids(&mut peer, &contents), [7]);
    }
}

#[test]
fn a_block_that_nobody_has_is_missed_once_where_it_cannot_be_refused() {
    let (mut peer, contents) = far();
    peer.hear(&[&offering(0)[..], EXTENDED, &HAVE_NONE, &INTERESTED].concat());
    assert_eq!(ids(&mut peer, &contents), [19, 20, 14, 1]);
    peer.waive();
    for _ in 0..2 {
        peer.hear(&request(200, 0, 16384));
    }
    assert_eq!([(); 3].map(|()| ids(&mut peer, &contents).len()), [0; 3]);
    let acts: Vec<RefusalAct> = peer.refusals().iter().map(|refusal| refusal.did).collect();
    assert_eq!(acts, [RefusalAct::LeftUnanswered]);
}

#[test]
fn bytes_that_are_no_bittorrent_end_the_listening() {
    let (mut peer, _) = far();
    peer.hear(b"GET / HTTP/1.1\r\n");
    assert!(peer.garbled.is_some());
    let (mut peer, _) = far();
    peer.hear(&[&handshake()[..], &INTERESTED, &[0xff; 8]].concat());
    assert!(peer.garbled.is_some());
    let refusals = peer.refusals();
    let [refusal] = &refusals[..] else { panic!("{refusals:?}") };
    // The handshake is the first message, interested the second.
    assert_eq!((refusal.message, refusal.nth, refusal.did), ("message", 3, RefusalAct::Closed));
}

#[test]
fn a_handshake_for_another_torrent_is_refused_by_its_info_hash() {
    let (mut peer, _) = far();
    let mut other = handshake();
    other[28] ^= 0xff;
    peer.hear(&other);
    let refusals = peer.refusals();
    let [refusal] = &refusals[..] else { panic!("{refusals:?}") };
    assert_eq!((refusal.message, refusal.did), ("handshake", RefusalAct::Closed));
    assert!(refusal.why.starts_with("the handshake has another info_hash, 8a8c"), "{}", refusal.why);
}

#[test]
fn requests_while_the_peer_chokes_are_told_at_the_end() {
    let (mut peer, contents) = far();
    peer.hear(&[&offering(0)[..], EXTENDED, &HAVE_NONE].concat());
    assert_eq!(ids(&mut peer, &contents), [19, 20, 14]);
    peer.hear(&[request(2, 0, 16384), request(2, 16384, 16384)].concat());
    assert_eq!(ids(&mut peer, &contents), []);
    let refusals = peer.refusals();
    let told: Vec<_> = refusals.iter().map(|refusal| (refusal.nth, refusal.did)).collect();
    assert_eq!(told, [(1, RefusalAct::LeftUnanswered), (2, RefusalAct::LeftUnanswered)]);
    assert_eq!(refusals[0].why, "the replayed peer was choking the client");
}

#[test]
fn what_is_nearly_right_is_told_by_its_first_wrong_byte() {
    let behind = [&[0, 0, 0, 0, 0, 0x10, 0, 4], TORRENT, b"-XX0000-abcdefghijkl"].concat();
    let name = b"\x13BitTorrent protocol";
    let digits = b"758c3826a6e5ddb4385453ad93c60e5d5dc88b06";
    for (said, why) in [
        ([&b"\x19BitTorrent protocol"[..], &behind].concat(), "byte 0 is 25 (0x19), expected 19 (0x13)"),
        ([&b"\x13BitTorrent Protocol"[..], &behind].concat(), "byte 12 is \"P\" (0x50), expected \"p\""),
        ([&b"19BitTorrent protocol"[..], &behind].concat(), "byte 0 is \"1\" (0x31), expected 19 (0x13)"),
        ([&name[..], TORRENT, b"-XX0000-abcdefghijkl"].concat(), "byte 20 begins the info hash"),
        ([&name[..], TORRENT, b"abcdefghijklmnopqrst"].concat(), "byte 20 begins the info hash"),
        (
            [&name[..], &behind[..8], digits, &behind[28..]].concat(),
            "byte 28 is \"7\" (0x37), the first of 40",
        ),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "byte 0 is \"G\" (0x47)"),
        ([&handshake()[..], &[1, 0, 0, 0, 2]].concat(), "byte 0 of the length 01 00 00 00 is 1 (0x01)"),
        ([&handshake()[..], &[2, 0, 0, 0, 5, 0xe0]].concat(), "byte 0 of the length 02 00 00 00 is 2 (0x02)"),
    ] {
        for size in [1, 7, 200] {
            let (mut peer, _) = far();
            said.chunks(size).for_each(|cut| peer.hear(cut));
            let garbled = peer.garbled.unwrap_or_else(|| panic!("{} is not told", said.escape_ascii()));
            assert!(garbled.starts_with(why), "{garbled}");
            assert!(garbled.contains("(BEP 3, \"peer protocol\") [bep3."), "{garbled}");
        }
    }
}

#[test]
fn what_is_nearly_right_and_goes_on_no_further_is_told_at_the_end() {
    let (mut peer, _) = far();
    peer.hear(b"\x19BitTorrent protocol\0\0\0\0\0\0\0\0");
    assert_eq!(peer.garbled, None);
    peer.hear_silence();
    assert!(peer.garbled.is_some_and(|why| why.starts_with("byte 0 is 25")));
    // A handshake that is right so far is not.
    let (mut peer, _) = far();
    peer.hear(&handshake()[..60]);
    peer.hear_silence();
    assert_eq!(peer.garbled, None);
}

#[test]
fn any_cut_of_what_the_client_says_is_heard_the_same() {
    let said = [&handshake()[..], EXTENDED, &HAVE_NONE, &INTERESTED, &request(2, 0, 16384)].concat();
    for size in [1, 2, 3, 7, 68, 70] {
        let (mut peer, contents) = far();
        said.chunks(size).for_each(|cut| peer.hear(cut));
        assert_eq!(ids(&mut peer, &contents), [19, 20, 14, 1], "in cuts of {size}");
    }
}

/// The downloader that Transmission seeded to: handshake, extended handshake, keep-alives, interested, then requests that follow
/// the unchoke and the blocks before them.
fn downloader() -> (ReplayPeer, RecordedPieces) {
    downloader_of("seeding-transmission")
}

fn downloader_of(scenario: &str) -> (ReplayPeer, RecordedPieces) {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../captures"].iter().collect();
    let reference =
        crate::Transcript::open(&folder.join(format!("{scenario}.pcap")), TraceOptions::default()).unwrap();
    let torrent = std::fs::read(folder.join(format!("{scenario}.torrent"))).unwrap();
    let contents = RecordedPieces::of(&reference, &Metainfo::decode(&torrent).unwrap());
    let conversation = reference.peers().next().unwrap();
    (ReplayPeer::of(reference.torrent.unwrap(), conversation, ClientRole::Seeder), contents)
}

/// A bitfield of 8 pieces, an unchoke.
const BITFIELD: [u8; 6] = [0, 0, 0, 2, 5, 0xff];
const UNCHOKE: [u8; 5] = [0, 0, 0, 1, 1];

/// What it says until it waits for the client.
fn all_ids(peer: &mut ReplayPeer, contents: &RecordedPieces) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some((messages, _)) = peer.speak(contents) {
        let id = |message: &Bytes| if message[0] == 19 { 19 } else { message.get(4).copied().unwrap_or(0) };
        all.extend(messages.iter().map(id));
    }
    all
}

/// A block of the content, as a message; `other` is added to its last byte.
fn block(contents: &RecordedPieces, piece: u32, begin: u32, other: u8) -> Vec<u8> {
    let length = if piece == 7 && begin > 0 { 17 } else { 16384 };
    let of = Block { index: bittrace_protocol::PieceIndex(piece), begin, length };
    let mut bytes = contents.block(of).unwrap().to_vec();
    *bytes.last_mut().unwrap() ^= other;
    [&(length + 9).to_be_bytes()[..], &[7], &piece.to_be_bytes(), &begin.to_be_bytes(), &bytes].concat()
}

#[test]
fn a_recorded_downloader_asks_when_it_is_unchoked_and_goes_on_as_blocks_come() {
    let (mut peer, contents) = downloader();
    assert_eq!(all_ids(&mut peer, &contents), [19]);
    peer.hear(&handshake());
    assert_eq!(all_ids(&mut peer, &contents), [20, 0], "the keep-alive of rtorrent");
    peer.hear(EXTENDED);
    peer.hear(&BITFIELD);
    assert_eq!(all_ids(&mut peer, &contents), [0, 2]);
    assert_eq!(peer.waits_for(), Some(Precondition::Choke));
    assert_eq!(peer.pause(), None);
    peer.hear(&UNCHOKE);
    // 166 µs after the unchoke.
    assert_eq!(peer.pause().map(|pause| pause.as_micros()), Some(166));
    assert_eq!(all_ids(&mut peer, &contents), [6, 6]);
    assert_eq!(peer.waits_for(), Some(Precondition::Piece));
    peer.hear(&block(&contents, 4, 0, 0));
    assert_eq!(all_ids(&mut peer, &contents), []);
    peer.hear(&block(&contents, 4, 16384, 1));
    assert_eq!(all_ids(&mut peer, &contents), [6, 6, 6, 4]);
    assert!(!peer.is_over());
    let wrong = Block { index: bittrace_protocol::PieceIndex(4), begin: 16384, length: 16384 };
    let missed = peer.finish();
    assert_eq!(missed[0], Missed::WrongBlock { block: wrong });
    assert!(matches!(missed[1], Missed::Never { cue: Precondition::Piece, lacking: 1, .. }), "{missed:?}");
    assert_eq!(missed.len(), 2);
}

#[test]
fn a_recorded_downloader_that_is_never_unchoked_does_not_ask() {
    let (mut peer, contents) = downloader();
    peer.hear(&[&handshake()[..], EXTENDED, &BITFIELD].concat());
    assert_eq!(all_ids(&mut peer, &contents), [19, 20, 0, 0, 2]);
    assert!(peer.waive(), "it waits less");
    assert_eq!(all_ids(&mut peer, &contents), []);
    assert!(!peer.waive(), "the unchoke is waited for still");
    let missed = peer.finish();
    assert!(matches!(missed[0], Missed::Cue { cue: Precondition::Choke, lacking: 1, .. }), "{missed:?}");
    assert!(matches!(missed[1], Missed::Never { cue: Precondition::Choke, lacking: 1, .. }), "{missed:?}");
}

#[test]
fn a_recorded_downloader_leaves_when_it_has_all_that_it_asked_for() {
    let (mut peer, contents) = downloader();
    peer.hear(&[&handshake()[..], EXTENDED, &BITFIELD, &UNCHOKE].concat());
    for piece in [4, 5, 6, 7, 0, 1, 2, 3] {
        for begin in [0, 16384] {
            all_ids(&mut peer, &contents);
            assert!(!peer.is_over());
            peer.hear(&block(&contents, piece, begin, 0));
        }
    }
    all_ids(&mut peer, &contents);
    assert!(peer.is_over());
    assert_eq!(peer.finish(), []);
}

#[test]
fn a_recorded_downloader_asks_again_for_what_was_rejected_once_it_is_unchoked() {
    // libtorrent asked for pieces that aria2 allowed it while it was choked.
    let (mut peer, contents) = downloader_of("seeding-aria2");
    let have_all = [0, 0, 0, 1, 14];
    peer.hear(&[&handshake()[..], EXTENDED, &have_all].concat());
    for number in 0..8 {
        peer.hear(&[0, 0, 0, 5, 17, 0, 0, 0, number]);
    }
    assert_eq!(all_ids(&mut peer, &contents), [19, 20, 15, 2, 6, 6, 6, 6]);
    let reject = |mut request: Vec<u8>| {
        request[4] = 16;
        request
    };
    for _ in 0..2 {
        // The second of them answers no request.
        peer.hear(&reject(request(0, 0, 16384)));
    }
    assert_eq!(all_ids(&mut peer, &contents), []);
    peer.hear(&UNCHOKE);
    assert_eq!(all_ids(&mut peer, &contents), [6]);
    peer.hear(&reject(request(0, 0, 16384)));
    assert_eq!(all_ids(&mut peer, &contents), [6], "and again");
}

/// The peer that libtorrent downloaded a torrent of version 2 alone from: pieces of 32 KiB, so that layer 1 is of pieces.
fn far_of_v2() -> (ReplayPeer, RecordedPieces, Metainfo) {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../captures"].iter().collect();
    let reference =
        crate::Transcript::open(&folder.join("v2-download.pcapng"), TraceOptions::default()).unwrap();
    let torrent = Metainfo::decode(&std::fs::read(folder.join("v2-download.torrent")).unwrap()).unwrap();
    let contents = RecordedPieces::of(&reference, &torrent);
    let conversation = reference.peers().next().unwrap();
    let mut peer = ReplayPeer::of(torrent.info_hash, conversation, ClientRole::Downloader);
    let reserved = [0, 0, 0, 0, 0, 0x10, 0, 4];
    peer.hear(
        &[&b"\x13BitTorrent protocol"[..], &reserved, &torrent.info_hash.0, b"-XX0000-abcdefghijkl"].concat(),
    );
    ids(&mut peer, &contents);
    (peer, contents, torrent)
}

/// A request for hashes of layer 1, from 0, without proofs (BEP 52, "peer messages").
fn hash_request(root: &[u8; 32], count: u8) -> Vec<u8> {
    [&[0, 0, 0, 49, 21], &root[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, count, 0, 0, 0, 0]].concat()
}

#[test]
fn hashes_are_given_by_request_although_the_reference_gives_none() {
    let (mut peer, contents, torrent) = far_of_v2();
    let root = torrent.files[0].pieces_root.unwrap();
    peer.hear(&[hash_request(&root, 4), hash_request(&[7; 32], 4)].concat());
    let (said, _) = peer.speak(&contents).expect("an answer");
    let given = said.iter().find(|message| message[4] == 22).expect("hashes");
    assert_eq!(given[..5], [0, 0, 0, 49 + 4 * 32, 22]);
    assert_eq!(given[5..37], root);
    let layer =
        (0..4).flat_map(|number| torrent.layer_hash(root, number).expect("a hash")).collect::<Vec<_>>();
    assert_eq!(given[53..], layer[..]);
    let rejected = said.iter().find(|message| message[4] == 23).expect("a reject");
    assert_eq!(rejected[..37], [&[0, 0, 0, 49, 23][..], &[7; 32]].concat());
    assert!(peer.speak(&contents).is_none(), "each is answered once");
}

#[test]
fn a_block_that_goes_on_after_its_file_is_given_with_zeros() {
    let (_, contents, torrent) = far_of_v2();
    assert_eq!(contents.missing(&torrent), []);
    let block = |length| Block { index: bittrace_protocol::PieceIndex(4), begin: 16_384, length };
    let (exact, padded) = (contents.block(block(2_544)).unwrap(), contents.block(block(16_384)).unwrap());
    assert_eq!((exact.len(), padded.len()), (2_544, 16_384));
    assert!(padded.starts_with(&exact) && padded[exact.len()..].iter().all(|byte| *byte == 0));
    assert!(exact.iter().any(|byte| *byte != 0));
    assert_eq!(contents.block(block(16_385)), None);
}

/// libtorrent downloaded a hybrid torrent by its hash of version 2: clients may call by either.
#[test]
fn a_client_of_a_hybrid_torrent_is_answered_by_the_hash_that_it_calls_by() {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../captures"].iter().collect();
    let file = std::fs::read(folder.join("hybrid-v2-hashes.torrent")).unwrap();
    let torrent = std::sync::Arc::new(Metainfo::decode(&file).unwrap());
    let options = TraceOptions { torrents: vec![torrent.clone()], ..TraceOptions::default() };
    let reference = crate::Transcript::open(&folder.join("hybrid-v2-hashes.pcap"), options).unwrap();
    let hashes = TorrentHashes::of(&torrent);
    let (first, second) = (hashes.first, hashes.second.unwrap());
    assert_eq!((reference.torrent, reference.hybrid), (Some(second), Some(hashes)));
    let answer = |info_hash: InfoHash, last: u8| {
        let conversation = reference.peers().next().unwrap();
        let mut peer = ReplayPeer::of(hashes, conversation, ClientRole::Downloader);
        let contents = RecordedPieces::of(&reference, &torrent);
        let reserved = [0, 0, 0, 0, 0, 0x10, 0, last];
        let id = b"-XX0000-abcdefghijkl";
        peer.hear(&[&b"\x13BitTorrent protocol"[..], &reserved, &info_hash.0, id].concat());
        assert_eq!(peer.garbled, None);
        let (said, _) = peer.speak(&contents).unwrap();
        InfoHash(said[0][28..48].try_into().unwrap())
    };
    assert_eq!(answer(second, 5), second);
    // One that offers version 2 gets it, and another gets back what it called by (BEP 52, "Upgrade Path").
    assert_eq!((answer(first, 0x15), answer(first, 5)), (second, first));
}
