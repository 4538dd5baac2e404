//! Where a torrent's links go (BEP 47, "Symlinks"): to files of the torrent, and to folders of it that hold no link.
//!
//! So no link leads out of the torrent's folder, to another link, or around in a circle. Links get their places after
//! all files, and are made after all files: nothing is ever written through a link.

use std::collections::{BTreeSet, HashMap};

use bittrace_protocol::Metainfo;
use bittrace_protocol::metainfo::Name;

use super::{Folders, Layout};
use crate::left_out::LeftOutReason;

/// A link, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkPlace {
    /// Its number among the files of the torrent.
    pub file: usize,
    /// The parts of its own path below the output folder.
    pub path: Vec<String>,
    /// The parts of the path of its target below the output folder.
    pub target: Vec<String>,
}

impl LinkPlace {
    /// The target as the link states it: from the folder that the link is in, with slashes.
    pub fn text(&self) -> String {
        let folder = &self.path[..self.path.len().saturating_sub(1)];
        let shared = folder.iter().zip(&self.target).take_while(|(one, other)| one == other).count();
        let up = std::iter::repeat_n("..", folder.len() - shared);
        let parts: Vec<_> = up.chain(self.target[shared..].iter().map(String::as_str)).collect();
        parts.join("/")
    }
}

/// Finds places for the links of a torrent of several files.
pub(super) fn place(metainfo: &Metainfo, folders: &mut Folders, top: usize, layout: &mut Layout) {
    let targets = Targets::new(metainfo, layout);
    let mut links = Vec::new();
    for (number, file) in metainfo.files.iter().enumerate().filter(|(_, file)| file.is_symlink()) {
        let Some(target) = file.symlink.as_deref().and_then(|target| targets.find(target)) else {
            layout.left_out.add(LeftOutReason::LinkTarget, &file.path_text());
            continue;
        };
        match folders.exact(top, &layout.root, &file.path) {
            Some(path) => links.push(LinkPlace { file: number, path, target }),
            None => layout.left_out.add(LeftOutReason::LinkPath, &file.path_text()),
        }
    }
    // The folders on the way to every link, so that a link to one of these is left out.
    let around: BTreeSet<Vec<String>> = links
        .iter()
        .flat_map(|link| (1..link.path.len()).map(|length| link.path[..length].to_vec()))
        .collect();
    for link in links {
        match around.contains(&link.target) {
            true => layout.left_out.add(LeftOutReason::LinkTarget, &metainfo.files[link.file].path_text()),
            false => layout.links.push(link),
        }
    }
}

/// The files of a torrent and the folders around these, by what the torrent calls them.
struct Targets<'m>(HashMap<&'m [Name], Vec<String>>);

impl<'m> Targets<'m> {
    fn new(metainfo: &'m Metainfo, layout: &Layout) -> Self {
        let wanted: BTreeSet<&[Name]> =
            metainfo.files.iter().filter_map(|file| file.symlink.as_deref()).collect();
        let mut found = HashMap::new();
        for (file, place) in metainfo.files.iter().zip(&layout.places) {
            let Some(stored) = place.parts() else { continue };
            // A path that was cut short has other folders.
            if stored.len() != file.path.len() + 1 {
                continue;
            }
            for length in 1..=file.path.len() {
                let name = &file.path[..length];
                // Of two files of one name the first has that name on disk.
                if wanted.contains(name) {
                    found.entry(name).or_insert_with(|| stored[..=length].to_vec());
                }
            }
        }
        Self(found)
    }

    fn find(&self, target: &[Name]) -> Option<Vec<String>> {
        self.0.get(target).filter(|_| target.iter().all(Name::is_safe)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The path and the text of each link that is made, and how many are left out why.
    type Links = (Vec<(String, String)>, Vec<(LeftOutReason, u64)>);

    /// What becomes of the links of a torrent of these files: a path, and where it leads if it is a link.
    fn layout(files: &[(&str, Option<&str>)]) -> Links {
        let list =
            |path: &str| -> String { path.split('/').map(|part| format!("{}:{part}", part.len())).collect() };
        let mut info = "d5:filesl".to_owned();
        for (path, target) in files {
            info += &match target {
                None => format!("d6:lengthi1e4:pathl{}ee", list(path)),
                Some(target) => format!("d4:attr1:l4:pathl{}e12:symlink pathl{}ee", list(path), list(target)),
            };
        }
        info += "e4:name3:top12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae";
        let layout = Layout::new(&Metainfo::decode_info(info.as_bytes()).unwrap());
        let links = layout.links.iter().map(|link| (link.path.join("/"), link.text())).collect();
        (links, layout.left_out.iter().map(|(reason, count, _)| (reason, count)).collect())
    }

    fn made(path: &str, text: &str) -> (String, String) {
        (path.to_owned(), text.to_owned())
    }

    #[test]
    fn links_lead_to_files_and_folders_of_the_torrent() {
        let files = [
            ("a/b/file", None),
            ("near", Some("a/b/file")),
            ("x/y/far", Some("a/b/file")),
            ("a/side", Some("a/b/file")),
            ("folder", Some("a/b")),
        ];
        let wanted = [
            made("top/near", "a/b/file"),
            made("top/x/y/far", "../../a/b/file"),
            made("top/a/side", "b/file"),
            made("top/folder", "a/b"),
        ];
        assert_eq!(layout(&files), (wanted.to_vec(), Vec::new()));
    }

    #[test]
    fn links_that_lead_elsewhere_are_left_out() {
        use LeftOutReason::LinkTarget;
        for target in
            ["..", "../x", "f/../f", "/etc/passwd", "", ".", "./f", "missing", "f/x", "l", "m", "..\\x"]
        {
            let files = [("f", None), ("l", Some(target)), ("m", Some("f"))];
            let (links, left_out) = layout(&files);
            assert_eq!(links, [made("top/m", "f")], "{target}");
            assert_eq!(left_out, [(LinkTarget, 1)], "{target}");
        }
    }

    #[test]
    fn chains_and_circles_are_left_out() {
        use LeftOutReason::LinkTarget;
        let circles: [&[(&str, Option<&str>)]; 4] = [
            &[("f", None), ("a", Some("b")), ("b", Some("a"))],
            &[("f", None), ("a", Some("a"))],
            &[("d/f", None), ("d/l", Some("d"))],
            &[("d/f", None), ("e/f", None), ("d/l", Some("e")), ("e/l", Some("d"))],
        ];
        for files in circles {
            let (links, left_out) = layout(files);
            assert!(links.is_empty() && matches!(left_out[..], [(LinkTarget, 1..)]), "{files:?}: {links:?}");
        }
    }

    #[test]
    fn a_link_never_takes_the_name_of_a_file_or_of_a_folder_of_files() {
        use LeftOutReason::LinkPath;
        let paths = ["f", "F", "d", "D", "f/x", "f.part", "..", "a/../b", "CON", "x:y", "D/f"];
        for path in paths {
            for link_first in [true, false] {
                let mut files = vec![("f", None), ("d/f", None)];
                files.insert(if link_first { 0 } else { 2 }, (path, Some("d/f")));
                assert_eq!(layout(&files), (Vec::new(), vec![(LinkPath, 1)]), "{path}");
            }
        }
    }
}
