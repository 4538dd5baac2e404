#![no_main]
//! An announce to the local network has fields that tile it, one for each of its torrents.

use bittrace_fuzz::tile;
use bittrace_protocol::lsd::{Announce, START, fields};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for bytes in [bytes.to_vec(), [START, bytes].concat()] {
        let fields = fields(&bytes);
        tile(&fields, bytes.len());
        match Announce::decode(&bytes) {
            Ok(announce) => {
                let named = fields.iter().filter(|field| field.name == "info_hash").count();
                assert!(named > 0 && named == announce.info_hashes.len());
                // A name or value that is no text is written otherwise, once and for all.
                let written = announce.encode();
                let again = Announce::decode(&written).expect("what was encoded is an announce");
                assert_eq!(again.encode(), written);
                assert_eq!((again.port, again.info_hashes), (announce.port, announce.info_hashes));
            }
            Err(error) => assert!(error.offset <= bytes.len(), "{error}"),
        }
    }
});
