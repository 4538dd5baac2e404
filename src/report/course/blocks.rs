//! The blocks of one torrent: each of them, or, when there are too many, a grid of time and pieces. A block of an attempt
//! at a piece that had the wrong hash keeps its mark in both.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use bittrace_protocol::PieceIndex;
use bittrace_trace::statistics::BlockRepeat;
use foldhash::fast::RandomState;

use super::bins::Bins;
use super::data::{BlockGrid, Blocks, EachBlock, Micros};
use super::ends::{EndPlace, ListedEnds};

/// Blocks that are being recorded.
#[derive(Debug)]
pub(super) struct BlocksSeen {
    marks: Marks,
    /// Where the blocks of an attempt at a piece stand in `marks`, by receiver, until the piece is whole.
    attempts: HashMap<(IpAddr, PieceIndex), Vec<u32>, RandomState>,
    /// How many places those are.
    open: usize,
    /// The pieces that are known of, or that blocks came of.
    pieces: u32,
}

/// A block.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockSeen {
    pub(super) t: Micros,
    pub(super) n: u64,
    pub(super) receiver: IpAddr,
    pub(super) piece: PieceIndex,
    pub(super) begin: u32,
    pub(super) length: u32,
    pub(super) end: Option<EndPlace>,
    pub(super) is_out: bool,
    pub(super) repeat: BlockRepeat,
}

#[derive(Debug)]
enum Marks {
    Each(Vec<Mark>),
    Grid(Grid),
}

/// A block, and whether its attempt had the wrong hash.
#[derive(Debug)]
struct Mark {
    block: BlockSeen,
    is_wrong: bool,
}

/// How many blocks are kept apart.
pub(super) const EXACT: usize = 12_000;

/// How many blocks may be of attempts that are not decided, 4 bytes each. When there are more, all are forgotten: these
/// attempts then keep no mark, should they turn out to be wrong.
const OPEN: usize = 1_000_000;

impl BlocksSeen {
    pub(super) fn new() -> Self {
        Self { marks: Marks::Each(Vec::new()), attempts: HashMap::default(), open: 0, pieces: 0 }
    }

    /// Takes in how many pieces the torrent has.
    pub(super) fn know(&mut self, pieces: u32) {
        self.pieces = self.pieces.max(pieces);
    }

    pub(super) fn add(&mut self, block: BlockSeen) {
        self.pieces = self.pieces.max(block.piece.0.saturating_add(1));
        if let Marks::Each(blocks) = &self.marks
            && blocks.len() >= EXACT
        {
            self.become_grid();
        }
        let place = match &mut self.marks {
            Marks::Each(blocks) => {
                blocks.push(Mark { block, is_wrong: false });
                blocks.len() as u32 - 1
            }
            Marks::Grid(grid) => {
                let doublings = grid.make_room(block.t, self.pieces);
                Self::fold_attempts(&mut self.attempts, &mut self.open, doublings);
                let doublings = grid.add(&block, false);
                Self::fold_attempts(&mut self.attempts, &mut self.open, doublings);
                grid.bins.of(block.t)
            }
        };
        if self.open >= OPEN {
            self.attempts.clear();
            self.open = 0;
        }
        let places = self.attempts.entry((block.receiver, block.piece)).or_default();
        if places.last() != Some(&place) {
            places.push(place);
            self.open += 1;
        }
    }

    /// Takes in that a receiver had a piece whole, right or wrong.
    pub(super) fn checked(&mut self, receiver: IpAddr, piece: PieceIndex, is_right: bool) {
        let Some(places) = self.attempts.remove(&(receiver, piece)) else { return };
        self.open -= places.len();
        if is_right {
            return;
        }
        match &mut self.marks {
            Marks::Each(blocks) => {
                places.into_iter().for_each(|place| blocks[place as usize].is_wrong = true)
            }
            Marks::Grid(grid) => {
                let row = grid.row(piece);
                for bin in places {
                    if let Some(cell) = grid.cells.get_mut(&(bin, row)) {
                        cell.is_wrong = true;
                    }
                }
            }
        }
    }

    /// How many pieces there are at least.
    pub(super) const fn pieces(&self) -> u32 {
        self.pieces
    }

    /// For each row of so many pieces, the far end with most blocks. Those of attempts that had the wrong hash count only
    /// where there are no others.
    pub(super) fn most_by_row(&self, per_row: u32) -> BTreeMap<u32, Option<EndPlace>> {
        let mut counts: BTreeMap<(u32, Option<EndPlace>), (u64, u64)> = BTreeMap::new();
        let mut count = |row: u32, end: Option<EndPlace>, is_wrong: bool, blocks: u64| {
            let counts = counts.entry((row, end)).or_default();
            *(if is_wrong { &mut counts.1 } else { &mut counts.0 }) += blocks;
        };
        match &self.marks {
            Marks::Each(blocks) => {
                for Mark { block, is_wrong } in blocks {
                    count(block.piece.0 / per_row, block.end, *is_wrong, 1);
                }
            }
            Marks::Grid(grid) => {
                for ((_, row), cell) in &grid.cells {
                    let first = u64::from(*row) * u64::from(grid.per_row);
                    let row = (first / u64::from(per_row)) as u32;
                    count(row, cell.end, cell.is_wrong, cell.count.into());
                }
            }
        }
        let mut most: BTreeMap<u32, ((u64, u64), Option<EndPlace>)> = BTreeMap::new();
        for ((row, end), counts) in counts {
            let row = most.entry(row).or_default();
            if counts > row.0 {
                *row = (counts, end);
            }
        }
        most.into_iter().map(|(row, (_, end))| (row, end)).collect()
    }

    fn become_grid(&mut self) {
        let Marks::Each(blocks) = &self.marks else { return };
        let mut grid = Grid::new();
        let latest = blocks.iter().map(|mark| mark.block.t).max().unwrap_or(0);
        grid.make_room(latest, self.pieces);
        blocks.iter().for_each(|mark| {
            grid.add(&mark.block, mark.is_wrong);
        });
        self.open = 0;
        for places in self.attempts.values_mut() {
            for place in places.iter_mut() {
                *place = grid.bins.of(blocks[*place as usize].block.t);
            }
            places.dedup();
            self.open += places.len();
        }
        self.marks = Marks::Grid(grid);
    }

    fn fold_attempts(
        attempts: &mut HashMap<(IpAddr, PieceIndex), Vec<u32>, RandomState>,
        open: &mut usize,
        doublings: u32,
    ) {
        if doublings == 0 {
            return;
        }
        *open = 0;
        for places in attempts.values_mut() {
            places.iter_mut().for_each(|bin| *bin = bin.checked_shr(doublings).unwrap_or(0));
            places.dedup();
            *open += places.len();
        }
    }

    pub(super) fn finish(self, ends: &ListedEnds) -> Blocks {
        match self.marks {
            Marks::Each(blocks) => {
                let mut each = EachBlock { exact: true, ..EachBlock::default() };
                for Mark { block, is_wrong } in blocks {
                    each.t.push(block.t);
                    each.n.push(block.n);
                    each.piece.push(block.piece.0);
                    each.begin.push(block.begin);
                    each.length.push(block.length);
                    each.end.push(ends.place(block.end));
                    each.out.push(u8::from(block.is_out));
                    each.flag.push(match (is_wrong, block.repeat) {
                        (true, _) => 1,
                        (false, BlockRepeat::New) => 0,
                        (false, BlockRepeat::ForNothing) => 2,
                        (false, BlockRepeat::AfterWrongHash) => 3,
                    });
                }
                Blocks::Each(each)
            }
            Marks::Grid(grid) => Blocks::Grid(grid.finish(ends, self.pieces)),
        }
    }
}

/// Blocks by bin and row of pieces.
#[derive(Debug)]
struct Grid {
    bins: Bins,
    per_row: u32,
    cells: HashMap<(u32, u32), Cell, RandomState>,
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    /// The far end with most of its blocks, and by how many it leads: exact where it has more than half of them.
    end: Option<EndPlace>,
    lead: u32,
    count: u32,
    is_wrong: bool,
}

/// How many bins and rows a grid has, and how many cells with blocks: 100,000 make 1.5 MB of a page.
const BINS: u32 = 1_200;
const ROWS: u32 = 512;
const CELLS: usize = 100_000;

impl Grid {
    fn new() -> Self {
        Self { bins: Bins::new(BINS), per_row: 1, cells: HashMap::default() }
    }

    fn row(&self, piece: PieceIndex) -> u32 {
        piece.0 / self.per_row
    }

    /// Makes room for a moment and so many pieces, and says how often the bins' width doubled.
    fn make_room(&mut self, t: Micros, pieces: u32) -> u32 {
        let doublings = self.bins.fit(t);
        let mut rows = 0;
        while pieces.div_ceil(self.per_row) > ROWS {
            self.per_row *= 2;
            rows += 1;
        }
        self.fold(doublings, rows);
        doublings
    }

    /// Adds a block for which there is room, and says how often the bins' width doubled as there were too many cells.
    fn add(&mut self, block: &BlockSeen, is_wrong: bool) -> u32 {
        let one = Cell { end: block.end, lead: 1, count: 1, is_wrong };
        let at = (self.bins.of(block.t), self.row(block.piece));
        self.cells.entry(at).and_modify(|cell| cell.join(one)).or_insert(one);
        let mut doublings = 0;
        while self.cells.len() > CELLS {
            // Cells stay about half as wide as they are high, on a picture that is four times as wide as it is high.
            let (bins, rows) = self.extent();
            if bins >= 2 * rows {
                self.bins.double();
                self.fold(1, 0);
                doublings += 1;
            } else {
                self.per_row *= 2;
                self.fold(0, 1);
            }
        }
        doublings
    }

    fn extent(&self) -> (u32, u32) {
        self.cells.keys().fold((0, 0), |(bins, rows), (bin, row)| (bins.max(bin + 1), rows.max(row + 1)))
    }

    fn fold(&mut self, bins: u32, rows: u32) {
        if bins == 0 && rows == 0 {
            return;
        }
        let mut order: Vec<((u32, u32), Cell)> = std::mem::take(&mut self.cells).into_iter().collect();
        // Who leads a cell depends on the order in which cells are joined.
        order.sort_unstable_by_key(|(at, _)| *at);
        for ((bin, row), cell) in order {
            let at = (bin.checked_shr(bins).unwrap_or(0), row.checked_shr(rows).unwrap_or(0));
            self.cells.entry(at).and_modify(|known| known.join(cell)).or_insert(cell);
        }
    }

    fn finish(self, ends: &ListedEnds, pieces: u32) -> BlockGrid {
        let mut grid = BlockGrid {
            bin: self.bins.width(),
            bins: self.extent().0,
            per_row: self.per_row,
            rows: pieces.div_ceil(self.per_row),
            ..BlockGrid::default()
        };
        let mut cells: Vec<_> = self.cells.into_iter().collect();
        cells.sort_unstable_by_key(|(at, _)| *at);
        for ((bin, row), cell) in cells {
            grid.cell_bin.push(bin);
            grid.cell_row.push(row);
            grid.cell_end.push(ends.place(cell.end));
            grid.cell_wrong.push(u8::from(cell.is_wrong));
            grid.cell_count.push(cell.count);
        }
        grid
    }
}

impl Cell {
    fn join(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.is_wrong |= other.is_wrong;
        if self.end == other.end {
            self.lead = self.lead.saturating_add(other.lead);
        } else if self.lead >= other.lead {
            self.lead -= other.lead;
        } else {
            (self.end, self.lead) = (other.end, other.lead - self.lead);
        }
    }
}
