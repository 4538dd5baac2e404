//! What of a torrent is on disk before a run begins: every piece whose bytes are all there is hashed.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;

use bittrace_protocol::PieceIndex;
use bittrace_protocol::geometry::FileRange;
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

/// Reads bytes of a piece from where it is kept.
type ReadPiece = fn(&Files, Range<u64>, &mut [u8]) -> Result<bool, Error>;

/// Which pieces are right.
struct Found {
    verified: PieceSet,
    /// Those of them that are not in the files, or not all of them, and were kept apart.
    kept_apart: PieceSet,
    /// Those that are right where they are kept apart, while a finished file has other bytes of them.
    changed: PieceSet,
}

impl Found {
    fn nothing(piece_count: u32) -> Self {
        let none = || PieceSet::none(piece_count);
        Self { verified: none(), kept_apart: none(), changed: none() }
    }

    fn insert(&mut self, piece: PieceIndex) {
        self.verified.insert(piece);
    }

    fn insert_kept_apart(&mut self, piece: PieceIndex) {
        self.verified.insert(piece);
        self.kept_apart.insert(piece);
    }
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
        let count = self.remembered.verified.total();
        let nothing =
            |verified| Survey { verified, damaged: Vec::new(), finished: Vec::new(), changed: false };
        let Some(mut standing) = self.look_at_all()? else { return Ok(nothing(PieceSet::none(count))) };
        let Found { verified, kept_apart, changed } = match self.resume {
            Resume::Ignore => Found::nothing(count),
            Resume::Trust => self.believe(&standing),
            Resume::Verify => self.verify(&standing),
        };
        if let Some((path, source)) = self.read_only.take() {
            if self.files.is_given_up() {
                return Ok(nothing(verified));
            }
            let is_finished = |(file, standing): (usize, &Standing)| {
                !self.files.is_wanted(file) || standing.length.is_some() && self.files.suffix(file).is_empty()
            };
            let wanted = self.files.chosen.pieces(&self.files.torrent);
            let missing = wanted.iter().filter(|&piece| !verified.contains(piece)).count() as u32;
            if missing > 0 || !standing.iter().enumerate().all(is_finished) {
                return Err(Error::ReadOnly { path, missing, pieces: wanted.count(), source });
            }
            // In memory alone, as nothing can be written: what the files have is right.
            let kept = self.files.shared_pieces.pieces().into_iter();
            kept.filter(|&piece| !kept_apart.contains(piece)).for_each(|piece| {
                self.files.shared_pieces.forget(piece);
            });
            return Ok(nothing(verified));
        }
        let missing = missing_pieces(self.files, &verified);
        let wrong = self.wrong(&standing, &verified, &changed);
        // Whatever stands in the way is found before anything is changed.
        for (file, standing) in standing.iter().enumerate() {
            if self.files.is_given_up() {
                // Not all was looked at: nothing can be said of the rest.
                return Ok(nothing(verified));
            }
            self.check(file, standing, &missing, &verified, &wrong)?;
        }
        self.adopt(&kept_apart, &mut standing)?;
        let (finished, changed) = self.settle_all(&standing, &missing)?;
        self.keep_apart_only(&kept_apart)?;
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
        let is_wanted = self.files.is_wanted(file);
        let mut look = |suffix| match survey.look(&path, suffix) {
            // Nothing is read or written there.
            Err(_) if !is_wanted => Ok(PathEntry::Other),
            found => found,
        };
        let (finished, part) = (look("")?, look(PART_SUFFIX)?);
        for (found, suffix) in [(finished, ""), (part, PART_SUFFIX)] {
            if found == PathEntry::Other && is_wanted {
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
            (PathEntry::File(length), PathEntry::Nothing) if self.repair && wanted > 0 && is_wanted => {
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

    fn believe(&self, standing: &[Standing]) -> Found {
        let mut found = Found::nothing(self.remembered.verified.total());
        for piece in self.remembered.verified.iter() {
            // A file that is long enough may have a hole there: what is kept apart is whole.
            if self.files.shared_pieces.has(piece) {
                found.insert_kept_apart(piece);
            } else if self.is_there(piece, standing) {
                found.insert(piece);
            }
        }
        found
    }

    /// Whether every byte of a piece can be read.
    fn is_there(&self, piece: PieceIndex, standing: &[Standing]) -> bool {
        self.files.geometry.piece_files(piece).iter().all(|range| {
            !self.files.is_stored(range.file)
                || standing[range.file].length.is_some_and(|length| range.bytes.end <= length)
        })
    }

    fn verify(&self, standing: &[Standing]) -> Found {
        let count = self.remembered.verified.total();
        let candidates: Vec<_> =
            (0..count).map(PieceIndex).filter(|&piece| self.can_be_read(piece, standing)).collect();
        let sizes = candidates.iter().filter_map(|&piece| self.files.geometry.piece_size(piece));
        let total = sizes.map(u64::from).sum();
        let (next, done) = (AtomicU32::new(0), AtomicU64::new(0));
        let found = Mutex::new(Found::nothing(count));
        let work = || {
            let mut buffer = vec![0; READ];
            while !self.files.is_given_up() {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(&piece) = candidates.get(number as usize) else { break };
                let Some(span) = self.files.geometry.piece_span(piece) else { continue };
                let in_files = self.is_there(piece, standing)
                    && (self.remembered.verified.contains(piece) || !self.is_hollow(piece))
                    && self.is_right(piece, span.clone(), &mut buffer, Files::read_files);
                let is_kept = !in_files
                    && self.files.shared_pieces.has(piece)
                    && self.is_right(piece, span.clone(), &mut buffer, Files::read_shared);
                let fits = is_kept && self.fits(piece, standing, &mut buffer);
                if let Ok(mut found) = found.lock() {
                    if in_files {
                        found.insert(piece);
                    } else if fits {
                        found.insert_kept_apart(piece);
                    } else if is_kept {
                        found.changed.insert(piece);
                    }
                }
                let length = span.end - span.start;
                (self.progress)(done.fetch_add(length, Ordering::Relaxed) + length, total);
            }
        };
        thread::scope(|scope| {
            scope.spawn(work);
            work();
        });
        found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether a piece can be read, from the files or where it is kept apart from them.
    fn can_be_read(&self, piece: PieceIndex, standing: &[Standing]) -> bool {
        self.is_there(piece, standing) || self.files.shared_pieces.has(piece)
    }

    /// Whether what is kept apart of a piece is what finished files have of it, which are not written to.
    fn fits(&self, piece: PieceIndex, standing: &[Standing], buffer: &mut [u8]) -> bool {
        let is_finished = |file| self.files.is_wanted(file) && self.files.suffix(file).is_empty();
        let ranges = self.files.geometry.piece_files(piece);
        ranges.into_iter().filter(|range| is_finished(range.file)).all(|range| {
            standing[range.file].length.is_some_and(|length| range.bytes.end <= length)
                && matches!(
                    self.each_part_kept_apart(&range, buffer, |kept, start| {
                        let mut found = vec![0; kept.len()];
                        let file = self.files.reader(range.file)?;
                        Ok(os::read_exact_at(&file, &mut found, start).is_ok() && found == kept)
                    }),
                    Ok(true)
                )
        })
    }

    /// Reads what is kept apart of a file, part by part: bytes, and where they begin in the file. Whether `act` wants all.
    fn each_part_kept_apart(
        &self,
        range: &FileRange,
        buffer: &mut [u8],
        mut act: impl FnMut(&[u8], u64) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        let file_start = self.files.geometry.file_start(range.file).unwrap_or(0);
        let mut at = range.bytes.start;
        while at < range.bytes.end {
            let count = usize::try_from(range.bytes.end - at).unwrap_or(usize::MAX).min(buffer.len());
            let span = file_start + at..file_start + at + count as u64;
            if !self.files.read_shared(span, &mut buffer[..count])? || !act(&buffer[..count], at)? {
                return Ok(false);
            }
            at += count as u64;
        }
        Ok(true)
    }

    /// Gives files that are wanted now their bytes of pieces that earlier runs kept apart, because these files were not wanted then.
    fn adopt(&self, kept_apart: &PieceSet, standing: &mut [Standing]) -> Result<(), Error> {
        let mut buffer = vec![0; READ];
        let mut written = BTreeSet::new();
        for piece in kept_apart.iter() {
            for range in self.files.geometry.piece_files(piece) {
                let is_open = self.files.is_wanted(range.file)
                    && (standing[range.file].length.is_none() || !self.files.suffix(range.file).is_empty());
                if !is_open || self.files.is_given_up() {
                    continue;
                }
                self.each_part_kept_apart(&range, &mut buffer, |bytes, start| {
                    self.files.write_file(range.file, start, bytes).map(|()| true)
                })?;
                written.insert(range.file);
            }
        }
        for file in written {
            // Nothing is forgotten then.
            if self.files.is_given_up() {
                return Ok(());
            }
            standing[file].length.get_or_insert(self.files.layout.places[file].length);
            // What was kept apart is forgotten next.
            os::sync_content(&*self.files.reader(file)?).map_err(|source| {
                let path = self.files.folder.shown(&self.files.path(file).unwrap_or_default(), PART_SUFFIX);
                Error::File { action: "write", path, source }
            })?;
        }
        Ok(())
    }

    /// Keeps those pieces apart from the files that are right there, and lie in a file that is not wanted.
    fn keep_apart_only(&self, kept_apart: &PieceSet) -> Result<(), Error> {
        if self.files.is_given_up() {
            return Ok(());
        }
        let is_unwanted =
            |range: &FileRange| self.files.is_stored(range.file) && !self.files.is_wanted(range.file);
        let wanted = self.files.chosen.pieces(&self.files.torrent);
        for piece in self.files.shared_pieces.pieces() {
            // What a run anew does not fetch stays for later runs, which hash it.
            if self.resume == Resume::Ignore && !wanted.contains(piece) {
                continue;
            }
            let files = self.files.geometry.piece_files(piece);
            if !kept_apart.contains(piece) || !files.iter().any(is_unwanted) {
                self.files.shared_pieces.forget(piece);
            }
        }
        self.files.shared_pieces.remove_if_empty()
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
    fn is_right(&self, piece: PieceIndex, span: Range<u64>, buffer: &mut [u8], read: ReadPiece) -> bool {
        let torrent = &self.files.torrent;
        let mut digester = torrent.digester(piece);
        let mut at = span.start;
        while at < span.end {
            let count = usize::try_from(span.end - at).unwrap_or(usize::MAX).min(buffer.len());
            if !read(self.files, at..at + count as u64, &mut buffer[..count]).unwrap_or(false) {
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
            let is_in_the_way =
                self.files.is_wanted(file) && matches!(standing.finished, PathEntry::File(1..));
            return match standing.finished {
                PathEntry::File(found) if is_in_the_way => {
                    Err(Error::OtherLength { path: shown(""), found, length: 0 })
                }
                _ => Ok(()),
            };
        }
        let pieces = self.files.geometry.pieces_of(file);
        if self.files.is_wanted(file) && matches!(standing.finished, PathEntry::File(_)) {
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
                    None => match standing.finished {
                        PathEntry::File(found) if !has_length && !self.repair => {
                            Err(Error::OtherLength { path: shown(""), found, length: wanted })
                        }
                        _ => in_the_way(""),
                    },
                };
            }
        }
        // From here on the state file says that unfinished files are ours, also those of files that are not wanted now.
        if matches!(standing.part, PathEntry::File(1..)) && !self.remembered.ours {
            let some_right = pieces.clone().any(|piece| verified.contains(PieceIndex(piece)));
            if !some_right {
                return in_the_way(PART_SUFFIX);
            }
        }
        Ok(())
    }

    /// The pieces that are not right although all their files are there under their final names, and those that are right only where
    /// they are kept apart: these files, or some of them, were changed later.
    fn wrong(&self, standing: &[Standing], verified: &PieceSet, changed: &PieceSet) -> PieceSet {
        let mut wrong = PieceSet::none(verified.total());
        // What stands where a file belongs that is not wanted may be anything.
        let is_finished = |file: usize| {
            !self.files.is_stored(file) || self.files.is_wanted(file) && self.files.suffix(file).is_empty()
        };
        for piece in (0..verified.total()).map(PieceIndex).filter(|&piece| !verified.contains(piece)) {
            let are_finished =
                || self.files.geometry.piece_files(piece).iter().all(|range| is_finished(range.file));
            if changed.contains(piece) || self.is_there(piece, standing) && are_finished() {
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
            if !self.files.is_wanted(file) || self.files.is_empty(file) {
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
