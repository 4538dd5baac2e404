//! `bittrace explain` and `bittrace fields`: the pages, and what is said of names that have none.

use bittrace_testing::captures::captures_folder;
use bittrace_testing::command::{self, code};
use sha1::Digest;

fn run(arguments: &[&str]) -> (i32, String, String) {
    let mut command = command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), arguments);
    let output = command.output().expect("bittrace starts");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    (code(&output), text(output.stdout), text(output.stderr))
}

fn printed(arguments: &[&str]) -> String {
    let (code, printed, errors) = run(arguments);
    assert_eq!((code, errors.as_str()), (0, ""), "{arguments:?}");
    let wide = printed.lines().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None, "{arguments:?}: a line is wider than 80 columns");
    printed
}

/// Whether each line is in a page, in this order.
fn assert_has(page: &str, lines: &[&str]) {
    let mut rest = page.lines();
    for line in lines {
        assert!(rest.any(|shown| shown.trim() == *line), "{line}\n{page}");
    }
}

#[test]
fn a_rule_has_its_document_its_advice_and_a_right_message_in_bytes() {
    assert_has(
        &printed(&["explain", "bep3.out-of-range"]),
        &[
            "BEP 3, section \"peer messages\"",
            "What the document says",
            "What to do",
            "Request min(16384, size of the piece - begin) bytes, where the size of the",
            "A correct request in bytes",
            "See also",
            "bittrace explain request, have",
        ],
    );
}

#[test]
fn the_info_hash_is_shown_in_each_of_its_forms() {
    let page = printed(&["explain", "info_hash"]);
    let escaped = "%EB%1A%97%11%C5%29X%22%BE%93%93%DFs%7Di%08%E4%F1%BE%00";
    assert_has(
        &page,
        &[
            &format!("info_hash={escaped}"),
            "raw: 20 bytes, in handshakes and to UDP trackers",
            "hex: eb1a9711c5295822be9393df737d6908e4f1be00, in magnet links",
            "byte  raw, in decimal  hex  escaped",
            "0  235              eb   %EB",
            "6  88               58   X",
        ],
    );
    // The SHA-1 of the dictionary that the page shows, whose 200 bytes of hashes are zeros.
    let shown = "d6:lengthi300000e4:name10:sample.bin12:piece lengthi32768e6:pieces200:";
    let dictionary = [shown.as_bytes(), &[0; 200], b"e"].concat();
    let hash = sha1::Sha1::digest(&dictionary);
    assert_eq!(bittrace_protocol::Hex(&hash[..]).to_string(), "eb1a9711c5295822be9393df737d6908e4f1be00");
}

#[test]
fn parameters_extensions_and_messages_have_their_pages() {
    assert_has(&printed(&["explain", "left"]), &["What to do", "In bytes", "left=300000", "See also"]);
    let convention = "No BEP: a convention among clients and trackers.";
    assert_has(&printed(&["explain", "min interval"]), &[convention, "In bytes", "12:min intervali900e"]);
    assert_has(&printed(&["explain", "fast"]), &["How a client offers it", "See also"]);
    assert_has(
        &printed(&["explain", "ut_metadata"]),
        &["How a client offers it", "Fields", "In bytes", "Rules about it"],
    );
    assert_has(&printed(&["explain", "asked-too-little"]), &["How it shows", "What to do", "See also"]);
    let list = [
        "Rules",
        "Messages",
        "Parameters of an announce",
        "Keys of a tracker's response",
        "Extensions",
        "Causes of a diagnosis",
    ];
    assert_has(&printed(&["explain"]), &list);
}

#[test]
fn every_rule_has_its_page() {
    for rule in bittrace_trace::rules::RULES {
        let page = printed(&["explain", rule.id]);
        assert!(page.contains(rule.id) && page.contains("What to do"), "{page}");
    }
}

#[test]
fn names_are_found_however_they_are_written() {
    assert_eq!(printed(&["explain", "Failure_Reason"]), printed(&["explain", "failure reason"]));
    assert_eq!(printed(&["explain", "not interested"]), printed(&["explain", "not-interested"]));
}

#[test]
fn unknown_names_are_refused_with_their_neighbours() {
    for (arguments, wanted) in [
        (
            &["explain", "bep3.out-of-rang"][..],
            "unknown name \"bep3.out-of-rang\"; did you mean bep3.out-of-range?",
        ),
        (&["explain", "xyzzy"], "bittrace explain lists all names"),
        (&["fields", "reqest"], "unknown message \"reqest\"; did you mean request?"),
        (&["fields", "xyzzy"], "bittrace fields lists all messages"),
    ] {
        let (code, _, errors) = run(arguments);
        assert_eq!(code, 2);
        assert!(errors.contains(wanted), "{errors}");
    }
}

#[test]
fn fields_of_messages() {
    assert_has(
        &printed(&["fields", "piece"]),
        &["BEP 3, peer messages", "index   integer         the piece, from 0"],
    );
    assert_has(
        &printed(&["fields", "ut_pex"]),
        &["BEP 11, Protocol Extension", "added        addresses    new peers"],
    );
    assert_has(
        &printed(&["fields"]),
        &["Every message has", "Messages of peer-wire, and their own fields", "More"],
    );
    let (code, json, _) = run(&["fields", "--format", "json"]);
    assert_eq!(code, 0);
    for line in json.lines() {
        let object: serde_json::Value = serde_json::from_str(line).expect("an object");
        assert!(object["message"]["fields"].is_array(), "{line}");
    }
}
