//! What a client tells trackers when it begins, and the requests that contradict it.

use super::*;

/// What is noted of announces of one client (seconds, query), each on a connection of its own, and then of a request to a
/// peer after so many seconds. `from_start` says that the capture begins before the client.
fn noted(from_start: bool, announces: &[(f64, &str)], request_at: f64) -> Vec<&'static str> {
    let torrents = vec![Arc::new(torrent())];
    let options = TraceOptions { torrents, from_start, ..TraceOptions::default() };
    let mut conversation = Conversation { annotator: Annotator::new(options), ..Conversation::new() };
    for (stream, (at, query)) in (1..).zip(announces) {
        conversation.open(stream);
        conversation.say(stream, *at, A, &announce(1, query));
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\nd8:intervali0e5:peers0:e";
        conversation.say(stream, at + 0.1, B, answer);
    }
    conversation.open(0);
    for (direction, bytes) in [
        (A, handshake(1, 0)),
        (B, handshake(2, 0)),
        (A, message(INTERESTED, &[])),
        (B, message(UNCHOKE, &[])),
        (A, numbers(6, &[0, 0, 16_384])),
        (A, numbers(6, &[0, 16_384, 16_384])),
    ] {
        conversation.say(0, request_at, direction, &bytes);
    }
    let rules = conversation.notes.iter().map(|(rule, _)| *rule);
    rules.filter(|rule| !rule.starts_with("state.")).collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_client_with_no_bytes_left_requests_nothing() {
    let rule = ["bep3.left-too-little"];
    assert_eq!(noted(false, &[(1.0, "event=started&left=0")], 2.0), rule);
    assert_eq!(noted(false, &[(1.0, "left=0"), (1.5, "left=0")], 2.0), rule);
    assert_eq!(noted(false, &[(1.0, "event=started&left=52768")], 2.0), NOTHING);
    // It begins anew, or goes away: what it said before no longer holds.
    let anew = [(1.0, "event=started&left=0"), (1.5, "event=started&left=52768")];
    assert_eq!(noted(false, &anew, 2.0), NOTHING);
    assert_eq!(noted(false, &[(1.0, "event=started&left=0"), (1.5, "event=stopped&left=0")], 2.0), NOTHING);
}

#[test]
fn requests_on_their_way_at_the_last_piece_are_no_fault() {
    let completed = [(1.0, "event=started&left=52768"), (50.0, "event=completed&left=0")];
    assert_eq!(noted(false, &completed, 51.0), NOTHING);
    assert_eq!(noted(false, &completed, 60.0), ["bep3.left-too-little"]);
}

#[test]
fn an_old_announce_contradicts_nothing() {
    // A later announce may have gone to a tracker that the capture does not show.
    assert_eq!(noted(false, &[(1.0, "event=started&left=0")], 2000.0), NOTHING);
}

#[test]
fn a_client_that_learns_the_size_from_peers_did_not_know_what_is_left() {
    let mut conversation = Conversation::new();
    conversation.open(1);
    conversation.say(1, 0.0, A, &announce(1, "event=started&left=0"));
    conversation.open(0);
    let metadata = torrent().info_bytes().to_vec();
    let total = metadata.len();
    let names = format!("d1:md11:ut_metadatai1ee13:metadata_sizei{total}ee");
    let data = format!("d8:msg_typei1e5:piecei0e10:total_sizei{total}ee");
    for (direction, bytes) in [
        (A, handshake(1, 0)),
        (B, handshake(2, 0)),
        (A, extended(0, b"d1:md11:ut_metadatai1eee")),
        (B, extended(0, names.as_bytes())),
        (B, extended(1, &[data.as_bytes(), &metadata].concat())),
        (A, message(INTERESTED, &[])),
        (B, message(UNCHOKE, &[])),
        (A, numbers(6, &[0, 0, 16_384])),
    ] {
        conversation.say(0, 1.0, direction, &bytes);
    }
    let rules: Vec<&str> = conversation.notes.iter().map(|(rule, _)| *rule).collect();
    assert!(!rules.contains(&"bep3.left-too-little"), "{rules:?}");
}

#[test]
fn the_first_announce_of_a_run_has_the_event_started() {
    let rule = ["bep3.started-missing"];
    assert_eq!(noted(true, &[(1.0, "left=52768"), (2.0, "left=52768")], 3.0), rule);
    let both = ["bep3.started-missing", "bep3.completed-with-bytes-left"];
    assert_eq!(noted(true, &[(1.0, "event=completed&left=1")], 3.0), both);
    assert_eq!(noted(true, &[(1.0, "event=started&left=52768"), (2.0, "left=52768")], 3.0), NOTHING);
    // Some clients say goodbye before they begin.
    let goodbye = [(0.5, "event=stopped&left=52768"), (1.0, "event=started&left=52768")];
    assert_eq!(noted(true, &goodbye, 3.0), NOTHING);
    // The capture may begin in the middle of the run.
    assert_eq!(noted(false, &[(1.0, "left=52768")], 3.0), NOTHING);
}
