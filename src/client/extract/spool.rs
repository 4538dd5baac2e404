//! The blocks of a capture, on disk: a file without a name in the output folder, gone with the process.
//!
//! In memory there is only where each block stands. A block that comes again with the same bytes is kept once.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bittrace_protocol::{InfoHash, PieceIndex};
use bittrace_trace::Record;
use bytes::Bytes;
use smallvec::SmallVec;

use crate::{Error, os};

/// The blocks.
#[derive(Debug)]
pub(super) struct Spool {
    file: BufWriter<SpoolFile>,
    folder: PathBuf,
    end: u64,
    /// The end of what a reader sees.
    flushed: u64,
    buckets: Vec<TorrentBlocks>,
    by_hash: HashMap<Option<InfoHash>, u32>,
    blocks: BTreeMap<SpoolKey, SmallVec<[BlockVersion; 1]>>,
    stored_blocks: usize,
    dropped: u64,
    peers: Vec<SocketAddr>,
    by_address: HashMap<SocketAddr, u32>,
}

/// The file, written at its end wherever it was read last: on Windows, reading at a place moves on from there.
#[derive(Debug)]
struct SpoolFile {
    file: File,
    end: u64,
}

impl Write for SpoolFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        os::write_all_at(&self.file, bytes, self.end)?;
        self.end += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The blocks of connections about one torrent.
#[derive(Debug, Clone, Copy)]
pub(super) struct TorrentBlocks {
    /// The torrent; `None` for connections whose beginning was not captured.
    pub(super) info_hash: Option<InfoHash>,
    pub(super) blocks: u64,
    pub(super) bytes: u64,
}

/// Bucket, piece, begin, length.
type SpoolKey = (u32, PieceIndex, u32, u32);

/// Bytes that came for a block.
#[derive(Debug, Clone)]
pub(super) struct BlockVersion {
    /// Where they stand in the file.
    pub(super) place: u64,
    /// Who sent them: the first of them.
    pub(super) peers: SmallVec<[u32; 2]>,
}

/// A block, or the part of one that was captured.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) begin: u32,
    pub(super) length: u32,
    pub(super) version: BlockVersion,
    /// Whether the connection named the torrent.
    pub(super) named: bool,
}

/// How many blocks are kept: 32 GiB of the usual 16 KiB.
const KEPT: usize = 2_000_000;
/// How many different contents of a block, and how many of their senders.
const VERSIONS: usize = 8;
const SENDERS: usize = 8;
/// How many senders are told apart in all, and torrents.
const PEERS: usize = 65_536;
const BUCKETS: usize = 10_000;

impl Spool {
    pub(super) fn new(folder: &Path) -> Result<Self, Error> {
        let file = tempfile::tempfile_in(folder).map_err(|source| Error::File {
            action: "make a temporary file in",
            path: folder.to_owned(),
            source,
        })?;
        Ok(Self {
            file: BufWriter::with_capacity(1 << 18, SpoolFile { file, end: 0 }),
            folder: folder.to_owned(),
            end: 0,
            flushed: 0,
            buckets: Vec::new(),
            by_hash: HashMap::new(),
            blocks: BTreeMap::new(),
            stored_blocks: 0,
            dropped: 0,
            peers: Vec::new(),
            by_address: HashMap::new(),
        })
    }

    /// Keeps bytes of a piece.
    pub(super) fn add(
        &mut self,
        record: &Record,
        index: PieceIndex,
        begin: u32,
        block: &Bytes,
    ) -> Result<(), Error> {
        if block.is_empty() {
            return Ok(());
        }
        let Some(bucket) = self.bucket(record.torrent) else {
            self.dropped += 1;
            return Ok(());
        };
        self.buckets[bucket as usize].blocks += 1;
        self.buckets[bucket as usize].bytes += block.len() as u64;
        let key = (bucket, index, begin, block.len() as u32);
        let peer = self.peer(record.source);
        let versions = self.blocks.get(&key).map_or(&[][..], |versions| versions);
        let places: SmallVec<[u64; VERSIONS]> = versions.iter().map(|version| version.place).collect();
        for (at, place) in places.iter().enumerate() {
            if self.holds(*place, block)? {
                if let Some(version) = self.blocks.get_mut(&key).and_then(|versions| versions.get_mut(at))
                    && version.peers.len() < SENDERS
                    && !version.peers.contains(&peer)
                {
                    version.peers.push(peer);
                }
                return Ok(());
            }
        }
        if places.len() >= VERSIONS || self.stored_blocks >= KEPT {
            self.dropped += 1;
            return Ok(());
        }
        self.stored_blocks += 1;
        let place = self.end;
        self.file.write_all(block).map_err(|source| self.wrong("write", source))?;
        self.end += block.len() as u64;
        let version = BlockVersion { place, peers: SmallVec::from_slice(&[peer]) };
        self.blocks.entry(key).or_default().push(version);
        Ok(())
    }

    /// Lets everything be read.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.file.flush().map_err(|source| self.wrong("write", source))?;
        self.flushed = self.end;
        Ok(())
    }

    /// Reads bytes back.
    pub(super) fn read(&self, place: u64, into: &mut [u8]) -> Result<(), Error> {
        os::read_exact_at(&self.file.get_ref().file, into, place).map_err(|source| self.wrong("read", source))
    }

    pub(super) fn buckets(&self) -> &[TorrentBlocks] {
        &self.buckets
    }

    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The sender of that number.
    pub(super) fn peer_address(&self, peer: u32) -> Option<SocketAddr> {
        self.peers.get(peer as usize).copied()
    }

    /// The pieces of which blocks came on connections about a torrent, and on those that name none.
    pub(super) fn pieces(&self, wanted: &dyn Fn(Option<InfoHash>) -> bool) -> Vec<PieceIndex> {
        let mut pieces = Vec::new();
        for (number, _) in self.wanted(wanted) {
            let first = (number, PieceIndex(0), 0, 0);
            let last = (number, PieceIndex(u32::MAX), u32::MAX, u32::MAX);
            let mut before = None;
            for (_, piece, ..) in self.blocks.range(first..=last).map(|(key, _)| *key) {
                if before != Some(piece) {
                    pieces.push(piece);
                    before = Some(piece);
                }
            }
        }
        pieces.sort_unstable();
        pieces.dedup();
        pieces
    }

    /// What came of a piece, by where it begins.
    pub(super) fn heard(&self, wanted: &dyn Fn(Option<InfoHash>) -> bool, piece: PieceIndex) -> Vec<Heard> {
        let mut heard = Vec::new();
        for (number, bucket) in self.wanted(wanted) {
            let range = (number, piece, 0, 0)..=(number, piece, u32::MAX, u32::MAX);
            for (&(_, _, begin, length), versions) in self.blocks.range(range) {
                let named = bucket.info_hash.is_some();
                heard.extend(versions.iter().map(|version| Heard {
                    begin,
                    length,
                    version: version.clone(),
                    named,
                }));
            }
        }
        heard.sort_by_key(|heard| (heard.begin, std::cmp::Reverse(heard.length)));
        heard
    }

    fn wanted<'a>(
        &'a self,
        wanted: &'a dyn Fn(Option<InfoHash>) -> bool,
    ) -> impl Iterator<Item = (u32, &'a TorrentBlocks)> {
        (0..).zip(&self.buckets).filter(|(_, bucket)| wanted(bucket.info_hash))
    }

    fn bucket(&mut self, info_hash: Option<InfoHash>) -> Option<u32> {
        let next = self.buckets.len();
        if next >= BUCKETS && !self.by_hash.contains_key(&info_hash) {
            return None;
        }
        let bucket = *self.by_hash.entry(info_hash).or_insert(next as u32);
        if bucket as usize == next {
            self.buckets.push(TorrentBlocks { info_hash, blocks: 0, bytes: 0 });
        }
        Some(bucket)
    }

    fn peer(&mut self, address: SocketAddr) -> u32 {
        let next = self.peers.len();
        if next >= PEERS && !self.by_address.contains_key(&address) {
            return u32::MAX;
        }
        let peer = *self.by_address.entry(address).or_insert(next as u32);
        if peer as usize == next {
            self.peers.push(address);
        }
        peer
    }

    /// Whether these bytes stand there.
    fn holds(&mut self, place: u64, block: &Bytes) -> Result<bool, Error> {
        if place + block.len() as u64 > self.flushed {
            self.flush()?;
        }
        let mut part = [0; 4096];
        for (number, bytes) in block.chunks(part.len()).enumerate() {
            let known = &mut part[..bytes.len()];
            self.read(place + number as u64 * 4096, known)?;
            if known != bytes {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn wrong(&self, action: &'static str, source: io::Error) -> Error {
        let action =
            if action == "read" { "read the temporary file in" } else { "write a temporary file in" };
        Error::File { action, path: self.folder.clone(), source }
    }
}
