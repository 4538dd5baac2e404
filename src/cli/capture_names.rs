//! The captures that a command line names: files, folders, lists of names, and the part of them that a shard reads.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use bittrace_trace::units::{counted, size};
use bittrace_trace::{Capture, TraceError};
use serde::{Deserialize, Serialize};

use crate::args::Common;
use crate::failure::warn;
use crate::os::{is_same_file, path_of_bytes};

/// A capture that is to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NamedCapture {
    /// No text: file names need not be UTF-8.
    path: OsString,
    /// Why it cannot be read, where that is known without another look.
    pub(crate) fault: Option<String>,
}

/// One of several parts of all captures: part `part` of `parts`, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    part: usize,
    parts: usize,
}

/// The largest list of names that is read: enough for three million captures.
const MOST_LIST: u64 = 256 * 1024 * 1024;

/// How deep folders are read. Nobody nests captures deeper, and the names become too long for many systems.
const MOST_DEPTH: usize = 64;

/// The endings of files that are captures whatever they begin with, so that a broken one is not passed over.
const ENDINGS: [&str; 3] = ["pcap", "pcapng", "cap"];

/// What may follow such an ending.
const COMPRESSED: [&str; 8] = ["gz", "zst", "zstd", "lz4", "xz", "bz2", "z", "lzma"];

impl NamedCapture {
    /// A capture that nobody has tried to read yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path: path.into(), fault: None }
    }

    /// The file, or `-` for standard input.
    pub(crate) fn path(&self) -> &Path {
        Path::new(&self.path)
    }

    /// Whether it is standard input, by whatever name.
    pub(crate) fn is_standard_input(&self) -> bool {
        let path = self.path();
        let is_special = ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder));
        path == Path::new("-") || is_special && is_same_file(path, Path::new("/dev/stdin"))
    }
}

/// The captures that `arguments` name, in their order: a folder stands for the captures in it and in its folders, sorted by
/// name; `@FILE` for the names in a file, one a line, and `@-` for those in standard input. The files in a folder that are
/// not captures are counted in a warning.
///
/// # Errors
/// When a list cannot be read, or has no names.
pub(crate) fn capture_names(arguments: &[PathBuf], common: Common) -> Result<Vec<NamedCapture>> {
    let mut names = Vec::new();
    for argument in arguments {
        // A capture of such a name is given as ./@NAME.
        match argument.to_str().and_then(|text| text.strip_prefix('@')) {
            Some(list) => {
                let listed = listed(list).with_context(|| format!("@{list}"))?;
                if listed.is_empty() {
                    bail!("@{list}: the list has no names");
                }
                for path in listed {
                    add(path, common, &mut names);
                }
            }
            None => add(argument.clone(), common, &mut names),
        }
    }
    Ok(names)
}

/// Adds a file, or the captures of a folder.
fn add(path: PathBuf, common: Common, names: &mut Vec<NamedCapture>) {
    if !path.is_dir() {
        names.push(NamedCapture::new(path));
        return;
    }
    let mut found = Folder::default();
    found.read(&path, 0);
    found.captures.sort_by(|one, other| one.path().cmp(other.path()));
    let others = counted(found.others, "file");
    if found.captures.is_empty() {
        found.unread(&path, &format!("no captures in this folder ({others} of other kinds)"));
    } else if found.others > 0 {
        let folder = path.display();
        warn(common, &format!("{folder}: {others} skipped: not captures, by name and by first bytes"));
    }
    names.append(&mut found.captures);
}

/// What is in a folder and its folders.
#[derive(Debug, Default)]
struct Folder {
    captures: Vec<NamedCapture>,
    /// Files that are no captures, links to folders, and what is no file.
    others: u64,
}

impl Folder {
    fn read(&mut self, folder: &Path, depth: usize) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.unread(folder, &error.to_string()),
        };
        if depth == MOST_DEPTH {
            return self.unread(folder, "this folder is too deep in others");
        }
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.unread(folder, &error.to_string()),
            };
            let path = entry.path();
            // A link to a folder may lead back to where it is.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.read(&path, depth + 1);
            } else if is_capture(&path) {
                self.captures.push(NamedCapture::new(path));
            } else {
                self.others += 1;
            }
        }
    }

    /// A folder that cannot be read, or has nothing to read, counts as a capture that cannot: the others go on.
    fn unread(&mut self, folder: &Path, why: &str) {
        self.captures.push(NamedCapture { path: folder.into(), fault: Some(why.to_owned()) });
    }
}

/// Whether a file in a folder is a capture, by its name or else by how it begins. Pipes are not opened.
fn is_capture(path: &Path) -> bool {
    if !path.metadata().is_ok_and(|metadata| metadata.is_file()) {
        // A link to nowhere, with the name of a capture, is a capture that is missed.
        return has_ending(path) && path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
    }
    has_ending(path) || begins_as_capture(path)
}

fn has_ending(path: &Path) -> bool {
    let is_one_of = |path: &Path, endings: &[&str]| {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        endings.iter().any(|other| ending.eq_ignore_ascii_case(other))
    };
    let bare = path.with_extension("");
    is_one_of(path, &ENDINGS) || is_one_of(path, &COMPRESSED) && is_one_of(&bare, &ENDINGS)
}

/// Whether a file begins as a capture does, also as one of a format that only other programs read: that it is not read is
/// an error to be told. So is a file that cannot be opened.
fn begins_as_capture(path: &Path) -> bool {
    match Capture::open(path) {
        Ok(_) | Err(TraceError::Open { .. }) => true,
        Err(TraceError::Foreign { command, .. }) => command.starts_with("editcap"),
        Err(_) => false,
    }
}

/// The names in a list: one a line, or one before each zero byte where there are such, as `find -print0` writes them.
fn listed(list: &str) -> Result<Vec<PathBuf>> {
    let mut bytes = Vec::new();
    let read = match list {
        "-" => io::stdin().lock().take(MOST_LIST + 1).read_to_end(&mut bytes),
        list => File::open(list).and_then(|file| file.take(MOST_LIST + 1).read_to_end(&mut bytes)),
    };
    read.context("the list cannot be read")?;
    if bytes.len() as u64 > MOST_LIST {
        bail!("the list is longer than {}", size(MOST_LIST));
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        bail!("the list is UTF-16: save it as UTF-8");
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let end = if bytes.contains(&0) { 0 } else { b'\n' };
    let lines = bytes.split(|byte| *byte == end).zip(1_u64..);
    let lines = lines.map(|(line, number)| match end {
        b'\n' => (line.strip_suffix(b"\r").unwrap_or(line), number),
        _ => (line, number),
    });
    let named = lines.filter(|(line, _)| !line.is_empty());
    named.map(|(line, number)| path_of_bytes(line).with_context(|| format!("line {number}"))).collect()
}

impl Shard {
    /// Sorts `names`, and gives those of this part.
    pub(crate) fn choose(self, names: &mut [NamedCapture], common: Common) -> Vec<NamedCapture> {
        names.sort_by(|one, other| one.path().cmp(other.path()));
        let part = self.range(names.len());
        if part.is_empty() && !names.is_empty() {
            let captures = counted(names.len() as u64, "capture");
            warn(common, &format!("--shard {}/{}: no capture, of {captures}", self.part, self.parts));
        }
        names[part].to_vec()
    }

    /// The part, from 1, and how many parts there are.
    pub(crate) const fn numbers(self) -> (usize, usize) {
        (self.part, self.parts)
    }

    /// Where this part of `names` names is. The parts of one number of names, one after another, are all of them.
    fn range(self, names: usize) -> std::ops::Range<usize> {
        let bound = |part: u128| (names as u128 * part / self.parts as u128) as usize;
        bound(self.part as u128 - 1)..bound(self.part as u128)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split_once('/').and_then(|(part, parts)| Some((part.parse().ok()?, parts.parse().ok()?)));
        match numbers {
            Some((part, parts)) if (1..=parts).contains(&part) => Ok(Self { part, parts }),
            _ => Err("expected I/N, such as 1/4 to 4/4".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_shard_is_a_part_from_1() {
        for text in ["0/4", "5/4", "1", "1/0", "a/4", "-1/4", "1/4/2", ""] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
        assert_eq!("4/4".parse(), Ok(Shard { part: 4, parts: 4 }));
    }

    #[test]
    fn captures_are_known_by_their_ending_also_when_compressed() {
        for name in ["a.pcap", "a.PCAPNG", "a.cap", "a.pcap.gz", "a.b.pcapng.zst"] {
            assert!(has_ending(Path::new(name)), "{name}");
        }
        for name in ["a.torrent", "pcap", "a.gz", "a.tar.gz", "a.pcap.txt", ".pcap"] {
            assert!(!has_ending(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn lists_have_a_name_a_line_or_zero_bytes_after_names() {
        let names = |bytes: &[u8]| {
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(file.path(), bytes).unwrap();
            listed(file.path().to_str().unwrap()).map_err(|error| format!("{error:#}"))
        };
        let paths = |names: &[&str]| Ok(names.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(names(b"\xef\xbb\xbfa.pcap\r\n\n b \nc"), paths(&["a.pcap", " b ", "c"]));
        assert_eq!(names(b"a\nb\0c\0"), paths(&["a\nb", "c"]));
        assert_eq!(names(b""), paths(&[]));
        assert_eq!(names(b"\xff\xfea\0"), Err("the list is UTF-16: save it as UTF-8".to_owned()));
    }

    proptest! {
        #[test]
        fn the_parts_of_all_names_are_all_of_them(names in 0_usize..1000, parts in 1_usize..50) {
            let ranges: Vec<_> = (1..=parts).map(|part| Shard { part, parts }.range(names)).collect();
            prop_assert_eq!(ranges.iter().cloned().flatten().collect::<Vec<_>>(), (0..names).collect::<Vec<_>>());
            prop_assert!(ranges.iter().all(|range| range.len().abs_diff(names / parts) <= 1));
        }
    }
}
