use proptest::prelude::*;

use super::*;

/// An id that goes on with dots.
fn id(beginning: &[u8]) -> PeerId {
    let mut id = *b"....................";
    id.iter_mut().zip(beginning).for_each(|(place, byte)| *place = *byte);
    PeerId(id)
}

#[track_caller]
fn assert_named(table: &[(&[u8], &str)]) {
    for (beginning, wanted) in table {
        let name = client_name(&id(beginning)).map(|name| name.to_string());
        assert_eq!(name.as_deref(), Some(*wanted), "{}", beginning.escape_ascii());
    }
}

#[test]
fn four_characters_between_dashes_are_read_as_each_client_writes_them() {
    assert_named(&[
        (b"-TR3000-2cwsuf1f1txi", "Transmission 3.00"),
        (b"-TR2940-", "Transmission 2.94"),
        (b"-TR4060-", "Transmission 4.0.6"),
        (b"-TR400B-", "Transmission 4.0.0 (Beta)"),
        (b"-TR410Z-", "Transmission 4.1.0 (Dev)"),
        (b"-TR40X0-", "Transmission 4.0.33"),
        (b"-TR4bb0-", "Transmission 4.37.37"),
        (b"-TR300Z-", "Transmission 3.00 (Dev)"),
        (b"-TR133X-", "Transmission 1.33 (Dev)"),
        (b"-TR0081-", "Transmission 0.81"),
        (b"-TR0005-", "Transmission 0.5"),
        (b"-qB4520-c6ArZfsaeoUg", "qBittorrent 4.5.2"),
        (b"-qB33A0-", "qBittorrent 3.3.10"),
        (b"-qB50A0-", "qBittorrent 5.0.10"),
        (b"-LT2080-", "libtorrent (Rasterbar) 2.0.8"),
        (b"-LT20B0-", "libtorrent (Rasterbar) 2.0.11"),
        (b"-lt0D80-n", "rtorrent/libTorrent 0.13.8"),
        (b"-AZ5750-", "Azureus 5.7.5.0"),
        (b"-AZ306C-", "Azureus 3.0.6.12"),
        (b"-BI2300-", "BiglyBT 2.3.0.0"),
        (b"-BC0171-", "BitComet 1.71"),
        (b"-BC0059-", "BitComet 0.59"),
        (b"-DE13F0-", "Deluge 1.3.15"),
        (b"-DE211s-", "Deluge 2.1.1"),
        (b"-CD0303-", "Enhanced CTorrent 3.3"),
        (b"-CT1334-", "CTorrent 1.3.34"),
        (b"-WW0109-", "WebTorrent 1.9"),
        (b"-WD0017-", "WebTorrent Desktop 0.17"),
        (b"-TX0284-", "Tixati 2.84"),
        (b"-TX1204-", "Tixati 1.2.0.4"),
        (b"-LW0001-", "LimeWire"),
        (b"-LP0300-", "Lphant 3.00"),
        (b"-PI0250-", "PicoTorrent 0.25.0"),
        (b"-PI0082-", "PicoTorrent 0.08.2"),
        (b"-PC234A-", "CacheLogic 23.4-10"),
        (b"-BB1234-", "BitBuddy 1.234"),
        (b"-BR0104-", "BitRocket 0.1(04)"),
        (b"-ST0203-", "SymTorrent 2.03"),
        (b"-GR6590-", "GetRight 6.5"),
        (b"-MG2100-", "MediaGet 2.1"),
        (b"-MG1A00-", "MediaGet"),
        (b"-XF9980-", "Xfplay 9.9.8"),
        (b"-XF9993-", "Xfplay 9.9.93"),
        (b"-FD61A\xff-", "Free Download Manager 6.1.10"),
        (b"-FD61\xa4\xff-", "Free Download Manager 6.1.x"),
        (b"-FL12\xff\x86-", "Folx 1.2"),
        (b"-FL58FF-", "Folx 5.x"),
        (b"-FL1100-", "Flud 1.1.0.0"),
        (b"-AR2340-", "Ares 2.3.4.0"),
        (b"-BN0002-", "Baidu Netdisk"),
        (b"-TB4321-", "Torch Browser"),
        (b"-WS2000-", "HTTP Seed"),
        (b"-ZT2000-fghij", "ZipTorrent 2.0.0.0"),
        (b"-ZT2000-bLAdewxyz", "ZipTorrent 2.0.0.0 (fake)"),
    ]);
}

#[test]
fn clients_that_leave_the_second_dash_out_are_named() {
    assert_named(&[
        (b"-UT355W-\x9c\xad", "µTorrent 3.5.5"),
        (b"-UT3550\x9c\xad", "µTorrent 3.5.5"),
        // A byte of the build that happens to be a letter is no digit of the version.
        (b"-UT2210Qb", "µTorrent 2.2.1"),
        (b"-UT342\0-", "µTorrent 3.4.2"),
        (b"-UT350-\0", "µTorrent 3.5.0"),
        (b"-UT170-\0", "µTorrent 1.7.0 (RC)"),
        (b"-UT180B-", "µTorrent 1.8.0 (Beta)"),
        (b"-UT600B-", "Mainline 6.0 (Beta)"),
        (b"-UM1870\x1b", "µTorrent Mac 1.8.7"),
        (b"-UM1871B", "µTorrent Mac 1.8.71 (Beta)"),
        (b"-UM15130\xc9", "µTorrent Mac 1.5.13"),
        (b"-UW1090Q", "µTorrent Web 1.0.90"),
        (b"-UW127Q-", "µTorrent Web 1.2.7"),
        (b"-BW1266-", "BitTorrent Web 1.2.6"),
        (b"-BT7a5S\x12\xaf", "BitTorrent 7.10.5"),
        (b"-BT795B-", "BitTorrent 7.9.5 (Beta)"),
        (b"-BL247215x", "BitLord 2.4.7-215"),
        (b"-FG0192\xaa", "FlashGet 1.92"),
        (b"-NE1100xyz", "BT Next Evolution 1.1.0"),
        (b"-SP3604", "BitSpirit 3.6.0"),
        (b"-KT5120-", "KTorrent 5.1.2"),
        (b"-KT22B1-", "KTorrent 2.2 Beta 1"),
        (b"-KT21R2-", "KTorrent 2.1 RC 2"),
        (b"-KT32D1-", "KTorrent 3.2 Dev 1"),
        (b"-KT310-\0", "KTorrent 3.1"),
    ]);
}

#[test]
fn clients_are_named_by_beginnings_of_their_own() {
    assert_named(&[
        (b"A2-1-36-0-K\xff", "aria2 1.36.0"),
        (b"A2-1-3-0-x", "aria2 1.3.0"),
        (b"M4-20-8-", "Mainline 4.20.8"),
        (b"M7-4-3--", "Mainline 7.4.3"),
        (b"Q1-10-0-", "Queen Bee 1.10.0"),
        (b"TIX0284-", "Tixati 2.84"),
        (b"TB200----x", "Top-BT 2.0.0"),
        (b"OP7685", "Opera (Build 7685)"),
        (b"O10234abc", "Opera (Build 10234)"),
        (b"QVOD0061", "QVOD (Build 0061)"),
        (b"XBT054d-", "XBT Client 0.5.4 (Debug)"),
        (b"XBT054--", "XBT Client 0.5.4"),
        (b"-BOWA0C-", "Bits on Wheels 1.0.6"),
        (b"-BOWQ07-", "Bits on Wheels"),
        (b"-ML2.7.2-kgjjfkd", "MLdonkey 2.7.2"),
        (b"-G3nobody", "G3 Torrent"),
        (b"AP0.60rc2->", "AllPeers 0.60rc2"),
        (b"Azureus\0\0", "Azureus 1"),
        (b"-----Azureus", "Azureus 2.0.3.2"),
        (b"BLZ\x01\x02", "Blizzard Downloader"),
        (b"BTM30x", "BTuga Revolution 3.0"),
        (b"BitLet02\x9a", "BitLet 0.2"),
        (b"DNA010200\xdd", "BitTorrent DNA 1.2"),
        (b"Ext \xec", "External Webseed"),
        (b"FD6abcdefghijklmnopq", "Free Download Manager 6"),
        (b"Mbrst1-1-5e", "Burst! 1.1.5"),
        (b"PRC.P---", "BitTorrent Plus! II"),
        (b"Pando-12", "Pando"),
        (b"S3-1-0-0--", "Amazon S3 1.0.0"),
        (b"arclight", "Hurricane Electric"),
        (b"btpd/016", "BT Protocol Daemon 016"),
        (b"eXsomebody", "eXeem"),
        (b"turbobt5.9.2", "TurboBT 5.9.2"),
        (b"xxxxbtfans", "SimpleBT"),
    ]);
}

#[test]
fn versions_in_bytes_are_read() {
    assert_named(&[
        (b"exbc\x00\x38", "BitComet 0.56"),
        (b"FUTB\x00\x3b", "BitComet (Solidox mod) 0.59"),
        (b"exbc\x00\x38LORD", "BitLord 0.56"),
        (b"exbc\x01\x01LORD", "BitLord 1.1"),
        (b"\0\x02BS\x9b", "BitSpirit v2"),
        (b"\0\0BS\x9b", "BitSpirit v1"),
        (b"\0\x03BS\x07$\x88\x96D\xc5\x950\x8a_\xf2\xcaUDP0", "BitSpirit v3"),
        (b"M4-0-2--h\x98\xd9\xd0\xca\xf2^EUDP0", "BitSpirit"),
        (b"\0\x46RSnobody", "Rufus 0.7.0"),
        (b"\0\x21BM\x9b", "BitMagnet 0.3.3"),
        (b"\0\0\0\0\0\0\0\0\0\0\0\0abcdefgh", "Mainline"),
        (b"\0\0\0\0\0\0\0\0\0\x03\x03\x03abcdefgh", "I2PSnark"),
        // 16 bytes, and of the first four each with its counterpart from the end.
        (b"abcdefghijklmnop\x11\x0d\x0d\x09", "Shareaza"),
        (b"S\x05\x08\x0b....\0", "Shadow 5.8.11"),
    ]);
}

#[test]
fn shadow_ids_are_read_as_clients_write_them() {
    assert_named(&[
        // BEP 20: five characters and three dashes.
        (b"S58B-----", "Shadow 5.8.11"),
        (b"T03I-----", "BitTornado 0.3.18"),
        (b"T12345---", "BitTornado 1.2.3.4.5"),
        (b"A--------", "ABC"),
        (b"B34------", "B 3.4"),
        // BitTornado and what came of it put random characters where the last dashes were.
        (b"T03H--00a", "BitTornado 0.3.17"),
        (b"T0380----", "BitTornado 0.3.8"),
        (b"T038a--0x", "BitTornado 0.3.8.36"),
        (b"A301--001", "ABC 3.0.1"),
        (b"R34---003", "Tribler 3.4"),
        (b"R200--003", "Tribler 2"),
        (b"S124--...", "Shadow 1.2.4"),
    ]);
}

#[test]
fn letters_without_a_client_are_the_name() {
    assert_named(&[(b"-ZZ0120-", "ZZ 0.1.2"), (b"-y81239-", "y8 1.2.3.9"), (b"-ZZ0000-", "ZZ 0.0.0")]);
}

#[test]
fn what_names_the_client_ends_where_chance_begins() {
    for (beginning, wanted) in [
        (&b"-TR3000-2cwsuf1f1txi"[..], "-TR3000-"),
        (b"-ZZ0000-", "-ZZ0000-"),
        (b"-UT355W-\x9c\xad", "-UT355W-"),
        (b"-UW1090Qx", "-UW1090Q"),
        (b"-BL247215x", "-BL247215"),
        (b"-KT310-\0", "-KT310"),
        (b"A2-1-36-0-K\xff", "A2-1-36-0-"),
        (b"M7-4-3--", "M7-4-3-"),
        (b"S58B-----", "S58B-----"),
        (b"T03H--00a", "T03H--"),
        (b"exbc\x00\x38", "exbc\x008"),
        (b"exbc\x01\x01LORD", "exbc\x01\x01LORD"),
        (b"XBT054d-", "XBT054d"),
        (b"DansClient", "DansClient"),
        (b"-----Azureus12", "-----Azureus"),
        (b"QWERTY", ""),
    ] {
        let id = id(beginning);
        assert_eq!(&id.0[..id.client_part()], wanted.as_bytes(), "{}", beginning.escape_ascii());
    }
}

#[test]
fn does_not_guess_where_no_convention_holds() {
    for beginning in [
        &b"-TR3000x"[..],
        b"-II\x01\x10-\x04-",
        b"-#@0000-",
        b"-QWERTY-",
        b"-UT9\xff\xff0\xff",
        b"Mississippi",
        b"QWERTY",
        b"OPQR",
        b"TBONE",
        b"S58B-",
        b"S5-8-----",
        b"B3----x",
        b"A2-x",
        b"eX\x01\x02",
        b"FD6\x01\x02",
        b"\0\0\0\0\0\0\0\0\x31\x7d\xa3\x2f",
        b"",
        &[0; 20],
    ] {
        assert_eq!(client_name(&id(beginning)), None, "{}", beginning.escape_ascii());
    }
}

#[test]
fn a_version_outside_the_scheme_is_left_out() {
    let name = client_name(&id(b"-qB4\xff20-")).unwrap();
    assert_eq!(name, ClientName { name: "qBittorrent".into(), version: None });
}

#[test]
fn tables_are_sorted_and_hold_each_code_once() {
    assert!(AZUREUS.is_sorted_by(|one, next| one.0 < next.0));
    assert!(BEGINNINGS.is_sorted_by(|one, next| one.0 < next.0));
    assert!(WITHOUT_DASH.is_sorted_by(|one, next| one < next));
}

#[test]
fn each_row_of_the_tables_can_be_reached() {
    // What the schemes read, one of which fits each row.
    let versions: &[&[u8]] = &[
        b"0123-", b"123456", b"1-2-3--", b"1-2-3e", b"100----", b"0.70-x", b"A0C-", b"5.9.2", b"\0", b"aaaa",
    ];
    for (beginning, name, _) in BEGINNINGS {
        let reached = versions.iter().any(|version| {
            client_name(&id(&[beginning, *version].concat())).is_some_and(|client| client.name == *name)
        });
        assert!(reached, "{}", beginning.escape_ascii());
    }
    for (letters, name, _) in AZUREUS {
        let client = client_name(&id(&[b"-", &letters[..], b"0123-"].concat())).unwrap();
        assert_eq!(client.name, *name);
    }
}

#[test]
fn readable_escapes_what_is_not_printable() {
    assert_eq!(id(b"A2-1-36-0-K\xff\xda%").readable(), "A2-1-36-0-K%FF%DA%25......");
}

proptest! {
    #[test]
    fn random_ids_do_not_panic(
        random: [u8; 20],
        letters in prop::sample::select(AZUREUS),
        start in prop::sample::select(BEGINNINGS),
        end: [u8; 20],
        dash: bool,
    ) {
        let beginnings = [b"", &[b"-", &letters.0[..]].concat()[..], start.0];
        for beginning in beginnings {
            let mut bytes = end;
            bytes[..beginning.len()].copy_from_slice(beginning);
            if dash {
                bytes[7] = b'-';
            }
            let id = PeerId(bytes);
            prop_assert!(id.client_part() <= 20);
            let _ = client_name(&id);
        }
        let _ = client_name(&PeerId(random));
    }

    /// What looks like chance is no client: the conventions want enough bytes.
    #[test]
    fn printable_noise_is_not_named_by_one_letter(tail in "[a-z]{17}", letter in "[A-Z]") {
        let bytes = [letter.as_bytes(), b"-x", &tail.as_bytes()[..17]].concat();
        prop_assert_eq!(client_name(&PeerId(bytes.try_into().unwrap())), None);
    }
}
