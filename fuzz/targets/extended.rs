#![no_main]
//! The payload of every extension, decodable or not, has fields that tile it.

use bittrace_fuzz::tile;
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
        Extension::Other("ut_comment".to_owned()),
        Extension::Unannounced,
    ] {
        tile(&extension.fields(payload), payload.len());
        match extension.decode(payload) {
            Ok(Content::Metadata(metadata)) => {
                assert_eq!(metadata.data.end, payload.len());
                assert!(metadata.data.start <= metadata.data.end);
            }
            Ok(Content::Pex(pex)) => assert!(pex.added.len() * 6 <= payload.len()),
            Ok(_) => {}
            Err(error) => assert!(error.offset <= payload.len(), "{error}"),
        }
    }
});
