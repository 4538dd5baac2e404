//! The files of a torrent: the `length` or `files` of BEP 3 with the attributes of BEP 47, or the `file
//! tree` of BEP 52.

use std::fmt;

use super::{TorrentFault, note};
use crate::DecodeError;
use crate::bencode::View;

/// A file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct File {
    /// The folders it lies in and its own name, below the torrent's folder.
    pub path: Vec<Name>,
    /// Its bytes.
    pub length: u64,
    /// Characters for what it is (BEP 47): `l` a link, `x` executable, `h` hidden, `p` padding.
    pub attributes: Vec<u8>,
    /// Where a link leads, from the torrent's folder (BEP 47).
    pub symlink: Option<Vec<Name>>,
    /// The root of its hash tree, where the file tree has one (BEP 52).
    pub pieces_root: Option<[u8; 32]>,
}

/// A part of a path: any bytes, mostly UTF-8.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(pub Vec<u8>);

impl Name {
    /// Whether it can stand in a path without leading elsewhere: it is neither empty nor `.` nor `..`,
    /// and holds no slash, backslash or zero.
    pub fn is_safe(&self) -> bool {
        !matches!(self.0.as_slice(), b"" | b"." | b"..")
            && !self.0.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0))
    }

    /// Whether it is text in UTF-8.
    pub(super) fn is_utf8(&self) -> bool {
        std::str::from_utf8(&self.0).is_ok()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.0).fmt(f)
    }
}

impl File {
    /// Whether it only fills up a piece: its bytes are zero and it need not be stored (BEP 47).
    pub fn is_padding(&self) -> bool {
        self.attributes.contains(&b'p')
    }

    /// Whether it is a link to another file (BEP 47).
    pub fn is_symlink(&self) -> bool {
        self.attributes.contains(&b'l')
    }

    /// Whether every part of its path is [safe](Name::is_safe).
    pub fn is_safe(&self) -> bool {
        !self.path.is_empty() && self.path.iter().all(Name::is_safe)
    }

    /// The path with slashes, readable; not to be opened.
    pub fn path_text(&self) -> String {
        self.path.iter().map(ToString::to_string).collect::<Vec<_>>().join("/")
    }

    /// A file with what an entry of either format says beside its place and length.
    fn described(view: View<'_>) -> Self {
        let bytes = |key: &[u8]| view.get(key).and_then(View::bytes);
        Self {
            attributes: bytes(b"attr").unwrap_or_default().to_vec(),
            symlink: view.get(b"symlink path").and_then(path),
            // A root of zeros alone is the hash of nothing.
            pieces_root: bytes(b"pieces root")
                .and_then(|root| root.try_into().ok())
                .filter(|root| *root != [0; 32]),
            ..Self::default()
        }
    }
}

/// The files of BEP 3: one of `length`, or a list.
pub(super) fn v1(
    info: View<'_>,
    name: &Name,
    faults: &mut Vec<TorrentFault>,
) -> Result<Vec<File>, DecodeError> {
    let start = info.span().start;
    let Some(list) = list(info) else {
        if info.get(b"length").is_none() {
            return Err(match info.get(b"files") {
                Some(files) => DecodeError::new(files.span().start, "a list of files"),
                None => DecodeError::new(start, "an info dictionary with length or files"),
            });
        }
        let file = File { path: vec![name.clone()], length: length(info)?, ..File::described(info) };
        return Ok(vec![file]);
    };
    if let Some(length) = info.get(b"length") {
        note(faults, length.span().start, "a length beside files: files is used");
    }
    let items = list.items().into_iter().flatten();
    let mut files = Vec::with_capacity(items.size_hint().0);
    for item in items {
        let at = item.span().start;
        let described = File::described(item);
        let path = preferred_path(item, faults)?;
        // A link has no bytes, whatever its length; a padding file may come without a path (BEP 47).
        let length = length_of(item, &described, faults)?;
        let file = match path.is_empty() {
            true if described.is_padding() => {
                let path = vec![Name(b".pad".to_vec()), Name(length.to_string().into_bytes())];
                File { path, length, ..described }
            }
            true => return Err(DecodeError::new(at, "a path of at least one part")),
            false => File { path, length, ..described },
        };
        if !file.is_safe() {
            note(
                faults,
                at,
                "a path that is not made of plain file names: the file is stored under a changed name",
            );
        }
        files.push(file);
    }
    Ok(files)
}

/// The list of files of BEP 3, which counts where there is a `length` beside it; not an empty one.
pub(super) fn list(info: View<'_>) -> Option<View<'_>> {
    let list = info.get(b"files")?;
    let count = list.items()?.len();
    (count > 0 || info.get(b"length").is_none()).then_some(list)
}

/// The files of BEP 52: a tree whose leaves stand under an empty key.
pub(super) fn v2(info: View<'_>, faults: &mut Vec<TorrentFault>) -> Result<Vec<File>, DecodeError> {
    let start = info.span().start;
    let tree =
        info.get(b"file tree").ok_or(DecodeError::new(start, "an info dictionary with a file tree"))?;
    let mut walk = Walk { path: Vec::new(), path_bytes: 0, files: Vec::new(), kept_bytes: 0, faults };
    walk.folder(tree)?;
    Ok(walk.files)
}

/// How the file tree of a hybrid torrent fits its list of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joined {
    /// The same files in the same order, as it must (BEP 52, "Upgrade Path").
    Same,
    /// One file on either side, of two names.
    Renamed,
    /// Files of the same lengths in the same order, of which some have other names.
    OtherNames,
    /// Other files, or another order.
    Other,
}

/// Gives the files of BEP 3 the roots that the file tree has for them, where it is clear which is which; padding has
/// none. `single` is that the torrent is one file.
pub(super) fn join(files: &mut [File], tree: &[File], single: bool) -> Joined {
    let real = || files.iter().filter(|file| !file.is_padding());
    let described = || tree.iter().filter(|file| !file.is_padding());
    if real().count() != described().count()
        || !real().zip(described()).all(|(one, other)| one.length == other.length)
    {
        return Joined::Other;
    }
    let same_names = real().zip(described()).all(|(one, other)| one.path == other.path);
    if !same_names && !single {
        return Joined::OtherNames;
    }
    for (file, described) in files.iter_mut().filter(|file| !file.is_padding()).zip(described()) {
        file.pieces_root = described.pieces_root;
    }
    if same_names { Joined::Same } else { Joined::Renamed }
}

/// A way through a file tree.
struct Walk<'f> {
    path: Vec<Name>,
    path_bytes: usize,
    files: Vec<File>,
    kept_bytes: usize,
    faults: &'f mut Vec<TorrentFault>,
}

impl Walk<'_> {
    /// Adds the files of a folder. The scan has bounded how deep it can go.
    fn folder(&mut self, folder: View<'_>) -> Result<(), DecodeError> {
        let at = folder.span().start;
        let entries = folder.entries().ok_or(DecodeError::new(at, "a file tree of dictionaries"))?;
        for entry in entries {
            if entry.key.is_empty() {
                self.file(entry.value, at)?;
                continue;
            }
            self.path.push(Name(entry.key.to_vec()));
            self.path_bytes += entry.key.len();
            self.folder(entry.value)?;
            self.path_bytes -= entry.key.len();
            self.path.pop();
        }
        Ok(())
    }

    fn file(&mut self, view: View<'_>, at: usize) -> Result<(), DecodeError> {
        if self.path.is_empty() {
            return Err(DecodeError::new(at, "a file tree whose root is not a file"));
        }
        // A folder's name is kept once a file: a long one with many files would fill the memory.
        self.kept_bytes += self.path_bytes;
        if self.kept_bytes > MAX_PATH_BYTES {
            return Err(DecodeError::new(at, "paths of at most 256 MiB together"));
        }
        let described = File::described(view);
        let length = length_of(view, &described, self.faults)?;
        let start = view.span().start;
        if described.is_padding() {
            note(self.faults, start, "attr p in a file tree, which has no padding (BEP 52)");
        } else if length > 0 && described.pieces_root.is_none() {
            let what = "a file without the root of its hash tree, or with one of zeros: its pieces cannot be checked";
            note(self.faults, start, what);
        }
        let file = File { path: self.path.clone(), length, ..described };
        if !file.is_safe() {
            let what = "a path that is not made of plain file names: the file is stored under a changed name";
            note(self.faults, start, what);
        }
        self.files.push(file);
        Ok(())
    }
}

/// The length of an entry: 0 for a link, which has no bytes in the torrent (BEP 47).
fn length_of(view: View<'_>, described: &File, faults: &mut Vec<TorrentFault>) -> Result<u64, DecodeError> {
    if !described.is_symlink() {
        return length(view);
    }
    if let Some(length) = view.get(b"length").filter(|length| length.unsigned() != Some(0)) {
        note(faults, length.span().start, "a link with a length (BEP 47): 0 is used");
    }
    Ok(0)
}

fn length(view: View<'_>) -> Result<u64, DecodeError> {
    let value =
        view.get(b"length").ok_or(DecodeError::new(view.span().start, "a dictionary with the key length"))?;
    value.unsigned().ok_or(DecodeError::new(value.span().start, "a length from 0 to 2^64 - 1"))
}

/// The path of an entry of BEP 3: `path.utf-8`, which some programs write beside a `path` in another encoding, else
/// `path`; empty where there is neither.
fn preferred_path(item: View<'_>, faults: &mut Vec<TorrentFault>) -> Result<Vec<Name>, DecodeError> {
    if let Some(value) = item.get(b"path.utf-8") {
        match path(value).filter(|path| !path.is_empty() && path.iter().all(Name::is_utf8)) {
            Some(path) => return Ok(path),
            None => {
                note(faults, value.span().start, "a path.utf-8 that is not a list of UTF-8: path is used")
            }
        }
    }
    let Some(value) = item.get(b"path") else { return Ok(Vec::new()) };
    path(value).ok_or(DecodeError::new(value.span().start, "a path in a list of strings"))
}

fn path(value: View<'_>) -> Option<Vec<Name>> {
    let items = value.items()?;
    // No longer than it is: there may be very many.
    let mut path = Vec::with_capacity(items.len());
    for part in items {
        path.push(Name(part.bytes()?.to_vec()));
    }
    Some(path)
}

/// How many files an info value lists, whether these can be read or not: the larger number where it lists files in both ways.
pub(super) fn count(info: View<'_>) -> usize {
    let listed = list(info).and_then(View::items).map_or(1, |files| files.len());
    let leaves = info.get(b"file tree").map_or(0, count_leaves);
    listed.max(leaves)
}

/// The leaves of a file tree. The scan has bounded how deep it can go.
fn count_leaves(folder: View<'_>) -> usize {
    let entries = folder.entries().into_iter().flatten();
    entries.map(|entry| if entry.key.is_empty() { 1 } else { count_leaves(entry.value) }).sum()
}

/// Far beyond any real torrent: a million files with paths of 256 bytes.
const MAX_PATH_BYTES: usize = 256 * 1024 * 1024;
