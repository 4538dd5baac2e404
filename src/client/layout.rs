//! Where a torrent's files go: names that are safe on every system and distinct, whatever the torrent says.
//!
//! A torrent gives the same names everywhere, so that a folder can be moved to, or mounted from, a system that is
//! more particular than this one.

use std::collections::{HashMap, HashSet};

use bittrace_protocol::Metainfo;
use bittrace_protocol::metainfo::Name;

use crate::names::{fold, numbered, safe_name};

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
    /// Names in a folder, folded: on many systems names that differ only in case, or in how accents are written, are one.
    taken: HashSet<(usize, String)>,
    /// The number to try next for a folded name, with so many suffixes, in a folder.
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
        let next = self.next.entry((within, fold(&safe), suffixes.len())).or_insert(1);
        loop {
            let number = *next;
            *next += 1;
            let candidate = if number == 1 { safe.clone() } else { numbered(&safe, number) };
            let keys: Vec<_> =
                suffixes.iter().map(|suffix| (within, fold(&format!("{candidate}{suffix}")))).collect();
            if keys.iter().all(|key| !self.taken.contains(key)) {
                self.taken.extend(keys);
                return candidate;
            }
        }
    }
}

/// What a file is called until all of it is verified.
pub(crate) const PART_SUFFIX: &str = ".part";
/// Folders beyond this are left out: paths would become too long for other programs.
const MAX_DEPTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

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
    fn names_that_some_system_takes_for_one_become_distinct() {
        assert_eq!(
            placed(&[
                &["\u{e9}"],
                &["e\u{301}"],
                &["E\u{301}"],
                &["\u{3c3}"],
                &["\u{3c2}"],
                &["\u{212a}"],
                &["k"]
            ]),
            [
                "top/\u{e9}",
                "top/e\u{301} (2)",
                "top/E\u{301} (3)",
                "top/\u{3c3}",
                "top/\u{3c2} (2)",
                "top/\u{212a}",
                "top/k (2)"
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
