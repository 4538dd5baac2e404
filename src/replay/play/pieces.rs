//! The bytes of a torrent's pieces, gathered from what peers sent each other in a capture, and from files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bittrace_protocol::geometry::{BlockFault, Geometry};
use bittrace_protocol::merkle::{Hash, Nodes};
use bittrace_protocol::metainfo::{File as TorrentFile, PieceVerdict};
use bittrace_protocol::wire::{HashRange, METADATA_PIECE, Message, Metadata};
use bittrace_protocol::{Block, Metainfo, PieceIndex};
use bittrace_trace::units::{count, counted};
use bytes::Bytes;

use crate::model::transcript::{Conversation, Transcript};

/// What is known of the bytes of a torrent.
#[derive(Debug, Default)]
pub struct RecordedPieces {
    pieces: BTreeMap<PieceIndex, Bytes>,
    /// Blocks of pieces that are not whole, by piece and offset.
    blocks: BTreeMap<(PieceIndex, u32), Bytes>,
    /// The lengths of the torrent's pieces, where the torrent is known.
    geometry: Option<Geometry>,
    /// The torrent's info dictionary, where the torrent is known.
    info: Bytes,
    /// The trees of the torrent's files, from their pieces up, by their roots (BEP 52).
    trees: BTreeMap<Hash, Nodes>,
}

impl RecordedPieces {
    /// What `reference` holds of `torrent`: every whole piece that has its hash, and single blocks of the others. Blocks of
    /// which only digests are stored are not among them.
    pub fn of(reference: &Transcript, torrent: &Metainfo) -> Self {
        let info = Bytes::copy_from_slice(torrent.info_bytes());
        let roots = torrent.files.iter().filter_map(|file| file.pieces_root);
        let trees = roots.filter_map(|root| Some((root, torrent.tree_of_pieces(root)?))).collect();
        let mut contents = Self { geometry: torrent.placement().cloned(), info, trees, ..Self::default() };
        let mut heard: BTreeMap<PieceIndex, BTreeMap<u32, Vec<Bytes>>> = BTreeMap::new();
        let about = |one: &&Conversation| one.torrent.is_some_and(|torrent| reference.is_torrent(torrent));
        let messages = reference.conversations.iter().filter(about).flat_map(Conversation::messages);
        let pieces = messages.map(|(_, message)| message).filter(|message| message.message() == "piece");
        for message in pieces.filter(|message| message.digest().is_none()) {
            if let Some(Message::Piece { index, begin, block }) = message.peer_message() {
                // What goes on after the end of a file is padding.
                let padding = contents.padding(Block { index, begin, length: block.len() as u32 });
                let block = block.slice(..block.len() - padding);
                let all = heard.entry(index).or_default().entry(begin).or_default();
                if !all.contains(&block) {
                    all.push(block);
                }
            }
        }
        for (piece, blocks) in heard {
            let size = contents.geometry.as_ref().and_then(|geometry| geometry.piece_size(piece));
            // Padding at the end of a piece is zeros, and is rarely sent (BEP 47).
            let content = torrent.piece_content(piece).or(size).unwrap_or(0) as usize;
            let whole = size.and_then(|size| assemble(&blocks, content, size as usize));
            match whole.filter(|bytes| is_right(torrent, piece, bytes)) {
                Some(bytes) => {
                    contents.pieces.insert(piece, bytes);
                }
                None => {
                    let each = blocks
                        .into_iter()
                        .filter_map(|(begin, blocks)| Some((begin, blocks.last()?.clone())));
                    contents.blocks.extend(each.map(|(begin, block)| ((piece, begin), block)));
                }
            }
        }
        contents
    }

    /// Adds a whole piece, where it has its hash; whether it has.
    pub fn add(&mut self, torrent: &Metainfo, piece: PieceIndex, bytes: Bytes) -> bool {
        let right = is_right(torrent, piece, &bytes);
        if right {
            self.pieces.insert(piece, bytes);
        }
        right
    }

    /// Adds the pieces of the torrent's file, or of the folder around its files, that have their hashes, as far as they are
    /// not known.
    ///
    /// # Errors
    /// When nothing of the torrent can be read there.
    pub fn read_from(&mut self, torrent: &Metainfo, path: &Path) -> io::Result<()> {
        let Some(geometry) = torrent.placement() else { return Ok(()) };
        let mut files = Vec::new();
        for file in &torrent.files {
            let place = match path.is_dir() {
                true => place_of(torrent, file, path),
                false => Some(path.to_owned()),
            };
            files.push(place.and_then(|place| File::open(place).ok()));
        }
        if files.iter().all(Option::is_none) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "none of the torrent's files is there"));
        }
        let mut found = 0;
        for piece in (0..geometry.piece_count()).map(PieceIndex) {
            let mut bytes = vec![0; geometry.piece_size(piece).unwrap_or(0) as usize];
            let mut rest = &mut bytes[..];
            for range in geometry.piece_files(piece) {
                let length = usize::try_from(range.bytes.end - range.bytes.start).unwrap_or(usize::MAX);
                let (part, behind) = rest.split_at_mut(length.min(rest.len()));
                rest = behind;
                // A padding file, or one that is missing, is zeros (BEP 47): the hash tells.
                if let Some(Some(mut file)) = files.get(range.file).map(Option::as_ref) {
                    let _ = file.seek(SeekFrom::Start(range.bytes.start)).and_then(|_| file.read_exact(part));
                }
            }
            found += u32::from(self.add(torrent, piece, bytes.into()));
        }
        match found {
            0 => Err(io::Error::new(io::ErrorKind::InvalidData, "no piece of the torrent is there")),
            _ => Ok(()),
        }
    }

    /// Why the bytes of a block are not there, in words.
    pub(crate) fn why_not(&self, block: Block) -> String {
        let geometry = self.geometry.as_ref();
        match geometry.and_then(|geometry| Some((geometry, geometry.block_span(block).err()?))) {
            Some((geometry, BlockFault::NoSuchPiece)) => {
                let pieces = counted(geometry.piece_count().into(), "piece");
                format!("there is no piece {}: the torrent has {pieces}", block.index)
            }
            Some((_, BlockFault::Empty)) => "it asks for no bytes".to_owned(),
            Some((geometry, BlockFault::BeyondPiece)) => format!(
                "piece {} has {} bytes, and the request goes to {}",
                block.index,
                count(geometry.piece_size(block.index).unwrap_or(0).into()),
                count(u64::from(block.begin) + u64::from(block.length))
            ),
            None => format!(
                "the reference does not have the {} at {} of piece {}: give the torrent's files with --content",
                counted(block.length.into(), "byte"),
                block.begin,
                block.index
            ),
        }
    }

    /// The message that gives a piece of the metadata (BEP 9); `None` where there is no such piece.
    pub(crate) fn metadata(&self, piece: u32) -> Option<Metadata> {
        let start = usize::try_from(u64::from(piece) * METADATA_PIECE).ok()?;
        let left = self.info.get(start..).filter(|left| !left.is_empty())?;
        let bytes = &left[..left.len().min(METADATA_PIECE as usize)];
        Some(Metadata::data(piece, self.info.len() as u64, bytes.to_vec()))
    }

    /// The hashes of a tree that a request asks for (BEP 52); `None` where the torrent does not have them.
    pub(crate) fn hashes(&self, range: HashRange) -> Option<Bytes> {
        self.trees.get(&range.pieces_root)?.answer(&range).map(Bytes::from)
    }

    /// The bytes of a block, where they are known: zeros where it goes on after the end of its file (BEP 52).
    pub fn block(&self, block: Block) -> Option<Bytes> {
        let padding = self.padding(block);
        let (begin, length) = (block.begin as usize, block.length as usize - padding);
        let content = match self.pieces.get(&block.index) {
            Some(piece) => {
                let begin = if length == 0 { begin.min(piece.len()) } else { begin };
                (begin + length <= piece.len()).then(|| piece.slice(begin..begin + length))
            }
            None => {
                let known = self.blocks.get(&(block.index, block.begin))?;
                (length <= known.len()).then(|| known.slice(..length))
            }
        }?;
        if padding == 0 {
            return Some(content);
        }
        let mut padded = content.to_vec();
        padded.resize(length + padding, 0);
        Some(padded.into())
    }

    /// How many bytes of a block come after the end of its file, where files are padded to whole pieces (BEP 52).
    fn padding(&self, block: Block) -> usize {
        let span = self.geometry.as_ref().and_then(|geometry| geometry.padded_span(block));
        span.map_or(0, |(_, padding)| padding as usize)
    }

    /// A whole piece, where it is known.
    pub fn piece(&self, piece: PieceIndex) -> Option<&Bytes> {
        self.pieces.get(&piece)
    }

    /// The pieces of the torrent that are not known whole.
    pub fn missing(&self, torrent: &Metainfo) -> Vec<PieceIndex> {
        let count = torrent.placement().map_or(0, Geometry::piece_count);
        (0..count).map(PieceIndex).filter(|piece| !self.pieces.contains_key(piece)).collect()
    }

    /// Writes the torrent's file, or its folder, into `folder`; pieces that are not known are zeros.
    ///
    /// # Errors
    /// When a file cannot be written, or has a name that would lead elsewhere.
    pub fn write_into(&self, torrent: &Metainfo, folder: &Path) -> io::Result<()> {
        let Some(geometry) = torrent.placement() else { return Ok(()) };
        let mut files = Vec::new();
        for file in &torrent.files {
            // Padding is not stored, and a link has no bytes (BEP 47).
            let is_stored = !file.attributes.iter().any(|attribute| b"pl".contains(attribute));
            files.push(if is_stored { Some(create(torrent, file, folder)?) } else { None });
        }
        for (piece, bytes) in &self.pieces {
            let mut rest = &bytes[..];
            for range in geometry.piece_files(*piece) {
                let length = usize::try_from(range.bytes.end - range.bytes.start).unwrap_or(usize::MAX);
                let (part, behind) = rest.split_at(length.min(rest.len()));
                rest = behind;
                if let Some(Some(file)) = files.get_mut(range.file) {
                    file.seek(SeekFrom::Start(range.bytes.start)).and_then(|_| file.write_all(part))?;
                }
            }
        }
        Ok(())
    }

    /// The pieces that are known whole.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (PieceIndex, &Bytes)> {
        self.pieces.iter().map(|(piece, bytes)| (*piece, bytes))
    }

    /// How many pieces are known whole.
    pub fn whole(&self) -> usize {
        self.pieces.len()
    }
}

/// Where a file of the torrent lies in a folder, or in the folder of the torrent's name in it.
fn place_of(torrent: &Metainfo, file: &TorrentFile, folder: &Path) -> Option<PathBuf> {
    let inner: PathBuf = file.path.iter().filter(|name| name.is_safe()).map(ToString::to_string).collect();
    let named = folder.join(torrent.name.to_string());
    let places =
        if torrent.single_file { vec![named] } else { vec![folder.join(&inner), named.join(&inner)] };
    places.into_iter().find(|place| place.is_file())
}

/// A file of the torrent, of its length, with the folders around it.
fn create(torrent: &Metainfo, file: &TorrentFile, folder: &Path) -> io::Result<File> {
    let inner = if torrent.single_file { &[][..] } else { &file.path[..] };
    let mut place = folder.to_owned();
    for name in std::iter::once(&torrent.name).chain(inner) {
        if !name.is_safe() {
            let why = format!("the torrent has a file whose name cannot be written: {name}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        place.push(name.to_string());
    }
    if let Some(around) = place.parent() {
        fs::create_dir_all(around)?;
    }
    let created = File::create_new(place)?;
    created.set_len(file.length)?;
    Ok(created)
}

/// The piece that the last of each block make, where they cover its content: zeros follow.
fn assemble(blocks: &BTreeMap<u32, Vec<Bytes>>, content: usize, size: usize) -> Option<Bytes> {
    let mut bytes: Vec<u8> = Vec::with_capacity(size.min(MOST));
    for (&begin, all) in blocks {
        let (begin, block) = (begin as usize, all.last()?);
        if begin > bytes.len() || begin + block.len() > size {
            return None;
        }
        let known = bytes.len() - begin;
        bytes.extend_from_slice(block.get(known..).unwrap_or_default());
    }
    (bytes.len() >= content).then(|| {
        bytes.resize(size, 0);
        bytes.into()
    })
}

fn is_right(torrent: &Metainfo, piece: PieceIndex, bytes: &[u8]) -> bool {
    let mut digester = torrent.digester(piece);
    digester.update(bytes);
    torrent.judge(piece, &digester.finish()) == PieceVerdict::Right
}

/// No piece is longer than this before its blocks have been seen.
const MOST: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(of: &[(u32, &[u8])]) -> BTreeMap<u32, Vec<Bytes>> {
        of.iter().map(|&(begin, bytes)| (begin, vec![Bytes::copy_from_slice(bytes)])).collect()
    }

    #[test]
    fn what_is_written_for_a_client_is_read_again_and_what_is_missing_is_named() {
        let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../captures"].iter().collect();
        let torrent = std::fs::read(folder.join("multi-file-several-peers.torrent")).unwrap();
        let torrent = Metainfo::decode(&torrent).unwrap();
        let capture = folder.join("multi-file-several-peers.pcap");
        let reference = Transcript::open(&capture, bittrace_trace::TraceOptions::default()).unwrap();
        let contents = RecordedPieces::of(&reference, &torrent);
        assert_eq!(contents.missing(&torrent), []);
        let here = tempfile::tempdir().unwrap();
        contents.write_into(&torrent, here.path()).unwrap();
        let mut again = RecordedPieces { geometry: torrent.geometry.clone(), ..RecordedPieces::default() };
        assert_eq!(again.missing(&torrent).len(), contents.whole());
        again.read_from(&torrent, here.path()).unwrap();
        assert_eq!(again.missing(&torrent), []);
        // Nothing is written over what is there.
        assert!(contents.write_into(&torrent, here.path()).is_err());
    }

    #[test]
    fn blocks_that_overlap_make_a_piece_and_gaps_do_not() {
        assert_eq!(assemble(&blocks(&[(0, b"abcd"), (2, b"cdef")]), 6, 6).as_deref(), Some(&b"abcdef"[..]));
        assert_eq!(assemble(&blocks(&[(0, b"abcdef"), (2, b"cd")]), 6, 6).as_deref(), Some(&b"abcdef"[..]));
        assert_eq!(assemble(&blocks(&[(0, b"ab"), (3, b"def")]), 6, 6), None);
        assert_eq!(assemble(&blocks(&[(0, b"abcdefg")]), 6, 6), None);
        let padded = |bytes: &'static [u8]| assemble(&blocks(&[(0, bytes)]), 4, 6);
        assert_eq!((padded(b"abcd").as_deref(), padded(b"abc")), (Some(&b"abcd\0\0"[..]), None));
    }
}
