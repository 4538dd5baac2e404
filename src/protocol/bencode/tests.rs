use proptest::prelude::*;

use super::*;
use crate::field::untiled;

fn error(bytes: &[u8]) -> DecodeError {
    scan(bytes).expect_err("must be rejected")
}

fn first_irregularity(bytes: &[u8]) -> Irregularity {
    scan(bytes).unwrap().irregularities()[0]
}

#[test]
fn finds_each_value_and_where_it_stands() {
    let bytes = b"d3:cow3:moo4:spaml1:a1:bi-42eee";
    let document = scan(bytes).unwrap();
    let root = document.root();
    assert_eq!(root.get(b"cow").unwrap().text(), Some("moo"));
    assert_eq!(root.get(b"cow").unwrap().span(), 6..11);
    let spam = root.get(b"spam").unwrap();
    assert_eq!(spam.raw(), b"l1:a1:bi-42ee");
    assert_eq!(spam.items().unwrap().nth(2).unwrap().integer(), Some(-42));
    assert!(root.get(b"milk").is_none());
}

#[test]
fn reads_what_is_forbidden_but_lists_it() {
    use IrregularityKind::*;
    for (bytes, offset, kind) in [
        (&b"i03e"[..], 1, LeadingZero),
        (b"i-0e", 1, NegativeZero),
        (b"d1:bi1e1:ai2ee", 7, UnsortedKey),
        (b"d1:ai1e1:ai2ee", 7, DuplicateKey),
        (b"l02:abe", 1, LeadingZero),
    ] {
        assert_eq!(first_irregularity(bytes), Irregularity { offset, kind });
    }
    assert!(scan(b"d1:ai0e1:bi10ee").unwrap().irregularities().is_empty());
}

#[test]
fn names_the_offset_of_what_is_no_bencoding() {
    for (bytes, offset) in [
        (&b""[..], 0),
        (b"x", 0),
        (b"ie", 1),
        (b"i-e", 2),
        (b"i1", 2),
        (b"4:abc", 0),
        (b"l1:a", 4),
        (b"di1e1:ae", 1),
        (b"d1:ae", 4),
        (b"i1ei2e", 3),
        (b"99999999999999999999999:a", 0),
    ] {
        assert_eq!(error(bytes).offset, offset, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn integers_have_no_size_limit() {
    let document = scan(b"i123456789012345678901234567890e").unwrap();
    assert_eq!(document.root().integer(), None);
    assert_eq!(document.root().value(), Value::Number("123456789012345678901234567890".into()));
}

#[test]
fn a_document_of_empty_lists_costs_no_more_than_six_times_its_bytes() {
    let bytes = [&b"l"[..], &b"le".repeat(100_000), b"e"].concat();
    let document = scan(&bytes).unwrap();
    assert_eq!(document.root().items().unwrap().len(), 100_000);
    assert!(document.nodes.len() * size_of::<Node>() <= 6 * bytes.len());
    // Each list is one field.
    let fields = document.root().fields(&|_, _| None);
    assert_eq!((fields.len(), untiled(&fields, 0..bytes.len())), (100_002, None));
    assert!(fields.iter().all(|field| field.children.is_empty()));
}

#[test]
fn deep_nesting_is_refused_before_the_stack_ends() {
    assert_eq!(error(&b"l".repeat(100_000)).offset, MAX_DEPTH);
}

#[test]
fn a_payload_may_follow_a_prefix() {
    let (document, end) = scan_prefix(b"d8:msg_typei1eerest").unwrap();
    assert_eq!(end, 15);
    assert!(document.root().is_dictionary());
}

fn bencoded() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|number| format!("i{number}e").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| {
            let mut out = Writer::default();
            out.bytes(&bytes);
            out.into_bytes()
        }),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|items| [
                b"l".to_vec(),
                items.concat(),
                b"e".to_vec()
            ]
            .concat()),
            prop::collection::btree_map(prop::collection::vec(any::<u8>(), 0..6), inner, 0..6).prop_map(
                |entries| dictionary(|out| entries.iter().for_each(|(key, value)| out.raw(key, value)))
            ),
        ]
    })
}

proptest! {
    #[test]
    fn every_bencoded_value_is_read_whole(bytes in bencoded()) {
        let document = scan(&bytes).unwrap();
        prop_assert_eq!(document.root().span(), 0..bytes.len());
        prop_assert!(document.irregularities().is_empty());
        prop_assert_eq!(untiled(&document.root().fields(&|_, _| None), 0..bytes.len()), None);
    }

    #[test]
    fn every_cut_is_an_error_within_the_bytes(bytes in bencoded()) {
        for end in 0..bytes.len() {
            prop_assert!(error(&bytes[..end]).offset <= end);
        }
    }

    #[test]
    fn random_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = scan_prefix(&bytes);
    }
}
