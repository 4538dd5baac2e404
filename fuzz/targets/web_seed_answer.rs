#![no_main]
//! What web seeds answer: however the bytes are cut, they are read as the same; and whatever a session is told, it stores each
//! byte once, asks for nothing outside the torrent, leaves servers that fail again and again, and comes to an end.
//!
//! An input is two bytes that say how answers are cut and of which kind the web seed is; the rest is what the server sends
//! once for each request.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bittrace_protocol::session::{CloseReason, Config, Endpoint, Identity, Input, Output, Profile, Session};
use bittrace_protocol::tracker::http::Request;
use bittrace_protocol::web_seed::{AnswerPart, AnswerReader, wanted, wanted_piece};
use bittrace_protocol::{Metainfo, PeerId, Timestamp};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

const FILES: &str =
    "5:filesld6:lengthi30000e4:pathl1:aeed4:attr1:p6:lengthi2768e4:pathl1:peed6:lengthi50000e4:pathl1:beee";

fuzz_target!(|input: &[u8]| {
    let Some((&[cut, kind], sent)) = input.split_first_chunk::<2>() else { return };
    let cut = usize::from(cut).max(1);
    assert_eq!(read(sent, sent.len().max(1)), read(sent, cut));

    let hashes = "x".repeat(60);
    let (before, after) = match kind & 1 {
        0 => ("", "8:url-list13:http://s.test"),
        _ => ("9:httpseedsl13:http://s.teste", ""),
    };
    let info = format!("{FILES}4:name1:n12:piece lengthi32768e6:pieces60:{hashes}");
    let torrent = Metainfo::decode(format!("d{before}4:infod{info}e{after}e").as_bytes());
    let torrent = Arc::new(torrent.expect("a torrent"));
    let mut now = Timestamp::from_secs_nanos(1_000_000, 0);
    let identity = Identity::new(PeerId(*b"-BT0001-ourselvesxyz"), 1, 7);
    let mut config = Config::new(Profile::own("bittrace/0"));
    config.allow_local = kind & 2 != 0;
    let mut session = Session::new(config, torrent.clone(), identity, [], now);
    session.handle(now, Input::Tick);
    let mut stored = BTreeSet::new();
    let (mut opened, mut is_first) = (0, true);
    for _ in 0..100_000 {
        match session.poll() {
            Output::Open(stream, Endpoint::WebSeed(remote)) => {
                opened += 1;
                assert!(opened < 200, "it connects again and again");
                assert!(!remote.host.is_empty());
                session.handle(now, Input::Opened(stream, ([192, 0, 2, 1], 80).into()));
            }
            Output::Open(_, endpoint) => panic!("{endpoint:?}"),
            Output::Send(stream, bytes) => {
                let request = Request::decode(&bytes).expect("a request");
                // What follows may be where a redirect leads.
                if std::mem::take(&mut is_first) {
                    let is_understood = match kind & 1 {
                        0 => wanted(&torrent, &request).is_some(),
                        _ => wanted_piece(&request).is_some(),
                    };
                    assert!(is_understood, "{request:?}");
                }
                for part in sent.chunks(cut) {
                    session.handle(now, Input::Received(stream, Bytes::copy_from_slice(part)));
                }
                session.handle(now, Input::Closed(stream, CloseReason::ByRemote));
            }
            Output::Store(piece, offset, bytes) => {
                for at in (offset..).take(bytes.len()) {
                    assert!(stored.insert((piece, at)), "{piece}: {at} is stored twice");
                }
                let size = torrent.placement().and_then(|geometry| geometry.piece_size(piece));
                assert!(offset + bytes.len() as u32 <= size.expect("a piece"), "{piece}");
                session.handle(now, Input::Stored(piece, bytes.len() as u32));
            }
            Output::Wait(Some(at)) => {
                now = now.max(at);
                session.handle(now, Input::Tick);
            }
            Output::Wait(None) | Output::Done => return,
            _ => {}
        }
        now = now + Duration::from_micros(1);
    }
    panic!("it does not end");
});

/// The parts of what was sent, those of a body joined; as far as it is HTTP.
fn read(sent: &[u8], cut: usize) -> Vec<AnswerPart> {
    let mut reader = AnswerReader::default();
    let mut parts: Vec<AnswerPart> = Vec::new();
    for chunk in sent.chunks(cut) {
        reader.push(Bytes::copy_from_slice(chunk));
        while let Ok(Some(part)) = reader.next_part() {
            match (parts.last_mut(), part) {
                (Some(AnswerPart::Body(before)), AnswerPart::Body(more)) => {
                    *before = [&before[..], &more[..]].concat().into();
                }
                (_, part) => parts.push(part),
            }
        }
    }
    parts
}
