#![no_main]
//! Any announce URL in a torrent: the host that the session wants to reach has no control characters and no blanks, the
//! request to an HTTP tracker is one request line and its headers, and a UDP tracker gets datagrams that decode,
//! whatever stands in the URL.
//!
//! The parser of these URLs is private to the session, so the target goes through a session, as a hostile torrent does.

use std::sync::Arc;

use bittrace_protocol::session::{
    Config, Endpoint, Identity, Input, Output, Profile, Session, SessionStreamId,
};
use bittrace_protocol::tracker::http::Request;
use bittrace_protocol::tracker::udp::{self, Packet};
use bittrace_protocol::{Metainfo, PeerId, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|url: &[u8]| {
    let mut file = format!("d8:announce{}:", url.len()).into_bytes();
    file.extend(url);
    file.extend(b"4:infod6:lengthi1e4:name1:t12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee");
    let Ok(torrent) = Metainfo::decode(&file) else { return };
    let now = Timestamp::from_secs_nanos(1_000_000, 0);
    let identity = Identity::new(PeerId(*b"-BT0001-ourselvesxyz"), 1, 7);
    let config = Config::new(Profile::own("bittrace/0"));
    let mut session = Session::new(config, Arc::new(torrent), identity, [], now);
    session.handle(now, Input::Tick);
    let (mut http, mut udp) = (None, None);
    for _ in 0..100 {
        match session.poll() {
            Output::Open(stream, endpoint) => {
                match endpoint {
                    Endpoint::HttpTracker(remote) => {
                        is_host(&remote.host);
                        http = Some(stream);
                    }
                    Endpoint::UdpTracker(remote) => {
                        is_host(&remote.host);
                        udp = Some(stream);
                    }
                    endpoint => panic!("a URL makes the session dial {endpoint:?}"),
                }
                session.handle(now, Input::Opened(stream, ([10, 0, 0, 9], 80).into()));
            }
            Output::Send(stream, bytes) if Some(stream) == http => is_one_request(&bytes),
            Output::Send(stream, bytes) if Some(stream) == udp => {
                if let Some(answer) = answer(stream, &bytes) {
                    session.handle(now, answer);
                }
            }
            Output::Wait(Some(at)) if at <= now => session.handle(now, Input::Tick),
            Output::Wait(_) | Output::Done => return,
            _ => {}
        }
    }
    panic!("one URL has more than 100 outputs");
});

fn is_host(host: &str) {
    assert!(!host.is_empty() && has_no_blanks(host), "{host:?}");
}

fn has_no_blanks(text: &str) -> bool {
    text.bytes().all(|byte| byte > b' ' && byte != 0x7f)
}

fn is_one_request(bytes: &[u8]) {
    let text = bytes.escape_ascii().to_string();
    assert!(Request::decode(bytes).is_ok(), "{text}");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    assert_eq!(end, Some(bytes.len() - 4), "more than one request: {text}");
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    assert_eq!(line.iter().filter(|byte| **byte == b' ').count(), 2, "{text}");
}

/// What a UDP tracker answers to a connect request; an announce needs no answer here.
fn answer(stream: SessionStreamId, datagram: &[u8]) -> Option<Input> {
    match udp::decode_request(datagram) {
        Ok(Packet::ConnectRequest { transaction_id, .. }) => {
            let response = [[0; 4], transaction_id.to_be_bytes(), [7; 4], [7; 4]].concat();
            Some(Input::Received(stream, response.into()))
        }
        Ok(Packet::AnnounceRequest(request)) => {
            let data = request.url_data().unwrap_or_default();
            assert!(data.iter().all(|byte| *byte > b' ' && *byte != 0x7f), "{}", data.escape_ascii());
            None
        }
        other => panic!("a UDP tracker gets {other:?}"),
    }
}
