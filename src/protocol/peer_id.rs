//! Which client a peer id names, and its version (BEP 20, and what clients do beyond it).
//!
//! A peer id is free text: the name is what the peer claims, no more.

use std::fmt;

use crate::PeerId;

mod version;

use version::Scheme;

/// A client as its peer id names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientName {
    /// The client.
    pub name: &'static str,
    /// Its version, where the peer id tells one.
    pub version: Option<String>,
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{} {version}", self.name),
            None => f.write_str(self.name),
        }
    }
}

impl PeerId {
    /// The peer id as text, each byte that is not printable ASCII, and `%`, as `%XX`.
    pub fn readable(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        for &byte in &self.0 {
            match byte {
                b'%' => text.push_str("%25"),
                b' '..=b'~' => text.push(char::from(byte)),
                _ => text.push_str(&format!("%{byte:02X}")),
            }
        }
        text
    }

    /// How many bytes at its beginning name the client and its version: the same in all runs of that client, the rest
    /// being drawn at random. 0 where it follows no known convention.
    pub fn client_part(&self) -> usize {
        // Whoever the two letters stand for, what follows them is a version.
        if azureus_style(&self.0).is_some() || (self.0[0] == b'-' && self.0[7] == b'-') {
            return 8;
        }
        let prefixed = PREFIXES.iter().find(|(prefix, _, scheme)| {
            self.0.starts_with(prefix) && (prefix.len() > 3 || scheme.read(&self.0[prefix.len()..]).is_some())
        });
        if let Some((prefix, _, scheme)) = prefixed {
            return prefix.len() + scheme.length(&self.0[prefix.len()..]);
        }
        match (bitcomet_style(&self.0), shadow_style(&self.0)) {
            (Some(client), _) if client.name == "BitLord" => 10,
            (Some(_), _) => 6,
            (None, Some(_)) => 9,
            (None, None) => 0,
        }
    }
}

/// The client that `id` names; `None` where it follows no known convention.
pub fn client_name(id: &PeerId) -> Option<ClientName> {
    azureus_style(&id.0)
        .or_else(|| prefixed(&id.0))
        .or_else(|| bitcomet_style(&id.0))
        .or_else(|| shadow_style(&id.0))
}

/// The client that goes by these two letters, as DHT messages name theirs (BEP 5, "KRPC protocol"; the letters are
/// those of peer ids).
pub fn client_of_letters(letters: [u8; 2]) -> Option<&'static str> {
    let named = AZUREUS.iter().find(|(code, ..)| **code == letters).map(|(_, name, _)| *name);
    // aria2 has them in the DHT alone.
    named.or_else(|| (letters == *b"A2").then_some("aria2"))
}

/// A dash, two characters of the client, four of the version, a dash.
fn azureus_style(id: &[u8; 20]) -> Option<ClientName> {
    let [b'-', first, second, v0, v1, v2, v3, end, ..] = *id else { return None };
    // µTorrent and BitTorrent put build bytes where others have the second dash.
    let open_ended = matches!(&[first, second], b"UT" | b"BT" | b"UM" | b"UE" | b"UW" | b"BW");
    if end != b'-' && !open_ended {
        return None;
    }
    let (_, name, scheme) = AZUREUS.iter().find(|(code, ..)| **code == [first, second])?;
    Some(ClientName { name, version: scheme.read(&[v0, v1, v2, v3]) })
}

/// A beginning of its own.
fn prefixed(id: &[u8; 20]) -> Option<ClientName> {
    PREFIXES.iter().filter(|(prefix, ..)| id.starts_with(prefix)).find_map(|(prefix, name, scheme)| {
        let version = scheme.read(&id[prefix.len()..]);
        // A short prefix means something only before a version.
        (version.is_some() || prefix.len() > 3).then_some(ClientName { name, version })
    })
}

/// `exbc`, then a byte of the major and one of the minor version (BEP 20).
fn bitcomet_style(id: &[u8; 20]) -> Option<ClientName> {
    if !matches!(&id[..4], b"exbc" | b"FUTB" | b"xUTB") {
        return None;
    }
    let name = if &id[6..10] == b"LORD" { "BitLord" } else { "BitComet" };
    Some(ClientName { name, version: Some(format!("{}.{:02}", id[4], id[5])) })
}

/// One character of the client, up to five of the version padded with dashes, three dashes (BEP 20).
fn shadow_style(id: &[u8; 20]) -> Option<ClientName> {
    let (_, name) = SHADOW.iter().find(|(letter, _)| *letter == id[0])?;
    if &id[6..9] != b"---" {
        return None;
    }
    let version = Scheme::Shadow.read(&id[1..6])?;
    Some(ClientName { name, version: Some(version) })
}

/// The clients of the Azureus style: those that BEP 20 lists, and those met since.
const AZUREUS: &[(&[u8; 2], &str, Scheme)] = &[
    (b"7T", "aTorrent", Scheme::Dotted(4)),
    (b"AB", "AnyEvent::BitTorrent", Scheme::Dotted(4)),
    (b"AG", "Ares", Scheme::Dotted(4)),
    (b"AR", "Arctic", Scheme::Dotted(4)),
    (b"AT", "Artemis", Scheme::Dotted(4)),
    (b"AV", "Avicora", Scheme::Dotted(4)),
    (b"AX", "BitPump", Scheme::Dotted(4)),
    (b"AZ", "Azureus", Scheme::Dotted(4)),
    (b"A~", "Ares", Scheme::Dotted(4)),
    (b"BB", "BitBuddy", Scheme::Dotted(4)),
    (b"BC", "BitComet", Scheme::MajorMinor),
    (b"BD", "BD", Scheme::Dotted(4)),
    (b"BE", "Baretorrent", Scheme::Dotted(4)),
    (b"BF", "Bitflu", Scheme::Dotted(4)),
    (b"BG", "BTG", Scheme::Dotted(4)),
    (b"BI", "BiglyBT", Scheme::Dotted(4)),
    (b"BL", "BitLord", Scheme::Dotted(4)),
    (b"BP", "BitTorrent Pro", Scheme::Dotted(4)),
    (b"BR", "BitRocket", Scheme::Dotted(4)),
    (b"BS", "BTSlave", Scheme::Dotted(4)),
    (b"BT", "BitTorrent", Scheme::Dotted(3)),
    (b"BW", "BitTorrent Web", Scheme::Dotted(3)),
    (b"BX", "BittorrentX", Scheme::Dotted(4)),
    (b"CD", "Enhanced CTorrent", Scheme::Pairs),
    (b"CT", "CTorrent", Scheme::Dotted(4)),
    (b"DE", "Deluge", Scheme::Dotted(3)),
    (b"DP", "Propagate Data Client", Scheme::Dotted(4)),
    (b"EB", "EBit", Scheme::Dotted(4)),
    (b"ES", "electric sheep", Scheme::Dotted(3)),
    (b"FC", "FileCroc", Scheme::Dotted(4)),
    (b"FD", "Free Download Manager", Scheme::Dotted(3)),
    (b"FG", "FlashGet", Scheme::MajorMinor),
    (b"FL", "Flud", Scheme::Dotted(4)),
    (b"FT", "FoxTorrent", Scheme::Dotted(4)),
    (b"FW", "FrostWire", Scheme::Dotted(4)),
    (b"FX", "Freebox BitTorrent", Scheme::Dotted(4)),
    (b"GR", "GetRight", Scheme::Dotted(4)),
    (b"GS", "GSTorrent", Scheme::Dotted(4)),
    (b"GT", "anacrolix/torrent", Scheme::Dotted(4)),
    (b"HK", "Hekate", Scheme::Dotted(4)),
    (b"HL", "Halite", Scheme::Dotted(3)),
    (b"HN", "Hydranode", Scheme::Dotted(4)),
    (b"IL", "iLivid", Scheme::Dotted(4)),
    (b"JS", "Justseed.it", Scheme::Dotted(4)),
    (b"KG", "KGet", Scheme::Dotted(4)),
    (b"KT", "KTorrent", Scheme::KTorrent),
    (b"LC", "LeechCraft", Scheme::Dotted(4)),
    (b"LH", "LH-ABC", Scheme::Dotted(4)),
    (b"LP", "Lphant", Scheme::MajorMinor),
    (b"LT", "libtorrent (Rasterbar)", Scheme::Dotted(3)),
    (b"LW", "LimeWire", Scheme::Unknown),
    (b"Lr", "LibreTorrent", Scheme::Dotted(3)),
    (b"MG", "MediaGet", Scheme::Dotted(3)),
    (b"MK", "Meerkat", Scheme::Dotted(4)),
    (b"MO", "MonoTorrent", Scheme::Dotted(4)),
    (b"MP", "MooPolice", Scheme::Dotted(3)),
    (b"MR", "Miro", Scheme::Dotted(4)),
    (b"MT", "MoonlightTorrent", Scheme::Dotted(4)),
    (b"NP", "NP", Scheme::Dotted(4)),
    (b"NX", "Net Transport", Scheme::Dotted(4)),
    (b"OS", "OneSwarm", Scheme::Dotted(4)),
    (b"OT", "OmegaTorrent", Scheme::Dotted(4)),
    (b"PD", "Pando", Scheme::Dotted(4)),
    (b"PI", "PicoTorrent", Scheme::Dotted(4)),
    (b"QD", "QQDownload", Scheme::Dotted(4)),
    (b"QT", "Qt 4 Torrent example", Scheme::Dotted(4)),
    (b"RT", "Retriever", Scheme::Dotted(4)),
    (b"SB", "Swiftbit", Scheme::Dotted(4)),
    (b"SD", "Xunlei", Scheme::Dotted(4)),
    (b"SM", "SoMud", Scheme::Dotted(4)),
    (b"SP", "BitSpirit", Scheme::Dotted(3)),
    (b"SS", "SwarmScope", Scheme::Dotted(4)),
    (b"ST", "SymTorrent", Scheme::Dotted(4)),
    (b"SZ", "Shareaza", Scheme::Dotted(4)),
    (b"S~", "Shareaza", Scheme::Dotted(4)),
    (b"TB", "Torch", Scheme::Dotted(4)),
    (b"TL", "Tribler", Scheme::Dotted(3)),
    (b"TN", "TorrentDotNET", Scheme::Dotted(4)),
    (b"TR", "Transmission", Scheme::Transmission),
    (b"TS", "Torrentstorm", Scheme::Dotted(4)),
    (b"TT", "TuoTu", Scheme::Dotted(3)),
    (b"TX", "Tixati", Scheme::MajorMinor),
    (b"UE", "µTorrent Embedded", Scheme::Dotted(3)),
    (b"UL", "uLeecher!", Scheme::Dotted(4)),
    (b"UM", "µTorrent Mac", Scheme::Dotted(3)),
    (b"UT", "µTorrent", Scheme::Dotted(3)),
    (b"UW", "µTorrent Web", Scheme::Dotted(3)),
    (b"VG", "Vagaa", Scheme::Dotted(4)),
    (b"WD", "WebTorrent Desktop", Scheme::Pairs),
    (b"WT", "BitLet", Scheme::Dotted(4)),
    (b"WW", "WebTorrent", Scheme::Pairs),
    (b"WY", "FireTorrent", Scheme::Dotted(4)),
    (b"XF", "Xfplay", Scheme::Dotted(4)),
    (b"XL", "Xunlei", Scheme::Dotted(4)),
    (b"XT", "XanTorrent", Scheme::Dotted(4)),
    (b"XX", "Xtorrent", Scheme::Dotted(4)),
    (b"ZO", "Zona", Scheme::Dotted(4)),
    (b"ZT", "ZipTorrent", Scheme::Dotted(4)),
    (b"bt", "bittrace", Scheme::Dotted(3)),
    (b"lt", "rtorrent/libTorrent", Scheme::Dotted(3)),
    (b"qB", "qBittorrent", Scheme::Dotted(3)),
    (b"st", "sharktorrent", Scheme::Dotted(4)),
    (b"tT", "tTorrent", Scheme::Dotted(4)),
    (b"wF", "wF", Scheme::Dotted(4)),
];

/// Clients with a beginning of their own; what follows it is read as the scheme says.
const PREFIXES: &[(&[u8], &str, Scheme)] = &[
    (b"A2-", "aria2", Scheme::Dashed),
    (b"-aria2-", "aria2", Scheme::Unknown),
    (b"AZ2500BT", "BitTyrant", Scheme::Unknown),
    (b"-BOW", "Bits on Wheels", Scheme::BitsOnWheels),
    (b"-ML", "MLdonkey", Scheme::UntilDash),
    (b"-RN", "rain", Scheme::UntilDash),
    (b"-G3", "G3 Torrent", Scheme::Unknown),
    (b"346-", "TorrentTopia", Scheme::Unknown),
    (b"BLZ", "Blizzard Downloader", Scheme::Unknown),
    (b"DansClient", "XanTorrent", Scheme::Unknown),
    (b"Deadman Walking-", "Deadman", Scheme::Unknown),
    (b"LIME", "LimeWire", Scheme::Unknown),
    (b"M", "BitTorrent", Scheme::Dashed),
    (b"Mbrst", "Burst!", Scheme::Dashed),
    (b"OP", "Opera", Scheme::Build),
    (b"Pando-", "Pando", Scheme::Unknown),
    (b"Plus", "Plus!", Scheme::Dotted(3)),
    (b"Q", "Queen Bee", Scheme::Dashed),
    (b"QVOD", "QVOD", Scheme::Dotted(4)),
    (b"S3-", "Amazon S3", Scheme::Dashed),
    (b"TIX", "Tixati", Scheme::MajorMinor),
    (b"XBT", "XBT Client", Scheme::Xbt),
    (b"btuga", "BTuga", Scheme::Unknown),
    (b"eX", "eXeem", Scheme::Unknown),
    (b"martini", "Martini Man", Scheme::Unknown),
    (b"turbobt", "TurboBT", Scheme::UntilDash),
];

/// The clients of the Shadow style (BEP 20).
const SHADOW: &[(u8, &str)] = &[
    (b'A', "ABC"),
    (b'O', "Osprey Permaseed"),
    (b'Q', "BTQueue"),
    (b'R', "Tribler"),
    (b'S', "Shadow's client"),
    (b'T', "BitTornado"),
    (b'U', "UPnP NAT Bit Torrent"),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(beginning: &[u8]) -> PeerId {
        let mut id = *b"....................";
        id[..beginning.len()].copy_from_slice(beginning);
        PeerId(id)
    }

    #[test]
    fn names_clients_by_their_own_version_schemes() {
        for (beginning, wanted) in [
            (&b"-TR3000-2cwsuf1f1txi"[..], "Transmission 3.00"),
            (b"-TR2940-", "Transmission 2.94"),
            (b"-TR4060-", "Transmission 4.0.6"),
            (b"-TR400B-", "Transmission 4.0.0 beta"),
            (b"-TR410Z-", "Transmission 4.1.0+"),
            (b"-TR300Z-", "Transmission 3.00+"),
            (b"-TR0072-", "Transmission 0.72"),
            (b"-TR0006-", "Transmission 0.6"),
            (b"A2-1-36-0-K\xff", "aria2 1.36.0"),
            (b"-qB4520-c6ArZfsaeoUg", "qBittorrent 4.5.2"),
            (b"-qB33A0-", "qBittorrent 3.3.10"),
            (b"-LT2080-", "libtorrent (Rasterbar) 2.0.8"),
            (b"-LT20B0-", "libtorrent (Rasterbar) 2.0.11"),
            (b"-lt0D80-n", "rtorrent/libTorrent 0.13.8"),
            (b"-UT355W-\x9c\xad", "µTorrent 3.5.5"),
            (b"-UT3550\x9c\xad", "µTorrent 3.5.5"),
            (b"-BT7a5S\x12\xaf", "BitTorrent 7.10.5"),
            (b"-AZ5750-", "Azureus 5.7.5.0"),
            (b"-BI2300-", "BiglyBT 2.3.0.0"),
            (b"-BC0171-", "BitComet 1.71"),
            (b"-DE13F0-", "Deluge 1.3.15"),
            (b"-DE211s-", "Deluge 2.1.1"),
            (b"-KT5120-", "KTorrent 5.1.2"),
            (b"-KT22B1-", "KTorrent 2.2 beta 1"),
            (b"-CD0303-", "Enhanced CTorrent 3.3"),
            (b"-WW0109-", "WebTorrent 1.9"),
            (b"-TX0284-", "Tixati 2.84"),
            (b"TIX0284-", "Tixati 2.84"),
            (b"-LW0001-", "LimeWire"),
            (b"M4-20-8-", "BitTorrent 4.20.8"),
            (b"M7-4-3--", "BitTorrent 7.4.3"),
            (b"S58B-----", "Shadow's client 5.8.11"),
            (b"T03I-----", "BitTornado 0.3.18"),
            (b"exbc\x00\x38", "BitComet 0.56"),
            (b"exbc\x01\x01LORD", "BitLord 1.01"),
            (b"OP7685", "Opera (build 7685)"),
            (b"XBT054d-", "XBT Client 0.5.4 (debug)"),
            (b"XBT054--", "XBT Client 0.5.4"),
            (b"-BOWA0C-", "Bits on Wheels 1.0.6"),
            (b"-ML2.7.2-kgjjfkd", "MLdonkey 2.7.2"),
            (b"Mbrst1-1-5-", "Burst! 1.1.5"),
            (b"S3-1-0-0--", "Amazon S3 1.0.0"),
        ] {
            let name = client_name(&id(beginning)).map(|name| name.to_string());
            assert_eq!(name.as_deref(), Some(wanted), "{}", beginning.escape_ascii());
        }
    }

    #[test]
    fn what_names_the_client_ends_where_chance_begins() {
        for (beginning, wanted) in [
            (&b"-TR3000-2cwsuf1f1txi"[..], "-TR3000-"),
            (b"-ZZ0000-", "-ZZ0000-"),
            (b"-UT355W-\x9c\xad", "-UT355W-"),
            (b"A2-1-36-0-K\xff", "A2-1-36-0-"),
            (b"M7-4-3--", "M7-4-3-"),
            (b"S58B-----", "S58B-----"),
            (b"exbc\x00\x38", "exbc\x008"),
            (b"exbc\x01\x01LORD", "exbc\x01\x01LORD"),
            (b"XBT054d-", "XBT054d"),
            (b"DansClient", "DansClient"),
            (b"QWERTY", ""),
        ] {
            let id = id(beginning);
            assert_eq!(&id.0[..id.client_part()], wanted.as_bytes(), "{}", beginning.escape_ascii());
        }
    }

    #[test]
    fn does_not_guess_where_no_convention_holds() {
        for beginning in
            [&b"-ZZ0000-"[..], b"-TR3000x", b"Mississippi", b"QWERTY", b"OPQR", b"S58B-", b"A2-x", b""]
        {
            assert_eq!(client_name(&id(beginning)), None, "{}", beginning.escape_ascii());
        }
    }

    #[test]
    fn a_version_outside_the_scheme_is_left_out() {
        let name = client_name(&id(b"-qB4\xff20-")).unwrap();
        assert_eq!(name, ClientName { name: "qBittorrent", version: None });
    }

    #[test]
    fn tables_are_sorted_and_hold_each_code_once() {
        assert!(AZUREUS.is_sorted_by(|one, next| one.0 < next.0));
    }

    #[test]
    fn readable_escapes_what_is_not_printable() {
        assert_eq!(id(b"A2-1-36-0-K\xff\xda%").readable(), "A2-1-36-0-K%FF%DA%25......");
    }

    proptest! {
        #[test]
        fn random_ids_do_not_panic(random: [u8; 20], beginning in prop::sample::select(AZUREUS), end: [u8; 12]) {
            let _ = client_name(&PeerId(random));
            let mut bytes = [b'-'; 20];
            bytes[1..3].copy_from_slice(beginning.0);
            bytes[3..15].copy_from_slice(&end);
            let _ = client_name(&PeerId(bytes));
        }
    }
}
