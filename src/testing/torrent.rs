//! Torrents with known content.

use std::path::Path;
use std::sync::Arc;

use bittrace_protocol::Metainfo;
use sha1::{Digest, Sha1};

/// Bytes that do not repeat, fixed by their seed.
pub fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A torrent, and the bytes of its files end to end.
#[derive(Debug, Clone)]
pub struct SeededTorrent {
    /// The torrent file, decoded.
    pub metainfo: Arc<Metainfo>,
    /// The torrent file.
    pub torrent: Arc<Vec<u8>>,
    /// The bytes of all files, one after the other.
    pub bytes: Arc<Vec<u8>>,
    /// How long each piece is, but for the last one.
    pub piece_length: usize,
    /// The path below the output folder, and the bytes, of each file that is to be there.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Makes a torrent of a folder from its announce URL, its files with their lengths, and its piece length.
pub type MakeTorrent = fn(&str, &[(&str, usize)], usize) -> SeededTorrent;

impl SeededTorrent {
    /// A torrent of one file, `file.bin`.
    pub fn single(announce: &str, length: usize, piece_length: usize) -> Self {
        let bytes = content(length as u64, length);
        let info = format!("6:lengthi{length}e4:name8:file.bin");
        let files = vec![("file.bin".to_owned(), bytes.clone())];
        Self::new(announce, &info, bytes, piece_length, files)
    }

    /// A torrent of a folder; names that begin with `.pad/` are padding.
    pub fn folder(announce: &str, files: &[(&str, usize)], piece_length: usize) -> Self {
        let (mut info, mut bytes, mut stored) = ("5:filesl".to_owned(), Vec::new(), Vec::new());
        for (number, (path, length)) in files.iter().enumerate() {
            let padding = path.starts_with(".pad/");
            let parts: String = path.split('/').map(|part| format!("{}:{part}", part.len())).collect();
            let attributes = if padding { "4:attr1:p" } else { "" };
            info += &format!("d{attributes}6:lengthi{length}e4:pathl{parts}ee");
            let content = if padding { vec![0; *length] } else { content(number as u64 + 1, *length) };
            bytes.extend_from_slice(&content);
            if !padding {
                stored.push((format!("folder/{path}"), content));
            }
        }
        info += "e4:name6:folder";
        Self::new(announce, &info, bytes, piece_length, stored)
    }

    /// A torrent with these keys of an info dictionary before `piece length`, in their order.
    ///
    /// # Panics
    /// When they do not make a valid torrent.
    pub fn new(
        announce: &str,
        info: &str,
        bytes: Vec<u8>,
        piece_length: usize,
        files: Vec<(String, Vec<u8>)>,
    ) -> Self {
        let hashes: Vec<u8> = bytes.chunks(piece_length).flat_map(Sha1::digest).collect();
        let mut torrent = format!(
            "d8:announce{}:{announce}4:infod{info}12:piece lengthi{piece_length}e6:pieces{}:",
            announce.len(),
            hashes.len()
        )
        .into_bytes();
        torrent.extend_from_slice(&hashes);
        torrent.extend_from_slice(b"ee");
        let metainfo = Arc::new(Metainfo::decode(&torrent).expect("a valid torrent"));
        Self { metainfo, torrent: Arc::new(torrent), bytes: Arc::new(bytes), piece_length, files }
    }

    /// The same torrent with this web seed (BEP 19).
    ///
    /// # Panics
    /// When it is not a torrent without one.
    pub fn with_url_list(&self, url: &str) -> Self {
        let mut torrent = self.torrent[..self.torrent.len() - 1].to_vec();
        torrent.extend_from_slice(format!("8:url-list{}:{url}e", url.len()).as_bytes());
        let metainfo = Arc::new(Metainfo::decode(&torrent).expect("a valid torrent"));
        Self { metainfo, torrent: Arc::new(torrent), ..self.clone() }
    }

    /// How many pieces there are.
    pub fn piece_count(&self) -> usize {
        self.bytes.len().div_ceil(self.piece_length)
    }

    /// Writes the files below a folder, as a client has them that has it all.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn write_files(&self, folder: &Path) {
        for (path, bytes) in &self.files {
            let path = folder.join(path);
            let parent = path.parent().expect("a file is in a folder");
            std::fs::create_dir_all(parent).expect("a folder can be made");
            std::fs::write(path, bytes).expect("a file can be written");
        }
    }

    /// How many bytes the files have, without padding.
    pub fn content_length(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }

    /// Whether the folder holds the torrent's files with their bytes.
    pub fn is_whole(&self, output: &Path) -> bool {
        let mut files = self.files.iter();
        files.all(|(path, bytes)| std::fs::read(output.join(path)).is_ok_and(|found| found == *bytes))
    }

    /// The folder holds the torrent's files with their bytes, and nothing else.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn assert_whole(&self, output: &Path) {
        for (path, bytes) in &self.files {
            let found = std::fs::read(output.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(found == *bytes, "{path} differs");
        }
        let mut wanted: Vec<_> = self.files.iter().map(|(path, _)| path.clone()).collect();
        wanted.sort();
        assert_eq!(all_files(output), wanted);
    }
}

/// The paths of all files below a folder, sorted.
///
/// # Panics
/// When it cannot be listed.
pub fn all_files(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder can be listed") {
            let entry = entry.expect("a folder can be listed");
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type().expect("a file has a type").is_dir() {
                walk(&entry.path(), &format!("{name}/"), found);
            } else {
                found.push(name);
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, "", &mut found);
    found.sort();
    found
}

/// The paths of the files below a folder that do not begin with a dot, sorted.
///
/// # Panics
/// When the folder cannot be listed.
pub fn visible_files(folder: &Path) -> Vec<String> {
    all_files(folder).into_iter().filter(|name| !name.starts_with('.')).collect()
}
