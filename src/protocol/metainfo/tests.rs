use proptest::prelude::*;

use super::*;

/// A torrent of one file of 50 bytes in pieces of 32: `outer` and `info` are further entries.
fn single(outer: &str, info: &str) -> Vec<u8> {
    let pieces = "p".repeat(40);
    format!("d{outer}4:infod6:lengthi50e4:name4:test12:piece lengthi32e6:pieces40:{pieces}{info}ee")
        .into_bytes()
}

/// An info value of files as given, 100 bytes in one piece.
fn multi(files: &str) -> Vec<u8> {
    let pieces = "p".repeat(20);
    format!("d5:filesl{files}e4:name4:test12:piece lengthi128e6:pieces20:{pieces}e").into_bytes()
}

fn error(bytes: &[u8]) -> DecodeError {
    Metainfo::decode(bytes).unwrap_err()
}

#[test]
fn reads_a_torrent_of_one_file() {
    let bytes =
        single("8:announce12:http://t/ann7:comment2:hi10:created by1:x13:creation datei1700000000e", "");
    let torrent = Metainfo::decode(&bytes).unwrap();
    assert_eq!((torrent.version, torrent.single_file, torrent.total()), (Version::V1, true, 50));
    assert_eq!(torrent.files[0].path_text(), "test");
    assert_eq!(torrent.trackers(), [["http://t/ann"]]);
    assert_eq!(torrent.creation_date, Some(1_700_000_000));
    assert_eq!((torrent.comment.as_deref(), torrent.created_by.as_deref()), (Some("hi"), Some("x")));
    assert_eq!((torrent.private, torrent.faults.len()), (false, 0));
    assert_eq!(torrent.piece_hash(PieceIndex(1)), Some([b'p'; 20]));
    assert_eq!(torrent.piece_hash(PieceIndex(2)), None);
    let geometry = torrent.geometry.unwrap();
    assert_eq!((geometry.piece_count(), geometry.piece_size(PieceIndex(1))), (2, Some(18)));
}

#[test]
fn hashes_the_info_value_as_it_came() {
    // The SHA-1 of "d6:lengthi0e4:name1:a12:piece lengthi1e6:pieces0:e", by another program.
    let torrent = Metainfo::decode(b"d4:infod6:lengthi0e4:name1:a12:piece lengthi1e6:pieces0:ee").unwrap();
    assert_eq!(torrent.info_hash.to_string(), "c8308a6f44d08f90d61da1321da9da47e891374c");
    // Keys out of order and a number with leading zeros stay as they are.
    let odd = Metainfo::decode(b"d4:infod6:pieces0:12:piece lengthi01e4:name1:a6:lengthi0eee").unwrap();
    assert_eq!(odd.info_hash.to_string(), "992af075383c91153d12d205e4cdc67f8b177793");
    assert_eq!(odd.faults.len(), 4);
}

/// A torrent as mktorrent 1.1 wrote it, whose clients announced 758c3826....
const MKTORRENT: &str = "
    64 38 3a 61 6e 6e 6f 75 6e 63 65 33 30 3a 68 74 74 70 3a 2f 2f 31 30 2e 37 37 2e 30 2e 31 3a 36 39
    36 39 2f 61 6e 6e 6f 75 6e 63 65 31 30 3a 63 72 65 61 74 65 64 20 62 79 31 33 3a 6d 6b 74 6f 72 72
    65 6e 74 20 31 2e 31 34 3a 69 6e 66 6f 64 36 3a 6c 65 6e 67 74 68 69 32 34 35 37 37 37 65 34 3a 6e
    61 6d 65 31 32 3a 64 6f 77 6e 6c 6f 61 64 2e 62 69 6e 31 32 3a 70 69 65 63 65 20 6c 65 6e 67 74 68
    69 33 32 37 36 38 65 36 3a 70 69 65 63 65 73 31 36 30 3a c1 e8 7f e9 47 a6 75 ce 51 1a b7 e9 27 98
    ea 70 1b 50 99 d7 f4 38 7a 02 e3 f4 10 27 b7 77 79 92 54 ec 6b f1 eb ba a3 59 8d 99 24 9a ef 7e fd
    6f 75 ed 05 36 65 ff 7a 12 64 4d 3b b4 7c 81 61 6e 7f c9 cf d5 ce 2b 11 16 9c ce c7 57 04 df 06 c0
    2c 2f b9 d2 0a 10 53 e0 19 59 8c 5c b4 34 98 a0 7a bf 59 e3 a1 4d 1e f6 98 0e ba f4 4e 70 67 78 e6
    b6 98 de f6 4d e1 39 f4 b9 c6 6c 83 06 f8 20 a0 42 e9 5e fb d8 fa 36 50 a7 2e b1 3c 3b f1 fc e3 0d
    2b 8e 42 3f c3 6e b7 f0 86 e0 4e 31 ef 81 65 65";

#[test]
fn gives_the_info_hash_that_clients_announce() {
    let digits: Vec<u32> = MKTORRENT.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect();
    let torrent = Metainfo::decode(&bytes).unwrap();
    assert_eq!(torrent.info_hash.to_string(), "758c3826a6e5ddb4385453ad93c60e5d5dc88b06");
    assert_eq!((torrent.name.to_string().as_str(), torrent.total()), ("download.bin", 245_777));
    assert_eq!(torrent.piece_hash(PieceIndex(7)).unwrap()[..4], bytes[bytes.len() - 22..][..4]);
}

#[test]
fn rejects_a_file_tree_that_multiplies_a_long_name() {
    let long = "x".repeat(1 << 20);
    let files: String = (100..400).map(|number| format!("3:{number}d0:d6:lengthi0eee")).collect();
    let info =
        format!("d9:file treed{}:{long}d{files}ee12:meta versioni2e12:piece lengthi16384ee", long.len());
    let error = Metainfo::decode_info(info.as_bytes()).unwrap_err();
    assert_eq!(error.wanted, "paths of at most 256 MiB together");
}

#[test]
fn a_later_version_is_named_and_not_rejected() {
    let torrent = Metainfo::decode_info(b"d12:meta versioni3e12:piece lengthi1ee").unwrap();
    assert_eq!((torrent.version, torrent.files.len()), (Version::Later(3), 0));
}

#[test]
fn reads_a_torrent_of_several_files() {
    let info = multi(
        "d6:lengthi60e4:pathl1:a5:b.txtee\
         d4:attr1:p6:lengthi10ee\
         d4:attr2:lx4:pathl1:ce12:symlink pathl1:a5:b.txtee\
         d6:lengthi30e6:md5sum32:0123456789abcdef0123456789abcdef4:pathl2:\u{e9}e4:sha120:sssssssssssssssssssse",
    );
    let torrent = Metainfo::decode_info(&info).unwrap();
    let paths: Vec<_> = torrent.files.iter().map(File::path_text).collect();
    assert_eq!(paths, ["a/b.txt", ".pad/10", "c", "é"]);
    assert!(torrent.files[1].is_padding());
    assert!(torrent.files[2].is_symlink());
    assert_eq!(torrent.files[2].symlink, Some(vec![Name(b"a".to_vec()), Name(b"b.txt".to_vec())]));
    assert_eq!((torrent.total(), torrent.single_file), (100, false));
}

#[test]
fn reads_tiers_web_seeds_nodes_and_privacy() {
    let outer = "13:announce-listll8:http://aee8:encoding5:UTF-89:httpseedsl8:http://be5:nodesll1:hi6881eee\
                 8:url-list8:http://c";
    let outer = outer.replace("ll8:http://aee", "ll8:http://ael8:http://d8:http://eelee");
    let torrent = Metainfo::decode(&single(&outer, "7:privatei1e6:source2:XY")).unwrap();
    assert_eq!(torrent.trackers(), [vec!["http://a"], vec!["http://d", "http://e"]]);
    assert_eq!((torrent.url_list, torrent.http_seeds), (vec!["http://c".into()], vec!["http://b".into()]));
    assert_eq!(torrent.nodes, [("h".to_owned(), 6881)]);
    assert_eq!((torrent.private, torrent.source.as_deref()), (true, Some("XY")));
    // Only that the info stands after keys that sort after it.
    assert_eq!(torrent.faults.iter().map(|fault| fault.offset).collect::<Vec<_>>(), [1 + outer.len()]);
}

#[test]
fn passes_over_odd_values_beside_the_info() {
    let torrent =
        Metainfo::decode(&single("8:announcei1e13:announce-list1:x5:nodesli1ee3:\u{ff}:i1e", "")).unwrap();
    assert_eq!((torrent.announce, torrent.announce_list.len(), torrent.nodes.len()), (None, 0, 0));
    assert_eq!(torrent.faults.iter().map(|fault| fault.offset).collect::<Vec<_>>(), [11, 30, 40, 53]);
}

#[test]
fn names_what_is_wrong_and_where() {
    let info = |text: &str| format!("d4:info{text}e").into_bytes();
    for (bytes, offset, wanted) in [
        (b"le".to_vec(), 0, "a bencoded dictionary"),
        (b"de".to_vec(), 0, "a dictionary with the key info"),
        (info("i1e"), 7, "an info value that is a dictionary"),
        (info("d6:lengthi1ee"), 7, "an info dictionary with the key piece length"),
        (info("d12:piece lengthi0ee"), 23, "a piece length from 1 to 2^32 - 1"),
        (info("d12:piece lengthi-1ee"), 23, "a piece length from 1 to 2^32 - 1"),
        (info("d12:piece lengthi1ee"), 7, "an info dictionary with length or files"),
        (info("d5:filesi1e12:piece lengthi1ee"), 15, "a list of files"),
        (info("d6:lengthi-1e12:piece lengthi1ee"), 16, "a length from 0 to 2^64 - 1"),
        (info("d6:lengthi1e12:piece lengthi1ee"), 7, "an info dictionary with the key pieces"),
        (
            info("d6:lengthi1e12:piece lengthi1e6:pieces3:abce"),
            45,
            "pieces of a length that is a multiple of 20",
        ),
        (
            info("d6:lengthi1e12:piece lengthi1e6:pieces0:e"),
            45,
            "a hash for each piece of the files, no more, no less",
        ),
        (info("d5:filesld6:lengthi1eee12:piece lengthi1ee"), 16, "a path of at least one part"),
        (info("d5:filesld6:lengthi1e4:pathleee12:piece lengthi1ee"), 16, "a path of at least one part"),
        (info("d5:filesld6:lengthi1e4:path1:aee12:piece lengthi1ee"), 34, "a path in a list of strings"),
        (
            info(
                "d5:filesld6:lengthi18446744073709551615e4:pathl1:aeed6:lengthi1e4:pathl1:beee12:piece lengthi1ee",
            ),
            7,
            "files of less than 2^64 bytes together",
        ),
        (
            info("d6:lengthi18446744073709551615e12:piece lengthi1ee"),
            7,
            "files of less than 2^32 pieces together",
        ),
    ] {
        assert_eq!(error(&bytes), DecodeError::new(offset, wanted), "{}", bytes.escape_ascii());
    }
}

#[test]
fn names_paths_that_lead_elsewhere() {
    let info = multi("d6:lengthi100e4:pathl2:..6:passwdee");
    let torrent = Metainfo::decode_info(&info).unwrap();
    assert!(!torrent.files[0].is_safe());
    let what = "a path that is not made of plain file names: the file is stored under a changed name";
    assert_eq!(torrent.faults, [TorrentFault { offset: 9, what }]);
    for name in [&b""[..], b".", b"..", b"a/b", b"a\\b", b"a\0"] {
        assert!(!Name(name.to_vec()).is_safe());
    }
    assert!(Name("…ñ".into()).is_safe());
}

#[test]
fn describes_torrents_of_version_2() {
    let root = "r".repeat(32);
    let tree =
        format!("9:file treed3:dird5:a.txtd0:d6:lengthi9e11:pieces root32:{root}eee1:bd0:d6:lengthi0eeee");
    let info = format!("d{tree}12:meta versioni2e4:name4:test12:piece lengthi16384ee");
    let torrent = Metainfo::decode(format!("d4:info{info}e").as_bytes()).unwrap();
    assert_eq!((torrent.version, torrent.geometry.clone(), torrent.total()), (Version::V2, None, 9));
    assert_eq!(torrent.info_hash.0, torrent.info_hash_v2.unwrap()[..20]);
    let paths: Vec<_> = torrent.files.iter().map(File::path_text).collect();
    assert_eq!(paths, ["dir/a.txt", "b"]);
    assert_eq!(torrent.files[0].pieces_root, Some([b'r'; 32]));
    let hybrid = format!(
        "d{tree}6:lengthi9e12:meta versioni2e4:name4:test12:piece lengthi16384e6:pieces20:{}e",
        "p".repeat(20)
    );
    let torrent = Metainfo::decode_info(hybrid.as_bytes()).unwrap();
    assert_eq!((torrent.version, torrent.files.len()), (Version::Hybrid, 1));
    assert!(torrent.info_hash_v2.is_some_and(|long| long[..20] != torrent.info_hash.0));
}

#[test]
fn rejects_every_cut() {
    let bytes = single("8:announce12:http://t/ann", "");
    for end in 0..bytes.len() {
        assert!(error(&bytes[..end]).offset <= end);
    }
}

proptest! {
    #[test]
    fn torn_torrents_do_not_panic(at in 0..150_usize, put in prop::collection::vec(any::<u8>(), 0..4)) {
        let mut bytes = single("8:announce12:http://t/ann5:nodesll1:hi6881eee", "7:privatei1e");
        bytes.splice(at..at + 2, put);
        if let Ok(torrent) = Metainfo::decode(&bytes) {
            prop_assert!(torrent.faults.iter().all(|fault| fault.offset <= bytes.len()));
        }
    }

    #[test]
    fn every_path_and_length_is_kept(
        files in prop::collection::vec((prop::collection::vec("[a-z]{1,5}", 1..4), 0..1_000_u64), 1..6),
    ) {
        let mut list = String::new();
        for (path, length) in &files {
            let path: String = path.iter().map(|part| format!("{}:{part}", part.len())).collect();
            list += &format!("d6:lengthi{length}e4:pathl{path}ee");
        }
        let total: u64 = files.iter().map(|(_, length)| length).sum();
        let count = usize::try_from(total.div_ceil(100)).unwrap();
        let pieces = "p".repeat(20 * count);
        let info = format!("d5:filesl{list}e4:name1:n12:piece lengthi100e6:pieces{}:{pieces}e", pieces.len());
        let torrent = Metainfo::decode_info(info.as_bytes()).unwrap();
        prop_assert_eq!(torrent.piece_count(), count);
        for (file, (path, length)) in torrent.files.iter().zip(&files) {
            prop_assert_eq!((file.path_text(), file.length), (path.join("/"), *length));
        }
    }
}
