//! Files that are not captures of ours, known by how they begin: each with its name, and the command that makes a capture
//! of it.

/// A kind of file that is told from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ForeignFormat {
    /// What it is, with its article.
    pub(super) name: &'static str,
    /// The command that converts or unpacks it.
    pub(super) command: &'static str,
}

impl ForeignFormat {
    /// The kind of a file that begins so. [`LOOK`] bytes tell all kinds.
    pub(super) fn of(begins: &[u8]) -> Option<Self> {
        let by_magic = MAGIC.iter().find(|(magic, ..)| begins.starts_with(magic));
        let (name, command) = match by_magic {
            Some((_, name, command)) => (*name, *command),
            None if begins.get(257..262) == Some(b"ustar") => ("a tar archive", TAR),
            None if is_event_trace(begins) => ("a Windows event trace (ETL)", ETL),
            None if is_commview(begins) => ("a CommView capture", EDITCAP),
            None if is_printed(begins) => ("text output of tcpdump", "tcpdump -w FILE"),
            None if is_dump(begins) => ("a hex dump", "text2pcap FILE NEW.pcapng"),
            None => return None,
        };
        Some(Self { name, command })
    }
}

/// How many bytes tell a kind: the magic number of tar stands in bytes 257 to 261.
pub(super) const LOOK: usize = 262;

const EDITCAP: &str = "editcap -F pcapng FILE NEW.pcapng";
const ETL: &str = "etl2pcapng FILE NEW.pcapng";
const TAR: &str = "tar -xf FILE";

/// The first bytes, the name, and the command. The formats of captures are those that Wireshark's editcap reads.
const MAGIC: &[(&[u8], &str, &str)] = &[
    (b"GMBU", "a Microsoft Network Monitor 2 capture", EDITCAP),
    (b"RTSS", "a Microsoft Network Monitor 1 capture", EDITCAP),
    (b"snoop\0\0\0", "a snoop capture", EDITCAP),
    (b"TRSNIFF data    \x1a", "a Sniffer capture", EDITCAP),
    (b"XCP\0", "a NetXRay or Windows Sniffer capture", EDITCAP),
    (b"VL\0\0", "a NetXRay capture", EDITCAP),
    (b"\0\0\x02\0\x12\x05\0\x10", "a Tektronix K12 capture", EDITCAP),
    (b"+---------+---------------+----------+", "a K12 text capture", EDITCAP),
    (b"\x05VNF", "a Visual Networks capture", EDITCAP),
    (b"ObserverPktBuffe", "an Observer capture", EDITCAP),
    (b"\x7fver", "a Savvius (WildPackets) capture", EDITCAP),
    (b"iptrace 1.0", "an AIX iptrace capture", EDITCAP),
    (b"iptrace 2.0", "an AIX iptrace capture", EDITCAP),
    (b"TR\0d\0", "an HP-UX nettl capture", EDITCAP),
    (b"\x01\x10\x4c\0", "a LANalyzer capture", EDITCAP),
    (b"\xaa\xaa\xaa\xaa", "a 5View capture", EDITCAP),
    (b"btsnoop\0", "a btsnoop capture (of Bluetooth)", EDITCAP),
    (b"cpse", "a Capsa capture", EDITCAP),
    (b"\x1c\0\x01\xac", "an IXIA capture", EDITCAP),
    (b"\x1c\0\x01\xab", "an IXIA capture", EDITCAP),
    (b"\xac\x01\0\x1c", "an IXIA capture", EDITCAP),
    (b"\xab\x01\0\x1c", "an IXIA capture", EDITCAP),
    (b"EyeSDN", "an EyeSDN capture", EDITCAP),
    (b"Session Transcript", "a DCT2000 capture", EDITCAP),
    (b"PK\x03\x04", "a zip archive", "unzip FILE"),
    (b"PK\x05\x06", "an empty zip archive", "unzip FILE"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x FILE"),
    (b"Rar!\x1a\x07", "a RAR archive", "unrar x FILE"),
    (b"MSCF", "a cabinet archive", "cabextract FILE"),
    (b"!<arch>\n", "an ar archive", "ar x FILE"),
    (b"\x02\x21\x4c\x18", "lz4 data of the legacy format", "lz4 -d FILE NEW"),
    (b"\x5d\0\0", "lzma data", "unlzma FILE"),
    (b"LZIP", "lzip data", "lzip -d FILE"),
    (b"\x89LZO\0", "lzop data", "lzop -d FILE"),
    (b"\xff\x06\0\0sNaPpY", "framed snappy data", "snzip -d FILE"),
    (b"\x1f\x9d", "data of compress", "gzip -d FILE"),
    (b"\x1f\x1e", "data of pack", "gzip -d FILE"),
];

/// A buffer of a log of Windows: its size, 72 bytes of header, then a system event with the mark of a header of 32 or 64
/// bits (SYSTEM_TRACE_HEADER of evntrace).
fn is_event_trace(begins: &[u8]) -> bool {
    let Some(size) = begins.first_chunk::<4>() else { return false };
    let size = u32::from_le_bytes(*size);
    let system = matches!(begins.get(74..76), Some([1 | 2, marker]) if marker & 0xc0 == 0xc0);
    system && size.is_multiple_of(1024) && (1024..=64 << 20).contains(&size)
}

/// A first packet of CommView: in the older format two lengths and version 0, in the newer one length, then year, month,
/// day, hour, minute and second.
fn is_commview(begins: &[u8]) -> bool {
    let date = |at: usize| match begins.get(at..at + 7) {
        Some(&[low, high, month, day, hour, minute, second]) => {
            (1995..2100).contains(&u16::from_le_bytes([low, high]))
                && (1..=12).contains(&month)
                && (1..=31).contains(&day)
                && hour < 24
                && minute < 60
                && second <= 60
        }
        _ => false,
    };
    match begins {
        [low, high, stored_low, stored_high, 0, ..]
            if [low, high] == [stored_low, stored_high] && date(5) =>
        {
            true
        }
        // No packet of this format has 64 KiB.
        [_, _, 0, 0, ..] => date(4),
        _ => false,
    }
}

/// A time of day, as tcpdump begins its lines.
fn is_printed(begins: &[u8]) -> bool {
    let time = begins.get(..9).is_some_and(|time| {
        time.iter().enumerate().all(|(at, byte)| match at {
            2 | 5 => *byte == b':',
            8 => *byte == b'.',
            _ => byte.is_ascii_digit(),
        })
    });
    time && begins.windows(4).any(|word| word == b" IP " || word == b" IP6")
}

/// An offset of zeros, then bytes in hex.
fn is_dump(begins: &[u8]) -> bool {
    let zeros = begins.iter().take_while(|byte| **byte == b'0').count();
    let rest = begins.get(zeros..).unwrap_or_default().trim_ascii_start();
    matches!(rest.strip_prefix(b":").unwrap_or(rest).trim_ascii_start(),
        [a, b, c, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() && (*c == b' ' || c.is_ascii_hexdigit()))
        && (4..=8).contains(&zeros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_told_by_how_it_begins() {
        let etl = {
            let mut bytes = vec![0; 200];
            (bytes[2], bytes[72], bytes[74], bytes[75]) = (1, 2, 2, 0xc0);
            bytes
        };
        let tar = [&b"capture.pcap"[..], &[0; 245], b"ustar\x0000"].concat();
        let old_commview = [58, 0, 58, 0, 0, 0xe7, 7, 11, 14, 22, 13, 20, 0, 0];
        let new_commview = [58, 0, 0, 0, 0xe7, 7, 11, 14, 22, 13, 20, 0, 0];
        for (begins, name, command) in [
            (&b"GMBU\0\x02\x01\0"[..], "Network Monitor 2", "editcap"),
            (b"snoop\0\0\0\0\0\0\x02", "snoop", "editcap"),
            (b"PK\x03\x04\x14\0", "zip", "unzip"),
            (&etl, "ETL", "etl2pcapng"),
            (&tar, "tar", "tar"),
            (&old_commview, "CommView", "editcap"),
            (&new_commview, "CommView", "editcap"),
            (b"12:30:01.123456 IP 10.0.0.1.6881 > 10.0.0.2.6881: Flags [S]", "tcpdump", "-w"),
            (b"0000   02 00 00 00 00 02", "hex dump", "text2pcap"),
            (b"00000000: 0200 0000", "hex dump", "text2pcap"),
            (b"\x02\x21\x4c\x18\x10", "lz4", "lz4 -d"),
        ] {
            let found = ForeignFormat::of(begins).unwrap_or_else(|| panic!("{name}"));
            assert!(found.name.contains(name) && found.command.contains(command), "{found:?}");
        }
        for begins in
            [&b""[..], b"Hello, reader", b"d8:announce3:url", &[0; 300], b"0000000000000000", b"12:30"]
        {
            assert_eq!(ForeignFormat::of(begins), None, "{begins:?}");
        }
    }
}
