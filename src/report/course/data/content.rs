//! Blocks and pieces, as columns.

use serde::Serialize;

use super::Micros;

/// Blocks of pieces: from peers whole, from web seeds as their data came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Blocks {
    /// Each block.
    Each(EachBlock),
    /// A grid of bins and rows of pieces.
    Grid(BlockGrid),
}

/// Each block, in the order of the capture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EachBlock {
    /// `true`.
    pub exact: bool,
    /// When.
    pub t: Vec<Micros>,
    /// The message.
    pub n: Vec<u64>,
    /// The piece.
    pub piece: Vec<u32>,
    /// Where it begins in the piece.
    pub begin: Vec<u32>,
    /// Its bytes.
    pub length: Vec<u32>,
    /// The far end.
    pub end: Vec<i32>,
    /// 1 where the local host sent it.
    pub out: Vec<u8>,
    /// 0 ordinary; 1 of an attempt at a piece that had the wrong hash; 2 again for nothing; 3 again after a wrong hash.
    pub flag: Vec<u8>,
}

/// Blocks by bin and row. Cells without blocks are left out; the order is by bin, then row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BlockGrid {
    /// `false`.
    pub exact: bool,
    /// The width of a bin.
    pub bin: Micros,
    /// How many bins there are.
    pub bins: u32,
    /// How many pieces share a row.
    pub per_row: u32,
    /// How many rows there are.
    pub rows: u32,
    /// The bin of each cell.
    pub cell_bin: Vec<u32>,
    /// Its row.
    pub cell_row: Vec<u32>,
    /// The far end with most of its blocks.
    pub cell_end: Vec<i32>,
    /// 1 where a block of it is of an attempt at a piece that had the wrong hash.
    pub cell_wrong: Vec<u8>,
    /// Its blocks.
    pub cell_count: Vec<u32>,
}

/// The pieces of a torrent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pieces {
    /// Whether the torrent is known: otherwise `count` is what blocks show at least, and lengths are 0.
    pub known: bool,
    /// How many pieces there are.
    pub count: u32,
    /// The bytes of each but the last.
    pub length: u32,
    /// The bytes of the last.
    pub last_length: u32,
    /// The bytes of all.
    pub total: u64,
    /// How many pieces share a cell.
    pub per_row: u32,
    /// The torrent's name, or its info hash.
    pub name: String,
    /// Its files: the first [`MOST_FILES`](crate::MOST_FILES), padding left out.
    pub files: Vec<CourseFile>,
    /// How many files are left out.
    pub files_left_out: u64,
    /// Each time a piece was whole, and whether its hash was right.
    pub checked: Checked,
    /// The pieces, in order.
    pub cells: PieceCells,
    /// How many pieces came whole and right.
    pub verified: u64,
    /// Blocks of other torrents, which no picture of pieces shows.
    pub other_blocks: u64,
}

/// A file of a torrent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CourseFile {
    /// Its path.
    pub name: String,
    /// Where it begins in the torrent's content.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
}

/// Checks of whole pieces: each, up to [`MOST_CHECKS`](crate::MOST_CHECKS) of either kind; beyond, the first in each
/// stretch of time and row of pieces. Right and wrong ones are never merged with each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// When, ascending.
    pub t: Vec<Micros>,
    /// The piece.
    pub piece: Vec<u32>,
    /// 1 where the hash was right.
    pub ok: Vec<u8>,
    /// The message that made it whole.
    pub n: Vec<u64>,
    /// How many right ones there were.
    pub right: u64,
    /// How many wrong ones.
    pub wrong: u64,
}

/// Pieces, `per_row` of them to a cell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PieceCells {
    /// The first piece of each cell.
    pub first: Vec<u32>,
    /// The far end that sent most blocks of it; -1 where nobody did.
    pub end: Vec<i32>,
    /// 0 missing; 1 partial; 2 whole, not checked; 3 verified; 4 wrong. The worst of its pieces.
    pub state: Vec<u8>,
    /// 1 where a piece of it had the wrong hash once.
    pub once_wrong: Vec<u8>,
}
