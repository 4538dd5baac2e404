#![no_main]
//! The payload of every extension, decodable or not, has fields that tile it. What was decoded encodes to the same
//! bytes where the bencoding was regular.

use bittrace_fuzz::tile;
use bittrace_protocol::bencode::scan_prefix;
use bittrace_protocol::wire::{Content, Extension};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    for extension in [
        Extension::Handshake,
        Extension::Metadata,
        Extension::Pex,
        Extension::DontHave,
        Extension::Holepunch,
        Extension::UploadOnly,
        Extension::Other("ut_comment".into()),
        Extension::Unannounced,
    ] {
        tile(&extension.fields(payload), payload.len());
        match extension.decode(payload) {
            Ok(content) => {
                if let Content::Pex(pex) = &content {
                    assert!(pex.added.len() * 6 <= payload.len());
                }
                let Some(again) = content.encode() else { continue };
                let exact = match &content {
                    Content::Handshake(_) | Content::Metadata(_) | Content::Pex(_) => is_regular(payload),
                    Content::UploadOnly(_) => payload[0] <= 1,
                    _ => true,
                };
                if exact {
                    assert_eq!(again, payload);
                    assert_eq!(extension.decode(&again), Ok(content));
                }
            }
            Err(error) => assert!(error.offset <= payload.len(), "{error}"),
        }
    }
});

/// Whether the dictionary that a payload begins with is bencoded as BEP 3 wants it.
fn is_regular(payload: &[u8]) -> bool {
    scan_prefix(payload).is_ok_and(|(document, _)| document.irregularities().is_empty())
}
