//! How a torrent's bytes fall into pieces, blocks and files (BEP 3, "pieces" and "files").
//!
//! The files stand end to end in one row of bytes; pieces cut that row at equal lengths, the last one
//! shorter. Where BEP 52 alone rules, every file begins a piece, and the last piece of each may be shorter.

use std::ops::Range;

use crate::{Block, PieceIndex};

/// The usual length of a block: what clients request at once (BEP 3, "request").
pub const BLOCK_LENGTH: u32 = 16 * 1024;

/// The lengths of a torrent's pieces and files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Geometry {
    piece_length: u32,
    piece_count: u32,
    /// Where each file ends in the row; empty files end where the one before does.
    file_ends: Vec<u64>,
    /// Whether every file begins a piece.
    aligned: bool,
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRange {
    /// The file's number in the torrent, from 0.
    pub file: usize,
    /// The bytes within the file.
    pub bytes: Range<u64>,
}

/// Why a block is none of the torrent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockFault {
    /// The torrent has fewer pieces.
    NoSuchPiece,
    /// It has no bytes.
    Empty,
    /// It ends beyond its piece.
    BeyondPiece,
}

impl Geometry {
    /// The geometry of files of these lengths; `None` where the piece length is zero, or the lengths come
    /// to more bytes than 64 bits or more pieces than 32 bits can number.
    pub fn new(piece_length: u32, file_lengths: impl IntoIterator<Item = u64>) -> Option<Self> {
        Self::of(piece_length, file_lengths, false)
    }

    /// The geometry of files that begin a piece each (BEP 52, "info dictionary"). What lies between the end of one and
    /// the next piece is nobody's.
    pub fn aligned(piece_length: u32, file_lengths: impl IntoIterator<Item = u64>) -> Option<Self> {
        Self::of(piece_length, file_lengths, true)
    }

    fn of(piece_length: u32, file_lengths: impl IntoIterator<Item = u64>, aligned: bool) -> Option<Self> {
        if piece_length == 0 {
            return None;
        }
        let mut total = 0_u64;
        let mut file_ends = Vec::new();
        for length in file_lengths {
            if aligned && length > 0 {
                total = total.checked_next_multiple_of(piece_length.into())?;
            }
            total = total.checked_add(length)?;
            file_ends.push(total);
        }
        let piece_count = u32::try_from(total.div_ceil(piece_length.into())).ok()?;
        Some(Self { piece_length, piece_count, file_ends, aligned })
    }

    /// Whether every file begins a piece, so that the last piece of each may be shorter.
    pub const fn is_aligned(&self) -> bool {
        self.aligned
    }

    /// The bytes of the row: those of all files, and of what lies between them.
    pub fn total(&self) -> u64 {
        self.file_ends.last().copied().unwrap_or(0)
    }

    /// The bytes of all pieces: those of the row without what lies between files.
    pub fn content(&self) -> u64 {
        if !self.aligned {
            return self.total();
        }
        (0..self.file_ends.len()).map(|file| self.file_span(file)).map(|span| span.end - span.start).sum()
    }

    /// The bytes of every piece but the last, or but that of each file.
    pub const fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// How many pieces there are.
    pub const fn piece_count(&self) -> u32 {
        self.piece_count
    }

    /// The bytes of a bitfield: a bit a piece, whole bytes (BEP 3, "bitfield").
    pub const fn bitfield_length(&self) -> usize {
        self.piece_count.div_ceil(8) as usize
    }

    /// The bytes of a piece; `None` where there is no such piece.
    pub fn piece_size(&self, index: PieceIndex) -> Option<u32> {
        let span = self.piece_span(index)?;
        u32::try_from(span.end - span.start).ok()
    }

    /// Where a piece stands in the row.
    pub fn piece_span(&self, index: PieceIndex) -> Option<Range<u64>> {
        if index.0 >= self.piece_count {
            return None;
        }
        let length = u64::from(self.piece_length);
        let start = u64::from(index.0) * length;
        let row_ends = match self.aligned {
            true => self.file_ends[self.file_ends.partition_point(|&end| end <= start)],
            false => self.total(),
        };
        Some(start..start.saturating_add(length).min(row_ends))
    }

    /// Where a block stands in the row.
    ///
    /// # Errors
    /// Why there is no such block.
    pub fn block_span(&self, block: Block) -> Result<Range<u64>, BlockFault> {
        let piece = self.piece_span(block.index).ok_or(BlockFault::NoSuchPiece)?;
        if block.length == 0 {
            return Err(BlockFault::Empty);
        }
        let start = piece.start.saturating_add(block.begin.into());
        let end = start.saturating_add(block.length.into());
        if end > piece.end {
            return Err(BlockFault::BeyondPiece);
        }
        Ok(start..end)
    }

    /// Where a block stands in the row that may go on after its file, and how many of its bytes do: zeros, up to where the next
    /// piece begins. libtorrent requests these too where every file begins a piece. `None` where there is no such block.
    pub fn padded_span(&self, block: Block) -> Option<(Range<u64>, u32)> {
        match self.block_span(block) {
            Ok(span) => Some((span, 0)),
            Err(BlockFault::BeyondPiece) if self.aligned => {
                let end = block.begin.checked_add(block.length).filter(|&end| end <= self.piece_length)?;
                let piece = self.piece_span(block.index)?;
                let size = u32::try_from(piece.end - piece.start).ok()?;
                let start = piece.start + u64::from(block.begin.min(size));
                Some((start..piece.end, end - block.begin.max(size)))
            }
            Err(_) => None,
        }
    }

    /// The blocks of [`BLOCK_LENGTH`] that tile a piece, the last one shorter; none where there is no
    /// such piece.
    pub fn blocks(&self, index: PieceIndex) -> impl Iterator<Item = Block> + use<> {
        let size = self.piece_size(index).unwrap_or(0);
        (0..size.div_ceil(BLOCK_LENGTH)).map(move |number| {
            let begin = number * BLOCK_LENGTH;
            Block { index, begin, length: BLOCK_LENGTH.min(size - begin) }
        })
    }

    /// The files in which a piece lies, in order.
    pub fn piece_files(&self, index: PieceIndex) -> Vec<FileRange> {
        self.piece_span(index).map(|span| self.files_in(span)).unwrap_or_default()
    }

    /// The files in which `span` of the row lies, in order; empty files lie in none.
    pub fn files_in(&self, span: Range<u64>) -> Vec<FileRange> {
        let mut ranges = Vec::new();
        let mut at = span.start;
        while at < span.end {
            // The next that ends after it: of empty files there may be very many in between.
            let file = self.file_ends.partition_point(|&end| end <= at);
            if file >= self.file_ends.len() {
                break;
            }
            let within = self.file_span(file);
            let bytes = at.max(within.start) - within.start..span.end.min(within.end) - within.start;
            if within.start >= span.end {
                break;
            }
            if !bytes.is_empty() {
                ranges.push(FileRange { file, bytes });
            }
            at = within.end;
        }
        ranges
    }

    /// The pieces in which a file lies; none for an empty file or one that is not there.
    pub fn pieces_of(&self, file: usize) -> Range<u32> {
        let span = if file < self.file_ends.len() { self.file_span(file) } else { 0..0 };
        if span.is_empty() {
            return 0..0;
        }
        let length = u64::from(self.piece_length);
        // Both are at most the piece count, which has 32 bits.
        let number = |pieces: u64| u32::try_from(pieces).unwrap_or(self.piece_count);
        number(span.start / length)..number(span.end.div_ceil(length))
    }

    /// The pieces in which a part of a file lies; none when it is empty or not there.
    pub fn pieces_in(&self, part: &FileRange) -> Range<u32> {
        if part.file >= self.file_ends.len() || part.bytes.is_empty() {
            return 0..0;
        }
        let file = self.file_span(part.file);
        let (start, end) =
            (file.start.saturating_add(part.bytes.start), file.start.saturating_add(part.bytes.end));
        let length = u64::from(self.piece_length);
        let number = |pieces: u64| u32::try_from(pieces).unwrap_or(self.piece_count).min(self.piece_count);
        number(start / length)..number(end.div_ceil(length))
    }

    /// A part of a file as parts of pieces: each piece, where the part begins in it, and which bytes of `part` those are.
    pub fn blocks_in(&self, part: &FileRange) -> impl Iterator<Item = (PieceIndex, u32, Range<u64>)> + use<> {
        let length = u64::from(self.piece_length);
        let start = self.file_start(part.file).unwrap_or(0).saturating_add(part.bytes.start);
        let bytes = part.bytes.end.saturating_sub(part.bytes.start);
        self.pieces_in(part).map(move |index| {
            let piece = u64::from(index) * length;
            let from = piece.max(start);
            let to = piece.saturating_add(length).min(start.saturating_add(bytes));
            (PieceIndex(index), (from - piece) as u32, from - start..to.max(from) - start)
        })
    }

    /// Where a file begins in the row; `None` where there is no such file.
    pub fn file_start(&self, file: usize) -> Option<u64> {
        (file < self.file_ends.len()).then(|| self.file_span(file).start)
    }

    fn file_span(&self, file: usize) -> Range<u64> {
        let end = self.file_ends[file];
        let start = file.checked_sub(1).map_or(0, |before| self.file_ends[before]);
        if !self.aligned {
            return start..end;
        }
        // An empty file stands nowhere; what follows begins the next piece.
        start.checked_next_multiple_of(self.piece_length.into()).unwrap_or(end).min(end)..end
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(file: usize, bytes: Range<u64>) -> FileRange {
        FileRange { file, bytes }
    }

    #[test]
    fn the_last_piece_is_shorter() {
        let geometry = Geometry::new(32_768, [245_777]).unwrap();
        assert_eq!((geometry.piece_count(), geometry.bitfield_length()), (8, 1));
        assert_eq!(geometry.piece_size(PieceIndex(6)), Some(32_768));
        assert_eq!(geometry.piece_size(PieceIndex(7)), Some(16_401));
        assert_eq!(geometry.piece_size(PieceIndex(8)), None);
        let blocks: Vec<_> =
            geometry.blocks(PieceIndex(7)).map(|block| (block.begin, block.length)).collect();
        assert_eq!(blocks, [(0, 16_384), (16_384, 17)]);
    }

    #[test]
    fn a_piece_lies_in_several_files_and_skips_empty_ones() {
        let geometry = Geometry::new(10, [3, 0, 4, 20]).unwrap();
        assert_eq!(geometry.piece_files(PieceIndex(0)), [range(0, 0..3), range(2, 0..4), range(3, 0..3)]);
        assert_eq!(geometry.piece_files(PieceIndex(2)), [range(3, 13..20)]);
        assert_eq!(geometry.pieces_of(3), 0..3);
        assert_eq!(geometry.pieces_of(1), 0..0);
        assert_eq!(geometry.pieces_of(4), 0..0);
    }

    #[test]
    fn says_why_a_block_is_none_of_the_torrents() {
        let geometry = Geometry::new(100, [150]).unwrap();
        let span =
            |index, begin, length| geometry.block_span(Block { index: PieceIndex(index), begin, length });
        assert_eq!(span(1, 10, 40), Ok(110..150));
        assert_eq!(span(1, 10, 41), Err(BlockFault::BeyondPiece));
        assert_eq!(span(0, u32::MAX, u32::MAX), Err(BlockFault::BeyondPiece));
        assert_eq!(span(2, 0, 1), Err(BlockFault::NoSuchPiece));
        assert_eq!(span(0, 0, 0), Err(BlockFault::Empty));
    }

    #[test]
    fn files_that_begin_a_piece_each_end_within_one() {
        let geometry = Geometry::aligned(10, [3, 0, 24, 0, 10]).unwrap();
        assert_eq!((geometry.piece_count(), geometry.total(), geometry.content()), (5, 50, 37));
        let sizes: Vec<_> = (0..6).map(|index| geometry.piece_size(PieceIndex(index))).collect();
        assert_eq!(sizes, [Some(3), Some(10), Some(10), Some(4), Some(10), None]);
        assert_eq!(geometry.piece_files(PieceIndex(0)), [range(0, 0..3)]);
        assert_eq!(geometry.piece_files(PieceIndex(3)), [range(2, 20..24)]);
        assert_eq!([0, 1, 2, 3, 4].map(|file| geometry.pieces_of(file)), [0..1, 0..0, 1..4, 0..0, 4..5]);
        assert_eq!(geometry.pieces_in(&range(2, 5..15)), 1..3);
        let beyond = Block { index: PieceIndex(3), begin: 0, length: 5 };
        assert_eq!(geometry.block_span(beyond), Err(BlockFault::BeyondPiece));
        let padded =
            |index, begin, length| geometry.padded_span(Block { index: PieceIndex(index), begin, length });
        assert_eq!(padded(3, 0, 5), Some((30..34, 1)));
        assert_eq!(padded(3, 6, 4), Some((34..34, 4)));
        assert_eq!(padded(3, 0, 4), Some((30..34, 0)));
        assert_eq!((padded(3, 0, 11), padded(3, u32::MAX, 2), padded(5, 0, 1)), (None, None, None));
        assert_eq!(Geometry::aligned(10, [u64::MAX, 1]), None);
        assert_eq!(Geometry::aligned(10, [0, 0]).unwrap().piece_count(), 0);
    }

    #[test]
    fn parts_of_files_are_parts_of_pieces() {
        let parts = |geometry: Geometry, file, bytes| -> Vec<_> {
            geometry.blocks_in(&range(file, bytes)).map(|(index, begin, of)| (index.0, begin, of)).collect()
        };
        let row = || Geometry::new(10, [3, 24]).unwrap();
        assert_eq!(parts(row(), 1, 2..20), [(0, 5, 0..5), (1, 0, 5..15), (2, 0, 15..18)]);
        assert_eq!(parts(row(), 1, 3..3), []);
        assert_eq!(parts(row(), 2, 0..3), []);
        let aligned = Geometry::aligned(10, [3, 24]).unwrap();
        assert_eq!(parts(aligned, 1, 2..20), [(1, 2, 0..8), (2, 0, 8..18)]);
    }

    #[test]
    fn rejects_lengths_that_overflow() {
        assert_eq!(Geometry::new(0, [1]), None);
        assert_eq!(Geometry::new(u32::MAX, [u64::MAX, 1]), None);
        assert_eq!(Geometry::new(1, [u64::MAX]), None);
        assert_eq!(Geometry::new(1, []).unwrap().piece_count(), 0);
    }

    proptest! {
        #[test]
        fn pieces_and_files_tile_the_same_bytes(
            piece_length in 1..50_u32,
            lengths in prop::collection::vec(0..60_u64, 0..8),
        ) {
            let geometry = Geometry::new(piece_length, lengths.clone()).unwrap();
            let mut seen = vec![0; lengths.len()];
            for index in (0..geometry.piece_count()).map(PieceIndex) {
                let ranges = geometry.piece_files(index);
                let size: u64 = ranges.iter().map(|range| range.bytes.end - range.bytes.start).sum();
                prop_assert_eq!(Some(size), geometry.piece_size(index).map(u64::from));
                for range in ranges {
                    prop_assert_eq!(range.bytes.start, seen[range.file]);
                    prop_assert!(geometry.pieces_of(range.file).contains(&index.0));
                    seen[range.file] = range.bytes.end;
                }
                let blocks: u32 = geometry.blocks(index).map(|block| block.length).sum();
                prop_assert_eq!(Some(blocks), geometry.piece_size(index));
            }
            prop_assert_eq!(seen, lengths);
        }
    }
}
