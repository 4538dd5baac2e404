#![no_main]
//! A response that is framed has fields that tile it, and so has its body, joined and unpacked.

use bittrace_fuzz::tile;
use bittrace_protocol::tracker::http::{Framer, Framing, Response, frame_response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut framer = Framer::default();
    let mut parts = (0..=bytes.len()).map(|end| framer.response(&bytes[..end], false, false));
    let more = |framing: &Framing| matches!(framing, Framing::Incomplete | Framing::UntilClose);
    if let Some(framed) = parts.find(|framing| !more(framing)) {
        let whole = frame_response(bytes, false, false);
        assert_eq!(std::mem::discriminant(&framed), std::mem::discriminant(&whole), "{framed:?} {whole:?}");
        assert!(!matches!(framed, Framing::Complete(_)) || framed == whole);
    }
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
