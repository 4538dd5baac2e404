#![no_main]
//! A request that is framed has fields that tile it, and an announce in its own style says the same.

use bittrace_fuzz::tile;
use bittrace_protocol::tracker::http::{
    Announce, Framer, Framing, Request, RequestKind, RequestStyle, frame_request,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = frame_request(bytes);
    let mut framer = Framer::default();
    let mut parts = (0..=bytes.len()).map(|end| framer.request(&bytes[..end]));
    let framed = parts.find(|framing| !matches!(framing, Framing::Incomplete)).unwrap_or(Framing::Incomplete);
    assert_eq!(std::mem::discriminant(&framed), std::mem::discriminant(&whole), "{framed:?} {whole:?}");
    let length = match whole {
        Framing::Complete(length) => length,
        Framing::NotHttp(error) => return assert!(error.offset <= bytes.len(), "{error}"),
        Framing::Incomplete | Framing::UntilClose => return,
    };
    assert_eq!(framed, Framing::Complete(length));
    let bytes = &bytes[..length];
    assert_eq!(frame_request(bytes), Framing::Complete(length));
    let request = Request::decode(bytes).expect("a framed request decodes");
    tile(&request.fields(), length);
    let style = RequestStyle::of(&request);
    match request.kind() {
        RequestKind::Announce(announce) => {
            let again = style.encode_announce(&announce, "host");
            let again = Request::decode(&again).expect("an encoded announce is a request");
            let RequestKind::Announce(said) = again.kind() else { panic!("no announce: {again:?}") };
            assert_eq!(values(*said), values(*announce));
        }
        RequestKind::Scrape(scrape) => {
            let again = style.encode_scrape(&scrape, "host");
            let again = Request::decode(&again).expect("an encoded scrape is a request");
            let RequestKind::Scrape(said) = again.kind() else { panic!("no scrape: {again:?}") };
            assert_eq!(said.info_hashes, scrape.info_hashes);
        }
        RequestKind::NoTorrent(_) | RequestKind::Other => {}
    }
});

/// An announce without the places of its faults, which depend on the phrasing.
fn values(mut announce: Announce) -> Announce {
    announce.faults.clear();
    announce
}
