//! Names of files: which are safe on every system, and which two are one on some.
//!
//! The rules of all systems hold on each, so that they are tested on each, and a torrent's files have the same names
//! everywhere. Windows has most of the rules: devices, streams, dots and blanks at the end, second names of eight letters.

use bittrace_protocol::metainfo::Name;
use sha1::{Digest, Sha1};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

/// A name that means a file in its folder, and nothing else, on every system.
pub(crate) fn safe_name(name: &Name) -> String {
    let text = String::from_utf8_lossy(&name.0);
    let mut safe: String = text.chars().map(|c| if is_reserved(c) { '_' } else { c }).collect();
    // Windows drops dots and spaces at the end; `.` and `..` are among these.
    if safe.is_empty() || safe.ends_with(['.', ' ']) {
        let length = safe.trim_end_matches(['.', ' ']).len();
        let dropped = safe.len() - length;
        safe.truncate(length);
        safe.extend(std::iter::repeat_n('_', dropped.max(1)));
    }
    if is_device(&safe) {
        safe.insert(0, '_');
    } else if let Some(tilde) = short_alias(&safe) {
        safe.replace_range(tilde..=tilde, "_");
    }
    if safe.len() > MAX_NAME { shortened(&safe, &name.0) } else { safe }
}

fn is_reserved(c: char) -> bool {
    c.is_control()
        || is_direction(c)
        || matches!(c, '/' | '\\' | '<' | '>' | ':' | '"' | '|' | '?' | '*' | '\u{2028}' | '\u{2029}')
}

/// Whether a character changes the direction of the text around it (Unicode's property `Bidi_Control`): with these
/// `gpj.exe` is shown as `exe.jpg`.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether Windows takes the name for a device, whatever follows a dot or a colon.
fn is_device(name: &str) -> bool {
    let stem = name.split(['.', ':']).next().unwrap_or_default().trim_end().to_ascii_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    let mut digits = number.unwrap_or_default().chars();
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '¹' | '²' | '³');
    digits.next().is_some_and(is_number) && digits.next().is_none()
}

/// The place of the tilde in a name of the form `ABCDEF~1.TXT`: Windows gives every file with a longer name a second name of
/// this form, so that the name may reach another file.
fn short_alias(name: &str) -> Option<usize> {
    let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
    let (before, number) = stem.rsplit_once('~')?;
    let is_number = (1..=6).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && stem.chars().count() <= 8 && ending.chars().count() <= 3).then_some(before.len())
}

/// A name in the form in which systems compare names that ignore case and how accents are written.
pub(crate) fn fold(name: &str) -> String {
    let upper = |c: char| {
        let mut letters = c.to_uppercase();
        match (letters.next(), letters.next()) {
            (Some(letter), None) => letter,
            // Windows and macOS compare letter by letter.
            _ => c,
        }
    };
    name.nfd().map(upper).collect::<String>().to_lowercase()
}

/// What Windows would make of a path other than a file or folder of that name: `None` where it would be one.
pub fn windows_path_fault(path: &str) -> Option<WindowsPathFault> {
    let path = path.strip_prefix(r"\\?\").unwrap_or(path);
    if path.starts_with(r"\\.\") || path.starts_with("//./") {
        return Some(WindowsPathFault::Device);
    }
    let bytes = path.as_bytes();
    let has_drive = bytes.get(1) == Some(&b':') && bytes[0].is_ascii_alphabetic();
    let path = if has_drive { &path[2..] } else { path };
    path.split(['\\', '/']).find_map(|name| match name {
        name if is_device(name) => Some(WindowsPathFault::Device),
        name if name.contains(':') => Some(WindowsPathFault::Stream),
        _ => None,
    })
}

/// Why a path is not that of a file or folder on Windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WindowsPathFault {
    /// A part of it is the name of a device, such as `NUL` or `COM1.txt`.
    #[error("it is the name of a device on Windows")]
    Device,
    /// A part of it has a colon, which leads to another stream of a file.
    #[error("it has a colon, which names a stream of a file on Windows")]
    Stream,
}

/// The beginning of a name, a part of the hash of the whole, and its ending.
fn shortened(safe: &str, whole: &[u8]) -> String {
    let digest = Sha1::digest(whole);
    let mark = format!("~{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3]);
    let (stem, ending) = split_ending(safe);
    let room = MAX_NAME - mark.len() - ending.len();
    format!("{}{mark}{ending}", cut(stem, room))
}

pub(crate) fn numbered(safe: &str, number: u32) -> String {
    let (stem, ending) = split_ending(safe);
    let mark = format!(" ({number})");
    let room = MAX_NAME - mark.len() - ending.len();
    format!("{}{mark}{ending}", cut(stem, room))
}

/// A name before and from its last dot, where what follows is short enough to be an ending.
fn split_ending(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= MAX_ENDING => name.split_at(dot),
        _ => (name, ""),
    }
}

fn cut(text: &str, mut room: usize) -> &str {
    if text.len() <= room {
        return text;
    }
    while !text.is_char_boundary(room) {
        room -= 1;
    }
    &text[..room]
}

/// File systems allow 255 bytes; the rest is for [`PART_SUFFIX`] and what the state file is called.
const MAX_NAME: usize = 220;
const MAX_ENDING: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn safe(name: &[u8]) -> String {
        safe_name(&Name(name.to_vec()))
    }

    #[test]
    fn names_lead_nowhere_else() {
        let table: &[(&[u8], &str)] = &[
            (b"", "_"),
            (b".", "_"),
            (b"..", "__"),
            (b"...", "___"),
            (b"../../etc/passwd", ".._.._etc_passwd"),
            (b"/etc/passwd", "_etc_passwd"),
            (b"..\\..\\x", ".._.._x"),
            (b"C:\\x", "C__x"),
            (b"a\0b", "a_b"),
            (b"line\nfeed\x1b[2J", "line_feed_[2J"),
            (b"what?.txt", "what_.txt"),
            (b"dots..", "dots__"),
            (b"space ", "space_"),
            (b"CON", "_CON"),
            (b"nul.txt", "_nul.txt"),
            (b"com1", "_com1"),
            (b"com10", "com10"),
            ("COM¹.txt".as_bytes(), "_COM¹.txt"),
            ("lpt³".as_bytes(), "_lpt³"),
            (b"CONIN$", "_CONIN$"),
            (b"conout$.log", "_conout$.log"),
            (b"aux .txt", "_aux .txt"),
            (b"PRN.a.b", "_PRN.a.b"),
            (b"console", "console"),
            (b"file.txt:stream", "file.txt_stream"),
            (b"file.txt::$DATA", "file.txt__$DATA"),
            (b"C:x", "C_x"),
            (b"NUL:", "NUL_"),
            (b"\\\\?\\C:\\x", "____C__x"),
            (b"\\\\.\\COM1", "__._COM1"),
            (b"a<b>c|d\"e*f", "a_b_c_d_e_f"),
            (b". . ", "____"),
            (b"PROGRA~1", "PROGRA_1"),
            (b"LONGFI~12.TXT", "LONGFI~12.TXT"),
            (b"a~1.txt", "a_1.txt"),
            (b"a~b.txt", "a~b.txt"),
            (b"notes.txt~1", "notes.txt~1"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            (b".hidden", ".hidden"),
            ("photo\u{202e}gpj.exe".as_bytes(), "photo_gpj.exe"),
            ("\u{2066}a\u{2069}\u{200f}b\u{61c}".as_bytes(), "_a__b_"),
            ("two\u{2028}lines\u{2029}".as_bytes(), "two_lines_"),
            ("Grüße.mp3".as_bytes(), "Grüße.mp3"),
        ];
        for (name, wanted) in table {
            assert_eq!(safe(name), *wanted, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn long_names_are_shortened_the_same_way_each_time() {
        let long = format!("{}.mkv", "ä".repeat(300));
        let other = format!("{}b.mkv", "ä".repeat(300));
        let short = safe(long.as_bytes());
        assert!(short.len() <= MAX_NAME && short.ends_with(".mkv"), "{short}");
        assert_eq!(short, safe(long.as_bytes()));
        assert_ne!(short, safe(other.as_bytes()));
    }

    #[test]
    fn paths_that_users_name_are_files_on_windows_or_have_a_fault() {
        use WindowsPathFault::{Device, Stream};
        for (path, fault) in [
            (r"C:\captures\a.pcap", None),
            (r"C:a.pcap", None),
            (r"\\?\C:\a\b", None),
            (r"\\server\share\a", None),
            ("a/b", None),
            ("null.pcap", None),
            ("NUL", Some(Device)),
            ("nul:", Some(Device)),
            (r"a\con", Some(Device)),
            ("out/aux.pcapng", Some(Device)),
            ("com²", Some(Device)),
            (r"\\.\PhysicalDrive0", Some(Device)),
            ("//./COM12", Some(Device)),
            (r"C:\CONIN$", Some(Device)),
            ("a.pcap:hidden", Some(Stream)),
            (r"C:\a:b\c", Some(Stream)),
        ] {
            assert_eq!(windows_path_fault(path), fault, "{path}");
        }
    }
}
