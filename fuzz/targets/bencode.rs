#![no_main]
//! Any value that is scanned has its parts where it says, and fields that tile it.

use bittrace_fuzz::tile;
use bittrace_protocol::bencode::{View, Writer, scan, scan_prefix};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok((document, end)) = scan_prefix(bytes) else {
        assert!(scan(bytes).is_err());
        return;
    };
    assert_eq!(document.root().span(), 0..end);
    assert_eq!(scan(bytes).is_ok(), end == bytes.len());
    assert_eq!(
        scan(&bytes[..end]).expect("a value ends where it was said to end").root().raw(),
        &bytes[..end]
    );
    assert!(end == 0 || scan_prefix(&bytes[..end - 1]).is_err(), "the value ends before its last byte");
    tile(&document.root().fields(&|_, _| None), end);
    if document.irregularities().is_empty() {
        let mut again = Writer::default();
        encode(document.root(), &mut again);
        assert_eq!(again.into_bytes(), &bytes[..end]);
    }
});

/// Writes a value by the rules of BEP 3. Integers beyond 64 bits stand as they came.
fn encode(view: View<'_>, out: &mut Writer) {
    if let Some(bytes) = view.bytes() {
        out.bytes(bytes);
    } else if let Some(number) = view.integer() {
        out.integer(number);
    } else if let Some(items) = view.items() {
        out.list(|out| items.for_each(|item| encode(item, out)));
    } else if let Some(entries) = view.entries() {
        out.dictionary(|out| {
            for entry in entries {
                let mut value = Writer::default();
                encode(entry.value, &mut value);
                out.raw(entry.key, &value.into_bytes());
            }
        });
    } else {
        out.raw(view.raw());
    }
}
