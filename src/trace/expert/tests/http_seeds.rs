//! Pieces from web seeds of BEP 17.

use super::*;

fn ask(rest: &str) -> Vec<u8> {
    let hash: String = torrent().info_hash.0.iter().map(|byte| format!("%{byte:02x}")).collect();
    format!("GET /seed?info_hash={hash}&piece={rest} HTTP/1.1\r\nHost: seed\r\n\r\n").into_bytes()
}

fn answer(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A piece's number, how often it was right and wrong, and whether it is whole.
type Row = (u32, u64, u64, bool);

/// The rules of the notes, and the pieces.
fn judged(steps: &[(&str, Vec<u8>)]) -> (Vec<&'static str>, Vec<Row>) {
    let mut conversation = Conversation::new();
    conversation.open(0);
    for (rest, body) in steps {
        conversation.say(0, 1.0, A, &ask(rest));
        conversation.say(0, 2.0, B, &answer(body));
    }
    let pieces = conversation.pieces.rows().map(|(_, piece, seen)| {
        assert!(seen.from.iter().all(|sender| sender.is_web_seed && sender.blocks == 0 && sender.parts > 0));
        (piece.0, seen.right, seen.wrong, seen.missing().unwrap().is_empty())
    });
    let pieces = pieces.collect();
    (conversation.notes.into_iter().map(|(rule, _)| rule).collect(), pieces)
}

const RIGHT: &str = "bep3.piece-verified";
const CORRUPT: &str = "bep3.piece-corrupt";

#[test]
fn pieces_of_an_http_seed_are_checked() {
    assert_eq!(judged(&[("1", vec![0; 20_000])]), (vec![RIGHT], vec![(1, 1, 0, true)]));
    assert_eq!(judged(&[("1", vec![7; 20_000])]), (vec![CORRUPT], vec![(1, 0, 1, true)]));
    assert_eq!(judged(&[("1", vec![0; 19_999])]), (vec![], vec![(1, 0, 0, false)]));
    // What follows the piece is none of it.
    let long = [vec![0; 20_000], vec![7; 20_000]].concat();
    assert_eq!(judged(&[("1", long)]), (vec![RIGHT], vec![(1, 1, 0, true)]));
    assert_eq!(judged(&[("2", vec![0; 100])]), (vec![], vec![]));
}

/// Several ranges stand end to end in the answer, in the order asked for.
#[test]
fn ranges_of_a_piece_have_their_places() {
    let zeros = |length: usize| vec![0; length];
    let all = "0&ranges=30000-32767,0-9999,10000-29999";
    assert_eq!(judged(&[(all, zeros(32_768))]), (vec![RIGHT], vec![(0, 1, 0, true)]));
    // One record has the rest of the piece, in two ranges.
    let steps = [("0&ranges=100-32667", zeros(32_568)), ("0&ranges=0-99,32668-32767", zeros(200))];
    assert_eq!(judged(&steps), (vec![RIGHT], vec![(0, 1, 0, true)]));
    let mut altered = zeros(200);
    altered[100] = 1;
    let steps = [("0&ranges=100-32667", zeros(32_568)), ("0&ranges=0-99,32668-32767", altered)];
    assert_eq!(judged(&steps), (vec![CORRUPT], vec![(0, 0, 1, true)]));
    // A range that runs over the piece's end.
    let steps = [("1&ranges=0-20009", zeros(20_010))];
    assert_eq!(judged(&steps), (vec![RIGHT], vec![(1, 1, 0, true)]));
}
