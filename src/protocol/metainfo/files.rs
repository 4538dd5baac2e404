//! The files of a torrent: the `length` or `files` of BEP 3 with the attributes of BEP 47, or the `file
//! tree` of BEP 52.

use std::fmt;

use serde_bytes::ByteBuf;

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
    /// The MD5 of its content in hex, as some programs add.
    pub md5sum: Option<String>,
    /// The SHA-1 of its content, a hint only (BEP 47).
    pub sha1: Option<[u8; 20]>,
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
            md5sum: bytes(b"md5sum").map(|sum| String::from_utf8_lossy(sum).into_owned()),
            sha1: bytes(b"sha1").and_then(|sum| sum.try_into().ok()),
            symlink: view.get(b"symlink path").and_then(path),
            pieces_root: bytes(b"pieces root").and_then(|root| root.try_into().ok()),
            ..Self::default()
        }
    }
}

/// The files of BEP 3: one of `length`, or a list.
pub(super) fn v1(
    info: View<'_>,
    name: &Name,
    faults: &mut Vec<DecodeError>,
) -> Result<Vec<File>, DecodeError> {
    let start = info.span().start;
    let list = match (info.get(b"length"), info.get(b"files")) {
        (Some(_), None) => {
            let file = File { path: vec![name.clone()], length: length(info)?, ..File::described(info) };
            return Ok(vec![file]);
        }
        (None, Some(list)) => list,
        (Some(_), Some(list)) => {
            return Err(DecodeError::new(list.span().start, "either length or files, not both"));
        }
        (None, None) => return Err(DecodeError::new(start, "an info dictionary with length or files")),
    };
    let items = list.items().ok_or(DecodeError::new(list.span().start, "a list of files"))?;
    let mut files = Vec::with_capacity(items.len());
    for item in items {
        let at = item.span().start;
        let described = File::described(item);
        let path = match item.get(b"path") {
            Some(value) => {
                path(value).ok_or(DecodeError::new(value.span().start, "a path in a list of strings"))?
            }
            None => Vec::new(),
        };
        // A link has no bytes, and may come without a length; a padding file may come without a path (BEP
        // 47).
        let length = match item.get(b"length") {
            None if described.is_symlink() => 0,
            _ => length(item)?,
        };
        let file = match path.is_empty() {
            true if described.is_padding() => {
                let path = vec![Name(b".pad".to_vec()), Name(length.to_string().into_bytes())];
                File { path, length, ..described }
            }
            true => return Err(DecodeError::new(at, "a path of at least one part")),
            false => File { path, length, ..described },
        };
        if !file.is_safe() {
            faults.push(DecodeError::new(at, "a path of plain file names"));
        }
        files.push(file);
    }
    Ok(files)
}

/// The files of BEP 52: a tree whose leaves stand under an empty key.
pub(super) fn v2(info: View<'_>) -> Result<Vec<File>, DecodeError> {
    let start = info.span().start;
    let tree =
        info.get(b"file tree").ok_or(DecodeError::new(start, "an info dictionary with a file tree"))?;
    let mut walk = Walk { path: Vec::new(), path_bytes: 0, files: Vec::new(), kept_bytes: 0 };
    walk.folder(tree)?;
    Ok(walk.files)
}

/// Gives the files of BEP 3 the roots that the file tree has for them; padding has none. Whether the tree describes the
/// same files in the same order, as it must (BEP 52, "Upgrade Path"). `single` is that the torrent is one file.
pub(super) fn join(files: &mut [File], tree: &[File], single: bool) -> bool {
    let is_same = |(file, described): (&File, &File)| {
        file.length == described.length && (single || file.path == described.path)
    };
    let real = || files.iter().filter(|file| !file.is_padding());
    if real().count() != tree.len() || !real().zip(tree).all(is_same) {
        return false;
    }
    for (file, described) in files.iter_mut().filter(|file| !file.is_padding()).zip(tree) {
        file.pieces_root = described.pieces_root;
    }
    true
}

/// A way through a file tree.
struct Walk {
    path: Vec<Name>,
    path_bytes: usize,
    files: Vec<File>,
    kept_bytes: usize,
}

impl Walk {
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
            return Err(DecodeError::new(at, "a file tree whose root is no file"));
        }
        // A folder's name is kept once a file: a long one with many files would fill the memory.
        self.kept_bytes += self.path_bytes;
        if self.kept_bytes > MAX_PATH_BYTES {
            return Err(DecodeError::new(at, "paths of at most 256 MiB together"));
        }
        let described = File::described(view);
        let length = match view.get(b"length") {
            None if described.is_symlink() => 0,
            _ => length(view)?,
        };
        self.files.push(File { path: self.path.clone(), length, ..described });
        Ok(())
    }
}

fn length(view: View<'_>) -> Result<u64, DecodeError> {
    let value =
        view.get(b"length").ok_or(DecodeError::new(view.span().start, "a dictionary with the key length"))?;
    value.unsigned().ok_or(DecodeError::new(value.span().start, "a length from 0 to 2^64 - 1"))
}

fn path(value: View<'_>) -> Option<Vec<Name>> {
    let parts: Vec<ByteBuf> = serde_bencode::from_bytes(value.raw()).ok()?;
    Some(parts.into_iter().map(|part| Name(part.into_vec())).collect())
}

/// Far beyond any real torrent: a million files with paths of 256 bytes.
const MAX_PATH_BYTES: usize = 256 * 1024 * 1024;
