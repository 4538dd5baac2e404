#![no_main]
//! A torrent that is read has pieces that cover its files once, in order, and faults within its bytes.

use bittrace_protocol::{Metainfo, PieceIndex};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Metainfo::decode_info(bytes);
    let Ok(torrent) = Metainfo::decode(bytes) else { return };
    assert!(torrent.faults.iter().all(|fault| fault.offset <= bytes.len()));
    assert!(torrent.faults.is_sorted_by_key(|fault| fault.offset));
    let Some(geometry) = &torrent.geometry else { return };
    assert_eq!(geometry.total(), torrent.total());
    assert_eq!(geometry.piece_count() as usize, torrent.piece_count());
    let mut at = 0;
    // Each piece has a hash in the input, so there are few.
    for index in (0..geometry.piece_count()).map(PieceIndex) {
        assert!(torrent.piece_hash(index).is_some());
        let span = geometry.piece_span(index).expect("a piece has a span");
        assert_eq!(span.start, at);
        assert_eq!(geometry.piece_size(index).map(u64::from), Some(span.end - span.start));
        let block = geometry.blocks(index).next().expect("a piece has a block");
        assert_eq!(geometry.block_span(block).map(|span| span.start), Ok(at));
        assert!(geometry.piece_files(index).iter().all(|range| range.file < torrent.files.len()));
        at = span.end;
    }
    assert_eq!(at, geometry.total());
});
