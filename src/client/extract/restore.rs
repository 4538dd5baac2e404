//! A torrent's files out of the blocks of a capture: piece by piece, a file open at a time.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::PathBuf;

use bittrace_protocol::merkle::{Hasher, LEAF};
use bittrace_protocol::{Geometry, InfoHash, Metainfo, PieceIndex};

use super::piece::{Assembly, PieceFault, PiecePlace, Taken};
use super::ranges::Ranges;
use super::spool::Spool;
use super::{Extracted, ExtractedFile, Origin};
use crate::Error;
use crate::folder::{Folder, PathEntry, Replace};
use crate::layout::{Layout, PART_SUFFIX, Place, RootName};
use crate::os;

/// Writes the files of one torrent.
pub(super) struct Restore<'a> {
    folder: &'a Folder,
    spool: &'a Spool,
    torrent: &'a std::sync::Arc<Metainfo>,
    replace: Replace,
    layout: Layout,
    row: FilesEndToEnd,
    /// The file that was written last.
    open: Option<(usize, File)>,
    /// Which files were begun.
    begun: Vec<bool>,
    verified: Ranges,
    unverified: Ranges,
    wrong: Ranges,
    right: u64,
    beyond: u64,
    faults: Vec<PieceFault>,
    more_faults: u64,
}

/// The files end to end. In a torrent of version 2 every file begins a piece, as if padding stood before it (BEP 52,
/// "info dictionary").
struct FilesEndToEnd {
    geometry: Geometry,
    /// What stands in the row: a file of the torrent, or padding.
    parts: Vec<Option<usize>>,
    /// Where each file of the torrent stands.
    spans: Vec<Range<u64>>,
}

/// How many faulty pieces are named.
const FAULTS: usize = 1000;

impl<'a> Restore<'a> {
    /// Looks whether something is in the way of the torrent's files.
    pub(super) fn new(
        folder: &'a Folder,
        spool: &'a Spool,
        torrent: &'a std::sync::Arc<Metainfo>,
        root_name: RootName,
        replace: Replace,
    ) -> Result<Self, Error> {
        let layout = Layout::with_root(torrent, root_name);
        for path in layout.places.iter().filter_map(Place::parts) {
            for suffix in ["", PART_SUFFIX] {
                let free = match folder.look(&path, suffix)? {
                    PathEntry::Nothing => true,
                    PathEntry::File(_) => replace == Replace::Always,
                    PathEntry::Other => false,
                };
                if !free {
                    return Err(Error::Exists { path: folder.shown(&path, suffix) });
                }
            }
        }
        let row =
            FilesEndToEnd::new(torrent).ok_or_else(|| Error::NoPieces { name: torrent.name.to_string() })?;
        Ok(Self {
            folder,
            spool,
            torrent,
            replace,
            begun: vec![false; layout.places.len()],
            layout,
            row,
            open: None,
            verified: Ranges::default(),
            unverified: Ranges::default(),
            wrong: Ranges::default(),
            right: 0,
            beyond: 0,
            faults: Vec::new(),
            more_faults: 0,
        })
    }

    /// Writes what there is. `alone` says that no other torrent is known, so that connections that name none are about
    /// this one.
    pub(super) fn run(mut self, origin: &Origin, unverified: bool, alone: bool) -> Result<Extracted, Error> {
        let torrent_file = match origin {
            Origin::Given => None,
            Origin::Metadata => Some(self.write_torrent()?),
        };
        let torrent = self.torrent;
        let wanted = |bucket: Option<InfoHash>| bucket.is_none_or(|info_hash| torrent.goes_by(info_hash));
        for piece in self.spool.pieces(&wanted) {
            self.piece(piece, &wanted, unverified, alone)?;
        }
        let own = |bucket: Option<InfoHash>| bucket.map_or(alone, |info_hash| torrent.goes_by(info_hash));
        let buckets = self.spool.buckets().iter().filter(|bucket| own(bucket.info_hash));
        let blocks = buckets.map(|bucket| bucket.blocks).sum();
        self.open = None;
        let mut files = Vec::new();
        for number in 0..self.torrent.files.len() {
            if self.layout.places[number].path.is_some() {
                files.push(self.file(number, blocks > 0, unverified)?);
            }
        }
        Ok(Extracted {
            torrent: self.torrent.clone(),
            origin: origin.clone(),
            torrent_file,
            files,
            verified: self.right,
            pieces: u64::from(self.row.geometry.piece_count()),
            blocks,
            beyond: self.beyond,
            faults: self.faults,
            more_faults: self.more_faults,
        })
    }

    fn piece(
        &mut self,
        piece: PieceIndex,
        wanted: &dyn Fn(Option<InfoHash>) -> bool,
        unverified: bool,
        alone: bool,
    ) -> Result<(), Error> {
        let heard = self.spool.heard(wanted, piece);
        let Some(span) = self.row.geometry.piece_span(piece) else {
            self.beyond += heard.len() as u64;
            return Ok(());
        };
        let size = (span.end - span.start) as u32;
        let beyond =
            heard.iter().filter(|heard| u64::from(heard.begin) + u64::from(heard.length) > size.into());
        self.beyond += beyond.count() as u64;
        let padding = self.padding(piece, span.start);
        let assembly = Assembly::new(self.spool, &heard, &padding, size)?;
        // Where no piece layer is known, as in a torrent that peers described, files of version 2 are verified whole.
        let hash = self.torrent.check_of(piece);
        if let (true, Some(hash)) = (assembly.is_covered(), hash) {
            // Trees know nothing of the padding that fills up a file's last piece.
            let hashed = self.torrent.placement().and_then(|geometry| geometry.piece_size(piece));
            let taken = assembly.find(hash, &self.torrent.piece_hasher(), hashed.unwrap_or(size))?;
            if taken.is_some() || assembly.is_named() {
                self.note_fault(assembly.fault(piece, taken.as_ref()));
            }
            if let Some(taken) = taken {
                self.right += 1;
                self.verified.push(span.clone());
                return self.write(&assembly, &taken, span.start);
            }
            if assembly.is_named() {
                self.wrong.push(span.clone());
                if unverified {
                    self.write(&assembly, &assembly.first(), span.start)?;
                }
                return Ok(());
            }
        }
        let first = assembly.first();
        let counts: Vec<Range<u32>> = match alone {
            true => assembly.parts(&first).map(|(begin, length, _)| begin..begin + length).collect(),
            false => assembly.named().collect(),
        };
        for part in &counts {
            self.unverified.push(span.start + u64::from(part.start)..span.start + u64::from(part.end));
        }
        if !counts.is_empty() && (unverified || hash.is_none()) {
            self.write(&assembly, &first, span.start)?;
        }
        Ok(())
    }

    fn note_fault(&mut self, fault: Option<PieceFault>) {
        match fault {
            Some(_) if self.faults.len() >= FAULTS => self.more_faults += 1,
            fault => self.faults.extend(fault),
        }
    }

    /// The parts of a piece that are padding.
    fn padding(&self, piece: PieceIndex, start: u64) -> Vec<Range<u32>> {
        let mut padding = Vec::new();
        let mut at = start;
        for range in self.row.geometry.piece_files(piece) {
            let end = at + range.bytes.end - range.bytes.start;
            let is_padding = match self.row.parts[range.file] {
                Some(file) => self.torrent.files[file].is_padding(),
                None => true,
            };
            if is_padding {
                padding.push((at - start) as u32..(end - start) as u32);
            }
            at = end;
        }
        padding
    }

    fn write(&mut self, assembly: &Assembly<'_>, taken: &Taken, start: u64) -> Result<(), Error> {
        let spool = self.spool;
        for (begin, length, place) in assembly.parts(taken) {
            // What is never written reads as zeros.
            if place == PiecePlace::Zeros {
                continue;
            }
            let mut at = start + u64::from(begin);
            spool.each_chunk(place, length, &mut |chunk| {
                let mut rest = chunk;
                for range in self.row.geometry.files_in(at..at + chunk.len() as u64) {
                    let (part, behind) = rest.split_at((range.bytes.end - range.bytes.start) as usize);
                    rest = behind;
                    if let Some(file) = self.row.parts[range.file] {
                        self.write_part(file, range.bytes.start, part)?;
                    }
                }
                at += chunk.len() as u64;
                Ok(())
            })?;
        }
        Ok(())
    }

    fn write_part(&mut self, file: usize, at: u64, bytes: &[u8]) -> Result<(), Error> {
        let Some(path) = self.layout.places[file].parts() else { return Ok(()) };
        if self.open.as_ref().is_none_or(|(open, _)| *open != file) {
            let handle = if self.begun[file] {
                self.folder.write_old(&path, PART_SUFFIX)?
            } else {
                if self.replace == Replace::Always {
                    self.folder.remove(&path, PART_SUFFIX)?;
                }
                self.folder.write_new(&path, PART_SUFFIX)?
            };
            self.begun[file] = true;
            self.open = Some((file, handle));
        }
        let Some((_, handle)) = &self.open else { return Ok(()) };
        let path = || self.folder.shown(&path, PART_SUFFIX);
        os::write_all_at(handle, bytes, at).map_err(|source| Error::File {
            action: "write",
            path: path(),
            source,
        })
    }

    /// Gives a file its name, or says what it lacks.
    fn file(&mut self, number: usize, seen: bool, keep: bool) -> Result<ExtractedFile, Error> {
        let (file, span) = (&self.torrent.files[number], self.row.spans[number].clone());
        let path = self.layout.places[number].parts().unwrap_or_default();
        let [mut verified, mut unverified, wrong] =
            [&self.verified, &self.unverified, &self.wrong].map(|ranges| ranges.within(&span));
        if self.begun[number] {
            let handle = self.folder.write_old(&path, PART_SUFFIX)?;
            // A file system may not have files of such a length; then the hole at the end is left out.
            let _ = handle.set_len(file.length);
            if unverified.cover(file.length) && has_root(handle, file.pieces_root).unwrap_or(false) {
                std::mem::swap(&mut verified, &mut unverified);
                self.right += file.length.div_ceil(u64::from(self.torrent.piece_length));
            }
        }
        let whole = verified.cover(file.length) && (seen || file.length > 0);
        let written = match (whole, self.begun[number]) {
            (true, false) => {
                if self.replace == Replace::Always {
                    self.folder.remove(&path, "")?;
                }
                self.folder.create_empty(&path)?;
                Some("")
            }
            (true, true) => {
                self.folder.rename(&path, PART_SUFFIX, "", self.replace)?;
                Some("")
            }
            (false, true) if verified.is_empty() && !keep => {
                self.folder.remove(&path, PART_SUFFIX)?;
                None
            }
            (false, true) => Some(PART_SUFFIX),
            (false, false) => None,
        };
        let name = match self.torrent.single_file {
            true => self.torrent.name.to_string(),
            false => format!("{}/{}", self.torrent.name, file.path_text()),
        };
        Ok(ExtractedFile {
            name,
            written: written.map(|suffix| self.folder.shown(&path, suffix)),
            length: file.length,
            whole,
            missing: Ranges::lacking(&[&verified, &unverified, &wrong], file.length).into_vec(),
            unverified: unverified.into_vec(),
            wrong: wrong.into_vec(),
        })
    }

    /// Writes the torrent's description, without trackers, which no peer tells.
    fn write_torrent(&self) -> Result<PathBuf, Error> {
        let path = [format!("{}.torrent", self.layout.root)];
        let shown = self.folder.shown(&path, "");
        let wrong = |action, source| Error::File { action, path: shown.clone(), source };
        let mut bytes = b"d4:info".to_vec();
        bytes.extend_from_slice(self.torrent.info_bytes());
        bytes.push(b'e');
        match self.folder.look(&path, "")? {
            PathEntry::Nothing => {}
            PathEntry::File(length) if length == bytes.len() as u64 && self.replace == Replace::Never => {
                let mut known = Vec::new();
                let mut file = self.folder.read(&path, "")?;
                file.read_to_end(&mut known).map_err(|source| wrong("read", source))?;
                if known != bytes {
                    return Err(Error::Exists { path: shown });
                }
                return Ok(shown);
            }
            PathEntry::File(_) if self.replace == Replace::Always => self.folder.remove(&path, "")?,
            _ => return Err(Error::Exists { path: shown }),
        }
        let file = self.folder.write_new(&path, "")?;
        os::write_all_at(&file, &bytes, 0).map_err(|source| wrong("write", source))?;
        Ok(shown)
    }
}

impl FilesEndToEnd {
    fn new(torrent: &Metainfo) -> Option<Self> {
        let lengths: Vec<(Option<usize>, u64)> = if torrent.geometry.is_some() {
            torrent.files.iter().enumerate().map(|(number, file)| (Some(number), file.length)).collect()
        } else {
            let piece = u64::from(torrent.piece_length).max(1);
            let mut padded = Vec::new();
            for (number, file) in torrent.files.iter().enumerate() {
                let end = file.length.checked_next_multiple_of(piece)?;
                padded.extend([(Some(number), file.length), (None, end - file.length)]);
            }
            padded
        };
        let geometry = Geometry::new(torrent.piece_length, lengths.iter().map(|(_, length)| *length))?;
        let mut spans = Vec::with_capacity(torrent.files.len());
        let mut at = 0;
        for (file, length) in &lengths {
            if file.is_some() {
                spans.push(at..at + length);
            }
            at += length;
        }
        Some(Self { geometry, parts: lengths.into_iter().map(|(file, _)| file).collect(), spans })
    }
}

/// Whether a file has the root of its hash tree; not where it has none.
fn has_root(mut file: File, root: Option<[u8; 32]>) -> std::io::Result<bool> {
    let mut hasher = Hasher::default();
    let mut bytes = vec![0; LEAF];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(root.is_some() && hasher.root() == root),
            read => hasher.update(&bytes[..read]),
        }
    }
}
