//! What a torrent asks for and a run does not do, for the summary: counted by reason, with the first name of each.

use std::collections::BTreeMap;
use std::fmt;

/// Why something of a torrent is not stored. The attributes are those of BEP 47.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOutReason {
    /// A link whose target is not a file of the torrent, or a folder that holds no link.
    LinkTarget,
    /// A link at a path that is not safe, that is a folder of other files, or that another file has.
    LinkPath,
    /// Something else has the link's name on disk.
    LinkInTheWay,
    /// The system or the file system has no links, or does not let this user make any.
    LinkUnsupported,
    /// A file that should be executable, where the file system has no such mark.
    Executable,
    /// A file that should be hidden: a file is hidden by its name on some systems, by a mark on others, and neither is
    /// changed.
    Hidden,
}

impl fmt::Display for LeftOutReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LinkTarget => "link, whose target is not a file of the torrent",
            Self::LinkPath => "link, whose path is not safe or is another file's",
            Self::LinkInTheWay => "link, whose name something else has",
            Self::LinkUnsupported => "link, which cannot be made here",
            Self::Executable => "mark as executable, which cannot be set here",
            Self::Hidden => "mark as hidden, which is not set",
        })
    }
}

/// What is not stored, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut(BTreeMap<LeftOutReason, (u64, String)>);

impl LeftOut {
    /// Adds one, by the path that the torrent gives.
    pub(crate) fn add(&mut self, reason: LeftOutReason, path: &str) {
        let (count, _) = self.0.entry(reason).or_insert_with(|| (0, path.to_owned()));
        *count += 1;
    }

    /// Whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each reason, how often it applies, and the path of the first.
    pub fn iter(&self) -> impl Iterator<Item = (LeftOutReason, u64, &str)> {
        self.0.iter().map(|(reason, (count, path))| (*reason, *count, path.as_str()))
    }
}
