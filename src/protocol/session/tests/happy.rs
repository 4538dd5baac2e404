//! One tracker, one peer, every message in its place.

use std::collections::VecDeque;

use super::pex::extended;
use super::support::*;
use crate::lines;
use crate::session::{CloseReason, Config, FirstMessage, Input, Interest, PieceOrder};

fn announce(event: &str, downloaded: u64, left: u64, numwant: u32) -> String {
    let hash: String = {
        // Letters, digits and -._~ stay bare (RFC 3986).
        let hash = torrent(40_000, 32_768, &[], "").info_hash.0;
        let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        hash.iter()
            .map(|&byte| if bare(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect()
    };
    format!(
        "GET /announce?info_hash={hash}&peer_id=-BT0001-ourselvesxyz&port=6881&uploaded=0&downloaded={downloaded}\
         &left={left}&corrupt=0&key=0123ABCD&event={event}&numwant={numwant}&compact=1&no_peer_id=1 HTTP/1.1\\r\\n\
         Host: t.test\\r\\nUser-Agent: bittrace/0\\r\\nAccept-Encoding: gzip\\r\\nConnection: close\\r\\n\\r\\n"
    )
}

fn plain_config() -> Config {
    let mut config = single();
    config.profile.piece_order = PieceOrder::InOrder;
    config
}

#[test]
fn a_single_peer_gives_the_whole_file() {
    let mut stage = Stage::small(plain_config());
    assert_said(stage.said(), lines!["open 0 http t.test 80"]);
    let request = announce("started", 0, 40_000, 200);
    assert_said(stage.opened(0, "10.0.0.9:80"), lines![format!("send 0 {request}")]);
    assert_said(
        stage.receive(0, &answer(&PEER_A)),
        lines!["close 0", "announced, 1 peers", "open 2 10.0.0.1:6881"],
    );

    let ours = stage.handshake([0, 0, 0, 0, 0, 0x10, 0, 4], OUR_ID);
    assert_said(stage.opened(2, "10.0.0.1:6881"), lines![sent(2, &ours)]);
    assert_said(stage.receive(2, &stage.handshake(PLAIN, A_ID)), lines!["connected 2"]);
    // A bitfield of both pieces: we are interested.
    assert_said(stage.receive(2, &[0, 0, 0, 2, 5, 0xc0]), lines![sent(2, &INTERESTED)]);
    let requests = [about(6, 0, 0, 16_384), about(6, 0, 16_384, 16_384), about(6, 1, 0, 7_232)].concat();
    assert_said(stage.receive(2, &UNCHOKE), lines![sent(2, &requests)]);

    assert_said(stage.receive(2, &stage.block(0, 0, 16_384)), &[]);
    assert_said(
        stage.receive(2, &stage.block(0, 16_384, 16_384)),
        lines!["keep 0", "piece 0 done, from [10.0.0.1:6881]"],
    );
    let said = stage.receive(2, &stage.block(1, 0, 7_232));
    assert_said(
        said,
        lines![
            "keep 1",
            "piece 1 done, from [10.0.0.1:6881]",
            "complete",
            "close 2",
            "gone 2 Finished gave 40000",
            "open 4 http t.test 80"
        ],
    );

    let request = announce("completed", 40_000, 0, 200);
    assert_said(stage.opened(4, "10.0.0.9:80"), lines![format!("send 4 {request}")]);
    assert_said(
        stage.receive(4, &answer(b"")),
        lines!["close 4", "announced, 0 peers", "open 6 http t.test 80"],
    );
    let request = announce("stopped", 40_000, 0, 0);
    assert_said(stage.opened(6, "10.0.0.9:80"), lines![format!("send 6 {request}")]);
    assert_said(stage.receive(6, &answer(b"")), lines!["close 6", "announced, 0 peers", "done"]);
    assert!(stage.session.is_complete());
    assert_eq!(
        [stage.piece(crate::PieceIndex(0)), stage.piece(crate::PieceIndex(1))].concat(),
        stage.content
    );
}

#[test]
fn any_cut_of_what_the_peer_says_gives_the_same() {
    for size in [1, 2, 3, 5, 13, 17, 1000, 16_384, 40_000] {
        let mut stage = Stage::small(plain_config());
        stage.announced(&[PEER_A]);
        stage.opened(2, "10.0.0.1:6881");
        let mut stream = stage.handshake(PLAIN, A_ID);
        stream.extend([0, 0, 0, 2, 5, 0xc0]);
        stream.extend(UNCHOKE);
        for cut in stream.chunks(size) {
            stage.receive(2, cut);
        }
        let blocks = [(0, 0, 16_384), (0, 16_384, 16_384), (1, 0, 7_232)];
        let blocks = blocks.map(|(index, begin, length)| stage.block(index, begin, length)).concat();
        for cut in blocks.chunks(size) {
            stage.receive(2, cut);
        }
        assert!(stage.session.is_complete(), "in cuts of {size}");
        assert_eq!(stage.session.status(stage.now).wasted, 0);
    }
}

#[test]
fn a_peer_has_no_more_requests_than_it_queues_while_it_sends_a_block() {
    let mut stage =
        Stage::new(plain_config(), torrent(40 * 16_384, 32_768, &[&["http://t.test/announce"]], ""), &[]);
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    stage.receive(2, &stage.handshake(EXTENDED, A_ID));
    stage.receive(2, &HAVE_ALL);
    stage.receive(2, &extended(0, b"d4:reqqi4ee"));
    let asked = |lines: Vec<String>| lines.iter().flat_map(|line| requests(line)).collect::<Vec<_>>();
    let mut queue = VecDeque::from(asked(stage.receive(2, &UNCHOKE)));
    let mut most = queue.len();
    while let Some(&(_, index, begin, length)) = queue.front() {
        let block = stage.block(index, begin, length);
        let (first, rest) = block.split_at(1_000);
        queue.extend(asked(stage.receive(2, first)));
        most = most.max(queue.len());
        // Its request is answered.
        queue.pop_front();
        queue.extend(asked(stage.receive(2, rest)));
        most = most.max(queue.len());
    }
    assert!(stage.session.is_complete());
    assert_eq!(most, 4);
}

#[test]
fn a_peer_of_both_extensions_is_greeted_in_the_order_of_the_profile() {
    let mut config = plain_config();
    config.profile.first_messages = vec![FirstMessage::Extended, FirstMessage::Pieces];
    config.profile.interest = Interest::AtOnce;
    let mut stage = Stage::small(config);
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    let size = stage.torrent.info_bytes().len();
    let dictionary = format!(
        "d1:md11:lt_donthavei4e11:upload_onlyi3e11:ut_metadatai2e6:ut_pexi1ee13:metadata_sizei{size}e\
         1:pi6881e4:reqqi500e1:v10:bittrace/06:yourip4:\x0a\x00\x00\x01e"
    );
    let mut wanted = numbers(&[2 + dictionary.len() as u32]);
    wanted.extend([20, 0]);
    wanted.extend(dictionary.bytes());
    wanted.extend(HAVE_NONE);
    wanted.extend(INTERESTED);
    assert_said(stage.receive(2, &stage.handshake(EXTENDED, A_ID)), lines!["connected 2", sent(2, &wanted)]);
}

#[test]
fn a_session_that_has_everything_and_need_not_serve_is_over_at_once() {
    let torrent = torrent(40_000, 32_768, &[&["http://t.test/announce"]], "");
    let mut stage = Stage::new(single(), torrent, &[0, 1]);
    assert_said(stage.said(), lines!["complete", "done"]);
}

#[test]
fn stop_says_goodbye_to_tracker_and_peer() {
    let mut stage = Stage::small(plain_config());
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    stage.receive(2, &stage.handshake(PLAIN, A_ID));
    assert_said(
        stage.hear(Input::Stop),
        lines!["close 2", "gone 2 Finished gave 0", "open 4 http t.test 80"],
    );
    let request = announce("stopped", 0, 40_000, 0);
    assert_said(stage.opened(4, "10.0.0.9:80"), lines![format!("send 4 {request}")]);
    assert_said(
        stage.closed(4, CloseReason::Reset),
        lines!["tracker failed: the connection was reset; again None", "done"],
    );
    assert!(!stage.session.is_complete());
}

#[test]
fn a_goodbye_that_nobody_answers_is_not_waited_for() {
    let mut stage = Stage::small(plain_config());
    stage.announced(&[PEER_A]);
    stage.hear(Input::Stop);
    let said = stage.wait(5.0);
    assert_eq!(said.last().map(String::as_str), Some("done"), "{said:?}");
}
