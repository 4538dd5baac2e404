//! Where a torrent's files go: names that are safe on every system and distinct, whatever the torrent says.
//!
//! A torrent gives the same names everywhere, so that a folder can be moved to, or mounted from, a system that is
//! more particular than this one.

use std::collections::{HashMap, HashSet};

use bittrace_protocol::Metainfo;
use bittrace_protocol::metainfo::Name;
use sha1::{Digest, Sha1};

/// What is stored of one of a torrent's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The parts of its path below the output folder; `None` where it is not stored: padding, whose bytes are zero,
    /// and links (BEP 47).
    pub path: Option<Vec<String>>,
    /// Its length, bytes.
    pub length: u64,
}

/// The places of all of a torrent's files, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The name of the file, or of the folder around the files.
    pub root: String,
    /// A place a file.
    pub places: Vec<Place>,
}

impl Layout {
    /// Finds a place for every file of a torrent.
    pub fn new(metainfo: &Metainfo) -> Self {
        let mut folders = Folders::default();
        if metainfo.single_file {
            let root = folders.file(0, &metainfo.name);
            let places = metainfo
                .files
                .iter()
                .map(|file| Place { path: Some(vec![root.clone()]), length: file.length });
            return Self { places: places.collect(), root };
        }
        let (top, root) = folders.folder(0, &metainfo.name);
        let mut places = Vec::with_capacity(metainfo.files.len());
        for file in &metainfo.files {
            let stored = !(file.is_padding() || file.is_symlink() && file.length == 0);
            let path = stored.then(|| folders.place(top, &root, &file.path));
            places.push(Place { path, length: file.length });
        }
        Self { root, places }
    }
}

/// The folders that were named, and the names that are taken in each.
#[derive(Default)]
struct Folders {
    /// What a folder within a folder came to be called, by what the torrent calls it.
    children: HashMap<(usize, Vec<u8>), (usize, String)>,
    /// Names in a folder, in lower case: on many systems those that differ only in case are one.
    taken: HashSet<(usize, String)>,
    /// The number to try next for a name in lower case, with so many suffixes, in a folder.
    next: HashMap<(usize, String, usize), u32>,
    count: usize,
}

impl Folders {
    fn place(&mut self, top: usize, root: &str, path: &[Name]) -> Vec<String> {
        let nameless = Name::default();
        let (last, folders) = path.split_last().unwrap_or((&nameless, &[]));
        let mut names = vec![root.to_owned()];
        let mut at = top;
        for folder in folders.iter().take(MAX_DEPTH) {
            let (inner, name) = self.folder(at, folder);
            names.push(name);
            at = inner;
        }
        names.push(self.file(at, last));
        names
    }

    fn folder(&mut self, within: usize, name: &Name) -> (usize, String) {
        let key = (within, name.0.clone());
        if let Some(known) = self.children.get(&key) {
            return known.clone();
        }
        let chosen = self.choose(within, name, &[""]);
        self.count += 1;
        self.children.insert(key, (self.count, chosen.clone()));
        (self.count, chosen)
    }

    fn file(&mut self, within: usize, name: &Name) -> String {
        self.choose(within, name, &["", PART_SUFFIX])
    }

    /// The first name of the kind that is free in the folder, with all suffixes it will bear.
    fn choose(&mut self, within: usize, name: &Name, suffixes: &[&str]) -> String {
        let safe = safe_name(name);
        // All numbers before are taken, and are not tried again for each of many equal names.
        let next = self.next.entry((within, safe.to_lowercase(), suffixes.len())).or_insert(1);
        loop {
            let number = *next;
            *next += 1;
            let candidate = if number == 1 { safe.clone() } else { numbered(&safe, number) };
            let keys: Vec<_> = suffixes
                .iter()
                .map(|suffix| (within, format!("{candidate}{suffix}").to_lowercase()))
                .collect();
            if keys.iter().all(|key| !self.taken.contains(key)) {
                self.taken.extend(keys);
                return candidate;
            }
        }
    }
}

/// A name that means a file in its folder, and nothing else, on every system.
fn safe_name(name: &Name) -> String {
    let text = String::from_utf8_lossy(&name.0);
    let mut safe: String = text.chars().map(|c| if is_reserved(c) { '_' } else { c }).collect();
    // Windows drops dots and spaces at the end; `.` and `..` are among these.
    if safe.is_empty() || safe.ends_with(['.', ' ']) {
        let length = safe.trim_end_matches(['.', ' ']).len();
        let dropped = safe.len() - length;
        safe.truncate(length);
        safe.extend(std::iter::repeat_n('_', dropped.max(1)));
    }
    let stem = safe.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    if is_device(&stem) {
        safe.insert(0, '_');
    }
    if safe.len() > MAX_NAME { shortened(&safe, &name.0) } else { safe }
}

fn is_reserved(c: char) -> bool {
    c.is_control() || matches!(c, '/' | '\\' | '<' | '>' | ':' | '"' | '|' | '?' | '*')
}

/// Whether Windows takes the name for a device, whatever stands behind a dot.
fn is_device(stem: &str) -> bool {
    if matches!(stem, "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    number.is_some_and(|number| number.len() == 1 && number.as_bytes()[0].is_ascii_digit())
}

/// The beginning of a name, a part of the hash of the whole, and its ending.
fn shortened(safe: &str, whole: &[u8]) -> String {
    let digest = Sha1::digest(whole);
    let mark = format!("~{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3]);
    let (stem, ending) = split_ending(safe);
    let room = MAX_NAME - mark.len() - ending.len();
    format!("{}{mark}{ending}", cut(stem, room))
}

fn numbered(safe: &str, number: u32) -> String {
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

/// What a file is called until all of it is verified.
pub(crate) const PART_SUFFIX: &str = ".part";
/// File systems allow 255 bytes; the rest is for [`PART_SUFFIX`] and what the state file is called.
const MAX_NAME: usize = 220;
const MAX_ENDING: usize = 16;
/// Folders beyond this are left out: paths would become too long for other programs.
const MAX_DEPTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn safe(name: &[u8]) -> String {
        safe_name(&Name(name.to_vec()))
    }

    fn torrent(paths: &[&[&str]]) -> Metainfo {
        let mut info = b"d5:filesl".to_vec();
        for path in paths {
            info.extend_from_slice(b"d6:lengthi1e4:pathl");
            for part in *path {
                info.extend_from_slice(format!("{}:{part}", part.len()).as_bytes());
            }
            info.extend_from_slice(b"ee");
        }
        info.extend_from_slice(b"e4:name3:top12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae");
        Metainfo::decode_info(&info).unwrap()
    }

    fn placed(paths: &[&[&str]]) -> Vec<String> {
        let layout = Layout::new(&torrent(paths));
        layout.places.into_iter().map(|place| place.path.unwrap().join("/")).collect()
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
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            (b".hidden", ".hidden"),
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
    fn equal_names_become_distinct() {
        assert_eq!(
            placed(&[
                &["a.txt"],
                &["A.TXT"],
                &["a.txt"],
                &["a.txt.part"],
                &["d", "x"],
                &["D", "x"],
                &["d", "y"]
            ]),
            [
                "top/a.txt",
                "top/A (2).TXT",
                "top/a (3).txt",
                "top/a.txt (2).part",
                "top/d/x",
                "top/D (2)/x",
                "top/d/y"
            ]
        );
    }

    #[test]
    fn many_equal_names_are_numbered_one_after_another() {
        let many = vec![&["same"][..]; 16_000];
        let placed = placed(&many);
        assert_eq!(placed[0], "top/same");
        assert_eq!(placed[15_999], "top/same (16000)");
    }

    #[test]
    fn a_file_and_a_folder_of_one_name_become_distinct() {
        assert_eq!(placed(&[&["a"], &["a", "b"]]), ["top/a", "top/a (2)/b"]);
    }

    #[test]
    fn paths_upwards_stay_below() {
        assert_eq!(placed(&[&["..", "..", "x"], &["", "y"]]), ["top/__/__/x", "top/_/y"]);
    }
}
