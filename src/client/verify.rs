//! What of a torrent is on disk before a run begins: every piece whose bytes are all there is hashed.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;

use bittrace_protocol::wire::PieceSet;
use bittrace_protocol::{Metainfo, PieceIndex};
use sha1::{Digest, Sha1};

use crate::Error;
use crate::files::{Files, Stands};
use crate::folder::{PathEntry, Replace};
use crate::journal::Remembered;
use crate::layout::PART_SUFFIX;
use crate::os;
use crate::storage::missing_pieces;

/// What is made of the work of earlier runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Resume {
    /// What is on disk is hashed, and what is right is kept.
    #[default]
    Verify,
    /// What the state file says is believed.
    Trust,
    /// All is fetched again.
    Ignore,
}

/// How the bytes on disk compare with the torrent.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) verified: PieceSet,
    /// Pieces that an earlier run had verified and that are not right any longer.
    pub(crate) damaged: Vec<PieceIndex>,
    /// Files that were given their final name now.
    pub(crate) finished: Vec<usize>,
}

/// What a survey is told.
pub(crate) struct Surveyor<'a> {
    pub(crate) files: &'a Files,
    pub(crate) metainfo: &'a Metainfo,
    pub(crate) remembered: &'a Remembered,
    pub(crate) resume: Resume,
    pub(crate) replace: Replace,
    /// Set to give up.
    pub(crate) stop: &'a AtomicBool,
    /// Told how many bytes of how many are hashed.
    pub(crate) progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// What stands where a file belongs.
#[derive(Debug, Clone, Copy)]
struct Standing {
    finished: PathEntry,
    part: PathEntry,
    /// How many bytes can be read of what is taken for it.
    length: Option<u64>,
}

impl Surveyor<'_> {
    /// Looks at all files, hashes what may be right, and sees to it that nothing stands in the way of the rest.
    pub(crate) fn run(&self) -> Result<Survey, Error> {
        let standing =
            (0..self.files.layout.places.len()).map(|file| self.look(file)).collect::<Result<Vec<_>, _>>()?;
        let verified = match self.resume {
            Resume::Ignore => PieceSet::none(self.remembered.verified.total()),
            Resume::Trust => self.believe(&standing),
            Resume::Verify => self.verify(&standing),
        };
        let mut finished = Vec::new();
        if self.stop.load(Ordering::Relaxed) {
            // Not all was looked at: nothing can be said of the rest.
            return Ok(Survey { verified, damaged: Vec::new(), finished });
        }
        let missing = missing_pieces(self.files, &verified);
        // Whatever stands in the way is found before anything is changed.
        for (file, standing) in standing.iter().enumerate() {
            self.check(file, standing, &missing, &verified)?;
        }
        for (file, standing) in standing.iter().enumerate() {
            if self.settle(file, standing, missing[file])? {
                finished.push(file);
            }
        }
        let damaged = match self.resume {
            Resume::Verify => {
                self.remembered.verified.iter().filter(|&piece| !verified.contains(piece)).collect()
            }
            _ => Vec::new(),
        };
        Ok(Survey { verified, damaged, finished })
    }

    fn look(&self, file: usize) -> Result<Standing, Error> {
        let Some(path) = self.files.path(file) else {
            return Ok(Standing { finished: PathEntry::Nothing, part: PathEntry::Nothing, length: None });
        };
        let finished = self.files.folder.look(path, "")?;
        let part = self.files.folder.look(path, PART_SUFFIX)?;
        for (found, suffix) in [(finished, ""), (part, PART_SUFFIX)] {
            if found == PathEntry::Other {
                return Err(Error::Exists { path: self.files.folder.shown(path, suffix) });
            }
        }
        let wanted = self.files.layout.places[file].length;
        let (length, is_finished) = match (finished, part) {
            (PathEntry::File(length), PathEntry::Nothing) if length == wanted => (Some(length), true),
            (PathEntry::File(length), PathEntry::File(_)) if length == wanted && !self.remembered.ours => {
                (Some(length), true)
            }
            (_, PathEntry::File(length)) => (Some(length), false),
            _ => (None, false),
        };
        let stands = match part {
            _ if is_finished => Stands::Finished,
            PathEntry::File(_) => Stands::Unfinished,
            PathEntry::Nothing | PathEntry::Other => Stands::Nothing,
        };
        self.files.set_stands(file, stands);
        Ok(Standing { finished, part, length })
    }

    fn believe(&self, standing: &[Standing]) -> PieceSet {
        let mut believed = PieceSet::none(self.remembered.verified.total());
        for piece in self.remembered.verified.iter().filter(|&piece| self.is_there(piece, standing)) {
            believed.insert(piece);
        }
        believed
    }

    /// Whether every byte of a piece can be read.
    fn is_there(&self, piece: PieceIndex, standing: &[Standing]) -> bool {
        self.files.geometry.piece_files(piece).iter().all(|range| {
            self.files.path(range.file).is_none()
                || standing[range.file].length.is_some_and(|length| range.bytes.end <= length)
        })
    }

    fn verify(&self, standing: &[Standing]) -> PieceSet {
        let count = self.remembered.verified.total();
        let candidates: Vec<_> =
            (0..count).map(PieceIndex).filter(|&piece| self.is_there(piece, standing)).collect();
        let sizes = candidates.iter().filter_map(|&piece| self.files.geometry.piece_size(piece));
        let total = sizes.map(u64::from).sum();
        let (next, done) = (AtomicU32::new(0), AtomicU64::new(0));
        let verified = Mutex::new(PieceSet::none(count));
        let work = || {
            let mut buffer = vec![0; READ];
            while !self.stop.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(&piece) = candidates.get(number as usize) else { break };
                let Some(span) = self.files.geometry.piece_span(piece) else { continue };
                let right = (self.remembered.verified.contains(piece) || !self.is_hollow(piece))
                    && self.hash(span.clone(), &mut buffer) == self.metainfo.piece_hash(piece);
                if right && let Ok(mut verified) = verified.lock() {
                    verified.insert(piece);
                }
                let length = span.end - span.start;
                (self.progress)(done.fetch_add(length, Ordering::Relaxed) + length, total);
            }
        };
        thread::scope(|scope| {
            scope.spawn(work);
            work();
        });
        verified.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether a piece was never written: where a file has no data yet, there is nothing to hash.
    fn is_hollow(&self, piece: PieceIndex) -> bool {
        self.files.geometry.piece_files(piece).iter().any(|range| {
            if self.files.path(range.file).is_none() || self.files.suffix(range.file).is_empty() {
                return false;
            }
            let Ok(file) = self.files.reader(range.file) else { return false };
            os::is_hole(&file, range.bytes.clone())
        })
    }

    fn hash(&self, span: Range<u64>, buffer: &mut [u8]) -> Option<[u8; 20]> {
        let mut hash = Sha1::new();
        let mut at = span.start;
        while at < span.end {
            let count = usize::try_from(span.end - at).unwrap_or(usize::MAX).min(buffer.len());
            self.files.read(at..at + count as u64, &mut buffer[..count]).ok()?;
            hash.update(&buffer[..count]);
            at += count as u64;
        }
        Some(hash.finalize().into())
    }

    /// Whether a file is in the way that is not ours to change.
    fn check(
        &self,
        file: usize,
        standing: &Standing,
        missing: &[u32],
        verified: &PieceSet,
    ) -> Result<(), Error> {
        let Some(path) = self.files.path(file) else { return Ok(()) };
        if self.replace == Replace::Always {
            return Ok(());
        }
        let in_the_way = |suffix| Err(Error::Exists { path: self.files.folder.shown(path, suffix) });
        let wanted = self.files.layout.places[file].length;
        let is_finished = self.files.suffix(file).is_empty();
        if wanted == 0 {
            return if matches!(standing.finished, PathEntry::File(1..)) { in_the_way("") } else { Ok(()) };
        }
        let pieces = self.files.geometry.pieces_of(file);
        if matches!(standing.finished, PathEntry::File(_)) {
            // It was finished once, or all of it but what it shares with other files is right: then those are what is
            // missing.
            let was_ours = pieces.clone().all(|piece| self.remembered.verified.contains(PieceIndex(piece)));
            let fits = is_finished
                && self.resume != Resume::Ignore
                && (missing[file] == 0 || was_ours || self.is_right_within(file, verified));
            if !fits {
                return in_the_way("");
            }
        }
        if matches!(standing.part, PathEntry::File(1..)) && !self.remembered.ours {
            let some_right = pieces.clone().any(|piece| verified.contains(PieceIndex(piece)));
            if !some_right {
                return in_the_way(PART_SUFFIX);
            }
        }
        Ok(())
    }

    /// Whether every piece that lies in this file alone is right, and there is one.
    fn is_right_within(&self, file: usize, verified: &PieceSet) -> bool {
        let alone = |&piece: &PieceIndex| self.files.geometry.piece_files(piece).len() == 1;
        let mut pieces = self.files.geometry.pieces_of(file).map(PieceIndex).filter(alone).peekable();
        pieces.peek().is_some() && pieces.all(|piece| verified.contains(piece))
    }

    /// Brings a file's name in line with what is right of it; whether it became finished.
    fn settle(&self, file: usize, standing: &Standing, missing: u32) -> Result<bool, Error> {
        let Some(path) = self.files.path(file) else { return Ok(false) };
        if self.files.layout.places[file].length == 0 {
            match standing.finished {
                PathEntry::File(0) => return Ok(false),
                PathEntry::File(_) => self.files.folder.remove(path, "")?,
                PathEntry::Nothing | PathEntry::Other => {}
            }
            self.files.folder.create_empty(path)?;
            return Ok(true);
        }
        if self.resume == Resume::Ignore {
            self.files.set_stands(file, Stands::Nothing);
            self.files.folder.remove(path, PART_SUFFIX)?;
            return Ok(false);
        }
        let is_finished = self.files.suffix(file).is_empty();
        match (standing.length.is_some(), missing == 0) {
            (true, true) if !is_finished => {
                self.files.finish(file, self.replace)?;
                return Ok(true);
            }
            // Never written to under its final name.
            (true, false) if is_finished => self.files.reopen(file)?,
            _ => {}
        }
        Ok(false)
    }
}

const READ: usize = 256 * 1024;
