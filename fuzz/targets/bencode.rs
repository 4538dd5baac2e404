#![no_main]
//! Any value that is scanned has its parts where it says, and fields that tile it.

use bittrace_fuzz::tile;
use bittrace_protocol::bencode::{View, put_integer, put_string, scan, scan_prefix};
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
        let mut again = Vec::new();
        encode(document.root(), &mut again);
        assert_eq!(again, &bytes[..end]);
    }
});

/// Writes a value by the rules of BEP 3. Integers beyond 64 bits stand as they came.
fn encode(view: View<'_>, out: &mut Vec<u8>) {
    if let Some(bytes) = view.bytes() {
        put_string(out, bytes);
    } else if let Some(number) = view.integer() {
        put_integer(out, number);
    } else if let Some(items) = view.items() {
        out.push(b'l');
        items.for_each(|item| encode(item, out));
        out.push(b'e');
    } else if let Some(entries) = view.entries() {
        out.push(b'd');
        for entry in entries {
            put_string(out, entry.key);
            encode(entry.value, out);
        }
        out.push(b'e');
    } else {
        out.extend_from_slice(view.raw());
    }
}
