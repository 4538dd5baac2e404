//! A torrent's files out of a capture: from the blocks that peers sent each other, in either direction, and what web seeds
//! sent.
//!
//! Blocks go to disk as they come. Only bytes of pieces that have their hash are written to files, unless more is asked
//! for, and only files of which every byte is verified get their final name.

mod piece;
mod ranges;
mod restore;
mod spool;
mod undescribed;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bittrace_protocol::wire::Message;
use bittrace_protocol::{InfoHash, Metainfo};
use bittrace_trace::{Body, PeerWireBody, Reason, Record, Unreadable, WebSeedBody};

use crate::Error;
use crate::folder::{Folder, Replace};
use crate::layout::RootName;
use spool::{Spool, TorrentBlocks};

pub use piece::{FaultKind, PieceFault, Sent};
pub use undescribed::{Undescribed, UndescribedFile};

/// How files are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Writing {
    /// Whether files that stand in the way are replaced.
    pub overwrite: bool,
    /// Whether bytes that no hash vouches for are written too, to files that stay unfinished. The blocks of a torrent that
    /// nothing describes are written in their order then.
    pub unverified: bool,
    /// What the torrents' own names become in the output folder.
    pub root_name: RootName,
}

/// Gathers blocks, then writes files.
#[derive(Debug)]
pub struct Extraction {
    folder: Folder,
    spool: Spool,
    torrents: Vec<(Arc<Metainfo>, Origin)>,
}

/// Where a torrent's description comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It was given.
    Given,
    /// Peers sent it in the capture (BEP 9).
    Metadata,
}

/// What came of a torrent.
#[derive(Debug)]
pub struct Extracted {
    /// The torrent.
    pub torrent: Arc<Metainfo>,
    /// Where its description comes from.
    pub origin: Origin,
    /// Its description as a file, where that was written.
    pub torrent_file: Option<PathBuf>,
    /// Its files, in order.
    pub files: Vec<ExtractedFile>,
    /// How many of its pieces were verified.
    pub verified: u64,
    /// How many pieces it has.
    pub pieces: u64,
    /// How many blocks of it were seen, those sent twice counted twice; of one that the capture lost bytes of, and of what
    /// web seeds sent, each part.
    pub blocks: u64,
    /// How many of those lie beyond the torrent's pieces, and were passed over.
    pub beyond: u64,
    /// Pieces of which wrong bytes came, in order; the first of them.
    pub faults: Vec<PieceFault>,
    /// How many such pieces there are beyond those.
    pub more_faults: u64,
}

/// What came of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtractedFile {
    /// What the torrent calls it.
    pub name: String,
    /// Where it was written; `None` where nothing of it was.
    pub written: Option<PathBuf>,
    /// Its length, bytes.
    pub length: u64,
    /// Whether every byte of it is there and verified.
    pub whole: bool,
    /// The bytes that nobody sent.
    pub missing: Vec<Range<u64>>,
    /// The bytes that came, and that no hash vouches for.
    pub unverified: Vec<Range<u64>>,
    /// The bytes of pieces that came whole and do not have their hash.
    pub wrong: Vec<Range<u64>>,
}

/// What an extraction came to.
#[derive(Debug)]
pub struct ExtractionReport {
    /// The torrents that are known, with what came of each: those given first.
    pub torrents: Vec<(InfoHash, Result<Extracted, Error>)>,
    /// Blocks that belong to none of them.
    pub undescribed: Vec<Undescribed>,
    /// How many blocks were passed over because there were too many.
    pub dropped: u64,
}

impl Extracted {
    /// Whether every byte of every file is there and verified.
    pub fn is_whole(&self) -> bool {
        self.files.iter().all(|file| file.whole)
    }
}

impl Extraction {
    /// An extraction into a folder, which is made where it is missing, of these torrents and of those whose
    /// descriptions are in the capture.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn new(folder: &Path, torrents: Vec<Arc<Metainfo>>) -> Result<Self, Error> {
        Ok(Self {
            folder: Folder::open(folder)?,
            spool: Spool::new(folder)?,
            torrents: torrents.into_iter().map(|torrent| (torrent, Origin::Given)).collect(),
        })
    }

    /// Takes in a record of a capture.
    ///
    /// # Errors
    /// When its block cannot be written to the disk.
    pub fn add(&mut self, record: &Record) -> Result<(), Error> {
        if let Some(torrent) = &record.describes
            && !self.is_known(torrent.info_hash)
        {
            self.torrents.push((Arc::clone(torrent), Origin::Metadata));
        }
        match &record.body {
            Body::PeerWire(
                PeerWireBody::Message(Message::Piece { index, begin, block })
                | PeerWireBody::Azureus(_, Some(Message::Piece { index, begin, block })),
            ) => self.spool.add(record, *index, *begin, block),
            Body::Unreadable(_, Unreadable::Opaque(Reason::Fragment(fragment))) => {
                match fragment.part_of_block(&record.bytes) {
                    Some((index, begin, bytes)) => self.spool.add(record, index, begin, &bytes),
                    None => Ok(()),
                }
            }
            Body::WebSeed(WebSeedBody::FileData(_) | WebSeedBody::PieceData(_)) => {
                let torrent = record.torrent.and_then(|info_hash| self.known(info_hash));
                for (index, begin, bytes) in record.web_seed_parts(torrent.map(Arc::as_ref)) {
                    self.spool.add(record, index, begin, &bytes)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Writes the files.
    ///
    /// # Errors
    /// When the blocks cannot be read back. What is wrong with the files of one torrent stands in its place in the
    /// report.
    pub fn finish(mut self, writing: Writing) -> Result<ExtractionReport, Error> {
        self.spool.flush()?;
        // Blocks of connections that name no torrent can belong to any that is known; the hashes tell. Where there is
        // one alone, they count as its own.
        let replace = if writing.overwrite { Replace::Always } else { Replace::Never };
        let mut undescribed = Vec::new();
        for bucket in self.spool.buckets() {
            let known = match bucket.info_hash {
                Some(info_hash) => self.is_known(info_hash),
                None => !self.torrents.is_empty(),
            };
            if !known {
                let TorrentBlocks { info_hash, blocks, bytes } = *bucket;
                let write = || undescribed::write(&self.folder, &self.spool, info_hash, replace);
                let (file, fault) = match writing.unverified.then(write) {
                    None => (None, None),
                    Some(Ok(file)) => (Some(file), None),
                    Some(Err(error)) => (None, Some(error)),
                };
                undescribed.push(Undescribed { info_hash, blocks, bytes, file, fault });
            }
        }
        let alone = self.torrents.len() == 1;
        let mut torrents = Vec::with_capacity(self.torrents.len());
        for (torrent, origin) in &self.torrents {
            let restore =
                restore::Restore::new(&self.folder, &self.spool, torrent, writing.root_name, replace);
            let restored = restore.and_then(|restore| restore.run(origin, writing.unverified, alone));
            torrents.push((torrent.info_hash, restored));
        }
        Ok(ExtractionReport { torrents, undescribed, dropped: self.spool.dropped() })
    }

    fn is_known(&self, info_hash: InfoHash) -> bool {
        self.known(info_hash).is_some()
    }

    fn known(&self, info_hash: InfoHash) -> Option<&Arc<Metainfo>> {
        self.torrents.iter().map(|(torrent, _)| torrent).find(|torrent| torrent.goes_by(info_hash))
    }
}

#[cfg(test)]
mod tests;
