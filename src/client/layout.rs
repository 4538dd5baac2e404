//! Where a torrent's files go: names that are safe on every system and distinct, whatever the torrent says.
//!
//! A torrent gives the same names everywhere, so that a folder can be moved to, or mounted from, a system that is
//! more particular than this one.

use std::collections::{HashMap, HashSet};

use bittrace_protocol::Metainfo;
use bittrace_protocol::metainfo::{File, Name};
use sha1::{Digest, Sha1};

use crate::left_out::{LeftOut, LeftOutReason};
use crate::names::{fold, numbered, safe_name};

mod links;

pub use links::LinkPlace;

/// What is stored of one of a torrent's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its path below the output folder, with slashes, which no name contains; `None` where it is not stored: padding,
    /// whose bytes are zero, and links (BEP 47), which have [places of their own](Layout::links).
    pub path: Option<Box<str>>,
    /// Its length, bytes.
    pub length: u64,
    /// Whether the torrent marks the file as executable (BEP 47, `x`).
    pub executable: bool,
}

impl Place {
    /// The parts of the path; `None` where the file is not stored.
    pub fn parts(&self) -> Option<Vec<String>> {
        Some(self.path.as_deref()?.split('/').map(str::to_owned).collect())
    }
}

/// The places of all of a torrent's files, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The name of the file, or of the folder around the files.
    pub root: String,
    /// A place a file.
    pub places: Vec<Place>,
    /// The links that can be made (BEP 47, "Symlinks").
    pub links: Vec<LinkPlace>,
    /// What of the torrent is not stored.
    pub left_out: LeftOut,
}

/// What a torrent's own name becomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RootName {
    /// The torrent's name, made safe for every system.
    #[default]
    Safe,
    /// The same, but never a hidden file or folder: a dot in front gets `_` before it. A torrent called `.bashrc` or `.ssh`
    /// would otherwise configure programs when it is downloaded into a home folder.
    SafeAndVisible,
}

impl Layout {
    /// Finds a place for every file of a torrent.
    pub fn new(metainfo: &Metainfo) -> Self {
        Self::with_root(metainfo, RootName::Safe)
    }

    /// The same, for a torrent whose own name is treated in this way.
    pub fn with_root(metainfo: &Metainfo, root_name: RootName) -> Self {
        let mut folders = Folders::default();
        let name = match root_name {
            RootName::SafeAndVisible if safe_name(&metainfo.name).starts_with('.') => {
                Name([b"_", metainfo.name.0.as_slice()].concat())
            }
            _ => metainfo.name.clone(),
        };
        if metainfo.single_file {
            let root = folders.file(0, &name);
            let mut layout =
                Self { root, places: Vec::new(), links: Vec::new(), left_out: LeftOut::default() };
            for file in &metainfo.files {
                let path = (!file.is_symlink()).then(|| vec![layout.root.clone()]);
                layout.add(file, path);
                if file.is_symlink() {
                    layout.left_out.add(LeftOutReason::LinkTarget, &file.path_text());
                }
            }
            return layout;
        }
        let (top, root) = folders.folder(0, &name);
        let places = Vec::with_capacity(metainfo.files.len());
        let mut layout = Self { root, places, links: Vec::new(), left_out: LeftOut::default() };
        for file in &metainfo.files {
            let stored = !(file.is_padding() || file.is_symlink());
            let path = stored.then(|| folders.place(top, &layout.root, &file.path));
            layout.add(file, path);
        }
        if metainfo.files.iter().any(File::is_symlink) {
            links::place(metainfo, &mut folders, top, &mut layout);
        }
        layout
    }

    fn add(&mut self, file: &File, path: Option<Vec<String>>) {
        let has = |attribute| path.is_some() && file.attributes.contains(&attribute);
        let is_dotted = path.iter().flatten().next_back().is_some_and(|name| name.starts_with('.'));
        if has(b'h') && !is_dotted {
            self.left_out.add(LeftOutReason::Hidden, &file.path_text());
        }
        let executable = has(b'x');
        // A torrent may have 100,000 files: a path is one text of just its length.
        let path = path.map(|parts| parts.join("/").into_boxed_str());
        self.places.push(Place { path, length: file.length, executable });
    }

    /// The names that are stored as other names: how many, and the first of these, with the torrent's own first.
    pub fn renamed(&self, metainfo: &Metainfo, at_most: usize) -> (usize, Vec<(String, String)>) {
        let (mut count, mut first) = (0, Vec::new());
        let mut note = |from: String, to: String| {
            count += 1;
            if first.len() < at_most {
                first.push((from, to));
            }
        };
        if metainfo.name.0 != self.root.as_bytes() {
            note(metainfo.name.to_string(), self.root.clone());
        }
        if !metainfo.single_file {
            for (file, place) in metainfo.files.iter().zip(&self.places) {
                let Some((_, path)) = place.path.as_deref().and_then(|path| path.split_once('/')) else {
                    continue;
                };
                let stored = path.split('/').map(str::as_bytes);
                if !stored.eq(file.path.iter().map(|name| name.0.as_slice())) {
                    note(file.path_text(), path.to_owned());
                }
            }
        }
        (count, first)
    }
}

/// The folders that were named, and the names that are taken in each.
#[derive(Default)]
struct Folders {
    /// What a folder within a folder came to be called, by what the torrent calls it.
    children: HashMap<(usize, Vec<u8>), (usize, String)>,
    /// Names in a folder, folded: on many systems names that differ only in case, or in how accents are written, are one.
    taken: HashSet<NameKey>,
    /// The number to try next for a folded name that is taken, with so many suffixes, in a folder.
    next: HashMap<(NameKey, usize), u32>,
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

    /// A path whose names are all free or folders that are there already, as the torrent calls them; `None` where another
    /// file has one of these names, or where a name is not safe.
    fn exact(&mut self, top: usize, root: &str, path: &[Name]) -> Option<Vec<String>> {
        let (last, folders) = path.split_last()?;
        let is_exact = |name: &Name| safe_name(name).as_bytes() == name.0;
        if folders.len() > MAX_DEPTH || !path.iter().all(is_exact) {
            return None;
        }
        let mut names = vec![root.to_owned()];
        let mut at = Some(top);
        for folder in folders {
            at = match at.and_then(|at| self.children.get(&(at, folder.0.clone()))) {
                Some((inner, name)) if name.as_bytes() == folder.0 => Some(*inner),
                Some(_) => return None,
                // A folder that has only links in it.
                None if at.is_some_and(|at| self.taken.contains(&name_key(at, &safe_name(folder)))) => {
                    return None;
                }
                None => {
                    let (inner, _) = self.folder(at?, folder);
                    Some(inner)
                }
            };
            names.push(safe_name(folder));
        }
        if !self.taken.insert(name_key(at?, &safe_name(last))) {
            return None;
        }
        names.push(safe_name(last));
        Some(names)
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
        if self.take(within, &safe, suffixes) {
            return safe;
        }
        // All numbers before are taken, and are not tried again for each of many equal names.
        let key = (name_key(within, &safe), suffixes.len());
        let mut number = self.next.get(&key).copied().unwrap_or(2);
        loop {
            let candidate = numbered(&safe, number);
            number += 1;
            if self.take(within, &candidate, suffixes) {
                self.next.insert(key, number);
                return candidate;
            }
        }
    }

    /// Takes a name with all of its suffixes, where none of these is taken.
    fn take(&mut self, within: usize, name: &str, suffixes: &[&str]) -> bool {
        let keys: Vec<_> =
            suffixes.iter().map(|suffix| name_key(within, &format!("{name}{suffix}"))).collect();
        let is_free = keys.iter().all(|key| !self.taken.contains(key));
        if is_free {
            self.taken.extend(keys);
        }
        is_free
    }
}

/// A name in a folder: 128 bits of the hash of the folded name, since there may be very many names. Two names of one hash
/// would merely get a number.
type NameKey = [u8; 16];

fn name_key(within: usize, name: &str) -> NameKey {
    let digest = Sha1::new().chain_update(within.to_le_bytes()).chain_update(fold(name)).finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
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
        layout.places.into_iter().map(|place| place.path.unwrap().into_string()).collect()
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
