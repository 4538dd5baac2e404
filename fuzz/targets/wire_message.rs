#![no_main]
//! A message that is framed decodes, encodes to itself and has fields that tile it; so does a handshake.

use bittrace_fuzz::tile;
use bittrace_protocol::wire::{Frame, Handshake, Message, frame};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(handshake) = Handshake::decode(bytes) {
        assert_eq!(handshake.encode(), bytes[..68]);
        tile(&handshake.fields(), 68);
    }
    let stream = Bytes::copy_from_slice(bytes);
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        match frame(rest) {
            Frame::Incomplete => {
                assert!(rest.len() < 5);
                return;
            }
            Frame::Impossible(_) => return,
            Frame::Message(length) => {
                // Five bytes tell, and more change nothing.
                assert_eq!(frame(&rest[..rest.len().min(5)]), Frame::Message(length));
                if length > rest.len() {
                    assert!(Message::decode(&stream.slice(at..)).is_err());
                    return;
                }
                let exact = stream.slice(at..at + length);
                let message = Message::decode(&exact).expect("a framed message decodes");
                let mut again = Vec::new();
                message.encode(&mut again);
                assert_eq!(again, exact);
                tile(&message.fields(), length);
                at += length;
            }
        }
    }
});
