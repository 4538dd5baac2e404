#![no_main]
//! A message of the DHT has fields that tile it, with an id, and offsets of faults within it. What was decoded encodes to
//! the same bytes where the bencoding was regular, and whatever it was, decodes to the same message again. A key with a
//! field is kept apart only where the field does not give its value back.

use bittrace_fuzz::tile;
use bittrace_protocol::bencode::{OtherEntries, scan};
use bittrace_protocol::dht::{Kind, Message, fields, may_be_message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    tile(&fields(bytes), bytes.len());
    match Message::decode_incomplete(bytes) {
        Ok(message) => round_trip(bytes, &message),
        Err(error) => assert!(error.offset <= bytes.len(), "{error}"),
    }
    match Message::decode(bytes) {
        Ok(message) => {
            assert_eq!(Message::decode_incomplete(bytes).as_ref(), Ok(&message));
            assert!(may_be_message(bytes));
            assert!(message.faults.iter().all(|fault| fault.offset <= bytes.len()));
            let id = match &message.kind {
                Kind::Query(query) => query.id,
                Kind::Response(response) => response.id,
                Kind::Error(..) => return,
            };
            let id = id.expect("a message that proves itself has an id");
            assert!(bytes.windows(20).any(|window| window == id.0));
        }
        Err(error) => assert!(error.offset <= bytes.len(), "{error}"),
    }
});

fn round_trip(bytes: &[u8], message: &Message) {
    let written = message.encode();
    if scan(bytes).is_ok_and(|document| document.is_regular()) {
        assert_eq!(written.escape_ascii().to_string(), bytes.escape_ascii().to_string());
        let mut alone = message.clone();
        let others = std::mem::take(&mut alone.others);
        nothing_twice(&others, &alone.encode(), None);
        let inner = match &mut alone.kind {
            Kind::Query(query) => ("a", std::mem::take(&mut query.others)),
            Kind::Response(response) => ("r", std::mem::take(&mut response.others)),
            Kind::Error(..) => return,
        };
        nothing_twice(&inner.1, &alone.encode(), Some(inner.0));
    } else {
        let again = Message::decode_incomplete(&written).expect("what was encoded is a message");
        assert_eq!(again.encode(), written);
    }
}

/// No entry of `others` says what the fields alone say, which `alone` was written of.
fn nothing_twice(others: &OtherEntries, alone: &[u8], within: Option<&str>) {
    let document = scan(alone).expect("what was encoded is bencoding");
    let Some(dictionary) = within.map_or(Some(document.root()), |key| document.root().get(key.as_bytes()))
    else {
        return;
    };
    for (key, value) in others {
        assert_ne!(dictionary.get(key).map(|field| field.raw()), value.as_deref(), "{}", key.escape_ascii());
    }
}
