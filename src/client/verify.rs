//! What of a torrent is on disk before a run begins: every piece whose bytes are all there is hashed.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;

use bittrace_protocol::PieceIndex;
use bittrace_protocol::metainfo::PieceVerdict;
use bittrace_protocol::wire::PieceSet;

use crate::Error;
use crate::files::{Files, Stands};
use crate::folder::{FolderSurvey, PathEntry, Replace};
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
    /// Whether files were made, renamed or removed.
    pub(crate) changed: bool,
}

/// What a survey is told.
pub(crate) struct Surveyor<'a> {
    pub(crate) files: &'a Files,
    pub(crate) remembered: &'a Remembered,
    pub(crate) resume: Resume,
    pub(crate) replace: Replace,
    /// Whether finished files with wrong pieces are repaired.
    pub(crate) repair: bool,
    /// What says that nothing can be written, and why; then all must be there.
    pub(crate) read_only: Option<(PathBuf, io::Error)>,
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

impl Standing {
    const NOTHING: Self = Self { finished: PathEntry::Nothing, part: PathEntry::Nothing, length: None };
}

impl Surveyor<'_> {
    /// Looks at all files, hashes what may be right, and sees to it that nothing stands in the way of the rest. When the run
    /// is given up meanwhile, it says what it knows by then.
    pub(crate) fn run(mut self) -> Result<Survey, Error> {
        let none = || PieceSet::none(self.remembered.verified.total());
        let nothing =
            |verified| Survey { verified, damaged: Vec::new(), finished: Vec::new(), changed: false };
        let Some(standing) = self.look_at_all()? else { return Ok(nothing(none())) };
        let verified = match self.resume {
            Resume::Ignore => none(),
            Resume::Trust => self.believe(&standing),
            Resume::Verify => self.verify(&standing),
        };
        let missing = missing_pieces(self.files, &verified);
        if let Some((path, source)) = self.read_only.take() {
            let is_finished = |(file, standing): (usize, &Standing)| {
                !self.files.is_stored(file) || standing.length.is_some() && self.files.suffix(file).is_empty()
            };
            if verified.is_all() && standing.iter().enumerate().all(is_finished) || self.files.is_given_up() {
                return Ok(nothing(verified));
            }
            let pieces = verified.total();
            return Err(Error::ReadOnly { path, missing: pieces - verified.count(), pieces, source });
        }
        let wrong = self.wrong(&standing, &verified);
        // Whatever stands in the way is found before anything is changed.
        for (file, standing) in standing.iter().enumerate() {
            if self.files.is_given_up() {
                // Not all was looked at: nothing can be said of the rest.
                return Ok(nothing(verified));
            }
            self.check(file, standing, &missing, &verified, &wrong)?;
        }
        let (finished, changed) = self.settle_all(&standing, &missing)?;
        let damaged = match self.resume {
            Resume::Verify => {
                self.remembered.verified.iter().filter(|&piece| !verified.contains(piece)).collect()
            }
            _ => Vec::new(),
        };
        Ok(Survey { verified, damaged, finished, changed })
    }

    /// What stands where each file belongs; `None` where the run was given up.
    fn look_at_all(&self) -> Result<Option<Vec<Standing>>, Error> {
        let mut standing = vec![Standing::NOTHING; self.files.layout.places.len()];
        // Folder by folder, since most of the time goes into opening folders.
        let mut order: Vec<usize> = (0..standing.len()).collect();
        let folder_of = |file: usize| {
            self.files.layout.places[file]
                .path
                .as_deref()
                .and_then(|path| path.rsplit_once('/'))
                .map(|(folder, _)| folder)
        };
        order.sort_by_key(|&file| folder_of(file));
        let mut survey = self.files.folder.survey();
        for file in order {
            if self.files.is_given_up() {
                return Ok(None);
            }
            standing[file] = self.look(file, &mut survey)?;
        }
        Ok(Some(standing))
    }

    fn look(&self, file: usize, survey: &mut FolderSurvey<'_>) -> Result<Standing, Error> {
        let Some(path) = self.files.path(file) else { return Ok(Standing::NOTHING) };
        let finished = survey.look(&path, "")?;
        let part = survey.look(&path, PART_SUFFIX)?;
        for (found, suffix) in [(finished, ""), (part, PART_SUFFIX)] {
            if found == PathEntry::Other {
                return Err(Error::Exists { path: self.files.folder.shown(&path, suffix) });
            }
        }
        let wanted = self.files.layout.places[file].length;
        let (length, is_finished) = match (finished, part) {
            (PathEntry::File(length), PathEntry::Nothing) if length == wanted => (Some(length), true),
            (PathEntry::File(length), PathEntry::File(_)) if length == wanted && !self.remembered.ours => {
                (Some(length), true)
            }
            (_, PathEntry::File(length)) => (Some(length), false),
            // A file that was cut short is repaired as well.
            (PathEntry::File(length), PathEntry::Nothing) if self.repair && wanted > 0 => {
                (Some(length), true)
            }
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
            !self.files.is_stored(range.file)
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
            while !self.files.is_given_up() {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(&piece) = candidates.get(number as usize) else { break };
                let Some(span) = self.files.geometry.piece_span(piece) else { continue };
                let right = (self.remembered.verified.contains(piece) || !self.is_hollow(piece))
                    && self.is_right(piece, span.clone(), &mut buffer);
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
            if !self.files.is_stored(range.file) || self.files.suffix(range.file).is_empty() {
                return false;
            }
            let Ok(file) = self.files.reader(range.file) else { return false };
            os::is_hole(&file, range.bytes.clone())
        })
    }

    /// Whether a piece can be read, and has the hashes of the torrent.
    fn is_right(&self, piece: PieceIndex, span: Range<u64>, buffer: &mut [u8]) -> bool {
        let torrent = &self.files.torrent;
        let mut digester = torrent.digester(piece);
        let mut at = span.start;
        while at < span.end {
            let count = usize::try_from(span.end - at).unwrap_or(usize::MAX).min(buffer.len());
            if !self.files.read(at..at + count as u64, &mut buffer[..count]).unwrap_or(false) {
                return false;
            }
            digester.update(&buffer[..count]);
            at += count as u64;
        }
        torrent.judge(piece, &digester.finish()) == PieceVerdict::Right
    }

    /// Whether a file is in the way that is not ours to change.
    fn check(
        &self,
        file: usize,
        standing: &Standing,
        missing: &[u32],
        verified: &PieceSet,
        wrong: &PieceSet,
    ) -> Result<(), Error> {
        if !self.files.is_stored(file) || self.replace == Replace::Always {
            return Ok(());
        }
        let shown = |suffix| self.files.folder.shown(&self.files.path(file).unwrap_or_default(), suffix);
        let in_the_way = |suffix| Err(Error::Exists { path: shown(suffix) });
        let wanted = self.files.layout.places[file].length;
        let is_finished = self.files.suffix(file).is_empty();
        if wanted == 0 {
            return if matches!(standing.finished, PathEntry::File(1..)) { in_the_way("") } else { Ok(()) };
        }
        let pieces = self.files.geometry.pieces_of(file);
        if matches!(standing.finished, PathEntry::File(_)) {
            let has_length = standing.finished == PathEntry::File(wanted);
            let some_right = || pieces.clone().any(|piece| verified.contains(PieceIndex(piece)));
            let wrong = pieces.clone().map(PieceIndex).find(|&piece| wrong.contains(piece));
            // A file without a wrong piece was finished once, or all of it is right but what it shares with files that
            // are not there.
            let was_ours =
                || pieces.clone().all(|piece| self.remembered.verified.contains(PieceIndex(piece)));
            let is_right =
                missing[file] == 0 || wrong.is_none() && (was_ours() || self.is_right_within(file, verified));
            let is_repaired = self.repair && (has_length || some_right());
            let is_kept = is_finished && self.resume != Resume::Ignore;
            if !is_kept || !(is_right || is_repaired) {
                return match wrong.filter(|_| is_kept && has_length && (some_right() || was_ours())) {
                    Some(piece) => Err(Error::Damaged { path: shown(""), piece: piece.0 }),
                    None => in_the_way(""),
                };
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

    /// The pieces that are not right although all their files are there under their final names: these files, or some of
    /// them, were changed later.
    fn wrong(&self, standing: &[Standing], verified: &PieceSet) -> PieceSet {
        let mut wrong = PieceSet::none(verified.total());
        let is_finished = |file: usize| !self.files.is_stored(file) || self.files.suffix(file).is_empty();
        for piece in (0..verified.total()).map(PieceIndex).filter(|&piece| !verified.contains(piece)) {
            if self.is_there(piece, standing)
                && self.files.geometry.piece_files(piece).iter().all(|range| is_finished(range.file))
            {
                wrong.insert(piece);
            }
        }
        wrong
    }

    /// Whether every piece that lies in this file alone is right, and there is one.
    fn is_right_within(&self, file: usize, verified: &PieceSet) -> bool {
        let start = self.files.geometry.file_start(file).unwrap_or(0);
        let end = start + self.files.layout.places[file].length;
        let is_alone = |&piece: &PieceIndex| {
            let span = self.files.geometry.piece_span(piece);
            span.is_some_and(|span| start <= span.start && span.end <= end)
        };
        let mut pieces = self.files.geometry.pieces_of(file).map(PieceIndex).filter(is_alone).peekable();
        pieces.peek().is_some() && pieces.all(|piece| verified.contains(piece))
    }

    /// Brings the files' names in line with what is right of each; which became finished, and whether anything changed. When the
    /// run is given up, the rest keep their names.
    fn settle_all(&self, standing: &[Standing], missing: &[u32]) -> Result<(Vec<usize>, bool), Error> {
        let (mut whole, mut changed) = (Vec::new(), false);
        for (file, standing) in standing.iter().enumerate() {
            if self.files.is_given_up() {
                return Ok((Vec::new(), changed));
            }
            // A file without bytes is made when everything else is there.
            if !self.files.is_stored(file) || self.files.is_empty(file) {
                continue;
            }
            if self.resume == Resume::Ignore {
                self.files.set_stands(file, Stands::Nothing);
                if standing.part != PathEntry::Nothing {
                    let path = self.files.path(file).unwrap_or_default();
                    self.files.folder.remove(&path, PART_SUFFIX)?;
                    changed = true;
                }
                continue;
            }
            let is_finished = self.files.suffix(file).is_empty();
            match (standing.length.is_some(), missing[file] == 0) {
                (true, true) if !is_finished => whole.push(file),
                // Never written to under its final name.
                (true, false) if is_finished => {
                    self.files.reopen(file)?;
                    changed = true;
                }
                _ => {}
            }
        }
        let finished = Mutex::new(Vec::new());
        let tell = |file| {
            if let Ok(mut finished) = finished.lock() {
                finished.push(file);
            }
        };
        self.files.finish_all(&whole, self.replace, &tell)?;
        let finished = finished.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        changed |= !finished.is_empty();
        Ok((finished, changed))
    }
}

const READ: usize = 256 * 1024;
