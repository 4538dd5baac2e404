#![no_main]
//! A message of the DHT has fields that tile it, with an id, and offsets of faults within it.

use bittrace_fuzz::tile;
use bittrace_protocol::dht::{Kind, Message, fields, may_be_message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    tile(&fields(bytes), bytes.len());
    match Message::decode(bytes) {
        Ok(message) => {
            assert!(may_be_message(bytes));
            assert!(message.faults.iter().all(|fault| fault.offset <= bytes.len()));
            let id = match &message.kind {
                Kind::Query(query) => query.id,
                Kind::Response(response) => response.id,
                Kind::Error(..) => return,
            };
            assert!(bytes.windows(20).any(|window| window == id.0));
        }
        Err(error) => assert!(error.offset <= bytes.len(), "{error}"),
    }
});
