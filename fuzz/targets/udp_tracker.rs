#![no_main]
//! A packet that decodes encodes to itself, and has fields that tile it.

use bittrace_fuzz::tile;
use bittrace_protocol::tracker::udp::{
    decode_request, decode_response, looks_like_connect_request, plausible_announce_request,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let request = decode_request(bytes);
    assert!(request.is_ok() || !looks_like_connect_request(bytes));
    assert!(request.is_ok() || !plausible_announce_request(bytes));
    for packet in [request, decode_response(bytes, false), decode_response(bytes, true)] {
        match packet {
            Ok(packet) => {
                assert_eq!(packet.encode(), bytes);
                tile(&packet.fields(), bytes.len());
            }
            Err(error) => assert!(error.offset <= bytes.len(), "{error}"),
        }
    }
});
