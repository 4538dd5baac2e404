#![no_main]
//! A response that is framed has fields that tile it, and so has its body, joined and unpacked.

use bittrace_fuzz::tile;
use bittrace_protocol::tracker::http::{Framing, Response, frame_response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for (closed, answers_head) in [(false, false), (true, false), (false, true)] {
        let length = match frame_response(bytes, closed, answers_head) {
            Framing::Complete(length) => length,
            Framing::NotHttp(error) => {
                assert!(error.offset <= bytes.len(), "{error}");
                continue;
            }
            Framing::Incomplete | Framing::UntilClose => continue,
        };
        let bytes = &bytes[..length];
        assert_eq!(frame_response(bytes, closed, answers_head), Framing::Complete(length));
        let response = Response::decode(bytes).expect("a framed response decodes");
        tile(&response.fields(), length);
        tile(&response.reply_fields(), response.body().len());
        let _ = response.reply();
    }
});
