//! Torrents that can be read though something in them does not fit.

use super::*;

/// A bencoded string.
fn string(bytes: &[u8]) -> Vec<u8> {
    [bytes.len().to_string().as_bytes(), b":", bytes].concat()
}

/// A torrent of `outer` entries before an info value of `info` entries, in one piece of 16 KiB.
fn torrent(outer: &[u8], info: &[u8]) -> Vec<u8> {
    let piece = string(&[b'p'; 20]);
    [b"d", outer, b"4:infod", info, b"12:piece lengthi16384e6:pieces", &piece, b"ee"].concat()
}

const SINGLE: &[u8] = b"6:lengthi50e4:name4:test";

/// What does not fit, as it is shown.
fn faults(bytes: &[u8]) -> Vec<String> {
    Metainfo::decode(bytes).unwrap().faults.iter().map(ToString::to_string).collect()
}

#[test]
fn bytes_after_the_dictionary_are_passed_over() {
    let whole = torrent(b"", SINGLE);
    let hash = Metainfo::decode(&whole).unwrap().info_hash;
    for after in [&b"\n"[..], b"\r\n\r\n", b"\0", b"garbage", b"de"] {
        let bytes = [&whole, after].concat();
        assert_eq!(Metainfo::decode(&bytes).unwrap().info_hash, hash);
        let at = whole.len();
        assert_eq!(
            faults(&bytes),
            [format!("at byte {at}: bytes after the dictionary: they are passed over")]
        );
    }
    assert!(Metainfo::decode(&[b"\n", &whole[..]].concat()).is_err());
}

#[test]
fn files_count_where_a_length_stands_beside_them() {
    let files = b"5:filesld6:lengthi20e4:pathl1:aeed6:lengthi30e4:pathl1:beee6:lengthi50e4:name1:d";
    let read = Metainfo::decode(&torrent(b"", files)).unwrap();
    assert_eq!((read.files.len(), read.single_file, read.total()), (2, false, 50));
    assert_eq!(faults(&torrent(b"", files)), ["at byte 75: a length beside files: files is used"]);
    // An empty list of files says nothing.
    let read = Metainfo::decode(&torrent(b"", b"5:filesle6:lengthi50e4:name1:d")).unwrap();
    assert_eq!((read.files.len(), read.single_file, read.total()), (1, true, 50));
}

#[test]
fn announce_counts_where_the_announce_list_has_no_tracker() {
    for list in
        [&b"le"[..], b"llee", b"ll0:ee", b"0:", b"l0:e", b"ll1: elee", b"i1e", b"de", b"ll0:0:el1:\nee"]
    {
        let outer = [b"8:announce8:http://a13:announce-list", list].concat();
        let read = Metainfo::decode(&torrent(&outer, SINGLE)).unwrap();
        assert_eq!(read.trackers(), [["http://a"]], "{}", list.escape_ascii());
        let said = faults(&torrent(&outer, SINGLE));
        let wanted = "at byte 37: an announce-list without a tracker: announce counts".to_owned();
        assert!(said.contains(&wanted), "{}: {said:?}", list.escape_ascii());
    }
}

#[test]
fn a_string_among_tiers_is_passed_over() {
    let outer = b"8:announce8:http://a13:announce-listl8:http://bl8:http://cee";
    let read = Metainfo::decode(&torrent(outer, SINGLE)).unwrap();
    assert_eq!(read.trackers(), [["http://c"]]);
    let what = "a value in the announce-list that is not a list of URLs: it is passed over";
    assert_eq!(faults(&torrent(outer, SINGLE)), [format!("at byte 38: {what}")]);
}

#[test]
fn spaces_around_urls_are_passed_over() {
    let outer = b"8:announce9: http://a13:announce-listll12: http://b \r\nee9:httpseedsl9:http://c\ne8:url-list10:\thttp://d ";
    let read = Metainfo::decode(&torrent(outer, SINGLE)).unwrap();
    assert_eq!(
        (read.announce.as_deref(), read.trackers()),
        (Some("http://a"), vec![vec!["http://b".to_owned()]])
    );
    assert_eq!((read.http_seeds, read.url_list), (vec!["http://c".to_owned()], vec!["http://d".to_owned()]));
    let what = "spaces around a URL: they are passed over";
    assert_eq!(read.faults.iter().filter(|fault| fault.what == what).count(), 4);
}

#[test]
fn names_in_utf8_are_preferred() {
    let latin = string(b"gioventu\xf9");
    let info = [
        &b"5:filesld6:lengthi50e4:pathl1:\xb8e10:path.utf-8l2:\xc4\x8deee4:name"[..],
        &latin,
        b"10:name.utf-810:giovent\xc3\xb9.",
    ]
    .concat();
    let read = Metainfo::decode(&torrent(b"", &info)).unwrap();
    assert_eq!(
        (read.name.to_string().as_str(), read.files[0].path_text().as_str()),
        ("giovent\u{f9}.", "\u{10d}")
    );
    assert!(read.faults.is_empty(), "{:?}", read.faults);
    // Where these are not UTF-8 the others are used.
    let info = b"5:filesld6:lengthi50e4:pathl1:ae10:path.utf-8l1:\xb8eee4:name1:n10:name.utf-81:\xff";
    let read = Metainfo::decode(&torrent(b"", info)).unwrap();
    assert_eq!((read.name.to_string().as_str(), read.files[0].path_text().as_str()), ("n", "a"));
    assert_eq!(
        faults(&torrent(b"", info)),
        [
            "at byte 53: a path.utf-8 that is not a list of UTF-8: path is used",
            "at byte 82: a name.utf-8 that is not UTF-8: name is used",
        ]
    );
}

#[test]
fn a_link_counts_no_bytes() {
    let files =
        b"5:filesld6:lengthi50e4:pathl1:aeed4:attr1:l6:lengthi99e4:pathl1:le12:symlink pathl1:aeee4:name1:d";
    let read = Metainfo::decode(&torrent(b"", files)).unwrap();
    assert_eq!((read.total(), read.files[1].length), (50, 0));
    let what = "a link with a length (BEP 47): 0 is used";
    assert_eq!(faults(&torrent(b"", files)), [format!("at byte 59: {what}")]);
}

#[test]
fn a_creation_date_that_is_no_number_is_passed_over() {
    let what = "a creation date that is not a 64-bit number: ignored";
    for (date, read) in [
        (&b"i-5e"[..], Some(-5)),
        (b"i9223372036854775807e", Some(i64::MAX)),
        (b"i9223372036854775808e", None),
        (b"1:5", None),
    ] {
        let torrent = Metainfo::decode(&torrent(&[b"13:creation date", date].concat(), SINGLE)).unwrap();
        assert_eq!(torrent.creation_date, read);
        assert_eq!(torrent.faults.iter().any(|fault| fault.what == what), read.is_none());
    }
}

/// An info value of both versions, of one file in `tree` and one in `files`.
fn hybrid(tree: &[u8], files: &[u8]) -> Vec<u8> {
    torrent(b"", &[b"9:file treed", tree, b"e", files, b"12:meta versioni2e4:name4:test"].concat())
}

/// A leaf of a file tree: a file of 50 bytes with a root.
fn leaf(name: &str, root: u8) -> Vec<u8> {
    let root = string(&[root; 32]);
    [&string(name.as_bytes())[..], b"d0:d6:lengthi50e11:pieces root", &root, b"ee"].concat()
}

#[test]
fn of_names_that_differ_in_both_versions_those_of_version_1_are_used() {
    let files = b"5:filesld6:lengthi50e4:pathl1:aeee";
    let same = Metainfo::decode(&hybrid(&leaf("a", b'r'), files)).unwrap();
    assert_eq!((same.faults.len(), same.files[0].pieces_root), (0, Some([b'r'; 32])));

    let other = Metainfo::decode(&hybrid(&leaf("b", b'r'), files)).unwrap();
    assert_eq!((other.files[0].path_text().as_str(), other.files[0].pieces_root), ("a", None));
    let what = "other names in the file tree than in files: those in files are used, hash trees are not";
    assert_eq!(other.faults.iter().map(|fault| fault.what).collect::<Vec<_>>(), [what]);

    let single = Metainfo::decode(&hybrid(&leaf("b", b'r'), b"6:lengthi50e")).unwrap();
    assert_eq!(
        (single.files[0].path_text().as_str(), single.files[0].pieces_root),
        ("test", Some([b'r'; 32]))
    );
    let what = "another name in the file tree than in name: that in name is used";
    assert_eq!(single.faults.iter().map(|fault| fault.what).collect::<Vec<_>>(), [what]);
}

/// A torrent of version 2 alone.
fn version_2(tree: &[u8]) -> Vec<u8> {
    let info =
        [&b"d9:file treed"[..], tree, b"e12:meta versioni2e4:name4:test12:piece lengthi16384ee"].concat();
    [b"d4:info", &info[..], b"e"].concat()
}

#[test]
fn a_file_without_the_root_of_its_tree_cannot_be_checked() {
    let what = "a file without the root of its hash tree, or with one of zeros: its pieces cannot be checked";
    for tree in
        [leaf("a", 0), b"1:ad0:d6:lengthi50eee".to_vec(), b"1:ad0:d6:lengthi50e11:pieces root2:rree".to_vec()]
    {
        let read = Metainfo::decode(&version_2(&tree)).unwrap();
        assert_eq!((read.files[0].pieces_root, read.check_of(PieceIndex(0))), (None, None));
        assert_eq!(faults(&version_2(&tree)), [format!("at byte 26: {what}")]);
    }
    // An empty file has none.
    assert!(faults(&version_2(b"1:ad0:d6:lengthi0eee")).is_empty());
}

#[test]
fn a_file_tree_has_no_padding() {
    let root = string(&[b'r'; 32]);
    let tree = [&b"1:ad0:d4:attr2:px6:lengthi50e11:pieces root"[..], &root, b"ee"].concat();
    let read = Metainfo::decode(&version_2(&tree)).unwrap();
    assert!(!read.files[0].is_padding() && read.files[0].attributes == b"x");
    assert_eq!(
        faults(&version_2(&tree)),
        ["at byte 26: attr p in a file tree, which has no padding (BEP 52)"]
    );
}

#[test]
fn a_torrent_that_is_all_faults_keeps_few() {
    let outer = [&b"13:announce-listl"[..], &b"0:".repeat(100_000), b"e"].concat();
    assert_eq!(faults(&torrent(&outer, SINGLE)).len(), MAX_FAULTS);
}

#[test]
fn trackers_and_web_seeds_beyond_a_thousand_are_passed_over() {
    let tiers = |tiers: &[usize]| {
        let lists: Vec<_> = tiers.iter().map(|count| format!("l{}e", "1:t".repeat(*count))).collect();
        let outer = format!("13:announce-listl{}e", lists.concat());
        let read = Metainfo::decode(&torrent(outer.as_bytes(), SINGLE)).unwrap();
        (read.trackers().iter().map(Vec::len).collect::<Vec<_>>(), read.faults.len())
    };
    assert_eq!(tiers(&[1; 1_000]), (vec![1; 1_000], 0));
    assert_eq!(tiers(&[1; 5_000]), (vec![1; 1_000], 1));
    assert_eq!(tiers(&[5_000]), (vec![1_000], 1));
    assert_eq!(tiers(&[999, 2, 1]), (vec![999, 1], 2));
    for key in ["8:url-list", "9:httpseeds"] {
        let outer = format!("{key}l{}e", "1:s".repeat(5_000));
        let read = Metainfo::decode(&torrent(outer.as_bytes(), SINGLE)).unwrap();
        let bounded = read.faults.iter().filter(|fault| fault.what.starts_with("more than 1,000 web seeds"));
        assert_eq!((read.url_list.len() + read.http_seeds.len(), bounded.count()), (1_000, 1), "{key}");
    }
    let outer = format!("5:nodesl{}e", "l1:hi1ee".repeat(5_000));
    assert_eq!(Metainfo::decode(&torrent(outer.as_bytes(), SINGLE)).unwrap().nodes.len(), 1_000);
}

#[test]
fn files_are_counted_before_they_are_read() {
    let of = |outer: &[u8], info: &[u8]| {
        let mut count = None;
        let refused = Metainfo::decode_bounded(&torrent(outer, info).into(), 1_000, |files| {
            count = Some(files);
            Err(DecodeError::new(0, "no files at all"))
        });
        assert!(refused.is_err());
        count.ok_or(())
    };
    assert_eq!(of(b"", SINGLE), Ok(1));
    assert_eq!(of(b"", b"5:filesllelei0ee"), Ok(3));
    let leaf = "d0:d6:lengthi1eee";
    let tree = format!("9:file treed1:a{leaf}1:bd1:c{leaf}1:d{leaf}ee");
    assert_eq!(of(b"", tree.as_bytes()), Ok(3));
    let long = format!("5:filesl{}e", "le".repeat(1_000));
    assert!(of(b"", long.as_bytes()).is_err());
}
